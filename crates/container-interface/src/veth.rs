//! veth pairs, with one end on the host and the other in the container.

use cni_plugin::{Add, Attachment, Del, Difference, Failures, Gc, Interface, Undo};
use netlink::{BridgePort, Link, Mac, Netns, Peer, Socket, Veth, if_found};
use suite::Labelled as _;

use crate::{Error, link};

/// Prefix of the names of the host's ends; a hash of the attachment's label follows.
const PREFIX: &str = "veth";

/// The properties of a pair that the plugin decides. Hardware addresses are always set, because udev replaces those that
/// the kernel chose.
#[derive(Debug, Clone, Copy)]
pub struct Options<'a> {
    /// What the host's end is called; [`host_name`] without, which then is its second name.
    pub host_name: Option<&'a str>,
    /// The hardware address of the host's end, set when the pair is created.
    pub host_mac: Mac,
    /// The hardware address of the container's end, set when the pair is created.
    pub container_mac: Mac,
    /// MTU of both ends in bytes; `None` for the kernel's default.
    pub mtu: Option<u32>,
    /// Index of the bridge that the host's end is a port of.
    pub master: Option<u32>,
    /// The bridge port's settings (`IFLA_BRPORT_*`); unused without `master`.
    pub bridge_port: BridgePort,
    /// Whether the host's end gets an IPv6 link-local address. A bridge port does not need one.
    pub ipv6_link_local: bool,
}

impl Options<'_> {
    /// A pair that is attached to no bridge, with random hardware addresses.
    ///
    /// # Errors
    /// When the kernel has no random numbers to give.
    pub fn new(mtu: Option<u32>) -> Result<Self, Error> {
        Ok(Options {
            host_name: None,
            host_mac: Mac::random()?,
            container_mac: Mac::random()?,
            mtu,
            master: None,
            bridge_port: BridgePort::default(),
            ipv6_link_local: true,
        })
    }
}

/// A pair as the kernel has created it.
#[derive(Debug)]
pub struct Pair {
    /// The name of the host's end.
    pub host_name: String,
    /// The index of the host's end, in the host's namespace.
    pub host_index: u32,
    /// The hardware address of the host's end.
    pub host_mac: Mac,
    /// The index of the container's end, in the container's namespace.
    pub container_index: u32,
    /// The hardware address of the container's end, as it stands in the result.
    pub container_mac: Mac,
    /// The bridge, read after the port was added: unless they were set, its hardware address and MTU follow its ports'.
    pub master: Option<Link>,
    mtu: u32,
}

/// The name of the host's end. It is derived from the attachment, so the link is found even if it was never labelled.
#[must_use]
pub fn host_name(attachment: &Attachment) -> String {
    attachment.host_interface(PREFIX)
}

/// The name of the host's end if a result lists it, which means that the attachment is connected by a pair.
#[must_use]
pub fn listed_host_end(attachment: &Attachment, interfaces: &[Interface]) -> Option<String> {
    let name = host_name(attachment);
    interfaces.iter().any(|interface| interface.sandbox.is_empty() && interface.name == name).then_some(name)
}

/// Makes the attachment's pair: the host's end up and labelled, the container's end in its namespace and down.
///
/// # Errors
/// [`Error::AttachedAlready`] and [`Error::NameTaken`] if there is a link of either end's name, else the kernel's refusal.
pub fn create<C>(
    host: &mut Socket,
    netns: &Netns,
    request: &Add<C>,
    options: &Options<'_>,
    undo: &mut Undo,
) -> Result<Pair, Error> {
    let attachment = &request.attachment;
    let (derived, label) = (host_name(attachment), attachment.label());
    let name = options.host_name.map_or_else(|| derived.clone(), str::to_owned);
    let peer = Peer {
        name: attachment.ifname.as_str(),
        mac: Some(options.container_mac),
        mtu: options.mtu,
        netns: Some(netns),
    };
    // Before the change: the kernel may carry it out, and its answer may still be lost.
    link::undo_creation_on_host(&name, options.host_mac, undo);
    let created = host.create_veth(&Veth {
        mac: Some(options.host_mac),
        mtu: options.mtu,
        master: options.master,
        bridge_port: options.bridge_port,
        alias: Some(&label),
        alternative_name: options.host_name.map(|_| &*derived),
        ipv6_link_local: options.ipv6_link_local,
        ..Veth::new(&name, peer)
    });
    let created = created.map_err(|error| name_what_is_taken(error, &name, attachment))?;
    let pair = Pair {
        host_name: name,
        host_index: created.index,
        host_mac: options.host_mac,
        container_index: created.peer_index,
        container_mac: options.container_mac,
        master: created.master,
        mtu: created.mtu,
    };
    sysctl::refuse_router_advertisements(&pair.host_name)?;
    Ok(pair)
}

fn name_what_is_taken(error: netlink::Error, host_name: &str, attachment: &Attachment) -> Error {
    match error {
        netlink::Error::LinkExists { name } if name == host_name && name != self::host_name(attachment) => {
            Error::HostNameTaken { name }
        }
        netlink::Error::LinkExists { name } if name == host_name => {
            Error::AttachedAlready { attachment: attachment.clone() }
        }
        netlink::Error::LinkExists { .. } => Error::NameTaken { ifname: attachment.ifname.clone() },
        error => error.into(),
    }
}

