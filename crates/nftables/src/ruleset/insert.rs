//! Putting elements in.

use nfnetlink::{Batch, Message, subsystem};

use super::element::{Element, Entry, Part, entries};
use super::{ATTEMPTS, BRIDGE, INET, Ruleset, STALE, check_label, conflicts, skeleton};
use crate::object::{del_element, new_element};
use crate::{Error, Result};

/// A conditional transaction under construction, whose steps have names for error messages.
struct Transaction {
    batch: Batch,
    steps: Vec<String>,
}

impl Transaction {
    fn push(&mut self, step: &str, messages: impl IntoIterator<Item = Message>) {
        for message in messages {
            self.batch.push(message);
            self.steps.push(step.to_owned());
        }
    }
}

impl Ruleset {
    /// Inserts `elements` under `label`, all or none of them. Elements that `label` holds already are left as
    /// they are, or replaced if they are to hold other data now.
    ///
    /// # Errors
    /// [`Error::Taken`] if another label publishes one of the ports; nothing has changed then, as after every
    /// other error. Other keys are taken over.
    pub fn insert(&mut self, label: &str, elements: &[Element]) -> Result<()> {
        check_label(label)?;
        let entries = entries(label, elements)?;
        let mut stale = 0;
        for _ in 0..ATTEMPTS {
            if self.insert_elements(elements, &entries)?
                || self.insert_prepared(elements, &entries, &mut stale, false)?
            {
                return Ok(());
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
        check_label(label)?;
        let entries = entries(label, elements)?;
        let mut stale = 0;
        for _ in 0..ATTEMPTS {
            if self.insert_prepared(elements, &entries, &mut stale, true)? {
                return Ok(());
            }
        }
        Err(Error::Contended(ATTEMPTS))
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
        stale: &mut usize,
        repair: bool,
    ) -> Result<bool> {
        let repair = repair || *stale > 0;
        let generation = self.connection.generation()?;
        let batch = Batch::if_unchanged(subsystem::NFTABLES, generation);
        let mut transaction = Transaction { batch, steps: Vec::new() };
        self.prepare_tables(entries, repair, &mut transaction)?;
        self.prepare_chains(entries, repair, &mut transaction)?;
        for entry in entries {
            if let Some(element) = elements.get(entry.element) {
                self.prepare_element(element, entry, &mut transaction)?;
            }
        }
        let Transaction { batch, steps } = transaction;
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

    fn prepare_element(&mut self, element: &Element, entry: &Entry, transaction: &mut Transaction) -> Result<()> {
        let place = entry.set.place();
        let step = format!("insert {element}");
        match self.connection.element(place, &entry.held.key)? {
            Some(held) if held == entry.held => return Ok(()),
            // A host's port belongs to whom it was given first. A container's address belongs to whom it was given last:
            // whoever held it before is gone, and only its elements were left.
            Some(held) if held.label != entry.held.label && entry.set.part == Part::Publish => {
                return Err(Error::Taken { element: Box::new(element.clone()), holder: held.label });
            }
            Some(held) => transaction.push(&step, [del_element(place, &held.key)]),
            None => {}
        }
        transaction.push(&step, [new_element(place, &entry.held, false)]);
        Ok(())
    }
}

/// Which message of the batch the kernel refused.
fn failed(error: &nfnetlink::Error) -> Option<usize> {
    match error {
        nfnetlink::Error::Refused { message, .. } => *message,
        _ => None,
    }
}
