//! `crates/cni-runtime` beside the clients: it finds, checks and detaches what they have attached, and cnitool what it has.
//! Podman's and containerd's own DEL comes second then, and succeeds.

use cni_runtime::{Attached, Network, Networks, Runtime, Stderr};
use serde_json::json;
use tests::{Container, Host, Inside as _, reference_differs};

use crate::machine::{
    PLUGINS, REFERENCE_KEEPS_MASQUERADE, assert_nothing_left, host_with_plugins, make_root_file_system,
};
use crate::{cnitool, containerd, podman};

/// Does something with the library inside a host.
#[track_caller]
pub(crate) fn inside<T: Send>(host: &Host, work: impl FnOnce(&Runtime) -> T + Send) -> T {
    let runtime = Runtime::new([PLUGINS]).unwrap().with_stderr(Stderr::Capture);
    host.namespaces().enter(|| work(&runtime))
}

/// What is attached, which is one interface of one container, and its network as its file says.
#[track_caller]
fn attached(host: &Host) -> (Attached, Network) {
    inside(host, |runtime| {
        let mut cached = runtime.cache().list().unwrap();
        assert_eq!((cached.attached.len(), cached.broken.len()), (1, 0), "{cached:?}");
        let attached = cached.attached.remove(0);
        let network = Networks::load("/etc/cni/net.d").unwrap().find(attached.network.as_str()).unwrap().clone();
        assert_eq!(attached.configured().unwrap().unwrap().json(), network.json(), "as its file says");
        (attached, network)
    })
}

/// It is attached to a container with that namespace, says the record; and so it is, until it is detached.
#[track_caller]
fn assert_detaches(host: &Host, container: &Container, (attached, network): (&Attached, &Network)) {
    assert_eq!(attached.endpoint.netns.as_ref(), Some(&container.netns));
    let addresses: Vec<_> = attached.parsed_result().unwrap().ips.iter().map(|ip| ip.address.to_string()).collect();
    assert_eq!(container.addresses("eth0"), addresses);
    inside(host, |runtime| {
        runtime.check(network, &attached.endpoint).unwrap();
        runtime.del(network, &attached.endpoint).unwrap();
        assert!(runtime.cache().read(&attached.attachment()).unwrap().is_none());
        assert!(runtime.check(network, &attached.endpoint).is_err());
        runtime.del(network, &attached.endpoint).unwrap();
    });
    assert!(!container.links().contains(&"eth0".to_owned()));
}

#[test]
fn what_cnitool_attaches_it_detaches_and_the_other_way_round() {
    let host = cnitool::host_with_networks();
    let outside = host.neighbour();
    let web = host.container("web");
    let before = host.snapshot();
    let ports = if reference_differs("portmap's CHECK fails with any port mapping") {
        json!({})
    } else {
        json!({"portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]})
    };
    let _ = cnitool::cnitool(&host, "add", "web", &web, &ports).ok();
    let (theirs, network) = attached(&host);
    assert_eq!(json!(theirs.endpoint.capability_args), ports);
    assert_detaches(&host, &web, (&theirs, &network));
    assert_nothing_left(&host, &before, &[]);

    let ours = inside(&host, |runtime| runtime.add(&network, &theirs.endpoint).unwrap());
    assert_eq!(attached(&host).0, ours);
    let server = web.listen_tcp(80);
    if ports != json!({}) {
        outside.assert_reaches_tcp("192.0.2.1:8080");
    }
    drop(server);
    let _ = cnitool::cnitool(&host, "check", "web", &web, &ports).ok();
    let _ = cnitool::cnitool(&host, "del", "web", &web, &ports).ok();
    assert_nothing_left(&host, &before, &[]);
}

#[test]
fn what_podman_attaches_it_detaches() {
    let host = podman::host_with_podman();
    podman::podman(&host, "network create --label use=test --subnet 10.1.0.0/24 --ipv6 --subnet fd00:1::/64 web");
    let before = host.snapshot();
    let (web, _) = podman::run(&host, "web", "--network web --ip 10.1.0.77");
    let (theirs, network) = attached(&host);
    assert_eq!(network.keys["args"]["podman_labels"]["use"], "test");
    assert!(theirs.endpoint.args.contains(&("IP".to_owned(), "10.1.0.77".to_owned())), "{theirs:?}");
    assert_detaches(&host, &web, (&theirs, &network));
    drop(web);
    podman::podman(&host, "rm -f -t0 web");
    assert_nothing_left(&host, &before, &[]);
}

#[test]
fn what_containerd_attaches_it_detaches() {
    let host = host_with_plugins();
    make_root_file_system(&host);
    let _containerd = containerd::start_containerd(&host);
    let before = host.snapshot();
    containerd::publish(&host, "[]");
    let web = containerd::run(&host, "web");
    let (theirs, network) = attached(&host);
    assert_detaches(&host, &web.container, (&theirs, &network));
    containerd::stop(&host, web);
    assert_nothing_left(&host, &before, REFERENCE_KEEPS_MASQUERADE);
}
