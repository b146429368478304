//! The state of the pretend CodeDeploy: applications with their revisions, groups, and deployments that live by the
//! world's clock. One deployment at a time in a group; a stop takes a moment; what fails or is stopped goes back by itself
//! where its settings say so; lists may be late.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use snapback::case::id::{Duration, Timestamp};

use super::behind::Behind;
use super::{Answer, Refusal};

/// Deployments on one page of a list: small, so that paging is always played.
const PAGE: usize = 3;
/// `BatchGetDeployments` takes so many.
const BATCH: usize = 25;

/// Everything that the pretend service holds.
#[derive(Default)]
pub(crate) struct State {
    pub groups: BTreeMap<(String, String), Group>,
    pub deployments: BTreeMap<String, Deployment>,
    /// AppSpecs by application and digest.
    pub revisions: BTreeMap<(String, String), String>,
    pub behind: Behind,
    /// A new deployment is listed so much later.
    pub list_delay: Duration,
    /// A group's own answer is as late as a list.
    pub stale_group: bool,
    /// What took effect, in order: `create d-… revision`, `stop d-…`, `rollback d-…`.
    pub effects: Vec<String>,
    made: u64,
}

/// A deployment group.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub platform: &'static str,
    pub blue_green: bool,
    pub auto_rollback: bool,
    pub alarms: bool,
    /// The alarm rings: it stops every deployment that does not mute it.
    pub alarm_rings: bool,
    /// How long a deployment takes until it is done.
    pub takes: Duration,
    /// How long the old fleet lives after the traffic moved.
    pub bakes: Duration,
    /// The deployment waits for somebody before the traffic moves.
    pub waits: bool,
    /// Somebody provides the machines for each deployment.
    pub own_machines: bool,
    /// How the next deployments end; without one they succeed.
    pub next_ends: Vec<Ends>,
    /// ECS service or Lambda function, in `behind`.
    pub subject: String,
}

/// How a deployment ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ends {
    Succeeds,
    /// Fails with this code, at this lifecycle event.
    Fails(&'static str, &'static str),
    /// Says that it succeeded, and nothing moved.
    OnlySaysSo,
}

/// A deployment.
#[derive(Clone, Debug)]
pub(crate) struct Deployment {
    pub id: String,
    pub application: String,
    pub group: String,
    pub revision: Value,
    pub description: String,
    pub creator: &'static str,
    pub config: String,
    pub status: &'static str,
    pub created_at: Timestamp,
    pub ended_at: Option<Timestamp>,
    pub error: Option<(String, String)>,
    pub rollback: Option<String>,
    pub triggered_by: Option<String>,
    pub rollback_message: Option<String>,
    pub external_id: Option<String>,
    pub auto_rollback: bool,
    pub mutes_alarms: bool,
    pub ends: Ends,
    pub moved: bool,
    pub stop_at: Option<(Timestamp, bool)>,
    /// The whole request by which it was created.
    pub asked: Value,
}

impl Group {
    /// A group of EC2 machines, deployed in place.
    pub(crate) fn server() -> Group {
        Group {
            platform: "Server",
            blue_green: false,
            auto_rollback: false,
            alarms: false,
            alarm_rings: false,
            takes: Duration::from_secs(20),
            bakes: Duration::ZERO,
            waits: false,
            own_machines: false,
            next_ends: Vec::new(),
            subject: String::new(),
        }
    }
}

impl Deployment {
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.status, "Succeeded" | "Failed" | "Stopped")
    }
}

impl State {
    /// Puts a group there.
    pub(crate) fn group(&mut self, application: &str, group: &str, of: Group) {
        self.groups.insert((application.into(), group.into()), of);
    }

    /// A deployment by somebody, begun at this moment.
    pub(crate) fn deploy(
        &mut self,
        application: &str,
        group: &str,
        revision: Value,
        at: Timestamp,
    ) -> String {
        let asked =
            json!({ "applicationName": application, "deploymentGroupName": group, "revision": revision });
        self.begin(application, group, &asked, "user", at)
    }

