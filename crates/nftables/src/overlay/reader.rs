use std::net::SocketAddr;

use ip::Protocol;

use super::{Asked, TABLE, chains, ingress};
use crate::connection::Connection;
use crate::object::Data;
use crate::{Difference, Result};

/// The table, for those who do not make it: nothing is changed.
#[derive(Debug)]
pub struct Reader {
    connection: Connection,
}

impl Reader {
    /// Opens a socket in the calling thread's network namespace.
    ///
    /// # Errors
    /// [`crate::Error::Netlink`] if the kernel has no netfilter netlink.
    pub fn open() -> Result<Self> {
        Ok(Self { connection: Connection::open()? })
    }

    /// What is not as the agent makes it, the content of sets and maps apart: the table is missing, or one of its chains has lost rules.
    ///
    /// # Errors
    /// [`crate::Error::Netlink`] if the kernel refuses.
    pub fn damage(&mut self) -> Result<Option<Difference>> {
        damage(&mut self.connection)
    }

    /// Where a port that every host answers leads, by slots; nowhere if the table is missing.
    ///
    /// # Errors
    /// [`crate::Error::Netlink`] if the kernel refuses.
    pub fn leads_to(&mut self, asked: Asked, protocol: Protocol, port: u16, ipv4: bool) -> Result<Vec<SocketAddr>> {
        let (place, keys) = ingress::slots_of(asked, protocol, port, ipv4);
        let keys: Vec<_> = keys.into_iter().map(|key| (place, key)).collect();
        let found = self.connection.elements_at(&keys)?.into_iter().flatten();
        Ok(found
            .filter_map(|held| match held.data {
                Some(Data::Value(data)) => ingress::target(&data),
                _ => None,
            })
            .collect())
    }
}

pub(super) fn damage(connection: &mut Connection) -> Result<Option<Difference>> {
    match connection.table(TABLE)? {
        None => return Ok(Some(Difference::Table { table: TABLE })),
        Some(table) if table.is_dormant() => return Ok(Some(Difference::Dormant { table: TABLE })),
        Some(_) => {}
    }
    // How many rules there are is the same for every port of VXLAN.
    for chain in chains(0) {
        let (expected, found) = (chain.rules.len(), connection.rules(TABLE, chain.name, |_| ())?.len());
        if found != expected {
            let chain = chain.name.to_owned();
            return Ok(Some(Difference::Chain { table: TABLE, chain, expected, found: Some(found) }));
        }
    }
    Ok(None)
}
