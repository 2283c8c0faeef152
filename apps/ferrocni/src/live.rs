//! Connections of running containers that their runtimes know nothing of.
//!
//! A record is written before a container is connected, and removed after it was disconnected. So one without an entry in the cache
//! of what is attached, and one whose namespace is gone, are leftovers: of a command that was killed, of a container that has ended.

use std::fs::File;
use std::path::Path;

use ::names::Name;
use cni::{Attachment, NetworkName};
use cni_runtime::{Attached, Endpoint, Error, Network};
use connected::{Record, Records};
use netlink::{Namespace, Netns};
use serde_json::{Map, Value, json};

use crate::attachments::Connection;
use crate::failure::Failure;
use crate::host::Host;
use crate::output::complain;

/// The capability of names that a container has on one network.
const ALIASES: &str = "aliases";

/// The records of live connections, and of those that were: their aliases are given again.
#[derive(Debug)]
pub(crate) struct Live<'a> {
    host: &'a Host,
    records: Records,
    /// Of connections that were ended while their containers went on.
    former: Records,
}

/// Nobody else changes what the container is connected to, nor sweeps anything, until this is let go.
#[derive(Debug)]
pub(crate) struct Turn {
    _records: File,
    _container: Option<File>,
}

impl<'a> Live<'a> {
    pub(crate) fn of(host: &'a Host) -> Self {
        Self { host, records: Records::default(), former: Records::new(host.state("disconnected")) }
    }

    /// Waits until nobody else connects or disconnects the container with that namespace.
    pub(crate) fn take_turn(&self, netns: Option<&Path>) -> Result<Turn, Failure> {
        let records = self.records.share()?;
        let netns = netns.map(Netns::open).transpose()?;
        let container = netns.map(|netns| self.records.take_turn(&netns)).transpose()?;
        Ok(Turn { _records: records, _container: container })
    }

    /// Connects a container. If that fails, nothing is left; should something be that cannot be taken back, the next sweep tries
    /// again.
    pub(crate) fn connect(&self, network: &Network, endpoint: &Endpoint, netns: &Netns) -> Result<Attached, Failure> {
        let attachment = endpoint.on(network.name());
        let record = Record {
            namespace: Namespace::of(netns)?,
            args: endpoint.args.clone(),
            capability_args: endpoint.capability_args.clone(),
            config: network.json(),
        };
        self.records.write(&attachment, &record)?;
        let outcome = self.host.live_runtime().add(network, endpoint);
        match &outcome {
            Ok(_) => self.forget(network.name(), &record.namespace)?,
            Err(Error::NotAdded { left, .. }) if !left.is_empty() => {}
            Err(_) => self.records.remove(&attachment)?,
        }
        Ok(outcome?)
    }

    /// Disconnects what [`Live::connect`] has connected, as it was then.
    pub(crate) fn release(&self, network: &Network, endpoint: &Endpoint) -> Result<(), Failure> {
        self.host.live_runtime().del(network, endpoint)?;
        Ok(self.records.remove(&endpoint.on(network.name()))?)
    }

    /// Disconnects a container, whoever has connected it, with the configuration of that time, and remembers its aliases.
    pub(crate) fn disconnect(&self, connection: &Connection, network: Option<&Network>) -> Result<(), Failure> {
        let then = connection.recorded.configured().ok().flatten();
        let network = then.as_ref().or(network).ok_or(NoConfiguration(connection.attachment()))?;
        let mut endpoint = connection.recorded.endpoint.clone();
        let namespace = if connection.is_alive()? { endpoint.netns.as_deref().map(Netns::open) } else { None };
        let namespace = namespace.transpose()?.map(|netns| Namespace::of(&netns)).transpose()?;
        if namespace.is_none() {
            // The path may be another container's by now.
            endpoint.netns = None;
        }
        self.host.runtime_of(connection.keeper).del(network, &endpoint)?;
        if let Some(namespace) = namespace {
            self.remember(connection, namespace)?;
        }
        Ok(self.records.remove(&connection.attachment())?)
    }

