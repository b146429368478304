//! The CodeDeploy provider against a pretend AWS that keeps its own log: what it reads, the way back that it proposes, and
//! what it sends, on each platform.

mod aws;
mod codedeploy_bed;

use std::sync::Arc;

use aws::Wire;
use aws::codedeploy::Ends;
use codedeploy_bed::{APPLICATION, Bed, GROUP, MARK, PLATFORMS, Platform, SURELY, provider};
use snapback::case::command::Progress;
use snapback::case::deployment::{DeploymentOrigin, DeploymentStatus, Owner};
use snapback::case::id::{Duration, Mark};
use snapback::case::release::RollbackMark;
use snapback::case::step::Class;
use snapback::execute::Sighting;
use snapback::outbound::Trouble;

#[tokio::test]
async fn what_serves_and_what_went_out_is_read() {
    for platform in PLATFORMS {
        let bed = Bed::new(platform);
        let picture = bed.picture().await;
        assert_eq!(picture.current, Some(platform.release(2)), "{platform:?}");
        assert_eq!((picture.in_flight, picture.owner), (None, Owner::Nobody));
        let told: Vec<_> = picture.deployments.iter().map(|d| (d.release.clone(), d.status)).collect();
        let finished = DeploymentStatus::Finished;
        assert_eq!(told, [(platform.release(1), finished), (platform.release(2), finished)], "{platform:?}");
        let first =
            picture.releases.iter().find(|release| release.id == platform.release(1)).expect("release 1");
        let looked = (!matches!(platform, Platform::InPlace | Platform::BlueGreen)).then_some(true);
        assert_eq!(first.artifact_exists, looked, "{platform:?}");
    }
}

/// What we write while it is read is not in it, and looks like nobody else's act afterwards.
#[tokio::test]
async fn a_picture_is_as_old_as_its_first_look() {
    let mut bed = Bed::new(Platform::InPlace);
    let (aws, begun) = (bed.aws.clone(), bed.aws.now());
    let seconds = move || i64::try_from(aws.operations().len()).expect("a few");
    // Every question takes a second.
    let clock = Arc::new(move || begun + Duration::from_secs(seconds()));
    bed.provider = codedeploy_bed::provider_by(&bed.aws.url(), clock);
    let picture = bed.picture().await;
    assert!(bed.aws.operations().len() > 2, "{:?}", bed.aws.operations());
    assert_eq!(picture.at, begun);
}

#[tokio::test]
async fn a_finished_release_goes_back_by_a_deployment_of_the_one_before() {
    for platform in PLATFORMS {
        let bed = Bed::new(platform);
        let order = bed.way_back(2, 1).await;
        assert_eq!((order.act.kind.as_str(), order.act.class), ("create", Class::B), "{platform:?}");
        let handle = bed.begin(&order).await.expect("taken");
        assert_eq!(
            bed.end_of(&handle).await.expect("an end"),
            Progress::Serving(platform.release(1)),
            "{platform:?}"
        );
        assert_eq!(bed.aws.mutations(), 1, "{platform:?}: {:?}", bed.effects());
        let created = bed.created();
        assert!(created["description"].as_str().expect("one").starts_with(MARK), "{created}");
        assert_eq!(
            created["autoRollbackConfiguration"]["enabled"], false,
            "it would lead to the bad release"
        );
        let picture = bed.picture().await;
        assert_eq!(picture.current, Some(platform.release(1)), "{platform:?}");
        assert_eq!(picture.our_marks().collect::<Vec<_>>(), [&Mark::new(MARK)], "{platform:?}");
    }
}

#[tokio::test]
async fn what_is_still_going_out_is_stopped_and_codedeploys_own_way_back_followed() {
    for platform in PLATFORMS {
        let bed = Bed::going_out(platform);
        let picture = bed.picture().await;
        let suspect = picture.in_flight.clone().expect("something is on its way");
        assert_eq!(picture.current, Some(platform.release(2)), "{platform:?}");
        let order = bed.way_back(3, 2).await;
        assert_eq!((order.act.kind.as_str(), order.act.class), ("stop", Class::A), "{platform:?}");
        let handle = bed.begin(&order).await.expect("taken");
        assert_eq!(
            bed.end_of(&handle).await.expect("an end"),
            Progress::Serving(platform.release(2)),
            "{platform:?}"
        );
        let effects = bed.effects();
        assert_eq!(effects[0], format!("stop {suspect}"), "{platform:?}: {effects:?}");
        assert!(effects[1].ends_with(&format!("after {suspect}")) && effects.len() == 2, "{effects:?}");
        let back = bed.picture().await.deployments.pop().expect("the way back");
        assert_eq!(
            (back.release, back.origin),
            (platform.release(2), DeploymentOrigin::Rollback),
            "{platform:?}"
        );
    }
}

