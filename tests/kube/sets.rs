//! The controllers of StatefulSets and DaemonSets: their pods one after another, and the ControllerRevisions by which they
//! remember their templates.

use std::sync::Arc;

use serde_json::{Value, json};

use super::deployments::{Kept, share};
use super::json::{count, hash, int, list, set, take, text};
use super::kinds;
use super::pods::{self, available, ready};
use super::store::{Key, State, owner_of};

const HASH: &str = "controller-revision-hash";
const HASH_AT: &str = "/metadata/labels/controller-revision-hash";

/// The revisions of a workload by their number.
fn revisions(state: &State, owner: &Value) -> Vec<Kept> {
    let (namespace, uid) = (text(owner, "/metadata/namespace"), text(owner, "/metadata/uid"));
    let mut found = state.owned("controllerrevisions.apps", namespace, uid);
    found.sort_by_key(|(key, revision)| (count(revision, "/revision"), key.clone()));
    found
}

/// The revision of the template that is wanted now, made where it is missing. One that was there before gets a new number.
fn revision(state: &mut State, key: &Key, owner: &Value) -> Kept {
    let mut template = owner["spec"]["template"].clone();
    template["$patch"] = json!("replace");
    let data = json!({ "spec": { "template": template } });
    let there = revisions(state, owner);
    let next = there.last().map_or(0, |(_, revision)| count(revision, "/revision")) + 1;
    if let Some((found, _)) = there.iter().find(|(_, revision)| revision["data"] == data) {
        state.edit(found, |revision| {
            if count(revision, "/revision") + 1 != next {
                revision["revision"] = json!(next);
            }
            causes(owner, revision);
        });
        return (found.clone(), state.get(found).expect("it is there").clone());
    }
    let hash = hash(&data.to_string());
    let name = format!("{}-{hash}", key.name);
    let mut made = json!({
        "metadata": {
            "name": name, "labels": owner["spec"]["template"]["metadata"]["labels"],
            "ownerReferences": owner_of(owner),
        },
        "data": data, "revision": next,
    });
    set(&mut made, "/metadata/labels/controller.kubernetes.io~1hash", hash);
    causes(owner, &mut made);
    let kind = kinds::named("controllerrevisions");
    let made = state.add(kind, &key.namespace, made);
    (Key::of(kind, &key.namespace, &name), made)
}

/// Copies the annotations of a workload to its revision.
fn causes(owner: &Value, revision: &mut Value) {
    for (name, value) in owner["metadata"]["annotations"].as_object().into_iter().flatten() {
        if name != "kubectl.kubernetes.io/last-applied-configuration" {
            set(revision, &format!("/metadata/annotations/{}", name.replace('/', "~1")), value.clone());
        }
    }
}

/// Forgets the oldest revisions that no pod has and that are more than are to be kept.
fn prune(state: &mut State, owner: &Value, live: &[String]) {
    let Some(limit) = int(owner, "/spec/revisionHistoryLimit") else { return };
    let mut idle = revisions(state, owner);
    idle.retain(|(key, revision)| {
        let hash = text(revision, "/metadata/labels/controller.kubernetes.io~1hash");
        !live.iter().any(|live| *live == key.name || live == hash)
    });
    let surplus = idle.len().saturating_sub(usize::try_from(limit).unwrap_or(0));
    for (key, _) in idle.iter().take(surplus) {
        state.remove(key);
    }
}

fn owned_pods(state: &State, owner: &Value) -> Vec<Kept> {
    state.owned("pods", text(owner, "/metadata/namespace"), text(owner, "/metadata/uid"))
}

