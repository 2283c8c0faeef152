//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use crate::error::{Error, Result};

pub(crate) const HELP: &str = "\
Measures ferrocni's plugins and the Go reference's in turn, each on a throw-away host of its own.

usage: bench [--ipvlan | --names | --command | --netavark USR | --overlay | --overlay-scale] [--quick] [--rounds N] [--ours DIR] [--reference DIR]

  --ipvlan         ipvlan and nothing else: scripts/bench.sh measures it in a virtual machine where the kernel has none
  --names          names and nothing else, against dnsmasq with Debian's dnsname, and against aardvark-dns
  --command        the command and nothing else: it has no other side
  --netavark USR   netavark and nothing else, against Debian 13's, whose folder /usr is USR
  --overlay        networks over many hosts and nothing else, against a bare VXLAN and ptp
  --overlay-scale  the same with many hosts and nothing else: takes minutes of two processors
  --agents N       how many agents are simulated (500); 0 leaves this out
  --starts N       of how many containers they hear in a second, in all (50)
  --peers N        how many other hosts one agent has (10000, at most 16000); 0 leaves this out
  --quick          one round, small numbers: shows that everything runs, not how fast
  --rounds N       how often ADD, CHECK and DEL are measured (40)
  --ours DIR       ferrocni's plugins (the folder of this program)
  --reference DIR  the reference's plugins (/usr/lib/cni)
";

/// What to measure, and how much.
#[derive(Debug, PartialEq)]
pub(crate) struct Options {
    /// Whether it is ipvlan that is measured, and nothing else.
    pub(crate) ipvlan: bool,
    /// Whether it is names that are measured, and nothing else.
    pub(crate) names: bool,
    /// Whether it is the command that is measured, and nothing else.
    pub(crate) command: bool,
    /// Debian 13's `/usr`, if it is netavark that is measured, and nothing else.
    pub(crate) netavark: Option<PathBuf>,
    /// Whether it is networks over many hosts that are measured, and nothing else.
    pub(crate) overlay: bool,
    /// Whether it is many hosts, and nothing else.
    pub(crate) overlay_scale: bool,
    /// How many agents are simulated, of how many containers a second they hear, and for how long.
    pub(crate) agents: usize,
    pub(crate) starts: u32,
    pub(crate) heard: Duration,
    /// How many other hosts one agent has.
    pub(crate) peers: usize,
    /// How often ADD, CHECK and DEL are measured.
    pub(crate) rounds: usize,
    /// How many containers start at once.
    pub(crate) rush: usize,
    /// How often they do.
    pub(crate) rushes: usize,
    /// How many published ports fill a host.
    pub(crate) ports: u16,
    /// How many published ports one container has, at the most.
    pub(crate) ports_of_one: u16,
    /// Beside how many other containers packets are measured.
    pub(crate) crowds: [u16; 3],
    /// Beside how many other containers netavark is measured.
    pub(crate) others: u16,
    /// How many reservations fill a network.
    pub(crate) reservations: u32,
    /// How many containers have names on the networks together.
    pub(crate) named: usize,
    /// How many names are on one network at the most.
    pub(crate) names_of_one: usize,
    /// How many networks the command lists.
    pub(crate) networks: usize,
    /// How many attachments it looks after.
    pub(crate) attached: usize,
    /// ferrocni's plugins; `None` = beside this program.
    pub(crate) ours: Option<PathBuf>,
    /// The reference's plugins.
    pub(crate) theirs: PathBuf,
}

/// What the command line asks for.
#[derive(Debug, PartialEq)]
pub(crate) enum Task {
    /// Say how to use it.
    Help,
    /// Run the benchmark with these options.
    Bench(Options),
    /// Run a program and append its peak memory to a file: what this program does as its own child.
    PeakMemory { report: PathBuf, program: OsString },
}

impl Options {
    fn full() -> Self {
        let theirs = "/usr/lib/cni".into();
        Self {
            ipvlan: false,
            names: false,
            command: false,
            netavark: None,
            overlay: false,
            overlay_scale: false,
            agents: 500,
            starts: 50,
            heard: Duration::from_secs(30),
            peers: 10_000,
            rounds: 40,
            rush: 100,
            rushes: 2,
            ports: 5000,
            ports_of_one: 20_000,
            crowds: [0, 400, 5000],
            others: 5000,
            reservations: 10_000,
            named: 1000,
            names_of_one: 5000,
            networks: 100,
            attached: 1000,
            ours: None,
            theirs,
        }
    }

