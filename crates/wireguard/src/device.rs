use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnetwork::IpNetwork;
use netlink_message::Attributes;
use nix::libc::{AF_INET, AF_INET6};

use crate::message::Message;
use crate::{Error, PublicKey, Result};

// include/uapi/linux/wireguard.h
const WGDEVICE_A_PUBLIC_KEY: u16 = 4;
const WGDEVICE_A_LISTEN_PORT: u16 = 6;
pub(crate) const WGDEVICE_A_PEERS: u16 = 8;
const WGPEER_A_PUBLIC_KEY: u16 = 1;
const WGPEER_A_FLAGS: u16 = 3;
const WGPEER_A_ENDPOINT: u16 = 4;
const WGPEER_A_ALLOWEDIPS: u16 = 9;
const WGALLOWEDIP_A_FAMILY: u16 = 1;
const WGALLOWEDIP_A_IPADDR: u16 = 2;
const WGALLOWEDIP_A_CIDR_MASK: u16 = 3;

const WGPEER_F_REMOVE_ME: u32 = 1;
const WGPEER_F_REPLACE_ALLOWEDIPS: u32 = 2;

/// So many addresses go into one request: some twenty kilobytes.
const AT_ONCE: usize = 500;

/// A device.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Device {
    /// Its key; none if it has no private one.
    pub public_key: Option<PublicKey>,
    /// The UDP port that it listens on.
    pub port: u16,
    /// Its peers.
    pub peers: BTreeMap<PublicKey, Peer>,
}

/// Who is at the other end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Peer {
    /// Where it is reached. The kernel follows a peer that sends from elsewhere.
    pub endpoint: Option<SocketAddr>,
    /// What it may send from, and what is sent to it. No two peers can have the same.
    pub allowed: BTreeSet<IpNetwork>,
}

