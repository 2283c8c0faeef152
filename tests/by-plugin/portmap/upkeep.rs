//! CHECK, DEL, GC and STATUS, and a host whose rules are its own.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicUsize};

use serde_json::{Value, json};

use tests::dhcp::eventually;
use tests::{Host, Inside as _, Outcome, address, wire};

use super::{publishing, publishing_with};
use crate::networks::{bridged, earlier_layouts, go_back_to, portmap, ports};

const REFERENCE: &str = "/usr/lib/cni/portmap";
const MAPPINGS: [(&str, u16, u16); 2] = [("tcp", 8080, 80), ("udp", 8053, 53)];

/// A network in which masquerade is nobody's, so that CHECK of `bridge` has nothing to say about the packet filter.
fn unmasqueraded(number: u8) -> Value {
    let mut network = bridged(number, &[portmap(&json!({}))]);
    network["plugins"][0]["ipMasq"] = json!(false);
    network
}

fn gc(host: &Host, network: &str, valid: &[&str]) {
    let valid: Vec<Value> = valid.iter().map(|id| json!({"containerID": id, "ifname": "eth0"})).collect();
    let config = json!({"name": network, "type": "portmap", "cni.dev/valid-attachments": valid});
    host.cni("portmap").command("GC").config(&config).run().ok();
}

fn portmap_del(host: &Host, id: &str, config: &Value) {
    host.cni("portmap").command("DEL").container_id(id).ifname("eth0").config(config).run().ok();
}

#[test]
fn check_names_what_is_missing_and_an_add_rebuilds_it() {
    let host = Host::new();
    let web = host.container("web");
    let network = host.chain(&unmasqueraded(1)).capabilities(&ports(&MAPPINGS));
    for (damage, words) in [
        ("delete element inet ferrocni published4_any { tcp . 8080 }", "tcp port 8080 of every IPv4 address"),
        ("delete element inet ferrocni published6_any { udp . 8053 }", "udp port 8053 of every IPv6 address"),
        ("delete element inet ferrocni hairpin4 { ADDRESS }", "hairpin masquerade of"),
        ("flush chain inet ferrocni publish", "publish: expected"),
        ("flush chain inet ferrocni localnet", "localnet: expected"),
        ("flush chain inet ferrocni hairpin-10.1.0.0/24", "hairpin-10.1.0.0/24: expected"),
        ("delete table inet ferrocni", "tcp port 8080"),
        ("flush ruleset", "tcp port 8080"),
    ] {
        let address = address(&network.add(&web, "eth0").ok(), 0);
        network.check(&web, "eth0").ok();
        host.run(["nft", &damage.replace("ADDRESS", &address)]);
        let error = network.check(&web, "eth0").error();
        assert!(error.msg.contains(words), "{damage}: {error:?}");
        network.del(&web, "eth0").ok();
    }
    network.add(&web, "eth0").ok();
    network.check(&web, "eth0").ok();
    let _server = web.listen_tcp(80);
    host.assert_reaches_tcp("127.0.0.1:8080");
}

/// The first container's elements are lost with the flush; an ADD makes what it needs itself.
#[test]
fn after_a_flush_the_next_add_rebuilds_the_ruleset() {
    let (host, outside) = wire();
    let (first, second) = (host.container("first"), host.container("second"));
    let network = publishing(&host, 1, &[("tcp", 8080, 80)]);
    publishing(&host, 1, &[("tcp", 8079, 80)]).add(&first, "eth0").ok();
    host.run(["nft", "flush", "ruleset"]);
    network.add(&second, "eth0").ok();
    let _server = second.listen_tcp(80);
    outside.assert_reaches_tcp("192.0.2.1:8080");
    host.assert_reaches_tcp("127.0.0.1:8080");
    assert_eq!(second.assert_reaches_tcp("192.0.2.1:8080").ip().to_string(), "10.1.0.1");
}

