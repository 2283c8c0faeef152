//! Rules, written with methods that read like nft's own words.
//!
//! Registers are numbered as the kernel numbers them: 1 to 4 are 16 bytes each, and 8 to 23
//! (`NFT_REG32_00` and so on) are the same room in pieces of four. A concatenated key lies in consecutive
//! pieces from register 1 on, each field padded to four bytes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ip::Protocol;
use ipnetwork::IpNetwork;
use nfnetlink::{Message, family};

use crate::object::write_verdict;
use crate::uapi::{
    bitwise, cmp, ct, data, expression, fib, hash, immediate, list, lookup, meta, nat, payload, verdict,
};

/// The register in which everything begins.
const FIRST: u32 = 1;
/// The register that a verdict goes to (`NFT_REG_VERDICT`).
const VERDICT: u32 = 0;
/// Four-byte pieces from register 1 on.
const fn piece(index: u32) -> u32 {
    8 + index
}

/// `IPPROTO_UDP`.
const UDP: u8 = 17;

/// The Internet protocol's version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Version {
    V4,
    V6,
}

impl Version {
    pub(crate) const BOTH: [Self; 2] = [Self::V4, Self::V6];

    pub(crate) fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    fn number(self) -> u8 {
        match self {
            Self::V4 => family::IPV4,
            Self::V6 => family::IPV6,
        }
    }

    /// An address's length in bytes.
    fn length(self) -> u32 {
        match self {
            Self::V4 => 4,
            Self::V6 => 16,
        }
    }
}

/// Which of a packet's addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Source,
    Destination,
}

/// Which of a packet's interfaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interface {
    In,
    Out,
}

/// How packets are spread: over so many slots, by a hash that begins with this seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spread {
    pub(crate) slots: u32,
    pub(crate) seed: u32,
}

/// The expressions of a rule under construction. Each matching method ends the rule for other packets.
pub(crate) struct Expressions<'a> {
    message: &'a mut Message,
}

impl<'a> Expressions<'a> {
    pub(crate) fn new(message: &'a mut Message) -> Self {
        Self { message }
    }

    /// `iifname "name"`.
    pub(crate) fn iifname(&mut self, name: &str) -> &mut Self {
        self.meta(meta::IIFNAME, FIRST).compare(cmp::EQUAL, &interface_name(name))
    }

    /// `oifname "name"`.
    pub(crate) fn oifname(&mut self, name: &str) -> &mut Self {
        self.meta(meta::OIFNAME, FIRST).compare(cmp::EQUAL, &interface_name(name))
    }

    /// `iifname != "name"`.
    pub(crate) fn iifname_not(&mut self, name: &str) -> &mut Self {
        self.meta(meta::IIFNAME, FIRST).compare(cmp::NOT_EQUAL, &interface_name(name))
    }

    /// `iifname @set` or `oifname @set`.
    pub(crate) fn interface_in(&mut self, interface: Interface, set: &str) -> &mut Self {
        let key = match interface {
            Interface::In => meta::IIFNAME,
            Interface::Out => meta::OIFNAME,
        };
        self.meta(key, FIRST).lookup(set, None, false)
    }

    /// `iifname . ip saddr @set` and the like.
    pub(crate) fn iifname_and_source_in(&mut self, version: Version, set: &str) -> &mut Self {
        self.version(version).meta(meta::IIFNAME, FIRST);
        self.address(Side::Source, version, piece(4)).lookup(set, None, false)
    }

    /// `iifname . oifname . ip daddr @set` and the like.
    pub(crate) fn interfaces_and_destination_in(&mut self, version: Version, set: &str) -> &mut Self {
        self.version(version).meta(meta::IIFNAME, FIRST).meta(meta::OIFNAME, piece(4));
        self.address(Side::Destination, version, piece(8)).lookup(set, None, false)
    }

    /// `iifname . ether saddr != @set`.
    pub(crate) fn iifname_and_mac_not_in(&mut self, set: &str) -> &mut Self {
        self.meta(meta::IIFNAME, FIRST).payload(piece(4), payload::LINK, 6, 6).lookup(set, None, true)
    }

    /// `ip saddr net` and the like.
    pub(crate) fn address_in(&mut self, side: Side, net: IpNetwork) -> &mut Self {
        let version = Version::of(net.ip());
        self.version(version).address(side, version, FIRST);
        if u32::from(net.prefix()) < version.length() * 8 {
            self.mask(&octets(net.mask()));
        }
        self.compare(cmp::EQUAL, &octets(net.network()))
    }

