#![doc = include_str!("../README.md")]

mod answer;
mod arguments;
mod attachment;
mod bridges;
mod commands;
mod container;
mod error;
mod filter;
mod link;
mod names;
mod namespace;
mod places;
mod plugin;
mod ports;
mod predecessor;
mod program;
mod records;
mod routes;
mod status;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use cni_plugin::Undo;

use arguments::Arguments;
use error::Error;

/// The whole program: prints what was asked for, or `{"error": "…"}`, and then nothing is changed that can be taken back.
#[must_use]
pub fn main() -> ExitCode {
    let mut undo = Undo::new();
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let arguments = Arguments::read()?;
        let answer = commands::run(&arguments, &mut undo)?;
        answer::print(&answer)
    }));
    match outcome.unwrap_or(Err(Error::Bug)) {
        Ok(()) => {
            undo.commit();
            ExitCode::SUCCESS
        }
        Err(Error::Shown(code)) => code,
        Err(error) => {
            answer::print_error(&error, &undo.roll_back());
            ExitCode::FAILURE
        }
    }
}
