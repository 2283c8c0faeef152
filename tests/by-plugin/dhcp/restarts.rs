//! A daemon that is killed, and the next one.

use serde_json::{Value, json};
use tests::{Host, Inside as _, dhcp, reference_differs};

use super::scripted::Scripted;
use super::{SHORT, Scene, addresses, gateways, leased, network};

const DIR: &str = "/run/ferrocni/dhcp/run:cni:dhcp.sock";

impl Scene {
    fn kill_daemon(&mut self) {
        self.daemon = None;
    }

    fn restart_daemon(&mut self) {
        self.daemon = Some(dhcp::daemon(&self.host, &[]));
    }
}

fn files(host: &Host) -> String {
    host.shell(&format!("ls -A {DIR} | grep : | tr '\\n' ' ' || true"))
}

fn record(host: &Host, name: &str) -> Value {
    serde_json::from_str(&host.read(format!("{DIR}/{name}")).unwrap()).unwrap()
}

#[test]
fn a_killed_daemon_s_leases_are_taken_up_renewed_and_released() {
    let mut scene = Scene::new(&SHORT);
    let c1 = scene.host.container("c1");
    let network = network(&scene.host, &json!({"families": ["ipv4", "ipv6"]}));
    let before = scene.host.snapshot();
    let result = network.add(&c1, "eth0").ok();
    drop(network);
    scene.kill_daemon();
    let acknowledged = dhcp::server_log(&scene.host).matches("DHCPACK").count();
    scene.restart_daemon();
    scene.wait_for_log("DHCPv4: the lease is taken up again");
    scene.wait_for_log("DHCPv6: the lease is taken up again");
    dhcp::eventually("the new daemon renews", || {
        dhcp::server_log(&scene.host).matches("DHCPACK").count() >= acknowledged + 2
    });
    assert_eq!(addresses(&c1, "-4"), [leased(&result)]);
    let network = scene.network(&json!({"families": ["ipv4", "ipv6"]}));
    network.del(&c1, "eth0").ok();
    scene.wait_for_server_log("DHCPRELEASE(lan) 10.5.0.");
    dhcp::eventually("both are given back", || dhcp::leases(&scene.host).is_empty());
    scene.host.snapshot().assert_nothing_since(&before);
}

/// A daemon that is asked to end keeps the leases for the next one, too, and nothing else.
#[test]
fn a_daemon_that_ends_takes_its_socket_along_and_leaves_the_leases() {
    let mut scene = Scene::new(&[]);
    let c1 = scene.host.container("c1");
    let result = scene.network(&json!({})).add(&c1, "eth0").ok();
    for signal in ["TERM", "INT"] {
        scene.host.shell(&format!("kill -{signal} $(cat /run/dhcp.pid)"));
        dhcp::eventually("it has ended", || scene.host.read("/run/dhcp.pid").is_err());
        assert!(!scene.host.try_run(["test", "-e", "/run/cni/dhcp.sock"]).status.success());
        scene.kill_daemon();
        scene.restart_daemon();
    }
    assert_eq!(addresses(&c1, "-4"), [leased(&result)]);
    assert!(!dhcp::server_log(&scene.host).contains("DHCPRELEASE"));
    if !reference_differs("it has forgotten them") {
        scene.wait_for_log("taken up again");
    }
}

#[test]
fn a_lease_that_expired_meanwhile_is_taken_away_by_the_next_daemon() {
    let mut scene = Scene::without_server(&[]);
    let server = Scripted::start(&scene.host, |question| vec![question.usual_answer([2, 1, 2])]);
    let c1 = scene.host.container("c1");
    scene.network(&json!({})).add(&c1, "eth0").ok();
    scene.kill_daemon();
    drop(server);
    std::thread::sleep(std::time::Duration::from_secs(2));
    assert_eq!(addresses(&c1, "-4"), ["10.5.0.77/24"], "nobody is there to take it away");
    scene.restart_daemon();
    scene.wait_for_log("10.5.0.77/24 is taken from the interface");
    dhcp::eventually("the address is gone", || addresses(&c1, "-4").is_empty());
    // And the next one goes on seeking.
    scene.kill_daemon();
    let _server = Scripted::start(&scene.host, |question| vec![question.usual_answer([60, 30, 40])]);
    scene.restart_daemon();
    scene.wait_for_log("the search for a lease is taken up again");
    dhcp::eventually("it is there again", || addresses(&c1, "-4") == ["10.5.0.77/24"]);
}

#[test]
fn leases_of_namespaces_that_are_gone_are_dropped() {
    let mut scene = Scene::new(&[]);
    let names = ["gone", "moved", "cut", "stays"];
    let [gone, moved, cut, stays] = names.map(|name| {
        let container = scene.host.container(name);
        scene.network(&json!({})).add(&container, "eth0").ok();
        container
    });
    scene.kill_daemon();
    // One namespace ends, another's path leads to a new one by now, and one has lost its interface.
    let _ = scene.host.lose(gone);
    let _ = scene.host.lose(moved);
    let moved = scene.host.container("moved");
    scene.host.shell("ip link add other up master lan type veth peer name eth0 netns moved");
    moved.shell("ip addr add 10.9.9.9/24 dev eth0; ip link set eth0 up");
    cut.shell("ip link del eth0");
    scene.restart_daemon();
    scene.wait_for_log("/run/netns/gone does not exist: the lease is dropped");
    scene.wait_for_log("another network namespace is at /run/netns/moved now: the lease is dropped");
    scene.wait_for_log("the interface in /run/netns/cut does not exist any more: the lease is dropped");
    dhcp::eventually("their files are gone", || files(&scene.host) == "net:stays:eth0:ipv4 ");
    assert_eq!(addresses(&moved, "-4"), ["10.9.9.9/24"], "the stranger is left alone");
    assert_eq!(addresses(&stays, "-4").len(), 1);
}

