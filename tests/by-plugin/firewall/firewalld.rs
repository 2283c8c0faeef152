//! With a real firewalld, on a bus of the host's own.

use serde_json::json;
use tests::dhcp::eventually;
use tests::firewalld::{sources, start};
use tests::{Host, Inside as _, every_plugin_rules, wire};

use super::{Attached, network};

#[test]
fn containers_are_in_the_zone_that_lets_them_through() {
    let (host, outside) = wire();
    let _daemons = start(&host);
    for (number, keys, zone) in
        [(1, json!({}), "trusted"), (2, json!({"backend": "firewalld", "firewalldZone": "internal"}), "internal")]
    {
        let one = network(&host, number, &keys, &[("tcp", 8080, 80)]);
        assert_eq!(sources(&host, zone), [""; 0]);
        host.assert_leaves_nothing(|| {
            let web = Attached::to(&one, "web");
            let cidrs = [format!("10.{number}.0.2/32"), format!("fd00:{number}::2/128")];
            assert_eq!(sources(&host, zone), cidrs);
            let _servers = (web.container.listen_tcp(80), outside.listen_tcp(80));
            if zone == "trusted" {
                web.container.assert_reaches_tcp("192.0.2.2:80");
                outside.assert_reaches_tcp("192.0.2.1:8080");
                for to in web.at(80) {
                    host.assert_reaches_tcp(&to);
                }
            }
            one.del(&web.container, "eth0").ok();
            assert_eq!(sources(&host, zone), [""; 0]);
            drop(host.lose(web.container));
        });
    }
}

#[test]
fn check_del_gc_and_status_speak_with_it() {
    let host = Host::new();
    let daemons = start(&host);
    let one = network(&host, 1, &json!({"ingressPolicy": "same-bridge"}), &[]);
    let container = host.container("c");
    every_plugin_rules(&one, &container, "eth0");
    assert_eq!(sources(&host, "trusted"), [""; 0]);
    let (keep, stale) = (Attached::to(&one, "keep"), Attached::to(&one, "stale"));
    let two = network(&host, 2, &json!({"backend": "firewalld", "firewalldZone": "internal"}), &[]);
    let forced = Attached::to(&two, "forced");
    one.gc(&[("keep", "eth0")]).ok();
    assert_eq!(sources(&host, "trusted").len(), 2);
    one.check(&keep.container, "eth0").ok();
    host.run(["firewall-cmd", "--reload"]);
    let error = one.check(&keep.container, "eth0").error();
    assert!(error.msg.contains("in zone trusted"), "{error:?}");
    one.del(&stale.container, "eth0").ok();
    one.status().ok();
    drop(daemons);
    // It is gone, and its zones with it.
    one.del(&keep.container, "eth0").ok();
    two.del(&forced.container, "eth0").ok();
    assert_eq!(two.status().error().code, 50);
}

/// Whether firewalld runs decides how the container is let through: as long as the bus does not say, nothing is.
#[test]
fn a_bus_that_hangs_up_is_not_a_host_without_firewalld() {
    let host = Host::new();
    let one = network(&host, 1, &json!({}), &[]);
    host.shell("mkdir -p /run/dbus");
    host.assert_leaves_nothing(|| {
        let (before, refused) = (Attached::to(&one, "before"), host.container("refused"));
        let bus = host.spawn(["socat", "UNIX-LISTEN:/run/dbus/system_bus_socket,fork,unlink-close", "EXEC:true"]);
        let has_socket = || host.run(["cat", "/proc/net/unix"]).contains("/run/dbus/system_bus_socket");
        eventually("the socket is there", has_socket);
        for failed in [one.add(&refused, "eth0"), one.del(&before.container, "eth0"), one.status()] {
            let error = failed.error();
            assert!(error.msg.contains("cannot tell whether firewalld runs"), "{error:?}");
        }
        drop(bus);
        for container in [refused, before.container] {
            one.del(&container, "eth0").ok();
            drop(host.lose(container));
        }
    });
}
