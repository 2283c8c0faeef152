use tests::Inside as _;
use tests::cluster::Cluster;

#[test]
fn containers_on_different_hosts_reach_each_other() {
    let cluster = Cluster::new(3, 60);
    cluster.create(&["--ipv6", "net"]);
    let containers: Vec<_> = cluster.nodes.iter().map(|node| node.host.container("c")).collect();
    let results: Vec<_> = cluster
        .nodes
        .iter()
        .zip(&containers)
        .map(|(node, container)| node.try_attach(container, "net").ok())
        .collect();
    for (server, result) in containers.iter().zip(&results) {
        let _server = (server.listen_tcp(80), server.listen_udp(80));
        for (client, own) in containers.iter().zip(&results) {
            for family in 0..2 {
                let to = format!("{}:80", tests::address(result, family));
                let seen = client.assert_reaches_tcp(&to);
                assert_eq!(seen.ip().to_string(), tests::address(own, family).trim_matches(['[', ']']));
                client.assert_reaches_udp(&to);
            }
        }
    }
    for (node, container) in cluster.nodes.iter().zip(&containers) {
        node.plugin(container, "net").command("CHECK").run();
        node.detach(container, "net");
    }
}