#[tokio::test]
async fn where_codedeploys_own_way_back_leads_elsewhere_it_is_stopped_and_another_created() {
    for platform in PLATFORMS {
        let bed = Bed::going_out(platform);
        let acts = bed.propose(3, 1).await.expect("a way back").acts;
        let kinds: Vec<&str> = acts.iter().map(|act| act.kind.as_str()).collect();
        assert_eq!(kinds, ["stop", "create"], "{platform:?}");
        let mut acts = acts.into_iter();
        let stop = bed.order(acts.next().expect("a stop"), 0, 3, 1);
        let handle = bed.begin(&stop).await.expect("stopped");
        assert!(matches!(bed.end_of(&handle).await, Ok(Progress::Done(_))), "{platform:?}");
        let create = bed.order(acts.next().expect("a create"), 1, 3, 1);
        let handle = bed.begin(&create).await.expect("created");
        assert_eq!(
            bed.end_of(&handle).await.expect("an end"),
            Progress::Serving(platform.release(1)),
            "{platform:?}"
        );
        assert_eq!(bed.aws.mutations(), 2, "{platform:?}: {:?}", bed.effects());
    }
}

#[tokio::test]
async fn what_finished_before_it_could_be_stopped_is_planned_again() {
    let bed = Bed::going_out(Platform::InPlace);
    let order = bed.way_back(3, 2).await;
    bed.aws.pass(60);
    assert!(matches!(bed.begin(&order).await, Err(Trouble::Moved(_))));
    assert_eq!(bed.aws.mutations(), 0);
    // In the very moment between reading and stopping, CodeDeploy itself says so.
    let bed = Bed::going_out(Platform::InPlace);
    let order = bed.way_back(3, 2).await;
    bed.aws.fault("StopDeployment", Wire::Refuses("DeploymentAlreadyCompletedException"));
    assert!(matches!(bed.begin(&order).await, Err(Trouble::Busy { .. })), "it is not shown so yet");
    assert!(bed.effects().is_empty());
}

#[tokio::test]
async fn a_reading_that_fails_before_the_request_sends_nothing_and_spends_nothing() {
    for (operation, fault) in [
        ("GetDeploymentGroup", Wire::FailsBefore),
        ("ListDeployments", Wire::ResetBefore),
        ("DescribeServices", Wire::Garbled),
    ] {
        let bed = Bed::new(Platform::Ecs);
        let order = bed.way_back(2, 1).await;
        bed.aws.fault(operation, fault);
        let outcome = bed.begin(&order).await;
        assert!(matches!(outcome, Err(Trouble::Busy { .. })), "{operation}: {outcome:?}");
        assert_eq!(bed.aws.mutations(), 0, "{operation}");
    }
}

#[tokio::test]
async fn what_is_looked_at_again_costs_one_short_list() {
    let bed = Bed::new(Platform::InPlace);
    for number in 0..30 {
        bed.puts_out(3 + number, 7000 - i64::from(number) * 60);
    }
    bed.picture().await;
    let first = bed.aws.asked("ListDeployments");
    assert!(first > 10, "all of it, page by page: {first}");
    bed.aws.pass(10);
    let newest = bed.puts_out(40, 1);
    let picture = bed.picture().await;
    assert_eq!(bed.aws.asked("ListDeployments"), first + 1, "only what is new");
    assert_eq!(picture.in_flight.as_ref().map(|id| id.as_str()), Some(newest.as_str()));
    assert_eq!(picture.deployments.len(), 33);
}

#[tokio::test]
async fn machines_that_join_and_stacks_are_no_releases() {
    let bed = Bed::new(Platform::InPlace);
    let (autoscaled, outdated) = (bed.puts_out(2, 300), bed.puts_out(2, 200));
    {
        let mut state = bed.aws.state();
        state.deployments.get_mut(&autoscaled).expect("one").creator = "autoscaling";
        state.deployments.get_mut(&outdated).expect("one").creator = "CodeDeployAutoUpdate";
    }
    let picture = bed.picture().await;
    assert_eq!(picture.deployments.len(), 2, "{:?}", picture.deployments);
    let acts = bed.propose(2, 1).await.expect("the one before is still the one before");
    assert!(acts.acts[0].arguments["revision"].contains("checkout-1.zip"));

    let by_stack = bed.puts_out(3, 100);
    bed.aws.state().deployments.get_mut(&by_stack).expect("one").creator = "CloudFormation";
    let owner = bed.picture().await.owner;
    assert!(matches!(&owner, Owner::Other(name) if name.contains("CloudFormation")), "{owner:?}");
    let refused = bed.propose(3, 2).await;
    assert!(matches!(&refused, Err(Trouble::Refused(why)) if why.contains("CloudFormation")), "{refused:?}");
    let external = bed.puts_out(3, 50);
    bed.aws.state().deployments.get_mut(&external).expect("one").external_id = Some("stack/42".into());
    assert!(matches!(bed.picture().await.owner, Owner::Other(name) if name.contains("stack/42")));
}

#[tokio::test]
async fn while_machines_join_a_rollback_waits() {
    let bed = Bed::new(Platform::InPlace);
    let order = bed.way_back(2, 1).await;
    let joining = bed.puts_out(2, 0);
    bed.aws.state().deployments.get_mut(&joining).expect("one").creator = "autoscaling";
    assert!(matches!(bed.begin(&order).await, Err(Trouble::Busy { .. })), "CodeDeploy takes one at a time");
    assert!(bed.effects().is_empty());
    assert_eq!(bed.picture().await.in_flight, None, "machines that join are no release on its way");
}

