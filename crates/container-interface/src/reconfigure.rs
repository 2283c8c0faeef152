use ipnetwork::IpNetwork;
use netlink::{AddressSpec, Socket, if_found};

use crate::Error;
use crate::configure::{Setup, announce, set_ipv6_sysctls};

/// Changes an interface that [`configure()`](crate::configure()) has set up with `old` to what it would be with `new`, while
/// the container runs: its lease has changed or ended (in which case `new` has no addresses).
///
/// Only addresses and routes that differ are touched, and one that is already gone, or already there, is no error: after a
/// failure, or if the process was killed, the same call finishes the work. It does not wait for duplicate address detection,
/// so a daemon can call it.
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
    // With an address the kernel removes some of its routes, but not all, and never those via a gateway in another subnet.
    for route in old.routes.iter().filter(|route| moved || !new.routes.contains(route)) {
        outcome = outcome.and(if_found(socket.delete_route(&old.kernel_route(route))).map(drop));
    }
    // Before new ones are added: if two addresses are in one subnet, the kernel removes the second together with the first.
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
