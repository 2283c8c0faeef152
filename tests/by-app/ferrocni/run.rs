//! A program runs in a container, and leaves nothing, however it ends.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::{self, DirEntry};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::{Host, Inside as _, bin_dir};

use super::{fails, idle, inside, shell, status, succeeds};

/// What the program prints.
#[track_caller]
fn output(host: &Host, options: &[&str], line: &str) -> String {
    host.ferrocni([&["run"], options, &["sh", "-c", line]].concat()).ok()
}

#[test]
fn containers_reach_each_other_the_host_and_the_world() {
    let host = Host::new();
    let outside = host.neighbour();
    host.assert_leaves_nothing(|| {
        let one = inside(&host, &idle(&host, &["--name", "one"]));
        let two = inside(&host, &idle(&host, &["--name", "two"]));
        let address = two.addresses("eth0")[0].split('/').next().unwrap().to_owned();
        one.assert_pings(&address);
        let _server = two.listen_tcp(80);
        one.assert_reaches_tcp(&format!("{address}:80"));
        host.assert_reaches_tcp(&format!("{address}:80"));
        let _far = outside.listen_tcp(80);
        one.assert_reaches_tcp("192.0.2.2:80");
        drop((one, two));
        succeeds(&host, &["stop", "one", "two"]);
    });
    assert_eq!(host.ferrocni(["network", "ls", "--format", "{{.Name}}"]).ok(), "bridge\nhost\nnone\n");
}

