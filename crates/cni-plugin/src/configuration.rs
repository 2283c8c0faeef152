//! What stands on stdin: the protocol's keys and the plugin's own, in one JSON object.

use std::sync::Arc;

use cni::{AddResult, Attachment, Code, ContainerId, Error, IfName, NetworkName, PluginType, SpecVersion, Verb, json};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// A network's configuration as a plugin gets it. Its parts are shared, because each request keeps the call that it is of.
#[derive(Debug, Clone, Default)]
pub(crate) struct Configuration {
    pub(crate) value: Arc<Value>,
    /// The same as it was read, if it was text.
    pub(crate) text: Option<Arc<[u8]>>,
}

impl Configuration {
    /// The configuration's version, if it can be told: errors are written in it.
    pub(crate) fn version_text(&self) -> Option<&str> {
        json::get(&self.value, "cniVersion").and_then(Value::as_str).filter(|text| !text.is_empty())
    }

    /// The `type` in the configuration; `None` if it is missing or not text.
    pub(crate) fn own_type(&self) -> Option<&str> {
        json::get(&self.value, "type").and_then(Value::as_str)
    }

    pub(crate) fn ipam_type(&self) -> Result<Option<PluginType>, Error> {
        let keys: IpamKey = self.read()?;
        let kind = keys.ipam.and_then(|ipam| ipam.r#type).filter(|kind| !kind.is_empty());
        kind.map(PluginType::new).transpose().map_err(|error| {
            Error::from(error).with_details("\"ipam\": {\"type\": …} names a plugin such as host-local")
        })
    }

    pub(crate) fn protocol_keys(&self) -> Result<ProtocolKeys, Error> {
        let keys: ProtocolKeys = self.read()?;
        let has_list = [VALID, ATTACHMENTS].iter().any(|key| json::has_key(&self.value, key));
        Ok(ProtocolKeys { has_list, ..keys })
    }

    /// Adds attachments to those that GC is to keep. Where the runtime gave no list, nothing is to go, and there is none afterwards
    /// either.
    pub(crate) fn extend_valid(&mut self, kept: &[Attachment]) {
        if kept.is_empty() {
            return;
        }
        let entry = |kept: &Attachment| json!({"containerID": kept.container, "ifname": kept.ifname});
        let is_list = |key: &str| [VALID, ATTACHMENTS].iter().any(|known| known.eq_ignore_ascii_case(key));
        let keys = Arc::make_mut(&mut self.value).as_object_mut().into_iter().flatten();
        let mut lists: Vec<_> = keys.filter(|(key, _)| is_list(key)).map(|(_, list)| list).collect();
        // Of null and a list, the list counts.
        if !lists.iter().any(|list| list.is_array()) {
            lists.iter_mut().filter(|list| list.is_null()).for_each(|list| **list = json!([]));
        }
        lists.into_iter().filter_map(Value::as_array_mut).for_each(|list| list.extend(kept.iter().map(entry)));
    }

    /// The result of before. A DEL can do without one, and must not fail over one that cannot be read: it could never
    /// delete the container then.
    pub(crate) fn prev_result(&self, verb: Verb, version: SpecVersion) -> Result<Option<AddResult>, Error> {
        let read = |value| AddResult::from_json(value, version).map_err(|error| error.within("prevResult"));
        match (verb, json::get(&self.value, "prevResult").map(read).transpose()) {
            (Verb::Del, Err(_)) => Ok(None),
            (_, result) => result,
        }
    }

    /// The same, where it is only looked at: nothing, if it cannot be read.
    pub(crate) fn result_before(&self) -> Option<AddResult> {
        AddResult::from_json(json::get(&self.value, "prevResult")?, SpecVersion::LATEST).ok()
    }

    /// The plugin's own keys. A DEL or GC must not fail over one that does not fit, and that it most likely does not need: a
    /// runtime would stop there, and the plugins before this one in the chain would never be asked to clean up. Nor may
    /// the other keys be lost over it: the ADD may have been before the configuration was spoilt, and they say where its
    /// traces are.
    pub(crate) fn plugin_keys<C: DeserializeOwned + Default>(&self, verb: Verb) -> Result<C, Error> {
        match (verb, self.read()) {
            (Verb::Del | Verb::Gc, Err(_)) => Ok(json::fitting_from_value(&self.value).unwrap_or_default()),
            (_, config) => config,
        }
    }

    fn read<T: DeserializeOwned>(&self) -> Result<T, Error> {
        json::from_value(&self.value)
            .map_err(|misfit| Error::config("the network configuration is not valid").with_details(misfit.to_string()))
    }
}

/// The key with GC's list.
pub(crate) const VALID: &str = "cni.dev/valid-attachments";
/// The same under the name that libcni 1.2 wrote by mistake and still writes beside the right one.
pub(crate) const ATTACHMENTS: &str = "cni.dev/attachments";

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct ProtocolKeys {
    cni_version: String,
    name: String,
    /// It is only judged.
    #[serde(rename = "type")]
    _type: Option<PluginType>,
    #[serde(rename = "cni.dev/valid-attachments")]
    valid: Option<Vec<ValidAttachment>>,
    #[serde(rename = "cni.dev/attachments")]
    attachments: Option<Vec<ValidAttachment>>,
    /// Whether one of both keys is present, even with the value `null`.
    #[serde(skip)]
    has_list: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct IpamKey {
    ipam: Option<IpamType>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct IpamType {
    r#type: Option<String>,
}

#[derive(Deserialize)]
struct ValidAttachment {
    #[serde(rename = "containerID")]
    container: ContainerId,
    ifname: IfName,
}

impl ProtocolKeys {
    /// The version to answer in, which has to have the verb.
    pub(crate) fn version(&self, supported: &[SpecVersion], verb: Verb) -> Result<SpecVersion, Error> {
        let version = SpecVersion::negotiate(&self.cni_version, supported)?;
        if version < verb.since() {
            return Err(Error::new(
                Code::IncompatibleVersion,
                format!("{verb} needs CNI version {} or later, the configuration has {version}", verb.since()),
            ));
        }
        Ok(version)
    }

    pub(crate) fn name(&self) -> Result<NetworkName, Error> {
        if self.name.is_empty() {
            return Err(Error::config("the network configuration has no \"name\""));
        }
        Ok(NetworkName::new(self.name.as_str())?)
    }

    /// What is to stay, for GC. libcni writes Go's empty list as `null`. CRI-O, for one, calls GC so for a network that has no pod,
    /// which is when there is most to collect.
    pub(crate) fn valid_attachments(self, network: &NetworkName) -> Option<Vec<Attachment>> {
        let listed = self.valid.or(self.attachments).or_else(|| self.has_list.then(Vec::new))?;
        let attachment =
            |ValidAttachment { container, ifname }| Attachment { network: network.clone(), container, ifname };
        Some(listed.into_iter().map(attachment).collect())
    }
}
