//! Functions on strings.

use serde_json::Value;

use super::Outcome;
use crate::data::{Data, kind};
use crate::error::Failure;

/// The most spaces that `pad` adds on a side.
const MOST_PADDING: usize = 10_000;

/// The greatest length for `truncate`: more than a string has.
const LONGEST: usize = 1 << 30;

/// The string that a function got, or what it should have got.
pub(super) fn argument<'v>(
    function: &'static str,
    expected: &'static str,
    value: &'v Value,
) -> Result<&'v str, Failure> {
    value.as_str().ok_or_else(|| Failure::ArgumentKind { function, expected, given: kind(value) })
}

/// A number of bytes or elements, at most that many.
pub(super) fn number(function: &'static str, value: &Value, limit: usize) -> Result<usize, Failure> {
    let kind = || Failure::ArgumentKind { function, expected: "an integer", given: kind(value) };
    let given = value.as_i64().ok_or_else(kind)?;
    let number = usize::try_from(given).ok().filter(|number| *number <= limit);
    number.ok_or(Failure::OutOfRange { function, limit, given })
}

/// A function that makes one string of another.
pub(super) fn mapped<'a>(function: &'static str, value: &Data<'a>, map: fn(&str) -> String) -> Outcome<'a> {
    super::string(map(argument(function, "a string", value)?))
}

pub(super) fn lower(text: &str) -> String {
    text.chars().map(|c| single(c.to_lowercase(), c)).collect()
}

pub(super) fn upper(text: &str) -> String {
    text.chars().map(upper_character).collect()
}

/// With a capital at the begin of each word.
pub(super) fn title(text: &str) -> String {
    let mut before = ' ';
    let capitals = text.chars().map(|c| {
        let c = if separates_words(before) { upper_character(c) } else { c };
        before = c;
        c
    });
    capitals.collect()
}

fn separates_words(c: char) -> bool {
    if c.is_ascii() { c != '_' && !c.is_ascii_alphanumeric() } else { c.is_whitespace() }
}

fn upper_character(c: char) -> char {
    single(c.to_uppercase(), c)
}

/// As in Go, what would become several characters (ß) stays as it is.
fn single(mut mapped: impl Iterator<Item = char>, c: char) -> char {
    match (mapped.next(), mapped.next()) {
        (Some(one), None) => one,
        _ => c,
    }
}

/// The first so many bytes, or fewer where that would cut a character.
pub(super) fn truncate<'a>(values: &[Data<'a>]) -> Outcome<'a> {
    let text = argument("truncate", "a string and a length", &values[0])?;
    let mut end = number("truncate", &values[1], LONGEST)?.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    super::string(text[..end].to_owned())
}

/// Spaces before and after a string that is not empty.
pub(super) fn pad<'a>(values: &[Data<'a>]) -> Outcome<'a> {
    let text = argument("pad", "a string and two numbers of spaces", &values[0])?;
    let before = number("pad", &values[1], MOST_PADDING)?;
    let after = number("pad", &values[2], MOST_PADDING)?;
    let padded = format!("{}{text}{}", " ".repeat(before), " ".repeat(after));
    super::string(if text.is_empty() { String::new() } else { padded })
}
