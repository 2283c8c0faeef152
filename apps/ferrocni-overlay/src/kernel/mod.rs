//! This host's kernel: what networks want in it, compared with what is there, and only the differences changed.
//!
//! What the kernel was told last is remembered, so that a change in etcd costs what has changed. Now and then it is read, because others
//! may change it too; what was not as it should be is counted.
//!
//! - [`vxlan`] has the devices of networks, and the ways to other hosts
//! - [`wireguard`] has the device of encrypted networks
//! - [`ways`] has what both need to lead somewhere
//! - [`ingress`] has the ways for ports that every host answers
//! - [`guard`] has the packet filter

pub(crate) mod guard;
pub(crate) mod ingress;
pub(crate) mod vxlan;
mod ways;
pub(crate) mod wireguard;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use cni::NetworkName;
use ipnetwork::IpNetwork;
use netlink::{MarkRule, Socket};
use nftables::overlay::{Guard, Overlay};
use overlay::HostId;

use crate::Error;
use crate::underlay::Found;
use vxlan::{Programmed, Seen, Wanted};
use wireguard::Tunnel;

/// What the agent has in the kernel.
#[derive(Debug)]
pub(crate) struct Kernel {
    host: Socket,
    guard: Guard,
    devices: BTreeMap<NetworkName, Programmed>,
    ingress: ingress::Ingress,
    pub(crate) tunnel: Option<Tunnel>,
    /// How often something was not as it should be.
    pub(crate) drift: u64,
}

impl Kernel {
    pub(crate) fn open() -> Result<Self, Error> {
        Ok(Self {
            host: Socket::open()?,
            guard: Guard::open()?,
            devices: BTreeMap::new(),
            ingress: ingress::Ingress::default(),
            tunnel: None,
            drift: 0,
        })
    }

    /// Has the kernel be as a network wants it; the hosts that cannot be reached, and one of them. What fails is read anew the next
    /// time.
    pub(crate) fn program(&mut self, network: &NetworkName, wanted: Wanted) -> Result<Option<(usize, HostId)>, Error> {
        let known = self.devices.remove(network);
        let programmed = vxlan::program(&mut self.host, known, wanted)?;
        let unreached = programmed.wanted.unreached();
        self.devices.insert(network.clone(), programmed);
        Ok(unreached)
    }

    /// The same for these hosts only, if the network was programmed before.
    pub(crate) fn lead_to(
        &mut self,
        network: &Seen<'_>,
        hosts: &BTreeSet<HostId>,
    ) -> Result<Option<(usize, HostId)>, Error> {
        let Some(mut programmed) = self.devices.remove(network.name) else { return Ok(None) };
        programmed.lead_to(&mut self.host, network, hosts)?;
        let unreached = programmed.wanted.unreached();
        self.devices.insert(network.name.clone(), programmed);
        Ok(unreached)
    }

    /// Whether it is known what a network has.
    pub(crate) fn has(&self, network: &NetworkName) -> bool {
        self.devices.contains_key(network)
    }

    /// Makes the device of encrypted networks, or takes the one that is there. It fits the network underneath when this returns.
    pub(crate) fn encrypt(&mut self, underlay: &Found, local: IpAddr, port: u16) -> Result<(), Error> {
        if !self.tunnel.as_ref().is_some_and(|tunnel| tunnel.fits(underlay, local, port)) {
            if !self.can_encrypt()? {
                return Err(Error::NoWireGuard);
            }
            self.tunnel = Some(Tunnel::open(&mut self.host, underlay, local, port)?);
        }
        Ok(())
    }

    /// Whether there is WireGuard.
    pub(crate) fn can_encrypt(&self) -> Result<bool, Error> {
        if self.tunnel.is_some() { Ok(true) } else { wireguard::is_there() }
    }

    /// Has the kernel be as encrypted networks want it.
    pub(crate) fn program_encrypted(&mut self, wanted: wireguard::Wanted) -> Result<(), Error> {
        self.tunnel.as_mut().map_or(Ok(()), |tunnel| tunnel.program(&mut self.host, wanted))
    }

    /// Takes away what encrypted networks have.
    pub(crate) fn stop_encrypting(&mut self) -> Result<(), Error> {
        self.tunnel = None;
        wireguard::remove(&mut self.host)?;
        ingress::subnet_in_tunnel().map_or(Ok(()), |subnet| ways::remove_unreachable_to(&mut self.host, subnet))
    }

    /// Has the kernel have these ways between hosts for ports that every host answers.
    pub(crate) fn program_ingress(&mut self, wanted: BTreeMap<bool, Wanted>) -> Result<(), Error> {
        self.ingress.program(&mut self.host, wanted)
    }

    /// Has what is marked go back by these rules.
    pub(crate) fn route_back(&mut self, rules: BTreeSet<MarkRule>) -> Result<(), Error> {
        self.ingress.route(&mut self.host, rules)
    }

    /// The socket for links and routes.
    pub(crate) fn host(&mut self) -> &mut Socket {
        &mut self.host
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
        if let Some(tunnel) = &mut self.tunnel {
            self.drift += tunnel.compare(&mut self.host)?;
        }
        self.drift += self.ingress.compare(&mut self.host)?;
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
        let mut kept = subnets | &self.ingress.subnets();
        kept.extend(ingress::subnet_in_tunnel().filter(|_| self.tunnel.is_some()));
        ways::remove_unreachable(&mut self.host, &kept)
    }

    /// Takes away the packet filter.
    pub(crate) fn remove_guard(&mut self) -> Result<(), Error> {
        Ok(self.guard.remove()?)
    }
}
