//! A pretend Argo CD with one Application: its API as `server/application/application.go` of Argo CD 3 answers, and a controller that
//! takes operations up, applies them, compares, and syncs by itself where that is on. Git holds the commits 1 to 9.

#![allow(dead_code, reason = "shared by tests that each use a part")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration as StdDuration;

use hyper::Method;
use serde_json::{Value, json};
use snapback::case::id::{Duration, Timestamp};

use crate::pretend::{self, Answer, Asked, Fault, Service, Wire};

pub(crate) const NAME: &str = "checkout";
pub(crate) const PROJECT: &str = "shop";
pub(crate) const TOKEN: &str = "token-of-snapback";
/// What the account of that token is called.
pub(crate) const ACCOUNT: &str = "proj:shop:snapback";

/// The commit of this number.
pub(crate) fn commit(number: u32) -> String {
    number.to_string().repeat(40)
}

/// What becomes of one commit's sync.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Becomes {
    /// A resource cannot be applied.
    Fails(&'static str),
    /// It is applied, and never gets well.
    Degraded(&'static str),
}

pub(crate) struct State {
    pub(crate) app: Value,
    /// What the branch leads to.
    pub(crate) head: u32,
    /// The moment; `None`: the real one.
    standing: Option<Timestamp>,
    /// A sync takes so long, and its pods as long again.
    pub(crate) takes: Duration,
    pub(crate) becomes: BTreeMap<u32, Becomes>,
    /// Resources of a commit beside the Deployment: `Kind name`.
    pub(crate) extra: BTreeMap<u32, Vec<&'static str>>,
    pub(crate) messages: BTreeMap<u32, &'static str>,
    /// Commits that the repository has no more.
    pub(crate) gone: BTreeSet<u32>,
    /// What the account may.
    pub(crate) may: BTreeSet<&'static str>,
    pub(crate) windows_closed: bool,
    /// Whoever makes the Application anew switches auto-sync on again.
    pub(crate) maker_insists: bool,
    pub(crate) version: &'static str,
    /// What was done by requests of Snapback's account.
    pub(crate) effects: Vec<String>,
    /// When the newest sync was applied.
    applied_at: Option<Timestamp>,
    tried_by_itself: BTreeSet<u32>,
}

pub(crate) struct Argo {
    state: Mutex<State>,
    wire: Wire,
    changed: tokio::sync::watch::Sender<u64>,
}

fn source() -> Value {
    json!({ "repoURL": "https://git.example.com/shop.git", "path": "checkout", "targetRevision": "main" })
}

impl Argo {
    /// An Application that syncs by itself, whose clock stands at this time, or is the real one.
    pub(crate) fn start(standing: Option<Timestamp>) -> Arc<Argo> {
        let app = json!({
            "metadata": { "name": NAME, "namespace": "argocd", "uid": "0a1b2c3d-0000", "annotations": {} },
            "spec": {
                "project": PROJECT,
                "source": source(),
                "destination": { "server": "https://kubernetes.default.svc", "namespace": "shop" },
                "syncPolicy": {
                    "automated": { "prune": true, "selfHeal": true },
                    "syncOptions": ["ServerSideApply=true"],
                },
            },
            "status": {
                "history": [],
                "health": { "status": "Healthy" },
                "sync": { "status": "Unknown", "revision": "" },
                "resources": [],
            },
        });
        let state = State {
            app,
            head: 1,
            standing,
            takes: Duration::from_secs(5),
            becomes: BTreeMap::new(),
            extra: BTreeMap::new(),
            messages: BTreeMap::new(),
            gone: BTreeSet::new(),
            may: BTreeSet::from(["get", "sync", "update"]),
            windows_closed: false,
            maker_insists: false,
            version: "v3.1.8+becb020",
            effects: Vec::new(),
            applied_at: None,
            tried_by_itself: BTreeSet::new(),
        };
        let changed = tokio::sync::watch::Sender::new(0);
        let argo = Arc::new(Argo { state: Mutex::new(state), wire: Wire::default(), changed });
        pretend::listen(&argo);
        argo
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("the state")
    }

    pub(crate) fn url(&self) -> String {
        self.wire.url()
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.state().now()
    }

    /// Time passes, and the controller does what is due.
    pub(crate) fn pass(&self, seconds: i64) {
        for _ in 0..seconds {
            let mut state = self.state();
            state.standing = state.standing.map(|now| now + Duration::from_secs(1));
            state.step();
        }
        self.changed.send_modify(|count| *count += 1);
    }

    /// The controller goes on by itself, in real time.
    pub(crate) fn goes_on(self: &Arc<Argo>, pace: StdDuration) {
        let argo = Arc::downgrade(self);
        std::thread::spawn(move || {
            while let Some(argo) = argo.upgrade() {
                argo.state().step();
                argo.changed.send_modify(|count| *count += 1);
                drop(argo);
                let (_keep, waits) = std::sync::mpsc::channel::<()>();
                let _ = waits.recv_timeout(pace);
            }
        });
    }

    /// This commit was synced then, by somebody.
    pub(crate) fn has_synced(&self, number: u32, at: Timestamp) {
        let mut state = self.state();
        state.head = number;
        state.enters_history(number, source(), at - Duration::from_secs(5), at, json!({ "automated": true }));
        state.app["status"]["operationState"] = json!({
            "phase": "Succeeded",
            "message": "successfully synced (all tasks run)",
            "operation": { "sync": { "revision": commit(number) }, "initiatedBy": { "automated": true } },
            "startedAt": (at - Duration::from_secs(5)).to_string(),
            "finishedAt": at.to_string(),
            "syncResult": { "revision": commit(number), "source": source(), "resources": [] },
        });
        state.compare();
    }

    /// Somebody pushes this commit.
    pub(crate) fn pushes(&self, number: u32) {
        self.state().head = number;
    }

    /// A person syncs this commit, or parts of it.
    pub(crate) fn syncs(&self, number: u32, resources: &Value) {
        let mut state = self.state();
        state.app["operation"] = json!({
            "sync": { "revision": commit(number), "resources": resources, "source": source() },
            "initiatedBy": { "username": "ann" },
        });
        state.step();
    }

    /// The revision that was put out last, whole.
    pub(crate) fn serves(&self) -> String {
        let state = self.state();
        let history = state.app["status"]["history"].as_array().cloned().expect("a history");
        history
            .last()
            .map(|last| last["revision"].as_str().unwrap_or_default().to_owned())
            .unwrap_or_default()
    }

    /// The requests so far.
    pub(crate) fn wire_calls(&self) -> Vec<Asked> {
        self.wire.calls()
    }

    /// Requests that would change something.
    pub(crate) fn writes(&self) -> usize {
        self.wire.writes().len()
    }

    /// The next such request meets this fault.
    pub(crate) fn fault(&self, method: Method, part: &str, fault: Fault) {
        self.wire.fault(method, part, fault);
    }

    /// Hears when such a request was done.
    pub(crate) fn hear(&self, method: Method, part: &str) -> std::sync::mpsc::Receiver<()> {
        self.wire.hear(method, part)
    }

    /// Does this in the moment before such a request.
    pub(crate) fn before(&self, method: Method, part: &str, first: impl FnOnce() + Send + 'static) {
        self.wire.before(method, part, first);
    }

    pub(crate) fn effects(&self) -> Vec<String> {
        self.state().effects.clone()
    }
}

impl State {
    fn now(&self) -> Timestamp {
        #[expect(clippy::disallowed_methods, reason = "a pretend service in real time")]
        self.standing.unwrap_or_else(Timestamp::now)
    }

    /// Auto-sync has tried this commit, and does not try it again.
    pub(crate) fn tried(&mut self, number: u32) {
        self.tried_by_itself.insert(number);
    }

    fn number(revision: &str) -> u32 {
        revision[..1].parse().expect("a commit of ours")
    }

    pub(crate) fn automated(&self) -> bool {
        let automated = &self.app["spec"]["syncPolicy"]["automated"];
        automated.is_object() && automated["enabled"] != json!(false)
    }

    /// `status.resources` of a commit: what it holds, and what nobody deleted.
    fn resources(&self, number: u32) -> Vec<Value> {
        let named = |text: &&str| {
            let (kind, name) = text.split_once(' ').expect("Kind name");
            json!({ "kind": kind, "namespace": "shop", "name": name, "status": "Synced" })
        };
        let extra = self.extra.get(&number).cloned().unwrap_or_default();
        std::iter::once("Deployment checkout").chain(extra).map(|text| named(&text)).collect()
    }

    fn enters_history(&mut self, number: u32, source: Value, began: Timestamp, ended: Timestamp, by: Value) {
        let resources = self.resources(number);
        let history = self.app["status"]["history"].as_array_mut().expect("a list");
        let id = history.last().map_or(0, |last| last["id"].as_i64().expect("a number") + 1);
        history.push(json!({
            "id": id,
            "revision": commit(number),
            "source": source,
            "deployStartedAt": began.to_string(),
            "deployedAt": ended.to_string(),
            "initiatedBy": by,
        }));
        let limit = 10;
        let beyond = history.len().saturating_sub(limit);
        history.drain(..beyond);
        let there = self.app["status"]["resources"].as_array().cloned().unwrap_or_default();
        let mut all = resources;
        all.extend(
            there.into_iter().filter(|old| old["pruned"].is_null()).filter(|old| old["kind"] != "Deployment"),
        );
        let mut seen = BTreeSet::new();
        all.retain(|one| seen.insert(format!("{} {}", one["kind"], one["name"])));
        self.app["status"]["resources"] = all.into();
    }

    /// What Git asks for, and whether that is there.
    fn compare(&mut self) {
        let wanted = commit(self.head);
        let last =
            self.app["status"]["history"].as_array().and_then(|all| all.last()).cloned().unwrap_or_default();
        let synced = if last["revision"] == wanted { "Synced" } else { "OutOfSync" };
        let compared = json!({ "source": self.app["spec"]["source"] });
        self.app["status"]["sync"] = json!({ "status": synced, "revision": wanted, "comparedTo": compared });
        self.app["status"]["reconciledAt"] = self.now().to_string().into();
        let Some(applied_at) = self.applied_at else { return };
        let number = State::number(last["revision"].as_str().expect("a commit"));
        let (health, message) = match self.becomes.get(&number) {
            _ if self.now() < applied_at + self.takes => ("Progressing", "waiting for pods"),
            Some(Becomes::Degraded(message)) => ("Degraded", *message),
            Some(Becomes::Fails(_)) | None => ("Healthy", ""),
        };
        if self.app["status"]["health"]["status"] != health {
            let since = self.now().to_string();
            self.app["status"]["health"] =
                json!({ "status": health, "message": message, "lastTransitionTime": since });
        }
    }

    fn is_made_anew(&mut self) {
        if self.maker_insists {
            self.app["spec"]["syncPolicy"]["automated"] = json!({ "prune": true, "selfHeal": true });
        }
    }

    /// One turn of the controllers.
    pub(crate) fn step(&mut self) {
        self.is_made_anew();
        self.go_on();
        self.compare();
        let idle = self.app["operation"].is_null();
        let out = self.app["status"]["sync"]["status"] == "OutOfSync";
        if self.automated() && idle && out && self.tried_by_itself.insert(self.head) {
            self.app["operation"] =
                json!({ "sync": { "revision": commit(self.head) }, "initiatedBy": { "automated": true } });
        }
    }

    /// Takes up the operation that was asked for, and ends it when it is time.
    fn go_on(&mut self) {
        let operation = self.app["operation"].clone();
        if operation.is_null() {
            return;
        }
        let now = self.now();
        let state = &mut self.app["status"]["operationState"];
        if !matches!(state["phase"].as_str(), Some("Running" | "Terminating")) {
            let source = operation["sync"]
                .get("source")
                .cloned()
                .unwrap_or_else(|| self.app["spec"]["source"].clone());
            let state = &mut self.app["status"]["operationState"];
            *state = json!({
                "phase": "Running",
                "message": "waiting for completion of tasks",
                "operation": operation,
                "startedAt": now.to_string(),
                "syncResult": { "revision": operation["sync"]["revision"], "source": source, "resources": [] },
            });
            return;
        }
        if self.windows_closed {
            state["message"] = "Sync operation blocked by sync window".into();
            return;
        }
        let began: Timestamp = state["startedAt"].as_str().expect("a time").parse().expect("a time");
        let terminated = state["phase"] == "Terminating";
        if !terminated && now < began + self.takes {
            return;
        }
        let number = State::number(operation["sync"]["revision"].as_str().expect("a commit"));
        state["finishedAt"] = now.to_string().into();
        let becomes = self.becomes.get(&number).cloned();
        if terminated {
            state["phase"] = "Failed".into();
            state["message"] = "Operation terminated".into();
            self.app["operation"] = Value::Null;
            return;
        }
        let deployment = json!({ "kind": "Deployment", "namespace": "shop", "name": "checkout" });
        let told = |status: &str, message: &str| {
            let mut told = deployment.clone();
            told["status"] = status.into();
            told["message"] = message.into();
            told
        };
        if let Some(Becomes::Fails(why)) = becomes {
            state["phase"] = "Failed".into();
            state["message"] = "one or more objects failed to apply".into();
            let other =
                json!({ "kind": "ConfigMap", "namespace": "shop", "name": "settings", "status": "Synced" });
            state["syncResult"]["resources"] = json!([other, told("SyncFailed", why)]);
            self.app["operation"] = Value::Null;
            return;
        }
        state["phase"] = "Succeeded".into();
        state["message"] = "successfully synced (all tasks run)".into();
        state["syncResult"]["resources"] = json!([told("Synced", "configured")]);
        let source = state["syncResult"]["source"].clone();
        self.app["operation"] = Value::Null;
        self.applied_at = Some(now);
        let partial = operation["sync"]["resources"].as_array().is_some_and(|only| !only.is_empty());
        if !partial {
            self.enters_history(number, source, began, now, operation["initiatedBy"].clone());
        }
    }
}

impl Service for Argo {
    fn wire(&self) -> &Wire {
        &self.wire
    }

    fn answer(self: &Arc<Argo>, asked: &Asked) -> Answer {
        let answered = self.routed(asked);
        self.changed.send_modify(|count| *count += 1);
        answered.unwrap_or_else(|(status, code, message)| {
            Answer::Json(status, json!({ "error": message, "code": code, "message": message }))
        })
    }
}

/// A status of HTTP, a code of gRPC, and what is said.
type No = (u16, u16, String);

fn no(code: u16, message: &str) -> No {
    // As grpc-gateway translates them.
    let status = match code {
        3 | 9 => 400,
        5 => 404,
        7 => 403,
        16 => 401,
        _ => 500,
    };
    (status, code, message.to_owned())
}

impl Argo {
    fn routed(self: &Arc<Argo>, asked: &Asked) -> Result<Answer, No> {
        let json = |value: Value| Ok(Answer::Json(200, value));
        let path = asked.path.strip_prefix("/api/").ok_or_else(|| no(5, "Not Found"))?;
        let parts: Vec<&str> = path.split('/').collect();
        if parts == ["version"] {
            return json(json!({ "Version": self.state().version }));
        }
        if asked.token != TOKEN {
            return Err(no(16, "invalid session: token has invalid claims"));
        }
        match (&asked.method, parts.as_slice()) {
            (&Method::GET, ["v1", "account", "can-i", "applications", action, project, name]) => {
                let yes = self.state().may.contains(action) && *project == PROJECT && *name == NAME;
                json(json!({ "value": if yes { "yes" } else { "no" } }))
            }
            (&Method::GET, ["v1", "stream", "applications"]) => {
                self.allows("get", asked.query.get("name").map_or("", String::as_str), asked)?;
                let argo = self.clone();
                let line = move || {
                    json!({ "result": { "type": "MODIFIED", "application": argo.state().app } }).to_string()
                };
                Ok(Answer::Lines(self.changed.subscribe(), Arc::new(line)))
            }
            (method, ["v1", "applications", name, rest @ ..]) => {
                self.allows("get", name, asked)?;
                self.of_application(method, rest, asked)
            }
            _ => Err(no(5, "Not Found")),
        }
    }

    /// Argo CD says the same of what is not there and of what may not be seen.
    fn allows(&self, action: &str, name: &str, asked: &Asked) -> Result<(), No> {
        let project = asked.query.get("project").is_none_or(|project| project == PROJECT);
        let namespace = asked.query.get("appNamespace").is_none_or(|namespace| namespace == "argocd");
        if name == NAME && project && namespace && self.state().may.contains(action) {
            return Ok(());
        }
        Err(no(7, &format!("permission denied: applications, {action}, {PROJECT}/{name}, sub: {ACCOUNT}")))
    }

    fn of_application(&self, method: &Method, rest: &[&str], asked: &Asked) -> Result<Answer, No> {
        let json = |value: Value| Ok(Answer::Json(200, value));
        // Its maker is quicker than whoever asks next.
        self.state().is_made_anew();
        match (method, rest) {
            (&Method::GET, []) => json(self.state().app.clone()),
            (&Method::PATCH, []) => {
                self.allows("update", NAME, asked)?;
                let patch =
                    asked.body["patch"].as_str().and_then(|text| serde_json::from_str::<Value>(text).ok());
                let patch = patch.filter(|_| asked.body["patchType"] == "merge");
                let patch = patch.ok_or_else(|| no(3, "the patch cannot be read"))?;
                let mut state = self.state();
                let knows_enabled = state.version != "v2.14.2";
                let was_on = state.automated();
                merge(&mut state.app, &patch);
                // An Argo CD that does not know a field drops it.
                let automated =
                    state.app.pointer_mut("/spec/syncPolicy/automated").and_then(Value::as_object_mut);
                if let Some(automated) = automated.filter(|_| !knows_enabled) {
                    automated.remove("enabled");
                }
                if state.automated() != was_on {
                    let how = if state.automated() { "on" } else { "off" };
                    state.effects.push(format!("auto-sync {how}"));
                }
                json(state.app.clone())
            }
            (&Method::POST, ["rollback"]) => {
                self.allows("sync", NAME, asked)?;
                self.rolls_back(asked).map(|app| Answer::Json(200, app))
            }
            (&Method::DELETE, ["operation"]) => {
                self.allows("sync", NAME, asked)?;
                let mut state = self.state();
                if state.app["operation"].is_null() {
                    return Err(no(9, "Unable to terminate operation. No operation is in progress"));
                }
                if state.app["status"]["operationState"]["phase"] != "Terminating" {
                    state.app["status"]["operationState"]["phase"] = "Terminating".into();
                    state.effects.push("terminate".to_owned());
                }
                json(json!({}))
            }
            (&Method::GET, ["revisions", revision, "metadata"]) => {
                let state = self.state();
                let number = State::number(revision);
                if let Some(version) = asked.query.get("versionId") {
                    let mut history = state.app["status"]["history"].as_array().into_iter().flatten();
                    if !history.any(|entry| entry["id"].as_i64() == version.parse().ok()) {
                        return Err(no(2, &format!("revision history not found for version ID {version}")));
                    }
                }
                if state.gone.contains(&number) {
                    return Err(no(2, &format!("rpc error: unable to resolve '{revision}' to a commit SHA")));
                }
                let message = state.messages.get(&number).copied().unwrap_or("a change");
                json(
                    json!({ "author": "ann <ann@example.com>", "date": "2026-03-01T00:00:00Z", "message": message }),
                )
            }
            (&Method::GET, ["manifests"]) => {
                let state = self.state();
                let number = State::number(asked.query.get("revision").map_or("0", String::as_str));
                let manifest =
                    |one: Value| json!({ "kind": one["kind"], "metadata": {}, "name": one["name"] });
                let manifests: Vec<String> = state
                    .resources(number)
                    .into_iter()
                    .map(manifest)
                    .map(|one| {
                        json!({ "kind": one["kind"], "metadata": { "name": one["name"] } }).to_string()
                    })
                    .collect();
                json(json!({ "manifests": manifests, "revision": commit(number) }))
            }
            (&Method::GET, ["syncwindows"]) => {
                let closed = self.state().windows_closed;
                let window = json!({ "kind": "deny", "schedule": "0 22 * * *", "duration": "8h", "manualSync": false });
                let active = if closed { json!([window]) } else { json!([]) };
                json(json!({ "assignedWindows": [window], "activeWindows": active, "canSync": !closed }))
            }
            (&Method::GET, ["resource-tree"]) => {
                let state = self.state();
                let health = state.app["status"]["health"].clone();
                json(json!({ "nodes": [
                    { "kind": "Pod", "namespace": "shop", "name": "checkout-1", "health": health },
                    { "kind": "Service", "namespace": "shop", "name": "checkout", "health": { "status": "Healthy" } },
                ] }))
            }
            _ => Err(no(5, "Not Found")),
        }
    }

    fn rolls_back(&self, asked: &Asked) -> Result<Value, No> {
        let mut state = self.state();
        if state.automated() {
            return Err(no(9, "rollback cannot be initiated when auto-sync is enabled"));
        }
        let id = asked.body["id"].as_i64();
        let history = state.app["status"]["history"].as_array().cloned().unwrap_or_default();
        let Some(entry) = history.iter().find(|entry| entry["id"].as_i64() == id) else {
            return Err(no(3, &format!("application {NAME} does not have deployment with id {id:?}")));
        };
        if !state.app["operation"].is_null() {
            return Err(no(9, "another operation is already in progress"));
        }
        state.app["operation"] = json!({
            "sync": {
                "revision": entry["revision"],
                "source": entry["source"],
                "prune": asked.body["prune"],
                "syncStrategy": { "apply": {} },
                "syncOptions": state.app["spec"]["syncPolicy"]["syncOptions"],
            },
            "initiatedBy": { "username": ACCOUNT },
        });
        let number = State::number(entry["revision"].as_str().expect("a commit"));
        state.effects.push(format!("rollback to {number}"));
        Ok(state.app.clone())
    }
}

/// A merge patch (RFC 7396).
fn merge(into: &mut Value, patch: &Value) {
    let Some(fields) = patch.as_object() else {
        *into = patch.clone();
        return;
    };
    if !into.is_object() {
        *into = json!({});
    }
    for (name, value) in fields {
        if value.is_null() {
            into.as_object_mut().expect("a map").remove(name);
        } else {
            merge(&mut into[name], value);
        }
    }
}
