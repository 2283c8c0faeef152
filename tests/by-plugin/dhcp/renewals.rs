//! What becomes of a lease while its container runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;
use tests::{Capture, Inside as _, address, dhcp, reference_differs};

use super::scripted::{ACK, DISCOVER, OFFER, REQUEST, Scripted};
use super::{SHORT, Scene, addresses, gateways, leased};

/// Where the server has its addresses first, and where then.
const MOVED: &str = "--dhcp-range=10.5.0.100,10.5.0.109,255.255.255.0,1h";
const FIRST: &str = "--dhcp-range=10.5.0.20,10.5.0.30,255.255.255.0,1h";

fn acknowledged(scene: &Scene) -> usize {
    dhcp::server_log(&scene.host).matches("DHCPACK").count()
}

#[test]
fn a_lease_is_renewed_with_its_server_from_its_own_address() {
    let scene = Scene::new(&SHORT);
    let c1 = scene.host.container("c1");
    let result = scene.network(&json!({})).add(&c1, "eth0").ok();
    let capture = Capture::start(&scene.host, "renewals", "-i lan port 67");
    dhcp::eventually("it is renewed twice", || acknowledged(&scene) >= 3);
    if !reference_differs("it sends it from 0.0.0.0") {
        capture.assert_sees(&format!("{}.68 > 10.5.0.1.67", address(&result, 0)));
        scene.wait_for_log(&format!("renewed {} from 10.5.0.1 for 3", leased(&result)));
    }
    assert_eq!(addresses(&c1, "-4"), [leased(&result)]);
    scene.network(&json!({})).del(&c1, "eth0").ok();
}

/// SIGHUP has all leases renewed now: `systemctl reload cni-dhcp` after the server was changed.
#[test]
fn leases_of_both_families_are_renewed_on_demand() {
    let scene = Scene::new(&[]);
    let c1 = scene.host.container("c1");
    let result = scene.network(&json!({"families": ["ipv4", "ipv6"]})).add(&c1, "eth0").ok();
    scene.host.shell("kill -HUP $(cat /run/dhcp.pid)");
    scene.wait_for_server_log("DHCPRENEW(lan)");
    scene.wait_for_log(&format!("renewed {}", leased(&result)));
    scene.wait_for_log(&format!("renewed {}", result["ips"][1]["address"].as_str().unwrap()));
    assert_eq!(acknowledged(&scene), 2);
}

/// The server does not know the address any more and gives another.
#[test]
fn another_address_is_applied() {
    let mut scene = Scene::with(&[&[FIRST][..], &SHORT].concat(), &[]);
    let c1 = scene.host.container("c1");
    let result = scene.network(&json!({})).add(&c1, "eth0").ok();
    scene.host.shell("ip addr add 10.5.0.9/24 dev lan");
    scene.change_server(&[MOVED, "--dhcp-option=option:router,10.5.0.9"]);
    scene.wait_for_log(&format!("{} is taken from the interface", leased(&result)));
    scene.wait_for_log("got 10.5.0.10");
    dhcp::eventually("the interface has it", || addresses(&c1, "-4").len() == 1);
    let now = addresses(&c1, "-4");
    assert!(now.len() == 1 && now[0] != leased(&result) && now[0].starts_with("10.5.0.1"), "{now:?}");
    assert_eq!(gateways(&c1), ["10.5.0.9"]);
    let _server = c1.listen_tcp(80);
    scene.host.assert_reaches_tcp(&format!("{}:80", now[0].trim_end_matches("/24")));
    let error = scene.network(&json!({})).add(&c1, "eth0");
    assert!(!error.is_ok(), "it is attached still");
    scene.network(&json!({})).del(&c1, "eth0").ok();
    scene.wait_for_server_log("DHCPRELEASE(lan) 10.5.0.1");
}

