//! The lines of docs/docker.md, with containers of Podman and containerd on the same networks.

use std::path::PathBuf;

use serde_json::Value;
use tests::{Container, Host, Inside as _, docker_page};

use crate::containerd;
use crate::machine::{assert_nothing_left, install_names};
use crate::podman::{self, podman};

/// Names and runtimes of a network's containers, sorted.
#[track_caller]
fn on(host: &Host, network: &str) -> Vec<String> {
    let inspected: Value = serde_json::from_str(&host.ferrocni(["network", "inspect", network]).ok()).unwrap();
    let text = |container: &Value, key: &str| container[key].as_str().unwrap().to_owned();
    let containers = inspected[0]["Containers"].as_object().unwrap().values();
    let mut on: Vec<_> = containers.map(|one| format!("{} ({})", text(one, "Name"), text(one, "Runtime"))).collect();
    on.sort();
    on
}

#[track_caller]
fn container_of_ours(host: &Host, name: &str) -> Container {
    let id = host.ferrocni(["ps", "--filter", &format!("name={name}"), "--format", "{{.ID}}"]).ok();
    host.container_at(name, &PathBuf::from(format!("/run/netns/ferrocni-{}", id.trim())))
}

#[test]
fn the_page_s_scene_passes_beside_containers_of_podman_and_containerd() {
    let host = podman::host_with_podman();
    install_names(&host);
    let _outside = host.neighbour();
    let _containerd = containerd::start_containerd(&host);
    containerd::publish(&host, "[]");
    let lines = docker_page::lines();
    let starts = |words: &str| lines.iter().position(|line| line.starts_with(words)).unwrap();
    let (run, ps, rm) = (starts("ferrocni run"), starts("ferrocni ps"), starts("ferrocni network rm"));
    let before = host.snapshot();
    for line in &lines[..run] {
        docker_page::type_line(&host, line);
    }
    let (front, of_front) = podman::run(&host, "front", "--network web");
    podman(&host, "network connect app front");
    let back = containerd::run(&host, "back");
    for network in ["web", "app"] {
        let _ = host.ferrocni(["network", "connect", network, &back.id]).ok();
    }
    for line in &lines[run..ps] {
        docker_page::type_line(&host, line);
    }
    let (back_s_name, server) = (&back.id, container_of_ours(&host, "server"));
    let own = ["all", "local", "random", "server"].map(|name| format!("{name} (ferrocni)"));
    let mut expected = [&own[..], &[format!("{back_s_name} (containerd)"), "front (podman)".to_owned()]].concat();
    expected.sort();
    assert_eq!(on(&host, "web"), expected);
    assert_eq!(on(&host, "app"), [&format!("{back_s_name} (containerd)"), "fixed (ferrocni)", "front (podman)"]);
    server.assert_pings(&of_front.v4);
    for neighbour in [&front, &back.container] {
        neighbour.run(["wget", "-q", "-T", "5", "-O", "/dev/null", "http://10.20.0.200:80/etc/hostname"]);
    }
    drop(server);
    for line in &lines[ps..rm] {
        docker_page::type_line(&host, line);
    }
    let refused = host.ferrocni(["network", "rm", "web", "app"]);
    let in_use = |network: &str| format!("network {network} is in use by ");
    assert!(
        refused.status.code() == Some(2)
            && ["web", "app"].map(in_use).iter().all(|words| refused.stderr.contains(words)),
        "{refused}"
    );
    drop(front);
    podman(&host, "rm -f -t 0 front");
    containerd::stop(&host, back);
    for line in &lines[rm..] {
        docker_page::type_line(&host, line);
    }
    let _ = host.ferrocni(["network", "rm", "bridge"]).ok();
    assert_nothing_left(&host, &before, &[]);
}
