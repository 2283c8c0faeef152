use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use cni_plugin::{Dns, LinkName, json};
use netlink::HardwareAddress;
use serde::Deserialize;

use crate::Error;

/// The keys of a `host-device` network; see the README for what they do.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Config {
    #[serde(deserialize_with = "json::unless_empty")]
    device: Option<DeviceName>,
    #[serde(deserialize_with = "json::unless_empty")]
    hwaddr: Option<DeviceAddress>,
    #[serde(deserialize_with = "json::unless_empty")]
    kernelpath: Option<KernelPath>,
    #[serde(rename = "pciBusID", deserialize_with = "json::unless_empty")]
    pci_bus_id: Option<PciAddress>,
    #[serde(rename = "runtimeConfig")]
    runtime_config: RuntimeConfig,
    capabilities: Capabilities,
    enabledad: Option<bool>,
    #[serde(rename = "routerAdvertisements")]
    pub(crate) router_advertisements: Option<bool>,
    pub(crate) dns: Dns,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RuntimeConfig {
    #[serde(rename = "deviceID", deserialize_with = "json::unless_empty")]
    device_id: Option<DeviceId>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Capabilities {
    #[serde(rename = "deviceID")]
    device_id: bool,
}

/// By what the configuration knows the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Selector<'a> {
    /// `device`: its name on the host, or an alternative name.
    Name(&'a LinkName),
    /// `hwaddr`: its hardware address, of 6, 8 or 20 bytes.
    Address(&'a HardwareAddress),
    /// `kernelpath`: its folder below /sys/devices.
    Path(&'a Path),
    /// `pciBusID`: its address on the PCI bus.
    Pci(&'a PciAddress),
    /// The capability `deviceID`: its name on the PCI or the auxiliary bus, as a device plugin assigned it to the container.
    Id(&'a DeviceId),
}

impl Config {
    /// The one device that the network is about. What the runtime assigned to this container goes before what the
    /// configuration says of all of them.
    pub(crate) fn selector(&self) -> Result<Selector<'_>, Error> {
        if let Some(id) = &self.runtime_config.device_id {
            return Ok(Selector::Id(id));
        }
        let given = [
            ("device", self.device.as_ref().map(|name| Selector::Name(&name.0))),
            ("hwaddr", self.hwaddr.as_ref().map(|address| Selector::Address(&address.0))),
            ("kernelpath", self.kernelpath.as_ref().map(|path| Selector::Path(&path.0))),
            ("pciBusID", self.pci_bus_id.as_ref().map(Selector::Pci)),
        ];
        let mut given = given.into_iter().filter_map(|(key, selector)| Some((key, selector?)));
        match (given.next(), given.next()) {
            (None, _) => Err(Error::NoSelector),
            (Some((_, selector)), None) => Ok(selector),
            (Some((first, _)), Some((second, _))) => Err(Error::TwoSelectors { first, second }),
        }
    }

    /// Whether to look for other owners of IPv6 addresses. Others are on the wire, with addresses that are not known here.
    pub(crate) fn detect_duplicates(&self) -> bool {
        self.enabledad.unwrap_or(true)
    }

    /// Which device it will be is for the runtime to say, with each ADD.
    pub(crate) fn leaves_it_to_the_runtime(&self) -> bool {
        self.capabilities.device_id && matches!(self.selector(), Err(Error::NoSelector))
    }
}

/// The name of a link that can be moved.
#[derive(Debug)]
struct DeviceName(LinkName);

impl FromStr for DeviceName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "lo" {
            return Err("every namespace keeps its own lo: name another device".to_owned());
        }
        LinkName::new(text).map(Self).map_err(|error| error.to_string())
    }
}

/// A hardware address that tells a link from others.
#[derive(Debug)]
struct DeviceAddress(HardwareAddress);

impl FromStr for DeviceAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let address: HardwareAddress = text.parse().map_err(|error: netlink::InvalidMac| error.to_string())?;
        if address.0.iter().all(|octet| *octet == 0) {
            return Err(format!("{text} is no device's address: lo and others without one have it"));
        }
        Ok(Self(address))
    }
}

/// A folder below /sys/devices.
#[derive(Debug)]
struct KernelPath(PathBuf);

impl FromStr for KernelPath {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let path = Path::new(text);
        let inside = path.strip_prefix("/sys/devices").is_ok_and(|rest| {
            rest.components().next().is_some() && rest.components().all(|part| matches!(part, Component::Normal(_)))
        });
        // A path with a dot in it would be something else than it says after a link in between; NUL ends it early.
        if !inside || text.split('/').any(|part| part == ".") || text.contains('\0') {
            return Err(format!(
                "{text:?} is not a device: write its path below /sys/devices, without . or .., \
                 such as /sys/devices/pci0000:00/0000:00:1f.6"
            ));
        }
        Ok(Self(path.to_owned()))
    }
}

