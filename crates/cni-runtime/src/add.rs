//! ADD.

use cni::{PluginConfig, Verb};
use serde_json::Value;

use crate::endpoint::{Attached, Endpoint};
use crate::error::Error;
use crate::network::Network;
use crate::outcome;
use crate::request::{Request, misread_arg};
use crate::runtime::{Runtime, require_netns};

impl Runtime {
    /// ADD: attaches a container to a network, by each plugin of its list in turn, and records that.
    ///
    /// If a plugin fails, or the record cannot be written, all is taken back: DEL is called for the plugins that were called, in
    /// reverse, also for the one that failed.
    ///
    /// # Errors
    /// [`Error::NotAdded`] with the cause, and with what could not be taken back. What is missing or cannot be right is told before
    /// anything is changed.
    pub fn add(&self, network: &Network, endpoint: &Endpoint) -> Result<Attached, Error> {
        self.prepare(network, endpoint)?;
        let mut result = None;
        for (i, plugin) in network.list.plugins.iter().enumerate() {
            match self.add_one(network, plugin, endpoint, result.as_ref()) {
                Ok(printed) => result = Some(printed),
                Err(error) => return Err(self.take_back(network, endpoint, i + 1, result.as_ref(), error)),
            }
        }
        let attached = Attached::new(network, endpoint.clone(), result.unwrap_or_default());
        let count = network.list.plugins.len();
        let recorded = self.cache.write(&attached);
        recorded.map_err(|error| self.take_back(network, endpoint, count, Some(&attached.result), error.into()))?;
        Ok(attached)
    }

    /// What would fail later fails now.
    fn prepare(&self, network: &Network, endpoint: &Endpoint) -> Result<(), Error> {
        require_netns(network, endpoint)?;
        if let Some(key) = misread_arg(endpoint) {
            return Err(Error::Arg { attachment: endpoint.on(network.name()), key: key.to_owned() });
        }
        for plugin in &network.list.plugins {
            self.find(&plugin.kind)?;
        }
        Ok(self.cache.admit(&endpoint.on(network.name()))?)
    }

    fn add_one(
        &self,
        network: &Network,
        plugin: &PluginConfig,
        endpoint: &Endpoint,
        before: Option<&Value>,
    ) -> Result<Value, Error> {
        let list = &network.list;
        let before = before.map(|result| outcome::in_version(result, list.version)).transpose();
        let before =
            before.map_err(|source| Error::Result { attachment: endpoint.on(&list.name), source: source.into() })?;
        let keys = before.map(|result| ("prevResult", result)).into_iter().collect();
        let printed = self.ask(&Request { verb: Verb::Add, list, plugin, endpoint: Some(endpoint), keys })?;
        Ok(outcome::result(&plugin.kind, &printed, list.version)?)
    }

    /// DEL for the first plugins of the list.
    fn take_back(
        &self,
        network: &Network,
        endpoint: &Endpoint,
        called: usize,
        result: Option<&Value>,
        cause: Error,
    ) -> Error {
        let result = result.and_then(|result| outcome::in_version(result, network.list.version).ok());
        let plugins = network.list.plugins[..called].iter();
        let left = self.delete_each(&network.list, plugins, endpoint, result.as_ref());
        Error::NotAdded { attachment: endpoint.on(network.name()), source: Box::new(cause), left }
    }
}
