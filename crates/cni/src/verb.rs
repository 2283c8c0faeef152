//! The operations of the specification.

use std::fmt;
use std::str::FromStr;

use crate::error::{Code, Error};
use crate::version::SpecVersion;

/// The operations of the specification that change or read something, which is all but `VERSION`.
///
/// A new one would be a new duty of every plugin and runtime, so that a `match` may list them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // each variant is the operation it names
pub enum Verb {
    Add,
    Del,
    Check,
    Gc,
    Status,
}

impl Verb {
    /// All of them, in the specification's order.
    pub const ALL: &'static [Self] = &[Self::Add, Self::Del, Self::Check, Self::Gc, Self::Status];

    /// As it stands in `CNI_COMMAND`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Add => "ADD",
            Self::Del => "DEL",
            Self::Check => "CHECK",
            Self::Gc => "GC",
            Self::Status => "STATUS",
        }
    }

    /// The first spec version that has the verb: CHECK came with 0.4.0, GC and STATUS with 1.1.0.
    #[must_use]
    pub fn since(self) -> SpecVersion {
        match self {
            Self::Add | Self::Del => SpecVersion::V0_1_0,
            Self::Check => SpecVersion::V0_4_0,
            Self::Gc | Self::Status => SpecVersion::V1_1_0,
        }
    }

    /// The environment variables without which the verb cannot be carried out (spec, "Parameters").
    #[must_use]
    pub fn required(self) -> &'static [&'static str] {
        match self {
            Self::Add | Self::Check => &["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_PATH"],
            Self::Del => &["CNI_CONTAINERID", "CNI_IFNAME", "CNI_PATH"],
            Self::Gc | Self::Status => &["CNI_PATH"],
        }
    }
}

impl FromStr for Verb {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::ALL.iter().copied().find(|verb| verb.as_str() == text).ok_or_else(|| {
            Error::new(Code::InvalidEnvironment, format!("CNI_COMMAND {text:?} is not known"))
                .with_details("it is one of ADD, DEL, CHECK, GC, STATUS, VERSION")
        })
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_verb_reads_back() {
        for verb in Verb::ALL {
            assert_eq!(verb.to_string().parse::<Verb>().unwrap(), *verb);
        }
        for unknown in ["", "add", "VERSION"] {
            assert_eq!(unknown.parse::<Verb>().unwrap_err().code(), Code::InvalidEnvironment, "{unknown}");
        }
    }
}
