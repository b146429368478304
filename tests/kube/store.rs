//! The objects of the pretend cluster and what the API does with them: versions, generations, patches, selectors, watches, rights.
//! Facts: the API conventions of Kubernetes, RFC 6902 and RFC 7396. Leaves to `workloads` what controllers make of them.

use std::collections::{BTreeMap, BTreeSet};

use hyper::StatusCode;
use serde_json::{Map, Value, json};
use snapback::case::id::Timestamp;

use super::{ADMIN, OURS};

/// One request, read.
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: BTreeMap<String, String>,
    pub(crate) kind: String,
    pub(crate) body: Value,
    pub(crate) token: String,
}

/// What the API does not do.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    reason: &'static str,
    message: String,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, reason: &'static str, message: impl Into<String>) -> Refusal {
        Refusal { status, reason, message: message.into() }
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": self.message,
            "reason": self.reason, "details": {}, "code": self.status.as_u16(),
        })
    }
}

/// Resources: path of the group, plural, kind.
pub(crate) const RESOURCES: [(&str, &str, &str); 11] = [
    ("api/v1", "pods", "Pod"),
    ("api/v1", "events", "Event"),
    ("api/v1", "secrets", "Secret"),
    ("api/v1", "configmaps", "ConfigMap"),
    ("apis/apps/v1", "deployments", "Deployment"),
    ("apis/apps/v1", "replicasets", "ReplicaSet"),
    ("apis/apps/v1", "statefulsets", "StatefulSet"),
    ("apis/apps/v1", "daemonsets", "DaemonSet"),
    ("apis/apps/v1", "controllerrevisions", "ControllerRevision"),
    ("apis/flagger.app/v1beta1", "canaries", "Canary"),
    ("apis/argoproj.io/v1alpha1", "rollouts", "Rollout"),
];

type Key = (String, String, String);

/// Everything that is stored.
#[derive(Default)]
pub(crate) struct Store {
    objects: BTreeMap<Key, Value>,
    version: u64,
    serial: u64,
    /// What happened, for watches: version, kind of event, resource, object.
    history: Vec<(u64, &'static str, String, Value)>,
    /// Older versions than this are gone.
    compacted: u64,
    /// What Snapback may not do: `verb resource`.
    pub(crate) denied: BTreeSet<String>,
    /// Images whose pods never become ready: how they fail.
    pub(crate) broken: BTreeMap<String, &'static str>,
    /// When each rollout moved last, by uid.
    pub(crate) moved: BTreeMap<String, (Timestamp, String)>,
    /// Rights that Snapback used: verb and resource.
    pub(crate) used: BTreeSet<(String, String)>,
    /// The patches of Snapback's that were sent.
    pub(crate) bodies: Vec<Value>,
    /// Templates that Snapback wrote.
    pub(crate) effects: Vec<String>,
    /// A pod takes so long until it is ready.
    pub(crate) takes_s: i64,
}

/// Where a watch stands.
#[derive(Default)]
pub(crate) struct Watched {
    resource: String,
    namespace: String,
    labels: String,
    fields: String,
    since: u64,
    /// What is there already, told first to who asks for it (`sendInitialEvents`).
    initial: String,
    pub(crate) is_over: bool,
}

impl Store {
    pub(crate) fn get(&self, resource: &str, namespace: &str, name: &str) -> Option<&Value> {
        self.objects.get(&(resource.to_owned(), namespace.to_owned(), name.to_owned()))
    }

    pub(crate) fn all(&self, resource: &str) -> Vec<Value> {
        self.objects.iter().filter(|((of, ..), _)| of == resource).map(|(_, object)| object.clone()).collect()
    }

