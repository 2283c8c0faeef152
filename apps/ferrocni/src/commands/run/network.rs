//! `--network`.

use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ::names::Name;
use cni::IfName;
use netlink::Mac;

use crate::attachments::LOOPBACK;

/// A network that the container is attached to, and how.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Attach {
    pub(super) network: String,
    pub(super) ipv4: Option<Ipv4Addr>,
    pub(super) ipv6: Option<Ipv6Addr>,
    pub(super) mac: Option<Mac>,
    pub(super) aliases: Vec<Name>,
    /// The default routes of the network with the greatest come first.
    pub(super) gateway_priority: i32,
    pub(super) interface: Option<IfName>,
}

impl Attach {
    pub(super) fn to(network: &str) -> Self {
        Self { network: network.to_owned(), ..Self::default() }
    }

    pub(super) fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.ipv4.map(IpAddr::from).into_iter().chain(self.ipv6.map(IpAddr::from))
    }

    /// What options beside `--network` say.
    pub(super) fn add(
        &mut self,
        ipv4: Option<Ipv4Addr>,
        ipv6: Option<Ipv6Addr>,
        mac: Option<Mac>,
    ) -> Result<(), String> {
        ipv4.map_or(Ok(()), |address| set_once(&mut self.ipv4, "ip", address))?;
        ipv6.map_or(Ok(()), |address| set_once(&mut self.ipv6, "ip6", address))?;
        mac.map_or(Ok(()), |address| set_once(&mut self.mac, "mac", address))
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        match key {
            "name" => self.network = value.to_owned(),
            "ip" => set_once(&mut self.ipv4, key, read(value, "an IPv4 address")?)?,
            "ip6" => set_once(&mut self.ipv6, key, read(value, "an IPv6 address")?)?,
            "mac" | "mac-address" => set_once(&mut self.mac, key, read(value, "a hardware address")?)?,
            "alias" => self.aliases.push(Name::new(value).map_err(|error| error.to_string())?),
            "gw-priority" => self.gateway_priority = read(value, "a number")?,
            "interface" | "interface_name" => set_once(&mut self.interface, key, interface(value)?)?,
            _ => return Err(format!("{key:?} is not known: use ip, ip6, mac, alias, gw-priority, interface")),
        }
        Ok(())
    }
}

/// An attachment has one of each: neither of two is taken silently.
fn set_once<T: PartialEq + Display>(place: &mut Option<T>, key: &str, value: T) -> Result<(), String> {
    match place {
        Some(other) if *other != value => {
            Err(format!("{key} is given twice, as {other} and as {value}: leave one of them out"))
        }
        _ => {
            *place = Some(value);
            Ok(())
        }
    }
}

fn interface(name: &str) -> Result<IfName, String> {
    match IfName::new(name).map_err(|error| error.to_string())? {
        // Deleting the attachment would be deleting that.
        name if name.as_str() == LOOPBACK => {
            Err(format!("a container has an interface {name} already: choose another, or leave it out"))
        }
        name => Ok(name),
    }
}

fn read<T: FromStr>(value: &str, what: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("{value:?} is not {what}"))
}

/// `NAME`, `NAME:KEY=VALUE,…`, and Docker's `name=NAME,KEY=VALUE,…`.
impl FromStr for Attach {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, options) = match text.split_once(':') {
            _ if text.starts_with("name=") => ("", text),
            Some((name, options)) => (name, options),
            None => (text, ""),
        };
        let mut attach = Self::to(name);
        for option in options.split(',').filter(|option| !option.is_empty()) {
            let (key, value) = option.split_once('=').ok_or_else(|| format!("{option:?} is not KEY=VALUE"))?;
            attach.set(key, value)?;
        }
        if attach.network.is_empty() { Err("it names no network".to_owned()) } else { Ok(attach) }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_of_writing_mean_the_same() {
        let expected = Attach {
            network: "web".into(),
            ipv4: Some(Ipv4Addr::new(10, 1, 0, 5)),
            ipv6: Some("fd00::5".parse().unwrap()),
            mac: Some("02:00:00:00:00:05".parse().unwrap()),
            aliases: vec!["a".parse().unwrap(), "b".parse().unwrap()],
            gateway_priority: -1,
            interface: Some(IfName::new("lan").unwrap()),
        };
        let options = "ip=10.1.0.5,ip6=fd00::5,mac=02:00:00:00:00:05,alias=a,alias=b,gw-priority=-1,interface=lan";
        assert_eq!(format!("web:{options}").parse(), Ok(expected.clone()));
        assert_eq!(format!("name=web,{options}").parse(), Ok(expected));
        assert_eq!("web".parse(), Ok(Attach::to("web")));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for text in [
            "",
            ":ip=10.1.0.5",
            "web:ip",
            "web:ip=::1",
            "web:ip6=10.1.0.1",
            "web:mac=x",
            "web:mtu=1",
            "web:interface=a/b",
            "web:interface=lo",
            "web:ip=10.1.0.5,ip=10.1.0.6",
            "web:ip6=fd00::5,ip6=fd00::6",
            "web:mac=02:00:00:00:00:05,mac-address=02:00:00:00:00:06",
            "web:interface=a,interface=b",
            "web:alias=a/b",
        ] {
            assert!(text.parse::<Attach>().is_err(), "{text}");
        }
    }
}
