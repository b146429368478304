//! The wire of the pretend API server: requests come in, are written into the log, meet the faults that tests order, and get
//! their answers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use http_body_util::{BodyExt, Either, Full};
use hyper::body::Incoming;
use hyper::header::{
    AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, RETRY_AFTER, USER_AGENT,
};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};

use super::Cluster;
use super::protobuf;
use super::routes::{self, Asked, Told};
use super::status::Refusal;
use super::watch::{self, Lines};

/// What goes wrong on the wire with one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It does it, and the connection ends without an answer.
    LoseReply,
    /// The connection ends without an answer; nothing is done.
    Reset,
    /// It refuses with this status, and does nothing.
    Refuse(u16),
    /// It refuses with this status, reason and message, as an admission webhook or a quota does.
    Say(u16, &'static str, &'static str),
    /// It does it, and says this status.
    FailAfter(u16),
    /// It never answers, and does nothing.
    Hang,
    /// It does it, and never answers.
    HangAfter,
    /// It does it, and the answer, which tells what was then, comes when answers that wait are let go.
    Late,
    /// It does it, and what comes back is no JSON.
    Garble,
    /// It does it, and what comes back is something else.
    Other,
    /// It does it, and the answer comes a byte at a time.
    Trickle,
    /// It is done twice: a proxy sent it again.
    Twice,
    /// Somewhere else, says a redirect.
    Redirect,
    /// It is done and answered, and nobody listens any more.
    Close,
}

/// A request that came.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) method: String,
    /// With its query.
    pub(crate) path: String,
    pub(crate) content_type: String,
    /// Null where there was none; a text where it is no JSON.
    pub(crate) body: Value,
    pub(crate) user_agent: String,
    /// Whose token came with it; empty: an unknown one.
    pub(crate) user: String,
    /// The status that came back; nought: none did.
    pub(crate) status: u16,
}

type Answered = Either<Full<Bytes>, Lines>;

/// The connection ends without an answer.
#[derive(Debug)]
struct Reset;

impl std::fmt::Display for Reset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("reset")
    }
}

impl std::error::Error for Reset {}

/// Listens on a free port, on a runtime of its own thread, until the test ends.
pub(crate) fn listen(cluster: Arc<Cluster>) -> SocketAddr {
    let (told, address) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            told.send(listener.local_addr().expect("an address")).expect("told");
            while let Ok((stream, _)) = listener.accept().await {
                if cluster.closed.load(Ordering::SeqCst) {
                    break;
                }
                tokio::spawn(serve(cluster.clone(), stream));
            }
            drop(listener);
            // What was answered last is still on its way.
            std::future::pending::<()>().await;
        });
    });
    address.recv().expect("it listens")
}

/// Serves one connection, by TLS or without: the first byte of a handshake tells.
async fn serve(cluster: Arc<Cluster>, stream: TcpStream) {
    let mut first = [0];
    let sealed = matches!(stream.peek(&mut first).await, Ok(1)) && first[0] == 0x16;
    let acceptor = cluster.tls.acceptor.clone();
    let service = service_fn(move |request| answer(cluster.clone(), request));
    let mut wire = hyper::server::conn::http1::Builder::new();
    wire.keep_alive(false);
    if !sealed {
        let _ = wire.serve_connection(TokioIo::new(stream), service).await;
    } else if let Ok(stream) = acceptor.accept(stream).await {
        let _ = wire.serve_connection(TokioIo::new(stream), service).await;
    }
}