/// The server renews the lease, and gives another address with it.
#[test]
fn a_lease_that_has_become_another_is_applied() {
    let scene = Scene::without_server(&[]);
    let _server = Scripted::start(&scene.host, |question| {
        let mut answer = question.usual_answer([60, 1, 50]);
        // `ciaddr` is the address that is to be renewed.
        if answer[12..16] != [0; 4] {
            answer[19] = 88;
        }
        vec![answer]
    });
    let c1 = scene.host.container("c1");
    assert_eq!(leased(&scene.network(&json!({})).add(&c1, "eth0").ok()), "10.5.0.77/24");
    scene.wait_for_log("10.5.0.77/24 has become 10.5.0.88/24 from 10.5.0.1");
    dhcp::eventually("the interface has it", || addresses(&c1, "-4") == ["10.5.0.88/24"]);
    assert_eq!(gateways(&c1), ["10.5.0.1"]);
    scene.wait_for_log("renewed 10.5.0.88/24");
}

#[test]
fn another_router_is_applied_and_the_address_left_alone() {
    let mut scene = Scene::with(&[&[FIRST][..], &SHORT].concat(), &[]);
    let c1 = scene.host.container("c1");
    let result = scene.network(&json!({})).add(&c1, "eth0").ok();
    // Somebody's own route stays.
    c1.shell("ip route add 10.77.0.0/16 via 10.5.0.1; ip -s addr show dev eth0 > /run/before");
    let changes = c1.spawn(["sh", "-c", "exec ip monitor address > /run/changes"]);
    scene.change_server(&[FIRST, "--dhcp-option=option:router,10.5.0.9"]);
    dhcp::eventually("the route leads to the new router", || gateways(&c1) == ["10.5.0.9"]);
    drop(changes);
    assert_eq!(addresses(&c1, "-4"), [leased(&result)]);
    assert!(!scene.host.read("/run/changes").unwrap().contains("inet 10.5"), "the address was not touched");
    assert_eq!(c1.ip_json(["route", "show", "10.77.0.0/16"])[0]["gateway"], "10.5.0.1");
}

/// The server is gone, and another on the link knows the lease.
#[test]
fn another_server_may_renew() {
    let times = ["--dhcp-option=option:T1,2", "--dhcp-option=option:T2,4"];
    let mut scene = Scene::with(&[&[FIRST][..], &times].concat(), &[]);
    let c1 = scene.host.container("c1");
    let result = scene.network(&json!({})).add(&c1, "eth0").ok();
    scene.server = None;
    scene.host.shell("ip addr del 10.5.0.1/24 dev lan; ip addr add 10.5.0.2/24 dev lan");
    scene.change_server(&[FIRST]);
    scene.wait_for_log("every other is asked to renew the lease");
    scene.wait_for_log(&format!("renewed {} from 10.5.0.2", leased(&result)));
    assert_eq!(addresses(&c1, "-4"), [leased(&result)]);
}

/// A server that has lost its memory: DHCPv6 addresses are used as long as they were given for.
#[test]
fn a_lease_that_the_server_has_forgotten_is_got_again() {
    let mut scene = Scene::new(&[]);
    let c1 = scene.host.container("c1");
    let result = scene.network(&json!({"families": ["ipv6"]})).add(&c1, "eth0").ok();
    scene.server = None;
    // All but who it is.
    scene.host.shell("sed -i '/^duid/!d' /run/dnsmasq.leases");
    scene.change_server(&dhcp::RANGES);
    scene.host.shell("kill -HUP $(cat /run/dhcp.pid)");
    dhcp::eventually("the server knows it again", || dhcp::leases(&scene.host).len() == 1);
    dhcp::eventually("it is on the interface", || addresses(&c1, "-6") == [leased(&result)]);
}

