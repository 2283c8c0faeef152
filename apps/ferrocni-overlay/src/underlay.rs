//! The network underneath: where other hosts reach this one, and how large its packets are.

use std::net::IpAddr;

use ip::Family;
use netlink::{Link, Route, RouteType, Socket, if_found, scope, table};
use overlay::{Host, WireGuard, mtu};

use crate::Error;
use crate::configuration::{Configuration, Underlay};

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// One address for a family, the preferred one first.
    pub(crate) addresses: Vec<IpAddr>,
    /// That of the link, in bytes.
    pub(crate) mtu: u32,
}

impl Found {
    /// Looks for it, where the configuration says.
    ///
    /// # Errors
    /// What is missing.
    pub(crate) fn look(configuration: &Configuration) -> Result<Self, Error> {
        let mut host = Socket::open()?;
        match &configuration.underlay {
            Some(Underlay::Addresses(addresses)) => at(&mut host, addresses),
            Some(Underlay::Link(name)) => match if_found(host.link(name.as_str()))? {
                Some(link) => on(&mut host, &link),
                None => Err(Error::Underlay(format!("there is no link {name}, which \"underlay\" names"))),
            },
            None => {
                let link = default_link(&mut host)?;
                on(&mut host, &link)
            }
        }
    }

    /// The address that packets of networks are sent from.
    pub(crate) fn address(&self) -> Option<IpAddr> {
        self.addresses.first().copied()
    }

    /// What others have to know of this host.
    pub(crate) fn describe(&self, name: String, wireguard: Option<WireGuard>) -> Host {
        Host { name, underlay: self.addresses.clone(), mtu: self.mtu, wireguard }
    }
}

fn at(host: &mut Socket, addresses: &[IpAddr]) -> Result<Found, Error> {
    let all = host.all_addresses()?;
    let mut mtus = Vec::new();
    for wanted in addresses {
        let Some(found) = all.iter().find(|address| address.network.ip() == *wanted) else {
            return Err(Error::Underlay(format!(
                "this host does not have the address {wanted}, which \"underlay\" names"
            )));
        };
        mtus.push(host.link(found.link)?.mtu);
    }
    found(addresses.to_vec(), mtus.into_iter().min())
}

fn on(host: &mut Socket, link: &Link) -> Result<Found, Error> {
    let all = host.addresses(link.index)?;
    let usable = |family| {
        let of_family = all.iter().filter(move |address| Family::of(address.network.ip()) == family);
        of_family
            .filter(|address| address.scope == scope::UNIVERSE && !address.secondary)
            .map(|it| it.network.ip())
            .next()
    };
    let addresses: Vec<_> = Family::ALL.into_iter().filter_map(usable).collect();
    if addresses.is_empty() {
        return Err(Error::Underlay(format!(
            "link {} has no address by which other hosts could reach this one",
            link.name
        )));
    }
    found(addresses, Some(link.mtu))
}

fn found(addresses: Vec<IpAddr>, mtu: Option<u32>) -> Result<Found, Error> {
    let mtu = mtu.unwrap_or(1500).min(mtu::LARGEST);
    if mtu < mtu::SMALLEST {
        return Err(Error::Underlay(format!(
            "the link to other hosts carries packets of {mtu} bytes, and {} are needed",
            mtu::SMALLEST
        )));
    }
    Ok(Found { addresses, mtu })
}

/// The link of the default route.
fn default_link(host: &mut Socket) -> Result<Link, Error> {
    for family in Family::ALL {
        let routes = host.routes(family, None, table::MAIN)?;
        let default = |route: &&Route| route.is_default() && route.kind == RouteType::Unicast;
        let best = routes.iter().filter(default).min_by_key(|route| route.priority.unwrap_or_default());
        if let Some(link) = best.and_then(|route| route.link) {
            return Ok(host.link(link)?);
        }
    }
    Err(Error::Underlay(
        "there is no default route: name the link to other hosts in the configuration, as \"underlay\": \"eth1\""
            .to_owned(),
    ))
}
