//! The Go suite beside ours: the same rules, to the byte, and each removes what the other one made.

mod support;

use ipnetwork::IpNetwork;
use iptables::Protocol;
use iptables::firewall::{self, Firewall};
use iptables::isolation::{Isolation, Policy};
use iptables::masquerade::{self, Masquerade};
use iptables::portmap::{self, Mapping, Masquerading, PortMap};
use iptables::{Argument, Chain, Interface, Variant};
use support::{Container, in_namespace, reference, saved, with_each_variant};

const FAMILIES: [&str; 2] = ["iptables", "ip6tables"];
/// What the plugin before it in the chain has made, as a chained plugin sees it.
const PREVIOUS: &str = r#""prevResult": {"cniVersion": "0.4.0",
    "interfaces": [{"name": "cni0"}, {"name": "veth0"}, {"name": "eth0", "sandbox": "/run/netns/x"}],
    "ips": [{"version": "4", "interface": 2, "address": "10.1.2.3/24"}, {"version": "6", "interface": 2, "address": "fd00::3/64"}]}"#;

fn addresses() -> Vec<IpNetwork> {
    ["10.1.2.3/24", "fd00::3/64"].map(|text| text.parse().expect("a network")).to_vec()
}

fn everything(variant: Variant) -> Vec<Vec<String>> {
    FAMILIES.iter().flat_map(|f| ["nat", "filter"].map(|table| saved(variant, f, table))).collect()
}

/// Chains are saved in the order of their making, which means nothing.
fn comparable(variant: Variant) -> Vec<Vec<String>> {
    let mut tables = everything(variant);
    for table in &mut tables {
        table.sort_by_key(|line| {
            (!line.starts_with(':'), if line.starts_with(':') { line.clone() } else { chain(line) })
        });
    }
    tables
}

fn chain(line: &str) -> String {
    line.split(' ').nth(1).unwrap_or_default().to_owned()
}

/// Nothing that belongs to the container.
fn nothing_left(variant: Variant) {
    let lines = everything(variant).concat();
    let own = |line: &&String| ["10.1.2.3", "fd00::3", "CNI-DN-", "id: "].iter().any(|word| line.contains(word));
    assert_eq!(lines.iter().filter(own).count(), 0, "{lines:#?}");
}

/// Runs both in namespaces of their own and compares what they leave; then has each undo the other's work.
fn compare(variant: Variant, theirs: [&(dyn Fn() + Sync); 2], ours: [&(dyn Fn() + Sync); 2]) {
    let (mut expected, mut made) = (Vec::new(), Vec::new());
    in_namespace(|| {
        theirs[0]();
        expected = comparable(variant);
        ours[1]();
        nothing_left(variant);
    });
    in_namespace(|| {
        ours[0]();
        made = comparable(variant);
        theirs[0]();
        assert_eq!(comparable(variant), made, "the Go suite adds nothing to what is complete");
        ours[0]();
        assert_eq!(comparable(variant), made, "nor do we");
        theirs[1]();
        nothing_left(variant);
    });
    assert!(!expected.concat().is_empty());
    for (made, expected) in made.iter().flatten().zip(expected.iter().flatten()) {
        assert_eq!(made, expected);
    }
    assert_eq!(made.len(), expected.len());
}

const BOTH: &[Variant] = &[Variant::Nft, Variant::Legacy];

fn compare_ports(
    variants: &[Variant],
    config: &str,
    mappings: &[Mapping],
    change: impl Fn(PortMap<'_>) -> PortMap<'_> + Sync,
) {
    variants.iter().for_each(|&variant| {
        let config = format!(
            r#"{{"cniVersion": "0.4.0", "name": "net", "type": "portmap", "capabilities": {{"portMappings": true}},
                {config}, {PREVIOUS}}}"#
        );
        let theirs = |command| reference(variant, "portmap", command, "c1", "/run/netns/x", &config);
        let add = || {
            for address in addresses() {
                let ports = change(PortMap {
                    network: "net",
                    container: "c1",
                    address,
                    mappings,
                    masquerading: Masquerading::Bit(13),
                    masquerade_all: false,
                    conditions: &[],
                });
                portmap::add(&ports, variant).expect("publishes");
                portmap::check(&ports, variant).expect("is there");
            }
        };
        let remove = || portmap::remove("net", "c1").expect("removes");
        compare(variant, [&|| theirs("ADD"), &|| theirs("DEL")], [&add, &remove]);
    });
}

fn mapping(protocol: Protocol, host: Option<&str>, host_port: u16) -> Mapping {
    let host_address = host.map(|text| text.parse().expect("an address"));
    Mapping { protocol, host_address, host_port, container_port: 80 }
}

#[test]
fn published_ports_are_the_same() {
    let config = r#""runtimeConfig": {"portMappings": [
        {"hostPort": 8080, "containerPort": 80, "protocol": "tcp"},
        {"hostPort": 8081, "containerPort": 80, "protocol": "tcp", "hostIP": "192.0.2.1"},
        {"hostPort": 8082, "containerPort": 80, "protocol": "tcp", "hostIP": "2001:db8::1"},
        {"hostPort": 8083, "containerPort": 80, "protocol": "udp", "hostIP": "0.0.0.0"}]}"#;
    let mappings = [
        mapping(Protocol::Tcp, None, 8080),
        mapping(Protocol::Tcp, Some("192.0.2.1"), 8081),
        mapping(Protocol::Tcp, Some("2001:db8::1"), 8082),
        mapping(Protocol::Udp, Some("0.0.0.0"), 8083),
    ];
    compare_ports(BOTH, config, &mappings, |ports| ports);
}

