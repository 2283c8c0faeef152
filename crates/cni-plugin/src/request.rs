//! What a runtime asks: the environment and the configuration, validated before a plugin sees them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::args::Args;
use crate::delegate::{self, Delegate, Sibling};
use crate::error::{Code, Error, Failures};
use crate::json;
use crate::name::{Attachment, ContainerId, IfName, InvalidName, NetworkName, PluginType};
use crate::result::AddResult;
use crate::version::SpecVersion;

/// The operations of the specification that change or read something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // each variant is the operation it names
pub enum Verb {
    Add,
    Del,
    Check,
    Gc,
    Status,
}

impl Verb {
    /// As it stands in `CNI_COMMAND`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Add => "ADD",
            Self::Del => "DEL",
            Self::Check => "CHECK",
            Self::Gc => "GC",
            Self::Status => "STATUS",
        }
    }

    /// The first spec version that has the verb.
    fn since(self) -> SpecVersion {
        match self {
            Self::Add | Self::Del => SpecVersion::V0_1_0,
            Self::Check => SpecVersion::V0_4_0,
            Self::Gc | Self::Status => SpecVersion::V1_1_0,
        }
    }

    /// The environment variables without which the verb cannot be carried out (spec, "Parameters").
    fn required(self) -> &'static [&'static str] {
        match self {
            Self::Add | Self::Check => &["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_PATH"],
            Self::Del => &["CNI_CONTAINERID", "CNI_IFNAME", "CNI_PATH"],
            Self::Gc | Self::Status => &["CNI_PATH"],
        }
    }
}

/// A network as configured: what ADD, DEL, CHECK, GC and STATUS have in common.
#[derive(Debug, Clone)]
pub struct Network<C> {
    /// Its name.
    pub name: NetworkName,
    /// The spec version of the configuration, and so of the answer.
    pub version: SpecVersion,
    /// The plugin's own keys.
    pub config: C,
    /// What the plugins before this one in the chain, or the ADD before this CHECK or DEL, reported.
    pub prev_result: Option<AddResult>,
    /// `CNI_ARGS`.
    pub args: Args,
    /// The call as received, for delegated plugins.
    pub(crate) call: Call,
}

impl<C> Network<C> {
    /// The result of the plugin before this one in the chain, for a plugin that cannot stand alone.
    ///
    /// # Errors
    /// Code 7 if there is none.
    pub fn chained_on(&self) -> Result<&AddResult, Error> {
        self.prev_result.as_ref().ok_or_else(|| {
            Error::config(format!("network {} has no result of a previous plugin (prevResult)", self.name))
                .with_details(
                    "this plugin is chained: put it after an interface plugin, such as bridge, in a .conflist",
                )
        })
    }

    /// Says on stderr, which runtimes keep, what is no reason to fail.
    pub fn note(&self, message: &str) {
        let kind = self.call.own_type().unwrap_or_default();
        eprintln!("{kind}: network {}: {message}", self.name);
    }

    /// Notes that a key has no effect, if the configuration has it: the reference suite ignores it there, so that somebody
    /// may have it who never noticed.
    pub fn note_inert_key(&self, key: &str, instead: &str) {
        if json::get(&self.call.raw, key).is_some() {
            self.note(&format!("\"{key}\" has no effect here, as in the reference suite: {instead}"));
        }
    }

    /// The configuration byte by byte as it was received, for what is lost when it is read: the first of two values of a
    /// key. Empty if another plugin made it up for this one.
    #[must_use]
    pub fn text(&self) -> &[u8] {
        &self.call.text
    }

    /// The directories of `CNI_PATH`.
    pub fn path(&self) -> impl Iterator<Item = &Path> {
        self.call.path.split(':').filter(|dir| !dir.is_empty()).map(Path::new)
    }

