//! Nothing is lost or stale while containers come and go.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use cni::Attachment;
use serde_json::json;
use tests::Inside as _;

use super::client::{self, ask, query, receive, resolve, server};
use super::scene::Scene;

/// As many questions a second as are asked at least, a few at a time.
const RATE: u64 = 2000;
const AT_ONCE: u64 = 10;

#[test]
fn no_question_is_lost_and_no_answer_stale_while_a_thousand_come_and_go() {
    let scene = Scene::new();
    let web = scene.named("web", "net", json!({"addresses": ["10.1.0.2"], "forward": false}));
    let inside: Vec<_> = (0..10).map(|number| scene.container(&format!("c{number}"))).collect();
    let (finished, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        scope.spawn(|| {
            let socket = client::socket(&web, server()).unwrap();
            while !finished.load(Ordering::SeqCst) {
                let started = Instant::now();
                for id in 0..AT_ONCE {
                    socket.send(&query(id.try_into().unwrap(), "web", "A", None)).unwrap();
                }
                for _ in 0..AT_ONCE {
                    assert_eq!(receive(&socket).expect("no question is lost").data(), ["10.1.0.2"]);
                }
                answered.fetch_add(usize::try_from(AT_ONCE).unwrap(), Ordering::SeqCst);
                thread::sleep(Duration::from_micros(1_000_000 * AT_ONCE / RATE).saturating_sub(started.elapsed()));
            }
        });
        for round in 0..1000 {
            let container = &inside[round % inside.len()];
            let attachment = Attachment::new("net", &container.id, "eth0").unwrap();
            let address = format!("10.2.{}.{}", round / 250, round % 250);
            scene.write(&attachment, container, json!({"addresses": [&address], "forward": false}));
            scene.serve(&attachment).unwrap();
            assert_eq!(resolve(&web, &container.id, "A"), [address]);
            scene.unlink(&attachment);
            scene.forget(&attachment).unwrap();
            assert_eq!(ask(&web, &container.id, "A").code, "NXDOMAIN");
        }
        finished.store(true, Ordering::SeqCst);
    });
    let lost = scene.host.shell("ip netns exec web nstat -asz UdpRcvbufErrors | awk '/Udp/ { print $2 }'");
    assert_eq!(lost, "0\n", "of {}", answered.load(Ordering::SeqCst));
    assert!(answered.load(Ordering::SeqCst) > 1000);
}

/// Ten thousand questions, each of which is sent whether those before have been answered or not, up to a hundred.
#[test]
fn a_burst_is_answered_wholly() {
    let scene = Scene::new();
    let web = scene.named("web", "net", json!({"addresses": ["10.1.0.2"]}));
    let socket = client::socket(&web, server()).unwrap();
    for _ in 0..100 {
        for id in 0..100 {
            socket.send(&query(id, "web", "A", None)).unwrap();
        }
        for _ in 0..100 {
            receive(&socket).expect("no question is lost");
        }
    }
}
