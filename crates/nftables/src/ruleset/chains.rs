//! Chains that exist only while an element leads to them: one for each subnet or bridge that needs it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnetwork::{IpNetwork, Ipv4Network, Ipv6Network};
use nfnetlink::Message;

use super::element::Confinement;
use super::sets::{self, ISOLATED_BRIDGES};
use super::{INET, SHARED_LABEL};
use crate::expression::{Expressions, Side, Version, interface_name};
use crate::object::{Held, del_rules, new_chain, new_element, new_rule};

/// The skeleton's chain for addresses all of whose published connections are masqueraded.
pub(super) const MASQUERADE_PUBLISHED: &str = "masquerade-published";
const MASQUERADE: &str = "masquerade-";
const SNAT: &str = "snat-";
const HAIRPIN: &str = "hairpin-";
const TO: &str = "to-";
const APART: &str = "apart-";
const INTERNAL: &str = "internal-";

/// The on-demand chain that an element leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum OnDemand {
    /// Masquerades what leaves the subnet.
    Masquerade(IpNetwork),
    /// Gives what leaves the subnet this source.
    Snat(IpNetwork, IpAddr),
    /// Masquerades what reaches a published port from the subnet or from the host's loopback.
    Hairpin(IpNetwork),
    /// Drops what does not come from this bridge.
    ToBridge(String),
    /// Drops what has to do with containers that are not on this link, or with anyone who is not.
    Confined(Confinement, String),
}

impl OnDemand {
    /// The chain of this name, if it is one of those above.
    pub(super) fn named(name: &str) -> Option<Self> {
        let subnet = |subnet: &str| subnet.replace('_', ":").parse().ok();
        if let Some(rest) = name.strip_prefix(MASQUERADE) {
            subnet(rest).map(Self::Masquerade)
        } else if let Some(rest) = name.strip_prefix(HAIRPIN) {
            subnet(rest).map(Self::Hairpin)
        } else if let Some((of, source)) = name.strip_prefix(SNAT).and_then(|rest| rest.rsplit_once('-')) {
            Some(Self::Snat(subnet(of)?, source.replace('_', ":").parse().ok()?))
        } else if let Some(link) = name.strip_prefix(APART) {
            unescape(link).map(|link| Self::Confined(Confinement::Apart, link))
        } else if let Some(link) = name.strip_prefix(INTERNAL) {
            unescape(link).map(|link| Self::Confined(Confinement::Internal, link))
        } else {
            bridge_of(name).map(Self::ToBridge)
        }
    }

    /// Its name, which nft can read: letters, digits and `/ - _ .` after a letter. Different chains have
    /// different names: IPv6's colons become underscores, which no address contains.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Masquerade(subnet) => format!("{MASQUERADE}{}", subnet.to_string().replace(':', "_")),
            Self::Snat(subnet, source) => format!("{SNAT}{subnet}-{source}").replace(':', "_"),
            Self::Hairpin(subnet) => format!("{HAIRPIN}{}", subnet.to_string().replace(':', "_")),
            Self::ToBridge(bridge) => format!("{TO}{}", escape(bridge)),
            Self::Confined(Confinement::Apart, link) => format!("{APART}{}", escape(link)),
            Self::Confined(Confinement::Internal, link) => format!("{INTERNAL}{}", escape(link)),
        }
    }

    /// The messages that add the chain's rules, in their order in the chain.
    pub(super) fn rules(&self) -> Vec<Message> {
        let name = self.name();
        match self {
            Self::Masquerade(subnet) => leaving(&name, *subnet, |rule| {
                rule.masquerade();
            }),
            Self::Snat(subnet, source) => leaving(&name, *subnet, |rule| rule.snat(*source)),
            Self::Hairpin(subnet) => vec![
                new_rule(INET, &name, |rule| rule.address_in(Side::Source, *subnet).masquerade()),
                new_rule(INET, &name, |rule| rule.address_in(Side::Source, loopback(*subnet)).masquerade()),
            ],
            Self::Confined(to, link) => Self::confining(&name, *to, link),
            Self::ToBridge(bridge) => vec![
                new_rule(INET, &name, |rule| rule.iifname(bridge).return_()),
                new_rule(INET, &name, |rule| {
                    rule.drop();
                }),
            ],
        }
    }

    /// What stays on the link passes; then comes the confinement. Bridged packets pass under the name of the bridge, whatever their
    /// VLAN is.
    fn confining(name: &str, to: Confinement, link: &str) -> Vec<Message> {
        let stays = |link: &str| new_rule(INET, name, |rule| rule.iifname(link).oifname(link).return_());
        let mut rules: Vec<_> = std::iter::once(link).chain(bridge_of_vlan(link)).map(stays).collect();
        match to {
            Confinement::Internal => rules.push(new_rule(INET, name, |rule| {
                rule.drop();
            })),
            Confinement::Apart => {
                rules.push(new_rule(INET, name, |rule| rule.ct_state_established_or_related().return_()));
                rules.push(new_rule(INET, name, |rule| rule.ct_status_dnat().return_()));
                rules.extend(Version::BOTH.map(|version| {
                    let members = sets::members(version).name;
                    new_rule(INET, name, |rule| {
                        rule.address_in_set(Side::Source, version, members);
                        rule.address_in_set(Side::Destination, version, members).drop();
                    })
                }));
            }
        }
        rules
    }

    /// The messages that make it, or that make an existing one whole again, unless it is known that there is none: to remove nothing
    /// is work for the kernel, and looks like work that it does afterwards. An isolated bridge becomes one by the same transaction, so
    /// the chain's existence tells both.
    pub(super) fn create(&self, is_absent: bool) -> Vec<Message> {
        let name = self.name();
        let mut messages = vec![new_chain(INET, &name, None)];
        if !is_absent {
            messages.push(del_rules(INET, &name));
        }
        messages.extend(self.rules());
        if let Self::ToBridge(bridge) = self {
            let (key, label) = (interface_name(bridge).to_vec(), SHARED_LABEL.to_owned());
            let held = Held { key, data: None, label, link: None };
            messages.push(new_element(ISOLATED_BRIDGES.place(), &held, true));
        }
        messages
    }
}

