//! What a plugin is asked, validated before it sees it.

use std::path::PathBuf;
use std::sync::Arc;

use cni::{AddResult, Attachment};

use crate::network::Network;

/// ADD: connect the container.
#[derive(Debug)]
#[non_exhaustive]
pub struct Add<C> {
    /// The network to connect to, with the plugin's configuration.
    pub network: Network<C>,
    /// Whose interface it will be.
    pub attachment: Attachment,
    /// The path of the container's network namespace.
    pub netns: PathBuf,
}

/// DEL: undo what is left of an ADD.
#[derive(Debug)]
#[non_exhaustive]
pub struct Del<C> {
    /// The network to disconnect from. Its configuration may be another than at ADD.
    pub network: Network<C>,
    /// Whose interface it is.
    pub attachment: Attachment,
    /// The path of the container's network namespace; `None` if it is already gone.
    pub netns: Option<PathBuf>,
}

/// CHECK: is everything still as ADD left it?
#[derive(Debug)]
#[non_exhaustive]
pub struct Check<C> {
    /// The network, with the plugin's configuration.
    pub network: Network<C>,
    /// Whose interface it is.
    pub attachment: Attachment,
    /// The path of the container's network namespace.
    pub netns: PathBuf,
    /// What ADD reported, by which CHECK judges.
    pub expected: Arc<AddResult>,
}

impl<C> Check<C> {
    /// The same request about another attachment of the network, as its CHECK would be if it differed in nothing else: for programs that
    /// ask a plugin about many.
    pub fn turn_to(&mut self, attachment: Attachment, netns: impl Into<PathBuf>, expected: impl Into<Arc<AddResult>>) {
        let expected = expected.into();
        let call = &mut self.network.call;
        self.netns = netns.into();
        call.container = attachment.container.to_string();
        call.ifname = attachment.ifname.to_string();
        call.netns = self.netns.display().to_string();
        call.result = None;
        self.network.prev_result = Some(Arc::clone(&expected));
        self.attachment = attachment;
        self.expected = expected;
    }
}

/// GC: remove what belongs to attachments that no longer exist.
#[derive(Debug)]
#[non_exhaustive]
pub struct Gc<C> {
    /// The network to clean up; other networks' attachments are not touched.
    pub network: Network<C>,
    /// The attachments that are to stay (`cni.dev/valid-attachments`).
    pub valid: Vec<Attachment>,
}

impl<C> Gc<C> {
    /// Whether what belongs to this attachment is to go: it is one of this network, and none of the valid ones.
    #[must_use]
    pub fn is_stale(&self, attachment: &Attachment) -> bool {
        attachment.network == self.network.name && !self.valid.contains(attachment)
    }
}

/// STATUS: would an ADD succeed now?
#[derive(Debug)]
#[non_exhaustive]
pub struct Status<C> {
    /// The network that an ADD would connect to.
    pub network: Network<C>,
}
