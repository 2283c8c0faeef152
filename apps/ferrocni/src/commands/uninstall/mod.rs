mod names;
mod units;

use std::collections::BTreeMap;
use std::process::ExitCode;

use cni::Attachment;
use netlink::{Link, Socket, if_found};
use nftables::Ruleset;
use suite::Labelled as _;

use crate::attachments::Connections;
use crate::failure::Failure;
use crate::host::Host;
use crate::output::{Progress, print_line};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Also while containers are connected, which lose their published ports, their way out and each other's names
    #[arg(short, long)]
    force: bool,
}

/// Containers would lose their networks.
#[derive(Debug, thiserror::Error)]
#[error("still connected: {}; stop {}, or use --force", .0.join(", "), if .0.len() == 1 { "it" } else { "them" })]
struct Connected(Vec<String>);

pub(super) fn run(host: &Host, args: &Args) -> Result<ExitCode, Failure> {
    let connected = connected(host)?;
    if !args.force && !connected.is_empty() {
        return Err(Connected(connected).into());
    }
    for unit in units::remove()? {
        print_line(format_args!("unit {unit} is removed"))?;
    }
    for what in names::remove()? {
        print_line(format_args!("{what}"))?;
    }
    for link in portmap::close_loopback()? {
        print_line(format_args!("loopback addresses lead nowhere through {link} any more"))?;
    }
    for table in Ruleset::open()?.remove_tables()? {
        print_line(format_args!("table {table} is removed"))?;
    }
    for bridge in remove_bridges()? {
        print_line(format_args!("bridge {bridge} is removed"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The living attachments: those with a link on the host, and what runtimes have recorded, with what they call the container.
fn connected(host: &Host) -> Result<Vec<String>, Failure> {
    let links = Socket::open()?.links()?;
    let labels = links.iter().filter_map(|link| link.alias.as_deref());
    let labelled = labels.filter_map(Attachment::from_label);
    let mut connected: BTreeMap<_, _> = labelled.map(|attachment| (attachment, None)).collect();
    for connection in Connections::of_host(host)?.all {
        if connection.is_alive()? {
            connected.insert(connection.attachment(), Some(connection.name));
        }
    }
    Ok(connected.iter().map(|(attachment, name)| called(attachment, name.as_deref())).collect())
}

fn called(attachment: &Attachment, name: Option<&str>) -> String {
    match name.filter(|name| *name != attachment.container.as_str()) {
        Some(name) => format!("{name} ({attachment})"),
        None => attachment.to_string(),
    }
}

/// Those that plugins have made, and that have no ports any more.
fn remove_bridges() -> Result<Vec<String>, Failure> {
    let mut host = Socket::open()?;
    let mut removed = Vec::new();
    let is_ours = |link: &Link| link.alias.as_deref() == Some(suite::BRIDGE);
    let bridges: Vec<_> = host.links()?.into_iter().filter(is_ours).collect();
    let progress = Progress::new("removing bridges", bridges.len());
    for link in bridges {
        progress.step();
        if host.links_with_master(link.index)?.is_empty() && if_found(host.delete_link(link.index))?.is_some() {
            removed.push(link.name);
        }
    }
    Ok(removed)
}
