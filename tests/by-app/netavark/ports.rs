//! What of a container is published, and where.

use std::net::UdpSocket;
use std::time::Duration;

use serde_json::{Value, json};
use tests::{Host, Inside as _, bin_dir, netavark};

use super::{container, other, web};

/// The host's addresses that others reach it at.
const OUTSIDE: [&str; 2] = ["192.0.2.1", "[2001:db8::1]"];

/// What `podman run -p` says of a port.
fn mapping(host_ip: &str, host: u16, container: u16, range: u16, protocol: &str) -> Value {
    json!({
        "host_ip": host_ip, "host_port": host, "container_port": container, "range": range, "protocol": protocol,
    })
}

/// [`web`]'s first address.
fn call<'h>(host: &'h Host, container: &tests::Container) -> netavark::Netavark<'h> {
    host.netavark(container).on(&web(), "eth0", &["10.1.0.9", "fd00:1::9"])
}

#[test]
fn a_port_is_reached_from_everywhere() {
    let host = netavark::host();
    let outside = host.neighbour();
    let (c1, c2) = (container(&host, "c1"), container(&host, "c2"));
    let published = call(&host, &c1).port("tcp", 8080, 80).port("udp", 5353, 53);
    let peer = host.netavark(&c2).on(&web(), "eth0", &["10.1.0.10", "fd00:1::a"]);
    host.assert_leaves_nothing(|| {
        published.setup().ok();
        peer.setup().ok();
        let (tcp, udp) = (c1.listen_tcp(80), c1.listen_udp(53));
        for address in OUTSIDE {
            for place in [&outside as &dyn Reaches, &host, &c2] {
                place.tcp(&format!("{address}:8080"));
                place.udp(&format!("{address}:5353"));
            }
        }
        host.assert_reaches_tcp("127.0.0.1:8080");
        host.assert_reaches_udp("127.0.0.1:5353");
        let seen = outside.assert_reaches_tcp("192.0.2.1:8080");
        assert_eq!(seen.ip().to_string(), "192.0.2.2", "the client's own address is seen");
        outside.assert_blocked_tcp("192.0.2.1:80");
        drop((tcp, udp));
        published.teardown().ok();
        outside.assert_blocked_tcp("192.0.2.1:8080");
        peer.teardown().ok();
    });
}

/// Hosts and containers.
trait Reaches {
    fn tcp(&self, to: &str);
    fn udp(&self, to: &str);
}

impl<T: tests::Inside> Reaches for T {
    fn tcp(&self, to: &str) {
        self.assert_reaches_tcp(to);
    }

    fn udp(&self, to: &str) {
        self.assert_reaches_udp(to);
    }
}

#[test]
fn a_container_reaches_itself_as_others_reach_it() {
    let host = netavark::host();
    let _outside = host.neighbour();
    let c1 = container(&host, "c1");
    call(&host, &c1).port("tcp", 8080, 80).port("udp", 5353, 53).setup().ok();
    let (_tcp, _udp) = (c1.listen_tcp(80), c1.listen_udp(53));
    for address in OUTSIDE {
        c1.assert_reaches_tcp(&format!("{address}:8080"));
        c1.assert_reaches_udp(&format!("{address}:5353"));
    }
}

#[test]
fn a_range_is_published_port_by_port() {
    let host = netavark::host();
    let outside = host.neighbour();
    let c1 = container(&host, "c1");
    let call = call(&host, &c1).mapping(&mapping("", 9000, 7000, 3, "tcp"));
    host.assert_leaves_nothing(|| {
        call.setup().ok();
        let servers = [7000, 7001, 7002, 7003].map(|port| c1.listen_tcp(port));
        for address in OUTSIDE {
            for port in 9000..9003 {
                outside.assert_reaches_tcp(&format!("{address}:{port}"));
            }
            outside.assert_blocked_tcp(&format!("{address}:9003"));
        }
        drop(servers);
        call.teardown().ok();
    });
}

/// Which of the host's addresses lead to the container.
fn open(host: &Host, outside: &Host, container: &tests::Container, host_ip: &str) -> Vec<&'static str> {
    let call = call(host, container).mapping(&mapping(host_ip, 8080, 80, 1, "tcp"));
    host.assert_leaves_nothing(|| {
        call.setup().ok();
        let server = container.listen_tcp(80);
        let addresses = ["192.0.2.1", "192.0.2.77", "[2001:db8::1]", "[2001:db8::77]"];
        let mut open: Vec<_> = addresses.to_vec();
        open.retain(|address| outside.connect_tcp(&format!("{address}:8080")).is_ok());
        open.extend(["127.0.0.1"].iter().filter(|address| host.connect_tcp(&format!("{address}:8080")).is_ok()));
        drop(server);
        call.teardown().ok();
        open
    })
}

