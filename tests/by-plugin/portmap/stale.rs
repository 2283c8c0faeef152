//! UDP peers that do not stop sending: to the kernel that is one connection for ever, whose translation was decided by its
//! first packet.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use tests::{Container, Host, Inside, receive, wire};

use super::publishing;

/// A socket that is kept.
struct Peer {
    socket: UdpSocket,
    to: SocketAddr,
}

impl Peer {
    fn new(place: &impl Inside, to: &str) -> Self {
        let any = if to.starts_with('[') { "[::]:0" } else { "0.0.0.0:0" };
        let socket = place.namespaces().enter_network_only(|| UdpSocket::bind(any)).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        Self { socket, to: to.parse().unwrap() }
    }

    fn say(&self) {
        self.socket.send_to(b"who am I", self.to).unwrap();
    }

    /// One packet, one answer; no second try.
    fn ask(&self) -> io::Result<()> {
        self.say();
        receive(&self.socket, &mut [0; 64]).map(drop)
    }
}

/// One that answers after all: addresses are verified and neighbours found.
#[track_caller]
fn until_it_answers(peer: &Peer) {
    assert!((0..5).any(|_| peer.ask().is_ok()), "no answer from {}", peer.to);
}

fn entries(host: &Host) -> String {
    host.shell("for i in ipv4 ipv6; do conntrack -L -f $i -p udp --orig-port-dst 8053 2>/dev/null; done")
}

const PORT: [(&str, u16, u16); 1] = [("udp", 8053, 53)];

#[test]
fn a_peer_that_never_stops_reaches_the_next_container_at_once() {
    let (host, outside) = wire();
    let network = publishing(&host, 1, &PORT);
    let peers = [
        Peer::new(&outside, "192.0.2.1:8053"),
        Peer::new(&outside, "[2001:db8::1]:8053"),
        Peer::new(&host, "192.0.2.1:8053"),
        Peer::new(&host, "127.0.0.1:8053"),
    ];
    let serve = |container: &Container| {
        network.add(container, "eth0").ok();
        container.listen_udp(53)
    };
    let first = host.container("first");
    let server = serve(&first);
    peers.iter().for_each(until_it_answers);
    drop(server);
    network.del(&first, "eth0").ok();
    // Now the host itself gets the packets, and the kernel remembers that.
    let quiet = host.listen_udp(9);
    peers.iter().for_each(Peer::say);
    let second = host.container("second");
    network.add(&second, "eth0").ok();
    let _server = second.listen_udp(53);
    // The container's own address is new to the host as well.
    host.assert_reaches_udp("10.1.0.3:53");
    host.assert_reaches_udp("[fd00:1::3]:53");
    for peer in &peers {
        assert!(peer.ask().is_ok(), "{} is still answered by nobody", peer.to);
    }
    drop(quiet);
}

#[test]
fn del_forgets_the_connections_to_the_container() {
    let (host, outside) = wire();
    let network = publishing(&host, 1, &PORT);
    let web = host.container("web");
    network.add(&web, "eth0").ok();
    let _server = web.listen_udp(53);
    for to in ["192.0.2.1:8053", "[2001:db8::1]:8053"] {
        until_it_answers(&Peer::new(&outside, to));
    }
    assert_eq!(entries(&host).lines().count(), 2, "{}", entries(&host));
    network.del(&web, "eth0").ok();
    if !tests::reference_differs("it forgets on ADD only") {
        assert_eq!(entries(&host), "");
    }
}

/// The host's own DNS server, say, has its port on another address.
#[test]
fn connections_to_other_addresses_and_ports_are_left_alone() {
    let (host, outside) = wire();
    host.shell("ip addr add 192.0.2.11/24 dev uplink");
    let first = host.container("first");
    publishing(&host, 2, &[("udp", 8054, 53)]).add(&first, "eth0").ok();
    let _own = host.listen_udp(8053);
    until_it_answers(&Peer::new(&outside, "192.0.2.1:8053"));
    assert_eq!(entries(&host).lines().count(), 1);
    let web = host.container("web");
    let mapping = serde_json::json!([
        {"hostPort": 8053, "containerPort": 53, "protocol": "udp", "hostIP": "192.0.2.11"}]);
    let network = super::publishing_with(&host, 1, &serde_json::json!({}), &mapping);
    network.add(&web, "eth0").ok();
    network.del(&web, "eth0").ok();
    assert_eq!(entries(&host).lines().count(), 1);
}
