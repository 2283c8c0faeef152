//! Is everything that ADD made for a container still there? CHECK of its own plugins says it: a missing rule of a published port,
//! for instance.

use cni_runtime::{Error, PluginError, Stderr};

use super::finding::Finding;
use super::survey::Survey;
use crate::attachments::Connection;
use crate::failure::{Failure, line};

/// Plugins whose part `ferrocni reload` makes anew.
const RELOADED: [&str; 6] = ["portmap", "firewall", "bridge", "ptp", "overlay", "dnsname"];

pub(super) fn check(survey: &Survey<'_>) -> Result<Vec<Finding>, Failure> {
    let checked = survey.living().filter_map(|connection| {
        let error = verify(survey, connection).err()?;
        let finding = Finding::new(connection.described(), line(&error));
        Some(if is_reloaded(&error) { finding.mended_by("ferrocni reload") } else { finding })
    });
    Ok(checked.collect())
}

/// As the container was attached. What cannot be checked is not wrong.
fn verify(survey: &Survey<'_>, connection: &Connection) -> Result<(), Error> {
    let then = connection.recorded.configured().ok().flatten();
    let now = survey.network(&connection.recorded.network).map(|known| &known.network);
    let Some(network) = then.as_ref().or(now) else { return Ok(()) };
    let runtime = survey.host.runtime_of(connection.keeper).clone().with_stderr(Stderr::Capture);
    match runtime.check(network, &connection.recorded.endpoint) {
        // Before CNI 0.4.0, or of a runtime that records no namespace.
        Err(Error::CheckUnsupported { .. } | Error::NoNetns { .. } | Error::NotAttached { .. }) => Ok(()),
        // That is another check's.
        Err(Error::Plugin(PluginError::NotFound { .. } | PluginError::NotRun { .. })) => Ok(()),
        outcome => outcome,
    }
}

fn is_reloaded(error: &Error) -> bool {
    matches!(error, Error::Plugin(PluginError::Failed { plugin, .. }) if RELOADED.contains(&plugin.as_str()))
}
