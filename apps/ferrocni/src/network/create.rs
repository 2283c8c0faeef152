//! The configuration list of a new network.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::SystemTime;

use cni::NetworkName;
use ip::Family;
use serde_json::{Value, json};

use super::subnet::Planned;
use super::{DNSNAME, Driver, Options};

/// A network that is to be created.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) name: NetworkName,
    /// SHA-256 of the name.
    pub(crate) id: String,
    pub(crate) driver: Driver,
    /// Nothing but the network's own containers is reached.
    pub(crate) internal: bool,
    pub(crate) options: Options,
    /// As they were written.
    pub(crate) written_options: BTreeMap<String, String>,
    pub(crate) labels: BTreeMap<String, String>,
    /// None: the addresses are a DHCP server's to give.
    pub(crate) subnets: Vec<Planned>,
    /// Whether the plugin that makes names known is installed.
    pub(crate) names: bool,
    pub(crate) created: SystemTime,
}

/// The list. Podman 4's libcni knows no version after 1.0.0; newer ones take the greatest of `cniVersions`.
pub(crate) fn conflist(wanted: &Wanted) -> Value {
    let mut plugins = vec![match wanted.driver {
        Driver::Bridge => bridge(wanted),
        Driver::Macvlan | Driver::Ipvlan => on_parent(wanted),
        Driver::Overlay => overlay(wanted),
    }];
    match wanted.driver {
        Driver::Bridge => plugins.extend(beside_bridge(wanted)),
        Driver::Overlay => plugins.extend(beside_overlay(wanted)),
        Driver::Macvlan | Driver::Ipvlan => {}
    }
    if wanted.names {
        plugins.push(names(wanted));
    }
    json!({
        "cniVersion": "1.0.0",
        "cniVersions": ["1.0.0", "1.1.0"],
        "name": wanted.name,
        "nerdctlID": wanted.id,
        "nerdctlLabels": wanted.labels,
        "args": {
            "podman_labels": wanted.labels,
            "podman_options": {},
            "ferrocni": {
                "created": humantime::format_rfc3339_seconds(wanted.created).to_string(),
                "options": wanted.written_options,
                "subnets": in_cluster(wanted),
                "internal": wanted.internal,
            },
        },
        "plugins": plugins,
    })
}

/// Those of a network whose addresses etcd has, and not this list.
fn in_cluster(wanted: &Wanted) -> Vec<String> {
    let subnets = wanted.subnets.iter().filter(|_| wanted.driver == Driver::Overlay);
    subnets.map(|planned| planned.subnet.to_string()).collect()
}

/// A bridge's name for a network, as Docker and nerdctl derive it.
pub(crate) fn bridge_name(id: &str) -> String {
    format!("br-{}", &id[..12])
}

fn bridge(wanted: &Wanted) -> Value {
    let name = wanted.options.bridge.as_ref().map_or_else(|| bridge_name(&wanted.id), ToString::to_string);
    let mut plugin = json!({
        "type": "bridge",
        "bridge": name,
        "isGateway": !wanted.internal,
        "ipMasq": !wanted.internal && wanted.options.masquerade,
        "hairpinMode": true,
        "capabilities": {"ips": true, "mac": true},
    });
    add(&mut plugin, "mtu", wanted.options.mtu.map(Into::into));
    add(&mut plugin, "vlan", wanted.options.vlan.map(Into::into));
    add(&mut plugin, "ipam", Some(ipam(wanted)));
    plugin
}

/// All else is in etcd.
fn overlay(wanted: &Wanted) -> Value {
    let mut capabilities = json!({"ips": true});
    add(&mut capabilities, "portMappings", (!wanted.internal).then_some(true.into()));
    let mut plugin = json!({"type": "overlay", "network": wanted.name, "capabilities": capabilities});
    add(&mut plugin, "ingress", wanted.options.ingress.then_some(true.into()));
    add(&mut plugin, "ipMasq", (!wanted.options.masquerade).then_some(false.into()));
    plugin
}

/// Hosts of the network are no strangers to one another, so that no port is closed to them. Where every host answers all ports, none is
/// left for one host.
fn beside_overlay(wanted: &Wanted) -> Vec<Value> {
    let portmap = json!({"type": "portmap", "capabilities": {"portMappings": true}});
    let firewall = json!({"type": "firewall"});
    if wanted.internal || wanted.options.ingress { vec![firewall] } else { vec![portmap, firewall] }
}

