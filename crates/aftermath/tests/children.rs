//! What a child has, and what becomes of it.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::env;
use std::fs;
use std::io::{Read as _, stdin};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use nix::unistd::{Pid, getsid};

/// The one socket is closed as soon as it has been sent on; the other one stays open for a while. The reader of either sees
/// its end, which nothing else of this process keeps open.
#[test]
fn a_child_sends_and_closes_everything_in_the_end() {
    let (mut sent_to, socket) = UnixStream::pair().unwrap();
    let (mut kept_by, kept) = UnixStream::pair().unwrap();
    let (mut unrelated, held) = UnixStream::pair().unwrap();
    aftermath::keep(kept.into(), true);
    let mut child = aftermath::send(socket.as_fd(), b"asked").unwrap();
    drop((socket, held));
    let mut text = String::new();
    unrelated.read_to_string(&mut text).unwrap();
    assert_eq!(text, "", "the child let go of what it does not need");
    sent_to.read_to_string(&mut text).unwrap();
    assert_eq!(text, "asked");
    assert!(!child.has_ended(), "it still has the socket that was kept");
    let process = PathBuf::from(format!("/proc/{}", child.id()));
    let open: Vec<_> =
        fs::read_dir(process.join("fd")).unwrap().map(|entry| fs::read_link(entry.unwrap().path())).collect();
    assert!(matches!(&open[..], [Ok(file)] if file.to_string_lossy().starts_with("socket:")), "{open:?}");
    assert_eq!(fs::read_link(process.join("cwd")).unwrap(), PathBuf::from("/"));
    let session = getsid(Some(Pid::from_raw(child.id()))).unwrap();
    assert_eq!(session.as_raw(), child.id(), "no terminal's signals reach it");
    text.clear();
    kept_by.read_to_string(&mut text).unwrap();
    while !child.has_ended() {
        std::thread::yield_now();
    }
}

/// A process that asks in a thousand namespaces has room left for the one socket that has changed something.
#[test]
fn sockets_that_only_asked_leave_room() {
    let pairs: Vec<_> = (0..100).map(|_| UnixStream::pair().unwrap()).collect();
    let (mut others, asked): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
    asked.into_iter().for_each(|socket| aftermath::keep(socket.into(), false));
    let (mut other, changed) = UnixStream::pair().unwrap();
    aftermath::keep(changed.into(), true);
    let is_open = |socket: &mut UnixStream| {
        socket.set_nonblocking(true).unwrap();
        socket.read(&mut [0]).is_err()
    };
    let kept = others.iter_mut().filter_map(|socket| is_open(socket).then_some(())).count();
    assert!((1..100).contains(&kept), "{kept}");
    assert!(is_open(&mut other));
}

/// Which part of [`whoever_ends_while_a_child_waits_leaves_its_sockets_to_one_too`] a process is to be.
const PART: &str = "AFTERMATH_TEST_PART";

/// Each part is a process in one network namespace, whose kept socket is its standard input: at the other end it shows whether a child
/// has that.
#[test]
fn whoever_ends_while_a_child_waits_leaves_its_sockets_to_one_too() {
    if let Ok(part) = env::var(PART) {
        aftermath::keep(stdin().as_fd().try_clone_to_owned().unwrap(), false);
        if part == "removes" {
            aftermath::expect();
        }
        return;
    }
    let mut namespace = Command::new("unshare").args(["--net", "sleep", "1000"]).spawn().unwrap();
    let pid = namespace.id().to_string();
    let is_apart =
        || fs::read_link(format!("/proc/{pid}/ns/net")).unwrap() != fs::read_link("/proc/self/ns/net").unwrap();
    while !is_apart() {
        std::thread::yield_now();
    }
    let end_of = |part: &str| {
        let (here, kept) = UnixStream::pair().unwrap();
        let me = env::current_exe().unwrap();
        let mut process = Command::new("nsenter");
        process.args(["--net", "--target", &pid]).arg(me).args(["--exact", NAME]).env(PART, part);
        assert!(process.stdin(OwnedFd::from(kept)).stdout(Stdio::null()).status().unwrap().success());
        drop(process);
        here
    };
    let is_closed = |mut here: &UnixStream| {
        here.set_nonblocking(true).unwrap();
        matches!(here.read(&mut [0]), Ok(0))
    };
    assert!(is_closed(&end_of("asks")), "there is nothing to wait for");
    // On a busy machine the moment may be over before the second process asks.
    let attempts = (0..100).map(|_| (end_of("removes"), end_of("asks")));
    let mut in_time = attempts.filter(|(removed, asked)| !is_closed(asked) && !is_closed(removed));
    let (mut removed, _asked) = in_time.next().expect("a child has both");
    removed.set_nonblocking(false).unwrap();
    removed.read_to_string(&mut String::new()).unwrap();
    assert!(is_closed(&end_of("asks")), "there is nothing to wait for any more");
    namespace.kill().and_then(|()| namespace.wait()).unwrap();
}

const NAME: &str = "whoever_ends_while_a_child_waits_leaves_its_sockets_to_one_too";
