#![doc = include_str!("../README.md")]

mod config;
mod error;
mod localhost;
mod published;
mod rules;
mod stale;

use cni_plugin::{Add, AddResult, Check, Del, Failures, Gc, HostNetwork, Plugin, SpecVersion, Status, Undo};

use nftables::Claim;

pub use config::Config;
pub use error::Error;
pub use localhost::Loopback;

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
        let config = &request.network.config;
        let result = request.network.chained_on()?;
        let leaves_ingress = request.network.has_foreign("bandwidth");
        let published = Published { leaves_ingress, ..Published::new(config, &request.attachment, result) };
        let method = config.method()?;
        if !published.is_empty() {
            match &method {
                Method::Nftables => rules::insert(&published, undo)?,
                Method::Iptables(masquerading) => rules::insert_by_iptables(&published, masquerading, undo)?,
            }
            localhost::open(&published, &method)?;
            stale::forget_earlier(&published)?;
        }
        Ok(result.clone())
    }

    fn del(request: &Del<Config>) -> Result<(), Error> {
        let mut failures = Failures::new();
        let known = request.network.prev_result.as_ref();
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

/// For an attachment whose rules were flushed: what is to come back in ferrocni's ruleset is added to `claims`, and what iptables
/// holds is put back, as is what the host's loopback addresses need, with the filter that guards them first. Many attachments share
/// what is known of `loopback`.
///
/// # Errors
/// Those of iptables, of the filter, and of the links.
pub fn restore(request: &Check<Config>, loopback: &mut Loopback, claims: &mut Vec<Claim>) -> Result<(), Error> {
    let config = &request.network.config;
    let published = Published::new(config, &request.attachment, &request.expected);
    if published.is_empty() {
        return Ok(());
    }
    let method = config.method()?;
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
