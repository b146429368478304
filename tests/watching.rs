//! Watching the real program as Prometheus and people do: the scrape, its page and its alert rules speak of the same
//! metrics, nothing that a sender writes becomes a series, and a case is followed by its id through everything.

mod binary;
mod watched;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

use binary::{Program, TOKEN};
use serde_json::{Value, json};
use snapback::telemetry::catalogue::{ALL, Kind};
use watched::{ADA, begin, content, file, labels, now, promtool, series, text, wait_for};

/// Every name that is scraped, and which words of labels each has.
fn scraped(text: &str) -> BTreeSet<&str> {
    text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect()
}

/// Every word of a text that is a name of a metric, as queries write it.
fn named(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let names = words.filter(|word| word.starts_with("snapback_"));
    let histogram =
        |name: &&str| ALL.iter().any(|metric| metric.name == *name && metric.kind == Kind::Histogram);
    let stem = |word| {
        let stems = ["_bucket", "_sum", "_count"].iter().filter_map(|end| str::strip_suffix(word, end));
        stems.into_iter().find(histogram).unwrap_or(word)
    };
    names.map(stem).collect()
}

fn catalogue() -> BTreeSet<&'static str> {
    ALL.iter().map(|metric| metric.name).collect()
}

#[test]
fn list_page_and_scrape_name_the_same_metrics() {
    let program = begin();
    let text = text(&program);
    assert_eq!(scraped(&text), catalogue(), "the scrape and the list differ");
    let page = file("docs/watching.md");
    let rows: Vec<Vec<&str>> = page
        .lines()
        .filter(|line| line.starts_with("| `snapback_"))
        .map(|line| line.split('|').collect())
        .collect();
    let row_of = |name: &str| {
        let of: Vec<_> = rows.iter().filter(|row| row[1].trim().trim_matches('`') == name).collect();
        assert_eq!(of.len(), 1, "docs/watching.md has {} rows of {name}", of.len());
        of[0].clone()
    };
    assert_eq!(rows.len(), ALL.len(), "docs/watching.md has a row of something that is not measured");
    for metric in ALL {
        let row = row_of(metric.name);
        let kind = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        assert_eq!((row[2].trim(), row[3].trim()), (kind, metric.unit), "{}", metric.name);
        let line = text.lines().find(|line| line.starts_with(metric.name)).expect("a series");
        let labels = line.split_once('{').map_or("", |(_, rest)| rest.split('}').next().unwrap_or(rest));
        let keys: BTreeSet<&str> = labels
            .split("\",")
            .filter_map(|pair| pair.split_once("=\""))
            .map(|(key, _)| key)
            .filter(|key| *key != "le")
            .collect();
        let told: BTreeSet<&str> = row[4].split('`').skip(1).step_by(2).collect();
        assert_eq!(told, keys, "the labels of {}", metric.name);
    }
}

#[test]
fn rules_and_dashboard_name_metrics_that_are_there() {
    let page = file("docs/watching.md");
    for path in ["deploy/prometheus/snapback-alerts.yml", "deploy/grafana/snapback-dashboard.json"] {
        let text = file(path);
        let text = text.replace("SnapbackAlerts", "");
        let unknown: Vec<&str> = named(&text).difference(&catalogue()).copied().collect();
        assert!(unknown.is_empty(), "{path} asks for {unknown:?}");
        assert!(page.contains(path), "docs/watching.md does not speak of {path}");
    }
    let shown = named(&file("deploy/grafana/snapback-dashboard.json")).len();
    assert_eq!(shown, ALL.len(), "the dashboard leaves out something that is measured");
    let rules = file("deploy/prometheus/snapback-alerts.yml");
    let tested = file("fixtures/prometheus/alerts-test.yml");
    for alert in rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        assert!(page.contains(&format!("`{alert}`")), "docs/watching.md does not speak of {alert}");
        assert!(tested.contains(&format!("alertname: {alert}\n")), "nothing tests {alert}");
    }
}

#[test]
fn the_real_promtool_finds_nothing_to_say() {
    let Some(promtool) = promtool() else { return };
    let program = begin();
    assert_eq!(content(&promtool, &["check", "metrics"], &text(&program)), "");
    content(&promtool, &["check", "rules", "deploy/prometheus/snapback-alerts.yml"], "");
    content(&promtool, &["test", "rules", "fixtures/prometheus/alerts-test.yml"], "");
    // The dashboard's queries, as rules: whoever reads them says whether they can be read.
    let dashboard: Value =
        serde_json::from_str(&file("deploy/grafana/snapback-dashboard.json")).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels").iter();
    let queries = panels.flat_map(|panel| panel["targets"].as_array().expect("queries"));
    let rules: Vec<Value> = (0..)
        .zip(queries)
        .map(|(nth, query)| json!({ "record": format!("query_{nth}"), "expr": query["expr"] }))
        .collect();
    assert!(rules.len() > 20, "{rules:?}");
    let queries = json!({ "groups": [{ "name": "dashboard", "rules": rules }] }).to_string();
    let path = program.path("dashboard.yml");
    std::fs::write(&path, queries).expect("written");
    content(&promtool, &["check", "rules", path.to_str().expect("a path")], "");
}

