//! DEL, GC, STATUS, many at once, killed in the middle, in a client's hands.

use std::collections::BTreeSet;
use std::thread;

use serde_json::{Value, json};
use tests::{Container, Host, Inside as _, address, bin_dir, client};

use super::{call, config, network, of_the_wire, subnets, wire};

/// The reference's own binary, whichever is under test.
const REFERENCE: &str = "/usr/lib/cni/ipvlan";

#[test]
fn del_frees_everything_when_interface_parent_or_namespace_is_gone() {
    let (host, outside) = wire();
    let network = network("net", &host, &json!({"ipam": of_the_wire()}));
    let before = host.snapshot();
    let c1 = host.container("c1");
    network.add(&c1, "eth0").ok();
    c1.shell("ip link del eth0");
    network.del(&c1, "eth0").ok();
    network.add(&c1, "eth0").ok();
    let c1 = host.lose(c1);
    network.del(&c1, "eth0").ok();
    host.snapshot().assert_nothing_since(&before);
    let c2 = host.container("c2");
    network.add(&c2, "eth0").ok();
    outside.shell("ip link del uplink");
    assert_eq!(c2.links(), ["lo"]);
    network.del(&c2, "eth0").ok();
    assert_eq!(
        host.run(["find", "/run/ferrocni/parents", "/var/lib/cni/networks/net", "-type", "f", "-name", "[1-9n]*"]),
        ""
    );
}

/// The runtime cleans up after a failed ADD with a DEL, and must not take what was in its way.
#[test]
fn an_add_that_fails_leaves_nothing_and_harms_nobody() {
    let (host, _outside) = wire();
    let (c1, c2) = (host.container("c1"), host.container("c2"));
    let small = json!({"ipam": {"type": "host-local", "subnet": "10.9.0.0/30"}});
    let (one, other) = (network("one", &host, &small), network("other", &host, &json!({"ipam": subnets(1)})));
    one.add(&c1, "eth0").ok();
    host.assert_leaves_nothing(|| {
        assert!(one.add(&c1, "eth0").error().msg.contains("run DEL first"));
        assert!(other.add(&c1, "eth0").error().msg.contains("an interface eth0 already"));
        other.del(&c1, "eth0").ok();
        let error = one.add(&c2, "eth0").error();
        assert!(format!("{} {}", error.msg, error.details).contains("10.9.0.0/30"), "{error:?}");
    });
    one.check(&c1, "eth0").ok();
}

/// Replacing the reference on a node whose containers run, and going back.
#[test]
fn ours_and_the_reference_s_attachments_are_checked_and_deleted_by_the_other() {
    let (host, _outside) = wire();
    let c1 = host.container("c1");
    let ours = bin_dir().join("ipvlan");
    let plugins = [REFERENCE, ours.to_str().unwrap()];
    for keys in [json!({"mtu": 1400, "ipam": of_the_wire()}), json!({"mode": "l3", "ipam": subnets(1)})] {
        for (adds, deletes) in [(plugins[0], plugins[1]), (plugins[1], plugins[0])] {
            let mut config = config(&keys);
            config["cniVersion"] = json!("1.0.0");
            config["prevResult"] = host.cni(adds).command("ADD").container(&c1).config(&config).run().ok();
            host.cni(deletes).command("CHECK").container(&c1).config(&config).run().ok();
            host.cni(deletes).command("DEL").container(&c1).config(&config).run().ok();
            assert_eq!(c1.links(), ["lo"]);
        }
    }
}

#[test]
fn gc_frees_what_is_not_listed_and_nothing_else() {
    let (host, _outside) = wire();
    let (stays, elsewhere) = (host.container("stays"), host.container("elsewhere"));
    let network_of = |name, number| network(name, &host, &json!({"mode": "l3", "ipam": subnets(number)}));
    let (network, other) = (network_of("net", 1), network_of("other", 2));
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
    let refused = |keys: &Value, words: &str| {
        let error = network("net", &host, keys).status().error();
        assert_eq!(error.code, 50, "{error:?}");
        assert!(format!("{} {}", error.msg, error.details).contains(words), "{error:?}");
    };
    host.assert_leaves_nothing(|| network("net", &host, &json!({"ipam": of_the_wire()})).status().ok());
    refused(&json!({"master": "nowhere", "ipam": subnets(1)}), "nowhere");
    refused(&json!({"master": null, "ipam": subnets(1)}), "default route");
    refused(&json!({"master": "lo", "ipam": subnets(1)}), "Ethernet");
    refused(&json!({"ipam": {"type": "nobody"}}), "nobody");
    let small = json!({"ipam": {"type": "host-local", "subnet": "10.1.0.0/30"}});
    network("net", &host, &small).add(&host.container("c1"), "eth0").ok();
    // That a range is full passes.
    network("net", &host, &small).status().ok();
    // In a chain, the plugin before it knows where to.
    network("chained", &host, &json!({"master": null})).status().ok();
}

