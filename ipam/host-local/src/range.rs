//! Ranges of addresses and sets of them: what may be handed out, and which gateway and prefix go with it.
//!
//! An address is a number here (`u128` for either family), so that the largest IPv6 range costs no more than a `/30`.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

use cni_plugin::{SpecVersion, ip};
use ipnetwork::IpNetwork;
use serde::{Deserialize, Deserializer};

/// The most ranges that a network can have: more than any real one has.
const MAX_RANGES: usize = 10_000;

/// How many ranges or sets an error lists.
const LISTED: usize = 8;

/// Why ranges cannot be as they are configured; the text says which one, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // the messages say it
pub enum RangeError {
    #[error("no addresses are configured: give \"ipam\" a \"subnet\" or \"ranges\"")]
    NoRanges,
    #[error("a range set is empty: give it at least one range with a \"subnet\"")]
    EmptySet,
    #[error("a range has no \"subnet\": every range needs one, such as 10.1.2.0/24")]
    NoSubnet,
    #[error("subnet {subnet} has host bits set: write {network}")]
    HostBits { subnet: IpNetwork, network: IpNetwork },
    #[error("subnet {0} is too small to give addresses from: the smallest are /30 for IPv4 and /126 for IPv6")]
    TooSmall(IpNetwork),
    #[error("gateway {gateway} is of another family than subnet {subnet}")]
    GatewayFamily { gateway: IpAddr, subnet: IpNetwork },
    #[error("{what} {address} is not in subnet {subnet}")]
    Outside { what: &'static str, address: IpAddr, subnet: IpNetwork },
    #[error("rangeStart {start} comes after rangeEnd {end} in subnet {subnet}")]
    Backwards { start: IpAddr, end: IpAddr, subnet: IpNetwork },
    #[error("{0} and {1} are of different families: give each family a range set of its own")]
    MixedFamilies(IpNetwork, IpNetwork),
    #[error("ranges {0} and {1} overlap")]
    Overlap(String, String),
    #[error("there are {count} ranges, and {MAX_RANGES} is the most: a few large ones give as many addresses")]
    TooMany { count: usize },
    #[error("there is more than one range set for a family, which CNI version {0} cannot express: use 0.3.0 or later")]
    OnePerFamily(SpecVersion),
}

/// A range as it is configured, `rangeStart`, `rangeEnd` and `gateway` being optional.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct RangeSpec {
    /// The subnet, host bits zero.
    #[serde(deserialize_with = "optional_subnet")]
    pub subnet: Option<IpNetwork>,
    /// The first address to give; the subnet's second one if absent.
    #[serde(deserialize_with = "ip::deserialize_optional")]
    pub range_start: Option<IpAddr>,
    /// The last address to give; the subnet's last one if absent, for IPv4 the one before the broadcast address.
    #[serde(deserialize_with = "ip::deserialize_optional")]
    pub range_end: Option<IpAddr>,
    /// The gateway, which is never given; the subnet's second address if absent, none if it is 0.0.0.0 or `::`.
    #[serde(deserialize_with = "ip::deserialize_optional")]
    pub gateway: Option<IpAddr>,
}

/// An optional subnet. Go's types take an empty text for a missing value; so do we.
pub(crate) fn optional_subnet<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<IpNetwork>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?.unwrap_or_default();
    (!text.is_empty()).then(|| cni_plugin::cidr::parse(&text)).transpose().map_err(serde::de::Error::custom)
}

/// An address with or without a prefix length, which is of no consequence: the range says it.
pub(crate) fn parse_requested(text: &str) -> Result<IpAddr, String> {
    match text.split_once('/') {
        Some((address, prefix)) if prefix.parse::<u8>().is_ok() => ip::parse(address),
        _ => ip::parse(text),
    }
}

/// A range that is known to be right: first to last address lie in the subnet. The gateway need not: IPv6 routers are commonly
/// known by their link-local address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    subnet: IpNetwork,
    gateway: Option<IpAddr>,
    /// What is never given: the gateway, or the address that a bridge takes where there is none.
    withheld: IpAddr,
    first: u128,
    last: u128,
}

impl TryFrom<&RangeSpec> for Range {
    type Error = RangeError;

