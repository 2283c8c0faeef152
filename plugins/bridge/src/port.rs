//! The pair of links that connects a container: one end a port of the bridge, the other in the container.

use cni_plugin::{Add, IfName, Undo};
use container_interface::veth::{self, Options, Pair};
use netlink::{BridgePort, Link, LinkChange, Mac, Netns, Socket};

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
        host_name: config.host_interface_name.as_ref().map(IfName::as_str),
        host_mac: highest(Mac::random()?),
        container_mac,
        mtu,
        master: Some(bridge.index),
        bridge_port: BridgePort { hairpin: config.hairpin_mode, isolated: config.port_isolation },
        ipv6_link_local: false,
    };
    let mut pair = veth::create(host, netns, request, &options, undo)?;
    if let Some(with_port) = &mut pair.master {
        keep_address(host, bridge, with_port)?;
    }
    Ok(pair)
}

/// A bridge without ports has a hardware address of its own, and takes its first port's in its place unless it is fixed: it gets
/// its own back, and so it is fixed. One that has lost its last port has none.
fn keep_address(host: &mut Socket, before: &Link, with_port: &mut Link) -> Result<(), Error> {
    let mac = before.mac.filter(|mac| mac.0 != [0; 6]);
    if mac.is_none() || mac == with_port.mac {
        return Ok(());
    }
    *with_port = host.change_and_read(before.index, &LinkChange { mac, ..LinkChange::default() })?;
    Ok(())
}

/// A bridge whose hardware address is not fixed takes the lowest of its ports': an administrator's must not change it, and
/// be out of reach for a while, because a container came.
pub(crate) fn highest(mut mac: Mac) -> Mac {
    mac.0[0] = 0xfe;
    mac
}
