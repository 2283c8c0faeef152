//! Values while a template is rendered, and how their parts are found.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::error::Failure;

/// A part of what is rendered, or something that a function made.
pub(crate) type Data<'a> = Cow<'a, Value>;

/// As many fields as an error lists.
const LISTED: usize = 40;

/// What errors call a value, with its article.
pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nil",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if number.is_f64() => "a float",
        Value::Number(_) => "an integer",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(object) if is_structure(object) => "a structure",
        Value::Object(_) => "a map",
    }
}

/// What `if`, `with`, `and`, `or` and `not` take for true: anything but nil, false, zero and what is empty.
pub(crate) fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(flag) => *flag,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(string) => !string.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(object) => !object.is_empty(),
    }
}

/// Whether the object stands for one of Go's structs: every key could name an exported field.
pub(crate) fn is_structure(object: &Map<String, Value>) -> bool {
    let exported = |key: &String| {
        key.starts_with(|c: char| c.is_ascii_uppercase()) && key.chars().all(|c| c == '_' || c.is_ascii_alphanumeric())
    };
    !object.is_empty() && object.keys().all(exported)
}

/// The field of a structure or the entry of a map.
pub(crate) fn field<'a>(value: &Data<'a>, name: &str) -> Result<Data<'a>, Failure> {
    match value {
        Cow::Borrowed(value) => find(value, name).map(Cow::Borrowed),
        Cow::Owned(value) => find(value, name).map(|found| Cow::Owned(found.clone())),
    }
}

fn find<'v>(value: &'v Value, name: &str) -> Result<&'v Value, Failure> {
    match value {
        Value::Object(object) => match object.get(name) {
            Some(found) => Ok(found),
            None if is_structure(object) => Err(no_field(object, name)),
            None => Ok(&Value::Null),
        },
        Value::Null => Ok(&Value::Null),
        _ => Err(Failure::NotAnObject { field: name.to_owned(), kind: kind(value) }),
    }
}

fn no_field(object: &Map<String, Value>, name: &str) -> Failure {
    let mut fields: Vec<&str> = object.keys().take(LISTED).map(String::as_str).collect();
    if object.len() > LISTED {
        fields.push("…");
    }
    let candidates = object.keys().take(LISTED).map(|key| (distance(name, key), key));
    let nearest = candidates.min().filter(|(distance, key)| *distance <= key.len() / 3).map(|(_, key)| key.clone());
    Failure::NoField { field: name.to_owned(), fields: fields.join(", "), nearest }
}

/// How many letters have to change, come or go, without regard to case.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().map(|c| c.to_ascii_lowercase()).collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (above, l) in left.chars().map(|c| c.to_ascii_lowercase()).enumerate() {
        let mut diagonal = row[0];
        row[0] = above + 1;
        for (column, r) in right.iter().enumerate() {
            let changed = diagonal + usize::from(l != *r);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[right.len()]
}

/// The keys and values of a map, or the numbers and elements of a list, in the order in which `range` meets them.
pub(crate) fn elements<'a>(value: Data<'a>) -> Result<Vec<(Data<'a>, Data<'a>)>, Failure> {
    match value {
        Cow::Borrowed(Value::Array(list)) => Ok(list.iter().map(Cow::Borrowed).enumerate().map(numbered).collect()),
        Cow::Owned(Value::Array(list)) => Ok(list.into_iter().map(Cow::Owned).enumerate().map(numbered).collect()),
        Cow::Borrowed(Value::Object(map)) => {
            Ok(sorted(map.iter().map(|(key, value)| (key.clone(), Cow::Borrowed(value)))))
        }
        Cow::Owned(Value::Object(map)) => Ok(sorted(map.into_iter().map(|(key, value)| (key, Cow::Owned(value))))),
        value if value.is_null() => Ok(Vec::new()),
        value => Err(Failure::NotIterable { kind: kind(&value) }),
    }
}

fn numbered<'a>((number, value): (usize, Data<'a>)) -> (Data<'a>, Data<'a>) {
    (Cow::Owned(Value::from(number)), value)
}

fn sorted<'a>(entries: impl Iterator<Item = (String, Data<'a>)>) -> Vec<(Data<'a>, Data<'a>)> {
    let mut entries: Vec<_> = entries.collect();
    entries.sort_by(|left, right| left.0.cmp(&right.0));
    entries.into_iter().map(|(key, value)| (Cow::Owned(Value::String(key)), value)).collect()
}

/// Whether lists and objects nest no deeper than that.
pub(crate) fn nests_within(value: &Value, limit: usize) -> bool {
    match value {
        Value::Array(list) => limit > 0 && list.iter().all(|value| nests_within(value, limit - 1)),
        Value::Object(object) => limit > 0 && object.values().all(|value| nests_within(value, limit - 1)),
        _ => true,
    }
}
