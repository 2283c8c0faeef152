//! Sysctls that the configuration has twice under the same key. JSON parsers keep one of the two, and not all of them the
//! same one, so a value that was reviewed elsewhere may not be the value that is set.

use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use crate::Error;

/// Refuses a configuration with an object `sysctl` that has a key twice.
pub(crate) fn refuse(text: &[u8]) -> Result<(), Error> {
    let mut twice = None;
    let mut json = serde_json::Deserializer::from_slice(text);
    // It has been read before, so this is all that can be wrong with it.
    let _ = Node { is_sysctl: false, twice: &mut twice }.deserialize(&mut json);
    twice.map_or(Ok(()), |key| Err(Error::Duplicate { key }))
}

/// Any value, of which only the keys matter.
struct Node<'a> {
    is_sysctl: bool,
    twice: &'a mut Option<String>,
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = HashSet::new();
        while let Some(key) = map.next_key::<String>()? {
            let is_sysctl = key.eq_ignore_ascii_case("sysctl");
            if self.is_sysctl && seen.contains(&key) {
                *self.twice = Some(key);
                return Err(A::Error::custom("a key twice"));
            }
            seen.insert(key);
            map.next_value_seed(Node { is_sysctl, twice: &mut *self.twice })?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(Node { is_sysctl: false, twice: &mut *self.twice })?.is_some() {}
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn twice(text: &str) -> bool {
        refuse(text.as_bytes()).is_err()
    }

    #[test]
    fn a_sysctl_that_is_there_twice_is_found_wherever_it_is() {
        assert!(twice(r#"{"mtu": 1, "sysctl": {"net.a": "1", "net.b": "2", "net.a": "3"}}"#));
        assert!(twice(
            r#"{"x": [true, null, 1.5, -1], "args": {"cni": {"SYSCTL": {"net.a": "1", "net.\u0061": "1"}}}}"#
        ));
        assert!(!twice(r#"{"sysctl": {"net.a": "1", "net.b": "1"}, "mtu": 1, "mtu": 2, "args": {"net.a": "1"}}"#));
        assert!(!twice(""));
    }
}
