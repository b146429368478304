//! Argo Rollouts against the pretend cluster: what goes out is aborted, what is finished is undone by its template, and whoever acts
//! meanwhile comes first.

mod kube;
mod kubernetes_bed;

use kube::{Broken, Right};
use kubernetes_bed::{Bed, MARK, workload};
use serde_json::{Value, json};
use snapback::case::command::Progress;
use snapback::case::deployment::{DeploymentOrigin, DeploymentStatus, Owner};
use snapback::case::id::Mark;
use snapback::case::step::Class;
use snapback::execute::Sighting;
use snapback::execute::kubernetes::Kind;
use snapback::outbound::Trouble;

/// A Rollout with this strategy; release 1 ran since two hours, 2 since ten minutes.
fn with_strategy(strategy: Value) -> Bed {
    let mut object = workload(Kind::Rollout, 1);
    object["spec"]["strategy"] = strategy;
    of(object)
}

fn of(object: Value) -> Bed {
    let bed = Bed::with(Kind::Rollout, object);
    bed.pass(6600);
    bed.puts_out(2);
    bed.pass(600);
    bed
}

/// Release 3 is on its way, its canary is up and waits.
fn on_its_way() -> Bed {
    let bed = Bed::going_out(Kind::Rollout);
    bed.pass(3);
    bed
}

/// Somebody else writes the status, as `kubectl argo rollouts` does, and the controller takes it up.
async fn writes_status(bed: &Bed, status: Value) {
    let may = Right { group: "argoproj.io", resources: "rollouts/status", verbs: "patch", namespace: None };
    let token = bed.cluster.token("somebody", &[may]);
    let path = "/apis/argoproj.io/v1alpha1/namespaces/shop/rollouts/checkout/status?fieldManager=kubectl";
    let told = reqwest::Client::new()
        .patch(format!("{}{path}", bed.cluster.url()))
        .bearer_auth(token)
        .header("Content-Type", "application/merge-patch+json")
        .body(json!({ "status": status }).to_string())
        .send()
        .await
        .expect("an answer");
    assert_eq!(told.status(), 200);
    bed.pass(1);
}

#[tokio::test]
async fn a_finished_rollout_goes_back_by_its_template_and_its_steps() {
    let bed = Bed::new(Kind::Rollout);
    let picture = bed.picture().await;
    assert_eq!(picture.current, Some(bed.release(2).await));
    assert_eq!((&picture.in_flight, &picture.owner), (&None, &Owner::Nobody));
    let told: Vec<_> = picture.deployments.iter().map(|d| (d.release.clone(), d.status)).collect();
    let finished = DeploymentStatus::Finished;
    assert_eq!(told, [(bed.release(1).await, finished), (bed.release(2).await, finished)]);
    let proposal = bed.propose(2, 1).await.expect("a way back");
    assert!(!proposal.fast, "its steps take their time");
    assert!(proposal.acts[0].says.contains("its 2 steps and their analyses run again"), "{proposal:?}");
    let order = bed.way_back(2, 1).await;
    assert_eq!((order.act.kind.as_str(), order.act.class), ("undo", Class::A));
    let handle = bed.begin(&order).await.expect("taken");
    assert!(matches!(bed.provider.watch(&handle).await, Ok(Progress::Running(_))), "it was healthy before");
    assert_eq!(bed.end_of(&handle).await.expect("an end"), Progress::Serving(order.to.clone()));
    assert_eq!(bed.effects(), ["write shop:1"]);
    let picture = bed.picture().await;
    assert_eq!(picture.current, Some(order.to));
    assert_eq!(picture.our_marks().collect::<Vec<_>>(), [&Mark::new(MARK)]);
}

