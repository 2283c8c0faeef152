//! The packet filter's part of an attachment: masquerade, and the check of source MAC addresses.

use cni_plugin::{Add, AddResult, Attachment, Check, Del, Gc, Interface, IpConfig, Undo};
use ipnetwork::IpNetwork;
use iptables::Variant;
use iptables::masquerade::{self, Masquerade};
use netlink::Mac;
use nftables::{Element, Part, Ruleset};

use crate::config::MasqBackend;
use crate::veth::{self, Veth};
use crate::{Config, Error};

/// The parts of the ruleset that are this plugin's.
const PARTS: &[Part] = &[Part::Masquerade, Part::AntiSpoof];

/// Puts an attachment's rules into the kernel, in one transaction.
pub(crate) fn insert(request: &Add<Config>, veth: &Veth, result: &AddResult, undo: &mut Undo) -> Result<(), Error> {
    let config = &request.network.config;
    let elements = wanted(config, &result.ips, Some((&veth.host_name, veth.container_mac)));
    if !elements.is_empty() {
        let label = request.attachment.label();
        Ruleset::open()?.insert(&label, &elements)?;
        undo.push("remove the nftables rules", move || Ruleset::open()?.remove(&label, &elements).map(drop));
    }
    if uses_iptables(config) {
        let Attachment { network, container, .. } = request.attachment.clone();
        undo.push("remove the iptables rules", move || masquerade::remove(network.as_str(), container.as_str()));
        masquerade::add(&by_iptables(&request.attachment, &addresses(&result.ips)), Variant::Default)?;
    }
    Ok(())
}

fn uses_iptables(config: &Config) -> bool {
    config.ip_masq && config.ip_masq_backend == MasqBackend::Iptables
}

fn by_iptables<'a>(attachment: &'a Attachment, addresses: &'a [IpNetwork]) -> Masquerade<'a> {
    Masquerade { network: attachment.network.as_str(), container: attachment.container.as_str(), addresses }
}

fn addresses(ips: &[IpConfig]) -> Vec<IpNetwork> {
    ips.iter().map(|ip| ip.address).collect()
}

/// The elements that an attachment with this configuration has; `port` is the host's end and the container's MAC.
fn wanted(config: &Config, ips: &[IpConfig], port: Option<(&str, Mac)>) -> Vec<Element> {
    let mut elements = Vec::new();
    if config.ip_masq && !uses_iptables(config) {
        elements.extend(masquerades(ips));
    }
    if config.macspoofchk {
        elements.extend(port.map(|(port, mac)| Element::Mac { port: port.to_owned(), mac: mac.0 }));
    }
    elements
}

fn masquerades(ips: &[IpConfig]) -> impl Iterator<Item = Element> {
    ips.iter().map(|ip| Element::Masquerade { address: ip.address.ip(), subnet: ip.address })
}

/// Everything that an attachment with this result can have, whatever its configuration was.
fn possible(attachment: &Attachment, result: &AddResult) -> Vec<Element> {
    let ifname = attachment.ifname.as_str();
    let ips: Vec<IpConfig> = result.ips_of(ifname).cloned().collect();
    let mac = container_mac(attachment, result);
    let port = veth::host_name(attachment);
    masquerades(&ips).chain(mac.map(|mac| Element::Mac { port, mac: mac.0 })).collect()
}

fn container_mac(attachment: &Attachment, result: &AddResult) -> Option<Mac> {
    let ifname = attachment.ifname.as_str();
    // The bridge may have the same name on the host.
    let inside = |interface: &&Interface| interface.name == ifname && !interface.sandbox.is_empty();
    result.interfaces.iter().find(inside)?.mac.parse().ok()
}

/// Removes an attachment's rules: with a result its keys are known, without one they are searched for by label.
///
/// The ruleset comes back open, because closing it waits until the kernel has forgotten what was removed.
pub(crate) fn remove(request: &Del<Config>) -> Result<Ruleset, Error> {
    let label = request.attachment.label();
    // Before anything is removed from nftables, or closing this module's socket would wait for it too.
    let by_iptables = masquerade::remove(request.attachment.network.as_str(), request.attachment.container.as_str());
    let mut ruleset = Ruleset::open()?;
    // Results older than 0.3.0 list no interfaces, and so not the MAC address that is part of a key.
    match &request.network.prev_result {
        Some(result) if container_mac(&request.attachment, result).is_some() => {
            ruleset.remove(&label, &possible(&request.attachment, result))?
        }
        _ => ruleset.remove_where(PARTS, |holder| holder == label)?,
    };
    by_iptables?;
    Ok(ruleset)
}

/// Removes the rules of attachments that are no longer valid.
pub(crate) fn collect(request: &Gc<Config>) -> Result<Ruleset, Error> {
    let valid: Vec<&str> = request.valid.iter().map(|attachment| attachment.container.as_str()).collect();
    let by_iptables = masquerade::collect_garbage(request.network.name.as_str(), &valid);
    let mut ruleset = Ruleset::open()?;
    ruleset.remove_where(PARTS, |holder| request.is_stale(holder))?;
    by_iptables?;
    Ok(ruleset)
}

/// For CHECK: every rule of the attachment is there and works.
pub(crate) fn check(request: &Check<Config>) -> Result<(), Error> {
    let config = &request.network.config;
    let attachment = &request.attachment;
    let ips: Vec<IpConfig> = request.expected.ips_of(attachment.ifname.as_str()).cloned().collect();
    let addresses = addresses(&ips);
    let host_name = veth::host_name(attachment);
    let mac = container_mac(attachment, &request.expected);
    let mut elements = wanted(config, &ips, mac.map(|mac| (host_name.as_str(), mac)));
    let mut difference = first_difference(attachment, &elements)?;
    let reference = by_iptables(attachment, &addresses);
    if difference.is_some() && config.ip_masq && masquerade::check(&reference, Variant::Default).is_ok() {
        // Attached before this suite was installed: the reference masquerades, as well as ever.
        elements.retain(|element| !matches!(element, Element::Masquerade { .. }));
        difference = first_difference(attachment, &elements)?;
    }
    if let Some(difference) = difference {
        return Err(Error::Rules { difference });
    }
    if uses_iptables(config) {
        masquerade::check(&reference, Variant::Default)?;
    }
    Ok(())
}

fn first_difference(attachment: &Attachment, elements: &[Element]) -> Result<Option<String>, Error> {
    if elements.is_empty() {
        return Ok(None);
    }
    Ok(Ruleset::open()?.missing(&attachment.label(), elements)?.first().map(ToString::to_string))
}

/// For STATUS: the kernel can take the rules that an ADD would need.
pub(crate) fn probe(config: &Config) -> Result<(), Error> {
    if uses_iptables(config) {
        iptables::probe()?;
    }
    let needs_nftables = config.macspoofchk || (config.ip_masq && !uses_iptables(config));
    if needs_nftables { Ok(Ruleset::probe()?) } else { Ok(()) }
}
