//! Reading what hangs together: from configurations, runtimes' records and the kernel's labels.

use std::collections::{BTreeMap, HashSet};

use cni::{Attachment, NetworkName};
use netlink::Socket;

use super::graph::{Attached, Container, Graph, Machine, Network, Subnet};
use super::links::HostLinks;
use crate::attachments::{Connection, Connections};
use crate::commands::network::natural;
use crate::failure::{Failure, Outcomes, line};
use crate::host::Host;
use crate::network::Description;
use crate::output::complain;

/// The bridge of a network that names none, as the plugin calls it.
const DEFAULT_BRIDGE: &str = "cni0";

/// What a runtime has recorded, of a container that may be gone.
struct Recorded<'a> {
    record: &'a Connection,
    /// The other end of a veth, if there is one.
    host_interface: Option<String>,
}

/// An interface of a container that is there.
struct Living<'a> {
    attachment: Attachment,
    record: Option<&'a Connection>,
    /// The other end of a veth.
    host_interface: Option<String>,
}

/// What hangs together on the host, or of it what has to do with these networks.
pub(super) fn collect(host: &Host, wanted: &[String], outcomes: &mut Outcomes) -> Result<Graph, Failure> {
    let mut networks = configured(host, wanted)?;
    let connections = Connections::of_host(host)?;
    for broken in &connections.broken {
        complain(line(broken));
    }
    let links = HostLinks::read(&mut Socket::open()?)?;
    let mut recorded: Vec<_> = connections.all.iter().map(|record| Recorded::of(record, &links)).collect();
    let ends = recorded.iter().filter_map(|recorded| recorded.host_interface.clone());
    let ends: HashSet<_> = ends.chain(links.labelled().values().cloned()).collect();
    let is_wanted = |name: &NetworkName| wanted.is_empty() || networks.contains_key(name.as_str());
    let mut unrecorded = only_labelled(&connections, &links);
    recorded.retain(|recorded| is_wanted(&recorded.record.recorded.network));
    unrecorded.retain(|living| is_wanted(&living.attachment.network));
    let (mut living, dead) = living(recorded, outcomes);
    living.extend(unrecorded);
    add_unconfigured(&mut networks, &living, &links);
    let mut networks: Vec<_> = networks.into_values().filter(|network| can_be_seen(network, &living)).collect();
    networks.iter_mut().for_each(|network| complete(network, &links));
    networks.sort_by_cached_key(|network| natural(&network.name));
    let links =
        if wanted.is_empty() { links.that_matter(&ends, &networks) } else { links.of_networks(&ends, &networks) };
    Ok(Graph { host: Machine { name: host_name(), links }, networks, containers: containers(&living), dead })
}

/// Networks by name: of several with one name the one that runtimes find.
fn configured(host: &Host, wanted: &[String]) -> Result<BTreeMap<String, Network>, Failure> {
    let all = host.networks()?;
    for broken in &all.broken {
        complain(line(broken));
    }
    let names = all.networks.iter().map(|network| network.name().to_string());
    let names: Vec<_> = if wanted.is_empty() { names.collect() } else { wanted.to_vec() };
    let found = names.iter().map(|name| match all.find(name) {
        Ok(network) => Ok(describe(&Description::of(network))),
        Err(_) => Ok(describe(&Description::of(&host.network(name)?))),
    });
    found.map(|network| network.map(|network| (network.name.clone(), network))).collect()
}

fn describe(network: &Description) -> Network {
    let subnets = network.subnets.iter().map(|subnet| Subnet {
        subnet: subnet.subnet.to_string(),
        gateway: subnet.gateway.map(|gateway| gateway.to_string()),
    });
    Network {
        name: network.name.clone(),
        id: network.id.clone(),
        driver: network.driver.clone(),
        interface: network.interface.clone(),
        subnets: subnets.collect(),
        internal: network.internal,
        file: network.file.as_ref().map(|file| file.display().to_string()),
    }
}

/// The recorded attachments that are there, and how many are not.
fn living<'a>(recorded: Vec<Recorded<'a>>, outcomes: &mut Outcomes) -> (Vec<Living<'a>>, usize) {
    let (mut living, mut dead) = (Vec::new(), 0);
    for Recorded { record, host_interface } in recorded {
        // A veth has no end without the other. Where there is none on the host, the container's namespace has to be looked into.
        let is_alive = host_interface.is_some().then_some(true);
        match is_alive.or_else(|| outcomes.note(record.is_alive().map_err(Failure::from))) {
            Some(true) => living.push(Living { attachment: record.attachment(), record: Some(record), host_interface }),
            Some(false) => dead += 1,
            None => {}
        }
    }
    (living, dead)
}

