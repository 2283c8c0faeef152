//! Running the two programs: `iptables-save` and `iptables-restore`, without a shell.

use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use ip::Family;

use crate::{Error, Result};

/// How many seconds to wait for another program to let go of the xtables lock. The lock is held for
/// milliseconds; who waits longer waits for a program that hangs, and an error is better than to hang too.
const LOCK_SECONDS: &str = "60";

/// The program that is for a family: two families, two sets of tables.
pub(crate) fn name(family: Family) -> &'static str {
    match family {
        Family::V4 => "iptables",
        Family::V6 => "ip6tables",
    }
}

/// The tables that the Go suite uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// Address translation.
    Nat,
    /// Accepting and dropping.
    Filter,
}

impl Table {
    /// The table's name as iptables knows it (`-t`).
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Nat => "nat",
            Self::Filter => "filter",
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Which of the kernel's two implementations the rules are in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variant {
    /// Whichever the `iptables-restore` on PATH uses.
    Default,
    /// nf_tables.
    Nft,
    /// The old tables.
    Legacy,
}

/// Whether there is an `iptables-restore` to work with; nothing is run.
///
/// # Errors
/// [`Error::is_not_installed`] if there is none.
pub fn probe() -> Result<()> {
    find(restore_names(Family::V4, Variant::Default)).map(drop)
}

/// Reads one table as `iptables-save` prints it.
pub(crate) fn save(family: Family, variant: Variant, table: Table) -> Result<String> {
    let path = find(save_names(family, variant))?;
    let output = run(&path, &["-t", table.name()], b"")?;
    if !output.status.success() {
        return Err(failed(&path, "", &output));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Feeds `input` to `iptables-restore`, which takes all of it or none.
pub(crate) fn restore(family: Family, variant: Variant, input: &str) -> Result<()> {
    let path = find(restore_names(family, variant))?;
    let output = run(&path, &["--noflush", "-w", LOCK_SECONDS], input.as_bytes())?;
    if output.status.success() { Ok(()) } else { Err(failed(&path, input, &output)) }
}

/// The program's names, best first. Where the named variant has no program of its own, there is but one
/// variant installed, and the plain name is it.
fn save_names(family: Family, variant: Variant) -> &'static [&'static str] {
    match (family, variant) {
        (Family::V4, Variant::Default) => &["iptables-save"],
        (Family::V4, Variant::Nft) => &["iptables-nft-save", "iptables-save"],
        (Family::V4, Variant::Legacy) => &["iptables-legacy-save", "iptables-save"],
        (Family::V6, Variant::Default) => &["ip6tables-save"],
        (Family::V6, Variant::Nft) => &["ip6tables-nft-save", "ip6tables-save"],
        (Family::V6, Variant::Legacy) => &["ip6tables-legacy-save", "ip6tables-save"],
    }
}

fn restore_names(family: Family, variant: Variant) -> &'static [&'static str] {
    match (family, variant) {
        (Family::V4, Variant::Default) => &["iptables-restore"],
        (Family::V4, Variant::Nft) => &["iptables-nft-restore", "iptables-restore"],
        (Family::V4, Variant::Legacy) => &["iptables-legacy-restore", "iptables-restore"],
        (Family::V6, Variant::Default) => &["ip6tables-restore"],
        (Family::V6, Variant::Nft) => &["ip6tables-nft-restore", "ip6tables-restore"],
        (Family::V6, Variant::Legacy) => &["ip6tables-legacy-restore", "ip6tables-restore"],
    }
}

/// Runtimes start plugins with whatever PATH they have, often without the system directories.
fn find(names: &'static [&'static str]) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories: Vec<PathBuf> =
        std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]).filter(|p| p.is_absolute()).collect();
    names
        .iter()
        .flat_map(|name| directories.iter().map(move |directory| directory.join(name)))
        .find(|candidate| candidate.is_file())
        .ok_or(Error::NotInstalled { program: names.last().copied().unwrap_or_default() })
}

fn run(path: &Path, arguments: &[&str], input: &[u8]) -> Result<Output> {
    let run = |source| Error::Run { program: path.display().to_string(), source };
    let mut child = Command::new(path)
        .args(arguments)
        .stdin(if input.is_empty() { Stdio::null() } else { Stdio::piped() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(run)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that refuses an early line does not read the rest; its stderr says more than EPIPE.
        match stdin.write_all(input) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(run(error)),
            _ => {}
        }
    }
    child.wait_with_output().map_err(run)
}

fn failed(path: &Path, input: &str, output: &Output) -> Error {
    let stderr = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    let line = culprit(&stderr).and_then(|number| input.lines().nth(number.checked_sub(1)?)).unwrap_or_default();
    let stderr = if stderr.is_empty() { output.status.to_string() } else { essence(&stderr) };
    Error::Failed { program: path.display().to_string(), line: line.to_owned(), stderr }
}

/// The line number in `line 2 failed` or `Error occurred at line: 2`.
fn culprit(stderr: &str) -> Option<usize> {
    let mut words = stderr.split_whitespace().skip_while(|word| !word.starts_with("line"));
    words.nth(1)?.trim_matches(|c: char| !c.is_ascii_digit()).parse().ok()
}

/// Stderr without the advice to read the manual.
fn essence(stderr: &str) -> String {
    let telling = |line: &&str| !line.starts_with("Try `") && !line.starts_with("# Warning");
    stderr.lines().filter(telling).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_failing_line_is_found_in_either_wording() {
        assert_eq!(culprit("iptables-restore: line 2 failed: Chain already exists."), Some(2));
        assert_eq!(culprit("iptables-restore v1.8.9: oops\nError occurred at line: 13\nTry `x'"), Some(13));
        assert_eq!(culprit("no number here"), None);
        assert_eq!(culprit("line"), None);
    }

    #[test]
    fn a_missing_program_says_what_to_do() {
        let error = find(&["ferrocni-no-such-program"]).expect_err("not there");
        assert!(error.is_not_installed());
        assert!(error.to_string().contains("install the iptables package"), "{error}");
    }
}
