use std::net::IpAddr;

use cni_plugin::{Args, IfName, LinkName, NetworkDns};
use container_interface::mac::{self, MacKey};
use masquerade::Backend;
use netlink::Mac;
use parent_interface::VlanId;
use serde::Deserialize;

use crate::{Error, vlan_gateway};

/// The keys of a `bridge` network; see the README for what they do.
#[derive(Debug, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Config {
    #[serde(rename = "bridge")]
    pub(crate) bridge: IfName,
    #[serde(rename = "isGateway")]
    is_gateway: bool,
    pub(crate) is_default_gateway: bool,
    pub(crate) force_address: bool,
    ip_masq: bool,
    ip_masq_backend: Backend,
    pub(crate) mtu: u32,
    pub(crate) hairpin_mode: bool,
    pub(crate) promisc_mode: bool,
    #[serde(deserialize_with = "parent_interface::name_or_none")]
    uplink: Option<LinkName>,
    #[serde(deserialize_with = "VlanId::deserialize_or_none")]
    pub(crate) vlan: Option<VlanId>,
    pub(crate) vlan_trunk: Option<Vec<TrunkVlans>>,
    pub(crate) preserve_default_vlan: bool,
    pub(crate) macspoofchk: bool,
    pub(crate) enabledad: bool,
    pub(crate) router_advertisements: Option<bool>,
    pub(crate) disable_container_interface: bool,
    pub(crate) port_isolation: bool,
    #[serde(deserialize_with = "cni_plugin::json::unless_empty")]
    pub(crate) host_interface_name: Option<IfName>,
    pub(crate) loose_reverse_path: bool,
    pub(crate) outbound_addresses: Vec<IpAddr>,
    pub(crate) dns: NetworkDns,
    args: ConfigArgs,
    runtime_config: MacKey,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            bridge: IfName::new("cni0").expect("a valid interface name"),
            is_gateway: false,
            is_default_gateway: false,
            force_address: false,
            ip_masq: false,
            ip_masq_backend: Backend::default(),
            mtu: 0,
            hairpin_mode: false,
            promisc_mode: false,
            uplink: None,
            vlan: None,
            vlan_trunk: None,
            preserve_default_vlan: false,
            macspoofchk: false,
            enabledad: false,
            router_advertisements: None,
            disable_container_interface: false,
            port_isolation: false,
            host_interface_name: None,
            loose_reverse_path: false,
            outbound_addresses: Vec::new(),
            dns: NetworkDns::default(),
            args: ConfigArgs::default(),
            runtime_config: MacKey::default(),
        }
    }
}

/// VLANs that a trunk carries: one, those from one to another, or both.
#[derive(Debug, Deserialize)]
#[serde(try_from = "TrunkKeys")]
pub(crate) struct TrunkVlans {
    one: Option<VlanId>,
    range: Option<(VlanId, VlanId)>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct TrunkKeys {
    id: Option<VlanId>,
    #[serde(rename = "minID")]
    min: Option<VlanId>,
    #[serde(rename = "maxID")]
    max: Option<VlanId>,
}

impl TryFrom<TrunkKeys> for TrunkVlans {
    type Error = String;

