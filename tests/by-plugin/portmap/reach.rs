//! From where a published port is reached, and whom the server sees.

use serde_json::json;
use tests::{Container, Host, Inside, is_reference, reference_differs, wire};

use super::{publishing, publishing_with};
use crate::networks::{bridged, portmap, ports, without_br_netfilter};

/// The address that the server sees, over TCP and over UDP.
#[track_caller]
fn seen(client: &impl Inside, host_address: &str) -> String {
    let over_tcp = client.assert_reaches_tcp(&format!("{host_address}:8080")).ip();
    let over_udp = client.assert_reaches_udp(&format!("{host_address}:8053")).ip();
    assert_eq!(over_tcp, over_udp);
    over_tcp.to_string()
}

#[track_caller]
fn assert_blocked(client: &impl Inside, host_address: &str) {
    client.assert_blocked_tcp(&format!("{host_address}:8080"));
    client.assert_blocked_udp(&format!("{host_address}:8053"));
}

/// The clients of a published port: another machine, a neighbour, and a container of another network.
struct Clients {
    outside: Host,
    neighbour: Container,
    stranger: Container,
}

const MAPPINGS: [(&str, u16, u16); 2] = [("tcp", 8080, 80), ("udp", 8053, 53)];

fn clients(host: &Host) -> Clients {
    let outside = host.neighbour();
    let (neighbour, stranger) = (host.container("neighbour"), host.container("stranger"));
    host.chain(&bridged(1, &[])).add(&neighbour, "eth0").ok();
    host.chain(&bridged(2, &[])).add(&stranger, "eth0").ok();
    Clients { outside, neighbour, stranger }
}

#[test]
fn a_port_is_reached_from_everywhere_and_masqueraded_only_where_it_must() {
    let host = Host::new();
    let Clients { outside, neighbour, stranger } = clients(&host);
    let web = host.container("web");
    publishing(&host, 1, &MAPPINGS).add(&web, "eth0").ok();
    let _servers = (web.listen_tcp(80), web.listen_udp(53));
    for (published, from_outside, bridge) in
        [("192.0.2.1", "192.0.2.2", "10.1.0.1"), ("[2001:db8::1]", "2001:db8::2", "fd00:1::1")]
    {
        let itself = published.trim_matches(['[', ']']);
        assert_eq!(seen(&outside, published), from_outside, "an address from outside is kept");
        assert_eq!(seen(&host, published), itself, "so is the host's own");
        assert_eq!(seen(&web, published), bridge, "the container itself");
        assert_eq!(seen(&neighbour, published), bridge, "a neighbour's answer would take the short way");
        // Because its own network masquerades.
        assert_eq!(seen(&stranger, published), bridge, "a container of another network");
    }
    for own in ["10.1.0.1", "[fd00:1::1]"] {
        assert_eq!(seen(&host, own), own.trim_matches(['[', ']']));
        seen(&neighbour, own);
        seen(&stranger, own);
    }
}

/// Only where bridged packets pass iptables does a port of the bridge send back what came from it.
#[test]
fn without_br_netfilter_a_container_reaches_itself_without_hairpin_mode() {
    let host = Host::new();
    without_br_netfilter(&host);
    let web = host.container("web");
    let mut network = bridged(1, &[portmap(&json!({}))]);
    network["plugins"][0]["hairpinMode"] = json!(false);
    host.chain(&network).capabilities(&ports(&MAPPINGS)).add(&web, "eth0").ok();
    let _servers = (web.listen_tcp(80), web.listen_udp(53));
    for own in ["10.1.0.1", "[fd00:1::1]"] {
        assert_eq!(seen(&web, own), own.trim_matches(['[', ']']));
    }
}

#[test]
fn masq_all_masquerades_everybody() {
    let (host, outside) = wire();
    let web = host.container("web");
    let network = publishing_with(&host, 1, &json!({"masqAll": true}), &ports(&MAPPINGS)["portMappings"]);
    host.assert_leaves_nothing(|| {
        network.add(&web, "eth0").ok();
        let _servers = (web.listen_tcp(80), web.listen_udp(53));
        assert_eq!(seen(&outside, "192.0.2.1"), "10.1.0.1");
        assert_eq!(seen(&outside, "[2001:db8::1]"), "fd00:1::1");
        assert_eq!(seen(&host, "127.0.0.1"), "10.1.0.1");
        assert_eq!(seen(&web, "192.0.2.1"), "10.1.0.1");
        network.del(&web, "eth0").ok();
    });
}

