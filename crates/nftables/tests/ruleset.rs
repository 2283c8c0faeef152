//! The ruleset against the real kernel, each test in a network namespace of its own. Needs root and nft.
#![allow(clippy::unwrap_used)] // A test that cannot go on has failed.

use std::io::Write;
use std::net::IpAddr;
use std::process::{Command, Stdio};

use nftables::inspect::Inspector;
use nftables::{BRIDGE, Confinement, Difference, Element, Error, Family, Holder, INET, Part, Protocol, Ruleset, Table};
use nix::sched::{CloneFlags, unshare};

const ALL: [Part; 5] = [Part::Publish, Part::Hairpin, Part::Masquerade, Part::Firewall, Part::AntiSpoof];
const ONE: &str = "ferrocni:net/one/eth0";
const TWO: &str = "ferrocni:net/two/eth0";

/// Runs `test` on a thread in a fresh network namespace.
fn in_namespace(test: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        let body = || {
            unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace, for which this test needs root");
            test();
        };
        if let Err(panic) = scope.spawn(body).join() {
            std::panic::resume_unwind(panic);
        }
    });
}

/// Runs nft with `script` on its standard input and returns its output.
fn nft(arguments: &[&str], script: &str) -> String {
    let mut nft = Command::new("nft");
    nft.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = nft.spawn().unwrap();
    child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "nft {arguments:?}: {errors}\n{script}");
    String::from_utf8(output.stdout).unwrap()
}

