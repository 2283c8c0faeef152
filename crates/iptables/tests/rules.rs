//! The rules in a real kernel, with iptables-nft and iptables-legacy: adding and removing any number of
//! times, in parallel, and beside the rules of others.

mod support;

use ipnetwork::IpNetwork;
use iptables::Protocol;
use iptables::firewall::{self, Firewall};
use iptables::isolation::{self, Isolation, Policy};
use iptables::masquerade::{self, Masquerade};
use iptables::portmap::{self, Mapping, Masquerading, PortMap};
use iptables::{Argument, Family, Interface, Variant};
use support::{saved, tables, with_each_variant};

const FAMILIES: [&str; 2] = ["iptables", "ip6tables"];

fn network(text: &str) -> IpNetwork {
    text.parse().expect("a network")
}

fn addresses() -> [IpNetwork; 2] {
    [network("10.1.2.3/24"), network("fd00::3/64")]
}

fn masquerading(container: &str) -> Masquerade<'_> {
    static ADDRESSES: std::sync::LazyLock<[IpNetwork; 2]> = std::sync::LazyLock::new(addresses);
    Masquerade { network: "net", container, addresses: &*ADDRESSES }
}

fn mapping(host_port: u16) -> Mapping {
    Mapping { protocol: Protocol::Tcp, host_address: None, host_port, container_port: 80 }
}

fn publishing<'a>(container: &'a str, address: &str, mappings: &'a [Mapping]) -> PortMap<'a> {
    PortMap {
        network: "net",
        container,
        address: network(address),
        mappings,
        masquerading: Masquerading::Bit(13),
        masquerade_all: false,
        conditions: &[],
    }
}

fn letting_through(addresses: &[IpNetwork]) -> Firewall<'_> {
    Firewall { addresses, admin: firewall::default_admin_chain(), published: true, isolation: None }
}

fn everything(variant: Variant) -> Vec<Vec<String>> {
    FAMILIES.iter().flat_map(|f| ["nat", "filter"].map(|table| saved(variant, f, table))).collect()
}

fn bridge() -> Interface {
    Interface::new("cni0").expect("a name")
}

fn closed(bridge: &Interface, policy: Policy) -> Isolation<'_> {
    Isolation { bridge, policy }
}

fn add_everything(variant: Variant) {
    let mappings = [mapping(8080), mapping(8081)];
    masquerade::add(&masquerading("c1"), variant).expect("masquerades");
    portmap::add(&publishing("c1", "10.1.2.3/24", &mappings), variant).expect("publishes");
    portmap::add(&publishing("c1", "fd00::3/64", &mappings), variant).expect("publishes");
    firewall::add(&letting_through(&addresses()), variant).expect("lets through");
    isolation::add(closed(&bridge(), Policy::Isolated), &Family::ALL, variant).expect("isolates");
}

fn check_everything(variant: Variant) -> Vec<iptables::Result<()>> {
    let mappings = [mapping(8080), mapping(8081)];
    vec![
        masquerade::check(&masquerading("c1"), variant),
        portmap::check(&publishing("c1", "10.1.2.3/24", &mappings), variant),
        portmap::check(&publishing("c1", "fd00::3/64", &mappings), variant),
        firewall::check(&letting_through(&addresses()), variant),
        isolation::check(closed(&bridge(), Policy::Isolated), &Family::ALL, variant),
    ]
}

fn remove_everything() {
    masquerade::remove("net", "c1").expect("removes masquerading");
    portmap::remove("net", "c1").expect("removes ports");
    firewall::remove(&addresses()).expect("removes accepts");
    isolation::remove_unused(|_| false).expect("removes isolation");
}

#[test]
fn adding_twice_is_adding_once() {
    with_each_variant(|variant| {
        add_everything(variant);
        let once = everything(variant);
        assert!(once.iter().all(|table| table.len() > 8), "{once:#?}");
        add_everything(variant);
        assert_eq!(everything(variant), once);
        for check in check_everything(variant) {
            check.expect("everything is there");
        }
    });
}

