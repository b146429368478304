//! The provider `argocd`, with a pretend Argo CD: what it reads is what Argo CD says, and what it does Argo CD has done.

mod argo;
mod argocd_bed;
mod pretend;

use std::collections::BTreeSet;

use argo::{ACCOUNT, Becomes, commit};
use argocd_bed::{Bed, SURELY, mark};
use hyper::Method;
use pretend::Fault;
use serde_json::{Value, json};
use snapback::case::command::Progress;
use snapback::case::deployment::{DeploymentOrigin, DeploymentStatus, Owner};
use snapback::case::id::Duration;
use snapback::case::release::RollbackMark;
use snapback::case::step::Class;
use snapback::execute::Sighting;
use snapback::outbound::Trouble;

#[tokio::test]
async fn what_was_put_out_is_read() {
    let bed = Bed::new();
    bed.argo
        .state()
        .messages
        .insert(2, "drop a column\n\nSnapback-Rollback: contract\nSnapback-Schema-Version: 7");
    let picture = bed.picture().await;
    assert_eq!(picture.current, Some(bed.release(2).await));
    assert_eq!(picture.owner, Owner::Nobody, "it is put back through Argo CD itself");
    let told: Vec<_> =
        picture.deployments.iter().map(|one| (one.status, one.by.clone(), one.origin.clone())).collect();
    let by_itself = Some("auto-sync".to_owned());
    let ordinary = (DeploymentStatus::Finished, by_itself, DeploymentOrigin::Ordinary);
    assert_eq!(told, [ordinary.clone(), ordinary]);
    let newest = bed.release(2).await;
    let newest = picture.releases.iter().find(|release| release.id == newest).expect("it is there");
    assert_eq!((newest.called(), newest.commit.as_deref()), ("22222222", Some(commit(2).as_str())));
    assert_eq!(newest.author.as_deref(), Some("ann <ann@example.com>"));
    assert_eq!((newest.marks.rollback, newest.marks.schema_version), (Some(RollbackMark::Contract), Some(7)));
    assert_eq!(newest.artifact_exists, Some(true));
    // What commits say is asked for once.
    let asked = || bed.argo.wire_calls().iter().filter(|call| call.path.ends_with("/metadata")).count();
    let before = asked();
    bed.picture().await;
    assert_eq!(asked(), before);
}

#[tokio::test]
async fn a_commit_that_is_gone_is_no_artifact() {
    let bed = Bed::new();
    bed.argo.state().gone.insert(1);
    let picture = bed.picture().await;
    let exists: Vec<_> = picture
        .releases
        .iter()
        .map(|release| (release.called().to_owned(), release.artifact_exists))
        .collect();
    assert!(
        exists.contains(&("11111111".into(), Some(false)))
            && exists.contains(&("22222222".into(), Some(true))),
        "{exists:?}"
    );
    // Each commit is asked for by its entry: the repository that it came from need not be the one of today.
    let asked = bed.argo.wire_calls();
    let versions: Vec<_> = asked.iter().filter_map(|call| call.query.get("versionId")).collect();
    assert!(versions.contains(&&"0".to_owned()) && versions.contains(&&"1".to_owned()), "{versions:?}");
    // A repository that cannot be reached is no such word: the picture waits. Nor is a history that is not there yet.
    for said in ["repository not found", "revision history not found for version ID 1"] {
        let bed = Bed::new();
        bed.argo.fault(Method::GET, "/metadata", Fault::Refuse(500, said));
        assert!(matches!(bed.describe().await, Err(Trouble::Unclear(_))), "{said}");
    }
    bed.argo.state().gone.clear();
    let bed = Bed::new();
    bed.argo.fault(Method::GET, "/metadata", Fault::Refuse(500, "repo server is away"));
    assert!(matches!(bed.describe().await, Err(Trouble::Unclear(_))));
}