/// The same while it runs: it notices when it is to renew.
#[test]
fn a_namespace_that_goes_without_a_del_is_noticed_at_the_renewal() {
    let scene = Scene::new(&SHORT);
    let c1 = scene.host.container("c1");
    scene.network(&json!({})).add(&c1, "eth0").ok();
    if reference_differs("it keeps the namespace alive") {
        return;
    }
    let _ = scene.host.lose(c1);
    scene.wait_for_log("/run/netns/c1 does not exist: the lease is dropped");
    assert_eq!(files(&scene.host), "");
}

/// Killed between its decision and the interface: the file says what it wanted.
#[test]
fn what_a_killed_daemon_had_not_finished_is_finished() {
    let mut scene = Scene::new(&[]);
    let c1 = scene.host.container("c1");
    scene.network(&json!({})).add(&c1, "eth0").ok();
    scene.kill_daemon();
    let name = "net:c1:eth0:ipv4";
    let mut record = record(&scene.host, name);
    record["lease"]["settings"]["address"] = json!("10.5.0.200/24");
    record["lease"]["settings"]["routes"] = json!([{"dst": "0.0.0.0/0", "gw": "10.5.0.9"}]);
    scene.host.write(format!("{DIR}/{name}"), record.to_string());
    scene.restart_daemon();
    dhcp::eventually("the interface is changed", || addresses(&c1, "-4") == ["10.5.0.200/24"]);
    dhcp::eventually("its route as well", || gateways(&c1) == ["10.5.0.9"]);
    dhcp::eventually("the file says so", || {
        self::record(&scene.host, name)["configured"] == record["lease"]["settings"]
    });
}

#[test]
fn a_file_that_is_no_lease_does_no_harm() {
    let mut scene = Scene::new(&SHORT);
    let c1 = scene.host.container("c1");
    scene.network(&json!({})).add(&c1, "eth0").ok();
    scene.kill_daemon();
    for (name, text) in [("net:x:eth0:ipv4", ""), ("net:y:eth0:ipv4", "{\"place\": 1}"), ("net:z:eth0:ipv6", "\u{1}")] {
        scene.host.write(format!("{DIR}/{name}"), text);
    }
    scene.host.write(format!("{DIR}/.net:c1:eth0:ipv4"), "half a le");
    scene.host.write(format!("{DIR}/readme"), "somebody's");
    // What the link leads to would be a lease.
    scene.host.shell(&format!("cd {DIR}; cp net:c1:eth0:ipv4 /run/lease; ln -s /run/lease net:l:eth0:ipv4"));
    scene.host.shell(&format!("mkfifo {DIR}/net:f:eth0:ipv4"));
    scene.restart_daemon();
    // In the way of the file that the next renewal writes.
    scene.host.shell(&format!("ln -s readme {DIR}/.net:c1:eth0:ipv4"));
    scene.wait_for_log("container z on network net (interface eth0), DHCPv6: its file cannot be read and is removed");
    scene.wait_for_log("renewed");
    assert_eq!(files(&scene.host), "net:c1:eth0:ipv4 ");
    assert_eq!(scene.host.read(format!("{DIR}/readme")).unwrap(), "somebody's");
}

/// Or the next daemon would take the lease up.
#[test]
fn a_del_fails_as_long_as_the_lease_s_file_cannot_be_removed() {
    let scene = Scene::new(&[]);
    let c1 = scene.host.container("c1");
    let network = scene.network(&json!({}));
    network.add(&c1, "eth0").ok();
    let file = format!("{DIR}/net:c1:eth0:ipv4");
    scene.host.shell(&format!("rm {file}; mkdir {file}"));
    for _ in 0..2 {
        let error = network.del(&c1, "eth0").error();
        assert!(format!("{error:?}").contains(&file), "{error:?}");
    }
    scene.host.shell(&format!("rmdir {file}"));
    network.del(&c1, "eth0").ok();
}

/// A runtime that deletes a container while there is no daemon: the next one must not take its lease up.
#[test]
fn a_del_without_a_daemon_forgets_the_lease() {
    let mut scene = Scene::new(&[]);
    let c1 = scene.host.container("c1");
    let network = json!({"families": ["ipv4", "ipv6"]});
    scene.network(&network).add(&c1, "eth0").ok();
    scene.kill_daemon();
    for _ in 0..2 {
        scene.network(&network).del(&c1, "eth0").ok();
        assert_eq!(files(&scene.host), "");
    }
    scene.restart_daemon();
    assert!(!dhcp::daemon_log(&scene.host).contains("taken up"));
}

#[test]
fn garbage_collection_works_without_a_daemon() {
    let mut scene = Scene::new(&[]);
    for name in ["stays", "goes"] {
        let container = scene.host.container(name);
        scene.network(&json!({})).add(&container, "eth0").ok();
    }
    scene.kill_daemon();
    scene.network(&json!({})).gc(&[("stays", "eth0")]).ok();
    assert_eq!(files(&scene.host), "net:stays:eth0:ipv4 ");
}
