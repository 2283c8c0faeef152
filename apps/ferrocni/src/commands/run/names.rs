//! The files by which a program finds names: hosts, resolv.conf and hostname.

use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use ::names::Name;
use cni::Dns;

use super::Args;
use crate::network::HOST_GATEWAY;

/// Those files, as they are called in /etc and in the container's folder.
pub(super) const FILES: [&str; 3] = ["hosts", "resolv.conf", "hostname"];

/// Where systemd has the servers that its own resolver at 127.0.0.53 asks.
const BEHIND_RESOLVED: &str = "/run/systemd/resolve/resolv.conf";

/// Docker's word for no search domain.
const NO_DOMAIN: &str = ".";

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
    pub(super) name: Name,
    /// `None`: the host's, as the container sees it.
    pub(super) address: Option<IpAddr>,
}

/// `NAME:ADDRESS`, `NAME=ADDRESS`, `NAME:host-gateway`.
pub(super) fn extra_host(text: &str) -> Result<ExtraHost, String> {
    let split = text.split_once('=').or_else(|| text.split_once(':'));
    let (name, address) = split.ok_or("it is not NAME:ADDRESS")?;
    let name = Name::new(name).map_err(|error| error.to_string())?;
    if address == HOST_GATEWAY {
        return Ok(ExtraHost { name, address: None });
    }
    let bare = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
    let address = bare.parse().map_err(|_| format!("{address:?} is neither an address nor {HOST_GATEWAY}"))?;
    Ok(ExtraHost { name, address: Some(address) })
}

/// `--dns-search`: a domain, or [`NO_DOMAIN`].
pub(super) fn search_domain(text: &str) -> Result<String, String> {
    if text != NO_DOMAIN {
        Name::new(text).map_err(|error| error.to_string())?;
    }
    Ok(text.to_owned())
}