    /// The newest deployment of a group.
    pub(crate) fn newest<'s>(&'s self, application: &str, group: &str) -> Option<&'s Deployment> {
        self.of(application, group).max_by_key(|deployment| deployment.created_at)
    }

    /// Every deployment that carries a mark of ours.
    pub(crate) fn marked(&self) -> Vec<&Deployment> {
        self.deployments
            .values()
            .filter(|deployment| deployment.description.starts_with("snapback/"))
            .collect()
    }

    fn of<'s, 'k>(
        &'s self,
        application: &'k str,
        group: &'k str,
    ) -> impl Iterator<Item = &'s Deployment> + use<'s, 'k> {
        self.deployments
            .values()
            .filter(move |deployment| deployment.application == application && deployment.group == group)
    }

    fn last<'s>(&'s self, application: &str, group: &str, status: Option<&str>) -> Option<&'s Deployment> {
        self.of(application, group)
            .filter(|deployment| status.is_none_or(|status| deployment.status == status))
            .max_by_key(|deployment| deployment.created_at)
    }

    fn begin(
        &mut self,
        application: &str,
        group: &str,
        asked: &Value,
        creator: &'static str,
        at: Timestamp,
    ) -> String {
        self.made += 1;
        let id = format!("d-{:0>9}", letters(self.made));
        let mut revision = asked["revision"].clone();
        if let Some(content) = revision["appSpecContent"]["content"].as_str().map(str::to_owned) {
            let sha256 =
                revision["appSpecContent"]["sha256"].as_str().map_or_else(|| digest(&content), str::to_owned);
            self.revisions.insert((application.into(), sha256.clone()), content);
            revision["appSpecContent"] = json!({ "sha256": sha256 });
        }
        let of = self.groups.get_mut(&(application.into(), group.into())).expect("a group");
        let ends = if of.next_ends.is_empty() { Ends::Succeeds } else { of.next_ends.remove(0) };
        let enabled = asked["autoRollbackConfiguration"]["enabled"].as_bool();
        let text = |name: &str| asked[name].as_str().unwrap_or_default().to_owned();
        let deployment = Deployment {
            id: id.clone(),
            application: application.into(),
            group: group.into(),
            revision,
            description: text("description"),
            creator,
            config: text("deploymentConfigName"),
            status: "Created",
            created_at: at,
            ended_at: None,
            error: None,
            rollback: None,
            triggered_by: None,
            rollback_message: None,
            external_id: None,
            auto_rollback: enabled.unwrap_or(of.auto_rollback),
            mutes_alarms: asked["overrideAlarmConfiguration"]["enabled"] == false,
            ends,
            moved: false,
            stop_at: None,
            asked: asked.clone(),
        };
        self.deployments.insert(id.clone(), deployment);
        id
    }

    /// Moves every deployment on to this moment.
    pub(crate) fn advance(&mut self, now: Timestamp) {
        // What goes back begins another one, which may be done by now too.
        for _ in 0..3 {
            let ids: Vec<String> =
                self.deployments.values().filter(|d| !d.is_over()).map(|d| d.id.clone()).collect();
            for id in ids {
                self.advance_one(&id, now);
            }
        }
    }

    fn advance_one(&mut self, id: &str, now: Timestamp) {
        let mut deployment = self.deployments[id].clone();
        let group = self.groups[&(deployment.application.clone(), deployment.group.clone())].clone();
        let done_at = deployment.created_at + group.takes;
        if let Some((at, back)) = deployment.stop_at.filter(|(at, _)| *at <= now) {
            deployment.status = "Stopped";
            deployment.ended_at = Some(at);
            deployment.error = Some(("MANUAL_STOP".into(), "stopped by somebody".into()));
            self.deployments.insert(id.into(), deployment.clone());
            self.take_back(&deployment);
            if back {
                self.go_back(&deployment, at);
            }
            return;
        }
        if group.alarm_rings && group.alarms && !deployment.mutes_alarms {
            return self.end(
                &mut deployment,
                "Stopped",
                now,
                Some(("ALARM_ACTIVE".into(), "an alarm rings".into())),
            );
        }
        deployment.status = match now.duration_since(deployment.created_at) {
            since if since < group.takes / 10 => "Created",
            since if since < group.takes / 5 => "Queued",
            _ => "InProgress",
        };
        if now >= done_at {
            match (deployment.ends, self.behind.refusal(&group, &deployment, &self.revisions)) {
                (_, Some(why)) => return self.end(&mut deployment, "Failed", done_at, Some(why)),
                (Ends::Fails(code, event), None) => {
                    let why = Some((code.to_owned(), format!("failed at {event}")));
                    return self.end(&mut deployment, "Failed", done_at, why);
                }
                (Ends::Succeeds | Ends::OnlySaysSo, None) => {}
            }
            if group.waits && !deployment.moved {
                deployment.status = "Ready";
            } else {
                deployment.moved = true;
                if deployment.ends == Ends::Succeeds {
                    self.behind.moved(&group, &deployment, &self.revisions);
                }
                if now >= done_at + group.bakes {
                    return self.end(&mut deployment, "Succeeded", done_at + group.bakes, None);
                }
            }
        }
        self.deployments.insert(id.into(), deployment);
    }

    fn end(
        &mut self,
        deployment: &mut Deployment,
        status: &'static str,
        at: Timestamp,
        error: Option<(String, String)>,
    ) {
        let failed = status != "Succeeded";
        deployment.status = status;
        deployment.ended_at = Some(at);
        deployment.error = error;
        self.deployments.insert(deployment.id.clone(), deployment.clone());
        if failed && deployment.auto_rollback {
            self.go_back(deployment, at);
        }
    }

    /// What had moved before a stop moves back.
    fn take_back(&mut self, stopped: &Deployment) {
        if !stopped.moved {
            return;
        }
        let key = (stopped.application.clone(), stopped.group.clone());
        let group = self.groups[&key].clone();
        if let Some(last) = self.last(&key.0, &key.1, Some("Succeeded")).cloned() {
            self.behind.moved(&group, &last, &self.revisions);
        }
    }

    /// CodeDeploy's own way back: a new deployment of what succeeded last.
    fn go_back(&mut self, from: &Deployment, at: Timestamp) {
        let (application, group) = (from.application.clone(), from.group.clone());
        let Some(last) = self.last(&application, &group, Some("Succeeded")) else {
            let from = self.deployments.get_mut(&from.id).expect("it is there");
            from.rollback_message = Some("there is nothing to go back to".into());
            return;
        };
        let mut revision = last.revision.clone();
        if let Some(content) =
            self.behind.way_back(&self.groups[&(application.clone(), group.clone())], last, &self.revisions)
        {
            revision = json!({ "revisionType": "AppSpecContent", "appSpecContent": { "content": content } });
        }
        let asked = json!({ "revision": revision, "autoRollbackConfiguration": { "enabled": false } });
        let id = self.begin(&application, &group, &asked, "codeDeployRollback", at);
        let back = self.deployments.get_mut(&id).expect("it is there");
        back.triggered_by = Some(from.id.clone());
        back.mutes_alarms = true;
        self.deployments.get_mut(&from.id).expect("it is there").rollback = Some(id.clone());
        self.effects.push(format!("rollback {id} after {}", from.id));
    }
}

