//! What hangs together is shown, as data and in pictures.

use serde_json::{Value, json};
use tests::{Container, Host, Inside as _, wire};

#[track_caller]
fn create(host: &Host, args: &[&str]) -> Value {
    let _id = host.ferrocni([&["network", "create"], args].concat()).ok();
    let name = args.last().unwrap();
    serde_json::from_str(&host.read(format!("/etc/cni/net.d/ferrocni-{name}.conflist")).unwrap()).unwrap()
}

/// Attaches a container to a network as a runtime does, and with `more` of what it records. Returns the result.
#[track_caller]
fn attach(host: &Host, list: &Value, container: &Container, ifname: &str, more: &Value) -> Value {
    let result = host.chain(list).add(container, ifname).ok();
    let network = list["name"].as_str().unwrap();
    let mut record = json!({"kind": "cniCacheV1", "containerId": container.id, "ifName": ifname, "networkName": network,
        "netns": container.netns, "result": result});
    record.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    host.write(format!("/var/lib/cni/results/{network}-{}-{ifname}", container.id), record.to_string());
    result
}

#[track_caller]
fn topology(host: &Host, args: &[&str]) -> Value {
    let printed = host.ferrocni([&["topology", "--format", "json"], args].concat()).ok();
    serde_json::from_str(&printed).unwrap()
}

/// The interfaces of a result: the host's end and the container's.
fn ends(result: &Value) -> (&Value, &Value) {
    let interfaces = result["interfaces"].as_array().unwrap();
    let inside = interfaces.iter().find(|interface| interface["sandbox"].is_string()).unwrap();
    let outside = interfaces.iter().rfind(|interface| !interface["sandbox"].is_string()).unwrap();
    (outside, inside)
}

fn attached(network: &str, result: &Value) -> Value {
    let (outside, inside) = ends(result);
    let addresses: Vec<_> = result["ips"].as_array().unwrap().iter().map(|ip| ip["address"].clone()).collect();
    json!({"network": network, "interface": inside["name"], "mac": inside["mac"], "addresses": addresses,
        "aliases": [], "hostInterface": outside["name"], "recorded": true})
}