#[tokio::test]
async fn a_key_without_a_version_is_refused() {
    let bed = Bed::new(Platform::InPlace);
    for seconds_ago in [500, 400] {
        let at = bed.aws.now() - Duration::from_secs(seconds_ago);
        bed.aws.state().deploy(APPLICATION, GROUP, aws::behind::s3("latest.zip", None), at);
    }
    let picture = bed.picture().await;
    let named: Vec<&str> = picture.deployments.iter().map(|d| d.release.as_str()).collect();
    assert_eq!(named[2..], ["s3://releases/latest.zip"; 2], "one key is one release, whatever lies there");
    bed.puts_out(3, 100);
    let (from, to) = (Platform::InPlace.release(3), "s3://releases/latest.zip".into());
    let refused = bed.provider.propose(&bed.target(), &from, &to).await;
    assert!(matches!(&refused, Err(Trouble::Refused(why)) if why.contains("no version")), "{refused:?}");
}

#[tokio::test]
async fn the_request_on_machines_lets_nothing_of_the_bad_release_bar_the_way() {
    let bed = Bed::new(Platform::InPlace);
    bed.group(|group| group.alarms = true);
    let site = snapback::execute::codedeploy::Site {
        rollback_config: Some("CodeDeployDefault.AllAtOnce".into()),
        ..bed.site.clone()
    };
    let bed = Bed { site, ..bed };
    let order = bed.way_back(2, 1).await;
    bed.begin(&order).await.expect("taken");
    let created = bed.created();
    assert_eq!(created["ignoreApplicationStopFailures"], true, "the stop script is the bad release's");
    assert_eq!(created["updateOutdatedInstancesOnly"], false);
    assert_eq!(created["fileExistsBehavior"], "OVERWRITE");
    assert_eq!(created["overrideAlarmConfiguration"]["enabled"], false, "the alarm rings already");
    assert_eq!(created["deploymentConfigName"], "CodeDeployDefault.AllAtOnce");
    assert_eq!(created["revision"]["s3Location"]["version"], "v1");
}

#[tokio::test]
async fn without_alarms_the_right_to_mute_them_is_not_needed() {
    for platform in PLATFORMS {
        let bed = Bed::new(platform);
        let order = bed.way_back(2, 1).await;
        bed.begin(&order).await.expect("taken");
        let created = bed.created();
        assert!(created["overrideAlarmConfiguration"].is_null(), "{platform:?}");
        let machines = matches!(platform, Platform::InPlace | Platform::BlueGreen);
        assert_eq!(created["ignoreApplicationStopFailures"].is_null(), !machines, "{platform:?}");
    }
}

#[tokio::test]
async fn an_alarm_that_rings_does_not_stop_the_way_back() {
    let bed = Bed::new(Platform::InPlace);
    bed.group(|group| (group.alarms, group.alarm_rings) = (true, true));
    let order = bed.way_back(2, 1).await;
    let handle = bed.begin(&order).await.expect("taken");
    assert_eq!(bed.end_of(&handle).await.expect("an end"), Progress::Serving(Platform::InPlace.release(1)));
}

#[tokio::test]
async fn a_lambda_alias_is_led_from_where_it_points_now() {
    let bed = Bed::new(Platform::Lambda);
    let order = bed.way_back(2, 1).await;
    bed.begin(&order).await.expect("taken");
    let content = bed.created()["revision"]["appSpecContent"]["content"].as_str().expect("a text").to_owned();
    let spec: serde_json::Value = serde_json::from_str(&content).expect("JSON");
    let properties = &spec["Resources"][0]["function"]["Properties"];
    assert_eq!((&properties["CurrentVersion"], &properties["TargetVersion"]), (&"2".into(), &"1".into()));
    assert_eq!(spec["Hooks"][0]["BeforeAllowTraffic"], "probe", "the hooks of old stay");
}

#[tokio::test]
async fn an_alias_that_somebody_moved_by_hand_is_left_alone() {
    let bed = Bed::new(Platform::Lambda);
    let order = bed.way_back(2, 1).await;
    {
        let mut state = bed.aws.state();
        let function = state.behind.functions.get_mut("checkout").expect("a function");
        function.aliases.insert("live".into(), "7".into());
    }
    assert!(matches!(bed.begin(&order).await, Err(Trouble::Moved(what)) if what == "checkout:7"));
    assert_eq!(bed.aws.mutations(), 0);
}

