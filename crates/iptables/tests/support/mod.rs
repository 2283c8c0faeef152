//! A network namespace for each test, both variants of iptables, and the Go suite's plugins in it.

#![allow(dead_code, reason = "each test program uses its own part")]

use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::JoinHandle;

use iptables::Variant;
use nix::sched::{CloneFlags, setns, unshare};

/// Where Debian puts the Go suite.
const REFERENCE: &str = "/usr/lib/cni";

/// Runs `test` in a network namespace of its own, once with each variant.
pub(crate) fn with_each_variant(test: impl Fn(Variant) + Sync) {
    for variant in [Variant::Nft, Variant::Legacy] {
        in_namespace(|| test(variant));
    }
}

/// Runs `test` on a thread in a new network namespace, which goes with the thread.
pub(crate) fn in_namespace(test: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace: run the tests as root");
            run("ip", &["link", "set", "lo", "up"]);
            test();
        });
        if let Err(panic) = thread.join() {
            std::panic::resume_unwind(panic);
        }
    });
}

/// A second network namespace, to be the container, held open by the file.
pub(crate) struct Container(File);

impl Container {
    pub(crate) fn new() -> Self {
        let open = || {
            unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace");
            File::open("/proc/thread-self/ns/net").expect("the namespace's file")
        };
        Self(std::thread::spawn(open).join().expect("the thread ends well"))
    }

    /// Runs `inside` on a thread in the container.
    pub(crate) fn enter<T: Send + 'static>(&self, inside: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        let namespace = self.0.try_clone().expect("a descriptor");
        std::thread::spawn(move || {
            setns(namespace, CloneFlags::CLONE_NEWNET).expect("the namespace can be entered");
            inside()
        })
    }

    /// Joins this namespace and the container by a pair of interfaces, `name` here and `eth0` there.
    pub(crate) fn join(&self, name: &str, here: &str, there: &'static str, gateway: &'static str) {
        let netns = self.path();
        run("ip", &["link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", &netns]);
        run("ip", &["address", "add", here, "dev", name]);
        run("ip", &["link", "set", name, "up"]);
        let inside = move || {
            run("ip", &["address", "add", there, "dev", "eth0"]);
            run("ip", &["link", "set", "eth0", "up"]);
            run("ip", &["route", "add", "default", "via", gateway]);
        };
        self.enter(inside).join().expect("the container is set up");
    }

    pub(crate) fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd())
    }
}

/// Runs a program that has to succeed, and returns its output.
pub(crate) fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().expect("the program starts");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{program} {arguments:?}: {stderr}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs `iptables` or `ip6tables` of the variant.
pub(crate) fn tables(variant: Variant, family: &str, arguments: &[&str]) -> String {
    run(&format!("{family}-{}", word(variant)), arguments)
}

/// The chains and rules of one table, without counters, comments of the program and built-in chains.
pub(crate) fn saved(variant: Variant, family: &str, table: &str) -> Vec<String> {
    let text = run(&format!("{family}-{}-save", word(variant)), &["-t", table]);
    let of_interest = |line: &&str| line.starts_with("-A ") || line.starts_with(":CNI");
    text.lines().filter(of_interest).map(str::to_owned).collect()
}

pub(crate) fn word(variant: Variant) -> &'static str {
    match variant {
        Variant::Legacy => "legacy",
        _ => "nft",
    }
}

/// Runs a plugin of the Go suite in this namespace, with `iptables` being the variant.
pub(crate) fn reference(variant: Variant, plugin: &str, command: &str, container: &str, netns: &str, config: &str) {
    let mut child = Command::new(Path::new(REFERENCE).join(plugin))
        .env_clear()
        .env("PATH", programs(variant))
        .env("CNI_COMMAND", command)
        .env("CNI_CONTAINERID", container)
        .env("CNI_NETNS", netns)
        .env("CNI_IFNAME", "eth0")
        .env("CNI_PATH", REFERENCE)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the reference plugin starts: install containernetworking-plugins");
    child.stdin.take().expect("a pipe").write_all(config.as_bytes()).expect("the plugin reads");
    let output = child.wait_with_output().expect("the plugin ends");
    assert!(output.status.success(), "{plugin} {command}: {}", String::from_utf8_lossy(&output.stdout));
}

/// A directory in which the plain names are the variant's programs.
fn programs(variant: Variant) -> PathBuf {
    static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let number = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{number}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory");
    for name in ["iptables", "iptables-save", "iptables-restore", "ip6tables", "ip6tables-save", "ip6tables-restore"] {
        let link = directory.join(name);
        let program = format!("/usr/sbin/xtables-{}-multi", word(variant));
        std::os::unix::fs::symlink(program, link).expect("a link");
    }
    directory
}
