//! Names of containers, as programs in them look them up: Podman's and containerd's containers with `dnsname` among their plugins.

use std::thread;
use std::time::{Duration, Instant};

use tests::{Background, Container, Host, Inside as _, bin_dir, names};

use crate::containerd;
use crate::machine::{PLUGINS, assert_nothing_left, install_names};
use crate::podman::{self, podman};

/// Debian's golang-github-containernetworking-plugin-dnsname.
const OTHER: &str = "/usr/lib/cni/dnsname";

fn host_with_names() -> Host {
    let host = podman::host_with_podman();
    install_names(&host);
    host
}

/// A container that serves a page with its name.
#[track_caller]
fn serve_page(host: &Host, name: &str, options: &str) {
    let serve = format!(
        "mkdir -p /tmp/www; echo page of {name} >/tmp/www/index.html; exec /bin/busybox httpd -f -p 80 -h /tmp/www"
    );
    podman(host, &format!("run -d --name {name} {options} box /bin/sh -c '{serve}'"));
}

/// What a program in the container fetches from there.
#[track_caller]
fn fetch(host: &Host, from: &str, name: &str) -> String {
    podman(host, &format!("exec {from} /bin/busybox timeout 20 /bin/busybox wget -q -O - http://{name}/"))
        .trim()
        .to_owned()
}

fn resolv_conf(host: &Host, container: &str) -> Vec<String> {
    let text = podman(host, &format!("exec {container} /bin/busybox cat /etc/resolv.conf"));
    text.lines()
        .filter(|line| line.starts_with("nameserver") || line.starts_with("search"))
        .map(str::to_owned)
        .collect()
}

fn netns(host: &Host, name: &str) -> Container {
    let path = podman(host, &format!("inspect -f '{{{{.NetworkSettings.SandboxKey}}}}' {name}"));
    host.container_at(name, path.trim().as_ref())
}

#[test]
fn podman_s_containers_ping_and_fetch_by_name_and_alias() {
    let host = host_with_names();
    podman(&host, "network create --subnet 10.1.0.0/24 --ipv6 --subnet fd00:1::/64 web");
    let before = host.snapshot();
    serve_page(&host, "mongodb", "--network web --network-alias db");
    let _peer = podman::run(&host, "peer", "--network web");
    assert_eq!(resolv_conf(&host, "peer")[..2], ["search dns.podman", "nameserver 127.0.0.11"]);
    let id = podman(&host, "inspect -f '{{.Id}}' mongodb");
    for name in ["mongodb", "db", "mongodb.dns.podman", "db.web", &id[..12]] {
        assert_eq!(fetch(&host, "peer", name), "page of mongodb", "{name}");
    }
    podman(&host, "exec peer /bin/busybox ping -c1 -W2 db");
    let peer = netns(&host, "peer");
    podman(&host, "rm -f -t0 mongodb");
    assert!(names::addresses(&peer, "mongodb").is_empty());
    assert!(names::addresses(&peer, "db").is_empty());
    serve_page(&host, "mongodb", "--network web --network-alias db");
    assert_eq!(fetch(&host, "peer", "db"), "page of mongodb");
    drop(peer);
    podman(&host, "rm -f -t0 peer mongodb");
    assert_nothing_left(&host, &before, &[]);
}

/// Of two networks each container sees its own.
#[test]
fn podman_s_container_on_two_networks_is_found_on_both() {
    let host = host_with_names();
    for number in [1, 2] {
        podman(&host, &format!("network create --subnet 10.{number}.0.0/24 net{number}"));
    }
    let before = host.snapshot();
    serve_page(&host, "both", "--network net1,net2");
    serve_page(&host, "one", "--network net1");
    serve_page(&host, "two", "--network net2");
    // It says so once for each network.
    let servers = resolv_conf(&host, "both").into_iter().filter(|line| line.starts_with("nameserver"));
    assert_eq!(servers.take(2).collect::<Vec<_>>(), ["nameserver 127.0.0.11"; 2]);
    assert_eq!(
        (fetch(&host, "one", "both"), fetch(&host, "two", "both")),
        ("page of both".into(), "page of both".into())
    );
    assert_eq!(
        (fetch(&host, "both", "one"), fetch(&host, "both", "two")),
        ("page of one".into(), "page of two".into())
    );
    assert!(names::addresses(&netns(&host, "one"), "two").is_empty());
    podman(&host, "network disconnect net2 both");
    assert!(names::addresses(&netns(&host, "two"), "both").is_empty());
    assert_eq!(fetch(&host, "one", "both"), "page of both");
    podman(&host, "network connect --alias again net2 both");
    assert_eq!(fetch(&host, "two", "again"), "page of both");
    podman(&host, "rm -f -t0 both one two");
    assert_nothing_left(&host, &before, &[]);
}

