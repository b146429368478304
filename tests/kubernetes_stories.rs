//! Whole stories with the real program and the pretend cluster, in real time: from an alert to a recovered service for each kind of
//! workload, and what happens when somebody comes first, an answer is lost, or the program is killed.

mod binary;
mod kube;
mod kubernetes_bed;

use std::sync::Arc;
use std::time::Duration;

use binary::{Program, TOKEN, head, now};
use kube::{Broken, Cluster, Fault};
use kubernetes_bed::{ALL_KINDS, allow, alter, kubeconfig, labels, mutations, resource, workload};
use serde_json::{Value, json};
use snapback::case::id::Timestamp;
use snapback::execute::kubernetes::Kind;

const RULES: &str = r#"[[rule]]
name = "take it back"
action = "rollback"
countdown = "2s"
"#;

/// A pod is ready after so long, and a rollout goes on by a step.
const PACE: Duration = Duration::from_millis(300);

/// The program, the cluster, and the alert.
struct Story {
    kind: Kind,
    cluster: Arc<Cluster>,
    program: Program,
    fired_at: Option<Timestamp>,
}

impl Story {
    /// Release 1 ran for two hours, release 2 runs since two minutes; a pod is ready after a second.
    fn begin(kind: Kind) -> Story {
        Story::begin_after(kind, 120, PACE, |_| {})
    }

    fn begin_with(kind: Kind, change: impl FnOnce(&Cluster)) -> Story {
        Story::begin_after(kind, 120, PACE, change)
    }

    /// Release 2 runs since so many seconds; rollouts go on by a step in this time.
    fn begin_after(kind: Kind, seconds: i64, pace: Duration, change: impl FnOnce(&Cluster)) -> Story {
        let ago = |seconds: i64| now() - jiff::SignedDuration::from_secs(seconds);
        let cluster = Cluster::start_at(ago(seconds + 7200));
        allow(&cluster, &[]);
        cluster.apply(workload(kind, 1));
        cluster.settle();
        let left = ago(seconds).duration_since(cluster.now());
        cluster.tick(left.unsigned_abs());
        sets_image(&cluster, kind, "shop:2");
        cluster.settle();
        if kind == Kind::Rollout {
            // The pause of its steps.
            cluster.tick(Duration::from_secs(6));
            cluster.settle();
        }
        cluster.goes_on(pace);
        change(&cluster);
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("kubeconfig"), kubeconfig(&cluster.url())).expect("a kubeconfig");
        binary::furnish(folder.path(), &config(kind), RULES);
        let mut program = Program::over(folder);
        program.reads_with = Some(TOKEN.to_owned());
        Story { kind, cluster, program, fired_at: None }.read()
    }

    fn read(self) -> Story {
        let service = "/v1/services/checkout@production";
        self.program.wait("the cluster to be read", service, |service| service["current"].is_string());
        self
    }

    fn fires(&mut self) {
        let at = now();
        self.fired_at = Some(at);
        assert_eq!(self.program.post(&labels(), at, None), 200);
    }

    fn clears(&self) {
        assert_eq!(self.program.post(&labels(), self.fired_at.expect("it fired"), Some(now())), 200);
    }

    /// The alert clears as soon as every pod runs this image.
    fn clears_when_running(&self, image: &str) {
        let all = || {
            let pods = self.cluster.objects("pods", "shop");
            pods.iter().all(|pod| pod["spec"]["containers"][0]["image"] == image && is_ready(pod))
        };
        assert!(binary::wait_until(all), "not every pod runs {image}: {}", self.program.said());
        self.clears();
    }

    fn image(&self) -> Value {
        let object = self.cluster.object(resource(self.kind), "shop", "checkout");
        object["spec"]["template"]["spec"]["containers"][0]["image"].clone()
    }

    fn effects(&self) -> Vec<String> {
        self.cluster.effects()
    }
}

fn sets_image(cluster: &Cluster, kind: Kind, image: &str) {
    alter(cluster, kind, |object| {
        object["spec"]["template"]["spec"]["containers"][0]["image"] = image.into();
    });
}

