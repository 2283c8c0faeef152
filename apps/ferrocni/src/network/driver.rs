//! What connects the containers of a network.

use std::fmt;
use std::str::FromStr;

/// The drivers that networks can be created with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Driver {
    Bridge,
    Macvlan,
    Ipvlan,
    /// Over many hosts.
    Overlay,
}

/// There is no such driver.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UnknownDriver {
    #[error("driver {0:?} is not known: use bridge, macvlan, ipvlan or overlay")]
    Unknown(String),
    #[error("no network can be created with driver {0}: the network {0} is there already")]
    BuiltIn(String),
}

impl Driver {
    pub(crate) const ALL: [Self; 4] = [Self::Bridge, Self::Macvlan, Self::Ipvlan, Self::Overlay];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Bridge => "bridge",
            Self::Macvlan => "macvlan",
            Self::Ipvlan => "ipvlan",
            Self::Overlay => "overlay",
        }
    }
}

impl fmt::Display for Driver {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for Driver {
    type Err = UnknownDriver;

    fn from_str(text: &str) -> Result<Self, UnknownDriver> {
        let known = Self::ALL.into_iter().find(|driver| driver.as_str() == text);
        known.ok_or_else(|| match text {
            "host" | "none" | "null" => UnknownDriver::BuiltIn(text.replace("null", "none")),
            _ => UnknownDriver::Unknown(text.to_owned()),
        })
    }
}
