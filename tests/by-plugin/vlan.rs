//! vlan, as far as every kernel goes: tests/by-kernel-feature/vlan.rs has the rest.

use serde_json::{Value, json};
use tests::{Chain, Host, Inside as _};

fn network<'h>(host: &'h Host, keys: &Value) -> Chain<'h> {
    let mut config = json!({
        "type": "vlan", "master": "uplink", "vlanId": 100, "ipam": {"type": "host-local", "subnet": "10.1.0.0/24"},
    });
    config.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
    host.chain(&json!({"name": "net", "plugins": [config]}))
}

/// A host with two links without a neighbour: `uplink`, and one that is down.
fn host() -> Host {
    let host = Host::new();
    host.shell("ip link add uplink up type veth peer name wire; ip link add asleep type veth peer name bed");
    host
}

#[test]
fn it_works_or_the_kernel_is_said_to_have_no_vlans_and_nothing_changes() {
    let host = host();
    let c1 = host.container("c1");
    let network = network(&host, &json!({}));
    let trial = ["ip", "link", "add", "trial", "link", "uplink", "type", "vlan", "id", "5"];
    if host.try_run(trial).status.success() {
        host.run(["ip", "link", "del", "trial"]);
        host.assert_leaves_nothing(|| network.status().ok());
        network.add(&c1, "eth0").ok();
        network.del(&c1, "eth0").ok();
        return;
    }
    for (code, outcome) in [
        (999, host.assert_leaves_nothing(|| network.add(&c1, "eth0"))),
        (50, host.assert_leaves_nothing(|| network.status())),
    ] {
        let error = outcome.error();
        assert!(error.code == code && error.msg.contains("8021q"), "{error:?}");
    }
    network.del(&c1, "eth0").ok();
}

#[test]
fn what_cannot_work_is_refused_and_changes_nothing() {
    let host = host();
    let c1 = host.container("c1");
    let cases: [(Value, u64, &[&str]); 8] = [
        (json!({"master": null}), 7, &["\"master\""]),
        (json!({"master": ""}), 7, &["\"master\""]),
        (json!({"master": "a/b"}), 7, &["master", "a/b"]),
        (json!({"ipam": null}), 7, &["\"ipam\""]),
        (json!({"vlanId": 4095}), 7, &["vlanId", "4095", "4094"]),
        (json!({"mtu": 1501}), 7, &["1501", "uplink", "1500"]),
        (json!({"master": "nowhere"}), 999, &["nowhere", "does not exist"]),
        (json!({"master": "asleep"}), 999, &["asleep", "ip link set asleep up"]),
    ];
    for (keys, code, words) in cases {
        let error = host.assert_leaves_nothing(|| network(&host, &keys).add(&c1, "eth0").error());
        assert_eq!(error.code, code, "{keys}: {error:?}");
        let text = format!("{} {}", error.msg, error.details);
        assert!(words.iter().all(|word| text.contains(word)), "{keys}: {text}");
        network(&host, &keys).del(&c1, "eth0").ok();
    }
}
