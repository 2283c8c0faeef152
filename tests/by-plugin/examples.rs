//! The example configurations in `conf/`: what the README promises of them.

use serde_json::{Value, json};
use tests::{
    Background, Container, EXAMPLES, Host, Inside as _, address, assert_examples_are_tested, dhcp, every_plugin_rules,
    every_rule_but_blind_del, example, examples_of, reference_differs, wire,
};

const THIS: &str = env!("CARGO_CRATE_NAME");

/// A container that has the host's network namespace.
fn sharing(host: &Host) -> Container {
    host.container_at("sharing", "/proc/1/ns/net".as_ref())
}

/// A host with a default route, to the other one.
fn on_a_wire() -> (Host, Host) {
    let (host, outside) = wire();
    host.shell("ip route add default via 192.0.2.2");
    (host, outside)
}

fn port(result: &Value, index: usize, port: u16) -> String {
    format!("{}:{port}", address(result, index))
}

#[test]
fn every_example_is_tested() {
    assert_examples_are_tested(THIS);
}

/// Podman 4 and others of its time take no result of 1.1.0: an example is of that version only if it says something that 1.0.0 does
/// not know.
#[test]
fn an_example_is_of_the_oldest_version_that_has_what_it_says() {
    const SINCE_1_1_0: [&str; 8] =
        ["cniVersions", "disableGC", "loadOnlyInlinedPlugins", "advmss", "priority", "scope", "socketPath", "pciID"];
    for (name, _) in EXAMPLES {
        let example = example(name);
        let text = example.to_string();
        let is_new = SINCE_1_1_0.iter().any(|key| text.contains(&format!("\"{key}\":")));
        assert_eq!(example["cniVersion"], if is_new { "1.1.0" } else { "1.0.0" }, "conf/{name}.conflist");
    }
}

#[test]
fn every_example_keeps_the_rules_of_every_plugin() {
    for (name, _) in examples_of(THIS) {
        if name == "isolated" && reference_differs("its firewall never removes a network's isolation") {
            continue;
        }
        eprintln!("conf/{name}.conflist");
        let (host, outside) = on_a_wire();
        let container = if name == "host" { sharing(&host) } else { host.container("c1") };
        if name == "host-device" {
            plug_in_ens5(&host);
            if !reference_differs("its second DEL fails") {
                every_rule_but_blind_del(&host.chain(&example(name)), &container, "eth0");
            }
            continue;
        }
        let ifname = if name == "loopback" { "lo" } else { "eth0" };
        let _dhcp = (name == "dhcp").then(|| serve_addresses(&host, &outside));
        every_plugin_rules(&host.chain(&example(name)), &container, ifname);
    }
}

#[test]
fn bridge_connects_containers_with_each_other_the_host_and_the_world() {
    let (host, outside) = wire();
    let (web, peer) = (host.container("web"), host.container("peer"));
    let network = host.chain(&example("bridge"));
    let result = network.add(&web, "eth0").ok();
    network.add(&peer, "eth0").ok();
    let (_server, _elsewhere) = (web.listen_tcp(80), outside.listen_tcp(80));
    peer.assert_reaches_tcp(&port(&result, 0, 80));
    host.assert_reaches_tcp(&port(&result, 0, 80));
    assert_eq!(web.assert_reaches_tcp("192.0.2.2:80").ip().to_string(), "192.0.2.1");
}

/// The neighbour gives addresses, and the host has a daemon that keeps them.
fn serve_addresses(host: &Host, outside: &Host) -> [Background; 2] {
    let range = "--dhcp-range=192.0.2.100,192.0.2.150,255.255.255.0,1h";
    let server = dhcp::start_server_on(outside, "uplink", &[range]);
    dhcp::wait_for_server(outside);
    [server, dhcp::daemon(host, &[])]
}

#[test]
fn dhcp_puts_containers_on_the_network_whose_server_gives_addresses() {
    let (host, outside) = on_a_wire();
    outside.shell("ip addr add 203.0.113.7/32 dev lo");
    let _dhcp = serve_addresses(&host, &outside);
    let (web, peer) = (host.container("web"), host.container("peer"));
    // As a kubelet says it.
    let result = host.chain(&example("dhcp")).args("IgnoreUnknown=1;K8S_POD_NAME=web").add(&web, "eth0").ok();
    assert!(address(&result, 0).starts_with("192.0.2.1"), "{result}");
    assert!(dhcp::leases(&outside)[0].contains(&format!("{} web ", address(&result, 0))));
    host.chain(&example("dhcp")).add(&peer, "eth0").ok();
    let (_server, _elsewhere) = (web.listen_tcp(80), outside.listen_tcp(80));
    peer.assert_reaches_tcp(&port(&result, 0, 80));
    outside.assert_reaches_tcp(&port(&result, 0, 80));
    for elsewhere in ["192.0.2.2:80", "203.0.113.7:80"] {
        assert_eq!(web.assert_reaches_tcp(elsewhere).ip().to_string(), address(&result, 0));
    }
}