/// A macvlan or ipvlan interface on a link of the host.
fn on_parent(wanted: &Wanted) -> Value {
    let mut capabilities = json!({"ips": true});
    add(&mut capabilities, "mac", (wanted.driver == Driver::Macvlan).then_some(true.into()));
    let mut plugin = json!({"type": wanted.driver.as_str()});
    add(&mut plugin, "master", wanted.options.parent.as_ref().map(|parent| parent.as_str().into()));
    add(&mut plugin, "mode", wanted.options.mode.clone().map(Into::into));
    add(&mut plugin, "mtu", wanted.options.mtu.map(Into::into));
    add(&mut plugin, "capabilities", Some(capabilities));
    add(&mut plugin, "ipam", Some(ipam(wanted)));
    plugin
}

/// Ports to publish, and the host's firewall: a network without a way out has neither to publish nor to protect.
fn beside_bridge(wanted: &Wanted) -> Vec<Value> {
    let policy = if wanted.options.icc { "same-bridge" } else { "isolated" };
    let unpublished = if wanted.options.unpublished_ports || wanted.internal { "open" } else { "closed" };
    let portmap = json!({"type": "portmap", "capabilities": {"portMappings": true}});
    let firewall = json!({"type": "firewall", "ingressPolicy": policy, "unpublishedPorts": unpublished});
    if wanted.internal { vec![firewall] } else { vec![portmap, firewall] }
}

/// The domain is the one that Podman gives its networks. Runtimes that do not tell containers of a network's servers have some for
/// them, which are asked for what is not a container's name.
fn names(wanted: &Wanted) -> Value {
    let mut plugin = json!({"type": DNSNAME, "domainName": "dns.podman", "capabilities": {"aliases": true}});
    if wanted.options.intercept {
        plugin["intercept"] = true.into();
        plugin["capabilities"]["dns"] = true.into();
    }
    add(&mut plugin, "forward", wanted.internal.then_some(false.into()));
    plugin
}

fn ipam(wanted: &Wanted) -> Value {
    if wanted.subnets.is_empty() {
        return json!({"type": "dhcp"});
    }
    let sets: Vec<Value> = wanted.subnets.iter().map(|planned| range_set(planned, gateway(wanted, planned))).collect();
    let mut ipam = json!({"type": "host-local", "ranges": sets});
    if !wanted.internal && !wanted.options.no_default_route {
        let default = |subnet: &Planned| match Family::of(subnet.subnet.ip()) {
            Family::V4 => json!({"dst": "0.0.0.0/0"}),
            Family::V6 => json!({"dst": "::/0"}),
        };
        let mut routes: Vec<Value> = wanted.subnets.iter().map(default).collect();
        routes.dedup();
        add(&mut ipam, "routes", Some(routes.into()));
    }
    ipam
}

/// Written even where the plugins would choose the same, so that whoever reads the list knows it. A network without a way out
/// has a gateway only if it was named.
fn gateway(wanted: &Wanted, planned: &Planned) -> Option<IpAddr> {
    planned.gateway.or_else(|| if wanted.internal { None } else { planned.first() })
}

/// The ranges of a subnet: one, unless addresses of it are reserved.
fn range_set(planned: &Planned, gateway: Option<IpAddr>) -> Value {
    let whole = planned.range.is_none() && planned.reserved.is_empty();
    let range = |bounds: Option<(IpAddr, IpAddr)>| {
        let mut range = json!({"subnet": planned.subnet.to_string()});
        add(&mut range, "rangeStart", bounds.map(|(first, _)| json!(first)));
        add(&mut range, "rangeEnd", bounds.map(|(_, last)| json!(last)));
        add(&mut range, "gateway", gateway.map(|gateway| json!(gateway)));
        range
    };
    if whole { json!([range(None)]) } else { planned.ranges().into_iter().map(|bounds| range(Some(bounds))).collect() }
}

/// Adds a key, unless it has no value.
fn add(object: &mut Value, key: &str, value: Option<Value>) {
    if let (Some(keys), Some(value)) = (object.as_object_mut(), value) {
        keys.insert(key.to_owned(), value);
    }
}
