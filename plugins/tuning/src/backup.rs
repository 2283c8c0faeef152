//! The values before ADD, for DEL to restore. The kernel has no place for them, so there is one file for each attachment,
//! with the reference's name and format: each suite restores what the other has tuned.

use std::io::{self, ErrorKind};
use std::path::Path;

use cni_plugin::{Attachment, Failures};
use files::Folder;
use netlink::Netns;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use suite::Labelled as _;

use crate::key::Key;
use crate::settings::Settings;
use crate::{Config, Error};

/// Largest file that is read or written, in bytes: far more than any real one.
const MAX: usize = 256 << 10;

/// The settings to restore, and the namespace that they belong to.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) settings: Settings,
    namespace: String,
}

/// The file of one attachment, `<dataDir>/<container>_<interface>.json`.
#[derive(Debug, Clone)]
pub(crate) struct Backup {
    folder: Folder,
    name: String,
    label: String,
}

/// The file's content. The reference does not know the first two keys and the last one, and ignores them.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Contents {
    #[serde(skip_serializing_if = "String::is_empty")]
    attachment: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    namespace: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    mac: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    promisc: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mtu: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    allmulti: Option<bool>,
    #[serde(rename = "txQLen", skip_serializing_if = "Option::is_none")]
    tx_queue_len: Option<u32>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    sysctl: Map<String, Value>,
}

impl Backup {
    pub(crate) fn of(config: &Config, attachment: &Attachment) -> Self {
        let name = format!("{}_{}.json", attachment.container, attachment.ifname);
        Self { folder: folder(config), name, label: attachment.label() }
    }

    /// Remembers the settings, and returns what the file said before.
    ///
    /// A list may have this plugin twice. The second one finds the file, and keeps the values from before both.
    pub(crate) fn keep(&self, before: &Settings, netns: &Netns) -> Result<Option<Vec<u8>>, Error> {
        let namespace = identity(netns)?;
        let is_ours =
            |contents: &Contents| contents.attachment == self.label && is_same(&contents.namespace, &namespace);
        let earlier = read(&self.folder, &self.name)?.filter(|bytes| is_ours(&Contents::read(bytes)));
        let all = match &earlier {
            Some(bytes) => Settings::from(Contents::read(bytes)).or(before),
            None => before.clone(),
        };
        self.write(&Contents { attachment: self.label.clone(), namespace, ..Contents::of(&all) }.bytes())?;
        Ok(earlier)
    }

    /// Undoes [`keep`](Self::keep): restores the file's earlier content, or removes the file if there was none.
    pub(crate) fn put_back(&self, earlier: Option<Vec<u8>>) -> Result<(), Error> {
        match earlier {
            Some(bytes) => self.write(&bytes),
            None => self.remove(),
        }
    }

    /// The settings to restore; `None` if there is no file, or if it belongs to another network. A file that is not valid
    /// JSON counts as empty, so that it can be removed.
    pub(crate) fn read(&self) -> Result<Option<Kept>, Error> {
        let contents = read(&self.folder, &self.name)?.map(|bytes| Contents::read(&bytes));
        let may_be_ours = |contents: &Contents| contents.attachment.is_empty() || contents.attachment == self.label;
        match contents {
            Some(contents) if may_be_ours(&contents) => Ok(Some(Kept::from(contents))),
            Some(_) => Ok(None),
            // An ADD that was killed may have left an unfinished one.
            None => self.remove().map(|()| None),
        }
    }

    pub(crate) fn remove(&self) -> Result<(), Error> {
        remove(&self.folder, &self.name)
    }

    fn write(&self, bytes: &[u8]) -> Result<(), Error> {
        self.folder.write(&self.name, bytes).map_err(failed("write", &self.folder.path_of(&self.name)))
    }
}

impl Contents {
    fn of(settings: &Settings) -> Self {
        Self {
            mac: settings.mac.map(|mac| mac.to_string()).unwrap_or_default(),
            promisc: settings.promisc,
            mtu: settings.mtu,
            allmulti: settings.allmulti,
            tx_queue_len: settings.tx_queue_len,
            sysctl: settings.sysctls.iter().map(|(key, value)| (key.to_string(), value.clone().into())).collect(),
            ..Self::default()
        }
    }

    fn read(bytes: &[u8]) -> Self {
        let value: Option<Value> = serde_json::from_slice(bytes).ok();
        value.and_then(|value| cni_plugin::json::from_value(&value).ok()).unwrap_or_default()
    }

