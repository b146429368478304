//! Whole stories with the real program and the pretend GitHub, in real time: from an alert to a recovered service, and what happens when
//! somebody comes first, an answer is lost, a review is asked for, or the program is killed on its way.

mod binary;
mod github_bed;
mod hub;
mod pretend;

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use binary::{Program, TOKEN, head, now};
use github_bed::labels;
use hub::{Hub, TOKEN as HUB_TOKEN};
use hyper::Method;
use pretend::Fault;
use serde_json::json;
use snapback::case::id::{Duration as Length, Timestamp};

const RULES: &str = r#"[[rule]]
name = "take it back"
action = "rollback"
countdown = "2s"
"#;

/// Runs go on so often.
const PACE: Duration = Duration::from_millis(100);

/// By which GitHub signs what it sends.
const SECRET: &str = "a secret of the webhook";

const WHOLE: [&str; 3] = ["rollback to 1", "deployment of 1", "status success"];

/// The program, GitHub, and the alert.
struct Story {
    hub: Arc<Hub>,
    program: Program,
    fired_at: Option<Timestamp>,
}

impl Story {
    /// Commit 1 ran for two hours, commit 2 runs since two minutes.
    fn begin() -> Story {
        Story::begin_with(120, |_| {})
    }

    /// Commit 2 runs since so many seconds.
    fn begin_with(seconds: i64, change: impl FnOnce(&Hub)) -> Story {
        let hub = Hub::start(None);
        hub.has_deployed(1, now() - Length::from_secs(7200 + seconds));
        hub.has_deployed(2, now() - Length::from_secs(seconds));
        hub.state().takes = Length::from_secs(1);
        change(&hub);
        hub.goes_on(PACE);
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("github-token"), HUB_TOKEN).expect("a token");
        std::fs::write(folder.path().join("webhook-secret"), SECRET).expect("a secret");
        binary::furnish(folder.path(), &config(&hub.url()), RULES);
        let mut program = Program::over(folder);
        program.reads_with = Some(TOKEN.to_owned());
        let service = "/v1/services/checkout@production";
        program.wait("the environment to be read", service, |service| service["current"].is_string());
        Story { hub, program, fired_at: None }
    }

    fn fires(&mut self) {
        let at = now();
        self.fired_at = Some(at);
        assert_eq!(self.program.post(&labels(), at, None), 200);
    }

    /// GitHub sends what was said last of the newest deployment.
    fn is_told(&self) {
        let body = self.hub.event().to_string();
        let signed = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes()), body.as_bytes());
        let hex: String = signed.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        let shown = format!("sha256={hex}");
        let heads = [("Content-Type", "application/json"), ("X-Hub-Signature-256", &*shown)];
        assert_eq!(self.program.send("/v1/deployments/github", &heads, &body), 200);
    }

    /// The alert clears as soon as this commit is there.
    fn clears_when_serving(&self, number: u32) {
        let serves = || self.hub.live() == number;
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
groups = ["sre"]

[approvals.default]
from = ["sre"]

[providers.github]
kind = "github-actions"
url = "{url}"
token = {{ file = "github-token" }}
quarantine = "2s"

[feeds.github]
kind = "github"
secret = {{ file = "webhook-secret" }}

[[service]]
name = "checkout"
environment = "production"
provider = "github"
target = {{ repository = "acme/checkout", workflow = "rollback.yml", ref = "main" }}
inherit_good = true
soak = "2s"
migrations = "none"
"#,
        head("live")
    )
}

#[test]
fn an_alert_takes_a_finished_release_back() {
    let mut story = Story::begin();
    story.fires();
    story.clears_when_serving(1);
    let case = story.program.wait_for_outcome("recovered");
    assert_eq!(case["from"]["ledger"], "bad", "{case:#}");
    assert_eq!(story.hub.effects(), WHOLE);
    assert!(case["evidence"].to_string().contains("deployments to production of acme/checkout"), "{case:#}");
    assert_eq!(story.hub.told()[0], (1, "rollback".to_owned(), "success".to_owned()));
}

#[test]
fn a_release_that_is_still_going_out_is_cancelled_and_taken_back() {
    let mut story = Story::begin_with(3600, |hub| hub.state().takes = Length::from_secs(30));
    story.hub.deploys(3);
    story.is_told();
    story.program.wait("commit 3 to be on its way", "/v1/deployments", |listed| {
        let mut all = listed["deployments"].as_array().into_iter().flatten();
        all.any(|one| one["status"] == "going_out" && one["version"] == "33333333")
    });
    // Longer ago than clocks may differ.
    let seen = now();
    assert!(binary::wait_until(|| now() > seen + Length::from_secs(2)));
    story.fires();
    let cancelled = || story.hub.effects().iter().any(|effect| effect == "cancel 3");
    assert!(binary::wait_until(cancelled), "it is not cancelled: {}", story.program.said());
    story.hub.state().takes = Length::from_secs(1);
    story.clears_when_serving(2);
    story.program.wait_for_outcome("recovered");
    assert_eq!(story.hub.effects()[..2], ["cancel 3", "rollback to 2"]);
}

#[test]
fn somebody_who_deploys_meanwhile_comes_first() {
    let mut story = Story::begin();
    story.fires();
    story.program.wait("the countdown", "/v1/cases", |cases| cases["cases"][0]["phase"] == "countdown");
    story.hub.deploys(4);
    let case = story.program.wait("the case to stand back", "/v1/cases/checkout@production.1", |case| {
        let told = case["events"].as_array().into_iter().flatten();
        told.filter(|event| event["kind"] == "withdrawn" || event["kind"] == "closed").count() > 0
    });
    assert_ne!(case["outcome"], "recovered", "{case:#}");
    assert_eq!(story.hub.effects(), Vec::<String>::new());
    assert!(binary::wait_until(|| story.hub.live() == 4), "{}", story.program.said());
}

