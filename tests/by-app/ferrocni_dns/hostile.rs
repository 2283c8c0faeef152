//! Malformed, huge, slow and too many questions.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, UdpSocket};
use std::time::Duration;

use serde_json::json;
use tests::{Host, Inside};

use super::client::{self, ask, connect, framed, query, read, resolve, send, server};
use super::scene::{Named, Scene, until};

fn scene() -> (Scene, Named, Named) {
    let scene = Scene::new();
    let [web, other] = [("web", "10.1.0.2"), ("other", "10.1.0.3")]
        .map(|(name, address)| scene.named(name, "net", json!({"addresses": [address], "forward": false})));
    (scene, web, other)
}

/// The server's memory in KiB, and the time that it has used in hundredths of a second.
fn usage(host: &Host) -> [u64; 2] {
    let numbers = host.shell(
        "pid=$(pidof ferrocni-dns); awk '/^VmRSS/ { print $2 }' /proc/$pid/status; awk '{ print $14 + $15 }' /proc/$pid/stat",
    );
    let numbers: Vec<_> = numbers.split_whitespace().map(|number| number.parse().unwrap()).collect();
    numbers.try_into().unwrap()
}

fn assert_well(asker: &impl Inside) {
    assert_eq!(resolve(asker, "web", "A"), ["10.1.0.2"]);
}

#[test]
fn what_is_malformed_is_refused_or_passed_over() {
    let (_scene, web, _other) = scene();
    let good = query(7, "web", "A", Some(1232));
    let mut edns_twice = good.clone();
    edns_twice.extend_from_within(good.len() - 11..);
    edns_twice[11] = 2;
    let with = |at: usize, value: u8| {
        let mut changed = good.clone();
        changed[at] = value;
        changed
    };
    let pointer = [&good[..12], &[0xc0, 12, 0, 1, 0, 1]].concat();
    let mut huge = good.clone();
    huge.resize(60_000, 0);
    for (query, code) in [
        (with(5, 0), "FORMERR"),
        (with(5, 2), "FORMERR"),
        (with(7, 1), "FORMERR"),
        (with(11, 2), "FORMERR"),
        (with(2, 0x29), "NOTIMP"),
        (with(good.len() - 5, 1), "BADVERS"),
        (with(good.len() - 1, 9), "FORMERR"),
        (edns_twice, "FORMERR"),
        (pointer, "FORMERR"),
        (huge, "FORMERR"),
        (good[..15].to_vec(), "FORMERR"),
        (good[..12].to_vec(), "FORMERR"),
    ] {
        let answer = send(&web, &query).unwrap();
        assert_eq!((answer.code.as_str(), &answer.bytes[..2]), (code, &[0, 7][..]), "{query:?}");
    }
    let socket = client::socket(&web, server()).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    for noise in [&good[..11], &[], &with(2, 0x81)] {
        socket.send(noise).unwrap();
    }
    assert!(tests::receive(&socket, &mut [0; 512]).is_err(), "who answers answers starts a quarrel");
    let chaos = query(7, "version.bind", "TXT", None);
    let chaos = [&chaos[..chaos.len() - 1], &[3]].concat();
    assert_eq!(send(&web, &chaos).unwrap().code, "NXDOMAIN");
    assert_well(&web);
}

/// A generator that is the same each time (Knuth's constants).
fn noise(seed: u64) -> impl Iterator<Item = u8> {
    std::iter::successors(Some(seed), |state| {
        Some(state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407))
    })
    .map(|state| state.to_be_bytes()[0])
}

#[test]
fn noise_costs_neither_memory_nor_others_their_answers() {
    let (scene, web, other) = scene();
    assert_well(&other);
    let [before, _] = usage(&scene.host);
    let socket = client::socket(&web, server()).unwrap();
    for round in 0..20_000 {
        let mut packet = query(7, "web.example.com", "A", Some(1232));
        let mut random = noise(round);
        for _ in 0..1 + round % 8 {
            let at = usize::from(random.next().unwrap()) % packet.len();
            packet[at] = random.next().unwrap();
        }
        packet.truncate(packet.len() - usize::from(random.next().unwrap()) % 4);
        // What it is sent back is not read: the kernel throws it away.
        let _ = socket.send(&packet);
        if round % 1000 == 0 {
            assert_well(&other);
        }
    }
    assert_well(&web);
    let [after, _] = usage(&scene.host);
    assert!(after < before + 4096, "{before} KiB, and {after} KiB afterwards");
}

