//! sbr: what a container sends from an address leaves through that address's interface.

use serde_json::{Value, json};
use tests::{Chain, Cni, Container, Host, Inside as _, every_plugin_rules, example, reference_differs, wire};

const REFERENCE: &str = "/usr/lib/cni/sbr";

/// Bridge `br<number>` with 10.`number`.0.0/24 and fd00:`number`::/64 as in the other tests, but seen from outside as it is.
fn network(host: &Host, number: u8, sbr: Option<Value>) -> Chain<'_> {
    let subnets = json!([[{"subnet": format!("10.{number}.0.0/24")}], [{"subnet": format!("fd00:{number}::/64")}]]);
    let mut plugins = vec![json!({
        "type": "bridge", "bridge": format!("br{number}"), "isDefaultGateway": true,
        "ipam": {"type": "host-local", "ranges": subnets}
    })];
    plugins.extend(sbr);
    host.chain(&json!({"name": format!("net{number}"), "plugins": plugins}))
}

fn sbr(keys: &Value) -> Option<Value> {
    let mut plugin = keys.clone();
    plugin["type"] = json!("sbr");
    Some(plugin)
}

/// The tables that rules lead to, by the address that something comes from.
fn rules(container: &Container, family: &str) -> Vec<(String, u32)> {
    let listed = container.ip_json([family, "rule", "show"]);
    let rule = |rule: &Value| Some((rule["src"].as_str()?.to_owned(), rule["table"].as_str()?.parse().ok()?));
    listed.as_array().unwrap().iter().filter_map(rule).collect()
}

/// Destinations and gateways of a table's routes through eth1.
fn routes(container: &Container, family: &str, table: &str) -> Vec<String> {
    let listed = container.ip_json([family, "route", "show", "table", "all", "type", "unicast", "dev", "eth1"]);
    let is_in_table = |route: &&Value| route["table"].as_str().unwrap_or("main") == table;
    let describe = |route: &Value| match route["gateway"].as_str() {
        Some(gateway) => format!("{} via {gateway}", route["dst"].as_str().unwrap()),
        None => route["dst"].as_str().unwrap().to_owned(),
    };
    listed.as_array().unwrap().iter().filter(is_in_table).map(describe).collect()
}

fn call<'h>(host: &'h Host, binary: &str, verb: &str, container: &Container, result: &Value) -> Cni<'h> {
    let config = json!({"type": "sbr", "name": "net2", "cniVersion": "1.0.0", "prevResult": result});
    host.cni(binary).command(verb).container(container).ifname("eth1").config(&config)
}

/// A container on two networks; the second is the one under test.
fn on_two_networks<'h>(host: &'h Host, keys: &Value) -> (Container, Chain<'h>, Value) {
    let container = host.container("c1");
    network(host, 1, None).add(&container, "eth0").ok();
    let second = network(host, 2, sbr(keys));
    let result = second.add(&container, "eth1").ok();
    (container, second, result)
}

#[test]
fn the_rules_of_every_plugin_hold() {
    let host = Host::new();
    every_plugin_rules(&network(&host, 2, sbr(&json!({}))), &host.container("c1"), "eth0");
}

/// The first network's bridge takes nothing that comes from the second network's addresses, as a router would not.
#[test]
fn who_is_asked_on_one_interface_answers_through_it() {
    let (host, outside) = wire();
    outside.shell("ip route add 10.210.31.0/24 via 192.0.2.1; ip route add fd00:210:31::/64 via 2001:db8::1");
    host.shell(
        "nft add table inet guard
         nft add chain inet guard forward '{ type filter hook forward priority 0; }'
         nft add rule inet guard forward iifname br1 ip saddr 10.210.31.0/24 drop
         nft add rule inet guard forward iifname br1 ip6 saddr fd00:210:31::/64 drop",
    );
    let (plain, routed) = (host.container("plain"), host.container("routed"));
    let first = network(&host, 1, None);
    for container in [&plain, &routed] {
        first.add(container, "eth0").ok();
    }
    let with_sbr = example("sbr");
    let mut without_sbr = with_sbr.clone();
    without_sbr["plugins"].as_array_mut().unwrap().pop();
    host.chain(&without_sbr).add(&plain, "eth1").ok();
    // Which of two default routes is taken is left to chance, so only the first network's stays.
    plain.shell("ip route del default via 10.210.31.1; ip -6 route del default via fd00:210:31::1");
    host.chain(&with_sbr).add(&routed, "eth1").ok();
    let _servers = (plain.listen_tcp(80), routed.listen_tcp(80));
    outside.assert_blocked_tcp("10.210.31.2:80");
    outside.assert_blocked_tcp("[fd00:210:31::2]:80");
    outside.assert_reaches_tcp("10.210.31.3:80");
    outside.assert_reaches_tcp("[fd00:210:31::3]:80");
}

