//! The Kubernetes provider against a pretend cluster that keeps its own log: what it reads, the way back that it proposes, and what it
//! writes, for each kind of workload.

mod kube;
mod kubernetes_bed;

use kube::{Broken, Fault};
use kubernetes_bed::{ALL_KINDS, Bed, KINDS, MARK, RIGHTS, SURELY, workload};
use serde_json::json;
use snapback::case::command::Progress;
use snapback::case::deployment::{DeploymentOrigin, DeploymentStatus, Owner};
use snapback::case::id::Mark;
use snapback::case::release::RollbackMark;
use snapback::case::step::Class;
use snapback::execute::Sighting;
use snapback::execute::kubernetes::Kind;
use snapback::outbound::Trouble;

#[tokio::test]
async fn what_runs_and_what_went_out_is_read() {
    for kind in KINDS {
        let bed = Bed::new(kind);
        let picture = bed.picture().await;
        assert_eq!(picture.current, Some(bed.release(2).await), "{kind:?}");
        assert_eq!((&picture.in_flight, &picture.owner), (&None, &Owner::Nobody), "{kind:?}");
        let told: Vec<_> = picture.deployments.iter().map(|d| (d.release.clone(), d.status)).collect();
        let finished = DeploymentStatus::Finished;
        assert_eq!(told, [(bed.release(1).await, finished), (bed.release(2).await, finished)], "{kind:?}");
        assert!(picture.deployments[0].finished_at.is_none(), "nobody noted when it went out: {kind:?}");
        assert!(picture.deployments[1].finished_at.is_some(), "{kind:?}");
        let pods = 3.0;
        assert_eq!(
            (picture.figures["replicas"], picture.figures["replicas_ready"]),
            (pods, pods),
            "{kind:?}"
        );
    }
}

#[tokio::test]
async fn a_finished_release_goes_back_by_its_old_template() {
    for kind in KINDS {
        let bed = Bed::new(kind);
        let before = bed.object();
        let order = bed.way_back(2, 1).await;
        assert_eq!((order.act.kind.as_str(), order.act.class), ("undo", Class::A), "{kind:?}");
        let handle = bed.begin(&order).await.expect("taken");
        assert_eq!(
            bed.end_of(&handle).await.expect("an end"),
            Progress::Serving(order.to.clone()),
            "{kind:?}"
        );
        assert_eq!(bed.effects(), ["write shop:1"], "{kind:?}");
        let after = bed.object();
        assert_eq!(after["spec"]["replicas"], before["spec"]["replicas"], "{kind:?}");
        let template = &after["spec"]["template"]["metadata"];
        assert_eq!(
            template["labels"],
            json!({ "app": "checkout" }),
            "no label of a controller goes back: {kind:?}"
        );
        assert!(template["annotations"].is_null(), "no annotation of ours stands on the template: {kind:?}");
        assert!(
            after["metadata"]["annotations"]["kubernetes.io/change-cause"].to_string().contains("Snapback"),
            "{kind:?}"
        );
        let picture = bed.picture().await;
        assert_eq!(picture.current, Some(order.to), "{kind:?}");
        assert_eq!(picture.our_marks().collect::<Vec<_>>(), [&Mark::new(MARK)], "{kind:?}");
        let back = picture.deployments.last().expect("the way back");
        assert!(
            back.started_at > picture.deployments[0].started_at && back.finished_at.is_some(),
            "{back:#?}"
        );
    }
}

#[tokio::test]
async fn what_is_still_going_out_is_taken_back_on_its_way() {
    for kind in KINDS {
        let bed = Bed::going_out(kind);
        let picture = bed.picture().await;
        let suspect = picture.in_flight.clone().expect("something is on its way");
        let newest = picture.deployments.last().expect("it");
        assert_eq!((&newest.id, newest.status), (&suspect, DeploymentStatus::GoingOut), "{kind:?}");
        let order = bed.way_back(3, 2).await;
        let handle = bed.begin(&order).await.expect("taken");
        assert_eq!(bed.end_of(&handle).await.expect("an end"), Progress::Serving(order.to), "{kind:?}");
        assert_eq!(bed.effects(), ["write shop:2"], "{kind:?}");
    }
}

