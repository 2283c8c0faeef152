//! Each row of the table in docs/overlay.md.

use serde_json::json;
use tests::cluster::{Cluster, Node, eventually};
use tests::{Container, Inside as _};

/// Two containers on the first two hosts, with their addresses.
fn pair(cluster: &Cluster) -> [(Container, String); 2] {
    let pair = [0, 1].map(|number| {
        let node = &cluster.nodes[number];
        let container = node.host.container("c");
        let address = node.attach(&container, "net");
        (container, address)
    });
    let [(a, _), (_, address_of_b)] = &pair;
    eventually("both hosts know the way", || a.try_run(["ping", "-c1", "-W1", address_of_b]).status.success());
    pair
}

/// What the agent has in the kernel.
fn ways(node: &Node) -> String {
    node.host.shell(
        "ip -o link show overlay4097; ip -o addr show overlay4097; ip route show proto 142
         bridge fdb show dev overlay4097; ip neigh show dev overlay4097 nud permanent
         nft list table inet ferrocni_overlay | grep -v counter",
    )
}

#[test]
fn etcd_is_down_and_comes_back_empty_of_leases() {
    let mut cluster = Cluster::new(2, 2);
    cluster.create(&["--subnet", "10.1.2.0/24", "net"]);
    let [(a, _), (_, address_of_b)] = pair(&cluster);
    cluster.stop_etcd();
    for node in &cluster.nodes {
        eventually("the agent knows", || node.agent()["connected"] == json!(false));
    }
    a.assert_pings(&address_of_b);
    let node = &cluster.nodes[0];
    let more: Vec<_> = (0..4).map(|number| node.host.container(&format!("more{number}"))).collect();
    for container in &more {
        let address = node.attach(container, "net");
        a.assert_pings(&address);
    }
    node.detach(&more[0], "net");
    // What needs etcd fails as something that may work later.
    let elsewhere = node.host.container("elsewhere");
    let wish = node.plugin(&elsewhere, "net").args("IP=10.1.2.254").command("ADD").run().error();
    assert_eq!(wish.code, 11, "{wish:?}");
    let full: Vec<_> = (0..8).map(|number| node.host.container(&format!("full{number}"))).collect();
    let refused: Vec<_> = full.iter().map(|it| node.try_attach(it, "net")).filter(|outcome| !outcome.is_ok()).collect();
    assert!(!refused.is_empty(), "the block is full");
    for outcome in refused {
        let error = outcome.error();
        assert!(error.code == 11 && format!("{error:?}").contains("etcd"), "{error:?}");
    }
    // Longer than every lease.
    std::thread::sleep(std::time::Duration::from_secs(4));
    cluster.start_etcd();
    for node in &cluster.nodes {
        eventually("the agent is back", || {
            node.agent()["connected"] == json!(true) && node.agent()["alive"] == json!(2)
        });
    }
    eventually("containers are told again", || cluster.keys("nets/net/names/").len() >= 5);
    assert!(cluster.nodes[0].try_attach(&elsewhere, "net").is_ok(), "a block more");
    a.assert_pings(&address_of_b);
}

#[test]
fn what_has_changed_and_was_compacted_while_etcd_was_out_of_reach_is_caught_up_with() {
    let cluster = Cluster::new(3, 60);
    cluster.create(&["net"]);
    let [(a, _), _] = pair(&cluster);
    let cut = "nft add table inet cut; nft add chain inet cut o '{ type filter hook output priority 0; }'
        nft add rule inet cut o ip daddr 192.0.2.254 reject with tcp reset";
    let node = &cluster.nodes[0];
    node.host.shell(cut);
    eventually("the agent knows", || node.agent()["connected"] == json!(false));
    let late = &cluster.nodes[2];
    let container = late.host.container("late");
    let address = late.attach(&container, "net");
    for round in 0..20 {
        cluster.put("cluster-notes", &json!(round));
    }
    let status = cluster.etcdctl(&["endpoint", "status", "-w", "json"]);
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    cluster.etcdctl(&["compact", &status[0]["Status"]["header"]["revision"].to_string()]);
    node.host.shell("nft delete table inet cut");
    eventually("the late one's block has a route", || node.host.shell("ip route show proto 142").lines().count() == 3);
    a.assert_pings(&address);
    assert_ne!(node.agent()["resyncs"], json!(0));
}

