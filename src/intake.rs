//! Intake: proves, parses, receives, answers; never decides. A 2xx means that the delivery is stored and synced to
//! disk. What a source may speak about, and which service an alert is of, is the engine's to find.

mod alert;
mod alertmanager;
mod argocd;
mod cdevents;
mod cloudwatch;
mod codedeploy;
mod connection;
mod datadog;
mod deployments;
mod eventbridge;
mod flagger;
mod gate;
mod generic;
mod github;
mod grafana;
mod heads;
mod json;
mod limits;
mod listener;
mod moment;
mod newrelic;
mod pagerduty;
mod problem;
mod proof;
mod sender;
mod slack;
mod sns;
mod tls;
mod told;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use alert::Told;
use sender::Protocol;

use crate::case::id::{DeliveryId, Duration, SourceName, Timestamp};
use crate::journal::inbox::{Content, ContentKey, Delivery, Inbox, NotStored, Received};
use crate::telemetry::{Tally, label};

pub use flagger::{FlaggerGate, GoBack};
pub use gate::{GateAnswer, ReleaseGate};
pub use limits::{Limits, NotASubnet, Subnet};
pub use listener::{Wire, serve, serve_over};
pub use problem::Problem;
pub use proof::{Certificates, Confirm, Credential, Proof, Proven, Scheme, Secret, Sns, Versions};
pub use sender::SourceKind;
pub use slack::{Answers, Chat, Rehearsals, Whispers};
pub use tls::{Identity, Tls};

/// What intake needs of the configuration. Taken anew for each request, so that a reload holds from the next one;
/// the limits are those of the start.
#[derive(Clone, Debug, Default)]
pub struct IntakeSettings {
    /// Who may send.
    pub sources: BTreeMap<SourceName, SourceSettings>,
    /// Who may tell of deployments, each under [`SourceName::feed`].
    pub feeds: BTreeMap<SourceName, SourceSettings>,
    /// How Slack is heard, where it is.
    pub slack: Option<Arc<Chat>>,
    /// What the listener bears.
    pub limits: Limits,
    /// What the listener shows of itself over TLS; without it, TLS is not spoken.
    pub identity: Option<Identity>,
}

/// One source of signals, `[sources.NAME]`.
#[derive(Clone, Debug)]
pub struct SourceSettings {
    /// What it speaks.
    pub kind: SourceKind,
    /// What it must show.
    pub credential: Credential,
    /// How long its alarms take to fire, when the alert does not say.
    pub lag: Duration,
    /// What became of its deliveries; made once, and the same through reloads.
    pub tally: Arc<Tally>,
}

/// Whether deliveries can be stored now; the reason if not.
pub type Readiness = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// What time it is.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The public side of the server.
pub struct Intake {
    settings: watch::Receiver<Arc<IntakeSettings>>,
    inbox: Inbox,
    readiness: Readiness,
    clock: Clock,
    /// Bytes of bodies that may still come into memory.
    room: Arc<Semaphore>,
    /// Requests without the right credential, since the start.
    unproven: AtomicU64,
    /// Authentic deliveries that nobody could read, since the start.
    unreadable: AtomicU64,
    /// What Flagger is answered; nothing: it is not heard.
    flagger: Option<FlaggerGate>,
    /// What pipelines are answered; nothing: they are not heard.
    gate: Option<ReleaseGate>,
}

impl Intake {
    /// Receives into this inbox what the settings allow.
    pub fn new(
        settings: watch::Receiver<Arc<IntakeSettings>>,
        inbox: Inbox,
        readiness: Readiness,
        clock: Clock,
    ) -> Intake {
        let room = settings.borrow().limits.bodies_in_flight.min(Semaphore::MAX_PERMITS);
        Intake {
            settings,
            inbox,
            readiness,
            clock,
            room: Arc::new(Semaphore::new(room)),
            unproven: AtomicU64::new(0),
            unreadable: AtomicU64::new(0),
            flagger: None,
            gate: None,
        }
    }

    /// Lets Flagger ask.
    pub fn with_flagger(self, gate: FlaggerGate) -> Intake {
        Intake { flagger: Some(gate), ..self }
    }