#[test]
fn dual_stack_does_so_over_both_families() {
    let (host, outside) = wire();
    let (web, peer) = (host.container("web"), host.container("peer"));
    let network = host.chain(&example("dual-stack"));
    let result = network.add(&web, "eth0").ok();
    network.add(&peer, "eth0").ok();
    let (_server, _elsewhere) = (web.listen_tcp(80), outside.listen_tcp(80));
    for index in [0, 1] {
        peer.assert_reaches_tcp(&port(&result, index, 80));
        host.assert_reaches_tcp(&port(&result, index, 80));
    }
    assert_eq!(web.assert_reaches_tcp("192.0.2.2:80").ip().to_string(), "192.0.2.1");
    assert_eq!(web.assert_reaches_tcp("[2001:db8::2]:80").ip().to_string(), "2001:db8::1");
}

/// The device that the example is about, on a wire to a gateway in the host itself.
fn plug_in_ens5(host: &Host) {
    host.shell("ip link add ens5 type veth peer name lan; ip addr add 10.210.5.1/24 dev lan; ip link set lan up");
}

#[test]
fn host_device_moves_a_device_into_the_container_and_back() {
    let host = Host::new();
    plug_in_ens5(&host);
    let storage = host.container("storage");
    let network = host.chain(&example("host-device"));
    let result = network.add(&storage, "eth0").ok();
    assert!(address(&result, 0).starts_with("10.210.5.1"), "{result}");
    assert!(!host.links().contains(&"ens5".to_owned()));
    let (_server, _gateway) = (storage.listen_tcp(80), host.listen_tcp(80));
    storage.assert_reaches_tcp("10.210.5.1:80");
    host.assert_reaches_tcp(&port(&result, 0, 80));
    network.del(&storage, "eth0").ok();
    assert!(host.links().contains(&"ens5".to_owned()));
}

#[test]
fn internal_has_no_way_out() {
    let (host, outside) = wire();
    let (web, peer) = (host.container("web"), host.container("peer"));
    let network = host.chain(&example("internal"));
    let result = network.add(&web, "eth0").ok();
    network.add(&peer, "eth0").ok();
    let (_server, _elsewhere) = (web.listen_tcp(80), outside.listen_tcp(80));
    for (index, outside_of_it) in [(0, "192.0.2.2:80"), (1, "[2001:db8::2]:80")] {
        peer.assert_reaches_tcp(&port(&result, index, 80));
        host.assert_blocked_tcp(&port(&result, index, 80));
        host.assert_reaches_tcp(outside_of_it);
        web.assert_blocked_tcp(outside_of_it);
    }
}

#[test]
fn isolated_networks_are_out_of_reach_for_each_other() {
    let host = Host::new();
    let (web, peer, stranger) = (host.container("web"), host.container("peer"), host.container("stranger"));
    let network = host.chain(&example("isolated"));
    let result = network.add(&web, "eth0").ok();
    network.add(&peer, "eth0").ok();
    let mut another = example("isolated");
    another["name"] = json!("another");
    another["plugins"][0]["bridge"] = json!("another");
    another["plugins"][0]["ipam"]["ranges"] = json!([[{"subnet": "10.9.0.0/24"}], [{"subnet": "fd00:9::/64"}]]);
    host.chain(&another).add(&stranger, "eth0").ok();
    let (_server, _hosts) = (web.listen_tcp(80), host.listen_tcp(8000));
    for (index, gateway) in [(0, "10.9.0.1:8000"), (1, "[fd00:9::1]:8000")] {
        peer.assert_reaches_tcp(&port(&result, index, 80));
        host.assert_reaches_tcp(&port(&result, index, 80));
        stranger.assert_reaches_tcp(gateway);
        stranger.assert_blocked_tcp(&port(&result, index, 80));
    }
}

#[test]
fn published_ports_are_served_where_they_are_published() {
    let (host, outside) = wire();
    let web = host.container("web");
    let network = host.chain(&example("published-ports"));
    network.add(&web, "eth0").ok();
    let (_web, _dns, _tls) = (web.listen_tcp(80), web.listen_udp(53), web.listen_tcp(443));
    for address in ["192.0.2.1", "[2001:db8::1]"] {
        outside.assert_reaches_tcp(&format!("{address}:8080"));
        outside.assert_reaches_udp(&format!("{address}:8053"));
        outside.assert_blocked_tcp(&format!("{address}:8443"));
        host.assert_reaches_tcp(&format!("{address}:8080"));
        web.assert_reaches_tcp(&format!("{address}:8080"));
    }
    host.assert_reaches_tcp("127.0.0.1:8080");
    host.assert_reaches_udp("127.0.0.1:8053");
    host.assert_reaches_tcp("127.0.0.1:8443");
}

