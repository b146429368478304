//! People are woken, and let sleep again: the real program, a real folder, and a pager over HTTP that takes and refuses as
//! PagerDuty's documents say. `scripts/test` lets PagerDuty's own client judge the pager and every event that was sent.

mod binary;
mod pager;
mod slack;

use std::process::Command;

use binary::{Program, copy, furnish, head, lay_releases, now, wait_until};
use pager::{BEARER, Fault, KEY, Pretend};
use serde_json::{Value, json};
use slack::Workspace;

/// The first case's key.
const CASE: &str = "snapback/checkout@production.1";
const HOLD: &str = "snapback/hold";
/// Of the group that decides.
const ALICE: &str = "token-of-alice";
/// May break the glass.
const LEO: &str = "token-of-leo";
const ADA: &str = "token-of-ada";

const ASKS: &str = "[[rule]]\nname = \"ask\"\naction = \"approve\"\n";
const ACTS: &str = "[[rule]]\nname = \"take it back\"\naction = \"rollback\"\ncountdown = \"1s\"\n";

struct Stage {
    pager: Pretend,
    program: Program,
}

/// Release 41 served for two hours, 42 serves since two minutes. `pages` is what `[pages.…]` says beyond address and key.
fn begin(rules: &str, pages: &str, more: &str) -> Stage {
    let pager = Pretend::open();
    let settings = settings(&pager, pages) + more;
    begin_with(pager, rules, &settings)
}

fn settings(pager: &Pretend, pages: &str) -> String {
    SETTINGS.replace("EVENTS_URL", &pager.events_url()).replace("HOW", pages)
}

fn begin_with(pager: Pretend, rules: &str, settings: &str) -> Stage {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().join("srv");
    let settings = settings.replace("SRV", &root.display().to_string());
    furnish(folder.path(), &format!("{}{settings}", head("live")), rules);
    for (file, secret) in
        [(ALICE, ALICE), (LEO, LEO), (ADA, ADA), ("routing-key", KEY), ("hook-token", BEARER)]
    {
        std::fs::write(folder.path().join(file), secret).expect("a secret");
    }
    lay_releases(&root);
    let mut program = Program::over(folder);
    program.reads_with = Some(ALICE.to_owned());
    program.wait_for_releases();
    Stage { pager, program }
}

impl Stage {
    fn fires(&self) {
        self.tells(None);
    }

    fn tells(&self, ends: Option<snapback::case::id::Timestamp>) {
        let labels =
            json!({ "alertname": "HighErrorRate", "service": "checkout", "environment": "production" });
        assert_eq!(self.program.post(&labels, now(), ends), 200);
    }

    fn asked(&self) {
        self.program
            .wait("the question", "/v1/cases", |cases| cases["cases"][0]["phase"] == "awaiting_approval");
    }

    #[track_caller]
    fn runs(&self, token: &str, arguments: &[&str]) {
        let (code, said) = self.program.run(Some(token), arguments);
        assert_eq!(code, Some(0), "{arguments:?}: {said}");
    }

    fn serving(&self) -> String {
        binary::serving(&self.program.path("srv"))
    }

    /// The thread as it is told without Slack: in the log.
    #[track_caller]
    fn told(&self, words: &str) {
        self.program.wait_for_line(&[words]);
    }
}

impl Drop for Stage {
    /// PagerDuty's own client has the last word on every event that was ever taken.
    fn drop(&mut self) {
        let taken: Vec<Value> = self
            .pager
            .heard()
            .into_iter()
            .filter(|(status, _)| *status == 202)
            .map(|(_, event)| event)
            .collect();
        if std::thread::panicking() || taken.is_empty() {
            return;
        }
        let file = self.program.path("sent.json");
        std::fs::write(&file, Value::from(taken).to_string()).expect("written");
        judge(&["resend", self.pager.base(), KEY, &file.display().to_string()]);
    }
}

/// Lets PagerDuty's own client judge; says loudly where it is not here.
#[expect(clippy::disallowed_methods, reason = "scripts/test says where its tools are")]
fn judge(arguments: &[&str]) {
    let Some(python) = std::env::var_os("SNAPBACK_TEST_PYTHON") else {
        assert!(std::env::var_os("SNAPBACK_TEST_STRICT").is_none(), "SNAPBACK_TEST_PYTHON is not set");
        return eprintln!(
            "LEFT OUT: PagerDuty's client is not here; scripts/test installs it and runs this test"
        );
    };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/pager/judge.py");
    let judged = Command::new(python).arg(script).args(arguments).output().expect("it runs");
    assert!(judged.status.success(), "{}", String::from_utf8_lossy(&judged.stderr));
}

