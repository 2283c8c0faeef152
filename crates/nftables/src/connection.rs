//! Questions to the kernel about tables, each with "it does not exist" as an answer, not an error.

use nfnetlink::{Attributes, Batch, Message, Reply, Socket};

use crate::object::{
    Held, Hook, Place, Table, about_table, get_all_rules, get_chain, get_chains, get_element, get_elements, get_rules,
    get_sets, get_table, read_elements, read_hook, request,
};
use crate::uapi::{chain, generation, operation, set, table};
use crate::{Error, Family, Result};

/// How often a set is listed that changes meanwhile.
const DUMP_ATTEMPTS: usize = 5;

/// A chain as the kernel reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ChainState {
    /// Its rules, plus the rules and elements that lead to it.
    pub(crate) uses: u32,
    /// The verdict at the end of a base chain (`NF_DROP` is 0).
    pub(crate) policy: Option<u32>,
    /// Where packets enter it, if it is a base chain.
    pub(crate) hook: Option<Hook>,
}

impl ChainState {
    fn read(attributes: Attributes<'_>) -> Option<Self> {
        Some(Self {
            uses: attributes.find(chain::USE)?.be32()?,
            policy: attributes.find(chain::POLICY).and_then(|found| found.be32()),
            hook: read_hook(attributes),
        })
    }
}

/// A table as the kernel reports it.
#[derive(Debug)]
pub(crate) struct TableState {
    flags: u32,
    /// Its comment, as `nft list table` shows it; `None` if it has none.
    pub(crate) about: Option<String>,
}

impl TableState {
    fn read(attributes: Attributes<'_>) -> Option<Self> {
        Some(Self { flags: attributes.find(table::FLAGS)?.be32()?, about: about_table(attributes) })
    }

    /// Whether packets enter none of its chains.
    pub(crate) fn is_dormant(&self) -> bool {
        self.flags & table::FLAG_DORMANT != 0
    }

    /// Whether others may change it than the program that made it.
    pub(crate) fn can_be_changed(&self) -> bool {
        self.flags & table::FLAG_OWNER == 0
    }
}

/// A socket for nf_tables in the network namespace of the thread that opened it.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: Socket,
}

impl Connection {
    pub(crate) fn open() -> Result<Self> {
        let socket = Socket::open().map_err(Error::doing("reach nftables"))?;
        Ok(Self { socket })
    }

    /// The number that grows with each change of the ruleset, by any program.
    pub(crate) fn generation(&mut self) -> Result<u32> {
        let message = request(operation::GET_GENERATION, 0, Family::Inet);
        let id = |reply: &Reply<'_>| reply.attributes().find(generation::ID)?.be32();
        self.socket.get(message, id).map_err(Error::doing("read the nftables generation"))
    }

    pub(crate) fn table(&mut self, table: Table<'_>) -> Result<Option<TableState>> {
        let doing = || format!("read nftables table {table}");
        self.find(get_table(table), doing, TableState::read)
    }

    /// A table with one of its chains, in one message to the kernel.
    pub(crate) fn table_and_chain(
        &mut self,
        table: Table<'_>,
        name: &str,
    ) -> Result<(Option<TableState>, Option<ChainState>)> {
        let found = self.socket.find_both(
            [get_table(table), get_chain(table, name)],
            |reply| TableState::read(reply.attributes()),
            |reply| ChainState::read(reply.attributes()),
        );
        found.map_err(|source| Error::Netlink { doing: format!("read nftables table {table}"), source })
    }

    pub(crate) fn chain(&mut self, table: Table<'_>, name: &str) -> Result<Option<ChainState>> {
        let doing = || format!("read nftables chain {table} {name}");
        self.find(get_chain(table, name), doing, ChainState::read)
    }

