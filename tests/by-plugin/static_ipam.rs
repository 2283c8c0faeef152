//! static: addresses that are named.

use serde_json::{Value, json};
use tests::{Chain, Cni, Host, Inside as _, Outcome, every_plugin_rules, reference_differs, wire};

/// The reference's own binary, whichever is under test.
const REFERENCE: &str = "/usr/lib/cni/static";

fn network(ipam: &Value) -> Value {
    let mut ipam = ipam.clone();
    ipam["type"] = json!("static");
    json!({"cniVersion": "1.0.0", "name": "net", "type": "bridge", "ipam": ipam})
}

fn addresses() -> Value {
    json!({"addresses": [
        {"address": "10.1.0.2/24", "gateway": "10.1.0.1"}, {"address": "10.2.0.2/16"},
        {"address": "fd00:1::2/64", "gateway": "fd00:1::1"},
    ]})
}

fn call<'h>(host: &'h Host, binary: &str, verb: &str, config: &Value) -> Cni<'h> {
    host.cni(binary).command(verb).container_id("c1").netns("/run/netns/c1").ifname("eth0").config(config)
}

fn add(host: &Host, config: &Value, args: &str) -> Outcome {
    call(host, "static", "ADD", config).args(args).run()
}

/// The addresses of a reply, each with its gateway.
fn given(reply: &Value) -> Vec<String> {
    let describe =
        |ip: &Value| format!("{} {}", ip["address"].as_str().unwrap(), ip["gateway"].as_str().unwrap_or("-"));
    reply["ips"].as_array().unwrap().iter().map(describe).collect()
}

/// A container on a bridge, with these `ipam` keys.
fn bridge<'h>(host: &'h Host, ipam: &Value) -> Chain<'h> {
    let mut bridge = network(ipam);
    bridge["isGateway"] = json!(true);
    bridge["capabilities"] = json!({"ips": true});
    host.chain(&json!({"name": "net", "plugins": [bridge]}))
}

#[test]
fn the_rules_of_every_plugin_hold() {
    let host = Host::new();
    let mut ipam = addresses();
    ipam["addresses"].as_array_mut().unwrap().remove(1);
    every_plugin_rules(&bridge(&host, &ipam), &host.container("c1"), "eth0");
}

#[test]
fn an_add_reports_addresses_routes_and_name_servers() {
    let host = Host::new();
    let mut ipam = addresses();
    ipam["routes"] = json!([{"dst": "0.0.0.0/0"}, {"dst": "10.9.0.0/16", "gw": "10.2.0.1"}]);
    ipam["dns"] = json!({"nameservers": ["10.1.0.1"], "domain": "a", "search": ["a", "b"], "options": ["ndots:2"]});
    let reply = add(&host, &network(&ipam), "").ok();
    let expected = json!({
        "cniVersion": "1.0.0",
        "ips": [
            {"address": "10.1.0.2/24", "gateway": "10.1.0.1"}, {"address": "10.2.0.2/16"},
            {"address": "fd00:1::2/64", "gateway": "fd00:1::1"},
        ],
        "routes": ipam["routes"], "dns": ipam["dns"],
    });
    assert_eq!(reply, expected);
}

/// Every row is one that the reference answers in the same way.
#[test]
fn the_runtimes_wishes_count_as_with_the_reference() {
    let cases = [
        (json!({}), "", "10.1.0.2/24 10.1.0.1, 10.2.0.2/16 -, fd00:1::2/64 fd00:1::1"),
        (
            json!({}),
            "IgnoreUnknown=1;K8S_POD_NAME=p;IP=10.3.0.2/24, fd00:3::2/64;GATEWAY=10.3.0.1,fd00:3::1",
            "10.1.0.2/24 10.1.0.1, 10.2.0.2/16 -, fd00:1::2/64 fd00:1::1, 10.3.0.2/24 10.3.0.1, fd00:3::2/64 fd00:3::1",
        ),
        (json!({"args": {"cni": {"ips": ["10.7.0.2/24"]}}}), "IP=10.3.0.2/24", "10.7.0.2/24 -"),
        (
            json!({"args": {"cni": {"ips": ["10.7.0.2/24"]}}, "runtimeConfig": {"ips": ["10.8.0.2/24", "fd00:8::2/64"]}}),
            "IP=10.3.0.2/24",
            "10.8.0.2/24 -, fd00:8::2/64 -",
        ),
        (
            json!({"args": {"cni": {"ips": []}}, "runtimeConfig": {"ips": null}}),
            "",
            "10.1.0.2/24 10.1.0.1, 10.2.0.2/16 -, fd00:1::2/64 fd00:1::1",
        ),
    ];
    let host = Host::new();
    for (keys, args, expected) in cases {
        let mut config = network(&addresses());
        config.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
        for binary in ["static", REFERENCE] {
            let reply = call(&host, binary, "ADD", &config).args(args).run().ok();
            assert_eq!(given(&reply).join(", "), expected, "{binary} {keys} {args}");
        }
    }
}

