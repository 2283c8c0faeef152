//! Routes of a network's own (`podman network create --route`).

use serde_json::{Value, json};
use tests::{Container, Inside as _, netavark};

use super::{container, web};

/// The routes to that destination in words, of whatever type.
fn routes(container: &Container, family: &str, destination: &str) -> Vec<String> {
    let found = container.ip_json(["-d", family, "route", "show", "exact", destination]);
    let words = |route: &Value| {
        let kind = route["type"].as_str().unwrap();
        let gateway = route["gateway"].as_str().map(|gateway| format!(" via {gateway}")).unwrap_or_default();
        format!("{kind}{gateway} metric {}", route["metric"])
    };
    found.as_array().unwrap().iter().map(words).collect()
}

#[test]
fn a_network_s_routes_are_the_container_s() {
    let host = netavark::host();
    let c1 = container(&host, "c1");
    let mut network = web();
    network["routes"] = json!([
        {"destination": "10.77.0.0/16", "gateway": "10.1.0.2"},
        {"destination": "10.78.0.0/16", "gateway": "10.1.0.3", "metric": 7},
        {"destination": "fd77::/32", "gateway": "fd00:1::2", "metric": 9},
    ]);
    let call = host.netavark(&c1).on(&network, "eth0", &["10.1.0.9", "fd00:1::9"]);
    host.assert_leaves_nothing(|| {
        call.setup().ok();
        assert_eq!(routes(&c1, "-4", "10.77.0.0/16"), ["unicast via 10.1.0.2 metric 100"]);
        assert_eq!(routes(&c1, "-4", "10.78.0.0/16"), ["unicast via 10.1.0.3 metric 7"]);
        assert_eq!(routes(&c1, "-6", "fd77::/32"), ["unicast via fd00:1::2 metric 9"]);
        call.teardown().ok();
    });
}

#[test]
fn a_network_may_refuse_destinations() {
    let host = netavark::host();
    let c1 = container(&host, "c1");
    for kind in ["blackhole", "unreachable", "prohibit"] {
        let mut network = web();
        network["routes"] = json!([
            {"destination": "10.77.0.0/16", "route_type": kind},
            {"destination": "fd77::/32", "route_type": kind, "metric": 9},
            {"destination": "10.78.0.0/16", "gateway": "10.1.0.3", "route_type": "unicast"},
        ]);
        let call = host.netavark(&c1).on(&network, "eth0", &["10.1.0.9", "fd00:1::9"]);
        host.assert_leaves_nothing(|| {
            call.setup().ok();
            assert_eq!(routes(&c1, "-4", "10.77.0.0/16"), [format!("{kind} metric 100")]);
            assert_eq!(routes(&c1, "-6", "fd77::/32"), [format!("{kind} metric 9")]);
            assert_eq!(routes(&c1, "-4", "10.78.0.0/16"), ["unicast via 10.1.0.3 metric 100"]);
            call.teardown().ok();
        });
    }
}

/// Of two networks only one may refuse a destination.
#[test]
fn one_network_s_teardown_leaves_the_other_s_routes() {
    let host = netavark::host();
    let c1 = container(&host, "c1");
    let (mut one, mut two) = (web(), super::other());
    one["routes"] = json!([{"destination": "10.77.0.0/16", "route_type": "blackhole"}]);
    two["routes"] = json!([{"destination": "10.78.0.0/16", "route_type": "blackhole"}]);
    let one = host.netavark(&c1).on(&one, "eth0", &["10.1.0.9", "fd00:1::9"]);
    let two = host.netavark(&c1).on(&two, "eth1", &["10.2.0.9", "fd00:2::9"]);
    host.assert_leaves_nothing(|| {
        one.setup().ok();
        two.setup().ok();
        two.teardown().ok();
        assert_eq!(routes(&c1, "-4", "10.77.0.0/16"), ["blackhole metric 100"]);
        assert_eq!(routes(&c1, "-4", "10.78.0.0/16"), [""; 0]);
        one.teardown().ok();
    });
}
