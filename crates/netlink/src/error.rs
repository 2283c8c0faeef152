use std::fmt;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnetwork::IpNetwork;
use nix::errno::Errno;
use nix::libc;

use crate::link_ref::LinkRef;
use crate::mac::Mac;
use crate::netns_error::NetnsError;

/// The result of every operation of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong, and with which object.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say what their fields are")]
pub enum Error {
    /// No such link in this socket's namespace.
    #[error("link {link} does not exist")]
    LinkNotFound {
        /// The link that was asked for.
        link: LinkRef,
    },
    /// The name is taken in the namespace the link was to be created in.
    #[error("link {name} exists already")]
    LinkExists { name: String },
    /// The kernel would not take this as a link's name.
    #[error("{name:?} cannot be the name of a link: {reason}")]
    InvalidName { name: String, reason: &'static str },
    /// The text is too long, or holds a NUL, to be a link's alias.
    #[error("an alias of {length} bytes cannot be set on link {link}: at most {max} bytes without NUL are allowed", max = crate::link_ref::MAX_ALIAS_LEN)]
    InvalidAlias {
        /// The link it was meant for.
        link: LinkRef,
        length: usize,
    },
    /// Gateway or source of another family than the destination.
    #[error("{address} cannot be used in a route to {destination}: the address families differ")]
    MixedFamilies { destination: IpNetwork, address: IpAddr },
    /// The kernel refused a request.
    #[error("cannot {request}")]
    Refused {
        request: Box<Request>,
        /// Why.
        source: Refusal,
    },
    /// Another host answered for this IPv6 address (RFC 4862, section 5.4).
    #[error("{address} is in use by another host on the link (duplicate address detection)")]
    DuplicateAddress { address: IpAddr },
    /// The awaited change did not come.
    #[error("{what} did not happen within {} ms", timeout.as_millis())]
    TimedOut {
        what: String,
        /// How long.
        timeout: Duration,
    },
    /// The namespace cannot be used.
    #[error(transparent)]
    Netns(#[from] NetnsError),
    /// A random address could not be drawn.
    #[error("cannot get random numbers from the kernel: {0}")]
    Random(getrandom::Error),
    /// The socket itself failed.
    #[error("cannot {action} a netlink socket")]
    Socket {
        /// What was being done with it.
        action: &'static str,
        #[source]
        source: io::Error,
    },
    /// The kernel's answer cannot be read.
    #[error("cannot read {what} in the kernel's answer: it is truncated")]
    Malformed {
        /// The part that cannot be read.
        what: &'static str,
    },
    /// A list changed each time it was read.
    #[error("{request}: the list kept changing while it was read")]
    DumpInterrupted { request: Box<Request> },
}

/// What was read, changed or deleted; `None` for what is not there ([`Error::is_not_found`]).
///
/// # Errors
/// Any other failure.
pub fn if_found<T>(outcome: Result<T>) -> Result<Option<T>> {
    match outcome {
        Err(error) if error.is_not_found() => Ok(None),
        outcome => outcome.map(Some),
    }
}

impl Error {
    /// The object to read, change or delete is not there: for a deletion this is success.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        match self {
            Error::LinkNotFound { .. } => true,
            Error::Netns(error) => error.is_gone(),
            Error::Refused { request, source } => match source.errno {
                libc::ENODEV => true,
                // A route that is not there is ESRCH, a routing table or a queueing discipline ENOENT, an address
                // EADDRNOTAVAIL. The same numbers mean other things when something is added.
                libc::ESRCH | libc::ENOENT | libc::EADDRNOTAVAIL => request.needs_its_object(),
                _ => false,
            },
            _ => false,
        }
    }

    /// The object to create is there already.
    #[must_use]
    pub fn is_exists(&self) -> bool {
        match self {
            Error::LinkExists { .. } => true,
            Error::Refused { source, .. } => source.errno == libc::EEXIST,
            _ => false,
        }
    }

