//! The lines that every door holds, whatever is spoken there: who is let in, sizes to the byte, what a body is, where it ends, and
//! where it was sent. Leaves to each sender's and feed's own file what only it has: times, versions, certificates.

use std::sync::Arc;

use secrecy::SecretString;
use snapback::case::id::{Duration, SourceName};
use snapback::intake::{
    Certificates, Confirm, Credential, IntakeSettings, Limits, Scheme, Secret, Sns, SourceKind,
    SourceSettings, Versions,
};

use crate::pretend::{Answer, World, stores};
use crate::senders::{samples, signature};
use crate::signing::{FILE, Signer, TOPIC};
use crate::templates::opsgenie;

const SECRET: &str = "It's a Secret to Everybody";
const JSON: &[&str] = &["application/json"];
/// What somebody may say of a body, and no door but one of SNS takes.
const NO_BODY_OF_OURS: &[&str] =
    &["application/jsonx", "text/html", "multipart/form-data", "application json"];

/// How a request shows who sends it.
#[derive(Clone, Copy, PartialEq)]
enum Shows {
    Bearer,
    /// HMAC-SHA256 in this header, behind this prefix.
    Signature(&'static str, &'static str),
    /// Within the body.
    Envelope,
}

/// One door, and a request that it takes.
struct Door {
    /// `alerts/NAME` or `deployments/NAME`.
    path: &'static str,
    kind: SourceKind,
    shows: Shows,
    body: Vec<u8>,
    /// The first of these is the one its sender uses.
    media: &'static [&'static str],
    most: usize,
    stored: u16,
}

fn sample(folder: &str, name: &str) -> Vec<u8> {
    samples(folder).into_iter().find(|(own, _)| own == name).unwrap_or_else(|| panic!("{folder}/{name}")).1
}

/// All of them.
fn doors(signer: &Signer) -> Vec<Door> {
    let door =
        |path, kind, shows, body, media, most, stored| Door { path, kind, shows, body, media, most, stored };
    let said = |folder: &str, name: &str| {
        let message = String::from_utf8(sample(folder, name)).expect("text");
        signer.notification(&message, "2026-03-02T09:14:21.000Z").to_string().into_bytes()
    };
    let (kib, mib) = (1 << 10, 1 << 20);
    let form: &[&str] = &["application/json", "application/x-www-form-urlencoded"];
    let pagerduty = Shows::Signature("X-PagerDuty-Signature", "v1=");
    let grafana = Shows::Signature("X-Grafana-Alerting-Signature", "");
    let github = Shows::Signature("X-Hub-Signature-256", "sha256=");
    let events: &[&str] =
        &["application/cloudevents+json", "application/json", "application/cloudevents-batch+json"];
    let ping = br#"{"event":{"event_type":"pagey.ping","data":{}}}"#.to_vec();
    let no_alert = br#"{"alerts":[]}"#.to_vec();
    let deployment =
        br#"{"service":"checkout@production","release":"42","started_at":"2026-03-02T09:05:00Z"}"#;
    let generic = SourceKind::Generic(Arc::new(opsgenie()));
    vec![
        door(
            "alerts/prometheus",
            SourceKind::Alertmanager,
            Shows::Bearer,
            no_alert.clone(),
            JSON,
            16 * mib,
            200,
        ),
        door("alerts/grafana", SourceKind::Grafana, grafana, no_alert, JSON, 16 * mib, 200),
        door("alerts/pagerduty", SourceKind::PagerDuty, pagerduty, ping, JSON, mib, 202),
        door(
            "alerts/sns",
            SourceKind::Sns,
            Shows::Envelope,
            said("cloudwatch", "metric-alarm.message"),
            &["text/plain"],
            512 * kib,
            200,
        ),
        door(
            "alerts/events",
            SourceKind::EventBridge,
            Shows::Bearer,
            sample("cloudwatch", "eventbridge-metric-alarm"),
            JSON,
            512 * kib,
            200,
        ),
        door(
            "alerts/datadog",
            SourceKind::Datadog,
            Shows::Bearer,
            sample("datadog", "recommended-triggered"),
            form,
            mib,
            200,
        ),
        door(
            "alerts/newrelic",
            SourceKind::NewRelic,
            Shows::Bearer,
            sample("newrelic", "real-activated"),
            JSON,
            mib,
            200,
        ),
        door("alerts/opsgenie", generic, Shows::Bearer, sample("opsgenie", "real-create"), JSON, mib, 200),
        door(
            "deployments/github",
            SourceKind::GitHub,
            github,
            sample("github", "deployment"),
            form,
            5 * mib,
            200,
        ),
        door(
            "deployments/argocd",
            SourceKind::ArgoCd,
            Shows::Bearer,
            sample("argocd", "deployed"),
            &["application/json", "", "text/plain"],
            mib,
            200,
        ),
        door(
            "deployments/cdevents",
            SourceKind::CdEvents,
            Shows::Bearer,
            sample("cdevents", "service_deployed.structured"),
            events,
            mib,
            200,
        ),
        door(
            "deployments/triggers",
            SourceKind::CodeDeployTriggers,
            Shows::Envelope,
            said("codedeploy", "deployment-trigger-succeeded.real"),
            &["text/plain"],
            512 * kib,
            200,
        ),
        door(
            "deployments/codedeploy",
            SourceKind::CodeDeployEvents,
            Shows::Bearer,
            sample("codedeploy", "eventbridge-deployment-state-change"),
            JSON,
            512 * kib,
            200,
        ),
        door(
            "deployments/flags",
            SourceKind::Deployments,
            Shows::Bearer,
            deployment.to_vec(),
            JSON,
            mib,
            200,
        ),
    ]
}