/// IPv6's commonest router is fe80::1, and an address of the length /32 or /128 has no gateway in its subnet at all. The first
/// network's bridge takes nothing that comes from the second one's addresses, and the other way round.
#[test]
fn gateways_outside_of_the_subnet_are_the_interface_s_own() {
    let (host, outside) = wire();
    outside.shell(
        "for net in 10.1.0.0/24 10.3.0.5/32; do ip route add $net via 192.0.2.1; done
         for net in fd00:1::/64 2001:db8:3::/64; do ip route add $net via 2001:db8::1; done",
    );
    host.shell(
        "ip link add br3 type bridge; ip link set br3 up
         ip addr add 169.254.1.1/32 dev br3; ip addr add fe80::1/64 dev br3 nodad
         ip route add 10.3.0.5 dev br3; ip route add 2001:db8:3::/64 dev br3
         nft add table inet guard
         nft add chain inet guard forward '{ type filter hook forward priority 0; }'
         nft add rule inet guard forward iifname br1 ip saddr 10.3.0.5 drop
         nft add rule inet guard forward iifname br1 ip6 saddr 2001:db8:3::/64 drop
         nft add rule inet guard forward iifname br3 ip saddr 10.1.0.0/24 drop
         nft add rule inet guard forward iifname br3 ip6 saddr fd00:1::/64 drop",
    );
    let container = host.container("c1");
    network(&host, 1, None).add(&container, "eth0").ok();
    let ipam = json!({
        "type": "static", "addresses": [{"address": "10.3.0.5/32"}, {"address": "2001:db8:3::5/64"}],
        "routes": [{"dst": "0.0.0.0/0", "gw": "169.254.1.1"}, {"dst": "::/0", "gw": "fe80::1"}],
    });
    let bridge = json!({"type": "bridge", "bridge": "br3", "ipam": ipam});
    let second = host.chain(&json!({"name": "net3", "plugins": [bridge, sbr(&json!({}))]}));
    second.add(&container, "eth1").ok();
    let _server = container.listen_tcp(80);
    for address in ["10.1.0.2", "[fd00:1::2]", "10.3.0.5", "[2001:db8:3::5]"] {
        outside.assert_reaches_tcp(&format!("{address}:80"));
    }
    second.check(&container, "eth1").ok();
    second.del(&container, "eth1").ok();
}

#[test]
fn what_a_killed_add_has_changed_del_takes_back() {
    let host = Host::new();
    let container = host.container("c1");
    let result = network(&host, 2, None).add(&container, "eth1").ok();
    let before = host.snapshot();
    let killed = call(&host, "sbr", "ADD", &container, &result).killed_at_every_change(|point| {
        eprintln!("{point}");
        call(&host, "sbr", "DEL", &container, &result).run().ok();
        host.snapshot().assert_nothing_since(&before);
    });
    assert!(killed > 3, "{killed}");
}

#[test]
fn each_address_has_a_table_with_the_routes_that_were_its_own() {
    let host = Host::new();
    let (container, network, _) = on_two_networks(&host, &json!({}));
    let (four, six) = (rules(&container, "-4"), rules(&container, "-6"));
    assert_eq!(four, [("10.2.0.2".to_owned(), 100)]);
    assert_eq!((six[0].0.as_str(), six.len()), ("fd00:2::2", 1));
    assert_eq!(routes(&container, "-4", "100"), ["default via 10.2.0.1", "10.2.0.0/24"]);
    assert!(routes(&container, "-4", "main").is_empty());
    if !reference_differs("its release of 2022 moves link-local routes too") {
        assert_eq!(six[0].1, 101);
        let mut routes_of_six = routes(&container, "-6", "101");
        routes_of_six.sort();
        assert_eq!(routes_of_six, ["default via fd00:2::1", "fd00:2::/64"]);
        assert_eq!(routes(&container, "-6", "main"), ["fe80::/64"]);
    }
    let other = container.ip_json(["route", "show", "dev", "eth0"]);
    assert_eq!(other.as_array().unwrap().len(), 2, "the first interface's routes stay: {other}");
    if !reference_differs("its bridge looks for routes in the main table only") {
        network.check(&container, "eth1").ok();
    }
}