    /// The kernel has answered that it will not do it, and would not the next time either.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(self, Error::Refused { .. } | Error::LinkNotFound { .. } | Error::LinkExists { .. })
    }

    /// The kernel was built without what was asked for, or has no module for it.
    #[must_use]
    pub fn is_unsupported(&self) -> bool {
        self.errno() == Some(libc::EOPNOTSUPP)
    }

    /// No route leads to the address that was looked up, or one that forbids the way (net/ipv4/fib_semantics.c,
    /// `fib_props`).
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        let Error::Refused { request, source } = self else { return false };
        matches!(**request, Request::FindRoute { .. })
            && matches!(source.errno, libc::ENETUNREACH | libc::EHOSTUNREACH | libc::EACCES | libc::EINVAL)
    }

    /// The errno, where the kernel gave one.
    #[must_use]
    pub fn errno(&self) -> Option<i32> {
        match self {
            Error::Refused { source, .. } => Some(source.errno),
            Error::Socket { source, .. } => source.raw_os_error(),
            _ => None,
        }
    }

    /// Turns the kernel's refusal into the error that says most.
    pub(crate) fn refused(request: Request, refusal: netlink_message::Refusal<'_>) -> Self {
        match (request, refusal.errno) {
            (Request::GetLink(link) | Request::ChangeLink(link) | Request::DeleteLink(link), libc::ENODEV) => {
                Error::LinkNotFound { link }
            }
            (Request::CreateLink(name), libc::EEXIST) => Error::LinkExists { name },
            (request, errno) => {
                let words = refusal.words.map(str::to_owned);
                Error::Refused { request: Box::new(request), source: Refusal { errno, words } }
            }
        }
    }

    /// Calls a link by its name where the error has its index only, as when it is gone and the kernel cannot be asked.
    #[must_use]
    pub fn naming(self, index: u32, name: &str) -> Self {
        self.with_names(&mut |unnamed| (unnamed == index).then(|| name.to_owned()))
    }

    /// Calls all links by the names that `name_of` knows.
    pub(crate) fn with_names(mut self, name_of: &mut dyn FnMut(u32) -> Option<String>) -> Self {
        let links = match &mut self {
            Error::LinkNotFound { link } => vec![link],
            Error::Refused { request, .. } => request.links_mut(),
            _ => Vec::new(),
        };
        for link in links {
            if let LinkRef::Index(index) = link
                && let Some(name) = name_of(*index)
            {
                *link = LinkRef::Name(name);
            }
        }
        self
    }

    pub(crate) fn socket(action: &'static str) -> impl Fn(io::Error) -> Self {
        move |source| Error::Socket { action, source }
    }
}

/// Why the kernel refused: its own words say more, the errno is what people search for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The errno as a positive number.
    pub errno: i32,
    /// What the kernel said (extended acknowledgement), if it said anything.
    pub words: Option<String>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let errno = errno_text(self.errno);
        match &self.words {
            Some(words) => write!(formatter, "{words}: {errno}"),
            None => errno.fmt(formatter),
        }
    }
}

/// musl has no text for some errnos that are Linux's own.
fn errno_text(errno: i32) -> String {
    match errno {
        // `find_portno`, net/bridge/br_if.c
        libc::EXFULL => "the bridge has 1023 ports, and there can be no more".to_owned(),
        _ => match io::Error::from_raw_os_error(errno).to_string() {
            unknown if unknown.starts_with("No error information") => {
                format!("{} (os error {errno})", Errno::from_raw(errno).desc())
            }
            text => text,
        },
    }
}

impl std::error::Error for Refusal {}

/// A request to the kernel, as an error names it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is its own description, as Display shows")]
pub enum Request {
    CreateLink(String),
    GetLink(LinkRef),
    ListLinks,
    ChangeLink(LinkRef),
    DeleteLink(LinkRef),
    AddPortVlans { port: LinkRef },
    DeletePortVlan { port: LinkRef, id: u16 },
    ListPortVlans { port: LinkRef },
    AddAddress { link: LinkRef, network: IpNetwork },
    DeleteAddress { link: LinkRef, network: IpNetwork },
    ListAddresses { link: LinkRef },
    AddRoute { destination: IpNetwork, gateway: Option<IpAddr> },
    DeleteRoute { destination: IpNetwork, gateway: Option<IpAddr> },
    FindRoute { address: IpAddr },
    ListRoutes,
    AddNeighbour { link: LinkRef, address: IpAddr },
    DeleteNeighbour { link: LinkRef, address: IpAddr },
    ListNeighbours { link: LinkRef },
    AddForwarding { link: LinkRef, mac: Mac },
    DeleteForwarding { link: LinkRef, mac: Mac },
    AddRule { source: IpNetwork, table: u32 },
    DeleteRule { source: IpNetwork, table: u32 },
    AddMarkRule(crate::MarkRule),
    DeleteMarkRule(crate::MarkRule),
    ListRules,
    LimitRate { link: LinkRef },
    AddIngress { link: LinkRef },
    GetQdisc { link: LinkRef },
    DeleteQdisc { link: LinkRef },
    Redirect { link: LinkRef, to: LinkRef },
    ListFilters { link: LinkRef },
    GuardLoopback { link: LinkRef },
    DeleteFilter { link: LinkRef },
    GetNetnsNumber { path: PathBuf },
}

impl Request {
    /// The links that it is about, except in a question after one: that names the link as it was asked for.
    fn links_mut(&mut self) -> Vec<&mut LinkRef> {
        match self {
            Request::ChangeLink(link) | Request::DeleteLink(link) => vec![link],
            Request::AddPortVlans { port } | Request::DeletePortVlan { port, .. } | Request::ListPortVlans { port } => {
                vec![port]
            }
            Request::AddAddress { link, .. }
            | Request::DeleteAddress { link, .. }
            | Request::ListAddresses { link }
            | Request::LimitRate { link }
            | Request::AddIngress { link }
            | Request::GetQdisc { link }
            | Request::DeleteQdisc { link }
            | Request::ListFilters { link }
            | Request::AddNeighbour { link, .. }
            | Request::DeleteNeighbour { link, .. }
            | Request::ListNeighbours { link }
            | Request::AddForwarding { link, .. }
            | Request::DeleteForwarding { link, .. }
            | Request::GuardLoopback { link }
            | Request::DeleteFilter { link } => vec![link],
            Request::Redirect { link, to } => vec![link, to],
            _ => Vec::new(),
        }
    }

