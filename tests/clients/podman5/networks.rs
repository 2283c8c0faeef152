//! Networks with each of their options.

use serde_json::json;
use tests::Inside as _;

use super::{Addresses, BOTH, assert_nothing_left, host_with_podman, inspected, podman, run};

#[test]
fn each_option_of_a_network_has_its_effect() {
    let host = host_with_podman();
    let outside = host.neighbour();
    let options = "-o mtu=1300 -o metric=7 -o isolate=true --label use=test --interface-name mine --dns 192.0.2.2 \
                   --gateway 10.1.0.254 --ip-range 10.1.0.128/25 --route 10.77.0.0/16,10.1.0.200,9";
    podman(&host, &format!("network create --subnet 10.1.0.0/24 {options} web"));
    let before = host.snapshot();
    let (web, Addresses { v4, .. }) = run(&host, "web", "--network web -p 8080:80");
    assert_eq!(v4, "10.1.0.129");
    assert_eq!(host.addresses("mine"), ["10.1.0.254/24"]);
    assert_eq!((&web.link("eth0")["mtu"], &host.link("mine")["mtu"]), (&json!(1300), &json!(1300)));
    let default = &web.ip_json(["route", "show", "default"])[0];
    assert_eq!((&default["gateway"], &default["metric"]), (&json!("10.1.0.254"), &json!(7)));
    let route = &web.ip_json(["route", "show", "10.77.0.0/16"])[0];
    assert_eq!((&route["gateway"], &route["metric"]), (&json!("10.1.0.200"), &json!(9)));
    let network = inspected(&host, "network inspect web");
    assert_eq!(network["labels"]["use"], "test");
    let server = web.listen_tcp(80);
    outside.assert_reaches_tcp("192.0.2.1:8080");
    drop((server, web));
    podman(&host, "rm -f -t0 -a");
    assert_nothing_left(&host, &before, &[]);
    podman(&host, "network create --subnet 10.2.0.0/24 -o no_default_route=1 two");
    let (two, _) = run(&host, "two", "--network two");
    assert_eq!(two.ip_json(["route", "show", "default"]), json!([]));
    drop(two);
    podman(&host, "rm -f -t0 -a");
}

#[test]
fn isolated_networks_do_not_reach_each_other() {
    let host = host_with_podman();
    let outside = host.neighbour();
    podman(&host, &format!("network create -o isolate=true {BOTH} one"));
    podman(&host, "network create -o isolate=true --subnet 10.2.0.0/24 --ipv6 --subnet fd00:2::/64 two");
    podman(&host, "network create -o isolate=strict --subnet 10.3.0.0/24 --ipv6 --subnet fd00:3::/64 strict");
    podman(&host, "network create --subnet 10.4.0.0/24 --ipv6 --subnet fd00:4::/64 open");
    let before = host.snapshot();
    let (web, Addresses { v4, v6 }) = run(&host, "web", "--network one -p 8080:80");
    let members = ["one", "two", "strict", "open"]
        .map(|network| run(&host, &format!("in-{network}"), &format!("--network {network}")).0);
    let server = web.listen_tcp(80);
    outside.assert_reaches_tcp("192.0.2.1:8080");
    outside.assert_reaches_tcp("[2001:db8::1]:8080");
    let [peer, two, strict, open] = &members;
    for address in [v4, v6] {
        let address = format!("{address}:80");
        peer.assert_reaches_tcp(&address);
        host.assert_reaches_tcp(&address);
        open.assert_reaches_tcp(&address);
        two.assert_blocked_tcp(&address);
        strict.assert_blocked_tcp(&address);
    }
    drop((server, web, members));
    podman(&host, "rm -f -t0 -a");
    assert_nothing_left(&host, &before, &[]);
}

