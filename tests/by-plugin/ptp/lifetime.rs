//! DEL, GC, STATUS, the reference's attachments, many at once.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tests::{Container, Host, Inside as _, Outcome, at_once, every_verb_runs_alone, reference_differs, wire};

use super::{REFERENCE, call, config, dual_stack, fixed, host_end, ipam, ipv4, network};

fn keys() -> Value {
    json!({"ipMasq": true, "ipam": dual_stack()})
}

#[test]
fn del_takes_both_ends() {
    let host = Host::new();
    let c1 = host.container("c1");
    let network = network(&host, &keys());
    host.assert_leaves_nothing(|| {
        network.add(&c1, "eth0").ok();
        network.del(&c1, "eth0").ok();
        assert_eq!((host.links(), c1.links()), (vec!["lo".to_owned()], vec!["lo".to_owned()]));
    });
}

#[test]
fn del_frees_everything_after_the_link_or_the_namespace_is_gone() {
    for loss in ["link", "namespace", "mount"] {
        let host = Host::new();
        let before = host.snapshot();
        let c1 = host.container("c1");
        let network = network(&host, &keys());
        network.add(&c1, "eth0").ok();
        let c1 = match loss {
            "namespace" => host.lose(c1),
            "link" => {
                c1.shell("ip link del eth0");
                c1
            }
            _ => {
                host.shell("umount -l /run/netns/c1");
                c1
            }
        };
        network.del(&c1, "eth0").ok();
        host.shell("ip netns del c1 2>/dev/null || rm -f /run/netns/c1");
        host.snapshot().assert_nothing_since(&before);
    }
}

/// The old forms of a result say neither whose the addresses are nor which interfaces there are.
#[test]
fn del_takes_a_result_of_any_version() {
    for version in ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0"] {
        let host = Host::new();
        let c1 = host.container("c1");
        let network = host.chain(&json!({"name": "net", "cniVersion": version, "plugins": [config(&keys())]}));
        host.assert_leaves_nothing(|| {
            network.add(&c1, "eth0").ok();
            network.del(&c1, "eth0").ok();
        });
    }
}

/// Replacing the reference on a node whose containers run.
#[test]
fn check_and_del_know_what_the_reference_made() {
    let host = Host::new();
    let (c1, c2) = (host.container("c1"), host.container("c2"));
    let mut config = config(&keys());
    config["cniVersion"] = json!("1.0.0");
    host.assert_leaves_nothing(|| {
        for (container, with_result) in [(&c1, true), (&c2, false)] {
            let add = host.cni(REFERENCE).command("ADD").container(container).config(&config).run().ok();
            let mut config = config.clone();
            if with_result {
                config["prevResult"] = add;
                call(&host, "CHECK", container, &config).run().ok();
                host.shell("iptables -t nat -F POSTROUTING");
                let error = call(&host, "CHECK", container, &config).run().error();
                assert!(error.msg.contains("packet filter differs"), "{error:?}");
            }
            call(&host, "DEL", container, &config).run().ok();
            assert_eq!((host.links(), container.links()), (vec!["lo".to_owned()], vec!["lo".to_owned()]));
            assert_eq!(super::routes(&host), [""; 0]);
        }
    });
}

/// Going back to the reference on a node whose containers run.
#[test]
fn the_reference_knows_what_was_made_here() {
    let host = Host::new();
    let c1 = host.container("c1");
    let mut config = config(&json!({"ipam": dual_stack()}));
    config["cniVersion"] = json!("1.0.0");
    host.assert_leaves_nothing(|| {
        config["prevResult"] = call(&host, "ADD", &c1, &config).run().ok();
        let reference = |verb| host.cni(REFERENCE).command(verb).container(&c1).config(&config).path("/usr/lib/cni");
        reference("CHECK").run().ok();
        reference("DEL").run().ok();
        assert_eq!(c1.links(), ["lo"]);
    });
}

