//! What cannot be limited, and why; and that nothing has changed then.

use serde_json::{Value, json};
use tests::{CniError, Host, Inside as _, reference_differs};

use super::{both, call, disciplines, ifbs, with_veth};

fn with(keys: &Value) -> Value {
    let mut config = both();
    for (key, value) in keys.as_object().unwrap() {
        config[key] = value.clone();
    }
    config
}

#[track_caller]
fn assert_says(error: &CniError, code: u64, words: &[&str]) {
    let all = format!("{} {}", error.msg, error.details);
    assert!(error.code == code && words.iter().all(|word| all.contains(word)), "{code} {words:?}: {error:?}");
}

#[test]
fn wrong_values_are_refused_where_they_stand() {
    let host = Host::new();
    let c1 = with_veth(&host, "c1");
    for (keys, words) in [
        (json!({"ingressBurst": 0}), &["ingressBurst"][..]),
        (json!({"egressRate": null}), &["egressRate"]),
        (json!({"egressBurst": 34_359_738_360_u64}), &["egressBurst", "4 GiB"]),
        (json!({"ingressRate": 5}), &["ingressRate"]),
        (json!({"ingressRate": -5}), &["ingressRate"]),
        (json!({"ingressRate": "20M"}), &["ingressRate"]),
        (json!({"runtimeConfig": {"bandwidth": {"ingressRate": true}}}), &["runtimeConfig.bandwidth.ingressRate"]),
    ] {
        let error = call(&host, "bandwidth", "ADD", &c1, &with(&keys)).run().error();
        assert_says(&error, 7, words);
    }
    assert!(disciplines(&host).is_empty() && ifbs(&host).is_empty());
}

#[test]
fn limits_for_some_subnets_only_are_refused() {
    let host = Host::new();
    let c1 = with_veth(&host, "c1");
    for key in ["shapedSubnets", "unshapedSubnets"] {
        let config = with(&json!({key: ["10.0.0.0/8"]}));
        for verb in ["ADD", "CHECK"] {
            let error = call(&host, "bandwidth", verb, &c1, &config).run().error();
            assert_says(&error, 2, &[key]);
        }
        call(&host, "bandwidth", "DEL", &c1, &config).run().ok();
    }
    assert!(disciplines(&host).is_empty());
}

#[test]
fn only_a_veth_can_be_limited() {
    let host = Host::new();
    host.shell("ip link add parent type veth peer name other");
    let kinds = ["macvlan", "ifb", "lo", "none"];
    for (kind, words) in kinds.into_iter().zip(["macvlan", "ifb", "device of the machine", "eth0"]) {
        let container = host.container(&format!("with-{kind}"));
        let netns = &container.id;
        host.shell(&match kind {
            "macvlan" => format!("ip link add link parent name eth0 netns {netns} type macvlan"),
            "ifb" => format!("ip -n {netns} link add eth0 type ifb"),
            "lo" => format!("ip -n {netns} link set lo name eth0"),
            _ => "true".to_owned(),
        });
        let error = call(&host, "bandwidth", "ADD", &container, &both()).run().error();
        assert!(format!("{} {}", error.msg, error.details).contains(words), "{kind}: {error:?}");
        assert!(kind == "none" || error.code == 7 && error.msg.contains("veth"), "{kind}: {error:?}");
    }
    assert!(disciplines(&host).is_empty() && ifbs(&host).is_empty());
}

#[test]
fn a_veth_that_leads_elsewhere_cannot_be_limited() {
    let host = Host::new();
    let (c1, _c2) = (host.container("c1"), host.container("c2"));
    // The numbers of the links are such that the host has a link of the number that the peer has.
    host.shell("ip -n c1 link add eth0 type veth peer name eth0 netns c2; ip link add x type veth peer name y");
    let error = call(&host, "bandwidth", "ADD", &c1, &both()).run().error();
    assert!(error.msg.contains("eth0") || reference_differs("it names no interface"), "{error:?}");
    assert!(disciplines(&host).is_empty() && ifbs(&host).is_empty());
}

