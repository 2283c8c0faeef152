//! Encrypted networks: one WireGuard device for all of them, whose peers may send from their blocks and from nothing else.
//!
//! Packets of these networks have no other way than this device: without it, or for a block whose owner is no peer, they are
//! unreachable. The private key is made here, in a file that only root can read, and leaves it for the kernel alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use ipnetwork::IpNetwork;
use netlink::{Link, LinkChange, LinkKind, NewLink, Socket, if_found};
use overlay::ingress::Number;
use overlay::{HostId, Network, mtu};
use wireguard::{Peer, PrivateKey, PublicKey};

use super::vxlan::{inner_mtu, quieten};
use super::ways::{self, Entry, Way};
use crate::Error;
use crate::underlay::Found;
use crate::view::{NetworkView, View};

/// The device.
pub(crate) const NAME: &str = "overlaywg";
/// Where the private key is.
const KEY: &str = "/var/lib/ferrocni/wireguard.key";
/// Longer than any key, in bytes.
const LIMIT: usize = 256;

/// The device's label; no attachment's label has one word only.
fn label() -> String {
    format!("{}wireguard", suite::PREFIX)
}

/// The device with what was programmed.
#[derive(Debug)]
pub(crate) struct Tunnel {
    wireguard: wireguard::Socket,
    index: u32,
    mtu: u32,
    port: u16,
    key: PrivateKey,
    pub(crate) public_key: PublicKey,
    programmed: Option<Wanted>,
}

/// What encrypted networks want in the kernel.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    peers: BTreeMap<PublicKey, Peer>,
    entries: BTreeSet<Entry>,
}

impl Wanted {
    /// Adds what a network wants. Hosts that cannot be reached by encrypted packets are in `unreached`.
    pub(crate) fn add(
        &mut self,
        network: &Network,
        of_network: &NetworkView,
        view: &View,
        here: &Here<'_>,
        unreached: &mut BTreeSet<HostId>,
    ) {
        self.entries.extend(network.subnets.iter().map(|subnet| Entry::Unreachable(subnet.network())));
        for (block, owner) in of_network.reached(view) {
            if owner == here.id {
                self.entries.insert(Entry::Address(block.first()));
            } else {
                self.lead_to(owner, block.network(), network, view, here, unreached);
            }
        }
        for (address, _, claim) in of_network.addresses() {
            let claim = &claim.value;
            if claim.granted && claim.host != *here.id {
                self.lead_to(&claim.host, IpNetwork::from(address), network, view, here, unreached);
            }
        }
    }

    /// Adds the addresses of hosts that answer ports for each other.
    pub(crate) fn add_hosts(&mut self, own: Number, numbers: &BTreeMap<HostId, Number>, view: &View, here: &Here<'_>) {
        self.entries.extend(super::ingress::subnet_in_tunnel().map(Entry::Unreachable));
        self.entries.insert(Entry::Address(own.address_in_tunnel().into()));
        for (id, number) in numbers.iter().filter(|(id, _)| *id != here.id) {
            let Some((key, endpoint, _)) = end_of(id, view, here) else { continue };
            let peer = self.peers.entry(key).or_insert_with(|| Peer { endpoint: Some(endpoint), ..Peer::default() });
            if peer.endpoint == Some(endpoint) && key != here.key {
                let to = IpNetwork::from(IpAddr::from(number.address_in_tunnel()));
                peer.allowed.insert(to);
                self.entries.insert(Entry::Route(Way { to, via: None, mtu: None }));
            }
        }
    }

    fn lead_to(
        &mut self,
        id: &HostId,
        to: IpNetwork,
        network: &Network,
        view: &View,
        here: &Here<'_>,
        unreached: &mut BTreeSet<HostId>,
    ) {
        let Some((key, endpoint, outer)) = end_of(id, view, here) else {
            unreached.insert(id.clone());
            return;
        };
        let peer = self.peers.entry(key).or_insert_with(|| Peer { endpoint: Some(endpoint), ..Peer::default() });
        // Two hosts with one key: nobody can tell them apart.
        if peer.endpoint != Some(endpoint) || key == here.key {
            unreached.insert(id.clone());
            return;
        }
        peer.allowed.insert(to);
        let mtu = (outer < here.underlay.mtu).then(|| inner_mtu(outer, network, here.local));
        self.entries.insert(Entry::Route(Way { to, via: None, mtu }));
    }
}

