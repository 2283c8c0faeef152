//! Networks as they are configured.

use std::io;
use std::path::{Path, PathBuf};

use cni::{Code, NetworkList, NetworkName, json};
use serde_json::{Value, json};

use crate::record;

/// The most that a file of configuration may have, in bytes.
const LIMIT: usize = 1 << 20;

/// A network with everything that its file says.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Network {
    /// Its plugins, its name, its version.
    pub list: NetworkList,
    /// What the list says beside its plugins, also keys that are known to nobody here.
    pub keys: Value,
    /// The file that it is from, if it is from one.
    pub path: Option<PathBuf>,
    /// The list as it is recorded.
    text: String,
}

/// A file of configuration that is no network.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// It, or the folder, cannot be read.
    #[error("read {}", path.display())]
    #[allow(missing_docs)]
    Read { path: PathBuf, source: io::Error },
    /// What it says cannot be right.
    #[error("{} cannot be used", path.display())]
    #[allow(missing_docs)]
    Invalid { path: PathBuf, source: cni::Error },
}

impl ConfigError {
    /// The file, or the folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        let (Self::Read { path, .. } | Self::Invalid { path, .. }) = self;
        path
    }
}

impl Network {
    /// A list, or the configuration of a single plugin, in JSON.
    ///
    /// # Errors
    /// Code 6 if it is not JSON, code 7 for what cannot be right, code 1 if none of its versions is known.
    pub fn from_text(text: &str) -> Result<Self, cni::Error> {
        let json = parse(text)?;
        let is_single = json::get(&json, "plugins").is_none() && json::get(&json, "type").is_some();
        if is_single { Self::from_json(single(&json)?) } else { Self::of_list(json, text.to_owned()) }
    }

    /// The same from a list as a value.
    ///
    /// # Errors
    /// Code 7 for what cannot be right, code 1 if none of its versions is known.
    pub fn from_json(json: Value) -> Result<Self, cni::Error> {
        let text = json.to_string();
        Self::of_list(json, text)
    }

    /// A list, and nothing else: also one without plugins is not the configuration of a plugin.
    fn of_list(mut json: Value, text: String) -> Result<Self, cni::Error> {
        if json::get(&json, "plugins").is_none() {
            return Err(cni::Error::config("the list has no \"plugins\""));
        }
        Ok(Self { list: NetworkList::take_from(&mut json)?, keys: json, path: None, text })
    }

    /// The network's name.
    #[must_use]
    pub fn name(&self) -> &NetworkName {
        &self.list.name
    }

    /// The list as the cache keeps it: as it was written, unless plugins were added to it.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The whole list in JSON, to be changed. A file with a single plugin is a list of one.
    #[must_use]
    pub fn json(&self) -> Value {
        // It was read from there.
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    /// Reads a `.conflist`, with the plugins of the network's own folder, or a file with a single plugin.
    ///
    /// # Errors
    /// The file, or that of a plugin, cannot be read, or what it says cannot be right.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        NetworkFile { path: path.to_owned(), may_have_plugins_beside: true }.read()
    }
}

/// A file of a folder of networks, which nobody has read yet.
#[derive(Debug, Clone)]
pub struct NetworkFile {
    path: PathBuf,
    /// Its folder has folders, of which one may be the network's.
    may_have_plugins_beside: bool,
}

impl NetworkFile {
    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it has a list of plugins, by its name (`.conflist`), and not the configuration of a single one.
    #[must_use]
    pub fn is_list(&self) -> bool {
        is_list(&self.path)
    }

    /// Reads it.
    ///
    /// # Errors
    /// As [`Network::read`].
    pub fn read(&self) -> Result<Network, ConfigError> {
        self.understand(read(&self.path)?)
    }

    /// Reads it, if it can have the network of that name, which few of many files can: others are not understood, which takes longer.
    ///
    /// # Errors
    /// As [`Network::read`], of a file that can have it.
    pub fn read_if_named(&self, name: &str) -> Result<Option<Network>, ConfigError> {
        let text = read(&self.path)?;
        // JSON can write a letter as its number, behind a backslash.
        if !text.contains(name) && !text.contains('\\') {
            return Ok(None);
        }
        Ok(Some(self.understand(text)?).filter(|network| network.name().as_str() == name))
    }

    fn understand(&self, text: String) -> Result<Network, ConfigError> {
        let path = &self.path;
        let invalid = |source| ConfigError::Invalid { path: path.clone(), source };
        let json = parse(&text).map_err(invalid)?;
        let network = if self.is_list() {
            let beside = if self.may_have_plugins_beside { plugins_beside(path, &json)? } else { Vec::new() };
            if beside.is_empty() {
                Network::of_list(json, text)
            } else {
                with_plugins(json, beside).and_then(Network::from_json)
            }
        } else {
            single(&json).and_then(Network::from_json)
        };
        network.map(|network| Network { path: Some(path.clone()), ..network }).map_err(invalid)
    }
}