#[test]
fn both_suites_leave_the_same_in_the_kernel() {
    let mut config = config(&json!({"mtu": 1400, "ipam": dual_stack()}));
    config["cniVersion"] = json!("1.0.0");
    let seen = |plugin: &str| {
        let host = Host::new();
        let c1 = host.container("c1");
        let result = host.cni(plugin).command("ADD").container(&c1).config(&config).run().ok();
        host.wait_for_ipv6();
        wait_for_the_reference_in(&c1);
        let end = host_end(&result).to_owned();
        // No packet takes it: it is the host's own address.
        let on_host = super::routes(&host).into_iter().filter(|route| !route.contains("proto kernel"));
        let on_host: Vec<_> = on_host.map(|route| route.replace(&end, "END")).collect();
        let sysctls = ["accept_ra", "forwarding"].map(|key| super::sysctl(&host, &format!("ipv6/conf/{end}/{key}")));
        let link_local = |place: &dyn Fn(&str) -> String, name: &str| {
            place(&format!("ip -6 -o addr show scope link dev {name}")).matches("fe80::").count()
        };
        (
            (result["ips"].clone(), result["routes"].clone(), on_host, super::routes(&c1), sysctls),
            (
                host.addresses(&end),
                c1.addresses("eth0"),
                host.link(&end)["mtu"].clone(),
                c1.link("eth0")["mtu"].clone(),
            ),
            (link_local(&|line| host.shell(line), &end), link_local(&|line| c1.shell(line), "eth0")),
        )
    };
    assert_eq!(seen("ptp"), seen(REFERENCE));
}

fn wait_for_the_reference_in(container: &Container) {
    container.shell("until ip -6 addr show scope link -tentative | grep -q fe80; do sleep 0.05; done");
}

/// An ADD that fails is followed by a DEL of the same attachment, and a link that another attachment has stays.
#[test]
fn an_add_whose_interface_is_taken_harms_nobody() {
    let host = Host::new();
    let (c1, mut other) = (host.container("c1"), host.container_at("c2", "/run/netns/c1".as_ref()));
    other.id = "c2".to_owned();
    let network = network(&host, &keys());
    network.add(&c1, "eth0").ok();
    let add = || network.add(&other, "eth0").error();
    if reference_differs("it keeps the address that it had got") {
        let _ = add();
        return;
    }
    let error = host.assert_leaves_nothing(add);
    assert!(error.msg.contains("eth0"), "{error:?}");
    host.assert_leaves_nothing(|| network.del(&other, "eth0").ok());
    network.check(&c1, "eth0").ok();
}

/// An IPAM plugin that is executed has to be told by DEL of an ADD that failed, and must not release the address of the first
/// ADD then.
#[test]
fn a_second_add_of_the_same_attachment_fails_and_harms_nothing() {
    let host = Host::new();
    let c1 = host.container("c1");
    let mut config = config(&keys());
    config["cniVersion"] = json!("1.0.0");
    for path in [tests::bin_dir().to_string_lossy().into_owned(), "/usr/lib/cni".to_owned()] {
        let call = |verb, config: &Value| call(&host, verb, &c1, config).path(&path).run();
        let mut config = config.clone();
        config["prevResult"] = call("ADD", &config).ok();
        let error = host.assert_leaves_nothing(|| call("ADD", &config).error());
        assert!(error.msg.contains("run DEL first") || reference_differs("other words"), "{error:?}");
        call("CHECK", &config).ok();
        call("DEL", &config).ok();
    }
}

#[test]
fn gc_removes_what_was_left_and_nothing_else() {
    for backend in ["nftables", "iptables"] {
        let host = Host::new();
        let (stays, goes, elsewhere) = (host.container("stays"), host.container("goes"), host.container("elsewhere"));
        let mut keys = keys();
        keys["ipMasqBackend"] = json!(backend);
        let network = network(&host, &keys);
        keys["ipam"] = ipam(&["10.2.0.0/24"]);
        let other = host.chain(&json!({"name": "other", "plugins": [config(&keys)]}));
        network.add(&stays, "eth0").ok();
        other.add(&elsewhere, "eth0").ok();
        let before = host.snapshot();
        network.add(&goes, "eth0").ok();
        network.add(&stays, "eth1").ok();
        network.gc(&[("stays", "eth0")]).ok();
        if backend == "nftables" {
            host.snapshot().assert_nothing_since(&before);
        }
        assert_eq!((goes.links(), stays.links().len()), (vec!["lo".to_owned()], 2), "{backend}");
        let rules = host.shell("iptables-save -t nat");
        assert!(!rules.contains("\"goes\""), "{rules}");
        network.check(&stays, "eth0").ok();
        other.check(&elsewhere, "eth0").ok();
    }
}

