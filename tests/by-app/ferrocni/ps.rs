//! Containers in the background are listed and stopped.

use serde_json::{Value, json};
use tests::{Host, Inside as _};

use super::{fails, idle, shell, succeeds};

fn names(host: &Host, args: &[&str]) -> Vec<String> {
    let listed = host.ferrocni([&["ps", "--format", "{{.Names}}"], args].concat()).ok();
    listed.lines().map(str::to_owned).collect()
}

#[test]
fn containers_are_listed_with_what_they_are() {
    let host = Host::new();
    succeeds(&host, &["network", "create", "web"]);
    let one = idle(&host, &["--name", "one", "--net", "web", "-p", "8080:80", "--label", "team=a"]);
    let two = idle(&host, &["--name", "two", "--net", "none"]);
    let table = host.ferrocni(["ps"]).ok();
    assert!(table.starts_with("CONTAINER ID   COMMAND"), "{table}");
    assert_eq!(host.ferrocni(["ps", "-q", "--no-trunc"]).ok(), format!("{two}\n{one}\n"));
    assert_eq!(host.ferrocni(["ps", "-q"]).ok(), format!("{}\n{}\n", &two[..12], &one[..12]));
    let json = host.ferrocni(["ps", "--format", "json", "--filter", "name=one"]).ok();
    let fields: Value = serde_json::from_str(&json).unwrap();
    for (field, expected) in [
        ("ID", &one[..12]),
        ("Names", "one"),
        ("Command", "\"sleep 1000\""),
        ("Ports", "0.0.0.0:8080->80/tcp"),
        ("Networks", "web"),
        ("State", "running"),
        ("Labels", "team=a"),
    ] {
        assert_eq!(fields[field], expected, "{field}");
    }
    let pid = fields["PID"].as_str().unwrap();
    assert_eq!(host.shell(&format!("cat /proc/$(tr -d ' ' < /proc/{pid}/task/{pid}/children)/comm")), "sleep\n");
    for (filter, expected) in [
        (&["network=web"][..], &["one"][..]),
        (&["name=o"], &["two", "one"]),
        (&["label=team"], &["one"]),
        (&["label=team=b"], &[]),
        (&["name=one", "network=none"], &[]),
        (&["name=one", "name=two"], &["two", "one"]),
    ] {
        let filters: Vec<_> = filter.iter().flat_map(|filter| ["--filter", filter]).collect();
        assert_eq!(names(&host, &filters), expected, "{filter:?}");
    }
    fails(&host, &["ps", "--filter", "x=y"], 1, "filter \"x=y\"");
}

#[test]
fn containers_of_other_runtimes_are_listed_if_asked_for() {
    let host = Host::new();
    succeeds(&host, &["network", "create", "web"]);
    idle(&host, &["--name", "one", "--net", "web"]);
    let list = host.read("/etc/cni/net.d/ferrocni-web.conflist").unwrap();
    let network = host.chain(&serde_json::from_str(&list).unwrap());
    let other = host.container("other");
    let result = network.add(&other, "eth0").ok();
    let record = json!({"kind": "cniCacheV1", "containerId": "other", "ifName": "eth0", "networkName": "web",
        "netns": other.netns, "cniArgs": [["K8S_POD_NAME", "shop"]], "result": result});
    host.write("/var/lib/cni/results/web-other-eth0", record.to_string());
    assert_eq!(names(&host, &[]), ["one"]);
    assert_eq!(names(&host, &["-a"]), ["one", "shop"]);
}

/// A person at a terminal sees how far it is, and a program that reads nothing but the names.
#[test]
fn who_waits_at_a_terminal_sees_how_far_it_is() {
    let host = Host::new();
    let stubborn = ["sh", "-c", "trap '' TERM; while :; do sleep 1; done"];
    for name in ["one", "two", "three", "four"] {
        succeeds(&host, &[&["run", "-d", "--network", "none", "--name", name], &stubborn[..]].concat());
    }
    let seen = shell(&host, "script -qec \"$f stop -t 1 one two\" /dev/null");
    assert!(seen.contains("stopping containers: 2 of 2\r\u{1b}[Ktwo") && seen.starts_with("one\r\n"), "{seen:?}");
    assert_eq!(shell(&host, "script -qec \"$f stop -t 1 three four 2>/dev/null\" /dev/null"), "three\r\nfour\r\n");
}

#[test]
fn a_container_is_stopped_by_asking_and_then_by_force() {
    let host = Host::new();
    host.assert_leaves_nothing(|| {
        idle(&host, &["--name", "polite"]);
        let id = host
            .ferrocni(["run", "-d", "--name", "deaf", "sh", "-c", "trap '' TERM; while :; do sleep 0.01; done"])
            .ok();
        assert_eq!(host.ferrocni(["stop", "polite"]).ok(), "polite\n");
        assert_eq!(names(&host, &[]), ["deaf"]);
        assert_eq!(host.ferrocni(["stop", "-t", "0", &id[..12]]).ok(), format!("{}\n", &id[..12]));
        fails(&host, &["stop", "polite"], 1, "there is no container polite");
    });
}

#[test]
fn a_container_in_the_background_outlives_the_shell_and_holds_nothing_of_it() {
    let host = Host::new();
    // Without an end of the pipe this would wait for the container's end.
    let id = shell(&host, "setsid sh -c '$0 run -d --network none --name bg sleep 1000 2>&1' $f | cat");
    assert_eq!(names(&host, &[]), ["bg"]);
    succeeds(&host, &["stop", id.trim()]);
}

#[test]
fn a_network_of_a_container_is_in_use_until_that_ends() {
    let host = Host::new();
    succeeds(&host, &["network", "create", "web"]);
    idle(&host, &["--name", "one", "--net", "web"]);
    fails(&host, &["network", "rm", "web"], 2, "network web is in use by one");
    shell(&host, "pkill -9 -f -- '[-]-supervisor run'; while pgrep sleep >/dev/null; do sleep 0.01; done");
    host.assert_leaves_nothing(|| ());
    succeeds(&host, &["network", "rm", "web"]);
    assert_eq!(
        host.shell("ls -A /run/netns /run/ferrocni/containers /run/ferrocni/results | grep -v :; ip -br link | wc -l"),
        "\n\n1\n"
    );
}