#[test]
fn a_damaged_ruleset_is_reported_and_the_next_add_mends_it() {
    let (host, outside) = wire();
    let (web, other) = (host.container("web"), host.container("other"));
    let first = publishing(&host, 1, &[("tcp", 8080, 80)]);
    first.add(&web, "eth0").ok();
    let next = publishing(&host, 2, &[("tcp", 8081, 80)]);
    let _server = web.listen_tcp(80);
    let status = || host.cni("portmap").command("STATUS").config(&json!({"type": "portmap"})).run();
    for damage in [
        "flush table inet ferrocni",
        "flush chain inet ferrocni publish",
        "flush chain inet ferrocni prerouting; delete chain inet ferrocni prerouting",
        "add table inet ferrocni { flags dormant; }",
    ] {
        outside.assert_reaches_tcp("192.0.2.1:8080");
        status().ok();
        host.run(["nft", damage]);
        outside.assert_blocked_tcp("192.0.2.1:8080");
        let error = first.check(&web, "eth0").error();
        assert!(error.msg.contains("inet ferrocni"), "{damage}: {error:?}");
        // An ADD succeeds, and mends it.
        status().ok();
        next.add(&other, "eth0").ok();
        first.check(&web, "eth0").ok();
        next.del(&other, "eth0").ok();
    }
    outside.assert_reaches_tcp("192.0.2.1:8080");
    assert_eq!(web.assert_reaches_tcp("192.0.2.1:8080").ip().to_string(), "10.1.0.1", "the subnet's own chain, too");
}

/// The tables as earlier versions made them, and with a rule that is another one today.
#[test]
fn tables_of_an_earlier_version_become_todays_while_packets_pass() {
    let rule = "
        flush chain inet ferrocni masquerade-10.1.0.0/24
        add rule inet ferrocni masquerade-10.1.0.0/24 masquerade
    ";
    for earlier in earlier_layouts() {
        become_todays_while_packets_pass(&format!("{earlier}{rule}"));
    }
}

fn become_todays_while_packets_pass(earlier: &str) {
    let (host, outside) = wire();
    let (web, other) = (host.container("web"), host.container("other"));
    let first = publishing(&host, 1, &[("tcp", 8080, 80)]);
    first.add(&web, "eth0").ok();
    // What is made anew is at another place in the list.
    let table = || {
        let listed = host.run(["nft", "list", "table", "inet", "ferrocni"]);
        let mut lines: Vec<_> = listed.lines().map(str::to_owned).collect();
        lines.sort_unstable();
        lines
    };
    let today = table();
    go_back_to(&host, earlier);
    assert_ne!(table(), today);

    let _server = web.listen_tcp(80);
    let (stop, reached) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Relaxed) {
                outside.assert_reaches_tcp("192.0.2.1:8080");
                reached.fetch_add(1, Relaxed);
            }
        });
        let until_reached_again = || {
            let before = reached.load(Relaxed);
            eventually("the port is reached", || reached.load(Relaxed) > before + 1);
        };
        until_reached_again();
        first.check(&web, "eth0").ok();
        first.status().ok();
        let next = publishing(&host, 2, &[("tcp", 8081, 80)]);
        next.add(&other, "eth0").ok();
        until_reached_again();
        next.del(&other, "eth0").ok();
        stop.store(true, Relaxed);
    });
    first.check(&web, "eth0").ok();
    assert_eq!(table(), today);
}

#[test]
fn a_table_of_a_later_version_says_what_to_do_and_lets_containers_go() {
    let host = Host::new();
    let (web, other) = (host.container("web"), host.container("other"));
    let network = publishing(&host, 1, &[("tcp", 8080, 80)]);
    let before = host.snapshot();
    network.add(&web, "eth0").ok();
    host.run(["nft", "add chain inet ferrocni layout-6; delete chain inet ferrocni layout-5"]);
    for error in [network.add(&other, "eth0").error(), network.status().error()] {
        assert!(error.msg.contains("layout 6") && error.msg.contains("install that version"), "{error:?}");
    }
    network.del(&other, "eth0").ok();
    network.del(&web, "eth0").ok();
    host.run(["nft", "delete chain inet ferrocni layout-6"]);
    host.snapshot().assert_nothing_since(&before);
}

