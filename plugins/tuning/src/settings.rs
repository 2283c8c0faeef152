//! The values that are tuned: those asked for, those found, and those to restore.

use cni_plugin::{AddResult, Difference, IfName, Network};
use container_interface::mac;
use netlink::{Link, LinkChange, Mac};

use crate::config::Sysctls;
use crate::key::Key;
use crate::{Config, Error};

/// Values of properties and sysctls. A property that is `None` is left alone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) mac: Option<Mac>,
    pub(crate) promisc: Option<bool>,
    pub(crate) mtu: Option<u32>,
    pub(crate) allmulti: Option<bool>,
    pub(crate) tx_queue_len: Option<u32>,
    /// In the order in which they are set.
    pub(crate) sysctls: Vec<(Key, String)>,
}

impl Settings {
    /// The values that the configuration asks for. `args.cni` takes precedence; the hardware address may also come from the
    /// capability `mac`, then from `MAC` in `CNI_ARGS`.
    pub(crate) fn wanted(network: &Network<Config>, ifname: &IfName) -> Result<Self, Error> {
        let config = &network.config;
        let args = &config.args.cni;
        let of_runtime = args.mac.or(config.runtime_config.mac);
        Ok(Self {
            mac: mac::choose(of_runtime, &network.args, config.mac)?,
            promisc: args.promisc.unwrap_or(config.promisc).then_some(true),
            mtu: Some(args.mtu.unwrap_or(config.mtu)).filter(|mtu| *mtu != 0),
            allmulti: args.allmulti.or(config.allmulti),
            tx_queue_len: args.tx_queue_len.or(config.tx_queue_len),
            sysctls: overridden(resolved(&config.sysctl, ifname)?, resolved(&args.sysctl, ifname)?),
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether anything but sysctls is set.
    pub(crate) fn concern_the_link(&self) -> bool {
        self.change() != LinkChange::default()
    }

    /// The properties as one netlink request; sysctls are not part of it.
    pub(crate) fn change(&self) -> LinkChange<'static> {
        LinkChange {
            mac: self.mac,
            promiscuous: self.promisc,
            mtu: self.mtu,
            all_multicast: self.allmulti,
            tx_queue_len: self.tx_queue_len,
            ..LinkChange::default()
        }
    }

    /// The link's present values of the properties that are set here.
    pub(crate) fn of_link(&self, link: &Link) -> Self {
        Self {
            mac: self.mac.and(link.mac),
            promisc: self.promisc.map(|_| link.promiscuous),
            mtu: self.mtu.map(|_| link.mtu),
            allmulti: self.allmulti.map(|_| link.all_multicast),
            tx_queue_len: self.tx_queue_len.map(|_| link.tx_queue_len),
            sysctls: Vec::new(),
        }
    }

    /// These, and those of `others` that are not among them.
    pub(crate) fn or(mut self, others: &Self) -> Self {
        for (key, value) in &others.sysctls {
            if self.sysctl(key).is_none() {
                self.sysctls.push((key.clone(), value.clone()));
            }
        }
        Self {
            mac: self.mac.or(others.mac),
            promisc: self.promisc.or(others.promisc),
            mtu: self.mtu.or(others.mtu),
            allmulti: self.allmulti.or(others.allmulti),
            tx_queue_len: self.tx_queue_len.or(others.tx_queue_len),
            sysctls: self.sysctls,
        }
    }

    /// Each property of the link alone, and no sysctl.
    pub(crate) fn properties_one_by_one(&self) -> [Self; 5] {
        let nothing = Self::default;
        [
            Self { mac: self.mac, ..nothing() },
            Self { promisc: self.promisc, ..nothing() },
            Self { mtu: self.mtu, ..nothing() },
            Self { allmulti: self.allmulti, ..nothing() },
            Self { tx_queue_len: self.tx_queue_len, ..nothing() },
        ]
    }

    /// The previous plugin's result with the hardware address and the MTU that are set here.
    pub(crate) fn shown_in(&self, result: &AddResult, ifname: &IfName) -> AddResult {
        let mut result = result.clone();
        // The host may have an interface with the same name.
        let inside = |name: &str, sandbox: &str| name == ifname.as_str() && !sandbox.is_empty();
        for interface in result.interfaces.iter_mut().filter(|it| inside(&it.name, &it.sandbox)) {
            if let Some(mac) = self.mac {
                interface.mac = mac.to_string();
            }
            interface.mtu = self.mtu.or(interface.mtu);
        }
        result
    }

    /// For CHECK. Write-only sysctls cannot be compared, and are assumed to be right.
    pub(crate) fn compare(&self, found: &Self, ifname: &IfName) -> Result<(), Error> {
        for ((what, expected), (_, found)) in self.properties().into_iter().zip(found.properties()) {
            if let Some(expected) = expected
                && found.as_ref() != Some(&expected)
            {
                let found = found.unwrap_or_else(|| "none".into());
                return Err(Difference::new(format!("{what} of interface {ifname}"), expected, found).into());
            }
        }
        for (key, expected) in &self.sysctls {
            if let Some(found) = found.sysctl(key)
                && !is_same_value(expected, found)
            {
                return Err(Difference::new(format!("sysctl {key}"), expected, found).into());
            }
        }
        Ok(())
    }

    fn sysctl(&self, key: &Key) -> Option<&str> {
        self.sysctls.iter().find(|(other, _)| other == key).map(|(_, value)| value.as_str())
    }

    fn properties(&self) -> [(&'static str, Option<String>); 5] {
        let on_or_off = |is_on| if is_on { "on" } else { "off" }.to_owned();
        [
            ("hardware address", self.mac.map(|mac| mac.to_string())),
            ("promiscuous mode", self.promisc.map(on_or_off)),
            ("MTU", self.mtu.map(|mtu| mtu.to_string())),
            ("all-multicast mode", self.allmulti.map(on_or_off)),
            ("transmit queue length", self.tx_queue_len.map(|length| length.to_string())),
        ]
    }
}

/// The sysctl that each spelling stands for. Two spellings of one sysctl are an error: only one value could be set.
fn resolved(sysctls: &Sysctls, ifname: &IfName) -> Result<Vec<(Key, String)>, Error> {
    let mut keys: Vec<(Key, String)> = Vec::new();
    for (spelling, value) in &sysctls.0 {
        let key = spelling.resolve(ifname);
        if keys.iter().any(|(other, _)| *other == key) {
            return Err(Error::Duplicate { key: key.to_string() });
        }
        keys.push((key, value.clone()));
    }
    Ok(keys)
}

fn overridden(mut sysctls: Vec<(Key, String)>, stronger: Vec<(Key, String)>) -> Vec<(Key, String)> {
    for (key, value) in stronger {
        match sysctls.iter_mut().find(|(other, _)| *other == key) {
            Some((_, weaker)) => *weaker = value,
            None => sysctls.push((key, value)),
        }
    }
    sysctls
}

/// Compares word by word: the kernel separates the numbers of a list by tabs, configurations usually by spaces.
fn is_same_value(one: &str, other: &str) -> bool {
    one.split_whitespace().eq(other.split_whitespace())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use cni_plugin::SpecVersion;
    use serde_json::json;

    fn ifname() -> IfName {
        IfName::new("eth0").unwrap()
    }

    fn sysctls(entries: &[(&str, &str)]) -> Result<Vec<(Key, String)>, Error> {
        let entry = |(key, value): &(&str, &str)| ((*key).to_owned().try_into().unwrap(), (*value).to_owned());
        resolved(&Sysctls(entries.iter().map(entry).collect()), &ifname())
    }

    #[test]
    fn one_sysctl_under_two_spellings_is_refused() {
        let same = [("net.ipv4.conf.IFNAME.arp_notify", "1"), ("net/ipv4/conf/eth0/arp_notify", "0")];
        assert!(matches!(sysctls(&same), Err(Error::Duplicate { .. })));
    }

    #[test]
    fn a_stronger_value_stands_in_its_place() {
        let weak = sysctls(&[("net.a", "1"), ("net.b", "1")]).unwrap();
        let strong = sysctls(&[("net/c", "2"), ("net/a", "2")]).unwrap();
        assert_eq!(overridden(weak, strong), sysctls(&[("net.a", "2"), ("net.b", "1"), ("net.c", "2")]).unwrap());
    }

    #[test]
    fn what_was_first_is_kept() {
        let first = Settings { mtu: Some(1500), sysctls: sysctls(&[("net.a", "1")]).unwrap(), ..Settings::default() };
        let then = Settings {
            mtu: Some(1400),
            allmulti: Some(false),
            sysctls: sysctls(&[("net.b", "2"), ("net.a", "2")]).unwrap(),
            ..Settings::default()
        };
        let both = Settings {
            allmulti: Some(false),
            sysctls: sysctls(&[("net.a", "1"), ("net.b", "2")]).unwrap(),
            ..first.clone()
        };
        assert_eq!(first.or(&then), both);
    }

    #[test]
    fn the_result_has_the_new_values_of_the_containers_interface_only() {
        let result = json!({"interfaces": [
            {"name": "eth0", "mac": "02:00:00:00:00:01", "mtu": 1500},
            {"name": "eth0", "mac": "02:00:00:00:00:02", "mtu": 1500, "sandbox": "/run/netns/c"},
        ]});
        let result = AddResult::from_json(&result, SpecVersion::V1_1_0).unwrap();
        let wanted = Settings { mac: Some(Mac([2; 6])), mtu: Some(1400), ..Settings::default() };
        let shown = wanted.shown_in(&result, &ifname());
        assert_eq!(shown.interfaces[0], result.interfaces[0]);
        assert_eq!((shown.interfaces[1].mac.as_str(), shown.interfaces[1].mtu), ("02:02:02:02:02:02", Some(1400)));
        assert_eq!(Settings::default().shown_in(&result, &ifname()), result);
    }

    #[test]
    fn only_what_is_wanted_is_compared() {
        let wanted =
            Settings { mtu: Some(1400), sysctls: sysctls(&[("net.a", "1 2")]).unwrap(), ..Settings::default() };
        let found = |mtu, value| {
            let found = Settings { mtu, sysctls: sysctls(&[("net.a", value)]).unwrap(), ..Settings::default() };
            wanted.compare(&found, &ifname()).map_err(|error| error.to_string())
        };
        assert_eq!(found(Some(1400), "1\t2"), Ok(()));
        assert_eq!(found(Some(1500), "1 2").unwrap_err(), "MTU of interface eth0 differs: expected 1400, found 1500");
        assert_eq!(found(Some(1400), "1 3").unwrap_err(), "sysctl net/a differs: expected 1 2, found 1 3");
        let promiscuous = Settings { promisc: Some(true), ..wanted.clone() };
        assert!(wanted.compare(&promiscuous, &ifname()).is_ok(), "what others set is theirs");
    }
}
