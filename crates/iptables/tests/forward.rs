//! What the kernel says of the host's FORWARD chain, without a child process.

mod support;

use iptables::{Family, Variant, forward_drops, forward_drops_the_rest};
use support::{in_namespace, tables, with_each_variant};

const FAMILIES: [(Family, &str); 2] = [(Family::V4, "iptables"), (Family::V6, "ip6tables")];

#[test]
fn a_namespace_without_rules_drops_nothing_and_asking_loads_nothing() {
    in_namespace(|| {
        for (family, _) in FAMILIES {
            assert_eq!(forward_drops(family).expect("the kernel answers"), []);
        }
        iptables::portmap::remove("net", "c1").expect("nothing to remove");
        for list in ["ip_tables_names", "ip6_tables_names"] {
            let names = std::fs::read_to_string(format!("/proc/thread-self/net/{list}")).expect("the list");
            assert_eq!(names, "");
        }
    });
}

#[test]
fn a_drop_policy_is_seen_in_its_variant_and_family() {
    with_each_variant(|variant| {
        for (family, program) in FAMILIES {
            tables(variant, program, &["-P", "INPUT", "DROP"]);
            assert_eq!(forward_drops(family).expect("the kernel answers"), []);
            tables(variant, program, &["-P", "FORWARD", "DROP"]);
            assert_eq!(forward_drops(family).expect("the kernel answers"), [variant]);
            assert_eq!(forward_drops_the_rest(family).expect("the kernel answers"), [variant]);
            tables(variant, program, &["-P", "FORWARD", "ACCEPT"]);
            assert_eq!(forward_drops(family).expect("the kernel answers"), []);
        }
    });
}

#[test]
fn drop_and_reject_rules_count_only_directly_in_forward() {
    with_each_variant(|variant| {
        for (family, program) in FAMILIES {
            let drops = || !forward_drops(family).expect("the kernel answers").is_empty();
            let drops_the_rest = || !forward_drops_the_rest(family).expect("the kernel answers").is_empty();
            tables(variant, program, &["-N", "OTHERS"]);
            tables(variant, program, &["-A", "OTHERS", "-j", "DROP"]);
            tables(variant, program, &["-A", "OUTPUT", "-j", "DROP"]);
            tables(variant, program, &["-A", "FORWARD", "-i", "x", "-m", "comment", "--comment", "c", "-j", "ACCEPT"]);
            assert!(!drops(), "{program}");
            for target in ["DROP", "REJECT"] {
                tables(variant, program, &["-A", "FORWARD", "-i", "eth7", "-p", "tcp", "-j", target]);
                assert!(drops() && !drops_the_rest(), "{program} {target}: only some");
                tables(variant, program, &["-A", "FORWARD", "-j", target]);
                assert!(drops_the_rest(), "{program} {target}");
                tables(variant, program, &["-I", "FORWARD", "-j", "ACCEPT"]);
                assert!(!drops_the_rest(), "{program} {target}: all is accepted before");
                tables(variant, program, &["-D", "FORWARD", "-j", "ACCEPT"]);
                tables(variant, program, &["-D", "FORWARD", "-j", target]);
                tables(variant, program, &["-D", "FORWARD", "-i", "eth7", "-p", "tcp", "-j", target]);
                assert!(!drops(), "{program} {target}");
            }
        }
    });
}

#[test]
fn both_variants_may_drop_at_once() {
    in_namespace(|| {
        tables(Variant::Nft, "iptables", &["-P", "FORWARD", "DROP"]);
        tables(Variant::Legacy, "iptables", &["-P", "FORWARD", "DROP"]);
        assert_eq!(forward_drops(Family::V4).expect("the kernel answers"), [Variant::Nft, Variant::Legacy]);
    });
}
