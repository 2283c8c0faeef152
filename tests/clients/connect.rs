//! `ferrocni network connect` on running containers of Podman and containerd.

use serde_json::Value;
use tests::{Container, Host, Inside as _};

use crate::machine::assert_nothing_left;
use crate::{containerd, podman};

#[track_caller]
fn address_of(container: &Container, interface: &str) -> String {
    container.addresses(interface)[0].split('/').next().unwrap().to_owned()
}

#[track_caller]
fn containers_on(host: &Host, network: &str) -> Vec<(String, String)> {
    let printed = host.ferrocni(["network", "inspect", network]).ok();
    let inspected: Value = serde_json::from_str(&printed).unwrap();
    let containers = inspected[0]["Containers"].as_object().unwrap().values();
    let text = |container: &Value, key: &str| container[key].as_str().unwrap().to_owned();
    let mut containers: Vec<_> =
        containers.map(|container| (text(container, "Name"), text(container, "Runtime"))).collect();
    containers.sort();
    containers
}

#[test]
fn containers_of_podman_and_containerd_reach_each_other() {
    let host = podman::host_with_podman();
    let _containerd = containerd::start_containerd(&host);
    containerd::publish(&host, "[]");
    let _ = host.ferrocni(["network", "create", "--subnet", "10.9.0.0/24", "both"]).ok();
    podman::podman(&host, "network create --subnet 10.8.0.0/24 own");
    let before = host.snapshot();
    let (web, _) = podman::run(&host, "web", "--network own");
    let peer = containerd::run(&host, "peer");
    let connected = host.ferrocni(["network", "connect", "both", "web"]);
    assert!(connected.stderr.contains("`podman network connect both web`"), "{connected}");
    let _ = host.ferrocni(["network", "connect", "--ip", "10.9.0.77", "both", &peer.id]).ok();
    let expected = [(peer.id.as_str(), "containerd"), ("web", "podman")];
    assert_eq!(containers_on(&host, "both"), expected.map(|(name, engine)| (name.to_owned(), engine.to_owned())));
    assert_eq!(containers_on(&host, "own"), [("web".to_owned(), "podman".to_owned())]);

    let (server, other_server) = (web.listen_tcp(80), peer.container.listen_tcp(80));
    peer.container.assert_reaches_tcp(&format!("{}:80", address_of(&web, "eth1")));
    assert_eq!(web.assert_reaches_tcp("10.9.0.77:80").ip().to_string(), address_of(&web, "eth1"));
    drop((server, other_server));

    let refused = host.ferrocni(["network", "disconnect", "own", "web"]);
    assert!(refused.stderr.contains("`podman network disconnect own web`"), "{refused}");
    let _ = host.ferrocni(["network", "disconnect", "both", "web"]).ok();
    assert_eq!(web.links(), ["lo", "eth0"]);
    let _ = host.ferrocni(["network", "connect", "both", "web"]).ok();

    podman::podman(&host, "run -d --name alone --network none box /bin/busybox sleep 1000");
    let pid = podman::podman(&host, "inspect -f {{.State.Pid}} alone");
    let _ = host.ferrocni(["network", "connect", "both", pid.trim()]).ok();
    web.assert_pings("10.9.0.77");
    host.container_at("alone", format!("/proc/{}/ns/net", pid.trim()).as_ref()).assert_pings("10.9.0.77");
    assert_eq!(containers_on(&host, "both").len(), 3);

    // All end without a DEL for what they know nothing of.
    drop(web);
    podman::podman(&host, "rm -f -t0 web alone");
    containerd::stop(&host, peer);
    assert_eq!(containers_on(&host, "both"), []);
    assert_nothing_left(&host, &before, &[]);
}
