//! The host's DNS servers, as resolv.conf(5) names them.

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::path::{Path, PathBuf};

/// More than that many are not asked (`MAXNS`).
pub(crate) const MOST: usize = 3;

/// The most that is read, in bytes.
const LIMIT: usize = 64 << 10;
/// As many links as a path may lead through (`MAXSYMLINKS` of the kernel).
const LINKS: usize = 40;

/// The servers that the file names. A line that makes no sense is passed over.
pub(crate) fn servers(path: &Path) -> io::Result<Vec<SocketAddr>> {
    let content = files::read_through_links(path, LIMIT)?;
    let mut servers = Vec::new();
    for server in String::from_utf8_lossy(&content).lines().filter_map(server) {
        if servers.len() < MOST && !servers.contains(&server) {
            servers.push(server);
        }
    }
    Ok(servers)
}

fn server(line: &str) -> Option<SocketAddr> {
    let mut words = line.split([' ', '\t']).filter(|word| !word.is_empty());
    if words.next() != Some("nameserver") {
        return None;
    }
    let (address, scope) =
        words.next().map(|text| text.split_once('%').map_or((text, None), |(text, on)| (text, Some(on))))?;
    match (address.parse().ok()?, scope) {
        (IpAddr::V6(address), Some(link)) => Some(SocketAddrV6::new(address, names::PORT, 0, index_of(link)?).into()),
        // Without its link, or for another host, such an address leads nowhere.
        (IpAddr::V6(address), None) if is_link_local(address) => None,
        (_, Some(_)) => None,
        (address, None) => {
            Some((if address.is_unspecified() { localhost(address) } else { address }, names::PORT).into())
        }
    }
}

/// What libc makes of 0.0.0.0 and ::.
fn localhost(unspecified: IpAddr) -> IpAddr {
    if unspecified.is_ipv4() { [127, 0, 0, 1].into() } else { Ipv6Addr::LOCALHOST.into() }
}

fn is_link_local(address: Ipv6Addr) -> bool {
    address.segments()[0] & 0xffc0 == 0xfe80
}

/// A link's number, by itself or by its name.
fn index_of(link: &str) -> Option<u32> {
    link.parse().ok().or_else(|| nix::net::if_::if_nametoindex(link).ok())
}

/// The file's path, and those that it leads to if it is a symbolic link.
pub(crate) fn paths(path: &Path) -> Vec<PathBuf> {
    let mut paths = vec![path.to_owned()];
    while let Some(last) = paths.last().filter(|_| paths.len() <= LINKS)
        && let Ok(target) = last.read_link()
    {
        let folder = last.parent().unwrap_or(Path::new("/"));
        paths.push(folder.join(target));
    }
    paths
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn read(content: &[u8]) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("resolv.conf");
        std::fs::write(&path, content).unwrap();
        servers(&path).unwrap().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn servers_are_in_their_order_and_bad_lines_are_passed_over() {
        let content = b"# nameserver 9.9.9.9\nsearch lan\nnameserver\nnameserver 300.1.1.1\nnameserver dns.example\n\xff\xfe\n\
            nameservers 1.1.1.1\n nameserver\t192.0.2.1   # first\r\nnameserver 192.0.2.1\nnameserver fe80::1\nnameserver 192.0.2.2%lo\n\
            options edns0\nnameserver 2001:db8::1\n";
        assert_eq!(read(content), ["192.0.2.1:53", "[2001:db8::1]:53"]);
    }

    #[test]
    fn a_link_local_server_is_asked_on_its_link() {
        assert_eq!(
            read(b"nameserver fe80::1%lo\nnameserver fe80::2%7\nnameserver fe80::3%nolink\n"),
            ["[fe80::1%1]:53", "[fe80::2%7]:53"]
        );
    }

    #[test]
    fn no_more_than_three_are_asked() {
        let lines: String = (1..9).map(|number| format!("nameserver 192.0.2.{number}\n")).collect();
        assert_eq!(read(lines.as_bytes()).len(), 3);
    }

    #[test]
    fn the_unspecified_address_is_the_host_itself() {
        assert_eq!(read(b"nameserver 0.0.0.0\nnameserver ::\n"), ["127.0.0.1:53", "[::1]:53"]);
    }

    #[test]
    fn links_are_followed_and_circles_are_left() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name| dir.path().join(name);
        std::os::unix::fs::symlink("run/stub", at("etc")).unwrap();
        std::fs::create_dir(at("run")).unwrap();
        std::os::unix::fs::symlink(at("run/real"), at("run/stub")).unwrap();
        assert_eq!(paths(&at("etc")), [at("etc"), at("run/stub"), at("run/real")]);
        std::os::unix::fs::symlink("circle", at("circle")).unwrap();
        assert!(paths(&at("circle")).len() <= LINKS + 1);
        assert!(servers(&at("circle")).is_err());
    }
}
