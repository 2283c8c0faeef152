//! Containers of Podman and of containerd on different hosts, on one network.

use std::net::IpAddr;

use tests::cluster::{Cluster, Node, eventually};
use tests::{Container, Inside as _, names};

use crate::machine::{Addresses, install, install_names, make_folder_of_plugins, make_root_file_system};
use crate::{containerd, podman};

/// A container, what it is called, and its addresses.
type Known<'a> = (&'a Container, &'a str, &'a Addresses);

#[test]
fn podman_s_and_containerd_s_containers_on_two_hosts_reach_each_other_by_address_and_name() {
    let cluster = Cluster::new(2, 60);
    cluster.create(&["--ipv6", "net"]);
    let _ = cluster.nodes[1].create(&["net"]).ok();
    let [here, there] = [0, 1].map(|number| &cluster.nodes[number]);
    for node in [here, there] {
        make_folder_of_plugins(&node.host);
        install_names(&node.host);
        install(&node.host, &["overlay"]);
    }
    podman::set_up(&here.host);
    make_root_file_system(&there.host);
    let _containerd = containerd::start_containerd(&there.host);
    // Every host has its devices by then, and the way to the other.
    let first = [here, there].map(|node| node.host.container("first"));
    let [to_here, to_there] = [0, 1].map(|number| cluster.nodes[number].attach(&first[number], "net"));
    let reaches = |container: &Container, to: &str| container.try_run(["ping", "-c1", "-W1", to]).status.success();
    eventually("both hosts know the way", || reaches(&first[0], &to_there) && reaches(&first[1], &to_here));
    let before = [here, there].map(|node| node.host.snapshot());

    let (web, addresses) = podman::run(&here.host, "web", "--network net --network-alias www -p 8080:80");
    let peer = containerd::run_on(&there.host, "net", "peer");
    assert_reach((&web, "web", &addresses), (&peer.container, &peer.id, &peer.addresses));
    eventually("by the alias, too", || !names::addresses(&peer.container, "www").is_empty());
    let server = web.listen_tcp(80);
    peer.container.assert_reaches_tcp("192.0.2.1:8080");
    there.host.assert_reaches_tcp("192.0.2.1:8080");

    drop((server, web));
    podman::podman(&here.host, "rm -f -t0 web");
    eventually("its name is gone with it", || names::addresses(&peer.container, "web").is_empty());
    containerd::stop(&there.host, peer);
    eventually("nobody is left but the first", || told(&cluster, here) == 1 && told(&cluster, there) == 1);
    for (node, before) in [here, there].iter().zip(&before) {
        node.host.snapshot().assert_nothing_since(before);
    }
}

/// How many of a host's containers others are told of.
fn told(cluster: &Cluster, node: &Node) -> usize {
    cluster.keys(&format!("nets/net/names/{}/", node.id())).len()
}

/// Each way: by both addresses, seen as itself, and by name.
#[track_caller]
fn assert_reach(one: Known<'_>, other: Known<'_>) {
    for ((client, _, own), (server, name, addresses)) in [(one, other), (other, one)] {
        let (_tcp, _udp) = (server.listen_tcp(80), server.listen_udp(80));
        for (address, own) in [(&addresses.v4, &own.v4), (&addresses.v6, &own.v6)] {
            let seen = client.assert_reaches_tcp(&format!("{address}:80"));
            assert_eq!(seen.ip().to_string(), own.trim_matches(['[', ']']), "as itself");
            client.assert_reaches_udp(&format!("{address}:80"));
        }
        let wanted: [IpAddr; 2] =
            [&addresses.v4, &addresses.v6].map(|address| address.trim_matches(['[', ']']).parse().unwrap());
        eventually(name, || names::addresses(client, name) == wanted);
    }
}
