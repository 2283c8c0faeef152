//! What the plugin `dnsname` of containers/dnsname has left, when ours comes into its place on a host with running containers.

use std::net::SocketAddr;

use serde_json::{Value, json};
use tests::{Container, Host, Inside as _, names};

use super::{assert_finds, attach, call, container, dnsname, ips, with_names};
use crate::networks::bridged;

/// Debian's golang-github-containernetworking-plugin-dnsname.
const OTHER: &str = "/usr/lib/cni/dnsname";

const FOLDER: &str = "/run/containers/cni/dnsname/net1";

/// Where it answers: the bridge's address.
fn gateway() -> SocketAddr {
    "10.1.0.1:53".parse().unwrap()
}

/// The same network as [`with_names`]'s, by the other plugin.
fn of_the_other() -> Value {
    let mut plugin = dnsname(&json!({}));
    plugin["type"] = json!(OTHER);
    let mut network = bridged(1, &[plugin]);
    network["cniVersion"] = json!("1.0.0");
    network
}

/// Connects a container with the other plugin. libcni remembers it, with the result alone to tell its namespace.
fn attached_by_other(host: &Host, name: &str, aliases: &[&str]) -> Container {
    let container = host.container(name);
    // As a runtime does.
    container.run(["ip", "link", "set", "lo", "up"]);
    let aliases = json!({"aliases": {"net1": aliases}});
    let result = call(host, &of_the_other(), name).capabilities(&aliases).add(&container, "eth0").ok();
    let record = json!({
        "kind": "cniCacheV1", "containerId": name, "config": "", "ifName": "eth0", "networkName": "net1", "result": result,
    });
    host.write(format!("/var/lib/cni/results/net1-{name}-eth0"), record.to_string());
    container
}

fn is_running(host: &Host, pid: &str) -> bool {
    host.try_run(["kill", "-0", pid]).status.success()
}

#[test]
fn running_containers_are_found_as_before_and_go_on_asking_where_they_did() {
    let host = Host::new();
    let web = attached_by_other(&host, "web", &["www"]);
    let old = attached_by_other(&host, "old", &[]);
    let _gone = attached_by_other(&host, "gone", &[]);
    host.run(["rm", "/var/lib/cni/results/net1-gone-eth0"]);
    assert_eq!(names::addresses_from(&old, gateway(), "web")[0], ips(&["10.1.0.2"])[0]);
    let pid = host.read(format!("{FOLDER}/pidfile")).unwrap().trim().to_owned();
    assert!(is_running(&host, &pid));
    assert!(host.run(["iptables-save"]).contains("-A INPUT -i br1 -p udp -m udp --dport 53 -j ACCEPT"));

    let added = call(&host, &with_names(1), "new").add(&host.container("new"), "eth0");
    assert_eq!(added.finished.stderr, "");
    assert!(!is_running(&host, &pid));
    assert!(!host.run(["iptables-save"]).contains("--dport 53"));
    host.shell(&format!("test ! -e {FOLDER}; ! ss -Hlnu | grep ':53 '"));

    for asker in [&old, &web] {
        let find = |name: &str| names::addresses_from(asker, gateway(), name);
        for name in ["web", "web.dns.podman", "www"] {
            assert_eq!(find(name), ips(&["10.1.0.2", "fd00:1::2"]), "{name}");
        }
        assert_eq!(find("new"), ips(&["10.1.0.5", "fd00:1::5"]));
        assert_eq!(find("gone"), ips(&[]));
    }
    let peer = container(&host, &with_names(1), "peer");
    assert_finds(&peer, &["old"], &["10.1.0.3", "fd00:1::3"]);
    // They go as they would have gone.
    call(&host, &with_names(1), "web").del(&web, "eth0").ok();
    assert_finds(&peer, &["web", "www"], &[]);
}

/// The last of them may go before anybody comes.
#[test]
fn del_takes_over_what_is_left_as_well() {
    let host = Host::new();
    let web = attached_by_other(&host, "web", &[]);
    let pid = host.read(format!("{FOLDER}/pidfile")).unwrap().trim().to_owned();
    call(&host, &with_names(1), "web").del(&web, "eth0").ok();
    assert!(!is_running(&host, &pid));
    host.shell(&format!("test ! -e {FOLDER}; test -z \"$(ls -A /run/ferrocni/names)\""));
}

/// Process ids are used again, and other servers have other configurations.
#[test]
fn no_other_process_is_stopped() {
    let host = Host::new();
    let sleeping = host.spawn(["sleep", "1000"]);
    let dnsmasq = "dnsmasq --keep-in-foreground --user=root --port=5353 --conf-file=/run/other.conf --pid-file";
    host.write("/run/other.conf", "");
    let _server = host.spawn(dnsmasq.split(' '));
    host.shell("until pgrep -x dnsmasq; do sleep 0.01; done");
    let pids = host.shell("pgrep -x sleep; pgrep -x dnsmasq");
    for pid in pids.lines().chain(["4194303", "-1", "0", "1", "x", ""]) {
        host.write(format!("{FOLDER}/pidfile"), pid);
        host.write(format!("{FOLDER}/dnsmasq.conf"), "interface=br1\n");
        let web = host.container("web");
        attach(&host, &with_names(1), &web, "eth0", "web");
        host.shell(&format!("test ! -e {FOLDER}"));
        call(&host, &with_names(1), "web").del(&web, "eth0").ok();
        host.run(["ip", "netns", "del", "web"]);
    }
    for pid in pids.lines() {
        assert!(is_running(&host, pid), "{pid}");
    }
    drop(sleeping);
}

/// Podman in a session of root's has it there.
#[test]
fn what_is_left_of_a_session_is_taken_over_too() {
    let host = Host::new();
    let folder = "/run/user/0/containers/cni/dnsname/net1";
    host.write(format!("{folder}/addnhosts"), "10.1.0.2\tweb\n");
    let mut config = dnsname(&json!({}));
    config["name"] = json!("net1");
    config["prevResult"] = json!({"cniVersion": "1.1.0", "ips": [{"address": "10.1.0.3/24"}]});
    let call =
        host.cni("dnsname").container(&host.container("c1")).config(&config).env("XDG_RUNTIME_DIR", "/run/user/0");
    call.command("ADD").run().ok();
    host.shell(&format!("test ! -e {folder}"));
}

/// It is none of the plugin's business whom another user's file names, or what is no file of the other plugin's.
#[test]
fn what_another_user_has_put_there_is_left_alone() {
    let host = Host::new();
    for file in ["addnhosts", "notes"] {
        host.write(format!("{FOLDER}/{file}"), "10.1.0.2\tweb\n");
    }
    let network = with_names(1);
    let added = call(&host, &network, "c1").add(&host.container("c1"), "eth0");
    assert!(added.is_ok() && added.finished.stderr.contains(FOLDER), "{}", added.finished);
    assert_eq!(host.run(["ls", FOLDER]), "notes\n");
    host.run(["chown", "-R", "nobody", FOLDER]);
    host.write(format!("{FOLDER}/addnhosts"), "10.1.0.2\tweb\n");
    let added = call(&host, &network, "c2").add(&host.container("c2"), "eth0");
    assert_eq!(added.finished.stderr, "");
    assert_eq!(host.run(["ls", FOLDER]), "addnhosts\nnotes\n");
}
