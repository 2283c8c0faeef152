//! The options of `network create -o`: ours, and what people bring along from Docker and Podman.

use std::collections::BTreeMap;
use std::net::IpAddr;

use cni::{IfName, LinkName};

use super::Driver;

/// What the options ask for.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Options {
    /// The bridge's name, if it is not to be derived.
    pub(crate) bridge: Option<IfName>,
    /// The link of the host that containers' interfaces are on.
    pub(crate) parent: Option<LinkName>,
    /// In bytes.
    pub(crate) mtu: Option<u32>,
    /// IEEE 802.1Q tag of a bridge's ports.
    pub(crate) vlan: Option<u16>,
    /// Of macvlan and ipvlan.
    pub(crate) mode: Option<String>,
    /// Containers of the network reach each other.
    pub(crate) icc: bool,
    /// Containers reach elsewhere under an address of the host.
    pub(crate) masquerade: bool,
    /// Ports that no container publishes can be reached from other machines.
    pub(crate) unpublished_ports: bool,
    /// Where published ports listen that do not say it.
    pub(crate) host_ip: Option<IpAddr>,
    /// Nothing of an overlay network travels in clear.
    pub(crate) encrypted: bool,
    /// Every host answers the ports that containers of an overlay network publish.
    pub(crate) ingress: bool,
    /// Prefix length of the blocks in which an overlay network's IPv4 addresses come to hosts.
    pub(crate) block_length: Option<u8>,
    /// Containers get no default route.
    pub(crate) no_default_route: bool,
    /// Containers are answered for names whichever server they ask.
    pub(crate) intercept: bool,
}

/// An option that cannot be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OptionError {
    #[error("option {0:?} is not known with driver {1}: {known}", known = known(*.1))]
    Unknown(String, Driver),
    #[error("option {key} cannot be {value:?}: {rule}")]
    Value { key: String, value: String, rule: String },
}

/// The options of each driver, for those who have mistaken one.
fn known(driver: Driver) -> &'static str {
    match driver {
        Driver::Bridge => {
            "there are bridge, mtu, vlan, icc, masquerade, gateway_mode, host_binding_ipv4, no_default_route, intercept"
        }
        Driver::Macvlan => "there are parent, mtu, mode (bridge, private, vepa, passthru), no_default_route, intercept",
        Driver::Ipvlan => "there are parent, mtu, mode (l2, l3, l3s), no_default_route, intercept",
        Driver::Overlay => "there are encrypted, ingress, mtu, block_length, masquerade, intercept",
    }
}

const MACVLAN_MODES: [&str; 4] = ["bridge", "private", "vepa", "passthru"];
const IPVLAN_MODES: [&str; 3] = ["l2", "l3", "l3s"];

impl Options {
    /// Reads `key=value` pairs for a network of that driver.
    ///
    /// # Errors
    /// The first one that is not known, or whose value cannot be.
    pub(crate) fn read(driver: Driver, pairs: &BTreeMap<String, String>) -> Result<Self, OptionError> {
        let mut options = Self { icc: true, masquerade: true, ..Self::default() };
        for (key, value) in pairs {
            options.set(driver, key, value)?;
        }
        Ok(options)
    }

    fn set(&mut self, driver: Driver, written: &str, value: &str) -> Result<(), OptionError> {
        let invalid = |rule: String| OptionError::Value { key: written.to_owned(), value: value.to_owned(), rule };
        let flag = || flag(value).ok_or_else(|| invalid("it is true or false".to_owned()));
        match (driver, canonical(written)) {
            (Driver::Bridge, "bridge") => self.bridge = Some(value.parse().map_err(|error| rule(error, invalid))?),
            (Driver::Macvlan | Driver::Ipvlan, "parent") => {
                self.parent = Some(value.parse().map_err(|error| rule(error, invalid))?);
            }
            (_, "mtu") => self.mtu = mtu(value).map_err(invalid)?,
            (Driver::Bridge, "vlan") => {
                self.vlan = Some(vlan(value).ok_or_else(|| invalid("it is 1 to 4094".to_owned()))?);
            }
            (Driver::Macvlan, "mode") => self.mode = Some(one_of(value, &MACVLAN_MODES).map_err(invalid)?),
            (Driver::Ipvlan, "mode") => self.mode = Some(one_of(value, &IPVLAN_MODES).map_err(invalid)?),
            (Driver::Bridge, "icc") => self.icc = flag()?,
            // Podman's: its networks are kept apart all the same.
            (Driver::Bridge, "isolate") => drop(flag()?),
            (Driver::Bridge | Driver::Overlay, "masquerade") => self.masquerade = flag()?,
            // Docker's has no value.
            (Driver::Overlay, "encrypted") => self.encrypted = value.is_empty() || flag()?,
            (Driver::Overlay, "ingress") => self.ingress = value.is_empty() || flag()?,
            (Driver::Overlay, "block_length") => {
                self.block_length = Some(value.parse().map_err(|_| invalid("it is a prefix length".to_owned()))?);
            }
            (Driver::Bridge, "gateway_mode") => self.set_gateway_mode(value).map_err(invalid)?,
            (Driver::Bridge, "host_binding_ipv4") => {
                self.host_ip = Some(value.parse().map_err(|_| invalid("it is an address".to_owned()))?);
            }
            (Driver::Bridge | Driver::Macvlan | Driver::Ipvlan, "no_default_route") => self.no_default_route = flag()?,
            (_, "intercept") => self.intercept = flag()?,
            _ => return Err(OptionError::Unknown(written.to_owned(), driver)),
        }
        Ok(())
    }

