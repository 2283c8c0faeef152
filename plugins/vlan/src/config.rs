use cni_plugin::{Dns, LinkName};
use netlink::LinkKind;
use parent_interface::{Master, VlanId};
use serde::Deserialize;

use crate::Error;

/// The keys of a `vlan` network; see the README for what they do.
#[derive(Debug, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Config {
    #[serde(deserialize_with = "parent_interface::name_or_none")]
    master: Option<LinkName>,
    #[serde(rename = "vlanId", deserialize_with = "VlanId::deserialize_or_none")]
    vlan: Option<VlanId>,
    pub(crate) mtu: u32,
    link_in_container: bool,
    #[serde(rename = "enabledad")]
    pub(crate) detect_duplicates: bool,
    pub(crate) router_advertisements: Option<bool>,
    pub(crate) dns: Dns,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            master: None,
            vlan: None,
            mtu: 0,
            link_in_container: false,
            // Other hosts are on the wire, and their addresses are not known here.
            detect_duplicates: true,
            router_advertisements: None,
            dns: Dns::default(),
        }
    }
}

impl Config {
    /// The link that carries the VLAN.
    pub(crate) fn master(&self) -> Result<Master<'_>, Error> {
        let name = self.master.as_ref().ok_or(Error::NoMaster)?;
        Ok(Master { key: "master", name: Some(name), in_container: self.link_in_container })
    }

    /// The container's link, as the kernel is asked for it. Tag 0 is for priority-tagged frames, which belong to no VLAN.
    pub(crate) fn kind(&self) -> LinkKind {
        LinkKind::Vlan { id: self.vlan.map_or(0, VlanId::get) }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn config(value: &Value) -> Result<Config, cni_plugin::json::Misfit> {
        cni_plugin::json::from_value(value)
    }

    #[test]
    fn a_network_needs_a_master_and_no_other_key() {
        for keys in [json!({}), json!({"master": ""}), json!({"vlanId": 5})] {
            assert!(matches!(config(&keys).unwrap().master(), Err(Error::NoMaster)), "{keys}");
        }
        let config = config(&json!({"master": "eth0"})).unwrap();
        let master = config.master().unwrap();
        assert_eq!((master.name.unwrap().as_str(), master.in_container), ("eth0", false));
        assert_eq!((config.kind(), config.detect_duplicates), (LinkKind::Vlan { id: 0 }, true));
    }

    #[test]
    fn invalid_values_do_not_become_a_configuration() {
        for bad in [
            json!({"master": "a/b"}),
            json!({"vlanId": 4095}),
            json!({"vlanId": -1}),
            json!({"vlanId": "5"}),
            json!({"mtu": -1}),
            json!({"linkInContainer": 1}),
        ] {
            assert!(config(&bad).is_err(), "{bad}");
        }
    }
}
