//! DEL and GC: the device is on the host again, as it was.

use serde_json::{Value, json};
use tests::{Container, Host, Inside as _, Snapshot, is_reference, reference_differs};

use super::{REFERENCE, addresses, assert_comes_back, call, config, network, scene, vanish};

#[test]
fn the_device_comes_back_with_its_name_its_alias_and_its_address_down() {
    let (host, c1) = scene();
    host.shell("ip link set nic0 up mtu 1400 alias 'rack 4/port 7'; ip addr add 10.9.0.1/24 dev nic0");
    let network = network(&host, &addresses());
    network.add(&c1, "eth0").ok();
    if !reference_differs("it forgets the alias") {
        assert_eq!(c1.link("eth0")["ifalias"], "ferrocni:net/c1/eth0/nic0/rack 4/port 7");
    }
    network.del(&c1, "eth0").ok();
    let device = host.link("nic0");
    assert_eq!((&device["mtu"], &device["address"]), (&json!(1400), &json!("02:00:00:00:aa:01")));
    assert!(!host.is_up("nic0"), "nobody knows what it would be up for");
    assert_eq!(host.addresses("nic0"), [""; 0]);
    assert!(is_reference() || device["ifalias"] == "rack 4/port 7", "{device}");
    assert_eq!(c1.links(), ["lo"]);
}

#[test]
fn del_finds_a_device_that_was_renamed_in_the_container() {
    let (host, c1) = scene();
    let network = network(&host, &addresses());
    host.assert_leaves_nothing(|| {
        network.add(&c1, "eth0").ok();
        c1.shell("ip link set eth0 down; ip link set eth0 name lan; ip link add eth0 type veth peer name other");
        network.del(&c1, "eth0").ok();
        c1.shell("ip link del eth0");
    });
}

#[test]
fn del_works_without_the_result_of_add() {
    let (host, c1) = scene();
    let config = config(&addresses());
    assert_comes_back(&host, || {
        call(&host, "ADD", &c1, &config).run().ok();
        call(&host, "DEL", &c1, &config).run().ok();
    });
}

/// The mark says everything that there is to know.
#[test]
fn del_works_with_a_configuration_that_add_would_refuse() {
    for broken in [json!({"device": ""}), json!({"device": "elsewhere"}), json!({"pciBusID": "x"})] {
        let (host, c1) = scene();
        host.assert_leaves_nothing(|| {
            call(&host, "ADD", &c1, &config(&json!({}))).run().ok();
            call(&host, "DEL", &c1, &config(&broken)).run().ok();
        });
    }
}

#[test]
fn del_of_what_was_never_added_takes_nothing() {
    let (host, c1) = scene();
    c1.shell(
        "for i in 0 1 2 3 4; do ip link add eth$i type veth peer name other$i; done
         ip link set eth1 alias ferrocni:net/c2/eth1/nic0
         ip link set eth2 alias 'not a name'
         ip link set eth3 alias another
         ip link set eth4 alias ferrocni:net/c1/eth4",
    );
    host.assert_leaves_nothing(|| {
        for ifname in ["eth0", "eth1", "eth2", "eth3", "eth4", "eth5"] {
            network(&host, &json!({})).del(&c1, ifname).ok();
        }
    });
}

/// Once an address is released it may be somebody else's: nobody may have it any more.
#[test]
fn the_address_is_released_after_the_device_has_left_the_container() {
    let (host, c1) = scene();
    let ipam = "#!/bin/sh
        cat >/dev/null
        ip -n c1 -o link >/run/links.$CNI_COMMAND
        [ $CNI_COMMAND != ADD ] || echo '{\"cniVersion\": \"1.0.0\", \"ips\": [{\"address\": \"10.1.0.7/24\"}]}'";
    host.write("/run/plugins/notebook", ipam);
    host.shell("chmod +x /run/plugins/notebook");
    let config = config(&json!({"cniVersion": "1.0.0", "ipam": {"type": "notebook"}}));
    let path = "/run/plugins";
    let call = |verb: &str| call(&host, verb, &c1, &config).path(path);
    let had_it = |verb: &str| host.read(format!("/run/links.{verb}")).unwrap().contains("eth0");
    call("ADD").run().ok();
    call("DEL").run().ok();
    assert!(had_it("ADD") && !had_it("DEL"));
    host.shell("rm /run/links.*");
    assert!(!call("ADD").run_unheard().is_ok());
    assert!(had_it("ADD") && !had_it("DEL"));
}

/// A device that another plugin finds under the interface's name is none of its own.
#[test]
fn another_plugin_s_del_leaves_the_device_alone() {
    let (host, c1) = scene();
    network(&host, &json!({})).add(&c1, "eth0").ok();
    let bridge = host.chain(&json!({"name": "other", "plugins": [{"type": "bridge", "bridge": "br0"}]}));
    host.assert_leaves_nothing(|| {
        let _ = bridge.add(&c1, "eth0").error();
        bridge.del(&c1, "eth0").ok();
    });
}

