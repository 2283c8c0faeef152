//! Files that plugins and libcni keep.

use std::fs;
use std::path::Path;

use super::is_namespace;

/// Where they are.
const FOLDERS: [&str; 5] =
    ["/var/lib/cni", "/run/ferrocni", "/run/cni/tuning", "/run/containers/networks", "/run/netns"];

/// Podman's addresses, and what netavark keeps of no network.
const OF_PODMAN: [&str; 5] = ["ipam.db", "netavark.lock", "aardvark.lock", "firewall-driver", "firewall-reload.lock"];

/// What the names of the socket, the locks and the log of the server of names begin with.
const OF_THE_SERVER: &str = "/run/ferrocni/dns.";

/// The folder of the DHCP daemon's leases.
const LEASES: &str = "/run/ferrocni/dhcp";

/// A line for each file that belongs to an attachment; to be called inside a host.
pub(super) fn lines() -> Vec<String> {
    let mut lines = Vec::new();
    for folder in FOLDERS {
        walk(Path::new(folder), &mut lines);
    }
    lines
}

fn walk(folder: &Path, lines: &mut Vec<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => walk(&path, lines),
            Ok(kind) if kind.is_symlink() => {
                lines.push(format!("file {} -> {:?}", path.display(), fs::read_link(&path)));
            }
            // What is in one is in the snapshot by itself.
            _ if is_namespace(&path) => {}
            _ if belongs_to_the_network(&path) || path.to_string_lossy().starts_with(OF_THE_SERVER) => {}
            // What they say depends on when they were made.
            _ if path.starts_with(LEASES) => lines.push(format!("file {}", path.display())),
            _ => lines.push(format!("file {} {:?}", path.display(), contents(&path))),
        }
    }
}

/// host-local's lock and memory, what ours keeps in its hidden folder, other than links, and [`OF_PODMAN`].
fn belongs_to_the_network(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let is_hidden = path.components().any(|part| part.as_os_str() == ".ferrocni");
    name == "lock" || name.starts_with("last_reserved_ip.") || is_hidden || OF_PODMAN.contains(&&*name)
}

fn contents(path: &Path) -> String {
    fs::read(path).map_or_else(|error| error.to_string(), |bytes| String::from_utf8_lossy(&bytes).into_owned())
}
