//! A pretend Spinnaker behind its Gate: one application with a pipeline that deploys, one that goes back, tasks, and a Deployment with its
//! revisions. It answers as Gate's controllers do, takes manual triggers through Echo, which says yes before anything is there, and runs
//! executions stage by stage on the clock of the test, as Orca does.

#![allow(dead_code, reason = "shared by tests that each use a part")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration as StdDuration;

use base64::Engine as _;
use hyper::Method;
use serde_json::{Value, json};
use snapback::case::id::{Duration, Timestamp};

use crate::pretend::{self, Answer, Asked, Fault, Service, Wire};

pub(crate) const APPLICATION: &str = "checkout";
/// With a blank: names of pipelines have them.
pub(crate) const DEPLOY: &str = "Deploy to production";
pub(crate) const ROLLBACK: &str = "rollback-production";
pub(crate) const ACCOUNT: &str = "prod-eu";
pub(crate) const LOCATION: &str = "shop";
pub(crate) const TOKEN: &str = "token-of-snapback";
/// Whom Gate takes that token for.
pub(crate) const USER: &str = "snapback@example.com";

/// The image of this version.
pub(crate) fn image(version: &str) -> String {
    format!("docker.io/acme/checkout:{version}")
}

/// What becomes of what puts one version out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Becomes {
    /// The stage that deploys fails, with this context.
    Fails(Value),
    /// The first stage fails.
    FailsEarly,
    /// The stage that deploys fails, its pipeline ignores that, and Orca calls the whole a success.
    FailsUnheeded,
}

/// One execution, of a pipeline or of a task.
#[derive(Clone, Debug)]
pub(crate) struct Exec {
    pub(crate) id: String,
    /// `None`: a task.
    pub(crate) pipeline: Option<String>,
    pub(crate) status: &'static str,
    pub(crate) asked: Timestamp,
    pub(crate) started: Option<Timestamp>,
    pub(crate) ended: Option<Timestamp>,
    pub(crate) trigger: Value,
    pub(crate) stages: Vec<Value>,
    pub(crate) canceled: bool,
    pub(crate) canceled_by: Option<String>,
    pub(crate) reason: Option<String>,
    /// From then on Orca knows it.
    appears: Timestamp,
    stage_began: Timestamp,
}

impl Exec {
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.status, "NOT_STARTED" | "RUNNING" | "PAUSED")
    }

    fn version(&self) -> String {
        self.trigger["parameters"]["version"].as_str().unwrap_or_default().to_owned()
    }

    fn told(&self, expand: bool) -> Value {
        let millis = |at: Option<Timestamp>| at.map(Timestamp::as_millisecond);
        let stages: Vec<Value> = self
            .stages
            .iter()
            .cloned()
            .map(|mut stage| {
                if !expand {
                    stage["context"] = json!({});
                }
                stage
            })
            .collect();
        json!({
            "type": if self.pipeline.is_some() { "PIPELINE" } else { "ORCHESTRATION" },
            "id": self.id, "application": APPLICATION, "name": self.pipeline, "status": self.status,
            "buildTime": self.asked.as_millisecond(), "startTime": millis(self.started), "endTime": millis(self.ended),
            "canceled": self.canceled, "canceledBy": self.canceled_by, "cancellationReason": self.reason,
            "trigger": self.trigger, "authentication": { "user": self.trigger["user"] }, "stages": stages,
        })
    }

    /// As Orca's `OrchestrationViewModel`.
    fn task(&self) -> Value {
        let execution = self.told(true);
        let failed = self.stages.iter().find(|stage| stage["status"] == "TERMINAL");
        let variables = failed.map_or_else(
            || json!([]),
            |stage| {
                let context = stage["context"].as_object().cloned().unwrap_or_default();
                context.into_iter().map(|(key, value)| json!({ "key": key, "value": value })).collect()
            },
        );
        json!({
            "id": self.id, "application": APPLICATION, "name": "undo", "status": self.status,
            "buildTime": execution["buildTime"], "startTime": execution["startTime"], "endTime": execution["endTime"],
            "variables": variables, "execution": execution,
        })
    }
}