    /// `ip saddr @set` and the like.
    pub(crate) fn address_in_set(&mut self, side: Side, version: Version, set: &str) -> &mut Self {
        self.version(version).address(side, version, FIRST).lookup(set, None, false)
    }

    /// `ip saddr vmap @map` and the like.
    pub(crate) fn address_vmap(&mut self, side: Side, version: Version, map: &str) -> &mut Self {
        self.version(version).address(side, version, FIRST).lookup(map, Some(VERDICT), false)
    }

    /// `ip daddr address`, in a table of the address's own family.
    pub(crate) fn ip(&mut self, side: Side, address: IpAddr) -> &mut Self {
        self.address(side, Version::of(address), FIRST).compare(cmp::EQUAL, &octets(address))
    }

    /// `udp dport port` and the like.
    pub(crate) fn port(&mut self, protocol: Protocol, side: Side, port: u16) -> &mut Self {
        self.meta(meta::L4PROTO, FIRST).compare(cmp::EQUAL, &[protocol.number()]);
        self.payload(FIRST, payload::TRANSPORT, offset_of_port(side), 2).compare(cmp::EQUAL, &port.to_be_bytes())
    }

    /// `udp dport set port` and the like, of a protocol whose checksum is the Internet's (RFC 1071): not SCTP.
    pub(crate) fn set_port(&mut self, protocol: Protocol, side: Side, port: u16) {
        let checksum = if protocol == Protocol::Udp { 6 } else { 16 };
        self.immediate(FIRST, &port.to_be_bytes()).expression("payload", |message| {
            message.be32(payload::SREG, FIRST).be32(payload::BASE, payload::TRANSPORT);
            message.be32(payload::OFFSET, offset_of_port(side)).be32(payload::LENGTH, 2);
            message.be32(payload::CSUM_TYPE, payload::CSUM_INET).be32(payload::CSUM_OFFSET, checksum);
        });
    }

    /// `ct status dnat`.
    pub(crate) fn ct_status_dnat(&mut self) -> &mut Self {
        self.ct_any(ct::STATUS, ct::STATUS_DNAT)
    }

    /// `meta mark set meta mark | <bits>`.
    pub(crate) fn add_mark(&mut self, bits: u32) {
        self.meta(meta::MARK, FIRST).bitwise(&(!bits).to_ne_bytes(), &bits.to_ne_bytes()).expression(
            "meta",
            |message| {
                message.be32(meta::KEY, meta::MARK).be32(meta::SREG, FIRST);
            },
        );
    }

    /// `meta mark set <mark>`.
    pub(crate) fn set_mark(&mut self, mark: u32) {
        self.expression("immediate", |message| {
            message.be32(immediate::DREG, FIRST);
            message.nest(immediate::DATA, |message| {
                message.bytes(data::VALUE, &mark.to_ne_bytes());
            });
        })
        .expression("meta", |message| {
            message.be32(meta::KEY, meta::MARK).be32(meta::SREG, FIRST);
        });
    }

    /// `meta mark & <bits> != 0`.
    pub(crate) fn has_mark(&mut self, bits: u32) -> &mut Self {
        self.meta(meta::MARK, FIRST).mask(&bits.to_ne_bytes()).compare(cmp::NOT_EQUAL, &[0; 4])
    }

    /// `meta mark != <mark>`.
    pub(crate) fn mark_is_not(&mut self, mark: u32) -> &mut Self {
        self.meta(meta::MARK, FIRST).compare(cmp::NOT_EQUAL, &mark.to_ne_bytes())
    }

    /// `ct state established,related`.
    pub(crate) fn ct_state_established_or_related(&mut self) -> &mut Self {
        self.ct_any(ct::STATE, ct::STATE_ESTABLISHED | ct::STATE_RELATED)
    }

    /// `fib daddr type local`.
    pub(crate) fn destination_is_local(&mut self) -> &mut Self {
        self.expression("fib", |message| {
            message.be32(fib::DREG, FIRST);
            message.be32(fib::RESULT, fib::RESULT_ADDRTYPE);
            message.be32(fib::FLAGS, fib::FLAG_DADDR);
        });
        self.compare(cmp::EQUAL, &fib::LOCAL.to_ne_bytes())
    }

    /// `fib saddr . iif oif missing`: the way back to the sender does not lead out of the link by which the packet came in.
    pub(crate) fn source_is_elsewhere(&mut self) -> &mut Self {
        self.expression("fib", |message| {
            message.be32(fib::DREG, FIRST);
            message.be32(fib::RESULT, fib::RESULT_OIF);
            message.be32(fib::FLAGS, fib::FLAG_SADDR | fib::FLAG_IIF);
        });
        self.compare(cmp::EQUAL, &[0; 4])
    }

