//! Could a container be attached now? STATUS of the plugins says it: whether the kernel has what they need, for instance.

use cni::{SpecVersion, Verb};
use cni_runtime::Network;
use serde_json::json;

use super::finding::Finding;
use super::plugins;
use super::survey::{Known, Survey};
use crate::failure::{Failure, line};

pub(super) fn check(survey: &Survey<'_>) -> Result<Vec<Finding>, Failure> {
    // Plugins that cannot be asked are another check's.
    let askable = survey.wanted().filter(|known| plugins::are_there(survey, known));
    let refused = askable.filter_map(|known| {
        let error = survey.runtime.status(&newest(survey, known)).err()?;
        Some(Finding::new(format!("network {}", known.about.name), line(&error)))
    });
    Ok(refused.collect())
}

/// STATUS came with version 1.1.0. Plugins that speak it can be asked it about an older network as well.
fn newest(survey: &Survey<'_>, known: &Known) -> Network {
    let (network, version) = (&known.network, SpecVersion::LATEST);
    let speak_it = || survey.runtime.common_versions(network).is_ok_and(|common| common.contains(&version));
    if network.list.version >= Verb::Status.since() || !speak_it() {
        return network.clone();
    }
    let mut json = network.json();
    if let Some(keys) = json.as_object_mut() {
        keys.retain(|key, _| !["cniversion", "cniversions"].contains(&key.to_ascii_lowercase().as_str()));
        keys.insert("cniVersion".to_owned(), json!(version.as_str()));
    }
    Network::from_json(json).unwrap_or_else(|_| network.clone())
}
