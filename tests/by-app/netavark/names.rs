//! What containers find each other by, and whom else they may ask.

use serde_json::{Value, json};
use tests::{Background, Container, Host, Inside as _, netavark};

use super::{container, other, web};

/// The network with names.
fn named(mut network: Value) -> Value {
    network["dns_enabled"] = json!(true);
    network
}

/// A container on a network whose bridge is 10.N.0.1 and fd00:N::1, with that last part of its addresses, and with aliases.
fn call<'h>(
    host: &'h Host,
    container: &Container,
    (network, number): (&Value, u8),
    aliases: &[&str],
) -> netavark::Netavark<'h> {
    let subnets = network["subnets"].as_array().unwrap().iter();
    let gateways = subnets.map(|subnet| subnet["gateway"].as_str().unwrap());
    let addresses: Vec<_> = gateways.map(|gateway| format!("{}{number}", gateway.strip_suffix('1').unwrap())).collect();
    let interface = format!("eth-{}", network["name"].as_str().unwrap());
    let attachment = json!({"interface_name": interface, "static_ips": addresses, "aliases": aliases});
    host.netavark(container).on_with(network, &attachment)
}

/// The addresses that each server of a network's answer gives for a name, all of them alike.
#[track_caller]
fn ask(container: &Container, answer: &Value, name: &str) -> Vec<String> {
    let servers = answer["dns_server_ips"].as_array().unwrap();
    assert!(!servers.is_empty(), "{answer}");
    let mut answers = servers.iter().map(|server| look_up(container, server.as_str().unwrap(), name));
    let first = answers.next().unwrap();
    answers.for_each(|other| assert_eq!(other, first, "{name} at {servers:?}"));
    first
}

/// What the server says, of both families.
fn look_up(container: &Container, server: &str, name: &str) -> Vec<String> {
    let said = container.try_run(["busybox", "nslookup", name, server]).stdout;
    let answers = said.split("\n\n").skip(1).flat_map(str::lines);
    let mut found: Vec<_> =
        answers.filter_map(|line| line.strip_prefix("Address: ")).map(|address| address.trim().to_owned()).collect();
    found.sort();
    found
}

/// The address that the name server of that number gives for the one name that it knows.
fn example(number: u8) -> [String; 2] {
    [format!("2001:db8:7::{number}"), format!("203.0.113.{number}")]
}

/// A name server on another machine, at an address that ends with that number.
fn upstream(outside: &Host, number: u8) -> Background {
    let [v6, v4] = example(number);
    outside.shell(&format!(
        "ip addr show dev uplink | grep -q 192.0.2.{number}/ || ip addr add 192.0.2.{number}/24 dev uplink"
    ));
    let server = outside.spawn([
        "dnsmasq",
        "--no-daemon",
        "--no-resolv",
        "--no-hosts",
        "--user=root",
        "--pid-file=",
        "--bind-interfaces",
        &format!("--listen-address=192.0.2.{number}"),
        "--local=/#/",
        &format!("--address=/example.test/{v4}"),
        &format!("--address=/example.test/{v6}"),
    ]);
    outside.shell(&format!("until busybox nslookup example.test 192.0.2.{number} >/dev/null; do sleep 0.02; done"));
    server
}

/// Whom the host asks.
fn resolv_conf(host: &Host, server: &str) {
    host.write("/run/resolv.conf", format!("nameserver {server}\n"));
    host.run(["mount", "--bind", "/run/resolv.conf", "/etc/resolv.conf"]);
}

#[test]
fn containers_find_each_other_by_name_alias_and_id() {
    let host = netavark::host();
    let (c1, c2) = (container(&host, "one"), container(&host, "two"));
    let network = named(web());
    let id = "6e6f6f6f6e65";
    host.assert_leaves_nothing(|| {
        let first = call(&host, &c1, (&network, 9), &["www", "api", id]);
        let second = call(&host, &c2, (&network, 8), &["db"]);
        let answer = first.setup().ok()["web"].clone();
        assert_eq!(second.setup().ok()["web"]["dns_server_ips"], answer["dns_server_ips"]);
        assert_eq!(answer["dns_search_domains"], json!(["dns.podman"]));
        for name in ["one", "www", "api", id, "one.dns.podman", "WWW"] {
            assert_eq!(ask(&c2, &answer, name), ["10.1.0.9", "fd00:1::9"], "{name}");
        }
        assert_eq!(ask(&c1, &answer, "db"), ["10.1.0.8", "fd00:1::8"]);
        assert_eq!(ask(&c1, &answer, "nobody"), [""; 0]);
        second.teardown().ok();
        assert_eq!(ask(&c1, &answer, "db"), [""; 0]);
        first.teardown().ok();
    });
}

