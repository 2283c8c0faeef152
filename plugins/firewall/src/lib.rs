#![doc = include_str!("../README.md")]

mod admission;
mod config;
mod error;
mod forward;
mod host;
mod member;
mod zone;

use cni_plugin::{Add, AddResult, Check, Del, Failures, Gc, HostNetwork, Plugin, SpecVersion, Status, Undo};
use nftables::{Claim, Ruleset};
use suite::Labelled as _;

pub use admission::Admission;
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
        let result = request.network.chained_on()?;
        if request.network.config.has_unknown_backend() {
            request.network.note("this \"backend\" is unknown, and taken for none: this host's own is chosen");
        }
        let host = Host::default();
        if let Some(admission) = Admission::new(request, &host)? {
            Claim::insert_all(&[admission.claim()], undo)?;
            admission.carry_out(undo)?;
        }
        Ok(result.clone())
    }

    fn del(request: &Del<Config>) -> Result<(), Error> {
        let mut ruleset = Ruleset::open()?;
        // First: the elements tell a repeated DEL which addresses it is about.
        withdraw(request, &mut ruleset)?;
        match removal(request) {
            Some(claim) => ruleset.remove(&claim.label, &claim.elements)?,
            None => {
                let label = request.attachment.label();
                ruleset.remove_where(member::PARTS, |holder| holder == label)?
            }
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

/// The first half of DEL: whatever the host's iptables and firewalld let through for the attachment.
///
/// # Errors
/// Those of the backends, after all of it was tried.
pub fn withdraw(request: &Del<Config>, ruleset: &mut Ruleset) -> Result<(), Error> {
    let mut failures = Failures::new();
    let label = request.attachment.label();
    if let Some(addresses) = failures.note(member::addresses(request, ruleset)) {
        failures.note(forward::withdraw(&addresses));
        failures.note(forward::open_unused_bridges(|holder| holder == label));
        failures.note(zone::unbind(&request.network.config, &addresses));
    }
    Ok(failures.into_result()?)
}

/// The second half, for who removes it together with others' claims: all that an attachment with this result can have in ferrocni's
/// ruleset. `None` without a result.
#[must_use]
pub fn removal(request: &Del<Config>) -> Option<Claim> {
    let elements = Member::of_removal(request)?.elements();
    Some(Claim { label: request.attachment.label(), link: None, elements })
}

/// For an attachment whose rules were flushed: what is to come back in ferrocni's ruleset is added to `claims`, and what iptables and
/// firewalld hold is put back. Many attachments share what is known of the `host`.
///
/// # Errors
/// Those of the backends.
pub fn restore(request: &Check<Config>, host: &Host, claims: &mut Vec<Claim>) -> Result<(), Error> {
    match Admission::of(&request.network.config, &request.attachment, &request.expected, host)? {
        Some(admission) => {
            claims.push(admission.claim());
            admission.carry_out(&mut Undo::new())
        }
        None => Ok(()),
    }
}