/// Those of a folder, in the order of their names; none if there is no folder.
pub(crate) fn network_files(folder: &Path) -> Result<Vec<NetworkFile>, ConfigError> {
    let Listing { files, has_folders } = files_in(folder, &[".conf", ".conflist", ".json"])?;
    Ok(files.into_iter().map(|path| NetworkFile { path, may_have_plugins_beside: has_folders }).collect())
}

/// Whether a file is named as lists are.
pub(crate) fn is_list(path: &Path) -> bool {
    has_extension(path, ".conflist")
}

/// As Go sees it: a name that is nothing else has it too.
pub(crate) fn has_extension(path: &Path, extension: &str) -> bool {
    path.as_os_str().as_encoded_bytes().ends_with(extension.as_bytes())
}

fn read(path: &Path) -> Result<String, ConfigError> {
    let bytes = files::read_through_links(path, LIMIT);
    let bytes = bytes.map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
    Ok(record::text(bytes))
}

fn parse(text: &str) -> Result<Value, cni::Error> {
    serde_json::from_str(text)
        .map_err(|error| cni::Error::new(Code::Decode, "it is not JSON").with_details(error.to_string()))
}

/// Of a plugin's configuration, its network has the name and the version.
fn single(plugin: &Value) -> Result<Value, cni::Error> {
    if json::get(plugin, "type").is_none() {
        return Err(cni::Error::config("the plugin has no \"type\"")
            .with_details("a file with a list of plugins has to be named .conflist"));
    }
    let key = |key| json::get(plugin, key).cloned().unwrap_or_else(|| json!(""));
    Ok(json!({"name": key("name"), "cniVersion": key("cniVersion"), "plugins": [plugin]}))
}

/// The plugins in the folder of the network's name, unless the list is to be left as it is.
fn plugins_beside(path: &Path, list: &Value) -> Result<Vec<Value>, ConfigError> {
    let name = json::get(list, "name").and_then(Value::as_str).and_then(|name| NetworkName::new(name).ok());
    match (name, path.parent()) {
        (Some(name), Some(folder)) if !has_all_plugins(list) => {
            match files_in(&folder.join(name.as_str()), &[".conf"]) {
                // Something else may be called so.
                Err(ConfigError::Read { source, .. }) if source.kind() == io::ErrorKind::NotADirectory => {
                    Ok(Vec::new())
                }
                listing => listing?.files.iter().map(|file| read_plugin(file)).collect(),
            }
        }
        _ => Ok(Vec::new()),
    }
}

/// Whether other values make sense is judged with the list.
fn has_all_plugins(list: &Value) -> bool {
    match json::get(list, "loadOnlyInlinedPlugins") {
        Some(Value::Bool(flag)) => *flag,
        Some(Value::String(word)) => word.eq_ignore_ascii_case("true"),
        _ => false,
    }
}

fn read_plugin(path: &Path) -> Result<Value, ConfigError> {
    let invalid = |source| ConfigError::Invalid { path: path.to_owned(), source };
    let plugin = parse(&read(path)?).map_err(invalid)?;
    if json::get(&plugin, "type").is_none() {
        return Err(invalid(cni::Error::config("the plugin has no \"type\"")));
    }
    Ok(plugin)
}

fn with_plugins(mut list: Value, more: Vec<Value>) -> Result<Value, cni::Error> {
    let mut plugins = match json::get(&list, "plugins") {
        Some(Value::Array(plugins)) => plugins.clone(),
        None => Vec::new(),
        Some(_) => return Err(cni::Error::config("\"plugins\" is no array")),
    };
    plugins.extend(more);
    if let Some(keys) = list.as_object_mut() {
        keys.retain(|key, _| !key.eq_ignore_ascii_case("plugins"));
        keys.insert("plugins".to_owned(), plugins.into());
    }
    Ok(list)
}

/// What is in a folder.
#[derive(Debug, Default)]
struct Listing {
    /// In the order of their names.
    files: Vec<PathBuf>,
    /// Also links, which may lead to some.
    has_folders: bool,
}

