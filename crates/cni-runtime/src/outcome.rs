//! What a plugin's end means.

use std::os::unix::process::ExitStatusExt as _;
use std::process::Output;

use cni::{AddResult, Code, PluginType, SpecVersion, json};
use serde_json::{Value, json};

use crate::plugin_error::{PluginError, quote};

/// What a plugin printed that succeeded.
pub(crate) fn printed(plugin: &PluginType, command: &'static str, output: Output) -> Result<Vec<u8>, PluginError> {
    if output.status.success() {
        return Ok(output.stdout);
    }
    let plugin = plugin.clone();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    if let Some(signal) = output.status.signal() {
        return Err(PluginError::Killed { plugin, command, signal, stderr });
    }
    let error = serde_json::from_slice(&output.stdout).ok().and_then(|value| cni::Error::from_json(&value));
    Err(match error {
        Some(source) => PluginError::Failed { plugin, command, source: source.into(), stderr },
        None => PluginError::Silent { plugin, command, status: output.status, printed: quote(&output.stdout), stderr },
    })
}

/// ADD's result, as it was printed. It has a version at least.
pub(crate) fn result(plugin: &PluginType, printed: &[u8], asked: SpecVersion) -> Result<Value, PluginError> {
    let mut result = object(plugin, "ADD", printed)?;
    let no_answer = |source| no_answer(plugin, "ADD", printed, source);
    AddResult::from_json(&result, asked).map_err(no_answer)?;
    if json::get(&result, "cniVersion").is_none_or(|version| version == "") {
        result["cniVersion"] = json!(asked.as_str());
    }
    Ok(result)
}

/// The answer, which is always an object.
pub(crate) fn object(plugin: &PluginType, command: &'static str, printed: &[u8]) -> Result<Value, PluginError> {
    let not_json = |why: String| cni::Error::new(Code::Decode, "it is no JSON object").with_details(why);
    let value = serde_json::from_slice::<Value>(printed).map_err(|error| not_json(error.to_string()));
    let object = value.and_then(|value| if value.is_object() { Ok(value) } else { Err(not_json(String::new())) });
    object.map_err(|source| no_answer(plugin, command, printed, source))
}

pub(crate) fn no_answer(plugin: &PluginType, command: &'static str, printed: &[u8], source: cni::Error) -> PluginError {
    PluginError::NoAnswer { plugin: plugin.clone(), command, printed: quote(printed), source: source.into() }
}

/// A result as a plugin of that version reads it: as it is, unless it is of another one.
pub(crate) fn in_version(result: &Value, version: SpecVersion) -> Result<Value, cni::Error> {
    if json::get(result, "cniVersion").is_some_and(|own| own == version.as_str()) {
        return Ok(result.clone());
    }
    AddResult::from_json(result, version)?.to_json(version)
}
