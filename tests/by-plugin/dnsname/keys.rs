//! Each key of the plugin's README, by what a container gets to know.

use std::net::SocketAddr;

use serde_json::{Value, json};
use tests::{Background, Container, Host, Inside, example, names};

use super::{assert_finds, attach, call, container, dnsname, ips};
use crate::networks::bridged;

/// What the servers of these tests know: a name that no container has.
const ELSEWHERE: &str = "example.test";

/// A DNS server on that address and port, which knows [`ELSEWHERE`] by this address.
fn server(place: &impl Inside, listen: &str, port: u16, address: &str) -> Background {
    let options = format!("--port={port} --listen-address={listen} --address=/{ELSEWHERE}/{address}");
    let usual =
        "--conf-file=/dev/null --keep-in-foreground --user=root --no-resolv --no-hosts --bind-interfaces --pid-file";
    let server = place.spawn(["dnsmasq"].into_iter().chain(usual.split(' ')).chain(options.split(' ')));
    place.shell(&format!("until ss -Hlnu | grep -q ':{port} '; do sleep 0.01; done"));
    server
}

/// A host whose own server is at 127.0.0.1, and says 198.51.100.1.
fn host_with_server() -> (Host, Background) {
    let host = Host::new();
    host.write("/run/resolv.conf", "nameserver 127.0.0.1\n");
    host.run(["mount", "--bind", "/run/resolv.conf", "/etc/resolv.conf"]);
    let server = server(&host, "127.0.0.1", 53, "198.51.100.1");
    (host, server)
}

fn network(number: u8, keys: &Value) -> Value {
    bridged(number, &[dnsname(keys)])
}

/// An internal network with names.
fn internal(keys: &Value) -> Value {
    let mut network = example("internal");
    network["plugins"].as_array_mut().unwrap().push(dnsname(keys));
    network
}

#[test]
fn other_names_are_the_host_s_to_know_unless_the_network_is_internal() {
    let (host, _server) = host_with_server();
    let open = container(&host, &network(1, &json!({})), "open");
    assert_finds(&open, &[ELSEWHERE], &["198.51.100.1"]);
    let closed = container(&host, &network(2, &json!({"forward": false})), "closed");
    assert_finds(&closed, &[ELSEWHERE], &[]);
    let inside = container(&host, &internal(&json!({})), "inside");
    assert_finds(&inside, &[ELSEWHERE], &[]);
    assert_finds(&inside, &["inside"], &["10.210.4.2", "fd00:210:4::2"]);
    let mut opened = internal(&json!({"forward": true}));
    (opened["name"], opened["plugins"][0]["bridge"]) = (json!("opened"), json!("cni4"));
    let opened = container(&host, &opened, "opened");
    assert_finds(&opened, &[ELSEWHERE], &["198.51.100.1"]);
    // One of its networks leads out.
    attach(&host, &network(1, &json!({})), &inside, "eth1", "inside");
    assert_finds(&inside, &[ELSEWHERE], &["198.51.100.1"]);
}

/// Of the runtime's, the configuration's and the previous plugin's servers the first count, and they are asked from within.
#[test]
fn servers_that_are_named_are_asked_from_within_the_container() {
    let (host, _server) = host_with_server();
    let plain = network(1, &json!({}));
    let dns = container(&host, &plain, "dns");
    let _other = server(&dns, "10.1.0.2", 5353, "198.51.100.2");
    let _others = [53, 54].map(|port| server(&dns, "fd00:1::2", port, "198.51.100.3"));
    let named = json!({"upstreams": ["10.1.0.2:5353"]});
    let by_key = container(&host, &network(1, &named), "by-key");
    assert_finds(&by_key, &[ELSEWHERE], &["198.51.100.2"]);
    let by_runtime = host.container("by-runtime");
    let servers = json!({"dns": {"servers": ["fd00:1::2", "nonsense"], "searches": [], "options": []}});
    call(&host, &network(1, &named), "by-runtime").capabilities(&servers).add(&by_runtime, "eth0").ok();
    assert_finds(&by_runtime, &[ELSEWHERE], &["198.51.100.3"]);
    let mut by_plugin = plain.clone();
    by_plugin["plugins"][0]["dns"] = json!({"nameservers": ["fd00:1::2"]});
    let by_plugin = container(&host, &by_plugin, "by-plugin");
    assert_finds(&by_plugin, &[ELSEWHERE], &["198.51.100.3"]);
    assert_finds(&by_plugin, &["dns"], &["10.1.0.2", "fd00:1::2"]);
}

