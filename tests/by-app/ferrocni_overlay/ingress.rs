//! Ports that every host answers.

use serde_json::{Value, json};
use tests::cluster::{Cluster, Node, eventually};
use tests::{Cni, Container, Inside as _};

/// The plugin for a container that publishes a port of every host, for TCP and UDP.
pub(super) fn publishing<'a>(node: &'a Node, container: &Container, port: u16) -> Cni<'a> {
    publishing_after(node, container, port, &Value::Null)
}

/// The same for a container whose ADD had this result.
pub(super) fn publishing_after<'a>(node: &'a Node, container: &Container, port: u16, result: &Value) -> Cni<'a> {
    let mapping =
        |protocol: &str| json!({"hostPort": port, "containerPort": 80, "protocol": protocol, "ingress": true});
    let config = json!({"name": "net", "type": "overlay", "prevResult": result, "runtimeConfig": {
        "portMappings": [mapping("tcp"), mapping("udp"), {"hostPort": 99, "containerPort": 99}],
    }});
    node.host.cni("overlay").container(container).config(&config)
}

pub(super) fn publish(node: &Node, name: &str) -> (Container, Value) {
    let container = node.host.container(name);
    let result = publishing(node, &container, 8080).command("ADD").run().ok();
    (container, result)
}

/// The hosts' addresses as clients on the switch reach them.
pub(super) fn sockets(number: usize, port: u16) -> [String; 2] {
    [format!("192.0.2.{number}:{port}"), format!("[2001:db8::{number:x}]:{port}")]
}

/// Whether every host leads the port somewhere.
pub(super) fn wait_until_answered(cluster: &Cluster, port: u16, hosts: usize) {
    for node in &cluster.nodes[..hosts] {
        let is_answered = || {
            let services = node.host.shell("nft list map inet ferrocni_overlay services6 2>/dev/null || true");
            services.contains(&format!("udp . {port}"))
        };
        eventually(&format!("{} leads the port somewhere", node.name), is_answered);
    }
}

#[test]
fn every_host_answers_with_the_client_s_address_kept_and_nothing_is_left() {
    let cluster = Cluster::new(3, 60);
    cluster.create(&["--ipv6", "net"]);
    // The third host has no container, and is not in the network.
    for node in &cluster.nodes[..2] {
        node.attach(&node.host.container("first"), "net");
    }
    let before: Vec<_> = cluster.nodes.iter().map(|node| node.host.snapshot()).collect();
    let own = cluster.nodes[2].host.listen_tcp(81);
    let (server, result) = publish(&cluster.nodes[0], "server");
    let listening = (server.listen_tcp(80), server.listen_udp(80));
    wait_until_answered(&cluster, 8080, 3);
    for host in 1..=3 {
        for (socket, client) in sockets(host, 8080).iter().zip(["192.0.2.254", "2001:db8::fe"]) {
            assert_eq!(cluster.switch.assert_reaches_tcp(socket).ip().to_string(), client, "{socket}");
            assert_eq!(cluster.switch.assert_reaches_udp(socket).ip().to_string(), client, "{socket}");
        }
        // The hosts themselves, and containers.
        for client in &cluster.nodes {
            let [v4, v6] = sockets(host, 8080);
            client.host.assert_reaches_tcp(&v4);
            client.host.assert_reaches_tcp(&v6);
        }
    }
    let peer = cluster.nodes[1].host.container("peer");
    cluster.nodes[1].attach(&peer, "net");
    for host in 1..=3 {
        peer.assert_reaches_tcp(&format!("192.0.2.{host}:8080"));
        server.assert_reaches_tcp(&format!("192.0.2.{host}:8080"));
    }
    cluster.nodes[1].detach(&peer, "net");
    cluster.nodes[1].host.run(["ip", "netns", "del", "peer"]);
    // What is the host's own stays that, and what is not published is closed.
    cluster.switch.assert_reaches_tcp("192.0.2.3:81");
    cluster.switch.assert_blocked_tcp("192.0.2.2:99");
    for node in &cluster.nodes {
        assert_eq!(node.agent()["problems"], json!([]), "{}", node.name);
    }

    let after = |port| publishing_after(&cluster.nodes[0], &server, port, &result);
    after(8080).command("CHECK").run().ok();
    let error = after(8081).command("CHECK").run().error();
    assert!(format!("{error:?}").contains("8081/tcp"), "{error:?}");
    after(8080).command("DEL").run().ok();
    for host in 1..=3 {
        eventually("it is gone everywhere", || cluster.switch.connect_tcp(&format!("192.0.2.{host}:8080")).is_err());
    }
    after(8080).command("DEL").run().ok();
    assert_eq!(cluster.keys("ingress/"), Vec::<String>::new());
    drop((listening, own));
    cluster.nodes[0].host.run(["ip", "netns", "del", "server"]);
    drop(server);
    for (node, before) in cluster.nodes.iter().zip(&before) {
        eventually("its devices are gone", || !node.host.shell("ip -o link").contains("overlayin"));
        eventually("its rules are gone", || !node.host.shell("ip rule; ip -6 rule").contains("214"));
        node.host.snapshot().assert_nothing_since(before);
    }
}