impl Device {
    /// Adds what one message of a dump says: a long list of peers comes in several, and the last peer of one may go on in the next.
    pub(crate) fn read(&mut self, attributes: Attributes<'_>) -> Result<()> {
        for attribute in attributes {
            match attribute.kind {
                WGDEVICE_A_PUBLIC_KEY => {
                    let key = attribute.array().ok_or(Error::Malformed)?;
                    self.public_key = Some(PublicKey(key)).filter(|_| key != [0; 32]);
                }
                WGDEVICE_A_LISTEN_PORT => {
                    self.port = attribute.array().map(u16::from_ne_bytes).ok_or(Error::Malformed)?;
                }
                WGDEVICE_A_PEERS => {
                    for peer in attribute.nested() {
                        self.read_peer(peer.nested())?;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn read_peer(&mut self, attributes: Attributes<'_>) -> Result<()> {
        let key = attributes.find(WGPEER_A_PUBLIC_KEY).and_then(|key| key.array()).ok_or(Error::Malformed)?;
        let peer = self.peers.entry(PublicKey(key)).or_default();
        if let Some(endpoint) = attributes.find(WGPEER_A_ENDPOINT) {
            peer.endpoint = Some(socket_address(endpoint.value).ok_or(Error::Malformed)?);
        }
        for allowed in attributes.inside(WGPEER_A_ALLOWEDIPS) {
            peer.allowed.insert(network(allowed.nested()).ok_or(Error::Malformed)?);
        }
        Ok(())
    }
}

/// A request's lists that make a peer what it is, whatever it was. What it is allowed is only added to if `replace` is false.
pub(crate) fn change(key: PublicKey, peer: &Peer, replace: bool) -> Vec<impl FnOnce(&mut Message)> {
    let all: Vec<_> = peer.allowed.iter().copied().collect();
    let chunks: Vec<Vec<IpNetwork>> = match &all[..] {
        [] => vec![Vec::new()],
        all => all.chunks(AT_ONCE).map(<[_]>::to_vec).collect(),
    };
    let endpoint = peer.endpoint;
    let request = move |(number, allowed): (usize, Vec<IpNetwork>)| {
        move |list: &mut Message| {
            list.nest(0, |peer| {
                peer.bytes(WGPEER_A_PUBLIC_KEY, &key.0);
                if replace && number == 0 {
                    peer.bytes(WGPEER_A_FLAGS, &WGPEER_F_REPLACE_ALLOWEDIPS.to_ne_bytes());
                }
                if let Some(endpoint) = endpoint {
                    peer.bytes(WGPEER_A_ENDPOINT, &sockaddr(endpoint));
                }
                peer.nest(WGPEER_A_ALLOWEDIPS, |list| {
                    for network in &allowed {
                        write_network(list, *network);
                    }
                });
            });
        }
    };
    chunks.into_iter().enumerate().map(request).collect()
}

/// The list that removes a peer; one that is not there stays away.
pub(crate) fn removal(key: PublicKey) -> impl FnOnce(&mut Message) {
    move |list| {
        list.nest(0, |peer| {
            peer.bytes(WGPEER_A_PUBLIC_KEY, &key.0).bytes(WGPEER_A_FLAGS, &WGPEER_F_REMOVE_ME.to_ne_bytes());
        });
    }
}

fn write_network(list: &mut Message, network: IpNetwork) {
    list.nest(0, |allowed| {
        let (family, bytes) = match network.ip() {
            IpAddr::V4(address) => (AF_INET, address.octets().to_vec()),
            IpAddr::V6(address) => (AF_INET6, address.octets().to_vec()),
        };
        allowed
            .bytes(WGALLOWEDIP_A_FAMILY, &u16::try_from(family).unwrap_or_default().to_ne_bytes())
            .bytes(WGALLOWEDIP_A_IPADDR, &bytes)
            .bytes(WGALLOWEDIP_A_CIDR_MASK, &[network.prefix()]);
    });
}

fn network(attributes: Attributes<'_>) -> Option<IpNetwork> {
    let address = attributes.find(WGALLOWEDIP_A_IPADDR)?;
    let address: IpAddr = match address.value.len() {
        4 => Ipv4Addr::from(address.array::<4>()?).into(),
        _ => Ipv6Addr::from(address.array::<16>()?).into(),
    };
    IpNetwork::new(address, attributes.find(WGALLOWEDIP_A_CIDR_MASK)?.u8()?).ok()
}

/// `struct sockaddr_in` and `sockaddr_in6`.
fn sockaddr(address: SocketAddr) -> Vec<u8> {
    let family = |family: i32| u16::try_from(family).unwrap_or_default().to_ne_bytes();
    let port = address.port().to_be_bytes();
    match address {
        SocketAddr::V4(address) => [&family(AF_INET)[..], &port, &address.ip().octets(), &[0; 8]].concat(),
        SocketAddr::V6(address) => [
            &family(AF_INET6)[..],
            &port,
            &address.flowinfo().to_be_bytes(),
            &address.ip().octets(),
            &address.scope_id().to_ne_bytes(),
        ]
        .concat(),
    }
}

fn socket_address(bytes: &[u8]) -> Option<SocketAddr> {
    let family = i32::from(u16::from_ne_bytes(bytes.get(..2)?.try_into().ok()?));
    let port = u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?);
    match family {
        AF_INET => Some((<[u8; 4]>::try_from(bytes.get(4..8)?).ok()?, port).into()),
        AF_INET6 => Some((<[u8; 16]>::try_from(bytes.get(8..24)?).ok()?, port).into()),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::message::HEADERS;

    fn attributes(bytes: &[u8]) -> Attributes<'_> {
        Attributes::new(&bytes[HEADERS..])
    }

    #[test]
    fn a_peer_reads_back_as_it_is_written_however_much_it_has() {
        let key = PublicKey([5; 32]);
        let many = (0..1200_u32).map(|n| IpNetwork::new(Ipv4Addr::from(0x0a00_0000 + (n << 6)).into(), 26).unwrap());
        let peer = Peer {
            endpoint: Some("[2001:db8::1]:51871".parse().unwrap()),
            allowed: many.chain(["fd00::1:0/112".parse().unwrap()]).collect(),
        };
        let mut read = Device::default();
        let requests = change(key, &peer, true);
        assert_eq!(requests.len(), 3);
        for request in requests {
            let mut message = Message::new(31, 1, 0);
            message.nest(WGDEVICE_A_PEERS, request);
            let bytes = message.finish(1);
            assert!(bytes.len() < usize::from(u16::MAX));
            read.read(attributes(&bytes)).unwrap();
        }
        assert_eq!(read.peers, BTreeMap::from([(key, peer)]));
    }

    #[test]
    fn endpoints_of_both_families_read_back() {
        for text in ["192.0.2.1:51871", "[2001:db8::1]:1"] {
            let address: SocketAddr = text.parse().unwrap();
            assert_eq!(socket_address(&sockaddr(address)), Some(address));
        }
        for short in [&[][..], &[2, 0, 1], &[2, 0, 1, 2, 3], &[9, 9, 0, 0, 0, 0, 0, 0]] {
            assert_eq!(socket_address(short), None);
        }
    }
}
