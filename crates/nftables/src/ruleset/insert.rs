//! Putting elements in.

use std::collections::BTreeSet;

use nfnetlink::{Batch, Message, subsystem};

use super::element::{Element, Entry, Part, entries};
use super::health::{Lack, LackingChain};
use super::holder::{Holder, Rivals};
use super::queue::Queue;
use super::{ATTEMPTS, INET, Ruleset, STALE, check_label, conflicts, skeleton};
use crate::object::{Held, new_element};
use crate::{Error, Result, Table};

/// What is cleared of those that are gone, when another gets something of theirs. What the firewall wrote stays for its
/// DEL or GC: it is the only record of what it has to remove elsewhere.
const CLEARED: [Part; 4] = [Part::Publish, Part::Hairpin, Part::Masquerade, Part::AntiSpoof];

/// An insertion under way: what is wanted, and what has come to light in its attempts.
#[derive(Default)]
pub(super) struct Insertion<'a> {
    elements: Vec<&'a Element>,
    entries: Vec<Entry>,
    rivals: Rivals,
    /// Everything around the elements is made anew.
    repairs: bool,
    /// One of the keys is taken already, so all are looked up.
    looks: bool,
    stale: usize,
}

impl<'a> Insertion<'a> {
    fn new(holder: Holder<'_>, elements: &'a [Element]) -> Result<Self> {
        let mut insertion = Self::default();
        insertion.add(elements, prepare(holder, elements)?);
        Ok(insertion)
    }

