//! What CHECK notices, DEL and GC remove, STATUS foresees; many at once; the reference's attachments.

use std::thread;

use serde_json::json;
use tests::{Cni, Host, Inside as _, Outcome, every_plugin_rules, reference_differs};

use crate::networks::{point_to_point, portmap, ports};

use super::{REFERENCE, both, call, disciplines, ifbs, network, with_veth};

#[test]
fn the_rules_of_every_plugin_hold() {
    let host = Host::new();
    every_plugin_rules(&network(&host, &both()), &host.container("c1"), "eth0");
}

/// The host's end of the veth is another plugin's, and stays as it was.
#[test]
fn a_failed_add_takes_its_limits_away() {
    let host = Host::new();
    let c1 = with_veth(&host, "c1");
    assert!(!call(&host, "bandwidth", "ADD", &c1, &both()).run_unheard().is_ok());
    assert!(disciplines(&host).is_empty() && ifbs(&host).is_empty());
    call(&host, "bandwidth", "ADD", &c1, &both()).run().ok();
    assert_eq!((disciplines(&host).len(), ifbs(&host).len()), (3, 1));
}

#[test]
fn wherever_it_is_killed_del_leaves_nothing() {
    let host = Host::new();
    let c1 = host.container("c1");
    let network = network(&host, &both());
    network.add(&c1, "eth0").ok();
    network.del(&c1, "eth0").ok();
    let before = host.snapshot();
    let add = network.add_all_but_last(&c1, "eth0");
    let mut points = 0;
    let kills = add.killed_at_every_change(|point| {
        points += 1;
        network.del_blind(&c1, "eth0").ok();
        assert!(ifbs(&host).is_empty(), "ADD killed at {point}");
        network.gc(&[]).ok();
        host.snapshot().assert_nothing_since(&before);
        let _ = network.add_all_but_last(&c1, "eth0");
    });
    assert!(kills >= 6 && points > kills, "ADD was killed {kills} times only");
    add.run().ok();
    let del = call(&host, "bandwidth", "DEL", &c1, &both());
    let kills = del.killed_at_every_change(|point| {
        call(&host, "bandwidth", "DEL", &c1, &json!({})).netns("").run().ok();
        assert!(ifbs(&host).is_empty(), "DEL killed at {point}");
        network.del(&c1, "eth0").ok();
        network.add(&c1, "eth0").ok();
    });
    assert!(kills >= 2, "DEL was killed {kills} times only");
}

/// strace plays a kernel whose answers do not arrive: what it was asked for, it has done.
#[test]
fn an_add_whose_answers_are_lost_leaves_nothing() {
    let host = Host::new();
    let c1 = with_veth(&host, "c1");
    let mut failed = 0;
    while !run_without_answer(&call(&host, "bandwidth", "ADD", &c1, &both()), failed + 1).is_ok() {
        failed += 1;
        assert!(disciplines(&host).is_empty() && ifbs(&host).is_empty(), "without answer {failed}");
    }
    assert!(failed >= 7, "ADD failed {failed} times only");
}

#[test]
fn a_del_that_failed_once_can_be_repeated() {
    let host = Host::new();
    let c1 = host.container("c1");
    let network = network(&host, &both());
    let mut failed = 0;
    loop {
        network.add(&c1, "eth0").ok();
        let del = call(&host, "bandwidth", "DEL", &c1, &both());
        let has_failed = !run_without_answer(&del, failed + 1).is_ok();
        del.run().ok();
        assert!(disciplines(&host).is_empty() && ifbs(&host).is_empty(), "without answer {}", failed + 1);
        network.del(&c1, "eth0").ok();
        if !has_failed {
            break;
        }
        failed += 1;
    }
    assert!(failed >= 7, "DEL failed {failed} times only");
}

fn run_without_answer(call: &Cni<'_>, nth: usize) -> Outcome {
    let inject = format!("inject=recvfrom:error=ENOBUFS:when={nth}");
    call.run_under(&["strace", "-f", "-qqq", "-o", "/dev/null", "-e", "trace=recvfrom", "-e", &inject])
}

