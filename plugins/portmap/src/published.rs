//! What one attachment publishes: its mappings, and the addresses behind them.

use std::collections::BTreeSet;
use std::net::IpAddr;

use cni_plugin::{AddResult, Attachment, IpConfig};
use container_interface::veth;
use nftables::Element;

use crate::Config;
use crate::config::PortMapping;

/// The published ports of one attachment.
#[derive(Debug)]
pub(crate) struct Published<'a> {
    pub(crate) config: &'a Config,
    pub(crate) attachment: &'a Attachment,
    /// The container's first address of each family: where its ports are. What is loopback in there is another thing out here.
    pub(crate) targets: Vec<IpConfig>,
    /// The attachment's own link on the host, if it has one.
    pub(crate) link: Option<String>,
    /// The host's links that lead to the container, as the result lists them.
    pub(crate) ways: Vec<String>,
    /// What comes in through the attachment's own link is left to another suite's `bandwidth`, which fails where it is not the first.
    pub(crate) leaves_ingress: bool,
}

impl<'a> Published<'a> {
    pub(crate) fn new(config: &'a Config, attachment: &'a Attachment, result: &AddResult) -> Self {
        let reachable = |ip: &&IpConfig| !ip.address.ip().is_loopback();
        let first = |is_ipv4| {
            let mut ips = result.ips_of(attachment.ifname.as_str()).filter(reachable);
            ips.find(|ip| ip.address.is_ipv4() == is_ipv4).cloned()
        };
        let targets = [first(true), first(false)].into_iter().flatten().collect();
        let ways = result.links_of_host().map(str::to_owned).collect();
        let link = veth::listed_host_end(attachment, &result.interfaces);
        Self { config, attachment, targets, link, ways, leaves_ingress: false }
    }

    /// Where its ports can be.
    pub(crate) fn addresses(&self) -> Vec<IpAddr> {
        self.targets.iter().map(|target| target.address.ip()).collect()
    }

    /// Nothing is published: there are no mappings, or no address for one.
    pub(crate) fn is_empty(&self) -> bool {
        self.pairs().next().is_none()
    }

    /// Each mapping with each target that serves it.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&PortMapping, &IpConfig)> {
        let serving = |mapping: &'a PortMapping| {
            self.targets
                .iter()
                .filter(|target| mapping.serves(target.address.ip()))
                .map(move |target| (mapping, target))
        };
        self.config.ports().iter().flat_map(serving)
    }

    /// The targets that serve at least one mapping.
    pub(crate) fn serving(&self) -> impl Iterator<Item = &IpConfig> {
        let serves = |target: &&IpConfig| self.config.ports().iter().any(|mapping| mapping.serves(target.address.ip()));
        self.targets.iter().filter(serves)
    }

    /// The ruleset's elements; a mapping that the runtime names twice is there once.
    pub(crate) fn elements(&self) -> Vec<Element> {
        let publish = |(mapping, target): (&PortMapping, &IpConfig)| Element::Publish {
            host: mapping.specific_host(),
            protocol: mapping.protocol,
            port: mapping.host_port,
            to: (target.address.ip(), mapping.container_port),
        };
        let mut known = BTreeSet::new();
        let mut elements: Vec<Element> = self.pairs().map(publish).collect();
        elements.retain(|element| known.insert(element.clone()));
        elements.extend(self.serving().filter_map(|target| self.masquerade(target)));
        elements
    }

    /// How connections to a target have to be rewritten for its answers to come back.
    fn masquerade(&self, target: &IpConfig) -> Option<Element> {
        let address = target.address.ip();
        match self.config {
            Config { snat: false, .. } => None,
            Config { masq_all: true, .. } => Some(Element::MasqueradePublished { address }),
            _ => Some(Element::Hairpin { address, subnet: target.address }),
        }
    }

    /// Elements that are there if anything is published at all, whatever the mappings are: they tell without a search.
    pub(crate) fn traces(&self) -> Vec<Element> {
        self.targets
            .iter()
            .map(|target| Element::Hairpin { address: target.address.ip(), subnet: target.address })
            .collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use cni_plugin::{ContainerId, IfName, NetworkName, SpecVersion};
    use nftables::Protocol;
    use serde_json::{Value, json};

    fn attachment() -> Attachment {
        Attachment {
            network: NetworkName::new("n").unwrap(),
            container: ContainerId::new("c").unwrap(),
            ifname: IfName::new("eth0").unwrap(),
        }
    }

    fn elements(keys: &Value) -> Vec<Element> {
        let config: Config = cni_plugin::json::from_value(keys).unwrap();
        let result = json!({
            "interfaces": [{"name": "cni0"}, {"name": "eth0", "sandbox": "/run/netns/c"}],
            "ips": [
                {"interface": 0, "address": "10.9.9.9/24"},
                {"interface": 1, "address": "10.1.0.2/24"},
                {"interface": 1, "address": "10.1.0.3/24"},
                {"interface": 1, "address": "fd00::2/64"},
            ],
        });
        let result = AddResult::from_json(&result, SpecVersion::V1_1_0).unwrap();
        Published::new(&config, &attachment(), &result).elements()
    }

    #[test]
    fn each_family_s_first_address_is_the_target() {
        let elements = elements(&json!({"runtimeConfig": {"portMappings": [{"hostPort": 8080, "containerPort": 80}]}}));
        let to = |address: &str| Element::Publish {
            host: None,
            protocol: Protocol::Tcp,
            port: 8080,
            to: (address.parse().unwrap(), 80),
        };
        assert_eq!(elements[..2], [to("10.1.0.2"), to("fd00::2")]);
        assert!(matches!(&elements[2..], [Element::Hairpin { .. }, Element::Hairpin { .. }]));
    }

    #[test]
    fn a_host_address_keeps_the_other_family_out() {
        let mapping = json!({"hostPort": 1, "containerPort": 2, "hostIP": "192.0.2.1"});
        let elements = elements(&json!({"runtimeConfig": {"portMappings": [mapping, mapping]}}));
        assert_eq!(elements.len(), 2, "one port and one hairpin: {elements:?}");
    }

    #[test]
    fn snat_and_masq_all_decide_about_masquerade() {
        let with = |snat, masq_all| {
            let mapping = json!({"hostPort": 1, "containerPort": 2, "hostIP": "0.0.0.0"});
            elements(&json!({"snat": snat, "masqAll": masq_all, "runtimeConfig": {"portMappings": [mapping]}}))
        };
        assert_eq!(with(false, true).len(), 1);
        assert!(matches!(with(true, true)[1], Element::MasqueradePublished { .. }));
        assert!(matches!(with(true, false)[1], Element::Hairpin { .. }));
    }

    #[test]
    fn loopback_is_no_target() {
        let config: Config = cni_plugin::json::from_value(&json!({"runtimeConfig": {"portMappings": [
            {"hostPort": 8080, "containerPort": 80},
        ]}}))
        .unwrap();
        let result = json!({"cniVersion": "0.2.0", "ip4": {"ip": "127.0.0.1/8"}, "ip6": {"ip": "::1/128"}});
        let result = AddResult::from_json(&result, SpecVersion::V0_2_0).unwrap();
        assert!(Published::new(&config, &attachment(), &result).is_empty());
    }

    #[test]
    fn no_mapping_no_element() {
        assert!(elements(&json!({})).is_empty());
    }
}
