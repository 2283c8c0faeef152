//! Podman 4.3 with its CNI backend. It writes the network configurations itself: bridge, portmap, firewall
//! and tuning, at version 0.4.0.

use std::fs;

use tests::podman::make_image;
pub(crate) use tests::podman::{PODMAN, inspect, inspect_on, podman, run};
use tests::{Host, Inside as _, reference_differs};

use crate::machine::{
    Addresses, PLUGINS, REFERENCE_KEEPS_ISOLATION, assert_nothing_left, assert_served, assert_whole_chain,
    host_with_plugins, write_whole_chain,
};

/// crun does not run on hybrid cgroups; the limits and the OOM score are within what any machine allows.
const CONTAINERS_CONF: &str = r#"
[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
[network]
network_backend = "cni"
cni_plugin_dirs = ["/opt/cni/bin"]
network_config_dir = "/etc/cni/net.d"
default_subnet = "10.210.88.0/24"
"#;

pub(crate) fn host_with_podman() -> Host {
    let host = host_with_plugins();
    assert_eq!(host.run(["ls", PLUGINS]).lines().count(), 9);
    set_up(&host);
    host
}

/// Podman and an image on a host with plugins.
pub(crate) fn set_up(host: &Host) {
    host.write("/run/podman/containers.conf", CONTAINERS_CONF);
    make_image(host);
}

#[test]
fn two_containers_talk_and_one_is_published() {
    let host = host_with_podman();
    let outside = host.neighbour();
    podman(&host, "network create --subnet 10.1.0.0/24 --ipv6 --subnet fd00:1::/64 web");
    let before = host.snapshot();
    let (web, addresses) = run(&host, "web", "--network web -p 8080:80 -p 5353:53/udp");
    let (peer, _) = run(&host, "peer", "--network web");
    assert_served(&host, &outside, (&web, &addresses), &peer);
    drop((web, peer));
    podman(&host, "stop -t0 web");
    podman(&host, "rm -f -t0 web peer");
    assert_nothing_left(&host, &before, &[]);
}

/// conf/published-ports.conflist, which names the ports itself, in the folder of networks.
#[test]
fn an_example_serves_as_it_is() {
    let host = host_with_podman();
    let outside = host.neighbour();
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../conf/published-ports.conflist");
    host.write("/etc/cni/net.d/published-ports.conflist", fs::read_to_string(example).unwrap());
    let name = tests::example("published-ports")["name"].as_str().unwrap().to_owned();
    let before = host.snapshot();
    let (web, _) = run(&host, "web", &format!("--network {name}"));
    let server = web.listen_tcp(80);
    outside.assert_reaches_tcp("192.0.2.1:8080");
    drop((server, web));
    podman(&host, "rm -f -t0 web");
    assert_nothing_left(&host, &before, &[]);
}

#[test]
fn a_container_restarts_with_its_port() {
    let host = host_with_podman();
    let outside = host.neighbour();
    let before = host.snapshot();
    let _ = run(&host, "web", "--network podman -p 192.0.2.1:8080:80");
    podman(&host, "restart -t0 web");
    let (web, _) = inspect(&host, "web");
    let server = web.listen_tcp(80);
    outside.assert_reaches_tcp("192.0.2.1:8080");
    host.assert_blocked_tcp("127.0.0.1:8080");
    drop((server, web));
    podman(&host, "rm -f -t0 web");
    assert_nothing_left(&host, &before, &[]);
}

#[test]
fn a_container_gets_the_addresses_that_were_asked_for() {
    let host = host_with_podman();
    podman(&host, "network create --subnet 10.1.0.0/24 --ipv6 --subnet fd00:1::/64 web");
    let before = host.snapshot();
    let wishes = "--ip 10.1.0.77 --ip6 fd00:1::77 --mac-address 92:d0:c6:0a:29:33";
    let (web, Addresses { v4, v6 }) = run(&host, "web", &format!("--network web {wishes}"));
    assert_eq!((v4.as_str(), v6.as_str()), ("10.1.0.77", "[fd00:1::77]"));
    assert_eq!(web.ip_json(["link", "show", "eth0"])[0]["address"], "92:d0:c6:0a:29:33");
    let server = web.listen_tcp(80);
    host.assert_reaches_tcp("10.1.0.77:80");
    host.assert_reaches_tcp("[fd00:1::77]:80");
    drop((server, web));
    podman(&host, "rm -f -t0 web");
    assert_nothing_left(&host, &before, &[]);
}

#[test]
fn a_reload_brings_the_port_back_after_a_flush() {
    let host = host_with_podman();
    let outside = host.neighbour();
    podman(&host, "network create --subnet 10.1.0.0/24 --ipv6 --subnet fd00:1::/64 web");
    let before = host.snapshot();
    let (web, _) = run(&host, "web", "--network web -p 8080:80");
    let server = web.listen_tcp(80);
    outside.assert_reaches_tcp("192.0.2.1:8080");
    host.run(["nft", "flush", "ruleset"]);
    outside.assert_blocked_tcp("192.0.2.1:8080");
    drop((server, web));
    podman(&host, "network reload web");
    let (web, _) = inspect(&host, "web");
    let server = web.listen_tcp(80);
    outside.assert_reaches_tcp("192.0.2.1:8080");
    outside.assert_reaches_tcp("[2001:db8::1]:8080");
    drop((server, web));
    podman(&host, "rm -f -t0 web");
    assert_nothing_left(&host, &before, &[]);
}

/// Docker sets this policy when it is installed.
#[test]
fn a_forward_policy_of_drop_stops_nobody() {
    let host = host_with_podman();
    let outside = host.neighbour();
    podman(&host, "network create --subnet 10.1.0.0/24 --ipv6 --subnet fd00:1::/64 web");
    host.shell("iptables -P FORWARD DROP; ip6tables -P FORWARD DROP");
    let before = host.snapshot();
    let (web, _) = run(&host, "web", "--network web -p 8080:80");
    let (server, elsewhere) = (web.listen_tcp(80), outside.listen_tcp(80));
    for address in ["192.0.2.2", "[2001:db8::2]"] {
        let seen = web.assert_reaches_tcp(&format!("{address}:80")).ip().to_string();
        assert!(["192.0.2.1", "2001:db8::1"].contains(&seen.as_str()), "not masqueraded: {seen}");
    }
    if !reference_differs("it accepts only established connections to a container") {
        outside.assert_reaches_tcp("192.0.2.1:8080");
        outside.assert_reaches_tcp("[2001:db8::1]:8080");
    }
    drop((server, elsewhere, web));
    podman(&host, "rm -f -t0 web");
    assert_nothing_left(&host, &before, &[]);
}

#[test]
fn isolated_networks_do_not_reach_each_other() {
    let host = host_with_podman();
    let outside = host.neighbour();
    podman(&host, "network create -o isolate=1 --subnet 10.1.0.0/24 --ipv6 --subnet fd00:1::/64 one");
    podman(&host, "network create -o isolate=1 --subnet 10.2.0.0/24 --ipv6 --subnet fd00:2::/64 two");
    let before = host.snapshot();
    let (web, Addresses { v4, v6 }) = run(&host, "web", "--network one -p 8080:80");
    let (peer, _) = run(&host, "peer", "--network one");
    let (stranger, _) = run(&host, "stranger", "--network two");
    let server = web.listen_tcp(80);
    outside.assert_reaches_tcp("192.0.2.1:8080");
    outside.assert_reaches_tcp("[2001:db8::1]:8080");
    for address in [v4, v6] {
        peer.assert_reaches_tcp(&format!("{address}:80"));
        host.assert_reaches_tcp(&format!("{address}:80"));
        stranger.assert_blocked_tcp(&format!("{address}:80"));
    }
    drop((server, web, peer, stranger));
    podman(&host, "rm -f -t0 web peer stranger");
    assert_nothing_left(&host, &before, REFERENCE_KEEPS_ISOLATION);
}

#[test]
fn an_internal_network_has_no_way_out() {
    let host = host_with_podman();
    let outside = host.neighbour();
    podman(&host, "network create --internal --subnet 10.1.0.0/24 --ipv6 --subnet fd00:1::/64 inside");
    let before = host.snapshot();
    let (web, Addresses { v4, v6 }) = run(&host, "web", "--network inside");
    let (peer, _) = run(&host, "peer", "--network inside");
    let (server, way_out) = (web.listen_tcp(80), outside.listen_tcp(80));
    host.assert_reaches_tcp("192.0.2.2:80");
    for address in [v4, v6] {
        peer.assert_reaches_tcp(&format!("{address}:80"));
        host.assert_blocked_tcp(&format!("{address}:80"));
    }
    peer.assert_blocked_tcp("192.0.2.2:80");
    peer.assert_blocked_tcp("[2001:db8::2]:80");
    drop((server, way_out, web, peer));
    podman(&host, "rm -f -t0 web peer");
    assert_nothing_left(&host, &before, &[]);
}

/// Podman gives the ports to each network.
#[test]
fn a_port_is_served_by_one_network_and_then_by_the_other() {
    let host = host_with_podman();
    let outside = host.neighbour();
    for (number, name) in [(1, "neta"), (2, "netb")] {
        podman(&host, &format!("network create --subnet 10.{number}.0.0/24 {name}"));
    }
    let before = host.snapshot();
    podman(&host, "run -d --name web --network neta,netb -p 8080:80 -p 5353:53/udp box /bin/busybox sleep 1000");
    let (web, _) = inspect_on(&host, "web", Some("neta"));
    let (server, datagrams) = (web.listen_tcp(80), web.listen_udp(53));
    outside.assert_reaches_tcp("192.0.2.1:8080");
    for name in ["neta", "netb"] {
        host.assert_reaches_tcp("127.0.0.1:8080");
        host.assert_reaches_udp("127.0.0.1:5353");
        podman(&host, &format!("network disconnect {name} web"));
    }
    host.assert_blocked_tcp("127.0.0.1:8080");
    podman(&host, "network connect netb web");
    host.assert_reaches_tcp("127.0.0.1:8080");
    drop((server, datagrams, web));
    podman(&host, "rm -f -t0 web");
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
    podman(&host, "rm -f -t0 web peer");
    assert_nothing_left(&host, &before, &[]);
}

/// A list that Podman has not written, with every chained plugin that has something to do.
#[test]
fn a_port_is_served_through_the_longest_list() {
    let host = host_with_podman();
    let outside = host.neighbour();
    write_whole_chain(&host, "/etc/cni/net.d");
    let before = host.snapshot();
    let networks = "--network first:interface_name=eth0 --network whole:interface_name=eth1";
    podman(&host, &format!("run -d --name web {networks} -p 8080:80 box /bin/busybox sleep 1000"));
    let (web, addresses) = inspect_on(&host, "web", Some("whole"));
    assert_whole_chain(&host, &outside, (&web, &addresses));
    drop(web);
    podman(&host, "stop -t0 web");
    podman(&host, "rm -f -t0 web");
    assert_nothing_left(&host, &before, &[]);
}
