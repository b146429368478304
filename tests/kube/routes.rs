//! Where a request leads: it reads the path and the query, asks for the right, and does what the verb says to the store.

use std::collections::BTreeMap;

use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use super::json::{set, text};
use super::kinds::{self, Kind};
use super::logs;
use super::protobuf;
use super::rights::{Ask, Rights};
use super::select::Selector;
use super::status::Refusal;
use super::store::{Key, State};
use super::watch::Wanted;
use super::write::{self, Patch, Writer};

/// A request, as far as the routes look at it.
pub(crate) struct Asked {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: BTreeMap<String, String>,
    pub(crate) media: String,
    pub(crate) agent: String,
    pub(crate) token: String,
    pub(crate) body: bytes::Bytes,
}

impl Asked {
    fn query(&self, name: &str) -> &str {
        self.query.get(name).map_or("", String::as_str)
    }

    fn says(&self, name: &str) -> bool {
        matches!(self.query(name), "1" | "true")
    }

    /// The object in its body.
    fn object(&self) -> Result<Value, Refusal> {
        if self.body.is_empty() {
            return Ok(Value::Null);
        }
        if self.media == protobuf::MEDIA {
            return protobuf::read(&self.body)
                .ok_or_else(|| Refusal::media("this kind is not read from protobuf here"));
        }
        serde_json::from_slice(&self.body).or_else(|_| {
            let text = std::str::from_utf8(&self.body).unwrap_or_default();
            serde_saphyr::from_str(text).map_err(|fault| Refusal::bad(format!("error decoding: {fault}")))
        })
    }
}

/// What comes back.
pub(crate) enum Told {
    Json(StatusCode, Value),
    Text(String),
    /// An empty document in protobuf: clients of old take it for an API without descriptions.
    Nothing,
    Watch(Wanted),
}

/// Where a path leads.
struct Place {
    kind: &'static Kind,
    namespace: Option<String>,
    name: String,
    part: String,
}

fn place(path: &str) -> Option<Place> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let (group, version, rest) = match parts[..] {
        ["api", version, ref rest @ ..] => ("", version, rest),
        ["apis", group, version, ref rest @ ..] => (group, version, rest),
        _ => return None,
    };
    let (namespace, rest) = match rest {
        ["namespaces", namespace, plural, rest @ ..] if !matches!(*plural, "status" | "finalize") => {
            (Some((*namespace).to_owned()), [&[*plural], rest].concat())
        }
        _ => (None, rest.to_vec()),
    };
    let kind = kinds::kind(group, version, rest.first()?)?;
    if namespace.is_some() && !kind.namespaced {
        return None;
    }
    let name = rest.get(1).copied().unwrap_or_default().to_owned();
    let part = rest.get(2).copied().unwrap_or_default().to_owned();
    (rest.len() <= 3).then_some(Place { kind, namespace, name, part })
}

/// Answers a request.
pub(crate) fn answer(state: &mut State, rights: &Rights, asked: &Asked) -> Result<Told, Refusal> {
    if rights.user(&asked.token).is_none() {
        return Err(Refusal::unauthorized());
    }
    if asked.path == "/openapi/v2" {
        return Ok(Told::Nothing);
    }
    if let Some(found) = kinds::discovery(&asked.path) {
        return Ok(Told::Json(StatusCode::OK, found));
    }
    let place = place(&asked.path).ok_or_else(Refusal::no_path)?;
    if place.kind.plural == "selfsubjectaccessreviews" {
        let review = rights.review(&asked.token, &asked.object()?);
        return Ok(Told::Json(StatusCode::CREATED, review));
    }
    if place.kind.plural == "selfsubjectrulesreviews" {
        let rules = rights.rules(&asked.token, &asked.object()?);
        return Ok(Told::Json(StatusCode::CREATED, rules));
    }
    let kind = place.kind;
    let known = match place.part.as_str() {
        "" => true,
        "status" => kind.status,
        "scale" => kind.scale,
        "log" => kind.plural == "pods",
        _ => false,
    };
    if !known {
        return Err(Refusal::no_path());
    }
    let collection = place.name.is_empty();
    let verb = match (&asked.method, collection) {
        (&Method::GET, _) if asked.says("watch") => "watch",
        (&Method::GET, true) => "list",
        (&Method::GET, false) => "get",
        (&Method::POST, true) => "create",
        (&Method::PUT, false) => "update",
        (&Method::PATCH, false) => "patch",
        (&Method::DELETE, true) => "deletecollection",
        (&Method::DELETE, false) => "delete",
        _ => return Err(Refusal::method()),
    };
    let resource = [kind.plural, &*place.part].join("/");
    let ask = Ask {
        verb,
        group: kind.group,
        resource: resource.trim_end_matches('/'),
        namespace: if kind.plural == "namespaces" {
            &place.name
        } else {
            place.namespace.as_deref().unwrap_or("")
        },
    };
    rights.check(&asked.token, kind, &place.name, &ask)?;
    // Who deletes may say it in the body too.
    let in_body = verb == "delete" && asked.object().is_ok_and(|options| options["dryRun"] == json!(["All"]));
    match if in_body { "All" } else { asked.query("dryRun") } {
        "" => {
            let told = act(state, asked, &place, verb)?;
            if !matches!(verb, "get" | "list" | "watch") {
                super::controllers::settle(state);
            }
            Ok(told)
        }
        "All" => act(&mut state.clone(), asked, &place, verb),
        other => Err(Refusal::bad(format!("Invalid value: \"{other}\": dryRun must be All"))),
    }
}

