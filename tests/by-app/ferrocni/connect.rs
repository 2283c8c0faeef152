//! Running containers are connected to networks and disconnected again.

use std::fmt::Write as _;
use std::os::unix::process::ExitStatusExt as _;

use serde_json::{Value, json};
use tests::{Container, Finished, Host, Inside as _, bin_dir};

/// The id of a container of Podman, in all but its digits.
fn long_id(digits: &str) -> String {
    format!("{digits:0<64}")
}

#[track_caller]
fn fails(host: &Host, args: &[&str], words: &str) {
    let failed = host.ferrocni(args);
    assert_eq!(failed.status.code(), Some(1), "{failed}");
    assert!(failed.stderr.contains(words), "{failed}");
    assert_eq!(failed.stderr.lines().count(), 1, "{failed}");
}

#[track_caller]
fn succeeds(host: &Host, args: &[&str]) -> Finished {
    let outcome = host.ferrocni(args);
    assert!(outcome.status.success(), "{outcome}");
    outcome
}

fn create(host: &Host, name: &str, number: u8) {
    let (v4, v6) = (format!("10.{number}.0.0/24"), format!("fd00:{number}::/64"));
    succeeds(host, &["network", "create", "--subnet", &v4, "--subnet", &v6, name]);
}

/// A container as its runtime attaches it: by the plugins, with a record in libcni's cache.
fn attach(host: &Host, network: &str, container: &Container, id: &str, args: &Value) {
    let list: Value =
        serde_json::from_str(&host.read(format!("/etc/cni/net.d/ferrocni-{network}.conflist")).unwrap()).unwrap();
    let chain = host.chain(&list);
    let same = host.container_at(id, &container.netns);
    let result = chain.add(&same, "eth0").ok();
    let record = json!({"kind": "cniCacheV1", "containerId": id, "ifName": "eth0", "networkName": network,
        "netns": container.netns, "cniArgs": args, "result": result});
    host.write(format!("/var/lib/cni/results/{network}-{id}-eth0"), record.to_string());
}

/// As its runtime would.
fn detach(host: &Host, network: &str, id: &str) {
    succeeds(host, &["network", "disconnect", "--force", network, id]);
}

fn inspect(host: &Host, name: &str) -> Value {
    let printed = host.ferrocni(["network", "inspect", name]).ok();
    serde_json::from_str::<Value>(&printed).unwrap()[0].take()
}

fn default_routes(container: &Container) -> Vec<String> {
    let routes = container.shell("ip route show; ip -6 route show");
    routes.lines().filter(|line| line.starts_with("default") || line.contains("/1 ")).map(str::to_owned).collect()
}

#[test]
fn a_container_is_connected_and_disconnected_whatever_it_is_called_by() {
    let host = Host::new();
    create(&host, "one", 1);
    create(&host, "two", 2);
    let id = long_id("12ab");
    let (c1, peer) = (host.container("netns-c1"), host.container("peer"));
    succeeds(&host, &["network", "connect", "two", "peer"]);
    attach(&host, "one", &c1, &id, &json!([["K8S_POD_NAME", "shop"]]));
    let sleeping = c1.spawn(["sleep", "1000"]);
    let pid = host.run(["pgrep", "-x", "sleep"]);
    let pid = pid.trim();
    host.assert_leaves_nothing(|| {
        for target in ["shop", &id, "12ab", pid, &format!("pid:{pid}"), "/run/netns/netns-c1", "netns-c1"] {
            let connected = succeeds(&host, &["network", "connect", "two", target]);
            assert!(connected.stderr.contains("podman network connect two shop"), "{connected}");
            assert_eq!(inspect(&host, "two")["Containers"][&id]["Name"], "shop", "{target}");
            assert_eq!(inspect(&host, "two")["Containers"][&id]["Runtime"], "podman", "{target}");
            let label = &inspect(&host, "two")["Containers"][&id]["EndpointID"];
            assert_eq!(*label, json!(format!("ferrocni:two/{id}/eth1")));
            c1.assert_pings("10.2.0.2");
            peer.assert_pings(c1.addresses("eth1")[0].split('/').next().unwrap());
            succeeds(&host, &["network", "disconnect", "two", target]);
            assert_eq!(c1.links(), ["lo", "eth0"], "{target}");
        }
    });
    drop(sleeping);
}

