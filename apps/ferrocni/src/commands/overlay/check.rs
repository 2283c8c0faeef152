//! Whether the other hosts of this host's overlay networks can be reached, and what is in the way.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::process::ExitCode;

use cni::NetworkName;
use overlay::{Block, KnownHost, Network, Places};
use serde_json::{Value, json};

use super::echo::{self, Probe};
use crate::failure::Failure;
use crate::ingress::{self, Answer, Problem};
use crate::output::{Form, List};

/// Ask every other host of this host's overlay networks for an answer, with the largest packets that containers may send
#[derive(Debug, clap::Args)]
pub(crate) struct Check {
    /// Networks; all that this host has joined without
    networks: Vec<String>,
    /// table, json, or a Go template
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
}

/// A network that this host has not joined.
#[derive(Debug, thiserror::Error)]
#[error("this host has not joined an overlay network {0}: it does when it gets its first container")]
struct NotJoined(String);

const LIST: List = List {
    columns: &[("Network", "NETWORK"), ("Host", "HOST"), ("Address", "ADDRESS"), ("Result", "RESULT")],
    key: "Host",
};

/// What an IPv4 header (RFC 791) or an IPv6 header (RFC 8200), and an ICMP header, take of a packet, in bytes.
const HEADERS: [u32; 2] = [20 + 8, 40 + 8];

/// Another host on a network that this host has joined.
#[derive(Debug)]
struct Peer {
    network: NetworkName,
    name: String,
    /// Where it is reached outside of the network.
    outside: Option<IpAddr>,
    /// Its address in the network.
    inside: IpAddr,
    /// The largest packet that a container may send there, in bytes.
    mtu: u32,
    /// The UDP port that packets of the network are sent to.
    port: Port,
}

#[derive(Debug, Clone, Copy)]
enum Port {
    Vxlan,
    WireGuard(Option<u16>),
}

