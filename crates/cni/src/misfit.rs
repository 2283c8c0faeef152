//! A value that does not fit its type, in words of JSON: `ipam.ranges[0][1].gateway: expected a string, found an object`.

use std::fmt;

use serde::de::{self, Expected, Unexpected};
use serde_json::Value;

use crate::json::get_in_mut;

/// A value that does not fit its type, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// The keys and places that lead to it, the innermost first.
    segments: Vec<String>,
    message: String,
}

impl Misfit {
    pub(crate) fn below(mut self, segment: &str) -> Self {
        self.segments.push(segment.to_owned());
        self
    }

    /// Takes the key away that has the value, or the list of it; whether there is such a key.
    pub(crate) fn remove_from(&self, value: &mut Value) -> bool {
        let mut place = value;
        let mut keys = self.segments.iter().rev().peekable();
        while let (Some(key), Value::Object(object)) = (keys.next(), place) {
            let inner = get_in_mut(object, key).is_some_and(|inner| inner.is_object());
            if !inner || keys.peek().is_none() {
                object.retain(|name, _| !name.eq_ignore_ascii_case(key));
                return true;
            }
            let Some(inner) = get_in_mut(object, key) else { return false };
            place = inner;
        }
        false
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, segment) in self.segments.iter().rev().enumerate() {
            let separator = if i == 0 || segment.starts_with('[') { "" } else { "." };
            write!(f, "{separator}{segment}")?;
        }
        let separator = if self.segments.is_empty() { "" } else { ": " };
        write!(f, "{separator}{}", self.message)
    }
}

impl std::error::Error for Misfit {}

impl de::Error for Misfit {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { segments: Vec::new(), message: message.to_string() }
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let kind = Kind::of(expected);
        Self::custom(format_args!("expected {kind}{}, found {}", kind.hint(found), describe(found)))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::custom(format_args!("expected {:#}, found {}", Kind::of(expected), describe(found)))
    }
}

/// What belongs there. Who writes a configuration need not know what Rust calls it.
enum Kind {
    Boolean,
    /// With the least and the greatest.
    WholeNumber(i64, u64),
    String,
    Array,
    Object,
    Other(String),
}

impl Kind {
    fn of(expected: &dyn Expected) -> Self {
        let name = expected.to_string();
        match name.as_str() {
            "a boolean" => Self::Boolean,
            "i64" => Self::WholeNumber(i64::MIN, i64::MAX.unsigned_abs()),
            "i32" => Self::WholeNumber(i32::MIN.into(), i32::MAX.unsigned_abs().into()),
            "u8" => Self::WholeNumber(0, u8::MAX.into()),
            "u16" => Self::WholeNumber(0, u16::MAX.into()),
            "u32" => Self::WholeNumber(0, u32::MAX.into()),
            "u64" | "usize" => Self::WholeNumber(0, u64::MAX),
            "a string" => Self::String,
            "a sequence" => Self::Array,
            "a map" => Self::Object,
            _ => Self::Other(name),
        }
    }

    /// The commonest mistake there is.
    fn hint(&self, found: Unexpected<'_>) -> &'static str {
        match (self, found) {
            (Self::Boolean | Self::WholeNumber(..), Unexpected::Str(_)) => ", without quotation marks",
            (
                Self::String,
                Unexpected::Bool(_) | Unexpected::Unsigned(_) | Unexpected::Signed(_) | Unexpected::Float(_),
            ) => ", in quotation marks",
            _ => "",
        }
    }
}

/// With `#` also how great.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean => f.write_str("true or false"),
            Self::WholeNumber(least, greatest) if f.alternate() => {
                write!(f, "a whole number from {least} to {greatest}")
            }
            Self::WholeNumber(..) => f.write_str("a whole number"),
            Self::String => f.write_str("a string"),
            Self::Array => f.write_str("an array"),
            Self::Object => f.write_str("an object"),
            Self::Other(name) => f.write_str(name),
        }
    }
}

fn describe(found: Unexpected<'_>) -> String {
    match found {
        Unexpected::Bool(value) => value.to_string(),
        Unexpected::Unsigned(number) => number.to_string(),
        Unexpected::Signed(number) => number.to_string(),
        Unexpected::Float(number) => format!("{number:?}"),
        Unexpected::Str(text) => format!("{text:?}"),
        Unexpected::Unit => "null".to_owned(),
        Unexpected::Seq => "an array".to_owned(),
        Unexpected::Map => "an object".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;
    use serde_json::{Value, json};

    use crate::json;

    #[derive(Debug, Default, Deserialize)]
    #[serde(default)]
    struct Keys {
        flag: bool,
        port: u16,
        mtu: Option<u32>,
        name: String,
        list: Vec<String>,
        labels: BTreeMap<String, String>,
        keys: Option<Box<Keys>>,
    }

    fn misfit(keys: &Value) -> String {
        json::from_value::<Keys>(keys).unwrap_err().to_string()
    }

    #[test]
    fn a_misfit_speaks_of_json() {
        for (keys, message) in [
            (json!({"mtu": "9001"}), "mtu: expected a whole number, without quotation marks, found \"9001\""),
            (json!({"mtu": -1}), "mtu: expected a whole number from 0 to 4294967295, found -1"),
            (json!({"mtu": 1500.0}), "mtu: expected a whole number, found 1500.0"),
            (json!({"mtu": 1e300}), "mtu: expected a whole number, found 1e300"),
            (json!({"mtu": [1]}), "mtu: expected a whole number, found an array"),
            (json!({"port": 70000}), "port: expected a whole number from 0 to 65535, found 70000"),
            (json!({"flag": "true"}), "flag: expected true or false, without quotation marks, found \"true\""),
            (json!({"flag": 1}), "flag: expected true or false, found 1"),
            (json!({"name": 7}), "name: expected a string, in quotation marks, found 7"),
            (json!({"name": {}}), "name: expected a string, found an object"),
            (json!({"list": "a"}), "list: expected an array, found \"a\""),
            (json!({"list": ["a", null]}), "list[1]: expected a string, found null"),
            (json!({"labels": []}), "labels: expected an object, found an array"),
            (json!({"labels": {"a": true}}), "labels.a: expected a string, in quotation marks, found true"),
            (json!({"keys": {"keys": {"keys": 5}}}), "keys.keys.keys: expected an object, found a number"),
        ] {
            assert_eq!(misfit(&keys), message);
        }
    }
}
