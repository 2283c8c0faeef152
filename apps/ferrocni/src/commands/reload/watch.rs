//! Reloading by itself whenever something has taken rules away.

use std::convert::Infallible;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

use firewalld::Reloads;
use nftables::Watch;

use crate::failure::{Failure, line};
use crate::output::complain;

/// After how long a lost connection to the bus is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// Something may have taken rules away; or why that cannot be heard any more.
type Change = Result<(), nftables::Error>;

/// Calls `reload` now and after every change, once for all that came meanwhile. Returns only if it can hear of no more.
pub(super) fn on_every_change(mut reload: impl FnMut() -> Result<(), Failure>) -> Result<Infallible, Failure> {
    let (changed, changes) = channel();
    let (watch, of_firewalld) = (Watch::open()?, changed.clone());
    thread::spawn(move || watch_nftables(watch, &changed));
    thread::spawn(move || watch_firewalld(&of_firewalld));
    loop {
        // What fails now may work after the next change.
        reload().unwrap_or_else(complain);
        changes.recv()??;
        changes.try_iter().collect::<Result<(), _>>()?;
    }
}

fn watch_nftables(mut watch: Watch, changed: &Sender<Change>) {
    loop {
        let change = watch.wait();
        if change.is_err() | changed.send(change).is_err() {
            return;
        }
    }
}

/// A host without a bus when this starts is one without firewalld. A bus that has gone comes again, and meanwhile firewalld may have
/// reloaded.
fn watch_firewalld(changed: &Sender<Change>) {
    let mut reloads = match Reloads::connect() {
        Err(error) if error.is_not_running() => return,
        connected => connected.unwrap_or_else(|error| reconnect(&error)),
    };
    while changed.send(Ok(())).is_ok() {
        if let Err(lost) = reloads.wait() {
            reloads = reconnect(&lost);
        }
    }
}

fn reconnect(lost: &firewalld::Error) -> Reloads {
    complain(line(lost));
    loop {
        thread::sleep(PAUSE);
        if let Ok(reloads) = Reloads::connect() {
            return reloads;
        }
    }
}
