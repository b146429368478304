//! Senders whose bodies their users write, over the wire: every sample, our templates as the other side fills them in, and what
//! a template that was forgotten makes of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use secrecy::SecretString;
use serde_json::{Value, json};
use snapback::case::id::{Duration, SourceName};
use snapback::case::mapping::{Formula, Mapping};
use snapback::case::signal::{Lag, SignalState};
use snapback::intake::{Credential, IntakeSettings, Limits, Scheme, Secret, SourceKind, SourceSettings};
use snapback::journal::inbox::Content;

use crate::pretend::{Answer, TOKEN, World, stores};
use crate::senders::{request, samples, snapshot};

/// Opsgenie's webhooks, as `docs/senders/generic.md` maps them.
pub(crate) fn opsgenie() -> Mapping {
    let formula = |text: &str| Formula::parse(text).expect(text);
    let of = |pairs: &[(&str, &str)]| -> BTreeMap<String, Formula> {
        pairs.iter().map(|(name, text)| ((*name).to_owned(), formula(text))).collect()
    };
    Mapping {
        each: None,
        state: formula(
            r#"body.action == "Create" ? "firing" : body.action in ["Close", "Delete"] ? "cleared" : "aside""#,
        ),
        name: formula("body.alert.message"),
        episode: formula("body.alert.alertId"),
        started_at: Some(formula("body.alert.createdAt")),
        ended_at: None,
        link: None,
        labels: of(&[
            ("service", "body.alert.entity"),
            ("priority", "body.alert.priority"),
            ("team", "body.alert.details.team"),
        ]),
        annotations: of(&[("source", "body.alert.source")]),
    }
}

/// A sender that lists several alerts in one message.
fn listing() -> Mapping {
    let formula = |text: &str| Formula::parse(text).expect(text);
    Mapping {
        each: Some(formula("body.alerts")),
        state: formula("item.state"),
        name: formula("item.name"),
        episode: formula("body.tenant + \"/\" + string(item.id)"),
        started_at: Some(formula("item.at")),
        ..opsgenie()
    }
}

async fn world() -> World {
    let bearer = || Credential::Bearer(vec![Secret::Loaded(SecretString::from(TOKEN))]);
    let source = |kind, credential| SourceSettings {
        kind,
        credential,
        lag: Duration::from_mins(5),
        tally: Arc::default(),
    };
    let signed = Credential::Signed {
        scheme: Scheme::Header {
            signature: "x-signature".parse().expect("a header"),
            prefix: "sha256=".into(),
        },
        secrets: vec![Secret::Loaded(SecretString::from("It's a Secret to Everybody"))],
    };
    let sources = [
        ("datadog", source(SourceKind::Datadog, bearer())),
        ("newrelic", source(SourceKind::NewRelic, bearer())),
        ("opsgenie", source(SourceKind::Generic(Arc::new(opsgenie())), bearer())),
        ("listing", source(SourceKind::Generic(Arc::new(listing())), bearer())),
        ("signed", source(SourceKind::Generic(Arc::new(opsgenie())), signed)),
    ];
    let sources = sources.into_iter().map(|(name, source)| (SourceName::new(name), source)).collect();
    let settings = IntakeSettings { sources, limits: Limits::default(), ..IntakeSettings::default() };
    World::of(settings, stores, || Ok(())).await
}

async fn post(world: &World, source: &str, kind: &str, body: &[u8]) -> Answer {
    let token = format!("Bearer {TOKEN}");
    world.send(request(source, &[("Content-Type", kind), ("Authorization", &token)], body)).await
}

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

#[tokio::test]
async fn every_sample_of_a_template_is_heard() {
    let mut world = world().await;
    for (sender, count) in [("datadog", 5), ("newrelic", 4), ("opsgenie", 3)] {
        let samples = samples(sender);
        assert_eq!(samples.len(), count, "{sender}: a sample is missing");
        for (name, body) in samples {
            let told = post(&world, sender, JSON, &body).await;
            let status = if name == "default-payload-triggered" { 422 } else { 200 };
            assert_eq!(told.status, status, "{sender} {name}: {told:?}");
            snapshot(sender, &name, &mut world);
        }
    }
    let form = std::fs::read(format!("{}/fixtures/datadog/form-encoded.txt", env!("CARGO_MANIFEST_DIR")));
    let told = post(&world, "datadog", FORM, &form.expect("a sample")).await;
    assert_eq!(told.status, 200, "{told:?}");
    snapshot("datadog", "form-encoded", &mut world);
}

