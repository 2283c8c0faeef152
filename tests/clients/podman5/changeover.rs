//! From Debian's netavark to the tested one and back, while containers run.

use std::path::Path;

use tests::{Host, Inside as _, netavark};

use super::names::resolved;
use super::{BOTH, assert_nothing_left, host_with_podman, inspect, podman, run, use_netavark_in};

/// A host with two containers that Debian's netavark has connected, and that is to be called no more.
fn host_of_debian_s() -> Host {
    let host = host_with_podman();
    podman(&host, &format!("network create {BOTH} web"));
    use_netavark_in(&host, Path::new(netavark::OF_DEBIAN));
    let _ = run(&host, "old", "--network web -p 8080:80");
    let _ = run(&host, "other", "--network web -p 8081:80");
    use_netavark_in(&host, &netavark::folder());
    host
}

/// The published port leads to the container.
#[track_caller]
fn assert_published(outside: &Host, host: &Host, name: &str, port: u16) {
    let (container, _) = inspect(host, name);
    let _server = container.listen_tcp(80);
    for address in ["192.0.2.1", "[2001:db8::1]"] {
        outside.assert_reaches_tcp(&format!("{address}:{port}"));
    }
}

fn assert_no_server_of_debian_s(host: &Host) {
    let found = host.shell("for pid in /proc/[0-9]*; do cat $pid/comm 2>/dev/null; done | grep aardvark-dns || true");
    assert_eq!(found, "");
}

#[test]
fn containers_of_the_earlier_program_are_left_in_peace_and_removed_like_others() {
    let host = host_of_debian_s();
    let outside = host.neighbour();
    let (new, address) = run(&host, "new", "--network web -p 8082:80");
    for (name, port) in [("old", 8080), ("other", 8081), ("new", 8082)] {
        assert_published(&outside, &host, name, port);
    }
    let (old, _) = inspect(&host, "old");
    let server = new.listen_tcp(80);
    old.assert_reaches_tcp(&format!("{}:80", address.v4));
    old.assert_reaches_tcp(&format!("{}:80", address.v6));
    assert!(resolved(&host, "old", "other").is_some());
    drop((old, server, new));
    podman(&host, "rm -f -t0 old");
    outside.assert_blocked_tcp("192.0.2.1:8080");
    assert_published(&outside, &host, "other", 8081);
    assert!(resolved(&host, "other", "other").is_some());
    assert_eq!(resolved(&host, "other", "old"), None);
    podman(&host, "rm -f -t0 -a");
    assert_nothing_of_either(&host);
}

#[track_caller]
fn assert_nothing_of_either(host: &Host) {
    assert_no_server_of_debian_s(host);
    let rules = host.shell("nft list ruleset | grep -e 'nv_' -e 'ferrocni:[a-z]' -e '10[.]1[.]' -e fd00:1: || true");
    assert_eq!(rules, "");
    let links = host.links();
    assert!(!links.iter().any(|link| link.starts_with("veth") || link.starts_with("podman")), "{links:?}");
}

/// Its resolv.conf stays as it was, and names the bridge's addresses.
#[test]
fn a_reload_takes_containers_over_with_their_names() {
    let host = host_of_debian_s();
    let outside = host.neighbour();
    podman(&host, "network reload --all");
    assert_no_server_of_debian_s(&host);
    let _ = run(&host, "new", "--network web -p 8082:80");
    for (name, port, friend) in [("old", 8080, "new"), ("other", 8081, "old"), ("new", 8082, "other")] {
        assert_published(&outside, &host, name, port);
        assert!(resolved(&host, name, friend).is_some(), "{name} asks for {friend}");
    }
    podman(&host, "restart -t0 old");
    assert_published(&outside, &host, "old", 8080);
    assert!(resolved(&host, "old", "other").is_some());
    podman(&host, "rm -f -t0 -a");
    assert_nothing_of_either(&host);
}

#[test]
fn back_means_that_containers_are_stopped_by_whom_they_were_started() {
    let host = host_with_podman();
    let outside = host.neighbour();
    podman(&host, &format!("network create {BOTH} web"));
    let before = host.snapshot();
    let _ = run(&host, "web", "--network web --ip 10.1.0.9 -p 8080:80");
    podman(&host, "stop -t0 web");
    use_netavark_in(&host, Path::new(netavark::OF_DEBIAN));
    podman(&host, "start web");
    assert_published(&outside, &host, "web", 8080);
    assert!(resolved(&host, "web", "web").is_some());
    podman(&host, "rm -f -t0 -a");
    assert_nothing_left(&host, &before, &[]);
}
