//! The versions of the CNI specification.

use std::fmt;

use crate::error::{Code, Error};

/// A released version of the CNI specification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)] // each variant is the version it names
#[non_exhaustive]
pub enum SpecVersion {
    V0_1_0,
    V0_2_0,
    V0_3_0,
    V0_3_1,
    V0_4_0,
    V1_0_0,
    V1_1_0,
}

use SpecVersion::{V0_1_0, V0_2_0, V0_3_0, V0_3_1, V0_4_0, V1_0_0, V1_1_0};

impl SpecVersion {
    /// Every version there is, oldest first.
    pub const ALL: &'static [Self] = &[V0_1_0, V0_2_0, V0_3_0, V0_3_1, V0_4_0, V1_0_0, V1_1_0];
    /// For plugins that are only ever chained: chaining came with 0.3.0.
    pub const SINCE_0_3_0: &'static [Self] = &[V0_3_0, V0_3_1, V0_4_0, V1_0_0, V1_1_0];
    /// For plugins that need prevResult on DEL, which came with 0.4.0.
    pub const SINCE_0_4_0: &'static [Self] = &[V0_4_0, V1_0_0, V1_1_0];
    /// The newest version that this crate knows.
    pub const LATEST: Self = V1_1_0;

    /// As it is written in `cniVersion`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            V0_1_0 => "0.1.0",
            V0_2_0 => "0.2.0",
            V0_3_0 => "0.3.0",
            V0_3_1 => "0.3.1",
            V0_4_0 => "0.4.0",
            V1_0_0 => "1.0.0",
            V1_1_0 => "1.1.0",
        }
    }

    /// Reads `cniVersion` and finds it among `supported`. An empty one is 0.1.0, which had no such key yet.
    pub fn negotiate(text: &str, supported: &[Self]) -> Result<Self, Error> {
        let text = if text.is_empty() { V0_1_0.as_str() } else { text };
        supported.iter().copied().find(|version| version.as_str() == text).ok_or_else(|| {
            let list: Vec<_> = supported.iter().map(|version| version.as_str()).collect();
            Error::new(Code::IncompatibleVersion, format!("CNI version {text:?} is not supported"))
                .with_details(format!("set \"cniVersion\" to one of {}", list.join(", ")))
        })
    }
}

impl fmt::Display for SpecVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_absent_version_is_the_first() {
        assert_eq!(SpecVersion::negotiate("", SpecVersion::ALL).unwrap(), V0_1_0);
    }

    #[test]
    fn an_unknown_version_is_refused_with_the_known_ones() {
        let error = SpecVersion::negotiate("9.9.9", SpecVersion::SINCE_0_4_0).unwrap_err();
        assert_eq!(error.code(), Code::IncompatibleVersion);
        assert!(error.to_string().contains("0.4.0, 1.0.0, 1.1.0"), "{error}");
        assert!(SpecVersion::negotiate("0.3.1", SpecVersion::SINCE_0_4_0).is_err());
    }
}
