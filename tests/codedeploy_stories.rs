//! Whole stories with the real program and the pretend AWS, in real time: from an alert to a recovered service, on each
//! platform, and what happens when somebody or CodeDeploy itself comes first.

mod aws;
mod binary;
mod codedeploy_bed;
mod pager;

use std::sync::Arc;

use aws::codedeploy::Ends;
use aws::{Aws, Wire};
use binary::{Program, TOKEN, copy, head, on_codedeploy, wait_until};
use codedeploy_bed::{APPLICATION, GROUP, PLATFORMS, Platform, furnish, labels, put_out, with_group};
use pager::{KEY, Pretend};
use serde_json::{Value, json};
use snapback::case::id::{Duration, Timestamp};

/// The program, the world, and the alert.
struct Story {
    platform: Platform,
    aws: Arc<Aws>,
    program: Program,
    fired_at: Option<Timestamp>,
}

impl Story {
    /// Release 1 served for two hours, release 2 serves since two minutes; deployments take two seconds.
    fn begin(platform: Platform) -> Story {
        Story::begin_with(platform, |_| {})
    }

    fn begin_with(platform: Platform, change: impl FnOnce(&Aws)) -> Story {
        Story::begin_after(platform, 120, change)
    }

    /// Release 2 serves since so many seconds.
    fn begin_after(platform: Platform, seconds: i64, change: impl FnOnce(&Aws)) -> Story {
        Story::begin_beside(platform, seconds, "", change)
    }

    /// With more in the configuration.
    fn begin_beside(platform: Platform, seconds: i64, more: &str, change: impl FnOnce(&Aws)) -> Story {
        let aws = Aws::real();
        let url = aws.listen();
        furnish(&aws, platform);
        with_group(&aws, |group| {
            group.takes = Duration::from_secs(2);
            group.bakes = Duration::ZERO;
        });
        put_out(&aws, platform, 1, 7200);
        put_out(&aws, platform, 2, seconds);
        change(&aws);
        let mut program = Program::start(&format!("{}{more}", config(&url)), RULES);
        program.reads_with = Some(TOKEN.to_owned());
        let story = Story { platform, aws, program, fired_at: None };
        let service = "/v1/services/checkout@production";
        story.program.wait("the provider to be read", service, |service| service["current"].is_string());
        story
    }

    fn fires(&mut self) {
        let at = self.aws.now();
        self.fired_at = Some(at);
        assert_eq!(self.program.post(&labels(), at, None), 200);
    }

    fn fires_since(&mut self, at: Timestamp) {
        self.fired_at = Some(at);
        assert_eq!(self.program.post(&labels(), at, None), 200);
    }

    fn clears(&self) {
        let ended = Some(self.aws.now());
        assert_eq!(self.program.post(&labels(), self.fired_at.expect("it fired"), ended), 200);
    }

    /// The alert clears as soon as this release serves.
    fn clears_when_serving(&self, number: u32) {
        let release = self.platform.release(number);
        let service = "/v1/services/checkout@production";
        self.program
            .wait(&format!("{release} to serve"), service, |service| service["current"] == release.as_str());
        self.clears();
    }

    fn effects(&self) -> Vec<String> {
        self.aws.state().effects.clone()
    }
}

/// Plays a story on several platforms at once.
fn on(platforms: &[Platform], story: impl Fn(Platform) + Sync) {
    std::thread::scope(|scope| {
        for platform in platforms {
            scope.spawn(|| story(*platform));
        }
    });
}

#[test]
fn an_alert_takes_a_finished_release_back_on_every_platform() {
    on(&PLATFORMS, |platform| {
        let mut story = Story::begin(platform);
        story.fires();
        story.clears_when_serving(1);
        let case = story.program.wait_for_outcome("recovered");
        assert_eq!(case["to"]["release"], platform.release(1).as_str(), "{case:#}");
        assert_eq!(case["from"]["ledger"], "bad", "{case:#}");
        let effects = story.effects();
        assert!(effects.len() == 1 && effects[0].starts_with("create "), "{platform:?}: {effects:?}");
    });
}