#[test]
fn without_snat_nobody_is_masqueraded() {
    let (host, outside) = wire();
    let web = host.container("web");
    let network = publishing_with(&host, 1, &json!({"snat": false}), &ports(&MAPPINGS)["portMappings"]);
    host.assert_leaves_nothing(|| {
        network.add(&web, "eth0").ok();
        let _servers = (web.listen_tcp(80), web.listen_udp(53));
        assert_eq!(seen(&outside, "192.0.2.1"), "192.0.2.2");
        assert_eq!(seen(&outside, "[2001:db8::1]"), "2001:db8::2");
        assert_blocked(&host, "127.0.0.1");
        assert_blocked(&host, "[::1]");
        assert_blocked(&web, "192.0.2.1");
        assert_eq!(host.read("/proc/sys/net/ipv4/conf/br1/route_localnet").unwrap(), "0\n");
        network.del(&web, "eth0").ok();
    });
}

/// Each mapping with its own port; who should be reached by it, and who not.
#[test]
fn a_host_address_is_respected_by_every_path() {
    let host = Host::new();
    without_br_netfilter(&host);
    let outside = host.neighbour();
    host.shell("ip addr add 192.0.2.11/24 dev uplink; ip addr add 2001:db8::11/64 dev uplink nodad");
    let web = host.container("web");
    let all = ["192.0.2.1", "192.0.2.11", "[2001:db8::1]", "[2001:db8::11]"];
    let cases: [(u16, &str, &[&str]); 8] = [
        (8001, "", &all),
        (8002, "0.0.0.0", &all[..2]),
        (8003, "::", &all[2..]),
        (8004, "192.0.2.1", &all[..1]),
        (8005, "192.0.2.11", &all[1..2]),
        (8006, "2001:db8::11", &all[3..]),
        (8007, "127.0.0.1", &[]),
        (8008, "::1", &[]),
    ];
    let mapping = |protocol: &str, port: u16, address: &str| json!({"hostPort": port, "containerPort": 80, "protocol": protocol, "hostIP": address});
    let mappings: Vec<_> = cases
        .iter()
        .flat_map(|(port, address, _)| ["tcp", "UDP"].map(|protocol| mapping(protocol, *port, address)))
        .collect();
    publishing_with(&host, 1, &json!({}), &json!(mappings)).add(&web, "eth0").ok();
    let _servers = (web.listen_tcp(80), web.listen_udp(80));
    for (port, host_ip, reached) in cases {
        for address in all {
            let to = format!("{address}:{port}");
            eprintln!("published on {host_ip:?}: {to}");
            if reached.contains(&address) {
                outside.assert_reaches_tcp(&to);
                outside.assert_reaches_udp(&to);
                host.assert_reaches_tcp(&to);
                web.assert_reaches_udp(&to);
            } else {
                outside.assert_blocked_tcp(&to);
                host.assert_blocked_tcp(&to);
                host.assert_blocked_udp(&to);
                web.assert_blocked_tcp(&to);
            }
        }
        let expected = matches!(host_ip, "" | "0.0.0.0" | "127.0.0.1");
        assert_eq!(host.connect_tcp(&format!("127.0.0.1:{port}")).is_ok(), expected, "{host_ip:?} on 127.0.0.1");
        let expected = matches!(host_ip, "" | "::" | "::1") && !is_reference();
        assert_eq!(host.connect_tcp(&format!("[::1]:{port}")).is_ok(), expected, "{host_ip:?} on ::1");
    }
}

#[test]
fn a_range_of_ports_is_published_one_to_one() {
    let (host, outside) = wire();
    let web = host.container("web");
    let mappings: Vec<_> = (30_000..30_100).map(|port| ("tcp", port, port)).collect();
    let network = publishing(&host, 1, &mappings);
    host.assert_leaves_nothing(|| {
        network.add(&web, "eth0").ok();
        if !reference_differs("its CHECK fails with any port mapping") {
            network.check(&web, "eth0").ok();
        }
        for port in [30_000, 30_050, 30_099] {
            let _server = web.listen_tcp(port);
            outside.assert_reaches_tcp(&format!("192.0.2.1:{port}"));
            outside.assert_reaches_tcp(&format!("[2001:db8::1]:{port}"));
        }
        network.del(&web, "eth0").ok();
    });
}

