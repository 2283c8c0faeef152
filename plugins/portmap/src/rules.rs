//! The packet filter's part: elements of ferrocni's ruleset, or the reference's chains where iptables is asked for.

use cni_plugin::{Attachment, Gc, Undo};
use iptables::Variant;
use iptables::portmap::{Mapping, Masquerading, PortMap};
use nftables::{Claim, Element, Part, Ruleset, reference};
use suite::Labelled as _;

use crate::published::Published;
use crate::{Config, Error, localhost};

/// The parts of the ruleset that are this plugin's.
const PARTS: &[Part] = &[Part::Publish, Part::Hairpin];

/// What the attachment has in ferrocni's ruleset.
pub(crate) fn claim(published: &Published<'_>) -> Claim {
    Claim { label: published.attachment.label(), link: published.link.clone(), elements: published.elements() }
}

/// Names the port, where the ruleset refuses an element because another container has it.
#[must_use]
pub fn explain(error: nftables::Error) -> Error {
    match error {
        nftables::Error::Taken { element, holder } => match *element {
            Element::Publish { host, protocol, port, .. } => Error::Taken { host, protocol, port, holder },
            _ => nftables::Error::Taken { element, holder }.into(),
        },
        error => error.into(),
    }
}

pub(crate) fn insert_by_iptables(
    published: &Published<'_>,
    masquerading: &Masquerading,
    undo: &mut Undo,
) -> Result<(), Error> {
    let Attachment { network, container, .. } = published.attachment.clone();
    undo.push("remove the iptables rules", move || iptables::portmap::remove(network.as_str(), container.as_str()));
    for_each_family(published, masquerading, iptables::portmap::add)
}

pub(crate) fn check_by_iptables(published: &Published<'_>, masquerading: &Masquerading) -> Result<(), Error> {
    for_each_family(published, masquerading, iptables::portmap::check)
}

fn for_each_family(
    published: &Published<'_>,
    masquerading: &Masquerading,
    act: fn(&PortMap<'_>, Variant) -> iptables::Result<()>,
) -> Result<(), Error> {
    for target in published.serving() {
        let address = target.address;
        let served = published.config.ports().iter().filter(|mapping| mapping.serves(address.ip()));
        let mappings: Vec<Mapping> = served
            .map(|mapping| Mapping {
                protocol: mapping.protocol,
                host_address: mapping.specific_host(),
                host_port: mapping.host_port,
                container_port: mapping.container_port,
            })
            .collect();
        let ports = PortMap {
            network: published.attachment.network.as_str(),
            container: published.attachment.container.as_str(),
            address,
            mappings: &mappings,
            masquerading: masquerading.clone(),
            masquerade_all: published.config.masq_all,
            conditions: published.config.conditions(address.is_ipv4()),
        };
        act(&ports, Variant::Default)?;
    }
    Ok(())
}

/// Removes what iptables publishes for an attachment.
pub(crate) fn remove_from_iptables(attachment: &Attachment) -> Result<(), Error> {
    Ok(iptables::portmap::remove(attachment.network.as_str(), attachment.container.as_str())?)
}

/// Removes an attachment's rules. What ADD was told gives the keys; where it is not told again, or not all of it, they are
/// searched for by label.
pub(crate) fn remove(attachment: &Attachment, published: Option<&Published<'_>>) -> Result<(), Error> {
    let label = attachment.label();
    let targets = published.map(Published::addresses);
    let by_reference = reference::remove_ports(attachment.container.as_str(), targets.as_deref());
    let by_iptables = remove_from_iptables(attachment);
    let mut ruleset = Ruleset::open()?;
    let search = match published {
        Some(published) if published.is_empty() => {
            !published.config.snat || ruleset.remove(&label, &published.traces())? > 0
        }
        Some(published) => {
            let elements = published.elements();
            // The traces too, in case "snat" was another one then.
            ruleset.remove(&label, &[&elements[..], &published.traces()].concat())? < elements.len()
        }
        None => true,
    };
    if search {
        ruleset.remove_where(PARTS, |holder| holder == label)?;
    }
    by_reference?;
    by_iptables
}

/// Whether the reference published the ports, by iptables or in nftables tables of its own.
pub(crate) fn are_by_the_reference(published: &Published<'_>) -> Result<bool, Error> {
    let container = published.attachment.container.as_str();
    Ok(check_by_iptables(published, &published.config.masquerading()).is_ok()
        || reference::publishes(container, &published.elements())?)
}

pub(crate) fn check(published: &Published<'_>) -> Result<(), Error> {
    let differences = Ruleset::open()?.missing(&published.attachment.label(), &published.elements())?;
    differences.first().map_or(Ok(()), |difference| Err(Error::Rules { difference: difference.to_string() }))
}

/// Removes the rules of attachments that are no longer valid.
pub(crate) fn collect(request: &Gc<Config>) -> Result<(), Error> {
    let mut ruleset = Ruleset::open()?;
    let ways = localhost::ways_to(&ruleset.publishing(|holder| suite::is_stale(request, holder))?)?;
    ruleset.remove_where(PARTS, |holder| suite::is_stale(request, holder))?;
    let valid: Vec<&str> = request.valid.iter().map(|attachment| attachment.container.as_str()).collect();
    iptables::portmap::collect_garbage(request.network.name.as_str(), &valid)?;
    localhost::close_all_unused(&ways)
}