    /// `ip saddr != @set` and the like.
    pub(crate) fn address_not_in_set(&mut self, side: Side, version: Version, set: &str) -> &mut Self {
        self.version(version).address(side, version, FIRST).lookup(set, None, true)
    }

    /// `ip saddr . ip daddr @set` and the like.
    pub(crate) fn addresses_in_set(&mut self, version: Version, set: &str) -> &mut Self {
        self.version(version).address(Side::Source, version, FIRST);
        self.address(Side::Destination, version, piece(version.length() / 4)).lookup(set, None, false)
    }

    /// `udp dport port`.
    pub(crate) fn udp_port(&mut self, port: u16) -> &mut Self {
        self.meta(meta::L4PROTO, FIRST).compare(cmp::EQUAL, &[UDP]);
        self.destination_port(FIRST).compare(cmp::EQUAL, &port.to_be_bytes())
    }

    /// `@th,96,32 & 0xffffff00 @set`: the identifier in a VXLAN header (RFC 7348, section 5).
    pub(crate) fn vni_in(&mut self, set: &str) -> &mut Self {
        const AFTER_UDP_AND_FLAGS: u32 = 8 + 4;
        self.payload(FIRST, payload::TRANSPORT, AFTER_UDP_AND_FLAGS, 4)
            .mask(&[0xff, 0xff, 0xff, 0])
            .lookup(set, None, false)
    }

    /// `iifname . meta l4proto . th dport @set`, of one version.
    pub(crate) fn iifname_and_port_in(&mut self, version: Version, set: &str) -> &mut Self {
        self.version(version).meta(meta::IIFNAME, FIRST).meta(meta::L4PROTO, piece(4));
        self.destination_port(piece(5)).lookup(set, None, false)
    }

    /// `meta mark set iifname . ether saddr map @map`.
    pub(crate) fn mark_by_iifname_and_mac(&mut self, map: &str) -> &mut Self {
        self.meta(meta::IIFNAME, FIRST).payload(piece(4), payload::LINK, 6, 6).lookup(map, Some(FIRST), false);
        self.mark_from_register()
    }

    /// `meta mark set meta mark & ~<bits>`.
    pub(crate) fn clear_mark(&mut self, bits: u32) {
        self.meta(meta::MARK, FIRST).mask(&(!bits).to_ne_bytes()).mark_from_register();
    }

    /// `ct mark set meta mark & <bits>`.
    pub(crate) fn remember_mark(&mut self, bits: u32) -> &mut Self {
        self.meta(meta::MARK, FIRST).mask(&bits.to_ne_bytes()).expression("ct", |message| {
            message.be32(ct::KEY, ct::MARK).be32(ct::SREG, FIRST);
        })
    }

    /// `ct mark & <bits> != 0 meta mark set ct mark & <bits>`.
    pub(crate) fn recall_mark(&mut self, bits: u32) {
        self.ct(ct::MARK, None).mask(&bits.to_ne_bytes()).compare(cmp::NOT_EQUAL, &[0; 4]).mark_from_register();
    }

    /// `ct direction reply`.
    pub(crate) fn is_reply(&mut self) -> &mut Self {
        self.ct(ct::WHICH_DIRECTION, None).compare(cmp::EQUAL, &[ct::REPLY])
    }

    /// `ct original ip daddr @set` and the like: where the connection's first packet was sent.
    pub(crate) fn first_sent_to(&mut self, version: Version, set: &str) -> &mut Self {
        let key = if version == Version::V4 { ct::DESTINATION_IPV4 } else { ct::DESTINATION_IPV6 };
        self.version(version).ct(key, Some(ct::ORIGINAL)).lookup(set, None, false)
    }

    /// `oifname != @set`.
    pub(crate) fn leaves_elsewhere_than(&mut self, set: &str) -> &mut Self {
        self.meta(meta::OIFNAME, FIRST).lookup(set, None, true)
    }

