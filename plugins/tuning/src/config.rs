use std::fmt;
use std::path::{Path, PathBuf};

use container_interface::mac::{self, MacKey};
use netlink::Mac;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};

use crate::key::Spelling;

/// Default of `dataDir`, the same as the reference's.
const DEFAULT_DATA_DIR: &str = "/run/cni/tuning";

/// The keys of `tuning`; see the README for what they do.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Config {
    data_dir: PathBuf,
    pub(crate) sysctl: Sysctls,
    #[serde(deserialize_with = "mac::deserialize_or_none")]
    pub(crate) mac: Option<Mac>,
    pub(crate) promisc: bool,
    pub(crate) mtu: u32,
    pub(crate) allmulti: Option<bool>,
    #[serde(rename = "txQLen")]
    pub(crate) tx_queue_len: Option<u32>,
    pub(crate) runtime_config: MacKey,
    pub(crate) args: Args,
}

/// `args`, which a runtime sets for one container.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Args {
    pub(crate) cni: CniArgs,
}

/// The same keys as [`Config`]'s; each one takes precedence over the network's.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct CniArgs {
    pub(crate) sysctl: Sysctls,
    #[serde(deserialize_with = "mac::deserialize_or_none")]
    pub(crate) mac: Option<Mac>,
    pub(crate) promisc: Option<bool>,
    pub(crate) mtu: Option<u32>,
    pub(crate) allmulti: Option<bool>,
    #[serde(rename = "txQLen")]
    pub(crate) tx_queue_len: Option<u32>,
}

impl Config {
    /// The folder of the files with the values to restore.
    pub(crate) fn data_dir(&self) -> &Path {
        if self.data_dir.as_os_str().is_empty() { Path::new(DEFAULT_DATA_DIR) } else { &self.data_dir }
    }
}

/// Sysctls and their values, in the order of the configuration, in which they are set.
#[derive(Debug, Default)]
pub(crate) struct Sysctls(pub(crate) Vec<(Spelling, String)>);

impl<'de> Deserialize<'de> for Sysctls {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Entries)
    }
}

struct Entries;

impl<'de> Visitor<'de> for Entries {
    type Value = Sysctls;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of sysctls and their values, such as {\"net.ipv4.conf.IFNAME.arp_notify\": \"1\"}")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Sysctls, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Sysctls(entries))
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
    fn sysctls_keep_their_order() {
        let config = config(&json!({"sysctl": {"net.z": "1", "net.a": "2", "net.m": "3"}})).unwrap();
        let order: Vec<_> = config.sysctl.0.iter().map(|(key, value)| format!("{key} {value}")).collect();
        assert_eq!(order, ["net.z 1", "net.a 2", "net.m 3"]);
    }

    #[test]
    fn wrong_values_do_not_become_a_configuration() {
        for bad in [
            json!({"mtu": -1}),
            json!({"txQLen": -1}),
            json!({"promisc": "yes"}),
            json!({"mac": "01:00:00:00:00:01"}),
            json!({"sysctl": ["net.ipv4.ip_forward"]}),
            json!({"sysctl": {"net.ipv4.ip_forward": 1}}),
            json!({"sysctl": {"kernel.shmmax": "1"}}),
            json!({"args": {"cni": {"sysctl": {"net.ipv4/../../kernel/x": "1"}}}}),
        ] {
            assert!(config(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_folder_is_the_references_unless_another_is_named() {
        assert_eq!(config(&json!({})).unwrap().data_dir(), Path::new("/run/cni/tuning"));
        assert_eq!(config(&json!({"dataDir": "/x"})).unwrap().data_dir(), Path::new("/x"));
    }
}
