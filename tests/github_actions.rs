//! The provider `github-actions`, with a pretend GitHub: what it reads is what GitHub says, and what it does GitHub has done.

mod github_bed;
mod hub;
mod pretend;

use std::collections::BTreeMap;

use github_bed::{Bed, SURELY, app, mark, provider, release};
use hub::{TOKEN, commit};
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

fn ours(nth: usize) -> DeploymentOrigin {
    DeploymentOrigin::Ours(mark(nth))
}

#[tokio::test]
async fn what_was_put_out_is_read() {
    let bed = Bed::new();
    bed.hub
        .state()
        .messages
        .insert(2, "drop a column\n\nSnapback-Rollback: contract\nSnapback-Schema-Version: 7");
    let picture = bed.picture().await;
    assert_eq!((picture.current, picture.in_flight, picture.owner), (Some(release(2)), None, Owner::Nobody));
    let told: Vec<_> = picture.deployments.iter().map(|one| (one.status, one.origin.clone())).collect();
    let ordinary = (DeploymentStatus::Finished, DeploymentOrigin::Ordinary);
    assert_eq!(told, [ordinary.clone(), ordinary]);
    let newest = picture.releases.iter().find(|one| one.id == release(2)).expect("it is there");
    assert_eq!((newest.called(), newest.commit.as_deref()), ("22222222", Some(commit(2).as_str())));
    assert_eq!((newest.author.as_deref(), newest.artifact_exists), (Some("ben"), Some(true)));
    assert_eq!((newest.marks.rollback, newest.marks.schema_version), (Some(RollbackMark::Contract), Some(7)));
    assert_eq!(newest.links, [format!("https://github.com/acme/checkout/commit/{}", commit(2))]);
}

/// Two lists and what is said of the newest are asked for again, and GitHub says that nothing has changed; the rest is remembered.
#[tokio::test]
async fn what_has_not_changed_is_not_read_again() {
    let bed = Bed::new();
    bed.hub.pass(3600);
    bed.picture().await;
    let before = bed.hub.calls().len();
    bed.picture().await;
    let again = bed.hub.calls()[before..].to_vec();
    let asked: Vec<bool> = again.iter().map(|call| call.known().starts_with("W/")).collect();
    assert_eq!(asked, [true, true, true], "{again:#?}");
    // What is said later is seen.
    bed.hub.deploys(3);
    assert!(bed.picture().await.in_flight.is_some());
}

#[tokio::test]
async fn payloads_tell_versions_and_marks() {
    let bed = Bed::new();
    {
        let mut state = bed.hub.state();
        state.deployments[0].payload = json!({ "version": "4.1", "rollback": "safe", "change": "C-7" });
        state.deployments[1].payload = json!("{\"version\": \"4.2\", \"rollback\": \"perhaps\"}");
    }
    let picture = bed.picture().await;
    let of =
        |number| picture.releases.iter().find(|one| one.id == release(number)).expect("it is there").clone();
    assert_eq!((of(1).called(), of(1).marks.rollback), ("4.1", Some(RollbackMark::Safe)));
    assert_eq!(of(1).change.expect("a change").as_str(), "C-7");
    // A word that is none lets nobody go back unasked.
    assert_eq!((of(2).called(), of(2).marks.rollback), ("4.2", Some(RollbackMark::Irreversible)));
    bed.hub.state().deployments[1].payload = json!({});
    bed.hub.state().deployments[1].task = "deploy:migrations".into();
    let picture = bed.picture().await;
    let newest = picture.releases.iter().find(|one| one.id == release(2)).expect("it is there");
    assert_eq!(newest.marks.rollback, Some(RollbackMark::Contract));
}

#[tokio::test]
async fn a_commit_that_is_gone_is_no_artifact() {
    let bed = Bed::new();
    bed.hub.state().gone.insert(1);
    let picture = bed.picture().await;
    let exists =
        |number| picture.releases.iter().find(|one| one.id == release(number)).expect("one").artifact_exists;
    assert_eq!((exists(1), exists(2)), (Some(false), Some(true)));
    let refused = bed.propose(2, 1).await.expect_err("it cannot be put out");
    assert!(
        matches!(&refused, Trouble::Refused(why) if why.contains("has commit 1111") && why.contains("no more")),
        "{refused}"
    );
}

