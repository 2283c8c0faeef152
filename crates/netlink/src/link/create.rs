use netlink_packet_route::link::{InfoData, InfoVeth, LinkAttribute, LinkMessage, Prop};
use nix::libc;
use rtnetlink::{LinkMessageBuilder, LinkUnspec, LinkVeth};

use crate::error::{Error, Request, Result};
use crate::link::{
    BridgePort, Link, LinkChange, LinkKind, NewLink, RTM_NEWLINK, RTM_NEWLINKPROP, check_alias, check_name,
    push_change, read,
};
use crate::link_ref::LinkRef;
use crate::mac::Mac;
use crate::netns::Netns;
use crate::outgoing::{NLM_F_APPEND, NLM_F_CREATE, NLM_F_ECHO, NLM_F_EXCL, Outgoing};
use crate::socket::Socket;

/// A bridge to be created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bridge<'a> {
    /// Its name, at most 15 bytes.
    pub name: &'a str,
    /// Its Ethernet address. An address set here stays; without one the bridge takes the lowest of its
    /// ports' addresses, and changes it whenever that port goes, under the feet of all who know it.
    pub mac: Option<Mac>,
    /// MTU in bytes; `None` for the smallest of its ports'. For the kernel 1500, the initial value of every
    /// bridge, is no change: such a bridge follows its ports nevertheless.
    pub mtu: Option<u32>,
    /// Whether it is set up when it is created.
    pub up: bool,
    /// Keeps VLANs apart: each port gets only what it was let into, see [`PortVlans`](crate::PortVlans).
    pub vlan_filtering: bool,
}

/// A pair of links to be created: what enters one leaves the other.
#[derive(Debug, Clone, Copy)]
pub struct Veth<'a> {
    /// Name of the end that stays here.
    pub name: &'a str,
    /// Its Ethernet address; random without.
    pub mac: Option<Mac>,
    /// Its largest packet in bytes.
    pub mtu: Option<u32>,
    /// Index of the bridge it becomes a port of.
    pub master: Option<u32>,
    /// Its options as a port; they need `master` and hold before the first packet passes.
    pub bridge_port: BridgePort,
    /// Whose it is: our label.
    pub alias: Option<&'a str>,
    /// A second name, by which it is found as well.
    pub alternative_name: Option<&'a str>,
    /// Whether this end is set up when the pair is created.
    pub up: bool,
    /// Whether this end gets an IPv6 link-local address, which a port of a bridge has no use for.
    pub ipv6_link_local: bool,
    /// The other end.
    pub peer: Peer<'a>,
}

/// The end of a veth pair that goes elsewhere. It is created down: it cannot go up before both ends exist.
#[derive(Debug, Clone, Copy)]
pub struct Peer<'a> {
    /// Its name in the namespace that it is created in.
    pub name: &'a str,
    /// Its Ethernet address; random without.
    pub mac: Option<Mac>,
    /// Its largest packet in bytes.
    pub mtu: Option<u32>,
    /// The namespace it is created in; this one without.
    pub netns: Option<&'a Netns>,
}

impl<'a> Veth<'a> {
    /// A pair whose end here is up and otherwise as the kernel makes it.
    #[must_use]
    pub fn new(name: &'a str, peer: Peer<'a>) -> Self {
        Veth {
            name,
            mac: None,
            mtu: None,
            master: None,
            bridge_port: BridgePort::default(),
            alias: None,
            alternative_name: None,
            up: true,
            ipv6_link_local: true,
            peer,
        }
    }
}

/// What the kernel chose for a new pair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreatedVeth {
    /// Index of the end that stays here.
    pub index: u32,
    /// Its Ethernet address.
    pub mac: Mac,
    /// Its largest packet in bytes.
    pub mtu: u32,
    /// Index of the other end in its namespace.
    pub peer_index: u32,
    /// The bridge that it is a port of, as it is with this port: one whose address and MTU are not fixed takes its ports'.
    pub master: Option<Link>,
}

