//! The administrator's list of sysctls that networks may set: one regular expression per line, of which at least one has to
//! match somewhere in the sysctl's name as the configuration spells it.

use std::io;
use std::path::Path;

use regex_lite::Regex;

use crate::Error;
use crate::config::Config;
use crate::key::Spelling;

/// The same path as the reference's. Without this file everything is allowed.
const FILE: &str = "/etc/cni/tuning/allowlist.conf";

/// Largest allowlist that is read, in bytes.
const MAX: usize = 1 << 20;

/// Makes sure that every sysctl is allowed.
pub(crate) fn verify(config: &Config) -> Result<(), Error> {
    let mut keys = config.sysctl.0.iter().chain(&config.args.cni.sysctl.0).map(|(key, _)| key).peekable();
    if keys.peek().is_none() {
        return Ok(());
    }
    match files::read_through_links(Path::new(FILE), MAX) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(Error::File { action: "read", path: FILE.into(), source }),
        Ok(text) => verify_each(keys, &String::from_utf8_lossy(&text)),
    }
}

fn verify_each<'a>(mut keys: impl Iterator<Item = &'a Spelling>, text: &str) -> Result<(), Error> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let patterns: Vec<Regex> = lines.map(compile).collect::<Result<_, _>>()?;
    match keys.find(|key| !patterns.iter().any(|pattern| pattern.is_match(key.as_str()))) {
        Some(key) => Err(Error::NotAllowed { key: key.as_str().to_owned(), file: Path::new(FILE).into() }),
        None => Ok(()),
    }
}

fn compile(pattern: &str) -> Result<Regex, Error> {
    Regex::new(pattern).map_err(|source| Error::Pattern { pattern: pattern.to_owned(), file: FILE.into(), source })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn allowed(keys: &[&str], text: &str) -> Result<(), Error> {
        let keys: Vec<Spelling> = keys.iter().map(|key| (*key).to_owned().try_into().unwrap()).collect();
        verify_each(keys.iter(), text)
    }

    #[test]
    fn each_sysctl_needs_a_line_that_matches() {
        let list = "^net\\.ipv4\\.conf\\.IFNAME\\.[a-z_]*$\n\n  ^net.ipv4.ping_group_range$  \n";
        assert!(allowed(&["net.ipv4.conf.IFNAME.arp_notify", "net.ipv4.ping_group_range"], list).is_ok());
        assert!(allowed(&["net.ipv4.conf.IFNAME.arp_notify", "net.ipv4.ip_forward"], list).is_err());
        assert!(allowed(&["net.ipv4.conf.all.arp_notify"], list).is_err());
        assert!(allowed(&["net.ipv4.ip_forward"], "").is_err(), "an empty list allows nothing");
        assert!(allowed(&["net.ipv4.ip_forward"], "ip_for").is_ok(), "a part is enough");
    }

    #[test]
    fn a_line_that_is_no_expression_is_named() {
        let error = allowed(&["net.ipv4.ip_forward"], "net\n(").unwrap_err();
        assert!(error.to_string().contains("\"(\""), "{error}");
    }
}