/// The whole way, with a workflow whose job has an `environment`: GitHub's own deployment has the commit of the branch, which is what is
/// gone back from, and Snapback sets it right.
#[tokio::test]
async fn a_finished_release_goes_back_and_githubs_history_tells_the_truth() {
    let bed = Bed::new();
    let orders = bed.way_back(2, 1).await;
    let kinds: Vec<_> = orders.iter().map(|order| (order.act.kind.as_str(), order.act.class)).collect();
    assert_eq!(kinds, [("dispatch", Class::C), ("record", Class::B), ("confirm", Class::B)]);
    assert!(
        orders[0].act.says.starts_with("run rollback.yml on main of acme/checkout for 11111111"),
        "{}",
        orders[0].act.says
    );
    assert_eq!(bed.goes(&orders).await, Progress::Serving(release(1)));
    assert_eq!(bed.hub.live(), 1);
    assert_eq!(bed.hub.effects(), ["rollback to 1", "deployment of 1", "status success"]);
    let told = bed.hub.told();
    let of = |number, task: &str, state: &str| (number, task.to_owned(), state.to_owned());
    assert_eq!(told[..2], [of(1, "rollback", "success"), of(2, "deploy", "success")], "{told:?}");
    let dispatch =
        &bed.hub.calls().into_iter().find(|call| call.path.ends_with("/dispatches")).expect("one").body;
    assert_eq!((&dispatch["ref"], &dispatch["return_run_details"]), (&json!("main"), &json!(true)));
    let reason =
        "Snapback takes checkout@production back from 22222222 to 11111111, case checkout@production.1";
    assert_eq!(
        dispatch["inputs"],
        json!({ "sha": commit(1), "environment": "production", "rollback_id": mark(0).as_str(), "reason": reason })
    );
    // Done is done, and a second copy does nothing.
    for order in &orders {
        bed.begin(order).await.expect("already there");
        assert!(matches!(bed.find(order).await, Ok(Sighting::Found(_))), "{}", order.act.kind);
    }
    assert_eq!(bed.hub.effects().len(), 3);
    // Another process knows which are ours, and what each put out.
    let bed = Bed { provider: bed.provider_at(&bed.hub.url()), ..bed };
    let picture = bed.picture().await;
    let last: Vec<_> = picture
        .deployments
        .iter()
        .rev()
        .take(2)
        .map(|one| (one.release.clone(), one.origin.clone()))
        .collect();
    assert_eq!(last, [(release(1), ours(1)), (release(1), ours(0))]);
    assert_eq!(picture.current, Some(release(1)));
}

/// Of a run whose name tells no commit nobody can say what it put out, until somebody does.
#[tokio::test]
async fn a_run_that_does_not_say_what_it_puts_out_is_believed_in_nothing() {
    let bed = Bed::new();
    bed.hub.state().written.names_runs = false;
    bed.hub.rolls_back_by_hand(1);
    bed.hub.pass(30);
    let picture = bed.picture().await;
    assert_eq!((picture.current, picture.deployments.len()), (None, 2));
    let moved = bed.propose(2, 1).await.expect_err("nobody knows what serves");
    assert!(matches!(&moved, Trouble::Moved(what) if what.contains("nobody can say")), "{moved}");
}

#[tokio::test]
async fn a_persons_rollback_is_told_as_one() {
    let bed = Bed::new();
    bed.hub.rolls_back_by_hand(1);
    bed.hub.pass(30);
    let picture = bed.picture().await;
    let newest = picture.deployments.last().expect("one");
    assert_eq!((&newest.release, &newest.origin), (&release(1), &DeploymentOrigin::Rollback));
    // A pipeline that puts an old commit out again is one too.
    let bed = Bed::new();
    bed.hub.deploys(1);
    bed.hub.pass(30);
    let picture = bed.picture().await;
    assert_eq!(picture.deployments.last().expect("one").origin, DeploymentOrigin::Rollback);
}

#[tokio::test]
async fn what_is_still_going_out_is_cancelled_first() {
    let bed = Bed::going_out();
    let picture = bed.picture().await;
    let newest = picture.deployments.last().expect("one");
    assert_eq!((newest.status, picture.in_flight.as_ref()), (DeploymentStatus::GoingOut, Some(&newest.id)));
    let orders = bed.way_back(3, 2).await;
    let kinds: Vec<_> = orders.iter().map(|order| (order.act.kind.as_str(), order.act.class)).collect();
    assert_eq!(kinds[..2], [("cancel", Class::B), ("dispatch", Class::C)]);
    assert!(orders[0].act.says.ends_with("(commit 3), with all its jobs"), "{}", orders[0].act.says);
    assert_eq!(bed.goes(&orders).await, Progress::Serving(release(2)));
    assert_eq!(bed.hub.effects()[..2], ["cancel 3", "rollback to 2"]);
    // Whoever cancelled it says nothing bad of it: no report, and no suspect of anybody's.
    let picture = bed.picture().await;
    let third = picture.deployments.iter().find(|one| one.release == release(3)).expect("it is there");
    assert_eq!((third.status, picture.reports.len()), (DeploymentStatus::Stopped, 0));
    // It went out whole before it could be cancelled: it goes back all the same.
    let bed = Bed::going_out();
    let orders = bed.way_back(3, 2).await;
    bed.hub.pass(20);
    assert_eq!(bed.goes(&orders).await, Progress::Serving(release(2)));
    assert_eq!(bed.hub.effects()[0], "rollback to 2");
}