impl Socket {
    /// Creates a bridge and describes it.
    ///
    /// # Errors
    /// [`Error::LinkExists`] if the name is taken, or the kernel's refusal: `EOPNOTSUPP` where it cannot filter VLANs.
    pub fn create_bridge(&mut self, bridge: &Bridge<'_>) -> Result<Link> {
        let kind = LinkKind::Bridge { vlan_filtering: bridge.vlan_filtering, default_vlan: None };
        // An MTU given at creation is not kept: the bridge would follow its ports' (`br_mtu_auto_adjust`,
        // net/bridge/br_if.c). One that is set on the bridge later is.
        let up = bridge.up && bridge.mtu.is_none();
        let mut link = self.create_link(&NewLink { mac: bridge.mac, up, ..NewLink::new(bridge.name, kind) })?;
        let Some(mtu) = bridge.mtu else { return Ok(link) };
        let change = LinkChange { mtu: Some(mtu), up: bridge.up.then_some(true), ..LinkChange::default() };
        if let Err(error) = self.change_link(link.index, &change) {
            // By index, so it can only be the link of a moment ago.
            let _ = self.delete_link(link.index);
            return Err(error);
        }
        link.mtu = mtu;
        link.up = bridge.up;
        Ok(link)
    }

    /// Creates a veth pair, its other end already in its namespace, and sets what can only be set on an
    /// existing link. Either all of it is done, or nothing is left.
    ///
    /// # Errors
    /// [`Error::LinkExists`] names the end whose name is taken; else the kernel's refusal.
    pub fn create_veth(&mut self, veth: &Veth<'_>) -> Result<CreatedVeth> {
        check_name(veth.name)?;
        check_name(veth.peer.name)?;
        veth.alias.map_or(Ok(()), |alias| check_alias(&LinkRef::from(veth.name), alias))?;
        let link = self
            .create_and_describe(veth.name, &veth_message(veth))
            .map_err(|error| self.name_taken_end(error, veth))?;
        let finished = self.finish_veth(link.index, veth);
        match (finished, link.mac, link.peer_index) {
            (Ok(master), Some(mac), Some(peer_index)) => {
                Ok(CreatedVeth { index: link.index, mac, mtu: link.mtu, peer_index, master })
            }
            (finished, ..) => {
                // By index, so it can only be the link of a moment ago.
                let _ = self.delete_link(link.index);
                Err(finished.err().unwrap_or(Error::Malformed { what: "a new veth" }))
            }
        }
    }

    /// Creates a link and learns what became of it from the kernel's echo. Kernels before 6.2 do not echo
    /// links, so there it is read.
    pub(super) fn create_and_describe(&mut self, name: &str, message: &LinkMessage) -> Result<Link> {
        let mut outgoing = Outgoing::default();
        let flags = NLM_F_CREATE | NLM_F_EXCL | NLM_F_ECHO;
        outgoing.push(Request::CreateLink(name.to_owned()), RTM_NEWLINK, flags, message);
        let mut created = None;
        self.transact(&mut outgoing, &mut |echo| {
            created = Some(read(echo)?);
            Ok(())
        })?;
        created.map_or_else(|| self.link(name), Ok)
    }

    /// Creates a link of which no echo can come: one in another namespace.
    pub(super) fn create_silently(&mut self, name: &str, message: &LinkMessage) -> Result<()> {
        let mut outgoing = Outgoing::default();
        outgoing.push(Request::CreateLink(name.to_owned()), RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, message);
        self.transact(&mut outgoing, &mut |_echo| Ok(()))
    }

    /// Options and alias are not taken at creation, and the port's options must hold before the link is up. Reads the
    /// master as it is with its new port.
    fn finish_veth(&mut self, index: u32, veth: &Veth<'_>) -> Result<Option<Link>> {
        match self.send_finish(index, veth, !veth.ipv6_link_local) {
            // A host without IPv6, or a link whose MTU is too small for it, has nothing to forgo.
            Err(error) if error.errno() == Some(libc::EAFNOSUPPORT) => self.send_finish(index, veth, false),
            outcome => outcome,
        }
    }

