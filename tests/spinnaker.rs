//! The provider `spinnaker`, with a pretend Gate: what it reads is what Gate says, and what it does Spinnaker has done.

mod pretend;
mod spinnaker_bed;
mod spinnaker_gate;

use std::collections::BTreeSet;

use hyper::Method;
use pretend::Fault;
use serde_json::{Value, json};
use snapback::case::command::Progress;
use snapback::case::deployment::{DeploymentOrigin, DeploymentStatus, Owner, Picture};
use snapback::case::id::{Duration, Handle, ReleaseId};
use snapback::case::release::RollbackMark;
use snapback::case::step::{Class, Order};
use snapback::execute::Sighting;
use snapback::execute::spinnaker::{Identity, Settings};
use snapback::outbound::Trouble;
use spinnaker_bed::{Bed, SURELY, mark, provider, provider_with, settings};
use spinnaker_gate::{Becomes, DEPLOY, ROLLBACK, USER, image};

#[tokio::test]
async fn what_went_out_is_read() {
    let bed = Bed::new();
    {
        let mut state = bed.gate.state();
        let newest = state.executions.last_mut().expect("v2");
        newest.trigger["parameters"]["rollback"] = "contract".into();
        newest.trigger["parameters"]["schema_version"] = "7".into();
        newest.trigger["parameters"]["min_compatible_schema"] = 6.into();
        newest.trigger["buildInfo"] = json!({ "url": "https://ci.example.com/7", "scm": [{ "sha1": "2222222222222222222222222222222222222222" }] });
    }
    let picture = bed.picture().await;
    assert_eq!(picture.current, Some(bed.release("v2")));
    assert_eq!((picture.owner, picture.in_flight.is_none()), (Owner::Nobody, true));
    let told: Vec<_> =
        picture.deployments.iter().map(|one| (one.status, one.by.clone(), one.origin.clone())).collect();
    let ordinary = (DeploymentStatus::Finished, Some("ann".to_owned()), DeploymentOrigin::Ordinary);
    assert_eq!(told, [ordinary.clone(), ordinary]);
    let newest =
        picture.releases.iter().find(|release| release.id == bed.release("v2")).expect("it is there");
    assert_eq!(
        (newest.called(), newest.links.as_slice()),
        ("v2", &["https://ci.example.com/7".to_owned()][..])
    );
    assert!(newest.commit.as_ref().is_some_and(|commit| commit.starts_with("2222")), "{newest:?}");
    let marks = newest.marks;
    assert_eq!(
        (marks.rollback, marks.schema_version, marks.min_compatible_schema),
        (Some(RollbackMark::Contract), Some(7), Some(6))
    );
    // They are asked for without the contexts of their stages, and no more of them than somebody could go back to.
    let asked = bed.gate.wire_calls();
    let search = asked.iter().find(|call| call.path.ends_with("/executions/search")).expect("a search");
    assert_eq!((search.query["size"].as_str(), search.query["expand"].as_str()), ("50", "false"));
}

/// What is written and cannot be read lets nobody go back who may not.
#[tokio::test]
async fn a_migration_mark_that_cannot_be_read_is_the_strictest() {
    for (name, value) in
        [("rollback", "perhaps"), ("schema_version", "seven"), ("min_compatible_schema", "none")]
    {
        let bed = Bed::new();
        bed.gate.state().executions.last_mut().expect("v2").trigger["parameters"][name] = value.into();
        let picture = bed.picture().await;
        let newest =
            picture.releases.iter().find(|release| release.id == bed.release("v2")).expect("it is there");
        assert_eq!(newest.marks.rollback, Some(RollbackMark::Irreversible), "{name} = {value}");
    }
}

#[tokio::test]
async fn a_release_is_what_the_parameter_or_the_one_image_says() {
    let of = |bed: &Bed, change: &dyn Fn(&mut Value)| {
        change(&mut bed.gate.state().executions.last_mut().expect("v2").trigger);
    };
    let without_parameter = |trigger: &mut Value| trigger["parameters"] = json!({});
    let bed = Bed::new();
    of(&bed, &without_parameter);
    assert_eq!(bed.picture().await.current.map(|of| of.to_string()), Some(image("v2")));
    // Two images, of which nobody said which one counts.
    let two = |trigger: &mut Value| {
        without_parameter(trigger);
        let proxy = json!({ "type": "docker/image", "name": "docker.io/acme/proxy", "reference": "docker.io/acme/proxy:7" });
        trigger["artifacts"].as_array_mut().expect("a list").push(proxy);
    };
    let bed = Bed::new();
    of(&bed, &two);
    let picture = bed.picture().await;
    assert_eq!((picture.current, picture.deployments.len()), (None, 1), "nobody can tell what serves");
    let mut bed = Bed::new();
    of(&bed, &two);
    bed.site.artifact = Some("docker.io/acme/checkout".into());
    let digest = format!("docker.io/acme/checkout@sha256:{}", "ab".repeat(32));
    of(&bed, &|trigger| trigger["artifacts"][0]["reference"] = digest.clone().into());
    let picture = bed.picture().await;
    assert_eq!(picture.current.as_ref().map(|of| of.as_str()), Some(digest.as_str()));
    let release = picture.releases.iter().find(|release| release.id.as_str() == digest).expect("it is there");
    assert_eq!(release.called(), "checkout@abababababab");
    // The pipeline goes back to the whole reference, and what it put out is known by that.
    let (from, to) = (release.id.clone(), ReleaseId::new(image("v1")));
    let act = bed.provider.propose(&bed.target(), &from, &to).await.expect("a way back").acts.remove(0);
    assert!(act.says.ends_with("with version docker.io/acme/checkout:v1"), "{}", act.says);
    let order =
        Order { act, expected: from, to: to.clone(), ..Bed::new().way_back("v2", "v1").await.remove(0) };
    assert_eq!(bed.goes(&[order]).await, Progress::Serving(to));
}

