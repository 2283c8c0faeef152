//! Putting elements in.

use std::collections::BTreeSet;

use nfnetlink::{Batch, Message, subsystem};

use super::element::{Element, Entry, Part, entries};
use super::holder::{Holder, Rivals};
use super::queue::Queue;
use super::{ATTEMPTS, BRIDGE, INET, Ruleset, STALE, check_label, conflicts, skeleton};
use crate::object::{Held, new_element};
use crate::{Error, Result};

/// What is cleared of those who are gone, when somebody else gets something of theirs. What the firewall wrote stays for its
/// DEL or GC: it is the only record of what it has to remove elsewhere.
const CLEARED: [Part; 4] = [Part::Publish, Part::Hairpin, Part::Masquerade, Part::AntiSpoof];

/// A conditional transaction under construction, whose steps have names for error messages.
struct Transaction {
    batch: Batch,
    steps: Vec<String>,
    /// The sets that it makes for those who wait.
    waiting: BTreeSet<&'static str>,
    /// The elements that it takes out, and those that it brings.
    gone: Vec<Held>,
    come: Vec<Held>,
}

impl Transaction {
    fn new(generation: u32) -> Self {
        Self {
            batch: Batch::if_unchanged(subsystem::NFTABLES, generation),
            steps: Vec::new(),
            waiting: BTreeSet::new(),
            gone: Vec::new(),
            come: Vec::new(),
        }
    }

    fn push(&mut self, step: &str, messages: impl IntoIterator<Item = Message>) {
        for message in messages {
            self.batch.push(message);
            self.steps.push(step.to_owned());
        }
    }
}

