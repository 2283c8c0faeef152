//! The harness itself: a test that cannot fail proves nothing.

use std::fs;
use std::path::Path;

use serde_json::json;
use tests::{Host, Inside as _, address, every_plugin_rules};

#[test]
fn a_host_has_nothing_of_the_machine() {
    let host = Host::new();
    assert_eq!(host.ip_json(["link"]).as_array().unwrap().len(), 1);
    assert_eq!(host.read("/proc/sys/net/ipv4/ip_forward").unwrap(), "0\n");
    assert_eq!(host.run(["ls", "/sys/class/net"]), "lo\n");
    assert_eq!(host.run(["sh", "-c", "echo /var/lib/cni/* /etc/cni/*"]), "/var/lib/cni/* /etc/cni/*\n");
    assert!(host.run(["ls", "/sys/fs/cgroup"]).len() > 1);
}

#[test]
fn everything_in_a_host_ends_with_it() {
    let host = Host::new();
    let _ = host.run(["sh", "-c", "setsid sleep 1000 >/dev/null 2>&1 & echo started"]);
    let namespaces = host.run(["readlink", "/proc/self/ns/pid"]);
    let of_the_host = |path: &std::path::Path| {
        std::fs::read_link(path.join("ns/pid")).is_ok_and(|link| link.to_string_lossy() == namespaces.trim())
    };
    let survivors = || std::fs::read_dir("/proc").unwrap().flatten().filter(|p| of_the_host(&p.path())).count();
    assert_eq!(survivors(), 3, "tini, cat and sleep");
    drop(host);
    assert_eq!(survivors(), 0);
}

#[test]
fn a_snapshot_sees_every_kind_of_leftover() {
    let cases = [
        ("ip link add v0 type veth peer name v1", "link dev v0 kind veth"),
        ("ip link set lo alias ferrocni:n/c/eth0", "alias ferrocni:n/c/eth0"),
        ("ip link add br0 type bridge; ip link add v2 master br0 type veth peer name v3", "link dev br0 kind bridge"),
        ("ip addr add 10.9.0.1/24 dev lo", "address 10.9.0.1/24 dev lo"),
        ("ip route add 10.8.0.0/24 dev lo table 77", "route unicast 10.8.0.0/24 dev lo table 77"),
        ("ip -6 route add fd01::/64 dev lo", "fd01::/64 dev lo"),
        ("ip rule add from 10.9.9.9 table 77", "10.9.9.9"),
        ("nft add table inet other", "nft table inet other"),
        (
            "nft add table inet ferrocni; nft add set inet ferrocni s '{type ipv4_addr;}'
             nft add element inet ferrocni s '{1.2.3.4 comment \"ferrocni:n/c/eth0\"}'",
            "nft element inet ferrocni s: {\"elem\":{\"val\":\"1.2.3.4\"",
        ),
        ("iptables-nft -A FORWARD -s 10.1.1.1 -j ACCEPT", "iptables-nft-save filter -A FORWARD"),
        ("ip6tables-nft -A FORWARD -s fd00::1 -j ACCEPT", "ip6tables-nft-save filter -A FORWARD"),
        ("iptables-legacy -A FORWARD -s 10.1.1.1 -j ACCEPT", "iptables-legacy-save filter -A FORWARD"),
        ("ip6tables-legacy -t nat -N CNI-12", "ip6tables-legacy-save nat chain CNI-12"),
        ("mkdir -p /var/lib/cni/networks/n; echo c1 > /var/lib/cni/networks/n/10.1.0.2", "networks/n/10.1.0.2 \"c1"),
        ("mkdir -p /run/ferrocni; touch /run/ferrocni/x", "file /run/ferrocni/x"),
        ("ip netns add lost", "namespace lost"),
        ("ip link add tunl0 type veth peer name v4", "link dev tunl0 kind veth"),
    ];
    let host = Host::new();
    let c = host.container("c");
    let at_first = host.snapshot();
    for (change, line) in cases {
        let before = host.snapshot();
        host.shell(change);
        let leftovers = host.snapshot().leftovers(&before);
        assert!(leftovers.iter().any(|left| left.contains(line)), "{change}: {leftovers:#?}");
    }
    c.run(["ip", "addr", "add", "10.7.0.1/24", "dev", "lo"]);
    let leftovers = host.snapshot().leftovers(&at_first);
    assert!(leftovers.contains(&"+ c address 10.7.0.1/24 dev lo ".to_owned()), "{leftovers:#?}");
}

#[test]
fn a_new_bridge_without_ports_is_no_leftover() {
    let host = Host::new();
    host.assert_leaves_nothing(|| {
        host.shell("ip link add br0 up type bridge; ip addr add 10.1.0.1/24 dev br0; ip addr add fd00::1/64 dev br0");
    });
    let before = host.snapshot();
    host.shell("ip addr add 10.2.0.1/24 dev br0");
    assert!(!host.snapshot().leftovers(&before).is_empty());
}

