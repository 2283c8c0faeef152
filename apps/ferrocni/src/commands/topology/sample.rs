//! Hosts to draw in tests.

use super::graph::{Attached, Container, Graph, Link, Machine, Network, Subnet};
use crate::attachments::PortMapping;

pub(super) fn link(name: &str, kind: &str, addresses: &[&str]) -> Link {
    let addresses = addresses.iter().map(ToString::to_string).collect();
    Link { name: name.to_owned(), kind: kind.to_owned(), up: true, mtu: 1500, addresses, ..Link::default() }
}

pub(super) fn network(name: &str, driver: &str, interface: &str, subnets: &[&str]) -> Network {
    let subnets = subnets.iter().map(|subnet| Subnet { subnet: subnet.to_string(), gateway: None });
    Network {
        name: name.to_owned(),
        id: format!("id of {name}"),
        driver: driver.to_owned(),
        interface: Some(interface.to_owned()).filter(|interface| !interface.is_empty()),
        subnets: subnets.collect(),
        file: Some(format!("/etc/cni/net.d/{name}.conflist")),
        ..Network::default()
    }
}

pub(super) fn port(host_port: u16, container_port: u16) -> PortMapping {
    PortMapping { host_port, container_port, protocol: "tcp".to_owned(), host_ip: String::new(), ingress: false }
}

/// A container with an interface on each of these networks.
pub(super) fn container(name: &str, on: &[(&str, &[&str])], ports: &[PortMapping]) -> Container {
    let attachments = on.iter().enumerate().map(|(number, (network, addresses))| Attached {
        network: network.to_string(),
        interface: format!("eth{number}"),
        mac: Some("02:00:00:00:00:01".to_owned()),
        addresses: addresses.iter().map(ToString::to_string).collect(),
        aliases: Vec::new(),
        host_interface: None,
        recorded: true,
    });
    Container {
        id: format!("id of {name}"),
        name: name.to_owned(),
        runtime: None,
        ports: ports.to_vec(),
        attachments: attachments.collect(),
    }
}

/// Two bridges, a VLAN, a container on two networks, and a network that nobody has used yet.
pub(super) fn small() -> Graph {
    let eth0 = Link { default_route: true, ..link("eth0", "", &["192.0.2.10/24", "2001:db8::10/64"]) };
    let vlan = Link { vlan: Some(20), parent: Some("eth0".to_owned()), ..link("eth0.20", "vlan", &[]) };
    let eth1 = Link { master: Some("br1".to_owned()), up: false, ..link("eth1", "", &[]) };
    let back = Network { internal: true, ..network("back", "bridge", "br1", &["10.1.0.0/24", "fd00:1::/64"]) };
    let mut web = container(
        "web",
        &[("front", &["10.0.0.3/24"]), ("back", &["10.1.0.3/24", "fd00:1::3/64"])],
        &[port(8080, 80), port(8443, 443)],
    );
    web.runtime = Some("podman");
    web.attachments[1].aliases = ["shop", "www"].map(str::to_owned).to_vec();
    Graph {
        host: Machine {
            name: "node1".to_owned(),
            links: vec![eth0, eth1, link("br0", "bridge", &["10.0.0.1/24"]), link("br1", "bridge", &[]), vlan],
        },
        networks: vec![
            back,
            network("front", "bridge", "br0", &["10.0.0.0/24"]),
            network("lan", "macvlan", "eth0.20", &["10.2.0.0/24"]),
            network("new", "bridge", "br9", &["10.9.0.0/24"]),
        ],
        containers: vec![
            container("db", &[("back", &["10.1.0.2/24", "fd00:1::2/64"])], &[]),
            container("printer", &[("lan", &["10.2.0.7/24"])], &[]),
            web,
        ],
        dead: 2,
    }
}

/// Names that would do something to a terminal, to Mermaid or in a page.
pub(super) fn hostile() -> Graph {
    const NAME: &str = "a\u{1b}[31m\"]; end <b>&amp;`x`\n\u{202e}#quot;%%\u{0}";
    let mut graph = small();
    graph.host.name = NAME.to_owned();
    graph.host.links[1].name = NAME.to_owned();
    graph.host.links[1].kind = NAME.to_owned();
    graph.networks[0].driver = NAME.to_owned();
    graph.containers[0].name = NAME.to_owned();
    graph.containers[0].ports = vec![PortMapping { protocol: NAME.to_owned(), host_ip: NAME.to_owned(), ..port(1, 2) }];
    graph.containers[2].name = NAME.to_owned();
    graph
}
