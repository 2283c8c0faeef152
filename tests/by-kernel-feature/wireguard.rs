//! WireGuard: encrypted networks over many hosts.

use serde_json::json;
use tests::cluster::{Cluster, Node, eventually};
use tests::{Capture, Container, Host, Inside as _};

/// What nobody may read outside of the containers.
const SECRET: &str = "nobody-may-read-this";

#[test]
fn the_kernel_has_it() {
    Host::new().shell("ip link add name wg0 type wireguard");
}

/// A container on each of the first two hosts, on an encrypted network, with their addresses.
fn pair(cluster: &Cluster) -> [(Container, String); 2] {
    [0, 1].map(|number| {
        let node = &cluster.nodes[number];
        let container = node.host.container("c");
        let address = node.attach(&container, "net");
        (container, address)
    })
}

/// Sends the secret, whether or not it arrives.
fn send(from: &Container, to: &str) {
    from.shell(&format!(
        "for n in 1 2 3; do echo {SECRET} | socat - UDP:{to}:9 2>/dev/null || true; done
         ping -c 1 -W 1 -p 6e6f626f6479 {to} || true"
    ));
}

/// The UDP payloads on the wire that are for another port than WireGuard's, and frames that have something of the inner packets.
fn assert_unreadable(frames: &str, addresses: &[&str]) {
    assert!(frames.contains("51871"), "nothing was sent at all:\n{frames}");
    for word in [SECRET, "nobody"].iter().chain(addresses) {
        assert!(!frames.contains(word), "{word} in:\n{frames}");
    }
}

/// The key that others know it by.
fn key_of(cluster: &Cluster, node: &Node) -> String {
    let key = format!("/ferrocni/v1/hosts/{}", node.id());
    let host = cluster.etcdctl(&["get", "--print-value-only", &key]);
    let host: serde_json::Value = serde_json::from_str(&host).unwrap();
    host["wireguard"]["publicKey"].as_str().unwrap().to_owned()
}

#[test]
fn containers_reach_each_other_and_nothing_can_be_read_on_the_way() {
    let mut cluster = Cluster::new(3, 60);
    cluster.create(&["--opt", "encrypted", "--ipv6", "net"]);
    cluster.switch.shell(
        "tcpdump --immediate-mode -Alnei lan host 192.0.2.1 and not port 2379 >/run/wire 2>&1 & echo $! >/run/wire.pid
        until grep -sq 'listening on' /run/wire; do sleep 0.1; done",
    );
    let [(a, address_of_a), (b, address_of_b)] = pair(&cluster);
    a.assert_pings(&address_of_b);
    b.assert_pings(&address_of_a);
    // The largest packet that its interface takes arrives in one piece.
    assert!(a.shell("ip link show eth0").contains("mtu 1440"));
    a.shell(&format!("ping -c 1 -W 5 -M do -s {} {address_of_b}", 1440 - 28));
    send(&a, &address_of_b);
    // Another host's address is nobody's here, and goes nowhere.
    send(&a, "10.128.200.200");
    // A key that changes: the other end learns of it, and nothing is sent in clear meanwhile.
    let before = key_of(&cluster, &cluster.nodes[1]);
    cluster.nodes[1].kill_agent();
    cluster.nodes[1].host.shell("rm /var/lib/ferrocni/wireguard.key");
    cluster.nodes[1].start_agent();
    send(&a, &address_of_b);
    eventually("there is a new key", || key_of(&cluster, &cluster.nodes[1]) != before);
    eventually("it is known", || a.try_run(["ping", "-c", "1", "-W", "1", &address_of_b]).status.success());
    // Nobody looks after it any more, and then the device is gone.
    cluster.nodes[0].kill_agent();
    a.assert_pings(&address_of_b);
    send(&a, &address_of_b);
    cluster.nodes[0].host.shell("ip link del overlaywg");
    send(&a, &address_of_b);
    assert!(!a.try_run(["ping", "-c", "1", "-W", "1", &address_of_b]).status.success());
    cluster.nodes[0].start_agent();
    eventually("it is back", || a.try_run(["ping", "-c", "1", "-W", "1", &address_of_b]).status.success());
    let wire = cluster.switch.shell("kill $(cat /run/wire.pid); cat /run/wire");
    assert_unreadable(&wire, &[&address_of_a, &address_of_b, "10.128.200.200"]);
    assert_eq!(cluster.nodes[0].host.shell("stat -c %a /var/lib/ferrocni/wireguard.key").trim(), "600");
    assert_eq!(cluster.nodes[0].host.shell("ip -o link show type wireguard").lines().count(), 1);
    assert_eq!(cluster.nodes[0].host.shell("ip -o link show type vxlan"), "");
}

