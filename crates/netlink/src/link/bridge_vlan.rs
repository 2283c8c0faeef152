//! The VLANs that the ports of a bridge are in (net/bridge/br_vlan.c). They count once the bridge filters: see
//! [`LinkKind::Bridge`](crate::LinkKind::Bridge).

use std::fmt;

use netlink_packet_core::Emitable;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::link::{AfSpecBridge, BridgeVlanInfo, BridgeVlanInfoFlags, LinkAttribute, LinkMessage};

use crate::error::{Error, Request, Result};
use crate::link::RTM_DELLINK;
use crate::message::{Attribute, Message, attributes, read_u16, read_u32};
use crate::outgoing::Outgoing;
use crate::socket::Socket;

const RTM_SETLINK: u16 = 19;
const RTM_NEWVLAN: u16 = 112;
const RTM_GETVLAN: u16 = 114;
const WHAT: &str = "the VLANs of a bridge port";

/// `struct br_vlan_msg`: family, three bytes of padding, index of the port.
const HEADER_LEN: usize = 8;
const BRIDGE_VLANDB_ENTRY: u16 = 1;
const BRIDGE_VLANDB_ENTRY_INFO: u16 = 1;
const BRIDGE_VLANDB_ENTRY_RANGE: u16 = 2;

/// VLANs that a port of a bridge is in, all of them in the same way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortVlans {
    /// The first of them, 1 to 4094.
    pub first: u16,
    /// The last of them, the same as `first` for a single VLAN.
    pub last: u16,
    /// What arrives without a tag belongs to it. A port has one such VLAN at most, which is no range.
    pub pvid: bool,
    /// What leaves has no tag.
    pub untagged: bool,
}

impl PortVlans {
    /// The VLAN of a port that knows of no tags, or the native VLAN of one that does.
    #[must_use]
    pub fn native(id: u16) -> Self {
        PortVlans { first: id, last: id, pvid: true, untagged: true }
    }

    /// VLANs whose frames carry their tags.
    #[must_use]
    pub fn tagged(first: u16, last: u16) -> Self {
        PortVlans { first, last, pvid: false, untagged: false }
    }
}

/// As bridge(8) takes and shows them.
impl fmt::Display for PortVlans {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.first)?;
        if self.last != self.first {
            write!(formatter, "-{}", self.last)?;
        }
        formatter.write_str(if self.pvid { " pvid" } else { "" })?;
        formatter.write_str(if self.untagged { " untagged" } else { "" })
    }
}

impl Socket {
    /// The VLANs that the bridge port with index `port` is in, in ascending order. Needs Linux 5.6.
    ///
    /// # Errors
    /// The kernel's refusal: `EINVAL` if the link is no port of a bridge.
    pub fn port_vlans(&mut self, port: u32) -> Result<Vec<PortVlans>> {
        let ports =
            self.dump(&Request::ListPortVlans { port: port.into() }, RTM_GETVLAN, &GetVlans { port }, |message| {
                let is_it = message.kind == RTM_NEWVLAN && read_u32(message.body, 4) == Some(port);
                if is_it { read(message).map(Some) } else { Ok(None) }
            })?;
        Ok(ports.concat())
    }
}

/// Lets a port into VLANs, or changes how it is in them.
pub(crate) fn push_add(outgoing: &mut Outgoing, port: u32, vlans: &[PortVlans]) {
    let request = Request::AddPortVlans { port: port.into() };
    outgoing.push(request, RTM_SETLINK, 0, &message(port, vlans.iter().flat_map(encode)));
}

/// Takes a port out of a VLAN; the kernel does not mind if it is not in it.
pub(crate) fn push_delete(outgoing: &mut Outgoing, port: u32, id: u16) {
    let request = Request::DeletePortVlan { port: port.into(), id };
    outgoing.push(request, RTM_DELLINK, 0, &message(port, encode(&PortVlans::tagged(id, id))));
}

fn message(port: u32, vlans: impl Iterator<Item = AfSpecBridge>) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.header.interface_family = AddressFamily::Bridge;
    message.header.index = port;
    message.attributes.push(LinkAttribute::AfSpecBridge(vlans.collect()));
    message
}

/// One entry, or the two that begin and end a range.
fn encode(vlans: &PortVlans) -> impl Iterator<Item = AfSpecBridge> + use<> {
    let mut flags = BridgeVlanInfoFlags::empty();
    flags.set(BridgeVlanInfoFlags::Pvid, vlans.pvid);
    flags.set(BridgeVlanInfoFlags::Untagged, vlans.untagged);
    let entry = |flags, vid| AfSpecBridge::VlanInfo(BridgeVlanInfo { flags, vid });
    let (first, last) = if vlans.first == vlans.last {
        (entry(flags, vlans.first), None)
    } else {
        let last = entry(flags | BridgeVlanInfoFlags::RangeEnd, vlans.last);
        (entry(flags | BridgeVlanInfoFlags::RangeBegin, vlans.first), Some(last))
    };
    std::iter::once(first).chain(last)
}

