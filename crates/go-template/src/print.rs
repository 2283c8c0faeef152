//! Values as Go's `fmt` prints them.

use serde_json::{Map, Number, Value};

use crate::data::is_structure;

/// `%v`.
pub(crate) fn plain(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => self::number(number),
        Value::String(string) => string.clone(),
        Value::Array(list) => format!("[{}]", joined(list.iter().map(plain))),
        Value::Object(object) => entries(object, str::to_owned, plain),
    }
}

/// Compact JSON as docker writes it: fields of structures as they are, entries of maps by their keys.
pub(crate) fn json(value: &Value) -> String {
    in_order(value).to_string().replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")
}

fn in_order(value: &Value) -> Value {
    match value {
        Value::Array(list) => list.iter().map(in_order).collect(),
        Value::Object(object) => {
            let mut entries: Vec<_> = object.iter().collect();
            if !is_structure(object) {
                entries.sort_by_key(|entry| entry.0);
            }
            Value::Object(entries.into_iter().map(|(key, value)| (key.clone(), in_order(value))).collect())
        }
        scalar => scalar.clone(),
    }
}

/// What an action prints.
pub(crate) fn action(value: &Value) -> String {
    if value.is_null() { "<no value>".to_owned() } else { plain(value) }
}

/// `print`: spaces only between operands of which neither is a string.
pub(crate) fn print<'v>(values: impl Iterator<Item = &'v Value>) -> String {
    let mut text = String::new();
    let mut after_string = true;
    for value in values {
        if !(after_string || value.is_string()) {
            text.push(' ');
        }
        after_string = value.is_string();
        text.push_str(&plain(value));
    }
    text
}

/// `println`: spaces between all operands.
pub(crate) fn println<'v>(values: impl Iterator<Item = &'v Value>) -> String {
    joined(values.map(plain)) + "\n"
}

pub(crate) fn joined(texts: impl Iterator<Item = String>) -> String {
    texts.collect::<Vec<_>>().join(" ")
}

/// `map[key:value key:value]` in the order of keys.
pub(crate) fn entries(
    object: &Map<String, Value>,
    key: impl Fn(&str) -> String,
    value: impl Fn(&Value) -> String,
) -> String {
    let mut sorted: Vec<_> = object.iter().collect();
    sorted.sort_by_key(|entry| entry.0);
    format!("map[{}]", joined(sorted.into_iter().map(|(k, v)| format!("{}:{}", key(k), value(v)))))
}

fn number(number: &Number) -> String {
    match number.as_f64() {
        Some(float) if number.is_f64() => shortest(float),
        _ => number.to_string(),
    }
}

/// `%g`: the fewest digits that tell the number, with an exponent if it is very large or small.
pub(crate) fn shortest(float: f64) -> String {
    let scientific = format!("{float:e}");
    let exponent = scientific.rsplit('e').next().and_then(|digits| digits.parse::<i32>().ok()).unwrap_or(0);
    if (-4..6).contains(&exponent) { float.to_string() } else { with_exponent(&scientific) }
}

/// Rust's `1e8` in Go's spelling, `1e+08`.
pub(crate) fn with_exponent(scientific: &str) -> String {
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
    let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |digits| ('-', digits));
    format!("{mantissa}e{sign}{digits:0>2}")
}

/// `%q` of a string.
pub(crate) fn quoted(string: &str) -> String {
    format!("\"{}\"", string.chars().map(|c| escaped(c, '"')).collect::<String>())
}

/// `%q` of a character.
pub(crate) fn quoted_character(c: char) -> String {
    format!("'{}'", escaped(c, '\''))
}

fn escaped(c: char, quote: char) -> String {
    match c {
        '\x07' => "\\a".to_owned(),
        '\x08' => "\\b".to_owned(),
        '\x0c' => "\\f".to_owned(),
        '\x0b' => "\\v".to_owned(),
        '\n' | '\r' | '\t' | '\\' => c.escape_default().to_string(),
        c if c == quote => format!("\\{c}"),
        c if c.is_ascii_control() => format!("\\x{:02x}", u32::from(c)),
        c if is_shown(c) => c.to_string(),
        c if u32::from(c) > 0xffff => format!("\\U{:08x}", u32::from(c)),
        c => format!("\\u{:04x}", u32::from(c)),
    }
}

/// Whether the character may stand in a quotation as it is. The standard library's judgement, which differs from
/// Go's in combining marks: they are escaped here.
fn is_shown(c: char) -> bool {
    c == ' ' || c.is_ascii() || (!c.is_whitespace() && c.escape_debug().len() == 1)
}

/// `%T`, and what `printf` says about arguments that do not fit.
pub(crate) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}