/// Domain, bus, device and function, as in `0000:00:1f.6`, in the form that names its folder in sysfs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PciAddress(String);

impl PciAddress {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PciAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not a PCI address: write it as `lspci -D` does, such as 0000:00:1f.6");
        let is_hex = |part: &str, lengths: std::ops::RangeInclusive<usize>| {
            lengths.contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_hexdigit())
        };
        let mut parts = text.split(':');
        let (Some(domain), Some(bus), Some(rest), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(wrong());
        };
        let (device, function) = rest.split_once('.').ok_or_else(wrong)?;
        let is_function = function.len() == 1 && function.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
        // Controllers that make a domain of their own (VMD) number it beyond four digits.
        if is_hex(domain, 4..=8) && is_hex(bus, 2..=2) && is_hex(device, 2..=2) && is_function {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            Err(wrong())
        }
    }
}

/// The name of a device on its bus: `0000:00:1f.6`, `mlx5_core.sf.4`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeviceId(String);

impl DeviceId {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for DeviceId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if matches!(text, "." | "..") || text.contains(['/', '\0']) {
            return Err(format!(
                "{text:?} is not a device: it is called as on the PCI or the auxiliary bus, such as 0000:00:1f.6 or mlx5_core.sf.4"
            ));
        }
        Ok(Self(text.to_owned()))
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
    fn exactly_one_key_selects_the_device() {
        assert!(matches!(config(&json!({})).unwrap().selector(), Err(Error::NoSelector)));
        assert!(matches!(config(&json!({"device": ""})).unwrap().selector(), Err(Error::NoSelector)));
        let two = config(&json!({"device": "ens1", "pciBusID": "0000:00:1f.6"})).unwrap();
        assert!(matches!(two.selector(), Err(Error::TwoSelectors { first: "device", second: "pciBusID" })));
        let one = config(&json!({"device": "ens1", "hwaddr": "", "kernelPath": null})).unwrap();
        assert!(matches!(one.selector(), Ok(Selector::Name(name)) if name.as_str() == "ens1"));
    }

    #[test]
    fn what_the_runtime_assigned_comes_first() {
        let both = json!({"device": "ens1", "runtimeConfig": {"deviceID": "mlx5_core.sf.4"}});
        assert!(matches!(config(&both).unwrap().selector(), Ok(Selector::Id(id)) if id.as_str() == "mlx5_core.sf.4"));
    }

    #[test]
    fn a_network_may_leave_its_device_to_the_runtime() {
        let leaves = |value| config(&value).unwrap().leaves_it_to_the_runtime();
        assert!(leaves(json!({"capabilities": {"deviceID": true}})));
        assert!(!leaves(json!({"capabilities": {"deviceID": false}})));
        assert!(!leaves(json!({"capabilities": {"deviceID": true}, "device": "ens1"})));
    }

    #[test]
    fn a_pci_address_is_what_sysfs_calls_it() {
        for (text, name) in
            [("0000:00:1f.6", "0000:00:1f.6"), ("0000:AF:00.1", "0000:af:00.1"), ("10000:e1:00.0", "10000:e1:00.0")]
        {
            assert_eq!(text.parse::<PciAddress>().unwrap().as_str(), name);
        }
        for bad in
            ["00:1f.6", "0000:00:1f", "0000:00:1f.8", "0000:00:1f.60", "../..", "0000:00:1f.6/..", "0000:00:zz.0"]
        {
            assert!(bad.parse::<PciAddress>().is_err(), "{bad}");
        }
    }

    #[test]
    fn invalid_values_do_not_become_a_configuration() {
        for bad in [
            json!({"device": "lo"}),
            json!({"device": "a/b"}),
            json!({"hwaddr": "02:00"}),
            json!({"hwaddr": "00:00:00:00:00:00"}),
            json!({"kernelpath": "/sys/class/net/ens1"}),
            json!({"kernelpath": "/sys/devices"}),
            json!({"kernelpath": "/sys/devices/"}),
            json!({"kernelpath": "/sys/devices/../class"}),
            json!({"kernelpath": "/sys/devices/a/./b"}),
            json!({"kernelpath": "/sys/devicesx/a"}),
            json!({"kernelpath": "sys/devices/a"}),
            json!({"pciBusID": "../.."}),
            json!({"runtimeConfig": {"deviceID": "../.."}}),
            json!({"runtimeConfig": {"deviceID": ".."}}),
        ] {
            assert!(config(&bad).is_err(), "{bad}");
        }
        assert!(config(&json!({"kernelpath": "/sys/devices/pci0000:00/0000:00:1f.6"})).is_ok());
    }
}
