//! 802.1Q links.

use tests::{Host, Inside as _};

#[test]
fn the_kernel_has_it() {
    Host::new().shell("ip link add name e0 type veth peer name e1; ip link add name e0.5 link e0 type vlan id 5");
}