/// The files with one of these extensions; none if there is no folder.
fn files_in(folder: &Path, extensions: &[&str]) -> Result<Listing, ConfigError> {
    let failed = |source| ConfigError::Read { path: folder.to_owned(), source };
    let mut listing = Listing::default();
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(listing),
        entries => entries.map_err(failed)?,
    };
    for entry in entries {
        let entry = entry.map_err(failed)?;
        let (path, kind) = (entry.path(), entry.file_type().map_err(failed)?);
        listing.has_folders |= kind.is_dir() || kind.is_symlink();
        if extensions.iter().any(|extension| has_extension(&path, extension)) && !kind.is_dir() {
            listing.files.push(path);
        }
    }
    // The same as of the paths, whose components would be looked for in each comparison.
    listing.files.sort_unstable_by(|one, other| one.as_os_str().cmp(other.as_os_str()));
    Ok(listing)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use cni::SpecVersion;

    use super::*;

    fn read(files: &[(&str, &str)]) -> Result<Network, ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Network::read(&folder.path().join(files[0].0))
    }

    fn kinds(network: &Network) -> Vec<&str> {
        network.list.plugins.iter().map(|plugin| plugin.kind.as_str()).collect()
    }

    #[test]
    fn a_list_keeps_all_that_its_file_says() {
        let text = r#"{ "name": "n", "cniVersion": "0.4.0", "cniVersions": ["1.0.0", "9.0.0"], "nerdctlID": "x",
                        "plugins": [{"type": "bridge"}] }"#;
        let network = read(&[("n.conflist", text)]).unwrap();
        assert_eq!(network.list.version, SpecVersion::V1_0_0);
        assert_eq!(network.keys["nerdctlID"], "x");
        assert_eq!(network.text(), text);
        assert!(network.path.unwrap().ends_with("n.conflist"));
    }

    #[test]
    fn a_plugin_alone_is_wrapped() {
        let text = r#"{"name": "n", "cniVersion": "0.4.0", "type": "bridge", "mtu": 1400, "disableCheck": true}"#;
        for name in ["n.conf", "n.json"] {
            let network = read(&[(name, text)]).unwrap();
            let expected = json!({
                "name": "n", "cniVersion": "0.4.0", "plugins": [serde_json::from_str::<Value>(text).unwrap()]
            });
            assert_eq!(network.json(), expected);
            assert_eq!(network.text(), expected.to_string());
            assert!(!network.list.disable_check, "libcni takes such keys from lists only");
        }
    }

    #[test]
    fn plugins_of_the_networks_folder_come_after_those_of_the_list() {
        let list = r#"{"name": "n", "Plugins": [{"type": "one"}], "own": 1}"#;
        let three = ("n/20.conf", r#"{"type": "three"}"#);
        let two = ("n/10.conf", r#"{"type": "two"}"#);
        let others = [("n/00.conflist", "{"), ("n/00.json", "{"), ("m/00.conf", "{")];
        let network = read(&[&[("n.conflist", list), three, two], &others[..]].concat()).unwrap();
        assert_eq!(kinds(&network), ["one", "two", "three"]);
        assert_eq!(network.keys["own"], 1);
        assert_eq!(Network::from_text(network.text()).unwrap().list, network.list, "so it is recorded");

        let network = read(&[("n.conflist", r#"{"name": "n"}"#), two]).unwrap();
        assert_eq!(kinds(&network), ["two"]);
    }

    #[test]
    fn a_list_that_is_complete_has_no_plugins_of_a_folder() {
        for flag in ["true", "\"True\""] {
            let text = format!(r#"{{"name": "n", "loadOnlyInlinedPlugins": {flag}, "plugins": [{{"type": "one"}}]}}"#);
            let network = read(&[("n.conflist", &text), ("n/10.conf", r#"{"type": "two"}"#)]).unwrap();
            assert_eq!(kinds(&network), ["one"], "{flag}");
            assert!(network.list.load_only_inlined_plugins);
        }
        let single = r#"{"name": "n", "type": "one"}"#;
        assert_eq!(kinds(&read(&[("n.conf", single), ("n/10.conf", "{")]).unwrap()), ["one"]);
    }

    #[test]
    fn the_file_that_is_wrong_is_named() {
        let list = ("n.conflist", r#"{"name": "n", "plugins": [{"type": "one"}]}"#);
        for (files, wrong) in [
            (vec![("n.conflist", "{")], "n.conflist"),
            (vec![("n.conflist", r#"{"name": "n"}"#)], "n.conflist"),
            (vec![("n.conflist", r#"{"name": "n", "type": "one"}"#)], "n.conflist"),
            (vec![("n.conf", list.1)], "n.conf"),
            (vec![("n.conf", r#"{"type": "one"}"#)], "n.conf"),
            (vec![list, ("n/10.conf", "[]")], "n/10.conf"),
            (vec![list, ("n/10.conf", "{")], "n/10.conf"),
        ] {
            let error = read(&files).unwrap_err();
            assert!(error.path().ends_with(wrong), "{files:?}: {error}");
            assert!(matches!(error, ConfigError::Invalid { .. }), "{files:?}: {error}");
        }
    }
}
