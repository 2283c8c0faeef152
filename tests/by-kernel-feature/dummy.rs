//! Links without a wire, and the plugin that makes them. (`by_plugin::dummy` has what any kernel can be asked.)

use serde_json::{Value, json};
use tests::{Chain, Cni, Container, Host, Inside as _, every_plugin_rules, example, reference_differs};

#[test]
fn the_kernel_has_it() {
    Host::new().shell("ip link add name d0 type dummy");
}

fn dual_stack() -> Value {
    json!({
        "type": "host-local", "ranges": [[{"subnet": "10.1.0.0/24"}], [{"subnet": "fd00:1::/64"}]],
        "routes": [{"dst": "10.9.0.0/16"}]
    })
}

fn config() -> Value {
    json!({"type": "dummy", "ipam": dual_stack()})
}

fn network(host: &Host) -> Chain<'_> {
    host.chain(&json!({"name": "net", "plugins": [config()]}))
}

/// One call of the plugin that is not part of a [`Chain`].
fn call<'h>(host: &'h Host, verb: &str, container: &Container, config: &Value) -> Cni<'h> {
    host.cni("dummy").command(verb).container(container).config(config)
}

#[test]
fn the_rules_of_every_plugin_hold() {
    let host = Host::new();
    every_plugin_rules(&network(&host), &host.container("c1"), "eth0");
}

#[test]
fn the_key_mtu_has_no_effect_and_that_is_said() {
    let host = Host::new();
    let c1 = host.container("c1");
    let mut config = config();
    (config["name"], config["mtu"]) = (json!("net"), json!("1400"));
    let outcome = call(&host, "ADD", &c1, &config).run();
    let said = outcome.finished.stderr.clone();
    outcome.ok();
    assert_eq!(c1.link("eth0")["mtu"], 1500);
    assert!(reference_differs("it says nothing") || said.contains("\"mtu\" has no effect"), "{said}");
}

#[test]
fn an_interface_is_up_and_has_what_the_ipam_plugin_gave() {
    let host = Host::new();
    let c1 = host.container("c1");
    let result = network(&host).add(&c1, "eth0").ok();
    let link = c1.link("eth0");
    assert_eq!(link["linkinfo"]["info_kind"], "dummy");
    assert!(link["flags"].as_array().unwrap().contains(&json!("UP")), "{link}");
    assert_eq!(c1.addresses("eth0"), ["10.1.0.2/24", "fd00:1::2/64"]);
    assert_eq!(c1.ip_json(["route", "show", "10.9.0.0/16"])[0]["gateway"], "10.1.0.1");
    assert_eq!(
        result["ips"],
        json!([
            {"address": "10.1.0.2/24", "gateway": "10.1.0.1", "interface": 0},
            {"address": "fd00:1::2/64", "gateway": "fd00:1::1", "interface": 0}
        ])
    );
    let mut interface = json!({"name": "eth0", "mac": link["address"], "mtu": 1500, "sandbox": c1.netns});
    if reference_differs("it reports no MTU, and its links say nothing") {
        interface.as_object_mut().unwrap().remove("mtu");
    } else {
        assert_eq!(link["ifalias"], "ferrocni:net/c1/eth0");
    }
    assert_eq!(result["interfaces"], json!([interface]));
    assert_eq!(host.links(), ["lo"]);
}

#[test]
fn the_example_s_address_is_served_over_another_network() {
    let host = Host::new();
    let c1 = host.container("c1");
    let subnets = json!([[{"subnet": "10.1.0.0/24"}], [{"subnet": "fd00:1::/64"}]]);
    let ipam = json!({"type": "host-local", "ranges": subnets});
    host.chain(&json!({"name": "net", "plugins": [{"type": "bridge", "isDefaultGateway": true, "ipam": ipam}]}))
        .add(&c1, "eth0")
        .ok();
    let virtual_addresses = host.chain(&example("dummy"));
    virtual_addresses.add(&c1, "vip0").ok();
    host.shell("ip route add 10.210.17.1 via 10.1.0.2; ip route add fd00:210:17::1 via fd00:1::2");
    let _server = c1.listen_tcp(80);
    for to in ["10.210.17.1:80", "[fd00:210:17::1]:80"] {
        host.assert_reaches_tcp(to);
    }
    virtual_addresses.check(&c1, "vip0").ok();
    virtual_addresses.del(&c1, "vip0").ok();
    host.assert_blocked_tcp("10.210.17.1:80");
}

