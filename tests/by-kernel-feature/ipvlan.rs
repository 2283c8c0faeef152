//! Links that share their master's MAC address.

use tests::{Host, Inside as _};

#[test]
fn the_kernel_has_it() {
    let host = Host::new();
    host.shell(
        "ip link add name e0 type veth peer name e1
         for mode in l2 l3 l3s; do
             ip link add name i0 link e0 type ipvlan mode $mode
             ip link del i0
         done",
    );
}
