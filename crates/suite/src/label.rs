//! What this suite writes on all that it makes, so that it says in the kernel whose it is.

use cni_plugin::{Attachment, Code, Error, Gc};

/// What every label begins with, and everything else by which the suite knows what it made.
pub const PREFIX: &str = "ferrocni:";

/// The alias of a bridge that a plugin has made, which is no attachment's.
pub const BRIDGE: &str = "ferrocni:bridge";

/// The longest label in bytes: an nftables comment holds 251 (`NFT_USERDATA_MAXLEN` and what the kernel loses of it), an
/// interface's alias 255.
pub const MAX_LABEL: usize = 251;

/// An attachment's label.
pub trait Labelled: Sized {
    /// `ferrocni:<network>/<container>/<interface>`: unambiguous, because none of the three can hold a slash.
    #[must_use]
    fn label(&self) -> String;

    /// Reads a label back; `None` if it is not one of ours.
    #[must_use]
    fn from_label(label: &str) -> Option<Self> {
        Self::split_label(label).filter(|(_, rest)| rest.is_none()).map(|(labelled, _)| labelled)
    }

    /// Reads a label back that may be followed by a slash and more: what that says is between the plugin and itself.
    #[must_use]
    fn split_label(label: &str) -> Option<(Self, Option<&str>)>;

    /// The name of this attachment's interface on the host: `prefix` and a hash of the label, 15 characters in all.
    ///
    /// Being derived, it is found again by a DEL whose ADD was killed before it could say anything.
    ///
    /// # Panics
    /// If `prefix` has more than 4 bytes: the rest is needed to tell attachments apart (55 bits).
    #[must_use]
    fn host_interface(&self, prefix: &str) -> String {
        const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
        assert!(prefix.len() <= 4, "a host interface's prefix has at most 4 bytes");
        let hash = fnv1a(self.label().as_bytes());
        let digits = (0..15 - prefix.len()).map(|i| {
            let digit = (hash >> (64_usize.saturating_sub(5 * (i + 1)))) & 31;
            char::from(ALPHABET[usize::try_from(digit).unwrap_or(0)])
        });
        prefix.chars().chain(digits).collect()
    }
}

impl Labelled for Attachment {
    fn label(&self) -> String {
        format!("{PREFIX}{}/{}/{}", self.network, self.container, self.ifname)
    }

    fn split_label(label: &str) -> Option<(Self, Option<&str>)> {
        let mut words = label.strip_prefix(PREFIX)?.splitn(4, '/');
        let attachment = Self::new(words.next()?, words.next()?, words.next()?).ok()?;
        Some((attachment, words.next()))
    }
}

/// Whether GC is to remove what is labelled like this: it belongs to the request's network, and to none of the valid attachments.
#[must_use]
pub fn is_stale<C>(request: &Gc<C>, label: &str) -> bool {
    Attachment::from_label(label).is_some_and(|attachment| request.is_stale(&attachment))
}

/// Refuses, before anything is made, an attachment whose label would not fit where labels go.
///
/// # Errors
/// Code 4, with what to do.
pub fn check(attachment: &Attachment) -> Result<(), Error> {
    const WITHOUT_NAMES: usize = PREFIX.len() + "//".len();
    let length = attachment.label().len();
    if length <= MAX_LABEL {
        return Ok(());
    }
    let msg =
        format!("network name, container id and interface name have {} characters together", length - WITHOUT_NAMES);
    Err(Error::new(Code::InvalidEnvironment, msg).with_details(format!(
        "at most {} fit where the kernel keeps them: shorten the network's name",
        MAX_LABEL - WITHOUT_NAMES
    )))
}

/// FNV-1a, 64 bits (<http://www.isthe.com/chongo/tech/comp/fnv/>): the same in every release, unlike std's hasher.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use cni_plugin::IfName;

    fn attachment(container: &str) -> Attachment {
        Attachment::new("net-1", container, "eth0").unwrap()
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
        let fits = MAX_LABEL - "ferrocni:net-1//eth0".len();
        assert!(check(&attachment(&"c".repeat(fits))).is_ok());
        assert!(check(&attachment(&"c".repeat(fits + 1))).is_err());
    }

    #[test]
    fn host_interfaces_are_stable_distinct_and_valid() {
        assert_eq!(attachment("c1").host_interface("veth"), "vethqzxcojuqrt2", "as on every node where it is");
        let name = attachment("c1").host_interface("veth");
        assert_eq!(name.len(), 15);
        assert!(IfName::new(name).is_ok());
        let names: std::collections::HashSet<_> =
            (0..10_000).map(|i| attachment(&format!("c{i}")).host_interface("veth")).collect();
        assert_eq!(names.len(), 10_000);
    }
}
