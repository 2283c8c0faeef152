//! The addresses that containers of this host have, in host-local's form.

use cni_plugin::{Attachment, Difference, Gc, IpConfig, NetworkName};
use host_local::{Owner, Store};
use overlay::{Agent, Places};

use crate::member::folder;
use crate::{Error, elsewhere};

/// Frees what an attachment has of an overlay network, unless it is one of another CNI network of the host: an ADD that failed because
/// the interface was there already is followed by a DEL.
///
/// # Errors
/// What could not be freed.
pub fn release(network: &NetworkName, attachment: &Attachment) -> Result<(), Error> {
    let Some(mut store) = Store::open_existing(folder(), network)? else { return Ok(()) };
    let owner = Owner::from(attachment);
    let holds_any = !store.held_by(&owner)?.is_empty();
    let interface = (attachment.container.clone(), attachment.ifname.clone());
    if holds_any && elsewhere::attached(&attachment.network)?.contains(&interface) {
        return Ok(());
    }
    // Also where nothing is held: a killed ADD may have left other traces.
    store.release(&owner)?;
    drop(store);
    if holds_any {
        Agent::default().tell_of_change(network);
    }
    Ok(())
}

/// Frees what attachments have that are valid no more; those of other CNI networks on the same overlay network are kept.
///
/// # Errors
/// What could not be freed.
pub fn collect<C>(network: &NetworkName, request: &Gc<C>) -> Result<(), Error> {
    let Some(mut store) = Store::open_existing(folder(), network)? else { return Ok(()) };
    let elsewhere = elsewhere::attached(&request.network.name)?;
    store.retain(|owner| {
        let is_valid = request.valid.iter().any(|attachment| Owner::from(attachment) == *owner);
        let is_elsewhere =
            owner.ifname().is_some_and(|ifname| elsewhere.contains(&(owner.container().clone(), ifname.clone())));
        is_valid || is_elsewhere
    })?;
    drop(store);
    Agent::default().tell_of_change(network);
    Ok(())
}

/// For CHECK: the attachment has the addresses of the network that ADD reported, and no others.
///
/// # Errors
/// [`Error::NothingReserved`], [`Error::Differs`].
pub fn check(network: &NetworkName, attachment: &Attachment, expected: &[IpConfig]) -> Result<(), Error> {
    let store = Store::look(folder(), network)?;
    let held = store.as_ref().map(|store| store.held_by(&Owner::from(attachment))).transpose()?.unwrap_or_default();
    if held.is_empty() {
        return Err(Error::NothingReserved(attachment.clone()));
    }
    let listed = |addresses: &mut dyn Iterator<Item = std::net::IpAddr>| {
        let mut texts: Vec<_> = addresses.map(|address| address.to_string()).collect();
        texts.sort();
        texts.join(", ")
    };
    // Other plugins of the chain may report addresses of their own.
    let state = Places::default().state(network)?;
    let is_of_network = |ip: &&IpConfig| {
        let offers = |subnet: &overlay::Subnet| subnet.network().contains(ip.address.ip());
        state.as_ref().is_none_or(|state| state.network.subnets.iter().any(offers))
    };
    let reported = listed(&mut expected.iter().filter(is_of_network).map(|ip| ip.address.ip()));
    let found = listed(&mut held.into_iter());
    if reported == found {
        Ok(())
    } else {
        Err(Difference::new(format!("what is reserved for {attachment}"), reported, found).into())
    }
}
