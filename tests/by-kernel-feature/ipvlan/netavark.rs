//! Networks of `netavark`'s driver ipvlan.

use serde_json::{Value, json};
use tests::{Container, Host, Inside as _, netavark};

use super::mode_and_flag;

fn lan(options: &Value) -> Value {
    netavark::with_options(netavark::on_the_wire("ipvlan", "lan"), options)
}

fn container(host: &Host, name: &str) -> Container {
    let container = host.container(name);
    container.run(["ip", "link", "set", "lo", "up"]);
    container
}

#[test]
fn netavark_s_containers_are_on_the_wire_by_their_parent_s_address() {
    let host = netavark::host();
    let outside = host.neighbour();
    let (c1, c2) = (container(&host, "c1"), container(&host, "c2"));
    let calls = [(&c1, ["192.0.2.100", "2001:db8::100"]), (&c2, ["192.0.2.101", "2001:db8::101"])]
        .map(|(container, addresses)| host.netavark(container).on(&lan(&json!({})), "eth0", &addresses));
    host.assert_leaves_nothing(|| {
        let answer = calls[0].setup().ok();
        calls[1].setup().ok();
        let subnets = json!([
            {"ipnet": "192.0.2.100/24", "gateway": "192.0.2.2"}, {"ipnet": "2001:db8::100/64", "gateway": "2001:db8::2"},
        ]);
        let interfaces = json!({"eth0": {"mac_address": host.link("uplink")["address"], "subnets": subnets}});
        assert_eq!(answer, json!({"lan": {"dns_search_domains": [], "dns_server_ips": [], "interfaces": interfaces}}));
        assert_eq!(mode_and_flag(&c1, "eth0").0, "l2");
        let (server, way_out) = (c1.listen_tcp(80), outside.listen_tcp(80));
        for address in ["192.0.2.100:80", "[2001:db8::100]:80"] {
            c2.assert_reaches_tcp(address);
            outside.assert_reaches_tcp(address);
        }
        assert_eq!(c1.assert_reaches_tcp("192.0.2.2:80").ip().to_string(), "192.0.2.100");
        drop((server, way_out));
        calls.iter().for_each(|call| drop(call.teardown().ok()));
    });
}

#[test]
fn netavark_s_options_are_the_link_s() {
    let host = netavark::host();
    let _outside = host.neighbour();
    let c1 = container(&host, "c1");
    for mode in ["l2", "l3", "l3s"] {
        let options = json!({"mode": mode, "mtu": "1400", "metric": "7"});
        let call = host.netavark(&c1).on(&lan(&options), "eth0", &["192.0.2.100", "2001:db8::100"]);
        call.setup().ok();
        assert_eq!((mode_and_flag(&c1, "eth0").0.as_str(), &c1.link("eth0")["mtu"]), (mode, &json!(1400)));
        let route = &c1.ip_json(["route", "show", "default"])[0];
        assert_eq!(route["metric"], 7, "{route}");
        call.teardown().ok();
    }
    let call = host.netavark(&c1).on(&lan(&json!({"mode": "bridge"})), "eth0", &["192.0.2.100", "2001:db8::100"]);
    let error = host.assert_leaves_nothing(|| call.setup().error());
    assert!(error.contains("bridge"), "{error}");
}
