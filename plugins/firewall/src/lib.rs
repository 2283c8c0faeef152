#![doc = include_str!("../README.md")]

mod config;
mod error;
mod forward;
mod host;
mod member;
mod zone;

use cni_plugin::{Add, AddResult, Check, Del, Failures, Gc, HostNetwork, Plugin, SpecVersion, Status, Undo};
use nftables::{Claim, Ruleset};
use suite::Labelled as _;

pub use config::Config;
pub use error::Error;
pub use host::Host;

use config::Backend;
use member::Member;

/// Lets containers' traffic through the host's firewall, and keeps networks apart.
#[derive(Debug)]
pub struct Firewall;

impl Plugin for Firewall {
    type Config = Config;
    type Error = Error;
    const NAME: &'static str = "firewall";
    const ABOUT: &'static str =
        "lets containers' traffic through the host's firewall, and isolates networks from each other";
    const VERSIONS: &'static [SpecVersion] = SpecVersion::SINCE_0_4_0;
    const HOST_NETWORK: HostNetwork = HostNetwork::NothingToDo;

    fn add(request: &Add<Config>, undo: &mut Undo) -> Result<AddResult, Error> {
        let config = &request.network.config;
        let result = request.network.chained_on()?;
        let member = Member::new(config, &request.attachment, result)?;
        if config.has_unknown_backend() {
            request.network.note("this \"backend\" is unknown, and taken for none: this host's own is chosen");
        }
        if !member.addresses.is_empty() {
            let host = Host::default();
            let backend = config.backend(&host)?;
            member::enlist(&member, backend, undo)?;
            forward::accept(&member, backend, &host, undo)?;
            if backend == Backend::Firewalld {
                zone::bind(&member, undo)?;
            }
        }
        Ok(result.clone())
    }

    fn del(request: &Del<Config>) -> Result<(), Error> {
        let mut failures = Failures::new();
        let config = &request.network.config;
        let label = request.attachment.label();
        let Some(mut ruleset) = failures.note(Ruleset::open().map_err(Error::from)) else {
            return Ok(failures.into_result()?);
        };
        if let Some(addresses) = failures.note(member::addresses(request, &mut ruleset)) {
            failures.note(forward::withdraw(&addresses));
            failures.note(forward::open_unused_bridges(|holder| holder == label));
            failures.note(zone::unbind(config, &addresses));
        }
        // Only then: the elements tell a repeated DEL which addresses it is about.
        failures.into_result()?;
        match Member::of_removal(request) {
            Some(member) => ruleset.remove(&label, &member.elements())?,
            None => ruleset.remove_where(member::PARTS, |holder| holder == label)?,
        };
        Ok(())
    }

    fn check(request: &Check<Config>) -> Result<(), Error> {
        let config = &request.network.config;
        let member = Member::new(config, &request.attachment, &request.expected)?;
        let host = Host::default();
        let backend = config.backend(&host)?;
        match member::check(&member, backend) {
            Err(_) if forward::is_left_to_the_reference(&member) => return Ok(()),
            outcome => outcome?,
        }
        forward::check(&member, backend)?;
        if backend == Backend::Firewalld { zone::check(&member) } else { Ok(()) }
    }

    fn gc(request: &Gc<Config>) -> Result<(), Error> {
        let mut failures = Failures::new();
        let Some(mut ruleset) = failures.note(Ruleset::open().map_err(Error::from)) else {
            return Ok(failures.into_result()?);
        };
        let stale = failures.note(ruleset.members(|holder| suite::is_stale(request, holder)).map_err(Error::from));
        if let Some(addresses) = stale {
            failures.note(forward::withdraw(&addresses));
            failures.note(zone::unbind(&request.network.config, &addresses));
        }
        failures.note(forward::open_unused_bridges(|holder| suite::is_stale(request, holder)));
        failures.into_result()?;
        ruleset.remove_where(member::PARTS, |holder| suite::is_stale(request, holder))?;
        Ok(())
    }

    fn status(request: &Status<Config>) -> Result<(), Error> {
        // With every backend it is the ruleset that says whose an address is.
        Ruleset::probe()?;
        match request.network.config.backend(&Host::default())? {
            Backend::Nftables => {}
            Backend::Iptables => iptables::probe()?,
            Backend::Firewalld => drop(firewalld::Firewalld::connect()?),
        }
        forward::probe()
    }
}

/// For an attachment whose rules were flushed: what is to come back in ferrocni's ruleset is added to `claims`, and what iptables and
/// firewalld hold is put back. Many attachments share what is known of the `host`.
///
/// # Errors
/// Those of the backends.
pub fn restore(request: &Check<Config>, host: &Host, claims: &mut Vec<Claim>) -> Result<(), Error> {
    let config = &request.network.config;
    let member = Member::new(config, &request.attachment, &request.expected)?;
    if member.addresses.is_empty() {
        return Ok(());
    }
    let backend = config.backend(host)?;
    claims.push(member.claim(backend));
    forward::accept(&member, backend, host, &mut Undo::new())?;
    if backend == Backend::Firewalld { zone::bind(&member, &mut Undo::new()) } else { Ok(()) }
}
