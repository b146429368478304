//! A pretend PagerDuty Events API v2 at `/v2/enqueue`, and a webhook of one's own at `/hook`: what it takes and refuses as
//! PagerDuty's documents say (developer.pagerduty.com, "Events API v2 overview" and "Send an event"), the incidents that come
//! of it, and what goes wrong when a test says so. `judge.py` drives it with PagerDuty's own client.
#![allow(dead_code, reason = "each test uses the part that it is about")]

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::{Value, json};

use crate::binary::wait_until;

/// The integration key of the pretend service: 32 characters, as PagerDuty's are.
pub(crate) const KEY: &str = "0123456789abcdef0123456789abcdef";
/// What proves us at the webhook.
pub(crate) const BEARER: &str = "a-token-of-the-webhook";

/// What goes wrong with the next event.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// This status, and nothing is taken.
    Answers(u16),
    /// The same, and when to come again, in seconds.
    AsksToWait(u16, u32),
    /// It is taken, and its sender is told that it was not.
    TakesAndFails,
    /// It is sent on to another address.
    Redirects,
}

/// One incident: everything that was said under its key.
#[derive(Clone, Debug, Default)]
pub(crate) struct Incident {
    pub(crate) open: bool,
    /// How often it was opened: a trigger while it is open only adds to it.
    pub(crate) opened: usize,
    pub(crate) events: Vec<Value>,
}

#[derive(Default)]
struct Kept {
    incidents: BTreeMap<String, Incident>,
    /// Everything that came, with the status that it was answered.
    heard: Vec<(u16, Value)>,
    hooks: Vec<Value>,
    faults: VecDeque<Fault>,
    away: bool,
}

/// The pretend service, as tests hold it.
#[derive(Clone)]
pub(crate) struct Pretend {
    kept: Arc<Mutex<Kept>>,
    base: String,
}

impl Pretend {
    /// Starts it on a free port of the loopback; it lives until the test ends.
    pub(crate) fn open() -> Pretend {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a listener");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        let pretend = Pretend { kept: Arc::default(), base };
        let router = Router::new()
            .route("/v2/enqueue", post(enqueue))
            .route("/hook", post(hook))
            .with_state(pretend.clone());
        std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
                axum::serve(listener, router).await.expect("it serves");
            });
        });
        pretend
    }

    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    pub(crate) fn events_url(&self) -> String {
        format!("{}/v2/enqueue", self.base)
    }

    pub(crate) fn hook_url(&self) -> String {
        format!("{}/hook", self.base)
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().expect("kept")
    }

    /// The next events meet these.
    pub(crate) fn faults(&self, faults: &[Fault]) {
        self.kept().faults.extend(faults);
    }

    /// Nothing is taken until it is back.
    pub(crate) fn away(&self, away: bool) {
        self.kept().away = away;
    }

    pub(crate) fn incident(&self, key: &str) -> Incident {
        self.kept().incidents.get(key).cloned().unwrap_or_default()
    }

    pub(crate) fn keys(&self) -> Vec<String> {
        self.kept().incidents.keys().cloned().collect()
    }

    pub(crate) fn heard(&self) -> Vec<(u16, Value)> {
        self.kept().heard.clone()
    }

    pub(crate) fn hooks(&self) -> Vec<Value> {
        self.kept().hooks.clone()
    }

    /// Waits until an incident is so.
    #[track_caller]
    pub(crate) fn wait(&self, what: &str, key: &str, is_so: impl Fn(&Incident) -> bool) -> Incident {
        let came = wait_until(|| is_so(&self.incident(key)));
        assert!(came, "waited for {what} under {key}: {:#?}", self.heard());
        self.incident(key)
    }

    /// Waits until somebody is woken under this key for this, and gives the event.
    #[track_caller]
    pub(crate) fn wakes(&self, key: &str, cause: &str) -> Value {
        let is_cause = |event: &Value| event["payload"]["class"] == cause;
        let woken = |incident: &Incident| incident.open && incident.events.last().is_some_and(is_cause);
        let incident = self.wait(&format!("a page for {cause}"), key, woken);
        incident.events.last().cloned().expect("an event")
    }

    /// Waits until nobody is needed any more under this key.
    #[track_caller]
    pub(crate) fn rests(&self, key: &str) {
        self.wait("the end of a page", key, |incident| !incident.open && incident.opened > 0);
    }
}

