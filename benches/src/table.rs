//! The one table that is printed, at most 100 columns wide.

use std::fmt::{self, Display, Formatter};

use crate::statistics::Summary;

const NAME: usize = 39;
const FIGURE: usize = 19;
const RATIO: usize = 7;
const GOAL: usize = 9;

/// How wide a footnote may be, without its mark.
const NOTE: usize = 96;

const MARKS: [&str; 9] = ["¹", "²", "³", "⁴", "⁵", "⁶", "⁷", "⁸", "⁹"];

/// Rows under headings, and what is to be said about some of them below.
#[derive(Default)]
pub(crate) struct Table {
    lines: Vec<String>,
    notes: Vec<String>,
}

/// What is compared: two figures as text, and what matters about them.
#[derive(Default)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) left: String,
    pub(crate) right: String,
    /// How many times more.
    pub(crate) ratio: Option<f64>,
    pub(crate) goal: Goal,
}

/// The figure that a row is expected to reach.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) enum Goal {
    /// No expectation.
    #[default]
    None,
    /// The row's ratio is at least this.
    RatioAtLeast(f64),
    /// The row's ratio is at most this.
    RatioAtMost(f64),
    /// Something that is said in words, and whether it was reached.
    Told(String, bool),
}

impl Table {
    /// Begins a group of rows, with a line above it.
    pub(crate) fn heading(&mut self, name: &str, left: &str, right: &str) {
        if !self.lines.is_empty() {
            self.lines.push(String::new());
        }
        self.push([name, left, right, "ratio", "goal", ""]);
    }

    /// Appends a row, with its ratio and whether the goal was reached.
    pub(crate) fn row(&mut self, row: &Row) {
        let ratio = row.ratio.map(|ratio| format!("{}×", figure(ratio))).unwrap_or_default();
        let name = format!("  {}", row.name);
        self.push([&name, &row.left, &row.right, &ratio, &row.goal.to_string(), row.goal.verdict(row.ratio)]);
    }

    /// Adds a footnote, or finds the same one; gives its mark.
    pub(crate) fn note(&mut self, text: &str) -> &'static str {
        let known = self.notes.iter().position(|note| note == text);
        let index = known.unwrap_or_else(|| {
            self.notes.push(text.to_owned());
            self.notes.len() - 1
        });
        MARKS.get(index).copied().unwrap_or("*")
    }

    fn push(&mut self, [name, left, right, ratio, goal, verdict]: [&str; 6]) {
        let line = format!("{name:<NAME$}{left:<FIGURE$}{right:<FIGURE$}{ratio:<RATIO$}{goal:<GOAL$}{verdict}");
        self.lines.push(line.trim_end().to_owned());
    }
}

impl Display for Table {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        for line in &self.lines {
            writeln!(out, "{line}")?;
        }
        for (index, note) in self.notes.iter().enumerate() {
            let separator = if index == 0 { "\n" } else { "" };
            let mark = MARKS.get(index).copied().unwrap_or("*");
            writeln!(out, "{separator}{mark} {}", wrapped(note).join("\n  "))?;
        }
        Ok(())
    }
}

impl Goal {
    fn verdict(&self, ratio: Option<f64>) -> &'static str {
        let reached = match (self, ratio) {
            (Self::None, _) => return "",
            (Self::RatioAtLeast(least), Some(ratio)) => ratio >= *least,
            (Self::RatioAtMost(most), Some(ratio)) => ratio <= *most,
            (Self::RatioAtLeast(_) | Self::RatioAtMost(_), None) => false,
            (Self::Told(_, reached), _) => *reached,
        };
        if reached { "met" } else { "missed" }
    }
}

impl Display for Goal {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => Ok(()),
            Self::RatioAtLeast(least) => write!(out, "≥ {least}×"),
            Self::RatioAtMost(most) => write!(out, "≤ {most}×"),
            Self::Told(words, _) => out.write_str(words),
        }
    }
}

/// A note's words in lines that are not too long, unless a word alone is.
fn wrapped(note: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in note.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= NOTE => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// A median with its quartiles, each multiplied by `scale`: `12.3 (11.9–13.0)`.
pub(crate) fn spread(summary: &Summary, scale: f64) -> String {
    let [median, lower, upper] =
        [summary.median, summary.lower_quartile, summary.upper_quartile].map(|value| figure(value * scale));
    format!("{median} ({lower}–{upper})")
}

/// A number with three figures that mean something.
pub(crate) fn figure(value: f64) -> String {
    match value {
        value if value < 9.995 => format!("{value:.2}"),
        value if value < 99.95 => format!("{value:.1}"),
        value => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_three_digits() {
        assert_eq!(
            [0.5, 9.994, 9.996, 99.94, 99.96, 1234.0].map(figure),
            ["0.50", "9.99", "10.0", "99.9", "100", "1234"]
        );
    }

    #[test]
    fn spread_names_median_and_quartiles_in_the_scaled_unit() {
        let summary = Summary { median: 0.0123, lower_quartile: 0.0119, upper_quartile: 0.013 };
        assert_eq!(spread(&summary, 1e3), "12.3 (11.9–13.0)");
    }

    #[test]
    fn a_goal_is_met_or_missed() {
        assert_eq!(Goal::RatioAtLeast(8.0).verdict(Some(8.0)), "met");
        assert_eq!(Goal::RatioAtLeast(8.0).verdict(Some(7.9)), "missed");
        assert_eq!(Goal::RatioAtMost(1.3).verdict(Some(1.4)), "missed");
        assert_eq!(Goal::RatioAtMost(1.3).verdict(None), "missed");
        assert_eq!(Goal::Told("≤ 8 MB".into(), true).verdict(None), "met");
        assert_eq!(Goal::None.verdict(Some(2.0)), "");
    }

    #[test]
    fn the_widest_row_fits_100_columns_and_keeps_its_columns_apart() {
        let mut table = Table::default();
        table.heading("(b) bridge(ipMasq)+portmap+firewall", "ours, ms", "reference, ms");
        table.row(&Row {
            name: "host-local ADD, 10000 reservations".into(),
            left: "99.9 (99.9–99.9)".into(),
            right: "1999 (1999–1999)³".into(),
            ratio: Some(1000.0),
            goal: Goal::RatioAtMost(15.0),
        });
        let text = table.to_string();
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
        assert!(text.contains("1999 (1999–1999)³  1000×  ≤ 15×    missed"), "{text}");
    }

    #[test]
    fn a_long_note_goes_on_below_its_first_word() {
        let mut table = Table::default();
        table.note(&"word ".repeat(30));
        let text = table.to_string();
        assert_eq!(text.lines().map(|line| line.chars().count()).collect::<Vec<_>>(), [0, 96, 56]);
        assert!(text.ends_with("\n  word word word word word word word word word word word\n"), "{text}");
    }

    #[test]
    fn the_same_note_is_printed_once_and_keeps_its_mark() {
        let mut table = Table::default();
        assert_eq!([table.note("one"), table.note("two"), table.note("one")], ["¹", "²", "¹"]);
        assert_eq!(table.to_string(), "\n¹ one\n² two\n");
    }
}
