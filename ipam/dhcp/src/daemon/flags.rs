//! The command line, as Go's flag package reads it: one hyphen or two, `-flag value` or `-flag=value`, and durations
//! such as `1m30s`.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::DEFAULT_SOCKET;

pub(super) const USAGE: &str = "\
Usage: dhcp daemon [flags]
  -socketpath path         listen there (default /run/cni/dhcp.sock)
  -hostprefix path         the host's files are below this path: the socket, the namespaces and the leases
  -pidfile path            write the process id to this file
  -timeout duration        a server that has offered an address has this long to give it (default 10s)
  -resendmax duration      ask a server that does not answer again after this time at most (default 62s)
  -resendtimeout duration  an ADD fails if it has no lease after this time; the log says so of others (default 3m28s)
  -broadcast               have servers broadcast their answers on the link
";

/// What the daemon was told when it was started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Flags {
    pub(super) socket: PathBuf,
    pub(super) host_prefix: String,
    pub(super) pidfile: Option<PathBuf>,
    pub(super) timeout: Duration,
    pub(super) resend_max: Duration,
    pub(super) resend_timeout: Duration,
    pub(super) broadcast: bool,
}

impl Default for Flags {
    fn default() -> Self {
        Self {
            socket: DEFAULT_SOCKET.into(),
            host_prefix: String::new(),
            pidfile: None,
            timeout: Duration::from_secs(10),
            resend_max: Duration::from_secs(62),
            resend_timeout: Duration::from_secs(208),
            broadcast: false,
        }
    }
}

impl Flags {
    /// `None` if help was asked for.
    pub(super) fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Option<Self>, String> {
        let mut flags = Self::default();
        while let Some(argument) = arguments.next() {
            let Some(flag) = argument.strip_prefix("--").or_else(|| argument.strip_prefix('-')) else {
                return Err(format!("{argument:?} is not a flag"));
            };
            let (name, value) = match flag.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (flag, None),
            };
            match name {
                "h" | "help" => return Ok(None),
                "broadcast" => flags.broadcast = value.as_deref().map_or(Ok(true), boolean)?,
                _ => flags.set(name, value.or_else(|| arguments.next()))?,
            }
        }
        Ok(Some(flags))
    }

    fn set(&mut self, name: &str, value: Option<String>) -> Result<(), String> {
        let value = value.ok_or_else(|| format!("flag -{name} has no value"));
        let time = |value: String| positive(&value).map_err(|error| format!("-{name}: {error}"));
        match name {
            "socketpath" => self.socket = or_default(value?).into(),
            "hostprefix" => self.host_prefix = value?,
            "pidfile" => self.pidfile = absolute(value?)?,
            "timeout" => self.timeout = time(value?)?,
            "resendmax" => self.resend_max = time(value?)?,
            "resendtimeout" => self.resend_timeout = time(value?)?,
            _ => return Err(format!("flag -{name} is not known")),
        }
        Ok(())
    }
}

fn or_default(socket: String) -> String {
    if socket.is_empty() { DEFAULT_SOCKET.into() } else { socket }
}

fn absolute(path: String) -> Result<Option<PathBuf>, String> {
    match PathBuf::from(path) {
        path if path.as_os_str().is_empty() => Ok(None),
        path if path.is_absolute() => Ok(Some(path)),
        path => Err(format!("-pidfile: {} is not an absolute path", path.display())),
    }
}

/// As Go's `strconv.ParseBool`.
fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        other => Err(format!("-broadcast: {other:?} is not a boolean: write true or false")),
    }
}

fn positive(text: &str) -> Result<Duration, String> {
    match duration(text) {
        Some(duration) if !duration.is_zero() => Ok(duration),
        _ => Err(format!("{text:?} is not a time longer than nothing: write it as 10s, 1m30s or 500ms")),
    }
}

/// As Go's `time.ParseDuration`, without signs: numbers with a fraction or without, each with its unit.
fn duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut sum = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(digits);
        let unit = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit);
        let seconds = number.parse::<f64>().ok()? * seconds_of(unit)?;
        sum = sum.checked_add(Duration::try_from_secs_f64(seconds).ok()?)?;
        rest = tail;
    }
    Some(sum)
}

fn seconds_of(unit: &str) -> Option<f64> {
    Some(match unit {
        "ns" => 1e-9,
        // Two letters are in use for micro.
        "us" | "\u{b5}s" | "\u{3bc}s" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return None,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Option<Flags>, String> {
        Flags::parse(line.split_whitespace().map(ToOwned::to_owned))
    }

    #[test]
    fn without_flags_it_is_as_the_reference() {
        let flags = parse("").unwrap().unwrap();
        assert_eq!(flags, Flags::default());
        assert_eq!(flags.socket, PathBuf::from("/run/cni/dhcp.sock"));
    }

    #[test]
    fn flags_are_written_as_go_reads_them() {
        let expected = Flags {
            socket: "/s".into(),
            host_prefix: "/host".into(),
            pidfile: Some("/run/p".into()),
            timeout: Duration::from_secs(90),
            resend_max: Duration::from_millis(500),
            resend_timeout: Duration::from_secs(3600),
            broadcast: true,
        };
        for line in [
            "-socketpath /s -hostprefix /host -pidfile /run/p -timeout 1m30s -resendmax 500ms -resendtimeout 1h -broadcast",
            "--socketpath=/s --hostprefix=/host --pidfile=/run/p --timeout=1.5m --resendmax=0.5s --resendtimeout=60m \
             --broadcast=true",
        ] {
            assert_eq!(parse(line).unwrap().unwrap(), expected, "{line}");
        }
        assert!(!parse("-broadcast -broadcast=false").unwrap().unwrap().broadcast);
        assert_eq!(parse("-socketpath= -pidfile=").unwrap().unwrap(), Flags::default());
        assert_eq!(parse("-h"), Ok(None));
        assert_eq!(parse("--help"), Ok(None));
    }

    #[test]
    fn what_is_no_flag_is_an_error() {
        for (line, words) in [
            ("start", "not a flag"),
            ("-verbose", "not known"),
            ("-timeout", "no value"),
            ("-timeout 10", "10s"),
            ("-timeout 0s", "longer than nothing"),
            ("-timeout -1s", "longer than nothing"),
            ("-timeout 1e400s", "longer than nothing"),
            ("-timeout s", "longer than nothing"),
            ("-timeout 5y", "longer than nothing"),
            ("-timeout=", "longer than nothing"),
            ("-broadcast=maybe", "boolean"),
            ("-pidfile run/p", "absolute"),
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.contains(words), "{line}: {error}");
        }
    }

    #[test]
    fn durations_add_up() {
        assert_eq!(duration("1h2m3.5s"), Some(Duration::from_millis(3_723_500)));
        assert_eq!(duration("250us"), Some(Duration::from_micros(250)));
        assert_eq!(duration("1m 2s"), None);
        assert_eq!(duration("1.2.3s"), None);
    }
}