    fn remember(&self, connection: &Connection, namespace: Namespace) -> Result<(), Failure> {
        let Some(aliases) = connection.recorded.endpoint.capability_args.get(ALIASES) else { return Ok(()) };
        let capability_args = Map::from_iter([(ALIASES.to_owned(), aliases.clone())]);
        let record = Record { namespace, args: Vec::new(), capability_args, config: json!({}) };
        Ok(self.former.write(&connection.attachment(), &record)?)
    }

    /// The aliases that the container had on the network when it was disconnected.
    pub(crate) fn former_aliases(&self, network: &NetworkName, netns: &Netns) -> Result<Vec<Name>, Failure> {
        let namespace = Namespace::of(netns)?;
        let former = self.former_of(network, &namespace)?;
        Ok(former.iter().flat_map(|(_, record)| read_aliases(&record.capability_args, network)).collect())
    }

    fn forget(&self, network: &NetworkName, namespace: &Namespace) -> Result<(), Failure> {
        for (attachment, _) in self.former_of(network, namespace)? {
            self.former.remove(&attachment)?;
        }
        Ok(())
    }

    fn former_of(
        &self,
        network: &NetworkName,
        namespace: &Namespace,
    ) -> Result<Vec<(Attachment, Record)>, connected::Error> {
        let mut former = self.former.list()?;
        former.retain(|(attachment, record)| attachment.network == *network && record.namespace.is_same(namespace));
        Ok(former)
    }

    /// Removes what is left of connections whose containers have ended, or that were never completed. While somebody connects or
    /// disconnects, it is left to the next command, and to users without privileges there is nothing to sweep.
    pub(crate) fn sweep(&self) -> Result<(), Failure> {
        let _alone = match self.records.claim() {
            Err(error) if error.is_permission_denied() => return Ok(()),
            claimed => match claimed? {
                Some(alone) => alone,
                None => return Ok(()),
            },
        };
        self.records.sweep()?;
        self.former.sweep()?;
        for (attachment, namespace) in self.records.namespaces()? {
            self.sweep_one(&attachment, &namespace).unwrap_or_else(complain);
        }
        for (attachment, namespace) in self.former.namespaces()? {
            if !namespace.exists()? {
                self.former.remove(&attachment)?;
            }
        }
        Ok(())
    }

    fn sweep_one(&self, attachment: &Attachment, namespace: &Namespace) -> Result<(), Failure> {
        let exists = namespace.exists()?;
        if exists && self.host.live_runtime().cache().has(attachment) {
            return Ok(());
        }
        let Some(record) = self.records.read(attachment)? else { return Ok(()) };
        let mut endpoint = Endpoint::new(attachment.container.as_str(), attachment.ifname.as_str())?;
        endpoint.netns = exists.then(|| record.namespace.path.clone());
        endpoint.args = record.args.clone();
        endpoint.capability_args = record.capability_args.clone();
        self.host.live_runtime().del(&Network::from_json(record.config.clone())?, &endpoint)?;
        Ok(self.records.remove(attachment)?)
    }
}

/// A connection that was made by a runtime of long ago, on a network that is gone.
#[derive(Debug, thiserror::Error)]
#[error("how {0} was attached is not recorded, and its network has no file: its runtime has to detach it")]
struct NoConfiguration(Attachment);

/// The capability argument, as dnsname has it: names by network.
pub(crate) fn aliases_on(network: &NetworkName, aliases: &[Name]) -> (&'static str, Value) {
    (ALIASES, json!({network.as_str(): aliases}))
}

fn read_aliases(capability_args: &Map<String, Value>, network: &NetworkName) -> Vec<Name> {
    let names = capability_args.get(ALIASES).and_then(|aliases| aliases.get(network.as_str())?.as_array());
    names.into_iter().flatten().filter_map(|name| Name::new(name.as_str()?).ok()).collect()
}
