//! Reading and changing JSON by pointer, for objects whose shape is known only from what was sent. It owns no state.

use serde_json::{Map, Value};

/// The text at a pointer; empty where there is none.
pub(crate) fn text<'v>(of: &'v Value, at: &str) -> &'v str {
    of.pointer(at).and_then(Value::as_str).unwrap_or_default()
}

/// The number at a pointer.
pub(crate) fn int(of: &Value, at: &str) -> Option<i64> {
    of.pointer(at).and_then(Value::as_i64)
}

/// The number at a pointer; nought where there is none.
pub(crate) fn count(of: &Value, at: &str) -> i64 {
    int(of, at).unwrap_or_default()
}

/// Whether a pointer says true.
pub(crate) fn truth(of: &Value, at: &str) -> bool {
    of.pointer(at) == Some(&Value::Bool(true))
}

/// The list at a pointer; empty where there is none.
pub(crate) fn list<'v>(of: &'v Value, at: &str) -> &'v [Value] {
    of.pointer(at).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// What is at a pointer, or null.
pub(crate) fn at(of: &Value, at: &str) -> Value {
    of.pointer(at).cloned().unwrap_or_default()
}

/// Puts a value where a pointer of field names leads, with the maps on the way to it.
pub(crate) fn set(of: &mut Value, at: &str, value: impl Into<Value>) {
    let mut inside = of;
    for name in at.split('/').skip(1) {
        if !inside.is_object() {
            *inside = Value::Object(Map::new());
        }
        let name = name.replace("~1", "/").replace("~0", "~");
        inside = inside.as_object_mut().expect("a map").entry(name).or_insert(Value::Null);
    }
    *inside = value.into();
}

/// Takes away what a pointer of field names leads to.
pub(crate) fn take(of: &mut Value, at: &str) -> Option<Value> {
    let (parent, name) = at.rsplit_once('/')?;
    let name = name.replace("~1", "/").replace("~0", "~");
    of.pointer_mut(parent)?.as_object_mut()?.remove(&name)
}

/// Takes away every field that is null, as decoding into types does.
pub(crate) fn drop_nulls(of: &mut Value) {
    match of {
        Value::Object(map) => {
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(drop_nulls);
        }
        Value::Array(list) => list.iter_mut().for_each(drop_nulls),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// A short name for a value, in the letters that Kubernetes uses for its hashes.
pub(crate) fn hash(of: &str) -> String {
    const LETTERS: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in of.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    (0..10)
        .map(|nth| char::from(LETTERS[usize::try_from((hash >> (nth * 6)) % 27).expect("a letter")]))
        .collect()
}
