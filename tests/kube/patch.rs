//! What patches make of an object: JSON Patch, merge patch, strategic merge with the keys of the built-in lists, and as much
//! of server-side apply as clients that never share a field need.

use serde_json::{Map, Value};

use super::status::Refusal;

/// Applies a JSON Patch; whatever is wrong with it, a failed `test` included, is the same refusal.
pub(crate) fn json_patch(of: &Value, patch: &Value) -> Result<Value, Refusal> {
    let operations = patch.as_array().ok_or_else(|| Refusal::bad("a JSON Patch is a list"))?;
    let mut made = of.clone();
    for operation in operations {
        step(&mut made, operation).ok_or_else(Refusal::unpatchable)?;
    }
    Ok(made)
}

fn step(made: &mut Value, operation: &Value) -> Option<()> {
    let path = operation["path"].as_str()?;
    let value = operation.get("value");
    match operation["op"].as_str()? {
        "test" => {
            let there = made.pointer(path).unwrap_or(&Value::Null);
            (there == value.unwrap_or(&Value::Null)).then_some(())
        }
        "add" => add(made, path, value?.clone()),
        "replace" => {
            *made.pointer_mut(path)? = value?.clone();
            Some(())
        }
        "remove" => remove(made, path).map(|_| ()),
        "move" => {
            let moved = remove(made, operation["from"].as_str()?)?;
            add(made, path, moved)
        }
        "copy" => {
            let copied = made.pointer(operation["from"].as_str()?)?.clone();
            add(made, path, copied)
        }
        _ => None,
    }
}

fn parent<'m>(made: &'m mut Value, path: &str) -> Option<(&'m mut Value, String)> {
    let (parent, name) = path.rsplit_once('/')?;
    Some((made.pointer_mut(parent)?, name.replace("~1", "/").replace("~0", "~")))
}

fn add(made: &mut Value, path: &str, value: Value) -> Option<()> {
    if path.is_empty() {
        *made = value;
        return Some(());
    }
    match parent(made, path)? {
        (Value::Object(map), name) => {
            map.insert(name, value);
        }
        (Value::Array(list), name) => {
            let nth = if name == "-" { list.len() } else { name.parse().ok()? };
            if nth > list.len() {
                return None;
            }
            list.insert(nth, value);
        }
        _ => return None,
    }
    Some(())
}

fn remove(made: &mut Value, path: &str) -> Option<Value> {
    match parent(made, path)? {
        (Value::Object(map), name) => map.remove(&name),
        (Value::Array(list), name) => {
            let nth: usize = name.parse().ok()?;
            (nth < list.len()).then(|| list.remove(nth))
        }
        _ => None,
    }
}

/// Applies a merge patch.
pub(crate) fn merge(of: &Value, patch: &Value) -> Value {
    let Some(patch) = patch.as_object() else { return patch.clone() };
    let mut made = of.as_object().cloned().unwrap_or_default();
    for (name, value) in patch {
        if value.is_null() {
            made.remove(name);
        } else {
            let there = made.get(name).unwrap_or(&Value::Null);
            let merged = merge(there, value);
            made.insert(name.clone(), merged);
        }
    }
    Value::Object(made)
}

/// The key by which the elements of a built-in list are told apart; `None`: the list is replaced.
fn merge_key(list: &str, sample: &Value) -> Option<&'static str> {
    match list {
        "containers"
        | "initContainers"
        | "ephemeralContainers"
        | "volumes"
        | "env"
        | "imagePullSecrets"
        | "secrets"
        | "resourceClaims" => Some("name"),
        "volumeMounts" => Some("mountPath"),
        "volumeDevices" => Some("devicePath"),
        "ports" if sample.get("containerPort").is_some() => Some("containerPort"),
        "ports" => Some("port"),
        "conditions" => Some("type"),
        "topologySpreadConstraints" => Some("topologyKey"),
        "hostAliases" => Some("ip"),
        "ownerReferences" => Some("uid"),
        _ => None,
    }
}

