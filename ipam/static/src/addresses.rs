//! Which addresses a container gets: those of the configuration, unless the runtime knows better.

use std::net::IpAddr;

use cni_plugin::{Difference, IpConfig, Network, SpecVersion, ip};
use ipnetwork::IpNetwork;

use crate::Error;
use crate::config::{Asked, Config};

/// The addresses, in the order in which they were named.
///
/// `IP` in `CNI_ARGS` adds to those of the configuration, and `GATEWAY` there sets the gateway of the subnets that it is in.
/// `args.cni.ips` stands instead of all these, and the capability `ips` instead of everything.
///
/// # Errors
/// Code 7 if one cannot be used, code 4 if `CNI_ARGS` is not well-formed.
pub(crate) fn of(network: &Network<Config>) -> Result<Vec<IpConfig>, Error> {
    let known = configured(network)?;
    let config = &network.config;
    let chosen = match (&config.runtime_config.ips, &config.args.cni.ips) {
        (runtime, _) if !runtime.is_empty() => in_place_of(&known, runtime, "runtimeConfig.ips")?,
        (_, args) if !args.is_empty() => in_place_of(&known, args, "args.cni.ips")?,
        _ => known,
    };
    within_version(chosen, network.version)
}

/// Those of the configuration and of `CNI_ARGS`.
fn configured(network: &Network<Config>) -> Result<Vec<IpConfig>, Error> {
    let mut addresses: Vec<IpConfig> = network.config.ipam()?.addresses.iter().map(IpConfig::from).collect();
    let [asked, gateways] = network.args.values(["IP", "GATEWAY"])?;
    for text in listed(asked) {
        let asked = Asked::parse(text).map_err(|reason| Error::NotAnAddress { key: "IP", reason })?;
        let address = complete(asked, &addresses, "CNI_ARGS (IP)")?;
        push_new(&mut addresses, address);
    }
    for text in listed(gateways) {
        let gateway = ip::parse(text).map_err(|reason| Error::NotAnAddress { key: "GATEWAY", reason })?;
        for address in addresses.iter_mut().filter(|address| address.address.contains(gateway)) {
            address.gateway = Some(gateway);
        }
    }
    Ok(addresses)
}

fn listed(text: Option<&str>) -> impl Iterator<Item = &str> {
    text.unwrap_or_default().split(',').map(str::trim).filter(|item| !item.is_empty())
}

fn in_place_of(known: &[IpConfig], asked: &[Asked], origin: &'static str) -> Result<Vec<IpConfig>, Error> {
    let mut addresses = Vec::new();
    for asked in asked {
        push_new(&mut addresses, complete(*asked, known, origin)?);
    }
    Ok(addresses)
}

/// What the runtime leaves out, the address of the same subnet says: the gateway, and if need be the prefix length.
fn complete(asked: Asked, known: &[IpConfig], origin: &'static str) -> Result<IpConfig, Error> {
    let neighbour = known.iter().find(|known| known.address.contains(asked.ip()));
    let address = match (asked, neighbour) {
        (Asked::WithPrefix(address), _) => address,
        (Asked::Alone(ip), Some(neighbour)) => with_prefix_of(ip, neighbour),
        (Asked::Alone(ip), None) => return Err(Error::NoSubnet { address: ip, origin }),
    };
    Ok(IpConfig::new(address, neighbour.and_then(|neighbour| neighbour.gateway)))
}

fn with_prefix_of(ip: IpAddr, neighbour: &IpConfig) -> IpNetwork {
    IpNetwork::new(ip, neighbour.address.prefix()).expect("a prefix length of the same family")
}

fn push_new(addresses: &mut Vec<IpConfig>, address: IpConfig) {
    if !addresses.iter().any(|other| other.address == address.address) {
        addresses.push(address);
    }
}

/// Results older than 0.3.0 have room for one address of each family.
fn within_version(addresses: Vec<IpConfig>, version: SpecVersion) -> Result<Vec<IpConfig>, Error> {
    let count = |is_ipv4| addresses.iter().filter(|address| address.address.is_ipv4() == is_ipv4).count();
    if version < SpecVersion::V0_3_0 && (count(true) > 1 || count(false) > 1) {
        return Err(Error::TooMany { version });
    }
    Ok(addresses)
}

