//! Several networks on one parent: the kernel keeps mode and flag once for all of its links, and the newest decides.

use serde_json::{Value, json};
use tests::{Host, Inside as _, Outcome};

use super::{mode_and_flag, network, subnets, wire};

fn keys(mode: &str, flag: &str, number: u8) -> Value {
    json!({"mode": mode, "ipvlanFlag": flag, "ipam": subnets(number)})
}

#[track_caller]
fn refused(code: u64, outcome: Outcome, words: &[&str]) {
    let error = outcome.error();
    assert_eq!(error.code, code, "{error:?}");
    assert!(words.iter().all(|word| error.msg.contains(word)), "{words:?}: {error:?}");
}

#[test]
fn nobody_s_mode_is_changed_by_somebody_else_s_network() {
    let (host, _outside) = wire();
    let (c1, c2) = (host.container("c1"), host.container("c2"));
    let first = network("first", &host, &keys("l2", "bridge", 1));
    first.add(&c1, "eth0").ok();
    for (mode, flag) in [("l3", "bridge"), ("l2", "private")] {
        let other = network("other", &host, &keys(mode, flag, 2));
        let wanted = format!("mode {mode} and flag {flag}");
        let words = ["uplink", &wanted, "container c1 on network first", "mode l2 and flag bridge"];
        refused(999, host.assert_leaves_nothing(|| other.add(&c2, "eth0")), &words);
        refused(50, other.status(), &words);
        other.del(&c2, "eth0").ok();
    }
    assert_eq!(mode_and_flag(&c1, "eth0"), ("l2".to_owned(), "bridge".to_owned()));
    first.status().ok();
    let alike = network("alike", &host, &keys("l2", "bridge", 3));
    alike.status().ok();
    alike.add(&c2, "eth0").ok();
    // It is open again when the last has gone.
    first.del(&c1, "eth0").ok();
    let other = network("other", &host, &keys("l3", "private", 2));
    refused(999, other.add(&c1, "eth0"), &["container c2 on network alike"]);
    alike.del(&c2, "eth0").ok();
    other.status().ok();
    other.add(&c1, "eth0").ok();
    assert_eq!(mode_and_flag(&c1, "eth0"), ("l3".to_owned(), "private".to_owned()));
}

/// The link by which an administrator lets the host itself reach the containers.
#[test]
fn the_host_s_own_link_counts_as_well() {
    let (host, _outside) = wire();
    let c1 = host.container("c1");
    host.shell("ip link add shim link uplink type ipvlan mode l3");
    let other = network("other", &host, &keys("l2", "bridge", 1));
    let words = ["link shim", "mode l3 and flag bridge"];
    refused(999, host.assert_leaves_nothing(|| other.add(&c1, "eth0")), &words);
    refused(50, other.status(), &words);
    // Containers on the shim are on its parent.
    let mut on_shim = keys("l2", "bridge", 1);
    on_shim["master"] = json!("shim");
    refused(999, network("on-shim", &host, &on_shim).add(&c1, "eth0"), &words);
    on_shim["mode"] = json!("l3");
    let on_shim = network("on-shim", &host, &on_shim);
    on_shim.add(&c1, "eth0").ok();
    on_shim.check(&c1, "eth0").ok();
    on_shim.del(&c1, "eth0").ok();
    network("alike", &host, &keys("l3", "bridge", 1)).add(&c1, "eth0").ok();
}

#[test]
fn a_container_that_is_gone_has_no_say() {
    let (host, _outside) = wire();
    let (c1, c2) = (host.container("c1"), host.container("c2"));
    network("first", &host, &keys("l2", "bridge", 1)).add(&c1, "eth0").ok();
    let _gone = host.lose(c1);
    network("other", &host, &keys("l3", "bridge", 2)).add(&c2, "eth0").ok();
}

#[test]
fn the_same_address_twice_on_a_parent_is_said_to_be_so() {
    let (host, _outside) = wire();
    let (c1, c2) = (host.container("c1"), host.container("c2"));
    network("one", &host, &keys("l2", "bridge", 1)).add(&c1, "eth0").ok();
    let again = network("two", &host, &keys("l2", "bridge", 1));
    let outcome = host.assert_leaves_nothing(|| again.add(&c2, "eth0"));
    refused(999, outcome, &["10.1.0.2", "do not overlap"]);
}

#[test]
fn who_is_on_a_parent_is_known_for_each_parent() {
    let host = Host::new();
    host.shell("for i in 1 2; do ip link add p$i up type veth peer name far$i; ip link set far$i up; done");
    let c1 = host.container("c1");
    for (number, mode) in [(1, "l2"), (2, "l3")] {
        let mut keys = json!({"mode": mode, "ipam": subnets(number)});
        keys["master"] = json!(format!("p{number}"));
        network(&format!("net{number}"), &host, &keys).add(&c1, &format!("eth{number}")).ok();
    }
}