    fn try_from(spec: &RangeSpec) -> Result<Self, RangeError> {
        let subnet = spec.subnet.ok_or(RangeError::NoSubnet)?;
        check_subnet(subnet)?;
        let second = number(subnet.network()) + 1;
        let inside = |what, address: Option<IpAddr>, default: u128| match address {
            Some(address) if subnet.contains(address) => Ok(number(address)),
            Some(address) => Err(RangeError::Outside { what, address, subnet }),
            None => Ok(default),
        };
        let gateway = gateway(spec, subnet)?;
        let withheld = gateway.unwrap_or(address_of(subnet, second));
        let first = inside("rangeStart", spec.range_start, second)?;
        let last = inside("rangeEnd", spec.range_end, number(last_address(subnet)))?;
        if first > last {
            let (start, end) = (address_of(subnet, first), address_of(subnet, last));
            return Err(RangeError::Backwards { start, end, subnet });
        }
        Ok(Self { subnet, gateway, withheld, first, last })
    }
}

/// People write an address of zeroes where they want none.
fn gateway(spec: &RangeSpec, subnet: IpNetwork) -> Result<Option<IpAddr>, RangeError> {
    match spec.gateway {
        None => Ok(Some(address_of(subnet, number(subnet.network()) + 1))),
        Some(gateway) if gateway.is_unspecified() => Ok(None),
        Some(gateway) if gateway.is_ipv4() == subnet.is_ipv4() => Ok(Some(gateway)),
        Some(gateway) => Err(RangeError::GatewayFamily { gateway, subnet }),
    }
}

fn check_subnet(subnet: IpNetwork) -> Result<(), RangeError> {
    let bits = if subnet.is_ipv4() { 32 } else { 128 };
    if subnet.prefix() > bits - 2 {
        return Err(RangeError::TooSmall(subnet));
    }
    match IpNetwork::new(subnet.network(), subnet.prefix()) {
        Ok(network) if network != subnet => Err(RangeError::HostBits { subnet, network }),
        _ => Ok(()),
    }
}

/// The subnet's last address that a host may have: IPv6 has no broadcast address.
fn last_address(subnet: IpNetwork) -> IpAddr {
    let last = number(subnet.broadcast());
    address_of(subnet, if subnet.is_ipv4() { last - 1 } else { last })
}

/// An address as a number, so that ranges can be compared and counted.
pub(crate) fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u32::from(address).into(),
        IpAddr::V6(address) => address.into(),
    }
}

/// The inverse of [`number`], for the family of `subnet`.
fn address_of(subnet: IpNetwork, number: u128) -> IpAddr {
    match subnet {
        // No IPv4 subnet contains a number that does not fit.
        IpNetwork::V4(_) => Ipv4Addr::from(u32::try_from(number).unwrap_or(u32::MAX)).into(),
        IpNetwork::V6(_) => Ipv6Addr::from(number).into(),
    }
}

impl Range {
    /// The gateway, if there is one.
    #[must_use]
    pub fn gateway(&self) -> Option<IpAddr> {
        self.gateway
    }

    /// The subnet's prefix length.
    #[must_use]
    pub fn prefix(&self) -> u8 {
        self.subnet.prefix()
    }

    /// First to last address, as numbers.
    pub(crate) fn numbers(&self) -> RangeInclusive<u128> {
        self.first..=self.last
    }

    /// Whether the address is between the first and the last.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.subnet.is_ipv4() == address.is_ipv4() && self.numbers().contains(&number(address))
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, last) = (address_of(self.subnet, self.first), address_of(self.subnet, self.last));
        write!(f, "{first} to {last} of {}", self.subnet)
    }
}

/// Ranges of one family, from which a container gets one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RangeSet {
    ranges: Vec<Range>,
    /// The first numbers of the ranges with their places, in the order of the numbers.
    by_first: Vec<(u128, usize)>,
    /// What is never given, as numbers.
    withheld: BTreeSet<u128>,
}

impl TryFrom<&[RangeSpec]> for RangeSet {
    type Error = RangeError;

    fn try_from(specs: &[RangeSpec]) -> Result<Self, RangeError> {
        let ranges = specs.iter().map(Range::try_from).collect::<Result<Vec<_>, _>>()?;
        let first = ranges.first().ok_or(RangeError::EmptySet)?;
        if let Some(other) = ranges.iter().find(|range| range.subnet.is_ipv4() != first.subnet.is_ipv4()) {
            return Err(RangeError::MixedFamilies(first.subnet, other.subnet));
        }
        let mut by_first: Vec<_> = ranges.iter().enumerate().map(|(i, range)| (range.first, i)).collect();
        by_first.sort_unstable();
        let withheld = ranges.iter().map(|range| number(range.withheld)).collect();
        Ok(Self { ranges, by_first, withheld })
    }
}

impl RangeSet {
    /// Its ranges, in the order of the configuration; at least one.
    #[must_use]
    pub fn ranges(&self) -> &[Range] {
        &self.ranges
    }