/// The whole way: auto-sync is off before, what else its policy says stays, and Git does not put the bad commit back.
#[tokio::test]
async fn a_finished_release_goes_back_with_auto_sync_switched_off() {
    let bed = Bed::new();
    let orders = bed.way_back(2, 1).await;
    let says: Vec<&str> = orders.iter().map(|order| order.act.says.as_str()).collect();
    assert_eq!(says[0], "switch auto-sync of Argo CD application checkout off");
    assert!(
        says[1].starts_with("Argo CD rollback of Argo CD application checkout to 0 (11111111)"),
        "{says:?}"
    );
    assert!(
        says[1].ends_with("; sync hooks do not run; Git goes on asking for 22222222: revert it there"),
        "{says:?}"
    );
    assert_eq!(orders.iter().map(|order| order.act.class).collect::<Vec<_>>(), [Class::B, Class::B]);
    assert_eq!(bed.goes(&orders).await, Progress::Serving(orders[0].to.clone()));
    assert_eq!(
        bed.policy(),
        json!({ "automated": { "enabled": false, "prune": true, "selfHeal": true }, "syncOptions": ["ServerSideApply=true"] })
    );
    assert_eq!(bed.argo.effects(), ["auto-sync off", "rollback to 1"]);
    bed.argo.pass(600);
    assert_eq!(bed.argo.serves(), commit(1), "Git still asks for 2");
    // Done is done, and a second copy does nothing.
    for order in &orders {
        bed.begin(order).await.expect("already there");
        assert!(matches!(bed.find(order).await, Ok(Sighting::Found(_))));
    }
    assert_eq!(bed.argo.effects().len(), 2);
    // Another process knows which entry is ours.
    let picture = bed.picture().await;
    let newest = picture.deployments.last().expect("one");
    assert_eq!(newest.origin, DeploymentOrigin::Ours(mark(0)));
    assert_eq!((newest.by.as_deref(), picture.current), (Some(ACCOUNT), Some(orders[0].to.clone())));
}

#[tokio::test]
async fn auto_sync_that_is_off_is_left_off_and_the_mark_is_kept() {
    let bed = Bed::new();
    bed.argo.state().app["spec"]["syncPolicy"] = json!({ "syncOptions": ["CreateNamespace=true"] });
    let orders = bed.way_back(2, 1).await;
    assert!(orders[0].act.says.ends_with("auto-sync is off"), "{}", orders[0].act.says);
    assert_eq!(bed.goes(&orders).await, Progress::Serving(orders[0].to.clone()));
    assert_eq!(bed.policy(), json!({ "syncOptions": ["CreateNamespace=true"] }));
    assert_eq!(bed.argo.effects(), ["rollback to 1"]);
}

/// An older Argo CD knows no `enabled`: what was there is kept in our note, and put back from it.
#[tokio::test]
async fn an_older_argo_cd_has_its_auto_sync_taken_out_and_put_back() {
    let bed = Bed::new();
    bed.argo.state().version = "v2.14.2";
    let orders = bed.way_back(2, 1).await;
    assert!(orders[0].act.says.starts_with("take automated sync out"), "{}", orders[0].act.says);
    bed.goes(&orders).await;
    assert_eq!(bed.policy(), json!({ "syncOptions": ["ServerSideApply=true"] }));
    // Rolled forward, to what Git asks for.
    let forward = bed.way_back(1, 2).await;
    assert_eq!(forward.last().expect("a step").act.kind, "resume");
    assert_eq!(bed.goes(&forward).await, Progress::Serving(forward[0].to.clone()));
    assert_eq!(bed.policy()["automated"], json!({ "prune": true, "selfHeal": true }));
}

/// One that is new by its number, and drops the field all the same.
#[tokio::test]
async fn a_switch_that_does_not_switch_is_refused() {
    let bed = Bed::new();
    let orders = bed.way_back(2, 1).await;
    bed.argo.state().version = "v2.14.2";
    let refused = bed.begin(&orders[0]).await.expect_err("it is on as before");
    assert!(matches!(&refused, Trouble::Refused(why) if why.contains("switch it off by hand")), "{refused}");
}

#[tokio::test]
async fn rolling_forward_switches_auto_sync_on_again() {
    let bed = Bed::new();
    bed.goes(&bed.way_back(2, 1).await).await;
    // Going back to anything that Git does not ask for leaves it off.
    let forward = bed.way_back(1, 2).await;
    let kinds: Vec<&str> = forward.iter().map(|order| order.act.kind.as_str()).collect();
    assert_eq!(kinds, ["prepare", "rollback", "resume"]);
    assert!(forward[2].act.says.ends_with("on again: Git asks for 22222222"), "{}", forward[2].act.says);
    assert_eq!(bed.goes(&forward).await, Progress::Serving(forward[0].to.clone()));
    assert_eq!(bed.policy()["automated"], json!({ "prune": true, "selfHeal": true }));
    assert_eq!(bed.argo.effects().last().map(String::as_str), Some("auto-sync on"));
    // Git moved in the middle: it stays off.
    let bed = Bed::new();
    bed.goes(&bed.way_back(2, 1).await).await;
    let forward = bed.way_back(1, 2).await;
    bed.goes(&forward[..2]).await;
    bed.argo.pushes(4);
    bed.argo.pass(1);
    let moved = bed.begin(&forward[2]).await.expect_err("it would put 4 out");
    assert!(
        matches!(&moved, Trouble::Moved(what) if what.contains("Git asks for something else")),
        "{moved}"
    );
}

