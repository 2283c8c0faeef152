//! The kinds of links that sit on another link or on nothing, and that can be made inside another namespace.

use std::net::IpAddr;

use netlink_packet_route::link::{
    InfoBridge, InfoData, InfoIpVlan, InfoKind, InfoMacVlan, InfoVlan, InfoVrf, InfoVxlan, IpVlanFlags, IpVlanMode,
    LinkAttribute, LinkFlags, LinkInfo, LinkMessage, MacVlanMode,
};
use nix::libc;

use crate::error::{Error, Result};
use crate::link::{Link, LinkChange, check_name, push_change};
use crate::link_ref::LinkRef;
use crate::mac::Mac;
use crate::message::{Attribute, read_u16};
use crate::netns::Netns;
use crate::outgoing::Outgoing;
use crate::socket::Socket;

const IFLA_MACVLAN_MODE: u16 = 1;
const IFLA_MACVLAN_BC_QUEUE_LEN: u16 = 7;
const IFLA_MACVLAN_BC_CUTOFF: u16 = 9;
const IFLA_IPVLAN_MODE: u16 = 1;
const IFLA_IPVLAN_FLAGS: u16 = 2;
const IFLA_VLAN_ID: u16 = 1;
const IFLA_VXLAN_ID: u16 = 1;
const IFLA_VXLAN_LOCAL: u16 = 4;
const IFLA_VXLAN_LEARNING: u16 = 7;
const IFLA_VXLAN_PORT: u16 = 15;
const IFLA_VXLAN_LOCAL6: u16 = 17;
const IFLA_VRF_TABLE: u16 = 1;
const IFLA_BR_VLAN_FILTERING: u16 = 7;
const IFLA_BR_VLAN_DEFAULT_PVID: u16 = 39;

/// A link to be created; see [`Veth`](crate::Veth) for a pair, and [`Bridge`](crate::Bridge) for one whose MTU has to stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewLink<'a> {
    /// Its name in the namespace that it is created in.
    pub name: &'a str,
    /// Its type, with the options of that type.
    pub kind: LinkKind,
    /// Index of the link it sits on, in the namespace of the socket that creates it.
    pub parent: Option<u32>,
    /// Its Ethernet address; chosen by the kernel without.
    pub mac: Option<Mac>,
    /// Largest packet in bytes; the parent's, or the kind's own, without.
    pub mtu: Option<u32>,
    /// Whether it is set up when it is created.
    pub up: bool,
}

impl<'a> NewLink<'a> {
    /// A link that is down and otherwise as the kernel makes it.
    #[must_use]
    pub fn new(name: &'a str, kind: LinkKind) -> Self {
        NewLink { name, kind, parent: None, mac: None, mtu: None, up: false }
    }
}

