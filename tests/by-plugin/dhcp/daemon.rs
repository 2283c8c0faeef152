//! How the daemon is started, reached and told things, and what it costs.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use tests::{Background, Cni, Container, Host, Inside as _, bin_dir, dhcp, reference_differs};

use super::{SHORT, Scene, leased, network};

fn config() -> Value {
    json!({"type": "bridge", "name": "net", "ipam": {"type": "dhcp"}})
}

/// The plugin itself. What CHECK is given is what ADD would have reported.
fn call<'h>(host: &'h Host, verb: &str, container: &Container) -> Cni<'h> {
    let mut config = config();
    if verb == "CHECK" {
        config["prevResult"] = json!({"cniVersion": "1.0.0", "ips": [{"address": "10.5.0.9/24"}]});
    }
    host.cni("dhcp").command(verb).container(container).config(&config)
}

/// A host with the link and a container with an interface on it.
fn lan() -> (Host, Container) {
    let host = Host::new();
    dhcp::make_lan(&host);
    let c1 = host.container("c1");
    host.shell("ip link add c1 up master lan type veth peer name eth0 netns c1");
    (host, c1)
}

#[test]
fn without_a_daemon_the_error_says_how_to_start_it_and_a_del_succeeds() {
    let (host, c1) = lan();
    let start = format!("{} daemon", bin_dir().join("dhcp").display());
    host.assert_leaves_nothing(|| {
        for verb in ["ADD", "CHECK", "STATUS"] {
            let error = call(&host, verb, &c1).run().error();
            assert_eq!(error.code, 50, "{verb}: {error:?}");
            assert_eq!(error.msg, "no dhcp daemon listens on /run/cni/dhcp.sock", "{verb}");
            assert!(error.details.contains(&start) && error.details.contains("cni-dhcp.socket"), "{error:?}");
        }
        call(&host, "DEL", &c1).run().ok();
        call(&host, "DEL", &c1).without("CNI_NETNS").run().ok();
    });
    // A socket whose daemon was killed is no better than none.
    host.shell(
        "mkdir -p /run/cni; socat -u UNIX-LISTEN:/run/cni/dhcp.sock,unlink-close=0 STDOUT < /dev/null & p=$!
                until [ -e /run/cni/dhcp.sock ]; do sleep 0.01; done; kill -9 $p",
    );
    assert_eq!(call(&host, "ADD", &c1).run().error().code, 50);
    call(&host, "DEL", &c1).run().ok();
}

/// It fails at once, without waiting for a daemon to appear.
#[test]
fn an_absent_daemon_is_asked_for_once() {
    let (host, c1) = lan();
    let trace =
        ["strace", "-f", "-o", "/run/trace", "-e", "trace=connect,nanosleep,clock_nanosleep,poll,ppoll,epoll_wait"];
    assert!(!call(&host, "ADD", &c1).run_under(&trace).is_ok());
    let calls = host.shell("grep -v -e exited -e SIGCHLD /run/trace | grep -v 'poll(.*revents=0' || true");
    assert_eq!(calls.matches("connect(").count(), 1, "{calls}");
    assert!(!calls.contains("sleep") && !calls.contains("epoll"), "{calls}");
}

#[test]
fn status_says_whether_an_add_could_succeed() {
    let (host, c1) = lan();
    let daemon = dhcp::daemon(&host, &[]);
    call(&host, "STATUS", &c1).run().ok();
    network(&host, &json!({})).status().ok();
    drop(daemon);
    assert_eq!(network(&host, &json!({})).status().error().code, 50);
}

#[test]
fn the_socket_is_where_it_is_wanted_and_for_root_alone() {
    let (host, c1) = lan();
    let _server = dhcp::serve(&host, &dhcp::RANGES);
    let dhcp = bin_dir().join("dhcp");
    let socket = "/run/somewhere/else.sock";
    let _daemon = host.spawn([dhcp.to_str().unwrap(), "daemon", "-socketpath", socket]);
    host.shell(&format!("until [ -e {socket} ]; do sleep 0.01; done"));
    let mut config = config();
    config["ipam"]["daemonSocketPath"] = json!(socket);
    let ask = |verb| host.cni("dhcp").command(verb).container(&c1).config(&config).run();
    ask("ADD").ok();
    if !reference_differs("its socket is for everybody") {
        assert_eq!(host.shell(&format!("stat -c %a /run/somewhere {socket}")), "700\n600\n");
        assert_eq!(host.shell("ls /run/ferrocni/dhcp"), "run:somewhere:else.sock\n");
        let modes = host.shell("stat -c %a /run/ferrocni/dhcp/* /run/ferrocni/dhcp/*/net:c1:eth0:ipv4");
        assert_eq!(modes, "700\n600\n");
    }
    ask("DEL").ok();
    if !reference_differs("it does not say") {
        let other = json!({"type": "bridge", "ipam": {"type": "dhcp", "daemonSocketPath": "/run/none.sock"}});
        let error = host.cni("dhcp").command("ADD").container(&c1).config(&other).run().error();
        assert!(error.details.contains("daemon -socketpath /run/none.sock"), "{error:?}");
    }
}

