//! Hearing of deleted tables, from the real kernel. Needs root and nft.
#![allow(clippy::unwrap_used)] // A test that cannot go on has failed.

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
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

fn nft(script: &str) {
    assert!(Command::new("nft").arg(script).status().unwrap().success(), "{script}");
}

#[test]
fn a_deleted_table_with_rules_of_containers_ends_the_wait() {
    in_namespace(|| {
        let mut watch = Watch::open().unwrap();
        for table in ["inet ferrocni", "bridge ferrocni", "ip nat", "ip6 filter"] {
            nft(&format!("add table {table}; delete table {table}"));
            watch.wait().unwrap();
            nft(&format!("add table {table}; add chain {table} c"));
            nft("flush ruleset");
            watch.wait().unwrap();
        }
    });
}

#[test]
fn other_changes_do_not() {
    in_namespace(|| {
        let mut watch = Watch::open().unwrap();
        let is_deleted = AtomicBool::new(false);
        thread::scope(|scope| {
            let waits = scope.spawn(|| {
                watch.wait().unwrap();
                assert!(is_deleted.load(Ordering::SeqCst), "nothing that concerns containers has changed");
            });
            nft("add table inet ferrocni; add chain inet ferrocni c; add rule inet ferrocni c drop");
            nft(
                "flush table inet ferrocni; delete chain inet ferrocni c; add table inet other; delete table inet other",
            );
            // Time for a wait that ends too early.
            thread::sleep(Duration::from_millis(200));
            is_deleted.store(true, Ordering::SeqCst);
            nft("delete table inet ferrocni");
            waits.join().unwrap();
        });
    });
}

/// More than fits the socket: what is lost may be what is waited for.
#[test]
fn lost_notices_end_the_wait() {
    in_namespace(|| {
        let mut watch = Watch::open().unwrap();
        for _ in 0..4 {
            let chains: String = (0..2000).map(|number| format!("add chain inet other c{number}\n")).collect();
            nft(&format!("add table inet other\n{chains}delete table inet other"));
        }
        watch.wait().unwrap();
    });
}
