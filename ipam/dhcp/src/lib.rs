#![doc = include_str!("../README.md")]

mod ask;
mod config;
pub mod daemon;
mod error;
mod lease;
mod machine;
mod moment;
mod names;
mod protocol;
mod store;
mod v4;
mod v6;
mod wishes;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;

use cni_plugin::{
    Add, AddResult, Attachment, Check, Del, Dns, Failures, Gc, NetworkName, Plugin, SpecVersion, Status, Undo,
};
use ip::Family;

pub use config::Config;
pub use error::Error;

use ask::ask;
use lease::Settings;
use protocol::{Answer, Holder, Request};
use store::Store;

/// The plugin.
#[derive(Debug, Clone, Copy)]
pub struct Dhcp;

impl Plugin for Dhcp {
    type Config = Config;
    type Error = Error;
    const NAME: &'static str = "dhcp";
    const ABOUT: &'static str = "gets addresses from a DHCP server; `dhcp daemon` keeps the leases";
    const VERSIONS: &'static [SpecVersion] = SpecVersion::ALL;

    fn add(request: &Add<Config>, undo: &mut Undo) -> Result<AddResult, Error> {
        let config = &request.network.config;
        let leases = allocate(request, undo)?;
        debug_assert_eq!(leases.len(), config.families().len(), "the daemon gives one for each");
        Ok(report(leases))
    }

    fn del(request: &Del<Config>) -> Result<(), Error> {
        release(&request.network.config, &request.attachment)
    }

    fn check(request: &Check<Config>) -> Result<(), Error> {
        let config = &request.network.config;
        let held = match ask(config.socket(), &Request::Check { attachment: request.attachment.clone() })? {
            Answer::Held(held) => held,
            _ => return Err(wrong_answer(config)),
        };
        config.families().into_iter().try_for_each(|family| {
            let held = held.iter().find(|held| held.family() == family);
            compare(request, family, held)
        })
    }

    fn gc(request: &Gc<Config>) -> Result<(), Error> {
        let config = &request.network.config;
        let mut failures = Failures::new();
        for holder in holders(config, &request.network.name)? {
            if request.is_stale(&holder) {
                failures.note(release(config, &holder));
            }
        }
        Ok(failures.into_result()?)
    }

    fn status(request: &Status<Config>) -> Result<(), Error> {
        config::wishes(&request.network)?;
        ask(request.network.config.socket(), &Request::Ping).map(drop)
    }
}

fn allocate(request: &Add<Config>, undo: &mut Undo) -> Result<Vec<Settings>, Error> {
    let config = request.network.config.clone();
    let attachment = request.attachment.clone();
    // The daemon has another working directory.
    let netns =
        std::path::absolute(&request.netns).map_err(|source| Error::Path { path: request.netns.clone(), source })?;
    let (families, wishes) = (config.families(), config::wishes(&request.network)?);
    let wanted = wishes.addresses.clone();
    let question = Request::Allocate { attachment: attachment.clone(), netns, families, wishes };
    let answer = ask(config.socket(), &question);
    // Also those that the daemon has told of when nothing could be heard any more.
    if matches!(answer, Ok(Answer::Allocated { fresh: true, .. }) | Err(Error::Talk { .. })) {
        undo.push("release the leases", {
            let config = config.clone();
            move || release(&config, &attachment)
        });
    }
    match answer? {
        Answer::Allocated { leases, .. } => {
            let is_missing = |wanted: &IpAddr| !leases.iter().any(|lease| lease.address.ip() == *wanted);
            match wanted.into_iter().find(is_missing) {
                Some(wanted) => Err(Error::OtherAddress { attachment: request.attachment.clone(), wanted }),
                None => Ok(leases),
            }
        }
        _ => Err(wrong_answer(&config)),
    }
}

fn report(leases: Vec<Settings>) -> AddResult {
    let mut result = AddResult::default();
    for lease in leases {
        result.ips.push(lease.ip());
        result.routes.extend(lease.routes);
        merge(&mut result.dns, lease.dns);
    }
    result
}

fn merge(dns: &mut Dns, more: Dns) {
    if dns.domain.is_empty() {
        dns.domain = more.domain;
    }
    dns.nameservers.extend(more.nameservers);
    let known: BTreeSet<String> = dns.search.iter().cloned().collect();
    dns.search.extend(more.search.into_iter().filter(|name| !known.contains(name)));
}

/// Without a daemon the leases are not kept, and they end by themselves. The next one is not to take them up.
///
/// Nor has another program's daemon any of ours; a runtime that could not delete a container for its sake would try for ever.
fn release(config: &Config, attachment: &Attachment) -> Result<(), Error> {
    match ask(config.socket(), &Request::Release { attachment: attachment.clone() }) {
        Ok(_) => Ok(()),
        Err(Error::Absent { .. }) => Store::of(config.socket(), "").remove_all(attachment),
        Err(error @ Error::NotOurs { .. }) => {
            eprintln!("nothing is released: {error}");
            Store::of(config.socket(), "").remove_all(attachment)
        }
        Err(error) => Err(error),
    }
}

/// Who has leases of this network.
fn holders(config: &Config, network: &NetworkName) -> Result<BTreeSet<Attachment>, Error> {
    match ask(config.socket(), &Request::List { network: network.clone() }) {
        Ok(Answer::Holders(holders)) => Ok(holders.into_iter().map(|Holder(attachment)| attachment).collect()),
        Ok(_) => Err(wrong_answer(config)),
        Err(Error::Absent { .. } | Error::NotOurs { .. }) => leased(config.socket()),
        Err(error) => Err(error),
    }
}

/// Who has leases from the daemon on a socket, as its files say, whether it runs or not.
///
/// # Errors
/// Its folder cannot be listed.
pub fn leased(socket: &Path) -> Result<BTreeSet<Attachment>, Error> {
    Ok(Store::of(socket, "").keys()?.into_iter().map(|key| key.attachment).collect())
}

fn wrong_answer(config: &Config) -> Error {
    Error::WrongAnswer { socket: config.socket().into() }
}

/// The lease is there, and it is the one that ADD reported. Whether the interface has its address is the interface plugin's
/// to say.
fn compare(request: &Check<Config>, family: Family, held: Option<&Settings>) -> Result<(), Error> {
    let attachment = || request.attachment.clone();
    let Some(Settings { address, .. }) = held else {
        return Err(Error::NoLease { attachment: attachment(), family });
    };
    if !request.expected.ips.iter().any(|ip| ip.address == *address) {
        return Err(Error::OtherLease { attachment: attachment(), family, found: address.to_string() });
    }
    Ok(())
}