/// A daemon in a container of its own sees the host's files below another folder.
#[test]
fn the_host_s_files_can_be_below_a_prefix() {
    let (host, c1) = lan();
    let _server = dhcp::serve(&host, &dhcp::RANGES);
    host.shell("mkdir /run/host; ln -s /run /run/host/run");
    let _daemon = dhcp::daemon(&host, &["-hostprefix /run/host"]);
    call(&host, "ADD", &c1).run().ok();
    call(&host, "DEL", &c1).run().ok();
}

#[test]
fn a_killed_daemon_s_socket_is_no_obstacle_but_a_living_one_is() {
    let (host, c1) = lan();
    drop(dhcp::daemon(&host, &[]));
    host.shell("test -S /run/cni/dhcp.sock");
    let daemon = dhcp::daemon(&host, &[]);
    let second = || host.try_run([bin_dir().join("dhcp").to_str().unwrap(), "daemon"]);
    let refused = second();
    assert!(!refused.status.success() && refused.stderr.contains("another dhcp daemon holds"), "{refused}");
    call(&host, "STATUS", &c1).run().ok();
    drop(daemon);
    // Somebody else's daemon is not robbed of its socket.
    let reference = reference_daemon(&host);
    let refused = second();
    assert!(refused.stderr.contains("a daemon listens on /run/cni/dhcp.sock already"), "{refused}");
    drop(reference);
}

fn reference_daemon(host: &Host) -> Background {
    host.shell("rm -f /run/cni/dhcp.sock");
    let daemon = host.spawn(["/usr/lib/cni/dhcp", "daemon"]);
    host.shell("until [ -e /run/cni/dhcp.sock ]; do sleep 0.01; done");
    daemon
}

#[test]
fn who_talks_to_another_suite_s_daemon_is_told() {
    let (host, c1) = lan();
    let reference = reference_daemon(&host);
    for verb in ["ADD", "CHECK", "STATUS"] {
        let error = call(&host, verb, &c1).run().error();
        assert!(error.code == 50 && error.msg.contains("is not this plugin's dhcp daemon"), "{verb}: {error:?}");
        assert!(error.details.contains("400 Bad Request") && error.details.contains("stop it, and start"), "{error:?}");
    }
    let deleted = call(&host, "DEL", &c1).run();
    assert!(deleted.is_ok() && deleted.finished.stderr.contains("nothing is released"), "{}", deleted.finished);
    drop(reference);
    let _daemon = dhcp::daemon(&host, &[]);
    let config = json!({"cniVersion": "1.0.0", "name": "net", "type": "bridge", "ipam": {"type": "dhcp"}});
    let theirs = host.cni("/usr/lib/cni/dhcp").command("ADD").container(&c1).config(&config).run();
    assert!(theirs.error().msg.contains("dhcp daemon of ferrocni"));
}