/// The whole way, with what is on the wire.
#[tokio::test]
async fn a_finished_release_goes_back_by_the_rollback_pipeline() {
    let bed = Bed::new();
    let orders = bed.way_back("v2", "v1").await;
    assert_eq!(orders.len(), 1);
    let act = &orders[0].act;
    assert_eq!((act.kind.as_str(), act.class), ("rollback", Class::C));
    assert_eq!(
        act.says,
        "run the pipeline rollback-production of Spinnaker application checkout with version v1"
    );
    assert_eq!(bed.goes(&orders).await, Progress::Serving(bed.release("v1")));
    assert_eq!(bed.gate.serves(), "v1");
    let calls = bed.gate.wire_calls();
    let sent: Vec<_> = calls.iter().filter(|call| call.method == Method::POST).collect();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].path, "/pipelines/v2/checkout/rollback-production");
    let ours = mark(0).to_string();
    let expected = json!({ "type": "manual", "parameters": { "version": "v1", "rollback_id": ours }, "correlationId": ours });
    assert_eq!(sent[0].body, expected);
    // Done is done, and a second copy does nothing.
    bed.begin(&orders[0]).await.expect("already there");
    assert!(matches!(bed.find(&orders[0]).await, Ok(Sighting::Found(_))));
    assert_eq!((bed.gate.writes(), bed.gate.effects()), (1, vec!["run rollback-production v1".to_owned()]));
    // Another process knows whose it is.
    let picture = bed.picture().await;
    let newest = picture.deployments.last().expect("one");
    assert_eq!(newest.origin, DeploymentOrigin::Ours(mark(0)));
    assert_eq!((newest.by.as_deref(), picture.current.clone()), (Some(USER), Some(bed.release("v1"))));
    // How long it took is known for the next time.
    let forward = bed.propose("v1", "v2").await.expect("a way forward");
    assert_eq!(forward.expected_time, Some(Duration::from_secs(5)));
}

#[tokio::test]
async fn what_is_still_going_out_is_cancelled_first() {
    let bed = Bed::new().going_out();
    let picture = bed.picture().await;
    let newest = picture.deployments.last().expect("one");
    assert_eq!((newest.status, picture.in_flight.as_ref()), (DeploymentStatus::GoingOut, Some(&newest.id)));
    assert_eq!(picture.current, Some(bed.release("v2")), "it is not there yet");
    // It has begun to deploy, so that it counts as there when it is ended.
    bed.gate.pass(5);
    let orders = bed.way_back("v3", "v2").await;
    let kinds: Vec<_> = orders.iter().map(|order| (order.act.kind.as_str(), order.act.class)).collect();
    assert_eq!(kinds, [("cancel", Class::A), ("rollback", Class::C)]);
    assert!(
        orders[0].act.says.ends_with("of Deploy to production, which puts v3 out"),
        "{}",
        orders[0].act.says
    );
    let handle = bed.begin(&orders[0]).await.expect("taken");
    assert!(matches!(bed.watch(&handle).await, Progress::Running(_)), "Orca has not heard of it yet");
    // It asked for the end already: no second request.
    bed.begin(&orders[0]).await.expect("taken");
    // And nothing else begins before the end.
    assert!(matches!(bed.begin(&orders[1]).await, Err(Trouble::Busy { after: Some(_), .. })));
    assert!(matches!(bed.end_of(&handle).await, Ok(Progress::Done(_))));
    assert_eq!(bed.picture().await.current, Some(bed.release("v3")), "half way is what serves");
    assert_eq!(bed.goes(&orders[1..]).await, Progress::Serving(bed.release("v2")));
    assert_eq!(bed.gate.effects(), ["cancel v3", "run rollback-production v2"]);
    assert_eq!(bed.gate.newest(Some(DEPLOY)).expect("v3").status, "CANCELED");
    // It went out whole before it could be cancelled: it goes back all the same.
    let bed = Bed::new().going_out();
    let orders = bed.way_back("v3", "v2").await;
    bed.gate.pass(30);
    assert_eq!(bed.goes(&orders).await, Progress::Serving(bed.release("v2")));
    assert_eq!(bed.gate.effects(), ["run rollback-production v2"]);
    // It was cancelled before it changed anything: what serves is the target.
    let bed = Bed::new().going_out();
    let orders = bed.way_back("v3", "v2").await;
    assert_eq!(bed.goes(&orders).await, Progress::Serving(bed.release("v2")));
    assert_eq!(bed.gate.effects(), ["cancel v3"]);
}

/// Every execution of the suspect is ended, the one that waits above all.
#[tokio::test]
async fn what_waits_behind_the_suspect_is_cancelled_too() {
    let bed = Bed::new().going_out();
    bed.gate.runs(DEPLOY, "v3");
    let orders = bed.way_back("v3", "v2").await;
    let kinds: Vec<_> = orders.iter().map(|order| order.act.kind.as_str()).collect();
    assert_eq!(kinds, ["cancel", "cancel", "rollback"]);
    assert_eq!(bed.goes(&orders).await, Progress::Serving(bed.release("v2")));
    bed.gate.pass(60);
    assert_eq!(bed.gate.serves(), "v2");
    // So many are somebody's mistake.
    let bed = Bed::new().going_out();
    (0..5).for_each(|_| drop(bed.gate.runs(DEPLOY, "v3")));
    let refused = bed.propose("v3", "v2").await.expect_err("six of them");
    assert!(matches!(&refused, Trouble::Refused(why) if why.contains("6 executions of v3")), "{refused}");
}

/// One pipeline that puts out whatever version it is told.
#[tokio::test]
async fn one_pipeline_may_go_both_ways() {
    let mut bed = Bed::new();
    bed.site.deploy_pipeline = ROLLBACK.into();
    for version in ["v1", "v2"] {
        bed.gate.runs(ROLLBACK, version);
        bed.gate.pass(30);
    }
    let origins =
        |picture: &Picture| picture.deployments.iter().map(|one| one.origin.clone()).collect::<Vec<_>>();
    assert_eq!(origins(&bed.picture().await), [DeploymentOrigin::Ordinary, DeploymentOrigin::Ordinary]);
    assert_eq!(bed.goes(&bed.way_back("v2", "v1").await).await, Progress::Serving(bed.release("v1")));
    bed.gate.runs(ROLLBACK, "v3");
    bed.gate.pass(2);
    let orders = bed.way_back("v3", "v1").await;
    let kinds: Vec<_> = orders.iter().map(|order| order.act.kind.as_str()).collect();
    assert_eq!(kinds, ["cancel", "rollback"]);
    bed.gate.pass(30);
    bed.gate.runs(ROLLBACK, "v1");
    bed.gate.pass(30);
    let told = origins(&bed.picture().await);
    assert_eq!(
        told[2..],
        [DeploymentOrigin::Ours(mark(0)), DeploymentOrigin::Ordinary, DeploymentOrigin::Rollback]
    );
}

