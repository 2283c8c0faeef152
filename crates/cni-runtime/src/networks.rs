//! A folder of networks, such as `/etc/cni/net.d`.

use std::path::PathBuf;

use crate::network::{ConfigError, Network, files_in, is_list};

/// The networks of a folder.
#[derive(Debug)]
#[non_exhaustive]
pub struct Networks {
    /// The folder.
    pub folder: PathBuf,
    /// In the order of the files' names. The first is what a Kubernetes runtime takes for its pods.
    pub networks: Vec<Network>,
    /// The files that are no networks, in the same order.
    pub broken: Vec<ConfigError>,
}

/// No network has that name.
#[derive(Debug, thiserror::Error)]
#[error("no network in {} is called {name}{}", folder.display(), unread(broken))]
#[non_exhaustive]
pub struct NotFound {
    /// The name.
    pub name: String,
    /// Where it was looked for.
    pub folder: PathBuf,
    /// The files there that are no networks: it may be in one of them.
    pub broken: Vec<PathBuf>,
}

fn unread(broken: &[PathBuf]) -> String {
    let names: Vec<_> = broken.iter().map(|path| path.display().to_string()).collect();
    if names.is_empty() { String::new() } else { format!(", and these files cannot be used: {}", names.join(", ")) }
}

impl Networks {
    /// Reads a folder's files: lists (`.conflist`), and configurations of single plugins (`.conf`, `.json`). A broken one does not
    /// hide the others. A folder that is not there has no networks.
    ///
    /// # Errors
    /// The folder cannot be listed.
    pub fn load(folder: impl Into<PathBuf>) -> Result<Self, ConfigError> {
        let folder = folder.into();
        let (mut networks, mut broken) = (Vec::new(), Vec::new());
        for path in files_in(&folder, &[".conf", ".conflist", ".json"])? {
            match Network::read(&path) {
                Ok(network) => networks.push(network),
                Err(error) => broken.push(error),
            }
        }
        Ok(Self { folder, networks, broken })
    }

    /// The network of that name: the first list, or else the first of a single plugin, as libcni finds it.
    ///
    /// # Errors
    /// There is none.
    pub fn find(&self, name: &str) -> Result<&Network, NotFound> {
        let of_that_name = || self.networks.iter().filter(|network| network.name().as_str() == name);
        let list = of_that_name().find(|network| network.path.as_deref().is_some_and(is_list));
        list.or_else(|| of_that_name().next()).ok_or_else(|| NotFound {
            name: name.to_owned(),
            folder: self.folder.clone(),
            broken: self.broken.iter().map(|error| error.path().to_owned()).collect(),
        })
    }
}
