//! Whole stories with the real program, a real Helm and the pretend cluster, in real time: from an alert to a release that is back, and
//! what happens when somebody comes first, an answer is lost, or the program is killed.

mod binary;
mod helm_bed;
mod kube;

use std::sync::Arc;
use std::time::Duration;

use binary::{TOKEN, head, now};
use helm_bed::{PACE, Tool, has_run, image, real_now, record, rewrite, rollbacks};
use kube::{Broken, Cluster, Fault, Right};
use serde_json::{Value, json};
use snapback::case::id::Timestamp;

const RULES: &str = r#"[[rule]]
name = "take it back"
action = "rollback"
countdown = "2s"
"#;

/// The program, the cluster, Helm, and the alert.
struct Story {
    cluster: Arc<Cluster>,
    helm: Tool,
    program: binary::Program,
    fired_at: Option<Timestamp>,
}

impl Story {
    /// Revision 1 ran for two hours, revision 2 runs since two minutes.
    fn begin() -> Option<Story> {
        Story::begin_with(120, |_| {})
    }

    /// Revision 2 runs since so many seconds.
    fn begin_with(seconds: i64, change: impl FnOnce(&Cluster)) -> Option<Story> {
        let cluster = Cluster::start_at(real_now());
        cluster.namespace("shop");
        let helm = Tool::find("SNAPBACK_TEST_HELM4", &cluster, "secret")?;
        cluster.goes_on(PACE);
        helm.installs(&["image=shop:1"]);
        helm.upgrades(&["image=shop:2"]);
        has_run(&cluster, 1, now() - jiff::SignedDuration::from_secs(7200 + seconds));
        has_run(&cluster, 2, now() - jiff::SignedDuration::from_secs(seconds));
        change(&cluster);
        let folder = tempfile::tempdir().expect("a folder");
        allow(&cluster, "get list watch create update patch delete");
        let kubeconfig = cluster.kubeconfig_in("token-of-snapback", "shop");
        std::fs::write(folder.path().join("kubeconfig"), kubeconfig).expect("a kubeconfig");
        binary::furnish(folder.path(), &config(&helm), RULES);
        let mut program = binary::Program::over(folder);
        program.reads_with = Some(TOKEN.to_owned());
        program.wait("the release to be read", "/v1/services/checkout@production", |service| {
            service["current"].is_string()
        });
        Some(Story { cluster, helm, program, fired_at: None })
    }

    fn fires(&mut self) {
        let at = now();
        self.fired_at = Some(at);
        assert_eq!(self.program.post(&labels(), at, None), 200);
    }

    /// The alert clears as soon as every pod runs this image.
    fn clears_when_running(&self, image: &str) {
        let all = || {
            let pods = self.cluster.objects("pods", "shop");
            pods.iter().all(|pod| pod["spec"]["containers"][0]["image"] == image && is_ready(pod))
        };
        assert!(binary::wait_until(all), "not every pod runs {image}: {}", self.program.said());
        if let Some(at) = self.fired_at {
            assert_eq!(self.program.post(&labels(), at, Some(now())), 200);
        }
    }

    /// What became of it, by Helm's own words, and how often we did it.
    fn is_back(&self, revision: i64) {
        let history = self.helm.history();
        let (last, status, says) = history.last().expect("a revision");
        assert_eq!(
            (status.as_str(), says.clone()),
            ("deployed", format!("Rollback to {revision}")),
            "{last}"
        );
        assert_eq!(rollbacks(&self.cluster), 1, "{history:?}");
    }
}

fn labels() -> Value {
    json!({ "alertname": "HighErrorRate", "service": "checkout", "environment": "production", "severity": "critical" })
}