#[test]
fn more_ports_than_one_match_holds_are_the_same() {
    let list: Vec<String> =
        (1..=31).map(|port| format!(r#"{{"hostPort": {port}, "containerPort": 80, "protocol": "tcp"}}"#)).collect();
    let config = format!(r#""runtimeConfig": {{"portMappings": [{}]}}"#, list.join(","));
    let mappings: Vec<Mapping> = (1..=31).map(|port| mapping(Protocol::Tcp, None, port)).collect();
    // ip6tables-legacy -C does not compare ports, so the reference leaves all but the first one out there.
    compare_ports(&[Variant::Nft], &config, &mappings, |ports| ports);
}

#[test]
fn another_bit_of_the_mark_under_conditions_is_the_same() {
    let config = r#""markMasqBit": 5, "conditionsV4": ["!", "-i", "eth9"], "conditionsV6": ["!", "-i", "eth9"],
        "runtimeConfig": {"portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]}"#;
    let conditions: Vec<Argument> =
        ["!", "-i", "eth9"].iter().map(|word| Argument::new(word).expect("a word")).collect();
    compare_ports(BOTH, config, &[mapping(Protocol::Tcp, None, 8080)], |ports| {
        let conditions = Box::leak(conditions.clone().into_boxed_slice());
        PortMap { masquerading: Masquerading::Bit(5), conditions, ..ports }
    });
}

#[test]
fn ports_without_source_translation_are_the_same() {
    let config = r#""snat": false,
        "runtimeConfig": {"portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]}"#;
    compare_ports(BOTH, config, &[mapping(Protocol::Tcp, None, 8080)], |ports| PortMap {
        masquerading: Masquerading::Off,
        ..ports
    });
}

#[test]
fn firewall_rules_are_the_same() {
    BOTH.iter().for_each(|&variant| {
        let config = format!(
            r#"{{"cniVersion": "0.4.0", "name": "net", "type": "firewall", "backend": "iptables",
                "iptablesAdminChainName": "MY-ADMIN", "ingressPolicy": "same-bridge", {PREVIOUS}}}"#
        );
        let theirs = |command| reference(variant, "firewall", command, "c1", "/run/netns/x", &config);
        let bridge = Interface::new("cni0").expect("a name");
        let add = || {
            let addresses = addresses();
            let admin = Chain::new("MY-ADMIN").expect("a name");
            let isolation = Some(Isolation { bridge: &bridge, policy: Policy::SameBridge });
            let through = Firewall { addresses: &addresses, admin, published: false, isolation };
            firewall::add(&through, variant).expect("lets through");
            firewall::check(&through, variant).expect("is there");
            theirs("CHECK");
        };
        let remove = || firewall::remove(&addresses()).expect("removes");
        compare(variant, [&|| theirs("ADD"), &|| theirs("DEL")], [&add, &remove]);
    });
}

#[test]
fn masquerading_is_the_same() {
    BOTH.iter().for_each(|&variant| {
        let containers = std::sync::Mutex::new(Vec::new());
        let data = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("ipam-{}", std::process::id()));
        let config = format!(
            r#"{{"cniVersion": "0.4.0", "name": "net", "type": "bridge", "bridge": "cni0", "ipMasq": true,
                "isGateway": true, "ipam": {{"type": "host-local", "dataDir": "{}",
                "ranges": [[{{"subnet": "10.1.2.0/24", "rangeStart": "10.1.2.3", "rangeEnd": "10.1.2.3"}}],
                           [{{"subnet": "fd00::/64", "rangeStart": "fd00::3", "rangeEnd": "fd00::3"}}]]}}}}"#,
            data.display()
        );
        let theirs = |command: &str| {
            let mut containers = containers.lock().expect("no panic before");
            if command == "ADD" {
                let _ = std::fs::remove_dir_all(&data);
                containers.push(Container::new());
            }
            let path = containers.last().map(Container::path).expect("a container");
            reference(variant, "bridge", command, "c1", &path, &config);
        };
        let addresses = addresses();
        let masquerade = Masquerade { network: "net", container: "c1", addresses: &addresses };
        let add = || masquerade::add(&masquerade, variant).expect("masquerades");
        let remove = || masquerade::remove("net", "c1").expect("removes");
        compare(variant, [&|| theirs("ADD"), &|| theirs("DEL")], [&add, &remove]);
    });
}

#[test]
fn what_the_other_variant_holds_is_removed_too() {
    with_each_variant(|variant| {
        let addresses = addresses();
        let masquerade = Masquerade { network: "net", container: "c1", addresses: &addresses };
        for variant in [Variant::Nft, Variant::Legacy] {
            masquerade::add(&masquerade, variant).expect("masquerades");
        }
        masquerade::remove("net", "c1").expect("removes");
        nothing_left(variant);
    });
}