#[test]
fn each_query_of_a_connection_is_answered_whatever_its_pieces() {
    let (_scene, web, _other) = scene();
    let mut stream = connect(&web).unwrap();
    let all: Vec<u8> = (0..500).flat_map(|id| framed(&query(id, "other", "A", None))).collect();
    let mut writer = stream.try_clone().unwrap();
    let writing = std::thread::spawn(move || {
        for piece in all.chunks(7) {
            writer.write_all(piece).unwrap();
        }
        writer.shutdown(Shutdown::Write).unwrap();
    });
    for id in 0..500_u16 {
        let answer = read(&mut stream).unwrap();
        assert_eq!((answer.data(), &answer.bytes[..2]), (vec!["10.1.0.3"], &id.to_be_bytes()[..]));
    }
    writing.join().unwrap();
    assert_eq!(stream.read(&mut [0; 2]).unwrap(), 0, "and then the server hangs up");
}

#[test]
fn frames_that_make_no_sense_end_their_connection_only() {
    let (_scene, web, _other) = scene();
    let formerr = framed(&vec![0; 5000]);
    for frame in [&[0, 0][..], &[0, 5, 1, 2, 3, 4, 5], &framed(&[&[0, 1, 0x80], &[0; 9][..]].concat())] {
        let mut stream = connect(&web).unwrap();
        stream.write_all(frame).unwrap();
        assert_eq!(stream.read(&mut [0; 2]).unwrap_or(0), 0, "{frame:?}");
    }
    let mut stream = connect(&web).unwrap();
    stream.write_all(&formerr).unwrap();
    assert_eq!(read(&mut stream).unwrap().code, "FORMERR");
    assert_well(&web);
}

/// Connections that say nothing, say it slowly, or take no answers are closed after ten seconds; until then others of the same
/// container may have to wait, and no other container does.
#[test]
fn who_is_slow_is_hung_up_on_and_keeps_nobody_else_waiting() {
    let (scene, web, other) = scene();
    let mut slow: Vec<_> = (0..40).map(|_| connect(&web).unwrap()).collect();
    let mut greedy = connect(&other).unwrap();
    greedy.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let flood = framed(&query(1, "web", "A", None)).repeat(1000);
    while greedy.write_all(&flood).is_ok() {}
    assert_well(&other);
    assert_well(&web);
    assert_eq!(client::ask_tcp(&other, "web", "A").data(), ["10.1.0.2"]);
    slow[0].write_all(&[0, 30, 1]).unwrap();
    assert_eq!(client::ask_tcp(&web, "other", "A").data(), ["10.1.0.3"], "once the first are closed");
    assert_eq!(slow[0].read(&mut [0; 1]).unwrap_or(0), 0);
    until(|| {
        let open = scene.host.shell("ls -l /proc/$(pidof ferrocni-dns)/fd | grep -c socket");
        open.trim().parse::<usize>().unwrap() < 30
    });
}

#[test]
fn a_socket_s_owner_cannot_ask_for_another_container() {
    let (scene, web, _other) = scene();
    let third = scene.named("third", "elsewhere", json!({"addresses": ["10.3.0.2"], "forward": false}));
    web.shell("ip addr add 10.3.0.2/32 dev lo");
    let spoofed = web.namespaces().enter_network_only(|| UdpSocket::bind("10.3.0.2:0")).unwrap();
    web.namespaces().enter_network_only(|| spoofed.connect(server())).unwrap();
    spoofed.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    spoofed.send(&query(7, "third", "A", None)).unwrap();
    assert_eq!(client::receive(&spoofed).unwrap().code, "NXDOMAIN");
    assert_eq!(ask(&third, "web", "A").code, "NXDOMAIN");
}

#[test]
fn at_the_door_nonsense_is_answered_with_an_error() {
    let (scene, web, _other) = scene();
    for line in ["", "{", "{\"open\":1}", "{\"serve\":\"../../etc/passwd\"}", "{\"serve\":5}", "\"status\""] {
        let said = scene.host.shell(&format!("printf '%s\\n' '{line}' | socat -t2 - UNIX-CONNECT:{}", names::SOCKET));
        assert!(said.starts_with("{\"error\":"), "{line}: {said}");
    }
    let several = "{\"status\":null}\\n{\"forget\":\"a:b:c\"}\\n";
    let said = scene.host.shell(&format!("printf '{several}' | socat -t2 - UNIX-CONNECT:{}", names::SOCKET));
    assert!(said.starts_with("{\"status\":") && said.ends_with("\n\"done\"\n"), "{said}");
    assert_well(&web);
}
