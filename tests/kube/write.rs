//! What a write makes of an object: creating, replacing and patching with the API server's rules for versions, generations,
//! `status`, `scale` and managed fields, and deleting with finalizers and orphans.

use serde_json::{Value, json};

use super::defaults;
use super::json::{at, int, list, set, take, text, truth};
use super::kinds::Kind;
use super::patch;
use super::status::Refusal;
use super::store::{Key, State};

/// Who writes, and how, for the managed fields.
#[derive(Clone, Debug)]
pub(crate) struct Writer {
    pub(crate) manager: String,
    pub(crate) operation: &'static str,
}

/// Adds an object that a client sent.
pub(crate) fn create(
    state: &mut State,
    kind: &Kind,
    namespace: &str,
    mut object: Value,
    by: &Writer,
) -> Result<Value, Refusal> {
    if !object.is_object() {
        return Err(Refusal::bad("the object provided is unrecognized (must be of type Object)"));
    }
    let said = text(&object, "/kind");
    if !said.is_empty() && said != kind.kind {
        let message = format!("{said} in version \"{}\" cannot be handled as a {}", kind.version, kind.kind);
        return Err(Refusal::bad(message));
    }
    object["apiVersion"] = json!(kind.api_version());
    object["kind"] = json!(kind.kind);
    if text(&object, "/metadata/name").is_empty() && !text(&object, "/metadata/generateName").is_empty() {
        let name = format!("{}{}", text(&object, "/metadata/generateName"), state.suffix());
        set(&mut object, "/metadata/name", name);
    }
    let name = text(&object, "/metadata/name").to_owned();
    let said = text(&object, "/metadata/namespace");
    if kind.namespaced && !said.is_empty() && said != namespace {
        let message = "the namespace of the provided object does not match the namespace sent on the request";
        return Err(Refusal::bad(message));
    }
    if kind.namespaced {
        let home = super::kinds::named("namespaces");
        if state.get(&Key::of(home, "", namespace)).is_none() {
            return Err(Refusal::not_found(home, namespace));
        }
    }
    if !text(&object, "/metadata/resourceVersion").is_empty() {
        return Err(Refusal::bad("resourceVersion should not be set on objects to be created"));
    }
    if kind.status && kind.plural != "pods" {
        take(&mut object, "/status");
    }
    defaults::fill(kind, &mut object);
    defaults::check(kind, &object, None)?;
    let key = Key::of(kind, namespace, &name);
    if state.get(&key).is_some() {
        return Err(Refusal::exists(kind, &name));
    }
    let uid = state.uid();
    state.stamp(kind, namespace, uid, &mut object);
    take(&mut object, "/metadata/managedFields");
    manage(state, &mut object, by, "", None);
    Ok((*state.put(&key, object)).clone())
}

