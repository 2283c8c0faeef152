//! What happens is told as it happens.

use serde_json::{Value, json};
use tests::{Background, Host, Inside as _, bin_dir};

use super::attached::attach;

/// Starts telling into a file, and waits until nothing that comes can be missed.
fn listen(host: &Host, name: &str, args: &str) -> Background {
    let program = format!("{}/ferrocni events {args} >/run/{name} 2>/run/{name}.err", bin_dir().display());
    let listener = host.spawn(["sh", "-c", &format!("exec {program}")]);
    host.shell(&format!("until grep -q waiting /run/{name}.err; do sleep 0.01; done"));
    listener
}

/// The events so far, once there are that many.
#[track_caller]
fn told(host: &Host, name: &str, count: usize) -> Vec<Value> {
    host.shell(&format!("for i in $(seq 500); do test $(wc -l </run/{name}) -ge {count} && break; sleep 0.02; done"));
    let text = host.read(format!("/run/{name}")).unwrap();
    let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events.len(), count, "{text}");
    events
}

fn brief(events: &[Value]) -> Vec<String> {
    let word = |event: &Value, key: &str| event[key].as_str().unwrap().to_owned();
    let words = |event: &Value| ["type", "action", "network", "container"].map(|key| word(event, key)).join(" ");
    events.iter().map(|event| words(event).trim_end().to_owned()).collect()
}

/// Neither of the folders is there at first.
#[test]
fn networks_and_containers_come_and_go() {
    let host = Host::new();
    host.shell("rm -rf /etc/cni/* /var/lib/cni/*");
    let _all = listen(&host, "all", "");
    let _attached = listen(
        &host,
        "attached",
        "--filter type=container --filter action=attached --format '{{.name}} {{.addresses}}'",
    );
    let _id = host.ferrocni(["network", "create", "--subnet", "10.5.0.0/24", "web"]).ok();
    assert_eq!(brief(&told(&host, "all", 1)), ["network created web"]);
    let c1 = host.container("c1");
    attach(&host, "web", &c1, &json!([]));
    let events = told(&host, "all", 2);
    let event = &events[1];
    assert_eq!(
        (&event["action"], &event["network"], &event["container"], &event["name"], &event["interface"]),
        (&json!("attached"), &json!("web"), &json!("c1"), &json!("c1-name"), &json!("eth0"))
    );
    assert_eq!(event["addresses"], json!(c1.addresses("eth0")));
    assert!(event["time"].as_str().is_some_and(|time| time.ends_with('Z') && time.contains('T')), "{event}");
    let file = "/etc/cni/net.d/ferrocni-web.conflist";
    host.shell(&format!("sed -i 's/10.5.0.0/10.5.0.0/; s/\"name\": *\"web\"/\"more\": 1, &/' {file}"));
    told(&host, "all", 3);
    let _lost = host.lose(c1);
    let _swept = host.ferrocni(["network", "rm", "web"]).ok();
    assert_eq!(
        brief(&told(&host, "all", 5)),
        [
            "network created web",
            "container attached web c1",
            "network changed web",
            "container detached web c1",
            "network removed web"
        ]
    );
    let text = host.read("/run/attached").unwrap();
    assert!(text.lines().count() == 1 && text.starts_with("c1-name [10.5.0."), "{text}");
}

#[test]
fn what_was_there_before_is_no_event_and_folders_may_go_and_come() {
    let host = Host::new();
    let _id = host.ferrocni(["network", "create", "web"]).ok();
    let _all = listen(&host, "all", "");
    host.shell("mv /etc/cni/net.d /etc/cni/old");
    told(&host, "all", 1);
    host.shell("cp -a /etc/cni/old /etc/cni/new; mv /etc/cni/new /etc/cni/net.d");
    told(&host, "all", 2);
    let private = json!({"cniVersion": "1.0.0", "name": "private", "plugins": [{"type": "bridge"}]});
    host.write("/etc/cni/net.d/k8s.io/nerdctl-private.conflist", private.to_string());
    told(&host, "all", 3);
    host.write("/etc/cni/net.d/broken.conflist", "{");
    host.write("/var/lib/cni/results/x-$(reboot)\n-eth0", "{");
    host.shell("rm /etc/cni/net.d/k8s.io/nerdctl-private.conflist");
    assert_eq!(
        brief(&told(&host, "all", 4)),
        ["network removed web", "network created web", "network created private", "network removed private"]
    );
}

#[test]
fn whoever_is_too_slow_hears_that_something_was_missed() {
    let host = Host::new();
    host.shell("mkdir -p /etc/cni/net.d /var/lib/cni/results");
    let _all = listen(&host, "all", "");
    let record = |name: &str| {
        json!({"kind": "cniCacheV1", "containerId": name, "ifName": "eth0", "networkName": "n", "result": {"cniVersion": "1.0.0"}})
            .to_string()
    };
    let depth: usize = host.read("/proc/sys/fs/inotify/max_queued_events").unwrap().trim().parse().unwrap();
    host.shell("kill -STOP $(pidof ferrocni)");
    host.write("/run/one", record("c1"));
    host.shell(&format!(
        "cd /etc/cni/net.d; for i in $(seq {depth}); do : >$((i % 1000)); done
         cp /run/one /var/lib/cni/results/n-c1-eth0; kill -CONT $(pidof ferrocni)"
    ));
    host.shell("for i in $(seq 500); do grep -q attached /run/all && break; sleep 0.02; done");
    let text = host.read("/run/all").unwrap();
    let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(brief(&events), ["events overflow", "container attached n c1"]);
}

#[test]
fn a_reader_that_goes_ends_it_and_bad_usage_is_refused() {
    let host = Host::new();
    let program = bin_dir().join("ferrocni").display().to_string();
    let reader = host.spawn(["bash", "-o", "pipefail", "-c", &format!("{program} events 2>/run/err | head -n 1")]);
    host.shell("until grep -q waiting /run/err; do sleep 0.01; done");
    for name in ["one", "two"] {
        let _id = host.ferrocni(["network", "create", name]).ok();
        host.shell("sleep 0.2");
    }
    reader.wait();
    for args in [&["--filter", "x=y"][..], &["--format", "{{"], &["--format", "{{.status}}"]] {
        let refused = host.ferrocni([&["events"], args].concat());
        assert!(refused.status.code() == Some(1) && refused.stderr.lines().count() == 1, "{refused}");
    }
}
