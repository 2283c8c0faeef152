//! Podman 5, Debian 13's, on the tested netavark. It writes the networks, allocates the addresses and calls nobody else.
//!
//! - `changeover`: from Debian's netavark to the tested one and back
//! - `drivers`: drivers that only ferrocni has
//! - `names`: what containers find each other by
//! - `networks`: networks with each of their options
//! - `pods`: containers that share a network
//! - `rootless`: without root's privileges
//! - `running`: networks of containers that run
//! - `state`: what `ferrocni` shows of all that

mod changeover;
mod drivers;
mod names;
mod networks;
mod pods;
mod rootless;
mod running;
mod state;

use serde_json::Value;
use tests::podman::{
    Addresses, PODMAN, host_with_podman_5 as host_with_podman, inspect, inspect_on, podman, run, use_netavark_in,
};
use tests::{Container, Host, Inside as _, netavark};

use crate::machine::{assert_nothing_left, assert_served};

/// Where Podman looks for drivers that it has not got itself.
const DRIVERS: &str = "/run/podman/drivers";

/// Options for a subnet of both families.
const BOTH: &str = "--subnet 10.1.0.0/24 --ipv6 --subnet fd00:1::/64";

/// What Podman says of a container or a network, by a path in its JSON.
#[track_caller]
fn inspected(host: &Host, what: &str) -> Value {
    let said: Value = serde_json::from_str(&podman(host, what)).unwrap();
    said[0].clone()
}

/// That is all for which Podman asks the program's version.
#[test]
fn podman_info_shows_the_program() {
    let host = host_with_podman();
    let program = netavark::folder().join("netavark");
    let info: Value =
        serde_json::from_str(&podman(&host, "info --format '{{json .Host.NetworkBackendInfo}}'")).unwrap();
    assert_eq!((&info["backend"], info["path"].as_str()), (&Value::from("netavark"), program.to_str()), "{info}");
    assert_eq!(info["version"], host.run([program.to_str().unwrap(), "--version"]).trim(), "{info}");
}

#[test]
fn two_containers_talk_and_one_is_published() {
    let host = host_with_podman();
    let outside = host.neighbour();
    podman(&host, &format!("network create {BOTH} web"));
    let before = host.snapshot();
    let (web, addresses) = run(&host, "web", "--network web -p 8080:80 -p 5353:53/udp");
    let (peer, _) = run(&host, "peer", "--network web");
    assert_served(&host, &outside, (&web, &addresses), &peer);
    drop((web, peer));
    podman(&host, "stop -t0 web");
    podman(&host, "rm -f -t0 web peer");
    assert_nothing_left(&host, &before, &[]);
}

#[test]
fn the_default_network_serves_who_asks_for_none() {
    let host = host_with_podman();
    let outside = host.neighbour();
    let before = host.snapshot();
    let (web, Addresses { v4, .. }) = run(&host, "web", "-p 192.0.2.1:8080:80");
    assert!(v4.starts_with("10.210.88."), "{v4}");
    let server = web.listen_tcp(80);
    outside.assert_reaches_tcp("192.0.2.1:8080");
    host.assert_blocked_tcp("127.0.0.1:8080");
    drop((server, web));
    podman(&host, "rm -f -t0 -a");
    assert_nothing_left(&host, &before, &[]);
}

#[test]
fn a_container_gets_the_addresses_that_were_asked_for() {
    let host = host_with_podman();
    podman(&host, &format!("network create {BOTH} web"));
    let before = host.snapshot();
    let wishes = "--ip 10.1.0.77 --ip6 fd00:1::77 --mac-address 92:d0:c6:0a:29:33";
    let (web, Addresses { v4, v6 }) = run(&host, "web", &format!("--network web {wishes}"));
    assert_eq!((v4.as_str(), v6.as_str()), ("10.1.0.77", "[fd00:1::77]"));
    assert_eq!(web.link("eth0")["address"], "92:d0:c6:0a:29:33");
    let server = web.listen_tcp(80);
    host.assert_reaches_tcp("10.1.0.77:80");
    host.assert_reaches_tcp("[fd00:1::77]:80");
    drop((server, web));
    podman(&host, "rm -f -t0 web");
    assert_nothing_left(&host, &before, &[]);
}

#[test]
fn a_container_restarts_with_its_port() {
    let host = host_with_podman();
    let outside = host.neighbour();
    podman(&host, &format!("network create {BOTH} web"));
    let before = host.snapshot();
    let _ = run(&host, "web", "--network web --ip 10.1.0.77 -p 8080:80");
    let served = |host: &Host| {
        let (web, addresses) = inspect(host, "web");
        assert_eq!(addresses.v4, "10.1.0.77");
        let _server = web.listen_tcp(80);
        outside.assert_reaches_tcp("192.0.2.1:8080");
        outside.assert_reaches_tcp("[2001:db8::1]:8080");
    };
    podman(&host, "restart -t0 web");
    served(&host);
    podman(&host, "stop -t0 web");
    assert_nothing_left(&host, &before, &[]);
    podman(&host, "start web");
    served(&host);
    podman(&host, "kill web");
    podman(&host, "wait web");
    podman(&host, "start web");
    served(&host);
    podman(&host, "rm -f -t0 -a");
    assert_nothing_left(&host, &before, &[]);
}

