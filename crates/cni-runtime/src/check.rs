//! CHECK and STATUS, which change nothing.

use cni::{SpecVersion, Verb};

use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::network::Network;
use crate::request::Request;
use crate::runtime::{Runtime, require_netns};

impl Runtime {
    /// CHECK: whether a container is attached as ADD reported it. A network with `disableCheck` is not looked at.
    ///
    /// # Errors
    /// What the first plugin says that misses something; [`Error::CheckUnsupported`] before version 0.4.0;
    /// [`Error::NotAttached`] if no ADD is recorded.
    pub fn check(&self, network: &Network, endpoint: &Endpoint) -> Result<(), Error> {
        let list = &network.list;
        if list.version < SpecVersion::V0_4_0 {
            return Err(Error::CheckUnsupported { network: list.name.clone(), version: list.version });
        }
        if list.disable_check {
            return Ok(());
        }
        require_netns(network, endpoint)?;
        let attachment = endpoint.on(&list.name);
        let result = self.recorded_result(&attachment, list.version)?.ok_or(Error::NotAttached { attachment })?;
        for plugin in &list.plugins {
            let keys = vec![("prevResult", result.clone())];
            self.ask(&Request { verb: Verb::Check, list, plugin, endpoint: Some(endpoint), keys })?;
        }
        Ok(())
    }

    /// STATUS: whether a container could be attached now. Networks before version 1.1.0 cannot say, and succeed.
    ///
    /// # Errors
    /// What the first plugin says that is not ready: code 50, or 51 if attached containers suffer too.
    pub fn status(&self, network: &Network) -> Result<(), Error> {
        let list = &network.list;
        if list.version < Verb::Status.since() {
            return Ok(());
        }
        for plugin in &list.plugins {
            self.ask(&Request { verb: Verb::Status, list, plugin, endpoint: None, keys: Vec::new() })?;
        }
        Ok(())
    }
}