#[test]
fn pagerdutys_own_client_takes_the_pretend_one_for_it() {
    let pager = Pretend::open();
    judge(&["drive", pager.base(), KEY]);
}

#[test]
fn a_question_of_a_tier_that_wakes_people_wakes_them_until_somebody_decides() {
    let pager = Pretend::open();
    let hook = HOOK.replace("HOOK_URL", &pager.hook_url());
    let settings = settings(&pager, "") + &hook;
    let stage = begin_with(pager, ASKS, &settings);
    stage.fires();
    let event = stage.pager.wakes(CASE, "approval");
    let payload = &event["payload"];
    assert_eq!(
        payload["summary"],
        "checkout@production: 42 \u{2192} 41, people are asked; somebody has to decide"
    );
    assert_eq!(
        (&payload["severity"], &payload["source"]),
        (&json!("critical"), &json!("checkout@production"))
    );
    let details = payload["custom_details"].to_string();
    assert!(details.contains("rule \\\"ask\\\"") && details.contains("HighErrorRate"), "{details}");
    assert!(details.contains("switch"), "the steps: {details}");
    stage.told("pagerduty was told to wake people: somebody has to decide");
    stage.runs(ALICE, &["cases", "approve", "checkout@production.1", "--yes"]);
    stage.pager.rests(CASE);
    stage.program.wait("the act", "/v1/services/checkout@production", |service| service["current"] == "41");
    assert_eq!(stage.pager.incident(CASE).opened, 1);

    assert!(wait_until(|| stage.pager.hooks().len() >= 2), "{:#?}", stage.pager.hooks());
    let hooks = stage.pager.hooks();
    assert_eq!((&hooks[0]["action"], &hooks[0]["key"]), (&json!("trigger"), &json!(CASE)), "{hooks:#?}");
    assert_eq!((&hooks[0]["cause"], &hooks[0]["severity"]), (&json!("approval"), &json!("critical")));
    assert_eq!(
        (&hooks[0]["case"], &hooks[1]["action"]),
        (&json!("checkout@production.1"), &json!("resolve"))
    );
}

#[test]
fn a_question_that_nobody_decides_wakes_people_whatever_the_tier() {
    let stage = begin(ASKS, "on = []\nunanswered_after = \"1s\"", "");
    stage.fires();
    stage.asked();
    stage.pager.wakes(CASE, "unanswered");
    stage.runs(ALICE, &["cases", "deny", "checkout@production.1", "--yes"]);
    stage.pager.rests(CASE);
    assert_eq!(stage.serving(), "42");
}

#[test]
fn a_question_of_another_tier_lets_people_sleep() {
    let stage = begin(ASKS, "on = [\"hold\"]", "");
    stage.fires();
    stage.asked();
    stage.runs(ALICE, &["cases", "deny", "checkout@production.1", "--yes"]);
    stage.program.wait_for_outcome("denied");
    assert!(stage.pager.heard().is_empty(), "{:#?}", stage.pager.heard());
}

#[test]
fn what_slack_does_not_take_wakes_people_until_it_does() {
    let slack = Workspace::open();
    slack.block_on(slack.away());
    let pager = Pretend::open();
    let chat = CHAT.replace("API_URL", &slack.api_url()).replace("CHANNEL", slack::DEPLOYS);
    let settings = settings(&pager, "on = []") + &chat;
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().join("srv");
    furnish(
        folder.path(),
        &format!("{}{}", head("live"), settings.replace("SRV", &root.display().to_string())),
        ACTS,
    );
    let secrets = [
        (ALICE, ALICE.to_owned()),
        (LEO, LEO.to_owned()),
        (ADA, ADA.to_owned()),
        ("routing-key", KEY.to_owned()),
        ("bot-token", slack.token()),
        ("signing-secret", slack.signing_secret()),
    ];
    for (file, secret) in secrets {
        std::fs::write(folder.path().join(file), secret).expect("a secret");
    }
    lay_releases(&root);
    let mut program = Program::over(folder);
    program.reads_with = Some(ALICE.to_owned());
    program.wait_for_releases();
    let stage = Stage { pager, program };
    stage.fires();
    // Policy goes on without the chat, and somebody knows.
    stage.pager.wakes(CASE, "untold");
    stage.program.wait("the act", "/v1/services/checkout@production", |service| service["current"] == "41");
    assert!(stage.pager.incident(CASE).open);
    slack.block_on(slack.back());
    stage.pager.rests(CASE);
}

