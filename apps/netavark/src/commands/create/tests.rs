#![allow(clippy::unwrap_used, reason = "tests")]

use clap::Parser as _;

use super::*;

const ID: &str = "abc123def4567890123456789012345678901234567890123456789012345678";

fn create(network: &Value, used: &Value) -> Result<Value, Error> {
    let mut whole = json!({"name": "new", "id": ID, "driver": "bridge", "dns_enabled": true});
    whole.as_object_mut().unwrap().extend(network.as_object().unwrap().clone());
    let options = json!({
        "subnet_pools": [{"base": "10.89.0.0/23", "size": 24}, {"base": "10.90.0.0/15", "size": 24}],
        "default_interface_name": "podman", "check_used_subnets": true
    });
    let arguments = Arguments::try_parse_from(["netavark", "create"]).unwrap();
    run(&arguments, &json!({"network": whole, "used": used, "options": options}))
}

fn refusal(network: &Value, used: &Value) -> String {
    create(network, used).unwrap_err().to_string()
}

#[test]
fn what_is_not_said_is_chosen() {
    let used = json!({"interfaces": ["podman1"], "names": {"podman": "x", "podman2": "y"}, "subnets": ["10.88.0.0/16", "10.89.0.0/24"]});
    let network = create(&json!({"labels": {"a": "b"}, "ipv6_enabled": true, "unknown": 1}), &used).unwrap();
    assert_eq!(network["network_interface"], "podman3");
    assert_eq!(network["subnets"][0], json!({"subnet": "10.89.1.0/24", "gateway": "10.89.1.1"}));
    assert!(network["subnets"][1]["subnet"].as_str().unwrap().starts_with("fd"), "{network}");
    assert_eq!(
        (&network["options"]["isolate"], &network["ipam_options"]["driver"]),
        (&json!("strict"), &json!("host-local"))
    );
    assert_eq!((&network["labels"], &network["unknown"]), (&json!({"a": "b"}), &json!(1)), "what else there is stays");
    assert!(network["created"].as_str().unwrap().ends_with('Z'));
}

#[test]
fn a_full_pool_is_followed_by_the_next() {
    let used = json!({"subnets": ["10.89.0.0/16"]});
    assert_eq!(create(&json!({}), &used).unwrap()["subnets"][0]["subnet"], "10.90.0.0/24");
    let all = json!({"subnets": ["10.0.0.0/8"]});
    assert!(refusal(&json!({}), &all).contains("--subnet"));
}

#[test]
fn what_cannot_be_right_is_refused_with_a_remedy() {
    let subnet = |subnet: &str| json!({"subnets": [{"subnet": subnet}]});
    let none = json!({});
    for (network, used, words) in [
        (json!({}), json!({"names": {"new": "x"}}), "network already exists"),
        (json!({"id": "x"}), none.clone(), "64 hexadecimal"),
        (json!({"network_interface": "podman1"}), json!({"interfaces": ["podman1"]}), "already in use"),
        (json!({"network_interface": "far too long a name"}), none.clone(), "too long"),
        (subnet("10.89.0.0/24"), json!({"subnets": ["10.89.0.0/16"]}), "already used"),
        (subnet("10.1.0.0/31"), none.clone(), "larger"),
        (json!({"subnets": [{"subnet": "10.1.0.0/24", "gateway": "10.2.0.1"}]}), none.clone(), "--gateway"),
        (
            json!({"subnets": [{"subnet": "10.1.0.0/24", "lease_range": {"start_ip": "10.1.0.9", "end_ip": "10.1.0.8"}}]}),
            none.clone(),
            "ends before",
        ),
        (json!({"subnets": [{"subnet": "10.1.0.0/24"}, {"subnet": "10.1.0.0/16"}]}), none.clone(), "overlap"),
        (json!({"options": {"colour": "red"}}), none.clone(), "no option colour"),
        (json!({"options": {"isolate": "maybe"}}), none.clone(), "strict"),
        (json!({"options": {"vlan": "5000"}}), none.clone(), "4094"),
        (json!({"ipam_options": {"driver": "dhcp"}}), none.clone(), "mode=unmanaged"),
        (json!({"ipam_options": {"driver": "magic"}}), none.clone(), "host-local"),
        (json!({"dns_enabled": false, "network_dns_servers": ["192.0.2.1"]}), none.clone(), "--dns"),
        (json!({"driver": "macvlan", "network_interface": "no-such-link"}), none.clone(), "does not exist"),
        (json!({"driver": "ptp"}), none.clone(), "--subnet"),
        (json!({"driver": "no-such-driver"}), none.clone(), "netavark_plugin_dirs"),
        (json!({"routes": [{"destination": "10.3.0.0/24"}]}), none, "gateway"),
    ] {
        let refusal = refusal(&network, &used);
        assert!(refusal.contains(words), "{network}: {refusal}");
    }
}

#[test]
fn networks_that_share_a_bridge_say_so() {
    let used = json!({"interfaces": ["br0"], "subnets": ["10.5.0.0/24"]});
    for option in [json!({"vlan": "7"}), json!({"mode": "unmanaged"})] {
        let network = json!({"network_interface": "br0", "options": option, "subnets": [{"subnet": "10.5.0.0/24"}]});
        assert_eq!(create(&network, &used).unwrap()["network_interface"], "br0");
    }
}

#[test]
fn dockers_spellings_become_podmans() {
    let options = json!({"com.docker.network.driver.mtu": "1400", "com.docker.network.bridge.name": "br7"});
    let network = create(&json!({"options": options}), &json!({})).unwrap();
    assert_eq!(network["options"], json!({"mtu": "1400", "isolate": "strict"}));
    assert_eq!(network["network_interface"], "br7");
}

#[test]
fn a_macvlan_without_subnets_is_a_dhcp_servers() {
    let network = create(&json!({"driver": "macvlan-trunk", "options": {"parent": "eth0.5"}}), &json!({})).unwrap();
    assert_eq!((&network["ipam_options"]["driver"], &network["dns_enabled"]), (&json!("dhcp"), &json!(false)));
}

#[test]
fn as_a_driver_it_completes_what_it_is_given() {
    let arguments = Arguments::try_parse_from(["ptp", "create"]).unwrap();
    let network = json!({"name": "new", "id": ID, "driver": "ptp", "subnets": [{"subnet": "10.1.0.0/24"}]});
    let network = run(&arguments, &network).unwrap();
    assert_eq!(network["subnets"][0]["gateway"], "10.1.0.1");
}
