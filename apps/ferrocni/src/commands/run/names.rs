//! The files by which a program finds names: hosts, resolv.conf and hostname.

use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use cni::Dns;

use super::Args;

/// Those files, as they are called in /etc and in the container's folder.
pub(super) const FILES: [&str; 3] = ["hosts", "resolv.conf", "hostname"];

/// Where systemd has the servers that its own resolver at 127.0.0.53 asks.
const BEHIND_RESOLVED: &str = "/run/systemd/resolve/resolv.conf";

const LOOPBACK: &str = "127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::\tip6-localnet
ff00::\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
";

/// `--add-host`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ExtraHost {
    pub(super) name: String,
    /// `None`: the host's, as the container sees it.
    pub(super) address: Option<IpAddr>,
}

/// `NAME:ADDRESS`, `NAME=ADDRESS`, `NAME:host-gateway`.
pub(super) fn extra_host(text: &str) -> Result<ExtraHost, String> {
    let split = text.split_once('=').or_else(|| text.split_once(':'));
    let (name, address) = split.ok_or("it is not NAME:ADDRESS")?;
    let name = host_name(name)?;
    if address == "host-gateway" {
        return Ok(ExtraHost { name, address: None });
    }
    let bare = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
    let address = bare.parse().map_err(|_| format!("{address:?} is neither an address nor host-gateway"))?;
    Ok(ExtraHost { name, address: Some(address) })
}

/// A name that can stand in a hosts file.
pub(super) fn host_name(name: &str) -> Result<String, String> {
    let fits = |character: char| character.is_ascii_alphanumeric() || matches!(character, '.' | '-' | '_');
    if name.is_empty() || name.len() > 253 || name.starts_with(['-', '.']) || !name.chars().all(fits) {
        return Err(format!("{name:?} is no host's name: use letters, digits, '.', '-' and '_'"));
    }
    Ok(name.to_owned())
}

/// A hosts file: names with their addresses, after what is there or, without that, localhost's.
pub(super) fn hosts(before: Option<String>, entries: &[(IpAddr, Vec<String>)]) -> String {
    let mut text = before.unwrap_or_else(|| LOOPBACK.to_owned());
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    for (address, names) in entries {
        // Writing to a text cannot fail.
        let _ = writeln!(text, "{address}\t{}", names.join(" "));
    }
    text
}

/// The resolv.conf that was asked for, on networks with these answers.
pub(super) fn resolv_conf(args: &Args, networks: &[Dns]) -> io::Result<String> {
    let hosts = of_host()?;
    let mut given = Dns::of(args.dns.iter().map(ToString::to_string).collect());
    given.search.clone_from(&args.dns_search);
    given.options.clone_from(&args.dns_opt);
    let told = merge(networks);
    let pick = |of: fn(&Dns) -> &Vec<String>| {
        [&given, &told, &hosts].into_iter().map(of).find(|list| !list.is_empty()).cloned().unwrap_or_default()
    };
    let (servers, options) = (pick(|dns| &dns.nameservers), pick(|dns| &dns.options));
    // "." is Docker's word for none.
    let search: Vec<_> = pick(|dns| &dns.search).into_iter().filter(|domain| domain != ".").collect();
    let mut text: String = servers.iter().map(|server| format!("nameserver {server}\n")).collect();
    for (word, values) in [("search", search), ("options", options)] {
        if !values.is_empty() {
            text += &format!("{word} {}\n", values.join(" "));
        }
    }
    Ok(text)
}

/// What the networks say, each word once.
fn merge(networks: &[Dns]) -> Dns {
    let mut all = Dns::default();
    for dns in networks {
        let domain = (!dns.domain.is_empty()).then(|| dns.domain.clone());
        let lists = [
            (&mut all.nameservers, dns.nameservers.clone()),
            (&mut all.search, dns.search.iter().cloned().chain(domain).collect()),
            (&mut all.options, dns.options.clone()),
        ];
        for (list, words) in lists {
            for word in words {
                if !list.contains(&word) {
                    list.push(word);
                }
            }
        }
    }
    all
}

/// The host's servers that a container can ask as well: none at the host's own loopback addresses.
fn of_host() -> io::Result<Dns> {
    let read = |path: &str| -> io::Result<Dns> {
        match fs::read_to_string(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Dns::default()),
            text => Ok(parse(&text?)),
        }
    };
    let own = read("/etc/resolv.conf")?;
    if !own.nameservers.is_empty() {
        return Ok(own);
    }
    let behind = read(BEHIND_RESOLVED)?;
    Ok(if behind.nameservers.is_empty() { own } else { behind })
}

fn parse(text: &str) -> Dns {
    let mut dns = Dns::default();
    for line in text.lines() {
        let mut words = line.split_whitespace().map(str::to_owned);
        match words.next().as_deref() {
            Some("nameserver") => dns.nameservers.extend(words.next().filter(|server| is_outside(server))),
            Some("search" | "domain") => dns.search = words.collect(),
            Some("options") => dns.options.extend(words),
            _ => {}
        }
    }
    dns
}

/// An address with a zone is one of the host's links'.
fn is_outside(server: &str) -> bool {
    server.parse::<IpAddr>().is_ok_and(|address| !address.is_loopback())
}

/// Writes one of the files, which every user of the container may read.
pub(super) fn write(path: &Path, text: &str) -> io::Result<()> {
    files::create(path, text.as_bytes())?;
    fs::set_permissions(path, Permissions::from_mode(0o644))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn servers_on_the_host_itself_are_no_use_to_a_container() {
        let text = "# x\nnameserver 127.0.0.53\nnameserver ::1\nnameserver fe80::1%eth0\nnameserver 192.0.2.1\n\
                    search a b\noptions edns0\noptions ndots:2\n";
        let dns = parse(text);
        assert_eq!(dns.nameservers, ["192.0.2.1"]);
        assert_eq!(dns.search, ["a", "b"]);
        assert_eq!(dns.options, ["edns0", "ndots:2"]);
    }

    #[test]
    fn an_extra_host_has_an_address_or_the_host_s() {
        let host = |name: &str, address: Option<&str>| {
            Ok(ExtraHost { name: name.into(), address: address.map(|address| address.parse().unwrap()) })
        };
        assert_eq!(extra_host("db:10.0.0.1"), host("db", Some("10.0.0.1")));
        assert_eq!(extra_host("db:fd00::1"), host("db", Some("fd00::1")));
        assert_eq!(extra_host("db=[fd00::1]"), host("db", Some("fd00::1")));
        assert_eq!(extra_host("me:host-gateway"), host("me", None));
        for text in ["db", "db:", ":10.0.0.1", "a b:10.0.0.1", "db:x", "a\nb:10.0.0.1"] {
            assert!(extra_host(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_several_networks_say_is_put_together() {
        let dns = |server: &str, domain: &str| {
            let mut dns = Dns::of(vec![server.to_owned()]);
            dns.domain = domain.to_owned();
            dns
        };
        let all = merge(&[dns("10.0.0.1", "a.example"), dns("10.0.0.1", "b.example"), dns("10.0.1.1", "")]);
        assert_eq!(all.nameservers, ["10.0.0.1", "10.0.1.1"]);
        assert_eq!(all.search, ["a.example", "b.example"]);
    }
}