impl<'a> Recorded<'a> {
    /// The host's end is known by its label, or as the plugin that made it has told of it.
    fn of(record: &'a Connection, links: &HostLinks) -> Self {
        let labelled = links.labelled().get(&record.attachment()).cloned();
        Self { record, host_interface: labelled.or_else(|| Self::told_end(record, links)) }
    }

    fn told_end(record: &Connection, links: &HostLinks) -> Option<String> {
        let told = record.recorded.parsed_result().unwrap_or_default();
        let on_host = told.interfaces.into_iter().filter(|interface| interface.sandbox.is_empty());
        let mut veths = on_host.filter(|interface| links.is_veth(&interface.name, &interface.mac));
        veths.next().map(|interface| interface.name)
    }
}

/// Those that no runtime has recorded.
fn only_labelled(connections: &Connections, links: &HostLinks) -> Vec<Living<'static>> {
    let known: HashSet<_> = connections.all.iter().map(Connection::attachment).collect();
    let others = links.labelled().iter().filter(|(attachment, _)| !known.contains(attachment));
    others
        .map(|(attachment, name)| Living {
            attachment: attachment.clone(),
            record: None,
            host_interface: Some(name.clone()),
        })
        .collect()
}

/// Networks whose containers are still there, but no configuration: as recorded with the first container.
fn add_unconfigured(networks: &mut BTreeMap<String, Network>, living: &[Living<'_>], links: &HostLinks) {
    for living in living {
        let name = living.attachment.network.as_str();
        if !networks.contains_key(name) {
            let recorded = living.record.and_then(|record| record.recorded.configured().ok().flatten());
            let network = recorded.map(|network| describe(&Description::of(&network)));
            networks.insert(name.to_owned(), network.unwrap_or_else(|| unknown(living, links)));
        }
    }
}

fn unknown(living: &Living<'_>, links: &HostLinks) -> Network {
    let name = &living.attachment.network;
    let interface = living.host_interface.as_deref().and_then(|end| links.master_of(end));
    Network { name: name.to_string(), id: Description::id_of_name(name), interface, ..Network::default() }
}

/// The networks that are there without a file have nothing to show, unless a program is on them.
fn can_be_seen(network: &Network, living: &[Living<'_>]) -> bool {
    network.file.is_some() || living.iter().any(|living| living.attachment.network.as_str() == network.name)
}

/// The link of a network whose configuration leaves the choice to the plugin.
fn complete(network: &mut Network, links: &HostLinks) {
    if network.interface.is_none() {
        network.interface = match network.driver.as_str() {
            "bridge" => Some(DEFAULT_BRIDGE.to_owned()),
            "macvlan" | "ipvlan" => links.of_default_route(),
            _ => None,
        };
    }
}

/// Each container once, in natural order of their names.
fn containers(living: &[Living<'_>]) -> Vec<Container> {
    let mut containers: BTreeMap<&str, Container> = BTreeMap::new();
    for living in living {
        let id = living.attachment.container.as_str();
        let container = containers.entry(id).or_insert_with(|| Container {
            id: id.to_owned(),
            name: id.to_owned(),
            ..Container::default()
        });
        if let Some(record) = living.record {
            take_over(container, record);
        }
        container.attachments.push(attached(living));
    }
    let mut containers: Vec<_> = containers.into_values().collect();
    for container in &mut containers {
        container.attachments.sort_by_cached_key(|attached| natural(&attached.interface));
    }
    containers.sort_by_cached_key(|container| natural(&container.name));
    containers
}

/// What a record tells of the container itself. Runtimes send the published ports to every network.
fn take_over(container: &mut Container, record: &Connection) {
    if record.name != container.id {
        container.name.clone_from(&record.name);
    }
    container.runtime = container.runtime.or_else(|| record.engine.known());
    for port in &record.ports {
        if !container.ports.contains(port) {
            container.ports.push(port.clone());
        }
    }
}

fn attached(living: &Living<'_>) -> Attached {
    let addresses = living.record.map(|record| record.addresses.iter().map(ToString::to_string).collect());
    let aliases = living.record.map(|record| record.aliases().iter().map(ToString::to_string).collect());
    Attached {
        network: living.attachment.network.to_string(),
        interface: living.attachment.ifname.to_string(),
        mac: living.record.and_then(|record| record.mac.clone()),
        addresses: addresses.unwrap_or_default(),
        aliases: aliases.unwrap_or_default(),
        host_interface: living.host_interface.clone(),
        recorded: living.record.is_some(),
    }
}

fn host_name() -> String {
    nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