#[test]
fn a_second_interface_in_the_same_network_takes_nothing_from_the_first() {
    with_each_variant(|variant| {
        let [first, second] = [[network("10.1.2.3/24"), network("10.1.2.4/24")], [network("10.1.3.3/24"); 2]];
        let of = |addresses| Masquerade { network: "net", container: "c1", addresses };
        masquerade::add(&of(&first), variant).expect("masquerades");
        masquerade::add(&of(&second), variant).expect("masquerades");
        masquerade::check(&of(&first), variant).expect("still there");
        masquerade::check(&of(&second), variant).expect("there");
        let nat = saved(variant, "iptables", "nat");
        let verdicts: Vec<&str> =
            nat.iter().filter(|line| line.starts_with("-A CNI-")).filter_map(|line| line.rsplit(' ').next()).collect();
        assert_eq!(verdicts, ["ACCEPT", "ACCEPT", "MASQUERADE"]);
        masquerade::remove("net", "c1").expect("removes");
        assert!(saved(variant, "iptables", "nat").is_empty());
    });
}

#[test]
fn check_names_the_rule_that_is_gone() {
    with_each_variant(|variant| {
        for check in check_everything(variant) {
            assert!(check.expect_err("nothing is there").is_missing());
        }
        add_everything(variant);
        tables(variant, "iptables", &["-D", "CNI-FORWARD", "-s", "10.1.2.3", "-j", "ACCEPT"]);
        let error = firewall::check(&letting_through(&addresses()), variant).expect_err("a rule is gone");
        assert_eq!(error.to_string(), "iptables table filter lacks: -A CNI-FORWARD -s 10.1.2.3/32 -j ACCEPT");
    });
}

#[test]
fn adding_again_restores_what_somebody_flushed() {
    with_each_variant(|variant| {
        add_everything(variant);
        let before = everything(variant);
        tables(variant, "iptables", &["-t", "nat", "-F", "POSTROUTING"]);
        tables(variant, "iptables", &["-t", "nat", "-F", "CNI-HOSTPORT-DNAT"]);
        tables(variant, "ip6tables", &["-F", "FORWARD"]);
        add_everything(variant);
        let sorted = |mut tables: Vec<Vec<String>>| {
            tables.iter_mut().for_each(|table| table.sort());
            tables
        };
        assert_eq!(sorted(everything(variant)), sorted(before));
    });
}

#[test]
fn removing_leaves_the_shared_chains_alone_and_may_be_repeated() {
    with_each_variant(|variant| {
        remove_everything();
        add_everything(variant);
        remove_everything();
        let left = everything(variant).concat();
        assert!(!left.iter().any(|line| line.contains("10.1.2.3") || line.contains("fd00::3")), "{left:#?}");
        assert!(!left.iter().any(|line| line.contains("CNI-DN-") || line.contains("ISOLATION")), "{left:#?}");
        remove_everything();
        assert_eq!(everything(variant).concat(), left);
    });
}

#[test]
fn isolation_comes_before_the_accepting_rules_whoever_is_added_first() {
    with_each_variant(|variant| {
        isolation::add(closed(&bridge(), Policy::SameBridge), &[Family::V4], variant).expect("isolates");
        firewall::add(&letting_through(&addresses()), variant).expect("lets through");
        let targets: Vec<String> = saved(variant, "iptables", "filter")
            .iter()
            .filter(|line| line.starts_with("-A FORWARD "))
            .filter_map(|line| line.rsplit(' ').next().map(str::to_owned))
            .collect();
        assert_eq!(targets, ["CNI-ISOLATION-STAGE-1", "CNI-FORWARD"]);
    });
}

#[test]
fn isolation_stays_while_another_bridge_needs_it() {
    with_each_variant(|variant| {
        let other = Interface::new("cni1").expect("a name");
        isolation::add(closed(&bridge(), Policy::SameBridge), &[Family::V4], variant).expect("isolates");
        let before = saved(variant, "iptables", "filter");
        isolation::add(closed(&other, Policy::Isolated), &[Family::V4], variant).expect("isolates");
        isolation::remove_unused(|bridge| bridge != other.as_str()).expect("removes");
        assert_eq!(saved(variant, "iptables", "filter"), before);
        isolation::remove_unused(|_| false).expect("removes");
        assert!(saved(variant, "iptables", "filter").is_empty());
    });
}

