//! MTU, hardware addresses, the options of the bridge and its ports.

use serde_json::json;
use tests::{Capture, Host, Inside as _, Outcome, reference_differs};

use super::{call, config, gateway, host_end, ipv4, link, mac, network};

#[test]
fn mtu_is_set_on_the_bridge_and_on_both_ends_and_stays_on_the_bridge() {
    let host = Host::new();
    let (c1, c2) = (host.container("c1"), host.container("c2"));
    let network = network(&host, &json!({"mtu": 1400, "isGateway": true, "ipam": ipv4()}));
    let result = network.add(&c1, "eth0").ok();
    for mtu in [&link(&host, "br0")["mtu"], &link(&host, host_end(&result))["mtu"], &link(&c1, "eth0")["mtu"]] {
        assert_eq!(*mtu, 1400);
    }
    network.add(&c2, "eth0").ok();
    c1.shell("ping -n -c1 -W2 -M do -s 1372 10.1.0.3");
    assert!(!c1.try_run(["ping", "-n", "-c1", "-W1", "-M", "do", "-s", "1373", "10.1.0.3"]).status.success());
    for container in [&c1, &c2] {
        network.del(container, "eth0").ok();
    }
    assert!(link(&host, "br0")["mtu"] == 1400 || reference_differs("its bridge follows its ports"));
}

#[test]
fn the_hardware_address_is_the_capability_s_then_args_then_cni_args() {
    let host = Host::new();
    let (all, args, env) = (
        json!({
            "runtimeConfig": {"mac": "02:00:00:00:00:01"}, "args": {"cni": {"mac": "02:00:00:00:00:02"}}
        }),
        json!({"args": {"cni": {"mac": "02:00:00:00:00:02"}}}),
        json!({}),
    );
    for (keys, expected) in [(all, "02:00:00:00:00:01"), (args, "02:00:00:00:00:02"), (env, "02:00:00:00:00:03")] {
        let container = host.container(&format!("c{}", &expected[15..]));
        let add = call(&host, "ADD", &container, &config(&keys)).args("IgnoreUnknown=1;MAC=02:00:00:00:00:03;X=y");
        let result = add.run().ok();
        assert_eq!(link(&container, "eth0")["address"], expected);
        assert_eq!(mac(&result, 2), expected);
    }
}

#[test]
fn a_hardware_address_that_no_interface_can_have_is_refused() {
    let host = Host::new();
    let c1 = host.container("c1");
    let by_env = |mac: &str| call(&host, "ADD", &c1, &config(&json!({}))).args(&format!("MAC={mac}")).run();
    let by_capability = |mac: &str| call(&host, "ADD", &c1, &config(&json!({"runtimeConfig": {"mac": mac}}))).run();
    let refused = |code: u64, outcome: Outcome| {
        if reference_differs("it leaves a bridge and has one code for everything") {
            return;
        }
        let error = outcome.error();
        assert_eq!(error.code, code, "{error:?}");
        assert!(format!("{} {}", error.msg, error.details).to_lowercase().contains("mac"), "{error:?}");
    };
    for bad in ["02:00:00:00:00", "zz:00:00:00:00:01", "01:00:5e:00:00:01"] {
        host.assert_leaves_nothing(|| refused(4, by_env(bad)));
        host.assert_leaves_nothing(|| refused(7, by_capability(bad)));
    }
}

#[test]
fn a_bridge_of_ours_keeps_its_hardware_address() {
    let host = Host::new();
    let (c1, c2) = (host.container("c1"), host.container("c2"));
    let network = network(&host, &gateway(&ipv4()));
    let first = network.add(&c1, "eth0").ok();
    let at_first = mac(&first, 0).to_owned();
    assert_eq!(link(&host, "br0")["address"], at_first);
    host.shell("ip link add low address 02:00:00:00:00:01 master br0 up type veth");
    assert_eq!(mac(&network.add(&c2, "eth0").ok(), 0), at_first);
    network.del(&c1, "eth0").ok();
    host.shell("ip link del low");
    assert_eq!(link(&host, "br0")["address"], at_first);
}