/// This host, as encrypted networks see it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Here<'a> {
    pub(crate) id: &'a HostId,
    pub(crate) underlay: &'a Found,
    pub(crate) local: IpAddr,
    pub(crate) key: PublicKey,
}

/// A host's key, where it is reached, and how large the packets of its link are.
fn end_of(id: &HostId, view: &View, here: &Here<'_>) -> Option<(PublicKey, SocketAddr, u32)> {
    let host = view.hosts.get(id)?;
    let wireguard = host.wireguard.as_ref()?;
    let key = PublicKey::parse(&wireguard.public_key).ok()?;
    Some((key, SocketAddr::new(host.reached_from(here.local)?, wireguard.port), host.mtu))
}

/// Whether this kernel can encrypt.
pub(crate) fn is_there() -> Result<bool, Error> {
    match wireguard::Socket::open() {
        Err(wireguard::Error::Missing(_)) => Ok(false),
        outcome => Ok(outcome.map(|_| true)?),
    }
}

impl Tunnel {
    /// Makes the device, or takes the one that is there. Its peers stay until others are wanted.
    pub(crate) fn open(host: &mut Socket, underlay: &Found, local: IpAddr, port: u16) -> Result<Self, Error> {
        let key = private_key(Path::new(KEY))?;
        let mtu = room(underlay, local);
        let link = device(host, mtu)?;
        let mut wireguard = wireguard::Socket::open()?;
        let public_key = set_up(host, &mut wireguard, &link, &key, port)?;
        Ok(Self { wireguard, index: link.index, mtu, port, key, public_key, programmed: None })
    }

    /// Whether it is as it would be made now.
    pub(crate) fn fits(&self, underlay: &Found, local: IpAddr, port: u16) -> bool {
        (self.mtu, self.port) == (room(underlay, local), port)
    }

    /// Has the kernel be as it is wanted. What it is now is read, unless it is known.
    pub(crate) fn program(&mut self, host: &mut Socket, wanted: Wanted) -> Result<(), Error> {
        let now = match self.programmed.take() {
            Some(now) => now,
            None => self.read(host, &wanted)?,
        };
        // A peer may have what another one loses.
        self.wireguard.change_peers(self.index, &now.peers, &wanted.peers)?;
        ways::change(host, self.index, &now.entries, &wanted.entries)?;
        self.programmed = Some(wanted);
        Ok(())
    }

    fn read(&mut self, host: &mut Socket, wanted: &Wanted) -> Result<Wanted, Error> {
        let entries = ways::read(host, self.index, &wanted.entries)?;
        Ok(Wanted { peers: self.wireguard.device(self.index)?.peers, entries })
    }

    /// Puts right what is not as it should be, and says how much that was.
    pub(crate) fn compare(&mut self, host: &mut Socket) -> Result<u64, Error> {
        let Some(wanted) = self.programmed.take() else { return Ok(0) };
        let link = device(host, self.mtu)?;
        let mut drift = u64::from(link.index != self.index);
        self.index = link.index;
        let found = self.wireguard.device(self.index)?;
        if found.public_key != Some(self.public_key) || found.port != self.port || !link.up {
            drift += 1;
            set_up(host, &mut self.wireguard, &link, &self.key, self.port)?;
        }
        let now = self.read(host, &wanted)?;
        drift += now.entries.symmetric_difference(&wanted.entries).count() as u64;
        drift += different(&now.peers, &wanted.peers);
        let as_found = Wanted { peers: roamed(now.peers, &wanted.peers), entries: now.entries };
        self.programmed = Some(as_found);
        self.program(host, wanted)?;
        Ok(drift)
    }
}

/// The largest packet that fits into an encrypted one.
fn room(underlay: &Found, local: IpAddr) -> u32 {
    underlay.mtu.saturating_sub(mtu::wireguard_overhead(local))
}