#[tokio::test]
async fn what_is_still_going_out_is_terminated_first() {
    let bed = Bed::going_out();
    let picture = bed.picture().await;
    let newest = picture.deployments.last().expect("one");
    assert_eq!((newest.status, picture.in_flight.as_ref()), (DeploymentStatus::GoingOut, Some(&newest.id)));
    let orders = bed.way_back(3, 2).await;
    let kinds: Vec<_> = orders.iter().map(|order| (order.act.kind.as_str(), order.act.class)).collect();
    assert_eq!(kinds, [("prepare", Class::B), ("terminate", Class::C), ("rollback", Class::B)]);
    assert!(orders[1].act.says.contains("terminate the sync of 33333333"), "{}", orders[1].act.says);
    assert_eq!(bed.goes(&orders).await, Progress::Serving(orders[0].to.clone()));
    assert_eq!(bed.argo.serves(), commit(2));
    // It is one deployment, whether it goes out or has ended.
    let after = bed.picture().await;
    assert!(after.deployments.iter().all(|one| one.status != DeploymentStatus::GoingOut), "{after:#?}");
    // It went out whole before it could be terminated: it goes back all the same.
    let bed = Bed::going_out();
    let orders = bed.way_back(3, 2).await;
    bed.goes(&orders[..1]).await;
    bed.argo.pass(20);
    assert_eq!(bed.argo.serves(), commit(3));
    let ended = bed.goes(&orders[1..]).await;
    assert!(matches!(&ended, Progress::Serving(_)), "{ended:?}");
    assert_eq!(bed.argo.serves(), commit(2));
}

#[tokio::test]
async fn auto_sync_that_is_switched_on_behind_our_back_is_noticed() {
    let bed = Bed::new();
    bed.argo.state().app["metadata"]["ownerReferences"] =
        json!([{ "kind": "ApplicationSet", "name": "shop", "controller": true }]);
    let orders = bed.way_back(2, 1).await;
    assert!(orders[0].act.says.contains("ApplicationSet shop makes it anew"), "{}", orders[0].act.says);
    // Before the rollback: nothing was done, and the cause is told.
    let handle = bed.begin(&orders[0]).await.expect("taken");
    bed.argo.state().maker_insists = true;
    bed.argo.pass(1);
    let told = bed.provider.watch(&handle).await.expect("an answer");
    assert!(matches!(&told, Progress::Failed(why) if why.contains("ApplicationSet shop")), "{told:?}");
    let refused = bed.begin(&orders[1]).await.expect_err("Argo CD would not");
    assert!(matches!(&refused, Trouble::Refused(why) if why.contains("switched on again")), "{refused}");
    // After it: it serves, and will not for long.
    let bed = Bed::new();
    let orders = bed.way_back(2, 1).await;
    bed.goes(&orders[..1]).await;
    let handle = bed.begin(&orders[1]).await.expect("taken");
    bed.argo.pass(12);
    bed.argo.state().app["spec"]["syncPolicy"]["automated"] = json!({});
    let told = bed.provider.watch(&handle).await.expect("an answer");
    assert!(
        matches!(&told, Progress::NeedsHuman { why, url: Some(_) } if why.contains("switched on again")),
        "{told:?}"
    );
}

/// An ApplicationSet takes off every annotation that it does not know: that auto-sync is off is what counts.
#[tokio::test]
async fn a_note_that_is_taken_off_stops_nothing() {
    let bed = Bed::new();
    let takes_off = || {
        bed.argo.state().app["metadata"]["annotations"] = json!({});
    };
    let orders = bed.way_back(2, 1).await;
    bed.argo.fault(Method::PATCH, "checkout", Fault::LoseReply);
    assert!(matches!(bed.begin(&orders[0]).await, Err(Trouble::Unclear(_))));
    takes_off();
    let Ok(Sighting::Found(handle)) = bed.find(&orders[0]).await else { panic!("auto-sync is off") };
    assert!(matches!(bed.provider.watch(&handle).await, Ok(Progress::Done(_))));
    assert_eq!(bed.goes(&orders[1..]).await, Progress::Serving(orders[0].to.clone()));
    takes_off();
    // Nobody knows any more who switched it off: it is left to people.
    let forward = bed.way_back(1, 2).await;
    assert!(forward.iter().all(|order| order.act.kind != "resume"), "{forward:?}");
}

