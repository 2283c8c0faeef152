//! What a plugin is asked: its environment, and its configuration derived from the list (spec, "Deriving request configuration
//! from plugin configuration").

use std::ffi::OsStr;

use cni::{NetworkList, PluginConfig, Verb};
use serde_json::{Map, Value, json};

use crate::endpoint::Endpoint;

/// Keys with this beginning are the protocol's own.
const PROTOCOL: &str = "cni.dev/";

/// What one plugin of a list is asked.
#[derive(Debug, Clone)]
pub(crate) struct Request<'a> {
    pub(crate) verb: Verb,
    pub(crate) list: &'a NetworkList,
    pub(crate) plugin: &'a PluginConfig,
    /// `None`: the request is about the network.
    pub(crate) endpoint: Option<&'a Endpoint>,
    /// More keys for the plugin.
    pub(crate) keys: Vec<(&'static str, Value)>,
}

impl Request<'_> {
    /// What the plugin reads.
    pub(crate) fn config(&self) -> Vec<u8> {
        self.clone().value().to_string().into_bytes()
    }

    pub(crate) fn value(self) -> Value {
        let mut config = self.plugin.keys.as_object().cloned().unwrap_or_default();
        config.retain(|key, _| !key.starts_with(PROTOCOL));
        // It is the list's word to the runtime.
        remove(&mut config, "capabilities");
        replace(&mut config, "cniVersion", json!(self.list.version.as_str()));
        replace(&mut config, "name", json!(self.list.name));
        let arguments = self.endpoint.map(|endpoint| endpoint.arguments_of(self.plugin)).unwrap_or_default();
        if !arguments.is_empty() {
            replace(&mut config, "runtimeConfig", arguments.into());
        }
        for (key, value) in self.keys {
            replace(&mut config, key, value);
        }
        config.into()
    }
}

/// Go's plugins match keys without regard to case, and take the last.
fn replace(config: &mut Map<String, Value>, key: &str, value: Value) {
    remove(config, key);
    config.insert(key.to_owned(), value);
}

fn remove(config: &mut Map<String, Value>, key: &str) {
    config.retain(|name, _| !name.eq_ignore_ascii_case(key));
}

/// All of the protocol's variables: nothing is left to what this process was started with.
pub(crate) fn environment<'a>(
    command: &'a str,
    endpoint: [&'a OsStr; 3],
    args: &'a str,
    path: &'a OsStr,
) -> [(&'static str, &'a OsStr); 6] {
    let [container, ifname, netns] = endpoint;
    [
        ("CNI_COMMAND", command.as_ref()),
        ("CNI_CONTAINERID", container),
        ("CNI_IFNAME", ifname),
        ("CNI_NETNS", netns),
        ("CNI_ARGS", args.as_ref()),
        ("CNI_PATH", path),
    ]
}

/// `CNI_ARGS`.
pub(crate) fn args(endpoint: &Endpoint) -> String {
    let pairs: Vec<_> = endpoint.args.iter().map(|(key, value)| format!("{key}={value}")).collect();
    pairs.join(";")
}

/// The first pair that would not arrive as it is.
pub(crate) fn misread_arg(endpoint: &Endpoint) -> Option<&str> {
    let is_misread = |(key, value): &&(String, String)| {
        key.is_empty() || key.contains([';', '=', '\0']) || value.contains([';', '\0'])
    };
    endpoint.args.iter().find(is_misread).map(|(key, _)| key.as_str())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn config(plugin: &Value, endpoint: Option<&Endpoint>, keys: Vec<(&'static str, Value)>) -> Value {
        let list = json!({"name": "n", "cniVersion": "0.4.0", "cniVersions": ["1.0.0"], "plugins": [plugin]});
        let list = NetworkList::from_json(&list).unwrap();
        let request = Request { verb: Verb::Add, list: &list, plugin: &list.plugins[0], endpoint, keys };
        serde_json::from_slice(&request.config()).unwrap()
    }

    #[test]
    fn what_is_the_protocols_is_replaced() {
        let plugin = json!({
            "type": "one", "Name": "x", "cniversion": "0.1.0", "capabilities": {}, "cni.dev/x": 1, "PrevResult": 5,
            "args": {"cni": 1}, "runtimeConfig": {"mac": "x"}, "own": null
        });
        let expected = json!({
            "type": "one", "args": {"cni": 1}, "runtimeConfig": {"mac": "x"}, "own": null, "cniVersion": "1.0.0",
            "name": "n", "prevResult": {}
        });
        assert_eq!(config(&plugin, None, vec![("prevResult", json!({}))]), expected);
    }

    #[test]
    fn capabilities_are_those_declared_and_given() {
        let endpoint = Endpoint::new("c1", "eth0").unwrap();
        let endpoint =
            ["a", "b", "c"].iter().fold(endpoint, |so_far, name| so_far.with_capability_arg(*name, json!([name])));
        let plugin = json!({
            "type": "one", "Capabilities": {"a": true, "b": false, "d": true}, "RuntimeConfig": {"x": 1}
        });
        let config = config(&plugin, Some(&endpoint), Vec::new());
        assert_eq!(config["runtimeConfig"], json!({"a": ["a"]}));
        assert_eq!(config.get("RuntimeConfig"), None);
    }
}
