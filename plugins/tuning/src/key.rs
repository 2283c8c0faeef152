//! Names of sysctls: the spelling in the configuration, and the path below /proc/sys/net that it stands for.

use std::fmt;

use cni_plugin::IfName;
use serde::Deserialize;

/// Stands for the name of the container's interface. Only its first occurrence is replaced.
const PLACEHOLDER: &str = "IFNAME";

/// A sysctl's name as spelled in the configuration. It cannot refer to anything outside of /proc/sys/net.
///
/// As in sysctl(8), the first separator decides: after a slash only slashes separate, so that a name may have dots in it
/// (`net/ipv4/conf/eth0.100/arp_notify`). After a dot both separate, as in the reference, except in an interface's name:
/// there a slash stands for a dot, again as in sysctl(8) (`net.ipv4.conf.eth0/100.arp_notify`).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Spelling(String);

impl TryFrom<String> for Spelling {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let segments = segments(&text);
        match segments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            ["net", rest @ ..] if !rest.is_empty() => match sysctl::validate(rest) {
                Ok(()) => Ok(Self(text)),
                Err(error) => Err(format!("{text:?} names no sysctl: {error}")),
            },
            _ => Err(format!("{text:?} is not a network's: sysctls that can be set here begin with \"net.\"")),
        }
    }
}

fn segments(text: &str) -> Vec<String> {
    let owned = str::to_owned;
    if text.find(['.', '/']).is_some_and(|first| text[first..].starts_with('/')) {
        return text.split('/').map(owned).collect();
    }
    match text.split('.').collect::<Vec<_>>().as_slice() {
        // No sysctl is six segments deep.
        [net, family, group, interface, name] if interface.contains('/') => {
            vec![owned(net), owned(family), owned(group), interface.replace('/', "."), owned(name)]
        }
        _ => text.split(['.', '/']).map(owned).collect(),
    }
}

impl Spelling {
    /// The spelling in the configuration, which is what the allowlist is matched against.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The sysctl for this interface. An interface's name cannot contain a separator.
    pub(crate) fn resolve(&self, ifname: &IfName) -> Key {
        let below_net = segments(&self.0).into_iter().skip(1);
        let mut is_first = true;
        let fill_in = |segment: String| {
            let here = is_first && segment.contains(PLACEHOLDER);
            is_first &= !here;
            if here { segment.replacen(PLACEHOLDER, ifname.as_str(), 1) } else { segment }
        };
        Key(below_net.map(fill_in).collect())
    }
}

impl fmt::Display for Spelling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A sysctl by its path below /proc/sys/net, segment by segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key(Vec<String>);

impl Key {
    /// The inverse of [`Key`]'s `Display`; `None` for any other text.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let below_net = text.strip_prefix("net/")?;
        Some(Self(below_net.split('/').map(str::to_owned).collect()))
    }

    pub(crate) fn read(&self) -> Result<String, sysctl::Error> {
        sysctl::read(&self.path())
    }

    pub(crate) fn write(&self, value: &str) -> Result<(), sysctl::Error> {
        sysctl::write(&self.path(), value)
    }

    fn path(&self) -> Vec<&str> {
        self.0.iter().map(String::as_str).collect()
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "net/{}", self.0.join("/"))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn resolved(text: &str) -> Option<String> {
        let ifname = IfName::new("eth0.100").unwrap();
        Spelling::try_from(text.to_owned()).ok().map(|spelling| spelling.resolve(&ifname).to_string())
    }

    #[test]
    fn dots_and_slashes_separate_as_in_sysctl_8_and_the_reference() {
        for (text, path) in [
            ("net.ipv4.ip_forward", "net/ipv4/ip_forward"),
            ("net/ipv4/ip_forward", "net/ipv4/ip_forward"),
            ("net.ipv4/ip_forward", "net/ipv4/ip_forward"),
            ("net/ipv4/conf/eth0.7/arp_notify", "net/ipv4/conf/eth0.7/arp_notify"),
            ("net.ipv4/conf/eth0/arp_notify", "net/ipv4/conf/eth0/arp_notify"),
            ("net.ipv4.conf.eth0/7.arp_notify", "net/ipv4/conf/eth0.7/arp_notify"),
            ("net.ipv6.neigh.eth0/7/9.app_solicit", "net/ipv6/neigh/eth0.7.9/app_solicit"),
        ] {
            assert_eq!(resolved(text).as_deref(), Some(path));
        }
    }

    #[test]
    fn the_interface_is_filled_in_once_and_whole() {
        for text in ["net.ipv4.conf.IFNAME.arp_notify", "net/ipv4/conf/IFNAME/arp_notify"] {
            assert_eq!(resolved(text).as_deref(), Some("net/ipv4/conf/eth0.100/arp_notify"));
        }
        assert_eq!(resolved("net.IFNAME.IFNAME").as_deref(), Some("net/eth0.100/IFNAME"));
    }

    #[test]
    fn no_spelling_leads_out_of_proc_sys_net() {
        for text in [
            "",
            "net",
            "net.",
            "net/",
            ".net.ipv4",
            "/net/ipv4/ip_forward",
            "/proc/sys/net/ipv4/ip_forward",
            "kernel.shmmax",
            "kernel/shmmax",
            "NET.ipv4.ip_forward",
            "ｎｅｔ.ipv4.ip_forward",
            "netx.ipv4",
            "net/../kernel/shmmax",
            "net/ipv4/../../kernel/shmmax",
            "net/./ipv4",
            "net//ipv4",
            "net../kernel/shmmax",
            "net.../kernel",
            "net.ipv4/../..kernel",
            "net/ipv4\0/x",
            "../net/ipv4",
            "net.ipv4.conf.//.forwarding",
            "net.ipv4.conf./.forwarding",
            "net.ipv4.conf.eth0/7.a/b",
            "./net/ipv4",
        ] {
            assert_eq!(resolved(text), None, "{text:?}");
        }
        // A dot that looks different is none: the kernel has no such name.
        assert_eq!(resolved("net/\u{2024}\u{2024}/x").as_deref(), Some("net/\u{2024}\u{2024}/x"));
    }

    #[test]
    fn a_key_reads_back() {
        let key = Key::parse("net/ipv4/conf/eth0.100/arp_notify").unwrap();
        assert_eq!(Key::parse(&key.to_string()), Some(key));
        assert_eq!(Key::parse("kernel/shmmax"), None);
    }
}