#[test]
fn etcd_is_restored_from_a_backup_without_the_network() {
    let mut cluster = Cluster::new(2, 60);
    cluster.etcdctl(&["snapshot", "save", "/run/backup"]);
    cluster.create(&["net"]);
    let [(a, _), (_, address_of_b)] = pair(&cluster);
    let before = [ways(&cluster.nodes[0]), ways(&cluster.nodes[1])];
    let blocks = cluster.keys("nets/net/blocks/");
    let flow = format!("until test -e /run/over; do ping -n -c1 -W2 {address_of_b} >/dev/null; done");
    let flow = a.spawn(["sh", "-euc", &flow]);
    cluster.stop_etcd();
    cluster.switch.shell("rm -r /run/etcd; ETCDCTL_API=3 etcdctl snapshot restore /run/backup --data-dir /run/etcd");
    cluster.start_etcd();
    eventually("the network and its blocks are back", || cluster.keys("nets/net/blocks/") == blocks);
    eventually("so is the rest", || cluster.keys("nets/net/names/").len() == 2 && cluster.keys("vni/").len() == 1);
    // No way is forgotten before others had the time to restore it.
    cluster.nodes[0].host.write("/run/over", "");
    flow.wait();
    assert_eq!([ways(&cluster.nodes[0]), ways(&cluster.nodes[1])], before);
}

#[test]
fn a_block_that_another_host_owns_now_is_told_and_not_taken() {
    let mut cluster = Cluster::new(2, 60);
    cluster.create(&["net"]);
    let [(_, address_of_a), _] = pair(&cluster);
    let key = cluster.keys("nets/net/blocks/");
    let id = cluster.nodes[0].id();
    let of_a = key
        .iter()
        .find(|key| cluster.etcdctl(&["get", "--print-value-only", &format!("/ferrocni/v1/{key}")]).contains(&id));
    let of_a = of_a.expect("the first host has a block").clone();
    cluster.nodes[0].kill_agent();
    let other = cluster.nodes[1].id();
    cluster.put(&of_a, &json!(other));
    cluster.nodes[0].start_agent();
    cluster.nodes[0].wait_until_connected();
    let node = &cluster.nodes[0];
    eventually("it is told", || node.agent()["problems"].to_string().contains(&address_of_a));
    let late = node.host.container("late");
    let error = node.try_attach(&late, "net").error();
    assert!(format!("{error:?}").contains(&address_of_a), "{error:?}");
    let status =
        node.host.cni("overlay").config(&json!({"name": "net", "type": "overlay"})).command("STATUS").run().error();
    assert_eq!(status.code, 50, "{status:?}");
    let value = cluster.etcdctl(&["get", "--print-value-only", &format!("/ferrocni/v1/{of_a}")]);
    assert!(value.contains(&other), "{value}");
}

#[test]
fn a_dead_host_s_containers_go_with_its_lease_and_its_blocks_when_it_is_removed() {
    let mut cluster = Cluster::new(2, 2);
    cluster.create(&["net"]);
    let _pair = pair(&cluster);
    eventually("containers are told", || cluster.keys("nets/net/names/").len() == 2);
    let routes = cluster.nodes[0].host.shell("ip route show proto 142");
    let id = cluster.nodes[1].id();
    let alive = cluster.nodes[0].host.ferrocni(["overlay", "host", "rm", &id]);
    assert!(!alive.status.success() && alive.stderr.contains("is alive"), "{alive}");
    cluster.nodes[1].kill_agent();
    eventually("its containers are gone", || cluster.keys("nets/net/names/").len() == 1);
    assert_eq!(cluster.keys("nets/net/blocks/").len(), 2);
    assert_eq!(cluster.nodes[0].host.shell("ip route show proto 142"), routes);
    eventually("it is removed", || cluster.nodes[0].host.ferrocni(["overlay", "host", "rm", &id]).status.success());
    assert_eq!((cluster.keys("nets/net/blocks/").len(), cluster.keys("hosts/").len()), (1, 1));
    eventually("its way is gone", || cluster.nodes[0].host.shell("ip route show proto 142").lines().count() == 1);
}

