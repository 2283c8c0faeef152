#![doc = include_str!("../README.md")]

mod allocator;
mod boot;
mod config;
mod error;
mod owner;
mod range;
mod resolv;
mod store;

use std::collections::HashSet;
use std::net::IpAddr;

use cni_plugin::{Add, AddResult, Check, Del, Dns, Gc, IpConfig, Network, Plugin, SpecVersion, Status, Undo};
use ipnetwork::IpNetwork;

pub use config::Config;
pub use error::Error;
pub use owner::{Holder, Owner};
pub use range::{Range, RangeError, RangeSet, RangeSpec};
pub use store::Store;

/// How many addresses are tried one by one before the folder is listed to find a free one.
const PROBES: usize = 32;

/// The plugin.
#[derive(Debug, Clone, Copy)]
pub struct HostLocal;

impl Plugin for HostLocal {
    type Config = Config;
    type Error = Error;
    const NAME: &'static str = "host-local";
    const ABOUT: &'static str = "gives addresses from ranges, reserved in files on this host";
    const VERSIONS: &'static [SpecVersion] = SpecVersion::ALL;

    fn add(request: &Add<Config>, undo: &mut Undo) -> Result<AddResult, Error> {
        let network = &request.network;
        let sets = config::range_sets(network)?;
        let wishes = assign(&sets, config::requested(network)?)?;
        let dns = network.config.resolv_conf()?.map_or_else(|| Ok(Dns::default()), resolv::read)?;
        let routes = network.config.routes()?.to_vec();
        let ips = Allocation::start(request, undo)?.one_of_each(&sets, &wishes)?;
        Ok(AddResult { ips, routes, dns, ..AddResult::default() })
    }

    fn del(request: &Del<Config>) -> Result<(), Error> {
        let Some(mut store) = existing_store(&request.network)? else { return Ok(()) };
        Ok(store.release(&Owner::from(&request.attachment))?)
    }

    fn check(request: &Check<Config>) -> Result<(), Error> {
        let sets = config::range_sets(&request.network)?;
        let owner = Owner::from(&request.attachment);
        let Some(store) = existing_store(&request.network)? else { return Err(nothing_reserved(owner, &sets)) };
        let held = store.held_by(&owner)?;
        if held.is_empty() {
            return Err(nothing_reserved(owner, &sets));
        }
        let reported: Vec<IpAddr> = request.expected.ips.iter().map(|ip| ip.address.ip()).collect();
        compare(&store, &owner, &held, &reported, &sets)
    }

    fn gc(request: &Gc<Config>) -> Result<(), Error> {
        let Some(mut store) = existing_store(&request.network)? else { return Ok(()) };
        let valid: HashSet<Owner> = request
            .valid
            .iter()
            .flat_map(|attachment| {
                let owner = Owner::from(attachment);
                [owner.without_interface(), owner]
            })
            .collect();
        Ok(store.retain(|owner| valid.contains(owner))?)
    }

    fn status(request: &Status<Config>) -> Result<(), Error> {
        would_succeed(&request.network)
    }
}

fn existing_store(network: &Network<Config>) -> Result<Option<Store>, Error> {
    Store::open_existing(network.config.data_dir()?, &network.name)
}

/// Which set has to give which requested address. Decided before anything is reserved: a wish that cannot be fulfilled
/// fails the whole ADD.
fn assign(sets: &[RangeSet], requested: Vec<IpAddr>) -> Result<Vec<Option<IpAddr>>, Error> {
    let mut wishes = vec![None; sets.len()];
    for address in requested {
        let Some(i) = sets.iter().position(|set| set.range_of(address).is_some()) else {
            return Err(Error::RequestedOutside { address, ranges: list(sets) });
        };
        let ranges = sets[i].to_string();
        if sets[i].is_gateway(address) {
            return Err(Error::RequestedGateway { address, ranges });
        }
        if let Some(first) = wishes[i].replace(address) {
            return Err(Error::RequestedTwice { first, second: address, ranges });
        }
    }
    Ok(wishes)
}

fn list(sets: &[RangeSet]) -> String {
    sets.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// An ADD that holds the lock.
struct Allocation<'a> {
    request: &'a Add<Config>,
    undo: &'a mut Undo,
    owner: Owner,
    store: Store,
}

impl<'a> Allocation<'a> {
    fn start(request: &'a Add<Config>, undo: &'a mut Undo) -> Result<Self, Error> {
        let store = Store::open(request.network.config.data_dir()?, &request.network.name)?;
        Ok(Self { request, undo, owner: Owner::from(&request.attachment), store })
    }

