//! The controller of Argo's Rollouts: canary steps and blue/green, aborting, retrying, undoing, and the `status` that tells a
//! release that was verified from one that is only wanted.

use serde_json::{Value, json};
use snapback::case::id::Timestamp;

use super::defaults;
use super::deployments::{Kept, count_text};
use super::json::{count, hash, int, list, set, take, text, truth};
use super::kinds;
use super::pods::{bare, scale};
use super::store::{Key, State, owner_of};

const LABEL: &str = "rollouts-pod-template-hash";
const LABEL_AT: &str = "/metadata/labels/rollouts-pod-template-hash";
const REVISION: &str = "/metadata/annotations/rollout.argoproj.io~1revision";
const DEADLINE: &str = "/metadata/annotations/argo-rollouts.argoproj.io~1scale-down-deadline";

/// Lets every Rollout take its part.
pub(crate) fn work(state: &mut State) {
    for (key, rollout) in state.all("rollouts.argoproj.io", None) {
        if rollout.pointer("/metadata/deletionTimestamp").is_none() {
            one(state, &key, &rollout);
        }
    }
}

/// Finishes the step at which a Rollout stands, or its pause before the switch.
pub(crate) fn promote(state: &mut State, namespace: &str, name: &str) {
    let key = Key::of(kinds::named("rollouts"), namespace, name);
    state.edit(&key, |rollout| {
        let pauses = !list(rollout, "/status/pauseConditions").is_empty();
        take(rollout, "/status/pauseConditions");
        if !pauses {
            let next = count(rollout, "/status/currentStepIndex") + 1;
            set(rollout, "/status/currentStepIndex", next);
        }
    });
}

fn sets_of(state: &State, rollout: &Value) -> Vec<Kept> {
    let namespace = text(rollout, "/metadata/namespace");
    let mut sets = state.owned("replicasets.apps", namespace, text(rollout, "/metadata/uid"));
    sets.sort_by_key(|(_, set)| count_text(set, REVISION));
    sets
}

/// The template that is wanted: the Rollout's own, or that of the Deployment to which it refers.
fn template(state: &State, rollout: &Value) -> Value {
    let referred = text(rollout, "/spec/workloadRef/name");
    if referred.is_empty() {
        // The API server fills nothing into a custom resource; its controller compares as if it did.
        let mut template = rollout["spec"]["template"].clone();
        if !template.is_null() {
            defaults::template(&mut template);
        }
        return template;
    }
    let key = Key::of(kinds::named("deployments"), text(rollout, "/metadata/namespace"), referred);
    state.get(&key).map(|object| object["spec"]["template"].clone()).unwrap_or_default()
}

/// The ReplicaSet of a template, made where it is missing; and whether it is within the window in which steps are skipped.
fn current_set(state: &mut State, key: &Key, rollout: &Value, template: &Value) -> (Kept, bool) {
    let sets = sets_of(state, rollout);
    let found = sets.iter().find(|(_, set)| bare(&set["spec"]["template"], LABEL) == bare(template, LABEL));
    let others = sets.iter().filter(|(key, _)| found.is_none_or(|(found, _)| found != key));
    let next = others.map(|(_, set)| count_text(set, REVISION)).max().unwrap_or(0) + 1;
    state.edit(key, |object| set(object, REVISION, next.to_string()));
    if let Some((found, there)) = found {
        let stable = text(rollout, "/status/stableRS");
        let stable = sets.iter().find(|(_, set)| text(set, LABEL_AT) == stable);
        let (from, to) =
            (stable.map_or(0, |(_, set)| count_text(set, REVISION)), count_text(there, REVISION));
        let between = sets.iter().filter(|(_, set)| (to..from).contains(&count_text(set, REVISION))).count();
        let window = usize::try_from(count(rollout, "/spec/rollbackWindow/revisions")).unwrap_or(0);
        state.edit(found, |object| {
            if count_text(object, REVISION) < next {
                set(object, REVISION, next.to_string());
            }
        });
        let kept = (found.clone(), state.get(found).expect("it is there").clone());
        return (kept, to < from && between <= window);
    }
    let hash = hash(&template.to_string());
    let mut template = template.clone();
    set(&mut template, LABEL_AT, hash.clone());
    let mut selector = rollout["spec"]["selector"].clone();
    set(&mut selector, "/matchLabels/rollouts-pod-template-hash", hash.clone());
    let name = format!("{}-{hash}", key.name);
    let mut made = json!({
        "metadata": {
            "name": name, "labels": template["metadata"]["labels"], "ownerReferences": owner_of(rollout),
        },
        "spec": { "replicas": 0, "selector": selector, "template": template },
    });
    set(&mut made, REVISION, next.to_string());
    let kind = kinds::named("replicasets");
    let made = state.add(kind, &key.namespace, made);
    ((Key::of(kind, &key.namespace, &name), made), false)
}

