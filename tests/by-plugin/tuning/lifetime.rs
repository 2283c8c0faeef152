//! What DEL restores and GC removes, and the files shared with the reference.

use serde_json::{Value, json};
use tests::{Container, Host, Inside as _, Outcome, reference_differs};

use super::{backups, call, everything, list, network, properties, sysctl, with_interface};

/// The reference's own binary, whichever is under test.
const REFERENCE: &str = "/usr/lib/cni/tuning";

fn del(host: &Host, container: &Container, config: &Value) {
    call(host, "DEL", container, config).run().ok();
}

fn state(container: &Container) -> (Value, String, String) {
    (properties(container), sysctl(container, "core/somaxconn"), sysctl(container, "ipv4/conf/eth0/arp_ignore"))
}

#[test]
fn del_restores_everything() {
    let host = Host::new();
    let c1 = with_interface(&host, "c1");
    let before = state(&c1);
    call(&host, "ADD", &c1, &everything()).run().ok();
    assert_ne!(state(&c1), before);
    assert_eq!(backups(&host).trim(), "c1_eth0.json");
    del(&host, &c1, &everything());
    assert_eq!((state(&c1), backups(&host)), (before.clone(), String::new()));
    del(&host, &c1, &everything());
    assert_eq!(state(&c1), before);
}

/// It goes by what ADD found, not by what is configured now.
#[test]
fn del_needs_neither_configuration_nor_result() {
    let host = Host::new();
    let c1 = with_interface(&host, "c1");
    let before = state(&c1);
    for config in [json!({}), json!({"mtu": "x", "sysctl": 3}), json!({"prevResult": "garbage", "mac": "zz"})] {
        call(&host, "ADD", &c1, &everything()).run().ok();
        del(&host, &c1, &config);
        assert_eq!((state(&c1), backups(&host)), (before.clone(), String::new()), "{config}");
    }
}

#[test]
fn what_was_promiscuous_before_stays_so() {
    let host = Host::new();
    let c1 = with_interface(&host, "c1");
    c1.shell("ip link set eth0 promisc on; ip link set eth0 allmulticast on");
    call(&host, "ADD", &c1, &json!({"promisc": true, "allmulti": false})).run().ok();
    assert_eq!(properties(&c1)["allmulti"], false);
    del(&host, &c1, &json!({}));
    let after = properties(&c1);
    assert_eq!((&after["promisc"], &after["allmulti"]), (&json!(true), &json!(true)));
}

/// The container is gone, or its interface, or the file: there is nothing to restore.
#[test]
fn del_succeeds_whatever_is_missing() {
    let host = Host::new();
    let damages =
        ["ip -n ID link del eth0", "ip netns del ID", "rm -r /run/cni", "echo '{' > /run/cni/tuning/ID_eth0.json"];
    for (i, damage) in damages.into_iter().enumerate() {
        let container = with_interface(&host, &format!("c{i}"));
        call(&host, "ADD", &container, &everything()).run().ok();
        host.shell(&damage.replace("ID", &container.id));
        del(&host, &container, &everything());
        assert!(backups(&host).is_empty() || reference_differs("it leaves the file"), "{damage}: {}", backups(&host));
    }
    let container = with_interface(&host, "c9");
    call(&host, "ADD", &container, &everything()).run().ok();
    call(&host, "DEL", &container, &everything()).netns("").run().ok();
    assert!(backups(&host).is_empty() || reference_differs("it leaves the file"), "{}", backups(&host));
}

/// An ADD could not have kept anything there.
#[test]
fn del_and_gc_succeed_if_the_folder_is_no_folder() {
    let host = Host::new();
    let c1 = with_interface(&host, "c1");
    host.write("/run/file", "precious");
    for wrong in [json!("/run/file"), json!("/run/file/below"), json!(5), json!(["/run"])] {
        let config = json!({"mtu": 1400, "dataDir": wrong, "cni.dev/valid-attachments": []});
        host.assert_leaves_nothing(|| call(&host, "ADD", &c1, &config).run().error());
        for verb in ["DEL", "GC"] {
            host.assert_leaves_nothing(|| call(&host, verb, &c1, &config).run().ok());
        }
    }
    assert_eq!(host.read("/run/file").unwrap(), "precious");
}

