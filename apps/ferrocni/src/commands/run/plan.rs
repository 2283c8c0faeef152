//! What the arguments ask for, found to be possible and put together.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, IsTerminal as _};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use ::names::{InvalidName, Name};
use cni::ContainerId;
use cni_runtime::{Endpoint, Network};
use serde_json::json;

use super::Args;
use super::network::Attach;
use super::wishes::Wishes;
use crate::attachments::{Connections, PortMapping, has_ingress, overlay};
use crate::commands::network::create_default;
use crate::container::{Claimed, Claims, Living, Planned, Ports, Program, Publish, Record, netns_path};
use crate::failure::Failure;
use crate::host::{Host, LookUpError};
use crate::network::{DEFAULT, Description, HOST, NONE};
use crate::output::complain;

/// The kernel's limit, in bytes.
const LONGEST_HOSTNAME: usize = 64;

/// Arguments that cannot be.
#[derive(Debug, thiserror::Error)]
enum PlanError {
    #[error("container {0} is there already: `ferrocni stop {0}` ends it, or choose another name")]
    NameTaken(String),
    #[error("network {0} cannot be combined with others: a container on it has no other interfaces")]
    Alone(&'static str),
    #[error("network {0} is named twice")]
    Twice(String),
    #[error("interface {0} is named twice")]
    InterfaceTwice(String),
    #[error("network {network}: {contradiction}")]
    Contradiction { network: String, contradiction: String },
    #[error("--{0} is for a container with one network: with several write --network NAME:{1}=VALUE")]
    ForOne(&'static str, &'static str),
    #[error(
        "network {network} gives {what} of its own choice only: leave {what} out, or give its first plugin the capability {capability}"
    )]
    NotToChoose { network: String, what: &'static str, capability: &'static str },
    #[error(
        "network {0} has no ports that every host answers: that takes an overlay network whose list has capability portMappings for plugin \
         overlay, as \"ferrocni network create -d overlay\" writes it, and that is not internal"
    )]
    NotOnEveryHost(String),
    #[error("port {0} is to be answered by every host, which has to be told at which port: say -p PORT:{0}")]
    WhichPort(Ports),
    #[error("a port that every host answers cannot be published on {0} alone: leave the address out")]
    WhichAddress(IpAddr),
    #[error("label {0:?} is not KEY=VALUE")]
    Label(String),
    #[error("variable {0:?} has no name")]
    Variable(String),
    #[error(transparent)]
    HostName(#[from] InvalidName),
    #[error("hostname {0:?} is too long: choose one of {LONGEST_HOSTNAME} characters at most")]
    LongHostName(String),
    #[error("there is no folder {}: --rootfs is the root of a file system", .0.display())]
    NoRoot(PathBuf),
}

/// The container that was asked for.
#[derive(Debug)]
pub(super) struct Plan {
    id: String,
    pub(super) name: String,
    hostname: Option<String>,
    /// In the order in which they are attached.
    networks: Vec<(Attach, Network)>,
    names: Wishes,
    pub(super) shares_host: bool,
    program: Program,
    labels: BTreeMap<String, String>,
}

impl Plan {
    pub(super) fn new(host: &Host, args: &Args) -> Result<Self, Failure> {
        let id = random_id()?;
        let name = args.name.clone().unwrap_or_else(|| name_for(&args.program, &id));
        ContainerId::new(name.as_str())?;
        let networks = networks(host, args)?;
        let shares_host = networks.iter().any(|(_, network)| Description::of(network).shares_host());
        let hostname = match &args.hostname {
            Some(name) => Some(hostname(name)?),
            None if shares_host => None,
            None => Some(default_hostname(&name, &id)),
        };
        let names = Wishes::of(host, args, &networks)?;
        let (program, labels) = (program(args)?, labels(args)?);
        Ok(Self { id, name, hostname, networks, names, shares_host, program, labels })
    }

