use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::CommandFactory as _;

use super::Cli;
use crate::failure::Failure;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

/// A page that could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the manual into {}", folder.display())]
struct Unwritten {
    folder: PathBuf,
    source: io::Error,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let folder = &args.folder;
    write(folder).map_err(|source| Unwritten { folder: folder.clone(), source })?;
    Ok(ExitCode::SUCCESS)
}

fn write(folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    clap_mangen::generate_to(Cli::command(), folder)
}
