//! Plans of one's own with the real program: a flag service that is asked over HTTP before a rollback, and a program that runs after it;
//! and services that go back together.

mod binary;
mod pretend;

use std::os::unix::fs::PermissionsExt as _;
use std::sync::{Arc, Mutex};

use binary::{Program, TOKEN, furnish, head, lay_releases, now, serving, wait_until};
use hyper::Method;
use pretend::{Answer, Asked, Fault, Service, Wire};
use serde_json::{Value, json};
use snapback::case::id::Timestamp;

const RULES: &str = "[[rule]]\nname = \"take it back\"\naction = \"rollback\"\ncountdown = \"1s\"\n";
const FLAG_TOKEN: &str = "flag-token-6f1c";

/// A service of flags: each is on until somebody switches it off.
#[derive(Default)]
struct Flags {
    wire: Wire,
    off: Mutex<Vec<String>>,
}

impl Service for Flags {
    fn wire(&self) -> &Wire {
        &self.wire
    }

    fn answer(self: &Arc<Self>, asked: &Asked) -> Answer {
        if asked.headers.get("authorization").map(String::as_str) != Some(FLAG_TOKEN) {
            return Answer::Json(401, json!({ "message": "who are you?" }));
        }
        self.off.lock().expect("the flags").push(asked.path.clone());
        Answer::Json(200, json!({ "on": false }))
    }
}

/// A program over a release directory, with a flag to switch off before a rollback.
struct Story {
    program: Program,
    flags: Arc<Flags>,
    fired_at: Option<Timestamp>,
}

impl Story {
    fn begin(before: &str, after: &str) -> Story {
        let flags = Arc::new(Flags::default());
        pretend::listen(&flags);
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("srv");
        let settings = SETTINGS
            .replace("BEFORE", before)
            .replace("AFTER", after)
            .replace("FLAGS", &flags.wire.url())
            .replace("SRV", &root.display().to_string());
        furnish(folder.path(), &format!("{}{settings}", head("live")), RULES);
        std::fs::write(folder.path().join("flag-token"), FLAG_TOKEN).expect("a secret");
        let script = folder.path().join("after.sh");
        std::fs::write(&script, AFTER_SH).expect("a program");
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).expect("executable");
        lay_releases(&root);
        let mut program = Program::over(folder);
        program.reads_with = Some(TOKEN.to_owned());
        program.wait_for_releases();
        Story { program, flags, fired_at: None }
    }

    fn fires(&mut self) {
        let at = now();
        self.fired_at = Some(at);
        assert_eq!(self.program.post(&labels(), at, None), 200);
    }

    fn clears_when_back(&self) {
        assert!(wait_until(|| self.serves() == "41"), "41 does not serve: {}", self.program.said());
        assert_eq!(self.program.post(&labels(), self.fired_at.expect("it fired"), Some(now())), 200);
    }

    fn serves(&self) -> String {
        serving(&self.program.path("srv"))
    }

    /// What the program after the rollback wrote, a line for each run.
    fn ran(&self) -> String {
        std::fs::read_to_string(self.program.path("ran")).unwrap_or_default()
    }

    fn needs_human(&self) -> Value {
        self.program.wait("a person to be needed", "/v1/cases/checkout@production.1", |case| {
            case["phase"] == "needs_human"
        })
    }
}

fn labels() -> Value {
    json!({ "alertname": "HighErrorRate", "service": "checkout", "environment": "production", "severity": "critical" })
}

/// Writes down what it was told and what serves; waits where somebody holds it, and fails where somebody says so.
const AFTER_SH: &str = r#"#!/bin/sh
echo "$1 $SNAPBACK_CASE $SNAPBACK_SERVICE $SNAPBACK_ENVIRONMENT $SNAPBACK_FROM $SNAPBACK_TO $SNAPBACK_KEY $FLAG_TOKEN serves $(readlink srv/current)" >> ran
if [ -p gate ]; then cat gate; fi
if [ -e broken ]; then echo "the cache does not answer" >&2; exit 3; fi
"#;

