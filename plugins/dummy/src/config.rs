use serde::Deserialize;

/// The keys of a `dummy` network; see the README for what they do.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Config {
    mtu: u32,
}

impl Config {
    /// The MTU to set; 0 in the configuration leaves it to the kernel.
    pub(crate) fn mtu(&self) -> Option<u32> {
        (self.mtu != 0).then_some(self.mtu)
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
    fn an_mtu_is_left_to_the_kernel_unless_there_is_one() {
        assert_eq!(config(&json!({})).unwrap().mtu(), None);
        assert_eq!(config(&json!({"mtu": 0})).unwrap().mtu(), None);
        assert_eq!(config(&json!({"mtu": 1400})).unwrap().mtu(), Some(1400));
    }

    #[test]
    fn invalid_values_do_not_become_a_configuration() {
        for bad in [json!({"mtu": -1}), json!({"mtu": "1400"}), json!({"mtu": 4_294_967_296_u64})] {
            assert!(config(&bad).is_err(), "{bad}");
        }
    }
}
