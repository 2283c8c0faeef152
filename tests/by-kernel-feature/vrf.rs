//! Routing tables of their own for groups of links.

use tests::{Host, Inside as _};

#[test]
fn the_kernel_has_it() {
    Host::new().shell("ip link add name v0 type vrf table 5");
}
