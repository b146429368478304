//! A pretend Kubernetes API over HTTP, with the controllers of Deployments, StatefulSets and DaemonSets. It keeps its own log of what
//! was asked: tests judge by that. This file owns the wire, who may do what, and the faults; `store` owns the objects and
//! `workloads` the controllers. `tests/kubernetes_cluster.rs` drives it with the real kubectl, so that it is no private dialect.

#![allow(dead_code, reason = "each test uses the part of the world that it is about")]

pub(crate) mod store;
pub(crate) mod workloads;

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::{BodyExt, Either, Full};
use hyper::body::{Body, Frame, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, LOCATION, RETRY_AFTER};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use snapback::case::id::Timestamp;
use tokio::net::TcpListener;

use store::{Asked, Refusal, Store, Watched};

/// The token of whoever may do everything.
pub(crate) const ADMIN: &str = "token-of-admin";
/// The token of Snapback in tests; it may do everything but what a test takes away.
pub(crate) const OURS: &str = "token-of-snapback";

/// What goes wrong on the wire with one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    /// It answers nothing, and nothing is done.
    HangsBefore,
    /// It does it, and answers nothing.
    HangsAfter,
    /// It does it, and the connection ends without an answer.
    ResetAfter,
    /// Too many requests: turned away before anything looks at it.
    TooMany,
    /// An internal error; nothing is done.
    FailsBefore,
    /// It does it, and an internal error comes back.
    FailsAfter,
    /// A definite refusal.
    Refuses,
    /// It does it, and what comes back is no JSON.
    Garbled,
    /// It does it, and what comes back is something else.
    OtherObject,
    /// It does it, and the answer comes a byte at a time.
    Trickles,
    /// It is done twice: a proxy sent it again.
    Twice,
    /// Somewhere else, says a redirect.
    Redirects,
    /// The token was good once.
    Expired,
    /// Nobody listens any more when this was answered: the next connection is refused.
    ClosesAfter,
    /// It is answered, and an autoscaler scales every Deployment.
    Scales,
}

pub(crate) struct Cluster {
    store: Mutex<Store>,
    clock: Clock,
    faults: Mutex<VecDeque<(String, Wire)>>,
    asked: Mutex<Vec<String>>,
    waiting: Mutex<Vec<(String, std::sync::mpsc::Sender<()>)>>,
    open: AtomicBool,
    address: Mutex<Option<SocketAddr>>,
}

enum Clock {
    /// So many seconds behind the real clock.
    Real(AtomicI64),
    /// Milliseconds since 1970.
    Standing(AtomicI64),
}

impl Cluster {
    /// A world by the real clock.
    pub(crate) fn real() -> Arc<Cluster> {
        Cluster::with(Clock::Real(AtomicI64::new(0)))
    }

    /// A world whose clock the test moves.
    pub(crate) fn standing(at: Timestamp) -> Arc<Cluster> {
        Cluster::with(Clock::Standing(AtomicI64::new(at.as_millisecond())))
    }

    fn with(clock: Clock) -> Arc<Cluster> {
        Arc::new(Cluster {
            store: Mutex::new(Store::default()),
            clock,
            faults: Mutex::default(),
            asked: Mutex::default(),
            waiting: Mutex::default(),
            open: AtomicBool::new(true),
            address: Mutex::default(),
        })
    }

    pub(crate) fn now(&self) -> Timestamp {
        match &self.clock {
            #[expect(clippy::disallowed_methods, reason = "a pretend service has a clock of its own")]
            Clock::Real(behind) => {
                Timestamp::now() - snapback::case::id::Duration::from_secs(behind.load(Ordering::SeqCst))
            }
            Clock::Standing(millis) => {
                Timestamp::from_millisecond(millis.load(Ordering::SeqCst)).expect("a moment")
            }
        }
    }

    /// Lets a real clock be so many seconds behind: what is done now was done then.
    pub(crate) fn was(&self, seconds_ago: i64) {
        if let Clock::Real(behind) = &self.clock {
            behind.store(seconds_ago, Ordering::SeqCst);
        }
    }

    /// Moves a standing clock.
    pub(crate) fn pass(&self, seconds: i64) {
        if let Clock::Standing(millis) = &self.clock {
            millis.fetch_add(seconds * 1000, Ordering::SeqCst);
        }
    }