#[test]
fn another_s_table_of_our_name_is_refused_with_words() {
    let host = Host::new();
    host.run(["nft", "add table inet ferrocni { comment \"mine\"; }"]);
    let add = portmap_add(&host, "web", &told("net1", "10.1.0.2/24", &MAPPINGS)).error();
    let status = host.cni("portmap").command("STATUS").config(&json!({"type": "portmap"})).run().error();
    assert_eq!(status.code, 50);
    for error in [add, status] {
        assert!(error.msg.contains("delete table inet ferrocni"), "{error:?}");
    }
}

#[test]
fn del_needs_neither_the_result_nor_the_ports_nor_the_namespace() {
    for snat in [true, false] {
        let host = Host::new();
        let web = host.container("web");
        let mappings = ports(&MAPPINGS)["portMappings"].clone();
        let network = publishing_with(&host, 1, &json!({"snat": snat}), &mappings);
        let last = network.add_all_but_last(&web, "eth0");
        let before = host.snapshot();
        let other = json!([{"hostPort": 9999, "containerPort": 80}]);
        let result = |config: Value, result: &Value| {
            let mut config = config;
            config["prevResult"] = result.clone();
            config
        };
        let with = |mappings: &Value, snat: bool| json!({"name": "net1", "type": "portmap", "snat": snat, "runtimeConfig": {"portMappings": mappings}});
        let bare = json!({"name": "net1", "type": "portmap", "snat": snat});
        for changed in ["nothing known", "no ports", "no result", "snat turned", "other ports"] {
            let added = last.run().ok();
            let config = match changed {
                "nothing known" => bare.clone(),
                "no ports" => result(bare.clone(), &added),
                "no result" => with(&mappings, snat),
                "snat turned" => result(with(&mappings, !snat), &added),
                _ => result(with(&other, snat), &added),
            };
            portmap_del(&host, "web", &config);
            let leftovers = host.snapshot().leftovers(&before);
            assert!(leftovers.is_empty(), "snat {snat}, {changed}: {leftovers:?}");
        }
    }
}

/// A portmap without a container or a bridge: it only needs to be told the address.
fn told(network: &str, address: &str, mappings: &[(&str, u16, u16)]) -> Value {
    let mut config = json!({
        "cniVersion": "1.0.0", "name": network, "type": "portmap",
        "prevResult": {
            "cniVersion": "1.0.0",
            "interfaces": [{"name": "eth0", "sandbox": "/run/netns/x"}],
            "ips": [{"interface": 0, "address": address}]
        }
    });
    config["runtimeConfig"] = ports(mappings);
    config
}

fn portmap_add(host: &Host, id: &str, config: &Value) -> Outcome {
    host.cni("portmap").command("ADD").container_id(id).netns("/run/netns/x").ifname("eth0").config(config).run()
}

#[test]
fn del_does_not_touch_who_has_the_address_or_the_port_by_now() {
    let host = Host::new();
    let (old, new) = (told("net1", "10.1.0.2/24", &MAPPINGS), told("net2", "10.1.0.2/24", &MAPPINGS));
    portmap_add(&host, "old", &old).ok();
    host.run(["nft", "flush", "ruleset"]);
    portmap_add(&host, "new", &new).ok();
    let before = host.snapshot();
    for config in [old.clone(), json!({"name": "net1", "type": "portmap"})] {
        portmap_del(&host, "old", &config);
        host.snapshot().assert_nothing_since(&before);
    }
    gc(&host, "net1", &[]);
    host.snapshot().assert_nothing_since(&before);
    assert!(!before.leftovers(&tests::Snapshot::default()).is_empty());
}

