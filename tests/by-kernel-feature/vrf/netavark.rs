//! Bridges of `netavark` in a VRF of the host: the option `vrf`.

use serde_json::json;
use tests::{Host, Inside as _, netavark};

/// A host with a VRF whose way out is by its uplink.
fn host() -> (Host, Host) {
    let host = netavark::host();
    let outside = host.neighbour();
    host.shell(
        "ip link add name blue type vrf table 5
         ip link set blue up
         ip link set uplink mtu 1400 master blue
         ip route add default via 192.0.2.2 table 5",
    );
    (host, outside)
}

#[test]
fn a_bridge_of_netavark_s_is_in_the_vrf() {
    let (host, outside) = host();
    let container = host.container("c1");
    container.run(["ip", "link", "set", "lo", "up"]);
    let network = netavark::with_options(netavark::bridge("web", &["10.1.0.0/24"]), &json!({"vrf": "blue"}));
    let call = host.netavark(&container).on(&network, "eth0", &["10.1.0.9"]);
    host.assert_leaves_nothing(|| {
        call.setup().ok();
        assert_eq!(host.link("web")["master"], "blue");
        assert_eq!(host.ip_json(["route", "show", "10.1.0.0/24"]), json!([]), "the main table has nothing of it");
        assert_eq!(host.ip_json(["route", "show", "10.1.0.0/24", "table", "5"])[0]["dev"], "web");
        if !tests::reference_differs("it looks for the MTU of the main table's default route") {
            assert_eq!(container.link("eth0")["mtu"], 1400, "that of the VRF's way out");
        }
        let server = outside.listen_tcp(80);
        assert_eq!(container.assert_reaches_tcp("192.0.2.2:80").ip().to_string(), "192.0.2.1");
        drop(server);
        call.teardown().ok();
        assert!(host.links().contains(&"blue".to_owned()));
    });
}

#[test]
fn what_is_no_vrf_is_named_and_nothing_is_made() {
    let (host, _outside) = host();
    let container = host.container("c1");
    container.run(["ip", "link", "set", "lo", "up"]);
    host.run(["ip", "link", "add", "name", "green", "type", "bridge"]);
    let network = netavark::with_options(netavark::bridge("web", &["10.1.0.0/24"]), &json!({"vrf": "green"}));
    let call = host.netavark(&container).on(&network, "eth0", &["10.1.0.9"]);
    let error = host.assert_leaves_nothing(|| call.setup().error());
    assert!(error.contains("green"), "{error}");
}
