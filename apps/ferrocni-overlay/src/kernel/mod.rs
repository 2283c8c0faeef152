//! This host's kernel: what networks want in it, compared with what is there, and only the differences changed.
//!
//! What the kernel was told last is remembered, so that a change in etcd costs what has changed. Now and then it is read, because others
//! may change it too; what was not as it should be is counted.
//!
//! - [`vxlan`] has the devices of networks, and the ways to other hosts
//! - [`guard`] has the packet filter

pub(crate) mod guard;
pub(crate) mod vxlan;

use std::collections::{BTreeMap, BTreeSet};

use cni::NetworkName;
use ipnetwork::IpNetwork;
use netlink::Socket;
use nftables::overlay::{Guard, Overlay};

use crate::Error;
use vxlan::{Programmed, Wanted};

/// What the agent has in the kernel.
#[derive(Debug)]
pub(crate) struct Kernel {
    host: Socket,
    guard: Guard,
    devices: BTreeMap<NetworkName, Programmed>,
    /// How often something was not as it should be.
    pub(crate) drift: u64,
}

impl Kernel {
    pub(crate) fn open() -> Result<Self, Error> {
        Ok(Self { host: Socket::open()?, guard: Guard::open()?, devices: BTreeMap::new(), drift: 0 })
    }

    /// Has the kernel be as a network wants it. What fails is read anew the next time.
    pub(crate) fn program(&mut self, network: &NetworkName, wanted: Wanted) -> Result<(), Error> {
        let known = self.devices.remove(network);
        let programmed = vxlan::program(&mut self.host, known, wanted)?;
        self.devices.insert(network.clone(), programmed);
        Ok(())
    }

    /// Takes away what a network has.
    pub(crate) fn remove(&mut self, network: &NetworkName, device: &str) -> Result<(), Error> {
        self.devices.remove(network);
        vxlan::remove(&mut self.host, network, device)
    }

    /// Has the packet filter know this.
    pub(crate) fn guard(&mut self, wanted: &Overlay) -> Result<(), Error> {
        Ok(self.guard.set(wanted)?)
    }

    /// Compares everything with what is there; what is not as it should be is put right.
    pub(crate) fn compare(&mut self) -> Result<(), Error> {
        for (network, known) in std::mem::take(&mut self.devices) {
            let Programmed { wanted, .. } = known;
            self.drift += vxlan::differences(&mut self.host, &wanted)?;
            self.program(&network, wanted)?;
        }
        if !self.guard.is_whole()? {
            self.drift += 1;
        }
        Ok(())
    }

    /// The networks that have a device here, by the devices' labels.
    pub(crate) fn networks(&mut self) -> Result<BTreeMap<NetworkName, String>, Error> {
        vxlan::devices(&mut self.host)
    }

    /// Takes away the routes to nowhere of all other subnets.
    pub(crate) fn keep_unreachable(&mut self, subnets: &BTreeSet<IpNetwork>) -> Result<(), Error> {
        vxlan::remove_unreachable(&mut self.host, subnets)
    }

    /// Takes away the packet filter.
    pub(crate) fn remove_guard(&mut self) -> Result<(), Error> {
        Ok(self.guard.remove()?)
    }
}
