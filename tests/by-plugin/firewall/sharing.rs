//! Two containers with one address, as in two networks with one subnet: what the first has stays its own, whatever comes and
//! goes.

use serde_json::{Value, json};
use tests::{Chain, Container, Host, Inside as _, reference_differs, wire};

use super::network;
use crate::networks::{bridged, firewall, portmap, ports};

/// Network 2, which gives the first addresses of network 1 and has no gateway on the host.
fn twin<'h>(host: &'h Host, keys: &Value) -> Chain<'h> {
    let mut conflist = bridged(2, &[portmap(&json!({})), firewall(keys)]);
    let addresses = json!([{"address": "10.1.0.2/24"}, {"address": "fd00:1::2/64"}]);
    conflist["plugins"][0]["ipam"] = json!({"type": "static", "addresses": addresses});
    conflist["plugins"][0]["isDefaultGateway"] = json!(false);
    host.chain(&conflist).capabilities(&ports(&[("tcp", 8082, 80)]))
}

/// Masquerade, the administrator's chain, and the way to its own published port.
#[track_caller]
fn assert_has_everything(web: &Container) {
    for (outside, host, gateway) in
        [("192.0.2.2", "192.0.2.1", "10.1.0.1"), ("[2001:db8::2]", "[2001:db8::1]", "fd00:1::1")]
    {
        let seen = |to: String| web.assert_reaches_tcp(&to).ip().to_string();
        assert_eq!(seen(format!("{outside}:80")), host.trim_matches(['[', ']']));
        assert_eq!(seen(format!("{host}:8081")), gateway);
        web.assert_blocked_tcp(&format!("{outside}:81"));
    }
}

/// The reference adds the second as well.
fn it_takes_what_the_first_has() -> bool {
    reference_differs("its rules for an address go with whichever container goes first")
}

#[test]
fn a_second_container_with_the_same_address_takes_nothing_from_the_first() {
    if it_takes_what_the_first_has() {
        return;
    }
    for (policy, forward) in [("open", "DROP"), ("same-bridge", "ACCEPT")] {
        let (host, outside) = wire();
        host.shell(&format!("iptables -P FORWARD {forward}; ip6tables -P FORWARD {forward}"));
        let (web, other) = (host.container("web"), host.container("other"));
        let keys = json!({"ingressPolicy": policy});
        let (one, two) = (network(&host, 1, &keys, &[("tcp", 8081, 80)]), twin(&host, &keys));
        let (_servers, _own) = ([80, 81].map(|port| outside.listen_tcp(port)), web.listen_tcp(80));
        let result = one.add(&web, "eth0").ok();
        web.assert_reaches_tcp("192.0.2.2:81");
        host.run(["nft", "add", "rule", "inet", "ferrocni", "admin", "tcp", "dport", "81", "reject"]);
        assert_has_everything(&web);
        for blind in [false, true] {
            host.assert_leaves_nothing(|| {
                assert_eq!(two.add(&other, "eth0").ok()["ips"][0]["address"], result["ips"][0]["address"]);
                assert_has_everything(&web);
                one.check(&web, "eth0").ok();
                two.check(&other, "eth0").ok();
                if blind { two.del_blind(&other, "eth0") } else { two.del(&other, "eth0") }.ok();
                two.del(&other, "eth0").ok();
            });
            assert_has_everything(&web);
        }
    }
}

#[test]
fn when_the_first_goes_the_second_has_everything() {
    if it_takes_what_the_first_has() {
        return;
    }
    let (host, outside) = wire();
    let (web, other) = (host.container("web"), host.container("other"));
    let _servers = [80, 81].map(|port| outside.listen_tcp(port));
    let keys = json!({"ingressPolicy": "same-bridge"});
    // This time it is the first that has no gateway.
    let (one, two) = (twin(&host, &keys), network(&host, 1, &keys, &[("tcp", 8081, 80)]));
    host.assert_leaves_nothing(|| {
        one.add(&other, "eth0").ok();
        two.add(&web, "eth0").ok();
        one.del(&other, "eth0").ok();
        two.check(&web, "eth0").ok();
        web.assert_reaches_tcp("192.0.2.2:81");
        host.run(["nft", "add", "rule", "inet", "ferrocni", "admin", "tcp", "dport", "81", "reject"]);
        let own = web.listen_tcp(80);
        assert_has_everything(&web);
        drop(own);
        host.run(["nft", "flush", "chain", "inet", "ferrocni", "admin"]);
        two.del(&web, "eth0").ok();
    });
}
