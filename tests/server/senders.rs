//! Every signing sender over the wire: each sample through the real listener, and what is nearly its request. Leaves to `doors`
//! what all of them refuse.

use std::path::PathBuf;
use std::sync::Arc;

use aws_lc_rs::hmac;
use secrecy::SecretString;
use snapback::case::id::{Duration, SourceName};
use snapback::intake::{Credential, IntakeSettings, Limits, Scheme, Secret, SourceKind, SourceSettings};
use snapback::journal::inbox::Content;
use tokio::io::AsyncWriteExt;

use crate::pretend::{Answer, World, now, stores};

const SECRET: &str = "lDQHScfUeXUKaQRNF+8XIiDKZ7XX3itBAYzwU0TARw8lJqRnkKl2iB1anSb0Z+IK";
const OLD_SECRET: &str = "an-old-one";

/// Headers with values of their own.
type Headers<'a> = Vec<(&'a str, String)>;

async fn world() -> World {
    world_with(Limits::default()).await
}

async fn world_with(limits: Limits) -> World {
    let loaded = |text: &str| Secret::Loaded(SecretString::from(text));
    let source = |kind, credential| SourceSettings {
        kind,
        credential,
        lag: Duration::from_mins(5),
        tally: Arc::default(),
    };
    let signed = |scheme| Credential::Signed { scheme, secrets: vec![loaded(SECRET), loaded(OLD_SECRET)] };
    let timed = Scheme::Grafana { signature: Scheme::GRAFANA, timestamp: "x-time".parse().ok() };
    let bare = Scheme::Grafana { signature: Scheme::GRAFANA, timestamp: None };
    let sources = [
        ("pagerduty", source(SourceKind::PagerDuty, signed(Scheme::PagerDuty))),
        ("unloaded", {
            let secrets = vec![Secret::Missing, loaded(OLD_SECRET)];
            source(SourceKind::PagerDuty, Credential::Signed { scheme: Scheme::PagerDuty, secrets })
        }),
        ("grafana", source(SourceKind::Grafana, signed(bare))),
        ("timed", source(SourceKind::Grafana, signed(timed))),
    ];
    let sources = sources.into_iter().map(|(name, source)| (SourceName::new(name), source)).collect();
    World::of(IntakeSettings { sources, limits, ..IntakeSettings::default() }, stores, || Ok(())).await
}

pub(crate) fn signature(secret: &str, parts: &[&[u8]]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let mut context = hmac::Context::with_key(&key);
    parts.iter().for_each(|part| context.update(part));
    context.sign().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes of a request to this source.
pub(crate) fn request(source: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = body.len();
    let head = format!(
        "POST /v1/alerts/{source} HTTP/1.1\r\nHost: snapback.example\r\nContent-Length: {length}\r\n{headers}\r\n"
    );
    [head.as_bytes(), body].concat()
}

async fn pagerduty(world: &World, body: &[u8]) -> Answer {
    let shown = format!("v1={}", signature(SECRET, &[body]));
    let headers = [("Content-Type", "application/json"), ("X-PagerDuty-Signature", &*shown)];
    world.send(request("pagerduty", &headers, body)).await
}

pub(crate) fn samples(sender: &str) -> Vec<(String, Vec<u8>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(sender);
    let mut files: Vec<PathBuf> =
        folder.read_dir().expect("the folder").map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|path| path.extension().is_some_and(|own| own == "json"));
    files.sort();
    let name = |path: &PathBuf| path.file_stem().expect("a name").to_string_lossy().into_owned();
    files.iter().map(|path| (name(path), std::fs::read(path).expect("a sample"))).collect()
}

pub(crate) fn snapshot(sender: &str, name: &str, world: &mut World) {
    let mut received = world.received();
    assert_eq!(received.len(), 1, "{sender} {name}");
    insta::assert_debug_snapshot!(format!("{sender}__{name}"), received.remove(0).content);
}