    fn is_ipv4(&self) -> bool {
        self.ranges[0].subnet.is_ipv4()
    }

    /// The place among the ranges of the one that the address is in.
    pub(crate) fn position(&self, address: IpAddr) -> Option<usize> {
        let (_, place) = *last_not_after(&self.by_first, &number(address), |(first, _)| first)?;
        self.ranges[place].contains(address).then_some(place)
    }

    /// The range that contains the address, if any.
    #[must_use]
    pub fn range_of(&self, address: IpAddr) -> Option<&Range> {
        self.position(address).map(|place| &self.ranges[place])
    }

    /// Whether the address is never given: it is the gateway of one of the ranges.
    #[must_use]
    pub fn withholds(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.is_ipv4() && self.withheld.contains(&number(address))
    }

    /// What is never given, as numbers.
    pub(crate) fn withheld(&self) -> impl Iterator<Item = u128> {
        self.withheld.iter().copied()
    }

    /// The inverse of [`number`], for this set's family.
    pub(crate) fn address(&self, number: u128) -> IpAddr {
        address_of(self.ranges[0].subnet, number)
    }

    /// How many addresses containers can get.
    #[must_use]
    pub fn capacity(&self) -> u128 {
        let sizes = self.ranges.iter().map(|range| (range.last - range.first).saturating_add(1));
        let withheld = self.withheld().filter(|number| self.range_of(self.address(*number)).is_some()).count();
        sizes.fold(0, u128::saturating_add) - withheld as u128
    }
}

impl fmt::Display for RangeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        list(f, &self.ranges, ", ")
    }
}

/// All range sets of a network, of which no two ranges overlap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RangeSets {
    sets: Vec<RangeSet>,
    /// Where all ranges begin, in order, with their sets' places.
    by_first: Vec<(Begin, usize)>,
}

/// Whether a range is of IPv4, and its first number.
type Begin = (bool, u128);

impl RangeSets {
    /// Makes the sets and checks them against each other.
    ///
    /// # Errors
    /// No set, an invalid range, too many, overlapping ones, or more than one set of a family before CNI 0.3.0.
    pub fn new<'a>(specs: impl IntoIterator<Item = &'a [RangeSpec]>, version: SpecVersion) -> Result<Self, RangeError> {
        let specs: Vec<_> = specs.into_iter().collect();
        let count = specs.iter().map(|set| set.len()).sum();
        if count > MAX_RANGES {
            return Err(RangeError::TooMany { count });
        }
        let sets = specs.into_iter().map(RangeSet::try_from).collect::<Result<Vec<_>, _>>()?;
        let of_ipv4 = sets.iter().filter(|set| set.is_ipv4()).count();
        if sets.is_empty() {
            return Err(RangeError::NoRanges);
        }
        let by_first = in_order(&sets)?;
        if version < SpecVersion::V0_3_0 && (of_ipv4 > 1 || sets.len() - of_ipv4 > 1) {
            return Err(RangeError::OnePerFamily(version));
        }
        Ok(Self { sets, by_first })
    }

    /// The sets in the order of the configuration; at least one.
    pub fn iter(&self) -> std::slice::Iter<'_, RangeSet> {
        self.sets.iter()
    }

    /// The set that contains the address, and its index.
    #[must_use]
    pub fn of(&self, address: IpAddr) -> Option<(usize, &RangeSet)> {
        let key = (address.is_ipv4(), number(address));
        let (_, place) = *last_not_after(&self.by_first, &key, |(first, _)| first)?;
        self.sets[place].position(address).map(|_| (place, &self.sets[place]))
    }
}

/// The ranges of all sets, none overlapping the next.
fn in_order(sets: &[RangeSet]) -> Result<Vec<(Begin, usize)>, RangeError> {
    let mut all: Vec<(&Range, usize)> =
        sets.iter().enumerate().flat_map(|(place, set)| set.ranges.iter().map(move |range| (range, place))).collect();
    let begin = |range: &Range| (range.subnet.is_ipv4(), range.first);
    all.sort_by_key(|(range, _)| begin(range));
    for pair in all.windows(2) {
        let [(range, _), (next, _)] = pair else { continue };
        if range.subnet.is_ipv4() == next.subnet.is_ipv4() && next.first <= range.last {
            return Err(RangeError::Overlap(range.to_string(), next.to_string()));
        }
    }
    Ok(all.into_iter().map(|(range, place)| (begin(range), place)).collect())
}