/// `limitConcurrent`: ours waits, and says so; without `keepWaitingPipelines` a newer one ends it before it began.
#[tokio::test]
async fn an_execution_that_waits_is_told_and_its_end_too() {
    let bed = Bed::new();
    let orders = bed.way_back("v2", "v1").await;
    let gate = bed.gate.clone();
    // Somebody is quicker, in the moment between our look and our request.
    bed.gate.before(Method::POST, "/pipelines/v2/", move || drop(gate.runs(ROLLBACK, "v1")));
    let handle = bed.begin(&orders[0]).await.expect("taken");
    bed.gate.pass(1);
    let told = bed.watch(&handle).await;
    assert!(matches!(&told, Progress::Running(says) if says.contains("limitConcurrent")), "{told:?}");
    bed.gate.state().pipelines.get_mut(ROLLBACK).expect("it is there")["keepWaitingPipelines"] = false.into();
    bed.gate.runs(ROLLBACK, "v1");
    bed.gate.pass(1);
    let told = bed.watch(&handle).await;
    assert!(
        matches!(&told, Progress::Failed(why) if why.contains("before it began") && why.contains("keepWaitingPipelines")),
        "{told:?}"
    );
}

/// Gate says yes before anything is there; Echo and Orca come later.
#[tokio::test]
async fn a_fresh_execution_is_not_there_yet_and_is_waited_for() {
    let bed = Bed::new();
    bed.gate.state().appears_after = Duration::from_secs(20);
    let orders = bed.way_back("v2", "v1").await;
    let handle = bed.begin(&orders[0]).await.expect("taken");
    let told = bed.watch(&handle).await;
    assert!(matches!(&told, Progress::Running(says) if says.contains("not shown yet")), "{told:?}");
    assert!(matches!(bed.find(&orders[0]).await, Ok(Sighting::TooEarly(_))));
    bed.gate.pass(21);
    assert!(matches!(bed.find(&orders[0]).await, Ok(Sighting::Found(_))));
    assert_eq!(bed.end_of(&handle).await.expect("an end"), Progress::Serving(bed.release("v1")));
    // Disabled in the moment between our look and our request: it never comes, and a person is asked.
    let bed = Bed::new();
    let orders = bed.way_back("v2", "v1").await;
    let gate = bed.gate.clone();
    bed.gate.before(Method::POST, "/pipelines/v2/", move || {
        gate.state().pipelines.get_mut(ROLLBACK).expect("it is there")["disabled"] = true.into();
    });
    let handle = bed.begin(&orders[0]).await.expect("Gate says yes all the same");
    bed.gate.pass(SURELY - 5);
    assert!(matches!(bed.watch(&handle).await, Progress::Running(_)));
    bed.gate.pass(10);
    let told = bed.watch(&handle).await;
    assert!(
        matches!(&told, Progress::NeedsHuman { why, url: Some(url) } if why.contains("never began") && url.contains("/executions/details/")),
        "{told:?}"
    );
    assert_eq!(bed.gate.serves(), "v2");
}

/// A lost reply: nobody asks twice, and not there is no proof before the quarantine is over.
#[tokio::test]
async fn what_was_lost_is_looked_for() {
    for by_manifest in [false, true] {
        let new = || if by_manifest { Bed::by_manifest() } else { Bed::new() };
        let bed = new();
        let orders = bed.way_back("v2", "v1").await;
        bed.gate.fault(Method::POST, "/", Fault::LoseReply);
        assert!(matches!(bed.begin(&orders[0]).await, Err(Trouble::Unclear(_))));
        let Ok(Sighting::Found(handle)) = bed.find(&orders[0]).await else { panic!("it was done") };
        assert_eq!(bed.end_of(&handle).await.expect("an end"), Progress::Serving(bed.release("v1")));
        assert_eq!(bed.gate.effects().len(), 1);
        let bed = new();
        let orders = bed.way_back("v2", "v1").await;
        bed.gate.pass(SURELY - 3);
        assert!(matches!(bed.find(&orders[0]).await, Ok(Sighting::TooEarly(_))));
        bed.gate.pass(3);
        assert_eq!(bed.find(&orders[0]).await.expect("a sight"), Sighting::Absent);
    }
}

/// Somebody else's execution keeps a parameter of the same name: our mark is ours to the letter.
#[tokio::test]
async fn only_our_own_mark_is_ours() {
    let bed = Bed::new();
    let orders = bed.way_back("v2", "v1").await;
    bed.gate.runs(ROLLBACK, "v1");
    {
        let mut state = bed.gate.state();
        let other = state.executions.last_mut().expect("one");
        other.trigger["parameters"]["rollback_id"] = mark(1).as_str().into();
        other.trigger["correlationId"] = mark(0).as_str().to_uppercase().into();
    }
    assert!(matches!(bed.find(&orders[0]).await, Ok(Sighting::TooEarly(_))));
    bed.gate.state().executions.last_mut().expect("one").trigger["parameters"]["rollback_id"] =
        "by-hand".into();
    let picture = bed.picture().await;
    assert_eq!(picture.deployments.last().expect("one").origin, DeploymentOrigin::Rollback);
    // A parameter alone is enough: whoever stands between may drop what it does not know.
    bed.gate.state().executions.last_mut().expect("one").trigger["parameters"]["rollback_id"] =
        mark(0).as_str().into();
    assert!(matches!(bed.find(&orders[0]).await, Ok(Sighting::Found(_))));
}

/// Orca knew an execution under our mark and began none under the id that Gate told: the one that it knew is followed.
#[tokio::test]
async fn a_copy_of_ours_is_followed_where_orca_knew_the_first() {
    let bed = Bed::new();
    let orders = bed.way_back("v2", "v1").await;
    let handle = bed.begin(&orders[0]).await.expect("taken");
    let mut spelled: Value = serde_json::from_str(handle.as_str()).expect("a receipt");
    assert_eq!(spelled["run"], bed.gate.newest(Some(ROLLBACK)).expect("ours").id.as_str());
    spelled["run"] = "01HX9999".into();
    let copy = Handle::new(spelled.to_string());
    assert_eq!(bed.end_of(&copy).await.expect("an end"), Progress::Serving(bed.release("v1")));
    // An id under which there is an execution without our mark is none of ours.
    let other = bed.gate.runs(ROLLBACK, "v2");
    spelled["run"] = other.into();
    let told = bed.watch(&Handle::new(spelled.to_string())).await;
    assert_eq!(told, Progress::Serving(bed.release("v1")), "ours is over, and the other goes on");
}

