//! Pods, from being made to being ready or stuck, and the ReplicaSets that keep a number of them.

use serde_json::{Value, json};

use super::json::{at, count, int, list, set, take, text};
use super::kinds;
use super::store::{Broken, Key, State, owner_of};

/// Makes a pod of a workload's template.
pub(crate) fn make(state: &mut State, owner: &Value, name: &str, labels: &[(&str, &str)], node: &str) {
    let template = owner["spec"]["template"].clone();
    let mut pod = json!({ "metadata": template["metadata"], "spec": template["spec"] });
    for (label, value) in labels {
        set(&mut pod, &format!("/metadata/labels/{}", label.replace('/', "~1")), *value);
    }
    set(&mut pod, "/metadata/name", name);
    set(&mut pod, "/metadata/ownerReferences", owner_of(owner));
    set(&mut pod, "/spec/nodeName", node);
    pod["status"] = json!({ "phase": "Pending", "startTime": state.time() });
    conditions(state, &mut pod, false);
    let waits = |container: &Value| {
        json!({
            "name": container["name"], "image": container["image"], "ready": false, "started": false,
            "restartCount": 0, "state": { "waiting": { "reason": "ContainerCreating" } }, "lastState": {},
        })
    };
    let statuses: Vec<Value> = list(&pod, "/spec/containers").iter().map(waits).collect();
    pod["status"]["containerStatuses"] = json!(statuses);
    let namespace = text(owner, "/metadata/namespace").to_owned();
    state.add(kinds::named("pods"), &namespace, pod);
}

fn conditions(state: &State, pod: &mut Value, ready: bool) {
    let said = if ready { "True" } else { "False" };
    if condition(pod, "Ready") == said {
        return;
    }
    let time = state.time();
    let one = |kind: &str, said: &str| json!({ "type": kind, "status": said, "lastTransitionTime": time });
    let mut conditions = vec![
        one("PodScheduled", "True"),
        one("Initialized", "True"),
        one("ContainersReady", said),
        one("Ready", said),
    ];
    if !ready {
        for condition in &mut conditions[2..] {
            condition["reason"] = json!("ContainersNotReady");
        }
    }
    pod["status"]["conditions"] = json!(conditions);
}

/// What a condition says.
pub(crate) fn condition<'o>(object: &'o Value, kind: &str) -> &'o str {
    let found = list(object, "/status/conditions").iter().find(|one| one["type"] == kind);
    found.map_or("", |found| text(found, "/status"))
}

pub(crate) fn ready(pod: &Value) -> bool {
    condition(pod, "Ready") == "True"
}

/// Whether a pod is ready for long enough.
pub(crate) fn available(state: &State, pod: &Value, seconds: i64) -> bool {
    let since = list(pod, "/status/conditions").iter().find(|one| one["type"] == "Ready");
    let since = since.map_or("", |since| text(since, "/lastTransitionTime"));
    ready(pod)
        && since
            .parse::<snapback::case::id::Timestamp>()
            .is_ok_and(|since| state.now.as_second() - since.as_second() >= seconds)
}

