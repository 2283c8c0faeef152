//! Each key by what it does.

use serde_json::{Value, json};
use tests::{Container, Host, Inside as _, at_once, every_plugin_rules, reference_differs};

use super::{call, everything, network, properties, sysctl, with_interface};

#[test]
fn the_rules_of_every_plugin_hold() {
    let host = Host::new();
    let container = host.container("c1");
    every_plugin_rules(&network(&host, &everything()), &container, "eth0");
    every_plugin_rules(&network(&host, &json!({})), &container, "eth0");
}

#[test]
fn a_sysctl_takes_effect() {
    let host = Host::new();
    let c1 = host.container("c1");
    let without = network(&host, &json!({}));
    without.add(&c1, "eth0").ok();
    host.assert_pings("10.1.0.2");
    without.del(&c1, "eth0").ok();
    network(&host, &json!({"sysctl": {"net.ipv4.icmp_echo_ignore_all": "1"}})).add(&c1, "eth0").ok();
    assert!(!host.try_run(["ping", "-n", "-c1", "-W1", "10.1.0.3"]).status.success());
}

#[test]
fn an_interface_with_dots_in_its_name_is_filled_in() {
    let host = Host::new();
    let c1 = host.container("c1");
    let tuning = json!({"sysctl": {"net.ipv4.conf.IFNAME.arp_ignore": "1", "net/ipv6/conf/IFNAME/hop_limit": "7"}});
    network(&host, &tuning).add(&c1, "eth0.100").ok();
    assert_eq!(sysctl(&c1, "ipv4/conf/eth0.100/arp_ignore"), "1");
    assert_eq!(sysctl(&c1, "ipv6/conf/eth0.100/hop_limit"), "7");
    assert_eq!(sysctl(&c1, "ipv4/conf/default/arp_ignore"), "0");
}

/// Both spellings are sysctl(8)'s.
#[test]
fn an_interface_with_dots_in_its_name_can_be_named() {
    let host = Host::new();
    let c1 = host.container("c1");
    let sysctls = json!({"net/ipv4/conf/eth0.100/arp_ignore": "1", "net.ipv4.conf.eth0/100.arp_filter": "1"});
    let network = network(&host, &json!({"sysctl": sysctls}));
    network.add(&c1, "eth0.100").ok();
    assert_eq!(sysctl(&c1, "ipv4/conf/eth0.100/arp_ignore"), "1");
    assert_eq!(sysctl(&c1, "ipv4/conf/eth0.100/arp_filter"), "1");
    network.check(&c1, "eth0.100").ok();
}

/// Forwarding sets that of every interface, so a later exception counts only if it is set later.
#[test]
fn sysctls_are_set_in_the_order_in_which_they_are_written() {
    let host = Host::new();
    let c1 = with_interface(&host, "c1");
    let text = format!(
        r#"{{"cniVersion": "1.0.0", "name": "net", "type": "tuning", "prevResult": {{"cniVersion": "1.0.0"}}, "sysctl":
            {{"net.ipv4.ip_forward": "1", "net.ipv4.conf.{}.forwarding": "0"}}}}"#,
        "IFNAME"
    );
    call(&host, "ADD", &c1, &json!({})).stdin(text.clone()).run().ok();
    assert_eq!((sysctl(&c1, "ipv4/ip_forward"), sysctl(&c1, "ipv4/conf/eth0/forwarding")), ("1".into(), "0".into()));
    call(&host, "DEL", &c1, &json!({})).stdin(text).run().ok();
    assert_eq!(sysctl(&c1, "ipv4/ip_forward"), "0");
}

#[test]
fn a_sysctl_that_can_only_be_written_is_written() {
    let host = Host::new();
    let c1 = with_interface(&host, "c1");
    let config = json!({"cniVersion": "1.0.0", "sysctl": {"net.ipv4.route.flush": "1"}});
    call(&host, "ADD", &c1, &config).run().ok();
    if !reference_differs("it cannot check what it cannot read") {
        call(&host, "CHECK", &c1, &config).run().ok();
    }
    call(&host, "DEL", &c1, &config).run().ok();
}