/// A revision of the Deployment.
#[derive(Clone, Debug)]
pub(crate) struct Revision {
    pub(crate) number: i64,
    pub(crate) image: String,
    pub(crate) created: Timestamp,
    name: String,
}

pub(crate) struct State {
    pub(crate) pipelines: BTreeMap<&'static str, Value>,
    pub(crate) executions: Vec<Exec>,
    pub(crate) revisions: Vec<Revision>,
    pub(crate) is_stable: bool,
    /// A container beside the application's own.
    pub(crate) sidecar: Option<&'static str>,
    /// The moment; `None`: the real one.
    standing: Option<Timestamp>,
    /// Each stage takes so long.
    pub(crate) takes: Duration,
    /// Between Gate's yes and an execution that can be read.
    pub(crate) appears_after: Duration,
    pub(crate) becomes: BTreeMap<String, Becomes>,
    /// What the account may do with the application, and with the account of the cluster.
    pub(crate) may: BTreeSet<&'static str>,
    pub(crate) roles: Vec<&'static str>,
    /// Whoever stands before it has looked who comes.
    pub(crate) lets_everybody_in: bool,
    /// What goes back changes nothing, and is called a success.
    pub(crate) undoes_nothing: bool,
    /// What Orca knows an execution under stays known when that is over.
    pub(crate) remembers_correlations: bool,
    /// What was done by requests of Snapback's account.
    pub(crate) effects: Vec<String>,
    next: u32,
}

pub(crate) struct Gate {
    state: Mutex<State>,
    wire: Wire,
}

fn stage(kind: &str, name: &str) -> Value {
    json!({ "id": name, "refId": name, "type": kind, "name": name, "status": "NOT_STARTED", "context": {} })
}

/// The rollback pipeline as `deploy/` has it.
pub(crate) fn rollback_pipeline() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/spinnaker-rollback-pipeline.json");
    let text = std::fs::read_to_string(path).expect("the file");
    serde_json::from_str(&text).expect("a pipeline")
}

