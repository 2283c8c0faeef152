//! Each limit as traffic meets it. Of the rates that iperf3 measures, those of the receiver's seconds count, after the first
//! ones, in which the burst is used up.

use std::thread;

use serde_json::{Value, json};
use tests::{Host, Inside, address, example, reference_differs, wire};

use super::{both, call, disciplines, ifbs, network, with_veth};

const MEGABIT: f64 = 1e6;

/// What iperf3 reports of a transfer to a server of its own.
fn transfer(from: &impl Inside, to: &impl Inside, address: &str, more: &[&str]) -> Value {
    let _server = to.spawn(["iperf3", "-s", "-1", "-J"]);
    to.shell("until ss -Hltn sport = 5201 | grep -q .; do sleep 0.05; done");
    let address = address.trim_matches(['[', ']']);
    let client = ["iperf3", "-c", address, "-J", "--get-server-output", "--connect-timeout", "5000"];
    serde_json::from_str(&from.run(client.iter().chain(more))).unwrap()
}

/// What the receiver got, in Mbit/s: the median of some seconds.
fn measured(from: &impl Inside, to: &impl Inside, address: &str, more: &[&str]) -> f64 {
    let report = transfer(from, to, address, more);
    let intervals = report["server_output_json"]["intervals"].as_array().unwrap_or_else(|| panic!("{report}"));
    let seconds = intervals.iter().map(|second| &second["sum"]);
    // The last one may be a small rest.
    let whole = seconds.filter(|sum| sum["omitted"] == false && sum["seconds"].as_f64().unwrap() > 0.5);
    let mut rates: Vec<f64> = whole.map(|sum| sum["bits_per_second"].as_f64().unwrap() / MEGABIT).collect();
    rates.sort_by(f64::total_cmp);
    assert!(!rates.is_empty(), "{report}");
    rates[rates.len() / 2]
}

/// What the receiver got on average of the whole, in Mbit/s.
fn received(from: &impl Inside, to: &impl Inside, address: &str, more: &[&str]) -> f64 {
    let report = transfer(from, to, address, more);
    report["end"]["sum_received"]["bits_per_second"].as_f64().unwrap() / MEGABIT
}

const STEADY: [&str; 4] = ["-O", "2", "-t", "7"];

#[track_caller]
fn assert_within_a_tenth(measured: f64, wanted: f64, what: &str) {
    assert!((wanted * 0.9..wanted * 1.1).contains(&measured), "{what}: {measured:.1} instead of {wanted} Mbit/s");
}

/// Each with a container of its own; but the host has one port for iperf3, so what it receives is measured one by one.
#[test]
fn both_directions_are_limited_over_both_families() {
    let host = Host::new();
    let network = network(&host, &both());
    let attach = |name: String| {
        let container = host.container(&name);
        let result = network.add(&container, "eth0").ok();
        (container, result)
    };
    let [receiving, sending] =
        ["receives", "sends"].map(|what| [4, 6].map(|family| attach(format!("{what}-{family}"))));
    // The reference lets the kernel look for duplicates of the bridge's address, which cannot be used until then.
    host.wait_for_ipv6();
    let receive = |family: usize| {
        let (container, result) = &receiving[family];
        measured(&host, container, &address(result, family), &STEADY)
    };
    let send = |family: usize| measured(&sending[family].0, &host, ["10.1.0.1", "fd00:1::1"][family], &STEADY);
    thread::scope(|scope| {
        let receive = &receive;
        let received = [0, 1].map(|family| scope.spawn(move || receive(family)));
        let sent = [0, 1].map(send);
        for (family, (received, sent)) in received.into_iter().zip(sent).enumerate() {
            assert_within_a_tenth(received.join().unwrap(), 20.0, &format!("received, address {family}"));
            assert_within_a_tenth(sent, 40.0, &format!("sent, address {family}"));
        }
    });
}

#[test]
fn the_example_limits_both_directions() {
    let (host, outside) = wire();
    let (receives, sends) = (host.container("receives"), host.container("sends"));
    let network = host.chain(&example("bandwidth"));
    let result = network.add(&receives, "eth0").ok();
    network.add(&sends, "eth0").ok();
    thread::scope(|scope| {
        let received = scope.spawn(|| measured(&host, &receives, &address(&result, 0), &STEADY));
        assert_within_a_tenth(measured(&sends, &outside, "192.0.2.2", &STEADY), 20.0, "sent");
        assert_within_a_tenth(received.join().unwrap(), 50.0, "received");
    });
}

#[test]
fn a_direction_without_a_limit_has_none() {
    let host = Host::new();
    let ingress = json!({"ingressRate": 20_000_000, "ingressBurst": 4_000_000});
    let c1 = host.container("c1");
    network(&host, &ingress).add(&c1, "eth0").ok();
    assert!(ifbs(&host).is_empty());
    assert!(measured(&c1, &host, "10.1.0.1", &["-t", "2"]) > 40.0);

    let egress = json!({"egressRate": 20_000_000, "egressBurst": 4_000_000});
    let c2 = host.container("c2");
    let result = network(&host, &egress).add(&c2, "eth0").ok();
    assert_eq!(ifbs(&host).len(), 1);
    assert!(measured(&host, &c2, &address(&result, 0), &["-t", "2"]) > 40.0);
}

/// Containers do not share their limits.
#[test]
fn each_container_has_limits_of_its_own() {
    let host = Host::new();
    let network = network(&host, &both());
    for name in ["c1", "c2", "c3"] {
        network.add(&host.container(name), "eth0").ok();
    }
    assert_eq!(ifbs(&host).len(), 3);
    assert_eq!(disciplines(&host).len(), 9);
}

