//! What is where on this host.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use clap::Args;
use cni_runtime::{Cache, ConfigError, Network, NetworkFile, Networks, NotFound, Runtime};

use crate::failure::Failure;
use crate::network::{self, Description, podman};
use crate::parallel::in_parts;

/// Where the state of this command is, and nothing that a restart of the host has to keep.
const STATE: &str = "/run/ferrocni";

/// Where Podman's network program keeps its state, for as long as the host runs.
const PODMAN_STATE: &str = "/run/containers/networks/ferrocni";

/// Where networks and plugins are.
#[derive(Debug, Args)]
pub(crate) struct Places {
    /// Folder with the networks
    #[arg(
        long,
        global = true,
        env = "NETCONFPATH",
        value_name = "DIR",
        default_value = "/etc/cni/net.d",
        hide_env_values = true
    )]
    config_dir: PathBuf,
    /// Folder with plugins, the first one first (may be repeated)
    #[arg(
        long,
        global = true,
        env = "CNI_PATH",
        value_name = "DIR",
        value_delimiter = ':',
        hide_env_values = true,
        default_value = "/opt/cni/bin:/usr/local/libexec/cni:/usr/libexec/cni:/usr/local/lib/cni:/usr/lib/cni"
    )]
    plugin_dir: Vec<PathBuf>,
    /// Folder where runtimes record what is attached
    #[arg(
        long,
        global = true,
        env = "CNI_CACHE_DIR",
        value_name = "DIR",
        default_value = "/var/lib/cni",
        hide_env_values = true
    )]
    cache_dir: PathBuf,
    /// Folder with the networks of Podman 5 and later
    #[arg(
        long,
        global = true,
        env = "PODMAN_NETWORKS_DIR",
        value_name = "DIR",
        default_value = podman_network::folder::ROOT,
        hide_env_values = true
    )]
    podman_networks_dir: PathBuf,
}

/// A host with its networks.
#[derive(Debug)]
pub(crate) struct Host {
    folder: PathBuf,
    plugins: Vec<PathBuf>,
    runtime: Runtime,
    live_runtime: Runtime,
    podman_networks: PathBuf,
    podman_runtime: Runtime,
}

/// Who keeps record of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keeper {
    /// Runtimes that share libcni's cache.
    Runtimes,
    /// This command: the connection lasts as long as the container runs.
    Command,
    /// The network program of Podman 5 and later.
    Podman,
}

impl Keeper {
    pub(crate) const ALL: [Self; 3] = [Self::Runtimes, Self::Command, Self::Podman];
}

