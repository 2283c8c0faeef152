//! Ports that every host of a cluster answers: what keeps this one from it.

use std::collections::BTreeSet;

use cni::NetworkName;
use netlink::{Socket, if_found};
use nftables::overlay::{Asked, Reader, SLOTS};
use overlay::ingress::{Port, device};
use overlay::{AgentState, KnownPort, Places};

use crate::failure::Failure;

/// What the agent begins with if ports are why it cannot do all that it should.
const OF_PORTS: &str = "published ports: ";

/// A port of the cluster as this host has it.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) port: Port,
    pub(crate) network: NetworkName,
    /// `None` if this host answers it.
    pub(crate) problem: Option<Problem>,
}

/// Why it does not.
#[derive(Debug)]
pub(crate) enum Problem {
    /// A program or a container of this host has the port already, or the agent says why it cannot.
    Told(String),
    /// What the agent had put into the kernel is not there any more.
    Lost(String),
}

impl Problem {
    pub(crate) fn in_words(&self) -> &str {
        match self {
            Self::Told(what) | Self::Lost(what) => what,
        }
    }
}

/// All ports that the agent knows of, with what the kernel says of each.
pub(crate) fn answers() -> Result<Vec<Answer>, Failure> {
    let places = Places::default();
    let ports = places.ingress_state()?.unwrap_or_default().ports;
    if ports.is_empty() {
        return Ok(Vec::new());
    }
    let kernel = Kernel::look(&ports, places.agent_state()?.unwrap_or_default())?;
    ports.into_iter().map(|known| kernel.answer(known)).collect()
}

/// What all of these ports need, and the agent's word.
struct Kernel {
    agent: AgentState,
    damage: Option<String>,
    missing: BTreeSet<&'static str>,
}

impl Kernel {
    fn look(ports: &[KnownPort], agent: AgentState) -> Result<Self, Failure> {
        let (mut socket, mut missing) = (Socket::open()?, BTreeSet::new());
        let needed: BTreeSet<_> = ports.iter().flat_map(devices).collect();
        for name in needed {
            if if_found(socket.link(name))?.is_none() {
                missing.insert(name);
            }
        }
        let damage = Reader::open()?.damage()?.map(|difference| difference.to_string());
        Ok(Self { agent, damage, missing })
    }

    fn answer(&self, known: KnownPort) -> Result<Answer, Failure> {
        let problem = match &known {
            KnownPort { answered: true, .. } => self.lost(&known)?,
            KnownPort { problem, .. } => {
                let told = problem.as_deref().or(self.word()).unwrap_or("the agent has not said why");
                Some(Problem::Told(told.to_owned()))
            }
        };
        Ok(Answer { port: known.port, network: known.network, problem })
    }

    fn lost(&self, known: &KnownPort) -> Result<Option<Problem>, Failure> {
        if let Some(damage) = &self.damage {
            return Ok(Some(Problem::Lost(format!("the packet filter differs: {damage}"))));
        }
        if let Some(name) = devices(known).find(|name| self.missing.contains(name)) {
            return Ok(Some(Problem::Lost(format!(
                "link {name}, by which hosts reach each other for it, is not there"
            ))));
        }
        let mut reader = Reader::open()?;
        for ipv4 in [true, false] {
            let Port { protocol, port } = known.port;
            let has_family = known.hosts.values().any(|share| share.of_family(ipv4) > 0);
            if has_family && reader.leads_to(Asked::ByClients, protocol, port, ipv4)?.len() < usize::from(SLOTS) {
                let family = if ipv4 { "IPv4" } else { "IPv6" };
                let lost = || Problem::Lost(format!("the packet filter lacks where it leads over {family}"));
                // It may lead to hosts only that cannot be reached.
                let told = self.word().filter(|told| told.contains(&known.port.to_string()));
                return Ok(Some(told.map_or_else(lost, |told| Problem::Told(told.to_owned()))));
            }
        }
        Ok(None)
    }

    /// What the agent says of ports as a whole.
    fn word(&self) -> Option<&str> {
        self.agent.problems.iter().find_map(|problem| problem.strip_prefix(OF_PORTS))
    }
}

/// The links that lead to the hosts behind a port.
fn devices(known: &KnownPort) -> impl Iterator<Item = &'static str> {
    known.hosts.values().map(|share| device(share.encrypted))
}
