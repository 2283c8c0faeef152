//! A client of DHCP, in either of its versions.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV6};
use std::time::Duration;

use super::channel::Way;
use super::flags::Flags;
use super::place::{Inside, PlaceError};
use super::release;
use crate::lease::Lease;
use crate::machine::{Message, Pace, Reply};
use crate::store::Key;
use crate::wishes::{Wishes, client_id, duid};
use crate::{v4, v6};
use ip::Family;

/// The first pause after a DISCOVER. A server on the link answers within a millisecond, and the first packet over a link that
/// has just gone up is easily lost: a bridge lets nothing through before it has heard of it.
const AFTER_DISCOVER: Duration = Duration::from_millis(20);
/// The first pause after a REQUEST.
const AFTER_REQUEST: Duration = Duration::from_millis(250);
/// The same for DHCPv6, which wants it so, and collects offers in that time (RFC 8415, section 7.6).
const DHCPV6: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Client {
    family: Family,
    /// By which servers know it: option 61 of DHCPv4, the DUID of DHCPv6.
    id: Vec<u8>,
    wishes: Wishes,
    broadcast: bool,
    /// The interface's Ethernet address when something was last sent over it.
    mac: [u8; 6],
}

impl Client {
    pub(super) fn new(key: &Key, wishes: Wishes, broadcast: bool) -> Self {
        let id = match key.family {
            Family::V4 => client_id(&key.attachment),
            Family::V6 => duid(&key.attachment),
        };
        Self { family: key.family, id, wishes, broadcast, mac: [0; 6] }
    }

    /// How often it repeats a question.
    pub(super) fn pace(&self, flags: &Flags) -> Pace {
        let (first, request) = match self.family {
            Family::V4 => (AFTER_DISCOVER, AFTER_REQUEST),
            Family::V6 => (DHCPV6, DHCPV6),
        };
        Pace { first, request, longest: flags.resend_max, answer: flags.timeout, attempt: flags.resend_timeout }
    }

    /// Which way a message goes over the link with index `link`, and where.
    pub(super) fn route(&self, message: &Message, lease: Option<&Lease>, link: u32) -> (Way, SocketAddr) {
        let all_servers = SocketAddr::from((Ipv4Addr::BROADCAST, v4::SERVER_PORT));
        let held = lease.and_then(|lease| match lease.settings.address.ip() {
            IpAddr::V4(address) => Some((address, v4::server_address(&lease.server))),
            IpAddr::V6(_) => None,
        });
        match (self.family, message, held) {
            (Family::V6, ..) => (Way::LinkLocal, SocketAddrV6::new(v6::SERVERS, v6::SERVER_PORT, 0, link).into()),
            (Family::V4, Message::Renew, Some((address, server))) => {
                (Way::From(address), (server, v4::SERVER_PORT).into())
            }
            (Family::V4, Message::Rebind, Some((address, _))) => (Way::From(address), all_servers),
            (Family::V4, ..) => (Way::Unaddressed, all_servers),
        }
    }

    /// What to send over the interface.
    pub(super) fn write(
        &mut self,
        inside: &Inside,
        message: &Message,
        transaction: u32,
        elapsed: Duration,
        lease: Option<&Lease>,
    ) -> Result<Vec<u8>, PlaceError> {
        self.mac = inside.mac()?;
        let broadcast = self.broadcast || !inside.is_addressed_by_mac();
        Ok(match self.family {
            Family::V4 => self.v4(broadcast).write(message, transaction, elapsed, lease),
            Family::V6 => self.v6().write(message, transaction, elapsed, lease),
        })
    }

    /// What a server says, as [`v4::Client::read`] and [`v6::Client::read`] have it.
    pub(super) fn read(&self, message: &[u8], transaction: u32, seeking: bool) -> Result<Option<Reply>, String> {
        match self.family {
            Family::V4 => self.v4(self.broadcast).read(message, transaction, seeking),
            Family::V6 => self.v6().read(message, transaction, seeking),
        }
    }

    /// Gives a lease back.
    pub(super) async fn release(&mut self, inside: Inside, lease: &Lease) -> Result<(), PlaceError> {
        self.mac = inside.mac()?;
        match self.family {
            Family::V4 => release::v4(inside, &self.v4(self.broadcast), lease, random()).await,
            Family::V6 => release::v6(inside, &self.v6(), lease, random()).await,
        }
    }

    fn v4(&self, broadcast: bool) -> v4::Client<'_> {
        v4::Client { id: &self.id, mac: self.mac, wishes: &self.wishes, broadcast }
    }

    fn v6(&self) -> v6::Client<'_> {
        v6::Client { duid: &self.id, wanted: self.wishes.address(Family::V6) }
    }
}

/// It need not be secret, only other clients' must differ.
pub(super) fn random() -> u32 {
    getrandom::u32().unwrap_or_default()
}