fn is_ready(pod: &Value) -> bool {
    let mut conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
    conditions.any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

fn config(kind: Kind) -> String {
    let word = kind.word();
    format!(
        r#"{}
[guards]
clock_skew = "1s"
episode_settle = "2s"

[verify.default]
settle = "1s"
within = "30s"
clear_for = "1s"

[tokens.ada]
token = {{ file = "token" }}
role = "admin"

[providers.cluster]
kind = "kubernetes"
kubeconfig = "kubeconfig"
quarantine = "2s"

[[service]]
name = "checkout"
environment = "production"
provider = "cluster"
target = {{ namespace = "shop", {word} = "checkout" }}
inherit_good = true
soak = "2s"
migrations = "none"
"#,
        head("live")
    )
}

/// Plays a story for each kind at once.
fn on_each(story: impl Fn(Kind) + Sync) {
    std::thread::scope(|scope| {
        for kind in &ALL_KINDS {
            scope.spawn(|| story(*kind));
        }
    });
}

#[test]
fn an_alert_takes_a_finished_release_back() {
    on_each(|kind| {
        let mut story = Story::begin(kind);
        story.fires();
        story.clears_when_running("shop:1");
        let case = story.program.wait_for_outcome("recovered");
        assert_eq!(case["from"]["ledger"], "bad", "{kind:?}: {case:#}");
        assert_eq!(story.effects(), ["write shop:1"], "{kind:?}");
    });
}

#[test]
fn a_release_that_is_still_going_out_is_taken_back_on_its_way() {
    on_each(|kind| {
        // Slow enough to be met on its way.
        let mut story = Story::begin_after(kind, 3600, Duration::from_secs(4), |_| {});
        sets_image(&story.cluster, kind, "shop:3");
        story.program.wait("release 3 to be on its way", "/v1/deployments", |listed| {
            let mut all = listed["deployments"].as_array().into_iter().flatten();
            all.any(|one| one["status"] == "going_out" && one["version"] == "shop:3")
        });
        story.fires();
        story.clears_when_running("shop:2");
        story.program.wait_for_outcome("recovered");
        assert_eq!(story.effects(), [back_on_its_way(kind)], "{kind:?}");
    });
}

/// What is still going out is written over; a Rollout's is aborted.
fn back_on_its_way(kind: Kind) -> &'static str {
    match kind {
        Kind::Rollout => "abort",
        Kind::Deployment | Kind::StatefulSet | Kind::DaemonSet => "write shop:2",
    }
}

#[test]
fn somebody_who_deploys_meanwhile_comes_first() {
    let mut story = Story::begin(Kind::Deployment);
    story.fires();
    story.program.wait("the countdown", "/v1/cases", |cases| cases["cases"][0]["phase"] == "countdown");
    sets_image(&story.cluster, Kind::Deployment, "shop:3");
    let case = story.program.wait("the case to stand back", "/v1/cases/checkout@production.1", |case| {
        let told = case["events"].as_array().into_iter().flatten();
        told.filter(|event| event["kind"] == "withdrawn" || event["kind"] == "closed").count() > 0
    });
    assert_ne!(case["outcome"], "recovered", "{case:#}");
    assert!(story.effects().is_empty(), "{:?}", story.effects());
    assert_eq!(story.image(), "shop:3");
}

#[test]
fn a_lost_reply_leads_to_one_write() {
    on_each(|kind| {
        let mut story = Story::begin(kind);
        story.cluster.fault("PATCH", "checkout", Fault::LoseReply);
        story.fires();
        story.clears_when_running("shop:1");
        story.program.wait_for_outcome("recovered");
        assert_eq!(story.effects(), ["write shop:1"], "{kind:?}");
        assert_eq!(mutations(&story.cluster), 1, "{kind:?}");
    });
}

/// Killed between its intent and the answer, and again while it watches: one write, and the same end.
#[test]
fn killed_in_the_middle_it_goes_on() {
    on_each(|kind| {
        let mut story = Story::begin(kind);
        let written = story.cluster.hear("PATCH", "checkout");
        story.cluster.fault("PATCH", "checkout", Fault::HangAfter);
        story.fires();
        written.recv_timeout(Duration::from_secs(60)).expect("the template to be written");
        story.program.kill();
        story.program.start_again();
        story.program.wait("the case to go on", "/v1/cases", |cases| cases["cases"][0]["phase"].is_string());
        story.program.kill();
        story.program.start_again();
        story.clears_when_running("shop:1");
        story.program.wait_for_outcome("recovered");
        assert_eq!(story.effects(), ["write shop:1"], "{kind:?}");
        assert_eq!(mutations(&story.cluster), 1, "{kind:?}");
    });
}