/// What a link is, with the options that only its kind has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkKind {
    /// An Ethernet address of its own on its parent (drivers/net/macvlan.c).
    Macvlan {
        /// Who talks to whom.
        mode: MacvlanMode,
        /// How many broadcasts may wait for delivery; the kernel's default without. All links of a parent share the largest.
        broadcast_queue: Option<u32>,
        /// Broadcasts for more links than this wait in the queue, others are delivered at once; with -1 all are. The kernel's
        /// default without, as far as it knows the option (6.4).
        broadcast_cutoff: Option<i32>,
    },
    /// IP addresses of its own behind its parent's Ethernet address (drivers/net/ipvlan).
    Ipvlan {
        /// At which layer packets are handed over.
        mode: IpvlanMode,
        /// Who talks to whom.
        isolation: IpvlanIsolation,
    },
    /// What its parent carries with this IEEE 802.1Q tag (net/8021q).
    Vlan {
        /// The tag, 0 to 4094.
        id: u16,
    },
    /// A switch for its ports (net/bridge).
    Bridge {
        /// Keeps VLANs apart: each port gets only what it was let into, see [`PortVlans`](crate::PortVlans).
        vlan_filtering: bool,
        /// The VLAN that a new port is in, untagged; 0 for none. At creation `None` is the kernel's default, 1. A link that
        /// was read has none if the kernel cannot filter VLANs (CONFIG_BRIDGE_VLAN_FILTERING).
        default_vlan: Option<u16>,
    },
    /// A dummy interface: it drops whatever is sent out of it (drivers/net/dummy.c).
    Dummy,
    /// Where incoming packets can be made to queue as outgoing ones do (drivers/net/ifb.c).
    Ifb,
    /// A routing table of its own for the links that have it as their master (drivers/net/vrf.c).
    Vrf {
        /// Number of the routing table.
        table: u32,
    },
    /// Ethernet frames in UDP (drivers/net/vxlan, RFC 7348), which it sends where its forwarding entries say and nowhere else:
    /// it learns nothing from what it receives, and has no entry for unknown addresses.
    Vxlan {
        /// The VXLAN network identifier, 24 bits.
        vni: u32,
        /// The UDP port that it receives on and sends to.
        port: u16,
        /// This host's address in the network underneath, which is also the source of what it sends.
        local: IpAddr,
    },
    /// Encrypted packets in UDP (drivers/net/wireguard), whose peers generic netlink tells it.
    WireGuard,
}

/// Who talks to whom among the macvlan links of one parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MacvlanMode {
    /// None of them with another, not even by way of the switch outside.
    Private,
    /// All by way of the switch outside, which has to send frames back (IEEE 802.1Qbg).
    Vepa,
    /// All with each other, directly.
    #[default]
    Bridge,
    /// There is but one link, and it takes the parent over.
    Passthru,
}

/// At which layer an ipvlan link hands packets to its parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IpvlanMode {
    /// As frames: ARP and broadcasts work.
    #[default]
    L2,
    /// As packets, routed by the parent's namespace: neither ARP nor broadcasts.
    L3,
    /// The same, passing the netfilter hooks and connection tracking of the parent's namespace.
    L3s,
}

/// Who talks to whom among the ipvlan links of one parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IpvlanIsolation {
    /// All with each other, directly.
    #[default]
    Bridge,
    /// None of them with another.
    Private,
    /// All by way of the switch outside, which has to send frames back.
    Vepa,
}

impl Socket {
    /// Creates a link in this socket's namespace and describes it.
    ///
    /// # Errors
    /// [`Error::LinkExists`] if the name is taken, or the kernel's refusal: `EBUSY` where the parent has links of a kind
    /// that excludes this one, `EOPNOTSUPP` where the kernel does not know the kind.
    pub fn create_link(&mut self, link: &NewLink<'_>) -> Result<Link> {
        check_name(link.name)?;
        self.create_and_describe(link.name, &message(link))
    }

    /// Creates a link in another namespace, under its final name, on a parent in this one: it is never seen here.
    ///
    /// The kernel does not describe it: see [`Socket::change_and_read`] of the other namespace's socket.
    ///
    /// # Errors
    /// As [`Socket::create_link`].
    pub fn create_link_in(&mut self, netns: &Netns, link: &NewLink<'_>) -> Result<()> {
        check_name(link.name)?;
        let mut message = message(link);
        message.attributes.push(LinkAttribute::NetNsFd(netns.raw_fd()));
        match self.create_silently(link.name, &message) {
            // Older kernels (Linux 6.1) take a link of the same name in this namespace for the one to be made, but do not look
            // for the name if they are given an index (`__rtnl_newlink`, net/core/rtnetlink.c).
            // Where that cannot be seen, the refusal stands, which says that nothing was made.
            Err(error) if error.is_exists() && self.link(link.name).is_ok() => {
                message.header.index = unused_index()?;
                self.create_silently(link.name, &message)
            }
            outcome => outcome,
        }
    }

