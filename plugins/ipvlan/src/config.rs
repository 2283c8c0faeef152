use cni_plugin::{AddResult, Dns, LinkName, json};
use netlink::{IpvlanIsolation, IpvlanMode, LinkKind};
use parent_interface::Master;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::Error;

const MODES: [(&str, IpvlanMode); 3] = [("l2", IpvlanMode::L2), ("l3", IpvlanMode::L3), ("l3s", IpvlanMode::L3s)];

const FLAGS: [(&str, IpvlanIsolation); 3] =
    [("bridge", IpvlanIsolation::Bridge), ("private", IpvlanIsolation::Private), ("vepa", IpvlanIsolation::Vepa)];

/// The keys of an `ipvlan` network; see the README for what they do.
#[derive(Debug, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Config {
    #[serde(deserialize_with = "parent_interface::name_or_none")]
    master: Option<LinkName>,
    pub(crate) link_in_container: bool,
    #[serde(deserialize_with = "mode")]
    mode: IpvlanMode,
    #[serde(rename = "ipvlanFlag", deserialize_with = "flag")]
    flag: IpvlanIsolation,
    mtu: u32,
    #[serde(rename = "enabledad")]
    detect_duplicates: bool,
    pub(crate) router_advertisements: Option<bool>,
    pub(crate) dns: Dns,
    ipam: Value,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            master: None,
            link_in_container: false,
            mode: IpvlanMode::default(),
            flag: IpvlanIsolation::default(),
            mtu: 0,
            // Other hosts are on the wire, and their addresses are not known here.
            detect_duplicates: true,
            router_advertisements: None,
            dns: Dns::default(),
            ipam: Value::Null,
        }
    }
}

fn mode<'de, D: Deserializer<'de>>(deserializer: D) -> Result<IpvlanMode, D::Error> {
    json::one_of(deserializer, &MODES)
}

fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<IpvlanIsolation, D::Error> {
    json::one_of(deserializer, &FLAGS)
}

/// Mode and flag of a link, by their names in the configuration.
pub(crate) fn words(mode: IpvlanMode, flag: IpvlanIsolation) -> String {
    let mode = MODES.iter().find(|(_, known)| *known == mode).map_or("", |(word, _)| word);
    let flag = FLAGS.iter().find(|(_, known)| *known == flag).map_or("", |(word, _)| word);
    format!("mode {mode} and flag {flag}")
}

impl Config {
    /// The parent of the container's link. In a chain, the default is the interface that the previous plugin reported.
    pub(crate) fn master<'a>(&'a self, previous: Option<&'a LinkName>) -> Master<'a> {
        Master { key: "master", name: self.master.as_ref().or(previous), in_container: self.link_in_container }
    }

    /// The only interface in the previous plugin's result, if the configuration names no `master`.
    pub(crate) fn previous_interface(&self, previous: Option<&AddResult>) -> Result<Option<LinkName>, Error> {
        let Some(previous) = previous.filter(|_| self.master.is_none()) else { return Ok(None) };
        match &previous.interfaces[..] {
            [interface] => Ok(Some(LinkName::new(interface.name.as_str()).map_err(cni_plugin::Error::from)?)),
            interfaces => Err(Error::NoSoleInterface { count: interfaces.len() }),
        }
    }

    /// Whether the parent is known without the previous plugin's result. With `ipam` it is: the default route's link, unless
    /// `master` is set.
    pub(crate) fn knows_master(&self, has_ipam: bool) -> bool {
        self.master.is_some() || has_ipam
    }

    /// The container's link, as the kernel is asked for it.
    pub(crate) fn kind(&self) -> LinkKind {
        LinkKind::Ipvlan { mode: self.mode, isolation: self.flag }
    }

    /// Mode and flag as text, for errors and [`parent_interface::Agreement`].
    pub(crate) fn terms(&self) -> String {
        words(self.mode, self.flag)
    }

    /// Whether the mode is a layer 3 one: packets go to the parent's namespace, which routes them.
    pub(crate) fn is_layer_3(&self) -> bool {
        self.mode != IpvlanMode::L2
    }

    /// Only in layer 2 can another host answer.
    pub(crate) fn detect_duplicates(&self) -> bool {
        self.detect_duplicates && !self.is_layer_3()
    }

