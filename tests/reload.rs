//! The real binary while its configuration changes under it: a faulty file keeps the old one and is told, a good one is
//! taken, and a provider that cannot be read shows in the service's readiness.

mod binary;

use binary::{Program, TOKEN, furnish, head};
use serde_json::json;
use snapback::case::id::Timestamp;

/// One service with one release, in shadow mode.
fn begin() -> Program {
    let folder = tempfile::tempdir().expect("a folder");
    furnish(folder.path(), &config("shadow"), RULES);
    std::fs::create_dir_all(folder.path().join("checkout/releases/v1")).expect("a release");
    std::os::unix::fs::symlink("releases/v1", folder.path().join("checkout/current")).expect("a link");
    Program::over(folder)
}

#[test]
fn a_faulty_file_keeps_the_old_configuration_and_a_good_one_is_taken() {
    let program = begin();
    program.wait("the first configuration", "/v1/state", |state| state["mode"] == "shadow");
    program.rewrite(&config("lvie"));
    let told = program.wait("the fault to be told", "/v1/state", |state| state["config_error"].is_string());
    assert_eq!(told["mode"], "shadow", "a faulty configuration was taken");
    assert!(told["config_error"].as_str().is_some_and(|error| error.contains("lvie")), "{told:#}");
    program.rewrite(&config("live"));
    let taken = program.wait("the good one to be taken", "/v1/state", |state| state["mode"] == "live");
    assert!(taken["config_error"].is_null(), "{taken:#}");
}

#[test]
fn a_hangup_reads_secrets_and_rules_again() {
    let program = begin();
    let before = program.wait("the rules", "/v1/state", |state| state["rules_digest"].is_string());
    let more = format!("{RULES}\n[[rule]]\nname = \"second\"\naction = \"notify\"\n");
    std::fs::write(program.path("rules.toml"), more).expect("the rules");
    program.hang_up();
    program.wait("the new rules", "/v1/state", |state| {
        state["rules_digest"].is_string() && state["rules_digest"] != before["rules_digest"]
    });
}

/// A secret in a file is rotated by writing the file: nobody has to send a signal.
#[test]
fn a_rotated_secret_is_read_again_by_itself() {
    let program = begin();
    program.wait("the first configuration", "/v1/state", |state| state["mode"] == "shadow");
    std::fs::write(program.path("token"), "another-token").expect("a token");
    program.wait_for_line(&["the configuration was read again"]);
    let empty = r#"{"version":"4","alerts":[]}"#;
    assert_eq!(program.post_alerts(TOKEN, empty), 401, "the old secret still opens");
    assert_eq!(program.post_alerts("another-token", empty), 200);
}

#[test]
fn a_provider_that_cannot_be_read_shows_in_readiness() {
    let program = begin();
    let service = "/v1/services/checkout@production";
    program.wait("the provider to be read", service, |service| service["current"].is_string());
    let root = program.path("checkout");
    std::fs::rename(&root, root.with_extension("gone")).expect("hidden");
    // A hangup makes nobody read the provider; a signal does, because a case wants to know what serves.
    tell(&program, "checkout");
    let told = program.wait("the trouble to be told", service, |service| {
        let reasons = service["ready"]["reasons"].as_array();
        reasons.is_some_and(|reasons| reasons.iter().any(|reason| reason.to_string().contains("read")))
    });
    assert_eq!(told["ready"]["now"], false, "{told:#}");
}

#[test]
fn what_is_taken_only_at_a_new_start_is_said() {
    let program = begin();
    program.wait("the first configuration", "/v1/state", |state| state["mode"] == "shadow");
    let moved = config("live").replace("sqlite:data/snapback.db", "sqlite:elsewhere.db");
    program.rewrite(&moved.replace("listen = \"127.0.0.1:0\"", "listen = \"127.0.0.1:1\""));
    program.wait("the rest to be taken", "/v1/state", |state| state["mode"] == "live");
    program.wait_for_line(&["server.listen", "only at a new start"]);
    program.wait_for_line(&["\"store\"", "only at a new start"]);
}

#[test]
fn a_signal_that_leads_nowhere_shows_in_the_log() {
    let program = begin();
    tell(&program, "nobody");
    program.wait_for_line(&["leads to no service"]);
}

/// One alert about this service.
fn tell(program: &Program, service: &str) {
    let labels = json!({ "alertname": "A", "service": service, "environment": "production" });
    let since: Timestamp = "2026-03-02T09:00:00Z".parse().expect("a moment");
    assert_eq!(program.post(&labels, since, None), 200);
}

fn config(mode: &str) -> String {
    format!("{}{SERVICE}", head(mode))
}

const SERVICE: &str = r#"
[providers.hosts]
kind = "directory"

[[service]]
name = "checkout"
environment = "production"
provider = "hosts"
target = { root = "checkout" }
"#;

const RULES: &str = r#"[[rule]]
name = "first"
action = "notify"
"#;