    fn bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

impl Kept {
    /// Whether the namespace can be the one that was tuned, as opposed to a later one at the same path.
    pub(crate) fn may_be_of(&self, netns: &Netns) -> Result<bool, Error> {
        Ok(is_same(&self.namespace, &identity(netns)?))
    }
}

impl From<Contents> for Kept {
    fn from(contents: Contents) -> Self {
        Self { namespace: contents.namespace.clone(), settings: contents.into() }
    }
}

/// Files of the reference and of earlier releases do not identify a namespace.
fn is_same(noted: &str, namespace: &str) -> bool {
    noted.is_empty() || noted == namespace
}

/// The namespace's cookie. Before Linux 5.14 the inode number, which a later namespace may reuse.
fn identity(netns: &Netns) -> Result<String, Error> {
    Ok(match netns.cookie()? {
        Some(cookie) => format!("cookie {cookie}"),
        None => format!("inode {}", netns.id().inode),
    })
}

impl From<Contents> for Settings {
    fn from(contents: Contents) -> Self {
        let sysctl = |(key, value): (String, Value)| Some((Key::parse(&key)?, value.as_str()?.to_owned()));
        Self {
            mac: contents.mac.parse().ok(),
            promisc: contents.promisc,
            mtu: contents.mtu.filter(|mtu| *mtu != 0),
            allmulti: contents.allmulti,
            tx_queue_len: contents.tx_queue_len,
            sysctls: contents.sysctl.into_iter().filter_map(sysctl).collect(),
        }
    }
}

/// For GC: removes the files of attachments that are no longer valid. Nothing is restored: the namespaces are gone.
pub(crate) fn collect(config: &Config, is_stale: impl Fn(&str) -> bool) -> Result<(), Error> {
    let folder = folder(config);
    let names = folder.names().map_err(failed("list", folder.path()))?;
    let mut failures = Failures::new();
    for name in names.iter().filter_map(|name| name.to_str()) {
        failures.note(collect_one(&folder, name, &is_stale));
    }
    Ok(failures.into_result()?)
}

fn collect_one(folder: &Folder, name: &str, is_stale: impl Fn(&str) -> bool) -> Result<(), Error> {
    match read(folder, name)? {
        Some(bytes) if is_stale(&Contents::read(&bytes).attachment) => remove(folder, name),
        _ => Ok(()),
    }
}

/// The attachments of which a folder remembers what was there before; those of the reference and of earlier releases do not say
/// whose they are.
///
/// # Errors
/// The folder cannot be listed, or a file in it not be read.
pub fn kept(data_dir: &Path) -> Result<Vec<Attachment>, Error> {
    let folder = Folder::new(data_dir.to_owned(), MAX);
    let names = folder.names().map_err(failed("list", folder.path()))?;
    let mut kept = Vec::new();
    for name in names.iter().filter_map(|name| name.to_str()) {
        let contents = read(&folder, name)?.map(|bytes| Contents::read(&bytes));
        kept.extend(contents.and_then(|contents| Attachment::from_label(&contents.attachment)));
    }
    Ok(kept)
}

/// For STATUS: an ADD could write its file.
pub(crate) fn probe(config: &Config) -> Result<(), Error> {
    let folder = folder(config);
    folder.probe().map_err(failed("write into", folder.path()))
}

fn folder(config: &Config) -> Folder {
    Folder::new(config.data_dir().to_owned(), MAX)
}

/// `None` if there is no file. Anything but a regular file of acceptable size counts as an empty file.
fn read(folder: &Folder, name: &str) -> Result<Option<Vec<u8>>, Error> {
    match folder.read(name) {
        Err(error) if files::is_not_regular(&error) || error.kind() == ErrorKind::FileTooLarge => Ok(Some(Vec::new())),
        bytes => bytes.map_err(failed("read", &folder.path_of(name))),
    }
}

fn remove(folder: &Folder, name: &str) -> Result<(), Error> {
    folder.remove(name).map_err(failed("remove", &folder.path_of(name)))
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::File { action, path, source }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_tells_whose_its_files_are() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(kept(&dir.path().join("missing")).unwrap(), []);
        let attachment = Attachment::new("net", "c1", "eth0").unwrap();
        let ours = format!(r#"{{"attachment": "{}", "mtu": 1400}}"#, attachment.label());
        for (name, content) in [("c1_eth0.json", &ours[..]), ("c2_eth0.json", r#"{"mtu": 1400}"#), ("x", "{")] {
            std::fs::write(dir.path().join(name), content).unwrap();
        }
        assert_eq!(kept(dir.path()).unwrap(), [attachment]);
    }
}
