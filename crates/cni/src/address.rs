//! Addresses as they stand in configurations and results.

/// For `#[serde(with = "cidr")]`: an address with its prefix length, `10.1.2.3/24`, host bits kept.
///
/// Stricter than `IpNetwork`'s own: the prefix length has to be there, as in Go.
pub mod cidr {
    use std::net::IpAddr;

    use ipnetwork::IpNetwork;
    use serde::Deserialize;

    /// Reads `address/prefix`.
    ///
    /// # Errors
    /// Says what is wrong and shows the form.
    pub fn parse(text: &str) -> Result<IpNetwork, String> {
        let wrong = || format!("{text:?} is not an address with a prefix length, such as 10.1.2.0/24 or fd00::/64");
        let (address, prefix) = text.split_once('/').ok_or_else(wrong)?;
        // std refuses octets with a leading zero, which some parsers read as octal.
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        if !prefix.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(wrong());
        }
        IpNetwork::new(address, prefix.parse().map_err(|_| wrong())?).map_err(|_| wrong())
    }

    /// Writes `address/prefix`.
    ///
    /// # Errors
    /// The serializer's.
    pub fn serialize<S: serde::Serializer>(network: &IpNetwork, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(network)
    }

    /// Reads `address/prefix`.
    ///
    /// # Errors
    /// As [`parse`].
    pub fn deserialize<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<IpNetwork, D::Error> {
        parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// An address alone, `10.1.2.3`; one mapped into IPv6 (`::ffff:10.1.2.3`) is the IPv4 one.
pub mod ip {
    use std::net::IpAddr;

    use serde::Deserialize;

    /// Reads an address.
    ///
    /// # Errors
    /// Says what is wrong and shows the form.
    pub fn parse(text: &str) -> Result<IpAddr, String> {
        text.parse::<IpAddr>()
            .map(|address| address.to_canonical())
            .map_err(|_| format!("{text:?} is not an IP address, such as 10.1.2.3 or fd00::3"))
    }

    /// For a key that may be empty: Go's types write a missing address so in places.
    ///
    /// # Errors
    /// As [`parse`].
    pub fn deserialize_optional<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<IpAddr>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?.unwrap_or_default();
        (!text.is_empty()).then(|| parse(&text)).transpose().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn addresses_need_a_prefix_and_no_leading_zeros() {
        for bad in ["10.1.2.3", "10.1.2.3/33", "10.1.2.03/24", "10.1.2.3/+8", "/8", "fd00::/129", "x/8", "1.2.3.4/8/8"]
        {
            assert!(cidr::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(cidr::parse("fd00::5/64").unwrap().to_string(), "fd00::5/64");
    }

    #[test]
    fn an_ipv4_address_in_ipv6_is_an_ipv4_address() {
        assert_eq!(ip::parse("::ffff:10.1.2.3").unwrap(), ip::parse("10.1.2.3").unwrap());
        for bad in ["", "10.1.2", "10.1.2.03", "10.1.2.3/24", "fd00::/64", " 10.1.2.3"] {
            assert!(ip::parse(bad).unwrap_err().contains(bad), "{bad}");
        }
    }
}