#[test]
fn an_administrator_s_bridge_keeps_working_and_its_hardware_address_once_it_is_a_gateway() {
    let host = Host::new();
    let c1 = host.container("c1");
    host.shell(
        "ip link add br0 type bridge; ip link add p0 address 02:aa:00:00:00:01 master br0 up type veth
         ip link set br0 up; ip addr add 10.77.0.1/24 dev br0; ip link set br0 alias mine",
    );
    let before = host.snapshot();
    // Another family than the administrator's address.
    let network = network(&host, &gateway(&super::ipam(&["fd00:1::/64"])));
    let result = network.add(&c1, "eth0").ok();
    assert_eq!(mac(&result, 0), "02:aa:00:00:00:01");
    host.shell("ip link add low address 02:00:00:00:00:01 master br0 up type veth; ip link del p0");
    assert_eq!(link(&host, "br0")["address"], "02:aa:00:00:00:01");
    assert_eq!(super::addresses(&host, "br0"), ["10.77.0.1/24", "fd00:1::1/64"]);
    c1.shell("ping -n -c1 -w5 fd00:1::1");
    network.del(&c1, "eth0").ok();
    host.shell(
        "ip link add p0 address 02:aa:00:00:00:01 master br0 up type veth
         ip link del low; ip addr del fd00:1::1/64 dev br0",
    );
    host.snapshot().assert_nothing_since(&before);
}

/// A bridge with a physical port, say, has that port's address, and the host is known by it.
#[test]
fn containers_do_not_change_an_administrator_s_bridge_that_has_ports() {
    let host = Host::new();
    host.shell(
        "ip link add br0 type bridge; ip link add p0 address f2:aa:00:00:00:01 master br0 up type veth
         ip link set br0 up",
    );
    for index in 0..20 {
        let container = host.container(&format!("c{index}"));
        network(&host, &json!({"ipam": ipv4()})).add(&container, "eth0").ok();
        assert_eq!(link(&host, "br0")["address"], "f2:aa:00:00:00:01");
    }
}

/// It is not fixed, and would be replaced by its first port's.
#[test]
fn a_bridge_without_ports_keeps_its_hardware_address() {
    let host = Host::new();
    let c1 = host.container("c1");
    // Higher than any address of a port, so that the bridge would take the port's.
    host.shell("ip link add br0 address fe:ff:ff:ff:ff:ff type bridge; ip link set br0 up");
    host.shell("ip link add br1 up type bridge");
    for bridge in ["br0", "br1"] {
        let before = link(&host, bridge)["address"].clone();
        let ifname = format!("eth-{bridge}");
        let keys = json!({"bridge": bridge, "ipam": ipv4()});
        let result = network(&host, &keys).add(&c1, &ifname).ok();
        let after = link(&host, bridge)["address"].clone();
        assert_eq!(after, mac(&result, 0), "{bridge}");
        assert!(
            after == before || reference_differs("it keeps it only with an address of its own"),
            "{bridge}: {before} {after}"
        );
        let id = &link(&host, bridge)["linkinfo"]["info_data"]["bridge_id"];
        assert_ne!(id, "8000.0:0:0:0:0:0", "{bridge}: the spanning tree knows it by its address");
    }
}

#[test]
fn a_link_of_the_bridge_s_name_that_is_none_is_an_error() {
    let host = Host::new();
    let c1 = host.container("c1");
    host.shell("ip link add br0 type veth");
    let error = host.assert_leaves_nothing(|| network(&host, &gateway(&ipv4())).add(&c1, "eth0").error());
    let words = ["br0", "veth", "not a bridge"];
    let clear = words.iter().all(|word| error.msg.contains(word));
    assert!(clear || reference_differs("it does not say what the link is"), "{error:?}");
}

#[test]
fn hairpin_mode_returns_frames_to_their_own_port() {
    let host = Host::new();
    for hairpin in [true, false] {
        let container = host.container(if hairpin { "with" } else { "without" });
        let keys = json!({"hairpinMode": hairpin, "isGateway": true, "ipam": ipv4()});
        let result = network(&host, &keys).add(&container, "eth0").ok();
        let port = link(&host, host_end(&result));
        assert_eq!(port["linkinfo"]["info_slave_data"]["hairpin"], hairpin);
        let request = format!("Request who-has 10.1.0.99 tell {}", tests::address(&result, 0));
        let capture = Capture::start(&container, &container.id, "-i eth0 -Q in arp or icmp");
        container.shell("ping -n -c1 -W1 10.1.0.99 || :");
        container.assert_pings("10.1.0.1");
        capture.assert_sees("ICMP echo reply");
        assert_eq!(capture.frames().contains(&request), hairpin, "{}", capture.frames());
    }
}

