use std::net::IpAddr;

use crate::arguments::Arguments;
use crate::error::Error;

/// Changes whom the name server asks for the containers of a network.
pub(super) fn run(_arguments: &Arguments, _network: &str, _servers: &[IpAddr]) -> Result<(), Error> {
    Ok(())
}