#[test]
fn what_somebody_else_owns_is_told_and_left_to_them() {
    let mut story = Story::begin_with(Kind::Deployment, |cluster| {
        alter(cluster, Kind::Deployment, |object| {
            object["metadata"]["annotations"]["argocd.argoproj.io/tracking-id"] =
                "shop:apps/Deployment:shop/checkout".into();
        });
    });
    story.fires();
    let cases =
        story.program.wait("a verdict", "/v1/cases", |cases| cases["cases"][0]["verdict"].is_string());
    assert_eq!(cases["cases"][0]["verdict"], "notify", "{cases:#}");
    let why = story.program.get("/v1/cases/checkout@production.1/explanation").expect("why");
    assert!(why.to_string().contains("Argo CD application shop"), "{why:#}");
    assert_eq!(mutations(&story.cluster), 0);
}

#[test]
fn a_target_that_is_pruned_is_told_and_nothing_is_done() {
    let mut story = Story::begin(Kind::Deployment);
    // Somebody lowers the limit after the history was read.
    alter(&story.cluster, Kind::Deployment, |object| {
        object["spec"]["revisionHistoryLimit"] = 0.into();
    });
    story.fires();
    story.program.wait_for_line(&["holds no", "revisionHistoryLimit"]);
    assert_eq!(mutations(&story.cluster), 0);
    assert_eq!(story.image(), "shop:2");
}

#[test]
fn a_missing_right_fails_the_case_in_the_apis_own_words() {
    let mut story = Story::begin(Kind::Deployment);
    allow(&story.cluster, &["patch deployments"]);
    story.fires();
    let case = story.program.wait_for_outcome("failed");
    assert!(case.to_string().contains("cannot patch resource"), "{case:#}");
    assert_eq!(
        (mutations(&story.cluster), story.effects().len()),
        (1, 0),
        "a definite no is not asked again"
    );
}

/// Kubernetes itself tells that the new pods fail: nobody has to ring first.
#[test]
fn a_bad_image_that_never_becomes_ready_is_taken_back_without_any_alert() {
    for kind in [Kind::Deployment, Kind::Rollout] {
        let story = Story::begin(kind);
        story.cluster.break_image("shop:3", Broken::ImagePullBackOff);
        sets_image(&story.cluster, kind, "shop:3");
        let case = story.program.wait_for_outcome("recovered");
        assert!(case.to_string().contains("ImagePullBackOff"), "{kind:?}: {case:#}");
        assert_eq!(story.effects(), [back_on_its_way(kind)], "{kind:?}");
        assert_eq!(case["signals"][0]["source"], json!("provider"), "{kind:?}: {case:#}");
        // What the cluster showed was collected before anything was changed, and is kept after the pods are gone.
        let word = |event: &Value| event["kind"].as_str().expect("a kind").to_owned();
        let events: Vec<String> = case["events"].as_array().expect("events").iter().map(word).collect();
        let at = |word: &str| events.iter().position(|event| event == word);
        assert!(at("collected").expect("it was collected") < at("intended").expect("it acted"), "{events:?}");
        let shown = case["evidence"].as_array().expect("evidence");
        let of =
            |name: &str| shown.iter().find(|one| one["name"].as_str().is_some_and(|of| of.starts_with(name)));
        assert!(of("rollout history of").is_some(), "{kind:?}: {case:#}");
        let pod = of("pod checkout-").expect("a pod that is not ready")["text"].as_str().expect("a text");
        assert!(pod.contains("ImagePullBackOff"), "{kind:?}: {pod}");
        let show = ["cases", "show", case["id"].as_str().expect("an id")];
        let (code, told) = story.program.run(Some(TOKEN), &show);
        assert_eq!(code, Some(0), "{told}");
        assert!(told.contains("ImagePullBackOff") && told.contains("rollout history of"), "{told}");
    }
}
