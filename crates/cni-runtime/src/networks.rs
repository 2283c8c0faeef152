//! A folder of networks, such as `/etc/cni/net.d`.

use std::path::{Path, PathBuf};

use crate::network::{ConfigError, Network, NetworkFile, is_list, network_files};

/// The networks of a folder.
#[derive(Debug)]
#[non_exhaustive]
pub struct Networks {
    /// The folder.
    pub folder: PathBuf,
    /// In the order of the files' names. The first is what a Kubernetes runtime takes for its pods.
    pub networks: Vec<Network>,
    /// The files that are no networks, in the same order.
    pub broken: Vec<ConfigError>,
}

/// No network has that name.
#[derive(Debug, thiserror::Error)]
#[error("there is no network {name} in {}{}", folder.display(), unread(broken))]
#[non_exhaustive]
pub struct NotFound {
    /// The name.
    pub name: String,
    /// Where it was looked for.
    pub folder: PathBuf,
    /// The files there that are no networks: it may be in one of them.
    pub broken: Vec<PathBuf>,
}

fn unread(broken: &[PathBuf]) -> String {
    let names: Vec<_> = broken.iter().map(|path| path.display().to_string()).collect();
    if names.is_empty() {
        String::new()
    } else {
        format!(", but it may be in one of these, which cannot be read: {}", names.join(", "))
    }
}

impl Networks {
    /// Reads a folder's files: lists (`.conflist`), and configurations of single plugins (`.conf`, `.json`). A broken one does not
    /// hide the others. A folder that is not there has no networks.
    ///
    /// # Errors
    /// The folder cannot be listed.
    pub fn load(folder: impl Into<PathBuf>) -> Result<Self, ConfigError> {
        let mut networks = Self::none(folder);
        networks.extend(Self::files(&networks.folder)?.iter().map(NetworkFile::read));
        Ok(networks)
    }

    /// No networks yet, of that folder.
    #[must_use]
    pub fn none(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), networks: Vec::new(), broken: Vec::new() }
    }

    /// The files that are read for that, for who does not need all or reads several at once.
    ///
    /// # Errors
    /// As [`Networks::load`].
    pub fn files(folder: &Path) -> Result<Vec<NetworkFile>, ConfigError> {
        network_files(folder)
    }

    /// The network of that name: the first list, or else the first of a single plugin, as libcni finds it.
    ///
    /// # Errors
    /// There is none.
    pub fn find(&self, name: &str) -> Result<&Network, NotFound> {
        let of_that_name = || self.networks.iter().filter(|network| network.name().as_str() == name);
        let list = of_that_name().find(|network| network.path.as_deref().is_some_and(is_list));
        list.or_else(|| of_that_name().next()).ok_or_else(|| NotFound {
            name: name.to_owned(),
            folder: self.folder.clone(),
            broken: self.broken.iter().map(|error| error.path().to_owned()).collect(),
        })
    }
}

