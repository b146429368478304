//! The admin routes over a real store: the shapes that people script against, paging, and who may read.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use http_body_util::BodyExt;
use hyper::{Request, StatusCode};
use serde_json::{Value, json};
use snapback::admin::{Access, Role, Status, Token, View, Written, router};
use snapback::case::command::{Command, Ending, Input};
use snapback::case::deployment::{
    ChangeKind, Deployment, DeploymentOrigin, DeploymentStatus, Owner, Picture,
};
use snapback::case::dossier::Dossier;
use snapback::case::event::{Event, Stamped};
use snapback::case::id::{DeploymentId, Duration, ReleaseId, ServiceId, SignalName, Timestamp};
use snapback::case::live::Live;
use snapback::case::phase::Phase;
use snapback::case::plan::Proposal;
use snapback::case::release::Release;
use snapback::case::scribe::View as Sight;
use snapback::case::signal::{Labels, Lag, Signal, SignalState};
use snapback::case::standing::Standing;
use snapback::case::step::{Act, Class};
use snapback::case::turn::{Change, Turn};
use snapback::config::{Settings, load_with};
use snapback::journal::{Journal, StoreSettings};
use snapback::telemetry::metrics::Metrics;
use tokio::sync::watch;
use tower::ServiceExt;

const NOW: &str = "2026-03-02T09:16:00Z";

fn now() -> Timestamp {
    NOW.parse().expect("a moment")
}

fn at(text: &str) -> Timestamp {
    format!("2026-03-02T{text}Z").parse().expect("a moment")
}

fn shipped() -> Settings {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/snapback.toml");
    load_with(&path, &|_| None).settings.expect("the shipped configuration is sound")
}

fn checkout() -> ServiceId {
    ServiceId::of("checkout", "production")
}

/// A store with one service, whose open case has a plan that shadow mode only tells.
struct World {
    router: Router,
    access: watch::Sender<Arc<Access>>,
    status: watch::Sender<Arc<Status>>,
    journal: Journal,
    stop: watch::Sender<bool>,
    settings: Settings,
    folder: tempfile::TempDir,
}

impl World {
    async fn new() -> World {
        let settings = shipped();
        let folder = tempfile::tempdir().expect("a folder");
        let store = StoreSettings {
            path: folder.path().join("snapback.db"),
            keep: Duration::from_hours(24),
            max_bytes: None,
        };
        let opened = Journal::open(&store, now()).expect("a store");
        let services = settings.services.iter();
        let status = Status {
            mode: settings.mode,
            rules: settings.rules.clone(),
            config_error: None,
            taken_at: now(),
            sources: BTreeMap::new(),
            heartbeats: BTreeSet::new(),
            services: services.map(|entry| (entry.core.id.clone(), Arc::new(entry.core.clone()))).collect(),
            troubles: BTreeMap::new(),
        };
        let (status, told) = watch::channel(Arc::new(status));
        let (access, allowed) = watch::channel(Arc::new(Access::default()));
        let inbox = opened.inbox;
        let (stop, stopped) = watch::channel(false);
        let router = router(View {
            reader: opened.journal.reader(),
            status: told,
            access: allowed,
            readiness: Arc::new(|| Ok(())),
            inbox: inbox.clone(),
            commits: opened.journal.commits(),
            previews: Arc::new(|_, _| {
                Box::pin(async {
                    Err(snapback::case::turn::Disposition::Conflict("nothing is planned here".into()))
                })
            }),
            doctor: Arc::new(|_| None),
            metrics: Arc::new(Metrics::new(now(), std::iter::empty())),
            undecided: Arc::new(move || inbox.undecided()),
            written: Written { last: opened.journal.written(), stop: stopped },
            now: Arc::new(now),
        });
        let world = World { router, access, status, journal: opened.journal, stop, settings, folder };
        world.raise().await;
        world
    }