#[test]
fn rules_of_others_stay_untouched() {
    with_each_variant(|variant| {
        let foreign = |family: &str, table: &str| {
            tables(variant, family, &["-t", table, "-N", "OTHERS"]);
            let comment = "somebody's \"own\" \\ rule";
            tables(variant, family, &["-t", table, "-A", "OTHERS", "-m", "comment", "--comment", comment]);
            tables(variant, family, &["-t", table, "-A", "OUTPUT", "-p", "tcp", "--dport", "1:9", "-j", "OTHERS"]);
        };
        for family in FAMILIES {
            foreign(family, "nat");
            foreign(family, "filter");
        }
        let others = |variant| {
            let mut lines = everything(variant).concat();
            lines.retain(|line| !line.contains("CNI-"));
            lines
        };
        let before = others(variant);
        assert_eq!(before.len(), 8);
        add_everything(variant);
        assert_eq!(others(variant), before);
        remove_everything();
        assert_eq!(others(variant), before);
    });
}

#[test]
fn fifty_at_once_all_get_their_rules_and_share_one_skeleton() {
    with_each_variant(|variant| {
        std::thread::scope(|scope| {
            for number in 1..=50_u16 {
                scope.spawn(move || {
                    let container = format!("c{number}");
                    let address = [network(&format!("10.1.2.{number}/24"))];
                    let mappings = [mapping(8000 + number)];
                    let masquerade = Masquerade { network: "net", container: &container, addresses: &address };
                    masquerade::add(&masquerade, variant).expect("masquerades");
                    let ports = publishing(&container, &address[0].to_string(), &mappings);
                    portmap::add(&ports, variant).expect("publishes");
                    firewall::add(&letting_through(&address), variant).expect("lets through");
                });
            }
        });
        let nat = saved(variant, "iptables", "nat");
        let count = |start: &str| nat.iter().filter(|line| line.starts_with(start)).count();
        assert_eq!(count("-A CNI-HOSTPORT-DNAT "), 50);
        assert_eq!(count("-A POSTROUTING -s 10.1.2."), 50);
        assert_eq!(count("-A POSTROUTING "), 51);
        assert_eq!((count("-A PREROUTING "), count("-A OUTPUT ")), (1, 1));
        let filter = saved(variant, "iptables", "filter");
        assert_eq!(filter.iter().filter(|line| line.starts_with("-A CNI-FORWARD ")).count(), 151);
        assert_eq!(filter.iter().filter(|line| line.starts_with("-A FORWARD ")).count(), 1);
    });
}

#[test]
fn who_locks_the_namespaces_file_as_anybody_may_keeps_nobody_waiting() {
    support::in_namespace(|| {
        let namespace = std::fs::File::open("/proc/thread-self/ns/net").expect("the namespace's file");
        namespace.lock().expect("nobody else has it");
        let (done, is_done) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            masquerade::add(&masquerading("c1"), Variant::Default).expect("masquerades");
            done.send(()).expect("somebody waits");
        });
        is_done.recv_timeout(std::time::Duration::from_secs(30)).expect("in a moment");
    });
}

#[test]
fn others_may_change_the_tables_at_the_same_time() {
    with_each_variant(|variant| {
        let others = |family: &str| {
            for _ in 0..30 {
                // Their shared chain comes and goes under our hands, and the rule that leads to it.
                tables(variant, family, &["-w", "-t", "nat", "-N", "OTHERS"]);
                tables(variant, family, &["-w", "-t", "nat", "-A", "POSTROUTING", "-j", "OTHERS"]);
                tables(variant, family, &["-w", "-t", "nat", "-D", "POSTROUTING", "-j", "OTHERS"]);
                tables(variant, family, &["-w", "-t", "nat", "-X", "OTHERS"]);
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(move || others("iptables"));
            for _ in 0..10 {
                masquerade::add(&masquerading("c1"), variant).expect("masquerades");
                masquerade::check(&masquerading("c1"), variant).expect("is there");
                masquerade::remove("net", "c1").expect("removes");
            }
        });
        assert!(everything(variant).concat().is_empty());
    });
}