#[test]
fn del_needs_neither_configuration_nor_result_nor_container() {
    let host = Host::new();
    for config in [json!({}), json!({"ingressRate": "x"}), json!({"prevResult": "garbage"})] {
        if config != json!({}) && reference_differs("it reads the configuration first") {
            continue;
        }
        let c1 = with_veth(&host, "c1");
        call(&host, "bandwidth", "ADD", &c1, &both()).run().ok();
        let c1 = host.lose(c1);
        assert_eq!(ifbs(&host).len(), 1);
        call(&host, "bandwidth", "DEL", &c1, &config).run().ok();
        call(&host, "bandwidth", "DEL", &c1, &config).netns("").run().ok();
        assert!(ifbs(&host).is_empty(), "{config}");
    }
}

/// As long as the interface is there; and what is somebody else's stays.
#[test]
fn del_takes_its_limits_off_the_interface() {
    let host = Host::new();
    let c1 = host.container("c1");
    let network = network(&host, &both());
    let result = network.add(&c1, "eth0").ok();
    let host_end = result["interfaces"][1]["name"].as_str().unwrap();
    call(&host, "bandwidth", "DEL", &c1, &both()).netns("").run().ok();
    assert!(disciplines(&host).is_empty() && ifbs(&host).is_empty());
    host.shell(&format!(
        "tc qdisc add dev {host_end} root tbf rate 1mbit burst 9k latency 9ms; tc qdisc add dev {host_end} ingress"
    ));
    call(&host, "bandwidth", "DEL", &c1, &both()).run().ok();
    assert_eq!(disciplines(&host).len(), 2);
}

/// Two interfaces in one network have two links, and DEL of one leaves the other's.
#[test]
fn a_container_may_have_two_interfaces_in_a_network() {
    let host = Host::new();
    let c1 = host.container("c1");
    let network = network(&host, &both());
    for ifname in ["eth0", "eth1"] {
        network.add(&c1, ifname).ok();
    }
    assert_eq!((ifbs(&host).len(), disciplines(&host).len()), (2, 6));
    for ifname in ["eth0", "eth1"] {
        network.check(&c1, ifname).ok();
    }
    network.del(&c1, "eth0").ok();
    assert_eq!(ifbs(&host).len(), 1);
    network.check(&c1, "eth1").ok();
    network.del(&c1, "eth1").ok();
    assert!(ifbs(&host).is_empty());
}

#[test]
fn a_second_add_asks_for_del() {
    let host = Host::new();
    let c1 = with_veth(&host, "c1");
    let egress = json!({"egressRate": 8_000_000, "egressBurst": 800_000});
    call(&host, "bandwidth", "ADD", &c1, &egress).run().ok();
    let error = call(&host, "bandwidth", "ADD", &c1, &egress).run().error();
    assert!(error.msg.contains("run DEL first"), "{error:?}");
    call(&host, "bandwidth", "CHECK", &c1, &egress).run().ok();
}

#[test]
fn many_at_once() {
    const COUNT: usize = 20;
    let host = Host::new();
    let network = network(&host, &both());
    let containers: Vec<_> = (0..COUNT).map(|number| host.container(&format!("c{number}"))).collect();
    let before = host.snapshot();
    let at_once = |work: &(dyn Fn(usize) + Sync)| {
        thread::scope(|scope| {
            for number in 0..COUNT {
                scope.spawn(move || work(number));
            }
        });
    };
    at_once(&|number| drop(network.add(&containers[number], "eth0").ok()));
    assert_eq!((ifbs(&host).len(), disciplines(&host).len()), (COUNT, 3 * COUNT));
    at_once(&|number| drop(network.check(&containers[number], "eth0").ok()));
    at_once(&|number| drop(network.del(&containers[number], "eth0").ok()));
    host.snapshot().assert_nothing_since(&before);
    assert!(ifbs(&host).is_empty());
}

