//! Connection tracking entries from before a change.
//!
//! Address translation is decided by a connection's first packet. A UDP peer that keeps sending has one connection for ever,
//! so without this its packets would go on to where the port led before (containernetworking/plugins#123).

use cni_plugin::IpConfig;
use conntrack::{Filter, Version};
use nftables::Protocol;

use crate::Error;
use crate::config::PortMapping;
use crate::published::Published;

/// After ADD: forgets the UDP connections to the published ports, wherever they led.
pub(crate) fn forget_earlier(published: &Published<'_>) -> Result<(), Error> {
    let earlier = published.pairs().filter_map(|(mapping, target)| filter(mapping, target));
    Ok(conntrack::remove(&earlier.collect::<Vec<_>>())?)
}

/// After DEL: forgets those that led to this container.
pub(crate) fn forget_own(published: &Published<'_>) -> Result<(), Error> {
    let own = published.pairs().filter_map(|(mapping, target)| {
        filter(mapping, target).map(|filter| Filter { reply_source: Some(target.address.ip()), ..filter })
    });
    Ok(conntrack::remove(&own.collect::<Vec<_>>())?)
}

fn filter(mapping: &PortMapping, target: &IpConfig) -> Option<Filter> {
    (mapping.protocol == Protocol::Udp).then(|| Filter {
        version: if target.address.is_ipv4() { Version::V4 } else { Version::V6 },
        protocol: Protocol::Udp.number(),
        port: mapping.host_port,
        address: mapping.specific_host(),
        reply_source: None,
    })
}
