use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::mtu;

/// As long as a host name may be (RFC 1035, section 2.3.4).
const LONGEST_NAME: usize = 253;

/// What other hosts have to know of one (`hosts/<id>`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Host {
    /// Its name, for people.
    pub name: String,
    /// Where other hosts reach it, one address for each family, the preferred one first.
    pub underlay: Vec<IpAddr>,
    /// The largest packet that its link there carries, in bytes.
    pub mtu: u32,
    /// How it encrypts; `None` if its kernel cannot.
    pub wireguard: Option<WireGuard>,
}

/// A host's end of encrypted links.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WireGuard {
    /// Its public key, as `wg` writes it.
    pub public_key: String,
    /// The UDP port that it listens on.
    pub port: u16,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    name: String,
    underlay: Vec<IpAddr>,
    mtu: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    wireguard: Option<WireGuard>,
}

impl Host {
    /// Where a host whose own underlay address is `from` reaches this one: the families have to agree.
    #[must_use]
    pub fn reached_from(&self, from: IpAddr) -> Option<IpAddr> {
        self.underlay.iter().copied().find(|address| address.is_ipv4() == from.is_ipv4())
    }
}

impl TryFrom<Written> for Host {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let Written { name, underlay, mtu, wireguard } = written;
        let is_plain = |char: char| char.is_ascii_alphanumeric() || matches!(char, '.' | '-' | '_');
        if name.is_empty() || name.len() > LONGEST_NAME || !name.chars().all(is_plain) {
            return Err("its name is no host name".to_owned());
        }
        let is_address = |ip: &IpAddr| !(ip.is_unspecified() || ip.is_multicast() || ip.is_loopback());
        let of_ipv4 = underlay.iter().filter(|address| address.is_ipv4()).count();
        if underlay.is_empty() || of_ipv4 > 1 || underlay.len() - of_ipv4 > 1 || !underlay.iter().all(is_address) {
            return Err("its underlay is not one unicast address for a family, or for each".to_owned());
        }
        if !(mtu::SMALLEST..=mtu::LARGEST).contains(&mtu) {
            return Err(format!("its mtu is not between {} and {}", mtu::SMALLEST, mtu::LARGEST));
        }
        if let Some(wireguard) = &wireguard {
            check_key(&wireguard.public_key)?;
        }
        Ok(Self { name, underlay, mtu, wireguard })
    }
}

/// 32 bytes in base64 (RFC 4648, section 4), of whose last letter four bits count.
fn check_key(text: &str) -> Result<(), String> {
    let is_digit = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    let digits = text.strip_suffix('=').unwrap_or_default();
    if digits.len() == 43 && digits.bytes().all(is_digit) && digits.ends_with(|last| "AEIMQUYcgkosw048".contains(last))
    {
        Ok(())
    } else {
        Err("its WireGuard key is not 32 bytes in base64".to_owned())
    }
}

impl From<Host> for Written {
    fn from(host: Host) -> Self {
        let Host { name, underlay, mtu, wireguard } = host;
        Self { name, underlay, mtu, wireguard }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn host(change: impl FnOnce(&mut Value)) -> Result<Host, serde_json::Error> {
        let mut value = json!({
            "name": "node-1", "underlay": ["192.0.2.1", "2001:db8::1"], "mtu": 1500,
            "wireguard": {"publicKey": "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=", "port": 51871}
        });
        change(&mut value);
        serde_json::from_value(value)
    }

    #[test]
    fn a_host_is_reached_by_an_address_of_the_same_family() {
        let both = host(|_| {}).unwrap();
        assert_eq!(both.reached_from("192.0.2.9".parse().unwrap()), Some("192.0.2.1".parse().unwrap()));
        assert_eq!(both.reached_from("2001:db8::9".parse().unwrap()), Some("2001:db8::1".parse().unwrap()));
        let one = host(|host| host["underlay"] = json!(["192.0.2.1"])).unwrap();
        assert_eq!(one.reached_from("2001:db8::9".parse().unwrap()), None);
    }

    #[test]
    fn what_cannot_be_a_host_is_refused() {
        for (key, wrong) in [
            ("name", json!("n".repeat(10_000))),
            ("name", json!("a\u{1b}[2J")),
            ("underlay", json!([])),
            ("underlay", json!(["127.0.0.1"])),
            ("underlay", json!(["192.0.2.1", "192.0.2.2"])),
            ("underlay", json!(["224.0.0.1"])),
            ("mtu", json!(68)),
            ("wireguard", json!({"publicKey": "short", "port": 1})),
            ("wireguard", json!({"publicKey": "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dh=", "port": 1})),
        ] {
            assert!(host(|host| host[key] = wrong.clone()).is_err(), "{key} {wrong}");
        }
    }
}
