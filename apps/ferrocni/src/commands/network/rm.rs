use std::process::ExitCode;

use crate::failure::{Failure, Outcomes};
use crate::host::{Host, LookUpError};
use crate::network::Removal;
use crate::output::{Progress, print_line};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// One that is missing is no failure, nor one whose plugins fail; also removes the first file of the folder, which is the
    /// network of a Kubernetes node
    #[arg(short, long)]
    force: bool,
    /// Name, id or beginning of an id
    #[arg(required = true)]
    networks: Vec<String>,
}

pub(super) fn run(host: &Host, args: &Args) -> Result<ExitCode, Failure> {
    let mut outcomes = Outcomes::default();
    let progress = Progress::new("removing networks", args.networks.len());
    for name in &args.networks {
        progress.step();
        outcomes.note(remove(host, name, args.force));
    }
    Ok(outcomes.status())
}

fn remove(host: &Host, name: &str, force: bool) -> Result<(), Failure> {
    match host.network_to_change(name, "network rm") {
        Err(LookUpError::Unknown(_)) if force => Ok(()),
        network => {
            Removal { host, force }.of(&network?)?;
            print_line(name)
        }
    }
}
