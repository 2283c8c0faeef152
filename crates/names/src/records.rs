//! The folder of records.

use std::io;
use std::path::{Path, PathBuf};

use cni::{Attachment, NetworkName};
use files::Folder;

use crate::Record;

/// Where the records of names are.
pub const FOLDER: &str = "/run/ferrocni/names";

/// The most that a record may have, in bytes.
const LIMIT: usize = 256 << 10;

/// A folder of records, one an attachment, each in a file named `<network>:<container>:<interface>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Records(Folder);

/// A record that cannot be used.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are what their names say")]
pub enum Error {
    /// The file system's refusal.
    #[error("cannot {action} {}", path.display())]
    File { action: &'static str, path: PathBuf, source: io::Error },
    /// What is there is no record.
    #[error("{} is no record of names: remove it if no container needs it", path.display())]
    Broken { path: PathBuf, source: serde_json::Error },
    /// Whether the namespace of a container exists cannot be told.
    #[error(transparent)]
    Namespace(#[from] netlink::Error),
}

impl Default for Records {
    fn default() -> Self {
        Self::new(FOLDER)
    }
}

impl Records {
    /// The folder at `path`, which need not exist yet.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(Folder::new(path.into(), LIMIT))
    }

    /// The folder's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Whose records there are.
    ///
    /// # Errors
    /// The folder cannot be listed.
    pub fn attachments(&self) -> Result<Vec<Attachment>, Error> {
        let names = self.0.names().map_err(|source| failed("list", self.0.path(), source))?;
        Ok(names.iter().filter_map(|name| files::attachment_of(name.to_str()?)).collect())
    }

    /// All records. One that goes while the others are read is none.
    ///
    /// # Errors
    /// The folder cannot be listed, or a record not be read.
    pub fn list(&self) -> Result<Vec<(Attachment, Record)>, Error> {
        self.matching(|_| true)
    }

    /// Those of one network whose namespaces exist.
    ///
    /// # Errors
    /// As [`Records::list`]; also if it cannot be told whether a namespace exists.
    pub fn living(&self, network: &NetworkName) -> Result<Vec<Attachment>, Error> {
        let mut living = Vec::new();
        for (attachment, record) in self.matching(|attachment| attachment.network == *network)? {
            if record.namespace.exists()? {
                living.push(attachment);
            }
        }
        Ok(living)
    }

    /// An attachment's record; nothing if there is none.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read(&self, attachment: &Attachment) -> Result<Option<Record>, Error> {
        let name = files::name_of(attachment);
        let path = self.0.path_of(&name);
        let Some(bytes) = self.0.read(&name).map_err(|source| failed("read", &path, source))? else {
            return Ok(None);
        };
        serde_json::from_slice(&bytes).map(Some).map_err(|source| Error::Broken { path, source })
    }

    /// Writes an attachment's record, in the place of an earlier one.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, attachment: &Attachment, record: &Record) -> Result<(), Error> {
        let name = files::name_of(attachment);
        let written = serde_json::to_vec(record).map_err(io::Error::from).and_then(|bytes| self.0.write(&name, &bytes));
        written.map_err(|source| failed("write", &self.0.path_of(&name), source))
    }

    /// Removes an attachment's record; one that is missing is removed already.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn remove(&self, attachment: &Attachment) -> Result<(), Error> {
        let name = files::name_of(attachment);
        self.0.remove(&name).map_err(|source| failed("remove", &self.0.path_of(&name), source))
    }

    /// Removes what writers that were killed have left unfinished of these attachments' records. Their verbs must not be running.
    ///
    /// # Errors
    /// That of the file system.
    pub fn sweep(&self, is_wanted: impl Fn(&Attachment) -> bool) -> Result<(), Error> {
        let is_ours = |name: &str| files::attachment_of(name).as_ref().is_some_and(&is_wanted);
        self.0.sweep(is_ours).map_err(|source| failed("sweep", self.0.path(), source))
    }

    /// For STATUS: whether a record could be written.
    ///
    /// # Errors
    /// That of the file system.
    pub fn probe(&self) -> Result<(), Error> {
        self.0.probe().map_err(|source| failed("write into", self.0.path(), source))
    }

    fn matching(&self, is_wanted: impl Fn(&Attachment) -> bool) -> Result<Vec<(Attachment, Record)>, Error> {
        let wanted = self.attachments()?.into_iter().filter(is_wanted);
        wanted.filter_map(|attachment| self.read(&attachment).transpose().map(|read| Ok((attachment, read?)))).collect()
    }
}