    /// Makes an object or replaces it, as the API does with what somebody writes.
    pub(crate) fn put(&mut self, resource: &str, mut object: Value, manager: &str, now: Timestamp) -> Value {
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or("shop").to_owned();
        let name = object["metadata"]["name"].as_str().expect("a name").to_owned();
        let key = (resource.to_owned(), namespace.clone(), name);
        let before = self.objects.get(&key).cloned();
        let (group, _, kind) = RESOURCES.iter().find(|(_, of, _)| *of == resource).expect("a known resource");
        object["apiVersion"] = group.trim_start_matches("apis/").trim_start_matches("api/").into();
        object["kind"] = (*kind).into();
        default(&mut object, kind);
        self.version += 1;
        let metadata = &mut object["metadata"];
        metadata["namespace"] = namespace.into();
        metadata["resourceVersion"] = self.version.to_string().into();
        let wrote = |old: Option<&Value>, new: &Value| {
            old.map(|old| old["spec"]["template"] != new["spec"]["template"])
        };
        match &before {
            None => {
                self.serial += 1;
                metadata["uid"] = format!("00000000-0000-4000-8000-{:012}", self.serial).into();
                metadata["creationTimestamp"] = stamp(now);
                metadata["generation"] = 1.into();
            }
            Some(before) => {
                for kept in ["uid", "creationTimestamp", "generation"] {
                    object["metadata"][kept] = before["metadata"][kept].clone();
                }
                // Of Deployments the annotations count too (registry/apps/deployment/strategy.go).
                let annotations = resource == "deployments"
                    && before["metadata"]["annotations"] != object["metadata"]["annotations"];
                if before["spec"] != object["spec"] || annotations {
                    let generation = before["metadata"]["generation"].as_i64().unwrap_or(0);
                    object["metadata"]["generation"] = (generation + 1).into();
                }
            }
        }
        if manager == "snapback" && wrote(before.as_ref(), &object) == Some(true) {
            self.effects
                .push(format!("write {}", object["spec"]["template"]["spec"]["containers"][0]["image"]));
        }
        if wrote(before.as_ref(), &object).unwrap_or(true) && object["spec"]["template"].is_object() {
            note_writer(&mut object, manager, now);
        }
        let event = if before.is_some() { "MODIFIED" } else { "ADDED" };
        self.history.push((self.version, event, resource.to_owned(), object.clone()));
        self.objects.insert(key, object.clone());
        object
    }

    /// What a controller writes: no generation rises by it.
    pub(crate) fn report(&mut self, resource: &str, mut object: Value) {
        let name = object["metadata"]["name"].as_str().expect("a name").to_owned();
        let namespace = object["metadata"]["namespace"].as_str().expect("a namespace").to_owned();
        let key = (resource.to_owned(), namespace, name);
        if self.objects.get(&key) == Some(&object) {
            return;
        }
        self.version += 1;
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        self.history.push((self.version, "MODIFIED", resource.to_owned(), object.clone()));
        self.objects.insert(key, object);
    }

    pub(crate) fn remove(&mut self, resource: &str, namespace: &str, name: &str) {
        let key = (resource.to_owned(), namespace.to_owned(), name.to_owned());
        if let Some(object) = self.objects.remove(&key) {
            self.version += 1;
            self.history.push((self.version, "DELETED", resource.to_owned(), object));
        }
    }

    pub(crate) fn recent(&self) -> Vec<String> {
        self.history
            .iter()
            .rev()
            .take(6)
            .map(|(_, kind, of, object)| format!("{kind} {of} {} {}", object["metadata"], object["status"]))
            .collect()
    }

    /// Forgets what happened: who watches from before is told that it is gone.
    pub(crate) fn compact(&mut self) {
        self.history.clear();
        self.compacted = self.version;
    }

    pub(crate) fn answer(&mut self, asked: &Asked, now: Timestamp) -> Result<(StatusCode, Value), Refusal> {
        let parts: Vec<&str> = asked.path.trim_matches('/').split('/').collect();
        if asked.token != ADMIN && asked.token != OURS {
            return Err(Refusal::new(StatusCode::UNAUTHORIZED, "Unauthorized", "Unauthorized"));
        }
        if let Some(told) = discovery(&parts) {
            return Ok((StatusCode::OK, told));
        }
        if parts.ends_with(&["selfsubjectaccessreviews"]) {
            return Ok((StatusCode::CREATED, self.review(asked)));
        }
        let place = Place::of(&parts).ok_or_else(|| {
            Refusal::new(
                StatusCode::NOT_FOUND,
                "NotFound",
                "the server could not find the requested resource",
            )
        })?;
        let verb = match (asked.method.as_str(), place.name) {
            ("GET", None) => "list",
            ("GET", Some(_)) => "get",
            ("POST", _) => "create",
            ("PUT", _) => "update",
            ("PATCH", _) => "patch",
            _ => "delete",
        };
        self.permit(asked, &place, verb)?;
        if asked.token == OURS {
            self.used.insert((verb.to_owned(), place.with_sub()));
        }
        let Some(name) = place.name else {
            return match verb {
                "list" => Ok((StatusCode::OK, self.list(&place, asked))),
                "create" => {
                    Ok((StatusCode::CREATED, self.put(place.resource, asked.body.clone(), "kubectl", now)))
                }
                _ => Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", "not allowed")),
            };
        };
        let Some(object) = self.get(place.resource, place.namespace, name).cloned() else {
            let message = format!("{} \"{name}\" not found", place.qualified());
            return Err(Refusal::new(StatusCode::NOT_FOUND, "NotFound", message));
        };
        match (verb, place.sub) {
            ("get", Some("log")) => Ok((StatusCode::OK, Value::String(log(&object, asked)))),
            ("get", _) => Ok((StatusCode::OK, object)),
            ("delete", _) => {
                self.remove(place.resource, place.namespace, name);
                Ok((StatusCode::OK, object))
            }
            _ => self.write(&place, &object, asked, now).map(|object| (StatusCode::OK, object)),
        }
    }

