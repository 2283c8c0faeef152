use std::fmt;
use std::io::ErrorKind;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::Error;

/// Longer than any that is written here, in bytes.
const LIMIT: usize = 64;

/// Who a host is, whatever its name and its addresses are today: a UUID (RFC 9562) in lower case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostId(String);

impl HostId {
    #[cfg(test)]
    pub(crate) const EXAMPLE: &str = "00000000-0000-4000-8000-000000000000";

    /// Takes the text if it is a UUID.
    ///
    /// # Errors
    /// Says what it is not.
    pub fn parse(text: &str) -> Result<Self, String> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let fits = |(place, byte): (usize, u8)| {
            if matches!(place, 8 | 13 | 18 | 23) { byte == b'-' } else { is_digit(byte) }
        };
        if text.len() == 36 && text.bytes().enumerate().all(fits) {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!("{:?} is no host id (a UUID in lower case)", shortened(text)))
        }
    }

    /// This host's id, kept in the file at `path`; made when it is asked for first.
    ///
    /// # Errors
    /// The file cannot be read or written, or says something else.
    pub fn of_this_host(path: &Path) -> Result<Self, Error> {
        match files::read(path, LIMIT) {
            Ok(content) => {
                let text = String::from_utf8_lossy(&content);
                Self::parse(text.trim()).map_err(|reason| Error::HostId { path: path.into(), reason })
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Self::make(path),
            Err(error) => Err(Error::file("read", path)(error)),
        }
    }

    fn make(path: &Path) -> Result<Self, Error> {
        let folder = path.parent().unwrap_or(Path::new("/"));
        std::fs::create_dir_all(folder).map_err(Error::file("create folder", folder))?;
        let new = Self::random()?;
        let unfinished = path.with_extension("new");
        files::replace(path, &unfinished, format!("{new}\n").as_bytes()).map_err(Error::file("write", path))?;
        Ok(new)
    }

    /// A random one (version 4).
    fn random() -> Result<Self, Error> {
        let mut bytes = [0_u8; 16];
        getrandom::fill(&mut bytes).map_err(Error::Random)?;
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let parts = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
        Ok(Self(parts.join("-")))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a person can still read of a text that came from outside.
pub(crate) fn shortened(text: &str) -> String {
    const SHOWN: usize = 120;
    if text.chars().count() <= SHOWN { text.to_owned() } else { text.chars().take(SHOWN).chain(['…']).collect() }
}

impl TryFrom<String> for HostId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
    }
}

impl From<HostId> for String {
    fn from(id: HostId) -> String {
        id.0
    }
}

impl fmt::Display for HostId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_the_same_id_as_long_as_its_file_lives() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state/host-id");
        let id = HostId::of_this_host(&path).unwrap();
        assert_eq!(HostId::of_this_host(&path).unwrap(), id);
        assert_eq!(HostId::parse(id.as_str()), Ok(id.clone()));
        std::fs::remove_file(&path).unwrap();
        assert_ne!(HostId::of_this_host(&path).unwrap(), id);
    }

    #[test]
    fn nothing_else_is_an_id() {
        assert!(HostId::parse(HostId::EXAMPLE).is_ok());
        let upper = HostId::EXAMPLE.replace('0', "A");
        for wrong in ["", "h1", "../../../../../../../../../../../../x", &upper, &"0".repeat(36), &"0".repeat(10_000)] {
            let error = HostId::parse(wrong).unwrap_err();
            assert!(error.len() < 200, "{error}");
        }
    }
}