#[test]
fn the_exit_status_is_the_program_s() {
    let host = Host::new();
    host.assert_leaves_nothing(|| {
        for (line, expected) in [("exit 0", 0), ("exit 3", 3), ("kill -TERM $$", 143), ("kill -KILL $$", 137)] {
            assert_eq!(status(&host, &["run", "--", "sh", "-c", line]), expected, "{line}");
        }
        for network in ["bridge", "none", "host"] {
            let run = |more: &[&'static str]| [&["run", "--network", network], more].concat();
            fails(&host, &run(&["/no/such/program"]), 127, "cannot run /no/such/program");
            fails(&host, &run(&["/etc/passwd"]), 126, "cannot run /etc/passwd");
            fails(&host, &run(&["--workdir", "/nope", "true"]), 125, "cannot change to /nope");
            fails(&host, &run(&["-d", "/no/such/program"]), 127, "cannot run /no/such/program");
        }
    });
}

#[test]
fn who_is_in_many_groups_runs_programs_too() {
    let host = Host::new();
    let said = shell(&host, "setpriv --groups $(seq -s, 1 5000) $f run --network none echo ran");
    assert_eq!(said, "ran\n");
}

#[test]
fn what_cannot_be_is_refused_and_changes_nothing() {
    let host = Host::new();
    succeeds(&host, &["network", "create", "web"]);
    succeeds(&host, &["network", "create", "app"]);
    let _idle = idle(&host, &["--name", "taken", "--net", "web"]);
    let processes = || shell(&host, PROCESSES);
    let before = processes();
    host.assert_leaves_nothing(|| {
        for (options, words) in [
            (&["--network", "nope"][..], "there is no network nope"),
            (&["--name", "taken"], "container taken is there already"),
            (&["--name", "a/b"], "\"a/b\" is not valid"),
            (&["--net", "web", "--net", "web"], "network web is named twice"),
            (&["--net", "web", "--net", "host"], "network host cannot be combined"),
            (&["--net", "web", "--net", "app", "--ip", "10.0.0.1"], "--ip is for a container with one network"),
            (
                &["--net", "web:ip=10.0.0.1", "--ip", "10.0.0.2"],
                "network web: ip is given twice, as 10.0.0.1 and as 10.0.0.2",
            ),
            (&["--net", "web:interface=x", "--net", "app:interface=x"], "interface x is named twice"),
            (&["--net", "none:ip=10.0.0.1"], "gives addresses of its own choice only"),
            (&["--net", "web", "--ip", "8.8.8.8"], "8.8.8.8"),
            (&["--net", "web", "--net", "app:ip=8.8.8.8"], "8.8.8.8"),
            (&["--hostname", "a b"], "no DNS name"),
            (&["--hostname", &"long.".repeat(14)], "is too long: choose one of 64"),
            (&["--rootfs", "/nope"], "there is no folder /nope"),
            (&["--workdir", "/nope"], "cannot change to /nope"),
            (&["--user", "nobody-of-that-name"], "there is no user"),
            (&["--link", "nope"], "there is no container nope"),
            (&["--net", "none", "--add-host", "me:host-gateway"], "host-gateway is not known"),
            (&["--env", "=x"], "has no name"),
            (&["--label", "=x"], "not KEY=VALUE"),
        ] {
            fails(&host, &[&["run"], options, &["true"]].concat(), 125, words);
        }
        for options in [
            &["-p", "0"][..],
            &["-p", "80/icmp"],
            &["--network", "web:mtu=1"],
            &["--network", "web:interface=lo"],
            &["--network", "web:ip=10.0.0.1,ip=10.0.0.2"],
            &["--add-host", "x"],
            &["--dns-search", "a\nnameserver 192.0.2.1"],
            &["--dns-opt", "a b"],
            &["--nmae", "x"],
            &["-z"],
        ] {
            let args = [&["run"], options, &["true"]].concat();
            assert_eq!(status(&host, &args), 125, "{options:?}");
        }
        assert_eq!(status(&host, &["run"]), 125);
        assert_eq!(processes(), before);
    });
}

#[test]
fn hosts_resolv_conf_and_hostname_are_the_container_s_own() {
    let host = Host::new();
    let read = || host.shell("hostname; cat /etc/hosts /etc/resolv.conf /etc/hostname");
    let before = read();
    succeeds(&host, &["network", "create", "--disable-dns", "plain"]);
    let db = idle(&host, &["--name", "db", "--network", "plain"]);
    let db = inside(&host, &db).addresses("eth0")[0].split('/').next().unwrap().to_owned();
    let options = [
        "--name",
        "web",
        "--alias",
        "www",
        "--add-host",
        "api:10.9.8.7",
        "--add-host",
        "me:host-gateway",
        "--link",
        "db:sql",
        "--dns",
        "192.0.2.53",
        "--dns-search",
        "example.org",
        "--dns-opt",
        "ndots:2",
        "--network",
        "plain",
    ];
    let line =
        "hostname; cat /etc/hostname /etc/resolv.conf; cat /etc/hosts; ip -o -4 addr show eth0; echo x > /etc/hosts";
    let seen = output(&host, &options, line);
    assert!(seen.starts_with("web\nweb\nnameserver 192.0.2.53\nsearch example.org\noptions ndots:2\n"), "{seen}");
    let gateway = host.addresses("br-a116c9ed46d6")[0].split('/').next().unwrap().to_owned();
    for words in ["10.9.8.7\tapi\n", &format!("{gateway}\tme\n"), &format!("{db}\tsql db\n"), "\tweb www\n"] {
        assert!(seen.contains(words), "{words}: {seen}");
    }
    assert_eq!(output(&host, &["--hostname", "else"], "hostname"), "else\n");
    let short_id = output(&host, &["--name", &"x".repeat(65)], "hostname");
    assert!(short_id.len() == 13 && short_id.trim_end().bytes().all(|digit| digit.is_ascii_hexdigit()), "{short_id}");
    assert_eq!(read(), before);
}

#[test]
fn a_program_sees_its_own_processes_links_and_environment() {
    let host = Host::new();
    let seen = output(
        &host,
        &["-e", "A=b c", "-w", "/usr", "-u", "nobody"],
        "ls /sys/class/net; pwd; echo $A; id -un; ls -d /proc/[0-9]* | wc -l",
    );
    let lines: Vec<_> = seen.lines().collect();
    assert_eq!(lines[..5], ["eth0", "lo", "/usr", "b c", "nobody"]);
    assert!(lines[5].parse::<u32>().unwrap() < 8, "{seen}");
    assert_eq!(host.ferrocni(["run", "--network", "none", "ls", "/sys/class/net"]).ok(), "lo\n");
    assert!(output(&host, &["--network", "none"], "ip -br link show lo").contains("UP"), "lo is up");
}

#[test]
fn several_networks_are_interfaces_in_the_order_of_the_command_line() {
    let host = Host::new();
    for (name, subnet) in [("a", "10.1.0.0/24"), ("b", "10.2.0.0/24"), ("c", "10.3.0.0/24")] {
        succeeds(&host, &["network", "create", "--subnet", subnet, name]);
    }
    succeeds(&host, &["network", "create", "--subnet", "10.4.0.0/24", "--subnet", "fd00:4::/64", "dual"]);
    host.assert_leaves_nothing(|| {
        let id = idle(
            &host,
            &[
                "--net",
                "a",
                "--network",
                "b:ip=10.2.0.77,mac=02:00:00:00:00:77,gw-priority=5",
                "--network",
                "c:interface=lan",
                "--network",
                "dual:ip=10.4.0.9,ip6=fd00:4::9",
            ],
        );
        let container = inside(&host, &id);
        assert_eq!(container.addresses("eth1"), ["10.2.0.77/24"]);
        assert_eq!(container.link("eth1")["address"], "02:00:00:00:00:77");
        assert!(container.addresses("eth0")[0].starts_with("10.1.0."));
        assert!(container.addresses("lan")[0].starts_with("10.3.0."));
        assert_eq!(container.addresses("eth3"), ["10.4.0.9/24", "fd00:4::9/64"]);
        let route: Value = container.ip_json(["route", "get", "192.0.2.99"]);
        assert_eq!(route[0]["gateway"], "10.2.0.1", "the default route of the greatest priority");
        succeeds(&host, &["network", "disconnect", "b", &id]);
        let route: Value = container.ip_json(["route", "get", "192.0.2.99"]);
        assert_eq!(route[0]["gateway"], "10.1.0.1", "then that of the next network");
        drop(container);
        succeeds(&host, &["stop", &id[..12]]);
        // The container's names on the network that it has left are forgotten.
        succeeds(&host, &["network", "ls"]);
    });
    let args = ["--net", "a", "--ip", "10.1.0.50", "--mac-address", "02:00:00:00:00:50"];
    let seen = output(&host, &args, "ip -o -4 addr show eth0; cat /sys/class/net/eth0/address");
    assert!(seen.contains("10.1.0.50/24") && seen.contains("02:00:00:00:00:50"), "{seen}");
}

#[test]
fn on_the_host_s_network_a_program_has_the_host_s_names_and_links() {
    let host = Host::new();
    host.assert_leaves_nothing(|| {
        let seen = output(&host, &["--network", "host"], "readlink /proc/self/ns/net; hostname; cat /etc/hosts");
        assert_eq!(seen, host.shell("readlink /proc/self/ns/net; hostname; cat /etc/hosts"));
        let published = host.ferrocni(["run", "--network", "host", "-p", "80:80", "true"]);
        assert!(published.status.success() && published.stderr.contains("no ports are published"), "{published}");
        let own = output(
            &host,
            &["--network", "host", "--hostname", "own", "--add-host", "api:10.9.8.7"],
            "hostname; tail -1 /etc/hosts",
        );
        assert_eq!(own, "own\n10.9.8.7\tapi\n");
    });
}

#[test]
fn signals_reach_the_program_and_everything_is_undone() {
    let host = Host::new();
    host.assert_leaves_nothing(|| {
        for (signal, expected) in [("TERM", "7"), ("USR1", "8"), ("INT", "130"), ("HUP", "129")] {
            let line = "trap \"exit 7\" TERM; trap \"exit 8\" USR1; echo ready; while :; do sleep 0.01; done";
            let script = format!(
                "$f run --network none sh -c '{line}' > /run/out & supervisor=$!
                 until grep -q ready /run/out 2>/dev/null; do sleep 0.01; done
                 kill -{signal} $supervisor; wait $supervisor && : ; echo $?; rm /run/out"
            );
            // Without -m a shell has its children in the background ignore what is typed on a terminal.
            let folder = tests::bin_dir();
            let script = format!("set -m; export CNI_PATH={0}; f={0}/ferrocni; {script}", folder.display());
            // Nor may the tests ignore any, as they do under nohup: the command leaves that so.
            let said = host.run(["env", "--default-signal", "bash", "-c", &script]);
            assert_eq!(said.trim(), expected, "{signal}");
        }
    });
}

#[test]
fn a_terminal_is_the_program_s_and_then_the_shell_s_again() {
    let host = Host::new();
    host.write("/run/program", "test $(ps -o tpgid= -p $$) = $$ && echo in front\nread line; echo got $line\n");
    host.write("/run/shell", "$f run --network none -it sh /run/program; read line; echo then $line\n");
    host.assert_leaves_nothing(|| {
        let said = shell(&host, "export f; printf 'one\ntwo\n' | script -qec 'sh /run/shell' /dev/null");
        for words in ["in front", "got one", "then two"] {
            assert!(said.contains(words), "{words}: {said}");
        }
    });
}

#[test]
fn with_the_program_ends_what_it_has_started() {
    let host = Host::new();
    succeeds(&host, &["run", "--network", "none", "sh", "-c", "setsid sleep 4321 & true"]);
    assert!(!host.try_run(["pgrep", "-f", "sleep 4321"]).status.success());
}

#[test]
fn another_root_has_the_same_network_and_names() {
    let host = Host::new();
    host.shell("mkdir -p /run/root/bin && cp /bin/busybox /run/root/bin/ && ln -s busybox /run/root/bin/sh");
    host.shell("mkdir /run/root/etc /run/root/run && ln -s /run/trap /run/root/etc/hosts");
    host.assert_leaves_nothing(|| {
        let line = "b=/bin/busybox; $b hostname; $b cat /etc/hostname; $b ls /; $b ls /sys/class/net; $b ls /proc | $b grep -c '^[0-9]'; \
                    echo x > /dev/null; $b ip -o -4 addr show eth0 | $b wc -l; $b mount | $b wc -l";
        let seen = host.ferrocni(["run", "--name", "web", "--rootfs", "/run/root", "/bin/sh", "-c", line]).ok();
        let expected = "web\nweb\nbin\ndev\netc\nproc\nrun\nsys\neth0\nlo\n";
        assert!(seen.starts_with(expected), "{seen}");
        assert!(seen.contains("\n1\n"), "it has an address: {seen}");
    });
    assert!(host.read("/run/trap").is_err(), "a link in the root leads nowhere outside");
    assert_eq!(host.shell("grep -c /run/root /proc/mounts || :"), "0\n");
}

#[test]
fn another_root_has_terminals_devices_and_shared_memory() {
    let host = Host::new();
    host.shell(
        "mkdir -p /run/root/usr /run/root/tmp && mount --bind /usr /run/root/usr && cd /run/root && ln -s usr/* .",
    );
    let run = "$f run --network none --rootfs /run/root";
    let line = "ls /dev | xargs; ls /dev/pts; echo x > /dev/shm/x && stat -c %a /dev/shm; echo a > /dev/full || echo full; \
                echo b | tee /dev/stderr; (: < /dev/tty) || :";
    let seen = shell(&host, &format!("{run} sh -c '{line}' 2>&1"));
    let expected = "fd full null ptmx pts random shm stderr stdin stdout tty urandom zero\nptmx\n1777\n";
    assert!(seen.starts_with(expected) && seen.contains("full\nb\nb\n"), "{seen}");
    // The terminal that the program is started on, and one that it makes.
    let line = "tty; echo typed > /dev/tty; script -qec tty /dev/null";
    host.write("/run/terminal", format!("{run} -t sh -c '{line}'\n"));
    let seen = shell(&host, "export f; script -qec 'sh /run/terminal' /dev/null");
    // A terminal echoes, at any time, that there is nothing more to read.
    assert_eq!(seen.replace("^@", ""), "/dev/console\r\ntyped\r\n/dev/pts/0\r\n");
    host.shell("umount /run/root/usr");
}

/// In a container the numbers of processes are others: nobody there takes the host's supervisors for dead, or waits for them.
#[test]
fn the_command_works_in_a_container_of_its_own() {
    let host = Host::new();
    succeeds(&host, &["run", "-d", "--name", "web", "sleep", "1000"]);
    let inside = "$f run --name outer --network host timeout 60 $f ps --format '{{.Names}}'";
    assert_eq!(shell(&host, &format!("{inside} | sort; $f ps --format '{{{{.Names}}}}'")), "outer\nweb\nweb\n");
    succeeds(&host, &["stop", "web"]);
}

#[test]
fn a_stray_file_among_the_containers_is_named_and_stops_nobody() {
    let host = Host::new();
    succeeds(&host, &["run", "-d", "--name", "web", "sleep", "1000"]);
    host.write("/run/ferrocni/containers/stray", "");
    let said = shell(&host, "$f ps --format '{{.Names}}' 2>&1 | sort -u; $f stop web 2>/dev/null");
    let stray = "ferrocni: /run/ferrocni/containers/stray is no folder of a container: remove it\n";
    assert_eq!(said, format!("{stray}web\nweb\n"));
}

#[test]
fn without_root_it_is_said_once_that_it_takes_root() {
    let host = Host::new();
    succeeds(&host, &["run", "true"]);
    for what in ["run true", "ps", "network rm bridge"] {
        let as_nobody = format!("setpriv --reuid 65534 --regid 65534 --clear-groups $f {what} 2>&1 || :");
        let said = shell(&host, &as_nobody);
        assert!(said.lines().count() == 1 && said.ends_with(": this takes root, as sudo gives it\n"), "{what}: {said}");
    }
    let said = shell(&host, "setpriv --reuid 65534 --regid 65534 --clear-groups $f run --network nope true 2>&1 || :");
    assert!(said.contains("there is no network nope"), "{said}");
}

/// containerd mounts its pods' namespaces in the same folder, which it leaves as it is.
#[test]
fn what_others_have_mounted_beside_a_container_they_can_remove() {
    let host = Host::new();
    shell(
        &host,
        "touch /run/netns/pod; unshare -n mount --bind /proc/self/ns/net /run/netns/pod
         for i in $(seq 20); do $f run --network none sh -c 'stat -f -c %T /run/netns/ferrocni-*'; done >/run/seen
         $f run -d --network none --name web sleep 1000 >&2; umount /run/netns/pod; rm /run/netns/pod; $f stop web >&2",
    );
    assert_eq!(host.shell("ls /run/netns; grep -c /run/netns/ /proc/self/mounts || :"), "0\n");
    assert_eq!(host.shell("sort /run/seen | uniq --count").trim(), "20 nsfs", "it is seen inside as well");
}

#[test]
fn killed_at_any_time_it_leaves_nothing_for_the_next_command() {
    let host = Host::new();
    succeeds(&host, &["run", "true"]);
    host.assert_leaves_nothing(|| {
        for moment in 0..40 {
            let delay = f64::from(moment) * 0.004;
            let left = shell(
                &host,
                &format!(
                    "$f run --name c{moment} -p 8080:80 -e A=b sh -c 'sleep 4321 & sleep 4321' & supervisor=$!
                     sleep {delay:.3}; kill -9 $supervisor; wait $supervisor || :
                     $f ps --format '{{{{.Names}}}}' 2>&1; ls /run/ferrocni/containers; pgrep -xc sleep || :"
                ),
            );
            assert_eq!(left, "0\n", "killed after {delay} s");
        }
    });
}

/// Those of the command.
const PROCESSES: &str = "for exe in /proc/[0-9]*/exe; do readlink $exe || :; done | grep '/ferrocni$' || :";

/// What the next command says, and what there is of containers and their namespaces after it: nothing.
const NEXT: &str = "$f ps --format '{{.Names}}' 2>&1; ls -A /run/ferrocni/containers; ls -A /run/netns
                    pgrep -xa sleep || :";

/// 20 of them before they are written down, each of the others somewhat longer after that than the one before, when it makes its
/// namespace, attaches it, starts its program, or has started it.
#[test]
fn killed_by_the_hundred_each_at_another_moment_they_leave_nothing_for_the_next_command() {
    let host = Host::new();
    succeeds(&host, &["run", "true"]);
    host.assert_leaves_nothing(|| {
        let (plugins, program) = (format!("CNI_PATH={}", bin_dir().display()), bin_dir().join("ferrocni"));
        let start = |name: &str| {
            let run = ["run", "--name", name, "-p", "80", "sh", "-c", "sleep 4321 & sleep 4321"];
            host.spawn([&["env", &plugins, program.to_str().unwrap()][..], &run].concat())
        };
        let started = (0..200).map(|number| format!("c{number}")).map(|name| (start(&name), name));
        let mut running: BTreeMap<_, _> = started.map(|(process, name)| (name, (process, None))).collect();
        for number in 0..20 {
            thread::sleep(Duration::from_millis(2));
            running.remove(&format!("c{}", number * 10));
        }
        let mut due = (0..).map(|number| Duration::from_micros(number * 500));
        host.namespaces().enter(|| {
            let mut seen = BTreeSet::new();
            while !running.is_empty() {
                for (id, name) in containers() {
                    if seen.insert(id)
                        && let Some((_, moment)) = running.get_mut(&name)
                    {
                        *moment = due.next().map(|delay| Instant::now() + delay);
                    }
                }
                running.retain(|_, (_, moment)| moment.is_none_or(|moment| moment > Instant::now()));
                thread::sleep(Duration::from_millis(1));
            }
        });
        assert_eq!(shell(&host, &format!("{NEXT}; {PROCESSES}")), "");
    });
}

/// The ids and names of those that are written down.
fn containers() -> Vec<(OsString, String)> {
    let folders = fs::read_dir("/run/ferrocni/containers").into_iter().flatten().flatten();
    let read = |folder: DirEntry| {
        let record: Value = serde_json::from_slice(&fs::read(folder.path().join("config.json")).ok()?).ok()?;
        Some((folder.file_name(), record["name"].as_str()?.to_owned()))
    };
    folders.filter_map(read).collect()
}

#[test]
fn killed_by_the_hundred_at_once_they_leave_nothing_for_the_next_command() {
    let host = Host::new();
    succeeds(&host, &["run", "true"]);
    host.assert_leaves_nothing(|| {
        let left = shell(
            &host,
            &format!(
                ": > /run/up; pids=
                 for i in $(seq 200); do
                     $f run --name c$i -p 80 sh -c 'echo up >> /run/up; sleep 4321 & sleep 4321' & pids=\"$pids $!\"
                 done
                 while test $(wc -l < /run/up) -lt 20; do sleep 0.01; done; kill -9 $pids; wait || :; rm /run/up; {NEXT}; {PROCESSES}"
            ),
        );
        assert_eq!(left, "");
    });
}

#[test]
fn what_a_plugin_does_after_its_supervisor_was_killed_is_undone_too() {
    let host = Host::new();
    write_slow_network(&host);
    let left = shell(
        &host,
        "export CNI_PATH=/run/plugins; $f run --network slow touch /run/ran & supervisor=$!
         while ! test -e /run/begun; do sleep 0.01; done; kill -9 $supervisor; wait $supervisor || :
         (sleep 0.3; touch /run/go) & $f ps -q; wait; while pgrep -x slow >/dev/null; do sleep 0.01; done
         ls -d /run/ran /run/attached /run/ferrocni/containers/* /run/netns/* 2>/dev/null || :",
    );
    assert_eq!(left, "");
}

/// A network whose plugin says that it has begun, and attaches once it may go on.
fn write_slow_network(host: &Host) {
    let plugin = "#!/bin/sh
        case $CNI_COMMAND in
        ADD) touch /run/begun; while ! test -e /run/go; do sleep 0.01; done; touch /run/attached; echo '{\"cniVersion\": \"1.0.0\"}';;
        DEL) rm -f /run/attached;;
        esac";
    host.write("/run/plugins/slow", plugin);
    host.run(["chmod", "+x", "/run/plugins/slow"]);
    let list = json!({"cniVersion": "1.0.0", "name": "slow", "plugins": [{"type": "slow"}]});
    host.write("/etc/cni/net.d/slow.conflist", list.to_string());
}

#[test]
fn what_is_ended_while_it_is_attached_starts_no_program() {
    let host = Host::new();
    write_slow_network(&host);
    for (options, end, code, words) in [
        ("", "kill $run", 143, "ended by SIGTERM before the program was started"),
        ("", "pkill -9 -f ^ferrocni-init", 125, "first process ended before it could start the program"),
        ("--detach", "pkill -9 -f ^ferrocni-init", 125, "first process ended before it could start the program"),
    ] {
        let said = shell(
            &host,
            &format!(
                "export CNI_PATH=/run/plugins; $f run {options} --network slow touch /run/ran >/run/said 2>&1 & run=$!
                 while ! test -e /run/begun; do sleep 0.01; done; {end}; touch /run/go
                 wait $run || echo $?; cat /run/said; rm /run/begun /run/go /run/said
                 ls -d /run/ran /run/attached /run/ferrocni/containers/* /run/netns/* 2>/dev/null || :; {PROCESSES}"
            ),
        );
        let [first, last] = &said.lines().collect::<Vec<_>>()[..] else { panic!("{end}: {said}") };
        assert!(*first == code.to_string() && last.contains(words), "{end}: {said}");
    }
}

#[test]
fn many_at_once_do_not_disturb_each_other() {
    let host = Host::new();
    host.assert_leaves_nothing(|| {
        let said = shell(
            &host,
            "for i in $(seq 60); do $f run --name c$i -p 80 sh -c 'ip -o -4 addr show eth0 | grep -o 172[0-9.]*/' & done; wait",
        );
        let mut addresses: Vec<_> = said.lines().collect();
        assert_eq!(addresses.len(), 60, "{said}");
        addresses.sort_unstable();
        addresses.dedup();
        assert!(addresses.len() > 1);
    });
}

