//! The wire of a pretend service: requests come in over HTTP, are written into a log, meet the faults that tests order, and get what the
//! service answers. Leaves to the service what it knows and does.

#![allow(dead_code, reason = "shared by services and tests that each use a part")]

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt};
use http_body_util::{BodyExt, Either, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, RETRY_AFTER};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};

/// What goes wrong with one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It does it, and the connection ends without an answer.
    LoseReply,
    /// It refuses with this status and message, and does nothing.
    Refuse(u16, &'static str),
    /// It does it, and says this status.
    FailAfter(u16),
    /// It never answers, and does nothing.
    Hang,
    /// It does it, and never answers.
    HangAfter,
    /// It does it, and what comes back is no JSON.
    Garble,
    /// It does it, and what comes back is something else.
    Other,
    /// It does it, and of the answer only the beginning comes.
    Trickle,
    /// It is done twice: a proxy sent it again.
    Twice,
    /// Somewhere else, says a redirect.
    Redirect,
    /// It is done and answered, and nobody listens any more.
    Close,
}

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: BTreeMap<String, String>,
    /// The bearer token.
    pub(crate) token: String,
    /// Every header, by its name in small letters.
    pub(crate) headers: BTreeMap<String, String>,
    /// Null where there was none.
    pub(crate) body: Value,
}

impl Asked {
    /// What is known already: the `ETag` of an answer.
    pub(crate) fn known(&self) -> &str {
        self.headers.get("if-none-match").map_or("", String::as_str)
    }
}

/// An answer.
pub(crate) enum Answer {
    Json(u16, Value),
    /// With these heads, and no body where there is none.
    Headed(u16, Vec<(&'static str, String)>, Option<Value>),
    /// A line now, and one at each change.
    Lines(tokio::sync::watch::Receiver<u64>, Arc<dyn Fn() -> String + Send + Sync>),
}

/// A pretend service.
pub(crate) trait Service: Send + Sync + 'static {
    fn wire(&self) -> &Wire;
    fn answer(self: &Arc<Self>, asked: &Asked) -> Answer;
}

/// What came over the wire, and what is to happen there.
#[derive(Default)]
pub(crate) struct Wire {
    faults: Mutex<VecDeque<(Method, String, Fault)>>,
    later: Mutex<Vec<(Method, String, usize, Fault)>>,
    before: Mutex<Vec<(Method, String, First)>>,
    waiting: Mutex<Vec<(Method, String, std::sync::mpsc::Sender<()>)>>,
    calls: Mutex<Vec<Asked>>,
    closed: AtomicBool,
    address: Mutex<Option<SocketAddr>>,
}

type First = Box<dyn FnOnce() + Send>;

impl Wire {
    /// The next request of this method whose path holds this part meets this fault.
    pub(crate) fn fault(&self, method: Method, part: &str, fault: Fault) {
        self.faults.lock().expect("the faults").push_back((method, part.to_owned(), fault));
    }

    /// The next such request but so many meets this fault.
    pub(crate) fn fault_after(&self, method: Method, part: &str, others: usize, fault: Fault) {
        self.later.lock().expect("the faults to come").push((method, part.to_owned(), others, fault));
    }

    /// Does this in the moment before the next such request: somebody was quicker.
    pub(crate) fn before(&self, method: Method, part: &str, first: impl FnOnce() + Send + 'static) {
        self.before.lock().expect("what comes before").push((method, part.to_owned(), Box::new(first)));
    }

    /// Hears when such a request was done, before its answer leaves.
    pub(crate) fn hear(&self, method: Method, part: &str) -> std::sync::mpsc::Receiver<()> {
        let (told, heard) = std::sync::mpsc::channel();
        self.waiting.lock().expect("who waits").push((method, part.to_owned(), told));
        heard
    }

    /// The requests so far.
    pub(crate) fn calls(&self) -> Vec<Asked> {
        self.calls.lock().expect("the calls").clone()
    }

    /// Those that would change something.
    pub(crate) fn writes(&self) -> Vec<Asked> {
        self.calls().into_iter().filter(|call| call.method != Method::GET).collect()
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address.lock().expect("an address").expect("it listens"))
    }

    fn tell(&self, asked: &Asked) {
        let is_it =
            |(method, part, _): &(Method, String, _)| *method == asked.method && asked.path.contains(part);
        let mut waiting = self.waiting.lock().expect("who waits");
        while let Some(nth) = waiting.iter().position(is_it) {
            let _ = waiting.remove(nth).2.send(());
        }
    }

    fn next_fault(&self, asked: &Asked) -> Option<Fault> {
        let mut later = self.later.lock().expect("the faults to come");
        for (method, part, others, fault) in later.iter_mut() {
            if *method == asked.method && asked.path.contains(part.as_str()) && *others == 0 {
                self.faults.lock().expect("the faults").push_back((method.clone(), part.clone(), *fault));
            }
            *others = others.wrapping_sub(1);
        }
        later.retain(|(.., others, _)| *others != usize::MAX);
        drop(later);
        let mut faults = self.faults.lock().expect("the faults");
        let is_it = |(method, part, _): &(Method, String, Fault)| {
            *method == asked.method && asked.path.contains(part)
        };
        let nth = faults.iter().position(is_it)?;
        faults.remove(nth).map(|(.., fault)| fault)
    }

    fn next_before(&self, asked: &Asked) -> Option<First> {
        let mut all = self.before.lock().expect("what comes before");
        let is_it = |(method, part, _): &(Method, String, First)| {
            *method == asked.method && asked.path.contains(part)
        };
        let nth = all.iter().position(is_it)?;
        Some(all.remove(nth).2)
    }
}

