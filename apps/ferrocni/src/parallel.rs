//! Work on many things, on all processors.

use std::num::NonZero;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Fewer are done by the time that the processors are counted and a thread has started.
const FEWEST: usize = 128;
/// How many parts each processor gets if all are as fast. One that has other work as well gets fewer.
const PARTS: usize = 2;

/// What `work` makes of parts of the items, in their order.
pub(crate) fn in_parts<T: Sync, R: Send>(items: &[T], work: impl Fn(&[T]) -> R + Sync) -> Vec<R> {
    if items.len() <= FEWEST {
        return vec![work(items)];
    }
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    let parts: Vec<_> = items.chunks(items.len().div_ceil(processors * PARTS).max(FEWEST)).collect();
    let taken = AtomicUsize::new(0);
    let next = || {
        let number = taken.fetch_add(1, Ordering::Relaxed);
        Some((number, *parts.get(number)?))
    };
    let take_parts = || std::iter::from_fn(&next).map(|(number, part)| (number, work(part))).collect::<Vec<_>>();
    thread::scope(|scope| {
        let others: Vec<_> = (1..processors.min(parts.len())).map(|_| scope.spawn(take_parts)).collect();
        let mut done = take_parts();
        for other in others {
            done.extend(other.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
        done.sort_unstable_by_key(|(number, _)| *number);
        done.into_iter().map(|(_, made)| made).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_is_in_one_part_and_in_order() {
        for count in [0, 1, FEWEST, FEWEST + 1, 100 * FEWEST + 7] {
            let items: Vec<_> = (0..count).collect();
            assert_eq!(in_parts(&items, <[_]>::to_vec).concat(), items);
        }
    }
}
