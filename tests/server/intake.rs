//! Intake over the wire: every recorded request of Alertmanager's, and everything that a stranger, a broken sender
//! or a flood may do instead.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use snapback::intake::Limits;
use snapback::journal::inbox::{Content, NotStored, Received};
use tokio::io::AsyncWriteExt;

use crate::pretend::{TOKEN, World, answer, closed, now, ponders, post, request, settings, stores};

const FIRING: &str = r#"{"alerts":[{"status":"firing","labels":{"alertname":"HighErrorRate"}}]}"#;

fn fixtures(ending: &str) -> Vec<(String, Vec<u8>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/alertmanager");
    let mut files: Vec<PathBuf> =
        folder.read_dir().expect("the folder").map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|path| path.extension().is_some_and(|own| own == ending));
    files.sort();
    let name = |path: &PathBuf| path.file_stem().expect("a name").to_string_lossy().into_owned();
    files.iter().map(|path| (name(path), std::fs::read(path).expect("a readable file"))).collect()
}

/// The recorded bytes with our path, and with our credential where none was recorded.
fn replayed(recorded: &[u8]) -> Vec<u8> {
    let text = std::str::from_utf8(recorded).expect("UTF-8");
    let (line, rest) = text.split_once("\r\n").expect("a request line");
    let mut words = line.split(' ');
    let (method, target) = (words.next().expect("a method"), words.next().expect("a target"));
    let query = target.split_once('?').map_or(String::new(), |(_, query)| format!("?{query}"));
    let source = if rest.contains("Authorization: Basic") { "basic" } else { "prometheus" };
    let shown = if rest.contains("Authorization:") {
        String::new()
    } else {
        format!("Authorization: Bearer {TOKEN}\r\n")
    };
    format!("{method} /v1/alerts/{source}{query} HTTP/1.1\r\n{shown}{rest}").into_bytes()
}

#[tokio::test]
async fn every_recorded_request_is_heard() {
    let mut world = World::new().await;
    let mut seen = 0;
    for (name, recorded) in fixtures("http") {
        if recorded.starts_with(b"GET") {
            continue;
        }
        let told = world.send(replayed(&recorded)).await;
        assert_eq!(told.status, 200, "{name}: {told:?}");
        seen += 1;
        snapshot(&name, &mut world);
    }
    assert_eq!(seen, 15, "a recorded request is missing");
}

#[tokio::test]
async fn every_written_message_is_heard() {
    let mut world = World::new().await;
    let files = fixtures("json");
    assert_eq!(files.len(), 5, "a message is missing");
    for (name, body) in files {
        let told = world.send(post(std::str::from_utf8(&body).expect("UTF-8"))).await;
        assert_eq!(told.status, 200, "{name}: {told:?}");
        snapshot(&name, &mut world);
    }
}

/// Compares the signals of the one delivery that arrived with those kept for it.
fn snapshot(name: &str, world: &mut World) {
    let mut received = world.received();
    assert_eq!(received.len(), 1, "{name}");
    let delivery = received.remove(0);
    assert_eq!(delivery.received_at, now());
    let Content::Signals(signals) = delivery.content else { panic!("{name}: {:?}", delivery.content) };
    insta::assert_debug_snapshot!(name, signals);
}

#[tokio::test]
async fn the_get_after_a_redirection_is_no_delivery() {
    let mut world = World::new().await;
    let (_, recorded) = fixtures("http")
        .into_iter()
        .find(|(name, _)| name.starts_with("after-302"))
        .expect("the recorded GET");
    let told = world.send(replayed(&recorded)).await;
    assert_eq!((told.status, told.problem().as_str()), (405, "method-not-allowed"));
    assert_eq!(told.header("allow"), Some("POST"));
    assert!(world.received().is_empty());
}

#[tokio::test]
async fn an_ordinary_client_is_answered() {
    // A second test of this process may have been first.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut world = World::new().await;
    let client = reqwest::Client::new();
    for _ in 0..3 {
        let told = client
            .post(format!("http://{}/v1/alerts/prometheus", world.address))
            .bearer_auth("tok_next")
            .header("content-type", "Application/JSON; charset=utf-8")
            .body(FIRING)
            .send()
            .await
            .expect("an answer");
        assert_eq!(told.status(), 200);
    }
    assert_eq!(world.received().len(), 3);
}