#[test]
fn a_release_that_is_still_going_out_is_stopped_and_taken_back() {
    on(&PLATFORMS, |platform| {
        let mut story = Story::begin_after(platform, 3600, |_| {});
        // Release 2 has soaked: it is what one goes back to, and what CodeDeploy itself would put back.
        let second = platform.release(2);
        let service = "/v1/services/checkout@production";
        story.program.wait("release 2 to be good", service, |service| {
            let releases = service["releases"].as_array().into_iter().flatten();
            releases.into_iter().any(|of| of["release"] == second.as_str() && of["ledger"] == "good")
        });
        with_group(&story.aws, |group| group.takes = Duration::from_secs(15));
        put_out(&story.aws, platform, 3, 4);
        story.fires();
        let stopped = wait_until(|| story.effects().len() == 2);
        assert!(stopped, "{platform:?}: {:?}\n{}", story.effects(), story.program.said());
        with_group(&story.aws, |group| group.takes = Duration::from_secs(2));
        story.clears();
        let case = story.program.wait_for_outcome("recovered");
        assert_eq!(case["to"]["release"], second.as_str(), "{case:#}");
        let effects = story.effects();
        assert!(
            effects[0].starts_with("stop ") && effects[1].starts_with("rollback "),
            "{platform:?}: {effects:?}"
        );
    });
}

#[test]
fn codedeploy_that_goes_back_first_is_adopted() {
    let platform = Platform::Ecs;
    let mut story = Story::begin_with(platform, |aws| {
        with_group(aws, |group| {
            group.takes = Duration::from_secs(8);
            group.auto_rollback = true;
            group.next_ends = vec![Ends::Fails("HEALTH_CONSTRAINTS", "AfterAllowTestTraffic")];
        });
        put_out(aws, platform, 3, 5);
    });
    story.fires();
    let back = wait_until(|| {
        story
            .aws
            .state()
            .newest(APPLICATION, GROUP)
            .is_some_and(|d| d.creator == "codeDeployRollback" && d.is_over())
    });
    assert!(back, "CodeDeploy did not go back by itself: {:?}", story.effects());
    story
        .program
        .wait("the case to be verified", "/v1/cases", |cases| cases["cases"][0]["phase"] == "verifying");
    story.clears();
    story.program.wait_for_outcome("adopted");
    assert_eq!(story.aws.mutations(), 0, "it was left to CodeDeploy");
}

/// Its own report is a signal, and needs no alert: people are told which deployment failed and how.
#[test]
fn a_deployment_that_fails_is_a_signal_without_any_alert() {
    on(&[Platform::InPlace, Platform::Ecs], |platform| {
        let story = Story::begin_with(platform, |aws| {
            with_group(aws, |group| {
                group.next_ends = vec![Ends::Fails("HEALTH_CONSTRAINTS", "ApplicationStart")];
            });
            put_out(aws, platform, 3, 0);
        });
        let failed = story.aws.state().newest(APPLICATION, GROUP).expect("a deployment").id.clone();
        let case =
            story.program.wait("a case", "/v1/cases", |cases| cases["cases"][0]["signals"][0].is_object());
        let case = &case["cases"][0];
        let signal = &case["signals"][0];
        assert_eq!(
            (&signal["source"], &signal["name"]),
            (&json!("provider"), &json!("DeploymentFailed")),
            "{case:#}"
        );
        assert!(
            signal["summary"].as_str().is_some_and(|says| says.contains("HEALTH_CONSTRAINTS")),
            "{case:#}"
        );
        let decided =
            story.program.wait("its suspect", "/v1/cases", |cases| cases["cases"][0]["suspect"].is_object());
        assert_eq!(decided["cases"][0]["suspect"]["deployment"], failed.as_str(), "{decided:#}");
        // What failed does not serve: nothing is taken back, and CodeDeploy's own release stays.
        assert_eq!(story.aws.mutations(), 0, "{decided:#}");
    });
}

#[test]
fn somebody_who_deploys_meanwhile_comes_first() {
    let platform = Platform::Lambda;
    let mut story = Story::begin(platform);
    story.fires();
    story.program.wait("the countdown", "/v1/cases", |cases| cases["cases"][0]["phase"] == "countdown");
    put_out(&story.aws, platform, 3, 0);
    let case = story.program.wait("the case to stand back", "/v1/cases/checkout@production.1", |case| {
        let told = case["events"].as_array().into_iter().flatten();
        let stood_back =
            told.filter(|event| event["kind"] == "withdrawn" || event["kind"] == "closed").count();
        stood_back > 0
    });
    assert_ne!(case["outcome"], "recovered", "{case:#}");
    // A fix going forward is watched, and never taken back for this alert: it still fires, and is judged anew.
    let service = "/v1/services/checkout@production";
    story.program.wait("release 3 to serve", service, |service| service["current"] == "checkout:3");
    let anew = "/v1/cases/checkout@production.2/explanation";
    let why = story.program.wait("the alert to be judged anew", anew, |why| why["verdict"].is_string());
    assert!(why["verdict"] != "rollback" && why["verdict"] != "approve", "{why:#}");
    assert_eq!(story.aws.mutations(), 0, "{:?}\n{}", story.effects(), story.program.said());
}