#[tokio::test]
async fn what_is_gone_is_no_target_and_is_refused() {
    fn no_definition(bed: &Bed) {
        bed.aws.state().behind.definitions.remove("checkout:1");
    }
    fn no_image(bed: &Bed) {
        bed.aws.state().behind.images.remove("shop/checkout:1");
    }
    fn no_version(bed: &Bed) {
        let mut state = bed.aws.state();
        state.behind.functions.get_mut("checkout").expect("a function").versions.remove("1");
    }
    let spoiled = [
        (Platform::Ecs, no_definition as fn(&Bed)),
        (Platform::Ecs, no_image),
        (Platform::Lambda, no_version),
    ];
    for (platform, spoil) in spoiled {
        let bed = Bed::new(platform);
        spoil(&bed);
        let picture = bed.picture().await;
        let first =
            picture.releases.iter().find(|release| release.id == platform.release(1)).expect("release 1");
        assert_eq!(first.artifact_exists, Some(false), "{platform:?}");
        let refused = bed.propose(2, 1).await;
        assert!(matches!(&refused, Err(Trouble::Refused(why)) if why.contains("gone")), "{refused:?}");
    }
    // What lies in S3 only CodeDeploy reads: it says so when it is asked, and nothing was begun.
    let bed = Bed::new(Platform::InPlace);
    let order = bed.way_back(2, 1).await;
    bed.aws.fault("CreateDeployment", Wire::Refuses("RevisionDoesNotExistException"));
    assert!(
        matches!(bed.begin(&order).await, Err(Trouble::Refused(why)) if why.contains("RevisionDoesNotExist"))
    );
    assert!(bed.effects().is_empty());
}

#[tokio::test]
async fn a_failure_is_told_with_its_script_and_the_end_of_its_log() {
    for platform in PLATFORMS {
        let bed = Bed::new(platform);
        bed.group(|group| group.next_ends = vec![Ends::Fails("HOOK_EXECUTION_FAILURE", "ApplicationStart")]);
        let order = bed.way_back(2, 1).await;
        let handle = bed.begin(&order).await.expect("taken");
        let ended = bed.end_of(&handle).await.expect("an end");
        assert!(
            matches!(&ended, Progress::Failed(why) if why.starts_with("HOOK_EXECUTION_FAILURE")),
            "{platform:?}: {ended:?}"
        );
        let exhibits = bed.provider.evidence(&bed.target(), Some(&handle)).await.expect("evidence");
        assert_eq!(exhibits[0].name, "ApplicationStart on i-0abc", "{platform:?}");
        for word in ["ScriptFailed", "scripts/start.sh", "exit code 1", "no such table"] {
            assert!(exhibits[0].text.contains(word), "{platform:?}: {exhibits:?}");
        }
        let before_another = bed.provider.evidence(&bed.target(), None).await.expect("evidence");
        assert_eq!(before_another, exhibits, "the newest deployment is shown without its receipt");
        // Machines hold some of both: nobody knows better than CodeDeploy's last success.
        assert_eq!(bed.picture().await.current, Some(platform.release(2)), "{platform:?}");
        assert_eq!(bed.aws.mutations(), 1, "a failed rollback is not taken back to the bad release");
    }
}

#[tokio::test]
async fn a_way_back_that_was_stopped_by_somebody_is_superseded() {
    let bed = Bed::new(Platform::InPlace);
    let order = bed.way_back(2, 1).await;
    let handle = bed.begin(&order).await.expect("taken");
    let id = bed.aws.state().marked()[0].id.clone();
    let soon = bed.aws.now() + Duration::from_secs(1);
    bed.aws.state().deployments.get_mut(&id).expect("ours").stop_at = Some((soon, false));
    assert!(
        matches!(bed.end_of(&handle).await, Ok(Progress::Superseded(why)) if why.contains("MANUAL_STOP"))
    );
}

#[tokio::test]
async fn a_fleet_that_waits_for_somebody_is_told_with_its_link() {
    let bed = Bed::new(Platform::BlueGreen);
    bed.group(|group| group.waits = true);
    let order = bed.way_back(2, 1).await;
    let handle = bed.begin(&order).await.expect("taken");
    let ended = bed.end_of(&handle).await.expect("an end");
    assert!(
        matches!(&ended, Progress::NeedsHuman { why, url: Some(url) }
            if why.contains("waits for somebody") && url.contains("/deployments/d-")),
        "{ended:?}"
    );
}

#[tokio::test]
async fn blue_green_serves_as_soon_as_the_traffic_moved() {
    for platform in [Platform::BlueGreen, Platform::Ecs] {
        let bed = Bed::new(platform);
        let order = bed.way_back(2, 1).await;
        let handle = bed.begin(&order).await.expect("taken");
        bed.aws.pass(25);
        let progress = bed.provider.watch(&handle).await.expect("progress");
        assert_eq!(
            progress,
            Progress::Serving(platform.release(1)),
            "{platform:?}: the old fleet only waits for its end"
        );
        assert!(!bed.aws.state().marked()[0].is_over());
    }
}

#[tokio::test]
async fn a_lost_reply_is_found_by_its_mark_by_another_process_too() {
    for platform in PLATFORMS {
        let mut bed = Bed::new(platform);
        let order = bed.way_back(2, 1).await;
        bed.aws.fault("CreateDeployment", Wire::ResetAfter);
        assert!(matches!(bed.begin(&order).await, Err(Trouble::Unclear(_))), "{platform:?}");
        bed.provider = provider(&bed.aws, &bed.aws.url());
        let found = bed.find(&order).await.expect("a sighting");
        let Sighting::Found(handle) = found else { panic!("{platform:?}: {found:?}") };
        assert_eq!(bed.end_of(&handle).await.expect("an end"), Progress::Serving(platform.release(1)));
        assert_eq!(bed.aws.asked("CreateDeployment"), 1);
    }
}

