//! Port 53 of 127.0.0.11 in a container leads to the server, which listens on another port, so that port 53 stays free for a
//! server of the container's own.
//!
//! It is done without address translation, by four constant rules in a table of their own, `ip ferrocni_dns`: no connection is
//! tracked, and what flushes the container's iptables does not touch them. `nft flush ruleset` does, and [`restore`] brings them back.

use cni::Attachment;
use netlink::Netns;
use nftables::redirect::Redirect;

use crate::{ADDRESS, Listen, PORT, Record};

/// Where the server listens, in each container.
pub const LISTENED: u16 = 53053;

const REDIRECT: Redirect = Redirect { address: ADDRESS, from: PORT, to: LISTENED };

/// Rules that cannot be read or changed.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are what their names say")]
pub enum Error {
    /// The namespace cannot be entered.
    #[error(transparent)]
    Namespace(#[from] netlink::Error),
    /// The kernel refuses.
    #[error("cannot lead port {PORT} of {ADDRESS} to the DNS server in {}", path.display())]
    Rules { path: std::path::PathBuf, source: nftables::Error },
}

/// Makes the rules inside; they stay if they are there.
///
/// # Errors
/// [`Error`]; nothing has changed then.
pub fn install(inside: &Netns) -> Result<(), Error> {
    inside.run(|| REDIRECT.install())?.map_err(failed(inside))
}

/// Whether the rules are there as [`install`] makes them.
///
/// # Errors
/// [`Error`].
pub fn check(inside: &Netns) -> Result<bool, Error> {
    inside.run(|| REDIRECT.is_installed())?.map_err(failed(inside))
}

/// Removes the rules; what is missing is removed already.
///
/// # Errors
/// [`Error`].
pub fn remove(inside: &Netns) -> Result<(), Error> {
    inside.run(nftables::redirect::remove)?.map_err(failed(inside))
}

/// Makes the rules again in the namespace of each record that needs them and whose namespace exists, and returns how many those
/// are.
///
/// # Errors
/// The first [`Error`], after all have been tried.
pub fn restore(records: &[(Attachment, Record)]) -> Result<usize, Error> {
    let mut restored = 0;
    let mut failure = None;
    for (_, record) in records.iter().filter(|(_, record)| record.listen == Listen::Rewrite) {
        match record.namespace.open().map_err(Error::from).and_then(|found| found.as_ref().map(install).transpose()) {
            Ok(done) => restored += usize::from(done.is_some()),
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    failure.map_or(Ok(restored), Err)
}

fn failed(inside: &Netns) -> impl FnOnce(nftables::Error) -> Error {
    let path = inside.path().to_owned();
    move |source| Error::Rules { path, source }
}