    /// An alert against the second of two releases goes through the core, and what follows is stored.
    async fn raise(&self) {
        let entry = &self.settings.services[0].core;
        let (picture, standing) = (picture(), Standing::default());
        let mut live = Live::new(now());
        live.see(&picture);
        let sight = Sight {
            settings: entry,
            shared: &self.settings.shared,
            rules: &self.settings.rules,
            standing: &standing,
            live: &live,
            neighbours: &snapback::case::companion::ALONE,
            in_hands_of: None,
            now: now(),
        };
        let mut dossier = Dossier::new(checkout());
        let described = Ending::Described(Box::new(picture));
        let mut events = Vec::new();
        let mut take =
            |dossier: &mut Dossier, input: &Input| events.extend(dossier.take(input, &sight).events);
        take(&mut dossier, &Input::Ended(Command::Describe(checkout()), described));
        take(&mut dossier, &Input::Signals(vec![signal()]));
        let Some(Phase::Planning { choice, .. }) = dossier.open.as_deref().map(|case| case.phase.clone())
        else {
            panic!("the case asks for a plan: {:?}", dossier.open);
        };
        let act = Act {
            kind: "switch".into(),
            arguments: BTreeMap::new(),
            class: Class::B,
            says: "switch the link to 41".into(),
        };
        take(
            &mut dossier,
            &Input::Ended(Command::Propose(choice), Ending::Proposed(Proposal::of(vec![act]))),
        );
        self.store(dossier, events).await;
    }

    /// One fact more.
    async fn happens(&self, event: Event) {
        let mut dossier = self.journal.dossiers().await.expect("stored").remove(0);
        let stamped = Stamped { at: now(), event };
        dossier.apply(&stamped).expect("legal");
        self.store(dossier, vec![(None, stamped)]).await;
    }

    async fn store(&self, dossier: Dossier, events: Vec<(Option<snapback::case::id::CaseId>, Stamped)>) {
        let change = Change { dossier: dossier.into(), events, departed: Vec::new() };
        let turn = Turn { at: now(), changes: vec![change], ..Turn::default() };
        self.journal.append(turn).await.expect("stored");
    }

    /// Asks as a program on this machine does.
    async fn get(&self, path: &str) -> (StatusCode, Value) {
        self.ask(Request::get(path).header("host", "127.0.0.1:8081"), "127.0.0.1:50000").await
    }

    async fn ask(&self, request: hyper::http::request::Builder, peer: &str) -> (StatusCode, Value) {
        self.say(request, "", peer).await
    }

    async fn say(
        &self,
        request: hyper::http::request::Builder,
        body: &'static str,
        peer: &str,
    ) -> (StatusCode, Value) {
        let peer: SocketAddr = peer.parse().expect("an address");
        let request = request.extension(ConnectInfo(peer)).body(Body::from(body)).expect("a request");
        let answer = self.router.clone().oneshot(request).await.expect("an answer");
        let (head, body) = answer.into_parts();
        assert_eq!(head.headers["cache-control"], "no-store");
        assert_eq!(head.headers["x-content-type-options"], "nosniff");
        let kind = head.headers["content-type"].to_str().expect("a type").to_owned();
        let body = body.collect().await.expect("a body").to_bytes();
        let value: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
        if head.status.is_success() {
            assert_eq!(kind, "application/json");
        } else {
            assert_eq!(kind, "application/problem+json");
            assert_eq!(value["status"], head.status.as_u16());
        }
        (head.status, value)
    }
}

fn alice() -> Token {
    Token {
        person: "token:alice".into(),
        role: Role::Operator,
        groups: std::collections::BTreeSet::new(),
        secret: Some("s3cret".to_owned().into()),
    }
}

fn problem(name: &str) -> Value {
    format!("urn:snapback:problem:{name}").into()
}

fn picture() -> Picture {
    let deployment = |number: u32, from: Timestamp, to: Timestamp| Deployment {
        id: DeploymentId::new(format!("d-{number}")),
        service: checkout(),
        release: ReleaseId::new(number.to_string()),
        started_at: from,
        traffic_at: None,
        finished_at: Some(to),
        status: DeploymentStatus::Finished,
        by: Some("sam".into()),
        origin: DeploymentOrigin::Ordinary,
        change: ChangeKind::Code,
        labels: Labels::new(),
        our_clock: true,
    };
    let release = |number: u32| Release {
        version: Some(format!("v{number}")),
        artifact_exists: Some(true),
        ..Release::bare(ReleaseId::new(number.to_string()))
    };
    Picture {
        at: now(),
        current: Some(ReleaseId::new("42")),
        in_flight: None,
        owner: Owner::Nobody,
        deployments: vec![
            deployment(41, at("05:00:00"), at("05:01:00")),
            deployment(42, at("09:08:00"), at("09:09:00")),
        ],
        releases: vec![release(41), release(42)],
        figures: BTreeMap::new(),
        provider_judges: false,
        reports: Vec::new(),
    }
}

