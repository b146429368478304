//! A small world around intake: a real listener on a free port, three sources, a writer that answers as it is
//! told, and a client that writes bytes and reads one answer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use snapback::case::id::{DeliveryId, SourceName, Timestamp};
use snapback::intake::{
    Clock, Credential, Intake, IntakeSettings, Limits, Secret, SourceKind, SourceSettings,
};
use snapback::journal::inbox::{Delivery, Inbox, NotStored, Received};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// The token of the source `prometheus`, as in the captured requests.
pub(crate) const TOKEN: &str = "tok_0123456789abcdef";

/// A test that waits longer than this hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running listener and what it received.
pub(crate) struct World {
    pub(crate) address: SocketAddr,
    pub(crate) deliveries: mpsc::UnboundedReceiver<Delivery>,
    pub(crate) settings: watch::Sender<Arc<IntakeSettings>>,
    pub(crate) stop: watch::Sender<bool>,
    pub(crate) served: JoinHandle<()>,
}

/// How the writer answers.
pub(crate) type Writer = fn(u64) -> Option<Result<Received, NotStored>>;

/// Stores everything.
pub(crate) fn stores(number: u64) -> Option<Result<Received, NotStored>> {
    Some(Ok(Received::New(DeliveryId(number))))
}

/// Takes deliveries and never answers.
pub(crate) fn ponders(_: u64) -> Option<Result<Received, NotStored>> {
    None
}

impl World {
    /// A world whose writer stores everything.
    pub(crate) async fn new() -> World {
        World::with(Limits::default(), stores).await
    }

    /// A world of these limits and this writer.
    pub(crate) async fn with(limits: Limits, writer: Writer) -> World {
        World::of(settings(limits), writer, || Ok(())).await
    }

    /// A world of these settings, this writer and this readiness.
    pub(crate) async fn of(
        settings: IntakeSettings,
        writer: Writer,
        ready: fn() -> Result<(), String>,
    ) -> World {
        World::at(now(), settings, writer, ready).await
    }

    /// The same, at another moment.
    pub(crate) async fn at(
        moment: Timestamp,
        settings: IntakeSettings,
        writer: Writer,
        ready: fn() -> Result<(), String>,
    ) -> World {
        let limits = Arc::new(settings.limits.clone());
        let (settings, read) = watch::channel(Arc::new(settings));
        let (inbox, mut arrivals) = Inbox::new();
        let (told, deliveries) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let (mut taken, mut pondered, mut number) = (Vec::new(), Vec::new(), 0);
            while arrivals.take(&mut taken, 16).await > 0 {
                for arrival in taken.drain(..) {
                    number += 1;
                    let _ = told.send(arrival.delivery.clone());
                    match writer(number) {
                        Some(outcome) => drop(arrival.answer(outcome)),
                        None => pondered.push(arrival),
                    }
                }
            }
        });
        let clock: Clock = Arc::new(move || moment);
        let router = Intake::new(read, inbox, Arc::new(ready), clock).router();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (stop, stopped) = watch::channel(false);
        let served = tokio::spawn(snapback::intake::serve(listener, router, limits, stopped));
        World { address, deliveries, settings, stop, served }
    }

    /// A new connection.
    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("a connection")
    }

    /// Writes these bytes on a new connection and reads one answer.
    pub(crate) async fn send(&self, bytes: impl AsRef<[u8]>) -> Answer {
        let mut stream = self.connect().await;
        // A refused request may be answered before it is written whole.
        let _ = stream.write_all(bytes.as_ref()).await;
        answer(&mut stream).await
    }

    /// What was received meanwhile.
    pub(crate) fn received(&mut self) -> Vec<Delivery> {
        std::iter::from_fn(|| self.deliveries.try_recv().ok()).collect()
    }
}

/// The moment at which everything is received.
pub(crate) fn now() -> Timestamp {
    "2026-11-23T18:00:00Z".parse().expect("a moment")
}

/// The sources of the captured requests, and one whose secret is not loaded.
pub(crate) fn settings(limits: Limits) -> IntakeSettings {
    let loaded = |text: &str| Secret::Loaded(SecretString::from(text));
    let source = |credential| SourceSettings {
        kind: SourceKind::Alertmanager,
        credential,
        lag: snapback::case::id::Duration::from_mins(5),
        tally: Arc::default(),
    };
    let basic =
        Credential::Basic { user: "alertmanager".into(), passwords: vec![loaded("s3cret-Pass:word")] };
    let sources = [
        ("prometheus", Credential::Bearer(vec![loaded("tok_next"), loaded(TOKEN)])),
        ("basic", basic),
        ("unloaded", Credential::Bearer(vec![Secret::Missing])),
    ];
    let sources = sources.map(|(name, credential)| (SourceName::new(name), source(credential)));
    IntakeSettings { sources: sources.into_iter().collect(), limits, ..IntakeSettings::default() }
}

/// A request to the source `prometheus` as Alertmanager writes it.
pub(crate) fn post(body: &str) -> String {
    request(&[("Content-Type", "application/json"), ("Authorization", &format!("Bearer {TOKEN}"))], body)
}

/// A request to the source `prometheus` with these headers.
pub(crate) fn request(headers: &[(&str, &str)], body: &str) -> String {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!(
        "POST /v1/alerts/prometheus HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// One answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    /// A header's value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (own, value) = line.split_once(':')?;
            own.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// The problem's name; checks that it is one and nothing else.
    pub(crate) fn problem(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let body: serde_json::Value = serde_json::from_str(&self.body).expect("JSON");
        assert_eq!(body["status"], self.status, "{self:?}");
        assert!(body["title"].is_string(), "{self:?}");
        let kind = body["type"].as_str().expect("a type");
        kind.strip_prefix("urn:snapback:problem:").expect("our own type").to_owned()
    }
}

/// Reads one answer.
pub(crate) async fn answer(stream: &mut TcpStream) -> Answer {
    let read = async {
        let mut bytes = Vec::new();
        let head = loop {
            if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                break at;
            }
            let count = stream.read_buf(&mut bytes).await.expect("an answer");
            assert!(count > 0, "closed without an answer after {:?}", String::from_utf8_lossy(&bytes));
        };
        let text = String::from_utf8(bytes[..head].to_vec()).expect("a head in ASCII");
        let status = text.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
        let mut answer = Answer { status, head: text, body: String::new() };
        let length: usize =
            answer.header("content-length").map_or(0, |length| length.parse().expect("a length"));
        let mut body = bytes.split_off(head + 4);
        while body.len() < length {
            assert!(stream.read_buf(&mut body).await.expect("a body") > 0, "a cut body");
        }
        assert_eq!(body.len(), length, "more than one answer");
        answer.body = String::from_utf8(body).expect("a body in UTF-8");
        answer
    };
    tokio::time::timeout(PATIENCE, read).await.expect("an answer in time")
}

/// Waits until the server closes the connection; returns what it still said.
pub(crate) async fn closed(stream: &mut TcpStream) -> String {
    let mut rest = Vec::new();
    let read = stream.read_to_end(&mut rest);
    // A reset is a close as well.
    let _ = tokio::time::timeout(PATIENCE, read).await.expect("a close in time");
    String::from_utf8_lossy(&rest).into_owned()
}
