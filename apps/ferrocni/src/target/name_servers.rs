//! Which name servers a running container asks.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use netlink::Netns;

/// The most that a resolv.conf may have, in bytes.
const LIMIT: usize = 64 << 10;

/// Those of the resolv.conf of a process in that namespace; none if there is no process, or it has no such file.
pub(crate) fn of_container(netns: &Netns) -> Vec<IpAddr> {
    let text = processes_in(netns).find_map(|process| files::read(&process.join("root/etc/resolv.conf"), LIMIT).ok());
    let text = text.unwrap_or_default();
    String::from_utf8_lossy(&text).lines().filter_map(server).collect()
}

/// The folders of processes that have the namespace.
fn processes_in(netns: &Netns) -> impl Iterator<Item = PathBuf> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.path());
    processes.filter(|process| is_in(process, netns))
}

fn is_in(process: &Path, netns: &Netns) -> bool {
    let is_process = process.file_name().is_some_and(|name| name.as_encoded_bytes().iter().all(u8::is_ascii_digit));
    // One that has ended meanwhile is in none.
    is_process && Netns::open(process.join("ns/net")).is_ok_and(|own| own == *netns)
}

fn server(line: &str) -> Option<IpAddr> {
    let mut words = line.split_whitespace();
    words.next().filter(|word| *word == "nameserver")?;
    words.next()?.parse().ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_those_of_the_lines_that_name_one() {
        let servers: Vec<_> = [
            "# nameserver 192.0.2.1",
            " nameserver\t192.0.2.2 # x",
            "nameserver",
            "nameserver fe80::1%eth0",
            "search a",
        ]
        .into_iter()
        .filter_map(server)
        .collect();
        assert_eq!(servers, ["192.0.2.2".parse::<IpAddr>().unwrap()]);
    }
}