/// Applies a strategic merge patch.
pub(crate) fn strategic(of: &Value, patch: &Value) -> Value {
    let Some(patch) = patch.as_object() else { return patch.clone() };
    match patch.get("$patch").and_then(Value::as_str) {
        Some("replace") => return without_directives(patch),
        Some("delete") => return Value::Object(Map::new()),
        _ => {}
    }
    let mut made = of.as_object().cloned().unwrap_or_default();
    if let Some(kept) = patch.get("$retainKeys").and_then(Value::as_array) {
        made.retain(|name, _| kept.iter().any(|kept| kept == name));
    }
    for (name, value) in patch {
        if let Some(name) = name.strip_prefix("$deleteFromPrimitiveList/") {
            if let (Some(there), Some(gone)) =
                (made.get_mut(name).and_then(Value::as_array_mut), value.as_array())
            {
                there.retain(|one| !gone.contains(one));
            }
        } else if name.starts_with('$') {
            // How a list is ordered is said by clients that merge it; the order here is that of arrival.
        } else if value.is_null() {
            made.remove(name);
        } else if let Some(changes) = value.as_array() {
            let there = made.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
            let merged = merge_list(name, there, changes);
            made.insert(name.clone(), Value::Array(merged));
        } else {
            let there = made.get(name).unwrap_or(&Value::Null);
            let merged = strategic(there, value);
            made.insert(name.clone(), merged);
        }
    }
    Value::Object(made)
}

fn merge_list(name: &str, mut there: Vec<Value>, changes: &[Value]) -> Vec<Value> {
    if changes.iter().any(|one| one["$patch"] == "replace") {
        let kept = changes.iter().filter(|one| one["$patch"] != "replace");
        return kept.map(|one| one.as_object().map_or_else(|| one.clone(), without_directives)).collect();
    }
    if name == "finalizers" {
        for one in changes {
            if !there.contains(one) {
                there.push(one.clone());
            }
        }
        return there;
    }
    let sample = changes.first().or(there.first()).unwrap_or(&Value::Null);
    let Some(key) = merge_key(name, sample) else { return changes.to_vec() };
    let mut fresh = Vec::new();
    for change in changes {
        let nth = there.iter().position(|one| one.get(key) == change.get(key));
        match (change["$patch"].as_str(), nth) {
            (Some("delete"), Some(nth)) => {
                there.remove(nth);
            }
            (Some("delete"), None) => {}
            (_, Some(nth)) => there[nth] = strategic(&there[nth], change),
            (_, None) => fresh.push(strategic(&Value::Null, change)),
        }
    }
    there.extend(fresh);
    there
}

fn without_directives(patch: &Map<String, Value>) -> Value {
    let kept = patch.iter().filter(|(name, _)| !name.starts_with('$'));
    Value::Object(kept.map(|(name, value)| (name.clone(), value.clone())).collect())
}

/// What server-side apply makes of an object: what this manager applied last and leaves out now goes, the rest is merged.
pub(crate) fn apply(of: &Value, last: &Value, now: &Value) -> Value {
    strategic(&left_out(of, last, now, ""), now)
}

fn left_out(of: &Value, last: &Value, now: &Value, field: &str) -> Value {
    match (of, last, now) {
        (Value::Object(there), Value::Object(last), Value::Object(now)) => {
            let mut made = Map::new();
            for (name, value) in there {
                match (last.get(name), now.get(name)) {
                    (Some(_), None) if !identity(name) => {}
                    (Some(last), Some(now)) => {
                        made.insert(name.clone(), left_out(value, last, now, name));
                    }
                    _ => {
                        made.insert(name.clone(), value.clone());
                    }
                }
            }
            Value::Object(made)
        }
        (Value::Array(there), Value::Array(last), Value::Array(now)) => {
            let sample = there.first().unwrap_or(&Value::Null);
            let Some(key) = merge_key(field, sample) else { return of.clone() };
            let find = |list: &[Value], one: &Value| {
                list.iter().find(|other| other.get(key) == one.get(key)).cloned()
            };
            let kept = there.iter().filter_map(|one| match (find(last, one), find(now, one)) {
                (Some(_), None) => None,
                (Some(last), Some(now)) => Some(left_out(one, &last, &now, "")),
                _ => Some(one.clone()),
            });
            Value::Array(kept.collect())
        }
        _ => of.clone(),
    }
}

/// What names an object, which no manager takes away.
fn identity(name: &str) -> bool {
    matches!(name, "apiVersion" | "kind" | "metadata" | "name" | "namespace" | "uid" | "resourceVersion")
}