    /// One address of each set.
    fn one_of_each(mut self, sets: &[RangeSet], wishes: &[Option<IpAddr>]) -> Result<Vec<IpConfig>, Error> {
        let held = self.store.held_by(&self.owner)?;
        let mut ips = Vec::new();
        for (i, (set, wish)) in sets.iter().zip(wishes).enumerate() {
            let address = match wish {
                Some(wish) => self.requested(*wish)?,
                None => self.next(i, set, &held)?,
            };
            self.store.set_last_reserved(i, address)?;
            ips.extend(set.range_of(address).and_then(|range| {
                let with_prefix = IpNetwork::new(address, range.prefix()).ok()?;
                Some(IpConfig { interface: None, address: with_prefix, gateway: Some(range.gateway()) })
            }));
        }
        Ok(ips)
    }

    /// As the reference, a requested address is given even if the container has another one already.
    fn requested(&mut self, address: IpAddr) -> Result<IpAddr, Error> {
        if self.reserve(address)? {
            return Ok(address);
        }
        let holder = match self.store.holder(address)? {
            Holder::Owner(owner) => owner.to_string(),
            Holder::Nobody | Holder::Unknown => "a file that names no container".into(),
        };
        Err(Error::RequestedTaken { address, holder, dir: self.store.dir().into() })
    }

    fn next(&mut self, i: usize, set: &RangeSet, held: &[IpAddr]) -> Result<IpAddr, Error> {
        if let Some(address) = held.iter().find(|address| set.range_of(**address).is_some()) {
            return Err(Error::Duplicate { owner: self.owner.clone(), address: *address });
        }
        let last = self.store.last_reserved(i);
        for address in allocator::candidates(set, last).take(PROBES) {
            if self.reserve(address)? {
                return Ok(address);
            }
        }
        let mut taken = self.store.addresses()?;
        while let Some(address) = allocator::first_free(set, last, &taken) {
            if self.reserve(address)? {
                return Ok(address);
            }
            taken.push(address);
        }
        Err(exhausted(&self.store, set, &taken))
    }

    fn reserve(&mut self, address: IpAddr) -> Result<bool, Error> {
        let reserved = self.store.reserve(&self.owner, address)?;
        if reserved {
            let data_dir = self.request.network.config.data_dir()?.to_owned();
            let (network, owner) = (self.request.network.name.clone(), self.owner.clone());
            self.undo.push(format!("free {address}"), move || match Store::open_existing(&data_dir, &network)? {
                Some(mut store) => store.release_address(&owner, address),
                None => Ok::<_, Error>(()),
            });
        }
        Ok(reserved)
    }
}

/// How many of the taken addresses are in the set and could have been given.
fn count(set: &RangeSet, taken: &[IpAddr]) -> usize {
    taken.iter().filter(|address| set.range_of(**address).is_some() && !set.is_gateway(**address)).count()
}

fn exhausted(store: &Store, set: &RangeSet, taken: &[IpAddr]) -> Error {
    Error::Exhausted {
        ranges: set.to_string(),
        reserved: count(set, taken),
        capacity: set.capacity(),
        dir: store.dir().into(),
    }
}

fn nothing_reserved(owner: Owner, sets: &[RangeSet]) -> Error {
    Error::NothingReserved { owner, ranges: list(sets) }
}

/// Every reported address of our ranges is held (other plugins of the chain may report their own), and none besides.
fn compare(store: &Store, owner: &Owner, held: &[IpAddr], reported: &[IpAddr], sets: &[RangeSet]) -> Result<(), Error> {
    let mut ours = reported.iter().filter(|address| sets.iter().any(|set| set.range_of(**address).is_some()));
    if let Some(address) = ours.find(|address| !held.contains(address)) {
        let found = store.holder(*address)?.to_string();
        return Err(Error::Differs { address: *address, owner: owner.clone(), found });
    }
    match held.iter().find(|address| !reported.contains(address)) {
        Some(address) => Err(Error::Unreported { owner: owner.clone(), address: *address }),
        None => Ok(()),
    }
}

/// Would an ADD find its folder writable and an address in each set?
fn would_succeed(network: &Network<Config>) -> Result<(), Error> {
    let sets = config::range_sets(network)?;
    let store = Store::open(network.config.data_dir()?, &network.name)?;
    store.try_writing()?;
    let taken = store.addresses()?;
    match sets.iter().find(|set| count(set, &taken) as u128 >= set.capacity()) {
        Some(full) => Err(exhausted(&store, full, &taken)),
        None => Ok(()),
    }
}
