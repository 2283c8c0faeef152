//! What one container wants of the plugin that makes names known.

use std::net::IpAddr;

use ::names::{Link, Name};
use cni::json;
use cni_runtime::Network;
use serde::Serialize;
use serde_json::{Value, json};

use super::list::{plugins_mut, set};

/// The plugin.
pub(crate) const DNSNAME: &str = "dnsname";

/// What stands for this host, as the container sees it: its address is known once there is an interface.
pub(crate) const HOST_GATEWAY: &str = "host-gateway";

/// As keys of that plugin. They are in the list that the attachment is recorded with, so that whoever checks it, detaches it or
/// puts its rules back knows them as well.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct NameOptions {
    pub(crate) links: Vec<Link>,
    pub(crate) hosts: Vec<KnownHost>,
    /// The servers that are asked, from the container's namespace, for what is not known here.
    pub(crate) upstreams: Vec<IpAddr>,
    /// The container is answered whichever server it asks.
    pub(crate) intercept: bool,
}

/// A name that this container alone knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct KnownHost {
    pub(crate) name: Name,
    /// As text, because one may be [`HOST_GATEWAY`].
    pub(crate) addresses: Vec<String>,
}

impl NameOptions {
    /// The network with what the container wants. One without names stays as it is.
    ///
    /// # Errors
    /// The changed list is none.
    pub(crate) fn apply(&self, network: Network) -> Result<Network, cni::Error> {
        if *self == Self::default() {
            return Ok(network);
        }
        let mut list = network.json();
        let is_it = |plugin: &&mut Value| json::get(plugin, "type").is_some_and(|kind| kind == DNSNAME);
        plugins_mut(&mut list).filter(is_it).for_each(|plugin| self.write(plugin));
        Network::from_json(list)
    }

    fn write(&self, plugin: &mut Value) {
        extend(plugin, "links", json!(self.links));
        extend(plugin, "hosts", json!(self.hosts));
        // Those that the network names are what the container does not want.
        if !self.upstreams.is_empty() {
            set(plugin, "upstreams", json!(self.upstreams));
        }
        if self.intercept {
            set(plugin, "intercept", true.into());
        }
    }
}

/// Behind what the network has for all of its containers.
fn extend(plugin: &mut Value, key: &str, more: Value) {
    let Value::Array(more) = more else { return };
    let mut all = json::get(plugin, key).and_then(Value::as_array).cloned().unwrap_or_default();
    all.extend(more);
    if !all.is_empty() {
        set(plugin, key, all.into());
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn applied(options: &NameOptions, plugin: &Value) -> Value {
        let list = json!({"cniVersion": "1.0.0", "name": "web", "plugins": [{"type": "bridge"}, plugin]});
        let network = options.apply(Network::from_json(list).unwrap()).unwrap();
        assert_eq!(network.json()["plugins"][0], json!({"type": "bridge"}));
        network.json()["plugins"][1].clone()
    }

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    #[test]
    fn what_a_container_wants_becomes_keys_of_the_plugin() {
        let options = NameOptions {
            links: vec![Link { alias: name("sql"), container: "db".into() }],
            hosts: vec![KnownHost { name: name("me"), addresses: vec![HOST_GATEWAY.into()] }],
            upstreams: vec!["192.0.2.53".parse().unwrap(), "2001:db8::53".parse().unwrap()],
            intercept: true,
        };
        let plugin =
            json!({"type": "dnsname", "Hosts": [{"name": "api", "addresses": []}], "upstreams": ["192.0.2.1"]});
        let expected = json!({
            "type": "dnsname",
            "links": [{"alias": "sql", "container": "db"}],
            "hosts": [{"name": "api", "addresses": []}, {"name": "me", "addresses": ["host-gateway"]}],
            "upstreams": ["192.0.2.53", "2001:db8::53"],
            "intercept": true,
        });
        assert_eq!(applied(&options, &plugin), expected);
        assert_eq!(applied(&options, &json!({"type": "portmap"})), json!({"type": "portmap"}));
    }

    #[test]
    fn who_wants_nothing_changes_nothing() {
        let plugin = json!({"type": "dnsname", "upstreams": ["192.0.2.1"]});
        assert_eq!(applied(&NameOptions::default(), &plugin), plugin);
    }
}
