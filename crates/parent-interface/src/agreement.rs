use std::path::Path;

use cni_plugin::{Attachment, Undo};
use netlink::{Netns, if_found};

use crate::Error;
use crate::holders::Holders;
use crate::master::undo_holding;

/// What all links on one parent have in common, because the kernel keeps it once for them all and lets the last one
/// decide for the others: the mode of ipvlan links (`ipvlan_link_new`, drivers/net/ipvlan/ipvlan_main.c).
///
/// No other can join as long as this value lives.
#[derive(Debug)]
pub struct Agreement<'a> {
    holders: Holders,
    parent: &'a str,
}

impl<'a> Agreement<'a> {
    /// For ADD: that of the links on `parent`, a link of the host.
    ///
    /// # Errors
    /// When the files cannot be made.
    pub fn on(parent: &'a str) -> Result<Self, Error> {
        Ok(Self { holders: Holders::lock()?, parent })
    }

    /// For STATUS: the same; `None` if no link was ever held.
    ///
    /// # Errors
    /// When the files cannot be read.
    pub fn existing_on(parent: &'a str) -> Result<Option<Self>, Error> {
        Ok(Holders::lock_existing()?.map(|holders| Self { holders, parent }))
    }

    /// Whether others than this attachment agree on `terms`, words that an error can tell; false if there are no others, so
    /// that it is open.
    ///
    /// A container that is gone without a DEL has no say.
    ///
    /// # Errors
    /// [`Error::OtherTerms`] if they agree on something else; when it cannot be seen whether a container is gone.
    pub fn is_on(&self, terms: &str, attachment: Option<&Attachment>) -> Result<bool, Error> {
        let other = self.holders.find(self.parent, |holder, written| {
            let Some((theirs, netns)) = written.split_once('\n') else { return Ok(None) };
            let counts = Some(&holder) != attachment && (theirs == terms || is_there(netns)?);
            Ok(counts.then(|| (holder, theirs.to_owned())))
        })?;
        match other {
            Some((holder, found)) if found != terms => {
                Err(Error::other_terms(self.parent, holder.to_string(), found, terms))
            }
            other => Ok(other.is_some()),
        }
    }

    /// Holds the parent for the attachment of a container on these terms, until [`crate::detach`].
    ///
    /// # Errors
    /// When the files cannot be written.
    pub fn join(self, terms: &str, attachment: &Attachment, netns: &Path, undo: &mut Undo) -> Result<(), Error> {
        if self.holders.hold(self.parent, attachment, &format!("{terms}\n{}", netns.display()))? {
            undo_holding(self.parent, attachment, undo);
        }
        Ok(())
    }
}

fn is_there(netns: &str) -> Result<bool, Error> {
    Ok(if_found(Netns::open(netns))?.is_some())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_container_that_cannot_be_seen_is_not_taken_for_one_that_is_there_or_gone() {
        let folder = tempfile::tempdir().unwrap();
        let cycle = folder.path().join("cycle");
        std::os::unix::fs::symlink(&cycle, &cycle).unwrap();
        assert!(is_there(cycle.to_str().unwrap()).is_err());
        assert!(!is_there(folder.path().join("none").to_str().unwrap()).unwrap());
        assert!(is_there("/proc/self/ns/net").unwrap());
    }
}
