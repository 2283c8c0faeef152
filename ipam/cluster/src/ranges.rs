//! This host's blocks as ranges of host-local, which keeps the reservations.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use overlay::{ADDRESSES, Block, State, Subnet};
use serde_json::{Value, json};

/// A configuration of host-local that gives an address of each subnet, from this host's blocks and from `claimed`. None without blocks.
pub(crate) fn configuration(
    network: &str,
    version: &str,
    state: &State,
    wishes: &[IpAddr],
    claimed: &[IpAddr],
) -> Value {
    let sets: Vec<_> = state.network.subnets.iter().map(|subnet| range_set(subnet, state, claimed)).collect();
    json!({
        "cniVersion": version,
        "name": network,
        "ipam": {"type": "host-local", "dataDir": ADDRESSES, "ranges": sets},
        "runtimeConfig": {"ips": wishes},
    })
}

fn range_set(subnet: &Subnet, state: &State, claimed: &[IpAddr]) -> Vec<Value> {
    let blocks = state.blocks.iter().copied().filter(|block| subnet.has(*block));
    let of_blocks = blocks.flat_map(|block| stretches(subnet, block, &state.excluded));
    let alone = claimed.iter().copied().filter(|address| subnet.network().contains(*address));
    let ranges = of_blocks.chain(alone.map(|address| (address, address)));
    let range = |(first, last): (IpAddr, IpAddr)| json!({"subnet": subnet.network().to_string(), "rangeStart": first, "rangeEnd": last, "gateway": subnet.gateway()});
    ranges.map(range).collect()
}

/// What is left of a block between the addresses that others have.
fn stretches(subnet: &Subnet, block: Block, excluded: &[IpAddr]) -> Vec<(IpAddr, IpAddr)> {
    let (first, last) = subnet.usable(block);
    let mut excluded: Vec<_> = excluded.iter().copied().filter(|address| block.contains(*address)).collect();
    excluded.sort_unstable();
    let (mut stretches, mut start) = (Vec::new(), Some(first));
    for gap in excluded {
        if let (Some(from), Some(to)) = (start, neighbour(gap, false))
            && from <= to
        {
            stretches.push((from, to));
        }
        start = start.map(|start| start.max(neighbour(gap, true).unwrap_or(last)));
    }
    stretches.extend(start.filter(|start| *start <= last).map(|start| (start, last)));
    stretches
}

/// The next address, or the one before; none at the end of all.
fn neighbour(address: IpAddr, next: bool) -> Option<IpAddr> {
    Some(match address {
        IpAddr::V4(address) => {
            let number = u32::from(address);
            Ipv4Addr::from(if next { number.checked_add(1)? } else { number.checked_sub(1)? }).into()
        }
        IpAddr::V6(address) => {
            let number = u128::from(address);
            Ipv6Addr::from(if next { number.checked_add(1)? } else { number.checked_sub(1)? }).into()
        }
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn of(excluded: &[&str]) -> Vec<String> {
        let subnet = Subnet::new("10.1.2.0/24".parse().unwrap()).unwrap();
        let block = Block::new("10.1.2.8/29".parse().unwrap()).unwrap();
        let excluded: Vec<IpAddr> = excluded.iter().map(|address| address.parse().unwrap()).collect();
        stretches(&subnet, block, &excluded).into_iter().map(|(first, last)| format!("{first}-{last}")).collect()
    }

    #[test]
    fn a_block_is_one_range_unless_others_have_addresses_of_it() {
        assert_eq!(of(&[]), ["10.1.2.9-10.1.2.15"]);
        assert_eq!(of(&["10.1.2.12"]), ["10.1.2.9-10.1.2.11", "10.1.2.13-10.1.2.15"]);
        assert_eq!(of(&["10.1.2.15", "10.1.2.9"]), ["10.1.2.10-10.1.2.14"]);
        assert_eq!(of(&["10.1.2.11", "10.1.2.12", "10.9.9.9"]), ["10.1.2.9-10.1.2.10", "10.1.2.13-10.1.2.15"]);
        assert!(
            of(&["10.1.2.9", "10.1.2.10", "10.1.2.11", "10.1.2.12", "10.1.2.13", "10.1.2.14", "10.1.2.15"]).is_empty()
        );
    }
}
