//! host: the host's own network, of which the plugin only tells.

use serde_json::{Value, json};
use tests::{Chain, Cni, Container, Host, Inside as _, every_plugin_rules};

/// A container that shares the host's network: its namespace is that of the host's first process.
fn sharing(host: &Host) -> Container {
    host.container_at("c1", "/proc/1/ns/net".as_ref())
}

fn network<'h>(host: &'h Host, more: &[Value]) -> Chain<'h> {
    let plugins: Vec<_> = std::iter::once(json!({"type": "host"})).chain(more.iter().cloned()).collect();
    host.chain(&json!({"name": "net", "plugins": plugins}))
}

fn call<'h>(host: &'h Host, verb: &str, container: &Container, config: &Value) -> Cni<'h> {
    let mut config = config.clone();
    config["type"] = json!("host");
    host.cni("host").command(verb).container(container).config(&config)
}

fn link(host: &Host, name: &str) -> Value {
    let link = &host.ip_json(["link", "show", "dev", name])[0];
    json!({"name": name, "mac": link["address"], "mtu": link["mtu"]})
}

#[test]
fn the_rules_of_every_plugin_hold() {
    let host = Host::new();
    every_plugin_rules(&network(&host, &[]), &sharing(&host), "eth0");
}

#[test]
fn a_server_in_the_container_is_reached_at_the_hosts_addresses() {
    let host = Host::new();
    let (c1, neighbour) = (sharing(&host), host.neighbour());
    let result = network(&host, &[]).add(&c1, "eth0").ok();
    let _server = c1.listen_tcp(80);
    for index in [0, 1] {
        neighbour.assert_reaches_tcp(&format!("{}:80", tests::address(&result, index)));
    }
}

#[test]
fn the_result_lists_what_can_be_reached_by_interface() {
    let host = Host::new();
    let (c1, _neighbour) = (sharing(&host), host.neighbour());
    host.shell(
        "ip link add without up type bridge
         ip link add second up type bridge; ip addr add 10.1.0.1/24 dev second; ip addr add 169.254.7.7/16 dev second scope link
         ip addr add 192.0.2.7/24 dev uplink",
    );
    let result = network(&host, &[]).add(&c1, "eth0").ok();
    let expected = json!({
        "cniVersion": "1.1.0",
        "interfaces": [link(&host, "uplink"), link(&host, "second")],
        "ips": [
            {"address": "192.0.2.1/24", "interface": 0},
            {"address": "192.0.2.7/24", "interface": 0},
            {"address": "2001:db8::1/64", "interface": 0},
            {"address": "10.1.0.1/24", "interface": 1},
        ],
    });
    assert_eq!(result, expected);
}

#[test]
fn a_host_on_no_network_reports_loopback_in_every_version() {
    let host = Host::new();
    let c1 = sharing(&host);
    let lo = call(&host, "ADD", &c1, &json!({})).run().ok();
    assert_eq!(lo["interfaces"], json!([link(&host, "lo")]));
    assert_eq!(lo["ips"][1], json!({"address": "::1/128", "interface": 0}));
    let old = call(&host, "ADD", &c1, &json!({"cniVersion": "0.1.0"})).run().ok();
    assert_eq!(old["ip4"]["ip"], "127.0.0.1/8");
}

#[test]
fn another_namespace_is_refused_with_what_to_do() {
    let host = Host::new();
    let c1 = host.container("c1");
    let config = json!({"prevResult": {"cniVersion": "1.1.0"}});
    let inode = c1.run(["readlink", "/proc/self/ns/net"]);
    for verb in ["ADD", "CHECK"] {
        let error = host.assert_leaves_nothing(|| call(&host, verb, &c1, &config).run().error());
        assert_eq!(error.code, 4, "{error:?}");
        for word in ["CNI_NETNS /run/netns/c1", inode.trim(), "/proc/1/ns/net"] {
            assert!(error.msg.contains(word), "{word}: {error:?}");
        }
    }
    // Whatever became of it, there is nothing to take back.
    call(&host, "DEL", &c1, &json!({})).run().ok();
}

#[test]
fn check_does_not_mind_that_the_hosts_addresses_change() {
    let host = Host::new();
    let (c1, _neighbour) = (sharing(&host), host.neighbour());
    let network = network(&host, &[]);
    network.add(&c1, "eth0").ok();
    host.shell("ip addr flush dev uplink");
    network.check(&c1, "eth0").ok();
}

/// As with Docker, `-p` has no meaning: the container's port is the host's.
#[test]
fn published_ports_are_ignored() {
    let host = Host::new();
    let (c1, neighbour) = (sharing(&host), host.neighbour());
    // The interface's name is also one of the host's, and portmap must not take that for the container's.
    for (version, ifname) in [("1.1.0", "uplink"), ("1.1.0", "eth0"), ("0.2.0", "eth0")] {
        let portmap = json!({"type": "portmap", "capabilities": {"portMappings": true}});
        let list = json!({"name": "net", "cniVersion": version, "plugins": [{"type": "host"}, portmap]});
        let ports = json!({"portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]});
        let network = host.chain(&list).capabilities(&ports);
        let _server = c1.listen_tcp(80);
        host.assert_leaves_nothing(|| {
            let result = network.add(&c1, ifname).ok();
            assert!(result.to_string().contains("192.0.2.1/24"), "{result}");
            neighbour.assert_reaches_tcp("192.0.2.1:80");
            neighbour.assert_blocked_tcp("192.0.2.1:8080");
            assert_eq!(host.run(["nft", "list", "ruleset"]), "", "not even a skeleton");
            if version != "0.2.0" {
                network.check(&c1, ifname).ok();
            }
            network.del(&c1, ifname).ok();
            network.del_blind(&c1, ifname).ok();
        });
    }
}

/// The host's first interface is no bridge of containers, and the host's own addresses are nothing to isolate.
#[test]
fn firewall_does_nothing_to_the_host_whatever_its_policy() {
    let host = Host::new();
    let (c1, neighbour) = (sharing(&host), host.neighbour());
    for (policy, backend) in [("open", ""), ("same-bridge", ""), ("isolated", "iptables")] {
        let firewall = json!({"type": "firewall", "ingressPolicy": policy, "backend": backend});
        let network = network(&host, &[firewall]);
        let _server = c1.listen_tcp(80);
        host.assert_leaves_nothing(|| {
            network.add(&c1, "uplink").ok();
            neighbour.assert_reaches_tcp("192.0.2.1:80");
            assert_eq!(host.run(["nft", "list", "ruleset"]), "", "not even a skeleton");
            network.check(&c1, "uplink").ok();
            network.del(&c1, "uplink").ok();
        });
    }
}

/// A plugin that would change the host refuses, here as everywhere.
#[test]
fn loopback_after_it_is_refused() {
    let host = Host::new();
    let error = network(&host, &[json!({"type": "loopback"})]).add(&sharing(&host), "eth0").error();
    assert_eq!(error.code, 8, "{error:?}");
}

#[test]
fn in_a_chain_it_passes_the_result_on() {
    let host = Host::new();
    let previous =
        json!({"cniVersion": "1.1.0", "interfaces": [{"name": "other"}], "ips": [{"address": "10.1.0.2/24"}]});
    let config = json!({"prevResult": previous});
    assert_eq!(call(&host, "ADD", &sharing(&host), &config).run().ok(), previous);
}
