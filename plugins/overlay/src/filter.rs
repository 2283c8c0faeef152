//! What the agent has in the packet filter for ports that every host answers, as CHECK sees it.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use nftables::overlay::{Asked, Reader, SLOTS};
use overlay::ingress::{IngressState, Mapping, Port, Published};
use overlay::{Agent, AgentState, Places};

use crate::Error;

/// Fails if ports do not lead to the container on this host. That another host is away is nothing that is wrong here, nor is a port that
/// other hosts are told of as soon as etcd answers.
pub(crate) fn check(published: &Published) -> Result<(), Error> {
    let (places, agent) = (Places::default(), Agent::default());
    let known = Known {
        published,
        ingress: places.ingress_state()?.unwrap_or_default(),
        agent: places.agent_state()?.unwrap_or_default(),
        runs: agent.reach().is_ok(),
    };
    let mut reader = Reader::open()?;
    let damage = reader.damage()?.map(|difference| difference.to_string());
    for mapping in published.ports.iter().filter(|mapping| !known.waits_for_etcd(mapping.port)) {
        let missing = if damage.is_some() { damage.clone() } else { known.missing(&mut reader, mapping)? };
        if let Some(missing) = missing {
            return Err(Error::Unled { port: mapping.port, why: known.remedy(mapping.port, &missing) });
        }
    }
    Ok(())
}

/// What the agent has said.
struct Known<'a> {
    published: &'a Published,
    ingress: IngressState,
    agent: AgentState,
    runs: bool,
}

impl Known<'_> {
    /// Whether other hosts were told that there is something behind a port here, which comes before anything leads there.
    fn is_told(&self, port: Port) -> bool {
        let mut ports = self.ingress.ports.iter();
        let known = ports.find(|known| known.port == port && known.network == self.published.network);
        known.is_some_and(|known| known.hosts.keys().any(|host| host.as_str() == self.agent.host))
    }

    fn waits_for_etcd(&self, port: Port) -> bool {
        self.runs && !self.agent.connected && !self.is_told(port)
    }

    fn missing(&self, reader: &mut Reader, mapping: &Mapping) -> Result<Option<String>, Error> {
        let Port { protocol, port } = mapping.port;
        let is_answered = self.ingress.answered(mapping.port).is_some();
        for address in &mapping.addresses {
            let to = SocketAddr::new(*address, mapping.container_port);
            let led = reader.leads_to(Asked::ByHosts, protocol, port, address.is_ipv4())?;
            // Of more containers than there are slots, some get none.
            let is_full = led.iter().collect::<BTreeSet<_>>().len() == usize::from(SLOTS);
            if !led.contains(&to) && !is_full {
                return Ok(Some(format!("the packet filter does not lead what other hosts send on to {to}")));
            }
            let asked = reader.leads_to(Asked::ByClients, protocol, port, address.is_ipv4())?;
            if is_answered && asked.len() < usize::from(SLOTS) {
                return Ok(Some("the packet filter does not lead what clients ask this host for".to_owned()));
            }
        }
        Ok(None)
    }

    fn remedy(&self, port: Port, missing: &str) -> String {
        if !self.runs {
            return format!("{missing}. The agent does not run: start it (systemctl start ferrocni-overlay)");
        }
        if !self.is_told(port) {
            let problems = self.agent.problems.join("; ");
            return format!("{missing}, for other hosts could not be told of it ({problems})");
        }
        format!("{missing}: `ferrocni reload` brings it back, or the agent within a minute")
    }
}