#[tokio::test]
async fn whoever_forgot_the_template_is_told_which() {
    let mut world = world().await;
    let default = std::fs::read(format!(
        "{}/fixtures/datadog/default-payload-triggered.json",
        env!("CARGO_MANIFEST_DIR")
    ))
    .expect("a sample");
    let told = post(&world, "datadog", JSON, &default).await;
    assert!(told.body.contains("deploy/datadog-webhook.json"), "{told:?}");
    assert!(matches!(world.received()[0].content, Content::Dead(_)), "it is kept all the same");
}

/// What is told again began earlier: heard first, nothing that went out in between is surely its cause.
#[tokio::test]
async fn what_is_only_told_again_has_no_sure_beginning() {
    let mut world = world().await;
    for (transition, again) in
        [("Triggered", false), ("Renotify", true), ("Re-Triggered", true), ("re-warn", true), ("Warn", false)]
    {
        let body =
            json!({ "monitor_id": 7, "cycle_key": "c", "transition": transition, "date": "1772442860000" });
        let told = post(&world, "datadog", JSON, body.to_string().as_bytes()).await;
        assert_eq!(told.status, 200, "{transition}: {told:?}");
        let Content::Signals(signals) = world.received().remove(0).content else { panic!("{transition}") };
        let lag =
            if again { Lag::Bound(Duration::from_hours(2)) } else { Lag::Assumed(Duration::from_mins(5)) };
        assert_eq!(signals[0].lag, lag, "{transition}");
    }
}

/// An alert that gets worse is another episode, which rules for the graver one see; its end is the end of both.
#[tokio::test]
async fn an_alert_that_gets_worse_is_another_episode() {
    let mut world = world().await;
    let issue = |state: &str, priority: &str| {
        json!({ "id": "i-1", "state": state, "priority": priority, "title": "errors", "createdAt": 1_772_442_860_000_i64 }).to_string()
    };
    let monitor = |transition: &str| {
        json!({ "cycle_key": "7", "transition": transition, "title": "errors", "monitor_id": "42" })
            .to_string()
    };
    for (sender, mild, grave, over, ends) in [
        ("datadog", monitor("Warn"), monitor("Triggered"), monitor("Recovered"), 2),
        (
            "newrelic",
            issue("ACTIVATED", "HIGH"),
            issue("ACTIVATED", "CRITICAL"),
            issue("CLOSED", "CRITICAL"),
            3,
        ),
    ] {
        let mut told = Vec::new();
        for body in [&mild, &grave, &over] {
            let answer = post(&world, sender, JSON, body.as_bytes()).await;
            assert_eq!(answer.status, 200, "{sender}: {answer:?}");
            let Content::Signals(signals) = world.received().remove(0).content else { panic!("{sender}") };
            told.push(signals);
        }
        let key = |signal: &snapback::case::signal::Signal| signal.fingerprint.clone();
        assert_ne!(key(&told[0][0]), key(&told[1][0]), "{sender}");
        assert_eq!(
            (&*told[0][0].labels["severity"], &*told[1][0].labels["severity"]),
            ("warning", "critical"),
            "{sender}"
        );
        let ended: Vec<_> = told[2].iter().map(key).collect();
        assert!(
            ended.contains(&key(&told[0][0])) && ended.contains(&key(&told[1][0])),
            "{sender}: {ended:?}"
        );
        assert_eq!(ended.len(), ends, "{sender}");
    }
}

