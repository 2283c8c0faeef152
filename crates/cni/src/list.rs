//! Networks as they are configured: `.conflist`, and `.conf` for those of one plugin.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::error::Error;
use crate::json::{self, Misfit};
use crate::name::{NetworkName, PluginType};
use crate::version::SpecVersion;

/// A network: the plugins that connect a container to it, one after the other.
///
/// ```
/// use cni::{NetworkList, SpecVersion};
/// use serde_json::json;
///
/// let list = NetworkList::from_json(&json!({
///     "name": "web", "cniVersion": "0.4.0", "cniVersions": ["1.0.0", "1.1.0"],
///     "plugins": [{"type": "bridge"}, {"type": "portmap", "capabilities": {"portMappings": true}}]
/// }))?;
/// assert_eq!((list.name.as_str(), list.version), ("web", SpecVersion::V1_1_0));
/// let [bridge, portmap] = &list.plugins[..] else { panic!("two plugins") };
/// assert!(portmap.declares("portMappings") && !bridge.declares("portMappings"));
/// # Ok::<(), cni::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct NetworkList {
    /// The list's `name`, which all its plugins get.
    pub name: NetworkName,
    /// The version to speak with its plugins: the greatest known one of `cniVersion` and `cniVersions`.
    pub version: SpecVersion,
    /// Whether the runtime must not run CHECK for this network (`disableCheck`).
    pub disable_check: bool,
    /// Whether the runtime must not run GC for this network (`disableGC`).
    pub disable_gc: bool,
    /// The list has all of its plugins: none is added from elsewhere, such as the folder of the network's name.
    pub load_only_inlined_plugins: bool,
    /// The plugins, in the order of ADD. There is at least one.
    pub plugins: Vec<PluginConfig>,
}

/// One entry of a network list's `plugins`.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct PluginConfig {
    /// The plugin's `type`, which is the program's file name.
    pub kind: PluginType,
    /// The plugin's keys as they are written, `type` among them.
    pub keys: Value,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct WrittenList {
    name: String,
    cni_version: String,
    cni_versions: Vec<String>,
    #[serde(deserialize_with = "flag")]
    disable_check: bool,
    #[serde(rename = "disableGC", deserialize_with = "flag")]
    disable_gc: bool,
    #[serde(deserialize_with = "flag")]
    load_only_inlined_plugins: bool,
}

#[derive(Deserialize)]
struct WrittenPlugin {
    r#type: PluginType,
}

/// libcni takes them in quotation marks as well.
fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected true or false")]
    enum Written {
        Flag(bool),
        Word(String),
    }
    match Written::deserialize(deserializer)? {
        Written::Flag(flag) => Ok(flag),
        Written::Word(word) => {
            word.to_ascii_lowercase().parse().map_err(|_| serde::de::Error::custom("expected true or false"))
        }
    }
}

impl NetworkList {
    /// Reads a list, or the configuration of a single plugin, which is a list of one.
    ///
    /// # Errors
    /// Code 7 for what cannot be right, code 1 if none of its versions is known.
    pub fn from_json(value: &Value) -> Result<Self, Error> {
        let mut keys = value.clone();
        let is_single = json::get(value, "plugins").is_none();
        if is_single { Self::read(value, vec![keys]) } else { Self::take_from(&mut keys) }
    }

    /// The same for who needs no more of it afterwards than the keys beside the list's plugins: those are taken out of the value.
    ///
    /// # Errors
    /// As [`NetworkList::from_json`]; also if there is no list.
    pub fn take_from(value: &mut Value) -> Result<Self, Error> {
        let plugins = value.as_object_mut().and_then(|keys| json::get_in_mut(keys, "plugins")).map(Value::take);
        let Some(Value::Array(plugins)) = plugins else {
            return Err(Error::config("\"plugins\" is no array"));
        };
        if let Some(keys) = value.as_object_mut() {
            keys.retain(|key, _| !key.eq_ignore_ascii_case("plugins"));
        }
        Self::read(value, plugins)
    }

    fn read(keys: &Value, plugins: Vec<Value>) -> Result<Self, Error> {
        let written: WrittenList = json::from_value(keys).map_err(|misfit| invalid(&misfit))?;
        if written.name.is_empty() {
            return Err(Error::config("the network has no \"name\""));
        }
        if plugins.is_empty() {
            return Err(Error::config(format!("network {} has no plugins", written.name)));
        }
        Ok(Self {
            version: written.version()?,
            name: NetworkName::new(written.name.as_str())?,
            disable_check: written.disable_check,
            disable_gc: written.disable_gc,
            load_only_inlined_plugins: written.load_only_inlined_plugins,
            plugins: plugins.into_iter().map(PluginConfig::from_json).collect::<Result<_, _>>()?,
        })
    }
}