#[test]
fn a_host_sends_from_its_own_blocks_only_and_leaves_nothing() {
    let cluster = Cluster::new(2, 60);
    cluster.create(&["--opt", "encrypted", "net"]);
    let [(a, address_of_a), (b, address_of_b)] = pair(&cluster);
    a.assert_pings(&address_of_b);
    // What comes over the underlay in clear, as if it were from a container, is dropped.
    let seen = Capture::start(&a, "seen", "-i eth0 udp port 9");
    cluster.nodes[1].host.shell(&format!(
        "ip route add {address_of_a}/32 via 192.0.2.1 dev uplink table 77; ip rule add to {address_of_a} lookup 77 pref 1
         echo {SECRET} | socat - UDP:{address_of_a}:9
         ip rule del pref 1"
    ));
    send(&b, &address_of_a);
    seen.assert_sees(&format!("{address_of_b}.* > {address_of_a}.9"));
    assert!(!seen.frames().contains("192.0.2.2"), "{}", seen.frames());
    for (node, container) in cluster.nodes.iter().zip([&a, &b]) {
        node.detach(container, "net");
    }
    assert!(cluster.nodes[0].host.ferrocni(["network", "rm", "net"]).status.success());
    for node in &cluster.nodes {
        eventually("the device is gone", || !node.host.shell("ip -o link").contains("overlaywg"));
        assert_eq!(node.host.shell("ip route show proto 142"), "");
        eventually("no agent complains", || node.agent()["problems"] == json!([]));
    }
}

#[test]
fn every_host_answers_a_port_with_the_client_s_address_kept_and_nothing_in_clear_between_hosts() {
    let cluster = Cluster::new(2, 60);
    cluster.create(&["--opt", "encrypted", "net"]);
    let [a, b] = [&cluster.nodes[0], &cluster.nodes[1]];
    let server = a.host.container("server");
    let config = json!({"name": "net", "type": "overlay", "ingress": true, "runtimeConfig": {
        "portMappings": [{"hostPort": 8080, "containerPort": 80}],
    }});
    let plugin = a.host.cni("overlay").container(&server).config(&config);
    plugin.command("ADD").run().ok();
    let _server = server.listen_tcp(80);
    eventually("the other host leads the port there", || {
        b.host.shell("nft list map inet ferrocni_overlay services4").contains("tcp . 8080")
    });
    cluster.switch.shell(
        "tcpdump --immediate-mode -Alnei port2 host 192.0.2.1 and host 192.0.2.2 >/run/wire 2>&1 & echo $! >/run/wire.pid
        until grep -sq 'listening on' /run/wire; do sleep 0.1; done",
    );
    for host in [1, 2] {
        let seen = cluster.switch.assert_reaches_tcp(&format!("192.0.2.{host}:8080"));
        assert_eq!(seen.ip().to_string(), "192.0.2.254");
    }
    let wire = cluster.switch.shell("kill $(cat /run/wire.pid); cat /run/wire");
    assert_unreadable(&wire, &["192.0.2.254", "8080", "169.254"]);
    let plugin = a.host.cni("overlay").container(&server).config(&config);
    plugin.command("DEL").run().ok();
    for node in &cluster.nodes {
        eventually("the device is gone", || !node.host.shell("ip -o link").contains("overlaywgin"));
        eventually("no agent complains", || node.agent()["problems"] == json!([]));
    }
}
