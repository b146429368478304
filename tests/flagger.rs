//! Flagger's canaries against the pretend cluster, whose Flagger calls its webhooks for real: what it analyses is taken back when it asks, what it
//! promoted goes back by the candidate's template, and the door says yes for nothing else.

mod binary;
mod kube;
mod kubernetes_bed;

use std::sync::Arc;
use std::time::Duration;

use binary::{Program, TOKEN, head, now};
use kube::Cluster;
use kubernetes_bed::{Bed, allow, alter, kubeconfig, labels, workload};
use serde_json::{Value, json};
use snapback::case::command::Progress;
use snapback::case::deployment::{DeploymentOrigin, DeploymentStatus, Owner};
use snapback::execute::Sighting;
use snapback::execute::kubernetes::Kind;
use snapback::outbound::Trouble;

/// A canary over the workload of the bed, with these webhooks; its analysis takes four turns.
fn canary(webhooks: &Value) -> Value {
    json!({
        "apiVersion": "flagger.app/v1beta1", "kind": "Canary",
        "metadata": { "name": "shop-canary", "namespace": "shop" },
        "spec": {
            "targetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "checkout" },
            "analysis": { "interval": "10s", "threshold": 3, "maxWeight": 60, "stepWeight": 20, "webhooks": webhooks },
        },
    })
}

fn asking(base: &str) -> Value {
    json!([{ "name": "snapback", "type": "rollback", "url": format!("{base}/flagger/shop/shop-canary/rollback") }])
}

/// Release 2 was promoted; the canary asks at an address where nobody is.
fn promoted() -> Bed {
    let bed = Bed::with(Kind::Deployment, workload(Kind::Deployment, 1));
    bed.pass(60);
    bed.cluster.apply(canary(&asking("http://127.0.0.1:1")));
    bed.pass(600);
    bed.puts_out(2);
    bed.pass(600);
    assert_eq!(phase(&bed.cluster), "Succeeded");
    bed
}

/// And release 3 is analysed.
fn analysed() -> Bed {
    let bed = promoted();
    bed.puts_out(3);
    bed.pass(3);
    assert_eq!(phase(&bed.cluster), "Progressing");
    bed
}