/// Where auto-sync is off already the patch is a note and nothing else: Argo CD, which validates it against Git, may say no.
#[tokio::test]
async fn a_note_that_is_refused_stops_nothing_where_auto_sync_is_off() {
    let bed = Bed::new();
    bed.argo.state().app["spec"]["syncPolicy"]["automated"] = json!({ "enabled": false });
    let orders = bed.way_back(2, 1).await;
    bed.argo.fault(
        Method::PATCH,
        "checkout",
        Fault::Refuse(400, "application spec is invalid: repository not accessible"),
    );
    assert_eq!(bed.goes(&orders).await, Progress::Serving(orders[0].to.clone()));
}

/// Self-heal, or a person, syncs what is gone back from once more: that is no other release.
#[tokio::test]
async fn the_bad_release_synced_once_more_is_gone_back_from_all_the_same() {
    let bed = Bed::new();
    let orders = bed.way_back(2, 1).await;
    bed.goes(&orders[..1]).await;
    bed.argo.syncs(2, &json!([{ "kind": "Deployment", "name": "checkout" }]));
    assert!(matches!(bed.begin(&orders[1]).await, Err(Trouble::Busy { after: Some(_), .. })));
    assert!(matches!(bed.find(&orders[1]).await, Ok(Sighting::TooEarly(_))));
    bed.argo.pass(10);
    assert_eq!(bed.goes(&orders[1..]).await, Progress::Serving(orders[0].to.clone()));
    // Begun a moment ago, so that nobody can tell yet what it puts out: it is waited for, and not taken for ours.
    let bed = Bed::new();
    let orders = bed.way_back(2, 1).await;
    bed.goes(&orders[..1]).await;
    bed.argo.syncs(2, &json!([]));
    {
        let mut state = bed.argo.state();
        state.app["status"]["operationState"]["syncResult"] = Value::Null;
        state.app["status"]["operationState"]["operation"] = json!({ "sync": { "revision": commit(2) } });
    }
    assert!(matches!(bed.begin(&orders[1]).await, Err(Trouble::Busy { after: Some(_), .. })));
    assert!(
        !bed.argo.effects().iter().any(|effect| effect.starts_with("rollback")),
        "{:?}",
        bed.argo.effects()
    );
    // Whole, so that it has an entry of its own.
    let bed = Bed::new();
    let orders = bed.way_back(2, 1).await;
    bed.goes(&orders[..1]).await;
    bed.argo.syncs(2, &json!([]));
    bed.argo.pass(10);
    assert_eq!(bed.goes(&orders[1..]).await, Progress::Serving(orders[0].to.clone()));
}

/// Two releases of one commit: Git asks for what its parameters say, and not for a commit.
#[tokio::test]
async fn what_git_asks_for_is_more_than_a_commit() {
    let bed = Bed::new();
    let helm = |level: &str| json!({ "parameters": [{ "name": "level", "value": level }] });
    let source = |level: &str| {
        let mut source = bed.argo.state().app["spec"]["source"].clone();
        source["helm"] = helm(level);
        source
    };
    let (good, bad) = (source("1"), source("2"));
    {
        let mut state = bed.argo.state();
        state.app["spec"]["source"] = bad.clone();
        for (nth, source) in [good, bad].into_iter().enumerate() {
            state.app["status"]["history"][nth]["source"] = source;
            state.app["status"]["history"][nth]["revision"] = commit(2).into();
        }
        state.app["status"]["operationState"] = Value::Null;
        state.tried(2);
    }
    bed.argo.pass(1);
    let picture = bed.picture().await;
    let (from, to) = (picture.deployments[1].release.clone(), picture.deployments[0].release.clone());
    assert_ne!(from, to);
    let acts = bed.provider.propose(&bed.target(), &from, &to).await.expect("a way").acts;
    assert!(acts[1].says.contains("Git goes on asking for 22222222: revert it there"), "{}", acts[1].says);
    // Off by us, and going back to the good one: on again it would put the bad parameters out.
    let note =
        json!({ "marks": [{ "mark": "snapback/1", "after": 0, "to": from.as_str() }], "auto_sync": {} });
    {
        let mut state = bed.argo.state();
        state.app["spec"]["syncPolicy"]["automated"] = json!({ "enabled": false });
        state.app["metadata"]["annotations"]["snapback.dev/rollbacks"] = note.to_string().into();
    }
    let acts = bed.provider.propose(&bed.target(), &from, &to).await.expect("a way").acts;
    assert!(acts.iter().all(|act| act.kind != "resume"), "{acts:?}");
}