#[tokio::test]
async fn what_no_run_tells_of_is_waited_for() {
    let bed = Bed::going_out();
    bed.hub.state().deployments.last_mut().expect("one").statuses[0].log_url =
        "https://ci.example.com/7".into();
    let busy = bed.propose(3, 2).await.expect_err("nobody can end it");
    assert!(
        matches!(&busy, Trouble::Busy { why, after: Some(_) } if why.contains("nothing tells which run")),
        "{busy}"
    );
    // And what was started again is not what the plan cancels.
    let bed = Bed::going_out();
    let orders = bed.way_back(3, 2).await;
    bed.hub.state().runs.last_mut().expect("one").attempt = 2;
    let moved = bed.begin(&orders[0]).await.expect_err("it is another attempt");
    assert!(matches!(&moved, Trouble::Moved(what) if what.contains("was started again")), "{moved}");
    assert_eq!(bed.hub.effects(), Vec::<String>::new());
}

/// A run that is over puts nothing out any more, whatever its deployment goes on saying.
#[tokio::test]
async fn a_deployment_of_a_run_that_was_killed_is_over() {
    let bed = Bed::going_out();
    {
        let mut state = bed.hub.state();
        let now = state.now();
        let run = state.runs.last_mut().expect("one");
        (run.status, run.conclusion, run.updated_at) = ("completed", Some("cancelled"), now);
    }
    bed.hub.pass(60);
    let picture = bed.picture().await;
    assert_eq!(picture.in_flight, None);
    assert_eq!(picture.deployments.last().expect("one").status, DeploymentStatus::Stopped);
    assert_eq!(picture.current, Some(release(3)), "whole or not, it was put out last");
}

#[tokio::test]
async fn only_a_protected_branch_starts_a_rollback() {
    let bed = Bed::new();
    bed.hub.state().branches.get_mut("main").expect("main").protected = false;
    let refused = bed.propose(2, 1).await.expect_err("anybody changes it");
    assert!(
        matches!(&refused, Trouble::Refused(why) if why.contains("is not protected") && why.contains("protect it")),
        "{refused}"
    );
    // A ruleset protects it too, if it asks for reviews.
    bed.hub.state().branches.get_mut("main").expect("main").rules = vec!["deletion"];
    assert!(matches!(bed.propose(2, 1).await, Err(Trouble::Refused(_))));
    bed.hub.state().branches.get_mut("main").expect("main").rules = vec!["deletion", "pull_request"];
    let orders = bed.way_back(2, 1).await;
    // It is looked at again just before the act.
    bed.hub.state().branches.get_mut("main").expect("main").rules.clear();
    assert!(matches!(bed.begin(&orders[0]).await, Err(Trouble::Refused(_))));
    assert_eq!(bed.hub.writes(), 0);
    // A tag is no branch.
    let mut bed = Bed::new();
    bed.site.branch = "v1.2.0".into();
    let refused = bed.propose(2, 1).await.expect_err("a tag");
    assert!(matches!(&refused, Trouble::Refused(why) if why.contains("no branch v1.2.0")), "{refused}");
}

#[tokio::test]
async fn a_workflow_that_cannot_be_started_is_no_way_back() {
    let bed = Bed::new();
    bed.hub.state().workflow_state = "disabled_manually";
    let refused = bed.propose(2, 1).await.expect_err("it is disabled");
    assert!(
        matches!(&refused, Trouble::Refused(why) if why.contains("is disabled_manually: let somebody enable it")),
        "{refused}"
    );
    let bed = Bed::new();
    let orders = bed.way_back(2, 1).await;
    bed.hub.state().written.inputs = vec!["sha", "environment"];
    let refused = bed.begin(&orders[0]).await.expect_err("it takes no mark");
    assert!(matches!(&refused, Trouble::Refused(why) if why.contains("Unexpected inputs")), "{refused}");
    assert_eq!(bed.hub.effects(), Vec::<String>::new());
}

/// A server that knows no `return_run_details` says so, and has done nothing: the same goes again without it, and the run is found by its
/// name, which may take a while.
#[tokio::test]
async fn an_older_server_is_asked_without_what_it_does_not_know() {
    let bed = Bed::new();
    bed.hub.state().is_older = true;
    bed.hub.state().shown_after = Duration::from_secs(20);
    let orders = bed.way_back(2, 1).await;
    let busy = bed.begin(&orders[0]).await.expect_err("it does not know a field");
    assert!(matches!(&busy, Trouble::Busy { after: None, .. }), "{busy}");
    assert_eq!((bed.hub.writes(), bed.hub.effects().len()), (1, 0), "one request for one permit");
    let handle = bed.begin(&orders[0]).await.expect("taken");
    assert_eq!((bed.hub.writes(), bed.hub.effects().len()), (2, 1));
    assert_eq!(bed.watch(&handle).await, Progress::Running("asked for, and not shown yet".into()));
    assert!(matches!(bed.end_of(&handle).await, Ok(Progress::Done(_))));
    assert_eq!(bed.hub.live(), 1);
    // It is not asked that way again.
    bed.hub.deploys(3);
    bed.hub.pass(60);
    let orders = bed.way_back(3, 1).await;
    let other = snapback::case::step::Order { mark: mark(7), ..orders[0].clone() };
    bed.begin(&other).await.expect("taken at once");
}