/// Listens on a free port, on a runtime of its own thread, until the test ends.
pub(crate) fn listen<S: Service>(service: &Arc<S>) {
    let service = service.clone();
    let (told, heard) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            *service.wire().address.lock().expect("an address") =
                Some(listener.local_addr().expect("an address"));
            told.send(()).expect("told");
            while let Ok((stream, _)) = listener.accept().await {
                if service.wire().closed.load(Ordering::SeqCst) {
                    break;
                }
                tokio::spawn(serve(service.clone(), stream));
            }
            drop(listener);
            // What was answered last is still on its way.
            std::future::pending::<()>().await;
        });
    });
    heard.recv().expect("it listens");
}

async fn serve<S: Service>(service: Arc<S>, stream: TcpStream) {
    let answers = service_fn(move |request| answer(service.clone(), request));
    let mut wire = hyper::server::conn::http1::Builder::new();
    wire.keep_alive(false);
    let _ = wire.serve_connection(TokioIo::new(stream), answers).await;
}

type Answered = Response<Either<Full<Bytes>, StreamBody<BoxStream<'static, Result<Frame<Bytes>, Reset>>>>>;

/// The connection ends without an answer.
#[derive(Debug)]
pub(crate) struct Reset;

impl std::fmt::Display for Reset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("reset")
    }
}

impl std::error::Error for Reset {}

async fn answer<S: Service>(service: Arc<S>, request: Request<Incoming>) -> Result<Answered, Reset> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Reset)?.to_bytes();
    let header = |name: HeaderName| {
        head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
    };
    let query = head.uri.query().unwrap_or_default();
    let asked = Asked {
        method: head.method.clone(),
        path: head.uri.path().to_owned(),
        query: form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
        headers: named(&head.headers),
        token: header(AUTHORIZATION).strip_prefix("Bearer ").unwrap_or_default().to_owned(),
        body: serde_json::from_slice(&body).unwrap_or_default(),
    };
    let wire = service.wire();
    wire.calls.lock().expect("the calls").push(asked.clone());
    if let Some(first) = wire.next_before(&asked) {
        first();
    }
    let run = || {
        let told = service.answer(&asked);
        wire.tell(&asked);
        response(told)
    };
    Ok(match wire.next_fault(&asked) {
        None => run(),
        Some(Fault::LoseReply) => {
            drop(run());
            return Err(Reset);
        }
        Some(Fault::Refuse(status, message)) => refused(status, message),
        Some(Fault::FailAfter(status)) => {
            drop(run());
            refused(status, "")
        }
        Some(Fault::Hang) => std::future::pending().await,
        Some(Fault::HangAfter) => {
            drop(run());
            std::future::pending().await
        }
        Some(Fault::Garble) => {
            drop(run());
            text(200, "{\"metadata\": {\"na".to_owned())
        }
        Some(Fault::Other) => {
            drop(run());
            response(Answer::Json(200, json!({ "something": "else" })))
        }
        Some(Fault::Trickle) => {
            drop(run());
            let begins = futures_util::stream::once(async { Ok(Frame::data(Bytes::from_static(b"{"))) });
            let body = begins.chain(futures_util::stream::pending()).boxed();
            Response::new(Either::Right(StreamBody::new(body)))
        }
        Some(Fault::Twice) => {
            let first = run();
            drop(run());
            first
        }
        Some(Fault::Redirect) => {
            let mut answer = text(307, String::new());
            let elsewhere = HeaderValue::from_str(&wire.url()).expect("a URL");
            answer.headers_mut().insert(LOCATION, elsewhere);
            answer
        }
        Some(Fault::Close) => {
            let answer = run();
            wire.closed.store(true, Ordering::SeqCst);
            // The loop that accepts is woken once, and ends.
            let address = wire.address.lock().expect("an address").expect("it listens");
            let _ = TcpStream::connect(address).await;
            answer
        }
    })
}

/// The headers of a request that are text.
fn named(headers: &hyper::HeaderMap) -> BTreeMap<String, String> {
    let texts =
        headers.iter().filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())));
    texts.collect()
}

fn refused(status: u16, message: &str) -> Answered {
    let mut answer = response(Answer::Json(status, json!({ "message": message })));
    if status == 429 {
        answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    answer
}

fn response(told: Answer) -> Answered {
    match told {
        Answer::Json(status, value) => text(status, value.to_string()),
        Answer::Headed(status, heads, value) => {
            let mut answer = text(status, value.as_ref().map_or_else(String::new, Value::to_string));
            if value.is_none() {
                answer.headers_mut().remove(CONTENT_TYPE);
            }
            for (name, value) in heads {
                answer.headers_mut().insert(name, HeaderValue::from_str(&value).expect("a head"));
            }
            answer
        }
        Answer::Lines(changed, line) => {
            let lines = futures_util::stream::unfold(
                (changed, line, true),
                |(mut changed, line, first)| async move {
                    if !first {
                        changed.changed().await.ok()?;
                    }
                    let told = Ok(Frame::data(Bytes::from(line() + "\n")));
                    Some((told, (changed, line, false)))
                },
            );
            Response::new(Either::Right(StreamBody::new(lines.boxed())))
        }
    }
}

fn text(status: u16, text: String) -> Answered {
    let mut answer = Response::new(Either::Left(Full::new(text.into())));
    *answer.status_mut() = StatusCode::from_u16(status).expect("a status");
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}
