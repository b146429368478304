//! The controller of Deployments: its ReplicaSets with their revisions, rolling updates by surge and unavailability,
//! pausing, pruning, and what the status says about all that.

use std::sync::Arc;

use serde_json::{Value, json};
use snapback::case::id::Timestamp;

use super::json::{count, hash, int, list, set, take, text, truth};
use super::kinds;
use super::pods::{bare, scale};
use super::store::{Key, State, owner_of};

pub(crate) const REVISION: &str = "/metadata/annotations/deployment.kubernetes.io~1revision";
const HISTORY: &str = "/metadata/annotations/deployment.kubernetes.io~1revision-history";
const DESIRED: &str = "/metadata/annotations/deployment.kubernetes.io~1desired-replicas";
const MOST: &str = "/metadata/annotations/deployment.kubernetes.io~1max-replicas";
const LABEL: &str = "pod-template-hash";

/// A ReplicaSet with where it is kept.
pub(crate) type Kept = (Key, Arc<Value>);

/// Lets every Deployment take its part.
pub(crate) fn work(state: &mut State) {
    for (key, deployment) in state.all("deployments.apps", None) {
        if deployment.pointer("/metadata/deletionTimestamp").is_none() {
            one(state, &key, &deployment);
        }
    }
}

fn one(state: &mut State, key: &Key, deployment: &Value) {
    let paused = truth(deployment, "/spec/paused");
    let (current, fresh) = current_set(state, key, deployment, !paused);
    let olds = || olds(state, deployment, current.as_ref().map(|(key, _)| key));
    if paused || is_scaled(deployment, current.as_ref(), &olds()) {
        let olds = olds();
        spread(state, deployment, current.as_ref(), &olds);
    } else if let Some((current, _)) = &current {
        let olds = olds();
        if text(deployment, "/spec/strategy/type") == "Recreate" {
            recreate(state, deployment, current, &olds);
        } else {
            roll(state, deployment, current, &olds);
        }
    }
    let current = current.and_then(|(key, _)| state.get(&key).map(|object| (key.clone(), object.clone())));
    report(state, key, current.as_ref(), fresh);
    let status = state.get(key).map(|object| object["status"].clone()).unwrap_or_default();
    if !paused && complete(deployment, &status) {
        prune(state, deployment, current.as_ref().map(|(key, _)| key));
    }
}

/// The ReplicaSets of a workload by their age.
pub(crate) fn sets_of(state: &State, owner: &Value) -> Vec<Kept> {
    let mut sets =
        state.owned("replicasets.apps", text(owner, "/metadata/namespace"), text(owner, "/metadata/uid"));
    sets.sort_by_key(|(_, set)| {
        (text(set, "/metadata/creationTimestamp").to_owned(), count_text(set, REVISION))
    });
    sets
}

fn olds(state: &State, deployment: &Value, current: Option<&Key>) -> Vec<Kept> {
    let mut sets = sets_of(state, deployment);
    sets.retain(|(key, _)| Some(key) != current);
    sets
}

/// The number that an annotation holds.
pub(crate) fn count_text(object: &Value, at: &str) -> i64 {
    text(object, at).parse().unwrap_or(0)
}

/// The ReplicaSet of the template that is wanted now, made where it is missing; and whether it is new to this Deployment.
fn current_set(
    state: &mut State,
    key: &Key,
    deployment: &Value,
    may_make: bool,
) -> (Option<Kept>, Option<&'static str>) {
    let template = &deployment["spec"]["template"];
    let sets = sets_of(state, deployment);
    let found = sets.iter().find(|(_, set)| bare(&set["spec"]["template"], LABEL) == bare(template, LABEL));
    let others = sets.iter().filter(|(key, _)| found.is_none_or(|(found, _)| found != key));
    let next = others.map(|(_, set)| count_text(set, REVISION)).max().unwrap_or(0) + 1;
    if let Some((found, _)) = found {
        let found = found.clone();
        if !may_make {
            return (state.get(&found).map(|set| (found.clone(), set.clone())), None);
        }
        let moved = state.get(&found).is_some_and(|set| count_text(set, REVISION) < next);
        state.edit(&found, |set| annotate(deployment, set, next));
        let revision = state.get(&found).map(|set| text(set, REVISION).to_owned()).unwrap_or_default();
        state.edit(key, |object| set(object, REVISION, revision));
        return (
            state.get(&found).map(|set| (found.clone(), set.clone())),
            moved.then_some("FoundNewReplicaSet"),
        );
    }
    if !may_make {
        return (None, None);
    }
    let hash = hash(&template.to_string());
    let mut template = template.clone();
    set(&mut template, "/metadata/labels/pod-template-hash", hash.clone());
    let mut selector = deployment["spec"]["selector"].clone();
    set(&mut selector, "/matchLabels/pod-template-hash", hash.clone());
    let mut made = json!({
        "metadata": {
            "name": format!("{}-{hash}", key.name), "labels": template["metadata"]["labels"],
            "ownerReferences": owner_of(deployment),
        },
        "spec": { "replicas": 0, "selector": selector, "template": template },
    });
    if let Some(seconds) = int(deployment, "/spec/minReadySeconds") {
        made["spec"]["minReadySeconds"] = json!(seconds);
    }
    annotate(deployment, &mut made, next);
    let made = state.add(kinds::named("replicasets"), &key.namespace, made);
    state.edit(key, |object| set(object, REVISION, next.to_string()));
    let made_key = Key::of(kinds::named("replicasets"), &key.namespace, text(&made, "/metadata/name"));
    (Some((made_key, made)), Some("NewReplicaSetCreated"))
}

