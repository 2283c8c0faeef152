use cni_plugin::{Args, Dns, LinkName, json};
use container_interface::mac::{self, MacKey};
use netlink::{LinkKind, Mac, MacvlanMode};
use parent_interface::Master;
use serde::{Deserialize, Deserializer};

use crate::Error;

const MODES: [(&str, MacvlanMode); 4] = [
    ("bridge", MacvlanMode::Bridge),
    ("private", MacvlanMode::Private),
    ("vepa", MacvlanMode::Vepa),
    ("passthru", MacvlanMode::Passthru),
];

/// The keys of a `macvlan` network; see the README for what they do.
#[derive(Debug, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Config {
    #[serde(deserialize_with = "parent_interface::name_or_none")]
    master: Option<LinkName>,
    link_in_container: bool,
    #[serde(deserialize_with = "mode")]
    pub(crate) mode: MacvlanMode,
    pub(crate) mtu: u32,
    #[serde(rename = "bcqueuelen")]
    broadcast_queue: u32,
    broadcast_cutoff: Option<i32>,
    #[serde(rename = "enabledad")]
    pub(crate) detect_duplicates: bool,
    pub(crate) router_advertisements: Option<bool>,
    #[serde(deserialize_with = "mac::deserialize_or_none")]
    mac: Option<Mac>,
    pub(crate) dns: Dns,
    pub(crate) ipam_dns: bool,
    runtime_config: MacKey,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            master: None,
            link_in_container: false,
            mode: MacvlanMode::default(),
            mtu: 0,
            broadcast_queue: 0,
            broadcast_cutoff: None,
            // Other hosts are on the wire, and their addresses are not known here.
            detect_duplicates: true,
            router_advertisements: None,
            mac: None,
            dns: Dns::default(),
            ipam_dns: false,
            runtime_config: MacKey::default(),
        }
    }
}

fn mode<'de, D: Deserializer<'de>>(deserializer: D) -> Result<MacvlanMode, D::Error> {
    json::one_of(deserializer, &MODES)
}

/// A mode's name in the configuration.
pub(crate) fn name_of(mode: MacvlanMode) -> &'static str {
    MODES.iter().find(|(_, known)| *known == mode).map_or("another", |(name, _)| name)
}

impl Config {
    /// The parent of the container's link.
    pub(crate) fn master(&self) -> Master<'_> {
        Master { key: "master", name: self.master.as_ref(), in_container: self.link_in_container }
    }

    /// The container's link, as the kernel is asked for it.
    pub(crate) fn kind(&self) -> LinkKind {
        let broadcast_queue = (self.broadcast_queue != 0).then_some(self.broadcast_queue);
        LinkKind::Macvlan { mode: self.mode, broadcast_queue, broadcast_cutoff: self.broadcast_cutoff }
    }

    /// The hardware address asked for: the runtime's capability, then `MAC` in `CNI_ARGS`, then the key `mac`.
    pub(crate) fn mac(&self, args: &Args) -> Result<Option<Mac>, Error> {
        Ok(mac::choose(self.runtime_config.mac, args, self.mac)?)
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
    fn absent_keys_have_the_reference_s_defaults_and_so_have_empty_ones() {
        for keys in [json!({}), json!({"master": "", "mode": "", "mac": "", "mtu": 0, "bcqueuelen": 0})] {
            let config = config(&keys).unwrap();
            assert!(config.master().name.is_none() && !config.link_in_container);
            assert_eq!(
                config.kind(),
                LinkKind::Macvlan { mode: MacvlanMode::Bridge, broadcast_queue: None, broadcast_cutoff: None }
            );
            assert_eq!(config.mac(&Args::default()).unwrap(), None);
        }
    }

    #[test]
    fn each_mode_has_its_name() {
        for (name, mode) in MODES {
            assert_eq!(config(&json!({"mode": name})).unwrap().mode, mode);
            assert_eq!(name_of(mode), name);
        }
    }

    #[test]
    fn invalid_values_do_not_become_a_configuration() {
        for bad in [
            json!({"master": "a/b"}),
            json!({"mode": "source"}),
            json!({"mode": "Bridge"}),
            json!({"mtu": -1}),
            json!({"bcqueuelen": -1}),
            json!({"mac": "02:00"}),
            json!({"runtimeConfig": {"mac": "01:00:00:00:00:01"}}),
        ] {
            assert!(config(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_capability_beats_the_environment_beats_the_key() {
        let env = Args::new("MAC=02:00:00:00:00:02");
        let mac = |keys: &Value, args| config(keys).unwrap().mac(args).unwrap().map(|mac| mac.0[5]);
        let all = json!({"runtimeConfig": {"mac": "02:00:00:00:00:01"}, "mac": "02:00:00:00:00:03"});
        assert_eq!(mac(&all, &env), Some(1));
        assert_eq!(mac(&json!({"mac": "02:00:00:00:00:03"}), &env), Some(2));
        assert_eq!(mac(&json!({"mac": "02:00:00:00:00:03"}), &Args::default()), Some(3));
    }
}