/// A name like `eth0` may be another interface's by now, but a sysctl of the whole container is the same.
#[test]
fn del_restores_what_is_left() {
    let host = Host::new();
    let c1 = with_interface(&host, "c1");
    let before = sysctl(&c1, "core/somaxconn");
    call(&host, "ADD", &c1, &everything()).run().ok();
    c1.shell("ip link del eth0");
    del(&host, &c1, &everything());
    assert_eq!(sysctl(&c1, "core/somaxconn"), before);
}

/// What the kernel no longer takes is told, and everything else restored; but the container can be deleted.
#[test]
fn what_cannot_be_restored_is_told_once() {
    let host = Host::new();
    let c1 = host.container("c1");
    // A macvlan's packets cannot be larger than its parent's.
    host.shell(
        "ip link add parent type veth peer name other
         ip link add link parent name eth0 netns c1 address 02:00:00:00:00:01 type macvlan; ip -n c1 link set eth0 up",
    );
    let before = state(&c1);
    call(&host, "ADD", &c1, &everything()).run().ok();
    host.shell("ip link set parent mtu 1450");
    let error = call(&host, "DEL", &c1, &everything()).run().error();
    assert!(error.msg.contains("eth0"), "{error:?}");
    let mut expected = before;
    expected.0["mtu"] = json!(1400);
    assert_eq!((state(&c1), backups(&host)), (expected, String::new()));
    del(&host, &c1, &everything());
}

/// A list may tune twice: the first one's values are what was there before the second, but not what was there before.
#[test]
fn two_tunings_in_a_list_are_undone_to_what_was_before_both() {
    let host = Host::new();
    let c1 = host.container("c1");
    let somaxconn = sysctl(&c1, "core/somaxconn");
    let second = json!({"mtu": 1300, "sysctl": {"net.core.somaxconn": "99", "net.ipv4.conf.all.arp_ignore": "1"}});
    let network = host.chain(&list(&[&everything(), &second]));
    network.add(&c1, "eth0").ok();
    assert_eq!((properties(&c1)["mtu"].clone(), sysctl(&c1, "core/somaxconn")), (json!(1300), "99".into()));
    network.del(&c1, "eth0").ok();
    assert_eq!((sysctl(&c1, "core/somaxconn"), sysctl(&c1, "ipv4/conf/all/arp_ignore")), (somaxconn, "0".into()));
    assert_eq!(backups(&host), "");
}

/// The second one's failure is not the first one's.
#[test]
fn a_second_tuning_that_fails_takes_back_only_its_own() {
    let host = Host::new();
    let c1 = with_interface(&host, "c1");
    let before = state(&c1);
    call(&host, "ADD", &c1, &everything()).run().ok();
    let first = (state(&c1), host.read("/run/cni/tuning/c1_eth0.json").unwrap());
    let second = json!({"sysctl": {"net.core.somaxconn": "99"}, "mtu": 1_000_000});
    let _ = call(&host, "ADD", &c1, &second).run().error();
    assert_eq!((state(&c1), host.read("/run/cni/tuning/c1_eth0.json").unwrap()), first);
    del(&host, &c1, &second);
    assert_eq!(state(&c1), before);
}

/// A failed ADD on one network is followed by DEL, which must not undo what another network's has done.
#[test]
fn del_leaves_another_networks_file_alone() {
    let host = Host::new();
    let c1 = with_interface(&host, "c1");
    call(&host, "ADD", &c1, &everything()).run().ok();
    let tuned = state(&c1);
    del(&host, &c1, &json!({"name": "another"}));
    assert_eq!((state(&c1), backups(&host).trim()), (tuned, "c1_eth0.json"));
}

