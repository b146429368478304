//! People who act on the real program, by command and over HTTP: who may, what becomes of it on a real folder, and which
//! answer and exit code a no has.

mod binary;

use binary::{Program, furnish, head, lay_releases, now};
use serde_json::{Value, json};

const SERVICE: &str = "checkout@production";
/// Of the group that decides.
const ALICE: Option<&str> = Some("token-of-alice");
/// An operator of another group.
const OSCAR: Option<&str> = Some("token-of-oscar");
/// As Alice.
const BOB: Option<&str> = Some("token-of-bob");
/// Of the group that may break the glass, and decides nothing otherwise.
const LEA: Option<&str> = Some("token-of-lea");
const VERA: Option<&str> = Some("token-of-vera");
const ADA: Option<&str> = Some("token-of-ada");

/// Release 41 served for two hours, 42 serves since two minutes.
fn begin(rules: &str) -> Program {
    begin_with(rules, |_| {})
}

/// The same, after something was changed in the release directory.
fn begin_with(rules: &str, change: impl FnOnce(&std::path::Path)) -> Program {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().join("srv");
    let settings = SETTINGS.replace("SRV", &root.display().to_string());
    furnish(folder.path(), &format!("{}{settings}", head("live")), rules);
    for token in [ALICE, BOB, LEA, OSCAR, VERA, ADA].into_iter().flatten() {
        std::fs::write(folder.path().join(token), token).expect("a token");
    }
    lay_releases(&root);
    change(&root);
    let mut program = Program::over(folder);
    program.reads_with = VERA.map(str::to_owned);
    program.wait_for_releases();
    program
}

fn serving(program: &Program) -> String {
    binary::serving(&program.path("srv"))
}

/// What was put out, by the folder's own log.
fn put_out(program: &Program) -> Vec<String> {
    let log = std::fs::read_to_string(program.path("srv/deployments.jsonl")).expect("the log");
    let release = |line: &str| -> String {
        let line: Value = serde_json::from_str(line).expect("a line of the log");
        line["release"].as_str().expect("a release").to_owned()
    };
    log.lines().map(release).collect()
}

fn fires(program: &Program) {
    let labels = json!({ "alertname": "HighErrorRate", "service": "checkout", "environment": "production" });
    assert_eq!(program.post(&labels, now(), None), 200);
}

/// A command that ends so, and says so.
#[track_caller]
fn ends(program: &Program, token: Option<&str>, arguments: &[&str], code: i32, says: &str) {
    let (ended, said) = program.run(token, arguments);
    assert!(ended == Some(code) && said.contains(says), "{arguments:?}: {ended:?}, wanted {code}: {said}");
}

fn phase(cases: &Value) -> &str {
    cases["cases"][0]["phase"].as_str().unwrap_or("none")
}

#[test]
fn whoever_may_approves_and_nobody_else_does() {
    let program = begin(ASKS);
    fires(&program);
    let cases = program.wait("the question", "/v1/cases", |cases| phase(cases) == "awaiting_approval");
    let id = cases["cases"][0]["id"].as_str().expect("a case").to_owned();
    let approve = ["cases", "approve", &id, "--yes"];

    ends(&program, None, &approve, 1, "SNAPBACK_TOKEN");
    ends(&program, VERA, &approve, 3, "takes operator");
    ends(&program, OSCAR, &approve, 3, "token:oscar is not in a group that decides here: sre");
    ends(&program, ADA, &approve, 3, "token:ada is not in a group");
    ends(&program, ALICE, &["cases", "approve", &id], 3, "switch");
    let path = format!("/v1/cases/{id}/approve");
    let another = json!({ "plan": "0".repeat(64) }).to_string();
    let (status, answer) = program.post_admin(ALICE.expect("hers"), &path, "application/json", &another);
    assert_eq!((status, &answer["type"]), (409, &"urn:snapback:problem:conflict".into()), "{answer}");
    for how in ["look-again", "took-effect", "give-up"] {
        ends(&program, ALICE, &["cases", "settle", &id, how, "--yes"], 3, "it needs nobody to settle it");
    }
    assert_eq!(serving(&program), "42", "none of these did anything");

    ends(&program, ALICE, &approve, 0, "heard; it counts");
    program.wait("the act", "/v1/services/checkout@production", |service| service["current"] == "41");
    assert_eq!(serving(&program), "41");
    ends(&program, ALICE, &approve, 3, "nothing is asked here now");
    let case = program.get(&format!("/v1/cases/{id}")).expect("the case");
    assert_eq!(case["votes"][0]["by"], "token:alice", "{case:#}");
    assert_eq!(case["votes"].as_array().map(Vec::len), Some(1), "{case:#}");
}

