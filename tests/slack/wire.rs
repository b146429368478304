//! The workspace's end of HTTP: reading arguments as Slack reads them, faults that a test ordered, and answers with
//! Slack's headers. What a method does is in `methods`, what comes to a `response_url` in `hooks`.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::http::request::Parts;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Map, Value, json};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::Workspace;
use super::hooks::{self, NotTaken};
use super::methods::{self, Arguments, Refusal};

/// What goes wrong with one call.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// The connection ends without an answer; nothing is done.
    LosesRequest,
    /// It does it, and the connection ends without an answer.
    LosesReply,
    /// It answers nothing for ever, and nothing is done.
    HangsBefore,
    /// It does it, and answers nothing for ever.
    HangsAfter,
    /// 429 with this `Retry-After`, in seconds; nothing is done.
    TooMany(u32),
    /// 429 without saying until when; nothing is done.
    TooManyUnsaid,
    /// This status, nothing is done.
    Fails(u16),
    /// It does it, and this status comes back.
    FailsAfter(u16),
    /// `ok: false` with this code; nothing is done.
    Refuses(&'static str),
    /// It does it, and what comes back is a page of HTML.
    Garbled,
    /// It does it, and what comes back is `ok: true` and nothing else.
    Bare,
    /// It does it, and the answer waits until the gate is opened.
    Slow(Arc<Gate>),
    /// It does it when the gate is opened, whether or not anybody still waits for the answer.
    Late(Arc<Gate>),
}

/// What holds a call back until the test opens it.
#[derive(Debug)]
pub(crate) struct Gate {
    reached: watch::Sender<bool>,
    open: watch::Sender<bool>,
}

impl Gate {
    pub(super) fn new() -> Arc<Gate> {
        Arc::new(Gate { reached: watch::channel(false).0, open: watch::channel(false).0 })
    }

    /// Until a call stands before it.
    pub(crate) async fn reached(&self) {
        let came = self.reached.subscribe();
        super::in_time("a call that stands before the gate", came).await;
    }

    /// Lets it through.
    pub(crate) fn open(&self) {
        self.open.send_replace(true);
    }

    async fn pass(&self) {
        self.reached.send_replace(true);
        let _ = self.open.subscribe().wait_for(|open| *open).await;
    }
}

/// The connection ends without an answer.
#[derive(Debug)]
pub(super) struct Reset;

impl std::fmt::Display for Reset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("reset")
    }
}

impl std::error::Error for Reset {}

/// Methods that read no JSON body: Slack's older pages say so of everything that only reads, its newer ones do not, and
/// clients found it out (HubSpot/slack-client lists them). A form or a query always works.
const FORM_ONLY: [&str; 9] = [
    "chat.getPermalink",
    "conversations.history",
    "conversations.info",
    "conversations.list",
    "conversations.replies",
    "usergroups.list",
    "usergroups.users.list",
    "users.info",
    "users.list",
];

/// What one call is: a method's name, or `hooks`, and all that came with it.
struct Call {
    method: String,
    head: Parts,
    body: Bytes,
}

/// Serves one connection until it ends.
pub(super) async fn converse(workspace: Arc<Workspace>, stream: TcpStream) {
    let answer = service_fn(move |request: Request<Incoming>| {
        let workspace = Arc::clone(&workspace);
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.map_err(|_| Reset)?.to_bytes();
            let path = head.uri.path();
            let method = path.strip_prefix("/api/").unwrap_or(if path.starts_with("/hooks/") {
                "hooks"
            } else {
                path
            });
            let call = Call { method: method.to_owned(), head, body };
            answer(workspace, call).await
        }
    });
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
}

async fn answer(workspace: Arc<Workspace>, call: Call) -> Result<Response<Full<Bytes>>, Reset> {
    workspace.reached(&call.method);
    let Some(fault) = workspace.next_fault(&call.method) else { return Ok(run(&workspace, &call)) };
    let run = || run(&workspace, &call);
    match fault {
        Fault::LosesRequest => Err(Reset),
        Fault::LosesReply => {
            let _ = run();
            Err(Reset)
        }
        Fault::HangsBefore => std::future::pending().await,
        Fault::HangsAfter => {
            let _ = run();
            std::future::pending().await
        }
        Fault::TooMany(seconds) => Ok(busy(Some(seconds.into()))),
        Fault::TooManyUnsaid => Ok(busy(None)),
        Fault::Fails(status) => Ok(failed(status)),
        Fault::FailsAfter(status) => {
            let _ = run();
            Ok(failed(status))
        }
        Fault::Refuses(code) => Ok(json_answer(StatusCode::OK, &json!({ "ok": false, "error": code }))),
        Fault::Garbled => {
            let _ = run();
            Ok(page(StatusCode::OK, "<!DOCTYPE html><title>Slack is having trouble</title>"))
        }
        Fault::Bare => {
            let _ = run();
            Ok(json_answer(StatusCode::OK, &json!({ "ok": true })))
        }
        Fault::Slow(gate) => {
            let answer = run();
            gate.pass().await;
            Ok(answer)
        }
        Fault::Late(gate) => {
            let workspace = Arc::clone(&workspace);
            let done = tokio::spawn(async move {
                gate.pass().await;
                self::run(&workspace, &call)
            });
            done.await.map_err(|_| Reset)
        }
    }
}

