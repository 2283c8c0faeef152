use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::SystemTime;

use ip::Family;
use serde_json::{Value, json};

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

const LIST: List =
    List { columns: &[("ID", "NETWORK ID"), ("Name", "NAME"), ("Driver", "DRIVER"), ("Scope", "SCOPE")], key: "ID" };

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
    let objects: Vec<_> =
        shown.iter().map(|network| object(network, args.listing.no_trunc, form == Form::Json)).collect();
    LIST.print(&form, &objects)?;
    Ok(ExitCode::SUCCESS)
}

/// Every value is a text, as in Docker's.
fn object(network: &Description, whole_id: bool, is_json: bool) -> Value {
    let id = if whole_id { &network.id } else { &network.id[..SHORT_ID] };
    let mut object = json!({
        "CreatedAt": network.created.map(time).unwrap_or_default(),
        "Driver": network.driver,
        "ID": id,
        "IPv4": network.has_family(Family::V4).to_string(),
        "IPv6": network.has_family(Family::V6).to_string(),
        "Internal": network.internal.to_string(),
        "Labels": pairs(&network.labels),
        "Name": network.name,
        "Scope": network.scope(),
    });
    // For `{{.Label "key"}}`; in JSON it would say the same again.
    if let (false, Some(fields)) = (is_json, object.as_object_mut()) {
        fields.insert("Label".to_owned(), json!(network.labels));
    }
    object
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