#[test]
fn an_alert_from_before_the_release_takes_nothing_back() {
    let mut story = Story::begin(Platform::InPlace);
    let long_ago = story.aws.now() - Duration::from_mins(10);
    story.fires_since(long_ago);
    let case = story.program.wait_for_outcome("left_alone");
    assert!(case.to_string().contains("was there before"), "{case:#}");
    assert_eq!(story.aws.mutations(), 0);
}

#[test]
fn a_target_that_is_gone_is_told_and_nothing_is_done() {
    let mut story = Story::begin_with(Platform::Ecs, |aws| {
        aws.state().behind.definitions.remove("checkout:1");
    });
    story.fires();
    let case = story.program.wait("a verdict", "/v1/cases", |cases| cases["cases"][0]["verdict"].is_string());
    assert_eq!(case["cases"][0]["verdict"], "notify", "{case:#}");
    let ready = story.program.get("/v1/services/checkout@production").expect("the service");
    assert_eq!(ready["ready"]["now"], false, "{ready:#}");
    assert_eq!(story.aws.mutations(), 0);
}

#[test]
fn a_bundle_that_is_gone_fails_the_case_in_codedeploys_own_words() {
    let mut story = Story::begin_with(Platform::InPlace, |aws| {
        aws.fault("CreateDeployment", Wire::Refuses("RevisionDoesNotExistException"));
    });
    story.fires();
    let case = story.program.wait_for_outcome("failed");
    assert!(case.to_string().contains("RevisionDoesNotExistException"), "{case:#}");
    assert!(story.effects().is_empty());
    assert_eq!(story.aws.mutations(), 1, "a definite no is not asked again");
}

#[test]
fn a_failed_way_back_is_told_with_the_scripts_own_log_and_ends_there() {
    on(&PLATFORMS, |platform| {
        let mut story = Story::begin_with(platform, |aws| {
            with_group(aws, |group| {
                group.next_ends = vec![Ends::Fails("HOOK_EXECUTION_FAILURE", "BeforeAllowTraffic")];
            });
        });
        story.fires();
        let case = story.program.wait_for_outcome("failed");
        for word in ["HOOK_EXECUTION_FAILURE", "BeforeAllowTraffic on i-0abc", "no such table: carts"] {
            assert!(case.to_string().contains(word), "{platform:?}: no {word} in {case:#}");
        }
        assert_eq!(story.aws.mutations(), 1, "{platform:?}: a second act after a failed one");
    });
}

/// A right that was taken away while a rollback runs says nothing about the rollback: a person is asked, and nothing is called
/// failed.
#[test]
fn what_may_not_be_watched_needs_a_person() {
    needs_a_person("took-effect", |pager, key| pager.rests(key));
}

/// An incident that somebody took already wakes nobody again: what is worse is a new one.
#[test]
fn what_is_worse_than_it_was_wakes_people_anew() {
    needs_a_person("give-up", |pager, key| {
        pager.wakes(key, "failed");
        assert_eq!(pager.incident(key).opened, 2, "{:#?}", pager.heard());
    });
}

fn needs_a_person(how: &str, then: impl Fn(&Pretend, &str)) {
    let pager = Pretend::open();
    let secret = |text: &str| {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), text).expect("a secret");
        file
    };
    let (key, alice) = (secret(KEY), secret("token-of-alice"));
    let pages = PAGES
        .replace("EVENTS", &pager.events_url())
        .replace("KEY", &key.path().display().to_string())
        .replace("ALICE", &alice.path().display().to_string());
    let mut story = Story::begin_beside(Platform::InPlace, 120, &pages, |aws| {
        aws.fault("GetDeployment", Wire::Refuses("AccessDeniedException"));
    });
    story.fires();
    let cases = story.program.wait("a person to be needed", "/v1/cases", |cases| {
        cases["cases"][0]["phase"] == "needs_human" || cases["cases"][0]["outcome"].is_string()
    });
    assert_eq!(cases["cases"][0]["phase"], "needs_human", "{cases:#}");
    assert!(
        cases.to_string().contains("deploy/codedeploy-policy.json"),
        "the missing right is named: {cases:#}"
    );
    assert_eq!(story.effects().len(), 1);

    // Whoever is on call is woken, and sleeps again once somebody has looked.
    let key = "snapback/checkout@production.1";
    let woken = pager.wakes(key, "needs_human");
    assert_eq!(woken["payload"]["severity"], "critical", "{woken:#}");
    assert!(woken.to_string().contains("Settle it: "), "what to do is said: {woken:#}");
    let settle = ["cases", "settle", "checkout@production.1", how, "--yes"];
    let (code, said) = story.program.run(Some("token-of-alice"), &settle);
    assert_eq!(code, Some(0), "{said}");
    then(&pager, key);
}