fn is_ready(pod: &Value) -> bool {
    let mut conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
    conditions.any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

/// What the account of Snapback may: everything about records by these verbs, and about what the chart holds.
fn allow(cluster: &Cluster, verbs: &'static str) {
    let right = |group, resources, verbs| Right { group, resources, verbs, namespace: None };
    cluster.token(
        "snapback",
        &[
            right("", "secrets", verbs),
            right("", "configmaps services pods events pods/log", "*"),
            right("apps", "*", "*"),
            right("flagger.app", "canaries", "list"),
            right("authorization.k8s.io", "selfsubjectaccessreviews", "create"),
        ],
    );
}

fn config(helm: &Tool) -> String {
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

[providers.releases]
kind = "helm"
kubeconfig = "kubeconfig"
program = {:?}
timeout = "30s"
quarantine = "2s"

[[service]]
name = "checkout"
environment = "production"
provider = "releases"
target = {{ namespace = "shop", release = "web" }}
inherit_good = true
soak = "2s"
migrations = "none"
"#,
        head("live"),
        helm.program,
    )
}

macro_rules! story {
    ($story:expr) => {
        match $story {
            Some(story) => story,
            None => return,
        }
    };
}

#[test]
fn an_alert_takes_a_finished_release_back() {
    let mut story = story!(Story::begin());
    story.fires();
    story.clears_when_running("shop:1");
    let case = story.program.wait_for_outcome("recovered");
    assert_eq!(case["from"]["ledger"], "bad", "{case:#}");
    story.is_back(1);
}

/// Another Helm is at it: two at one release would write over each other, so that its end is waited for.
#[test]
fn a_release_that_is_still_going_out_goes_back_when_its_helm_has_ended() {
    let mut story = story!(Story::begin_with(3600, |_| {}));
    story.cluster.break_image("shop:3", Broken::ImagePullBackOff);
    let mut upgrade = story.helm.begins_to_upgrade(&["image=shop:3"]);
    story.program.wait("release 3 to be on its way", "/v1/deployments", |listed| {
        let mut all = listed["deployments"].as_array().into_iter().flatten();
        all.any(|one| one["status"] == "going_out" && one["version"] == "shop-1.2.3 shop:3")
    });
    // Later than the clocks may differ.
    let seen = now();
    assert!(binary::wait_until(|| now() > seen + jiff::SignedDuration::from_secs(2)));
    story.fires();
    story.program.wait("the case", "/v1/cases", |cases| cases["cases"][0]["phase"] == "planning");
    assert_eq!(rollbacks(&story.cluster), 0);
    // Its pipeline gives up, and Helm says so.
    upgrade.kill().expect("killed");
    upgrade.wait().expect("over");
    rewrite(&story.cluster, 3, |record| {
        record["info"]["status"] = "failed".into();
        record["info"]["description"] = "Upgrade \"web\" failed: context canceled".into();
    });
    story.clears_when_running("shop:2");
    story.program.wait_for_outcome("recovered");
    story.is_back(2);
}

#[test]
fn somebody_who_deploys_meanwhile_comes_first() {
    let mut story = story!(Story::begin());
    story.fires();
    story.program.wait("the countdown", "/v1/cases", |cases| cases["cases"][0]["phase"] == "countdown");
    story.helm.upgrades(&["image=shop:3"]);
    let case = story.program.wait("the case to stand back", "/v1/cases/checkout@production.1", |case| {
        let told = case["events"].as_array().into_iter().flatten();
        told.filter(|event| event["kind"] == "withdrawn" || event["kind"] == "closed").count() > 0
    });
    assert_ne!(case["outcome"], "recovered", "{case:#}");
    assert_eq!((image(&story.cluster).as_str(), rollbacks(&story.cluster)), ("shop:3", 0));
}

/// The answer to Helm's very first write is lost: Helm fails, and its record tells that it was there.
#[test]
fn a_lost_reply_leads_to_no_second_rollback_beside_the_first() {
    let mut story = story!(Story::begin());
    let written = story.cluster.hear("POST", "secrets");
    story.cluster.fault("POST", "secrets", Fault::LoseReply);
    story.fires();
    written.recv_timeout(Duration::from_secs(60)).expect("the record to be written");
    // Nobody finishes it: it is followed, and told.
    let case = story.program.wait("the case to tell", "/v1/cases/checkout@production.1", |case| {
        case["phase"] == "needs_human" || case["phase"] == "running"
    });
    assert_eq!(rollbacks(&story.cluster), 1, "{case:#}");
    assert_eq!(record(&story.cluster, 3)["info"]["status"], "pending-rollback");
}

