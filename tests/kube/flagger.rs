//! The controller of Flagger's canaries: the copy that serves, the analysis that shifts traffic turn by turn, promotion, and the webhook by which it
//! asks whether to go back, called for real.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

use super::json::{count, hash, int, list, set, text, truth};
use super::kinds;
use super::store::{Key, State, owner_of};

/// A webhook is waited for so long.
const ANSWER: Duration = Duration::from_secs(10);

/// The canaries that ask before their next turn, and where. Only one whose pods are ready is asked for.
pub(crate) fn askers(state: &State) -> Vec<(Key, String)> {
    let all = state.all("canaries.flagger.app", None).into_iter();
    all.filter(|(_, canary)| is_analysed(canary) && is_ready(state, canary))
        .flat_map(|(key, canary)| {
            let hooks = list(&canary, "/spec/analysis/webhooks").iter();
            let urls: Vec<String> = hooks
                .filter(|hook| hook["type"] == "rollback")
                .map(|hook| text(hook, "/url").to_owned())
                .collect();
            urls.into_iter().map(move |url| (key.clone(), url))
        })
        .collect()
}

/// Asks like Flagger does: a POST with the canary's name; whatever is above 202, or no answer, is a no.
pub(crate) fn asks(key: &Key, url: &str) -> bool {
    let Some((host, path)) = url.strip_prefix("http://").and_then(|rest| rest.split_once('/')) else {
        return false;
    };
    let body = json!({ "name": key.name, "namespace": key.namespace, "phase": "Progressing" }).to_string();
    let Ok(mut stream) = TcpStream::connect(host) else { return false };
    stream.set_read_timeout(Some(ANSWER)).expect("a timeout");
    let head = format!(
        "POST /{path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    if stream.write_all(format!("{head}{body}").as_bytes()).is_err() {
        return false;
    }
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    let status = answer.split(' ').nth(1).and_then(|status| status.parse::<u16>().ok());
    status.is_some_and(|status| (200..=202).contains(&status))
}

fn phase(canary: &Value) -> &str {
    text(canary, "/status/phase")
}

fn is_analysed(canary: &Value) -> bool {
    ["Progressing", "Waiting", "WaitingPromotion"].contains(&phase(canary))
}

fn target(canary: &Value) -> Key {
    let namespace = text(canary, "/metadata/namespace");
    Key::of(kinds::named("deployments"), namespace, text(canary, "/spec/targetRef/name"))
}

fn copy_of(target: &Key) -> Key {
    Key::of(kinds::named("deployments"), &target.namespace, &format!("{}-primary", target.name))
}

/// Its pods are all there and available.
fn is_ready(state: &State, canary: &Value) -> bool {
    state.get(&target(canary)).is_some_and(|object| is_out(object))
}

fn is_out(object: &Value) -> bool {
    let wanted = int(object, "/spec/replicas").unwrap_or(1);
    wanted > 0
        && count(object, "/status/observedGeneration") >= count(object, "/metadata/generation")
        && count(object, "/status/updatedReplicas") >= wanted
        && count(object, "/status/availableReplicas") >= wanted
}

/// Every canary takes its turn; those of which somebody said so go back.
pub(crate) fn turn(state: &mut State, go_back: &[Key]) {
    for (key, canary) in state.all("canaries.flagger.app", None) {
        let target = target(&canary);
        let Some(object) = state.get(&target).cloned() else { continue };
        let wanted = hash(&object["spec"]["template"].to_string());
        let applied = text(&canary, "/status/lastAppliedSpec");
        match phase(&canary) {
            "" => set_up(state, &key, &canary, &target, &wanted),
            "Initialized" | "Succeeded" | "Failed" => {
                // The template that serves already starts nothing.
                if wanted != applied && wanted != text(&canary, "/status/lastPromotedSpec") {
                    begin(state, &key, &target, &wanted);
                }
            }
            "Promoting" => {
                if state.get(&copy_of(&target)).is_some_and(|copy| is_out(copy)) {
                    scale(state, &target, 0);
                    enter(state, &key, "Succeeded");
                }
            }
            _ if wanted != applied => begin(state, &key, &target, &wanted),
            _ if go_back.contains(&key) => take_back(state, &key, &target),
            _ => advance(state, &key, &canary, &target, &wanted),
        }
    }
}

