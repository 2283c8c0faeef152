//! host-local: the folder it shares with the reference's, and what becomes of a reservation.
//!
//! - `faults`: system calls that fail, files that are none of ours, configurations that were spoilt
//! - `gateways`: routers that are elsewhere, and none

mod faults;
mod gateways;

use std::collections::BTreeSet;
use std::thread;

use serde_json::{Value, json};
use tests::{Cni, Host, Inside as _, Outcome, reference_differs};

/// The reference's own binary, whichever is under test.
const REFERENCE: &str = "/usr/lib/cni/host-local";

const OURS: &str = "host-local";

/// A network whose containers get an IPv4 and an IPv6 address, in a version that the reference speaks.
fn dual_stack() -> Value {
    network(&json!({"ranges": [[{"subnet": "10.1.0.0/16"}], [{"subnet": "fd00::/64"}]]}))
}

fn network(ipam: &Value) -> Value {
    let mut ipam = ipam.clone();
    ipam["type"] = json!("host-local");
    json!({"cniVersion": "1.0.0", "name": "net", "type": "bridge", "ipam": ipam})
}

/// Addresses are given without looking at the namespace, so none is made.
fn call<'h>(host: &'h Host, binary: &str, verb: &str, container: &str, config: &Value) -> Cni<'h> {
    let netns = format!("/run/netns/{container}");
    host.cni(binary).command(verb).container_id(container).netns(&netns).ifname("eth0").config(config)
}

fn add(host: &Host, binary: &str, container: &str, config: &Value) -> Outcome {
    call(host, binary, "ADD", container, config).run()
}

fn del(host: &Host, binary: &str, container: &str, config: &Value) {
    call(host, binary, "DEL", container, config).run().ok();
}

fn addresses(reply: &Value) -> Vec<String> {
    reply["ips"].as_array().unwrap().iter().map(|ip| ip["address"].as_str().unwrap().to_owned()).collect()
}

/// The configuration with what GC needs: the containers that are to stay.
fn with_valid(config: &Value, containers: &[&str]) -> Value {
    let mut config = config.clone();
    let valid: Vec<_> = containers.iter().map(|id| json!({"containerID": id, "ifname": "eth0"})).collect();
    config["cniVersion"] = json!("1.1.0");
    config["cni.dev/valid-attachments"] = json!(valid);
    config
}

fn gc(host: &Host, config: &Value, valid: &[&str]) -> Outcome {
    host.cni(OURS).command("GC").config(&with_valid(config, valid)).run()
}

fn reservations(host: &Host) -> String {
    host.shell("cd /var/lib/cni/networks/net; ls -d [0-9]* fd* 2>/dev/null | tr '\\n' ' '")
}

/// As if the machine had been started anew: every process from now on sees another boot id.
fn restart(host: &Host) {
    let boot_id = "/proc/sys/kernel/random/boot_id";
    host.write("/run/boot_id", "00000000-1111-2222-3333-444444444444\n");
    host.shell(&format!("mount --bind /run/boot_id {boot_id}"));
}

#[test]
fn an_add_reports_address_gateway_routes_and_name_servers() {
    let host = Host::new();
    host.write("/run/resolv.conf", "nameserver 10.0.0.53\nsearch a.example b.example\noptions ndots:2\n");
    let config = network(&json!({
        "subnet": "10.1.2.0/24", "gateway": "10.1.2.254", "resolvConf": "/run/resolv.conf",
        "routes": [{"dst": "0.0.0.0/0"}, {"dst": "10.9.0.0/16", "gw": "10.1.2.9"}]
    }));
    let reply = add(&host, OURS, "c1", &config).ok();
    assert_eq!(reply["ips"], json!([{"address": "10.1.2.1/24", "gateway": "10.1.2.254"}]));
    assert_eq!(reply["routes"], json!([{"dst": "0.0.0.0/0"}, {"dst": "10.9.0.0/16", "gw": "10.1.2.9"}]));
    let dns = json!({"nameservers": ["10.0.0.53"], "search": ["a.example", "b.example"], "options": ["ndots:2"]});
    assert_eq!(reply["dns"], dns);
}

#[test]
fn the_rules_of_every_plugin_hold() {
    let host = Host::new();
    let config = dual_stack();
    host.assert_leaves_nothing(|| {
        assert!(!call(&host, OURS, "ADD", "c1", &config).run_unheard().is_ok());
    });
    host.assert_leaves_nothing(|| {
        add(&host, OURS, "c1", &config).ok();
        for _ in 0..2 {
            call(&host, OURS, "DEL", "c1", &config).without("CNI_NETNS").run().ok();
        }
    });
}