impl WrittenList {
    /// Those that are not known here are for others.
    fn version(&self) -> Result<SpecVersion, Error> {
        let known = |text: &str| SpecVersion::negotiate(text, SpecVersion::ALL);
        let greatest = self.cni_versions.iter().filter_map(|text| known(text).ok()).max();
        match (known(&self.cni_version), greatest) {
            (Ok(one), greatest) => Ok(greatest.map_or(one, |greatest| greatest.max(one))),
            (Err(_), Some(greatest)) => Ok(greatest),
            (unknown, None) => unknown,
        }
    }
}

impl PluginConfig {
    fn from_json(keys: Value) -> Result<Self, Error> {
        let WrittenPlugin { r#type: kind } = json::from_value(&keys).map_err(|misfit| invalid(&misfit))?;
        Ok(Self { kind, keys })
    }

    /// Whether the plugin takes that argument of the runtime's (`capabilities`).
    #[must_use]
    pub fn declares(&self, capability: &str) -> bool {
        json::get(&self.keys, "capabilities").and_then(|declared| declared.get(capability)) == Some(&Value::Bool(true))
    }
}

fn invalid(misfit: &Misfit) -> Error {
    Error::config("the network's configuration is not valid").with_details(misfit.to_string())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::error::Code;
    use serde_json::json;

    fn list(keys: &Value) -> Result<NetworkList, Error> {
        let mut list = json!({"name": "n", "cniVersion": "1.0.0", "plugins": [{"type": "bridge", "mtu": 1400}]});
        list.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
        NetworkList::from_json(&list)
    }

    #[test]
    fn a_plugin_alone_is_a_list_of_one() {
        let keys = json!({"name": "n", "cniVersion": "0.3.1", "type": "bridge", "mtu": 1400});
        let list = NetworkList::from_json(&keys).unwrap();
        assert_eq!((list.plugins.len(), list.version), (1, SpecVersion::V0_3_1));
        assert_eq!((list.plugins[0].kind.as_str(), &list.plugins[0].keys), ("bridge", &keys));
    }

    #[test]
    fn the_greatest_known_version_counts() {
        let version = |one: &str, others: &Value| list(&json!({"cniVersion": one, "cniVersions": others}));
        for (one, others, expected) in [
            ("1.0.0", json!([]), SpecVersion::V1_0_0),
            ("0.4.0", json!(["0.3.0", "1.0.0", "7.0.0"]), SpecVersion::V1_0_0),
            ("1.1.0", json!(["1.0.0"]), SpecVersion::V1_1_0),
            ("7.0.0", json!(["1.0.0"]), SpecVersion::V1_0_0),
            ("", json!(null), SpecVersion::V0_1_0),
        ] {
            assert_eq!(version(one, &others).unwrap().version, expected, "{one:?} {others}");
        }
        assert_eq!(version("7.0.0", &json!(["8.0.0"])).unwrap_err().code(), Code::IncompatibleVersion);
    }

    #[test]
    fn a_flag_may_be_a_word() {
        for (flag, expected) in
            [(json!(true), true), (json!("True"), true), (json!("false"), false), (json!(null), false)]
        {
            let list = list(&json!({"disableCheck": flag, "disableGC": flag, "loadOnlyInlinedPlugins": flag})).unwrap();
            let flags = [list.disable_check, list.disable_gc, list.load_only_inlined_plugins];
            assert_eq!(flags, [expected; 3], "{flag}");
        }
        for wrong in [json!("yes"), json!(1)] {
            let error = list(&json!({"disableGC": wrong})).unwrap_err();
            assert_eq!(error.details(), "disableGC: expected true or false");
        }
    }

    #[test]
    fn what_cannot_be_run_is_no_list() {
        for wrong in [
            json!({"name": ""}),
            json!({"name": "../n"}),
            json!({"plugins": []}),
            json!({"plugins": {}}),
            json!({"plugins": [{"mtu": 1400}]}),
            json!({"plugins": [{"type": "/bin/sh"}]}),
        ] {
            assert_eq!(list(&wrong).unwrap_err().code(), Code::InvalidConfig, "{wrong}");
        }
    }
}
