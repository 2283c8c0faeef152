//! The pair of links that connects a container: one end a port of the bridge, the other in the container.

use cni_plugin::{Add, Attachment, Del, Failures, Gc, Interface, Undo};
use netlink::{BridgePort, Link, Mac, Netns, Peer, Socket};

use crate::{Config, Error};

/// What the host's ends are called: this, and a hash of whose they are.
const PREFIX: &str = "veth";

/// A pair that was made.
#[derive(Debug)]
pub(crate) struct Veth {
    pub(crate) host_name: String,
    pub(crate) host_index: u32,
    pub(crate) container_index: u32,
    pub(crate) container_mac: Mac,
    host_mac: Mac,
    mtu: u32,
}

/// The name of the host's end.
pub(crate) fn host_name(attachment: &Attachment) -> String {
    attachment.host_interface(PREFIX)
}

/// Makes the pair: the host's end a port of the bridge and up, the container's end in its namespace and down.
pub(crate) fn create(
    host: &mut Socket,
    bridge: &Link,
    netns: &Netns,
    request: &Add<Config>,
    undo: &mut Undo,
) -> Result<Veth, Error> {
    let config = &request.network.config;
    let [asked] = request.network.args.values(["MAC"])?;
    let container_mac = match config.mac(asked)? {
        Some(mac) => mac,
        None => Mac::random()?,
    };
    // Both are set, not left to the kernel: udev replaces addresses that the kernel chose.
    let host_mac = highest(Mac::random()?);
    let name = host_name(&request.attachment);
    let label = request.attachment.label();
    let peer = Peer {
        name: request.attachment.ifname.as_str(),
        mac: Some(container_mac),
        mtu: config.mtu(),
        netns: Some(netns),
    };
    let created = host.create_veth(&netlink::Veth {
        mac: Some(host_mac),
        mtu: config.mtu(),
        master: Some(bridge.index),
        bridge_port: BridgePort { hairpin: config.hairpin_mode, isolated: config.port_isolation },
        alias: Some(&label),
        ipv6_link_local: false,
        ..netlink::Veth::new(&name, peer)
    });
    let created = match created {
        Err(netlink::Error::LinkExists { name: taken }) if taken == name => {
            return Err(Error::AttachedAlready { attachment: request.attachment.clone(), link: name });
        }
        created => created?,
    };
    let index = created.index;
    undo_creation(&name, index, undo);
    sysctl::refuse_router_advertisements(&name)?;
    Ok(Veth {
        host_name: name,
        host_index: created.index,
        container_index: created.peer_index,
        container_mac,
        host_mac,
        mtu: created.mtu,
    })
}

fn undo_creation(name: &str, index: u32, undo: &mut Undo) {
    undo.push(format!("delete link {name}"), move || match Socket::open()?.delete_link(index) {
        Err(error) if error.is_not_found() => Ok(()),
        outcome => outcome,
    });
}

/// A bridge whose hardware address nobody fixed takes the lowest of its ports': an administrator's must not change it, and
/// be out of reach for a while, because a container came.
pub(crate) fn highest(mut mac: Mac) -> Mac {
    mac.0[0] = 0xfe;
    mac
}

impl Veth {
    /// An IPAM plugin may need the interface, so the pair is made before its call and would be undone after it. But once an
    /// address is released it may be somebody else's, and nobody may have it any more.
    pub(crate) fn undo_before_addresses(&self, undo: &mut Undo) {
        undo_creation(&self.host_name, self.host_index, undo);
    }

    /// The host's end as it stands in the result.
    pub(crate) fn describe_host_end(&self) -> Interface {
        Interface {
            name: self.host_name.clone(),
            mac: self.host_mac.to_string(),
            mtu: Some(self.mtu),
            ..Interface::default()
        }
    }

    /// The container's end as it stands in the result.
    pub(crate) fn describe_container_end(&self, request: &Add<Config>) -> Interface {
        Interface {
            name: request.attachment.ifname.to_string(),
            mac: self.container_mac.to_string(),
            mtu: Some(self.mtu),
            sandbox: request.netns.display().to_string(),
            ..Interface::default()
        }
    }
}

/// Deletes the pair. It has two handles, and a DEL may have lost either: the name on the host follows from the attachment,
/// and the interface in the container is there as long as the namespace is, also when another suite made it.
pub(crate) fn delete(request: &Del<Config>) -> Result<(), Error> {
    let name = host_name(&request.attachment);
    match Socket::open()?.delete_link(name.as_str()) {
        Err(error) if error.is_not_found() => delete_in_container(request),
        outcome => Ok(outcome?),
    }
}

fn delete_in_container(request: &Del<Config>) -> Result<(), Error> {
    let Some(path) = &request.netns else { return Ok(()) };
    let netns = match Netns::open(path) {
        // A namespace that is gone took its end of the pair with it, and so the other.
        Err(error) if error.is_gone() => return Ok(()),
        netns => netns?,
    };
    let mut container = Socket::open_in(&netns)?;
    let link = match container.link(request.attachment.ifname.as_str()) {
        Err(error) if error.is_not_found() => return Ok(()),
        link => link?,
    };
    if is_of_another(&link, &request.attachment)? {
        return Ok(());
    }
    match container.delete_link(link.index) {
        Err(error) if error.is_not_found() => Ok(()),
        outcome => Ok(outcome?),
    }
}

/// An ADD that failed because the interface's name was taken is followed by a DEL, which must not take the interface of
/// the attachment that has it.
fn is_of_another(inside: &Link, attachment: &Attachment) -> Result<bool, Error> {
    let Some(index) = inside.peer_index else { return Ok(false) };
    let end = match Socket::open()?.link(index) {
        Err(error) if error.is_not_found() => return Ok(false),
        end => end?,
    };
    let holder = end.alias.as_deref().and_then(Attachment::from_label);
    Ok(end.peer_index == Some(inside.index) && holder.is_some_and(|holder| holder != *attachment))
}

/// Deletes the pairs of attachments that are no longer valid.
pub(crate) fn collect(request: &Gc<Config>) -> Result<(), Error> {
    let mut host = Socket::open()?;
    let is_stale = |link: &Link| {
        link.kind.as_deref() == Some("veth") && link.alias.as_deref().is_some_and(|alias| request.is_stale(alias))
    };
    let stale: Vec<u32> = host.links()?.iter().filter(|link| is_stale(link)).map(|link| link.index).collect();
    let mut failures = Failures::new();
    for index in stale {
        match host.delete_link(index) {
            Err(error) if error.is_not_found() => {}
            outcome => drop(failures.note(outcome.map_err(Error::from))),
        }
    }
    Ok(failures.into_result()?)
}
