//! `examples/attach.rs`.

use std::fs;
use std::process::{Command, Output};

use crate::Scene;

/// Cargo builds examples beside the folder of the tests.
fn attach(scene: &Scene, arguments: &[&str]) -> Output {
    let exe = std::env::current_exe().unwrap();
    let folder = scene.folder.path();
    let mut attach = Command::new(exe.ancestors().nth(2).unwrap().join("examples/attach"));
    attach.env("CNI_PATH", folder).env("NETCONFPATH", folder).env("CNI_CACHE", folder).env("CAP_ARGS", r#"{"all": 1}"#);
    attach.args(arguments).output().unwrap()
}

#[test]
fn what_it_attaches_it_lists_checks_and_detaches() {
    let scene = Scene::new();
    let network = scene.network("1.0.0", ["one", "two"]);
    fs::write(scene.path("net.conflist"), network.text()).unwrap();
    let said = |arguments: &[&str]| {
        let output = attach(&scene, arguments);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(said(&["add", "net", "c1", "/run/netns/c1"]), "{\"cniVersion\":\"1.0.0\"}\n");
    assert_eq!(said(&["list"]), "container c1 on network net (interface eth0)\n");
    said(&["check", "net", "c1"]);
    assert!(scene.environment("two.CHECK").contains(&"CNI_NETNS=/run/netns/c1".to_owned()));
    said(&["del", "net", "c1"]);
    assert_eq!(scene.stdin("one.DEL")["runtimeConfig"]["all"], 1);
    assert_eq!(said(&["list"]), "");
    said(&["del", "net", "c1"]);
    let output = attach(&scene, &["add", "other", "c1", "/run/netns/c1"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("no network other in"), "{output:?}");
}
