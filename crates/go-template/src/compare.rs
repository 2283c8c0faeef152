//! `eq`, `ne`, `lt`, `le`, `gt` and `ge`.

use std::cmp::Ordering;

use serde_json::{Number, Value};

use crate::data::kind;
use crate::error::Failure;

/// Whether two values are equal. Other than in Go an integer can equal a float: JSON does not tell them apart.
pub(crate) fn equal(left: &Value, right: &Value) -> Result<bool, Failure> {
    match (left, right) {
        (Value::Null, _) | (_, Value::Null) => Ok(left.is_null() && right.is_null()),
        (Value::Bool(left), Value::Bool(right)) => Ok(left == right),
        _ => order(left, right).map(Ordering::is_eq),
    }
}

/// The order of two numbers or two strings.
pub(crate) fn order(left: &Value, right: &Value) -> Result<Ordering, Failure> {
    let ordering = match (left, right) {
        (Value::String(left), Value::String(right)) => Some(left.cmp(right)),
        (Value::Number(left), Value::Number(right)) => numbers(left, right),
        _ => None,
    };
    ordering.ok_or(Failure::Incomparable { left: kind(left), right: kind(right) })
}

fn numbers(left: &Number, right: &Number) -> Option<Ordering> {
    match (left.as_i128(), right.as_i128()) {
        (Some(left), Some(right)) => Some(left.cmp(&right)),
        _ => left.as_f64()?.partial_cmp(&right.as_f64()?),
    }
}