#[test]
fn a_port_may_be_open_on_some_of_the_host_s_addresses_only() {
    let host = netavark::host();
    let outside = host.neighbour();
    host.shell("ip addr add 192.0.2.77/24 dev uplink; ip addr add 2001:db8::77/64 dev uplink nodad");
    let c1 = container(&host, "c1");
    for (host_ip, expected) in [
        ("", &["192.0.2.1", "192.0.2.77", "[2001:db8::1]", "[2001:db8::77]", "127.0.0.1"][..]),
        ("0.0.0.0", &["192.0.2.1", "192.0.2.77", "127.0.0.1"]),
        ("::", &["[2001:db8::1]", "[2001:db8::77]"]),
        ("192.0.2.77", &["192.0.2.77"]),
        ("2001:db8::77", &["[2001:db8::77]"]),
        ("127.0.0.1", &["127.0.0.1"]),
    ] {
        assert_eq!(open(&host, &outside, &c1, host_ip), expected, "host_ip {host_ip:?}");
    }
}

#[test]
fn one_mapping_may_have_several_protocols() {
    let host = netavark::host();
    let outside = host.neighbour();
    let c1 = container(&host, "c1");
    let call = call(&host, &c1).mapping(&mapping("", 8080, 80, 1, "tcp,udp"));
    host.assert_leaves_nothing(|| {
        call.setup().ok();
        let servers = (c1.listen_tcp(80), c1.listen_udp(80));
        for address in OUTSIDE {
            outside.assert_reaches_tcp(&format!("{address}:8080"));
            outside.assert_reaches_udp(&format!("{address}:8080"));
        }
        drop(servers);
        call.teardown().ok();
    });
}

/// Podman gives all ports of a container to each call.
#[test]
fn ports_belong_to_the_container_and_outlive_one_of_its_networks() {
    let host = netavark::host();
    let outside = host.neighbour();
    let c1 = container(&host, "c1");
    let both = call(&host, &c1).on(&other(), "eth1", &["10.2.0.9", "fd00:2::9"]).port("tcp", 8080, 80);
    let first = call(&host, &c1).port("tcp", 8080, 80);
    let second = host.netavark(&c1).on(&other(), "eth1", &["10.2.0.9", "fd00:2::9"]).port("tcp", 8080, 80);
    host.assert_leaves_nothing(|| {
        both.setup().ok();
        let server = c1.listen_tcp(80);
        let served = || OUTSIDE.map(|address| outside.assert_reaches_tcp(&format!("{address}:8080")));
        served();
        first.teardown().ok();
        served();
        first.setup().ok();
        second.teardown().ok();
        served();
        drop(server);
        first.teardown().ok();
        outside.assert_blocked_tcp("192.0.2.1:8080");
    });
}

/// The error's command is the plugin's: this program takes no calls of CNI.
#[test]
fn a_port_can_be_freed_as_the_error_says() {
    let host = netavark::host();
    let (c1, c2) = (container(&host, "c1"), container(&host, "c2"));
    call(&host, &c1).port("tcp", 8080, 80).setup().ok();
    let second = host.netavark(&c2).on(&web(), "eth0", &["10.1.0.3", "fd00:1::3"]).port("tcp", 8080, 80);
    let error = second.setup().error();
    let (_, remedy) = error.split_once("free its ports with: ").expect("a remedy");
    host.shell(&format!("mkdir /opt/cni/bin; ln -s {}/portmap /opt/cni/bin; {remedy}", bin_dir().display()));
    second.setup().ok();
}

/// The kernel sends packets of a conversation where it sent the first one.
#[test]
fn a_conversation_over_udp_goes_on_with_the_next_container_of_that_port() {
    let host = netavark::host();
    let outside = host.neighbour();
    let (c1, c2) = (container(&host, "c1"), container(&host, "c2"));
    let first = call(&host, &c1).port("udp", 5353, 53);
    let second = host.netavark(&c2).on(&web(), "eth0", &["10.1.0.10", "fd00:1::a"]).port("udp", 5353, 53);
    let client = outside.namespaces().enter_network_only(|| UdpSocket::bind("192.0.2.2:4000")).unwrap();
    client.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let ask = || {
        client.send_to(b"who am I", "192.0.2.1:5353").unwrap();
        tests::receive(&client, &mut [0; 64]).is_ok()
    };
    first.setup().ok();
    let server = c1.listen_udp(53);
    assert!((0..20).any(|_| ask()), "the first container answers");
    first.teardown().ok();
    drop(server);
    second.setup().ok();
    let _server = c2.listen_udp(53);
    assert!((0..20).any(|_| ask()), "the second container answers");
}