/// Answers one operation of CodeDeploy.
pub(crate) fn answer(state: &mut State, operation: &str, asked: &Value, now: Timestamp) -> Answer {
    match operation {
        "GetDeploymentGroup" => get_group(state, asked, now),
        "ListDeployments" => list(state, asked, now),
        "BatchGetDeployments" => batch(state, asked),
        "GetDeployment" => {
            let deployment = known(state, asked)?;
            Ok(json!({ "deploymentInfo": told(state, deployment) }))
        }
        "GetApplicationRevision" => get_revision(state, asked),
        "CreateDeployment" => create(state, asked, now),
        "StopDeployment" => stop(state, asked, now),
        "ListDeploymentTargets" => targets(state, asked),
        "BatchGetDeploymentTargets" => batch_targets(state, asked),
        other => Err(Refusal("UnknownOperationException", format!("{other} is not pretended"))),
    }
}

fn key(asked: &Value) -> (String, String) {
    let text = |name: &str| asked[name].as_str().unwrap_or_default().to_owned();
    (text("applicationName"), text("deploymentGroupName"))
}

fn group_of<'s>(state: &'s State, asked: &Value) -> Result<((String, String), &'s Group), Refusal> {
    let key = key(asked);
    if !state.groups.keys().any(|(application, _)| *application == key.0) {
        return Err(Refusal("ApplicationDoesNotExistException", format!("no application {}", key.0)));
    }
    match state.groups.get(&key) {
        Some(group) => Ok((key, group)),
        None => Err(Refusal("DeploymentGroupDoesNotExistException", format!("no group {}", key.1))),
    }
}