#[test]
fn connections_are_spread_over_all_containers_and_those_of_a_dead_host_get_none() {
    let mut cluster = Cluster::new(3, 2);
    cluster.create(&["--ipv6", "net"]);
    let servers = [(0, "a"), (1, "b"), (1, "c")].map(|(node, name)| publish(&cluster.nodes[node], name).0);
    let _listening: Vec<_> = servers.iter().zip(81..).map(|(server, _)| server.listen_tcp(80)).collect();
    wait_until_answered(&cluster, 8080, 3);
    for server in &servers {
        server.shell("nft add table ip seen; nft add chain ip seen i '{ type filter hook input priority 0; }'; nft add rule ip seen i tcp dport 80 tcp flags syn counter");
    }
    let seen = |server: &Container| -> usize {
        let listed = server.shell("nft list chain ip seen i | sed -n 's/.*packets \\([0-9]*\\) .*/\\1/p'");
        listed.trim().parse().expect("a number")
    };
    for _ in 0..60 {
        cluster.switch.assert_reaches_tcp("192.0.2.3:8080");
    }
    let counts: Vec<_> = servers.iter().map(seen).collect();
    assert!(counts.iter().sum::<usize>() >= 60 && counts.iter().all(|count| *count >= 5), "{counts:?}");

    // A host that dies takes its containers with it.
    cluster.nodes[1].kill_agent();
    cluster.nodes[1].host.shell("ip link set uplink down");
    eventually("its ports are forgotten", || cluster.keys("ingress/tcp/8080/").len() == 1);
    eventually("none is sent there", || {
        let services = cluster.nodes[2].host.shell("nft list map inet ferrocni_overlay services4");
        let id = cluster.nodes[1].id();
        let number = cluster
            .keys("ingress-number/")
            .into_iter()
            .find(|key| cluster.etcdctl(&["get", "--print-value-only", &format!("/ferrocni/v1/{key}")]).contains(&id));
        let number = number.expect("it keeps its number");
        let address = number.replace("ingress-number/", "169.254.0.");
        !services.contains(&format!("{address} ."))
    });
    for _ in 0..20 {
        cluster.switch.assert_reaches_tcp("192.0.2.3:8080");
        cluster.switch.assert_reaches_tcp("192.0.2.1:8080");
    }
}

