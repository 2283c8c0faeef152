//! Packets between two hosts, and between two containers on them, in different ways.

use std::net::{Ipv4Addr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::cluster::Cluster;
use crate::error::{Error, Result};
use crate::host::{Host, WIRE, ip};
use crate::networks;
use crate::packets::stream_to;
use crate::statistics::Summary;
use crate::suite::{Container, Suite, first_address};

/// How many datagrams one measurement of answers sends, and where.
const DATAGRAMS: usize = 4000;
const PORT: u16 = 7;
/// Longer than any answer should take.
const PATIENCE: Duration = Duration::from_secs(2);

/// A container on the first host, and one on the second with its address; or the hosts themselves.
pub(super) struct Way {
    client: Option<PathBuf>,
    server: Option<PathBuf>,
    address: Ipv4Addr,
}

/// The ways.
pub(super) struct Lanes<'a> {
    hosts: &'a [Host; 2],
    /// The overlay, between containers.
    pub(super) overlay: Way,
    /// The overlay between the hosts, and a VXLAN device between the same.
    pub(super) hosts_by_overlay: Way,
    pub(super) hosts_bare: Way,
    /// The same two namespaces, with a VXLAN device in each.
    pub(super) bare: Way,
    /// Two others, with links and routes by hand over a VXLAN device of the hosts: what any design that routes pays.
    pub(super) by_hand: Way,
}

impl<'a> Lanes<'a> {
    pub(super) fn new(cluster: &'a Cluster, suite: &Suite) -> Result<Self> {
        let hosts = &cluster.hosts;
        let (mut namespaces, mut addresses) = (Vec::new(), Vec::new());
        for host in hosts {
            let (namespace, address) = attach(host, suite)?;
            namespaces.push(namespace);
            addresses.push(address);
        }
        let way = |namespaces: &[PathBuf], address| Way {
            client: namespaces.first().cloned(),
            server: namespaces.get(1).cloned(),
            address,
        };
        let overlay = way(&namespaces, addresses[1]);
        let mut by_hand = Vec::new();
        for (place, host) in hosts.iter().enumerate() {
            add_bare(host, place, &namespaces[place])?;
            by_hand.push(add_by_hand(host, place)?);
        }
        let bare = way(&namespaces, Ipv4Addr::new(10, 98, 0, 2));
        let by_hand = way(&by_hand, Ipv4Addr::new(10, 97, 2, 2));
        let hosts_by_overlay = way(&[], own_address(&hosts[1])?);
        let hosts_bare = way(&[], Ipv4Addr::new(10, 97, 0, 2));
        Ok(Self { hosts, overlay, hosts_by_overlay, hosts_bare, bare, by_hand })
    }

    /// Bits in a second of one TCP stream.
    pub(super) fn stream(&self, way: &Way) -> Result<f64> {
        let serve = || {
            let mut command = Command::new("iperf3");
            command.args(["--server", "--one-off"]).stdout(Stdio::null()).stderr(Stdio::null());
            command.spawn().map_err(Error::file("iperf3"))
        };
        let mut server = at(&self.hosts[1], way.server.as_deref(), serve)?;
        let measured = at(&self.hosts[0], way.client.as_deref(), || stream_to(way.address));
        if measured.is_err() {
            let _ = server.kill();
        }
        server.wait().map_err(Error::file("iperf3"))?;
        measured
    }

