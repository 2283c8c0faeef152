//! Can every network's file and every record be read, and is each network's name its own?

use std::collections::BTreeMap;
use std::path::Path;

use super::finding::{Finding, quote};
use super::survey::Survey;
use crate::failure::{Failure, line};

pub(super) fn check(survey: &Survey<'_>) -> Result<Vec<Finding>, Failure> {
    let networks = survey.broken.iter().map(|error| unreadable(error.path(), &line(error)));
    let records = survey.unreadable.iter().map(|error| unreadable(error.path(), &line(error)));
    Ok(networks.chain(records).chain(namesakes(survey)).chain(unseen(survey)).collect())
}

/// Whether these live, nobody can tell.
fn unseen(survey: &Survey<'_>) -> Vec<Finding> {
    let unseen = survey.attached.iter().filter(|seen| seen.wanted).filter_map(|seen| {
        let path = survey.host.runtime().cache().path_of(&seen.connection.attachment());
        let problem = format!("{}: what {} says of it may be wrong", line(seen.unseen.as_ref()?), path.display());
        Some(Finding::new(seen.connection.described(), problem))
    });
    unseen.collect()
}

/// Nobody reads a file of the new name.
fn unreadable(path: &Path, problem: &str) -> Finding {
    let path = path.to_string_lossy();
    let finding = Finding::new(path.clone(), format!("{problem}: correct it, or put it out of the way"));
    let (old, new) = (quote(&path), quote(&out_of_the_way(&path)));
    finding.mended_by(format!("mv {old} {new}"))
}

fn out_of_the_way(path: &str) -> String {
    match path.rsplit_once('/') {
        Some((folder, name)) => format!("{folder}/.{name}.broken"),
        None => format!(".{path}.broken"),
    }
}

/// Of two networks of one name, programs see one or the other.
fn namesakes(survey: &Survey<'_>) -> Vec<Finding> {
    let mut files: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for known in survey.wanted() {
        files.entry(&known.about.name).or_default().push(known.file());
    }
    let several = files.into_iter().filter(|(_, files)| files.len() > 1);
    let problem = |files: &[String]| format!("several files have a network of that name: {}", files.join(", "));
    several
        .map(|(name, files)| {
            let last = files.last().cloned().unwrap_or_default();
            let command = format!("mv {} {}", quote(&last), quote(&out_of_the_way(&last)));
            Finding::new(format!("network {name}"), problem(&files)).mended_by(command)
        })
        .collect()
}