fn signal() -> Signal {
    let labels = [("alertname", "HighErrorRate"), ("severity", "critical")];
    Signal {
        source: "prometheus".into(),
        name: SignalName::new("HighErrorRate"),
        fingerprint: "b2a1f0c9d4e37a55".into(),
        state: SignalState::Firing,
        labels: std::collections::BTreeMap::from(
            labels.map(|(name, value)| (name.to_owned(), value.to_owned())),
        )
        .into(),
        annotations: std::collections::BTreeMap::from([("summary".to_owned(), "5xx ratio 12%".to_owned())])
            .into(),
        started_at: at("09:14:05"),
        received_at: now(),
        lag: Lag::Bound(Duration::from_mins(1)),
        incomplete: false,
        link: None,
    }
}

#[tokio::test]
async fn a_case_has_its_shape() {
    let world = World::new().await;
    let (status, mut case) = world.get("/v1/cases/checkout@production.1").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(case["plan"]["digest"].as_str().map(str::len), Some(64));
    case["plan"]["digest"] = "digest".into();
    insta::assert_json_snapshot!(case);
    let (_, list) = world.get("/v1/cases?open=true&service=checkout@production").await;
    assert_eq!(list["cases"][0]["id"], "checkout@production.1");
    assert_eq!(list["next"], Value::Null);
    assert_eq!(world.get("/v1/cases?service=payments@production").await.1["cases"], Value::Array(Vec::new()));
}

#[tokio::test]
async fn an_explanation_lists_every_row_while_the_table_is_the_same() {
    let world = World::new().await;
    let path = "/v1/cases/checkout@production.1/explanation";
    let (status, full) = world.get(path).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(full["rows"].as_array().map(Vec::len), Some(world.settings.rules.rows().len()));
    assert_eq!(full["verdict"], "rollback");
    assert!(full["flip"].as_str().is_some_and(|flip| flip.contains("suspicion")), "{}", full["flip"]);
    assert_eq!(full["plan"]["digest"].as_str().map(str::len), Some(64));

    // Another table is in force now: what was stored is shown, and nothing is decided again.
    let mut other = Status::clone(&world.status.borrow());
    other.rules = Arc::new(snapback::case::rules::RuleTable::new(Vec::new(), BTreeMap::new()));
    world.status.send_replace(Arc::new(other));
    let (_, stored) = world.get(path).await;
    assert_eq!(stored["verdict"], "rollback");
    assert_eq!(stored["flip"], Value::Null);
    assert_eq!(stored["digests"], full["digests"]);
    let names = |rows: &Value| -> Vec<Value> {
        rows.as_array().expect("a list").iter().map(|row| row["name"].clone()).collect()
    };
    assert!(names(&stored["rows"]).len() < names(&full["rows"]).len());
}

#[tokio::test]
async fn a_service_has_its_shape() {
    let world = World::new().await;
    let (status, service) = world.get("/v1/services/checkout@production").await;
    assert_eq!(status, StatusCode::OK);
    insta::assert_json_snapshot!(service);
    assert_eq!(world.get("/v1/services").await.1["services"][0], service);

    let mut blind = Status::clone(&world.status.borrow());
    blind.troubles.insert(checkout(), "connection refused".into());
    world.status.send_replace(Arc::new(blind));
    let (_, service) = world.get("/v1/services/checkout@production").await;
    assert_eq!(service["ready"]["now"], false);
    assert_eq!(service["ready"]["reasons"][0], "the provider cannot be read: connection refused");
}

