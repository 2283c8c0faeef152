//! What is attached to networks.

use std::path::PathBuf;

use cni::{AddResult, Attachment, ContainerId, IfName, InvalidName, NetworkName, PluginConfig, SpecVersion, Verb};
use serde_json::{Map, Value};

use crate::network::Network;
use crate::outcome;
use crate::request::Request;

/// A container's side of an attachment: its interface, and what the plugins are told about it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Endpoint {
    /// The container's id.
    pub container: ContainerId,
    /// The interface's name inside the container.
    pub ifname: IfName,
    /// The path of the container's network namespace. ADD and CHECK need it; it may be gone when DEL is called.
    pub netns: Option<PathBuf>,
    /// `CNI_ARGS`, in order: each plugin gets all of them.
    pub args: Vec<(String, String)>,
    /// Capability arguments, such as `portMappings`: each plugin gets those whose names it declares in its `capabilities`.
    pub capability_args: Map<String, Value>,
}

impl Endpoint {
    /// An interface of a container whose namespace is not known.
    ///
    /// # Errors
    /// The first name that is not valid.
    pub fn new(container: &str, ifname: &str) -> Result<Self, InvalidName> {
        Ok(Self::of(ContainerId::new(container)?, IfName::new(ifname)?))
    }

    pub(crate) fn of(container: ContainerId, ifname: IfName) -> Self {
        Self { container, ifname, netns: None, args: Vec::new(), capability_args: Map::new() }
    }

    /// The same in the network namespace at that path.
    #[must_use]
    pub fn in_netns(self, path: impl Into<PathBuf>) -> Self {
        Self { netns: Some(path.into()), ..self }
    }

    /// The same with one more pair in `CNI_ARGS`.
    #[must_use]
    pub fn with_arg(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.args.push((key.into(), value.into()));
        self
    }

    /// The same with that capability argument.
    #[must_use]
    pub fn with_capability_arg(mut self, name: impl Into<String>, value: Value) -> Self {
        self.capability_args.insert(name.into(), value);
        self
    }

    /// What a plugin of the network reads when the verb is about this endpoint, for programs that have the plugin linked. `before` is
    /// the result of the plugins before it, or of ADD.
    ///
    /// # Errors
    /// The result cannot be said in the network's version.
    pub fn config(
        &self,
        network: &Network,
        plugin: &PluginConfig,
        verb: Verb,
        before: Option<&Value>,
    ) -> Result<Value, cni::Error> {
        let list = &network.list;
        let before = before.map(|result| outcome::in_version(result, list.version)).transpose()?;
        let keys = before.map(|result| ("prevResult", result)).into_iter().collect();
        Ok(Request { verb, list, plugin, endpoint: Some(self), keys }.value())
    }

    /// Of the capability arguments, those that the plugin takes (`runtimeConfig`).
    #[must_use]
    pub fn arguments_of(&self, plugin: &PluginConfig) -> Map<String, Value> {
        let taken = self.capability_args.iter().filter(|(name, _)| plugin.declares(name));
        taken.map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    /// What it is in that network.
    #[must_use]
    pub fn on(&self, network: &NetworkName) -> Attachment {
        Attachment { network: network.clone(), container: self.container.clone(), ifname: self.ifname.clone() }
    }
}

/// An endpoint on a network, as it was attached: what the cache keeps.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Attached {
    /// The network's name.
    pub network: NetworkName,
    /// The container's side. Runtimes with a libcni before 1.2 do not record the namespace: its path is the one in the
    /// result then.
    pub endpoint: Endpoint,
    /// The network's configuration at that time, in JSON. Only libcni before 0.8 records none.
    pub config: Option<String>,
    /// What the last plugin printed.
    pub result: Value,
}

impl Attached {
    /// What was attached by this list, in JSON, with this result.
    #[must_use]
    pub fn new(network: &Network, endpoint: Endpoint, result: Value) -> Self {
        Self { network: network.name().clone(), endpoint, config: Some(network.text().to_owned()), result }
    }

    /// Its primary key.
    #[must_use]
    pub fn attachment(&self) -> Attachment {
        self.endpoint.on(&self.network)
    }

    /// The network as it was configured at that time, to detach from: its file may have changed since. `None` if that is
    /// not recorded.
    ///
    /// # Errors
    /// What is recorded is no network.
    pub fn configured(&self) -> Result<Option<Network>, cni::Error> {
        self.config.as_deref().map(Network::from_text).transpose()
    }

    /// What a plugin of the network reads in a CHECK of this attachment, but for its result (`prevResult`): for programs that have the
    /// plugin linked.
    #[must_use]
    pub fn check_config(&self, network: &Network, plugin: &PluginConfig) -> Value {
        let (list, endpoint) = (&network.list, Some(&self.endpoint));
        Request { verb: Verb::Check, list, plugin, endpoint, keys: Vec::new() }.value()
    }

    /// The result's interfaces, addresses, routes and name servers.
    ///
    /// # Errors
    /// It is no result of a known version.
    pub fn parsed_result(&self) -> Result<AddResult, cni::Error> {
        AddResult::from_json(&self.result, SpecVersion::LATEST)
    }
}
