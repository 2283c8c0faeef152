//! What an ADD sets of the host's and the container's sysctls, and how it does where none can be set.

use serde_json::{Value, json};
use tests::dhcp::start_server_on;
use tests::{Cni, Container, Host, Inside as _, reference_differs, wire};

/// What Podman in a container, BuildKit and systemd's `ProtectKernelTunables` make of it.
const READ_ONLY: &str = "mount --bind /proc/sys /proc/sys; mount -o remount,bind,ro /proc/sys";

fn dual_stack() -> Value {
    json!({"type": "host-local", "ranges": [[{"subnet": "10.1.0.0/24"}], [{"subnet": "fd00:1::/64"}]]})
}

fn bridge() -> Value {
    json!({"type": "bridge", "name": "net", "bridge": "br0", "isDefaultGateway": true, "ipam": dual_stack()})
}

fn ptp() -> Value {
    json!({"type": "ptp", "name": "net", "ipam": dual_stack()})
}

fn add<'h>(host: &'h Host, container: &Container, config: &Value) -> Cni<'h> {
    host.cni(config["type"].as_str().unwrap()).command("ADD").container(container).config(config)
}

fn sysctl(host: &Host, path: &str) -> String {
    host.read(format!("/proc/sys/net/{path}")).unwrap().trim().to_owned()
}

#[test]
fn where_no_sysctl_can_be_written_containers_are_connected_if_the_host_forwards() {
    let macvlan = json!({
        "type": "macvlan", "name": "net", "master": "uplink", "enabledad": false,
        "ipam": {"type": "static", "addresses": [{"address": "192.0.2.9/24"}, {"address": "2001:db8::9/64"}]},
    });
    for (config, gateways) in [
        (bridge(), ["10.1.0.1", "fd00:1::1"]),
        (ptp(), ["10.1.0.1", "fd00:1::1"]),
        (macvlan, ["192.0.2.2", "2001:db8::2"]),
    ] {
        let (host, _outside) = wire();
        let c1 = host.container("c1");
        host.shell("sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1");
        host.shell(READ_ONLY);
        let outcome = add(&host, &c1, &config).run();
        let said = outcome.finished.stderr.clone();
        outcome.ok();
        if !reference_differs("it says nothing") {
            assert!(said.contains("eth0/keep_addr_on_down") && said.contains("going on without"), "{said}");
        }
        host.wait_for_ipv6();
        c1.shell("while ip -6 addr show tentative | grep -q inet6; do sleep 0.05; done");
        for gateway in gateways {
            c1.assert_pings(gateway);
        }
    }
}

#[test]
fn nothing_is_said_of_sysctls_that_are_as_they_should_be() {
    let host = Host::new();
    let c1 = host.container("c1");
    host.shell(
        "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
         sysctl -qw net.ipv6.conf.default.accept_ra=0 net.ipv6.conf.default.accept_dad=0",
    );
    c1.shell(
        "cd /proc/sys/net/ipv6/conf/default; echo 0 > accept_dad; echo 1 > ndisc_notify; echo 1 > keep_addr_on_down",
    );
    host.shell(READ_ONLY);
    let outcome = add(&host, &c1, &bridge()).run();
    assert_eq!(outcome.finished.stderr, "");
    outcome.ok();
}

#[test]
fn a_host_that_does_not_forward_and_cannot_be_told_to_is_an_error_with_a_remedy() {
    for config in [bridge(), ptp()] {
        let host = Host::new();
        let c1 = host.container("c1");
        host.shell(READ_ONLY);
        let error = add(&host, &c1, &config).run().error();
        assert!(error.msg.contains("ip_forward"), "{error:?}");
        if !reference_differs("it names the errno only, and leaves its links") {
            assert!(error.msg.contains("set it beforehand outside"), "{error:?}");
            assert!(error.details.contains("Read-only"), "{error:?}");
        }
    }
}

