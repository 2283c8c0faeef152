use crate::error::{Error, Result};
use crate::link::{BridgePort, Link, LinkKind};
use crate::link_ref::{IFINFOMSG_LEN, IFLA_IFNAME};
use crate::mac::HardwareAddress;
use crate::message::{Attribute, Message, attributes, read_i32, read_u16, read_u32};

const WHAT: &str = "a link";

const IFLA_ADDRESS: u16 = 1;
const IFLA_MTU: u16 = 4;
const IFLA_LINK: u16 = 5;
const IFLA_MASTER: u16 = 10;
const IFLA_TXQLEN: u16 = 13;
const IFLA_OPERSTATE: u16 = 16;
const IFLA_LINKINFO: u16 = 18;
const IFLA_IFALIAS: u16 = 20;
const IFLA_AF_SPEC: u16 = 26;
const IFLA_CARRIER: u16 = 33;
const IFLA_LINK_NETNSID: u16 = 37;

const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const IFLA_INFO_SLAVE_KIND: u16 = 4;
const IFLA_INFO_SLAVE_DATA: u16 = 5;
const IFLA_BRPORT_MODE: u16 = 4;
const IFLA_BRPORT_ISOLATED: u16 = 33;

const AF_INET6: u16 = 10;
const IFLA_INET6_CONF: u16 = 2;
/// Position of `DEVCONF_ACCEPT_RA` in the list of a link's IPv6 settings (include/uapi/linux/ipv6.h), in bytes.
const ACCEPT_RA: usize = 3 * 4;

/// `ARPHRD_ETHER` (include/uapi/linux/if_arp.h).
const ETHERNET: u16 = 1;
const IFF_UP: u32 = 0x1;
const IFF_RUNNING: u32 = 0x40;
const IFF_PROMISC: u32 = 0x100;
const IFF_ALLMULTI: u32 = 0x200;
/// `IF_OPER_UP` (include/uapi/linux/if.h).
const OPERATIONAL: u8 = 6;

/// Reads an `RTM_NEWLINK` or `RTM_DELLINK`.
pub(crate) fn read(message: &Message<'_>) -> Result<Link> {
    let field = |at| read_u32(message.body, at).ok_or(Error::Malformed { what: WHAT });
    let (index, flags) = (field(4)?, field(8)?);
    let mut link = Link {
        index,
        name: String::new(),
        ethernet: read_u16(message.body, 2) == Some(ETHERNET),
        mac: None,
        hardware_address: HardwareAddress::default(),
        mtu: 0,
        up: flags & IFF_UP != 0,
        running: flags & IFF_RUNNING != 0,
        carrier: false,
        operational: false,
        promiscuous: flags & IFF_PROMISC != 0,
        all_multicast: flags & IFF_ALLMULTI != 0,
        tx_queue_len: 0,
        master: None,
        kind: None,
        options: None,
        alias: None,
        peer_index: None,
        peer_netns_id: None,
        accepts_routers: None,
        bridge_port: None,
    };
    for attribute in attributes(message, IFINFOMSG_LEN, WHAT)? {
        read_attribute(&attribute?, &mut link)?;
    }
    Ok(link)
}

fn read_attribute(attribute: &Attribute<'_>, link: &mut Link) -> Result<()> {
    match attribute.kind {
        IFLA_ADDRESS => {
            link.hardware_address = HardwareAddress(attribute.value.to_vec());
            link.mac = link.hardware_address.mac();
        }
        IFLA_IFNAME => link.name = attribute.text(),
        IFLA_MTU => link.mtu = attribute.u32()?,
        // 0: the link underneath is in a namespace this one has no number for.
        IFLA_LINK => link.peer_index = Some(attribute.u32()?).filter(|&index| index != 0),
        IFLA_TXQLEN => link.tx_queue_len = attribute.u32()?,
        IFLA_OPERSTATE => link.operational = attribute.u8()? == OPERATIONAL,
        IFLA_CARRIER => link.carrier = attribute.u8()? != 0,
        IFLA_MASTER => link.master = Some(attribute.u32()?),
        IFLA_IFALIAS => link.alias = Some(attribute.text()),
        IFLA_LINK_NETNSID => link.peer_netns_id = Some(attribute.i32()?).filter(|&id| id >= 0),
        IFLA_LINKINFO => read_info(attribute, link)?,
        IFLA_AF_SPEC => link.accepts_routers = read_accepts_routers(attribute)?,
        _ => {}
    }
    Ok(())
}

/// Each family has a nested list, IPv6's settings are one array in its own.
fn read_accepts_routers(families: &Attribute<'_>) -> Result<Option<bool>> {
    let Some(inet6) = families.nested_of(AF_INET6)? else { return Ok(None) };
    let settings = inet6.nested_of(IFLA_INET6_CONF)?;
    Ok(settings.and_then(|settings| read_i32(settings.value, ACCEPT_RA)).map(|value| value != 0))
}

/// The kernel names the port's kind before it lists the port's options.
fn read_info(info: &Attribute<'_>, link: &mut Link) -> Result<()> {
    let mut is_bridge_port = false;
    let mut data = None;
    for attribute in info.nested() {
        let attribute = attribute?;
        match attribute.kind {
            IFLA_INFO_KIND => link.kind = Some(attribute.text()),
            IFLA_INFO_DATA => data = Some(attribute),
            IFLA_INFO_SLAVE_KIND => is_bridge_port = attribute.text() == "bridge",
            IFLA_INFO_SLAVE_DATA if is_bridge_port => link.bridge_port = Some(read_port(&attribute)?),
            _ => {}
        }
    }
    if let Some(kind) = &link.kind {
        link.options = LinkKind::read(kind, data.as_ref())?;
    }
    Ok(())
}

fn read_port(data: &Attribute<'_>) -> Result<BridgePort> {
    let mut port = BridgePort::default();
    for attribute in data.nested() {
        let attribute = attribute?;
        match attribute.kind {
            IFLA_BRPORT_MODE => port.hairpin = attribute.u8()? != 0,
            IFLA_BRPORT_ISOLATED => port.isolated = attribute.u8()? != 0,
            _ => {}
        }
    }
    Ok(port)
}
