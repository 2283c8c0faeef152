//! What the host has, as a result.

use std::collections::BTreeSet;

use cni_plugin::{AddResult, IpConfig};
use container_interface::link::describe_on_host;
use netlink::{Address, Socket, scope};

/// The host's addresses that can be reached from elsewhere, and the interfaces that have them, in the order of the
/// interfaces' indexes.
///
/// A host on no network has those of `lo` only.
pub(crate) fn interfaces_and_addresses(host: &mut Socket) -> netlink::Result<AddResult> {
    let mut result = AddResult::default();
    let mut last = None;
    for address in select(host.all_addresses()?) {
        if last != Some(address.link) {
            match host.link(address.link) {
                // It has gone since.
                Err(error) if error.is_not_found() => continue,
                link => result.interfaces.push(describe_on_host(&link?)),
            }
            last = Some(address.link);
        }
        let mut ip = IpConfig::new(address.network, None);
        ip.interface = result.interfaces.len().checked_sub(1);
        result.ips.push(ip);
    }
    Ok(result)
}

fn select(mut addresses: Vec<Address>) -> Vec<Address> {
    let wanted = if addresses.iter().any(is_reachable) { is_reachable } else { is_loopback };
    let mut seen = BTreeSet::new();
    // The host's ends of point-to-point links may all have the same address.
    addresses.retain(|address| wanted(address) && seen.insert(address.network.ip()));
    addresses.sort_by_key(|address| address.link);
    addresses
}

fn is_reachable(address: &Address) -> bool {
    address.scope < scope::LINK && !address.duplicate
}

fn is_loopback(address: &Address) -> bool {
    address.scope == scope::HOST
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(link: u32, network: &str, scope: u8) -> Address {
        let network = network.parse().expect("an address");
        Address { link, network, scope, secondary: false, tentative: false, duplicate: false, expires: false }
    }

    fn selected(addresses: &[Address]) -> Vec<String> {
        select(addresses.to_vec()).iter().map(|address| address.network.to_string()).collect()
    }

    #[test]
    fn addresses_come_by_interface_each_once() {
        let addresses = [
            address(1, "127.0.0.1/8", scope::HOST),
            address(3, "10.1.0.1/32", scope::UNIVERSE),
            address(4, "10.1.0.1/32", scope::UNIVERSE),
            address(2, "192.0.2.1/24", scope::UNIVERSE),
            address(2, "2001:db8::1/64", scope::UNIVERSE),
            Address { duplicate: true, ..address(2, "2001:db8::2/64", scope::UNIVERSE) },
            address(2, "fe80::1/64", scope::LINK),
        ];
        assert_eq!(selected(&addresses), ["192.0.2.1/24", "2001:db8::1/64", "10.1.0.1/32"]);
    }

    #[test]
    fn a_host_on_no_network_has_loopback() {
        let addresses = [address(1, "127.0.0.1/8", scope::HOST), address(1, "::1/128", scope::HOST)];
        assert_eq!(selected(&addresses), ["127.0.0.1/8", "::1/128"]);
    }
}
