//! Configurations with each value replaced by others: whatever comes, the answer is a result or an error as it has to
//! be, never a bug, and after an error (or a DEL) nothing is left.

use serde_json::{Value, json};
use tests::reference_differs;

use crate::scene::{BY_KERNEL_FEATURE, Scene, error, every_plugin};

/// What stands where something else should: other types, extremes, and text that means something to somebody else.
fn wrong_values() -> Vec<Value> {
    vec![
        json!(null),
        json!(true),
        json!(-1),
        json!(4_294_967_296_u64),
        json!(1e300),
        json!(""),
        json!("a\nb"),
        json!("x; reboot"),
        json!("-A INPUT -j DROP\nCOMMIT"),
        json!("\u{0}"),
        json!("../../../../tmp/x"),
        json!("%s%n"),
        json!("é".repeat(200)),
        json!("::"),
        json!("0.0.0.0/0"),
        json!("255.255.255.255/32"),
        json!("ff02::1/128"),
        json!([]),
        json!([[]]),
        json!({}),
        json!({"type": null}),
    ]
}

/// Every key that a plugin knows, with a good value. (Not `dataDir`: any path is right, and a test host shares the
/// machine's root folder.)
fn full_config(scene: &Scene, plugin: &str) -> Value {
    let mut config = scene.config(plugin);
    let more = match plugin {
        "bridge" => json!({
            "isDefaultGateway": true, "forceAddress": false, "ipMasqBackend": "nftables", "mtu": 1400,
            "hairpinMode": true, "promiscMode": false, "macspoofchk": true, "portIsolation": true, "enabledad": false,
            "routerAdvertisements": true, "disableContainerInterface": false, "vlan": 0, "vlanTrunk": null, "preserveDefaultVlan": false, "uplink": "",
            "hostInterfaceName": "web0", "outboundAddresses": ["192.0.2.1"], "looseReversePath": true,
            "dns": {"nameservers": ["10.1.0.1"], "domain": "a", "search": ["a"], "options": ["ndots:1"]},
            "args": {"cni": {"mac": "02:00:00:00:00:01", "ips": ["10.1.0.77"]}},
        }),
        "dhcp" => json!({"ipam": {
            "type": "dhcp", "daemonSocketPath": "/run/cni/dhcp.sock", "families": ["ipv4"], "priority": 300,
            "provide": [{"option": "host-name", "value": "web", "fromArg": "NAME"}, {"option": "60", "value": "x"}],
            "request": [{"option": "subnet-mask", "skipDefault": false}, {"option": "121"}], "suppress": ["gateway"],
        }}),
        "dnsname" => json!({
            "listen": "rewrite", "upstreams": ["192.0.2.53", "[2001:db8::53]:5353"], "forward": false, "ttl": 5, "intercept": true,
            "links": [{"alias": "sql", "container": "db"}],
            "hosts": [{"name": "printer", "addresses": ["192.0.2.9", "host-gateway"]}],
            "runtimeConfig": {"aliases": {"test": ["www"], "other": []}, "dns": {"servers": ["192.0.2.54"]}},
        }),
        "host-device" => json!({
            "hwaddr": "", "kernelpath": "", "pciBusID": "", "runtimeConfig": {"deviceID": ""}, "capabilities": {"deviceID": true},
            "routerAdvertisements": true,
            "dns": {"nameservers": ["10.1.0.1"], "domain": "a", "search": ["a"], "options": ["ndots:1"]},
        }),
        "bandwidth" => json!({
            "runtimeConfig": {"bandwidth": {
                "ingressRate": 20_000_000, "ingressBurst": 4_000_000,
                "egressRate": 40_000_000, "egressBurst": 8_000_000,
            }},
            "shapedSubnets": [], "unshapedSubnets": [],
        }),
        "tap" => json!({
            "multiQueue": true, "mtu": 1400, "mac": "02:00:00:00:00:01", "owner": 0, "group": 0, "bridge": "", "selinuxContext": "",
            "dns": {"nameservers": ["10.1.0.1"], "domain": "a", "search": ["a"], "options": ["ndots:1"]},
            "runtimeConfig": {"mac": "02:00:00:00:00:02"},
        }),
        "host-local" => json!({
            "runtimeConfig": {"ips": ["10.1.0.88"], "ipRanges": [[{"subnet": "10.6.0.0/24"}]]},
        }),
        "tuning" => json!({
            "mac": "02:00:00:00:00:01", "mtu": 1400, "allmulti": true, "txQLen": 77,
            "runtimeConfig": {"mac": "02:00:00:00:00:02"},
            "args": {"cni": {
                "sysctl": {"net/core/somaxconn": "77"}, "mac": "02:00:00:00:00:03", "promisc": false, "mtu": 1300,
                "allmulti": false, "txQLen": 78,
            }},
        }),
        "static" => json!({
            "args": {"cni": {"ips": ["10.1.0.77/24"]}}, "runtimeConfig": {"ips": ["10.1.0.88"]},
        }),
        "overlay" => json!({
            "network": "wide", "ingress": true, "ipMasq": false, "ipMasqBackend": "nftables", "mtu": 1400,
            "routerAdvertisements": false,
            "dns": {"nameservers": ["10.7.0.1"], "domain": "a", "search": ["a"], "options": ["ndots:1"]},
            "args": {"cni": {"ips": ["10.9.3.77"]}}, "runtimeConfig": {"ips": ["10.9.3.77"]},
        }),
        "cluster" => json!({
            "args": {"cni": {"ips": ["10.9.3.77"]}}, "runtimeConfig": {"ips": ["10.9.3.77"]},
        }),
        "ptp" => json!({
            "ipMasqBackend": "nftables", "mtu": 1400, "routerAdvertisements": false,
            "dns": {"nameservers": ["10.7.0.1"], "domain": "a", "search": ["a"], "options": ["ndots:1"]},
            "args": {"cni": {"ips": ["10.1.0.77"]}},
        }),
        "macvlan" => json!({
            "mode": "private", "mtu": 1400, "mac": "02:00:00:00:00:01", "bcqueuelen": 2000, "broadcastCutoff": 8, "ipamDns": true,
            "linkInContainer": false, "routerAdvertisements": true, "dns": {"nameservers": ["10.1.0.1"]},
            "runtimeConfig": {"mac": "02:00:00:00:00:02", "ips": ["10.1.0.77"]},
        }),
        "ipvlan" => json!({
            "mode": "l3s", "ipvlanFlag": "private", "mtu": 1400, "linkInContainer": false, "dns": {"nameservers": ["10.1.0.1"]},
            "routerAdvertisements": false, "runtimeConfig": {"ips": ["10.1.0.77"]},
        }),
        "vlan" => json!({
            "mtu": 1400, "linkInContainer": false, "dns": {"nameservers": ["10.1.0.1"]}, "routerAdvertisements": true,
            "runtimeConfig": {"ips": ["10.1.0.77"]},
        }),
        "vrf" => json!({"table": 77}),
        "sbr" => json!({"table": 100, "addSourceHints": true, "gateways": ["10.1.0.1"]}),
        "portmap" => json!({
            "backend": "iptables", "snat": true, "masqAll": true, "markMasqBit": 7, "externalSetMarkChain": "",
            "conditionsV4": ["!", "-d", "192.0.2.0/24"], "conditionsV6": ["-s", "fd00::/8"],
        }),
        "firewall" => json!({
            "backend": "iptables", "iptablesAdminChainName": "MINE", "firewalldZone": "trusted",
            "ingressPolicy": "same-bridge", "unpublishedPorts": "closed", "confinement": "network",
        }),
        _ => json!({}),
    };
    for (key, value) in more.as_object().unwrap() {
        config[key] = value.clone();
    }
    if let Some(ipam) = config.get_mut("ipam") {
        ipam["routes"] =
            json!([{"dst": "10.9.0.0/16", "gw": "10.1.0.1", "mtu": 1400, "priority": 5, "table": 100, "scope": 0}]);
        if let Some(ranges) = ipam.get_mut("ranges") {
            let (first, last) = ("10.1.0.9", "10.1.0.99");
            ranges[0][0] =
                json!({"subnet": "10.1.0.0/24", "rangeStart": first, "rangeEnd": last, "gateway": "10.1.0.1"});
        }
    }
    if plugin == "portmap" {
        config["runtimeConfig"]["portMappings"][0]["hostIP"] = json!("127.0.0.1");
    }
    config
}

fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// The paths (as in RFC 6901) of everything in a value.
fn paths(value: &Value) -> Vec<String> {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(object) => object.iter().map(|(key, value)| (escaped(key), value)).collect(),
        Value::Array(array) => array.iter().enumerate().map(|(i, value)| (i.to_string(), value)).collect(),
        _ => Vec::new(),
    };
    let below = |(key, child): (String, &Value)| {
        let deeper: Vec<_> = paths(child).into_iter().map(|path| format!("/{key}{path}")).collect();
        std::iter::once(format!("/{key}")).chain(deeper).collect::<Vec<_>>()
    };
    children.into_iter().flat_map(below).collect()
}

fn no_value_makes_it_fail_other_than_with_an_error(plugin: &str) {
    if reference_differs("it panics in places, and leaves what it made") {
        return;
    }
    let scene = Scene::new();
    let good = full_config(&scene, plugin);
    add_and_del(&scene, plugin, &good);
    let before = scene.host.snapshot();
    for path in paths(&good) {
        for wrong in wrong_values() {
            let mut config = good.clone();
            *config.pointer_mut(&path).unwrap() = wrong;
            try_it(&scene, plugin, &config);
        }
        let left = scene.host.snapshot().leftovers(&before);
        let left: Vec<_> = left.into_iter().filter(|line| !is_the_networks(line)).collect();
        assert!(left.is_empty(), "{plugin}, {path} replaced: {left:#?}");
    }
}

