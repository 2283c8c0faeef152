//! Podman 5 itself, on networks of its driver ipvlan.

use tests::Inside as _;
use tests::podman::{Addresses, host_with_podman_5, podman, run};

use super::mode_and_flag;

/// In mode l3 nobody on the wire is told where they are: who is to reach them from outside needs a route.
#[test]
fn podman_s_containers_are_on_the_wire_by_their_parent_s_address() {
    let host = host_with_podman_5();
    let outside = host.neighbour();
    let ranges = "--subnet 192.0.2.0/24 --gateway 192.0.2.2 --ip-range 192.0.2.128/25 \
                  --ipv6 --subnet 2001:db8::/64 --gateway 2001:db8::2 --ip-range 2001:db8::100/120";
    for mode in ["l2", "l3"] {
        podman(&host, &format!("network create -d ipvlan -o parent=uplink -o mode={mode} {ranges} lan"));
        let before = host.snapshot();
        let (web, Addresses { v4, v6 }) = run(&host, "web", "--network lan --ip 192.0.2.200");
        let (peer, _) = run(&host, "peer", "--network lan");
        assert_eq!(v4, "192.0.2.200");
        assert_eq!(
            (mode_and_flag(&web, "eth0").0.as_str(), &web.link("eth0")["address"]),
            (mode, &host.link("uplink")["address"])
        );
        let server = web.listen_tcp(80);
        for address in [v4, v6] {
            peer.assert_reaches_tcp(&format!("{address}:80"));
            if mode == "l2" {
                outside.assert_reaches_tcp(&format!("{address}:80"));
            }
        }
        drop((server, web, peer));
        podman(&host, "rm -f -t0 -a");
        host.snapshot().assert_nothing_since(&before);
        podman(&host, "network rm lan");
    }
}
