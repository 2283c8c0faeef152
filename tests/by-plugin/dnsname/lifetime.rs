//! What DEL, GC, CHECK and STATUS do, whatever has become of the container, the server or the rules.

use serde_json::json;
use tests::{Host, Inside as _, at_once, names};

use super::{assert_finds, attach, call, container, dnsname, with_names};

const RECORDS: &str = "/run/ferrocni/names";

#[test]
fn a_lost_container_is_forgotten_by_gc_and_no_other_one() {
    let host = Host::new();
    let (network, other) = (with_names(1), with_names(2));
    let (peer, elsewhere) = (container(&host, &network, "peer"), container(&host, &other, "elsewhere"));
    let lost = container(&host, &network, "lost");
    let _ = host.lose(lost);
    host.write(format!("{RECORDS}/.net1:killed:eth0"), "unfinished");
    host.write(format!("{RECORDS}/.net2:killed:eth0"), "unfinished");
    call(&host, &network, "").gc(&[("peer", "eth0")]).ok();
    assert_eq!(host.run(["ls", "-A", RECORDS]), ".net2:killed:eth0\nnet1:peer:eth0\nnet2:elsewhere:eth0\n");
    assert_finds(&peer, &["lost"], &[]);
    assert_finds(&peer, &["peer"], &["10.1.0.2", "fd00:1::2"]);
    assert_finds(&elsewhere, &["elsewhere"], &["10.2.0.2", "fd00:2::2"]);
}

/// The server does not keep the namespace of a lost container, nor its link to the host.
#[test]
fn a_container_that_is_lost_is_gone() {
    let host = Host::new();
    let network = with_names(1);
    let lost = container(&host, &network, "lost");
    let ends = lost.host_ends();
    assert_eq!(ends.len(), 1);
    // Waits until its link is gone.
    let lost = host.lose(lost);
    call(&host, &network, "lost").del_blind(&lost, "eth0").ok();
    assert_eq!(host.run(["ls", "-A", RECORDS]), "");
}

#[test]
fn a_namespace_s_path_that_leads_to_another_container_is_left_alone() {
    let host = Host::new();
    let network = with_names(1);
    let first = container(&host, &network, "c1");
    let _ = host.lose(first);
    let second = host.container("c1");
    let other = host.container_at("c2", &second.netns);
    attach(&host, &with_names(2), &other, "eth0", "other");
    call(&host, &network, "c1").del(&second, "eth0").ok();
    assert_finds(&other, &["other"], &["10.2.0.2", "fd00:2::2"]);
}

#[test]
fn a_broken_record_keeps_nobody_from_leaving_or_coming_back() {
    let host = Host::new();
    let network = with_names(1);
    let web = container(&host, &network, "web");
    host.write(format!("{RECORDS}/net1:web:eth0"), "{");
    call(&host, &network, "web").del(&web, "eth0").ok();
    host.write(format!("{RECORDS}/net1:web:eth0"), "{");
    attach(&host, &network, &web, "eth0", "web");
    assert!(names::is_answered(&web));
}

#[test]
fn check_names_what_is_not_as_add_has_left_it() {
    let damages =
        [("nft flush ruleset", "rules"), ("nft delete table ip ferrocni_dns", "rules"), ("ip link set lo down", "lo")];
    for (damage, missing) in damages {
        let host = Host::new();
        let network = call(&host, &with_names(1), "web");
        let web = host.container("web");
        network.add(&web, "eth0").ok();
        network.check(&web, "eth0").ok();
        web.shell(damage);
        let error = network.check(&web, "eth0").error();
        assert!(error.msg.contains(missing), "{damage}: {error:?}");
    }
    for (damage, missing) in [
        (format!("rm {RECORDS}/net1:web:eth0"), "record"),
        (format!("sed -i s/10.1.0.2/10.1.0.9/ {RECORDS}/net1:web:eth0"), "addresses"),
        (
            "kill -9 $(pgrep -x ferrocni-dns); while pgrep -x ferrocni-dns; do sleep 0.01; done".to_owned(),
            "no DNS server",
        ),
    ] {
        let host = Host::new();
        let network = call(&host, &with_names(1), "web");
        let web = host.container("web");
        network.add(&web, "eth0").ok();
        host.shell(&damage);
        let error = network.check(&web, "eth0").error();
        assert!(error.msg.contains(missing), "{damage}: {error:?}");
    }
}

/// "ADD and DEL of many containers at the same time": each is known when its ADD returns.
#[test]
fn many_come_and_go_at_once() {
    let host = Host::new();
    let network = with_names(1);
    let peer = container(&host, &network, "peer");
    let containers: Vec<_> = (0..20).map(|i| host.container(&format!("c{i}"))).collect();
    for _ in 0..3 {
        at_once(&containers, |container| {
            attach(&host, &network, container, "eth0", &container.id);
            assert_eq!(names::addresses(container, &container.id).len(), 2);
            assert_eq!(names::addresses(&peer, &container.id).len(), 2);
            call(&host, &network, &container.id).del(container, "eth0").ok();
            assert_eq!(names::addresses(&peer, &container.id).len(), 0);
        });
    }
    assert_eq!(host.run(["ls", "-A", RECORDS]), "net1:peer:eth0\n");
}

/// `network reload` of Podman, and libcni after a timeout.
#[test]
fn a_second_add_takes_the_place_of_the_first() {
    let host = Host::new();
    let network = with_names(1);
    let web = host.container("web");
    let plugin = host.cni("dnsname").command("ADD").container(&web).args("K8S_POD_NAME=web;IgnoreUnknown=1");
    let mut config = dnsname(&json!({}));
    config["name"] = json!("net1");
    config["prevResult"] = json!({"cniVersion": "1.1.0", "ips": [{"address": "10.1.0.2/24"}]});
    plugin.clone().config(&config).run().ok();
    let before = host.snapshot();
    config["prevResult"]["ips"][0]["address"] = json!("10.1.0.3/24");
    // Nobody hears that it has succeeded: what was before is so again.
    assert!(!plugin.clone().config(&config).run_unheard().is_ok());
    host.snapshot().assert_nothing_since(&before);
    assert_finds(&web, &["web"], &["10.1.0.2"]);
    plugin.config(&config).run().ok();
    assert_finds(&web, &["web"], &["10.1.0.3"]);
    let _ = network;
}