#[tokio::test]
async fn a_stranger_is_refused_and_stores_nothing() {
    let mut world = World::new().await;
    let json = ("Content-Type", "application/json");
    for shown in
        [None, Some("Bearer tok_0123456789abcdeg"), Some("Bearer"), Some("Basic Og=="), Some("tok_next")]
    {
        let headers: Vec<(&str, &str)> =
            [json].into_iter().chain(shown.map(|shown| ("Authorization", shown))).collect();
        let told = world.send(request(&headers, FIRING)).await;
        assert_eq!((told.status, told.problem().as_str()), (401, "unauthorized"), "{shown:?}");
        assert_eq!(told.header("www-authenticate"), Some("Bearer realm=\"snapback\""));
    }
    let basic = post(FIRING).replace("/prometheus", "/basic");
    assert_eq!(world.send(basic).await.header("www-authenticate"), Some("Basic realm=\"snapback\""));
    assert!(world.received().is_empty());
}

#[tokio::test]
async fn a_secret_that_is_not_loaded_asks_the_sender_to_come_again() {
    let world = World::new().await;
    let told = world.send(post(FIRING).replace("/prometheus", "/unloaded")).await;
    assert_eq!((told.status, told.problem().as_str()), (503, "secret-missing"));
    assert!(told.header("retry-after").is_some());
}

#[tokio::test]
async fn an_unknown_source_looks_like_an_unknown_path() {
    let world = World::new().await;
    let mut answers = Vec::new();
    for path in ["/v1/alerts/unknown", "/v1/nothing", "/v1/alerts/%ff", "/v1/alerts/prometheus/", "/"] {
        let told = world.send(post(FIRING).replace("/v1/alerts/prometheus", path)).await;
        assert_eq!(told.status, 404, "{path}");
        answers.push(told.body);
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
}

#[tokio::test]
async fn what_the_head_forbids_is_refused_before_the_body() {
    let bearer = format!("Bearer {TOKEN}");
    let world = World::new().await;
    let shown = ("Authorization", bearer.as_str());
    for (headers, status, problem) in [
        (vec![shown], 415, "content-type"),
        (vec![shown, ("Content-Type", "text/plain")], 415, "content-type"),
        (vec![shown, ("Content-Type", "application/jsonp")], 415, "content-type"),
        (
            vec![shown, ("Content-Type", "application/json"), ("Content-Encoding", "gzip")],
            415,
            "content-encoding",
        ),
    ] {
        let told = world.send(request(&headers, FIRING)).await;
        assert_eq!((told.status, told.problem().as_str()), (status, problem), "{headers:?}");
    }
    for (length, status, problem) in [
        ("16777217", 413, "body-too-large"),
        ("99999999999", 413, "body-too-large"),
        ("-1", 400, "content-length"),
    ] {
        let sent = post("").replace("Content-Length: 0", &format!("Content-Length: {length}"));
        let told = world.send(sent).await;
        assert_eq!((told.status, told.problem().as_str()), (status, problem), "{length}");
    }
    let told = world.send(post("").replace("Content-Length: 0\r\n", "")).await;
    assert_eq!((told.status, told.problem().as_str()), (411, "length-required"));
}

#[tokio::test]
async fn the_largest_body_is_taken() {
    let mut world = World::new().await;
    let body = format!("{FIRING}{}", " ".repeat((16 << 20) - FIRING.len()));
    assert_eq!(world.send(post(&body)).await.status, 200);
    assert_eq!(world.received()[0].body.len(), 16 << 20);
    // One byte more is refused although it really comes, and the answer is not lost over it.
    let told = world.send(post(&format!("{body} "))).await;
    assert_eq!((told.status, told.problem().as_str()), (413, "body-too-large"));
}

#[tokio::test]
async fn other_methods_are_never_a_success() {
    let mut world = World::new().await;
    for method in ["GET", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT", "ODD"] {
        let told = world.send(post(FIRING).replacen("POST", method, 1)).await;
        assert!((400..500).contains(&told.status), "{method}: {told:?}");
    }
    let mut stream = world.connect().await;
    let sent =
        post(FIRING).replacen("POST", "HEAD", 1).replacen("Host: x", "Host: x\r\nConnection: close", 1);
    stream.write_all(sent.as_bytes()).await.expect("written");
    assert!(closed(&mut stream).await.starts_with("HTTP/1.1 405 "));
    assert!(world.received().is_empty());
}

#[tokio::test]
async fn smuggled_requests_end_their_connection() {
    let mut world = World::new().await;
    let good = post(FIRING);
    let with = |header: &str| good.replacen("Host: x\r\n", &format!("Host: x\r\n{header}"), 1);
    let body_of_chunks = "Transfer-Encoding: chunked\r\n";
    for (sent, status, problem) in [
        (with(body_of_chunks), 400, "two-lengths"),
        (with(body_of_chunks).replace("Content-Length", "X-Length"), 411, "length-required"),
        (with("Transfer-Encoding : chunked\r\n"), 400, "header-line"),
        (with("Content-Length: 7\r\n"), 400, "duplicate-header"),
        (with("X-One: 1\nX-Two: 2\r\n"), 400, "line-end"),
        (good.replacen("\r\n\r\n", "\n\n", 1), 400, "line-end"),
        (with("X-One: 1\r\n folded\r\n"), 400, "folded-header"),
        (with("Authorization: Bearer other\r\n"), 400, "duplicate-header"),
        (with("Content-Type: text/plain\r\n"), 400, "duplicate-header"),
        (with("Host: y\r\n"), 400, "duplicate-header"),
        (good.replace("Host: x\r\n", ""), 400, "host"),
        (format!("\r\n{good}"), 400, "request-line"),
        (good.replace("HTTP/1.1", "HTTP/1.0"), 505, "version"),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), 505, "version"),
        ("\x16\x03\x01\x02\x00\x01\x00\n".to_owned(), 400, "line-end"),
        ("REFUSED /line-end HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), 400, "request-line"),
        (with(&"X: 1\r\n".repeat(64)), 431, "head-too-large"),
        (with(&format!("X: {}\r\n", "x".repeat(16 << 10))), 431, "head-too-large"),
        (good.replace("/prometheus", &format!("/{}", "x".repeat(2 << 10))), 414, "target-too-long"),
    ] {
        let mut stream = world.connect().await;
        // A second request behind it must never be read.
        let _ = stream.write_all(format!("{sent}{good}").as_bytes()).await;
        let told = answer(&mut stream).await;
        assert_eq!((told.status, told.problem().as_str()), (status, problem), "{sent:?}");
        assert_eq!(told.header("connection"), Some("close"), "{sent:?}");
        assert_eq!(closed(&mut stream).await, "", "{sent:?}");
    }
    assert!(world.received().is_empty());
}

