//! Whose elements are inserted, and what becomes of those who have the same keys.

use std::collections::BTreeMap;

use cni_plugin::{Attachment, Undo};
use netlink::{Socket, if_found};
use suite::Labelled as _;

use super::Ruleset;
use super::element::{Element, Entry, Part};
use super::queue::Queue;
use crate::object::Held;
use crate::{Error, Result};

/// On whose behalf elements are inserted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder<'a> {
    /// The attachment's label, which the elements carry in their comments.
    pub label: &'a str,
    /// The link on the host that is the attachment's alone, if there is one: the elements say so, and once nothing on the
    /// host has that name or the label any more, they are stale.
    pub link: Option<&'a str>,
}

impl<'a, L: AsRef<str> + ?Sized> From<&'a L> for Holder<'a> {
    fn from(label: &'a L) -> Self {
        Self { label: label.as_ref(), link: None }
    }
}

/// What an attachment has in the ruleset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The attachment's label.
    pub label: String,
    /// The link on the host that is the attachment's alone, if there is one.
    pub link: Option<String>,
    /// What it has.
    pub elements: Vec<Element>,
}

impl Claim {
    /// Inserts what attachments claim, in one transaction, and pushes how to take it back.
    ///
    /// # Errors
    /// Those of [`Ruleset::restore`].
    pub fn insert_all(claims: &[Self], undo: &mut Undo) -> Result<()> {
        if claims.is_empty() {
            return Ok(());
        }
        // Before the change: the kernel may carry it out, and its answer may still be lost.
        undo.push("remove the nftables rules", {
            let claims = claims.to_vec();
            move || Ruleset::open()?.remove_all(&claims).map(drop)
        });
        Ruleset::open()?.restore(claims)
    }

    /// On whose behalf the elements are inserted.
    #[must_use]
    pub fn holder(&self) -> Holder<'_> {
        Holder { label: &self.label, link: self.link.as_deref() }
    }
}

/// The others that have what one wants.
#[derive(Debug, Default)]
pub(super) struct Rivals {
    /// Whether those who were looked at are gone.
    looked_at: BTreeMap<String, bool>,
}

impl Rivals {
    /// The queue with `entry` in it. Who is gone is in it no more. A port that another container has is refused; everything
    /// else can be had by several.
    pub(super) fn enter(&mut self, queue: &Queue, element: &Element, entry: &Entry) -> Result<Vec<Held>> {
        let own = &entry.held;
        let mut next: Vec<Held> = Vec::with_capacity(1);
        let has_own = |next: &[Held]| next.iter().any(|held| held.label == own.label);
        for held in queue.all() {
            if held.label == own.label {
                // Twice if who was served was removed by hand, and own came again while it waited.
                next.extend((!has_own(&next)).then(|| own.clone()));
            } else if entry.set.waiting().is_some() && !self.is_gone(held)? {
                if entry.set.part == Part::Publish && !are_of_one_container(&held.label, &own.label) {
                    return Err(Error::Taken { element: Box::new(element.clone()), holder: held.label.clone() });
                }
                next.push(held.clone());
            }
        }
        next.extend((!has_own(&next)).then(|| own.clone()));
        Ok(next)
    }

    /// Those who turned out to be gone.
    pub(super) fn gone(&self) -> Vec<&str> {
        self.looked_at.iter().filter(|(_, is_gone)| **is_gone).map(|(label, _)| label.as_str()).collect()
    }

    /// Whether an element's holder is certainly gone: it ended with a link on the host, and there is none of that name or
    /// with its label. What lives in a container leaves nothing on the host whose absence would tell anything.
    fn is_gone(&mut self, held: &Held) -> Result<bool> {
        let Some(link) = &held.link else { return Ok(false) };
        if let Some(known) = self.looked_at.get(&held.label) {
            return Ok(*known);
        }
        let is_gone = !exists(link, &held.label)
            .map_err(|source| Error::Holder { holder: held.label.clone(), source: Box::new(source) })?;
        self.looked_at.insert(held.label.clone(), is_gone);
        Ok(is_gone)
    }
}

/// Whether the host has a link of this name, or one that was given another name and still has the label.
fn exists(link: &str, label: &str) -> netlink::Result<bool> {
    let mut host = Socket::open()?;
    Ok(if_found(host.link(link))?.is_some() || host.links()?.iter().any(|link| link.alias.as_deref() == Some(label)))
}

fn are_of_one_container(one: &str, other: &str) -> bool {
    let container = |label| Attachment::from_label(label).map(|attachment| attachment.container);
    container(one).is_some_and(|one| container(other) == Some(one))
}
