//! The iptables backend, and the keys that only it knows.

use serde_json::{Value, json};
use tests::{Chain, Host, Inside as _, every_plugin_rules, reference_differs, wire};

use super::publishing_with;
use crate::networks::portmap;

/// The reference of this age has no other backend, and no key to ask for one.
fn by_iptables(keys: &Value) -> Value {
    portmap(&{
        let mut keys = keys.clone();
        keys["backend"] = json!("iptables");
        keys
    })
}

fn publishing<'h>(host: &'h Host, number: u8, keys: &Value) -> Chain<'h> {
    let mappings = json!([{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}, {"hostPort": 8053, "containerPort": 53, "protocol": "udp"}]);
    publishing_with(host, number, &by_iptables(keys), &mappings)
}

fn saved(host: &Host) -> String {
    host.shell("iptables-save; ip6tables-save")
}

#[test]
fn a_port_is_reached_from_everywhere() {
    let (host, outside) = wire();
    let web = host.container("web");
    let network = publishing(&host, 1, &json!({}));
    host.assert_leaves_nothing(|| {
        network.add(&web, "eth0").ok();
        let _servers = (web.listen_tcp(80), web.listen_udp(53));
        for (published, kept, bridge) in
            [("192.0.2.1", "192.0.2.2", "10.1.0.1"), ("[2001:db8::1]", "2001:db8::2", "fd00:1::1")]
        {
            assert_eq!(outside.assert_reaches_tcp(&format!("{published}:8080")).ip().to_string(), kept);
            assert_eq!(outside.assert_reaches_udp(&format!("{published}:8053")).ip().to_string(), kept);
            assert_eq!(web.assert_reaches_tcp(&format!("{published}:8080")).ip().to_string(), bridge);
            host.assert_reaches_tcp(&format!("{published}:8080"));
        }
        assert_eq!(host.assert_reaches_tcp("127.0.0.1:8080").ip().to_string(), "10.1.0.1");
        assert!(saved(&host).contains("CNI-HOSTPORT-DNAT"));
        network.del(&web, "eth0").ok();
    });
}

#[test]
fn nftables_has_no_part_in_it() {
    let host = Host::new();
    let web = host.container("web");
    publishing(&host, 1, &json!({})).add(&web, "eth0").ok();
    let ruleset = host.nft_json(["list", "table", "inet", "ferrocni"]).to_string();
    assert!(!ruleset.contains("8080"), "{ruleset}");
}