impl Gate {
    /// An application whose clock stands at this time, or is the real one.
    pub(crate) fn start(standing: Option<Timestamp>) -> Arc<Gate> {
        let deploys = json!({
            "id": "0a-deploy", "name": DEPLOY, "application": APPLICATION, "limitConcurrent": true,
            "keepWaitingPipelines": true, "parameterConfig": [{ "name": "version", "required": true }],
            "stages": [stage("bakeManifest", "Bake"), stage("deployManifest", "Deploy")],
        });
        let state = State {
            pipelines: BTreeMap::from([(DEPLOY, deploys), (ROLLBACK, rollback_pipeline())]),
            executions: Vec::new(),
            revisions: Vec::new(),
            is_stable: true,
            sidecar: None,
            standing,
            takes: Duration::from_secs(5),
            appears_after: Duration::ZERO,
            becomes: BTreeMap::new(),
            may: BTreeSet::from(["READ", "EXECUTE", "WRITE"]),
            roles: vec!["snapback"],
            lets_everybody_in: false,
            undoes_nothing: false,
            remembers_correlations: false,
            effects: Vec::new(),
            next: 0,
        };
        let gate = Arc::new(Gate { state: Mutex::new(state), wire: Wire::default() });
        pretend::listen(&gate);
        gate
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

    /// Time passes, and Orca does what is due.
    pub(crate) fn pass(&self, seconds: i64) {
        for _ in 0..seconds {
            let mut state = self.state();
            state.standing = state.standing.map(|now| now + Duration::from_secs(1));
            state.step();
        }
    }

    /// Orca goes on by itself, in real time.
    pub(crate) fn goes_on(self: &Arc<Gate>, pace: StdDuration) {
        let gate = Arc::downgrade(self);
        std::thread::spawn(move || {
            while let Some(gate) = gate.upgrade() {
                gate.state().step();
                drop(gate);
                let (_keep, waits) = std::sync::mpsc::channel::<()>();
                let _ = waits.recv_timeout(pace);
            }
        });
    }

    /// This version went out then, by somebody.
    pub(crate) fn has_deployed(&self, version: &str, at: Timestamp) {
        let mut state = self.state();
        let began = at - Duration::from_secs(10);
        let id = state.asks(DEPLOY, &trigger(version, "ann"), began);
        state.deploys(&image(version), at);
        let one = state.one(&id);
        one.status = "SUCCEEDED";
        (one.started, one.ended) = (Some(began), Some(at));
        one.stages.iter_mut().for_each(|stage| stage["status"] = "SUCCEEDED".into());
    }

    /// Somebody runs this pipeline now; its id.
    pub(crate) fn runs(&self, pipeline: &'static str, version: &str) -> String {
        let mut state = self.state();
        let now = state.now();
        let id = state.asks(pipeline, &trigger(version, "ann"), now);
        state.step();
        id
    }

    /// What the Deployment runs.
    pub(crate) fn serves(&self) -> String {
        let state = self.state();
        state.live().image.rsplit(':').next().expect("a tag").to_owned()
    }

    /// The newest execution of this pipeline; `None`: the newest task.
    pub(crate) fn newest(&self, pipeline: Option<&str>) -> Option<Exec> {
        self.state().executions.iter().rfind(|one| one.pipeline.as_deref() == pipeline).cloned()
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

/// A person's trigger, as Deck sends it.
pub(crate) fn trigger(version: &str, user: &str) -> Value {
    json!({
        "type": "manual", "user": user, "parameters": { "version": version },
        "artifacts": [{ "type": "docker/image", "name": "docker.io/acme/checkout", "version": version, "reference": image(version) }],
    })
}

impl State {
    fn now(&self) -> Timestamp {
        #[expect(clippy::disallowed_methods, reason = "a pretend service in real time")]
        self.standing.unwrap_or_else(Timestamp::now)
    }

    pub(crate) fn one(&mut self, id: &str) -> &mut Exec {
        self.executions.iter_mut().find(|one| one.id == id).expect("an execution of this id")
    }

    pub(crate) fn live(&self) -> &Revision {
        self.revisions.iter().max_by_key(|revision| revision.number).expect("a revision")
    }

    /// A new template gets a revision; one that was there gets a new number.
    fn deploys(&mut self, image: &str, at: Timestamp) {
        let number = self.revisions.iter().map(|of| of.number).max().unwrap_or(0) + 1;
        if self.revisions.iter().max_by_key(|of| of.number).is_some_and(|live| live.image == image) {
            return;
        }
        match self.revisions.iter_mut().find(|known| known.image == image) {
            Some(known) => known.number = number,
            None => self.revisions.push(Revision {
                number,
                image: image.to_owned(),
                created: at,
                name: format!("checkout-5d8f{}", self.revisions.len()),
            }),
        }
    }

    /// Orca takes an execution. One under a correlation that is known is that one.
    fn asks(&mut self, pipeline: &str, trigger: &Value, at: Timestamp) -> String {
        self.next += 1;
        let id = format!("01HX{:04}", self.next);
        let stages = self.pipelines[pipeline]["stages"].as_array().cloned().unwrap_or_default();
        self.takes_up(Some(pipeline.to_owned()), id.clone(), trigger, stages, at);
        id
    }

    fn takes_up(
        &mut self,
        pipeline: Option<String>,
        id: String,
        trigger: &Value,
        stages: Vec<Value>,
        at: Timestamp,
    ) -> bool {
        let correlation = trigger["correlationId"].as_str();
        let remembers = self.remembers_correlations;
        let known = |one: &&Exec| {
            one.pipeline.is_some() == pipeline.is_some()
                && (one.is_open() || remembers)
                && one.trigger["correlationId"].as_str() == correlation
        };
        if correlation.is_some() && self.executions.iter().any(|one| known(&one)) {
            return false;
        }
        let fresh = |mut stage: Value| {
            stage["status"] = "NOT_STARTED".into();
            stage
        };
        self.executions.push(Exec {
            id,
            pipeline,
            status: "NOT_STARTED",
            asked: at,
            started: None,
            ended: None,
            trigger: trigger.clone(),
            stages: stages.into_iter().map(fresh).collect(),
            canceled: false,
            canceled_by: None,
            reason: None,
            appears: at + self.appears_after,
            stage_began: at,
        });
        true
    }

    /// One turn of Orca.
    pub(crate) fn step(&mut self) {
        let now = self.now();
        for nth in 0..self.executions.len() {
            let one = &self.executions[nth];
            if !one.is_open() || one.appears > now {
                continue;
            }
            if one.canceled {
                self.ends(nth, "CANCELED");
                continue;
            }
            match one.status {
                "NOT_STARTED" => self.begins(nth),
                "RUNNING" => self.goes_on(nth),
                _ => {}
            }
        }
    }

    fn ends(&mut self, nth: usize, status: &'static str) {
        let now = self.now();
        let one = &mut self.executions[nth];
        one.status = status;
        one.ended = Some(now);
        let running = one.stages.iter_mut().filter(|stage| stage["status"] == "RUNNING");
        running.for_each(|stage| stage["status"] = status.into());
    }

    fn begins(&mut self, nth: usize) {
        let now = self.now();
        if let Some(pipeline) = &self.executions[nth].pipeline {
            let config = &self.pipelines[pipeline.as_str()];
            let runs = |one: &Exec| {
                one.pipeline.as_ref() == Some(pipeline) && matches!(one.status, "RUNNING" | "PAUSED")
            };
            if config["limitConcurrent"] == true && self.executions.iter().any(runs) {
                let newer = self.executions[nth + 1..]
                    .iter()
                    .any(|one| one.pipeline.as_ref() == Some(pipeline) && one.status == "NOT_STARTED");
                if config["keepWaitingPipelines"] == false && newer {
                    self.executions[nth].canceled_by = Some("system".to_owned());
                    self.ends(nth, "CANCELED");
                }
                return;
            }
        }
        let one = &mut self.executions[nth];
        one.status = "RUNNING";
        (one.started, one.stage_began) = (Some(now), now);
        if let Some(first) = one.stages.first_mut() {
            first["status"] = "RUNNING".into();
        }
    }

    fn goes_on(&mut self, nth: usize) {
        let now = self.now();
        let one = self.executions[nth].clone();
        let Some(at) = one.stages.iter().position(|stage| stage["status"] == "RUNNING") else { return };
        let kind = one.stages[at]["type"].as_str().expect("a type").to_owned();
        if now < one.stage_began + self.takes || kind == "manualJudgment" {
            return;
        }
        let version = one.version();
        let becomes = self.becomes.get(&version).cloned();
        let deploys = matches!(kind.as_str(), "deployManifest" | "undoRolloutManifest");
        let failure = match becomes {
            Some(Becomes::FailsEarly) if at == 0 => {
                Some(json!({ "exception": { "details": { "errors": ["no such chart"] } } }))
            }
            Some(Becomes::Fails(context)) if deploys => Some(context),
            // Clouddriver asks whether whoever began it may write to the account.
            _ if deploys && one.trigger["user"] == USER && !self.may.contains("WRITE") => Some(
                json!({ "exception": { "details": { "errors": [format!("Access denied to account {ACCOUNT}")] } } }),
            ),
            _ => None,
        };
        if let Some(context) = failure {
            let stage = &mut self.executions[nth].stages[at];
            stage["status"] = "TERMINAL".into();
            merge(&mut stage["context"], &context);
            return self.ends(nth, "TERMINAL");
        }
        let fails_unheeded = deploys && matches!(self.becomes.get(&version), Some(Becomes::FailsUnheeded));
        // A condition of the stage is not met.
        let skips = !fails_unheeded && self.undoes_nothing && one.pipeline.as_deref() == Some(ROLLBACK);
        if kind == "deployManifest" && !skips && !fails_unheeded {
            self.deploys(&image(&version), now);
        }
        if kind == "undoRolloutManifest" && !self.undoes_nothing {
            let number: i64 = one.stages[at]["context"]["revision"]
                .as_str()
                .and_then(|of| of.parse().ok())
                .expect("a number");
            let image = self.revisions.iter().find(|of| of.number == number).map(|of| of.image.clone());
            let Some(image) = image else {
                let why = json!({ "exception": { "details": { "errors": [format!("unable to find specified revision {number}")] } } });
                merge(&mut self.executions[nth].stages[at]["context"], &why);
                self.executions[nth].stages[at]["status"] = "TERMINAL".into();
                return self.ends(nth, "TERMINAL");
            };
            self.deploys(&image, now);
        }
        let one = &mut self.executions[nth];
        let ended = if fails_unheeded {
            "FAILED_CONTINUE"
        } else if skips {
            "SKIPPED"
        } else {
            "SUCCEEDED"
        };
        one.stages[at]["status"] = ended.into();
        one.stages[at]["endTime"] = now.as_millisecond().into();
        one.stage_began = now;
        match one.stages.get_mut(at + 1) {
            Some(next) => next["status"] = "RUNNING".into(),
            None => self.ends(nth, "SUCCEEDED"),
        }
    }
}

fn merge(into: &mut Value, more: &Value) {
    for (name, value) in more.as_object().into_iter().flatten() {
        into[name] = value.clone();
    }
}

/// A status, and what is said.
type No = (u16, String);

fn no(status: u16, message: &str) -> No {
    (status, message.to_owned())
}

impl Service for Gate {
    fn wire(&self) -> &Wire {
        &self.wire
    }

    fn answer(self: &Arc<Gate>, asked: &Asked) -> Answer {
        match self.routed(asked) {
            Ok(told) => Answer::Json(if asked.path.starts_with("/pipelines/v2/") { 202 } else { 200 }, told),
            Err((status, message)) => {
                Answer::Json(status, json!({ "status": status, "error": "no", "message": message }))
            }
        }
    }
}

impl Gate {
    fn routed(&self, asked: &Asked) -> Result<Value, No> {
        let mut state = self.state();
        if asked.token != TOKEN && !state.lets_everybody_in {
            return Err(no(401, "Unauthorized"));
        }
        let path: Vec<String> = asked.path.split('/').skip(1).map(|part| part.replace("%20", " ")).collect();
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        match (&asked.method, path.as_slice()) {
            (&Method::GET, ["auth", "user"]) => {
                Ok(json!({ "username": USER, "email": USER, "roles": state.roles, "isAdmin": false }))
            }
            (&Method::GET, ["applications", application, rest @ ..]) => {
                state.reads(application)?;
                state.of_application(rest, asked)
            }
            (&Method::GET, ["pipelines", id]) => state.execution(id, true).map(|one| one.told(true)),
            (&Method::GET, ["tasks", id]) => state.execution(id, false).map(|one| one.task()),
            (&Method::PUT, ["pipelines", id, "cancel"]) => {
                let one = state.execution(id, true)?;
                state.needs("EXECUTE")?;
                if one.is_open() && !one.canceled {
                    state.effects.push(format!("cancel {}", one.version()));
                    let one = state.one(id);
                    one.canceled = true;
                    one.canceled_by = Some(USER.to_owned());
                    one.reason = asked.query.get("reason").cloned();
                }
                Ok(Value::Null)
            }
            (&Method::POST, ["pipelines", "v2", application, pipeline]) => {
                state.reads(application)?;
                state.needs("EXECUTE")?;
                Ok(state.through_echo(pipeline, &asked.body))
            }
            (&Method::POST, ["tasks"]) => state.task(&asked.body),
            (&Method::GET, ["manifests", account, location, name]) => {
                state.needs("READ")?;
                if *account != ACCOUNT || *location != LOCATION {
                    return Err(no(404, "Manifest not found"));
                }
                state.manifest(name)
            }
            _ => Err(no(404, "Not Found")),
        }
    }
}

impl State {
    fn needs(&self, right: &str) -> Result<(), No> {
        if self.may.contains(right) {
            Ok(())
        } else {
            Err(no(
                403,
                &format!("Access denied to application {APPLICATION} - required authorization: {right}"),
            ))
        }
    }

    fn reads(&self, application: &str) -> Result<(), No> {
        if application != APPLICATION {
            return Err(no(404, "Application not found"));
        }
        self.needs("READ")
    }

    fn execution(&self, id: &str, of_pipeline: bool) -> Result<Exec, No> {
        let now = self.now();
        let is_it = |one: &&Exec| one.id == id && one.pipeline.is_some() == of_pipeline && one.appears <= now;
        self.executions
            .iter()
            .find(is_it)
            .cloned()
            .ok_or_else(|| no(404, &format!("Pipeline not found (id: {id})")))
    }

    fn of_application(&self, rest: &[&str], asked: &Asked) -> Result<Value, No> {
        let now = self.now();
        match rest {
            [] => Ok(json!({ "name": APPLICATION, "attributes": { "permissions": permissions() } })),
            ["pipelineConfigs", name] => {
                self.pipelines.get(name).cloned().ok_or_else(|| no(404, "Pipeline config not found"))
            }
            ["executions", "search"] => {
                let name = asked.query.get("pipelineName");
                let size: usize = asked.query.get("size").and_then(|size| size.parse().ok()).unwrap_or(10);
                let subset = asked.query.get("trigger").map(|text| {
                    let bytes = base64::prelude::BASE64_STANDARD.decode(text).expect("base64");
                    serde_json::from_slice::<Value>(&bytes).expect("a trigger")
                });
                let fits = |one: &&Exec| {
                    one.pipeline.is_some()
                        && one.pipeline.as_ref() == name
                        && one.appears <= now
                        && subset.as_ref().is_none_or(|subset| {
                            subset
                                .as_object()
                                .expect("a map")
                                .iter()
                                .all(|(name, value)| &one.trigger[name] == value)
                        })
                };
                let mut all: Vec<&Exec> = self.executions.iter().filter(fits).collect();
                all.sort_by(|one, other| (other.asked, &other.id).cmp(&(one.asked, &one.id)));
                let expand = asked.query.get("expand").is_some_and(|expand| expand == "true");
                Ok(all.into_iter().take(size).map(|one| one.told(expand)).collect())
            }
            ["tasks"] => {
                let limit: usize =
                    asked.query.get("limit").and_then(|limit| limit.parse().ok()).unwrap_or(3500);
                let tasks =
                    self.executions.iter().rev().filter(|one| one.pipeline.is_none() && one.appears <= now);
                Ok(tasks.take(limit).map(Exec::task).collect())
            }
            ["clusters", ACCOUNT, "deployment checkout", "serverGroups"] => Ok(self.server_groups()),
            ["clusters", ..] => Ok(json!([])),
            _ => Err(no(404, "Not Found")),
        }
    }

    /// Gate chooses the ids and says yes; Echo looks for the pipeline afterwards, and starts none that is disabled.
    fn through_echo(&mut self, pipeline: &str, trigger: &Value) -> Value {
        self.next += 1;
        let id = format!("01HX{:04}", self.next);
        let mut trigger = trigger.clone();
        trigger["user"] = USER.into();
        trigger["executionId"] = id.clone().into();
        let enabled = self.pipelines.get(pipeline).filter(|config| config["disabled"] != true);
        if let Some(stages) = enabled.map(|config| config["stages"].as_array().cloned().unwrap_or_default()) {
            let version = trigger["parameters"]["version"].as_str().unwrap_or_default().to_owned();
            let now = self.now();
            if self.takes_up(Some(pipeline.to_owned()), id.clone(), &trigger, stages, now) {
                self.effects.push(format!("run {pipeline} {version}"));
            }
        }
        json!({ "eventId": format!("0b{}", self.next), "ref": format!("/pipelines/{id}") })
    }

    fn task(&mut self, body: &Value) -> Result<Value, No> {
        let mut jobs: Vec<Value> = body["job"].as_array().cloned().unwrap_or_default();
        if body["application"] != APPLICATION || jobs.len() != 1 || jobs[0]["type"] != "undoRolloutManifest" {
            return Err(no(400, "no such operation"));
        }
        let job = jobs.remove(0);
        let mut one = stage("undoRolloutManifest", "undo");
        merge(&mut one["context"], &job);
        self.next += 1;
        let id = format!("01HT{:04}", self.next);
        let mut trigger = body["trigger"].clone();
        trigger["user"] = USER.into();
        let now = self.now();
        if self.takes_up(None, id.clone(), &trigger, vec![one], now) {
            self.effects.push(format!("undo to {}", job["revision"].as_str().unwrap_or("nothing")));
            return Ok(json!({ "ref": format!("/tasks/{id}") }));
        }
        let known =
            self.executions.iter().find(|known| known.trigger["correlationId"] == trigger["correlationId"]);
        Ok(json!({ "ref": format!("/tasks/{}", known.expect("it is known").id) }))
    }

    fn server_groups(&self) -> Value {
        let group = |of: &Revision| {
            json!({
                "name": format!("replicaSet {}", of.name), "account": ACCOUNT, "region": LOCATION, "kind": "replicaSet",
                "createdTime": of.created.as_millisecond(), "moniker": { "cluster": "deployment checkout", "sequence": of.number },
                "buildInfo": { "images": [of.image] },
            })
        };
        self.revisions.iter().map(group).collect()
    }

    fn manifest(&self, name: &str) -> Result<Value, No> {
        let (kind, name) = name.split_once(' ').ok_or_else(|| no(400, "no kind"))?;
        let of = match kind {
            "deployment" if name == "checkout" => self.live(),
            "replicaSet" => self
                .revisions
                .iter()
                .find(|of| of.name == name)
                .ok_or_else(|| no(404, "Manifest not found"))?,
            _ => return Err(no(404, "Manifest not found")),
        };
        let owner = json!([{ "kind": "Deployment", "name": "checkout", "controller": true }]);
        let beside = self.sidecar.map(|image| json!({ "name": "proxy", "image": image }));
        let containers: Vec<Value> =
            std::iter::once(json!({ "name": "app", "image": of.image })).chain(beside).collect();
        let stable = if self.is_stable {
            json!({ "state": true })
        } else {
            json!({ "state": false, "message": "Waiting for all replicas to be available" })
        };
        Ok(json!({
            "account": ACCOUNT, "location": LOCATION, "name": format!("{kind} {name}"),
            "manifest": {
                "apiVersion": "apps/v1", "kind": if kind == "deployment" { "Deployment" } else { "ReplicaSet" },
                "metadata": {
                    "name": name, "namespace": LOCATION,
                    "annotations": { "deployment.kubernetes.io/revision": of.number.to_string() },
                    "ownerReferences": if kind == "replicaSet" { owner } else { Value::Null },
                },
                "spec": { "template": { "spec": { "containers": containers } } },
            },
            "status": { "stable": stable, "failed": { "state": false }, "paused": { "state": false }, "available": { "state": true } },
        }))
    }
}

/// The permissions of the application, as `deploy/` has them.
pub(crate) fn permissions() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/spinnaker-permissions.json");
    let text = std::fs::read_to_string(path).expect("the file");
    serde_json::from_str::<Value>(&text).expect("permissions")["application"]["permissions"].clone()
}
