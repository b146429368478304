//! Slack's door: what is typed after the slash command, and what is pressed. Proves by Slack's signature over the raw bytes
//! who speaks, reads the strict grammar, and stores what changes something; whether whoever speaks may is found later. What
//! only asks is answered at once, for the eyes of whoever asked. Leaves to others what the answers say.

use std::collections::HashMap;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration as StdDuration;

use axum::body::Body;
use axum::extract::{Request as HttpRequest, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::HeaderMap;
use serde::Deserialize;
use tokio::time::timeout;

use super::problem::Problem;
use super::proof::{Proven, Secret, slack_head, slack_signature};
use super::sender::Protocol;
use super::{Intake, collect, json};
use crate::case::command::Request;
use crate::case::id::{AnswerUrl, Duration, PersonId, Place, ServiceId, SourceName, Timestamp};
use crate::case::rehearsal::Rehearsal;
use crate::case::saying::{NotASaying, Saying};
use crate::case::thread::{Thread, Workspace};
use crate::case::turn::{Manner, Whisper};
use crate::journal::inbox::{Delivery, NotStored, Received};

/// The largest body: failure model §6.
const PROTOCOL: Protocol = Protocol {
    media: &["application/x-www-form-urlencoded"],
    body_max: 256 << 10,
    stored: StatusCode::OK,
    unreadable: StatusCode::OK,
};
/// Slack waits three seconds for the answer to a command.
const ANSWER_WITHIN: StdDuration = StdDuration::from_millis(2500);
/// What was typed and asked back waits so long for its confirmation.
const CONFIRM_WITHIN: Duration = Duration::from_mins(10);

/// What somebody is shown who typed a command; the JSON that Slack takes.
pub type Answers = Arc<
    dyn Fn(Result<Saying, NotASaying>) -> Pin<Box<dyn Future<Output = serde_json::Value> + Send>>
        + Send
        + Sync,
>;
/// Told that somebody pressed the doctor's button.
pub type Rehearsals = Arc<dyn Fn(Rehearsal, PersonId) + Send + Sync>;
/// Answers one person, later.
pub type Whispers = Arc<dyn Fn(Whisper) + Send + Sync>;

/// How Slack is heard.
pub struct Chat {
    /// What proves it; several, for rotation.
    pub signing_secrets: Vec<Secret>,
    /// The slash command.
    pub command: String,
    /// The services that can be named.
    pub services: Vec<ServiceId>,
    /// The workspace that speaks to us, once it is known.
    pub workspace: Arc<dyn Fn() -> Option<Workspace> + Send + Sync>,
    /// What is answered at once.
    pub answers: Answers,
    /// What is answered beside.
    pub whispers: Whispers,
    /// Who hears of the doctor's button.
    pub rehearsals: Rehearsals,
}

impl fmt::Debug for Chat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chat").field("command", &self.command).finish_non_exhaustive()
    }
}

/// `GET /slack/commands`: Slack looks whether our certificate is in order (signals §10.1), and nothing else.
pub(super) async fn checked() -> StatusCode {
    StatusCode::OK
}

/// `POST /slack/commands`. Nothing changes by typing: what would change something is asked back, and pressed.
pub(super) async fn command(
    State(intake): State<Arc<Intake>>,
    request: HttpRequest,
) -> Result<Response, Problem> {
    let (chat, body) = proven(&intake, request).await?;
    let mut form: HashMap<String, String> = form_urlencoded::parse(body.get()).into_owned().collect();
    let mut field = |name: &str| form.remove(name).unwrap_or_default();
    if field("ssl_check") == "1" {
        return Ok(StatusCode::OK.into_response());
    }
    let (team, enterprise) = (field("team_id"), field("enterprise_id"));
    if let Err(why) = speaks_for_us(&chat, &[&team, &enterprise]) {
        return Ok(private(why));
    }
    if field("command") != chat.command {
        return Ok(private("this command is none of Snapback's"));
    }
    let said = Saying::read(&field("text"), &chat.services);
    match timeout(ANSWER_WITHIN, (chat.answers)(said)).await {
        Ok(answer) => Ok(json(StatusCode::OK, answer.to_string())),
        Err(_) => Ok(private("that took too long to look up: try again, or see `snapback services`")),
    }
}

/// `POST /slack/interactions`: a button was pressed. Answered as soon as it is stored, with nothing, as Slack wants it.
pub(super) async fn interaction(
    State(intake): State<Arc<Intake>>,
    request: HttpRequest,
) -> Result<Response, Problem> {
    let (chat, body) = proven(&intake, request).await?;
    let payload = form_urlencoded::parse(body.get()).find(|(name, _)| name == "payload");
    let payload = payload.map(|(_, payload)| payload.into_owned()).unwrap_or_default();
    let pressed = match serde_json::from_str::<Interaction>(&payload) {
        Ok(Interaction::BlockActions(pressed)) => *pressed,
        Ok(Interaction::Other) => return Ok(StatusCode::OK.into_response()),
        Err(why) => {
            intake.note_unreadable(&SourceName::new("slack"), &why.to_string());
            return Ok(StatusCode::OK.into_response());
        }
    };
    let received_at = (intake.clock)();
    let answer = pressed.response_url.clone().map(AnswerUrl::new);
    match read(&chat, &pressed, answer.clone(), received_at) {
        Ok(Heard::Request(request)) => store(&intake, *request, received_at, body.get()).await,
        Ok(Heard::Rehearsal(asked, by)) => {
            (chat.rehearsals)(asked, by);
            Ok(StatusCode::OK.into_response())
        }
        Err(why) => {
            if let Some(to) = answer {
                (chat.whispers)(Whisper { to, says: format!("not done: {why}"), manner: Manner::Private });
            }
            Ok(StatusCode::OK.into_response())
        }
    }
}

