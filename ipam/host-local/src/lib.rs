#![doc = include_str!("../README.md")]

mod allocator;
mod boot;
mod config;
mod error;
mod owner;
mod range;
mod resolv;
mod store;
mod usage;

use std::collections::HashSet;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use cni_plugin::{Add, AddResult, Check, Del, Dns, Gc, IpConfig, NetworkName, Plugin, SpecVersion, Status, Undo};
use ipnetwork::IpNetwork;

pub use config::{Config, DEFAULT_DATA_DIR};
pub use error::Error;
pub use owner::{Holder, Owner};
pub use range::{Range, RangeError, RangeSet, RangeSets, RangeSpec};
pub use store::Store;
pub use usage::{Usage, holders, usage};

/// How many addresses are tried one by one before the folder is listed to find a free one.
const PROBES: usize = 32;

/// The IPAM plugin `host-local`.
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
        let keys = network.config.keys()?;
        let sets = keys.range_sets(network.version)?;
        let wishes = assign(&sets, keys.requested(network)?)?;
        let dns = keys.ipam()?.resolv_conf().map_or_else(|| Ok(Dns::default()), resolv::read)?;
        let routes = keys.ipam()?.routes.clone();
        let ips = Allocation::start(request, undo)?.one_of_each(&sets, &wishes)?;
        Ok(AddResult::default().with_ips(ips).with_routes(routes).with_dns(dns))
    }

    fn del(request: &Del<Config>) -> Result<(), Error> {
        let network = &request.network;
        let Some(mut store) = Store::open_existing(&network.config.data_dir()?, &network.name)? else { return Ok(()) };
        Ok(store.release(&Owner::from(&request.attachment))?)
    }

    fn check(request: &Check<Config>) -> Result<(), Error> {
        let network = &request.network;
        let sets = network.config.keys()?.range_sets(network.version)?;
        let owner = Owner::from(&request.attachment);
        let store = Store::look(&network.config.data_dir()?, &network.name)?;
        let Some(store) = store else { return Err(nothing_reserved(owner, &sets)) };
        let held = store.held_by(&owner)?;
        if held.is_empty() {
            return Err(nothing_reserved(owner, &sets));
        }
        let reported: HashSet<IpAddr> = request.expected.ips.iter().map(|ip| ip.address.ip()).collect();
        compare(&store, &owner, &held, &reported, &sets)
    }

    fn gc(request: &Gc<Config>) -> Result<(), Error> {
        let network = &request.network;
        let Some(mut store) = Store::open_existing(&network.config.data_dir()?, &network.name)? else { return Ok(()) };
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

    /// A range that is full is no reason to fail: it says nothing of the network, and a runtime that hears of a failure may take
    /// the whole host out of service.
    fn status(request: &Status<Config>) -> Result<(), Error> {
        let network = &request.network;
        network.config.keys()?.range_sets(network.version)?;
        Store::try_writing(&network.config.data_dir()?, &network.name)
    }
}

/// Which set has to give which requested address. Decided before anything is reserved: a wish that cannot be fulfilled
/// fails the whole ADD.
fn assign(sets: &RangeSets, requested: Vec<IpAddr>) -> Result<Vec<Option<IpAddr>>, Error> {
    let mut wishes = vec![None; sets.iter().len()];
    for address in requested {
        let Some((i, set)) = sets.of(address) else {
            return Err(Error::RequestedOutside { address, ranges: sets.to_string() });
        };
        if set.withholds(address) {
            return Err(Error::RequestedGateway { address, ranges: set.to_string() });
        }
        if let Some(first) = wishes[i].replace(address) {
            return Err(Error::RequestedTwice { first, second: address, ranges: set.to_string() });
        }
    }
    Ok(wishes)
}

/// Addresses that an ADD and its undo both know of.
#[derive(Clone, Default)]
struct Given(Arc<Mutex<Vec<IpAddr>>>);

impl Given {
    fn push(&self, address: IpAddr) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(address);
    }

    fn take(&self) -> Vec<IpAddr> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// An ADD that holds the lock.
