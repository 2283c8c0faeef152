//! Who reaches whom.

use serde_json::{Value, json};
use tests::cluster::{Cluster, Node, eventually};
use tests::{Capture, Container, Inside as _, address, assert_examples_are_tested, example};

/// A container on each host, attached to the network, with the results.
fn attached(cluster: &Cluster, network: &str) -> Vec<(Container, Value)> {
    let attach = |node: &Node| {
        let container = node.host.container(&format!("{network}-{}", node.name));
        let result = node.try_attach(&container, network).ok();
        (container, result)
    };
    cluster.nodes.iter().map(attach).collect()
}

#[test]
fn containers_on_different_hosts_reach_each_other_and_leave_nothing() {
    let cluster = Cluster::new(3, 60);
    cluster.create(&["--ipv6", "net"]);
    for node in &cluster.nodes {
        node.attach(&node.host.container("first"), "net");
    }
    let before: Vec<_> = cluster.nodes.iter().map(|node| node.host.snapshot()).collect();
    let containers = attached(&cluster, "net");
    for (place, (server, result)) in containers.iter().enumerate() {
        let _server = (server.listen_tcp(80), server.listen_udp(80));
        for (client, own) in
            containers.iter().enumerate().filter(|(other, _)| *other != place).map(|(_, client)| client)
        {
            for family in 0..2 {
                let to = format!("{}:80", address(result, family));
                let seen = client.assert_reaches_tcp(&to);
                assert_eq!(seen.ip().to_string(), address(own, family).trim_matches(['[', ']']), "as itself");
                client.assert_reaches_udp(&to);
            }
        }
        let numbers = cluster.nodes[place].host.ferrocni(["metrics"]).ok();
        for number in ["connected 1", "hosts 3", "networks 1", "problems 0", "drift_total 0"] {
            assert!(numbers.contains(&format!("\nferrocni_overlay_{number}\n")), "{number} in {numbers}");
        }
        cluster.nodes[place].host.assert_reaches_tcp(&format!("{}:80", address(result, 0)));
    }
    for (node, (container, result)) in cluster.nodes.iter().zip(&containers) {
        let check = json!({"name": "net", "type": "overlay", "prevResult": result});
        node.host.cni("overlay").container(container).config(&check).command("CHECK").run().ok();
        node.detach(container, "net");
        node.detach(container, "net");
        node.host.run(["ip", "netns", "del", &container.id]);
    }
    drop(containers);
    for (node, before) in cluster.nodes.iter().zip(&before) {
        node.host.snapshot().assert_nothing_since(before);
    }
}

#[test]
fn networks_are_apart_and_internal_ones_have_no_way_out() {
    let cluster = Cluster::new(2, 60);
    for arguments in [&["a"][..], &["b"], &["--internal", "inside"]] {
        cluster.create(arguments);
    }
    let [a, b, inside] = ["a", "b", "inside"].map(|network| attached(&cluster, network));
    let outside = &cluster.switch;
    let _outside = outside.listen_tcp(81);
    for (server, result) in a.iter().chain(&inside) {
        let _server = server.listen_tcp(80);
        let to = format!("{}:80", address(result, 0));
        for (client, _) in &b {
            client.assert_blocked_tcp(&to);
        }
    }
    let (server, result) = &inside[0];
    let _server = server.listen_tcp(80);
    inside[1].0.assert_reaches_tcp(&format!("{}:80", address(result, 0)));
    // Masqueraded.
    assert_eq!(a[1].0.assert_reaches_tcp("192.0.2.254:81").ip().to_string(), "192.0.2.2");
    inside[1]
        .0
        .shell("ip route add default via $(ip -4 route show | sed -n 's/.* via \\([0-9.]*\\) .*/\\1/p' | head -n 1)");
    inside[1].0.assert_blocked_tcp("192.0.2.254:81");
}