pub(crate) fn failed(action: &'static str, path: &Path, source: io::Error) -> Error {
    Error::File { action, path: path.to_owned(), source }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use netlink::{Namespace, Netns};
    use serde_json::json;

    use super::*;
    use crate::{Host, Link, Listen, Name, Port, Protocol};

    fn here() -> Namespace {
        Namespace::of(&Netns::current().unwrap()).unwrap()
    }

    fn attachment(network: &str, container: &str) -> Attachment {
        Attachment::new(network, container, "eth0").unwrap()
    }

    fn full() -> Record {
        let name = |text| Name::new(text).unwrap();
        Record {
            name: Some(name("web")),
            aliases: vec![name("www")],
            addresses: vec!["10.1.0.2".parse().unwrap(), "fd00::2".parse().unwrap()],
            gateways: vec!["10.1.0.1".parse().unwrap()],
            domain: Some(name("dns.podman")),
            pod_namespace: Some(name("default")),
            links: vec![Link { alias: name("db"), container: "c2".into() }],
            hosts: vec![Host { name: name("printer"), addresses: vec!["192.0.2.9".parse().unwrap()] }],
            upstreams: vec!["192.0.2.53:53".parse().unwrap()],
            forward: false,
            ttl: 5,
            listen: Listen::Gateway,
            intercept: true,
            ports: vec![Port { protocol: Protocol::Tcp, port: 80 }],
            ..Record::new(here())
        }
    }

    #[test]
    fn a_record_reads_back_and_is_gone_when_it_was_removed() {
        let dir = tempfile::tempdir().unwrap();
        let records = Records::new(dir.path().join("names"));
        assert_eq!(records.list().unwrap(), [], "no folder");
        records.write(&attachment("n", "c1"), &full()).unwrap();
        assert_eq!(records.list().unwrap(), [(attachment("n", "c1"), full())]);
        assert_eq!(records.read(&attachment("n", "c1")).unwrap(), Some(full()));
        for _ in 0..2 {
            records.remove(&attachment("n", "c1")).unwrap();
        }
        assert_eq!(records.read(&attachment("n", "c1")).unwrap(), None);
    }

    #[test]
    fn a_record_of_an_earlier_or_later_version_can_be_read() {
        let dir = tempfile::tempdir().unwrap();
        let other = json!({"namespace": here(), "colour": "green"});
        std::fs::write(dir.path().join("n:c1:eth0"), other.to_string()).unwrap();
        let read = Records::new(dir.path()).read(&attachment("n", "c1")).unwrap();
        assert_eq!(read, Some(Record::new(here())));
    }

    #[test]
    fn only_records_of_the_network_whose_namespaces_exist_are_living() {
        let dir = tempfile::tempdir().unwrap();
        let records = Records::new(dir.path());
        let mut gone = full();
        gone.namespace.path = dir.path().join("gone");
        for (network, container, record) in [("n", "c1", full()), ("n", "c2", gone), ("m", "c3", full())] {
            records.write(&attachment(network, container), &record).unwrap();
        }
        assert_eq!(records.living(&NetworkName::new("n").unwrap()).unwrap(), [attachment("n", "c1")]);
    }

    #[test]
    fn a_broken_record_is_an_error_that_names_it() {
        let dir = tempfile::tempdir().unwrap();
        let records = Records::new(dir.path());
        let mut wrong = serde_json::to_value(full()).unwrap();
        wrong["name"] = "no name".into();
        for text in ["{", &wrong.to_string()] {
            std::fs::write(dir.path().join("n:c1:eth0"), text).unwrap();
            let error = records.list().unwrap_err();
            assert!(error.to_string().contains("n:c1:eth0"), "{error}");
        }
    }

    #[test]
    fn only_what_is_unfinished_of_the_wanted_is_swept_away() {
        let dir = tempfile::tempdir().unwrap();
        for name in [".n:c1:eth0", ".m:c1:eth0", "n:c2:eth0"] {
            std::fs::write(dir.path().join(name), "half").unwrap();
        }
        let records = Records::new(dir.path());
        records.sweep(|attachment| attachment.network.as_str() == "n").unwrap();
        assert!(!dir.path().join(".n:c1:eth0").exists());
        assert!(dir.path().join(".m:c1:eth0").exists() && dir.path().join("n:c2:eth0").exists());
    }
}