#[test]
fn an_internal_network_of_ours_has_names_and_podman_s_own_has_none() {
    let host = host_with_names();
    let created = host.ferrocni(["network", "create", "--internal", "--subnet", "10.3.0.0/24", "inside"]);
    let _ = created.ok();
    podman(&host, "network create --internal --subnet 10.4.0.0/24 own");
    let before = host.snapshot();
    serve_page(&host, "db", "--network inside --network-alias sql");
    let _ = podman::run(&host, "peer", "--network inside");
    for name in ["db", "sql"] {
        assert_eq!(fetch(&host, "peer", name), "page of db");
        podman(&host, &format!("exec peer /bin/busybox ping -c1 -W2 {name}"));
    }
    assert!(names::addresses(&netns(&host, "peer"), "example.com").is_empty());
    let _ = podman::run(&host, "alone", "--network own");
    assert!(!resolv_conf(&host, "alone").iter().any(|line| line.contains("127.0.0.11")));
    podman(&host, "rm -f -t0 db peer alone");
    assert_nothing_left(&host, &before, &[]);
}

/// "podman run --dns" means that server and no other.
#[test]
fn a_server_that_was_asked_for_is_the_only_one() {
    let host = host_with_names();
    podman(&host, "network create --subnet 10.1.0.0/24 web");
    let before = host.snapshot();
    let _ = podman::run(&host, "own", "--network web --dns 192.0.2.53");
    assert_eq!(
        resolv_conf(&host, "own").iter().filter(|line| line.starts_with("nameserver")).collect::<Vec<_>>(),
        ["nameserver 192.0.2.53"]
    );
    let _ = podman::run(&host, "peer", "--network web");
    assert_eq!(names::addresses(&netns(&host, "peer"), "own").len(), 1);
    podman(&host, "rm -f -t0 own peer");
    assert_nothing_left(&host, &before, &[]);
}

/// Ours comes into the place of the other plugin while containers run.
#[test]
fn containers_that_another_dnsname_has_named_go_on_finding_each_other() {
    let host = podman::host_with_podman();
    host.run(["ln", "-s", "-t", PLUGINS, "--", OTHER]);
    podman(&host, "network create --subnet 10.1.0.0/24 web");
    serve_page(&host, "old", "--network web --network-alias db");
    serve_page(&host, "peer", "--network web");
    assert_eq!(fetch(&host, "peer", "old"), "page of old");
    host.shell("pgrep -x dnsmasq");
    install_names(&host);
    serve_page(&host, "new", "--network web");
    host.shell("! pgrep -x dnsmasq; test ! -e /run/containers/cni/dnsname/web; ! iptables-save | grep -e '--dport 53'");
    for (from, to) in [("peer", "old"), ("peer", "db"), ("peer", "new"), ("new", "old"), ("new", "db"), ("old", "new")]
    {
        let page = fetch(&host, from, to);
        assert_eq!(page, format!("page of {}", if to == "db" { "old" } else { to }), "{from} to {to}");
    }
    podman(&host, "rm -f -t0 old");
    assert!(names::addresses(&netns(&host, "new"), "old").is_empty());
    podman(&host, "rm -f -t0 peer new");
    assert_eq!(host.run(["ls", "-A", "/run/ferrocni/names"]), "");
}

/// As a service it is back at once, and no container that comes meanwhile goes without names.
#[test]
fn under_load_the_server_can_be_killed() {
    let host = host_with_names();
    let again = format!("while :; do sh -c 'LISTEN_PID=$$ exec {}'; done", bin_dir().join("ferrocni-dns").display());
    host.run(["mkdir", "-p", "/run/ferrocni"]);
    let _service: Background =
        host.spawn(["systemd-socket-activate", "--listen=/run/ferrocni/dns.sock", "sh", "-c", &again]);
    host.shell("until [ -S /run/ferrocni/dns.sock ]; do sleep 0.01; done");
    podman(&host, "network create --subnet 10.1.0.0/24 web");
    let _ = (podman::run(&host, "web", "--network web"), podman::run(&host, "peer", "--network web"));
    let peer = netns(&host, "peer");
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..2000).for_each(|_| drop(names::ask(&peer, "127.0.0.11:53".parse().unwrap(), "web", 1))));
        }
        for _ in 0..5 {
            host.shell("kill -9 $(pgrep -x ferrocni-dns)");
            let killed = Instant::now();
            while names::try_addresses(&peer, "web").is_none_or(|found| found.is_empty()) {
                assert!(killed.elapsed() < Duration::from_secs(30), "names do not come back");
            }
        }
    });
    podman(&host, "rm -f -t0 web peer");
}

/// containerd tells its containers of no server: whichever they ask, they are answered.
#[test]
fn containers_of_ctr_are_answered_whichever_server_they_ask() {
    let host = crate::machine::host_with_plugins();
    install_names(&host);
    crate::machine::make_root_file_system(&host);
    let _containerd = containerd::start_containerd(&host);
    let mut network: serde_json::Value = serde_json::from_str(&containerd::network("[]")).unwrap();
    let names = serde_json::json!({"type": "dnsname", "domainName": "ctr.test", "intercept": true});
    network["plugins"].as_array_mut().unwrap().push(names);
    host.write("/etc/cni/net.d/10-ctr.conflist", network.to_string());
    let before = host.snapshot();
    let (web, peer) = (containerd::run(&host, "web"), containerd::run(&host, "peer"));
    for server in ["192.0.2.53:53", "10.1.0.1:53"] {
        assert_eq!(names::addresses_from(&peer.container, server.parse().unwrap(), &web.id).len(), 2, "{server}");
    }
    containerd::stop(&host, web);
    containerd::stop(&host, peer);
    assert_nothing_left(&host, &before, &[]);
}
