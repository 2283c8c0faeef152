//! Networks are created, shown and removed.

use serde_json::{Value, json};
use tests::{Host, Inside as _};

use super::{fails, idle, succeeds};

fn names(host: &Host, args: &[&str]) -> Vec<String> {
    let listed = host.ferrocni([&["network", "ls", "--format", "{{.Name}}"], args].concat()).ok();
    listed.lines().map(str::to_owned).collect()
}

fn file(host: &Host, name: &str) -> Value {
    serde_json::from_str(&host.read(format!("/etc/cni/net.d/ferrocni-{name}.conflist")).unwrap()).unwrap()
}

fn inspect(host: &Host, name: &str) -> Value {
    let printed = host.ferrocni(["network", "inspect", name]).ok();
    serde_json::from_str::<Value>(&printed).unwrap()[0].take()
}

#[test]
fn a_network_connects_containers_and_goes_with_its_bridge() {
    let host = Host::new();
    let c1 = host.container("c1");
    host.assert_leaves_nothing(|| {
        let id = host.ferrocni(["network", "create", "--subnet", "10.20.0.0/24", "web"]).ok();
        assert_eq!(id.trim().len(), 64);
        let list = file(&host, "web");
        let network = host.chain(&list);
        network.add(&c1, "eth0").ok();
        c1.run(["ping", "-c1", "-W5", "10.20.0.1"]);
        network.del(&c1, "eth0").ok();
        succeeds(&host, &["network", "rm", id.trim()]);
    });
    assert_eq!(names(&host, &[]), ["host", "none"]);
}

#[test]
fn subnets_are_chosen_so_that_nothing_collides() {
    let host = Host::new();
    host.write(
        "/etc/cni/net.d/10-other.conflist",
        json!({"cniVersion": "1.0.0", "name": "other", "plugins": [
            {"type": "bridge", "ipam": {"type": "host-local", "ranges": [[{"subnet": "172.18.5.0/24"}]]}}
        ]})
        .to_string(),
    );
    host.write(
        "/etc/cni/net.d/k8s.io/nerdctl-private.conflist",
        json!({"cniVersion": "1.0.0", "name": "private", "plugins": [
            {"type": "bridge", "ipam": {"type": "host-local", "subnet": "172.19.0.0/16"}}
        ]})
        .to_string(),
    );
    host.shell("ip link add vpn type veth peer name other && ip link set vpn up && ip route add 172.20.1.0/24 dev vpn");
    host.shell("ip route add 0.0.0.0/1 dev vpn && ip route add 128.0.0.0/1 dev vpn");
    for (name, subnet) in [("one", "172.21.0.0/16"), ("two", "172.22.0.0/16")] {
        succeeds(&host, &["network", "create", name]);
        assert_eq!(inspect(&host, name)["IPAM"]["Config"][0]["Subnet"], subnet);
    }
    fails(&host, &["network", "create", "--subnet", "172.18.0.0/16", "three"], 1, "172.18.5.0/24 of network other");
    host.shell(
        "ip route add 172.16.0.0/12 dev vpn; ip route add 192.168.0.0/16 dev vpn; ip route add 10.0.0.0/8 dev vpn",
    );
    fails(&host, &["network", "create", "three"], 1, "the host's route through vpn");
}

#[test]
fn of_many_at_once_one_creates_the_network() {
    let host = Host::new();
    let mut created = host.shell(&format!(
        "export CNI_PATH={0}; for i in $(seq 50); do {0}/ferrocni network create web 2>/dev/null & done; wait",
        tests::bin_dir().display()
    ));
    created.retain(|character| character != '\n');
    assert_eq!(created.len(), 64, "{created}");
    assert_eq!(names(&host, &[]), ["host", "none", "web"]);
    let subnets = host.shell(&format!(
        "export CNI_PATH={0}; for i in $(seq 20); do {0}/ferrocni network create n$i >/dev/null & done; wait; \
         grep -ho '\"subnet\": \"[^\"]*' /etc/cni/net.d/* | sort -u | wc -l; ls -A /etc/cni/net.d | wc -l",
        tests::bin_dir().display()
    ));
    assert_eq!(subnets, "21\n21\n");
}