#[test]
fn ours_and_the_reference_take_turns_on_one_folder() {
    let host = Host::new();
    let config = dual_stack();
    host.assert_leaves_nothing(|| {
        for (i, (one, other)) in [(OURS, REFERENCE), (REFERENCE, OURS)].into_iter().enumerate() {
            let mut checked = config.clone();
            checked["prevResult"] = add(&host, one, "c1", &config).ok();
            assert_eq!(addresses(&checked["prevResult"])[0], format!("10.1.0.{}/16", 2 + 2 * i));
            let next = add(&host, other, "c2", &config).ok();
            assert_eq!(addresses(&next), [format!("10.1.0.{}/16", 3 + 2 * i), format!("fd00::{}/64", 3 + 2 * i)]);
            for binary in [one, other] {
                call(&host, binary, "CHECK", "c1", &checked).run().ok();
                assert_eq!(add(&host, binary, "c1", &config).error().code, 999, "c1 already has an address");
                let unknown = call(&host, binary, "CHECK", "c3", &checked).run();
                assert!(!unknown.is_ok(), "c3 has no address");
            }
            del(&host, other, "c1", &config);
            del(&host, one, "c2", &config);
        }
    });
}

#[test]
fn parallel_adds_of_both_get_distinct_addresses() {
    let host = Host::new();
    let config = dual_stack();
    let replies: Vec<Value> = thread::scope(|scope| {
        let started: Vec<_> = (0..100)
            .map(|i| {
                let (host, config) = (&host, &config);
                let binary = if i % 4 == 0 { REFERENCE } else { OURS };
                scope.spawn(move || add(host, binary, &format!("c{i}"), config).ok())
            })
            .collect();
        started.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let distinct: BTreeSet<_> = replies.iter().flat_map(addresses).collect();
    assert_eq!(distinct.len(), 200);
    for i in 0..100 {
        del(&host, if i % 3 == 0 { REFERENCE } else { OURS }, &format!("c{i}"), &config);
    }
    assert_eq!(reservations(&host), "");
}

#[test]
fn an_address_rests_until_the_round_has_come_back() {
    let host = Host::new();
    let config = network(&json!({"subnet": "10.1.2.0/29"}));
    let mut given = Vec::new();
    for i in 0..7 {
        given.extend(addresses(&add(&host, OURS, &format!("c{i}"), &config).ok()));
        del(&host, OURS, &format!("c{i}"), &config);
    }
    let hosts: Vec<_> = given.iter().map(|cidr| cidr.trim_start_matches("10.1.2.").trim_end_matches("/29")).collect();
    assert_eq!(hosts, ["2", "3", "4", "5", "6", "2", "3"]);
}

#[test]
fn requests_from_all_three_places_count() {
    let host = Host::new();
    let mut config = network(&json!({"ranges": [
        [{"subnet": "10.1.0.0/16"}], [{"subnet": "10.2.0.0/16"}], [{"subnet": "fd00::/64"}], [{"subnet": "10.3.0.0/16"}]
    ]}));
    config["args"] = json!({"cni": {"ips": ["10.2.0.77"]}});
    config["runtimeConfig"] = json!({"ips": ["fd00::77/64"]});
    let asking = call(&host, OURS, "ADD", "c1", &config).args("IgnoreUnknown=1;K8S_POD_NAME=pod;IP=10.1.0.77");
    let given = addresses(&asking.run().ok());
    assert_eq!(given, ["10.1.0.77/16", "10.2.0.77/16", "fd00::77/64", "10.3.0.2/16"]);
}

#[test]
fn a_request_that_cannot_be_fulfilled_is_explained_and_leaves_nothing() {
    let host = Host::new();
    let config = dual_stack();
    add(&host, OURS, "holder", &config).ok();
    for (ip, code, words) in [
        ("10.2.0.1", 7, "in none of the configured ranges"),
        ("10.1.0.1", 7, "is the gateway"),
        ("10.1.0.2", 11, "already reserved for container holder"),
        ("fd00::2", 11, "already reserved for container holder"),
        ("10.1.0", 7, "is not an address"),
    ] {
        host.assert_leaves_nothing(|| {
            let outcome = call(&host, OURS, "ADD", "c1", &config).args(&format!("IP={ip}")).run();
            if !reference_differs("it has one code and its own words for everything") {
                let error = outcome.error();
                assert_eq!(error.code, code, "{ip}: {error:?}");
                assert!(error.msg.contains(words), "{ip}: {error:?}");
            }
        });
    }
}

#[test]
fn an_exhausted_range_says_which_and_whom_to_ask() {
    let host = Host::new();
    let mut config = network(&json!({"ranges": [[{"subnet": "fd00::/64"}], [{"subnet": "10.1.2.0/29"}]]}));
    config["cniVersion"] = json!("1.1.0");
    let status = || host.cni(OURS).command("STATUS").config(&config).run();
    for i in 0..5 {
        status().ok();
        add(&host, OURS, &format!("c{i}"), &config).ok();
    }
    host.assert_leaves_nothing(|| {
        let error = add(&host, OURS, "one-too-many", &config).error();
        assert_eq!(error.code, 11);
        assert_eq!(error.msg, "no address is free in 10.1.2.1 to 10.1.2.6 of 10.1.2.0/29: 5 of 5 are reserved");
        assert!(error.details.contains("/var/lib/cni/networks/net") && error.details.contains("GC"), "{error:?}");
        status().ok();
    });
    del(&host, OURS, "c3", &config);
    assert_eq!(addresses(&add(&host, OURS, "next", &config).ok())[1], "10.1.2.5/29");
}

#[test]
fn a_folder_that_cannot_be_written_is_status_50() {
    let host = Host::new();
    let mut config = dual_stack();
    config["cniVersion"] = json!("1.1.0");
    host.shell("mount -t tmpfs -o ro none /var/lib/cni");
    let error = host.cni(OURS).command("STATUS").config(&config).run().error();
    assert_eq!(error.code, 50);
    assert!(error.msg.contains("/var/lib/cni/networks/net") && error.details.contains("Read-only"), "{error:?}");
}

/// Not even our hidden folder has room there.
#[test]
fn a_full_disk_does_not_keep_del_from_freeing() {
    let host = Host::new();
    let config = dual_stack();
    host.shell("mount -t tmpfs -o nr_inodes=20 none /var/lib/cni");
    for container in ["c1", "c2"] {
        add(&host, REFERENCE, container, &config).ok();
    }
    host.shell("cd /var/lib/cni; i=0; while touch filler$i 2>/dev/null; do i=$((i+1)); done");
    host.assert_leaves_nothing(|| {
        let error = add(&host, OURS, "c3", &config).error();
        if !reference_differs("its one code says nothing of the disk") {
            assert_eq!(error.code, 5, "{error:?}");
            assert!(error.details.contains("No space left"), "{error:?}");
        }
    });
    del(&host, OURS, "c1", &config);
    assert_eq!(reservations(&host), "10.1.0.3 fd00::3 ");
    del(&host, OURS, "c2", &config);
    assert_eq!(reservations(&host), "");
}

#[test]
fn check_says_what_it_expected_and_what_it_found() {
    let host = Host::new();
    let mut config = network(&json!({"subnet": "10.1.2.0/24"}));
    let check = |config: &Value| call(&host, OURS, "CHECK", "c1", config).run();
    config["prevResult"] = add(&host, OURS, "c1", &config).ok();
    check(&config).ok();
    host.shell("printf 'thief\\r\\neth0' > /var/lib/cni/networks/net/10.1.2.2");
    assert!(check(&config).error().msg.contains("to be reserved for container c1 (interface eth0), found none"));
    host.shell("printf 'c1\\r\\neth0' > /var/lib/cni/networks/net/10.1.2.3");
    let words =
        "expected 10.1.2.2 to be reserved for container c1 (interface eth0), found it reserved for container thief";
    assert!(check(&config).error().msg.starts_with(words));
    host.shell("cd /var/lib/cni/networks/net; rm 10.1.2.2; printf 'c1\\r\\neth0' > 10.1.2.2");
    assert!(check(&config).error().msg.contains("found 10.1.2.3 reserved for it too"));
    host.shell("rm -r /var/lib/cni/networks/net");
    assert!(!check(&config).is_ok());
}

#[test]
fn garbage_collection_frees_what_is_not_listed_and_nothing_else() {
    let host = Host::new();
    let (config, mut other) = (dual_stack(), dual_stack());
    other["name"] = json!("other");
    add(&host, OURS, "c1", &other).ok();
    host.assert_leaves_nothing(|| {
        for (binary, container) in [(OURS, "c1"), (OURS, "c2"), (REFERENCE, "c3"), (REFERENCE, "c4")] {
            add(&host, binary, container, &config).ok();
        }
        host.write("/var/lib/cni/networks/net/10.1.0.99", "c5");
        host.write("/var/lib/cni/networks/net/10.1.0.98", "old");
        gc(&host, &config, &["c2", "c4", "c5"]).ok();
        assert_eq!(reservations(&host), "10.1.0.3 10.1.0.5 10.1.0.99 fd00::3 fd00::5 ");
        gc(&host, &config, &[]).ok();
        assert_eq!(reservations(&host), "");
    });
}

#[test]
fn killed_anywhere_it_leaves_nothing_that_del_or_gc_does_not_clean() {
    let host = Host::new();
    let config = dual_stack();
    add(&host, OURS, "stays", &config).ok();
    let empty_files = || host.shell("find /var/lib/cni/networks/net -maxdepth 1 -name '[1f]*' -empty");
    let before = host.snapshot();
    let kills = call(&host, OURS, "ADD", "c1", &config).killed_at_every_change(|point| {
        assert_eq!(empty_files(), "", "a reservation is not whole after {point}");
        call(&host, OURS, "DEL", "c1", &config).without("CNI_NETNS").run().ok();
        let leftovers = host.snapshot().leftovers(&before);
        assert!(leftovers.is_empty(), "killed at {point}, then DEL: {leftovers:#?}");
    });
    assert!(kills > 10, "killed {kills} times only");
    let _ = call(&host, OURS, "ADD", "c2", &config).killed_at_every_change(|point| {
        gc(&host, &config, &["stays"]).ok();
        let leftovers = host.snapshot().leftovers(&before);
        assert!(leftovers.is_empty(), "killed at {point}, then GC: {leftovers:#?}");
    });
    add(&host, OURS, "c3", &config).ok();
    let with_one_more = host.snapshot();
    let _ = call(&host, OURS, "DEL", "c3", &config).killed_at_every_change(|point| {
        del(&host, OURS, "c3", &config);
        let leftovers = host.snapshot().leftovers(&before);
        assert!(leftovers.is_empty(), "DEL killed at {point}, then DEL: {leftovers:#?}");
        add(&host, OURS, "c3", &config).ok();
    });
    assert_ne!(before, with_one_more);
}

#[test]
fn a_restart_frees_what_was_reserved_before_it() {
    let host = Host::new();
    let config = dual_stack();
    for i in 0..3 {
        add(&host, OURS, &format!("c{i}"), &config).ok();
    }
    restart(&host);
    assert_eq!(addresses(&add(&host, OURS, "c0", &config).ok()), ["10.1.0.5/16", "fd00::5/64"]);
    assert_eq!(reservations(&host), "10.1.0.5 fd00::5 ");
}

/// Replacing the reference on a node whose containers run, and a restart of such a node.
#[test]
fn live_containers_of_the_reference_keep_their_addresses() {
    let host = Host::new();
    let config = dual_stack();
    add(&host, REFERENCE, "live", &config).ok();
    host.write("/var/lib/cni/networks/net/10.1.0.99", "dead\r\neth0");
    host.shell("touch -d 2001-01-01 /var/lib/cni/networks/net/10.1.0.99");
    add(&host, OURS, "c1", &config).ok();
    assert_eq!(reservations(&host), "10.1.0.2 10.1.0.3 fd00::2 fd00::3 ");
    restart(&host);
    add(&host, REFERENCE, "live2", &config).ok();
    add(&host, OURS, "c2", &config).ok();
    // The reference was here after the restart as far as can be told, and nothing is older than the real one.
    assert_eq!(reservations(&host).split(' ').filter(|name| name.starts_with("10.")).count(), 4);
}

#[test]
fn a_del_needs_neither_valid_ranges_nor_the_ones_of_the_add() {
    let host = Host::new();
    host.assert_leaves_nothing(|| {
        add(&host, OURS, "c1", &dual_stack()).ok();
        if reference_differs("its DEL validates ranges that it does not use") {
            return del(&host, OURS, "c1", &dual_stack());
        }
        del(&host, OURS, "c1", &network(&json!({"ranges": [[]]})));
    });
}

/// Written anew in the form of old versions, in place, which changes nothing but the file.
#[test]
fn a_reservation_that_names_only_the_container_is_released() {
    let host = Host::new();
    let config = dual_stack();
    host.assert_leaves_nothing(|| {
        add(&host, OURS, "c1", &config).ok();
        host.shell("cd /var/lib/cni/networks/net; printf c1 > 10.1.0.2; printf c1 > fd00::2");
        del(&host, OURS, "c1", &config);
    });
}

/// How many system calls an ADD and a DEL of a container with one address of each of this many sets make.
fn calls_for(sets: usize) -> usize {
    let host = Host::new();
    let ranges: Vec<_> = (0..sets).map(|i| json!([{"subnet": format!("10.{}.{}.0/24", i / 250, i % 250)}])).collect();
    let config = network(&json!({"ranges": ranges}));
    for (verb, trace) in [("ADD", "/run/add"), ("DEL", "/run/del")] {
        call(&host, OURS, verb, "c1", &config).run_under(&["strace", "-f", "-qqq", "-o", trace]).ok();
    }
    assert_eq!(reservations(&host), "");
    host.shell("cat /run/add /run/del | wc -l").trim().parse().unwrap()
}

#[test]
fn the_cost_of_many_addresses_grows_with_their_number_only() {
    let (few, many) = (calls_for(100), calls_for(400));
    assert!(many < 4 * few, "{few} system calls for 100 addresses, {many} for 400");
}

#[test]
fn ten_thousand_ranges_are_possible_and_more_of_them_or_of_requests_are_refused() {
    let host = Host::new();
    let with = |ranges: u32| {
        let of = |i: u32| json!({"subnet": format!("{}/30", std::net::Ipv4Addr::from(0x0a00_0000 + (i << 2)))});
        network(&json!({"ranges": [(0..ranges).map(of).collect::<Vec<_>>()]}))
    };
    add(&host, OURS, "c1", &with(10_000)).ok();
    let error = add(&host, OURS, "c2", &with(10_001)).error();
    assert!(error.code == 7 && error.details.contains("10001 ranges, and 10000 is the most"), "{error:?}");
    let mut config = dual_stack();
    let requested = (0..10_001_u32).map(|i| json!(std::net::Ipv4Addr::from(0x0a01_0000 + i))).collect::<Vec<_>>();
    config["runtimeConfig"] = json!({"ips": requested});
    let error = add(&host, OURS, "c2", &config).error();
    assert!(error.code == 7 && error.msg.contains("10001 addresses are requested"), "{error:?}");
    del(&host, OURS, "c1", &dual_stack());
    assert_eq!(reservations(&host), "");
}

#[test]
fn a_wrong_configuration_is_code_7_and_makes_no_folder() {
    let host = Host::new();
    let no_ipam = json!({"cniVersion": "1.0.0", "name": "net", "type": "bridge"});
    for (config, words) in [
        (no_ipam, "no \"ipam\""),
        (network(&json!({})), "no addresses are configured"),
        (network(&json!({"subnet": "10.1.2.3/24"})), "write 10.1.2.0/24"),
        (network(&json!({"subnet": "10.1.2.0"})), "ipam.subnet: \"10.1.2.0\" is not an address with a prefix length"),
        (network(&json!({"ranges": [[{"subnet": "10.1.2.0/24", "gateway": "x"}]]})), "ipam.ranges[0][0].gateway"),
        (network(&json!({"ranges": [[{"subnet": "10.1.2.0/24"}], [{"subnet": "10.1.0.0/16"}]]})), "overlap"),
    ] {
        let error = add(&host, OURS, "c1", &config).error();
        assert_eq!(error.code, 7, "{config}: {error:?}");
        assert!(format!("{} {}", error.msg, error.details).contains(words), "{config}: {error:?}");
    }
    assert_eq!(host.shell("ls /var/lib/cni"), "");
}

/// The system calls of an ADD and a DEL, sorted: the same ones whether there are none or a thousand reservations.
#[test]
fn the_steady_state_costs_the_same_however_many_there_are() {
    let host = Host::new();
    let config = dual_stack();
    let calls = |verb: &str| {
        let traced = call(&host, OURS, verb, "c1", &config);
        traced.run_under(&["strace", "-f", "-qqq", "-e", "signal=none", "-o", "/run/trace"]).ok();
        let names = host.shell("sed -E 's/^[0-9]+ +([a-z0-9_]+).*/\\1/' /run/trace | grep -v brk | sort | uniq -c");
        assert!(!names.contains("getdents") && !names.contains("execve 2"), "{names}");
        names
    };
    add(&host, OURS, "c0", &config).ok();
    let (add_alone, del_alone) = (calls("ADD"), calls("DEL"));
    host.shell(
        "cd /var/lib/cni/networks/net
         for j in 20 21 22 23; do for i in $(seq 250); do printf 'x%d\\r\\neth0' $j$i > 10.1.$j.$i; done; done",
    );
    add(&host, OURS, "c2", &config).ok();
    assert_eq!(calls("ADD"), add_alone);
    assert_eq!(calls("DEL"), del_alone);
}
