use std::net::IpAddr;

use cni_plugin::{Code, SpecVersion};

/// Why addresses cannot be given, or are not the ones that were.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the messages say it
pub enum Error {
    #[error("the configuration has no \"ipam\" object: add \"ipam\": {{\"type\": \"static\", \"addresses\": […]}}")]
    NoIpam,
    #[error("{key} in CNI_ARGS cannot be used: {reason}")]
    NotAnAddress { key: &'static str, reason: String },
    #[error(
        "{address}, asked for in {origin}, is in the subnet of no configured address: \
         ask for it with its prefix length, such as {address}/{}", if address.is_ipv4() { 24 } else { 64 }
    )]
    NoSubnet { address: IpAddr, origin: &'static str },
    #[error(
        "CNI version {version} allows only one address of each family: set \"cniVersion\" to 0.3.0 or later, \
         or leave addresses out"
    )]
    TooMany { version: SpecVersion },
    #[error(transparent)]
    Differs(#[from] cni_plugin::Difference),
    #[error(transparent)]
    Protocol(#[from] cni_plugin::Error),
}

impl From<Error> for cni_plugin::Error {
    fn from(error: Error) -> Self {
        let code = match error {
            Error::Protocol(inner) => return inner,
            Error::NoIpam | Error::NotAnAddress { .. } | Error::NoSubnet { .. } | Error::TooMany { .. } => {
                Code::InvalidConfig
            }
            Error::Differs(_) => Code::Internal,
        };
        Self::from_chain(code, &error)
    }
}
