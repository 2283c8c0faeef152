//! Names that the plugin `dnsname` of containers/dnsname has left, with a server (dnsmasq) for each network.

mod dnsmasq;
mod hosts;

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use cni_plugin::{Attachment, Network, Undo};
use cni_runtime::{Attached, CacheError};
use names::{Record, Records};
use netlink::{Netns, if_found};

use crate::identity::Identity;
use crate::{Config, Error, registration};

/// Where the folders of its networks are, below `XDG_RUNTIME_DIR` if that is set, else below /run.
const FOLDERS: &str = "containers/cni/dnsname";

/// What is in such a folder. The lock goes last: another call of this plugin may wait for it.
const FILES: [&str; 5] = [hosts::FILE, "addnhosts.old", dnsmasq::CONFIG, dnsmasq::PID, LOCK];
const LOCK: &str = "lock";

/// What was left is not, or not wholly, taken over.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("cannot {action} {}: {reason}", path.display())]
    File { action: &'static str, path: PathBuf, reason: io::Error },
    #[error("cannot stop dnsmasq, process {pid}: {reason}")]
    Process { pid: i32, reason: io::Error },
    #[error(transparent)]
    Cache(#[from] CacheError),
    #[error(transparent)]
    Rule(#[from] iptables::Error),
    #[error("{}", cni_plugin::Error::from_chain(cni_plugin::Code::Internal, .0))]
    Registration(#[from] Error),
}

/// Takes over what is left of the network: the names of containers that live, which find them here as they did before, then the
/// server is stopped, its rule in the host's packet filter removed, and its folder as well. What fails is noted, and left for the
/// next call.
pub(crate) fn adopt(network: &Network<Config>) {
    for folder in folders(network) {
        if let Err(failure) = adopt_from(&folder, network) {
            network.note(&format!("what another dnsname has left is still there: {failure}"));
        }
    }
}

fn folders(network: &Network<Config>) -> impl Iterator<Item = PathBuf> {
    let user = std::env::var_os("XDG_RUNTIME_DIR").filter(|folder| !folder.is_empty());
    let runtime = user.map(PathBuf::from).into_iter().chain([PathBuf::from("/run")]);
    runtime.map(move |runtime| runtime.join(FOLDERS).join(network.name.as_str()))
}

fn adopt_from(folder: &Path, network: &Network<Config>) -> Result<(), Failure> {
    let failed = |action| move |reason| Failure::File { action, path: folder.to_owned(), reason };
    if !is_own(folder).map_err(failed("look at"))? {
        return Ok(());
    }
    let _lock = files::lock(&folder.join(LOCK)).map_err(failed("lock"))?;
    for (attached, names) in hosts::living(folder, &network.name)? {
        adopt_names(&attached, names, &network.config)?;
    }
    dnsmasq::stop(folder)?;
    dnsmasq::close_port(folder)?;
    remove(folder).map_err(failed("remove"))
}

/// What another user has put there is nobody's whose names or processes are to be touched.
fn is_own(folder: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(folder) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(false),
        found => found.map(|found| found.is_dir() && found.uid() == rustix::process::geteuid().as_raw()),
    }
}

/// The container goes on asking the server that it was told at its start, whose address is the bridge's: what it asks is
/// intercepted.
fn adopt_names(attached: &Attached, identity: Identity, config: &Config) -> Result<(), Failure> {
    let attachment = attached.attachment();
    let is_known = Records::default().read(&attachment).map_err(Error::from)?.is_some();
    let Some((netns, mut record)) = record(&attachment, attached, identity, config)?.filter(|_| !is_known) else {
        return Ok(());
    };
    record.intercept = true;
    let mut undo = Undo::new();
    registration::enter(&attachment, &netns, &record, &mut undo).inspect_err(|_| {
        // The error says more than what would come of this.
        let _ = undo.roll_back();
    })?;
    Ok(())
}

/// `None` for a container that is gone.
fn record(
    attachment: &Attachment,
    attached: &Attached,
    identity: Identity,
    config: &Config,
) -> Result<Option<(Netns, Record)>, Error> {
    let Some(path) = &attached.endpoint.netns else { return Ok(None) };
    let Some(netns) = if_found(Netns::open(path))? else { return Ok(None) };
    let record = registration::record(config, &attachment.ifname, &attached.parsed_result()?, identity, &netns)?;
    Ok(Some((netns, record)))
}

/// Nothing but what is known to be the other plugin's.
fn remove(folder: &Path) -> io::Result<()> {
    for file in FILES {
        files::remove(&folder.join(file))?;
    }
    fs::remove_dir(folder)
}
