//! What is printed: standard output belongs to the protocol.

use std::io::Write as _;

use serde_json::{Value, json};

use crate::error::{Error, chain};

/// Writes an answer in one piece; nothing for `null`.
pub(crate) fn print(answer: &Value) -> Result<(), Error> {
    if answer.is_null() {
        return Ok(());
    }
    let mut text = answer.to_string();
    text.push('\n');
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(Error::Answer)
}

/// Writes an error with its causes, and what could not be taken back.
pub(crate) fn print_error(error: &Error, left: &[String]) {
    let told: Vec<String> = std::iter::once(chain(error)).chain(left.iter().cloned()).collect();
    if let Err(unprinted) = print(&json!({"error": told.join("; ")})) {
        eprintln!("{}; {}", told.join("; "), chain(&unprinted));
    }
}