/// What others copied of our annotations, and what people do after us, is not ours.
#[tokio::test]
async fn what_comes_after_a_rollback_is_told_apart_from_it() {
    for kind in KINDS {
        let bed = Bed::new(kind);
        let order = bed.way_back(2, 1).await;
        let handle = bed.begin(&order).await.expect("taken");
        bed.end_of(&handle).await.expect("an end");
        bed.pass(600);
        bed.puts_out(3);
        bed.pass(600);
        let picture = bed.picture().await;
        let third = picture.deployments.last().expect("release 3");
        assert_eq!(third.release, bed.release(3).await, "{kind:?}");
        assert_eq!(
            (&third.origin, third.status),
            (&DeploymentOrigin::Ordinary, DeploymentStatus::Finished),
            "{kind:?}"
        );
        // Somebody goes back by hand to where we went.
        bed.puts_out(1);
        bed.pass(600);
        let picture = bed.picture().await;
        let newest = picture.deployments.last().expect("the way back of others");
        assert_eq!(newest.release, order.to, "{kind:?}");
        assert_eq!(newest.origin, DeploymentOrigin::Rollback, "{kind:?}: {newest:#?}");
    }
}

#[tokio::test]
async fn a_late_copy_of_a_request_is_refused() {
    for kind in KINDS {
        let bed = Bed::new(kind);
        let order = bed.way_back(2, 1).await;
        bed.begin(&order).await.expect("taken");
        assert!(matches!(bed.find(&order).await, Ok(Sighting::Found(_))), "{kind:?}");
        // Somebody puts 2 out again, and a copy of our patch arrives late.
        let sent = bed.cluster.writes().into_iter().find(|call| call.method == "PATCH").expect("ours");
        bed.pass(300);
        bed.puts_out(2);
        let told = reqwest::Client::new()
            .patch(format!("{}{}", bed.cluster.url(), sent.path))
            .bearer_auth("token-of-snapback")
            .header("Content-Type", "application/json-patch+json")
            .body(sent.body.to_string())
            .send()
            .await
            .expect("an answer");
        assert_eq!(told.status(), 422, "{kind:?}");
        assert_eq!((bed.image().as_str(), bed.effects().len()), ("shop:2", 1), "{kind:?}");
    }
}

#[tokio::test]
async fn whoever_acts_meanwhile_comes_first() {
    for kind in KINDS {
        let bed = Bed::new(kind);
        let order = bed.way_back(2, 1).await;
        bed.puts_out(4);
        assert!(matches!(bed.begin(&order).await, Err(Trouble::Moved(what)) if what == "shop:4"), "{kind:?}");
        assert!(matches!(bed.find(&order).await, Err(Trouble::Moved(_))), "{kind:?}");
        // And who does it for us leaves nothing to do.
        bed.puts_out(2);
        let order = bed.way_back(2, 1).await;
        bed.puts_out(1);
        let handle = bed.begin(&order).await.expect("already there");
        assert_eq!(
            bed.end_of(&handle).await.expect("an end"),
            Progress::Serving(order.to.clone()),
            "{kind:?}"
        );
        assert!(bed.effects().is_empty() && bed.mutations() == 0, "{kind:?}");
        bed.puts_out(5);
        let ended = bed.end_of(&handle).await.expect("an end");
        assert!(
            matches!(&ended, Progress::Superseded(what) if what.contains("shop:5")),
            "{kind:?}: {ended:?}"
        );
    }
}

/// An autoscaler is no reason to plan again.
#[tokio::test]
async fn replicas_that_change_bar_nothing_and_stay() {
    let bed = Bed::new(Kind::Deployment);
    let order = bed.way_back(2, 1).await;
    bed.change(|object| object["spec"]["replicas"] = 7.into());
    bed.begin(&order).await.expect("taken");
    assert_eq!(bed.object()["spec"]["replicas"], 7);
    assert_eq!(bed.image(), "shop:1");
}