pub(super) fn run(args: &Check) -> Result<ExitCode, Failure> {
    let hosts = super::host::known()?;
    let mut peers = Vec::new();
    for network in joined(&args.networks)? {
        peers.extend(peers_on(&network, &hosts)?);
    }
    let results = results(&peers)?;
    let ports = ports(&args.networks, &hosts)?;
    let mut objects: Vec<_> = peers.iter().zip(&results).map(|(peer, result)| object(peer, result)).collect();
    objects.extend(ports.iter().map(|(object, _)| object.clone()));
    LIST.print(&Form::new(args.format.as_deref(), false), &objects)?;
    Ok(if results.iter().all(Result::is_ok) && ports.iter().all(|(_, is_answered)| *is_answered) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The ports that every host answers: what this one says of each, and whether it does.
fn ports(wanted: &[String], hosts: &[KnownHost]) -> Result<Vec<(Value, bool)>, Failure> {
    let here = hosts.iter().find(|known| known.here).and_then(|known| known.host.as_ref());
    let here = here.map_or_else(|| "this host".to_owned(), |host| host.name.clone());
    let answers = ingress::answers()?.into_iter();
    let answers =
        answers.filter(|port| wanted.is_empty() || wanted.iter().any(|it| port.network.as_str() == it.as_str()));
    let object = |answer: Answer| {
        let result = match &answer.problem {
            None => "ok".to_owned(),
            Some(Problem::Told(what)) => what.clone(),
            Some(Problem::Lost(what)) => {
                format!("{what}: ferrocni reload brings it back, or the agent within a minute")
            }
        };
        let address = format!("port {}", answer.port);
        let object = json!({"Network": answer.network, "Host": here, "Address": address, "Result": result});
        (object, answer.problem.is_none())
    };
    Ok(answers.map(object).collect())
}

fn joined(wanted: &[String]) -> Result<Vec<NetworkName>, Failure> {
    let joined = Places::default().joined()?;
    match wanted.iter().find(|name| !joined.iter().any(|network| network.as_str() == **name)) {
        Some(unknown) => Err(NotJoined(unknown.clone()).into()),
        None => {
            let is_wanted = |network: &NetworkName| wanted.iter().any(|name| network.as_str() == *name);
            Ok(joined.into_iter().filter(|network| wanted.is_empty() || is_wanted(network)).collect())
        }
    }
}

fn peers_on(network: &NetworkName, hosts: &[KnownHost]) -> Result<Vec<Peer>, Failure> {
    let Some(state) = Places::default().state(network)? else { return Ok(Vec::new()) };
    let others = hosts.iter().filter(|known| !known.here);
    let with_blocks = others.filter_map(|known| Some((known, known.blocks.get(network)?)));
    let to_each = with_blocks.flat_map(|(known, blocks)| {
        let families = [true, false];
        families
            .into_iter()
            .filter_map(move |ipv4| Some((known, *blocks.iter().find(|block| block.is_ipv4() == ipv4)?)))
    });
    Ok(to_each.map(|(known, block)| peer(network, &state.network, known, block, state.mtu)).collect())
}

fn peer(name: &NetworkName, network: &Network, known: &KnownHost, block: Block, mtu: u32) -> Peer {
    let host = known.host.as_ref();
    let of_wireguard = host.and_then(|host| host.wireguard.as_ref()).map(|end| end.port);
    Peer {
        network: name.clone(),
        name: host.map_or_else(|| known.id.to_string(), |host| host.name.clone()),
        outside: host.and_then(|host| host.underlay.first().copied()),
        inside: block.first(),
        mtu,
        port: if network.encrypted { Port::WireGuard(of_wireguard) } else { Port::Vxlan },
    }
}

/// For each peer what is in the way, if anything is. Those that do not answer are asked for less, and then outside of the network.
fn results(peers: &[Peer]) -> Result<Vec<Result<(), String>>, Failure> {
    let largest: Vec<_> = peers.iter().map(|peer| Probe { to: peer.inside, size: peer.largest() }).collect();
    let answers = echo::ask(&largest)?;
    let silent: Vec<_> = peers.iter().filter(|peer| !answers.contains(&peer.inside)).collect();
    let small: Vec<_> = silent.iter().map(|peer| Probe { to: peer.inside, size: 0 }).collect();
    let small = echo::ask(&small)?;
    let outside: Vec<_> = silent.iter().filter_map(|peer| Some(Probe { to: peer.outside?, size: 0 })).collect();
    let outside = echo::ask(&outside)?;
    Ok(peers.iter().map(|peer| peer.result(&answers, &small, &outside)).collect())
}

impl Peer {
    /// The bytes behind the headers of the largest packet.
    fn largest(&self) -> usize {
        let [ipv4, ipv6] = HEADERS;
        self.mtu.saturating_sub(if self.inside.is_ipv4() { ipv4 } else { ipv6 }) as usize
    }

    fn result(
        &self,
        largest: &BTreeSet<IpAddr>,
        small: &BTreeSet<IpAddr>,
        outside: &BTreeSet<IpAddr>,
    ) -> Result<(), String> {
        if largest.contains(&self.inside) {
            return Ok(());
        }
        let Some(address) = self.outside else {
            return Err("what etcd says of the host makes no sense, see the agent's log".to_owned());
        };
        if small.contains(&self.inside) {
            return Err(format!(
                "answers, but not to packets of {} bytes: something between here and {address} carries smaller ones \
                 only, create the network with a smaller mtu",
                self.mtu
            ));
        }
        if !outside.contains(&address) {
            return Err(format!("{address} does not answer: the host is down or cut off, or drops ICMP"));
        }
        Err(match self.port {
            Port::Vxlan => format!(
                "{address} answers, but nothing comes through the network: is the cluster's VXLAN port (UDP, 4789 unless \
                 configured) open there and here, and does ferrocni-overlay run there?"
            ),
            Port::WireGuard(Some(port)) => format!(
                "{address} answers, but nothing comes through the network: is UDP port {port} open there and here, and \
                 does ferrocni-overlay run there?"
            ),
            Port::WireGuard(None) => format!("{address} answers, but has no key: its kernel may have no WireGuard"),
        })
    }
}

fn object(peer: &Peer, result: &Result<(), String>) -> Value {
    json!({
        "Network": peer.network,
        "Host": peer.name,
        "Address": peer.inside,
        "Reached": result.is_ok(),
        "Result": result.as_ref().err().map_or("ok", String::as_str),
        "MTU": peer.mtu,
    })
}