/// What was taken back goes out again by those who decide, and is blamed no longer.
#[test]
fn what_was_rolled_back_goes_forward_again() {
    let program = begin(ASKS);
    let forward = ["rollforward", SERVICE, "--reason", "it was the partner", "--yes"];
    ends(&program, ALICE, &forward, 3, "nothing was rolled back here");
    ends(&program, ALICE, &["rollback", SERVICE, "--reason", "the basket is empty", "--yes"], 0, "plans it");
    program.wait("the act", "/v1/services/checkout@production", |service| service["current"] == "41");
    ends(&program, ALICE, &forward, 3, "is open");
    program.wait_for_outcome("recovered");
    ends(&program, OSCAR, &forward, 3, "is not in a group that decides here");
    ends(&program, ALICE, &forward, 0, "plans to put 42 out again");
    program.wait("42 again", "/v1/services/checkout@production", |service| {
        let is_free = |release: &Value| release["release"] == "42" && release["locked"] == false;
        service["current"] == "42"
            && service["releases"].as_array().is_some_and(|all| all.iter().any(is_free))
    });
    let service = program.get("/v1/services/checkout@production").expect("the service");
    let releases = service["releases"].as_array().expect("releases");
    let left = releases.iter().find(|release| release["release"] == "41").expect("41");
    assert!(left["ledger"] != "bad" && left["locked"] == false, "{service:#}");
}

#[test]
fn a_rollback_by_command_asks_and_is_done_once() {
    let program = begin(ASKS);
    let rollback = ["rollback", SERVICE, "--reason", "the basket is empty", "--yes"];
    ends(&program, VERA, &rollback, 3, "takes operator");
    ends(
        &program,
        ALICE,
        &["rollback", "nobody@production", "--reason", "x", "--yes"],
        1,
        "snapback services",
    );
    ends(&program, ALICE, &["rollback", SERVICE, "--to", "39", "--reason", "x", "--yes"], 3, "39");
    // Whoever operates may ask for one; whoever may approve decides.
    ends(&program, OSCAR, &rollback, 0, "whoever may approve is asked");
    let cases = program.wait("the question", "/v1/cases", |cases| phase(cases) == "awaiting_approval");
    let id = cases["cases"][0]["id"].as_str().expect("a case").to_owned();
    ends(&program, OSCAR, &["cases", "deny", &id, "--yes"], 3, "is not in a group");
    ends(&program, ALICE, &["cases", "deny", &id, "--yes"], 0, "heard; it counts");
    assert_eq!(program.wait_for_outcome("denied")["id"], id.as_str());
    ends(&program, ALICE, &["cases", "cancel", &id, "--yes"], 3, "is not open");
    assert_eq!(serving(&program), "42");

    // The wish of somebody who may approve is their yes, and one is enough here.
    let to = ["rollback", SERVICE, "--to", "40", "--reason", "older", "--yes"];
    ends(&program, ALICE, &to, 0, "your wish is your yes");
    program.wait("the act", "/v1/services/checkout@production", |service| service["current"] == "40");
    assert_eq!(serving(&program), "40");
    let done = |case: &Value| case["phase"] == "verifying" || case["outcome"].is_string();
    let case = program.wait("the act to be done", &format!("/v1/cases/{SERVICE}.2"), done);
    assert_eq!(case["votes"][0]["by"], "token:alice", "{case:#}");
    assert_eq!(put_out(&program), ["40", "41", "42", "40"], "{case:#}");
}