/// A lost dispatch is looked for by the run's name, or by a job's; not there proves nothing before its time, and then a person is asked.
#[tokio::test]
async fn a_lost_dispatch_is_found_by_its_name() {
    for in_job in [false, true] {
        let bed = Bed::new();
        bed.hub.state().written.names_runs = !in_job;
        bed.hub.state().written.names_jobs = in_job;
        bed.hub.state().shown_after = Duration::from_secs(20);
        let orders = bed.way_back(2, 1).await;
        bed.hub.fault(Method::POST, "/dispatches", Fault::LoseReply);
        assert!(matches!(bed.begin(&orders[0]).await, Err(Trouble::Unclear(_))));
        assert!(matches!(bed.find(&orders[0]).await, Ok(Sighting::TooEarly(_))));
        bed.hub.pass(21);
        let Ok(Sighting::Found(handle)) = bed.find(&orders[0]).await else { panic!("it is there") };
        assert!(matches!(bed.end_of(&handle).await, Ok(Progress::Done(_))));
        assert_eq!(bed.hub.effects(), ["rollback to 1"]);
    }
    // A workflow that shows no mark anywhere: class C is tried once, so that a person is asked.
    let bed = Bed::new();
    bed.hub.state().written.names_runs = false;
    bed.hub.state().written.by_environment = false;
    let orders = bed.way_back(2, 1).await;
    bed.hub.fault(Method::POST, "/dispatches", Fault::LoseReply);
    bed.begin(&orders[0]).await.expect_err("lost");
    bed.hub.pass(SURELY);
    assert_eq!(bed.find(&orders[0]).await.expect("an answer"), Sighting::Absent);
    assert_eq!(orders[0].act.class.attempts_max(), 1);
}

/// One that was taken without telling its run, by a workflow that does not show our mark.
#[tokio::test]
async fn a_run_that_never_shows_our_mark_is_for_a_person() {
    let bed = Bed::new();
    {
        let mut state = bed.hub.state();
        state.is_older = true;
        (state.written.names_runs, state.written.by_environment) = (false, false);
    }
    let orders = bed.way_back(2, 1).await;
    bed.begin(&orders[0]).await.expect_err("a field that it does not know");
    let handle = bed.begin(&orders[0]).await.expect("taken");
    assert!(matches!(bed.watch(&handle).await, Progress::Running(_)));
    bed.hub.pass(SURELY);
    let asked = bed.watch(&handle).await;
    assert!(
        matches!(&asked, Progress::NeedsHuman { why, url: Some(_) } if why.contains("run-name")),
        "{asked:?}"
    );
}

#[tokio::test]
async fn two_runs_under_one_mark_are_said() {
    let bed = Bed::new();
    bed.hub.state().queue_max = true;
    let orders = bed.way_back(2, 1).await;
    bed.hub.fault(Method::POST, "/dispatches", Fault::Twice);
    bed.begin(&orders[0]).await.expect("taken");
    let Ok(Sighting::Found(handle)) = bed.find(&orders[0]).await else { panic!("they are there") };
    let asked = bed.watch(&handle).await;
    assert!(matches!(&asked, Progress::NeedsHuman { why, .. } if why.contains("two runs")), "{asked:?}");
}

#[tokio::test]
async fn a_workflow_that_refuses_known_ids_may_be_asked_twice() {
    let mut bed = Bed::new();
    bed.site.repeatable = true;
    let orders = bed.way_back(2, 1).await;
    assert_eq!(orders[0].act.class, Class::B);
}

/// Somebody has to let it begin: who and where is said; given, it is looked for again and goes on.
#[tokio::test]
async fn a_review_is_for_a_person_and_then_it_goes_on() {
    let bed = Bed::new();
    bed.hub.state().reviewers = vec!["cy", "dan"];
    let orders = bed.way_back(2, 1).await;
    let handle = bed.begin(&orders[0]).await.expect("taken");
    bed.hub.pass(1);
    let asked = bed.watch(&handle).await;
    let Progress::NeedsHuman { why, url: Some(url) } = &asked else { panic!("{asked:?}") };
    assert!(why.contains("review of production by cy or dan"), "{why}");
    assert!(url.contains("/actions/runs/"), "{url}");
    bed.hub.approves();
    let Ok(Sighting::Found(handle)) = bed.find(&orders[0]).await else { panic!("it is there") };
    assert!(matches!(bed.end_of(&handle).await, Ok(Progress::Done(_))));
    assert_eq!(bed.goes(&orders[1..]).await, Progress::Serving(release(1)));
    assert_eq!(bed.hub.effects()[0], "rollback to 1");
}