/// Copies a Deployment's annotations to its ReplicaSet and numbers it; an older number goes into its history.
fn annotate(deployment: &Value, object: &mut Value, next: i64) {
    for (name, value) in deployment["metadata"]["annotations"].as_object().into_iter().flatten() {
        if name != "kubectl.kubernetes.io/last-applied-configuration"
            && !name.starts_with("deployment.kubernetes.io/")
        {
            set(object, &format!("/metadata/annotations/{}", name.replace('/', "~1")), value.clone());
        }
    }
    let before = text(object, REVISION).to_owned();
    if count_text(object, REVISION) < next {
        set(object, REVISION, next.to_string());
        if !before.is_empty() {
            let history = text(object, HISTORY);
            let history = if history.is_empty() { before } else { format!("{history},{before}") };
            set(object, HISTORY, history);
        }
    }
}

fn wanted(deployment: &Value) -> i64 {
    count(deployment, "/spec/replicas")
}

/// A number, or a share of the replicas that is wanted.
pub(crate) fn share(of: &Value, all: i64, up: bool) -> i64 {
    match of.as_str().and_then(|share| share.strip_suffix('%')).and_then(|share| share.parse::<i64>().ok()) {
        Some(percent) if up => (all * percent + 99) / 100,
        Some(percent) => all * percent / 100,
        None => of.as_i64().unwrap_or(0),
    }
}

/// How many more and how many fewer pods than wanted there may be.
fn bounds(deployment: &Value) -> (i64, i64) {
    if text(deployment, "/spec/strategy/type") == "Recreate" {
        return (0, 0);
    }
    let of = &deployment["spec"]["strategy"]["rollingUpdate"];
    let surge = share(&of["maxSurge"], wanted(deployment), true);
    let missing = share(&of["maxUnavailable"], wanted(deployment), false);
    if surge == 0 && missing == 0 { (0, 1) } else { (surge, missing.min(wanted(deployment))) }
}

fn sum(sets: &[Kept], at: &str) -> i64 {
    sets.iter().map(|(_, set)| count(set, at)).sum()
}

/// Whether somebody changed the number since the ReplicaSets were scaled.
fn is_scaled(deployment: &Value, current: Option<&Kept>, olds: &[Kept]) -> bool {
    let desired = wanted(deployment).to_string();
    current.into_iter().chain(olds).any(|(_, set)| {
        count(set, "/spec/replicas") > 0 && !text(set, DESIRED).is_empty() && text(set, DESIRED) != desired
    })
}

/// Scales what is there to a changed number: the only active ReplicaSet, or the youngest of several by the difference.
fn spread(state: &mut State, deployment: &Value, current: Option<&Kept>, olds: &[Kept]) {
    let all: Vec<&Kept> = current.into_iter().chain(olds.iter().rev()).collect();
    let active: Vec<&Kept> =
        all.iter().copied().filter(|(_, set)| count(set, "/spec/replicas") > 0).collect();
    let (surge, _) = bounds(deployment);
    let total: i64 = all.iter().map(|(_, set)| count(set, "/spec/replicas")).sum();
    match active[..] {
        [] => {
            if let Some((key, _)) = all.first() {
                scale(state, key, wanted(deployment));
            }
        }
        [(key, _)] => scale(state, key, wanted(deployment)),
        _ => {
            let allowed = if wanted(deployment) > 0 { wanted(deployment) + surge } else { 0 };
            let mut missing = allowed - total;
            for (key, set) in active {
                let replicas = (count(set, "/spec/replicas") + missing).max(0);
                missing -= replicas - count(set, "/spec/replicas");
                scale(state, key, replicas);
            }
        }
    }
    desire(state, deployment);
}