#[test]
fn what_a_host_has_already_is_left_alone_and_another_network_cannot_have_the_port() {
    let cluster = Cluster::new(2, 60);
    cluster.create(&["--ipv6", "net"]);
    cluster.create(&["other"]);
    cluster.create(&["--internal", "inside"]);
    let [a, b] = [&cluster.nodes[0], &cluster.nodes[1]];
    let own = b.host.listen_tcp(8080);
    let (server, _) = publish(a, "server");
    let _server = (server.listen_tcp(80), server.listen_udp(80));
    wait_until_answered(&cluster, 8080, 2);
    cluster.switch.assert_reaches_tcp("192.0.2.1:8080");
    eventually("it is told", || b.agent()["problems"].to_string().contains("another program of this host has it"));
    let to_own = cluster.switch.assert_reaches_tcp("192.0.2.2:8080");
    assert_eq!(to_own.ip().to_string(), "192.0.2.254");
    let services = b.host.shell("nft list map inet ferrocni_overlay services4");
    assert!(!services.contains("tcp . 8080"), "{services}");
    drop(own);
    b.ring_until("it answers now", || b.agent()["problems"] == json!([]));
    cluster.switch.assert_reaches_tcp("192.0.2.2:8080");
    // As long as it does, nobody else gets the port.
    let listening = b.host.try_run(["timeout", "1", "socat", "TCP-LISTEN:8080", "-"]);
    assert!(!listening.status.success() && listening.stderr.contains("in use"), "{listening}");

    // Another network.
    let late = b.host.container("late");
    let config = json!({"name": "other", "type": "overlay", "ingress": true, "runtimeConfig": {
        "portMappings": [{"hostPort": 8080, "containerPort": 80}],
    }});
    let error = b.host.cni("overlay").container(&late).config(&config).command("ADD").run().error();
    assert!(format!("{error:?}").contains("network net has it on every host"), "{error:?}");
    assert!(cluster.keys("ingress/tcp/8080/").iter().all(|key| key.contains("/net/")));
    // One that nothing reaches.
    let config = json!({"name": "inside", "type": "overlay", "ingress": true, "runtimeConfig": {
        "portMappings": [{"hostPort": 8082, "containerPort": 80}],
    }});
    let error = b.host.cni("overlay").container(&late).config(&config).command("ADD").run().error();
    assert!(error.code == 7 && format!("{error:?}").contains("is internal"), "{error:?}");
}

#[test]
fn nonsense_about_ports_is_refused_and_told_and_what_nobody_expects_goes_nowhere() {
    let mut cluster = Cluster::new(2, 60);
    cluster.create(&["--ipv6", "net"]);
    let (server, _) = publish(&cluster.nodes[0], "server");
    let _listening = (server.listen_tcp(80), server.listen_udp(80));
    wait_until_answered(&cluster, 8080, 2);
    let stranger = "eeeeeeee-0000-4000-8000-000000000000";
    let before = cluster.nodes[1].host.shell("nft list map inet ferrocni_overlay services4");
    for (key, value) in [
        (format!("ingress/tcp/0/net/{stranger}"), json!({"ipv4": 1})),
        (format!("ingress/icmp/80/net/{stranger}"), json!({"ipv4": 1})),
        (format!("ingress/tcp/22/net/{stranger}"), json!({"ipv4": 0})),
        (format!("ingress/tcp/22/net/{stranger}x"), json!({"ipv4": 1})),
        ("ingress-number/0".to_owned(), json!(stranger)),
        ("ingress-number/200".to_owned(), json!("nobody")),
    ] {
        cluster.put(&key, &value);
    }
    eventually("it is counted", || cluster.nodes[1].agent()["nonsense"] == json!(6));
    // A host that nobody knows, and a second network with the same port.
    cluster.put(&format!("ingress/tcp/2222/net/{stranger}"), &json!({"ipv4": 1}));
    eventually("it is told", || cluster.nodes[1].agent()["problems"].to_string().contains("cannot be reached for it"));
    cluster.put(&format!("ingress/tcp/8080/zzz/{stranger}"), &json!({"ipv4": 1}));
    eventually("this too", || cluster.nodes[1].agent()["problems"].to_string().contains("networks net and zzz"));
    assert_eq!(cluster.nodes[1].host.shell("nft list map inet ferrocni_overlay services4"), before);
    cluster.switch.assert_reaches_tcp("192.0.2.2:8080");

    // A host that says of another that it has a port: that one expects nothing there, whatever it listens on itself.
    let own = cluster.nodes[0].host.listen_tcp(23);
    let id = cluster.nodes[0].id();
    cluster.nodes[0].kill_agent();
    cluster.put(&format!("ingress/tcp/23/net/{id}"), &json!({"ipv4": 1, "ipv6": 1}));
    eventually("it is believed", || {
        cluster.nodes[1].host.shell("nft list map inet ferrocni_overlay services4").contains("tcp . 23")
    });
    cluster.switch.assert_blocked_tcp("192.0.2.2:23");
    drop(own);
}

