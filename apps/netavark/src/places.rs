//! Where things are on the host.

use std::path::{Path, PathBuf};

/// Where distributions and administrators install CNI plugins.
const PLUGINS: [&str; 5] =
    ["/opt/cni/bin", "/usr/local/libexec/cni", "/usr/libexec/cni", "/usr/local/lib/cni", "/usr/lib/cni"];

/// Where CNI plugins are: the folder of this program, and those. What is linked here is not executed.
pub(crate) fn plugin_folders() -> Vec<PathBuf> {
    let own = std::env::current_exe().ok().and_then(|program| Some(program.parent()?.to_owned()));
    own.into_iter().chain(PLUGINS.map(PathBuf::from)).collect()
}

/// The same as `CNI_PATH`.
pub(crate) fn plugin_path() -> String {
    let folders = plugin_folders();
    folders.iter().filter_map(|folder| folder.to_str()).collect::<Vec<_>>().join(":")
}

/// The program of that name in the first of these folders that has one.
pub(crate) fn find<'a>(name: &str, folders: impl IntoIterator<Item = &'a Path>) -> Option<PathBuf> {
    let is_name = !name.contains('/') && !name.starts_with('.');
    folders.into_iter().map(|folder| folder.join(name)).find(|file| is_name && file.is_file())
}

/// The CNI plugin of that type.
pub(crate) fn find_plugin(kind: &str) -> Option<PathBuf> {
    find(kind, plugin_folders().iter().map(PathBuf::as_path))
}
