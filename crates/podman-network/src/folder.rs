//! The files in which Podman keeps its networks: `/etc/containers/networks/<name>.json`.

use std::path::{Path, PathBuf};

use files::Folder;

use crate::{Error, Network};

/// Where root's Podman keeps them.
pub const ROOT: &str = "/etc/containers/networks";

/// The most that a file may have, in bytes.
const LIMIT: usize = 1 << 20;

/// The networks of a folder, each with its file; what cannot be read does not hide the others. A folder that is not there has none.
///
/// # Errors
/// The folder cannot be listed.
pub fn load(folder: &Path) -> Result<(Vec<(PathBuf, Network)>, Vec<Error>), Error> {
    let folder = Folder::new(folder.to_owned(), LIMIT);
    let names = folder.names().map_err(|source| Error::File { path: folder.path().to_owned(), source })?;
    let mut names: Vec<_> = names.into_iter().filter_map(|name| name.into_string().ok()).collect();
    names.sort_unstable();
    let (mut networks, mut broken) = (Vec::new(), Vec::new());
    for name in names.iter().filter(|name| name.ends_with(".json") && !name.starts_with('.')) {
        match read(&folder, name) {
            Ok(found) => networks.extend(found.map(|network| (folder.path_of(name), network))),
            Err(error) => broken.push(error),
        }
    }
    Ok((networks, broken))
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
