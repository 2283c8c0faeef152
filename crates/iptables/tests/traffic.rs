//! Packets, on a host whose FORWARD chain drops.

mod support;

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use ipnetwork::IpNetwork;
use iptables::Protocol;
use iptables::firewall::{self, Firewall};
use iptables::masquerade::{self, Masquerade};
use iptables::portmap::{self, Mapping, Masquerading, PortMap};
use iptables::{Family, Variant, forward_drops};
use support::{Container, run, tables, with_each_variant};

/// Connects from inside `from`, and says as whom the other side saw it.
fn connect(from: &Container, to: &'static str, listener: &TcpListener) -> Option<SocketAddr> {
    let to: SocketAddr = to.parse().expect("an address");
    let connected = from.enter(move || TcpStream::connect_timeout(&to, Duration::from_millis(500)).ok());
    let connection = connected.join().expect("the thread ends well")?;
    let (_, peer) = listener.accept().expect("the connection is there");
    drop(connection);
    Some(peer)
}

fn publish(variant: Variant, addresses: &[IpNetwork]) {
    let mappings = [Mapping { protocol: Protocol::Tcp, host_address: None, host_port: 8080, container_port: 80 }];
    let ports = PortMap {
        network: "net",
        container: "c1",
        address: addresses[0],
        mappings: &mappings,
        masquerading: Masquerading::Bit(13),
        masquerade_all: false,
        conditions: &[],
    };
    portmap::add(&ports, variant).expect("publishes");
    let masquerade = Masquerade { network: "net", container: "c1", addresses };
    masquerade::add(&masquerade, variant).expect("masquerades");
}

#[test]
fn a_host_that_drops_what_it_forwards_still_serves_published_ports() {
    with_each_variant(|variant| {
        let (container, client) = (Container::new(), Container::new());
        container.join("veth0", "10.1.2.1/24", "10.1.2.3/24", "10.1.2.1");
        client.join("veth1", "192.0.2.1/24", "192.0.2.2/24", "192.0.2.1");
        run("sysctl", &["-q", "-w", "net.ipv4.ip_forward=1"]);
        tables(variant, "iptables", &["-P", "FORWARD", "DROP"]);
        assert_eq!(forward_drops(Family::V4).expect("the kernel answers"), [variant]);

        let listen = |at: &'static str| move || TcpListener::bind(at).expect("a free port");
        let server = container.enter(listen("10.1.2.3:80")).join().expect("listens");
        let outside = client.enter(listen("192.0.2.2:80")).join().expect("listens");
        let addresses = ["10.1.2.3/24".parse().expect("a network")];
        publish(variant, &addresses);
        assert_eq!(connect(&client, "192.0.2.1:8080", &server), None, "the host drops");
        assert_eq!(connect(&container, "192.0.2.2:80", &outside), None, "the host drops");

        let admin = firewall::default_admin_chain();
        let mut through = Firewall { addresses: &addresses, admin, published: false, isolation: None };
        firewall::add(&through, variant).expect("lets through");
        let seen = connect(&container, "192.0.2.2:80", &outside).expect("the container may connect");
        assert_eq!(seen.ip().to_string(), "192.0.2.1", "masqueraded");
        assert_eq!(connect(&client, "192.0.2.1:8080", &server), None, "nobody may connect to it");

        through.published = true;
        firewall::add(&through, variant).expect("lets through");
        let seen = connect(&client, "192.0.2.1:8080", &server).expect("but for the published port");
        assert_eq!(seen.ip().to_string(), "192.0.2.2", "the client's own address");
        assert_eq!(connect(&client, "10.1.2.3:80", &server), None, "which is the only way in");
    });
}
