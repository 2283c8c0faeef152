//! DHCPv6 messages (RFC 8415; options of RFC 3646).
//!
//! The client asks for one address (IA_NA). Prefix, on-link routes and the default route are not DHCPv6's to give: a router
//! advertises them (RFC 4861), and the kernel of the container listens. So the address has a prefix length of 128.
//!
//! As in DHCPv4 a message may come from any host, and what makes no sense in it is as good as absent. Its options are walked
//! here, two levels deep and no deeper, however deep they are nested.

mod options;

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use cni_plugin::Dns;
use dhcproto::v6::{DhcpOption, IAAddr, IANA, Message as Wire, MessageType, ORO, OptionCode, Status};
use dhcproto::{Decoder, Encodable};
use ipnetwork::{IpNetwork, Ipv6Network};

use crate::lease::{Grant, Lease, Settings, Times};
use crate::machine::{Message, Offer, Reply};
use crate::names;

use options::{Association, Options};

/// UDP port 546 (RFC 8415, section 7.2).
pub(crate) const CLIENT_PORT: u16 = dhcproto::v6::CLIENT_PORT;
/// UDP port 547 (RFC 8415, section 7.2).
pub(crate) const SERVER_PORT: u16 = dhcproto::v6::SERVER_PORT;
/// All servers and relays on the link (RFC 8415, section 7.1).
pub(crate) const SERVERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2);

/// The one association of each client: the DUID says already whose it is.
const ASSOCIATION: u32 = 1;
/// T1 and T2 in thousandths of the preferred lifetime, where the server leaves them to the client (section 14.2).
const DEFAULT_TIMES: [u64; 2] = [500, 800];

/// What a DHCPv6 client sends in its messages.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Client<'a> {
    /// Its DHCP unique identifier (RFC 8415, section 11).
    pub(crate) duid: &'a [u8],
    /// The address that it would like to have.
    pub(crate) wanted: Option<IpAddr>,
}

