//! Which networks reach which (`podman network create -o isolate=...`).

use serde_json::json;
use tests::{Container, Host, Inside as _, netavark};

use super::container;

/// A container on a network of that number with that isolation, which serves port 80, published as 8000 and its number.
struct Member<'h> {
    call: netavark::Netavark<'h>,
    container: Container,
    number: u16,
}

impl<'h> Member<'h> {
    fn new(host: &'h Host, container: Container, isolate: &str) -> Self {
        let number = container.id[1..].parse().unwrap();
        let subnets = [format!("10.{number}.0.0/24"), format!("fd00:{number}::/64")];
        let network = netavark::bridge(&format!("net{number}"), &[&subnets[0], &subnets[1]]);
        let network = netavark::with_options(network, &json!({"isolate": isolate}));
        let addresses = [format!("10.{number}.0.9"), format!("fd00:{number}::9")];
        let call = host.netavark(&container).on(&network, "eth0", &[&addresses[0], &addresses[1]]);
        let call = call.port("tcp", 8000 + number, 80);
        call.setup().ok();
        Self { call, container, number }
    }

    /// Whether it reaches the other one's own addresses; of both families alike.
    fn reaches(&self, other: &Self) -> bool {
        let number = other.number;
        let [v4, v6] = [format!("10.{number}.0.9:80"), format!("[fd00:{number}::9]:80")]
            .map(|address| self.container.connect_tcp(&address).is_ok());
        assert_eq!(v4, v6, "from {} to {number}", self.number);
        v4
    }
}

#[test]
fn isolated_networks_reach_no_isolated_one_and_strict_ones_none() {
    let host = netavark::host();
    let outside = host.neighbour();
    let kinds = ["false", "false", "true", "true", "strict", "strict"];
    let containers: Vec<_> = (1..=kinds.len()).map(|number| container(&host, &format!("c{number}"))).collect();
    host.assert_leaves_nothing(|| {
        let members = containers.into_iter().zip(kinds).map(|(container, kind)| Member::new(&host, container, kind));
        let members: Vec<_> = members.collect();
        let servers: Vec<_> = members.iter().map(|member| member.container.listen_tcp(80)).collect();
        for (from, of) in members.iter().zip(kinds) {
            let reached = members.iter().zip(kinds).filter(|(to, _)| from.number != to.number && from.reaches(to));
            let reached: Vec<_> = reached.map(|(_, kind)| kind).collect();
            let expected: &[&str] = match of {
                "false" => &["false", "true", "true"],
                "true" => &["false", "false"],
                _ => &[],
            };
            assert_eq!(reached, expected, "from {} ({of})", from.number);
            // Everybody is published, and reached through the host's address.
            let published = 8000 + from.number;
            outside.assert_reaches_tcp(&format!("192.0.2.1:{published}"));
            outside.assert_reaches_tcp(&format!("[2001:db8::1]:{published}"));
            host.assert_reaches_tcp(&format!("10.{}.0.9:80", from.number));
        }
        drop(servers);
        members.iter().for_each(|member| drop(member.call.teardown().ok()));
    });
}

/// Through the host's address, as anybody else's.
#[test]
fn a_published_port_of_an_isolated_network_is_open_to_other_networks() {
    let host = netavark::host();
    let _outside = host.neighbour();
    for kind in ["true", "strict"] {
        let [one, two] = ["c1", "c2"].map(|name| Member::new(&host, container(&host, name), kind));
        let _server = one.container.listen_tcp(80);
        assert!(!two.reaches(&one), "{kind}");
        two.container.assert_reaches_tcp("192.0.2.1:8001");
        two.container.assert_reaches_tcp("[2001:db8::1]:8001");
        [one, two].iter().for_each(|member| {
            member.call.teardown().ok();
            host.run(["ip", "netns", "del", &member.container.id]);
        });
    }
}

#[test]
fn containers_of_an_isolated_network_reach_each_other() {
    let host = netavark::host();
    for kind in ["true", "strict"] {
        let network = netavark::with_options(super::web(), &json!({"isolate": kind}));
        let (c1, c2) = (container(&host, "c1"), container(&host, "c2"));
        host.netavark(&c1).on(&network, "eth0", &["10.1.0.9", "fd00:1::9"]).setup().ok();
        host.netavark(&c2).on(&network, "eth0", &["10.1.0.10", "fd00:1::a"]).setup().ok();
        let _server = c1.listen_tcp(80);
        c2.assert_reaches_tcp("10.1.0.9:80");
        c2.assert_reaches_tcp("[fd00:1::9]:80");
        host.shell("ip netns del c1; ip netns del c2");
    }
}
