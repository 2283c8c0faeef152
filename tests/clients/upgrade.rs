//! The plugins of a node are exchanged while its containers talk: the reference suite's for the tested ones, these for themselves, and
//! back. What one suite has attached the other detaches.

use std::cell::RefCell;
use std::collections::BTreeMap;

use tests::{Container, Host, Inside as _};

use crate::containerd::{self, Running};
use crate::cri::{self, cri};
use crate::machine::{PLUGINS, REFERENCE_KEEPS_MASQUERADE, host_with_reference, make_root_file_system};
use crate::podman::{self, PODMAN};
use crate::release::package;

/// Who starts containers on a network that is there, and publishes port 80 of each.
trait Engine {
    /// The container, and its address.
    fn start(&self, host: &Host, name: &str, port: u16) -> (Container, String);
    fn end(&self, host: &Host, name: &str);
}

/// From the reference suite to the tested one, to it once more, and back.
fn containers_talk_all_the_while(host: &Host, engine: &impl Engine, install: impl Fn(&Host), undo: impl Fn(&Host)) {
    let outside = host.neighbour();
    let before = host.snapshot();
    let (old, old_address) = engine.start(host, "old", 8080);
    let (peer, peer_address) = engine.start(host, "peer", 8081);
    let (old_server, peer_server) = (old.listen_tcp(80), peer.listen_tcp(80));
    let conversation = peer.converse(&old, &format!("{old_address}:90"));
    for _ in ["the first time", "again"] {
        install(host);
        conversation.assert_goes_on();
        outside.assert_reaches_tcp("192.0.2.1:8080");
    }

    let (new, new_address) = engine.start(host, "new", 8082);
    let new_server = new.listen_tcp(80);
    new.assert_reaches_tcp(&format!("{old_address}:80"));
    outside.assert_reaches_tcp("192.0.2.1:8082");
    let with_new = peer.converse(&new, &format!("{new_address}:91"));
    drop((conversation, old_server, old));
    engine.end(host, "old");
    let traces = host.shell("nft list ruleset; ls /var/lib/cni/networks/*");
    assert!(!traces.contains(&format!("{old_address} ")) && !traces.contains(&format!("{old_address}\n")), "{traces}");
    outside.assert_reaches_tcp("192.0.2.1:8081");
    with_new.assert_goes_on();

    undo(host);
    with_new.assert_goes_on();
    outside.assert_reaches_tcp("192.0.2.1:8082");
    let (again, _) = engine.start(host, "again", 8083);
    let again_server = again.listen_tcp(80);
    again.assert_reaches_tcp(&format!("{new_address}:80"));
    again.assert_reaches_tcp(&format!("{peer_address}:80"));
    outside.assert_reaches_tcp("192.0.2.1:8083");
    drop((with_new, again_server, new_server, peer_server, again, new, peer));
    for name in ["again", "new", "peer"] {
        engine.end(host, name);
    }
    let _ = host.ferrocni(["uninstall"]).ok();
    let leftovers = host.snapshot().leftovers(&before);
    let left_by_ours: Vec<_> = leftovers.iter().filter(|line| !reference_keeps(line)).collect();
    assert!(left_by_ours.is_empty(), "{left_by_ours:#?}");
    assert_eq!(host.run(["nft", "list", "tables"]).matches("ferrocni").count(), 0);
}

/// What its DEL leaves of containers whose namespaces are gone when it is called, as containerd's `ctr` calls it.
fn reference_keeps(line: &str) -> bool {
    REFERENCE_KEEPS_MASQUERADE.iter().any(|known| line.contains(known))
}

/// As somebody installs them from the tarball, and removes them.
fn install_from_the_tarball(host: &Host) {
    let tarball = package("ferrocni-", ".tar.gz");
    host.shell(&format!(
        "mkdir -p /run/release; tar -C /run/release --strip-components 1 -xzf '{}'
         /run/release/install.sh {PLUGINS} /run/prefix; cmp /run/release/usr/lib/cni/bridge {PLUGINS}/bridge",
        tarball.display()
    ));
}

fn bring_back_the_reference(host: &Host) {
    host.shell(&format!(
        "/run/release/usr/bin/ferrocni install --undo {PLUGINS}; cmp /usr/lib/cni/bridge {PLUGINS}/bridge; [ ! -e {PLUGINS}/tap ]"
    ));
}

struct Podman;