    /// The MTU to set; 0 in the configuration leaves it to the kernel, which takes the parent's.
    pub(crate) fn mtu(&self) -> Option<u32> {
        (self.mtu != 0).then_some(self.mtu)
    }

    /// Whether `ipam` names a gateway although the mode uses none.
    pub(crate) fn has_gateway_in_vain(&self) -> bool {
        self.is_layer_3() && names_gateway(&self.ipam)
    }
}

fn names_gateway(value: &Value) -> bool {
    let is_gateway = |key: &str| key.eq_ignore_ascii_case("gateway") || key.eq_ignore_ascii_case("gw");
    let is_text = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty());
    match value {
        Value::Object(object) => {
            object.iter().any(|(key, value)| is_gateway(key) && is_text(value) || names_gateway(value))
        }
        Value::Array(array) => array.iter().any(names_gateway),
        _ => false,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use cni_plugin::{Interface, json::Misfit};
    use serde_json::json;

    fn config(value: &Value) -> Result<Config, Misfit> {
        json::from_value(value)
    }

    #[test]
    fn absent_keys_have_the_reference_s_defaults_and_so_have_empty_ones() {
        for keys in [json!({}), json!({"master": "", "mode": "", "ipvlanFlag": "", "mtu": 0, "ipam": null})] {
            let config = config(&keys).unwrap();
            let master = config.master(None);
            assert!(master.name.is_none() && !master.in_container);
            assert_eq!((config.terms().as_str(), config.mtu()), ("mode l2 and flag bridge", None));
            assert_eq!(config.kind(), LinkKind::Ipvlan { mode: IpvlanMode::L2, isolation: IpvlanIsolation::Bridge });
        }
    }

    #[test]
    fn modes_and_flags_have_their_words() {
        let config = config(&json!({"mode": "l3s", "ipvlanFlag": "vepa"})).unwrap();
        assert_eq!(config.kind(), LinkKind::Ipvlan { mode: IpvlanMode::L3s, isolation: IpvlanIsolation::Vepa });
        assert_eq!(config.terms(), "mode l3s and flag vepa");
    }

    #[test]
    fn invalid_values_do_not_become_a_configuration() {
        for bad in [
            json!({"master": "a/b"}),
            json!({"mode": "L2"}),
            json!({"mode": "l4"}),
            json!({"ipvlanFlag": "passthru"}),
            json!({"mtu": -1}),
        ] {
            assert!(config(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_interface_before_this_one_counts_only_if_it_is_needed_and_alone() {
        let result = |names: &[&str]| {
            AddResult::default().with_interfaces(names.iter().map(|name| Interface::new(*name)).collect())
        };
        let previous = |keys: &Value, result: Option<&AddResult>| config(keys).unwrap().previous_interface(result);
        let name = previous(&json!({}), Some(&result(&["eth1"]))).unwrap();
        assert_eq!(name.map(|name| name.to_string()).as_deref(), Some("eth1"));
        assert_eq!(previous(&json!({}), None).unwrap(), None);
        assert_eq!(previous(&json!({"master": "eth0"}), Some(&result(&["eth1"]))).unwrap(), None);
        for wrong in [&[][..], &["eth1", "eth2"], &[""]] {
            assert!(previous(&json!({}), Some(&result(wrong))).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn only_a_gateway_that_somebody_wrote_down_is_in_vain_and_only_in_layer_3() {
        let in_vain =
            |mode: &str, ipam: Value| config(&json!({"mode": mode, "ipam": ipam})).unwrap().has_gateway_in_vain();
        for ipam in [
            json!({"subnet": "10.1.0.0/24", "gateway": "10.1.0.1"}),
            json!({"ranges": [[{"subnet": "10.1.0.0/24", "Gateway": "10.1.0.1"}]]}),
            json!({"addresses": [{"address": "10.1.0.2/24"}], "routes": [{"dst": "0.0.0.0/0", "gw": "10.1.0.1"}]}),
        ] {
            assert!(in_vain("l3", ipam.clone()) && in_vain("l3s", ipam.clone()) && !in_vain("l2", ipam));
        }
        for ipam in [json!(null), json!({"subnet": "10.1.0.0/24", "gateway": "", "routes": [{"dst": "0.0.0.0/0"}]})] {
            assert!(!in_vain("l3", ipam));
        }
    }
}