impl Ruleset {
    /// Inserts `elements` for `holder`, all or none of them. Elements that it holds already are left as they are, or
    /// replaced if they are to hold other data now. For what others have, it waits until they have gone, and what belongs to
    /// holders who are certainly gone is theirs no more.
    ///
    /// # Errors
    /// [`Error::Taken`] if another container publishes one of the ports; nothing has changed then, as after every
    /// other error.
    pub fn insert<'a>(&mut self, holder: impl Into<Holder<'a>>, elements: &[Element]) -> Result<()> {
        let entries = checked(holder.into(), elements)?;
        let (mut stale, mut rivals) = (0, Rivals::default());
        for _ in 0..ATTEMPTS {
            if self.insert_elements(elements, &entries)?
                || self.insert_prepared(elements, &entries, &mut rivals, &mut stale, false)?
            {
                return self.clear(&rivals);
            }
        }
        Err(Error::Contended(ATTEMPTS))
    }

    /// Does what [`Ruleset::insert`] does, and makes everything around the elements whole again that somebody
    /// damaged: rules of ours that were flushed, chains and sets that were deleted.
    ///
    /// # Errors
    /// Those of [`Ruleset::insert`].
    pub fn repair(&mut self, label: &str, elements: &[Element]) -> Result<()> {
        let entries = checked(label.into(), elements)?;
        let (mut stale, mut rivals) = (0, Rivals::default());
        for _ in 0..ATTEMPTS {
            if self.insert_prepared(elements, &entries, &mut rivals, &mut stale, true)? {
                return self.clear(&rivals);
            }
        }
        Err(Error::Contended(ATTEMPTS))
    }

    /// Removes what else those had who turned out to be gone.
    fn clear(&mut self, rivals: &Rivals) -> Result<()> {
        let gone = rivals.gone();
        if gone.is_empty() { Ok(()) } else { self.remove_where(&CLEARED, |label| gone.contains(&label)).map(drop) }
    }

    /// The steady state: one transaction of elements alone. `false` if something is missing or in the way.
    fn insert_elements(&mut self, elements: &[Element], entries: &[Entry]) -> Result<bool> {
        let mut batch = Batch::new(subsystem::NFTABLES);
        for entry in entries {
            batch.push(new_element(entry.set.place(), &entry.held, false));
        }
        match self.connection.commit(batch) {
            Ok(()) => Ok(true),
            Err(error) if conflicts(&error) => Ok(false),
            Err(source) => {
                let element = failed(&source).and_then(|index| elements.get(entries.get(index)?.element));
                let doing =
                    element.map_or("insert nftables elements".to_owned(), |element| format!("insert {element}"));
                Err(Error::Netlink { doing, source })
            }
        }
    }

    /// Looks at what is there and brings what is missing along. `false` if the ruleset changed in between, or
    /// may have. Where the tables are there, yet a set or a chain of theirs is not, the second attempt repairs.
    fn insert_prepared(
        &mut self,
        elements: &[Element],
        entries: &[Entry],
        rivals: &mut Rivals,
        stale: &mut usize,
        repair: bool,
    ) -> Result<bool> {
        let repair = repair || *stale > 0;
        let mut transaction = Transaction::new(self.connection.generation()?);
        self.prepare_tables(entries, repair, &mut transaction)?;
        self.prepare_chains(entries, repair, &mut transaction)?;
        for entry in entries {
            if let Some(element) = elements.get(entry.element) {
                self.prepare_element(element, entry, rivals, &mut transaction)?;
            }
        }
        let releases = self.releases(&transaction.gone, &transaction.come)?;
        transaction.push("remove an nftables chain that nothing leads to", releases);
        let Transaction { batch, steps, .. } = transaction;
        match self.connection.commit(batch) {
            Ok(()) => Ok(true),
            Err(error) if error.is_restart() => Ok(false),
            Err(error) if *stale < STALE && conflicts(&error) => {
                *stale += 1;
                Ok(false)
            }
            Err(source) => {
                let step = failed(&source).and_then(|index| steps.get(index));
                let doing = step.map_or("change the nftables ruleset".to_owned(), Clone::clone);
                Err(Error::Netlink { doing, source })
            }
        }
    }

    fn prepare_tables(&mut self, entries: &[Entry], repair: bool, transaction: &mut Transaction) -> Result<()> {
        for table in [INET, BRIDGE] {
            let is_wanted = entries.iter().any(|entry| entry.set.table == table) || (repair && table == INET);
            if !is_wanted {
                continue;
            }
            if repair || !self.connection.table_exists(table)? {
                transaction.push(&format!("make nftables table {table}"), skeleton::create(table));
            }
        }
        Ok(())
    }

    fn prepare_chains(&mut self, entries: &[Entry], repair: bool, transaction: &mut Transaction) -> Result<()> {
        let mut seen = Vec::new();
        for chain in entries.iter().filter_map(|entry| entry.chain.as_ref()) {
            if seen.contains(&chain) {
                continue;
            }
            seen.push(chain);
            if repair || self.connection.chain(INET, &chain.name())?.is_none() {
                let step = format!("make nftables chain {INET} {}", chain.name());
                transaction.push(&step, chain.create());
            }
        }
        Ok(())
    }

    fn prepare_element(
        &mut self,
        element: &Element,
        entry: &Entry,
        rivals: &mut Rivals,
        transaction: &mut Transaction,
    ) -> Result<()> {
        let queue = Queue::read(&mut self.connection, entry.set, &entry.held.key)?;
        let next = rivals.enter(&queue, element, entry)?;
        let step = format!("insert {element}");
        if next.len() > 1 && transaction.waiting.insert(entry.set.name) {
            transaction.push(&step, skeleton::create_waiting(entry.set));
        }
        transaction.push(&step, queue.change_to(&next));
        let (gone, come) = queue.differences(&next);
        transaction.gone.extend(gone);
        transaction.come.extend(come);
        Ok(())
    }
}

/// What is to be inserted, if it can be.
fn checked(holder: Holder<'_>, elements: &[Element]) -> Result<Vec<Entry>> {
    check_label(holder.label)?;
    entries(holder, elements)
}

/// Which message of the batch the kernel refused.
fn failed(error: &nfnetlink::Error) -> Option<usize> {
    match error {
        nfnetlink::Error::Refused { message, .. } => *message,
        _ => None,
    }
}
