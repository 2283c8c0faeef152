use std::net::IpAddr;
use std::time::Duration;

use cni_plugin::{AddResult, IfName, IpConfig, Route};
use ipnetwork::IpNetwork;
use netlink::{AddressSpec, LinkChange, Mac, Netns, Socket};

use crate::veth::Pair;
use crate::{Error, point_to_point};

/// How long duplicate address detection may take: the kernel's default is one probe and about two seconds.
const USABLE_WITHIN: Duration = Duration::from_secs(5);
/// How long the host's end may take to carry packets once the container's is up. It usually takes milliseconds.
const RUNNING_WITHIN: Duration = Duration::from_secs(5);

/// The desired state of the container's interface.
#[derive(Debug, Clone, Copy)]
pub struct Setup<'a> {
    /// The container's network namespace, entered to set IPv6's sysctls.
    pub netns: &'a Netns,
    /// The interface's name in the container (`CNI_IFNAME`).
    pub ifname: &'a IfName,
    /// The interface's index in the container's namespace.
    pub index: u32,
    /// Its Ethernet address, to be announced to neighbours; `None` if nothing is to be announced.
    pub mac: Option<Mac>,
    /// Its addresses, with their gateways.
    pub ips: &'a [IpConfig],
    /// Its routes. One without a gateway uses the first gateway of its family in `ips`, unless its scope is `link` or narrower.
    pub routes: &'a [Route],
    /// Whether to run IPv6 duplicate address detection, and wait for its outcome.
    pub detect_duplicates: bool,
    /// Whether the interface believes router advertisements, also in a container that forwards; `None` leaves it to the kernel.
    pub router_advertisements: Option<bool>,
    /// Whether packets are accepted whose answers would leave by another interface (`rp_filter` 2), as on a container that is on
    /// several networks; `false` leaves it to the kernel.
    pub loose_reverse_path: bool,
    /// Whether only the gateways can be reached on the link: all other hosts are behind them, even those of the same subnet.
    pub point_to_point: bool,
}

/// Sets the interface up with its sysctls, addresses and routes, and announces the addresses to the neighbours, because an
/// address may have been another container's a moment ago.
///
/// `inside` is a socket of the container's namespace. `host_end` is a socket of the host's namespace and the veth pair that
/// the link belongs to: the announcement waits until the other end carries packets, or it would be lost.
///
/// # Errors
/// The first step that failed. Removing the link is left to the caller.
pub fn configure(inside: &mut Socket, setup: &Setup<'_>, host_end: Option<(&mut Socket, &Pair)>) -> Result<(), Error> {
    if setup.has_ipv6() || setup.router_advertisements.is_some() || setup.loose_reverse_path {
        setup.netns.run(|| set_sysctls(setup))??;
    }
    let Some((host, pair)) = host_end else {
        setup.named(add_addresses_and_routes(inside, setup, Order::AddressesFirst))?;
        return setup.named(wait_for_ipv6(inside, setup));
    };
    setup.named(add_addresses_and_routes(inside, setup, Order::UpFirst))?;
    let running = host.wait_until_running(pair.host_index, RUNNING_WITHIN);
    running.map_err(|error| error.naming(pair.host_index, &pair.host_name))?;
    setup.named(wait_for_ipv6(inside, setup).and_then(|()| announce(inside, setup)))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    /// Going up announces the addresses: `arp_notify` and `ndisc_notify` work then as well (`inetdev_event`,
    /// net/ipv4/devinet.c; `ndisc_netdev_event`, net/ipv6/ndisc.c).
    AddressesFirst,
    /// For a link that cannot carry packets yet when it goes up, so that it would announce nothing.
    UpFirst,
}

impl<'a> Setup<'a> {
    /// An interface with the addresses and routes of a result; no announcement, no duplicate address detection.
    #[must_use]
    pub fn new(netns: &'a Netns, ifname: &'a IfName, index: u32, result: &'a AddResult) -> Self {
        let (ips, routes) = (&result.ips, &result.routes);
        Setup {
            netns,
            ifname,
            index,
            mac: None,
            ips,
            routes,
            detect_duplicates: false,
            router_advertisements: None,
            loose_reverse_path: false,
            point_to_point: false,
        }
    }
}

impl Setup<'_> {
    pub(crate) fn has_ipv6(&self) -> bool {
        self.ips.iter().any(|ip| ip.address.is_ipv6())
    }

    /// Has an error name the interface instead of its index, even if it no longer exists.
    pub(crate) fn named<T>(&self, outcome: netlink::Result<T>) -> Result<T, Error> {
        Ok(outcome.map_err(|error| error.naming(self.index, self.ifname.as_str()))?)
    }

    fn gateway_of_family(&self, dst: &IpNetwork) -> Option<IpAddr> {
        self.ips.iter().filter_map(|ip| ip.gateway).find(|gateway| gateway.is_ipv4() == dst.is_ipv4())
    }

    fn is_on_link(&self, gateway: IpAddr) -> bool {
        self.ips
            .iter()
            .any(|ip| if self.point_to_point { ip.gateway == Some(gateway) } else { ip.address.contains(gateway) })
    }

    pub(crate) fn kernel_route(&self, route: &Route) -> netlink::Route {
        // What is on the link itself has no gateway.
        let beyond_link = route.scope.is_none_or(|scope| scope < netlink::scope::LINK);
        let implied = || self.gateway_of_family(&route.dst).filter(|_| beyond_link);
        let gateway = route.gw.or_else(implied).filter(|gateway| !gateway.is_unspecified());
        netlink::Route {
            gateway,
            link: Some(self.index),
            mtu: route.mtu,
            advmss: route.advmss,
            priority: route.priority,
            table: route.table.filter(|table| *table != 0).unwrap_or(netlink::table::MAIN),
            scope: route.scope,
            // A gateway outside the address's subnet can only be meant to be reached over this link.
            onlink: gateway.is_some_and(|gateway| !self.is_on_link(gateway)),
            ..netlink::Route::new(route.dst)
        }
    }
}

