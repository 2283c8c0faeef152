use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::SystemTime;

use ip::Family;
use serde_json::{Map, Value, json};

use super::filter::Filters;
use crate::failure::{Failure, line};
use crate::host::Host;
use crate::network::Description;
use crate::output::{Form, List, Listing, complain};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    listing: Listing,
}

const ID: &str = "ID";
const LIST: List =
    List { columns: &[(ID, "NETWORK ID"), ("Name", "NAME"), ("Driver", "DRIVER"), ("Scope", "SCOPE")], key: ID };

/// How many digits of an id are shown.
pub(super) const SHORT_ID: usize = 12;

pub(super) fn run(host: &Host, args: &Args) -> Result<ExitCode, Failure> {
    let filters =
        Filters::parse(&args.listing.filter, &["dangling", "driver", "id", "label", "name", "scope", "type"])?;
    let (mut described, broken) = host.described()?;
    broken.iter().for_each(|broken| complain(line(broken)));
    described.sort_by_cached_key(|network| natural(&network.name));
    let mut shown = Vec::new();
    for network in described {
        if filters.admit(host, &network)? {
            shown.push(network);
        }
    }
    let form = args.listing.form();
    let objects: Vec<_> = shown.iter().map(|network| object(network, args.listing.no_trunc, &form)).collect();
    LIST.print(&form, &objects)?;
    Ok(ExitCode::SUCCESS)
}

/// What a network has. Every value is a text, as in Docker's.
type Field = (&'static str, fn(&Description) -> Value);

const FIELDS: [Field; 9] = [
    ("CreatedAt", |network| network.created.map(time).unwrap_or_default().into()),
    ("Driver", |network| network.driver.as_str().into()),
    (ID, |network| network.id.as_str().into()),
    ("IPv4", |network| network.has_family(Family::V4).to_string().into()),
    ("IPv6", |network| network.has_family(Family::V6).to_string().into()),
    ("Internal", |network| network.internal.to_string().into()),
    ("Labels", |network| pairs(&network.labels).into()),
    ("Name", |network| network.name.as_str().into()),
    ("Scope", |network| network.scope().into()),
];

/// As much as is shown: a table of many networks takes longer to be filled than they take to be read.
fn object(network: &Description, whole_id: bool, form: &Form) -> Value {
    let wanted = FIELDS.iter().filter(|(name, _)| LIST.shows(form, name));
    let mut fields: Map<_, _> = wanted.map(|(name, value)| ((*name).to_owned(), value(network))).collect();
    if !whole_id && let Some(id) = fields.get_mut(ID) {
        *id = network.id[..SHORT_ID].into();
    }
    // For `{{.Label "key"}}`; in JSON it would say the same again.
    if matches!(form, Form::Template(_)) {
        fields.insert("Label".to_owned(), json!(network.labels));
    }
    fields.into()
}

fn pairs(labels: &BTreeMap<String, String>) -> String {
    labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
}

pub(super) fn time(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string()
}

/// Digits count as numbers: net2 comes before net10.
pub(crate) fn natural(name: &str) -> impl Ord + use<> {
    (parts(name), name.to_owned())
}

/// Runs of digits, by length without zeros in front and then by digits, and the characters between them.
fn parts(text: &str) -> Vec<(usize, String)> {
    let mut parts: Vec<(usize, String)> = Vec::new();
    let mut in_number = false;
    for character in text.chars() {
        let is_digit = character.is_ascii_digit();
        match parts.last_mut() {
            Some((_, number)) if is_digit && in_number => number.push(character),
            _ => parts.push((0, character.to_string())),
        }
        in_number = is_digit;
    }
    for (length, part) in &mut parts {
        if part.starts_with(|first: char| first.is_ascii_digit()) {
            *part = part.trim_start_matches('0').to_owned();
            *length = part.len();
        } else {
            // After every number.
            *length = usize::MAX;
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_in_natural_order() {
        let mut names = ["net10", "net2", "a", "net", "net02", "b1c10", "b1c9"];
        names.sort_by_cached_key(|name| natural(name));
        assert_eq!(names, ["a", "b1c9", "b1c10", "net", "net02", "net2", "net10"]);
    }
}
