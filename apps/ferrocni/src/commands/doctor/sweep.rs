//! `--sweep`: removes what containers that are gone have left.

use ::names::{Records, Server};
use cni::Attachment;
use cni_runtime::Endpoint;
use host_local::{Owner, Store};

use super::leftovers::{self, Leftover};
use super::survey::Survey;
use crate::attachments::Connection;
use crate::failure::{Failure, Outcomes};
use crate::output::{Progress, print_line};

/// There is nobody to ask.
#[derive(Debug, thiserror::Error)]
#[error("{0} cannot be detached: neither its record nor a file says how network {1} is configured")]
struct NoNetwork(String, String);

/// Says what it has removed. Links stay: their other ends are somebody's.
pub(super) fn run(survey: &Survey<'_>) -> Result<Outcomes, Failure> {
    let mut outcomes = Outcomes::default();
    let leftovers = leftovers::lasting(survey)?;
    let progress = Progress::new("removing leftovers", leftovers.len());
    for leftover in leftovers {
        progress.step();
        let swept = match &leftover {
            Leftover::Record { attachment, .. } => {
                let mut seen = survey.attached.iter().map(|seen| &seen.connection);
                seen.find(|known| known.attachment() == *attachment).map_or(Ok(()), |dead| detach(survey, dead))
            }
            Leftover::Reservation { owner, .. } => free(survey, &leftover, owner.as_ref()),
            Leftover::Names { attachment } => forget(attachment),
            Leftover::Link { .. } => continue,
        };
        if outcomes.note(swept).is_some() {
            print_line(leftover.object())?;
        }
    }
    Ok(outcomes)
}

fn detach(survey: &Survey<'_>, dead: &Connection) -> Result<(), Failure> {
    let name = &dead.recorded.network;
    let then = dead.recorded.configured().ok().flatten();
    let network = survey.network(name).map(|known| &known.network).or(then.as_ref());
    let network = network.ok_or_else(|| NoNetwork(dead.described(), name.to_string()))?;
    dead.sweep(survey.host, network)
}

/// Without a server nobody answers with them.
fn forget(attachment: &Attachment) -> Result<(), Failure> {
    Records::default().remove(attachment)?;
    match Server::default().forget(attachment) {
        Err(error) if error.is_absent() => Ok(()),
        outcome => Ok(outcome?),
    }
}

/// By a DEL, which finds the rules as well, and then the reservation itself: an old one names no interface, an empty one nobody.
fn free(survey: &Survey<'_>, leftover: &Leftover, owner: Option<&Owner>) -> Result<(), Failure> {
    let Leftover::Reservation { network, folder, address, .. } = leftover else { return Ok(()) };
    if let (Some(known), Some(owner)) = (survey.network(network), owner)
        && let Some(ifname) = owner.ifname()
    {
        let endpoint = Endpoint::new(owner.container().as_str(), ifname.as_str())?;
        survey.runtime.del(&known.network, &endpoint)?;
    }
    let Some(mut store) = Store::open_existing(folder, network)? else { return Ok(()) };
    match owner {
        Some(owner) => Ok(store.release_addresses(owner, &[*address])?),
        // Nobody's: every owner may keep what is his.
        None => Ok(store.retain(|_| true)?),
    }
}
