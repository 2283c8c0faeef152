//! VLANs as far as every kernel goes: tests/by-kernel-feature/bridge_vlan.rs has the rest.

use serde_json::{Value, json};
use tests::{Host, Inside as _};

use super::{ipv4, network};

fn can_filter(host: &Host) -> bool {
    let made = host.try_run(["ip", "link", "add", "trial", "type", "bridge", "vlan_filtering", "1"]).status.success();
    if made {
        host.run(["ip", "link", "del", "trial"]);
    }
    made
}

#[test]
fn vlans_work_or_the_kernel_is_said_to_lack_them_and_nothing_changes() {
    let host = Host::new();
    let c1 = host.container("c1");
    for keys in [json!({"vlan": 100}), json!({"vlanTrunk": [{"id": 5}]}), json!({"vlan": 5, "mtu": 1400})] {
        let network = network(&host, &keys);
        if can_filter(&host) {
            host.assert_leaves_nothing(|| network.status().ok());
            network.add(&c1, "eth0").ok();
            network.del(&c1, "eth0").ok();
            continue;
        }
        for (code, outcome) in [
            (999, host.assert_leaves_nothing(|| network.add(&c1, "eth0"))),
            (50, host.assert_leaves_nothing(|| network.status())),
        ] {
            let error = outcome.error();
            assert_eq!(error.code, code, "{error:?}");
            assert!(error.msg.contains("CONFIG_BRIDGE_VLAN_FILTERING"), "{error:?}");
        }
    }
}

#[test]
fn vlan_keys_that_cannot_be_right_are_refused_and_change_nothing() {
    let host = Host::new();
    let c1 = host.container("c1");
    let cases: [(Value, &[&str]); 6] = [
        (json!({"vlan": 4095}), &["vlan", "4095", "4094"]),
        (json!({"vlanTrunk": [{"id": 7}, {"id": 0}]}), &["vlanTrunk[1]", "4094"]),
        (json!({"vlanTrunk": [{"minID": 7}]}), &["vlanTrunk[0]", "minID", "maxID"]),
        (json!({"vlanTrunk": [{"minID": 7, "maxID": 6}]}), &["vlanTrunk[0]", "minID 7", "maxID 6"]),
        (json!({"vlanTrunk": [{}]}), &["vlanTrunk[0]", "id"]),
        (
            json!({"bridge": "a-long-bridge", "vlan": 100, "isGateway": true, "ipam": ipv4()}),
            &["a-long-bridge.100", "bridge"],
        ),
    ];
    for (keys, words) in cases {
        let error = host.assert_leaves_nothing(|| network(&host, &keys).add(&c1, "eth0").error());
        assert_eq!(error.code, 7, "{keys}: {error:?}");
        let text = format!("{} {}", error.msg, error.details);
        assert!(words.iter().all(|word| text.contains(word)), "{keys}: {text}");
    }
    assert_eq!(host.ip_json(["link"]).as_array().unwrap().len(), 1, "not even a bridge");
}
