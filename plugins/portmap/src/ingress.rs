//! Ports that this host answers for a cluster of hosts (plugin `overlay`): as long as it does, they are nobody else's.

use std::net::IpAddr;

use overlay::Places;
use overlay::ingress::Port;

use crate::Error;
use crate::config::PortMapping;
use crate::published::Published;

/// Refuses what the host answers already. A container that is behind such a port may have it on its host alone as well.
pub(crate) fn refuse(published: &Published<'_>) -> Result<(), Error> {
    let places = Places::default();
    let Some(state) = places.ingress_state()? else { return Ok(()) };
    for mapping in published.config.ports().iter().filter(|mapping| !is_on_loopback(mapping)) {
        let port = Port { protocol: mapping.protocol, port: mapping.host_port };
        let Some(known) = state.answered(port) else { continue };
        if !places.publications().is_of(port, &published.attachment.container)? {
            return Err(Error::OnEveryHost { port, network: known.network.clone() });
        }
    }
    Ok(())
}

/// Every host answers on its other addresses only.
fn is_on_loopback(mapping: &PortMapping) -> bool {
    mapping.specific_host().is_some_and(|host: IpAddr| host.is_loopback())
}
