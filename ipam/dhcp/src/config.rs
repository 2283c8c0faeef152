//! The keys of `ipam`.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use cni_plugin::{Args, Network, ip};
use serde::Deserialize;

use crate::Error;
use crate::wishes::Wishes;
use ::ip::Family;

/// Where the reference's daemon listens, and so does ours.
pub(crate) const DEFAULT_SOCKET: &str = "/run/cni/dhcp.sock";

/// The longest value of an option.
const MAX_VALUE: usize = 255;

/// What is asked for unless the configuration says otherwise: routers and the subnet mask, as the reference does, and what
/// it never returned, name servers, domain and search list.
const DEFAULT_REQUEST: [u8; 5] = [3, 1, 6, 15, 119];

/// The keys of a network configuration that matter here.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Config {
    ipam: Ipam,
    #[serde(rename = "runtimeConfig")]
    runtime_config: Ips,
    args: CniArgs,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct CniArgs {
    cni: Ips,
}

/// Addresses that a container shall have: the capability `ips`, or `args.cni.ips`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Ips {
    ips: Vec<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Ipam {
    daemon_socket_path: PathBuf,
    provide: Vec<Provide>,
    request: Vec<Request>,
    priority: u32,
    suppress: Vec<Suppressed>,
    families: Vec<Family>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Provide {
    option: OptionCode,
    #[serde(default)]
    value: String,
    #[serde(default)]
    from_arg: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    #[serde(default)]
    skip_default: bool,
    #[serde(default, deserialize_with = "empty_as_none")]
    option: Option<OptionCode>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Suppressed {
    Gateway,
}

/// An option of DHCPv4, by a name of dhcp-options(5) or by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
struct OptionCode(u8);

const NAMES: [(&str, u8); 6] = [
    ("dhcp-client-identifier", 61),
    ("host-name", 12),
    ("routers", 3),
    ("subnet-mask", 1),
    ("user-class", 77),
    ("vendor-class-identifier", 60),
];

impl TryFrom<String> for OptionCode {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let named = NAMES.iter().find(|(name, _)| *name == text).map(|(_, code)| *code);
        named.or_else(|| text.parse().ok()).map(Self).ok_or_else(|| {
            let names: Vec<_> = NAMES.iter().map(|(name, _)| *name).collect();
            format!("{text:?} is not a DHCP option: write its number (0 to 255) or one of {}", names.join(", "))
        })
    }
}

/// `{"option": "", "skipDefault": true}` asks for nothing.
fn empty_as_none<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<OptionCode>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() { Ok(None) } else { OptionCode::try_from(text).map(Some).map_err(serde::de::Error::custom) }
}

impl Config {
    /// Where the daemon listens.
    #[must_use]
    pub(crate) fn socket(&self) -> &Path {
        if self.ipam.daemon_socket_path.as_os_str().is_empty() {
            Path::new(DEFAULT_SOCKET)
        } else {
            &self.ipam.daemon_socket_path
        }
    }

    /// The families to get an address of; IPv4 alone, as in the reference, unless it says otherwise.
    #[must_use]
    pub(crate) fn families(&self) -> Vec<Family> {
        let named: Vec<_> = Family::ALL.into_iter().filter(|family| self.ipam.families.contains(family)).collect();
        if named.is_empty() { vec![Family::V4] } else { named }
    }

    fn request(&self) -> Vec<u8> {
        let mut codes: Vec<u8> =
            self.ipam.request.iter().filter_map(|request| request.option).map(|option| option.0).collect();
        if !self.ipam.request.iter().any(|request| request.skip_default) {
            codes.extend(DEFAULT_REQUEST);
        }
        let mut seen = Vec::new();
        codes.retain(|code| !seen.contains(code) && (seen.push(*code), true).1);
        codes
    }
}

/// What to tell the servers and what to ask of them.
///
/// # Errors
/// A value is too long, or an address cannot be asked for.
pub(crate) fn wishes(network: &Network<Config>) -> Result<Wishes, Error> {
    let ipam = &network.config.ipam;
    let mut provide = Vec::new();
    for provided in &ipam.provide {
        let argument = argument(&network.args, &provided.from_arg);
        // Of both, the container's own counts, which comes last.
        for value in [Some(provided.value.as_str()).filter(|value| !value.is_empty()), argument].into_iter().flatten() {
            if value.len() > MAX_VALUE {
                return Err(Error::ValueTooLong { option: provided.option.0, length: value.len() });
            }
            provide.push((provided.option.0, value.as_bytes().to_vec()));
        }
    }
    Ok(Wishes {
        provide,
        request: network.config.request(),
        priority: (ipam.priority != 0).then_some(ipam.priority),
        suppress_gateway: ipam.suppress.contains(&Suppressed::Gateway),
        addresses: requested(network)?,
    })
}