#[tokio::test]
async fn every_sample_of_pagerdutys_is_heard() {
    let mut world = world().await;
    let samples = samples("pagerduty");
    assert_eq!(samples.len(), 9, "a sample is missing");
    for (name, body) in samples {
        let told = pagerduty(&world, &body).await;
        assert_eq!(told.status, 202, "{name}: {told:?}");
        snapshot("pagerduty", &name, &mut world);
    }
}

#[tokio::test]
async fn every_sample_of_grafanas_is_heard() {
    let mut world = world().await;
    let samples = samples("grafana");
    assert_eq!(samples.len(), 5, "a sample is missing");
    for (name, body) in samples {
        let shown = signature(OLD_SECRET, &[&body]);
        let headers = [("Content-Type", "application/json"), ("X-Grafana-Alerting-Signature", &*shown)];
        let told = world.send(request("grafana", &headers, &body)).await;
        assert_eq!(told.status, 200, "{name}: {told:?}");
        snapshot("grafana", &name, &mut world);
    }
}

#[tokio::test]
async fn what_is_nearly_pagerdutys_request_is_refused_and_stores_nothing() {
    let mut world = world().await;
    let body = samples("pagerduty").remove(0).1;
    let (right, old) = (signature(SECRET, &[&body]), signature(OLD_SECRET, &[&body]));
    let json = ("Content-Type", "application/json");
    let name = "X-PagerDuty-Signature";
    let changed = [&body[..body.len() - 1], b" "].concat();
    let refused: Vec<(&str, Headers<'_>, &[u8], u16)> = vec![
        ("no signature", vec![], &body, 401),
        ("an empty one", vec![(name, String::new())], &body, 401),
        ("another version", vec![(name, format!("v2={right}"))], &body, 401),
        ("without a version", vec![(name, right.clone())], &body, 401),
        ("upper case", vec![(name, format!("v1={}", right.to_uppercase()))], &body, 401),
        ("cut", vec![(name, format!("v1={}", &right[..63]))], &body, 401),
        ("longer", vec![(name, format!("v1={right}0"))], &body, 401),
        ("another secret", vec![(name, format!("v1={}", signature("other", &[&body])))], &body, 401),
        ("an empty secret", vec![(name, format!("v1={}", signature("", &[&body])))], &body, 401),
        ("a changed body", vec![(name, format!("v1={right}"))], &changed, 401),
        ("twice", vec![(name, format!("v1={right}")), (name, format!("v1={right}"))], &body, 400),
        ("too many", vec![(name, format!("{}v1={right}", "v1=00,".repeat(8)))], &body, 401),
        ("a bearer token", vec![("Authorization", format!("Bearer {SECRET}"))], &body, 401),
    ];
    for (what, headers, body, status) in &refused {
        let headers: Vec<(&str, &str)> =
            [json].into_iter().chain(headers.iter().map(|(name, value)| (*name, &**value))).collect();
        let told = world.send(request("pagerduty", &headers, body)).await;
        assert_eq!(told.status, *status, "{what}: {told:?}");
        assert!(world.received().is_empty(), "{what}");
    }
    let bytes =
        request("pagerduty", &[("Content-Type", "text/plain"), (name, &format!("v1={right}"))], &body);
    assert_eq!(world.send(bytes).await.status, 415);
    for shown in [format!("v1={right}"), format!("v1={}, v1={old}", "0".repeat(64)), format!("v0=x,v1={old}")]
    {
        let told = world.send(request("pagerduty", &[json, (name, &shown)], &body)).await;
        assert_eq!(told.status, 202, "{shown}");
        assert_eq!(world.received().len(), 1, "{shown}");
    }
    // A secret that is not loaded might have been the right one: its sender comes again.
    let told = world.send(request("unloaded", &[json, (name, &format!("v1={right}"))], &body)).await;
    assert_eq!((told.status, told.problem().as_str()), (503, "secret-missing"));
    let told = world.send(request("unloaded", &[json, (name, &format!("v1={old}"))], &body)).await;
    assert_eq!(told.status, 202);
}