    /// Seconds until a datagram is answered, the median of many.
    pub(super) fn answer(&self, way: &Way) -> Result<f64> {
        let failed = || Error::file("a datagram's socket");
        let open = |port| {
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).map_err(failed())?;
            socket.set_read_timeout(Some(PATIENCE)).map_err(failed())?;
            Ok(socket)
        };
        let server = at(&self.hosts[1], way.server.as_deref(), || open(PORT))?;
        let client = at(&self.hosts[0], way.client.as_deref(), || open(0))?;
        client.connect((way.address, PORT)).map_err(failed())?;
        let times = thread::scope(|scope| {
            scope.spawn(|| {
                let mut datagram = [0; 64];
                for _ in 0..DATAGRAMS {
                    let Ok((length, from)) = server.recv_from(&mut datagram) else { return };
                    let _ = server.send_to(&datagram[..length], from);
                }
            });
            let exchange = |_| {
                let started = Instant::now();
                client.send(&[0; 56]).map_err(failed())?;
                client.recv(&mut [0; 64]).map_err(failed())?;
                Ok(started.elapsed().as_secs_f64())
            };
            (0..DATAGRAMS).map(exchange).collect::<Result<Vec<_>>>()
        })?;
        Ok(Summary::of(&times).ok_or(Error::NothingMeasured)?.median)
    }
}

/// Does something in a container, or on the host itself.
fn at<T: Send>(host: &Host, namespace: Option<&Path>, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    match namespace {
        Some(namespace) => host.inside(namespace, work),
        None => host.run(work),
    }
}

/// The address that a host itself has in the overlay: the first of its block.
fn own_address(host: &Host) -> Result<Ipv4Addr> {
    let state = super::state(host)?;
    let block = state["blocks"][0].as_str().and_then(|block| block.split('/').next());
    block.and_then(|first| first.parse().ok()).ok_or(Error::NothingMeasured)
}

/// A container on the overlay, and its address.
fn attach(host: &Host, suite: &Suite) -> Result<(PathBuf, Ipv4Addr)> {
    let namespace = host.add_namespace("talker")?;
    let container = Container { id: "talker".into(), namespace: namespace.clone(), ports: Vec::new() };
    let result = host.run(|| suite.add(&networks::overlay(), &container))?.outcome;
    Ok((namespace, first_address(&result).ok_or(Error::NothingMeasured)?))
}

/// A VXLAN device that only knows the other host, as plain as it can be.
fn add_vxlan(host: &Host, place: usize, name: &str, vni: &str) -> Result<()> {
    let [own, other] = [place + 1, 2 - place].map(|number| format!("192.0.2.{number}"));
    let options = ["type", "vxlan", "id", vni, "local", &own, "remote", &other, "dstport", "4790", "dev", WIRE];
    host.run(|| ip(&[&["link", "add", name], &options[..]].concat()))
}

/// One in a container's own namespace.
fn add_bare(host: &Host, place: usize, namespace: &Path) -> Result<()> {
    add_vxlan(host, place, "bare", "98")?;
    let path = namespace.display().to_string();
    host.run(|| ip(&["link", "set", "bare", "netns", &path]))?;
    host.inside(namespace, || {
        ip(&["address", "add", &format!("10.98.0.{}/24", place + 1), "dev", "bare"])?;
        ip(&["link", "set", "bare", "up"])
    })
}

/// One on the host, and a container with a pair of links and routes.
fn add_by_hand(host: &Host, place: usize) -> Result<PathBuf> {
    let namespace = host.add_namespace("hand")?;
    add_vxlan(host, place, "hand", "97")?;
    let (own, other) = (place + 1, 2 - place);
    let path = namespace.display().to_string();
    host.run(|| {
        ip(&["address", "add", &format!("10.97.0.{own}/24"), "dev", "hand"])?;
        ip(&["link", "set", "hand", "up"])?;
        ip(&[
            "link", "add", "pair", "up", "mtu", "1450", "type", "veth", "peer", "name", "eth0", "mtu", "1450", "netns",
            &path,
        ])?;
        ip(&["address", "add", &format!("10.97.{own}.1/24"), "dev", "pair"])?;
        ip(&["route", "add", &format!("10.97.{other}.0/24"), "via", &format!("10.97.0.{other}")])
    })?;
    host.inside(&namespace, || {
        ip(&["address", "add", &format!("10.97.{own}.2/24"), "dev", "eth0"])?;
        ip(&["link", "set", "eth0", "up"])?;
        ip(&["route", "add", "default", "via", &format!("10.97.{own}.1")])
    })?;
    Ok(namespace)
}