#[tokio::test]
async fn not_there_is_no_proof_before_the_quarantine_is_over() {
    let bed = Bed::new(Platform::InPlace);
    let order = bed.way_back(2, 1).await;
    bed.aws.fault("CreateDeployment", Wire::ResetBefore);
    assert!(matches!(bed.begin(&order).await, Err(Trouble::Unclear(_))));
    let until = order.intended_at + Duration::from_secs(SURELY);
    assert_eq!(bed.find(&order).await.expect("a sighting"), Sighting::TooEarly(until));
    bed.aws.pass(SURELY - 1);
    assert_eq!(bed.find(&order).await.expect("a sighting"), Sighting::TooEarly(until));
    bed.aws.pass(1);
    assert_eq!(bed.find(&order).await.expect("a sighting"), Sighting::Absent);
}

#[tokio::test]
async fn a_list_that_is_late_leads_to_no_second_deployment() {
    let bed = Bed::new(Platform::InPlace);
    {
        // Neither the list nor the group's own last deployments show ours yet.
        let mut state = bed.aws.state();
        (state.list_delay, state.stale_group) = (Duration::from_secs(50), true);
    }
    let order = bed.way_back(2, 1).await;
    bed.aws.fault("CreateDeployment", Wire::ResetAfter);
    assert!(bed.begin(&order).await.is_err());
    bed.aws.pass(45);
    let until = order.intended_at + Duration::from_secs(SURELY);
    assert_eq!(bed.find(&order).await.expect("a sighting"), Sighting::TooEarly(until));
    bed.aws.pass(10);
    assert!(matches!(bed.find(&order).await, Ok(Sighting::Found(_))));
    assert_eq!(bed.aws.asked("CreateDeployment"), 1);
}

#[tokio::test]
async fn a_stop_whose_reply_is_lost_is_seen_at_the_deployment() {
    let bed = Bed::going_out(Platform::Ecs);
    let order = bed.way_back(3, 2).await;
    bed.aws.fault("StopDeployment", Wire::ResetAfter);
    assert!(matches!(bed.begin(&order).await, Err(Trouble::Unclear(_))));
    assert!(matches!(bed.find(&order).await, Ok(Sighting::TooEarly(_))), "it is still stopping");
    bed.aws.pass(5);
    assert!(matches!(bed.find(&order).await, Ok(Sighting::Found(_))));
}

#[tokio::test]
async fn somebody_who_deploys_first_comes_first() {
    let bed = Bed::new(Platform::Ecs);
    let order = bed.way_back(2, 1).await;
    let theirs = bed.puts_out(3, 0);
    assert!(matches!(bed.begin(&order).await, Err(Trouble::Moved(what)) if what.contains(&theirs)));
    bed.aws.pass(90);
    assert!(matches!(bed.begin(&order).await, Err(Trouble::Moved(what)) if what == "checkout:3"));
    assert_eq!(bed.aws.mutations(), 0);
    // Theirs is created between our reading and our request: the service refuses ours.
    let bed = Bed::new(Platform::Ecs);
    let order = bed.way_back(2, 1).await;
    bed.aws.fault("CreateDeployment", Wire::Refuses("DeploymentLimitExceededException"));
    assert!(matches!(bed.begin(&order).await, Err(Trouble::Busy { .. })));
}

#[tokio::test]
async fn codedeploys_own_way_back_shows_as_a_rollback() {
    for platform in PLATFORMS {
        let bed = Bed::new(platform);
        bed.group(|group| {
            group.auto_rollback = true;
            group.next_ends = vec![Ends::Fails("HEALTH_CONSTRAINTS", "ValidateService")];
        });
        bed.puts_out(3, 5);
        assert!(bed.picture().await.provider_judges, "CodeDeploy judges what is on its way");
        bed.aws.pass(120);
        let picture = bed.picture().await;
        let [.., suspect, back] = &picture.deployments[..] else { panic!("{:?}", picture.deployments) };
        assert_eq!(suspect.status, DeploymentStatus::Failed, "{platform:?}");
        assert_eq!(
            (&back.origin, back.status),
            (&DeploymentOrigin::Rollback, DeploymentStatus::Finished),
            "{platform:?}"
        );
        assert_eq!((&back.release, picture.current), (&platform.release(2), Some(platform.release(2))));
    }
}

#[tokio::test]
async fn a_long_history_is_read_page_by_page_and_in_batches() {
    let bed = Bed::new(Platform::InPlace);
    for number in 0..40 {
        bed.puts_out(3 + number, 500 - i64::from(number));
    }
    let picture = bed.picture().await;
    assert_eq!(picture.deployments.len(), 42);
    assert!(picture.deployments.windows(2).all(|two| two[0].started_at <= two[1].started_at), "oldest first");
    assert!(bed.aws.asked("ListDeployments") > 10 && bed.aws.asked("BatchGetDeployments") >= 2);
}