    /// More of it, of which none has a key that is in it. `entries` are what [`prepare`] makes of the elements.
    pub(super) fn add(&mut self, elements: &'a [Element], entries: Vec<Entry>) {
        let before = self.elements.len();
        self.entries.extend(entries.into_iter().map(|entry| Entry { element: entry.element + before, ..entry }));
        self.elements.extend(elements);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// What a holder's elements are in the sets.
pub(super) fn prepare(holder: Holder<'_>, elements: &[Element]) -> Result<Vec<Entry>> {
    check_label(holder.label)?;
    entries(holder, elements)
}

/// What a message of a transaction is for, in error messages.
enum Step {
    Element(usize),
    Table(Table<'static>),
    Other(String),
}

/// What a look at the ruleset has shown.
struct Survey {
    generation: u32,
    lack: Lack,
}

/// A conditional transaction under construction.
struct Transaction {
    batch: Batch,
    steps: Vec<Step>,
    /// The elements that it takes out, and those that it brings.
    gone: Vec<Held>,
    come: Vec<Held>,
}

impl Transaction {
    fn new(generation: u32) -> Self {
        let batch = Batch::if_unchanged(subsystem::NFTABLES, generation);
        Self { batch, steps: Vec::new(), gone: Vec::new(), come: Vec::new() }
    }

    fn push_lacking(&mut self, lack: &Lack) {
        for table in &lack.tables {
            for message in skeleton::create(*table) {
                self.batch.push(message);
                self.steps.push(Step::Table(*table));
            }
        }
        for LackingChain { chain, is_absent } in &lack.chains {
            self.push(&format!("make nftables chain {INET} {}", chain.name()), chain.create(*is_absent));
        }
    }

    fn push(&mut self, step: &str, messages: impl IntoIterator<Item = Message>) {
        for message in messages {
            self.batch.push(message);
            self.steps.push(Step::Other(step.to_owned()));
        }
    }

    /// Appends messages about one of the elements.
    fn push_about(&mut self, element: usize, messages: impl IntoIterator<Item = Message>) {
        for message in messages {
            self.batch.push(message);
            self.steps.push(Step::Element(element));
        }
    }
}

impl Ruleset {
    /// Inserts `elements` for `holder`, all or none of them, and makes rules and chains around them whole again that were
    /// flushed or deleted. Elements that it holds already are left as they are, or replaced if they are to hold other data now.
    /// For what others have, it waits until they have gone, and what belongs to holders that are certainly gone is theirs no more.
    ///
    /// # Errors
    /// [`Error::Taken`] if another container publishes one of the ports; nothing has changed then, as after every
    /// other error.
    pub fn insert<'a>(&mut self, holder: impl Into<Holder<'a>>, elements: &[Element]) -> Result<()> {
        self.carry_out(Insertion::new(holder.into(), elements)?)
    }

    pub(super) fn carry_out(&mut self, mut insertion: Insertion<'_>) -> Result<()> {
        for _ in 0..ATTEMPTS {
            let seen = if self.serves(&insertion.entries)? { None } else { Some(self.survey(&insertion)?) };
            let is_whole = seen.as_ref().is_none_or(|seen| seen.lack.is_empty());
            let is_done = is_whole && self.insert_elements(&mut insertion)?;
            if is_done || self.insert_prepared(&mut insertion, seen)? {
                return self.clear(&insertion.rivals);
            }
        }
        Err(Error::Contended(ATTEMPTS))
    }

    /// Does what [`Ruleset::insert`] does, and makes everything around the elements anew, whether it was damaged or not.
    ///
    /// # Errors
    /// Those of [`Ruleset::insert`].
    pub fn repair(&mut self, label: &str, elements: &[Element]) -> Result<()> {
        let mut insertion = Insertion { repairs: true, looks: true, ..Insertion::new(label.into(), elements)? };
        for _ in 0..ATTEMPTS {
            if self.insert_prepared(&mut insertion, None)? {
                return self.clear(&insertion.rivals);
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
    fn insert_elements(&mut self, insertion: &mut Insertion<'_>) -> Result<bool> {
        let mut batch = Batch::new(subsystem::NFTABLES);
        for entry in &insertion.entries {
            batch.push(new_element(entry.set.place(), &entry.held, false));
        }
        match self.connection.commit(batch) {
            Ok(()) => Ok(true),
            Err(error) if conflicts(&error) => {
                insertion.looks |= !error.is_not_found();
                Ok(false)
            }
            Err(source) => {
                let step = failed(&source).and_then(|index| insertion.entries.get(index));
                let step = step.map(|entry| Step::Element(entry.element));
                Err(Error::Netlink { doing: in_words(step.as_ref(), &insertion.elements), source })
            }
        }
    }

    /// What is missing around the elements, and in which generation of the ruleset.
    fn survey(&mut self, insertion: &Insertion<'_>) -> Result<Survey> {
        let generation = self.connection.generation()?;
        let repair = insertion.repairs || insertion.stale > 0;
        Ok(Survey { generation, lack: self.lack(&insertion.entries, repair)? })
    }

    /// Brings what is missing along, as far as that was seen already or is now. `false` if the ruleset changed in between, or may have, or
    /// if a key is in the way. Where the tables are there, yet a set or a chain of theirs is not, the second attempt repairs.
    fn insert_prepared(&mut self, insertion: &mut Insertion<'_>, seen: Option<Survey>) -> Result<bool> {
        let Survey { generation, lack } = seen.map_or_else(|| self.survey(insertion), Ok)?;
        let mut transaction = Transaction::new(generation);
        // Who was gone can have come again since, if this is not the first attempt.
        insertion.rivals = Rivals::default();
        transaction.push_lacking(&lack);
        self.prepare_elements(insertion, &mut transaction)?;
        let releases = self.releases(&transaction.gone, &transaction.come)?;
        transaction.push("remove an nftables chain that nothing leads to", releases);
        let Transaction { batch, steps, .. } = transaction;
        let outcome = self.connection.commit(batch);
        if let Some(table) = outcome.as_ref().err().and_then(|error| table_in_the_way(error, &steps)) {
            return Err(Error::Foreign { table });
        }
        match outcome {
            Ok(()) => Ok(true),
            Err(error) if error.is_restart() => Ok(false),
            Err(error) if conflicts(&error) && !error.is_not_found() && !insertion.looks => {
                insertion.looks = true;
                Ok(false)
            }
            Err(error) if insertion.stale < STALE && conflicts(&error) => {
                insertion.stale += 1;
                Ok(false)
            }
            Err(source) => {
                Err(Error::Netlink { doing: in_words(step_of(&source, &steps), &insertion.elements), source })
            }
        }
    }

    /// Where one of the keys is taken, each is looked up, and its queue becomes what it has to be.
    fn prepare_elements(&mut self, insertion: &mut Insertion<'_>, transaction: &mut Transaction) -> Result<()> {
        let Insertion { elements, entries, rivals, looks, .. } = insertion;
        if !*looks {
            for entry in entries.iter() {
                transaction.push_about(entry.element, [new_element(entry.set.place(), &entry.held, false)]);
            }
            return Ok(());
        }
        let keys: Vec<_> = entries.iter().map(|entry| (entry.set, entry.held.key.clone())).collect();
        let mut waiting = BTreeSet::new();
        for (entry, queue) in entries.iter().zip(Queue::read(&mut self.connection, &keys)?) {
            let Some(element) = elements.get(entry.element) else { continue };
            let next = rivals.enter(&queue, element, entry)?;
            if next.len() > 1 && waiting.insert(entry.set.name) {
                transaction.push_about(entry.element, skeleton::create_waiting(entry.set));
            }
            transaction.push_about(entry.element, queue.change_to(&next));
            let (gone, come) = queue.differences(&next);
            transaction.gone.extend(gone);
            transaction.come.extend(come);
        }
        Ok(())
    }
}

fn in_words(step: Option<&Step>, elements: &[&Element]) -> String {
    let element = |index: usize| elements.get(index).map(|element| format!("insert {element}"));
    match step {
        Some(Step::Other(words)) => Some(words.clone()),
        Some(Step::Element(index)) => element(*index),
        Some(Step::Table(table)) => Some(format!("make nftables table {table}")),
        None => None,
    }
    .unwrap_or_else(|| "change the nftables ruleset".to_owned())
}

/// The table that could not be made, because there is one of its name.
fn table_in_the_way(error: &nfnetlink::Error, steps: &[Step]) -> Option<Table<'static>> {
    match step_of(error, steps)? {
        Step::Table(table) if error.is_exists() => Some(*table),
        _ => None,
    }
}

fn step_of<'a>(error: &nfnetlink::Error, steps: &'a [Step]) -> Option<&'a Step> {
    steps.get(failed(error)?)
}

/// Which message of the batch the kernel refused.
fn failed(error: &nfnetlink::Error) -> Option<usize> {
    match error {
        nfnetlink::Error::Refused { message, .. } => *message,
        _ => None,
    }
}
