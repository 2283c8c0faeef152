#![doc = include_str!("../README.md")]

mod config;
mod error;
mod ingress;
mod localhost;
mod publication;
mod published;
mod rules;
mod stale;

use cni_plugin::{Add, AddResult, Check, Del, Failures, Gc, HostNetwork, Plugin, SpecVersion, Status, Undo};

use nftables::Claim;
use suite::Labelled as _;

pub use config::Config;
pub use error::Error;
pub use localhost::Loopback;
pub use publication::Publication;
pub use rules::explain;

use config::Method;
use published::Published;

/// Publishes ports of containers on the host.
#[derive(Debug)]
pub struct Portmap;

impl Plugin for Portmap {
    type Config = Config;
    type Error = Error;
    const NAME: &'static str = "portmap";
    const ABOUT: &'static str = "publishes ports of containers on the host";
    const VERSIONS: &'static [SpecVersion] = SpecVersion::ALL;
    const HOST_NETWORK: HostNetwork = HostNetwork::NothingToDo;

    fn add(request: &Add<Config>, undo: &mut Undo) -> Result<AddResult, Error> {
        if let Some(publication) = Publication::new(request)? {
            Claim::insert_all(publication.claim().as_slice(), undo).map_err(explain)?;
            publication.carry_out(undo)?;
        }
        Ok(request.network.chained_on()?.clone())
    }

    fn del(request: &Del<Config>) -> Result<(), Error> {
        let mut failures = Failures::new();
        let known = request.network.prev_result.as_deref();
        let published = known.map(|result| Published::new(&request.network.config, &request.attachment, result));
        failures.note(rules::remove(&request.attachment, published.as_ref()));
        failures.note(localhost::close(&request.attachment, published.as_ref()));
        // After the rules, or a packet in between would make the entry anew.
        if let Some(published) = &published {
            failures.note(stale::forget_own(published));
        }
        Ok(failures.into_result()?)
    }

    fn check(request: &Check<Config>) -> Result<(), Error> {
        let config = &request.network.config;
        let published = Published::new(config, &request.attachment, &request.expected);
        let method = config.method()?;
        if published.is_empty() {
            return Ok(());
        }
        match method {
            Method::Nftables => match rules::check(&published) {
                // Published before this suite was installed: by the reference, and as well as ever.
                Err(_) if rules::are_by_the_reference(&published)? => return Ok(()),
                outcome => outcome?,
            },
            Method::Iptables(masquerading) => rules::check_by_iptables(&published, &masquerading)?,
        }
        localhost::check(&published)
    }

    fn gc(request: &Gc<Config>) -> Result<(), Error> {
        rules::collect(request)
    }

    fn status(request: &Status<Config>) -> Result<(), Error> {
        match request.network.config.method()? {
            Method::Nftables => Ok(nftables::Ruleset::probe()?),
            Method::Iptables(_) => Ok(iptables::probe()?),
        }
    }
}

/// For who removes it together with others' claims, and [`retire`]s after it: what an attachment with this result has in ferrocni's
/// ruleset. `None` without a result.
#[must_use]
pub fn removal(request: &Del<Config>) -> Option<Claim> {
    let result = request.network.prev_result.as_deref()?;
    let published = Published::new(&request.network.config, &request.attachment, result);
    let elements = published.elements().into_iter().chain(published.traces()).collect();
    Some(Claim { label: request.attachment.label(), link: None, elements })
}

/// What DEL does after that: closes the way from the host's loopback addresses, and ends connections that led here.
///
/// # Errors
/// Those of the kernel, after all of it was tried.
pub fn retire(request: &Del<Config>) -> Result<(), Error> {
    let mut failures = Failures::new();
    let known = request.network.prev_result.as_deref();
    let published = known.map(|result| Published::new(&request.network.config, &request.attachment, result));
    if let Some(Method::Iptables(_)) = failures.note(request.network.config.method()) {
        failures.note(rules::remove_from_iptables(&request.attachment));
    }
    failures.note(localhost::close(&request.attachment, published.as_ref()));
    // After the rules, or a packet in between would make the entry anew.
    if let Some(published) = &published {
        failures.note(stale::forget_own(published));
    }
    Ok(failures.into_result()?)
}

/// For an attachment whose rules were flushed: what is to come back in ferrocni's ruleset is added to `claims`, and what iptables
/// holds is put back, as is what the host's loopback addresses need, with the filter that guards them first. Many attachments share
/// what is known of `loopback`.
///
/// # Errors
/// Those of iptables, of the filter, and of the links.
pub fn restore(request: &Check<Config>, loopback: &mut Loopback, claims: &mut Vec<Claim>) -> Result<(), Error> {
    let publication = Publication::of(&request.network.config, &request.attachment, &request.expected)?;
    let Some(Publication { published, method }) = publication else { return Ok(()) };
    loopback.restore(&published, &method)?;
    match method {
        Method::Nftables => claims.push(rules::claim(&published)),
        Method::Iptables(masquerading) => rules::insert_by_iptables(&published, &masquerading, &mut Undo::new())?,
    }
    Ok(())
}

/// For removing the suite from a host: on all of its links the host's loopback addresses lead to published ports no more. Returns
/// the links that were open.
///
/// # Errors
/// Those of the kernel.
pub fn close_loopback() -> Result<Vec<String>, Error> {
    localhost::close_all()
}
