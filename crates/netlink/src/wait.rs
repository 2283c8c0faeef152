//! Waiting for the kernel by its notifications: nothing is asked twice, and nothing sleeps.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::address;
use crate::error::{Error, Request, Result};
use crate::link::{self, LinkRef};
use crate::message::{Message, Verdict, next_message};
use crate::route::{self, RouteType};
use crate::socket::{Outgoing, Socket};

/// Multicast groups (`include/uapi/linux/rtnetlink.h`, `enum rtnetlink_groups`).
pub(crate) const RTNLGRP_LINK: u32 = 1;
const RTNLGRP_IPV4_IFADDR: u32 = 5;
pub(crate) const RTNLGRP_IPV6_IFADDR: u32 = 9;
const RTNLGRP_IPV6_ROUTE: u32 = 11;

/// What is awaited.
struct Awaited<'a> {
    groups: &'static [u32],
    /// Asks for the present state: what the notifications of the past would have said.
    ask: &'a dyn Fn(&mut Outgoing) -> Result<()>,
    request: Request,
    link: u32,
    describe: &'a dyn Fn(LinkRef) -> String,
    timeout: Duration,
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
        let awaited = Awaited {
            groups: &[RTNLGRP_LINK],
            ask: &|outgoing| link::push_get(outgoing, &link.into()),
            request: Request::GetLink(link.into()),
            link,
            describe: &|link| format!("link {link} going up"),
            timeout,
        };
        self.wait(&awaited, &mut |message| link_runs(message, link))
    }

    /// Waits until all of `addresses` on the link with index `link` can be used, that is, until IPv6's
    /// duplicate address detection is over.
    ///
    /// # Errors
    /// [`Error::DuplicateAddress`] if another host has one of them, [`Error::TimedOut`] after `timeout`,
    /// also when the link does not have the address at all.
    pub fn wait_until_usable(&mut self, link: u32, addresses: &[IpAddr], timeout: Duration) -> Result<()> {
        let mut pending = addresses.to_vec();
        let awaited = Awaited {
            groups: &[RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR],
            ask: &|outgoing| {
                address::push_list(outgoing, link);
                Ok(())
            },
            request: Request::ListAddresses { link: link.into() },
            link,
            describe: &|link| format!("address {addresses:?} of link {link} becoming usable"),
            timeout,
        };
        self.wait(&awaited, &mut |message| {
            strike_usable(message, link, &mut pending)?;
            Ok(pending.is_empty())
        })
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
        let awaited = Awaited {
            groups: &[RTNLGRP_IPV6_ROUTE],
            ask: &|outgoing| {
                route::push_list_local(outgoing, link);
                Ok(())
            },
            request: Request::ListRoutes,
            link,
            describe: &|link| format!("address {addresses:?} of link {link} becoming local"),
            timeout,
        };
        self.wait(&awaited, &mut |message| {
            let route = route::read(message)?.filter(|route| route.kind == RouteType::Local);
            pending.retain(|waiting| route.as_ref().is_none_or(|route| route.destination.ip() != *waiting));
            Ok(pending.is_empty())
        })
    }

    /// No way to it is none yet. After a failure as well the list is asked, and that fails if it must.
    fn is_local(&mut self, address: IpAddr) -> bool {
        self.route_to(address).is_ok_and(|route| route.kind == RouteType::Local)
    }

    /// Subscribes, then asks, then listens: a change between any two of these is seen. An answer and a
    /// notification say the same thing, so they need not be told apart.
    fn wait(&mut self, awaited: &Awaited<'_>, seen: &mut dyn FnMut(&Message<'_>) -> Result<bool>) -> Result<()> {
        for &group in awaited.groups {
            self.subscribe(group)?;
        }
        let outcome = self.listen(awaited, seen);
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

    /// False if the time has passed without it.
    fn listen(&mut self, awaited: &Awaited<'_>, seen: &mut dyn FnMut(&Message<'_>) -> Result<bool>) -> Result<bool> {
        let deadline = Instant::now() + awaited.timeout;
        let mut buffer = Vec::new();
        self.ask(awaited)?;
        loop {
            if !self.readable_before(deadline)? {
                return Ok(false);
            }
            match self.receive(&mut buffer, libc::MSG_DONTWAIT) {
                Ok(()) => {}
                // The queue ran over and notifications are lost: ask for the state they led to, once there is room
                // for the answer. Into a full queue it would be lost as well, and a second overrun is not told.
                Err(error) if error.errno() == Some(libc::ENOBUFS) => {
                    self.discard_rest();
                    self.ask(awaited)?;
                }
                Err(error) if error.errno() == Some(libc::EAGAIN) => {}
                Err(error) => return Err(error),
            }
            if any_seen(&buffer, &awaited.request, seen)? {
                return Ok(true);
            }
        }
    }

    fn ask(&mut self, awaited: &Awaited<'_>) -> Result<()> {
        let mut outgoing = Outgoing::default();
        (awaited.ask)(&mut outgoing)?;
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

fn any_seen(
    mut datagram: &[u8],
    request: &Request,
    seen: &mut dyn FnMut(&Message<'_>) -> Result<bool>,
) -> Result<bool> {
    while let Some(message) = next_message(&mut datagram)? {
        match message.verdict() {
            Verdict::Refused(refusal) => return Err(Error::refused(request.clone(), refusal)),
            Verdict::Object if seen(&message)? => return Ok(true),
            _ => {}
        }
    }
    Ok(false)
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