/// Notes on every ReplicaSet for which number it was scaled.
fn desire(state: &mut State, deployment: &Value) {
    let (surge, _) = bounds(deployment);
    for (key, _) in sets_of(state, deployment) {
        state.edit(&key, |object| {
            set(object, DESIRED, wanted(deployment).to_string());
            set(object, MOST, (wanted(deployment) + surge).to_string());
        });
    }
}

fn recreate(state: &mut State, deployment: &Value, current: &Key, olds: &[Kept]) {
    if sum(olds, "/spec/replicas") + sum(olds, "/status/replicas") > 0 {
        for (key, _) in olds {
            scale(state, key, 0);
        }
    } else {
        scale(state, current, wanted(deployment));
    }
    desire(state, deployment);
}

/// One look at a rolling update: as many new pods as the surge allows, as few old ones as availability allows.
fn roll(state: &mut State, deployment: &Value, current: &Key, olds: &[Kept]) {
    let (surge, missing) = bounds(deployment);
    let replicas = |state: &State| state.get(current).map_or(0, |set| count(set, "/spec/replicas"));
    let mut there = replicas(state);
    let total = there + sum(olds, "/spec/replicas");
    let room = (wanted(deployment) + surge - total).max(0);
    if there > wanted(deployment) {
        there = wanted(deployment);
    } else {
        there += room.min(wanted(deployment) - there);
    }
    scale(state, current, there);
    desire(state, deployment);
    let available = state.get(current).map_or(0, |set| count(set, "/status/availableReplicas"));
    let least = wanted(deployment) - missing;
    let mut surplus = there + sum(olds, "/spec/replicas") - least - (there - available.min(there));
    let all_available = available + sum(olds, "/status/availableReplicas");
    let mut spare = all_available - least;
    // What does not come up anyway goes first.
    for (key, set) in olds {
        let unhealthy = count(set, "/spec/replicas") - count(set, "/status/availableReplicas");
        let gone = unhealthy.min(surplus).max(0);
        if gone > 0 {
            scale(state, key, count(set, "/spec/replicas") - gone);
            surplus -= gone;
        }
    }
    for (key, set) in olds {
        let left = state.get(key).map_or(0, |set| count(set, "/spec/replicas"));
        let gone = left.min(count(set, "/status/availableReplicas")).min(surplus).min(spare).max(0);
        if gone > 0 {
            scale(state, key, left - gone);
            surplus -= gone;
            spare -= gone;
        }
    }
}

fn complete(deployment: &Value, status: &Value) -> bool {
    let all = wanted(deployment);
    ["/updatedReplicas", "/replicas", "/availableReplicas"].iter().all(|field| count(status, field) == all)
        && count(status, "/observedGeneration") >= count(deployment, "/metadata/generation")
}

/// Forgets the oldest ReplicaSets without pods that are more than are to be kept.
fn prune(state: &mut State, deployment: &Value, current: Option<&Key>) {
    let Some(limit) = int(deployment, "/spec/revisionHistoryLimit") else { return };
    let mut idle = olds(state, deployment, current);
    idle.retain(|(_, set)| count(set, "/spec/replicas") == 0 && count(set, "/status/replicas") == 0);
    idle.sort_by_key(|(_, set)| count_text(set, REVISION));
    let surplus = idle.len().saturating_sub(usize::try_from(limit).unwrap_or(0));
    for (key, _) in idle.iter().take(surplus) {
        state.remove(key);
    }
}