async fn answer(cluster: Arc<Cluster>, request: Request<Incoming>) -> Result<Response<Answered>, Reset> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Reset)?.to_bytes();
    let header = |name: HeaderName| {
        head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
    };
    let query = head.uri.query().unwrap_or_default();
    let media = header(CONTENT_TYPE);
    let asked = Asked {
        method: head.method.clone(),
        path: head.uri.path().to_owned(),
        query: form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
        media: media.split(';').next().unwrap_or_default().trim().to_owned(),
        agent: header(USER_AGENT),
        token: header(AUTHORIZATION).strip_prefix("Bearer ").unwrap_or_default().to_owned(),
        body,
    };
    let path = head.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
    let nth = note(&cluster, &asked, path.clone());
    if let Some(first) = cluster.next_interruption(asked.method.as_str(), &path) {
        first(&cluster);
    }
    let run = || {
        let answer = routed(&cluster, &asked);
        cluster.tell(asked.method.as_str(), &path);
        answer
    };
    let answer = match cluster.next_fault(asked.method.as_str(), &path) {
        None => run(),
        Some(Fault::LoseReply) => {
            drop(run());
            return Err(Reset);
        }
        Some(Fault::Reset) => return Err(Reset),
        Some(Fault::Refuse(status)) => refused(&Refusal::troubled(code(status))),
        Some(Fault::Say(status, reason, message)) => refused(&Refusal {
            code: code(status),
            reason,
            message: message.to_owned(),
            details: Value::Null,
        }),
        Some(Fault::FailAfter(status)) => {
            drop(run());
            refused(&Refusal::troubled(code(status)))
        }
        Some(Fault::Hang) => std::future::pending().await,
        Some(Fault::HangAfter) => {
            drop(run());
            std::future::pending().await
        }
        Some(Fault::Late) => {
            let mut gone = cluster.late.subscribe();
            let answer = run();
            let _ = gone.changed().await;
            answer
        }
        Some(Fault::Garble) => {
            drop(run());
            response(StatusCode::OK, "application/json", "{\"kind\": \"Depl".to_owned())
        }
        Some(Fault::Other) => {
            drop(run());
            response(StatusCode::OK, "application/json", "{\"something\": \"else\"}".to_owned())
        }
        Some(Fault::Trickle) => {
            drop(run());
            Response::new(Either::Right(watch::silence()))
        }
        Some(Fault::Twice) => {
            let first = run();
            drop(run());
            first
        }
        Some(Fault::Redirect) => {
            let mut answer = response(StatusCode::TEMPORARY_REDIRECT, "text/plain", String::new());
            answer.headers_mut().insert(LOCATION, HeaderValue::from_str(&cluster.url()).expect("a URL"));
            answer
        }
        Some(Fault::Close) => {
            let answer = run();
            cluster.closed.store(true, Ordering::SeqCst);
            // The loop that accepts is woken once, and ends.
            let address = cluster.address.lock().expect("an address").expect("it listens");
            let _ = TcpStream::connect(address).await;
            answer
        }
    };
    cluster.calls.lock().expect("the calls")[nth].status = answer.status().as_u16();
    Ok(answer)
}

/// Writes a request into the log, and says where.
fn note(cluster: &Cluster, asked: &Asked, path: String) -> usize {
    let body = if asked.body.is_empty() {
        Value::Null
    } else if asked.media == protobuf::MEDIA {
        protobuf::read(&asked.body).unwrap_or_default()
    } else {
        let text = || Value::String(String::from_utf8_lossy(&asked.body).into_owned());
        serde_json::from_slice(&asked.body).unwrap_or_else(|_| text())
    };
    let user = cluster.rights().user(&asked.token).unwrap_or_default().to_owned();
    let mut calls = cluster.calls.lock().expect("the calls");
    calls.push(Call {
        method: asked.method.to_string(),
        path,
        content_type: asked.media.clone(),
        body,
        user_agent: asked.agent.clone(),
        user,
        status: 0,
    });
    calls.len() - 1
}

fn routed(cluster: &Arc<Cluster>, asked: &Asked) -> Response<Answered> {
    let told = {
        let rights = cluster.rights();
        cluster.change(|state| routes::answer(state, &rights, asked))
    };
    match told {
        Ok(Told::Json(status, value)) => response(status, "application/json", value.to_string()),
        Ok(Told::Text(text)) => response(StatusCode::OK, "text/plain", text),
        Ok(Told::Nothing) => response(StatusCode::OK, protobuf::MEDIA, String::new()),
        Ok(Told::Watch(wanted)) => {
            let mut answer = Response::new(Either::Right(watch::open(cluster.clone(), wanted)));
            answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            answer
        }
        Err(refusal) => refused(&refusal),
    }
}

fn code(status: u16) -> StatusCode {
    StatusCode::from_u16(status).expect("a status")
}

fn refused(refusal: &Refusal) -> Response<Answered> {
    let mut answer = response(refusal.code, "application/json", refusal.status().to_string());
    if refusal.code == StatusCode::TOO_MANY_REQUESTS {
        answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    answer
}

fn response(status: StatusCode, media: &'static str, text: String) -> Response<Answered> {
    let mut answer = Response::new(Either::Left(Full::new(text.into())));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media));
    answer
}
