//! Whether a host answers the ports that every host of its cluster answers: what is said of it, who else has them, and when they go.

use serde_json::{Value, json};
use tests::cluster::{Cluster, Node, eventually};
use tests::firewalld;
use tests::{Container, Inside as _};

use super::ingress::{publish, publishing, publishing_after, sockets, wait_until_answered};
use crate::ferrocni::attached::attach;

/// What `ferrocni doctor` says of such ports: words, and the command.
fn findings(node: &Node) -> Vec<(String, String)> {
    let said = node.host.ferrocni(["doctor", "--format", "json"]);
    let all = said.stdout.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let of_ports = all.filter(|finding| finding["Check"] == "ingress");
    let text = |finding: &Value, field: &str| finding[field].as_str().expect("a text").to_owned();
    of_ports.map(|it| (format!("{}: {}", text(&it, "Object"), text(&it, "Problem")), text(&it, "Command"))).collect()
}

/// The only finding says that; its command.
#[track_caller]
fn finds(node: &Node, words: &str) -> String {
    let found = findings(node);
    let [(said, command)] = &found[..] else { panic!("{words:?}: {found:?}") };
    assert!(said.contains(words), "{words:?}: {found:?}");
    command.clone()
}

/// What `ferrocni overlay check` says of a port, and its status.
fn overlay_check(node: &Node, port: &str) -> (bool, String) {
    let said = node.host.ferrocni(["overlay", "check", "--format", "json"]);
    let mut all = said.stdout.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let of_port = all.find(|object| object["Address"] == port).unwrap_or_else(|| panic!("{port}: {said}"));
    (said.status.success(), of_port["Result"].as_str().expect("a text").to_owned())
}

fn reload(node: &Node) {
    let _said = node.host.ferrocni(["reload"]).ok();
}

#[test]
fn a_host_that_does_not_answer_a_port_is_told_what_is_missing_and_mended_by_the_command_that_is_said() {
    let mut cluster = Cluster::new(2, 60);
    cluster.create(&["--ipv6", "net"]);
    let web = cluster.nodes[0].host.container("web");
    attach(
        &cluster.nodes[0].host,
        "net",
        &web,
        &json!([{"hostPort": 8080, "containerPort": 80, "protocol": "tcp", "ingress": true}]),
    );
    let _server = web.listen_tcp(80);
    let answers = |node: &Node| node.host.shell("nft list map inet ferrocni_overlay services6").contains("tcp . 8080");
    for node in &cluster.nodes {
        eventually("it is answered", || answers(node));
        assert_eq!(findings(node), []);
        assert_eq!(overlay_check(node, "port 8080/tcp").1, "ok");
    }
    // Everywhere it is shown as what it is.
    let shown = |args: &[&str]| cluster.nodes[0].host.ferrocni(args).ok();
    assert!(shown(&["ps", "--all-runtimes"]).contains("*:8080->80/tcp"), "{}", shown(&["ps", "--all-runtimes"]));
    assert_eq!(shown(&["port", "web-name"]), "80/tcp -> *:8080\n");
    assert!(shown(&["topology"]).contains("*:8080→80/tcp"), "{}", shown(&["topology"]));

    // The second host has no container behind it.
    let there = &cluster.nodes[1];
    for (damage, words) in [
        ("nft delete table inet ferrocni_overlay", "nftables table inet ferrocni_overlay: not there"),
        ("nft flush chain inet ferrocni_overlay asked", "chain inet ferrocni_overlay asked: expected 2 rules, found 0"),
        ("nft flush map inet ferrocni_overlay services6", "lacks where it leads over IPv6"),
        ("ip link del overlayin", "link overlayin"),
    ] {
        there.host.shell(damage);
        assert_eq!(finds(there, words), "ferrocni reload");
        let (is_well, said) = overlay_check(there, "port 8080/tcp");
        assert!(!is_well && said.contains(words), "{said}");
        reload(there);
        assert_eq!(findings(there), [], "{damage}");
        cluster.switch.assert_reaches_tcp("192.0.2.2:8080");
    }
    // A program that had it before.
    there.host.shell("nft flush map inet ferrocni_overlay services4");
    there.host.shell("nft flush map inet ferrocni_overlay services6");
    cluster.nodes[1].kill_agent();
    let own = cluster.nodes[1].host.spawn(["socat", "TCP-LISTEN:8080,fork,reuseaddr", "EXEC:cat"]);
    eventually("it listens", || cluster.nodes[1].host.shell("ss -ltn").contains(":8080"));
    assert_eq!(findings(&cluster.nodes[1])[0].1, "systemctl start ferrocni-overlay");
    cluster.nodes[1].start_agent();
    let there = &cluster.nodes[1];
    eventually("it is told", || there.agent()["problems"].to_string().contains("another program of this host has it"));
    let command = finds(there, "socat, process");
    assert!(command.starts_with("kill "), "{command}");
    assert!(overlay_check(there, "port 8080/tcp").1.contains("another program of this host has it"));
    there.host.shell(&command);
    drop(own);
    there.ring_until("it answers now", || answers(there));
    assert_eq!(findings(there), []);
}