#[test]
fn what_did_not_help_wakes_people_and_stays() {
    let stage = begin(ACTS, "", "");
    stage.fires();
    stage.program.wait("the act", "/v1/services/checkout@production", |service| service["current"] == "41");
    let ended = wait_until(|| {
        stage.fires();
        stage.program.get("/v1/cases").is_some_and(|cases| cases["cases"][0]["outcome"] == "not_recovered")
    });
    assert!(ended, "{:#}", stage.program.get("/v1/cases").unwrap_or_default());
    let event = stage.pager.wakes(CASE, "not_recovered");
    assert_eq!(event["payload"]["severity"], "critical");
    stage.told("pagerduty was told to wake people: the rollback did not help");
    assert!(stage.pager.incident(CASE).open);
}

#[test]
fn a_rollback_that_fails_wakes_people() {
    let pager = Pretend::open();
    let restart = "root = \"SRV\", restart = [\"false\"]";
    let settings = settings(&pager, "").replace("root = \"SRV\"", restart);
    let stage = begin_with(pager, ACTS, &settings);
    stage.fires();
    let ended = wait_until(|| {
        stage.program.get("/v1/cases").is_some_and(|cases| cases["cases"][0]["outcome"].is_string())
    });
    let cases = stage.program.get("/v1/cases").unwrap_or_default();
    assert!(ended && cases["cases"][0]["outcome"] == "failed", "{cases:#}");
    stage.pager.wakes(CASE, "failed");
}

#[test]
fn a_hold_wakes_people_until_it_is_released() {
    let mut stage = begin(ASKS, "", "");
    stage.program.kill();
    let (store, copied) = (stage.program.path("data"), stage.program.path("copy"));
    copy(&store, &copied);
    stage.program.start_again();
    stage.program.kill();
    // The store is put back from a copy; its witness knows better.
    for entry in std::fs::read_dir(&copied).expect("the copy") {
        let entry = entry.expect("a file");
        if entry.file_name().to_string_lossy().starts_with("snapback.db") && !is_witness(&entry.path()) {
            std::fs::copy(entry.path(), store.join(entry.file_name())).expect("put back");
        }
    }
    stage.program.start_again();
    stage.program.wait("a hold", "/v1/state", |state| state["hold"]["on"] == true);
    let event = stage.pager.wakes(HOLD, "hold");
    assert_eq!(event["payload"]["source"], "snapback");
    assert!(event["payload"]["custom_details"]["now"].to_string().contains("snapback resume --hold"));
    // Beginning again wakes nobody twice.
    stage.program.kill();
    stage.program.start_again();
    stage.program.wait("the hold still", "/v1/state", |state| state["hold"]["on"] == true);
    stage.runs(ADA, &["resume", "--hold", "--yes"]);
    stage.pager.rests(HOLD);
    assert_eq!(stage.pager.incident(HOLD).opened, 1);
}

fn is_witness(path: &std::path::Path) -> bool {
    path.to_string_lossy().contains("witness")
}

#[test]
fn broken_glass_wakes_people_whatever_is_configured() {
    let glass = "\n[approvals.careful]\nfrom = [\"sre\"]\nquorum = 2\nbreak_glass = [\"leads\"]\n";
    let rules = format!("{ASKS}approval = \"careful\"\n");
    let stage = begin(&rules, "on = []", glass);
    stage.fires();
    stage.asked();
    let approve = ["cases", "approve", "checkout@production.1", "--break-glass", "the shop is down", "--yes"];
    stage.runs(LEO, &approve);
    let event = stage.pager.wakes(CASE, "break_glass");
    assert_eq!(event["payload"]["severity"], "warning");
    stage.program.wait("the act", "/v1/services/checkout@production", |service| service["current"] == "41");
    stage.tells(Some(now()));
    stage.program.wait_for_outcome("recovered");
    stage.pager.rests(CASE);
}

#[test]
fn a_pager_that_refuses_is_told_in_the_thread_and_not_asked_again() {
    let stage = begin(ASKS, "", "");
    stage.pager.faults(&[Fault::Answers(400)]);
    stage.fires();
    stage.told(
        "pagerduty could not be told to wake people (somebody has to decide): it answers 400 Bad Request",
    );
    stage.runs(ALICE, &["cases", "deny", "checkout@production.1", "--yes"]);
    stage.program.wait_for_outcome("denied");
    let resolved = || stage.pager.heard().iter().any(|(_, event)| event["event_action"] == "resolve");
    assert!(wait_until(resolved), "{:#?}", stage.pager.heard());
    let triggers = stage.pager.heard().iter().filter(|(_, event)| event["event_action"] == "trigger").count();
    assert_eq!(triggers, 1, "{:#?}", stage.pager.heard());
    let scrape = || stage.program.read("/metrics").expect("metrics").1;
    for line in ["snapback_pages_total{ending=\"refused\"} 1", "snapback_unsent_pages 0.0"] {
        assert!(wait_until(|| scrape().lines().any(|own| own == line)), "{line}: {}", scrape());
    }
}

