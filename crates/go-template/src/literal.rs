//! Constants of a template: quotations, characters and numbers.

use serde_json::{Number, Value};

use crate::error::Problem;

/// The constant at the begin of the text, and its length.
pub(crate) fn read(text: &str) -> Result<(Value, usize), Problem> {
    match text.chars().next() {
        Some('"') => interpreted(text, '"').map(|(string, length)| (Value::String(string), length)),
        Some('`') => raw(text),
        Some('\'') => character(text),
        _ => number(text),
    }
}

fn raw(text: &str) -> Result<(Value, usize), Problem> {
    let length = text[1..].find('`').ok_or(Problem::UnclosedQuote { quote: '`' })?;
    Ok((Value::String(text[1..=length].to_owned()), length + 2))
}

fn character(text: &str) -> Result<(Value, usize), Problem> {
    let (string, length) = interpreted(text, '\'')?;
    let mut chars = string.chars();
    match (chars.next(), chars.next()) {
        (Some(c), None) => Ok((Value::from(u32::from(c)), length)),
        _ => Err(Problem::BadCharacter),
    }
}

/// A quotation with escapes, on one line.
fn interpreted(text: &str, quote: char) -> Result<(String, usize), Problem> {
    let mut string = String::new();
    let mut rest = &text[1..];
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            '\n' => break,
            '\\' => {
                let (escaped, length) = escape(rest, quote)?;
                string.push(escaped);
                rest = &rest[length..];
            }
            c if c == quote => return Ok((string, text.len() - rest.len())),
            c => string.push(c),
        }
    }
    Err(Problem::UnclosedQuote { quote })
}

/// What stands after a backslash, and its length.
fn escape(rest: &str, quote: char) -> Result<(char, usize), Problem> {
    let plain = match rest.chars().next() {
        Some('a') => '\x07',
        Some('b') => '\x08',
        Some('f') => '\x0c',
        Some('n') => '\n',
        Some('r') => '\r',
        Some('t') => '\t',
        Some('v') => '\x0b',
        Some('\\') => '\\',
        Some(c) if c == quote => c,
        Some('x') => return numeric(rest, 1, 2, 16),
        Some('u') => return numeric(rest, 1, 4, 16),
        Some('U') => return numeric(rest, 1, 8, 16),
        Some('0'..='7') => return numeric(rest, 0, 3, 8),
        _ => return Err(unknown(rest, 1)),
    };
    Ok((plain, 1))
}

/// A character by its number. Go's `\x` and octal escapes are bytes: only those that are characters pass.
fn numeric(rest: &str, prefix: usize, digits: usize, radix: u32) -> Result<(char, usize), Problem> {
    let end = prefix + digits;
    let code = rest.get(prefix..end).filter(|digits| !digits.starts_with('+'));
    let c = code.and_then(|digits| u32::from_str_radix(digits, radix).ok()).and_then(char::from_u32);
    match c {
        Some(c) if digits >= 4 || c.is_ascii() => Ok((c, end)),
        _ => Err(unknown(rest, end)),
    }
}

fn unknown(rest: &str, length: usize) -> Problem {
    Problem::UnknownEscape { escape: rest.chars().take(length).collect() }
}

fn number(text: &str) -> Result<(Value, usize), Problem> {
    let digits = &text[..number_length(text)];
    let bad = || Problem::BadNumber { text: digits.to_owned() };
    let plain = digits.replace('_', "");
    let number = integer(&plain).or_else(|| float(&plain)).ok_or_else(bad)?;
    Ok((Value::Number(number), digits.len()))
}

/// Everything that could belong to a number, so that `12ab` is a bad number and not two operands.
fn number_length(text: &str) -> usize {
    let hexadecimal = text.trim_start_matches(['+', '-']).starts_with("0x");
    let mut before = None;
    for (at, c) in text.char_indices() {
        let exponent = !hexadecimal && matches!(before, Some('e' | 'E'));
        let sign = matches!(c, '+' | '-') && (at == 0 || exponent);
        if !(sign || c == '.' || c == '_' || c.is_alphanumeric()) {
            return at;
        }
        before = Some(c);
    }
    text.len()
}

fn integer(text: &str) -> Option<Number> {
    let negative = text.starts_with('-');
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text).to_ascii_lowercase();
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x', ..] => (16, &digits[2..]),
        [b'0', b'o', ..] => (8, &digits[2..]),
        [b'0', b'b', ..] => (2, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits.as_str()),
    };
    let value = u64::from_str_radix(digits, radix).ok().filter(|_| !digits.starts_with('+'))?;
    if negative { 0i64.checked_sub_unsigned(value).map(Number::from) } else { Some(Number::from(value)) }
}

fn float(text: &str) -> Option<Number> {
    let spelled = text.contains(|c: char| c.is_alphabetic() && c != 'e' && c != 'E');
    text.parse().ok().filter(|_| !spelled).and_then(Number::from_f64)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_go_reads_them() {
        for (text, value) in [("0x10 ", 16), ("1_000}}", 1000), ("010)", 8), ("0b11", 3), ("-5", -5), ("+1", 1)] {
            assert_eq!(read(text).unwrap().0, Value::from(value), "{text}");
        }
        assert_eq!(read("1.5e3|").unwrap(), (Value::from(1500.0), 5));
    }

    #[test]
    fn words_are_no_numbers() {
        for text in ["12ab", "1.2.3", "-", "+inf", "1e999", "0x+1", "99999999999999999999x"] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn quotations_know_escapes() {
        assert_eq!(read(r#""a\tb\"\u00e4\x41\101" x"#).unwrap(), (Value::from("a\tb\"äAA"), 22));
        assert_eq!(read(r"`a\t`").unwrap(), (Value::from(r"a\t"), 5));
        assert_eq!(read("'ä'").unwrap(), (Value::from(228), 4));
    }

    #[test]
    fn broken_quotations_are_errors() {
        assert_eq!(read("\"a\n\""), Err(Problem::UnclosedQuote { quote: '"' }));
        assert_eq!(read("`a"), Err(Problem::UnclosedQuote { quote: '`' }));
        assert_eq!(read("'ab'"), Err(Problem::BadCharacter));
        assert_eq!(read(r#""\q""#), Err(Problem::UnknownEscape { escape: "q".into() }));
        assert_eq!(read(r#""\xff""#), Err(Problem::UnknownEscape { escape: "xff".into() }));
    }
}
