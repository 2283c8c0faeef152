//! What others write into etcd.

use serde_json::json;
use tests::Inside as _;
use tests::cluster::{Cluster, eventually};

const STRANGER: &str = "eeeeeeee-0000-4000-8000-000000000000";

#[test]
fn nonsense_is_refused_told_and_harms_nothing_else() {
    let cluster = Cluster::new(2, 60);
    cluster.create(&["net"]);
    let containers: Vec<_> = cluster.nodes.iter().map(|node| node.host.container("c")).collect();
    let addresses: Vec<_> = cluster.nodes.iter().zip(&containers).map(|(node, c)| node.attach(c, "net")).collect();
    let reaches = || containers[0].try_run(["ping", "-c1", "-W1", &*addresses[1]]).status.success();
    eventually("both hosts know the way", reaches);
    let node = &cluster.nodes[0].host;
    let ways = || {
        node.shell("ip route show dev overlay4097; bridge fdb show dev overlay4097; ip neigh show dev overlay4097 nud permanent")
    };
    let before = ways();
    for (key, value) in [
        ("nets/net/blocks/banana".to_owned(), json!(STRANGER)),
        ("nets/net/blocks/192.0.2.0-26".to_owned(), json!(STRANGER)),
        ("nets/net/blocks/10.128.0.0-16".to_owned(), json!(STRANGER)),
        ("nets/net/blocks/10.128.255.192-26".to_owned(), json!({"not": "a host"})),
        ("nets/net/addrs/10.128.255.192-26/192.0.2.9".to_owned(), json!({})),
        (format!("hosts/{STRANGER}"), json!({"name": "n".repeat(10_000), "underlay": ["192.0.2.9"], "mtu": 1500})),
        ("hosts/../../x".to_owned(), json!({"name": "x", "underlay": ["127.0.0.1"], "mtu": 1500})),
        (format!("nets/net/names/{STRANGER}/c:eth0"), json!({"addresses": [], "name": "n".repeat(10_000)})),
        ("nets/net/x\u{1b}[2J".to_owned(), json!(1)),
    ] {
        cluster.put(&key, &value);
    }
    eventually("it is counted", || cluster.nodes[0].agent()["nonsense"] == json!(9));
    assert_eq!(ways(), before);
    containers[0].assert_pings(&addresses[1]);
    // Even the network itself.
    cluster.put("nets/net/config", &json!([]));
    eventually("it is told", || {
        cluster.nodes[0].agent()["problems"].to_string().contains("nets/net/config is ignored")
    });
    containers[0].assert_pings(&addresses[1]);
    assert_eq!(ways(), before);
}
