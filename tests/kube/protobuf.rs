//! The little of Kubernetes' protobuf that kubectl and Helm 4 send: the envelope, and Secrets, ConfigMaps, Namespaces and reviews of access in
//! it. It is read into the JSON of the same object; nothing is written in protobuf.

use base64::Engine;
use serde_json::{Map, Value, json};

use super::json::set;

/// What says that a body is protobuf.
pub(crate) const MEDIA: &str = "application/vnd.kubernetes.protobuf";

/// One field of a message: its number, and what it holds.
enum Held<'b> {
    Number(u64),
    Bytes(&'b [u8]),
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn fields(mut bytes: &[u8]) -> Option<Vec<(u64, Held<'_>)>> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes)?;
        let held = match tag & 7 {
            0 => Held::Number(varint(&mut bytes)?),
            2 => {
                let length = usize::try_from(varint(&mut bytes)?).ok()?;
                let (held, rest) = bytes.split_at_checked(length)?;
                bytes = rest;
                Held::Bytes(held)
            }
            _ => return None,
        };
        fields.push((tag >> 3, held));
    }
    Some(fields)
}

/// Reads an object; `None`: it is no protobuf, or of another kind.
pub(crate) fn read(body: &[u8]) -> Option<Value> {
    let envelope = body.strip_prefix(b"k8s\0")?;
    let (mut object, mut raw) = (json!({}), &[][..]);
    for (number, held) in fields(envelope)? {
        match (number, held) {
            (1, Held::Bytes(meta)) => {
                for (number, held) in fields(meta)? {
                    let name = if number == 1 { "apiVersion" } else { "kind" };
                    object[name] = words(&held)?;
                }
            }
            (2, Held::Bytes(bytes)) => raw = bytes,
            _ => {}
        }
    }
    match object["kind"].as_str()? {
        "Secret" => secret(raw, &mut object)?,
        "ConfigMap" => config_map(raw, &mut object)?,
        "SelfSubjectAccessReview" => review(raw, &mut object)?,
        "SelfSubjectRulesReview" => {
            for (number, spec) in fields(raw)? {
                let (2, Held::Bytes(spec)) = (number, spec) else { continue };
                for (_, held) in fields(spec)? {
                    set(&mut object, "/spec/namespace", words(&held)?);
                }
            }
        }
        "Namespace" | "ServiceAccount" => {
            for (number, held) in fields(raw)? {
                let (1, Held::Bytes(bytes)) = (number, held) else { continue };
                object["metadata"] = metadata(bytes)?;
            }
        }
        "DeleteOptions" => {}
        _ => return None,
    }
    Some(object)
}

fn words(held: &Held<'_>) -> Option<Value> {
    match held {
        Held::Bytes(bytes) => Some(json!(std::str::from_utf8(bytes).ok()?)),
        Held::Number(number) => Some(json!(number)),
    }
}

/// An entry of a map, which is a message of a key and a value.
fn entry(bytes: &[u8]) -> Option<(String, &[u8])> {
    let (mut key, mut value) = (String::new(), &[][..]);
    for (number, held) in fields(bytes)? {
        match (number, held) {
            (1, Held::Bytes(bytes)) => key = std::str::from_utf8(bytes).ok()?.to_owned(),
            (2, Held::Bytes(bytes)) => value = bytes,
            _ => {}
        }
    }
    Some((key, value))
}

fn secret(raw: &[u8], object: &mut Value) -> Option<()> {
    let mut data = Map::new();
    for (number, held) in fields(raw)? {
        match (number, &held) {
            (1, Held::Bytes(bytes)) => object["metadata"] = metadata(bytes)?,
            (2, Held::Bytes(bytes)) => {
                let (key, value) = entry(bytes)?;
                data.insert(key, json!(base64::engine::general_purpose::STANDARD.encode(value)));
            }
            (3, Held::Bytes(bytes)) if !bytes.is_empty() => object["type"] = words(&held)?,
            (4, Held::Bytes(bytes)) => {
                let (key, value) = entry(bytes)?;
                set(
                    object,
                    &format!("/stringData/{}", key.replace('/', "~1")),
                    std::str::from_utf8(value).ok()?,
                );
            }
            (5, Held::Number(number)) => object["immutable"] = json!(*number != 0),
            _ => {}
        }
    }
    object["data"] = Value::Object(data);
    Some(())
}

fn config_map(raw: &[u8], object: &mut Value) -> Option<()> {
    let mut data = Map::new();
    for (number, held) in fields(raw)? {
        match (number, &held) {
            (1, Held::Bytes(bytes)) => object["metadata"] = metadata(bytes)?,
            (2, Held::Bytes(bytes)) => {
                let (key, value) = entry(bytes)?;
                data.insert(key, json!(std::str::from_utf8(value).ok()?));
            }
            (4, Held::Number(number)) => object["immutable"] = json!(*number != 0),
            _ => {}
        }
    }
    object["data"] = Value::Object(data);
    Some(())
}

fn review(raw: &[u8], object: &mut Value) -> Option<()> {
    for (number, spec) in fields(raw)? {
        let (2, Held::Bytes(spec)) = (number, spec) else { continue };
        for (number, attributes) in fields(spec)? {
            let (1, Held::Bytes(attributes)) = (number, attributes) else { continue };
            for (number, held) in fields(attributes)? {
                let names = ["namespace", "verb", "group", "version", "resource", "subresource", "name"];
                if let Some(name) =
                    usize::try_from(number).ok().and_then(|number| names.get(number.checked_sub(1)?))
                {
                    set(object, &format!("/spec/resourceAttributes/{name}"), words(&held)?);
                }
            }
        }
    }
    Some(())
}

fn metadata(raw: &[u8]) -> Option<Value> {
    let mut metadata = json!({});
    for (number, held) in fields(raw)? {
        let named = match number {
            1 => "name",
            2 => "generateName",
            3 => "namespace",
            5 => "uid",
            6 => "resourceVersion",
            11 | 12 => {
                let Held::Bytes(bytes) = held else { return None };
                let (key, value) = entry(bytes)?;
                let map = if number == 11 { "labels" } else { "annotations" };
                set(
                    &mut metadata,
                    &format!("/{map}/{}", key.replace('/', "~1")),
                    std::str::from_utf8(value).ok()?,
                );
                continue;
            }
            _ => continue,
        };
        let said = words(&held)?;
        if said != json!("") {
            metadata[named] = said;
        }
    }
    Some(metadata)
}
