//! When trouble really began: the real program asks a Prometheus of the test's own for `activeAt`, where an alert's start is only
//! when its `for:` was over.

mod binary;

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use binary::{Program, furnish, lay_releases, now};
use serde_json::{Value, json};

/// A Prometheus that answers so to whatever it is asked. `None`: it takes the call and never answers.
fn prometheus(answer: Option<(u16, String)>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        for stream in listener.incoming().flatten() {
            let mut stream = stream;
            let mut head = [0; 1024];
            let read = stream.read(&mut head).unwrap_or(0);
            assert!(
                head[..read].starts_with(b"GET /api/v1/alerts HTTP/1.1\r\n"),
                "{:?}",
                String::from_utf8_lossy(&head[..read])
            );
            match &answer {
                Some((status, body)) => {
                    let length = body.len();
                    let text = format!(
                        "HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
                    );
                    let _ = stream.write_all(text.as_bytes());
                }
                None => kept.push(stream),
            }
        }
    });
    url
}

fn alerts(seconds_ago: i64) -> Option<(u16, String)> {
    let active = now() - jiff::SignedDuration::from_secs(seconds_ago);
    let alert = json!({
        "labels": { "alertname": "HighErrorRate", "service": "checkout", "environment": "production" },
        "annotations": {}, "state": "firing", "activeAt": active.to_string(), "value": "1e+00",
    });
    Some((200, json!({ "status": "success", "data": { "alerts": [alert] } }).to_string()))
}

const RULES: &str = "[[rule]]\nname = \"take it back\"\naction = \"rollback\"\nsuspicion = 0.3\n";

/// Release 42 serves since two minutes, and an alert fires now that is taken to tell five minutes late.
fn judged(url: &str) -> Value {
    judged_by(url, RULES, 0)
}

/// The same, by these rules, of an alert that fires since so many seconds.
fn judged_by(url: &str, rules: &str, seconds_ago: i64) -> Value {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().join("srv");
    let config = SETTINGS.replace("SRV", &root.display().to_string()).replace("PROMETHEUS", url);
    furnish(folder.path(), &config, rules);
    lay_releases(&root);
    let program = Program::over(folder);
    program.wait_for_releases();
    let labels = json!({ "alertname": "HighErrorRate", "service": "checkout", "environment": "production", "cluster": "eu" });
    let since = now() - jiff::SignedDuration::from_secs(seconds_ago);
    assert_eq!(program.post(&labels, since, None), 200);
    program
        .wait("the verdict", "/v1/cases/checkout@production.1/explanation", |why| why["verdict"].is_string())
}

fn guard<'a>(why: &'a Value, words: &str) -> Option<&'a Value> {
    let guards = why["guards"].as_array().expect("guards");
    guards.iter().find(|guard| guard["reason"].as_str().is_some_and(|reason| reason.contains(words)))
}

#[test]
fn the_true_beginning_makes_a_suspect_sure_or_clears_it() {
    // It began half a minute ago, after the deployment: sure.
    let why = judged(&prometheus(alerts(30)));
    assert_eq!(why["verdict"], "rollback", "{why:#}");
    // It began ten minutes ago, and waited out its `for:`: the deployment is not to blame.
    let why = judged(&prometheus(alerts(600)));
    assert_eq!(why["candidates"][0]["deployment"], Value::Null, "{why:#}");
    assert!(why.to_string().contains("was there before deployment"), "{why:#}");
    assert_ne!(why["verdict"], "rollback");
}

#[test]
fn what_is_old_when_it_arrives_counts_where_its_prometheus_says_that_it_still_fires() {
    let rules = format!("{RULES}stale_after = \"10s\"\n");
    let why = judged_by(&prometheus(alerts(40)), &rules, 30);
    assert_eq!(why["verdict"], "rollback", "{why:#}");
    // Nobody there says so.
    let none = json!({ "status": "success", "data": { "alerts": [] } }).to_string();
    let why = judged_by(&prometheus(Some((200, none))), &rules, 30);
    assert_eq!(why["verdict"], "notify", "{why:#}");
    assert!(why.to_string().contains("old when it arrived"), "{why:#}");
}

/// A heartbeat every second is missed, and comes back.
#[test]
fn a_source_whose_heartbeat_is_missed_is_silent_until_it_is_heard() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().join("srv");
    let config = SETTINGS
        .replace("SRV", &root.display().to_string())
        .replace("PROMETHEUS", "http://127.0.0.1:1")
        .replace("lag = \"5m\"", "heartbeat = { match = ['alertname=\"Watchdog\"'], every = \"1s\" }");
    furnish(folder.path(), &config, RULES);
    lay_releases(&root);
    let program = Program::over(folder);
    program.wait_for_releases();
    let state = |what: &str, silent: usize| {
        let is_so = |state: &Value| state["silent"].as_array().is_some_and(|list| list.len() == silent);
        program.wait(what, "/v1/state", is_so)
    };
    let silent = state("silence", 1);
    assert_eq!(silent["silent"][0]["source"], "prometheus", "{silent:#}");
    let service = program.wait("why it is not ready", "/v1/services/checkout@production", |service| {
        service["ready"]["reasons"].to_string().contains("prometheus is silent since")
    });
    assert_eq!(service["ready"]["now"], false, "{service:#}");
    let gauge = |value: u8| {
        let (_, text) = program.read("/metrics").expect("the metrics");
        text.contains(&format!("snapback_source_silent{{source=\"prometheus\"}} {value}"))
    };
    assert!(gauge(1), "the gauge says otherwise");

    // It names a service, and makes no case of it: the same bytes each time, as Alertmanager sends them.
    let labels = json!({ "alertname": "Watchdog", "service": "checkout", "environment": "production" });
    let since = now();
    assert_eq!(program.post(&labels, since, None), 200);
    state("that it is heard again", 0);
    state("silence again", 1);
    assert_eq!(program.post(&labels, since, None), 200);
    state("that it is heard again by the same bytes", 0);
    let cases = program.wait("the cases", "/v1/cases", Value::is_object);
    assert_eq!(cases["cases"], json!([]), "{cases:#}");
}

#[test]
fn a_prometheus_that_does_not_know_leaves_the_lag_assumed() {
    let other = json!({ "status": "success", "data": { "alerts": [{ "labels": { "alertname": "Other" }, "state": "firing", "activeAt": null }] } });
    for (what, answer) in [
        ("an error", Some((500, "down".to_owned()))),
        ("no JSON", Some((200, "<html>".to_owned()))),
        ("another alert", Some((200, other.to_string()))),
        ("elsewhere", Some((302, String::new()))),
        ("no answer", None),
    ] {
        let why = judged(&prometheus(answer));
        assert_eq!(why["verdict"], "approve", "{what}: {why:#}");
        let unsure = guard(&why, "how late its alarm tells is only assumed");
        assert!(unsure.is_some() || why.to_string().contains("is only assumed"), "{what}: {why:#}");
    }
}

const SETTINGS: &str = r#"
mode = "live"
rules = "rules.toml"

[server]
listen = "127.0.0.1:0"
admin = "127.0.0.1:0"

[store]
url = "sqlite:data/snapback.db"

[sources.prometheus]
kind = "alertmanager"
bearer_token = { file = "token" }
services = ["*@production"]
prometheus_url = "PROMETHEUS"
lag = "5m"

[groups.sre]
slack_users = []

[approvals.default]
from = ["sre"]

[guards]
clock_skew = "1s"

[providers.hosts]
kind = "directory"

[[service]]
name = "checkout"
environment = "production"
provider = "hosts"
target = { root = "SRV" }
inherit_good = true
migrations = "none"
"#;
