//! Which part of a port's connections goes where: slots, which are shared out evenly, and of which hardly any changes hands when somebody
//! comes or goes.

use std::net::SocketAddr;

use overlay::ingress::hash;

/// How many parts there are.
const SLOTS: usize = nftables::overlay::SLOTS as usize;

/// Somewhere that connections can go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) to: SocketAddr,
    /// How many containers are there.
    pub(crate) weight: u32,
}

/// The slots' targets, in turn by turn of who chooses the slot that it likes best of those that are left. If there are more targets than
/// slots, hosts (`salt`) leave out different ones.
pub(crate) fn fill(targets: &[Target], salt: &str) -> Vec<SocketAddr> {
    let mut left = quotas(targets, salt);
    let likings: Vec<_> = targets.iter().map(|target| hash(&[&target.to.to_string()])).collect();
    let mut slots: Vec<Option<SocketAddr>> = vec![None; SLOTS];
    while left.iter().any(|quota| *quota > 0) {
        for ((target, quota), liking) in
            targets.iter().zip(&mut left).zip(&likings).filter(|((_, quota), _)| **quota > 0)
        {
            let free = slots.iter_mut().enumerate().filter(|(_, slot)| slot.is_none());
            if let Some((_, slot)) = free.max_by_key(|(number, _)| mix(*liking, *number as u64)) {
                *slot = Some(target.to);
            }
            *quota -= 1;
        }
    }
    slots.into_iter().flatten().collect()
}

/// How many slots each gets: as many as its share, and those that are left over by lot.
fn quotas(targets: &[Target], salt: &str) -> Vec<usize> {
    let total: usize = targets.iter().map(|target| target.weight as usize).sum();
    if total == 0 {
        return vec![0; targets.len()];
    }
    let exact = |target: &Target| target.weight as usize * SLOTS;
    let mut quotas: Vec<_> = targets.iter().map(|target| exact(target) / total).collect();
    let mut order: Vec<usize> = (0..targets.len()).collect();
    let lot = |index: &usize| {
        let target = &targets[*index];
        (std::cmp::Reverse(exact(target) % total), hash(&[salt, &target.to.to_string()]))
    };
    order.sort_by_key(lot);
    let over = SLOTS - quotas.iter().sum::<usize>();
    for index in order.into_iter().take(over) {
        quotas[index] += 1;
    }
    quotas
}

/// Two numbers made one whose bits all depend on all of theirs (`SplitMix64`'s finalizer).
fn mix(one: u64, other: u64) -> u64 {
    let mut mixed = one ^ other.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn targets(weights: &[u32]) -> Vec<Target> {
        let target = |(place, weight): (u8, &u32)| Target { to: ([10, 0, 0, place], 80).into(), weight: *weight };
        (1..).zip(weights).map(target).collect()
    }

    fn counts(slots: &[SocketAddr]) -> BTreeMap<SocketAddr, usize> {
        let mut counts = BTreeMap::new();
        slots.iter().for_each(|slot| *counts.entry(*slot).or_default() += 1);
        counts
    }

    #[test]
    fn everybody_gets_its_share() {
        for (weights, expected) in [
            (&[1][..], vec![64]),
            (&[1, 1], vec![32, 32]),
            (&[3, 1], vec![48, 16]),
            (&[1, 1, 1, 1], vec![16; 4]),
            (&[u32::MAX >> 16; 64], vec![1; 64]),
        ] {
            let slots = fill(&targets(weights), "host");
            assert_eq!(counts(&slots).into_values().collect::<Vec<_>>(), expected);
        }
        let thirds: Vec<_> = counts(&fill(&targets(&[1, 1, 1]), "host")).into_values().collect();
        assert!(thirds.iter().all(|count| (21..=22).contains(count)), "{thirds:?}");
        assert!(fill(&[], "host").is_empty());
    }

    #[test]
    fn hardly_any_slot_changes_hands_when_somebody_goes() {
        let all = targets(&[1; 8]);
        let (before, after) = (fill(&all, "host"), fill(&all[1..], "host"));
        let moved = before.iter().zip(&after).filter(|(before, after)| **before != all[0].to && before != after);
        assert!(moved.count() <= 16, "those of the one that has gone, and few others");
    }

    #[test]
    fn hosts_leave_out_different_ones_if_there_are_too_many() {
        let all = targets(&[1; 200]);
        let used: std::collections::BTreeSet<_> = (0..20).flat_map(|host| fill(&all, &format!("host{host}"))).collect();
        assert!(used.len() > 190, "{}", used.len());
    }
}
