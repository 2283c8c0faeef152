//! Deserializing as Go does, because that is what every existing configuration was tested with: keys match without regard
//! to case, unless one is exactly another field's name, `null` is the same as leaving the key out, the last of several wins,
//! and unknown keys are ignored.

use std::fmt;
use std::str::FromStr;

use serde::de::{
    self, Deserialize as _, DeserializeOwned, DeserializeSeed, Deserializer, Error as _, IntoDeserializer, MapAccess,
    SeqAccess, Unexpected, Visitor,
};
use serde_json::{Map, Value};

pub use crate::misfit::Misfit;

/// Reads `T` out of a JSON value as Go would.
///
/// # Errors
/// [`Misfit`] names the place and what was expected there.
pub fn from_value<T: DeserializeOwned>(value: &Value) -> Result<T, Misfit> {
    T::deserialize(Folding(value))
}

/// The same for what must not fail over a key that it may not even need: one with a value that does not fit is left out, and
/// the others count.
///
/// # Errors
/// What does not fit is not one key's value, or there is no end of it.
pub fn fitting_from_value<T: DeserializeOwned>(value: &Value) -> Result<T, Misfit> {
    /// More than a person spoils by mistake.
    const MOST: usize = 64;
    // Nearly always all of it fits, and need not be copied.
    if let Ok(whole) = from_value(value) {
        return Ok(whole);
    }
    let mut fitting = value.clone();
    for _ in 0..MOST {
        match from_value(&fitting) {
            Err(misfit) if misfit.remove_from(&mut fitting) => {}
            outcome => return outcome,
        }
    }
    from_value(&fitting)
}

/// For a key whose empty text means that nothing is asked for: Go's types write what is absent so in places.
///
/// # Errors
/// Whatever cannot be parsed.
pub fn unless_empty<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
where
    T: FromStr<Err: fmt::Display>,
    D: Deserializer<'de>,
{
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(de::Error::custom)
}

/// For a key whose value is one of these words, each with what it means; empty text means the default.
///
/// # Errors
/// Any other text.
pub fn one_of<'de, D: Deserializer<'de>, T: Copy + Default>(
    deserializer: D,
    words: &[(&str, T)],
) -> Result<T, D::Error> {
    let text = String::deserialize(deserializer)?;
    let meaning = words.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning);
    meaning.or_else(|| text.is_empty().then(T::default)).ok_or_else(|| {
        let words: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        de::Error::custom(format_args!("{text:?} is none of {}", words.join(", ")))
    })
}

/// The value of an object's key, matched as Go does; `null` is absent.
#[must_use]
pub fn get<'a>(object: &'a Value, key: &str) -> Option<&'a Value> {
    get_in(object.as_object()?, key)
}

/// Whether an object has a key, matched as Go does, even with the value `null`.
pub fn has_key(object: &Value, key: &str) -> bool {
    object.as_object().is_some_and(|object| object.keys().any(|name| name.eq_ignore_ascii_case(key)))
}

fn get_in<'a>(object: &'a Map<String, Value>, key: &str) -> Option<&'a Value> {
    object.iter().rfind(|(name, value)| name.eq_ignore_ascii_case(key) && !value.is_null()).map(|(_, value)| value)
}

pub(crate) fn get_in_mut<'a>(object: &'a mut Map<String, Value>, key: &str) -> Option<&'a mut Value> {
    object.iter_mut().rfind(|(name, value)| name.eq_ignore_ascii_case(key) && !value.is_null()).map(|(_, value)| value)
}

struct Folding<'de>(&'de Value);

