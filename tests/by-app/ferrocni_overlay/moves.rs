//! What packets notice of containers that come and go, and of addresses that move.

use std::thread;

use serde_json::{Value, json};
use tests::cluster::{Cluster, Node, eventually};
use tests::{Background, Container, Inside as _};

/// How often many hosts come and go, and how many at once, each with a container.
const ROUNDS: usize = 5;
const HOSTS: usize = 200;
/// So many of them in one transaction: one after the other would take a minute.
const TOGETHER: usize = 40;

/// Says over UDP where it runs.
fn sign(node: &Node, container: &Container) -> Background {
    let answer = format!("SYSTEM:echo {}", node.name);
    container.spawn(["socat", "UDP-RECVFROM:90,fork", &answer])
}

/// Who says so at an address; nothing if nobody does.
fn ask(client: &Container, address: &str) -> String {
    let line = format!("echo who | timeout 1 socat -t0.2 - UDP:{address}:90 2>/dev/null || true");
    client.shell(&line).trim().to_owned()
}

/// Once a host has answered there, nobody else does.
#[track_caller]
fn assert_only(node: &Node, client: &Container, address: &str) {
    eventually("the host has the address", || ask(client, address) == node.name);
    for _ in 0..3 {
        eventually("it answers again", || {
            let answer = ask(client, address);
            assert!(answer.is_empty() || answer == node.name, "{answer} answers at {address}");
            !answer.is_empty()
        });
    }
}

#[test]
fn an_established_flow_loses_nothing_while_others_come_and_go() {
    let cluster = Cluster::with(3, &json!({"timeToLive": 60, "spareAfter": 0}));
    cluster.create(&["--subnet", "10.1.0.0/16", "--opt", "block_length=29", "net"]);
    let [a, b, c] = [0, 1, 2].map(|number| &cluster.nodes[number]);
    let (client, server) = (a.host.container("client"), b.host.container("server"));
    a.attach(&client, "net");
    let address = b.attach(&server, "net");
    eventually("the flow is established", || client.try_run(["ping", "-c1", "-W1", &address]).status.success());
    let comings: Vec<_> = (0..8).map(|number| c.host.container(&format!("c{number}"))).collect();
    let third = nobody_s(&cluster);
    thread::scope(|scope| {
        // Until it is told to end: then it says what it has lost.
        let flow = scope
            .spawn(|| client.shell(&format!("ping -n -q -w 60 -i 0.002 {address} & echo $! >/run/flow; wait || true")));
        eventually("it runs", || a.host.read("/run/flow").is_ok_and(|pid| !pid.is_empty()));
        for round in 0..ROUNDS {
            comings.iter().for_each(|container| drop(c.attach(container, "net")));
            come_and_go(&cluster, round, third);
            comings.iter().for_each(|container| c.detach(container, "net"));
        }
        a.host.shell("kill -INT $(cat /run/flow)");
        let said = flow.join().expect("it has not failed");
        assert!(said.contains(" 0% packet loss") && !said.contains("errors") && !said.contains("duplicates"), "{said}");
        let sent: usize = said
            .lines()
            .find_map(|line| line.split_once(" packets transmitted"))
            .expect("it says so")
            .0
            .parse()
            .expect("a number");
        assert!(sent > 500, "{said}");
    });
}

/// The first of eight numbers, third in addresses, where no host has blocks, nor is about to claim one.
fn nobody_s(cluster: &Cluster) -> usize {
    let blocks = cluster.keys("nets/net/blocks/");
    let third = |block: &String| block.split('.').nth(2).and_then(|number| number.parse::<usize>().ok());
    let taken: Vec<_> = blocks.iter().filter_map(third).collect();
    let is_free = |first: &usize| !taken.iter().any(|third| (first - 8..first + 8).contains(third));
    (8..248).step_by(8).find(is_free).expect("so many blocks are free")
}

