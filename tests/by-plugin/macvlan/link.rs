//! Mode, MTU, hardware address, queue.

use serde_json::json;
use tests::{Host, Inside as _, Outcome, reference_differs};

use super::{call, config, ipv4, mac, named, network, options, wire};

#[test]
fn each_mode_is_the_kernel_s() {
    let (host, _outside) = wire();
    let c1 = host.container("c1");
    for mode in ["bridge", "private", "vepa", "passthru"] {
        let network = network(&host, &json!({"mode": mode}));
        network.add(&c1, "eth0").ok();
        assert_eq!(options(&c1, "eth0")["mode"], mode);
        network.check(&c1, "eth0").ok();
        network.del(&c1, "eth0").ok();
    }
}

#[test]
fn the_mtu_is_the_parent_s_or_a_smaller_one() {
    let (host, _outside) = wire();
    let c1 = host.container("c1");
    host.shell("ip link set uplink mtu 1450");
    for (mtu, expected) in [(0, 1450), (1400, 1400), (68, 68), (1450, 1450)] {
        let network = network(&host, &json!({"mtu": mtu}));
        network.add(&c1, "eth0").ok();
        assert_eq!(c1.link("eth0")["mtu"], expected);
        network.del(&c1, "eth0").ok();
    }
    for mtu in [1451, 9000, 67] {
        let error = host.assert_leaves_nothing(|| network(&host, &json!({"mtu": mtu})).add(&c1, "eth0").error());
        let words = [mtu.to_string(), "1450".to_owned(), "uplink".to_owned()];
        let clear = error.code == 7 && words.iter().all(|word| error.msg.contains(word));
        assert!(clear || reference_differs("other words"), "{error:?}");
    }
}

#[test]
fn the_hardware_address_is_the_capability_s_then_that_of_cni_args_then_the_key_s() {
    let (host, _outside) = wire();
    let key = json!({"mac": "02:00:00:00:00:03"});
    let mut all = key.clone();
    all["runtimeConfig"] = json!({"mac": "02:00:00:00:00:01"});
    let args = "IgnoreUnknown=1;MAC=02:00:00:00:00:02;X=y";
    for (keys, args, expected) in [
        (&all, args, "02:00:00:00:00:01"),
        (&key, args, "02:00:00:00:00:02"),
        (&key, "", "02:00:00:00:00:03"),
        (&key, "MAC=", "02:00:00:00:00:03"),
    ] {
        let container = host.container(&format!("c{}{}", &expected[15..], args.len()));
        let result = call(&host, "ADD", &container, &config(keys)).args(args).run().ok();
        assert_eq!(container.link("eth0")["address"], expected);
        assert_eq!(mac(&result), expected);
        call(&host, "DEL", &container, &config(keys)).run().ok();
    }
}

/// udev, where it runs in a container, replaces addresses that the kernel chose (`NET_ADDR_RANDOM`), but none that was set.
#[test]
fn a_hardware_address_that_nobody_asked_for_is_set_all_the_same() {
    let (host, _outside) = wire();
    let (c1, c2) = (host.container("c1"), host.container("c2"));
    let network = network(&host, &json!({}));
    let (one, other) = (network.add(&c1, "eth0").ok(), network.add(&c2, "eth0").ok());
    assert_ne!(mac(&one), mac(&other));
    // 3 is `NET_ADDR_SET`. Only a new /sys shows the container's links.
    let show = "mount -t sysfs sysfs /sys; cat /sys/class/net/eth0/addr_assign_type";
    assert_eq!(c1.run(["unshare", "--mount", "sh", "-euc", show]).trim(), "3");
}

#[test]
fn a_hardware_address_that_no_interface_can_have_is_refused() {
    let (host, _outside) = wire();
    let c1 = host.container("c1");
    let by_env = |mac: &str| call(&host, "ADD", &c1, &config(&json!({}))).args(&format!("MAC={mac}")).run();
    let by_capability = |mac: &str| call(&host, "ADD", &c1, &config(&json!({"runtimeConfig": {"mac": mac}}))).run();
    let by_key = |mac: &str| call(&host, "ADD", &c1, &config(&json!({"mac": mac}))).run();
    let refused = |code: u64, outcome: Outcome| {
        let error = outcome.error();
        assert!(error.code == code || reference_differs("it has one code for everything"), "{error:?}");
        assert!(format!("{} {}", error.msg, error.details).to_lowercase().contains("mac"), "{error:?}");
    };
    for bad in ["02:00:00:00:00", "zz:00:00:00:00:01", "01:00:5e:00:00:01"] {
        host.assert_leaves_nothing(|| refused(4, by_env(bad)));
        host.assert_leaves_nothing(|| refused(7, by_capability(bad)));
        host.assert_leaves_nothing(|| refused(7, by_key(bad)));
    }
}