impl Extend<Result<Network, ConfigError>> for Networks {
    fn extend<I: IntoIterator<Item = Result<Network, ConfigError>>>(&mut self, found: I) {
        for network in found {
            match network {
                Ok(network) => self.networks.push(network),
                Err(error) => self.broken.push(error),
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;
    use std::process::Command;

    use super::*;

    const LIST: &str = r#"{"name": "NAME", "cniVersion": "1.0.0", "plugins": [{"type": "one"}]}"#;
    const SINGLE: &str = r#"{"name": "NAME", "cniVersion": "1.0.0", "type": "one"}"#;

    fn folder(files: &[(&str, &str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (file, text, name) in files {
            fs::write(folder.path().join(file), text.replace("NAME", name)).unwrap();
        }
        folder
    }

    fn names(networks: &Networks) -> Vec<&str> {
        networks.networks.iter().map(|network| network.name().as_str()).collect()
    }

    #[test]
    fn networks_are_in_the_order_of_their_files() {
        let folder = folder(&[
            ("b.conflist", LIST, "four"),
            ("10-x.json", SINGLE, "three"),
            ("10-x.conf", SINGLE, "one"),
            ("10-x.conflist", LIST, "two"),
            ("9.conflist.bak", LIST, "none"),
            (".conflist", LIST, "hidden"),
        ]);
        fs::create_dir(folder.path().join("a.conf")).unwrap();
        let networks = Networks::load(folder.path()).unwrap();
        assert_eq!(names(&networks), ["hidden", "one", "two", "three", "four"]);
        assert!(networks.broken.is_empty(), "{:?}", networks.broken);
    }

    #[test]
    fn a_name_is_the_first_lists() {
        let folder = folder(&[
            ("10.conf", SINGLE, "n"),
            ("20.conflist", LIST, "n"),
            ("30.conflist", LIST, "n"),
            ("40.conf", SINGLE, "m"),
            ("50.json", SINGLE, "m"),
        ]);
        let networks = Networks::load(folder.path()).unwrap();
        for (name, file) in [("n", "20.conflist"), ("m", "40.conf")] {
            assert!(networks.find(name).unwrap().path.as_ref().unwrap().ends_with(file), "{name}");
        }
        assert!(networks.find("N").is_err());
    }

    #[test]
    fn broken_files_are_told_and_hide_nothing() {
        let folder = folder(&[("10.conflist", "{", ""), ("20.conflist", LIST, "n"), ("target", LIST, "linked")]);
        let path = |name: &str| folder.path().join(name);
        assert!(Command::new("mkfifo").arg(path("05.conf")).status().unwrap().success());
        let _socket = UnixListener::bind(path("06.json")).unwrap();
        symlink("/dev/zero", path("07.conflist")).unwrap();
        symlink("nowhere", path("08.conflist")).unwrap();
        symlink("target", path("30.conflist")).unwrap();
        let networks = Networks::load(folder.path()).unwrap();
        assert_eq!(names(&networks), ["n", "linked"]);
        let broken: Vec<_> = networks.broken.iter().map(|error| error.path().to_owned()).collect();
        assert_eq!(broken, ["05.conf", "06.json", "07.conflist", "08.conflist", "10.conflist"].map(path));
        let error = networks.find("m").unwrap_err().to_string();
        assert!(error.contains("no network m in") && error.contains("10.conflist"), "{error}");
    }

    #[test]
    fn a_file_without_an_end_is_broken() {
        let folder = folder(&[("10.conflist", &" ".repeat(2 << 20), "")]);
        assert_eq!(Networks::load(folder.path()).unwrap().broken.len(), 1);
    }

    #[test]
    fn a_file_that_cannot_have_the_name_is_not_understood() {
        let escaped = LIST.replace("NAME", r"\u006eet");
        let folder = folder(&[
            ("10.conflist", LIST, "net"),
            ("20.conflist", "{", ""),
            ("30.conflist", LIST, "other"),
            ("40.conflist", LIST, "net2"),
            ("50.conflist", &escaped, ""),
            ("60.conflist", "{ net", ""),
        ]);
        let files = Networks::files(folder.path()).unwrap();
        let found: Vec<_> = files.iter().map(|file| file.read_if_named("net")).collect();
        let [Ok(Some(first)), Ok(None), Ok(None), Ok(None), Ok(Some(escaped)), Err(_)] = &found[..] else {
            panic!("{found:?}")
        };
        assert_eq!([first.name().as_str(), escaped.name().as_str()], ["net", "net"]);
    }

    #[test]
    fn plugins_are_looked_for_beside_lists_where_there_are_folders() {
        let folder = folder(&[("10.conflist", LIST, "n"), ("n", "no folder", "")]);
        let count = || Networks::load(folder.path()).unwrap().find("n").unwrap().list.plugins.len();
        assert_eq!(count(), 1);
        fs::create_dir(folder.path().join("other")).unwrap();
        assert_eq!(count(), 1);
        fs::remove_file(folder.path().join("n")).unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        fs::write(elsewhere.path().join("10.conf"), r#"{"type": "two"}"#).unwrap();
        symlink(elsewhere.path(), folder.path().join("n")).unwrap();
        assert_eq!(count(), 2);
        fs::remove_file(folder.path().join("n")).unwrap();
        fs::create_dir(folder.path().join("n")).unwrap();
        fs::write(folder.path().join("n/10.conf"), r#"{"type": "two"}"#).unwrap();
        assert_eq!(count(), 2);
    }

    #[test]
    fn no_folder_has_no_networks() {
        let folder = folder(&[("file", "", "")]);
        let networks = Networks::load(folder.path().join("nowhere")).unwrap();
        assert_eq!((networks.networks.len(), networks.broken.len()), (0, 0));
        assert!(networks.find("n").is_err());
    }

    #[test]
    fn what_is_no_folder_is_an_error() {
        let folder = folder(&[("file", "", "")]);
        let error = Networks::load(folder.path().join("file")).unwrap_err();
        assert!(error.path().ends_with("file"), "{error}");
    }
}