    /// Whether this kernel knows a kind of links; it loads the module, if there is one.
    ///
    /// It is asked for a link that there can be none of: one on no parent, with the address of a group. A kernel that knows
    /// the kind says what is wrong (`EINVAL`, `EADDRNOTAVAIL`), any other that it does not know it (`EOPNOTSUPP`). This is not for
    /// a kind without Ethernet addresses, WireGuard, of which such a link would be made.
    ///
    /// # Errors
    /// Any other refusal.
    pub fn knows(&mut self, kind: LinkKind) -> Result<bool> {
        const GROUP: Mac = Mac([1, 0, 0, 0, 0, 0]);
        let impossible = NewLink { mac: Some(GROUP), ..NewLink::new(kind.name(), kind) };
        match self.create_silently(kind.name(), &message(&impossible)) {
            Err(error) if matches!(error.errno(), Some(libc::EINVAL | libc::EADDRNOTAVAIL)) => Ok(true),
            Err(error) if error.is_unsupported() => Ok(false),
            outcome => outcome.map(|()| true),
        }
    }

    /// Changes a link, and reads what it is then, as one exchange.
    ///
    /// # Errors
    /// [`Error::LinkNotFound`], or the kernel's refusal.
    pub fn change_and_read(&mut self, link: impl Into<LinkRef>, change: &LinkChange<'_>) -> Result<Link> {
        let link = link.into();
        let mut outgoing = Outgoing::default();
        push_change(&mut outgoing, &link, change)?;
        self.link_after(outgoing, &link)
    }
}

/// A number that no link has: the kernel counts up from 1, and this is one of the upper half of them all.
fn unused_index() -> Result<u32> {
    let mut bytes = [0; 4];
    getrandom::fill(&mut bytes).map_err(Error::Random)?;
    Ok(u32::from_ne_bytes(bytes) >> 2 | 1 << 30)
}

fn message(link: &NewLink<'_>) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.attributes.push(LinkAttribute::IfName(link.name.to_owned()));
    message.attributes.extend(link.parent.map(LinkAttribute::Link));
    message.attributes.extend(link.mac.map(|mac| LinkAttribute::Address(mac.0.to_vec())));
    message.attributes.extend(link.mtu.map(LinkAttribute::Mtu));
    message.attributes.push(link.kind.attribute());
    super::change::set_flag(&mut message, LinkFlags::Up, link.up.then_some(true));
    message
}

