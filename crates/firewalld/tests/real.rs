//! A real dbus-daemon and a real firewalld, in a network namespace and on a file system of their own.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::IpAddr;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use firewalld::{Error, Firewalld, Reloads, is_running};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

/// A process that ends with the test.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs `test` on a thread that has its own network, /run and /var/log.
fn on_a_host_of_its_own(test: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).expect("namespaces: run the tests as root");
            let private = MsFlags::MS_PRIVATE | MsFlags::MS_REC;
            mount(None::<&str>, "/", None::<&str>, private, None::<&str>).expect("private mounts");
            for directory in ["/run", "/var/log"] {
                mount(Some("tmpfs"), directory, Some("tmpfs"), MsFlags::empty(), None::<&str>).expect("a tmpfs");
            }
            test();
        });
        if let Err(panic) = thread.join() {
            std::panic::resume_unwind(panic);
        }
    });
}

/// The usual bus, but one that starts no services by itself: they would outlive the test.
const BUS: &str = r#"<busconfig><type>system</type><listen>unix:path=/run/dbus/system_bus_socket</listen>
    <auth>EXTERNAL</auth><policy context="default"><allow user="*"/><allow own="*"/>
    <allow send_destination="*"/><allow receive_sender="*"/></policy></busconfig>"#;

fn start_bus() -> Daemon {
    fs::create_dir("/run/dbus").expect("a directory");
    fs::write("/run/dbus/bus.conf", BUS).expect("a file");
    let mut child = Command::new("dbus-daemon")
        .args(["--config-file=/run/dbus/bus.conf", "--nofork", "--nopidfile", "--print-address=1"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("dbus-daemon starts: install dbus");
    let mut address = String::new();
    let stdout = child.stdout.take().expect("a pipe");
    BufReader::new(stdout).read_line(&mut address).expect("dbus-daemon tells its address");
    assert!(address.starts_with("unix:path=/run/dbus/"), "{address:?}");
    Daemon(child)
}

fn start_firewalld() -> Daemon {
    let child = Command::new("/usr/sbin/firewalld").args(["--nofork", "--nopid"]).spawn();
    let daemon = Daemon(child.expect("firewalld starts: install firewalld"));
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is_running().expect("an answer") {
        assert!(Instant::now() < deadline, "firewalld did not come up");
        std::thread::sleep(Duration::from_millis(20));
    }
    daemon
}

#[test]
fn without_a_bus_firewalld_is_not_running() {
    on_a_host_of_its_own(|| {
        assert!(!is_running().expect("an answer"));
        assert!(matches!(Firewalld::connect(), Err(Error::Bus { .. })));
    });
}

#[test]
fn without_firewalld_the_bus_says_so() {
    on_a_host_of_its_own(|| {
        let _bus = start_bus();
        assert!(!is_running().expect("an answer"));
        let address = IpAddr::from([10, 1, 2, 3]);
        let error = Firewalld::connect().expect("a bus").has_source("trusted", address).expect_err("no firewalld");
        assert!(error.is_not_running(), "{error}");
    });
}

#[test]
fn addresses_are_bound_and_unbound_as_often_as_one_likes() {
    on_a_host_of_its_own(|| {
        let _bus = start_bus();
        let _firewalld = start_firewalld();
        let mut firewalld = Firewalld::connect().expect("a bus");
        for address in ["10.1.2.3", "fd00::3"].map(|text| text.parse::<IpAddr>().expect("an address")) {
            assert!(!firewalld.has_source("trusted", address).expect("an answer"));
            firewalld.remove_source("trusted", address).expect("nothing to remove is fine");
            for _ in 0..2 {
                firewalld.add_source("trusted", address).expect("bound");
                assert!(firewalld.has_source("trusted", address).expect("an answer"));
            }
            let error = firewalld.add_source("public", address).expect_err("bound elsewhere").to_string();
            assert!(error.contains("ZONE_CONFLICT"), "{error}");
            firewalld.remove_source("public", address).expect("not bound there is fine");
            assert!(firewalld.has_source("trusted", address).expect("an answer"));
            for _ in 0..2 {
                firewalld.remove_source("trusted", address).expect("unbound");
                assert!(!firewalld.has_source("trusted", address).expect("an answer"));
            }
        }
        let error = firewalld.add_source("no-such-zone", IpAddr::from([10, 1, 2, 3])).expect_err("no zone");
        assert!(error.to_string().contains("INVALID_ZONE"), "{error}");
        the_reference_and_we_undo_each_others_work(&mut firewalld);
    });
}

#[test]
fn a_start_and_a_reload_of_firewalld_are_heard_and_its_end_is_not() {
    on_a_host_of_its_own(|| {
        let bus = start_bus();
        let reloads = Reloads::connect().expect("a bus");
        let firewalld = start_firewalld();
        let (reloads, heard) = waited(reloads);
        heard.expect("its start");
        let reloaded = Command::new("firewall-cmd").arg("--reload").status().expect("firewall-cmd starts");
        assert!(reloaded.success());
        let (reloads, heard) = waited(reloads);
        heard.expect("its reload");
        drop(firewalld);
        drop(bus);
        assert!(matches!(waited(reloads).1, Err(Error::Bus { .. })));
    });
}

/// What a wait ends with. One that does not end fails the test.
fn waited(mut reloads: Reloads) -> (Reloads, Result<(), Error>) {
    let (ended, end) = channel();
    thread::spawn(move || {
        let heard = reloads.wait();
        // Nobody waits for it any more if the test has failed.
        let _ = ended.send((reloads, heard));
    });
    end.recv_timeout(Duration::from_secs(60)).expect("the wait ends")
}

/// The Go suite's plugin, with the same firewalld.
fn the_reference_and_we_undo_each_others_work(firewalld: &mut Firewalld) {
    let address = IpAddr::from([10, 1, 2, 3]);
    reference("ADD");
    assert!(firewalld.has_source("trusted", address).expect("an answer"), "the reference spells it like us");
    firewalld.remove_source("trusted", address).expect("unbound");
    firewalld.add_source("trusted", address).expect("bound");
    reference("ADD");
    reference("DEL");
    assert!(!firewalld.has_source("trusted", address).expect("an answer"));
}

fn reference(command: &str) {
    let config = r#"{"cniVersion": "0.4.0", "name": "net", "type": "firewall", "backend": "firewalld",
        "prevResult": {"cniVersion": "0.4.0", "ips": [{"version": "4", "address": "10.1.2.3/24"}]}}"#;
    fs::write("/run/config", config).expect("a file");
    let output = Command::new("/usr/lib/cni/firewall")
        .env("CNI_COMMAND", command)
        .env("CNI_CONTAINERID", "c1")
        .env("CNI_NETNS", "/run/netns/x")
        .env("CNI_IFNAME", "eth0")
        .env("CNI_PATH", "/usr/lib/cni")
        .stdin(fs::File::open("/run/config").expect("the file"))
        .output()
        .expect("the reference starts: install containernetworking-plugins");
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stdout));
}