#[test]
fn a_number_may_begin_an_id_and_be_a_process_of_another() {
    let host = Host::new();
    create(&host, "web", 1);
    create(&host, "other", 2);
    let (c1, c2) = (host.container("c1"), host.container("c2"));
    let _sleeping = c2.spawn(["sleep", "1000"]);
    let pid = host.run(["pgrep", "-x", "sleep"]);
    let (pid, id) = (pid.trim(), long_id(pid.trim()));
    attach(&host, "web", &c1, &id, &json!([]));
    host.assert_leaves_nothing(|| {
        fails(&host, &["network", "connect", "other", pid], "give more of the id, or pid:NUMBER");
        for (target, container) in [(format!("pid:{pid}"), &c2), (format!("{pid}0"), &c1)] {
            let links = container.links().len();
            succeeds(&host, &["network", "connect", "other", &target]);
            assert_eq!(container.links().len(), links + 1, "{target}");
            succeeds(&host, &["network", "disconnect", "other", &target]);
        }
    });
}

#[test]
fn what_was_asked_for_is_given() {
    let host = Host::new();
    create(&host, "web", 1);
    let c1 = host.container("c1");
    host.assert_leaves_nothing(|| {
        let wishes = ["--ip", "10.1.0.77", "--ip6", "fd00:1::77", "--mac-address", "92:d0:c6:0a:29:33"];
        let options = [
            "--interface",
            "lan0",
            "--driver-opt",
            "com.docker.network.endpoint.sysctls=net.ipv4.conf.IFNAME.forwarding=1",
        ];
        let all = [&["network", "connect"], &wishes[..], &options, &["web", "c1"]].concat();
        succeeds(&host, &all);
        assert_eq!(c1.addresses("lan0"), ["10.1.0.77/24", "fd00:1::77/64"]);
        assert_eq!(c1.link("lan0")["address"], "92:d0:c6:0a:29:33");
        assert_eq!(c1.run(["cat", "/proc/sys/net/ipv4/conf/lan0/forwarding"]).trim(), "1");
        succeeds(&host, &["network", "disconnect", "web", "c1"]);
        let named = ["--driver-opt", "com.docker.network.endpoint.ifname=dmz", "--ip", "10.1.0.78"];
        succeeds(&host, &[&["network", "connect"], &named[..], &["web", "c1"]].concat());
        assert_eq!(c1.addresses("dmz")[0], "10.1.0.78/24");
        succeeds(&host, &["network", "disconnect", "web", "c1"]);
    });
}

#[test]
fn the_first_default_route_stays_unless_the_priority_is_higher() {
    let host = Host::new();
    let outside = host.neighbour();
    for (name, number) in [("one", 1), ("two", 2), ("three", 3), ("four", 4)] {
        create(&host, name, number);
    }
    let c1 = host.container("c1");
    let seen_by = outside.listen_tcp(80);
    let way = |to: &str| c1.ip_json(["route", "get", to])[0]["dev"].as_str().unwrap().to_owned();
    host.assert_leaves_nothing(|| {
        succeeds(&host, &["network", "connect", "one", "c1"]);
        let first = default_routes(&c1);
        assert_eq!(first.len(), 2, "{first:?}");
        succeeds(&host, &["network", "connect", "two", "c1"]);
        assert_eq!((way("192.0.2.2"), way("2001:db8::2")), ("eth0".to_owned(), "eth0".to_owned()));
        succeeds(&host, &["network", "connect", "--gw-priority", "1", "three", "c1"]);
        succeeds(&host, &["network", "connect", "--gw-priority", "-5", "four", "c1"]);
        assert_eq!((way("192.0.2.2"), way("2001:db8::2")), ("eth2".to_owned(), "eth2".to_owned()));
        for address in ["192.0.2.2:80", "[2001:db8::2]:80"] {
            c1.assert_reaches_tcp(address);
        }
        succeeds(&host, &["network", "disconnect", "four", "c1"]);
        succeeds(&host, &["network", "connect", "--gw-priority", "100", "four", "c1"]);
        assert_eq!(way("192.0.2.2"), "eth3");
        succeeds(&host, &["network", "disconnect", "four", "c1"]);
        assert_eq!(way("192.0.2.2"), "eth2");
        succeeds(&host, &["network", "disconnect", "three", "c1"]);
        assert_eq!(way("192.0.2.2"), "eth0");
        succeeds(&host, &["network", "disconnect", "one", "c1"]);
        assert_eq!((way("192.0.2.2"), way("2001:db8::2")), ("eth1".to_owned(), "eth1".to_owned()));
        c1.assert_reaches_tcp("192.0.2.2:80");
        succeeds(&host, &["network", "disconnect", "two", "c1"]);
    });
    drop(seen_by);
}

