//! What ADD prints, in each version of the specification.

use serde_json::{Value, json};
use tests::{Container, Host, Inside, is_reference, newest_version};

use crate::scene::{bridge_config, versions};

/// A network of which every part of a result has something to tell.
fn full_config(version: &str) -> Value {
    let mut config = bridge_config();
    config["cniVersion"] = json!(version);
    config["ipam"]["routes"] = json!([{"dst": "10.9.0.0/16"}, {"dst": "fd00:9::/64", "gw": "fd00:1::9"}]);
    config["dns"] = dns();
    config
}

fn dns() -> Value {
    json!({"nameservers": ["10.1.0.1", "fd00:1::1"], "domain": "a.test", "search": ["a.test", "b.test"], "options": ["ndots:2"]})
}

fn add(host: &Host, container: &Container, config: &Value) -> Value {
    host.cni("bridge").command("ADD").container(container).config(config).run().ok()
}

/// Name, hardware address and MTU of a link, as `ip` shows them.
fn link(place: &impl Inside, name: &str) -> Value {
    let links = place.ip_json(["link", "show", "dev", name]);
    json!({"name": name, "mac": links[0]["address"], "mtu": links[0]["mtu"]})
}

/// The host's end of the only veth.
fn veth(host: &Host) -> String {
    let links = host.ip_json(["link", "show", "type", "veth"]);
    links[0]["ifname"].as_str().unwrap().to_owned()
}

/// The three interfaces of a bridge network, as 1.1.0 tells them.
fn interfaces(host: &Host, container: &Container) -> Vec<Value> {
    let mut inside = link(container, "eth0");
    inside["sandbox"] = json!(container.netns);
    vec![link(host, "br0"), link(host, &veth(host)), inside]
}

fn without(key: &str, mut objects: Vec<Value>) -> Vec<Value> {
    for object in &mut objects {
        object.as_object_mut().unwrap().remove(key);
    }
    objects
}

/// "Plugins must output a JSON object with the following keys upon a successful `ADD` operation" (Success, of each
/// version): 0.1.0 and 0.2.0 know one address of each family, 0.3.0 to 0.4.0 lists with the family in each address,
/// 1.0.0 lists without it, 1.1.0 the interfaces' MTU besides.
#[test]
fn a_result_has_the_form_of_its_version() {
    for version in versions() {
        let host = Host::new();
        let container = host.container("c1");
        let reply = add(&host, &container, &full_config(version));
        let mut interfaces = interfaces(&host, &container);
        if version != "1.1.0" {
            interfaces = without("mtu", interfaces);
        }
        let ips = vec![
            json!({"version": "4", "interface": 2, "address": "10.1.0.2/24", "gateway": "10.1.0.1"}),
            json!({"version": "6", "interface": 2, "address": "fd00:1::2/64", "gateway": "fd00:1::1"}),
        ];
        let ips = if version.starts_with("1.") { without("version", ips) } else { ips };
        let routes = [json!({"dst": "10.9.0.0/16"}), json!({"dst": "fd00:9::/64", "gw": "fd00:1::9"})];
        let expected = match version {
            "0.1.0" | "0.2.0" => json!({
                "cniVersion": version,
                "ip4": {"ip": "10.1.0.2/24", "gateway": "10.1.0.1", "routes": [routes[0]]},
                "ip6": {"ip": "fd00:1::2/64", "gateway": "fd00:1::1", "routes": [routes[1]]},
                "dns": dns(),
            }),
            _ => json!({"cniVersion": version, "interfaces": interfaces, "ips": ips, "routes": routes, "dns": dns()}),
        };
        assert_eq!(reply, expected, "{version}");
    }
}

/// What is not there is not said; before 1.0.0 `dns` was always written (by this version of the reference even then).
#[test]
fn a_result_without_dns_and_routes_says_nothing_of_them() {
    for version in versions() {
        let host = Host::new();
        let mut config = bridge_config();
        config["cniVersion"] = json!(version);
        let reply = add(&host, &host.container("c1"), &config);
        let dns = if version.starts_with("1.") && !is_reference() { None } else { Some(&json!({})) };
        assert_eq!(reply.get("dns"), dns, "{version}: {reply}");
        assert_eq!(reply.get("routes"), None, "{version}: {reply}");
    }
}

/// "Delegated IPAM plugins must return an abbreviated _Success_ object. Specifically, it is missing the `interfaces`
/// array, as well as the `interface` entry in `ips`" (Delegated plugins).
#[test]
fn host_local_returns_an_abbreviated_result() {
    let host = Host::new();
    let config = json!({"type": "host-local", "ipam": bridge_config()["ipam"]});
    let container = host.container("c1");
    let reply = host.cni("host-local").command("ADD").container(&container).config(&config).run().ok();
    let ips = json!([
        {"address": "10.1.0.2/24", "gateway": "10.1.0.1"},
        {"address": "fd00:1::2/64", "gateway": "fd00:1::1"},
    ]);
    let mut expected = json!({"cniVersion": newest_version(), "ips": ips});
    if is_reference() {
        expected["dns"] = json!({});
    }
    assert_eq!(reply, expected);
}

/// The same in the older forms, which have a place for one address of each family.
#[test]
fn a_network_with_two_ranges_of_a_family_needs_a_version_with_lists() {
    let host = Host::new();
    let container = host.container("c1");
    let ranges = json!([[{"subnet": "10.1.0.0/24"}], [{"subnet": "10.2.0.0/24"}]]);
    for version in versions() {
        let config = json!({"cniVersion": version, "ipam": {"type": "host-local", "ranges": ranges}});
        let call = host.cni("host-local").container(&container).config(&config);
        let outcome = call.clone().command("ADD").run();
        if version < "0.3.0" {
            crate::scene::error(outcome);
        } else {
            assert_eq!(outcome.ok()["ips"].as_array().unwrap().len(), 2, "{version}");
            call.command("DEL").run().ok();
        }
    }
}

/// "For interfaces created inside the container, this should be the value passed via `CNI_NETNS`" (Success,
/// `sandbox`), also when the same namespace has another path.
#[test]
fn the_sandbox_is_what_the_runtime_passed() {
    let host = Host::new();
    let container = host.container("c1");
    host.shell("mkdir -p /run/other; ln -s /run/netns/c1 /run/other/link");
    let call = host.cni("bridge").command("ADD").container(&container).netns("/run/other/link");
    let reply = call.config(&bridge_config()).run().ok();
    assert_eq!(reply["interfaces"][2]["sandbox"], "/run/other/link");
}
