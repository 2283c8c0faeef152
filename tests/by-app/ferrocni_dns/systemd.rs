//! Sockets outlive the server: systemd has them.

use std::io::{IoSliceMut, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use cni::Attachment;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use serde_json::json;
use tests::{Host, Inside as _, bin_dir};

use super::client::{ask, connect, framed, query, read, receive, resolve, server, socket};
use super::scene::{Scene, until};

/// What systemd does for a service: it listens, starts servers, and keeps sockets for them.
struct Systemd {
    listener: UnixListener,
    notified: UnixDatagram,
}

impl Systemd {
    fn on(host: &Host) -> Self {
        let (listener, notified) = host.namespaces().enter(|| {
            std::fs::create_dir_all("/run/ferrocni").unwrap();
            (UnixListener::bind(names::SOCKET).unwrap(), UnixDatagram::bind("/run/notify").unwrap())
        });
        notified.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Self { listener, notified }
    }

    /// What the server says next, and the sockets that come with it.
    fn hears(&self) -> (String, Vec<OwnedFd>) {
        let (mut text, mut space) = ([0; 256], [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))]);
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut slices = [IoSliceMut::new(&mut text)];
        let received = recvmsg(&self.notified, &mut slices, &mut control, RecvFlags::CMSG_CLOEXEC).unwrap();
        let mut sockets = Vec::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                sockets.extend(descriptors);
            }
        }
        (String::from_utf8(text[..received.bytes].to_vec()).unwrap(), sockets)
    }

    /// Starts a server with the listener and what is kept under a name: as many as a program has standard streams, which the
    /// shell moves to where they belong.
    fn start(&self, host: &Host, name: &str, kept: &[OwnedFd]) -> Child {
        let names = ["ferrocni-dns.socket", name, name][..=kept.len()].join(":");
        let script = format!(
            "exec 3<&0 4>&1 5>&2 </dev/null >/dev/null 2>/run/dns.log
             exec env LISTEN_PID=$$ LISTEN_FDS={} LISTEN_FDNAMES={names} NOTIFY_SOCKET=/run/notify {} --resolv-conf /run/none",
            1 + kept.len(),
            bin_dir().join("ferrocni-dns").display()
        );
        let copy = |number: usize| {
            kept.get(number)
                .map_or_else(Stdio::null, |socket| Stdio::from(socket.as_fd().try_clone_to_owned().unwrap()))
        };
        let mut command = Command::new("sh");
        command.args(["-euc", &script]).stdout(copy(0)).stderr(copy(1));
        command.stdin(Stdio::from(self.listener.as_fd().try_clone_to_owned().unwrap()));
        host.namespaces().enter(|| command.spawn().unwrap())
    }
}

fn kill(mut server: Child) {
    server.kill().unwrap();
    server.wait().unwrap();
}

#[test]
fn what_is_asked_while_there_is_no_server_is_answered_by_the_next() {
    let scene = Scene::without_server();
    let systemd = Systemd::on(&scene.host);
    let web = scene.container("web");
    let attachment = Attachment::new("net", "web", "eth0").unwrap();
    scene.write(&attachment, &web, json!({"addresses": ["10.1.0.2"], "forward": false}));

    let first = systemd.start(&scene.host, "", &[]);
    let (stored, kept) = systemd.hears();
    let name = stored.strip_prefix("FDSTORE=1\nFDPOLL=0\nFDNAME=").expect(&stored);
    assert_eq!(kept.len(), 2);
    assert_eq!(systemd.hears().0, "READY=1");
    assert_eq!(resolve(&web, "web", "A"), ["10.1.0.2"]);
    kill(first);

    let asking = socket(&web, server()).unwrap();
    for id in 0..50 {
        asking.send(&query(id, "web", "A", None)).unwrap();
    }
    let mut stream = connect(&web).unwrap();
    stream.write_all(&framed(&query(9, "web", "A", None))).unwrap();
    let second = systemd.start(&scene.host, name, &kept);
    assert_eq!(systemd.hears().0, "READY=1", "nothing is stored twice");
    drop(kept);
    for _ in 0..50 {
        assert_eq!(receive(&asking).unwrap().data(), ["10.1.0.2"]);
    }
    assert_eq!(read(&mut stream).unwrap().data(), ["10.1.0.2"]);

    scene.unlink(&attachment);
    scene.forget(&attachment).unwrap();
    assert_eq!(systemd.hears().0, format!("FDSTOREREMOVE=1\nFDNAME={name}"));
    assert_eq!(web.shell("ss -Hlntu"), "");
    kill(second);
    until(|| scene.status().is_err() || scene.host.read("/run/dns.log").is_ok());
}