fn get_group(state: &State, asked: &Value, now: Timestamp) -> Answer {
    let ((application, name), group) = group_of(state, asked)?;
    let until = if state.stale_group { now - state.list_delay } else { now };
    let last = |status: Option<&str>| {
        let of = state.of(&application, &name).filter(|d| d.created_at <= until);
        let of = of.filter(|d| status.is_none_or(|status| d.status == status));
        of.max_by_key(|d| d.created_at).map(|last| {
            json!({ "deploymentId": last.id, "status": last.status, "createTime": seconds(last.created_at),
                    "endTime": last.ended_at.map(seconds) })
        })
    };
    let mut info = json!({
        "applicationName": application,
        "deploymentGroupName": name,
        "computePlatform": group.platform,
        "deploymentConfigName": "CodeDeployDefault.OneAtATime",
        "deploymentStyle": style(group),
        "autoRollbackConfiguration": { "enabled": group.auto_rollback, "events": ["DEPLOYMENT_FAILURE"] },
        "alarmConfiguration": { "enabled": group.alarms, "alarms": [{ "name": "errors" }] },
        "lastSuccessfulDeployment": last(Some("Succeeded")),
        "lastAttemptedDeployment": last(None),
        "blueGreenDeploymentConfiguration": group.blue_green.then(|| blue_green(group)),
    });
    if group.platform == "ECS" {
        info["ecsServices"] = json!([{ "serviceName": group.subject, "clusterName": "shop" }]);
    }
    Ok(json!({ "deploymentGroupInfo": without_nulls(info) }))
}

fn style(group: &Group) -> Value {
    let (kind, traffic) = if group.blue_green {
        ("BLUE_GREEN", "WITH_TRAFFIC_CONTROL")
    } else {
        ("IN_PLACE", "WITHOUT_TRAFFIC_CONTROL")
    };
    json!({ "deploymentType": kind, "deploymentOption": traffic })
}

fn list(state: &State, asked: &Value, now: Timestamp) -> Answer {
    let (key, _) = group_of(state, asked)?;
    let start = asked["createTimeRange"]["start"].as_f64().unwrap_or(0.0);
    let shown = |deployment: &&Deployment| {
        seconds(deployment.created_at) >= start && deployment.created_at + state.list_delay <= now
    };
    let mut found: Vec<&Deployment> = state.of(&key.0, &key.1).filter(shown).collect();
    found.sort_by_key(|deployment| std::cmp::Reverse(deployment.created_at));
    let first = asked["nextToken"].as_str().and_then(|token| token.parse().ok()).unwrap_or(0);
    let page: Vec<&str> =
        found.iter().skip(first).take(PAGE).map(|deployment| deployment.id.as_str()).collect();
    let more = first + PAGE < found.len();
    let mut answer = json!({ "deployments": page });
    if more {
        answer["nextToken"] = json!((first + PAGE).to_string());
    }
    Ok(answer)
}