    /// The plugin that gives this network's addresses; `None` if its configuration has no `ipam`.
    ///
    /// # Errors
    /// Code 7 if `ipam.type` is not an IPAM plugin's name; also if no such plugin is in `CNI_PATH`, or 50 when STATUS asks.
    pub fn ipam<'a>(&'a self, siblings: &'a [Sibling]) -> Result<Option<Delegate<'a>>, Error> {
        let Some(kind) = self.call.ipam_type()? else { return Ok(None) };
        // What calls an IPAM plugin is none itself, whatever it is called.
        let is_caller = self.call.own_type().is_some_and(|own| own == kind.as_str());
        if is_caller || siblings.iter().any(|sibling| sibling.is_no_ipam(&kind)) {
            return Err(Error::config(format!("\"ipam\": {{\"type\": {:?}}} is no IPAM plugin", kind.as_str()))
                .with_details("name one that gives addresses, such as host-local, static or dhcp"));
        }
        Delegate::find(kind, self.call.clone(), self.path(), siblings).map(Some)
    }

    /// The same for a plugin that is of no use without addresses.
    ///
    /// # Errors
    /// As [`Network::ipam`]; code 7 also if the configuration has no `ipam`.
    pub fn required_ipam<'a>(&'a self, siblings: &'a [Sibling]) -> Result<Delegate<'a>, Error> {
        self.ipam(siblings)?.ok_or_else(|| {
            Error::config(format!("network {} has no \"ipam\"", self.name)).with_details(
                "this plugin's interfaces need addresses: add \"ipam\": {\"type\": …} with a plugin such as host-local",
            )
        })
    }

    /// Has the IPAM plugin, if the network has one, do what this plugin is called for: DEL, CHECK, GC or STATUS.
    ///
    /// # Errors
    /// As [`Network::ipam`], and the IPAM plugin's own.
    pub fn forward_to_ipam(&self, siblings: &[Sibling]) -> Result<(), Error> {
        self.ipam(siblings)?.map_or(Ok(()), |ipam| ipam.forward())
    }

    /// DEL: deletes the interface, by `delete`, and has the IPAM plugin, if the network has one, release its addresses.
    /// Failures are noted in `failures`.
    ///
    /// The interface goes first, for once an address is released it may be somebody else's: as long as anything that has to do
    /// with it could not be removed, it is kept. Only where the interface is needed to release the address does that come
    /// first.
    pub fn delete_and_release<E: Into<Error>>(
        &self,
        siblings: &[Sibling],
        failures: &mut Failures,
        delete: impl FnOnce() -> Result<(), E>,
    ) {
        let ipam = failures.note(self.ipam(siblings)).flatten();
        let (first, last) = match ipam {
            Some(ipam) if ipam.needs_interface() => (Some(ipam), None),
            other => (None, other),
        };
        if let Some(ipam) = first {
            failures.note(ipam.forward());
        }
        failures.note(delete());
        if let Some(ipam) = last.filter(|_| failures.is_empty()) {
            failures.note(ipam.forward());
        }
    }

    /// Another plugin, to be called with a configuration of its own: the same environment and verb, `config` on stdin.
    ///
    /// # Errors
    /// As [`Network::ipam`].
    pub fn delegate<'a>(
        &'a self,
        kind: PluginType,
        config: Value,
        siblings: &'a [Sibling],
    ) -> Result<Delegate<'a>, Error> {
        let call = Call { raw: config, text: Arc::default(), ..self.call.clone() };
        Delegate::find(kind, call, self.path(), siblings)
    }
}

/// ADD: connect the container.
#[derive(Debug)]
pub struct Add<C> {
    /// The network to connect to.
    pub network: Network<C>,
    /// Whose interface it will be.
    pub attachment: Attachment,
    /// The path of the container's network namespace.
    pub netns: PathBuf,
}

/// DEL: take back what ADD did, as far as it is still there.
#[derive(Debug)]
pub struct Del<C> {
    /// The network to disconnect from.
    pub network: Network<C>,
    /// Whose interface it is.
    pub attachment: Attachment,
    /// The path of the container's network namespace; `None` if it is already gone.
    pub netns: Option<PathBuf>,
}

/// CHECK: is everything still as ADD left it?
#[derive(Debug)]
pub struct Check<C> {
    /// The network.
    pub network: Network<C>,
    /// Whose interface it is.
    pub attachment: Attachment,
    /// The path of the container's network namespace.
    pub netns: PathBuf,
    /// What ADD reported, by which CHECK judges.
    pub expected: AddResult,
}

