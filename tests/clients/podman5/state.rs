//! What `ferrocni` shows of Podman's networks and containers, and does for them.

use serde_json::{Value, json};
use tests::{Host, Inside as _};

use super::{Addresses, BOTH, assert_nothing_left, host_with_podman, inspected, podman, run};

/// What the command prints.
#[track_caller]
fn ferrocni(host: &Host, arguments: &[&str]) -> String {
    host.ferrocni([&["--podman-networks-dir", "/run/podman/networks"], arguments].concat()).ok()
}

#[test]
fn networks_and_containers_are_listed_with_all_others() {
    let host = host_with_podman();
    podman(&host, &format!("network create --label team=a {BOTH} web"));
    let (_web, Addresses { v4, v6 }) = run(&host, "shop", "--network web --network-alias www -p 8080:80");
    let _ = run(&host, "alone", "");
    let listed = ferrocni(&host, &["network", "ls", "--format", "{{.Name}} {{.Driver}}"]);
    for line in ["web bridge", "podman bridge"] {
        assert!(listed.lines().any(|listed| listed == line), "{line}: {listed}");
    }
    let network: Value = serde_json::from_str(&ferrocni(&host, &["network", "inspect", "web"])).unwrap();
    let network = &network[0];
    assert_eq!(network["Id"].as_str(), inspected(&host, "network inspect web")["id"].as_str());
    assert_eq!(network["Labels"], json!({"team": "a"}));
    let containers = network["Containers"].as_object().unwrap();
    let container = containers.values().next().unwrap();
    assert_eq!((containers.len(), &container["Name"]), (1, &json!("shop")), "{network}");
    assert_eq!(container["IPv4Address"], json!(format!("{v4}/24")), "{container}");
    let running = ferrocni(&host, &["ps", "--all-runtimes"]);
    let line = running.lines().find(|line| line.contains("shop")).unwrap_or_else(|| panic!("{running}"));
    assert!(line.contains("web") && line.contains("8080->80/tcp"), "{running}");
    let drawn = ferrocni(&host, &["topology"]);
    assert!(drawn.contains("shop") && drawn.contains(&v4) && drawn.contains("8080"), "{drawn}");
    let names = ferrocni(&host, &["names", "ls"]);
    assert!(names.contains("shop") && names.contains("www") && names.contains(v6.trim_matches(['[', ']'])), "{names}");
    let refused = host.ferrocni(["--podman-networks-dir", "/run/podman/networks", "network", "rm", "web"]);
    assert!(refused.stderr.contains("podman network rm"), "{refused}");
    podman(&host, "rm -f -t0 -a");
}

#[test]
fn reload_brings_the_rules_back_and_doctor_finds_nothing_wrong() {
    let host = host_with_podman();
    let outside = host.neighbour();
    podman(&host, &format!("network create {BOTH} web"));
    let before = host.snapshot();
    let (web, _) = run(&host, "shop", "--network web -p 8080:80");
    let server = web.listen_tcp(80);
    host.run(["nft", "flush", "ruleset"]);
    outside.assert_blocked_tcp("192.0.2.1:8080");
    let said = ferrocni(&host, &["reload"]);
    assert!(said.contains("1 attachments"), "{said}");
    outside.assert_reaches_tcp("192.0.2.1:8080");
    outside.assert_reaches_tcp("[2001:db8::1]:8080");
    let examined = host.ferrocni(["--podman-networks-dir", "/run/podman/networks", "doctor"]);
    assert!(!examined.stdout.contains("shop"), "{examined}");
    drop((server, web));
    podman(&host, "rm -f -t0 -a");
    assert_nothing_left(&host, &before, &[]);
}
