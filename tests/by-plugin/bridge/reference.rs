//! Containers attached by the reference before this suite was installed, whose rules it keeps in nftables tables of its own.

use serde_json::{Value, json};
use tests::{Host, Inside as _};

use super::{REFERENCE, call, config, dual_stack};

fn guarded() -> Value {
    let mut config = config(&json!({"isGateway": true, "macspoofchk": true, "ipam": dual_stack()}));
    config["cniVersion"] = json!("1.0.0");
    config
}

/// Those that the reference guards by a chain in `bridge nat`, of these.
fn guarded_by_the_reference<'c>(host: &Host, containers: &[&'c str]) -> Vec<&'c str> {
    let rules = host.shell("nft list table bridge nat");
    containers.iter().copied().filter(|id| rules.contains(&format!("cni-br-iface-{id}-eth0"))).collect()
}

#[test]
fn its_check_of_source_addresses_is_known_and_goes_with_the_container() {
    let host = Host::new();
    let stays = host.container("stays");
    host.cni(REFERENCE).command("ADD").container(&stays).config(&guarded()).run().ok();
    for with_result in [true, false] {
        let c1 = host.container(if with_result { "c1" } else { "c2" });
        let mut config = guarded();
        let result = host.cni(REFERENCE).command("ADD").container(&c1).config(&config).run().ok();
        if with_result {
            config["prevResult"] = result;
            call(&host, "CHECK", &c1, &config).run().ok();
            host.shell("nft flush chain bridge nat cni-br-iface-c1-eth0-mac");
            let error = call(&host, "CHECK", &c1, &config).run().error();
            assert!(error.msg.contains("packet filter differs"), "{error:?}");
        }
        call(&host, "DEL", &c1, &config).run().ok();
        assert_eq!(guarded_by_the_reference(&host, &["stays", "c1", "c2"]), ["stays"]);
    }
}

#[test]
fn gc_removes_its_check_of_source_addresses_with_the_port() {
    let host = Host::new();
    let [stays, gone] = ["stays", "gone"].map(|id| {
        let container = host.container(id);
        let result = host.cni(REFERENCE).command("ADD").container(&container).config(&guarded()).run().ok();
        super::host_end(&result).to_owned()
    });
    host.shell(&format!("ip link delete {gone}"));
    let mut config = guarded();
    config["cniVersion"] = json!("1.1.0");
    config["cni.dev/valid-attachments"] = json!([]);
    host.cni("bridge").command("GC").config(&config).run().ok();
    assert_eq!(guarded_by_the_reference(&host, &["stays", "gone"]), ["stays"]);
    host.link(&stays);
}

#[test]
fn its_masquerade_is_known_and_goes_with_the_container() {
    let host = Host::new();
    let c1 = host.container("c1");
    let mut config = config(&json!({"isGateway": true, "ipMasq": true, "ipam": dual_stack()}));
    config["prevResult"] = call(&host, "ADD", &c1, &config).run().ok();
    host.shell("nft flush ruleset");
    host.write("/run/masquerade", include_str!("../masquerade_of_the_reference.nft"));
    assert!(call(&host, "CHECK", &c1, &config).run().error().msg.contains("packet filter differs"));
    host.shell("nft -f /run/masquerade");
    call(&host, "CHECK", &c1, &config).run().ok();
    call(&host, "DEL", &c1, &config).run().ok();
    let rules = host.shell("nft list table inet cni_plugins_masquerade");
    let left = |whose: &str| rules.matches(whose).count();
    assert_eq!(["test, if: eth0, id: c1", "id: c2", "net: other"].map(left), [0, 1, 1], "{rules}");
}

#[test]
fn gc_removes_its_masquerade_of_this_network_only() {
    for kind in ["bridge", "ptp"] {
        let host = Host::new();
        host.write("/run/masquerade", include_str!("../masquerade_of_the_reference.nft"));
        host.shell("nft -f /run/masquerade");
        let mut config = config(&json!({"type": kind, "ipMasq": true, "ipam": dual_stack()}));
        config["cni.dev/valid-attachments"] = json!([{"containerID": "c1", "ifname": "eth0"}]);
        host.cni(kind).command("GC").config(&config).run().ok();
        let rules = host.shell("nft list table inet cni_plugins_masquerade");
        let left = |whose: &str| rules.matches(whose).count();
        assert_eq!(["test, if: eth0, id: c1", "id: c2", "net: other"].map(left), [2, 0, 1], "{kind}: {rules}");
        // Without a result, by the other plugin too.
        let c1 = host.container("c1");
        host.cni(kind).command("DEL").container(&c1).config(&config).run().ok();
        let rules = host.shell("nft list table inet cni_plugins_masquerade");
        assert_eq!(rules.matches("id: c1").count(), 1, "{kind}: {rules}");
    }
}