#[test]
fn a_host_that_is_silent_for_long_loses_its_blocks_where_that_is_wished() {
    let mut cluster = Cluster::with(3, &json!({"timeToLive": 2, "reclaimAfter": 2}));
    cluster.create(&["net"]);
    let [(a, _), _] = pair(&cluster);
    let last = cluster.nodes[2].host.container("last");
    let address = cluster.nodes[2].attach(&last, "net");
    let blocks = cluster.keys("nets/net/blocks/");
    cluster.nodes[2].kill_agent();
    eventually("its block is free", || {
        cluster.keys("nets/net/blocks/").len() == 2 && cluster.keys("hosts/").len() == 2
    });
    for node in &cluster.nodes[..2] {
        eventually("nobody has a way there", || node.host.shell("ip route show proto 142").lines().count() == 2);
        assert_eq!(node.agent()["problems"], json!([]));
    }
    // It was not dead, and nobody has its block: that is its own again.
    cluster.nodes[2].start_agent();
    eventually("it has it again", || cluster.keys("nets/net/blocks/") == blocks);
    eventually("its container is reached", || a.try_run(["ping", "-c1", "-W1", &address]).status.success());
}

#[test]
fn a_host_that_was_restarted_has_the_same_blocks() {
    let mut cluster = Cluster::new(2, 60);
    cluster.create(&["net"]);
    let [(_, address), (b, _)] = pair(&cluster);
    let (id, blocks) = (cluster.nodes[0].id(), cluster.nodes[0].state("net")["blocks"].clone());
    cluster.nodes[0].kill_agent();
    let host = &cluster.nodes[0].host;
    host.shell("ip netns del c; ip link del overlay4097; nft flush ruleset; ip route flush proto 142; rm -r /run/ferrocni /var/lib/cni/overlay/net/.ferrocni");
    host.shell("for file in /var/lib/cni/overlay/net/10.*; do touch -d '2000-01-01' $file; done");
    cluster.nodes[0].start_agent();
    cluster.nodes[0].wait_until_connected();
    let again = cluster.nodes[0].host.container("again");
    let result = cluster.nodes[0].attach(&again, "net");
    assert_eq!((cluster.nodes[0].id(), &cluster.nodes[0].state("net")["blocks"]), (id, &blocks));
    b.assert_pings(&result);
    let _ = address;
}

/// The host is with the minority of etcd's members.
#[test]
fn a_partitioned_host_reaches_whom_it_reaches_and_catches_up_with_the_majority() {
    let cluster = Cluster::of_members(2);
    cluster.create(&["net"]);
    let [(a, address_of_a), (b, address_of_b)] = pair(&cluster);
    let [minority, majority] = [&cluster.nodes[0], &cluster.nodes[2]];
    minority.cut_off();
    eventually("its agent knows", || minority.agent()["connected"] == json!(false));
    eventually("the others miss it", || majority.agent()["alive"] == json!(2));
    a.assert_pings(&address_of_b);
    b.assert_pings(&address_of_a);
    let more = minority.host.container("more");
    b.assert_pings(&minority.attach(&more, "net"));
    let elsewhere = minority.host.container("elsewhere");
    let wish = minority.plugin(&elsewhere, "net").args("IP=10.128.255.254").command("ADD").run().error();
    assert_eq!(wish.code, 11, "{wish:?}");
    // The majority decides without it.
    let late = majority.host.container("late");
    let address = majority.attach(&late, "net");
    eventually("the majority knows the way", || b.try_run(["ping", "-c1", "-W1", &address]).status.success());
    assert_eq!(majority.agent()["connected"], json!(true));
    minority.join_again();
    eventually("it knows the way, too", || a.try_run(["ping", "-c1", "-W1", &address]).status.success());
    eventually("its containers are told again", || cluster.keys("nets/net/names/").len() == 4);
    assert_eq!(cluster.keys("nets/net/blocks/").len(), 3, "nobody else got its block");
}

#[test]
fn the_leader_of_etcd_is_lost() {
    let mut cluster = Cluster::of_members(5);
    cluster.create(&["net"]);
    let [(a, _), (_, address_of_b)] = pair(&cluster);
    let leader = cluster.leader();
    cluster.nodes[leader].kill_member();
    a.assert_pings(&address_of_b);
    let late = cluster.nodes[2].host.container("late");
    eventually("another leader decides", || cluster.nodes[2].try_attach(&late, "net").is_ok());
    let result = late.addresses("eth0")[0].clone();
    let (address, _) = result.split_once('/').expect("an address");
    eventually("others hear of it", || a.try_run(["ping", "-c1", "-W1", address]).status.success());
    for node in &cluster.nodes {
        eventually("nobody is missing", || {
            node.agent()["connected"] == json!(true) && node.agent()["alive"] == json!(3)
        });
    }
    cluster.nodes[leader].start_member();
    cluster.wait_for_etcd();
    eventually("all are told", || cluster.keys("nets/net/names/").len() == 3);
    a.assert_pings(&address_of_b);
}

