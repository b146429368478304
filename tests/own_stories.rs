//! Whole stories with the real program and the example deployer in shell, in real time: from an alert to a recovered service, and what
//! happens when somebody comes first or the program is killed.

mod binary;
mod own_bed;

use binary::{Program, TOKEN, head, now};
use own_bed::{By, example, furnish};
use serde_json::{Value, json};
use snapback::case::id::{Duration as Length, Timestamp};

const RULES: &str = r#"[[rule]]
name = "take it back"
action = "rollback"
countdown = "2s"
"#;

/// The program with its deployer, and the alert.
struct Story {
    program: Program,
    fired_at: Option<Timestamp>,
}

impl Story {
    /// v1 ran for two hours, v2 runs since two minutes.
    fn begin() -> Story {
        let folder = tempfile::tempdir().expect("a folder");
        let ago = |seconds: i64| now() - Length::from_secs(seconds);
        furnish(By::Shell, folder.path(), &[("v1", ago(7320)), ("v2", ago(120))]);
        let text = std::fs::read_to_string(example("own-deployer.sh")).expect("the example");
        // Whoever waits for `gate` to go holds a rollback up.
        let put_out =
            "put_out() { # RELEASE: whatever deploys; any command that fails here fails the rollback\n";
        let waits = format!("{put_out}  echo deploying; if [ -p gate ]; then cat gate; fi; echo deployed\n");
        assert!(text.contains(put_out));
        std::fs::write(folder.path().join("deployer.sh"), text.replace(put_out, &waits)).expect("written");
        binary::furnish(folder.path(), &format!("{}{SETTINGS}", head("live")), RULES);
        let mut program = Program::over(folder);
        program.reads_with = Some(TOKEN.to_owned());
        let service = "/v1/services/checkout@production";
        program.wait("the deployer to be read", service, |service| service["current"] == "v2");
        Story { program, fired_at: None }
    }

    fn fires(&mut self) {
        let at = now();
        self.fired_at = Some(at);
        assert_eq!(self.program.post(&labels(), at, None), 200);
    }

    fn serves(&self) -> String {
        let current = std::fs::read_to_string(self.program.path("state/checkout@production/current"))
            .expect("what serves");
        current.trim().to_owned()
    }

    /// The alert clears as soon as v1 serves.
    fn clears_when_back(&self) {
        assert!(binary::wait_until(|| self.serves() == "v1"), "v1 does not serve: {}", self.program.said());
        assert_eq!(self.program.post(&labels(), self.fired_at.expect("it fired"), Some(now())), 200);
    }

    /// Rollbacks by the deployer's own log.
    fn rollbacks(&self) -> usize {
        let log =
            std::fs::read_to_string(self.program.path("state/checkout@production/history")).expect("the log");
        log.lines().filter(|line| line.contains("snapback/")).count()
    }
}

fn labels() -> Value {
    json!({ "alertname": "HighErrorRate", "service": "checkout", "environment": "production", "severity": "critical" })
}

const SETTINGS: &str = r#"
[guards]
clock_skew = "1s"
episode_settle = "2s"

[verify.default]
settle = "1s"
within = "30s"
clear_for = "1s"

[tokens.ada]
token = { file = "token" }
role = "admin"

[providers.own]
kind = "command"
quarantine = "2s"

[[service]]
name = "checkout"
environment = "production"
provider = "own"
target = { argv = ["sh", "deployer.sh"] }
inherit_good = true
soak = "2s"
migrations = "none"
"#;

#[test]
fn an_alert_takes_a_release_back_by_a_program_of_the_users_own() {
    let mut story = Story::begin();
    story.fires();
    story.clears_when_back();
    let case = story.program.wait_for_outcome("recovered");
    assert_eq!(case["from"]["ledger"], "bad", "{case:#}");
    assert_eq!(story.rollbacks(), 1);
}

#[test]
fn somebody_who_deploys_meanwhile_comes_first() {
    let mut story = Story::begin();
    story.fires();
    story.program.wait("the countdown", "/v1/cases", |cases| cases["cases"][0]["phase"] == "countdown");
    let ago = |seconds: i64| now() - Length::from_secs(seconds);
    furnish(By::Shell, &story.program.path("."), &[("v1", ago(7320)), ("v2", ago(130)), ("v3", ago(1))]);
    let case = story.program.wait("the case to stand back", "/v1/cases/checkout@production.1", |case| {
        let told = case["events"].as_array().into_iter().flatten();
        told.filter(|event| event["kind"] == "withdrawn" || event["kind"] == "closed").count() > 0
    });
    assert_ne!(case["outcome"], "recovered", "{case:#}");
    assert_eq!((story.serves(), story.rollbacks()), ("v3".to_owned(), 0));
}

/// Killed while the deployer works, which outlives it, and again while it watches: one rollback, and the same end.
#[test]
fn killed_in_the_middle_it_goes_on() {
    let mut story = Story::begin();
    let gate = story.program.path("gate");
    assert!(std::process::Command::new("mkfifo").arg(&gate).status().expect("mkfifo").success());
    story.fires();
    assert!(binary::wait_until(|| story.rollbacks() == 1), "nothing began: {}", story.program.said());
    story.program.kill();
    story.program.start_again();
    story.program.wait("the case to go on", "/v1/cases", |cases| cases["cases"][0]["phase"].is_string());
    story.program.kill();
    std::fs::write(&gate, "go").expect("opened");
    story.program.start_again();
    story.clears_when_back();
    story.program.wait_for_outcome("recovered");
    assert_eq!(story.rollbacks(), 1);
}
