//! Routing tables of their own for groups of links; the plugin `vrf`.
//!
//! - `netavark`: bridges of Podman 5's networks in a VRF of the host

mod netavark;

use serde_json::{Value, json};
use tests::{Chain, Cni, Container, Host, Inside as _, every_plugin_rules, example, reference_differs, wire};

const REFERENCE: &str = "/usr/lib/cni/vrf";

#[test]
fn the_kernel_has_it() {
    Host::new().shell("ip link add name v0 type vrf table 5");
}

fn network<'h>(host: &'h Host, name: &str, keys: &Value) -> Chain<'h> {
    let mut conflist = example("vrf");
    conflist["name"] = json!(name);
    conflist["plugins"][0]["bridge"] = json!(name);
    for (key, value) in keys.as_object().unwrap() {
        conflist["plugins"][1][key] = value.clone();
    }
    host.chain(&conflist)
}

fn call<'h>(host: &'h Host, binary: &str, verb: &str, container: &Container, result: &Value) -> Cni<'h> {
    let mut result = result.clone();
    result["cniVersion"] = json!("1.0.0");
    let config = json!({"type": "vrf", "name": "vrf", "cniVersion": "1.0.0", "vrfname": "blue", "prevResult": result});
    host.cni(binary).command(verb).container(container).ifname("eth0").config(&config)
}

/// The VRF's table, and what is in it besides what the kernel makes for every link.
fn table_and_routes(container: &Container, vrf: &str) -> (u64, Vec<String>) {
    let link = container.ip_json(["-d", "link", "show", "dev", vrf]);
    let table = link[0]["linkinfo"]["info_data"]["table"].as_u64().unwrap();
    let mut found = Vec::new();
    for family in ["-4", "-6"] {
        let routes = container.ip_json([family, "route", "show", "vrf", vrf, "type", "unicast"]);
        let destinations = routes.as_array().unwrap().iter().map(|route| route["dst"].as_str().unwrap().to_owned());
        found
            .extend(destinations.filter(|to| !to.starts_with("fe80") && !to.starts_with("ff00") && *to != "multicast"));
    }
    found.sort();
    (table, found)
}

fn vrfs(container: &Container) -> usize {
    container
        .ip_json(["link", "show", "type", "vrf"])
        .as_array()
        .unwrap()
        .iter()
        .filter(|l| l["ifname"].is_string())
        .count()
}

#[test]
fn the_rules_of_every_plugin_hold() {
    let host = Host::new();
    every_plugin_rules(&host.chain(&example("vrf")), &host.container("c1"), "eth0");
}

#[test]
fn an_interface_is_routed_by_its_vrfs_table() {
    let (host, outside) = wire();
    outside.shell("ip route add 10.210.33.0/24 via 192.0.2.1; ip route add fd00:210:33::/64 via 2001:db8::1");
    let container = host.container("c1");
    let network = host.chain(&example("vrf"));
    network.add(&container, "eth0").ok();
    let all = ["10.210.33.0/24", "default", "default", "fd00:210:33::/64"].map(str::to_owned);
    assert_eq!(table_and_routes(&container, "blue"), (1, all.to_vec()));
    assert_eq!(container.ip_json(["route"]), json!([]), "the main table is empty");
    container.shell("ping -c 1 -W 5 -I blue 192.0.2.2; ping -c 1 -W 5 -I blue 2001:db8::2");
    assert!(!container.try_run(["ping", "-c", "1", "-W", "1", "192.0.2.2"]).status.success());
    if !reference_differs("its bridge looks for routes in the main table only") {
        network.check(&container, "eth0").ok();
    }
}

#[test]
fn two_networks_with_the_same_subnet_live_in_one_container() {
    let host = Host::new();
    let (container, peer) = (host.container("c1"), host.container("c2"));
    let (blue, red) = (network(&host, "one", &json!({})), network(&host, "two", &json!({"vrfname": "red"})));
    blue.add(&container, "eth0").ok();
    red.add(&container, "eth1").ok();
    red.add(&peer, "eth0").ok();
    let tables = [table_and_routes(&container, "blue").0, table_and_routes(&container, "red").0];
    assert_eq!(tables, [1, 2]);
    container.shell("ping -c 1 -W 5 -I red 10.210.33.3");
    assert!(!container.try_run(["ping", "-c", "1", "-W", "1", "-I", "blue", "10.210.33.3"]).status.success());
}

