//! What a host and its containers have, to find out what somebody left behind.

mod files;
mod iptables;
pub(crate) mod network;
mod nftables;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::Path;

use crate::command::Inside;
use crate::host::{Container, Host};

/// Everything that plugins can leave on a host, as readable lines: in the host and in each namespace below
/// `/run/netns` the links (with alias and master), addresses, routes of all tables, rules, nftables and
/// iptables; the files below `/var/lib/cni`, `/run/ferrocni`, `/run/cni/tuning` and
/// `/run/containers/networks`.
///
/// Not in it, because it belongs to nobody in particular: sysctls, neighbours, what the kernel adds by
/// itself (link-local addresses, multicast routes, tunnels that nobody uses), the skeletons of our nftables
/// tables, of netavark's and of the reference's iptables chains, the lock and the last address of host-local, the server of names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Each line with how often it is there.
    lines: BTreeMap<String, usize>,
    /// Bridges of the host that have no port.
    empty_bridges: BTreeSet<String>,
}

impl Snapshot {
    pub(crate) fn of(host: &Host) -> Self {
        let mut lines = Vec::new();
        let (network, empty_bridges) = network::lines(host);
        lines.extend(prefixed("host", network));
        lines.extend(prefixed("host", rules(host)));
        for (name, namespace) in containers(host) {
            lines.push(format!("namespace {name}"));
            let place = Elsewhere(host.namespaces().with_network(namespace));
            lines.extend(prefixed(&name, network::lines(&place).0));
            lines.extend(prefixed(&name, rules(&place)));
        }
        lines.extend(host.namespaces().enter(files::lines));
        let mut snapshot = Self { empty_bridges, ..Self::default() };
        for line in lines {
            *snapshot.lines.entry(line).or_default() += 1;
        }
        snapshot
    }

    /// The lines in which the two differ: `-` is here only, `+` is in `later` only.
    #[must_use]
    pub fn diff(&self, later: &Self) -> Vec<String> {
        let gone = self.lines_beyond(later).map(|line| format!("- {line}"));
        let new = later.lines_beyond(self).map(|line| format!("+ {line}"));
        gone.chain(new).collect()
    }

    /// [`diff`](Self::diff) from `before`, but a bridge that has come since and has no port is forgiven, with
    /// its addresses and routes: as in the reference it belongs to the network, not to an attachment.
    #[must_use]
    pub fn leftovers(&self, before: &Self) -> Vec<String> {
        let belongs_to = |bridge: &str, line: &str| line.contains(&format!(" dev {bridge} "));
        let is_new = |bridge: &&String| !before.lines.keys().any(|line| belongs_to(bridge, line));
        let new_bridges: Vec<_> = self.empty_bridges.iter().filter(is_new).collect();
        let forgiven =
            |line: &String| line.starts_with("+ host") && new_bridges.iter().any(|bridge| belongs_to(bridge, line));
        before.diff(self).into_iter().filter(|line| !forgiven(line)).collect()
    }

    /// The same without what is inside this container.
    #[must_use]
    pub fn without(mut self, container: &Container) -> Self {
        let inside = format!("{} ", container.id);
        self.lines.retain(|line, _| !line.starts_with(&inside));
        self
    }

    /// Requires that there are no [`leftovers`](Self::leftovers).
    ///
    /// # Panics
    /// If there are, with a list of them.
    #[track_caller]
    pub fn assert_nothing_since(&self, before: &Self) {
        let leftovers = self.leftovers(before);
        assert!(leftovers.is_empty(), "this was left behind (+) or taken away (-):\n{}", leftovers.join("\n"));
    }

    fn lines_beyond<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = &'a String> {
        self.lines.iter().filter(|(line, count)| other.lines.get(*line).unwrap_or(&0) < count).map(|(line, _)| line)
    }
}

/// A namespace that is nobody's [`Container`].
struct Elsewhere(crate::Namespaces);

impl Inside for Elsewhere {
    fn namespaces(&self) -> &crate::Namespaces {
        &self.0
    }
}

fn rules(place: &impl Inside) -> Vec<String> {
    let ruleset = place.nft_json(["list", "ruleset"]);
    let mut lines = nftables::lines(&ruleset);
    for tool in iptables::with_tables(place, &ruleset) {
        lines.extend(iptables::lines(tool, &place.run([tool])));
    }
    lines
}

fn prefixed(place: &str, lines: Vec<String>) -> impl Iterator<Item = String> {
    lines.into_iter().map(move |line| format!("{place} {line}"))
}

/// The namespaces below `/run/netns`. A file there that is no namespace is a leftover of its own kind; it is
/// listed by [`files`].
fn containers(host: &Host) -> Vec<(String, File)> {
    host.namespaces().enter(|| {
        let Ok(folder) = fs::read_dir("/run/netns") else { return Vec::new() };
        let named = folder.flatten().filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            Some((name, File::open(entry.path()).ok().filter(|_| is_namespace(&entry.path()))?))
        });
        named.collect()
    })
}

/// Whether the file is on the kernel's file system for namespaces.
fn is_namespace(path: &Path) -> bool {
    nix::sys::statfs::statfs(path).is_ok_and(|fs| fs.filesystem_type() == nix::sys::statfs::NSFS_MAGIC)
}