fn kernel_gave_it_back(name: &str) -> (Host, Container, Snapshot) {
    let (host, c1) = scene();
    host.shell("ip link set nic0 alias uplink");
    let before = host.snapshot().without(&c1);
    network(&host, &addresses()).add(&c1, "eth0").ok();
    let c1 = vanish(&host, c1, "eth0", name);
    (host, c1, before)
}

fn without_namespaces(host: &Host, before: &Snapshot) -> Vec<String> {
    before.diff(&host.snapshot()).into_iter().filter(|line| line != "- namespace c1").collect()
}

#[test]
fn del_restores_a_device_whose_namespace_vanished() {
    for name in ["eth0", "dev7"] {
        for blind in [false, true] {
            let (host, c1, before) = kernel_gave_it_back(name);
            let network = network(&host, &addresses());
            if blind {
                network.del_blind(&c1, "eth0").ok()
            } else {
                network.del(&c1, "eth0").ok()
            };
            assert_eq!(without_namespaces(&host, &before), [""; 0]);
        }
    }
}

#[test]
fn gc_restores_a_device_whose_namespace_vanished() {
    let (host, _, before) = kernel_gave_it_back("dev7");
    let network = network(&host, &addresses());
    network.gc(&[("c1", "eth0")]).ok();
    assert!(host.links().contains(&"dev7".to_owned()), "it is not stale");
    let other = host.chain(&json!({"name": "other", "plugins": [config(&json!({}))]}));
    other.gc(&[]).ok();
    assert!(host.links().contains(&"dev7".to_owned()), "it is another network's");
    network.gc(&[]).ok();
    assert_eq!(without_namespaces(&host, &before), [""; 0]);
}

#[test]
fn gc_leaves_containers_and_their_addresses_alone() {
    let (host, c1) = scene();
    let network = network(&host, &addresses());
    network.add(&c1, "eth0").ok();
    host.assert_leaves_nothing(|| network.gc(&[("c1", "eth0")]).ok());
    network.check(&c1, "eth0").ok();
}

/// Whoever is faster than DEL and GC gets the device all the same, and gives it back as it was in the beginning.
#[test]
fn add_finds_a_device_under_the_name_that_the_kernel_gave_it() {
    let (host, _, before) = kernel_gave_it_back("dev7");
    let c2 = host.container("c2");
    let network = network(&host, &addresses());
    network.add(&c2, "net1").ok();
    assert_eq!(c2.link("net1")["ifalias"], "ferrocni:net/c2/net1/nic0/uplink");
    network.del(&c2, "net1").ok();
    network.gc(&[]).ok();
    let _ = host.lose(c2);
    assert_eq!(without_namespaces(&host, &before), [""; 0]);
}

#[test]
fn a_virtual_device_ends_with_its_namespace() {
    let (host, c1) = scene();
    let network = network(&host, &addresses());
    network.add(&c1, "eth0").ok();
    let c1 = host.lose(c1);
    if reference_differs("it fails for ever") {
        return;
    }
    network.del(&c1, "eth0").ok();
    let addresses = host.shell("find /var/lib/cni/networks/net -name '10.*' -or -name 'fd*'");
    assert_eq!(addresses, "", "they are free");
}

/// A link of the name came while the device was away: nothing is lost, and everybody is told.
#[test]
fn a_device_whose_name_was_taken_comes_back_under_another() {
    for taken_inside in [false, true] {
        let (host, c1) = scene();
        let network = network(&host, &addresses());
        network.add(&c1, "eth0").ok();
        host.shell("ip link add nic0 type veth peer name wire2");
        if taken_inside {
            c1.shell("ip link add nic0 type veth peer name other");
        }
        let error = network.del(&c1, "eth0").error();
        let now = host.links().into_iter().find(|name| host.link(name)["ifalias"] == "ferrocni:net/c1/eth0/nic0");
        let now = now.expect("the device is on the host");
        assert!(error.msg.contains(&format!("as {now}")) && error.msg.contains("run DEL"), "{error:?}");
        assert!(!c1.links().contains(&"eth0".to_owned()));

        let again = network.del(&c1, "eth0").error();
        assert_eq!(again, error);
        host.shell("ip link del nic0");
        if taken_inside {
            network.gc(&[]).ok();
        } else {
            network.del(&c1, "eth0").ok();
        }
        assert_eq!(host.link("nic0")["address"], "02:00:00:00:aa:01");
        assert_eq!(host.link("nic0").get("ifalias"), None);
    }
}

/// `dev<number>` is what others may have come back as.
#[test]
fn the_other_name_is_free_too() {
    let (host, c1) = scene();
    let network = network(&host, &json!({}));
    network.add(&c1, "eth0").ok();
    host.shell("ip link add nic0 type veth peer name wire2");
    let index = c1.link("eth0")["ifindex"].as_u64().unwrap();
    for number in index..index + 5 {
        host.shell(&format!("ip link add dev{number} type veth peer name devwire{number}"));
    }
    let error = network.del(&c1, "eth0").error();
    assert!(error.msg.contains(&format!("as dev{}", index + 5)), "{error:?}");
}