impl<'de> Deserializer<'de> for Folding<'de> {
    type Error = Misfit;

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct identifier map
        tuple tuple_struct
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Number(number) => match (number.as_u64(), number.as_i64()) {
                (Some(number), _) => visitor.visit_u64(number),
                (None, Some(number)) => visitor.visit_i64(number),
                (None, None) => visitor.visit_f64(number.as_f64().unwrap_or(f64::NAN)),
            },
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::Array(array) => visitor.visit_seq(Elements { rest: array.iter(), index: 0 }),
            Value::Object(object) => visitor.visit_map(Entries::all(object)),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        match self.0 {
            Value::Object(object) => visitor.visit_map(Entries::of_fields(object, fields)),
            Value::Null => visitor.visit_map(Entries::of(Vec::new())),
            // Not to the visitor as it is: a derived one would take an array's elements for its fields.
            other => Err(Misfit::invalid_type(unexpected(other), &"a map")),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        if self.0.is_null() {
            return visitor.visit_seq(Elements { rest: [].iter(), index: 0 });
        }
        self.deserialize_any(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _name: &'static str, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_newtype_struct(self)
    }

    /// One of several words.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        match self.0 {
            Value::String(word) => visitor.visit_enum(word.as_str().into_deserializer()),
            other => Err(Misfit::invalid_type(unexpected(other), &"a string")),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_unit()
    }
}

fn unexpected(value: &Value) -> Unexpected<'_> {
    match value {
        Value::Null => Unexpected::Unit,
        Value::Bool(value) => Unexpected::Bool(*value),
        Value::Number(_) => Unexpected::Other("a number"),
        Value::String(text) => Unexpected::Str(text),
        Value::Array(_) => Unexpected::Seq,
        Value::Object(_) => Unexpected::Map,
    }
}

struct Entries<'de> {
    rest: std::iter::Flatten<std::vec::IntoIter<Option<(&'de str, &'de Value)>>>,
    value: Option<(&'de str, &'de Value)>,
}

impl<'de> Entries<'de> {
    fn all(object: &'de Map<String, Value>) -> Self {
        Self::of(object.iter().map(|(key, value)| Some((key.as_str(), value))).collect())
    }

    fn of(entries: Vec<Option<(&'de str, &'de Value)>>) -> Self {
        Self { rest: entries.into_iter().flatten(), value: None }
    }

