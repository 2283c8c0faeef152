//! The pair of links that connects a container: one end a port of the bridge, the other in the container.

use cni_plugin::{Add, Undo};
use container_interface::veth::{self, Options, Pair};
use netlink::{BridgePort, Link, Mac, Netns, Socket};

use crate::{Config, Error};

/// Makes the pair: the host's end a port of the bridge and up, the container's end in its namespace and down.
pub(crate) fn create(
    host: &mut Socket,
    bridge: &Link,
    mtu: Option<u32>,
    netns: &Netns,
    request: &Add<Config>,
    undo: &mut Undo,
) -> Result<Pair, Error> {
    let config = &request.network.config;
    let container_mac = match config.mac(&request.network.args)? {
        Some(mac) => mac,
        None => Mac::random()?,
    };
    let options = Options {
        host_mac: highest(Mac::random()?),
        container_mac,
        mtu,
        master: Some(bridge.index),
        bridge_port: BridgePort { hairpin: config.hairpin_mode, isolated: config.port_isolation },
        ipv6_link_local: false,
    };
    Ok(veth::create(host, netns, request, &options, undo)?)
}

/// A bridge whose hardware address nobody fixed takes the lowest of its ports': an administrator's must not change it, and
/// be out of reach for a while, because a container came.
pub(crate) fn highest(mut mac: Mac) -> Mac {
    mac.0[0] = 0xfe;
    mac
}