/// The default route of the first network is in the main table as the second one's was, and stays when that returns.
#[test]
fn another_networks_default_route_outlives_del() {
    let host = Host::new();
    let container = host.container("c1");
    network(&host, 1, None).add(&container, "eth0").ok();
    let result = network(&host, 2, None).add(&container, "eth1").ok();
    let before = host.snapshot();
    let defaults = |family: &str| container.shell(&format!("ip {family} route show default")).lines().count();
    assert!(defaults("-4") == 2 && defaults("-6") > 1);
    call(&host, "sbr", "ADD", &container, &result).run().ok();
    assert_eq!((defaults("-4"), defaults("-6")), (1, 1));
    call(&host, "sbr", "DEL", &container, &result).run().ok();
    host.snapshot().assert_nothing_since(&before);
    assert!(!call(&host, "sbr", "ADD", &container, &result).run_unheard().is_ok());
    host.snapshot().assert_nothing_since(&before);
}

#[test]
fn a_named_table_is_somebody_elses() {
    let host = Host::new();
    let (container, network, _) = on_two_networks(&host, &json!({"table": 4711}));
    assert_eq!(rules(&container, "-4"), [("10.2.0.2".to_owned(), 4711)]);
    assert!(routes(&container, "-4", "4711").is_empty());
    assert_eq!(routes(&container, "-4", "main").len(), 2);
    network.check(&container, "eth1").ok();
    // Of somebody else, for the same address.
    container.shell("ip rule add from 10.2.0.2 table 12");
    network.del(&container, "eth1").ok();
    assert_eq!(rules(&container, "-4"), [("10.2.0.2".to_owned(), 12)]);
}

#[test]
fn configured_gateways_win() {
    let host = Host::new();
    let (container, ..) = on_two_networks(&host, &json!({"gateways": ["10.2.0.254", "fd00:2::254"]}));
    for (family, table, default) in [("-4", "100", "default via 10.2.0.254"), ("-6", "101", "default via fd00:2::254")]
    {
        let routes = routes(&container, family, table);
        let defaults: Vec<_> = routes.iter().filter(|route| route.starts_with("default")).collect();
        assert_eq!(defaults, [default]);
    }
}

#[test]
fn source_hints_leave_the_subnets_routes_where_they_are() {
    let host = Host::new();
    let (container, ..) = on_two_networks(&host, &json!({"addSourceHints": true}));
    let main = container.ip_json(["route", "show", "dev", "eth1"]);
    assert_eq!((&main[0]["dst"], &main[0]["prefsrc"]), (&json!("10.2.0.0/24"), &json!("10.2.0.2")));
    assert_eq!(main.as_array().unwrap().len(), 1, "the default route has left: {main}");
    assert!(routes(&container, "-6", "main").contains(&"fd00:2::/64".to_owned()));
}

/// Of all tables, one a line; which program made them does not matter.
fn all_routes(container: &Container) -> Vec<String> {
    let lines = ["-4", "-6"].map(|family| {
        container
            .run(["ip", family, "route", "show", "table", "all"])
            .replace(" proto kernel", "")
            .replace(" proto static", "")
    });
    let mut lines: Vec<String> =
        lines.iter().flat_map(|text| text.lines()).map(|line| line.trim().to_owned()).collect();
    lines.sort();
    lines
}

/// The container stays, and so do the routes that it had before.
#[test]
fn del_takes_source_hints_back() {
    let host = Host::new();
    let container = host.container("c1");
    let result = network(&host, 1, None).add(&container, "eth0").ok();
    let before = all_routes(&container);
    let config = json!({"name": "net1", "type": "sbr", "addSourceHints": true, "prevResult": result});
    let call = |verb| host.cni("sbr").command(verb).container(&container).config(&config).run();
    call("ADD").ok();
    assert_ne!(all_routes(&container), before);
    call("DEL").ok();
    assert_eq!(all_routes(&container), before);
}

#[test]
fn interfaces_that_come_at_once_get_tables_of_their_own() {
    let host = Host::new();
    let container = host.container("c1");
    let networks: Vec<_> = (1..=8).map(|number| network(&host, number, sbr(&json!({})))).collect();
    std::thread::scope(|scope| {
        for (number, network) in networks.iter().enumerate() {
            let container = &container;
            scope.spawn(move || network.add(container, &format!("eth{number}")).ok());
        }
    });
    let mut tables: Vec<_> = ["-4", "-6"].iter().flat_map(|family| rules(&container, family)).collect();
    tables.sort_by_key(|(_, table)| *table);
    let distinct = tables.iter().map(|(_, table)| table).collect::<std::collections::BTreeSet<_>>().len();
    assert_eq!((tables.len(), distinct), (16, 16), "{tables:?}");
}

