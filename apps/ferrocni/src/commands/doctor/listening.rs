//! Who listens on a published port: a program of the host, in vain, or the container's on its loopback only?

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use netlink::{Netns, if_found};

use super::finding::Finding;
use super::survey::Survey;
use crate::attachments::{Connection, PortMapping};
use crate::failure::Failure;

/// Programs that hold the ports of the very containers, so that nobody else takes them.
const KEEPERS: [&str; 5] = ["conmon", "ferrocni", "podman", "rootlessport", "containerd-shim"];

/// The most that a list of sockets may have, in bytes: a hundred thousand of them.
const LIMIT: usize = 16 << 20;

/// A socket that takes connections, or packets of anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Listener {
    address: IpAddr,
    port: u16,
    inode: u64,
}

pub(super) fn check(survey: &Survey<'_>) -> Result<Vec<Finding>, Failure> {
    let mut findings = Vec::new();
    for connection in survey.living().filter(|connection| !connection.ports.is_empty()) {
        for port in &connection.ports {
            findings.extend(taken(connection, port)?);
            findings.extend(hidden(connection, port)?);
        }
    }
    Ok(findings)
}

/// The container gets what comes for the port; the program waits.
fn taken(connection: &Connection, port: &PortMapping) -> Result<Option<Finding>, Failure> {
    // What every host answers is left to a program that had it before.
    if port.ingress {
        return Ok(None);
    }
    let host: Option<IpAddr> = port.host_ip.parse().ok().filter(|host: &IpAddr| !host.is_unspecified());
    let meets =
        |listener: &Listener| host.is_none_or(|host| listener.address.is_unspecified() || listener.address == host);
    let listeners = listeners(&port.protocol)?;
    let Some(listener) = listeners.iter().find(|found| found.port == port.host_port && meets(found)) else {
        return Ok(None);
    };
    let program = holder(listener.inode);
    if program.as_ref().is_some_and(|(_, name)| is_keeper(name)) {
        return Ok(None);
    }
    let published = format!("port {}/{} is published", port.host_port, port.protocol);
    let Some((pid, name)) = program else {
        let problem = format!("{published}, and another program of this host listens on it in vain: stop it");
        return Ok(Some(Finding::new(connection.described(), problem)));
    };
    let problem = format!("{published}, and {name} (process {pid}) of this host listens on it in vain");
    Ok(Some(Finding::new(connection.described(), problem).mended_by(format!("kill {pid}"))))
}

/// What is forwarded does not reach a loopback address.
fn hidden(connection: &Connection, port: &PortMapping) -> Result<Option<Finding>, Failure> {
    let Some(path) = connection.netns() else { return Ok(None) };
    let Some(netns) = if_found(Netns::open(path))? else { return Ok(None) };
    let listeners = netns.run(|| listeners(&port.protocol))??;
    let on_port: Vec<_> = listeners.iter().filter(|listener| listener.port == port.container_port).collect();
    if on_port.is_empty() || on_port.iter().any(|listener| !listener.address.is_loopback()) {
        return Ok(None);
    }
    let problem = format!(
        "its port {0}/{1} is published, but its program listens on {2} only: have it listen on 0.0.0.0 or [::]",
        port.container_port, port.protocol, on_port[0].address
    );
    Ok(Some(Finding::new(connection.described(), problem)))
}

/// Of the calling thread's namespace. A protocol that is not listed has none.
fn listeners(protocol: &str) -> io::Result<Vec<Listener>> {
    let state = match protocol {
        "tcp" => "0A",
        // Not connected.
        "udp" => "07",
        _ => return Ok(Vec::new()),
    };
    let mut all = Vec::new();
    for version in ["", "6"] {
        let path = format!("/proc/thread-self/net/{protocol}{version}");
        match files::read_through_links(Path::new(&path), LIMIT) {
            // A kernel without IPv6.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            text => all.extend(String::from_utf8_lossy(&text?).lines().skip(1).filter_map(|line| read(line, state))),
        }
    }
    Ok(all)
}

/// `sl local_address rem_address st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode ...`
fn read(line: &str, state: &str) -> Option<Listener> {
    let words: Vec<_> = line.split_whitespace().collect();
    let (address, port) = words.get(1)?.split_once(':')?;
    (*words.get(3)? == state).then_some(Listener {
        address: read_address(address)?,
        port: u16::from_str_radix(port, 16).ok()?,
        inode: words.get(9)?.parse().ok()?,
    })
}

/// Groups of four bytes, each printed as a number of this machine. IPv4 may be mapped into IPv6.
fn read_address(hex: &str) -> Option<IpAddr> {
    let group = |at: usize| Some(u32::from_str_radix(hex.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    if hex.len() == 8 {
        return Some(Ipv4Addr::from(group(0)?).into());
    }
    let mut octets = [0; 16];
    for (number, four) in octets.chunks_mut(4).enumerate() {
        four.copy_from_slice(&group(8 * number)?);
    }
    Some(IpAddr::V6(Ipv6Addr::from(octets)).to_canonical())
}

/// The program of this host that listens on a port, with its process; none if it is hidden, or a keeper.
pub(super) fn program_on(port: u16, protocol: &str) -> Result<Option<(u32, String)>, Failure> {
    let listeners = listeners(protocol)?.into_iter().filter(|found| found.port == port);
    let mut programs = listeners.filter_map(|found| holder(found.inode));
    Ok(programs.find(|(_, name)| !is_keeper(name)))
}

fn is_keeper(name: &str) -> bool {
    KEEPERS.iter().any(|keeper| name.starts_with(keeper))
}

/// The process with that socket, and its name; none if it is hidden, or gone.
fn holder(inode: u64) -> Option<(u32, String)> {
    let socket = format!("socket:[{inode}]");
    let processes = std::fs::read_dir("/proc").ok()?.flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let pid = pids.into_iter().find(|pid| has_file(*pid, &socket))?;
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    Some((pid, name.trim().to_owned()))
}

fn has_file(pid: u32, target: &str) -> bool {
    let files = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    files.into_iter().any(|file| std::fs::read_link(file.path()).is_ok_and(|link| link == Path::new(target)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_read_as_the_kernel_lists_them() {
        let listening = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  0  0 4711 1 0";
        let listener = read(listening, "0A").unwrap();
        assert_eq!((listener.address.to_string(), listener.port, listener.inode), ("127.0.0.1".to_owned(), 8080, 4711));
        assert_eq!(read(listening, "07"), None);
        for (hex, text) in [
            ("00000000000000000000000000000000", "::"),
            ("00000000000000000000000001000000", "::1"),
            ("0000000000000000FFFF00000100007F", "127.0.0.1"),
            ("B80D0120000000000000000001000000", "2001:db8::1"),
        ] {
            assert_eq!(read_address(hex).unwrap().to_string(), text);
        }
        for nonsense in ["", "  sl  local_address", "0: xyz:1 0 0A 0 0 0 0 0 1", "0: 0100007F:1F90 0 0A"] {
            assert_eq!(read(nonsense, "0A"), None, "{nonsense}");
        }
    }
}
