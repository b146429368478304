//! Whole stories with the real program and the pretend Argo CD, in real time: from an alert to a recovered service, and what happens when
//! somebody comes first, an answer is lost, or the program is killed between two steps.

mod argo;
mod argocd_bed;
mod binary;
mod pretend;

use std::sync::Arc;
use std::time::Duration;

use argo::{Argo, Becomes, TOKEN as ARGO_TOKEN, commit};
use argocd_bed::labels;
use binary::{Program, TOKEN, head, now};
use hyper::Method;
use pretend::Fault;
use serde_json::{Value, json};
use snapback::case::id::{Duration as Length, Timestamp};

const RULES: &str = r#"[[rule]]
name = "take it back"
action = "rollback"
countdown = "2s"
"#;

/// The controller looks so often.
const PACE: Duration = Duration::from_millis(100);

/// The program, Argo CD, and the alert.
struct Story {
    argo: Arc<Argo>,
    program: Program,
    fired_at: Option<Timestamp>,
}

impl Story {
    /// Commit 1 ran for two hours, commit 2 runs since two minutes.
    fn begin() -> Story {
        Story::begin_with(120, |_| {})
    }

    /// Commit 2 runs since so many seconds.
    fn begin_with(seconds: i64, change: impl FnOnce(&Argo)) -> Story {
        let argo = Argo::start(None);
        argo.has_synced(1, now() - Length::from_secs(7200 + seconds));
        argo.has_synced(2, now() - Length::from_secs(seconds));
        argo.state().takes = Length::from_secs(1);
        change(&argo);
        argo.goes_on(PACE);
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("argo-token"), ARGO_TOKEN).expect("a token");
        binary::furnish(folder.path(), &config(&argo.url()), RULES);
        let mut program = Program::over(folder);
        program.reads_with = Some(TOKEN.to_owned());
        let service = "/v1/services/checkout@production";
        program.wait("the application to be read", service, |service| service["current"].is_string());
        Story { argo, program, fired_at: None }
    }

    fn fires(&mut self) {
        let at = now();
        self.fired_at = Some(at);
        assert_eq!(self.program.post(&labels(), at, None), 200);
    }

    /// The alert clears as soon as this commit was put out last.
    fn clears_when_serving(&self, number: u32) {
        let serves = || self.argo.serves() == commit(number);
        assert!(binary::wait_until(serves), "{number} is not put out: {}", self.program.said());
        if let Some(at) = self.fired_at {
            assert_eq!(self.program.post(&labels(), at, Some(now())), 200);
        }
    }
}

fn config(url: &str) -> String {
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

[providers.argo]
kind = "argocd"
url = "{url}"
token = {{ file = "argo-token" }}
quarantine = "2s"

[[service]]
name = "checkout"
environment = "production"
provider = "argo"
target = {{ application = "checkout", project = "shop" }}
inherit_good = true
soak = "2s"
migrations = "none"
"#,
        head("live")
    )
}

const BOTH: [&str; 2] = ["auto-sync off", "rollback to 1"];

#[test]
fn an_alert_takes_a_finished_release_back() {
    let mut story = Story::begin();
    story.fires();
    story.clears_when_serving(1);
    let case = story.program.wait_for_outcome("recovered");
    assert_eq!(case["from"]["ledger"], "bad", "{case:#}");
    assert_eq!(story.argo.effects(), BOTH);
    assert!(case["evidence"].to_string().contains("history of Argo CD application checkout"), "{case:#}");
    // Git asks for the bad commit as before, and nobody puts it out.
    assert!(!story.argo.state().automated());
}

#[test]
fn a_release_that_is_still_going_out_is_taken_back_on_its_way() {
    let mut story = Story::begin_with(3600, |argo| argo.state().takes = Length::from_secs(20));
    story.argo.pushes(3);
    story.program.wait("commit 3 to be on its way", "/v1/deployments", |listed| {
        let mut all = listed["deployments"].as_array().into_iter().flatten();
        all.any(|one| one["status"] == "going_out" && one["version"] == "33333333")
    });
    // Longer ago than clocks may differ.
    let seen = now();
    assert!(binary::wait_until(|| now() > seen + Length::from_secs(2)));
    story.fires();
    let terminated = || story.argo.effects().iter().any(|effect| effect == "terminate");
    assert!(binary::wait_until(terminated), "it is not terminated: {}", story.program.said());
    story.argo.state().takes = Length::from_secs(1);
    story.clears_when_serving(2);
    story.program.wait_for_outcome("recovered");
    assert_eq!(story.argo.effects()[..2], ["auto-sync off", "terminate"]);
}

