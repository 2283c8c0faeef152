//! What other people's tables do to forwarded packets, as nft and iptables make them.

use std::process::Command;
use std::thread;

use nftables::inspect::Inspector;
use nftables::{Family, Subject, Table};
use nix::sched::{CloneFlags, unshare};

fn in_new_netns(test: impl FnOnce() + Send) {
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).expect("these tests need root");
            test();
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
}

fn run(line: &str) {
    let status = Command::new("sh").args(["-euc", line]).status().expect("a shell");
    assert!(status.success(), "{line}");
}

/// Each base chain with whether it drops what no rule is about.
fn chains() -> Vec<(String, bool)> {
    let chains = Inspector::open().and_then(|mut inspector| inspector.forward_chains()).expect("a list");
    chains.iter().map(|chain| (format!("{} {}", chain.table(), chain.name), chain.drops)).collect()
}

#[test]
fn a_chain_drops_by_its_policy_or_by_its_first_rule_without_conditions() {
    in_new_netns(|| {
        run(
            "nft 'table inet a { chain other { type filter hook input priority 0; policy drop; }; chain jumped { drop; }; }'",
        );
        assert_eq!(chains(), []);
        for (policy, rules, drops) in [
            ("drop", "", true),
            ("accept", "", false),
            ("drop", "counter accept", false),
            ("accept", "ct state invalid drop; iifname x reject", false),
            ("accept", "ct state established accept; counter reject", true),
            ("accept", "accept; drop", false),
            ("drop", "ct state established accept", true),
        ] {
            run(&format!(
                "nft 'table ip t {{ chain c {{ type filter hook forward priority 0; policy {policy}; {rules}; }}; }}'"
            ));
            assert_eq!(chains(), [("ip t c".to_owned(), drops)], "{policy}: {rules}");
            run("nft delete table ip t");
        }
        run("iptables -A FORWARD -j REJECT; ip6tables -P FORWARD DROP");
        assert_eq!(chains(), [("ip filter FORWARD".to_owned(), true), ("ip6 filter FORWARD".to_owned(), true)]);
    });
}

#[test]
fn rules_about_a_subnet_or_a_link_are_found_and_those_that_drop_are_not() {
    let subjects = || {
        let subnet = |text: &str| Subject::Subnet(text.parse().expect("a subnet"));
        [Subject::Link("br1".to_owned()), subnet("10.5.0.0/16"), subnet("10.6.0.0/20"), subnet("fd00:5::/64")]
    };
    let table = Table { family: Family::Inet, name: "t" };
    let mentions =
        || Inspector::open().and_then(|mut inspector| inspector.mentions(table, &subjects())).expect("an answer");
    in_new_netns(|| {
        assert!(!mentions());
        for (rule, found) in [
            ("iifname br1 accept", true),
            ("iifname br10 accept", false),
            ("oifname { eth0, br1 } accept", true),
            ("iifname br1 drop", false),
            ("ip saddr 10.5.0.0/16 accept", true),
            ("ip saddr 10.5.0.0/24 accept", false),
            ("ip daddr 10.6.0.0/20 ct state established accept", true),
            ("ip saddr { 192.0.2.0/24, 10.6.0.0/20 } accept", true),
            ("ip6 saddr fd00:5::/64 accept", true),
            ("ip6 saddr fd00:6::/64 accept", false),
            ("tcp dport 80 accept", false),
        ] {
            run(&format!("nft 'table inet t {{ chain c {{ {rule}; }}; }}'"));
            assert_eq!(mentions(), found, "{rule}");
            run("nft delete table inet t");
        }
    });
}
