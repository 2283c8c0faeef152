//! What CHECK and STATUS look at.

use std::collections::BTreeSet;
use std::net::IpAddr;

use cni_plugin::{Attachment, Check, Difference};
use names::{Listen, Name, Record, Records, Server, redirect, start};
use netlink::Netns;
use nftables::Ruleset;

use crate::{Config, Error, loopback};

/// How many characters of its id a container without a name is asked for by.
const SHORT_ID: usize = 12;

/// The record, the way to the server and the server itself are as ADD left them.
pub(crate) fn verify(request: &Check<Config>) -> Result<(), Error> {
    let (attachment, netns) = (&request.attachment, Netns::open(&request.netns)?);
    let record = Records::default().read(attachment)?;
    let record = record.ok_or_else(|| Difference::new(format!("the record of {attachment}"), "a file", "none"))?;
    let ifname = attachment.ifname.as_str();
    let expected = request.expected.ips_of(ifname).map(|ip| ip.address.ip()).collect();
    compare(format_args!("in the record of {attachment}"), &expected, &record.addresses.iter().copied().collect())?;
    if record.listen != Listen::Gateway {
        loopback::check(&netns)?;
    }
    if !redirect::check(&netns, &record)? {
        let rules = format!("the rules that lead to the DNS server in {}", netns.path().display());
        return Err(Difference::new(rules, "those of ADD", "others, or none").into());
    }
    ask(attachment, &record)
}

/// The server gives the container's addresses to the container itself.
fn ask(attachment: &Attachment, record: &Record) -> Result<(), Error> {
    let (server, container) = (Server::default(), &attachment.container);
    let short_id = || container.as_str().get(..SHORT_ID).and_then(|id| Name::new(id).ok());
    let Some(name) = record.name.clone().or_else(short_id) else {
        server.status()?;
        return Ok(());
    };
    let mut answered = BTreeSet::new();
    for kind in ["A", "AAAA"] {
        let found = server.lookup(container, name.as_str(), kind)?;
        answered.extend(found.records.iter().filter_map(|record| record.data.parse::<IpAddr>().ok()));
    }
    // Others may be called the same.
    let own: BTreeSet<IpAddr> = record.addresses.iter().copied().collect();
    answered.retain(|address| own.contains(address));
    compare(format_args!("that the DNS server has for {name}"), &own, &answered)
}

fn compare(
    where_: std::fmt::Arguments<'_>,
    expected: &BTreeSet<IpAddr>,
    found: &BTreeSet<IpAddr>,
) -> Result<(), Error> {
    let list = |addresses: &BTreeSet<IpAddr>| {
        let texts: Vec<_> = addresses.iter().map(ToString::to_string).collect();
        if texts.is_empty() { "none".to_owned() } else { texts.join(", ") }
    };
    if expected == found {
        return Ok(());
    }
    Err(Difference::new(format!("the addresses {where_}"), list(expected), list(found)).into())
}

/// A record could be written, the server runs or could be started, and there is nf_tables where it is needed.
pub(crate) fn probe(config: &Config) -> Result<(), Error> {
    Records::default().probe()?;
    match Server::default().status() {
        Err(error) if error.is_absent() => drop(start::program()?),
        status => drop(status?),
    }
    if config.listen == Listen::Rewrite {
        Ruleset::probe()?;
    }
    Ok(())
}