    /// Docker's modes: who may reach what, and under which addresses.
    fn set_gateway_mode(&mut self, mode: &str) -> Result<(), String> {
        (self.masquerade, self.unpublished_ports) = match mode {
            "nat" => (true, false),
            "nat-unprotected" => (true, true),
            "routed" => (false, true),
            _ => return Err("it is nat, nat-unprotected or routed".to_owned()),
        };
        Ok(())
    }
}

/// Our spelling of Docker's and Podman's options.
fn canonical(key: &str) -> &str {
    match key {
        "com.docker.network.bridge.name" | "bridge_name" | "interface_name" => "bridge",
        "com.docker.network.driver.mtu" | "com.docker.network.mtu" => "mtu",
        "com.docker.network.bridge.enable_icc" => "icc",
        "com.docker.network.bridge.enable_ip_masquerade" | "enable_ip_masquerade" => "masquerade",
        "com.docker.network.bridge.gateway_mode_ipv4" | "com.docker.network.bridge.gateway_mode_ipv6" => "gateway_mode",
        "com.docker.network.bridge.host_binding_ipv4" => "host_binding_ipv4",
        "ipvlan_mode" | "macvlan_mode" => "mode",
        _ => key,
    }
}

fn rule(error: impl std::fmt::Display, invalid: impl FnOnce(String) -> OptionError) -> OptionError {
    invalid(error.to_string())
}

fn flag(value: &str) -> Option<bool> {
    match value {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}

/// 0 is the default, as the plugins have it; IPv4 does not work with less than the least.
fn mtu(value: &str) -> Result<Option<u32>, String> {
    match value.parse() {
        Ok(0) => Ok(None),
        Ok(bytes @ 68..=65535) => Ok(Some(bytes)),
        _ => Err("it is 68 to 65535 bytes, or 0 for the default".to_owned()),
    }
}

fn vlan(value: &str) -> Option<u16> {
    value.parse().ok().filter(|id| (1..=4094).contains(id))
}

fn one_of(value: &str, words: &[&str]) -> Result<String, String> {
    if words.contains(&value) { Ok(value.to_owned()) } else { Err(format!("it is {}", words.join(", "))) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn read(driver: Driver, pairs: &[(&str, &str)]) -> Result<Options, OptionError> {
        Options::read(driver, &pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn dockers_spellings_mean_the_same_as_ours() {
        for [docker, ours] in [
            ["com.docker.network.bridge.name=br9", "bridge=br9"],
            ["com.docker.network.driver.mtu=1400", "mtu=1400"],
            ["com.docker.network.bridge.enable_icc=false", "icc=false"],
            ["com.docker.network.bridge.enable_ip_masquerade=false", "masquerade=false"],
            ["com.docker.network.bridge.gateway_mode_ipv4=routed", "gateway_mode=routed"],
        ] {
            let [docker, ours] =
                [docker, ours].map(|pair| read(Driver::Bridge, &[pair.split_once('=').unwrap()]).unwrap());
            assert_eq!(docker, ours);
            assert_ne!(ours, read(Driver::Bridge, &[]).unwrap());
        }
    }

    #[test]
    fn an_mtu_of_0_is_the_default() {
        for (value, bytes) in [("0", None), ("68", Some(68)), ("65535", Some(65535))] {
            assert_eq!(read(Driver::Bridge, &[("mtu", value)]).unwrap().mtu, bytes);
        }
    }

    #[test]
    fn what_a_driver_does_not_have_is_refused() {
        for (driver, key) in
            [(Driver::Bridge, "parent"), (Driver::Macvlan, "icc"), (Driver::Ipvlan, "bridge"), (Driver::Bridge, "x")]
        {
            assert!(matches!(read(driver, &[(key, "1")]), Err(OptionError::Unknown(..))), "{key}");
        }
    }

    #[test]
    fn a_value_that_cannot_be_is_refused_with_its_rule() {
        for (driver, key, value) in [
            (Driver::Bridge, "vlan", "0"),
            (Driver::Bridge, "vlan", "4095"),
            (Driver::Bridge, "mtu", "big"),
            (Driver::Bridge, "mtu", "67"),
            (Driver::Macvlan, "mtu", "65536"),
            (Driver::Bridge, "bridge", "a/b"),
            (Driver::Macvlan, "mode", "l2"),
            (Driver::Ipvlan, "mode", "bridge"),
            (Driver::Bridge, "icc", "yes"),
            (Driver::Bridge, "gateway_mode", "open"),
        ] {
            let error = read(driver, &[(key, value)]).unwrap_err().to_string();
            assert!(error.contains(key) && error.contains(value), "{error}");
        }
    }
}