/// host-local's folder was emptied by somebody, say: the same address is given again, while the elements are still there.
#[test]
fn an_address_that_is_given_again_is_taken_over() {
    let host = Host::new();
    let before = host.snapshot();
    let old = told("net1", "10.1.0.2/24", &[("tcp", 8079, 80)]);
    let new = told("net1", "10.1.0.2/24", &[("tcp", 8080, 80)]);
    portmap_add(&host, "old", &old).ok();
    portmap_add(&host, "new", &new).ok();
    portmap_del(&host, "old", &old);
    let mut checked = new.clone();
    checked["prevResult"]["ips"][0]["address"] = json!("10.1.0.2/24");
    host.cni("portmap")
        .command("CHECK")
        .container_id("new")
        .netns("/run/netns/x")
        .ifname("eth0")
        .config(&checked)
        .run()
        .ok();
    portmap_del(&host, "new", &new);
    host.snapshot().assert_nothing_since(&before);
}

#[test]
fn gc_takes_stale_attachments_of_its_own_network_only() {
    let host = Host::new();
    for (network, id, address, port) in [
        ("net1", "keep", "10.1.0.2/24", 8001),
        ("net1", "stale", "10.1.0.3/24", 8002),
        ("net2", "stale", "10.2.0.2/24", 8003),
        ("net", "stale", "10.3.0.2/24", 8004),
    ] {
        portmap_add(&host, id, &told(network, address, &[("tcp", port, 80), ("udp", port, 80)])).ok();
    }
    let published = || {
        let ruleset = host.run(["nft", "list", "map", "inet", "ferrocni", "published4_any"]);
        (8001..=8004).filter(|port| ruleset.contains(&format!(". {port} "))).collect::<Vec<u16>>()
    };
    assert_eq!(published(), [8001, 8002, 8003, 8004]);
    gc(&host, "net1", &["keep"]);
    assert_eq!(published(), [8001, 8003, 8004]);
    gc(&host, "net1", &["keep"]);
    assert_eq!(published(), [8001, 8003, 8004]);
    gc(&host, "net2", &[]);
    assert_eq!(published(), [8001, 8004]);
}

#[test]
fn status_tells_whether_an_add_could_succeed() {
    let host = Host::new();
    let status = |keys: Value| {
        let mut config = keys;
        config["type"] = json!("portmap");
        host.cni("portmap").command("STATUS").config(&config)
    };
    host.assert_leaves_nothing(|| {
        status(json!({})).run().ok();
        status(json!({"backend": "iptables"})).run().ok();
    });
    // A kernel without nf_tables, and without the right to use it.
    for errno in ["EPERM", "EPROTONOSUPPORT"] {
        let inject = format!("inject=socket:error={errno}");
        let strace = ["strace", "-f", "-qqq", "-o", "/dev/null", "-e", "trace=socket", "-e", &inject];
        assert_eq!(status(json!({})).run_under(&strace).error().code, 50);
    }
    // A host without iptables.
    host.shell("mkdir /run/empty; mount --bind /run/empty /usr/sbin");
    assert_eq!(status(json!({"backend": "iptables"})).run().error().code, 50);
}

/// Whatever the host has in its own packet filters.
#[test]
fn the_host_s_own_rules_are_kept_byte_for_byte() {
    let (host, outside) = wire();
    host.write(
        "/run/rules",
        "table inet mine {
             set s { type ipv4_addr; elements = { 192.0.2.77 }; }
             chain in { type filter hook input priority 0; ip saddr @s drop comment \"mine\"; }
             chain pre { type nat hook prerouting priority -110; tcp dport 7777 redirect to :7778; }
         }
         table ip mine4 {
             chain post { type nat hook postrouting priority 90; ip daddr 192.0.2.99 masquerade; }
         }
         table bridge mine {
             chain f { type filter hook forward priority 0; }
         }",
    );
    host.shell(
        "nft -f /run/rules
         for i in iptables ip6tables iptables-legacy ip6tables-legacy; do
             $i -N MINE; $i -A INPUT -j MINE; $i -A MINE -p tcp --dport 7779 -j DROP
             $i -A FORWARD -m comment --comment mine -j ACCEPT
             $i -t nat -A POSTROUTING -p tcp --dport 7780 -j ACCEPT
         done",
    );
    let rules = || {
        host.shell(
            "for i in 'inet mine' 'ip mine4' 'bridge mine'; do nft list table $i; done
             for i in iptables-nft ip6tables-nft iptables-legacy ip6tables-legacy; do
                 $i-save | grep -v '^#' | grep -v CNI- | sed 's/\\[.*\\]//'
             done",
        )
    };
    let before = rules();
    assert!(before.contains("7777") && before.contains("7779") && before.contains("7780"));
    let web = host.container("web");
    let network = publishing(&host, 1, &MAPPINGS);
    host.assert_leaves_nothing(|| {
        network.add(&web, "eth0").ok();
        let _server = web.listen_tcp(80);
        outside.assert_reaches_tcp("192.0.2.1:8080");
        assert_eq!(rules(), before);
        network.del(&web, "eth0").ok();
        assert_eq!(rules(), before);
    });
}

