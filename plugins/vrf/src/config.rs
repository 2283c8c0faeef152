use cni_plugin::IfName;
use serde::Deserialize;

use crate::Error;

/// The keys of `vrf`; see the README for what they do.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Config {
    vrfname: Option<IfName>,
    table: u32,
}

impl Config {
    /// The VRF's name, which has no default.
    pub(crate) fn name(&self) -> Result<&IfName, Error> {
        self.vrfname.as_ref().ok_or(Error::NoName)
    }

    /// The VRF's name, if the configuration is of any use.
    pub(crate) fn name_if_any(&self) -> Option<&IfName> {
        self.vrfname.as_ref()
    }

    /// The routing table that is asked for.
    pub(crate) fn table(&self) -> Option<u32> {
        (self.table != 0).then_some(self.table)
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
    fn a_vrf_has_a_name_and_perhaps_a_table() {
        let both = config(&json!({"vrfname": "blue", "table": 7})).unwrap();
        assert_eq!((both.name().unwrap().as_str(), both.table()), ("blue", Some(7)));
        let neither = config(&json!({"table": 0})).unwrap();
        assert!(matches!(neither.name(), Err(Error::NoName)));
        assert_eq!(neither.table(), None);
    }

    #[test]
    fn invalid_values_do_not_become_a_configuration() {
        for bad in [json!({"vrfname": ""}), json!({"vrfname": "a/b"}), json!({"table": -1}), json!({"table": "7"})] {
            assert!(config(&bad).is_err(), "{bad}");
        }
    }
}