#[test]
fn every_property_is_set_and_reported() {
    let host = Host::new();
    let c1 = host.container("c1");
    let network = network(&host, &everything());
    let result = network.add(&c1, "eth0").ok();
    let mut expected = everything();
    expected.as_object_mut().unwrap().remove("sysctl");
    let mut found = properties(&c1);
    if reference_differs("it knows no txQLen") {
        found.as_object_mut().unwrap().remove("txQLen");
    }
    assert_eq!(found, expected);
    let inside = &result["interfaces"][2];
    assert_eq!(inside["mac"], "02:00:00:00:00:77", "{result}");
    assert!(inside["mtu"] == 1400 || reference_differs("it reports no MTU"), "{result}");
    assert_ne!(result["interfaces"][1]["mtu"], 1400, "the host's end is another interface");
    let checked = network.check(&c1, "eth0");
    assert!(checked.is_ok() || reference_differs("this version looks for an interface IFNAME"), "{}", checked.finished);
}

/// What is tuned still works: neighbours know the new address, and nothing larger than the MTU is sent.
#[test]
fn a_tuned_interface_carries_traffic_as_tuned() {
    let host = Host::new();
    let (c1, c2) = (host.container("c1"), host.container("c2"));
    network(&host, &json!({})).add(&c2, "eth0").ok();
    c2.assert_pings("10.1.0.1");
    let result = network(&host, &json!({"mac": "02:00:00:00:00:77", "mtu": 1300})).add(&c1, "eth0").ok();
    let _server = c1.listen_tcp(80);
    for index in [0, 1] {
        c2.assert_reaches_tcp(&format!("{}:80", tests::address(&result, index)));
    }
    assert!(c2.run(["ip", "neigh", "show", "10.1.0.3"]).contains("02:00:00:00:00:77"));
    let ping = |size: &str| c1.try_run(["ping", "-n", "-c1", "-W2", "-M", "do", "-s", size, "10.1.0.2"]);
    assert!(ping("1272").status.success());
    assert!(!ping("1273").status.success());
}

/// The more specific setting takes precedence.
#[test]
fn args_beat_the_capability_beat_cni_args_beat_the_network() {
    let host = Host::new();
    let mac = |last: u8| format!("02:00:00:00:00:{last:02x}");
    let all = json!({
        "mac": mac(1), "runtimeConfig": {"mac": mac(3)}, "args": {"cni": {"mac": mac(4)}},
    });
    for (without, expected) in [(None, 4), (Some("args"), 3), (Some("runtimeConfig"), 2)] {
        let container = with_interface(&host, &format!("c{expected}"));
        let mut config = all.clone();
        if let Some(key) = without {
            config["args"] = json!(null);
            config[key] = json!(null);
        }
        call(&host, "ADD", &container, &config)
            .args(&format!("IgnoreUnknown=1;K8S_POD_NAME=p;MAC={}", mac(2)))
            .run()
            .ok();
        assert_eq!(properties(&container)["mac"], mac(expected));
    }
    let container = with_interface(&host, "c1");
    call(&host, "ADD", &container, &json!({"mac": mac(1)})).run().ok();
    assert_eq!(properties(&container)["mac"], mac(1));
}

#[test]
fn args_may_be_all_there_is() {
    let host = Host::new();
    let c1 = with_interface(&host, "c1");
    let mut everything = everything();
    everything["sysctl"] = json!({"net.core.somaxconn": "78"});
    let config = json!({"cniVersion": "1.0.0", "args": {"cni": everything}});
    call(&host, "ADD", &c1, &config).run().ok();
    call(&host, "CHECK", &c1, &config).run().ok();
    let expected = json!({"mac": "02:00:00:00:00:77", "mtu": 1400, "promisc": true, "allmulti": true, "txQLen": 77});
    assert_eq!(properties(&c1), expected);
    assert_eq!(sysctl(&c1, "core/somaxconn"), "78");
}

#[test]
fn args_replace_single_keys_of_the_network() {
    let host = Host::new();
    let c1 = with_interface(&host, "c1");
    let config = json!({
        "sysctl": {"net.core.somaxconn": "77", "net.ipv4.conf.IFNAME.arp_ignore": "1"}, "mtu": 1400, "promisc": true,
        "allmulti": true,
        "args": {"cni": {"sysctl": {"net.core.somaxconn": "78"}, "mtu": 1300, "promisc": false, "allmulti": false}},
    });
    call(&host, "ADD", &c1, &config).run().ok();
    let found = properties(&c1);
    assert_eq!([&found["mtu"], &found["promisc"], &found["allmulti"]], [&json!(1300), &json!(false), &json!(false)]);
    assert_eq!(sysctl(&c1, "core/somaxconn"), "78");
    assert_eq!(sysctl(&c1, "ipv4/conf/eth0/arp_ignore"), "1");
}