impl Client<'_> {
    /// What to send; `lease` is the one to keep, if the message is about one.
    #[must_use]
    pub(crate) fn write(
        &self,
        message: &Message,
        transaction: u32,
        elapsed: Duration,
        lease: Option<&Lease>,
    ) -> Vec<u8> {
        let held = lease.map(|lease| lease.settings.address.ip());
        let (kind, address, server) = match message {
            Message::Seek => (MessageType::Solicit, self.wanted, None),
            Message::Request(offer) => (MessageType::Request, Some(offer.address), Some(&offer.server)),
            Message::Renew => (MessageType::Renew, held, lease.map(|lease| &lease.server)),
            Message::Rebind => (MessageType::Rebind, held, None),
        };
        let mut wire = self.blank(kind, transaction, elapsed, address, server);
        let options = wire.opts_mut();
        if *message == Message::Seek && self.wanted.is_none() {
            // Two messages less with a server that wants it as well (section 18.2.1), whatever address it gives.
            options.insert(DhcpOption::RapidCommit);
        }
        let wanted = vec![OptionCode::DomainNameServers, OptionCode::DomainSearchList];
        options.insert(DhcpOption::ORO(ORO { opts: wanted }));
        finish(&wire)
    }

    /// What to send when the address is not needed any more; the server answers.
    #[must_use]
    pub(crate) fn release(&self, transaction: u32, lease: &Lease) -> Vec<u8> {
        let address = Some(lease.settings.address.ip());
        finish(&self.blank(MessageType::Release, transaction, Duration::ZERO, address, Some(&lease.server)))
    }

    fn blank(
        &self,
        kind: MessageType,
        transaction: u32,
        elapsed: Duration,
        address: Option<IpAddr>,
        server: Option<&Vec<u8>>,
    ) -> Wire {
        let mut wire = Wire::new(kind);
        wire.set_xid_num(transaction);
        let options = wire.opts_mut();
        options.insert(DhcpOption::ClientId(self.duid.to_vec()));
        if let Some(server) = server {
            options.insert(DhcpOption::ServerId(server.clone()));
        }
        // Hundredths of a second (section 21.9).
        let elapsed = u16::try_from(elapsed.as_millis() / 10).unwrap_or(u16::MAX);
        options.insert(DhcpOption::ElapsedTime(elapsed));
        let mut association = IANA { id: ASSOCIATION, t1: 0, t2: 0, opts: Default::default() };
        if let Some(IpAddr::V6(addr)) = address {
            let address = IAAddr { addr, preferred_life: 0, valid_life: 0, opts: Default::default() };
            association.opts.insert(DhcpOption::IAAddr(address));
        }
        options.insert(DhcpOption::IANA(association));
        wire
    }

    /// What a server says; `None` if it is nothing, or not to us. `seeking`: no server has been chosen yet.
    ///
    /// # Errors
    /// Why an answer to us cannot be used.
    pub(crate) fn read(&self, bytes: &[u8], transaction: u32, seeking: bool) -> Result<Option<Reply>, String> {
        let Some((kind, options)) = self.addressed(bytes, transaction) else { return Ok(None) };
        let Some(server) = options.bytes(OptionCode::ServerId) else { return Ok(None) };
        match kind {
            MessageType::Advertise if seeking => {
                let granted = match granted(&options)? {
                    Reply::Grant(grant) => grant,
                    refusal => return Ok(Some(refusal)),
                };
                let preference = options.bytes(OptionCode::Preference).and_then(|value| value.first().copied());
                Ok(Some(Reply::Offer(Offer {
                    address: granted.settings.address.ip(),
                    server: server.to_vec(),
                    preference: preference.unwrap_or(0),
                })))
            }
            MessageType::Reply if !seeking || options.bytes(OptionCode::RapidCommit).is_some() => {
                granted(&options).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Whether the message is a server's answer to our release.
    #[must_use]
    pub(crate) fn is_answer(&self, bytes: &[u8], transaction: u32) -> bool {
        self.addressed(bytes, transaction).is_some_and(|(kind, _)| kind == MessageType::Reply)
    }

    fn addressed(&self, bytes: &[u8], transaction: u32) -> Option<(MessageType, Options)> {
        let (header, options) = bytes.split_first_chunk::<4>()?;
        // The type's byte, and three of the number.
        let [kind, number @ ..] = *header;
        let [_, expected @ ..] = transaction.to_be_bytes();
        let options = Options::read(options);
        (number == expected && options.bytes(OptionCode::ClientId) == Some(self.duid))
            .then(|| (MessageType::from(kind), options))
    }
}

fn finish(wire: &Wire) -> Vec<u8> {
    // It can only fail for names, and there are none in it.
    wire.to_vec().unwrap_or_default()
}

/// What a message gives: a [`Reply::Grant`] or a [`Reply::Refusal`].
fn granted(options: &Options) -> Result<Reply, String> {
    let refusal = |(status, words): (Status, String)| {
        let reason = if words.is_empty() { format!("{status:?}") } else { format!("{status:?}: {words}") };
        // The lifetimes of an address go on, whatever a server says of it, unless it is on the wrong link.
        Reply::Refusal { reason, revokes: status == Status::NotOnLink }
    };
    if let Some(failure) = options.failure() {
        return Ok(refusal(failure));
    }
    let Some(association) = Association::find(options, ASSOCIATION) else {
        return Err("it has no IA_NA of ours (option 3)".into());
    };
    if let Some(failure) = association.options.failure() {
        return Ok(refusal(failure));
    }
    let Some(leased) = association.addresses().find(|leased| leased.valid > 0 && is_usable(leased.address)) else {
        return Err("it has no address that an interface could have".into());
    };
    let span = if leased.preferred == 0 { leased.valid } else { leased.preferred };
    let times = Times::new(leased.valid, span, Some(association.t1), Some(association.t2), DEFAULT_TIMES);
    let server = options.bytes(OptionCode::ServerId).unwrap_or_default().to_vec();
    let address = IpNetwork::V6(Ipv6Network::from(leased.address));
    let settings = Settings { address, gateway: None, routes: Vec::new(), dns: dns(options) };
    Ok(Reply::Grant(Box::new(Grant { settings, server, times })))
}

fn is_usable(address: Ipv6Addr) -> bool {
    !address.is_unspecified() && !address.is_loopback() && !address.is_multicast() && !address.is_unicast_link_local()
}

fn dns(options: &Options) -> Dns {
    let bytes = options.bytes(OptionCode::DomainNameServers).unwrap_or_default();
    let whole = bytes.len() / 16 * 16;
    let servers = Decoder::new(bytes).read_ipv6s(whole).unwrap_or_default();
    let servers = servers.iter().filter(|server| !server.is_unspecified()).map(ToString::to_string);
    let mut dns = Dns::of(servers.collect());
    dns.search = names::list(options.bytes(OptionCode::DomainSearchList).unwrap_or_default());
    dns
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