const FLAG_OFF: &str = r#"{ http = { name = "new-checkout off", method = "PATCH", url = "FLAGS/flags/new-checkout", headers = { Authorization = { file = "flag-token" } }, body = '{"on":false}', timeout = "1s" }, on_failure = "stop" }"#;
const PURGE: &str = r#"{ command = { name = "purge", argv = ["./after.sh", "purge"], environment = { FLAG_TOKEN = { file = "flag-token" } }, timeout = "5s" }, on_failure = "continue" }"#;

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
groups = ["sre"]

[groups.sre]
slack_users = []

[approvals.default]
from = ["sre"]

[plans.checkout]
before = [BEFORE]
after = [AFTER]

[providers.hosts]
kind = "directory"

[[service]]
name = "checkout"
environment = "production"
provider = "hosts"
target = { root = "SRV" }
inherit_good = true
soak = "2s"
migrations = "none"
plan = "checkout"
"#;

#[test]
fn a_flag_is_off_before_the_code_goes_back_and_the_cache_purged_after() {
    let mut story = Story::begin(FLAG_OFF, PURGE);
    story.fires();
    story.clears_when_back();
    let case = story.program.wait_for_outcome("recovered");
    let steps = case["plan"]["steps"].as_array().expect("steps").iter();
    let steps: Vec<&str> = steps.filter_map(|step| step["text"].as_str()).collect();
    assert!(steps[0].starts_with("new-checkout off (PATCH to 127.0.0.1"), "{steps:?}");
    assert_eq!(steps[2], "purge (run ./after.sh)");
    let asked = story.flags.wire.calls();
    assert_eq!(asked.len(), 1, "one request: {asked:?}");
    assert_eq!((asked[0].path.as_str(), &asked[0].body), ("/flags/new-checkout", &json!({ "on": false })));
    assert!(asked[0].headers["idempotency-key"].starts_with("snapback/"), "{:?}", asked[0].headers);
    assert_eq!(asked[0].headers["content-type"], "application/json");
    let ran = story.ran();
    let told: Vec<&str> = ran.split_whitespace().collect();
    assert_eq!(told[..6], ["purge", "checkout@production.1", "checkout", "production", "42", "41"], "{ran}");
    assert!(told[6].starts_with("snapback/") && told[7] == FLAG_TOKEN, "{ran}");
    assert!(told[9].ends_with("/41"), "it ran after the code was back: {ran}");
    // T76: the secret went where it belongs, and stands nowhere else.
    let store = std::fs::read(story.program.path("data/snapback.db")).expect("the store");
    let log = std::fs::read(story.program.path("data/snapback.db-wal")).unwrap_or_default();
    for (what, text) in [
        ("store", store),
        ("its log", log),
        ("log", story.program.said().into_bytes()),
        ("case", case.to_string().into_bytes()),
    ] {
        let holds = text.windows(FLAG_TOKEN.len()).any(|part| part == FLAG_TOKEN.as_bytes());
        assert!(!holds, "the secret stands in the {what}");
    }
}

#[test]
fn a_no_before_the_act_stops_it_and_names_the_answer() {
    let mut story = Story::begin(FLAG_OFF, PURGE);
    story.flags.wire.fault(Method::PATCH, "new-checkout", Fault::Refuse(403, "not yours"));
    story.fires();
    let case = story.program.wait_for_outcome("failed");
    assert!(
        case.to_string().contains("answered 403 Forbidden: {\\\"message\\\":\\\"not yours\\\"}"),
        "{case:#}"
    );
    assert_eq!((story.serves(), story.ran()), ("42".to_owned(), String::new()));
    assert_eq!(story.flags.wire.calls().len(), 1);
}