#[tokio::test]
async fn deployments_state_and_rules_have_their_shapes() {
    let world = World::new().await;
    insta::assert_json_snapshot!(world.get("/v1/deployments?service=checkout@production").await.1);
    let (_, state) = world.get("/v1/state").await;
    let rules_digest = world.settings.rules.digest().to_string();
    let expected = serde_json::json!({
        "mode": "shadow",
        "paused": false,
        "pause": null,
        "hold": { "on": false, "reasons": [] },
        "rules_digest": rules_digest,
        "config_error": null,
        "queues": { "undecided": 0 },
        "silent": [],
    });
    assert_eq!(state, expected);
    let (_, rules) = world.get("/v1/rules").await;
    assert_eq!(rules["digest"], state["rules_digest"]);
    insta::assert_json_snapshot!(rules["rules"][1]);
}

#[tokio::test]
async fn deployments_come_in_pages_without_gaps() {
    let world = World::new().await;
    for number in 0..3 {
        let service = ServiceId::of(&format!("s{number}"), "production");
        let mut dossier = Dossier::new(service.clone());
        dossier.ledger.deployments = (0..200)
            .map(|second| Deployment {
                id: DeploymentId::new(format!("d-{second}")),
                service: service.clone(),
                started_at: at("00:00:00") + Duration::from_secs(second),
                ..picture().deployments[0].clone()
            })
            .collect();
        world.store(dossier, Vec::new()).await;
    }
    let (mut seen, mut path) = (Vec::new(), "/v1/deployments".to_owned());
    loop {
        let (status, page) = world.get(&path).await;
        assert_eq!(status, StatusCode::OK);
        let names = page["deployments"].as_array().expect("a list").iter();
        seen.extend(names.map(|one| format!("{} {}", one["service"], one["deployment"])));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/v1/deployments?next={next}");
    }
    assert_eq!(seen.len(), 602);
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 602, "none comes twice");
}

#[tokio::test]
async fn what_is_not_there_or_not_understood_is_a_problem() {
    let world = World::new().await;
    for (path, status, name) in [
        ("/", 404, "not-found"),
        ("/v1/nothing", 404, "not-found"),
        ("/v1/cases/nobody@production.9", 404, "no-such-case"),
        ("/v1/cases/nobody@production.9/explanation", 404, "no-such-case"),
        ("/v1/services/nobody@production", 404, "no-such-service"),
        ("/v1/cases?service=checkout", 404, "no-such-service"),
        ("/v1/cases?opne=true", 400, "query"),
        ("/v1/cases?open=perhaps", 400, "query"),
        ("/v1/cases?next=%3D%3D", 400, "query"),
        ("/v1/cases?next=eHg", 400, "query"),
    ] {
        let (answered, value) = world.get(path).await;
        assert_eq!((answered.as_u16(), &value["type"]), (status, &problem(name)), "{path}");
    }
    let post = Request::post("/v1/cases").header("host", "localhost");
    let (status, value) = world.ask(post, "127.0.0.1:50000").await;
    assert_eq!((status.as_u16(), &value["type"]), (405, &problem("method-not-allowed")));
}

#[tokio::test]
async fn without_tokens_this_machine_alone_reads() {
    let world = World::new().await;
    let local = || Request::get("/v1/state").header("host", "localhost:8081");
    assert_eq!(world.ask(local(), "[::1]:50000").await.0, StatusCode::OK);
    let (status, value) = world.ask(local(), "10.0.0.7:50000").await;
    assert_eq!((status, &value["type"]), (StatusCode::FORBIDDEN, &problem("loopback-only")));
    // Whoever changes something has a name: without tokens nobody has one, on this machine either.
    let unnamed = Request::post("/v1/pause").header("host", "localhost:8081");
    let (status, value) = world.ask(unnamed, "127.0.0.1:50000").await;
    assert_eq!((status, &value["type"]), (StatusCode::UNAUTHORIZED, &problem("unauthorized")));
    let rebound = Request::get("/v1/state").header("host", "evil.example:8081");
    let (status, value) = world.ask(rebound, "127.0.0.1:50000").await;
    assert_eq!((status, &value["type"]), (StatusCode::FORBIDDEN, &problem("host")));
    let nowhere = Request::get("/v1/nothing").header("host", "localhost");
    assert_eq!(
        world.ask(nowhere, "10.0.0.7:50000").await.0,
        StatusCode::FORBIDDEN,
        "not even what is not there"
    );
}