fn batch(state: &State, asked: &Value) -> Answer {
    let ids: Vec<&str> =
        asked["deploymentIds"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if ids.len() > BATCH {
        return Err(Refusal("BatchLimitExceededException", format!("{} ids", ids.len())));
    }
    let infos: Vec<Value> = ids
        .iter()
        .filter_map(|id| state.deployments.get(*id))
        .map(|deployment| told(state, deployment))
        .collect();
    Ok(json!({ "deploymentsInfo": infos }))
}

fn known<'s>(state: &'s State, asked: &Value) -> Result<&'s Deployment, Refusal> {
    let id = asked["deploymentId"].as_str().unwrap_or_default();
    let unknown = || Refusal("DeploymentDoesNotExistException", format!("no deployment {id}"));
    state.deployments.get(id).ok_or_else(unknown)
}

fn told(state: &State, of: &Deployment) -> Value {
    let group = &state.groups[&(of.application.clone(), of.group.clone())];
    let mut rollback = Map::new();
    for (name, value) in [
        ("rollbackDeploymentId", &of.rollback),
        ("rollbackTriggeringDeploymentId", &of.triggered_by),
        ("rollbackMessage", &of.rollback_message),
    ] {
        if let Some(value) = value {
            rollback.insert(name.into(), value.clone().into());
        }
    }
    let mut revision = of.revision.clone();
    if revision["revisionType"] == "AppSpecContent" {
        revision["appSpecContent"]["content"] = Value::Null;
    }
    let done = i64::from(of.status == "Succeeded");
    without_nulls(json!({
        "applicationName": of.application,
        "deploymentGroupName": of.group,
        "deploymentId": of.id,
        "deploymentConfigName": if of.config.is_empty() { "CodeDeployDefault.OneAtATime" } else { &of.config },
        "revision": revision,
        "status": of.status,
        "creator": of.creator,
        "description": of.description,
        "createTime": seconds(of.created_at),
        "startTime": (of.status != "Created").then(|| seconds(of.created_at)),
        "completeTime": of.ended_at.map(seconds),
        "errorInformation": of.error.as_ref().map(|(code, message)| json!({ "code": code, "message": message })),
        "rollbackInfo": (!rollback.is_empty()).then_some(rollback),
        "deploymentStyle": style(group),
        "computePlatform": group.platform,
        "externalId": of.external_id,
        // On ECS the service does not set it (aws/containers-roadmap#269).
        "instanceTerminationWaitTimeStarted":
            of.moved && group.blue_green && group.platform != "ECS" && !of.is_over(),
        "blueGreenDeploymentConfiguration": group.blue_green.then(|| blue_green(group)),
        "deploymentOverview": { "Pending": 0, "InProgress": 1 - done, "Succeeded": done, "Failed": 0, "Skipped": 0, "Ready": 0 },
    }))
}

fn blue_green(group: &Group) -> Value {
    let action = if group.waits { "STOP_DEPLOYMENT" } else { "CONTINUE_DEPLOYMENT" };
    let fleet = if group.own_machines { "DISCOVER_EXISTING" } else { "COPY_AUTO_SCALING_GROUP" };
    let mut told = json!({ "deploymentReadyOption": { "actionOnTimeout": action } });
    if group.platform == "Server" {
        told["greenFleetProvisioningOption"] = json!({ "action": fleet });
    }
    told
}

fn get_revision(state: &State, asked: &Value) -> Answer {
    let application = asked["applicationName"].as_str().unwrap_or_default();
    let sha256 = asked["revision"]["appSpecContent"]["sha256"].as_str().unwrap_or_default();
    match state.revisions.get(&(application.to_owned(), sha256.to_owned())) {
        Some(content) => Ok(json!({
            "applicationName": application,
            "revision": { "revisionType": "AppSpecContent",
                          "appSpecContent": { "content": content, "sha256": sha256 } },
            "revisionInfo": {},
        })),
        None => Err(Refusal("RevisionDoesNotExistException", "no such revision".into())),
    }
}

