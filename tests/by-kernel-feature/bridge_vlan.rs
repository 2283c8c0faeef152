//! A bridge that filters by VLAN: the keys `vlan`, `vlanTrunk` and `preserveDefaultVlan` of the plugin bridge.
//!
//! - `gateway`: the host's link into a VLAN
//! - `ports`: which VLANs the containers' ports are in, and who reaches whom
//! - `netavark`: Podman 5's networks in a VLAN of their bridge
//! - `upkeep`: CHECK, STATUS, and the reference in our place or before us

mod gateway;
mod netavark;
mod ports;
mod upkeep;

use serde_json::{Value, json};
use tests::{Chain, Host, Inside, every_plugin_rules, example, reference_differs, wire};

/// A network of the plugin bridge on `br0`.
fn network<'h>(host: &'h Host, name: &str, keys: &Value) -> Chain<'h> {
    host.chain(&json!({"name": name, "plugins": [config(keys)]}))
}

fn config(keys: &Value) -> Value {
    let mut config = json!({"type": "bridge", "bridge": "br0"});
    config.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
    config
}

/// Both families, one subnet for all networks of a test; each gives addresses from `first` on.
fn ipam(first: u8) -> Value {
    json!({"type": "host-local", "ranges": [
        [{"subnet": "10.1.0.0/24", "rangeStart": format!("10.1.0.{first}")}],
        [{"subnet": "fd00:1::/64", "rangeStart": format!("fd00:1::{first}")}],
    ]})
}

/// The VLANs of a port, as our own errors and bridge(8) write them.
#[track_caller]
pub(super) fn vlans(place: &impl Inside, port: &str) -> String {
    let shown: Value =
        serde_json::from_str(&place.run(["bridge", "-j", "-compressvlans", "vlan", "show", "dev", port]))
            .expect("JSON");
    let each = |vlan: &Value| {
        let end = if vlan["vlanEnd"].is_null() { String::new() } else { format!("-{}", vlan["vlanEnd"]) };
        let flag = |name: &str| vlan["flags"].as_array().is_some_and(|flags| flags.contains(&json!(name)));
        let pvid = if flag("PVID") { " pvid" } else { "" };
        let untagged = if flag("Egress Untagged") { " untagged" } else { "" };
        format!("{}{end}{pvid}{untagged}", vlan["vlan"])
    };
    let all: Vec<_> = shown[0]["vlans"].as_array().into_iter().flatten().map(each).collect();
    all.join(", ")
}

/// The host's end, by the result of an ADD.
fn host_end(result: &Value) -> &str {
    result["interfaces"][1]["name"].as_str().unwrap()
}

/// The name of a veth's other end, which is in the same place.
#[track_caller]
fn other_end(place: &impl Inside, name: &str) -> String {
    place.link(name)["link"].as_str().unwrap().to_owned()
}

#[test]
fn the_kernel_has_it() {
    let host = Host::new();
    host.shell("ip link add name br0 type bridge vlan_filtering 1; bridge vlan add dev br0 vid 100 self");
}

#[test]
fn the_rules_of_every_plugin_hold() {
    let mut cases = vec![json!({"vlan": 100, "isDefaultGateway": true, "ipMasq": true, "ipam": ipam(10)})];
    if !reference_differs("this version has not got the key, and its CHECK asks an IPAM plugin that there is not") {
        cases.push(json!({"vlan": 5, "vlanTrunk": [{"minID": 100, "maxID": 200}], "macspoofchk": true}));
    }
    for keys in cases {
        let host = Host::new();
        let (first, c1) = (host.container("first"), host.container("c1"));
        let network = network(&host, "net", &keys);
        // What it leaves is the network's: the bridge, and the gateway's link.
        network.add(&first, "eth0").ok();
        network.del(&first, "eth0").ok();
        every_plugin_rules(&network, &c1, "eth0");
    }
}

#[test]
fn the_example_s_network_is_out_of_reach_for_others_on_its_bridge() {
    let (host, outside) = wire();
    let (web, peer, stranger) = (host.container("web"), host.container("peer"), host.container("stranger"));
    let network = host.chain(&example("bridge-vlan"));
    let result = network.add(&web, "eth0").ok();
    network.add(&peer, "eth0").ok();
    let mut another = example("bridge-vlan");
    another["name"] = json!("another");
    another["plugins"][0]["vlan"] = json!(200);
    another["plugins"][0]["ipam"]["ranges"] = json!([[{"subnet": "10.9.0.0/24"}], [{"subnet": "fd00:9::/64"}]]);
    host.chain(&another).add(&stranger, "eth0").ok();
    let (_server, _hosts, _outside) = (web.listen_tcp(80), host.listen_tcp(8000), outside.listen_tcp(80));
    for (index, gateway, elsewhere) in
        [(0, "10.9.0.1:8000", "192.0.2.2:80"), (1, "[fd00:9::1]:8000", "[2001:db8::2]:80")]
    {
        let server = format!("{}:80", tests::address(&result, index));
        peer.assert_reaches_tcp(&server);
        host.assert_reaches_tcp(&server);
        web.assert_reaches_tcp(elsewhere);
        stranger.assert_reaches_tcp(gateway);
        stranger.assert_reaches_tcp(elsewhere);
        if !reference_differs("its firewall keeps bridges apart, and no VLANs") {
            stranger.assert_blocked_tcp(&server);
        }
    }
}

/// The host's link into the VLAN leads into the bridge, where the same packets pass the firewall a second time (br_netfilter).
#[test]
fn what_a_network_in_a_vlan_does_not_publish_is_closed_to_other_machines_alone() {
    let (host, outside) = wire();
    host.shell("[ -e /proc/sys/net/bridge ] || modprobe br_netfilter");
    outside.shell("ip route add 10.1.0.0/24 via 192.0.2.1; ip -6 route add fd00:1::/64 via 2001:db8::1");
    let (web, peer) = (host.container("web"), host.container("peer"));
    let bridge = config(&json!({"vlan": 100, "isDefaultGateway": true, "ipam": ipam(10)}));
    let firewall = json!({"type": "firewall", "unpublishedPorts": "closed"});
    let network = host.chain(&json!({"name": "net", "plugins": [bridge, firewall]}));
    let result = network.add(&web, "eth0").ok();
    network.add(&peer, "eth0").ok();
    let (_server, _outside) = (web.listen_tcp(80), outside.listen_tcp(80));
    for (index, elsewhere) in [(0, "192.0.2.2:80"), (1, "[2001:db8::2]:80")] {
        let server = format!("{}:80", tests::address(&result, index));
        peer.assert_reaches_tcp(&server);
        host.assert_reaches_tcp(&server);
        web.assert_reaches_tcp(elsewhere);
        outside.assert_blocked_tcp(&server);
    }
}
