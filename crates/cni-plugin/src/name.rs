//! The names that arrive from outside: validated once, then unable to hold a path separator, a quote or a newline.
//!
//! They end up in paths, rule comments and labels, so what they may contain is decided here and nowhere else.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{Code, Error};

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

            /// The name as text.
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

/// What is attached: one interface of one container in one network.
///
/// The three words are the primary key of everything a plugin keeps (spec, "General considerations"); as a label they
/// say in the kernel whose an object is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Attachment {
    /// The network's name.
    pub network: NetworkName,
    /// The container's id.
    pub container: ContainerId,
    /// The interface's name inside the container.
    pub ifname: IfName,
}

impl Attachment {
    /// The longest label in bytes: an nftables comment holds 251 (`NFT_USERDATA_MAXLEN` and what the kernel loses of it), an
    /// interface's alias 255.
    pub const MAX_LABEL: usize = 251;
    const PREFIX: &'static str = "ferrocni:";

    /// `ferrocni:<network>/<container>/<interface>`: unambiguous, because none of the three can hold a slash.
    #[must_use]
    pub fn label(&self) -> String {
        format!("{}{}/{}/{}", Self::PREFIX, self.network, self.container, self.ifname)
    }

    /// Reads a label back; `None` if it is not one of ours.
    #[must_use]
    pub fn from_label(label: &str) -> Option<Self> {
        Self::split_label(label).filter(|(_, rest)| rest.is_none()).map(|(attachment, _)| attachment)
    }

    /// Reads a label back that may be followed by a slash and more: what that says is between the plugin and itself.
    #[must_use]
    pub fn split_label(label: &str) -> Option<(Self, Option<&str>)> {
        let mut words = label.strip_prefix(Self::PREFIX)?.splitn(4, '/');
        let attachment = Self {
            network: NetworkName::new(words.next()?).ok()?,
            container: ContainerId::new(words.next()?).ok()?,
            ifname: IfName::new(words.next()?).ok()?,
        };
        Some((attachment, words.next()))
    }

    /// The name of this attachment's interface on the host: `prefix` and a hash of the label, 15 characters in all.
    ///
    /// Being derived, it is found again by a DEL whose ADD was killed before it could say anything.
    ///
    /// # Panics
    /// If `prefix` has more than 4 bytes: the rest is needed to tell attachments apart (55 bits).
    #[must_use]
    pub fn host_interface(&self, prefix: &str) -> String {
        const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
        assert!(prefix.len() <= 4, "a host interface's prefix has at most 4 bytes");
        let hash = fnv1a(self.label().as_bytes());
        let digits = (0..15 - prefix.len()).map(|i| {
            let digit = (hash >> (64_usize.saturating_sub(5 * (i + 1)))) & 31;
            char::from(ALPHABET[usize::try_from(digit).unwrap_or(0)])
        });
        prefix.chars().chain(digits).collect()
    }

    /// Refuses, before anything is made, an attachment whose label would not fit where labels go.
    pub(crate) fn check_label(&self) -> Result<(), Error> {
        let length = self.label().len();
        if length <= Self::MAX_LABEL {
            return Ok(());
        }
        Err(Error::new(
            Code::InvalidEnvironment,
            format!(
                "network name, container id and interface name have {} characters together",
                length - Self::PREFIX.len() - 2
            ),
        )
        .with_details(format!(
            "at most {} fit where the kernel keeps them: shorten the network's name",
            Self::MAX_LABEL - Self::PREFIX.len() - 2
        )))
    }
}

impl fmt::Display for Attachment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "container {} on network {} (interface {})", self.container, self.network, self.ifname)
    }
}

/// FNV-1a, 64 bits (<http://www.isthe.com/chongo/tech/comp/fnv/>): the same in every release, unlike std's hasher.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn attachment(container: &str) -> Attachment {
        Attachment {
            network: NetworkName::new("net-1").unwrap(),
            container: ContainerId::new(container).unwrap(),
            ifname: IfName::new("eth0").unwrap(),
        }
    }

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

    #[test]
    fn a_label_reads_back() {
        let attachment = attachment("c1");
        assert_eq!(attachment.label(), "ferrocni:net-1/c1/eth0");
        assert_eq!(Attachment::from_label(&attachment.label()), Some(attachment));
        for foreign in ["", "net/c/eth0", "ferrocni:net/c", "ferrocni:net/c/eth0/x", "ferrocni:/c/eth0"] {
            assert_eq!(Attachment::from_label(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn a_label_may_be_followed_by_more() {
        let c1 = attachment("c1");
        assert_eq!(Attachment::split_label("ferrocni:net-1/c1/eth0/a/b"), Some((c1.clone(), Some("a/b"))));
        assert_eq!(Attachment::split_label("ferrocni:net-1/c1/eth0"), Some((c1, None)));
        assert_eq!(Attachment::split_label("ferrocni:net-1/c1"), None);
    }

    #[test]
    fn a_label_that_does_not_fit_is_refused() {
        let fits = Attachment::MAX_LABEL - "ferrocni:net-1//eth0".len();
        assert!(attachment(&"c".repeat(fits)).check_label().is_ok());
        assert!(attachment(&"c".repeat(fits + 1)).check_label().is_err());
    }

    #[test]
    fn host_interfaces_are_stable_distinct_and_valid() {
        let name = attachment("c1").host_interface("veth");
        assert_eq!(name, attachment("c1").host_interface("veth"));
        assert_eq!(name.len(), 15);
        assert!(IfName::new(name).is_ok());
        let names: std::collections::HashSet<_> =
            (0..10_000).map(|i| attachment(&format!("c{i}")).host_interface("veth")).collect();
        assert_eq!(names.len(), 10_000);
    }
}
