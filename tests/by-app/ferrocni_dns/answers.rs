//! What is answered to whom.

use serde_json::json;
use tests::Inside as _;

use super::client::{self, ask, ask_tcp, query, resolve, send};
use super::scene::Scene;

/// Every name, every type: what is there is answered, and what is not is no error. A client that is told that there is no AAAA
/// record of a name that does not exist, or no MX record by another server, takes the name for missing.
#[test]
fn every_type_of_a_known_name_is_answered() {
    let scene = Scene::new();
    let web = scene.named(
        "web",
        "net",
        json!({"addresses": ["10.1.0.2", "fd00::2"], "aliases": ["www"], "domain": "dns.podman",
               "ports": [{"protocol": "tcp", "port": 80}], "ttl": 5}),
    );
    for name in ["web", "WEB", "wEb.dns.podman", "web.net", "www", "www.dns.podman", "www.net"] {
        assert_eq!(ask(&web, name, "A").records, [format!("{name} 5 A 10.1.0.2")]);
        assert_eq!(ask(&web, name, "AAAA").records, [format!("{name} 5 AAAA fd00::2")]);
        for kind in ["MX", "HTTPS", "TXT", "ANY", "SOA", "NS", "CNAME", "SRV", "PTR", "TYPE65280"] {
            assert_eq!(resolve(&web, name, kind), [""; 0], "{name} {kind}");
        }
        assert_eq!(ask_tcp(&web, name, "A").data(), ["10.1.0.2"]);
    }
    for reverse in ["2.0.1.10.in-addr.arpa", "2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa"]
    {
        assert_eq!(ask(&web, reverse, "PTR").records, [format!("{reverse} 5 PTR web.dns.podman.")]);
        assert_eq!(resolve(&web, reverse, "A"), [""; 0]);
    }
    let service = ask(&web, "_80._tcp.web", "SRV");
    assert_eq!(service.records, ["_80._tcp.web 5 SRV 0 0 80 web"]);
    assert_eq!(service.additional, ["web 5 A 10.1.0.2", "web 5 AAAA fd00::2"]);
    assert_eq!(resolve(&web, "_80._tcp.web", "A"), [""; 0]);
    for name in ["_81._tcp.web", "_80._udp.web"] {
        assert_eq!(ask(&web, name, "SRV").code, "NXDOMAIN", "{name}");
    }
}

#[test]
fn a_container_sees_its_own_networks_only() {
    let scene = Scene::new();
    let front = scene.named("front", "a", json!({"addresses": ["10.1.0.2"], "forward": false}));
    let back = scene.named("back", "b", json!({"addresses": ["10.2.0.2"], "forward": false}));
    let both = scene.named("both", "a", json!({"addresses": ["10.1.0.3"], "forward": false}));
    let both = scene.attach(both.inside, "b", "eth1", json!({"addresses": ["10.2.0.3"], "forward": false}));
    assert_eq!(resolve(&front, "both", "A"), ["10.1.0.3"]);
    assert_eq!(resolve(&back, "both", "A"), ["10.2.0.3"]);
    assert_eq!(ask(&front, "back", "A").code, "NXDOMAIN");
    assert_eq!(ask(&back, "both.a", "A").code, "NXDOMAIN");
    assert_eq!(resolve(&both, "front", "A"), ["10.1.0.2"]);
    assert_eq!(resolve(&both, "back", "A"), ["10.2.0.2"]);
    let own: Vec<_> = ask(&both, "both", "A").records;
    assert_eq!(own, ["both 0 A 10.1.0.3", "both 0 A 10.2.0.3"], "in the order of its interfaces");
    assert_eq!(resolve(&both, "both.b", "A"), ["10.2.0.3"]);
    assert_eq!(ask(&front, "2.0.2.10.in-addr.arpa", "PTR").code, "NXDOMAIN");
}

