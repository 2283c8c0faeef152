//! Names, sockets and namespaces come and go, and so does the server.

use std::path::Path;

use cni::Attachment;
use serde_json::json;
use tests::Inside as _;

use super::client::{ask, ask_tcp, resolve};
use super::scene::{Scene, redirect, until};

fn listening(inside: &impl tests::Inside) -> usize {
    inside.shell("ss -Hlntu").lines().count()
}

#[test]
fn a_name_that_is_forgotten_is_gone_at_once_with_its_sockets() {
    let scene = Scene::new();
    let web = scene.named("web", "net", json!({"addresses": ["10.1.0.2"], "forward": false}));
    let db = scene.named("db", "net", json!({"addresses": ["10.1.0.3"], "forward": false}));
    assert_eq!(resolve(&web, "db", "A"), ["10.1.0.3"]);
    let mut open = super::client::connect(&db).unwrap();
    scene.unlink(&db.attachment);
    for _ in 0..2 {
        scene.forget(&db.attachment).unwrap();
        assert_eq!(ask(&web, "db", "A").code, "NXDOMAIN");
        assert_eq!(listening(&db), 0);
    }
    assert!(super::client::read(&mut open).is_err(), "connections end too");
    assert_eq!(scene.status().unwrap().namespaces, 1);
}

#[test]
fn the_last_record_of_a_namespace_takes_its_sockets_along() {
    let scene = Scene::new();
    let one = scene.named("web", "a", json!({"addresses": ["10.1.0.2"], "forward": false}));
    let other = scene.attach(one.inside, "b", "eth1", json!({"addresses": ["10.2.0.2"], "forward": false}));
    let first = Attachment::new("a", "web", "eth0").unwrap();
    assert_eq!(listening(&other), 2);
    scene.forget(&first).unwrap();
    assert_eq!(resolve(&other, "web", "A"), ["10.2.0.2"]);
    scene.serve(&first).unwrap();
    scene.forget(&other.attachment).unwrap();
    assert_eq!(resolve(&other, "web", "A"), ["10.1.0.2"]);
    scene.forget(&first).unwrap();
    assert_eq!(listening(&other), 0);
}

#[test]
fn a_record_that_has_changed_is_read_again() {
    let scene = Scene::new();
    let web = scene.named("web", "net", json!({"addresses": ["10.1.0.2"]}));
    let record = json!({"name": "shop", "addresses": ["10.1.0.9"], "domain": "example", "listen": "direct"});
    scene.write(&web.attachment, &web.inside, record);
    scene.serve(&web.attachment).unwrap();
    assert_eq!(listening(&web), 2, "one place only");
    web.shell("nft delete table ip ferrocni_dns");
    assert_eq!(resolve(&web, "shop", "A"), ["10.1.0.9"]);
    assert_eq!(ask(&web, "web.example", "A").code, "NXDOMAIN");
}

/// A socket keeps a namespace alive, and a container's links with it.
#[test]
fn a_namespace_that_is_deleted_is_let_go() {
    let scene = Scene::new();
    let web = scene.named("web", "net", json!({"addresses": ["10.1.0.2"], "forward": false}));
    let lost = scene.named("lost", "net", json!({"addresses": ["10.1.0.3"], "forward": false}));
    scene.host.shell("ip link add lostend type veth peer name eth0 netns lost");
    let _lost = scene.host.lose(lost.inside);
    until(|| scene.status().unwrap().namespaces == 1);
    assert_eq!(ask(&web, "lost", "A").code, "NXDOMAIN");
    assert!(scene.serve(&lost.attachment).unwrap_err().to_string().contains("is gone"));
    let again = scene.container("lost");
    assert!(scene.serve(&lost.attachment).unwrap_err().to_string().contains("is gone"), "another one of that path");
    drop(again);
}

#[test]
fn a_process_s_namespace_is_let_go_when_the_process_ends() {
    let scene = Scene::new();
    let web = scene.named("web", "net", json!({"addresses": ["10.1.0.2"], "forward": false}));
    let process = scene.host.shell("unshare -n sleep 1000 >/dev/null 2>&1 & echo $!");
    let path = format!("/proc/{}/ns/net", process.trim());
    let own = scene.host.run(["readlink", "/proc/1/ns/net"]);
    until(|| scene.host.try_run(["readlink", &path]).stdout != own);
    let inside = scene.host.container_at("proc", Path::new(&path));
    inside.shell("ip link set lo up");
    redirect(&inside);
    let named = scene.attach(inside, "net", "eth0", json!({"addresses": ["10.1.0.3"], "forward": false}));
    assert_eq!(resolve(&web, "proc", "A"), ["10.1.0.3"]);
    scene.host.run(["kill", process.trim()]);
    until(|| scene.status().unwrap().namespaces == 1);
    assert_eq!(ask(&web, "proc", "A").code, "NXDOMAIN");
    drop(named);
}

