//! Is every plugin there, can it be run, and does it speak its network's version?

use std::collections::BTreeMap;

use cni::{PluginType, SpecVersion};
use cni_runtime::PluginError;

use super::finding::{Finding, quote};
use super::survey::{Known, Survey, ipam_of};
use crate::failure::{Failure, line};

pub(super) fn check(survey: &Survey<'_>) -> Result<Vec<Finding>, Failure> {
    let mut findings = Vec::new();
    for (plugin, users) in plugins(survey) {
        match survey.runtime.versions(&plugin) {
            Err(error) => findings.push(broken(survey, &error, &plugin, &users)),
            Ok(spoken) => findings.extend(users.iter().filter_map(|known| strange(known, &plugin, &spoken))),
        }
    }
    Ok(findings)
}

/// Whether all of a network's plugins can be asked.
pub(super) fn are_there(survey: &Survey<'_>, known: &Known) -> bool {
    of(known).iter().all(|plugin| survey.runtime.versions(plugin).is_ok())
}

/// The plugins of all networks with the networks that have them.
fn plugins<'s>(survey: &'s Survey<'_>) -> BTreeMap<PluginType, Vec<&'s Known>> {
    let mut users: BTreeMap<PluginType, Vec<&Known>> = BTreeMap::new();
    for known in survey.wanted() {
        for plugin in of(known) {
            users.entry(plugin).or_default().push(known);
        }
    }
    users
}

/// Those of the list, and those that give addresses to them.
fn of(known: &Known) -> Vec<PluginType> {
    let mut all = Vec::new();
    for plugin in &known.network.list.plugins {
        let ipam = ipam_of(&plugin.keys).and_then(|kind| PluginType::new(kind).ok());
        all.extend([plugin.kind.clone()].into_iter().chain(ipam));
    }
    all.sort();
    all.dedup();
    all
}

fn broken(survey: &Survey<'_>, error: &PluginError, plugin: &PluginType, users: &[&Known]) -> Finding {
    let names: Vec<_> = users.iter().map(|known| known.about.name.as_str()).collect();
    let object = format!("plugin {plugin} (of {})", names.join(", "));
    let finding = Finding::new(object, line(error));
    match error {
        PluginError::NotRun { path, source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => {
            finding.mended_by(format!("chmod a+rx {}", quote(&path.to_string_lossy())))
        }
        PluginError::NotFound { .. } => match beside_this_program(survey, plugin) {
            Some(command) => finding.mended_by(command),
            None => finding,
        },
        _ => finding,
    }
}

/// Where this command is installed, the suite's plugins may be too.
fn beside_this_program(survey: &Survey<'_>, plugin: &PluginType) -> Option<String> {
    let own = std::env::current_exe().ok()?.with_file_name(plugin.as_str());
    let folder = survey.host.plugin_folders().first()?;
    let words = [&own, folder].map(|path| quote(&path.to_string_lossy()));
    own.is_file().then(|| format!("install -D -t {} {}", words[1], words[0]))
}

fn strange(known: &Known, plugin: &PluginType, spoken: &[SpecVersion]) -> Option<Finding> {
    let version = known.network.list.version;
    if spoken.contains(&version) {
        return None;
    }
    let spoken: Vec<_> = spoken.iter().map(|version| version.as_str()).collect();
    let problem = format!(
        "its plugin {plugin} does not speak CNI version {}, but {}: name one of these as \"cniVersion\" in {}, or install a \
         newer plugin",
        version.as_str(),
        if spoken.is_empty() { "none that is known".to_owned() } else { spoken.join(", ") },
        known.file()
    );
    Some(Finding::new(format!("network {}", known.about.name), problem))
}
