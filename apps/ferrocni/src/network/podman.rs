//! The networks of Podman 5 and later, which keeps them in files of its own.

use std::path::{Path, PathBuf};

use cni_runtime::{ConfigError, Network};
use podman_network::{Error, folder};

/// Those of a folder, and the files that are none.
pub(crate) fn networks(folder: &Path) -> Result<(Vec<Network>, Vec<ConfigError>), ConfigError> {
    let loaded = folder::load(folder).map_err(|error| invalid(folder.to_owned(), &error))?;
    let mut broken: Vec<_> = loaded.broken.into_iter().map(|error| invalid(error.path().to_owned(), &error)).collect();
    let mut networks = Vec::new();
    for (path, network) in loaded.networks {
        match described(&network) {
            Ok(mut network) => {
                network.path = Some(path);
                networks.push(network);
            }
            Err(source) => broken.push(ConfigError::Invalid { path, source }),
        }
    }
    Ok((networks, broken))
}

fn described(network: &podman_network::Network) -> Result<Network, cni::Error> {
    Network::from_json(network.described().map_err(|error| cni::Error::config(error.to_string()))?)
}

fn invalid(path: PathBuf, error: &Error) -> ConfigError {
    let source = match error {
        Error::Broken { reason, .. } => cni::Error::config(reason.as_str()),
        error => cni::Error::from_chain(cni::Code::InvalidConfig, error),
    };
    ConfigError::Invalid { path, source }
}

/// Whether a network is one of Podman 5 and later.
pub(crate) fn is_podmans(network: &Network) -> bool {
    id(network).is_some()
}

/// The id that Podman has given it.
pub(crate) fn id(network: &Network) -> Option<&str> {
    network.keys.get("args")?.get(podman_network::ID)?.as_str()
}
