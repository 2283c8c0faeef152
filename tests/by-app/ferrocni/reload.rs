//! After a flush everything is as it was.

use serde_json::{Value, json};
use tests::{Container, Host, Inside as _, address, wire};

use super::attached::attach;

/// Two networks with a server on each, whose port 80 is published, and one with nothing to publish.
pub(super) fn scene() -> (Host, Host, Vec<Container>) {
    let (host, outside) = wire();
    let _said = host.ferrocni(["network", "create", "--ipv6", "web"]).ok();
    let _said = host.ferrocni(["network", "create", "-o", "icc=false", "app"]).ok();
    let containers: Vec<_> = ["c1", "c2", "c3"].map(|name| host.container(name)).into();
    for (network, container, port) in [("web", 0, 8080), ("app", 1, 8081), ("app", 2, 0)] {
        let mappings = json!([{"hostPort": port, "containerPort": 80, "protocol": "tcp"}]);
        attach(&host, network, &containers[container], &if port == 0 { json!([]) } else { mappings });
    }
    (host, outside, containers)
}

/// Sorted, because the order of chains made on demand does not matter.
pub(super) fn ruleset(host: &Host) -> String {
    host.shell("nft -s list ruleset | sort")
}

/// Without printing all of them.
#[track_caller]
fn assert_same(now: &str, before: &str) {
    let lost: Vec<_> = before.lines().filter(|line| !now.contains(line)).collect();
    assert!(now == before, "lost: {lost:?}");
}

#[test]
fn after_a_flush_the_rules_of_all_are_back() {
    let (host, outside, containers) = scene();
    let _servers = [containers[0].listen_tcp(80), containers[1].listen_tcp(80)];
    let like_c3 = host.container("c4");
    attach(&host, "app", &like_c3, &json!([]));
    let reach = || [8080, 8081].map(|port| outside.assert_reaches_tcp(&format!("192.0.2.1:{port}")));
    reach();
    let before = ruleset(&host);
    for damage in ["nft flush ruleset", "nft delete table inet ferrocni", "nft delete table bridge ferrocni", "true"] {
        host.shell(damage);
        let said = host.ferrocni(["reload"]).ok();
        assert_eq!(said, "the rules of 4 attachments are in place\n");
        assert_same(&ruleset(&host), &before);
        reach();
    }
}

#[test]
fn one_network_can_be_reloaded_alone() {
    let (host, ..) = scene();
    host.shell("nft flush ruleset");
    assert_eq!(host.ferrocni(["reload", "web"]).ok(), "the rules of 1 attachments are in place\n");
    let rules = ruleset(&host);
    assert!(rules.contains("ferrocni:web/c1/eth0") && !rules.contains("ferrocni:app/"), "{rules}");
    let failed = host.ferrocni(["reload", "nope"]);
    assert!(failed.status.code() == Some(1) && failed.stderr.contains("no network nope"), "{failed}");
}

#[test]
fn the_dead_and_the_broken_are_no_obstacle() {
    let (host, _outside, mut containers) = scene();
    let _lost = host.lose(containers.remove(0));
    host.write("/var/lib/cni/results/app-broken-eth0", "{");
    host.shell("nft flush ruleset");
    let said = host.ferrocni(["reload"]);
    assert!(said.status.success() && said.stderr.contains("app-broken-eth0"), "{said}");
    let rules = ruleset(&host);
    assert!(rules.contains("ferrocni:app/c2/eth0") && !rules.contains("ferrocni:web/c1/"), "{rules}");
}

/// A container of the same port, attached after the flush, keeps it; the others come back all the same.
#[test]
fn a_port_that_another_has_by_now_stays_its_own() {
    let (host, _outside, _containers) = scene();
    host.shell("nft flush ruleset");
    let c4 = host.container("c4");
    attach(&host, "web", &c4, &json!([{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]));
    let said = host.ferrocni(["reload"]);
    assert!(said.status.code() == Some(1) && said.stderr.contains("8080"), "{said}");
    let rules = ruleset(&host);
    assert!(rules.contains("ferrocni:app/c2/eth0") && rules.contains("ferrocni:web/c4/eth0"), "{rules}");
}

#[test]
fn a_port_on_two_networks_of_one_container_comes_back_on_both() {
    let host = Host::new();
    let c1 = host.container("c1");
    let ports = json!([{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]);
    let _said = host.ferrocni(["network", "create", "a"]).ok();
    let _said = host.ferrocni(["network", "create", "b"]).ok();
    attach(&host, "a", &c1, &ports);
    c1.shell("ip link set eth0 name first && ip addr flush dev first");
    let second = attach(&host, "b", &c1, &ports);
    assert!(address(&second, 0).starts_with("172.19."), "{second}");
    c1.shell("ip link set eth0 name second && ip link set first name eth0 && ip link set eth0 up");
    let before = ruleset(&host);
    host.shell("nft flush ruleset");
    let _said = host.ferrocni(["reload"]).ok();
    assert_same(&ruleset(&host), &before);
}

/// The same where iptables keeps the ports.
#[test]
fn what_iptables_holds_comes_back_too() {
    let host = Host::new();
    let c1 = host.container("c1");
    let list = json!({"cniVersion": "1.0.0", "name": "old", "plugins": [
        {"type": "bridge", "bridge": "br0", "isGateway": true, "ipMasq": true, "ipMasqBackend": "iptables",
         "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.1.0.0/24"}]]}},
        {"type": "portmap", "backend": "iptables", "capabilities": {"portMappings": true}},
        {"type": "firewall", "backend": "iptables"},
    ]});
    host.write("/etc/cni/net.d/ferrocni-old.conflist", list.to_string());
    attach(&host, "old", &c1, &json!([{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]));
    let rules = |table: &str| -> Value { host.run(["iptables", "-t", table, "-S"]).into() };
    let before = ["nat", "filter"].map(rules);
    host.shell("nft flush ruleset");
    assert_ne!(["nat", "filter"].map(rules), before);
    let _said = host.ferrocni(["reload"]).ok();
    assert_eq!(["nat", "filter"].map(rules), before);
}

/// Nothing else needs ferrocni's ruleset on such a host.
#[test]
fn with_iptables_alone_the_host_s_loopback_is_guarded_again() {
    let host = Host::new();
    let c1 = host.container("c1");
    let list = json!({"cniVersion": "1.0.0", "name": "old", "plugins": [
        {"type": "bridge", "bridge": "br0", "isGateway": true, "ipam": {"type": "host-local", "subnet": "10.1.0.0/24"}},
        {"type": "portmap", "backend": "iptables", "capabilities": {"portMappings": true}},
    ]});
    host.write("/etc/cni/net.d/ferrocni-old.conflist", list.to_string());
    attach(&host, "old", &c1, &json!([{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]));
    let filter = || host.try_run(["nft", "list", "chain", "inet", "ferrocni", "localnet"]).stdout;
    let before = filter();
    assert!(before.contains("127.0.0.0/8"), "{before}");
    host.shell("nft flush ruleset");
    assert_eq!(filter(), "");
    let _said = host.ferrocni(["reload"]).ok();
    assert_eq!(filter(), before);
}
