//! Rollouts of the pretend cluster, by the patches that Argo's own plugin sends.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::kube::json::{count, list, text};
use super::kube::{Broken, Cluster};
use super::manifest;

/// A Rollout of four pods by this strategy, up and verified.
fn rolled_out(strategy: Value) -> Arc<Cluster> {
    let cluster = Cluster::start();
    let mut rollout = manifest("Rollout", "web", "web:1", 4);
    rollout["apiVersion"] = json!("argoproj.io/v1alpha1");
    rollout["spec"]["strategy"] = strategy;
    cluster.apply(rollout);
    cluster.settle();
    assert_eq!(phase(&cluster), ("Healthy".to_owned(), String::new()));
    cluster
}

fn canary() -> Arc<Cluster> {
    let steps = json!([{ "setWeight": 25 }, { "pause": {} }, { "setWeight": 50 }, { "analysis": {} }]);
    rolled_out(json!({ "canary": { "steps": steps } }))
}

fn rollout(cluster: &Cluster) -> Value {
    cluster.object("rollouts", "shop", "web")
}

fn phase(cluster: &Cluster) -> (String, String) {
    let rollout = rollout(cluster);
    (text(&rollout, "/status/phase").to_owned(), text(&rollout, "/status/message").to_owned())
}

/// Changes the object, or its status, as a patch by that door would.
fn change(cluster: &Cluster, change: impl FnOnce(&mut Value)) {
    let mut object = rollout(cluster);
    object["metadata"].as_object_mut().expect("a map").remove("resourceVersion");
    change(&mut object);
    cluster.apply(object);
}

fn image(cluster: &Cluster, image: &str) {
    change(cluster, |object| object["spec"]["template"]["spec"]["containers"][0]["image"] = json!(image));
}

#[test]
fn a_canary_stands_at_its_pause_until_it_is_promoted() {
    let cluster = canary();
    let first = rollout(&cluster);
    image(&cluster, "web:2");
    cluster.settle();
    let paused = rollout(&cluster);
    assert_eq!(phase(&cluster), ("Paused".to_owned(), "CanaryPauseStep".to_owned()), "{paused:#}");
    assert_eq!(paused["status"]["stableRS"], first["status"]["stableRS"]);
    assert_ne!(paused["status"]["currentPodHash"], paused["status"]["stableRS"]);
    assert_eq!(paused["status"]["observedGeneration"], json!("2"), "a string");
    assert_eq!(count(&paused, "/status/updatedReplicas"), 1);
    cluster.promote("shop", "web");
    cluster.settle();
    assert_eq!(phase(&cluster).0, "Progressing", "an analysis runs");
    assert_eq!(count(&rollout(&cluster), "/status/updatedReplicas"), 2);
    cluster.promote("shop", "web");
    cluster.settle();
    let done = rollout(&cluster);
    assert_eq!(phase(&cluster).0, "Healthy", "{done:#}");
    assert_eq!(done["status"]["currentPodHash"], done["status"]["stableRS"]);
    assert_eq!(cluster.objects("pods", "shop").len(), 4);

    // Back again is a new update with all its steps, by the old ReplicaSet under a new number.
    image(&cluster, "web:1");
    cluster.settle();
    assert_eq!(phase(&cluster).0, "Paused");
    let sets = cluster.revisions("rollouts", "shop", "web");
    let revision = |set: &Value| text(set, "/metadata/annotations/rollout.argoproj.io~1revision").to_owned();
    let mut revisions: Vec<_> = sets.iter().map(revision).collect();
    revisions.sort();
    assert_eq!(revisions, ["2", "3"]);
}

#[test]
fn an_aborted_canary_is_degraded_and_back_on_the_stable_one() {
    let cluster = canary();
    image(&cluster, "web:2");
    cluster.settle();
    change(&cluster, |object| object["status"]["abort"] = json!(true));
    cluster.settle();
    let aborted = rollout(&cluster);
    let message = "RolloutAborted: Rollout aborted update to revision 2".to_owned();
    assert_eq!(phase(&cluster), ("Degraded".to_owned(), message), "{aborted:#}");
    assert_eq!(count(&aborted, "/status/canary/weights/stable/weight"), 100);
    assert_eq!(text(&aborted, "/spec/template/spec/containers/0/image"), "web:2", "what is wanted stays");
    let pods = cluster.objects("pods", "shop");
    assert!(pods.iter().all(|pod| text(pod, "/spec/containers/0/image") == "web:1"), "{pods:#?}");
    change(&cluster, |object| object["status"]["abort"] = json!(false));
    cluster.settle();
    assert_eq!(phase(&cluster).0, "Paused", "it tries again");
    image(&cluster, "web:1");
    cluster.settle();
    assert_eq!(phase(&cluster).0, "Healthy", "the stable one needs no steps");
}

#[test]
fn a_broken_canary_is_late() {
    let cluster = canary();
    cluster.break_image("web:2", Broken::CrashLoopBackOff);
    image(&cluster, "web:2");
    cluster.settle();
    assert_eq!(phase(&cluster).0, "Progressing");
    cluster.tick(Duration::from_secs(601));
    assert!(phase(&cluster).1.starts_with("ProgressDeadlineExceeded"), "{:#}", rollout(&cluster));
    let pods = cluster.objects("pods", "shop");
    let old = pods.iter().filter(|pod| text(pod, "/spec/containers/0/image") == "web:1").count();
    assert_eq!(old, 4, "{pods:#?}");
}

#[test]
fn a_window_skips_the_steps_and_blue_green_switches_back_at_once() {
    let cluster = canary();
    change(&cluster, |object| object["spec"]["rollbackWindow"] = json!({ "revisions": 3 }));
    image(&cluster, "web:2");
    cluster.settle();
    change(&cluster, |object| object["status"]["promoteFull"] = json!(true));
    cluster.settle();
    assert_eq!(phase(&cluster).0, "Healthy");
    image(&cluster, "web:1");
    cluster.settle();
    assert_eq!(phase(&cluster).0, "Healthy", "{:#}", rollout(&cluster));

    let cluster =
        rolled_out(json!({ "blueGreen": { "activeService": "web", "autoPromotionEnabled": false } }));
    image(&cluster, "web:2");
    cluster.settle();
    assert_eq!(phase(&cluster), ("Paused".to_owned(), "BlueGreenPause".to_owned()));
    cluster.promote("shop", "web");
    assert_eq!(phase(&cluster).0, "Healthy", "{:#}", rollout(&cluster));
    assert_eq!(cluster.objects("pods", "shop").len(), 8, "both are up for a while");
    let switched = rollout(&cluster);
    assert_eq!(switched["status"]["blueGreen"]["activeSelector"], switched["status"]["currentPodHash"]);
    image(&cluster, "web:1");
    assert_eq!(phase(&cluster).0, "Healthy", "what is still up needs no promotion: {:#}", rollout(&cluster));
    cluster.tick(Duration::from_secs(31));
    assert_eq!(cluster.objects("pods", "shop").len(), 4);
    assert!(list(&switched, "/status/pauseConditions").is_empty());
}