struct Allocation {
    owner: Owner,
    store: Store,
    /// What this ADD has reserved so far; shared with its undo.
    given: Given,
}

impl Allocation {
    fn start(request: &Add<Config>, undo: &mut Undo) -> Result<Self, Error> {
        let (data_dir, network) = (request.network.config.data_dir()?, request.network.name.clone());
        let store = Store::open(&data_dir, &network)?;
        let (owner, given) = (Owner::from(&request.attachment), Given::default());
        let (to_free, of) = (given.clone(), owner.clone());
        undo.push("free the addresses", move || free(&data_dir, &network, &of, &to_free.take()));
        Ok(Self { owner, store, given })
    }

    /// Reserves one address in each set: the requested address, else a free one.
    fn one_of_each(mut self, sets: &RangeSets, wishes: &[Option<IpAddr>]) -> Result<Vec<IpConfig>, Error> {
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
                Some(IpConfig::new(with_prefix, range.gateway()))
            }));
        }
        self.store.seal();
        Ok(ips)
    }

    /// As the reference, a requested address is given even if the container has another one already.
    fn requested(&mut self, address: IpAddr) -> Result<IpAddr, Error> {
        if self.reserve(address)? {
            return Ok(address);
        }
        let holder = match self.store.holder(address)? {
            Holder::Owner(owner) => owner.to_string(),
            Holder::Free | Holder::Empty | Holder::Unknown => "a file that names no container".into(),
        };
        Err(Error::RequestedTaken { address, holder, dir: self.store.dir().into() })
    }

    fn next(&mut self, i: usize, set: &RangeSet, held: &[IpAddr]) -> Result<IpAddr, Error> {
        if let Some(address) = held.iter().find(|address| set.range_of(**address).is_some()) {
            return Err(Error::Duplicate { owner: self.owner.clone(), address: *address });
        }
        let last = self.store.last_reserved(i)?;
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
        Err(exhausted(&self.store, set, taken))
    }

    fn reserve(&mut self, address: IpAddr) -> Result<bool, Error> {
        let reserved = self.store.reserve(&self.owner, address)?;
        if reserved {
            self.given.push(address);
        }
        Ok(reserved)
    }
}

fn free(data_dir: &Path, network: &NetworkName, owner: &Owner, given: &[IpAddr]) -> Result<(), Error> {
    if given.is_empty() {
        return Ok(());
    }
    let Some(mut store) = Store::open_existing(data_dir, network)? else { return Ok(()) };
    Ok(store.release_addresses(owner, given)?)
}

/// The error that says so, or why that cannot be known.
fn exhausted(store: &Store, set: &RangeSet, mut taken: Vec<IpAddr>) -> Error {
    taken.retain(|address| set.range_of(*address).is_some() && !set.withholds(*address));
    let (ranges, dir) = (set.to_string(), store.dir().into());
    store.empty(&taken).map_or_else(
        |error| error,
        |empty| Error::Exhausted { ranges, reserved: taken.len(), capacity: set.capacity(), empty, dir },
    )
}

fn nothing_reserved(owner: Owner, sets: &RangeSets) -> Error {
    Error::NothingReserved { owner, ranges: sets.to_string() }
}

/// Every reported address of our ranges is held (other plugins of the chain may report their own), and none besides.
fn compare(
    store: &Store,
    owner: &Owner,
    held: &[IpAddr],
    reported: &HashSet<IpAddr>,
    sets: &RangeSets,
) -> Result<(), Error> {
    let held_set: HashSet<_> = held.iter().collect();
    let mut ours = reported.iter().filter(|address| sets.of(**address).is_some());
    if let Some(address) = ours.find(|address| !held_set.contains(address)) {
        let found = store.holder(*address)?.to_string();
        return Err(Error::Differs { address: *address, owner: owner.clone(), found });
    }
    match held.iter().find(|address| !reported.contains(address)) {
        Some(address) => Err(Error::Unreported { owner: owner.clone(), address: *address }),
        None => Ok(()),
    }
}