/// Frames to it could only go to one of the two.
#[test]
fn a_hardware_address_that_is_taken_is_an_error_that_says_so() {
    let (host, _outside) = wire();
    let (c1, c2) = (host.container("c1"), host.container("c2"));
    let same = network(&host, &json!({"mac": "02:00:00:00:00:05", "ipam": ipv4()}));
    same.add(&c1, "eth0").ok();
    let of_the_parent = network(&host, &json!({"mac": host.link("uplink")["address"], "ipam": ipv4()}));
    for network in [&same, &of_the_parent] {
        if reference_differs("it says \"address already in use\", and leaves everything to DEL") {
            continue;
        }
        let error = host.assert_leaves_nothing(|| network.add(&c2, "eth0").error());
        assert!(error.msg.contains("hardware address") && error.msg.contains("another"), "{error:?}");
    }
}

#[test]
fn bcqueuelen_is_how_many_broadcasts_may_wait() {
    let (host, _outside) = wire();
    let (c1, c2) = (host.container("c1"), host.container("c2"));
    network(&host, &json!({"bcqueuelen": 1500})).add(&c1, "eth0").ok();
    network(&host, &json!({})).add(&c2, "eth0").ok();
    assert_eq!(options(&c1, "eth0")["bcqueuelen"], 1500);
    assert_eq!(options(&c2, "eth0")["bcqueuelen"], 1000);
}

/// There the parent is taken over: it has the container's hardware address, and gets its own back.
#[test]
fn in_passthru_the_parent_takes_the_container_s_hardware_address() {
    let (host, outside) = wire();
    let c1 = host.container("c1");
    let own = host.link("uplink")["address"].clone();
    let inherits = network(&host, &json!({"mode": "passthru"}));
    assert_eq!(mac(&inherits.add(&c1, "eth0").ok()), own);
    inherits.del(&c1, "eth0").ok();
    if reference_differs("the kernel ignores the one that it asks for") {
        return;
    }
    let asks = network(&host, &json!({"mode": "passthru", "mac": "02:00:00:00:00:05", "ipam": super::of_the_wire()}));
    let result = asks.add(&c1, "eth0").ok();
    assert_eq!(mac(&result), "02:00:00:00:00:05");
    assert_eq!(c1.link("eth0")["address"], "02:00:00:00:00:05");
    assert_eq!(host.link("uplink")["address"], "02:00:00:00:00:05");
    let _server = outside.listen_tcp(80);
    c1.assert_reaches_tcp("192.0.2.2:80");
    asks.check(&c1, "eth0").ok();
    asks.del(&c1, "eth0").ok();
    assert_eq!(host.link("uplink")["address"], own);
}

#[test]
fn a_link_of_mode_passthru_is_the_only_one() {
    let (host, _outside) = wire();
    let (c1, c2) = (host.container("c1"), host.container("c2"));
    let alone = network(&host, &json!({"mode": "passthru", "ipam": ipv4()}));
    let other = named("other", &host, &json!({"ipam": ipv4()}));
    for (first, second) in [(&alone, &other), (&other, &alone), (&alone, &alone)] {
        first.add(&c1, "eth0").ok();
        let error = host.assert_leaves_nothing(|| second.add(&c2, "eth0").error());
        let clear = ["uplink", "passthru", "only one"].iter().all(|word| error.msg.contains(word));
        assert!(clear || reference_differs("it says \"invalid argument\""), "{error:?}");
        first.check(&c1, "eth0").ok();
        first.del(&c1, "eth0").ok();
    }
}

/// The kernel puts a macvlan link on a macvlan link beside it.
#[test]
fn the_parent_may_be_a_macvlan_link_itself() {
    let host = Host::new();
    let (c1, c2) = (host.container("c1"), host.container("c2"));
    host.shell(
        "ip link add uplink up type veth peer name far; ip link set far up
         ip link add shim up link uplink type macvlan mode bridge; ip addr add 192.0.2.9/24 dev shim",
    );
    let on_shim = network(&host, &json!({"master": "shim", "ipam": ipv4()}));
    let result = on_shim.add(&c1, "eth0").ok();
    on_shim.check(&c1, "eth0").ok();
    let _server = c1.listen_tcp(80);
    host.assert_reaches_tcp(&format!("{}:80", tests::address(&result, 0)));
    let other = named("other", &host, &json!({"master": "far"}));
    other.add(&c2, "eth0").ok();
    on_shim.del(&c1, "eth0").ok();
    other.del(&c2, "eth0").ok();
}

#[test]
fn an_error_calls_the_interface_by_its_name() {
    let (host, _outside) = wire();
    let c1 = host.container("c1");
    let twice = json!([{"address": "192.0.2.5/24"}, {"address": "192.0.2.5/24"}]);
    let network = network(&host, &json!({"ipam": {"type": "static", "addresses": twice}}));
    let error = host.assert_leaves_nothing(|| network.add(&c1, "eth0").error());
    assert!(error.msg.contains("192.0.2.5/24 to link eth0") || reference_differs("without a link"), "{error:?}");
}