/// The scrape is read like everything else: by whoever has a token.
#[test]
fn the_scrape_needs_what_every_reading_needs() {
    let mut program = begin();
    assert!(text(&program).contains("snapback_build_info"));
    program.reads_with = Some("nobody's".to_owned());
    let (status, body) = program.read("/metrics").expect("an answer");
    assert_eq!((status, body.contains("snapback_build_info")), (401, false), "{body}");
}

/// Whatever stands in an alert, in its labels or in its request: no series is made of it.
#[test]
fn what_senders_write_makes_no_series() {
    let program = begin();
    let before: BTreeSet<String> = series(&program).into_keys().collect();
    let hostile = [
        json!({ "alertname": "a\"} 1\nsnapback_owned{x=\"", "service": "checkout\n", "environment": "production" }),
        json!({ "alertname": "x", "service": "checkout", "environment": "staging\"," }),
        json!({ "alertname": "x", "verdict": "owned", "outcome": "owned", "le": "0.1", "__name__": "owned" }),
        json!({ "alertname": "", "service": "\u{202e}\u{0}", "environment": "production" }),
        json!({ "alertname": "y".repeat(5000), "service": "z".repeat(5000), "environment": "production" }),
    ];
    for labels in &hostile {
        assert_eq!(program.post(labels, now(), None), 200, "{labels}");
    }
    // A hundred names in a message, as many as one may have; the failure model asks for 100,000 names (T78).
    for message in 0..1000 {
        assert_eq!(program.post_alerts(TOKEN, &names(message)), 200);
    }
    assert_eq!(program.post_alerts("a wrong token", "{}"), 401);
    assert_eq!(program.post_alerts(TOKEN, "{\"version\": \"4\", \"alerts\": \"owned\"}"), 200);
    wait_for(
        &program,
        &[
            (r#"snapback_deliveries_total{source="prometheus",result="stored"}"#, 1005.0),
            (r#"snapback_deliveries_total{source="prometheus",result="dead_letter"}"#, 1.0),
            (r#"snapback_deliveries_refused_total{source="prometheus",reason="unauthorized"}"#, 1.0),
            (r#"snapback_dispositions_total{disposition="dead"}"#, 1.0),
            (r#"snapback_undecided_deliveries"#, 0.0),
        ],
    );
    let all = series(&program);
    let judged: f64 =
        all.iter().filter(|(name, _)| name.starts_with("snapback_dispositions_total")).map(|(_, n)| n).sum();
    assert!((judged - 100_006.0).abs() < 0.5, "{judged} of 100,006 were judged");
    let after: BTreeSet<String> = all.into_keys().collect();
    let new: Vec<_> = after.difference(&before).collect();
    assert!(new.is_empty(), "series that a sender made: {new:?}");
    assert_eq!(after.len(), before.len());
}

/// A message of a hundred alerts whose names nobody has heard before.
fn names(message: u32) -> String {
    let alert = |nth: u32| {
        json!({
            "status": "firing", "labels": { "alertname": format!("A{message}-{nth}"), "team": format!("t{message}-{nth}") },
            "annotations": {}, "startsAt": "2026-03-02T09:00:00Z", "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": "", "fingerprint": format!("{:016x}", message * 100 + nth),
        })
    };
    json!({
        "version": "4", "groupKey": "{}:{}", "truncatedAlerts": 0, "status": "firing", "receiver": "snapback",
        "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {}, "externalURL": "",
        "alerts": (0..100).map(alert).collect::<Vec<Value>>(),
    })
    .to_string()
}

/// A whole rollback in numbers, and what of it a new start counts again: nothing but what is reached after it.
#[test]
fn a_rollback_is_counted_once_over_a_new_start() {
    let mut program = begin();
    wait_for(&program, &[(r#"snapback_service_ready{service="checkout@production"}"#, 1.0)]);
    let since = now();
    assert_eq!(program.post(&labels(), since, None), 200);
    let stage = |stage: &str| format!("snapback_stage_duration_seconds_count{{stage=\"{stage}\"}}");
    let (judged, counted_down, started) =
        (stage("received_to_judged"), stage("judged_to_counted_down"), stage("ready_to_started"));
    let (done, verified) = (stage("started_to_done"), stage("done_to_verified"));
    let opened = r#"snapback_cases_opened_total{origin="signal"}"#;
    let closed = r#"snapback_cases_closed_total{outcome="recovered"}"#;
    wait_for(
        &program,
        &[
            (r#"snapback_open_cases{phase="verifying"}"#, 1.0),
            (r#"snapback_dispositions_total{disposition="taken"}"#, 1.0),
            (opened, 1.0),
            (r#"snapback_acts_begun_total{provider="directory"}"#, 1.0),
            (r#"snapback_acts_ended_total{provider="directory",ending="accepted"}"#, 1.0),
            (&judged, 1.0),
            (&counted_down, 1.0),
            (&started, 1.0),
            (&done, 1.0),
            (&verified, 0.0),
            (closed, 0.0),
            ("snapback_unsaid_notes", 0.0),
        ],
    );
    let height = series(&program)["snapback_audit_height"];
    assert!(height > 5.0, "{height}");
    program.kill();
    program.start_again();
    wait_for(&program, &[(r#"snapback_open_cases{phase="verifying"}"#, 1.0), (opened, 0.0), (&done, 0.0)]);
    assert_eq!(program.post(&labels(), since, Some(now())), 200);
    program.wait_for_outcome("recovered");
    wait_for(
        &program,
        &[(closed, 1.0), (&verified, 1.0), (r#"snapback_open_cases{phase="verifying"}"#, 0.0)],
    );
    let after = series(&program);
    for name in [&judged, &counted_down, &started, &done] {
        assert_eq!(after[name], 0.0, "{name} was counted again after the new start");
    }
    assert!(after["snapback_audit_height"] > height, "the audit's height is that of the store");
}

/// What is wrong shows: a faulty configuration, a pause, a provider that cannot be read.
#[test]
fn what_is_wrong_shows_and_goes_away() {
    let program = begin();
    let (ready, unreadable) = (
        r#"snapback_service_ready{service="checkout@production"}"#,
        r#"snapback_provider_unreadable{service="checkout@production"}"#,
    );
    let (automatic, everything) =
        (r#"snapback_paused{stops="automatic"}"#, r#"snapback_paused{stops="everything"}"#);
    wait_for(
        &program,
        &[
            (ready, 1.0),
            (unreadable, 0.0),
            (automatic, 0.0),
            ("snapback_config_error", 0.0),
            ("snapback_store_writable", 1.0),
            ("snapback_hold", 0.0),
        ],
    );
    let taken_at = series(&program)["snapback_config_taken_timestamp_seconds"];

    program.rewrite(&watched::config().replace("mode = \"live\"", "mode = \"lvie\""));
    wait_for(&program, &[("snapback_config_error", 1.0)]);
    assert_eq!(
        series(&program)["snapback_config_taken_timestamp_seconds"],
        taken_at,
        "the old one is in force"
    );
    program.rewrite(&watched::config().replace("soak = \"2s\"", "soak = \"3s\""));
    wait_for(&program, &[("snapback_config_error", 0.0)]);
    assert!(series(&program)["snapback_config_taken_timestamp_seconds"] > taken_at);

    let paused = |body: &str| program.post_admin(ADA, "/v1/pause", "application/json", body).0;
    assert_eq!(paused(r#"{"reason":"a test"}"#), 200);
    wait_for(&program, &[(automatic, 1.0), (everything, 0.0), (ready, 1.0)]);
    assert_eq!(paused(r#"{"reason":"a test","everything":true}"#), 200);
    wait_for(&program, &[(automatic, 1.0), (everything, 1.0), (ready, 0.0)]);

    let root = program.path("srv");
    std::fs::rename(&root, root.with_extension("gone")).expect("hidden");
    // A signal makes the provider be read anew.
    assert_eq!(program.post(&labels(), now(), None), 200);
    wait_for(&program, &[(unreadable, 1.0), (ready, 0.0)]);
}

/// A source that goes with a reload takes its series along, and one that stays keeps its numbers.
#[test]
fn series_follow_the_configuration() {
    let program = begin();
    let kept = r#"snapback_deliveries_total{source="prometheus",result="stored"}"#;
    assert_eq!(program.post(&json!({ "alertname": "A" }), now(), None), 200);
    wait_for(&program, &[(kept, 1.0)]);
    let second = "[sources.second]\nkind = \"alertmanager\"\nbearer_token = { file = \"token-of-second\" }\nservices = [\"*@production\"]\n";
    std::fs::write(program.path("token-of-second"), "the second's").expect("a token");
    program.rewrite(&format!("{}\n{second}", watched::config()));
    let of_second = r#"snapback_deliveries_total{source="second",result="stored"}"#;
    wait_for(&program, &[(of_second, 0.0), (kept, 1.0)]);
    program.rewrite(&watched::config());
    assert!(
        binary::wait_until(|| !series(&program).contains_key(of_second)),
        "a source that is gone is still told"
    );
    wait_for(&program, &[(kept, 1.0)]);
}

/// One id leads through the log, the API, the stream of events and the audit.
#[test]
fn a_case_is_followed_by_its_id() {
    let program = begin();
    let since = now();
    assert_eq!(program.post(&labels(), since, None), 200);
    program.wait("the act", "/v1/cases", |cases| cases["cases"][0]["phase"] == "verifying");
    assert_eq!(program.post(&labels(), since, Some(now())), 200);
    let case = program.wait_for_outcome("recovered");
    let id = case["id"].as_str().expect("an id").to_owned();

    program.wait_for_line(&[&id, r#""event":"told""#]);
    let said = program.said();
    let lines: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let of_case: Vec<&Value> = lines.iter().filter(|line| line["case.id"] == id.as_str()).collect();
    let happened: Vec<&str> = of_case.iter().filter_map(|line| line["event"].as_str()).collect();
    let stages =
        ["opened", "weighed", "planned", "countdown_announced", "countdown_began", "readied", "intended"];
    let act = ["accepted", "step_done", "verify_began", "closed", "told"];
    let mut rest = happened.iter();
    for stage in stages.iter().chain(&act) {
        assert!(
            rest.any(|event| event == stage),
            "{stage} is not in its place in the log: {happened:?}\n{said}"
        );
    }
    let line = |what: &str, is: &dyn Fn(&Value) -> bool| {
        of_case
            .iter()
            .find(|line| is(line))
            .copied()
            .unwrap_or_else(|| panic!("{what} is not in the log:\n{said}"))
    };
    let begin = line("begin", &|line| line["message"] == "begin");
    assert_eq!(
        (&begin["step"], &begin["attempt"], &begin["provider"]),
        (&json!(0), &json!(1), &json!("directory"))
    );
    let intended = line("the intent", &|line| line["event"] == "intended");
    assert_eq!((&intended["step"], &intended["attempt"]), (&json!(0), &json!(1)));
    assert_eq!(line("the judgement", &|line| line["event"] == "weighed")["verdict"], "rollback");
    assert_eq!(line("the end", &|line| line["event"] == "closed")["outcome"], "recovered");
    line("a note", &|line| line["note"] == 0 && line["message"].to_string().contains("points at"));
    for line in &of_case {
        assert_eq!(line["service"], "checkout@production", "{line}");
    }

    let (status, one) = program.read(&format!("/v1/cases/{id}")).expect("an answer");
    assert_eq!(status, 200);
    assert_eq!(serde_json::from_str::<Value>(&one).expect("JSON")["id"], id.as_str());
    let streamed = events_of(&program, &id);
    assert_eq!(happened, streamed, "the log and the stream of events tell the same");
    let (code, audit) = program
        .run(None, &["audit", "export", "--config", program.path("snapback.toml").to_str().expect("a path")]);
    assert_eq!(code, Some(0), "{audit}");
    let entries: Vec<Value> = audit.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let contents = |entry: &Value| {
        serde_json::from_str::<Value>(entry["contents"].as_str().expect("contents")).expect("JSON")
    };
    let with_it = entries.iter().filter(|entry| contents(entry)["cases"].get(&id).is_some()).count();
    assert!(with_it >= 5, "the audit names {id} in {with_it} entries only");
}

/// The kinds of all events of a case, from the stream, up to the one with which it is told.
fn events_of(program: &Program, id: &str) -> Vec<String> {
    let admin = program.admin();
    let mut stream = TcpStream::connect(admin).expect("connected");
    stream.set_read_timeout(Some(binary::DEADLINE)).expect("a deadline");
    let bearer = program.reads_with.as_deref().expect("a token");
    write!(
        stream,
        "GET /v1/events HTTP/1.1\r\nHost: {admin}\r\nAuthorization: Bearer {bearer}\r\nLast-Event-ID: 0\r\n\r\n"
    )
    .expect("asked");
    let mut kinds = Vec::new();
    for line in BufReader::new(stream).lines() {
        let line = line.expect("the stream goes on");
        let Some(data) = line.strip_prefix("data: ") else { continue };
        let event: Value = serde_json::from_str(data).expect("JSON");
        if event["case"] == id {
            kinds.push(event["kind"].as_str().expect("a kind").to_owned());
            if event["kind"] == "told" {
                return kinds;
            }
        }
    }
    panic!("the stream ended before the case was told: {kinds:?}");
}