#[test]
fn a_network_in_use_stays_and_what_the_dead_left_does_not_count() {
    let host = Host::new();
    succeeds(&host, &["network", "create", "web"]);
    let c1 = host.container("c1");
    let network = host.chain(&file(&host, "web"));
    let result = network.add(&c1, "eth0").ok();
    let record = json!({"kind": "cniCacheV1", "containerId": "c1", "ifName": "eth0", "networkName": "web",
        "netns": c1.netns, "cniArgs": [["K8S_POD_NAME", "shop"]], "result": result});
    host.write("/var/lib/cni/results/web-c1-eth0", record.to_string());
    fails(&host, &["network", "rm", "web"], 2, "network web is in use by shop");
    assert_eq!(inspect(&host, "web")["Containers"]["c1"]["Name"], "shop");
    assert_eq!(names(&host, &["--filter", "dangling=false"]), ["host", "none", "web"]);
    let _lost = host.lose(c1);
    assert_eq!(inspect(&host, "web")["Containers"], json!({}));
    assert_eq!(names(&host, &["--filter", "dangling=true"]), ["web"]);
    succeeds(&host, &["network", "rm", "web"]);
    assert!(
        host.shell("ls /var/lib/cni/results; find /var/lib/cni/networks -name '1*'; ip -br link").lines().count() == 1
    );
}

#[test]
fn everybodys_networks_are_listed_and_a_broken_file_is_named() {
    let host = Host::new();
    host.write("/etc/cni/net.d/87-podman.conflist", json!({"cniVersion": "0.4.0", "name": "podman",
        "args": {"podman_labels": {"team": "a"}}, "plugins": [{"type": "bridge", "bridge": "cni-podman0", "isGateway": true,
        "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.88.0.0/16", "gateway": "10.88.0.1"}]]}}]}).to_string());
    host.write(
        "/etc/cni/net.d/lan.conf",
        json!({"cniVersion": "1.0.0", "name": "lan", "type": "macvlan", "master": "eth0",
        "ipam": {"type": "dhcp"}})
        .to_string(),
    );
    host.write("/etc/cni/net.d/broken.conflist", "{");
    succeeds(&host, &["network", "create", "--label", "team=b", "--internal", "web"]);
    let listed = host.ferrocni(["network", "ls"]);
    assert!(listed.stderr.contains("/etc/cni/net.d/broken.conflist"), "{listed}");
    assert_eq!(names(&host, &[]), ["host", "lan", "none", "podman", "web"]);
    for (filter, found) in [
        (&["label=team"][..], &["podman", "web"][..]),
        (&["label=team=b"], &["web"]),
        (&["driver=macvlan"], &["lan"]),
        (&["driver=macvlan", "driver=null"], &["lan", "none"]),
        (&["type=custom", "name=a"], &["lan"]),
        (&["type=builtin"], &["host", "none", "podman"]),
    ] {
        let filters: Vec<_> = filter.iter().flat_map(|filter| ["--filter", filter]).collect();
        assert_eq!(names(&host, &filters), found, "{filter:?}");
    }
    let json = host.ferrocni(["network", "ls", "--filter", "name=web", "--format", "json"]).ok();
    let fields: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (&fields["Internal"], &fields["Labels"], &fields["IPv4"]),
        (&json!("true"), &json!("team=b"), &json!("true"))
    );
    assert_eq!(inspect(&host, "podman")["IPAM"]["Config"][0]["Gateway"], "10.88.0.1");
}

