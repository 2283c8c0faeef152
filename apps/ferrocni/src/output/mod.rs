//! What is written, and how.

mod format;
mod progress;

use std::fmt::Display;
use std::io::{self, Write as _};

pub(crate) use format::{Form, List, Listing};
pub(crate) use progress::Progress;

use crate::failure::Failure;

/// Writes a text to stdout. A reader that has seen enough (`| head`) is no failure.
pub(crate) fn print(text: impl Display) -> Result<(), Failure> {
    progress::hide();
    match write!(io::stdout().lock(), "{text}").and_then(|()| io::stdout().flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// The same with an end of line.
pub(crate) fn print_line(text: impl Display) -> Result<(), Failure> {
    print(format_args!("{text}\n"))
}

/// Writes a line to stderr, all at once: several of us may share it.
pub(crate) fn complain(message: impl Display) {
    progress::hide();
    // There is nothing left to say it to.
    let _ = io::stderr().write_all(format!("ferrocni: {message}\n").as_bytes());
}