/// A newer run of the group takes the place of one that waits: nothing was done, and what to change is said.
#[tokio::test]
async fn a_run_that_is_put_out_of_its_group_did_nothing() {
    let bed = Bed::new();
    let orders = bed.way_back(2, 1).await;
    bed.hub.before(Method::POST, "/dispatches", {
        let hub = bed.hub.clone();
        move || hub.deploys(4)
    });
    let handle = bed.begin(&orders[0]).await.expect("taken");
    bed.hub.deploys(5);
    let ended = bed.watch(&handle).await;
    assert!(
        matches!(&ended, Progress::Failed(why) if why.contains("before any job began") && why.contains("queue: max")),
        "{ended:?}"
    );
    // Cancelled on its way is something else.
    let bed = Bed::new();
    let orders = bed.way_back(2, 1).await;
    let handle = bed.begin(&orders[0]).await.expect("taken");
    bed.hub.pass(2);
    bed.hub.state().runs.last_mut().expect("one").cancelling = true;
    bed.hub.pass(1);
    let ended = bed.watch(&handle).await;
    assert!(matches!(&ended, Progress::Failed(why) if why.contains("may have left half of it")), "{ended:?}");
}

#[tokio::test]
async fn a_run_that_fails_is_told_with_job_step_and_link() {
    let bed = Bed::new();
    bed.hub.state().fails.insert(1, "put it out");
    let orders = bed.way_back(2, 1).await;
    let Progress::Failed(why) = bed.goes(&orders).await else { panic!("it fails") };
    assert!(
        why.contains("job deploy failed at step put it out: https://github.com/acme/checkout/actions/runs/"),
        "{why}"
    );
    // What was there before is there as far as anybody knows: somebody can begin anew.
    assert_eq!(bed.picture().await.current, Some(release(2)));
    assert_eq!(bed.hub.effects(), ["rollback to 1"]);
}

#[tokio::test]
async fn a_success_in_which_nothing_ran_is_none() {
    let bed = Bed::new();
    bed.hub.state().written.does_nothing = true;
    let ended = bed.goes(&bed.way_back(2, 1).await).await;
    assert!(
        matches!(&ended, Progress::NeedsHuman { why, .. } if why.contains("none of its jobs did anything")),
        "{ended:?}"
    );
    assert_eq!(bed.hub.live(), 2);
}

/// A workflow that writes its own deployments is not written over; and where it is to, its word is needed.
#[tokio::test]
async fn a_workflow_that_tells_for_itself() {
    let bed = Bed::new();
    bed.hub.state().written.writes_deployments = true;
    assert_eq!(bed.goes(&bed.way_back(2, 1).await).await, Progress::Serving(release(1)));
    assert_eq!(bed.hub.effects(), ["rollback to 1"], "nothing is written twice");
    let mut bed = Bed::new();
    bed.site.record = false;
    bed.hub.state().written.writes_deployments = true;
    let orders = bed.way_back(2, 1).await;
    assert_eq!(orders.len(), 1);
    assert_eq!(bed.goes(&orders).await, Progress::Serving(release(1)));
    let mut bed = Bed::new();
    bed.site.record = false;
    bed.hub.state().written.by_environment = false;
    let orders = bed.way_back(2, 1).await;
    let handle = bed.begin(&orders[0]).await.expect("taken");
    bed.hub.pass(15);
    let waits = bed.watch(&handle).await;
    assert!(
        matches!(&waits, Progress::Running(why) if why.contains("no deployment says so yet")),
        "{waits:?}"
    );
    let ended = bed.end_of(&handle).await.expect("an end");
    assert!(
        matches!(&ended, Progress::NeedsHuman { why, .. } if why.contains("leave `record` on")),
        "{ended:?}"
    );
}

/// The service is back, whatever may be written: a person settles it, and nobody is told that the rollback failed.
#[tokio::test]
async fn deployments_that_may_not_be_written_are_for_a_person() {
    let bed = Bed::new();
    let orders = bed.way_back(2, 1).await;
    bed.hub.state().may.remove("deployments");
    let ended = bed.goes(&orders).await;
    let Progress::NeedsHuman { why, .. } = &ended else { panic!("{ended:?}") };
    assert!(why.contains("has put the target out") && why.contains("Resource not accessible"), "{why}");
    assert_eq!((bed.hub.live(), bed.hub.effects()), (1, vec!["rollback to 1".to_owned()]));
    // The right is given, and it is looked again.
    bed.hub.state().may.insert("deployments");
    bed.hub.pass(SURELY);
    assert_eq!(bed.find(&orders[1]).await.expect("an answer"), Sighting::Absent);
    assert_eq!(bed.goes(&orders[1..]).await, Progress::Serving(release(1)));
}

