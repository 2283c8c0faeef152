//! The command `ferrocni`.
//!
//! - `connect`: running containers are connected and disconnected
//! - `docker`: every line of docs/docker.md does what its neighbour does with Docker
//! - `doctor`: what is wrong is found, and mended by the command that comes with it
//! - `events`: what happens is told as it happens
//! - `help`: completions and the manual
//! - `metrics`: numbers are right, and given to who asks for them only
//! - `names`: programs find each other, and names are listed and looked up
//! - `network`: networks are created, shown and removed
//! - `ports`: published ports, and who has them
//! - `ps`: containers in the background are listed and stopped
//! - `reload`: after a flush everything is as it was
//! - `run`: a program runs in a container, and leaves nothing, however it ends
//! - `topology`: what hangs together is shown, as data and in pictures
//! - `uninstall`: nothing stays of the suite but files
//! - `watch`: rules that are flushed come back by themselves

pub(crate) mod attached;
mod connect;
mod docker;
mod doctor;
mod events;
mod help;
mod metrics;
mod names;
mod network;
mod ports;
mod ps;
mod reload;
mod run;
mod topology;
mod uninstall;
mod watch;

use std::path::Path;

use tests::{Container, Host, Inside as _};

/// It fails, says why in one line, and with that exit status.
#[track_caller]
fn fails(host: &Host, args: &[&str], status: i32, words: &str) {
    let failed = host.ferrocni(args);
    assert_eq!(failed.status.code(), Some(status), "{failed}");
    assert!(failed.stderr.contains(words), "{failed}");
    assert_eq!(failed.stderr.lines().count(), 1, "{failed}");
}

#[track_caller]
fn succeeds(host: &Host, args: &[&str]) {
    let outcome = host.ferrocni(args);
    assert!(outcome.status.success(), "{outcome}");
}

/// The exit status of `ferrocni` with these arguments.
#[track_caller]
fn status(host: &Host, args: &[&str]) -> i32 {
    host.ferrocni(args).status.code().expect("it was not killed")
}

/// Runs a program in the background that does nothing, and returns its container's id.
#[track_caller]
fn idle(host: &Host, options: &[&str]) -> String {
    let id = host.ferrocni([&["run", "-d"], options, &["sleep", "1000"]].concat()).ok();
    let id = id.trim().to_owned();
    assert_eq!(id.len(), 64, "{id}");
    id
}

/// The network of a container that is running.
#[track_caller]
fn inside(host: &Host, id: &str) -> Container {
    host.container_at(id, &Path::new("/run/netns").join(format!("ferrocni-{}", &id[..12])))
}

/// A line of shell in which `$f` is the command.
#[track_caller]
fn shell(host: &Host, line: &str) -> String {
    let folder = tests::bin_dir();
    host.shell(&format!("export CNI_PATH={0}; f={0}/ferrocni; {line}", folder.display()))
}
