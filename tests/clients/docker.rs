//! The lines of docs/docker.md, with containers of Podman and containerd on the same networks.

use std::path::PathBuf;

use serde_json::Value;
use tests::{Container, Host, Inside as _, docker_page, names};

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

/// What programs in the container find under a name.
#[track_caller]
fn found(container: &Container, name: &str) -> Vec<String> {
    names::addresses(container, name).iter().map(ToString::to_string).collect()
}

/// How a web server is asked for a file, once.
fn fetch(url: &str) -> [&str; 7] {
    ["wget", "-q", "-T5", "-t1", "-O", "/dev/null", url]
}

/// Whether nobody answers, which is not waited for as long as an answer.
fn is_dead(outside: &Host, url: &str) -> bool {
    !outside.try_run(["wget", "-q", "-T1", "-t1", "-O", "/dev/null", url]).status.success()
}

/// `ps` and `topology` have them, with who runs them.
#[track_caller]
fn assert_shown(host: &Host, of_front: &str, back: &str) {
    let listed = host.ferrocni(["ps", "-a", "--format", "{{.Names}} {{.Networks}} {{.Ports}}"]).ok();
    for line in ["front app,web 0.0.0.0:8090->8000/tcp", &format!("{back} ctr,app,web ")] {
        assert!(listed.lines().any(|shown| shown == line), "{line}: {listed}");
    }
    let tree = host.ferrocni(["topology", "web"]).ok();
    let is_shown =
        |row: String| tree.lines().any(|line| line.split_whitespace().collect::<Vec<_>>().join(" ").contains(&row));
    for row in [
        format!("─ front eth0 {of_front}/16 podman 8090→8000/tcp"),
        format!("─ {back} eth1 "),
        "─ server eth0 ".to_owned(),
    ] {
        assert!(is_shown(row), "{tree}");
    }
}

/// Ports that Podman and `run` have published are dead after a flush, and answer again.
#[track_caller]
fn assert_reload_brings_back(host: &Host, outside: &Host, urls: &[&str]) {
    let fetch_all = || urls.iter().for_each(|url| drop(outside.run(fetch(url))));
    fetch_all();
    host.run(["nft", "flush", "ruleset"]);
    assert!(urls.iter().all(|url| is_dead(outside, url)));
    let _ = host.ferrocni(["reload"]).ok();
    fetch_all();
}

#[test]
fn the_page_s_scene_passes_beside_containers_of_podman_and_containerd() {
    let host = podman::host_with_podman();
    install_names(&host);
    let outside = host.neighbour();
    let _containerd = containerd::start_containerd(&host);
    containerd::publish(&host, "[]");
    let lines = docker_page::lines();
    let starts = |words: &str| lines.iter().position(|line| line.starts_with(words)).unwrap();
    let (run, ps, rm) = (starts("ferrocni run"), starts("ferrocni ps"), starts("ferrocni network rm"));
    let before = host.snapshot();
    for line in &lines[..run] {
        docker_page::type_line(&host, line);
    }
    let (front, of_front) = podman::run(&host, "front", "--network web -p 8090:8000");
    podman(&host, "network connect app front");
    podman(&host, "exec -d front /bin/busybox httpd -f -p 8000 -h /bin");
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
    assert_shown(&host, &of_front.v4, back_s_name);

    let of_server = server.addresses("eth0")[0].split('/').next().unwrap().to_owned();
    server.assert_pings(&of_front.v4);
    for neighbour in [&front, &back.container] {
        neighbour.run(fetch("http://10.20.0.200:80/etc/hostname"));
        neighbour.run(fetch(&format!("http://{of_server}:80/etc/hostname")));
        assert_eq!(found(neighbour, "server"), [of_server.as_str()]);
        assert_eq!(found(neighbour, "fixed"), ["10.20.0.200"]);
    }
    assert_eq!(found(&server, "front"), [of_front.v4.as_str()]);
    for typed in [&fetch("http://front:8000/busybox")[..], &["ping", "-c1", "-W5", back_s_name]] {
        let _ = host.ferrocni([&["run", "--rm", "--network", "web"], typed].concat()).ok();
    }
    drop(server);
    let published = ["http://192.0.2.1:8090/busybox", "http://192.0.2.1/etc/hostname"];
    assert_reload_brings_back(&host, &outside, &published);

    for line in &lines[ps..rm] {
        docker_page::type_line(&host, line);
    }
    // The page's own containers are gone by now, so these are the only ones in the way.
    let refused = host.ferrocni(["network", "rm", "web", "app"]);
    assert_eq!(refused.status.code(), Some(2), "{refused}");
    for network in ["web", "app"] {
        let in_use = refused.stderr.lines().find(|line| line.contains(&format!("network {network} is in use by ")));
        assert!(in_use.is_some_and(|line| line.contains("front") && line.contains(back_s_name)), "{refused}");
    }
    let pruned = host.ferrocni(["network", "prune", "-f"]).ok();
    let mut pruned: Vec<_> = pruned.lines().skip(1).collect();
    pruned.sort_unstable();
    assert_eq!(pruned, ["apart", "db", "dual", "lan", "routed", "small", "vlan33"]);
    outside.run(fetch(published[0]));
    drop(front);
    podman(&host, "rm -f -t 0 front");
    containerd::stop(&host, back);
    for line in &lines[rm..] {
        docker_page::type_line(&host, line);
    }
    let _ = host.ferrocni(["network", "rm", "bridge"]).ok();
    assert_nothing_left(&host, &before, &[]);
}
