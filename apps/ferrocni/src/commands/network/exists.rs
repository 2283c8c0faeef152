use std::process::ExitCode;

use crate::failure::Failure;
use crate::host::{Host, LookUpError};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Name, id or beginning of the id
    network: String,
}

pub(super) fn run(host: &Host, args: &Args) -> Result<ExitCode, Failure> {
    match host.network(&args.network) {
        Ok(_) => Ok(ExitCode::SUCCESS),
        Err(LookUpError::Unknown(_)) => Ok(ExitCode::FAILURE),
        Err(error) => Err(Failure::from(error).with_status(125)),
    }
}