/// Our template with these values in it, as Datadog replaces its variables: as text.
fn datadog(values: &[(&str, &str)]) -> String {
    let mut text =
        std::fs::read_to_string(format!("{}/deploy/datadog-webhook.json", env!("CARGO_MANIFEST_DIR")))
            .expect("the template");
    for (name, value) in values {
        assert!(text.contains(&format!("\"${name}\"")), "the template does not use ${name}");
        text = text.replace(&format!("\"${name}\""), &json!(value).to_string());
    }
    text
}

fn one(world: &mut World, what: &str) -> snapback::case::signal::Signal {
    let mut received = world.received();
    assert_eq!(received.len(), 1, "{what}");
    let Content::Signals(mut signals) = received.remove(0).content else { panic!("{what}: no signal") };
    // What is over is over at whatever severity it began.
    let over = |signal: &snapback::case::signal::Signal| matches!(signal.state, SignalState::Cleared(_));
    assert!(signals.len() == 1 || signals.iter().all(over), "{what}: {signals:?}");
    signals.remove(0)
}

#[tokio::test]
async fn our_template_tells_datadogs_transitions_apart() {
    let mut world = world().await;
    let known = [
        ("ALERT_CYCLE_KEY", "771"),
        ("ALERT_ID", "22"),
        ("DATE", "1772442840000"),
        ("EVENT_TITLE", "[P1] [Triggered on {env:production}] High error rate"),
    ];
    let state = |signal: &snapback::case::signal::Signal| {
        format!("{:?} {}", signal.state, signal.labels.get("severity").map_or("", String::as_str))
    };
    let cleared = "Cleared(2026-03-02T09:14:00Z) critical";
    for (transition, expected) in [
        ("Triggered", "Firing critical"),
        ("triggered", "Firing critical"),
        ("Re-Triggered", "Firing critical"),
        ("Renotify", "Firing critical"),
        ("Warn", "Firing warning"),
        ("Re-Warn", "Firing warning"),
        ("No Data", "NoData warning"),
        ("Re-No Data", "NoData warning"),
        ("Recovered", cleared),
        ("RECOVERED ", cleared),
    ] {
        let body = datadog(&[&known[..], &[("ALERT_TRANSITION", transition)]].concat());
        assert_eq!(post(&world, "datadog", JSON, body.as_bytes()).await.status, 200, "{transition}");
        let signal = one(&mut world, transition);
        assert_eq!(state(&signal), expected, "{transition}");
        // What Datadog left as it stands in the template is not told.
        assert!(!format!("{signal:?}").contains('$'), "{signal:?}");
        let episode = if expected.ends_with("warning") { "771-warning" } else { "771" };
        assert_eq!((signal.name.as_str(), signal.fingerprint.as_str()), ("High error rate", episode));
    }
    for (what, values, status, aside) in [
        ("a transition of tomorrow", vec![("ALERT_TRANSITION", "Exploded"), ("ALERT_ID", "1")], 422, false),
        ("nothing that says which alert", vec![("ALERT_TRANSITION", "Triggered")], 422, false),
        ("no date", vec![("ALERT_TRANSITION", "Triggered"), ("ALERT_ID", "1"), ("DATE", "soon")], 422, false),
        (
            "a test",
            vec![
                ("ALERT_TRANSITION", "Triggered"),
                ("ALERT_ID", "1"),
                ("EVENT_TITLE", "[TEST] [Triggered] x"),
            ],
            200,
            true,
        ),
    ] {
        let told = post(&world, "datadog", JSON, datadog(&values).as_bytes()).await;
        assert_eq!(told.status, status, "{what}: {told:?}");
        let is_aside = matches!(world.received()[0].content, Content::Aside(_));
        assert_eq!(is_aside, aside, "{what}");
    }
}