#[test]
fn ipv6_that_is_switched_off_in_the_container_for_good_is_an_error_with_a_remedy() {
    let host = Host::new();
    let c1 = host.container("c1");
    host.shell("sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1");
    c1.shell("for i in all default; do echo 1 > /proc/sys/net/ipv6/conf/$i/disable_ipv6; done");
    host.shell(READ_ONLY);
    let error = add(&host, &c1, &bridge()).run().error();
    if !reference_differs("its words are the errno's") {
        assert!(error.msg.contains("disable_ipv6") && error.msg.contains("set it beforehand"), "{error:?}");
    }
}

/// A host that forwards believes no router unless it is told to: its own addresses would expire, and its default route
/// would go at once.
#[test]
fn a_host_that_lives_by_router_advertisements_keeps_its_way_out() {
    for config in [bridge(), ptp()] {
        let (host, outside) = wire();
        let c1 = host.container("c1");
        host.shell("sysctl -qw net.ipv6.conf.uplink.accept_ra=1");
        let _router = start_server_on(&outside, "uplink", &["--enable-ra", "--dhcp-range=2001:db8::,ra-only"]);
        let advertised = "ip -6 route show default proto ra | grep uplink";
        host.shell(&format!("until {advertised}; do sleep 0.05; done"));
        let outcome = add(&host, &c1, &config).run();
        let said = outcome.finished.stderr.clone();
        outcome.ok();
        assert_eq!(sysctl(&host, "ipv6/conf/all/forwarding"), "1");
        if reference_differs("the host loses its default route") {
            continue;
        }
        host.shell(advertised);
        assert_eq!(
            (sysctl(&host, "ipv6/conf/uplink/accept_ra"), sysctl(&host, "ipv6/conf/lo/accept_ra")),
            ("2".into(), "1".into())
        );
        assert!(said.contains("net.ipv6.conf.uplink.accept_ra to 2"), "{said}");
    }
}

#[test]
fn an_administrator_s_bridge_goes_on_to_learn_from_routers() {
    let host = Host::new();
    let c1 = host.container("c1");
    host.shell("ip link add br0 up type bridge; ip link add name br1 type bridge");
    for (bridge, ifname) in [("br0", "eth0"), ("br1", "eth1")] {
        let config = json!({"type": "bridge", "name": "net", "bridge": bridge});
        add(&host, &c1, &config).ifname(ifname).run().ok();
        let found = ["accept_ra", "accept_dad"].map(|key| sysctl(&host, &format!("ipv6/conf/{bridge}/{key}")));
        assert!(found == ["1", "1"] || reference_differs("it stops it"), "{bridge}: {found:?}");
    }
}

/// What the kernel has for `accept_ra` and `autoconf` of a new interface is 1.
#[test]
fn whether_a_container_believes_routers_is_the_network_s_to_say() {
    let v4 = json!({"type": "static", "addresses": [{"address": "192.0.2.9/24", "gateway": "192.0.2.2"}]});
    let v6 = json!({"type": "static", "addresses": [{"address": "2001:db8::9/64", "gateway": "2001:db8::2"}]});
    let mut networks = vec![json!({"type": "macvlan", "master": "uplink", "enabledad": false})];
    for ipam in [&v4, &v6] {
        for plugin in ["bridge", "macvlan", "ptp", "host-device"] {
            networks.push(json!({"type": plugin, "enabledad": false, "ipam": ipam}));
        }
    }
    for (mut network, (key, expected)) in networks
        .iter()
        .flat_map(|network| [(None, "1 1"), (Some(false), "0 0"), (Some(true), "2 1")].map(|of| (network.clone(), of)))
    {
        let (host, _outside) = wire();
        let c1 = host.container("c1");
        network["name"] = json!("net");
        for master in ["master", "device"] {
            network[master] = json!("uplink");
        }
        network["routerAdvertisements"] = json!(key);
        if key.is_some() && reference_differs("it has no such key") {
            continue;
        }
        eprintln!("{network}");
        c1.shell("sysctl -qw net.ipv6.conf.default.disable_ipv6=1");
        add(&host, &c1, &network).run().ok();
        let found = c1.shell("cd /proc/sys/net/ipv6/conf/eth0; echo $(cat accept_ra autoconf); cat disable_ipv6");
        let is_needed = key == Some(true) || network["ipam"] == v6;
        assert_eq!(found.trim(), format!("{expected}\n{}", if is_needed { "0" } else { "1" }));
    }
}