    /// The container beside those that live, with its ports.
    pub(super) fn register(self, host: &Host, args: &Args, living: &[Living]) -> Result<(Record, Claims), Failure> {
        if living.iter().any(|container| container.record.name == self.name) {
            return Err(PlanError::NameTaken(self.name).into());
        }
        let claims = self.claims(host, args, living)?;
        let mut record = Record {
            netns: (!self.shares_host).then(|| netns_path(&self.id)),
            id: self.id,
            name: self.name,
            hostname: self.hostname,
            created: SystemTime::now(),
            labels: self.labels,
            supervisor: i32::try_from(std::process::id())?,
            attachments: Vec::new(),
            ports: claims.ports.clone(),
            program: self.program,
        };
        for (number, (attach, network)) in self.networks.iter().enumerate() {
            let network = self.names.on(network.name()).apply(network.clone())?;
            let is_answered = answered_everywhere(&self.networks).is_some_and(|it| it.name() == network.name());
            let ports: Vec<_> = record.ports.iter().filter(|port| !port.ingress || is_answered).collect();
            let planned = planned(&record, args, attach, &network, number, &ports)?;
            record.attachments.push(planned);
        }
        record.attachments = by_priority(&self.networks, record.attachments);
        Ok((record, claims))
    }

    fn claims(&self, host: &Host, args: &Args, living: &[Living]) -> Result<Claims, Failure> {
        let mut claims = Claims::default();
        let asked = asked_ports(args);
        if asked.is_empty() {
            return Ok(claims);
        }
        let Some((_, network)) = self.networks.iter().find(|(_, network)| publishes(network)) else {
            let names: Vec<_> = self.networks.iter().map(|(attach, _)| attach.network.as_str()).collect();
            complain(format_args!("no ports are published, because network {} publishes none", names.join(", ")));
            return Ok(claims);
        };
        let (address, taken) = (default_address(network), taken(host, living)?);
        for publish in asked {
            let publish = Publish { address: publish.address.or(address), ..publish };
            let publish = on_every_host(publish, network, &self.networks)?;
            claims.add(&publish, &taken)?;
        }
        Ok(claims)
    }
}

/// 256 random bits.
fn random_id() -> io::Result<String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// A name that tells what runs.
fn name_for(program: &[OsString], id: &str) -> String {
    let file = program.first().map(Path::new).and_then(Path::file_name).unwrap_or_default().to_string_lossy();
    let fitting: String = file.chars().filter(char::is_ascii_alphanumeric).take(20).collect();
    let program = if fitting.is_empty() { "program" } else { &fitting };
    format!("{}-{}", program.to_ascii_lowercase(), &id[..8])
}

fn hostname(name: &str) -> Result<String, PlanError> {
    Name::new(name)?;
    if name.len() > LONGEST_HOSTNAME { Err(PlanError::LongHostName(name.to_owned())) } else { Ok(name.to_owned()) }
}

/// The container's name. If that cannot be a hostname, the short id, which is what Docker's containers have.
fn default_hostname(name: &str, id: &str) -> String {
    hostname(name).unwrap_or_else(|_| id[..12].to_owned())
}

/// The networks that were asked for, or the one that every container has that asks for none.
fn networks(host: &Host, args: &Args) -> Result<Vec<(Attach, Network)>, Failure> {
    let asked = attachments(args)?;
    let mut networks: Vec<(Attach, Network)> = Vec::new();
    for attach in asked {
        let network = network(host, &attach.network)?;
        if networks.iter().any(|(_, known)| known.name() == network.name()) {
            return Err(PlanError::Twice(network.name().to_string()).into());
        }
        check_choices(&attach, &network)?;
        networks.push((attach, network));
    }
    for alone in [HOST, NONE] {
        if networks.len() > 1 && networks.iter().any(|(_, network)| network.name().as_str() == alone) {
            return Err(PlanError::Alone(alone).into());
        }
    }
    Ok(networks)
}

fn network(host: &Host, name: &str) -> Result<Network, Failure> {
    match host.network_to_change(name, "run --network") {
        Err(LookUpError::Unknown(_)) if name == DEFAULT => {
            create_default(host)?;
            Ok(host.network(name)?)
        }
        network => Ok(network?),
    }
}