/// What a press is.
enum Heard {
    /// It asks for something.
    Request(Box<Request>),
    /// The doctor's button: it shows that it is heard, and nothing is stored.
    Rehearsal(Rehearsal, PersonId),
}

/// What was pressed; or why it is nothing.
fn read(chat: &Chat, pressed: &Pressed, answer: Option<AnswerUrl>, now: Timestamp) -> Result<Heard, String> {
    let id = |of: &Option<Named>| of.as_ref().map(|named| named.id.clone()).unwrap_or_default();
    let (team, enterprise) = (id(&pressed.team), id(&pressed.enterprise));
    let workspace = speaks_for_us(chat, &[&team, &enterprise])?;
    let said = pressed.actions.iter().find_map(|action| action.value.as_deref()).unwrap_or_default();
    let by = PersonId::new(format!("slack:{}", pressed.user.id));
    if let Ok(asked) = said.parse() {
        return Ok(Heard::Rehearsal(asked, by));
    }
    let said = Saying::read(said, &chat.services).map_err(|why| why.to_string())?;
    let place = place(pressed, &workspace);
    if place.is_none() && is_old(pressed, now) {
        return Err("that was asked back too long ago: type it again".into());
    }
    let request = said.request(&by, now).ok_or("nothing can be pressed here now")?;
    let serving = said.serving().cloned();
    Ok(Heard::Request(Box::new(Request::Spoken { request: Box::new(request), place, serving, answer })))
}

/// The message whose button it was; nothing for what only whoever pressed it sees.
fn place(pressed: &Pressed, workspace: &Workspace) -> Option<Place> {
    let container = &pressed.container;
    let thread = Thread { channel: container.channel_id.clone()?, ts: container.message_ts.clone()? };
    (!container.is_ephemeral).then(|| thread.link(workspace))
}

/// A message's time is when it was posted.
fn is_old(pressed: &Pressed, now: Timestamp) -> bool {
    let seconds = pressed.container.message_ts.as_deref().and_then(|ts| ts.split('.').next());
    let posted =
        seconds.and_then(|seconds| seconds.parse().ok()).and_then(|at| Timestamp::from_second(at).ok());
    posted.is_none_or(|at| now.duration_since(at) > CONFIRM_WITHIN)
}

/// Slack's signature proves the app, and not the workspace: one app may be installed in several.
fn speaks_for_us(chat: &Chat, from: &[&String]) -> Result<Workspace, &'static str> {
    let Some(workspace) = (chat.workspace)() else {
        return Err(
            "Snapback does not reach Slack yet, and cannot tell who may do this: use the command line",
        );
    };
    if from.iter().any(|id| **id == workspace.team) {
        return Ok(workspace);
    }
    Err("Snapback belongs to another workspace")
}

async fn store(
    intake: &Intake,
    request: Request,
    received_at: Timestamp,
    raw: &Bytes,
) -> Result<Response, Problem> {
    let delivery = Delivery::spoken(request, received_at, raw).map_err(|_| Problem::NotStored)?;
    match intake.inbox.receive(delivery).await {
        // The same bytes again are a replay, or a repeat of Slack's own: they were answered before.
        Ok(Received::New(_) | Received::Seen) => Ok(StatusCode::OK.into_response()),
        Err(NotStored::Overloaded) => Err(Problem::Overloaded),
        Err(NotStored::Storage(_)) => Err(Problem::NotStored),
        Err(NotStored::Closing) => Err(Problem::Closing),
    }
}

/// A form whose signature is Slack's.
async fn proven(intake: &Intake, request: HttpRequest) -> Result<(Arc<Chat>, Proven<Bytes>), Problem> {
    let chat = intake.settings.borrow().slack.clone().ok_or(Problem::NotFound)?;
    let (head, body) = request.into_parts();
    slack_head(&head.headers, (intake.clock)())
        .map_err(|problem| intake.refuse(&SourceName::new("slack"), problem))?;
    let body = read_form(intake, &head.headers, body).await?;
    let proof = slack_signature(&head.headers, &body, &chat.signing_secrets, (intake.clock)());
    let proof = proof.map_err(|problem| intake.refuse(&SourceName::new("slack"), problem))?;
    Ok((chat, proof.over(body)))
}

async fn read_form(intake: &Intake, headers: &HeaderMap, body: Body) -> Result<Bytes, Problem> {
    let length = PROTOCOL.admit(headers)?;
    collect(&intake.room, body, length as usize).await.map(|(body, _)| body)
}

/// A text for the eyes of whoever asked.
fn private(text: &str) -> Response {
    json(StatusCode::OK, serde_json::json!({ "response_type": "ephemeral", "text": text }).to_string())
}

/// What Slack sends to `/slack/interactions` (signals §10.3); only what is read of it.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Interaction {
    BlockActions(Box<Pressed>),
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Pressed {
    user: Named,
    team: Option<Named>,
    enterprise: Option<Named>,
    container: Container,
    response_url: Option<String>,
    #[serde(default)]
    actions: Vec<Action>,
}

#[derive(Deserialize)]
struct Named {
    id: String,
}

#[derive(Deserialize)]
struct Container {
    message_ts: Option<String>,
    channel_id: Option<String>,
    #[serde(default)]
    is_ephemeral: bool,
}

#[derive(Deserialize)]
struct Action {
    value: Option<String>,
}
