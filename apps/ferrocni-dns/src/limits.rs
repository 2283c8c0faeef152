//! How many queries may wait for other servers at a time.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use netlink::NetnsId;

/// Of one container.
const OF_A_CONTAINER: usize = 128;
/// Of the host.
const OF_THE_HOST: usize = 2048;

/// What is in use.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    all: Cell<usize>,
    askers: RefCell<HashMap<NetnsId, usize>>,
}

/// The right to wait, for as long as the value lives.
#[derive(Debug)]
pub(crate) struct Slot {
    limits: Rc<Limits>,
    asker: NetnsId,
}

impl Limits {
    /// `None` if the asker has too many waiting, or all together have.
    pub(crate) fn take(self: &Rc<Self>, asker: NetnsId) -> Option<Slot> {
        let mut askers = self.askers.borrow_mut();
        let used = askers.get(&asker).copied().unwrap_or(0);
        if used == OF_A_CONTAINER || self.all.get() == OF_THE_HOST {
            return None;
        }
        askers.insert(asker, used + 1);
        self.all.set(self.all.get() + 1);
        Some(Slot { limits: Rc::clone(self), asker })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut askers = self.limits.askers.borrow_mut();
        if let Some(used) = askers.get_mut(&self.asker) {
            *used -= 1;
            if *used == 0 {
                askers.remove(&self.asker);
            }
        }
        self.limits.all.set(self.limits.all.get() - 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asker(inode: u64) -> NetnsId {
        NetnsId { device: 4, inode }
    }

    #[test]
    fn a_container_cannot_use_up_what_others_need() {
        let limits = Rc::new(Limits::default());
        let mut slots: Vec<_> = std::iter::repeat_with(|| limits.take(asker(1))).take(OF_A_CONTAINER + 1).collect();
        assert!(slots.pop().is_some_and(|last| last.is_none()));
        assert!(slots.iter().all(Option::is_some));
        assert!(limits.take(asker(2)).is_some());
        slots.pop();
        assert!(limits.take(asker(1)).is_some());
        drop(slots);
        assert!(limits.askers.borrow().is_empty() && limits.all.get() == 0);
    }

    #[test]
    fn all_together_have_a_limit() {
        let limits = Rc::new(Limits::default());
        let slots: Vec<_> = (0..OF_THE_HOST as u64).map_while(|number| limits.take(asker(number / 100))).collect();
        assert_eq!(slots.len(), OF_THE_HOST);
        assert!(limits.take(asker(1 << 20)).is_none());
    }
}
