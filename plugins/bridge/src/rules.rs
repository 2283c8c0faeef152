//! The packet filter's part of an attachment: masquerade, and the check of source MAC addresses.

use cni_plugin::{Add, AddResult, Attachment, Check, Del, Failures, Gc, Interface};
use container_interface::veth::{self, Pair};
use masquerade::{Backend, Rules};
use netlink::Mac;
use nftables::{Claim, Element, Part, reference};

use crate::{Config, Error};

/// The parts of the ruleset that are this plugin's.
const PARTS: &[Part] = &[Part::Masquerade, Part::AntiSpoof];

/// An attachment's rules.
pub(crate) fn of<'a>(request: &'a Add<Config>, pair: &Pair, result: &AddResult) -> Rules<'a> {
    let config = &request.network.config;
    Rules {
        attachment: &request.attachment,
        link: pair.host_name.clone(),
        addresses: result.ips.iter().map(|ip| ip.address).collect(),
        masquerade: config.masquerade(),
        sources: config.outbound_addresses.clone(),
        others: config.macspoofchk.then(|| guard(&request.attachment, pair.container_mac)).into_iter().collect(),
    }
}

/// The port takes frames from the container's own MAC address only.
fn guard(attachment: &Attachment, mac: Mac) -> Element {
    Element::Mac { port: veth::host_name(attachment), mac: mac.0 }
}

/// Everything that an attachment with this result can have, whatever its configuration was. Results older than 0.3.0 list
/// no interfaces, and so not the MAC address that is part of a key.
fn possible(attachment: &Attachment, result: &AddResult) -> Option<Vec<Element>> {
    let mac = container_mac(attachment, result)?;
    let addresses = result.ips_of(attachment.ifname.as_str()).map(|ip| ip.address);
    Some(masquerade::elements(addresses).chain([guard(attachment, mac)]).collect())
}

fn container_mac(attachment: &Attachment, result: &AddResult) -> Option<Mac> {
    let ifname = attachment.ifname.as_str();
    // The bridge may have the same name on the host.
    let inside = |interface: &&Interface| interface.name == ifname && !interface.sandbox.is_empty();
    result.interfaces.iter().find(inside)?.mac.parse().ok()
}

/// Removes an attachment's rules: with a result its keys are known, without one they are searched for by label.
pub(crate) fn remove(request: &Del<Config>) -> Result<(), Error> {
    let attachment = &request.attachment;
    let known = request.network.prev_result.as_deref().and_then(|result| possible(attachment, result));
    let mut failures = Failures::new();
    failures.note(reference::remove_guard(attachment).map_err(masquerade::Error::from));
    failures.note(masquerade::remove(attachment, PARTS, known.as_deref()));
    Ok(failures.into_result()?)
}

/// Removes the rules of attachments that are no longer valid.
pub(crate) fn collect(request: &Gc<Config>) -> Result<(), Error> {
    let mut failures = Failures::new();
    failures.note(reference::collect_guards(&request.valid).map_err(masquerade::Error::from));
    failures.note(masquerade::collect(request, PARTS));
    Ok(failures.into_result()?)
}

/// For CHECK: every rule of the attachment is there and works.
pub(crate) fn check(request: &Check<Config>) -> Result<(), Error> {
    Ok(expected(request).check()?)
}

/// After the rules were flushed.
pub(crate) fn restore(request: &Check<Config>, claims: &mut Vec<Claim>) -> Result<(), Error> {
    Ok(expected(request).restore(claims)?)
}

/// What an attachment with ADD's result has.
fn expected(request: &Check<Config>) -> Rules<'_> {
    let config = &request.network.config;
    let attachment = &request.attachment;
    let mac = container_mac(attachment, &request.expected).filter(|_| config.macspoofchk);
    Rules {
        attachment,
        link: veth::host_name(attachment),
        addresses: request.expected.ips_of(attachment.ifname.as_str()).map(|ip| ip.address).collect(),
        masquerade: config.masquerade(),
        sources: config.outbound_addresses.clone(),
        others: mac.map(|mac| guard(attachment, mac)).into_iter().collect(),
    }
}

/// For STATUS: the kernel can take the rules that an ADD would need.
pub(crate) fn probe(config: &Config) -> Result<(), Error> {
    masquerade::probe(config.masquerade())?;
    let needs_nftables_besides = config.macspoofchk && config.masquerade() != Some(Backend::Nftables);
    if needs_nftables_besides { Ok(masquerade::probe(Some(Backend::Nftables))?) } else { Ok(()) }
}
