//! DHCPv4 messages (RFC 2131; options of RFC 2132, 3397 and 3442).
//!
//! All network input is treated as untrusted: every option is judged by itself, one that makes no
//! sense is as good as absent, and names go to resolv.conf files, so they may hold nothing but letters, digits, hyphens,
//! underscores and dots.

mod options;
pub(crate) mod packet;
mod settings;

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use dhcproto::v4::{
    CLIENT_PORT as CLIENT, DhcpOption, Flags, HType, Message as Wire, MessageType, Opcode, OptionCode,
    SERVER_PORT as SERVER, UnknownOption,
};
use dhcproto::{Encodable, v4};

use crate::lease::{Grant, Lease};
use crate::machine::{Message, Offer, Reply, TAKE_AT_ONCE};
use crate::wishes::Wishes;
use ip::Family;

use options::Options;

/// UDP port 68 (RFC 2131, section 4.1).
pub(crate) const CLIENT_PORT: u16 = CLIENT;
/// UDP port 67 (RFC 2131, section 4.1).
pub(crate) const SERVER_PORT: u16 = SERVER;

/// The longest message that is read. An Ethernet frame holds less, a larger one is no lease.
pub(crate) const MAX_MESSAGE: u16 = 1472;
/// Relays of BOOTP's time drop what is shorter (RFC 1542, section 2.1).
const MIN_MESSAGE: usize = 300;