/// Brings every pod on by one step: it is ready now, or stuck at what is broken.
pub(crate) fn live(state: &mut State) {
    for (key, pod) in state.all("pods", None) {
        if ready(&pod) || pod["status"]["containerStatuses"].is_null() {
            continue;
        }
        let broken = |container: &Value| state.broken.get(text(container, "/image")).copied();
        let stuck: Vec<Option<Broken>> = list(&pod, "/spec/containers").iter().map(broken).collect();
        let time = state.time();
        let mut made = (*pod).clone();
        let mut warnings = Vec::new();
        for (nth, stuck) in stuck.iter().enumerate() {
            let container = &mut made["status"]["containerStatuses"][nth];
            let (name, image) = (text(container, "/name").to_owned(), text(container, "/image").to_owned());
            container["ready"] = json!(stuck.is_none());
            container["started"] = json!(!matches!(stuck, Some(Broken::ImagePullBackOff)));
            match stuck {
                None | Some(Broken::NeverReady) => {
                    container["state"] = json!({ "running": { "startedAt": time } });
                }
                Some(Broken::ImagePullBackOff) => {
                    let message = format!("Back-off pulling image \"{image}\"");
                    let waiting = json!({ "reason": "ImagePullBackOff", "message": message });
                    container["state"] = json!({ "waiting": waiting });
                    warnings.push(("Failed", format!("Failed to pull image \"{image}\": not found")));
                }
                Some(Broken::CrashLoopBackOff) => {
                    let message = format!("back-off 10s restarting failed container={name} pod={}", key.name);
                    let ended = json!({
                        "exitCode": 1, "reason": "Error", "startedAt": time, "finishedAt": time,
                    });
                    container["restartCount"] = json!(count(container, "/restartCount").max(1));
                    container["state"] =
                        json!({ "waiting": { "reason": "CrashLoopBackOff", "message": message } });
                    if container["lastState"]["terminated"].is_null() {
                        container["lastState"] = json!({ "terminated": ended });
                    }
                    warnings.push(("BackOff", format!("Back-off restarting failed container {name}")));
                }
            }
            if matches!(stuck, Some(Broken::NeverReady)) {
                warnings.push((
                    "Unhealthy",
                    "Readiness probe failed: HTTP probe failed with statuscode: 503".into(),
                ));
                container["state"] = json!({ "running": { "startedAt": pod["status"]["startTime"] } });
            }
        }
        let waits = stuck.contains(&Some(Broken::ImagePullBackOff));
        set(&mut made, "/status/phase", if waits { "Pending" } else { "Running" });
        conditions(state, &mut made, stuck.iter().all(Option::is_none));
        state.put(&key, made);
        for (reason, message) in warnings {
            state.warn(&pod, reason, &message);
        }
    }
}

/// Keeps the pods of every ReplicaSet at its number, and counts them.
pub(crate) fn replica_sets(state: &mut State) {
    for (key, set_of) in state.all("replicasets.apps", None) {
        let uid = text(&set_of, "/metadata/uid").to_owned();
        let wanted = usize::try_from(count(&set_of, "/spec/replicas")).unwrap_or(0);
        let mut pods = state.owned("pods", &key.namespace, &uid);
        // What is not ready goes first, then what is youngest.
        pods.sort_by_key(|(key, pod)| {
            (!ready(pod), text(pod, "/metadata/creationTimestamp").to_owned(), key.clone())
        });
        pods.sort_by_key(|(_, pod)| !ready(pod));
        for (surplus, _) in pods.iter().skip(wanted) {
            state.remove(surplus);
        }
        for _ in pods.len()..wanted {
            let name = format!("{}-{}", key.name, state.suffix());
            let nth = state.owned("pods", &key.namespace, &uid).len() % state.nodes.len();
            let node = state.nodes[nth].clone();
            make(state, &set_of, &name, &[], &node);
        }
        let pods = state.owned("pods", &key.namespace, &uid);
        let seconds = count(&set_of, "/spec/minReadySeconds");
        let are_ready = pods.iter().filter(|(_, pod)| ready(pod)).count();
        let are_available = pods.iter().filter(|(_, pod)| available(state, pod, seconds)).count();
        state.edit(&key, |object| {
            let generation = int(object, "/metadata/generation").unwrap_or(1);
            object["status"] = json!({
                "replicas": pods.len(), "fullyLabeledReplicas": pods.len(), "readyReplicas": are_ready,
                "availableReplicas": are_available, "observedGeneration": generation,
            });
        });
    }
}

/// Sets the number of a ReplicaSet.
pub(crate) fn scale(state: &mut State, key: &Key, replicas: i64) {
    state.edit(key, |object| {
        if int(object, "/spec/replicas") != Some(replicas) {
            set(object, "/spec/replicas", replicas);
            set(object, "/metadata/generation", count(object, "/metadata/generation") + 1);
        }
    });
}

/// A template without the label that a controller put on it.
pub(crate) fn bare(template: &Value, label: &str) -> Value {
    let mut bare = template.clone();
    take(&mut bare, &format!("/metadata/labels/{label}"));
    if at(&bare, "/metadata/labels") == json!({}) {
        take(&mut bare, "/metadata/labels");
    }
    bare
}