#[test]
fn the_majority_of_etcd_is_lost_and_comes_back() {
    let mut cluster = Cluster::of_members(2);
    cluster.create(&["net"]);
    let [(a, address_of_a), (b, address_of_b)] = pair(&cluster);
    let blocks = cluster.keys("nets/net/blocks/");
    let before = [ways(&cluster.nodes[0]), ways(&cluster.nodes[1])];
    cluster.nodes[1].kill_member();
    cluster.nodes[2].kill_member();
    for node in &cluster.nodes {
        eventually("the agent knows", || node.agent()["connected"] == json!(false));
    }
    // Longer than every lease.
    std::thread::sleep(std::time::Duration::from_secs(4));
    a.assert_pings(&address_of_b);
    let more = cluster.nodes[0].host.container("more");
    b.assert_pings(&cluster.nodes[0].attach(&more, "net"));
    let late = cluster.nodes[2].host.container("late");
    let refused = cluster.nodes[2].try_attach(&late, "net").error();
    assert!(refused.code == 11 && format!("{refused:?}").contains("etcd"), "{refused:?}");
    cluster.nodes[1].start_member();
    cluster.nodes[2].start_member();
    cluster.wait_for_etcd();
    for node in &cluster.nodes {
        eventually("the agent is back", || {
            node.agent()["connected"] == json!(true) && node.agent()["alive"] == json!(3)
        });
    }
    eventually("containers are told again", || cluster.keys("nets/net/names/").len() == 3);
    assert_eq!(cluster.keys("nets/net/blocks/"), blocks);
    assert_eq!([ways(&cluster.nodes[0]), ways(&cluster.nodes[1])], before);
    b.assert_pings(&address_of_a);
    eventually("there are new blocks", || cluster.nodes[2].try_attach(&late, "net").is_ok());
}

#[test]
fn a_killed_agent_leaves_everything_as_it_is_and_the_next_mends_what_was_changed() {
    let mut cluster = Cluster::new(2, 60);
    cluster.create(&["--ipv6", "net"]);
    let [(a, _), (_, address_of_b)] = pair(&cluster);
    let before = ways(&cluster.nodes[0]);
    cluster.nodes[0].kill_agent();
    assert_eq!(ways(&cluster.nodes[0]), before);
    a.assert_pings(&address_of_b);
    let more = cluster.nodes[0].host.container("more");
    a.assert_pings(&cluster.nodes[0].attach(&more, "net"));
    cluster.nodes[0].start_agent();
    cluster.nodes[0].wait_until_connected();
    assert_eq!(ways(&cluster.nodes[0]), before);
    for damage in [
        "bridge fdb del $(bridge fdb show dev overlay4097 | head -n 1 | cut -d ' ' -f 1) dev overlay4097",
        "ip neigh flush dev overlay4097 nud permanent",
        "ip route flush dev overlay4097",
        "ip route flush proto 142",
        "ip addr flush dev overlay4097",
        "ip link set overlay4097 down",
        "ip link del overlay4097",
        "nft flush ruleset",
    ] {
        cluster.nodes[0].kill_agent();
        cluster.nodes[0].host.shell(damage);
        cluster.nodes[0].start_agent();
        let node = &cluster.nodes[0];
        let without_index = |text: String| {
            text.lines().map(|line| line.split_once(": ").map_or(line, |(_, rest)| rest).to_owned()).collect::<Vec<_>>()
        };
        let is_whole = || {
            node.host.try_run(["ip", "link", "show", "overlay4097"]).status.success()
                && node.host.try_run(["nft", "list", "table", "inet", "ferrocni_overlay"]).status.success()
                && without_index(ways(node)) == without_index(before.clone())
        };
        eventually(damage, is_whole);
    }
    a.assert_pings(&address_of_b);
}
