//! cnitool, which is libcni and nothing else: that of CNI 1.0, and that of 1.1.

use serde_json::{Value, json};
use tests::{Container, EXAMPLES, Finished, Host, Inside as _, address, bin_dir, client, reference_differs};

use crate::machine::{
    Addresses, PLUGINS, REFERENCE_KEEPS_MASQUERADE, assert_nothing_left, assert_served, assert_whole_chain,
    host_with_plugins, install_names, write_whole_chain,
};

/// libcni 1.1 speaks up to 1.0.0.
const NETWORK: &str = r#"{
  "cniVersion": "1.0.0", "name": "web",
  "plugins": [
    {"type": "bridge", "bridge": "cni-web", "isGateway": true, "isDefaultGateway": true, "ipMasq": true,
     "hairpinMode": true,
     "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.1.0.0/24"}], [{"subnet": "fd00:1::/64"}]]}},
    {"type": "portmap", "capabilities": {"portMappings": true}, "snat": true},
    {"type": "firewall"}
  ]
}"#;

const LOOPBACK: &str = r#"{"cniVersion": "1.0.0", "name": "lo", "plugins": [{"type": "loopback"}]}"#;

pub(crate) fn host_with_networks() -> Host {
    let host = host_with_plugins();
    host.write("/etc/cni/net.d/10-web.conflist", NETWORK);
    host.write("/etc/cni/net.d/99-lo.conflist", LOOPBACK);
    host
}

pub(crate) fn cnitool(host: &Host, verb: &str, network: &str, container: &Container, capabilities: &Value) -> Finished {
    run("cnitool", PLUGINS, host, verb, network, container, capabilities)
}

fn run(
    client_name: &str,
    plugins: &str,
    host: &Host,
    verb: &str,
    network: &str,
    container: &Container,
    capabilities: &Value,
) -> Finished {
    let ifname = match network {
        "lo" => "lo",
        "whole" => "eth1",
        _ => "eth0",
    };
    let cnitool = client(client_name);
    host.try_run([
        "env",
        &format!("CNI_PATH={plugins}"),
        &format!("CNI_IFNAME={ifname}"),
        &format!("CAP_ARGS={capabilities}"),
        cnitool.to_str().unwrap(),
        verb,
        network,
        container.netns.to_str().unwrap(),
    ])
}

fn published() -> Value {
    json!({"portMappings": [
        {"hostPort": 8080, "containerPort": 80, "protocol": "tcp"},
        {"hostPort": 5353, "containerPort": 53, "protocol": "udp"},
    ]})
}

fn add(host: &Host, container: &Container, capabilities: &Value) -> Addresses {
    let _ = cnitool(host, "add", "lo", container, &json!({})).ok();
    let reply = cnitool(host, "add", "web", container, capabilities).ok();
    let reply: Value = serde_json::from_str(&reply).unwrap();
    Addresses { v4: address(&reply, 0), v6: address(&reply, 1) }
}

#[test]
fn two_containers_talk_and_one_is_published() {
    let host = host_with_networks();
    let outside = host.neighbour();
    let (web, peer) = (host.container("web"), host.container("peer"));
    let before = host.snapshot();

    let addresses = add(&host, &web, &published());
    add(&host, &peer, &json!({}));
    assert_served(&host, &outside, (&web, &addresses), &peer);
    let _ = cnitool(&host, "check", "lo", &web, &json!({})).ok();
    let _ = cnitool(&host, "check", "web", &peer, &json!({})).ok();
    let checked = cnitool(&host, "check", "web", &web, &published());
    if !reference_differs("portmap's CHECK fails with any port mapping") {
        let _ = checked.ok();
    }

    for (container, capabilities) in [(&web, published()), (&peer, json!({}))] {
        let _ = cnitool(&host, "del", "web", container, &capabilities).ok();
        let _ = cnitool(&host, "del", "web", container, &capabilities).ok();
        let _ = cnitool(&host, "del", "lo", container, &json!({})).ok();
    }
    assert_nothing_left(&host, &before, &[]);
}

#[test]
fn a_container_that_is_gone_is_deleted() {
    let host = host_with_networks();
    let outside = host.neighbour();
    let before = host.snapshot();
    let web = host.container("web");
    add(&host, &web, &published());
    let server = web.listen_tcp(80);
    outside.assert_reaches_tcp("192.0.2.1:8080");
    drop(server);
    let web = host.lose(web);
    let _ = cnitool(&host, "del", "web", &web, &published()).ok();
    let _ = cnitool(&host, "del", "lo", &web, &json!({})).ok();
    assert_nothing_left(&host, &before, REFERENCE_KEEPS_MASQUERADE);
}