    /// The objects, moved on to now.
    pub(crate) fn store(&self) -> MutexGuard<'_, Store> {
        let mut store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        store.advance(self.now());
        store
    }

    /// The next request whose method and path hold this meets the fault, such as `PATCH deployments`.
    pub(crate) fn fault(&self, request: &str, fault: Wire) {
        self.faults.lock().expect("the faults").push_back((request.to_owned(), fault));
    }

    /// Hears when a request that holds this was done, before its answer leaves.
    pub(crate) fn hear(&self, request: &str) -> std::sync::mpsc::Receiver<()> {
        let (told, heard) = std::sync::mpsc::channel();
        self.waiting.lock().expect("who waits").push((request.to_owned(), told));
        heard
    }

    /// Every request that reached it: method and path with its query.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("what was asked").clone()
    }

    /// Requests of Snapback's that change something.
    pub(crate) fn mutations(&self) -> usize {
        let is_one = |asked: &&String| asked.starts_with("PATCH") && !asked.contains("dryRun");
        self.asked().iter().filter(is_one).count()
    }

    /// Somebody writes an object: it is made, or replaced.
    pub(crate) fn apply(&self, resource: &str, object: &Value) {
        let now = self.now();
        let mut store = self.store();
        store.put(resource, object.clone(), "kubectl", now);
        store.advance(now);
    }

    /// An object, as it stands.
    pub(crate) fn object(&self, resource: &str, namespace: &str, name: &str) -> Value {
        let store = self.store();
        store.get(resource, namespace, name).cloned().unwrap_or(Value::Null)
    }

    /// Somebody changes an object.
    pub(crate) fn change(
        &self,
        resource: &str,
        namespace: &str,
        name: &str,
        change: impl FnOnce(&mut Value),
    ) {
        let now = self.now();
        let mut store = self.store();
        let mut object = store.get(resource, namespace, name).cloned().expect("the object");
        change(&mut object);
        store.put(resource, object, "kubectl", now);
        store.advance(now);
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address.lock().expect("an address").expect("it listens"))
    }

    /// What kubectl reads to come here as this token's owner.
    pub(crate) fn kubeconfig(&self, token: &str) -> String {
        kubeconfig(&self.url(), token)
    }

    /// Listens on a free port, on a runtime of its own thread, until the test ends.
    pub(crate) fn listen(self: &Arc<Cluster>) -> String {
        let (told, address) = std::sync::mpsc::channel();
        let cluster = self.clone();
        std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async move {
                let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
                told.send(listener.local_addr().expect("an address")).expect("told");
                cluster.serve(listener).await;
                // What was answered last is still on its way.
                std::future::pending::<()>().await;
            });
        });
        *self.address.lock().expect("an address") = Some(address.recv().expect("it listens"));
        self.url()
    }

    async fn serve(self: Arc<Cluster>, listener: TcpListener) {
        while let Ok((stream, _)) = listener.accept().await {
            if !self.open.load(Ordering::SeqCst) {
                return;
            }
            let cluster = self.clone();
            tokio::spawn(async move {
                let answer = service_fn(move |request| {
                    let cluster = cluster.clone();
                    async move { cluster.answer(request).await }
                });
                let mut wire = hyper::server::conn::http1::Builder::new();
                let _ = wire.keep_alive(false).serve_connection(TokioIo::new(stream), answer).await;
            });
        }
    }

    async fn answer(self: Arc<Cluster>, request: Request<Incoming>) -> Result<Response<Answered>, Reset> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(|_| Reset)?.to_bytes();
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        let asked = format!("{} {path}", head.method);
        self.asked.lock().expect("what was asked").push(asked.clone());
        let shown = head.headers.get(AUTHORIZATION).and_then(|shown| shown.to_str().ok());
        // kubectl shows no token without TLS.
        let token = shown.and_then(|shown| shown.strip_prefix("Bearer ")).unwrap_or(ADMIN).to_owned();
        let kind = head.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let request = Asked {
            method: head.method.as_str().to_owned(),
            path: head.uri.path().to_owned(),
            query: form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes())
                .into_owned()
                .collect(),
            kind: kind.split(';').next().unwrap_or_default().to_owned(),
            body: serde_json::from_slice(&body).unwrap_or(Value::Null),
            token,
        };
        if request.query.get("watch").is_some_and(|watch| watch == "1" || watch == "true") {
            return Ok(self.watch(request));
        }
        let run = || {
            let now = self.now();
            let answer = self.store().answer(&request, now);
            self.store().advance(now);
            self.tell(&asked);
            answer
        };
        match self.next_fault(&asked) {
            Some(fault) => self.faulty(fault, run).await,
            None => Ok(told(run())),
        }
    }

    /// Events as they come, a line each, until the client leaves or its time is over.
    fn watch(self: Arc<Cluster>, request: Asked) -> Response<Answered> {
        let seconds =
            request.query.get("timeoutSeconds").and_then(|seconds| seconds.parse().ok()).unwrap_or(300);
        let until = self.now() + snapback::case::id::Duration::from_secs(seconds);
        let watched = match self.store().watch(&request) {
            Ok(watched) => watched,
            Err(refusal) => return told(Err(refusal)),
        };
        let mut answer =
            Response::new(Either::Right(Lines { cluster: Some(self), watched, until, beat: beat() }));
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        answer
    }

    fn tell(&self, asked: &str) {
        let mut waiting = self.waiting.lock().expect("who waits");
        waiting.retain(|(of, told)| !holds(asked, of) || told.send(()).is_err());
    }

    fn next_fault(&self, asked: &str) -> Option<Wire> {
        let mut faults = self.faults.lock().expect("the faults");
        let nth = faults.iter().position(|(of, _)| holds(asked, of))?;
        faults.remove(nth).map(|(_, fault)| fault)
    }

    async fn faulty(
        &self,
        fault: Wire,
        run: impl Fn() -> Result<(StatusCode, Value), Refusal>,
    ) -> Result<Response<Answered>, Reset> {
        match fault {
            Wire::HangsBefore => std::future::pending().await,
            Wire::HangsAfter => {
                let _ = run();
                std::future::pending().await
            }
            Wire::ResetAfter => {
                let _ = run();
                Err(Reset)
            }
            Wire::TooMany => {
                let refusal =
                    Refusal::new(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests", "too many requests");
                let mut answer = told(Err(refusal));
                answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("7"));
                Ok(answer)
            }
            Wire::FailsBefore => Ok(told(Err(internal()))),
            Wire::FailsAfter => {
                let _ = run();
                Ok(told(Err(internal())))
            }
            Wire::Refuses => Ok(told(Err(Refusal::new(StatusCode::BAD_REQUEST, "BadRequest", "no")))),
            Wire::Garbled => {
                let _ = run();
                Ok(body(StatusCode::OK, Bytes::from_static(b"{\"metadata\": ")))
            }
            Wire::OtherObject => {
                let _ = run();
                Ok(body(StatusCode::OK, Bytes::from_static(b"{\"something\": \"else\"}")))
            }
            Wire::Trickles => {
                let _ = run();
                Ok(Response::new(Either::Right(Lines::never())))
            }
            Wire::Twice => {
                let first = run();
                let _ = run();
                Ok(told(first))
            }
            Wire::Redirects => {
                let mut answer = body(StatusCode::TEMPORARY_REDIRECT, Bytes::new());
                answer.headers_mut().insert(LOCATION, HeaderValue::from_str(&self.url()).expect("a URL"));
                Ok(answer)
            }
            Wire::Expired => {
                Ok(told(Err(Refusal::new(StatusCode::UNAUTHORIZED, "Unauthorized", "Unauthorized"))))
            }
            Wire::Scales => {
                let answer = run();
                let deployments = self.store().all("deployments");
                for mut deployment in deployments {
                    deployment["spec"]["replicas"] = 5.into();
                    self.apply("deployments", &deployment);
                }
                Ok(told(answer))
            }
            Wire::ClosesAfter => {
                let answer = run();
                self.open.store(false, Ordering::SeqCst);
                // The loop that accepts is woken once, and ends.
                let address = self.address.lock().expect("an address").expect("it listens");
                let _ = tokio::net::TcpStream::connect(address).await;
                Ok(told(answer))
            }
        }
    }
}