#[test]
fn a_name_that_many_have_is_each_of_them_once_in_any_order() {
    let scene = Scene::new();
    let mut first = std::collections::HashSet::new();
    let members: Vec<_> = (2..6)
        .map(|number| {
            let record =
                json!({"addresses": [format!("10.1.0.{number}"), "10.1.0.99", "fd00::1"], "aliases": ["pool"]});
            scene.named(&format!("c{number}"), "net", record)
        })
        .collect();
    for _ in 0..100 {
        let answer = ask(&members[0], "pool", "A");
        assert_eq!(answer.data(), ["10.1.0.2", "10.1.0.3", "10.1.0.4", "10.1.0.5", "10.1.0.99"]);
        first.insert(answer.records[0].clone());
    }
    assert!(first.len() > 2, "{first:?}");
}

#[test]
fn short_ids_links_and_hosts_are_names_too() {
    let scene = Scene::new();
    let id = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    let db = scene.named(id, "net", json!({"name": "db", "addresses": ["10.1.0.2"]}));
    let record = json!({
        "addresses": ["10.1.0.3"], "gateways": ["10.1.0.1", "fd00::1"], "forward": false,
        "links": [{"alias": "store", "container": "db"}, {"alias": "cellar", "container": id}, {"alias": "attic", "container": "gone"}],
        "hosts": [{"name": "printer", "addresses": ["192.0.2.9"]}]});
    let web = scene.named("web", "net", record);
    let other = scene.named(
        "other",
        "net",
        json!({"addresses": ["10.1.0.4"], "gateways": ["10.1.0.1"], "forward": false,
        "hosts": [{"name": "host.docker.internal", "addresses": ["192.0.2.77"]}]}),
    );
    for name in ["db", "0123456789ab", "0123456789ab.net", "store", "cellar"] {
        assert_eq!(resolve(&web, name, "A"), ["10.1.0.2"], "{name}");
    }
    assert_eq!(ask(&web, "attic", "A").code, "NXDOMAIN");
    assert_eq!(resolve(&web, "printer", "A"), ["192.0.2.9"]);
    assert_eq!(resolve(&web, "printer", "AAAA"), [""; 0]);
    for name in ["host.docker.internal", "host.containers.internal"] {
        assert_eq!(resolve(&web, name, "A"), ["10.1.0.1"], "{name}");
        assert_eq!(resolve(&web, name, "AAAA"), ["fd00::1"], "{name}");
    }
    assert_eq!(resolve(&other, "host.docker.internal", "A"), ["192.0.2.77"]);
    for name in ["store", "printer", "0123456789abc"] {
        assert_eq!(ask(&other, name, "A").code, "NXDOMAIN", "{name}");
    }
    drop(db);
}

#[test]
fn a_pod_finds_those_of_its_own_namespace_first() {
    let scene = Scene::new();
    let pod = |id: &str, name: &str, namespace: &str, address: &str| {
        let record =
            json!({"name": name, "addresses": [address], "podNamespace": namespace, "domain": "cluster.local"});
        scene.named(id, "net", record)
    };
    let (one, other) = (pod("id1", "web", "blue", "10.1.0.2"), pod("id2", "web", "green", "10.1.0.3"));
    let plain = scene.named("plain", "net", json!({"addresses": ["10.1.0.4"]}));
    for (asker, name, expected) in [
        (&one, "web", &["10.1.0.2"][..]),
        (&other, "web", &["10.1.0.3"]),
        (&plain, "web", &["10.1.0.2", "10.1.0.3"]),
        (&one, "web.green", &["10.1.0.3"]),
        (&one, "web.blue.cluster.local", &["10.1.0.2"]),
        (&plain, "web.green.net", &["10.1.0.3"]),
    ] {
        assert_eq!(resolve(asker, name, "A"), expected, "{name}");
    }
}

