//! host-device: a device of the host in a container, and on the host again as it was, whatever happens in between.
//!
//! The devices are ends of veths whose other ends, the wires, stay on the host. What the kernel does with a physical device
//! when its namespace vanishes, which it does not do with these, is done by hand: [`vanish`].
//!
//! - `checking`: what CHECK and STATUS notice
//! - `connecting`: the device in the container
//! - `returning`: DEL and GC
//! - `selecting`: every way to name a device, and those that are none

mod checking;
mod connecting;
mod returning;
mod selecting;

use serde_json::{Value, json};
use tests::{Chain, Cni, Container, Host, Inside as _, every_rule_but_blind_del, reference_differs};

/// The reference's own binary, whichever is under test.
const REFERENCE: &str = "/usr/lib/cni/host-device";

/// Makes a device `nic0` that is down, with its `wire` up and 10.1.0.1/24, fd00:1::1/64 on it.
fn plug_in(host: &Host) {
    host.shell(
        "ip link add nic0 address 02:00:00:00:aa:01 type veth peer name wire
         ip addr add 10.1.0.1/24 dev wire
         ip addr add fd00:1::1/64 dev wire nodad
         ip link set wire up
         until ip -6 route show table local | grep -q fd00:1::1; do sleep 0.02; done",
    );
}

/// A host with that device, and a container.
fn scene() -> (Host, Container) {
    let host = Host::new();
    plug_in(&host);
    let container = host.container("c1");
    (host, container)
}

/// A host-device plugin for `nic0` with these keys beside.
fn config(keys: &Value) -> Value {
    let mut config = json!({"type": "host-device", "device": "nic0", "enabledad": false});
    config.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
    config
}

/// A network of just that plugin.
fn network<'h>(host: &'h Host, keys: &Value) -> Chain<'h> {
    host.chain(&json!({"name": "net", "plugins": [config(keys)]}))
}

/// Addresses from what is beyond the wire, where the host is the router.
fn addresses() -> Value {
    json!({"ipam": {
        "type": "host-local",
        "ranges": [[{"subnet": "10.1.0.0/24"}], [{"subnet": "fd00:1::/64"}]],
        "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}],
    }})
}

/// One call of the plugin that is not part of a [`Chain`].
fn call<'h>(host: &'h Host, verb: &str, container: &Container, config: &Value) -> Cni<'h> {
    host.cni("host-device").command(verb).container(container).config(config)
}

/// Does something and requires that everything is as it was before, devices included.
#[track_caller]
fn assert_comes_back<T>(host: &Host, work: impl FnOnce() -> T) -> T {
    host.assert_leaves_nothing(|| {
        let result = work();
        if reference_differs("it leaves the alias that it gave") {
            host.shell("ip -br link | grep -o '^nic[0-9]*' | while read name; do ip link set $name alias ''; done");
        }
        result
    })
}

/// What the kernel does with physical devices when their namespace ends: they are on the host again, down, under a name
/// of its choice. Then the namespace ends.
fn vanish(host: &Host, container: Container, ifname: &str, name_on_the_host: &str) -> Container {
    // Process 1 is the host's.
    container.shell(&format!("ip link set {ifname} netns 1 name {name_on_the_host}"));
    host.lose(container)
}

#[test]
fn the_rules_of_every_plugin_hold() {
    for keys in [json!({}), addresses(), json!({"device": "", "hwaddr": "02:00:00:00:AA:01"})] {
        let (host, c1) = scene();
        every_rule_but_blind_del(&network(&host, &keys), &c1, "eth0");
    }
}