#[test]
fn host_shares_the_hosts_network() {
    let (host, outside) = wire();
    let web = sharing(&host);
    let ports = json!({"portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]});
    let network = host.chain(&example("host")).capabilities(&ports);
    let result = network.add(&web, "eth0").ok();
    let _server = web.listen_tcp(80);
    outside.assert_reaches_tcp(&port(&result, 0, 80));
    outside.assert_blocked_tcp(&port(&result, 0, 8080));
}

#[test]
fn macvlan_puts_containers_on_the_network_of_the_host() {
    let (host, outside) = on_a_wire();
    outside.shell("ip addr add 203.0.113.7/32 dev lo");
    let (web, peer) = (host.container("web"), host.container("peer"));
    let network = host.chain(&example("macvlan"));
    let result = network.add(&web, "eth0").ok();
    network.add(&peer, "eth0").ok();
    assert_eq!(address(&result, 0), "192.0.2.200");
    let (_server, _elsewhere) = (web.listen_tcp(80), outside.listen_tcp(80));
    peer.assert_reaches_tcp(&port(&result, 0, 80));
    outside.assert_reaches_tcp(&port(&result, 0, 80));
    for elsewhere in ["192.0.2.2:80", "203.0.113.7:80"] {
        assert_eq!(web.assert_reaches_tcp(elsewhere).ip().to_string(), "192.0.2.200");
    }
}

#[test]
fn none_leads_nowhere() {
    let host = Host::new();
    let alone = host.container("alone");
    host.chain(&example("none")).add(&alone, "eth0").ok();
    let (_server, outside) = (alone.listen_tcp(80), host.neighbour());
    let _elsewhere = outside.listen_tcp(80);
    alone.assert_reaches_tcp("127.0.0.1:80");
    host.assert_reaches_tcp("192.0.2.2:80");
    alone.assert_blocked_tcp("192.0.2.2:80");
}

#[test]
fn static_gives_the_address_that_is_named_or_asked_for() {
    let (host, outside) = wire();
    let (web, peer) = (host.container("web"), host.container("peer"));
    host.chain(&example("static")).add(&web, "eth0").ok();
    let asked = host.chain(&example("static")).capabilities(&json!({"ips": ["10.210.6.11/24", "fd00:210:6::11/64"]}));
    asked.add(&peer, "eth0").ok();
    let (_server, _elsewhere) = (web.listen_tcp(80), outside.listen_tcp(80));
    for address in ["10.210.6.10:80", "[fd00:210:6::10]:80"] {
        host.assert_reaches_tcp(address);
        peer.assert_reaches_tcp(address);
    }
    if reference_differs("an address that is asked for has no gateway") {
        return;
    }
    for elsewhere in ["192.0.2.2:80", "[2001:db8::2]:80"] {
        peer.assert_reaches_tcp(elsewhere);
    }
}

#[test]
fn tuning_sets_sysctls_and_the_mtu_of_containers_that_are_reached_as_ever() {
    let (host, outside) = wire();
    let web = host.container("web");
    let result = host.chain(&example("tuning")).add(&web, "eth0").ok();
    assert_eq!(web.ip_json(["link", "show", "dev", "eth0"])[0]["mtu"], 1400);
    let sysctls = web.shell("cd /proc/sys/net; cat core/somaxconn ipv4/conf/eth0/arp_ignore ipv4/conf/lo/arp_ignore");
    assert_eq!(sysctls.split_whitespace().collect::<Vec<_>>(), ["500", "1", "0"]);
    let (_server, _elsewhere) = (web.listen_tcp(80), outside.listen_tcp(80));
    for (index, elsewhere) in [(0, "192.0.2.2:80"), (1, "[2001:db8::2]:80")] {
        host.assert_reaches_tcp(&port(&result, index, 80));
        web.assert_reaches_tcp(elsewhere);
    }
}

/// Every chained plugin of the list has its say, and none spoils another's CHECK.
#[test]
fn whole_chain_serves_a_port_on_a_second_network() {
    let (host, outside) = wire();
    let web = host.container("web");
    host.chain(&example("dual-stack")).add(&web, "eth0").ok();
    let ports = json!({"portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]});
    let network = host.chain(&example("whole-chain")).capabilities(&ports);
    // The reference lets the kernel look for duplicates of the bridge's address; its routes come after that.
    host.wait_for_ipv6();
    let before = host.snapshot();
    let result = network.add(&web, "eth1").ok();
    let (server, elsewhere) = (web.listen_tcp(80), outside.listen_tcp(80));
    for (index, published, out) in
        [(0, "192.0.2.1:8080", "192.0.2.2:80"), (1, "[2001:db8::1]:8080", "[2001:db8::2]:80")]
    {
        host.assert_reaches_tcp(&port(&result, index, 80));
        outside.assert_reaches_tcp(published);
        web.assert_reaches_tcp(out);
    }
    assert_eq!((web.link("eth0")["mtu"].clone(), web.link("eth1")["mtu"].clone()), (json!(1500), json!(1400)));
    let limits = host.run(["tc", "qdisc", "show"]);
    assert!(limits.contains("rate 50Mbit") && limits.contains("rate 20Mbit"), "{limits}");
    assert!(web.run(["ip", "rule"]).contains("from 10.210.9.2 lookup 100"));
    if !reference_differs("its bridge looks for routes in the main table only") {
        network.check(&web, "eth1").ok();
    }
    drop((server, elsewhere));
    network.del(&web, "eth1").ok();
    host.snapshot().assert_nothing_since(&before);
}
