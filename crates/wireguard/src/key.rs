use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::{Error, Result};

const LENGTH: usize = 32;

/// A key by which a peer is known, written as `wg` writes it: in base64.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey(pub(crate) [u8; LENGTH]);

/// A key that only this host has. Nothing prints it.
#[derive(Clone, PartialEq, Eq)]
pub struct PrivateKey(pub(crate) [u8; LENGTH]);

/// A text that is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no WireGuard key: that is 32 bytes in base64")]
pub struct InvalidKey;

fn parse(text: &str) -> std::result::Result<[u8; LENGTH], InvalidKey> {
    let bytes = STANDARD.decode(text).map_err(|_| InvalidKey)?;
    bytes.try_into().map_err(|_| InvalidKey)
}

impl PublicKey {
    /// Reads one as `wg` writes it.
    ///
    /// # Errors
    /// [`InvalidKey`].
    pub fn parse(text: &str) -> std::result::Result<Self, InvalidKey> {
        parse(text).map(Self)
    }
}

impl PrivateKey {
    /// Reads one as `wg` writes it.
    ///
    /// # Errors
    /// [`InvalidKey`].
    pub fn parse(text: &str) -> std::result::Result<Self, InvalidKey> {
        parse(text).map(Self)
    }

    /// A new one. The kernel sets the bits that are the same in every key (RFC 7748, section 5).
    ///
    /// # Errors
    /// [`Error::Random`].
    pub fn random() -> Result<Self> {
        let mut bytes = [0; LENGTH];
        getrandom::fill(&mut bytes).map_err(Error::Random)?;
        Ok(Self(bytes))
    }

    /// For a file that nobody else can read.
    #[must_use]
    pub fn reveal(&self) -> String {
        STANDARD.encode(self.0)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&STANDARD.encode(self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a private key")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_they_are_written_and_private_ones_not_printed() {
        let text = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=";
        assert_eq!(PublicKey::parse(text).unwrap().to_string(), text);
        assert_eq!(PrivateKey::parse(text).unwrap().reveal(), text);
        assert!(!format!("{:?}", PrivateKey::parse(text).unwrap()).contains("xTIB"));
        for wrong in ["", "short", &text[1..], "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dh=", &format!("{text}\n")] {
            assert_eq!(PublicKey::parse(wrong), Err(InvalidKey), "{wrong}");
        }
        assert_ne!(PrivateKey::random().unwrap().0, PrivateKey::random().unwrap().0);
    }
}
