//! Containers that another one knows by names of its own (`--link`).

use std::str::FromStr;

use ::names::{InvalidName, Link, Name};
use cni::NetworkName;

use crate::attachments::Connection;

/// How long the beginning of an id has to be to stand for it.
const SHORT_ID: usize = 12;

/// `CONTAINER[:NAME]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LinkTo {
    container: String,
    pub(crate) alias: Name,
}

/// Nothing to link to.
#[derive(Debug, thiserror::Error)]
#[error("link {container}: there is no container {container} on a network of this one")]
pub(crate) struct NoLink {
    container: String,
}

impl LinkTo {
    /// The other container's connections to these networks.
    pub(crate) fn find<'a>(
        &self,
        all: &'a [Connection],
        networks: &[NetworkName],
    ) -> Result<Vec<&'a Connection>, NoLink> {
        let is_meant =
            |connection: &&Connection| networks.contains(&connection.recorded.network) && self.is_to(connection);
        let found: Vec<_> = all.iter().filter(is_meant).collect();
        if found.is_empty() { Err(NoLink { container: self.container.clone() }) } else { Ok(found) }
    }

    fn is_to(&self, connection: &Connection) -> bool {
        let (wanted, id) = (&self.container, connection.recorded.endpoint.container.as_str());
        connection.name == *wanted || id == wanted || (wanted.len() >= SHORT_ID && id.starts_with(wanted))
    }

    /// As it is written down: by the other's name if it was called so, which the next container of that name has as well.
    pub(crate) fn to(&self, connection: &Connection) -> Link {
        let by_name = connection.name == self.container;
        let id = connection.recorded.endpoint.container.to_string();
        Link { alias: self.alias.clone(), container: if by_name { self.container.clone() } else { id } }
    }

    /// The names that lead to the other.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names = vec![self.alias.to_string(), self.container.clone()];
        names.dedup();
        names
    }
}

impl FromStr for LinkTo {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let (container, alias) = text.split_once(':').unwrap_or((text, text));
        Name::new(container)?;
        Ok(Self { container: container.to_owned(), alias: alias.parse()? })
    }
}