/// What is shown is the plan that would be asked about, and the yes is to that one alone.
#[test]
fn a_rollback_by_command_shows_its_plan_and_is_a_yes_to_no_other() {
    let program = begin(ASKS);
    let rollback = ["rollback", SERVICE, "--reason", "the basket is empty"];
    let (ended, said) = program.run(ALICE, &rollback);
    assert_eq!(ended, Some(3), "nobody agreed: {said}");
    let root = program.path("srv").display().to_string();
    for shown in
        ["42 \u{2192} 41 (inherited)", &format!("1. switch {root}/current to releases/41"), "2. lock 42"]
    {
        assert!(said.contains(shown), "{shown}: {said}");
    }
    let (ended, said) = program.run(ALICE, &["rollback", SERVICE, "--to", "40", "--reason", "x"]);
    assert!(ended == Some(3) && said.contains("to releases/40"), "{said}");
    let unknown = ["rollback", SERVICE, "--to", "39", "--reason", "x", "--yes"];
    ends(&program, ALICE, &unknown, 3, "no release 39 is known here");
    assert_eq!(program.get("/v1/cases").expect("cases")["cases"], json!([]), "looking opens no case");
    assert_eq!(put_out(&program), ["40", "41", "42"]);

    let path = "/v1/services/checkout@production/rollback";
    let alice = ALICE.expect("hers");
    let ask = |body: Value| program.post_admin(alice, path, "application/json", &body.to_string());
    let (status, shown) = ask(json!({ "reason": "it is down", "preview": true }));
    assert_eq!((status, &shown["status"]), (200, &"preview".into()), "{shown:#}");
    // Somebody puts 43 out between the look and the yes.
    let line = format!("{{\"release\":\"43\",\"at\":\"{}\",\"by\":\"kim\"}}\n", now());
    let log = program.path("srv/deployments.jsonl");
    let known = std::fs::read_to_string(&log).expect("the log");
    std::fs::write(&log, known + &line).expect("the log");
    std::os::unix::fs::symlink("releases/43", program.path("srv/next")).expect("a link");
    std::fs::rename(program.path("srv/next"), program.path("srv/current")).expect("switched");
    let (status, answer) = ask(json!({ "reason": "it is down", "plan": shown["plan"]["digest"] }));
    assert_eq!(status, 200, "{answer}");
    let cases = program.wait("the question", "/v1/cases", |cases| phase(cases) == "awaiting_approval");
    let case = &cases["cases"][0];
    assert_eq!((&case["from"]["release"], &case["votes"]), (&"43".into(), &json!([])), "{case:#}");
    program.wait_for_line(&["asked because the plan is another one than was shown to token:alice"]);
    assert_eq!(serving(&program), "43");
}