/// Why a network was not found.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LookUpError {
    #[error(transparent)]
    Folder(#[from] ConfigError),
    #[error("{0}: `ferrocni network ls` lists those there are")]
    Unknown(NotFound),
    #[error("{prefix} is the beginning of more than one network's id: {}", names.join(", "))]
    Ambiguous { prefix: String, names: Vec<String> },
    #[error("network {name} is Podman's, which keeps its addresses: use `podman {instead}`")]
    Podmans { name: String, instead: &'static str },
}

impl Host {
    pub(crate) fn new(places: &Places) -> Result<Self, Failure> {
        let plugins: Vec<_> = places.plugin_dir.iter().filter(|dir| !dir.as_os_str().is_empty()).cloned().collect();
        let runtime = Runtime::new(&plugins)?.with_cache(Cache::new(&places.cache_dir));
        let live_runtime = runtime.clone().with_cache(Cache::new(STATE));
        let podman_runtime = runtime.clone().with_cache(Cache::new(PODMAN_STATE));
        let podman_networks = places.podman_networks_dir.clone();
        Ok(Self { folder: places.config_dir.clone(), plugins, runtime, live_runtime, podman_networks, podman_runtime })
    }

    /// The folder of networks.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The folder of Podman's networks.
    pub(crate) fn podman_networks(&self) -> &Path {
        &self.podman_networks
    }

    /// Carries out the verbs of the protocol, and remembers what is attached.
    pub(crate) fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// The same, but what it attaches lasts as long as the container runs. Its cache is not the one that all runtimes share: a
    /// runtime's GC has libcni detach everything there that the runtime does not list.
    pub(crate) fn live_runtime(&self) -> &Runtime {
        &self.live_runtime
    }

    /// The one that carries out the verbs for connections of that keeper, and records them where it does.
    pub(crate) fn runtime_of(&self, keeper: Keeper) -> &Runtime {
        match keeper {
            Keeper::Runtimes => &self.runtime,
            Keeper::Command => &self.live_runtime,
            Keeper::Podman => &self.podman_runtime,
        }
    }

    /// A folder or file of this command's own state.
    pub(crate) fn state(&self, name: &str) -> PathBuf {
        Path::new(STATE).join(name)
    }

    /// The folders with plugins.
    pub(crate) fn plugin_folders(&self) -> &[PathBuf] {
        &self.plugins
    }

    /// Whether a plugin of that name is installed.
    pub(crate) fn has_plugin(&self, name: &str) -> bool {
        self.plugins.iter().any(|folder| folder.join(name).is_file())
    }

    /// Every network that a program of this host can use: those of files, whoever wrote them, and the ones that need no file.
    pub(crate) fn networks(&self) -> Result<Networks, ConfigError> {
        let mut networks = Networks::none(&self.folder);
        networks.extend(self.each_network(|network| network)?);
        Ok(networks)
    }

    /// What they are, and what is broken, for who wants no more: a thousand networks are not in memory at once.
    pub(crate) fn described(&self) -> Result<(Vec<Description>, Vec<ConfigError>), ConfigError> {
        let (mut described, mut broken) = (Vec::new(), Vec::new());
        for network in self.each_network(|network| Description::of(&network))? {
            match network {
                Ok(description) => described.push(description),
                Err(error) => broken.push(error),
            }
        }
        Ok((described, broken))
    }

    /// What `make` makes of the folder's networks, those in nerdctl's folders and of Podman's files, and the ones that are there without a
    /// file.
    fn each_network<T: Send>(
        &self,
        make: impl Fn(Network) -> T + Sync,
    ) -> Result<Vec<Result<T, ConfigError>>, ConfigError> {
        let make_named = |network: Network| (network.name().clone(), make(network));
        let read = |files: &[NetworkFile]| files.iter().map(|file| file.read().map(make_named)).collect::<Vec<_>>();
        let mut found: Vec<_> = in_parts(&Networks::files(&self.folder)?, read).into_iter().flatten().collect();
        for file in lists_in_folders(&self.folder)? {
            found.extend(file.read().ok().map(make_named).map(Ok));
        }
        let (podmans, broken) = self.podmans()?;
        found.extend(podmans.into_iter().map(make_named).map(Ok).chain(broken.into_iter().map(Err)));
        let names: HashSet<_> = found.iter().flatten().map(|(name, _)| name.clone()).collect();
        found.extend(network::without_file(self.runtime.cache(), |name| names.contains(name)).map(make_named).map(Ok));
        Ok(found.into_iter().map(|network| network.map(|(_, made)| made)).collect())
    }

    /// The network of that name, as [`Networks::find`] finds it. Other networks' files are not understood for that, which takes longer than
    /// reading them.
    fn named(&self, name: &str) -> Result<Option<Network>, ConfigError> {
        let (lists, others): (Vec<_>, Vec<_>) =
            Networks::files(&self.folder)?.into_iter().partition(NetworkFile::is_list);
        let mut files = lists.into_iter().chain(lists_in_folders(&self.folder)?).chain(others);
        // Who has not found a network is told what is broken.
        if let Some(network) = files.find_map(|file| file.read_if_named(name).ok().flatten()) {
            return Ok(Some(network));
        }
        let podmans = self.podmans()?.0.into_iter().find(|network| network.name().as_str() == name);
        Ok(podmans.or_else(|| network::without_file(self.runtime.cache(), |known| known.as_str() != name).next()))
    }

    /// Those of Podman's files with what is broken, and the ones that containers are on although they have none, as Podman's own
    /// default network.
    fn podmans(&self) -> Result<(Vec<Network>, Vec<ConfigError>), ConfigError> {
        let (mut networks, broken) = podman::networks(&self.podman_networks)?;
        // What cannot be read is told where connections are.
        let recorded = self.podman_runtime.cache().list().map(|cached| cached.attached).unwrap_or_default();
        for network in recorded.iter().filter_map(|attached| attached.configured().ok().flatten()) {
            if networks.iter().all(|known| known.name() != network.name()) {
                networks.push(network);
            }
        }
        Ok((networks, broken))
    }

    /// The same as [`Host::network`], for something that this command cannot do to Podman's networks; `instead` is Podman's command.
    pub(crate) fn network_to_change(&self, wanted: &str, instead: &'static str) -> Result<Network, LookUpError> {
        let network = self.network(wanted)?;
        if podman::is_podmans(&network) {
            return Err(LookUpError::Podmans { name: network.name().to_string(), instead });
        }
        Ok(network)
    }

    /// The network of that name, id or beginning of an id.
    pub(crate) fn network(&self, wanted: &str) -> Result<Network, LookUpError> {
        match self.named(wanted)? {
            Some(network) => Ok(network),
            None => find(&self.networks()?, wanted).cloned(),
        }
    }
}

fn find<'a>(networks: &'a Networks, wanted: &str) -> Result<&'a Network, LookUpError> {
    let missing = match networks.find(wanted) {
        Ok(network) => return Ok(network),
        Err(missing) => missing,
    };
    let with_id = |network: &&Network| !wanted.is_empty() && Description::id_of(network).starts_with(wanted);
    let found: Vec<_> = networks.networks.iter().filter(with_id).collect();
    match found[..] {
        [network] => Ok(network),
        [] => Err(LookUpError::Unknown(missing)),
        _ => Err(LookUpError::Ambiguous {
            prefix: wanted.to_owned(),
            names: found.iter().map(|network| network.name().to_string()).collect(),
        }),
    }
}

/// nerdctl has a folder for the networks of each of containerd's namespaces. Other files in such a folder are libcni's: plugins that
/// belong to a list.
fn lists_in_folders(folder: &Path) -> Result<Vec<NetworkFile>, ConfigError> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut folders: Vec<_> =
        entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path()).collect();
    folders.sort();
    let mut lists = Vec::new();
    for folder in folders {
        lists.extend(Networks::files(&folder)?.into_iter().filter(NetworkFile::is_list));
    }
    Ok(lists)
}