/// What a DHCPv4 client sends in every message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Client<'a> {
    /// Its client identifier (option 61).
    pub(crate) id: &'a [u8],
    /// The interface's hardware address.
    pub(crate) mac: [u8; 6],
    /// What to send and what to ask for.
    pub(crate) wishes: &'a Wishes,
    /// Have the server broadcast its answer: what it sends to the hardware address alone would not arrive.
    pub(crate) broadcast: bool,
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
        let mut wire = self.blank(transaction, elapsed);
        let address = |address: IpAddr| if let IpAddr::V4(address) = address { address } else { Ipv4Addr::UNSPECIFIED };
        let held = lease.map_or(Ipv4Addr::UNSPECIFIED, |lease| address(lease.settings.address.ip()));
        let kind = match message {
            Message::Seek => {
                if let Some(IpAddr::V4(wanted)) = self.wishes.address(Family::V4) {
                    wire.opts_mut().insert(DhcpOption::RequestedIpAddress(wanted));
                }
                MessageType::Discover
            }
            Message::Request(offer) => {
                wire.opts_mut().insert(DhcpOption::RequestedIpAddress(address(offer.address)));
                wire.opts_mut().insert(DhcpOption::ServerIdentifier(server_address(&offer.server)));
                MessageType::Request
            }
            // With neither option, or the server takes it for a client that selects (RFC 2131, section 4.3.2).
            Message::Renew | Message::Rebind => {
                wire.set_ciaddr(held);
                MessageType::Request
            }
        };
        self.add_wishes(&mut wire);
        finish(wire, kind)
    }

    /// What to send when the address is not needed any more. There is no answer to it.
    #[must_use]
    pub(crate) fn release(&self, transaction: u32, lease: &Lease) -> Vec<u8> {
        let mut wire = self.blank(transaction, Duration::ZERO);
        wire.set_flags(Flags::default());
        if let IpAddr::V4(address) = lease.settings.address.ip() {
            wire.set_ciaddr(address);
        }
        wire.opts_mut().insert(DhcpOption::ServerIdentifier(server_address(&lease.server)));
        finish(wire, MessageType::Release)
    }

    fn blank(&self, transaction: u32, elapsed: Duration) -> Wire {
        const NONE: Ipv4Addr = Ipv4Addr::UNSPECIFIED;
        let mut wire = Wire::new_with_id(transaction, NONE, NONE, NONE, NONE, &self.mac);
        wire.set_secs(u16::try_from(elapsed.as_secs()).unwrap_or(u16::MAX));
        if self.broadcast {
            wire.set_flags(Flags::default().set_broadcast());
        }
        wire.opts_mut().insert(DhcpOption::ClientIdentifier(self.id().to_vec()));
        wire
    }

    /// The identifier that the configuration provides, or ours: in every message, or the server would take the client
    /// that releases for another one than that which asked.
    fn id(&self) -> &[u8] {
        let provided = self.wishes.provide.iter().rfind(|(code, _)| *code == u8::from(OptionCode::ClientIdentifier));
        provided.map_or(self.id, |(_, value)| value)
    }

    fn add_wishes(&self, wire: &mut Wire) {
        let options = wire.opts_mut();
        for (code, value) in &self.wishes.provide {
            let code = OptionCode::from(*code);
            // What makes the message what it is, is not the configuration's to say.
            if !matches!(code, OptionCode::MessageType | OptionCode::RequestedIpAddress | OptionCode::ServerIdentifier)
            {
                options.insert(DhcpOption::Unknown(UnknownOption::new(code, value.clone())));
            }
        }
        options.insert(DhcpOption::MaxMessageSize(MAX_MESSAGE));
        if !self.wishes.request.is_empty() {
            let codes = self.wishes.request.iter().map(|code| OptionCode::from(*code)).collect();
            options.insert(DhcpOption::ParameterRequestList(codes));
        }
    }

    /// What a server says; `None` if it is nothing, or not to us. `seeking`: no server has been chosen yet.
    ///
    /// # Errors
    /// Why an answer to us cannot be used.
    pub(crate) fn read(&self, bytes: &[u8], transaction: u32, seeking: bool) -> Result<Option<Reply>, String> {
        let Some((wire, options)) = self.addressed(bytes, transaction) else { return Ok(None) };
        let server = options.addresses(OptionCode::ServerIdentifier).first().copied();
        match (options.message_type(), server) {
            (Some(MessageType::Offer), Some(server)) if seeking => {
                let lease = settings::read(wire.yiaddr(), &options, self.wishes)?;
                Ok(Some(Reply::Offer(Offer {
                    address: lease.address.ip(),
                    server: server.octets().to_vec(),
                    preference: TAKE_AT_ONCE,
                })))
            }
            (Some(MessageType::Ack), Some(server)) if !seeking => {
                let settings = settings::read(wire.yiaddr(), &options, self.wishes)?;
                let times = settings::times(&options)?;
                Ok(Some(Reply::Grant(Box::new(Grant { settings, server: server.octets().to_vec(), times }))))
            }
            (Some(MessageType::Nak), _) if !seeking => {
                let said = options.text(OptionCode::Message).unwrap_or_default();
                let reason = if said.is_empty() { "DHCPNAK".into() } else { format!("DHCPNAK: {said}") };
                Ok(Some(Reply::Refusal { reason, revokes: true }))
            }
            (Some(MessageType::Offer | MessageType::Ack), None) => {
                Err("it does not say which server it is from".into())
            }
            _ => Ok(None),
        }
    }

    fn addressed<'b>(&self, bytes: &'b [u8], transaction: u32) -> Option<(v4::borrowed::Message<'b>, Options)> {
        let wire = v4::borrowed::Message::new(bytes).ok()?;
        // The length first: with a wrong one the library would read beyond the message.
        let ours = wire.hlen() == 6 && wire.chaddr() == self.mac;
        let answer = wire.opcode() == Opcode::BootReply && wire.htype() == HType::Eth && wire.xid() == transaction;
        (ours && answer).then(|| (wire, Options::read(bytes)))
    }
}

/// The address of option 54.
#[must_use]
pub(crate) fn server_address(server: &[u8]) -> Ipv4Addr {
    <[u8; 4]>::try_from(server).map_or(Ipv4Addr::UNSPECIFIED, Ipv4Addr::from)
}

fn finish(mut wire: Wire, kind: MessageType) -> Vec<u8> {
    wire.opts_mut().insert(DhcpOption::MessageType(kind));
    // It can only fail for names, and there are none in it.
    let mut bytes = wire.to_vec().unwrap_or_default();
    if bytes.len() < MIN_MESSAGE {
        bytes.resize(MIN_MESSAGE, 0);
    }
    bytes
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
