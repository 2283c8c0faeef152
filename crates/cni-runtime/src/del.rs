//! DEL.

use cni::{Attachment, NetworkList, PluginConfig, SpecVersion, Verb};
use serde_json::Value;

use crate::cache::CacheError;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::network::Network;
use crate::request::Request;
use crate::runtime::Runtime;

impl Runtime {
    /// DEL: detaches a container from a network, by each plugin of its list, the last one first. What fails does not keep the others
    /// from their part. Only when all have succeeded the record of the attachment goes; a DEL of what is not attached succeeds.
    ///
    /// The network should be as it was when the container was attached ([`Attached::configured`](crate::Attached::configured)).
    ///
    /// # Errors
    /// [`Error::NotDeleted`] with everything that failed.
    pub fn del(&self, network: &Network, endpoint: &Endpoint) -> Result<(), Error> {
        let (list, attachment) = (&network.list, endpoint.on(network.name()));
        let mut failures = Vec::new();
        let result = self.result_for_del(&attachment, list.version).unwrap_or_else(|error| {
            failures.push(error);
            None
        });
        failures.extend(self.delete_each(list, list.plugins.iter(), endpoint, result.as_ref()));
        if failures.is_empty() {
            failures.extend(self.cache.remove(&attachment).err().map(Error::from));
        }
        if failures.is_empty() { Ok(()) } else { Err(Error::NotDeleted { attachment, failures }) }
    }

    /// Plugins have to do without a result that says nothing any more: otherwise the container could never be detached.
    fn result_for_del(&self, attachment: &Attachment, version: SpecVersion) -> Result<Option<Value>, Error> {
        if version < SpecVersion::V0_4_0 {
            return Ok(None);
        }
        match self.recorded_result(attachment, version) {
            Err(Error::Result { .. } | Error::Cache(CacheError::Broken { .. } | CacheError::Taken { .. })) => Ok(None),
            outcome => outcome,
        }
    }

    /// The plugins in reverse, all of them, and what failed.
    pub(crate) fn delete_each<'a>(
        &self,
        list: &NetworkList,
        plugins: impl DoubleEndedIterator<Item = &'a PluginConfig>,
        endpoint: &Endpoint,
        result: Option<&Value>,
    ) -> Vec<Error> {
        let result = result.filter(|_| list.version >= SpecVersion::V0_4_0);
        let keys: Vec<_> = result.map(|result| ("prevResult", result.clone())).into_iter().collect();
        let delete = |plugin| {
            let request = Request { verb: Verb::Del, list, plugin, endpoint: Some(endpoint), keys: keys.clone() };
            self.ask(&request).err().map(Error::from)
        };
        plugins.rev().filter_map(delete).collect()
    }
}
