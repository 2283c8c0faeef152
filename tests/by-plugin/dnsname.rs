//! dnsname: who finds whom by which name, asked in the containers.
//!
//! - `adoption`: what the plugin of that name of containers/dnsname has left
//! - `identity`: how runtimes say what a container is called
//! - `keys`: each key of its README
//! - `lifetime`: DEL, GC, CHECK, STATUS
//! - `networks`: every kind of network, and several of them
//! - `server`: who starts it, and what happens without it

mod adoption;
mod identity;
mod keys;
mod lifetime;
mod networks;
mod server;

use std::net::IpAddr;

use serde_json::{Value, json};
use tests::{Chain, Container, Host, Inside, every_plugin_rules, example, names, wire};

use crate::networks::bridged;

/// The plugin with more keys, as Podman writes it.
fn dnsname(keys: &Value) -> Value {
    let mut plugin =
        json!({"type": "dnsname", "domainName": "dns.podman", "capabilities": {"aliases": true, "dns": true}});
    plugin.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
    plugin
}

/// Bridge `br<number>` with both families, and names.
fn with_names(number: u8) -> Value {
    bridged(number, &[dnsname(&json!({}))])
}

/// The network as Podman calls its plugins for a container of that name.
fn call<'h>(host: &'h Host, network: &Value, name: &str) -> Chain<'h> {
    host.chain(network).args(&format!("IgnoreUnknown=1;K8S_POD_NAME={name}"))
}

/// Connects a container of that name, and returns the result.
#[track_caller]
fn attach(host: &Host, network: &Value, container: &Container, ifname: &str, name: &str) -> Value {
    call(host, network, name).add(container, ifname).ok()
}

/// A new container of that name and id on the network.
#[track_caller]
fn container(host: &Host, network: &Value, name: &str) -> Container {
    let container = host.container(name);
    attach(host, network, &container, "eth0", name);
    container
}

fn ips(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

/// Requires that the container gets these addresses for each of the names.
#[track_caller]
fn assert_finds(container: &impl Inside, found: &[&str], expected: &[&str]) {
    for name in found {
        assert_eq!(names::addresses(container, name), ips(expected), "{name}");
    }
}

#[test]
fn the_rules_of_every_plugin_hold() {
    let host = Host::new();
    let _other = container(&host, &with_names(1), "other");
    every_plugin_rules(&call(&host, &with_names(1), "web"), &host.container("c1"), "eth0");
}

#[test]
fn containers_find_each_other_by_name_alias_and_id_in_both_families() {
    let host = Host::new();
    let network = with_names(1);
    let id = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    let web = host.container(id);
    let aliases = json!({"aliases": {"net1": ["www", "0123456789ab", "WWW.Example"], "other": ["elsewhere"]}});
    call(&host, &network, "Web_1").capabilities(&aliases).add(&web, "eth0").ok();
    let peer = container(&host, &network, "peer");
    let all =
        ["web_1", "WEB_1", "www", "www.example", "0123456789ab", "web_1.dns.podman", "www.dns.podman.", "web_1.net1"];
    for asker in [&peer, &web] {
        assert_finds(asker, &all, &["10.1.0.2", "fd00:1::2"]);
        assert_finds(asker, &["peer"], &["10.1.0.3", "fd00:1::3"]);
        assert_finds(asker, &["elsewhere", "web_1.other"], &[]);
    }
}

#[test]
fn a_container_is_found_when_add_returns_and_not_when_del_has() {
    let host = Host::new();
    let network = with_names(1);
    let peer = container(&host, &network, "peer");
    let web = host.container("web");
    for _ in 0..20 {
        let added = attach(&host, &network, &web, "eth0", "web");
        let address = tests::address(&added, 0);
        assert_eq!(names::addresses(&peer, "web")[0].to_string(), address);
        call(&host, &network, "web").del(&web, "eth0").ok();
        assert_finds(&peer, &["web"], &[]);
    }
    assert!(!names::is_answered(&web));
}

/// conf/names.conflist.
#[test]
fn the_example_s_containers_find_each_other_and_are_published() {
    let (host, outside) = wire();
    let web = host.container("web");
    let ports = json!({"portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]});
    let aliases = json!({"aliases": {"names": ["www"]}});
    let network = example("names");
    call(&host, &network, "web").capabilities(&ports).capabilities(&aliases).add(&web, "eth0").ok();
    let peer = container(&host, &network, "peer");
    let _server = web.listen_tcp(80);
    for name in ["web", "www", "www.dns.podman"] {
        for address in names::addresses(&peer, name) {
            peer.assert_reaches_tcp(&std::net::SocketAddr::new(address, 80).to_string());
        }
    }
    assert_finds(&peer, &["web"], &["10.210.18.2", "fd00:210:18::2"]);
    outside.assert_reaches_tcp("192.0.2.1:8080");
}

/// A name on the network wins over one in a search domain of the host, and its server over the host's.
#[test]
fn the_resolver_is_told_of_ours_before_all_others() {
    let host = Host::new();
    let mut network = with_names(1);
    network["plugins"][0]["dns"] = json!({
        "nameservers": ["192.0.2.53", "127.0.0.11"], "domain": "a.test", "search": ["example.com", "dns.podman"], "options": ["timeout:1"],
    });
    let result = attach(&host, &network, &host.container("web"), "eth0", "web");
    assert_eq!(
        result["dns"],
        json!({
            "nameservers": ["127.0.0.11", "192.0.2.53"], "domain": "a.test", "search": ["dns.podman", "example.com"], "options": ["timeout:1"],
        })
    );
}

/// "No connection tracking, no port of the host": names are answered in the container.
#[test]
fn neither_the_host_s_ports_nor_its_packet_filter_are_used_nor_is_a_connection_tracked() {
    let host = Host::new();
    let network = with_names(1);
    let web = container(&host, &network, "web");
    let peer = container(&host, &network, "peer");
    assert_finds(&peer, &["web"], &["10.1.0.2", "fd00:1::2"]);
    let listening = host.run(["ss", "-Hlntu"]);
    assert!(!listening.contains(":53 "), "{listening}");
    let rules = host.run(["nft", "list", "ruleset"]);
    assert!(!rules.contains("53"), "{rules}");
    for container in [&web, &peer] {
        assert_eq!(container.run(["conntrack", "-L"]), "");
    }
    // A server of the container's own.
    let _own = web.listen_udp(53);
    peer.assert_reaches_udp("10.1.0.2:53");
    assert_finds(&web, &["peer"], &["10.1.0.3", "fd00:1::3"]);
}