#[test]
fn check_fails_if_the_packet_filter_has_lost_what_leads_to_the_container_and_not_because_of_other_hosts() {
    let mut cluster = Cluster::new(2, 2);
    cluster.create(&["--ipv6", "net"]);
    let (server, result) = publish(&cluster.nodes[0], "server");
    // Both have a container behind it, so that both are told of each other's.
    let _other = publish(&cluster.nodes[1], "other");
    wait_until_answered(&cluster, 8080, 2);
    let check = |cluster: &Cluster, container: &Container, port: u16, result: &Value| {
        publishing_after(&cluster.nodes[0], container, port, result).command("CHECK").run()
    };
    check(&cluster, &server, 8080, &result).ok();
    for (damage, words) in [
        ("nft delete table inet ferrocni_overlay", "ferrocni_overlay: not there"),
        ("nft flush chain inet ferrocni_overlay arrivals", "chain inet ferrocni_overlay arrivals"),
        ("nft flush map inet ferrocni_overlay arrivals4", "does not lead what other hosts send on to"),
        ("nft flush map inet ferrocni_overlay services6", "does not lead what clients ask this host for"),
    ] {
        cluster.nodes[0].host.shell(damage);
        let error = format!("{:?}", check(&cluster, &server, 8080, &result).error());
        assert!(error.contains(words) && error.contains("ferrocni reload"), "{error}");
        reload(&cluster.nodes[0]);
        check(&cluster, &server, 8080, &result).ok();
    }
    // Another host dies.
    cluster.nodes[1].kill_agent();
    cluster.nodes[1].host.shell("ip link set uplink down");
    eventually("it is forgotten", || cluster.keys("ingress/tcp/8080/").len() == 1);
    check(&cluster, &server, 8080, &result).ok();
    // etcd is away: what is published then is told of later.
    cluster.stop_etcd();
    eventually("the agent knows", || cluster.nodes[0].agent()["connected"] == json!(false));
    let late = cluster.nodes[0].host.container("late");
    let of_late = publishing(&cluster.nodes[0], &late, 8090).command("ADD").run().ok();
    check(&cluster, &late, 8090, &of_late).ok();
    check(&cluster, &server, 8080, &result).ok();
    // Without an agent everything goes on, and nothing is mended.
    cluster.nodes[0].kill_agent();
    check(&cluster, &server, 8080, &result).ok();
    let error = format!("{:?}", check(&cluster, &late, 8090, &of_late).error());
    assert!(error.contains("8090/tcp") && error.contains("systemctl start ferrocni-overlay"), "{error}");
    cluster.nodes[0].host.shell("nft delete table inet ferrocni_overlay");
    let error = format!("{:?}", check(&cluster, &server, 8080, &result).error());
    assert!(error.contains("not there") && error.contains("systemctl start ferrocni-overlay"), "{error}");
}

/// A network of one host, whose ports are that host's.
fn local(number: usize) -> Value {
    json!({"name": format!("local{number}"), "plugins": [
        {"type": "bridge", "bridge": format!("local{number}"), "isDefaultGateway": true, "ipMasq": true,
            "ipam": {"type": "host-local", "subnet": format!("10.55.{number}.0/24")}},
        {"type": "portmap", "capabilities": {"portMappings": true}},
    ]})
}

fn mapped(port: u16, address: &str) -> Value {
    json!({"portMappings": [{"hostPort": port, "containerPort": 80, "protocol": "tcp", "hostIP": address}]})
}

