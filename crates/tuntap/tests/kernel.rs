//! Against the kernel, each test in a network namespace of its own. Needs root, iproute2 and /dev/net/tun.

#![allow(missing_docs, reason = "tests")]

use std::process::Command;
use std::thread;

use nix::sched::{CloneFlags, unshare};
use tuntap::{Error, Options};

fn in_new_netns<T: Send>(test: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).expect("these tests need root");
            test()
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// What `ip -d` says of the links, one a line.
fn links() -> String {
    let output = Command::new("ip").args(["-d", "-o", "link"]).output().expect("iproute2 is installed");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn ip(arguments: &str) {
    assert!(Command::new("ip").args(arguments.split(' ')).status().expect("iproute2 is installed").success());
}

#[test]
fn a_tap_goes_with_its_value_unless_it_is_kept() {
    in_new_netns(|| {
        let tap = Options::new("tap0").create().expect("a tap");
        let kept = Options { multi_queue: true, ..Options::new("tap1") }.create().expect("a tap");
        assert!(links().contains("tun type tap") && links().contains("multi_queue"), "{}", links());
        drop(tap);
        kept.keep().expect("kept");
        assert!(!links().contains("tap0") && links().contains("tap1"), "{}", links());
        assert!(links().contains("persist on"), "{}", links());
    });
}

#[test]
fn user_and_group_are_set_if_they_are_given_and_0_is_one_of_them() {
    for (owner, group, seen) in [
        (None, None, [None, None]),
        (Some(0), None, [Some("user root"), None]),
        (None, Some(0), [None, Some("group root")]),
        (Some(4711), Some(4712), [Some("user 4711"), Some("group 4712")]),
    ] {
        in_new_netns(|| {
            let _tap = Options { owner, group, ..Options::new("tap0") }.create().expect("a tap");
            for (word, expected) in ["user ", "group "].into_iter().zip(seen) {
                // Every link has a `group default`.
                let found = links().replace("group default", "");
                assert!(expected.map_or(!found.contains(word), |expected| found.contains(expected)), "{found}");
            }
        });
    }
}

#[test]
fn a_taken_name_is_typed_whoever_has_it() {
    in_new_netns(|| {
        Options::new("tap0").create().expect("a tap").keep().expect("kept");
        ip("link add veth0 type veth peer name veth1");
        for name in ["tap0", "veth0", "lo"] {
            let error = Options::new(name).create().expect_err("taken");
            assert!(error.is_exists() && error.to_string().contains(name), "{error:?}");
        }
    });
}

#[test]
fn a_name_that_the_kernel_would_alter_is_refused() {
    in_new_netns(|| {
        for name in ["", "sixteen-bytes-xx", "tap%d", "a\0b"] {
            assert!(matches!(Options::new(name).create(), Err(Error::InvalidName { .. })), "{name:?}");
        }
        Options::new("fifteen-bytes-x").create().map(drop).expect("a tap");
    });
}

#[test]
fn this_kernel_can_make_taps() {
    tuntap::probe(true, false).expect("taps");
}