/// What the plan does not wait for fails in sight, and the case recovers all the same.
#[test]
fn a_program_that_fails_after_the_act_is_told_and_not_waited_for() {
    let mut story = Story::begin(FLAG_OFF, PURGE);
    std::fs::write(story.program.path("broken"), "").expect("broken");
    story.fires();
    story.clears_when_back();
    let case = story.program.wait_for_outcome("recovered");
    assert!(case.to_string().contains("ended with status 3: the cache does not answer"), "{case:#}");
}

/// Where the plan does wait, the case failed; what was taken back is locked all the same.
#[test]
fn a_program_that_fails_where_the_plan_waits_fails_the_case_and_keeps_the_lock() {
    let mut story = Story::begin("", &PURGE.replace("continue", "stop"));
    std::fs::write(story.program.path("broken"), "").expect("broken");
    story.fires();
    story.program.wait_for_outcome("failed");
    assert_eq!(story.serves(), "41");
    let service = story.program.get("/v1/services/checkout@production").expect("the service");
    let bad = service["releases"].as_array().expect("releases").iter().find(|one| one["release"] == "42");
    assert_eq!(bad.map(|bad| (&bad["ledger"], &bad["locked"])), Some((&json!("bad"), &json!(true))));
}

/// F3: the flag may be off or not. Nothing more is sent before a person has looked; then the plan goes on.
#[test]
fn a_lost_answer_asks_a_person_and_sends_nothing_twice() {
    let mut story = Story::begin(FLAG_OFF, PURGE);
    story.flags.wire.fault(Method::PATCH, "new-checkout", Fault::LoseReply);
    story.fires();
    let case = story.needs_human();
    assert!(case.to_string().contains("nobody saw how"), "{case:#}");
    assert_eq!((story.serves(), story.flags.wire.calls().len()), ("42".to_owned(), 1));
    let settle = ["cases", "settle", "checkout@production.1", "took-effect", "--yes"];
    let (code, said) = story.program.run(Some(TOKEN), &settle);
    assert_eq!(code, Some(0), "{said}");
    story.clears_when_back();
    story.program.wait_for_outcome("recovered");
    assert_eq!(story.flags.wire.calls().len(), 1);
}

/// By its owner's word twice is harmless: after a lost answer it is sent once more, under the same key.
#[test]
fn a_repeatable_step_is_sent_once_more_under_the_same_key() {
    let mut story =
        Story::begin(&FLAG_OFF.replace("timeout = \"1s\"", "timeout = \"1s\", repeatable = true"), "");
    story.flags.wire.fault(Method::PATCH, "new-checkout", Fault::LoseReply);
    story.fires();
    assert!(wait_until(|| story.flags.wire.calls().len() == 2), "{}", story.program.said());
    story.clears_when_back();
    story.program.wait_for_outcome("recovered");
    let keys: Vec<String> =
        story.flags.wire.calls().iter().map(|call| call.headers["idempotency-key"].clone()).collect();
    assert_eq!((keys.len(), &keys[0]), (2, &keys[1]));
}

/// Killed while a program of the plan runs, which outlives it: it is not run again, and a person is asked how it ended.
#[test]
fn killed_while_a_program_runs_it_is_not_run_again() {
    let mut story = Story::begin("", &PURGE.replace("continue", "stop").replace("\"5s\"", "\"2s\""));
    let gate = story.program.path("gate");
    assert!(std::process::Command::new("mkfifo").arg(&gate).status().expect("mkfifo").success());
    story.fires();
    assert!(wait_until(|| !story.ran().is_empty()), "it did not run: {}", story.program.said());
    story.program.kill();
    std::fs::write(&gate, "go").expect("opened");
    story.program.start_again();
    let case = story.needs_human();
    assert!(case.to_string().contains("nobody saw how \\\"purge"), "{case:#}");
    assert_eq!((story.ran().lines().count(), story.serves()), (1, "41".to_owned()));
}

