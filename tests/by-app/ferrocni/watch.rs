//! `reload --watch`: nobody has to call `reload`.

use std::fs;

use serde_json::json;
use tests::dhcp::eventually;
use tests::firewalld::{self, sources};
use tests::{Background, Container, Host, Inside as _, bin_dir, wire};

use super::attached::attach;
use super::reload::{ruleset, scene};

const LOG: &str = "/run/watch.log";

/// How often it has reloaded.
fn reloads(host: &Host) -> usize {
    host.read(LOG).unwrap_or_default().matches("are in place").count()
}

/// Once it has reloaded, it hears everything.
fn watch(host: &Host) -> Background {
    let (bin, program) = (bin_dir().display().to_string(), bin_dir().join("ferrocni").display().to_string());
    let line = format!("CNI_PATH={bin} exec {program} reload --watch > {LOG} 2>&1");
    let watch = host.spawn(["sh", "-c", &line]);
    eventually("it has started", || reloads(host) > 0);
    watch
}

#[test]
fn what_somebody_flushes_is_back_by_itself() {
    let (host, outside, containers) = scene();
    let _servers = [containers[0].listen_tcp(80), containers[1].listen_tcp(80)];
    let before = ruleset(&host);
    let _watch = watch(&host);
    for damage in ["nft flush ruleset", "nft delete table inet ferrocni", "nft delete table bridge ferrocni"] {
        host.shell(damage);
        eventually("the rules are back", || ruleset(&host) == before);
        for port in [8080, 8081] {
            outside.assert_reaches_tcp(&format!("192.0.2.1:{port}"));
        }
    }
}

/// CVE-2020-8558: `route_localnet` would let neighbours reach what listens on the host's loopback. The bridge's own filter stands for
/// the one that was flushed.
#[test]
fn the_host_s_loopback_stays_guarded_and_is_guarded_twice_again() {
    let (host, _outside, containers) = scene();
    let attacker = &containers[0];
    let _servers = (host.listen_tcp(9000), containers[1].listen_tcp(80));
    attacker.shell(
        "ip addr flush dev lo; ip link set lo down
         echo 1 > /proc/sys/net/ipv4/conf/all/route_localnet
         ip route add 127.0.0.0/8 via $(ip route show default | cut -d' ' -f3)",
    );
    attacker.assert_blocked_tcp("127.0.0.1:9000");
    host.shell("nft flush ruleset");
    attacker.assert_blocked_tcp("127.0.0.1:9000");
    let guards =
        "for link in $(ls /sys/class/net); do tc filter show dev $link ingress; done | grep direct-action | sort";
    let before = host.shell(guards);
    assert_eq!(before.lines().count(), 2, "one for each bridge: {before}");
    host.shell(
        "cd /proc/sys/net/ipv4/conf; for switch in $(grep -l 1 */route_localnet); do
           echo 0 > $switch; tc filter del dev ${switch%/*} ingress
         done",
    );
    let _watch = watch(&host);
    assert_eq!(host.shell(guards), before);
    host.assert_reaches_tcp("127.0.0.1:8081");
    attacker.assert_blocked_tcp("127.0.0.1:9000");
    host.shell("nft flush ruleset");
    eventually("the filter is back", || ruleset(&host).contains("127.0.0.0/8"));
    attacker.assert_blocked_tcp("127.0.0.1:9000");
}

/// What it does itself, and what plugins do, is no reason to do it again.
#[test]
fn it_does_not_start_itself() {
    let (host, _outside, _containers) = scene();
    let _watch = watch(&host);
    let c4 = host.container("c4");
    attach(&host, "app", &c4, &json!([{"hostPort": 8084, "containerPort": 80, "protocol": "tcp"}]));
    assert_eq!(reloads(&host), 1);
    host.shell("nft delete table inet ferrocni");
    eventually("it has reloaded", || reloads(&host) > 1);
    assert!(ruleset(&host).contains("8084"));
    host.shell("sleep 0.5");
    assert_eq!(reloads(&host), 2);
}

/// Two containers of a network whose addresses firewalld has to know.
fn with_firewalld(host: &Host) -> Vec<Container> {
    let _said = host.ferrocni(["network", "create", "web"]).ok();
    let containers: Vec<_> = ["c1", "c2"].map(|name| host.container(name)).into();
    containers.iter().for_each(|container| drop(attach(host, "web", container, &json!([]))));
    containers
}

#[test]
fn zones_are_as_they_were_after_firewalld_has_reloaded() {
    let (host, _outside) = wire();
    let _daemons = firewalld::start(&host);
    let _containers = with_firewalld(&host);
    let bound = sources(&host, "trusted");
    assert_eq!(bound.len(), 2, "{bound:?}");
    let _watch = watch(&host);
    for verb in ["--reload", "--complete-reload"] {
        host.run(["firewall-cmd", verb]);
        eventually("the sources are back", || sources(&host, "trusted") == bound);
    }
}

#[test]
fn a_bus_and_a_firewalld_that_are_restarted_are_heard_again() {
    let (host, _outside) = wire();
    let daemons = firewalld::start(&host);
    let _containers = with_firewalld(&host);
    let bound = sources(&host, "trusted");
    let _watch = watch(&host);
    drop(daemons);
    let _daemons = firewalld::start_again(&host);
    eventually("the sources are back", || sources(&host, "trusted") == bound);
    host.run(["firewall-cmd", "--reload"]);
    eventually("the sources are back again", || sources(&host, "trusted") == bound);
}

const UNITS: [&str; 2] = ["ferrocni-reload.service", "ferrocni-reload-watch.service"];

fn unit_file(unit: &str) -> String {
    format!("{}/../conf/systemd/{unit}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_unit_files_are_ones_that_systemd_takes() {
    let host = Host::new();
    host.shell(&format!(
        "mount -t tmpfs none /usr/local/bin; ln -s {} /usr/local/bin",
        bin_dir().join("ferrocni").display()
    ));
    for unit in UNITS {
        let verified = host.try_run(["systemd-analyze", "verify", "--man=no", &unit_file(unit)]);
        let said = format!("{}{}", verified.stdout, verified.stderr);
        assert!(verified.status.success() && !said.contains("ferrocni"), "{verified}");
    }
}

/// What the units' sandbox leaves the command is enough for all that it does.
#[test]
fn the_units_capabilities_suffice() {
    let bounds = UNITS.map(|unit| {
        let unit = fs::read_to_string(unit_file(unit)).unwrap();
        let names = unit.lines().find_map(|line| line.strip_prefix("CapabilityBoundingSet=")).unwrap().to_owned();
        names.split(' ').map(|name| format!("+{}", name.trim_start_matches("CAP_").to_lowercase())).collect::<Vec<_>>()
    });
    assert_eq!(bounds[0], bounds[1]);
    let (host, _outside, _containers) = scene();
    let before = ruleset(&host);
    host.shell("nft flush ruleset");
    let bounds = format!("--bounding-set=-all,{}", bounds[0].join(","));
    let (bin, program) = (format!("CNI_PATH={}", bin_dir().display()), bin_dir().join("ferrocni"));
    let program = program.display().to_string();
    host.run(["env", &bin, "setpriv", "--no-new-privs", "--inh-caps=-all", &bounds, &program, "reload", "--host-only"]);
    assert!(ruleset(&host) == before);
}
