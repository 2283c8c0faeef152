//! Places in a template's source, as people count them.

use std::fmt;

use crate::ast::Span;

/// The longest piece of a template that an error shows, in characters.
const EXCERPT: usize = 60;

/// A line and a column, both from 1; columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The character in the line.
    pub column: usize,
}

impl Position {
    pub(crate) fn of(source: &str, at: usize) -> Position {
        let before = source.get(..at).unwrap_or(source);
        let line = before.rsplit('\n').next().unwrap_or(before);
        Position { line: before.matches('\n').count() + 1, column: line.chars().count() + 1 }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// That piece of the source on one line, without control characters.
pub(crate) fn excerpt(source: &str, span: &Span) -> String {
    let text = source.get(span.clone()).unwrap_or_default();
    let mut shown: String = text.chars().take(EXCERPT).flat_map(shown_as).collect();
    if text.chars().nth(EXCERPT).is_some() {
        shown.push('…');
    }
    shown
}

fn shown_as(c: char) -> impl Iterator<Item = char> {
    let escaped = c.is_control().then(|| c.escape_default());
    let plain = (!c.is_control()).then_some(c);
    escaped.into_iter().flatten().chain(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters() {
        assert_eq!(Position::of("a\näö{{", 6), Position { line: 2, column: 3 });
    }

    #[test]
    fn an_excerpt_is_short_and_on_one_line() {
        assert_eq!(excerpt("{{a\n\u{1b}}}", &(0..7)), "{{a\\n\\u{1b}}}");
        assert_eq!(excerpt(&"x".repeat(100), &(0..100)).chars().count(), EXCERPT + 1);
    }
}
