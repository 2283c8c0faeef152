//! The words of a rule: types that cannot hold a line break, so that no name can become a rule of its own.

use std::fmt;

use crate::{Error, Result};

/// Longest name of a user-defined chain, in bytes (`XT_EXTENSION_MAXNAMELEN` less what iptables keeps).
const CHAIN: usize = 28;
/// Longest comment, in bytes (`XT_MAX_COMMENT_LEN` less the NUL).
const COMMENT: usize = 255;
/// Longest interface name, in bytes (`IFNAMSIZ` less the NUL).
const INTERFACE: usize = 15;

/// One word of a rule, as the program will see it: any text without control characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Argument(String);

impl Argument {
    /// Takes a word from a configuration.
    ///
    /// # Errors
    /// [`Error::Invalid`] if it is empty or holds a control character.
    pub fn new(word: &str) -> Result<Self> {
        let invalid = |reason| Err(invalid("a word", word, reason));
        match word {
            "" => invalid("it is empty"),
            _ if word.contains(char::is_control) => invalid("it holds a control character"),
            _ => Ok(Self(word.to_owned())),
        }
    }

    /// The word as it is written into the input of iptables-restore, before quoting.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The name of a chain: 1 to 28 printable ASCII characters, without spaces and quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain(String);

impl Chain {
    /// Takes a chain name, for instance from a configuration.
    ///
    /// # Errors
    /// [`Error::Invalid`] unless it is 1 to 28 printable ASCII characters without quotes, and does not
    /// start like an option.
    pub fn new(name: &str) -> Result<Self> {
        let invalid = |reason| Err(invalid("a chain name", name, reason));
        let fits = |byte: u8| byte.is_ascii_graphic() && !b"\"'\\".contains(&byte);
        match name.as_bytes() {
            [] => invalid("it is empty"),
            [b'-' | b'!' | b':' | b'*' | b'#', ..] => invalid("it starts with a sign that iptables gives a meaning"),
            long if long.len() > CHAIN => invalid("it is longer than 28 bytes"),
            bytes if !bytes.iter().all(|byte| fits(*byte)) => invalid("use printable ASCII without spaces and quotes"),
            _ => Ok(Self(name.to_owned())),
        }
    }

    /// A chain whose name stands in this crate.
    pub(crate) fn known(name: &'static str) -> Self {
        Self(name.to_owned())
    }

    /// The Go suite's name for the chain of one container in one network: `CNI-`, `prefix`, and as much
    /// of the SHA-512 of both names as fits.
    pub(crate) fn of_attachment(prefix: &str, network: &str, container: &str) -> Self {
        use sha2::{Digest, Sha512};
        use std::fmt::Write;

        let mut name = format!("CNI-{prefix}");
        for byte in Sha512::new().chain_update(network).chain_update(container).finalize() {
            let _ = write!(name, "{byte:02x}");
        }
        name.truncate(CHAIN);
        Self(name)
    }

    /// The name, at most 28 bytes.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text of a rule's comment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comment(String);

impl Comment {
    /// Takes a text, cut to the 255 bytes that the kernel keeps.
    ///
    /// # Errors
    /// [`Error::Invalid`] if it is empty or holds a control character.
    pub fn new(text: &str) -> Result<Self> {
        let Argument(mut text) = Argument::new(text)?;
        if text.len() > COMMENT {
            text.truncate(text.floor_char_boundary(COMMENT - 3));
            text.push_str("...");
        }
        Ok(Self(text))
    }

    /// The Go suite's comment on the rules of one container in one network.
    pub(crate) fn of_attachment(prefix: &str, network: &str, container: &str) -> Result<Self> {
        Self::new(&format!("{prefix}name: \"{network}\" id: \"{container}\""))
    }

    /// The text, at most 255 bytes.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The name of one network interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface(String);

impl Interface {
    /// Takes an interface name.
    ///
    /// # Errors
    /// [`Error::Invalid`] unless it is 1 to 15 bytes without spaces, quotes and control characters, and
    /// does not end in `+`: iptables would take that for every interface whose name starts so.
    pub fn new(name: &str) -> Result<Self> {
        let invalid = |reason| Err(invalid("an interface name", name, reason));
        match name {
            "" => invalid("it is empty"),
            _ if name.len() > INTERFACE => invalid("it is longer than 15 bytes"),
            _ if name.ends_with('+') => invalid("iptables takes a final + for a wildcard"),
            _ if name.starts_with(['-', '!']) => invalid("it starts like an option"),
            _ if name.contains(|c: char| c.is_whitespace() || c.is_control() || "\"'\\/".contains(c)) => {
                invalid("it holds a space, a quote, a slash or a control character")
            }
            _ => Ok(Self(name.to_owned())),
        }
    }

    /// The name, at most 15 bytes.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn invalid(what: &'static str, value: &str, reason: &'static str) -> Error {
    Error::Invalid { what, value: value.to_owned(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chain_names_are_those_of_the_go_suite() {
        // sha512("testcontainer"), sha512 of nothing: from `printf … | sha512sum`.
        let chain = Chain::of_attachment("", "test", "container");
        assert_eq!(chain.as_str().len(), 28);
        assert_eq!(Chain::of_attachment("", "", "").as_str(), "CNI-cf83e1357eefb8bdf1542850");
        assert_eq!(Chain::of_attachment("DN-", "", "").as_str(), "CNI-DN-cf83e1357eefb8bdf1542");
    }

    #[test]
    fn nothing_that_could_end_a_line_or_start_an_option_is_a_chain() {
        for name in ["", "-j", "a b", "a\nb", "a\"b", "*nat", ":X", "#x", "12345678901234567890123456789", "é"] {
            assert!(Chain::new(name).is_err(), "{name:?}");
        }
        assert!(Chain::new("KUBE-MARK-MASQ").is_ok());
    }

    #[test]
    fn control_characters_are_no_part_of_words_and_comments() {
        for text in ["", "a\nCOMMIT", "a\rb", "a\0b", "\u{85}"] {
            assert!(Argument::new(text).is_err(), "{text:?}");
            assert!(Comment::new(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_long_comment_is_cut_to_what_the_kernel_keeps() {
        assert_eq!(Comment::new(&"x".repeat(255)).expect("fits").as_str().len(), 255);
        let long = Comment::new(&"é".repeat(200)).expect("cut");
        assert!(long.as_str().len() <= 255 && long.as_str().ends_with("é..."), "{long:?}");
    }

    #[test]
    fn an_interface_name_is_never_a_wildcard() {
        for name in ["", "br+", "+", "a b", "a\"", "-i", "!", "1234567890123456", "a\n", "a/b"] {
            assert!(Interface::new(name).is_err(), "{name:?}");
        }
        assert!(Interface::new("cni+podman0").is_ok());
    }
}