#[tokio::test]
async fn a_description_says_what_a_pipeline_knows() {
    let bed = Bed::new(Platform::Ecs);
    let id = bed.puts_out(3, 60);
    bed.aws.state().deployments.get_mut(&id).expect("one").description =
        "version=v3 commit=abc123 author=ann change=chg-7 rollback=contract".into();
    let picture = bed.picture().await;
    let third =
        picture.releases.iter().find(|release| release.id == Platform::Ecs.release(3)).expect("release 3");
    assert_eq!(third.version.as_deref(), Some("v3"));
    assert_eq!((third.commit.as_deref(), third.author.as_deref()), (Some("abc123"), Some("ann")));
    assert_eq!(third.marks.rollback, Some(RollbackMark::Contract));
    assert_eq!(third.change.as_ref().map(|change| change.as_str()), Some("chg-7"));
}

#[tokio::test]
async fn a_missing_right_and_a_wrong_name_are_told() {
    let bed = Bed::new(Platform::InPlace);
    bed.aws.fault("GetDeploymentGroup", Wire::Refuses("AccessDeniedException"));
    let refused = bed.describe().await.expect_err("no right").to_string();
    assert!(refused.contains("read the deployment group production of checkout"), "{refused}");
    assert!(refused.contains("deploy/codedeploy-policy.json"), "{refused}");
    let site = snapback::execute::codedeploy::Site { group: "nowhere".into(), ..bed.site.clone() };
    let bed = Bed { site, ..bed };
    let refused = bed.describe().await.expect_err("no such group").to_string();
    assert!(refused.contains("DeploymentGroupDoesNotExistException"), "{refused}");
    let findings = bed.provider.check(&bed.target()).await;
    assert_eq!(findings.len(), 1, "{findings:?}");
}

/// Every call that is ever made, against the file that people copy: no more rights and no less. `CreateDeployment` needs
/// three that are not called.
#[tokio::test]
async fn the_rights_in_the_file_are_those_that_are_used() {
    let mut used: std::collections::BTreeSet<String> =
        ["GetDeploymentConfig", "RegisterApplicationRevision", "UpdateDeploymentGroup"]
            .map(|right| format!("codedeploy:{right}"))
            .into();
    for platform in PLATFORMS {
        for going_out in [false, true] {
            let bed = if going_out { Bed::going_out(platform) } else { Bed::new(platform) };
            bed.picture().await;
            let order = if going_out { bed.way_back(3, 2).await } else { bed.way_back(2, 1).await };
            let handle = bed.begin(&order).await.expect("taken");
            bed.end_of(&handle).await.expect("an end");
            bed.provider.evidence(&bed.target(), Some(&handle)).await.expect("evidence");
            used.extend(bed.aws.operations().into_iter().map(|operation| right(&operation)));
        }
    }
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/codedeploy-policy.json");
    let policy: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(file).expect("the policy")).expect("JSON");
    let mut given = std::collections::BTreeSet::new();
    for statement in policy["Statement"].as_array().expect("statements") {
        let actions = &statement["Action"];
        let one_or_many = actions.as_array().cloned().unwrap_or_else(|| vec![actions.clone()]);
        given.extend(one_or_many.iter().map(|action| action.as_str().expect("a right").to_owned()));
    }
    assert_eq!(given, used);
}

fn right(operation: &str) -> String {
    let service = match operation {
        "GetAlias" | "GetFunctionConfiguration" => "lambda",
        "DescribeServices" | "DescribeTaskDefinition" => "ecs",
        "DescribeImages" => "ecr",
        _ => "codedeploy",
    };
    format!("{service}:{operation}")
}

/// Machines that join while a release goes out do not hide it: it can be stopped.
#[tokio::test]
async fn a_release_on_its_way_is_seen_behind_machines_that_join() {
    let bed = Bed::going_out(Platform::InPlace);
    let joining = bed.puts_out(2, 1);
    bed.aws.state().deployments.get_mut(&joining).expect("one").creator = "autoscaling";
    assert!(bed.picture().await.in_flight.is_some());
    assert_eq!(bed.way_back(3, 2).await.act.kind, "stop");
}

/// The first request was taken, listed late, and failed; the second attempt finds it, and begins nothing.
#[tokio::test]
async fn an_attempt_that_failed_unseen_is_not_followed_by_another() {
    let bed = Bed::new(Platform::Ecs);
    bed.group(|group| group.next_ends = vec![Ends::Fails("HEALTH_CONSTRAINTS", "Install")]);
    let order = bed.way_back(2, 1).await;
    bed.aws.fault("CreateDeployment", Wire::ResetAfter);
    assert!(matches!(bed.begin(&order).await, Err(Trouble::Unclear(_))));
    bed.aws.pass(3600);
    let second = snapback::case::step::Order { attempt: 2, intended_at: bed.aws.now(), ..order };
    assert!(
        matches!(bed.find(&second).await, Ok(Sighting::Found(_))),
        "the mark is the step's, not the attempt's"
    );
    let handle = bed.begin(&second).await.expect("it is there");
    assert!(matches!(bed.end_of(&handle).await, Ok(Progress::Failed(_))));
    assert_eq!(bed.aws.asked("CreateDeployment"), 1);
}