/// GC: remove what belongs to attachments that no longer exist.
#[derive(Debug)]
pub struct Gc<C> {
    /// The network to clean.
    pub network: Network<C>,
    /// The attachments that are to stay (`cni.dev/valid-attachments`).
    pub valid: Vec<Attachment>,
}

impl<C> Gc<C> {
    /// Whether something labelled like this is to go: it belongs to this network, and to none of the valid attachments.
    #[must_use]
    pub fn is_stale(&self, label: &str) -> bool {
        Attachment::from_label(label)
            .is_some_and(|attachment| attachment.network == self.network.name && !self.valid.contains(&attachment))
    }
}

/// STATUS: would an ADD succeed now?
#[derive(Debug)]
pub struct Status<C> {
    /// The network.
    pub network: Network<C>,
}

/// The environment of a call, and its configuration, before they become a typed request.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) verb: Verb,
    pub(crate) container: String,
    pub(crate) netns: String,
    pub(crate) ifname: String,
    pub(crate) args: String,
    pub(crate) path: String,
    /// How many plugins have called one another before this one.
    pub(crate) depth: usize,
    pub(crate) raw: Value,
    /// `raw` as it was read.
    pub(crate) text: Arc<[u8]>,
}

/// The key with GC's list.
const VALID_ATTACHMENTS: &str = "cni.dev/valid-attachments";
/// The same under the name that libcni 1.2 wrote by mistake and still writes beside the right one.
const ATTACHMENTS: &str = "cni.dev/attachments";

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ProtocolKeys {
    cni_version: String,
    name: String,
    r#type: Option<PluginType>,
    #[serde(rename = "cni.dev/valid-attachments")]
    valid_attachments: Option<Vec<ValidAttachment>>,
    #[serde(rename = "cni.dev/attachments")]
    attachments: Option<Vec<ValidAttachment>>,
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

impl Call {
    /// Reads the environment of this process; the configuration follows from stdin.
    pub(crate) fn from_env(verb: Verb, variable: impl Fn(&str) -> String) -> Result<Self, Error> {
        let missing: Vec<_> = verb.required().iter().copied().filter(|name| variable(name).is_empty()).collect();
        if !missing.is_empty() {
            return Err(Error::new(
                Code::InvalidEnvironment,
                format!("environment variables required for {} are missing: {}", verb.as_str(), missing.join(", ")),
            )
            .with_details("a container runtime sets them; by hand, use cnitool or see the plugin's README"));
        }
        Ok(Self {
            verb,
            container: variable("CNI_CONTAINERID"),
            netns: variable("CNI_NETNS"),
            ifname: variable("CNI_IFNAME"),
            args: variable("CNI_ARGS"),
            path: variable("CNI_PATH"),
            depth: variable(delegate::DEPTH).parse().unwrap_or_default(),
            raw: Value::Null,
            text: Arc::default(),
        })
    }

    /// The configuration's version, if it can be told: errors are written in it.
    pub(crate) fn version_text(&self) -> Option<&str> {
        json::get(&self.raw, "cniVersion").and_then(Value::as_str).filter(|text| !text.is_empty())
    }

    /// The plugin that the configuration is for.
    fn own_type(&self) -> Option<&str> {
        json::get(&self.raw, "type").and_then(Value::as_str)
    }

    fn ipam_type(&self) -> Result<Option<PluginType>, Error> {
        let keys: IpamKey = decode(&self.raw)?;
        let kind = keys.ipam.and_then(|ipam| ipam.r#type).filter(|kind| !kind.is_empty());
        kind.map(PluginType::new).transpose().map_err(|error| {
            Error::from(error).with_details("\"ipam\": {\"type\": …} names a plugin such as host-local")
        })
    }

    fn attachment(&self, network: &NetworkName) -> Result<Attachment, Error> {
        let environment = |error: InvalidName| Error::new(Code::InvalidEnvironment, error.to_string());
        Ok(Attachment {
            network: network.clone(),
            container: ContainerId::new(self.container.as_str()).map_err(environment)?,
            ifname: IfName::new(self.ifname.as_str()).map_err(environment)?,
        })
    }

    fn network<C: DeserializeOwned + Default>(
        &self,
        supported: &[SpecVersion],
    ) -> Result<(Network<C>, ProtocolKeys), Error> {
        let keys: ProtocolKeys = decode(&self.raw)?;
        let version = SpecVersion::negotiate(&keys.cni_version, supported)?;
        if version < self.verb.since() {
            return Err(Error::new(
                Code::IncompatibleVersion,
                format!(
                    "{} needs CNI version {} or later, the configuration has {version}",
                    self.verb.as_str(),
                    self.verb.since()
                ),
            ));
        }
        if keys.name.is_empty() {
            return Err(Error::config("the network configuration has no \"name\""));
        }
        let name = NetworkName::new(keys.name.as_str())?;
        let prev_result = self.prev_result(version)?;
        let network = Network {
            name,
            version,
            config: self.config()?,
            prev_result,
            args: Args::new(self.args.as_str()),
            call: self.clone(),
        };
        Ok((network, keys))
    }

    /// The result of before. A DEL can do without one, and must not fail over one that cannot be read: nobody could ever
    /// delete the container then.
    fn prev_result(&self, version: SpecVersion) -> Result<Option<AddResult>, Error> {
        let read = |value| AddResult::from_json(value, version).map_err(|error| error.within("prevResult"));
        match (self.verb, json::get(&self.raw, "prevResult").map(read).transpose()) {
            (Verb::Del, Err(_)) => Ok(None),
            (_, result) => result,
        }
    }

    /// The same, where it is only looked at: nothing, if it cannot be read.
    pub(crate) fn result_before(&self) -> Option<AddResult> {
        AddResult::from_json(json::get(&self.raw, "prevResult")?, SpecVersion::LATEST).ok()
    }

    /// The plugin's own keys. A DEL or GC must not fail over one that does not fit, and that it most likely does not need: a
    /// runtime would stop there, and the plugins before this one in the chain would never be asked to clean up. Nor may
    /// the other keys be lost over it: the ADD may have been before somebody spoilt the configuration, and they say where its
    /// traces are.
    fn config<C: DeserializeOwned + Default>(&self) -> Result<C, Error> {
        match (self.verb, decode(&self.raw)) {
            (Verb::Del | Verb::Gc, Err(_)) => Ok(json::fitting_from_value(&self.raw).unwrap_or_default()),
            (_, config) => config,
        }
    }

    pub(crate) fn add<C: DeserializeOwned + Default>(&self, supported: &[SpecVersion]) -> Result<Add<C>, Error> {
        let (network, _) = self.network(supported)?;
        let attachment = self.attachment(&network.name)?;
        attachment.check_label()?;
        Ok(Add { network, attachment, netns: PathBuf::from(&self.netns) })
    }

    pub(crate) fn del<C: DeserializeOwned + Default>(&self, supported: &[SpecVersion]) -> Result<Del<C>, Error> {
        let (network, _) = self.network(supported)?;
        let attachment = self.attachment(&network.name)?;
        let netns = (!self.netns.is_empty()).then(|| PathBuf::from(&self.netns));
        Ok(Del { network, attachment, netns })
    }

    pub(crate) fn check<C: DeserializeOwned + Default>(&self, supported: &[SpecVersion]) -> Result<Check<C>, Error> {
        let (network, _) = self.network::<C>(supported)?;
        let attachment = self.attachment(&network.name)?;
        let expected = network
            .prev_result
            .clone()
            .ok_or_else(|| Error::config("CHECK needs prevResult, the result of the container's ADD"))?;
        Ok(Check { network, attachment, netns: PathBuf::from(&self.netns), expected })
    }

    /// `None` if the runtime did not say what is to stay: then nothing is to go.
    pub(crate) fn gc<C: DeserializeOwned + Default>(&self, supported: &[SpecVersion]) -> Result<Option<Gc<C>>, Error> {
        let (network, keys) = self.network::<C>(supported)?;
        let Some(listed) = keys.valid_attachments.or(keys.attachments).or_else(|| self.empty_list()) else {
            return Ok(None);
        };
        let valid = listed
            .into_iter()
            .map(|entry| Attachment { network: network.name.clone(), container: entry.container, ifname: entry.ifname })
            .collect();
        Ok(Some(Gc { network, valid }))
    }

    /// libcni writes Go's empty list as `null`. CRI-O, for one, calls GC so for a network that has no pod, which is when there
    /// is most to collect.
    fn empty_list(&self) -> Option<Vec<ValidAttachment>> {
        [VALID_ATTACHMENTS, ATTACHMENTS].iter().any(|key| json::has_key(&self.raw, key)).then(Vec::new)
    }

    pub(crate) fn status<C: DeserializeOwned + Default>(&self, supported: &[SpecVersion]) -> Result<Status<C>, Error> {
        Ok(Status { network: self.network(supported)?.0 })
    }
}

fn decode<T: DeserializeOwned>(value: &Value) -> Result<T, Error> {
    json::from_value(value)
        .map_err(|misfit| Error::config("the network configuration is not valid").with_details(misfit.to_string()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    #[derive(Debug, Default, Deserialize)]
    #[serde(default)]
    struct Config {
        mtu: u32,
        bridge: String,
    }

    fn call(verb: Verb, raw: Value) -> Call {
        let variable = |name: &str| if name == "CNI_IFNAME" { "eth0".to_owned() } else { "c".to_owned() };
        Call { raw, ..Call::from_env(verb, variable).unwrap() }
    }

    #[test]
    fn a_del_works_with_keys_that_an_add_refuses() {
        let raw = json!({"cniVersion": "1.0.0", "name": "n", "mtu": "big", "bridge": "br0"});
        let error = call(Verb::Add, raw.clone()).add::<Config>(SpecVersion::ALL).unwrap_err();
        assert!(error.details().starts_with("mtu: "), "{error}");
        let del = call(Verb::Del, raw).del::<Config>(SpecVersion::ALL).unwrap();
        assert_eq!((del.network.config.mtu, del.network.config.bridge.as_str()), (0, "br0"));
        assert!(
            call(Verb::Del, json!({"mtu": 1})).del::<Config>(SpecVersion::ALL).is_err(),
            "a name is needed all the same"
        );
    }

    #[test]
    fn a_del_works_with_a_result_that_cannot_be_read() {
        let raw = json!({"cniVersion": "1.0.0", "name": "n", "prevResult": {"ips": [{"address": "10.1.0.2"}]}});
        let error = call(Verb::Add, raw.clone()).add::<Config>(SpecVersion::ALL).unwrap_err();
        assert!(error.msg().starts_with("prevResult: "), "{error}");
        assert_eq!(call(Verb::Del, raw).del::<Config>(SpecVersion::ALL).unwrap().network.prev_result, None);
    }

    #[test]
    fn only_who_requires_an_ipam_plugin_misses_it() {
        let raw = json!({"cniVersion": "1.0.0", "name": "n", "ipam": {}});
        let network = call(Verb::Del, raw).del::<Config>(SpecVersion::ALL).unwrap().network;
        assert!(network.forward_to_ipam(&[]).is_ok());
        let error = network.required_ipam(&[]).unwrap_err();
        assert!(error.code() == Code::InvalidConfig && error.msg().contains("\"ipam\""), "{error}");
    }

    #[test]
    fn gc_keeps_what_is_listed_and_without_a_list_everything() {
        let gc = |keys: Value| {
            let mut raw = json!({"cniVersion": "1.1.0", "name": "n"});
            raw.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
            call(Verb::Gc, raw).gc::<Config>(SpecVersion::ALL).unwrap()
        };
        assert!(gc(json!({})).is_none());
        let label = |gc: &Gc<Config>, container: &str| gc.is_stale(&format!("ferrocni:n/{container}/eth0"));
        for key in [VALID_ATTACHMENTS, ATTACHMENTS] {
            for empty in [json!([]), json!(null)] {
                assert!(label(&gc(json!({key: empty})).unwrap(), "c"), "{key}: {empty}");
            }
            let gc = gc(json!({key: [{"containerID": "c", "ifname": "eth0"}]})).unwrap();
            assert!(!label(&gc, "c") && label(&gc, "d"), "{key}");
            assert!(!gc.is_stale("ferrocni:m/d/eth0"), "another network's");
            assert!(!gc.is_stale("somebody else's"));
        }
        let null_and_list = json!({VALID_ATTACHMENTS: null, ATTACHMENTS: [{"containerID": "c", "ifname": "eth0"}]});
        assert!(!label(&gc(null_and_list).unwrap(), "c"));
    }
}