/// `--network`, and the options that are about an only one.
fn attachments(args: &Args) -> Result<Vec<Attach>, PlanError> {
    let mut attachments = args.networks.clone();
    if attachments.is_empty() {
        attachments.push(Attach::to(DEFAULT));
    }
    if let [attach] = &mut attachments[..] {
        attach
            .add(args.ip, args.ip6, args.mac_address)
            .map_err(|contradiction| PlanError::Contradiction { network: attach.network.clone(), contradiction })?;
        return Ok(attachments);
    }
    let given = [
        ("ip", "ip", args.ip.is_some()),
        ("ip6", "ip6", args.ip6.is_some()),
        ("mac-address", "mac", args.mac_address.is_some()),
    ];
    match given.iter().find(|(_, _, is_given)| *is_given) {
        Some((option, key, _)) => Err(PlanError::ForOne(option, key)),
        None => Ok(attachments),
    }
}

/// A choice that no plugin would hear of is not to be made.
fn check_choices(attach: &Attach, network: &Network) -> Result<(), PlanError> {
    let chosen = [
        ("addresses", "ips", attach.addresses().next().is_some()),
        ("a hardware address", "mac", attach.mac.is_some()),
    ];
    for (what, capability, _) in chosen.into_iter().filter(|(.., is_chosen)| *is_chosen) {
        if !declares(network, capability) {
            return Err(PlanError::NotToChoose { network: network.name().to_string(), what, capability });
        }
    }
    Ok(())
}

fn declares(network: &Network, capability: &str) -> bool {
    network.list.plugins.iter().any(|plugin| plugin.declares(capability))
}

fn publishes(network: &Network) -> bool {
    declares(network, "portMappings")
}

/// Whether every host is to answer the port: where that is what the network's ports are for, or if it is asked for.
fn on_every_host(publish: Publish, network: &Network, networks: &[(Attach, Network)]) -> Result<Publish, PlanError> {
    if !publish.ingress && !has_ingress(network) {
        return Ok(publish);
    }
    if answered_everywhere(networks).is_none() {
        return Err(PlanError::NotOnEveryHost(network.name().to_string()));
    }
    match (publish.host, publish.address) {
        (None, _) => Err(PlanError::WhichPort(publish.container)),
        (_, Some(address)) if !address.is_unspecified() => Err(PlanError::WhichAddress(address)),
        _ => Ok(Publish { ingress: true, ..publish }),
    }
}

/// The network whose ports every host answers: the first that can.
fn answered_everywhere(networks: &[(Attach, Network)]) -> Option<&Network> {
    let can = |network: &&Network| overlay(network).is_some_and(|plugin| plugin.declares("portMappings"));
    networks.iter().map(|(_, network)| network).find(can)
}

fn program(args: &Args) -> Result<Program, PlanError> {
    let mut environment = Vec::new();
    for variable in &args.env {
        match variable.split_once('=') {
            Some(("", _)) => return Err(PlanError::Variable(variable.clone())),
            Some((name, value)) => environment.push((name.to_owned(), value.to_owned())),
            // The program has all of ours.
            None => {}
        }
    }
    let rootfs = args.rootfs.as_ref().map(|root| root.canonicalize().ok().filter(|root| root.is_dir()).ok_or(root));
    let rootfs = rootfs.transpose().map_err(|root| PlanError::NoRoot(root.clone()))?;
    Ok(Program {
        command: args.program.clone(),
        environment,
        folder: args.workdir.clone(),
        user: args.user.clone(),
        rootfs,
        has_terminal: args.tty && !args.detach && io::stdin().is_terminal(),
    })
}

fn labels(args: &Args) -> Result<BTreeMap<String, String>, PlanError> {
    let pair = |label: &String| {
        let (key, value) = label.split_once('=').unwrap_or((label, ""));
        if key.is_empty() { Err(PlanError::Label(label.clone())) } else { Ok((key.to_owned(), value.to_owned())) }
    };
    args.label.iter().map(pair).collect()
}

fn asked_ports(args: &Args) -> Vec<Publish> {
    let mut asked = args.publish.clone();
    if args.publish_all {
        let published =
            |&(container, protocol)| Publish { address: None, host: None, container, protocol, ingress: false };
        asked.extend(args.expose.iter().map(published));
    }
    asked
}

