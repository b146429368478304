//! Probes with the real program: a deployment that breaks the smoke test goes back without any alert, and one that found it broken
//! is not to blame.

mod binary;
mod slack;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use binary::{Program, furnish, head, lay_releases, now, serving, wait_until};
use serde_json::{Value, json};
use slack::{DEPLOYS, Workspace};

const RULES: &str = "[[rule]]\nname = \"what the smoke test says\"\nmatch = ['source=\"probe\"']\naction = \"rollback\"\ncountdown = \"1s\"\n";

/// The smoke test: the release that serves must not be broken, and nothing beside it may be.
const SMOKE: &str = "#!/bin/sh\nfor sign in srv/current/broken broken; do\n  [ ! -e $sign ] || { echo \"checkout has no database: $sign\"; exit 1; }\ndone\n";

/// The program over releases of which 42 serves since an hour, and a smoke test that runs every second.
fn begin(more: &str, prepare: impl Fn(&Path)) -> (Program, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    furnish(folder.path(), &format!("{}{SETTINGS}{more}", head("live")), RULES);
    let root = folder.path().join("srv");
    lay_releases(&root);
    let line = |(release, hours): (&str, i64)| {
        let at = now() - jiff::SignedDuration::from_hours(hours);
        format!("{{\"release\":\"{release}\",\"at\":\"{at}\",\"by\":\"sam\"}}\n")
    };
    let log = [("40", 3), ("41", 2), ("42", 1)].map(line).concat();
    std::fs::write(root.join("deployments.jsonl"), log).expect("the log");
    std::fs::write(folder.path().join("smoke.sh"), SMOKE).expect("the smoke test");
    let runs = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(folder.path().join("smoke.sh"), runs).expect("a program");
    prepare(folder.path());
    let program = Program::over(folder);
    program.wait_for_releases();
    (program, root)
}

/// Puts release 43 out, as who deploys does.
fn deploy(root: &Path) {
    let log = root.join("deployments.jsonl");
    let known = std::fs::read_to_string(&log).expect("the log");
    let line = format!("{{\"release\":\"43\",\"at\":\"{}\",\"by\":\"sam\"}}\n", now());
    std::fs::write(&log, known + &line).expect("the log");
    std::os::unix::fs::symlink("releases/43", root.join("next")).expect("a link");
    std::fs::rename(root.join("next"), root.join("current")).expect("the switch");
}

fn graded(service: &Value, release: &str, ledger: &str) -> bool {
    let releases = service["releases"].as_array().expect("releases");
    releases.iter().any(|one| one["release"] == release && one["ledger"] == ledger)
}

#[test]
fn a_deployment_that_breaks_the_smoke_test_goes_back_without_an_alert() {
    let (program, root) = begin("", |_| ());
    program.wait("42 to prove itself", "/v1/services/checkout@production", |service| {
        graded(service, "42", "good")
    });
    std::fs::write(root.join("releases/43/broken"), "").expect("a broken release");
    deploy(&root);
    let case = program.wait_for_outcome("recovered");
    assert_eq!(case["origin"], "signal", "{case:#}");
    assert_eq!((&case["from"]["release"], &case["to"]["release"]), (&json!("43"), &json!("42")), "{case:#}");
    let signal = &case["signals"][0];
    assert_eq!((&signal["source"], &signal["name"]), (&json!("probe"), &json!("checkout-smoke")), "{case:#}");
    assert_eq!(serving(&root), "42");
    assert!(program.said().contains("checkout has no database: srv/current/broken"), "{}", program.said());
    let service =
        program.wait("the lock", "/v1/services/checkout@production", |service| graded(service, "43", "bad"));
    assert_eq!(service["current"], "42", "{service:#}");
}

#[test]
fn a_probe_that_fails_before_the_deployment_blames_nobody() {
    let slack = Workspace::open();
    let chat = format!(
        "\n[slack]\nbot_token = {{ file = \"bot-token\" }}\nsigning_secret = {{ file = \"signing-secret\" }}\nchannel = \"{DEPLOYS}\"\napi_url = \"{}\"\n",
        slack.api_url()
    );
    let (program, root) = begin(&chat, |folder| {
        std::fs::write(folder.join("bot-token"), slack.token()).expect("a token");
        std::fs::write(folder.join("signing-secret"), slack.signing_secret()).expect("a secret");
        std::fs::write(folder.join("broken"), "").expect("what breaks the smoke test");
    });
    let service = program.wait("that it is seen", "/v1/services/checkout@production", |service| {
        service["ready"]["reasons"].to_string().contains("the probe checkout-smoke fails since")
    });
    assert_eq!(service["ready"]["now"], false, "{service:#}");
    deploy(&root);
    let case = program.wait_for_outcome("left_alone");
    assert_eq!(case["suspect"], Value::Null, "{case:#}");
    assert_eq!(serving(&root), "43", "nothing is rolled back");
    // That nobody would notice what 43 breaks is told when it goes out, once.
    let told = || {
        let messages = slack.messages();
        let texts: Vec<String> = messages.iter().map(|message| slack.rendered(message)).collect();
        texts.into_iter().filter(|text| text.contains("would not be noticed")).collect::<Vec<String>>()
    };
    assert!(wait_until(|| !told().is_empty()), "{:?}", slack.messages());
    let told = told();
    assert!(told.len() == 1 && told[0].contains("the probe checkout-smoke fails since"), "{told:?}");
    // What is mended is seen, and the next release is watched again.
    std::fs::remove_file(program.path("broken")).expect("mended");
    assert!(wait_until(|| {
        let service = program.get("/v1/services/checkout@production").expect("the service");
        !service["ready"]["reasons"].to_string().contains("checkout-smoke")
    }));
}

const SETTINGS: &str = r#"
[guards]
clock_skew = "1s"
episode_settle = "1s"

[verify.default]
settle = "1s"
within = "60s"
clear_for = "1s"

[probes.checkout-smoke]
command = { argv = ["./smoke.sh"], timeout = "5s" }
watch_for = "1m"
every = "1s"
failures = 2

[providers.hosts]
kind = "directory"

[[service]]
name = "checkout"
environment = "production"
provider = "hosts"
target = { root = "srv" }
soak = "2s"
inherit_good = true
migrations = "none"
probes = ["checkout-smoke"]
"#;