fn set_sysctls(setup: &Setup<'_>) -> Result<(), Error> {
    if setup.loose_reverse_path {
        loosen_reverse_path(setup.ifname.as_str())?;
    }
    set_ipv6_sysctls(setup)
}

/// Where source addresses are not validated at all (0), they need not be.
fn loosen_reverse_path(ifname: &str) -> Result<(), Error> {
    let key = ["ipv4", "conf", ifname, "rp_filter"];
    if sysctl::read(&key)? == "1" {
        sysctl::take_precaution(&key, "2")?;
    }
    Ok(())
}

/// The IPv6 sysctls that have to be set before the link is up. That is only possible from inside the namespace.
pub(crate) fn set_ipv6_sysctls(setup: &Setup<'_>) -> Result<(), Error> {
    let ifname = setup.ifname.as_str();
    // Runtimes switch IPv6 off in namespaces that have no IPv6 address yet. On lo as well, because packets to a
    // container's own addresses go through it.
    if setup.has_ipv6() || setup.router_advertisements == Some(true) {
        for link in ["lo", ifname] {
            sysctl::set_if_different(&["ipv6", "conf", link, "disable_ipv6"], "0")?;
        }
    }
    if setup.has_ipv6() {
        prepare_for_addresses(setup)?;
    }
    match setup.router_advertisements {
        // 1 means: unless it forwards.
        Some(true) => sysctl::set_if_different(&["ipv6", "conf", ifname, "accept_ra"], "2").map(drop)?,
        Some(false) => refuse_router_advertisements(ifname)?,
        None => {}
    }
    Ok(())
}

/// Takes neither routes nor addresses from router advertisements. On a kernel without IPv6 there is nothing to do.
fn refuse_router_advertisements(ifname: &str) -> Result<(), Error> {
    for key in ["accept_ra", "autoconf"] {
        match sysctl::set_if_different(&["ipv6", "conf", ifname, key], "0") {
            Err(error) if error.is_not_found() => {}
            outcome => drop(outcome?),
        }
    }
    Ok(())
}

fn prepare_for_addresses(setup: &Setup<'_>) -> Result<(), Error> {
    let detect = if setup.detect_duplicates { "1" } else { "0" };
    for (key, value) in [("accept_dad", detect), ("ndisc_notify", "1"), ("keep_addr_on_down", "1")] {
        sysctl::take_precaution(&["ipv6", "conf", setup.ifname.as_str(), key], value)?;
    }
    Ok(())
}

fn add_addresses_and_routes(socket: &mut Socket, setup: &Setup<'_>, order: Order) -> netlink::Result<()> {
    let mut batch = socket.batch();
    let up = (order == Order::UpFirst).then_some(true);
    batch.change_link(setup.index, &LinkChange { up, arp_notify: true, ..LinkChange::default() });
    for ip in setup.ips {
        batch.add_address(&AddressSpec {
            detect_duplicates: setup.detect_duplicates,
            prefix_route: !setup.point_to_point,
            ..AddressSpec::new(setup.index, ip.address)
        });
    }
    if setup.point_to_point {
        for (route, source) in point_to_point::sourced_routes(setup.ips) {
            batch.add_parallel_route(&netlink::Route { source: Some(source), ..setup.kernel_route(&route) });
        }
    }
    if order == Order::AddressesFirst {
        batch.set_up(setup.index);
    }
    // The kernel takes routes only on a link that is up.
    for route in setup.routes {
        // A container on several networks has a default route through each, as with the Go suite.
        batch.add_parallel_route(&setup.kernel_route(route));
    }
    batch.send()
}

fn wait_for_ipv6(socket: &mut Socket, setup: &Setup<'_>) -> netlink::Result<()> {
    // Without a carrier the kernel postpones duplicate address detection until there is one.
    if setup.detect_duplicates && !socket.link(setup.index)?.carrier {
        return Ok(());
    }
    let awaited: Vec<IpAddr> = setup.ips.iter().map(|ip| ip.address.ip()).filter(IpAddr::is_ipv6).collect();
    if setup.detect_duplicates && !awaited.is_empty() {
        socket.wait_until_usable(setup.index, &awaited, USABLE_WITHIN)?;
    }
    socket.wait_until_local(setup.index, &awaited, USABLE_WITHIN)
}

/// Announces the addresses to the neighbours.
///
/// The kernel does it for us, with a gratuitous ARP and an unsolicited Neighbor Advertisement for each address, whenever a
/// link's hardware address is set (`inetdev_event`, net/ipv4/devinet.c; `ndisc_netdev_event`, net/ipv6/ndisc.c), even to
/// what it was, if `arp_notify` and `ndisc_notify` allow it. Frames of our own would need a packet socket, and closing one
/// waits 10 ms for an RCU grace period.
pub(crate) fn announce(socket: &mut Socket, setup: &Setup<'_>) -> netlink::Result<()> {
    match setup.mac {
        Some(_) if !setup.ips.is_empty() => {
            socket.change_link(setup.index, &LinkChange { mac: setup.mac, ..LinkChange::default() })
        }
        _ => Ok(()),
    }
}