#[test]
fn neighbours_reach_each_other_and_strangers_do_not() {
    let host = Host::new();
    let (neighbour, stranger) = (host.neighbour(), Host::new());
    let (_tcp, _udp) = (host.listen_tcp(80), host.listen_udp(53));
    neighbour.assert_pings("192.0.2.1");
    assert_eq!(neighbour.assert_reaches_tcp("192.0.2.1:80").ip().to_string(), "192.0.2.2");
    assert_eq!(neighbour.assert_reaches_tcp("[2001:db8::1]:80").ip().to_string(), "2001:db8::2");
    assert_eq!(neighbour.assert_reaches_udp("[2001:db8::1]:53").ip().to_string(), "2001:db8::2");
    assert_eq!(host.assert_reaches_udp("127.0.0.1:53").ip().to_string(), "127.0.0.1");
    stranger.assert_blocked_tcp("192.0.2.1:80");
    stranger.assert_blocked_udp("192.0.2.1:53");
    neighbour
        .shell("nft add table inet t; nft 'add chain inet t c {type filter hook output priority 0; policy drop;}'");
    neighbour.assert_blocked_tcp("192.0.2.1:80");
    neighbour.assert_blocked_udp("[2001:db8::1]:53");
}

#[test]
fn a_bridge_passes_what_holds_for_every_plugin() {
    let host = Host::new();
    let c = host.container("c1");
    let network = host.chain(&json!({"name": "n", "plugins": [{
        "type": "bridge", "bridge": "br0", "isGateway": true,
        "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.1.0.0/24"}], [{"subnet": "fd00:1::/64"}]]},
    }]}));
    every_plugin_rules(&network, &c, "eth0");
    let reply = network.add(&c, "eth0").ok();
    let _server = c.listen_tcp(80);
    host.assert_reaches_tcp(&format!("{}:80", address(&reply, 0)));
    host.assert_reaches_tcp(&format!("{}:80", address(&reply, 1)));
}

#[test]
fn a_plugin_is_killed_at_every_change() {
    let host = Host::new();
    let c = host.container("c1");
    let lo = json!({"type": "loopback"});
    let mut points = Vec::new();
    let add = host.cni("loopback").command("ADD").container(&c).ifname("lo").config(&lo);
    let kills = add.killed_at_every_change(|point| {
        points.push(point.to_owned());
        host.cni("loopback").command("DEL").container(&c).ifname("lo").config(&lo).run().ok();
    });
    assert!(kills >= 2, "{points:?}");
    assert!(points.iter().any(|point| point == "sendto 1"), "{points:?}");
}

#[test]
fn a_hundred_hosts_live_at_once() {
    let hosts: Vec<_> = (0..100).map(|_| Host::new()).collect();
    for host in &hosts {
        let _server = host.listen_tcp(80);
        host.assert_reaches_tcp("127.0.0.1:80");
    }
}

#[test]
fn a_failing_program_in_the_background_fails_its_test() {
    let host = Host::new();
    let failing = host.spawn(["sh", "-c", "exit 3"]);
    assert!(std::panic::catch_unwind(|| failing.wait()).is_err());
}

/// The table names tests that exist, each once, in order.
#[test]
fn the_table_of_the_reference_s_differences_is_up_to_date() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let table = fs::read_to_string(root.join("reference_differences.txt")).unwrap();
    for section in table.split("\n\n").skip(1) {
        let (target, rows) = section.split_once('\n').unwrap();
        let folder = root.join(target.trim_matches(['[', ']']));
        let names: Vec<&str> = rows.lines().map(|row| row.split_once(": ").expect("a name and a reason").0).collect();
        assert!(names.is_sorted_by(|before, after| before < after), "{target}: sort it, and name each test once");
        for name in names {
            let (module, function) = name.rsplit_once("::").expect("a test in a module");
            let source = folder.join(module.replace("::", "/")).with_extension("rs");
            let code =
                fs::read_to_string(&source).unwrap_or_else(|error| panic!("{name}: {}: {error}", source.display()));
            assert!(code.contains(&format!("\nfn {function}(")), "{target}: there is no test {name} any more");
        }
    }
}

#[test]
fn what_is_the_machine_s_cannot_be_changed() {
    let host = Host::new();
    for setting in ["fs/inotify/max_queued_events", "kernel/panic", "vm/swappiness"] {
        let path = format!("/proc/sys/{setting}");
        let value = host.read(&path).unwrap();
        assert!(
            !host.shell(&format!("echo {} 2>/dev/null > {path} || echo refused", value.trim())).is_empty(),
            "{path}"
        );
    }
    host.shell("echo 1 > /proc/sys/net/ipv4/ip_forward");
}
