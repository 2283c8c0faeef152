//! Hearing of it when firewalld forgets what it was told at run time.

use crate::bus::{self, Bus};
use crate::wire::{Answer, Call};
use crate::{NAME, Result};

/// Its own signal once it has reloaded (`firewall-cmd --reload` and `--complete-reload`).
const RELOADED: &str = "Reloaded";
/// The bus's signal when a name gets another owner; its arguments are the name, the old owner and the new one.
const OWNER_CHANGED: &str = "NameOwnerChanged";

/// Hears when firewalld has dropped the addresses that were bound to its zones: it has reloaded, or was started anew.
#[derive(Debug)]
pub struct Reloads {
    bus: Bus,
}

impl Reloads {
    /// Listens from now on, whether firewalld runs or not. The bus is found as by [`Firewalld::connect`].
    ///
    /// # Errors
    /// Those of [`Firewalld::connect`].
    ///
    /// [`Firewalld::connect`]: crate::Firewalld::connect
    pub fn connect() -> Result<Self> {
        let mut bus = Bus::connect()?;
        let reloaded = format!("type='signal',sender='{NAME}',interface='{NAME}',member='{RELOADED}'");
        let started = format!("type='signal',sender='org.freedesktop.DBus',member='{OWNER_CHANGED}',arg0='{NAME}'");
        for rule in [reloaded, started] {
            bus.call(&Call { arguments: &[&rule], ..bus::call("AddMatch") })?;
        }
        Ok(Self { bus })
    }

    /// Waits until firewalld has reloaded, or has come to the bus: then it may still be starting, and answers once it has.
    ///
    /// # Errors
    /// [`Error::Bus`](crate::Error::Bus) if the connection ends, as it does when the bus is restarted.
    pub fn wait(&mut self) -> Result<()> {
        while !tells_of_reload(&self.bus.wait()?) {}
        Ok(())
    }
}

fn tells_of_reload(message: &Answer) -> bool {
    match message.signal() {
        Some(RELOADED) => true,
        Some(OWNER_CHANGED) => matches!(message.strings()[..], [NAME, _, owner] if !owner.is_empty()),
        _ => false,
    }
}
