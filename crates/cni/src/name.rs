//! The names that arrive from outside: validated once, then unable to hold a path separator, a quote or a newline.
//!
//! They end up in paths, rule comments and labels, so what they may contain is decided here and nowhere else.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a name was refused; the text says what is allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {value:?} is not valid: {rule}")]
pub struct InvalidName {
    what: &'static str,
    value: String,
    rule: &'static str,
}

const IDENTIFIER_RULE: &str =
    "it has to start with a letter or a digit and go on with letters, digits, '_', '.' or '-'";
const INTERFACE_RULE: &str = "it has to have 1 to 15 characters, not be '.' or '..', and hold no '/', ':', '%', '\"', white space or control characters";
const LINK_RULE: &str = "it has to have 1 to 127 characters, not be '.' or '..', and hold no '/', ':', '%', '\"', white space or control characters";
const TYPE_RULE: &str = "it names a file in CNI_PATH, so it may be neither '.' nor '..' nor hold a '/'";

/// `^[A-Za-z0-9][A-Za-z0-9_.-]*$`, the spec's form of container ids and network names.
fn is_identifier(value: &str) -> bool {
    value.starts_with(|c: char| c.is_ascii_alphanumeric())
        && value.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
}

/// The kernel's own rule (`dev_valid_name` in net/core/dev.c), which is also the spec's. The kernel takes a '%' as well,
/// but as a pattern (`eth%d`) for a name of its own choice, which would not be the one that was asked for. And it takes a
/// quote, which would end the comment in what `nft list ruleset` prints, so that a saved ruleset could not be loaded again.
fn is_interface(value: &str) -> bool {
    is_link(value) && value.len() <= 15
}

/// Alternative names are longer (`ALTIFNAMSIZ`).
fn is_link(value: &str) -> bool {
    !value.is_empty()
        && value.len() <= 127
        && value != "."
        && value != ".."
        && !value.contains(|c: char| matches!(c, '/' | ':' | '%' | '"') || c.is_whitespace() || c.is_control())
}

fn is_plugin_type(value: &str) -> bool {
    !value.is_empty() && value != "." && value != ".." && !value.contains(['/', '\\', '\0'])
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $what:literal, $valid:ident, $rule:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(String);

        impl $type {
            /// Takes the name if it is valid.
            ///
            /// # Errors
            /// [`InvalidName`] quotes the value and says what is allowed.
            pub fn new(value: impl Into<String>) -> Result<Self, InvalidName> {
                let value = value.into();
                if $valid(&value) {
                    Ok(Self(value))
                } else {
                    Err(InvalidName { what: $what, value, rule: $rule })
                }
            }

            /// The name, which has been checked when the value was built.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $type {
            type Error = InvalidName;
            fn try_from(value: String) -> Result<Self, InvalidName> {
                Self::new(value)
            }
        }

        impl std::str::FromStr for $type {
            type Err = InvalidName;
            fn from_str(value: &str) -> Result<Self, InvalidName> {
                Self::new(value)
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> String {
                name.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $type {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

name!(
    /// The `name` of a network configuration.
    NetworkName, "network name", is_identifier, IDENTIFIER_RULE
);
name!(
    /// A container's id (`CNI_CONTAINERID`).
    ContainerId, "container id", is_identifier, IDENTIFIER_RULE
);
name!(
    /// The name of an interface that can be made (`CNI_IFNAME`, `bridge`), as the kernel accepts it.
    IfName, "interface name", is_interface, INTERFACE_RULE
);
name!(
    /// One of the names of a link that is there (`master`, `device`), which has to be no [`IfName`]: `ip link property` gives
    /// links alternative, longer ones.
    LinkName, "interface name", is_link, LINK_RULE
);
name!(
    /// A plugin's `type`: the name of an executable in `CNI_PATH`.
    PluginType, "plugin type", is_plugin_type, TYPE_RULE
);

impl From<IfName> for LinkName {
    fn from(name: IfName) -> Self {
        Self(name.0)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_follow_the_spec() {
        for good in ["a", "0", "a_b.c-d", "A9"] {
            assert!(ContainerId::new(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", ".a", "a/b", "a b", "a\n", "ä", "../x"] {
            assert!(ContainerId::new(bad).is_err(), "{bad}");
            assert!(NetworkName::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn interface_names_follow_the_kernel() {
        for good in ["eth0", "eth0.100", "a", "123456789012345"] {
            assert!(IfName::new(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "a/b", "a:b", "a b", "1234567890123456", "a\tb", "eth%d", "a\"b", "a\u{1b}[m", "a\0"]
        {
            assert!(IfName::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_link_that_is_there_may_have_longer_names() {
        for (length, is_valid) in [(0, false), (1, true), (16, true), (127, true), (128, false)] {
            assert_eq!(LinkName::new("x".repeat(length)).is_ok(), is_valid, "{length}");
        }
        assert!(LinkName::new("a/longer-name-than-usual").is_err());
    }

    #[test]
    fn a_plugin_type_cannot_leave_its_directory() {
        for bad in ["", ".", "..", "../x", "a/b", "/bin/sh"] {
            assert!(PluginType::new(bad).is_err(), "{bad}");
        }
        assert!(PluginType::new("host-local").is_ok());
    }
}
