use std::net::IpAddr;

use cni::NetworkName;

use crate::arguments::Arguments;
use crate::error::Error;
use crate::names;

/// Changes whom the name server asks for the containers of a network.
pub(super) fn run(arguments: &Arguments, network: &str, servers: &[IpAddr]) -> Result<(), Error> {
    names::set_servers(&arguments.config, &NetworkName::new(network)?, servers)
}
