//! The kernel's legacy tables, read without loading them and without a child process.
//!
//! A table is a run of entries, each a match on addresses, further matches, and a target. A user-defined
//! chain starts with an entry whose target is `ERROR` with the chain's name, a built-in chain where the
//! table's description says, and ends with the entry that holds its policy (the underflow).
//! Layouts: linux/netfilter/x_tables.h, netfilter_ipv4/ip_tables.h, netfilter_ipv6/ip6_tables.h.

use std::fs;
use std::io::ErrorKind;

use crate::sockopt::{Blob, read};
use crate::{Chain, Error, Family, Result, Table};

/// `NF_INET_FORWARD`.
const FORWARD: usize = 2;
/// Offsets in `struct ipt_getinfo`.
const HOOK_ENTRY: usize = 36;
const UNDERFLOW: usize = 56;
/// Offsets in `struct xt_entry_target`, and of the data behind it.
const TARGET_NAME: usize = 2;
const TARGET_DATA: usize = 32;
/// The standard target's verdicts for dropping (`-NF_DROP - 1`) and accepting.
const DROP: i32 = -1;
const ACCEPT: i32 = -2;

/// Whether the table is loaded in the calling thread's network namespace; reading this list loads nothing.
pub(crate) fn is_loaded(family: Family, table: Table) -> Result<bool> {
    let list = match family {
        Family::V4 => "/proc/thread-self/net/ip_tables_names",
        Family::V6 => "/proc/thread-self/net/ip6_tables_names",
    };
    match fs::read_to_string(list) {
        Ok(names) => Ok(names.lines().any(|name| name == table.name())),
        // A kernel without legacy tables has no list.
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(source) => Err(Error::Legacy { family, table, source }),
    }
}

/// Whether FORWARD, by its policy or by a rule directly in it, drops or rejects anything.
pub(crate) fn forward_drops(family: Family) -> Result<bool> {
    Ok(is_loaded(family, Table::Filter)? && load(family, Table::Filter)?.forward_drops())
}

/// Whether FORWARD drops or rejects all that no rule of it, or of a chain that it jumps to, has accepted.
pub(crate) fn forward_drops_the_rest(family: Family) -> Result<bool> {
    Ok(is_loaded(family, Table::Filter)? && load(family, Table::Filter)?.forward_drops_the_rest())
}

/// Whether the table is loaded and has this chain.
pub(crate) fn has_chain(family: Family, table: Table, chain: &Chain) -> Result<bool> {
    Ok(is_loaded(family, table)? && load(family, table)?.has_chain(chain.as_str()))
}

fn load(family: Family, table: Table) -> Result<Legacy> {
    let blob = read(family, table.name()).map_err(|source| Error::Legacy { family, table, source })?;
    Ok(Legacy { blob, layout: Layout::of(family) })
}

/// Where an entry keeps the offset of its target and its own length, how long its match on addresses is, and where further ones begin.
#[derive(Clone, Copy)]
struct Layout {
    target_offset: usize,
    next_offset: usize,
    addresses: usize,
    matches: usize,
}

impl Layout {
    fn of(family: Family) -> Self {
        match family {
            Family::V4 => Self { target_offset: 88, next_offset: 90, addresses: 84, matches: 112 },
            Family::V6 => Self { target_offset: 140, next_offset: 142, addresses: 136, matches: 168 },
        }
    }
}

struct Legacy {
    blob: Blob,
    layout: Layout,
}

/// A rule, a chain's beginning, or its policy.
struct Entry<'a> {
    /// Where it begins.
    at: usize,
    /// Every packet is one that it is about.
    is_unconditional: bool,
    target: &'a [u8],
}

impl Legacy {
    fn forward_drops(&self) -> bool {
        self.forward().any(|entry| drops(entry.target))
    }

    fn forward_drops_the_rest(&self) -> bool {
        let ends = |entry: &Entry<'_>| entry.is_unconditional && (drops(entry.target) || accepts(entry.target));
        self.forward().find(ends).is_some_and(|end| drops(end.target))
    }

