//! Names of nerdctl's containers.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Its folder, with one of eight hexadecimal digits for each address of containerd.
const STORE: &str = "/var/lib/nerdctl";
/// The most that a file with an id may have, in bytes.
const LIMIT: usize = 4096;

/// What nerdctl calls its containers: `<store>/<address>/names/<namespace>/<name>` holds an id.
#[derive(Debug, Default)]
pub(crate) struct Names(HashMap<String, String>);

impl Names {
    /// Without nerdctl, or without the right to look, there are none.
    pub(crate) fn load() -> Self {
        Self::of_store(Path::new(STORE))
    }

    fn of_store(store: &Path) -> Self {
        let namespaces = entries(store).flat_map(|address| entries(&address.join("names")));
        let files = namespaces.flat_map(|namespace| entries(&namespace));
        Self(files.filter_map(|file| read(&file)).collect())
    }

    /// By the id that plugins are told.
    pub(crate) fn of(&self, id: &str) -> Option<&str> {
        self.0.get(id).map(String::as_str)
    }
}

fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path())
}

/// The id as plugins are told it, and the name.
fn read(file: &Path) -> Option<(String, String)> {
    let namespace = file.parent()?.file_name()?.to_str()?;
    let id = String::from_utf8(files::read(file, LIMIT).ok()?).ok()?;
    Some((format!("{namespace}-{}", id.trim()), file.file_name()?.to_str()?.to_owned()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_every_namespace() {
        let store = tempfile::tempdir().unwrap();
        for (namespace, name, id) in [("default", "web", "12ab"), ("k8s.io", "db", "34cd\n")] {
            let folder = store.path().join("1935db59/names").join(namespace);
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join(name), id).unwrap();
        }
        let names = Names::of_store(store.path());
        assert_eq!((names.of("default-12ab"), names.of("k8s.io-34cd")), (Some("web"), Some("db")));
        assert_eq!(names.of("default-34cd"), None);
    }
}