#[tokio::test]
async fn what_cannot_go_back_is_refused_with_its_reason() {
    let refused = |told: Result<snapback::case::plan::Proposal, Trouble>, why: &str| match told {
        Err(Trouble::Refused(says)) => assert!(says.contains(why), "{says}"),
        other => panic!("{why}: {other:?}"),
    };
    let bed = Bed::new(Kind::Deployment);
    let first = bed.release(1).await;
    bed.change(|object| object["spec"]["paused"] = true.into());
    refused(bed.propose(2, 1).await, "paused");
    bed.change(|object| object["spec"]["paused"] = false.into());

    let order = bed.way_back(2, 1).await;
    bed.change(|object| {
        object["metadata"]["annotations"]["argocd.argoproj.io/tracking-id"] =
            "shop:apps/Deployment:shop/checkout".into()
    });
    refused(bed.propose(2, 1).await, "Argo CD application shop");
    assert!(matches!(bed.picture().await.owner, Owner::Other(who) if who.contains("Argo CD")));
    assert!(matches!(bed.begin(&order).await, Err(Trouble::Refused(_))), "owned meanwhile");
    bed.change(|object| {
        object["metadata"]["annotations"]
            .as_object_mut()
            .expect("a map")
            .remove("argocd.argoproj.io/tracking-id");
    });

    // History that is pruned, and an object that was made anew.
    bed.change(|object| object["spec"]["revisionHistoryLimit"] = 1.into());
    bed.puts_out(3);
    bed.pass(600);
    bed.puts_out(4);
    bed.pass(600);
    let from = bed.release(4).await;
    refused(bed.provider.propose(&bed.target(), &from, &first).await, "keeps 1 old revisions");
    let order = bed.way_back(4, 3).await;
    bed.cluster.remove("deployments", "shop", "checkout");
    assert!(matches!(bed.begin(&order).await, Err(Trouble::Moved(_))), "it is gone");
    bed.cluster.apply(workload(Kind::Deployment, 4));
    assert!(
        matches!(bed.begin(&order).await, Err(Trouble::Moved(what)) if what.contains("another")),
        "another object"
    );
    assert!(bed.effects().is_empty());
}

#[tokio::test]
async fn a_bad_image_is_reported_and_taken_back() {
    for kind in KINDS {
        let bed = Bed::new(kind);
        bed.cluster.break_image("shop:3", Broken::CrashLoopBackOff);
        bed.puts_out(3);
        bed.pass(60);
        let picture = bed.picture().await;
        let report = picture.reports.first().unwrap_or_else(|| panic!("{kind:?}: no report"));
        assert!(
            report.says.contains("CrashLoopBackOff: its last run ended with 1 (Error)"),
            "{kind:?}: {}",
            report.says
        );
        assert_eq!(Some(&report.deployment), picture.in_flight.as_ref(), "{kind:?}");
        let order = bed.way_back(3, 2).await;
        let handle = bed.begin(&order).await.expect("taken");
        let ended = bed.end_of(&handle).await.expect("an end");
        match kind {
            // In order, nothing replaces a pod that is not ready: somebody deletes it.
            Kind::StatefulSet => {
                assert!(
                    matches!(&ended, Progress::NeedsHuman { why, .. } if why.contains("checkout-2")),
                    "{ended:?}"
                );
                bed.cluster.remove("pods", "shop", "checkout-2");
                assert_eq!(
                    bed.end_of(&handle).await.expect("an end"),
                    Progress::Serving(order.to),
                    "{kind:?}"
                );
            }
            Kind::Deployment | Kind::DaemonSet | Kind::Rollout => {
                assert_eq!(ended, Progress::Serving(order.to), "{kind:?}");
            }
        }
    }
}

#[tokio::test]
async fn what_fails_is_shown() {
    for kind in KINDS {
        let bed = Bed::new(kind);
        let order = bed.way_back(2, 1).await;
        bed.cluster.break_image("shop:1", Broken::CrashLoopBackOff);
        bed.cluster.image_says("shop:1", "panic: there is no database");
        let handle = bed.begin(&order).await.expect("taken");
        bed.pass(60);
        let all =
            format!("{:?}", bed.provider.evidence(&bed.target(), Some(&handle)).await.expect("evidence"));
        for part in ["rollout history", "CrashLoopBackOff", "Warning BackOff", "panic: there is no database"]
        {
            assert!(all.contains(part), "{kind:?}: no {part}: {all}");
        }
        // Who may not read logs and events still sees the rest.
        bed.may_not(&["list events", "get pods/log"]);
        let all =
            format!("{:?}", bed.provider.evidence(&bed.target(), Some(&handle)).await.expect("evidence"));
        assert!(all.contains("CrashLoopBackOff") && !all.contains("panic"), "{kind:?}: {all}");
        // Nor pods, and it is said. Before the act there is no receipt.
        bed.may_not(&["list pods", "list events", "get pods/log"]);
        let all = format!("{:?}", bed.provider.evidence(&bed.target(), None).await.expect("evidence"));
        assert!(
            all.contains("rollout history") && all.contains("cannot list resource \\\"pods\\\""),
            "{kind:?}: {all}"
        );
    }
}

