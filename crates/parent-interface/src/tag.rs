use std::fmt;

use serde::{Deserialize, Deserializer};

/// An IEEE 802.1Q tag that a link can have: 1 to 4094. 0 means "no VLAN", 4095 is reserved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VlanId(u16);

impl VlanId {
    /// The tag, if there is one of this number.
    #[must_use]
    pub fn new(number: u16) -> Option<Self> {
        (1..=4094).contains(&number).then_some(Self(number))
    }

    /// The VLAN id as in the frame's tag, 1 to 4094.
    #[must_use]
    pub fn get(self) -> u16 {
        self.0
    }

    /// For a key whose 0 means that there is no tag.
    ///
    /// # Errors
    /// Whatever is not a number from 0 to 4094.
    pub fn deserialize_or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Self>, D::Error> {
        match i64::deserialize(deserializer)? {
            0 => Ok(None),
            number => Self::from_number(number).map(Some).map_err(serde::de::Error::custom),
        }
    }

    fn from_number(number: i64) -> Result<Self, String> {
        let tag = u16::try_from(number).ok().and_then(Self::new);
        tag.ok_or_else(|| format!("{number} is not a VLAN id: use 1 to 4094"))
    }
}

impl<'de> Deserialize<'de> for VlanId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_number(i64::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for VlanId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_1_to_4094_are_tags() {
        for number in [1, 20, 4094] {
            assert_eq!(serde_json::from_str::<VlanId>(&number.to_string()).unwrap().get(), number);
        }
        for text in ["0", "4095", "-1", "65556", "\"20\"", "2.5"] {
            assert!(serde_json::from_str::<VlanId>(text).is_err(), "{text}");
        }
    }
}
