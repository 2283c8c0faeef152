//! DEL, GC, STATUS, many at once.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tests::{Host, Inside as _, Outcome, at_once, bin_dir, every_verb_runs_alone, reference_differs};

use super::{REFERENCE, call, config, ipv4, named, network, of_the_wire, wire};

#[test]
fn del_takes_the_container_s_interface() {
    let (host, _outside) = wire();
    let c1 = host.container("c1");
    let network = network(&host, &json!({"ipam": of_the_wire()}));
    host.assert_leaves_nothing(|| {
        network.add(&c1, "eth0").ok();
        network.del(&c1, "eth0").ok();
        assert_eq!(c1.links(), ["lo"]);
    });
}

#[test]
fn del_succeeds_when_interface_or_parent_is_gone() {
    for (on_host, in_container) in [("", "ip link del eth0"), ("ip link del uplink", "")] {
        if in_container.is_empty() && reference_differs("it fails without the parent, and frees nothing") {
            continue;
        }
        let (host, _outside) = wire();
        let c1 = host.container("c1");
        let network = network(&host, &json!({"ipam": of_the_wire()}));
        network.add(&c1, "eth0").ok();
        host.shell(on_host);
        c1.shell(in_container);
        assert_eq!(c1.links(), ["lo"]);
        network.del(&c1, "eth0").ok();
        assert_eq!(host.run(["find", "/var/lib/cni/networks/net", "-name", "[1-9]*"]), "", "no reservation is left");
    }
}

#[test]
fn del_frees_the_addresses_after_the_namespace_vanished() {
    for leave_a_file in [false, true] {
        let (host, _outside) = wire();
        let before = host.snapshot();
        let c1 = host.container("c1");
        let network = network(&host, &json!({"ipam": of_the_wire()}));
        network.add(&c1, "eth0").ok();
        let c1 = host.lose(c1);
        if leave_a_file {
            host.write(&c1.netns, "");
        }
        if leave_a_file && reference_differs("an empty file stops it") {
            continue;
        }
        network.del(&c1, "eth0").ok();
        let _ = host.try_run(["rm", "-f", "/run/netns/c1"]);
        host.snapshot().assert_nothing_since(&before);
    }
}

#[test]
fn del_takes_a_result_of_any_version_and_none() {
    let (host, _outside) = wire();
    let c1 = host.container("c1");
    for version in ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0"] {
        let mut conflist = json!({"name": "net", "plugins": [config(&json!({"ipam": of_the_wire()}))]});
        conflist["cniVersion"] = json!(version);
        let network = host.chain(&conflist);
        host.assert_leaves_nothing(|| {
            network.add(&c1, "eth0").ok();
            network.del(&c1, "eth0").ok();
        });
    }
    let config = config(&json!({"ipam": of_the_wire()}));
    host.assert_leaves_nothing(|| {
        call(&host, "ADD", &c1, &config).run().ok();
        call(&host, "DEL", &c1, &config).run().ok();
    });
}

/// The runtime cleans up after a failed ADD with a DEL, and must not take the interface that was in its way.
#[test]
fn del_after_a_failed_add_leaves_what_is_not_its_own() {
    let (host, _outside) = wire();
    let c1 = host.container("c1");
    let (one, other) = (named("one", &host, &json!({"ipam": ipv4()})), named("other", &host, &json!({"ipam": ipv4()})));
    one.add(&c1, "eth0").ok();
    let error = host.assert_leaves_nothing(|| other.add(&c1, "eth0").error());
    assert!(error.msg.contains("an interface eth0 already"), "{error:?}");
    other.del(&c1, "eth0").ok();
    one.check(&c1, "eth0").ok();
    c1.shell("ip link add eth1 type veth");
    other.del(&c1, "eth1").ok();
    assert!(c1.links().contains(&"eth1".to_owned()));
}

