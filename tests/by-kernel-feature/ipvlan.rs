//! ipvlan: links that share their parent's hardware address. Every key of the plugin's README and what holds for its
//! attachments, read back from the kernel or tried with packets.
//!
//! - `chained`: addresses and parents from a previous plugin, and parents in the container
//! - `checking`: what CHECK notices
//! - `lifetime`: DEL, GC, STATUS, many at once, killed in the middle, in a client's hands
//! - `netavark`: Podman 5's networks of that driver
//! - `podman`: the same with Podman 5 itself
//! - `reach`: who reaches whom in which mode, and at once
//! - `sharing`: several networks on one parent

mod chained;
mod checking;
mod lifetime;
mod netavark;
mod podman;
mod reach;
mod sharing;

use serde_json::{Value, json};
use tests::{Chain, Cni, Container, Host, Inside as _, every_plugin_rules, of_the_wire, reference_differs, wire};

/// An ipvlan plugin on `uplink`, which does not wait to see whether somebody else has an IPv6 address, with these keys
/// beside.
fn config(keys: &Value) -> Value {
    let mut config = json!({"type": "ipvlan", "master": "uplink", "enabledad": false});
    config.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
    config
}

/// A network of just that plugin.
fn network<'h>(name: &str, host: &'h Host, keys: &Value) -> Chain<'h> {
    host.chain(&json!({"name": name, "plugins": [config(keys)]}))
}

/// One call of the plugin that is not part of a [`Chain`].
fn call<'h>(host: &'h Host, verb: &str, container: &Container, config: &Value) -> Cni<'h> {
    host.cni("ipvlan").command(verb).container(container).config(config)
}

/// Subnets of its own, with default routes.
fn subnets(number: u8) -> Value {
    json!({
        "type": "host-local",
        "ranges": [[{"subnet": format!("10.{number}.0.0/24")}], [{"subnet": format!("fd00:{number}::/64")}]],
        "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}]
    })
}

/// Mode and flag, as the kernel says them.
#[track_caller]
fn mode_and_flag(container: &Container, name: &str) -> (String, String) {
    let link = container.link(name);
    assert_eq!(link["linkinfo"]["info_kind"], "ipvlan", "{link}");
    // ip(8) has no JSON for them.
    let shown = container.run(["ip", "-d", "link", "show", "dev", name]);
    let mut words = shown.split_whitespace().skip_while(|word| *word != "ipvlan").skip(2).map(str::to_owned);
    (words.next().unwrap(), words.next().unwrap())
}

#[test]
fn the_kernel_has_it() {
    let host = Host::new();
    host.shell(
        "ip link add name e0 type veth peer name e1
         for mode in l2 l3 l3s; do
             ip link add name i0 link e0 type ipvlan mode $mode
             ip link del i0
         done",
    );
}

#[test]
fn the_rules_of_every_plugin_hold_for_each_mode() {
    for keys in [
        json!({"ipam": of_the_wire()}),
        json!({"mode": "l3", "ipvlanFlag": "private", "mtu": 1400, "ipam": subnets(1)}),
    ] {
        let (host, _outside) = wire();
        every_plugin_rules(&network("net", &host, &keys), &host.container("c1"), "eth0");
    }
}

/// The reference ignores them.
#[test]
fn the_keys_vlan_and_flag_have_no_effect_and_that_is_said() {
    let (host, _outside) = wire();
    let c1 = host.container("c1");
    let mut config = config(&json!({"vlan": 20, "flag": "private", "ipam": of_the_wire()}));
    config["name"] = json!("net");
    let outcome = call(&host, "ADD", &c1, &config).run();
    let said = outcome.finished.stderr.clone();
    outcome.ok();
    assert_eq!(c1.link("eth0")["link_index"], host.link("uplink")["ifindex"]);
    assert_eq!(mode_and_flag(&c1, "eth0").1, "bridge");
    if !reference_differs("it says nothing") {
        for key in ["vlan", "flag"] {
            assert!(said.contains(&format!("\"{key}\" has no effect")), "{said}");
        }
    }
}

