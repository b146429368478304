//! Dead letters with the real program: listed with their reason, read again once somebody mended why, and never taken twice.

mod binary;
mod pager;

use binary::{Program, furnish, head, lay_releases, now};
use pager::{KEY, Pretend};
use serde_json::{Value, json};

const RULES: &str = "[[rule]]\nname = \"tell\"\naction = \"notify\"\n";
const ADA: &str = "token-of-ada";
const VERA: &str = "token-of-vera";
const OURS: &str = "token-of-ours";

/// A source of JSON of its own, whose mapping looks for the name of an alert there.
fn config(name: &str) -> String {
    format!("{}{}", head("shadow"), SETTINGS.replace("NAME", name))
}

fn begin() -> Program {
    let folder = tempfile::tempdir().expect("a folder");
    furnish(folder.path(), &config("body.naem"), RULES);
    for token in [ADA, VERA, OURS] {
        std::fs::write(folder.path().join(token), token).expect("a token");
    }
    lay_releases(&folder.path().join("srv"));
    let mut program = Program::over(folder);
    program.reads_with = Some(VERA.to_owned());
    program.wait_for_releases();
    program
}

fn send(program: &Program, body: &Value) -> u16 {
    let token = format!("Bearer {OURS}");
    let headers = [("Authorization", token.as_str()), ("Content-Type", "application/json")];
    program.send("/v1/alerts/ours", &headers, &body.to_string())
}

fn letters(program: &Program) -> Vec<Value> {
    let listed = program.get("/v1/deadletters").expect("the letters");
    listed["dead_letters"].as_array().expect("a list").clone()
}

fn replay(program: &Program, token: &str, letter: &Value) -> (u16, Value) {
    let path = format!("/v1/deadletters/{letter}/replay");
    program.post_admin(token, &path, "application/json", "{}")
}

fn alert() -> Value {
    json!({ "name": "HighErrorRate", "id": "a1", "since": now().to_string(), "service": "checkout@production" })
}

#[test]
fn what_nobody_could_read_is_read_again_once_somebody_mended_why() {
    let mut program = begin();
    assert_eq!(send(&program, &alert()), 422);
    assert_eq!(send(&program, &json!("neither")), 422);
    let listed = letters(&program);
    assert_eq!(listed.len(), 2, "{listed:#?}");
    let letter = &listed[1];
    assert_eq!((&letter["source"], &letter["replayed"]), (&json!("ours"), &Value::Null), "{letter:#}");
    assert!(letter["reason"].as_str().is_some_and(|why| why.contains("name")), "{letter:#}");
    assert!(letter.to_string().find("HighErrorRate").is_none(), "its body stays in the store: {letter:#}");
    let gauge = |program: &Program, number: u8| {
        let (_, text) = program.read("/metrics").expect("the metrics");
        text.contains(&format!("\nsnapback_dead_letters {number}.0\n"))
    };
    assert!(gauge(&program, 2));

    // Nobody has mended it yet.
    let (status, why) = replay(&program, ADA, &letter["id"]);
    assert_eq!(status, 409, "{why:#}");
    assert!(why.to_string().contains("nobody can read it yet"), "{why:#}");
    assert_eq!(replay(&program, VERA, &letter["id"]).0, 403, "to read is not to act");
    assert_eq!(replay(&program, ADA, &json!(4711)).0, 409, "there is none of that number");

    program.rewrite(&config("body.name"));
    program.hang_up();
    program.wait_for_line(&["the configuration was read again"]);
    let (status, says) = replay(&program, ADA, &letter["id"]);
    assert_eq!((status, &says["says"]), (200, &json!("taken by checkout@production")), "{says:#}");
    let cases = program.wait("its case", "/v1/cases", |cases| cases["cases"][0]["signals"][0].is_object());
    let signal = &cases["cases"][0]["signals"][0];
    assert_eq!((&signal["source"], &signal["name"]), (&json!("ours"), &json!("HighErrorRate")), "{cases:#}");

    // Once, also after a restart; the other one stays.
    program.kill();
    program.start_again();
    let (status, why) = replay(&program, ADA, &letter["id"]);
    assert_eq!(status, 409, "{why:#}");
    let listed = letters(&program);
    assert_eq!(listed[1]["replayed"], "taken by checkout@production", "{listed:#?}");
    assert_eq!(listed[0]["replayed"], Value::Null, "{listed:#?}");
    assert!(gauge(&program, 1));
    // The audit tells of it, and holds.
    let folder = program.path("snapback.toml").display().to_string();
    let (code, said) = program.run(None, &["audit", "verify", "--config", &folder]);
    assert_eq!(code, Some(0), "{said}");
}

