use ipnetwork::IpNetwork;
use netlink::{AddressSpec, Socket, if_found};

use crate::Error;
use crate::configure::{Setup, announce, set_ipv6_sysctls};

/// Makes of an interface that [`configure()`](crate::configure()) has set up as `old` what it would have made of it with
/// `new`, for a container that runs: its lease says something else now, or has ended (`new` has no addresses then).
///
/// Only addresses and routes that differ are touched. What is gone already, or there already, is as it should be: after a
/// failure, or having been killed in the middle, the same call finishes the work. It waits for nothing, so that a daemon
/// can call it.
///
/// # Errors
/// The step that failed; the others have been tried nevertheless.
pub fn reconfigure(old: &Setup<'_>, new: &Setup<'_>) -> Result<(), Error> {
    let mut socket = Socket::open_in(new.netns)?;
    let moved = addresses(old) != addresses(new);
    let removed = remove(&mut socket, old, new, moved);
    let added = add(&mut socket, new, moved);
    new.named(removed)?;
    added
}

fn addresses(setup: &Setup<'_>) -> Vec<IpNetwork> {
    setup.ips.iter().map(|ip| ip.address).collect()
}

fn remove(socket: &mut Socket, old: &Setup<'_>, new: &Setup<'_>, moved: bool) -> netlink::Result<()> {
    let mut outcome = Ok(());
    // With the address the kernel takes away some of its routes, but not all, and never those by a gateway elsewhere.
    for route in old.routes.iter().filter(|route| moved || !new.routes.contains(route)) {
        outcome = outcome.and(if_found(socket.delete_route(&old.kernel_route(route))).map(drop));
    }
    // Before a new one comes: of two addresses in one subnet the second goes with the first.
    for ip in old.ips.iter().filter(|old| !new.ips.iter().any(|new| new.address == old.address)) {
        outcome = outcome.and(if_found(socket.delete_address(old.index, ip.address)).map(drop));
    }
    outcome
}

fn add(socket: &mut Socket, new: &Setup<'_>, moved: bool) -> Result<(), Error> {
    if moved && new.has_ipv6() {
        new.netns.run(|| set_ipv6_sysctls(new))??;
    }
    let mut outcome = Ok(());
    for ip in new.ips {
        let detect_duplicates = new.detect_duplicates;
        let address = AddressSpec { detect_duplicates, ..AddressSpec::new(new.index, ip.address) };
        outcome = outcome.and(unless_there(socket.add_address(&address)));
    }
    for route in new.routes {
        outcome = outcome.and(unless_there(socket.batch().add_parallel_route(&new.kernel_route(route)).send()));
    }
    new.named(outcome)?;
    if moved { new.named(announce(socket, new)) } else { Ok(()) }
}

fn unless_there(outcome: netlink::Result<()>) -> netlink::Result<()> {
    outcome.or_else(|error| if error.is_exists() { Ok(()) } else { Err(error) })
}