/// What is proved only by its whole body takes the room of what has come of it: a stranger who says how much will come takes none.
#[tokio::test]
async fn who_only_says_how_much_will_come_keeps_nobody_out() {
    let mut world = world_with(Limits { bodies_in_flight: 1 << 20, ..Limits::default() }).await;
    let mut strangers = Vec::new();
    for _ in 0..8 {
        let mut stranger = world.connect().await;
        let head = "POST /v1/alerts/grafana HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1048576\r\nX-Grafana-Alerting-Signature: 00\r\n\r\n{";
        stranger.write_all(head.as_bytes()).await.expect("written");
        strangers.push(stranger);
    }
    let body = samples("pagerduty").remove(0).1;
    assert_eq!(pagerduty(&world, &body).await.status, 202);
    assert_eq!(world.received().len(), 1);
}

#[tokio::test]
async fn grafanas_time_is_signed_and_must_be_near() {
    let mut world = world().await;
    let body = samples("grafana").remove(0).1;
    let json = ("Content-Type", "application/json");
    let second = now().as_second();
    for (time, signs, status) in [
        (second, second, 200),
        (second - 300, second - 300, 200),
        (second + 300, second + 300, 200),
        (second - 301, second - 301, 401),
        (second + 301, second + 301, 401),
        (second, second + 1, 401),
    ] {
        let shown = signature(SECRET, &[signs.to_string().as_bytes(), b":", &body]);
        let time = time.to_string();
        let headers = [json, ("X-Grafana-Alerting-Signature", &*shown), ("X-Time", &*time)];
        let told = world.send(request("timed", &headers, &body)).await;
        assert_eq!(told.status, status, "{time}, signed {signs}: {told:?}");
    }
    let bare = signature(SECRET, &[&body]);
    let headers = [json, ("X-Grafana-Alerting-Signature", &*bare)];
    assert_eq!(world.send(request("timed", &headers, &body)).await.status, 401, "without its time");
    assert_eq!(world.received().len(), 3);
}

/// What is authentic and is no event of ours: the sender must not see a refusal.
#[tokio::test]
async fn what_pagerduty_may_send_and_nobody_reads_is_kept() {
    let mut world = world().await;
    let event = |kind: &str, data: &str| {
        format!(
            r#"{{"event":{{"id":"01","event_type":"{kind}","occurred_at":null,"agent":null,"data":{data}}}}}"#
        )
    };
    let ours =
        r#"{"id":"Q1","status":"triggered","title":"x","incident_key":"snapback/checkout@production.1"}"#;
    for (what, body, dead) in [
        ("a type of tomorrow", event("incident.teleported", "{}"), false),
        ("a page of our own", event("incident.triggered", ours), false),
        ("no JSON", "hello".to_owned(), true),
        ("nothing", " ".to_owned(), true),
        ("a byte order mark", "\u{feff}{}".to_owned(), true),
        ("V2", r#"{"messages":[{"event":"incident.trigger"}]}"#.to_owned(), true),
        ("a list", "[]".to_owned(), true),
        ("no data", r#"{"event":{"event_type":"incident.triggered"}}"#.to_owned(), true),
        ("null data", event("incident.triggered", "null"), true),
        ("a status of tomorrow", event("incident.triggered", r#"{"id":"Q1","status":"paused"}"#), true),
        ("an id twice", event("incident.triggered", r#"{"id":"Q1","id":"Q2","status":"triggered"}"#), true),
        ("deep", event("incident.triggered", &format!("{}1{}", "[".repeat(40), "]".repeat(40))), true),
    ] {
        let told = pagerduty(&world, body.as_bytes()).await;
        assert_eq!(told.status, 202, "{what}: {told:?}");
        let received = world.received();
        assert_eq!(received.len(), 1, "{what}");
        let is_dead = matches!(received[0].content, Content::Dead(_));
        let is_aside = matches!(received[0].content, Content::Aside(_));
        assert_eq!((is_dead, is_aside), (dead, !dead), "{what}: {:?}", received[0].content);
    }
}
