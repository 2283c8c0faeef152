use std::io::{self, ErrorKind, Write as _};
use std::process::ExitCode;

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use crate::container::{Reading, Store};
use crate::failure::Failure;
use crate::host::Host;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Go on with what it says, until it ends
    #[arg(short, long)]
    follow: bool,
    /// Begin with that many of the last lines [default: all]
    #[arg(short = 'n', long, value_name = "LINES", value_parser = lines)]
    tail: Option<usize>,
    /// Name, id or beginning of an id
    container: String,
}

/// There is nothing to show.
#[derive(Debug, thiserror::Error)]
#[error("container {0} is in the foreground: what it says is where it was started")]
struct NoLog(String);

/// `all`, as Docker has it, is the most that there can be.
fn lines(text: &str) -> Result<usize, String> {
    match text {
        "all" => Ok(usize::MAX),
        number => number.parse().map_err(|_| "it is neither a number nor `all`".to_owned()),
    }
}

pub(super) fn run(host: &Host, args: &Args) -> Result<ExitCode, Failure> {
    let container = Store::of(host).find(&args.container)?;
    let mut log = container.log()?.ok_or_else(|| NoLog(args.container.clone()))?;
    let outcome = if args.follow { follow(&mut log, args.tail) } else { write(last(&log.read()?, args.tail)) };
    match outcome {
        // A reader has seen enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        outcome => Ok(outcome.map(|()| ExitCode::SUCCESS)?),
    }
}

fn follow(log: &mut Reading, tail: Option<usize>) -> io::Result<()> {
    let inotify = Inotify::init(InitFlags::IN_CLOEXEC)?;
    let changes = AddWatchFlags::IN_MODIFY | AddWatchFlags::IN_CREATE | AddWatchFlags::IN_DELETE;
    let is_there = match inotify.add_watch(log.folder(), changes) {
        Err(Errno::ENOENT) => false,
        watch => watch.map(|_| true)?,
    };
    write(last(&log.read()?, tail))?;
    while is_there && log.may_go_on() {
        inotify.read_events()?;
        write(&log.read()?)?;
    }
    write(&log.read()?)
}

fn write(bytes: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush())
}

/// The last lines; one that has no end yet is one.
fn last(said: &[u8], lines: Option<usize>) -> &[u8] {
    let Some(lines) = lines else { return said };
    let text = said.strip_suffix(b"\n").unwrap_or(said);
    let ends = text.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n').map(|(position, _)| position);
    match lines.checked_sub(1) {
        None => &[],
        Some(before) => ends.skip(before).map(|end| &said[end + 1..]).next().unwrap_or(said),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_counted_from_the_end() {
        let said = b"one\ntwo\n\nfour";
        for (lines, expected) in
            [(0, &b""[..]), (1, b"four"), (2, b"\nfour"), (3, b"two\n\nfour"), (4, said), (usize::MAX, said)]
        {
            assert_eq!(last(said, Some(lines)), expected, "{lines}");
        }
        assert_eq!(
            (last(b"a\nb\n", Some(1)), last(b"", Some(1)), last(said, None)),
            (&b"b\n"[..], &b""[..], &said[..])
        );
    }
}
