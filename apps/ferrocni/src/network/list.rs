//! Changing a network's list for one container.

use serde_json::Value;

/// The plugins of a list.
pub(super) fn plugins_mut(list: &mut Value) -> impl Iterator<Item = &mut Value> {
    get_mut(list, "plugins").and_then(Value::as_array_mut).into_iter().flatten()
}

/// Keys are matched as Go does, which takes the last one.
pub(super) fn get_mut<'a>(object: &'a mut Value, key: &str) -> Option<&'a mut Value> {
    let keys = object.as_object_mut()?;
    keys.iter_mut().rfind(|(name, _)| name.eq_ignore_ascii_case(key)).map(|(_, value)| value)
}

pub(super) fn set(object: &mut Value, key: &str, value: Value) {
    if let Some(keys) = object.as_object_mut() {
        keys.retain(|name, _| !name.eq_ignore_ascii_case(key));
        keys.insert(key.to_owned(), value);
    }
}
