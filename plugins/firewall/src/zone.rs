//! firewalld: containers' addresses in a zone that lets everything through.

use cni_plugin::Undo;
use firewalld::Firewalld;
use ipnetwork::IpNetwork;

use crate::config::Backend;
use crate::member::Member;
use crate::{Config, Error, Host};

/// Puts the container's addresses into the zone.
pub(crate) fn bind(member: &Member<'_>, undo: &mut Undo) -> Result<(), Error> {
    let zone = member.config.firewalld_zone.clone();
    let mut firewalld = Firewalld::connect()?;
    let addresses = member.addresses.clone();
    let of_undo = zone.clone();
    undo.push(format!("take the addresses out of firewalld's zone {zone}"), move || remove(&of_undo, &addresses));
    for address in &member.addresses {
        firewalld.add_source(&zone, address.ip())?;
    }
    Ok(())
}

/// Takes addresses out of the zone, if this network uses firewalld.
pub(crate) fn unbind(config: &Config, addresses: &[IpNetwork]) -> Result<(), Error> {
    if addresses.is_empty() || config.backend(&Host::default())? != Backend::Firewalld {
        return Ok(());
    }
    Ok(remove(&config.firewalld_zone, addresses)?)
}

fn remove(zone: &str, addresses: &[IpNetwork]) -> firewalld::Result<()> {
    match remove_each(zone, addresses) {
        // Its zones are gone with it.
        Err(error) if error.is_not_running() => Ok(()),
        outcome => outcome,
    }
}

fn remove_each(zone: &str, addresses: &[IpNetwork]) -> firewalld::Result<()> {
    let mut firewalld = Firewalld::connect()?;
    addresses.iter().try_for_each(|address| firewalld.remove_source(zone, address.ip()))
}

/// For CHECK: the addresses are still in the zone.
pub(crate) fn check(member: &Member<'_>) -> Result<(), Error> {
    let zone = &member.config.firewalld_zone;
    let mut firewalld = Firewalld::connect()?;
    for address in &member.addresses {
        if !firewalld.has_source(zone, address.ip())? {
            return Err(Error::NotInZone { address: address.ip(), zone: zone.clone() });
        }
    }
    Ok(())
}