/// What cannot be found is never the fault of a server (libc would ask again), and not to be kept by anybody: there is no SOA.
#[test]
fn what_is_unknown_below_our_domain_or_on_an_internal_network_does_not_exist() {
    let scene = Scene::new();
    let web = scene.named("web", "net", json!({"addresses": ["10.1.0.2"], "domain": "dns.podman"}));
    let inner = scene.named("inner", "inside", json!({"addresses": ["10.2.0.2"], "forward": false}));
    for name in ["nope.dns.podman", "a.b.dns.podman", "dns.podman"] {
        let answer = ask(&web, name, "A");
        assert_eq!((&*answer.code, answer.reason), ("NXDOMAIN", None), "{name}");
    }
    let answer = ask(&inner, "example.com", "A");
    assert_eq!((&*answer.code, answer.reason), ("NXDOMAIN", Some(18)), "prohibited");
    assert_eq!(answer.bytes[8..10], [0, 0], "no authority");
}

#[test]
fn an_answer_that_is_too_long_is_cut_and_comes_whole_over_tcp() {
    let scene = Scene::new();
    let addresses: Vec<_> = (0..200).map(|number| format!("10.1.{number}.1")).collect();
    let web = scene.named("web", "net", json!({"addresses": addresses}));
    for (edns, most) in [(None, 512), (Some(100), 512), (Some(1000), 1000), (Some(4096), 1232)] {
        let answer = send(&web, &query(1, "web", "A", edns)).unwrap();
        assert!(answer.is_cut && answer.bytes.len() <= most, "{edns:?}: {} bytes", answer.bytes.len());
        assert_eq!(answer.edns, edns.map(|_| 1232));
        assert!(
            answer.records.len() > 10 && answer.bytes.len() + 16 > most - 17,
            "as many as fit: {}",
            answer.bytes.len()
        );
    }
    let whole = ask_tcp(&web, "web", "A");
    assert!(!whole.is_cut && whole.records.len() == 200);
}

/// Nothing of the host is touched, and in the container neither its port 53 nor its connection tracking.
#[test]
fn nothing_is_used_of_the_host_and_little_of_the_container() {
    let scene = Scene::new();
    let before = scene.host.shell("nft list ruleset; ss -Hlntu");
    let web = scene.named("web", "net", json!({"addresses": ["10.1.0.2"]}));
    let _own = web.spawn(["socat", "UDP4-LISTEN:53,fork", "EXEC:cat"]);
    assert_eq!(resolve(&web, "web", "A"), ["10.1.0.2"]);
    assert_eq!(ask_tcp(&web, "web", "A").data(), ["10.1.0.2"]);
    assert_eq!(scene.host.shell("nft list ruleset; ss -Hlntu"), before);
    assert_eq!(web.shell("conntrack -L 2>/dev/null | wc -l; iptables -t nat -F"), "0\n");
    assert_eq!(resolve(&web, "web", "A"), ["10.1.0.2"], "after a flush of iptables");
}

#[test]
fn a_container_can_be_answered_on_port_53_itself_or_at_its_gateway() {
    let scene = Scene::new();
    let direct = scene.host.container("direct");
    direct.shell("ip link set lo up");
    let direct = scene.attach(direct, "net", "eth0", json!({"addresses": ["10.1.0.2"], "listen": "direct"}));
    assert_eq!(resolve(&direct, "direct", "A"), ["10.1.0.2"]);
    assert_eq!(ask_tcp(&direct, "direct", "A").data(), ["10.1.0.2"]);

    scene.host.shell(
        "ip link add br0 type bridge; ip addr add 10.1.0.1/24 dev br0; ip addr add fd00::1/64 dev br0 nodad; ip link set br0 up",
    );
    let machine = scene.host.container("machine");
    scene.host.shell("ip link add port master br0 type veth peer name eth0 netns machine; ip link set port up");
    machine.shell("ip addr add 10.1.0.3/24 dev eth0; ip addr add fd00::3/64 dev eth0 nodad; ip link set eth0 up");
    let record = json!({"addresses": ["10.1.0.3", "fd00::3"], "gateways": ["10.1.0.1", "fd00::1"], "listen": "gateway", "forward": false});
    let machine = scene.attach(machine, "net", "eth0", record);
    for gateway in ["10.1.0.1:53", "[fd00::1]:53"] {
        let answer =
            client::send_to(&machine.inside, gateway.parse().unwrap(), &query(1, "direct", "A", None)).unwrap();
        assert_eq!(answer.data(), ["10.1.0.2"], "{gateway}");
    }
    machine.shell("ip addr add 10.1.0.4/24 dev eth0");
    let stranger = machine.try_run(["sh", "-c", "printf x | socat -t1 - UDP4:10.1.0.1:53,bind=10.1.0.4"]);
    assert_eq!(stranger.stdout, "", "who is not known is not answered");
    scene.forget(&machine.attachment).unwrap();
    assert_eq!(scene.host.shell("ss -Hlntu 'sport = :53'"), "");
}