/// 3 MB at 1 MB/s are within the burst, and pass at once. Without it they would take three times as long as they may here.
#[test]
fn a_burst_is_not_held_up() {
    let host = Host::new();
    let limits = json!({
        "ingressRate": 8_000_000, "ingressBurst": 32_000_000, "egressRate": 8_000_000, "egressBurst": 32_000_000,
    });
    let c1 = host.container("c1");
    let result = network(&host, &limits).add(&c1, "eth0").ok();
    let amount = ["-n", "3M"];
    let rates = [received(&host, &c1, &address(&result, 0), &amount), received(&c1, &host, "10.1.0.1", &amount)];
    assert!(rates.iter().all(|rate| *rate > 24.0), "{rates:?} Mbit/s");
}

/// A burst of exactly one packet lets it through, the largest that the link can carry.
#[test]
fn the_smallest_burst_lets_the_largest_packet_through() {
    let host = Host::new();
    let smallest = (1500 + 14) * 8;
    let limits = json!({
        "ingressRate": 1_000_000, "ingressBurst": smallest, "egressRate": 1_000_000, "egressBurst": smallest,
    });
    let c1 = host.container("c1");
    network(&host, &limits).add(&c1, "eth0").ok();
    c1.run(["ping", "-4", "-q", "-c", "3", "-i", "0.2", "-M", "do", "-s", "1472", "10.1.0.1"]);
    c1.run(["ping", "-6", "-q", "-c", "3", "-i", "0.2", "-M", "do", "-s", "1452", "fd00:1::1"]);
}

/// Large packets would never get through; the container has to start all the same.
#[test]
fn a_smaller_burst_is_raised_to_one_packet() {
    let host = Host::new();
    let limits =
        json!({"ingressRate": 1_000_000, "ingressBurst": 8_000, "egressRate": 1_000_000, "egressBurst": 8_000});
    let c1 = host.container("c1");
    let network = network(&host, &limits);
    let added = network.add(&c1, "eth0");
    if !reference_differs("it lets no packet through that is larger than the burst") {
        let said = &added.finished.stderr;
        for words in ["\"ingressBurst\" is 8000 bits", "\"egressBurst\" is 8000 bits", "raised to 12112 bits"] {
            assert!(said.contains(words), "{words}: {said}");
        }
        c1.run(["ping", "-4", "-q", "-c", "1", "-M", "do", "-s", "1472", "10.1.0.1"]);
    }
    added.ok();
    c1.run(["ping", "-4", "-q", "-c", "1", "-M", "do", "-s", "900", "10.1.0.1"]);
    network.check(&c1, "eth0").ok();
}

#[test]
fn the_runtime_can_ask_for_limits_unless_the_network_has_its_own() {
    let host = Host::new();
    let (c1, c2, c3) = (host.container("c1"), host.container("c2"), host.container("c3"));
    let limits = json!({"bandwidth": {"ingressRate": 8_000_000, "ingressBurst": 800_000}});
    network(&host, &json!({})).capabilities(&limits).add(&c1, "eth0").ok();
    assert!(disciplines(&host)[0].contains("rate 8Mbit"), "{:?}", disciplines(&host));
    assert_eq!((disciplines(&host).len(), ifbs(&host).len()), (1, 0));
    let own = json!({"egressRate": 16_000_000, "egressBurst": 1_600_000});
    network(&host, &own).capabilities(&limits).add(&c2, "eth0").ok();
    let all = disciplines(&host).join("\n");
    assert_eq!((all.matches("8Mbit").count(), all.matches("16Mbit").count()), (1, 1), "{all}");
    network(&host, &json!({})).add(&c3, "eth0").ok();
    assert_eq!(disciplines(&host).len(), 3);
}

/// As the reference computes them: 25 ms of the rate on top of the burst may wait.
#[test]
fn the_kernel_is_told_what_the_reference_tells_it() {
    let host = Host::new();
    for (binary, name) in [("bandwidth", "c1"), (super::REFERENCE, "c2")] {
        let container = with_veth(&host, name);
        call(&host, binary, "ADD", &container, &both()).run().ok();
    }
    let shown = disciplines(&host);
    let parameters = |line: &&String| line.split_once(" rate ").map(|(_, rate)| rate.to_owned());
    let mut told: Vec<String> = shown.iter().filter_map(|line| parameters(&line)).collect();
    told.sort();
    told.dedup();
    assert_eq!(told, ["20Mbit burst 500000b lat 25ms", "40Mbit burst 1000000b lat 25ms"]);
    let mtu = |name: &str| host.link(name)["mtu"].clone();
    for ifb in ifbs(&host) {
        assert_eq!(mtu(&ifb), 1500);
    }
}

/// What leaves by way of the extra link is as large as what the container may send.
#[test]
fn a_smaller_mtu_is_the_extra_links_too() {
    let host = Host::new();
    let c1 = with_veth(&host, "c1");
    host.shell("ip link set c1 mtu 1400");
    let result = call(&host, "bandwidth", "ADD", &c1, &both()).run().ok();
    let interfaces = result["interfaces"].as_array().unwrap();
    let added = interfaces.last().unwrap();
    let ifb = host.link(added["name"].as_str().unwrap());
    assert_eq!((ifb["mtu"].clone(), &ifb["address"], interfaces.len()), (json!(1400), &added["mac"], 3));
    assert_eq!(ifb["linkinfo"]["info_kind"], "ifb");
}