/// A list that is later than anything that is looked at in between is still no proof of absence in a longer quarantine.
#[tokio::test]
async fn looking_in_between_hides_nothing_from_the_search() {
    let bed = Bed::new(Platform::InPlace);
    let order = bed.way_back(2, 1).await;
    {
        let mut state = bed.aws.state();
        for old in state.deployments.values_mut() {
            old.created_at -= Duration::from_hours(2);
            old.ended_at = old.ended_at.map(|at| at - Duration::from_hours(2));
        }
        (state.list_delay, state.stale_group) = (Duration::from_mins(20), true);
    }
    bed.aws.fault("CreateDeployment", Wire::ResetAfter);
    assert!(matches!(bed.begin(&order).await, Err(Trouble::Unclear(_))));
    for _ in 0..25 {
        bed.aws.pass(60);
        bed.picture().await;
    }
    assert!(matches!(bed.find(&order).await, Ok(Sighting::Found(_))));
}

/// A proxy, or a network, may bring the same request again after the first one is done: it leads to the same release.
#[tokio::test]
async fn a_late_copy_leads_to_the_same_release() {
    for platform in PLATFORMS {
        let bed = Bed::new(platform);
        let order = bed.way_back(2, 1).await;
        let handle = bed.begin(&order).await.expect("taken");
        bed.end_of(&handle).await.expect("an end");
        bed.aws.pass(120);
        let copy = bed.created();
        let now = bed.aws.now();
        let _ = aws::codedeploy::answer(&mut bed.aws.state(), "CreateDeployment", &copy, now);
        bed.aws.pass(120);
        assert_eq!(bed.picture().await.current, Some(platform.release(1)), "{platform:?}");
        assert_eq!(
            bed.provider.watch(&handle).await.expect("progress"),
            Progress::Serving(platform.release(1))
        );
    }
}

#[tokio::test]
async fn a_suspect_that_ended_by_itself_is_planned_again() {
    for platform in [Platform::InPlace, Platform::Lambda] {
        let bed = Bed::new(platform);
        bed.group(|group| group.next_ends = vec![Ends::Fails("HEALTH_CONSTRAINTS", "Install")]);
        bed.puts_out(3, 5);
        let order = bed.way_back(3, 2).await;
        bed.aws.pass(20);
        let early = bed.begin(&order).await;
        assert!(matches!(early, Err(Trouble::Busy { .. })), "CodeDeploy may still go back: {early:?}");
        bed.aws.pass(60);
        let late = bed.begin(&order).await;
        assert!(matches!(&late, Err(Trouble::Moved(what)) if what.contains("ended by itself")), "{late:?}");
        assert!(matches!(bed.find(&order).await, Err(Trouble::Moved(_))));
        assert_eq!(bed.aws.mutations(), 0, "{platform:?}");
    }
}

#[tokio::test]
async fn a_stop_that_nobody_takes_back_is_no_success() {
    let bed = Bed::going_out(Platform::InPlace);
    let order = bed.way_back(3, 2).await;
    let handle = bed.begin(&order).await.expect("taken");
    let id = bed.picture().await.in_flight.expect("stopping").as_str().to_owned();
    if let Some((_, back)) = &mut bed.aws.state().deployments.get_mut(&id).expect("one").stop_at {
        *back = false;
    }
    let ended = bed.end_of(&handle).await.expect("an end");
    assert!(matches!(&ended, Progress::Failed(why) if why.contains("did not go back")), "{ended:?}");
}

#[tokio::test]
async fn an_alias_that_still_sends_a_part_elsewhere_is_not_back() {
    let bed = Bed::new(Platform::Lambda);
    let order = bed.way_back(2, 1).await;
    let handle = bed.begin(&order).await.expect("taken");
    {
        let mut state = bed.aws.state();
        let function = state.behind.functions.get_mut("checkout").expect("a function");
        function.weights.insert("live".into(), ("2".into(), 0.1));
    }
    bed.aws.pass(25);
    assert!(
        matches!(bed.provider.watch(&handle).await, Ok(Progress::Running(_))),
        "it may only be shown late"
    );
    bed.aws.pass(90);
    assert!(matches!(bed.provider.watch(&handle).await, Ok(Progress::NeedsHuman { .. })));
    let refused = bed.propose(2, 1).await;
    assert!(matches!(&refused, Err(Trouble::Refused(why)) if why.contains("elsewhere")), "{refused:?}");
}

#[tokio::test]
async fn what_is_done_may_be_shown_a_moment_later() {
    let bed = Bed::new(Platform::Ecs);
    bed.group(|group| group.next_ends = vec![Ends::OnlySaysSo]);
    let order = bed.way_back(2, 1).await;
    let handle = bed.begin(&order).await.expect("taken");
    bed.aws.pass(90);
    assert!(matches!(bed.provider.watch(&handle).await, Ok(Progress::Running(_))));
    bed.aws.state().behind.services.insert("checkout".into(), "checkout:1".into());
    assert_eq!(
        bed.provider.watch(&handle).await.expect("progress"),
        Progress::Serving(Platform::Ecs.release(1))
    );
}