#[test]
fn check_names_what_differs() {
    let host = Host::new();
    let tbf = "tbf rate 1mbit burst 50000 latency 25ms";
    for (number, (damage, words)) in [
        ("tc qdisc del dev ID root", &["ID", "20000000 bits", "found none"][..]),
        (&format!("tc qdisc del dev ID root; tc qdisc add dev ID root {tbf}"), &["ID", "20000000", "found 1000000"]),
        ("tc qdisc del dev ID root; tc qdisc add dev ID root tbf rate 20mbit burst 500000 limit 562502", &["562502"]),
        ("tc qdisc del dev IFB root", &["IFB", "40000000 bits", "found none"]),
        (&format!("tc qdisc del dev IFB root; tc qdisc add dev IFB root {tbf}"), &["IFB", "found 1000000"]),
        ("tc qdisc del dev ID ingress", &["ID", "to IFB", "found none"]),
        ("tc filter del dev ID ingress", &["ID", "to IFB", "found none"]),
        ("ip link del IFB", &["ID", "to IFB", "found none"]),
        ("ip link set IFB down", &["IFB", "expected up, found down"]),
        (
            "ip link add other type ifb; ip link set other up; tc filter del dev ID ingress
             tc filter add dev ID ingress protocol all u32 match u32 0 0 action mirred egress redirect dev other",
            &["to IFB", "found to other"],
        ),
        ("ip -n ID link del eth0", &["eth0"]),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("c{number}");
        let container = with_veth(&host, &name);
        let result = call(&host, "bandwidth", "ADD", &container, &both()).run().ok();
        let ifb = result["interfaces"][2]["name"].as_str().unwrap();
        let mut config = both();
        config["prevResult"] = result.clone();
        let check = call(&host, "bandwidth", "CHECK", &container, &config);
        check.run().ok();
        let filled = |text: &str| text.replace("IFB", ifb).replace("ID", &name);
        host.shell(&filled(damage));
        let error = check.run().error();
        for word in words {
            assert!(error.msg.contains(&filled(word)), "{damage}: {word}: {error:?}");
        }
        call(&host, "bandwidth", "DEL", &container, &config).run().ok();
    }
}

#[test]
fn gc_removes_the_links_of_attachments_that_are_gone_and_no_others() {
    let host = Host::new();
    let network = network(&host, &both());
    let [stays, lost] = ["stays", "lost"].map(|name| host.container(name));
    for container in [&stays, &lost] {
        network.add(container, "eth0").ok();
    }
    let elsewhere = with_veth(&host, "elsewhere");
    let mut config = both();
    config["type"] = json!("bandwidth");
    config["name"] = json!("another");
    config["prevResult"] = json!({"cniVersion": "1.1.0"});
    host.cni("bandwidth").command("ADD").container(&elsewhere).config(&config).run().ok();
    host.shell("ip link add mine type ifb");
    let _ = host.lose(lost);
    assert_eq!(ifbs(&host).len(), 4);
    network.gc(&[("stays", "eth0")]).ok();
    assert_eq!(ifbs(&host).len(), 3);
    network.check(&stays, "eth0").ok();
    network.gc(&[]).ok();
    let left = ifbs(&host);
    assert!(left.len() == 2 && left.contains(&"mine".to_owned()), "{left:?}");
}

/// A runtime that lost the record of a container asks for its end while the container runs on.
#[test]
fn gc_takes_the_redirection_of_a_container_that_still_runs() {
    let host = Host::new();
    let c1 = host.container("c1");
    let network = network(&host, &both());
    let before = disciplines(&host);
    network.add(&c1, "eth0").ok();
    assert!(disciplines(&host).iter().any(|discipline| discipline.contains("ingress")));
    let none = json!({
        "cniVersion": "1.1.0", "name": "net", "type": "bandwidth", "cni.dev/valid-attachments": [],
    });
    host.cni("bandwidth").command("GC").config(&none).run().ok();
    assert!(ifbs(&host).is_empty());
    let left: Vec<_> = disciplines(&host).into_iter().filter(|line| !before.contains(line)).collect();
    assert!(!left.iter().any(|discipline| discipline.contains("ingress")), "{left:?}");
}