#[tokio::test]
async fn within_the_rollback_window_and_before_blue_is_gone_it_is_fast() {
    let mut object = workload(Kind::Rollout, 1);
    object["spec"]["strategy"] = json!({ "canary": { "steps": [{ "setWeight": 50 }, { "pause": {} }] } });
    object["spec"]["rollbackWindow"] = json!({ "revisions": 1 });
    let bed = Bed::with(Kind::Rollout, object);
    for number in 2..4 {
        bed.pass(600);
        bed.puts_out(number);
        bed.pass(10);
        bed.cluster.promote("shop", "checkout");
        bed.pass(60);
    }
    let near = bed.propose(3, 2).await.expect("a way back");
    assert!(near.fast && near.acts[0].says.contains("within the rollback window"), "{near:?}");
    let far = bed.propose(3, 1).await.expect("a way back");
    assert!(!far.fast && far.acts[0].says.contains("run again"), "{far:?}");
    let order = bed.way_back(3, 2).await;
    let handle = bed.begin(&order).await.expect("taken");
    assert_eq!(bed.end_of(&handle).await.expect("an end"), Progress::Serving(order.to), "no pause holds it");

    let blue_green = json!({ "blueGreen": { "activeService": "live", "scaleDownDelaySeconds": 1200 } });
    let bed = with_strategy(blue_green);
    let proposal = bed.propose(2, 1).await.expect("a way back");
    assert!(proposal.fast && proposal.acts[0].says.contains("its pods are still up"), "{proposal:?}");
    let order = bed.way_back(2, 1).await;
    let handle = bed.begin(&order).await.expect("taken");
    assert_eq!(bed.end_of(&handle).await.expect("an end"), Progress::Serving(order.to));
}

#[tokio::test]
async fn what_goes_out_is_aborted() {
    let bed = on_its_way();
    let picture = bed.picture().await;
    assert_eq!(picture.in_flight, picture.deployments.last().map(|newest| newest.id.clone()));
    let suspect = picture.in_flight.clone().expect("release 3 is on its way");
    let proposal = bed.propose(3, 2).await.expect("a way back");
    assert!(proposal.fast, "what is verified still runs");
    let order = bed.way_back(3, 2).await;
    assert_eq!((order.act.kind.as_str(), order.act.class), ("abort", Class::A));
    let handle = bed.begin(&order).await.expect("taken");
    assert_eq!(bed.end_of(&handle).await.expect("an end"), Progress::Serving(order.to.clone()));
    assert_eq!(bed.effects(), ["abort"]);
    assert_eq!(bed.image(), "shop:3", "the template is left as it is");
    let picture = bed.picture().await;
    assert_eq!((&picture.current, &picture.in_flight), (&Some(order.to.clone()), &None));
    let stopped = picture.deployments.iter().find(|one| one.id == suspect).expect("release 3");
    assert_eq!(stopped.status, DeploymentStatus::Stopped);
    let newest = picture.deployments.last().expect("the way back");
    assert_eq!((&newest.release, &newest.origin), (&order.to, &DeploymentOrigin::Rollback));
    assert!(newest.finished_at.is_some() && picture.reports.is_empty(), "{picture:#?}");
    assert!(matches!(bed.find(&order).await, Ok(Sighting::Found(_))));
    // Who asks again does nothing.
    bed.begin(&order).await.expect("it is there");
    assert_eq!(bed.mutations(), 1);
}

#[tokio::test]
async fn blue_green_is_aborted_before_it_switches() {
    let bed =
        with_strategy(json!({ "blueGreen": { "activeService": "live", "autoPromotionEnabled": false } }));
    bed.cluster.promote("shop", "checkout");
    bed.pass(60);
    bed.puts_out(3);
    bed.pass(10);
    let order = bed.way_back(3, 2).await;
    assert_eq!(order.act.kind, "abort");
    let handle = bed.begin(&order).await.expect("taken");
    assert_eq!(bed.end_of(&handle).await.expect("an end"), Progress::Serving(order.to));
    assert_eq!(bed.effects(), ["abort"]);
}

/// What is promoted in full is never aborted, and a copy of the request that comes late aborts nobody's second try.
#[tokio::test]
async fn an_abort_counts_for_what_was_read() {
    let bed = on_its_way();
    let order = bed.way_back(3, 2).await;
    bed.pass(60);
    assert!(bed.picture().await.in_flight.is_none(), "it was promoted");
    assert!(matches!(bed.begin(&order).await, Err(Trouble::Moved(_))));
    assert_eq!(bed.mutations(), 0);

    let bed = on_its_way();
    let order = bed.way_back(3, 2).await;
    let handle = bed.begin(&order).await.expect("taken");
    bed.end_of(&handle).await.expect("an end");
    let sent = bed.cluster.writes().into_iter().find(|call| call.method == "PATCH").expect("ours");
    writes_status(&bed, json!({ "abort": false })).await;
    let told = reqwest::Client::new()
        .patch(format!("{}{}", bed.cluster.url(), sent.path))
        .bearer_auth("token-of-snapback")
        .header("Content-Type", "application/json-patch+json")
        .body(sent.body.to_string())
        .send()
        .await
        .expect("an answer");
    assert_eq!((told.status().as_u16(), bed.effects().len()), (422, 1));
    // Somebody tries again, or the controller lost it: a person decides.
    let retried = bed.provider.watch(&handle).await.expect("an answer");
    assert!(matches!(&retried, Progress::NeedsHuman { why, .. } if why.contains("retried")), "{retried:?}");
    bed.pass(60);
    let promoted = bed.provider.watch(&handle).await.expect("an answer");
    assert!(matches!(&promoted, Progress::Superseded(_)), "{promoted:?}");
}

