//! Ports that every host answers: what a container publishes is left for the agent, which tells the other hosts.

use cni_plugin::{AddResult, Attachment, Check, Difference, Gc, Network, NetworkName, Undo};
use overlay::ingress::{Mapping, Published};
use overlay::{Agent, Places, Request};

use crate::{Config, Error, filter};

/// Leaves what is published, and has others told of it. That nobody can be told now is no reason to fail: they are as soon as the agent
/// and etcd answer.
pub(crate) fn publish(
    network: &Network<Config>,
    attachment: &Attachment,
    result: &AddResult,
    internal: bool,
    undo: &mut Undo,
) -> Result<(), Error> {
    let published = published(network, attachment, result)?;
    if published.ports.is_empty() {
        return Ok(());
    }
    if internal {
        return Err(Error::Internal(published.network));
    }
    let (name, of) = (published.network.clone(), attachment.clone());
    undo.push("take back the ports", move || retract(&name, &of));
    Places::default().publications().write(attachment, &published)?;
    let ports = published.ports.iter().map(|mapping| mapping.port).collect();
    match Agent::default().ask(&Request::Publish { network: published.network, ports }) {
        Err(error) if error.is_temporary() => {
            network.note(&format!("{error}: other hosts are told of its ports later"));
            Ok(())
        }
        outcome => Ok(outcome.map(drop)?),
    }
}

/// Takes back what an attachment has left.
pub(crate) fn retract(network: &NetworkName, attachment: &Attachment) -> Result<(), Error> {
    if Places::default().publications().remove(attachment)? {
        Agent::default().tell_of_change(network);
    }
    Ok(())
}

/// Takes back what attachments have left that are valid no more.
pub(crate) fn collect(network: &NetworkName, request: &Gc<Config>) -> Result<(), Error> {
    let left = Places::default().publications().attachments()?;
    left.iter().filter(|attachment| request.is_stale(attachment)).try_for_each(|stale| retract(network, stale))
}

/// For CHECK: what was left is what is to be published, and leads to the container on this host.
pub(crate) fn check(request: &Check<Config>) -> Result<(), Error> {
    let expected = published(&request.network, &request.attachment, &request.expected)?;
    check_record(request, &expected)?;
    if expected.ports.is_empty() { Ok(()) } else { filter::check(&expected) }
}

fn check_record(request: &Check<Config>, expected: &Published) -> Result<(), Error> {
    let found = Places::default().publications().read(&request.attachment)?;
    let in_words = |published: &Published| {
        let mut words: Vec<_> = published.ports.iter().map(in_words).collect();
        words.sort();
        if words.is_empty() { "none".to_owned() } else { words.join(", ") }
    };
    let none = Published { network: expected.network.clone(), ports: Vec::new() };
    let (expected, found) = (in_words(expected), in_words(&found.unwrap_or(none)));
    if expected == found {
        return Ok(());
    }
    let what = format!("the ports of {} that every host answers", request.attachment);
    Err(cluster::Error::from(Difference::new(what, expected, found)).into())
}

fn in_words(mapping: &Mapping) -> String {
    let Mapping { port, container_port, addresses } = mapping;
    let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
    format!("{port} to port {container_port} of {}", addresses.join(" and "))
}

/// The ports lead to the container's first address of each family, as those do that one host publishes.
fn published(network: &Network<Config>, attachment: &Attachment, result: &AddResult) -> Result<Published, Error> {
    let addresses: Vec<_> = result.ips_of(attachment.ifname.as_str()).map(|ip| ip.address.ip()).collect();
    let first = |ipv4| addresses.iter().copied().find(move |address| address.is_ipv4() == ipv4);
    let mut ports: Vec<Mapping> = Vec::new();
    for wanted in network.config.ports()? {
        let addresses: Vec<_> = [first(true), first(false)].into_iter().flatten().collect();
        let addresses = addresses.into_iter().filter(|address| wanted.serves(*address)).collect();
        let mapping = Mapping { port: wanted.port, container_port: wanted.container_port, addresses };
        if !mapping.addresses.is_empty() && !ports.contains(&mapping) {
            ports.push(mapping);
        }
    }
    Ok(Published { network: network.config.network(network), ports })
}
