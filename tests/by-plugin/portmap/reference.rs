//! Ports published by the reference before this suite was installed, in nftables tables of its own.

use serde_json::{Value, json};
use tests::{Host, Inside as _};

fn host() -> Host {
    let host = Host::new();
    host.write("/run/reference", include_str!("reference.nft"));
    host.shell("nft -f /run/reference");
    host
}

fn config() -> Value {
    json!({
        "cniVersion": "1.0.0", "name": "net1", "type": "portmap",
        "prevResult": {
            "cniVersion": "1.0.0",
            "interfaces": [{"name": "eth0", "sandbox": "/run/netns/x"}],
            "ips": [{"interface": 0, "address": "10.1.0.2/24"}, {"interface": 0, "address": "fd00:1::2/64"}]
        },
        "runtimeConfig": {"portMappings": [
            {"protocol": "tcp", "hostPort": 8080, "containerPort": 80},
            {"protocol": "udp", "hostPort": 8053, "containerPort": 53, "hostIP": "127.0.0.1"}
        ]}
    })
}

fn call(host: &Host, verb: &str, config: &Value) -> tests::Outcome {
    host.cni("portmap").command(verb).container_id("web").netns("/run/netns/x").ifname("eth0").config(config).run()
}

fn rules(host: &Host) -> String {
    host.shell("nft list table ip cni_hostport; nft list table ip6 cni_hostport")
}

#[test]
fn check_accepts_it_as_long_as_it_is_whole() {
    let host = host();
    call(&host, "CHECK", &config()).ok();
    for chain in ["ip cni_hostport hostip_hostports", "ip6 cni_hostport hostports"] {
        host.shell("nft flush ruleset; nft -f /run/reference");
        host.shell(&format!("nft flush chain {chain}"));
        assert!(call(&host, "CHECK", &config()).error().msg.contains("packet filter differs"), "{chain}");
    }
}

#[test]
fn del_removes_it_with_and_without_a_result() {
    for config in [config(), json!({"cniVersion": "1.0.0", "name": "net1", "type": "portmap"})] {
        let host = host();
        call(&host, "DEL", &config).ok();
        let rules = rules(&host);
        assert_eq!(["\"web\"", "\"other\""].map(|whose| rules.matches(whose).count()), [0, 1], "{rules}");
    }
}

#[test]
fn del_leaves_what_leads_to_the_container_in_another_network() {
    let host = host();
    host.shell("nft add rule ip cni_hostport hostports tcp dport 9090 dnat to 10.2.0.2:90 comment '\"web\"'");
    let before = rules(&host);
    call(&host, "DEL", &json!({"cniVersion": "1.0.0", "name": "net2", "type": "portmap"})).ok();
    let ipv4 = |rules: &str| rules.split("table ip6").next().unwrap_or_default().to_owned();
    assert_eq!(ipv4(&rules(&host)), ipv4(&before));
    call(&host, "DEL", &config()).ok();
    let rules = rules(&host);
    assert!(rules.contains("10.2.0.2:90") && !rules.contains("10.1.0.2"), "{rules}");
}