#[tokio::test]
async fn whoever_aborts_or_deploys_first_comes_first() {
    let bed = on_its_way();
    let order = bed.way_back(3, 2).await;
    writes_status(&bed, json!({ "abort": true })).await;
    let handle = bed.begin(&order).await.expect("it is done already");
    assert_eq!(bed.end_of(&handle).await.expect("an end"), Progress::Serving(order.to.clone()));
    assert_eq!(bed.mutations(), 0);
    let bed = on_its_way();
    let order = bed.way_back(3, 2).await;
    bed.puts_out(4);
    bed.pass(1);
    assert!(matches!(bed.begin(&order).await, Err(Trouble::Moved(what)) if what == "shop:4"));
    assert!(matches!(bed.find(&order).await, Err(Trouble::Moved(_))));
    assert_eq!(bed.mutations(), 0);
}

#[tokio::test]
async fn an_analysis_that_fails_is_told_and_has_taken_it_back_itself() {
    let steps = json!([{ "setWeight": 50 }, { "analysis": { "templates": [{ "templateName": "rate" }] } }]);
    let bed = with_strategy(json!({ "canary": { "steps": steps } }));
    bed.cluster.promote("shop", "checkout");
    bed.pass(10);
    assert!(!bed.picture().await.provider_judges, "nothing is on its way");
    bed.puts_out(3);
    bed.pass(10);
    assert!(bed.picture().await.provider_judges);
    let run =
        json!({ "name": "checkout-3", "status": "Failed", "message": "Metric \"rate\" assessed Failed" });
    writes_status(&bed, json!({ "abort": true, "canary": { "currentStepAnalysisRunStatus": run } })).await;
    bed.pass(5);
    let picture = bed.picture().await;
    let suspect = picture.deployments.iter().find(|one| one.status == DeploymentStatus::Failed).expect("3");
    assert_eq!(picture.reports.len(), 1, "{:?}", picture.reports);
    assert_eq!(picture.reports[0].deployment, suspect.id);
    assert!(picture.reports[0].says.contains("Metric \"rate\" assessed Failed"), "{:?}", picture.reports);
    assert_eq!(picture.current, Some(bed.release(2).await));
    bed.pass(400);
    assert!(bed.picture().await.reports.is_empty(), "it is taken back, and nothing is in trouble any more");
}

/// Argo CD's Git still says the aborted release, so that an abort is no drift; a template of ours would be.
#[tokio::test]
async fn an_abort_takes_nothing_from_an_owner() {
    let bed = on_its_way();
    let owned = |bed: &Bed| {
        bed.change(|object| {
            object["metadata"]["annotations"]["argocd.argoproj.io/tracking-id"] =
                "shop:argoproj.io/Rollout:shop/checkout".into();
        });
    };
    owned(&bed);
    bed.pass(1);
    assert_eq!(bed.picture().await.owner, Owner::Nobody);
    let order = bed.way_back(3, 2).await;
    let handle = bed.begin(&order).await.expect("taken");
    assert_eq!(bed.end_of(&handle).await.expect("an end"), Progress::Serving(order.to));
    let bed = Bed::new(Kind::Rollout);
    owned(&bed);
    bed.pass(1);
    assert_eq!(bed.picture().await.owner, Owner::Other("Argo CD application shop".into()));
    let told = bed.propose(2, 1).await;
    assert!(
        matches!(&told, Err(Trouble::Refused(why)) if why.contains("Argo CD application shop")),
        "{told:?}"
    );
}