/// A rollback that never becomes ready ends by the controller's own deadline.
#[tokio::test]
async fn a_way_back_that_gets_stuck_has_failed() {
    let bed = Bed::new(Kind::Deployment);
    let order = bed.way_back(2, 1).await;
    bed.cluster.break_image("shop:1", Broken::ImagePullBackOff);
    let handle = bed.begin(&order).await.expect("taken");
    let ended = bed.end_of(&handle).await.expect("an end");
    assert!(matches!(&ended, Progress::Failed(why) if why.contains("timed out progressing")), "{ended:?}");
    bed.change(|object| object["spec"]["paused"] = true.into());
    let paused = bed.provider.watch(&handle).await.expect("an answer");
    assert!(matches!(&paused, Progress::NeedsHuman { why, .. } if why.contains("paused")), "{paused:?}");
}

#[tokio::test]
async fn a_failed_deployment_is_told_as_failed() {
    let bed = Bed::new(Kind::Deployment);
    bed.cluster.break_image("shop:3", Broken::ImagePullBackOff);
    bed.puts_out(3);
    bed.pass(700);
    let picture = bed.picture().await;
    let newest = picture.deployments.last().expect("release 3");
    assert_eq!(newest.status, DeploymentStatus::Failed);
    assert!(picture.reports[0].says.contains("timed out progressing"), "{:?}", picture.reports);
}

#[tokio::test]
async fn on_delete_needs_a_person() {
    let mut by_hand = workload(Kind::DaemonSet, 1);
    by_hand["spec"]["updateStrategy"] = json!({ "type": "OnDelete" });
    let bed = Bed::with(Kind::DaemonSet, by_hand);
    bed.pass(600);
    bed.puts_out(2);
    bed.pass(600);
    let order = bed.way_back(2, 1).await;
    let handle = bed.begin(&order).await.expect("taken");
    let ended = bed.end_of(&handle).await.expect("an end");
    assert!(matches!(&ended, Progress::NeedsHuman { why, .. } if why.contains("OnDelete")), "{ended:?}");
}

#[tokio::test]
async fn marks_and_names_of_a_release_come_from_its_template() {
    let bed = Bed::new(Kind::Deployment);
    bed.change(|object| {
        let template = &mut object["spec"]["template"];
        template["metadata"]["annotations"] =
            json!({ "snapback.dev/rollback": "contract", "snapback.dev/commit": "9f2c1ab" });
        template["metadata"]["labels"]["app.kubernetes.io/version"] = "4.2".into();
    });
    let picture = bed.picture().await;
    let release =
        picture.releases.iter().find(|release| release.version.as_deref() == Some("4.2")).expect("4.2");
    assert_eq!(
        (release.commit.as_deref(), release.marks.rollback),
        (Some("9f2c1ab"), Some(RollbackMark::Contract))
    );
    // A restart is no release.
    let current = picture.current;
    bed.change(|object| {
        object["spec"]["template"]["metadata"]["annotations"]["kubectl.kubernetes.io/restartedAt"] =
            "2026-03-02T09:00:00Z".into();
    });
    assert_eq!(bed.picture().await.current, current);
}

/// A request whose answer is lost is looked for; nothing there is a proof only when it can no longer arrive.
#[tokio::test]
async fn a_lost_request_is_looked_for() {
    let bed = Bed::new(Kind::Deployment);
    let order = bed.way_back(2, 1).await;
    bed.cluster.fault("PATCH", "deployments", Fault::Refuse(500));
    assert!(matches!(bed.begin(&order).await, Err(Trouble::Unclear(_))));
    assert!(matches!(bed.find(&order).await, Ok(Sighting::TooEarly(_))));
    bed.pass(SURELY.unsigned_abs());
    assert_eq!(bed.find(&order).await.expect("an answer"), Sighting::Absent);
    bed.cluster.fault("PATCH", "deployments", Fault::LoseReply);
    assert!(matches!(bed.begin(&order).await, Err(Trouble::Unclear(_))));
    assert!(matches!(bed.find(&order).await, Ok(Sighting::Found(_))));
    assert_eq!(bed.effects().len(), 1);
}

