//! Calls that are killed in the middle.

use serde_json::json;
use tests::{Container, Host, Inside as _, netavark};

use super::{container, other, web};

/// On two networks, with names, with ports and with a route that belongs to no link.
fn call<'h>(host: &'h Host, container: &Container) -> netavark::Netavark<'h> {
    let mut web = netavark::with_options(web(), &json!({"isolate": "strict"}));
    web["dns_enabled"] = json!(true);
    web["routes"] = json!([{"destination": "10.77.0.0/16", "route_type": "blackhole"}]);
    let call = host.netavark(container).on(&web, "eth0", &["10.1.0.9", "fd00:1::9"]);
    call.on(&other(), "eth1", &["10.2.0.9", "fd00:2::9"]).port("tcp", 8080, 80).port("udp", 5353, 53)
}

/// A neighbour on both networks, whose attachments nobody may touch, and what there is with it alone.
fn neighbour(host: &Host) -> (Container, tests::Snapshot) {
    let neighbour = container(host, "neighbour");
    let call = host.netavark(&neighbour).on(&web(), "eth0", &["10.1.0.10", "fd00:1::a"]);
    call.on(&other(), "eth1", &["10.2.0.10", "fd00:2::a"]).port("tcp", 8081, 80).setup().ok();
    (neighbour, host.snapshot())
}

#[test]
fn a_setup_that_is_killed_anywhere_is_undone_by_teardown() {
    let host = netavark::host();
    let c1 = container(&host, "c1");
    let (_neighbour, before) = neighbour(&host);
    let call = call(&host, &c1);
    let killed = call.killed_at_every_change("setup", |point| {
        call.teardown().ok();
        let left = host.snapshot().diff(&before);
        assert!(left.is_empty(), "killed at {point}: {left:#?}");
    });
    assert!(killed > 20, "killed {killed} times only");
}

#[test]
fn a_teardown_that_is_killed_anywhere_can_be_repeated() {
    let host = netavark::host();
    let c1 = container(&host, "c1");
    let (_neighbour, before) = neighbour(&host);
    let call = call(&host, &c1);
    call.setup().ok();
    let killed = call.killed_at_every_change("teardown", |point| {
        call.teardown().ok();
        let left = host.snapshot().diff(&before);
        assert!(left.is_empty(), "killed at {point}: {left:#?}");
        call.setup().ok();
    });
    assert!(killed > 10, "killed {killed} times only");
}

/// The path may be another namespace's by then.
#[test]
fn a_container_that_was_lost_is_set_up_again() {
    let host = netavark::host();
    let outside = host.neighbour();
    let before = host.snapshot();
    let c1 = container(&host, "c1");
    call(&host, &c1).setup().ok();
    let _ = host.lose(c1);
    let c1 = container(&host, "c1");
    let call = call(&host, &c1);
    call.teardown().ok();
    call.setup().ok();
    let server = c1.listen_tcp(80);
    outside.assert_reaches_tcp("192.0.2.1:8080");
    drop(server);
    call.teardown().ok();
    let _ = host.lose(c1);
    host.snapshot().assert_nothing_since(&before);
}