impl Door {
    fn credential(&self, signer: &Signer, secrets: Vec<Secret>) -> Credential {
        match self.shows {
            Shows::Bearer => Credential::Bearer(secrets),
            Shows::Signature(name, prefix) => {
                let scheme = match name {
                    "X-PagerDuty-Signature" => Scheme::PagerDuty,
                    "X-Hub-Signature-256" => Scheme::GitHub,
                    _ => Scheme::Grafana { signature: Scheme::GRAFANA, timestamp: None },
                };
                assert_eq!(prefix.is_empty(), matches!(scheme, Scheme::Grafana { .. }));
                Credential::Signed { scheme, secrets }
            }
            Shows::Envelope => {
                let certificates = Certificates::laid_down([(FILE, signer.pem.as_bytes())]);
                let proof = Arc::new(Sns::new([TOPIC.to_owned()].into(), Versions::Both, certificates));
                Credential::Sns { proof, confirm: Arc::new(Confirm::new(false, None)) }
            }
        }
    }

    /// What shows this secret for this body.
    fn header(&self, secret: &str, body: &[u8]) -> Option<(&'static str, String)> {
        match self.shows {
            Shows::Bearer => Some(("Authorization", format!("Bearer {secret}"))),
            Shows::Signature(name, prefix) => Some((name, format!("{prefix}{}", signature(secret, &[body])))),
            Shows::Envelope => None,
        }
    }

    /// Its request of this type and body, and what `more` adds to its head.
    fn request(&self, kind: &str, shown: Option<(&str, String)>, more: &str, body: &[u8]) -> Vec<u8> {
        let shown = shown.map(|(name, value)| format!("{name}: {value}\r\n")).unwrap_or_default();
        let head = format!(
            "POST /v1/{} HTTP/1.1\r\nHost: snapback.example\r\nContent-Length: {}\r\nContent-Type: {kind}\r\n{shown}{more}\r\n",
            self.path,
            body.len()
        );
        [head.as_bytes(), body].concat()
    }

    /// The request that it takes.
    fn good(&self, body: &[u8]) -> Vec<u8> {
        self.request(self.media[0], self.header(SECRET, body), "", body)
    }

    /// Its body, so long: JSON may end in blanks.
    fn of_length(&self, length: usize) -> Vec<u8> {
        let mut body = self.body.clone();
        assert!(body.len() < length, "{}", self.path);
        body.resize(length, b' ');
        body
    }
}

/// All of the doors in one listener, which has this secret, or none yet, and an older one.
async fn world(signer: &Signer, doors: &[Door], secret: Secret) -> World {
    let mut settings = IntakeSettings { limits: Limits::default(), ..IntakeSettings::default() };
    for door in doors {
        let secrets = vec![secret.clone(), Secret::Loaded(SecretString::from("an-old-one"))];
        let settled = SourceSettings {
            kind: door.kind.clone(),
            credential: door.credential(signer, secrets),
            lag: Duration::ZERO,
            tally: Arc::default(),
        };
        match door.path.split_once('/').expect("a path") {
            ("alerts", name) => settings.sources.insert(SourceName::new(name), settled),
            (_, name) => settings.feeds.insert(SourceName::feed(name), settled),
        };
    }
    World::at("2026-03-02T09:15:00Z".parse().expect("a moment"), settings, stores, || Ok(())).await
}