#[test]
fn a_name_that_several_have_is_all_of_them() {
    let host = netavark::host();
    let (c1, c2) = (container(&host, "one"), container(&host, "two"));
    let network = named(netavark::bridge("web", &["10.1.0.0/24"]));
    let answer = call(&host, &c1, (&network, 9), &["api"]).setup().ok()["web"].clone();
    call(&host, &c2, (&network, 8), &["api"]).setup().ok();
    assert_eq!(ask(&c1, &answer, "api"), ["10.1.0.8", "10.1.0.9"]);
}

#[test]
fn addresses_have_names_too() {
    let host = netavark::host();
    let c1 = container(&host, "one");
    let answer = call(&host, &c1, (&named(web()), 9), &[]).setup().ok()["web"].clone();
    assert_eq!(ask(&c1, &answer, "one"), ["10.1.0.9", "fd00:1::9"]);
    for server in answer["dns_server_ips"].as_array().unwrap() {
        let said = c1.run(["busybox", "nslookup", "10.1.0.9", server.as_str().unwrap()]);
        assert!(said.contains("name = one"), "{said}");
    }
}

/// A container on both is found at the address on the network where it was asked for.
#[test]
fn names_are_those_of_the_networks_one_is_on() {
    let host = netavark::host();
    let (c1, c2, c3) = (container(&host, "one"), container(&host, "two"), container(&host, "both"));
    let (web, other) = (named(web()), named(other()));
    let first = call(&host, &c1, (&web, 9), &[]).setup().ok()["web"].clone();
    let second = call(&host, &c2, (&other, 8), &[]).setup().ok()["other"].clone();
    let both = call(&host, &c3, (&web, 7), &[]);
    let both = both.on(&other, "eth-other", &["10.2.0.7", "fd00:2::7"]).setup().ok();
    assert_eq!(ask(&c1, &first, "two"), [""; 0]);
    assert_eq!(ask(&c2, &second, "one"), [""; 0]);
    assert_eq!(ask(&c1, &first, "both"), ["10.1.0.7", "fd00:1::7"]);
    assert_eq!(ask(&c2, &second, "both"), ["10.2.0.7", "fd00:2::7"]);
    assert_eq!(ask(&c3, &both["web"], "one"), ["10.1.0.9", "fd00:1::9"]);
    assert_eq!(ask(&c3, &both["other"], "two"), ["10.2.0.8", "fd00:2::8"]);
}

#[test]
fn other_names_are_asked_where_the_host_asks() {
    let host = netavark::host();
    let outside = host.neighbour();
    let _server = upstream(&outside, 2);
    resolv_conf(&host, "192.0.2.2");
    let c1 = container(&host, "one");
    let answer = call(&host, &c1, (&named(web()), 9), &[]).setup().ok()["web"].clone();
    assert_eq!(ask(&c1, &answer, "example.test"), example(2));
    assert_eq!(ask(&c1, &answer, "one"), ["10.1.0.9", "fd00:1::9"]);
}

/// `podman run --dns`.
#[test]
fn a_container_may_have_servers_of_its_own() {
    let host = netavark::host();
    let outside = host.neighbour();
    let _server = upstream(&outside, 2);
    resolv_conf(&host, "192.0.2.99");
    let (c1, c2) = (container(&host, "one"), container(&host, "two"));
    let network = named(web());
    let with_dns = call(&host, &c1, (&network, 9), &[]).with("dns_servers", &json!(["192.0.2.2"]));
    let answer = with_dns.setup().ok()["web"].clone();
    call(&host, &c2, (&network, 8), &[]).setup().ok();
    assert_eq!(ask(&c1, &answer, "example.test"), example(2));
    assert_eq!(ask(&c1, &answer, "two"), ["10.1.0.8", "fd00:1::8"]);
    assert_eq!(ask(&c2, &answer, "one"), ["10.1.0.9", "fd00:1::9"]);
}