    /// Whether it is about one object that has to be there: to delete it, or to read it.
    fn needs_its_object(&self) -> bool {
        matches!(
            self,
            Request::GetQdisc { .. }
                | Request::DeleteLink(_)
                | Request::DeleteAddress { .. }
                | Request::DeleteRoute { .. }
                | Request::DeleteRule { .. }
                | Request::DeleteMarkRule(_)
                | Request::DeleteNeighbour { .. }
                | Request::DeleteForwarding { .. }
                | Request::DeleteQdisc { .. }
                | Request::DeleteFilter { .. }
        )
    }
}

impl fmt::Display for Request {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Request::CreateLink(name) => write!(formatter, "create link {name}"),
            Request::GetLink(link) => write!(formatter, "read link {link}"),
            Request::ListLinks => write!(formatter, "list the links"),
            Request::ChangeLink(link) => write!(formatter, "change link {link}"),
            Request::DeleteLink(link) => write!(formatter, "delete link {link}"),
            Request::AddPortVlans { port } => write!(formatter, "let bridge port {port} into its VLANs"),
            Request::DeletePortVlan { port, id } => write!(formatter, "take bridge port {port} out of VLAN {id}"),
            Request::ListPortVlans { port } => write!(formatter, "list the VLANs of bridge port {port}"),
            Request::AddAddress { link, network } => write!(formatter, "add address {network} to link {link}"),
            Request::DeleteAddress { link, network } => write!(formatter, "delete address {network} from link {link}"),
            Request::ListAddresses { link: LinkRef::Index(0) } => {
                formatter.write_str("list the addresses of all links")
            }
            Request::ListAddresses { link } => write!(formatter, "list the addresses of link {link}"),
            Request::AddRoute { destination, gateway } => write_route(formatter, "add", *destination, *gateway),
            Request::DeleteRoute { destination, gateway } => write_route(formatter, "delete", *destination, *gateway),
            Request::FindRoute { address } => write!(formatter, "find the route to {address}"),
            Request::ListRoutes => write!(formatter, "list the routes"),
            Request::AddNeighbour { link, address } => write!(formatter, "add neighbour {address} to link {link}"),
            Request::DeleteNeighbour { link, address } => {
                write!(formatter, "delete neighbour {address} from link {link}")
            }
            Request::ListNeighbours { link } => write!(formatter, "list the neighbours of link {link}"),
            Request::AddForwarding { link, mac } => write!(formatter, "have link {link} forward what is for {mac}"),
            Request::DeleteForwarding { link, mac } => {
                write!(formatter, "delete the forwarding entry of {mac} from link {link}")
            }
            Request::AddRule { source, table } => write!(formatter, "route what comes from {source} by table {table}"),
            Request::DeleteRule { source, table } => {
                write!(formatter, "delete the rule that routes what comes from {source} by table {table}")
            }
            Request::LimitRate { link } => write!(formatter, "limit the rate of link {link}"),
            Request::AddIngress { link } => write!(formatter, "add an ingress discipline to link {link}"),
            Request::GetQdisc { link } => write!(formatter, "read the queueing discipline of link {link}"),
            Request::DeleteQdisc { link } => write!(formatter, "delete a queueing discipline of link {link}"),
            Request::Redirect { link, to } => write!(formatter, "redirect what link {link} receives to link {to}"),
            Request::ListFilters { link } => write!(formatter, "list the filters of link {link}"),
            Request::GuardLoopback { link } => {
                write!(formatter, "drop loopback addresses that come in through link {link}")
            }
            Request::DeleteFilter { link } => write!(formatter, "delete a filter of link {link}"),
            Request::GetNetnsNumber { path } => write!(formatter, "read the number of namespace {}", path.display()),
            Request::AddMarkRule(rule) => write!(formatter, "add the routing rule for {rule}"),
            Request::DeleteMarkRule(rule) => write!(formatter, "delete the routing rule for {rule}"),
            Request::ListRules => write!(formatter, "list the routing rules"),
        }
    }
}

fn write_route(
    formatter: &mut fmt::Formatter<'_>,
    verb: &str,
    destination: IpNetwork,
    gateway: Option<IpAddr>,
) -> fmt::Result {
    write!(formatter, "{verb} route to {destination}")?;
    gateway.map_or(Ok(()), |gateway| write!(formatter, " via {gateway}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_errno_without_a_text_in_musl_has_one_here() {
        let says = |errno| Refusal { errno, words: None }.to_string();
        assert_eq!(says(libc::EXFULL), "the bridge has 1023 ports, and there can be no more");
        for errno in 1..134 {
            assert!(!says(errno).starts_with("No error information"), "{errno}");
        }
    }
}
