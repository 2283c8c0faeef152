//! What is not known here goes to the right server, from the right place, and liars are not heard.

use std::collections::HashSet;
use std::io::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use domain::base::iana::Rcode;
use serde_json::json;
use tests::{Host, Inside as _, wire};

use super::client::{ask, ask_tcp, connect, framed, query, read, receive, resolve, send, server, socket};
use super::scene::{Named, Scene, until};
use super::upstream::{Upstream, address, coded};

/// A host with a server, another machine on its wire, and a container that has no link: only the host can ask for it.
fn scene(servers: &str) -> (Scene, Host, Named) {
    let (host, outside) = wire();
    let lines: String = servers.split_whitespace().map(|server| format!("nameserver {server}\n")).collect();
    host.write("/run/resolv.conf", lines);
    let scene = Scene::on(host);
    let web = scene.named("web", "net", json!({"addresses": ["10.1.0.2"]}));
    (scene, outside, web)
}

#[test]
fn a_query_is_passed_on_as_it_is_and_so_is_its_answer() {
    let (_scene, outside, web) = scene("192.0.2.2");
    let upstream = Upstream::with_address(&outside, "192.0.2.2:53", "192.0.2.80");
    let mut asked = query(0x1234, "WwW.eXample.com", "TYPE65280", Some(4000));
    // An option of EDNS that nobody knows.
    let length = asked.len();
    asked[length - 1] = 6;
    asked.extend([0xff, 0x01, 0, 2, 1, 2]);
    let answer = send(&web, &asked).unwrap();
    let upstreams = upstream.asked();
    assert_eq!(upstreams[0].query[2..], asked[2..]);
    assert_eq!(answer.bytes[..2], [0x12, 0x34]);
    assert_eq!(answer.bytes[2..], address(&asked, "192.0.2.80")[2..]);
    for _ in 0..20 {
        assert_eq!(resolve(&web, "example.com", "A"), ["192.0.2.80"]);
    }
    let asked = upstream.asked();
    let distinct = |what: fn(&super::upstream::Asked) -> u16| asked.iter().map(what).collect::<HashSet<_>>().len();
    assert!(distinct(|asked| u16::from_be_bytes([asked.query[0], asked.query[1]])) > 15, "identifiers are random");
    assert!(distinct(|asked| asked.from.port()) > 15, "ports are random");
    assert!(asked.iter().all(|asked| asked.from.ip().to_string() == "192.0.2.1"), "from the host");
}

/// A search domain of the host's, or a list of ndots, makes no difference: what is known here is answered first.
#[test]
fn what_is_known_here_is_not_asked_elsewhere_and_single_labels_are_if_they_are_not() {
    let (scene, outside, web) = scene("192.0.2.2");
    let upstream = Upstream::with_address(&outside, "192.0.2.2:53", "192.0.2.80");
    for kind in ["A", "AAAA", "MX", "HTTPS", "ANY"] {
        assert!(!resolve(&web, "web", kind).contains(&"192.0.2.80".to_owned()));
    }
    assert_eq!(upstream.asked().len(), 0);
    assert_eq!(resolve(&web, "printer", "A"), ["192.0.2.80"]);
    let inner = scene.named(
        "inner",
        "inside",
        json!({"addresses": ["10.2.0.2"], "forward": false, "upstreams": ["192.0.2.2:53"]}),
    );
    assert_eq!(ask(&inner, "example.com", "A").code, "NXDOMAIN");
    assert_eq!(upstream.asked().len(), 1, "an internal network asks nobody");
    let both = scene.attach(inner.inside, "net", "eth1", json!({"addresses": ["10.1.0.3"]}));
    assert_eq!(resolve(&both, "example.com", "A"), ["192.0.2.80"]);
}

#[test]
fn a_container_s_own_servers_are_asked_from_its_namespace() {
    let (scene, outside, _web) = scene("192.0.2.2");
    let hosts = Upstream::with_address(&outside, "192.0.2.2:53", "192.0.2.80");
    let own =
        scene.named("own", "net", json!({"addresses": ["10.1.0.3"], "upstreams": ["127.0.0.11:53", "127.0.0.1:5353"]}));
    let _upstream = Upstream::with_address(&own, "127.0.0.1:5353", "192.0.2.81");
    assert_eq!(resolve(&own, "example.com", "A"), ["192.0.2.81"]);
    assert_eq!(ask_tcp(&own, "example.com", "A").data(), ["192.0.2.81"]);
    let looping = scene.named("looping", "net", json!({"addresses": ["10.1.0.4"], "upstreams": ["127.0.0.11:53"]}));
    let answer = ask(&looping, "example.com", "A");
    assert_eq!((&*answer.code, answer.reason), ("SERVFAIL", Some(22)), "it does not ask itself");
    assert_eq!(hosts.asked().len(), 0);
}