#[test]
fn an_add_or_del_killed_anywhere_loses_nothing() {
    let (host, c1) = scene();
    host.shell("ip link set nic0 alias uplink");
    let network = network(&host, &addresses());
    let config = {
        let mut config = config(&addresses());
        config["name"] = json!("net");
        config
    };
    let before = host.snapshot();
    let mut clean_up = |point: &str| {
        network.del(&c1, "eth0").ok();
        let left = host.snapshot().leftovers(&before);
        assert!(left.is_empty(), "killed at {point}: {left:#?}");
    };
    let kills = call(&host, "ADD", &c1, &config).killed_at_every_change(&mut clean_up);
    assert!(kills > 5, "ADD was killed {kills} times only");
    network.add(&c1, "eth0").ok();
    let kills = call(&host, "DEL", &c1, &config).killed_at_every_change(|point| {
        clean_up(point);
        network.add(&c1, "eth0").ok();
    });
    assert!(kills > 3, "DEL was killed {kills} times only");
}

/// The same when the namespace is gone by then, and the kernel has given the device back; GC does it alone.
#[test]
fn what_a_killed_add_or_del_left_is_found_on_the_host() {
    let (host, c1) = scene();
    let network = network(&host, &json!({}));
    let config = {
        let mut config = config(&json!({}));
        config["name"] = json!("net");
        config
    };
    let before = host.snapshot();
    let give_back = |point: &str, collect: bool| {
        let inside = c1.links().into_iter().find(|name| c1.link(name)["ifalias"] == "ferrocni:net/c1/eth0/nic0");
        if let Some(name) = inside {
            c1.shell(&format!("ip link set {name} netns 1 name dev7"));
        }
        if collect {
            network.gc(&[]).ok()
        } else {
            network.del_blind(&c1, "eth0").ok()
        };
        let left = host.snapshot().leftovers(&before);
        assert!(left.is_empty(), "killed at {point}: {left:#?}");
    };
    for collect in [false, true] {
        call(&host, "ADD", &c1, &config).killed_at_every_change(|point| give_back(point, collect));
        network.add(&c1, "eth0").ok();
        call(&host, "DEL", &c1, &config).killed_at_every_change(|point| {
            give_back(point, collect);
            network.add(&c1, "eth0").ok();
        });
        network.del(&c1, "eth0").ok();
    }
}

/// Replacing the reference on a node whose containers run.
#[test]
fn check_and_del_know_what_the_reference_made() {
    let by_address = json!({"device": "", "hwaddr": "02:00:00:00:aa:01"});
    let by_alternative_name = json!({"device": "a-name-of-its"});
    for keys in [json!({}), addresses(), by_address, by_alternative_name] {
        let (host, c1) = scene();
        host.shell("ip link property add dev nic0 altname a-name-of-its");
        let mut config = config(&keys);
        config["cniVersion"] = json!("1.0.0");
        config["name"] = json!("net");
        host.assert_leaves_nothing(|| {
            config["prevResult"] = serde_json::from_str(&host.shell(&by_the_reference("ADD", &c1, &config))).unwrap();
            c1.shell("ip link set eth0 up");
            call(&host, "CHECK", &c1, &config).run().ok();
            call(&host, "DEL", &c1, &config).run().ok();
        });
    }
}

/// The reference's alias is nothing but a name, and names are not unique.
#[test]
fn del_takes_no_device_that_the_reference_gave_another_network() {
    let (host, c1) = scene();
    c1.shell("ip link add eth0 type veth peer name other; ip link set eth0 alias nic1");
    host.assert_leaves_nothing(|| {
        network(&host, &json!({})).del(&c1, "eth0").ok();
        network(&host, &json!({"device": "", "hwaddr": "02:00:00:00:aa:01"})).del(&c1, "eth0").ok();
    });
}

/// Its DEL takes the whole alias for a name, which no link can have: it fails, and nothing is lost.
#[test]
fn the_reference_s_del_leaves_the_device_to_ours() {
    let (host, c1) = scene();
    let network = network(&host, &json!({}));
    let config = json!({"cniVersion": "1.0.0", "name": "net", "type": "host-device", "device": "nic0"});
    host.assert_leaves_nothing(|| {
        network.add(&c1, "eth0").ok();
        let failed = host.try_run(["sh", "-c", &by_the_reference("DEL", &c1, &config)]);
        assert!(!failed.status.success(), "{failed}");
        assert_eq!(c1.link("eth0")["ifalias"], "ferrocni:net/c1/eth0/nic0");
        network.del(&c1, "eth0").ok();
    });
}

/// A line of shell that runs the reference's plugin.
fn by_the_reference(verb: &str, container: &Container, config: &Value) -> String {
    let netns = container.netns.display();
    format!(
        "CNI_COMMAND={verb} CNI_CONTAINERID={} CNI_NETNS={netns} CNI_IFNAME=eth0 CNI_PATH=/usr/lib/cni {REFERENCE} <<'E'\n{config}\nE\n",
        container.id
    )
}
