use cni_plugin::Code;

/// What a backend refused, or CHECK missed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The nftables ruleset.
    #[error(transparent)]
    Nftables(#[from] nftables::Error),
    /// The iptables rules.
    #[error(transparent)]
    Iptables(#[from] iptables::Error),
    /// CHECK: a rule is missing or changed.
    #[error("the packet filter differs: {difference}")]
    Differs {
        /// Which one, and how.
        difference: String,
    },
}

impl From<Error> for cni_plugin::Error {
    fn from(error: Error) -> Self {
        Self::from_chain(Code::Internal, &error)
    }
}