    /// Chains by their names, in the order of these; many in one message to the kernel.
    pub(crate) fn chains(&mut self, names: &[(Table<'_>, &str)]) -> Result<Vec<Option<ChainState>>> {
        let messages = names.iter().map(|(table, name)| get_chain(*table, name)).collect();
        let found = self.socket.find(messages, |reply| ChainState::read(reply.attributes()));
        found.map_err(Error::doing("read nftables chains"))
    }

    /// The names of a table's chains. The kernel lists those of all tables of the family.
    pub(crate) fn chain_names(&mut self, table: Table<'_>) -> Result<Vec<String>> {
        let doing = Error::doing(format!("list the chains of nftables table {table}"));
        let listed = self.socket.dump(&get_chains(table.family), |reply, found| {
            let text = |kind| reply.attributes().find(kind)?.text();
            if text(chain::TABLE) == Some(table.name) {
                found.extend(text(chain::NAME).map(str::to_owned));
            }
        });
        listed.map_err(doing)
    }

    /// What `read` makes of each chain's attributes, in all tables of a family.
    pub(crate) fn each_chain<T>(
        &mut self,
        family: Family,
        mut read: impl FnMut(Attributes<'_>) -> T,
    ) -> Result<Vec<T>> {
        let dumped = self.socket.dump(&get_chains(family), |reply, found| found.push(read(reply.attributes())));
        or_none(dumped, || format!("list the nftables chains of family {family}"))
    }

    /// What `read` makes of each rule's attributes in a whole table; nothing if there is no such table.
    pub(crate) fn each_rule<T>(
        &mut self,
        table: Table<'_>,
        mut read: impl FnMut(Attributes<'_>) -> T,
    ) -> Result<Vec<T>> {
        let dumped = self.socket.dump(&get_all_rules(table), |reply, found| found.push(read(reply.attributes())));
        or_none(dumped, || format!("list nftables table {table}"))
    }

    /// The names of a table's sets and maps, anonymous ones among them.
    pub(crate) fn set_names(&mut self, table: Table<'_>) -> Result<Vec<String>> {
        let dumped = self.socket.dump(&get_sets(table), |reply, found| {
            found.extend(reply.attributes().find(set::NAME).and_then(|name| name.text()).map(str::to_owned));
        });
        or_none(dumped, || format!("list the sets of nftables table {table}"))
    }

    /// One element by its key: the kernel looks it up in the set's hash.
    pub(crate) fn element(&mut self, place: Place<'_>, key: &[u8]) -> Result<Option<Held>> {
        let doing = || format!("read an element of nftables set {} {}", place.table, place.set);
        self.find(get_element(place, key), doing, |attributes| read_elements(attributes).next())
    }

    /// Elements by their keys, in the order of these; many in one message to the kernel.
    pub(crate) fn elements_at(&mut self, keys: &[(Place<'_>, Vec<u8>)]) -> Result<Vec<Option<Held>>> {
        let messages = keys.iter().map(|(place, key)| get_element(*place, key)).collect();
        let found = self.socket.find(messages, |reply| read_elements(reply.attributes()).next());
        found.map_err(Error::doing("read elements of nftables sets"))
    }

    /// All elements of a set, in the order of their keys; none if there is no such set. The kernel does not say, as it does of other
    /// lists, that the set has changed while it was listed, so that elements may be missing: then it is listed again, and what the last
    /// of a few times has shown counts if the ruleset never stops changing.
    pub(crate) fn elements(&mut self, place: Place<'_>) -> Result<Vec<Held>> {
        let mut before = self.generation()?;
        for _ in 1..DUMP_ATTEMPTS {
            let found = self.elements_once(place)?;
            match self.generation()? {
                after if after == before => return Ok(found),
                after => before = after,
            }
        }
        self.elements_once(place)
    }

    /// The kernel lists an element twice if the set's hash table grows or shrinks during the walk (lib/rhashtable.c): here it is
    /// once.
    fn elements_once(&mut self, place: Place<'_>) -> Result<Vec<Held>> {
        let dumped = self.socket.dump(&get_elements(place), |reply, found| {
            found.extend(read_elements(reply.attributes()));
        });
        let mut all: Vec<Held> = or_none(dumped, || format!("list nftables set {} {}", place.table, place.set))?;
        all.sort_unstable_by(|one, other| one.key.cmp(&other.key));
        all.dedup_by(|one, other| one.key == other.key);
        Ok(all)
    }

    /// What `read` makes of each rule's attributes in one chain; nothing if there is no such chain.
    pub(crate) fn rules<T>(
        &mut self,
        table: Table<'_>,
        name: &str,
        mut read: impl FnMut(Attributes<'_>) -> T,
    ) -> Result<Vec<T>> {
        let dumped = self.socket.dump(&get_rules(table, name), |reply, found| {
            found.push(read(reply.attributes()));
        });
        or_none(dumped, || format!("list nftables chain {table} {name}"))
    }

    pub(crate) fn commit(&mut self, batch: Batch) -> nfnetlink::Result<()> {
        if batch.operations().any(|operation| operation::REMOVALS.contains(&operation)) {
            aftermath::expect();
        }
        self.socket.commit(batch)
    }

    pub(crate) fn rehearse(&mut self, batch: Batch) -> nfnetlink::Result<()> {
        self.socket.rehearse(batch)
    }

    fn find<T>(
        &mut self,
        message: Message,
        doing: impl FnOnce() -> String,
        read: impl Fn(Attributes<'_>) -> Option<T>,
    ) -> Result<Option<T>> {
        match self.socket.get(message, |reply| read(reply.attributes())) {
            Err(error) if error.is_not_found() => Ok(None),
            other => other.map(Some).map_err(|source| Error::Netlink { doing: doing(), source }),
        }
    }
}

fn or_none<T>(dumped: nfnetlink::Result<Vec<T>>, doing: impl FnOnce() -> String) -> Result<Vec<T>> {
    match dumped {
        Err(error) if error.is_not_found() => Ok(Vec::new()),
        other => other.map_err(|source| Error::Netlink { doing: doing(), source }),
    }
}
