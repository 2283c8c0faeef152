//! Options of a container's connection to a network (`--driver-opt`), by Docker's names.

use cni::{IfName, InvalidName};
use cni_runtime::Network;
use serde_json::{Map, json};

/// What the options ask for.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct EndpointOptions {
    pub(crate) interface: Option<IfName>,
    /// Settings of the interface, which `IFNAME` in their names stands for.
    sysctls: Vec<(String, String)>,
}

/// An option that cannot be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EndpointOptionError {
    #[error("--driver-opt {0:?} is not known: there are {IFNAME} and {SYSCTLS}")]
    Unknown(String),
    #[error("{0:?} is no setting: write it as net.ipv4.conf.IFNAME.forwarding=1")]
    Sysctl(String),
    #[error(transparent)]
    Interface(#[from] InvalidName),
}

const IFNAME: &str = "com.docker.network.endpoint.ifname";
const SYSCTLS: &str = "com.docker.network.endpoint.sysctls";

impl EndpointOptions {
    /// # Errors
    /// The first one that is not known, or whose value cannot be.
    pub(crate) fn read(pairs: &[(String, String)]) -> Result<Self, EndpointOptionError> {
        let mut options = Self::default();
        for (key, value) in pairs {
            match key.as_str() {
                IFNAME => options.interface = Some(IfName::new(value.as_str())?),
                SYSCTLS => options.sysctls = value.split(',').map(sysctl).collect::<Result<_, _>>()?,
                _ => return Err(EndpointOptionError::Unknown(key.clone())),
            }
        }
        Ok(options)
    }

    /// The network with what the options ask for: the settings are the plugin `tuning`'s to make.
    ///
    /// # Errors
    /// The changed list is none.
    pub(crate) fn apply(&self, network: Network, ifname: &IfName) -> Result<Network, cni::Error> {
        if self.sysctls.is_empty() {
            return Ok(network);
        }
        let settings = self.sysctls.iter().map(|(key, value)| (key.replace("IFNAME", ifname.as_str()), json!(value)));
        let settings: Map<_, _> = settings.collect();
        let mut list = network.json();
        let lists = list.as_object_mut().into_iter().flatten();
        let plugins =
            lists.filter(|(key, _)| key.eq_ignore_ascii_case("plugins")).filter_map(|(_, list)| list.as_array_mut());
        plugins.for_each(|plugins| plugins.push(json!({"type": "tuning", "sysctl": settings})));
        Network::from_json(list)
    }
}

/// Only those of one interface: others would be set for all of the container.
fn sysctl(text: &str) -> Result<(String, String), EndpointOptionError> {
    let pair =
        text.split_once('=').filter(|(key, _)| key.starts_with("net.") && key.split('.').any(|word| word == "IFNAME"));
    let (key, value) = pair.ok_or_else(|| EndpointOptionError::Sysctl(text.to_owned()))?;
    Ok((key.to_owned(), value.to_owned()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn read(key: &str, value: &str) -> Result<EndpointOptions, EndpointOptionError> {
        EndpointOptions::read(&[(key.to_owned(), value.to_owned())])
    }

    #[test]
    fn settings_are_those_of_the_interface() {
        let options = read(SYSCTLS, "net.ipv4.conf.IFNAME.forwarding=1,net.ipv6.conf.IFNAME.mtu=1300").unwrap();
        let list = json!({"cniVersion": "1.0.0", "name": "web", "plugins": [{"type": "bridge"}]});
        let network = options.apply(Network::from_json(list).unwrap(), &IfName::new("eth1").unwrap()).unwrap();
        let settings = json!({"net.ipv4.conf.eth1.forwarding": "1", "net.ipv6.conf.eth1.mtu": "1300"});
        assert_eq!(network.json()["plugins"], json!([{"type": "bridge"}, {"type": "tuning", "sysctl": settings}]));
    }

    #[test]
    fn what_is_not_known_is_refused() {
        assert!(matches!(read("mtu", "1400"), Err(EndpointOptionError::Unknown(_))));
        assert!(matches!(read(IFNAME, "a/b"), Err(EndpointOptionError::Interface(_))));
        for value in ["", "net.ipv4.conf.IFNAME.forwarding", "net.ipv4.ip_forward=1", "kernel.IFNAME=1"] {
            assert!(matches!(read(SYSCTLS, value), Err(EndpointOptionError::Sysctl(_))), "{value}");
        }
    }
}
