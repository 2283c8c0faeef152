//! Reading a resolv.conf(5) into the result's `dns`.

use std::path::Path;

use cni_plugin::Dns;

use crate::Error;

/// The most that such a file may have, in bytes.
const MAX_LENGTH: usize = 1 << 20;

/// Reads the file that `resolvConf` names.
pub(crate) fn read(path: &Path) -> Result<Dns, Error> {
    let text = files::read_through_links(path, MAX_LENGTH);
    let text = text.map_err(|source| Error::Io { doing: "read resolvConf", path: path.into(), source })?;
    Ok(parse(&String::from_utf8_lossy(&text)))
}

fn parse(text: &str) -> Dns {
    let mut dns = Dns::default();
    for line in text.lines() {
        let mut words = line.split_whitespace().map(str::to_owned);
        // A comment's first word begins with '#' or ';' and so is no keyword.
        match words.next().as_deref() {
            Some("nameserver") => dns.nameservers.extend(words.next()),
            Some("domain") => dns.domain = words.next().unwrap_or(dns.domain),
            Some("search") => dns.search.extend(words),
            Some("options") => dns.options.extend(words),
            _ => {}
        }
    }
    dns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_keyword_is_read_and_the_rest_is_not() {
        let dns = parse(
            "# nameserver 9.9.9.9\n;options x\nnameserver 10.0.0.1 trailing\n  nameserver fd00::1\ndomain a.example\n\
             domain\nsearch b.example c.example\nsearch d.example\noptions ndots:5 edns0\nsortlist 1.2.3.4\nnameserver\n",
        );
        assert_eq!(dns.nameservers, ["10.0.0.1", "fd00::1"]);
        assert_eq!(dns.domain, "a.example");
        assert_eq!(dns.search, ["b.example", "c.example", "d.example"]);
        assert_eq!(dns.options, ["ndots:5", "edns0"]);
        assert!(parse("").is_empty());
    }
}