#[test]
fn what_every_host_answers_is_refused_to_portmap_and_what_gc_removes_is_answered_no_more() {
    let cluster = Cluster::new(2, 60);
    cluster.create(&["net"]);
    let [here, there] = [&cluster.nodes[0], &cluster.nodes[1]];
    // A port that a container of the second host has there alone, before every host is to answer it.
    let own = there.host.container("own");
    there.host.chain(&local(1)).capabilities(&mapped(9090, "")).add(&own, "eth0").ok();
    let of_own = own.listen_tcp(80);
    let (keep, _) = publish(here, "keep");
    let stale = here.host.container("stale");
    publishing(here, &stale, 9090).command("ADD").run().ok();
    let _keep = (keep.listen_tcp(80), keep.listen_udp(80));
    // Two ports over TCP and UDP each.
    eventually("the first host answers both", || here.agent()["ports"] == json!(4));
    eventually("the second host leaves its own alone", || there.agent()["ports"] == json!(3));
    cluster.switch.assert_reaches_tcp("192.0.2.2:9090");
    cluster.switch.assert_blocked_tcp("192.0.2.1:9090");
    drop(of_own);
    let _stale = stale.listen_tcp(80);
    cluster.switch.assert_reaches_tcp("192.0.2.1:9090");
    cluster.switch.assert_blocked_tcp("192.0.2.2:9090");
    let command = finds(there, "container local1/own/eth0 publishes port 9090/tcp on this host");
    assert_eq!(command, "", "only a person can decide which of them is to go");

    // What the cluster has is no single host's.
    for (node, host) in [here, there].into_iter().zip(1..) {
        let container = node.host.container("asks");
        let asks = |port: &Value| node.host.chain(&local(2)).capabilities(port);
        let refused = asks(&mapped(8080, ""));
        let portmap = refused.add_all_but_last(&container, "eth0");
        let error = node.host.assert_leaves_nothing(|| portmap.command("ADD").run().error());
        let told = format!("{error:?}");
        assert!(told.contains("port 8080/tcp") && told.contains("network net has it on every host"), "{told}");
        refused.del(&container, "eth0").ok();
        // On loopback addresses the cluster has nothing.
        let loopback = asks(&mapped(8080, "127.0.0.1"));
        loopback.add(&container, "eth0").ok();
        loopback.del(&container, "eth0").ok();
        let said = node.host.ferrocni(["run", "-p", "8080:80", "true"]);
        assert!(said.stderr.contains("8080/tcp is already allocated: network net has it on every host"), "{said}");
        cluster.switch.assert_reaches_tcp(&format!("192.0.2.{host}:8080"));
    }

    // A runtime that knows of one container only.
    let list = json!({"name": "net", "plugins": [{"type": "overlay"}]});
    here.host.chain(&list).gc(&[("keep", "eth0")]).ok();
    let records = here.host.run(["ls", "/run/ferrocni/overlay/published"]);
    assert!(records.contains("keep") && !records.contains("stale"), "{records}");
    eventually("others are told", || cluster.keys("ingress/").len() == 2);
    eventually("none is answered any more", || cluster.switch.connect_tcp("192.0.2.1:9090").is_err());
    eventually("on no host", || there.agent()["ports"] == json!(2));
    for host in [1, 2] {
        cluster.switch.assert_reaches_tcp(&format!("192.0.2.{host}:8080"));
    }
    let next = here.host.container("next");
    here.host.chain(&local(1)).capabilities(&mapped(9090, "")).add(&next, "eth0").ok();
}

#[test]
fn every_host_answers_behind_firewalld() {
    let cluster = Cluster::new(2, 60);
    cluster.create(&["--ipv6", "net"]);
    // Nothing is let in but what the guide asks for.
    let _daemons: Vec<_> = cluster
        .nodes
        .iter()
        .map(|node| {
            let daemons = firewalld::start(&node.host);
            node.host.run(["firewall-cmd", "--permanent", "--add-port=4789/udp"]);
            node.host.run(["firewall-cmd", "--reload"]);
            daemons
        })
        .collect();
    let (server, _) = publish(&cluster.nodes[0], "server");
    let _listening = (server.listen_tcp(80), server.listen_udp(80));
    wait_until_answered(&cluster, 8080, 2);
    let _closed = cluster.nodes[1].host.listen_tcp(81);
    for reloaded in [false, true] {
        if reloaded {
            for node in &cluster.nodes {
                node.host.run(["firewall-cmd", "--reload"]);
            }
        }
        for host in [1, 2] {
            for (socket, client) in sockets(host, 8080).iter().zip(["192.0.2.254", "2001:db8::fe"]) {
                assert_eq!(cluster.switch.assert_reaches_tcp(socket).ip().to_string(), client, "{socket}");
                assert_eq!(cluster.switch.assert_reaches_udp(socket).ip().to_string(), client, "{socket}");
            }
        }
        cluster.switch.assert_blocked_tcp("192.0.2.2:81");
    }
}