#[test]
fn everything_hangs_where_it_belongs() {
    let (host, _outside) = wire();
    host.shell("hostname node1; ip route add default via 192.0.2.2");
    let front = create(&host, &["--subnet", "10.20.0.0/24", "front"]);
    let back = create(&host, &["--subnet", "10.21.0.0/24", "--internal", "back"]);
    host.write(
        "/etc/cni/net.d/87-podman.conflist",
        json!({"cniVersion": "0.4.0", "name": "podman", "plugins": [
        {"type": "bridge", "bridge": "cni-podman0", "isGateway": true,
         "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.88.0.0/16", "gateway": "10.88.0.1"}]]}}]})
        .to_string(),
    );
    let (web, db) = (host.container("web"), host.container("db"));
    let ports = json!({"portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]});
    let of_web = json!({"cniArgs": [["K8S_POD_NAME", "shop"]], "capabilityArgs": ports,
        "netns": "/run/netns/netns-8a0b1f42"});
    let on_front = attach(&host, &front, &web, "eth0", &of_web);
    let on_back = attach(&host, &back, &web, "eth1", &of_web);
    let of_db = attach(&host, &back, &db, "eth0", &json!({}));
    host.write(
        "/var/lib/cni/results/front-dead-eth0",
        json!({"kind": "cniCacheV1", "containerId": "dead",
        "ifName": "eth0", "networkName": "front", "netns": "/run/netns/dead", "result": {"cniVersion": "1.0.0"}})
        .to_string(),
    );
    let seen = topology(&host, &[]);
    assert_eq!(
        seen["containers"],
        json!([
            {"id": "db", "name": "db", "runtime": null, "ports": [], "attachments": [attached("back", &of_db)]},
            {"id": "web", "name": "shop", "runtime": "podman",
             "ports": [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp", "hostIP": ""}],
             "attachments": [attached("front", &on_front), attached("back", &on_back)]},
        ])
    );
    assert_eq!(seen["dead"], 1);
    let network = |name: &str, subnet: &str, gateway: Value, internal: bool, bridge: &Value, file: &str| {
        let id = host.ferrocni(["network", "inspect", "--format", "{{.Id}}", name]).ok();
        json!({"name": name, "id": id.trim(), "driver": "bridge", "interface": bridge, "internal": internal,
            "subnets": [{"subnet": subnet, "gateway": gateway}], "file": format!("/etc/cni/net.d/{file}")})
    };
    let bridges = [&front, &back].map(|list| &list["plugins"][0]["bridge"]);
    let gateway = |list: &Value| list["plugins"][0]["ipam"]["ranges"][0][0]["gateway"].clone();
    assert_eq!(
        seen["networks"],
        json!([
            network("back", "10.21.0.0/24", gateway(&back), true, bridges[1], "ferrocni-back.conflist"),
            network("front", "10.20.0.0/24", gateway(&front), false, bridges[0], "ferrocni-front.conflist"),
            network("podman", "10.88.0.0/16", json!("10.88.0.1"), false, &json!("cni-podman0"), "87-podman.conflist"),
        ])
    );
    assert_eq!(seen["host"]["name"], "node1");
    let links = seen["host"]["links"].as_array().unwrap();
    let shown = links.iter().map(|link| json!([link["name"], link["kind"], link["addresses"], link["defaultRoute"]]));
    let expected = json!([
        ["uplink", "veth", ["192.0.2.1/24", "2001:db8::1/64"], true],
        [bridges[0], "bridge", ["10.20.0.1/24"], false],
        [bridges[1], "bridge", host.addresses(bridges[1].as_str().unwrap()), false],
    ]);
    assert_eq!(json!(shown.collect::<Vec<_>>()), expected);
}

#[test]
fn what_only_a_label_tells_of_is_shown_too() {
    let host = Host::new();
    let (known, lost) = (create(&host, &["known"]), create(&host, &["lost"]));
    let (c1, c2) = (host.container("c1"), host.container("c2"));
    host.chain(&known).add(&c1, "eth0").ok();
    host.chain(&lost).add(&c2, "eth0").ok();
    host.shell("rm /etc/cni/net.d/ferrocni-lost.conflist");
    let seen = topology(&host, &[]);
    let containers = seen["containers"].as_array().unwrap();
    let shown = containers
        .iter()
        .map(|one| json!([one["name"], one["attachments"][0]["network"], one["attachments"][0]["recorded"]]));
    assert_eq!(json!(shown.collect::<Vec<_>>()), json!([["c1", "known", false], ["c2", "lost", false]]));
    assert_eq!(seen["networks"][1]["interface"], lost["plugins"][0]["bridge"]);
    assert_eq!((&seen["networks"][1]["driver"], &seen["networks"][1]["file"]), (&json!(""), &Value::Null));
    let tree = host.ferrocni(["topology"]).ok();
    assert!(tree.contains("its configuration is gone"), "{tree}");
    let _gone = host.lose(c2);
    assert_eq!(topology(&host, &[])["networks"].as_array().unwrap().len(), 1);
}

#[test]
fn a_container_without_an_end_on_the_host_lives_while_its_interface_does() {
    let (host, _outside) = wire();
    let lan = create(&host, &["-d", "macvlan", "-o", "parent=uplink", "--subnet", "10.22.0.0/24", "lan"]);
    let c1 = host.container("c1");
    attach(&host, &lan, &c1, "eth0", &json!({}));
    let tree = host.ferrocni(["topology"]).ok();
    let lines: Vec<_> =
        tree.lines().map(|line| line.split_whitespace().take(4).collect::<Vec<_>>().join(" ")).collect();
    assert!(lines.contains(&"└─ network lan macvlan".to_owned()) && tree.contains("c1  eth0  10.22.0."), "{tree}");
    c1.run(["ip", "link", "del", "eth0"]);
    let seen = topology(&host, &[]);
    assert_eq!((&seen["containers"], &seen["dead"]), (&json!([]), &json!(1)));
}

#[test]
fn only_the_networks_that_are_named_are_shown() {
    let host = Host::new();
    let (one, two) = (create(&host, &["one"]), create(&host, &["two"]));
    let c1 = host.container("c1");
    attach(&host, &one, &c1, "eth0", &json!({}));
    attach(&host, &two, &c1, "eth1", &json!({}));
    let seen = topology(&host, &["two"]);
    assert_eq!((seen["networks"].as_array().unwrap().len(), &seen["networks"][0]["name"]), (1, &json!("two")));
    let attachments = seen["containers"][0]["attachments"].as_array().unwrap();
    assert_eq!((attachments.len(), &attachments[0]["interface"]), (1, &json!("eth1")));
    let links = seen["host"]["links"].as_array().unwrap();
    assert_eq!((links.len(), &links[0]["name"]), (1, &two["plugins"][0]["bridge"]));
    let failed = host.ferrocni(["topology", "three"]);
    assert_eq!(failed.status.code(), Some(1));
    assert!(failed.stdout.is_empty() && failed.stderr.contains("no network three"), "{failed}");
}

#[test]
fn hostile_names_and_broken_records_spoil_no_picture() {
    let host = Host::new();
    let web = create(&host, &["web"]);
    let name = "x\u{1b}[2J\n\"]; end </title><script>alert(1)</script>`";
    attach(&host, &web, &host.container("c1"), "eth0", &json!({"cniArgs": [["K8S_POD_NAME", name]]}));
    host.write("/var/lib/cni/results/broken", "{");
    for format in ["tree", "mermaid", "svg", "json"] {
        let drawn = host.ferrocni(["topology", "--format", format]);
        assert!(drawn.status.success() && drawn.stderr.contains("/var/lib/cni/results/broken"), "{drawn}");
        assert_eq!(drawn.stderr.lines().count(), 1, "{drawn}");
        assert!(!drawn.stdout.contains(|character: char| character.is_control() && character != '\n'), "{drawn}");
        assert!(!(["mermaid", "svg"].contains(&format) && drawn.stdout.contains("<script")), "{drawn}");
    }
    assert_eq!(topology(&host, &[])["containers"][0]["name"], name);
}

#[test]
fn a_file_gets_what_it_is_called_after() {
    let host = Host::new();
    create(&host, &["web"]);
    for (file, beginning) in [("a.svg", "<svg "), ("a.mmd", "flowchart LR\n"), ("a.json", "{\n"), ("a.txt", "")] {
        let path = format!("/run/{file}");
        assert_eq!(host.ferrocni(["topology", "-o", &path]).ok(), "");
        assert!(host.read(&path).unwrap().starts_with(beginning), "{file}");
    }
    assert!(host.read("/run/a.txt").unwrap().contains("└─ network web  bridge"));
    let failed = host.ferrocni(["topology", "-o", "/nowhere/a.svg"]);
    assert!(failed.status.code() == Some(1) && failed.stderr.contains("cannot write /nowhere/a.svg"), "{failed}");
}

#[test]
fn the_host_s_end_of_a_container_s_link_is_no_link_of_the_host() {
    let host = Host::new();
    host.shell("ip link add with type veth peer name without; ip addr add 192.0.2.1/24 dev with");
    let list = json!({"cniVersion": "1.0.0", "name": "routed", "plugins": [
        {"type": "ptp", "ipam": {"type": "host-local", "subnet": "10.23.0.0/24"}}]});
    host.write("/etc/cni/net.d/10-routed.conflist", list.to_string());
    let result = attach(&host, &list, &host.container("c1"), "eth0", &json!({}));
    assert!(!host.addresses(ends(&result).0["name"].as_str().unwrap()).is_empty());
    for args in [&[][..], &["routed"]] {
        let seen = topology(&host, args);
        let names = seen["host"]["links"].as_array().unwrap().iter().map(|link| link["name"].as_str().unwrap());
        assert_eq!(names.collect::<Vec<_>>(), if args.is_empty() { vec!["with"] } else { vec![] });
        assert_eq!(seen["containers"][0]["attachments"][0], attached("routed", &result));
        assert_eq!(seen["networks"][0]["interface"], Value::Null);
    }
}