    fn write(
        &mut self,
        place: &Place<'_>,
        before: &Value,
        asked: &Asked,
        now: Timestamp,
    ) -> Result<Value, Refusal> {
        let name = place.name.unwrap_or_default();
        let stale = || {
            let message = format!(
                "Operation cannot be fulfilled on {} \"{name}\": the object has been modified; please apply your changes to the latest version and try again",
                place.qualified()
            );
            Refusal::new(StatusCode::CONFLICT, "Conflict", message)
        };
        let mut object = before.clone();
        match (asked.method.as_str(), asked.kind.as_str()) {
            ("PUT", _) => object = asked.body.clone(),
            (_, "application/json-patch+json") => json_patch(&mut object, &asked.body)?,
            (_, "application/strategic-merge-patch+json") => strategic(&mut object, &asked.body, ""),
            _ => merge(&mut object, &asked.body),
        }
        let told = object["metadata"]["resourceVersion"].as_str().unwrap_or_default();
        if !told.is_empty() && told != before["metadata"]["resourceVersion"] {
            return Err(stale());
        }
        if place.sub == Some("scale") {
            let mut scaled = before.clone();
            scaled["spec"]["replicas"] = object["spec"]["replicas"].clone();
            object = scaled;
        } else if place.sub != Some("status") {
            object["status"] = before["status"].clone();
        }
        let manager = asked.query.get("fieldManager").map_or("kubectl", String::as_str);
        if manager == "snapback" {
            self.bodies.push(asked.body.clone());
        }
        if asked.query.contains_key("dryRun") {
            return Ok(object);
        }
        Ok(self.put(place.resource, object, manager, now))
    }

    fn permit(&self, asked: &Asked, place: &Place<'_>, verb: &str) -> Result<(), Refusal> {
        if asked.token == ADMIN || self.may(verb, &place.with_sub()) {
            return Ok(());
        }
        let named = place.name.map_or(String::new(), |name| format!(" \"{name}\""));
        let message = format!(
            "{}{named} is forbidden: User \"system:serviceaccount:snapback:snapback\" cannot {verb} resource \"{}\" in API group \"{}\" in the namespace \"{}\"",
            place.qualified(),
            place.with_sub(),
            place.group_name(),
            place.namespace
        );
        Err(Refusal::new(StatusCode::FORBIDDEN, "Forbidden", message))
    }

    fn may(&self, verb: &str, resource: &str) -> bool {
        !self.denied.contains(&format!("{verb} {resource}"))
    }

    fn review(&self, asked: &Asked) -> Value {
        let of = &asked.body["spec"]["resourceAttributes"];
        let text = |name: &str| of[name].as_str().unwrap_or_default().to_owned();
        let mut resource = text("resource");
        if !text("subresource").is_empty() {
            resource = format!("{resource}/{}", text("subresource"));
        }
        let allowed = asked.token == ADMIN || self.may(&text("verb"), &resource);
        let mut review = asked.body.clone();
        review["status"] = json!({ "allowed": allowed });
        review
    }

    fn list(&self, place: &Place<'_>, asked: &Asked) -> Value {
        let query = |name: &str| asked.query.get(name).cloned().unwrap_or_default();
        let (labels, fields) = (query("labelSelector"), query("fieldSelector"));
        let mut items: Vec<Value> = self.all(place.resource);
        items.retain(|object| {
            (place.namespace.is_empty() || object["metadata"]["namespace"] == place.namespace)
                && selects(object, &labels)
                && has_fields(object, &fields)
        });
        let limit: usize = query("limit").parse().ok().filter(|limit| *limit > 0).unwrap_or(usize::MAX);
        let from: usize = query("continue").parse().unwrap_or(0);
        let more = items.len() > from.saturating_add(limit);
        let items: Vec<Value> = items.into_iter().skip(from).take(limit).collect();
        let next = if more { (from + limit).to_string() } else { String::new() };
        json!({
            "kind": format!("{}List", place.kind), "apiVersion": place.api_version(),
            "metadata": { "resourceVersion": self.version.to_string(), "continue": next }, "items": items,
        })
    }

