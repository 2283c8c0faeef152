use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use cni::NetworkName;
use serde::Deserialize;

use crate::Error;

/// What `podman network create --opt` says: text by key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Options(BTreeMap<String, String>);

impl Options {
    /// An option's text; the empty one is absent.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str).filter(|text| !text.is_empty())
    }

    /// An option's value.
    ///
    /// # Errors
    /// [`Error::Option`] if it is none of that type.
    pub(crate) fn parse<T: FromStr<Err: Display>>(&self, network: &NetworkName, key: &str) -> Result<Option<T>, Error> {
        self.get(key).map(str::parse).transpose().map_err(|error: T::Err| Error::Option {
            network: network.clone(),
            key: key.to_owned(),
            reason: error.to_string(),
        })
    }

    /// An option that is one of these words.
    pub(crate) fn one_of<T: Copy>(
        &self,
        network: &NetworkName,
        key: &str,
        words: &[(&str, T)],
    ) -> Result<Option<T>, Error> {
        let Some(text) = self.get(key) else { return Ok(None) };
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Ok(Some(*value));
        }
        let known: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        let reason = format!("{text:?} is not one of {}", known.join(", "));
        Err(Error::Option { network: network.clone(), key: key.to_owned(), reason })
    }

    /// All of them, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }
}