/// The library tries again by itself what is refused for a moment; here nothing is tried again but by the engine.
#[tokio::test]
async fn the_library_repeats_nothing() {
    let contended = Fault::Say(409, "Conflict", "the object has been modified");
    for fault in [Fault::Refuse(429), contended, Fault::Refuse(503), Fault::FailAfter(503), Fault::LoseReply]
    {
        let bed = Bed::new(Kind::Deployment);
        let order = bed.way_back(2, 1).await;
        bed.cluster.fault("PATCH", "deployments", fault);
        let told = bed.begin(&order).await.expect_err("it did not go well");
        assert_eq!(bed.mutations(), 1, "{fault:?}: {told:?}");
        if matches!(fault, Fault::Refuse(429) | Fault::Say(409, ..)) {
            assert!(matches!(&told, Trouble::Busy { .. }), "{told:?}");
        }
    }
}

#[tokio::test]
async fn every_missing_right_is_named() {
    let rollout = Bed::new(Kind::Rollout);
    assert_eq!(rollout.provider.check(&rollout.target()).await, [], "all is there");
    for right in
        ["get rollouts", "patch rollouts", "patch rollouts/status", "watch rollouts", "list analysisruns"]
    {
        rollout.may_not(&[right]);
        let found = rollout.provider.check(&rollout.target()).await;
        let named =
            |of: &snapback::execute::Finding| of.says.contains(&format!("may not {right}.argoproj.io"));
        assert!(found.iter().any(named), "{right}: {found:?}");
    }
    let bed = Bed::new(Kind::Deployment);
    assert!(bed.provider.check(&bed.target()).await.is_empty(), "all is there");
    for right in [
        "get deployments",
        "patch deployments",
        "watch deployments",
        "list replicasets",
        "list pods",
        "list events",
        "get pods/log",
        "list canaries",
    ] {
        bed.may_not(&[right]);
        let found = bed.provider.check(&bed.target()).await;
        let (verb, resource) = right.split_once(' ').expect("a right");
        let named = found.iter().any(|of| of.says.contains(&format!("may not {verb} {resource}")));
        assert!(
            named && found.iter().all(|of| of.remedy.contains("kubernetes-role.yaml")),
            "{right}: {found:?}"
        );
    }
    bed.may_not(&["patch deployments"]);
    let order = bed.way_back(2, 1).await;
    let told = bed.begin(&order).await.expect_err("it may not");
    assert!(
        matches!(&told, Trouble::Refused(says) if says.contains("cannot patch resource \"deployments\"")),
        "{told:?}"
    );
    assert_eq!(bed.mutations(), 1);
    // To look, and to ask what one may do, changes nothing.
    assert!(bed.effects().is_empty());
}

#[test]
fn a_person_gets_the_command_of_the_same_act() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let bed = Bed::new(Kind::StatefulSet);
    let order = runtime.block_on(bed.way_back(2, 1));
    let command = bed.provider.by_hand(&order.act, &order.to, "why").expect("a command");
    assert!(
        command.ends_with("--namespace shop rollout undo statefulset/checkout --to-revision 1"),
        "{command}"
    );
    assert!(command.starts_with("kubectl --kubeconfig "), "{command}");
}

/// The rights in `deploy/` are those that the provider uses, by the cluster's own log of what was asked.
#[tokio::test]
async fn the_role_in_the_file_is_what_is_used() {
    let mut used = std::collections::BTreeSet::new();
    for kind in ALL_KINDS {
        let bed = Bed::new(kind);
        if kind == Kind::Rollout {
            let going_out = Bed::going_out(kind);
            let order = going_out.way_back(3, 2).await;
            going_out.begin(&order).await.expect("taken");
            used.extend(going_out.cluster.calls().iter().filter(|call| call.user == "snapback").map(right));
        }
        let order = bed.way_back(2, 1).await;
        bed.cluster.break_image("shop:1", Broken::CrashLoopBackOff);
        let handle = bed.begin(&order).await.expect("taken");
        bed.pass(60);
        bed.provider.evidence(&bed.target(), Some(&handle)).await.expect("evidence");
        bed.provider.changed(&bed.target()).await.expect("what is there");
        bed.puts_out(3);
        bed.provider.changed(&bed.target()).await.expect("a change");
        used.extend(bed.cluster.calls().iter().filter(|call| call.user == "snapback").map(right));
    }
    let text = std::fs::read_to_string(format!("{}/deploy/kubernetes-role.yaml", env!("CARGO_MANIFEST_DIR")));
    let text = text.expect("the file");
    let list = |line: &str| -> Vec<String> {
        let inner = line.split(['[', ']']).nth(1).unwrap_or_default();
        inner.split(',').map(|word| word.trim().trim_matches('"').to_owned()).collect()
    };
    let mut given = std::collections::BTreeSet::new();
    let mut resources = Vec::new();
    for line in text.lines().map(str::trim) {
        if line.starts_with("resources:") {
            resources = list(line);
        }
        if line.starts_with("verbs:") {
            for verb in list(line) {
                given.extend(resources.iter().map(|resource| (verb.clone(), resource.clone())));
            }
        }
    }
    let known: std::collections::BTreeSet<(String, String)> = RIGHTS
        .iter()
        .filter(|(.., resource)| *resource != "selfsubjectaccessreviews")
        .map(|(verb, _, resource)| ((*verb).to_owned(), (*resource).to_owned()))
        .collect();
    assert_eq!(given, known, "what all of these tests may do");
    assert_eq!(used, given);
}