#[test]
fn garbage_is_what_is_not_valid_in_this_network() {
    with_each_variant(|variant| {
        let address = [network("10.1.2.3/24")];
        for (network, container) in [("net", "c1"), ("net", "c2"), ("net2", "c1")] {
            let mappings = [mapping(8080)];
            let masquerade = Masquerade { network, container, addresses: &address };
            masquerade::add(&masquerade, variant).expect("masquerades");
            let ports = PortMap { network, ..publishing(container, "10.1.2.3/24", &mappings) };
            portmap::add(&ports, variant).expect("publishes");
        }
        masquerade::collect_garbage("net", &["c2"]).expect("collects");
        portmap::collect_garbage("net", &["c2"]).expect("collects");
        let containers = |owned: Vec<masquerade::Owned>| owned.into_iter().map(|o| o.container).collect::<Vec<_>>();
        for network in ["net", "net2"] {
            let valid = if network == "net" { "c2" } else { "c1" };
            assert_eq!(containers(masquerade::list(network).expect("lists")), [valid]);
            assert_eq!(containers(portmap::list(network).expect("lists")), [valid]);
        }
    });
}

#[test]
fn every_shape_of_a_port_mapping_is_accepted_and_found_again() {
    with_each_variant(|variant| {
        let with = |protocol, address: &str, port| Mapping {
            protocol,
            host_address: Some(address.parse().expect("an address")),
            ..mapping(port)
        };
        let many: Vec<Mapping> = (1..=40).map(mapping).collect();
        let mixed = [
            with(Protocol::Udp, "192.0.2.1", 53),
            with(Protocol::Sctp, "0.0.0.0", 54),
            with(Protocol::Tcp, "2001:db8::1", 55),
            with(Protocol::Tcp, "::", 56),
        ];
        let conditions: Vec<Argument> =
            ["!", "-i", "eth1"].iter().map(|word| Argument::new(word).expect("a word")).collect();
        for address in ["10.1.2.3/24", "fd00::3/64"] {
            for masquerade_all in [false, true] {
                for masquerading in [Masquerading::Off, Masquerading::Bit(0), Masquerading::Bit(31)] {
                    for mappings in [&many[..], &mixed[..], &[]] {
                        let base = publishing("c1", address, mappings);
                        let masquerading = masquerading.clone();
                        let ports = PortMap { masquerading, masquerade_all, conditions: &conditions, ..base };
                        portmap::add(&ports, variant).expect("publishes");
                        portmap::check(&ports, variant).expect("is there");
                    }
                }
            }
        }
    });
}

#[test]
fn an_external_mark_chain_is_used_and_nothing_of_ours_made() {
    with_each_variant(|variant| {
        let chain = iptables::Chain::new("KUBE-MARK-MASQ").expect("a name");
        let mappings = [mapping(8080)];
        let base = publishing("c1", "10.1.2.3/24", &mappings);
        let ports = PortMap { masquerading: Masquerading::External(chain), ..base };
        let error = portmap::add(&ports, variant).expect_err("the chain does not exist").to_string();
        assert!(error.contains("KUBE-MARK-MASQ") && error.contains("restore failed"), "{error}");
        assert!(saved(variant, "iptables", "nat").is_empty(), "a refused change leaves nothing");
        tables(variant, "iptables", &["-t", "nat", "-N", "KUBE-MARK-MASQ"]);
        portmap::add(&ports, variant).expect("publishes");
        let nat = saved(variant, "iptables", "nat");
        assert!(!nat.iter().any(|line| line.contains("CNI-HOSTPORT-MASQ") || line.contains("SETMARK")), "{nat:#?}");
    });
}

#[test]
fn hostile_names_stay_names() {
    with_each_variant(|variant| {
        let address = [network("10.1.2.3/24")];
        for name in ["a b", "\"", "x\" -j DROP", "\\", "'", "$(id)", "é"] {
            let masquerade = Masquerade { network: name, container: name, addresses: &address };
            masquerade::add(&masquerade, variant).expect("a name is only a name");
            masquerade::check(&masquerade, variant).expect("found again");
            masquerade::remove(name, name).expect("removes");
        }
        assert!(saved(variant, "iptables", "nat").is_empty());
        let masquerade = Masquerade { network: "a\n-F", container: "c", addresses: &address };
        assert!(matches!(masquerade::add(&masquerade, variant), Err(iptables::Error::Invalid { .. })));
    });
}
