//! cnitool, which is libcni and nothing else.

use serde_json::{Value, json};
use tests::{Container, Finished, Host, Inside as _, address, client, reference_differs};

use crate::machine::{
    Addresses, PLUGINS, REFERENCE_KEEPS_MASQUERADE, assert_nothing_left, assert_served, assert_whole_chain,
    host_with_plugins, write_whole_chain,
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
    let ifname = match network {
        "lo" => "lo",
        "whole" => "eth1",
        _ => "eth0",
    };
    let cnitool = client("cnitool");
    host.try_run([
        "env",
        &format!("CNI_PATH={PLUGINS}"),
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
