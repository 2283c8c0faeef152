//! The examples in `conf/` that need a feature of the kernel: each is tested in that feature's module.

use tests::{Inside as _, address, assert_examples_are_tested, example, wire};

#[test]
fn every_example_is_tested() {
    assert_examples_are_tested(env!("CARGO_CRATE_NAME"));
}

/// Requires of an example, whose `master` is VLAN 20 of the host's NIC, that its containers are in that VLAN of the wire, and the
/// host is not.
#[track_caller]
pub(super) fn assert_puts_containers_into_vlan_20(name: &str) {
    let (host, outside) = wire();
    outside.shell(
        "ip link add v20 up link uplink type vlan id 20; ip addr add 203.0.113.7/32 dev lo
         ip addr add 10.210.20.1/24 dev v20; ip addr add fd00:210:20::1/64 dev v20 nodad",
    );
    host.shell("ip link property add dev uplink altname eth0");
    let (web, peer) = (host.container("web"), host.container("peer"));
    let network = host.chain(&example(name));
    host.assert_leaves_nothing(|| {
        let result = network.add(&web, "eth0").ok();
        network.add(&peer, "eth0").ok();
        let (server, elsewhere) = (web.listen_tcp(80), outside.listen_tcp(80));
        for index in [0, 1] {
            peer.assert_reaches_tcp(&format!("{}:80", address(&result, index)));
            outside.assert_reaches_tcp(&format!("{}:80", address(&result, index)));
            host.assert_blocked_tcp(&format!("{}:80", address(&result, index)));
        }
        web.assert_reaches_tcp("203.0.113.7:80");
        drop((server, elsewhere));
        for container in [&web, &peer] {
            network.check(container, "eth0").ok();
            network.del(container, "eth0").ok();
        }
    });
}