/// What a person did with auto-sync since our rollback is theirs.
#[tokio::test]
async fn auto_sync_that_a_person_switched_off_is_left_off() {
    let bed = Bed::new();
    bed.goes(&bed.way_back(2, 1).await).await;
    // On by hand, after a fix; later off again, on purpose.
    bed.argo.state().app["spec"]["syncPolicy"]["automated"] = json!({ "prune": true });
    bed.argo.pushes(4);
    bed.argo.pass(30);
    bed.argo.state().app["spec"]["syncPolicy"]["automated"] = json!({ "enabled": false });
    let kinds =
        |acts: &[snapback::case::step::Act]| acts.iter().map(|act| act.kind.clone()).collect::<Vec<_>>();
    bed.argo.pushes(2);
    bed.argo.pass(1);
    let acts = bed.propose(4, 2).await.expect("a way").acts;
    assert_eq!(kinds(&acts), ["prepare", "rollback"], "Git asks for 2, and it was not us");
}

#[tokio::test]
async fn a_sync_that_ends_at_the_moment_of_its_termination_stops_nothing() {
    let bed = Bed::going_out();
    let orders = bed.way_back(3, 2).await;
    bed.goes(&orders[..1]).await;
    let argo = bed.argo.clone();
    bed.argo.before(Method::DELETE, "/operation", move || argo.pass(10));
    assert!(matches!(bed.goes(&orders[1..]).await, Progress::Serving(_)));
    // Its reply is lost, and it takes long to end: it is found all the same.
    let bed = Bed::going_out();
    let orders = bed.way_back(3, 2).await;
    bed.goes(&orders[..1]).await;
    bed.argo.fault(Method::DELETE, "/operation", Fault::LoseReply);
    assert!(matches!(bed.begin(&orders[1]).await, Err(Trouble::Unclear(_))));
    assert!(matches!(bed.find(&orders[1]).await, Ok(Sighting::Found(_))));
}

#[tokio::test]
async fn somebody_who_begins_something_else_is_not_met_with_auto_sync_off() {
    let bed = Bed::new();
    let orders = bed.way_back(2, 1).await;
    bed.argo.pushes(4);
    bed.argo.pass(2);
    let moved = bed.begin(&orders[0]).await.expect_err("4 is on its way");
    assert!(matches!(&moved, Trouble::Moved(what) if what == "44444444"), "{moved}");
    assert_eq!(bed.argo.effects(), Vec::<String>::new());
}

#[tokio::test]
async fn a_sync_window_is_told_before_and_not_waited_for() {
    let bed = Bed::new();
    bed.argo.state().windows_closed = true;
    let refused = bed.propose(2, 1).await.expect_err("the window is closed");
    assert!(matches!(&refused, Trouble::Refused(why) if why.contains("deny 0 22 * * * for 8h")), "{refused}");
    // It closes between plan and act: Argo CD takes the rollback, and does not begin.
    bed.argo.state().windows_closed = false;
    let orders = bed.way_back(2, 1).await;
    bed.goes(&orders[..1]).await;
    bed.argo.state().windows_closed = true;
    let handle = bed.begin(&orders[1]).await.expect("taken");
    let told = bed.end_of(&handle).await.expect("an end");
    assert!(
        matches!(&told, Progress::NeedsHuman { why, .. } if why.contains("blocked by sync window")),
        "{told:?}"
    );
}

#[tokio::test]
async fn what_would_be_left_behind_is_shown() {
    let mut bed = Bed::new();
    bed.argo.state().extra =
        [(1, vec!["Secret old"]), (2, vec!["ConfigMap new", "PersistentVolumeClaim data"])].into();
    let now = bed.argo.now();
    bed.argo.has_synced(2, now - Duration::from_secs(30));
    let says = bed.propose(2, 1).await.expect("a way").acts[1].says.clone();
    assert!(
        says.contains("leaves what came since: ConfigMap shop/new, PersistentVolumeClaim shop/data"),
        "{says}"
    );
    assert!(says.contains("makes anew, empty: Secret old"), "{says}");
    bed.site.prune = true;
    let orders = bed.way_back(2, 1).await;
    assert!(
        orders[1].act.says.contains("deletes what came since: ConfigMap shop/new"),
        "{}",
        orders[1].act.says
    );
    bed.goes(&orders).await;
    let asked = bed
        .argo
        .wire_calls()
        .into_iter()
        .rfind(|call| call.path.ends_with("/rollback"))
        .expect("it was asked for");
    assert_eq!(
        (&asked.body["prune"], &asked.body["id"], &asked.body["dryRun"]),
        (&json!(true), &json!(0), &json!(false))
    );
    // Not known is said.
    bed.argo.fault(Method::GET, "/manifests", Fault::Refuse(500, "no"));
    let says = bed.propose(1, 2).await.expect("a way").acts[1].says.clone();
    assert!(says.contains("which resources would be left behind is not known"), "{says}");
}

