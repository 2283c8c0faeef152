//! What is not set, and by whom it may not be.

use serde_json::{Value, json};
use tests::{Container, Host, Inside as _, Outcome};

use super::{backups, call, everything, properties, sysctl, with_interface};

const ALLOWLIST: &str = "/etc/cni/tuning/allowlist.conf";

fn add_sysctl(host: &Host, container: &Container, key: &str) -> Outcome {
    call(host, "ADD", container, &json!({"sysctl": {key: "1"}})).run()
}

#[test]
fn nothing_outside_of_proc_sys_net_is_reached_by_any_spelling() {
    let host = Host::new();
    let c1 = with_interface(&host, "c1");
    host.write("/run/victim", "0");
    let ostype = host.read("/proc/sys/kernel/domainname").unwrap();
    for key in [
        "kernel.domainname",
        "kernel/domainname",
        "/proc/sys/kernel/domainname",
        "/run/victim",
        "net/../kernel/domainname",
        "net/ipv4/../../kernel/domainname",
        "net.ipv4/../../kernel/domainname",
        "net/../../../run/victim",
        "net.../../../../run/victim",
        "../run/victim",
        "net/ipv4/conf/IFNAME/../../../../kernel/domainname",
        "net//kernel/domainname",
        "net/./../kernel/domainname",
        "NET/ipv4/ip_forward",
        "ｎｅｔ/ipv4/ip_forward",
        "net\u{2215}ipv4\u{2215}ip_forward",
        "net",
        "net.",
        "",
    ] {
        let error = add_sysctl(&host, &c1, key).error();
        assert_eq!(error.code, 7, "{key}: {error:?}");
        assert!(error.details.contains("sysctl"), "{key}: {error:?}");
        assert_eq!(backups(&host), "", "{key}");
    }
    // These would be below /proc/sys/net, but there is no such thing; and a folder is no sysctl.
    for key in [
        "net/\u{2024}\u{2024}/kernel/domainname",
        "net.ipv4.nothing",
        "net.ipv4.conf",
        "net.IFNAME",
        "net.ipv4.conf.lo",
    ] {
        let error = add_sysctl(&host, &c1, key).error();
        assert!(error.msg.contains("/proc/sys/net/"), "{key}: {error:?}");
        assert_eq!(backups(&host), "", "{key}");
    }
    assert_eq!(host.read("/run/victim").unwrap(), "0");
    assert_eq!(host.read("/proc/sys/kernel/domainname").unwrap(), ostype);
}

