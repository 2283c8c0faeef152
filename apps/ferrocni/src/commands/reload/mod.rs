mod restoration;
mod watch;

use std::panic::resume_unwind;
use std::process::ExitCode;
use std::thread;

use ::names::{Records, Server, redirect, start};
use cni::Attachment;
use cni_runtime::{Attached, Network};

use crate::attachments::{Connections, has_namespace};
use crate::failure::{Failure, Outcomes, line};
use crate::host::Host;
use crate::output::{Progress, complain, print_line};

use restoration::Restoration;

/// Put back the packet filter's rules of all attachments, after the ruleset was flushed or the firewall reloaded, and the ways to
/// the DNS server inside the containers
///
/// The agent of overlay networks puts back what is its own.
///
/// What is in place stays as it is. The attachments are those of every runtime, as far as they are recorded.
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
    // What is inside the containers has nothing to do with what is on the host.
    thread::scope(|scope| {
        let names = (!(args.host_only || args.watch)).then(|| scope.spawn(|| restore_names(&only)));
        let mut outcomes = Outcomes::default();
        let count = restore_rules(host, &only, &mut outcomes)?;
        outcomes.note(restore_overlay());
        if let Some(names) = names {
            outcomes.note(names.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
        print_line(format_args!("{count} attachments are as they were"))?;
        Ok(outcomes.status())
    })
}

/// What the attachments have in the host's packet filter. How many there are.
fn restore_rules(host: &Host, only: &[Network], outcomes: &mut Outcomes) -> Result<usize, Failure> {
    let (recorded, broken) = Connections::recorded(host)?;
    broken.iter().for_each(|broken| complain(line(broken)));
    let is_wanted = |one: &&Attached| only.is_empty() || only.iter().any(|network| *network.name() == one.network);
    let (mut restoration, mut count) = (Restoration::default(), 0);
    let mut progress = Progress::new("looking at attachments", recorded.len());
    for attached in recorded.iter().filter(is_wanted) {
        progress.step();
        if outcomes.note(has_namespace(attached).map_err(Failure::from)) == Some(true) {
            count += 1;
            outcomes.note(restoration.collect(attached));
        }
    }
    outcomes.note(restoration.carry_out());
    Ok(count)
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
    let records = Records::default().list()?;
    let is_wanted =
        |attachment: &Attachment| only.is_empty() || only.iter().any(|network| *network.name() == attachment.network);
    let (mut running, mut outcome) = (Vec::new(), Ok(()));
    for (attachment, record) in records.iter().filter(|(attachment, _)| is_wanted(attachment)) {
        match redirect::restore(record) {
            Ok(exists) => running.extend(exists.then_some(attachment)),
            Err(error) => outcome = outcome.and(Err(error)),
        }
    }
    outcome?;
    let server = Server::default();
    if only.is_empty() {
        return Ok(start::serve_all(&server, &running)?);
    }
    Ok(running.iter().try_for_each(|attachment| start::serve(&server, attachment))?)
}
