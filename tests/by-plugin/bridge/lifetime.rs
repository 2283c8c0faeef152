//! DEL, GC, STATUS, many at once.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tests::{Container, Host, Inside as _, Outcome, at_once, every_verb_runs_alone, reference_differs};

use super::{REFERENCE, addresses, call, config, dual_stack, gateway, host_end, ipam, ipv4, link, network};

fn keys() -> Value {
    let mut keys = json!({"isGateway": true, "ipMasq": true, "ipam": dual_stack()});
    if !reference_differs("it leaves an empty table for its check of source addresses") {
        keys["macspoofchk"] = json!(true);
    }
    keys
}

#[test]
fn del_takes_the_container_s_interface_too() {
    let host = Host::new();
    let c1 = host.container("c1");
    let network = network(&host, &keys());
    host.assert_leaves_nothing(|| {
        network.add(&c1, "eth0").ok();
        network.del(&c1, "eth0").ok();
        assert_eq!(c1.ip_json(["link"]).as_array().unwrap().len(), 1);
    });
}

#[test]
fn del_frees_everything_after_the_container_s_end_is_gone() {
    let host = Host::new();
    let c1 = host.container("c1");
    let network = network(&host, &keys());
    host.assert_leaves_nothing(|| {
        network.add(&c1, "eth0").ok();
        c1.shell("ip link del eth0");
        network.del(&c1, "eth0").ok();
    });
}

#[test]
fn del_frees_everything_after_the_namespace_vanished() {
    for leave_a_file in [false, true] {
        let host = Host::new();
        let before = host.snapshot();
        let c1 = host.container("c1");
        let network = network(&host, &keys());
        network.add(&c1, "eth0").ok();
        let c1 = host.lose(c1);
        if leave_a_file {
            host.write(&c1.netns, "");
        }
        network.del(&c1, "eth0").ok();
        let _ = host.try_run(["rm", "-f", "/run/netns/c1"]);
        host.snapshot().assert_nothing_since(&before);
    }
}

/// The namespace lives on, as long as a process is in it, while its path is a file without a mount: after somebody
/// unmounted it.
#[test]
fn del_finds_the_link_of_a_namespace_that_lost_its_path() {
    let host = Host::new();
    let before = host.snapshot();
    let c1 = host.container("c1");
    let network = network(&host, &keys());
    network.add(&c1, "eth0").ok();
    let _process = c1.spawn(["sleep", "100"]);
    host.shell("umount -l /run/netns/c1");
    network.del(&c1, "eth0").ok();
    assert_eq!(c1.ip_json(["link"]).as_array().unwrap().len(), 1);
    host.shell("rm /run/netns/c1");
    host.snapshot().assert_nothing_since(&before);
}

#[test]
fn del_works_without_the_result_of_add() {
    let host = Host::new();
    let c1 = host.container("c1");
    let config = config(&keys());
    let add_and_del = || {
        call(&host, "ADD", &c1, &config).run().ok();
        call(&host, "DEL", &c1, &config).run().ok();
    };
    if reference_differs("its masquerading stays") {
        return add_and_del();
    }
    host.assert_leaves_nothing(add_and_del);
}

/// The old forms of a result say neither whose the addresses are nor which interfaces there are.
#[test]
fn del_takes_a_result_of_any_version() {
    for version in ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0"] {
        let host = Host::new();
        let c1 = host.container("c1");
        let mut conflist = json!({"name": "net", "plugins": [config(&keys())]});
        conflist["cniVersion"] = json!(version);
        let network = host.chain(&conflist);
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
    let mut config = config(&json!({"isGateway": true, "ipMasq": true, "ipam": dual_stack()}));
    config["cniVersion"] = json!("1.0.0");
    host.assert_leaves_nothing(|| {
        for (container, with_result) in [(&c1, true), (&c2, false)] {
            let add = host.cni(REFERENCE).command("ADD").container(container).config(&config).run().ok();
            let mut config = config.clone();
            if with_result {
                config["prevResult"] = add.clone();
                call(&host, "CHECK", container, &config).run().ok();
                host.shell("iptables -t nat -F POSTROUTING");
                let error = call(&host, "CHECK", container, &config).run().error();
                assert!(error.msg.contains("masquerade"), "{error:?}");
            }
            call(&host, "DEL", container, &config).run().ok();
        }
    });
}

/// The runtime cleans up after a failed ADD with a DEL, and must not take the interface that was in its way.
#[test]
fn del_after_a_failed_add_leaves_another_network_s_interface() {
    let host = Host::new();
    let c1 = host.container("c1");
    let one = network(&host, &gateway(&ipv4()));
    let mut other = config(&gateway(&ipam(&["10.2.0.0/24"])));
    other["bridge"] = json!("br1");
    let other = host.chain(&json!({"name": "other", "plugins": [other]}));
    one.add(&c1, "eth0").ok();
    assert!(!other.add(&c1, "eth0").is_ok());
    other.del(&c1, "eth0").ok();
    one.check(&c1, "eth0").ok();
}