#[test]
fn who_has_deleted_an_interface_can_connect_again() {
    let host = Host::new();
    create(&host, "web", 1);
    let c1 = host.container("c1");
    host.assert_leaves_nothing(|| {
        succeeds(&host, &["network", "connect", "web", "c1"]);
        c1.run(["ip", "link", "delete", "eth0"]);
        succeeds(&host, &["network", "connect", "web", "c1"]);
        c1.assert_pings("10.1.0.1");
        c1.run(["ip", "link", "delete", "eth0"]);
        succeeds(&host, &["network", "disconnect", "web", "c1"]);
    });
}

/// As Docker's Compose needs it.
#[test]
fn aliases_are_given_again_after_a_disconnect() {
    let host = Host::new();
    succeeds(&host, &["network", "create", "--disable-dns", "web"]);
    let plugins = "/opt/cni/bin";
    // It notes what it is asked, and passes on the result of before, which comes last.
    let dnsname = "#!/bin/sh\n[ \"$CNI_COMMAND\" = ADD ] || exec cat >/dev/null\n\
        tee /run/asked | sed 's/.*\"prevResult\"://; s/}$//'\n";
    host.write(format!("{plugins}/dnsname"), dnsname);
    host.run(["chmod", "755", &format!("{plugins}/dnsname")]);
    let folders = format!("{plugins}:{}", bin_dir().display());
    let with_names = |args: &[&str]| succeeds(&host, &[&["--plugin-dir", &folders], args].concat());
    let asked = || serde_json::from_str::<Value>(&host.read("/run/asked").unwrap()).unwrap()["runtimeConfig"].take();
    with_names(&["network", "create", "--subnet", "10.2.0.0/24", "named"]);
    host.assert_leaves_nothing(|| {
        let c1 = host.container("c1");
        fails(&host, &["network", "connect", "--alias", "db", "web", "c1"], "capability \"aliases\"");
        with_names(&["network", "connect", "--alias", "db", "--alias", "store", "named", "c1"]);
        assert_eq!(asked(), json!({"aliases": {"named": ["db", "store"]}}));
        with_names(&["network", "disconnect", "named", "c1"]);
        with_names(&["network", "connect", "--alias", "cache", "--alias", "db", "named", "c1"]);
        assert_eq!(asked(), json!({"aliases": {"named": ["cache", "db", "store"]}}));
        with_names(&["network", "disconnect", "named", "c1"]);
        let _lost = host.lose(c1);
        with_names(&["network", "ls"]);
        host.run(["rm", "/run/asked"]);
    });
}

#[test]
fn what_the_runtime_has_connected_needs_force_to_be_disconnected() {
    let host = Host::new();
    create(&host, "web", 1);
    let c1 = host.container("netns-c1");
    host.assert_leaves_nothing(|| {
        attach(&host, "web", &c1, "c1", &json!([["K8S_POD_NAME", "shop"]]));
        fails(&host, &["network", "connect", "web", "shop"], "shop is connected to network web already, as eth0");
        fails(&host, &["network", "disconnect", "web", "shop"], "podman network disconnect web shop");
        assert_eq!(c1.links(), ["lo", "eth0"]);
        succeeds(&host, &["network", "disconnect", "-f", "web", "shop"]);
        assert_eq!(c1.links(), ["lo"]);
        fails(&host, &["network", "disconnect", "-f", "web", "netns-c1"], "not connected to network web");
    });
}

/// A runtime's GC lists only what it has attached itself.
#[test]
fn gc_spares_what_it_does_not_list_while_the_container_lives() {
    let host = Host::new();
    create(&host, "web", 1);
    let list = host.read("/etc/cni/net.d/ferrocni-web.conflist").unwrap();
    let mut list: Value = serde_json::from_str(&list).unwrap();
    list["cniVersion"] = json!("1.1.0");
    let gc = || {
        for plugin in list["plugins"].as_array().unwrap() {
            let mut config = plugin.clone();
            config["cniVersion"] = json!("1.1.0");
            config["name"] = json!("web");
            config["cni.dev/valid-attachments"] = json!(null);
            let outcome = host.cni(plugin["type"].as_str().unwrap()).config(&config).command("GC").run();
            assert!(outcome.is_ok(), "{}", outcome.finished);
        }
    };
    host.assert_leaves_nothing(|| {
        let c1 = host.container("c1");
        host.run(["mkdir", "-p", "/var/lib/cni/results"]);
        succeeds(&host, &["network", "connect", "web", "c1"]);
        // libcni's own GC has everything in its cache detached that is not listed.
        assert_eq!(host.shell("find /var/lib/cni/results -type f"), "");
        let before = host.snapshot();
        gc();
        host.snapshot().assert_nothing_since(&before);
        c1.assert_pings("10.1.0.1");
        let _lost = host.lose(c1);
        gc();
        assert_eq!(host.shell("find /var/lib/cni/networks -name '10.*' -o -name 'fd00*'"), "");
        succeeds(&host, &["network", "ls"]);
        host.shell("ip link del $(ip -o link | grep -o 'br-[0-9a-f]*')");
    });
}

