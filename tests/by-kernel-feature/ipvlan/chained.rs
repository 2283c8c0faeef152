//! Addresses and parents from a previous plugin, and parents in the container.

use serde_json::{Value, json};
use tests::{Inside as _, every_plugin_rules, reference_differs};

use super::{call, config, mode_and_flag, network, subnets, wire};

/// What a plugin reports that has found a link of the host and addresses for the container.
fn previous(interfaces: &Value) -> Value {
    json!({
        "cniVersion": "1.0.0",
        "interfaces": interfaces,
        "ips": [
            {"address": "192.0.2.150/24", "gateway": "192.0.2.2", "interface": 0},
            {"address": "2001:db8::150/64"}
        ],
        "routes": [{"dst": "0.0.0.0/0"}],
        "dns": {"domain": "before.test"}
    })
}

fn without_master(previous: &Value) -> Value {
    let mut config = config(&json!({"cniVersion": "1.0.0", "prevResult": previous}));
    config.as_object_mut().unwrap().remove("master");
    config
}

#[test]
fn without_ipam_the_previous_plugin_gives_addresses_and_the_parent() {
    let (host, outside) = wire();
    let c1 = host.container("c1");
    let mut config = without_master(&previous(&json!([{"name": "uplink"}])));
    let result = call(&host, "ADD", &c1, &config).run().ok();
    assert_eq!(result["interfaces"], json!([{"name": "eth0", "mac": c1.link("eth0")["address"], "sandbox": c1.netns}]));
    assert_eq!((&result["ips"][0]["interface"], &result["ips"][1]["interface"]), (&json!(0), &json!(0)), "{result}");
    assert_eq!((&result["routes"], result.get("dns")), (&json!([{"dst": "0.0.0.0/0"}]), None));
    outside.assert_pings("192.0.2.150");
    outside.assert_pings("2001:db8::150");
    assert_eq!(c1.ip_json(["route", "show", "default"])[0]["gateway"], "192.0.2.2");
    config["prevResult"] = result;
    if !reference_differs("it does not know its parent any more") {
        call(&host, "CHECK", &c1, &config).run().ok();
    }
    call(&host, "DEL", &c1, &config).run().ok();
    assert_eq!(c1.links(), ["lo"]);
}

#[test]
fn an_ipam_plugin_and_a_master_of_its_own_count_more() {
    let (host, _outside) = wire();
    let c1 = host.container("c1");
    let mut config = without_master(&previous(&json!([{"name": "elsewhere"}])));
    config["master"] = json!("uplink");
    config["ipam"] = subnets(1);
    let result = call(&host, "ADD", &c1, &config).run().ok();
    assert_eq!(result["ips"][0]["address"], "10.1.0.2/24", "{result}");
    assert_eq!(c1.addresses("eth0"), ["10.1.0.2/24", "fd00:1::2/64"]);
}

#[test]
fn a_previous_plugin_that_leaves_something_open_is_said_to() {
    let (host, _outside) = wire();
    let c1 = host.container("c1");
    let no_address = json!({"cniVersion": "1.0.0", "interfaces": [{"name": "uplink"}]});
    for (previous, words) in [
        (previous(&json!([])), "0 interfaces"),
        (previous(&json!([{"name": "uplink"}, {"name": "other"}])), "2 interfaces"),
        (no_address, "ipam"),
    ] {
        let error = call(&host, "ADD", &c1, &without_master(&previous)).run().error();
        assert!((error.code == 7 && error.msg.contains(words)) || reference_differs("other words"), "{error:?}");
    }
    assert!(c1.links() == ["lo"] || reference_differs("it leaves its link behind"));
}

/// A link that another network brought there.
#[test]
fn the_parent_may_be_in_the_container() {
    let (host, outside) = wire();
    let c1 = host.container("c1");
    host.shell("ip link set uplink netns c1");
    c1.shell("ip link set uplink up; ip route add default dev uplink");
    for master in [json!("uplink"), Value::Null] {
        let mut keys = json!({"linkInContainer": true, "ipam": super::of_the_wire()});
        keys["master"] = master;
        let network = network("net", &host, &keys);
        network.status().ok();
        network.add(&c1, "eth1").ok();
        assert_eq!(c1.link("eth1")["link"], "uplink");
        c1.shell("ping -n -c1 -w5 -I eth1 192.0.2.2; ping -n -c1 -w5 -I eth1 2001:db8::2");
        network.check(&c1, "eth1").ok();
        keys["mode"] = json!("l3");
        keys["ipam"] = subnets(1);
        let error = super::network("other", &host, &keys).add(&c1, "eth2").error();
        assert!(error.msg.contains("link eth1") && error.msg.contains("mode l2"), "{error:?}");
        assert_eq!(mode_and_flag(&c1, "eth1").0, "l2");
        network.del(&c1, "eth1").ok();
    }
    let mut keys = json!({"linkInContainer": true, "ipam": subnets(1)});
    every_plugin_rules(&network("net", &host, &keys), &c1, "eth1");
    keys["master"] = json!("lo0");
    host.shell("ip link add lo0 type veth");
    let error = network("net", &host, &keys).add(&c1, "eth1").error();
    assert!(error.msg.contains("lo0") && error.msg.contains("in the container"), "{error:?}");
    drop(outside);
}
