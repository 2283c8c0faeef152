//! Against the kernel: every operation in a network namespace of the test's own, its effect read back
//! through `ip -j`. Needs root and iproute2.

mod addresses;
mod batches;
mod kinds;
mod links;
mod namespaces;
mod neighbours;
mod routes;
mod rules;
mod traffic_control;
mod veths;
mod waiting;

use std::process::Command;
use std::thread;

use netlink::{Bridge, Netns, Peer, Socket, Veth};
use nix::sched::{CloneFlags, unshare};
use serde_json::Value;

/// Runs `test` on a thread in a fresh network namespace.
fn in_new_netns<T: Send>(test: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).expect("these tests need root");
            test()
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// A namespace that lives as long as the value.
fn new_netns() -> Netns {
    in_new_netns(|| Netns::current().expect("/proc is mounted"))
}

/// What `ip -j` says in the calling thread's namespace.
fn ip(arguments: &str) -> Value {
    let output = Command::new("ip").arg("-j").args(arguments.split(' ')).output().expect("iproute2 is installed");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip -j {arguments}: {complaint}");
    serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)
}

/// The one link called `name`, with all details.
fn ip_link(name: &str) -> Value {
    ip(&format!("-d link show dev {name}"))[0].clone()
}

fn socket() -> Socket {
    Socket::open().expect("a socket")
}

fn bridge(socket: &mut Socket, name: &str) -> u32 {
    socket
        .create_bridge(&Bridge { name, mac: None, mtu: None, up: true, vlan_filtering: false })
        .expect("a bridge")
        .index
}

/// A veth pair in this namespace, both ends up; returns the indexes of `a` and `b`.
fn pair(socket: &mut Socket) -> (u32, u32) {
    let peer = Peer { name: "b", mac: None, mtu: None, netns: None };
    let created = socket.create_veth(&Veth::new("a", peer)).expect("a pair");
    socket.batch().set_up(created.peer_index).send().expect("up");
    (created.index, created.peer_index)
}