    fn send_finish(&mut self, index: u32, veth: &Veth<'_>, forgo_link_local: bool) -> Result<Option<Link>> {
        let no_link_local = LinkChange { ipv6_link_local: Some(false), ..LinkChange::default() };
        let option = |value: bool| value.then_some(true);
        let rest = LinkChange {
            alias: veth.alias,
            hairpin: option(veth.bridge_port.hairpin),
            isolated: option(veth.bridge_port.isolated),
            up: option(veth.up),
            ..LinkChange::default()
        };
        let changes = [forgo_link_local.then_some(no_link_local), (rest != LinkChange::default()).then_some(rest)];
        let mut outgoing = Outgoing::default();
        if let Some(name) = veth.alternative_name {
            push_alternative_name(&mut outgoing, index, name)?;
        }
        for change in changes.into_iter().flatten() {
            push_change(&mut outgoing, &index.into(), &change)?;
        }
        match veth.master {
            Some(master) => self.link_after(outgoing, &master.into()).map(Some),
            None if outgoing.is_empty() => Ok(None),
            None => self.transact(&mut outgoing, &mut |_echo| Ok(())).map(|()| None),
        }
    }

    /// The kernel does not say which of the two names is taken.
    fn name_taken_end(&mut self, error: Error, veth: &Veth<'_>) -> Error {
        match error {
            Error::LinkExists { .. } => match self.link(veth.name) {
                Ok(_) => error,
                Err(missing) if missing.is_not_found() => Error::LinkExists { name: veth.peer.name.to_owned() },
                Err(failure) => failure,
            },
            error => error,
        }
    }
}

fn push_alternative_name(outgoing: &mut Outgoing, index: u32, name: &str) -> Result<()> {
    check_name(name)?;
    let mut message = LinkMessage::default();
    message.header.index = index;
    message.attributes.push(LinkAttribute::PropList(vec![Prop::AltIfName(name.to_owned())]));
    let flags = NLM_F_CREATE | NLM_F_EXCL | NLM_F_APPEND;
    outgoing.push(Request::ChangeLink(index.into()), RTM_NEWLINKPROP, flags, &message);
    Ok(())
}

fn veth_message(veth: &Veth<'_>) -> LinkMessage {
    let peer = InfoData::Veth(InfoVeth::Peer(peer_message(&veth.peer)));
    let mut message =
        with_one_queue(LinkMessageBuilder::<LinkVeth>::new(veth.name, veth.peer.name).set_info_data(peer));
    if let Some(mac) = veth.mac {
        message = message.address(mac.0.to_vec());
    }
    if let Some(mtu) = veth.mtu {
        message = message.mtu(mtu);
    }
    if let Some(master) = veth.master {
        message = message.controller(master);
    }
    message.build()
}

fn peer_message(peer: &Peer<'_>) -> LinkMessage {
    let mut message = with_one_queue(LinkMessageBuilder::<LinkUnspec>::new().name(peer.name));
    if let Some(mac) = peer.mac {
        message = message.address(mac.0.to_vec());
    }
    if let Some(mtu) = peer.mtu {
        message = message.mtu(mtu);
    }
    if let Some(netns) = peer.netns {
        message = message.setns_by_fd(netns.raw_fd());
    }
    message.build()
}

/// One queue each way is what a veth uses anyhow: asked for nothing, the kernel registers a queue for every
/// CPU and then takes all but one away again (`veth_init_queues`, drivers/net/veth.c), waiting for RCU.
fn with_one_queue<T>(message: LinkMessageBuilder<T>) -> LinkMessageBuilder<T> {
    message.append_extra_attribute(LinkAttribute::NumTxQueues(1)).append_extra_attribute(LinkAttribute::NumRxQueues(1))
}