#[test]
fn the_host_s_own_programs_are_answered_if_that_is_wanted() {
    let mut scene = Scene::without_server();
    scene.host.write("/run/resolv.conf", "nameserver 127.0.0.11\n");
    scene.start_with(&["--host"]);
    let _web = scene.named("web", "net", json!({"addresses": ["10.1.0.2", "fd00::2"], "domain": "dns.podman"}));
    let _twin = scene.named("0123456789abcdef", "Other", json!({"addresses": ["10.2.0.2"], "aliases": ["web"]}));
    let asked = |name: &str, kind: &str| ask(&scene.host, name, kind);
    assert_eq!(asked("web.net", "A").data(), ["10.1.0.2"]);
    assert_eq!(asked("WEB.net.", "AAAA").data(), ["fd00::2"]);
    assert_eq!(asked("web.other", "A").data(), ["10.2.0.2"]);
    assert_eq!(asked("0123456789ab.other", "A").data(), ["10.2.0.2"]);
    assert_eq!(asked("2.0.1.10.in-addr.arpa", "PTR").data(), ["web.dns.podman."]);
    assert_eq!(resolve(&scene.host, "web.net", "MX"), [""; 0]);
    assert_eq!(ask_tcp(&scene.host, "web.net", "A").data(), ["10.1.0.2"]);
    // Which network's it would be cannot be told; and the one server that is named is this one.
    for name in ["web", "web.dns.podman", "none.net"] {
        assert_eq!(asked(name, "A").code, "SERVFAIL", "{name}");
    }
    scene.kill();
    scene.start();
    assert!(!scene.host.run(["ss", "-lnH"]).contains("127.0.0.11:53 "), "not without being asked to");
}

#[test]
fn what_would_be_answered_can_be_looked_up() {
    let scene = Scene::new();
    let _web = scene.named("web", "net", json!({"addresses": ["10.1.0.2"], "ttl": 3, "forward": false}));
    let lookup = scene.lookup("web", "web", "A").unwrap();
    assert_eq!(lookup.code, "NOERROR");
    let [record] = &lookup.records[..] else { panic!("{lookup:?}") };
    assert_eq!((&*record.name, &*record.kind, record.ttl, &*record.data), ("web", "A", 3, "10.1.0.2"));
    let lookup = scene.lookup("web", "example.com", "AAAA").unwrap();
    assert_eq!((&*lookup.code, lookup.reason.as_deref()), ("NXDOMAIN", Some("Prohibited")));
    for (container, name, kind, words) in
        [("nope", "web", "A", "no record"), ("web", "a..b", "A", "no DNS name"), ("web", "web", "B", "no type")]
    {
        let error = scene.lookup(container, name, kind).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }
    let status = scene.status().unwrap();
    assert_eq!((status.namespaces, status.records, status.names), (1, 1, 1));
    assert!(status.problems.iter().any(|problem| problem.contains("/run/resolv.conf")), "{status:?}");
}
