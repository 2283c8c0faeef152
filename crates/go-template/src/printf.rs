//! `printf`: Go's verbs for what templates hold. What does not fit is said in the output, as in Go.

use std::iter::Peekable;
use std::str::Chars;

use serde_json::Value;

use crate::print;

/// The largest width and precision; Go's own limit is a million.
const WIDEST: usize = 10_000;

/// One `%…`.
#[derive(Default)]
struct Directive {
    minus: bool,
    plus: bool,
    space: bool,
    sharp: bool,
    zero: bool,
    width: Option<usize>,
    precision: Option<usize>,
    verb: char,
}

/// Formats the values; the result may be as long as the format and its widths make it.
pub(crate) fn printf(format: &str, values: &[&Value]) -> String {
    let mut text = String::new();
    let mut values = values.iter();
    let mut rest = format.chars().peekable();
    while let Some(c) = rest.next() {
        if c != '%' {
            text.push(c);
            continue;
        }
        match directive(&mut rest) {
            None => text.push_str("%!(NOVERB)"),
            Some(Directive { verb: '%', .. }) => text.push('%'),
            Some(directive) => match values.next() {
                Some(value) => text.push_str(&directive.format(value)),
                None => text.push_str(&format!("%!{}(MISSING)", directive.verb)),
            },
        }
    }
    let extra: Vec<String> = values.map(|value| typed(value)).collect();
    if !extra.is_empty() {
        text.push_str(&format!("%!(EXTRA {})", extra.join(", ")));
    }
    text
}

/// `string=a`, as Go shows an argument that does not fit.
fn typed(value: &Value) -> String {
    if value.is_null() { "<nil>".to_owned() } else { format!("{}={}", print::type_name(value), print::plain(value)) }
}

fn directive(rest: &mut Peekable<Chars<'_>>) -> Option<Directive> {
    let mut directive = Directive::default();
    while let Some(flag) = rest.next_if(|c| "-+ #0".contains(*c)) {
        match flag {
            '-' => directive.minus = true,
            '+' => directive.plus = true,
            ' ' => directive.space = true,
            '#' => directive.sharp = true,
            _ => directive.zero = true,
        }
    }
    directive.width = digits(rest);
    if rest.next_if_eq(&'.').is_some() {
        directive.precision = Some(digits(rest).unwrap_or(0));
    }
    directive.verb = rest.next()?;
    Some(directive)
}

fn digits(rest: &mut Peekable<Chars<'_>>) -> Option<usize> {
    let mut number = None;
    while let Some(digit) = rest.peek().and_then(|c| c.to_digit(10)) {
        rest.next();
        number = Some((number.unwrap_or(0) * 10 + digit as usize).min(WIDEST));
    }
    number
}

impl Directive {
    fn format(&self, value: &Value) -> String {
        match (self.verb, value) {
            ('T', _) => self.pad(print::type_name(value)),
            (_, Value::Array(list)) => format!("[{}]", print::joined(list.iter().map(|value| self.format(value)))),
            (_, Value::Object(map)) => {
                print::entries(map, |key| self.scalar(&Value::from(key)), |value| self.format(value))
            }
            _ => self.scalar(value),
        }
    }

    fn scalar(&self, value: &Value) -> String {
        let formatted = match value {
            Value::String(string) => self.string(string),
            Value::Bool(flag) if "tv".contains(self.verb) => Some(self.pad(&flag.to_string())),
            Value::Number(number) => match (number.as_i128(), number.as_f64()) {
                (Some(integer), _) => self.integer(integer),
                (None, Some(float)) => self.float(float),
                (None, None) => None,
            },
            Value::Null if self.verb == 'v' => Some(self.pad("<nil>")),
            _ => None,
        };
        formatted.unwrap_or_else(|| format!("%!{}({})", self.verb, typed(value)))
    }

    fn string(&self, string: &str) -> Option<String> {
        let text: String = string.chars().take(self.precision.unwrap_or(usize::MAX)).collect();
        let formatted = match self.verb {
            's' | 'v' => text,
            'q' => print::quoted(&text),
            'x' => hexadecimal(string, self.precision),
            'X' => hexadecimal(string, self.precision).to_uppercase(),
            _ => return None,
        };
        Some(self.pad(&formatted))
    }

    fn integer(&self, integer: i128) -> Option<String> {
        let magnitude = integer.unsigned_abs();
        let (prefix, digits) = match self.verb {
            'd' | 'v' => ("", magnitude.to_string()),
            'b' => ("0b", format!("{magnitude:b}")),
            'o' => ("0", format!("{magnitude:o}")),
            'x' => ("0x", format!("{magnitude:x}")),
            'X' => ("0X", format!("{magnitude:X}")),
            'c' | 'q' => return Some(self.character(integer)),
            _ => return None,
        };
        let digits = format!("{digits:0>width$}", width = self.precision.unwrap_or(1));
        let prefix = if self.sharp { prefix } else { "" };
        let plain = Directive { zero: self.zero && self.precision.is_none(), ..*self };
        Some(plain.pad_number(integer < 0, prefix, &digits))
    }

    fn character(&self, code: i128) -> String {
        let c = u32::try_from(code).ok().and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER);
        self.pad(&if self.verb == 'c' { c.to_string() } else { print::quoted_character(c) })
    }

    fn float(&self, float: f64) -> Option<String> {
        let magnitude = float.abs();
        let precision = self.precision.unwrap_or(6);
        let digits = match self.verb {
            'f' | 'F' => format!("{magnitude:.precision$}"),
            'e' | 'E' => print::with_exponent(&format!("{magnitude:.precision$e}")),
            'g' | 'G' | 'v' if self.precision.is_none() => print::shortest(magnitude),
            _ => return None,
        };
        let digits = if self.verb.is_uppercase() { digits.to_uppercase() } else { digits };
        Some(self.pad_number(float.is_sign_negative(), "", &digits))
    }

    /// With its sign; zeros go between the sign and the digits.
    fn pad_number(&self, negative: bool, prefix: &str, digits: &str) -> String {
        let sign = match (negative, self.plus && self.verb != 'v', self.space) {
            (true, ..) => "-",
            (false, true, _) => "+",
            (false, false, true) => " ",
            (false, false, false) => "",
        };
        let before = sign.len() + prefix.len();
        let zeros = if self.zero && !self.minus { self.width.unwrap_or(0).saturating_sub(before) } else { 0 };
        self.pad(&format!("{sign}{prefix}{digits:0>zeros$}"))
    }

    /// To the width, which counts characters.
    fn pad(&self, text: &str) -> String {
        let width = self.width.unwrap_or(0);
        match (self.minus, self.zero) {
            (true, _) => format!("{text:<width$}"),
            (false, true) => format!("{text:0>width$}"),
            (false, false) => format!("{text:>width$}"),
        }
    }
}

/// The bytes of the string; the precision counts them.
fn hexadecimal(string: &str, precision: Option<usize>) -> String {
    string.bytes().take(precision.unwrap_or(usize::MAX)).map(|byte| format!("{byte:02x}")).collect()
}
