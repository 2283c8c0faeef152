//! What is said about a list of measurements.

/// The middle of a list and how far it spreads, in the unit of the list.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Summary {
    /// Half of the values are below.
    pub(crate) median: f64,
    /// A quarter of the values are below.
    pub(crate) lower_quartile: f64,
    /// A quarter of the values are above.
    pub(crate) upper_quartile: f64,
}

impl Summary {
    /// The summary of `values`, in any order; `None` of an empty list.
    pub(crate) fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        Some(Self {
            median: quantile(&sorted, 0.5)?,
            lower_quartile: quantile(&sorted, 0.25)?,
            upper_quartile: quantile(&sorted, 0.75)?,
        })
    }
}

/// The value below which `share` (0 to 1) of a sorted list lies, interpolated between its two neighbours.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a position inside the list")]
fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let position = last as f64 * share;
    let below = sorted[position.floor() as usize];
    let above = sorted[position.ceil() as usize];
    Some(below + (above - below) * position.fract())
}

/// The same step measured on two sides, one after the other in each round, in seconds.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pairs(Vec<(f64, f64)>);

impl Pairs {
    /// Remembers one round.
    pub(crate) fn push(&mut self, first: f64, second: f64) {
        self.0.push((first, second));
    }

    /// Measures both sides, and remembers that. Who goes first changes with each round.
    ///
    /// # Errors
    /// The first that a measurement comes to.
    pub(crate) fn measure<T, E>(
        &mut self,
        [first, second]: [&T; 2],
        round: usize,
        measure: impl Fn(&T) -> Result<f64, E>,
    ) -> Result<(), E> {
        if round.is_multiple_of(2) {
            let measured = measure(first)?;
            self.push(measured, measure(second)?);
        } else {
            let measured = measure(second)?;
            self.push(measure(first)?, measured);
        }
        Ok(())
    }

    /// The first side alone.
    pub(crate) fn first(&self) -> Option<Summary> {
        Summary::of(&self.0.iter().map(|pair| pair.0).collect::<Vec<_>>())
    }

    /// The second side alone.
    pub(crate) fn second(&self) -> Option<Summary> {
        Summary::of(&self.0.iter().map(|pair| pair.1).collect::<Vec<_>>())
    }

    /// How many times longer the second side took: the median of the rounds' own ratios, so that a slow minute of the
    /// machine, which hits both sides of a round, does not count.
    pub(crate) fn second_to_first(&self) -> Option<f64> {
        self.median_of(|(first, second)| second / first)
    }

    /// How many times longer the first side took.
    pub(crate) fn first_to_second(&self) -> Option<f64> {
        self.median_of(|(first, second)| first / second)
    }

    fn median_of(&self, ratio: impl Fn((f64, f64)) -> f64) -> Option<f64> {
        let ratios: Vec<f64> = self.0.iter().copied().map(ratio).collect();
        Summary::of(&ratios).map(|summary| summary.median)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides_take_turns_in_going_first_and_keep_their_places() {
        let (order, mut measured) = (std::cell::RefCell::new(Vec::new()), Pairs::default());
        for round in 0..2 {
            let measure = |side: &f64| {
                order.borrow_mut().push(*side);
                Ok::<_, ()>(*side)
            };
            measured.measure([&1.0, &2.0], round, measure).expect("measured");
        }
        assert_eq!((order.into_inner(), measured.0), (vec![1.0, 2.0, 2.0, 1.0], vec![(1.0, 2.0); 2]));
    }

    fn pairs(list: &[(f64, f64)]) -> Pairs {
        Pairs(list.to_vec())
    }

    #[test]
    fn median_of_an_odd_list_is_its_middle_in_any_order() {
        assert_eq!(Summary::of(&[9.0, 1.0, 5.0]).map(|s| s.median), Some(5.0));
    }

    #[test]
    fn median_of_an_even_list_lies_between_its_two_middles() {
        assert_eq!(Summary::of(&[4.0, 1.0, 3.0, 2.0]).map(|s| s.median), Some(2.5));
    }

    #[test]
    fn quartiles_are_interpolated() {
        let summary = Summary::of(&[1.0, 2.0, 3.0, 4.0]).expect("not empty");
        assert_eq!((summary.lower_quartile, summary.upper_quartile), (1.75, 3.25));
    }

    #[test]
    fn one_value_is_its_own_quartiles() {
        assert_eq!(Summary::of(&[7.0]), Some(Summary { median: 7.0, lower_quartile: 7.0, upper_quartile: 7.0 }));
    }

    #[test]
    fn an_empty_list_has_no_summary() {
        assert_eq!(Summary::of(&[]), None);
        assert_eq!(Pairs::default().second_to_first(), None);
    }

    #[test]
    fn ratio_is_the_median_of_the_rounds_ratios_not_the_ratio_of_the_medians() {
        // Ratios 10, 2 and 4; the medians alone (2 and 10) would say 5.
        let measured = pairs(&[(1.0, 10.0), (10.0, 20.0), (2.0, 8.0)]);
        assert_eq!(measured.second_to_first(), Some(4.0));
    }

    #[test]
    fn the_two_directions_are_each_others_inverse() {
        let measured = pairs(&[(2.0, 3.0)]);
        assert_eq!(measured.second_to_first(), Some(1.5));
        assert_eq!(measured.first_to_second(), Some(2.0 / 3.0));
    }

    #[test]
    fn each_side_is_summed_up_alone() {
        let measured = pairs(&[(1.0, 10.0), (3.0, 30.0)]);
        assert_eq!(measured.first().map(|s| s.median), Some(2.0));
        assert_eq!(measured.second().map(|s| s.median), Some(20.0));
    }
}
