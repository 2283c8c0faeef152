#![allow(clippy::unwrap_used)]

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use super::*;

/// A folder with a file, and everything that is none, each under the name of its kind.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("file"), "precious").unwrap();
    symlink("file", path("link")).unwrap();
    symlink("/dev/zero", path("link to a device")).unwrap();
    symlink("fifo", path("link to a fifo")).unwrap();
    mkfifo(&path("fifo"), Mode::S_IRWXU).unwrap();
    fs::create_dir(path("folder")).unwrap();
    UnixListener::bind(path("socket")).unwrap();
    folder
}

const NONE_OF_OURS: [&str; 6] = ["link", "link to a device", "link to a fifo", "fifo", "folder", "socket"];

#[test]
fn only_a_regular_file_is_read_or_locked() {
    let folder = folder();
    for name in NONE_OF_OURS {
        let path = folder.path().join(name);
        assert!(is_not_regular(&read(&path, 100).unwrap_err()), "{name}");
        assert!(is_not_regular(&lock(&path).unwrap_err()), "{name}");
    }
    assert_eq!(read(&folder.path().join("file"), 100).unwrap(), b"precious");
    assert_eq!(read(&folder.path().join("missing"), 100).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn through_links_a_regular_file_is_read_and_nothing_else() {
    let folder = folder();
    for name in ["file", "link"] {
        assert_eq!(read_through_links(&folder.path().join(name), 100).unwrap(), b"precious");
    }
    for name in ["link to a device", "link to a fifo", "fifo", "folder", "socket"] {
        assert!(is_not_regular(&read_through_links(&folder.path().join(name), 100).unwrap_err()), "{name}");
    }
}

#[test]
fn nothing_is_read_beyond_the_limit() {
    let folder = folder();
    let file = folder.path().join("file");
    assert_eq!(read(&file, 8).unwrap(), b"precious");
    assert_eq!(read(&file, 7).unwrap_err().kind(), ErrorKind::FileTooLarge);
    fs::write(&file, "").unwrap();
    assert_eq!(read(&file, 0).unwrap(), b"");
}

/// The limit may be far more than memory there is.
#[test]
fn a_file_takes_as_much_memory_as_it_is_long() {
    let folder = folder();
    let content = read(&folder.path().join("file"), 1 << 30).unwrap();
    assert_eq!((content.as_slice(), content.capacity()), (&b"precious"[..], 9));
}

#[test]
fn what_grows_while_it_is_read_is_read_whole() {
    let folder = folder();
    let file = || File::open(folder.path().join("file")).unwrap();
    for size in [1, 7, 9] {
        assert_eq!(read_to_limit((file(), size), 8).unwrap(), b"precious", "{size}");
        assert_eq!(read_to_limit((file(), size), 7).unwrap_err().kind(), ErrorKind::FileTooLarge, "{size}");
    }
    let none = File::open("/proc/self/status").unwrap();
    assert!(read_to_limit((none, 0), 1 << 16).unwrap().starts_with(b"Name:"));
}

#[test]
fn a_file_that_tells_no_size_is_read_to_its_end() {
    assert_eq!(read(Path::new("/proc/sys/kernel/random/boot_id"), 100).unwrap().len(), 37);
}

#[test]
fn what_is_written_takes_the_place_of_what_was_there_and_goes_through_nothing() {
    let folder = folder();
    let path = |name: &str| -> PathBuf { folder.path().join(name) };
    for name in NONE_OF_OURS.into_iter().filter(|name| *name != "folder") {
        create(&path(name), b"new").unwrap();
        assert_eq!(read(&path(name), 3).unwrap(), b"new", "{name}");
    }
    assert!(create(&path("folder"), b"new").is_err());
    symlink("file", path("state")).unwrap();
    symlink("file", path("state.new")).unwrap();
    replace(&path("state"), &path("state.new"), b"newer").unwrap();
    assert_eq!(read(&path("state"), 5).unwrap(), b"newer");
    assert_eq!(fs::metadata(path("state")).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read(path("file")).unwrap(), b"precious");
    assert!(!path("state.new").exists());
}

#[test]
fn what_cannot_be_replaced_stays_and_nothing_is_left() {
    let folder = folder();
    let (target, unfinished) = (folder.path().join("folder"), folder.path().join("new"));
    assert!(replace(&target, &unfinished, b"new").is_err());
    assert!(target.is_dir() && !unfinished.exists());
}

#[test]
fn what_is_missing_is_removed_already() {
    let folder = folder();
    for _ in 0..2 {
        remove(&folder.path().join("file")).unwrap();
    }
    assert!(remove(&folder.path().join("folder")).is_err());
}

#[test]
fn a_lock_is_held_until_its_file_is_closed() {
    let folder = folder();
    let path = folder.path().join("lock");
    let locked = lock(&path).unwrap();
    assert!(open_lock(&path).unwrap().try_lock().is_err());
    drop(locked);
    open_lock(&path).unwrap().try_lock().unwrap();
}