#[tokio::test]
async fn whoever_acts_meanwhile_comes_first() {
    let bed = Bed::new();
    let orders = bed.way_back(2, 1).await;
    bed.argo.pushes(4);
    bed.argo.pass(20);
    let moved = bed.begin(&orders[0]).await.expect_err("4 serves");
    assert!(matches!(&moved, Trouble::Moved(what) if what == "44444444"), "{moved}");
    // In the middle of the plan.
    let bed = Bed::new();
    let orders = bed.way_back(2, 1).await;
    bed.goes(&orders[..1]).await;
    bed.argo.syncs(5, &json!([]));
    assert!(matches!(bed.begin(&orders[1]).await, Err(Trouble::Moved(_))));
    assert!(matches!(bed.find(&orders[1]).await, Err(Trouble::Moved(_))));
    assert_eq!(bed.argo.effects(), ["auto-sync off"]);
    // After ours began.
    let bed = Bed::new();
    let orders = bed.way_back(2, 1).await;
    bed.goes(&orders[..1]).await;
    let handle = bed.begin(&orders[1]).await.expect("taken");
    bed.argo.pass(10);
    bed.argo.syncs(6, &json!([]));
    bed.argo.pass(10);
    assert!(matches!(bed.end_of(&handle).await, Ok(Progress::Superseded(what)) if what.contains("66666666")));
    // Somebody switched auto-sync off, or on, since the plan: it is made anew.
    let bed = Bed::new();
    let orders = bed.way_back(2, 1).await;
    bed.argo.state().app["spec"]["syncPolicy"]["automated"] = Value::Null;
    assert!(
        matches!(bed.begin(&orders[0]).await, Err(Trouble::Moved(what)) if what.contains("switched off meanwhile"))
    );
}

#[tokio::test]
async fn another_operation_is_waited_for_and_another_application_is_not_touched() {
    let bed = Bed::new();
    bed.argo.syncs(2, &json!([{ "kind": "ConfigMap", "name": "settings" }]));
    assert!(matches!(bed.propose(2, 1).await, Err(Trouble::Busy { after: Some(_), .. })));
    let bed = Bed::new();
    let orders = bed.way_back(2, 1).await;
    bed.argo.state().app["metadata"]["uid"] = "another".into();
    assert!(matches!(bed.begin(&orders[0]).await, Err(Trouble::Moved(_))));
    assert!(matches!(bed.find(&orders[0]).await, Err(Trouble::Moved(_))));
    bed.argo.state().app["metadata"]["deletionTimestamp"] = "2026-03-02T09:00:00Z".into();
    assert!(matches!(bed.propose(2, 1).await, Err(Trouble::Refused(why)) if why.contains("being deleted")));
}

#[tokio::test]
async fn a_target_that_left_the_history_is_no_way() {
    let bed = Bed::new();
    let (orders, from, to) = (bed.way_back(2, 1).await, bed.release(2).await, bed.release(1).await);
    bed.goes(&orders[..1]).await;
    bed.argo.state().app["status"]["history"].as_array_mut().expect("a list").remove(0);
    let refused = bed.begin(&orders[1]).await.expect_err("it is gone");
    assert!(
        matches!(&refused, Trouble::Refused(why) if why.contains("holds its entry 0 no more")),
        "{refused}"
    );
    let refused = bed.provider.propose(&bed.target(), &from, &to).await.expect_err("it is gone");
    assert!(matches!(&refused, Trouble::Refused(why) if why.contains("revisionHistoryLimit")), "{refused}");
}

#[tokio::test]
async fn how_it_goes_is_followed_to_good_health() {
    let bed = Bed::new();
    bed.argo
        .state()
        .becomes
        .insert(1, Becomes::Degraded("deployment \"checkout\" exceeded its progress deadline"));
    let orders = bed.way_back(2, 1).await;
    bed.goes(&orders[..1]).await;
    let handle = bed.begin(&orders[1]).await.expect("taken");
    let mut seen = BTreeSet::new();
    for _ in 0..10 {
        let Ok(Progress::Running(how)) = bed.provider.watch(&handle).await else { panic!("it is not well") };
        seen.insert(how);
        bed.argo.pass(3);
    }
    let told = format!("{seen:?}");
    for part in [
        "asked for, and not begun yet",
        "waiting for completion",
        "health is Progressing",
        "health is Degraded: deployment",
    ] {
        assert!(told.contains(part), "no {part}: {told}");
    }
    // Applied in part only.
    let bed = Bed::new();
    bed.argo.state().becomes.insert(1, Becomes::Fails("admission webhook denied it"));
    let ended = bed.goes(&bed.way_back(2, 1).await).await;
    let Progress::Failed(why) = ended else { panic!("it failed") };
    assert_eq!(
        why,
        "one or more objects failed to apply; Deployment shop/checkout: admission webhook denied it"
    );
    let shown = format!("{:?}", bed.provider.evidence(&bed.target(), None).await.expect("evidence"));
    assert!(
        shown.contains("admission webhook denied it") && shown.contains("history of Argo CD application"),
        "{shown}"
    );
}