/// What is wrong with an event, in PagerDuty's manner; nothing when it is sound.
fn wrong(event: &Value) -> Vec<String> {
    let mut errors = Vec::new();
    let text = |value: &Value, longest: usize| {
        value.as_str().is_some_and(|text| !text.is_empty() && text.chars().count() <= longest)
    };
    if event["routing_key"] != KEY {
        errors.push("'routing_key' is invalid".to_owned());
    }
    let known =
        ["routing_key", "event_action", "dedup_key", "payload", "client", "client_url", "links", "images"];
    let of_payload =
        ["summary", "source", "severity", "timestamp", "component", "group", "class", "custom_details"];
    errors.extend(unknown(event, &known));
    if !text(&event["dedup_key"], 255) {
        errors.push("'dedup_key' is missing or too long".to_owned());
    }
    match event["event_action"].as_str() {
        Some("trigger") => {
            let payload = &event["payload"];
            errors.extend(unknown(payload, &of_payload));
            if !text(&payload["summary"], 1024) || !text(&payload["source"], 255) {
                errors.push("'payload.summary' or 'payload.source' is missing or too long".to_owned());
            }
            if !["critical", "error", "warning", "info"].iter().any(|word| payload["severity"] == *word) {
                errors.push("'payload.severity' is invalid".to_owned());
            }
            let moment = payload["timestamp"].as_str().map(|at| at.parse::<jiff::Timestamp>().is_ok());
            if moment == Some(false) {
                errors.push("'payload.timestamp' is no moment".to_owned());
            }
        }
        Some("acknowledge" | "resolve") => {}
        _ => errors.push("'event_action' is invalid".to_owned()),
    }
    for link in event["links"].as_array().into_iter().flatten() {
        if !link["href"].as_str().is_some_and(|href| href.starts_with("https://")) {
            errors.push("'links' has no 'href'".to_owned());
        }
    }
    errors
}

fn unknown(object: &Value, known: &[&str]) -> Vec<String> {
    let Some(object) = object.as_object() else { return vec!["no object".to_owned()] };
    object
        .keys()
        .filter(|key| !known.contains(&key.as_str()))
        .map(|key| format!("'{key}' is unknown"))
        .collect()
}

async fn enqueue(State(pretend): State<Pretend>, headers: HeaderMap, body: Bytes) -> Response {
    let event: Value = serde_json::from_slice(&body).unwrap_or_default();
    let is_json = headers.get("content-type").is_some_and(|kind| kind == "application/json");
    let errors = if is_json { wrong(&event) } else { vec!["no JSON".to_owned()] };
    let mut kept = pretend.kept();
    let fault = kept.faults.pop_front();
    if kept.away {
        kept.heard.push((503, event));
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    match fault {
        Some(Fault::Answers(status)) => return refuse(&mut kept, event, status, None),
        Some(Fault::AsksToWait(status, wait)) => return refuse(&mut kept, event, status, Some(wait)),
        Some(Fault::Redirects) => {
            kept.heard.push((307, event));
            let elsewhere = [("location", format!("{}/hook", pretend.base))];
            return (StatusCode::TEMPORARY_REDIRECT, elsewhere).into_response();
        }
        Some(Fault::TakesAndFails) | None => {}
    }
    if !errors.is_empty() {
        kept.heard.push((400, event));
        let said =
            json!({ "status": "invalid event", "message": "Event object is invalid", "errors": errors });
        return (StatusCode::BAD_REQUEST, axum::Json(said)).into_response();
    }
    let key = event["dedup_key"].as_str().expect("a key").to_owned();
    kept.heard.push((if fault.is_some() { 500 } else { 202 }, event.clone()));
    take(&mut kept.incidents, &key, event);
    if matches!(fault, Some(Fault::TakesAndFails)) {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    let said = json!({ "status": "success", "message": "Event processed", "dedup_key": key });
    (StatusCode::ACCEPTED, axum::Json(said)).into_response()
}

fn refuse(kept: &mut Kept, event: Value, status: u16, wait: Option<u32>) -> Response {
    kept.heard.push((status, event));
    let status = StatusCode::from_u16(status).expect("a status");
    match wait {
        Some(wait) => (status, [("retry-after", wait.to_string())]).into_response(),
        None => (status, "not now").into_response(),
    }
}

/// A trigger opens an incident or adds to the open one; a resolve ends it, and of what is not open does nothing.
fn take(incidents: &mut BTreeMap<String, Incident>, key: &str, event: Value) {
    match event["event_action"].as_str() {
        Some("trigger") => {
            let incident = incidents.entry(key.to_owned()).or_default();
            incident.opened += usize::from(!incident.open);
            incident.open = true;
            incident.events.push(event);
        }
        Some("resolve") => {
            if let Some(incident) = incidents.get_mut(key) {
                incident.open = false;
                incident.events.push(event);
            }
        }
        _ => {}
    }
}

async fn hook(State(pretend): State<Pretend>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let proven = headers.get("authorization").is_some_and(|proof| proof == &format!("Bearer {BEARER}"));
    if !proven {
        return StatusCode::UNAUTHORIZED;
    }
    let Ok(said) = serde_json::from_slice(&body) else { return StatusCode::BAD_REQUEST };
    pretend.kept().hooks.push(said);
    StatusCode::NO_CONTENT
}
