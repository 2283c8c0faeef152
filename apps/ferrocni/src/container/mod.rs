//! The containers of `ferrocni run`: what is written down of them, and how what they leave is taken away.

mod log;
mod netns;
mod ports;
mod record;
mod remains;
mod store;

pub(crate) use log::{Log, Reading};
pub(crate) use ports::{Claimed, Claims, Ports, Publish, exposed};
pub(crate) use record::{Planned, Program, Record};
pub(crate) use remains::undo;
pub(crate) use store::{Container, Living, Store};

pub(crate) use netns::{path_of as netns_path, pin as pin_netns};

use crate::host::Host;

/// Takes away what containers have left whose supervisors were killed. What cannot be done now is left to the next command.
pub(crate) fn sweep(host: &Host) {
    if let Err(failure) = Store::of(host).sweep(host) {
        failure.mention();
    }
}