/// `podman network create --dns`, and `podman network update`.
#[test]
fn a_network_may_have_servers_of_its_own_which_can_be_changed() {
    let host = netavark::host();
    let outside = host.neighbour();
    let _servers = [2, 3, 4].map(|number| upstream(&outside, number));
    resolv_conf(&host, "192.0.2.2");
    let c1 = container(&host, "one");
    let mut network = named(web());
    network["network_dns_servers"] = json!(["192.0.2.3"]);
    let call = call(&host, &c1, (&network, 9), &[]);
    host.assert_leaves_nothing(|| {
        let answer = call.setup().ok()["web"].clone();
        assert_eq!(ask(&c1, &answer, "example.test"), example(3));
        for (servers, number) in [("192.0.2.4", 4), ("192.0.2.3", 3)] {
            let arguments = ["update", "web", "--network-dns-servers", servers].map(AsRef::as_ref);
            netavark::run(&host, &arguments, b"").ok();
            // aardvark-dns gets a signal.
            let asked = (0..50).any(|_| ask(&c1, &answer, "example.test") == example(number));
            assert!(asked, "{servers}");
            assert_eq!(ask(&c1, &answer, "one"), ["10.1.0.9", "fd00:1::9"]);
        }
        call.teardown().ok();
    });
}

#[test]
fn a_network_s_servers_can_be_taken_away() {
    let host = netavark::host();
    let outside = host.neighbour();
    let _servers = [2, 3].map(|number| upstream(&outside, number));
    resolv_conf(&host, "192.0.2.2");
    let c1 = container(&host, "one");
    let mut network = named(web());
    network["network_dns_servers"] = json!(["192.0.2.3"]);
    let answer = call(&host, &c1, (&network, 9), &[]).setup().ok()["web"].clone();
    assert_eq!(ask(&c1, &answer, "example.test"), example(3));
    netavark::run(&host, &["update", "web", "--network-dns-servers", ""].map(AsRef::as_ref), b"").ok();
    assert!((0..50).any(|_| ask(&c1, &answer, "example.test") == example(2)), "the host's server is asked");
}

#[test]
fn an_internal_network_has_names_but_asks_nobody() {
    let host = netavark::host();
    let outside = host.neighbour();
    let _server = upstream(&outside, 2);
    resolv_conf(&host, "192.0.2.2");
    let (c1, c2) = (container(&host, "one"), container(&host, "two"));
    let mut network = named(web());
    network["internal"] = json!(true);
    let answer = call(&host, &c1, (&network, 9), &[]).setup().ok()["web"].clone();
    call(&host, &c2, (&network, 8), &[]).setup().ok();
    assert_eq!(ask(&c1, &answer, "two"), ["10.1.0.8", "fd00:1::8"]);
    assert_eq!(ask(&c1, &answer, "example.test"), [""; 0]);
}

/// A program of the host may have port 53 for itself.
#[test]
fn the_host_s_port_53_may_be_somebody_else_s() {
    let host = netavark::host();
    let _busy = host.listen_udp(53);
    let _busy_too = host.listen_tcp(53);
    let (c1, c2) = (container(&host, "one"), container(&host, "two"));
    let network = named(web());
    let answer = call(&host, &c1, (&network, 9), &[]).setup().ok()["web"].clone();
    call(&host, &c2, (&network, 8), &[]).setup().ok();
    assert_eq!(ask(&c1, &answer, "two"), ["10.1.0.8", "fd00:1::8"]);
}

#[test]
fn strange_aliases_are_left_out() {
    let host = netavark::host();
    let c1 = container(&host, "one");
    let aliases = ["good", "with space", "with,comma", "new\nline", "", "10.1.0.1"];
    let answer = call(&host, &c1, (&named(web()), 9), &aliases).setup().ok()["web"].clone();
    for name in ["one", "good"] {
        assert_eq!(ask(&c1, &answer, name), ["10.1.0.9", "fd00:1::9"], "{name}");
    }
}
