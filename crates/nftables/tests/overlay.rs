//! The table of networks over many hosts, against the kernel. Needs root and nft.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::sync::Arc;

use netlink::Netns;
use nftables::overlay::{Guard, Overlay};

fn nft(arguments: &str) -> String {
    let output = Command::new("nft").args(arguments.split(' ')).output().expect("nft is installed");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "nft {arguments}: {complaint}");
    String::from_utf8(output.stdout).expect("text")
}

fn in_new_netns(test: impl FnOnce() + Send) {
    Netns::run_in_new(test).expect("a network namespace, for which this test needs root");
}

fn overlay() -> Overlay {
    let subnets =
        [("10.128.0.0/16", false), ("fd00:1::/64", false), ("10.200.0.0/16", true), ("255.255.0.0/16", false)];
    let subnets = subnets.map(|(subnet, internal)| (subnet.parse().expect("a subnet"), internal));
    Overlay {
        port: 4789,
        vnis: BTreeSet::from([4097, 16_777_215]),
        devices: BTreeSet::from(["overlay4097".to_owned()]),
        peers: ["192.0.2.2", "192.0.2.3", "2001:db8::2"]
            .map(|peer| peer.parse().expect("an address"))
            .into_iter()
            .collect::<BTreeSet<_>>()
            .into(),
        subnets: BTreeMap::from(subnets),
        ..Overlay::default()
    }
}

const LIST: &str = "list table inet ferrocni_overlay";

#[test]
fn the_table_says_who_may_send_and_what_stays_apart() {
    in_new_netns(|| {
        let mut guard = Guard::open().expect("a socket");
        guard.set(&overlay()).expect("made");
        let shown = nft(LIST);
        for part in [
            "elements = { 0x00100100 comment",
            "0xffffff00 comment",
            "\"overlay4097\" comment",
            "192.0.2.2 comment",
            "2001:db8::2 comment",
            "10.128.0.0/16",
            "255.255.0.0/16",
            "fd00:1::/64",
            "10.128.0.0/16 . 10.128.0.0/16",
            "fd00:1::/64 . fd00:1::/64",
            "notrack",
            "fib saddr . iif oif 0 counter packets 0 bytes 0 drop",
            "ip saddr . ip daddr @within4 return",
        ] {
            assert!(shown.contains(part), "{part}: {shown}");
        }
        let internal = nft("list set inet ferrocni_overlay internal4");
        assert!(internal.contains("10.200.0.0/16") && !internal.contains("10.128"), "{internal}");
        assert!(guard.is_whole().expect("an answer"));
    });
}

#[test]
fn what_changes_is_changed_and_counters_go_on() {
    in_new_netns(|| {
        let mut guard = Guard::open().expect("a socket");
        guard.set(&overlay()).expect("made");
        let before = nft("-a list chain inet ferrocni_overlay outer");
        let mut other = overlay();
        Arc::make_mut(&mut other.peers).retain(std::net::IpAddr::is_ipv4);
        other.subnets.remove(&"10.128.0.0/16".parse().expect("a subnet"));
        other.subnets.insert("10.129.0.0/16".parse().expect("a subnet"), true);
        guard.set(&other).expect("changed");
        let shown = nft(LIST);
        assert!(!shown.contains("2001:db8::2") && !shown.contains("10.128.0.0/16"), "{shown}");
        assert!(shown.contains("10.129.0.0/16 . 10.129.0.0/16"), "{shown}");
        assert_eq!(nft("-a list chain inet ferrocni_overlay outer"), before, "the rules are the same ones");
        assert!(guard.is_whole().expect("an answer"));
        guard.remove().expect("removed");
        guard.remove().expect("removed already");
        assert_eq!(nft("list ruleset"), "");
    });
}

#[test]
fn damage_is_noticed_and_mended() {
    for damage in [
        "flush ruleset",
        "flush chain inet ferrocni_overlay forward",
        "add rule inet ferrocni_overlay forward accept",
        "delete element inet ferrocni_overlay peers4 { 192.0.2.2 }",
        "add element inet ferrocni_overlay peers4 { 192.0.2.9 }",
        "flush set inet ferrocni_overlay within4",
        "add table inet ferrocni_overlay { flags dormant; }",
    ] {
        in_new_netns(|| {
            let mut guard = Guard::open().expect("a socket");
            guard.set(&overlay()).expect("made");
            let whole = nft(LIST);
            nft(damage);
            assert!(!guard.is_whole().expect("an answer"), "{damage}");
            guard.set(&overlay()).expect("mended");
            assert_eq!(nft(LIST), whole, "{damage}");
        });
    }
}

#[test]
fn a_cluster_of_ten_thousand_hosts_fits() {
    in_new_netns(|| {
        let peers: BTreeSet<_> =
            (0..10_000_u32).map(|host| std::net::Ipv4Addr::from(0x0a00_0000 + host).into()).collect();
        let mut guard = Guard::open().expect("a socket");
        guard.set(&Overlay { peers: peers.into(), ..overlay() }).expect("made");
        assert!(guard.is_whole().expect("an answer"));
        guard.set(&overlay()).expect("changed");
    });
}