#[test]
fn twenty_adds_at_once_all_succeed() {
    let (host, outside) = wire();
    let containers: Vec<_> = (0..20).map(|i| host.container(&format!("c{i}"))).collect();
    let network = network("net", &host, &json!({"ipam": of_the_wire()}));
    let before = host.snapshot();
    let at_once = |verb: &(dyn Fn(&Container) -> Value + Sync)| -> Vec<Value> {
        thread::scope(|scope| {
            let threads: Vec<_> = containers.iter().map(|container| scope.spawn(move || verb(container))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        })
    };
    let results = at_once(&|container| network.add(container, "eth0").ok());
    for family in [0, 1] {
        let given: BTreeSet<_> = results.iter().map(|result| result["ips"][family]["address"].to_string()).collect();
        assert_eq!(given.len(), 20);
    }
    let _outside = outside.listen_tcp(80);
    containers[19].assert_reaches_tcp("192.0.2.2:80");
    containers[19].assert_reaches_tcp("[2001:db8::2]:80");
    at_once(&|container| network.del(container, "eth0").ok());
    host.snapshot().assert_nothing_since(&before);
}

/// What a runtime does after a plugin was killed: DEL, without the result.
#[test]
fn add_and_del_can_be_killed_anywhere() {
    let host = Host::new();
    host.shell("ip link add uplink up type veth peer name far; ip link set far up");
    let c1 = host.container("c1");
    let keys = config(&json!({"mode": "l3", "ipam": subnets(1)}));
    let del = call(&host, "DEL", &c1, &keys);
    // What there can be, without the many programs of a snapshot.
    let nothing_is_left = |point: &str| {
        let files =
            "find /run/ferrocni/parents /var/lib/cni/networks/test -type f -name '[1-9ft]*' 2>/dev/null || true";
        let left = host.shell(&format!("{files}; ip -n c1 -o link"));
        assert!(left.lines().count() == 1 && left.contains("lo:"), "killed at {point}: {left}");
    };
    let kills = call(&host, "ADD", &c1, &keys).killed_at_every_change(|point| {
        del.run().ok();
        nothing_is_left(point);
    });
    assert!(kills >= 10, "ADD was killed {kills} times only");
    call(&host, "ADD", &c1, &keys).run().ok();
    let kills = del.killed_at_every_change(|point| {
        del.run().ok();
        nothing_is_left(point);
        call(&host, "ADD", &c1, &keys).run().ok();
    });
    assert!(kills >= 5, "DEL was killed {kills} times only");
}

#[test]
fn an_add_that_nobody_hears_leaves_nothing() {
    let (host, _outside) = wire();
    let c1 = host.container("c1");
    let add = call(&host, "ADD", &c1, &config(&json!({"ipam": of_the_wire()})));
    host.assert_leaves_nothing(|| assert!(!add.run_unheard().is_ok()));
}

/// Everything is a message to the kernel: no other program runs.
#[test]
fn no_verb_starts_another_program() {
    let (host, _outside) = wire();
    let c1 = host.container("c1");
    let mut config = config(&json!({"ipam": of_the_wire()}));
    let traced = |verb: &str, config: &Value| {
        let strace = ["strace", "-f", "-qqq", "-e", "trace=execve", "-o", "/run/trace"];
        let result = call(&host, verb, &c1, config).run_under(&strace).ok();
        let trace = host.read("/run/trace").unwrap();
        assert_eq!(trace.matches("execve(").count(), 1, "{verb}: {trace}");
        result
    };
    config["prevResult"] = traced("ADD", &config);
    traced("CHECK", &config);
    traced("DEL", &config);
    config["cni.dev/valid-attachments"] = json!([]);
    traced("GC", &config);
    traced("STATUS", &config);
}

/// libcni and nothing else; it speaks up to 1.0.0.
#[test]
fn cnitool_adds_checks_and_deletes() {
    let (host, outside) = wire();
    let web = host.container("web");
    let conflist = json!({"cniVersion": "1.0.0", "name": "web", "plugins": [config(&json!({"ipam": of_the_wire()}))]});
    host.write("/etc/cni/net.d/10-web.conflist", conflist.to_string());
    let cnitool = |verb: &str| {
        let (path, client) = (format!("CNI_PATH={}", bin_dir().display()), client("cnitool"));
        host.run(["env", &path, client.to_str().unwrap(), verb, "web", web.netns.to_str().unwrap()])
    };
    let _web = web.listen_tcp(80);
    let result: Value = serde_json::from_str(&cnitool("add")).unwrap();
    outside.assert_reaches_tcp(&format!("{}:80", address(&result, 0)));
    outside.assert_reaches_tcp(&format!("{}:80", address(&result, 1)));
    cnitool("check");
    cnitool("del");
    cnitool("del");
    assert_eq!(web.links(), ["lo"]);
}