#[test]
fn without_anything_to_tune_the_result_is_passed_on_and_nothing_is_kept() {
    let host = Host::new();
    let c1 = with_interface(&host, "c1");
    let before = properties(&c1);
    for config in [json!({}), json!({"mtu": 0, "promisc": false, "mac": "", "sysctl": {}})] {
        let result = call(&host, "ADD", &c1, &config).run().ok();
        assert_eq!(result["interfaces"][0]["mac"], "02:00:00:00:00:01");
        assert_eq!(properties(&c1), before);
        assert_eq!(super::backups(&host), "");
    }
}

#[test]
fn many_containers_are_tuned_at_once() {
    let host = Host::new();
    let containers: Vec<Container> = (0..16).map(|i| with_interface(&host, &format!("c{i}"))).collect();
    at_once(&containers, |container| call(&host, "ADD", container, &everything()).run().ok());
    for container in &containers {
        assert_eq!(properties(container)["mtu"], 1400, "{}", container.id);
        assert_eq!(sysctl(container, "core/somaxconn"), "77", "{}", container.id);
    }
    assert_eq!(super::backups(&host).lines().count(), 16);
    at_once(&containers, |container| call(&host, "DEL", container, &everything()).run().ok());
    assert_eq!(super::backups(&host), "");
}

#[test]
fn check_names_what_somebody_changed() {
    let host = Host::new();
    let c1 = with_interface(&host, "c1");
    let mut config = everything();
    config["cniVersion"] = json!("1.0.0");
    config["prevResult"] = call(&host, "ADD", &c1, &config).run().ok();
    let damages: [(&str, &str, Value); 6] = [
        ("ip link set eth0 mtu 1500", "ip link set eth0 mtu 1400", json!("expected 1400, found 1500")),
        ("ip link set eth0 promisc off", "ip link set eth0 promisc on", json!("promiscuous mode")),
        ("ip link set eth0 allmulticast off", "ip link set eth0 allmulticast on", json!("all-multicast mode")),
        ("ip link set eth0 txqueuelen 5", "ip link set eth0 txqueuelen 77", json!("expected 77, found 5")),
        (
            "ip link set eth0 address 02:00:00:00:00:99",
            "ip link set eth0 address 02:00:00:00:00:77",
            json!("found 02:00:00:00:00:99"),
        ),
        (
            "echo 0 > /proc/sys/net/ipv4/conf/eth0/arp_ignore",
            "echo 1 > /proc/sys/net/ipv4/conf/eth0/arp_ignore",
            json!("ipv4/conf/eth0/arp_ignore differs: expected 1, found 0"),
        ),
    ];
    if reference_differs("it does not fill in IFNAME") {
        return;
    }
    for (damage, repair, words) in damages {
        call(&host, "CHECK", &c1, &config).run().ok();
        c1.shell(damage);
        let error = call(&host, "CHECK", &c1, &config).run().error();
        assert!(error.msg.contains(words.as_str().unwrap()), "{damage}: {error:?}");
        c1.shell(repair);
    }
    c1.shell("ip link del eth0");
    let error = call(&host, "CHECK", &c1, &config).run().error();
    assert!(error.msg.contains("eth0 does not exist"), "{error:?}");
}

/// Somebody watches the container's traffic: that is no damage.
#[test]
fn check_does_not_mind_what_it_was_not_asked_for() {
    let host = Host::new();
    let c1 = with_interface(&host, "c1");
    let config = json!({"cniVersion": "1.0.0", "sysctl": {"net.ipv4.ping_group_range": "5 6"}});
    call(&host, "ADD", &c1, &config).run().ok();
    c1.shell("ip link set eth0 promisc on; ip link set eth0 mtu 1300; ip link set eth0 allmulticast on");
    call(&host, "CHECK", &c1, &config).run().ok();
}
