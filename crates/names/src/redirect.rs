//! Port 53 of 127.0.0.11 in a container leads to the server, which listens on another port, so that port 53 stays free for a
//! server of the container's own.
//!
//! It is done without address translation, by four constant rules in a table of their own, `ip ferrocni_dns`: no connection is
//! tracked, and what flushes the container's iptables does not touch them. `nft flush ruleset` does, and [`restore`] brings them back.

use std::net::{IpAddr, Ipv6Addr};

use netlink::{Home, Netns};
use nftables::redirect::{Asked, Redirect};

use crate::{ADDRESS, Listen, PORT, Record};

/// Where the server listens, in each container.
pub const LISTENED: u16 = 53053;

/// The server's own questions have this mark (`SO_MARK`), so that they are not intercepted.
pub const MARK: u32 = 0x66_64_6e_73;

/// Where intercepted questions over IPv6 are led.
pub const ADDRESS_V6: Ipv6Addr = Ipv6Addr::LOCALHOST;

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

/// The rules that a record asks for: none where the server listens on port 53 itself.
fn wanted(record: &Record) -> Vec<Redirect> {
    let to = match record.listen {
        Listen::Rewrite => LISTENED,
        Listen::Direct => PORT,
        Listen::Gateway => return Vec::new(),
    };
    let lead = |address: IpAddr, asked| Redirect { address, from: PORT, to, asked };
    let any = Asked::Any { but_for: MARK };
    match record.intercept {
        true => vec![lead(ADDRESS.into(), any), lead(ADDRESS_V6.into(), any)],
        false if to == PORT => Vec::new(),
        false => vec![lead(ADDRESS.into(), Asked::Address)],
    }
}

/// Makes the rules that a record asks for. They stay if they are there, and so do those of another record of the container that
/// has everything intercepted.
///
/// # Errors
/// [`Error`].
pub fn install(inside: &Netns, record: &Record) -> Result<(), Error> {
    let wanted = wanted(record);
    inside.run(|| wanted.iter().try_for_each(make))?.map_err(failed(inside))
}

/// Whether the rules that a record asks for are there.
///
/// # Errors
/// [`Error`].
pub fn check(inside: &Netns, record: &Record) -> Result<bool, Error> {
    let wanted = wanted(record);
    let all_there = || wanted.iter().try_fold(true, |so_far, redirect| Ok(so_far && is_there(redirect)?));
    inside.run(all_there)?.map_err(failed(inside))
}

/// Without IPv6 in the kernel there is nothing to intercept.
fn make(redirect: &Redirect) -> nftables::Result<()> {
    match redirect.install() {
        Err(error) if redirect.address.is_ipv6() && error.is_unsupported() => Ok(()),
        outcome => outcome,
    }
}

fn is_there(redirect: &Redirect) -> nftables::Result<bool> {
    match redirect.is_installed() {
        Err(error) if redirect.address.is_ipv6() && error.is_unsupported() => Ok(true),
        outcome => outcome,
    }
}

/// Removes the rules; what is missing is removed already.
///
/// # Errors
/// [`Error`].
pub fn remove(inside: &Netns) -> Result<(), Error> {
    inside.run(nftables::redirect::remove)?.map_err(failed(inside))
}

/// Makes the rules again in the namespace of a record, if that exists, which is the answer. `home` is that of this thread.
///
/// # Errors
/// [`Error`].
pub fn restore(record: &Record, home: &Home) -> Result<bool, Error> {
    let wanted = wanted(record);
    // As a rule they are there.
    let make_missing = |redirect| if is_there(redirect)? { Ok(()) } else { make(redirect) };
    let Some((inside, made)) = record.namespace.run_from(home, || wanted.iter().try_for_each(make_missing))? else {
        return Ok(false);
    };
    made.map_err(failed(&inside))?;
    Ok(true)
}

fn failed(inside: &Netns) -> impl FnOnce(nftables::Error) -> Error {
    let path = inside.path().to_owned();
    move |source| Error::Rules { path, source }
}