#[tokio::test]
async fn whoever_deploys_meanwhile_comes_first() {
    let bed = Bed::new();
    let orders = bed.way_back(2, 1).await;
    bed.hub.deploys(4);
    let moved = bed.begin(&orders[0]).await.expect_err("4 is on its way");
    assert!(matches!(&moved, Trouble::Moved(what) if what.contains("44444444")), "{moved}");
    assert_eq!(bed.hub.writes(), 0);
    // After ours ran, and before it is written.
    let bed = Bed::new();
    let orders = bed.way_back(2, 1).await;
    assert!(matches!(bed.goes(&orders[..1]).await, Progress::Done(_)));
    bed.hub.deploys(4);
    bed.hub.pass(30);
    assert!(matches!(bed.begin(&orders[1]).await, Err(Trouble::Moved(_))));
    assert_eq!(bed.hub.effects(), ["rollback to 1"]);
}

#[tokio::test]
async fn an_allowance_that_is_spent_is_waited_for() {
    let bed = Bed::new();
    let orders = bed.way_back(2, 1).await;
    let reset = bed.hub.now() + Duration::from_secs(100);
    bed.hub.state().allowance = Some((0, reset));
    let busy = bed.describe().await.expect_err("it is spent");
    assert!(
        matches!(&busy, Trouble::Busy { after: Some(after), .. } if *after == Duration::from_secs(100)),
        "{busy}"
    );
    assert!(matches!(bed.begin(&orders[0]).await, Err(Trouble::Busy { after: Some(_), .. })));
    bed.hub.pass(101);
    bed.picture().await;
    // Too much at once is told in words, and a plain no is none of it.
    bed.hub.fault(
        Method::GET,
        "/deployments",
        Fault::Refuse(403, "You have exceeded a secondary rate limit."),
    );
    assert!(matches!(bed.describe().await, Err(Trouble::Busy { after: Some(_), .. })));
    bed.hub.fault(Method::GET, "/deployments", Fault::Refuse(403, "Resource not accessible by integration"));
    assert!(matches!(bed.describe().await, Err(Trouble::Refused(_))));
}

/// An App signs for itself, is given a token for an hour, and asks for the next before it ends.
#[tokio::test]
async fn an_app_has_a_token_that_is_renewed_in_time() {
    let bed = Bed::new();
    let bed = Bed { provider: provider(&bed.hub, &bed.hub.url(), app(&bed.hub)), ..bed };
    let tokens =
        |bed: &Bed| bed.hub.calls().iter().filter(|call| call.path.ends_with("/access_tokens")).count();
    bed.picture().await;
    bed.picture().await;
    assert_eq!(tokens(&bed), 1);
    bed.hub.pass(56 * 60);
    bed.picture().await;
    assert_eq!(tokens(&bed), 2, "four minutes before its end");
    assert_eq!(bed.goes(&bed.way_back(2, 1).await).await, Progress::Serving(release(1)));
    assert!(!format!("{:?}", bed.provider).contains("ghs_"), "no token is shown");
}

/// T43. A token that ends early is renewed once; what it was refused for was surely not done, and goes again.
#[tokio::test]
async fn a_token_that_is_taken_back_is_renewed_once() {
    let bed = Bed::new();
    let bed = Bed { provider: provider(&bed.hub, &bed.hub.url(), app(&bed.hub)), ..bed };
    let orders = bed.way_back(2, 1).await;
    bed.hub.pass(120);
    bed.hub.state().tokens.clear();
    bed.picture().await;
    bed.hub.pass(120);
    bed.hub.before(Method::POST, "/dispatches", {
        let hub = bed.hub.clone();
        move || hub.state().tokens.clear()
    });
    let busy = bed.begin(&orders[0]).await.expect_err("its token was taken back");
    assert!(matches!(&busy, Trouble::Busy { after: None, .. }), "{busy}");
    assert_eq!((bed.hub.writes(), bed.hub.effects().len()), (1, 0));
    bed.begin(&orders[0]).await.expect("taken");
    assert_eq!(bed.hub.effects(), ["rollback to 1"]);
    // A new one that is refused has not ended: another would be refused too.
    bed.hub.pass(120);
    bed.hub.state().tokens.clear();
    bed.picture().await;
    bed.hub.state().tokens.clear();
    assert!(
        matches!(bed.describe().await, Err(Trouble::Refused(why)) if why.contains("does not know who we are"))
    );
    // A key of another App's.
    let bed = Bed { provider: provider(&bed.hub, &bed.hub.url(), app(&bed.hub)), ..bed };
    app(&bed.hub);
    assert!(matches!(bed.describe().await, Err(Trouble::Refused(why)) if why.contains("JSON web token")));
    assert_eq!(bed.hub.effects(), ["rollback to 1"]);
}