#[test]
fn what_a_program_in_the_background_says_is_kept() {
    let host = Host::new();
    host.assert_leaves_nothing(|| {
        let program = "echo one; echo two >&2; read wait < /run/fifo; echo three; exit 3";
        let said = shell(
            &host,
            &format!(
                "mkfifo /run/fifo; $f run -d --network none --name web sh -c '{program}' >/run/id
                 until $f logs web | grep -q two; do sleep 0.01; done
                 $f logs web; $f logs --tail 1 $(cat /run/id)
                 $f logs -f web > /run/followed & until grep -q two /run/followed; do sleep 0.01; done
                 echo > /run/fifo; wait $!; cat /run/followed; rm /run/fifo /run/id /run/followed"
            ),
        );
        assert_eq!(said, "one\ntwo\ntwo\none\ntwo\nthree\n");
        fails(&host, &["logs", "web"], 1, "there is no container web");
        let many = "sh -c 'seq 1000000; read wait < /run/fifo'";
        let kept = shell(
            &host,
            &format!(
                "mkfifo /run/fifo; $f run -d --network none --name web {many} >/run/id
                 until $f logs -n 1 web | grep -q '^1000000$'; do sleep 0.01; done
                 $f logs web | wc -c; $f logs -f web | head -n 1 | wc -l; du -sb /run/ferrocni/containers | cut -f 1
                 $f stop web >&2; rm /run/fifo /run/id"
            ),
        );
        let numbers: Vec<u32> = kept.lines().map(|line| line.parse().unwrap()).collect();
        assert!(numbers[0] >= 1 << 20 && numbers[1] == 1 && numbers[2] < (2 << 20) + 50_000, "{numbers:?}");
    });
}

#[test]
fn one_name_is_one_container_s() {
    let host = Host::new();
    let said =
        shell(&host, "for i in $(seq 20); do $f run -d --network none --name web sleep 1000 2>/dev/null & done; wait");
    assert_eq!(said.lines().count(), 1, "{said}");
    succeeds(&host, &["stop", "web"]);
    succeeds(&host, &["run", "--network", "none", "--name", "web", "true"]);
}