#[tokio::test]
async fn a_way_back_that_an_alarm_stops_has_failed() {
    let bed = Bed::going_out(Platform::InPlace);
    let order = bed.way_back(3, 2).await;
    let handle = bed.begin(&order).await.expect("taken");
    bed.aws.pass(3);
    let back = bed.aws.state().newest(APPLICATION, GROUP).expect("CodeDeploy's own").id.clone();
    bed.aws.state().deployments.get_mut(&back).expect("one").mutes_alarms = false;
    bed.group(|group| (group.alarms, group.alarm_rings) = (true, true));
    let ended = bed.end_of(&handle).await.expect("an end");
    assert!(matches!(&ended, Progress::Failed(why) if why.starts_with("ALARM_ACTIVE")), "{ended:?}");
}

#[tokio::test]
async fn an_appspec_that_lies_in_s3_is_read_around_and_refused() {
    for platform in [Platform::Ecs, Platform::Lambda] {
        let bed = Bed::new(platform);
        let at = bed.aws.now() - Duration::from_secs(400);
        bed.aws.state().deploy(APPLICATION, GROUP, aws::behind::s3("appspec.yaml", Some("v9")), at);
        bed.puts_out(3, 100);
        let picture = bed.picture().await;
        assert_eq!(picture.deployments.len(), 4, "{platform:?}: what cannot be read hides nothing");
        let to = "s3://releases/appspec.yaml?version=v9".into();
        let refused = bed.provider.propose(&bed.target(), &platform.release(3), &to).await;
        assert!(
            matches!(&refused, Err(Trouble::Refused(why)) if why.contains("lies in S3")),
            "{platform:?}: {refused:?}"
        );
    }
}

#[tokio::test]
async fn an_image_in_another_region_is_not_called_gone() {
    let bed = Bed::new(Platform::Ecs);
    let image = "111122223333.dkr.ecr.us-east-1.amazonaws.com/shop/checkout:1";
    bed.aws.state().behind.definitions.insert("checkout:1".into(), image.into());
    bed.aws.state().behind.images.clear();
    let picture = bed.picture().await;
    let first =
        picture.releases.iter().find(|release| release.id == Platform::Ecs.release(1)).expect("release 1");
    assert_eq!(
        first.artifact_exists,
        Some(true),
        "its task definition is there, and its image is not looked for"
    );
    bed.way_back(2, 1).await;
}

#[tokio::test]
async fn machines_that_somebody_provides_and_bytes_that_were_overwritten_are_refused() {
    let bed = Bed::new(Platform::BlueGreen);
    bed.group(|group| group.own_machines = true);
    let refused = bed.propose(2, 1).await;
    assert!(matches!(&refused, Err(Trouble::Refused(why)) if why.contains("provides")), "{refused:?}");

    let bed = Bed::new(Platform::InPlace);
    for (e_tag, seconds_ago) in [("aa", 500), ("bb", 300)] {
        let mut revision = aws::behind::s3("latest.zip", None);
        revision["s3Location"]["eTag"] = e_tag.into();
        let at = bed.aws.now() - Duration::from_secs(seconds_ago);
        bed.aws.state().deploy(APPLICATION, GROUP, revision, at);
    }
    let release = |e_tag: &str| format!("s3://releases/latest.zip?etag={e_tag}").as_str().into();
    let refused = bed.provider.propose(&bed.target(), &release("bb"), &release("aa")).await;
    assert!(matches!(&refused, Err(Trouble::Refused(why)) if why.contains("in the place of")), "{refused:?}");
}

#[tokio::test]
async fn a_stack_owns_its_group_after_a_rollback_too() {
    let bed = Bed::new(Platform::InPlace);
    let (by_stack, back) = (bed.puts_out(3, 300), bed.puts_out(2, 100));
    {
        let mut state = bed.aws.state();
        state.deployments.get_mut(&by_stack).expect("one").creator = "CloudFormation";
        state.deployments.get_mut(&back).expect("one").creator = "codeDeployRollback";
    }
    assert!(matches!(bed.picture().await.owner, Owner::Other(_)));
}

/// Whatever read of a picture fails, there is no half picture.
#[tokio::test]
async fn a_picture_is_whole_or_none() {
    let reads = [
        (Platform::InPlace, "GetDeploymentGroup"),
        (Platform::InPlace, "ListDeployments"),
        (Platform::InPlace, "BatchGetDeployments"),
        (Platform::Ecs, "GetApplicationRevision"),
        (Platform::Ecs, "DescribeServices"),
        (Platform::Ecs, "DescribeTaskDefinition"),
        (Platform::Ecs, "DescribeImages"),
        (Platform::Lambda, "GetAlias"),
        (Platform::Lambda, "GetFunctionConfiguration"),
    ];
    for (platform, operation) in reads {
        for fault in [Wire::FailsBefore, Wire::ResetBefore, Wire::Garbled, Wire::Throttles] {
            let bed = Bed::new(platform);
            bed.aws.fault(operation, fault);
            let picture = bed.describe().await;
            assert!(
                matches!(picture, Err(Trouble::Unclear(_) | Trouble::Busy { .. })),
                "{operation} under {fault:?}: {picture:?}"
            );
            bed.describe().await.unwrap_or_else(|trouble| panic!("{operation} after {fault:?}: {trouble}"));
        }
    }
}
