//! Are addresses left?

use host_local::Usage;

use super::finding::Finding;
use super::leftovers;
use super::survey::{Known, Survey};
use crate::failure::Failure;

/// A range is nearly full if fewer than one address in that many is free.
const FEW: u128 = 10;

pub(super) fn check(survey: &Survey<'_>) -> Result<Vec<Finding>, Failure> {
    let mut findings = Vec::new();
    for known in survey.wanted() {
        for usage in usage(known).into_iter().filter(is_scarce) {
            findings.push(finding(survey, known, &usage)?);
        }
    }
    Ok(findings)
}

/// Of each range set. Ranges that are not valid have none; STATUS says so.
pub(crate) fn usage(known: &Known) -> Vec<Usage> {
    let list = &known.network.list;
    let usage = known.host_local().map(|config| host_local::usage(&config, &list.name, list.version));
    usage.and_then(Result::ok).unwrap_or_default()
}

fn is_scarce(usage: &Usage) -> bool {
    usage.free() * FEW < usage.capacity
}

/// What the dead hold comes free by a command; else there are really that many containers.
fn finding(survey: &Survey<'_>, known: &Known, usage: &Usage) -> Result<Finding, Failure> {
    let Usage { ranges, capacity, reserved } = usage;
    let name = &known.about.name;
    let problem = format!("{reserved} of the {capacity} addresses {ranges} are reserved, {} are free", usage.free());
    let of_the_dead = leftovers::found(survey)?.into_iter().any(|leftover| leftover.holds_address_of(name));
    let object = format!("network {name}");
    Ok(if of_the_dead {
        let problem = format!("{problem}, and some are those of containers that are gone");
        Finding::new(object, problem).mended_by(format!("ferrocni doctor --sweep {name}"))
    } else {
        Finding::new(object, format!("{problem}: add a range with another subnet to {}", known.file()))
    })
}