/// `-P`, and ports in each of their forms.
#[test]
fn ports_can_be_chosen_by_podman() {
    let host = host_with_podman();
    let outside = host.neighbour();
    let before = host.snapshot();
    let (web, _) = run(&host, "web", "-P --expose 80 --expose 53/udp -p 9000-9002:7000-7002 -p 127.0.0.1::81");
    let server = web.listen_tcp(80);
    let datagrams = web.listen_udp(53);
    let local = web.listen_tcp(81);
    let range = [7000, 7001, 7002].map(|port| web.listen_tcp(port));
    let port = |of: &str| podman(&host, &format!("port web {of}")).trim().rsplit(':').next().unwrap().to_owned();
    outside.assert_reaches_tcp(&format!("192.0.2.1:{}", port("80/tcp")));
    outside.assert_reaches_udp(&format!("192.0.2.1:{}", port("53/udp")));
    host.assert_reaches_tcp(&format!("127.0.0.1:{}", port("81/tcp")));
    outside.assert_blocked_tcp(&format!("192.0.2.1:{}", port("81/tcp")));
    for port in 9000..9003 {
        outside.assert_reaches_tcp(&format!("192.0.2.1:{port}"));
    }
    drop((server, datagrams, local, range, web));
    podman(&host, "rm -f -t0 -a");
    assert_nothing_left(&host, &before, &[]);
}

#[test]
fn containers_start_and_stop_at_the_same_time() {
    let host = host_with_podman();
    let outside = host.neighbour();
    podman(&host, &format!("network create {BOTH} web"));
    let before = host.snapshot();
    let numbers = [1, 2, 3, 4, 5, 6];
    std::thread::scope(|scope| {
        for number in numbers {
            let start = move |host: &Host| {
                podman(
                    host,
                    &format!("run -d --name c{number} --network web -p 808{number}:80 box /bin/busybox sleep 1000"),
                );
            };
            let host = &host;
            scope.spawn(move || start(host));
        }
    });
    for number in numbers {
        let (container, _) = inspect(&host, &format!("c{number}"));
        let _server = container.listen_tcp(80);
        outside.assert_reaches_tcp(&format!("192.0.2.1:808{number}"));
    }
    podman(&host, "rm -f -t0 -a");
    assert_nothing_left(&host, &before, &[]);
}

/// As `--rm` does it: in a process of its own, when the container has ended.
#[test]
fn what_ends_by_itself_leaves_nothing() {
    let host = host_with_podman();
    podman(&host, &format!("network create {BOTH} web"));
    let before = host.snapshot();
    let said = podman(&host, "run --rm --network web -p 8080:80 box /bin/busybox ip address show eth0");
    assert!(said.contains("inet 10.1.0.2/24") && said.contains("inet6 fd00:1::2/64"), "{said}");
    assert_nothing_left(&host, &before, &[]);
}

#[test]
fn what_cannot_work_is_said_and_undone() {
    let host = host_with_podman();
    podman(&host, &format!("network create {BOTH} web"));
    podman(&host, "network create --subnet 10.2.0.0/24 --interface-name broken other");
    host.run(["ip", "link", "add", "name", "broken", "type", "veth", "peer", "name", "broken-too"]);
    let before = host.snapshot();
    let line = format!("{PODMAN} run --rm --network web,other -p 8080:80 box /bin/busybox true");
    let finished = host.try_run(["sh", "-c", &line]);
    assert!(!finished.status.success(), "{finished}");
    assert!(finished.stderr.contains("netavark: ") && finished.stderr.contains("broken"), "{finished}");
    assert_nothing_left(&host, &before, &[]);
}

/// The containers' network of `podman run --network container:...`, and none at all.
#[test]
fn containers_may_share_one_s_network_or_have_none() {
    let host = host_with_podman();
    let outside = host.neighbour();
    let before = host.snapshot();
    let (web, _) = run(&host, "web", "-p 8080:80");
    podman(&host, "run -d --name share --network container:web box /bin/busybox httpd -f -p 80");
    podman(&host, "run -d --name alone --network none box /bin/busybox sleep 1000");
    outside.shell("until busybox wget -q -O /dev/null http://192.0.2.1:8080/bin/busybox; do sleep 0.02; done");
    assert_eq!(web.links(), ["lo", "eth0"]);
    drop::<Container>(web);
    podman(&host, "rm -f -t0 -a");
    assert_nothing_left(&host, &before, &[]);
}