#[test]
fn containers_on_the_networks_without_interfaces_are_shown() {
    let host = Host::new();
    let on = |network: &str| {
        let containers = inspect(&host, network)["Containers"].as_object().unwrap().clone();
        containers.values().map(|container| container["Name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    for network in ["host", "none"] {
        idle(&host, &["--network", network, "--name", network]);
        assert_eq!(on(network), [network]);
        succeeds(&host, &["stop", network]);
        assert_eq!(on(network), [""; 0]);
    }
}

#[test]
fn what_cannot_be_is_refused_and_changes_nothing() {
    let host = Host::new();
    host.write(
        "/etc/cni/net.d/20-pods.conflist",
        json!({"cniVersion": "1.0.0", "name": "pods", "plugins": [{"type": "ptp"}]}).to_string(),
    );
    succeeds(&host, &["network", "create", "-o", "bridge=br9", "web"]);
    let before = host.shell("ls -A /etc/cni/net.d");
    for (args, words) in [
        (&["-d", "vxlan", "x"][..], "driver \"vxlan\" is not known"),
        (&["-d", "host", "x"], "host is there already"),
        (&["a/b"], "network name \"a/b\" is not valid"),
        (&["web"], "network web exists already"),
        (&["host"], "network host is there on every host"),
        (&["--subnet", "10.9.0.0/24", "--gateway", "10.8.0.1", "x"], "gateway 10.8.0.1 is in none"),
        (&["-o", "bridge=br9", "x"], "bridge br9 is that of network web"),
        (&["-o", "mtuu=1400", "x"], "option \"mtuu\" is not known"),
        (&["-d", "ipvlan", "--ipam-driver", "dhcp", "x"], "dhcp"),
        (&["--subnet", "127.5.0.0/24", "x"], "subnet 127.5.0.0/24 has loopback addresses"),
        (&["-o", "mtu=67", "x"], "it is 68 to 65535"),
        (&["-o", "mtu=1279", "--ipv6", "x"], "MTU 1279 is too small for IPv6"),
        (&[&"x".repeat(171)], "choose one of 170 at most"),
    ] {
        fails(&host, &[&["network", "create"], args].concat(), 1, words);
    }
    for args in [&["network", "create"][..], &["network", "create", "--subnet", "10.0.0.1/33", "x"], &["frobnicate"]] {
        assert_eq!(host.ferrocni(args).status.code(), Some(125), "{args:?}");
    }
    for (args, status, words) in [
        (&["network", "rm", "nope"][..], 1, "no network nope"),
        (&["network", "rm", "none"], 1, "cannot be removed"),
        (&["network", "rm", "pods"], 1, "the first one of its folder"),
        (&["network", "inspect", "nope"], 1, "no network nope"),
    ] {
        let failed = host.ferrocni(args);
        assert!(failed.status.code() == Some(status) && failed.stderr.contains(words), "{failed}");
    }
    assert_eq!(host.ferrocni(["network", "exists", "nope"]).status.code(), Some(1));
    succeeds(&host, &["network", "exists", "web"]);
    succeeds(&host, &["network", "rm", "-f", "nope"]);
    assert_eq!(host.shell("ls -A /etc/cni/net.d"), before);
}

#[test]
fn a_network_that_a_node_would_take_for_its_pods_needs_force() {
    let host = Host::new();
    host.write(
        "/etc/cni/net.d/pods.conflist",
        json!({"cniVersion": "1.0.0", "name": "pods", "plugins": [{"type": "ptp"}]}).to_string(),
    );
    fails(&host, &["network", "create", "web"], 1, "would come first");
    succeeds(&host, &["network", "create", "--force", "web"]);
    succeeds(&host, &["network", "create", "app"]);
}

#[test]
fn prune_removes_what_commands_have_created_and_nobody_uses() {
    let host = Host::new();
    host.write(
        "/etc/cni/net.d/10-pods.conflist",
        json!({"cniVersion": "1.0.0", "name": "pods", "plugins": [{"type": "ptp"}]}).to_string(),
    );
    for (name, label) in [("a", "keep=no"), ("b", "keep=yes"), ("bridge", "keep=no")] {
        succeeds(&host, &["network", "create", "--label", label, name]);
    }
    let asked = host.ferrocni(["network", "prune"]);
    assert!(asked.status.success() && asked.stdout.is_empty() && asked.stderr.contains("[y/N]"), "{asked}");
    let pruned = host.ferrocni(["network", "prune", "--force", "--filter", "label!=keep=yes"]).ok();
    assert_eq!(pruned, "Deleted Networks:\na\n");
    assert_eq!(names(&host, &[]), ["b", "bridge", "host", "none", "pods"]);
}
