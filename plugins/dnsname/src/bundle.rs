//! The OCI bundle of a container of containerd, in which nerdctl says what it is called.

use std::io;
use std::path::{Path, PathBuf};

use cni_plugin::ContainerId;
use serde::Deserialize;

/// Where containerd has the bundles of what runs: `<namespace>/<id>`.
const TASKS: &str = "/run/containerd/io.containerd.runtime.v2.task";

/// The most that a container's configuration may have, in bytes: most have some ten thousand.
const LIMIT: usize = 4 << 20;

/// How many characters of an id nerdctl shows.
const SHORT_ID: usize = 12;

/// What a bundle says about a container's names.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Annotations {
    pub(crate) name: Option<String>,
    pub(crate) hostname: Option<String>,
    /// The container's id within its namespace of containerd.
    pub(crate) id: Option<String>,
    pub(crate) short_id: Option<String>,
}

/// A bundle that is there and says nothing.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {}: {reason}", path.display())]
pub(crate) struct Unreadable {
    path: PathBuf,
    reason: io::Error,
}

/// What the container's bundle says; `None` for a container of another runtime. nerdctl and ctr call plugins with
/// `<namespace>-<id>`.
pub(crate) fn annotations(container: &ContainerId) -> Result<Option<Annotations>, Unreadable> {
    annotations_in(Path::new(TASKS), container.as_str())
}

fn annotations_in(tasks: &Path, container: &str) -> Result<Option<Annotations>, Unreadable> {
    for (namespace, id) in splits(container) {
        let path = tasks.join(namespace).join(id).join("config.json");
        match files::read(&path, LIMIT).and_then(|text| Ok(serde_json::from_slice(&text)?)) {
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
            Err(reason) => return Err(Unreadable { path, reason }),
            Ok(Bundle { annotations }) => return Ok(Some(annotations.of(id))),
        }
    }
    Ok(None)
}

/// Either word may hold a dash as well.
fn splits(container: &str) -> impl Iterator<Item = (&str, &str)> {
    let pairs = container.match_indices('-').map(|(at, _)| (&container[..at], &container[at + 1..]));
    pairs.filter(|(_, id)| ContainerId::new(*id).is_ok())
}

#[derive(Deserialize)]
struct Bundle {
    #[serde(default)]
    annotations: Labels,
}

/// nerdctl's labels of the container, which are annotations of its bundle too.
#[derive(Default, Deserialize)]
struct Labels {
    #[serde(rename = "nerdctl/name")]
    name: Option<String>,
    #[serde(rename = "nerdctl/hostname")]
    hostname: Option<String>,
}

impl Labels {
    fn of(self, id: &str) -> Annotations {
        let short_id = id.get(..SHORT_ID).map(str::to_owned);
        Annotations { name: self.name, hostname: self.hostname, id: Some(id.to_owned()), short_id }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn bundle(tasks: &Path, container: &str, config: &str) {
        let folder = tasks.join(container);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("config.json"), config).unwrap();
    }

    #[test]
    fn a_bundle_is_found_by_namespace_and_id() {
        let dir = tempfile::tempdir().unwrap();
        let labels = r#"{"annotations": {"nerdctl/name": "web", "nerdctl/hostname": "shop", "x": "y"}}"#;
        bundle(dir.path(), "my-space/0123456789abcdef", labels);
        bundle(dir.path(), "default/my-web", "{}");
        let found = annotations_in(dir.path(), "my-space-0123456789abcdef").unwrap().unwrap();
        assert_eq!((found.name.as_deref(), found.hostname.as_deref()), (Some("web"), Some("shop")));
        assert_eq!(found.short_id.as_deref(), Some("0123456789ab"));
        let found = annotations_in(dir.path(), "default-my-web").unwrap().unwrap();
        assert_eq!((found.name, found.id.as_deref(), found.short_id), (None, Some("my-web"), None));
        for other in ["0123456789abcdef", "default-gone", "a-..", "-", "a-"] {
            assert_eq!(annotations_in(dir.path(), other).unwrap(), None, "{other}");
        }
    }

    #[test]
    fn a_bundle_that_says_nothing_is_named() {
        let dir = tempfile::tempdir().unwrap();
        bundle(dir.path(), "default/web", "{");
        let error = annotations_in(dir.path(), "default-web").unwrap_err();
        assert!(error.to_string().contains("default/web/config.json: "), "{error}");
    }
}
