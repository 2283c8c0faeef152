use std::fs;
use std::process::Command;

use netlink::{Error, Netns, NetnsError, Socket};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::{in_new_netns, ip, new_netns, socket};

#[test]
fn only_a_network_namespace_is_one() {
    let directory = std::env::temp_dir().join(format!("ferrocni-netns-{}", std::process::id()));
    fs::create_dir(&directory).expect("a directory");
    let file = directory.join("file");
    fs::write(&file, "").expect("a file");
    let outcomes = [
        Netns::open(directory.join("missing")),
        Netns::open(file.join("beneath-a-file")),
        Netns::open(&file),
        Netns::open(&directory),
        Netns::open("/dev/null"),
        Netns::open("/proc/self/ns/mnt"),
        Netns::open("/proc/self/status"),
    ];
    fs::remove_dir_all(&directory).expect("removed");
    let [missing, beneath, regular, folder, device, mount, proc_file] =
        outcomes.map(|outcome| outcome.expect_err("none is one"));
    assert!(matches!(missing, Error::Netns(NetnsError::Missing { .. })) && missing.is_not_found(), "{missing:?}");
    assert!(matches!(beneath, Error::Netns(NetnsError::Missing { .. })), "{beneath:?}");
    assert!(
        matches!(regular, Error::Netns(NetnsError::NotANamespace { found: "a regular file", .. }))
            && regular.is_not_found(),
        "{regular:?}"
    );
    assert!(
        matches!(folder, Error::Netns(NetnsError::NotANamespace { found: "a directory", .. }))
            && !folder.is_not_found(),
        "{folder:?}"
    );
    assert!(matches!(device, Error::Netns(NetnsError::NotANamespace { found: "a device", .. })), "{device:?}");
    assert!(matches!(mount, Error::Netns(NetnsError::NotANetworkNamespace { .. })), "{mount:?}");
    assert!(matches!(proc_file, Error::Netns(NetnsError::NotANamespace { .. })), "{proc_file:?}");
}

#[test]
fn a_fifo_does_not_block() {
    let path = std::env::temp_dir().join(format!("ferrocni-fifo-{}", std::process::id()));
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRUSR).expect("a FIFO");
    let error = Netns::open(&path).expect_err("no namespace");
    fs::remove_file(&path).expect("removed");
    assert!(matches!(error, Error::Netns(NetnsError::NotANamespace { found: "a FIFO", .. })), "{error:?}");
}

#[test]
fn identity_is_the_namespace_and_not_the_path() {
    in_new_netns(|| {
        let here = Netns::current().expect("here");
        let again = Netns::open(format!("/proc/{}/task/{}/ns/net", nix::unistd::getpid(), nix::unistd::gettid()))
            .expect("here");
        assert_eq!(here, again);
        assert_ne!(here, new_netns());
    });
}

#[test]
fn a_process_namespace_is_found_without_its_path() {
    let inside = new_netns();
    let mut process = inside.run(|| Command::new("sleep").arg("1000").spawn()).expect("entered").expect("started");
    let pid = Pid::from_raw(process.id().try_into().expect("a number")).expect("not 0");
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).expect("it runs");
    let (before, found) = (Netns::current().expect("here"), Netns::of_process(&pidfd));
    process.kill().and_then(|()| process.wait()).expect("ended");
    assert_eq!(found.expect("it ran"), inside);
    assert_eq!(Netns::current().expect("here"), before, "the caller is back");
    assert!(matches!(Netns::of_process(&pidfd), Err(Error::Netns(NetnsError::OfProcess(_)))));
}

#[test]
fn run_is_inside_and_the_caller_stays_outside() {
    in_new_netns(|| {
        let outside = Netns::current().expect("here");
        let inside = new_netns();
        let seen = inside.run(|| Netns::current().expect("there").id()).expect("entered");
        assert_eq!(seen, inside.id());
        assert_eq!(Netns::current().expect("here"), outside);
    });
}

#[test]
fn a_panic_inside_is_a_panic_outside() {
    let inside = new_netns();
    let before = Netns::current().expect("opened").id();
    let outcome = std::panic::catch_unwind(|| inside.run(|| panic!("from inside")));
    assert_eq!(Netns::current().expect("opened").id(), before, "the caller is back");
    assert_eq!(outcome.expect_err("a panic").downcast_ref(), Some(&"from inside"));
}

#[test]
fn a_socket_stays_in_the_namespace_it_was_opened_in() {
    in_new_netns(|| {
        let inside = new_netns();
        ip("link add only-here type bridge");
        inside.run(|| ip("link add only-there type bridge")).expect("entered");
        let mut there = Socket::open_in(&inside).expect("a socket");
        assert!(there.link("only-there").is_ok());
        assert!(there.link("only-here").expect_err("elsewhere").is_not_found());
        assert!(socket().link("only-here").is_ok());
    });
}

#[test]
fn what_is_made_in_a_new_namespace_is_seen_nowhere_and_gone_afterwards() {
    in_new_netns(|| {
        let here = Netns::current().expect("/proc is mounted").id();
        let there = Netns::run_in_new(|| {
            crate::bridge(&mut socket(), "br0");
            Netns::current().expect("/proc is mounted").id()
        });
        assert_ne!(there.expect("made"), here);
        assert_eq!(Netns::current().expect("/proc is mounted").id(), here);
        assert!(socket().link("br0").expect_err("it was elsewhere").is_not_found());
    });
}

/// The kernel gives the inode of a namespace that is gone to another one, but no cookie twice: it counts them
/// (net/core/net_namespace.c).
#[test]
fn a_cookie_is_the_namespace_s_own() {
    let cookie = |netns: &Netns| netns.cookie().expect("entered").expect("this kernel has cookies");
    let (one, other) = (new_netns(), new_netns());
    assert_eq!(cookie(&one), cookie(&one));
    assert_ne!(cookie(&one), cookie(&other));
    let of_one = cookie(&one);
    drop(one);
    assert_ne!(cookie(&new_netns()), of_one);
}
