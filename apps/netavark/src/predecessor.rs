//! What the netavark and aardvark-dns, whose place this program takes, have left of containers that they connected.

use std::fs;
use std::path::{Path, PathBuf};

use cni::AddResult;
use files::Folder;
use ipnetwork::IpNetwork;
use nftables::reference::netavark::{self, Network, Ports};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::attachment::Attachment;
use crate::error::Error;
use crate::namespace;
use crate::ports::PortMapping;

/// The most that one of their files may have, in bytes.
const LIMIT: usize = 4 << 20;
/// The name of their name server's process.
const SERVER: &str = "aardvark-dns";
const PID: &str = "aardvark.pid";

/// Where they keep what they know.
#[derive(Debug)]
pub(crate) struct Predecessor {
    config: PathBuf,
}

impl Predecessor {
    pub(crate) fn new(config: &Path) -> Self {
        Self { config: config.to_owned() }
    }

    /// Removes the rules of the container's published ports, and the files about it.
    pub(crate) fn forget(
        &self,
        attachment: &Attachment,
        reported: &AddResult,
        ports: &[PortMapping],
    ) -> Result<(), Error> {
        let subnets = subnets(attachment);
        let addresses: Vec<_> = reported.ips.iter().map(|ip| ip.address.ip()).collect();
        let ports: Vec<_> = ports.iter().flat_map(in_rules).collect();
        netavark::remove_ports(network(attachment, &subnets), &addresses, &ports)?;
        let record = format!("{}_{}", attachment.network.id, attachment.names.container);
        remove(&self.folder("firewall/ports"), &record)?;
        self.forget_names(attachment)
    }

    /// Removes what there is about a network without containers.
    pub(crate) fn forget_network(&self, attachment: &Attachment) -> Result<(), Error> {
        let subnets = subnets(attachment);
        netavark::remove_network(network(attachment, &subnets))?;
        remove(&self.folder("firewall/networks"), &attachment.network.id)
    }

    fn folder(&self, name: &str) -> Folder {
        Folder::new(self.config.join(name), LIMIT)
    }

    /// Takes the container out of the name server's file of the network, and tells the server.
    fn forget_names(&self, attachment: &Attachment) -> Result<(), Error> {
        let folder = self.folder(SERVER);
        let name = &attachment.network.name;
        for file in [name.to_string(), format!("{name}%int")] {
            let Some(content) = read(&folder, &file)? else { continue };
            let Some(rest) = without(&content, attachment.names.container.as_str()) else { continue };
            if rest.lines().count() > 1 {
                folder.write(&file, rest.as_bytes()).map_err(failed("write", &folder, &file))?;
            } else {
                remove(&folder, &file)?;
            }
            tell_server(&folder)?;
            attachment.endpoint.netns.as_deref().map_or(Ok(()), namespace::set_asks_gateways)?;
        }
        Ok(())
    }
}

fn network<'a>(attachment: &'a Attachment, subnets: &'a [IpNetwork]) -> Network<'a> {
    let bridge = attachment.network.network_interface.as_deref().unwrap_or_default();
    Network { id: &attachment.network.id, bridge, subnets }
}

fn subnets(attachment: &Attachment) -> Vec<IpNetwork> {
    attachment.network.subnets.iter().map(|subnet| subnet.subnet).collect()
}

fn in_rules(mapping: &PortMapping) -> Vec<Ports> {
    let protocols = mapping.protocols().unwrap_or_default();
    let range = mapping.host_range();
    protocols.into_iter().map(|protocol| Ports { host: mapping.host(), protocol, range }).collect()
}

/// The file without the container's line; `None` if there is none. The first line has the addresses that the server listens on.
fn without(content: &str, container: &str) -> Option<String> {
    let is_its = |line: &&str| line.split(' ').next() == Some(container);
    content.lines().skip(1).any(|line| is_its(&line)).then(|| {
        let rest: Vec<_> = content.lines().filter(|line| !is_its(line)).collect();
        rest.join("\n") + "\n"
    })
}

/// It reads its files again, and ends when there is none. What has its number and another name is none.
fn tell_server(folder: &Folder) -> Result<(), Error> {
    let Some(pid) = read(folder, PID)?.and_then(|text| text.trim().parse::<i32>().ok()).filter(|pid| *pid > 1) else {
        return Ok(());
    };
    if fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == SERVER) {
        // It may have ended just now.
        let _ = kill(Pid::from_raw(pid), Signal::SIGHUP);
    }
    let is_last = folder.names().map_err(failed("list", folder, ""))?.iter().all(|name| name == PID);
    if is_last { remove(folder, PID) } else { Ok(()) }
}

fn read(folder: &Folder, name: &str) -> Result<Option<String>, Error> {
    let content = folder.read(name).map_err(failed("read", folder, name))?;
    Ok(content.map(|content| String::from_utf8_lossy(&content).into_owned()))
}

fn remove(folder: &Folder, name: &str) -> Result<(), Error> {
    folder.remove(name).map_err(failed("remove", folder, name))
}

fn failed(action: &'static str, folder: &Folder, name: &str) -> impl FnOnce(std::io::Error) -> Error {
    let path = folder.path_of(name);
    move |source| Error::File { action, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_s_line_is_taken_out_and_no_other() {
        let file = "10.7.1.1\nabc 10.7.1.2  web 192.0.2.53\nabcd 10.7.1.3  db\n";
        assert_eq!(without(file, "abc").as_deref(), Some("10.7.1.1\nabcd 10.7.1.3  db\n"));
        assert_eq!(without(file, "ab"), None);
        assert_eq!(without(file, "10.7.1.1"), None, "that is no container");
    }
}
