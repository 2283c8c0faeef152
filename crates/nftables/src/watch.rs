//! Hearing of it when somebody deletes tables.

use nfnetlink::{Notices, Reply};

use crate::uapi::{group, operation, table};
use crate::{BRIDGE, Error, INET, Result};

/// iptables of today (`iptables-nft`) keeps its rules in tables of these names, and ferrocni's are among them where a network
/// asks for that.
const OF_IPTABLES: [&str; 2] = ["nat", "filter"];

/// Hears when rules of containers may have been deleted, from the network namespace of the thread that opened it.
#[derive(Debug)]
pub struct Watch {
    notices: Notices,
}

impl Watch {
    /// Listens from now on.
    ///
    /// # Errors
    /// [`Error::Netlink`] if the kernel has no netfilter netlink.
    pub fn open() -> Result<Self> {
        let notices = Notices::of(group::NFTABLES).map_err(Error::doing("listen to changes of nftables"))?;
        Ok(Self { notices })
    }

    /// Waits until a table was deleted that holds rules of containers: one of ours, or one of iptables'. To put
    /// rules back deletes no table, so that does not end the next wait.
    ///
    /// # Errors
    /// [`Error::Netlink`], a failure of the socket.
    pub fn wait(&mut self) -> Result<()> {
        self.notices.wait_for(deletes_rules).map_err(Error::doing("wait for changes of nftables"))
    }
}

fn deletes_rules(notice: &Reply<'_>) -> bool {
    let name = || notice.attributes().find(table::NAME)?.text();
    notice.operation() == operation::DEL_TABLE
        && name().is_some_and(|name| [INET.name, BRIDGE.name].contains(&name) || OF_IPTABLES.contains(&name))
}