#[test]
fn a_sysctl_that_is_named_twice_is_refused() {
    let host = Host::new();
    let c1 = with_interface(&host, "c1");
    let add = |keys: &str| {
        let text = format!(
            r#"{{"cniVersion": "1.0.0", "name": "net", "type": "tuning", "prevResult": {{"cniVersion": "1.0.0"}}, {keys}}}"#
        );
        call(&host, "ADD", &c1, &json!({})).stdin(text).run()
    };
    let error =
        add(r#""sysctl": {"net.core.somaxconn": "1", "net.ipv4.ip_forward": "1", "net.core.somaxconn": "2"}"#).error();
    assert!(error.code == 7 && error.msg.contains("net.core.somaxconn"), "{error:?}");
    for keys in [
        r#""SysCtl": {"net.core.somaxconn": "1", "net.core.somaxconn": "1"}"#,
        r#""args": {"cni": {"sysctl": {"net.core.somaxconn": "1", "net.core.\u0073omaxconn": "2"}}}"#,
        r#""sysctl": {"net.core.somaxconn": "1", "net/core/somaxconn": "2"}"#,
        r#""sysctl": {"net.ipv4.conf.IFNAME.arp_ignore": "1", "net.ipv4.conf.eth0.arp_ignore": "2"}"#,
    ] {
        let error = add(keys).error();
        assert!(error.code == 7 && error.msg.contains("twice"), "{keys}: {error:?}");
    }
    assert_ne!(sysctl(&c1, "core/somaxconn"), "1");
    add(r#""sysctl": {"net.core.somaxconn": "1"}, "args": {"cni": {"sysctl": {"net/core/somaxconn": "2"}}}"#).ok();
    assert_eq!(sysctl(&c1, "core/somaxconn"), "2");
}

#[test]
fn the_allowlist_decides() {
    let host = Host::new();
    let c1 = with_interface(&host, "c1");
    add_sysctl(&host, &c1, "net.ipv4.conf.all.arp_ignore").ok();
    host.write(ALLOWLIST, "^net\\.ipv4\\.conf\\.IFNAME\\.[a-z_]*$\n\n  ^net.core.somaxconn$\n");
    add_sysctl(&host, &c1, "net.ipv4.conf.IFNAME.arp_ignore").ok();
    add_sysctl(&host, &c1, "net.core.somaxconn").ok();
    for key in ["net.ipv4.conf.all.arp_announce", "net/ipv4/conf/IFNAME/arp_announce"] {
        let error = add_sysctl(&host, &c1, key).error();
        assert!(error.msg.contains(key) && error.msg.contains("allow"), "{error:?}");
        assert_eq!(error.code, 7, "{error:?}");
    }
    assert_eq!(sysctl(&c1, "ipv4/conf/all/arp_announce"), "0");
    assert_eq!(sysctl(&c1, "ipv4/conf/eth0/arp_announce"), "0");
    host.write(ALLOWLIST, "");
    let _ = add_sysctl(&host, &c1, "net.core.somaxconn").error();
    // It is about sysctls, and nothing else.
    call(&host, "ADD", &c1, &json!({"mtu": 1400})).run().ok();
}

#[test]
fn sysctls_for_one_container_have_to_be_allowed_too() {
    let host = Host::new();
    let c1 = with_interface(&host, "c1");
    host.write(ALLOWLIST, "^net.core.somaxconn$");
    let config = |key: &str| json!({"sysctl": {"net.core.somaxconn": "7"}, "args": {"cni": {"sysctl": {key: "8"}}}});
    let error = call(&host, "ADD", &c1, &config("net.ipv4.ip_forward")).run().error();
    assert!(error.msg.contains("net.ipv4.ip_forward"), "{error:?}");
    assert_eq!((sysctl(&c1, "ipv4/ip_forward"), sysctl(&c1, "core/somaxconn") == "7"), ("0".into(), false));
    call(&host, "ADD", &c1, &config("net.core.somaxconn")).run().ok();
    assert_eq!(sysctl(&c1, "core/somaxconn"), "8");
}

#[test]
fn an_allowlist_that_cannot_be_used_allows_nothing() {
    let host = Host::new();
    let c1 = with_interface(&host, "c1");
    host.write(ALLOWLIST, "net\n(");
    let error = add_sysctl(&host, &c1, "net.core.somaxconn").error();
    assert!(error.code == 7 && error.msg.contains("\"(\"") && error.msg.contains(ALLOWLIST), "{error:?}");
    host.shell(&format!("rm {ALLOWLIST}; mkdir {ALLOWLIST}"));
    let error = add_sysctl(&host, &c1, "net.core.somaxconn").error();
    assert!(error.code == 5 && error.msg.contains(ALLOWLIST), "{error:?}");
}

/// The kernel's refusal of one takes back the others.
#[test]
fn an_add_that_fails_has_changed_nothing() {
    let host = Host::new();
    let c1 = with_interface(&host, "c1");
    let (before, somaxconn) = (properties(&c1), sysctl(&c1, "core/somaxconn"));
    let with = |key: &str, value: Value| {
        let mut config = everything();
        config[key] = value;
        call(&host, "ADD", &c1, &config).run().error()
    };
    let errors = [
        (with("mtu", json!(1_000_000)), "eth0"),
        (with("sysctl", json!({"net.core.somaxconn": "9", "net.ipv4.conf.IFNAME.arp_ignore": "many"})), "arp_ignore"),
        (with("sysctl", json!({"net.core.somaxconn": "9", "net.ipv4.nothing": "1"})), "/proc/sys/net/ipv4/nothing"),
        (with("dataDir", json!("/proc/tuning")), "/proc/tuning"),
    ];
    for (error, words) in errors {
        assert!(format!("{} {}", error.msg, error.details).contains(words), "{words}: {error:?}");
    }
    let _ = call(&host, "ADD", &c1, &json!({"mtu": 1400})).ifname("eth7").run().error();
    assert!(!call(&host, "ADD", &c1, &everything()).run_unheard().is_ok());
    assert_eq!((properties(&c1), sysctl(&c1, "core/somaxconn")), (before, somaxconn));
    assert_eq!(backups(&host), "");
}

#[test]
fn wrong_values_are_refused_where_they_stand() {
    let host = Host::new();
    let c1 = with_interface(&host, "c1");
    for (key, value) in [
        ("mac", json!("02:00")),
        ("mac", json!("01:00:00:00:00:01")),
        ("mtu", json!(-1)),
        ("txQLen", json!(-1)),
        ("promisc", json!("yes")),
        ("sysctl", json!({"net.core.somaxconn": 1})),
        ("sysctl", json!(["net.core.somaxconn"])),
    ] {
        let error = call(&host, "ADD", &c1, &json!({key: value})).run().error();
        assert!(error.code == 7 && error.details.contains(key), "{key} {value}: {error:?}");
    }
    let error = call(&host, "ADD", &c1, &json!({})).args("MAC=x").run().error();
    assert!(error.code == 4 && error.msg.contains("MAC"), "{error:?}");
}

#[test]
fn status_says_what_would_keep_an_add_from_succeeding() {
    let host = Host::new();
    let status = |config: &Value| host.cni("tuning").command("STATUS").config(config).run();
    let config = json!({"type": "tuning", "sysctl": {"net.core.somaxconn": "1"}});
    host.assert_leaves_nothing(|| status(&config).ok());
    assert_eq!(backups(&host), "");
    let mut nowhere = config.clone();
    nowhere["dataDir"] = json!("/proc/tuning");
    let error = status(&nowhere).error();
    assert!(error.code == 50 && error.msg.contains("/proc/tuning"), "{error:?}");
    host.write(ALLOWLIST, "^net.ipv4");
    let error = status(&config).error();
    assert!(error.code == 7 && error.msg.contains("net.core.somaxconn"), "{error:?}");
}
