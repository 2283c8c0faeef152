//! What a child has, and what becomes of it.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::io::Read as _;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

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
