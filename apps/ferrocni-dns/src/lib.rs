//! The DNS server of containers' names: one a host, which answers inside each container's network namespace.
//!
//! One thread does all of it. It enters a namespace to open sockets there, and is back before it does anything else; what the
//! sockets receive reaches it wherever it is. Which container asks is told by the socket, and by nothing that a container sends.
//!
//! - `door`: whoever attaches a container rings here. `server`: what is known, and where is listened.
//! - `directory`: the records, by everything that they are looked for by. `resolve`: what an asker is told about a name.
//! - `udp`, `tcp`: queries arrive. `query`: they are read. `answer`: what becomes of them. `reply`: answers are written.
//! - `forward`, `upstream`: other servers are asked for what is not known here.
//! - `watch`: files, folders and processes that go.

mod answer;
mod buffer;
mod directory;
mod door;
mod flags;
mod forward;
#[cfg(any(test, feature = "fuzz"))]
#[allow(clippy::unwrap_used)]
pub mod fuzz;
mod limits;
mod log;
mod lookup;
mod place;
mod query;
mod reply;
mod resolv_conf;
mod resolve;
mod server;
mod tasks;
mod tcp;
mod udp;
mod upstream;
mod watch;

use std::collections::HashMap;
use std::fs::DirBuilder;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::net::UnixListener as StdListener;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use clap::Parser as _;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use sockets::manager::Manager;
use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::LocalSet;

use door::{Door, Passed};
use flags::Flags;
use place::{Place, Sockets};
use server::Server;
use watch::Event;

/// Runs the server until it is told to end.
#[must_use]
pub fn main() -> ExitCode {
    let flags = match Flags::try_parse() {
        Ok(flags) => flags,
        Err(usage) => {
            let _ = usage.print();
            return ExitCode::from(u8::try_from(usage.exit_code()).unwrap_or(2));
        }
    };
    match run(flags) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::say(&log::describe(&*error));
            ExitCode::FAILURE
        }
    }
}

type Failure = Box<dyn std::error::Error>;

fn run(flags: Flags) -> Result<(), Failure> {
    raise_descriptor_limit();
    let (passed, kept) = inherited()?;
    let path = flags.socket.clone();
    let (door, listener) =
        Door::open(&path, passed).map_err(|error| format!("cannot listen on {}: {error}", path.display()))?;
    // They are watched, and so must be there before the first record.
    for folder in [&flags.records, &flags.elsewhere] {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, serve(flags, door, listener, kept))?;
    Ok(())
}

/// Two sockets a container, and one for each query under way. Programs are started with a low limit for the sake of select(2),
/// which is not used here.
fn raise_descriptor_limit() {
    if let Ok((_, most)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, most, most);
    }
}

/// What systemd has passed: the socket to listen on, and those that an earlier server has stored. Or the socket that
/// [`names::start`] has passed.
fn inherited() -> io::Result<(Option<Passed>, HashMap<Place, Sockets>)> {
    let mut stored: HashMap<Place, Vec<OwnedFd>> = HashMap::new();
    let mut listener = sockets::inherited::on_stdin()?.map(Passed::ByRinger);
    for (name, descriptor) in sockets::inherited::take() {
        match Place::from_name(&name) {
            Some(place) => stored.entry(place).or_default().push(descriptor),
            None => listener = Some(Passed::BySystemd(sockets::inherited::listening(descriptor)?)),
        }
    }
    let kept = stored.into_iter().filter_map(|(place, descriptors)| Some((place, Sockets::kept(place, descriptors)?)));
    Ok((listener, kept.collect()))
}

/// Until SIGTERM or SIGINT, or until there is nothing to do.
async fn serve(flags: Flags, door: Door, listener: StdListener, kept: HashMap<Place, Sockets>) -> io::Result<()> {
    let (mut end, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let idle = flags.exit_when_idle.map(Duration::from_secs);
    let server = Server::new(flags, kept, Manager::of_environment()?)?;
    let listener = UnixListener::from_std(listener)?;
    server.listen_on_host();
    server.load().await;
    tokio::task::spawn_local(notice(Rc::clone(&server)));
    tokio::task::spawn_local(reload_on_request(Rc::clone(&server)));
    tokio::task::spawn_local(door::serve(Rc::clone(&server), listener));
    server.ready();
    tokio::select! {
        _ = end.recv() => {}
        _ = interrupt.recv() => {}
        () = server.idle_for(idle.unwrap_or_default()), if idle.is_some() => {}
    }
    door.close()
}

async fn reload_on_request(server: Rc<Server>) {
    let Ok(mut requests) = signal(SignalKind::hangup()) else { return };
    while requests.recv().await.is_some() {
        server.reload().await;
    }
}

/// Follows what happens to files.
async fn notice(server: Rc<Server>) -> io::Result<()> {
    let watched = server.folders.watched()?;
    loop {
        for event in server.folders.next(&watched).await? {
            match event {
                Event::Lost => server.reload().await,
                Event::Changed(path) | Event::Gone(path) if server.is_about_host_servers(&path) => {
                    server.read_host_servers();
                }
                Event::Changed(path) | Event::Gone(path) if server.is_elsewhere(&path) => server.hear(&path),
                Event::Gone(path) => match server.attachment_at(&path) {
                    Some(attachment) => server.forget(&attachment).await,
                    None => server.look_at(&path).await,
                },
                Event::Changed(_) => {}
            }
        }
    }
}