    /// One entry for each field that is there, under the field's own spelling.
    fn of_fields(object: &'de Map<String, Value>, fields: &'static [&'static str]) -> Self {
        let field_of = |key: &str| {
            let exact = fields.iter().position(|field| *field == key);
            exact.or_else(|| fields.iter().position(|field| field.eq_ignore_ascii_case(key)))
        };
        let mut last = vec![None; fields.len()];
        for (key, value) in object.iter().filter(|(_, value)| !value.is_null()) {
            if let Some(field) = field_of(key) {
                last[field] = Some((fields[field], value));
            }
        }
        Self::of(last)
    }
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = Misfit;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Misfit> {
        self.value = self.rest.next();
        self.value.map(|(key, _)| seed.deserialize(key.into_deserializer())).transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Misfit> {
        let (key, value) =
            self.value.take().ok_or_else(|| <Misfit as de::Error>::custom("value asked for before its key"))?;
        seed.deserialize(Folding(value)).map_err(|misfit: Misfit| misfit.below(key))
    }
}

struct Elements<'de> {
    rest: std::slice::Iter<'de, Value>,
    index: usize,
}

impl<'de> SeqAccess<'de> for Elements<'de> {
    type Error = Misfit;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Misfit> {
        let Some(value) = self.rest.next() else { return Ok(None) };
        let index = self.index;
        self.index += 1;
        seed.deserialize(Folding(value)).map(Some).map_err(|misfit: Misfit| misfit.below(&format!("[{index}]")))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use serde_json::json;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default, rename_all = "camelCase")]
    struct Inner {
        host_port: u16,
        tags: std::collections::BTreeMap<String, String>,
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default, rename_all = "camelCase")]
    struct Outer {
        is_gateway: bool,
        name: String,
        list: Vec<Inner>,
        maybe: Option<Inner>,
    }

    #[test]
    fn keys_match_without_regard_to_case() {
        let outer: Outer =
            from_value(&json!({"ISGATEWAY": true, "LIST": [{"hostport": 3}], "Maybe": {"HostPort": 4}})).unwrap();
        assert!(outer.is_gateway);
        assert_eq!(outer.list[0].host_port, 3);
        assert_eq!(outer.maybe.unwrap().host_port, 4);
    }

    #[test]
    fn keys_of_maps_keep_their_case() {
        let inner: Inner = from_value(&json!({"tags": {"Aa": "1", "aa": "2"}})).unwrap();
        assert_eq!(inner.tags.len(), 2);
    }

    #[test]
    fn null_is_absent_and_the_last_spelling_wins() {
        let value: Value =
            serde_json::from_str(r#"{"name": null, "list": null, "isgateway": true, "isGateway": false}"#).unwrap();
        assert_eq!(from_value::<Outer>(&value).unwrap(), Outer::default());
        let value = serde_json::from_str(r#"{"isGateway": false, "isgateway": true}"#).unwrap();
        assert!(from_value::<Outer>(&value).unwrap().is_gateway);
    }

    #[test]
    fn a_key_that_is_exactly_another_fields_is_not_this_one() {
        #[derive(Debug, Default, PartialEq, Deserialize)]
        #[serde(default)]
        struct Pair {
            address: String,
            #[serde(rename = "Address")]
            other: u8,
        }
        for text in [r#"{"address": "a", "Address": 1}"#, r#"{"Address": 1, "address": "a"}"#] {
            let pair: Pair = from_value(&serde_json::from_str(text).unwrap()).unwrap();
            assert_eq!((pair.address.as_str(), pair.other), ("a", 1), "{text}");
        }
        assert_eq!(from_value::<Pair>(&json!({"ADDRESS": "a"})).unwrap().address, "a");
    }

    #[test]
    fn unknown_keys_are_ignored() {
        assert_eq!(from_value::<Outer>(&json!({"what": {"ever": []}})).unwrap(), Outer::default());
    }

    #[test]
    fn a_word_means_something_and_none_the_default() {
        #[derive(Debug, Default, PartialEq, Deserialize)]
        #[serde(default)]
        struct Key {
            #[serde(deserialize_with = "number")]
            key: u8,
        }
        fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u8, D::Error> {
            one_of(deserializer, &[("one", 1), ("two", 2)])
        }
        for (keys, number) in [(json!({"key": "two"}), 2), (json!({"key": ""}), 0), (json!({}), 0)] {
            assert_eq!(from_value::<Key>(&keys).unwrap().key, number);
        }
        for wrong in [json!("Two"), json!("three"), json!(2)] {
            assert!(from_value::<Key>(&json!({"key": wrong})).is_err(), "{wrong}");
        }
        let error = from_value::<Key>(&json!({"key": "three"})).unwrap_err().to_string();
        assert_eq!(error, "key: \"three\" is none of one, two");
    }

    #[test]
    fn what_does_not_fit_can_be_left_out() {
        let value = json!({
            "NAME": 5, "isGateway": true, "list": [{}, {"hostPort": "x"}],
            "maybe": {"hostPort": 7, "tags": {"a.b": 1, "c": "2"}}
        });
        let outer: Outer = fitting_from_value(&value).unwrap();
        assert!(outer.is_gateway);
        assert_eq!((outer.name.as_str(), outer.list.len()), ("", 0));
        let inner = outer.maybe.unwrap();
        assert_eq!((inner.host_port, inner.tags.len()), (7, 1));
        assert!(fitting_from_value::<Outer>(&json!([])).is_err());
        let endless: Map<_, _> = (0..1000).map(|i| (i.to_string(), json!(i))).collect();
        assert!(fitting_from_value::<Inner>(&json!({"tags": endless})).is_err());
    }

    #[test]
    fn a_misfit_says_where() {
        let error = from_value::<Outer>(&json!({"list": [{}, {"hostPort": 70000}]})).unwrap_err().to_string();
        assert!(error.starts_with("list[1].hostPort: "), "{error}");
        let error = from_value::<Outer>(&json!({"maybe": [1]})).unwrap_err().to_string();
        assert_eq!(error, "maybe: expected an object, found an array");
    }
}
