//! What CHECK finds.

use std::fmt;

/// Something is not as ADD left it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    what: String,
    expected: String,
    found: String,
}

impl Difference {
    /// Of `what`, a property with its object, such as "MTU of interface eth0".
    #[must_use]
    pub fn new(what: impl Into<String>, expected: impl fmt::Display, found: impl fmt::Display) -> Self {
        Self { what: what.into(), expected: expected.to_string(), found: found.to_string() }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} differs: expected {}, found {}", self.what, self.expected, self.found)
    }
}

impl std::error::Error for Difference {}
