//! docs/docker.md, whose every line is executed.

use crate::{Host, Inside as _, bin_dir};

/// What it says to type instead of Docker's commands, in order.
///
/// # Panics
/// If the page has another form.
#[must_use]
pub fn lines() -> Vec<String> {
    let page = include_str!("../../docs/docker.md");
    let rows = page.lines().filter(|line| line.starts_with("| `docker "));
    let typed =
        |row: &str| row.split(" | ").nth(1).map(|cell| cell.trim_end_matches(" |").trim_matches('`').to_owned());
    let lines: Vec<_> = rows.filter_map(typed).collect();
    assert!(lines.len() > 30 && lines.iter().all(|line| line.starts_with("ferrocni ")), "{lines:?}");
    lines
}

/// Types one.
///
/// # Panics
/// If it fails.
#[track_caller]
pub fn type_line(host: &Host, line: &str) {
    let folder = bin_dir();
    let said = host.shell(&format!("export CNI_PATH={0}; {0}/{line}", folder.display()));
    eprintln!("{line}\n{said}");
}