/// Puts a changed object where one is: all of it, or its `status`, or the number in its `scale`.
pub(crate) fn update(
    state: &mut State,
    kind: &Kind,
    key: &Key,
    part: &str,
    mut object: Value,
    by: &Writer,
) -> Result<Value, Refusal> {
    let before = state.get(key).cloned().ok_or_else(|| Refusal::not_found(kind, &key.name))?;
    let expected = text(&object, "/metadata/resourceVersion");
    if !expected.is_empty() && expected != text(&before, "/metadata/resourceVersion") {
        return Err(Refusal::conflict(kind, &key.name));
    }
    let (said, uid) = (text(&object, "/metadata/uid"), text(&before, "/metadata/uid"));
    if !said.is_empty() && said != uid {
        let why = format!("Precondition failed: UID in precondition: {said}, UID in object meta: {uid}");
        return Err(Refusal::conflicts(kind, &key.name, &why));
    }
    if !text(&object, "/metadata/name").is_empty() && text(&object, "/metadata/name") != key.name {
        return Err(Refusal::bad("the name of the object does not match the name on the URL"));
    }
    match part {
        "status" => {
            let status = at(&object, "/status");
            object = (*before).clone();
            object["status"] = status;
        }
        "scale" => {
            // Nought is left out by clients.
            let replicas = int(&object, "/spec/replicas").unwrap_or(0);
            object = (*before).clone();
            set(&mut object, "/spec/replicas", replicas);
        }
        _ => {
            if kind.status {
                take(&mut object, "/status");
                if let Some(status) = before.get("status") {
                    object["status"] = status.clone();
                }
            }
        }
    }
    for field in
        ["uid", "creationTimestamp", "generation", "name", "namespace", "managedFields", "deletionTimestamp"]
    {
        let field = format!("/metadata/{field}");
        match before.pointer(&field) {
            Some(kept) => set(&mut object, &field, kept.clone()),
            None => {
                take(&mut object, &field);
            }
        }
    }
    object["apiVersion"] = json!(kind.api_version());
    object["kind"] = json!(kind.kind);
    defaults::fill(kind, &mut object);
    defaults::check(kind, &object, Some(&before))?;
    if kind.generations() && wanted(&object) != wanted(&before) {
        set(&mut object, "/metadata/generation", int(&before, "/metadata/generation").unwrap_or(0) + 1);
    }
    set(&mut object, "/metadata/resourceVersion", text(&before, "/metadata/resourceVersion"));
    if object == *before {
        return Ok(object);
    }
    if by.manager == "snapback" && at(&object, "/spec/template") != at(&before, "/spec/template") {
        let image = text(&object, "/spec/template/spec/containers/0/image");
        state.effects.push(format!("write {image}"));
    }
    if by.manager == "snapback" && truth(&object, "/status/abort") && !truth(&before, "/status/abort") {
        state.effects.push("abort".to_owned());
    }
    manage(state, &mut object, by, part, Some(&before));
    let kept = state.put(key, object);
    if truly_gone(&kept) {
        state.remove(key);
    }
    Ok((*kept).clone())
}

/// The whole object without what is said of it.
fn wanted(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(fields) = object.as_object_mut() {
        fields.remove("metadata");
        fields.remove("status");
    }
    object
}

/// A patch as it came.
pub(crate) struct Patch<'p> {
    pub(crate) media: &'p str,
    pub(crate) body: &'p Value,
}

/// Patches an object, or a part of it. Says whether an apply made it.
pub(crate) fn patch(
    state: &mut State,
    kind: &Kind,
    key: &Key,
    part: &str,
    how: &Patch<'_>,
    by: &Writer,
) -> Result<(Value, bool), Refusal> {
    let Some(before) = state.get(key).cloned() else {
        if how.media == "application/apply-patch+yaml" && part.is_empty() {
            let mut object = how.body.clone();
            set(&mut object, "/metadata/name", key.name.clone());
            let made = create(state, kind, &key.namespace, object, by)?;
            state.applied.insert((key.clone(), by.manager.clone()), how.body.clone());
            return Ok((made, true));
        }
        return Err(Refusal::not_found(kind, &key.name));
    };
    let shown = if part == "scale" { scale(&before) } else { (*before).clone() };
    let patched = match how.media {
        "application/json-patch+json" => patch::json_patch(&shown, how.body)?,
        "application/merge-patch+json" => patch::merge(&shown, how.body),
        "application/strategic-merge-patch+json" if !kind.custom => patch::strategic(&shown, how.body),
        "application/apply-patch+yaml" => {
            let last = state.applied.get(&(key.clone(), by.manager.clone())).cloned().unwrap_or_default();
            patch::apply(&shown, &last, how.body)
        }
        _ => {
            let kinds =
                "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml";
            return Err(Refusal::media(format!(
                "the body of the request was in an unknown format - accepted media types include: {kinds}"
            )));
        }
    };
    let made = update(state, kind, key, part, patched, by)?;
    if how.media == "application/apply-patch+yaml" {
        state.applied.insert((key.clone(), by.manager.clone()), how.body.clone());
    }
    Ok((made, false))
}