fn phase(cluster: &Cluster) -> String {
    cluster.object("canaries", "shop", "shop-canary")["status"]["phase"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

fn marks(cluster: &Cluster, change: impl FnOnce(&mut Value)) {
    let mut object = cluster.object("canaries", "shop", "shop-canary");
    change(&mut object);
    object["metadata"].as_object_mut().expect("a map").remove("resourceVersion");
    object.as_object_mut().expect("a map").remove("status");
    cluster.apply(object);
}

#[tokio::test]
async fn what_flagger_analyses_is_told_and_goes_back_through_its_gate() {
    let bed = analysed();
    let picture = bed.picture().await;
    let newest = picture.deployments.last().expect("release 3");
    assert_eq!((&newest.status, &picture.in_flight), (&DeploymentStatus::GoingOut, &Some(newest.id.clone())));
    assert_eq!((&picture.owner, picture.provider_judges), (&Owner::Nobody, true));
    let order = bed.way_back(3, 2).await;
    assert_eq!(order.act.kind, "gate");
    let handle = bed.begin(&order).await.expect("taken");
    assert!(bed.provider.flagger_shall_go_back(&order.act).await.expect("an answer"));
    assert_eq!(bed.find(&order).await.expect("an answer"), Sighting::Absent, "nothing is sent to anybody");
    assert!(matches!(bed.provider.watch(&handle).await, Ok(Progress::Running(how)) if how.contains("10s")));
    assert_eq!(bed.mutations(), 0);
    // It was not heard, and is promoted.
    bed.pass(600);
    let ended = bed.end_of(&handle).await.expect("an end");
    assert!(matches!(&ended, Progress::Superseded(why) if why.contains("promoted")), "{ended:?}");
    assert!(!bed.provider.flagger_shall_go_back(&order.act).await.expect("an answer"));
    assert!(matches!(bed.begin(&order).await, Err(Trouble::Moved(_))));
}

#[tokio::test]
async fn the_gate_is_for_what_was_planned_alone() {
    let bed = analysed();
    let order = bed.way_back(3, 2).await;
    bed.puts_out(4);
    bed.pass(3);
    assert_eq!(phase(&bed.cluster), "Progressing");
    assert!(!bed.provider.flagger_shall_go_back(&order.act).await.expect("an answer"), "that is another one");
    assert!(matches!(bed.begin(&order).await, Err(Trouble::Moved(_))));
    // Without a webhook nobody would ask.
    marks(&bed.cluster, |canary| canary["spec"]["analysis"]["webhooks"] = json!([]));
    let told = bed.propose(4, 2).await;
    assert!(
        matches!(&told, Err(Trouble::Refused(why)) if why.contains("/flagger/shop/shop-canary/rollback")),
        "{told:?}"
    );
    assert_eq!(bed.picture().await.owner, Owner::Other("Flagger canary shop/shop-canary".into()));
    let found = bed.provider.check(&bed.target()).await;
    assert!(found.len() == 1 && found[0].says.contains("does not ask us"), "{found:?}");
}

#[tokio::test]
async fn what_flagger_takes_back_itself_is_told() {
    let bed = promoted();
    marks(&bed.cluster, |canary| canary["metadata"]["annotations"] = json!({ "checks-fail": "yes" }));
    bed.puts_out(3);
    bed.pass(20);
    assert_eq!(phase(&bed.cluster), "Failed");
    let picture = bed.picture().await;
    assert_eq!(picture.current, Some(bed.release(2).await), "the copy serves");
    let failed = picture.deployments.iter().find(|one| one.status == DeploymentStatus::Failed).expect("3");
    assert_eq!(failed.release, bed.release(3).await);
    let newest = picture.deployments.last().expect("the way back");
    assert_eq!((&newest.release, &newest.origin), (&bed.release(2).await, &DeploymentOrigin::Rollback));
    assert!(picture.reports[0].says.contains("3 checks of Flagger canary"), "{:?}", picture.reports);
    bed.pass(400);
    assert!(bed.picture().await.reports.is_empty(), "nothing is in trouble any more");
}

#[tokio::test]
async fn what_flagger_promoted_goes_back_by_the_candidates_template() {
    let bed = promoted();
    let picture = bed.picture().await;
    assert_eq!((&picture.current, &picture.owner), (&Some(bed.release(2).await), &Owner::Nobody));
    let proposal = bed.propose(2, 1).await.expect("a way back");
    assert!(
        !proposal.fast && proposal.acts[0].says.contains("analyses it first, for at least 40s"),
        "{proposal:?}"
    );
    let order = bed.way_back(2, 1).await;
    assert_eq!(order.act.kind, "undo");
    let handle = bed.begin(&order).await.expect("taken");
    let early = bed.provider.watch(&handle).await.expect("an answer");
    assert!(matches!(early, Progress::Running(_)), "the phase is that of the release before: {early:?}");
    assert_eq!(bed.end_of(&handle).await.expect("an end"), Progress::Serving(order.to.clone()));
    assert_eq!(bed.effects(), ["write shop:1"]);
    assert_eq!(bed.picture().await.current, Some(order.to));
    // Flagger may take our way back away again.
    let bed = promoted();
    marks(&bed.cluster, |canary| canary["metadata"]["annotations"] = json!({ "checks-fail": "yes" }));
    let order = bed.way_back(2, 1).await;
    let handle = bed.begin(&order).await.expect("taken");
    let ended = bed.end_of(&handle).await.expect("an end");
    assert!(matches!(&ended, Progress::Failed(why) if why.contains("3 checks")), "{ended:?}");
    // And without an analysis it is said so.
    let bed = promoted();
    marks(&bed.cluster, |canary| canary["spec"]["skipAnalysis"] = true.into());
    let proposal = bed.propose(2, 1).await.expect("a way back");
    assert!(proposal.acts[0].says.contains("without an analysis"), "{proposal:?}");
}

const RULES: &str = r#"[[rule]]
name = "take it back"
action = "rollback"
countdown = "2s"
"#;

fn config() -> String {
    format!(
        r#"{}
[guards]
clock_skew = "1s"
episode_settle = "2s"
provider_grace = "0s"

[verify.default]
settle = "1s"
within = "60s"
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
target = {{ namespace = "shop", deployment = "checkout" }}
inherit_good = true
soak = "2s"
migrations = "none"
"#,
        head("live")
    )
}

/// The real program beside a Flagger that asks it: an alert while release 3 is analysed, and Flagger goes back at its next turn. Killed while the
/// gate is open, it says the same afterwards.
#[test]
fn an_alert_during_the_analysis_opens_the_gate_and_flagger_goes_back() {
    let ago = |seconds: i64| now() - jiff::SignedDuration::from_secs(seconds);
    let cluster: Arc<Cluster> = Cluster::start_at(ago(7200));
    allow(&cluster, &[]);
    cluster.apply(workload(Kind::Deployment, 1));
    cluster.settle();
    // Long enough to be met on its way.
    let mut slow = canary(&json!([]));
    slow["spec"]["analysis"]["stepWeight"] = 1.into();
    slow["spec"]["analysis"]["maxWeight"] = 1000.into();
    slow["spec"]["skipAnalysis"] = true.into();
    cluster.apply(slow);
    cluster.settle();
    let sets = |image: &str| {
        alter(&cluster, Kind::Deployment, |object| {
            object["spec"]["template"]["spec"]["containers"][0]["image"] = image.into();
        });
    };
    sets("shop:2");
    cluster.settle();
    assert_eq!(phase(&cluster), "Succeeded");
    cluster.tick(ago(600).duration_since(cluster.now()).unsigned_abs());
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("kubeconfig"), kubeconfig(&cluster.url())).expect("a kubeconfig");
    binary::furnish(folder.path(), &config(), RULES);
    let mut program = Program::over(folder);
    program.reads_with = Some(TOKEN.to_owned());
    program
        .wait("the cluster to be read", "/v1/services/checkout@production", |of| of["current"].is_string());
    // Flagger does not reach us yet.
    marks(&cluster, |canary| {
        canary["spec"]["skipAnalysis"] = false.into();
        canary["spec"]["analysis"]["webhooks"] = asking("http://127.0.0.1:1");
    });
    cluster.goes_on(Duration::from_millis(400));
    sets("shop:3");
    program.wait("release 3 to be on its way", "/v1/deployments", |listed| {
        let mut all = listed["deployments"].as_array().into_iter().flatten();
        all.any(|one| one["status"] == "going_out" && one["version"] == "shop:3")
    });
    let at = now();
    assert_eq!(program.post(&labels(), at, None), 200);
    program.wait("the gate to be open", "/v1/cases", |cases| cases["cases"][0]["phase"] == "running");
    assert_eq!(
        program.send("/flagger/shop/another/rollback", &[], "{}"),
        409,
        "it is open for one canary alone"
    );
    program.kill();
    program.start_again();
    let url = format!("http://{}", program.listen());
    marks(&cluster, |canary| canary["spec"]["analysis"]["webhooks"] = asking(&url));
    let back = || phase(&cluster) == "Failed";
    assert!(binary::wait_until(back), "Flagger never went back: {}", program.said());
    assert_eq!(program.post(&labels(), at, Some(now())), 200);
    let case = program.wait_for_outcome("recovered");
    assert!(case.to_string().contains("tell Flagger canary shop/shop-canary to go back"), "{case:#}");
    assert_eq!(cluster.effects(), ["flagger went back on shop-canary"], "once, and nothing was written");
    assert_eq!(program.send("/flagger/shop/shop-canary/rollback", &[], "{}"), 409, "it is over");
}
