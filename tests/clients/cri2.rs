//! Pods of containerd 2, on a network that `ferrocni` has created. Its libcni speaks CNI 1.1: the node is ready as long as every
//! plugin's STATUS says so, `lo` is attached at the same time as the network, and a pod is deleted more than once.

use std::thread;

use tests::{Background, Host, Inside as _, client};

use crate::cri::{cri, inspected_netns, start};
use crate::machine::{PLUGINS, assert_nothing_left, host_with_plugins, install_names};

/// As of the other one. Debian's looks for plugins in another folder first.
const CONFIG: &str = r#"
version = 3
FOLDERS
[plugins."io.containerd.cri.v1.images"]
snapshotter = "native"
[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = "registry.k8s.io/pause:3.6"
[plugins."io.containerd.cri.v1.runtime"]
disable_apparmor = true
restrict_oom_score_adj = true
[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = ["PLUGINS"]
conf_dir = "/etc/cni/net.d"
"#;

/// What the node is told of the network then.
const READY: &str = "ready, as all plugins say";

fn start_containerd_2(host: &Host) -> Background {
    let folder = client("containerd-2");
    start(host, folder.to_str().unwrap(), &CONFIG.replace("PLUGINS", PLUGINS))
}

/// It hears of new files a moment later.
#[track_caller]
fn wait_until_network_is(host: &Host, state: &str) {
    let mut said = String::new();
    for _ in 0..50 {
        said = cri(host, &["network"]);
        if said.contains(state) {
            return;
        }
    }
    panic!("the network does not become {state}, but is {said}");
}

#[test]
fn pods_come_and_go_at_once_on_a_network_that_the_command_has_created() {
    let host = host_with_plugins();
    let outside = host.neighbour();
    let _containerd = start_containerd_2(&host);
    wait_until_network_is(&host, "not ready");
    let _ = host.ferrocni(["network", "create", "--ipv6", "--subnet", "10.1.0.0/24", "pods"]).ok();
    // Each plugin of the list is asked, and one of them is not there yet.
    wait_until_network_is(&host, r#"failed to find plugin "dnsname""#);
    install_names(&host);
    wait_until_network_is(&host, READY);
    let before = host.snapshot();
    let ids: Vec<String> = thread::scope(|scope| {
        let host = &host;
        let run = |port: u16| move || cri(host, &["run", &format!("web{port}"), &port.to_string()]);
        let starting: Vec<_> = (8080..8086).map(|port| scope.spawn(run(port))).collect();
        starting.into_iter().map(|pod| pod.join().unwrap()).collect()
    });
    let result = host.read(format!("/var/lib/cni/results/pods-{}-eth0", ids[0])).unwrap();
    assert!(result.contains(r#""cniVersion":"1.1.0""#), "{result}");
    assert_eq!(host.ferrocni(["ps", "-a", "-q"]).ok().lines().count(), ids.len());
    for (id, port) in ids.iter().zip(8080..) {
        let pod = host.container_at(id, inspected_netns(&host, id).as_ref());
        assert!(pod.is_up("lo"));
        let _server = pod.listen_tcp(80);
        outside.assert_reaches_tcp(&format!("192.0.2.1:{port}"));
        outside.assert_reaches_tcp(&format!("[2001:db8::1]:{port}"));
    }
    thread::scope(|scope| ids.iter().for_each(|id| drop(scope.spawn(|| cri(&host, &["remove", id])))));
    assert_eq!(cri(&host, &["network"]), READY);
    assert_nothing_left(&host, &before, &[]);
    let _ = host.ferrocni(["network", "rm", "pods"]).ok();
}
