//! This host in an overlay network: what it has of it, and what it gets from the agent when that does not suffice.

use std::net::IpAddr;
use std::path::Path;

use cni_plugin::{AddResult, Attachment, Call, Code, NetworkName, Plugin as _, SpecVersion, Undo};
use host_local::HostLocal;
use overlay::{ADDRESSES, Agent, Places, Reply, Request, State};

use crate::reservations::release;
use crate::{Error, ranges};

/// How often an allocation is begun anew: each time the agent has given another block, or has taken an address away meanwhile.
const ATTEMPTS: usize = 5;

/// What this host has of a network.
#[derive(Debug, Clone)]
pub struct Member {
    name: NetworkName,
    state: State,
}

impl Member {
    /// Reads what the agent has left. If this host has not joined the network yet, the agent is asked to.
    ///
    /// # Errors
    /// [`Error::Conflict`] if another host owns a block that is in use here; those of the agent.
    pub fn join(name: &NetworkName) -> Result<Self, Error> {
        let known = Places::default().state(name)?.filter(State::is_complete);
        let state = known.map_or_else(|| ask(&Request::Join(name.clone())), Ok)?;
        let member = Self { name: name.clone(), state };
        member.refuse_conflicts()?;
        Ok(member)
    }

    /// For STATUS: whether an ADD would get addresses, without asking for any.
    ///
    /// # Errors
    /// Code 50 with the reason.
    pub fn probe(name: &NetworkName) -> Result<(), Error> {
        let places = Places::default();
        match places.state(name)?.filter(State::is_complete) {
            Some(state) => Self { name: name.clone(), state }.refuse_conflicts(),
            None => match places.agent_state()? {
                Some(agent) if agent.connected => match Agent::at(&places).ask(&Request::Probe(name.clone())) {
                    Err(overlay::Error::Refused(reason)) => Err(unavailable(name, &reason)),
                    // It answers later, or says so when a container comes.
                    _ => Ok(()),
                },
                Some(agent) => Err(unavailable(name, &agent.problem.unwrap_or_default())),
                None => Err(unavailable(name, "there is no agent: start it (systemctl start ferrocni-overlay)")),
            },
        }
    }

    /// What the agent has left.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Reserves an address of each of the network's subnets, those that are wished for first.
    ///
    /// # Errors
    /// Code 11 if that needs the agent or etcd, and they do not answer.
    pub fn allocate(
        &mut self,
        attachment: &Attachment,
        version: SpecVersion,
        wishes: &[IpAddr],
        undo: &mut Undo,
    ) -> Result<AddResult, Error> {
        let claimed = self.claim(attachment, wishes)?;
        let (name, of) = (self.name.clone(), attachment.clone());
        undo.push("free the addresses", move || release(&name, &of));
        for _ in 0..ATTEMPTS {
            match self.reserve(attachment, version, wishes, &claimed)? {
                Some(result) if self.may_have(&result, &claimed)? => {
                    Agent::default().tell_of_change(&self.name);
                    return Ok(result);
                }
                Some(_) => release(&self.name, attachment)?,
                None => self.grow()?,
            }
        }
        Err(Error::Contended(self.name.clone()))
    }

    /// `None` if the blocks are full.
    fn reserve(
        &self,
        attachment: &Attachment,
        version: SpecVersion,
        wishes: &[IpAddr],
        claimed: &[IpAddr],
    ) -> Result<Option<AddResult>, Error> {
        let config = ranges::configuration(self.name.as_str(), version.as_str(), &self.state, wishes, claimed);
        let call = Call::new(config).container(attachment.container.as_str()).ifname(attachment.ifname.as_str());
        // What fails halfway is not to be remembered until the end of this ADD.
        let mut attempt = Undo::new();
        match HostLocal::add(&call.add::<HostLocal>()?, &mut attempt) {
            Ok(result) => Ok(Some(result)),
            Err(host_local::Error::Exhausted { .. }) => {
                let _ = attempt.roll_back();
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The agent may have returned a block, or given an address away, between our look and our choice. It looks at reservations after it
    /// has said so: one of the two sees the other.
    fn may_have(&mut self, result: &AddResult, claimed: &[IpAddr]) -> Result<bool, Error> {
        if let Some(state) = Places::default().state(&self.name)? {
            self.state = state;
        }
        let has = |address: IpAddr| {
            let is_own = self.state.blocks.iter().any(|block| block.contains(address));
            claimed.contains(&address) || is_own && !self.state.excluded.contains(&address)
        };
        Ok(result.ips.iter().all(|ip| has(ip.address.ip())))
    }

    /// Those of the wishes that are in no block of this host become its own by the agent.
    fn claim(&mut self, attachment: &Attachment, wishes: &[IpAddr]) -> Result<Vec<IpAddr>, Error> {
        let mut claimed = Vec::new();
        for address in wishes.iter().copied() {
            if !self.state.network.subnets.iter().any(|subnet| subnet.offers(address)) {
                let subnets: Vec<_> = self.state.network.subnets.iter().map(|it| it.network().to_string()).collect();
                return Err(Error::Outside { address, network: self.name.clone(), subnets: subnets.join(", ") });
            }
            if !self.state.blocks.iter().any(|block| block.contains(address)) {
                let (container, interface) = (attachment.container.clone(), attachment.ifname.clone());
                self.state = ask(&Request::Claim { network: self.name.clone(), address, container, interface })?;
                claimed.push(address);
            }
        }
        Ok(claimed)
    }

    /// Another block for each subnet whose blocks are full.
    fn grow(&mut self) -> Result<(), Error> {
        let families: Vec<_> = self.state.network.subnets.iter().map(overlay::Subnet::is_ipv4).collect();
        for ipv4 in families {
            self.state = ask(&Request::Grow { network: self.name.clone(), ipv4 })?;
        }
        Ok(())
    }

    fn refuse_conflicts(&self) -> Result<(), Error> {
        match self.state.conflicts.first() {
            None => Ok(()),
            Some(conflict) => Err(Error::Conflict {
                network: self.name.clone(),
                block: conflict.block.to_string(),
                owner: conflict.owner.to_string(),
                containers: conflict.containers.join(", "),
            }),
        }
    }
}

fn ask(request: &Request) -> Result<State, Error> {
    match Agent::default().ask(request)? {
        Reply::State(state) => Ok(state),
        _ => Err(Error::Answer),
    }
}

fn unavailable(name: &NetworkName, reason: &str) -> Error {
    let message = format!("this host is not in network {name} yet, and cannot join it");
    cni_plugin::Error::new(Code::Unavailable, message).with_details(reason).into()
}

/// Where reservations are.
pub(crate) fn folder() -> &'static Path {
    Path::new(ADDRESSES)
}