/// Runtimes give the paths of containers that are gone to the next ones. What was tuned went with the namespace.
#[test]
fn del_leaves_the_container_alone_that_has_the_path_by_now() {
    let host = Host::new();
    let (c1, c2) = (with_interface(&host, "c1"), with_interface(&host, "c2"));
    call(&host, "ADD", &c1, &everything()).run().ok();
    call(&host, "ADD", &c2, &everything()).run().ok();
    let tuned = state(&c2);
    del(&host, &host.container_at("c1", &c2.netns), &everything());
    assert_eq!((state(&c2), backups(&host).trim()), (tuned, "c2_eth0.json"));
}

/// An ADD may come again for a container whose DEL never came: what the file remembers is of the namespace before.
#[test]
fn what_was_before_in_a_namespace_that_is_gone_is_not_restored_in_the_next() {
    let host = Host::new();
    let c1 = with_interface(&host, "c1");
    c1.shell("echo 50 > /proc/sys/net/core/somaxconn");
    call(&host, "ADD", &c1, &everything()).run().ok();
    drop(host.lose(c1));
    let c1 = with_interface(&host, "c1");
    let before = state(&c1);
    call(&host, "ADD", &c1, &everything()).run().ok();
    del(&host, &c1, &everything());
    assert_eq!(state(&c1), before);
}