/// Whether a request holds each of these words.
fn holds(asked: &str, words: &str) -> bool {
    words.split(' ').all(|word| asked.contains(word))
}

fn internal() -> Refusal {
    Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", "Internal error occurred: etcd is away")
}

pub(crate) fn kubeconfig(url: &str, token: &str) -> String {
    let value = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "here",
        "clusters": [{ "name": "here", "cluster": { "server": url } }],
        "users": [{ "name": "me", "user": { "token": token } }],
        "contexts": [{ "name": "here", "context": { "cluster": "here", "user": "me", "namespace": "shop" } }],
    });
    // JSON is YAML.
    value.to_string()
}

type Answered = Either<Full<Bytes>, Lines>;

/// The connection ends without an answer.
#[derive(Debug)]
pub(crate) struct Reset;

impl std::fmt::Display for Reset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("reset")
    }
}

impl std::error::Error for Reset {}

/// A body of lines as events happen; without a cluster nothing ever comes.
pub(crate) struct Lines {
    cluster: Option<Arc<Cluster>>,
    watched: Watched,
    until: Timestamp,
    beat: tokio::time::Interval,
}

#[expect(clippy::disallowed_methods, reason = "a pretend service has a clock of its own")]
fn beat() -> tokio::time::Interval {
    tokio::time::interval(std::time::Duration::from_millis(20))
}

impl Lines {
    fn never() -> Lines {
        Lines { cluster: None, watched: Watched::default(), until: Timestamp::MAX, beat: beat() }
    }
}

impl Body for Lines {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = &mut *self;
        let Some(cluster) = &this.cluster else { return Poll::Pending };
        loop {
            let lines = cluster.store().events(&mut this.watched);
            if !lines.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(lines.into()))));
            }
            if this.watched.is_over || cluster.now() >= this.until {
                return Poll::Ready(None);
            }
            if this.beat.poll_tick(context).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

fn told(answer: Result<(StatusCode, Value), Refusal>) -> Response<Answered> {
    match answer {
        // The API says so where a log is read.
        Ok((status, Value::String(text))) => body(status, text.into()),
        Ok((status, value)) => body(status, value.to_string().into()),
        Err(refusal) => body(refusal.status, refusal.json().to_string().into()),
    }
}

fn body(status: StatusCode, bytes: Bytes) -> Response<Answered> {
    let mut answer = Response::new(Either::Left(Full::new(bytes)));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

/// Names of things by their labels, as a test writes them.
pub(crate) type Pairs = BTreeMap<String, String>;