/// Hosts, each with a block and a container.
fn come_and_go(cluster: &Cluster, round: usize, third: usize) {
    let node = &cluster.nodes[0];
    let is_theirs = |line: &&str| (third..third + 8).any(|third| line.starts_with(&format!("10.1.{third}.")));
    let routes = || node.host.shell("ip route show proto 142").lines().filter(is_theirs).count();
    let before = node.agent()["hosts"].clone();
    for (change, expected) in [(put as fn(&_) -> _, HOSTS), (delete, 0)] {
        for first in (0..HOSTS).step_by(TOGETHER) {
            let changes: String = (first..first + TOGETHER).map(|number| change(&keys(round, number, third))).collect();
            cluster.script(&format!("etcdctl txn <<'END'\n\n{changes}\n\nEND"));
        }
        eventually("they are known, and then forgotten", || routes() == expected);
    }
    eventually("nothing is left of them", || node.agent()["hosts"] == before);
}

/// What etcd is told of one of them.
fn keys(round: usize, number: usize, third: usize) -> [(String, Value); 3] {
    let id = format!("{round:08x}-{number:04x}-4000-8000-000000000000");
    let (third, fourth) = (third + number / 32, number % 32 * 8);
    let host = json!({"name": format!("h{number}"), "underlay": [format!("198.51.100.{number}")], "mtu": 1500});
    let endpoint = json!({"addresses": [format!("10.1.{third}.{}", fourth + 1)], "name": "c"});
    [
        (format!("hosts/{id}"), host),
        (format!("nets/net/blocks/10.1.{third}.{fourth}-29"), json!(id)),
        (format!("nets/net/names/{id}/c{number}:eth0"), endpoint),
    ]
}

/// A value in quotes is a string of JSON.
fn put(keys: &[(String, Value); 3]) -> String {
    keys.iter().map(|(key, value)| format!("put /ferrocni/v1/{key} {}\n", json!(value.to_string()))).collect()
}

fn delete(keys: &[(String, Value); 3]) -> String {
    keys.iter().map(|(key, _)| format!("del /ferrocni/v1/{key}\n")).collect()
}

#[test]
fn an_address_that_has_moved_is_its_new_host_s_alone() {
    let mut cluster = Cluster::new(3, 2);
    // A block for two of them only.
    cluster.create(&["--subnet", "10.1.2.0/28", "--opt", "block_length=29", "net"]);
    let containers: Vec<_> = cluster.nodes.iter().map(|node| node.host.container("c")).collect();
    let address = cluster.nodes[0].attach(&containers[0], "net");
    cluster.nodes[1].attach(&containers[1], "net");
    let client = &containers[1];
    let _first = sign(&cluster.nodes[0], &containers[0]);
    eventually("the first host has it", || ask(client, &address) == "node1");
    // That host is taken out, although its container goes on.
    let id = cluster.nodes[0].id();
    cluster.nodes[0].kill_agent();
    eventually("it is removed", || cluster.nodes[1].host.ferrocni(["overlay", "host", "rm", &id]).status.success());
    let third = &cluster.nodes[2];
    let moved = third.attach(&containers[2], "net");
    assert_eq!(moved, address, "the block is free again, and its first address");
    let _third = sign(third, &containers[2]);
    // Whoever was told of the new host sends nothing to the old one any more.
    assert_only(third, client, &address);
    // An address that is asked for, back and forth.
    let (start, last) = address.rsplit_once('.').expect("an address");
    let wanted = format!("{start}.{}", last.parse::<u8>().expect("a number") + 2);
    for _ in 0..2 {
        for node in [&cluster.nodes[1], third] {
            let container = node.host.container("wanted");
            node.plugin(&container, "net").args(&format!("IP={wanted}")).command("ADD").run().ok();
            let _wanted = sign(node, &container);
            assert_only(node, client, &wanted);
            node.detach(&container, "net");
            node.host.run(["ip", "netns", "del", "wanted"]);
        }
    }
}