#[test]
fn gc_removes_the_files_of_attachments_that_are_gone_and_no_others() {
    let host = Host::new();
    let [stays, lost] = ["stays", "lost"].map(|name| host.container(name));
    let network = network(&host, &everything());
    for container in [&stays, &lost] {
        network.add(container, "eth0").ok();
    }
    let elsewhere = with_interface(&host, "elsewhere");
    call(&host, "ADD", &elsewhere, &json!({"name": "another", "mtu": 1400})).run().ok();
    host.write("/run/cni/tuning/go_eth0.json", r#"{"mtu": 1500}"#);
    host.write("/run/cni/tuning/folder/lost_eth0.json", "{}");
    let _ = host.lose(lost);
    network.gc(&[("stays", "eth0")]).ok();
    let left = backups(&host);
    assert_eq!(left.lines().collect::<Vec<_>>(), ["elsewhere_eth0.json", "folder", "go_eth0.json", "stays_eth0.json"]);
    network.gc(&[]).ok();
    assert!(!backups(&host).contains("stays"));
}

/// Wherever an ADD or a DEL is killed, the DEL after it puts everything back.
#[test]
fn a_kill_leaves_nothing_that_del_would_not_restore() {
    let host = Host::new();
    let c1 = with_interface(&host, "c1");
    let before = state(&c1);
    let add = call(&host, "ADD", &c1, &everything());
    let kills = add.killed_at_every_change(|point| {
        del(&host, &c1, &everything());
        assert_eq!((state(&c1), backups(&host)), (before.clone(), String::new()), "ADD killed at {point}");
    });
    assert!(kills >= 5, "ADD was killed {kills} times only");
    add.run().ok();
    let kills = call(&host, "DEL", &c1, &everything()).killed_at_every_change(|point| {
        del(&host, &c1, &everything());
        assert_eq!((state(&c1), backups(&host)), (before.clone(), String::new()), "DEL killed at {point}");
        add.run().ok();
    });
    assert!(kills >= 5, "DEL was killed {kills} times only");
}

/// strace plays a host that has run out of something for a moment.
#[test]
fn a_del_that_failed_once_can_be_repeated() {
    let host = Host::new();
    let c1 = with_interface(&host, "c1");
    let before = state(&c1);
    let mut failures = 0;
    for point in ["open", "openat", "sendto", "recvfrom"].iter().flat_map(|call| (1..=6).map(move |nth| (call, nth))) {
        let (syscall, nth) = point;
        call(&host, "ADD", &c1, &everything()).run().ok();
        let inject = format!("inject=?{syscall}:error=ENOMEM:when={nth}");
        let trace = format!("trace=?{syscall}");
        let strace = ["strace", "-f", "-qqq", "-o", "/dev/null", "-e", &trace, "-e", &inject];
        failures += usize::from(!call(&host, "DEL", &c1, &everything()).run_under(&strace).is_ok());
        del(&host, &c1, &everything());
        assert_eq!((state(&c1), backups(&host)), (before.clone(), String::new()), "{syscall} {nth}");
    }
    assert!(failures >= 5, "DEL failed {failures} times only");
}

/// A folder on a volume may be a tenant's.
#[test]
fn no_file_of_the_host_is_written_or_waited_for_through_the_folder() {
    let host = Host::new();
    let c1 = with_interface(&host, "c1");
    host.write("/run/victim", "precious");
    host.write("/run/tenant/.keep", "");
    let config = json!({"mtu": 1400, "dataDir": "/run/tenant", "cni.dev/valid-attachments": []});
    let before = state(&c1);
    for trap in ["ln -sf /run/victim", "ln -sf /dev/zero", "mkfifo"] {
        for file in [".status", "c1_eth0.json", ".c1_eth0.json"] {
            for (verb, sound) in [("STATUS", true), ("GC", true), ("ADD", true), ("DEL", false), ("DEL", true)] {
                host.shell(&format!("rm -f /run/tenant/{file}; {trap} /run/tenant/{file}"));
                let outcome = call(&host, verb, &c1, &config).run_under(&["timeout", "9"]);
                assert!(outcome.is_ok() || !sound, "{trap} {file} {verb}: {}", outcome.finished);
                assert_ne!(outcome.finished.status.code(), Some(124), "{trap} {file} {verb}");
            }
            host.shell("rm -rf /run/tenant/* /run/tenant/.c1*; ip -n c1 link set eth0 mtu 1500");
        }
    }
    assert_eq!((host.read("/run/victim").unwrap().as_str(), state(&c1)), ("precious", before));
}

#[test]
fn what_a_link_in_a_file_s_place_leads_to_is_not_restored() {
    if reference_differs("it follows links") {
        return;
    }
    let host = Host::new();
    let c1 = with_interface(&host, "c1");
    host.write("/run/elsewhere", json!({"mtu": 1300}).to_string());
    host.shell("mkdir -p /run/tenant; ln -s /run/elsewhere /run/tenant/c1_eth0.json");
    let before = state(&c1);
    call(&host, "DEL", &c1, &json!({"mtu": 1400, "dataDir": "/run/tenant"})).run().ok();
    assert_eq!(state(&c1), before);
}

fn run(host: &Host, binary: &str, verb: &str, container: &Container) -> Outcome {
    let mut config = everything();
    config["cniVersion"] = json!("1.0.0");
    config["type"] = json!("tuning");
    config["prevResult"] = json!({"cniVersion": "1.0.0", "interfaces": [{"name": "eth0", "sandbox": container.netns}]});
    // What only ours knows, and what only ours checks right.
    config.as_object_mut().unwrap().remove("txQLen");
    config["sysctl"] = json!({"net.core.somaxconn": "77"});
    host.cni(binary).command(verb).container(container).config(&config).run()
}

/// What one suite tuned, the other checks and restores.
#[test]
fn both_suites_take_turns() {
    let host = Host::new();
    for (name, adds, others) in [("c1", "tuning", REFERENCE), ("c2", REFERENCE, "tuning")] {
        let container = with_interface(&host, name);
        let before = properties(&container);
        run(&host, adds, "ADD", &container).ok();
        assert_ne!(properties(&container), before);
        run(&host, others, "CHECK", &container).ok();
        run(&host, others, "DEL", &container).ok();
        assert_eq!((properties(&container), backups(&host)), (before, String::new()), "{adds}, then {others}");
    }
}

#[test]
fn another_folder_can_be_chosen() {
    let host = Host::new();
    let c1 = with_interface(&host, "c1");
    let config = json!({"mtu": 1400, "dataDir": "/run/elsewhere/deep"});
    call(&host, "ADD", &c1, &config).run().ok();
    assert!(host.read("/run/elsewhere/deep/c1_eth0.json").unwrap().contains("1500"));
    let mode = host.shell("stat -c %a /run/elsewhere/deep/c1_eth0.json");
    assert_eq!((mode.trim(), backups(&host).as_str()), ("600", ""));
    del(&host, &c1, &config);
    assert_eq!(properties(&c1)["mtu"], 1500);
    assert_eq!(host.shell("ls /run/elsewhere/deep"), "");
}
