//! A name that is asked for.

use std::borrow::Borrow;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The longest name in bytes: 255 in a packet, with a length before each label and the root's at the end (RFC 1035, section 2.3.4).
const LONGEST: usize = 253;
/// The longest label in bytes (RFC 1035, section 2.3.4).
const LONGEST_LABEL: usize = 63;

/// A DNS name of labels with ASCII letters, digits, '-' and '_', in lower case and without the dot at its end.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

/// A text that cannot be a [`Name`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no DNS name: it has to consist of labels of 1 to {LONGEST_LABEL} letters, digits, '-' and '_', with dots between them, \
     and to have {LONGEST} characters at most"
)]
pub struct InvalidName(String);

impl Name {
    /// Takes the name if it is valid. A dot at its end is dropped.
    ///
    /// # Errors
    /// [`InvalidName`] quotes it and says what is allowed.
    pub fn new(text: &str) -> Result<Self, InvalidName> {
        let name = text.strip_suffix('.').unwrap_or(text);
        if name.len() <= LONGEST && name.split('.').all(is_label) {
            Ok(Self(name.to_ascii_lowercase()))
        } else {
            Err(InvalidName(text.to_owned()))
        }
    }

    /// The name, in lower case and without a dot at its end.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// This name below `domain`; nothing if that is too long.
    #[must_use]
    pub fn below(&self, domain: &Self) -> Option<Self> {
        Self::new(&format!("{self}.{domain}")).ok()
    }
}

fn is_label(text: &str) -> bool {
    (1..=LONGEST_LABEL).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

impl fmt::Display for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Name {
    type Error = InvalidName;
    fn try_from(text: String) -> Result<Self, InvalidName> {
        Self::new(&text)
    }
}

impl std::str::FromStr for Name {
    type Err = InvalidName;
    fn from_str(text: &str) -> Result<Self, InvalidName> {
        Self::new(text)
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_in_lower_case_and_without_a_last_dot() {
        for (text, name) in
            [("Web", "web"), ("my_db-1.dns.podman.", "my_db-1.dns.podman"), ("_http._tcp.web", "_http._tcp.web")]
        {
            assert_eq!(Name::new(text).unwrap().as_str(), name);
        }
    }

    #[test]
    fn what_no_packet_or_file_should_hold_is_no_name() {
        let label = "l".repeat(63);
        let longest = [&*label, &label, &label, &label[..61]].join(".");
        assert_eq!(Name::new(&longest).unwrap().as_str().len(), 253);
        for text in [
            "",
            ".",
            "..",
            "a..b",
            ".a",
            "a.. ",
            "ä",
            "a b",
            "a/b",
            "a\0",
            "*.a",
            &format!("{label}l"),
            &format!("{longest}l"),
        ] {
            assert!(Name::new(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_name_too_long_below_a_domain_is_none() {
        let [name, domain] = ["web", "dns.podman"].map(|text| Name::new(text).unwrap());
        assert_eq!(name.below(&domain).unwrap().as_str(), "web.dns.podman");
        let label = "d".repeat(62);
        let long = Name::new(&[&*label, &label, &label, &label].join(".")).unwrap();
        assert_eq!(name.below(&long), None);
    }
}