#[tokio::test]
async fn a_refusal_waits_for_its_turn() {
    let mut world = World::new().await;
    let mut stream = world.connect().await;
    let sent =
        format!("{}{}{}", post(FIRING), post("{}"), post(FIRING).replacen("Host: x\r\n", "Host: x\n", 1));
    stream.write_all(sent.as_bytes()).await.expect("written");
    let told = closed(&mut stream).await;
    let statuses: Vec<&str> = told.split("HTTP/1.1 ").skip(1).map(|answer| &answer[..3]).collect();
    assert_eq!(statuses, ["200", "200", "400"], "{told}");
    assert_eq!(world.received().len(), 2);
}

#[tokio::test]
async fn a_request_may_come_in_pieces() {
    let mut world = World::new().await;
    let mut stream = world.connect().await;
    stream.set_nodelay(true).expect("no delay");
    for round in 0..2 {
        for piece in post(FIRING).as_bytes().chunks(3 + round) {
            stream.write_all(piece).await.expect("written");
            tokio::task::yield_now().await;
        }
        assert_eq!(answer(&mut stream).await.status, 200);
    }
    assert_eq!(world.received().len(), 2);
}

#[tokio::test]
async fn a_sender_may_ask_before_it_sends_its_body() {
    let world = World::new().await;
    let mut stream = world.connect().await;
    let sent = post(FIRING).replacen("Host: x", "Host: x\r\nExpect: 100-continue", 1);
    let (head, body) = sent.split_at(sent.len() - FIRING.len());
    stream.write_all(head.as_bytes()).await.expect("written");
    assert_eq!(answer(&mut stream).await.status, 100);
    stream.write_all(body.as_bytes()).await.expect("written");
    assert_eq!(answer(&mut stream).await.status, 200);
}