#[test]
fn status_is_50_when_an_add_could_not_succeed() {
    let host = Host::new();
    let (c1, c2) = (host.container("c1"), host.container("c2"));
    let status = |config: &Value| host.cni("ptp").command("STATUS").config(config);
    let unavailable = |outcome: Outcome, words: &str| {
        let error = outcome.error();
        assert_eq!(error.code, 50, "{error:?}");
        assert!(format!("{} {}", error.msg, error.details).contains(words), "{error:?}");
    };
    host.assert_leaves_nothing(|| status(&config(&keys())).run().ok());
    assert_eq!(status(&config(&json!({}))).run().error().code, 7);
    unavailable(status(&config(&keys())).path("/opt/cni").run(), "host-local");
    let small = config(&json!({"ipam": ipam(&["10.1.0.0/30"])}));
    status(&small).run().ok();
    call(&host, "ADD", &c1, &small).run().ok();
    host.assert_leaves_nothing(|| call(&host, "ADD", &c2, &small).run().error());
    // That a range is full passes.
    status(&small).run().ok();
    let by_iptables = config(&json!({"ipMasq": true, "ipMasqBackend": "iptables", "ipam": ipv4()}));
    status(&by_iptables).run().ok();
    host.shell("for i in $(ls /usr/sbin/*tables*-restore); do mount --bind /dev/null $i; done");
    unavailable(status(&by_iptables).run(), "iptables");
}

#[test]
fn a_hundred_adds_at_once_on_a_fresh_host_all_succeed() {
    let host = Host::new();
    let containers: Vec<_> = (0..100).map(|i| host.container(&format!("c{i}"))).collect();
    let network = network(&host, &keys());
    let before = host.snapshot();
    let results = at_once(&containers, |container| network.add(container, "eth0").ok());
    for family in [0, 1] {
        let given: BTreeSet<_> = results.iter().map(|result| result["ips"][family]["address"].to_string()).collect();
        assert_eq!(given.len(), 100);
    }
    let _server = containers[0].listen_tcp(80);
    for family in [0, 1] {
        containers[99].assert_reaches_tcp(&format!("{}:80", tests::address(&results[0], family)));
    }
    at_once(&containers, |container| network.del(container, "eth0").ok());
    host.snapshot().assert_nothing_since(&before);
}

/// Everything is a message to the kernel: no other program runs in the steady state.
#[test]
fn no_verb_starts_another_program() {
    let host = Host::new();
    let (c1, c2) = (host.container("c1"), host.container("c2"));
    let config = config(&keys());
    call(&host, "ADD", &c1, &config).run().ok();
    every_verb_runs_alone(&config, |verb, config| call(&host, verb, &c2, config));
}

/// Two networks with one subnet. The host's route to the container is more specific than that to the bridge.
#[test]
fn an_address_of_a_container_on_a_bridge_is_taken_as_long_as_the_attachment_lives() {
    let (host, outside) = wire();
    let [web, other, third] = ["web", "other", "third"].map(|name| host.container(name));
    let bridge = host.chain(&json!({"name": "bridged", "plugins": [
        {"type": "bridge", "isGateway": true, "ipMasq": true, "ipam": ipv4()}
    ]}));
    let network = network(&host, &json!({"ipMasq": true, "ipam": fixed(&[("10.1.0.2/24", "10.1.0.1")])}));
    bridge.add(&web, "eth0").ok();
    let (_server, _own, _others) = (outside.listen_tcp(80), web.listen_tcp(80), other.listen_tcp(81));
    let assert_connected = || {
        host.assert_reaches_tcp("10.1.0.2:80");
        assert_eq!(web.assert_reaches_tcp("192.0.2.2:80").ip().to_string(), "192.0.2.1");
        bridge.check(&web, "eth0").ok();
    };
    assert_connected();
    host.assert_leaves_nothing(|| {
        network.add(&other, "eth0").ok();
        host.assert_reaches_tcp("10.1.0.2:81");
        bridge.check(&web, "eth0").ok();
        network.check(&other, "eth0").ok();
        if !reference_differs("nothing reaches its second container with the address") {
            host.assert_leaves_nothing(|| {
                assert!(!network.add(&third, "eth0").is_ok(), "the host can have one such route");
                network.del(&third, "eth0").ok();
            });
        }
        network.del(&other, "eth0").ok();
    });
    assert_connected();
}