#[test]
fn ports_go_on_without_agent_and_etcd_and_are_mended_and_told_again_after() {
    let mut cluster = Cluster::new(2, 2);
    cluster.create(&["--ipv6", "net"]);
    let (server, _) = publish(&cluster.nodes[0], "server");
    let _listening = (server.listen_tcp(80), server.listen_udp(80));
    cluster.nodes[1].attach(&cluster.nodes[1].host.container("first"), "net");
    wait_until_answered(&cluster, 8080, 2);
    let reached = |cluster: &Cluster| {
        for host in [1, 2] {
            cluster.switch.assert_reaches_tcp(&format!("192.0.2.{host}:8080"));
            cluster.switch.assert_reaches_udp(&format!("[2001:db8::{host}]:8080"));
        }
    };
    let ways = |node: &Node| {
        node.host.shell(
            "ip rule; ip -6 rule; ip route show table all proto 142; ip -6 route show table all proto 142
             bridge fdb show dev overlayin; nft list table inet ferrocni_overlay | grep -v counter",
        )
    };
    let before = ways(&cluster.nodes[0]);
    cluster.stop_etcd();
    for node in &cluster.nodes {
        eventually("the agents know", || node.agent()["connected"] == json!(false));
    }
    // Longer than every lease.
    std::thread::sleep(std::time::Duration::from_secs(4));
    reached(&cluster);
    // A container that comes now is told of later.
    let late = cluster.nodes[1].host.container("late");
    let outcome = publishing(&cluster.nodes[1], &late, 8090).command("ADD").run();
    let _ = outcome.ok();
    let _late = (late.listen_tcp(80), late.listen_udp(80));
    // Even agents that begin anew, and an etcd that has forgotten all.
    for node in &mut cluster.nodes {
        node.kill_agent();
        node.start_agent();
    }
    reached(&cluster);
    cluster.switch.shell("rm -r /run/etcd");
    cluster.start_etcd();
    eventually("it is told again", || {
        cluster.keys("ingress/").len() == 4 && cluster.keys("ingress-number/").len() == 2
    });
    reached(&cluster);
    wait_until_answered(&cluster, 8090, 2);
    cluster.switch.assert_reaches_tcp("192.0.2.1:8090");
    publishing(&cluster.nodes[1], &late, 8090).command("DEL").run().ok();
    for damage in
        ["ip rule del pref 21421", "ip route flush table all proto 142", "ip link del overlayin", "nft flush ruleset"]
    {
        cluster.nodes[0].kill_agent();
        cluster.nodes[0].host.shell(damage);
        cluster.nodes[0].start_agent();
        eventually(damage, || {
            let without_index =
                |text: &str| text.lines().filter(|line| !line.contains("8090")).map(str::to_owned).collect::<Vec<_>>();
            cluster.nodes[0].host.try_run(["ip", "link", "show", "overlayin"]).status.success()
                && cluster.nodes[0].host.try_run(["nft", "list", "table", "inet", "ferrocni_overlay"]).status.success()
                && without_index(&ways(&cluster.nodes[0])).len() == without_index(&before).len()
        });
        reached(&cluster);
    }
}
