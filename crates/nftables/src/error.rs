//! What can go wrong with tables, with the object named.

use std::net::IpAddr;

use crate::Table;
use crate::ruleset::Element;

/// The result of an operation on tables.
pub type Result<T> = std::result::Result<T, Error>;

/// A failed operation on tables.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say what their fields are")]
pub enum Error {
    /// The kernel or the socket refused.
    #[error("cannot {doing}")]
    Netlink {
        /// What was being done to which object.
        doing: String,
        #[source]
        source: nfnetlink::Error,
    },
    /// Another attachment holds the element's key, which only one can have.
    #[error("{element} is taken by {}", named(.holder))]
    Taken {
        /// What was to be inserted.
        element: Box<Element>,
        /// The holder's label; empty if the element has none.
        holder: String,
    },
    /// It cannot be known whether a key's holder is still attached.
    #[error("cannot tell whether {} is still attached", named(.holder))]
    Holder {
        holder: String,
        /// What kept the host's links from being read.
        #[source]
        source: Box<netlink::Error>,
    },
    /// A table of our name is not ours.
    #[error(
        "nftables table {table} is not as ferrocni makes it: give the table another name if it is another program's, or remove \
         it (\"nft delete table {table}\")"
    )]
    Foreign { table: Table<'static> },
    /// A table of our name can be changed by one program only.
    #[error(
        "nftables table {table} is owned by a running program, and no other can change it: have that program give it another \
         name, or stop it, and the table goes with it"
    )]
    Owned { table: Table<'static> },
    /// A later version of ferrocni made a table, in a way that this one does not know.
    #[error(
        "nftables table {table} was made by a later version of ferrocni (layout {layout}, and this program knows {}): install that \
         version; or, to go back for good, stop the containers, remove the table (\"nft delete table {table}\") and start them again",
        crate::ruleset::LAYOUT
    )]
    Newer {
        table: Table<'static>,
        /// The number of its layout.
        layout: u32,
    },
    /// One address is IPv4 and the other IPv6.
    #[error("{0} and {1} are of different IP versions")]
    Versions(IpAddr, IpAddr),
    /// Not the name of a network interface.
    #[error("\"{0}\" is not an interface name: 1 to 15 bytes without slash, colon or white space")]
    InterfaceName(String),
    /// The label cannot be an element's comment.
    #[error("label of {0} bytes: 1 to 251 bytes without NUL or line feed fit an nftables comment")]
    Label(usize),
    /// Others changed the ruleset each time between our look and our change.
    #[error("the nftables ruleset kept changing: gave up after {0} attempts")]
    Contended(usize),
}

fn named(holder: &str) -> &str {
    if holder.is_empty() { "an element without a comment" } else { holder }
}

impl Error {
    pub(crate) fn doing(doing: impl Into<String>) -> impl FnOnce(nfnetlink::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Netlink { doing, source }
    }

    fn netlink(&self) -> Option<&nfnetlink::Error> {
        match self {
            Self::Netlink { source, .. } => Some(source),
            _ => None,
        }
    }

    /// The kernel's errno, if it refused.
    #[must_use]
    pub fn errno(&self) -> Option<i32> {
        self.netlink().and_then(nfnetlink::Error::errno)
    }

    /// A table, chain, set or element does not exist.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.netlink().is_some_and(nfnetlink::Error::is_not_found)
    }

    /// The kernel lacks nf_tables, or a part of it.
    #[must_use]
    pub fn is_unsupported(&self) -> bool {
        self.netlink().is_some_and(nfnetlink::Error::is_unsupported)
    }

    /// The key is held by another attachment.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        matches!(self, Self::Taken { .. })
    }
}