#[test]
fn gc_removes_what_is_not_listed_and_nothing_else() {
    let host = Host::new();
    let containers: Vec<Container> = ["stays", "goes", "other", "foreign"].map(|name| host.container(name)).into();
    let [stays, goes, other, foreign] = &containers[..] else { unreachable!() };
    let network = network(&host, &keys());
    network.add(stays, "eth0").ok();
    let mut others =
        config(&json!({"isGateway": true, "ipMasq": true, "macspoofchk": true, "ipam": ipam(&["10.2.0.0/24"])}));
    others["bridge"] = json!("br1");
    let others = host.chain(&json!({"name": "others", "plugins": [others]}));
    others.add(other, "eth0").ok();
    host.shell(
        "ip link add veth0 master br0 type veth peer name eth0 netns foreign; ip link set veth0 alias net/x/eth0",
    );
    assert_eq!(foreign.ip_json(["link"]).as_array().unwrap().len(), 2);
    host.assert_leaves_nothing(|| {
        network.add(goes, "eth0").ok();
        network.add(stays, "eth1").ok();
        network.gc(&[("stays", "eth0"), ("never-was", "eth0")]).ok();
        assert_eq!(goes.ip_json(["link"]).as_array().unwrap().len(), 1);
        assert_eq!(stays.ip_json(["link"]).as_array().unwrap().len(), 2);
    });
    network.check(stays, "eth0").ok();
    others.check(other, "eth0").ok();
    network.gc(&[]).ok();
    assert_eq!(stays.ip_json(["link"]).as_array().unwrap().len(), 1);
    others.check(other, "eth0").ok();
}

#[test]
fn gc_removes_what_vanished_containers_left() {
    for backend in ["nftables", "iptables"] {
        let host = Host::new();
        let before = host.snapshot();
        let (c1, c2) = (host.container("c1"), host.container("c2"));
        let mut keys = keys();
        keys["ipMasqBackend"] = json!(backend);
        let network = network(&host, &keys);
        for container in [&c1, &c2] {
            network.add(container, "eth0").ok();
        }
        let c1 = host.lose(c1);
        network.gc(&[("c2", "eth0")]).ok();
        network.check(&c2, "eth0").ok();
        network.del(&c2, "eth0").ok();
        let _gone = (host.lose(c2), c1);
        host.snapshot().assert_nothing_since(&before);
    }
}

/// Its own rules may be in a table that iptables would use too.
#[test]
fn gc_works_on_a_host_without_iptables() {
    let host = Host::new();
    let c1 = host.container("c1");
    host.shell("nft add table ip nat");
    let network = network(&host, &keys());
    host.assert_leaves_nothing(|| {
        network.add(&c1, "eth0").ok();
        host.shell("mount -t tmpfs none /usr/sbin");
        let outcome = network.gc(&[]);
        host.shell("umount /usr/sbin");
        outcome.ok();
    });
}

#[test]
fn an_interface_may_be_called_as_the_bridge_is_on_the_host() {
    let host = Host::new();
    let c1 = host.container("c1");
    let network = network(&host, &keys());
    host.assert_leaves_nothing(|| {
        network.add(&c1, "br0").ok();
        if !reference_differs("its CHECK finds the wrong interface") {
            network.check(&c1, "br0").ok();
        }
        network.del(&c1, "br0").ok();
    });
}

#[test]
fn status_is_50_when_an_add_could_not_succeed() {
    let host = Host::new();
    let (c1, c2) = (host.container("c1"), host.container("c2"));
    let status = |config: &Value| host.cni("bridge").command("STATUS").config(config);
    let unavailable = |outcome: Outcome, words: &str| {
        let error = outcome.error();
        assert_eq!(error.code, 50, "{error:?}");
        assert!(format!("{} {}", error.msg, error.details).contains(words), "{error:?}");
    };
    host.assert_leaves_nothing(|| {
        status(&config(&keys())).run().ok();
        status(&config(&json!({}))).run().ok();
    });
    unavailable(status(&config(&keys())).path("/opt/cni").run(), "host-local");
    let small = config(&gateway(&ipam(&["10.1.0.0/30"])));
    status(&small).run().ok();
    call(&host, "ADD", &c1, &small).run().ok();
    assert!(!call(&host, "ADD", &c2, &small).run().is_ok());
    // That a range is full passes.
    status(&small).run().ok();
    let by_iptables = config(&json!({"ipMasq": true, "ipMasqBackend": "iptables", "ipam": ipv4()}));
    status(&by_iptables).run().ok();
    host.shell("for i in $(ls /usr/sbin/*tables*-restore); do mount --bind /dev/null $i; done");
    unavailable(status(&by_iptables).run(), "iptables");
}

#[test]
fn status_tells_of_a_link_in_the_bridge_s_place() {
    let host = Host::new();
    host.shell("ip link add br0 type veth peer name p0");
    let error = host.cni("bridge").command("STATUS").config(&config(&json!({}))).run().error();
    assert!(error.code == 50 && error.msg.contains("veth"), "{error:?}");
}

#[test]
fn an_add_that_runs_out_of_addresses_leaves_nothing() {
    let host = Host::new();
    let (c1, c2) = (host.container("c1"), host.container("c2"));
    let network = network(&host, &gateway(&ipam(&["10.1.0.0/30"])));
    network.add(&c1, "eth0").ok();
    if reference_differs("it leaves its veth to DEL") {
        return;
    }
    host.assert_leaves_nothing(|| network.add(&c2, "eth0").error());
}

#[test]
fn a_second_add_of_the_same_attachment_fails_and_harms_nothing() {
    let host = Host::new();
    let c1 = host.container("c1");
    let network = network(&host, &keys());
    let result = network.add(&c1, "eth0").ok();
    let error = host.assert_leaves_nothing(|| network.add(&c1, "eth0").error());
    assert!(error.msg.contains("run DEL first") || reference_differs("other words"), "{error:?}");
    assert_eq!(link(&host, host_end(&result))["master"], "br0");
    network.check(&c1, "eth0").ok();
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
    assert_eq!(addresses(&host, "br0"), ["10.1.0.1/24", "fd00:1::1/64"]);
    let bridge_macs: BTreeSet<_> = results.iter().map(|result| super::mac(result, 0)).collect();
    assert!(bridge_macs.len() == 1 || reference_differs("the bridge changes it"), "{bridge_macs:?}");
    let last = &containers[99];
    last.assert_pings("10.1.0.1");
    last.shell("ping -n -c1 -w5 fd00:1::1");
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