#[test]
fn check_says_what_it_expected_and_what_it_found() {
    let host = Host::new();
    let c1 = host.container("c1");
    let addresses = json!([{"address": "10.1.0.2/24", "gateway": "10.1.0.1"}, {"address": "fd00:1::2/64"}]);
    let ipam = json!({"type": "static", "addresses": addresses, "routes": [{"dst": "10.9.0.0/16"}]});
    let network = host.chain(&json!({"name": "net", "plugins": [{"type": "dummy", "ipam": ipam}]}));
    for (change, words) in [
        ("ip link set eth0 down", ["state of interface eth0", "expected up", "found down"]),
        ("ip addr del 10.1.0.2/24 dev eth0", ["address of", "expected 10.1.0.2/24", "fd00:1::2/64"]),
        ("ip route del 10.9.0.0/16", ["route of", "10.9.0.0/16", "found none"]),
        ("ip link del eth0", ["eth0", "expected one of that name", "found none"]),
        (
            "ip link del eth0; ip link add eth0 address $MAC up type bridge
             ip addr add 10.1.0.2/24 dev eth0; ip addr add fd00:1::2/64 dev eth0 nodad; ip route add 10.9.0.0/16 via 10.1.0.1",
            ["kind of interface eth0", "expected dummy", "found bridge"],
        ),
    ] {
        let result = network.add(&c1, "eth0").ok();
        network.check(&c1, "eth0").ok();
        c1.shell(&format!("MAC={}; {change}", result["interfaces"][0]["mac"]));
        if !(words[0].starts_with("route") && reference_differs("it does not look at routes")) {
            let error = network.check(&c1, "eth0").error();
            let told = words.iter().all(|word| error.msg.contains(word));
            assert!(told || reference_differs("it does not say what it found"), "{change}: {error:?}");
        }
        c1.shell("ip link del eth0 2>/dev/null || true");
        network.del(&c1, "eth0").ok();
    }
}

/// The reference's interfaces have no label. An interface with another attachment's label, or of another kind, is not ours.
#[test]
fn del_takes_its_own_interface_and_the_reference_s() {
    let host = Host::new();
    let c1 = host.container("c1");
    let mut config = config();
    for (change, goes) in [
        ("ip link set eth0 alias ''", true),
        ("ip link set eth0 alias ferrocni:test/another/eth0", false),
        ("ip link del eth0; ip link add eth0 type bridge", false),
    ] {
        config["prevResult"] = call(&host, "ADD", &c1, &config).run().ok();
        c1.shell(change);
        if goes {
            call(&host, "CHECK", &c1, &config).run().ok();
        }
        call(&host, "DEL", &c1, &config).run().ok();
        let left = c1.links();
        assert!(left.contains(&"eth0".to_owned()) != goes || reference_differs("it takes what is there"), "{change}");
        c1.shell("ip link del eth0 2>/dev/null || true");
        assert_eq!(host.shell("ls /var/lib/cni/networks/test | grep -c '^1\\|^f' || true").trim(), "0", "{change}");
    }
}

#[test]
fn del_frees_the_addresses_after_the_interface_or_the_namespace_is_gone() {
    for is_lost in [false, true] {
        let host = Host::new();
        let before = host.snapshot();
        let c1 = host.container("c1");
        let network = network(&host);
        network.add(&c1, "eth0").ok();
        c1.shell("ip link del eth0");
        let c1 = if is_lost { host.lose(c1) } else { c1 };
        network.del(&c1, "eth0").ok();
        host.shell("ip netns del c1 2>/dev/null || true");
        host.snapshot().assert_nothing_since(&before);
    }
}

#[test]
fn an_add_that_fails_leaves_nothing_and_harms_nobody() {
    let host = Host::new();
    let (c1, c2) = (host.container("c1"), host.container("c2"));
    let network = network(&host);
    network.add(&c1, "eth0").ok();
    let error = host.assert_leaves_nothing(|| network.add(&c1, "eth0").error());
    assert!(error.msg.contains("run DEL first") || reference_differs("other words"), "{error:?}");
    network.check(&c1, "eth0").ok();

    c2.shell("ip link add eth0 type dummy");
    let error = host.assert_leaves_nothing(|| network.add(&c2, "eth0").error());
    assert!(error.msg.contains("eth0"), "{error:?}");

    let small = json!({"type": "dummy", "ipam": {"type": "host-local", "subnet": "10.2.0.0/30"}});
    call(&host, "ADD", &c1, &small).ifname("eth1").run().ok();
    host.assert_leaves_nothing(|| call(&host, "ADD", &c2, &small).ifname("eth1").run().error());
    assert_eq!(c2.links(), ["lo", "eth0"]);
    if !reference_differs("it has no STATUS") {
        host.cni("dummy").command("STATUS").config(&small).run().ok();
    }
}

#[test]
fn gc_frees_the_addresses_of_lost_containers() {
    let host = Host::new();
    let (stays, goes) = (host.container("stays"), host.container("goes"));
    let network = network(&host);
    network.add(&stays, "eth0").ok();
    network.add(&goes, "eth0").ok();
    let before = host.snapshot();
    let goes = host.lose(goes);
    network.gc(&[("stays", "eth0")]).ok();
    let freed = before.diff(&host.snapshot()).join("\n");
    for address in ["10.1.0.3", "fd00:1::3"] {
        assert!(freed.contains(&format!("/networks/net/{address}")), "{address} of {} is not in {freed}", goes.id);
    }
    assert!(!freed.contains("/networks/net/10.1.0.2"), "{freed}");
    network.check(&stays, "eth0").ok();
}