/// Gate's own copy of a request while the first runs is one execution; after it another one: that is class C, and class B where an installation
/// was shown to refuse it.
#[tokio::test]
async fn a_late_copy_is_new_work_until_an_installation_refuses_it() {
    let bed = Bed::new();
    let orders = bed.way_back("v2", "v1").await;
    bed.gate.fault(Method::POST, "/pipelines/v2/", Fault::Twice);
    assert_eq!(bed.goes(&orders).await, Progress::Serving(bed.release("v1")));
    assert_eq!(bed.gate.effects().len(), 1, "the first was not over");
    let body =
        bed.gate.wire_calls().iter().find(|call| call.method == Method::POST).expect("ours").body.clone();
    let copy = async |bed: &Bed| {
        let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().expect("a client");
        let url = format!("{}/pipelines/v2/checkout/rollback-production", bed.gate.url());
        let asked = client.post(url).bearer_auth(spinnaker_gate::TOKEN).json(&body).send().await;
        assert_eq!(asked.expect("an answer").status(), 202);
    };
    bed.gate.state().remembers_correlations = true;
    copy(&bed).await;
    assert_eq!(bed.gate.effects().len(), 1, "such an installation refuses it");
    bed.gate.state().remembers_correlations = false;
    copy(&bed).await;
    assert_eq!(bed.gate.effects().len(), 2, "any other does it again");
    let shown = Settings { refuses_duplicates: true, ..settings(&bed.gate.url(), spinnaker_gate::TOKEN) };
    let mut bed = Bed::new();
    bed.provider = provider_with(&bed.gate, Settings { url: bed.gate.url(), ..shown });
    assert_eq!(bed.way_back("v2", "v1").await[0].act.class, Class::B);
}

#[tokio::test]
async fn it_is_followed_stage_by_stage_and_a_judgment_is_a_persons() {
    let bed = Bed::new();
    {
        let mut state = bed.gate.state();
        let stages =
            state.pipelines.get_mut(ROLLBACK).expect("it is there")["stages"].as_array_mut().expect("a list");
        stages.insert(0, json!({ "type": "wait", "name": "Breathe", "status": "NOT_STARTED" }));
        stages.push(json!({ "type": "manualJudgment", "name": "Is it well?", "status": "NOT_STARTED" }));
    }
    let orders = bed.way_back("v2", "v1").await;
    let handle = bed.begin(&orders[0]).await.expect("taken");
    bed.gate.pass(1);
    assert_eq!(bed.watch(&handle).await, Progress::Running("Breathe (0 of 3 stages are over)".into()));
    bed.gate.pass(6);
    assert_eq!(
        bed.watch(&handle).await,
        Progress::Running("Put the version out again (1 of 3 stages are over)".into())
    );
    bed.gate.pass(6);
    let told = bed.watch(&handle).await;
    let id = bed.gate.newest(Some(ROLLBACK)).expect("ours").id;
    let link = format!("https://spinnaker.example.com/#/applications/checkout/executions/details/{id}");
    assert!(
        matches!(&told, Progress::NeedsHuman { why, url } if why.contains("Is it well?") && url.as_ref() == Some(&link)),
        "{told:?}"
    );
    // Somebody pauses it.
    let bed = Bed::new();
    let orders = bed.way_back("v2", "v1").await;
    let handle = bed.begin(&orders[0]).await.expect("taken");
    bed.gate.pass(1);
    bed.gate.state().executions.last_mut().expect("ours").status = "PAUSED";
    assert!(
        matches!(bed.watch(&handle).await, Progress::NeedsHuman { why, url: Some(_) } if why.contains("paused"))
    );
    // Watching changes nothing.
    assert_eq!(bed.gate.writes(), 1);
}

/// In Spinnaker's own words, wherever it keeps them.
#[tokio::test]
async fn how_it_failed_is_told() {
    let said = [
        json!({ "exception": { "details": { "errors": ["quota exceeded"] } } }),
        json!({ "exception": { "details": { "error": "quota exceeded", "errors": [] } } }),
        json!({ "failureMessage": "quota exceeded" }),
        json!({ "kato.tasks": [{ "id": 7, "exception": { "message": "quota exceeded" } }] }),
    ];
    for by_manifest in [false, true] {
        for context in &said {
            let bed = if by_manifest { Bed::by_manifest() } else { Bed::new() };
            let orders = bed.way_back("v2", "v1").await;
            let version = bed.release("v1").to_string();
            bed.gate.state().becomes.insert(version, Becomes::Fails(context.clone()));
            let ended = bed.goes(&orders).await;
            assert_eq!(
                ended,
                Progress::Failed("quota exceeded".into()),
                "{context} by manifest: {by_manifest}"
            );
        }
    }
    // Its pipeline ignores the failure, and Orca calls that a success: the target is not there.
    let bed = Bed::new();
    let orders = bed.way_back("v2", "v1").await;
    bed.gate.state().becomes.insert("v1".into(), Becomes::FailsUnheeded);
    let ended = bed.goes(&orders).await;
    assert!(matches!(&ended, Progress::Failed(_)), "{ended:?}");
    // Orca could not begin it: no stage says anything.
    let bed = Bed::new();
    let orders = bed.way_back("v2", "v1").await;
    let handle = bed.begin(&orders[0]).await.expect("taken");
    {
        let mut state = bed.gate.state();
        let ours = state.executions.last_mut().expect("ours");
        (ours.status, ours.reason) = ("TERMINAL", Some("Failed on startup: no such artifact".into()));
    }
    assert_eq!(bed.watch(&handle).await, Progress::Failed("Failed on startup: no such artifact".into()));
    // Somebody ends ours.
    let bed = Bed::new();
    let orders = bed.way_back("v2", "v1").await;
    let handle = bed.begin(&orders[0]).await.expect("taken");
    bed.gate.pass(1);
    {
        let mut state = bed.gate.state();
        let ours = state.executions.last_mut().expect("ours");
        (ours.canceled, ours.canceled_by, ours.reason) = (true, Some("ann".into()), Some("not now".into()));
    }
    bed.gate.pass(1);
    let told = bed.watch(&handle).await;
    assert_eq!(told, Progress::Failed("it was cancelled by ann: not now".into()));
}

/// What somebody does to the configuration of a pipeline.
type Change<'c> = &'c dyn Fn(&mut Value);