/// Nobody goes back over 42 by a mark in its manifest: two people say yes, each by a word that they type, through whichever door.
#[test]
fn what_is_irreversible_takes_two_who_type_it() {
    let program = begin_with(ASKS, |root| {
        std::fs::write(root.join("releases/42/release.toml"), "rollback = \"irreversible\"\n")
            .expect("written");
    });
    let rollback = |more: &[&'static str]| -> Vec<&str> {
        ["rollback", SERVICE, "--reason", "the basket is empty", "--yes"]
            .iter()
            .chain(more)
            .copied()
            .collect()
    };
    ends(&program, ALICE, &rollback(&[]), 3, "give --confirm irreversible");
    assert_eq!(program.get("/v1/cases").expect("cases")["cases"], json!([]));
    ends(&program, ALICE, &rollback(&["--confirm", "irreversible"]), 0, "your wish is your yes");
    let cases = program.wait("her vote", "/v1/cases", |cases| cases["cases"][0]["votes"][0].is_object());
    let (id, plan) = (&cases["cases"][0]["id"], &cases["cases"][0]["plan"]);
    assert_eq!((phase(&cases), &plan["confirm"]), ("awaiting_approval", &"irreversible".into()), "{cases:#}");
    let id = id.as_str().expect("a case").to_owned();

    let path = format!("/v1/cases/{id}/approve");
    for typed in [json!(null), json!("yes")] {
        let body = json!({ "plan": plan["digest"], "confirm": typed }).to_string();
        for who in [BOB, LEA] {
            let (status, answer) = program.post_admin(who.expect("theirs"), &path, "application/json", &body);
            assert!(status == 409 || who == LEA && status == 403, "{who:?}: {answer}");
        }
    }
    let glass = ["cases", "approve", &id, "--yes", "--break-glass", "nobody else is awake"];
    ends(&program, LEA, &glass, 3, "give --confirm irreversible");
    ends(&program, BOB, &["cases", "approve", &id, "--yes"], 3, "give --confirm irreversible");
    ends(
        &program,
        BOB,
        &["cases", "approve", &id, "--yes", "--confirm", "sure"],
        3,
        "--confirm irreversible",
    );
    assert_eq!(serving(&program), "42", "none of these did anything");
    let glass: Vec<&str> = glass.into_iter().chain(["--confirm", "irreversible"]).collect();
    ends(&program, LEA, &glass, 0, "heard; it counts");
    program.wait("the act", "/v1/services/checkout@production", |service| service["current"] == "41");
    program.wait_for_line(&["token:lea says yes, breaking the glass: nobody else is awake"]);
}

/// Without the server a person is given what they can run, and what nobody but the server knew is said.
#[test]
fn a_rollback_without_the_server_prints_what_a_person_runs() {
    let mut program = begin(ASKS);
    let config = program.path("snapback.toml");
    let settled = std::fs::read_to_string(&config).expect("the configuration");
    let touched = program.path("it's taken up");
    let restart = format!("restart = [\"touch\", \"{}\"] }}\nsoak", touched.display());
    std::fs::write(&config, settled.replace("}\nsoak", &format!(", {restart}"))).expect("written");
    program.kill();
    let rollback = |more: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_snapback"));
        command.args(["rollback", SERVICE, "--reason", "the basket is empty", "--config"]).arg(&config);
        command.args(more).env("SNAPBACK_URL", "http://127.0.0.1:1").env_remove("SNAPBACK_TOKEN");
        let ended = command.output().expect("it runs");
        let [out, err] = [ended.stdout, ended.stderr].map(|text| String::from_utf8(text).expect("text"));
        assert_eq!(ended.status.code(), Some(1), "{out}\n{err}");
        assert!(err.contains("the server cannot be reached") && err.contains("nothing was done"), "{err}");
        (out, err)
    };
    let (commands, said) = rollback(&[]);
    assert!(said.contains("42 \u{2192} 41 (inherited)"), "{said}");
    assert!(said.contains("is told by the store of the server on this machine"), "{said}");
    assert_eq!(serving(&program), "42", "it is for a person to run");
    let (older, _) = rollback(&["--to", "40"]);
    assert!(older.contains("releases/40"), "{older}");
    let (_, unknown) = rollback(&["--to", "39"]);
    assert!(unknown.contains("no release 39 is known here"), "{unknown}");

    std::fs::rename(program.path("data"), program.path("elsewhere")).expect("the store goes");
    let (again, said) = rollback(&[]);
    assert_eq!(again, commands, "the provider's history leads to the same release");
    assert!(said.contains("cannot be known without the server"), "{said}");

    let ran = std::process::Command::new("sh").args(["-c", &commands]).status().expect("a shell");
    assert!(ran.success(), "{commands}");
    assert_eq!(serving(&program), "41", "{commands}");
    assert!(touched.exists(), "{commands}");
}

