//! Whose network the container has.

use std::path::Path;

use netlink::Netns;

use crate::Error;

/// Makes sure that a container's namespace is the host's, in which this plugin runs.
pub(crate) fn verify(container: &Path) -> Result<(), Error> {
    let (container, host) = (Netns::open(container)?, Netns::current()?);
    if container == host {
        return Ok(());
    }
    Err(Error::NotTheHosts { path: container.path().into(), found: container.id(), expected: host.id() })
}
