//! Names of links of the host.

use cni::IfName;
use netlink::{Socket, if_found};
use podman_network::Network;

use super::{CreateError, Used};
use crate::error::Error;

/// How many names are tried.
const NAMES: u32 = 1_000_000;

/// The first of `podman1`, `podman2`, … that nobody has.
pub(super) fn free_name(prefix: &str, used: &Used) -> Result<String, Error> {
    let prefix = if prefix.is_empty() { "podman" } else { prefix };
    let links = Socket::open()?.links()?;
    let is_free = |name: &String| {
        !used.interfaces.contains(name)
            && !used.names.contains_key(name)
            && !links.iter().any(|link| link.name == *name)
    };
    let name = (1..NAMES).map(|number| format!("{prefix}{number}")).find(is_free).ok_or(CreateError::NoName)?;
    Ok(IfName::new(name)?.to_string())
}

/// No other network has the bridge, unless bridges are shared.
pub(super) fn is_free(network: &Network, used: &Used, is_shared: bool) -> Result<(), Error> {
    let name = network.network_interface.clone().unwrap_or_default();
    if !is_shared && used.interfaces.contains(&name) {
        return Err(CreateError::InterfaceUsed(name).into());
    }
    IfName::new(name)?;
    Ok(())
}

/// The link that containers' links are to be on is there.
pub(super) fn parent_exists(network: &Network) -> Result<(), Error> {
    let named = network.options.get("parent").or(network.network_interface.as_deref());
    let Some(name) = named.filter(|name| !name.is_empty()) else { return Ok(()) };
    match if_found(Socket::open()?.link(name))? {
        Some(_) => Ok(()),
        None => Err(CreateError::NoParent(name.to_owned()).into()),
    }
}