#[test]
fn a_mapping_named_twice_is_there_once() {
    let host = Host::new();
    let web = host.container("web");
    let network = publishing(&host, 1, &[("tcp", 8080, 80), ("TCP", 8080, 80), ("tcp", 8081, 80)]);
    host.assert_leaves_nothing(|| {
        network.add(&web, "eth0").ok();
        let _server = web.listen_tcp(80);
        host.assert_reaches_tcp("127.0.0.1:8080");
        host.assert_reaches_tcp("127.0.0.1:8081");
        network.del(&web, "eth0").ok();
    });
}

#[test]
fn without_mappings_nothing_happens() {
    let host = Host::new();
    let web = host.container("web");
    let network = publishing_with(&host, 1, &json!({}), &json!([]));
    let last = network.add_all_but_last(&web, "eth0");
    let before = host.run(["nft", "list", "ruleset"]);
    last.run().ok();
    assert_eq!(host.run(["nft", "list", "ruleset"]), before);
    network.check(&web, "eth0").ok();
    network.del(&web, "eth0").ok();
}

/// Linux without SCTP still translates it. So the packet is made by hand, and seen with tcpdump.
#[test]
fn sctp_arrives_under_the_container_s_port() {
    let (host, outside) = wire();
    let web = host.container("web");
    let network = publishing(&host, 1, &[("sctp", 8132, 132)]);
    host.assert_leaves_nothing(|| {
        network.add(&web, "eth0").ok();
        outside.write("/run/init", sctp_init(8132));
        for (kind, address, expected) in
            [("IP4", "192.0.2.1", "10.1.0.2.132: sctp"), ("IP6", "[2001:db8::1]", "fd00:1::2.132: sctp")]
        {
            let wire = web.spawn(["tcpdump", "-i", "eth0", "--immediate-mode", "-U", "-c1", "-w", "/run/seen", "sctp"]);
            let send = format!("socat -u FILE:/run/init {kind}-SENDTO:{address}:132");
            // Again until it is seen: nothing tells when tcpdump has started to look.
            outside.shell(&format!("for i in $(seq 50); do {send}; sleep 0.05; done"));
            wire.wait();
            let line = host.shell("tcpdump -n -r /run/seen 2>/dev/null");
            assert!(line.contains(expected), "{line}");
        }
        network.del(&web, "eth0").ok();
    });
}

/// An INIT from port 40000 to `port` (RFC 9260, sections 3.1 and 3.3.2).
fn sctp_init(port: u16) -> Vec<u8> {
    let mut packet = Vec::new();
    packet.extend(40_000_u16.to_be_bytes());
    packet.extend(port.to_be_bytes());
    packet.extend([0; 8]); // verification tag and checksum
    packet.extend([1, 0, 0, 20, 1, 2, 3, 4, 0, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1]);
    let checksum = crc32c(&packet).to_le_bytes();
    packet[8..12].copy_from_slice(&checksum);
    packet
}

fn crc32c(bytes: &[u8]) -> u32 {
    let bit = |crc: u32| if crc & 1 == 1 { (crc >> 1) ^ 0x82F6_3B78 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| bit(crc)))
}

/// What kube-proxy does with a service: somebody else's translation leads to a container that also publishes a port.
#[test]
fn a_connection_that_somebody_else_translated_keeps_its_source() {
    let host = Host::new();
    // Answers between two ports of one bridge are translated back only where bridged packets pass the packet filter.
    host.shell("echo 1 > /proc/sys/net/bridge/bridge-nf-call-iptables");
    let (web, neighbour) = (host.container("web"), host.container("neighbour"));
    let network = publishing(&host, 1, &MAPPINGS);
    let address = tests::address(&network.add(&web, "eth0").ok(), 0);
    let other = tests::address(&host.chain(&bridged(1, &[])).add(&neighbour, "eth0").ok(), 0);
    host.shell(&format!(
        "nft 'table ip service {{ chain prerouting {{ type nat hook prerouting priority -110; \
         ip daddr 10.96.0.1 tcp dport 80 dnat to {address}:80; }}; }}'"
    ));
    let _server = web.listen_tcp(80);
    assert_eq!(neighbour.assert_reaches_tcp("10.96.0.1:80").ip().to_string(), other);
    let masqueraded = neighbour.assert_reaches_tcp("10.1.0.1:8080").ip().to_string();
    assert_eq!(masqueraded, "10.1.0.1", "a published port's answers would not come back otherwise");
}