impl LinkKind {
    /// What the kernel calls it: "macvlan", "bridge", ...
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            LinkKind::Macvlan { .. } => "macvlan",
            LinkKind::Ipvlan { .. } => "ipvlan",
            LinkKind::Vlan { .. } => "vlan",
            LinkKind::Bridge { .. } => "bridge",
            LinkKind::Dummy => "dummy",
            LinkKind::Ifb => "ifb",
            LinkKind::Vrf { .. } => "vrf",
            LinkKind::Vxlan { .. } => "vxlan",
            LinkKind::WireGuard => "wireguard",
        }
    }

    /// Names the kind only, for a list of such links.
    pub(super) fn filter(self) -> LinkAttribute {
        LinkAttribute::LinkInfo(vec![LinkInfo::Kind(self.info().0)])
    }

    fn attribute(self) -> LinkAttribute {
        let (kind, data) = self.info();
        LinkAttribute::LinkInfo(std::iter::once(LinkInfo::Kind(kind)).chain(data.map(LinkInfo::Data)).collect())
    }

    fn info(self) -> (InfoKind, Option<InfoData>) {
        match self {
            LinkKind::Macvlan { mode, broadcast_queue, broadcast_cutoff } => {
                let queue = broadcast_queue.map(InfoMacVlan::BcQueueLen);
                let cutoff = broadcast_cutoff.map(InfoMacVlan::BcCutoff);
                let options = std::iter::once(InfoMacVlan::Mode(mode.into())).chain(queue).chain(cutoff).collect();
                (InfoKind::MacVlan, Some(InfoData::MacVlan(options)))
            }
            LinkKind::Ipvlan { mode, isolation } => {
                let mut options = vec![InfoIpVlan::Mode(mode.into())];
                // A kernel before 4.15 knows no flags, so it is not bothered with a bridge's.
                options.extend(isolation.flags().map(InfoIpVlan::Flags));
                (InfoKind::IpVlan, Some(InfoData::IpVlan(options)))
            }
            LinkKind::Vlan { id } => (InfoKind::Vlan, Some(InfoData::Vlan(vec![InfoVlan::Id(id)]))),
            LinkKind::Vrf { table } => (InfoKind::Vrf, Some(InfoData::Vrf(vec![InfoVrf::TableId(table)]))),
            LinkKind::Bridge { vlan_filtering, default_vlan } => {
                // A kernel that cannot filter would refuse to be told not to.
                let filtering = vlan_filtering.then_some(InfoBridge::VlanFiltering(true));
                let default_vlan = default_vlan.map(InfoBridge::VlanDefaultPvid);
                (InfoKind::Bridge, Some(InfoData::Bridge(filtering.into_iter().chain(default_vlan).collect())))
            }
            LinkKind::Vxlan { vni, port, local } => {
                let local = match local {
                    IpAddr::V4(local) => InfoVxlan::Local(local),
                    IpAddr::V6(local) => InfoVxlan::Local6(local),
                };
                let options = vec![InfoVxlan::Id(vni), InfoVxlan::Port(port), local, InfoVxlan::Learning(false)];
                (InfoKind::Vxlan, Some(InfoData::Vxlan(options)))
            }
            LinkKind::Dummy => (InfoKind::Dummy, None),
            LinkKind::Ifb => (InfoKind::Ifb, None),
            LinkKind::WireGuard => (InfoKind::Wireguard, None),
        }
    }

    /// Reads `IFLA_INFO_DATA`; `None` for a kind, or a mode of it, that is not known here.
    pub(super) fn read(kind: &str, data: Option<&Attribute<'_>>) -> Result<Option<Self>> {
        let options = Options(data);
        Ok(match kind {
            "macvlan" => options
                .u32(IFLA_MACVLAN_MODE)?
                .and_then(MacvlanMode::from_number)
                .map(|mode| options.macvlan(mode))
                .transpose()?,
            "ipvlan" => options
                .u16(IFLA_IPVLAN_MODE)?
                .and_then(IpvlanMode::from_number)
                .map(|mode| options.ipvlan(mode))
                .transpose()?,
            "vlan" => options.u16(IFLA_VLAN_ID)?.map(|id| LinkKind::Vlan { id }),
            "vrf" => options.u32(IFLA_VRF_TABLE)?.map(|table| LinkKind::Vrf { table }),
            "bridge" => Some(LinkKind::Bridge {
                vlan_filtering: options.u8(IFLA_BR_VLAN_FILTERING)?.is_some_and(|value| value != 0),
                default_vlan: options.u16(IFLA_BR_VLAN_DEFAULT_PVID)?,
            }),
            "vxlan" => options.vxlan()?,
            "dummy" => Some(LinkKind::Dummy),
            "ifb" => Some(LinkKind::Ifb),
            "wireguard" => Some(LinkKind::WireGuard),
            _ => None,
        })
    }
}

/// The options of a link's kind, as the kernel lists them.
struct Options<'a, 'b>(Option<&'b Attribute<'a>>);

