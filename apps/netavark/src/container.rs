//! What Podman says about a container: the input of `setup` and `teardown`.

use std::net::IpAddr;

use cni::json;
use podman_network::Options;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::error::Error;
use crate::ports::PortMapping;

/// A container with its networks.
#[derive(Debug, Deserialize)]
pub(crate) struct Container {
    #[serde(rename = "container_id")]
    pub(crate) id: String,
    #[serde(default, rename = "container_name")]
    pub(crate) name: String,
    #[serde(default, rename = "container_hostname")]
    pub(crate) hostname: String,
    #[serde(default, deserialize_with = "networks")]
    networks: Vec<(String, PerNetwork, Value)>,
    #[serde(default)]
    network_info: Map<String, Value>,
    #[serde(default)]
    pub(crate) port_mappings: Vec<PortMapping>,
    /// The container's own (`--dns`).
    #[serde(default)]
    pub(crate) dns_servers: Vec<IpAddr>,
}

/// What is asked of one network.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct PerNetwork {
    pub(crate) interface_name: String,
    #[serde(default)]
    pub(crate) aliases: Vec<String>,
    #[serde(default)]
    pub(crate) static_ips: Vec<IpAddr>,
    #[serde(default)]
    pub(crate) static_mac: String,
    #[serde(default)]
    pub(crate) options: Options,
}

/// A container's part of one network.
#[derive(Debug)]
pub(crate) struct Part<'a> {
    /// The network's name.
    pub(crate) name: &'a str,
    pub(crate) options: &'a PerNetwork,
    /// The same as they were written.
    pub(crate) written: &'a Value,
    /// The description of the network, as it was written.
    pub(crate) network: &'a Value,
}

impl Container {
    pub(crate) fn from_json(value: &Value, from: &str) -> Result<Self, Error> {
        json::from_value(value).map_err(|misfit| Error::Request { from: from.to_owned(), reason: misfit.to_string() })
    }

    /// Its networks, each with its description.
    pub(crate) fn parts(&self) -> Result<Vec<Part<'_>>, Error> {
        if self.networks.is_empty() {
            return Err(Error::NoNetworks);
        }
        let mut parts = Vec::with_capacity(self.networks.len());
        for (name, options, written) in &self.networks {
            let network = self.network_info.get(name).ok_or_else(|| Error::NotDescribed(name.clone()))?;
            parts.push(Part { name, options, written, network });
        }
        Ok(parts)
    }
}

/// An object, name to options, or an array of options with their networks' names.
fn networks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<(String, PerNetwork, Value)>, D::Error> {
    let read = |name: &str, written: &Value| match json::from_value(written) {
        Ok(options) => Ok((name.to_owned(), options, written.clone())),
        Err(misfit) => Err(D::Error::custom(format_args!("{name}: {misfit}"))),
    };
    match Value::deserialize(deserializer)? {
        Value::Object(networks) => networks.iter().map(|(name, written)| read(name, written)).collect(),
        Value::Array(networks) => {
            let name = |written| json::get(written, "name").and_then(Value::as_str).unwrap_or_default();
            networks.iter().map(|written| read(name(written), written)).collect()
        }
        _ => Err(D::Error::custom("expected an object, or an array of objects")),
    }
}

/// Whether a request is one for a driver, which connects a container to one network.
pub(crate) fn is_for_driver(request: &Value) -> bool {
    request.get("network_options").is_some()
}

/// The request for a driver in the form of the one with several networks.
pub(crate) fn of_driver(request: &Value) -> Value {
    let mut whole = request.clone();
    let name = request.pointer("/network/name").and_then(Value::as_str).unwrap_or_default();
    whole["networks"] = serde_json::json!({name: request["network_options"]});
    whole["network_info"] = serde_json::json!({name: request["network"]});
    whole
}

/// The inverse: what a program that is a driver reads.
pub(crate) fn for_driver(container: &Container, part: &Part<'_>) -> Value {
    serde_json::json!({
        "container_id": container.id,
        "container_name": container.name,
        "port_mappings": container.port_mappings,
        "network": part.network,
        "network_options": part.written,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn read(networks: &Value) -> Result<Container, Error> {
        let info = serde_json::json!({"a": {"name": "a"}, "b": {"name": "b"}});
        Container::from_json(
            &serde_json::json!({"container_id": "c", "networks": networks, "network_info": info}),
            "stdin",
        )
    }

    fn names(container: &Container) -> Vec<(&str, &str)> {
        container.parts().unwrap().iter().map(|part| (part.name, part.options.interface_name.as_str())).collect()
    }

    #[test]
    fn networks_are_an_object_or_an_array() {
        let object =
            serde_json::json!({"b": {"interface_name": "eth1"}, "a": {"interface_name": "eth0", "aliases": null}});
        assert_eq!(names(&read(&object).unwrap()), [("b", "eth1"), ("a", "eth0")]);
        let array =
            serde_json::json!([{"name": "b", "interface_name": "eth1"}, {"name": "a", "interface_name": "eth0"}]);
        assert_eq!(names(&read(&array).unwrap()), [("b", "eth1"), ("a", "eth0")]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let error = read(&serde_json::json!({"a": {"static_ips": ["10.1.0.2"]}})).unwrap_err().to_string();
        assert!(error.contains("a: ") && error.contains("interface_name"), "{error}");
        assert!(matches!(read(&serde_json::json!({})).unwrap().parts(), Err(Error::NoNetworks)));
        let unknown = read(&serde_json::json!({"x": {"interface_name": "eth0"}})).unwrap();
        assert!(unknown.parts().unwrap_err().to_string().contains("network x"));
    }

    #[test]
    fn a_drivers_request_is_that_of_one_network() {
        let options = serde_json::json!({"interface_name": "eth0", "more": 1});
        let request = serde_json::json!({"container_id": "c", "container_name": "", "port_mappings": [], "network": {"name": "a"}, "network_options": options});
        assert!(is_for_driver(&request));
        let container = Container::from_json(&of_driver(&request), "stdin").unwrap();
        assert_eq!(names(&container), [("a", "eth0")]);
        assert_eq!(for_driver(&container, &container.parts().unwrap()[0]), request);
    }
}
