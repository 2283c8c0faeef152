//! Published ports, and who has them.

use tests::{Host, Inside as _, wire};

use super::{fails, idle, inside, succeeds};

fn port(host: &Host, container: &str) -> u16 {
    let line = host.ferrocni(["port", container, "80"]).ok();
    line.trim().rsplit(':').next().unwrap().parse().unwrap()
}

#[test]
fn a_published_port_leads_into_the_container_and_is_nobody_else_s() {
    let (host, outside) = wire();
    host.assert_leaves_nothing(|| {
        let id = idle(&host, &["--name", "web", "-p", "8080:80", "-p", "8053:53/udp"]);
        let web = inside(&host, &id);
        let (_tcp, _udp) = (web.listen_tcp(80), web.listen_udp(53));
        outside.assert_reaches_tcp("192.0.2.1:8080");
        outside.assert_reaches_udp("192.0.2.1:8053");
        fails(
            &host,
            &["run", "-p", "8080:90", "true"],
            125,
            "port 8080/tcp is already allocated: container web has it",
        );
        let address = "port 127.0.0.1:8080/tcp is already allocated: container web";
        fails(&host, &["run", "-p", "127.0.0.1:8080:90", "true"], 125, address);
        assert!(!host.try_run(["timeout", "1", "busybox", "nc", "-l", "-p", "8080"]).stderr.is_empty());
        assert_eq!(host.ferrocni(["port", "web"]).ok(), "80/tcp -> 0.0.0.0:8080\n53/udp -> 0.0.0.0:8053\n");
        assert_eq!(host.ferrocni(["port", &id[..10], "53/udp"]).ok(), "0.0.0.0:8053\n");
        fails(&host, &["port", "web", "81"], 1, "port 81/tcp of container web is not published");
        fails(&host, &["port", "nope"], 1, "no container nope");
        drop((web, _tcp, _udp));
        succeeds(&host, &["stop", "web"]);
    });
    succeeds(&host, &["run", "-p", "8080:80", "true"]);
}

#[test]
fn a_port_of_another_program_is_refused() {
    let host = Host::new();
    let _server = host.listen_tcp(8080);
    let _udp = host.listen_udp(8053);
    succeeds(&host, &["network", "create", "bridge"]);
    host.assert_leaves_nothing(|| {
        for (port, words) in [
            ("8080:80", "port 8080/tcp is already in use: another program"),
            ("127.0.0.1:8080:80", "port 127.0.0.1:8080/tcp is already in use"),
            ("[::1]:8080:80", "port [::1]:8080/tcp is already in use"),
            ("8053:53/udp", "port 8053/udp is already in use"),
            ("203.0.113.9:80:80", "none of this host's"),
            ("8080-8080:80-80", "8080/tcp is already in use"),
        ] {
            fails(&host, &["run", "-p", port, "true"], 125, words);
        }
        fails(&host, &["run", "-p", "81:80", "-p", "81:81", "true"], 125, "port 81/tcp is published twice");
        succeeds(&host, &["run", "-p", "8080:80/udp", "true"]);
    });
}

#[test]
fn a_port_whose_connections_linger_can_be_published() {
    let host = Host::new();
    let server = host.listen_tcp(8080);
    host.assert_reaches_tcp("127.0.0.1:8080");
    drop(server);
    succeeds(&host, &["run", "-p", "8080:80", "true"]);
}

#[test]
fn ports_of_nobody_s_choice_are_free_ones() {
    let (host, outside) = wire();
    host.shell("echo 40000 40003 > /proc/sys/net/ipv4/ip_local_port_range");
    let one = idle(&host, &["--name", "one", "-p", "80"]);
    let two = idle(&host, &["--name", "two", "-P", "--expose", "80", "--expose", "81-82/udp"]);
    let ports = [port(&host, "one"), port(&host, "two")];
    assert!(ports[0] != ports[1] && ports.iter().all(|port| (40000..=40003).contains(port)), "{ports:?}");
    assert_eq!(host.ferrocni(["port", &two]).ok().lines().count(), 3);
    for (id, port) in [(&one, ports[0]), (&two, ports[1])] {
        let container = inside(&host, id);
        let _server = container.listen_tcp(80);
        outside.assert_reaches_tcp(&format!("192.0.2.1:{port}"));
    }
    fails(&host, &["run", "-p", "80-90", "true"], 125, "no port of this host is free");
}

#[test]
fn ranges_are_pairs_or_the_first_free_port() {
    let host = Host::new();
    idle(&host, &["--name", "pairs", "-p", "9000-9002:80-82"]);
    assert_eq!(
        host.ferrocni(["port", "pairs"]).ok(),
        "80/tcp -> 0.0.0.0:9000\n81/tcp -> 0.0.0.0:9001\n82/tcp -> 0.0.0.0:9002\n"
    );
    let _server = host.listen_tcp(9003);
    for (name, expected) in [("first", 9004), ("second", 9005)] {
        idle(&host, &["--name", name, "-p", "9002-9005:80"]);
        assert_eq!(port(&host, name), expected);
    }
    fails(&host, &["run", "-p", "9000-9005:80", "true"], 125, "none of the ports 9000-9005 is free");
}

#[test]
fn where_a_port_listens_is_said_with_it_or_by_the_network() {
    let (host, outside) = wire();
    succeeds(&host, &["network", "create", "-o", "host_binding_ipv4=127.0.0.1", "local"]);
    let subnets = ["--subnet", "10.7.0.0/24", "--subnet", "fd00:7::/64"];
    succeeds(&host, &[&["network", "create"], &subnets[..], &["dual"]].concat());
    let local = inside(&host, &idle(&host, &["--name", "local", "--net", "local", "-p", "8080:80"]));
    let _server = local.listen_tcp(80);
    host.assert_reaches_tcp("127.0.0.1:8080");
    outside.assert_blocked_tcp("192.0.2.1:8080");
    let options = ["--name", "dual", "--net", "dual", "-p", "8081:80", "-p", "[2001:db8::1]:8082:80"];
    let dual = inside(&host, &idle(&host, &options));
    let _dual = dual.listen_tcp(80);
    for to in ["192.0.2.1:8081", "[2001:db8::1]:8081", "[2001:db8::1]:8082"] {
        outside.assert_reaches_tcp(to);
    }
    let listed = "80/tcp -> 0.0.0.0:8081\n80/tcp -> [::]:8081\n80/tcp -> [2001:db8::1]:8082\n";
    assert_eq!(host.ferrocni(["port", "dual"]).ok(), listed);
}

#[test]
fn of_many_that_want_a_port_one_gets_it() {
    let host = Host::new();
    succeeds(&host, &["network", "create", "bridge"]);
    let said =
        super::shell(&host, "for i in $(seq 20); do $f run -d --name c$i -p 8080:80 sleep 1000 2>&1 & done; wait");
    let refused = said.lines().filter(|line| line.contains("is already allocated: container c")).count();
    assert_eq!((said.lines().count(), refused), (20, 19), "{said}");
}
