//! none: `lo`, and nothing else.

use serde_json::{Value, json};
use tests::{Chain, Cni, Container, Host, Inside as _, every_plugin_rules};

fn network(host: &Host) -> Chain<'_> {
    host.chain(&json!({"name": "net", "plugins": [{"type": "none"}]}))
}

fn call<'h>(host: &'h Host, verb: &str, container: &Container, config: &Value) -> Cni<'h> {
    let mut config = config.clone();
    config["type"] = json!("none");
    host.cni("none").command(verb).container(container).config(&config)
}

#[test]
fn the_rules_of_every_plugin_hold() {
    let host = Host::new();
    every_plugin_rules(&network(&host), &host.container("c1"), "eth0");
}

#[test]
fn a_container_reaches_itself_and_nobody_else() {
    let host = Host::new();
    let (c1, _neighbour) = (host.container("c1"), host.neighbour());
    let result = network(&host).add(&c1, "eth0").ok();
    let lo = json!({"name": "lo", "mac": "00:00:00:00:00:00", "mtu": 65536, "sandbox": c1.netns});
    assert_eq!(result["interfaces"], json!([lo]));
    let ips = json!([{"address": "127.0.0.1/8", "interface": 0}, {"address": "::1/128", "interface": 0}]);
    assert_eq!(result["ips"], ips);
    let _servers = (c1.listen_tcp(80), host.listen_tcp(8000));
    c1.connect_tcp("127.0.0.1:80").unwrap();
    c1.connect_tcp("[::1]:80").unwrap();
    for outside in ["192.0.2.1:8000", "[2001:db8::1]:8000"] {
        host.assert_reaches_tcp(outside);
        c1.assert_blocked_tcp(outside);
    }
}

#[test]
fn the_oldest_versions_have_a_result_too() {
    let host = Host::new();
    let result = call(&host, "ADD", &host.container("c1"), &json!({"cniVersion": "0.2.0"})).run().ok();
    assert_eq!((&result["ip4"]["ip"], &result["ip6"]["ip"]), (&json!("127.0.0.1/8"), &json!("::1/128")));
}

#[test]
fn an_add_beside_another_network_fails_and_names_its_interface() {
    let host = Host::new();
    let c1 = host.container("c1");
    c1.shell("ip link add eth1 type veth peer name other");
    host.assert_leaves_nothing(|| {
        let error = network(&host).add(&c1, "eth0").error();
        assert_eq!(error.code, 999, "{error:?}");
        assert!(error.msg.contains("eth1") && error.msg.contains("detach"), "{error:?}");
    });
    assert!(!c1.is_up("lo"));
}

#[test]
fn check_notices_an_interface_that_appears_and_a_lo_that_is_down() {
    let host = Host::new();
    let c1 = host.container("c1");
    let network = network(&host);
    network.add(&c1, "eth0").ok();
    network.check(&c1, "eth0").ok();
    for damage in ["ip link add eth0 type veth peer name x", "ip link set lo down"] {
        c1.shell(damage);
        let error = network.check(&c1, "eth0").error();
        let found = if damage.contains("veth") { "found x, eth0" } else { "found down" };
        assert!(error.msg.contains("expected") && error.msg.contains(found), "{error:?}");
        c1.shell("ip link del eth0 2>/dev/null || ip link set lo up");
        network.check(&c1, "eth0").ok();
    }
}

/// What looks like one of the kernel's fallback tunnels, but is not, is another interface.
#[test]
fn a_name_alone_makes_no_fallback_tunnel() {
    let host = Host::new();
    let c1 = host.container("c1");
    c1.shell("ip link add tunl0 type veth peer name sit0");
    let error = network(&host).add(&c1, "eth0").error();
    assert!(error.msg.contains("tunl0") && error.msg.contains("sit0"), "{error:?}");
}

#[test]
fn published_ports_are_ignored() {
    let host = Host::new();
    let (c1, neighbour) = (host.container("c1"), host.neighbour());
    for version in ["0.2.0", "1.1.0"] {
        let portmap = json!({"type": "portmap", "capabilities": {"portMappings": true}});
        let list = json!({"name": "net", "cniVersion": version, "plugins": [{"type": "none"}, portmap]});
        let ports = json!({"portMappings": [{"hostPort": 8080, "containerPort": 8000, "protocol": "tcp"}]});
        let network = host.chain(&list).capabilities(&ports);
        let _servers = (c1.listen_tcp(8000), host.listen_tcp(8000));
        host.assert_leaves_nothing(|| {
            network.add(&c1, "eth0").ok();
            neighbour.assert_reaches_tcp("192.0.2.1:8000");
            neighbour.assert_blocked_tcp("192.0.2.1:8080");
            host.assert_blocked_tcp("127.0.0.1:8080");
            network.del(&c1, "eth0").ok();
        });
    }
}

#[test]
fn in_a_chain_it_passes_the_result_on() {
    let host = Host::new();
    let c1 = host.container("c1");
    let previous =
        json!({"cniVersion": "1.1.0", "interfaces": [{"name": "other"}], "ips": [{"address": "10.1.0.2/24"}]});
    assert_eq!(call(&host, "ADD", &c1, &json!({"prevResult": previous})).run().ok(), previous);
    assert!(c1.is_up("lo"));
}

#[test]
fn an_add_that_nobody_heard_leaves_a_lo_up_that_was_up() {
    let host = Host::new();
    let c1 = host.container("c1");
    c1.shell("ip link set lo up");
    assert!(!call(&host, "ADD", &c1, &json!({})).run_unheard().is_ok());
    assert!(c1.is_up("lo"));
}