/// portmap's, which keeps the container away from the host's loopback addresses.
#[test]
fn gc_and_del_leave_the_guard_of_loopback_addresses() {
    for verb in ["GC", "DEL"] {
        let host = Host::new();
        let web = host.container("web");
        let mut limits = both();
        limits["type"] = json!("bandwidth");
        let list = point_to_point(1, &[portmap(&json!({})), limits]);
        let network = host.chain(&list).capabilities(&ports(&[("tcp", 8080, 80)]));
        let result = network.add(&web, "eth0").ok();
        let link = result["interfaces"][0]["name"].as_str().unwrap();
        let filters = || host.run(["tc", "filter", "show", "dev", link, "ingress"]);
        assert!(filters().contains("direct-action") && filters().contains("Redirect"), "{}", filters());
        let none = json!({
            "cniVersion": "1.1.0", "name": "net1", "type": "bandwidth", "cni.dev/valid-attachments": [],
        });
        host.cni("bandwidth").command(verb).container(&web).config(&none).run().ok();
        assert!(filters().contains("direct-action") && !filters().contains("Redirect"), "{verb}: {}", filters());
        assert!(ifbs(&host).is_empty(), "{verb}");
    }
}

/// A kernel without one of the two is played by strace.
#[test]
fn status_says_what_the_kernel_lacks() {
    let host = Host::new();
    let status = |keys: &serde_json::Value| {
        let mut config = keys.clone();
        config["type"] = json!("bandwidth");
        host.cni("bandwidth").command("STATUS").config(&config)
    };
    host.assert_leaves_nothing(|| status(&both()).run().ok());
    assert!(disciplines(&host).is_empty());
    for (errno, nth, module) in [("EOPNOTSUPP", 1, "ifb"), ("ENOENT", 2, "sch_tbf")] {
        let inject = format!("inject=sendto:error={errno}:when={nth}");
        let outcome = status(&both()).run_under(&["strace", "-f", "-qqq", "-o", "/dev/null", "-e", &inject]);
        let error = outcome.error();
        assert!(error.code == 50 && error.msg.contains(module), "{error:?}");
    }
    let error = status(&json!({"ingressRate": 8_000_000})).run().error();
    assert!(error.code == 7 && error.details.contains("ingressBurst"), "{error:?}");
    let error = status(&json!({"shapedSubnets": ["10.0.0.0/8"]})).run().error();
    assert_eq!(error.code, 2, "{error:?}");
}

#[test]
fn no_other_program_is_started() {
    let host = Host::new();
    let c1 = with_veth(&host, "c1");
    for verb in ["ADD", "CHECK", "DEL"] {
        call(&host, "bandwidth", verb, &c1, &both()).run_alone().ok();
    }
}

/// What one suite limits, the other checks and deletes.
#[test]
fn both_suites_take_turns() {
    let host = Host::new();
    for (name, adds, others) in [("c1", "bandwidth", REFERENCE), ("c2", REFERENCE, "bandwidth")] {
        let container = with_veth(&host, name);
        let mut config = both();
        config["prevResult"] = call(&host, adds, "ADD", &container, &config).run().ok();
        call(&host, others, "CHECK", &container, &config).run().ok();
        call(&host, others, "DEL", &container, &config).run().ok();
        assert!(ifbs(&host).is_empty(), "{adds}, then {others}");
    }
}

/// The largest burst there is, which CRI-O asks for, makes the reference's queue begin at 0 again.
#[test]
fn the_reference_s_largest_burst_is_known_as_well() {
    let host = Host::new();
    let largest = json!({"ingressRate": 8_000_000, "ingressBurst": 34_359_738_359_u64});
    for (name, adds) in [("c1", "bandwidth"), ("c2", REFERENCE)] {
        let container = with_veth(&host, name);
        let mut config = largest.clone();
        config["prevResult"] = call(&host, adds, "ADD", &container, &config).run().ok();
        call(&host, "bandwidth", "CHECK", &container, &config).run().ok();
    }
}

/// It does not raise a burst that is smaller than a packet.
#[test]
fn the_reference_s_small_burst_is_known_as_well() {
    let host = Host::new();
    let c1 = with_veth(&host, "c1");
    let mut config = json!({"ingressRate": 8_000_000, "ingressBurst": 8_000});
    config["prevResult"] = call(&host, REFERENCE, "ADD", &c1, &config).run().ok();
    call(&host, "bandwidth", "CHECK", &c1, &config).run().ok();
}
