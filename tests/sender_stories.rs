//! From the bytes of each signing sender to a decided case: the real program, and a second implementation of each signature
//! in Python that signs what is sent and judges what we sign.

mod binary;

use std::io::Write as _;
use std::process::{Command, Stdio};

use aws_lc_rs::hmac;
use binary::{Program, furnish, head, lay_releases, now};
use serde_json::{Value, json};

const SECRET: &str = "lDQHScfUeXUKaQRNF+8XIiDKZ7XX3itBAYzwU0TARw8lJqRnkKl2iB1anSb0Z+IK";

const RULES: &str = "[[rule]]\nname = \"ask\"\naction = \"approve\"\n";

const SETTINGS: &str = r#"
[sources.pagerduty]
kind = "pagerduty"
secrets = [{ file = "pagerduty" }, { file = "old" }]
services = ["checkout@production"]
map = { PF9KMXH = "checkout@production" }
lag = "1s"

[sources.grafana]
kind = "grafana"
secrets = { file = "grafana" }
timestamp_header = "X-Grafana-Alerting-Timestamp"
services = ["checkout@production"]
lag = "1s"

[sources.datadog]
kind = "datadog"
bearer_token = { file = "of-datadog" }
services = ["checkout@production"]
lag = "1s"

[sources.newrelic]
kind = "newrelic"
bearer_token = { file = "of-newrelic" }
services = ["checkout@production"]
map = { checkout-production = "checkout@production" }
lag = "1s"

[sources.events]
kind = "eventbridge"
bearer_token = { file = "of-events" }
services = ["checkout@production"]
map = { ServerCpuTooHigh = "checkout@production" }
lag = "1s"

[sources.opsgenie]
kind = "generic"
bearer_token = { file = "of-opsgenie" }
services = ["checkout@production"]
map = { Server = "checkout@production" }
lag = "1s"

[sources.opsgenie.signal]
state = 'body.action == "Create" ? "firing" : body.action in ["Close", "Delete"] ? "cleared" : "aside"'
name = "body.alert.message"
episode = "body.alert.alertId"
started_at = "body.alert.createdAt"
labels = { entity = "body.alert.entity" }

[groups.sre]
slack_users = []

[guards]
clock_skew = "1s"
episode_settle = "1s"

[approvals.default]
from = ["sre"]

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

/// Release 41 served for two hours, 42 serves since two minutes.
fn begin() -> Program {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().join("srv");
    let settings = SETTINGS.replace("SRV", &root.display().to_string());
    furnish(folder.path(), &format!("{}{settings}", head("live")), RULES);
    for (file, secret) in [("pagerduty", SECRET), ("old", "an-old-one"), ("grafana", "of-grafana")] {
        std::fs::write(folder.path().join(file), secret).expect("a secret");
    }
    for source in ["datadog", "newrelic", "events", "opsgenie"] {
        let token = format!("of-{source}");
        std::fs::write(folder.path().join(&token), &token).expect("a token");
    }
    lay_releases(&root);
    let program = Program::over(folder);
    program.wait_for_releases();
    program
}

/// What the second implementation answers. `None`: Python is not there, which `scripts/test` does not allow.
#[expect(clippy::disallowed_methods, reason = "a test has no configuration, and reads its variables itself")]
fn second(asked: &Value) -> Option<Value> {
    let Some(python) = std::env::var_os("SNAPBACK_TEST_PYTHON") else {
        assert!(std::env::var_os("SNAPBACK_TEST_STRICT").is_none(), "SNAPBACK_TEST_PYTHON is not set");
        eprintln!("left out: SNAPBACK_TEST_PYTHON is not set, so there is no second implementation");
        return None;
    };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/senders/second.py");
    let mut child = Command::new(python)
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python starts");
    child.stdin.take().expect("its input").write_all(asked.to_string().as_bytes()).expect("it reads");
    let ended = child.wait_with_output().expect("it ends");
    assert!(ended.status.success(), "{asked}");
    Some(serde_json::from_slice(&ended.stdout).expect("JSON"))
}

/// Sends a body that Python signed; gives the status.
fn sign_and_send(program: &Program, scheme: &str, secret: &str, body: &str) -> Option<u16> {
    let time = now().as_second();
    let signed = second(&json!({ "scheme": scheme, "secret": secret, "body": body, "time": time }))?;
    let mut headers = vec![("Content-Type", "application/json")];
    headers.extend(
        signed
            .as_object()
            .expect("headers")
            .iter()
            .map(|(name, value)| (&**name, value.as_str().expect("text"))),
    );
    Some(program.send(&format!("/v1/alerts/{scheme}"), &headers, body))
}

