//! The host's links, and which of them are worth showing.

use std::collections::{BTreeSet, HashMap, HashSet};

use cni::Attachment;
use ip::Family;
use netlink::{Address, LinkKind, Socket, scope, table};
use suite::Labelled as _;

use super::graph::{Link, Network};

/// Everything that is asked of the kernel, once.
pub(super) struct HostLinks {
    by_index: HashMap<u32, netlink::Link>,
    by_name: HashMap<String, u32>,
    labelled: HashMap<Attachment, String>,
    addresses: Vec<Address>,
    /// The links of default routes, the most preferred one first.
    default_routes: Vec<u32>,
}

/// The kinds of links that sit on another one. (A veth has its other end there instead.)
const STACKED: [&str; 7] = ["vlan", "macvlan", "macvtap", "ipvlan", "ipvtap", "vxlan", "macsec"];
/// The kinds that are shown even without an address.
const STRUCTURE: [&str; 7] = ["bridge", "bond", "team", "vlan", "vxlan", "vrf", "wireguard"];

impl HostLinks {
    pub(super) fn read(host: &mut Socket) -> Result<Self, netlink::Error> {
        let links = host.links()?;
        let veths = links.iter().filter(|link| is_veth(link));
        let labelled =
            veths.filter_map(|link| Some((Attachment::from_label(link.alias.as_deref()?)?, link.name.clone())));
        Ok(Self {
            labelled: labelled.collect(),
            by_name: links.iter().map(|link| (link.name.clone(), link.index)).collect(),
            addresses: host.all_addresses()?,
            default_routes: default_routes(host)?,
            by_index: links.into_iter().map(|link| (link.index, link)).collect(),
        })
    }

    /// The attachments of which a host's end tells, with that.
    pub(super) fn labelled(&self) -> &HashMap<Attachment, String> {
        &self.labelled
    }

    /// Whether there is a veth of that name and hardware address.
    pub(super) fn is_veth(&self, name: &str, mac: &str) -> bool {
        let is_it = |link: &netlink::Link| is_veth(link) && link.mac.is_some_and(|known| known.to_string() == mac);
        self.named(name).is_some_and(is_it)
    }

    pub(super) fn master_of(&self, name: &str) -> Option<String> {
        Some(self.by_index.get(&self.named(name)?.master?)?.name.clone())
    }

    /// The link that the most preferred default route leaves through.
    pub(super) fn of_default_route(&self) -> Option<String> {
        Some(self.by_index.get(self.default_routes.first()?)?.name.clone())
    }

    /// Physical links, those with addresses, those that connect others, those of networks, and what all these sit on. Not
    /// the ends of containers' links, though they may have addresses.
    pub(super) fn that_matter(&self, ends: &HashSet<String>, networks: &[Network]) -> Vec<Link> {
        self.with_what_carries_them(|link| {
            self.is_of(networks, Some(link.index)) || (!ends.contains(&link.name) && self.matters(link))
        })
    }

    /// The links of these networks with their ports, the ways out, and what all these sit on.
    pub(super) fn of_networks(&self, ends: &HashSet<String>, networks: &[Network]) -> Vec<Link> {
        self.with_what_carries_them(|link| {
            let is_port = self.is_of(networks, link.master) && !ends.contains(&link.name) && self.matters(link);
            self.is_of(networks, Some(link.index)) || is_port || self.has_default_route(link)
        })
    }

    /// Whether the link of that index is one of the networks'.
    fn is_of(&self, networks: &[Network], index: Option<u32>) -> bool {
        let link = index.and_then(|index| self.by_index.get(&index));
        link.is_some_and(|link| networks.iter().any(|network| network.interface.as_ref() == Some(&link.name)))
    }

    fn with_what_carries_them(&self, is_wanted: impl Fn(&netlink::Link) -> bool) -> Vec<Link> {
        let wanted = self.by_index.values().filter(|link| is_wanted(link));
        let mut todo: Vec<u32> = wanted.map(|link| link.index).collect();
        let mut shown = BTreeSet::new();
        while let Some(link) = todo.pop().and_then(|index| self.by_index.get(&index)) {
            if shown.insert(link.index) {
                todo.extend(parent(link).into_iter().chain(link.master));
            }
        }
        shown.iter().filter_map(|index| Some(self.describe(self.by_index.get(index)?))).collect()
    }

    fn matters(&self, link: &netlink::Link) -> bool {
        let shows_itself = match link.kind.as_deref() {
            None => true,
            Some(kind) => STRUCTURE.contains(&kind),
        };
        // The loopback has no kind either, and leads nowhere.
        link.name != "lo" && (shows_itself || self.addresses_of(link).next().is_some() || self.has_default_route(link))
    }

    fn describe(&self, link: &netlink::Link) -> Link {
        let name_of = |index: u32| self.by_index.get(&index).map(|link| link.name.clone());
        Link {
            name: link.name.clone(),
            kind: link.kind.clone().unwrap_or_default(),
            up: link.up,
            mac: link.mac.map(|mac| mac.to_string()),
            mtu: link.mtu,
            addresses: self.addresses_of(link).map(|address| address.network.to_string()).collect(),
            default_route: self.has_default_route(link),
            parent: parent(link).and_then(name_of),
            master: link.master.and_then(name_of),
            vlan: match link.options {
                Some(LinkKind::Vlan { id }) => Some(id),
                _ => None,
            },
        }
    }

    fn addresses_of(&self, link: &netlink::Link) -> impl Iterator<Item = &Address> {
        let index = link.index;
        let reaches_far = |address: &&Address| !matches!(address.scope, scope::LINK | scope::HOST);
        self.addresses.iter().filter(move |address| address.link == index).filter(reaches_far)
    }

    fn has_default_route(&self, link: &netlink::Link) -> bool {
        self.default_routes.contains(&link.index)
    }

    fn named(&self, name: &str) -> Option<&netlink::Link> {
        self.by_index.get(self.by_name.get(name)?)
    }
}

fn is_veth(link: &netlink::Link) -> bool {
    link.kind.as_deref() == Some("veth")
}

/// The link that it sits on, if that is in this namespace.
fn parent(link: &netlink::Link) -> Option<u32> {
    let is_stacked = link.kind.as_deref().is_some_and(|kind| STACKED.contains(&kind));
    link.peer_index.filter(|_| is_stacked && link.peer_netns_id.is_none())
}

/// IPv4's before IPv6's, of each the lower metric first.
fn default_routes(host: &mut Socket) -> Result<Vec<u32>, netlink::Error> {
    let mut links = Vec::new();
    for family in Family::ALL {
        let mut routes = host.routes(family, None, table::MAIN)?;
        routes.retain(netlink::Route::is_default);
        routes.sort_by_key(|route| route.priority);
        links.extend(routes.iter().filter_map(|route| route.link));
    }
    Ok(links)
}