#[test]
fn five_thousand_ports_change_nothing() {
    let (host, outside) = wire();
    for container in 0..50_u16 {
        let base = 20_000 + container * 100;
        let mappings: Vec<_> = (base..base + 100).map(|port| ("tcp", port, 80)).collect();
        let address = format!("10.9.0.{}/24", container + 2);
        portmap_add(&host, &format!("c{container}"), &told("full", &address, &mappings)).ok();
    }
    let web = host.container("web");
    let network = publishing(&host, 1, &MAPPINGS);
    host.assert_leaves_nothing(|| {
        network.add(&web, "eth0").ok();
        network.check(&web, "eth0").ok();
        let _servers = (web.listen_tcp(80), web.listen_udp(53));
        outside.assert_reaches_tcp("192.0.2.1:8080");
        outside.assert_reaches_udp("[2001:db8::1]:8053");
        let taken = portmap_add(&host, "late", &told("net1", "10.1.0.9/24", &[("tcp", 24_999, 80)])).error();
        assert!(taken.msg.contains("c49"), "{taken:?}");
        network.del(&web, "eth0").ok();
    });
    let keep: Vec<String> = (0..49).map(|container| format!("c{container}")).collect();
    gc(&host, "full", &keep.iter().map(String::as_str).collect::<Vec<_>>());
    portmap_add(&host, "late", &told("net1", "10.1.0.9/24", &[("tcp", 24_999, 80)])).ok();
    let ports = host.run(["nft", "list", "map", "inet", "ferrocni", "published4_any"]);
    assert_eq!(ports.matches("ferrocni:").count(), 4901);
}

#[test]
fn one_container_has_twenty_thousand_ports() {
    let host = Host::new();
    let web = host.container("web");
    let both = |port| [("tcp", port, 80), ("udp", port, 53)];
    let mappings: Vec<_> = (20_000..30_000).flat_map(both).collect();
    let network = publishing(&host, 1, &mappings);
    host.assert_leaves_nothing(|| {
        network.add(&web, "eth0").ok();
        network.check(&web, "eth0").ok();
        let _servers = (web.listen_tcp(80), web.listen_udp(53));
        for port in [20_000, 29_999] {
            host.assert_reaches_tcp(&format!("127.0.0.1:{port}"));
            host.assert_reaches_udp(&format!("127.0.0.1:{port}"));
        }
        network.del(&web, "eth0").ok();
    });
}

#[test]
fn in_the_steady_state_it_runs_nobody() {
    let host = Host::new();
    let (first, web) = (host.container("first"), host.container("web"));
    publishing(&host, 1, &[("tcp", 8079, 80)]).add(&first, "eth0").ok();
    let network = publishing(&host, 1, &MAPPINGS);
    let add = network.add_all_but_last(&web, "eth0");
    let strace = ["strace", "-f", "-qqq", "-o", "/run/trace", "-e", "trace=execve,clone,clone3,fork,vfork"];
    let runs = || host.read("/run/trace").unwrap().lines().filter(|line| line.contains("execve(")).count();
    let mut config = json!({"name": "net1", "type": "portmap", "runtimeConfig": ports(&MAPPINGS)});
    config["prevResult"] = add.run_under(&strace).ok();
    assert_eq!(runs(), 1, "{}", host.read("/run/trace").unwrap());
    for verb in ["CHECK", "DEL"] {
        host.cni("portmap").command(verb).container(&web).config(&config).run_under(&strace).ok();
        assert_eq!(runs(), 1, "{verb}: {}", host.read("/run/trace").unwrap());
    }
}