fn one(state: &mut State, key: &Key, rollout: &Value) {
    let template = template(state, rollout);
    if template.is_null() {
        return;
    }
    let (current, in_window) = current_set(state, key, rollout, &template);
    let hash = text(&current.1, LABEL_AT).to_owned();
    let mut status = if rollout["status"].is_object() { rollout["status"].clone() } else { json!({}) };
    if text(&status, "/currentPodHash") != hash {
        for field in ["abort", "abortedAt", "pauseConditions", "controllerPause", "promoteFull", "conditions"]
        {
            take(&mut status, &format!("/{field}"));
        }
        status["currentPodHash"] = json!(hash);
        let steps = list(rollout, "/spec/strategy/canary/steps").len();
        status["currentStepIndex"] = json!(if in_window { steps } else { 0 });
        if in_window {
            status["promoteFull"] = json!(true);
        }
    }
    if truth(&status, "/abort") {
        if text(&status, "/abortedAt").is_empty() {
            status["abortedAt"] = json!(state.time());
        }
        status["currentStepIndex"] = json!(0);
        take(&mut status, "/pauseConditions");
        take(&mut status, "/controllerPause");
    } else {
        take(&mut status, "/abortedAt");
    }
    let mut plan = Plan { rollout, current, hash, status };
    if rollout["spec"]["strategy"]["blueGreen"].is_object() {
        plan.blue_green(state);
    } else {
        plan.canary(state);
    }
    plan.report(state, key);
}

/// One look at a Rollout.
struct Plan<'r> {
    rollout: &'r Value,
    current: Kept,
    hash: String,
    status: Value,
}

