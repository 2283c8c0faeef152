//! The subnets that are asked for with their gateways, ranges and reserved addresses, put together.

use std::net::IpAddr;

use ip::Family;
use ipnetwork::IpNetwork;

use super::pool::{PoolError, Pools, Taken};

/// What `network create` was told of addresses, each list in the order of the command line.
#[derive(Debug, Default, Clone)]
pub(crate) struct Asked {
    pub(crate) subnets: Vec<IpNetwork>,
    pub(crate) gateways: Vec<IpAddr>,
    pub(crate) ranges: Vec<IpNetwork>,
    /// Addresses that no container gets, with the names of what has them.
    pub(crate) reserved: Vec<(String, IpAddr)>,
    pub(crate) ipv6: bool,
}

/// A subnet of a new network.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Planned {
    pub(crate) subnet: IpNetwork,
    pub(crate) gateway: Option<IpAddr>,
    pub(crate) range: Option<IpNetwork>,
    pub(crate) reserved: Vec<IpAddr>,
}

impl Planned {
    /// A subnet of whose addresses something else decides.
    pub(crate) fn whole(subnet: IpNetwork) -> Self {
        Self { subnet, gateway: None, range: None, reserved: Vec::new() }
    }
}

/// Addresses that cannot be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AddressError {
    #[error(transparent)]
    Pool(#[from] PoolError),
    #[error("{subnet} has bits beyond its prefix length: did you mean {}/{}?", subnet.network(), subnet.prefix())]
    HostBits { subnet: IpNetwork },
    #[error("subnet {subnet} is too small: it has to have four addresses")]
    TooSmall { subnet: IpNetwork },
    #[error(
        "subnet {subnet} has {what} addresses, which no container can have: choose another, such as 10.20.0.0/24 or fd00:20::/64"
    )]
    Reserved { subnet: IpNetwork, what: &'static str },
    #[error("subnet {subnet} overlaps with {} of {}: choose another", taken.subnet, taken.by)]
    Overlap { subnet: IpNetwork, taken: Taken },
    #[error("{what} {address} is in none of the network's subnets: name the subnet that contains it with --subnet")]
    Outside { what: &'static str, address: String },
    #[error("subnet {subnet} has two {what}s, {first} and {second}: leave one of them out")]
    Twice { what: &'static str, subnet: IpNetwork, first: String, second: String },
    #[error(
        "{what} {address} cannot be used by a container or gateway: it is the first or the last address of {subnet}"
    )]
    Edge { what: &'static str, address: IpAddr, subnet: IpNetwork },
}

/// Addresses that are no container's, and what they are.
const RESERVED: [(&str, &str); 8] = [
    ("0.0.0.0/32", "unspecified"),
    ("127.0.0.0/8", "loopback"),
    ("169.254.0.0/16", "link-local"),
    ("224.0.0.0/4", "multicast"),
    ("::/128", "unspecified"),
    ("::1/128", "loopback"),
    ("fe80::/10", "link-local"),
    ("ff00::/8", "multicast"),
];

/// A subnet is of addresses that containers can have.
///
/// # Errors
/// It has others, as the one of all addresses has.
pub(crate) fn check_unreserved(subnet: IpNetwork) -> Result<(), AddressError> {
    let is_inside = |reserved: &str| reserved.parse().is_ok_and(|reserved| overlap(reserved, subnet));
    match RESERVED.into_iter().find(|(reserved, _)| is_inside(reserved)) {
        Some((_, what)) => Err(AddressError::Reserved { subnet, what }),
        None => Ok(()),
    }
}

/// Whether two subnets have an address in common.
pub(crate) fn overlap(one: IpNetwork, other: IpNetwork) -> bool {
    one.contains(other.network()) || other.contains(one.network())
}

impl Asked {
    /// What the network gets: what was asked for, unless it is `taken`, and a free subnet where none was, which is none of the
    /// `avoided` either.
    ///
    /// # Errors
    /// What was asked for contradicts itself, or is taken.
    pub(crate) fn plan(&self, pools: &Pools, taken: &[Taken], avoided: &[Taken]) -> Result<Vec<Planned>, AddressError> {
        let mut planned = Vec::new();
        for subnet in self.chosen(pools, taken, avoided)? {
            planned.push(self.plan_one(subnet)?);
        }
        self.find_strays(&planned)?;
        Ok(planned)
    }

    /// IPv4 always, IPv6 if it was asked for.
    fn chosen(&self, pools: &Pools, taken: &[Taken], avoided: &[Taken]) -> Result<Vec<IpNetwork>, AddressError> {
        let mut taken = taken.to_vec();
        for &subnet in &self.subnets {
            check(subnet, &taken)?;
            taken.push(Taken { subnet, by: "the same network".to_owned() });
        }
        taken.extend_from_slice(avoided);
        let mut subnets = self.subnets.clone();
        let has = |family| self.subnets.iter().any(|subnet| Family::of(subnet.ip()) == family);
        let only_ipv6 = has(Family::V6) && !has(Family::V4);
        if !has(Family::V4) && !only_ipv6 {
            subnets.insert(0, pools.choose(Family::V4, &taken)?);
        }
        if self.ipv6 && !has(Family::V6) {
            subnets.push(pools.choose(Family::V6, &taken)?);
        }
        Ok(subnets)
    }

    fn plan_one(&self, subnet: IpNetwork) -> Result<Planned, AddressError> {
        let gateways: Vec<_> = self.gateways.iter().filter(|address| subnet.contains(**address)).collect();
        let ranges: Vec<_> = self.ranges.iter().filter(|range| subnet.contains(range.network())).collect();
        let gateway = one_at_most("gateway", subnet, &gateways)?;
        if let Some(address) = gateway.filter(|address| is_edge(*address, subnet)) {
            return Err(AddressError::Edge { what: "gateway", address, subnet });
        }
        let range = one_at_most("range", subnet, &ranges)?.filter(|range| range.prefix() >= subnet.prefix());
        let reserved = self.reserved.iter().map(|(_, address)| *address).filter(|address| subnet.contains(*address));
        Ok(Planned { subnet, gateway, range, reserved: reserved.collect() })
    }

    /// Everything has to belong to a subnet.
    fn find_strays(&self, planned: &[Planned]) -> Result<(), AddressError> {
        let is_inside = |address: IpAddr| planned.iter().any(|planned| planned.subnet.contains(address));
        let stray = |what, address: String| Err(AddressError::Outside { what, address });
        if let Some(gateway) = self.gateways.iter().find(|address| !is_inside(**address)) {
            return stray("gateway", gateway.to_string());
        }
        if let Some(range) =
            self.ranges.iter().find(|range| !planned.iter().any(|planned| planned.range == Some(**range)))
        {
            return stray("range", range.to_string());
        }
        match self.reserved.iter().find(|(_, address)| !is_inside(*address)) {
            Some((name, address)) => stray("reserved address", format!("{name}={address}")),
            None => Ok(()),
        }
    }
}

fn one_at_most<T: Copy + ToString>(
    what: &'static str,
    subnet: IpNetwork,
    found: &[&T],
) -> Result<Option<T>, AddressError> {
    match found {
        [] => Ok(None),
        [one] => Ok(Some(**one)),
        [first, second, ..] => {
            Err(AddressError::Twice { what, subnet, first: first.to_string(), second: second.to_string() })
        }
    }
}

fn check(subnet: IpNetwork, taken: &[Taken]) -> Result<(), AddressError> {
    if subnet.ip() != subnet.network() {
        return Err(AddressError::HostBits { subnet });
    }
    if subnet.prefix() > if subnet.is_ipv4() { 30 } else { 126 } {
        return Err(AddressError::TooSmall { subnet });
    }
    match taken.iter().find(|taken| overlap(taken.subnet, subnet)) {
        Some(taken) => Err(AddressError::Overlap { subnet, taken: taken.clone() }),
        None => Ok(()),
    }
}

fn is_edge(address: IpAddr, subnet: IpNetwork) -> bool {
    address == subnet.network() || subnet.is_ipv4() && address == subnet.broadcast()
}

impl Planned {
    /// The subnet's first address that a host can have.
    pub(crate) fn first(&self) -> Option<IpAddr> {
        Some(address(number(self.subnet.network()) + 1, self.subnet.is_ipv4()))
    }

    /// The ranges that containers get addresses from: the reserved ones lie between them.
    pub(crate) fn ranges(&self) -> Vec<(IpAddr, IpAddr)> {
        let within = self.range.unwrap_or(self.subnet);
        let (mut first, mut last) = (number(within.network()), number(within.broadcast()));
        // The subnet's own edges are no container's.
        if is_edge(within.network(), self.subnet) {
            first += 1;
        }
        if last == number(self.subnet.broadcast()) {
            last -= 1;
        }
        let mut reserved: Vec<_> = self.reserved.iter().copied().map(number).collect();
        reserved.retain(|number| (first..=last).contains(number));
        reserved.sort_unstable();
        let mut ranges = Vec::new();
        for number in reserved {
            ranges.push(first..number);
            first = number + 1;
        }
        ranges.push(first..last + 1);
        let address = |number| address(number, self.subnet.is_ipv4());
        ranges
            .into_iter()
            .filter(|range| !range.is_empty())
            .map(|range| (address(range.start), address(range.end - 1)))
            .collect()
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u32::from(address).into(),
        IpAddr::V6(address) => address.into(),
    }
}

fn address(number: u128, is_ipv4: bool) -> IpAddr {
    match u32::try_from(number) {
        Ok(bits) if is_ipv4 => IpAddr::V4(bits.into()),
        _ => IpAddr::V6(number.into()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn asked(subnets: &[&str], gateways: &[&str], ranges: &[&str], reserved: &[&str]) -> Asked {
        Asked {
            subnets: subnets.iter().map(|text| text.parse().unwrap()).collect(),
            gateways: gateways.iter().map(|text| text.parse().unwrap()).collect(),
            ranges: ranges.iter().map(|text| text.parse().unwrap()).collect(),
            reserved: reserved.iter().map(|text| ("x".to_owned(), text.parse().unwrap())).collect(),
            ipv6: false,
        }
    }

    fn plan(asked: &Asked) -> Result<Vec<Planned>, AddressError> {
        let taken = Taken { subnet: "10.9.0.0/16".parse().unwrap(), by: "network other".to_owned() };
        asked.plan(&Pools::default(), &[taken], &[])
    }

    fn ranges(asked: &Asked) -> Vec<String> {
        let planned = plan(asked).unwrap();
        planned[0].ranges().iter().map(|(first, last)| format!("{first}-{last}")).collect()
    }

    #[test]
    fn each_gateway_and_range_finds_its_subnet() {
        let asked = asked(
            &["10.1.0.0/24", "fd00:1::/64"],
            &["fd00:1::fe", "10.1.0.254"],
            &["10.1.0.128/25"],
            &["10.1.0.200", "fd00:1::7"],
        );
        let planned = plan(&asked).unwrap();
        let text = |planned: &Planned| {
            format!("{} {:?} {:?} {:?}", planned.subnet, planned.gateway, planned.range, planned.reserved)
        };
        assert_eq!(planned.len(), 2);
        assert!(text(&planned[0]).contains("10.1.0.254") && text(&planned[0]).contains("10.1.0.200"));
        assert!(text(&planned[1]).contains("fd00:1::fe") && text(&planned[1]).contains("fd00:1::7"));
    }

    #[test]
    fn containers_get_neither_edges_nor_reserved_addresses() {
        assert_eq!(ranges(&asked(&["10.1.0.0/24"], &[], &[], &[])), ["10.1.0.1-10.1.0.254"]);
        assert_eq!(ranges(&asked(&["10.1.0.0/24"], &[], &["10.1.0.128/25"], &[])), ["10.1.0.128-10.1.0.254"]);
        assert_eq!(ranges(&asked(&["10.1.0.0/24"], &[], &["10.1.0.64/26"], &[])), ["10.1.0.64-10.1.0.127"]);
        assert_eq!(
            ranges(&asked(&["10.1.0.0/24"], &[], &[], &["10.1.0.5", "10.1.0.1", "10.1.0.254", "10.1.0.6"])),
            ["10.1.0.2-10.1.0.4", "10.1.0.7-10.1.0.253"]
        );
        assert_eq!(ranges(&asked(&["fd00:1::/64"], &[], &[], &[])), ["fd00:1::1-fd00:1::ffff:ffff:ffff:fffe"]);
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        for (asked, words) in [
            (asked(&["10.1.0.5/24"], &[], &[], &[]), "did you mean 10.1.0.0/24"),
            (asked(&["10.1.0.0/31"], &[], &[], &[]), "too small"),
            (asked(&["10.9.3.0/24"], &[], &[], &[]), "10.9.0.0/16 of network other"),
            (asked(&["10.1.0.0/24", "10.1.0.128/25"], &[], &[], &[]), "the same network"),
            (asked(&["10.1.0.0/24"], &["10.2.0.1"], &[], &[]), "gateway 10.2.0.1 is in none"),
            (asked(&["10.1.0.0/24"], &["10.1.0.1", "10.1.0.2"], &[], &[]), "two gateways"),
            (asked(&["10.1.0.0/24"], &["10.1.0.255"], &[], &[]), "last address"),
            (asked(&["10.1.0.0/24"], &[], &["10.1.0.0/16"], &[]), "range 10.1.0.0/16"),
            (asked(&["10.1.0.0/24"], &[], &["10.2.0.0/25"], &[]), "range 10.2.0.0/25"),
            (asked(&["10.1.0.0/24"], &[], &[], &["10.2.0.7"]), "x=10.2.0.7"),
            (asked(&[], &["10.77.0.1"], &[], &[]), "--subnet"),
        ] {
            let error = plan(&asked).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn a_subnet_of_addresses_that_no_container_can_have_is_refused() {
        for (subnet, what) in [
            ("127.5.0.0/24", "loopback"),
            ("::/126", "unspecified"),
            ("169.254.7.0/24", "link-local"),
            ("fe80::/64", "link-local"),
            ("239.0.0.0/24", "multicast"),
            ("ff02::/64", "multicast"),
            ("0.0.0.0/8", "unspecified"),
            ("0.0.0.0/0", "unspecified"),
            ("::/0", "unspecified"),
        ] {
            let error = check_unreserved(subnet.parse().unwrap()).unwrap_err().to_string();
            assert!(error.contains(subnet) && error.contains(what), "{error}");
        }
        for subnet in ["126.0.0.0/8", "128.0.0.0/24", "223.255.255.0/24", "fec0::/64", "2001:db8::/64"] {
            assert!(check_unreserved(subnet.parse().unwrap()).is_ok(), "{subnet}");
        }
    }

    #[test]
    fn without_a_subnet_there_is_one_of_ipv4_and_on_request_one_of_ipv6() {
        assert_eq!(plan(&asked(&[], &[], &[], &[])).unwrap()[0].subnet.to_string(), "172.18.0.0/16");
        let only_v6 = plan(&asked(&["fd00:1::/64"], &[], &[], &[])).unwrap();
        assert_eq!(only_v6.len(), 1, "IPv4 is not added to what was asked for");
    }
}