    /// A watch from the version that is asked for.
    pub(crate) fn watch(&mut self, asked: &Asked) -> Result<Watched, Refusal> {
        let parts: Vec<&str> = asked.path.trim_matches('/').split('/').collect();
        let not_found = || Refusal::new(StatusCode::NOT_FOUND, "NotFound", "no such resource");
        let place = Place::of(&parts).ok_or_else(not_found)?;
        self.permit(asked, &place, "watch")?;
        if asked.token == OURS {
            self.used.insert(("watch".to_owned(), place.with_sub()));
        }
        let query = |name: &str| asked.query.get(name).cloned().unwrap_or_default();
        let since = match query("resourceVersion").parse() {
            Ok(since) if since > 0 => since,
            Ok(_) | Err(_) => self.version,
        };
        if since < self.compacted {
            return Err(Refusal::new(StatusCode::GONE, "Expired", "too old resource version"));
        }
        let mut initial = String::new();
        if query("sendInitialEvents") == "true" {
            let listed = self.list(&place, asked);
            for object in listed["items"].as_array().into_iter().flatten() {
                initial.push_str(&format!("{}\n", json!({ "type": "ADDED", "object": object })));
            }
            let end = json!({
                "kind": place.kind, "apiVersion": place.api_version(),
                "metadata": { "resourceVersion": self.version.to_string(), "annotations": { "k8s.io/initial-events-end": "true" } },
            });
            initial.push_str(&format!("{}\n", json!({ "type": "BOOKMARK", "object": end })));
        }
        Ok(Watched {
            initial,
            resource: place.resource.to_owned(),
            namespace: place.namespace.to_owned(),
            labels: query("labelSelector"),
            fields: query("fieldSelector"),
            since,
            is_over: false,
        })
    }

    /// What happened since, as lines.
    pub(crate) fn events(&self, watched: &mut Watched) -> String {
        if watched.since < self.compacted {
            watched.is_over = true;
            let gone = Refusal::new(StatusCode::GONE, "Expired", "too old resource version");
            return format!("{}\n", json!({ "type": "ERROR", "object": gone.json() }));
        }
        let mut lines = std::mem::take(&mut watched.initial);
        for (version, kind, resource, object) in &self.history {
            if *version <= watched.since {
                continue;
            }
            let is_its = *resource == watched.resource
                && (watched.namespace.is_empty() || object["metadata"]["namespace"] == *watched.namespace)
                && selects(object, &watched.labels)
                && has_fields(object, &watched.fields);
            if is_its {
                lines.push_str(&json!({ "type": kind, "object": object }).to_string());
                lines.push('\n');
            }
            watched.since = *version;
        }
        lines
    }
}

/// What a path names.
struct Place<'a> {
    group: &'a str,
    resource: &'a str,
    kind: &'a str,
    namespace: &'a str,
    name: Option<&'a str>,
    sub: Option<&'a str>,
}