#[tokio::test]
async fn a_tag_with_two_values_names_nothing() {
    let mut world = world().await;
    let body = datadog(&[
        ("ALERT_TRANSITION", "Triggered"),
        ("AGGREG_KEY", "06ade3da0286048d242ea8e46f521c93"),
        ("ALERT_SCOPE", "env:production,service:checkout"),
        ("TAGS", "monitor,service:search,url:http://x:80/, env:production,:empty,key:"),
    ]);
    assert_eq!(post(&world, "datadog", JSON, body.as_bytes()).await.status, 200);
    let labels = one(&mut world, "tags").labels;
    assert_eq!(labels.get("service"), None, "{labels:?}");
    assert_eq!(labels.get("env").map(String::as_str), Some("production"));
    assert_eq!(labels.get("url").map(String::as_str), Some("http://x:80/"), "split at the first colon");
    assert!(!labels.contains_key("monitor") && !labels.contains_key("key") && !labels.contains_key(""));
    let many: Vec<String> = (0..201).map(|number| format!("k{number}:v")).collect();
    let body = datadog(&[("ALERT_TRANSITION", "Triggered"), ("ALERT_ID", "1"), ("TAGS", &many.join(","))]);
    assert_eq!(post(&world, "datadog", JSON, body.as_bytes()).await.status, 422, "none may be left out");
    for form in ["transition=Triggered&transition=Recovered&monitor_id=1", "hello", ""] {
        let told = post(&world, "datadog", FORM, form.as_bytes()).await;
        assert_eq!(told.status, 422, "{form}: {told:?}");
    }
}

/// Our template as New Relic's Handlebars fill it in: each `{{ json NAME }}` is a value as JSON.
fn newrelic(values: &Value) -> String {
    let template =
        std::fs::read_to_string(format!("{}/deploy/newrelic-webhook.json", env!("CARGO_MANIFEST_DIR")))
            .expect("the template");
    let mut filled = String::new();
    let mut rest = &*template;
    while let Some((before, inner)) = rest.split_once("{{ json ") {
        let (name, after) = inner.split_once(" }}").expect("an end");
        filled.push_str(before);
        filled.push_str(&values[name].to_string());
        rest = after;
    }
    filled + rest
}

