//! The requested hardware address, which can be given in several places.

use cni_plugin::{Args, Code};
use netlink::Mac;
use serde::{Deserialize, Deserializer};

/// An object with a key `mac`, such as `runtimeConfig`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct MacKey {
    /// The requested address; `None` leaves the choice to the plugin.
    #[serde(deserialize_with = "deserialize_or_none")]
    pub mac: Option<Mac>,
}

/// For a key whose empty text means that nothing is asked for.
///
/// # Errors
/// If the text is not a valid unicast Ethernet address.
pub fn deserialize_or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Mac>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        return Ok(None);
    }
    parse(&text).map(Some).map_err(serde::de::Error::custom)
}

/// The address to use: `stronger`, else `MAC` in `CNI_ARGS`, else `weaker`.
///
/// # Errors
/// Code 4 if `CNI_ARGS` is malformed, or if its `MAC` is the one to use and cannot be an interface's address.
pub fn choose(stronger: Option<Mac>, args: &Args, weaker: Option<Mac>) -> Result<Option<Mac>, cni_plugin::Error> {
    let [asked] = args.values(["MAC"])?;
    match (stronger, asked.filter(|text| !text.is_empty())) {
        (Some(mac), _) => Ok(Some(mac)),
        (None, Some(text)) => parse(text).map(Some).map_err(|reason| {
            let msg = format!("the MAC asked for in CNI_ARGS cannot be used: {reason}");
            cni_plugin::Error::new(Code::InvalidEnvironment, msg)
        }),
        (None, None) => Ok(weaker),
    }
}

fn parse(text: &str) -> Result<Mac, String> {
    let mac: Mac = text.parse().map_err(|error: netlink::InvalidMac| error.to_string())?;
    match mac {
        Mac([0, 0, 0, 0, 0, 0]) => Err(format!("{text} is not a valid address: leave it out to get a random one")),
        mac if !mac.is_unicast() => Err(format!("{text} is a group address, which no interface can have")),
        mac => Ok(mac),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    fn key(text: &str) -> Result<Option<Mac>, cni_plugin::json::Misfit> {
        cni_plugin::json::from_value(&json!({"mac": text})).map(|key: MacKey| key.mac)
    }

    #[test]
    fn only_what_an_interface_can_have_is_read() {
        assert_eq!(key("02:00:00:00:00:01").unwrap(), Some(Mac([2, 0, 0, 0, 0, 1])));
        assert_eq!(key("").unwrap(), None);
        for bad in ["02:00", "01:00:00:00:00:01", "00:00:00:00:00:00"] {
            assert!(key(bad).unwrap_err().to_string().contains(bad), "{bad}");
        }
        let of_zeros = key("00:00:00:00:00:00").unwrap_err().to_string();
        assert!(!of_zeros.contains("group") && of_zeros.contains("leave it out"), "{of_zeros}");
    }

    #[test]
    fn the_stronger_beats_the_environment_beats_the_weaker() {
        let mac = |last| Some(Mac([2, 0, 0, 0, 0, last]));
        let asked = Args::new("MAC=02:00:00:00:00:02");
        assert_eq!(choose(mac(1), &asked, mac(3)).unwrap(), mac(1));
        assert_eq!(choose(None, &asked, mac(3)).unwrap(), mac(2));
        for nothing in ["", "MAC="] {
            assert_eq!(choose(None, &Args::new(nothing), mac(3)).unwrap(), mac(3));
            assert_eq!(choose(None, &Args::new(nothing), None).unwrap(), None);
        }
    }

    #[test]
    fn a_wrong_one_counts_only_where_no_other_does() {
        let wrong = Args::new("MAC=x");
        assert_eq!(choose(None, &wrong, None).unwrap_err().code(), Code::InvalidEnvironment);
        assert!(choose(Some(Mac([2; 6])), &wrong, None).is_ok());
        assert!(choose(Some(Mac([2; 6])), &Args::new("X=y"), None).is_err(), "a key that nobody knows");
    }
}