#[test]
fn a_second_add_of_the_same_attachment_fails_and_harms_nothing() {
    let (host, _outside) = wire();
    let c1 = host.container("c1");
    let network = network(&host, &json!({"ipam": of_the_wire()}));
    network.add(&c1, "eth0").ok();
    let error = host.assert_leaves_nothing(|| network.add(&c1, "eth0").error());
    assert!(error.msg.contains("run DEL first") || reference_differs("other words"), "{error:?}");
    network.check(&c1, "eth0").ok();
}

/// An address that has been released may be another container's at once: the link goes first.
#[test]
fn an_add_that_fails_late_has_taken_its_link_away_before_it_releases_the_address() {
    let (host, _outside) = wire();
    let c1 = host.container("c1");
    host.write(
        "/run/plugins/witness",
        format!(
            "#!/bin/sh\n[ $CNI_COMMAND != DEL ] || ip netns exec c1 ip -o link >/run/seen\nexec {}/host-local\n",
            bin_dir().display()
        ),
    );
    host.shell("chmod +x /run/plugins/witness");
    let mut keys = config(&json!({"ipam": ipv4()}));
    keys["ipam"]["type"] = json!("witness");
    let add = call(&host, "ADD", &c1, &keys).path("/run/plugins");
    host.assert_leaves_nothing(|| assert!(!add.run_unheard().is_ok()));
    let seen = host.read("/run/seen").unwrap();
    assert!(seen.contains("lo:") && !seen.contains("eth0"), "{seen}");
}

#[test]
fn an_add_that_runs_out_of_addresses_leaves_nothing() {
    let (host, _outside) = wire();
    let (c1, c2) = (host.container("c1"), host.container("c2"));
    let network = network(&host, &json!({"ipam": {"type": "host-local", "subnet": "10.1.0.0/30"}}));
    network.add(&c1, "eth0").ok();
    if !reference_differs("it leaves its link behind") {
        host.assert_leaves_nothing(|| network.add(&c2, "eth0").error());
    }
}

/// Replacing the reference on a node whose containers run, and going back.
#[test]
fn ours_and_the_reference_s_attachments_are_checked_and_deleted_by_the_other() {
    let (host, _outside) = wire();
    let c1 = host.container("c1");
    let ours = bin_dir().join("macvlan");
    let plugins = [REFERENCE, ours.to_str().unwrap()];
    for keys in [json!({"mode": "private", "mtu": 1400, "ipam": of_the_wire()}), json!({})] {
        for (adds, deletes) in [(plugins[0], plugins[1]), (plugins[1], plugins[0])] {
            host.assert_leaves_nothing(|| {
                let mut config = config(&keys);
                config["cniVersion"] = json!("1.0.0");
                config["prevResult"] = host.cni(adds).command("ADD").container(&c1).config(&config).run().ok();
                host.cni(deletes).command("CHECK").container(&c1).config(&config).run().ok();
                host.cni(deletes).command("DEL").container(&c1).config(&config).run().ok();
                assert_eq!(c1.links(), ["lo"]);
            });
        }
    }
}

#[test]
fn gc_frees_the_addresses_that_are_not_listed_and_no_others() {
    let (host, _outside) = wire();
    let (stays, elsewhere) = (host.container("stays"), host.container("elsewhere"));
    let network = network(&host, &json!({"ipam": of_the_wire()}));
    let other = named("other", &host, &json!({"ipam": {"type": "host-local", "subnet": "10.1.0.0/24"}}));
    network.add(&stays, "eth0").ok();
    other.add(&elsewhere, "eth0").ok();
    host.assert_leaves_nothing(|| {
        let goes = host.container("goes");
        network.add(&goes, "eth0").ok();
        let _gone = host.lose(goes);
        network.gc(&[("stays", "eth0"), ("never-was", "eth0")]).ok();
    });
    network.check(&stays, "eth0").ok();
    other.check(&elsewhere, "eth0").ok();
}

