//! Deleting a link.
//!
//! The link, its peer, their addresses and routes are gone within a millisecond, and the kernel says so to all who listen.
//! The request is answered 10 to 35 ms later, when nothing can use their memory any more (`netdev_run_todo`,
//! net/core/dev.c): that is left to a child process.

use std::time::{Duration, Instant};

use aftermath::Child;

use crate::error::{Error, Request, Result};
use crate::link::{RTM_DELLINK, push_delete, push_get, read};
use crate::link_ref::LinkRef;
use crate::message::{Message, Refusal, Verdict, next_message};
use crate::outgoing::Outgoing;
use crate::socket::Socket;
use crate::wait::{Awaited, RTNLGRP_LINK};

/// How often to see whether the child is still there: it may be killed before it has asked.
const CHILD_CHECK: Duration = Duration::from_secs(1);
/// `AF_UNSPEC`, the family of what is about the link itself.
const OF_THE_LINK: u8 = 0;

/// A link that a child process was told to delete.
struct Removal<'a> {
    link: &'a LinkRef,
    /// The number of the request.
    sequence: u32,
    child: Child,
}

impl Socket {
    /// Deletes a link, and with it its peer, addresses and routes. It has left the namespace when this returns; what the
    /// kernel still does then goes on without the caller.
    ///
    /// # Errors
    /// [`Error::LinkNotFound`], or the kernel's refusal.
    pub fn delete_link(&mut self, link: impl Into<LinkRef>) -> Result<()> {
        let link = link.into();
        let mut outgoing = Outgoing::default();
        push_delete(&mut outgoing, &link)?;
        self.subscribe(RTNLGRP_LINK)?;
        let is_gone = match self.send_by_a_child(&mut outgoing) {
            Ok((sequence, child)) => self.listen(&mut Removal { link: &link, sequence, child }),
            Err(_no_child) => Ok(false),
        };
        self.unsubscribe(RTNLGRP_LINK)?;
        self.discard_rest();
        if is_gone.map_err(|error| self.name_links(error))? {
            return Ok(());
        }
        let mut outgoing = Outgoing::default();
        push_delete(&mut outgoing, &link)?;
        self.transact(&mut outgoing, &mut |_echo| Ok(()))
    }
}

impl Awaited for Removal<'_> {
    fn ask(&self, outgoing: &mut Outgoing) -> Result<()> {
        push_get(outgoing, self.link)
    }

    fn is_told_by(&mut self, mut datagram: &[u8]) -> Result<bool> {
        while let Some(message) = next_message(&mut datagram)? {
            match message.verdict() {
                Verdict::Done if message.sequence == self.sequence => return Ok(true),
                Verdict::Refused(refusal) => return self.refused(&message, refusal),
                Verdict::Object if self.is_notified_by(&message)? => return Ok(true),
                _ => {}
            }
        }
        Ok(false)
    }

    fn next_look(&self) -> Instant {
        Instant::now() + CHILD_CHECK
    }

    /// The child has ended without having asked.
    fn is_over(&mut self) -> bool {
        self.child.has_ended()
    }
}

impl Removal<'_> {
    /// The deletion was refused. Or it is the answer to a question after the link: then there is none, which is well.
    fn refused(&self, message: &Message<'_>, refusal: Refusal<'_>) -> Result<bool> {
        let error = Error::refused(Request::DeleteLink(self.link.clone()), refusal);
        if message.sequence != self.sequence && error.is_not_found() { Ok(true) } else { Err(error) }
    }

    /// A bridge says of a port that leaves it, in its own family, what the kernel says of a link that is gone.
    fn is_notified_by(&self, message: &Message<'_>) -> Result<bool> {
        if message.kind != RTM_DELLINK || message.body.first() != Some(&OF_THE_LINK) {
            return Ok(false);
        }
        let gone = read(message)?;
        Ok(match self.link {
            LinkRef::Index(index) => gone.index == *index,
            LinkRef::Name(name) => gone.name == *name,
        })
    }
}