impl Plan<'_> {
    fn wanted(&self) -> i64 {
        int(self.rollout, "/spec/replicas").unwrap_or(1)
    }

    fn available(&self, state: &State) -> i64 {
        state.get(&self.current.0).map_or(0, |set| count(set, "/status/availableReplicas"))
    }

    /// The verified ReplicaSet; `None`: there is none yet, or it is the wanted one.
    fn stable(&self, state: &State) -> Option<Kept> {
        let stable = text(&self.status, "/stableRS");
        let mut sets = sets_of(state, self.rollout).into_iter();
        sets.find(|(key, set)| text(set, LABEL_AT) == stable && *key != self.current.0)
    }

    /// Scales every ReplicaSet but these to nothing.
    fn only(&self, state: &mut State, kept: &[&Key]) {
        for (key, _) in sets_of(state, self.rollout) {
            if !kept.contains(&&key) {
                scale(state, &key, 0);
            }
        }
    }

    /// Whether it goes straight to the end: it is the first, or the stable one again, or somebody said so.
    fn goes_straight(&self) -> bool {
        let stable = text(&self.status, "/stableRS");
        stable.is_empty() || stable == self.hash || truth(&self.status, "/promoteFull")
    }

    fn verified(&mut self) {
        self.status["stableRS"] = json!(self.hash);
        take(&mut self.status, "/promoteFull");
        take(&mut self.status, "/controllerPause");
    }

    fn weigh(&mut self, weight: i64) {
        let stable = text(&self.status, "/stableRS").to_owned();
        self.status["canary"]["weights"] = json!({
            "canary": { "weight": weight, "podTemplateHash": self.hash },
            "stable": { "weight": 100 - weight, "podTemplateHash": stable },
        });
    }

    fn canary(&mut self, state: &mut State) {
        let steps = list(self.rollout, "/spec/strategy/canary/steps");
        let all = i64::try_from(steps.len()).expect("a few");
        let current = self.current.0.clone();
        if truth(&self.status, "/abort") {
            if let Some((stable, _)) = self.stable(state) {
                scale(state, &stable, self.wanted());
                self.only(state, &[&stable]);
            }
            self.weigh(0);
            return;
        }
        if self.goes_straight() {
            self.status["currentStepIndex"] = json!(all);
            take(&mut self.status, "/pauseConditions");
            take(&mut self.status, "/controllerPause");
        }
        while count(&self.status, "/currentStepIndex") < all && self.step_is_done(state, steps) {
            self.status["currentStepIndex"] = json!(count(&self.status, "/currentStepIndex") + 1);
        }
        let nth = count(&self.status, "/currentStepIndex").min(all);
        let weight = self.weight(steps);
        let canaries = (self.wanted() * weight + 99) / 100;
        scale(state, &current, canaries);
        if let Some((stable, _)) = self.stable(state) {
            let routed = self.rollout["spec"]["strategy"]["canary"]["trafficRouting"].is_object();
            let up = self.available(state).min(canaries);
            scale(state, &stable, if routed { self.wanted() } else { self.wanted() - up });
            self.only(state, &[&current, &stable]);
        }
        self.weigh(weight);
        if nth == all && self.available(state) >= self.wanted() {
            self.verified();
            self.only(state, &[&current]);
            self.weigh(0);
        }
    }

    /// The share of the canary at the step where it stands.
    fn weight(&self, steps: &[Value]) -> i64 {
        let nth = usize::try_from(count(&self.status, "/currentStepIndex")).unwrap_or(0);
        if nth >= steps.len() {
            return 100;
        }
        steps[..=nth].iter().rev().find_map(|step| int(step, "/setWeight")).unwrap_or(0)
    }

    fn step_is_done(&mut self, state: &State, steps: &[Value]) -> bool {
        if truth(self.rollout, "/spec/paused") {
            return false;
        }
        let step = &steps[usize::try_from(count(&self.status, "/currentStepIndex")).unwrap_or(0)];
        if let Some(weight) = int(step, "/setWeight") {
            return self.available(state) >= (self.wanted() * weight + 99) / 100;
        }
        if let Some(pause) = step.get("pause") {
            let duration = seconds(&pause["duration"]);
            return self.pause_is_over(state, "CanaryPauseStep", duration);
        }
        // An analysis or an experiment lasts until the test says that it is over; the rest is done at once.
        step.get("analysis").is_none() && step.get("experiment").is_none()
    }

    /// Begins a pause, or says whether it is over: its time is, or somebody took its condition away.
    fn pause_is_over(&mut self, state: &State, reason: &str, duration: Option<i64>) -> bool {
        let since = text(&self.status, "/pauseConditions/0/startTime").parse::<Timestamp>().ok();
        let begun = truth(&self.status, "/controllerPause");
        let over = match (since, duration) {
            (None, _) => begun,
            (Some(since), Some(seconds)) => state.now.as_second() - since.as_second() >= seconds,
            (Some(_), None) => false,
        };
        if over {
            take(&mut self.status, "/pauseConditions");
            take(&mut self.status, "/controllerPause");
        } else if !begun {
            self.status["pauseConditions"] = json!([{ "reason": reason, "startTime": state.time() }]);
            self.status["controllerPause"] = json!(true);
        }
        over
    }

    fn blue_green(&mut self, state: &mut State) {
        let current = self.current.0.clone();
        self.status["blueGreen"]["previewSelector"] = json!(self.hash);
        if truth(&self.status, "/abort") {
            if let Some((stable, set)) = self.stable(state) {
                self.status["blueGreen"]["activeSelector"] = json!(text(&set, LABEL_AT));
                scale(state, &stable, self.wanted());
                self.only(state, &[&stable]);
            }
            return;
        }
        // One that is still up from before goes on at once.
        let deadline = state.get(&current).and_then(|set| text(set, DEADLINE).parse::<Timestamp>().ok());
        let fast = self.goes_straight() || deadline.is_some_and(|deadline| deadline > state.now);
        state.edit(&current, |set| drop(take(set, DEADLINE)));
        scale(state, &current, self.wanted());
        if self.available(state) < self.wanted() {
            return;
        }
        let asks = self.rollout["spec"]["strategy"]["blueGreen"]["autoPromotionEnabled"] == false;
        let switched = text(&self.status, "/blueGreen/activeSelector") == self.hash;
        if asks && !switched && !fast && !self.pause_is_over(state, "BlueGreenPause", None) {
            return;
        }
        self.status["blueGreen"]["activeSelector"] = json!(self.hash);
        self.verified();
        let delay = int(self.rollout, "/spec/strategy/blueGreen/scaleDownDelaySeconds").unwrap_or(30);
        let until = state.now.as_second() + delay;
        for (old, set_of) in sets_of(state, self.rollout) {
            if old == current || count(&set_of, "/spec/replicas") == 0 {
                continue;
            }
            match text(&set_of, DEADLINE).parse::<Timestamp>() {
                Ok(deadline) if deadline <= state.now => scale(state, &old, 0),
                Ok(_) => {}
                Err(_) => {
                    let until = Timestamp::from_second(until).expect("a time").to_string();
                    state.edit(&old, |object| set(object, DEADLINE, until));
                }
            }
        }
    }

    fn report(mut self, state: &mut State, key: &Key) {
        let sets = sets_of(state, self.rollout);
        let sum = |at: &str| sets.iter().map(|(_, set)| count(set, at)).sum::<i64>();
        let current = state.get(&self.current.0).cloned().unwrap_or_default();
        let before = self.status.clone();
        let updated = count(&current, "/status/replicas");
        for (field, number) in [
            ("replicas", sum("/status/replicas")),
            ("updatedReplicas", updated),
            ("readyReplicas", sum("/status/readyReplicas")),
            ("availableReplicas", sum("/status/availableReplicas")),
        ] {
            self.status[field] = json!(number);
        }
        self.status["observedGeneration"] = json!(count(self.rollout, "/metadata/generation").to_string());
        self.status["selector"] = json!(format!("{LABEL}={}", self.hash));
        let moved =
            ["replicas", "updatedReplicas", "availableReplicas", "currentStepIndex", "pauseConditions"]
                .iter()
                .any(|field| self.rollout["status"][*field] != self.status[*field]);
        let (phase, reason, message) = self.phase(state, &current, &before, moved);
        let time = state.time();
        let was = list(&self.status, "/conditions").iter().find(|one| one["type"] == "Progressing").cloned();
        if moved || was.as_ref().is_none_or(|was| was["reason"] != reason) {
            let said = if phase == "Degraded" { "False" } else { "True" };
            self.status["conditions"] = json!([{
                "type": "Progressing", "status": said, "reason": reason, "message": message,
                "lastUpdateTime": time, "lastTransitionTime": time,
            }]);
        }
        self.status["phase"] = json!(phase);
        let told = match (phase, reason) {
            ("Degraded", reason) => format!("{reason}: {message}"),
            _ => message,
        };
        if told.is_empty() {
            take(&mut self.status, "/message");
        } else {
            self.status["message"] = json!(told);
        }
        let status = self.status;
        state.edit(key, |object| object["status"] = status);
    }

    /// The phase, the reason of its condition, and the words for it.
    fn phase(
        &self,
        state: &State,
        current: &Value,
        before: &Value,
        moved: bool,
    ) -> (&'static str, &'static str, String) {
        let status = &self.status;
        let stable = text(status, "/stableRS") == self.hash;
        let going = "ReplicaSetUpdated";
        if truth(status, "/abort") {
            let revision = text(current, REVISION);
            let message = format!("Rollout aborted update to revision {revision}");
            return ("Degraded", "RolloutAborted", message);
        }
        if truth(self.rollout, "/spec/paused") {
            return ("Paused", "RolloutPaused", "manually paused".to_owned());
        }
        let pause = text(status, "/pauseConditions/0/reason");
        if !pause.is_empty() {
            return ("Paused", "RolloutPaused", pause.to_owned());
        }
        let ready = count(current, "/status/availableReplicas");
        if stable && ready >= self.wanted() && count(status, "/replicas") <= self.wanted().max(ready) {
            return ("Healthy", "NewReplicaSetAvailable", String::new());
        }
        if stable && self.rollout["spec"]["strategy"]["blueGreen"].is_object() && ready >= self.wanted() {
            return ("Healthy", "NewReplicaSetAvailable", String::new());
        }
        let was = list(before, "/conditions").iter().find(|one| one["type"] == "Progressing");
        let limit = int(self.rollout, "/spec/progressDeadlineSeconds").unwrap_or(600);
        let late = was.is_some_and(|was| {
            let since = text(was, "/lastUpdateTime").parse::<Timestamp>();
            let late = since.is_ok_and(|since| state.now.as_second() - since.as_second() > limit);
            late || was["reason"] == "ProgressDeadlineExceeded"
        });
        let comes_up = ready < count(current, "/spec/replicas");
        if late && comes_up && !moved {
            let name = &self.current.0.name;
            let message = format!("ReplicaSet \"{name}\" has timed out progressing.");
            return ("Degraded", "ProgressDeadlineExceeded", message);
        }
        let message = if count(status, "/updatedReplicas") < self.wanted() {
            "more replicas need to be updated"
        } else if ready < count(status, "/updatedReplicas") {
            "updated replicas are still becoming available"
        } else if count(status, "/replicas") > count(status, "/updatedReplicas") {
            "old replicas are pending termination"
        } else {
            "waiting for all steps to complete"
        };
        ("Progressing", going, message.to_owned())
    }
}

/// A duration as steps say it: seconds, or a number with its unit. `None`: for ever.
fn seconds(of: &Value) -> Option<i64> {
    let Some(said) = of.as_str() else { return of.as_i64() };
    let (number, unit) =
        said.split_at(said.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(said.len()));
    let unit = match unit {
        "h" => 3600,
        "m" => 60,
        _ => 1,
    };
    number.parse::<i64>().ok().map(|number| number * unit)
}
