use cni_plugin::{Args, Dns, IfName};
use container_interface::mac::{self, MacKey};
use netlink::Mac;
use serde::Deserialize;

/// The keys of a `tap` network; see the README for what they do.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Config {
    pub(crate) multi_queue: bool,
    mtu: u32,
    #[serde(deserialize_with = "mac::deserialize_or_none")]
    mac: Option<Mac>,
    /// 0 is a user like any other.
    pub(crate) owner: Option<u32>,
    pub(crate) group: Option<u32>,
    selinux_context: String,
    #[serde(deserialize_with = "cni_plugin::json::unless_empty")]
    pub(crate) bridge: Option<IfName>,
    pub(crate) dns: Dns,
    runtime_config: MacKey,
}

impl Config {
    /// The MTU to set; 0 in the configuration leaves it to the kernel.
    pub(crate) fn mtu(&self) -> Option<u32> {
        (self.mtu != 0).then_some(self.mtu)
    }

    /// The hardware address to set: the runtime's, the one in `CNI_ARGS`, the network's.
    pub(crate) fn mac(&self, args: &Args) -> Result<Option<Mac>, cni_plugin::Error> {
        mac::choose(self.runtime_config.mac, args, self.mac)
    }

    /// The context to make the link in.
    pub(crate) fn selinux_context(&self) -> Option<&str> {
        Some(self.selinux_context.as_str()).filter(|context| !context.is_empty())
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
    fn absent_keys_have_the_reference_s_defaults() {
        for nothing in [json!({}), json!({"mac": "", "bridge": "", "selinuxContext": "", "mtu": 0, "owner": null})] {
            let config = config(&nothing).unwrap();
            assert_eq!((config.multi_queue, config.mtu(), config.owner, config.group), (false, None, None, None));
            assert_eq!((config.selinux_context(), config.bridge.as_ref()), (None, None));
            assert_eq!(config.mac(&Args::default()).unwrap(), None);
        }
    }

    #[test]
    fn root_is_an_owner_like_any_other() {
        let config = config(&json!({"owner": 0, "group": 0})).unwrap();
        assert_eq!((config.owner, config.group), (Some(0), Some(0)));
    }

    #[test]
    fn the_capability_beats_the_environment_beats_the_key() {
        let key = json!({"mac": "02:00:00:00:00:03"});
        let both = json!({"mac": "02:00:00:00:00:03", "runtimeConfig": {"mac": "02:00:00:00:00:01"}});
        let mac = |value, args| config(&value).unwrap().mac(&Args::new(args)).unwrap().map(|mac| mac.0[5]);
        assert_eq!(mac(both, "MAC=02:00:00:00:00:02"), Some(1));
        assert_eq!(mac(key.clone(), "MAC=02:00:00:00:00:02"), Some(2));
        assert_eq!(mac(key, ""), Some(3));
    }

    #[test]
    fn invalid_values_do_not_become_a_configuration() {
        for bad in [
            json!({"mtu": -1}),
            json!({"mac": "02:00"}),
            json!({"mac": "01:00:00:00:00:01"}),
            json!({"owner": -1}),
            json!({"owner": "root"}),
            json!({"group": 4_294_967_296_u64}),
            json!({"bridge": "a/b"}),
            json!({"multiQueue": "yes"}),
        ] {
            assert!(config(&bad).is_err(), "{bad}");
        }
    }
}
