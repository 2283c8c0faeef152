mod restoration;
mod watch;

use std::panic::resume_unwind;
use std::process::ExitCode;
use std::thread;

use ::names::{Records, Server, redirect, start};
use cni::{Attachment, NetworkName};
use cni_runtime::{Attached, CacheError, Network};
use netlink::Home;
use nftables::Claim;

use crate::attachments::{RecordFile, has_namespace, record_files};
use crate::failure::{Failure, Outcomes, line};
use crate::host::Host;
use crate::output::{Progress, complain, print_line};
use crate::parallel::in_parts;

use restoration::Collection;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Go on, and do it again whenever nftables' rules are flushed, and firewalld reloads or starts
    #[arg(long)]
    watch: bool,
    /// Leave alone what is inside the containers, which nothing that happens to the host's firewall takes away; --watch does so as well
    #[arg(long)]
    host_only: bool,
    /// Only those of these networks
    networks: Vec<String>,
}

pub(super) fn run(host: &Host, args: &Args) -> Result<ExitCode, Failure> {
    if args.watch {
        match watch::on_every_change(|| reload(host, args).map(drop))? {}
    }
    reload(host, args)
}

fn reload(host: &Host, args: &Args) -> Result<ExitCode, Failure> {
    let only = args.networks.iter().map(|name| host.network(name)).collect::<Result<Vec<_>, _>>()?;
    let mut outcomes = Outcomes::default();
    let found = find_claims(host, &only, &mut outcomes);
    // What is inside the containers has nothing to do with what is on the host, where the kernel takes the changes one after the other.
    thread::scope(|scope| {
        let names = (!(args.host_only || args.watch)).then(|| scope.spawn(|| restore_names(&only)));
        if let Ok((claims, _)) = &found {
            outcomes.note(restoration::restore(claims));
        }
        outcomes.note(restore_overlay());
        if let Some(names) = names {
            outcomes.note(names.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
    });
    let (_, count) = found?;
    print_line(format_args!("the rules of {count} attachments are in place"))?;
    Ok(outcomes.status())
}

/// What the attachments have to have in the host's packet filter, and how many there are.
fn find_claims(host: &Host, only: &[Network], outcomes: &mut Outcomes) -> Result<(Vec<Claim>, usize), Failure> {
    let files = record_files(host)?;
    let progress = Progress::new("looking at attachments", files.len());
    let (mut claims, mut count) = (Vec::new(), 0);
    for part in in_parts(&files, |files| Part::of(files, only, &progress)) {
        part.broken.iter().for_each(|broken| complain(line(broken)));
        for failure in part.failures {
            outcomes.note::<()>(Err(failure));
        }
        claims.extend(part.collection.into_claims());
        count += part.count;
    }
    Ok((claims, count))
}

/// A part of what is attached.
#[derive(Debug, Default)]
struct Part {
    collection: Collection,
    /// How many have a namespace.
    count: usize,
    failures: Vec<Failure>,
    /// What is no record.
    broken: Vec<CacheError>,
}

impl Part {
    fn of(files: &[RecordFile<'_>], only: &[Network], progress: &Progress) -> Self {
        let mut part = Self::default();
        for file in files {
            progress.step();
            match file.read() {
                Ok(Some(attached)) if is_wanted(&attached.network, only) => {
                    part.add(&attached).unwrap_or_else(|failure| part.failures.push(failure));
                }
                Ok(_) => {}
                Err(broken) => part.broken.push(broken),
            }
        }
        part
    }

    fn add(&mut self, attached: &Attached) -> Result<(), Failure> {
        if !has_namespace(attached)? {
            return Ok(());
        }
        self.count += 1;
        self.collection.add(attached)
    }
}

fn is_wanted(network: &NetworkName, only: &[Network]) -> bool {
    only.is_empty() || only.iter().any(|one| one.name() == network)
}

/// What belongs to networks over many hosts as a whole: their agent puts it back, if there is one.
fn restore_overlay() -> Result<(), Failure> {
    match overlay::Agent::default().ask(&overlay::Request::Compare) {
        Err(overlay::Error::NoAgent { .. }) => Ok(()),
        outcome => Ok(outcome.map(drop)?),
    }
}

/// The ways to the DNS server, inside the containers, and the server itself if there is none.
fn restore_names(only: &[Network]) -> Result<(), Failure> {
    let records = Records::default();
    let mut wanted = records.attachments()?;
    wanted.retain(|attachment| is_wanted(&attachment.network, only));
    let restore = |attachment: &Attachment, home: &Home| match records.read(attachment)? {
        Some(record) => redirect::restore(&record, home).map_err(Failure::from),
        None => Ok(false),
    };
    let restore_part = |part: &[Attachment]| {
        let home = Home::here()?;
        Ok(part.iter().map(|attachment| restore(attachment, &home)).collect::<Vec<_>>())
    };
    let outcomes = in_parts(&wanted, restore_part).into_iter().collect::<Result<Vec<_>, Failure>>()?;
    let (mut running, mut failed) = (Vec::new(), Ok(()));
    for (attachment, outcome) in wanted.iter().zip(outcomes.into_iter().flatten()) {
        match outcome {
            Ok(exists) => running.extend(exists.then_some(attachment)),
            Err(failure) => failed = failed.and(Err(failure)),
        }
    }
    failed?;
    let server = Server::default();
    if only.is_empty() {
        return Ok(start::serve_all(&server, &running)?);
    }
    Ok(running.iter().try_for_each(|attachment| start::serve(&server, attachment))?)
}