/// The right that a request takes.
fn right(call: &kube::Call) -> (String, String) {
    let (path, query) = call.path.split_once('?').unwrap_or((&call.path, ""));
    let parts: Vec<&str> = path.split('/').collect();
    let of = parts.iter().position(|part| *part == "namespaces").expect("a namespace") + 2;
    let (name, sub) = (parts.get(of + 1), parts.get(of + 2));
    let verb = match (call.method.as_str(), name) {
        ("PATCH", _) => "patch",
        (_, Some(_)) => "get",
        (_, None) if query.contains("watch=1") => "watch",
        (_, None) => "list",
    };
    let resource = sub.map_or_else(|| parts[of].to_owned(), |sub| format!("{}/{sub}", parts[of]));
    (verb.to_owned(), resource)
}

/// A watch tells of a change, goes on from the last one, and begins anew where the API has forgotten it.
#[tokio::test]
async fn a_watch_goes_on_where_it_ended() {
    let bed = Bed::new(Kind::Deployment);
    let target = bed.target();
    let changed = || tokio::time::timeout(std::time::Duration::from_secs(20), bed.provider.changed(&target));
    changed().await.expect("what is there is news").expect("an answer");
    // What happens between two watches is told by the next.
    bed.puts_out(3);
    changed().await.expect("a change of before").expect("an answer");
    while tokio::time::timeout(std::time::Duration::from_millis(200), bed.provider.changed(&target))
        .await
        .is_ok()
    {}
    let waits =
        tokio::time::timeout(std::time::Duration::from_millis(200), bed.provider.changed(&target)).await;
    assert!(waits.is_err(), "nothing changed, and nothing is told");
    bed.cluster.compact();
    bed.puts_out(4);
    bed.cluster.compact();
    changed().await.expect("it is forgotten: that is worth a reading").expect("an answer");
    changed().await.expect("what is there is news again").expect("an answer");
    let watches = bed.cluster.calls().into_iter().filter(|call| call.path.contains("watch=1")).count();
    assert!(watches >= 3, "{watches}");
}

/// Clocks that are apart make nobody else of us: the API notes who wrote last.
#[tokio::test]
async fn a_rollback_of_ours_is_ours_whatever_the_clocks_say() {
    let bed = Bed::new(Kind::Deployment);
    let order = bed.way_back(2, 1).await;
    let handle = bed.begin(&order).await.expect("taken");
    bed.end_of(&handle).await.expect("an end");
    bed.change(|object| {
        object["metadata"]["annotations"]["snapback.dev/rolled-back-at"] = "2026-03-02T01:00:00Z".into();
    });
    assert_eq!(bed.picture().await.our_marks().collect::<Vec<_>>(), [&Mark::new(MARK)]);
}

/// The API writes whole seconds, and several may go out in one.
#[tokio::test]
async fn what_goes_out_in_one_second_is_told_in_its_order() {
    for kind in KINDS {
        let bed = Bed::new(kind);
        for number in 3..9 {
            bed.puts_out(number);
        }
        let picture = bed.picture().await;
        let called = |id| picture.releases.iter().find(|of| of.id == id).and_then(|of| of.version.clone());
        let told: Vec<_> =
            picture.deployments.iter().filter_map(|deployment| called(deployment.release.clone())).collect();
        let expected: Vec<String> = (1..9).map(|number| format!("shop:{number}")).collect();
        assert_eq!(told, expected, "{kind:?}");
        let times: Vec<_> = picture.deployments.iter().map(|deployment| deployment.started_at).collect();
        assert!(times.windows(2).all(|two| two[0] < two[1]), "{kind:?}: {times:?}");
    }
}