/// The network's word for where published ports listen that do not say it.
fn default_address(network: &Network) -> Option<IpAddr> {
    let options = Description::of(network).options;
    let keys = ["host_binding_ipv4", "com.docker.network.bridge.host_binding_ipv4"];
    keys.iter().find_map(|key| options.get(*key)?.parse().ok())
}

/// The ports that containers have: those of this command, whose sockets hold them, and those that any runtime has recorded. The
/// dead do not count.
fn taken(host: &Host, living: &[Living]) -> Result<Vec<Claimed>, Failure> {
    let of = |name: &str, ports: &[PortMapping]| ports.iter().map(|port| (name.to_owned(), port.clone())).collect();
    let mut taken: Vec<Claimed> = Vec::new();
    for container in living {
        let claimed: Vec<_> = of(&container.record.name, &container.record.ports);
        taken.extend(claimed);
    }
    let known = living.iter().map(|container| container.record.id.as_str()).collect();
    for connection in Connections::of_others(host, &known)?.all {
        if !connection.ports.is_empty() && connection.is_alive()? {
            let claimed: Vec<_> = of(&connection.name, &connection.ports);
            taken.extend(claimed);
        }
    }
    Ok(taken)
}

/// An attachment, as the plugins are to be told of it.
fn planned(
    record: &Record,
    args: &Args,
    attach: &Attach,
    network: &Network,
    number: usize,
    ports: &[&PortMapping],
) -> Result<Planned, Failure> {
    let ifname = attach.interface.as_ref().map_or_else(|| format!("eth{number}"), ToString::to_string);
    if record.attachments.iter().any(|other| other.ifname() == ifname) {
        return Err(PlanError::InterfaceTwice(ifname).into());
    }
    let mut endpoint = Endpoint::new(&record.id, &ifname)?
        .with_arg("IgnoreUnknown", "1")
        .with_arg("K8S_POD_NAME", record.name.as_str());
    if !ports.is_empty() {
        endpoint = endpoint.with_capability_arg("portMappings", json!(ports));
    }
    let addresses: Vec<_> = attach.addresses().map(|address| address.to_string()).collect();
    if !addresses.is_empty() {
        endpoint = endpoint.with_capability_arg("ips", json!(addresses));
    }
    if let Some(mac) = attach.mac {
        endpoint = endpoint.with_capability_arg("mac", json!(mac.to_string()));
    }
    let aliases: Vec<_> = args.aliases.iter().chain(&attach.aliases).map(Name::as_str).collect();
    if !aliases.is_empty() {
        endpoint = endpoint.with_capability_arg("aliases", json!({network.name().as_str(): aliases}));
    }
    Ok(Planned::new(network, &endpoint))
}

/// The first network's ports are served, and its default routes come first.
fn by_priority(networks: &[(Attach, Network)], planned: Vec<Planned>) -> Vec<Planned> {
    let mut pairs: Vec<_> = networks.iter().map(|(attach, _)| attach.gateway_priority).zip(planned).collect();
    pairs.sort_by_key(|(priority, _)| std::cmp::Reverse(*priority));
    pairs.into_iter().map(|(_, planned)| planned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_what_runs() {
        let name = |program: &str| name_for(&[program.into()], "0123456789abcdef");
        assert_eq!(name("/usr/sbin/Nginx"), "nginx-01234567");
        assert_eq!(name("./run me.sh"), "runmesh-01234567");
        assert_eq!(name("/"), "program-01234567");
    }

    #[test]
    fn a_name_that_cannot_be_a_hostname_is_replaced_by_the_short_id() {
        let hostname = |name: &str| default_hostname(name, "0123456789abcdef");
        assert_eq!(hostname("web"), "web");
        assert_eq!(hostname("web_1.Shop"), "web_1.Shop");
        assert_eq!(hostname(&"x".repeat(63)), "x".repeat(63));
        for name in [&*"x".repeat(64), &"long.".repeat(14), "web..shop"] {
            assert_eq!(hostname(name), "0123456789ab", "{name}");
        }
    }
}