#[test]
fn an_encrypted_network_is_never_a_plain_one() {
    let cluster = Cluster::new(1, 60);
    cluster.create(&["--opt", "encrypted", "net"]);
    let node = &cluster.nodes[0];
    let outcome = node.try_attach(&node.host.container("c"), "net");
    if !outcome.is_ok() {
        let error = outcome.error();
        assert!(format!("{error:?}").contains("WireGuard"), "{error:?}");
        let config = json!({"name": "net", "type": "overlay"});
        assert_eq!(node.host.cni("overlay").config(&config).command("STATUS").run().error().code, 50);
        assert_eq!(cluster.keys("nets/net/blocks/"), Vec::<String>::new(), "nothing is claimed for nothing");
    }
    assert_eq!(node.host.shell("ip -o link show type vxlan"), "");
}

#[test]
fn what_is_spoofed_goes_nowhere() {
    let cluster = Cluster::new(2, 60);
    cluster.create(&["net"]);
    let containers = attached(&cluster, "net");
    let (server, client) = (&containers[0].0, &containers[1].0);
    let to = format!("{}:80", address(&containers[0].1, 0));
    let _server = server.listen_udp(80);
    client.assert_reaches_udp(&to);
    // An address of the network that is another container's, and one of this host's own.
    client.shell("ip addr add 10.128.77.77/32 dev eth0");
    let capture = Capture::start(server, "server", "-i eth0 udp port 80");
    let (ip, _) = to.split_once(':').expect("an address and a port");
    client.shell(&format!("echo spoofed | socat - UDP:{ip}:80,bind=10.128.77.77"));
    // The same from a machine that is no host of the cluster, in a frame that VXLAN's port takes.
    let device = "ip link add forged type vxlan id 4097 remote 192.0.2.1 local 192.0.2.254 dstport 4789 dev lan";
    cluster.switch.shell(&format!("{device}; ip link set forged up; ip route add {ip} dev forged"));
    cluster
        .switch
        .shell("ip neigh replace $(ip route show dev forged | sed -n '1s/ .*//p') lladdr 02:00:00:00:00:01 dev forged");
    let mac = cluster.nodes[0].host.link("overlay4097")["address"].as_str().expect("an address").to_owned();
    cluster.switch.shell(&format!("ip neigh replace {ip} lladdr {mac} dev forged"));
    let refused = || {
        cluster.nodes[0].host.shell(
            "nft list chain inet ferrocni_overlay outer | sed -n 's/.*counter packets \\([0-9]*\\) .*drop/\\1/p'",
        )
    };
    let before = refused();
    cluster.switch.shell(&format!("echo forged | socat - UDP:{ip}:80"));
    eventually("the frame is counted", || refused() != before);
    client.assert_reaches_udp(&to);
    capture.assert_sees(&format!("> {ip}.80"));
    let frames = capture.frames();
    assert!(!frames.contains("10.128.77.77") && !frames.contains("192.0.2.254"), "{frames}");
}

#[test]
fn every_example_of_a_network_over_many_hosts_is_tested() {
    assert_examples_are_tested(env!("CARGO_CRATE_NAME"));
}

#[test]
fn the_example_joins_hosts_and_publishes_ports() {
    let cluster = Cluster::new(2, 60);
    let list = example("overlay");
    cluster.create(&[list["name"].as_str().expect("a name")]);
    let (a, b) = (&cluster.nodes[0].host, &cluster.nodes[1].host);
    let (server, client) = (a.container("server"), b.container("client"));
    let published = json!([{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]);
    let network = a.chain(&list).capabilities(&json!({"portMappings": published}));
    let result = network.add(&server, "eth0").ok();
    let elsewhere = b.chain(&list);
    let _ = elsewhere.add(&client, "eth0").ok();
    let _server = server.listen_tcp(80);
    client.assert_reaches_tcp(&format!("{}:80", address(&result, 0)));
    cluster.switch.assert_reaches_tcp("192.0.2.1:8080");
    client.assert_reaches_tcp("192.0.2.1:8080");
    network.del(&server, "eth0").ok();
    elsewhere.del(&client, "eth0").ok();
}