#[test]
fn check_names_the_rule_or_the_route_that_is_missing() {
    let host = Host::new();
    let (container, _, result) = on_two_networks(&host, &json!({}));
    let check = || call(&host, "sbr", "CHECK", &container, &result).run();
    check().ok();
    container.shell("ip route del default table 100");
    let error = check().error();
    assert!(error.msg.contains("table 100, for what is sent from 10.2.0.2"), "{error:?}");
    assert!(error.msg.contains("default route via 10.2.0.1"), "{error:?}");
    container.shell("ip route add default via 10.2.0.1 dev eth1 table 100");
    check().ok();
    container.shell("ip rule del from 10.2.0.2");
    let error = check().error();
    assert!(error.msg.contains("10.2.0.2") && error.msg.contains("found none"), "{error:?}");
}

#[test]
fn del_takes_the_rules_with_or_without_the_result() {
    let host = Host::new();
    let (container, ..) = on_two_networks(&host, &json!({}));
    let config = json!({"type": "sbr", "name": "net2"});
    let del = || host.cni("sbr").command("DEL").container(&container).ifname("eth1").config(&config);
    del().run().ok();
    assert!(rules(&container, "-4").is_empty() && rules(&container, "-6").is_empty());
    del().run().ok();
    container.shell("ip link del eth1");
    assert!(del().run().is_ok() || reference_differs("its release of 2022 wants the interface"));
}

/// Runtimes give the paths of containers that are gone to the next ones, and IPAM plugins their addresses.
#[test]
fn del_leaves_the_container_alone_that_has_the_path_by_now() {
    let host = Host::new();
    let (container, _, result) = on_two_networks(&host, &json!({}));
    let gone = host.container_at("gone", &container.netns);
    let state = || (rules(&container, "-4"), rules(&container, "-6"), routes(&container, "-4", "main"));
    let before = state();
    call(&host, "sbr", "DEL", &gone, &result).run().ok();
    assert_eq!(state(), before);
}

#[test]
fn a_namespace_that_is_gone_is_no_obstacle_and_is_not_made_anew() {
    let host = Host::new();
    let (container, network, _) = on_two_networks(&host, &json!({}));
    let container = host.lose(container);
    network.del(&container, "eth1").ok();
    assert!(host.read(&container.netns).is_err(), "nothing is there");
}

#[test]
fn what_one_suite_routes_the_other_checks_and_deletes() {
    let host = Host::new();
    let container = host.container("c1");
    let mut previous = network(&host, 2, None).add(&container, "eth1").ok();
    previous["cniVersion"] = json!("1.0.0");
    let call = |binary: &str, verb: &str| call(&host, binary, verb, &container, &previous).run();
    for (one, other) in [("sbr", REFERENCE), (REFERENCE, "sbr")] {
        call(one, "ADD").ok();
        call("sbr", "CHECK").ok();
        call(other, "DEL").ok();
        assert!(rules(&container, "-4").is_empty() && rules(&container, "-6").is_empty(), "{other} after {one}");
        container.shell("for f in 4 6; do for t in 100 101; do ip -$f route flush table $t 2>&1 || true; done; done");
        container.shell("ip route replace 10.2.0.0/24 dev eth1; ip route replace default via 10.2.0.1");
        container.shell("ip -6 route replace fd00:2::/64 dev eth1; ip -6 route replace default via fd00:2::1 dev eth1");
    }
}

#[test]
fn it_needs_a_previous_plugin_that_gives_addresses() {
    let host = Host::new();
    let container = host.container("c1");
    let alone = host.chain(&json!({"name": "n", "plugins": [{"type": "sbr"}]})).add(&container, "eth0").error();
    assert!(reference_differs("it says 999 of everything") || alone.code == 7, "{alone:?}");
    if reference_differs("it takes an interface without addresses") {
        return;
    }
    let without = json!({"name": "n", "plugins": [{"type": "bridge", "bridge": "br0"}, {"type": "sbr"}]});
    let error = host.chain(&without).add(&container, "eth0").error();
    assert_eq!(error.code, 7);
    assert!(error.msg.contains("eth0") && error.msg.contains("ipam"), "{error:?}");
}
