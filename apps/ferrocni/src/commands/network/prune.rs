use std::io::{self, Write as _};
use std::process::ExitCode;

use super::filter::Filters;
use crate::failure::{Failure, Outcomes};
use crate::host::Host;
use crate::network::{Description, Removal, is_in_use};
use crate::output::{Progress, print_line};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Remove only networks with this property: label, label!, until (may be repeated)
    #[arg(long, value_name = "KEY=VALUE")]
    filter: Vec<String>,
    /// Do not ask
    #[arg(short, long)]
    force: bool,
}

pub(super) fn run(host: &Host, args: &Args) -> Result<ExitCode, Failure> {
    let filters = Filters::parse(&args.filter, &["label", "label!", "until"])?;
    if !args.force && !confirmed()? {
        return Ok(ExitCode::SUCCESS);
    }
    let (mut outcomes, mut removed) = (Outcomes::default(), Vec::new());
    let networks = host.networks()?.networks;
    let progress = Progress::new("looking for networks to remove", networks.len());
    for network in &networks {
        progress.step();
        let described = Description::of(network);
        if described.is_created() && filters.admit(host, &described)? && !is_in_use(host, network)? {
            let outcome = Removal { host, force: false }.of(network);
            removed.extend(outcomes.note(outcome).map(|()| described.name));
        }
    }
    if !removed.is_empty() {
        print_line(format_args!("Deleted Networks:\n{}", removed.join("\n")))?;
    }
    Ok(outcomes.status())
}

/// Asks on stderr, because stdout is for what was done.
fn confirmed() -> Result<bool, Failure> {
    let mut stderr = io::stderr().lock();
    write!(stderr, "This removes all networks that no container is connected to. Go on? [y/N] ")?;
    stderr.flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