fn create(state: &mut State, asked: &Value, now: Timestamp) -> Answer {
    let ((application, group), _) = group_of(state, asked)?;
    if let Some(active) = state.of(&application, &group).find(|deployment| !deployment.is_over()) {
        let message = format!("Deployment Group '{group}' already has an active Deployment '{}'", active.id);
        return Err(Refusal("DeploymentLimitExceededException", message));
    }
    if asked["description"].as_str().is_some_and(|text| text.chars().count() > 256) {
        return Err(Refusal("DescriptionTooLongException", "the description is too long".into()));
    }
    let revision = &asked["revision"];
    if state.behind.missing.contains(&revision.to_string()) || revision["revisionType"].is_null() {
        return Err(Refusal("RevisionDoesNotExistException", "the revision is not there".into()));
    }
    if let Some(content) = revision["appSpecContent"]["content"].as_str()
        && revision["appSpecContent"]["sha256"].as_str().is_some_and(|said| said != digest(content))
    {
        return Err(Refusal("InvalidRevisionException", "the digest is another one".into()));
    }
    let id = state.begin(&application, &group, asked, "user", now);
    state.effects.push(format!("create {id} {revision}"));
    Ok(json!({ "deploymentId": id }))
}

fn stop(state: &mut State, asked: &Value, now: Timestamp) -> Answer {
    let deployment = known(state, asked)?.clone();
    if deployment.is_over() {
        let message = format!("deployment {} is over", deployment.id);
        return Err(Refusal("DeploymentAlreadyCompletedException", message));
    }
    if deployment.stop_at.is_some() {
        return Ok(json!({ "status": "Succeeded", "statusMessage": "it is stopping" }));
    }
    let group = &state.groups[&(deployment.application.clone(), deployment.group.clone())];
    let back = asked["autoRollbackEnabled"].as_bool().unwrap_or(deployment.auto_rollback);
    let at = now + group.takes / 10;
    state.effects.push(format!("stop {}", deployment.id));
    state.deployments.get_mut(&deployment.id).expect("it is there").stop_at = Some((at, back));
    Ok(json!({ "status": "Pending", "statusMessage": "it will stop" }))
}

fn targets(state: &State, asked: &Value) -> Answer {
    let deployment = known(state, asked)?;
    if deployment.status == "Created" {
        return Err(Refusal("DeploymentNotStartedException", "not yet".into()));
    }
    Ok(json!({ "targetIds": ["i-0abc"] }))
}

fn batch_targets(state: &State, asked: &Value) -> Answer {
    let deployment = known(state, asked)?;
    let group = &state.groups[&(deployment.application.clone(), deployment.group.clone())];
    let event = match deployment.ends {
        Ends::Fails(_, event) => json!({
            "lifecycleEventName": event, "status": "Failed",
            "diagnostics": { "errorCode": "ScriptFailed", "scriptName": "scripts/start.sh",
                             "message": "exit code 1", "logTail": "[stderr] no such table: carts" },
        }),
        Ends::Succeeds | Ends::OnlySaysSo => {
            json!({ "lifecycleEventName": "Install", "status": "Succeeded" })
        }
    };
    let (kind, member) = match group.platform {
        "ECS" => ("ECSTarget", "ecsTarget"),
        "Lambda" => ("LambdaTarget", "lambdaTarget"),
        _ => ("InstanceTarget", "instanceTarget"),
    };
    let target = json!({ "targetId": "i-0abc", "deploymentId": deployment.id, "lifecycleEvents": [event] });
    Ok(json!({ "deploymentTargets": [{ "deploymentTargetType": kind, member: target }] }))
}

fn seconds(at: Timestamp) -> f64 {
    at.as_millisecond() as f64 / 1000.0
}

/// A service leaves out what it has not, with one exception that matters: `appSpecContent.content` is there and null.
fn without_nulls(value: Value) -> Value {
    let Value::Object(map) = value else { return value };
    let kept = map.into_iter().filter(|(name, value)| !value.is_null() || name == "content");
    kept.map(|(name, value)| (name, without_nulls(value))).collect::<Map<_, _>>().into()
}

/// SHA-256 in hexadecimal.
pub(crate) fn digest(text: &str) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A number in capitals and digits, as ids are written.
fn letters(mut number: u64) -> String {
    const DIGITS: &[u8; 36] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let mut text = Vec::new();
    while number > 0 {
        text.insert(0, DIGITS[usize::try_from(number % 36).expect("small")]);
        number /= 36;
    }
    String::from_utf8(text).expect("ASCII")
}
