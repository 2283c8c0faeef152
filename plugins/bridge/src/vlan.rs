//! VLANs: the bridge keeps them apart, and each port is in those of its network.

use std::collections::BTreeMap;

use netlink::{Batch, Bridge, Link, LinkKind, Netns, PortVlans, Socket};
use parent_interface::VlanId;

use crate::check::differs;
use crate::config::TrunkVlans;
use crate::{Config, Error};

/// The native VLAN of a trunk for which the network names none, as of every port of a bridge.
const DEFAULT: u16 = 1;

/// The VLANs of the network's ports; `None` for a network without VLANs.
pub(crate) fn of_ports(config: &Config) -> Option<Vec<PortVlans>> {
    let native = match (config.vlan, &config.vlan_trunk) {
        (None, None) => return None,
        (vlan, _) => vlan.map_or(DEFAULT, VlanId::get),
    };
    Some(std::iter::once(PortVlans::native(native)).chain(tagged(config, native)).collect())
}

/// The trunk's VLANs in as few ranges as they fit in. The native one is not among them: its frames carry no tag.
fn tagged(config: &Config, native: u16) -> Vec<PortVlans> {
    let mut carried = [false; 4096];
    for (first, last) in config.vlan_trunk.iter().flatten().flat_map(TrunkVlans::ranges) {
        carried[usize::from(first.get())..=usize::from(last.get())].fill(true);
    }
    carried[usize::from(native)] = false;
    let mut ranges: Vec<PortVlans> = Vec::new();
    for id in (0..4096).filter(|&id| carried[usize::from(id)]) {
        match ranges.last_mut() {
            Some(range) if range.last + 1 == id => range.last = id,
            _ => ranges.push(PortVlans::tagged(id, id)),
        }
    }
    ranges
}

/// A network with VLANs needs a bridge that filters them: any other takes them, and keeps no containers apart.
pub(crate) fn require_filtering(bridge: &Link, config: &Config) -> Result<(), Error> {
    match bridge.options {
        _ if !config.has_vlans() => Ok(()),
        Some(LinkKind::Bridge { vlan_filtering: true, .. }) => Ok(()),
        Some(LinkKind::Bridge { default_vlan: None, .. }) => Err(Error::NoVlanSupport),
        _ => Err(Error::NoVlanFiltering { bridge: bridge.name.clone() }),
    }
}

/// For STATUS, when there is no bridge yet: the kernel can make one that filters VLANs.
pub(crate) fn probe_kernel(config: &Config) -> Result<(), Error> {
    if !config.has_vlans() {
        return Ok(());
    }
    let bridge = Bridge { name: "probe", mac: None, mtu: None, up: false, vlan_filtering: true };
    Netns::run_in_new(|| Socket::open()?.create_bridge(&bridge))?.map_err(explain).map(drop)
}

/// Names the one refusal that a reader cannot know the reason of.
pub(crate) fn explain(refusal: netlink::Error) -> Error {
    if refusal.is_unsupported() { Error::NoVlanSupport } else { refusal.into() }
}

/// Lets the container's port into its VLANs and no other. The container's end is still down, so nothing has passed yet.
pub(crate) fn admit(host: &mut Socket, bridge: &Link, port: u32, config: &Config) -> Result<(), Error> {
    of_ports(config).map_or(Ok(()), |vlans| set(host, bridge, port, &vlans, config))
}

/// Lets a port of the bridge into these VLANs, and out of the one that the bridge has put it in.
pub(crate) fn set(
    host: &mut Socket,
    bridge: &Link,
    port: u32,
    vlans: &[PortVlans],
    config: &Config,
) -> Result<(), Error> {
    let mut batch = host.batch();
    batch.add_port_vlans(port, vlans);
    if !config.preserve_default_vlan {
        leave_default(&mut batch, bridge, port, vlans);
    }
    Ok(batch.send()?)
}

/// Takes a port out of the VLAN that the bridge has put it in, unless that is one of these.
pub(crate) fn leave_default(batch: &mut Batch<'_>, bridge: &Link, port: u32, vlans: &[PortVlans]) {
    if let Some(default) = default_vlan(bridge)
        && !vlans.iter().any(|range| (range.first..=range.last).contains(&default))
    {
        batch.delete_port_vlan(port, default);
    }
}

fn default_vlan(bridge: &Link) -> Option<u16> {
    match bridge.options {
        Some(LinkKind::Bridge { default_vlan, .. }) => default_vlan.filter(|&vlan| vlan != 0),
        _ => None,
    }
}

/// For CHECK: the port is in these VLANs and in no other. One may be left of the bridge's own accord: the reference leaves
/// it, unless it is told not to.
pub(crate) fn check(host: &mut Socket, bridge: &Link, port: &Link, wanted: &[PortVlans]) -> Result<(), Error> {
    let found = host.port_vlans(port.index)?;
    let mut rest = one_by_one(&found);
    let wanted_ones = one_by_one(wanted);
    if let Some(default) = default_vlan(bridge).filter(|default| !wanted_ones.contains_key(default)) {
        rest.remove(&default);
    }
    if rest == wanted_ones {
        return Ok(());
    }
    Err(differs(format!("VLANs of bridge port {}", port.name), &list(wanted), &list(&found)))
}

/// Each VLAN with how the port is in it.
fn one_by_one(vlans: &[PortVlans]) -> BTreeMap<u16, (bool, bool)> {
    let each = |range: &PortVlans| {
        let how = (range.pvid, range.untagged);
        (range.first..=range.last).map(move |id| (id, how))
    };
    vlans.iter().flat_map(each).collect()
}

fn list(vlans: &[PortVlans]) -> String {
    let words: Vec<_> = vlans.iter().map(ToString::to_string).collect();
    if words.is_empty() { "none".to_owned() } else { words.join(", ") }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn config(keys: &Value) -> Config {
        cni_plugin::json::from_value(keys).unwrap()
    }

    fn ports(keys: &Value) -> Option<String> {
        of_ports(&config(keys)).map(|vlans| list(&vlans))
    }

    #[test]
    fn a_network_without_vlans_has_none() {
        for keys in [json!({}), json!({"vlan": 0}), json!({"vlanTrunk": null}), json!({"preserveDefaultVlan": true})] {
            assert_eq!(ports(&keys), None, "{keys}");
        }
    }

    #[test]
    fn a_vlan_is_the_port_s_only_one() {
        assert_eq!(ports(&json!({"vlan": 100})).unwrap(), "100 pvid untagged");
    }

    #[test]
    fn a_trunk_carries_its_vlans_with_tags_and_the_native_one_without() {
        let trunk =
            json!([{"id": 20}, {"minID": 30, "maxID": 40}, {"minID": 35, "maxID": 42}, {"id": 43}, {"id": 4094}]);
        assert_eq!(ports(&json!({"vlanTrunk": trunk})).unwrap(), "1 pvid untagged, 20, 30-43, 4094");
        assert_eq!(
            ports(&json!({"vlan": 35, "vlanTrunk": trunk})).unwrap(),
            "35 pvid untagged, 20, 30-34, 36-43, 4094"
        );
        assert_eq!(ports(&json!({"vlanTrunk": []})).unwrap(), "1 pvid untagged");
    }

    #[test]
    fn all_vlans_are_one_range() {
        let all = json!([{"minID": 1, "maxID": 4094}]);
        assert_eq!(ports(&json!({"vlanTrunk": all})).unwrap(), "1 pvid untagged, 2-4094");
    }
}