/// What is right is taken, unless the kernel has no such links: then it has to be the kernel that refuses.
fn add_and_del(scene: &Scene, plugin: &str, config: &Value) {
    let added = scene.call_with(plugin, "ADD", config).run();
    if BY_KERNEL_FEATURE.contains(&plugin) && !added.is_ok() {
        let error = error(added);
        assert!(format!("{error:?}").contains("kernel"), "{plugin} {config}: {error:?}");
    } else {
        added.ok();
    }
    scene.call_with(plugin, "DEL", config).run().ok();
}

macro_rules! mutated {
    ($($plugin:ident: $name:literal)*) => {
        mod no_value_of_a_configuration_makes_a_plugin_fail_other_than_with_an_error {
            $(#[test] fn $plugin() { super::no_value_makes_it_fail_other_than_with_an_error($name); })*
        }

        #[test]
        fn every_plugin_is_among_them() {
            assert_eq!([$($name),*].as_slice(), every_plugin().collect::<Vec<_>>());
        }
    };
}

// A test for each, for they take long and can run side by side.
mutated! {
    bandwidth: "bandwidth"
    bridge: "bridge"
    cluster: "cluster"
    dhcp: "dhcp"
    dnsname: "dnsname"
    firewall: "firewall"
    host: "host"
    host_device: "host-device"
    host_local: "host-local"
    loopback: "loopback"
    macvlan: "macvlan"
    none: "none"
    overlay: "overlay"
    portmap: "portmap"
    ptp: "ptp"
    sbr: "sbr"
    static_ipam: "static"
    tap: "tap"
    tuning: "tuning"
    dummy: "dummy"
    ipvlan: "ipvlan"
    vlan: "vlan"
    vrf: "vrf"
}

/// As in the reference, the isolation of a bridge and the administrator's chain are the network's, and stay.
fn is_the_networks(line: &str) -> bool {
    ["CNI-ISOLATION-STAGE-2", "admin overrides", "-save filter chain "].iter().any(|of| line.contains(of))
}

fn try_it(scene: &Scene, plugin: &str, config: &Value) {
    let added = scene.call_with(plugin, "ADD", config).run();
    assert!(!added.finished.stderr.contains("panicked"), "{plugin} {config}: {}", added.finished);
    if !added.is_ok() {
        let error = error(added);
        let words = ["invalid type", "invalid value", "u8", "u16", "u32", "u64", "sequence", "struct "];
        assert!(!words.iter().any(|word| error.details.contains(word)), "Rust's words: {config}: {error:?}");
        return;
    }
    let deleted = scene.call_with(plugin, "DEL", config).run();
    assert!(deleted.is_ok(), "{plugin} {config}: what ADD takes, DEL has to take: {}", deleted.finished);
}