#[tokio::test]
async fn with_tokens_everybody_shows_one() {
    let world = World::new().await;
    let token = alice();
    world.access.send_replace(Arc::new(Access { tokens: vec![token], public_host: None }));
    let ask = || Request::get("/v1/state").header("host", "snapback.example.com");
    let shown = ask().header("authorization", "Bearer s3cret");
    assert_eq!(world.ask(shown, "10.0.0.7:50000").await.0, StatusCode::OK);
    for (wrong, peer) in [(ask(), "127.0.0.1:1"), (ask().header("authorization", "Bearer x"), "10.0.0.7:1")] {
        let (status, value) = world.ask(wrong, peer).await;
        assert_eq!((status, &value["type"]), (StatusCode::UNAUTHORIZED, &problem("unauthorized")));
    }
}

/// Nobody decides here: what is stored is answered with where to look, and not as if it had not been stored.
#[tokio::test]
async fn a_request_that_is_not_decided_in_time_is_told_as_stored() {
    let world = World::new().await;
    world.access.send_replace(Arc::new(Access { tokens: vec![alice()], public_host: None }));
    let request = Request::post("/v1/pause")
        .header("host", "localhost")
        .header("authorization", "Bearer s3cret")
        .header("content-type", "application/json");
    let (status, answer) = world.say(request, r#"{"reason":"a look"}"#, "127.0.0.1:50000").await;
    assert_eq!((status, &answer["status"]), (StatusCode::ACCEPTED, &"accepted".into()), "{answer}");
    assert!(answer["says"].as_str().is_some_and(|says| says.contains("not decided yet")), "{answer}");
    let undecided = world.ask(
        Request::get("/v1/state").header("host", "localhost").header("authorization", "Bearer s3cret"),
        "127.0.0.1:50000",
    );
    assert_eq!(undecided.await.1["queues"]["undecided"], 1);
}

#[tokio::test]
async fn health_is_told_to_everybody() {
    let world = World::new().await;
    let asked = |path| world.ask(Request::get(path).header("host", "10.0.0.1"), "10.0.0.7:50000");
    assert_eq!(asked("/healthz").await.0, StatusCode::OK);
    assert_eq!(asked("/readyz").await, (StatusCode::OK, json!({ "status": "ready", "hold": false })));
    // A hold that cannot be read is not called none.
    let store = rusqlite::Connection::open(world.folder.path().join("snapback.db")).expect("the store");
    store.execute_batch("ALTER TABLE standing RENAME TO lost").expect("renamed");
    assert_eq!(asked("/readyz").await, (StatusCode::OK, json!({ "status": "ready", "hold": null })));
}

/// A reader of the event stream, who waits for what it expects and says what did not come.
struct Follower(Body);

impl Follower {
    async fn begin(world: &World, after: Option<&str>) -> Follower {
        let peer: SocketAddr = "127.0.0.1:50000".parse().expect("an address");
        let mut request = Request::get("/v1/events").header("host", "127.0.0.1:8081");
        if let Some(after) = after {
            request = request.header("last-event-id", after);
        }
        let request = request.extension(ConnectInfo(peer)).body(Body::empty()).expect("a request");
        let answer = world.router.clone().oneshot(request).await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        Follower(answer.into_body())
    }

    /// The next event: its number and what it says. `None`: the stream ended.
    async fn next(&mut self) -> Option<(u64, Value)> {
        let frame = tokio::time::timeout(std::time::Duration::from_secs(20), self.0.frame());
        let bytes =
            frame.await.expect("an event or the end within 20 s")?.expect("a frame").into_data().ok()?;
        let text = String::from_utf8(bytes.to_vec()).expect("text");
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let number =
            field("id:").and_then(|id| id.parse().ok()).unwrap_or_else(|| panic!("no number: {text}"));
        Some((number, serde_json::from_str(field("data:").expect("data")).expect("JSON")))
    }
}

#[tokio::test]
async fn events_are_told_as_they_happen_and_none_is_missed() {
    let world = World::new().await;
    let mut from_the_start = Follower::begin(&world, Some("0")).await;
    let mut from_now = Follower::begin(&world, None).await;
    let first = from_the_start.next().await.expect("an event");
    assert_eq!((first.0, &first.1["kind"]), (1, &"ledger_refreshed".into()));
    let mut seen = vec![first];
    while seen.last().is_some_and(|(_, event)| event["kind"] != "would_act") {
        seen.push(from_the_start.next().await.expect("more events"));
    }
    let opened = seen.iter().find(|(_, event)| event["kind"] == "opened").expect("a case opened");
    assert_eq!(opened.1["case"], "checkout@production.1");
    assert_eq!(opened.1["service"], "checkout@production");
    assert!(seen.windows(2).all(|two| two[0].0 + 1 == two[1].0), "a gap in the numbers: {seen:?}");

    let reason = Some("it was the disk".into());
    let unlocked = Event::Unlocked { release: "41".into(), by: Some("alice".into()), reason };
    world.happens(unlocked).await;
    let (number, event) = from_now.next().await.expect("what happens now");
    assert_eq!((number, &event["kind"]), (seen.len() as u64 + 1, &"unlocked".into()));
    assert_eq!(event["why"], "it was the disk", "{event}");
    let back =
        Follower::begin(&world, Some(&seen.len().to_string())).await.next().await.expect("what was missed");
    assert_eq!(back, (number, event));

    world.stop.send_replace(true);
    while from_now.next().await.is_some() {}
    let asked = Request::get("/v1/events").header("host", "127.0.0.1:8081").header("last-event-id", "x");
    let (status, refused) = world.ask(asked, "127.0.0.1:50000").await;
    assert_eq!((status, &refused["type"]), (StatusCode::BAD_REQUEST, &problem("query")));
}

/// Runs the program against a world that listens; gives its exit code and what it printed.
async fn run(url: &str, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_snapback"));
    command.args(arguments).env("SNAPBACK_URL", url).env_remove("SNAPBACK_TOKEN");
    let ended = tokio::task::spawn_blocking(move || command.output()).await.expect("ran").expect("runs");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (ended.status.code(), text(ended.stdout), text(ended.stderr))
}

#[tokio::test]
async fn the_command_line_reads_what_the_server_says() {
    let world = World::new().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let (stop, stopped) = watch::channel(false);
    let limits = Arc::new(snapback::intake::Limits::default());
    let served = tokio::spawn(snapback::intake::serve(listener, world.router.clone(), limits, stopped));
    let case = "checkout@production.1";
    for (asked, said) in [
        (&["cases"][..], &[case, "weighing", "rollback", "v42 → v41"][..]),
        (&["cases", "list", "--open"], &[case]),
        (&["cases", "list", "--service", "payments@production"], &["no case yet"]),
        (&["cases", "show", case], &["suspect: 42", "plan: v42 → v41", "would roll back", "HighErrorRate"]),
        (&["cases", "explain", case], &["rollback by row", "what would flip it", "guards pass"]),
        (&["services"], &["checkout@production", "v42", "yes"]),
        (&["services", "show", "checkout@production"], &["could be rolled back right now", "inherited"]),
        (&["services", "deployments", "checkout@production"], &["d-41", "d-42", "finished"]),
    ] {
        let (code, out, err) = run(&url, asked).await;
        assert_eq!(code, Some(0), "{asked:?}: {err}");
        for word in said {
            assert!(out.contains(word), "{asked:?} says {word}: {out}");
        }
        let (_, json, _) = run(&url, &[asked, &["--output", "json"]].concat()).await;
        assert!(serde_json::from_str::<Value>(&json).is_ok(), "{asked:?}: {json}");
    }
    for (asked, said) in [
        (&["cases", "show", "nobody@production.1"][..], "snapback cases"),
        (&["services", "deployments", "nobody@production"], "snapback services"),
    ] {
        let (code, out, err) = run(&url, asked).await;
        assert_eq!((code, out.as_str()), (Some(1), ""), "{asked:?}");
        assert!(err.contains(said), "{asked:?}: {err}");
    }
    let token = alice();
    world.access.send_replace(Arc::new(Access { tokens: vec![token], public_host: None }));
    let (code, _, err) = run(&url, &["cases"]).await;
    assert!(code == Some(1) && err.contains("SNAPBACK_TOKEN"), "{err}");
    assert_eq!(run(&url, &["cases", "--token", "s3cret"]).await.0, Some(0));
    stop.send_replace(true);
    served.await.expect("served to the end");
}
