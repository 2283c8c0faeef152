//! The source of the container's addresses, and how they are used on an ipvlan link.

use cni_plugin::{Delegate, IpConfig, Network};
use netlink::Request;
use nix::libc;

use crate::{Config, Error};

/// The addresses' source: the network's IPAM plugin or, without one, the result of the previous plugin in the chain.
pub(crate) fn ipam(network: &Network<Config>) -> Result<Option<Delegate<'_>>, Error> {
    let are_given = network.prev_result.as_deref().is_some_and(|result| !result.ips.is_empty());
    if are_given { Ok(network.ipam(siblings::ALL)?) } else { Ok(Some(network.required_ipam(siblings::ALL)?)) }
}

/// The addresses and routes to configure. In the layer 3 modes the link has no ARP or neighbour discovery, and the host
/// routes: all routes go out of the link without a gateway.
pub(crate) fn on_link(ips: &[IpConfig], config: &Config) -> Vec<IpConfig> {
    let mut ips = ips.to_vec();
    for ip in ips.iter_mut().filter(|_| config.is_layer_3()) {
        ip.gateway = None;
    }
    ips
}

pub(crate) fn tell_of_vain_gateway(network: &Network<Config>) {
    if network.config.has_gateway_in_vain() {
        network.note(
            "this mode needs no gateway, because the host routes what containers send: the one in \"ipam\" has no effect",
        );
    }
}

/// Two links on one parent cannot have the same address: the kernel looks links up by address.
pub(crate) fn explain(error: container_interface::Error) -> Error {
    let container_interface::Error::Netlink(netlink::Error::Refused { request, source }) = error else {
        return error.into();
    };
    match (*request, source.errno) {
        (Request::AddAddress { network, .. }, libc::EADDRINUSE) => {
            Error::AddressInUse { address: network.ip(), source }
        }
        (request, _) => netlink::Error::Refused { request: Box::new(request), source }.into(),
    }
}