#[test]
fn sockets_of_a_container_that_has_gone_meanwhile_are_closed() {
    let scene = Scene::without_server();
    let systemd = Systemd::on(&scene.host);
    let (web, gone) = (scene.container("web"), scene.container("gone"));
    let attachment = |name| Attachment::new("net", name, "eth0").unwrap();
    scene.write(&attachment("gone"), &gone, json!({"addresses": ["10.1.0.3"], "forward": false}));
    let first = systemd.start(&scene.host, "", &[]);
    let (stored, kept) = systemd.hears();
    let name = stored.rsplit_once('=').unwrap().1.to_owned();
    assert_eq!(systemd.hears().0, "READY=1");
    kill(first);
    scene.unlink(&attachment("gone"));
    scene.write(&attachment("web"), &web, json!({"addresses": ["10.1.0.2"], "forward": false}));
    let second = systemd.start(&scene.host, &name, &kept);
    assert!(systemd.hears().0.starts_with("FDSTORE=1"), "of the other");
    assert_eq!(systemd.hears().0, format!("FDSTOREREMOVE=1\nFDNAME={name}"));
    assert_eq!(systemd.hears().0, "READY=1");
    drop(kept);
    assert_eq!(gone.shell("ss -Hlntu"), "");
    assert_eq!(ask(&web, "gone", "A").code, "NXDOMAIN");
    kill(second);
}

#[test]
fn the_unit_files_are_ones_that_systemd_takes() {
    let host = Host::new();
    let units = concat!(env!("CARGO_MANIFEST_DIR"), "/../conf/systemd");
    for unit in ["ferrocni-dns.service", "ferrocni-dns.socket"] {
        let verified = host.try_run(["systemd-analyze", "verify", "--man=no", &format!("{units}/{unit}")]);
        let said = format!("{}{}", verified.stdout, verified.stderr);
        // Where the program is not installed, that is said too.
        let other = said.lines().find(|line| line.contains("ferrocni-dns") && !line.contains("is not executable"));
        assert_eq!(other, None, "{verified}");
    }
}

/// What the unit's sandbox leaves it is enough for all that it does.
#[test]
fn the_unit_s_capabilities_suffice() {
    let unit = concat!(env!("CARGO_MANIFEST_DIR"), "/../conf/systemd/ferrocni-dns.service");
    let unit = std::fs::read_to_string(unit).unwrap();
    let names = unit.lines().find_map(|line| line.strip_prefix("CapabilityBoundingSet=")).unwrap();
    let bounds: Vec<String> =
        names.split(' ').map(|name| format!("+{}", name.trim_start_matches("CAP_").to_lowercase())).collect();
    let scene = Scene::without_server();
    let line = format!(
        "exec setpriv --no-new-privs --inh-caps=-all --bounding-set=-all,{} {} --resolv-conf /run/none",
        bounds.join(","),
        bin_dir().join("ferrocni-dns").display()
    );
    let _server = scene.host.spawn(["sh", "-c", &line]);
    until(|| scene.status().is_ok());
    let rewritten = scene.named("web", "net", json!({"addresses": ["10.1.0.2"]}));
    assert_eq!(resolve(&rewritten, "web", "A"), ["10.1.0.2"]);
    let direct = scene.host.container("direct");
    let direct = scene.attach(direct, "net", "eth0", json!({"addresses": ["10.1.0.3"], "listen": "direct"}));
    assert_eq!(resolve(&direct, "direct", "A"), ["10.1.0.3"]);
}
