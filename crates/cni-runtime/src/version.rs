//! VERSION.

use std::ffi::OsStr;

use cni::{PluginType, SpecVersion, json};
use serde::Deserialize;
use serde_json::json;

use crate::network::Network;
use crate::outcome;
use crate::plugin_error::PluginError;
use crate::request::environment;
use crate::runtime::Runtime;

const VERSION: &str = "VERSION";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    supported_versions: Vec<String>,
}

impl Runtime {
    /// VERSION: the versions that a plugin speaks, of those that are known here, oldest first.
    ///
    /// # Errors
    /// It is missing, or does not say.
    pub fn versions(&self, plugin: &PluginType) -> Result<Vec<SpecVersion>, PluginError> {
        // Plugins of old want all variables, whatever they are asked.
        let environment = environment(VERSION, [OsStr::new("dummy"); 3], "", OsStr::new("dummy"));
        let config = json!({"cniVersion": SpecVersion::LATEST.as_str()}).to_string();
        let printed = match self.execute(plugin, VERSION, environment, config.as_bytes()) {
            Err(PluginError::Failed { source, .. }) if source.msg() == "unknown CNI_COMMAND: VERSION" => {
                return Ok(vec![SpecVersion::V0_1_0]);
            }
            printed => printed?,
        };
        let answer = outcome::object(plugin, VERSION, &printed)?;
        let Answer { supported_versions } = json::from_value(&answer).map_err(|misfit| {
            let source = cni::Error::new(cni::Code::Decode, "it names no versions").with_details(misfit.to_string());
            outcome::no_answer(plugin, VERSION, &printed, source)
        })?;
        let is_spoken = |version: &&SpecVersion| supported_versions.iter().any(|text| text == version.as_str());
        Ok(SpecVersion::ALL.iter().filter(is_spoken).copied().collect())
    }

    /// The versions that all plugins of a network speak, oldest first.
    ///
    /// # Errors
    /// The first plugin's.
    pub fn common_versions(&self, network: &Network) -> Result<Vec<SpecVersion>, PluginError> {
        let mut common = SpecVersion::ALL.to_vec();
        for plugin in &network.list.plugins {
            let spoken = self.versions(&plugin.kind)?;
            common.retain(|version| spoken.contains(version));
        }
        Ok(common)
    }
}
