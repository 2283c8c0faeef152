//! Which names the other plugin has given its server.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::path::Path;

use cni_plugin::NetworkName;
use cni_runtime::{Attached, Cache};
use names::Name;

use super::Failure;
use crate::identity::Identity;

/// Lines of an address and the names of the container that has it.
pub(super) const FILE: &str = "addnhosts";

/// The most that it may have, in bytes.
const LIMIT: usize = 16 << 20;

/// The attachments that have the addresses, by libcni's cache, each with its names. What no runtime has in the cache is gone.
pub(super) fn living(folder: &Path, network: &NetworkName) -> Result<Vec<(Attached, Identity)>, Failure> {
    let path = folder.join(FILE);
    let text = match files::read(&path, LIMIT) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        text => text.map_err(|reason| Failure::File { action: "read", path, reason })?,
    };
    let names = names_by_address(&String::from_utf8_lossy(&text));
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let attached = Cache::default().of_network(network)?.attached;
    let named = |attached: Attached| identity(&attached, &names).map(|identity| (attached, identity));
    Ok(attached.into_iter().filter_map(named).collect())
}

fn identity(attached: &Attached, names: &BTreeMap<IpAddr, Vec<Name>>) -> Option<Identity> {
    let result = attached.parsed_result().ok()?;
    let addresses = result.ips_of(attached.endpoint.ifname.as_str()).map(|ip| ip.address.ip());
    let mut found: Vec<Name> = Vec::new();
    for name in addresses.filter_map(|address| names.get(&address)).flatten() {
        if !found.contains(name) {
            found.push(name.clone());
        }
    }
    let mut found = found.into_iter();
    let name = found.next()?;
    Some(Identity { name: Some(name), aliases: found.collect(), pod_namespace: None })
}

fn names_by_address(text: &str) -> BTreeMap<IpAddr, Vec<Name>> {
    let mut names: BTreeMap<IpAddr, Vec<Name>> = BTreeMap::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let Some(address) = words.next().and_then(|word| word.parse().ok()) else { continue };
        names.entry(address).or_default().extend(words.filter_map(|word| Name::new(word).ok()));
    }
    names
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn each_line_has_an_address_and_its_names() {
        let text = "10.1.0.2\tweb\n10.1.0.2\tweb www\nfd00::2 web\n\nnonsense\n10.1.0.3\tbad/name db\n10.1.0.300 x\n";
        let names = names_by_address(text);
        let of =
            |address: &str| names[&address.parse::<IpAddr>().unwrap()].iter().map(Name::as_str).collect::<Vec<_>>();
        assert_eq!(of("10.1.0.2"), ["web", "web", "www"]);
        assert_eq!((of("fd00::2"), of("10.1.0.3")), (vec!["web"], vec!["db"]));
        assert_eq!(names.len(), 3);
    }
}