#[test]
fn status_is_50_when_an_add_could_not_succeed() {
    let (host, _outside) = wire();
    host.shell("ip link add br0 type bridge; ip link add port up master br0 type veth peer name far");
    let status = |keys: &Value| host.cni("macvlan").command("STATUS").config(&config(keys));
    let refused = |code: u64, outcome: Outcome, words: &[&str]| {
        let error = outcome.error();
        assert_eq!(error.code, code, "{error:?}");
        let text = format!("{} {}", error.msg, error.details);
        assert!(words.iter().all(|word| text.contains(word)), "{text}");
    };
    host.assert_leaves_nothing(|| {
        status(&json!({})).run().ok();
        status(&json!({"mtu": 1400, "ipam": of_the_wire()})).run().ok();
    });
    for (keys, words) in [
        (json!({"master": "nowhere"}), &["nowhere"] as &[&str]),
        (json!({"master": "nowhere.20"}), &["nowhere"]),
        (json!({"master": null}), &["default route"]),
        (json!({"master": "lo"}), &["lo", "Ethernet"]),
        (json!({"master": "port"}), &["port", "bridge"]),
        (json!({"ipam": {"type": "nobody"}}), &["nobody"]),
    ] {
        refused(50, host.assert_leaves_nothing(|| status(&keys).run()), words);
    }
    refused(7, status(&json!({"mtu": 9000})).run(), &["9000", "1500"]);
    let small = network(&host, &json!({"ipam": {"type": "host-local", "subnet": "10.1.0.0/30"}}));
    small.status().ok();
    small.add(&host.container("c1"), "eth0").ok();
    // That a range is full passes.
    small.status().ok();
}

/// A tag needs a module that this kernel may lack; then both say so, and nothing changes.
#[test]
fn a_parent_for_a_tag_is_made_or_the_kernel_is_said_to_lack_it() {
    let (host, _outside) = wire();
    let c1 = host.container("c1");
    let can =
        host.try_run(["ip", "link", "add", "trial", "link", "uplink", "type", "vlan", "id", "9"]).status.success();
    let network = network(&host, &json!({"master": "uplink.20"}));
    let (add, status) = host.assert_leaves_nothing(|| (network.add(&c1, "eth0"), network.status()));
    if can {
        add.ok();
        status.ok();
        network.del(&c1, "eth0").ok();
        return;
    }
    for (code, outcome) in [(999, add), (50, status)] {
        let error = outcome.error();
        assert!(error.code == code && error.msg.contains("uplink.20") && error.msg.contains("8021q"), "{error:?}");
    }
}

#[test]
fn fifty_adds_at_once_all_succeed() {
    let (host, outside) = wire();
    let containers: Vec<_> = (0..50).map(|i| host.container(&format!("c{i}"))).collect();
    let network = network(&host, &json!({"ipam": of_the_wire()}));
    let before = host.snapshot();
    let results = at_once(&containers, |container| network.add(container, "eth0").ok());
    for family in [0, 1] {
        let given: BTreeSet<_> = results.iter().map(|result| result["ips"][family]["address"].to_string()).collect();
        assert_eq!(given.len(), 50);
    }
    let _outside = outside.listen_tcp(80);
    containers[49].assert_reaches_tcp("192.0.2.2:80");
    containers[49].assert_reaches_tcp("[2001:db8::2]:80");
    at_once(&containers, |container| network.del(container, "eth0").ok());
    host.snapshot().assert_nothing_since(&before);
}

/// Everything is a message to the kernel: no other program runs.
#[test]
fn no_verb_starts_another_program() {
    let host = Host::new();
    host.shell("ip link add uplink up type veth peer name far; ip link set far up");
    let c1 = host.container("c1");
    let config = config(&json!({"ipam": of_the_wire()}));
    every_verb_runs_alone(&config, |verb, config| call(&host, verb, &c1, config));
}
