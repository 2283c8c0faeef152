//! Which address is next: round robin, so that an address rests as long as possible before another container gets it.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::ops::RangeInclusive;

use crate::range::{RangeSet, number};

/// The set's addresses in the order to try them: from the one after `last` round to `last` itself, without the gateways.
///
/// Without a `last`, or with one that is not in the set (its ranges were changed), it starts at the beginning.
pub(crate) fn candidates(set: &RangeSet, last: Option<IpAddr>) -> impl Iterator<Item = IpAddr> {
    let numbers = segments(set, last).into_iter().flatten();
    numbers.map(|number| set.address(number)).filter(|address| !set.withholds(*address))
}

/// The first of [`candidates`] that is not `taken`, found without going through them one by one.
pub(crate) fn first_free(set: &RangeSet, last: Option<IpAddr>, taken: &[IpAddr]) -> Option<IpAddr> {
    let in_set = taken.iter().filter(|address| set.range_of(**address).is_some());
    let occupied: BTreeSet<u128> = in_set.map(|address| number(*address)).chain(set.withheld()).collect();
    segments(set, last).into_iter().find_map(|segment| first_gap(segment, &occupied)).map(|free| set.address(free))
}

/// The first number of the segment that is not occupied; costs as many steps as occupied ones stand before it.
fn first_gap(segment: RangeInclusive<u128>, occupied: &BTreeSet<u128>) -> Option<u128> {
    let mut next = *segment.start();
    for number in occupied.range(segment.clone()) {
        if *number != next {
            break;
        }
        next = number.checked_add(1)?;
    }
    segment.contains(&next).then_some(next)
}

/// The set's addresses as stretches of numbers, in the order to try them.
fn segments(set: &RangeSet, last: Option<IpAddr>) -> Vec<RangeInclusive<u128>> {
    let ranges = set.ranges();
    let at = last.and_then(|last| Some((set.position(last)?, number(last))));
    let Some((current, last)) = at else { return ranges.iter().map(crate::range::Range::numbers).collect() };
    let (first, end) = ranges[current].numbers().into_inner();
    let after = (last < end).then(|| last + 1..=end);
    let others = ranges[current + 1..].iter().chain(&ranges[..current]).map(crate::range::Range::numbers);
    after.into_iter().chain(others).chain([first..=last]).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::range::tests::set;
    use serde_json::json;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn texts(addresses: impl Iterator<Item = IpAddr>) -> Vec<String> {
        addresses.map(|address| address.to_string()).collect()
    }

    #[test]
    fn it_starts_at_the_first_address_and_leaves_out_the_gateway() {
        let set = set(&json!([{"subnet": "10.1.2.0/29"}]));
        assert_eq!(texts(candidates(&set, None)), ["10.1.2.2", "10.1.2.3", "10.1.2.4", "10.1.2.5", "10.1.2.6"]);
    }

    #[test]
    fn it_goes_on_after_the_last_and_comes_round_through_all_ranges() {
        let set = set(&json!([
            {"subnet": "10.1.2.0/29", "rangeStart": "10.1.2.2", "rangeEnd": "10.1.2.3"},
            {"subnet": "10.1.3.0/29", "rangeEnd": "10.1.3.3"}
        ]));
        assert_eq!(texts(candidates(&set, Some(ip("10.1.2.2")))), ["10.1.2.3", "10.1.3.2", "10.1.3.3", "10.1.2.2"]);
        assert_eq!(texts(candidates(&set, Some(ip("10.1.3.3")))), ["10.1.2.2", "10.1.2.3", "10.1.3.2", "10.1.3.3"]);
    }

    #[test]
    fn a_last_address_of_elsewhere_does_not_count() {
        let set = set(&json!([{"subnet": "10.1.2.0/30"}]));
        for last in ["10.1.9.9", "fd00::1", "10.1.2.3"] {
            assert_eq!(texts(candidates(&set, Some(ip(last)))), ["10.1.2.2"], "{last}");
        }
    }

    #[test]
    fn a_range_up_to_the_very_last_address_ends() {
        let set = set(&json!([{"subnet": "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffc/126"}]));
        let end = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
        assert_eq!(candidates(&set, Some(ip(end))).count(), 2);
        let taken = [ip("ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe"), ip(end)];
        assert_eq!(first_free(&set, None, &taken), None);
    }

    #[test]
    fn the_largest_range_costs_nothing() {
        let set = set(&json!([{"subnet": "fd00::/8", "gateway": "fd00::3"}]));
        assert_eq!(first_free(&set, Some(ip("fd00::1")), &[ip("fd00::2"), ip("fd00::4")]), Some(ip("fd00::5")));
    }

    /// The two ways to find an address agree, whatever is taken and wherever the round stands.
    #[test]
    fn first_free_is_the_first_candidate_that_is_not_taken() {
        let set = set(&json!([
            {"subnet": "10.1.2.0/28", "gateway": "10.1.2.6", "rangeEnd": "10.1.2.9"},
            {"subnet": "10.1.3.0/29"},
            {"subnet": "10.1.2.0/28", "gateway": "10.1.2.7", "rangeStart": "10.1.2.11"}
        ]));
        let everything: Vec<IpAddr> = candidates(&set, None).collect();
        let mut random = 0x2545_f491_4f6c_dd1d_u64;
        for round in 0..5000 {
            // xorshift64: the same rounds at every run
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let taken: Vec<IpAddr> =
                everything.iter().enumerate().filter(|(i, _)| random >> i & 1 == 1).map(|(_, ip)| *ip).collect();
            let last = everything.get(round % (everything.len() + 1)).copied();
            let expected = candidates(&set, last).find(|address| !taken.contains(address));
            assert_eq!(first_free(&set, last, &taken), expected, "taken {taken:?}, last {last:?}");
        }
        assert_eq!(first_free(&set, None, &everything), None);
    }

    #[test]
    fn every_address_comes_once_a_round() {
        let set = set(&json!([{"subnet": "10.1.2.0/26"}, {"subnet": "10.1.3.0/26", "gateway": "10.1.3.20"}]));
        for last in [None, Some(ip("10.1.2.33")), Some(ip("10.1.3.62"))] {
            let round: Vec<_> = candidates(&set, last).collect();
            let distinct: std::collections::HashSet<_> = round.iter().collect();
            assert_eq!((round.len(), distinct.len() as u128), (122, set.capacity()), "{last:?}");
        }
    }
}