fn set_up(state: &mut State, key: &Key, canary: &Value, target: &Key, wanted: &str) {
    let object = state.get(target).cloned().expect("its candidate");
    let mut spec = object["spec"].clone();
    let label = format!("{}-primary", target.name);
    set(&mut spec, "/selector/matchLabels/app", label.clone());
    set(&mut spec, "/template/metadata/labels/app", label.clone());
    let copy = json!({ "metadata": { "name": label, "ownerReferences": owner_of(canary) }, "spec": spec });
    state.add(kinds::named("deployments"), &target.namespace, copy);
    scale(state, target, 0);
    state.edit(key, |canary| {
        set(canary, "/status/lastAppliedSpec", wanted);
        set(canary, "/status/lastPromotedSpec", wanted);
    });
    enter(state, key, "Initialized");
}

fn begin(state: &mut State, key: &Key, target: &Key, wanted: &str) {
    let replicas = state.get(&copy_of(target)).map_or(1, |copy| count(copy, "/spec/replicas"));
    scale(state, target, replicas);
    state.edit(key, |canary| {
        set(canary, "/status/lastAppliedSpec", wanted);
        set(canary, "/status/canaryWeight", 0);
        set(canary, "/status/failedChecks", 0);
    });
    enter(state, key, "Progressing");
}

/// A canary whose image is bad fails its checks; else traffic shifts by a step.
fn advance(state: &mut State, key: &Key, canary: &Value, target: &Key, wanted: &str) {
    if !is_ready(state, canary) {
        return;
    }
    let analysis = &canary["spec"]["analysis"];
    if truth(canary, "/metadata/annotations/checks-fail")
        || text(canary, "/metadata/annotations/checks-fail") == "yes"
    {
        let failed = count(canary, "/status/failedChecks") + 1;
        state.edit(key, |canary| set(canary, "/status/failedChecks", failed));
        if failed >= count(analysis, "/threshold") {
            take_back(state, key, target);
        }
        return;
    }
    let weight = count(canary, "/status/canaryWeight") + count(analysis, "/stepWeight");
    if weight <= count(analysis, "/maxWeight") && !truth(canary, "/spec/skipAnalysis") {
        return state.edit(key, |canary| set(canary, "/status/canaryWeight", weight));
    }
    let template = state.get(target).expect("its candidate")["spec"]["template"].clone();
    let label = format!("{}-primary", target.name);
    state.edit(&copy_of(target), |copy| {
        copy["spec"]["template"] = template;
        set(copy, "/spec/template/metadata/labels/app", label);
        let generation = count(copy, "/metadata/generation") + 1;
        set(copy, "/metadata/generation", generation);
    });
    state.edit(key, |canary| set(canary, "/status/lastPromotedSpec", wanted));
    enter(state, key, "Promoting");
}

fn take_back(state: &mut State, key: &Key, target: &Key) {
    scale(state, target, 0);
    state.edit(key, |canary| set(canary, "/status/canaryWeight", 0));
    enter(state, key, "Failed");
    state.effects.push(format!("flagger went back on {}", key.name));
}

fn enter(state: &mut State, key: &Key, phase: &str) {
    let time = state.time();
    state.edit(key, |canary| {
        set(canary, "/status/phase", phase);
        set(canary, "/status/lastTransitionTime", time);
    });
}

fn scale(state: &mut State, key: &Key, replicas: i64) {
    state.edit(key, |object| {
        if count(object, "/spec/replicas") != replicas {
            set(object, "/spec/replicas", replicas);
            let generation = count(object, "/metadata/generation") + 1;
            set(object, "/metadata/generation", generation);
        }
    });
}