impl Engine for Podman {
    fn start(&self, host: &Host, name: &str, port: u16) -> (Container, String) {
        let (container, addresses) = podman::run(host, name, &format!("--network web -p {port}:80"));
        (container, addresses.v4)
    }

    fn end(&self, host: &Host, name: &str) {
        let removed = host.try_run(["sh", "-c", &format!("{PODMAN} rm -f -t0 {name}")]);
        assert!(removed.status.success() && removed.stderr.is_empty(), "{removed}");
    }
}

#[test]
fn podman_s_containers_talk_while_the_plugins_are_exchanged() {
    let host = host_with_reference();
    podman::set_up(&host);
    podman::podman(&host, "network create --subnet 10.1.0.0/24 web");
    containers_talk_all_the_while(&host, &Podman, install_from_the_tarball, bring_back_the_reference);
}

#[derive(Default)]
struct Ctr {
    running: RefCell<BTreeMap<String, Running>>,
}

impl Engine for Ctr {
    fn start(&self, host: &Host, name: &str, port: u16) -> (Container, String) {
        containerd::publish(host, &format!(r#"[{{"hostPort": {port}, "containerPort": 80, "protocol": "tcp"}}]"#));
        let running = containerd::run(host, name);
        let started = (host.container_at(&running.id, &running.container.netns), running.addresses.v4.clone());
        self.running.borrow_mut().insert(name.to_owned(), running);
        started
    }

    fn end(&self, host: &Host, name: &str) {
        containerd::stop(host, self.running.borrow_mut().remove(name).unwrap());
    }
}

#[test]
fn containerd_s_containers_talk_while_the_plugins_are_exchanged() {
    let host = host_with_reference();
    make_root_file_system(&host);
    let _containerd = containerd::start_containerd(&host);
    containers_talk_all_the_while(&host, &Ctr::default(), install_from_the_tarball, bring_back_the_reference);
}

/// Pods as a kubelet has them made.
#[derive(Default)]
struct Pods {
    ids: RefCell<BTreeMap<String, String>>,
}

impl Engine for Pods {
    fn start(&self, host: &Host, name: &str, port: u16) -> (Container, String) {
        let id = cri(host, &["run", name, &port.to_string()]);
        let container = host.container_at(&id, cri::inspected_netns(host, &id).as_ref());
        let address = container.addresses("eth0")[0].split('/').next().unwrap().to_owned();
        self.ids.borrow_mut().insert(name.to_owned(), id);
        (container, address)
    }

    fn end(&self, host: &Host, name: &str) {
        cri(host, &["remove", &self.ids.borrow_mut().remove(name).unwrap()]);
    }
}

/// What the DaemonSet has on each node: the image, in a pod on the host's network, with the node's plugins mounted.
fn install_by_the_image(host: &Host) {
    let image = concat!("docker.io/library/ferrocni:", env!("CARGO_PKG_VERSION"));
    let id = cri(host, &["install", image, PLUGINS]);
    // The last of them. It is there already when they are installed again, and nothing is left to do.
    host.shell(&format!("for i in $(seq 500); do [ -e {PLUGINS}/vrf ] && exit; sleep 0.02; done; exit 1"));
    cri(host, &["remove", &id]);
}

#[test]
fn pods_talk_while_the_daemonset_s_image_exchanges_the_plugins() {
    let host = host_with_reference();
    let _containerd = cri::start_containerd(&host);
    let pods = r#"{"cniVersion": "0.4.0", "name": "pods", "plugins": [
        {"type": "bridge", "bridge": "pods0", "isDefaultGateway": true, "ipMasq": true, "hairpinMode": true,
         "ipam": {"type": "host-local", "subnet": "10.1.0.0/24"}},
        {"type": "portmap", "capabilities": {"portMappings": true}}]}"#;
    host.write("/etc/cni/net.d/10-pods.conflist", pods);
    let image = package("ferrocni-", "-image.tar");
    host.run(["ctr", "-n", "k8s.io", "image", "import", "--snapshotter", "native", image.to_str().unwrap()]);
    let undo = |host: &Host| {
        host.shell(&format!("{PLUGINS}/ferrocni install --undo {PLUGINS}; cmp /usr/lib/cni/bridge {PLUGINS}/bridge"));
    };
    containers_talk_all_the_while(&host, &Pods::default(), install_by_the_image, undo);
}
