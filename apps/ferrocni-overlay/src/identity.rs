//! Who this host is.

use std::path::Path;

use overlay::HostId;

use crate::Error;
use crate::configuration::Configuration;

/// Where a host keeps its id.
const ID: &str = "/var/lib/ferrocni/host-id";

pub(crate) fn id() -> Result<HostId, Error> {
    Ok(HostId::of_this_host(Path::new(ID))?)
}

/// Its name, for people.
pub(crate) fn name(configuration: &Configuration) -> String {
    let own = || nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    let name = configuration.name.clone().or_else(own).unwrap_or_default();
    let plain = |char: char| char.is_ascii_alphanumeric() || matches!(char, '.' | '-' | '_');
    let name: String = name.chars().filter(|char| plain(*char)).take(253).collect();
    if name.is_empty() { "unnamed".to_owned() } else { name }
}
