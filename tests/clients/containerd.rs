//! containerd 1.6 with `ctr run --cni`. Its CNI_NETNS is `/proc/<pid>/ns/net`.

use std::process;

use serde_json::Value;
use tests::{Background, Container, Host, Inside as _, address, reference_differs};

use crate::machine::{
    Addresses, REFERENCE_KEEPS_MASQUERADE, ROOT, assert_nothing_left, assert_served, host_with_plugins,
    make_root_file_system,
};

/// `ctr` has no option for ports, so they stand in the configuration, and a network has one container
/// that publishes them.
const NETWORK: &str = r#"{
  "cniVersion": "1.0.0", "name": "NAME",
  "plugins": [
    {"type": "bridge", "bridge": "ctr0", "isGateway": true, "isDefaultGateway": true, "ipMasq": true,
     "hairpinMode": true,
     "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.1.0.0/24"}], [{"subnet": "fd00:1::/64"}]]}},
    {"type": "portmap", "runtimeConfig": {"portMappings": PORTS}},
    {"type": "firewall"}
  ]
}"#;

const PORTS: &str = r#"[{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"},
                        {"hostPort": 5353, "containerPort": 53, "protocol": "udp"}]"#;

const CONFIG: &str = r#"
version = 2
root = "/run/containerd-root"
state = "/run/containerd"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
address = "/run/containerd/containerd.sock"
"#;

pub(crate) fn publish(host: &Host, ports: &str) {
    host.write("/etc/cni/net.d/10-ctr.conflist", network(ports));
}

/// The network whose containers publish these ports.
pub(crate) fn network(ports: &str) -> String {
    NETWORK.replace("NAME", "ctr").replace("PORTS", ports)
}

/// Starts containerd; it ends with the returned value.
pub(crate) fn start_containerd(host: &Host) -> Background {
    host.write("/run/containerd.toml", CONFIG);
    let containerd = host.spawn(["containerd", "--config", "/run/containerd.toml", "--log-level", "error"]);
    host.shell("for i in $(seq 500); do ctr version >/dev/null 2>&1 && exit; sleep 0.02; done; ctr version");
    containerd
}

/// A container that `ctr run` has in the foreground.
pub(crate) struct Running {
    pub(crate) id: String,
    ctr: Background,
    pub(crate) container: Container,
    pub(crate) addresses: Addresses,
}

/// The machine's cgroups are shared by all test hosts, so the id has to be unique.
pub(crate) fn run(host: &Host, name: &str) -> Running {
    let id = format!("{name}-{}", process::id());
    let script = "trap 'exit 0' TERM; sleep 1000 & wait";
    let ctr = host.spawn(["ctr", "run", "--rm", "--cni", "--rootfs", ROOT, &id, "/bin/sh", "-c", script]);
    // libcni writes this file when the last plugin has succeeded.
    let result = format!("/var/lib/cni/results/ctr-default-{id}-eth0");
    host.shell(&format!("for i in $(seq 500); do [ -s {result} ] && exit; sleep 0.02; done; cat {result}"));
    let cached: Value = serde_json::from_str(&host.read(&result).unwrap()).unwrap();
    let addresses = Addresses { v4: address(&cached["result"], 0), v6: address(&cached["result"], 1) };
    let pid = host.shell(&format!("ctr task ls | awk '$1 == \"{id}\" {{print $2}}'"));
    let container = host.container_at(&id, format!("/proc/{}/ns/net", pid.trim()).as_ref());
    Running { id, ctr, container, addresses }
}

/// containerd calls DEL when the process has ended. The reference then finds no namespace, and leaves the
/// links to the kernel.
#[track_caller]
pub(crate) fn stop(host: &Host, running: Running) {
    let links = running.container.host_ends();
    drop(running.container);
    host.run(["ctr", "task", "kill", "-s", "SIGTERM", &running.id]);
    running.ctr.wait();
    if reference_differs("its DEL without a namespace removes no link") {
        host.wait_until_gone(&links);
    }
}

#[test]
fn two_containers_talk_and_one_is_published() {
    let host = host_with_plugins();
    make_root_file_system(&host);
    let outside = host.neighbour();
    let _containerd = start_containerd(&host);
    let before = host.snapshot();
    publish(&host, PORTS);
    let web = run(&host, "web");
    publish(&host, "[]");
    let peer = run(&host, "peer");
    assert_served(&host, &outside, (&web.container, &web.addresses), &peer.container);
    stop(&host, web);
    stop(&host, peer);
    assert_nothing_left(&host, &before, REFERENCE_KEEPS_MASQUERADE);
}
