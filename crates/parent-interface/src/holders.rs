//! Who holds which link, and on which terms.

use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, File};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use cni_plugin::Attachment;

use crate::Error;

const FOLDER: &str = "/run/ferrocni/parents";
/// Among the holders of a link, the file that says which bridge they made it a port of.
const BRIDGE: &str = "bridge";

/// The folder of holders, locked as long as this value lives.
#[derive(Debug)]
pub(crate) struct Holders {
    folder: PathBuf,
    _lock: File,
}

impl Holders {
    pub(crate) fn lock() -> Result<Self, Error> {
        let folder = Path::new(FOLDER);
        // Whoever can open a folder can lock it.
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(Error::file("create", folder))?;
        Self::lock_in(folder)
    }

    /// `None` if nothing was ever held.
    pub(crate) fn lock_existing() -> Result<Option<Self>, Error> {
        match Self::lock_in(Path::new(FOLDER)) {
            Err(error) if error.is_missing_file() => Ok(None),
            holders => holders.map(Some),
        }
    }

    fn lock_in(folder: &Path) -> Result<Self, Error> {
        let lock = File::open(folder).map_err(Error::file("open", folder))?;
        lock.lock().map_err(Error::file("lock", folder))?;
        Ok(Self { folder: folder.to_owned(), _lock: lock })
    }

    /// The links that somebody holds, or held when he was killed.
    pub(crate) fn links(&self) -> Result<Vec<String>, Error> {
        Ok(names_in(&self.folder)?.into_iter().filter_map(|name| name.into_string().ok()).collect())
    }

    /// Writes down that the attachment holds the link, and on which terms; true if it did not hold it before.
    pub(crate) fn hold(&self, link: &str, attachment: &Attachment, terms: &str) -> Result<bool, Error> {
        let folder = self.folder.join(link);
        fs::create_dir_all(&folder).map_err(Error::file("create", &folder))?;
        let path = folder.join(file_name(attachment));
        let is_new = match File::create_new(&path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => false,
            created => created.map(|_file| true).map_err(Error::file("create", &path))?,
        };
        if !terms.is_empty() {
            fs::write(&path, terms).map_err(Error::file("write", &path))?;
        }
        Ok(is_new)
    }

    /// Goes through those who hold the link, with their terms, until `wanted` says something.
    pub(crate) fn find<T>(
        &self,
        link: &str,
        mut wanted: impl FnMut(Attachment, String) -> Result<Option<T>, Error>,
    ) -> Result<Option<T>, Error> {
        let folder = self.folder.join(link);
        let names = match names_in(&folder) {
            Err(error) if error.is_missing_file() => return Ok(None),
            names => names?,
        };
        for name in names {
            let Some(holder) = holder(&name) else { continue };
            let path = folder.join(name);
            let terms = fs::read_to_string(&path).map_err(Error::file("read", &path))?;
            if let Some(found) = wanted(holder, terms)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Lets one go, who may never have held it; true if somebody holds the link still.
    pub(crate) fn let_go(&self, link: &str, attachment: &Attachment) -> Result<bool, Error> {
        let folder = self.folder.join(link);
        remove(&folder.join(file_name(attachment)))?;
        is_held(&folder)
    }

    /// Lets those go that `is_stale` says; true if somebody holds the link still.
    pub(crate) fn let_go_stale(&self, link: &str, is_stale: impl Fn(&Attachment) -> bool) -> Result<bool, Error> {
        let folder = self.folder.join(link);
        for name in names_in(&folder)? {
            if holder(&name).is_some_and(|holder| is_stale(&holder)) {
                remove(&folder.join(name))?;
            }
        }
        is_held(&folder)
    }

    /// What was written down of a link that is held and was made a port of a bridge.
    pub(crate) fn bridge(&self, link: &str) -> Result<Option<String>, Error> {
        let path = self.folder.join(link).join(BRIDGE);
        match fs::read_to_string(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            text => text.map(Some).map_err(Error::file("read", &path)),
        }
    }

    /// Writes it down.
    pub(crate) fn set_bridge(&self, link: &str, text: &str) -> Result<(), Error> {
        let path = self.folder.join(link).join(BRIDGE);
        fs::write(&path, text).map_err(Error::file("write", &path))
    }

    /// Takes it back.
    pub(crate) fn forget_bridge(&self, link: &str) -> Result<(), Error> {
        remove(&self.folder.join(link).join(BRIDGE))
    }

    /// Removes the folder of a link that is gone.
    pub(crate) fn forget(&self, link: &str) -> Result<(), Error> {
        let folder = self.folder.join(link);
        fs::remove_dir(&folder).map_err(Error::file("remove", &folder))
    }
}

/// By whatever file there is else.
fn is_held(folder: &Path) -> Result<bool, Error> {
    Ok(names_in(folder)?.iter().any(|name| name != BRIDGE))
}

/// All of them: a holder that could not be read would be taken for none.
fn names_in(folder: &Path) -> Result<Vec<OsString>, Error> {
    let names = fs::read_dir(folder).and_then(|entries| entries.map(|entry| Ok(entry?.file_name())).collect());
    names.map_err(Error::file("read", folder))
}

fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::file("remove", path)(error)),
        _ => Ok(()),
    }
}