    /// Lets pipelines ask.
    pub fn with_gate(self, gate: ReleaseGate) -> Intake {
        Intake { gate: Some(gate), ..self }
    }

    /// The public routes.
    pub fn router(self) -> Router {
        Router::new()
            .route("/v1/alerts/{source}", only("POST", post(hear)))
            .route("/v1/deployments/{feed}", only("POST", post(told)))
            .route("/slack/commands", only("GET, POST", get(slack::checked).post(slack::command)))
            .route("/slack/interactions", only("POST", post(slack::interaction)))
            .route(
                "/flagger/{namespace}/{canary}/rollback",
                only("GET, POST", get(flagger::asked).post(flagger::asked)),
            )
            .route("/v1/gate/{*service}", only("GET, HEAD", get(gate::asked)))
            .route("/healthz", only("GET, HEAD", get(healthy)))
            .route("/readyz", only("GET, HEAD", get(ready)))
            .fallback(async || Problem::NotFound)
            .with_state(Arc::new(self))
    }

    /// One refusal more; told in the log each time that their number has doubled, so that a flood of them is a
    /// handful of lines.
    fn refuse(&self, source: &SourceName, problem: Problem) -> Problem {
        let count = self.unproven.fetch_add(1, Ordering::Relaxed) + 1;
        if count.is_power_of_two() {
            tracing::warn!(%source, count, reason = problem.name(), "refused a request: its sender is not proven");
        }
        problem
    }

    /// One dead letter more; its sender throws our answer away, so that the log is the only place where it shows.
    fn note_unreadable(&self, source: &SourceName, why: &str) {
        let count = self.unreadable.fetch_add(1, Ordering::Relaxed) + 1;
        if count.is_power_of_two() {
            tracing::warn!(%source, count, why, "a delivery cannot be read; it is kept as a dead letter");
        }
    }
}

/// Reads again what was proven and stored before, or what an operator asks to have explained.
pub fn reread(
    source: &SourceName,
    settings: &SourceSettings,
    received_at: Timestamp,
    body: Bytes,
) -> Content {
    content(source, settings, received_at, &Proven::before(body))
}

/// `POST /v1/alerts/{source}`. What can be refused by the head is refused before the body is read.
async fn hear(
    State(intake): State<Arc<Intake>>,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let Ok(Path(name)) = path else { return Err(Problem::NotFound) };
    let settings = Arc::clone(&intake.settings.borrow());
    let known = settings.sources.get_key_value(&SourceName::new(name));
    answer(&intake, known, request).await
}

/// `POST /v1/deployments/{feed}`.
async fn told(
    State(intake): State<Arc<Intake>>,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let Ok(Path(name)) = path else { return Err(Problem::NotFound) };
    let settings = Arc::clone(&intake.settings.borrow());
    let known = settings.feeds.get_key_value(&SourceName::feed(&name));
    answer(&intake, known, request).await
}

/// Takes a delivery of whoever this is, and counts what became of it.
async fn answer(
    intake: &Intake,
    known: Option<(&SourceName, &SourceSettings)>,
    request: Request,
) -> Result<Response, Problem> {
    let (source, of) = known.ok_or(Problem::NotFound)?;
    let taken = take(intake, source, of, request).await;
    match &taken {
        Ok((_, became)) => of.tally.received.count(*became),
        Err(problem) => problem.refusal().into_iter().for_each(|reason| of.tally.refused.count(reason)),
    }
    taken.map(|(answer, _)| answer)
}