fn act(state: &mut State, asked: &Asked, place: &Place, verb: &str) -> Result<Told, Refusal> {
    let kind = place.kind;
    let namespace = place.namespace.as_deref().unwrap_or_default();
    let key = Key::of(kind, namespace, &place.name);
    let selector = Selector::read(asked.query("labelSelector"), asked.query("fieldSelector"))?;
    let by = writer(asked);
    let ok = |object| Ok(Told::Json(StatusCode::OK, object));
    match verb {
        "watch" => {
            let name = (!place.name.is_empty()).then(|| place.name.clone());
            let since = asked.query("resourceVersion");
            let since = if since.is_empty() { 0 } else { since.parse().map_err(|_| version_fault(since))? };
            Ok(Told::Watch(Wanted {
                kind,
                namespace: place.namespace.clone(),
                name,
                selector,
                since,
                bookmarks: asked.says("allowWatchBookmarks"),
                initial: asked.says("sendInitialEvents"),
                seconds: asked.query("timeoutSeconds").parse().ok(),
            }))
        }
        "list" => list(state, asked, place, &selector).map(|list| Told::Json(StatusCode::OK, list)),
        "get" => {
            let object = state.get(&key).ok_or_else(|| Refusal::not_found(kind, &key.name))?;
            match place.part.as_str() {
                "log" => logs::read(state, object, &asked.query).map(Told::Text),
                "scale" => ok(write::scale(object)),
                _ => ok((**object).clone()),
            }
        }
        "create" => {
            let made = write::create(state, kind, namespace, asked.object()?, &by)?;
            Ok(Told::Json(StatusCode::CREATED, made))
        }
        "update" => {
            let object = write::update(state, kind, &key, &place.part, asked.object()?, &by)?;
            ok(if place.part == "scale" { write::scale(&object) } else { object })
        }
        "patch" => {
            let body = asked.object()?;
            let how = Patch { media: &asked.media, body: &body };
            let (object, fresh) = write::patch(state, kind, &key, &place.part, &how, &by)?;
            let status = if fresh { StatusCode::CREATED } else { StatusCode::OK };
            let object = if place.part == "scale" { write::scale(&object) } else { object };
            Ok(Told::Json(status, object))
        }
        "delete" => {
            let mut options = asked.object().unwrap_or_default();
            if !asked.query("propagationPolicy").is_empty() {
                set(&mut options, "/propagationPolicy", asked.query("propagationPolicy"));
            }
            ok(write::delete(state, kind, &key, &options)?)
        }
        _ => {
            let gone: Vec<_> = state
                .all(&kind.qualified(), place.namespace.as_deref())
                .into_iter()
                .filter(|(_, object)| selector.matches(object))
                .collect();
            for (key, _) in &gone {
                write::delete(state, kind, key, &Value::Null)?;
            }
            ok(json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success" }))
        }
    }
}

fn version_fault(said: &str) -> Refusal {
    Refusal::bad(format!("Invalid value: \"{said}\": strconv.ParseUint: parsing \"{said}\": invalid syntax"))
}

/// Who writes: the field manager that the query names, or the program.
fn writer(asked: &Asked) -> Writer {
    let named = asked.query("fieldManager");
    let program = asked.agent.split('/').next().unwrap_or_default();
    let manager = if named.is_empty() { program } else { named };
    let operation = if asked.media == "application/apply-patch+yaml" { "Apply" } else { "Update" };
    Writer { manager: if manager.is_empty() { "unknown" } else { manager }.to_owned(), operation }
}

/// A list, or a page of one. A page begins after the name at which the one before ended.
fn list(state: &State, asked: &Asked, place: &Place, selector: &Selector) -> Result<Value, Refusal> {
    let kind = place.kind;
    let (version, after) = match asked.query("continue") {
        "" => (state.version, None),
        said => {
            let (version, after) = read_continue(said)
                .ok_or_else(|| Refusal::bad("continue key is not valid: it was not made by this server"))?;
            if version <= state.compacted {
                let mut refusal = Refusal::expired(version, state.compacted);
                refusal.message = "The provided continue parameter is too old to display a consistent list \
                                   result. You must start a new list without the continue parameter."
                    .to_owned();
                return Err(refusal);
            }
            (version, Some(after))
        }
    };
    let exact = asked.query("resourceVersion");
    if asked.query("resourceVersionMatch") == "Exact"
        && let Ok(exact) = exact.parse::<u64>()
        && exact <= state.compacted
    {
        return Err(Refusal::expired(exact, state.compacted));
    }
    let mut found = state.all(&kind.qualified(), place.namespace.as_deref());
    found.retain(|(key, object)| {
        after.as_ref().is_none_or(|after| (&*key.namespace, &*key.name) > (&*after.0, &*after.1))
            && selector.matches(object)
    });
    let mut metadata = json!({ "resourceVersion": version.to_string() });
    let limit: usize = asked.query("limit").parse().unwrap_or(0);
    if limit > 0 && found.len() > limit {
        metadata["remainingItemCount"] = json!(found.len() - limit);
        found.truncate(limit);
        let last = &found.last().expect("a page").0;
        metadata["continue"] = json!(write_continue(version, &last.namespace, &last.name));
    }
    let items: Vec<Value> = found.iter().map(|(_, object)| (**object).clone()).collect();
    Ok(json!({
        "kind": format!("{}List", kind.kind), "apiVersion": kind.api_version(), "metadata": metadata,
        "items": items,
    }))
}

fn write_continue(version: u64, namespace: &str, name: &str) -> String {
    use base64::Engine;
    let said = json!({ "v": version, "namespace": namespace, "name": name }).to_string();
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(said)
}

fn read_continue(said: &str) -> Option<(u64, (String, String))> {
    use base64::Engine;
    let said = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(said).ok()?;
    let said: Value = serde_json::from_slice(&said).ok()?;
    let after = (text(&said, "/namespace").to_owned(), text(&said, "/name").to_owned());
    Some((said["v"].as_u64()?, after))
}