#[tokio::test]
async fn a_way_back_that_gets_stuck_or_waits_says_so() {
    // What was verified does not come up any more.
    let bed = on_its_way();
    let order = bed.way_back(3, 2).await;
    bed.cluster.break_image("shop:2", Broken::ImagePullBackOff);
    let handle = bed.begin(&order).await.expect("taken");
    let ended = bed.end_of(&handle).await.expect("an end");
    assert!(matches!(&ended, Progress::Failed(why) if why.contains("progressDeadlineSeconds")), "{ended:?}");
    // A step that waits for a person.
    let bed = with_strategy(json!({ "canary": { "steps": [{ "setWeight": 50 }, { "pause": {} }] } }));
    bed.cluster.promote("shop", "checkout");
    bed.pass(60);
    let order = bed.way_back(2, 1).await;
    let handle = bed.begin(&order).await.expect("taken");
    let ended = bed.end_of(&handle).await.expect("an end");
    assert!(
        matches!(&ended, Progress::NeedsHuman { why, .. } if why.contains("promote --full")),
        "{ended:?}"
    );
    // An analysis takes our way back away again.
    writes_status(&bed, json!({ "abort": true })).await;
    let ended = bed.end_of(&handle).await.expect("an end");
    assert!(matches!(&ended, Progress::Failed(why) if why.contains("aborted")), "{ended:?}");
}

#[tokio::test]
async fn a_template_that_stands_elsewhere_is_aborted_and_not_written() {
    let mut deployment = workload(Kind::Deployment, 1);
    deployment["metadata"]["name"] = "checkout-template".into();
    deployment["spec"]["replicas"] = 0.into();
    let mut rollout = workload(Kind::Rollout, 1);
    rollout["spec"].as_object_mut().expect("a map").remove("template");
    rollout["spec"]["workloadRef"] =
        json!({ "apiVersion": "apps/v1", "kind": "Deployment", "name": "checkout-template" });
    let bed = Bed::with(Kind::Rollout, deployment.clone());
    bed.cluster.apply(rollout);
    let puts_out = |number: u32| {
        let mut next = bed.cluster.object("deployments", "shop", "checkout-template");
        next["spec"]["template"]["spec"]["containers"][0]["image"] = format!("shop:{number}").into();
        next["metadata"].as_object_mut().expect("a map").remove("resourceVersion");
        next.as_object_mut().expect("a map").remove("status");
        bed.cluster.apply(next);
    };
    bed.pass(600);
    puts_out(2);
    bed.pass(4);
    let order = bed.way_back(2, 1).await;
    assert_eq!(order.act.kind, "abort");
    let handle = bed.begin(&order).await.expect("taken");
    assert_eq!(bed.end_of(&handle).await.expect("an end"), Progress::Serving(order.to));
    puts_out(3);
    bed.pass(60);
    let told = bed.propose(3, 1).await;
    assert!(matches!(&told, Err(Trouble::Refused(why)) if why.contains("workloadRef")), "{told:?}");
}

#[tokio::test]
async fn what_an_analysis_said_is_shown() {
    let bed = on_its_way();
    let order = bed.way_back(3, 2).await;
    let uid = bed.object()["metadata"]["uid"].clone();
    let owner = json!([{ "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": "checkout", "uid": uid, "controller": true }]);
    bed.cluster.apply(json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisRun",
        "metadata": { "name": "checkout-3-rate", "namespace": "shop", "ownerReferences": owner },
        "spec": {},
        "status": {
            "phase": "Failed", "message": "Metric \"rate\" assessed Failed",
            "metricResults": [{ "name": "rate", "phase": "Failed", "message": "result 0.42" }],
        },
    }));
    let handle = bed.begin(&order).await.expect("taken");
    let all = format!("{:?}", bed.provider.evidence(&bed.target(), Some(&handle)).await.expect("evidence"));
    for part in ["analysis checkout-3-rate", "assessed Failed", "rate Failed: result 0.42", "rollout history"]
    {
        assert!(all.contains(part), "no {part}: {all}");
    }
    bed.may_not(&["list analysisruns"]);
    let all = format!("{:?}", bed.provider.evidence(&bed.target(), Some(&handle)).await.expect("evidence"));
    assert!(all.contains("rollout history") && !all.contains("0.42"), "{all}");
}

#[tokio::test]
async fn a_person_gets_the_commands_of_argos_plugin() {
    let bed = on_its_way();
    let order = bed.way_back(3, 2).await;
    let command = bed.provider.by_hand(&order.act, &order.to, "why").expect("a command");
    assert!(command.starts_with("kubectl argo rollouts abort checkout --kubeconfig "), "{command}");
    assert!(command.ends_with("--namespace shop"), "{command}");
    let bed = Bed::new(Kind::Rollout);
    let order = bed.way_back(2, 1).await;
    let command = bed.provider.by_hand(&order.act, &order.to, "why").expect("a command");
    assert!(
        command.starts_with("kubectl argo rollouts undo checkout --to-revision 1 --kubeconfig "),
        "{command}"
    );
}