/// Takes an object away, or marks it where finalizers hold it.
pub(crate) fn delete(state: &mut State, kind: &Kind, key: &Key, options: &Value) -> Result<Value, Refusal> {
    let before = state.get(key).cloned().ok_or_else(|| Refusal::not_found(kind, &key.name))?;
    for (field, what) in [("uid", "UID"), ("resourceVersion", "ResourceVersion")] {
        let said = text(options, &format!("/preconditions/{field}"));
        let there = text(&before, &format!("/metadata/{field}"));
        if !said.is_empty() && said != there {
            let why = format!(
                "Precondition failed: {what} in precondition: {said}, {what} in object meta: {there}"
            );
            return Err(Refusal::conflicts(kind, &key.name, &why));
        }
    }
    if text(options, "/propagationPolicy") == "Orphan" {
        let uid = text(&before, "/metadata/uid");
        let orphans: Vec<Key> =
            state.objects.iter().filter(|(_, one)| owned_by(one, uid)).map(|(key, _)| key.clone()).collect();
        for orphan in orphans {
            state.edit(&orphan, |object| {
                if let Some(owners) =
                    object.pointer_mut("/metadata/ownerReferences").and_then(Value::as_array_mut)
                {
                    owners.retain(|owner| owner["uid"] != uid);
                }
            });
        }
    }
    if !list(&before, "/metadata/finalizers").is_empty() {
        let time = state.time();
        state.edit(key, |object| {
            if object.pointer("/metadata/deletionTimestamp").is_none() {
                set(object, "/metadata/deletionTimestamp", time);
                set(object, "/metadata/deletionGracePeriodSeconds", 0);
            }
        });
        return Ok(state.get(key).map(|object| (**object).clone()).unwrap_or_default());
    }
    if kind.plural == "namespaces" {
        let inside: Vec<Key> =
            state.objects.keys().filter(|one| one.namespace == key.name).cloned().collect();
        for one in inside {
            state.remove(&one);
        }
    }
    state.remove(key);
    let mut details = json!({ "name": key.name, "kind": kind.plural, "uid": before["metadata"]["uid"] });
    if !kind.group.is_empty() {
        details["group"] = json!(kind.group);
    }
    Ok(
        json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details }),
    )
}

fn owned_by(object: &Value, uid: &str) -> bool {
    list(object, "/metadata/ownerReferences").iter().any(|owner| owner["uid"] == uid)
}

fn truly_gone(object: &Value) -> bool {
    object.pointer("/metadata/deletionTimestamp").is_some() && list(object, "/metadata/finalizers").is_empty()
}

/// Takes away whatever belongs to an owner that is gone.
pub(crate) fn collect_garbage(state: &mut State) {
    let there: std::collections::BTreeSet<String> =
        state.objects.values().map(|object| text(object, "/metadata/uid").to_owned()).collect();
    let orphan = |object: &Value| {
        let owners = list(object, "/metadata/ownerReferences");
        !owners.is_empty() && owners.iter().all(|owner| !there.contains(text(owner, "/uid")))
    };
    let gone: Vec<Key> =
        state.objects.iter().filter(|(_, object)| orphan(object)).map(|(key, _)| key.clone()).collect();
    for key in gone {
        state.remove(&key);
    }
}

/// The `Scale` of an object.
pub(crate) fn scale(object: &Value) -> Value {
    let labels = object["spec"]["selector"]["matchLabels"].as_object().into_iter().flatten();
    let selector: Vec<_> =
        labels.map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or_default())).collect();
    let mut metadata = json!({});
    for field in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        metadata[field] = object["metadata"][field].clone();
    }
    json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata,
        "spec": { "replicas": int(object, "/spec/replicas").unwrap_or(0) },
        "status": {
            "replicas": int(object, "/status/replicas").unwrap_or(0), "selector": selector.join(","),
        },
    })
}

/// Notes who wrote last, and how.
fn manage(state: &State, object: &mut Value, by: &Writer, part: &str, before: Option<&Value>) {
    let mut entry = json!({
        "manager": by.manager, "operation": by.operation, "apiVersion": object["apiVersion"], "time": state.time(),
        "fieldsType": "FieldsV1", "fieldsV1": {},
    });
    if !part.is_empty() {
        entry["subresource"] = json!(part);
    }
    let mut entries = list(object, "/metadata/managedFields").to_vec();
    entries.retain(|one| {
        one["manager"] != entry["manager"]
            || one["operation"] != entry["operation"]
            || one["subresource"] != entry["subresource"]
    });
    // Of whatever else a writer owns nothing is asked.
    let template = at(object, "/spec/template");
    let wrote = !template.is_null() && before.is_none_or(|before| at(before, "/spec/template") != template);
    if wrote {
        entry["fieldsV1"] = json!({ "f:spec": { "f:template": {} } });
    }
    entries.push(entry);
    set(object, "/metadata/managedFields", entries);
}
