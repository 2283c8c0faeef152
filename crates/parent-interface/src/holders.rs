//! Who holds which link, and on which terms.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use cni_plugin::Attachment;
use files::Folder;

use crate::Error;

const FOLDER: &str = "/run/ferrocni/parents";
/// Among the holders of a link, the file that says which bridge they made it a port of.
const BRIDGE: &str = "bridge";
/// The most that a file says, in bytes: far more than any terms have.
const MAX: usize = 64 << 10;

/// The folder of holders, locked as long as this value lives.
#[derive(Debug)]
pub(crate) struct Holders {
    folder: PathBuf,
    _lock: File,
}

impl Holders {
    pub(crate) fn lock() -> Result<Self, Error> {
        Self::lock_in(Path::new(FOLDER))
    }

    /// `None` if nothing was ever held.
    pub(crate) fn lock_existing() -> Result<Option<Self>, Error> {
        let folder = Folder::new(FOLDER.into(), MAX);
        let lock = folder.lock_existing().map_err(Error::file("lock", folder.path()))?;
        Ok(lock.map(|lock| Self { folder: folder.path().to_owned(), _lock: lock }))
    }

    fn lock_in(folder: &Path) -> Result<Self, Error> {
        let lock = Folder::new(folder.to_owned(), MAX).lock().map_err(Error::file("lock", folder))?;
        Ok(Self { folder: folder.to_owned(), _lock: lock })
    }

    /// The links that are held, or were when their holder was killed.
    pub(crate) fn links(&self) -> Result<Vec<String>, Error> {
        Ok(names_in(&Folder::new(self.folder.clone(), MAX))?
            .into_iter()
            .filter_map(|name| name.into_string().ok())
            .collect())
    }

    /// Writes down that the attachment holds the link, and on which terms; true if it did not hold it before.
    pub(crate) fn hold(&self, link: &str, attachment: &Attachment, terms: &str) -> Result<bool, Error> {
        let folder = self.of(link);
        let name = files::name_of(attachment);
        let is_new = read(&folder, &name)?.is_none();
        if is_new || !terms.is_empty() {
            write(&folder, &name, terms)?;
        }
        Ok(is_new)
    }

    /// Goes through those who hold the link, with their terms, until `wanted` says something.
    pub(crate) fn find<T>(
        &self,
        link: &str,
        mut wanted: impl FnMut(Attachment, String) -> Result<Option<T>, Error>,
    ) -> Result<Option<T>, Error> {
        let folder = self.of(link);
        for name in names_in(&folder)? {
            let Some((name, holder)) = holder(&name) else { continue };
            let Some(terms) = read(&folder, name)? else { continue };
            if let Some(found) = wanted(holder, terms)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Who holds the link.
    pub(crate) fn of_link(&self, link: &str) -> Result<Vec<Attachment>, Error> {
        let names = names_in(&self.of(link))?;
        Ok(names.iter().filter_map(|name| holder(name).map(|(_, holder)| holder)).collect())
    }

    /// Lets one go, which may never have held it; true if the link is held still.
    pub(crate) fn let_go(&self, link: &str, attachment: &Attachment) -> Result<bool, Error> {
        let folder = self.of(link);
        remove(&folder, &files::name_of(attachment))?;
        is_held(&folder)
    }

    /// Lets those go that `is_stale` says; true if the link is held still.
    pub(crate) fn let_go_stale(&self, link: &str, is_stale: impl Fn(&Attachment) -> bool) -> Result<bool, Error> {
        let folder = self.of(link);
        for name in names_in(&folder)? {
            match holder(&name) {
                Some((name, holder)) if is_stale(&holder) => remove(&folder, name)?,
                _ => {}
            }
        }
        is_held(&folder)
    }

    /// What was written down of a link that is held and was made a port of a bridge.
    pub(crate) fn bridge(&self, link: &str) -> Result<Option<String>, Error> {
        read(&self.of(link), BRIDGE)
    }

    /// Writes it down.
    pub(crate) fn set_bridge(&self, link: &str, text: &str) -> Result<(), Error> {
        write(&self.of(link), BRIDGE, text)
    }

    /// Takes it back.
    pub(crate) fn forget_bridge(&self, link: &str) -> Result<(), Error> {
        remove(&self.of(link), BRIDGE)
    }

    /// Removes the folder of a link that is gone.
    pub(crate) fn forget(&self, link: &str) -> Result<(), Error> {
        let folder = self.folder.join(link);
        fs::remove_dir(&folder).map_err(Error::file("remove", &folder))
    }

    fn of(&self, link: &str) -> Folder {
        Folder::new(self.folder.join(link), MAX)
    }
}

/// By whatever file there is else, but for what a process that was killed had not finished.
fn is_held(folder: &Folder) -> Result<bool, Error> {
    let is_ours = |name: &str| name == BRIDGE || files::attachment_of(name).is_some();
    folder.sweep(is_ours).map_err(Error::file("remove unfinished files in", folder.path()))?;
    Ok(names_in(folder)?.iter().any(|name| name != BRIDGE))
}

fn names_in(folder: &Folder) -> Result<Vec<OsString>, Error> {
    folder.names().map_err(Error::file("read", folder.path()))
}

fn holder(name: &OsString) -> Option<(&str, Attachment)> {
    let name = name.to_str()?;
    Some((name, files::attachment_of(name)?))
}

fn read(folder: &Folder, name: &str) -> Result<Option<String>, Error> {
    let text = || -> io::Result<_> {
        let content = folder.read(name)?;
        content.map(String::from_utf8).transpose().map_err(|invalid| io::Error::new(ErrorKind::InvalidData, invalid))
    };
    text().map_err(Error::file("read", &folder.path_of(name)))
}

fn write(folder: &Folder, name: &str, text: &str) -> Result<(), Error> {
    folder.write(name, text.as_bytes()).map_err(Error::file("write", &folder.path_of(name)))
}

fn remove(folder: &Folder, name: &str) -> Result<(), Error> {
    folder.remove(name).map_err(Error::file("remove", &folder.path_of(name)))
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
        let mut all = holders.of_link("eth0.20").unwrap();
        all.sort_by_key(ToString::to_string);
        assert_eq!(all, ["a", "b"].map(attachment));
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
    fn what_a_killed_process_had_not_finished_holds_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let holders = holders(folder.path());
        holders.hold("eth0.20", &attachment("a"), "").unwrap();
        for name in [".net:b:eth0", ".bridge"] {
            fs::write(folder.path().join("eth0.20").join(name), "ha").unwrap();
        }
        assert!(!holders.let_go("eth0.20", &attachment("a")).unwrap());
        holders.forget("eth0.20").unwrap();
    }

    #[test]
    fn no_link_is_followed_to_another_file() {
        let folder = tempfile::tempdir().unwrap();
        let holders = holders(folder.path());
        let victim = folder.path().join("victim");
        fs::write(&victim, "precious").unwrap();
        fs::create_dir(folder.path().join("eth0")).unwrap();
        std::os::unix::fs::symlink(&victim, folder.path().join("eth0/bridge")).unwrap();
        assert!(matches!(holders.bridge("eth0"), Err(Error::File { action: "read", .. })));
        holders.set_bridge("eth0", "br0").unwrap();
        assert_eq!(fs::read_to_string(victim).unwrap(), "precious");
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