#[test]
fn conditions_choose_whose_connections_are_translated() {
    let (host, outside) = wire();
    outside.shell("ip addr add 192.0.2.3/24 dev uplink; ip addr add 2001:db8::3/64 dev uplink nodad preferred_lft 0");
    let web = host.container("web");
    let keys = json!({"conditionsV4": ["!", "-s", "192.0.2.3"], "conditionsV6": ["!", "-s", "2001:db8::3"]});
    // Without "backend": the conditions say it.
    let network =
        publishing_with(&host, 1, &keys, &json!([{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]));
    host.assert_leaves_nothing(|| {
        network.add(&web, "eth0").ok();
        let _server = web.listen_tcp(80);
        let ask = |from: &str, to: &str| {
            outside.try_run(["socat", "-T1", "-", &format!("TCP:{to}:8080,bind={from},connect-timeout=1")])
        };
        outside.assert_reaches_tcp("192.0.2.1:8080");
        outside.assert_reaches_tcp("[2001:db8::1]:8080");
        assert!(ask("192.0.2.2", "192.0.2.1").ok().starts_with("192.0.2.2:"));
        assert!(ask("[2001:db8::2]", "[2001:db8::1]").ok().starts_with("[2001:db8::2]:"));
        assert!(!ask("192.0.2.3", "192.0.2.1").status.success());
        assert!(!ask("[2001:db8::3]", "[2001:db8::1]").status.success());
        if !reference_differs("its CHECK fails with any port mapping") {
            network.check(&web, "eth0").ok();
        }
        network.del(&web, "eth0").ok();
    });
}

#[test]
fn the_mark_has_the_bit_that_was_asked_for() {
    let host = Host::new();
    let web = host.container("web");
    let network = publishing(&host, 1, &json!({"markMasqBit": 5}));
    network.add(&web, "eth0").ok();
    let _server = web.listen_tcp(80);
    let rules = saved(&host);
    assert!(rules.contains("-j MARK --set-xmark 0x20/0x20"), "{rules}");
    assert!(rules.contains("-m mark --mark 0x20/0x20 -j MASQUERADE"), "{rules}");
    assert_eq!(host.assert_reaches_tcp("127.0.0.1:8080").ip().to_string(), "10.1.0.1");
}

#[test]
fn somebody_else_s_chain_can_do_the_marking() {
    let host = Host::new();
    let web = host.container("web");
    for tool in ["iptables", "ip6tables"] {
        host.shell(&format!(
            "{tool} -t nat -N THEIR-MARK
             {tool} -t nat -A THEIR-MARK -j MARK --set-xmark 0x4000/0x4000
             {tool} -t nat -A POSTROUTING -m mark --mark 0x4000/0x4000 -j MASQUERADE"
        ));
    }
    let network = publishing(&host, 1, &json!({"externalSetMarkChain": "THEIR-MARK"}));
    host.assert_leaves_nothing(|| {
        network.add(&web, "eth0").ok();
        let _server = web.listen_tcp(80);
        assert_eq!(host.assert_reaches_tcp("127.0.0.1:8080").ip().to_string(), "10.1.0.1");
        assert_eq!(web.assert_reaches_tcp("10.1.0.1:8080").ip().to_string(), "10.1.0.1");
        assert!(!saved(&host).contains("CNI-HOSTPORT-SETMARK"));
        network.del(&web, "eth0").ok();
    });
}

#[test]
fn masq_all_and_no_snat_are_obeyed() {
    for (keys, from_outside, from_loopback) in
        [(json!({"snat": false}), "192.0.2.2", None), (json!({"masqAll": true}), "10.1.0.1", Some("10.1.0.1"))]
    {
        if keys["masqAll"] == true && reference_differs("it does not know masqAll yet") {
            continue;
        }
        let (host, outside) = wire();
        let web = host.container("web");
        let network = publishing(&host, 1, &keys);
        host.assert_leaves_nothing(|| {
            network.add(&web, "eth0").ok();
            let _server = web.listen_tcp(80);
            assert_eq!(outside.assert_reaches_tcp("192.0.2.1:8080").ip().to_string(), from_outside);
            let seen = host.connect_tcp("127.0.0.1:8080").ok().map(|seen| seen.ip().to_string());
            assert_eq!(seen.as_deref(), from_loopback);
            network.del(&web, "eth0").ok();
        });
    }
}

#[test]
fn nftables_refuses_what_is_written_for_iptables() {
    let host = Host::new();
    let web = host.container("web");
    for (key, value) in [
        ("conditionsV4", json!(["-i", "x"])),
        ("conditionsV6", json!(["-i", "x"])),
        ("externalSetMarkChain", json!("X")),
    ] {
        let keys = json!({"backend": "nftables", key: value});
        let network =
            publishing_with(&host, 1, &keys, &json!([{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]));
        host.assert_leaves_nothing(|| {
            let error = network.add(&web, "eth0").error();
            assert_eq!(error.code, 7);
            assert!(error.msg.contains(key) && error.msg.contains("iptables"), "{error:?}");
            network.del(&web, "eth0").ok();
        });
    }
    let both = publishing(&host, 1, &json!({"externalSetMarkChain": "X", "markMasqBit": 3}));
    assert_eq!(both.add(&web, "eth0").error().code, 7);
}

#[test]
fn the_rules_of_every_plugin_hold() {
    let host = Host::new();
    let web = host.container("web");
    every_plugin_rules(&publishing(&host, 1, &json!({})), &web, "eth0");
}

#[test]
fn check_misses_a_rule() {
    let host = Host::new();
    let web = host.container("web");
    let network = publishing(&host, 1, &json!({}));
    network.add(&web, "eth0").ok();
    for damage in [
        "iptables -t nat -D PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT",
        "iptables -t nat -F CNI-HOSTPORT-DNAT",
        "iptables -t nat -F CNI-HOSTPORT-SETMARK",
        "for i in $(ip6tables-save -t nat | sed -n 's/^:\\(CNI-DN-[^ ]*\\).*/\\1/p'); do ip6tables -t nat -F $i; done",
    ] {
        network.check(&web, "eth0").ok();
        host.shell(damage);
        let error = network.check(&web, "eth0").error();
        assert!(error.msg.contains("CNI-") && error.msg.contains("-A "), "{damage}: {error:?}");
        network.del(&web, "eth0").ok();
        network.add(&web, "eth0").ok();
    }
}

/// Whichever iptables the host's alternative points to by now.
#[test]
fn del_finds_rules_in_either_iptables() {
    let host = Host::new();
    let web = host.container("web");
    let network = publishing(&host, 1, &json!({}));
    let before = host.snapshot();
    // PATH decides, as the alternative would.
    host.shell(
        "mkdir -p /run/bin
         for i in iptables ip6tables; do for j in save restore; do ln -s $(which $i-legacy-$j) /run/bin/$i-$j; done; done",
    );
    let last = network.add_all_but_last(&web, "eth0");
    last.env("PATH", "/run/bin:/usr/sbin:/usr/bin:/sbin:/bin").run().ok();
    assert!(host.run(["iptables-legacy-save"]).contains("CNI-HOSTPORT-DNAT"));
    let _server = web.listen_tcp(80);
    host.assert_reaches_tcp("127.0.0.1:8080");
    network.del(&web, "eth0").ok();
    host.snapshot().without(&web).assert_nothing_since(&before.without(&web));
}

#[test]
fn gc_takes_the_stale_ones_only() {
    let host = Host::new();
    let (keep, stale) = (host.container("keep"), host.container("stale"));
    let one = publishing_with(
        &host,
        1,
        &by_iptables(&json!({})),
        &json!([{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]),
    );
    let two = publishing_with(
        &host,
        1,
        &by_iptables(&json!({})),
        &json!([{"hostPort": 8081, "containerPort": 80, "protocol": "tcp"}]),
    );
    one.add(&keep, "eth0").ok();
    let before = host.snapshot();
    two.add(&stale, "eth0").ok();
    let config = json!({"name": "net1", "type": "portmap", "backend": "iptables",
        "cni.dev/valid-attachments": [{"containerID": "keep", "ifname": "eth0"}]});
    host.cni("portmap").command("GC").config(&config).run().ok();
    let rules = saved(&host);
    assert!(rules.contains("8080") && !rules.contains("8081"), "{rules}");
    let _server = keep.listen_tcp(80);
    host.assert_reaches_tcp("127.0.0.1:8080");
    two.del(&stale, "eth0").ok();
    host.snapshot().without(&stale).assert_nothing_since(&before.without(&stale));
}
