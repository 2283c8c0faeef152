//! What can go wrong, and what the user can do about it.

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;

use cni_plugin::Code;
use cni_plugin::json::Misfit;

use crate::owner::Owner;
use crate::range::RangeError;

/// A failure of host-local.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the messages say it
pub enum Error {
    #[error("the configuration has no \"ipam\" object")]
    NoIpam,
    #[error("the network configuration is not valid")]
    Misfit(#[source] Misfit),
    #[error("the configured addresses are not valid")]
    Ranges(#[from] RangeError),
    #[error("{doing} {}", path.display())]
    Io { doing: &'static str, path: PathBuf, source: io::Error },
    #[error("{} is not a folder of this plugin", .0.display())]
    NotAFolder(PathBuf),
    #[error("no address is free in {ranges}: {reserved} of {capacity} are reserved{}", by_empty_files(empty))]
    Exhausted { ranges: String, reserved: usize, capacity: u128, empty: Vec<IpAddr>, dir: PathBuf },
    #[error("{owner} already has {address} on this network")]
    Duplicate { owner: Owner, address: IpAddr },
    #[error("{text:?} is not an address that could be requested in {origin}")]
    NotAnAddress { text: String, origin: &'static str },
    #[error("{count} addresses are requested, and {most} is the most")]
    TooManyRequested { count: usize, most: usize },
    #[error("the requested address {address} is in none of the configured ranges ({ranges})")]
    RequestedOutside { address: IpAddr, ranges: String },
    #[error("the requested address {address} is the gateway of {ranges}")]
    RequestedGateway { address: IpAddr, ranges: String },
    #[error("{first} and {second} are both requested from {ranges}, which gives a container one address")]
    RequestedTwice { first: IpAddr, second: IpAddr, ranges: String },
    #[error("the requested address {address} is already reserved for {holder}")]
    RequestedTaken { address: IpAddr, holder: String, dir: PathBuf },
    #[error("expected an address of {ranges} to be reserved for {owner}, found none")]
    NothingReserved { owner: Owner, ranges: String },
    #[error("expected {address} to be reserved for {owner}, found it {found}")]
    Differs { address: IpAddr, owner: Owner, found: String },
    #[error("expected {owner} to have only the addresses that its ADD reported, found {address} reserved for it too")]
    Unreported { owner: Owner, address: IpAddr },
    #[error(transparent)]
    Protocol(#[from] cni_plugin::Error),
}

impl Error {
    fn code(&self) -> Code {
        match self {
            Self::NoIpam
            | Self::Misfit(_)
            | Self::Ranges(_)
            | Self::TooManyRequested { .. }
            | Self::NotAnAddress { .. }
            | Self::RequestedOutside { .. }
            | Self::RequestedGateway { .. }
            | Self::RequestedTwice { .. } => Code::InvalidConfig,
            Self::Io { .. } | Self::NotAFolder(_) => Code::Io,
            // Once another container has let go of an address, the same ADD succeeds.
            Self::Exhausted { .. } | Self::RequestedTaken { .. } => Code::TryAgainLater,
            Self::Duplicate { .. } | Self::NothingReserved { .. } | Self::Differs { .. } | Self::Unreported { .. } => {
                Code::Internal
            }
            Self::Protocol(error) => error.code(),
        }
    }

    /// What to do about it, where a user can do something.
    fn remedy(&self) -> Option<String> {
        Some(match self {
            Self::NoIpam => "add \"ipam\": {\"type\": \"host-local\", \"subnet\": \"10.1.2.0/24\"}".into(),
            Self::NotAFolder(path) => format!("move {} away; it is made anew", path.display()),
            Self::Exhausted { empty, dir, .. } if !empty.is_empty() => format!(
                "remove the files that name no container, such as {}: a full disk or a power cut left them; the runtime's \
                 garbage collection (CNI GC) removes them as well",
                dir.join(empty[0].to_string()).display()
            ),
            Self::Exhausted { dir, .. } => format!(
                "each file in {} names the container that holds the address; delete containers, let the runtime's garbage \
                 collection (CNI GC) free what belongs to none, or configure a larger range",
                dir.display()
            ),
            Self::Duplicate { .. } => "an ADD is repeated only after a DEL of the same container and interface".into(),
            Self::RequestedOutside { .. } | Self::RequestedGateway { .. } => "request another address".into(),
            Self::TooManyRequested { .. } => "a container gets one address of each range set".into(),
            Self::RequestedTwice { .. } => "request one, or configure a range set for each".into(),
            Self::RequestedTaken { dir, address, .. } => {
                format!(
                    "request another address, or delete its container; the reservation is {}/{address}",
                    dir.display()
                )
            }
            Self::NothingReserved { .. } | Self::Differs { .. } | Self::Unreported { .. } => {
                "recreate the container: its addresses may be given to another one".into()
            }
            Self::Misfit(_) | Self::Ranges(_) | Self::Io { .. } | Self::NotAnAddress { .. } | Self::Protocol(_) => {
                return None;
            }
        })
    }
}

fn by_empty_files(empty: &[IpAddr]) -> String {
    match empty.len() {
        0 => String::new(),
        count => format!(", {count} of them by files that name no container"),
    }
}

impl From<Error> for cni_plugin::Error {
    fn from(error: Error) -> Self {
        if let Error::Protocol(error) = error {
            return error;
        }
        let told = Self::from_chain(error.code(), &error);
        match error.remedy() {
            Some(remedy) => told.with_details(remedy),
            None => told,
        }
    }
}
