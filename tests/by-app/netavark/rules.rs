//! Firewalls that are flushed, and many containers at once.

use std::path::Path;

use serde_json::json;
use tests::{Inside as _, at_once, netavark};

use super::{container, web};

/// What `podman network reload` does: a teardown and a setup with what the container has.
#[test]
fn reload_brings_everything_back_after_a_flush() {
    let host = netavark::host();
    let outside = host.neighbour();
    let c1 = container(&host, "c1");
    let call = host.netavark(&c1).on(&web(), "eth0", &["10.1.0.9", "fd00:1::9"]).port("tcp", 8080, 80);
    host.assert_leaves_nothing(|| {
        let mac = call.setup().ok()["web"]["interfaces"]["eth0"]["mac_address"].clone();
        host.run(["nft", "flush", "ruleset"]);
        let server = c1.listen_tcp(80);
        outside.assert_blocked_tcp("192.0.2.1:8080");
        let attachment = json!({"interface_name": "eth0", "static_ips": ["10.1.0.9", "fd00:1::9"], "static_mac": mac});
        let call = host.netavark(&c1).on_with(&web(), &attachment).port("tcp", 8080, 80);
        call.teardown().ok();
        assert_eq!(call.setup().ok()["web"]["interfaces"]["eth0"]["mac_address"], mac);
        outside.assert_reaches_tcp("192.0.2.1:8080");
        outside.assert_reaches_tcp("[2001:db8::1]:8080");
        drop(server);
        call.teardown().ok();
    });
}

#[test]
fn firewall_reload_brings_the_rules_of_running_containers_back() {
    let host = netavark::host();
    let outside = host.neighbour();
    let (c1, c2) = (container(&host, "c1"), container(&host, "c2"));
    let first = host.netavark(&c1).on(&web(), "eth0", &["10.1.0.9", "fd00:1::9"]).port("tcp", 8080, 80);
    let second = host.netavark(&c2).on(&web(), "eth0", &["10.1.0.10", "fd00:1::a"]).port("tcp", 8081, 80);
    host.assert_leaves_nothing(|| {
        first.setup().ok();
        second.setup().ok();
        let rules = host.snapshot();
        host.run(["nft", "flush", "ruleset"]);
        netavark::run(&host, &["firewall-reload".as_ref()], b"").ok();
        assert_eq!(rules.diff(&host.snapshot()), [""; 0]);
        let (server, other, way_out) = (c1.listen_tcp(80), c2.listen_tcp(80), outside.listen_tcp(80));
        for port in [8080, 8081] {
            outside.assert_reaches_tcp(&format!("192.0.2.1:{port}"));
            outside.assert_reaches_tcp(&format!("[2001:db8::1]:{port}"));
        }
        assert_eq!(c1.assert_reaches_tcp("192.0.2.2:80").ip().to_string(), "192.0.2.1");
        drop((server, other, way_out));
        first.teardown().ok();
        second.teardown().ok();
    });
}

#[test]
fn twenty_at_once_come_and_go() {
    let host = netavark::host();
    let outside = host.neighbour();
    let containers: Vec<_> = (0..20).map(|number| container(&host, &format!("c{number}"))).collect();
    let call = |container: &tests::Container| {
        let number: u16 = container.id[1..].parse().unwrap();
        let addresses = [format!("10.1.0.{}", number + 2), format!("fd00:1::{}", number + 2)];
        let call = host.netavark(container).on(&web(), "eth0", &[&addresses[0], &addresses[1]]);
        call.port("tcp", 8000 + number, 80)
    };
    host.assert_leaves_nothing(|| {
        at_once(&containers, |container| drop(call(container).setup().ok()));
        for (container, port) in containers.iter().zip(8000..) {
            let _server = container.listen_tcp(80);
            outside.assert_reaches_tcp(&format!("192.0.2.1:{port}"));
        }
        at_once(&containers, |container| drop(call(container).teardown().ok()));
    });
}

#[test]
fn version_is_told_to_podman_and_to_people() {
    let host = netavark::host();
    let version = netavark::run(&host, &["version".as_ref()], b"").ok();
    let number = version["version"].as_str().unwrap();
    assert!(number.starts_with(|c: char| c.is_ascii_digit()), "{version}");
    let program = netavark::folder().join("netavark");
    assert_eq!(host.run([program.as_path(), Path::new("--version")]), format!("netavark {number}\n"));
}