#[test]
fn a_lost_reply_leads_to_one_act() {
    for part in ["/dispatches", "/deployments", "/statuses"] {
        let mut story = Story::begin();
        story.hub.fault(Method::POST, part, Fault::LoseReply);
        story.fires();
        story.clears_when_serving(1);
        story.program.wait_for_outcome("recovered");
        assert_eq!(story.hub.effects(), WHOLE, "{part}");
    }
}

/// Killed while the answer to the dispatch is on its way, and again while that of what is written is.
#[test]
fn killed_on_its_way_it_goes_on() {
    let mut story = Story::begin();
    let started = story.hub.hear(Method::POST, "/dispatches");
    story.hub.fault(Method::POST, "/dispatches", Fault::HangAfter);
    story.fires();
    started.recv_timeout(Duration::from_secs(60)).expect("the workflow to be started");
    story.program.kill();
    let written = story.hub.hear(Method::POST, "/deployments");
    story.hub.fault(Method::POST, "/deployments", Fault::HangAfter);
    story.program.start_again();
    written.recv_timeout(Duration::from_secs(60)).expect("a deployment to be written");
    story.program.kill();
    story.program.start_again();
    story.clears_when_serving(1);
    story.program.wait_for_outcome("recovered");
    assert_eq!(story.hub.effects(), WHOLE);
}

/// Who owns the environment has it reviewed: nobody goes around that, and when the review is given the case goes on.
#[test]
fn a_review_is_for_people_and_looking_again_goes_on() {
    let mut story = Story::begin_with(120, |hub| hub.state().reviewers = vec!["cy"]);
    story.fires();
    let path = "/v1/cases/checkout@production.1";
    let case = story.program.wait("a person to be asked", path, |case| case["phase"] == "needs_human");
    assert!(case.to_string().contains("review of production by cy"), "{case:#}");
    assert!(case.to_string().contains("https://github.com/acme/checkout/actions/runs/"), "{case:#}");
    assert_eq!(story.hub.live(), 2);
    story.hub.approves();
    story.clears_when_serving(1);
    let (code, said) =
        story.program.run(Some(TOKEN), &["cases", "settle", "checkout@production.1", "look-again", "--yes"]);
    assert_eq!(code, Some(0), "{said}");
    story.program.wait_for_outcome("recovered");
    assert_eq!(story.hub.effects(), WHOLE);
}

/// Whoever can push to its branch would decide what a rollback runs.
#[test]
fn a_branch_that_is_not_protected_is_told_and_nothing_is_done() {
    let mut story = Story::begin_with(120, |hub| {
        hub.state().branches.get_mut("main").expect("main").protected = false;
    });
    story.fires();
    story.program.wait_for_line(&["branch main of acme/checkout is not protected"]);
    assert_eq!(story.hub.writes(), 0);
}

#[test]
fn a_target_whose_commit_is_gone_is_told_and_nothing_is_done() {
    let mut story = Story::begin_with(120, |hub| {
        hub.state().gone.insert(1);
    });
    story.fires();
    let cases =
        story.program.wait("a verdict", "/v1/cases", |cases| cases["cases"][0]["verdict"].is_string());
    assert_eq!(cases["cases"][0]["verdict"], "notify", "{cases:#}");
    assert_eq!(story.hub.writes(), 0);
}

#[test]
fn a_missing_right_fails_the_case_in_githubs_own_words() {
    let mut story = Story::begin();
    story.hub.state().may.remove("actions");
    story.fires();
    let case = story.program.wait_for_outcome("failed");
    assert!(case.to_string().contains("Resource not accessible by integration"), "{case:#}");
    assert_eq!((story.hub.writes(), story.hub.effects().len()), (1, 0), "a definite no is not asked again");
}

/// The guard for fixes that would be undone: the row says rollback, and people are asked all the same, with the reason.
#[test]
fn a_fix_that_would_be_undone_is_asked_about() {
    let mut story = Story::begin_with(120, |hub| {
        hub.state().messages.insert(2, "close a hole (CVE-2026-1234)");
    });
    story.fires();
    let path = "/v1/cases/checkout@production.1";
    let case = story.program.wait("the question", path, |case| case["phase"] == "awaiting_approval");
    assert_eq!(case["verdict"], "approve", "{case:#}");
    story.program.wait_for_line(&["fixes_undone", "it would undo what mends something: 22222222"]);
    story.program.wait_for_line(&["it takes back 1 commit by ben"]);
    assert_eq!(story.hub.writes(), 0);
}

/// GitHub itself tells that a deployment failed: nobody has to ring first.
#[test]
fn a_deployment_that_fails_is_taken_back_without_any_alert() {
    let story = Story::begin_with(3600, |hub| {
        hub.state().fails.insert(3, "migrate");
    });
    story.hub.deploys(3);
    let failed = || story.hub.event()["deployment_status"]["state"] == "failure";
    assert!(binary::wait_until(failed), "it does not fail");
    story.is_told();
    let case = story.program.wait_for_outcome("recovered");
    assert_eq!(case["signals"][0]["source"], json!("provider"), "{case:#}");
    assert!(case["evidence"].to_string().contains("at step migrate"), "{case:#}");
    assert_eq!(story.hub.live(), 2);
}
