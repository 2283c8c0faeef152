//! A DEL returns when everything is gone, and a child process waits until the kernel has freed it.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use tests::{Chain, Host, Inside as _, at_once};

/// What leaves the kernel something to free: a link, and elements of several plugins.
fn network(host: &Host) -> Chain<'_> {
    let ipam = json!({"type": "host-local", "subnet": "10.1.0.0/16"});
    let ports = json!([{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]);
    let bridge = json!({"type": "bridge", "bridge": "br0", "isGateway": true, "ipMasq": true, "ipam": ipam});
    let portmap = json!({"type": "portmap", "capabilities": {"portMappings": true}});
    let list = json!({"name": "net1", "plugins": [bridge, portmap, {"type": "firewall"}]});
    host.chain(&list).capabilities(&json!({"portMappings": ports}))
}

/// The processes named like plugins that are there, zombies included: what /proc/PID/stat says after their numbers.
fn plugins(host: &Host) -> Vec<String> {
    let stats = host.shell("cat /proc/[0-9]*/stat 2>/dev/null || true");
    stats
        .lines()
        .filter(|stat| ["(bridge)", "(portmap)", "(firewall)"].iter().any(|name| stat.contains(name)))
        .map(str::to_owned)
        .collect()
}

fn wait_until_alone(host: &Host) {
    let start = Instant::now();
    while !plugins(host).is_empty() {
        assert!(start.elapsed() < Duration::from_secs(60), "{:?}", plugins(host));
        thread::sleep(Duration::from_millis(100));
    }
}

/// Each of the three plugins leaves a child, of which nothing stays.
#[test]
fn what_is_left_to_a_child_leaves_nothing() {
    let host = Host::new();
    let c1 = host.container("c1");
    let network = network(&host);
    host.assert_leaves_nothing(|| {
        network.add(&c1, "eth0").ok();
        network.del(&c1, "eth0").ok();
    });
    wait_until_alone(&host);
}

/// An engine that is the first process of its container, and was never meant to be an init.
#[test]
fn where_nobody_reaps_there_is_no_zombie() {
    let host = Host::without_reaper();
    let c1 = host.container("c1");
    let network = network(&host);
    host.assert_leaves_nothing(|| {
        network.add(&c1, "eth0").ok();
        network.del(&c1, "eth0").ok();
        assert_eq!(plugins(&host), [""; 0]);
    });
    network.add(&c1, "eth0").ok();
    network.gc(&[]).ok();
    assert_eq!(plugins(&host), [""; 0]);
}

/// Without a child, or with one that is killed before it has asked the kernel for anything, DEL does it itself.
#[test]
fn a_child_that_cannot_do_its_work_is_not_missed() {
    let host = Host::new();
    let c1 = host.container("c1");
    let ipam = json!({"type": "host-local", "subnet": "10.1.0.0/16"});
    let config = json!({"name": "net1", "bridge": "br0", "ipMasq": true, "ipam": ipam});
    let call = |verb: &str| host.cni("bridge").command(verb).container(&c1).config(&config);
    let forks = "fork,clone,clone3";
    for inject in [&format!("{forks}:error=EAGAIN"), "setsid:signal=KILL", "chdir:signal=KILL"] {
        host.assert_leaves_nothing(|| {
            call("ADD").run().ok();
            // The first one makes the ruleset, which leaves the kernel something to free as well.
            wait_until_alone(&host);
            let inject = format!("inject={inject}");
            call("DEL").run_under(&["strace", "-f", "-qqq", "-o", "/dev/null", "-e", &inject]).ok();
        });
        assert_eq!(plugins(&host), [""; 0], "{inject}");
    }
}

/// The same container again and again, as a supervisor restarts it.
#[test]
fn an_add_meets_nothing_of_the_del_before_it() {
    let host = Host::new();
    let c1 = host.container("c1");
    let network = network(&host);
    for _ in 0..100 {
        network.add(&c1, "eth0").ok();
        network.del(&c1, "eth0").ok();
    }
}

#[test]
fn a_hundred_at_once_leave_nothing() {
    let host = Host::new();
    let containers: Vec<_> = (0..100).map(|i| host.container(&format!("c{i}"))).collect();
    let ipam = json!({"type": "host-local", "subnet": "10.1.0.0/16"});
    let bridge = json!({"type": "bridge", "bridge": "br0", "isGateway": true, "ipMasq": true, "ipam": ipam});
    let list = json!({"name": "net1", "plugins": [bridge, {"type": "firewall"}]});
    let network = host.chain(&list);
    let before = host.snapshot();
    at_once(&containers, |container| network.add(container, "eth0").ok());
    at_once(&containers, |container| network.del(container, "eth0").ok());
    host.snapshot().assert_nothing_since(&before);
}
