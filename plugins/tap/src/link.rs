//! The tap in the container.

use cni_plugin::{Add, Attachment, Check};
use container_interface::link::refuse_taken_name;
use netlink::{Link, LinkChange, Netns, Socket};
use suite::Labelled as _;
use tuntap::{Options, Tap};

use crate::{Config, Error};

/// What the kernel calls taps.
pub(crate) const KIND: &str = "tun";

/// Makes the tap, labelled and down. It is gone if this program ends before it is kept, however it ends.
pub(crate) fn create(inside: &mut Socket, netns: &Netns, request: &Add<Config>) -> Result<(Tap, Link), Error> {
    let config = &request.network.config;
    let attachment = &request.attachment;
    let mac = config.mac(&request.network.args)?;
    let master = master(inside, config)?;
    let options = Options {
        multi_queue: config.multi_queue,
        owner: config.owner,
        group: config.group,
        selinux_context: config.selinux_context(),
        ..Options::new(attachment.ifname.as_str())
    };
    let tap = match netns.run(|| options.create())? {
        Err(error) if error.is_exists() => {
            refuse_taken_name(inside, attachment)?;
            return Err(error.into());
        }
        tap => tap?,
    };
    let label = attachment.label();
    let master = master.map(|master| master.index);
    let change = LinkChange { alias: Some(&label), mac, mtu: config.mtu(), master, ..LinkChange::default() };
    let link = inside.change_and_read(attachment.ifname.as_str(), &change)?;
    Ok((tap, link))
}

/// The link inside the container that the tap is to be a port of.
fn master(inside: &mut Socket, config: &Config) -> Result<Option<Link>, Error> {
    let Some(bridge) = &config.bridge else { return Ok(None) };
    match inside.link(bridge.as_str()) {
        Err(error) if error.is_not_found() => Err(Error::NoBridge { bridge: bridge.clone() }),
        link => Ok(Some(link?)),
    }
}

/// For CHECK: the interface is a tap, it is ours, and it is a port of the configured bridge.
pub(crate) fn check(link: &Link, netns: &Netns, request: &Check<Config>) -> Result<(), Error> {
    let Attachment { ifname, .. } = &request.attachment;
    let differs = |what, expected: &str, found: &str| {
        Err(container_interface::Error::differs(what, ifname, expected, found).into())
    };
    if link.kind.as_deref() != Some(KIND) {
        return differs("kind", "a tap", link.kind.as_deref().unwrap_or("a physical device"));
    }
    let mut inside = Socket::open_in(netns)?;
    match master(&mut inside, &request.network.config)? {
        Some(master) if link.master != Some(master.index) => {
            differs("master", &master.name, if link.master.is_some() { "another" } else { "none" })
        }
        _ => Ok(()),
    }
}