    fn try_from(keys: TrunkKeys) -> Result<Self, String> {
        let range = match (keys.min, keys.max) {
            (Some(min), Some(max)) if min > max => return Err(format!("minID {min} is greater than maxID {max}")),
            (Some(min), Some(max)) => Some((min, max)),
            (None, None) => None,
            _ => return Err("minID and maxID need each other".to_owned()),
        };
        if keys.id.is_none() && range.is_none() {
            return Err("it names no VLAN: give it an id, or minID and maxID".to_owned());
        }
        Ok(Self { one: keys.id, range })
    }
}

impl TrunkVlans {
    /// First and last of each range.
    pub(crate) fn ranges(&self) -> impl Iterator<Item = (VlanId, VlanId)> {
        self.one.map(|one| (one, one)).into_iter().chain(self.range)
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ConfigArgs {
    cni: MacKey,
}

impl Config {
    /// What serde cannot see: keys that exclude each other.
    pub(crate) fn validate(&self, has_ipam: bool) -> Result<(), Error> {
        if self.hairpin_mode && self.promisc_mode {
            return Err(Error::Conflict {
                first: "hairpinMode",
                second: "promiscMode",
                why: "both make the bridge return packets to their own port",
            });
        }
        if self.disable_container_interface && has_ipam {
            return Err(Error::Conflict {
                first: "disableContainerInterface",
                second: "ipam",
                why: "an interface that stays down cannot be given addresses",
            });
        }
        if self.uplink.is_some() && self.vlan_trunk.is_some() {
            return Err(Error::Conflict {
                first: "uplink",
                second: "vlanTrunk",
                why: "an \"uplink\" carries one VLAN, or what has no tag; for a trunk leave it out, and make the link to the \
                      wire a port of the bridge and of these VLANs yourself",
            });
        }
        if !self.outbound_addresses.is_empty() && self.masquerade() != Some(Backend::Nftables) {
            return Err(Error::NoMasquerade);
        }
        self.uplink()?;
        vlan_gateway::of(self)?;
        Ok(())
    }

    /// The link that connects the bridge to the wire; `None` for a network that ends at the host. `eth0` and VLAN 20 are
    /// `eth0.20`, and so are `eth0.20` and VLAN 20.
    pub(crate) fn uplink(&self) -> Result<Option<LinkName>, Error> {
        let Some(name) = &self.uplink else { return Ok(None) };
        match (self.vlan, parent_interface::tag_in(name)) {
            (Some(vlan), Some(named)) if named != vlan => {
                Err(Error::UplinkOfOtherVlan { uplink: name.clone(), named, vlan })
            }
            (Some(vlan), None) => IfName::new(format!("{name}.{vlan}"))
                .map(|name| Some(name.into()))
                .map_err(|_too_long| Error::UplinkNameTooLong { uplink: name.clone(), vlan }),
            _ => Ok(Some(name.clone())),
        }
    }

    /// Whether the bridge has the gateway addresses: `isDefaultGateway` implies `isGateway`.
    pub(crate) fn is_gateway(&self) -> bool {
        self.is_gateway || self.is_default_gateway
    }

    /// The network's bridge has to keep VLANs apart.
    pub(crate) fn has_vlans(&self) -> bool {
        self.vlan.is_some() || self.vlan_trunk.is_some()
    }

    /// What masquerades; `None` where nothing does.
    pub(crate) fn masquerade(&self) -> Option<Backend> {
        self.ip_masq.then_some(self.ip_masq_backend)
    }

    /// The MTU to set; 0 in the configuration leaves it to the kernel.
    pub(crate) fn mtu(&self) -> Option<u32> {
        (self.mtu != 0).then_some(self.mtu)
    }

    /// The hardware address asked for: the runtime's capability, then `args.cni.mac`, then `MAC` in `CNI_ARGS`.
    pub(crate) fn mac(&self, args: &Args) -> Result<Option<Mac>, Error> {
        Ok(mac::choose(self.runtime_config.mac.or(self.args.cni.mac), args, None)?)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    fn config(value: &serde_json::Value) -> Result<Config, cni_plugin::json::Misfit> {
        cni_plugin::json::from_value(value)
    }

    #[test]
    fn absent_keys_have_the_reference_s_defaults() {
        let config = config(&json!({})).unwrap();
        assert_eq!(config.bridge.as_str(), "cni0");
        assert!(!config.is_gateway() && !config.ip_masq && !config.enabledad);
        assert_eq!(config.mtu(), None);
        assert_eq!(config.ip_masq_backend, Backend::Nftables);
        assert!(config.validate(true).is_ok());
    }

    #[test]
    fn a_default_gateway_is_a_gateway() {
        assert!(config(&json!({"isDefaultGateway": true})).unwrap().is_gateway());
    }

    #[test]
    fn invalid_values_do_not_become_a_configuration() {
        for bad in [
            json!({"bridge": ""}),
            json!({"bridge": "a/b"}),
            json!({"bridge": "0123456789abcdef"}),
            json!({"mtu": -1}),
            json!({"ipMasqBackend": "pf"}),
            json!({"uplink": "a/b"}),
            json!({"vlan": 4095}),
            json!({"vlan": -1}),
            json!({"vlanTrunk": [{}]}),
            json!({"vlanTrunk": [{"id": 0}]}),
            json!({"vlanTrunk": [{"id": 4095}]}),
            json!({"vlanTrunk": [{"minID": 5}]}),
            json!({"vlanTrunk": [{"maxID": 5}]}),
            json!({"vlanTrunk": [{"minID": 6, "maxID": 5}]}),
            json!({"runtimeConfig": {"mac": "02:00"}}),
            json!({"runtimeConfig": {"mac": "01:00:00:00:00:01"}}),
        ] {
            assert!(config(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn keys_that_exclude_each_other_are_refused() {
        let both = config(&json!({"hairpinMode": true, "promiscMode": true})).unwrap();
        assert!(both.validate(false).is_err());
        let trunk = config(&json!({"uplink": "eth0", "vlanTrunk": [{"id": 5}]})).unwrap();
        assert!(trunk.validate(false).is_err());
        let down = config(&json!({"disableContainerInterface": true})).unwrap();
        assert!(down.validate(true).is_err() && down.validate(false).is_ok());
    }

    #[test]
    fn the_gateway_s_link_into_a_vlan_needs_a_name_that_fits() {
        let validated = |bridge, gateway| {
            config(&json!({"bridge": bridge, "vlan": 100, "isGateway": gateway})).unwrap().validate(true)
        };
        assert!(validated("elevenchars", true).is_ok());
        let error = validated("twelve_chars", true).unwrap_err();
        assert!(error.to_string().contains("twelve_chars.100"), "{error}");
        assert!(validated("twelve_chars", false).is_ok(), "there is no such link");
    }

    #[test]
    fn the_capability_beats_args_beats_the_environment() {
        let all = json!({"runtimeConfig": {"mac": "02:00:00:00:00:01"}, "args": {"cni": {"mac": "02:00:00:00:00:02"}}});
        let env = Args::new("MAC=02:00:00:00:00:03");
        let mac = |value| config(&value).unwrap().mac(&env).unwrap().map(|mac| mac.0[5]);
        assert_eq!(mac(all), Some(1));
        assert_eq!(mac(json!({"args": {"cni": {"mac": "02:00:00:00:00:02"}}})), Some(2));
        assert_eq!(mac(json!({"runtimeConfig": {"mac": ""}})), Some(3));
    }
}