/// An Enterprise Server has its API below a path, and its pages beside it.
#[tokio::test]
async fn an_enterprise_server_is_asked_below_its_path() {
    let bed = Bed::new();
    let bed = Bed { provider: bed.provider_at(&format!("{}/api/v3", bed.hub.url())), ..bed };
    let orders = bed.way_back(2, 1).await;
    let host = bed.hub.url().replace("http://", "");
    let line = bed.provider.by_hand(&orders[0].act, &release(1), "it is broken").expect("a line");
    assert!(
        line.starts_with(&format!("gh workflow run rollback.yml --repo {host}/acme/checkout --ref main")),
        "{line}"
    );
    assert_eq!(bed.goes(&orders).await, Progress::Serving(release(1)));
}

#[tokio::test]
async fn a_person_can_do_the_same_by_hand() {
    let bed = Bed::going_out();
    let provider = bed.provider_at("https://api.github.com");
    let orders = bed.way_back(3, 2).await;
    let lines: Vec<String> = orders
        .iter()
        .map(|order| provider.by_hand(&order.act, &release(2), "it's broken").expect("a line"))
        .collect();
    let run = bed.hub.state().runs.last().expect("one").id;
    let sha = commit(2);
    let started = format!(
        "gh workflow run rollback.yml --repo acme/checkout --ref main -f 'sha={sha}' -f 'environment=production' -f \"reason=it's broken\" -f rollback_id=by-hand-\"$(date +%s)\""
    );
    assert_eq!(lines[..2], [format!("gh run cancel {run} --repo acme/checkout"), started]);
    assert!(lines[2].starts_with(&format!("gh api repos/acme/checkout/deployments -f 'ref={sha}' -f 'environment=production' -f 'task=rollback' -F 'auto_merge=false'")), "{}", lines[2]);
    assert!(lines[3].ends_with("statuses -f 'state=success'"), "{}", lines[3]);
    let unplanned = provider.by_hand_unplanned(&bed.target(), None, "x");
    assert!(unplanned[1].contains("-f 'sha=COMMIT'"), "{unplanned:?}");
}

#[tokio::test]
async fn what_github_shows_is_evidence() {
    let bed = Bed::new();
    bed.hub.state().fails.insert(3, "migrate");
    bed.hub.deploys(3);
    bed.hub.pass(30);
    let picture = bed.picture().await;
    assert_eq!(picture.reports.len(), 1, "GitHub itself says that it failed");
    assert!(picture.reports[0].says.contains("at step migrate"), "{}", picture.reports[0].says);
    let shown = bed.provider.evidence(&bed.target(), None).await.expect("something");
    assert_eq!(shown[0].name, "deployments to production of acme/checkout");
    assert!(shown[0].text.starts_with("2026-03-02T09:00:00Z 33333333"), "{}", shown[0].text);
    let brought = ("commits from 22222222 to 33333333", "1 of 1 commits\n33333333 a change by ann");
    assert_eq!((shown[1].name.as_str(), shown[1].text.as_str()), brought);
    let how = "job deploy: failure\njob deploy failed at step migrate: https://";
    assert!(shown[2].text.contains(how), "{}", shown[2].text);
}

/// With the way back come the commits that it takes away; that they cannot be read keeps nobody from going back.
#[tokio::test]
async fn the_commits_that_go_are_told() {
    let bed = Bed::new();
    bed.hub.state().messages.insert(2, "close a hole (CVE-2026-1234)");
    bed.hub.deploys(4);
    bed.hub.pass(30);
    let commits = bed.propose(4, 1).await.expect("a way back").commits.expect("commits");
    let told: Vec<_> = commits.read.iter().map(|one| (one.called.as_str(), one.author.as_deref())).collect();
    assert_eq!(told, [("22222222", Some("ben")), ("33333333", Some("ann")), ("44444444", Some("ben"))]);
    assert_eq!((commits.all, commits.read[0].message.as_str()), (3, "close a hole (CVE-2026-1234)"));
    bed.hub.fault(Method::GET, "/compare/", Fault::Refuse(500, "no"));
    assert_eq!(bed.propose(4, 1).await.expect("a way back").commits, None);
}

#[tokio::test]
async fn what_would_keep_it_from_acting_is_found_by_looking() {
    let bed = Bed::new();
    assert_eq!(bed.provider.check(&bed.target()).await, []);
    let bed = Bed { provider: provider(&bed.hub, &bed.hub.url(), app(&bed.hub)), ..bed };
    {
        let mut state = bed.hub.state();
        state.may.remove("actions");
        state.workflow_state = "disabled_inactivity";
        state.branches.get_mut("main").expect("main").protected = false;
        state.written.inputs.retain(|input| *input != "reason");
        state.written.names_runs = false;
    }
    let found: Vec<String> =
        bed.provider.check(&bed.target()).await.into_iter().map(|one| one.says).collect();
    let parts = [
        "may not write actions",
        "is disabled_inactivity",
        "is not protected",
        "takes no input reason",
        "`inputs.rollback_id`",
        "`inputs.sha`",
    ];
    assert_eq!(found.len(), parts.len(), "{found:#?}");
    for (found, part) in found.iter().zip(parts) {
        assert!(found.contains(part), "{part}: {found}");
    }
    let mut bed = Bed::new();
    bed.site.environment = "prod/eu".into();
    let found = bed.provider.check(&bed.target()).await;
    assert!(found[0].says.contains("read the environment prod/eu"), "{found:?}");
    let bed = Bed { provider: provider(&bed.hub, &bed.hub.url(), github_bed::token("other")), ..bed };
    let found = bed.provider.check(&bed.target()).await;
    assert!(
        found[0].says.contains("does not know who we are") && !found[0].says.contains(TOKEN),
        "{found:?}"
    );
    assert_eq!(bed.hub.writes(), 0, "looking changes nothing");
}