#[test]
fn somebody_who_deploys_meanwhile_comes_first() {
    let mut story = Story::begin();
    story.fires();
    story.program.wait("the countdown", "/v1/cases", |cases| cases["cases"][0]["phase"] == "countdown");
    story.argo.pushes(4);
    let case = story.program.wait("the case to stand back", "/v1/cases/checkout@production.1", |case| {
        let told = case["events"].as_array().into_iter().flatten();
        told.filter(|event| event["kind"] == "withdrawn" || event["kind"] == "closed").count() > 0
    });
    assert_ne!(case["outcome"], "recovered", "{case:#}");
    assert_eq!(story.argo.effects(), Vec::<String>::new());
    assert!(binary::wait_until(|| story.argo.serves() == commit(4)), "{}", story.program.said());
}

#[test]
fn a_lost_reply_leads_to_one_act() {
    for (method, part) in [(Method::PATCH, "checkout"), (Method::POST, "rollback")] {
        let mut story = Story::begin();
        story.argo.fault(method.clone(), part, Fault::LoseReply);
        story.fires();
        story.clears_when_serving(1);
        story.program.wait_for_outcome("recovered");
        assert_eq!(story.argo.effects(), BOTH, "{method} {part}");
    }
}

/// Killed with auto-sync off and no rollback yet, and again while the rollback's answer is on its way.
#[test]
fn killed_between_the_steps_it_goes_on() {
    let mut story = Story::begin();
    let switched = story.argo.hear(Method::PATCH, "checkout");
    story.argo.fault(Method::PATCH, "checkout", Fault::HangAfter);
    story.fires();
    switched.recv_timeout(Duration::from_secs(60)).expect("auto-sync to be switched off");
    story.program.kill();
    let asked = story.argo.hear(Method::POST, "rollback");
    story.argo.fault(Method::POST, "rollback", Fault::HangAfter);
    story.program.start_again();
    asked.recv_timeout(Duration::from_secs(60)).expect("the rollback to be asked for");
    story.program.kill();
    story.program.start_again();
    story.clears_when_serving(1);
    story.program.wait_for_outcome("recovered");
    assert_eq!(story.argo.effects(), BOTH);
}

/// Whoever makes the Application anew has its word, and nothing is rolled back against it.
#[test]
fn an_application_set_that_insists_is_told_and_left_to_people() {
    let mut story = Story::begin_with(120, |argo| {
        let owner = json!([{ "kind": "ApplicationSet", "name": "shop", "controller": true }]);
        argo.state().app["metadata"]["ownerReferences"] = owner;
        argo.state().maker_insists = true;
    });
    story.fires();
    let case = story.program.wait_for_outcome("failed");
    assert!(case.to_string().contains("ApplicationSet shop"), "{case:#}");
    assert_eq!(story.argo.serves(), commit(2));
    assert!(
        !story.argo.effects().iter().any(|effect| effect.starts_with("rollback")),
        "{:?}",
        story.argo.effects()
    );
}

#[test]
fn a_target_that_left_the_history_is_told_and_nothing_is_done() {
    let mut story = Story::begin();
    story.argo.state().app["status"]["history"].as_array_mut().expect("a list").remove(0);
    story.fires();
    story.program.wait_for_line(&["holds", "no more", "revisionHistoryLimit"]);
    assert_eq!(story.argo.effects(), Vec::<String>::new());
}

#[test]
fn a_missing_right_fails_the_case_in_argo_cds_own_words() {
    let mut story = Story::begin();
    story.argo.state().may.remove("update");
    story.fires();
    let case = story.program.wait_for_outcome("failed");
    assert!(case.to_string().contains("applications, update, shop/checkout"), "{case:#}");
    assert_eq!((story.argo.writes(), story.argo.effects().len()), (1, 0), "a definite no is not asked again");
}

/// Argo CD itself tells that what it put out does not get well: nobody has to ring first.
#[test]
fn a_release_that_never_gets_well_is_taken_back_without_any_alert() {
    let story = Story::begin_with(3600, |argo| {
        argo.state().becomes.insert(3, Becomes::Degraded("ImagePullBackOff"));
    });
    story.argo.pushes(3);
    let case = story.program.wait_for_outcome("recovered");
    assert_eq!(case["signals"][0]["source"], json!("provider"), "{case:#}");
    let shown: &Value = &case["evidence"];
    assert!(
        shown.to_string().contains("Pod shop/checkout-1") && shown.to_string().contains("ImagePullBackOff"),
        "{shown:#}"
    );
    assert_eq!(story.argo.serves(), commit(2));
}