#[tokio::test]
async fn what_argo_cd_says_of_a_bad_release_is_a_report() {
    let bed = Bed::new();
    bed.argo.state().becomes.insert(3, Becomes::Degraded("pods crash"));
    bed.argo.pushes(3);
    bed.argo.pass(30);
    let picture = bed.picture().await;
    assert_eq!((picture.reports.len(), picture.reports[0].says.as_str()), (1, "pods crash"));
    let bed = Bed::new();
    bed.argo.state().becomes.insert(3, Becomes::Fails("no such kind"));
    bed.argo.pushes(3);
    bed.argo.pass(30);
    let picture = bed.picture().await;
    assert!(picture.reports[0].says.contains("no such kind"), "{picture:#?}");
    assert_eq!(picture.deployments.last().expect("one").status, DeploymentStatus::Failed);
    // Something of it is there: it goes back from it.
    assert_eq!(picture.current, Some(bed.release(3).await));
    let orders = bed.way_back(3, 2).await;
    assert!(matches!(bed.goes(&orders).await, Progress::Serving(_)));
    // Our own failure is followed by its case.
    let bed = Bed::new();
    bed.argo.state().becomes.insert(1, Becomes::Fails("no"));
    bed.goes(&bed.way_back(2, 1).await).await;
    assert_eq!(bed.picture().await.reports, []);
}

#[tokio::test]
async fn a_part_of_another_release_leaves_nobody_knowing_what_serves() {
    let bed = Bed::new();
    bed.argo.syncs(5, &json!([{ "kind": "ConfigMap", "name": "settings" }]));
    bed.argo.pass(10);
    let picture = bed.picture().await;
    assert_eq!(picture.current, None);
    assert_eq!(picture.deployments.len(), 2, "it never enters the history");
    let bed = Bed::new();
    bed.argo.syncs(2, &json!([{ "kind": "ConfigMap", "name": "settings" }]));
    bed.argo.pass(10);
    assert_eq!(bed.picture().await.current, Some(bed.release(2).await));
    // It failed half way: no better.
    let bed = Bed::new();
    bed.argo.state().becomes.insert(5, Becomes::Fails("no"));
    bed.argo.syncs(5, &json!([{ "kind": "ConfigMap", "name": "settings" }]));
    bed.argo.pass(10);
    assert_eq!(bed.picture().await.current, None);
}

#[tokio::test]
async fn going_back_by_others_is_known_as_that() {
    let bed = Bed::new();
    bed.argo.state().app["spec"]["syncPolicy"]["automated"] = Value::Null;
    bed.argo.syncs(1, &json!([]));
    bed.argo.pass(10);
    let picture = bed.picture().await;
    let newest = picture.deployments.last().expect("one");
    assert_eq!((newest.origin.clone(), newest.by.as_deref()), (DeploymentOrigin::Rollback, Some("ann")));
}

/// A lost reply: nobody asks twice before it is sure.
#[tokio::test]
async fn what_was_lost_is_looked_for() {
    let bed = Bed::new();
    let orders = bed.way_back(2, 1).await;
    for order in &orders {
        let method = if order.act.kind == "prepare" { Method::PATCH } else { Method::POST };
        bed.argo.fault(method, "checkout", Fault::LoseReply);
        assert!(matches!(bed.begin(order).await, Err(Trouble::Unclear(_))));
        let Ok(Sighting::Found(handle)) = bed.find(order).await else { panic!("it was done") };
        bed.end_of(&handle).await.expect("an end");
    }
    assert_eq!(bed.argo.effects(), ["auto-sync off", "rollback to 1"]);
    let bed = Bed::new();
    let orders = bed.way_back(2, 1).await;
    assert!(matches!(bed.find(&orders[0]).await, Ok(Sighting::TooEarly(_))));
    bed.argo.pass(SURELY);
    assert_eq!(bed.find(&orders[0]).await.expect("a sight"), Sighting::Absent);
}