fn sample(path: &str) -> Value {
    let path = format!("{}/fixtures/{path}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(path).expect("a sample")).expect("JSON")
}

fn phase(cases: &Value) -> &str {
    cases["cases"][0]["phase"].as_str().unwrap_or("none")
}

/// The incident that is triggered is asked about; what is said of it again, and a merge, change nothing; its end ends the
/// case.
#[test]
fn an_incident_of_pagerdutys_is_asked_about_and_its_end_ends_the_case() {
    let program = begin();
    let mut event = sample("pagerduty/incident-triggered.json");
    event["event"]["data"]["created_at"] = json!(now().to_string());
    event["event"]["occurred_at"] = json!(now().to_string());
    let Some(status) = sign_and_send(&program, "pagerduty", SECRET, &event.to_string()) else { return };
    assert_eq!(status, 202);
    let cases = program.wait("the question", "/v1/cases", |cases| phase(cases) == "awaiting_approval");
    let case = &cases["cases"][0];
    assert_eq!(case["service"], "checkout@production");
    assert_eq!(case["signals"][0]["source"], "pagerduty");
    assert_eq!(case["to"]["release"], "41");

    // The same bytes again, as after a lost answer; then by the other secret, that the incident is acknowledged.
    assert_eq!(sign_and_send(&program, "pagerduty", SECRET, &event.to_string()), Some(202));
    event["event"]["event_type"] = json!("incident.acknowledged");
    event["event"]["data"]["status"] = json!("acknowledged");
    assert_eq!(sign_and_send(&program, "pagerduty", "an-old-one", &event.to_string()), Some(202));
    let merge = sample("pagerduty/incident-resolved-merge.json");
    event["event"]["event_type"] = json!("incident.resolved");
    event["event"]["data"]["status"] = json!("resolved");
    let mut merged = event.clone();
    merged["event"]["data"]["resolve_reason"] = merge["event"]["data"]["resolve_reason"].clone();
    assert!(merged["event"]["data"]["resolve_reason"].is_object(), "{merge:#}");
    assert_eq!(sign_and_send(&program, "pagerduty", SECRET, &merged.to_string()), Some(202));
    assert_eq!(sign_and_send(&program, "pagerduty", "of-nobody", &event.to_string()), Some(401));
    let metrics = |word: &str| {
        let text = program.read("/metrics").expect("metrics").1;
        text.lines().any(|line| line.starts_with("snapback_dispositions_total") && line.contains(word))
    };
    program.wait("the merge to be put aside", "/v1/cases", |_| metrics("disposition=\"aside\""));
    let cases = program.get("/v1/cases").expect("cases");
    assert_eq!(phase(&cases), "awaiting_approval", "{cases:#}");

    event["event"]["occurred_at"] = json!(now().to_string());
    assert_eq!(sign_and_send(&program, "pagerduty", SECRET, &event.to_string()), Some(202));
    program.wait_for_outcome("cleared");
    assert_eq!(program.get("/v1/cases").expect("cases")["cases"].as_array().map(Vec::len), Some(1));
}

#[test]
fn an_alert_of_grafanas_is_asked_about_and_missing_data_is_no_recovery() {
    let program = begin();
    let mut message = sample("grafana/mixed-firing-resolved-v12.json");
    message["alerts"].as_array_mut().expect("alerts").truncate(1);
    message["alerts"][0]["startsAt"] = json!(now().to_string());
    let Some(status) = sign_and_send(&program, "grafana", "of-grafana", &message.to_string()) else { return };
    assert_eq!(status, 200);
    program.wait("the question", "/v1/cases", |cases| phase(cases) == "awaiting_approval");

    // The rule's data goes missing, for the same service; and somebody presses Test.
    let mut no_data = sample("grafana/datasource-nodata.json");
    for (name, value) in [("service", "checkout"), ("env", "production")] {
        no_data["alerts"][0]["labels"][name] = json!(value);
    }
    for status in ["firing", "resolved"] {
        no_data["alerts"][0]["status"] = json!(status);
        assert_eq!(sign_and_send(&program, "grafana", "of-grafana", &no_data.to_string()), Some(200));
    }
    let test = sample("grafana/test-notification-v12.json");
    assert_eq!(sign_and_send(&program, "grafana", "of-grafana", &test.to_string()), Some(200));
    let cases = program.get("/v1/cases").expect("cases");
    assert_eq!(phase(&cases), "awaiting_approval", "{cases:#}");
    assert_eq!(cases["cases"][0]["signals"].as_array().map(Vec::len), Some(1), "{cases:#}");

    message["alerts"][0]["status"] = json!("resolved");
    message["alerts"][0]["endsAt"] = json!(now().to_string());
    assert_eq!(sign_and_send(&program, "grafana", "of-grafana", &message.to_string()), Some(200));
    program.wait_for_outcome("cleared");
}

/// The other direction: what our library signs, the second implementation proves, and nothing near it.
#[test]
fn python_proves_what_we_sign() {
    let sign = |secret: &str, parts: &[&str]| -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let mut context = hmac::Context::with_key(&key);
        parts.iter().for_each(|part| context.update(part.as_bytes()));
        context.sign().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    };
    let body = sample("pagerduty/incident-triggered-nulls-unicode.json").to_string();
    for (scheme, headers) in [
        ("pagerduty", json!({ "X-PagerDuty-Signature": format!("v1={}", sign(SECRET, &[&body])) })),
        ("github", json!({ "X-Hub-Signature-256": format!("sha256={}", sign(SECRET, &[&body])) })),
        (
            "grafana",
            json!({
                "X-Grafana-Alerting-Timestamp": "1772442840",
                "X-Grafana-Alerting-Signature": sign(SECRET, &["1772442840:", &body]),
            }),
        ),
    ] {
        let ask = |secret: &str| {
            second(&json!({ "scheme": scheme, "secret": secret, "body": body, "headers": headers }))
        };
        let Some(right) = ask(SECRET) else { return };
        assert_eq!((right, ask("another")), (json!(true), Some(json!(false))), "{scheme}");
    }
}