#[test]
fn whatever_goes_wrong_on_the_way_there_is_one_incident() {
    let stage = begin(ASKS, "", "");
    stage.pager.faults(&[Fault::Answers(503), Fault::AsksToWait(429, 1), Fault::TakesAndFails]);
    stage.fires();
    stage.told("pagerduty was told to wake people");
    let incident = stage.pager.incident(CASE);
    assert_eq!((incident.open, incident.opened, incident.events.len()), (true, 1, 2), "{incident:#?}");
    let statuses: Vec<u16> = stage.pager.heard().iter().map(|(status, _)| *status).collect();
    assert_eq!(statuses, [503, 429, 500, 202]);
}

#[test]
fn a_pager_that_sends_us_elsewhere_is_not_followed() {
    let stage = begin(ASKS, "", "");
    stage.pager.faults(&[Fault::Redirects]);
    stage.fires();
    stage.told("could not be told to wake people (somebody has to decide): it answers 307");
    assert!(stage.pager.hooks().is_empty());
}

#[test]
fn a_restart_while_the_pager_is_away_wakes_people_once() {
    let mut stage = begin(ASKS, "", "");
    stage.pager.away(true);
    stage.fires();
    assert!(wait_until(|| !stage.pager.heard().is_empty()), "nothing was tried: {}", stage.program.said());
    stage.program.kill();
    stage.program.start_again();
    stage.pager.away(false);
    stage.pager.wakes(CASE, "approval");
    stage.program.kill();
    stage.program.start_again();
    stage.asked();
    stage.runs(ALICE, &["cases", "deny", "checkout@production.1", "--yes"]);
    stage.pager.rests(CASE);
    assert_eq!(stage.pager.incident(CASE).opened, 1);
}

#[test]
fn what_is_over_before_the_pager_is_back_wakes_nobody() {
    let stage = begin(ASKS, "", "");
    stage.pager.away(true);
    stage.fires();
    stage.asked();
    stage.runs(ALICE, &["cases", "deny", "checkout@production.1", "--yes"]);
    stage.program.wait_for_outcome("denied");
    stage.pager.away(false);
    let resolved = || {
        stage.pager.heard().iter().any(|(status, event)| *status == 202 && event["event_action"] == "resolve")
    };
    assert!(wait_until(resolved), "{:#?}", stage.pager.heard());
    assert!(stage.pager.keys().is_empty(), "{:?}", stage.pager.keys());
}

#[test]
fn a_pager_that_is_mended_while_it_is_needed_is_told() {
    let stage = begin(ASKS, "", "");
    stage.pager.away(true);
    stage.fires();
    assert!(wait_until(|| !stage.pager.heard().is_empty()), "nothing was tried: {}", stage.program.said());
    let other = Pretend::open();
    let root = stage.program.path("srv");
    let mended = settings(&other, "").replace("SRV", &root.display().to_string());
    stage.program.rewrite(&format!("{}{mended}", head("live")));
    stage.program.hang_up();
    other.wakes(CASE, "approval");
}

const HOOK: &str = r#"
[pages.hook]
kind = "webhook"
url = "HOOK_URL"
bearer_token = { file = "hook-token" }
"#;

const CHAT: &str = r#"
[slack]
bot_token = { file = "bot-token" }
signing_secret = { file = "signing-secret" }
channel = "CHANNEL"
api_url = "API_URL"
"#;

const SETTINGS: &str = r#"
[pages.pagerduty]
routing_key = { file = "routing-key" }
url = "EVENTS_URL"
HOW

[tokens.alice]
token = { file = "token-of-alice" }
role = "operator"
groups = ["sre"]

[tokens.leo]
token = { file = "token-of-leo" }
role = "operator"
groups = ["leads"]

[tokens.ada]
token = { file = "token-of-ada" }
role = "admin"

[approvals.default]
from = ["sre"]

[guards]
clock_skew = "1s"
episode_settle = "1s"
provider_grace = "30s"

[verify.default]
settle = "1s"
within = "3s"
clear_for = "1s"

[providers.hosts]
kind = "directory"

[[service]]
name = "checkout"
environment = "production"
provider = "hosts"
target = { root = "SRV" }
tier = "critical"
soak = "2s"
inherit_good = true
migrations = "none"
"#;
