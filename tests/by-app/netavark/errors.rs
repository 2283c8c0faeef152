//! What cannot work is said, and undone.

use serde_json::{Value, json};
use tests::{Container, Host, Inside as _, netavark};

use super::{container, other, web};

/// The error of a setup that leaves nothing and harms nobody.
#[track_caller]
fn refused(host: &Host, container: &Container, network: &Value, attachment: &Value) -> String {
    let call = host.netavark(container).on_with(network, attachment);
    host.assert_leaves_nothing(|| call.setup().error())
}

/// The [`refused`] of a network that differs from [`web`] in this.
#[track_caller]
fn refused_with(host: &Host, container: &Container, change: impl FnOnce(&mut Value)) -> String {
    let mut network = web();
    change(&mut network);
    let attachment = json!({"interface_name": "eth0", "static_ips": ["10.1.0.9", "fd00:1::9"]});
    refused(host, container, &network, &attachment)
}

#[test]
fn wrong_values_are_named() {
    let host = netavark::host();
    let c1 = container(&host, "c1");
    for (options, words) in [
        (json!({"mtu": "many"}), ["mtu", ""]),
        (json!({"mtu": "-1"}), ["mtu", ""]),
        (json!({"isolate": "perhaps"}), ["isolate", "perhaps"]),
        (json!({"metric": "low"}), ["metric", ""]),
        (json!({"mode": "sideways"}), ["mode", "sideways"]),
        (json!({"no_default_route": "maybe"}), ["no_default_route", ""]),
        (json!({"vlan": "5000"}), ["vlan", ""]),
        (json!({"vrf": "nowhere"}), ["nowhere", ""]),
    ] {
        let error = refused_with(&host, &c1, |network| network["options"] = options.clone());
        assert!(words.iter().all(|word| error.contains(word)), "{options}: {error}");
    }
}

#[test]
fn what_is_no_network_is_named() {
    let host = netavark::host();
    let c1 = container(&host, "c1");
    let driver = refused_with(&host, &c1, |network| network["driver"] = json!("carrier-pigeon"));
    assert!(driver.contains("carrier-pigeon"), "{driver}");
    let ipam = refused_with(&host, &c1, |network| network["ipam_options"] = json!({"driver": "lottery"}));
    assert!(ipam.contains("lottery"), "{ipam}");
    let route = json!([{"destination": "10.77.0.0/16", "gateway": "nowhere"}]);
    let route = refused_with(&host, &c1, |network| network["routes"] = route);
    assert!(route.contains("nowhere") || route.contains("gateway"), "{route}");
    let subnet = refused_with(&host, &c1, |network| network["subnets"] = json!([{"subnet": "10.1.0.0/77"}]));
    assert!(subnet.contains("10.1.0.0/77") || subnet.contains("prefix"), "{subnet}");
}

#[test]
fn what_is_no_attachment_is_named() {
    let host = netavark::host();
    let c1 = container(&host, "c1");
    for (attachment, word) in [
        (json!({"interface_name": "", "static_ips": ["10.1.0.9", "fd00:1::9"]}), "interface"),
        (json!({"interface_name": "eth0", "static_ips": ["10.1.0.x", "fd00:1::9"]}), "address"),
        (json!({"interface_name": "eth0", "static_ips": ["10.1.0.9", "fd00:1::9"], "static_mac": "soft"}), "MAC"),
        (json!({"interface_name": "a-name-that-is-too-long", "static_ips": ["10.1.0.9", "fd00:1::9"]}), "a-name-that"),
    ] {
        let error = refused(&host, &c1, &web(), &attachment);
        assert!(error.to_lowercase().contains(&word.to_lowercase()), "{attachment}: {error}");
    }
}

#[test]
fn what_is_no_port_is_named() {
    let host = netavark::host();
    let c1 = container(&host, "c1");
    for (mapping, word) in [
        (json!({"host_ip": "abcd", "container_port": 80, "host_port": 8080, "range": 1, "protocol": "tcp"}), "abcd"),
        (json!({"host_ip": "", "container_port": 80, "host_port": 8080, "range": 1, "protocol": "smoke"}), "smoke"),
    ] {
        let call = host.netavark(&c1).on(&web(), "eth0", &["10.1.0.9", "fd00:1::9"]).mapping(&mapping);
        let error = host.assert_leaves_nothing(|| call.setup().error());
        assert!(error.contains(word), "{mapping}: {error}");
    }
}

#[test]
fn an_interface_that_is_there_stays() {
    let host = netavark::host();
    let c1 = container(&host, "c1");
    c1.run(["ip", "link", "add", "name", "eth0", "type", "bridge"]);
    let error = refused_with(&host, &c1, |_| {});
    assert!(error.contains("eth0"), "{error}");
    assert_eq!(c1.link("eth0")["linkinfo"]["info_kind"], "bridge");
}

#[test]
fn what_is_not_json_is_an_error_too() {
    let host = netavark::host();
    let c1 = container(&host, "c1");
    let netns = c1.netns.as_path();
    for stdin in ["", "{", "[]", "null", r#"{"container_id": 5}"#, "{\"container_id\": \"\u{0}\"}"] {
        for verb in ["setup", "teardown"] {
            let error =
                host.assert_leaves_nothing(|| netavark::run(&host, &[verb.as_ref(), netns], stdin.as_bytes()).error());
            assert!(!error.is_empty(), "{stdin}");
        }
    }
}

#[test]
fn a_namespace_that_is_not_there_is_named() {
    let host = netavark::host();
    let c1 = host.container("c1");
    let call = host.netavark(&host.lose(c1)).on(&web(), "eth0", &["10.1.0.9", "fd00:1::9"]).port("tcp", 8080, 80);
    let error = host.assert_leaves_nothing(|| call.setup().error());
    assert!(error.contains("/run/netns/c1"), "{error}");
}

/// Podman calls nobody after a setup that failed.
#[test]
fn a_broken_network_among_three_undoes_all() {
    let host = netavark::host();
    let c1 = container(&host, "c1");
    // Only the kernel can say that this is impossible.
    host.run(["ip", "link", "add", "name", "broken", "type", "veth", "peer", "name", "broken-too"]);
    for position in ["a", "n", "z"] {
        let mut broken = netavark::bridge(&format!("{position}-broken"), &["10.9.0.0/24"]);
        broken["network_interface"] = json!("broken");
        let call = host.netavark(&c1).on(&web(), "eth0", &["10.1.0.9", "fd00:1::9"]);
        let call = call.on(&other(), "eth1", &["10.2.0.9", "fd00:2::9"]).on(&broken, "eth2", &["10.9.0.9"]);
        let call = call.port("tcp", 8080, 80);
        let error = host.assert_leaves_nothing(|| call.setup().error());
        assert!(error.contains("broken"), "{error}");
    }
}

/// What others have is not harmed by somebody's failure.
#[test]
fn a_second_setup_of_a_container_fails_and_leaves_the_first() {
    let host = netavark::host();
    let outside = host.neighbour();
    let c1 = container(&host, "c1");
    let call = host.netavark(&c1).on(&web(), "eth0", &["10.1.0.9", "fd00:1::9"]).port("tcp", 8080, 80);
    host.assert_leaves_nothing(|| {
        call.setup().ok();
        let error = host.assert_leaves_nothing(|| call.setup().error());
        assert!(error.contains("eth0"), "{error}");
        let server = c1.listen_tcp(80);
        outside.assert_reaches_tcp("192.0.2.1:8080");
        drop(server);
        call.teardown().ok();
    });
}
