//! A host with a server of names.

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use cni::{Attachment, ContainerId};
use names::wire::{Lookup, Status};
use names::{Server, ServerError};
use serde_json::{Value, json};
use tests::{Background, Container, Host, Inside, Namespaces, bin_dir};

/// Longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) struct Scene {
    /// Ended before its host, whose end waits for it.
    server: Option<Background>,
    pub(super) host: Host,
}

/// A container with a record.
pub(super) struct Named {
    pub(super) inside: Container,
    pub(super) attachment: Attachment,
}

impl Inside for Named {
    fn namespaces(&self) -> &Namespaces {
        self.inside.namespaces()
    }
}

pub(super) fn program() -> PathBuf {
    bin_dir().join("ferrocni-dns")
}

impl Scene {
    pub(super) fn new() -> Self {
        Self::on(Host::new())
    }

    pub(super) fn without_server() -> Self {
        Self { server: None, host: Host::new() }
    }

    /// A server on that host, whose servers are those of `/run/resolv.conf`.
    pub(super) fn on(host: Host) -> Self {
        let mut scene = Self { server: None, host };
        scene.start();
        scene
    }

    pub(super) fn start(&mut self) {
        self.start_with(&[]);
    }

    pub(super) fn start_with(&mut self, flags: &[&str]) {
        let program = program();
        let usual = [program.to_str().unwrap(), "--resolv-conf", "/run/resolv.conf"];
        self.server = Some(self.host.spawn(usual.iter().chain(flags)));
        until(|| self.status().is_ok());
    }

    /// Kills the server.
    pub(super) fn kill(&mut self) {
        self.server = None;
    }

    pub(super) fn status(&self) -> Result<Status, ServerError> {
        self.host.namespaces().enter(|| Server::default().status())
    }

    pub(super) fn lookup(&self, container: &str, name: &str, kind: &str) -> Result<Lookup, ServerError> {
        let container = ContainerId::new(container).unwrap();
        self.host.namespaces().enter(|| Server::default().lookup(&container, name, kind))
    }

    pub(super) fn serve(&self, attachment: &Attachment) -> Result<(), ServerError> {
        self.host.namespaces().enter(|| Server::default().serve(attachment))
    }

    pub(super) fn forget(&self, attachment: &Attachment) -> Result<(), ServerError> {
        self.host.namespaces().enter(|| Server::default().forget(attachment))
    }

    /// A container that has its name as its id, on a network, with what else its record says, whose names are answered.
    #[track_caller]
    pub(super) fn named(&self, name: &str, network: &str, record: Value) -> Named {
        let inside = self.container(name);
        self.attach(inside, network, "eth0", record)
    }

    /// A container with `lo` and the server's port.
    #[track_caller]
    pub(super) fn container(&self, name: &str) -> Container {
        let container = self.host.container(name);
        container.shell("ip link set lo up");
        redirect(&container);
        container
    }

    #[track_caller]
    pub(super) fn attach(&self, inside: Container, network: &str, ifname: &str, record: Value) -> Named {
        let named = Named { attachment: Attachment::new(network, &inside.id, ifname).unwrap(), inside };
        self.write(&named.attachment, &named.inside, record);
        self.serve(&named.attachment).unwrap();
        named
    }

    /// Writes a record in which `record` says what the defaults do not.
    #[allow(clippy::needless_pass_by_value, reason = "it is what json! makes in the call")]
    pub(super) fn write(&self, attachment: &Attachment, inside: &Container, record: Value) {
        let identity = self.host.run(["stat", "-Lc", "%d %i", inside.netns.to_str().unwrap()]);
        let (device, inode) = identity.trim().split_once(' ').unwrap();
        let [device, inode]: [u64; 2] = [device, inode].map(|number| number.parse().unwrap());
        let mut written = json!({"namespace": {"path": inside.netns, "device": device, "inode": inode}});
        if attachment.container.as_str().len() < 12 {
            written["name"] = attachment.container.as_str().into();
        }
        let Value::Object(record) = record else { panic!("{record} is no record") };
        for (key, value) in record {
            written[key] = value;
        }
        self.host.write(path_of(attachment), written.to_string());
    }

    /// Removes a record without telling the server.
    pub(super) fn unlink(&self, attachment: &Attachment) {
        self.host.run(["rm", &path_of(attachment)]);
    }
}

fn path_of(attachment: &Attachment) -> String {
    format!("{}/{}:{}:{}", names::FOLDER, attachment.network, attachment.container, attachment.ifname)
}

/// What `names::redirect` makes, whose process must not go on: it keeps a socket in the namespace until it ends.
pub(super) fn redirect(container: &Container) {
    let rule = |side: &str, protocol: &str, port: u16, to: u16| {
        let field = format!("{}port", &side[..1]);
        format!("ip {side} {} {protocol} {field} {port} {protocol} {field} set {to};", names::ADDRESS)
    };
    let (asked, listened) = (names::PORT, names::redirect::LISTENED);
    let rules = ["udp", "tcp"]
        .map(|protocol| rule("daddr", protocol, asked, listened) + &rule("saddr", protocol, listened, asked));
    let chain = format!("type filter hook output priority -300; {}", rules.concat());
    container.run(["nft", &format!("table ip ferrocni_dns {{ chain output {{ {chain} }}; }}")]);
}

/// Waits for what happens after an event.
#[track_caller]
pub(super) fn until(is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "it does not happen");
        thread::sleep(Duration::from_millis(5));
    }
}
