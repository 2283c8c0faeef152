//! tuning: sysctls of a container, properties of its interface, and what becomes of them.
//!
//! - `lifetime`: what DEL restores and GC removes; the files shared with the reference
//! - `refusals`: what is not set, and by whom it may not be
//! - `values`: each key by what it does

mod lifetime;
mod refusals;
mod values;

use serde_json::{Value, json};
use tests::{Chain, Cni, Container, Host, Inside as _, is_reference};

/// A network on a bridge, tuned.
fn network<'h>(host: &'h Host, tuning: &Value) -> Chain<'h> {
    host.chain(&list(&[tuning]))
}

/// A list of a bridge and as many tunings.
fn list(tunings: &[&Value]) -> Value {
    let ipam = json!({"type": "host-local", "ranges": [[{"subnet": "10.1.0.0/24"}], [{"subnet": "fd00:1::/64"}]]});
    let mut plugins = vec![json!({"type": "bridge", "bridge": "br0", "isGateway": true, "ipam": ipam})];
    for tuning in tunings {
        let mut tuning = (*tuning).clone();
        tuning["type"] = json!("tuning");
        tuning["capabilities"] = json!({"mac": true});
        plugins.push(tuning);
    }
    json!({"name": "net", "plugins": plugins})
}

/// A call of tuning alone, in a container that has an interface `eth0` whose other end is on the host.
fn call<'h>(host: &'h Host, verb: &str, container: &Container, config: &Value) -> Cni<'h> {
    let mut config = config.clone();
    config["type"] = json!("tuning");
    if config.get("prevResult").is_none() {
        let interface = json!({"name": "eth0", "mac": "02:00:00:00:00:01", "sandbox": container.netns});
        config["prevResult"] = json!({"cniVersion": "1.0.0", "interfaces": [interface]});
    }
    host.cni("tuning").command(verb).container(container).config(&config)
}

fn with_interface(host: &Host, name: &str) -> Container {
    let container = host.container(name);
    let path = container.netns.display().to_string();
    host.shell(&format!(
        "ip link add {name} type veth peer name eth0 address 02:00:00:00:00:01 netns {name}; ip link set {name} up
         ip -n {name} link set eth0 up; test -e {path}"
    ));
    container
}

/// Everything that can be tuned, as it is.
fn properties(container: &Container) -> Value {
    let link = &container.ip_json(["-d", "link", "show", "dev", "eth0"])[0];
    let has = |flag: &str| link["flags"].as_array().unwrap().contains(&json!(flag));
    json!({
        "mac": link["address"], "mtu": link["mtu"], "promisc": has("PROMISC"), "allmulti": has("ALLMULTI"),
        "txQLen": link["txqlen"],
    })
}

fn sysctl(container: &Container, path: &str) -> String {
    container.shell(&format!("cat /proc/sys/net/{path}")).trim().to_owned()
}

/// Every property, with another value than the kernel's. (The reference of Debian knows no `txQLen`.)
fn everything() -> Value {
    let mut tuning = json!({
        "sysctl": {"net.ipv4.conf.IFNAME.arp_ignore": "1", "net.core.somaxconn": "77"},
        "mac": "02:00:00:00:00:77", "mtu": 1400, "promisc": true, "allmulti": true,
    });
    if !is_reference() {
        tuning["txQLen"] = json!(77);
    }
    tuning
}

/// The names of the files that remember something.
fn backups(host: &Host) -> String {
    host.shell("ls -A /run/cni/tuning 2>/dev/null || true")
}
