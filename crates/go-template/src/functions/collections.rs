//! Functions on lists, maps and their parts.

use std::borrow::Cow;

use serde_json::Value;

use super::Outcome;
use super::text::{argument, number};
use crate::data::{Data, kind};
use crate::error::Failure;

/// Bytes of a string, elements of a list, entries of a map.
pub(super) fn len<'a>(values: &[Data<'a>]) -> Outcome<'a> {
    let length = match values[0].as_ref() {
        Value::String(string) => string.len(),
        Value::Array(list) => list.len(),
        Value::Object(object) => object.len(),
        other => return Err(unfit("len", "a string, list or map", other)),
    };
    Ok(Cow::Owned(Value::from(length)))
}

/// `index .Map "key" 0` is the first element of the map's entry.
pub(super) fn index<'a>(values: &[Data<'a>]) -> Outcome<'a> {
    let mut found = values[0].clone();
    for key in &values[1..] {
        found = match found {
            Cow::Borrowed(value) => element(value, key)?,
            Cow::Owned(value) => Cow::Owned(element(&value, key)?.into_owned()),
        };
    }
    Ok(found)
}

fn element<'v>(value: &'v Value, key: &Value) -> Outcome<'v> {
    match value {
        Value::Array(list) => Ok(Cow::Borrowed(&list[place("index", key, list.len())?])),
        Value::String(string) => Ok(Cow::Owned(Value::from(string.as_bytes()[place("index", key, string.len())?]))),
        Value::Object(object) => {
            let key = argument("index", "a string as the key of a map", key)?;
            Ok(object.get(key).map_or_else(|| Cow::Owned(absent(object.values())), Cow::Borrowed))
        }
        Value::Null if key.is_string() => Ok(Cow::Owned(Value::from(""))),
        other => Err(unfit("index", "a list, map or string first", other)),
    }
}

fn place(function: &'static str, key: &Value, length: usize) -> Result<usize, Failure> {
    let last = length.checked_sub(1).ok_or(Failure::NoElement { function })?;
    number(function, key, last)
}

/// What a map has where it has no entry: Go's maps of strings (labels, options) have the empty string.
fn absent<'v>(mut values: impl Iterator<Item = &'v Value>) -> Value {
    if values.all(Value::is_string) { Value::from("") } else { Value::Null }
}

/// A part of a string, by bytes, or of a list.
pub(super) fn slice<'a>(values: &[Data<'a>]) -> Outcome<'a> {
    let length = match values[0].as_ref() {
        Value::String(string) => string.len(),
        Value::Array(list) => list.len(),
        other => return Err(unfit("slice", "a string or list first", other)),
    };
    let end = values.get(2).map_or(Ok(length), |end| number("slice", end, length))?;
    let start = values.get(1).map_or(Ok(0), |start| number("slice", start, end))?;
    match values[0].as_ref() {
        Value::String(string) => match string.get(start..end) {
            Some(part) => super::string(part.to_owned()),
            None => Err(Failure::InsideCharacter { start, end }),
        },
        Value::Array(list) => Ok(Cow::Owned(Value::from(&list[start..end]))),
        _ => Ok(values[0].clone()),
    }
}

/// The parts between the separators; without a separator, the characters.
pub(super) fn split<'a>(values: &[Data<'a>]) -> Outcome<'a> {
    let text = argument("split", "two strings", &values[0])?;
    let parts: Vec<String> = match argument("split", "two strings", &values[1])? {
        "" => text.chars().map(String::from).collect(),
        separator => text.split(separator).map(str::to_owned).collect(),
    };
    Ok(Cow::Owned(Value::from(parts)))
}

/// One string of a list of strings.
pub(super) fn join<'a>(values: &[Data<'a>]) -> Outcome<'a> {
    const EXPECTED: &str = "a list of strings and a separator";
    let separator = argument("join", EXPECTED, &values[1])?;
    let list = match values[0].as_ref() {
        Value::Array(list) => list.as_slice(),
        Value::Null => &[],
        other => return Err(unfit("join", EXPECTED, other)),
    };
    let parts: Vec<&str> = list.iter().map(|part| argument("join", EXPECTED, part)).collect::<Result<_, _>>()?;
    super::string(parts.join(separator))
}

fn unfit(function: &'static str, expected: &'static str, value: &Value) -> Failure {
    Failure::ArgumentKind { function, expected, given: kind(value) }
}
