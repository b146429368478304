//! A program that is watched: one service in a folder, with a release that is to go back, its scrape taken apart, and the
//! real promtool where it is.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

pub(crate) use crate::binary::now;
use crate::binary::{Program, furnish, head, lay_releases, wait_until};

/// What a person who may pause shows.
pub(crate) const ADA: &str = "token-of-ada";
/// What Prometheus shows.
const VERA: &str = "token-of-vera";

/// Release 41 served for two hours, 42 serves since two minutes. Everybody who reads needs a token.
pub(crate) fn begin() -> Program {
    let folder = tempfile::tempdir().expect("a folder");
    furnish(folder.path(), &config(), RULES);
    for token in [ADA, VERA] {
        std::fs::write(folder.path().join(token), token).expect("a token");
    }
    let root = folder.path().join("srv");
    lay_releases(&root);
    let mut program = Program::over(folder);
    program.reads_with = Some(VERA.to_owned());
    program.wait_for_releases();
    program
}

pub(crate) fn config() -> String {
    let heartbeat = "heartbeat = { match = ['alertname=\"Watchdog\"'], every = \"5m\" }";
    let head = head("live").replace("[sources.prometheus]", &format!("[sources.prometheus]\n{heartbeat}"));
    format!("{head}{SETTINGS}")
}

/// The labels of an alert about the service.
pub(crate) fn labels() -> Value {
    json!({ "alertname": "HighErrorRate", "service": "checkout", "environment": "production" })
}

/// The text that Prometheus gets.
pub(crate) fn text(program: &Program) -> String {
    let (status, text) = program.read("/metrics").expect("an answer");
    assert_eq!(status, 200, "{text}");
    text
}

/// Every series with its number.
pub(crate) fn series(program: &Program) -> BTreeMap<String, f64> {
    let text = text(program);
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let series = lines.map(|line| line.rsplit_once(' ').unwrap_or_else(|| panic!("no series: {line}")));
    let series: Vec<(String, f64)> = series
        .map(|(name, number)| {
            (name.to_owned(), number.parse().unwrap_or_else(|_| panic!("no number: {name} {number}")))
        })
        .collect();
    let count = series.len();
    let series: BTreeMap<String, f64> = series.into_iter().collect();
    assert_eq!(series.len(), count, "a series is there twice:\n{text}");
    series
}

/// Scrapes until these series have these numbers.
pub(crate) fn wait_for(program: &Program, wanted: &[(&str, f64)]) {
    let mut last = BTreeMap::new();
    let same = |series: &BTreeMap<String, f64>, name: &str, number: f64| {
        series.get(name).is_some_and(|is| (is - number).abs() < f64::EPSILON)
    };
    let came = wait_until(|| {
        last = series(program);
        wanted.iter().all(|(name, number)| same(&last, name, *number))
    });
    let missing: Vec<_> = wanted.iter().filter(|(name, number)| !same(&last, name, *number)).collect();
    assert!(came, "waited for {missing:?}; the scrape says {last:#?}\n{}", program.said());
}

/// The real promtool. `None`: it is not here, which is said loudly; where `scripts/test` promised it, it is a failure.
pub(crate) fn promtool() -> Option<PathBuf> {
    let named = variable("SNAPBACK_TEST_TOOLS");
    let found = named.map(|folder| Path::new(&folder).join("promtool")).filter(|tool| tool.exists());
    if found.is_none() {
        assert!(variable("SNAPBACK_TEST_STRICT").is_none(), "the real promtool was promised and is not here");
        eprintln!("SKIPPED: the real promtool is not here; scripts/test brings it");
    }
    found
}

#[expect(clippy::disallowed_methods, reason = "scripts/test tells its tests where the programs are")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Runs a tool over this input; both of its outputs where it was content, a panic with them where it was not.
#[track_caller]
pub(crate) fn content(tool: &Path, arguments: &[&str], input: &str) -> String {
    use std::io::Write;
    let mut child = Command::new(tool)
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    child.stdin.take().expect("its input").write_all(input.as_bytes()).expect("written");
    let ended = child.wait_with_output().expect("it ends");
    let said = [ended.stdout, ended.stderr].map(|text| String::from_utf8(text).expect("text")).concat();
    assert!(ended.status.success(), "{arguments:?}: {said}");
    said
}

/// A file of the project.
pub(crate) fn file(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect(path)
}

const RULES: &str = r#"[[rule]]
name = "errors after a deployment"
action = "rollback"
countdown = "1s"
"#;

const SETTINGS: &str = r#"
[tokens.ada]
token = { file = "token-of-ada" }
role = "admin"

[tokens.vera]
token = { file = "token-of-vera" }
role = "viewer"

[guards]
clock_skew = "1s"
episode_settle = "1s"

[verify.default]
settle = "1s"
within = "60s"
clear_for = "1s"

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
"#;
