//! `scripts/quickstart.sh`, which is the first thing that anybody sees of ferrocni, and `scripts/quickstart-overlay.sh`.

use std::path::Path;

use tests::{Host, Inside as _, bin_dir};

#[test]
fn the_quickstart_can_be_run_twice_and_leaves_the_host_as_it_was() {
    let host = Host::new();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/quickstart.sh");
    let plugins = format!("CNI_BIN_DIR={}", bin_dir().display());
    let (before, rules) = (host.snapshot(), host.run(["nft", "list", "ruleset"]));
    for _ in 0..2 {
        let said = host.run(["env", &plugins, "bash", script.to_str().unwrap()]);
        for step in [
            "a container pings web",
            "a container pings the host",
            "127.0.0.1:18080 ",
            "10.210.253.2",
            "0 links and 0 namespaces",
        ] {
            assert!(said.contains(step), "{step:?} is not in {said}");
        }
        assert_eq!(said.matches("hello from container web").count(), 3, "{said}");
        host.snapshot().assert_nothing_since(&before);
        assert_eq!(host.run(["nft", "list", "ruleset"]), rules, "not even the empty tables");
        assert_eq!(host.read("/proc/sys/net/ipv4/ip_forward").unwrap().trim(), "0");
    }
}

#[test]
fn the_quickstart_of_many_hosts_leaves_nothing() {
    let host = Host::new();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/quickstart-overlay.sh");
    let programs = format!("CNI_BIN_DIR={}", bin_dir().display());
    let before = host.snapshot();
    let said = host.run(["env", &programs, "bash", script.to_str().unwrap()]);
    for step in ["host three is dead", "ferrocni overlay host rm three", "everything is removed"] {
        assert!(said.contains(step), "{step:?} is not in {said}");
    }
    let answers =
        |what: &str| said.lines().filter(|line| line.starts_with(what) && line.contains("hello from host ")).count();
    let encrypted = said.matches("ferrocni overlay check encrypted").count();
    for (network, is_there) in [("plain", 1), ("encrypted", encrypted)] {
        assert_eq!(answers(&format!("{network}: a container on host")), 9 * is_there, "{said}");
        assert_eq!(answers(&format!("{network}: port")), 3 * is_there, "{said}");
    }
    assert_eq!((answers("and the others go on"), answers("port 8080 of")), (1, 1), "after one has died: {said}");
    host.snapshot().assert_nothing_since(&before);
    assert_eq!(host.run(["ip", "-o", "link"]).lines().count(), 1, "lo");
}