async fn begin() -> (World, Vec<Door>) {
    let signer = Signer::new();
    let doors = doors(&signer);
    assert_eq!(doors.len(), 14, "a door is missing");
    let world = world(&signer, &doors, Secret::Loaded(SecretString::from(SECRET))).await;
    (world, doors)
}

/// What was told, and what was stored: as many as were taken.
fn saw(world: &mut World, told: &Answer, expected: u16, what: impl std::fmt::Display) {
    assert_eq!(told.status, expected, "{what}: {told:?}");
    let taken = usize::from(matches!(expected, 200 | 202));
    assert_eq!(world.received().len(), taken, "{what}: what is refused is not stored, and what is taken is");
}

#[tokio::test]
async fn a_door_opens_to_what_it_asks_for_and_to_nothing_near_it() {
    let (mut world, doors) = begin().await;
    for door in &doors {
        let body = &door.body;
        let told = world.send(door.good(body)).await;
        saw(&mut world, &told, door.stored, door.path);
        let refused = if door.shows == Shows::Envelope { 403 } else { 401 };
        if door.shows == Shows::Envelope {
            // Nothing in the head opens it, and nothing in the head is needed.
            let changed =
                String::from_utf8(body.clone()).expect("text").replacen("eu-west-1", "eu-west-2", 1);
            let told = world.send(door.good(changed.as_bytes())).await;
            saw(&mut world, &told, refused, format!("{}, changed", door.path));
            let bearer = Some(("Authorization", format!("Bearer {SECRET}")));
            let told = world.send(door.request(door.media[0], bearer, "", b"{}")).await;
            saw(&mut world, &told, 400, format!("{}, a token and no envelope", door.path));
            continue;
        }
        let right = door.header(SECRET, body).expect("a header");
        let with = |value: String| Some((right.0, value));
        let another = if door.shows == Shows::Bearer {
            ("X-Hub-Signature-256", format!("sha256={}", signature(SECRET, &[body])))
        } else {
            ("Authorization", format!("Bearer {SECRET}"))
        };
        for (what, shown, status) in [
            ("the older secret", door.header("an-old-one", body), door.stored),
            ("nothing", None, refused),
            ("an empty header", with(String::new()), refused),
            ("another secret", door.header("another", body), refused),
            ("an empty secret", door.header("", body), refused),
            ("its end is cut", with(right.1[..right.1.len() - 1].to_owned()), refused),
            ("longer by one", with(format!("{}0", right.1)), refused),
            (
                "without what stands before it",
                with(right.1.replace(['=', ' '], "")),
                match door.shows {
                    Shows::Signature(_, "") => door.stored,
                    Shows::Bearer | Shows::Signature(..) | Shows::Envelope => refused,
                },
            ),
            ("another door's way", Some(another), refused),
        ] {
            let told = world.send(door.request(door.media[0], shown, "", body)).await;
            saw(&mut world, &told, status, format!("{}, {what}", door.path));
        }
        let again = format!("{}: {}\r\n", right.0.to_lowercase(), right.1);
        let told = world.send(door.request(door.media[0], Some(right), &again, body)).await;
        saw(&mut world, &told, 400, format!("{}, twice", door.path));
    }
}

/// A secret that is not loaded might have been the right one: its sender comes again, and nothing is let in on trust.
#[tokio::test]
async fn a_door_without_its_secret_asks_to_come_again() {
    let signer = Signer::new();
    let doors = doors(&signer);
    let mut world = world(&signer, &doors, Secret::Missing).await;
    for door in doors.iter().filter(|door| door.shows != Shows::Envelope) {
        let told = world.send(door.good(&door.body)).await;
        assert_eq!(told.problem(), "secret-missing", "{}", door.path);
        saw(&mut world, &told, 503, door.path);
        let old = door.request(door.media[0], door.header("an-old-one", &door.body), "", &door.body);
        let told = world.send(old).await;
        saw(&mut world, &told, door.stored, format!("{}, the one that is loaded", door.path));
    }
}