/// Says in the status how far the rollout is.
fn report(state: &mut State, key: &Key, current: Option<&Kept>, fresh: Option<&'static str>) {
    let Some(deployment) = state.get(key).cloned() else { return };
    let sets = sets_of(state, &deployment);
    let before = deployment["status"].clone();
    let (replicas, available) = (sum(&sets, "/status/replicas"), sum(&sets, "/status/availableReplicas"));
    let mut status = json!({
        "observedGeneration": deployment["metadata"]["generation"],
        "replicas": replicas,
        "updatedReplicas": current.map_or(0, |(_, set)| count(set, "/status/replicas")),
        "readyReplicas": sum(&sets, "/status/readyReplicas"),
        "availableReplicas": available,
        "unavailableReplicas": (sum(&sets, "/spec/replicas") - available).max(0),
        "conditions": list(&before, "/conditions"),
    });
    for field in ["replicas", "updatedReplicas", "readyReplicas", "availableReplicas", "unavailableReplicas"]
    {
        if status[field] == 0 {
            take(&mut status, &format!("/{field}"));
        }
    }
    let (_, missing) = bounds(&deployment);
    let enough = available >= wanted(&deployment) - missing;
    let (said, reason, message) = if enough {
        ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    } else {
        ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
    };
    condition(state, &mut status, "Available", said, reason, message, false);
    progress(state, &deployment, &before, &mut status, current, fresh);
    state.edit(key, |object| object["status"] = status);
}

fn progress(
    state: &State,
    deployment: &Value,
    before: &Value,
    status: &mut Value,
    current: Option<&Kept>,
    fresh: Option<&'static str>,
) {
    const KIND: &str = "Progressing";
    let name = current.map_or("", |(key, _)| key.name.as_str());
    let was = list(before, "/conditions").iter().find(|one| one["type"] == KIND).cloned();
    let was_reason = was.as_ref().map_or("", |was| text(was, "/reason"));
    if truth(deployment, "/spec/paused") {
        condition(state, status, KIND, "Unknown", "DeploymentPaused", "Deployment is paused", false);
        return;
    }
    if was_reason == "DeploymentPaused" {
        condition(state, status, KIND, "Unknown", "DeploymentResumed", "Deployment is resumed", true);
    }
    if let Some(reason) = fresh {
        let message = if reason == "NewReplicaSetCreated" {
            format!("Created new replica set \"{name}\"")
        } else {
            format!("Found new replica set \"{name}\"")
        };
        condition(state, status, KIND, "True", reason, &message, true);
        return;
    }
    let is_done = count(status, "/replicas") == count(status, "/updatedReplicas");
    if is_done && was_reason == "NewReplicaSetAvailable" {
        return;
    }
    if complete(deployment, status) {
        let message = format!("ReplicaSet \"{name}\" has successfully progressed.");
        condition(state, status, KIND, "True", "NewReplicaSetAvailable", &message, true);
        return;
    }
    let old = |of: &Value| count(of, "/replicas") - count(of, "/updatedReplicas");
    let more = |field: &str| count(status, field) > count(before, field);
    if more("/updatedReplicas")
        || more("/readyReplicas")
        || more("/availableReplicas")
        || old(status) < old(before)
    {
        let message = format!("ReplicaSet \"{name}\" is progressing.");
        condition(state, status, KIND, "True", "ReplicaSetUpdated", &message, true);
        return;
    }
    let Some(deadline) = int(deployment, "/spec/progressDeadlineSeconds") else { return };
    let since =
        list(status, "/conditions").iter().find(|one| one["type"] == KIND).cloned().unwrap_or_default();
    let late = text(&since, "/lastUpdateTime")
        .parse::<Timestamp>()
        .is_ok_and(|since| state.now.as_second() - since.as_second() > deadline);
    if late && text(&since, "/reason") != "ProgressDeadlineExceeded" {
        let message = format!("ReplicaSet \"{name}\" has timed out progressing.");
        condition(state, status, KIND, "False", "ProgressDeadlineExceeded", &message, true);
    }
}

/// Sets a condition; `anew`: it was so before, and is dated anew all the same.
fn condition(
    state: &State,
    status: &mut Value,
    kind: &str,
    said: &str,
    reason: &str,
    message: &str,
    anew: bool,
) {
    let time = state.time();
    let mut all = list(status, "/conditions").to_vec();
    let was = all.iter().find(|one| one["type"] == kind).cloned();
    let mut turned = time.clone();
    if let Some(was) = &was {
        if was["status"] == said && was["reason"] == reason && !anew {
            return;
        }
        if was["status"] == said {
            turned = text(was, "/lastTransitionTime").to_owned();
        }
    }
    all.retain(|one| one["type"] != kind);
    all.push(json!({
        "type": kind, "status": said, "reason": reason, "message": message,
        "lastUpdateTime": time, "lastTransitionTime": turned,
    }));
    all.sort_by_key(|one| text(one, "/type").to_owned());
    status["conditions"] = json!(all);
}
