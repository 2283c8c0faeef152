//! `--filter`: different keys all have to fit, of several values of a key one.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use crate::attachments::Connections;
use crate::failure::Failure;
use crate::host::Host;
use crate::network::{DEFAULT, Description};

/// What was asked for, by key.
#[derive(Debug, Default)]
pub(crate) struct Filters(BTreeMap<String, Vec<String>>);

/// A filter that means nothing.
#[derive(Debug, thiserror::Error)]
enum FilterError {
    #[error("filter {0:?} is not KEY=VALUE")]
    NoPair(String),
    #[error("there is no filter {key:?}: use {}", known.join(", "))]
    Unknown { key: String, known: Vec<String> },
    #[error("filter {key} cannot be {value:?}: {rule}")]
    Value { key: String, value: String, rule: &'static str },
}

impl Filters {
    pub(crate) fn parse(pairs: &[String], known: &[&str]) -> Result<Self, Failure> {
        let mut filters = Self::default();
        for pair in pairs {
            // `label!=x` is the key `label!`.
            let (key, value) = pair.split_once('=').ok_or_else(|| FilterError::NoPair(pair.clone()))?;
            if !known.contains(&key) {
                let known = known.iter().map(ToString::to_string).collect();
                return Err(FilterError::Unknown { key: key.to_owned(), known }.into());
            }
            check(key, value)?;
            filters.0.entry(key.to_owned()).or_default().push(value.to_owned());
        }
        Ok(filters)
    }

    /// As if it had been asked for as well.
    pub(crate) fn require(&mut self, key: &str, value: &str) {
        self.0.entry(key.to_owned()).or_default().push(value.to_owned());
    }

    /// Whether something has one of the values that were asked for, if any were.
    pub(crate) fn fits(&self, key: &str, has: impl FnMut(&String) -> bool) -> bool {
        self.0.get(key).is_none_or(|values| values.iter().any(has))
    }

    pub(crate) fn admit(&self, host: &Host, network: &Description) -> Result<bool, Failure> {
        for (key, values) in &self.0 {
            let mut fits = false;
            for value in values {
                fits = fits || admits(host, network, key, value)?;
            }
            if !fits {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn check(key: &str, value: &str) -> Result<(), FilterError> {
    let rule = match key {
        "type" if !["custom", "builtin"].contains(&value) => "it is custom or builtin",
        "dangling" if !["true", "false", "1", "0"].contains(&value) => "it is true or false",
        "until" if moment(value).is_none() => "it is a time such as 2026-01-31T12:00:00Z, or a duration such as 24h",
        _ => return Ok(()),
    };
    Err(FilterError::Value { key: key.to_owned(), value: value.to_owned(), rule })
}

fn admits(host: &Host, network: &Description, key: &str, value: &str) -> Result<bool, Failure> {
    Ok(match key {
        "driver" => network.driver == value,
        "id" => network.id.starts_with(value),
        "label" => has_label(network, value),
        "label!" => !has_label(network, value),
        "name" => network.name.contains(value),
        "scope" => value == "local",
        "type" => is_builtin(network) == (value == "builtin"),
        "until" => moment(value).zip(network.created).is_some_and(|(until, created)| created < until),
        _ => is_dangling(host, network)? == ["true", "1"].contains(&value),
    })
}

/// `key` or `key=value`.
fn has_label(network: &Description, wanted: &str) -> bool {
    match wanted.split_once('=') {
        Some((key, value)) => network.labels.get(key).is_some_and(|found| found == value),
        None => network.labels.contains_key(wanted),
    }
}

/// The networks that are there without anybody's doing.
pub(super) fn is_builtin(network: &Description) -> bool {
    network.is_builtin() || network.name == DEFAULT || network.name == "podman"
}

fn is_dangling(host: &Host, network: &Description) -> Result<bool, Failure> {
    let name = cni::NetworkName::new(network.name.as_str())?;
    for connection in Connections::of_network(host, &name)? {
        if connection.is_alive()? {
            return Ok(false);
        }
    }
    Ok(!network.is_builtin())
}

/// A moment, or how long ago it is.
fn moment(text: &str) -> Option<SystemTime> {
    let ago = |duration: Duration| SystemTime::now().checked_sub(duration);
    humantime::parse_rfc3339_weak(text).ok().or_else(|| humantime::parse_duration(text).ok().and_then(ago))
}
