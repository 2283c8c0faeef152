//! What CHECK and STATUS notice.

use serde_json::{Value, json};
use tests::{Host, Inside as _, reference_differs};

use super::{addresses, config, network, scene};

#[test]
fn check_names_what_differs() {
    let cases = [
        ("ip link set eth0 down; ip link set eth0 name lan", "link of interface eth0", false),
        ("ip link set eth0 down", "state of interface eth0", true),
        ("ip link set eth0 address 02:00:00:00:aa:02", "02:00:00:00:aa:02", false),
        ("ip addr del 10.1.0.2/24 dev eth0", "10.1.0.2/24", false),
        ("ip addr del fd00:1::2/64 dev eth0", "fd00:1::2/64", false),
        ("ip route del default", "0.0.0.0/0", false),
        ("ip link set eth0 alias ''", "ferrocni:net/c1/eth0/ and the device's name, found none", true),
        ("ip link set eth0 alias ferrocni:net/c2/eth0/nic0", "found ferrocni:net/c2/eth0/nic0", true),
    ];
    for (damage, words, unnoticed_by_the_reference) in cases {
        if unnoticed_by_the_reference && reference_differs("it does not look at that") {
            continue;
        }
        let (host, c1) = scene();
        let network = network(&host, &addresses());
        network.add(&c1, "eth0").ok();
        network.check(&c1, "eth0").ok();
        c1.shell(damage);
        let error = network.check(&c1, "eth0").error();
        assert!(error.msg.contains(words) || reference_differs("other words"), "{damage}: {error:?}");
    }
}

#[test]
fn check_notices_another_namespace() {
    let (host, c1) = scene();
    let c2 = host.container("c2");
    let network = network(&host, &json!({}));
    network.add(&c1, "eth0").ok();
    let mut config = config(&json!({}));
    config["prevResult"] = json!({"cniVersion": "1.0.0", "interfaces": [{"name": "eth0", "sandbox": c1.netns}]});
    let error = super::call(&host, "CHECK", &c2, &config).run().error();
    assert!(error.msg.contains("/run/netns/c2") || reference_differs("other words"), "{error:?}");
}

fn status(host: &Host, keys: &Value) -> tests::Outcome {
    host.cni("host-device").command("STATUS").config(&config(keys)).run()
}

#[test]
fn status_tells_whether_an_add_would_find_the_device() {
    let (host, c1) = scene();
    status(&host, &json!({})).ok();
    status(&host, &addresses()).ok();
    let unavailable = |keys: &Value, words: &str| {
        let error = status(&host, keys).error();
        assert!(error.code == 50 && error.msg.contains(words), "{keys}: {error:?}");
    };
    unavailable(&json!({"device": "nic9"}), "nic9 is not on this host");
    unavailable(&json!({"device": "", "pciBusID": "ffff:ff:1f.7"}), "ffff:ff:1f.7");
    unavailable(&json!({"ipam": {"type": "no-such"}}), "no-such is not in CNI_PATH");
    network(&host, &json!({})).add(&c1, "eth0").ok();
    unavailable(&json!({}), "a container has it already");
}

/// Which device it will be is not known before a container comes.
#[test]
fn status_of_a_network_whose_devices_the_runtime_assigns_asks_for_none() {
    let host = Host::new();
    status(&host, &json!({"device": "", "capabilities": {"deviceID": true}})).ok();
    let error = status(&host, &json!({"device": ""})).error();
    assert!(error.code == 7 && error.msg.contains("pciBusID"), "{error:?}");
}