/// Each plugin of the list finds with CHECK what it made, also what the plugins after it have moved.
#[test]
fn a_port_is_served_through_the_longest_list() {
    let host = host_with_plugins();
    let outside = host.neighbour();
    write_whole_chain(&host, "/etc/cni/net.d");
    let web = host.container("web");
    let before = host.snapshot();
    let ports = json!({"portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]});
    let _ = cnitool(&host, "add", "first", &web, &json!({})).ok();
    let reply: Value = serde_json::from_str(&cnitool(&host, "add", "whole", &web, &ports).ok()).unwrap();
    let addresses = Addresses { v4: address(&reply, 0), v6: address(&reply, 1) };
    assert_whole_chain(&host, &outside, (&web, &addresses));
    let _ = cnitool(&host, "check", "first", &web, &json!({})).ok();
    let checked = cnitool(&host, "check", "whole", &web, &ports);
    if !reference_differs("portmap's CHECK fails with any port mapping") {
        let _ = checked.ok();
    }
    for _ in 0..2 {
        let _ = cnitool(&host, "del", "whole", &web, &ports).ok();
    }
    let _ = cnitool(&host, "del", "first", &web, &json!({})).ok();
    assert_nothing_left(&host, &before, &[]);
}

/// With every verb that it has, at the version that it chooses: the greatest.
#[test]
fn what_the_command_creates_is_used_by_libcni_1_1_too() {
    let host = host_with_plugins();
    install_names(&host);
    let outside = host.neighbour();
    let create = |args: &[&str]| drop(host.ferrocni([&["network", "create"], args].concat()).ok());
    create(&["--ipv6", "--subnet", "10.9.0.0/24", "--subnet", "fd00:9::/64", "--label", "team=a", "web"]);
    create(&["--internal", "-o", "com.docker.network.bridge.enable_icc=false", "inner"]);
    create(&[
        "-d",
        "macvlan",
        "-o",
        "parent=uplink",
        "--subnet",
        "192.0.2.0/24",
        "--ip-range",
        "192.0.2.128/25",
        "wire",
    ]);
    let web = host.container("web");
    let before = host.snapshot();
    let ports = json!({"portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]});
    let newest = |verb: &str, network: &str| run("cnitool-1.1", PLUGINS, &host, verb, network, &web, &ports);
    for network in ["web", "inner", "wire"] {
        let _ = newest("status", network).ok();
        let added: Value = serde_json::from_str(&newest("add", network).ok()).unwrap();
        assert_eq!(added["cniVersion"], "1.1.0");
        let _ = newest("check", network).ok();
        let inspected: Value = serde_json::from_str(&host.ferrocni(["network", "inspect", network]).ok()).unwrap();
        let containers: Vec<_> = inspected[0]["Containers"].as_object().unwrap().values().collect();
        assert_eq!((containers.len(), &containers[0]["Runtime"]), (1, &json!("cnitool")));
        assert!(containers[0]["IPv4Address"].as_str().unwrap().starts_with(address(&added, 0).as_str()));
        if network == "web" {
            let server = web.listen_tcp(80);
            outside.assert_reaches_tcp("192.0.2.1:8080");
            host.run(["nft", "flush", "ruleset"]);
            let _ = host.ferrocni(["reload"]).ok();
            outside.assert_reaches_tcp("192.0.2.1:8080");
            drop(server);
        }
        let _ = newest("del", network).ok();
        assert_nothing_left(&host, &before, &[]);
        let _ = newest("add", network).ok();
        // Of all that it has recorded, as nothing is named that should stay.
        let _ = newest("gc", network).ok();
        assert_nothing_left(&host, &before, &[]);
    }
}

/// The examples of conf/ are written for the newest version.
#[test]
fn the_examples_are_loaded_by_libcni_1_1() {
    let host = Host::new();
    let web = host.container("web");
    for (example, _) in EXAMPLES {
        let list = tests::example(example);
        host.write(format!("/etc/cni/net.d/{example}.conflist"), list.to_string());
        let name = list["name"].as_str().unwrap();
        // Nothing was attached, so that all there is to do is to load the list and to ask each plugin for its versions.
        let _ = run("cnitool-1.1", bin_dir().to_str().unwrap(), &host, "del", name, &web, &json!({})).ok();
    }
}