impl Options<'_, '_> {
    fn find(&self, kind: u16) -> Result<Option<Attribute<'_>>> {
        self.0.map_or(Ok(None), |data| data.nested_of(kind))
    }

    fn u32(&self, kind: u16) -> Result<Option<u32>> {
        self.find(kind)?.map(|attribute| attribute.u32()).transpose()
    }

    fn u8(&self, kind: u16) -> Result<Option<u8>> {
        self.find(kind)?.map(|attribute| attribute.u8()).transpose()
    }

    fn u16(&self, kind: u16) -> Result<Option<u16>> {
        let read = |attribute: Attribute<'_>| read_u16(attribute.value, 0).ok_or(Error::Malformed { what: "a link" });
        self.find(kind)?.map(read).transpose()
    }

    /// `None` for one that learns, that has no address of its own, or that serves all identifiers (`external`).
    fn vxlan(&self) -> Result<Option<LinkKind>> {
        let local = match self.find(IFLA_VXLAN_LOCAL)? {
            None => self.find(IFLA_VXLAN_LOCAL6)?,
            found => found,
        };
        let learns = self.u8(IFLA_VXLAN_LEARNING)? != Some(0);
        let (Some(local), Some(vni), Some(port)) = (local, self.u32(IFLA_VXLAN_ID)?, self.u16(IFLA_VXLAN_PORT)?) else {
            return Ok(None);
        };
        // The only number here that is in network byte order.
        let kind = LinkKind::Vxlan { vni, port: u16::from_be(port), local: local.ip()? };
        Ok(Some(kind).filter(|_| !learns))
    }

    fn macvlan(&self, mode: MacvlanMode) -> Result<LinkKind> {
        let broadcast_cutoff = self.u32(IFLA_MACVLAN_BC_CUTOFF)?.map(u32::cast_signed);
        Ok(LinkKind::Macvlan { mode, broadcast_queue: self.u32(IFLA_MACVLAN_BC_QUEUE_LEN)?, broadcast_cutoff })
    }

    fn ipvlan(&self, mode: IpvlanMode) -> Result<LinkKind> {
        let isolation = self.u16(IFLA_IPVLAN_FLAGS)?.map_or(IpvlanIsolation::Bridge, IpvlanIsolation::from_flags);
        Ok(LinkKind::Ipvlan { mode, isolation })
    }
}

impl From<MacvlanMode> for MacVlanMode {
    fn from(mode: MacvlanMode) -> Self {
        match mode {
            MacvlanMode::Private => MacVlanMode::Private,
            MacvlanMode::Vepa => MacVlanMode::Vepa,
            MacvlanMode::Bridge => MacVlanMode::Bridge,
            MacvlanMode::Passthru => MacVlanMode::Passthrough,
        }
    }
}

impl MacvlanMode {
    /// `enum macvlan_mode`, include/uapi/linux/if_link.h.
    fn from_number(number: u32) -> Option<Self> {
        match number {
            1 => Some(MacvlanMode::Private),
            2 => Some(MacvlanMode::Vepa),
            4 => Some(MacvlanMode::Bridge),
            8 => Some(MacvlanMode::Passthru),
            _ => None,
        }
    }
}

impl From<IpvlanMode> for IpVlanMode {
    fn from(mode: IpvlanMode) -> Self {
        match mode {
            IpvlanMode::L2 => IpVlanMode::L2,
            IpvlanMode::L3 => IpVlanMode::L3,
            IpvlanMode::L3s => IpVlanMode::L3S,
        }
    }
}

impl IpvlanMode {
    /// `enum ipvlan_mode`, include/uapi/linux/if_link.h.
    fn from_number(number: u16) -> Option<Self> {
        match number {
            0 => Some(IpvlanMode::L2),
            1 => Some(IpvlanMode::L3),
            2 => Some(IpvlanMode::L3s),
            _ => None,
        }
    }
}

impl IpvlanIsolation {
    fn flags(self) -> Option<IpVlanFlags> {
        match self {
            IpvlanIsolation::Bridge => None,
            IpvlanIsolation::Private => Some(IpVlanFlags::Private),
            IpvlanIsolation::Vepa => Some(IpVlanFlags::Vepa),
        }
    }

    /// `IPVLAN_F_PRIVATE` and `IPVLAN_F_VEPA`, include/uapi/linux/if_link.h.
    fn from_flags(flags: u16) -> Self {
        match flags & 3 {
            1 => IpvlanIsolation::Private,
            2 => IpvlanIsolation::Vepa,
            _ => IpvlanIsolation::Bridge,
        }
    }
}
