use std::collections::BTreeMap;
use std::io;

use netlink_message::{Attributes, DUMP_ATTEMPTS, Message as Read, Verdict};
use netlink_sys::SocketAddr;
use netlink_sys::protocols::NETLINK_GENERIC;
use nix::libc::ENOENT;

use crate::device::{WGDEVICE_A_PEERS, change, removal};
use crate::message::{HEADERS, Message, NLM_F_ACK, NLM_F_DUMP};
use crate::{Device, Error, Peer, PrivateKey, PublicKey, Result};

// include/uapi/linux/genetlink.h
const GENL_ID_CTRL: u16 = 16;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;
// include/uapi/linux/wireguard.h
const WG_CMD_GET_DEVICE: u8 = 0;
const WG_CMD_SET_DEVICE: u8 = 1;
const WGDEVICE_A_IFINDEX: u16 = 1;
const WGDEVICE_A_PRIVATE_KEY: u16 = 3;
const WGDEVICE_A_LISTEN_PORT: u16 = 6;

/// The largest datagram the kernel builds for a dump is smaller.
const BUFFER: usize = 64 * 1024;

/// A generic netlink socket in the network namespace of the thread that opened it.
#[derive(Debug)]
pub struct Socket {
    socket: netlink_sys::Socket,
    family: u16,
    sequence: u32,
}

impl Socket {
    /// Opens a socket, and has the kernel load WireGuard if that is a module.
    ///
    /// # Errors
    /// [`Error::Missing`] if the kernel has none, or a failure of the socket.
    pub fn open() -> Result<Self> {
        let socket = netlink_sys::Socket::new(NETLINK_GENERIC).map_err(Error::Open)?;
        socket.connect(&SocketAddr::new(0, 0)).map_err(Error::Open)?;
        socket.set_ext_ack(true).map_err(Error::Open)?;
        socket.set_cap_ack(true).map_err(Error::Open)?;
        let mut this = Self { socket, family: GENL_ID_CTRL, sequence: 0 };
        this.family = this.resolve()?;
        Ok(this)
    }

    fn resolve(&mut self) -> Result<u16> {
        let mut message = Message::new(GENL_ID_CTRL, CTRL_CMD_GETFAMILY, NLM_F_ACK);
        message.bytes(CTRL_ATTR_FAMILY_NAME, b"wireguard\0");
        let mut family = None;
        let answered = self.ask("look for WireGuard", message, |attributes| {
            family = attributes.find(CTRL_ATTR_FAMILY_ID).and_then(|id| id.array()).map(u16::from_ne_bytes);
            Ok(())
        });
        match answered {
            Err(Error::Refused { source, .. }) if source.raw_os_error() == Some(ENOENT) => Err(Error::Missing(source)),
            answered => answered.and(family.ok_or(Error::Malformed)),
        }
    }

    /// What a device is. Its private key stays where it is.
    ///
    /// # Errors
    /// The kernel's refusal: `ENODEV` if there is no such device, `EOPNOTSUPP` if it is of another kind.
    pub fn device(&mut self, index: u32) -> Result<Device> {
        for _ in 0..DUMP_ATTEMPTS {
            let mut message = Message::new(self.family, WG_CMD_GET_DEVICE, NLM_F_DUMP);
            message.bytes(WGDEVICE_A_IFINDEX, &index.to_ne_bytes());
            let mut device = Device::default();
            match self.ask("read a WireGuard device", message, |attributes| device.read(attributes)) {
                Err(Error::Interrupted) => {}
                outcome => return outcome.map(|()| device),
            }
        }
        Err(Error::Interrupted)
    }

    /// Gives a device its key and its port. Peers stay.
    ///
    /// # Errors
    /// As [`Socket::device`]; `EADDRINUSE` if the device is up and something else has the port.
    pub fn configure(&mut self, index: u32, key: &PrivateKey, port: u16) -> Result<()> {
        let mut message = self.set(index);
        message.bytes(WGDEVICE_A_PRIVATE_KEY, &key.0).bytes(WGDEVICE_A_LISTEN_PORT, &port.to_ne_bytes());
        self.ask("set the key and port of a WireGuard device", message, |_| Ok(()))
    }

    /// Changes the peers of a device from what they are to what is wanted. What they are allowed is added before anything is taken
    /// away; an address that passes from one peer to another does so in one step.
    ///
    /// # Errors
    /// As [`Socket::device`]. All are tried.
    pub fn change_peers(
        &mut self,
        index: u32,
        now: &BTreeMap<PublicKey, Peer>,
        wanted: &BTreeMap<PublicKey, Peer>,
    ) -> Result<()> {
        let differs = |(key, peer): &(&PublicKey, &Peer)| now.get(*key) != Some(*peer);
        let (mut shrinking, mut growing) = (Vec::new(), Vec::new());
        for (key, peer) in wanted.iter().filter(differs) {
            let shrinks = now.get(key).is_some_and(|now| !now.allowed.is_subset(&peer.allowed));
            if shrinks { shrinking.push((key, peer)) } else { growing.push((key, peer)) }
        }
        let mut outcome = Ok(());
        for (key, peer, replace) in growing
            .into_iter()
            .map(|(key, peer)| (key, peer, false))
            .chain(shrinking.into_iter().map(|(key, peer)| (key, peer, true)))
        {
            for request in change(*key, peer, replace) {
                outcome = outcome.and(self.change(index, request));
            }
        }
        for key in now.keys().filter(|key| !wanted.contains_key(key)) {
            outcome = outcome.and(self.change(index, removal(*key)));
        }
        outcome
    }

    fn change(&mut self, index: u32, peers: impl FnOnce(&mut Message)) -> Result<()> {
        let mut message = self.set(index);
        message.nest(WGDEVICE_A_PEERS, peers);
        self.ask("change a peer of a WireGuard device", message, |_| Ok(()))
    }

    fn set(&self, index: u32) -> Message {
        let mut message = Message::new(self.family, WG_CMD_SET_DEVICE, NLM_F_ACK);
        message.bytes(WGDEVICE_A_IFINDEX, &index.to_ne_bytes());
        message
    }

    /// Sends a request, and hands what it is answered with to `read`.
    fn ask(
        &mut self,
        doing: &'static str,
        message: Message,
        mut read: impl FnMut(Attributes<'_>) -> Result<()>,
    ) -> Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let failed = |source| Error::Socket { doing, source };
        self.socket.send(&message.finish(self.sequence), 0).map_err(failed)?;
        let (mut outcome, mut interrupted) = (Ok(()), false);
        loop {
            let mut buffer = Vec::with_capacity(BUFFER);
            self.socket.recv(&mut buffer, 0).map_err(failed)?;
            let mut rest = &buffer[..];
            while let Some((message, following)) = Read::split(rest) {
                rest = following;
                if message.sequence != self.sequence {
                    continue;
                }
                interrupted |= message.is_interrupted_dump();
                match message.verdict() {
                    Verdict::Done if interrupted => return outcome.and(Err(Error::Interrupted)),
                    Verdict::Done => return outcome,
                    Verdict::Object => {
                        let attributes = message.body.get(HEADERS - netlink_message::HEADER_LEN..).unwrap_or_default();
                        outcome = outcome.and_then(|()| read(Attributes::new(attributes)));
                    }
                    Verdict::Refused(refusal) => {
                        let source = io::Error::from_raw_os_error(refusal.errno);
                        return Err(Error::Refused { doing, words: refusal.words.map(str::to_owned), source });
                    }
                    Verdict::Nothing => {}
                }
            }
        }
    }
}
