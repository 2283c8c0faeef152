//! A bridge that filters by VLAN.

use tests::{Host, Inside as _};

#[test]
fn the_kernel_has_it() {
    let host = Host::new();
    host.shell("ip link add name br0 type bridge vlan_filtering 1; bridge vlan add dev br0 vid 100 self");
}