#[test]
fn services_are_frozen_marked_and_paused_by_whoever_may() {
    let program = begin(ACTS);
    let service = "/v1/services/checkout@production";
    ends(&program, OSCAR, &["freeze", SERVICE, "--for", "soon", "--reason", "x", "--yes"], 2, "--for");
    ends(
        &program,
        OSCAR,
        &["freeze", SERVICE, "--for", "2h", "--reason", "a sale", "--yes"],
        0,
        "frozen until",
    );
    let frozen = program.get(service).expect("the service");
    assert_eq!(frozen["freeze"]["reason"], "a sale", "{frozen:#}");
    ends(&program, OSCAR, &["unfreeze", SERVICE, "--yes"], 3, "sre");
    ends(&program, ALICE, &["unfreeze", SERVICE, "--yes"], 0, "not frozen");
    ends(&program, ALICE, &["unfreeze", SERVICE, "--yes"], 3, "it is not frozen");

    let ledger = |of: &Value, release: &str| {
        let all = of["releases"].as_array().expect("releases").iter();
        all.clone().find(|one| one["release"] == release).expect("it is there")["ledger"].clone()
    };
    ends(
        &program,
        ALICE,
        &["mark", "bad", SERVICE, "--release", "41", "--reason", "slow", "--yes"],
        0,
        "41 is bad",
    );
    assert_eq!(ledger(&program.get(service).expect("it"), "41"), "bad");
    ends(
        &program,
        ALICE,
        &["mark", "good", SERVICE, "--release", "41", "--reason", "fine", "--yes"],
        0,
        "41 is good",
    );
    assert_eq!(ledger(&program.get(service).expect("it"), "41"), "good");
    ends(&program, ALICE, &["unlock", SERVICE, "--release", "42", "--reason", "x", "--yes"], 3, "42");

    ends(&program, ALICE, &["pause", "--everything", "--reason", "x", "--yes"], 3, "takes admin");
    ends(
        &program,
        ADA,
        &["pause", "--everything", "--reason", "a migration", "--yes"],
        0,
        "everything is paused",
    );
    assert_eq!(program.get("/v1/state").expect("the state")["pause"]["everything"], true);
    ends(&program, ALICE, &["resume", "--yes"], 3, "takes an admin");
    ends(&program, ALICE, &["pause", "--reason", "x", "--yes"], 3, "everything is paused already");
    ends(&program, ADA, &["resume", "--yes"], 0, "the pause is over");
    ends(&program, ALICE, &["pause", "--reason", "a look", "--yes"], 0, "nothing automatic is done");
    ends(&program, ALICE, &["resume", "--yes"], 0, "the pause is over");
    ends(&program, ADA, &["resume", "--hold", "--yes"], 3, "hold");
    assert_eq!(program.get("/v1/state").expect("the state")["paused"], false);
}

#[test]
fn a_pause_outlives_the_process_and_stops_what_is_automatic() {
    let mut program = begin(ACTS);
    ends(&program, ALICE, &["pause", "--reason", "a look", "--yes"], 0, "nothing automatic is done");
    program.kill();
    program.start_again();
    program.wait("the folder to be read", "/v1/services/checkout@production", |of| of["current"] == "42");
    fires(&program);
    program.wait("a question instead of an act", "/v1/cases", |cases| phase(cases) == "awaiting_approval");
    assert_eq!(serving(&program), "42");
}