/// The addresses that the container shall have, from all three places that can say so, one of a family at most.
fn requested(network: &Network<Config>) -> Result<Vec<IpAddr>, Error> {
    let config = &network.config;
    let of_args = argument(&network.args, "IP").filter(|text| !text.is_empty());
    let of_keys = config.args.cni.ips.iter().chain(&config.runtime_config.ips).map(String::as_str);
    let mut requested: Vec<IpAddr> = Vec::new();
    for text in of_args.into_iter().chain(of_keys) {
        let address = parse(text).map_err(|_| Error::NotAnAddress { text: text.into() })?;
        let family = Family::of(address);
        match requested.iter().find(|known| Family::of(**known) == family) {
            Some(known) if *known == address => {}
            Some(known) => return Err(Error::TwoAddresses { family, addresses: [*known, address] }),
            None if config.families().contains(&family) => requested.push(address),
            None => return Err(Error::NoSuchFamily { family, address }),
        }
    }
    Ok(requested)
}

/// An address with or without a prefix length, which is the server's to say.
fn parse(text: &str) -> Result<IpAddr, String> {
    match text.split_once('/') {
        Some((address, prefix)) if prefix.parse::<u8>().is_ok() => ip::parse(address),
        _ => ip::parse(text),
    }
}

/// A value of `CNI_ARGS`, read as the reference does here: whatever is no pair is passed over.
fn argument<'a>(args: &'a Args, key: &str) -> Option<&'a str> {
    let mut pairs = args.as_str().split(';').filter_map(|pair| pair.split_once('='));
    pairs.rfind(|(found, _)| *found == key).map(|(_, value)| value)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn config(ipam: &Value) -> Result<Config, cni_plugin::json::Misfit> {
        cni_plugin::json::from_value(&json!({"ipam": ipam}))
    }

    #[test]
    fn absent_keys_have_the_reference_s_defaults() {
        for nothing in [json!({"type": "dhcp"}), json!({"provide": null, "request": [], "families": []}), json!(null)] {
            let config = config(&nothing).unwrap();
            assert_eq!(config.socket(), Path::new("/run/cni/dhcp.sock"));
            assert_eq!(config.families(), [Family::V4]);
            assert_eq!(config.request(), [3, 1, 6, 15, 119]);
        }
    }

    #[test]
    fn families_have_an_order_of_their_own() {
        let config = config(&json!({"families": ["ipv6", "ipv4", "ipv6"]})).unwrap();
        assert_eq!(config.families(), Family::ALL);
    }

    #[test]
    fn options_go_by_name_or_number() {
        let config = config(&json!({"request": [
            {"option": "121"}, {"option": "routers"}, {"option": "host-name"}, {"option": "", "skipDefault": false},
        ]}));
        assert_eq!(config.unwrap().request(), [121, 3, 12, 1, 6, 15, 119]);
    }

    #[test]
    fn the_default_can_be_skipped() {
        let config = config(&json!({"request": [{"skipDefault": true}, {"option": "subnet-mask"}]})).unwrap();
        assert_eq!(config.request(), [1]);
    }

    #[test]
    fn invalid_values_do_not_become_a_configuration() {
        for bad in [
            json!({"provide": [{"value": "x"}]}),
            json!({"provide": [{"option": "", "value": "x"}]}),
            json!({"provide": [{"option": "256", "value": "x"}]}),
            json!({"provide": [{"option": "-1", "value": "x"}]}),
            json!({"provide": [{"option": 12, "value": "x"}]}),
            json!({"request": [{"option": "domain-name-servers"}]}),
            json!({"priority": -1}),
            json!({"suppress": ["routes"]}),
            json!({"families": ["inet"]}),
        ] {
            assert!(config(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_address_may_carry_a_prefix_length() {
        for text in ["10.5.0.7", "10.5.0.7/24"] {
            assert_eq!(parse(text), Ok(IpAddr::from([10, 5, 0, 7])), "{text}");
        }
        assert!(parse("10.5.0.7/x").is_err() && parse("").is_err());
    }

    #[test]
    fn arguments_are_read_leniently() {
        let args = Args::new("IgnoreUnknown=1;junk;K8S_POD_NAME=old;A=1=2;K8S_POD_NAME=web;B=");
        assert_eq!(argument(&args, "K8S_POD_NAME"), Some("web"));
        assert_eq!(argument(&args, "A"), Some("1=2"));
        assert_eq!(argument(&args, "B"), Some(""));
        assert_eq!(argument(&args, "k8s_pod_name"), None);
        assert_eq!(argument(&Args::default(), ""), None);
    }
}