#[tokio::test]
async fn a_change_is_heard_and_a_mere_comparison_is_none() {
    let bed = Bed::new();
    let target = bed.target();
    bed.picture().await;
    let heard = bed.provider.changed(&target);
    let meanwhile = async {
        let opened = bed.argo.hear(Method::GET, "/stream/applications");
        tokio::task::spawn_blocking(move || opened.recv().expect("the stream was opened"))
            .await
            .expect("it waits");
        bed.argo.pass(2);
        bed.argo.pushes(3);
        bed.argo.pass(5);
    };
    let (heard, ()) = tokio::join!(heard, meanwhile);
    heard.expect("a change");
    assert!(bed.picture().await.in_flight.is_some());
    // What changed while nobody watched is heard as soon as somebody does.
    bed.argo.pass(30);
    bed.provider.changed(&target).await.expect("a change");
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let bed = Bed::new();
    assert_eq!(bed.provider.check(&bed.target()).await, []);
    bed.argo.state().may = BTreeSet::from(["get", "sync"]);
    let found = bed.provider.check(&bed.target()).await;
    assert!(found.len() == 1 && found[0].says.contains("may not update"), "{found:?}");
    assert!(found[0].remedy.contains("deploy/argocd-policy.csv"), "{found:?}");
    let orders = bed.way_back(2, 1).await;
    let refused = bed.begin(&orders[0]).await.expect_err("it may not");
    assert!(
        matches!(&refused, Trouble::Refused(why) if why.contains("applications, update, shop/checkout")),
        "{refused}"
    );
    let stranger = argocd_bed::provider(&bed.argo, &bed.argo.url(), "another");
    let found = stranger.check(&bed.target()).await;
    assert!(found[0].says.contains("invalid session") && found[0].remedy.contains("`token`"), "{found:?}");
    let away = bed.provider_at("http://127.0.0.1:1");
    assert!(away.check(&bed.target()).await[0].remedy.contains("`url`"));
}

/// The policy in `deploy/` gives what the provider uses, by the pretend Argo CD's own log, and nothing more.
#[tokio::test]
async fn the_policy_in_the_file_is_what_is_used() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/argocd-policy.csv");
    let text = std::fs::read_to_string(path).expect("the file");
    let rules = text.lines().filter(|line| line.starts_with("p,"));
    let given: BTreeSet<String> = rules
        .map(|line| {
            let words: Vec<&str> = line.split(',').map(str::trim).collect();
            assert_eq!(
                (words[1], words[2], words[5]),
                ("proj:shop:snapback", "applications", "allow"),
                "{line}"
            );
            words[3].to_owned()
        })
        .collect();
    assert_eq!(given, ["get", "sync", "update"].map(str::to_owned).into());
    let bed = Bed::going_out();
    bed.argo.state().may = BTreeSet::from(["get", "sync", "update"]);
    assert!(matches!(bed.goes(&bed.way_back(3, 2).await).await, Progress::Serving(_)));
    for one in ["get", "sync", "update"] {
        let bed = Bed::going_out();
        let orders = bed.way_back(3, 2).await;
        bed.argo.state().may.remove(one);
        let mut refused = false;
        for order in &orders {
            match bed.begin(order).await {
                Ok(handle) => drop(bed.end_of(&handle).await),
                Err(trouble) => {
                    assert!(matches!(trouble, Trouble::Refused(_)), "{trouble}");
                    refused = true;
                    break;
                }
            }
        }
        assert!(refused, "nothing needs {one}");
    }
}

#[tokio::test]
async fn a_person_gets_the_commands_of_the_same_acts() {
    let mut bed = Bed::going_out();
    bed.site.prune = true;
    let orders = bed.way_back(3, 2).await;
    let lines: Vec<String> = orders
        .iter()
        .map(|order| bed.provider.by_hand(&order.act, &order.to, "why").expect("a line"))
        .collect();
    let server = bed.argo.url().replace("http://", "");
    let expected = [
        format!(
            "argocd app patch checkout --type merge --patch '{{\"spec\":{{\"syncPolicy\":{{\"automated\":{{\"enabled\":false}}}}}}}}' --server {server} --plaintext"
        ),
        format!(
            "argocd app terminate-op checkout --server {server} --plaintext && argocd app wait checkout --operation --server {server} --plaintext"
        ),
        format!("argocd app rollback checkout 1 --prune --server {server} --plaintext"),
    ];
    assert_eq!(lines, expected);
    let blind = bed.provider.by_hand_unplanned(&bed.target(), None, "why");
    assert!(
        blind[0].starts_with("argocd app history checkout") && blind[2].contains("rollback checkout ID"),
        "{blind:?}"
    );
}