#[test]
fn the_next_server_is_asked_when_one_cannot_tell_and_no_other() {
    let (_scene, outside, web) = scene("192.0.2.2 192.0.2.3");
    outside.shell("ip addr add 192.0.2.3/24 dev uplink");
    let second = Upstream::with_address(&outside, "192.0.2.3:53", "192.0.2.83");
    assert_eq!(resolve(&web, "example.com", "A"), ["192.0.2.83"], "nobody listens at the first");
    for code in [Rcode::SERVFAIL, Rcode::REFUSED] {
        let _first = Upstream::with_code(&outside, "192.0.2.2:53", code);
        assert_eq!(resolve(&web, "example.com", "A"), ["192.0.2.83"], "{code}");
    }
    drop(second);
    let first = Upstream::with_code(&outside, "192.0.2.2:53", Rcode::NXDOMAIN);
    assert_eq!(ask(&web, "example.com", "A").code, "NXDOMAIN");
    let second = Upstream::with_address(&outside, "192.0.2.3:53", "192.0.2.83");
    drop(first);
    let first = Upstream::new(&outside, "192.0.2.2:53", |_| Vec::new());
    assert_eq!(resolve(&web, "example.com", "A"), ["192.0.2.83"], "after two seconds of silence");
    let silent = first.asked().len();
    assert_eq!(resolve(&web, "example.com", "A"), ["192.0.2.83"]);
    assert_eq!(first.asked().len(), silent, "one that is silent is not asked first");
    drop(second);
    let _second = Upstream::with_code(&outside, "192.0.2.3:53", Rcode::REFUSED);
    assert_eq!(ask(&web, "example.com", "A").code, "REFUSED", "what a server says is better than nothing");
}

/// The true answer comes last, after whatever somebody could send in its place.
#[test]
fn who_lies_about_ids_questions_sizes_or_sources_is_not_heard() {
    let (_scene, outside, web) = scene("192.0.2.2");
    outside.shell("ip addr add 192.0.2.66/24 dev uplink");
    let stranger = socket_at(&outside, "192.0.2.66:53");
    let _upstream = Upstream::new(&outside, "192.0.2.2:53", move |query| {
        let lie = address(query, "6.6.6.6");
        let with = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut changed = lie.clone();
            change(&mut changed);
            changed
        };
        vec![
            with(&|lie| lie[1] ^= 1),
            with(&|lie| lie[13] ^= 1),
            with(&|lie| lie[2] &= 0x7f),
            with(&|lie| lie[5] = 0),
            with(&|lie| lie[26] = 28),
            with(&|lie| lie.truncate(20)),
            with(&|lie| lie.truncate(3)),
            with(&|lie| lie.resize(1300, 0)),
            Vec::new(),
            address(query, "192.0.2.80"),
        ]
    });
    let socket = socket(&web, server()).unwrap();
    socket.send(&query(7, "example.com", "A", Some(1232))).unwrap();
    for port in 32768..32868 {
        let _ = stranger.send_to(&address(&query(7, "example.com", "A", None), "6.6.6.6"), ("192.0.2.1", port));
    }
    assert_eq!(receive(&socket).unwrap().data(), ["192.0.2.80"]);
}

fn socket_at(host: &Host, address: &str) -> std::net::UdpSocket {
    host.namespaces().enter_network_only(|| std::net::UdpSocket::bind(address).unwrap())
}

#[test]
fn what_comes_over_tcp_is_passed_on_over_tcp() {
    let (_scene, outside, web) = scene("192.0.2.2");
    let upstream = Upstream::new(&outside, "192.0.2.2:53", |query| {
        let mut long = address(query, "192.0.2.80");
        long.resize(60_000, 0);
        let mut lie = long.clone();
        lie[1] ^= 1;
        vec![lie, long]
    });
    let mut stream = connect(&web).unwrap();
    stream.write_all(&framed(&query(7, "example.com", "A", None))).unwrap();
    let mut frame = [0; 2];
    std::io::Read::read_exact(&mut stream, &mut frame).unwrap();
    assert_eq!(u16::from_be_bytes(frame), 60_000);
    assert!(upstream.asked().iter().all(|asked| asked.over_tcp));
    for kind in ["AXFR", "IXFR"] {
        assert_eq!(ask_tcp(&web, "example.com", kind).code, "REFUSED", "{kind}");
    }
}

