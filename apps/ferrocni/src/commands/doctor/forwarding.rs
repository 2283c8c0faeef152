//! Does the host forward, where networks need it?

use ip::Family;

use super::finding::Finding;
use super::survey::{Known, Survey};
use crate::failure::Failure;

/// A network without containers needs nothing yet, and its first one's ADD switches forwarding on.
pub(super) fn check(survey: &Survey<'_>) -> Result<Vec<Finding>, Failure> {
    let mut findings = Vec::new();
    for family in Family::ALL {
        let (key, name) = switch(family);
        let needing: Vec<_> = survey.wanted().filter(|known| needs(survey, known, family)).collect();
        if !needing.is_empty() && is_off(key)? {
            let names: Vec<_> = needing.iter().map(|known| known.about.name.as_str()).collect();
            let problem = format!(
                "it does not forward {}, which {} {} needs to reach anything outside",
                family_name(family),
                if names.len() == 1 { "network" } else { "each of the networks" },
                names.join(", ")
            );
            findings.push(Finding::new("the host", problem).mended_by(format!("sysctl -w {name}=1")));
        }
    }
    Ok(findings)
}

fn needs(survey: &Survey<'_>, known: &Known, family: Family) -> bool {
    let mut addresses = survey.living_on(known).flat_map(|connection| &connection.addresses);
    known.is_routed() && addresses.any(|address| Family::of(address.ip()) == family)
}

fn switch(family: Family) -> (&'static [&'static str], &'static str) {
    match family {
        Family::V4 => (&["ipv4", "ip_forward"], "net.ipv4.ip_forward"),
        Family::V6 => (&["ipv6", "conf", "all", "forwarding"], "net.ipv6.conf.all.forwarding"),
    }
}

fn is_off(key: &[&str]) -> Result<bool, Failure> {
    match sysctl::read(key) {
        // A kernel without IPv6.
        Err(error) if error.is_not_found() => Ok(false),
        value => Ok(value?.trim() == "0"),
    }
}

pub(super) fn family_name(family: Family) -> &'static str {
    match family {
        Family::V4 => "IPv4",
        Family::V6 => "IPv6",
    }
}
