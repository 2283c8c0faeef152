//! Drivers that Podman has not got itself: links to `netavark` in `netavark_plugin_dirs`.

use serde_json::json;
use tests::{Host, Inside as _, netavark};

use super::{Addresses, BOTH, DRIVERS, PODMAN, assert_nothing_left, host_with_podman, inspected, podman, run};

/// With the tested program as drivers of these names.
fn host_with_drivers(names: &[&str]) -> Host {
    let host = host_with_podman();
    host.run(["mkdir", "-p", DRIVERS]);
    let program = netavark::folder().join("netavark");
    for name in names {
        host.shell(&format!("ln -s {} {DRIVERS}/{name}", program.display()));
    }
    host
}

#[test]
fn ptp_gives_each_container_a_link_of_its_own() {
    let host = host_with_drivers(&["ptp"]);
    let outside = host.neighbour();
    podman(&host, &format!("network create -d ptp {BOTH} own"));
    let before = host.snapshot();
    let (web, Addresses { v4, v6 }) = run(&host, "web", "--network own -p 8080:80");
    let (peer, _) = run(&host, "peer", "--network own");
    assert_eq!(host.ip_json(["link", "show", "type", "bridge"]), json!([]));
    let (server, way_out) = (web.listen_tcp(80), outside.listen_tcp(80));
    for address in [v4, v6] {
        peer.assert_reaches_tcp(&format!("{address}:80"));
        host.assert_reaches_tcp(&format!("{address}:80"));
    }
    outside.assert_reaches_tcp("192.0.2.1:8080");
    web.assert_reaches_tcp("192.0.2.2:80");
    let found = podman(&host, "exec peer /bin/busybox nslookup web");
    assert!(found.contains("10.1.0."), "{found}");
    drop((server, way_out, web, peer));
    podman(&host, "rm -f -t0 -a");
    assert_nothing_left(&host, &before, &[]);
}

/// Any CNI plugin is a driver, and the network's options are its keys.
#[test]
fn a_plugin_is_a_driver_if_a_link_is_called_like_it() {
    let host = host_with_drivers(&["tap"]);
    podman(&host, "network create -d tap --subnet 10.5.0.0/24 -o multiQueue=true machines");
    assert_eq!(inspected(&host, "network inspect machines")["driver"], "tap");
    let before = host.snapshot();
    let (vm, Addresses { v4, .. }) = run(&host, "vm", "--network machines --ip 10.5.0.9");
    assert_eq!(v4, "10.5.0.9");
    let link = &vm.ip_json(["-d", "link", "show", "dev", "eth0"])[0]["linkinfo"];
    assert_eq!((&link["info_kind"], &link["info_data"]["multi_queue"]), (&json!("tun"), &json!(true)), "{link}");
    assert_eq!(vm.addresses("eth0"), ["10.5.0.9/24"]);
    drop(vm);
    podman(&host, "restart -t0 vm");
    podman(&host, "rm -f -t0 -a");
    assert_nothing_left(&host, &before, &[]);
}

#[test]
fn a_driver_without_a_plugin_is_an_error_that_says_what_to_install() {
    let host = host_with_drivers(&["pigeon"]);
    let finished = host.try_run(["sh", "-c", &format!("{PODMAN} network create -d pigeon birds")]);
    assert!(!finished.status.success(), "{finished}");
    assert!(finished.stderr.contains("no CNI plugin pigeon") && finished.stderr.contains("install"), "{finished}");
}
