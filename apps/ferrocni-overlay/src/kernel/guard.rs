//! What the packet filter has to know of the networks that this host has joined.

use nftables::overlay::{Ingress, Overlay};
use overlay::{HostId, Network};

use crate::view::View;

/// Who may send is every host of the cluster, not only those of the same networks: a host may join one at any time.
pub(crate) fn wanted<'a>(
    networks: impl Iterator<Item = &'a Network>,
    view: &View,
    id: &HostId,
    port: u16,
    ingress: Ingress,
) -> Overlay {
    let mut overlay = Overlay { port, peers: view.underlay_but_of(id), ingress, ..Overlay::default() };
    if !overlay.ingress.devices.is_empty() {
        overlay.vnis.insert(::overlay::ingress::vni(false).number());
        overlay.inner_vnis.insert(::overlay::ingress::vni(true).number());
        overlay.tunnels.insert(super::wireguard::NAME.to_owned());
    }
    for network in networks {
        if network.encrypted {
            overlay.devices.insert(super::wireguard::NAME.to_owned());
        } else {
            overlay.vnis.insert(network.vni.number());
            overlay.devices.insert(network.vni.device());
        }
        overlay.subnets.extend(network.subnets.iter().map(|subnet| (subnet.network(), network.internal)));
    }
    overlay
}
