//! The files in which Podman keeps its networks: `/etc/containers/networks/<name>.json`.

use std::path::{Path, PathBuf};

use files::Folder;

use crate::{Error, Network};

/// Where root's Podman keeps them.
pub const ROOT: &str = "/etc/containers/networks";

/// The most that a file may have, in bytes.
const LIMIT: usize = 1 << 20;

/// What is in a folder of networks.
#[derive(Debug, Default)]
pub struct Loaded {
    /// Each with its file, in the order of the files' names.
    pub networks: Vec<(PathBuf, Network)>,
    /// Why other files are none.
    pub broken: Vec<Error>,
}

/// The networks of a folder; what cannot be read does not hide the others. A folder that is not there has none.
///
/// # Errors
/// The folder cannot be listed.
pub fn load(folder: &Path) -> Result<Loaded, Error> {
    let folder = Folder::new(folder.to_owned(), LIMIT);
    let names = folder.names().map_err(|source| Error::File { path: folder.path().to_owned(), source })?;
    let mut names: Vec<_> = names.into_iter().filter_map(|name| name.into_string().ok()).collect();
    names.sort_unstable();
    let mut loaded = Loaded::default();
    for name in names.iter().filter(|name| name.ends_with(".json") && !name.starts_with('.')) {
        match read(&folder, name) {
            Ok(found) => loaded.networks.extend(found.map(|network| (folder.path_of(name), network))),
            Err(error) => loaded.broken.push(error),
        }
    }
    Ok(loaded)
}

/// A file that goes while the others are read is none.
fn read(folder: &Folder, name: &str) -> Result<Option<Network>, Error> {
    let path = folder.path_of(name);
    let Some(bytes) = folder.read(name).map_err(|source| Error::File { path: path.clone(), source })? else {
        return Ok(None);
    };
    let broken = |reason: String| Error::Broken { path: path.clone(), reason };
    let value = serde_json::from_slice(&bytes).map_err(|error| broken(error.to_string()))?;
    Network::from_json(&value).map(Some).map_err(|error| broken(error.to_string()))
}
