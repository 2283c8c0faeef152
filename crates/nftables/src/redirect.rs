//! A table in a container's namespace that leads what it asks a DNS server to another port of the same address, and the answers
//! back, without address translation: the kernel tracks no connections for it. Only what is sent to every other address needs that.

use std::net::IpAddr;

use nfnetlink::{Batch, subsystem};

use crate::connection::{ChainState, Connection, TableState};
use crate::expression::Side;
use crate::object::{Hook, del_table, new_chain, new_rule, new_table};
use crate::ruleset::ATTEMPTS;
use crate::uapi::hook;
use crate::{Error, Family, Protocol, Result, Table};

/// The table's name in both families; nothing else is in it.
const NAME: &str = "ferrocni_dns";
const FAMILIES: [Family; 2] = [Family::Ip, Family::Ip6];

const CHAIN: &str = "output";
/// Before connection tracking, which a container may have for other reasons (`NF_IP_PRI_RAW`).
const UNTRACKED: Hook = Hook { kind: "filter", number: hook::OUTPUT, priority: -300 };
/// Where the kernel translates addresses (`NF_IP_PRI_NAT_DST`).
const TRANSLATED: Hook = Hook { kind: "nat", number: hook::OUTPUT, priority: -100 };

/// What is led where: packets to one port to another port of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Redirect {
    /// The address.
    pub address: IpAddr,
    /// The port that is asked.
    pub from: u16,
    /// The port that is listened on.
    pub to: u16,
    /// Whose port that is.
    pub asked: Asked,
}

/// Whose port is led elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// That of the address alone.
    Address,
    /// That of every address of the same family, unless the socket that asks has this mark. Where the answers have to seem to come from is
    /// remembered by the kernel, which tracks connections for that.
    Any {
        /// The mark (`SO_MARK`).
        but_for: u32,
    },
}

impl Redirect {
    /// Makes the table in the calling thread's network namespace, or again if it is not as it should be. It stays if it is, or if it
    /// leads every address's port there.
    ///
    /// # Errors
    /// [`Error::Netlink`] if the kernel refuses; nothing has changed then.
    pub fn install(&self) -> Result<()> {
        let mut connection = Connection::open()?;
        for _ in 0..ATTEMPTS {
            let generation = connection.generation()?;
            let mut batch = Batch::if_unchanged(subsystem::NFTABLES, generation);
            if connection.table(self.table())?.is_some() {
                if self.is_satisfied(&mut connection)? {
                    return Ok(());
                }
                batch.push(del_table(self.table()));
            }
            self.write(&mut batch);
            match connection.commit(batch) {
                Err(error) if error.is_restart() => {}
                outcome => return outcome.map_err(Error::doing(format!("make nftables table {}", self.table()))),
            }
        }
        Err(Error::Contended(ATTEMPTS))
    }

    /// Whether the table is there as [`Redirect::install`] makes or leaves it.
    ///
    /// # Errors
    /// [`Error::Netlink`] if the kernel refuses.
    pub fn is_installed(&self) -> Result<bool> {
        self.is_satisfied(&mut Connection::open()?)
    }
}

/// Removes the table, of both families, from the calling thread's network namespace; one that is missing is removed already.
///
/// # Errors
/// [`Error::Netlink`] if the kernel refuses.
pub fn remove() -> Result<()> {
    let mut connection = Connection::open()?;
    for family in FAMILIES {
        let table = Table { family, name: NAME };
        if connection.table(table)?.is_none() {
            continue;
        }
        let mut batch = Batch::new(subsystem::NFTABLES);
        batch.push(del_table(table));
        match connection.commit(batch) {
            Err(error) if error.is_not_found() => {}
            outcome => outcome.map_err(Error::doing(format!("remove nftables table {table}")))?,
        }
    }
    Ok(())
}

/// What a container asks by either of these, it may ask by the other.
const PROTOCOLS: [Protocol; 2] = [Protocol::Udp, Protocol::Tcp];

impl Redirect {
    fn table(&self) -> Table<'static> {
        Table { family: if self.address.is_ipv4() { Family::Ip } else { Family::Ip6 }, name: NAME }
    }

    fn hook(&self) -> Hook {
        match self.asked {
            Asked::Address => UNTRACKED,
            Asked::Any { .. } => TRANSLATED,
        }
    }

    fn write(&self, batch: &mut Batch) {
        batch.push(new_table(self.table(), &self.about()));
        batch.push(new_chain(self.table(), CHAIN, Some(self.hook())));
        for protocol in PROTOCOLS {
            match self.asked {
                Asked::Address => self.write_there_and_back(batch, protocol),
                Asked::Any { but_for } => self.write_translation(batch, protocol, but_for),
            }
        }
    }

    fn write_there_and_back(&self, batch: &mut Batch, protocol: Protocol) {
        batch.push(new_rule(self.table(), CHAIN, |rule| {
            rule.ip(Side::Destination, self.address).port(protocol, Side::Destination, self.from);
            rule.set_port(protocol, Side::Destination, self.to);
        }));
        batch.push(new_rule(self.table(), CHAIN, |rule| {
            rule.ip(Side::Source, self.address).port(protocol, Side::Source, self.to);
            rule.set_port(protocol, Side::Source, self.from);
        }));
    }

    fn write_translation(&self, batch: &mut Batch, protocol: Protocol, but_for: u32) {
        batch.push(new_rule(self.table(), CHAIN, |rule| {
            rule.mark_is_not(but_for).port(protocol, Side::Destination, self.from).dnat_to(self.address, self.to);
        }));
    }

    fn rules(&self) -> u32 {
        match self.asked {
            Asked::Address => 4,
            Asked::Any { .. } => 2,
        }
    }

    /// The table's comment, by which it is known again.
    fn about(&self) -> String {
        let Self { address, from, to, asked } = self;
        match asked {
            Asked::Address => format!("ferrocni: port {from} of {address} is port {to}"),
            Asked::Any { .. } => format!("ferrocni: port {from} of every address is port {to} of {address}"),
        }
    }

    fn is_satisfied(&self, connection: &mut Connection) -> Result<bool> {
        // By everything but the mark a table is known again.
        let everything = Self { asked: Asked::Any { but_for: 0 }, ..*self };
        Ok(self.is_intact(connection)? || everything.is_intact(connection)?)
    }

    fn is_intact(&self, connection: &mut Connection) -> Result<bool> {
        let (table, chain) = connection.table_and_chain(self.table(), CHAIN)?;
        let is_table = |table: TableState| table.about == Some(self.about()) && !table.is_dormant();
        let is_chain = |chain: ChainState| chain.hook == Some(self.hook()) && chain.uses == self.rules();
        Ok(table.is_some_and(is_table) && chain.is_some_and(is_chain))
    }
}