    /// `dnat ip to meta l4proto . th dport . jhash ip saddr . th sport mod <slots> seed <seed> map @map` and the like: one client's
    /// connections are spread by the ports that they come from.
    pub(crate) fn dnat_by_port_and_slot(&mut self, version: Version, spread: Spread, map: &str) -> &mut Self {
        const INPUT: u32 = 8;
        let words = version.length() / 4;
        self.version(version).address(Side::Source, version, piece(INPUT));
        self.payload(piece(INPUT + words), payload::TRANSPORT, offset_of_port(Side::Source), 2);
        self.expression("hash", |message| {
            message.be32(hash::SREG, piece(INPUT)).be32(hash::DREG, piece(2));
            message.be32(hash::LENGTH, version.length() + 4).be32(hash::MODULUS, spread.slots);
            message.be32(hash::SEED, spread.seed);
        });
        self.meta(meta::L4PROTO, FIRST).destination_port(piece(1));
        self.dnat_by_map(version, map)
    }

    /// `notrack`.
    pub(crate) fn notrack(&mut self) {
        self.expression("notrack", |_| {});
    }

    /// `counter drop`.
    pub(crate) fn counted_drop(&mut self) {
        self.expression("counter", |_| {}).drop();
    }

    /// `dnat ip to ip daddr . meta l4proto . th dport map @map`.
    pub(crate) fn dnat_by_address_and_port(&mut self, version: Version, map: &str) -> &mut Self {
        let words = version.length() / 4;
        self.version(version).address(Side::Destination, version, FIRST);
        self.meta(meta::L4PROTO, piece(words)).destination_port(piece(words + 1));
        self.dnat_by_map(version, map)
    }

    /// `dnat ip to meta l4proto . th dport map @map`. A packet of the other version passes: `nat` ignores what
    /// is not of its family (net/netfilter/nft_nat.c, `nft_nat_inet_eval`).
    pub(crate) fn dnat_by_port(&mut self, version: Version, map: &str) -> &mut Self {
        self.meta(meta::L4PROTO, FIRST).destination_port(piece(1));
        self.dnat_by_map(version, map)
    }

    /// `dnat to address:port`, in a table of the address's own family.
    pub(crate) fn dnat_to(&mut self, address: IpAddr, port: u16) {
        let version = Version::of(address);
        let behind = piece(version.length() / 4);
        self.immediate(FIRST, &octets(address)).immediate(behind, &port.to_be_bytes());
        self.dnat_to_registers(version, behind);
    }

    /// `masquerade`.
    pub(crate) fn masquerade(&mut self) {
        self.expression("masq", |_| {});
    }

    /// `snat ip to address` and the like.
    pub(crate) fn snat(&mut self, to: IpAddr) {
        self.expression("immediate", |message| {
            message.be32(immediate::DREG, FIRST);
            message.nest(immediate::DATA, |message| {
                message.bytes(data::VALUE, &octets(to));
            });
        });
        self.expression("nat", |message| {
            message.be32(nat::TYPE, nat::SNAT).be32(nat::FAMILY, u32::from(Version::of(to).number()));
            message.be32(nat::REG_ADDR_MIN, FIRST);
        });
    }

    /// `drop`.
    pub(crate) fn drop(&mut self) {
        self.verdict(verdict::DROP, None);
    }

    /// `return`.
    pub(crate) fn return_(&mut self) {
        self.verdict(verdict::RETURN, None);
    }

    /// `jump chain`.
    pub(crate) fn jump(&mut self, chain: &str) {
        self.verdict(verdict::JUMP, Some(chain));
    }

    /// `goto chain`.
    pub(crate) fn goto(&mut self, chain: &str) {
        self.verdict(verdict::GOTO, Some(chain));
    }

    fn expression(&mut self, name: &str, fill: impl FnOnce(&mut Message)) -> &mut Self {
        self.message.nest(list::ELEMENT, |message| {
            message.text(expression::NAME, name).nest(expression::DATA, fill);
        });
        self
    }

    fn verdict(&mut self, code: i32, target: Option<&str>) {
        self.expression("immediate", |message| {
            message.be32(immediate::DREG, VERDICT);
            message.nest(immediate::DATA, |message| write_verdict(message, code, target));
        });
    }

    fn version(&mut self, version: Version) -> &mut Self {
        self.meta(meta::NFPROTO, FIRST).compare(cmp::EQUAL, &[version.number()])
    }

    fn meta(&mut self, key: u32, register: u32) -> &mut Self {
        self.expression("meta", |message| {
            message.be32(meta::DREG, register).be32(meta::KEY, key);
        })
    }

    fn address(&mut self, side: Side, version: Version, register: u32) -> &mut Self {
        let offset = match (version, side) {
            (Version::V4, Side::Source) => 12,
            (Version::V4, Side::Destination) => 16,
            (Version::V6, Side::Source) => 8,
            (Version::V6, Side::Destination) => 24,
        };
        self.payload(register, payload::NETWORK, offset, version.length())
    }

