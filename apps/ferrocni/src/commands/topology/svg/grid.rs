//! Cards in rows and columns.

use super::canvas::Area;
use super::card::Card;

/// Between cards.
pub(super) const GAP: f64 = 10.0;

/// Cards with their places.
#[derive(Debug, Default)]
pub(super) struct Grid<'a> {
    pub(super) cards: Vec<(Area, Card<'a>)>,
    pub(super) height: f64,
}

impl<'a> Grid<'a> {
    /// Row by row, each as high as its highest card.
    pub(super) fn place(cards: Vec<Card<'a>>, columns: usize, width: f64, left: f64, top: f64) -> Self {
        let mut grid = Self::default();
        let mut rest = cards.into_iter();
        let mut y = top;
        loop {
            let row: Vec<_> = rest.by_ref().take(columns).collect();
            if row.is_empty() {
                break;
            }
            let height = row.iter().map(Card::height).fold(0.0, f64::max);
            for (column, card) in row.into_iter().enumerate() {
                let x = left + (width + GAP) * column as f64;
                grid.cards.push((Area { x, y, width, height }, card));
            }
            y += height + GAP;
            grid.height = y - GAP - top;
        }
        grid
    }
}

/// The width of that many cards side by side.
pub(super) fn width(columns: usize, card: f64) -> f64 {
    card * columns as f64 + GAP * columns.saturating_sub(1) as f64
}
