//! What is known of networks and attachments, and how it differs from what is there now.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::time::SystemTime;

use cni_runtime::CacheError;
use serde_json::{Map, Value, json};

use super::watch::names_in;
use crate::attachments::Connection;
use crate::failure::Failure;
use crate::host::{Host, Keeper};
use crate::target::Names;

/// Networks by name, attachments by the names of their records.
#[derive(Debug, Default)]
pub(super) struct State {
    networks: BTreeMap<String, Network>,
    attached: BTreeMap<OsString, Value>,
}

#[derive(Debug, PartialEq)]
struct Network {
    json: Value,
    path: Option<std::path::PathBuf>,
}

impl State {
    pub(super) fn of(host: &Host) -> Result<Self, Failure> {
        let mut state = Self::default();
        state.look_at_networks(host)?;
        state.look_at_attachments(host);
        Ok(state)
    }

    /// What has become of networks. One whose file cannot be read just now is being written.
    pub(super) fn look_at_networks(&mut self, host: &Host) -> Result<Vec<Value>, Failure> {
        let listed = host.networks()?;
        let is_broken = |network: &Network| {
            network.path.as_deref().is_some_and(|path| listed.broken.iter().any(|broken| broken.path() == path))
        };
        let mut now = BTreeMap::new();
        for network in listed.networks.iter().filter(|network| network.path.is_some()) {
            // Of several with one name, the first.
            let found = Network { json: network.json(), path: network.path.clone() };
            now.entry(network.name().to_string()).or_insert(found);
        }
        for (name, network) in std::mem::take(&mut self.networks) {
            if !now.contains_key(&name) && is_broken(&network) {
                now.insert(name, network);
            } else {
                self.networks.insert(name, network);
            }
        }
        let before = std::mem::replace(&mut self.networks, now);
        Ok(self.network_events(&before))
    }

    fn network_events(&self, before: &BTreeMap<String, Network>) -> Vec<Value> {
        let gone = before.keys().filter(|name| !self.networks.contains_key(*name));
        let mut events: Vec<_> = gone.map(|name| network_event("removed", name)).collect();
        for (name, network) in &self.networks {
            match before.get(name) {
                None => events.push(network_event("created", name)),
                Some(then) if then.json != network.json => events.push(network_event("changed", name)),
                Some(_) => {}
            }
        }
        events
    }

    /// What has become of all attachments.
    pub(super) fn look_at_attachments(&mut self, host: &Host) -> Vec<Value> {
        let folders = Keeper::ALL.map(|keeper| host.runtime_of(keeper).cache().folder());
        let mut names: BTreeSet<_> = folders.into_iter().flat_map(names_in).collect();
        names.extend(self.attached.keys().cloned());
        let called = Names::load();
        names.iter().flat_map(|name| self.look(host, name, &called)).collect()
    }

    /// What has become of one. A file that is no record is none; one that cannot be read just now is being written.
    pub(super) fn look_at_attachment(&mut self, host: &Host, name: &OsStr) -> Vec<Value> {
        self.look(host, name, &Names::load())
    }

    fn look(&mut self, host: &Host, name: &OsStr, called: &Names) -> Vec<Value> {
        let Some(text) = name.to_str().filter(|name| !name.starts_with('.')) else { return Vec::new() };
        let Ok(now) = find(host, text, called) else { return Vec::new() };
        let before = match now.clone() {
            Some(fields) => self.attached.insert(name.to_owned(), fields),
            None => self.attached.remove(name),
        };
        match (before, now) {
            (None, Some(now)) => vec![event("container", "attached", &now)],
            (Some(before), None) => vec![event("container", "detached", &before)],
            (Some(before), Some(now)) if before != now => vec![event("container", "changed", &now)],
            _ => Vec::new(),
        }
    }
}

fn find(host: &Host, name: &str, called: &Names) -> Result<Option<Value>, CacheError> {
    for keeper in Keeper::ALL {
        if let Some(recorded) = host.runtime_of(keeper).cache().read_named(name)? {
            return Ok(Some(fields(&Connection::of(recorded, keeper, called))));
        }
    }
    Ok(None)
}

/// What was not seen is not told.
pub(super) fn overflow() -> Value {
    event("events", "overflow", &json!({}))
}

fn network_event(action: &str, name: &str) -> Value {
    event("network", action, &json!({"network": name}))
}

fn fields(connection: &Connection) -> Value {
    json!({
        "network": connection.recorded.network,
        "container": connection.recorded.endpoint.container,
        "name": connection.name,
        "interface": connection.recorded.endpoint.ifname,
        "addresses": connection.addresses.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

/// Every event has the same fields, so that a template fits all.
fn event(kind: &str, action: &str, fields: &Value) -> Value {
    let time = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
    let mut event = Map::new();
    for (name, value) in [("time", json!(time)), ("type", json!(kind)), ("action", json!(action))] {
        event.insert(name.to_owned(), value);
    }
    for name in ["network", "container", "name", "interface"] {
        event.insert(name.to_owned(), fields.get(name).cloned().unwrap_or(json!("")));
    }
    event.insert("addresses".to_owned(), fields.get("addresses").cloned().unwrap_or(json!([])));
    event.into()
}
