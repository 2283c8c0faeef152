//! Networks of containers that run: connect, disconnect, reload, remove.

use tests::{Inside as _, reference_differs};

use super::{BOTH, PODMAN, assert_nothing_left, host_with_podman, inspect, inspect_on, podman, run};

/// Podman gives all ports of the container to each call.
#[test]
fn a_container_is_connected_and_disconnected_and_keeps_its_port() {
    let host = host_with_podman();
    let outside = host.neighbour();
    podman(&host, &format!("network create {BOTH} one"));
    podman(&host, "network create --subnet 10.2.0.0/24 --ipv6 --subnet fd00:2::/64 two");
    let before = host.snapshot();
    let (web, _) = run(&host, "web", "--network one -p 8080:80");
    let server = web.listen_tcp(80);
    let served =
        || ["192.0.2.1", "[2001:db8::1]"].map(|address| outside.assert_reaches_tcp(&format!("{address}:8080")));
    served();
    podman(&host, "network connect --alias again --ip 10.2.0.77 two web");
    let (_, there) = inspect_on(&host, "web", Some("two"));
    assert_eq!(there.v4, "10.2.0.77");
    host.assert_reaches_tcp("10.2.0.77:80");
    served();
    podman(&host, "network disconnect one web");
    host.assert_reaches_tcp("10.2.0.77:80");
    assert_eq!(web.links(), ["lo", "eth1"]);
    served();
    podman(&host, "network connect one web");
    podman(&host, "network disconnect two web");
    assert_eq!(web.links(), ["lo", "eth0"]);
    served();
    drop((server, web));
    podman(&host, "rm -f -t0 -a");
    assert_nothing_left(&host, &before, &[]);
}

#[test]
fn a_container_on_two_networks_has_names_addresses_and_ports_of_both() {
    let host = host_with_podman();
    let outside = host.neighbour();
    podman(&host, &format!("network create {BOTH} one"));
    podman(&host, "network create --subnet 10.2.0.0/24 --ipv6 --subnet fd00:2::/64 two");
    let before = host.snapshot();
    let networks = "--network one:ip=10.1.0.7,interface_name=front --network two:ip=10.2.0.7,mac=92:d0:c6:0a:29:33";
    podman(&host, &format!("run -d --name web {networks} -p 8080:80 box /bin/busybox sleep 1000"));
    let (web, _) = inspect_on(&host, "web", Some("one"));
    assert!(web.links() == ["lo", "front", "eth0"] || reference_differs("it makes them in any order"));
    assert_eq!(web.link("eth0")["address"], "92:d0:c6:0a:29:33");
    let (server, way_out) = (web.listen_tcp(80), outside.listen_tcp(80));
    host.assert_reaches_tcp("10.1.0.7:80");
    host.assert_reaches_tcp("10.2.0.7:80");
    outside.assert_reaches_tcp("192.0.2.1:8080");
    web.assert_reaches_tcp("192.0.2.2:80");
    web.assert_reaches_tcp("[2001:db8::2]:80");
    drop((server, way_out, web));
    podman(&host, "rm -f -t0 -a");
    assert_nothing_left(&host, &before, &[]);
}

#[test]
fn a_reload_brings_everything_back_after_a_flush() {
    let host = host_with_podman();
    let outside = host.neighbour();
    podman(&host, &format!("network create {BOTH} web"));
    let before = host.snapshot();
    let (web, addresses) = run(&host, "web", "--network web -p 8080:80");
    let _ = run(&host, "peer", "--network web -p 8081:80");
    let mac = web.link("eth0")["address"].clone();
    drop(web);
    host.run(["nft", "flush", "ruleset"]);
    outside.assert_blocked_tcp("192.0.2.1:8080");
    podman(&host, "network reload --all");
    for (name, port) in [("web", 8080), ("peer", 8081)] {
        let (container, _) = inspect(&host, name);
        let (_server, _way_out) = (container.listen_tcp(80), outside.listen_tcp(80));
        outside.assert_reaches_tcp(&format!("192.0.2.1:{port}"));
        outside.assert_reaches_tcp(&format!("[2001:db8::1]:{port}"));
        container.assert_reaches_tcp("192.0.2.2:80");
    }
    let (web, after) = inspect(&host, "web");
    assert_eq!((after.v4, &web.link("eth0")["address"]), (addresses.v4, &mac));
    drop(web);
    podman(&host, "rm -f -t0 -a");
    assert_nothing_left(&host, &before, &[]);
}

/// The machine has lost its power in between, or Podman was killed: the namespace is gone when Podman calls.
#[test]
fn what_was_killed_with_its_namespace_is_cleaned_up() {
    let host = host_with_podman();
    let outside = host.neighbour();
    podman(&host, &format!("network create {BOTH} web"));
    let before = host.snapshot();
    let (web, _) = run(&host, "web", "--network web -p 8080:80");
    let netns = web.netns.clone();
    drop(web);
    host.shell("pkill -9 conmon; pkill -9 busybox; true");
    host.run(["umount".as_ref(), netns.as_os_str()]);
    host.run(["rm".as_ref(), netns.as_os_str()]);
    // The first time Podman itself misses conmon.
    host.shell(&format!("{PODMAN} rm -f -t0 -a || {PODMAN} rm -f -t0 -a"));
    outside.assert_blocked_tcp("192.0.2.1:8080");
    assert_nothing_left(&host, &before, &[]);
}

#[test]
fn networks_are_removed_with_their_containers() {
    let host = host_with_podman();
    let before = host.snapshot();
    podman(&host, &format!("network create {BOTH} web"));
    let _ = run(&host, "web", "--network web -p 8080:80");
    podman(&host, "network rm -f web");
    assert_eq!(podman(&host, "ps -aq"), "");
    assert_eq!(podman(&host, "network ls --quiet").lines().collect::<Vec<_>>(), ["podman"]);
    assert_nothing_left(&host, &before, &[]);
    podman(&host, "network create unused");
    podman(&host, "network prune -f");
    assert_eq!(podman(&host, "network ls --quiet").lines().count(), 1);
    assert_nothing_left(&host, &before, &[]);
}
