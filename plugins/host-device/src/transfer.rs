//! The way of a device into the container and back.

use cni_plugin::{Attachment, IfName, Undo};
use container_interface::link::{enter, refuse_taken_name};
use netlink::{Link, LinkChange, Netns, Socket};
use nix::libc::{EBUSY, EINVAL};

use crate::Error;
use crate::mark::Mark;

/// How many names are tried for a device whose own is taken: each of them is only if another device came home in this way.
const NAMES_TO_TRY: u32 = 1000;

/// Moves the device into the container, under the interface's name, and tells what it is there.
///
/// It is marked while it is still on the host, so that DEL and GC recognize it whatever happens afterwards.
pub(crate) fn give(
    host: &mut Socket,
    inside: &mut Socket,
    device: &Link,
    netns: &Netns,
    attachment: &Attachment,
    undo: &mut Undo,
) -> Result<Link, Error> {
    let mark = Mark::new(attachment, device)?;
    let ifname = attachment.ifname.as_str();
    // Before the device loses its addresses on the host: moving it is where the kernel would notice.
    refuse_taken_name(inside, attachment)?;
    undo_gift(netns, attachment, device, undo);
    let text = mark.to_string();
    let marked = LinkChange { alias: Some(&text), ..LinkChange::default() };
    // With the mark once more: two containers may be given the same device at the same time, and it goes to one of them.
    let moved = LinkChange { netns: Some(netns), name: Some(ifname), ..marked };
    let mut batch = host.batch();
    batch.change_link(device.index, &marked).change_link(device.index, &moved);
    match batch.send() {
        Err(error) if error.is_not_found() => Err(Error::NotOnHost { device: device.name.clone() }),
        Err(source) if source.errno() == Some(EINVAL) => Err(Error::Immovable { device: device.name.clone(), source }),
        Err(error) => Err(error.into()),
        Ok(()) => Ok(inside.link(ifname)?),
    }
}

/// The addresses that the device had on the host are gone: the kernel forgets them when it moves a link.
fn undo_gift(netns: &Netns, attachment: &Attachment, device: &Link, undo: &mut Undo) {
    let (path, attachment, was_up) = (netns.path().to_owned(), attachment.clone(), device.up);
    undo.push(format!("give device {} back to the host", device.name), move || {
        let mut inside = enter(Some(&path))?;
        let name = take_back(inside.as_mut(), &attachment, |_, _| Ok(false))?;
        match name {
            Some(name) if was_up => Ok(Socket::open()?.batch().set_up(name.as_str()).send()?),
            _ => Ok::<(), Error>(()),
        }
    });
}

/// Gives the attachment's device back to the host, wherever it is: in the container, on the way there, or back on the host
/// because the namespace vanished. Returns its name there, if there was a device.
///
/// `is_of_reference` says whether a link under the interface's name that bears no mark but an alias is one that the
/// reference's plugin moved.
pub(crate) fn take_back(
    inside: Option<&mut Socket>,
    attachment: &Attachment,
    is_of_reference: impl Fn(&mut Socket, &Link) -> Result<bool, Error>,
) -> Result<Option<IfName>, Error> {
    if let Some(inside) = inside
        && let Some((link, mark)) = find_inside(inside, attachment, is_of_reference)?
    {
        move_back(inside, &link, &mark)?;
        return Ok(Some(mark.name));
    }
    let mut host = Socket::open()?;
    let Some((link, mark)) = find_marked(&mut host, attachment)? else { return Ok(None) };
    restore(&mut host, &link, &mark)?;
    Ok(Some(mark.name))
}

fn find_inside(
    inside: &mut Socket,
    attachment: &Attachment,
    is_of_reference: impl Fn(&mut Socket, &Link) -> Result<bool, Error>,
) -> Result<Option<(Link, Mark)>, Error> {
    let link = match inside.link(attachment.ifname.as_str()) {
        // It may have been renamed.
        Err(error) if error.is_not_found() => return find_marked(inside, attachment),
        link => link?,
    };
    match Mark::of(&link) {
        Some(mark) if mark.attachment == *attachment => return Ok(Some((link, mark))),
        None if is_of_reference(inside, &link)? => {
            if let Some(mark) = Mark::of_reference(&link, attachment) {
                return Ok(Some((link, mark)));
            }
        }
        _ => {}
    }
    find_marked(inside, attachment)
}

fn find_marked(socket: &mut Socket, attachment: &Attachment) -> Result<Option<(Link, Mark)>, Error> {
    let marked = |link: Link| {
        let mark = Mark::of(&link).filter(|mark| mark.attachment == *attachment)?;
        Some((link, mark))
    };
    Ok(socket.links()?.into_iter().find_map(marked))
}

/// Moves a device from the container to the host, under the name and with the alias that it had there, down.
fn move_back(inside: &mut Socket, link: &Link, mark: &Mark) -> Result<(), Error> {
    // It has its name already when the host sees it, so that udev and NetworkManager need not follow a change of names. If
    // something in the container is called so, it is renamed on arrival.
    let named = LinkChange { name: Some(mark.name.as_str()), ..LinkChange::default() };
    match inside.batch().set_down(link.index).change_link(link.index, &named).send() {
        Err(error) if !error.is_exists() => return Err(error.into()),
        _ => {}
    }
    let host = Netns::current()?;
    let home = LinkChange { netns: Some(&host), alias: Some(&mark.alias), ..named };
    match inside.change_link(link.index, &home) {
        Err(error) if error.is_exists() => Err(leave_under_another_name(inside, &host, link, mark)?),
        outcome => Ok(outcome?),
    }
}

/// Another link on the host has the device's name. It is not left to the container's fate for that: it goes home
/// under another name, as the kernel would call it (`default_device_exit_net`, net/core/dev.c), and stays marked, so that DEL
/// and GC can name it as soon as the name is free.
fn leave_under_another_name(inside: &mut Socket, host: &Netns, link: &Link, mark: &Mark) -> Result<Error, Error> {
    for number in link.index..link.index.saturating_add(NAMES_TO_TRY) {
        let name = format!("dev{number}");
        let home = LinkChange { netns: Some(host), name: Some(&name), ..LinkChange::default() };
        match inside.change_link(link.index, &home) {
            Err(error) if error.is_exists() => {}
            // It may have arrived under the name that it had in the container.
            Err(error) if error.is_not_found() => break,
            outcome => {
                outcome?;
                break;
            }
        }
    }
    let found = find_marked(&mut Socket::open()?, &mark.attachment)?;
    let now = found.map_or_else(|| link.name.clone(), |(link, _)| link.name);
    Ok(Error::NameTaken { device: mark.name.to_string(), now })
}

/// Gives a device on the host its name and alias back.
pub(crate) fn restore(host: &mut Socket, link: &Link, mark: &Mark) -> Result<(), Error> {
    let name = (link.name != mark.name.as_str()).then_some(mark.name.as_str());
    let change = LinkChange { name, alias: Some(&mark.alias), ..LinkChange::default() };
    let mut outcome = host.change_link(link.index, &change);
    if matches!(&outcome, Err(error) if error.errno() == Some(EBUSY)) {
        // Before Linux 6.2 a link has to be down to get another name.
        outcome = host.batch().set_down(link.index).change_link(link.index, &change).send();
    }
    match outcome {
        Err(error) if error.is_exists() => {
            Err(Error::NameTaken { device: mark.name.to_string(), now: link.name.clone() })
        }
        Err(error) if error.is_not_found() => Ok(()),
        outcome => Ok(outcome?),
    }
}
