//! Who holds a key, and who waits for it.
//!
//! A packet meets one element for a key, so one attachment is served: the first that came. Others can have the same: the same
//! address in two networks with one subnet, the same port for two interfaces of one container. They are kept in a second set
//! ([`Set::waiting`]), numbered in the order in which they came, and the first of them takes over in the very transaction that
//! removes the one that was served. No rule looks at that set, and it is made when one has to wait, so that it costs neither a
//! packet nor the usual ADD anything.

use std::collections::BTreeMap;

use nfnetlink::Message;

use super::sets::Set;
use crate::Result;
use crate::connection::Connection;
use crate::object::{Held, Place, del_element, new_element};

/// All who have one key of one set: the one who is served, then those who wait.
#[derive(Debug)]
pub(super) struct Queue {
    set: &'static Set,
    key: Vec<u8>,
    /// What is in each place, under that key. The first one can be empty, if an element was removed by hand.
    places: Vec<Option<Held>>,
}

impl Queue {
    /// Looks keys up, in their order.
    pub(super) fn read(connection: &mut Connection, keys: &[(&'static Set, Vec<u8>)]) -> Result<Vec<Self>> {
        let mut queues: Vec<Self> =
            keys.iter().map(|(set, key)| Self { set, key: key.clone(), places: Vec::new() }).collect();
        // Nearly always that is all: one is served, and none waits.
        let places: Vec<_> = queues.iter().flat_map(|queue| [queue.place(0), queue.place(1)]).flatten().collect();
        let mut found = connection.elements_at(&places)?.into_iter();
        for queue in &mut queues {
            queue.places.push(found.next().flatten());
            if queue.set.waiting().is_some() && queue.push(found.next().flatten()) {
                queue.read_on(connection)?;
            }
        }
        Ok(queues)
    }

    /// Looks up who else waits.
    fn read_on(&mut self, connection: &mut Connection) -> Result<()> {
        while let Some((place, numbered)) = self.place(self.places.len()) {
            let waiting = connection.element(place, &numbered)?;
            if !self.push(waiting) {
                break;
            }
        }
        Ok(())
    }

    /// Appends those that were found to wait.
    fn push(&mut self, waiting: Option<Held>) -> bool {
        let is_found = waiting.is_some();
        self.places.extend(waiting.map(|held| Some(Held { key: self.key.clone(), ..held })));
        is_found
    }

    /// All queues of a set, read in full.
    pub(super) fn read_all(connection: &mut Connection, set: &'static Set) -> Result<Vec<Self>> {
        let mut queues: BTreeMap<Vec<u8>, Vec<Option<Held>>> = BTreeMap::new();
        for held in connection.elements(set.place())? {
            queues.insert(held.key.clone(), vec![Some(held)]);
        }
        let waiting = set.waiting().map(|set| connection.elements(set.place())).transpose()?;
        let mut waiting: Vec<_> = waiting.into_iter().flatten().filter_map(numbered).collect();
        waiting.sort_unstable_by_key(|(number, _, _)| *number);
        for (_, key, held) in waiting {
            queues.entry(key).or_insert_with(|| vec![None]).push(Some(held));
        }
        Ok(queues.into_iter().map(|(key, places)| Self { set, key, places }).collect())
    }

    pub(super) fn key(&self) -> &[u8] {
        &self.key
    }

    /// Who is in it, in order.
    pub(super) fn all(&self) -> impl Iterator<Item = &Held> {
        self.places.iter().flatten()
    }

    /// Who is served.
    pub(super) fn served(&self) -> Option<&Held> {
        self.places.first().and_then(Option::as_ref)
    }

    /// The messages after which `next` is the queue.
    pub(super) fn change_to(&self, next: &[Held]) -> Vec<Message> {
        let mut messages = Vec::new();
        for position in 0..self.places.len().max(next.len()) {
            let (is, shall) = (self.places.get(position).and_then(Option::as_ref), next.get(position));
            let Some((place, key)) = self.place(position) else { break };
            if is.zip(shall).is_some_and(|(is, shall)| is.is_like(shall)) {
                continue;
            }
            messages.extend(is.map(|_| del_element(place, &key)));
            messages.extend(shall.map(|held| new_element(place, &Held { key, ..held.clone() }, false)));
        }
        messages
    }

    /// Who is in the queue and not in `next`, and who is in `next` alone.
    pub(super) fn differences(&self, next: &[Held]) -> (Vec<Held>, Vec<Held>) {
        let gone = self.all().filter(|held| !next.iter().any(|other| other.is_like(held)));
        let come = next.iter().filter(|held| !self.all().any(|other| other.is_like(held)));
        (gone.cloned().collect(), come.cloned().collect())
    }

    /// Where the element in this position lies.
    fn place(&self, position: usize) -> Option<(Place<'static>, Vec<u8>)> {
        let Some(number) = position.checked_sub(1) else { return Some((self.set.place(), self.key.clone())) };
        let number = u32::try_from(number).ok()?.to_ne_bytes();
        Some((self.set.waiting()?.place(), [&self.key[..], &number].concat()))
    }
}

/// The number and the key of an element that waits.
fn numbered(held: Held) -> Option<(u32, Vec<u8>, Held)> {
    let (key, number) = held.key.split_last_chunk()?;
    let (key, number) = (key.to_vec(), u32::from_ne_bytes(*number));
    Some((number, key.clone(), Held { key, ..held }))
}