#[test]
fn an_internal_network_has_no_way_out() {
    let host = host_with_podman();
    let outside = host.neighbour();
    podman(&host, &format!("network create --internal {BOTH} inside"));
    let before = host.snapshot();
    let (web, Addresses { v4, v6 }) = run(&host, "web", "--network inside");
    let (peer, _) = run(&host, "peer", "--network inside");
    let (server, way_out) = (web.listen_tcp(80), outside.listen_tcp(80));
    host.assert_reaches_tcp("192.0.2.2:80");
    for address in [v4, v6] {
        peer.assert_reaches_tcp(&format!("{address}:80"));
    }
    peer.assert_blocked_tcp("192.0.2.2:80");
    peer.assert_blocked_tcp("[2001:db8::2]:80");
    let found = podman(&host, "exec peer /bin/busybox nslookup web");
    assert!(found.contains("web.dns.podman") || found.contains("Name:\tweb"), "{found}");
    drop((server, way_out, web, peer));
    podman(&host, "rm -f -t0 -a");
    assert_nothing_left(&host, &before, &[]);
}

/// Containers as machines of the host's own network.
#[test]
fn a_macvlan_network_leads_to_the_wire() {
    let host = host_with_podman();
    let outside = host.neighbour();
    let ranges = "--subnet 192.0.2.0/24 --gateway 192.0.2.2 --ip-range 192.0.2.128/25 \
                  --ipv6 --subnet 2001:db8::/64 --gateway 2001:db8::2 --ip-range 2001:db8::100/120";
    podman(&host, &format!("network create -d macvlan -o parent=uplink -o mode=bridge {ranges} lan"));
    let before = host.snapshot();
    let wishes = "--ip 192.0.2.200 --mac-address 92:d0:c6:0a:29:33";
    let (web, Addresses { v4, v6 }) = run(&host, "web", &format!("--network lan {wishes}"));
    let (peer, _) = run(&host, "peer", "--network lan");
    assert_eq!(v4, "192.0.2.200");
    assert_eq!(web.link("eth0")["address"], "92:d0:c6:0a:29:33");
    assert_eq!(web.link("eth0")["linkinfo"]["info_kind"], "macvlan");
    let (server, way_out) = (web.listen_tcp(80), outside.listen_tcp(80));
    for address in [v4, v6] {
        peer.assert_reaches_tcp(&format!("{address}:80"));
        outside.assert_reaches_tcp(&format!("{address}:80"));
        host.assert_blocked_tcp(&format!("{address}:80"));
    }
    assert_eq!(web.assert_reaches_tcp("192.0.2.2:80").ip().to_string(), "192.0.2.200");
    drop((server, way_out, web, peer));
    podman(&host, "rm -f -t0 -a");
    assert_nothing_left(&host, &before, &[]);
}

/// The bridge is the administrator's.
#[test]
fn an_unmanaged_network_uses_a_bridge_that_is_there() {
    let host = host_with_podman();
    let outside = host.neighbour();
    host.shell(
        "ip link add name lan type bridge; ip link set lan up; ip link set uplink master lan; ip addr flush uplink",
    );
    let ranges = "--subnet 192.0.2.0/24 --gateway 192.0.2.2 --ip-range 192.0.2.128/25";
    podman(&host, &format!("network create -o mode=unmanaged --interface-name lan {ranges} --disable-dns lan"));
    host.run(["ip", "addr", "add", "192.0.2.1/24", "dev", "lan"]);
    let before = host.snapshot();
    let (web, Addresses { v4, .. }) = run(&host, "web", "--network lan");
    let server = web.listen_tcp(80);
    outside.assert_reaches_tcp(&format!("{v4}:80"));
    host.assert_reaches_tcp(&format!("{v4}:80"));
    drop((server, web));
    podman(&host, "rm -f -t0 -a");
    assert_nothing_left(&host, &before, &[]);
}

#[test]
fn a_network_is_changed_while_its_containers_run() {
    let host = host_with_podman();
    podman(&host, "network create --subnet 10.1.0.0/24 web");
    let _ = run(&host, "web", "--network web");
    podman(&host, "network update web --dns-add 192.0.2.2");
    assert_eq!(inspected(&host, "network inspect web")["network_dns_servers"], json!(["192.0.2.2"]));
    podman(&host, "network update web --dns-drop 192.0.2.2");
    assert_eq!(inspected(&host, "network inspect web")["network_dns_servers"], json!(null));
    podman(&host, "rm -f -t0 -a");
}