impl<'a> Place<'a> {
    fn of(parts: &[&'a str]) -> Option<Place<'a>> {
        let depth = if parts.first() == Some(&"api") { 2 } else { 3 };
        let group = parts.get(..depth)?.join("/");
        let rest = &parts[depth..];
        let (namespace, rest) = match rest {
            ["namespaces", namespace, rest @ ..] => (*namespace, rest),
            rest => ("", rest),
        };
        let (group, resource, kind) =
            RESOURCES.iter().find(|(of, plural, _)| *of == group && rest.first() == Some(plural))?;
        Some(Place {
            group,
            resource,
            kind,
            namespace,
            name: rest.get(1).copied(),
            sub: rest.get(2).copied(),
        })
    }

    fn group_name(&self) -> &str {
        self.group.strip_prefix("apis/").and_then(|group| group.split('/').next()).unwrap_or_default()
    }

    fn api_version(&self) -> &str {
        self.group.trim_start_matches("apis/").trim_start_matches("api/")
    }

    fn qualified(&self) -> String {
        match self.group_name() {
            "" => self.resource.to_owned(),
            group => format!("{}.{group}", self.resource),
        }
    }

    fn with_sub(&self) -> String {
        self.sub.map_or_else(|| self.resource.to_owned(), |sub| format!("{}/{sub}", self.resource))
    }
}

/// What clients ask before they ask for anything.
fn discovery(parts: &[&str]) -> Option<Value> {
    let named = |group: &str| group.trim_start_matches("apis/").to_owned();
    match parts {
        ["version"] => {
            Some(json!({ "major": "1", "minor": "33", "gitVersion": "v1.33.0", "platform": "linux/amd64" }))
        }
        ["api"] => Some(json!({ "kind": "APIVersions", "versions": ["v1"] })),
        ["apis"] => {
            let groups: BTreeSet<String> = RESOURCES
                .iter()
                .map(|(group, ..)| named(group))
                .filter(|group| group.contains('/'))
                .filter(|group| !group.starts_with("api/"))
                .collect();
            let groups: Vec<Value> = groups
                .iter()
                .map(|group| {
                    let (name, version) = group.split_once('/').expect("a version");
                    let version = json!({ "groupVersion": group, "version": version });
                    json!({ "name": name, "versions": [version], "preferredVersion": version })
                })
                .collect();
            Some(json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": groups }))
        }
        ["api", _] | ["apis", _, _] => {
            let group = parts.join("/");
            let own: Vec<Value> = RESOURCES
                .iter()
                .filter(|(of, ..)| *of == group)
                .map(|(_, plural, kind)| {
                    json!({ "name": plural, "singularName": kind.to_lowercase(), "namespaced": true, "kind": kind,
                        "verbs": ["create", "delete", "get", "list", "patch", "update", "watch"] })
                })
                .collect();
            let version = group.trim_start_matches("apis/").trim_start_matches("api/");
            (!own.is_empty()).then(|| {
                json!({ "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": own })
            })
        }
        _ => None,
    }
}

/// Clients write nulls and empty maps that the API does not keep.
fn prune(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.values_mut().for_each(prune);
            map.retain(|name, value| !(value.is_null() || name == "resources" && *value == json!({})));
        }
        Value::Array(list) => list.iter_mut().for_each(prune),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// What the API fills in where nothing is said.
fn default(object: &mut Value, kind: &str) {
    prune(&mut object["spec"]);
    let replicated = matches!(kind, "Deployment" | "StatefulSet" | "ReplicaSet");
    if replicated && object["spec"]["replicas"].is_null() {
        object["spec"]["replicas"] = 1.into();
    }
    if kind == "Deployment" {
        for (name, value) in [("revisionHistoryLimit", 10), ("progressDeadlineSeconds", 600)] {
            if object["spec"][name].is_null() {
                object["spec"][name] = value.into();
            }
        }
        if object["spec"]["strategy"].is_null() {
            object["spec"]["strategy"] = json!({ "type": "RollingUpdate", "rollingUpdate": { "maxSurge": "25%", "maxUnavailable": "25%" } });
        }
    }
    if matches!(kind, "StatefulSet" | "DaemonSet") && object["spec"]["updateStrategy"].is_null() {
        object["spec"]["updateStrategy"] = json!({ "type": "RollingUpdate", "rollingUpdate": {} });
    }
}

fn note_writer(object: &mut Value, manager: &str, now: Timestamp) {
    let entry = json!({
        "manager": manager, "operation": "Update", "apiVersion": object["apiVersion"], "time": stamp(now),
        "fieldsType": "FieldsV1", "fieldsV1": { "f:spec": { "f:template": {} } },
    });
    let fields = &mut object["metadata"]["managedFields"];
    if !fields.is_array() {
        *fields = json!([]);
    }
    let fields = fields.as_array_mut().expect("a list");
    fields.retain(|known| known["manager"] != manager);
    fields.push(entry);
}

pub(crate) fn stamp(at: Timestamp) -> Value {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string().into()
}

/// The text of a container's log.
fn log(pod: &Value, asked: &Asked) -> String {
    let previous = if asked.query.contains_key("previous") { " before" } else { "" };
    format!(
        "panic{previous}: {} cannot start",
        pod["spec"]["containers"][0]["image"].as_str().unwrap_or_default()
    )
}

/// RFC 6902: all of it or nothing. The API answers a test that fails so.
fn json_patch(object: &mut Value, patch: &Value) -> Result<(), Refusal> {
    let refused = || {
        let message = "the server rejected our request due to an error in our request";
        Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message)
    };
    for operation in patch.as_array().ok_or_else(refused)? {
        let path = operation["path"].as_str().ok_or_else(refused)?;
        let value = operation["value"].clone();
        match operation["op"].as_str() {
            Some("test") if object.pointer(path) == Some(&value) => {}
            Some("replace") => *object.pointer_mut(path).ok_or_else(refused)? = value,
            Some("add") => {
                let (parent, name) = path.rsplit_once('/').ok_or_else(refused)?;
                let name = name.replace("~1", "/").replace("~0", "~");
                let map = object.pointer_mut(parent).and_then(Value::as_object_mut).ok_or_else(refused)?;
                map.insert(name, value);
            }
            Some("remove") => {
                let (parent, name) = path.rsplit_once('/').ok_or_else(refused)?;
                let name = name.replace("~1", "/").replace("~0", "~");
                let map = object.pointer_mut(parent).and_then(Value::as_object_mut).ok_or_else(refused)?;
                map.remove(&name).ok_or_else(refused)?;
            }
            _ => return Err(refused()),
        }
    }
    Ok(())
}

/// RFC 7396.
fn merge(object: &mut Value, patch: &Value) {
    let Some(changes) = patch.as_object() else {
        *object = patch.clone();
        return;
    };
    if !object.is_object() {
        *object = Value::Object(Map::new());
    }
    for (name, change) in changes {
        if change.is_null() {
            object.as_object_mut().expect("a map").remove(name);
        } else {
            merge(&mut object[name], change);
        }
    }
}

/// As much of the strategic merge as workloads meet: lists of named things are merged by their names.
fn strategic(object: &mut Value, patch: &Value, name: &str) {
    match patch {
        Value::Object(changes) => {
            if changes.get("$patch").and_then(Value::as_str) == Some("replace") {
                *object = patch.clone();
                object.as_object_mut().expect("a map").remove("$patch");
                return;
            }
            if !object.is_object() {
                *object = Value::Object(Map::new());
            }
            for (name, change) in changes.iter().filter(|(name, _)| !name.starts_with('$')) {
                if change.is_null() {
                    object.as_object_mut().expect("a map").remove(name);
                } else {
                    strategic(&mut object[name], change, name);
                }
            }
        }
        Value::Array(changes) if ["containers", "initContainers", "volumes", "env"].contains(&name) => {
            if !object.is_array() {
                *object = json!([]);
            }
            let list = object.as_array_mut().expect("a list");
            for change in changes {
                match list.iter_mut().find(|known| known["name"] == change["name"]) {
                    Some(known) => strategic(known, change, ""),
                    None => list.push(change.clone()),
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            *object = patch.clone()
        }
    }
}

/// Whether an object has these labels.
pub(crate) fn selects(object: &Value, selector: &str) -> bool {
    let label = |name: &str| object["metadata"]["labels"][name].as_str();
    split(selector).into_iter().all(|part| {
        if let Some((name, values)) = part.split_once(" in (").or_else(|| part.split_once(" notin (")) {
            let is_in = label(name.trim())
                .is_some_and(|of| values.trim_end_matches(')').split(',').any(|one| one.trim() == of));
            return is_in != part.contains(" notin (");
        }
        if let Some((name, value)) = part.split_once("!=") {
            return label(name.trim()) != Some(value.trim());
        }
        if let Some((name, value)) = part.split_once('=') {
            return label(name.trim()) == Some(value.trim_start_matches('=').trim());
        }
        match part.strip_prefix('!') {
            Some(name) => label(name).is_none(),
            None => label(&part).is_some(),
        }
    })
}

/// The parts of a selector: commas within brackets part nothing.
fn split(selector: &str) -> Vec<String> {
    let (mut parts, mut depth) = (vec![String::new()], 0);
    for c in selector.chars() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        parts.last_mut().expect("a part").push(c);
    }
    parts.retain(|part| !part.trim().is_empty());
    parts.into_iter().map(|part| part.trim().to_owned()).collect()
}

fn has_fields(object: &Value, selector: &str) -> bool {
    split(selector).iter().all(|part| {
        let Some((path, value)) = part.split_once('=') else { return true };
        object.pointer(&format!("/{}", path.replace('.', "/"))).and_then(Value::as_str) == Some(value)
    })
}