#[test]
fn answers_overtake_each_other_on_one_connection() {
    let (_scene, outside, web) = scene("192.0.2.2");
    let _upstream = Upstream::new(&outside, "192.0.2.2:53", |query| {
        std::thread::sleep(Duration::from_millis(300));
        vec![address(query, "192.0.2.80")]
    });
    let mut stream = connect(&web).unwrap();
    let queries = [framed(&query(1, "example.com", "A", None)), framed(&query(2, "web", "A", None))].concat();
    stream.write_all(&queries).unwrap();
    let order: Vec<_> = (0..2).map(|_| read(&mut stream).unwrap().bytes[1]).collect();
    assert_eq!(order, [2, 1]);
}

#[test]
fn the_host_s_servers_are_read_again_however_they_change() {
    let (scene, outside, web) = scene("192.0.2.2");
    let _one = Upstream::with_address(&outside, "192.0.2.2:53", "192.0.2.81");
    outside.shell("ip addr add 192.0.2.3/24 dev uplink");
    let _other = Upstream::with_address(&outside, "192.0.2.3:53", "192.0.2.82");
    let servers = |expected: &[&str]| {
        until(|| scene.status().unwrap().upstreams.iter().map(ToString::to_string).eq(expected.iter().copied()));
    };
    assert_eq!(resolve(&web, "example.com", "A"), ["192.0.2.81"]);
    scene.host.shell("echo 'nameserver 192.0.2.3' > /run/new; mv /run/new /run/resolv.conf");
    servers(&["192.0.2.3:53"]);
    assert_eq!(resolve(&web, "example.com", "A"), ["192.0.2.82"]);
    scene.host.shell(
        "mkdir /run/stub; printf 'nameserver nonsense\\nnameserver 192.0.2.2\\n' > /run/stub/resolv.conf
        ln -sf stub/resolv.conf /run/link; mv -T /run/link /run/resolv.conf",
    );
    servers(&["192.0.2.2:53"]);
    scene.host.shell("echo 'nameserver 192.0.2.3' > /run/stub/resolv.conf");
    servers(&["192.0.2.3:53"]);
    scene.host.shell("echo '# nothing' > /run/stub/resolv.conf");
    servers(&[]);
    assert!(scene.status().unwrap().problems[0].contains("names no DNS server"));
    let answer = ask(&web, "example.com", "A");
    assert_eq!((&*answer.code, answer.reason), ("SERVFAIL", Some(22)));
    assert_eq!(resolve(&web, "web", "A"), ["10.1.0.2"], "names of containers are answered all the same");
    scene.host.shell("rm /run/resolv.conf; echo 'nameserver 192.0.2.2' > /run/resolv.conf");
    servers(&["192.0.2.2:53"]);
    assert_eq!(scene.status().unwrap().problems, [""; 0]);
}

/// Docker in a container: the engine's own server has the address that ours has in containers.
#[test]
fn the_host_s_own_server_at_our_address_is_asked() {
    let (scene, _outside, web) = scene("127.0.0.11");
    let _outer = Upstream::with_address(&scene.host, "127.0.0.11:53", "192.0.2.80");
    assert_eq!(resolve(&web, "example.com", "A"), ["192.0.2.80"]);
    let lookup = scene.lookup("web", "example.com", "A").unwrap();
    assert_eq!(lookup.server.unwrap().to_string(), "127.0.0.11:53");
    assert_eq!(lookup.records[0].data, "192.0.2.80");
}

#[test]
fn who_asks_too_much_at_once_is_refused_and_others_are_not() {
    let (scene, outside, web) = scene("192.0.2.2");
    let other = scene.named("other", "net", json!({"addresses": ["10.1.0.3"]}));
    let heard = std::sync::Arc::new(AtomicUsize::new(0));
    let _silent = Upstream::new(&outside, "192.0.2.2:53", {
        let heard = std::sync::Arc::clone(&heard);
        move |query| {
            heard.fetch_add(1, Ordering::SeqCst);
            if query[13] == b'o' { vec![coded(query, Rcode::NOERROR)] } else { Vec::new() }
        }
    });
    let asking = socket(&web, server()).unwrap();
    let started = Instant::now();
    for id in 0..200 {
        asking.send(&query(id, "x.example.com", "A", None)).unwrap();
    }
    let refused: Vec<_> = (0..72).map(|_| receive(&asking).unwrap()).collect();
    assert!(refused.iter().all(|answer| answer.code == "REFUSED"));
    assert_eq!(ask(&other, "other.example.com", "A").code, "NOERROR");
    assert_eq!(resolve(&web, "web", "A"), ["10.1.0.2"], "what is known needs nobody");
    let failed: Vec<_> = (0..128).map(|_| receive(&asking).unwrap()).collect();
    assert!(failed.iter().all(|answer| answer.code == "SERVFAIL"));
    assert_eq!(heard.load(Ordering::SeqCst), 129, "after {:?}", started.elapsed());
    assert!(scene.status().unwrap().problems.iter().any(|problem| problem.contains("192.0.2.2:53")));
}