/// A container gives its links whichever numbers it likes. Those of another container's pair do not make that its own, wherever
/// the other end of its pair really is.
#[test]
fn the_numbers_of_another_container_s_pair_lead_nowhere() {
    let host = Host::new();
    let (victim, ours, deeper) = (host.container("victim"), host.container("ours"), host.container("deeper"));
    host.shell(
        "ip link add victim index 1003 type veth peer name eth0 index 1002 netns victim
         ip link set victim up; ip -n victim link set eth0 up",
    );
    for netns in [&ours.id, &deeper.id] {
        host.shell(&format!("ip -n ours link add eth0 index 1002 type veth peer name x index 1003 netns {netns}"));
        let mut config = both();
        config["prevResult"] = json!({"cniVersion": "1.0.0", "interfaces": [
            {"name": "victim"}, {"name": "eth0", "sandbox": ours.netns},
        ]});
        let error = call(&host, "bandwidth", "ADD", &ours, &config).run().error();
        assert_says(&error, 7, &["eth0", "another namespace"]);
        assert!(disciplines(&host).is_empty() && ifbs(&host).is_empty(), "{netns}");
        ours.shell("ip link del eth0");
    }
    call(&host, "bandwidth", "ADD", &victim, &both()).run().ok();
    assert_eq!(disciplines(&host).len(), 3);
}

/// Cilium, or an administrator, may control the traffic of the host's end already.
#[test]
fn what_others_have_set_up_stays() {
    let host = Host::new();
    let c1 = with_veth(&host, "c1");
    for (made, place) in [
        ("tc qdisc add dev c1 root handle 7: tbf rate 1mbit burst 9k latency 9ms", "root"),
        ("tc qdisc add dev c1 ingress", "ingress"),
        ("tc qdisc add dev c1 clsact", "clsact"),
    ] {
        host.shell(made);
        let before = (host.run(["tc", "qdisc", "show"]), host.run(["tc", "filter", "show", "dev", "c1", "ingress"]));
        let error = call(&host, "bandwidth", "ADD", &c1, &both()).run().error();
        if !reference_differs("it leaves what it has made until then") {
            assert!(error.msg.contains("c1") && error.msg.contains("already"), "{place}: {error:?}");
            let after = (host.run(["tc", "qdisc", "show"]), host.run(["tc", "filter", "show", "dev", "c1", "ingress"]));
            assert_eq!(after, before, "{place}");
            assert!(ifbs(&host).is_empty());
        }
        host.shell(&format!("tc qdisc del dev c1 {place}"));
    }
}

#[test]
fn it_is_chained_and_only_that() {
    let host = Host::new();
    let c1 = with_veth(&host, "c1");
    let alone = with(&json!({"prevResult": null}));
    let call = |version: &str| {
        let mut config = alone.clone();
        config["type"] = json!("bandwidth");
        config["cniVersion"] = json!(version);
        host.cni("bandwidth").command("ADD").container(&c1).config(&config).run().error()
    };
    assert_says(&call("1.1.0"), 7, &["prevResult"]);
    assert_says(&call("0.2.0"), 1, &["0.2.0", "0.3.0"]);
}

#[test]
fn without_limits_it_repeats_what_it_was_given() {
    let host = Host::new();
    // Not even a veth is needed then.
    let c1 = host.container("c1");
    let before = host.snapshot();
    for config in [json!({}), json!({"ingressRate": 0, "ingressBurst": 0}), json!({"runtimeConfig": {}})] {
        let result = call(&host, "bandwidth", "ADD", &c1, &config).run().ok();
        assert_eq!(result["interfaces"].as_array().unwrap().len(), 2);
        if !reference_differs("its CHECK looks for the host's end all the same") {
            call(&host, "bandwidth", "CHECK", &c1, &config).run().ok();
        }
        call(&host, "bandwidth", "DEL", &c1, &config).run().ok();
    }
    host.snapshot().assert_nothing_since(&before);
}
