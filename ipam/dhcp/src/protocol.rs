//! What the plugin and the daemon say to each other: over a Unix socket, each message a line of JSON.
//!
//! The plugin asks one thing on each connection. The daemon answers at once how long it may take ([`Answer::Wait`]), and
//! then what came of it. A plugin that goes away before has its ADD taken back.

use std::path::PathBuf;

use cni_plugin::{Attachment, NetworkName};
use serde::{Deserialize, Serialize};

use crate::lease::Settings;
use crate::wishes::Wishes;
use ip::Family;

/// The version of what follows. A plugin and a daemon that differ in it say so.
pub(crate) const VERSION: u32 = 1;

/// Longest line that is accepted, in bytes.
pub(crate) const MAX_LINE: usize = 1 << 20;

/// One message: a JSON object on a line of its own.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Line<T> {
    /// [`VERSION`], under a name that no other protocol has.
    #[serde(rename = "ferrocni-dhcp")]
    pub(crate) version: u32,
    /// The request or the answer.
    pub(crate) body: T,
}

/// What the plugin asks.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Request {
    /// Get a lease of each family, or say again which there are.
    Allocate {
        /// The attachment that gets the leases.
        #[serde(with = "label")]
        attachment: Attachment,
        /// The container's namespace, by an absolute path.
        netns: PathBuf,
        /// The families to get an address of.
        families: Vec<Family>,
        /// What to tell the servers.
        wishes: Wishes,
    },
    /// Give back all leases; there may be none.
    Release {
        /// The attachment whose leases are given back.
        #[serde(with = "label")]
        attachment: Attachment,
    },
    /// Which leases are there?
    Check {
        /// The attachment whose leases are listed.
        #[serde(with = "label")]
        attachment: Attachment,
    },
    /// Who has leases of this network?
    List {
        /// The network's name.
        network: NetworkName,
    },
    /// Are you there?
    Ping,
}

/// What the daemon answers to a [`Request`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Answer {
    /// The answer may take this long.
    Wait {
        /// An upper bound.
        seconds: u64,
    },
    /// To [`Request::Allocate`].
    Allocated {
        /// One of each family, in the order asked for.
        leases: Vec<Settings>,
        /// They were not there before.
        fresh: bool,
    },
    /// To [`Request::Check`].
    Held(Vec<Settings>),
    /// To [`Request::List`].
    Holders(Vec<Holder>),
    /// To the other requests.
    Done,
    /// It could not be done.
    Failed(Failure),
}

/// An attachment that holds at least one lease.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Holder(#[serde(with = "label")] pub Attachment);

/// An error of the specification.
#[derive(Debug, Serialize, Deserialize)]
#[allow(missing_docs)] // as in the specification
pub(crate) struct Failure {
    pub(crate) code: cni_plugin::Code,
    pub(crate) msg: String,
    pub(crate) details: String,
}

impl From<cni_plugin::Error> for Failure {
    fn from(error: cni_plugin::Error) -> Self {
        Self { code: error.code(), msg: error.msg().to_owned(), details: error.details().to_owned() }
    }
}

impl From<Failure> for cni_plugin::Error {
    fn from(failure: Failure) -> Self {
        Self::new(failure.code, failure.msg).with_details(failure.details)
    }
}

/// The line that says this, with its end.
#[must_use]
pub(crate) fn line<T: Serialize>(body: T) -> Vec<u8> {
    // It can only fail for maps whose keys are no text, and there are none in it.
    let mut line = serde_json::to_vec(&Line { version: VERSION, body }).unwrap_or_default();
    line.push(b'\n');
    line
}

/// Serializes an attachment as its label.
pub(crate) mod label {
    use cni_plugin::Attachment;
    use serde::{Deserialize, Deserializer, Serializer};
    use suite::Labelled as _;

    pub(crate) fn serialize<S: Serializer>(attachment: &Attachment, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&attachment.label())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Attachment, D::Error> {
        let text = String::deserialize(deserializer)?;
        Attachment::from_label(&text)
            .ok_or_else(|| serde::de::Error::custom(format_args!("{text:?} names no attachment")))
    }
}