#[test]
fn isolated_ports_reach_the_host_and_ordinary_ports_only() {
    let host = Host::new();
    let (web, peer, free) = (host.container("web"), host.container("peer"), host.container("free"));
    let isolated = network(&host, &json!({"portIsolation": true, "isGateway": true, "ipam": ipv4()}));
    let result = isolated.add(&web, "eth0").ok();
    isolated.add(&peer, "eth0").ok();
    network(&host, &gateway(&ipv4())).add(&free, "eth0").ok();
    assert_eq!(link(&host, host_end(&result))["linkinfo"]["info_slave_data"]["isolated"], true);
    let _server = web.listen_tcp(80);
    host.assert_reaches_tcp("10.1.0.2:80");
    free.assert_reaches_tcp("10.1.0.2:80");
    peer.assert_blocked_tcp("10.1.0.2:80");
}

#[test]
fn promisc_mode_makes_the_bridge_receive_everything() {
    let host = Host::new();
    let (c1, c2) = (host.container("c1"), host.container("c2"));
    let is_promiscuous = || link(&host, "br0")["flags"].as_array().unwrap().contains(&json!("PROMISC"));
    network(&host, &json!({})).add(&c1, "eth0").ok();
    assert!(!is_promiscuous());
    network(&host, &json!({"promiscMode": true})).add(&c2, "eth0").ok();
    assert!(is_promiscuous());
}

#[test]
fn macspoofchk_drops_frames_from_another_hardware_address() {
    let host = Host::new();
    let (c1, c2) = (host.container("c1"), host.container("c2"));
    let network = network(&host, &json!({"macspoofchk": true, "isGateway": true, "ipam": super::dual_stack()}));
    let result = network.add(&c1, "eth0").ok();
    network.add(&c2, "eth0").ok();
    let ping = |to: &str| c1.try_run(["ping", "-n", "-c1", "-W1", to]).status.success();
    for to in ["10.1.0.1", "10.1.0.3", "fd00:1::3"] {
        c1.shell(&format!("ping -n -c1 -w5 {to}"));
    }
    c1.shell("ip link set eth0 address 02:00:00:00:00:66");
    for to in ["10.1.0.1", "10.1.0.3", "fd00:1::3"] {
        assert!(!ping(to), "a spoofed frame reached {to}");
    }
    assert!(!host.run(["ip", "neigh"]).contains("02:00:00:00:00:66"), "a spoofed ARP reached the host");
    c1.shell(&format!("ip link set eth0 address {}", mac(&result, 2)));
    c1.shell("ping -n -c1 -w5 10.1.0.3");
    network.del(&c1, "eth0").ok();
    let ruleset = host.nft_json(["list", "ruleset"]).to_string();
    assert!(!ruleset.contains(mac(&result, 2)) && !ruleset.contains(host_end(&result)), "{ruleset}");
    c2.assert_pings("10.1.0.1");
}

#[test]
fn disable_container_interface_leaves_the_container_s_end_down() {
    let host = Host::new();
    let c1 = host.container("c1");
    let network = network(&host, &json!({"disableContainerInterface": true}));
    let result = network.add(&c1, "eth0").ok();
    assert!(!c1.is_up("eth0"));
    assert_eq!(link(&host, host_end(&result))["master"], "br0");
    network.check(&c1, "eth0").ok();
    c1.shell("ip link set eth0 up; ip addr add 10.1.0.2/24 dev eth0");
    host.shell("ip addr add 10.1.0.1/24 dev br0");
    c1.shell("ping -n -c1 -w5 10.1.0.1");
    network.del(&c1, "eth0").ok();
}

#[test]
fn a_network_without_ipam_is_layer_two_only() {
    let host = Host::new();
    let (c1, c2) = (host.container("c1"), host.container("c2"));
    let network = network(&host, &json!({}));
    let result = network.add(&c1, "eth0").ok();
    network.add(&c2, "eth0").ok();
    assert!(result.get("ips").is_none() && result.get("routes").is_none(), "{result}");
    c1.shell("ip addr add 10.9.0.1/24 dev eth0");
    c2.shell("ip addr add 10.9.0.2/24 dev eth0; ping -n -c1 -w5 10.9.0.1");
    if !reference_differs("its CHECK asks an IPAM plugin that the network has not got") {
        network.check(&c1, "eth0").ok();
    }
    network.del(&c1, "eth0").ok();
}