/// Of entries in order, the last one that does not begin after `key`.
fn last_not_after<'a, T, K: Ord>(entries: &'a [T], key: &K, begin: impl Fn(&T) -> &K) -> Option<&'a T> {
    let after = entries.partition_point(|entry| begin(entry) <= key);
    entries[..after].last()
}

impl fmt::Display for RangeSets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        list(f, &self.sets, "; ")
    }
}

fn list(f: &mut fmt::Formatter<'_>, items: &[impl fmt::Display], separator: &str) -> fmt::Result {
    for (i, item) in items.iter().take(LISTED).enumerate() {
        write!(f, "{}{item}", if i == 0 { "" } else { separator })?;
    }
    match items.len().saturating_sub(LISTED) {
        0 => Ok(()),
        more => write!(f, "{separator}and {more} more"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) mod tests {
    use super::*;
    use cni_plugin::json;

    /// A range as in a configuration; used by the tests of other modules too.
    pub(crate) fn spec(value: &serde_json::Value) -> RangeSpec {
        json::from_value(value).unwrap()
    }

    pub(crate) fn set(value: &serde_json::Value) -> RangeSet {
        let specs: Vec<RangeSpec> = json::from_value(value).unwrap();
        RangeSet::try_from(specs.as_slice()).unwrap()
    }

    fn refused(value: &serde_json::Value) -> String {
        Range::try_from(&spec(value)).unwrap_err().to_string()
    }

    #[test]
    fn defaults_leave_out_the_network_and_the_broadcast_address() {
        let range = Range::try_from(&spec(&serde_json::json!({"subnet": "10.1.2.0/24"}))).unwrap();
        assert_eq!(range.to_string(), "10.1.2.1 to 10.1.2.254 of 10.1.2.0/24");
        assert_eq!(range.gateway().unwrap().to_string(), "10.1.2.1");
        let range = Range::try_from(&spec(&serde_json::json!({"subnet": "fd00::/64"}))).unwrap();
        assert_eq!(range.to_string(), "fd00::1 to fd00::ffff:ffff:ffff:ffff of fd00::/64");
    }

    #[test]
    fn empty_texts_are_missing_values() {
        let range =
            spec(&serde_json::json!({"subnet": "10.1.2.0/24", "gateway": "", "rangeStart": "", "rangeEnd": ""}));
        assert_eq!(range, spec(&serde_json::json!({"subnet": "10.1.2.0/24"})));
    }

    #[test]
    fn each_fault_is_named() {
        for (range, expected) in [
            (serde_json::json!({}), "has no \"subnet\""),
            (serde_json::json!({"subnet": "10.1.2.3/24"}), "write 10.1.2.0/24"),
            (serde_json::json!({"subnet": "10.1.2.0/31"}), "too small"),
            (serde_json::json!({"subnet": "fd00::/127"}), "too small"),
            (
                serde_json::json!({"subnet": "10.1.2.0/24", "gateway": "fe80::1"}),
                "gateway fe80::1 is of another family",
            ),
            (serde_json::json!({"subnet": "10.1.2.0/24", "rangeStart": "fd00::1"}), "rangeStart fd00::1 is not in"),
            (serde_json::json!({"subnet": "10.1.2.0/24", "rangeEnd": "10.1.3.1"}), "rangeEnd 10.1.3.1 is not in"),
            (
                serde_json::json!({"subnet": "10.1.2.0/24", "rangeStart": "10.1.2.9", "rangeEnd": "10.1.2.8"}),
                "10.1.2.9 comes after rangeEnd 10.1.2.8",
            ),
        ] {
            assert!(refused(&range).contains(expected), "{range}: {}", refused(&range));
        }
    }

    fn all(value: &serde_json::Value, version: SpecVersion) -> Result<RangeSets, RangeError> {
        let specs: Vec<Vec<RangeSpec>> = json::from_value(value).unwrap();
        RangeSets::new(specs.iter().map(Vec::as_slice), version)
    }

    #[test]
    fn sets_are_checked_against_each_other() {
        for (sets, expected) in [
            (serde_json::json!([]), "no addresses are configured"),
            (serde_json::json!([[]]), "a range set is empty"),
            (serde_json::json!([[{"subnet": "10.1.0.0/16"}], [{"subnet": "10.1.2.0/24"}]]), "overlap"),
            (serde_json::json!([[{"subnet": "10.1.2.0/24"}, {"subnet": "10.1.2.0/24"}]]), "overlap"),
            (serde_json::json!([[{"subnet": "10.1.2.0/24"}, {"subnet": "fd00::/64"}]]), "different families"),
        ] {
            let error = all(&sets, SpecVersion::LATEST).unwrap_err().to_string();
            assert!(error.contains(expected), "{sets}: {error}");
        }
        let apart = serde_json::json!([[
            {"subnet": "10.1.2.0/24", "rangeEnd": "10.1.2.9"}, {"subnet": "10.1.2.0/24", "rangeStart": "10.1.2.10"}
        ]]);
        assert_eq!(all(&apart, SpecVersion::LATEST).unwrap().iter().len(), 1);
    }

    #[test]
    fn two_sets_of_a_family_need_version_0_3() {
        let two = serde_json::json!([[{"subnet": "10.1.2.0/24"}], [{"subnet": "10.1.3.0/24"}]]);
        assert!(all(&two, SpecVersion::V0_2_0).is_err());
        assert_eq!(all(&two, SpecVersion::V0_3_0).unwrap().iter().len(), 2);
        let dual = serde_json::json!([[{"subnet": "10.1.2.0/24"}], [{"subnet": "fd00::/64"}]]);
        assert_eq!(all(&dual, SpecVersion::V0_1_0).unwrap().iter().len(), 2);
    }

    #[test]
    fn capacity_leaves_out_the_gateways() {
        assert_eq!(set(&serde_json::json!([{"subnet": "10.1.2.0/24"}])).capacity(), 253);
        assert_eq!(set(&serde_json::json!([{"subnet": "10.1.2.0/24", "rangeStart": "10.1.2.8"}])).capacity(), 247);
        assert_eq!(set(&serde_json::json!([{"subnet": "::/0"}])).capacity(), u128::MAX - 1);
    }

    #[test]
    fn a_gateway_need_not_be_in_the_subnet_and_is_left_out_only_if_it_is() {
        for (subnet, gateway) in [("2001:db8::/126", "fe80::1"), ("10.1.2.0/29", "10.9.9.9")] {
            let set = set(&serde_json::json!([{"subnet": subnet, "gateway": gateway}]));
            assert_eq!(set.ranges()[0].gateway().unwrap().to_string(), gateway);
            assert_eq!(set.capacity(), if set.is_ipv4() { 6 } else { 3 });
        }
    }

    #[test]
    fn a_gateway_of_zeroes_is_none_and_a_bridge_can_take_the_first_address() {
        for (subnet, gateway) in [("10.1.2.0/30", "0.0.0.0"), ("10.1.2.0/30", "::"), ("fd00::/126", "::")] {
            let set = set(&serde_json::json!([{"subnet": subnet, "gateway": gateway}]));
            assert_eq!(set.ranges()[0].gateway(), None);
            assert_eq!(set.capacity(), if set.is_ipv4() { 1 } else { 2 });
        }
    }

    #[test]
    fn the_set_of_an_address_is_found_among_many() {
        let sets: Vec<_> = (0..250).rev().map(|i| serde_json::json!([{"subnet": format!("10.1.{i}.0/24")}])).collect();
        let sets = all(&serde_json::Value::from(sets), SpecVersion::LATEST).unwrap();
        for (address, place) in
            [("10.1.249.7", Some(0)), ("10.1.0.1", Some(249)), ("10.1.0.0", None), ("10.2.0.1", None)]
        {
            assert_eq!(sets.of(address.parse().unwrap()).map(|(place, _)| place), place, "{address}");
        }
        assert_eq!(sets.of("::10.1.0.1".parse().unwrap()), None);
    }

    #[test]
    fn what_is_too_much_is_refused_and_what_is_long_is_told_in_short() {
        let of = |count: u32| {
            let set: Vec<_> =
                (0..count).map(|i| serde_json::json!({"subnet": format!("{}/30", Ipv4Addr::from(i << 2))})).collect();
            all(&serde_json::json!([set]), SpecVersion::LATEST)
        };
        let words = of(10_001).unwrap_err().to_string();
        assert!(words.starts_with("there are 10001 ranges, and 10000 is the most"), "{words}");
        let words = of(10_000).unwrap().to_string();
        assert!(words.ends_with(", and 9992 more"), "{words}");
    }

    #[test]
    fn a_requested_address_may_carry_a_prefix_length() {
        for text in ["10.1.2.3", "10.1.2.3/24", "::ffff:10.1.2.3"] {
            assert_eq!(parse_requested(text).unwrap().to_string(), "10.1.2.3");
        }
        for text in ["", "10.1.2", "10.1.2.3/x", "10.1.2.03"] {
            assert!(parse_requested(text).is_err(), "{text}");
        }
    }
}