#[test]
fn the_next_command_removes_what_the_dead_have_left() {
    let host = Host::new();
    create(&host, "web", 1);
    for command in [&["network", "ls"][..], &["network", "inspect", "web"], &["network", "exists", "web"]] {
        host.assert_leaves_nothing(|| {
            let c1 = host.container("c1");
            succeeds(&host, &["network", "connect", "web", "c1"]);
            let _lost = host.lose(c1);
            succeeds(&host, command);
        });
    }
    let c1 = host.container("c1");
    succeeds(&host, &["network", "connect", "web", "c1"]);
    assert_eq!(host.ferrocni(["network", "rm", "web"]).status.code(), Some(2));
    let _lost = host.lose(c1);
    succeeds(&host, &["network", "rm", "web"]);
}

/// A container that was connected before, so that the bridge is there and its next connection leaves no other trace.
fn host_with_bridge() -> (Host, Container) {
    let host = Host::new();
    create(&host, "web", 1);
    let c1 = host.container("c1");
    succeeds(&host, &["network", "connect", "web", "c1"]);
    succeeds(&host, &["network", "disconnect", "web", "c1"]);
    (host, c1)
}

/// The plugin that was running takes its work back when it cannot reply.
fn wait_for_plugins(host: &Host) {
    host.shell("while pgrep -x 'bridge|portmap|firewall' >/dev/null; do sleep 0.01; done");
}

#[test]
fn a_connect_that_is_killed_at_any_time_is_swept_by_the_next_command() {
    let (host, _c1) = host_with_bridge();
    let program = format!("CNI_PATH={0} exec {0}/ferrocni network connect web c1", bin_dir().display());
    let mut killed = 0;
    for delay in (0..75).step_by(3) {
        host.assert_leaves_nothing(|| {
            let after = format!("0.{delay:03}");
            let ended = host.try_run(["timeout", "-s", "KILL", &after, "sh", "-c", &program]);
            killed += usize::from(!ended.status.success());
            wait_for_plugins(&host);
            let disconnected = host.ferrocni(["network", "disconnect", "web", "c1"]);
            let is_clear = disconnected.stderr.contains("c1 is not connected to network web");
            assert!(disconnected.status.success() || is_clear, "{disconnected}");
        });
    }
    assert!(killed > 2, "{killed}");
}

/// Whatever it was about to do: write a record, start a plugin, remove a record.
#[test]
fn a_command_that_is_killed_between_its_steps_leaves_nothing_to_the_next() {
    let (host, _c1) = host_with_bridge();
    let ferrocni = bin_dir().join("ferrocni");
    let plugins = format!("CNI_PATH={}", bin_dir().display());
    for verb in ["connect", "disconnect"] {
        let mut killed = 0;
        for syscall in ["rename", "unlink", "fork,vfork,clone,clone3"] {
            let times = (1..).take_while(|nth| {
                host.assert_leaves_nothing(|| {
                    if verb == "disconnect" {
                        succeeds(&host, &["network", "connect", "web", "c1"]);
                    }
                    let calls = syscall.split(',').map(|call| format!("?{call}")).collect::<Vec<_>>().join(",");
                    let (trace, inject) = (format!("trace={calls}"), format!("inject={calls}:signal=KILL:when={nth}"));
                    let strace = ["strace", "-qqq", "-o", "/dev/null", "-e", &trace, "-e", &inject];
                    let command = ["env", &plugins, ferrocni.to_str().unwrap(), "network", verb, "web", "c1"];
                    let ended = host.try_run([&strace[..], &command].concat());
                    let is_killed = ended.status.signal() == Some(9);
                    assert!(is_killed || ended.status.success(), "{ended}");
                    wait_for_plugins(&host);
                    let _ = host.ferrocni(["network", "disconnect", "web", "c1"]);
                    is_killed
                })
            });
            killed += times.count();
        }
        assert!(killed > 4, "{verb}: {killed}");
    }
}