    fn quick() -> Self {
        Self {
            agents: 20,
            starts: 20,
            heard: Duration::from_secs(2),
            peers: 200,
            rounds: 1,
            rush: 8,
            rushes: 1,
            ports: 20,
            ports_of_one: 40,
            crowds: [0, 2, 4],
            others: 4,
            reservations: 200,
            named: 20,
            names_of_one: 20,
            networks: 3,
            attached: 3,
            ..Self::full()
        }
    }
}

/// Reads the words after the program's name.
pub(crate) fn parse(words: Vec<OsString>) -> Result<Task> {
    if let [task, report, program] = words.as_slice()
        && task == "peak-memory"
    {
        return Ok(Task::PeakMemory { report: report.into(), program: program.clone() });
    }
    let quick = words.iter().any(|word| word == "--quick");
    let mut options = if quick { Options::quick() } else { Options::full() };
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        match word.to_str() {
            Some("--help" | "-h") => return Ok(Task::Help),
            Some("--quick") => {}
            Some("--ipvlan") => options.ipvlan = true,
            Some("--names") => options.names = true,
            Some("--command") => options.command = true,
            Some("--overlay") => options.overlay = true,
            Some("--overlay-scale") => options.overlay_scale = true,
            Some("--netavark") => options.netavark = Some(value(&word, words.next())?.into()),
            Some("--agents") => options.agents = number(&word, &value(&word, words.next())?, 100_000)?,
            Some("--starts") => options.starts = starts(&word, &value(&word, words.next())?)?,
            Some("--peers") => options.peers = number(&word, &value(&word, words.next())?, 16_000)?,
            Some("--rounds") => options.rounds = rounds(&value(&word, words.next())?)?,
            Some("--ours") => options.ours = Some(value(&word, words.next())?.into()),
            Some("--reference") => options.theirs = value(&word, words.next())?.into(),
            _ => return Err(Error::Usage(format!("unknown option {}", word.display()))),
        }
    }
    Ok(Task::Bench(options))
}

fn value(option: &OsString, value: Option<OsString>) -> Result<OsString> {
    value.ok_or_else(|| Error::Usage(format!("{} needs a value", option.display())))
}

fn number(option: &OsString, text: &OsString, most: usize) -> Result<usize> {
    let number = text.to_str().and_then(|text| text.parse().ok()).filter(|number| *number <= most);
    number.ok_or_else(|| {
        Error::Usage(format!("{} wants a number up to {most}, not {}", option.display(), text.display()))
    })
}

fn starts(option: &OsString, text: &OsString) -> Result<u32> {
    Ok(u32::try_from(number(option, text, 10_000)?).unwrap_or_default().max(1))
}

fn rounds(text: &OsString) -> Result<usize> {
    let number = text.to_str().and_then(|text| text.parse().ok()).filter(|rounds| *rounds > 0);
    number.ok_or_else(|| Error::Usage(format!("--rounds wants a number of at least 1, not {}", text.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> Result<Task> {
        parse(words.iter().map(OsString::from).collect())
    }

    #[test]
    fn nothing_said_means_the_full_run() {
        assert_eq!(parsed(&[]).ok(), Some(Task::Bench(Options::full())));
    }

    #[test]
    fn quick_keeps_what_else_is_said_wherever_it_stands() {
        let expected =
            Options { ipvlan: true, rounds: 3, ours: Some("/a".into()), theirs: "/b".into(), ..Options::quick() };
        let task = parsed(&["--rounds", "3", "--ours", "/a", "--quick", "--reference", "/b", "--ipvlan"]);
        assert_eq!(task.ok(), Some(Task::Bench(expected)));
    }

    #[test]
    fn zero_rounds_missing_values_and_unknown_words_are_refused() {
        for words in [
            &["--rounds", "0"][..],
            &["--rounds", "x"],
            &["--ours"],
            &["--peers", "20000"],
            &["--fast"],
            &["peak-memory"],
        ] {
            assert!(matches!(parsed(words), Err(Error::Usage(_))), "{words:?}");
        }
    }
}