/// Nothing that comes back is taken unread.
#[tokio::test]
async fn an_act_or_a_receipt_that_is_not_ours_is_refused() {
    let bed = Bed::new();
    let orders = bed.way_back(2, 1).await;
    for (name, value) in [("sha", "main"), ("after", "some"), ("repeatable", "perhaps")] {
        let mut order = orders[0].clone();
        order.act.arguments.insert(name.to_owned(), value.to_owned());
        assert!(
            matches!(bed.begin(&order).await, Err(Trouble::Refused(why)) if why.contains(name)),
            "{name}"
        );
    }
    let mut order = orders[0].clone();
    order.act.kind = "delete".into();
    assert!(matches!(bed.begin(&order).await, Err(Trouble::Refused(_))));
    let receipt = snapback::case::id::Handle::new("{}");
    assert!(matches!(bed.provider.watch(&receipt).await, Err(Trouble::Refused(_))));
    assert_eq!(bed.hub.writes(), 0);
}

/// The right that a route needs (docs.github.com, "Permissions required for GitHub Apps").
fn right(method: &Method, path: &str) -> (&'static str, &'static str) {
    let level = if *method == Method::POST { "write" } else { "read" };
    let below = path.trim_start_matches("/repos/acme/checkout/").split('/').next().expect("a part");
    match below {
        "actions" => ("actions", level),
        "deployments" => ("deployments", level),
        "commits" | "contents" | "branches" | "compare" => ("contents", "read"),
        "environments" => ("actions", "read"),
        "rules" => ("metadata", "read"),
        other => panic!("no right is known for {other}"),
    }
}

/// The file has what is used, and nothing more.
#[tokio::test]
async fn the_rights_in_the_file_are_what_is_used() {
    let bed = Bed::new();
    let bed = Bed { provider: provider(&bed.hub, &bed.hub.url(), app(&bed.hub)), ..bed };
    bed.hub.state().branches.get_mut("main").expect("main").protected = false;
    bed.hub.state().branches.get_mut("main").expect("main").rules = vec!["pull_request"];
    assert_eq!(bed.provider.check(&bed.target()).await, []);
    bed.hub.deploys(3);
    bed.hub.pass(3);
    assert_eq!(bed.goes(&bed.way_back(3, 2).await).await, Progress::Serving(release(2)));
    bed.provider.evidence(&bed.target(), None).await.expect("something");
    let mut used: BTreeMap<&str, &str> = BTreeMap::new();
    for call in bed.hub.calls().iter().filter(|call| !call.path.starts_with("/app/")) {
        let (name, level) = right(&call.method, &call.path);
        if level == "write" || !used.contains_key(name) {
            used.insert(name, level);
        }
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/github-app-permissions.json");
    let file: Value = serde_json::from_str(&std::fs::read_to_string(path).expect("a file")).expect("JSON");
    assert_eq!(file["default_permissions"], json!(used));
}

/// The workflow to copy is one that the doctor finds well, and keeps what its own page promises.
#[tokio::test]
async fn the_workflow_to_copy_is_well() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/rollback.github-actions.yaml");
    let text = std::fs::read_to_string(path).expect("a file");
    let workflow: Value = serde_saphyr::from_str(&text).expect("YAML");
    let group =
        json!({ "group": "deploy-${{ inputs.environment }}", "cancel-in-progress": false, "queue": "max" });
    assert_eq!(workflow["concurrency"], group);
    assert_eq!(workflow["permissions"], json!({ "actions": "read", "contents": "read" }));
    // What somebody writes into an input is no part of a script.
    for step in workflow["jobs"]["rollback"]["steps"].as_array().expect("steps") {
        assert!(!step["run"].as_str().unwrap_or_default().contains("${{"), "{step}");
    }
    let bed = Bed::new();
    bed.hub.state().file = Some(text);
    assert_eq!(bed.provider.check(&bed.target()).await, []);
    bed.hub.state().file = Some("on: push".into());
    let found = bed.provider.check(&bed.target()).await;
    assert!(found[0].says.contains("no `workflow_dispatch`"), "{found:?}");
}