#[test]
fn a_request_that_cannot_be_read_changes_nothing() {
    let program = begin(ASKS);
    let alice = ALICE.expect("hers");
    let json = "application/json";
    let freeze = "/v1/services/checkout@production/freeze";
    let long = json!({ "seconds": 60, "reason": "x".repeat(1001) }).to_string();
    let huge = json!({ "seconds": 60, "reason": "x".repeat(70 << 10) }).to_string();
    for (path, kind, body, status, name) in [
        (freeze, json, "{", 400, "body"),
        (freeze, json, "", 400, "body"),
        (freeze, "text/plain", r#"{"seconds":60,"reason":"x"}"#, 400, "body"),
        (freeze, json, r#"{"seconds":60,"reason":"x","force":true}"#, 400, "body"),
        (freeze, json, r#"{"seconds":-60,"reason":"x"}"#, 400, "body"),
        (freeze, json, r#"{"seconds":60,"reason":"  "}"#, 400, "body"),
        (freeze, json, &long, 400, "body"),
        (freeze, json, &huge, 413, "body-too-large"),
        ("/v1/services/checkout/freeze", json, r#"{"seconds":60,"reason":"x"}"#, 404, "no-such-service"),
        ("/v1/services/checkout@production/melt", json, "{}", 404, "not-found"),
        ("/v1/cases/nobody/cancel", json, "{}", 404, "no-such-case"),
        ("/v1/cases/checkout@production.7/cancel", json, "{}", 404, "no-such-case"),
        ("/v1/cases/nobody@production.1/approve", json, r#"{"plan":"x"}"#, 404, "no-such-case"),
        (
            "/v1/services/nobody@production/freeze",
            json,
            r#"{"seconds":60,"reason":"x"}"#,
            404,
            "no-such-service",
        ),
        ("/v1/cases/checkout@production.7/explanation", json, "{}", 405, "method-not-allowed"),
        ("/v1/resume", json, "{}", 409, "conflict"),
    ] {
        let (answered, answer) = program.post_admin(alice, path, kind, body);
        let problem = format!("urn:snapback:problem:{name}");
        assert_eq!((answered, &answer["type"]), (status, &problem.into()), "{path} {body:.80}: {answer}");
    }
    ends(
        &program,
        ALICE,
        &["cases", "cancel", "checkout@production.7", "--yes"],
        1,
        "list them with `snapback cases`",
    );
    let freeze = ["freeze", "nobody@production", "--for", "2h", "--reason", "x", "--yes"];
    ends(&program, ALICE, &freeze, 1, "list them with `snapback services`");
    let service = program.get("/v1/services/checkout@production").expect("the service");
    assert_eq!(service["freeze"], Value::Null);
    assert_eq!(serving(&program), "42");
}

const ASKS: &str = r#"[[rule]]
name = "ask"
action = "approve"
"#;

const ACTS: &str = r#"[[rule]]
name = "take it back"
action = "rollback"
countdown = "1s"
"#;

const SETTINGS: &str = r#"
[tokens.alice]
token = { file = "token-of-alice" }
role = "operator"
groups = ["sre"]

[tokens.bob]
token = { file = "token-of-bob" }
role = "operator"
groups = ["sre"]

[tokens.lea]
token = { file = "token-of-lea" }
role = "operator"
groups = ["leads"]

[tokens.oscar]
token = { file = "token-of-oscar" }
role = "operator"
groups = ["design"]

[tokens.vera]
token = { file = "token-of-vera" }
role = "viewer"

[tokens.ada]
token = { file = "token-of-ada" }
role = "admin"

[groups.sre]
slack_users = []

[groups.leads]
slack_users = []

[groups.design]
slack_users = []

[guards]
clock_skew = "1s"
episode_settle = "1s"
provider_grace = "30s"

[verify.default]
settle = "1s"
within = "30s"
clear_for = "1s"

[approvals.default]
from = ["sre"]
break_glass = ["leads"]

[providers.hosts]
kind = "directory"

[[service]]
name = "checkout"
environment = "production"
provider = "hosts"
target = { root = "SRV" }
soak = "2s"
inherit_good = true
migrations = "none"
"#;
