//! A container behind the firewall: its elements in ferrocni's ruleset.
//!
//! They are there with every backend. With nftables they are what the administrator's chain and isolation go by; with
//! iptables and firewalld, whose own entries hold an address and nothing else, they also say whose the address is, so that
//! DEL and GC find it by label.

use std::net::IpAddr;

use cni_plugin::{AddResult, Attachment, Del};
use container_interface::veth;
use ipnetwork::IpNetwork;
use nftables::{Claim, Confinement, Element, Part, Ruleset, bridge_of_vlan};
use suite::Labelled as _;

use crate::config::{Backend, IngressPolicy, UnpublishedPorts};
use crate::{Config, Error};

/// The part of the ruleset that is this plugin's.
pub(crate) const PARTS: &[Part] = &[Part::Firewall];

/// A container with the bridge it is on.
#[derive(Debug)]
pub(crate) struct Member<'a> {
    pub(crate) config: &'a Config,
    pub(crate) attachment: &'a Attachment,
    pub(crate) addresses: Vec<IpNetwork>,
    policy: IngressPolicy,
    unpublished: UnpublishedPorts,
    confinement: Option<Confinement>,
    /// The link by which the host reaches the container: the bridge, the host's link into its VLAN, or the host's end of a pair.
    pub(crate) bridge: Option<&'a str>,
    port: Option<&'a str>,
    /// The attachment's own link on the host, if it has one.
    link: Option<String>,
}

impl<'a> Member<'a> {
    pub(crate) fn new(config: &'a Config, attachment: &'a Attachment, result: &'a AddResult) -> Result<Self, Error> {
        let member = Self::unchecked(config, attachment, result);
        let is_complete = match member.policy {
            IngressPolicy::Open => true,
            IngressPolicy::SameBridge => member.bridge.is_some(),
            IngressPolicy::Isolated => member.bridge.is_some() && member.port.is_some(),
        };
        match member.unpublished {
            _ if !is_complete => Err(Error::NoBridge),
            UnpublishedPorts::Closed if member.bridge.is_none() => Err(Error::NoLink),
            _ if member.confinement.is_some() && member.bridge.is_none() => Err(Error::NoLinkToConfine),
            _ => Ok(member),
        }
    }

    fn unchecked(config: &'a Config, attachment: &'a Attachment, result: &'a AddResult) -> Self {
        // An interface plugin lists the bridge first and then the host's end, which is the bridge's port.
        let mut names = result.links_of_host();
        let (bridge, port) = (names.next(), names.next());
        // If the network is in a VLAN of the bridge, what it sends to others comes in by the host's link into that VLAN.
        let vlan_gateway = bridge.and_then(|bridge| names.find(|name| bridge_of_vlan(name) == Some(bridge)));
        Self {
            config,
            attachment,
            addresses: result.ips.iter().map(|ip| ip.address).collect(),
            policy: config.ingress_policy,
            unpublished: config.unpublished_ports,
            confinement: config.confinement,
            bridge: vlan_gateway.or(bridge),
            port,
            link: veth::listed_host_end(attachment, &result.interfaces),
        }
    }

    /// For DEL: every element that an attachment with this result can have, whatever its keys were then. `None` without a
    /// result, or with one whose addresses a later plugin has left out.
    pub(crate) fn of_removal(request: &'a Del<Config>) -> Option<Self> {
        let result = request.network.prev_result.as_deref().filter(|result| !result.ips.is_empty())?;
        let member = Self::unchecked(&request.network.config, &request.attachment, result);
        let policy = match (member.bridge, member.port) {
            (Some(_), Some(_)) => IngressPolicy::Isolated,
            (Some(_), None) => IngressPolicy::SameBridge,
            _ => IngressPolicy::Open,
        };
        let confinement = member.bridge.map(|_| Confinement::Internal);
        Some(Self { policy, unpublished: UnpublishedPorts::Closed, confinement, ..member })
    }

    pub(crate) fn policy(&self) -> IngressPolicy {
        self.policy
    }

    pub(crate) fn elements(&self) -> Vec<Element> {
        let mut elements = Vec::new();
        for address in self.addresses.iter().map(IpNetwork::ip) {
            elements.push(Element::Member { address });
            // Also where all is open, so that containers whose ports are closed know it from another machine.
            elements.extend(self.bridge.map(|link| Element::Sender { address, link: link.to_owned() }));
            if self.unpublished == UnpublishedPorts::Closed {
                elements.extend(self.closed(address));
            }
            if let (Some(to), Some(link)) = (self.confinement, self.bridge) {
                elements.push(Element::Confined { address, to, link: link.to_owned() });
            }
            if self.policy != IngressPolicy::Open {
                elements.extend(self.bridge.map(|bridge| Element::SameBridge { address, bridge: bridge.to_owned() }));
            }
        }
        if self.policy == IngressPolicy::Isolated {
            elements.extend(self.port.map(|port| Element::IsolatedPort { port: port.to_owned() }));
        }
        elements
    }

    /// What closes the ports that are not published, but not to the container's own network.
    fn closed(&self, address: IpAddr) -> impl Iterator<Item = Element> {
        // Bridged packets pass the firewall, if they do, under the name of the bridge, whatever their VLAN is.
        let links = self.bridge.into_iter().chain(self.bridge.and_then(bridge_of_vlan));
        let own = links.map(move |link| Element::OwnLink { address, link: link.to_owned() });
        own.chain([Element::Closed { address }])
    }

    /// What CHECK asks for. Containers that an earlier version attached are not known as senders, and lack nothing themselves.
    fn expected_with(&self, backend: Backend) -> Vec<Element> {
        let mut elements = self.elements_with(backend);
        if self.unpublished == UnpublishedPorts::Open {
            elements.retain(|element| !matches!(element, Element::Sender { .. }));
        }
        elements
    }