/// Takes a delivery of a known source; gives the answer, and what became of it.
async fn take(
    intake: &Intake,
    source: &SourceName,
    of: &SourceSettings,
    request: Request,
) -> Result<(Response, label::Received), Problem> {
    let (head, body) = request.into_parts();
    let protocol = of.kind.protocol();
    let length = protocol.admit(&head.headers)?;
    let received_at = (intake.clock)();
    let unproven = |problem| intake.refuse(source, problem);
    let shown = of.credential.look(&head.headers, received_at).map_err(unproven)?;
    let (body, _room) = collect(&intake.room, body, length as usize).await?;
    let body = shown.over(body).await.map_err(unproven)?;
    let content = content(source, of, received_at, &body);
    let unreadable = content.dead().map(str::to_owned);
    let body = body.into_inner();
    let key = ContentKey::of(source, &body);
    // Shared, not copied.
    let kept = body.clone();
    let delivery = Delivery { received_at, source: source.clone(), key, body, content };
    let id = match intake.inbox.receive(delivery).await {
        Ok(Received::New(id)) => {
            of.credential.stored(&kept, received_at);
            Some(id)
        }
        Ok(Received::Seen) => None,
        Err(NotStored::Overloaded) => return Err(Problem::Overloaded),
        // The journal logs why, once and where it happens.
        Err(NotStored::Storage(_)) => return Err(Problem::NotStored),
        Err(NotStored::Closing) => return Err(Problem::Closing),
    };
    let became = match (id, &unreadable) {
        (None, _) => label::Received::Seen,
        (Some(_), Some(why)) => {
            intake.note_unreadable(source, why);
            label::Received::DeadLetter
        }
        (Some(_), None) => label::Received::Stored,
    };
    Ok((stored(&protocol, id, unreadable), became))
}

fn content(
    source: &SourceName,
    of: &SourceSettings,
    received_at: Timestamp,
    body: &Proven<Bytes>,
) -> Content {
    let told = Told { source, lag: of.lag, received_at };
    of.kind.read(body, told).unwrap_or_else(|why| Content::Dead(why.to_string()))
}

/// A body of a known length, and the room that it takes: as much as has come, so that whoever only says how long a body will be takes none.
/// One that came in one piece is not copied.
async fn collect(
    room: &Arc<Semaphore>,
    mut body: Body,
    length: usize,
) -> Result<(Bytes, Option<OwnedSemaphorePermit>), Problem> {
    let (mut whole, mut held): (_, Option<OwnedSemaphorePermit>) = (BytesMut::new(), None);
    while let Some(frame) = body.frame().await {
        let Ok(piece) = frame.map_err(|_| Problem::BodyCut)?.into_data() else { continue };
        let size = u32::try_from(piece.len()).map_err(|_| Problem::BodyTooLarge)?;
        let more = Arc::clone(room).try_acquire_many_owned(size).map_err(|_| Problem::Overloaded)?;
        match &mut held {
            Some(held) => held.merge(more),
            None => held = Some(more),
        }
        if piece.len() == length {
            return Ok((piece, held));
        }
        whole.extend_from_slice(&piece);
    }
    if whole.len() == length { Ok((whole.freeze(), held)) } else { Err(Problem::BodyCut) }
}

/// The answer to a delivery that is on disk.
fn stored(protocol: &Protocol, id: Option<DeliveryId>, unreadable: Option<String>) -> Response {
    let mut answer = serde_json::json!({ "delivery": id.map(|id| id.0) });
    let status = if unreadable.is_some() { protocol.unreadable } else { protocol.stored };
    if let Some(why) = unreadable {
        answer["unreadable"] = why.into();
    }
    json(status, answer.to_string())
}

/// `GET /healthz`: the process serves.
async fn healthy() -> Response {
    json(StatusCode::OK, r#"{"status":"alive"}"#.to_owned())
}

/// `GET /readyz`: deliveries can be stored.
async fn ready(State(intake): State<Arc<Intake>>) -> Result<Response, Response> {
    match (intake.readiness)() {
        Ok(()) => Ok(json(StatusCode::OK, r#"{"status":"ready"}"#.to_owned())),
        Err(why) => {
            // Who asks from outside learns that, not why: the reason may name paths and services.
            tracing::debug!(%why, "not ready");
            Err(Problem::NotReady.into_response())
        }
    }
}

fn json(status: StatusCode, body: String) -> Response {
    (status, [(CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response()
}

/// A path that takes these methods and says so to others.
fn only(allowed: &'static str, takes: MethodRouter<Arc<Intake>>) -> MethodRouter<Arc<Intake>> {
    takes.fallback(async move || problem::wrong_method(allowed))
}