/// The rules that do something to what leaves a subnet.
fn leaving(chain: &str, subnet: IpNetwork, act: impl FnOnce(&mut Expressions<'_>)) -> Vec<Message> {
    vec![
        new_rule(INET, chain, |rule| rule.address_in(Side::Destination, subnet).return_()),
        new_rule(INET, chain, |rule| rule.address_in(Side::Destination, multicast(subnet)).return_()),
        new_rule(INET, chain, act),
    ]
}

/// The bridge of a link that is called as the host's link into one of its VLANs is: `cni0.100`.
#[must_use]
pub fn bridge_of_vlan(name: &str) -> Option<&str> {
    let (bridge, vlan) = name.rsplit_once('.')?;
    vlan.parse::<u16>().is_ok().then_some(bridge)
}

/// Whether a chain that an element leads to is one of those above.
pub(super) fn is_on_demand(name: &str) -> bool {
    name != MASQUERADE_PUBLISHED
        && [MASQUERADE, SNAT, HAIRPIN, TO, APART, INTERNAL].iter().any(|prefix| name.starts_with(prefix))
}

/// The bridge that a chain of this name accepts from.
pub(super) fn bridge_of(name: &str) -> Option<String> {
    unescape(name.strip_prefix(TO)?)
}

/// Writes a bridge's name in nft's alphabet: letters, digits, `-` and `.` stand for themselves, `__` for an
/// underscore, and `_xx` for any other byte.
fn escape(name: &str) -> String {
    let mut escaped = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'_' => escaped.push_str("__"),
            b'-' | b'.' => escaped.push(byte.into()),
            _ if byte.is_ascii_alphanumeric() => escaped.push(byte.into()),
            _ => escaped.push_str(&format!("_{byte:02x}")),
        }
    }
    escaped
}

fn unescape(escaped: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(escaped.len());
    let mut rest = escaped.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let (byte, after) = match (first, after) {
            (b'_', [b'_', after @ ..]) => (b'_', after),
            (b'_', [high, low, after @ ..]) => {
                let digits = [*high, *low];
                (u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?, after)
            }
            (b'_', _) => return None,
            (plain, after) => (*plain, after),
        };
        bytes.push(byte);
        rest = after;
    }
    String::from_utf8(bytes).ok()
}

pub(crate) const LOOPBACK4: IpNetwork = v4([127, 0, 0, 0], 8);
pub(crate) const LOOPBACK6: IpNetwork = v6([0, 0, 0, 0, 0, 0, 0, 1], 128);
const MULTICAST4: IpNetwork = v4([224, 0, 0, 0], 4);
const MULTICAST6: IpNetwork = v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8);

const fn v4([a, b, c, d]: [u8; 4], prefix: u8) -> IpNetwork {
    match Ipv4Network::new_checked(Ipv4Addr::new(a, b, c, d), prefix) {
        Some(network) => IpNetwork::V4(network),
        None => panic!("prefix too long"),
    }
}

const fn v6([a, b, c, d, e, f, g, h]: [u16; 8], prefix: u8) -> IpNetwork {
    match Ipv6Network::new_checked(Ipv6Addr::new(a, b, c, d, e, f, g, h), prefix) {
        Some(network) => IpNetwork::V6(network),
        None => panic!("prefix too long"),
    }
}

fn multicast(like: IpNetwork) -> IpNetwork {
    if like.is_ipv4() { MULTICAST4 } else { MULTICAST6 }
}

fn loopback(like: IpNetwork) -> IpNetwork {
    if like.is_ipv4() { LOOPBACK4 } else { LOOPBACK6 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bridge_names_survive_nfts_alphabet() {
        for name in ["cni0", "br_a", "br__", "br.1-x", "a\"b*", "\u{e9}", "_5f", "%;{}", "0"] {
            let escaped = escape(name);
            assert_eq!(unescape(&escaped).as_deref(), Some(name));
            assert!(escaped.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte)), "{escaped}");
        }
        assert_ne!(escape("_5f"), escape("_"));
        assert_eq!(unescape("_"), None);
        assert_eq!(unescape("_g0"), None);
    }

    #[test]
    fn the_longest_names_fit_the_kernels_limit() {
        let bridge = OnDemand::ToBridge("\u{1}".repeat(15)).name();
        let subnet = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128".parse().expect("a subnet");
        for name in [bridge, OnDemand::Masquerade(subnet).name()] {
            assert!(name.len() < 128 && is_on_demand(&name), "{name}");
        }
    }

    #[test]
    fn a_chain_is_known_by_its_name() {
        for subnet in ["10.0.0.0/8", "fd00:1::/64", "::/0"] {
            let subnet = subnet.parse().expect("a subnet");
            for chain in [OnDemand::Masquerade(subnet), OnDemand::Hairpin(subnet), OnDemand::ToBridge("br_a%".into())] {
                assert_eq!(OnDemand::named(&chain.name()), Some(chain));
            }
        }
        assert_eq!(OnDemand::named(MASQUERADE_PUBLISHED), None);
    }

    #[test]
    fn skeleton_chains_are_not_taken_for_on_demand_ones() {
        assert!(!is_on_demand(MASQUERADE_PUBLISHED));
        assert_eq!(bridge_of("hairpin-10.0.0.0/8"), None);
    }
}