/// Lets every StatefulSet take its part.
pub(crate) fn stateful(state: &mut State) {
    for (key, owner) in state.all("statefulsets.apps", None) {
        if owner.pointer("/metadata/deletionTimestamp").is_some() {
            continue;
        }
        let (update, _) = revision(state, &key, &owner);
        let current = match text(&owner, "/status/currentRevision") {
            "" => update.name.clone(),
            current => current.to_owned(),
        };
        ordinals(state, &key, &owner, &current, &update.name);
        report_stateful(state, &key, &owner, current.clone(), &update.name);
        let mut live: Vec<String> =
            owned_pods(state, &owner).iter().map(|(_, pod)| text(pod, HASH_AT).to_owned()).collect();
        live.extend([current, update.name]);
        prune(state, &owner, &live);
    }
}

/// The workload as a revision remembers it.
fn as_of(state: &State, owner: &Value, revision: &str) -> Value {
    let key = Key::of(kinds::named("controllerrevisions"), text(owner, "/metadata/namespace"), revision);
    let mut owner = owner.clone();
    if let Some(revision) = state.get(&key) {
        let mut template = revision["data"]["spec"]["template"].clone();
        take(&mut template, "/$patch");
        owner["spec"]["template"] = template;
    }
    owner
}

/// Makes, waits for and replaces the pods of a StatefulSet in the order of their numbers.
fn ordinals(state: &mut State, key: &Key, owner: &Value, current: &str, update: &str) {
    let wanted = count(owner, "/spec/replicas");
    let in_order = text(owner, "/spec/podManagementPolicy") != "Parallel";
    let rolls = text(owner, "/spec/updateStrategy/type") != "OnDelete";
    let partition = if rolls { count(owner, "/spec/updateStrategy/rollingUpdate/partition") } else { 0 };
    let pod_key = |nth: i64| Key::of(kinds::named("pods"), &key.namespace, &format!("{}-{nth}", key.name));
    let has = |state: &State, nth: i64| state.get(&pod_key(nth)).cloned();
    for nth in 0..wanted {
        if has(state, nth).is_none() {
            let old = if partition > 0 {
                nth < partition
            } else {
                rolls && nth < count(owner, "/status/currentReplicas")
            };
            let of = if old { current } else { update };
            let owner = as_of(state, owner, of);
            let number = nth.to_string();
            let labels = [
                (HASH, of),
                ("statefulset.kubernetes.io/pod-name", &*pod_key(nth).name),
                ("apps.kubernetes.io/pod-index", &*number),
            ];
            let node = state.nodes[usize::try_from(nth).unwrap_or(0) % state.nodes.len()].clone();
            pods::make(state, &owner, &pod_key(nth).name, &labels, &node);
        }
        // The next waits until this one is ready, for ever if need be: a broken pod blocks its own replacement.
        if in_order && !has(state, nth).is_some_and(|pod| ready(&pod)) {
            return;
        }
    }
    let mut surplus: Vec<i64> = owned_pods(state, owner)
        .iter()
        .filter_map(|(key, _)| key.name.rsplit('-').next()?.parse().ok())
        .filter(|nth| *nth >= wanted)
        .collect();
    surplus.sort_unstable();
    while let Some(nth) = surplus.pop() {
        state.remove(&pod_key(nth));
    }
    if !rolls {
        return;
    }
    for nth in (partition..wanted).rev() {
        let Some(pod) = has(state, nth) else { return };
        if text(&pod, HASH_AT) != update {
            state.remove(&pod_key(nth));
            return;
        }
        if !ready(&pod) {
            return;
        }
    }
}

fn report_stateful(state: &mut State, key: &Key, owner: &Value, mut current: String, update: &str) {
    let pods = owned_pods(state, owner);
    let seconds = count(owner, "/spec/minReadySeconds");
    let of = |revision: &str| pods.iter().filter(|(_, pod)| text(pod, HASH_AT) == revision).count();
    let are_ready = pods.iter().filter(|(_, pod)| ready(pod)).count();
    let are_available = pods.iter().filter(|(_, pod)| available(state, pod, seconds)).count();
    let updated = of(update);
    let rolls = text(owner, "/spec/updateStrategy/type") != "OnDelete";
    let all = i64::try_from(updated) == Ok(count(owner, "/spec/replicas"));
    if rolls && all && updated == pods.len() && are_ready == pods.len() {
        update.clone_into(&mut current);
    }
    let status = json!({
        "observedGeneration": owner["metadata"]["generation"], "replicas": pods.len(), "readyReplicas": are_ready,
        "availableReplicas": are_available, "currentReplicas": of(&current), "updatedReplicas": updated,
        "currentRevision": current, "updateRevision": update, "collisionCount": 0,
    });
    state.edit(key, |object| object["status"] = status);
}