/// A program that hangs is ended at its deadline, and what follows is told.
#[test]
fn a_program_that_hangs_is_ended_at_its_deadline() {
    let mut story = Story::begin("", &PURGE.replace("continue", "stop").replace("\"5s\"", "\"1s\""));
    let gate = story.program.path("gate");
    assert!(std::process::Command::new("mkfifo").arg(&gate).status().expect("mkfifo").success());
    story.fires();
    let case = story.program.wait_for_outcome("failed");
    assert!(case.to_string().contains("was killed after 1s"), "{case:#}");
}

/// Where the server is away, a person is told all of it: the steps before, the switch, the steps after.
#[test]
fn the_commands_for_a_person_hold_the_steps_of_ones_own() {
    let mut story = Story::begin(FLAG_OFF, PURGE);
    story.program.kill();
    let config = story.program.path("snapback.toml");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_snapback"));
    command.args(["rollback", "checkout@production", "--reason", "seen", "--config"]).arg(config);
    let ended = command.env("SNAPBACK_URL", "http://127.0.0.1:1").output().expect("it runs");
    let said = String::from_utf8(ended.stdout).expect("text");
    let at = |part: &str| said.find(part).unwrap_or_else(|| panic!("no {part}: {said}"));
    let order = [at("curl --fail-with-body --request PATCH"), at("releases/41"), at("./after.sh purge")];
    assert!(order.is_sorted(), "{said}");
    assert!(said.contains("--header 'Authorization: '\"$(cat ") && said.contains("--data-raw"), "{said}");
    assert!(said.contains("SNAPBACK_FROM=42 SNAPBACK_TO=41 FLAG_TOKEN=\"$(cat "), "{said}");
    assert!(!said.contains(FLAG_TOKEN), "{said}");
}

const TOGETHER: &str = r#"
[[service]]
name = "worker"
environment = "production"
provider = "hosts"
target = { root = "WORKER" }
inherit_good = true
soak = "2s"
migrations = "none"
"#;

/// Two real folders: the second goes back after the first, and a stop of the second names what runs where.
#[test]
fn two_services_go_back_together() {
    for is_broken in [false, true] {
        let folder = tempfile::tempdir().expect("a folder");
        let (root, worker) = (folder.path().join("srv"), folder.path().join("worker"));
        let settings = SETTINGS
            .replace("before = [BEFORE]\nafter = [AFTER]", "")
            .replace("plan = \"checkout\"", "with = [\"worker@production\"]")
            .replace("SRV", &root.display().to_string());
        let companion = TOGETHER.replace("WORKER", &worker.display().to_string());
        let companion =
            if is_broken { companion.replace("\" }", "\", restart = [\"false\"] }") } else { companion };
        furnish(folder.path(), &format!("{}{settings}{companion}", head("live")), RULES);
        lay_releases(&root);
        lay_releases(&worker);
        let mut program = Program::over(folder);
        program.reads_with = Some(TOKEN.to_owned());
        program.wait_for_releases();
        let at = now();
        assert_eq!(program.post(&labels(), at, None), 200);
        assert!(wait_until(|| serving(&worker) == "41"), "the worker stays: {}", program.said());
        assert_eq!(serving(&root), "41");
        if is_broken {
            let case = program.wait("a person to be needed", "/v1/cases/checkout@production.1", |case| {
                case["phase"] == "needs_human"
            });
            let said = case.to_string();
            assert!(
                said.contains("checkout@production runs 41 (back), worker@production runs 42 (not back)"),
                "{said}"
            );
            continue;
        }
        assert_eq!(program.post(&labels(), at, Some(now())), 200);
        let case = program.wait_for_outcome("recovered");
        assert!(case["plan"]["steps"].to_string().contains("worker@production: "), "{case:#}");
        let service = program.get("/v1/services/worker@production").expect("the worker");
        assert_eq!(service["current"], "41");
        assert_eq!(program.get("/v1/state").expect("the state")["hold"]["on"], false, "its mark is known");
    }
}
