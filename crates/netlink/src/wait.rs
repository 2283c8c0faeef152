//! Waiting for the kernel by its notifications: nothing is asked twice, and nothing sleeps.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::address;
use crate::error::{Error, Request, Result};
use crate::link::{self};
use crate::link_ref::LinkRef;
use crate::message::{Message, Verdict, next_message};
use crate::outgoing::Outgoing;
use crate::route::{self, RouteType};
use crate::socket::Socket;

/// Multicast groups (`include/uapi/linux/rtnetlink.h`, `enum rtnetlink_groups`).
pub(crate) const RTNLGRP_LINK: u32 = 1;
const RTNLGRP_IPV4_IFADDR: u32 = 5;
pub(crate) const RTNLGRP_IPV6_IFADDR: u32 = 9;
const RTNLGRP_IPV6_ROUTE: u32 = 11;

/// What a socket listens for.
pub(crate) trait Awaited {
    /// Asks for the present state: what the notifications of the past would have said. After a queue that ran over it is
    /// the only way to know.
    fn ask(&self, outgoing: &mut Outgoing) -> Result<()>;
    /// Whether a datagram says that it has come true.
    fn is_told_by(&mut self, datagram: &[u8]) -> Result<bool>;
    /// Until when to wait for a datagram.
    fn next_look(&self) -> Instant;
    /// Whether, after silence until then, there is nothing to wait for any more.
    fn is_over(&mut self) -> bool;
}

/// A state of a link, with the time that it may take.
struct State<'a> {
    groups: &'static [u32],
    ask: &'a dyn Fn(&mut Outgoing) -> Result<()>,
    seen: &'a mut dyn FnMut(&Message<'_>) -> Result<bool>,
    request: Request,
    link: u32,
    describe: &'a dyn Fn(LinkRef) -> String,
    timeout: Duration,
    deadline: Instant,
}

impl Socket {
    /// Waits until the link with index `link` is up and can carry packets.
    ///
    /// # Errors
    /// [`Error::LinkNotFound`] if it is not there or goes away meanwhile, [`Error::TimedOut`] after
    /// `timeout`.
    pub fn wait_until_running(&mut self, link: u32, timeout: Duration) -> Result<()> {
        // The kernel raises a veth's carrier at once, so there is mostly nothing to wait for, and no reason to hear of
        // every other link of the host.
        if self.link(link)?.running {
            return Ok(());
        }
        let awaited = State {
            groups: &[RTNLGRP_LINK],
            ask: &|outgoing| link::push_get(outgoing, &link.into()),
            seen: &mut |message| link_runs(message, link),
            request: Request::GetLink(link.into()),
            link,
            describe: &|link| format!("link {link} going up"),
            timeout,
            deadline: Instant::now() + timeout,
        };
        self.wait(awaited)
    }

    /// Waits until all of `addresses` on the link with index `link` can be used, that is, until IPv6's
    /// duplicate address detection is over.
    ///
    /// # Errors
    /// [`Error::DuplicateAddress`] if another host has one of them, [`Error::TimedOut`] after `timeout`,
    /// also when the link does not have the address at all.
    pub fn wait_until_usable(&mut self, link: u32, addresses: &[IpAddr], timeout: Duration) -> Result<()> {
        let mut pending = addresses.to_vec();
        let awaited = State {
            groups: &[RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR],
            ask: &|outgoing| {
                address::push_list(outgoing, link);
                Ok(())
            },
            seen: &mut |message| {
                strike_usable(message, link, &mut pending)?;
                Ok(pending.is_empty())
            },
            request: Request::ListAddresses { link: link.into() },
            link,
            describe: &|link| format!("address {addresses:?} of link {link} becoming usable"),
            timeout,
            deadline: Instant::now() + timeout,
        };
        self.wait(awaited)
    }

    /// Waits until packets to the IPv6 addresses among `addresses`, of the link with index `link`, are taken for this
    /// host's own. The kernel adds the local route of a new address a moment later, from a work queue, also if it does
    /// not look for duplicates (`addrconf_dad_work`, net/ipv6/addrconf.c); until then a packet to it is lost.
    ///
    /// # Errors
    /// [`Error::TimedOut`] after `timeout`, also when the link does not have an address at all.
    pub fn wait_until_local(&mut self, link: u32, addresses: &[IpAddr], timeout: Duration) -> Result<()> {
        let mut pending = Vec::new();
        for &address in addresses.iter().filter(|address| address.is_ipv6()) {
            if !self.is_local(address) {
                pending.push(address);
            }
        }
        if pending.is_empty() {
            return Ok(());
        }
        let awaited = State {
            groups: &[RTNLGRP_IPV6_ROUTE],
            ask: &|outgoing| {
                route::push_list_local(outgoing, link);
                Ok(())
            },
            seen: &mut |message| {
                let route = route::read(message)?.filter(|route| route.kind == RouteType::Local);
                pending.retain(|waiting| route.as_ref().is_none_or(|route| route.destination.ip() != *waiting));
                Ok(pending.is_empty())
            },
            request: Request::ListRoutes,
            link,
            describe: &|link| format!("address {addresses:?} of link {link} becoming local"),
            timeout,
            deadline: Instant::now() + timeout,
        };
        self.wait(awaited)
    }

    /// No way to it is none yet. After a failure as well the list is asked, and that fails if it must.
    fn is_local(&mut self, address: IpAddr) -> bool {
        self.route_to(address).is_ok_and(|route| route.kind == RouteType::Local)
    }