/// The systems whose users write the bodies, and EventBridge: each fires, is asked about, and clears.
#[test]
fn what_every_template_tells_is_asked_about_until_it_clears() {
    let with = |path: &str, changes: &[(&str, Value)]| -> String {
        let mut body = sample(path);
        for (pointer, value) in changes {
            *body.pointer_mut(pointer).unwrap_or_else(|| panic!("{path} has {pointer}")) = value.clone();
        }
        body.to_string()
    };
    let millis = || json!(now().as_millisecond());
    let text = || json!(now().as_millisecond().to_string());
    let stamp = || json!(now().strftime("%Y-%m-%dT%H:%M:%S.%3f+0000").to_string());
    type Said = Box<dyn Fn(bool) -> String>;
    let systems: [(&str, Said); 4] = [
        ("datadog", {
            Box::new(move |fires| {
                let transition = json!(if fires { "Triggered" } else { "Recovered" });
                with("datadog/recommended-triggered.json", &[("/transition", transition), ("/date", text())])
            })
        }),
        ("newrelic", {
            Box::new(move |fires| {
                let state = json!(if fires { "ACTIVATED" } else { "CLOSED" });
                let entity = json!(["checkout-production"]);
                let changes = [
                    ("/state", state),
                    ("/impactedEntities", entity),
                    ("/createdAt", millis()),
                    ("/updatedAt", millis()),
                ];
                with("newrelic/real-activated.json", &changes)
            })
        }),
        ("opsgenie", {
            Box::new(move |fires| {
                let action = json!(if fires { "Create" } else { "Close" });
                with("opsgenie/real-create.json", &[("/action", action), ("/alert/createdAt", millis())])
            })
        }),
        ("events", {
            Box::new(move |fires| {
                let state = json!(if fires { "ALARM" } else { "OK" });
                let changes = [
                    ("/detail/state/value", state),
                    ("/detail/state/timestamp", stamp()),
                    ("/detail/state/reasonData", json!("{}")),
                ];
                with("cloudwatch/eventbridge-metric-alarm.json", &changes)
            })
        }),
    ];
    for (source, said) in systems {
        let program = begin();
        let send = |fires: bool| {
            let headers =
                [("Content-Type", "application/json"), ("Authorization", &*format!("Bearer of-{source}"))];
            program.send(&format!("/v1/alerts/{source}"), &headers, &said(fires))
        };
        assert_eq!(send(true), 200, "{source}");
        let cases = program.wait("the question", "/v1/cases", |cases| phase(cases) == "awaiting_approval");
        assert_eq!(cases["cases"][0]["signals"][0]["source"], source, "{cases:#}");
        assert_eq!(cases["cases"][0]["to"]["release"], "41", "{cases:#}");
        assert_eq!(send(false), 200, "{source}");
        program.wait_for_outcome("cleared");
    }
}
