//! What is reserved, for who only wants to know: without the lock, so that no plugin waits for it, and nothing is changed.

use std::fs;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::path::Path;

use cni_plugin::{NetworkName, SpecVersion};

use crate::config::Config;
use crate::error::Error;
use crate::owner::Holder;
use crate::range::RangeSet;

/// More than any container id and interface name have, in bytes.
const MAX_CONTENT: usize = 1024;

/// How much of a range set is reserved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// The ranges, as errors name them.
    pub ranges: String,
    /// How many addresses containers can get.
    pub capacity: u128,
    /// How many of them are reserved.
    pub reserved: usize,
}

impl Usage {
    /// How many addresses are left.
    #[must_use]
    pub fn free(&self) -> u128 {
        self.capacity.saturating_sub(self.reserved as u128)
    }
}

/// How much is reserved of each range set of a network, in the order of the configuration.
///
/// # Errors
/// The ranges are not valid, or the folder cannot be listed.
pub fn usage(config: &Config, network: &NetworkName, version: SpecVersion) -> Result<Vec<Usage>, Error> {
    let sets = config.keys()?.range_sets(version)?;
    let reserved = addresses(&config.data_dir()?.join(network.as_str()))?;
    let of = |set: &RangeSet| {
        let is_counted = |address: &&IpAddr| set.range_of(**address).is_some() && !set.withholds(**address);
        let reserved = reserved.iter().filter(is_counted).count();
        Usage { ranges: set.to_string(), capacity: set.capacity(), reserved }
    };
    Ok(sets.iter().map(of).collect())
}

/// Every reserved address of a network, with what holds it. What is freed meanwhile is left out.
///
/// # Errors
/// The folder cannot be listed.
pub fn holders(data_dir: &Path, network: &NetworkName) -> Result<Vec<(IpAddr, Holder)>, Error> {
    let dir = data_dir.join(network.as_str());
    let holder = |address: IpAddr| {
        let content = files::read(&dir.join(address.to_string()), MAX_CONTENT);
        match content {
            Ok(content) => Some((address, Holder::of(&content))),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(_) => Some((address, Holder::Unknown)),
        }
    };
    Ok(addresses(&dir)?.into_iter().filter_map(holder).collect())
}

fn addresses(dir: &Path) -> Result<Vec<IpAddr>, Error> {
    let failed = |source| Error::Io { doing: "list", path: dir.into(), source };
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    let mut addresses = Vec::new();
    for entry in entries {
        let name = entry.map_err(failed)?.file_name();
        addresses.extend(name.to_str().and_then(|name| name.parse::<IpAddr>().ok()));
    }
    Ok(addresses)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reservations_are_counted_against_their_own_ranges_and_gateways_are_none() {
        let dir = tempfile::tempdir().unwrap();
        let name = NetworkName::new("n").unwrap();
        let config = json!({"ipam": {"dataDir": dir.path(), "ranges": [
            [{"subnet": "10.1.0.0/29"}], [{"subnet": "fd00::/126"}],
        ]}});
        let config: Config = serde_json::from_value(config).unwrap();
        let count = |usage: Vec<Usage>| usage.iter().map(|set| (set.reserved, set.capacity)).collect::<Vec<_>>();
        assert_eq!(count(usage(&config, &name, SpecVersion::LATEST).unwrap()), [(0, 5), (0, 2)]);
        fs::create_dir(dir.path().join("n")).unwrap();
        for (file, content) in
            [("10.1.0.1", "gw"), ("10.1.0.2", "c1\r\neth0"), ("10.9.9.9", "x"), ("lock", ""), ("fd00::2", "")]
        {
            fs::write(dir.path().join("n").join(file), content).unwrap();
        }
        assert_eq!(count(usage(&config, &name, SpecVersion::LATEST).unwrap()), [(1, 5), (1, 2)]);
        let mut held = holders(dir.path(), &name).unwrap();
        held.sort_by_key(|(address, _)| *address);
        assert_eq!(held.len(), 4);
        assert!(matches!(&held[1], (_, Holder::Owner(owner)) if owner.container().as_str() == "c1"));
        assert_eq!(held[3].1, Holder::Empty);
    }
}