#[test]
fn many_are_connected_at_once() {
    let host = Host::new();
    create(&host, "web", 1);
    let containers: Vec<_> = (0..50).map(|i| host.container(&format!("c{i}"))).collect();
    host.assert_leaves_nothing(|| {
        for verb in ["connect", "disconnect"] {
            let mut script = format!("export CNI_PATH={}\n", bin_dir().display());
            for i in 0..50 {
                writeln!(script, "{}/ferrocni network {verb} web c{i} & pids=\"${{pids-}} $!\"", bin_dir().display())
                    .unwrap();
            }
            host.shell(&format!("{script}for pid in $pids; do wait $pid; done"));
            if verb == "connect" {
                assert_eq!(inspect(&host, "web")["Containers"].as_object().unwrap().len(), 50);
                containers[0].assert_pings(containers[49].addresses("eth0")[0].split('/').next().unwrap());
            }
        }
    });
}

#[test]
fn of_two_that_connect_one_container_each_has_an_interface() {
    let host = Host::new();
    let c1 = host.container("c1");
    let mut script = format!("export CNI_PATH={}\n", bin_dir().display());
    for i in 1..=8 {
        create(&host, &format!("n{i}"), i);
        writeln!(script, "{}/ferrocni network connect n{i} c1 & pids=\"${{pids-}} $!\"", bin_dir().display()).unwrap();
    }
    host.shell(&format!("{script}for pid in $pids; do wait $pid; done"));
    assert_eq!(c1.links().len(), 9);
    let mut metrics: Vec<_> =
        default_routes(&c1).iter().map(|route| route.split(" metric ").nth(1).map(str::to_owned)).collect();
    metrics.sort();
    metrics.dedup();
    assert_eq!(metrics.len(), 16, "one comes after the other: {metrics:?}");
}

#[test]
fn what_cannot_be_is_refused_and_changes_nothing() {
    let host = Host::new();
    create(&host, "web", 1);
    let (c1, c2) = (host.container("c1"), host.container("netns-c2"));
    attach(&host, "web", &c1, &long_id("ab1"), &json!([["K8S_POD_NAME", "one"]]));
    attach(&host, "web", &c2, &long_id("ab2"), &json!([["K8S_POD_NAME", "two"]]));
    create(&host, "other", 2);
    host.write(
        "/etc/cni/net.d/plain.conflist",
        json!({"cniVersion": "1.0.0", "name": "plain", "plugins": [{"type": "bridge"}]}).to_string(),
    );
    host.assert_leaves_nothing(|| {
        for (args, words) in [
            (&["connect", "nope", "one"][..], "no network nope"),
            (&["connect", "other", "nope"], "no container \"nope\""),
            (&["connect", "other", ""], "no container \"\""),
            (&["connect", "other", ".."], "no container \"..\""),
            (&["connect", "other", "ab"], "two (ab2000000000, podman)"),
            (&["connect", "other", "pid:nope"], "no process \"nope\""),
            (&["connect", "other", "pid:999999"], "no process"),
            (&["connect", "other", "pid:1"], "shares the host's network"),
            (&["connect", "other", "/etc/passwd"], "/etc/passwd"),
            (&["connect", "other", "/run/netns/nope"], "/run/netns/nope"),
            (&["connect", "host", "one"], "network host is no network to connect to"),
            (&["connect", "none", "one"], "network none is no network to connect to"),
            (&["connect", "web", "one"], "connected to network web already"),
            (&["connect", "--interface", "eth0", "other", "one"], "has an interface eth0 already"),
            (&["connect", "--ip", "10.9.0.1", "other", "one"], "10.9.0.1"),
            (&["connect", "--ip", "10.9.0.1", "plain", "one"], "capability \"ips\""),
            (&["connect", "--mac-address", "02:00:00:00:00:01", "plain", "one"], "capability \"mac\""),
            (&["connect", "--driver-opt", "mtu=1", "other", "one"], "\"mtu\" is not known"),
            (&["disconnect", "other", "one"], "one is not connected to network other"),
            (&["disconnect", "nope", "one"], "no network nope"),
            (&["disconnect", "web", "nope"], "no container"),
        ] {
            fails(&host, &[&["network"], args].concat(), words);
        }
        for args in [
            &["--ip", "fd00::1"][..],
            &["--mac-address", "01:00:00:00:00:01"],
            &["--mac-address", "x"],
            &["--alias", "a b"],
            &["--alias", ""],
            &["--interface", "a/b"],
            &["--gw-priority", "70000"],
        ] {
            let refused = host.ferrocni([&["network", "connect"], args, &["other", "one"]].concat());
            assert_eq!(refused.status.code(), Some(125), "{refused}");
        }
    });
    let id = long_id("ab1");
    let _lost = host.lose(c1);
    fails(&host, &["network", "connect", "other", "one"], "one does not run");
    detach(&host, "web", &id);
    detach(&host, "web", "two");
}