/// T51: a store that was put back from a copy does not know our mark at CodeDeploy: nothing is done until somebody resumes.
#[test]
fn a_store_that_was_put_back_from_a_copy_holds() {
    let mut story = Story::begin(Platform::Ecs);
    story.program.kill();
    let (store, copied) = (story.program.path("data"), story.program.path("copy"));
    copy(&store, &copied);
    story.program.start_again();
    story.fires();
    story.clears_when_serving(1);
    story.program.wait_for_outcome("recovered");
    story.program.kill();
    std::fs::remove_dir_all(&store).expect("the store is lost");
    copy(&copied, &store);
    put_out(&story.aws, Platform::Ecs, 3, 0);
    let out =
        wait_until(|| story.aws.state().newest(APPLICATION, GROUP).is_some_and(|newest| newest.is_over()));
    assert!(out, "release 3 does not go out: {:?}", story.effects());
    let third = Platform::Ecs.release(3);
    // The alert follows in seconds here, and so soon after a deployment less speaks against it.
    std::fs::write(story.program.path("rules.toml"), format!("{RULES}suspicion = 0.3\n")).expect("the rules");
    story.program.start_again();
    let service = "/v1/services/checkout@production";
    story.program.wait("release 3 to serve", service, |service| service["current"] == third.as_str());
    let state = story.program.wait("a hold", "/v1/state", |state| state["hold"]["on"] == true);
    assert!(state["hold"]["reasons"].to_string().contains("snapback/"), "the mark is named: {state:#}");
    story.fires();
    let judged = "/v1/cases/checkout@production.1/explanation";
    let why = story.program.wait("the alert to be judged", judged, |why| why["verdict"].is_string());
    assert_eq!(story.aws.mutations(), 1, "{:?}\n{}", story.effects(), story.program.said());

    let weakened: Vec<&Value> =
        why["guards"].as_array().expect("guards").iter().filter(|guard| guard["outcome"] != "pass").collect();
    assert!(weakened.iter().any(|guard| guard["name"] == "hold"), "{weakened:#?}");

    // Somebody looked: nobody else's work goes on there. Now it acts, once.
    let (code, said) = story.program.run(Some(TOKEN), &["resume", "--hold", "--yes"]);
    assert!(code == Some(0) && said.contains("the hold is over"), "{code:?} {said}");
    let acted = wait_until(|| story.aws.mutations() > 1);
    assert!(
        acted,
        "nothing followed:\n{:#}\n{}",
        story.program.get("/v1/cases").unwrap_or_default(),
        story.program.said()
    );
    story.clears();
    story.program.wait_for_outcome("recovered");
    assert_eq!(story.aws.mutations(), 2, "{:?}", story.effects());
}

fn config(url: &str) -> String {
    let service = on_codedeploy(url);
    format!("{}{SETTINGS}{service}soak = \"2s\"\nmigrations = \"none\"\n", head("live"))
}

const SETTINGS: &str = r#"
[guards]
clock_skew = "1s"
episode_settle = "2s"
provider_grace = "30s"

[verify.default]
settle = "1s"
within = "30s"
clear_for = "1s"

[tokens.ada]
token = { file = "token" }
role = "admin"
"#;

const RULES: &str = r#"[[rule]]
name = "take it back"
action = "rollback"
countdown = "2s"
"#;

/// Whom the stories wake, and who may settle what nobody can tell.
const PAGES: &str = r#"
[pages.pagerduty]
routing_key = { file = "KEY" }
url = "EVENTS"

[tokens.alice]
token = { file = "ALICE" }
role = "operator"
groups = ["sre"]

[approvals.default]
from = ["sre"]
"#;