#[test]
fn a_daemon_of_another_release_is_told_of() {
    let (host, c1) = lan();
    for (says, words) in [
        (r#"{"ferrocni-dhcp": 2, "body": {"wait": {"seconds": 1}}}"#, "of another release"),
        ("SSH-2.0-OpenSSH_9.2", "is not this plugin's dhcp daemon"),
        ("", "is not this plugin's dhcp daemon"),
        (r#"{"ferrocni-dhcp": 1, "body": "done"}"#, "answered a different request"),
    ] {
        host.shell("mkdir -p /run/cni; rm -f /run/cni/dhcp.sock");
        host.write("/run/answer", format!("#!/bin/sh\nread question; echo '{says}'\n"));
        host.shell("chmod +x /run/answer");
        let _somebody = host.spawn(["socat", "UNIX-LISTEN:/run/cni/dhcp.sock", "EXEC:/run/answer"]);
        host.shell("until [ -e /run/cni/dhcp.sock ]; do sleep 0.01; done");
        let error = call(&host, "ADD", &c1).run().error();
        assert!(error.msg.contains(words), "{says}: {error:?}");
    }
}

#[test]
fn rubbish_on_the_socket_is_answered_or_ignored() {
    let scene = Scene::new(&[]);
    let say = |bytes: &[u8]| {
        let mut stream = scene.host.namespaces().enter(|| UnixStream::connect("/run/cni/dhcp.sock")).unwrap();
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        answer
    };
    let long = vec![b'{'; 3 << 20];
    let other_version = br#"{"ferrocni-dhcp": 7, "body": {}}"#;
    let bad_label = br#"{"ferrocni-dhcp": 1, "body": {"release": {"attachment": "ferrocni:../../x/y"}}}"#;
    for (bytes, words) in [
        (&b""[..], "400"),
        (b"\0\xff\n", "400"),
        (b"CONNECT /_goRPC_ HTTP/1.0\n\n", "400"),
        (b"{}\n", "does not understand"),
        (b"{\"ferrocni-dhcp\": 1, \"body\": \"reboot\"}\n", "does not understand"),
        (other_version, "the plugin speaks version 7"),
        (bad_label, "names no attachment"),
        (&long, ""),
    ] {
        let answer = say(bytes);
        assert!(answer.contains(words), "{:?}: {answer}", String::from_utf8_lossy(&bytes[..bytes.len().min(60)]));
    }
    // Connections that stay open without a request do not block others.
    let _silent: Vec<_> =
        (0..50).map(|_| scene.host.namespaces().enter(|| UnixStream::connect("/run/cni/dhcp.sock")).unwrap()).collect();
    let c1 = scene.host.container("c1");
    scene.network(&json!({})).add(&c1, "eth0").ok();
    assert_eq!(dhcp::daemon_log(&scene.host).matches("bug").count(), 0);
}

/// An ADD for c1 of a runtime that may lose patience.
fn spawn_add(host: &Host, families: &[&str]) -> Background {
    let mut config = config();
    config["cniVersion"] = json!("1.0.0");
    config["ipam"]["families"] = json!(families);
    host.write("/run/config", config.to_string());
    let environment = "CNI_COMMAND=ADD CNI_CONTAINERID=c1 CNI_NETNS=/run/netns/c1 CNI_IFNAME=eth0 CNI_PATH=/run";
    let line = format!("exec env {environment} {} < /run/config", bin_dir().join("dhcp").display());
    host.spawn(["sh", "-c", &line])
}

/// A runtime may kill a plugin that takes too long: a lease that the daemon gets after that has no owner.
#[test]
fn an_add_whose_plugin_was_killed_is_given_up() {
    let mut scene = Scene::without_server(&["-timeout 30s", "-resendmax 100ms"]);
    let c1 = scene.host.container("c1");
    scene.host.shell("ip link add c1 up master lan type veth peer name eth0 netns c1");
    let plugin = spawn_add(&scene.host, &["ipv4"]);
    c1.shell("until ip -j link show eth0 | grep -q '\"UP\"'; do sleep 0.01; done");
    drop(plugin);
    scene.server = Some(dhcp::serve(&scene.host, &dhcp::RANGES));
    // Who is still seeking asks ten times in this time.
    thread::sleep(Duration::from_secs(1));
    // One may have been under way.
    assert!(dhcp::server_log(&scene.host).matches("DHCPDISCOVER").count() < 2);
    call(&scene.host, "DEL", &c1).run().ok();
}

/// The same in the middle: it has an address of one family and waits for the other's.
#[test]
fn what_a_killed_plugin_s_add_had_got_is_given_back() {
    let scene = Scene::with(&dhcp::RANGES[..1], &["-timeout 30s"]);
    let _c1 = scene.host.container("c1");
    scene.host.shell("ip link add c1 up master lan type veth peer name eth0 netns c1");
    let plugin = spawn_add(&scene.host, &["ipv4", "ipv6"]);
    scene.wait_for_log("DHCPv4: got 10.5.0.");
    drop(plugin);
    scene.wait_for_log("DHCPv4: released 10.5.0.");
    scene.wait_for_server_log("DHCPRELEASE(lan) 10.5.0.");
    dhcp::eventually("nothing is left", || scene.host.shell("ls /run/ferrocni/dhcp/*") == "lock\n");
}

#[test]
fn flags_that_are_none_are_refused_with_the_list() {
    let host = Host::new();
    let dhcp = bin_dir().join("dhcp");
    let daemon = |flags: &[&str]| host.try_run([&[dhcp.to_str().unwrap(), "daemon"], flags].concat());
    for flags in [&["-verbose"][..], &["-timeout", "soon"], &["-timeout", "10"]] {
        let refused = daemon(flags);
        assert_eq!(refused.status.code(), Some(2), "{refused}");
        assert!(refused.stderr.contains("-hostprefix") && refused.stdout.is_empty(), "{refused}");
    }
    assert!(!daemon(&["-pidfile", "dhcp.pid"]).status.success());
    assert!(daemon(&["-h"]).stderr.contains("-pidfile"));
}

#[test]
fn the_broadcast_flag_is_asked_for() {
    let scene = Scene::with(&dhcp::RANGES, &["-broadcast"]);
    let c1 = scene.host.container("c1");
    let capture = tests::Capture::start(&scene.host, "broadcast", "-v -i lan port 67");
    scene.network(&json!({})).add(&c1, "eth0").ok();
    capture.assert_sees("Flags .Broadcast.");
    capture.assert_sees("10.5.0.1.67 > 255.255.255.255.68");
}

/// As with systemd's socket activation: the socket exists first, and the first connection starts the daemon.
#[test]
fn a_socket_that_systemd_made_is_used_and_left() {
    let (host, c1) = lan();
    let _server = dhcp::serve(&host, &dhcp::RANGES);
    host.shell("mkdir -p /run/cni");
    let dhcp_plugin = bin_dir().join("dhcp");
    let activate = ["systemd-socket-activate", "-l", "/run/cni/dhcp.sock", dhcp_plugin.to_str().unwrap(), "daemon"];
    let pidfile = ["-pidfile", "/run/dhcp.pid"];
    let systemd = host.spawn([&activate[..], &pidfile].concat());
    host.shell("until [ -e /run/cni/dhcp.sock ]; do sleep 0.01; done");
    assert!(host.read("/run/dhcp.pid").is_err(), "nobody has come yet");
    let result = call(&host, "ADD", &c1).run().ok();
    assert!(leased(&result).starts_with("10.5.0."));
    call(&host, "DEL", &c1).run().ok();
    if !reference_differs("it has no leases on disk, and removes the socket") {
        assert_eq!(host.shell("ls /run/ferrocni/dhcp"), "run:cni:dhcp.sock\n");
        host.shell("kill $(cat /run/dhcp.pid)");
        dhcp::eventually("it has ended", || host.read("/run/dhcp.pid").is_err());
        host.shell("test -S /run/cni/dhcp.sock");
    }
    drop(systemd);
}

#[test]
fn the_unit_files_are_ones_that_systemd_takes() {
    let host = Host::new();
    let units = concat!(env!("CARGO_MANIFEST_DIR"), "/../conf/systemd");
    host.shell(&format!("mkdir -p /opt/cni/bin; ln -s {} /opt/cni/bin/dhcp", bin_dir().join("dhcp").display()));
    for unit in ["cni-dhcp.service", "cni-dhcp.socket"] {
        let verified = host.try_run(["systemd-analyze", "verify", "--man=no", &format!("{units}/{unit}")]);
        let said = format!("{}{}", verified.stdout, verified.stderr);
        assert!(verified.status.success() && !said.contains("cni-dhcp"), "{verified}");
    }
}

/// What the unit's sandbox leaves it is enough for all that it does.
#[test]
fn the_unit_s_capabilities_suffice() {
    let units = concat!(env!("CARGO_MANIFEST_DIR"), "/../conf/systemd/cni-dhcp.service");
    let unit = std::fs::read_to_string(units).unwrap();
    let names = unit.lines().find_map(|line| line.strip_prefix("CapabilityBoundingSet=")).unwrap();
    let bounds: Vec<String> =
        names.split(' ').map(|name| format!("+{}", name.trim_start_matches("CAP_").to_lowercase())).collect();
    let mut scene = Scene::with(&[&dhcp::RANGES[..], &SHORT].concat(), &[]);
    scene.daemon = None;
    scene.host.shell("rm -f /run/dhcp.pid");
    let daemon = bin_dir().join("dhcp");
    let line = format!(
        "exec setpriv --no-new-privs --inh-caps=-all --bounding-set=-all,{} {} daemon -pidfile /run/dhcp.pid 2>>/run/dhcp.log",
        bounds.join(","),
        daemon.display()
    );
    scene.daemon = Some(scene.host.spawn(["sh", "-c", &line]));
    dhcp::wait_for_daemon(&scene.host);
    let effective = scene.host.shell("grep CapEff /proc/$(cat /run/dhcp.pid)/status");
    assert!(!effective.contains("ffffffff"), "{effective}");
    let c1 = scene.host.container("c1");
    // IPv6 is switched off, as runtimes leave it: then the daemon has to set something inside.
    c1.shell("echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6");
    let network = network(&scene.host, &json!({"families": ["ipv4", "ipv6"]}));
    let result = network.add(&c1, "eth0").ok();
    scene.wait_for_log(&format!("renewed {}", leased(&result)));
    // As if the server had given another one: the interface is changed.
    // Not while the daemon writes the file.
    scene.daemon = None;
    scene.host.shell("rm /run/dhcp.pid");
    let file = "/run/ferrocni/dhcp/run:cni:dhcp.sock/net:c1:eth0:ipv6";
    let other =
        scene.host.read(file).unwrap().replace(result["ips"][1]["address"].as_str().unwrap(), "fd00:5::7:7/128");
    let configured: Value = serde_json::from_str(&scene.host.read(file).unwrap()).unwrap();
    let mut record: Value = serde_json::from_str(&other).unwrap();
    record["configured"] = configured["configured"].clone();
    scene.host.write(file, record.to_string());
    scene.daemon = Some(scene.host.spawn(["sh", "-c", &line]));
    dhcp::eventually("the address is changed", || super::addresses(&c1, "-6") == ["fd00:5::7:7/128"]);
    network.del(&c1, "eth0").ok();
    scene.wait_for_server_log("DHCPRELEASE(lan) 10.5.0.");
}

/// The most that a daemon with 200 leases may have in memory, in KiB.
const MEMORY: u64 = 20 << 10;
const MANY: usize = 200;

#[test]
fn two_hundred_leases_fit_in_20_mib_and_all_are_renewed_on_time() {
    // Renewed every three seconds; on time is long before T2, also where this machine is busy.
    let scene = Scene::new(&["--dhcp-option=option:T1,3", "--dhcp-option=option:T2,60"]);
    let script = "for i in $(seq 0 199); do
        ip netns add n$i; ip link add v$i up master lan type veth peer name eth0 netns n$i
    done";
    scene.host.shell(script);
    let add = |i: usize| {
        let (id, netns) = (format!("n{i}"), format!("/run/netns/n{i}"));
        let call = scene.host.cni("dhcp").command("ADD").container_id(&id).netns(&netns).ifname("eth0");
        let address = leased(&call.config(&config()).run().ok());
        // An interface plugin would give it to the interface.
        scene.host.run(["ip", "-n", &id, "addr", "add", &address, "dev", "eth0"]);
        address
    };
    let given: Vec<String> = thread::scope(|scope| {
        let adds: Vec<_> =
            (0..8).map(|t| scope.spawn(move || (t..MANY).step_by(8).map(add).collect::<Vec<_>>())).collect();
        adds.into_iter().flat_map(|adds| adds.join().unwrap()).collect()
    });
    let count = |log: &str, words: &str| -> BTreeMap<String, usize> {
        let mut count = BTreeMap::new();
        for line in log.lines().filter_map(|line| line.split_once(words)) {
            *count.entry(line.1.split_whitespace().next().unwrap().to_owned()).or_default() += 1;
        }
        count
    };
    dhcp::eventually("each is renewed twice", || {
        let acknowledged = count(&dhcp::server_log(&scene.host), "DHCPACK(lan) ");
        given.iter().all(|address| acknowledged.get(address.trim_end_matches("/24")).is_some_and(|n| *n >= 3))
    });
    let log = dhcp::daemon_log(&scene.host);
    assert!(!log.contains("every other is asked"), "a server had to be asked after T2");
    let status = scene.host.shell("grep -e VmRSS -e VmHWM /proc/$(cat /run/dhcp.pid)/status");
    let kib = |name: &str| -> u64 {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    eprintln!("{MANY} leases: {} KiB now, {} KiB at most", kib("VmRSS"), kib("VmHWM"));
    assert!(kib("VmRSS") <= MEMORY, "{status}");
}
