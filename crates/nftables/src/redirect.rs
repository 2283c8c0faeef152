//! A table in a container's namespace that leads what it asks a DNS server to another port of the same address, and the answers
//! back, without address translation: the kernel tracks no connections for it.

use std::net::Ipv4Addr;

use nfnetlink::{Batch, subsystem};

use crate::connection::Connection;
use crate::expression::Side;
use crate::object::{Hook, del_table, new_chain, new_rule, new_table};
use crate::ruleset::ATTEMPTS;
use crate::uapi::hook;
use crate::{Error, Family, Protocol, Result, Table};

/// The table, which nothing else is in.
pub const TABLE: Table<'static> = Table { family: Family::Ip, name: "ferrocni_dns" };

const CHAIN: &str = "output";
/// Before connection tracking, which a container may have for other reasons (`NF_IP_PRI_RAW`).
const HOOK: Hook = Hook { kind: "filter", number: hook::OUTPUT, priority: -300 };
/// There and back, for each protocol.
const RULES: u32 = 4;

/// What is led where: packets to one port of an address to another port of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Redirect {
    /// The address.
    pub address: Ipv4Addr,
    /// The port that is asked.
    pub from: u16,
    /// The port that is listened on.
    pub to: u16,
}

impl Redirect {
    /// Makes the table in the calling thread's network namespace, or again if it is not as it should be. It stays if it is.
    ///
    /// # Errors
    /// [`Error::Netlink`] if the kernel refuses; nothing has changed then.
    pub fn install(&self) -> Result<()> {
        let mut connection = Connection::open()?;
        for _ in 0..ATTEMPTS {
            let generation = connection.generation()?;
            let mut batch = Batch::if_unchanged(subsystem::NFTABLES, generation);
            if connection.table(TABLE)?.is_some() {
                if self.is_intact(&mut connection)? {
                    return Ok(());
                }
                batch.push(del_table(TABLE));
            }
            self.write(&mut batch);
            match connection.commit(batch) {
                Err(error) if error.is_restart() => {}
                outcome => return outcome.map_err(Error::doing(format!("make nftables table {TABLE}"))),
            }
        }
        Err(Error::Contended(ATTEMPTS))
    }

    /// Whether the table is there as [`Redirect::install`] makes it.
    ///
    /// # Errors
    /// [`Error::Netlink`] if the kernel refuses.
    pub fn is_installed(&self) -> Result<bool> {
        self.is_intact(&mut Connection::open()?)
    }
}

/// Removes the table from the calling thread's network namespace; one that is missing is removed already.
///
/// # Errors
/// [`Error::Netlink`] if the kernel refuses.
pub fn remove() -> Result<()> {
    let mut connection = Connection::open()?;
    let mut batch = Batch::new(subsystem::NFTABLES);
    if connection.table(TABLE)?.is_none() {
        return Ok(());
    }
    batch.push(del_table(TABLE));
    match connection.commit(batch) {
        Err(error) if error.is_not_found() => Ok(()),
        outcome => outcome.map_err(Error::doing(format!("remove nftables table {TABLE}"))),
    }
}

/// What a container asks by either of these, it may ask by the other.
const PROTOCOLS: [Protocol; 2] = [Protocol::Udp, Protocol::Tcp];

impl Redirect {
    fn write(&self, batch: &mut Batch) {
        batch.push(new_table(TABLE, &self.about()));
        batch.push(new_chain(TABLE, CHAIN, Some(HOOK)));
        for protocol in PROTOCOLS {
            batch.push(new_rule(TABLE, CHAIN, |rule| {
                rule.ipv4(Side::Destination, self.address).port(protocol, Side::Destination, self.from);
                rule.set_port(protocol, Side::Destination, self.to);
            }));
            batch.push(new_rule(TABLE, CHAIN, |rule| {
                rule.ipv4(Side::Source, self.address).port(protocol, Side::Source, self.to);
                rule.set_port(protocol, Side::Source, self.from);
            }));
        }
    }

    /// The table's comment, by which it is known again.
    fn about(&self) -> String {
        format!("ferrocni: port {} of {} is port {}", self.from, self.address, self.to)
    }

    fn is_intact(&self, connection: &mut Connection) -> Result<bool> {
        let Some(table) = connection.table(TABLE)? else { return Ok(false) };
        let chain = connection.chain(TABLE, CHAIN)?;
        Ok(table.about == Some(self.about())
            && !table.is_dormant()
            && chain.is_some_and(|chain| chain.hook == Some(HOOK) && chain.uses == RULES))
    }
}
