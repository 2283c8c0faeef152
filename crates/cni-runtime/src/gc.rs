//! GC.

use std::collections::HashSet;

use cni::{Attachment, Verb};
use serde_json::{Value, json};

use crate::endpoint::Attached;
use crate::error::Error;
use crate::network::Network;
use crate::request::Request;
use crate::runtime::Runtime;

/// The name of the list of what is to stay, and the one that libcni 1.2 gave it by mistake: some plugins know only that.
const VALID: [&str; 2] = ["cni.dev/valid-attachments", "cni.dev/attachments"];

impl Runtime {
    /// GC: removes what is left of attachments that are not among the valid ones; those of other networks do not matter. First
    /// comes a DEL for each that is recorded, then, since version 1.1.0, the plugins' own GC. A network with `disableGC` is left
    /// alone.
    ///
    /// The recorded attachments are those of all runtimes of the host: the valid ones have to be as well.
    ///
    /// # Errors
    /// [`Error::NotCollected`] with everything that failed.
    pub fn gc(&self, network: &Network, valid: &[Attachment]) -> Result<(), Error> {
        if network.list.disable_gc {
            return Ok(());
        }
        let recorded = self.cache.of_network(network.name())?;
        let valid: HashSet<_> = valid.iter().filter(|valid| valid.network == network.list.name).collect();
        let stale = recorded.attached.iter().filter(|attached| !valid.contains(&attached.attachment()));
        let mut failures: Vec<_> = stale.filter_map(|stale| self.delete_stale(network, stale).err()).collect();
        if network.list.version >= Verb::Gc.since() {
            failures.extend(self.collect_each(network, &valid));
        }
        if failures.is_empty() {
            return Ok(());
        }
        Err(Error::NotCollected { network: network.name().clone(), failures })
    }

    /// By the plugins that attached it, which the network may not have any more.
    fn delete_stale(&self, network: &Network, stale: &Attached) -> Result<(), Error> {
        let configured = stale.configured().ok().flatten();
        let other = configured
            .filter(|then| then.name() == network.name() && !network.list.plugins.starts_with(&then.list.plugins));
        self.del(other.as_ref().unwrap_or(network), &stale.endpoint)
    }

    fn collect_each(&self, network: &Network, valid: &HashSet<&Attachment>) -> Vec<Error> {
        let entry = |valid: &&Attachment| json!({"containerID": valid.container, "ifname": valid.ifname});
        let valid: Value = valid.iter().map(entry).collect();
        let keys = VALID.map(|key| (key, valid.clone())).to_vec();
        let collect = |plugin| {
            let request = Request { verb: Verb::Gc, list: &network.list, plugin, endpoint: None, keys: keys.clone() };
            self.ask(&request).err().map(Error::from)
        };
        network.list.plugins.iter().filter_map(collect).collect()
    }
}