#[test]
fn the_defaults_are_the_default_route_s_link_and_mode_l2() {
    let (host, _outside) = wire();
    let c1 = host.container("c1");
    let config = json!({"type": "ipvlan", "ipam": {"type": "host-local", "subnet": "10.1.0.0/24"}});
    let error = host.assert_leaves_nothing(|| call(&host, "ADD", &c1, &config).run().error());
    assert!(error.msg.contains("default route") || reference_differs("other words"), "{error:?}");
    host.shell("ip link add other up type veth; ip route add default via 192.0.2.2");
    let result = call(&host, "ADD", &c1, &config).run().ok();
    let link = c1.link("eth0");
    assert_eq!(link["link_index"], host.link("uplink")["ifindex"]);
    assert_eq!(link["address"], host.link("uplink")["address"]);
    assert_eq!((&link["mtu"], mode_and_flag(&c1, "eth0")), (&json!(1500), ("l2".to_owned(), "bridge".to_owned())));
    assert!(link["ifalias"] == "ferrocni:test/c1/eth0" || reference_differs("its links say nothing"), "{link}");
    let mut interface = json!({"name": "eth0", "mac": link["address"], "sandbox": c1.netns});
    if !reference_differs("this version does not speak 1.1.0") {
        interface["mtu"] = json!(1500);
    }
    assert_eq!(result["interfaces"], json!([interface]));
    assert_eq!(result["ips"][0]["interface"], 0);
}

#[test]
fn keys_are_what_the_link_is() {
    let (host, _outside) = wire();
    let mut cases = vec![(json!({"mode": "l3s", "mtu": 1400}), ("l3s", "bridge"), 1400)];
    if !reference_differs("it has no flag") {
        cases.push((json!({"mode": "", "ipvlanFlag": "vepa"}), ("l2", "vepa"), 1500));
        cases.push((json!({"mode": "l3", "ipvlanFlag": "private", "mtu": 1300}), ("l3", "private"), 1300));
    }
    for (keys, (mode, flag), mtu) in cases {
        let c1 = host.container("c1");
        let mut keys = keys;
        keys["ipam"] = subnets(1);
        keys["dns"] = json!({"domain": "a.test"});
        let network = network("net", &host, &keys);
        let result = network.add(&c1, "eth0").ok();
        assert_eq!(mode_and_flag(&c1, "eth0"), (mode.to_owned(), flag.to_owned()), "{keys}");
        assert_eq!((&c1.link("eth0")["mtu"], &result["dns"]), (&json!(mtu), &keys["dns"]));
        network.del(&c1, "eth0").ok();
        host.run(["ip", "netns", "del", "c1"]);
    }
}

#[test]
fn what_cannot_work_is_refused_and_changes_nothing() {
    let (host, _outside) = wire();
    let c1 = host.container("c1");
    host.shell(
        "ip link add port type veth; ip link add br0 type bridge; ip link set port master br0
         ip link add taken type veth; ip link add m0 link taken type macvlan",
    );
    let cases: [(Value, u64, &[&str]); 9] = [
        (json!({"master": "nowhere"}), 999, &["nowhere", "master"]),
        (json!({"master": "nowhere.20"}), 999, &["nowhere.20 cannot be made", "nowhere does not exist"]),
        (json!({"master": "uplink.4095"}), 7, &["uplink.4095", "4095 is not a VLAN"]),
        (json!({"master": "lo"}), 999, &["lo cannot have ipvlan links", "Ethernet"]),
        (json!({"master": "port"}), 999, &["port cannot have ipvlan links", "a bridge"]),
        (json!({"master": "taken"}), 999, &["taken cannot have ipvlan links", "links of another kind"]),
        (json!({"mode": "L2"}), 7, &["mode", "\"L2\" is none of l2, l3, l3s"]),
        (json!({"ipvlanFlag": "passthru"}), 7, &["ipvlanFlag", "bridge, private, vepa"]),
        (json!({"ipam": null}), 7, &["net", "ipam"]),
    ];
    let before = host.snapshot();
    for (keys, code, words) in cases {
        if reference_differs("other keys and words, one code for everything, and it leaves its link behind") {
            break;
        }
        let mut with_ipam = json!({"ipam": subnets(1)});
        with_ipam.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
        let error = network("net", &host, &with_ipam).add(&c1, "eth0").error();
        assert_eq!(error.code, code, "{keys}: {error:?}");
        let text = format!("{} {}", error.msg, error.details);
        assert!(words.iter().all(|word| text.contains(word)), "{keys}: {text}");
    }
    host.snapshot().assert_nothing_since(&before);
}
