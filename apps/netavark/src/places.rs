//! Where things are on the host.

use std::path::{Path, PathBuf};

/// Where distributions and administrators install CNI plugins.
const PLUGINS: [&str; 5] =
    ["/opt/cni/bin", "/usr/local/libexec/cni", "/usr/libexec/cni", "/usr/local/lib/cni", "/usr/lib/cni"];

/// `CNI_PATH`: the folder of this program, and those where plugins are. Only dhcp is executed from there.
pub(crate) fn plugin_path() -> String {
    let own = std::env::current_exe().ok().and_then(|program| Some(program.parent()?.to_str()?.to_owned()));
    own.iter().map(String::as_str).chain(PLUGINS).collect::<Vec<_>>().join(":")
}

/// The program of that name in the first of these folders that has one.
pub(crate) fn find<'a>(name: &str, folders: impl IntoIterator<Item = &'a Path>) -> Option<PathBuf> {
    folders.into_iter().map(|folder| folder.join(name)).find(|file| file.is_file())
}