/// Where a peer sends from may change: that is no difference.
fn different(now: &BTreeMap<PublicKey, Peer>, wanted: &BTreeMap<PublicKey, Peer>) -> u64 {
    let allowed = |peers: &BTreeMap<PublicKey, Peer>| -> BTreeSet<(PublicKey, IpNetwork)> {
        peers.iter().flat_map(|(key, peer)| peer.allowed.iter().map(|to| (*key, *to))).collect()
    };
    allowed(now).symmetric_difference(&allowed(wanted)).count() as u64
}

/// What is there, but for where peers that are wanted have sent from.
fn roamed(mut now: BTreeMap<PublicKey, Peer>, wanted: &BTreeMap<PublicKey, Peer>) -> BTreeMap<PublicKey, Peer> {
    for (key, peer) in &mut now {
        if let Some(wanted) = wanted.get(key) {
            peer.endpoint = wanted.endpoint;
        }
    }
    now
}

/// Removes the device.
pub(crate) fn remove(host: &mut Socket) -> Result<(), Error> {
    if let Some(link) = if_found(host.link(NAME))?
        && link.alias.as_deref() == Some(&*label())
    {
        if_found(host.delete_link(link.index))?;
    }
    Ok(())
}

fn device(host: &mut Socket, mtu: u32) -> Result<Link, Error> {
    let link = match if_found(host.link(NAME))? {
        Some(link) if link.alias.as_deref() != Some(&*label()) => {
            return Err(Error::Refused(format!(
                "there is a link {NAME} that is not the agent's: rename it, or remove it"
            )));
        }
        Some(link) => link,
        None => {
            let link = host.create_link(&NewLink { mtu: Some(mtu), ..NewLink::new(NAME, LinkKind::WireGuard) })?;
            host.change_link(link.index, &LinkChange { alias: Some(&label()), ..LinkChange::default() })?;
            link
        }
    };
    if link.mtu != mtu {
        host.change_link(link.index, &LinkChange { mtu: Some(mtu), ..LinkChange::default() })?;
    }
    Ok(link)
}

/// Its key, and its port. It is up when this returns.
fn set_up(
    host: &mut Socket,
    wireguard: &mut wireguard::Socket,
    link: &Link,
    key: &PrivateKey,
    port: u16,
) -> Result<PublicKey, Error> {
    wireguard.configure(link.index, key, port)?;
    quieten(host, link, NAME)?;
    host.change_link(link.index, &LinkChange { up: Some(true), ..LinkChange::default() })?;
    let public_key = wireguard.device(link.index)?.public_key;
    public_key.ok_or_else(|| Error::Refused(format!("the kernel has taken no key for {NAME}: remove {KEY}")))
}

/// The key that is in the file, or a new one that is from now on.
fn private_key(path: &Path) -> Result<PrivateKey, Error> {
    let failed = |source| Error::File { path: path.to_owned(), source };
    match files::read(path, LIMIT) {
        Ok(text) => {
            let key = std::str::from_utf8(&text).ok().and_then(|text| PrivateKey::parse(text.trim_end()).ok());
            key.ok_or_else(|| Error::Invalid {
                path: path.to_owned(),
                reason: "this is no WireGuard key: remove the file, and a new one is made".to_owned(),
            })
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let key = PrivateKey::random()?;
            write_new(path, &key).map_err(|source| Error::Write { path: path.to_owned(), source })?;
            Ok(key)
        }
        Err(error) => Err(failed(error)),
    }
}

/// Complete or not at all, and never readable by anybody else.
fn write_new(path: &Path, key: &PrivateKey) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o755).create(folder)?;
    }
    let unfinished = path.with_extension("new");
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
    writeln!(file, "{}", key.reveal())?;
    file.sync_all()?;
    fs::rename(unfinished, path)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_key_is_made_once_and_for_root_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state/wireguard.key");
        let key = private_key(&path).unwrap();
        assert_eq!(private_key(&path).unwrap(), key);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::write(&path, "no key").unwrap();
        assert!(private_key(&path).unwrap_err().to_string().contains("wireguard.key"));
    }
}