#[tokio::test]
async fn a_client_that_leaves_does_not_take_its_delivery_along() {
    let mut world = World::with(Limits::default(), ponders).await;
    let mut stream = world.connect().await;
    stream.write_all(post(FIRING).as_bytes()).await.expect("written");
    let delivery = world.deliveries.recv().await.expect("a delivery");
    drop(stream);
    assert!(matches!(delivery.content, Content::Signals(_)));
    assert_eq!(world.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await.status, 200);
}

#[tokio::test]
async fn a_slow_sender_is_cut_off_at_the_deadline() {
    let short = Duration::from_millis(60);
    let long = Duration::from_secs(60);
    let patient =
        Limits { head_within: long, idle: long, body_within: long, body_grace: long, ..Limits::default() };
    let head = post(FIRING).split_once("{").expect("a body").0.to_owned();
    let cases = [
        ("nothing at all", String::new(), Limits { head_within: short, ..patient.clone() }),
        ("half a head", "POST /v1/al".to_owned(), Limits { head_within: short, ..patient.clone() }),
        ("half a body", format!("{head}{{"), Limits { body_within: short, ..patient.clone() }),
        ("too few bytes a second", format!("{head}{{"), Limits { body_grace: short, ..patient.clone() }),
    ];
    for (name, sent, limits) in cases {
        let mut world = World::with(limits, stores).await;
        let mut stream = world.connect().await;
        stream.write_all(sent.as_bytes()).await.expect("written");
        closed(&mut stream).await;
        assert!(world.received().is_empty(), "{name}");
    }
    let world = World::with(Limits { idle: short, ..patient }, stores).await;
    let mut stream = world.connect().await;
    stream.write_all(post(FIRING).as_bytes()).await.expect("written");
    assert_eq!(answer(&mut stream).await.status, 200);
    assert_eq!(closed(&mut stream).await, "", "idle between two requests");
}

#[tokio::test]
async fn an_answer_that_takes_too_long_is_a_503() {
    let limits = Limits { answer_within: Duration::from_millis(60), ..Limits::default() };
    let world = World::with(limits, ponders).await;
    let mut stream = world.connect().await;
    stream.write_all(post(FIRING).as_bytes()).await.expect("written");
    let told = answer(&mut stream).await;
    assert_eq!((told.status, told.problem().as_str()), (503, "too-slow"));
    assert_eq!(closed(&mut stream).await, "");
}

#[tokio::test]
async fn a_cut_body_is_no_delivery() {
    let mut world = World::new().await;
    let whole = post(FIRING);
    let mut stream = world.connect().await;
    stream.write_all(&whole.as_bytes()[..whole.len() - 5]).await.expect("written");
    stream.shutdown().await.expect("half closed");
    closed(&mut stream).await;
    assert!(world.received().is_empty());
}

#[tokio::test]
async fn a_lying_length_makes_two_requests_of_which_one_is_none() {
    let limits = Limits { head_within: Duration::from_millis(500), ..Limits::default() };
    let mut world = World::with(limits, stores).await;
    let told = post(FIRING).replace(&format!("Content-Length: {}", FIRING.len()), "Content-Length: 2");
    let mut stream = world.connect().await;
    stream.write_all(told.as_bytes()).await.expect("written");
    assert_eq!(answer(&mut stream).await.status, 200, "two bytes are a dead letter");
    assert!(matches!(world.received()[0].content, Content::Dead(_)));
    closed(&mut stream).await;
    assert!(world.received().is_empty());
}