    fn destination_port(&mut self, register: u32) -> &mut Self {
        self.payload(register, payload::TRANSPORT, offset_of_port(Side::Destination), 2)
    }

    fn payload(&mut self, register: u32, base: u32, offset: u32, length: u32) -> &mut Self {
        self.expression("payload", |message| {
            message.be32(payload::DREG, register).be32(payload::BASE, base);
            message.be32(payload::OFFSET, offset).be32(payload::LENGTH, length);
        })
    }

    fn compare(&mut self, operator: u32, value: &[u8]) -> &mut Self {
        self.expression("cmp", |message| {
            message.be32(cmp::SREG, FIRST).be32(cmp::OPERATOR, operator);
            message.nest(cmp::DATA, |message| {
                message.bytes(data::VALUE, value);
            });
        })
    }

    fn mask(&mut self, mask: &[u8]) -> &mut Self {
        self.bitwise(mask, &[0; 16][..mask.len()])
    }

    /// Register 1 becomes `(itself & mask) ^ xor`.
    fn bitwise(&mut self, mask: &[u8], xor: &[u8]) -> &mut Self {
        let length = u32::try_from(mask.len()).unwrap_or(0);
        self.expression("bitwise", |message| {
            message.be32(bitwise::SREG, FIRST).be32(bitwise::DREG, FIRST).be32(bitwise::LENGTH, length);
            message.nest(bitwise::MASK, |message| {
                message.bytes(data::VALUE, mask);
            });
            message.nest(bitwise::XOR, |message| {
                message.bytes(data::VALUE, xor);
            });
        })
    }

    fn ct(&mut self, key: u32, direction: Option<u8>) -> &mut Self {
        self.expression("ct", |message| {
            message.be32(ct::DREG, FIRST).be32(ct::KEY, key);
            if let Some(direction) = direction {
                message.bytes(ct::DIRECTION, &[direction]);
            }
        })
    }

    fn mark_from_register(&mut self) -> &mut Self {
        self.expression("meta", |message| {
            message.be32(meta::KEY, meta::MARK).be32(meta::SREG, FIRST);
        })
    }

    fn ct_any(&mut self, key: u32, bits: u32) -> &mut Self {
        self.ct(key, None).mask(&bits.to_ne_bytes()).compare(cmp::NOT_EQUAL, &[0; 4])
    }

    fn lookup(&mut self, set: &str, into: Option<u32>, inverted: bool) -> &mut Self {
        self.expression("lookup", |message| {
            message.text(lookup::SET, set).be32(lookup::SREG, FIRST);
            if let Some(register) = into {
                message.be32(lookup::DREG, register);
            }
            if inverted {
                message.be32(lookup::FLAGS, lookup::INVERTED);
            }
        })
    }

    /// Replaces the key in register 1 by the map's address and port, and translates to them. The family is
    /// the address's, never inet, so that the kernel knows how many bytes an address has.
    fn dnat_by_map(&mut self, version: Version, map: &str) -> &mut Self {
        self.lookup(map, Some(FIRST), false).dnat_to_registers(version, piece(version.length() / 4))
    }

    /// Translates to the address in register 1 and the port in that one.
    fn dnat_to_registers(&mut self, version: Version, port: u32) -> &mut Self {
        self.expression("nat", |message| {
            message.be32(nat::TYPE, nat::DNAT).be32(nat::FAMILY, u32::from(version.number()));
            message.be32(nat::REG_ADDR_MIN, FIRST).be32(nat::REG_PROTO_MIN, port);
        })
    }

    fn immediate(&mut self, register: u32, value: &[u8]) -> &mut Self {
        self.expression("immediate", |message| {
            message.be32(immediate::DREG, register);
            message.nest(immediate::DATA, |message| {
                message.bytes(data::VALUE, value);
            });
        })
    }
}

/// The same place in TCP, UDP and SCTP.
fn offset_of_port(side: Side) -> u32 {
    match side {
        Side::Source => 0,
        Side::Destination => 2,
    }
}

/// An interface's name as the kernel compares it: 16 bytes, filled with zeros.
pub(crate) fn interface_name(name: &str) -> [u8; 16] {
    let mut padded = [0; 16];
    for (to, from) in padded.iter_mut().zip(name.bytes().take(15)) {
        *to = from;
    }
    padded
}

/// An address in network byte order.
pub(crate) fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// The address in network byte order, if it is one.
pub(crate) fn address_from(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return Some(Ipv4Addr::from(four).into());
    }
    Some(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).into())
}