/// None of the three words can hold a colon or a slash.
fn file_name(attachment: &Attachment) -> String {
    format!("{}:{}:{}", attachment.network, attachment.container, attachment.ifname)
}

fn holder(file_name: &OsStr) -> Option<Attachment> {
    let words: Vec<_> = file_name.to_str()?.split(':').collect();
    let [network, container, ifname] = words[..] else { return None };
    Attachment::new(network, container, ifname).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn holders(folder: &Path) -> Holders {
        Holders::lock_in(folder).unwrap()
    }

    fn attachment(container: &str) -> Attachment {
        Attachment::new("net", container, "eth0").unwrap()
    }

    #[test]
    fn a_link_is_held_until_the_last_holder_lets_go() {
        let folder = tempfile::tempdir().unwrap();
        let holders = holders(folder.path());
        for container in ["a", "b", "a"] {
            holders.hold("eth0.20", &attachment(container), "").unwrap();
        }
        assert_eq!(holders.links().unwrap(), ["eth0.20"]);
        assert!(holders.let_go("eth0.20", &attachment("c")).unwrap(), "who never held it");
        assert!(holders.let_go("eth0.20", &attachment("a")).unwrap());
        assert!(!holders.let_go("eth0.20", &attachment("b")).unwrap());
        holders.forget("eth0.20").unwrap();
        assert!(holders.links().unwrap().is_empty());
    }

    #[test]
    fn who_held_it_before_is_told_from_who_did_not_and_can_change_its_terms() {
        let folder = tempfile::tempdir().unwrap();
        let holders = holders(folder.path());
        let terms = || holders.find("eth0", |holder, terms| Ok(Some((holder, terms)))).unwrap();
        assert_eq!(terms(), None);
        assert!(holders.hold("eth0", &attachment("a"), "").unwrap());
        assert!(!holders.hold("eth0", &attachment("a"), "some").unwrap());
        assert!(!holders.hold("eth0", &attachment("a"), "").unwrap());
        assert_eq!(terms(), Some((attachment("a"), "some".to_owned())));
    }

    #[test]
    fn the_stale_let_go_and_the_others_do_not() {
        let folder = tempfile::tempdir().unwrap();
        let holders = holders(folder.path());
        for container in ["a", "b"] {
            holders.hold("eth0.20", &attachment(container), "").unwrap();
        }
        assert!(holders.let_go_stale("eth0.20", |holder| *holder == attachment("a")).unwrap());
        assert!(!holders.let_go("eth0.20", &attachment("b")).unwrap());
    }

    #[test]
    fn a_file_that_no_attachment_is_called_holds_as_well() {
        let folder = tempfile::tempdir().unwrap();
        let holders = holders(folder.path());
        holders.hold("eth0.20", &attachment("a"), "").unwrap();
        fs::write(folder.path().join("eth0.20/keep"), "").unwrap();
        assert!(holders.let_go_stale("eth0.20", |_everybody| true).unwrap());
    }

    #[test]
    fn what_it_is_a_port_of_is_no_holder() {
        let folder = tempfile::tempdir().unwrap();
        let holders = holders(folder.path());
        assert_eq!(holders.bridge("eth0").unwrap(), None);
        holders.hold("eth0", &attachment("a"), "").unwrap();
        holders.set_bridge("eth0", "br0").unwrap();
        assert_eq!(holders.bridge("eth0").unwrap().as_deref(), Some("br0"));
        assert!(holders.let_go("eth0", &attachment("b")).unwrap());
        assert!(!holders.let_go("eth0", &attachment("a")).unwrap());
        holders.forget_bridge("eth0").unwrap();
        holders.forget("eth0").unwrap();
    }

    #[test]
    fn the_longest_attachment_has_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let holders = holders(folder.path());
        // As long as its label may be.
        let longest = Attachment::new(&"n".repeat(113), &"c".repeat(112), &"i".repeat(15)).unwrap();
        holders.hold("eth0.20", &longest, "").unwrap();
        assert!(!holders.let_go_stale("eth0.20", |holder| *holder == longest).unwrap(), "its name reads back");
    }
}
