//! What containers find each other by.

use tests::Host;

use super::{BOTH, assert_nothing_left, host_with_podman, podman, run};

/// What a program in the container gets for a name, by the container's own resolv.conf and hosts.
#[track_caller]
pub(super) fn resolved(host: &Host, container: &str, name: &str) -> Option<String> {
    let line = format!("exec {container} /bin/busybox ping -c1 -W2 {name} || true");
    let said = podman(host, &line);
    said.split_once('(').and_then(|(_, rest)| rest.split_once(')')).map(|(address, _)| address.to_owned())
}

#[test]
fn containers_find_each_other_by_name_alias_and_id() {
    let host = host_with_podman();
    podman(&host, &format!("network create {BOTH} web"));
    let before = host.snapshot();
    let _ = run(&host, "one", "--network web --ip 10.1.0.9 --network-alias www");
    let _ = run(&host, "two", "--network web --ip 10.1.0.8 --hostname db");
    let id = podman(&host, "ps -q --filter name=one");
    for name in ["one", "www", id.trim()] {
        let found = resolved(&host, "two", name);
        assert!(matches!(found.as_deref(), Some("10.1.0.9" | "fd00:1::2")), "{name}: {found:?}");
    }
    assert!(resolved(&host, "one", "two").is_some());
    assert_eq!(resolved(&host, "one", "nobody"), None);
    podman(&host, "stop -t0 two");
    assert_eq!(resolved(&host, "one", "two"), None);
    podman(&host, "rm -f -t0 -a");
    assert_nothing_left(&host, &before, &[]);
}

#[test]
fn a_network_may_have_no_names() {
    let host = host_with_podman();
    podman(&host, "network create --disable-dns --subnet 10.1.0.0/24 web");
    let before = host.snapshot();
    let _ = run(&host, "one", "--network web --dns 192.0.2.53");
    let _ = run(&host, "two", "--network web");
    let resolv_conf = podman(&host, "exec one /bin/busybox cat /etc/resolv.conf");
    assert_eq!(resolv_conf.trim(), "nameserver 192.0.2.53");
    assert_eq!(resolved(&host, "one", "two"), None);
    podman(&host, "rm -f -t0 -a");
    assert_nothing_left(&host, &before, &[]);
}

/// The names follow the container.
#[test]
fn names_come_and_go_with_connect_and_disconnect() {
    let host = host_with_podman();
    podman(&host, &format!("network create {BOTH} web"));
    podman(&host, "network create --subnet 10.2.0.0/24 other");
    let before = host.snapshot();
    let _ = run(&host, "one", "--network web");
    let _ = run(&host, "two", "--network other");
    assert_eq!(resolved(&host, "two", "one"), None);
    podman(&host, "network connect --alias again other one");
    assert!(resolved(&host, "two", "one").unwrap().starts_with("10.2.0."));
    assert!(resolved(&host, "two", "again").unwrap().starts_with("10.2.0."));
    assert!(resolved(&host, "one", "two").unwrap().starts_with("10.2.0."), "with its old resolv.conf");
    podman(&host, "network disconnect other one");
    assert_eq!(resolved(&host, "two", "one"), None);
    podman(&host, "rm -f -t0 -a");
    assert_nothing_left(&host, &before, &[]);
}
