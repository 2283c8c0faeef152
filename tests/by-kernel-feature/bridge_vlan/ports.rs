//! Which VLANs the containers' ports are in, and who reaches whom.

use serde_json::{Value, json};
use tests::{Container, Host, Inside as _, address, reference_differs};

use super::{host_end, ipam, network, vlans};

#[test]
fn each_port_is_in_the_vlans_of_its_network_and_in_no_other() {
    let trunk = json!([{"id": 20}, {"minID": 30, "maxID": 40}, {"minID": 38, "maxID": 41}]);
    let cases = [
        (json!({"vlan": 100}), "100 pvid untagged"),
        (json!({"vlan": 1}), "1 pvid untagged"),
        (json!({"vlan": 100, "preserveDefaultVlan": true}), "1 untagged, 100 pvid untagged"),
        (json!({"vlanTrunk": trunk}), "1 pvid untagged, 20, 30-41"),
        (json!({"vlan": 35, "vlanTrunk": trunk}), "20, 30-34, 35 pvid untagged, 36-41"),
        (json!({"vlan": 100, "vlanTrunk": [{"id": 1}]}), "1, 100 pvid untagged"),
        (json!({"vlanTrunk": [{"minID": 1, "maxID": 4094}]}), "1 pvid untagged, 2-4094"),
        (json!({"vlanTrunk": []}), "1 pvid untagged"),
        (json!({}), "1 pvid untagged"),
    ];
    let host = Host::new();
    let c1 = host.container("c1");
    for (keys, expected) in cases {
        let differs = "this version has vlan alone, and leaves the default VLAN";
        if (keys.get("vlanTrunk").is_some() || keys == json!({"vlan": 100})) && reference_differs(differs) {
            continue;
        }
        let network = network(&host, "net", &keys);
        let result = network.add(&c1, "eth0").ok();
        assert_eq!(vlans(&host, host_end(&result)), expected, "{keys}");
        if !reference_differs("its CHECK asks an IPAM plugin that the network has not got") {
            network.check(&c1, "eth0").ok();
        }
        network.del(&c1, "eth0").ok();
    }
}

#[test]
fn containers_reach_those_of_their_vlan_and_no_others() {
    let host = Host::new();
    let [a1, a2, b, plain] = ["a1", "a2", "b", "plain"].map(|name| host.container(name));
    let add = |container: &Container, name, keys: Value, first| {
        let mut keys = keys;
        keys["ipam"] = ipam(first);
        network(&host, name, &keys).add(container, "eth0").ok()
    };
    let server = add(&a1, "a", json!({"vlan": 100}), 10);
    add(&a2, "a", json!({"vlan": 100}), 10);
    add(&b, "b", json!({"vlan": 200}), 30);
    let plain_server = add(&plain, "plain", json!({}), 50);
    let (_server, _plain_server) = (a1.listen_tcp(80), plain.listen_tcp(80));
    plain.shell("ip link set lo up");
    plain.assert_reaches_tcp("127.0.0.1:80");
    for index in [0, 1] {
        let server = format!("{}:80", address(&server, index));
        a2.assert_reaches_tcp(&server);
        b.assert_blocked_tcp(&server);
        plain.assert_blocked_tcp(&server);
        a2.assert_blocked_tcp(&format!("{}:80", address(&plain_server, index)));
    }
}

/// A container that tells VLANs apart itself, here by a bridge of its own.
#[test]
fn a_trunk_carries_its_vlans_with_their_tags_and_the_native_one_without() {
    let host = Host::new();
    let [trunk, native, tagged, foreign] = ["trunk", "native", "tagged", "foreign"].map(|name| host.container(name));
    let keys = json!({"vlan": 5, "vlanTrunk": [{"minID": 100, "maxID": 200}]});
    network(&host, "trunk", &keys).add(&trunk, "eth0").ok();
    for (container, name, vlan, first) in
        [(&native, "native", 5, 10), (&tagged, "tagged", 150, 30), (&foreign, "foreign", 201, 50)]
    {
        network(&host, name, &json!({"vlan": vlan, "ipam": ipam(first)})).add(container, "eth0").ok();
    }
    trunk.shell(
        "ip link add inner type bridge vlan_filtering 1 vlan_default_pvid 0
         ip link set eth0 master inner; ip link set inner up
         bridge vlan add dev eth0 vid 5 pvid untagged; bridge vlan add dev eth0 vid 150
         bridge vlan add dev eth0 vid 201
         ip addr add 10.1.0.200/24 dev inner; ip addr add fd00:1::200/64 dev inner nodad",
    );
    let _server = trunk.listen_tcp(80);
    for (vlan, reached, others) in [(5, &native, [&tagged, &foreign]), (150, &tagged, [&native, &foreign])] {
        trunk.shell(&format!("bridge vlan add dev inner vid {vlan} pvid untagged self"));
        for address in ["10.1.0.200:80", "[fd00:1::200]:80"] {
            reached.assert_reaches_tcp(address);
            for other in others {
                other.assert_blocked_tcp(address);
            }
        }
        trunk.shell(&format!("bridge vlan del dev inner vid {vlan} self"));
    }
    trunk.shell("bridge vlan add dev inner vid 201 pvid untagged self");
    foreign.assert_blocked_tcp("10.1.0.200:80");
}

#[test]
fn an_administrator_s_bridge_is_left_as_it_is_whatever_its_default_vlan() {
    for (default, plain, preserved) in
        [("7", "7 pvid untagged", "7 untagged, 100 pvid untagged"), ("0", "", "100 pvid untagged")]
    {
        let host = Host::new();
        let c1 = host.container("c1");
        host.shell(&format!("ip link add br0 up type bridge vlan_filtering 1 vlan_default_pvid {default}"));
        let of_bridge = vlans(&host, "br0");
        for (keys, expected) in [
            (json!({"vlan": 100}), "100 pvid untagged"),
            (json!({"vlan": 100, "preserveDefaultVlan": true}), preserved),
            (json!({}), plain),
        ] {
            let network = network(&host, "net", &keys);
            let result = network.add(&c1, "eth0").ok();
            assert_eq!(vlans(&host, host_end(&result)), expected, "{keys} with default VLAN {default}");
            network.check(&c1, "eth0").ok();
            network.del(&c1, "eth0").ok();
        }
        assert_eq!(vlans(&host, "br0"), of_bridge);
    }
}

#[test]
fn a_bridge_that_does_not_filter_is_refused_until_it_does() {
    let host = Host::new();
    let [c1, c2] = ["c1", "c2"].map(|name| host.container(name));
    let network = network(&host, "net", &json!({"vlan": 100}));
    super::network(&host, "plain", &json!({})).add(&c1, "eth0").ok();
    let advice = "ip link set br0 type bridge vlan_filtering 1";
    let attached = host.assert_leaves_nothing(|| network.add(&c2, "eth0")).error();
    let status = network.status().error();
    for (error, code) in [(attached, 999), (status, 50)] {
        assert!(error.code == code && error.msg.contains(advice), "{error:?}");
    }
    host.shell(advice);
    network.status().ok();
    network.add(&c2, "eth0").ok();
}