fn run(workspace: &Arc<Workspace>, call: &Call) -> Response<Full<Bytes>> {
    let now = workspace.now();
    if let Some(id) = call.head.uri.path().strip_prefix("/hooks/") {
        let taken = workspace.changes(|state| hooks::takes(state, id, &call.body, now));
        return match taken {
            Ok(()) => json_answer(StatusCode::OK, &json!({ "ok": true })),
            Err(NotTaken(status, code)) => {
                json_answer(status_of(status), &json!({ "ok": false, "error": code }))
            }
        };
    }
    let answer = arguments(call).and_then(|asked| {
        workspace.changes(|state| {
            authorized(&state.token, &call.head.headers, &asked)?;
            methods::perform(state, &call.method, &asked, now)
        })
    });
    let scopes: Vec<String> = workspace.state().scopes.iter().cloned().collect();
    let mut response = told(answer, &scopes, &call.head.headers);
    let scopes = HeaderValue::from_str(&scopes.join(",")).expect("a header");
    response.headers_mut().insert(HeaderName::from_static("x-oauth-scopes"), scopes);
    response
}

/// The token in the header, or in the arguments.
fn authorized(token: &str, headers: &HeaderMap, asked: &Arguments) -> Result<(), Refusal> {
    let header = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let shown = header.map(|value| value.strip_prefix("Bearer ").unwrap_or_default());
    match shown.or(asked.text("token")) {
        None => Err(Refusal::Error("not_authed")),
        Some(shown) if shown == token => Ok(()),
        Some(_) => Err(Refusal::Error("invalid_auth")),
    }
}

/// The query, and above it the form or the JSON of the body.
fn arguments(call: &Call) -> Result<Arguments, Refusal> {
    let pairs = |bytes: &[u8]| {
        form_urlencoded::parse(bytes)
            .map(|(name, value)| (name.into_owned(), Value::String(value.into_owned())))
            .collect::<Map<String, Value>>()
    };
    let mut asked = pairs(call.head.uri.query().unwrap_or_default().as_bytes());
    if call.head.method == Method::GET || call.body.is_empty() {
        return Ok(Arguments(asked));
    }
    let kind = content_type(&call.head.headers).ok_or(Refusal::Error("missing_post_type"))?;
    if kind.starts_with("application/x-www-form-urlencoded") {
        asked.extend(pairs(&call.body));
    } else if kind.starts_with("application/json") {
        let read = serde_json::from_slice(&call.body).map_err(|_| Refusal::Error("invalid_json"))?;
        if !FORM_ONLY.contains(&call.method.as_str()) {
            let Value::Object(read) = read else { return Err(Refusal::Error("json_not_object")) };
            asked.extend(read);
        }
    } else {
        return Err(Refusal::Error("invalid_post_type"));
    }
    Ok(Arguments(asked))
}

fn content_type(headers: &HeaderMap) -> Option<&str> {
    headers.get(CONTENT_TYPE)?.to_str().ok()
}

fn told(answer: methods::Answer, scopes: &[String], headers: &HeaderMap) -> Response<Full<Bytes>> {
    let mut body = match answer {
        Ok(body) => body,
        Err(Refusal::Busy(seconds)) => return busy(Some(seconds)),
        Err(Refusal::Error(code)) => json!({ "error": code }),
        Err(Refusal::Scope(needed)) => {
            json!({ "error": "missing_scope", "needed": needed, "provided": scopes.join(",") })
        }
        Err(Refusal::Blocks(faults)) => {
            let messages: Vec<String> = faults.iter().map(|fault| format!("[ERROR] {fault}")).collect();
            json!({ "error": "invalid_blocks", "errors": faults, "response_metadata": { "messages": messages } })
        }
    };
    body["ok"] = body.get("error").is_none().into();
    if content_type(headers).is_some_and(|kind| kind == "application/json") {
        body["warning"] = "missing_charset".into();
        body["response_metadata"]["warnings"] = json!(["missing_charset"]);
    }
    json_answer(StatusCode::OK, &body)
}

fn busy(seconds: Option<u64>) -> Response<Full<Bytes>> {
    let body = json!({ "ok": false, "error": "ratelimited" });
    let mut answer = json_answer(StatusCode::TOO_MANY_REQUESTS, &body);
    if let Some(seconds) = seconds {
        answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    answer
}

fn failed(status: u16) -> Response<Full<Bytes>> {
    page(status_of(status), "<!DOCTYPE html><title>Server Error</title>")
}

fn status_of(status: u16) -> StatusCode {
    StatusCode::from_u16(status).expect("a status")
}

fn page(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    answer
}

fn json_answer(status: StatusCode, body: &Value) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(body.to_string().into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    answer
}