#[tokio::test]
async fn our_template_tells_new_relics_service_where_there_is_one() {
    let mut world = world().await;
    let issue = |state: &str, services: Value| {
        newrelic(&json!({
            "issueId": "c5faa7e6-7b54-402d-af79-f99601e0278c", "issuePageUrl": "https://radar.example/1", "state": state,
            "annotations.title.[0]": "too many errors", "priority": "CRITICAL", "createdAt": 1_772_442_840_000_i64,
            "updatedAt": 1_772_442_900_000_i64, "closedAt": if state == "CLOSED" { json!(1_772_443_000_000_i64) } else { Value::Null },
            "accumulations.conditionName": ["Error rate"], "accumulations.tag.service": services,
            "accumulations.tag.environment": ["production"], "entitiesData.names": ["checkout-1", "checkout-2"],
        }))
    };
    let label = |signal: &snapback::case::signal::Signal, name: &str| signal.labels.get(name).cloned();
    for (what, services, expected) in [
        ("one", json!(["checkout"]), Some("checkout")),
        ("a text", json!("checkout"), Some("checkout")),
        ("twice the same", json!(["checkout", "checkout"]), Some("checkout")),
        ("two", json!(["checkout", "search"]), None),
        ("none", json!([]), None),
        ("null", Value::Null, None),
    ] {
        let told = post(&world, "newrelic", JSON, issue("ACTIVATED", services).as_bytes()).await;
        assert_eq!(told.status, 200, "{what}: {told:?}");
        let signal = one(&mut world, what);
        assert_eq!(label(&signal, "service").as_deref(), expected, "{what}: {signal:?}");
        assert_eq!(label(&signal, "environment").as_deref(), Some("production"));
        assert_eq!(label(&signal, "entity_1").as_deref(), Some("checkout-2"));
        assert_eq!(signal.name.as_str(), "Error rate");
    }
    let told = post(&world, "newrelic", JSON, issue("CLOSED", json!(["checkout"])).as_bytes()).await;
    assert_eq!(told.status, 200);
    assert_eq!(format!("{:?}", one(&mut world, "closed").state), "Cleared(2026-03-02T09:16:40Z)");
    for (what, body) in [
        ("retired", r#"{"current_state":"open","incident_id":1,"event_type":"INCIDENT"}"#),
        ("a state of tomorrow", r#"{"id":"1","state":"MEH"}"#),
        ("nothing", "{}"),
    ] {
        let told = post(&world, "newrelic", JSON, body.as_bytes()).await;
        assert_eq!(told.status, 200, "{what}: {told:?}");
        assert!(matches!(world.received()[0].content, Content::Dead(_)), "{what}");
    }
}

#[tokio::test]
async fn a_mapping_reads_each_of_a_list_and_says_what_it_cannot() {
    let mut world = world().await;
    let body = r#"{"tenant":"t","alerts":[
        {"state":"firing","name":"a","id":1,"at":"2026-03-02T09:14:00Z"},{"state":"aside"},
        {"state":"cleared","name":"b","id":2,"at":null},{"state":"no_data","name":"c","id":3}]}"#;
    assert_eq!(post(&world, "listing", JSON, body.as_bytes()).await.status, 200);
    let Content::Signals(signals) = world.received().remove(0).content else { panic!("no signals") };
    let told: Vec<String> = signals
        .iter()
        .map(|signal| format!("{} {:?} {}", signal.name, signal.state, signal.started_at))
        .collect();
    assert_eq!(
        told,
        [
            "a Firing 2026-03-02T09:14:00Z",
            "b Cleared(2026-11-23T18:00:00Z) 2026-11-23T18:00:00Z",
            "c NoData 2026-11-23T18:00:00Z",
        ]
    );
    for (what, body, why) in [
        ("no list", r#"{"alerts":1}"#.to_owned(), "`each` gives int and no list"),
        ("nothing to list", "{}".to_owned(), "`each` cannot be evaluated"),
        ("no state", r#"{"tenant":"t","alerts":[{}]}"#.to_owned(), "alert 1: `state` gives nothing"),
        (
            "a state of its own",
            r#"{"tenant":"t","alerts":[{"state":"open","name":"a","id":1}]}"#.to_owned(),
            "`state` gives \"open\", and not firing",
        ),
        (
            "no name",
            r#"{"tenant":"t","alerts":[{"state":"firing","name":"","id":1}]}"#.to_owned(),
            "alert 1: `name` gives nothing",
        ),
        (
            "a list for a name",
            r#"{"tenant":"t","alerts":[{"state":"firing","name":[],"id":1}]}"#.to_owned(),
            "alert 1: `name` gives list",
        ),
        (
            "no moment",
            r#"{"tenant":"t","alerts":[{"state":"firing","name":"a","id":1,"at":"soon"}]}"#.to_owned(),
            "`started_at` gives not a moment",
        ),
        (
            "too many",
            format!(r#"{{"tenant":"t","alerts":[{}0]}}"#, "0,".repeat(1000)),
            "more than 1000 alerts",
        ),
        ("a name twice", r#"{"tenant":"t","tenant":"u","alerts":[]}"#.to_owned(), "a name stands twice"),
        ("no JSON", "hello".to_owned(), "expected value"),
    ] {
        let told = post(&world, "listing", JSON, body.as_bytes()).await;
        assert_eq!(told.status, 422, "{what}: {told:?}");
        let received = world.received();
        let said = received[0].content.dead().unwrap_or_default();
        assert!(said.contains(why), "{what}: {said}");
    }
}

/// GitHub's own vector, under another name.
#[tokio::test]
async fn a_signature_in_a_header_of_ones_own_is_proved() {
    let mut world = world().await;
    let right = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    for (what, shown, body, status) in [
        ("right, and no JSON", right, "Hello, World!", 422),
        ("another body", right, "Hello, World", 401),
        ("without its letters", &right[7..], "Hello, World!", 401),
        ("none", "", "Hello, World!", 401),
    ] {
        let headers = [("Content-Type", JSON), ("X-Signature", shown)];
        let told = world.send(request("signed", &headers, body.as_bytes())).await;
        assert_eq!(told.status, status, "{what}: {told:?}");
    }
    assert_eq!(world.received().len(), 1);
}