/// For CHECK: every address was reported by ADD, with its gateway. The interface plugin may have found a gateway where none
/// was named, and other plugins may have addresses of their own.
pub(crate) fn compare(wanted: &[IpConfig], reported: &[IpConfig]) -> Result<(), Error> {
    for wanted in wanted {
        let Some(found) = reported.iter().find(|ip| ip.address == wanted.address) else {
            let found = reported.iter().map(|ip| ip.address.to_string()).collect::<Vec<_>>().join(", ");
            return Err(Difference::new("address", wanted.address, found).into());
        };
        if wanted.gateway.is_some() && found.gateway != wanted.gateway {
            let [expected, found] =
                [wanted, found].map(|ip| ip.gateway.map_or_else(|| "none".into(), |gateway| gateway.to_string()));
            return Err(Difference::new("gateway", expected, found).into());
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn ips(addresses: &[(&str, &str)]) -> Vec<IpConfig> {
        let gateway = |text: &str| (!text.is_empty()).then(|| text.parse().unwrap());
        addresses.iter().map(|(address, text)| IpConfig::new(address.parse().unwrap(), gateway(text))).collect()
    }

    fn replaced(asked: &[&str]) -> Result<Vec<IpConfig>, Error> {
        let known = ips(&[("10.1.0.2/24", "10.1.0.1"), ("10.2.0.2/16", ""), ("fd00::2/64", "fd00::1")]);
        let asked: Vec<Asked> = asked.iter().map(|text| Asked::parse(text).unwrap()).collect();
        in_place_of(&known, &asked, "a test")
    }

    #[test]
    fn an_address_asked_for_keeps_the_gateway_of_its_subnet() {
        let expected =
            ips(&[("10.1.0.9/25", "10.1.0.1"), ("fd00::9/64", "fd00::1"), ("10.2.9.9/24", ""), ("10.9.0.1/24", "")]);
        assert_eq!(replaced(&["10.1.0.9/25", "fd00::9/64", "10.2.9.9/24", "10.9.0.1/24"]).unwrap(), expected);
    }

    #[test]
    fn an_address_without_prefix_length_takes_that_of_its_subnet() {
        assert_eq!(replaced(&["10.2.9.9", "fd00::9"]).unwrap(), ips(&[("10.2.9.9/16", ""), ("fd00::9/64", "fd00::1")]));
        assert!(matches!(replaced(&["10.9.0.1"]), Err(Error::NoSubnet { .. })));
    }

    #[test]
    fn an_address_that_is_asked_for_twice_is_given_once() {
        assert_eq!(replaced(&["10.1.0.9/24", "10.1.0.9"]).unwrap().len(), 1);
    }

    #[test]
    fn old_results_have_room_for_one_of_each_family() {
        let two = ips(&[("10.1.0.2/24", ""), ("10.2.0.2/24", "")]);
        let mixed = ips(&[("10.1.0.2/24", ""), ("fd00::2/64", "")]);
        assert!(within_version(two.clone(), SpecVersion::V0_2_0).is_err());
        assert!(within_version(mixed, SpecVersion::V0_2_0).is_ok());
        assert!(within_version(two, SpecVersion::V0_3_0).is_ok());
    }

    #[test]
    fn what_was_reported_has_to_have_every_address_with_its_gateway() {
        let wanted = ips(&[("10.1.0.2/24", "10.1.0.1"), ("fd00::2/64", "")]);
        let difference =
            |reported: &[(&str, &str)]| compare(&wanted, &ips(reported)).map_err(|error| error.to_string());
        assert_eq!(difference(&[("192.0.2.1/24", ""), ("fd00::2/64", "fd00::1"), ("10.1.0.2/24", "10.1.0.1")]), Ok(()));
        let error = difference(&[("10.1.0.2/24", "10.1.0.254"), ("fd00::2/64", "")]).unwrap_err();
        assert_eq!(error, "gateway differs: expected 10.1.0.1, found 10.1.0.254");
        let error = difference(&[("10.1.0.2/24", "10.1.0.1"), ("fd00::3/64", "")]).unwrap_err();
        assert_eq!(error, "address differs: expected fd00::2/64, found 10.1.0.2/24, fd00::3/64");
    }
}
