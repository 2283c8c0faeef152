use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use nix::libc::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::failure::Failure;
use crate::output::print_line;

/// Where replaced programs are, in the folder that they were in. Nobody takes it for a plugin.
const REPLACED: &str = ".replaced-by-ferrocni";

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Folder with the plugins [default: the one where this program is, if they are there]
    #[arg(long, value_name = "DIR", conflicts_with = "undo")]
    from: Option<PathBuf>,
    /// Stay until a signal says to end, as the container of a Kubernetes DaemonSet has to
    #[arg(long, conflicts_with = "undo")]
    stay: bool,
    /// Take away the plugins that were copied there, and bring back what they replaced
    ///
    /// Containers keep their networks, and the plugins that come back can remove them.
    #[arg(long)]
    undo: bool,
    /// Folder for the plugins, for instance /opt/cni/bin
    #[arg(value_name = "DIR")]
    to: PathBuf,
}

/// A program that could not be put in its place.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}", path.display())]
struct Unfinished {
    action: &'static str,
    path: PathBuf,
    source: io::Error,
}

/// This program is somewhere else than the plugins.
#[derive(Debug, thiserror::Error)]
#[error("{} has no plugins beside this program: name their folder with --from", .0.display())]
struct NoPlugins(PathBuf);

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    if args.undo {
        // While ours are still there, so that an interrupted one can be repeated.
        masquerade::hand_over()?;
        return undo(&args.to);
    }
    // Before anything is done: a signal that comes meanwhile is not lost.
    let signals = args.stay.then(|| Signals::new([SIGINT, SIGTERM])).transpose()?;
    let from = args.from.clone().map_or_else(beside, Ok)?;
    let installed = install(&from, &args.to)?;
    match installed.is_empty() {
        true => print_line(format_args!("{} has all of {}", args.to.display(), from.display()))?,
        false => print_line(format_args!("installed in {}: {}", args.to.display(), installed.join(" ")))?,
    }
    if let Some(mut signals) = signals {
        signals.forever().next();
    }
    Ok(ExitCode::SUCCESS)
}

/// Beside a plugin, everything is one. Among the programs of /usr/bin nothing is.
fn beside() -> Result<PathBuf, Failure> {
    let folder = std::env::current_exe()?.parent().unwrap_or(Path::new("/")).to_owned();
    if folder.join("bridge").is_file() { Ok(folder) } else { Err(NoPlugins(folder).into()) }
}

/// Which programs were not there, or were others.
fn install(from: &Path, to: &Path) -> Result<Vec<String>, Unfinished> {
    let replaced = to.join(REPLACED);
    fs::create_dir_all(&replaced).map_err(failed("make", &replaced))?;
    let mut names = programs(from).map_err(failed("read", from))?;
    names.sort();
    let mut installed = Vec::new();
    for name in names {
        let path = to.join(&name);
        if !is_same(&from.join(&name), &path).map_err(failed("compare", &path))? {
            keep(&path, &replaced.join(&name)).map_err(failed("keep aside", &path))?;
            replace(&from.join(&name), &path, &to.join(format!(".{name}.ferrocni-new")))
                .map_err(failed("install", &path))?;
            installed.push(name);
        }
    }
    Ok(installed)
}

fn programs(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        if metadata.is_file() && metadata.permissions().mode() & 0o111 != 0 {
            names.extend(entry.file_name().into_string());
        }
    }
    Ok(names)
}

fn is_same(program: &Path, installed: &Path) -> io::Result<bool> {
    match fs::read(installed) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        there => Ok(there? == fs::read(program)?),
    }
}

/// Only what was there first is kept, not an earlier version of ours. An empty file says that nothing was there.
fn keep(path: &Path, aside: &Path) -> io::Result<()> {
    let kept = match fs::hard_link(path, aside) {
        Err(error) if error.kind() == ErrorKind::NotFound => File::create_new(aside).map(drop),
        linked => linked,
    };
    match kept {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        kept => kept,
    }
}

/// It is on the disk before it has its name: a program that lost half of itself would be found by each container's start.
fn replace(program: &Path, path: &Path, unfinished: &Path) -> io::Result<()> {
    fs::copy(program, unfinished)?;
    fs::set_permissions(unfinished, Permissions::from_mode(0o755))?;
    File::open(unfinished)?.sync_all()?;
    fs::rename(unfinished, path)
}

fn undo(from: &Path) -> Result<ExitCode, Failure> {
    let replaced = from.join(REPLACED);
    let entries = fs::read_dir(&replaced).map_err(failed("find what was replaced in", from))?;
    for entry in entries {
        let entry = entry.map_err(failed("read", &replaced))?;
        let path = from.join(entry.file_name());
        let was_there = entry.metadata().map_err(failed("look at", &entry.path()))?.len() > 0;
        let undone = if was_there {
            fs::rename(entry.path(), &path)
        } else {
            remove(&path).and_then(|()| remove(&entry.path()))
        };
        undone.map_err(failed("bring back", &path))?;
        print_line(format_args!("{} is {}", path.display(), if was_there { "what it was" } else { "removed" }))?;
    }
    fs::remove_dir(&replaced).map_err(failed("remove", &replaced))?;
    Ok(ExitCode::SUCCESS)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Unfinished {
    let path = path.to_owned();
    move |source| Unfinished { action, path, source }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn program(path: &Path, content: &str) {
        fs::write(path, content).unwrap();
        fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn what_was_replaced_first_comes_back_and_what_was_new_goes() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        fs::create_dir_all(&from).unwrap();
        fs::create_dir_all(&to).unwrap();
        program(&to.join("bridge"), "theirs");
        program(&to.join("other"), "of somebody else");
        for version in ["first", "second"] {
            program(&from.join("bridge"), version);
            program(&from.join("tap"), version);
            fs::write(from.join("README"), "no program").unwrap();
            assert_eq!(install(&from, &to).unwrap(), ["bridge", "tap"]);
            assert_eq!(install(&from, &to).unwrap(), <[&str; 0]>::default(), "again");
            assert_eq!(fs::read_to_string(to.join("bridge")).unwrap(), version);
        }
        undo(&to).unwrap();
        assert_eq!(fs::read_to_string(to.join("bridge")).unwrap(), "theirs");
        let mut left: Vec<_> = fs::read_dir(&to).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["bridge", "other"]);
    }

    #[test]
    fn a_folder_where_nothing_was_installed_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        program(&dir.path().join("bridge"), "theirs");
        let error = undo(dir.path()).unwrap_err().to_string();
        assert!(error.starts_with("cannot find what was replaced in"), "{error}");
        assert!(dir.path().join("bridge").exists());
    }

    #[test]
    fn programs_that_are_no_plugins_are_not_taken_for_some() {
        let error = beside().unwrap_err().to_string();
        assert!(error.ends_with("has no plugins beside this program: name their folder with --from"), "{error}");
    }
}