#[tokio::test]
async fn a_door_is_as_wide_as_it_says_to_the_byte() {
    let (mut world, doors) = begin().await;
    for door in &doors {
        // The largest bodies of all are those of another test: here they would take their time.
        let taken = door.most.min(1 << 20);
        for (length, status) in [(taken - 1, door.stored), (taken, door.stored), (door.most + 1, 413)] {
            let told = world.send(door.good(&door.of_length(length))).await;
            saw(&mut world, &told, status, format!("{}, {length} bytes", door.path));
        }
        let told = world.send(door.good(b"")).await;
        let refused = [400, 422].contains(&told.status);
        assert!(refused || told.status == door.stored, "{}, nothing: {told:?}", door.path);
        let dead = world.received().iter().all(|one| one.content.dead().is_some());
        assert!(dead, "{}: nothing says nothing", door.path);
    }
}

#[tokio::test]
async fn a_body_is_what_its_sender_writes_and_nothing_else() {
    let (mut world, doors) = begin().await;
    for door in &doors {
        let shown = || door.header(SECRET, &door.body);
        let kinds = door.media.iter().filter(|kind| !kind.contains("form") && !kind.contains("batch"));
        let spelled = kinds.flat_map(|kind| match *kind {
            "" => vec![String::new()],
            kind => vec![kind.to_owned(), kind.to_uppercase(), format!("{kind}; charset=utf-8")],
        });
        for kind in spelled {
            let told = world.send(door.request(&kind, shown(), "", &door.body)).await;
            saw(&mut world, &told, door.stored, format!("{}, {kind:?}", door.path));
        }
        // Who subscribes says what SNS calls its bodies: any name will do there.
        let any = door.shows == Shows::Envelope;
        let others = ["text/plain", "", "application/x-www-form-urlencoded"];
        let others = others.iter().filter(|kind| !door.media.contains(kind));
        for kind in NO_BODY_OF_OURS.iter().chain(others) {
            let told = world.send(door.request(kind, shown(), "", &door.body)).await;
            saw(&mut world, &told, if any { door.stored } else { 415 }, format!("{}, {kind:?}", door.path));
        }
        for (what, more, status) in [
            ("compressed", "Content-Encoding: gzip\r\n", 415),
            ("not compressed", "Content-Encoding: identity\r\n", door.stored),
            ("two types", "content-type: application/json\r\n", 400),
            ("two lengths", "Content-Length: 2\r\n", 400),
            ("chunked as well", "Transfer-Encoding: chunked\r\n", 400),
            ("a folded header", "X-Folded: a\r\n b\r\n", 400),
        ] {
            let told = world.send(door.request(door.media[0], shown(), more, &door.body)).await;
            saw(&mut world, &told, status, format!("{}, {what}", door.path));
        }
    }
}

#[tokio::test]
async fn a_door_has_one_address_and_one_method() {
    let (mut world, doors) = begin().await;
    for door in &doors {
        // A body of text, so that the line before it may be rewritten as text.
        let whole = String::from_utf8(door.good(&door.body)).expect("text");
        let (kind, name) = door.path.split_once('/').expect("a path");
        let other = if kind == "alerts" { "deployments" } else { "alerts" };
        for (what, path, status) in [
            ("a query", format!("{kind}/{name}?team=a"), door.stored),
            ("an escaped letter", format!("{kind}/%{:02x}{}", name.as_bytes()[0], &name[1..]), door.stored),
            ("a slash behind", format!("{kind}/{name}/"), 404),
            ("another case", format!("{kind}/{}", name.to_uppercase()), 404),
            ("dots", format!("{kind}/x/../{name}"), 404),
            ("a slash twice", format!("/{kind}/{name}"), 404),
            ("an escaped slash", format!("{kind}/x%2f{name}"), 404),
            ("bytes that are no text", format!("{kind}/%ff{name}"), 404),
            ("the other kind of door", format!("{other}/{name}"), 404),
            ("a name within", format!("{kind}/%40feeds%2f{name}"), 404),
        ] {
            let told =
                world.send(whole.replacen(&format!("/v1/{} ", door.path), &format!("/v1/{path} "), 1)).await;
            saw(&mut world, &told, status, format!("{}, {what}", door.path));
        }
        for method in ["PUT", "GET", "DELETE", "OPTIONS", "PATCH", "post"] {
            let told = world.send(whole.replacen("POST ", &format!("{method} "), 1)).await;
            saw(&mut world, &told, 405, format!("{}, {method}", door.path));
        }
    }
}