#[tokio::test]
async fn what_is_authentic_and_unreadable_is_kept_as_a_dead_letter() {
    let mut world = World::new().await;
    let bomb = "[".repeat(100_000);
    for (body, reason) in [
        ("", "empty"),
        ("hello", "expected value"),
        (r#"{"text":"the build is red"}"#, "not a message of Alertmanager's"),
        ("\u{feff}{}", "byte order mark"),
        (bomb.as_str(), "nests deeper"),
        (r#"{"alerts":[{"labels":{"service":"a","service":"b"}}]}"#, "twice"),
        (r#"{"alerts":[{"status":"firing","status":"resolved"}]}"#, "duplicate"),
        (r#"{"alerts":[{"labels":{"service":{"$ne":1}}}]}"#, "expected a text"),
    ] {
        let told = world.send(post(body)).await;
        assert_eq!(told.status, 200, "{reason}");
        assert!(told.body.contains(reason), "{reason}: {}", told.body);
        let received = world.received();
        assert_eq!(received[0].body, body, "the bytes are kept as they came");
        assert!(matches!(&received[0].content, Content::Dead(why) if why.contains(reason)), "{reason}");
    }
}

#[tokio::test]
async fn hostile_text_is_only_text() {
    let mut world = World::new().await;
    let hostile = "<!channel> '; DROP TABLE x; -- \u{202e} ${jndi:ldap://x} {{.}} \u{7} ../../etc \u{1f4a5}";
    let body =
        serde_json::json!({"alerts": [{"labels": {"alertname": hostile, "service": hostile}}]}).to_string();
    assert_eq!(world.send(post(&body)).await.status, 200);
    let received = world.received();
    let Content::Signals(signals) = &received[0].content else { panic!("unreadable") };
    assert_eq!(signals[0].name.as_str(), hostile);
    assert_eq!(signals[0].labels["service"], hostile);
}

#[tokio::test]
async fn ten_thousand_alerts_in_one_group_are_all_heard() {
    let mut world = World::new().await;
    let alerts: Vec<String> = (0..10_000)
        .map(|number| format!(r#"{{"status":"firing","labels":{{"alertname":"Down","instance":"h{number}"}},"fingerprint":"{number:016x}"}}"#))
        .collect();
    let body = format!(r#"{{"alerts":[{}]}}"#, alerts.join(","));
    assert_eq!(world.send(post(&body)).await.status, 200);
    let received = world.received();
    assert!(matches!(&received[0].content, Content::Signals(signals) if signals.len() == 10_000));
}

#[tokio::test]
async fn our_own_trouble_is_a_503_that_asks_to_come_again() {
    for (writer, problem) in [
        ((|_| Some(Err(NotStored::Overloaded))) as crate::pretend::Writer, "overloaded"),
        (|_| Some(Err(NotStored::Storage("disk full: /var/lib".into()))), "not-stored"),
        (|_| Some(Err(NotStored::Closing)), "closing"),
    ] {
        let world = World::with(Limits::default(), writer).await;
        let told = world.send(post(FIRING)).await;
        assert_eq!((told.status, told.problem().as_str()), (503, problem));
        assert_eq!(told.header("retry-after"), Some("5"));
        assert!(!told.body.contains("/var/lib"), "{told:?}");
    }
}

#[tokio::test]
async fn what_was_seen_is_answered_as_what_is_new() {
    let world = World::with(Limits::default(), |_| Some(Ok(Received::Seen))).await;
    assert_eq!(world.send(post(FIRING)).await.status, 200);
}

#[tokio::test]
async fn bodies_in_flight_have_a_limit() {
    let limits = Limits { bodies_in_flight: FIRING.len() + 10, ..Limits::default() };
    let mut world = World::with(limits, ponders).await;
    let mut first = world.connect().await;
    first.write_all(post(FIRING).as_bytes()).await.expect("written");
    world.deliveries.recv().await.expect("the first delivery");
    let told = world.send(post(FIRING)).await;
    assert_eq!((told.status, told.problem().as_str()), (503, "overloaded"));
}

#[tokio::test]
async fn a_stranger_takes_no_room_for_bodies() {
    let limits = Limits { bodies_in_flight: 0, ..Limits::default() };
    let world = World::with(limits, stores).await;
    let told = world.send(request(&[("Content-Type", "application/json")], FIRING)).await;
    assert_eq!(told.status, 401);
}

#[tokio::test]
async fn an_address_has_a_limit_of_connections_and_a_proxy_has_none() {
    let limits = Limits { per_address: 2, ..Limits::default() };
    let world = World::with(limits.clone(), stores).await;
    let (mut one, _two) = (world.connect().await, world.connect().await);
    let mut third = world.connect().await;
    let told = answer(&mut third).await;
    assert_eq!((told.status, told.problem().as_str()), (503, "too-many-connections"));
    assert_eq!(closed(&mut third).await, "");
    one.write_all(post(FIRING).as_bytes()).await.expect("written");
    assert_eq!(answer(&mut one).await.status, 200, "those who are in are served");

    let proxied = Limits { trusted_proxies: vec!["127.0.0.0/8".parse().expect("a range")], ..limits };
    let world = World::with(proxied, stores).await;
    let _held = [world.connect().await, world.connect().await, world.connect().await];
    assert_eq!(world.send(post(FIRING)).await.status, 200);
}

#[tokio::test]
async fn beyond_the_cap_connections_wait() {
    let world = World::with(Limits { connections: 1, ..Limits::default() }, stores).await;
    let mut first = world.connect().await;
    first.write_all(post(FIRING).as_bytes()).await.expect("written");
    assert_eq!(answer(&mut first).await.status, 200);
    let mut second = world.connect().await;
    second.write_all(post(FIRING).as_bytes()).await.expect("written");
    drop(first);
    assert_eq!(answer(&mut second).await.status, 200);
}

#[tokio::test]
async fn a_reload_holds_from_the_next_request() {
    let world = World::new().await;
    let mut stream = world.connect().await;
    stream.write_all(post(FIRING).as_bytes()).await.expect("written");
    assert_eq!(answer(&mut stream).await.status, 200);
    let mut other = settings(Limits::default());
    other.sources.remove(&"prometheus".into());
    world.settings.send(Arc::new(other)).expect("the listener reads");
    stream.write_all(post(FIRING).as_bytes()).await.expect("written");
    assert_eq!(answer(&mut stream).await.status, 404);
}

#[tokio::test]
async fn stopping_lets_requests_end_and_takes_no_more() {
    let mut world = World::with(Limits::default(), stores).await;
    let mut idle = world.connect().await;
    idle.write_all(post(FIRING).as_bytes()).await.expect("written");
    assert_eq!(answer(&mut idle).await.status, 200);
    let mut busy = world.connect().await;
    let sent = post(FIRING);
    let (begun, rest) = sent.as_bytes().split_at(sent.len() - 10);
    busy.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("written");
    assert_eq!(answer(&mut busy).await.status, 200);
    busy.write_all(begun).await.expect("written");
    // The listener answers another connection, so it has read what was written before.
    assert_eq!(world.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await.status, 200);
    world.stop.send(true).expect("the listener runs");
    assert_eq!(closed(&mut idle).await, "");
    busy.write_all(rest).await.expect("written");
    assert_eq!(answer(&mut busy).await.status, 200);
    closed(&mut busy).await;
    drop((idle, busy));
    world.served.await.expect("the listener ends");
    assert!(tokio::net::TcpStream::connect(world.address).await.is_err());
    assert_eq!(std::iter::from_fn(|| world.deliveries.try_recv().ok()).count(), 2);
}

#[tokio::test]
async fn draining_ends_at_its_deadline() {
    let limits = Limits { drain: Duration::from_millis(60), ..Limits::default() };
    let mut world = World::with(limits, ponders).await;
    let mut stream = world.connect().await;
    stream.write_all(post(FIRING).as_bytes()).await.expect("written");
    world.deliveries.recv().await.expect("a delivery");
    world.stop.send(true).expect("the listener runs");
    closed(&mut stream).await;
    world.served.await.expect("the listener ends");
}

#[tokio::test]
async fn health_and_readiness_are_told_apart() {
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
    let world =
        World::of(settings(Limits::default()), stores, || Err("the disk is full: /var/lib".into())).await;
    assert_eq!(world.send(get("/healthz")).await.status, 200);
    let told = world.send(get("/readyz")).await;
    assert_eq!((told.status, told.problem().as_str()), (503, "not-ready"));
    assert!(!told.body.contains("/var/lib"));
    let world = World::new().await;
    assert_eq!(world.send(get("/readyz")).await.status, 200);
    assert_eq!(world.send(get("/readyz").replace("GET", "POST")).await.status, 405);
}
