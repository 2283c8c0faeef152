//! `dhcp daemon`: gets the leases, renews them, and changes the interfaces when a lease changes.
//!
//! One thread does all of it. It enters a container's namespace to open a socket or to change something there, and is back
//! before it does anything else: no task is ever suspended inside ([`netlink::Netns::run`] takes a function, not a future),
//! and nothing that runs inside starts a thread, which would stay there. What a namespace's sockets receive reaches the
//! thread wherever it is. Only the closing of packet sockets, which waits in the kernel, is left to other threads.
//!
//! No namespace is kept open: it would outlive its container. A lease whose namespace or interface is gone when it is to be
//! renewed is dropped.

mod channel;
mod client;
mod conversation;
mod end;
mod flags;
mod holding;
mod keeper;
mod leases;
mod listener;
mod log;
mod place;
mod release;

use std::process::ExitCode;
use std::rc::Rc;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::net::UnixListener;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::LocalSet;

use flags::Flags;
use leases::Leases;

/// Threads that close packet sockets. The kernel lets several wait for the same grace period.
const CLOSING_THREADS: usize = 4;

/// Runs the daemon with these arguments until it is told to end.
#[must_use]
pub fn run(arguments: impl Iterator<Item = String>) -> ExitCode {
    let flags = match Flags::parse(arguments) {
        Ok(Some(flags)) => flags,
        Ok(None) => {
            eprint!("{}", flags::USAGE);
            return ExitCode::SUCCESS;
        }
        Err(wrong) => {
            eprint!("{wrong}\n{}", flags::USAGE);
            return ExitCode::from(2);
        }
    };
    match start(flags) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("dhcp daemon: {error}");
            ExitCode::FAILURE
        }
    }
}

fn start(flags: Flags) -> Result<(), cni_plugin::Error> {
    raise_descriptor_limit();
    let (listening, listener) = listener::open(&flags)?;
    let runtime = runtime().map_err(|error| internal("start the event loop", &error))?;
    let outcome = LocalSet::new().block_on(&runtime, async {
        let listener = UnixListener::from_std(listener)?;
        let leases = Rc::new(Leases::new(listening.store.clone(), flags));
        leases.resume();
        serve(&listener, &leases).await
    });
    // There is no need to wait for the kernel to let go of the last sockets.
    runtime.shutdown_background();
    drop(listening);
    outcome.map_err(|error| internal("listen to plugins", &error))
}

/// An ADD needs half a dozen descriptors for a moment, and hundreds may come at once. Programs are started with a low limit
/// for the sake of select(2), which is not used here.
fn raise_descriptor_limit() {
    if let Ok((_, most)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, most, most);
    }
}

fn runtime() -> std::io::Result<Runtime> {
    Builder::new_current_thread().enable_all().max_blocking_threads(CLOSING_THREADS).build()
}

fn internal(what: &str, error: &std::io::Error) -> cni_plugin::Error {
    cni_plugin::Error::new(cni_plugin::Code::Internal, what).with_details(error.to_string())
}

/// Until SIGTERM or SIGINT. The leases go on: the next daemon takes them up.
async fn serve(listener: &UnixListener, leases: &Rc<Leases>) -> std::io::Result<()> {
    let (mut end, mut interrupt, mut reload) = signals()?;
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    tokio::task::spawn_local(conversation::hold(stream, Rc::clone(leases)));
                }
                // Out of descriptors, perhaps: those that are in use will be free in a moment.
                Err(error) => {
                    eprintln!("cannot accept a connection: {error}");
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
            },
            _ = reload.recv() => leases.renew_all(),
            _ = end.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
        }
    }
}

fn signals() -> std::io::Result<(Signal, Signal, Signal)> {
    Ok((signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?, signal(SignalKind::hangup())?))
}