#[test]
fn a_server_that_was_killed_knows_all_names_again() {
    let mut scene = Scene::new();
    let web = scene.named("web", "net", json!({"addresses": ["10.1.0.2"], "forward": false}));
    let db = scene.named("db", "net", json!({"addresses": ["10.1.0.3"], "forward": false}));
    let gone = scene.named("gone", "net", json!({"addresses": ["10.1.0.4"], "forward": false}));
    scene.host.write("/run/ferrocni/names/net:broken:eth0", "{");
    scene.kill();
    assert!(scene.status().unwrap_err().is_absent());
    scene.unlink(&gone.attachment);
    scene.start();
    assert_eq!(resolve(&web, "db", "A"), ["10.1.0.3"]);
    assert_eq!(ask_tcp(&db, "web", "A").data(), ["10.1.0.2"]);
    assert_eq!(ask(&web, "gone", "A").code, "NXDOMAIN");
    let problems = scene.status().unwrap().problems;
    assert!(problems.iter().any(|problem| problem.contains("net:broken:eth0")), "{problems:?}");
}

#[test]
fn a_record_that_goes_without_a_word_is_missed() {
    let scene = Scene::new();
    let web = scene.named("web", "net", json!({"addresses": ["10.1.0.2"], "forward": false}));
    let db = scene.named("db", "net", json!({"addresses": ["10.1.0.3"], "forward": false}));
    scene.unlink(&db.attachment);
    until(|| ask(&web, "db", "A").code == "NXDOMAIN");
    until(|| listening(&db) == 0);
    scene.host.run(["rm", "-r", names::FOLDER]);
    until(|| scene.status().unwrap().records == 0);
    let db = scene.attach(db.inside, "net", "eth0", json!({"addresses": ["10.1.0.4"]}));
    assert_eq!(resolve(&db, "db", "A"), ["10.1.0.4"]);
    scene.unlink(&db.attachment);
    until(|| scene.status().unwrap().records == 0);
}

#[test]
fn there_is_one_server_a_host() {
    let mut scene = Scene::new();
    let second = scene.host.try_run([super::scene::program()]);
    assert!(!second.status.success() && second.stderr.contains("another server listens there"), "{second}");
    let mode = scene.host.run(["stat", "-c", "%a", names::SOCKET]);
    assert_eq!(mode, "600\n");
    scene.kill();
    scene.start();
}

#[test]
fn one_that_has_nothing_to_do_can_end() {
    let mut scene = Scene::new();
    scene.kill();
    scene.start_with(&["--exit-when-idle", "2"]);
    let web = scene.named("web", "net", json!({"addresses": ["10.1.0.2"]}));
    std::thread::sleep(std::time::Duration::from_secs(3));
    assert_eq!(resolve(&web, "web", "A"), ["10.1.0.2"]);
    scene.forget(&web.attachment).unwrap();
    until(|| scene.status().is_err_and(|error| error.is_absent()));
    until(|| scene.host.read(names::SOCKET).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound));
}

#[test]
fn what_cannot_be_served_says_why() {
    let scene = Scene::new();
    let taken = scene.container("taken");
    let _own = taken.spawn(["socat", "UDP4-LISTEN:53053,fork", "EXEC:cat"]);
    until(|| listening(&taken) == 1);
    let attachment = Attachment::new("net", "taken", "eth0").unwrap();
    for (prepare, words) in [(false, "there is no record net:taken:eth0"), (true, "port 53053 of 127.0.0.11")] {
        if prepare {
            scene.write(&attachment, &taken, json!({"addresses": ["10.1.0.2"]}));
        }
        let error = scene.serve(&attachment).unwrap_err();
        assert!(error.to_string().contains(words) && !error.is_absent(), "{error}");
    }
    let status = scene.status().unwrap();
    assert!(status.problems.iter().any(|problem| problem.contains("53053")) && status.records == 0, "{status:?}");
}

#[test]
fn a_container_whose_loopback_is_still_down_is_answered() {
    let scene = Scene::new();
    let web = scene.host.container("web");
    redirect(&web);
    let web = scene.attach(web, "net", "eth0", json!({"addresses": ["10.1.0.2"]}));
    assert_eq!(resolve(&web, "web", "A"), ["10.1.0.2"]);
    assert_eq!(ask_tcp(&web, "web", "A").data(), ["10.1.0.2"]);
    assert_eq!(web.link("lo")["ifalias"], "ferrocni:net/web/eth0", "the plugin knows whose work that was");
}