impl Pair {
    /// The result's entry for the host's end, without a sandbox.
    #[must_use]
    pub fn describe_host_end(&self) -> Interface {
        Interface::new(&self.host_name).with_mac(self.host_mac).with_mtu(self.mtu)
    }

    /// The result's entry for the container's end; its sandbox is the request's namespace.
    #[must_use]
    pub fn describe_container_end<C>(&self, request: &Add<C>) -> Interface {
        let name = request.attachment.ifname.as_str();
        Interface::new(name).with_mac(self.container_mac).with_mtu(self.mtu).inside(&request.netns)
    }
}

/// Deletes a pair of the attachment that does not lead into this namespace: the container it led to is gone, and the kernel may not have
/// got round to it. False if the pair leads there.
///
/// # Errors
/// The kernel's refusal.
pub fn delete_stale(attachment: &Attachment, netns: &Netns) -> Result<bool, Error> {
    let mut host = Socket::open()?;
    let Some(end) = if_found(host.link(host_name(attachment).as_str()))? else { return Ok(true) };
    if leads_into(&mut host, &end, netns)? {
        return Ok(false);
    }
    if_found(host.delete_link(end.index))?;
    Ok(true)
}

/// Deletes the attachment's pair by whichever end can be found: the host's end by the name derived from the attachment, else
/// the container's end by its interface name, which also finds a pair that another suite made.
///
/// # Errors
/// When the namespace cannot be entered although it is there, or the kernel refuses.
pub fn delete<C>(request: &Del<C>) -> Result<(), Error> {
    let name = host_name(&request.attachment);
    match if_found(Socket::open()?.delete_link(name.as_str()))? {
        Some(()) => Ok(()),
        None => delete_in_container(request),
    }
}

fn delete_in_container<C>(request: &Del<C>) -> Result<(), Error> {
    // If the namespace is gone, the kernel has deleted its end of the pair, and with it the other end.
    let Some(netns) = link::open_netns(request.netns.as_deref())? else { return Ok(()) };
    let mut container = Socket::open_in(&netns)?;
    let Some(inside) = if_found(container.link(request.attachment.ifname.as_str()))? else { return Ok(()) };
    if is_of_another(&inside, &netns, &request.attachment)? {
        return Ok(());
    }
    if_found(container.delete_link(inside.index))?;
    Ok(())
}

/// An ADD that failed because the interface's name was taken is followed by a DEL, which must not delete the interface of
/// the attachment that has the name. A veth has its label on the host's end.
pub(crate) fn is_of_another(inside: &Link, netns: &Netns, attachment: &Attachment) -> Result<bool, Error> {
    if !link::may_be_of(inside, attachment) {
        return Ok(true);
    }
    let end = other_end(&mut Socket::open()?, inside, netns)?;
    Ok(end.is_some_and(|end| !link::may_be_of(&end, attachment)))
}

/// The other end of a veth in the container at `netns`, if it is in the calling thread's namespace, which is `host`'s.
///
/// The peer's index alone is not enough: each namespace numbers its own links, and a container can choose its links' indices.
/// So the host's end has to point back to this link, and into this container.
///
/// # Errors
/// The kernel's refusal.
pub fn other_end(host: &mut Socket, inside: &Link, netns: &Netns) -> Result<Option<Link>, Error> {
    let Some(index) = inside.peer_index else { return Ok(None) };
    let Some(end) = if_found(host.link(index))? else { return Ok(None) };
    let leads_back = end.kind == inside.kind && end.peer_index == Some(inside.index);
    Ok(if leads_back && leads_into(host, &end, netns)? { Some(end) } else { None })
}

fn leads_into(host: &mut Socket, end: &Link, netns: &Netns) -> Result<bool, Error> {
    Ok(match end.peer_netns_id {
        Some(number) => host.netns_number(netns)? == Some(number),
        None => *netns == Netns::current()?,
    })
}

/// Deletes the pairs of attachments that are no longer valid.
///
/// # Errors
/// Those of the kernel, after all have been tried.
pub fn collect<C>(request: &Gc<C>) -> Result<(), cni_plugin::Error> {
    let mut host = Socket::open().map_err(Error::from)?;
    let mut failures = Failures::new();
    for (_, stale) in link::find_stale(&mut host, request, "veth")? {
        failures.note(if_found(host.delete_link(stale.index)).map_err(Error::from));
    }
    failures.into_result()
}

/// For CHECK: the host's end exists and is up. It is found through the container's end, so its name does not matter.
///
/// # Errors
/// [`Error::Differs`].
pub fn check_host_end(host: &mut Socket, inside: &Link, netns: &Netns, attachment: &Attachment) -> Result<Link, Error> {
    match other_end(host, inside, netns)? {
        Some(end) if end.up => Ok(end),
        Some(end) => Err(host_end_differs(attachment, &end.name, "up", "down")),
        None => Err(host_end_differs(attachment, &host_name(attachment), "a link that leads to the container", "none")),
    }
}

/// For CHECK: the host's end, called `link`, is not as ADD left it.
#[must_use]
pub fn host_end_differs(attachment: &Attachment, link: &str, expected: &str, found: &str) -> Error {
    Difference::new(format!("host's end of interface {} ({link})", attachment.ifname), expected, found).into()
}
