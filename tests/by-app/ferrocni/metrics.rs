//! Numbers are right, and given to who asks for them only.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tests::{Host, Inside as _, bin_dir};

use super::attached::attach;

/// What is said, by name and labels. Every line has to be as the format wants it.
#[track_caller]
fn parse(text: &str) -> BTreeMap<String, f64> {
    let (mut numbers, mut kind_of) = (BTreeMap::new(), BTreeMap::new());
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, words) = help.split_once(' ').unwrap();
            let kind = lines.next().unwrap().strip_prefix(&format!("# TYPE {name} ")).unwrap();
            assert!(["gauge", "counter"].contains(&kind) && !words.is_empty(), "{line}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{name}");
            assert!(kind_of.insert(name, kind).is_none(), "{name} comes twice");
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap();
        let name = series.split('{').next().unwrap();
        assert!(kind_of.last_key_value().is_some() && kind_of.contains_key(name), "{line}");
        assert!(series == name || series.ends_with("\"}"), "{line}");
        assert!(numbers.insert(series.to_owned(), value.parse().unwrap()).is_none(), "{line} comes twice");
    }
    numbers
}

/// A network with two containers, of which the first has two ports, and one that is gone.
fn scene() -> (Host, Vec<tests::Container>) {
    let host = Host::new();
    let _id = host.ferrocni(["network", "create", "--subnet", "10.5.0.0/29", "web"]).ok();
    let _id = host.ferrocni(["network", "create", "empty"]).ok();
    let mut containers: Vec<_> = ["c1", "c2", "c3"].map(|name| host.container(name)).into();
    for container in &containers {
        let ports = json!([{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"},
            {"hostPort": 53, "containerPort": 53, "protocol": "udp"}]);
        attach(&host, "web", container, if container.id == "c1" { &ports } else { &Value::Null });
    }
    let _lost = host.lose(containers.pop().unwrap());
    (host, containers)
}

#[test]
fn numbers_are_those_of_the_host() {
    let (host, containers) = scene();
    containers[0].assert_pings("10.5.0.1");
    let before = ends(&host);
    let numbers = parse(&host.ferrocni(["metrics"]).ok());
    let after = ends(&host);
    for (series, value) in [
        (r#"ferrocni_attachments{network="web",state="living"}"#, 2.0),
        (r#"ferrocni_attachments{network="web",state="dead"}"#, 1.0),
        (r#"ferrocni_attachments{network="empty",state="living"}"#, 0.0),
        (r#"ferrocni_published_ports{network="web",protocol="tcp"}"#, 1.0),
        (r#"ferrocni_published_ports{network="web",protocol="udp"}"#, 1.0),
        (r#"ferrocni_leftovers{network="web",kind="attachment"}"#, 1.0),
        ("ferrocni_unreadable_files", 0.0),
    ] {
        assert_eq!(numbers.get(series), Some(&value), "{series}: {numbers:#?}");
    }
    let of_range = |what: &str| {
        let found = numbers
            .iter()
            .find(|(series, _)| series.starts_with(&format!("ferrocni_addresses_{what}{{network=\"web\"")));
        *found.unwrap().1
    };
    assert_eq!((of_range("used"), of_range("free")), (3.0, 2.0));
    for (name, way, field) in [
        ("sent_bytes", "rx", "bytes"),
        ("received_bytes", "tx", "bytes"),
        ("sent_packets", "rx", "packets"),
        ("received_packets", "tx", "packets"),
    ] {
        let number = numbers[&format!("ferrocni_network_{name}_total{{network=\"web\"}}")];
        // The kernel sends now and then something of its own.
        let sum = |ends: &[Value]| ends.iter().map(|link| link["stats64"][way][field].as_f64().unwrap()).sum::<f64>();
        assert!(sum(&before) <= number && number <= sum(&after) && number > 0.0, "{name}: {number}");
    }
}

/// The host's ends of the containers' links.
fn ends(host: &Host) -> Vec<Value> {
    let links = host.ip_json(["-s", "-d", "link", "show", "type", "veth"]);
    let links = links.as_array().unwrap().clone();
    let is_ours = |link: &Value| link["ifalias"].as_str().is_some_and(|alias| alias.starts_with("ferrocni:web/"));
    links.into_iter().filter(is_ours).collect()
}

#[test]
fn they_are_served_to_who_asks_properly() {
    let (host, _containers) = scene();
    let program = bin_dir().join("ferrocni").display().to_string();
    let _server = host.spawn([&program, "metrics", "--listen", "127.0.0.1:9808"]);
    host.shell("until grep -q 0100007F:2650 /proc/net/tcp; do sleep 0.01; done");
    let served = host.run(["busybox", "wget", "-q", "-O", "-", "http://127.0.0.1:9808/metrics"]);
    assert_eq!(parse(&served)[r#"ferrocni_attachments{network="web",state="living"}"#], 2.0);
    let ask = |question: &str| host.shell(&format!("printf '{question}' | busybox nc -w 9 127.0.0.1 9808"));
    for (question, status) in [
        ("GET /metrics HTTP/1.1\\r\\n\\r\\n", "200 OK"),
        ("GET /etc/passwd HTTP/1.1\\r\\n\\r\\n", "404 Not Found"),
        ("DELETE /metrics HTTP/1.1\\r\\n\\r\\n", "405 Method Not Allowed"),
        ("nonsense\\r\\n\\r\\n", "400 Bad Request"),
    ] {
        let answer = ask(question);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{question}: {answer}");
    }
    // Whoever says nothing keeps others waiting for a while only.
    let _silent = host.spawn(["busybox", "nc", "127.0.0.1", "9808"]);
    let _served = host.run(["busybox", "wget", "-q", "-O", "-", "http://127.0.0.1:9808/metrics"]);
    let refused = host.ferrocni(["metrics", "--listen", "127.0.0.1:9808"]);
    assert!(
        refused.status.code() == Some(1) && refused.stderr.contains("cannot listen on 127.0.0.1:9808"),
        "{refused}"
    );
    assert_eq!(host.ferrocni(["metrics", "--listen", "9808"]).status.code(), Some(125));
}

#[test]
fn what_cannot_be_read_is_counted_and_hides_nothing() {
    let (host, _containers) = scene();
    host.write("/etc/cni/net.d/a\"b\\\n.conflist", "{");
    host.write("/var/lib/cni/results/web-broken-eth0", "{");
    host.write("/var/lib/cni/networks/web/10.5.0.6", "gone\r\neth0");
    let numbers = parse(&host.ferrocni(["metrics"]).ok());
    assert_eq!(numbers["ferrocni_unreadable_files"], 2.0);
    assert_eq!(numbers[r#"ferrocni_leftovers{network="web",kind="reservation"}"#], 1.0);
    assert_eq!(numbers[r#"ferrocni_attachments{network="web",state="living"}"#], 2.0);
}