    /// What the container has in ferrocni's ruleset.
    pub(crate) fn claim(&self, backend: Backend) -> Claim {
        Claim { label: self.attachment.label(), link: self.link.clone(), elements: self.elements_with(backend) }
    }

    /// The elements that a backend leaves to nftables: with iptables, isolation is iptables' too.
    fn elements_with(&self, backend: Backend) -> Vec<Element> {
        let mut elements = self.elements();
        if backend == Backend::Iptables {
            elements.retain(|element| !matches!(element, Element::SameBridge { .. }));
        }
        elements
    }
}

/// For CHECK: every element is there and works.
pub(crate) fn check(member: &Member<'_>, backend: Backend) -> Result<(), Error> {
    let differences = Ruleset::open()?.missing(&member.attachment.label(), &member.expected_with(backend))?;
    differences.first().map_or(Ok(()), |difference| Err(Error::Rules { difference: difference.to_string() }))
}

/// For DEL: the attachment's addresses, by its result or else by its label. One that the elements say another has too, or
/// alone by now, is not among them.
pub(crate) fn addresses(request: &Del<Config>, ruleset: &mut Ruleset) -> Result<Vec<IpNetwork>, Error> {
    let label = request.attachment.label();
    let Some(member) = Member::of_removal(request) else {
        return Ok(ruleset.members(|holder| holder == label)?);
    };
    let mut addresses = Vec::new();
    for address in member.addresses {
        let holders = ruleset.holders(&Element::Member { address: address.ip() })?;
        if holders.iter().all(|holder| *holder == label) {
            addresses.push(address);
        }
    }
    Ok(addresses)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use cni_plugin::{ContainerId, IfName, NetworkName, SpecVersion};
    use serde_json::{Value, json};

    fn attachment() -> Attachment {
        Attachment {
            network: NetworkName::new("n").unwrap(),
            container: ContainerId::new("c").unwrap(),
            ifname: IfName::new("eth0").unwrap(),
        }
    }

    fn result(host_interfaces: &[&str]) -> AddResult {
        let mut interfaces: Vec<Value> = host_interfaces.iter().map(|name| json!({"name": name})).collect();
        interfaces.push(json!({"name": "eth0", "sandbox": "/run/netns/c"}));
        let ip = json!({"interface": host_interfaces.len(), "address": "10.1.0.2/24"});
        AddResult::from_json(&json!({"interfaces": interfaces, "ips": [ip]}), SpecVersion::V1_1_0).unwrap()
    }

    fn config(policy: &str) -> Config {
        cni_plugin::json::from_value(&json!({"ingressPolicy": policy})).unwrap()
    }

    fn closed() -> Config {
        cni_plugin::json::from_value(&json!({"unpublishedPorts": "closed"})).unwrap()
    }

    #[test]
    fn each_policy_adds_to_the_one_before() {
        let (attachment, result) = (attachment(), result(&["cni0", "veth1"]));
        let count = |policy| Member::new(&config(policy), &attachment, &result).unwrap().elements().len();
        assert_eq!([count("open"), count("same-bridge"), count("isolated")], [2, 3, 4]);
    }

    #[test]
    fn a_policy_between_bridges_needs_a_bridge() {
        let (attachment, macvlan) = (attachment(), result(&[]));
        assert!(Member::new(&config("open"), &attachment, &macvlan).is_ok());
        assert!(matches!(Member::new(&config("same-bridge"), &attachment, &macvlan), Err(Error::NoBridge)));
    }

    #[test]
    fn ports_are_closed_on_the_way_through_the_host_alone() {
        let attachment = attachment();
        assert!(matches!(Member::new(&closed(), &attachment, &result(&[])), Err(Error::NoLink)));
        assert!(Member::new(&closed(), &attachment, &result(&["veth1"])).is_ok());
    }

    #[test]
    fn bridged_packets_of_a_vlan_stay_in_the_bridge_too() {
        let (attachment, config, result) = (attachment(), closed(), result(&["cni0", "veth1", "cni0.100"]));
        let mut own = Member::new(&config, &attachment, &result).unwrap().elements();
        own.retain(|element| matches!(element, Element::OwnLink { .. }));
        let address = "10.1.0.2".parse().unwrap();
        assert_eq!(own, ["cni0.100", "cni0"].map(|link| Element::OwnLink { address, link: link.to_owned() }));
    }

    #[test]
    fn a_network_in_a_vlan_is_known_by_the_host_s_link_into_it() {
        let (attachment, config) = (attachment(), config("same-bridge"));
        for (interfaces, expected) in [
            (&["cni0", "veth1", "cni0.100"][..], "cni0.100"),
            (&["cni0", "veth1", "ifb1", "cni0.100"], "cni0.100"),
            (&["cni0", "veth1", "cni1.100"], "cni0"),
            (&["cni0", "veth1", "cni0.x"], "cni0"),
        ] {
            let result = result(interfaces);
            let member = Member::new(&config, &attachment, &result).unwrap();
            assert_eq!((member.bridge, member.port), (Some(expected), Some("veth1")), "{interfaces:?}");
        }
    }

    #[test]
    fn with_iptables_only_the_record_stays_in_nftables() {
        let (attachment, result, config) = (attachment(), result(&["cni0", "veth1"]), config("same-bridge"));
        let elements = Member::new(&config, &attachment, &result).unwrap().elements_with(Backend::Iptables);
        assert!(matches!(elements[..], [Element::Member { .. }, Element::Sender { .. }]), "{elements:?}");
    }
}