/// `struct br_vlan_msg` that asks for one port.
struct GetVlans {
    port: u32,
}

impl Emitable for GetVlans {
    fn buffer_len(&self) -> usize {
        HEADER_LEN
    }

    fn emit(&self, buffer: &mut [u8]) {
        buffer[..4].copy_from_slice(&[AddressFamily::Bridge.into(), 0, 0, 0]);
        buffer[4..HEADER_LEN].copy_from_slice(&self.port.to_ne_bytes());
    }
}

pub(crate) fn read(message: &Message<'_>) -> Result<Vec<PortVlans>> {
    let mut vlans = Vec::new();
    for attribute in attributes(message, HEADER_LEN, WHAT)? {
        let attribute = attribute?;
        if attribute.kind == BRIDGE_VLANDB_ENTRY {
            vlans.push(read_entry(&attribute)?);
        }
    }
    Ok(vlans)
}

fn read_entry(entry: &Attribute<'_>) -> Result<PortVlans> {
    let mut vlans = None;
    for attribute in entry.nested() {
        let attribute = attribute?;
        let number = |at| read_u16(attribute.value, at).ok_or(Error::Malformed { what: WHAT });
        match (attribute.kind, &mut vlans) {
            (BRIDGE_VLANDB_ENTRY_INFO, _) => vlans = Some(read_info(number(0)?, number(2)?)),
            // The kernel tells where a range ends after it has told where it begins.
            (BRIDGE_VLANDB_ENTRY_RANGE, Some(vlans)) => vlans.last = number(0)?,
            _ => {}
        }
    }
    vlans.ok_or(Error::Malformed { what: WHAT })
}

/// `struct bridge_vlan_info`: flags and number.
fn read_info(flags: u16, id: u16) -> PortVlans {
    let flags = BridgeVlanInfoFlags::from_bits_retain(flags);
    PortVlans {
        first: id,
        last: id,
        pvid: flags.contains(BridgeVlanInfoFlags::Pvid),
        untagged: flags.contains(BridgeVlanInfoFlags::Untagged),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut bytes = u16::try_from(4 + value.len()).expect("short").to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn numbers(numbers: &[u16]) -> Vec<u8> {
        numbers.iter().flat_map(|number| number.to_ne_bytes()).collect()
    }

    fn entry(parts: &[(u16, &[u16])]) -> Vec<u8> {
        let parts: Vec<u8> = parts.iter().flat_map(|(kind, value)| attribute(*kind, &numbers(value))).collect();
        attribute(BRIDGE_VLANDB_ENTRY, &parts)
    }

    fn read_all(entries: &[Vec<u8>]) -> Result<Vec<PortVlans>> {
        let body = [vec![0; HEADER_LEN], entries.concat()].concat();
        read(&Message { kind: RTM_NEWVLAN, flags: 0, sequence: 0, body: &body })
    }

    #[test]
    fn entries_are_read_with_their_flags_and_ranges() {
        let entries = [
            entry(&[(BRIDGE_VLANDB_ENTRY_INFO, &[1 << 2, 1])]),
            entry(&[(BRIDGE_VLANDB_ENTRY_INFO, &[1 << 1 | 1 << 2, 10])]),
            entry(&[(BRIDGE_VLANDB_ENTRY_INFO, &[0, 20]), (BRIDGE_VLANDB_ENTRY_RANGE, &[30])]),
        ];
        let shown: Vec<_> = read_all(&entries).expect("readable").iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["1 untagged", "10 pvid untagged", "20-30"]);
    }

    #[test]
    fn an_entry_without_a_vlan_or_with_half_of_one_is_an_error() {
        assert!(read_all(&[entry(&[])]).is_err());
        assert!(read_all(&[entry(&[(BRIDGE_VLANDB_ENTRY_RANGE, &[30])])]).is_err());
        assert!(read_all(&[entry(&[(BRIDGE_VLANDB_ENTRY_INFO, &[0])])]).is_err());
    }

    #[test]
    fn a_range_is_two_entries_and_a_single_vlan_is_one() {
        let sent = |vlans: &PortVlans| -> Vec<(u16, u16)> {
            let info = |entry| match entry {
                AfSpecBridge::VlanInfo(info) => (info.flags.bits(), info.vid),
                other => panic!("{other:?}"),
            };
            encode(vlans).map(info).collect()
        };
        assert_eq!(sent(&PortVlans::native(10)), [(1 << 1 | 1 << 2, 10)]);
        assert_eq!(sent(&PortVlans::tagged(7, 7)), [(0, 7)]);
        assert_eq!(sent(&PortVlans::tagged(20, 30)), [(1 << 3, 20), (1 << 4, 30)]);
    }
}
