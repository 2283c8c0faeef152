use std::net::IpAddr;

use cni_plugin::{Attachment, Code, NetworkName};
use nftables::Protocol;
use overlay::ingress::Port;
use suite::Labelled as _;

/// What keeps a port from being published.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say what their fields are")]
pub enum Error {
    /// The protocol.
    #[error(transparent)]
    Cni(#[from] cni_plugin::Error),
    /// nftables.
    #[error(transparent)]
    Nftables(#[from] nftables::Error),
    /// iptables.
    #[error(transparent)]
    Iptables(#[from] iptables::Error),
    /// Connection tracking.
    #[error(transparent)]
    Conntrack(#[from] conntrack::Error),
    /// The route to the container.
    #[error(transparent)]
    Netlink(#[from] netlink::Error),
    /// `route_localnet`.
    #[error(transparent)]
    Sysctl(#[from] sysctl::Error),
    /// Another container publishes the port.
    #[error("{protocol} port {port} of {} is already published by {}", Host(.host), Holder(.holder))]
    Taken {
        /// The host's address; none for all.
        host: Option<IpAddr>,
        protocol: Protocol,
        port: u16,
        /// The label of the attachment that has it.
        holder: String,
    },
    /// This host and all others answer the port.
    #[error("port {port} of this host is already allocated: overlay network {network} has it on every host")]
    OnEveryHost { port: Port, network: NetworkName },
    /// What the agent of overlay networks has left.
    #[error(transparent)]
    Overlay(#[from] overlay::Error),
    /// Two ways to mark.
    #[error("\"markMasqBit\" and \"externalSetMarkChain\" cannot be used together: each says how to mark connections")]
    TwoMarks,
    /// A key that nftables has no equivalent for.
    #[error("\"{key}\" is written for iptables: set \"backend\" to \"iptables\" or leave \"backend\" out")]
    NeedsIptables { key: &'static str },
    /// CHECK: `route_localnet` is set, and nothing keeps neighbours out.
    #[error(
        "nftables chain inet ferrocni localnet lost its rules, which keep neighbours of the host from its loopback \
         addresses: the next ADD of a published port brings them back"
    )]
    Unguarded,
    /// CHECK: the filter of a link is gone, which stands for the packet filter's while that is flushed.
    #[error(
        "link {link} lost the traffic control filter that drops loopback addresses from its neighbours: `ferrocni reload`, or \
         the next ADD of a published port, brings it back"
    )]
    UnguardedLink {
        /// The link's name.
        link: String,
    },
    /// CHECK: a rule is missing or changed.
    #[error("the packet filter differs: {difference}")]
    Rules {
        /// Which one, and how.
        difference: String,
    },
}

struct Host<'a>(&'a Option<IpAddr>);

impl std::fmt::Display for Host<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(address) => address.fmt(formatter),
            None => formatter.write_str("this host"),
        }
    }
}

struct Holder<'a>(&'a str);

impl std::fmt::Display for Holder<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match Attachment::from_label(self.0) {
            Some(attachment) => attachment.fmt(formatter),
            None => write!(formatter, "{:?}", self.0),
        }
    }
}

impl From<Error> for cni_plugin::Error {
    fn from(error: Error) -> Self {
        let code = match error {
            Error::Cni(inner) => return inner,
            Error::TwoMarks | Error::NeedsIptables { .. } => Code::InvalidConfig,
            _ => Code::Internal,
        };
        let reply = Self::from_chain(code, &error);
        match &error {
            Error::Taken { holder, .. } => reply.with_details(remedy(holder)),
            Error::OnEveryHost { network, .. } => reply.with_details(format!(
                "choose another host port, or stop the containers that publish it: `ferrocni network inspect {network}` says on which \
                 hosts they are"
            )),
            _ => reply,
        }
    }
}

/// What to do about a port that is taken. That nothing on the host shows whether its holder is still there is no proof that
/// it is not, so only the reader can know.
fn remedy(holder: &str) -> String {
    let choose = "stop that container, or choose another host port";
    let Some(Attachment { network, container, ifname }) = Attachment::from_label(holder) else {
        return choose.to_owned();
    };
    // The words above cannot hold a quote, and these are for a shell.
    let quoted = |word: &str| format!("'{}'", word.replace('\'', "'\\''"));
    let ifname = quoted(ifname.as_str());
    // A program that this is linked into does not take the plugin's calls.
    let this = std::env::current_exe().ok().filter(|path| path.file_name() == Some("portmap".as_ref()));
    let program = this.map_or_else(|| "/opt/cni/bin/portmap".to_owned(), |path| path.display().to_string());
    format!(
        "{choose}; if it is gone without a trace, free its ports with: \
         echo '{{\"cniVersion\":\"1.0.0\",\"name\":\"{network}\",\"type\":\"portmap\"}}' | \
         CNI_COMMAND=DEL CNI_CONTAINERID={container} CNI_IFNAME={ifname} CNI_PATH=/opt/cni/bin {}",
        quoted(&program)
    )
}