#[test]
fn an_expired_lease_is_taken_away_and_a_new_one_given() {
    let scene = Scene::without_server(&["-resendmax 1s"]);
    let serve = || Scripted::start(&scene.host, |question| vec![question.usual_answer([3, 1, 2])]);
    let server = serve();
    let c1 = scene.host.container("c1");
    let result = scene.network(&json!({})).add(&c1, "eth0").ok();
    assert_eq!(leased(&result), "10.5.0.77/24");
    drop(server);
    scene.wait_for_log("the lease expired and no server renewed it: 10.5.0.77/24 is taken from the interface");
    dhcp::eventually("the address is gone", || addresses(&c1, "-4").is_empty());
    assert_eq!(gateways(&c1), [""; 0]);
    assert!(c1.is_up("eth0"), "IPv6 goes on");
    let _server = serve();
    dhcp::eventually("it is there again", || addresses(&c1, "-4") == ["10.5.0.77/24"]);
    assert_eq!(gateways(&c1), ["10.5.0.1"]);
    dhcp::eventually("and is renewed", || dhcp::daemon_log(&scene.host).contains("renewed 10.5.0.77/24"));
}

#[test]
fn a_revoked_lease_is_not_used_any_more() {
    const NAK: u8 = 6;
    let scene = Scene::without_server(&["-resendmax 1s"]);
    let revoked = Arc::new(AtomicBool::new(false));
    let revoke = Arc::clone(&revoked);
    let _server =
        Scripted::start(&scene.host, move |question| match (revoke.load(Ordering::SeqCst), question.kind()) {
            (false, _) => vec![question.usual_answer([60, 1, 50])],
            (true, REQUEST) => vec![question.answer(NAK, &[(56, b"not\nyours")])],
            (true, _) => Vec::new(),
        });
    let c1 = scene.host.container("c1");
    scene.network(&json!({})).add(&c1, "eth0").ok();
    revoked.store(true, Ordering::SeqCst);
    scene.wait_for_log("the server revoked the lease (DHCPNAK: notyours): 10.5.0.77/24 is taken from the interface");
    dhcp::eventually("the address is gone", || addresses(&c1, "-4").is_empty());
}

/// Any host on the link can send anything to a client that asks for an address.
#[test]
fn rubbish_from_the_link_is_passed_over() {
    let scene = Scene::without_server(&[]);
    let _server = Scripted::start(&scene.host, |question| {
        let good = question.usual_answer([60, 1, 50]);
        let changed = |at: usize, value: u8| {
            let mut bad = good.clone();
            bad[at] = value;
            bad
        };
        let mut answers: Vec<Vec<u8>> = (0..good.len()).step_by(7).map(|length| good[..length].to_vec()).collect();
        // Another transaction, another client, lengths that lead beyond the end, no cookie, a request.
        answers.extend([changed(4, !good[4]), changed(33, !good[33]), changed(2, 255), changed(236, 0), changed(0, 1)]);
        let kind = if question.kind() == DISCOVER { OFFER } else { ACK };
        let mask: (u8, &[u8]) = (1, &[255, 255, 255, 0]);
        answers.push(question.answer(kind, &[]));
        answers.push(question.answer(kind, &[(1, &[255, 0, 255, 0])]));
        answers.push(question.answer(kind, &[mask, (51, &[0; 4])]));
        answers.push(question.answer(7, &[mask]));
        answers.push(vec![0xff; 1472]);
        // Names that point at themselves and at each other, a route whose end is missing, and a name with a line feed.
        let names: &[u8] = b"\x01a\xc0\x00\xc0\x05\xc0\x03\x0aa\nnameserv\x00";
        let options = [mask, (51, &[0, 0, 0, 60]), (119, names), (15, b"a\nb"), (121, &[24, 10, 9]), (3, &[10, 5])];
        answers.push(question.answer(kind, &options));
        answers
    });
    let c1 = scene.host.container("c1");
    let result = scene.network(&json!({})).add(&c1, "eth0").ok();
    assert_eq!(leased(&result), "10.5.0.77/24", "{result}");
    if reference_differs("it takes the first message that it can read") {
        return;
    }
    assert!(result["dns"].is_null() && result["routes"].is_null(), "{result}");
    assert!(!dhcp::daemon_log(&scene.host).contains("bug"));
    scene.network(&json!({})).del(&c1, "eth0").ok();
}
