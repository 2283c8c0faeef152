//! Work on many things, on all processors.

use std::num::NonZero;
use std::panic::resume_unwind;
use std::thread;

/// Fewer are done before a thread has started.
const FEWEST: usize = 32;

/// What `work` makes of parts of the items, in their order.
pub(crate) fn in_parts<T: Sync, R: Send>(items: &[T], work: impl Fn(&[T]) -> R + Sync) -> Vec<R> {
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    let length = items.len().div_ceil(processors).max(FEWEST);
    if items.len() <= length {
        return vec![work(items)];
    }
    thread::scope(|scope| {
        let threads: Vec<_> = items.chunks(length).map(|part| scope.spawn(|| work(part))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
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
