//! Networks as lists of CNI plugins.

use serde_json::{Value, json};

use crate::{Endpoint, Error, Firewall, Network, Subnet};

/// The key of a list, among its `args`, that has the network's id: Podman does not derive it from the name.
pub const ID: &str = "podman_id";

/// The metric of a network's routes unless it says otherwise.
pub const METRIC: u32 = 100;

/// The domain of containers' names, as Podman has it.
const DOMAIN: &str = "dns.podman";

/// The version of the protocol that the lists speak.
const VERSION: &str = "1.1.0";

/// The list of these plugins, with what the description says besides.
#[must_use]
pub fn list(network: &Network, plugins: &[Value]) -> Value {
    let options: serde_json::Map<_, _> =
        network.options.iter().map(|(key, value)| (key.to_owned(), json!(value))).collect();
    json!({
        "cniVersion": VERSION,
        "name": network.name,
        "args": {
            "podman_labels": network.labels,
            "podman_options": options,
            ID: network.id,
            "ferrocni": {"created": network.created},
        },
        "plugins": plugins,
    })
}

impl Network {
    /// Its subnets as host-local has them.
    #[must_use]
    pub fn ranges(&self) -> Vec<Value> {
        self.subnets.iter().map(|subnet| json!([range(subnet)])).collect()
    }

    /// The list that shows what the network is, whoever is connected to it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn described(&self) -> Result<Value, Error> {
        let driver = self.driver()?;
        let driver_of_ipam = self.ipam_options.get("driver").map_or("host-local", String::as_str);
        let ipam = json!({"type": driver_of_ipam, "ranges": self.ranges()});
        let mut plugins = driver.plugins(self, &Endpoint { ipam, ..Endpoint::default() });
        if plugins.is_empty() {
            plugins.push(json!({"type": self.driver}));
        }
        Ok(list(self, &plugins))
    }
}

fn range(subnet: &Subnet) -> Value {
    let range = subnet.lease_range.clone().unwrap_or_default();
    let mut written = json!({"subnet": subnet.subnet.to_string()});
    for (key, address) in [("gateway", subnet.gateway), ("rangeStart", range.start_ip), ("rangeEnd", range.end_ip)] {
        if let Some(address) = address {
            written[key] = json!(address);
        }
    }
    written
}

/// An interface plugin with what all of them have.
pub(crate) fn interface(kind: &str, mut keys: Value, mtu: Option<u32>, endpoint: &Endpoint) -> Value {
    keys["type"] = json!(kind);
    keys["capabilities"] = json!({"mac": true});
    if let Some(mtu) = mtu.or(endpoint.mtu) {
        keys["mtu"] = json!(mtu);
    }
    if let Some(mac) = &endpoint.mac {
        keys["runtimeConfig"] = json!({"mac": mac});
    }
    if !endpoint.ipam.is_null() {
        keys["ipam"] = endpoint.ipam.clone();
    }
    keys
}

/// A plugin of any type: the network's options are its keys. Not all of them take their addresses from another plugin.
pub(crate) fn plugin(network: &Network, kind: &str, endpoint: &Endpoint) -> Vec<Value> {
    let read = |text: &str| serde_json::from_str(text).unwrap_or_else(|_| json!(text));
    let keys: serde_json::Map<_, _> = network.options.iter().map(|(key, text)| (key.to_owned(), read(text))).collect();
    let mut plugins = vec![interface(kind, keys.into(), None, endpoint)];
    plugins[0]["capabilities"] = json!({"mac": true, "ips": endpoint.ipam.is_null()});
    plugins.extend(behind(network, endpoint));
    plugins
}

pub(crate) fn ptp(network: &Network, mtu: Option<u32>, endpoint: &Endpoint) -> Vec<Value> {
    let masquerades = !network.internal && endpoint.firewall != Firewall::None;
    let keys = json!({"ipMasq": masquerades, "ipMasqBackend": endpoint.firewall.translation()});
    let mut plugins = vec![interface("ptp", keys, mtu, endpoint)];
    plugins.extend(behind(network, endpoint));
    plugins
}

/// What follows a link of the container's own in the list.
fn behind(network: &Network, endpoint: &Endpoint) -> Vec<Value> {
    if endpoint.firewall == Firewall::None {
        return Vec::new();
    }
    if network.internal {
        return vec![firewall(json!({"confinement": "network"}), endpoint.firewall)];
    }
    vec![firewall(json!({}), endpoint.firewall), portmap(endpoint.firewall)]
}

pub(crate) fn firewall(mut keys: Value, firewall: Firewall) -> Value {
    keys["type"] = json!("firewall");
    if let Some(backend) = firewall.backend() {
        keys["backend"] = json!(backend);
    }
    keys
}

pub(crate) fn portmap(firewall: Firewall) -> Value {
    json!({"type": "portmap", "backend": firewall.translation(), "capabilities": {"portMappings": true}})
}

pub(crate) fn dnsname(network: &Network, endpoint: &Endpoint) -> Value {
    json!({
        "type": "dnsname",
        "domainName": DOMAIN,
        "forward": !network.internal,
        "upstreams": network.network_dns_servers,
        "intercept": endpoint.intercept_names,
        "capabilities": {"aliases": true, "dns": true},
    })
}