    /// Subscribes, then asks, then listens: a change between any two of these is seen. An answer and a
    /// notification say the same thing, so they need not be told apart.
    fn wait(&mut self, mut awaited: State<'_>) -> Result<()> {
        for &group in awaited.groups {
            self.subscribe(group)?;
        }
        let outcome = self.ask(&awaited).and_then(|()| self.listen(&mut awaited));
        for &group in awaited.groups {
            self.unsubscribe(group)?;
        }
        self.discard_rest();
        if outcome.map_err(|error| self.name_links(error))? {
            return Ok(());
        }
        let link = self.best_ref(awaited.link);
        Err(Error::TimedOut { what: (awaited.describe)(link), timeout: awaited.timeout })
    }

    /// True when it has come; false if there is nothing to wait for any more.
    pub(crate) fn listen(&mut self, awaited: &mut dyn Awaited) -> Result<bool> {
        let mut buffer = Vec::new();
        loop {
            if !self.readable_before(awaited.next_look())? {
                if awaited.is_over() {
                    return Ok(false);
                }
                continue;
            }
            match self.receive(&mut buffer, libc::MSG_DONTWAIT) {
                Ok(()) if awaited.is_told_by(&buffer)? => return Ok(true),
                // The queue ran over and notifications are lost: ask for the state they led to, once there is room
                // for the answer. Into a full queue it would be lost as well, and a second overrun is not told.
                Err(error) if error.errno() == Some(libc::ENOBUFS) => {
                    self.discard_rest();
                    self.ask(awaited)?;
                }
                Err(error) if error.errno() != Some(libc::EAGAIN) => return Err(error),
                _ => {}
            }
        }
    }

    fn ask(&mut self, awaited: &dyn Awaited) -> Result<()> {
        let mut outgoing = Outgoing::default();
        awaited.ask(&mut outgoing)?;
        self.send(&mut outgoing)
    }

    pub(crate) fn readable_before(&self, deadline: Instant) -> Result<bool> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            // Rounded up, or the last millisecond would be spent spinning.
            let timeout = PollTimeout::try_from(left + Duration::from_micros(999)).unwrap_or(PollTimeout::MAX);
            match poll(&mut [PollFd::new(std::os::fd::AsFd::as_fd(self), PollFlags::POLLIN)], timeout) {
                Ok(ready) => return Ok(ready > 0),
                Err(nix::errno::Errno::EINTR) => {}
                Err(errno) => return Err(Error::socket("poll")(errno.into())),
            }
        }
    }

    /// Empties the queue, so that the next exchange starts clean.
    pub(crate) fn discard_rest(&self) {
        let mut buffer = Vec::new();
        while self.receive(&mut buffer, libc::MSG_DONTWAIT).is_ok() {}
    }
}

impl Awaited for State<'_> {
    fn ask(&self, outgoing: &mut Outgoing) -> Result<()> {
        (self.ask)(outgoing)
    }

    fn is_told_by(&mut self, mut datagram: &[u8]) -> Result<bool> {
        while let Some(message) = next_message(&mut datagram)? {
            match message.verdict() {
                Verdict::Refused(refusal) => return Err(Error::refused(self.request.clone(), refusal)),
                Verdict::Object if (self.seen)(&message)? => return Ok(true),
                _ => {}
            }
        }
        Ok(false)
    }

    fn next_look(&self) -> Instant {
        self.deadline
    }

    fn is_over(&mut self) -> bool {
        true
    }
}

fn link_runs(message: &Message<'_>, index: u32) -> Result<bool> {
    if !matches!(message.kind, link::RTM_NEWLINK | link::RTM_DELLINK) {
        return Ok(false);
    }
    let link = link::read(message)?;
    if link.index == index && message.kind == link::RTM_DELLINK {
        return Err(Error::LinkNotFound { link: index.into() });
    }
    Ok(link.index == index && link.up && link.running)
}

fn strike_usable(message: &Message<'_>, link: u32, pending: &mut Vec<IpAddr>) -> Result<()> {
    let Some(address) = address::read(message)?.filter(|address| address.link == link) else {
        return Ok(());
    };
    let ip = address.network.ip();
    if address.duplicate && pending.contains(&ip) {
        return Err(Error::DuplicateAddress { address: ip });
    }
    if !address.tentative {
        pending.retain(|waiting| *waiting != ip);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::link::LinkChange;
    use crate::netns::Netns;

    /// More than a queue of the default size takes.
    const FLOOD: usize = 2_000;

    /// The loopback link goes up while the queue is full, so that nothing in it says so.
    #[test]
    fn what_was_lost_from_a_full_queue_is_asked_for() {
        let in_a_namespace_of_its_own = || {
            let mut socket = Socket::open().expect("a socket");
            socket.take_port().expect("a port");
            let asked = Cell::new(0);
            let flood = || {
                let mut other = Socket::open().expect("a socket");
                for mtu in 0..FLOOD {
                    let mtu = Some(1_500 + u32::try_from(mtu % 2).expect("0 or 1"));
                    other.change_link(1, &LinkChange { mtu, ..LinkChange::default() }).expect("another MTU");
                }
                other.batch().set_up(1).send().expect("up");
            };
            let awaited = State {
                groups: &[RTNLGRP_LINK],
                ask: &|outgoing| {
                    asked.set(asked.get() + 1);
                    link::push_get(outgoing, &1.into())?;
                    if asked.get() == 1 {
                        flood();
                    }
                    Ok(())
                },
                seen: &mut |message| Ok(asked.get() > 1 && link_runs(message, 1)?),
                request: Request::GetLink(1.into()),
                link: 1,
                describe: &|link| format!("link {link}"),
                timeout: Duration::from_secs(10),
                deadline: Instant::now() + Duration::from_secs(10),
            };
            socket.wait(awaited).expect("it is up");
            assert_eq!(asked.get(), 2);
        };
        Netns::run_in_new(in_a_namespace_of_its_own).expect("a network namespace, for which this test needs root");
    }
}