/// More than the limit within an hour wake people, once, and one incident for all of them.
#[test]
fn more_than_the_limit_wake_people_once() {
    let pager = Pretend::open();
    let folder = tempfile::tempdir().expect("a folder");
    let more = format!(
        "\n[limits]\ndead_letters = 2\n\n[pages.night]\nrouting_key = {{ file = \"routing-key\" }}\nurl = \"{}\"\non = [\"dead_letters\"]\n",
        pager.events_url()
    );
    furnish(folder.path(), &(config("body.naem") + &more), RULES);
    for (file, secret) in [(ADA, ADA), (VERA, VERA), (OURS, OURS), ("routing-key", KEY)] {
        std::fs::write(folder.path().join(file), secret).expect("a secret");
    }
    lay_releases(&folder.path().join("srv"));
    let mut program = Program::over(folder);
    program.reads_with = Some(VERA.to_owned());
    program.wait_for_releases();
    for nth in 0..2 {
        assert_eq!(send(&program, &json!({ "nth": nth })), 422);
    }
    program.wait("both letters", "/v1/deadletters", |letters| letters["dead_letters"][1].is_object());
    assert_eq!(pager.incident("snapback/dead_letters").opened, 0, "the limit is not passed");
    for nth in 2..6 {
        assert_eq!(send(&program, &json!({ "nth": nth })), 422);
    }
    let event = pager.wakes("snapback/dead_letters", "dead_letters");
    assert!(event.to_string().contains("could not be read"), "{event:#}");
    // After a restart nobody is woken anew.
    program.kill();
    program.start_again();
    program.wait_for_releases();
    assert_eq!(send(&program, &json!({ "nth": 7 })), 422);
    program.wait("the last letter", "/v1/deadletters", |letters| letters["dead_letters"][6].is_object());
    assert_eq!(pager.incident("snapback/dead_letters").opened, 1);
}

/// What is replayed has the moment at which it came, and none that is newer.
#[test]
fn an_old_letter_is_old() {
    let program = begin();
    let since = now() - jiff::SignedDuration::from_hours(2);
    let mut old = alert();
    old["since"] = json!(since.to_string());
    assert_eq!(send(&program, &old), 422);
    program.rewrite(&config("body.name"));
    program.hang_up();
    program.wait_for_line(&["the configuration was read again"]);
    let letter = letters(&program)[0].clone();
    assert_eq!(replay(&program, ADA, &letter["id"]).0, 200);
    let cases =
        program.wait("its case", "/v1/cases", |cases| cases["cases"][0]["clock"]["received_at"].is_string());
    assert_eq!(cases["cases"][0]["clock"]["received_at"], letter["received_at"], "{cases:#}");
}

const SETTINGS: &str = r#"
[tokens.ada]
token = { file = "token-of-ada" }
role = "operator"

[tokens.vera]
token = { file = "token-of-vera" }
role = "viewer"

[sources.ours]
kind = "generic"
bearer_token = { file = "token-of-ours" }
services = ["*@production"]
map = { "checkout@production" = "checkout@production" }

[sources.ours.signal]
state = '"firing"'
name = "NAME"
episode = "body.id"
started_at = "body.since"
labels = { about = "body.service" }

[providers.hosts]
kind = "directory"

[[service]]
name = "checkout"
environment = "production"
provider = "hosts"
target = { root = "srv" }
inherit_good = true
migrations = "none"
"#;