/// Killed while Helm is at it, and again while it is followed: one rollback, and the same end.
#[test]
fn killed_in_the_middle_it_goes_on() {
    let mut story = story!(Story::begin());
    let written = story.cluster.hear("POST", "secrets");
    story.fires();
    written.recv_timeout(Duration::from_secs(60)).expect("the record to be written");
    story.program.kill();
    story.program.start_again();
    story.program.wait("the case to go on", "/v1/cases", |cases| cases["cases"][0]["phase"].is_string());
    story.program.kill();
    story.program.start_again();
    story.clears_when_running("shop:1");
    story.program.wait_for_outcome("recovered");
    story.is_back(1);
}

#[test]
fn what_flux_owns_is_told_and_left_to_flux() {
    let mut story = story!(Story::begin_with(120, |cluster| {
        let mut object = cluster.object("deployments", "shop", "web");
        object["metadata"]["labels"]["helm.toolkit.fluxcd.io/name"] = "web".into();
        object["metadata"]["labels"]["helm.toolkit.fluxcd.io/namespace"] = "flux".into();
        object["metadata"].as_object_mut().expect("a map").remove("resourceVersion");
        cluster.apply(object);
    }));
    story.fires();
    let cases =
        story.program.wait("a verdict", "/v1/cases", |cases| cases["cases"][0]["verdict"].is_string());
    assert_eq!(cases["cases"][0]["verdict"], "notify", "{cases:#}");
    let why = story.program.get("/v1/cases/checkout@production.1/explanation").expect("why");
    assert!(why.to_string().contains("Flux HelmRelease flux/web"), "{why:#}");
    assert_eq!(rollbacks(&story.cluster), 0);
}

#[test]
fn a_target_that_is_pruned_is_told_and_nothing_is_done() {
    let mut story = story!(Story::begin());
    story.cluster.remove("secrets", "shop", "sh.helm.release.v1.web.v1");
    story.fires();
    story.program.wait_for_line(&["holds no revision", "--history-max"]);
    assert_eq!((image(&story.cluster).as_str(), rollbacks(&story.cluster)), ("shop:2", 0));
}

#[test]
fn a_missing_right_fails_the_case_in_the_apis_own_words() {
    let mut story = story!(Story::begin());
    allow(&story.cluster, "get list watch");
    story.fires();
    let case = story.program.wait_for_outcome("failed");
    assert!(case.to_string().contains("cannot create resource"), "{case:#}");
    assert_eq!((image(&story.cluster).as_str(), rollbacks(&story.cluster)), ("shop:2", 0));
}

/// Helm itself tells that the upgrade failed, or Kubernetes before it that the pods do: nobody has to ring first.
#[test]
fn a_bad_image_that_never_becomes_ready_is_taken_back_without_any_alert() {
    let story = story!(Story::begin_with(3600, |_| {}));
    story.cluster.break_image("shop:3", Broken::ImagePullBackOff);
    story.helm.fails_to_upgrade(&["image=shop:3"], "2s");
    let case = story.program.wait_for_outcome("recovered");
    let told = case["signals"].to_string();
    assert!(told.contains("ImagePullBackOff") || told.contains("Upgrade \\\"web\\\" failed"), "{case:#}");
    assert_eq!(case["signals"][0]["source"], json!("provider"), "{case:#}");
    let shown = case["evidence"].to_string();
    assert!(
        shown.contains("history of Helm release shop/web") && shown.contains("ImagePullBackOff"),
        "{case:#}"
    );
    story.is_back(2);
}
