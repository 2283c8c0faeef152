//! `ferrocni overlay check`.

use serde_json::Value;
use tests::Inside as _;
use tests::cluster::Cluster;

/// Whether all is well, and what is said of each address of the third host.
fn check(cluster: &Cluster) -> (bool, Vec<String>) {
    let said = cluster.nodes[0].host.ferrocni(["overlay", "check", "--format", "json"]);
    let objects = said.stdout.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let of_third = objects.filter(|object| object["Host"] == "node3");
    (said.status.success(), of_third.map(|object| object["Result"].as_str().expect("a text").to_owned()).collect())
}

#[test]
fn what_is_in_the_way_is_told() {
    let mut cluster = Cluster::new(3, 60);
    cluster.create(&["--ipv6", "net"]);
    for node in &cluster.nodes {
        node.attach(&node.host.container("c"), "net");
    }
    assert_eq!(check(&cluster), (true, vec!["ok".to_owned(), "ok".to_owned()]));
    let unknown = cluster.nodes[0].host.ferrocni(["overlay", "check", "other"]);
    assert!(!unknown.status.success() && unknown.stderr.contains("has not joined"), "{unknown}");

    let told = |cluster: &Cluster, block: &str, word: &str| {
        cluster.nodes[2].host.shell(&format!(
            "nft add table inet cut; nft add chain inet cut i '{{ type filter hook input priority -400; }}'
             nft add rule inet cut i {block} drop"
        ));
        let (all, results) = check(cluster);
        assert!(!all && results.len() == 2 && results.iter().all(|result| result.contains(word)), "{results:?}");
        cluster.nodes[2].host.shell("nft delete table inet cut");
    };
    told(&cluster, "udp dport 4789", "VXLAN port");
    told(&cluster, "iifname uplink meta length 1400-65535", "not to packets of 1450 bytes");
    told(&cluster, "iifname uplink", "does not answer");
    cluster.nodes[2].kill_agent();
    assert!(check(&cluster).0, "the agent is in no packet's way");
}
