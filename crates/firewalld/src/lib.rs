//! Binding container addresses to a firewalld zone, as the Go suite's firewall plugin does: addresses in
//! the zone `trusted` may do anything.
//!
//! firewalld is spoken to over the D-Bus system bus, by a client that can do just this: authenticate by
//! the socket's credentials, call a method with strings, read its answer. A D-Bus library would do more,
//! for more: zbus is asynchronous and adds 0.75 MB to a plugin of 1.2 MB.

mod bus;
mod error;
mod reloads;
mod wire;

use std::net::IpAddr;

use bus::Bus;
pub use error::{Error, Result};
pub use reloads::Reloads;
use wire::Call;

const NAME: &str = "org.fedoraproject.FirewallD1";

/// Whether firewalld is on the system bus, and this process may use it. A host without a bus is answered at once.
///
/// # Errors
/// If the bus is there and does not answer: firewalld may be running, and drop what its zones do not let through.
pub fn is_running() -> Result<bool> {
    let call = Call { arguments: &[NAME], ..bus::call("NameHasOwner") };
    match Bus::connect().and_then(|mut bus| bus.call(&call)) {
        Err(error) if error.is_not_running() || error.is_no_access() => Ok(false),
        answer => answer?.boolean().ok_or(Error::Malformed),
    }
}

/// A connection to firewalld over the system bus.
#[derive(Debug)]
pub struct Firewalld {
    bus: Bus,
}

impl Firewalld {
    /// Connects to the system bus: at `DBUS_SYSTEM_BUS_ADDRESS`, or where it usually is.
    ///
    /// # Errors
    /// If there is no bus, or it does not let us in.
    pub fn connect() -> Result<Self> {
        Ok(Self { bus: Bus::connect()? })
    }

    /// Binds an address to `zone`; that it is bound to it already is fine.
    ///
    /// # Errors
    /// [`Error::Refused`], for instance if the zone does not exist or the address belongs to another one.
    pub fn add_source(&mut self, zone: &str, address: IpAddr) -> Result<()> {
        match self.call("addSource", zone, address) {
            Err(error) if error.is(&["ZONE_ALREADY_SET", "ALREADY_ENABLED"]) => Ok(()),
            other => other.map(drop),
        }
    }

    /// Unbinds an address from `zone`; that it is not bound to it is fine.
    ///
    /// # Errors
    /// [`Error::Refused`], for instance if the zone does not exist.
    pub fn remove_source(&mut self, zone: &str, address: IpAddr) -> Result<()> {
        match self.call("removeSource", zone, address) {
            Err(error) if error.is(&["UNKNOWN_SOURCE", "NOT_ENABLED", "ZONE_CONFLICT"]) => Ok(()),
            other => other.map(drop),
        }
    }

    /// Whether an address is bound to `zone`.
    ///
    /// # Errors
    /// [`Error::Refused`], for instance if the zone does not exist.
    pub fn has_source(&mut self, zone: &str, address: IpAddr) -> Result<bool> {
        self.call("querySource", zone, address)?.boolean().ok_or(Error::Malformed)
    }

    fn call(&mut self, method: &'static str, zone: &str, address: IpAddr) -> Result<wire::Answer> {
        self.bus.call(&Call {
            destination: NAME,
            path: "/org/fedoraproject/FirewallD1",
            interface: "org.fedoraproject.FirewallD1.zone",
            method,
            arguments: &[zone, &source(address)],
        })
    }
}

/// The Go suite's spelling: firewalld compares sources as text.
fn source(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => format!("{address}/32"),
        IpAddr::V6(address) => format!("{address}/128"),
    }
}
