//! The systemd units that `scripts/install.sh` has installed.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where systemd looks for units that no package has installed (systemd.unit(5)). Those that somebody has put elsewhere are his.
const FOLDER: &str = "/usr/local/lib/systemd/system";
/// There if systemd runs (sd_booted(3)).
const BOOTED: &str = "/run/systemd/system";

/// They cannot be removed.
#[derive(Debug, thiserror::Error)]
pub(super) enum UnitError {
    #[error("cannot {action} {}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("`systemctl {0}` failed, so that the units in {FOLDER} stay")]
    Systemctl(String),
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> UnitError {
    let path = path.to_owned();
    move |source| UnitError::Io { action, path, source }
}

/// Stops, disables and removes them, and returns their names. One that runs would put back what is removed after this.
pub(super) fn remove() -> Result<Vec<String>, UnitError> {
    let units = installed(Path::new(FOLDER)).map_err(failed("read", Path::new(FOLDER)))?;
    if units.is_empty() {
        return Ok(units);
    }
    if Path::new(BOOTED).exists() {
        systemctl(
            &[&["--quiet", "disable", "--now"], &units.iter().map(String::as_str).collect::<Vec<_>>()[..]].concat(),
        )?;
    }
    for unit in &units {
        let path = Path::new(FOLDER).join(unit);
        files::remove(&path).map_err(failed("remove", &path))?;
    }
    if Path::new(BOOTED).exists() {
        systemctl(&["daemon-reload"])?;
    }
    Ok(units)
}

fn installed(folder: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let names = entries.map(|entry| Ok(entry?.file_name().into_string().unwrap_or_default()));
    let mut units = names.collect::<io::Result<Vec<_>>>()?;
    units.retain(|name| name.starts_with("ferrocni-") || name.starts_with("cni-dhcp."));
    units.sort();
    Ok(units)
}

fn systemctl(arguments: &[&str]) -> Result<(), UnitError> {
    let status = Command::new("systemctl").args(arguments).status();
    if status.map_err(failed("run", Path::new("systemctl")))?.success() {
        return Ok(());
    }
    Err(UnitError::Systemctl(arguments.join(" ")))
}
