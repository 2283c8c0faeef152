//! What the container's interface is, and what is refused.

use serde_json::{Value, json};
use tests::{Host, Inside as _, reference_differs};

use super::{config, host, ipam, network};

#[test]
fn the_interface_is_the_vlan_under_its_final_name() {
    let host = host();
    let c1 = host.container("c1");
    host.shell("ip link add eth0 type veth peer name host1");
    let keys = json!({"mtu": 1400, "dns": {"nameservers": ["10.1.0.53"]}});
    let result = network(&host, "net", &keys).add(&c1, "eth0").ok();
    let link = c1.link("eth0");
    assert_eq!(link["linkinfo"]["info_data"]["id"], 100);
    assert_eq!((&link["mtu"], c1.is_up("eth0")), (&json!(1400), true));
    assert_eq!(link["address"], host.link("uplink")["address"]);
    let ours = ["ferrocni:net/c1/eth0".into(), json!(1400)];
    let said = [link["ifalias"].clone(), result["interfaces"][0]["mtu"].clone()];
    assert!(said == ours || reference_differs("its links say nothing, and its results no MTU"), "{said:?}");
    assert_eq!((&result["interfaces"][0]["name"], &result["interfaces"][0]["mac"]), (&json!("eth0"), &link["address"]));
    assert_eq!(result["interfaces"][0]["sandbox"], json!(c1.netns));
    assert_eq!(result["interfaces"].as_array().unwrap().len(), 1);
    assert_eq!(result["dns"], keys["dns"]);
    assert_eq!((&result["ips"][0]["interface"], &result["ips"][1]["interface"]), (&json!(0), &json!(0)));
    assert_eq!(c1.addresses("eth0"), ["10.1.0.10/24", "fd00:1::10/64"]);
}

#[test]
fn the_mtu_is_the_master_s_without_another_and_the_tag_may_be_0() {
    let host = host();
    let c1 = host.container("c1");
    host.shell("ip link set uplink mtu 1300");
    network(&host, "net", &json!({"vlanId": 0})).add(&c1, "eth0").ok();
    let link = c1.link("eth0");
    assert_eq!((&link["mtu"], &link["linkinfo"]["info_data"]["id"]), (&json!(1300), &json!(0)));
}

#[test]
fn a_vlan_or_a_name_that_is_taken_is_refused_and_so_is_a_master_without_vlans() {
    let host = host();
    let [c1, holder] = ["c1", "holder"].map(|name| host.container(name));
    host.shell("ip link add uplink.7 link uplink type vlan id 7");
    c1.shell("ip link add taken type bridge");
    network(&host, "holder", &json!({"vlanId": 8, "ipam": ipam(90)})).add(&holder, "eth0").ok();
    let cases: [(Value, &str, &[&str]); 4] = [
        (json!({"master": "lo"}), "eth0", &["lo", "cannot carry VLANs"]),
        (json!({"vlanId": 7}), "eth0", &["VLAN 7 of uplink is already in use", "macvlan"]),
        (json!({"vlanId": 8}), "eth0", &["VLAN 8 of uplink is already in use", "macvlan"]),
        (json!({}), "taken", &["taken"]),
    ];
    for (keys, ifname, words) in cases {
        let error = host.assert_leaves_nothing(|| network(&host, "net", &keys).add(&c1, ifname).error());
        assert_eq!(error.code, 999, "{keys}: {error:?}");
        let text = format!("{} {}", error.msg, error.details);
        assert!(words.iter().all(|word| text.contains(word)), "{keys}: {text}");
    }
}

/// The plugin of another network has made it.
#[test]
fn the_master_may_be_in_the_container() {
    let host = Host::new();
    let c1 = host.container("c1");
    host.shell(
        "ip link add e0 up type veth peer name eth0 netns c1
         ip link add e0.100 link e0 up type vlan id 100; ip addr add 10.1.0.1/24 dev e0.100
         ip addr add fd00:1::1/64 dev e0.100 nodad",
    );
    c1.shell("ip link set eth0 up");
    let network = network(&host, "net", &json!({"master": "eth0", "linkInContainer": true}));
    host.assert_leaves_nothing(|| {
        network.status().ok();
        network.add(&c1, "vlan0").ok();
        network.check(&c1, "vlan0").ok();
        for address in ["10.1.0.1", "fd00:1::1"] {
            c1.assert_pings(address);
        }
        network.del(&c1, "vlan0").ok();
    });
    let tagged = json!({"master": "eth0.5", "linkInContainer": true});
    let error = host.assert_leaves_nothing(|| super::network(&host, "net", &tagged).add(&c1, "vlan0").error());
    assert!(error.msg.contains("eth0.5"), "{error:?}");
}

#[test]
fn a_master_with_a_tag_of_its_own_is_made_and_goes_with_the_last_container() {
    let host = host();
    let [c1, c2] = ["c1", "c2"].map(|name| host.container(name));
    let network = |name: &str, vlan: u16, first| {
        let keys = json!({"master": "uplink.20", "vlanId": vlan, "ipam": ipam(first)});
        host.chain(&json!({"name": name, "plugins": [config(&keys)]}))
    };
    let (five, six) = (network("five", 5, 10), network("six", 6, 30));
    host.assert_leaves_nothing(|| {
        five.add(&c1, "eth0").ok();
        six.add(&c2, "eth0").ok();
        five.check(&c1, "eth0").ok();
        five.del(&c1, "eth0").ok();
        assert!(host.links().contains(&"uplink.20".to_owned()));
        six.check(&c2, "eth0").ok();
        six.gc(&[]).ok();
        six.del(&c2, "eth0").ok();
    });
}