#[test]
fn an_answer_may_be_kept_as_long_as_ttl_says() {
    let host = Host::new();
    let peer = container(&host, &network(1, &json!({})), "peer");
    let _kept = container(&host, &network(1, &json!({"ttl": 77})), "kept");
    assert_eq!(names::ttl(&peer, "kept"), 77);
    assert_eq!(names::ttl(&peer, "peer"), 0);
}

#[test]
fn directly_there_are_no_rules_and_port_53_is_taken() {
    let host = Host::new();
    let network = network(1, &json!({"listen": "direct"}));
    let web = container(&host, &network, "web");
    assert_finds(&web, &["web"], &["10.1.0.2", "fd00:1::2"]);
    assert!(!web.run(["nft", "list", "tables"]).contains("ferrocni_dns"));
    assert!(web.run(["ss", "-Hlnu"]).contains("127.0.0.11:53 "));
    let _refused = call(&host, &network, "web").check(&web, "eth0").error();
}

/// For virtual machines, which do not see the loopback interface of their namespace.
#[test]
fn at_the_gateway_the_bridge_answers() {
    let host = Host::new();
    let network = network(1, &json!({"listen": "gateway"}));
    let vm = host.container("vm");
    let result = attach(&host, &network, &vm, "eth0", "vm");
    assert_eq!(result["dns"]["nameservers"], json!(["10.1.0.1", "fd00:1::1"]));
    let _web = container(&host, &network, "web");
    for gateway in ["10.1.0.1:53", "[fd00:1::1]:53"] {
        let gateway: SocketAddr = gateway.parse().unwrap();
        assert_eq!(names::addresses_from(&vm, gateway, "web"), ips(&["10.1.0.3", "fd00:1::3"]), "{gateway}");
    }
    assert!(!names::is_answered(&vm));
}

#[test]
fn at_the_gateway_a_gateway_is_needed() {
    let host = Host::new();
    let network = internal(&json!({"listen": "gateway"}));
    let before = host.container("vm");
    let error = call(&host, &network, "vm").add(&before, "eth0").error();
    assert!(error.code == 7 && error.msg.contains("needs a gateway"), "{error:?}");
}

/// CRI and nerdctl do not tell the container of our server.
#[test]
fn intercepted_a_container_is_answered_whichever_server_it_asks() {
    let host = Host::new();
    let network = network(1, &json!({"intercept": true}));
    let (web, plain) = (container(&host, &network, "web"), container(&host, &super::with_names(1), "plain"));
    for server in ["192.0.2.53:53", "10.1.0.1:53", "127.0.0.11:53"] {
        let server: SocketAddr = server.parse().unwrap();
        assert_eq!(names::addresses_from(&web, server, "plain"), ips(&["10.1.0.3", "fd00:1::3"]), "{server}");
    }
    assert!(names::ask(&plain, "10.1.0.1:53".parse().unwrap(), "web", 1).is_err());
}

#[test]
fn links_and_hosts_are_for_one_container() {
    let host = Host::new();
    let keys = json!({
        "links": [{"alias": "sql", "container": "db"}],
        "hosts": [{"name": "printer", "addresses": ["192.0.2.9"]}, {"name": "me", "addresses": ["host-gateway"]}],
    });
    let _db = container(&host, &super::with_names(1), "db");
    let web = container(&host, &network(1, &keys), "web");
    assert_finds(&web, &["sql", "db"], &["10.1.0.2", "fd00:1::2"]);
    assert_finds(&web, &["printer"], &["192.0.2.9"]);
    assert_finds(&web, &["me"], &["10.1.0.1", "fd00:1::1"]);
    let peer: Container = container(&host, &super::with_names(1), "peer");
    assert_finds(&peer, &["db"], &["10.1.0.2", "fd00:1::2"]);
    let (host, _server) = host_with_server();
    let peer = container(&host, &super::with_names(1), "peer");
    assert_finds(&peer, &["sql", "printer"], &[]);
}