/// The kernel has done what it was asked for, and nobody hears of it.
#[test]
fn an_add_that_loses_an_answer_leaves_nothing() {
    let host = Host::new();
    let (first, web) = (host.container("first"), host.container("web"));
    publishing(&host, 1, &[("tcp", 8079, 80)]).add(&first, "eth0").ok();
    let network = publishing(&host, 1, &MAPPINGS);
    let last = network.add_all_but_last(&web, "eth0");
    let loses = |answer: usize| {
        let inject = format!("inject=recvfrom:error=ENOMEM:when={answer}");
        let strace = ["strace", "-f", "-qqq", "-o", "/dev/null", "-e", "trace=recvfrom", "-e", &inject];
        host.assert_leaves_nothing(|| {
            let has_failed = !last.run_under(&strace).is_ok();
            if !has_failed {
                portmap_del(&host, "web", &json!({"name": "net1", "type": "portmap"}));
            }
            has_failed
        })
    };
    let lost = (1..).take_while(|answer| loses(*answer)).count();
    assert!(lost >= 3, "{lost} answers only");
}

/// A DEL that cannot remove what the reference left does the rest, and says so.
#[test]
fn del_goes_on_past_iptables() {
    let host = Host::new();
    let config = told("net1", "10.1.0.2/24", &MAPPINGS);
    let by_iptables = host.cni(REFERENCE).command("ADD").container_id("web").netns("/run/netns/x").ifname("eth0");
    by_iptables.config(&config).run().ok();
    let before = host.snapshot();
    portmap_add(&host, "web", &config).ok();
    host.shell("mount -t tmpfs none /usr/sbin");
    let error = host.cni("portmap").command("DEL").container_id("web").ifname("eth0").config(&config).run().error();
    host.shell("umount /usr/sbin");
    assert!(error.msg.contains("iptables"), "{error:?}");
    host.snapshot().assert_nothing_since(&before);
}

#[test]
fn what_the_reference_published_we_check_and_remove() {
    let host = Host::new();
    let web = host.container("web");
    let network = host.chain(&bridged(1, &[]));
    let mut config = told("net1", "10.1.0.2/24", &MAPPINGS);
    let mut result = network.add(&web, "eth0").ok();
    result["cniVersion"] = json!("1.0.0");
    config["prevResult"] = result;
    let before = host.snapshot();
    let without_result = json!({"name": "net1", "type": "portmap", "cniVersion": "1.0.0"});
    for removal in [&config, &without_result] {
        host.cni(REFERENCE).command("ADD").container(&web).config(&config).run().ok();
        let server = web.listen_tcp(80);
        host.assert_reaches_tcp("127.0.0.1:8080");
        assert!(!host.snapshot().leftovers(&before).is_empty());
        host.cni("portmap").command("CHECK").container(&web).config(&config).run().ok();
        portmap_del(&host, "web", removal);
        host.snapshot().assert_nothing_since(&before);
        drop(server);
    }
    let error = host.cni("portmap").command("CHECK").container(&web).config(&config).run().error();
    assert!(error.msg.contains("8080"), "{error:?}");
    // And the other way round, with the backend that both have.
    let mut ours = config.clone();
    ours["backend"] = json!("iptables");
    portmap_add(&host, "web", &ours).ok();
    host.cni(REFERENCE).command("DEL").container(&web).config(&config).run().ok();
    host.snapshot().assert_nothing_since(&before);
}
