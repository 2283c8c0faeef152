//! `ferrocni events`.

mod state;
mod watch;

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Write as _};
use std::path::Path;
use std::process::ExitCode;

use go_template::Template;
use serde_json::Value;

use crate::failure::Failure;
use crate::host::{Host, Keeper};
use crate::output::complain;
use state::{State, overflow};
use watch::{Change, Watcher};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Show only events with this property: type, action, network, container, name, interface (may be repeated)
    #[arg(short, long, value_name = "KEY=VALUE")]
    filter: Vec<String>,
    /// json, or a Go template of these properties: '{{.type}}' or, as Docker has it, '{{.Type}}'
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
}

/// The watched folders.
const NETWORKS: usize = 0;
const PODMAN_NETWORKS: usize = 1;
/// Those of each keeper's records follow.
const RECORDS: usize = 2;

pub(super) fn run(host: &Host, args: &Args) -> Result<ExitCode, Failure> {
    let teller = Teller::new(args)?;
    let records = Keeper::ALL.map(|keeper| host.runtime_of(keeper).cache().folder());
    let folders = [host.folder(), host.podman_networks()].into_iter().chain(records);
    let mut watcher = Watcher::new(folders.map(Path::to_owned).collect())?;
    watcher.watch_inside(NETWORKS)?;
    // Whatever comes after this is told: it was watched before it was read.
    let mut state = State::of(host)?;
    complain("waiting for events");
    loop {
        for change in at_once(watcher.next()?) {
            if matches!(change, Change::Overflow | Change::Folder(NETWORKS)) {
                watcher.watch_inside(NETWORKS)?;
            }
            for event in events(host, &mut state, &change)? {
                if !teller.tell(&event)? {
                    return Ok(ExitCode::SUCCESS);
                }
            }
        }
    }
}

/// Each once: one look sees what all of them have done. A network may be in several files, so its folder is looked at as a whole.
fn at_once(changes: Vec<Change>) -> Vec<Change> {
    let mut looks = Vec::new();
    for change in changes {
        let look = match change {
            Change::File(NETWORKS, _) => Change::Folder(NETWORKS),
            other => other,
        };
        if !looks.contains(&look) {
            looks.push(look);
        }
    }
    looks
}

fn events(host: &Host, state: &mut State, change: &Change) -> Result<Vec<Value>, Failure> {
    Ok(match change {
        Change::Overflow => {
            let mut events = vec![overflow()];
            events.extend(state.look_at_networks(host)?);
            events.extend(state.look_at_attachments(host));
            events
        }
        Change::Folder(NETWORKS | PODMAN_NETWORKS) | Change::File(NETWORKS | PODMAN_NETWORKS, _) => {
            state.look_at_networks(host)?
        }
        Change::File(RECORDS.., name) => state.look_at_attachment(host, name),
        Change::Folder(RECORDS..) => state.look_at_attachments(host),
    })
}

/// Writes those events that were asked for.
#[derive(Debug)]
struct Teller {
    template: Option<Spelt>,
    filters: BTreeMap<String, Vec<String>>,
}

/// A template, and how it spells the fields of events.
#[derive(Debug)]
struct Spelt {
    template: Template,
    /// As Docker does: `.Type`.
    is_capitalized: bool,
}

/// A template for what no event has.
#[derive(Debug, thiserror::Error)]
#[error("events have no field {0}: use one of {fields}", fields = FIELDS.join(", "))]
struct FieldError(String);

/// What every event has.
const FIELDS: [&str; 8] = ["time", "type", "action", "network", "container", "name", "interface", "addresses"];

impl Spelt {
    fn parse(format: &str) -> Result<Self, Failure> {
        let template = Template::parse(format)?;
        let is_known = |field: &str| FIELDS.iter().any(|known| *known == field || capitalized(known) == field);
        let fields = template.fields();
        if let Some(unknown) = fields.iter().find(|field| !is_known(field)) {
            return Err(FieldError((*unknown).to_owned()).into());
        }
        let is_capitalized = fields.iter().any(|field| field.starts_with(|first: char| first.is_ascii_uppercase()));
        Ok(Self { template, is_capitalized })
    }

    fn render(&self, event: &Value) -> Result<String, Failure> {
        let mut event = event.clone();
        if self.is_capitalized {
            for field in FIELDS {
                event[capitalized(field)] = event[field].clone();
            }
        }
        Ok(self.template.render(&event)?)
    }
}

fn capitalized(field: &str) -> String {
    field[..1].to_ascii_uppercase() + &field[1..]
}

/// A filter that means nothing.
#[derive(Debug, thiserror::Error)]
#[error("filter {0:?} is not KEY=VALUE with one of the keys {keys}", keys = KEYS.join(", "))]
struct FilterError(String);

/// What can be filtered by.
const KEYS: [&str; 6] = ["type", "action", "network", "container", "name", "interface"];

impl Teller {
    fn new(args: &Args) -> Result<Self, Failure> {
        let mut filters: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for pair in &args.filter {
            let (key, value) =
                pair.split_once('=').filter(|(key, _)| KEYS.contains(key)).ok_or_else(|| FilterError(pair.clone()))?;
            filters.entry(key.to_owned()).or_default().push(value.to_owned());
        }
        let template = args.format.as_deref().filter(|format| *format != "json").map(Spelt::parse).transpose()?;
        Ok(Self { template, filters })
    }

    /// Different keys all have to fit, of several values of a key one.
    fn admits(&self, event: &Value) -> bool {
        self.filters.iter().all(|(key, values)| values.iter().any(|value| event[key] == *value))
    }

    /// Whether somebody still reads.
    fn tell(&self, event: &Value) -> Result<bool, Failure> {
        if !self.admits(event) {
            return Ok(true);
        }
        let line = match &self.template {
            Some(spelt) => spelt.render(event)?,
            None => event.to_string(),
        };
        let mut stdout = io::stdout().lock();
        match writeln!(stdout, "{line}").and_then(|()| stdout.flush()) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
            outcome => Ok(outcome.map(|()| true)?),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keys_all_have_to_fit_and_of_a_key_s_values_one() {
        let args = |filters: &[&str]| Args { filter: filters.iter().map(ToString::to_string).collect(), format: None };
        let event = json!({"type": "network", "action": "created", "network": "web"});
        for (filters, admitted) in [
            (&[][..], true),
            (&["type=network"], true),
            (&["type=container", "type=network"], true),
            (&["type=network", "network=db"], false),
        ] {
            assert_eq!(Teller::new(&args(filters)).unwrap().admits(&event), admitted, "{filters:?}");
        }
        for bad in ["type", "time=x", "=x"] {
            assert!(Teller::new(&args(&[bad])).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_template_names_fields_of_events_in_either_spelling() {
        let event = state::overflow();
        for (format, line) in [
            ("{{.type}} {{.action}}", "events overflow"),
            ("{{.Type}} {{.Action}} {{.addresses}}", "events overflow []"),
            ("{{len .}}", "8"),
        ] {
            assert_eq!(Spelt::parse(format).unwrap().render(&event).unwrap(), line);
        }
        for format in ["{{.status}}", "{{if .name}}{{.Actor.ID}}{{end}}", "{{.TYPE}}"] {
            assert!(Spelt::parse(format).is_err(), "{format}");
        }
        let fields = event.as_object().unwrap();
        assert!(fields.len() == FIELDS.len() && FIELDS.iter().all(|field| fields.contains_key(*field)));
    }
}
