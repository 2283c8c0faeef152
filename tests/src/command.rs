//! Running programs inside a host or a container.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;

use nix::sys::memfd::{MFdFlags, memfd_create};
use serde_json::Value;

use crate::namespaces::Namespaces;
use crate::snapshot::network::is_unused_tunnel;
use crate::traffic;
use crate::traffic::{Conversation, Listener};

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A program that has ended.
#[derive(Debug)]
pub struct Finished {
    /// The command line, for failure messages.
    pub command: String,
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Finished {
    /// The standard output of a program that has succeeded.
    ///
    /// # Panics
    /// If it has not, with everything it said.
    #[must_use]
    #[track_caller]
    pub fn ok(self) -> String {
        assert!(self.status.success(), "{self}");
        self.stdout
    }
}

impl std::fmt::Display for Finished {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}`: {}\nstdout: {}\nstderr: {}", self.command, self.status, self.stdout, self.stderr)
    }
}

/// A program that runs until this value is dropped. What it prints is shown when the test fails.
#[derive(Debug)]
pub struct Background {
    child: Child,
    output: File,
}

impl Background {
    /// Waits for its own end; the host's lifetime bounds that.
    ///
    /// # Panics
    /// If it fails.
    #[track_caller]
    pub fn wait(mut self) {
        let status = self.child.wait().expect("wait for a child");
        assert!(status.success(), "a program in the background: {status}");
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let mut said = String::new();
        if thread::panicking() && self.output.rewind().is_ok() && self.output.read_to_string(&mut said).is_ok() {
            eprintln!("a program in the background said:\n{said}");
        }
    }
}

/// What can be done inside a [`Host`](crate::Host) and inside a [`Container`](crate::Container).
pub trait Inside {
    /// The namespaces to run commands in.
    fn namespaces(&self) -> &Namespaces;

    /// Runs a program to its end and returns its standard output.
    ///
    /// # Panics
    /// If the program is missing or fails.
    #[track_caller]
    fn run<A: AsRef<OsStr>>(&self, argv: impl IntoIterator<Item = A>) -> String {
        self.try_run(argv).ok()
    }

    /// Runs a program to its end.
    ///
    /// # Panics
    /// If the program is missing.
    #[track_caller]
    fn try_run<A: AsRef<OsStr>>(&self, argv: impl IntoIterator<Item = A>) -> Finished {
        finish(self.namespaces(), command(argv), b"")
    }

    /// Runs a line of shell.
    ///
    /// # Panics
    /// If it fails.
    #[track_caller]
    fn shell(&self, line: &str) -> String {
        self.run(["sh", "-euc", line])
    }

    /// `ip -j` with these arguments; no output is an empty array.
    ///
    /// # Panics
    /// If `ip` fails.
    #[track_caller]
    fn ip_json<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Value {
        json_of("ip", args, self)
    }

    /// What several commands of `ip -j` with these options print; it is started once only.
    ///
    /// # Panics
    /// If one of them fails.
    #[track_caller]
    fn ip_json_batch<const N: usize>(&self, options: &[&str], commands: [&str; N]) -> [Value; N] {
        let argv = ["ip", "-j"].iter().chain(options).chain(&["-batch", "-"]);
        let printed = finish(self.namespaces(), command(argv), commands.join("\n").as_bytes()).ok();
        let values: Result<Vec<Value>, _> = serde_json::Deserializer::from_str(&printed).into_iter().collect();
        let values = values.unwrap_or_else(|error| panic!("{commands:?}: {error}: {printed}"));
        values.try_into().unwrap_or_else(|_| panic!("{commands:?}: as many answers are wanted: {printed}"))
    }

    /// A link as `ip -d` shows it.
    ///
    /// # Panics
    /// If there is none of that name.
    #[track_caller]
    fn link(&self, name: &str) -> Value {
        self.ip_json(["-d", "link", "show", "dev", name])[0].clone()
    }

    /// Whether somebody has set a link up. What the kernel calls its operational state follows a moment later.
    ///
    /// # Panics
    /// If there is none of that name.
    #[track_caller]
    fn is_up(&self, name: &str) -> bool {
        self.link(name)["flags"].as_array().is_some_and(|flags| flags.contains(&"UP".into()))
    }

    /// The names of all links, but for tunnels that the kernel put there and nobody uses.
    #[track_caller]
    fn links(&self) -> Vec<String> {
        let links = self.ip_json(["-d", "link"]);
        let links = links.as_array().into_iter().flatten().filter(|link| !is_unused_tunnel(link));
        links.filter_map(|link| link["ifname"].as_str()).map(str::to_owned).collect()
    }

    /// The addresses of a link as `address/prefix`, without IPv6's link-local ones.
    ///
    /// # Panics
    /// If there is no link of that name.
    #[track_caller]
    fn addresses(&self, name: &str) -> Vec<String> {
        let found = self.ip_json(["address", "show", "dev", name]);
        let all = found[0]["addr_info"].as_array().into_iter().flatten();
        let chosen = all.filter(|address| address["scope"] != "link");
        chosen
            .map(|address| format!("{}/{}", address["local"].as_str().unwrap_or_default(), address["prefixlen"]))
            .collect()
    }

    /// `nft -j` with these arguments, for instance `["list", "ruleset"]`.
    ///
    /// # Panics
    /// If `nft` fails.
    #[track_caller]
    fn nft_json<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Value {
        json_of("nft", args, self)
    }

    /// Starts a program that runs until the returned value is dropped.
    ///
    /// # Panics
    /// If the program is missing.
    #[track_caller]
    fn spawn<A: AsRef<OsStr>>(&self, argv: impl IntoIterator<Item = A>) -> Background {
        let output = File::from(memfd_create(c"output", MFdFlags::MFD_CLOEXEC).expect("make a file in memory"));
        let copy = || output.try_clone().expect("copy a file descriptor");
        let mut command = command(argv);
        command.stdin(Stdio::null()).stdout(copy()).stderr(copy());
        Background { child: start(self.namespaces(), &mut command), output }
    }

    /// A TCP server on `port` of every address, IPv4 and IPv6, that tells each client the address it sees
    /// the client at.
    fn listen_tcp(&self, port: u16) -> Listener {
        traffic::listen_tcp(self.namespaces(), port)
    }

    /// The same over UDP.
    fn listen_udp(&self, port: u16) -> Listener {
        traffic::listen_udp(self.namespaces(), port)
    }

    /// Begins to talk with `server`, which is at `to`, over one connection that must not break off.
    ///
    /// # Panics
    /// If there is no connection.
    #[track_caller]
    fn converse(&self, server: &impl Inside, to: &str) -> Conversation
    where
        Self: Sized,
    {
        traffic::converse(self.namespaces(), server.namespaces(), to)
    }

    /// Connects to a [`listen_tcp`](Self::listen_tcp) at `to` (`10.1.0.2:80`, `[fd00::2]:80`) and returns
    /// the address that the server sees us at. Waits one second at most.
    ///
    /// # Errors
    /// That of the socket.
    fn connect_tcp(&self, to: &str) -> std::io::Result<std::net::SocketAddr> {
        traffic::connect_tcp(self.namespaces(), to)
    }

    /// Asks a [`listen_udp`](Self::listen_udp) at `to` and returns the address that it sees us at. Waits one
    /// second at most.
    ///
    /// # Errors
    /// That of the socket.
    fn ask_udp(&self, to: &str) -> std::io::Result<std::net::SocketAddr> {
        traffic::ask_udp(self.namespaces(), to)
    }

    /// [`connect_tcp`](Self::connect_tcp) that has to succeed.
    #[track_caller]
    fn assert_reaches_tcp(&self, to: &str) -> std::net::SocketAddr {
        traffic::until_it_works(|| self.connect_tcp(to)).unwrap_or_else(|error| panic!("{to} over TCP: {error}"))
    }

    /// [`ask_udp`](Self::ask_udp) that has to succeed.
    #[track_caller]
    fn assert_reaches_udp(&self, to: &str) -> std::net::SocketAddr {
        traffic::until_it_works(|| self.ask_udp(to)).unwrap_or_else(|error| panic!("{to} over UDP: {error}"))
    }

    /// [`connect_tcp`](Self::connect_tcp) that has to fail. Have something else reach the same server first,
    /// or this passes because of a spelling mistake.
    #[track_caller]
    fn assert_blocked_tcp(&self, to: &str) {
        if let Ok(seen) = self.connect_tcp(to) {
            panic!("{to} should be out of reach over TCP, but it answered and saw us at {seen}");
        }
    }

    /// [`ask_udp`](Self::ask_udp) that has to fail; see [`assert_blocked_tcp`](Self::assert_blocked_tcp).
    #[track_caller]
    fn assert_blocked_udp(&self, to: &str) {
        if let Ok(seen) = self.ask_udp(to) {
            panic!("{to} should be out of reach over UDP, but it answered and saw us at {seen}");
        }
    }

    /// One ICMP echo, answered within two seconds.
    #[track_caller]
    fn assert_pings(&self, to: &str) {
        self.run(["ping", "-n", "-c1", "-W2", to]);
    }
}

#[track_caller]
fn json_of<A: AsRef<OsStr>>(
    program: &str,
    args: impl IntoIterator<Item = A>,
    inside: &(impl Inside + ?Sized),
) -> Value {
    let mut argv: Vec<OsString> = vec![program.into(), "-j".into()];
    argv.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
    let finished = finish(inside.namespaces(), command(argv), b"");
    let described = finished.command.clone();
    match finished.ok().trim() {
        "" => Value::Array(Vec::new()),
        text => serde_json::from_str(text).unwrap_or_else(|error| panic!("`{described}`: {error}: {text}")),
    }
}

/// A command with nothing of the test's environment in its own.
#[track_caller]
pub(crate) fn command<A: AsRef<OsStr>>(argv: impl IntoIterator<Item = A>) -> Command {
    let mut argv = argv.into_iter();
    let program = argv.next().expect("a command has a program");
    let mut command = Command::new(program);
    command.args(argv).env_clear().env("PATH", PATH).env("HOME", "/run").env("LC_ALL", "C").current_dir("/");
    command
}

/// Starts the command inside the namespaces.
#[track_caller]
fn start(namespaces: &Namespaces, command: &mut Command) -> Child {
    let program = command.get_program().to_string_lossy().into_owned();
    namespaces.enter(|| command.spawn()).unwrap_or_else(|error| panic!("cannot run {program}: {error}"))
}

/// Runs the command inside the namespaces, with these bytes on its standard input, and waits for its end.
/// Where nothing else is asked for, its outputs are collected.
#[track_caller]
pub(crate) fn finish(namespaces: &Namespaces, command: Command, stdin: &[u8]) -> Finished {
    finish_with_stdout(namespaces, command, stdin, Stdio::piped())
}

#[track_caller]
pub(crate) fn finish_with_stdout(
    namespaces: &Namespaces,
    mut command: Command,
    stdin: &[u8],
    stdout: Stdio,
) -> Finished {
    command.stdin(Stdio::piped()).stdout(stdout).stderr(Stdio::piped());
    let mut child = start(namespaces, &mut command);
    let mut input = child.stdin.take().expect("stdin is a pipe");
    let output = thread::scope(|scope| {
        // A program may end without reading what it was given.
        scope.spawn(move || input.write_all(stdin));
        child.wait_with_output().expect("wait for a child")
    });
    let argv = std::iter::once(command.get_program()).chain(command.get_args());
    Finished {
        command: argv.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" "),
        status: output.status,
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