#[tokio::test]
async fn a_pipeline_that_cannot_take_it_is_no_way() {
    let option = |value: &str| json!({ "value": value });
    let changes: [(&str, Change<'_>); 6] = [
        ("is disabled", &|config| config["disabled"] = true.into()),
        ("declares no parameter version", &|config| {
            config["parameterConfig"].as_array_mut().expect("a list").remove(0);
        }),
        ("declares no parameter rollback_id", &|config| {
            config["parameterConfig"].as_array_mut().expect("a list").remove(1);
        }),
        ("asks for ticket", &|config| {
            let ticket = json!({ "name": "ticket", "required": true });
            config["parameterConfig"].as_array_mut().expect("a list").push(ticket);
        }),
        ("none of its options", &|config| {
            config["parameterConfig"][0]["hasOptions"] = true.into();
            config["parameterConfig"][0]["options"] = json!([option("v2"), option("v3")]);
        }),
        ("the answer is no pipeline", &|config| config["name"] = "another".into()),
    ];
    for (says, change) in changes {
        let bed = Bed::new();
        change(bed.gate.state().pipelines.get_mut(ROLLBACK).expect("it is there"));
        let refused = bed.propose("v2", "v1").await.expect_err(says);
        assert!(refused.to_string().contains(says), "{refused}");
        // The same when it became so after the plan was made.
        let bed = Bed::new();
        let orders = bed.way_back("v2", "v1").await;
        change(bed.gate.state().pipelines.get_mut(ROLLBACK).expect("it is there"));
        let refused = bed.begin(&orders[0]).await.expect_err(says);
        assert!(matches!(refused, Trouble::Refused(_) | Trouble::Busy { .. }), "{refused}");
        assert_eq!(bed.gate.writes(), 0);
    }
    let bed = Bed::new();
    bed.gate.state().pipelines.remove(ROLLBACK);
    let refused = bed.propose("v2", "v1").await.expect_err("it is gone");
    assert!(
        matches!(&refused, Trouble::Refused(why) if why.contains("has no pipeline rollback-production")),
        "{refused}"
    );
    // A parameter with a default stops nothing.
    let bed = Bed::new();
    bed.gate.state().pipelines.get_mut(ROLLBACK).expect("it is there")["parameterConfig"]
        .as_array_mut()
        .expect("a list")
        .push(json!({ "name": "ticket", "required": true, "default": "none" }));
    bed.propose("v2", "v1").await.expect("a way back");
    // What Spinnaker never told of is nowhere to go.
    let refused = bed.propose("v2", "v9").await.expect_err("nobody knows it");
    assert!(matches!(&refused, Trouble::Refused(why) if why.contains("no v9")), "{refused}");
}

#[tokio::test]
async fn whoever_acts_meanwhile_comes_first() {
    // Something else went out since it was planned.
    let bed = Bed::new();
    let orders = bed.way_back("v2", "v1").await;
    bed.gate.runs(DEPLOY, "v4");
    bed.gate.pass(30);
    assert!(matches!(bed.begin(&orders[0]).await, Err(Trouble::Moved(what)) if what == "v4"));
    assert!(matches!(bed.find(&orders[0]).await, Ok(Sighting::TooEarly(_))), "ours may still come");
    bed.gate.pass(SURELY);
    assert!(matches!(bed.find(&orders[0]).await, Err(Trouble::Moved(_))));
    // Something else is on its way, or waits.
    let bed = Bed::new();
    let orders = bed.way_back("v2", "v1").await;
    bed.gate.runs(DEPLOY, "v4");
    assert!(matches!(bed.begin(&orders[0]).await, Err(Trouble::Moved(what)) if what.contains("v4")));
    assert!(matches!(bed.propose("v2", "v1").await, Err(Trouble::Busy { after: Some(_), .. })));
    // Somebody goes back himself.
    let bed = Bed::new();
    let orders = bed.way_back("v2", "v1").await;
    bed.gate.runs(ROLLBACK, "v1");
    bed.gate.pass(30);
    let handle = bed.begin(&orders[0]).await.expect("it is there already");
    assert_eq!(bed.watch(&handle).await, Progress::Serving(bed.release("v1")));
    assert_eq!(bed.gate.writes(), 0);
    // Somebody puts something out after ours.
    let bed = Bed::new();
    let orders = bed.way_back("v2", "v1").await;
    let handle = bed.begin(&orders[0]).await.expect("taken");
    bed.gate.pass(10);
    bed.gate.runs(DEPLOY, "v4");
    bed.gate.pass(30);
    assert_eq!(bed.watch(&handle).await, Progress::Superseded("v4".into()));
    // A permit that ran out on the way lets nothing leave.
    let bed = Bed::new();
    let orders = bed.way_back("v2", "v1").await;
    let gate = bed.gate.clone();
    bed.gate.before(Method::GET, "/pipelineConfigs/", move || gate.pass(20));
    assert!(matches!(bed.begin(&orders[0]).await, Err(Trouble::Busy { why, .. }) if why.contains("permit")));
    assert_eq!(bed.gate.writes(), 0);
}

#[tokio::test]
async fn going_back_by_others_is_known_as_that() {
    let bed = Bed::new();
    bed.gate.runs(ROLLBACK, "v1");
    bed.gate.pass(30);
    let newest = bed.picture().await.deployments.pop().expect("one");
    assert_eq!((newest.origin, newest.by.as_deref()), (DeploymentOrigin::Rollback, Some("ann")));
    // By the pipeline that deploys.
    let bed = Bed::new();
    bed.gate.runs(DEPLOY, "v1");
    bed.gate.pass(30);
    let newest = bed.picture().await.deployments.pop().expect("one");
    assert_eq!(newest.origin, DeploymentOrigin::Rollback);
    // The same once more is no going back.
    bed.gate.runs(DEPLOY, "v1");
    bed.gate.pass(30);
    assert_eq!(bed.picture().await.deployments.pop().expect("one").origin, DeploymentOrigin::Ordinary);
}

/// What failed half way is what serves, and is reported; what failed before it changed anything is neither.
#[tokio::test]
async fn what_ended_half_way_counts_and_what_never_touched_anything_does_not() {
    let bed = Bed::new();
    let broken = json!({ "failureMessage": "no such image" });
    bed.gate.state().becomes.insert("v3".into(), Becomes::Fails(broken));
    let bed = bed.going_out();
    bed.gate.pass(30);
    let picture = bed.picture().await;
    assert_eq!(picture.current, Some(bed.release("v3")));
    assert_eq!(picture.reports.len(), 1, "{picture:#?}");
    assert_eq!(picture.deployments.last().expect("one").status, DeploymentStatus::Failed);
    assert_eq!(bed.goes(&bed.way_back("v3", "v2").await).await, Progress::Serving(bed.release("v2")));
    let bed = Bed::new();
    bed.gate.state().becomes.insert("v3".into(), Becomes::FailsEarly);
    let bed = bed.going_out();
    bed.gate.pass(30);
    let picture = bed.picture().await;
    assert_eq!(picture.current, Some(bed.release("v2")));
    assert!(picture.reports.is_empty(), "{picture:#?}");
    // Our own failure is followed by its case.
    let bed = Bed::new();
    bed.gate.state().becomes.insert("v1".into(), Becomes::Fails(json!({})));
    bed.goes(&bed.way_back("v2", "v1").await).await;
    assert_eq!(bed.picture().await.reports, []);
    // What ended last counts, and not what began last: v3 is paused, somebody goes back and is done, and v3 goes on.
    let bed = Bed::new().going_out();
    let id = bed.gate.newest(Some(DEPLOY)).expect("v3").id;
    bed.gate.pass(5);
    bed.gate.state().one(&id).status = "PAUSED";
    bed.gate.runs(ROLLBACK, "v1");
    bed.gate.pass(10);
    assert_eq!(bed.picture().await.current, Some(bed.release("v1")));
    bed.gate.state().one(&id).status = "RUNNING";
    bed.gate.pass(10);
    assert_eq!(bed.picture().await.current, Some(bed.release("v3")));
}

/// A word for a state that nobody knows, or an execution that cannot be read, is no picture.
#[tokio::test]
async fn half_a_list_is_no_picture() {
    for change in [(|one| one.status = "SOMETHING_NEW") as fn(&mut spinnaker_gate::Exec), |one| {
        one.id = "../../admin".to_owned()
    }] {
        let bed = Bed::new();
        change(bed.gate.state().executions.first_mut().expect("v1"));
        assert!(matches!(bed.describe().await, Err(Trouble::Unclear(_))));
    }
}

/// A dry run, and an execution whose stages a condition skipped, succeed, and nothing of them is there.
#[tokio::test]
async fn what_succeeded_without_doing_anything_put_nothing_out() {
    let bed = Bed::new();
    bed.gate.runs(DEPLOY, "v4");
    bed.gate.state().executions.last_mut().expect("v4").trigger["dryRun"] = true.into();
    bed.gate.pass(30);
    let picture = bed.picture().await;
    assert_eq!((picture.current, picture.deployments.len()), (Some(bed.release("v2")), 2));
    let bed = Bed::new();
    bed.gate.state().undoes_nothing = true;
    let orders = bed.way_back("v2", "v1").await;
    assert_eq!(bed.goes(&orders).await, Progress::Serving(bed.release("v2")), "it is called a success");
    let picture = bed.picture().await;
    assert_eq!((picture.current, picture.deployments.len()), (Some(bed.release("v2")), 2));
}

#[tokio::test]
async fn what_never_began_put_nothing_out() {
    let bed = Bed::new().going_out();
    let waiting = bed.gate.runs(DEPLOY, "v4");
    bed.gate.state().one(&waiting).canceled = true;
    bed.gate.pass(60);
    assert_eq!(bed.gate.state().one(&waiting).status, "CANCELED");
    let picture = bed.picture().await;
    assert!(picture.deployments.iter().all(|one| one.release != bed.release("v4")), "{picture:#?}");
    assert_eq!(picture.current, Some(bed.release("v3")));
}

/// By the revision that runs the target, and never by "the one before".
#[tokio::test]
async fn a_rollout_is_undone_to_a_revision_that_is_named() {
    let bed = Bed::by_manifest();
    bed.gate.runs(DEPLOY, "v3");
    bed.gate.pass(60);
    let picture = bed.picture().await;
    assert_eq!(picture.current, Some(bed.release("v3")), "by the live manifest");
    // Not the one before: v1 is revision 1.
    let orders = bed.way_back("v3", "v1").await;
    assert_eq!(orders[0].act.says, "undo the rollout of deployment checkout in shop to revision 1 (v1)");
    assert_eq!(orders[0].act.class, Class::C);
    assert_eq!(bed.goes(&orders).await, Progress::Serving(bed.release("v1")));
    assert_eq!(bed.gate.effects(), ["undo to 1"]);
    let calls = bed.gate.wire_calls();
    let task = &calls.iter().find(|call| call.method == Method::POST).expect("one").body;
    let job = &task["job"][0];
    assert_eq!((job["type"].as_str(), job["revision"].as_str()), (Some("undoRolloutManifest"), Some("1")));
    assert_eq!(
        (job["manifestName"].as_str(), job["numRevisionsBack"].as_i64()),
        (Some("deployment checkout"), None)
    );
    assert_eq!(task["trigger"]["correlationId"], mark(0).as_str());
    // It is ours, and found by its task.
    let picture = bed.picture().await;
    let newest = picture.deployments.last().expect("one");
    assert_eq!(
        (newest.origin.clone(), newest.release.clone()),
        (DeploymentOrigin::Ours(mark(0)), bed.release("v1"))
    );
    // v1 is revision 4 now, and v3, which was the last, has kept its own.
    let forward = bed.way_back("v1", "v3").await;
    assert!(forward[0].act.says.contains("to revision 3 (v3)"), "{}", forward[0].act.says);
}

#[tokio::test]
async fn a_revision_that_is_not_what_it_was_is_not_undone_to() {
    // Somebody went back to it and away again: Kubernetes gave it a new number.
    let bed = Bed::by_manifest();
    let orders = bed.way_back("v2", "v1").await;
    bed.gate.state().revisions[0].number = 7;
    bed.gate.state().revisions[1].number = 8;
    assert!(
        matches!(bed.begin(&orders[0]).await, Err(Trouble::Moved(what)) if what.contains("revision 1 is no more"))
    );
    // In the moment after our look: Kubernetes finds no such revision, and nothing is done.
    let bed = Bed::by_manifest();
    let orders = bed.way_back("v2", "v1").await;
    let gate = bed.gate.clone();
    bed.gate.before(Method::POST, "/tasks", move || {
        gate.state().revisions[0].number = 7;
        gate.state().revisions[1].number = 8;
    });
    assert_eq!(bed.goes(&orders).await, Progress::Failed("unable to find specified revision 1".into()));
    // Its ReplicaSet is gone.
    let bed = Bed::by_manifest();
    bed.gate.state().revisions.remove(0);
    let refused = bed.propose("v2", "v1").await.expect_err("nothing runs it");
    assert!(matches!(&refused, Trouble::Refused(why) if why.contains("no revision")), "{refused}");
    assert_eq!(bed.gate.writes(), 0);
}

#[tokio::test]
async fn what_spinnaker_calls_undone_is_read_again() {
    // The task succeeds, and the Deployment runs what it ran.
    let bed = Bed::by_manifest();
    bed.gate.state().undoes_nothing = true;
    let orders = bed.way_back("v2", "v1").await;
    let handle = bed.begin(&orders[0]).await.expect("taken");
    bed.gate.pass(10);
    let told = bed.watch(&handle).await;
    assert!(matches!(&told, Progress::Running(says) if says.contains("not shown so yet")), "{told:?}");
    bed.gate.pass(SURELY);
    assert_eq!(bed.watch(&handle).await, Progress::Serving(bed.release("v2")));
    // It runs it, and does not get well.
    let bed = Bed::by_manifest();
    bed.gate.state().is_stable = false;
    let orders = bed.way_back("v2", "v1").await;
    let handle = bed.begin(&orders[0]).await.expect("taken");
    bed.gate.pass(SURELY + 20);
    let told = bed.watch(&handle).await;
    assert!(
        matches!(&told, Progress::NeedsHuman { why, url: Some(_) } if why.contains("Waiting for all replicas")),
        "{told:?}"
    );
}

#[tokio::test]
async fn a_sidecar_needs_a_name_for_what_counts() {
    let mut bed = Bed::by_manifest();
    bed.gate.state().sidecar = Some("docker.io/acme/proxy:7");
    assert_eq!(bed.picture().await.current, None, "nobody can tell which one it is");
    bed.site.artifact = Some("docker.io/acme/checkout".into());
    assert_eq!(bed.picture().await.current, Some(bed.release("v2")));
    assert_eq!(bed.goes(&bed.way_back("v2", "v1").await).await, Progress::Serving(bed.release("v1")));
}

/// Nothing in an act or a receipt is taken unread.
#[tokio::test]
async fn what_was_not_made_here_is_refused() {
    let bed = Bed::new().going_out();
    let orders = bed.way_back("v3", "v2").await;
    let with = |order: &Order, name: &str, value: &str| {
        let mut order = order.clone();
        order.act.arguments.insert(name.to_owned(), value.to_owned());
        order
    };
    let mut odd = vec![with(&orders[0], "execution", "../../admin"), with(&orders[1], "version", "v9")];
    odd.push(Order { to: bed.release("v9"), ..orders[1].clone() });
    for name in ["application", "deploy_pipeline", "version_parameter", "rollback_id_parameter", "version"] {
        let mut order = orders[1].clone();
        order.act.arguments.remove(name);
        odd.push(order);
    }
    let mut unknown = orders[1].clone();
    unknown.act.kind = "undo".into();
    odd.push(unknown);
    for order in &odd {
        assert!(matches!(bed.begin(order).await, Err(Trouble::Refused(_))), "{order:?}");
        assert!(matches!(bed.find(order).await, Err(Trouble::Refused(_))), "{order:?}");
    }
    for text in ["", "{}", "execution 7"] {
        assert!(matches!(bed.provider.watch(&Handle::new(text)).await, Err(Trouble::Refused(_))), "{text}");
    }
    let handle = bed.begin(&orders[0]).await.expect("taken");
    let mut spelled: Value = serde_json::from_str(handle.as_str()).expect("a receipt");
    spelled["run"] = "../../admin".into();
    assert!(matches!(bed.provider.watch(&Handle::new(spelled.to_string())).await, Err(Trouble::Refused(_))));
}

#[tokio::test]
async fn what_is_missing_is_named() {
    for bed in [Bed::new(), Bed::by_manifest()] {
        assert_eq!(bed.provider.check(&bed.target()).await, []);
    }
    let found = async |bed: &Bed| {
        let mut found = bed.provider.check(&bed.target()).await;
        assert_eq!(found.len(), 1, "{found:?}");
        found.remove(0)
    };
    let bed = Bed::new();
    bed.gate.state().roles = vec!["developers"];
    let one = found(&bed).await;
    assert!(one.says.starts_with("snapback@example.com") && one.says.contains("EXECUTE"), "{one:?}");
    assert!(one.remedy.contains("deploy/spinnaker-permissions.json"), "{one:?}");
    let bed = Bed::by_manifest();
    bed.gate.state().roles = vec![];
    assert!(found(&bed).await.says.contains("WRITE"));
    let bed = Bed::new();
    bed.gate.state().pipelines.get_mut(ROLLBACK).expect("it is there")["disabled"] = true.into();
    let one = found(&bed).await;
    assert!(
        one.says.contains("is disabled") && one.remedy.contains("deploy/spinnaker-rollback-pipeline.json"),
        "{one:?}"
    );
    let bed = Bed::new();
    bed.gate.state().pipelines.remove(DEPLOY);
    assert!(found(&bed).await.remedy.contains("`deploy_pipeline`"));
    let bed = Bed::new();
    for one in &mut bed.gate.state().executions {
        one.trigger = json!({ "type": "manual", "parameters": {} });
    }
    let one = found(&bed).await;
    assert!(one.says.contains("says which release") && one.remedy.contains("version_parameter"), "{one:?}");
    let bed = Bed::by_manifest();
    bed.gate.state().may.remove("READ");
    assert!(found(&bed).await.remedy.contains("READ"));
    let bed = Bed::new();
    let stranger = provider(&bed.gate, &bed.gate.url(), "another");
    let told = stranger.check(&bed.target()).await;
    assert!(told[0].says.contains("401") && told[0].remedy.contains("`token`"), "{told:?}");
    let away = bed.provider_at("http://127.0.0.1:1");
    assert!(away.check(&bed.target()).await[0].remedy.contains("`url`"));
}

/// The permissions in `deploy/` give what the provider uses, by the pretend Spinnaker's own answers, and nothing more.
#[tokio::test]
async fn the_permissions_in_the_file_are_what_is_used() {
    let given: BTreeSet<String> =
        spinnaker_gate::permissions().as_object().expect("a map").keys().cloned().collect();
    assert_eq!(given, ["EXECUTE", "READ", "WRITE"].map(str::to_owned).into());
    let ends = async |bed: Bed, without: &'static str| {
        let orders = bed.way_back("v3", "v2").await;
        bed.gate.state().may.remove(without);
        for order in &orders {
            let handle = bed.begin(order).await?;
            match bed.end_of(&handle).await? {
                Progress::Failed(why) => return Err(Trouble::Refused(why)),
                Progress::Done(_) | Progress::Serving(_) => {}
                other @ (Progress::Running(_) | Progress::NeedsHuman { .. } | Progress::Superseded(_)) => {
                    panic!("{other:?}")
                }
            }
        }
        Ok(())
    };
    let at_it = |bed: Bed| {
        let bed = bed.going_out();
        bed.gate.pass(6);
        bed
    };
    let after = |bed: Bed| {
        let bed = bed.going_out();
        bed.gate.pass(60);
        bed
    };
    // By a pipeline: its stages run as whoever asked for it.
    let refused = ends(at_it(Bed::new()), "WRITE").await.expect_err("WRITE");
    assert!(
        matches!(&refused, Trouble::Refused(why) if why == "Access denied to account prod-eu"),
        "{refused}"
    );
    for without in ["READ", "EXECUTE"] {
        let refused = ends(at_it(Bed::new()), without).await.expect_err(without);
        assert!(matches!(&refused, Trouble::Refused(why) if why.contains("403")), "{refused}");
    }
    // By a manifest: WRITE, and EXECUTE only to cancel what still goes out.
    assert!(ends(after(Bed::by_manifest()), "EXECUTE").await.is_ok());
    let refused = ends(after(Bed::by_manifest()), "WRITE").await.expect_err("WRITE");
    assert!(
        matches!(&refused, Trouble::Refused(why) if why == "Access denied to account prod-eu"),
        "{refused}"
    );
    assert!(ends(after(Bed::by_manifest()), "READ").await.is_err());
}