#[test]
fn a_vrf_goes_with_its_last_interface_and_what_it_had_returns() {
    let host = Host::new();
    let container = host.container("c1");
    let previous = network(&host, "one", &json!({}));
    let chain = example("vrf");
    let alone = host.chain(&json!({"name": "vrf", "plugins": [chain["plugins"][0]]}));
    let results = [alone.add(&container, "eth0").ok(), previous.add(&container, "eth1").ok()];
    let before = host.snapshot();
    call(&host, "vrf", "ADD", &container, &results[0]).run().ok();
    call(&host, "vrf", "DEL", &container, &results[0]).run().ok();
    assert_eq!(vrfs(&container), 1, "eth1 is still in it");
    host.snapshot().assert_nothing_since(&before);
    previous.del(&container, "eth1").ok();
    assert_eq!(vrfs(&container), 0);
}

#[test]
fn what_a_killed_add_has_changed_del_takes_back() {
    let host = Host::new();
    let container = host.container("c1");
    let chain = example("vrf");
    let result = host.chain(&json!({"name": "vrf", "plugins": [chain["plugins"][0]]})).add(&container, "eth0").ok();
    let before = host.snapshot();
    for nth in 1..=12 {
        let inject = format!("inject=sendto:signal=KILL:when={nth}");
        let killed = call(&host, "vrf", "ADD", &container, &result);
        let _ = killed.run_under(&["strace", "-f", "-qqq", "-o", "/dev/null", "-e", "trace=sendto", "-e", &inject]);
        call(&host, "vrf", "DEL", &container, &result).run().ok();
        host.snapshot().assert_nothing_since(&before);
    }
}

#[test]
fn what_one_suite_put_into_a_vrf_the_other_checks_and_takes_out() {
    let host = Host::new();
    let container = host.container("c1");
    let chain = example("vrf");
    let result = host.chain(&json!({"name": "vrf", "plugins": [chain["plugins"][0]]})).add(&container, "eth0").ok();
    for (one, other) in [("vrf", REFERENCE), (REFERENCE, "vrf")] {
        call(&host, one, "ADD", &container, &result).run().ok();
        call(&host, other, "CHECK", &container, &result).run().ok();
        call(&host, other, "DEL", &container, &result).run().ok();
        assert_eq!(vrfs(&container), 0, "{other} after {one}");
    }
}

#[test]
fn check_names_what_differs() {
    let host = Host::new();
    let container = host.container("c1");
    let result = host.chain(&example("vrf")).add(&container, "eth0").ok();
    let check = || call(&host, "vrf", "CHECK", &container, &result).run();
    check().ok();
    container.shell("ip link set blue down");
    assert!(reference_differs("it does not look") || check().error().msg.contains("expected up, found down"));
    container.shell("ip link set blue up; ip link set eth0 nomaster");
    let error = check().error();
    assert!(reference_differs("it says it otherwise") || error.msg.contains("expected blue, found none"), "{error:?}");
}

#[test]
fn what_cannot_be_is_said_and_changes_nothing() {
    let host = Host::new();
    let (container, other) = (host.container("c1"), host.container("c2"));
    other.shell("ip link add blue type veth peer name x; ip link add named type vrf table 77");
    host.assert_leaves_nothing(|| {
        for (container, keys, says) in [
            (&container, json!({"vrfname": null}), "vrfname"),
            (&other, json!({}), "not a VRF"),
            (&other, json!({"vrfname": "named", "table": 78}), "table 77"),
        ] {
            let network = network(&host, "n", &keys);
            let error = network.add(container, "eth0").error();
            assert_eq!(error.code, 7, "{error:?}");
            assert!(error.msg.contains(says), "{error:?}");
            let mut bridge_alone = example("vrf");
            bridge_alone["name"] = json!("n");
            bridge_alone["plugins"].as_array_mut().unwrap().pop();
            host.chain(&bridge_alone).del(container, "eth0").ok();
        }
        host.shell("ip link del dev n");
    });
}

#[test]
fn status_succeeds_where_the_kernel_has_it() {
    let mut conflist = example("vrf");
    conflist["cniVersion"] = json!("1.1.0");
    Host::new().chain(&conflist).status().ok();
}

/// The kernel makes the VRF, and the plugin does not hear of it.
#[test]
fn an_add_whose_answer_is_lost_leaves_no_vrf() {
    let host = Host::new();
    let c1 = host.container("c1");
    let add = network(&host, "net", &json!({})).add_all_but_last(&c1, "eth0");
    let vrfs = || c1.run(["ip", "-o", "link", "show", "type", "vrf"]);
    let lost = (1..50).find(|nth| {
        let inject = format!("inject=recvfrom:error=ENOBUFS:when={nth}");
        let outcome = add.run_under(&["strace", "-qqq", "-o", "/dev/null", "-e", "trace=recvfrom", "-e", &inject]);
        let is_ok = outcome.is_ok();
        assert_eq!(vrfs().is_empty(), !is_ok, "answer {nth}: {}", outcome.finished);
        is_ok
    });
    assert!(lost.is_some_and(|nth| nth > 3), "{lost:?}");
}