fn listing() -> String {
    nft(&["list", "ruleset"], "")
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn publish(host: Option<&str>, port: u16, to: &str) -> Element {
    Element::Publish { host: host.map(address), protocol: Protocol::Tcp, port, to: (address(to), 80) }
}

fn masquerade(of: &str, subnet: &str) -> Element {
    Element::Masquerade { address: address(of), subnet: subnet.parse().unwrap() }
}

/// One of everything, in both versions of the Internet protocol.
fn everything() -> Vec<Element> {
    let mut all = vec![
        Element::IsolatedPort { port: "vethA".into() },
        Element::Mac { port: "vethA".into(), mac: [2, 0, 0, 0, 0, 1] },
    ];
    for (container, other, subnet, host) in [
        ("10.88.0.2", "10.88.0.3", "10.88.0.1/16", "192.0.2.1"),
        ("fd00:1::2", "fd00:1::3", "fd00:1::1/64", "2001:db8::1"),
    ] {
        let (address, subnet) = (address(container), subnet.parse().unwrap());
        all.extend([
            publish(Some(host), 8080, container),
            publish(None, 8080, container),
            Element::Publish { host: None, protocol: Protocol::Sctp, port: 9, to: (address, 9) },
            Element::Hairpin { address, subnet },
            Element::MasqueradePublished { address: other.parse().unwrap() },
            Element::Masquerade { address, subnet },
            Element::Member { address },
            Element::SameBridge { address, bridge: "br_a%".into() },
            Element::Closed { address },
            Element::Confined { address, to: Confinement::Apart, link: "br_a%".into() },
            Element::Confined { address: other.parse().unwrap(), to: Confinement::Internal, link: "br0.7".into() },
            Element::Snat { address: other.parse().unwrap(), subnet, source: host.parse().unwrap() },
            Element::OwnLink { address, link: "br_a%".into() },
            Element::Sender { address, link: "br_a%".into() },
        ]);
    }
    all
}

#[test]
fn everything_is_inserted_found_and_removed() {
    in_namespace(|| {
        let mut ruleset = Ruleset::open().unwrap();
        ruleset.insert(ONE, &everything()).unwrap();
        assert_eq!(ruleset.missing(ONE, &everything()).unwrap(), []);
        let holdings = ruleset.holdings(&ALL).unwrap();
        assert_eq!(holdings.len(), everything().len() + 1, "guarded_ports and guarded_macs both hold the MAC");
        assert!(holdings.iter().all(|holding| holding.label == ONE));
        let words: Vec<_> = holdings.iter().map(ToString::to_string).collect();
        assert!(words.contains(&format!("published4 192.0.2.1 tcp 8080 -> 10.88.0.2 port 80 ({ONE})")), "{words:#?}");
        assert!(words.contains(&format!("own_link6 br_a% br_a% fd00:1::2 ({ONE})")), "{words:#?}");
        ruleset.insert(ONE, &everything()).expect("inserting again changes nothing");
        assert_eq!(ruleset.remove(ONE, &everything()).unwrap(), everything().len() + 1);
        assert_eq!(ruleset.remove(ONE, &everything()).unwrap(), 0);
        assert_eq!(ruleset.holdings(&ALL).unwrap(), []);
        let left = listing();
        assert!(!left.contains("elements"), "{left}");
        assert!(!left.contains("chain to-") && !left.contains("chain hairpin-"), "{left}");
    });
}

#[test]
fn nft_lists_what_we_make_and_loads_it_again() {
    in_namespace(|| {
        let mut ruleset = Ruleset::open().unwrap();
        ip("link add vethA type bridge");
        ruleset.insert(Holder { label: ONE, link: Some("vethA") }, &everything()).unwrap();
        // The same for the container's other interface, which waits; a link has one holder.
        ruleset.insert("ferrocni:other/one/eth1", &everything()[2..]).unwrap();
        let ours = listing();
        assert!(ours.contains("dnat ip6 to ip6 daddr . meta l4proto . th dport map @published6"), "{ours}");
        assert!(ours.contains("ip daddr 10.88.0.0/16 return"), "{ours}");
        assert!(ours.contains("goto to-br__a_25"), "{ours}");
        assert!(ours.contains("192.0.2.1 . tcp . 8080 . 0x00000000 comment"), "{ours}");
        let without_marks =
            ["0x00002000", "0x00000000", "0x7f000008"].iter().fold(ours.clone(), |text, mark| text.replace(mark, ""));
        assert!(
            !ours.contains("@nh") && !ours.contains("@th") && !without_marks.contains("0x"),
            "what nft cannot put into words: {ours}"
        );
        nft(&["-j", "list", "ruleset"], "");
        nft(&["flush", "ruleset"], "");
        nft(&["-f", "-"], &ours);
        assert_eq!(listing(), ours);
        assert_eq!(ruleset.missing(ONE, &everything()).unwrap(), [], "what nft loads is what we make");
        assert_eq!(ruleset.remove(ONE, &everything()).unwrap(), everything().len() + 1);
    });
}

#[test]
fn a_key_has_one_holder() {
    in_namespace(|| {
        let mut ruleset = Ruleset::open().unwrap();
        let wanted = [publish(None, 80, "10.0.0.2"), masquerade("10.0.0.2", "10.0.0.0/24")];
        ruleset.insert(ONE, &wanted[..1]).unwrap();
        let refused = ruleset.insert(TWO, &wanted).unwrap_err();
        assert!(matches!(&refused, Error::Taken { holder, .. } if holder == ONE), "{refused}");
        assert_eq!(
            refused.to_string(),
            format!("tcp port 80 of every IPv4 address (for 10.0.0.2 port 80) is taken by {ONE}")
        );
        assert_eq!(ruleset.holdings(&ALL).unwrap().len(), 1, "all or nothing");
        assert_eq!(
            ruleset.missing(TWO, &wanted[..1]).unwrap(),
            [Difference::Foreign { element: wanted[0].clone(), holder: ONE.into() }]
        );
        assert_eq!(ruleset.remove(TWO, &wanted).unwrap(), 0, "what is foreign is left alone");
        ruleset.insert(TWO, &[publish(Some("192.0.2.1"), 80, "10.0.0.3")]).expect("one address is another key");
        ruleset.insert(TWO, &[publish(None, 81, "10.0.0.3")]).expect("another port is another key");
    });
}

/// What is kept by a container's address.
fn of_an_address(subnet: &str, bridge: &str) -> [Element; 4] {
    let address = address("10.0.0.2");
    [
        masquerade("10.0.0.2", subnet),
        Element::Hairpin { address, subnet: subnet.parse().unwrap() },
        Element::Member { address },
        Element::SameBridge { address, bridge: bridge.into() },
    ]
}

/// The elements that packets meet.
fn served() -> String {
    let waiting = |line: &str| line.contains(" . 0x") || line.contains("_waiting");
    listing().lines().filter(|line| line.contains("10.0.0.2") && !waiting(line)).collect()
}

#[test]
fn who_has_the_same_address_waits_and_takes_over() {
    in_namespace(|| {
        let mut ruleset = Ruleset::open().unwrap();
        let (one, two) = (of_an_address("10.0.0.0/24", "br1"), of_an_address("10.0.0.0/16", "br2"));
        ruleset.insert(ONE, &one).unwrap();
        let before = served();
        for _ in 0..2 {
            ruleset.insert(TWO, &two).unwrap();
            ruleset.insert(ONE, &one).unwrap();
            assert_eq!(served(), before, "who came first is served");
            assert_eq!(ruleset.missing(ONE, &one).unwrap(), []);
            assert_eq!(ruleset.missing(TWO, &two).unwrap(), []);
        }
        assert_eq!(ruleset.holders(&one[2]).unwrap(), [ONE, TWO]);
        assert_eq!(ruleset.members(|label| label == TWO).unwrap(), [], "it is not its alone");
        assert_eq!(ruleset.members(|_| true).unwrap(), ["10.0.0.2/32".parse().unwrap()]);
        assert_eq!(ruleset.holdings(&ALL).unwrap().len(), 8);

        assert_eq!(ruleset.remove(TWO, &two).unwrap(), 4, "who waits goes");
        assert_eq!(served(), before);
        ruleset.insert(TWO, &two).unwrap();
        assert_eq!(ruleset.remove(ONE, &one).unwrap(), 4, "who is served goes, and is followed");
        assert_eq!(ruleset.missing(TWO, &two).unwrap(), []);
        let after = served();
        assert!(after.contains("jump masquerade-10.0.0.0/16") && after.contains("goto to-br2"), "{after}");
        assert!(!listing().contains("to-br1"), "chains go with the last who needs them");
        assert_eq!(ruleset.remove(TWO, &two).unwrap(), 4);
        assert!(!listing().contains("10.0.0") && !listing().contains("to-br"), "{}", listing());
    });
}

#[test]
fn who_waits_is_no_trace_when_who_was_served_is_removed_by_hand() {
    in_namespace(|| {
        let mut ruleset = Ruleset::open().unwrap();
        let member = [Element::Member { address: address("10.0.0.2") }];
        for again in [false, true] {
            ruleset.insert(ONE, &member).unwrap();
            ruleset.insert(TWO, &member).unwrap();
            nft(&["-f", "-"], "delete element inet ferrocni members4 { 10.0.0.2 }\n");
            assert!(matches!(ruleset.missing(TWO, &member).unwrap()[..], [Difference::Absent { .. }]));
            if again {
                ruleset.insert(TWO, &member).unwrap();
                ruleset.insert(TWO, &member).unwrap();
                ruleset.repair(TWO, &member).unwrap();
                assert_eq!(ruleset.holders(&member[0]).unwrap(), [TWO]);
            }
            ruleset.remove(TWO, &member).unwrap();
            assert_eq!(ruleset.holdings(&ALL).unwrap(), []);
        }
    });
}

#[test]
fn many_wait_in_the_order_in_which_they_came() {
    in_namespace(|| {
        let mut ruleset = Ruleset::open().unwrap();
        let member = [Element::Member { address: address("10.0.0.2") }];
        let labels: Vec<String> = (0..20).map(|number| format!("ferrocni:net{number}/c/eth0")).collect();
        for label in &labels {
            ruleset.insert(label.as_str(), &member).unwrap();
        }
        assert_eq!(ruleset.holders(&member[0]).unwrap(), labels);
        ruleset.remove(&labels[7], &member).unwrap();
        ruleset.remove_where(&ALL, |label| label == labels[0] || label == labels[19]).unwrap();
        assert_eq!(ruleset.holders(&member[0]).unwrap(), [&labels[1..7], &labels[8..19]].concat());
        ruleset.remove_where(&ALL, |label| label != labels[12]).unwrap();
        assert_eq!(ruleset.holders(&member[0]).unwrap(), [labels[12].as_str()]);
        assert_eq!(ruleset.members(|label| label == labels[12]).unwrap().len(), 1);
    });
}

#[test]
fn a_container_shares_its_ports_with_itself_alone() {
    in_namespace(|| {
        let mut ruleset = Ruleset::open().unwrap();
        let other_network = "ferrocni:other/one/eth1";
        let ports = |to: &str| [publish(None, 80, to), publish(Some("192.0.2.1"), 81, to)];
        ruleset.insert(ONE, &ports("10.0.0.2")).unwrap();
        ruleset.insert(other_network, &ports("10.1.0.2")).unwrap();
        assert!(ruleset.insert(TWO, &ports("10.0.0.3")).unwrap_err().is_taken());
        assert_eq!(ruleset.missing(ONE, &ports("10.0.0.2")).unwrap(), []);
        assert_eq!(ruleset.missing(other_network, &ports("10.1.0.2")).unwrap(), []);
        assert_eq!(ruleset.remove(ONE, &ports("10.0.0.2")).unwrap(), 2);
        assert!(listing().contains("10.1.0.2 . 80"), "{}", listing());
        assert!(ruleset.insert(TWO, &ports("10.0.0.3")).unwrap_err().is_taken());
        assert_eq!(ruleset.remove(other_network, &ports("10.1.0.2")).unwrap(), 2);
        ruleset.insert(TWO, &ports("10.0.0.3")).unwrap();
    });
}

fn ip(arguments: &str) {
    let done = Command::new("ip").args(arguments.split(' ')).status().unwrap();
    assert!(done.success(), "ip {arguments}");
}

#[test]
fn who_is_certainly_gone_holds_nothing() {
    in_namespace(|| {
        let mut ruleset = Ruleset::open().unwrap();
        let ports = |to: &str| [publish(None, 80, to), publish(None, 81, to), masquerade(to, "10.0.0.0/24")];
        let with_link = |label: &'static str, link: &'static str| Holder { label, link: Some(link) };
        let wanted = [publish(None, 80, "10.0.0.3"), masquerade("10.0.0.2", "10.0.0.0/24")];
        ip("link add vethone type bridge");
        ruleset.insert(with_link(ONE, "vethone"), &ports("10.0.0.2")).unwrap();
        assert!(ruleset.insert(TWO, &wanted).unwrap_err().is_taken());
        // A new name is no death: the label is there.
        ip(&format!("link set vethone alias {ONE}"));
        ip("link set vethone name other");
        assert!(ruleset.insert(TWO, &wanted).unwrap_err().is_taken());
        assert_eq!(ruleset.missing(ONE, &ports("10.0.0.2")).unwrap(), []);
        ip("link del other");
        ruleset.insert(TWO, &wanted).unwrap();
        assert_eq!(ruleset.missing(TWO, &wanted).unwrap(), []);
        assert!(ruleset.holdings(&ALL).unwrap().iter().all(|holding| holding.label == TWO), "nor what nobody wants");
        ruleset.insert(with_link(ONE, "vethone"), &[masquerade("10.0.0.4", "10.0.0.0/16")]).unwrap();
        ruleset.insert(TWO, &[masquerade("10.0.0.4", "10.0.0.0/24")]).unwrap();
        assert!(!listing().contains("10.0.0.0/16"), "{}", listing());
    });
}

#[test]
fn who_may_live_in_the_container_alone_is_not_taken_for_gone() {
    in_namespace(|| {
        let mut ruleset = Ruleset::open().unwrap();
        ruleset.insert(ONE, &[publish(None, 80, "10.0.0.2")]).unwrap();
        assert!(ruleset.insert(TWO, &[publish(None, 80, "10.0.0.3")]).unwrap_err().is_taken());
    });
}

#[test]
fn the_firewall_s_record_of_who_is_gone_stays_for_gc() {
    in_namespace(|| {
        let mut ruleset = Ruleset::open().unwrap();
        let record = Element::Member { address: address("10.0.0.2") };
        ruleset
            .insert(Holder { label: ONE, link: Some("vethone") }, &[publish(None, 80, "10.0.0.2"), record.clone()])
            .unwrap();
        ruleset.insert(TWO, &[publish(None, 80, "10.0.0.3")]).unwrap();
        assert_eq!(ruleset.holders(&record).unwrap(), [ONE]);
    });
}

#[test]
fn a_repair_without_elements_brings_the_skeleton() {
    in_namespace(|| {
        Ruleset::open().unwrap().repair(ONE, &[]).unwrap();
        assert!(listing().contains("iifname != \"lo\" ip daddr 127.0.0.0/8 drop"), "{}", listing());
    });
}

#[test]
fn the_same_label_replaces_its_own_data() {
    in_namespace(|| {
        let mut ruleset = Ruleset::open().unwrap();
        let (before, after) = ([publish(None, 80, "10.0.0.2")], [publish(None, 80, "10.0.0.3")]);
        ruleset.insert(ONE, &before).unwrap();
        let differences = ruleset.missing(ONE, &after).unwrap();
        assert!(matches!(&differences[..], [Difference::Changed { found, .. }] if found.contains("10.0.0.2")));
        ruleset.insert(ONE, &after).unwrap();
        assert_eq!(ruleset.missing(ONE, &after).unwrap(), []);
        let twice = [before[0].clone(), after[0].clone()];
        assert!(ruleset.insert(ONE, &twice).unwrap_err().is_taken(), "one port cannot lead to two places");
        let mixed = publish(Some("2001:db8::1"), 80, "10.0.0.2");
        assert_eq!(ruleset.remove(ONE, &[&twice[..], &[mixed]].concat()).unwrap(), 1, "removing puts up with it");
    });
}

#[test]
fn a_chain_goes_with_its_last_element() {
    in_namespace(|| {
        let mut ruleset = Ruleset::open().unwrap();
        let of = |last: u8| {
            let address = IpAddr::from([10, 9, 0, last]);
            [
                Element::Masquerade { address, subnet: "10.9.0.0/16".parse().unwrap() },
                Element::SameBridge { address, bridge: "cni0".into() },
            ]
        };
        ruleset.insert(ONE, &of(2)).unwrap();
        ruleset.insert(TWO, &of(3)).unwrap();
        ruleset.remove(ONE, &of(2)).unwrap();
        let between = listing();
        assert!(between.contains("chain masquerade-10.9.0.0/16") && between.contains("\"cni0\" comment"), "{between}");
        ruleset.remove_where(&[Part::Masquerade, Part::Firewall], |label| label == TWO).unwrap();
        let after = listing();
        assert!(!after.contains("masquerade-10.9") && !after.contains("cni0"), "{after}");
        ruleset.insert(ONE, &of(2)).expect("chains come again");
    });
}

#[test]
fn remove_where_removes_the_picked_parts_and_labels_only() {
    in_namespace(|| {
        let mut ruleset = Ruleset::open().unwrap();
        assert_eq!(ruleset.remove_where(&ALL, |_| true).unwrap(), 0, "no table, nothing to remove");
        ruleset.insert(ONE, &[publish(None, 80, "10.0.0.2"), masquerade("10.0.0.2", "10.0.0.0/24")]).unwrap();
        ruleset.insert(TWO, &[publish(None, 81, "10.0.0.3")]).unwrap();
        assert_eq!(ruleset.remove_where(&[Part::Publish], |label| label == ONE).unwrap(), 1);
        let left = ruleset.holdings(&ALL).unwrap();
        assert_eq!(left.iter().map(|holding| holding.label.as_str()).collect::<Vec<_>>(), [TWO, ONE]);
    });
}

#[test]
fn a_hundred_first_inserts_at_once_all_succeed() {
    in_namespace(|| {
        std::thread::scope(|scope| {
            for number in 0..100_u8 {
                scope.spawn(move || {
                    let of = format!("10.0.{}.2", number % 7);
                    let elements = [
                        publish(None, 1000 + u16::from(number), &of),
                        masquerade(&format!("10.0.{}.{number}", number % 7), &format!("10.0.{}.0/24", number % 7)),
                    ];
                    let label = format!("ferrocni:net/c{number}/eth0");
                    Ruleset::open().unwrap().insert(&label, &elements).unwrap();
                });
            }
        });
        assert_eq!(Ruleset::open().unwrap().holdings(&ALL).unwrap().len(), 200);
        assert_eq!(listing().matches("jump publish").count(), 2, "one skeleton");
        std::thread::scope(|scope| {
            for number in 0..100_u8 {
                scope.spawn(move || {
                    let label = format!("ferrocni:net/c{number}/eth0");
                    assert_eq!(Ruleset::open().unwrap().remove_where(&ALL, |found| found == label).unwrap(), 2);
                });
            }
        });
        assert!(!listing().contains("masquerade-10."), "no chain is left over");
    });
}

#[test]
fn after_a_flush_inserting_builds_everything_anew() {
    in_namespace(|| {
        let mut ruleset = Ruleset::open().unwrap();
        ruleset.insert(ONE, &everything()).unwrap();
        nft(&["flush", "ruleset"], "");
        assert_eq!(ruleset.remove(ONE, &everything()).unwrap(), 0);
        let differences = ruleset.missing(ONE, &everything()).unwrap();
        assert!(differences.len() > everything().len(), "elements and chains: {differences:#?}");
        ruleset.insert(ONE, &everything()).unwrap();
        assert_eq!(ruleset.missing(ONE, &everything()).unwrap(), []);
    });
}

#[test]
fn damage_is_reported_and_repaired_and_the_admin_chain_is_kept() {
    in_namespace(|| {
        let mut ruleset = Ruleset::open().unwrap();
        ruleset.insert(ONE, &everything()).unwrap();
        let whole = listing();
        let damage = "flush chain inet ferrocni publish; flush chain inet ferrocni masquerade-10.88.0.0/16; \
                      delete rule bridge ferrocni forward handle ";
        let rules = nft(&["-a", "list", "chain", "bridge", "ferrocni", "forward"], "");
        let handle = rules.split("drop # handle ").nth(1).unwrap().split_whitespace().next().unwrap();
        nft(&["-f", "-"], &format!("{damage}{handle}\nadd rule inet ferrocni admin ip daddr 10.1.1.1 drop\n"));
        let named: Vec<_> = ruleset.missing(ONE, &everything()).unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(
            named,
            [
                "nftables chain inet ferrocni publish: expected 5 rules, found 0",
                "nftables chain bridge ferrocni forward: expected 1 rules, found 0",
                "nftables chain inet ferrocni masquerade-10.88.0.0/16: expected 3 rules, found 0",
            ]
        );
        ruleset.repair(ONE, &everything()).unwrap();
        assert_eq!(ruleset.missing(ONE, &everything()).unwrap(), []);
        let repaired = listing();
        assert_eq!(repaired.replace("\t\tip daddr 10.1.1.1 drop\n", ""), whole);
        assert_ne!(repaired, whole, "the administrator's rule is still there");
    });
}

/// Each with the words of a report.
const DAMAGES: [(&str, &str); 8] = [
    ("flush table inet ferrocni", "nftables chain inet ferrocni localnet: expected 2 rules, found 0"),
    ("flush chain inet ferrocni publish", "nftables chain inet ferrocni publish: expected 5 rules, found 0"),
    ("flush chain inet ferrocni masquerade-published", "masquerade-published: expected 1 rules, found 0"),
    ("flush chain inet ferrocni forward", "nftables chain inet ferrocni forward: expected 4 rules, found 0"),
    ("flush chain inet ferrocni prerouting; delete chain inet ferrocni prerouting", "prerouting: not there"),
    ("flush chain inet ferrocni unpublished", "nftables chain inet ferrocni unpublished: expected 7 rules, found 0"),
    ("flush chain bridge ferrocni forward; delete chain bridge ferrocni forward", "forward: not there"),
    ("add table inet ferrocni { flags dormant; }", "nftables table inet ferrocni: dormant"),
];

#[test]
fn each_damage_is_reported_and_mended_by_the_next_insert() {
    for (damage, words) in DAMAGES {
        in_namespace(|| {
            let mut ruleset = Ruleset::open().unwrap();
            ruleset.insert(ONE, &everything()).unwrap();
            nft(&["-f", "-"], "add rule inet ferrocni admin ip daddr 10.1.1.1 drop\n");
            Ruleset::probe().unwrap();
            let whole = listing();
            nft(&["-f", "-"], &format!("{damage}\n"));
            Ruleset::probe().unwrap();
            assert!(ruleset.missing(ONE, &everything()).unwrap()[0].to_string().contains(words), "{damage}");
            let others = [
                Element::IsolatedPort { port: "vethB".into() },
                Element::Member { address: address("10.99.0.2") },
                Element::MasqueradePublished { address: address("10.99.0.2") },
                publish(None, 99, "10.99.0.2"),
            ];
            ruleset.insert(TWO, &others).unwrap();
            Ruleset::probe().unwrap();
            assert_eq!(ruleset.missing(ONE, &everything()).unwrap(), [], "{damage}");
            ruleset.remove(TWO, &others).unwrap();
            let lost = if damage.starts_with("flush table") { "\t\tip daddr 10.1.1.1 drop\n" } else { "" };
            // Chains that were deleted come back at the end of the list.
            let sorted = |text: &str| {
                let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
                lines.sort();
                lines
            };
            assert_eq!(sorted(&listing()), sorted(&whole.replace(lost, "")), "{damage}");
        });
    }
}

#[test]
fn an_insert_mends_the_chains_that_it_needs() {
    in_namespace(|| {
        let mut ruleset = Ruleset::open().unwrap();
        let of = |last: u8| masquerade(&format!("10.0.0.{last}"), "10.0.0.0/24");
        // As many elements as the chain has rules: the kernel's count of what uses it tells nothing.
        ruleset.insert(ONE, &[of(2), of(3), of(4)]).unwrap();
        nft(&["flush", "chain", "inet", "ferrocni", "masquerade-10.0.0.0/24"], "");
        ruleset.insert(TWO, &[publish(None, 80, "10.0.0.5")]).unwrap();
        ruleset.insert(TWO, &[of(5)]).unwrap();
        assert_eq!(ruleset.missing(ONE, &[of(2)]).unwrap(), []);
    });
}

/// What earlier versions made of what they knew, each with its layout. The first is from before layouts had a number, and has a rule
/// that is another today.
const EARLIER_LAYOUTS: [(u32, &str); 4] = [
    (1, include_str!("layout_1.nft")),
    (2, include_str!("layout_2.nft")),
    (3, include_str!("layout_3.nft")),
    (4, include_str!("layout_4.nft")),
];

/// [`everything`] that a version with that layout knew.
fn everything_of(layout: u32) -> Vec<Element> {
    let since = |element: &Element| match element {
        Element::Closed { .. } | Element::OwnLink { .. } | Element::Sender { .. } => 3,
        Element::Confined { .. } | Element::Snat { .. } => 5,
        _ => 1,
    };
    everything().into_iter().filter(|element| since(element) <= layout).collect()
}

#[test]
fn tables_of_an_earlier_layout_serve_and_become_today_s_with_the_next_insert() {
    for (layout, tables) in EARLIER_LAYOUTS {
        in_namespace(|| {
            let mut ruleset = Ruleset::open().unwrap();
            nft(&["-f", "-"], tables);
            assert_eq!(ruleset.missing(ONE, &everything_of(layout)).unwrap(), [], "CHECK of a container of before");
            Ruleset::probe().unwrap();
            let closed = address("10.99.0.2");
            let more = [
                publish(None, 99, "10.99.0.2"),
                Element::IsolatedPort { port: "vethB".into() },
                Element::Closed { address: closed },
            ];
            ruleset.insert(TWO, &more).unwrap();
            assert_eq!(ruleset.missing(ONE, &everything_of(layout)).unwrap(), []);
            assert_eq!(ruleset.missing(TWO, &more).unwrap(), []);
            let upgraded = listing();
            nft(&["flush", "ruleset"], "");
            ruleset.insert(Holder { label: ONE, link: Some("vethA") }, &everything_of(layout)).unwrap();
            ruleset.insert(TWO, &more).unwrap();
            // The kernel keeps a table's comment, and lists chains in the order in which they came.
            let sorted = |text: &str| {
                let mut lines: Vec<_> = text.lines().filter(|line| !line.contains("comment \"ferrocni: ")).collect();
                lines.sort_unstable();
                lines.join("\n")
            };
            assert_eq!(sorted(&upgraded), sorted(&listing()));
        });
    }
}

/// A DEL by this version, before any ADD.
#[test]
fn what_came_with_this_layout_can_be_removed_where_the_table_has_an_earlier_one() {
    for (layout, tables) in EARLIER_LAYOUTS {
        in_namespace(|| {
            let mut ruleset = Ruleset::open().unwrap();
            nft(&["-f", "-"], tables);
            assert_eq!(ruleset.remove(ONE, &everything()).unwrap(), everything_of(layout).len() + 1);
            assert_eq!(ruleset.holdings(&ALL).unwrap(), []);
        });
    }
}

#[test]
fn a_table_of_a_later_layout_is_left_alone_and_releases_what_it_holds() {
    in_namespace(|| {
        let mut ruleset = Ruleset::open().unwrap();
        ruleset.insert(ONE, &everything()).unwrap();
        let others = "add table inet other; add chain inet other layout-99";
        let later = format!("{others}; delete chain inet ferrocni layout-5; add chain inet ferrocni layout-6\n");
        nft(&["-f", "-"], &later);
        let before = listing();
        for refused in [ruleset.insert(TWO, &everything()[3..5]), ruleset.repair(ONE, &everything()), Ruleset::probe()]
        {
            let error = refused.unwrap_err();
            assert!(matches!(error, Error::Newer { layout: 6, .. }), "{error:?}");
            assert!(error.to_string().contains("install that version"), "{error}");
        }
        assert_eq!(listing(), before);
        assert_eq!(ruleset.remove(ONE, &everything()).unwrap(), everything().len() + 1);
    });
}

#[test]
fn a_table_of_our_name_that_is_not_ours_is_refused() {
    let chain = "chain forward { type filter hook input priority 0; }";
    for (table, words) in [
        ("table inet ferrocni { comment \"mine\"; }\n".to_owned(), "delete table inet ferrocni"),
        (format!("table inet ferrocni {{ {chain}\n}}\n"), "delete table inet ferrocni"),
        ("table inet ferrocni { chain forward { }\n}\n".to_owned(), "delete table inet ferrocni"),
        (
            format!("table inet ferrocni {{ {}\n}}\n", chain.replace("input priority 0", "forward priority 7")),
            "delete table",
        ),
        (
            "table inet ferrocni { chain output { type filter hook output priority -100; }\n}\n".to_owned(),
            "delete table",
        ),
        ("table bridge ferrocni { comment \"mine\"; }\n".to_owned(), "delete table bridge ferrocni"),
    ] {
        in_namespace(|| {
            nft(&["-f", "-"], &table);
            let before = listing();
            let mut ruleset = Ruleset::open().unwrap();
            for refused in [ruleset.insert(ONE, &everything()), ruleset.repair(ONE, &everything()), Ruleset::probe()] {
                let error = refused.unwrap_err();
                assert!(
                    matches!(error, Error::Foreign { .. }) && error.to_string().contains(words),
                    "{table}{error:?}"
                );
            }
            assert_eq!(listing(), before);
        });
    }
}

/// Whole but for the place of one chain, in which its rules have no effect or another one.
#[test]
fn a_chain_that_was_moved_is_noticed_by_add_too() {
    let published = publish(None, 9_999, "10.1.0.9");
    let apart = Element::SameBridge { address: address("10.1.0.9"), bridge: "br9".into() };
    for (place, elsewhere, element) in [
        ("hook output priority -100", "hook output priority -99", published),
        ("hook forward priority filter", "hook forward priority 7", apart),
    ] {
        in_namespace(|| {
            let mut ruleset = Ruleset::open().unwrap();
            ruleset.insert(ONE, &everything()).unwrap();
            let whole = nft(&["list", "table", "inet", "ferrocni"], "");
            assert!(whole.contains(place), "{whole}");
            let moved = whole.replacen(place, elsewhere, 1);
            nft(&["-f", "-"], &format!("delete table inet ferrocni\n{moved}"));
            let error = ruleset.insert(TWO, &[element]).unwrap_err();
            assert!(matches!(error, Error::Foreign { .. }), "{elsewhere}: {error:?}");
        });
    }
}

#[test]
fn a_table_that_another_program_owns_is_refused() {
    in_namespace(|| {
        let mut owner = Command::new("nft").arg("-i").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let input = owner.stdin.as_mut().unwrap();
        input.write_all(b"add table inet ferrocni { flags owner; }\n").unwrap();
        while !listing().contains("flags owner") {
            std::thread::yield_now();
        }
        for refused in [Ruleset::open().unwrap().insert(ONE, &everything()), Ruleset::probe()] {
            let error = refused.unwrap_err();
            assert!(matches!(error, Error::Owned { .. }) && error.to_string().contains("stop it"), "{error}");
        }
        drop(owner.stdin.take());
        owner.wait().unwrap();
        Ruleset::open().unwrap().insert(ONE, &everything()).unwrap();
    });
}

/// As a file that is loaded when the host boots has it.
#[test]
fn an_administrator_may_make_the_table_for_their_chain() {
    in_namespace(|| {
        nft(&["-f", "-"], "table inet ferrocni { chain admin { ip daddr 10.1.1.1 drop\n}\n}\n");
        Ruleset::probe().unwrap();
        let mut ruleset = Ruleset::open().unwrap();
        ruleset.insert(ONE, &everything()).unwrap();
        Ruleset::probe().unwrap();
        assert_eq!(ruleset.missing(ONE, &everything()).unwrap(), []);
        assert!(listing().contains("10.1.1.1"), "{}", listing());
    });
}

#[test]
fn a_deleted_set_comes_back_with_the_next_insert() {
    in_namespace(|| {
        let mut ruleset = Ruleset::open().unwrap();
        ruleset.insert(ONE, &[masquerade("10.0.0.2", "10.0.0.0/24")]).unwrap();
        nft(&["-f", "-"], "flush chain inet ferrocni publish; delete map inet ferrocni published4\n");
        let wanted = [publish(Some("192.0.2.1"), 80, "10.0.0.2")];
        ruleset.insert(ONE, &wanted).unwrap();
        assert_eq!(ruleset.missing(ONE, &wanted).unwrap(), []);
    });
}

#[test]
fn other_peoples_tables_are_left_alone() {
    in_namespace(|| {
        let foreign = "table ip theirs { map m { type ipv4_addr : verdict; elements = { 10.0.0.2 : drop } }\n\
                       chain c { type filter hook forward priority 0; policy drop; ip daddr vmap @m;\n}\n}\n";
        nft(&["-f", "-"], foreign);
        let before = nft(&["list", "table", "ip", "theirs"], "");
        let mut ruleset = Ruleset::open().unwrap();
        ruleset.insert(ONE, &everything()).unwrap();
        ruleset.repair(ONE, &everything()).unwrap();
        ruleset.remove_where(&ALL, |_| true).unwrap();
        assert_eq!(nft(&["list", "table", "ip", "theirs"], ""), before);
    });
}

#[test]
fn the_longest_label_survives() {
    in_namespace(|| {
        let mut ruleset = Ruleset::open().unwrap();
        let label = format!("ferrocni:net/{}/eth0", "c".repeat(251 - 18));
        assert_eq!(label.len(), 251);
        ruleset.insert(&label, &everything()).unwrap();
        assert!(listing().contains(&label), "{}", listing());
        nft(&["-j", "list", "ruleset"], "");
        for holding in ruleset.holdings(&ALL).unwrap() {
            assert_eq!(holding.label, label, "{}", holding.description);
        }
        assert_eq!(ruleset.missing(&label, &everything()).unwrap(), []);
        assert!(ruleset.remove(&label, &everything()).unwrap() > 0);
        let refused = ruleset.insert(&format!("{label}c"), &everything()).unwrap_err();
        assert!(matches!(refused, Error::Label(252)));
    });
}

#[test]
fn many_refusals_of_short_messages_fit_the_receive_buffer_too() {
    for count in [100, 200, 250] {
        in_namespace(|| {
            // Each is refused at first, for want of the tables.
            let ports: Vec<_> = (1..=count).map(|port| publish(None, port, "10.0.0.2")).collect();
            Ruleset::open().unwrap().insert("ferrocni:n/c/e", &ports).unwrap();
        });
    }
}

#[test]
fn five_thousand_elements_come_and_go_in_one_transaction_each() {
    in_namespace(|| {
        let mut ruleset = Ruleset::open().unwrap();
        let elements: Vec<_> = (1..=5000).map(|port| publish(None, port, "10.0.0.2")).collect();
        ruleset.insert(ONE, &elements).unwrap();
        let refused = ruleset.insert(TWO, &elements).unwrap_err();
        assert!(refused.is_taken(), "5,000 refusals fit the receive buffer: {refused}");
        ruleset.insert(TWO, &[publish(None, 6000, "10.0.0.3")]).unwrap();
        assert_eq!(ruleset.remove_where(&[Part::Publish], |label| label == ONE).unwrap(), 5000);
        assert_eq!(ruleset.holdings(&ALL).unwrap().len(), 1);
    });
}

#[test]
fn wrong_input_is_refused_before_the_kernel_sees_it() {
    in_namespace(|| {
        let mut ruleset = Ruleset::open().unwrap();
        let mixed = publish(Some("2001:db8::1"), 80, "10.0.0.2");
        assert!(matches!(ruleset.insert(ONE, &[mixed]), Err(Error::Versions(..))));
        for port in ["", "sixteen-byte-nam", "a/b", "a b", "a:b"] {
            let wanted = [Element::IsolatedPort { port: port.into() }];
            assert!(matches!(ruleset.insert(ONE, &wanted), Err(Error::InterfaceName(_))), "{port:?}");
        }
        assert!(matches!(ruleset.insert("a\nb", &[]), Err(Error::Label(3))));
        assert_eq!(listing(), "");
    });
}

#[test]
fn probing_changes_nothing() {
    in_namespace(|| {
        Ruleset::probe().unwrap();
        assert_eq!(listing(), "");
        Ruleset::open().unwrap().insert(ONE, &[publish(None, 80, "10.0.0.2")]).unwrap();
        Ruleset::probe().unwrap();
    });
}

#[test]
fn chains_of_others_are_inspected() {
    in_namespace(|| {
        let mut inspector = Inspector::open().unwrap();
        let filter = Table { family: Family::Ip, name: "filter" };
        assert_eq!(inspector.chain(filter, "FORWARD").unwrap(), None);
        let rules = |table: &str| format!("table ip {table} {{ chain FORWARD {{ type filter hook forward priority 0; ");
        nft(&["-f", "-"], &(rules("filter") + "policy drop; counter accept;\n}\n}\n"));
        let chain = inspector.chain(filter, "FORWARD").unwrap().unwrap();
        assert!(chain.drops_by_policy && !chain.drops_by_rule && !chain.drops_the_rest, "all is accepted before");
        for (name, rule, drops, drops_the_rest) in [
            ("a", "counter reject", true, true),
            ("b", "ip daddr 10.0.0.1 drop", true, false),
            ("c", "accept", false, false),
            ("d", "ip daddr 10.0.0.1 accept; drop", true, true),
        ] {
            nft(&["-f", "-"], &(rules(name) + rule + ";\n}\n}\n"));
            let table = Table { family: Family::Ip, name };
            assert!(inspector.chain_exists(table, "FORWARD").unwrap());
            assert!(!inspector.chain_exists(table, "INPUT").unwrap());
            let chain = inspector.chain(table, "FORWARD").unwrap().unwrap();
            assert_eq!((chain.drops_by_policy, chain.drops_by_rule), (false, drops), "{rule}");
            assert_eq!(chain.drops_the_rest, drops_the_rest, "{rule}");
        }
        assert!(!inspector.chain_exists(INET, "forward").unwrap() && !inspector.chain_exists(BRIDGE, "x").unwrap());
    });
}

#[test]
fn the_targets_of_iptables_are_recognised() {
    in_namespace(|| {
        let iptables = |arguments: &str| {
            let done = Command::new("iptables-nft").args(arguments.split(' ')).status().unwrap();
            assert!(done.success(), "iptables-nft {arguments}");
        };
        let mut inspector = Inspector::open().unwrap();
        let mut forward = || inspector.chain(Table { family: Family::Ip, name: "filter" }, "FORWARD").unwrap().unwrap();
        iptables("-P FORWARD ACCEPT");
        iptables("-A FORWARD -s 10.0.0.0/8 -j ACCEPT");
        assert!(!forward().drops());
        iptables("-A FORWARD -j REJECT");
        assert!(forward().drops_by_rule && forward().drops_the_rest);
        iptables("-F FORWARD");
        iptables("-A FORWARD -p tcp -j DROP");
        assert!(forward().drops_by_rule && !forward().drops_the_rest);
        iptables("-A FORWARD -j DROP");
        assert!(forward().drops_by_rule && forward().drops_the_rest);
        iptables("-F FORWARD");
        iptables("-P FORWARD DROP");
        assert!(forward().drops_by_policy && forward().drops_the_rest && !forward().drops_by_rule);
    });
}