/// The pipeline in `deploy/` takes what the provider gives it; the pretend Spinnaker runs it in every test here.
#[tokio::test]
async fn the_pipeline_in_the_file_takes_what_it_is_given() {
    let pipeline = spinnaker_gate::rollback_pipeline();
    let declared: Vec<&str> = pipeline["parameterConfig"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|one| one["name"].as_str())
        .collect();
    let bed = Bed::new();
    assert_eq!(bed.goes(&bed.way_back("v2", "v1").await).await, Progress::Serving(bed.release("v1")));
    let calls = bed.gate.wire_calls();
    let sent = &calls.iter().find(|call| call.method == Method::POST).expect("ours").body["parameters"];
    let mut given: Vec<&str> = sent.as_object().expect("a map").keys().map(String::as_str).collect();
    given.sort_by_key(|name| declared.iter().position(|one| one == name));
    assert_eq!(given, declared);
    assert!(
        pipeline["stages"].to_string().contains("${ parameters.version }"),
        "it puts out what it is told"
    );
    assert_eq!(
        (pipeline["disabled"].clone(), pipeline["keepWaitingPipelines"].clone()),
        (json!(false), json!(true))
    );
}

#[tokio::test]
async fn a_person_gets_the_commands_of_the_same_acts() {
    let bed = Bed::new().going_out();
    let orders = bed.way_back("v3", "v2").await;
    let line = |bed: &Bed, order: &Order| bed.provider.by_hand(&order.act, &order.to, "why").expect("a line");
    let (url, who) = (bed.gate.url(), "--header \"Authorization: Bearer $GATE_TOKEN\"");
    let id = bed.gate.newest(Some(DEPLOY)).expect("v3").id;
    assert_eq!(
        line(&bed, &orders[0]),
        format!("curl --fail-with-body {who} --request PUT {url}/pipelines/{id}/cancel")
    );
    assert_eq!(
        line(&bed, &orders[1]),
        format!(
            "curl --fail-with-body {who} --request POST --json '{{\"parameters\":{{\"rollback_id\":\"by-hand\",\"version\":\"v2\"}},\"type\":\"manual\"}}' {url}/pipelines/v2/checkout/rollback-production"
        )
    );
    assert!(!line(&bed, &orders[1]).contains(spinnaker_gate::TOKEN));
    // What a person did so is known as a rollback, and not as ours.
    bed.gate.pass(30);
    bed.gate.runs(ROLLBACK, "v2");
    bed.gate.state().executions.last_mut().expect("one").trigger["parameters"]["rollback_id"] =
        "by-hand".into();
    bed.gate.pass(30);
    assert_eq!(bed.picture().await.deployments.last().expect("one").origin, DeploymentOrigin::Rollback);
    // Whoever comes with a certificate names it by variables of their own.
    let identity = Identity::Certificate { chain: "a chain".into(), key: Some("a key".to_owned().into()) };
    let shown = provider_with(&bed.gate, Settings { identity, ..settings(&bed.gate.url(), "") });
    let of_certificate = shown.by_hand(&orders[1].act, &orders[1].to, "why").expect("a line");
    let begins = "curl --fail-with-body --cert \"$GATE_CERTIFICATE\" --key \"$GATE_KEY\" --request POST";
    assert!(of_certificate.starts_with(begins) && !of_certificate.contains("a key"), "{of_certificate}");
    let bed = Bed::by_manifest();
    let orders = bed.way_back("v2", "v1").await;
    assert!(line(&bed, &orders[0]).contains("\"revision\":\"1\""), "{}", line(&bed, &orders[0]));
    let blind = bed.provider.by_hand_unplanned(&bed.target(), None, "why");
    assert!(blind[0].contains("/executions/search?pipelineName=Deploy+to+production"), "{blind:?}");
    assert!(blind[1].contains("REVISION"), "{blind:?}");
    let blind = Bed::new();
    let to = blind.release("v1");
    let lines = blind.provider.by_hand_unplanned(&blind.target(), Some(&to), "why");
    assert!(lines[1].contains("\"version\":\"v1\""), "{lines:?}");
}

#[tokio::test]
async fn what_it_shows_before_an_act_says_what_happened() {
    let bed = Bed::new();
    let broken = json!({ "failureMessage": "no such image" });
    bed.gate.state().becomes.insert("v3".into(), Becomes::Fails(broken));
    let bed = bed.going_out();
    bed.gate.pass(30);
    let shown = bed.provider.evidence(&bed.target(), None).await.expect("exhibits");
    let text = format!("{shown:?}");
    assert!(text.contains("no such image") && text.contains("v3 failed, by ann (01HX0003)"), "{text}");
    assert!(text.contains("TERMINAL Deploy (deployManifest)"), "{text}");
    let bed = Bed::by_manifest();
    let shown = bed.provider.evidence(&bed.target(), None).await.expect("exhibits");
    assert!(shown.iter().any(|one| one.text.contains(&format!("stable, runs {}", image("v2")))), "{shown:?}");
}
