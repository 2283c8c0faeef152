//! Connecting a container to its networks: all of them, or none.

use std::path::Path;

use cni::AddResult;
use cni_plugin::Undo;
use masquerade::Rules;
use netlink::Netns;
use nftables::Claim;
use podman_network::{Driver, Network};
use serde_json::{Map, Value};

use super::{Request, Role};
use crate::arguments::Arguments;
use crate::attachment::{Attachment, Terms};
use crate::bridges::Bridges;
use crate::container::{Container, Part, is_for_driver, of_driver};
use crate::error::{Error, told};
use crate::filter::{Actions, Filter};
use crate::link::Link;
use crate::program::Program;
use crate::{names, namespace, records, routes, status};

pub(super) fn run(arguments: &Arguments, path: &Path, request: &Request, undo: &mut Undo) -> Result<Value, Error> {
    if is_for_driver(&request.value) {
        let container = Container::from_json(&of_driver(&request.value), &request.from)?;
        let blocks = connect(arguments, &container, Role::Driver, path, undo)?;
        return Ok(blocks.into_iter().next().map(|(_, block)| block).unwrap_or_default());
    }
    let container = Container::from_json(&request.value, &request.from)?;
    connect(arguments, &container, Role::NetworkProgram, path, undo).map(Value::Object)
}

/// The status blocks by network.
fn connect(
    arguments: &Arguments,
    container: &Container,
    role: Role,
    path: &Path,
    undo: &mut Undo,
) -> Result<Map<String, Value>, Error> {
    let netns = namespace::open(path)?;
    let asks_gateways = namespace::asks_gateways(&netns)?;
    let netns_for_all =
        if arguments.rootless == Some(true) { namespace::path_for_all(&netns) } else { path.to_owned() };
    let firewall = arguments.firewall()?;
    let terms = Terms { container, netns: path, firewall, netns_for_all: &netns_for_all, asks_gateways };
    let parts = container.parts()?;
    // All of them are looked at before anything is changed.
    let (own, programs) = divide(arguments, terms, role, &parts)?;
    namespace::set_loopback_up(&netns)?;
    let mut blocks = Map::new();
    for (attachment, result) in own.iter().zip(connect_own(arguments, &own, &netns, undo)?) {
        blocks.insert(attachment.network.name.to_string(), status::block(container, attachment, &result));
    }
    for (part, program) in programs {
        blocks.insert(part.name.to_owned(), program.set_up(container, part, path, undo)?);
    }
    Ok(blocks)
}

type Divided<'a> = (Vec<Attachment>, Vec<(&'a Part<'a>, Program)>);

/// Those that plugins of ours connect, and those that are left to programs of others.
fn divide<'a>(
    arguments: &Arguments,
    terms: Terms<'_>,
    role: Role,
    parts: &'a [Part<'a>],
) -> Result<Divided<'a>, Error> {
    let (mut own, mut programs) = (Vec::new(), Vec::new());
    for part in parts {
        let network = Network::from_json(part.network)?;
        match role.driver(&network)? {
            Driver::Program(driver) => {
                programs.push((part, Program::find(&network.name, &driver, &arguments.plugin_directory)?));
            }
            driver => own.push(Attachment::to_connect(terms, part, network, driver)?),
        }
    }
    Ok((own, programs))
}

/// The links, then what all of them need in the packet filter at once, then the rest.
fn connect_own(
    arguments: &Arguments,
    attachments: &[Attachment],
    netns: &Netns,
    undo: &mut Undo,
) -> Result<Vec<AddResult>, Error> {
    let (bridges, cache) = (Bridges::new(&arguments.config), records::of(&arguments.config));
    let links = attachments
        .iter()
        .map(|attachment| Link::make(attachment, &bridges, &cache, undo))
        .collect::<Result<Vec<_>, _>>()?;
    let filters = attachments.iter().zip(&links).map(|(attachment, link)| Filter::of(attachment, link.result()));
    let filters = filters.collect::<Result<Vec<_>, _>>()?;
    let host = firewall::Host::default();
    let actions = filters.iter().map(|filter| filter.actions(&host)).collect::<Result<Vec<_>, _>>()?;
    insert_rules(&links, &actions, undo)?;
    let results = links.into_iter().map(Link::set_up).collect::<Result<Vec<_>, _>>()?;
    actions.iter().try_for_each(|actions| actions.carry_out(undo))?;
    let mut reported = Vec::with_capacity(results.len());
    for (attachment, result) in attachments.iter().zip(results) {
        routes::add(netns, &attachment.network, attachment.names.ifname.as_str())?;
        let result = names::enter(attachment, result, undo)?;
        records::write(&cache, attachment, &result, undo)?;
        reported.push(result);
    }
    Ok(reported)
}

/// Before the container's interfaces are up.
fn insert_rules(links: &[Link], actions: &[Actions<'_>], undo: &mut Undo) -> Result<(), Error> {
    let masquerade: Vec<Rules<'_>> = links.iter().filter_map(Link::rules).collect();
    let claims = masquerade.iter().filter_map(Rules::claim).chain(actions.iter().flat_map(Actions::claims));
    let claims: Vec<Claim> = claims.collect();
    Claim::insert_all(&claims, undo).map_err(|error| told(portmap::explain(error)))?;
    masquerade.iter().try_for_each(|rules| rules.insert_into_iptables(undo)).map_err(told)
}