    /// The entries of FORWARD, the last of which is its policy.
    fn forward(&self) -> impl Iterator<Item = Entry<'_>> {
        let places = self.hook(HOOK_ENTRY).zip(self.hook(UNDERFLOW));
        places.into_iter().flat_map(|(first, last)| self.entries(first).take_while(move |entry| entry.at <= last))
    }

    fn has_chain(&self, chain: &str) -> bool {
        self.entries(0).any(|Entry { target, .. }| {
            name(target) == b"ERROR"
                && target.get(TARGET_DATA..).is_some_and(|data| until_nul(data) == chain.as_bytes())
        })
    }

    /// One of FORWARD's two offsets in the table's description.
    fn hook(&self, array: usize) -> Option<usize> {
        let word = self.blob.info.get(array + 4 * FORWARD..)?.first_chunk()?;
        usize::try_from(u32::from_ne_bytes(*word)).ok()
    }

    /// The entries from `offset` on; ends where one does not fit.
    fn entries(&self, mut offset: usize) -> impl Iterator<Item = Entry<'_>> {
        std::iter::from_fn(move || {
            let entry = self.blob.entries.get(offset..)?;
            let half = |at: usize| entry.get(at..)?.first_chunk().map(|bytes| usize::from(u16::from_ne_bytes(*bytes)));
            let (target_at, next) = (half(self.layout.target_offset)?, half(self.layout.next_offset)?);
            let target = entry.get(target_at..next)?;
            let is_unconditional =
                target_at == self.layout.matches && entry[..self.layout.addresses].iter().all(|byte| *byte == 0);
            let at = offset;
            // An entry that does not even hold its header would keep us here for ever.
            offset = at.checked_add(next).filter(|_| next > self.layout.next_offset)?;
            Some(Entry { at, is_unconditional, target })
        })
    }
}

fn drops(target: &[u8]) -> bool {
    verdict(target) == Some(DROP) || name(target) == b"REJECT"
}

fn accepts(target: &[u8]) -> bool {
    verdict(target) == Some(ACCEPT)
}

/// The standard target has an empty name and a verdict.
fn verdict(target: &[u8]) -> Option<i32> {
    let code = target.get(TARGET_DATA..)?.first_chunk()?;
    name(target).is_empty().then(|| i32::from_ne_bytes(*code))
}

fn name(target: &[u8]) -> &[u8] {
    until_nul(target.get(TARGET_NAME..TARGET_DATA - 1).unwrap_or(&[]))
}

fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An IPv4 entry without matches.
    fn entry(target: &str, data: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; 112 + TARGET_DATA];
        let length = u16::try_from(bytes.len() + data.len()).expect("a short entry");
        bytes[88..90].copy_from_slice(&112_u16.to_ne_bytes());
        bytes[90..92].copy_from_slice(&length.to_ne_bytes());
        bytes[112 + TARGET_NAME..112 + TARGET_NAME + target.len()].copy_from_slice(target.as_bytes());
        bytes.extend_from_slice(data);
        bytes
    }

    fn table(entries: &[Vec<u8>], first: usize, last: usize) -> Legacy {
        let offset = |index: usize| u32::try_from(entries[..index].iter().map(Vec::len).sum::<usize>()).expect("short");
        let mut info = vec![0; 84];
        info[HOOK_ENTRY + 8..HOOK_ENTRY + 12].copy_from_slice(&offset(first).to_ne_bytes());
        info[UNDERFLOW + 8..UNDERFLOW + 12].copy_from_slice(&offset(last).to_ne_bytes());
        Legacy { blob: Blob { info, entries: entries.concat() }, layout: Layout::of(Family::V4) }
    }

    fn verdict(verdict: i32) -> Vec<u8> {
        entry("", &[verdict.to_ne_bytes(), [0; 4]].concat())
    }

    #[test]
    fn only_what_is_in_forward_counts() {
        let (accept, drop, reject) = (verdict(-2), verdict(DROP), entry("REJECT", &[0; 8]));
        let drops = |entries: &[&Vec<u8>], first, last| {
            table(&entries.iter().map(|e| (*e).clone()).collect::<Vec<_>>(), first, last).forward_drops()
        };
        assert!(!drops(&[&drop, &accept, &drop], 1, 1));
        assert!(drops(&[&accept, &drop, &accept], 1, 1));
        assert!(drops(&[&accept, &reject, &accept, &accept], 1, 2));
        assert!(!drops(&[&accept, &accept, &accept, &reject], 1, 2));
    }

    #[test]
    fn a_chain_is_found_by_its_whole_name() {
        let head = entry("ERROR", b"CNI-FORWARD\0\0\0\0\0");
        let table = table(&[verdict(-2), head], 0, 0);
        assert!(table.has_chain("CNI-FORWARD"));
        assert!(!table.has_chain("CNI-FORWAR"));
        assert!(!table.has_chain(""));
    }

    #[test]
    fn nonsense_ends_the_reading() {
        let whole = table(&[verdict(-2), verdict(DROP)], 0, 1);
        for end in 0..whole.blob.entries.len() {
            let blob = Blob { info: whole.blob.info.clone(), entries: whole.blob.entries[..end].to_vec() };
            let cut = Legacy { blob, layout: whole.layout };
            let _ = (cut.forward_drops(), cut.forward_drops_the_rest(), cut.has_chain("X"));
        }
        for length in [0_u16, 1, 89, u16::MAX] {
            let mut bad = verdict(-2);
            bad[90..92].copy_from_slice(&length.to_ne_bytes());
            assert!(!table(&[bad], 0, 0).forward_drops(), "length {length}");
        }
    }
}