/// `--dns-opt`: a word, because options stand on one line with blanks between them.
pub(super) fn resolver_option(text: &str) -> Result<String, String> {
    let splits = |char: char| char.is_whitespace() || char.is_control();
    if text.is_empty() || text.contains(splits) {
        return Err(format!("{text:?} is not one word, such as ndots:2: repeat the option for each"));
    }
    Ok(text.to_owned())
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

/// What a network says about name servers.
#[derive(Debug, Clone, Default)]
pub(super) struct Told {
    pub(super) dns: Dns,
    /// Its first server is the one that knows the containers, and its first search domain theirs.
    pub(super) has_names: bool,
}

/// The resolv.conf that was asked for, on networks that say this.
pub(super) fn resolv_conf(args: &Args, networks: &[Told]) -> io::Result<String> {
    let mut given = Dns::of(args.dns.iter().map(ToString::to_string).collect());
    given.search.clone_from(&args.dns_search);
    given.options.clone_from(&args.dns_opt);
    Ok(write_resolv_conf(&choose(&given, networks, &of_host()?)))
}

/// Where containers are known by name, only that server is asked, which asks the others: some programs ask all at once and take
/// the first answer. Their domain is searched first, so that no name of the host's domain comes before a container.
fn choose(given: &Dns, networks: &[Told], host: &Dns) -> Dns {
    let named = merge(networks.iter().filter(|told| told.has_names).map(Told::own));
    let others = merge(networks.iter().map(Told::others));
    let pick = |of: fn(&Dns) -> &Vec<String>| {
        [given, &others, host].into_iter().map(of).find(|list| !list.is_empty()).cloned().unwrap_or_default()
    };
    let mut dns = if named.nameservers.is_empty() { Dns::of(pick(|dns| &dns.nameservers)) } else { named };
    dns.options = pick(|dns| &dns.options);
    let searched = pick(|dns| &dns.search);
    match &searched[..] {
        [none] if none == NO_DOMAIN => dns.search.clear(),
        _ => add(&mut dns.search, searched.into_iter().filter(|domain| domain != NO_DOMAIN)),
    }
    dns
}

impl Told {
    fn own(&self) -> Dns {
        let mut dns = Dns::of(self.dns.nameservers.iter().take(1).cloned().collect());
        dns.search = self.dns.search.iter().take(1).cloned().collect();
        dns
    }

    fn others(&self) -> Dns {
        let (mut dns, own) = (self.dns.clone(), usize::from(self.has_names));
        dns.nameservers.drain(..own.min(dns.nameservers.len()));
        dns.search.drain(..own.min(dns.search.len()));
        dns
    }
}

/// All that is said, each word once.
fn merge(said: impl Iterator<Item = Dns>) -> Dns {
    let mut all = Dns::default();
    for dns in said {
        add(&mut all.nameservers, dns.nameservers);
        add(&mut all.search, dns.search);
        add(&mut all.search, Some(dns.domain).filter(|domain| !domain.is_empty()));
        add(&mut all.options, dns.options);
    }
    all
}

fn add(list: &mut Vec<String>, words: impl IntoIterator<Item = String>) {
    for word in words {
        if !list.contains(&word) {
            list.push(word);
        }
    }
}

fn write_resolv_conf(dns: &Dns) -> String {
    let mut text: String = dns.nameservers.iter().map(|server| format!("nameserver {server}\n")).collect();
    for (word, values) in [("search", &dns.search), ("options", &dns.options)] {
        if !values.is_empty() {
            text += &format!("{word} {}\n", values.join(" "));
        }
    }
    text
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
            Ok(ExtraHost { name: name.parse().unwrap(), address: address.map(|address| address.parse().unwrap()) })
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
    fn nothing_gets_a_line_of_its_own_in_resolv_conf() {
        for domain in ["example.org", "example.org.", "_tcp.example", "."] {
            assert_eq!(search_domain(domain).as_deref(), Ok(domain));
        }
        for domain in ["", "a b", "a\nnameserver 192.0.2.1", "a..b"] {
            assert!(search_domain(domain).is_err(), "{domain:?}");
        }
        for option in ["ndots:2", "edns0"] {
            assert_eq!(resolver_option(option).as_deref(), Ok(option));
        }
        for option in ["", "ndots:2 edns0", "edns0\nnameserver 192.0.2.1", "a\tb", "a\u{7f}"] {
            assert!(resolver_option(option).is_err(), "{option:?}");
        }
    }

    fn dns(servers: &[&str], search: &[&str]) -> Dns {
        let mut dns = Dns::of(servers.iter().map(ToString::to_string).collect());
        dns.search = search.iter().map(ToString::to_string).collect();
        dns
    }

    fn told(dns: Dns) -> Told {
        Told { dns, has_names: false }
    }

    fn named(dns: Dns) -> Told {
        Told { dns, has_names: true }
    }

    fn chosen(given: &Dns, networks: &[Told]) -> String {
        write_resolv_conf(&choose(given, networks, &dns(&["192.0.2.1"], &["corp.example"])))
    }

    #[test]
    fn what_several_networks_say_is_put_together() {
        let mut first = dns(&["10.0.0.1"], &[]);
        first.domain = "a.example".to_owned();
        let networks = [told(first), told(dns(&["10.0.0.1", "10.0.1.1"], &["b.example"]))];
        let text = "nameserver 10.0.0.1\nnameserver 10.0.1.1\nsearch a.example b.example\n";
        assert_eq!(chosen(&Dns::default(), &networks), text);
        assert_eq!(
            chosen(&dns(&["8.8.8.8"], &[]), &networks),
            text.replace("10.0.0.1\nnameserver 10.0.1.1", "8.8.8.8")
        );
        assert_eq!(chosen(&Dns::default(), &[]), "nameserver 192.0.2.1\nsearch corp.example\n");
    }

    #[test]
    fn where_there_are_names_their_server_is_the_only_one_and_their_domain_the_first() {
        let names = || dns(&["127.0.0.11", "10.0.0.1"], &["dns.podman", "net.example"]);
        for (given, networks, text) in [
            (Dns::default(), vec![named(names())], "nameserver 127.0.0.11\nsearch dns.podman net.example\n"),
            (
                Dns::default(),
                vec![told(dns(&["10.0.0.9"], &[])), named(dns(&["127.0.0.11"], &["dns.podman"]))],
                "nameserver 127.0.0.11\nsearch dns.podman corp.example\n",
            ),
            (dns(&["8.8.8.8"], &["a.test"]), vec![named(names())], "nameserver 127.0.0.11\nsearch dns.podman a.test\n"),
            (dns(&[], &["."]), vec![named(names())], "nameserver 127.0.0.11\n"),
        ] {
            assert_eq!(chosen(&given, &networks), text);
        }
    }
}
