//! Who owns which addresses.

use std::collections::BTreeSet;

use serde_json::json;
use tests::cluster::{Cluster, eventually};
use tests::{Inside as _, address};

/// The blocks of a network in etcd.
fn blocks(cluster: &Cluster, network: &str) -> Vec<String> {
    cluster.keys(&format!("nets/{network}/blocks/"))
}

#[test]
fn a_host_gets_another_block_before_its_own_is_full_and_returns_it() {
    let cluster = Cluster::with(2, &json!({"timeToLive": 60, "spareAfter": 0}));
    cluster.create(&["--subnet", "10.1.2.0/24", "net"]);
    let node = &cluster.nodes[0];
    let containers: Vec<_> = (0..20).map(|number| node.host.container(&format!("c{number}"))).collect();
    let addresses: BTreeSet<_> = containers.iter().map(|container| node.attach(container, "net")).collect();
    assert_eq!(addresses.len(), 20, "each has its own");
    assert!(blocks(&cluster, "net").len() >= 3);
    let other = &cluster.nodes[1];
    let peer = other.host.container("peer");
    other.attach(&peer, "net");
    for (container, address) in containers.iter().zip(&addresses).rev().take(2) {
        let _ = container;
        peer.assert_pings(address);
    }
    for container in &containers {
        node.detach(container, "net");
    }
    node.ring_until("only one block is left", || blocks(&cluster, "net").len() == 2);
}

#[test]
fn hosts_that_begin_at_once_get_different_blocks_and_a_full_network_says_so() {
    let cluster = Cluster::new(4, 60);
    // Two blocks.
    cluster.create(&["--subnet", "10.1.2.0/28", "--opt", "block_length=29", "net"]);
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let attach = |node| {
            scope.spawn(move || {
                let node: &tests::cluster::Node = node;
                let container = node.host.container("c");
                node.try_attach(&container, "net")
            })
        };
        let threads: Vec<_> = cluster.nodes.iter().map(attach).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let (attached, refused): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(tests::Outcome::is_ok);
    assert_eq!((attached.len(), refused.len()), (2, 2));
    let addresses: BTreeSet<_> = attached.into_iter().map(|outcome| address(&outcome.ok(), 0)).collect();
    assert_eq!(addresses.len(), 2);
    for outcome in refused {
        let error = outcome.error();
        assert!(error.details.contains("no block") || error.msg.contains("no block"), "{error:?}");
    }
}

#[test]
fn an_address_that_is_asked_for_is_had_wherever_it_is_but_never_twice() {
    let cluster = Cluster::new(3, 60);
    cluster.create(&["--subnet", "10.1.2.0/24", "net"]);
    let [a, b, c] = [0, 1, 2].map(|number| &cluster.nodes[number]);
    let (of_a, of_b, of_c) = (a.host.container("a"), b.host.container("b"), c.host.container("c"));
    let first = a.attach(&of_a, "net");
    b.attach(&of_b, "net");
    // Taken by a container of its owner.
    let asking = |node: &tests::cluster::Node, container, address: &str| {
        node.plugin(container, "net").args(&format!("IP={address}")).command("ADD").run()
    };
    let error = asking(c, &of_c, &first).error();
    assert!(error.details.contains("taken") || error.msg.contains("taken"), "{error:?}");
    // In the block of another host, which has it to spare: it is announced alone, and reached from everywhere.
    let block = a.state("net")["blocks"][0].as_str().expect("a block").to_owned();
    let (start, _) = block.rsplit_once('.').expect("an address");
    let number: u8 = block.split(['.', '/']).nth(3).and_then(|last| last.parse().ok()).expect("a number");
    let wanted = format!("{start}.{}", number + 6);
    assert_eq!(address(&asking(c, &of_c, &wanted).ok(), 0), wanted);
    for (node, container) in [(a, &of_a), (b, &of_b)] {
        eventually("the address has a route of its own", || {
            node.host.shell("ip route show dev overlay4097").contains(&format!("{wanted} via"))
        });
        container.assert_pings(&wanted);
    }
    // Its owner gives it to nobody.
    let more: Vec<_> = (0..5).map(|number| a.host.container(&format!("more{number}"))).collect();
    assert!(more.iter().all(|container| a.attach(container, "net") != wanted));
    // Until it is free again.
    c.detach(&of_c, "net");
    eventually("the claim is gone", || cluster.keys("nets/net/addrs/").is_empty());
    eventually("its owner may give it", || a.state("net")["excluded"] == json!([]));
    let last = a.host.container("last");
    assert_eq!(address(&asking(a, &last, &wanted).ok(), 0), wanted);
    of_b.assert_pings(&wanted);
}

#[test]
fn a_network_is_removed_when_nobody_uses_it_and_leaves_nothing() {
    let cluster = Cluster::new(2, 60);
    let before: Vec<_> =
        cluster.nodes.iter().map(|node| node.host.shell("ip -o link; ip route; ip -6 route show proto 142")).collect();
    cluster.create(&["net"]);
    let (a, b) = (&cluster.nodes[0], &cluster.nodes[1]);
    let container = b.host.container("c");
    b.attach(&container, "net");
    eventually("the container is known", || !cluster.keys("nets/net/names/").is_empty());
    let refused = a.host.ferrocni(["network", "rm", "net"]);
    assert_eq!(refused.status.code(), Some(2), "{refused}");
    assert!(refused.stderr.contains("container c on node2"), "{refused}");
    b.detach(&container, "net");
    eventually("the container is gone", || cluster.keys("nets/net/names/").is_empty());
    let _ = a.host.ferrocni(["network", "rm", "net"]).ok();
    assert_eq!(cluster.keys("nets/"), [""; 0]);
    assert_eq!([cluster.keys("vni/"), cluster.keys("subnets/")].concat(), [""; 0]);
    for (node, before) in cluster.nodes.iter().zip(&before) {
        b.host.run(["ip", "netns", "list"]);
        eventually("nothing is left", || {
            node.host.shell("ip -o link; ip route; ip -6 route show proto 142") == *before
        });
    }
}