/// Lets every DaemonSet take its part.
pub(crate) fn daemon(state: &mut State) {
    for (key, owner) in state.all("daemonsets.apps", None) {
        if owner.pointer("/metadata/deletionTimestamp").is_some() {
            continue;
        }
        let (_, update) = revision(state, &key, &owner);
        let hash = text(&update, "/metadata/labels/controller.kubernetes.io~1hash").to_owned();
        if text(&owner, "/spec/updateStrategy/type") != "OnDelete" {
            replace(state, &owner, &hash);
        }
        for node in state.nodes.clone() {
            let there = owned_pods(state, &owner).iter().any(|(_, pod)| text(pod, "/spec/nodeName") == node);
            if !there {
                let name = format!("{}-{}", key.name, state.suffix());
                let generation = count(&owner, "/metadata/generation").to_string();
                let labels = [(HASH, &*hash), ("pod-template-generation", &*generation)];
                pods::make(state, &owner, &name, &labels, &node);
            }
        }
        report_daemon(state, &key, &owner, &hash);
        let mut live: Vec<String> =
            owned_pods(state, &owner).iter().map(|(_, pod)| text(pod, HASH_AT).to_owned()).collect();
        live.push(hash);
        prune(state, &owner, &live);
    }
}

/// Takes old pods away: those that are not available at once, others as far as availability allows.
fn replace(state: &mut State, owner: &Value, hash: &str) {
    let seconds = count(owner, "/spec/minReadySeconds");
    let nodes = i64::try_from(state.nodes.len()).expect("a few");
    let limit = &owner["spec"]["updateStrategy"]["rollingUpdate"]["maxUnavailable"];
    let limit = share(limit, nodes, true).max(1);
    let pods = owned_pods(state, owner);
    let up = |pod: &Arc<Value>| available(state, pod, seconds);
    let (mut gone, mut spare) = (Vec::new(), Vec::new());
    for (key, pod) in &pods {
        if text(pod, HASH_AT) != hash {
            if up(pod) { spare.push(key.clone()) } else { gone.push(key.clone()) }
        }
    }
    let down = nodes - i64::try_from(pods.iter().filter(|(_, pod)| up(pod)).count()).expect("a few");
    spare.truncate(usize::try_from(limit - down).unwrap_or(0));
    gone.extend(spare);
    for key in gone {
        state.remove(&key);
    }
}

fn report_daemon(state: &mut State, key: &Key, owner: &Value, hash: &str) {
    let pods = owned_pods(state, owner);
    let seconds = count(owner, "/spec/minReadySeconds");
    let are_ready = pods.iter().filter(|(_, pod)| ready(pod)).count();
    let are_available = pods.iter().filter(|(_, pod)| available(state, pod, seconds)).count();
    let updated = pods.iter().filter(|(_, pod)| text(pod, HASH_AT) == hash).count();
    let nodes = state.nodes.len();
    let mut status = json!({
        "observedGeneration": owner["metadata"]["generation"], "currentNumberScheduled": pods.len(),
        "desiredNumberScheduled": nodes, "numberMisscheduled": 0, "numberReady": are_ready,
        "updatedNumberScheduled": updated, "numberAvailable": are_available,
        "numberUnavailable": nodes - are_available.min(nodes),
    });
    for field in ["updatedNumberScheduled", "numberAvailable", "numberUnavailable"] {
        if status[field] == 0 {
            take(&mut status, &format!("/{field}"));
        }
    }
    state.edit(key, |object| object["status"] = status);
}