/// What Go programs write that have the reference's own type: it has two fields whose names differ in case only.
#[test]
fn an_address_as_go_writes_it_is_read() {
    let host = Host::new();
    for keys in [
        r#""address": "10.1.0.2/24", "Address": {"IP": "", "Mask": null}, "Version": """#,
        r#""Address": {"IP": "", "Mask": null}, "address": "10.1.0.2/24""#,
        r#""ADDRESS": "10.1.0.2/24""#,
        r#""ADDRESS": "10.1.0.3/24", "address": "10.1.0.2/24""#,
        r#""address": "10.1.0.3/24", "ADDRESS": "10.1.0.2/24""#,
    ] {
        let ipam = format!(r#"{{"type": "static", "addresses": [{{{keys}}}]}}"#);
        let config = format!(r#"{{"cniVersion": "1.0.0", "name": "net", "type": "bridge", "ipam": {ipam}}}"#);
        let reply = call(&host, "static", "ADD", &json!({})).stdin(config).run().ok();
        assert_eq!(given(&reply), ["10.1.0.2/24 -"], "{keys}");
    }
}

#[test]
fn an_address_that_is_asked_for_keeps_the_gateway_of_its_subnet() {
    let host = Host::new();
    for (key, value) in [("args", json!({"cni": {"ips": ["10.1.0.9/24", "fd00:1::9", "10.2.9.9"]}})), {
        ("runtimeConfig", json!({"ips": ["10.1.0.9/24", "fd00:1::9", "10.2.9.9"]}))
    }] {
        let mut config = network(&addresses());
        config[key] = value;
        let reply = add(&host, &config, "GATEWAY=10.2.0.1").ok();
        assert_eq!(given(&reply), ["10.1.0.9/24 10.1.0.1", "fd00:1::9/64 fd00:1::1", "10.2.9.9/16 10.2.0.1"], "{key}");
    }
    let reply = add(&host, &network(&addresses()), "IP=10.1.0.2,10.1.0.7").ok();
    assert_eq!(given(&reply)[3..], ["10.1.0.7/24 10.1.0.1"], "{reply}");
}

#[test]
fn a_gateway_in_cni_args_is_that_of_every_subnet_it_is_in() {
    let reply = add(&Host::new(), &network(&addresses()), "GATEWAY=10.2.0.1,10.1.0.254,10.9.0.1").ok();
    assert_eq!(given(&reply), ["10.1.0.2/24 10.1.0.254", "10.2.0.2/16 10.2.0.1", "fd00:1::2/64 fd00:1::1"]);
}

#[test]
fn the_address_that_is_asked_for_is_reached_and_has_a_way_out() {
    let (host, outside) = wire();
    let web = host.container("web");
    let mut ipam = addresses();
    ipam["routes"] = json!([{"dst": "0.0.0.0/0"}, {"dst": "::/0"}]);
    let network = bridge(&host, &ipam).capabilities(&json!({"ips": ["10.1.0.77/24", "fd00:1::77/64"]}));
    network.add(&web, "eth0").ok();
    network.check(&web, "eth0").ok();
    let _server = web.listen_tcp(80);
    outside.shell("ip route add 10.1.0.0/24 via 192.0.2.1; ip route add fd00:1::/64 via 2001:db8::1");
    if reference_differs("without the gateway there is no default route") {
        return;
    }
    for address in ["10.1.0.77:80", "[fd00:1::77]:80"] {
        host.assert_reaches_tcp(address);
        outside.assert_reaches_tcp(address);
    }
}

#[test]
fn what_cannot_be_given_is_refused_with_what_to_do() {
    let host = Host::new();
    let bare = network(&json!({}));
    let asked = |ips: Value| {
        let mut config = network(&addresses());
        config["runtimeConfig"] = json!({"ips": ips});
        config
    };
    let cases = [
        (json!({"cniVersion": "1.0.0", "name": "net", "type": "bridge"}), "", 7, "add \"ipam\""),
        (network(&json!({"addresses": [{"address": "10.1.0.2"}]})), "", 7, "ipam.addresses[0].address"),
        (network(&json!({"addresses": [{"address": "10.1.0.2/24", "gateway": "fd00::1"}]})), "", 7, "another family"),
        (asked(json!(["10.9.0.2"])), "", 7, "10.9.0.2/24"),
        (asked(json!(["10.1.0.2/24", "ten"])), "", 7, "runtimeConfig.ips[1]"),
        (bare.clone(), "IP=ten", 7, "IP in CNI_ARGS"),
        (bare.clone(), "IP=10.1.0.2", 7, "CNI_ARGS (IP)"),
        (bare.clone(), "GATEWAY=10.1.0.1/24", 7, "GATEWAY in CNI_ARGS"),
        (bare, "ADDRESS=10.1.0.1/24", 4, "IgnoreUnknown"),
    ];
    for (config, args, code, words) in cases {
        let error = add(&host, &config, args).error();
        assert_eq!(error.code, code, "{config} {args}: {error:?}");
        assert!(format!("{} {}", error.msg, error.details).contains(words), "{words}: {error:?}");
    }
}

#[test]
fn old_versions_have_room_for_one_address_of_each_family() {
    let host = Host::new();
    let mut config = network(&addresses());
    config["cniVersion"] = json!("0.2.0");
    let error = add(&host, &config, "").error();
    assert!(error.msg.contains("0.2.0"), "{error:?}");
    config["ipam"]["addresses"].as_array_mut().unwrap().remove(1);
    let reply = add(&host, &config, "").ok();
    assert_eq!((&reply["ip4"]["ip"], &reply["ip6"]["gateway"]), (&json!("10.1.0.2/24"), &json!("fd00:1::1")));
}

#[test]
fn an_interface_plugin_says_that_there_is_no_address() {
    let host = Host::new();
    let c1 = host.container("c1");
    let error = bridge(&host, &json!({})).add(&c1, "eth0").error();
    assert!(error.msg.contains("no address") || reference_differs("other words"), "{error:?}");
}

#[test]
fn check_compares_addresses_and_gateways_with_what_was_reported() {
    let host = Host::new();
    let mut config = network(&addresses());
    config["prevResult"] = add(&host, &config, "").ok();
    call(&host, "static", "CHECK", &config).run().ok();
    call(&host, "static", "CHECK", &config).args("GATEWAY=10.1.0.1").run().ok();
    for (damage, words) in [
        (json!({"address": "10.1.0.3/24", "gateway": "10.1.0.1"}), "expected 10.1.0.2/24"),
        (json!({"address": "10.1.0.2/24", "gateway": "10.1.0.9"}), "expected 10.1.0.1, found 10.1.0.9"),
    ] {
        let mut damaged = config.clone();
        damaged["prevResult"]["ips"][0] = damage;
        let error = call(&host, "static", "CHECK", &damaged).run().error();
        assert!(error.msg.contains(words), "{error:?}");
    }
}

#[test]
fn del_gc_and_status_have_nothing_to_free() {
    let host = Host::new();
    let mut config = network(&addresses());
    config["cniVersion"] = json!("1.1.0");
    call(&host, "static", "DEL", &config).args("FOO=BAR").run().ok();
    call(&host, "static", "DEL", &json!({})).run().ok();
    host.cni("static").command("STATUS").config(&config).run().ok();
    let mut gc = config.clone();
    gc["cni.dev/valid-attachments"] = json!([]);
    host.cni("static").command("GC").config(&gc).run().ok();
    config["ipam"]["addresses"][0]["address"] = json!("10.1.0.2");
    assert_eq!(host.cni("static").command("STATUS").config(&config).run().error().code, 7);
}

/// What one suite attached, the other checks and deletes.
#[test]
fn both_suites_take_turns() {
    let host = Host::new();
    let c1 = host.container("c1");
    let config = network(&addresses());
    for (adds, others) in [("static", REFERENCE), (REFERENCE, "static")] {
        let mut config = config.clone();
        config["prevResult"] = call(&host, adds, "ADD", &config).container(&c1).run().ok();
        call(&host, others, "CHECK", &config).container(&c1).run().ok();
        call(&host, others, "DEL", &config).container(&c1).run().ok();
    }
}

/// An interface plugin beside it does not start it as a program.
#[test]
fn bridge_calls_it_in_process() {
    let host = Host::new();
    let c1 = host.container("c1");
    let mut config = network(&addresses());
    config["isGateway"] = json!(true);
    let trace = ["strace", "-f", "-qq", "-o", "/run/trace", "-e", "trace=execve,fork,vfork,clone,clone3"];
    host.cni("bridge").command("ADD").container(&c1).config(&config).run_under(&trace).ok();
    let trace = host.read("/run/trace").unwrap();
    assert_eq!(trace.lines().count(), 1, "{trace}");
}
