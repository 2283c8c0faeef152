//! Hearing of deleted tables, from the real kernel. Needs root and nft.
#![allow(clippy::unwrap_used)] // A test that cannot go on has failed.

use std::process::Command;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use nftables::Watch;
use nix::sched::{CloneFlags, unshare};

/// Runs `test` on a thread in a fresh network namespace.
fn in_namespace(test: impl FnOnce() + Send) {
    let body = || {
        unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace, for which this test needs root");
        test();
    };
    thread::scope(|scope| scope.spawn(body).join().unwrap());
}

/// A wait that should end, and does long before this, or the test fails.
const PATIENCE: Duration = Duration::from_secs(20);
/// Time for a wait that ends too early.
const MOMENT: Duration = Duration::from_millis(200);

/// The watch after its wait has ended; nothing if it has not, as long as that may take.
fn waited(mut watch: Watch, limit: Duration) -> Option<Watch> {
    let (ended, end) = channel();
    thread::spawn(move || {
        watch.wait().unwrap();
        // Nobody waits for it any more if it took too long.
        let _ = ended.send(watch);
    });
    match end.recv_timeout(limit) {
        Err(RecvTimeoutError::Timeout) => None,
        end => Some(end.expect("the wait succeeds")),
    }
}

fn nft(script: &str) {
    assert!(Command::new("nft").arg(script).status().unwrap().success(), "{script}");
}

#[test]
fn a_deleted_table_with_rules_of_containers_ends_the_wait() {
    in_namespace(|| {
        let mut watch = Watch::open().unwrap();
        for table in ["inet ferrocni", "bridge ferrocni", "ip nat", "ip6 filter"] {
            nft(&format!("add table {table}; delete table {table}"));
            watch = waited(watch, PATIENCE).expect("the table was deleted");
            nft(&format!("add table {table}; add chain {table} c"));
            nft("flush ruleset");
            watch = waited(watch, PATIENCE).expect("the table was flushed away");
        }
    });
}

#[test]
fn other_changes_do_not() {
    in_namespace(|| {
        let watch = Watch::open().unwrap();
        nft("add table inet ferrocni; add chain inet ferrocni c; add rule inet ferrocni c drop");
        nft("flush table inet ferrocni; delete chain inet ferrocni c; add table inet other; delete table inet other");
        assert!(waited(watch, MOMENT).is_none(), "nothing that concerns containers has changed");
    });
}

/// More than fits the socket: what is lost may be what is waited for.
#[test]
fn lost_notices_end_the_wait() {
    in_namespace(|| {
        let watch = Watch::open().unwrap();
        for _ in 0..4 {
            let chains: String = (0..2000).map(|number| format!("add chain inet other c{number}\n")).collect();
            nft(&format!("add table inet other\n{chains}delete table inet other"));
        }
        waited(watch, PATIENCE).expect("something was lost");
    });
}
