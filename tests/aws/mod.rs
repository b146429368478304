//! A pretend AWS over HTTP: CodeDeploy with the life of its deployments, and as much of Lambda, ECS and ECR as stands
//! behind it. It keeps its own log of what was asked and what took effect: tests judge by that. This file owns the wire
//! and the faults on it; `codedeploy` and `behind` own the state. The shapes are those of the service models that botocore
//! ships; `tests/third_party` drives it with botocore, so that it is no private dialect.

#![allow(dead_code, reason = "each test uses the part of the world that it is about")]

pub(crate) mod behind;
pub(crate) mod codedeploy;

use std::collections::VecDeque;
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

use codedeploy::State;

/// An answer of a pretend service: a body, or a refusal by its type.
pub(crate) type Answer = Result<Value, Refusal>;

/// A service's refusal: its `__type` and its message.
#[derive(Clone, Debug)]
pub(crate) struct Refusal(pub &'static str, pub String);

/// What goes wrong on the wire with one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    /// It answers nothing, and nothing is done.
    HangsBefore,
    /// It does it, and answers nothing.
    HangsAfter,
    /// The connection ends without an answer; nothing is done.
    ResetBefore,
    /// It does it, and the connection ends without an answer.
    ResetAfter,
    /// Too many requests, by HTTP.
    TooMany,
    /// The service's own throttling.
    Throttles,
    /// An internal error; nothing is done.
    FailsBefore,
    /// It does it, and an internal error comes back.
    FailsAfter,
    /// A definite refusal.
    Refuses(&'static str),
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
    /// The credentials were good once.
    Expired,
    /// Nobody listens any more when this was answered: the next connection is refused.
    ClosesAfter,
}

/// How late a pretend service's lists are, and what time it is there.
pub(crate) struct Aws {
    state: Mutex<State>,
    /// Seconds that the test added to the real clock; `None`: the clock stands where the test put it.
    clock: Clock,
    faults: Mutex<VecDeque<(String, Wire)>>,
    /// Every operation that reached it, in order.
    asked: Mutex<Vec<String>>,
    /// The requests of the services that speak JSON, as they came.
    recorded: Mutex<Vec<Value>>,
    /// Who waits for an operation to have reached it.
    waiting: Mutex<Vec<(String, std::sync::mpsc::Sender<()>)>>,
    open: AtomicBool,
    address: Mutex<Option<SocketAddr>>,
}

enum Clock {
    Real,
    /// Milliseconds since 1970.
    Standing(AtomicI64),
}

impl Aws {
    /// A world by the real clock.
    pub(crate) fn real() -> Arc<Aws> {
        Aws::with(Clock::Real)
    }

    /// A world whose clock the test moves.
    pub(crate) fn standing(at: Timestamp) -> Arc<Aws> {
        Aws::with(Clock::Standing(AtomicI64::new(at.as_millisecond())))
    }

    fn with(clock: Clock) -> Arc<Aws> {
        Arc::new(Aws {
            state: Mutex::new(State::default()),
            clock,
            faults: Mutex::default(),
            asked: Mutex::default(),
            recorded: Mutex::default(),
            waiting: Mutex::default(),
            open: AtomicBool::new(true),
            address: Mutex::default(),
        })
    }

    pub(crate) fn now(&self) -> Timestamp {
        match &self.clock {
            #[expect(clippy::disallowed_methods, reason = "a pretend service has a clock of its own")]
            Clock::Real => Timestamp::now(),
            Clock::Standing(millis) => {
                Timestamp::from_millisecond(millis.load(Ordering::SeqCst)).expect("a moment")
            }
        }
    }

    /// Moves a standing clock.
    pub(crate) fn pass(&self, seconds: i64) {
        if let Clock::Standing(millis) = &self.clock {
            millis.fetch_add(seconds * 1000, Ordering::SeqCst);
        }
    }

    /// The state, moved on to now.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.advance(self.now());
        state
    }

    /// The next call of this operation meets this fault.
    pub(crate) fn fault(&self, operation: &str, fault: Wire) {
        self.faults.lock().expect("the faults").push_back((operation.to_owned(), fault));
    }

    /// The requests of the services that speak JSON: target and body.
    pub(crate) fn recorded(&self) -> Vec<Value> {
        self.recorded.lock().expect("what came").clone()
    }

    /// Hears when this operation has reached it and was done, before its answer leaves.
    pub(crate) fn hear(&self, operation: &str) -> std::sync::mpsc::Receiver<()> {
        let (told, heard) = std::sync::mpsc::channel();
        self.waiting.lock().expect("who waits").push((operation.to_owned(), told));
        heard
    }

    fn tell(&self, operation: &str) {
        self.waiting
            .lock()
            .expect("who waits")
            .retain(|(of, told)| of != operation || told.send(()).is_err());
    }

    /// How often this operation reached it.
    pub(crate) fn asked(&self, operation: &str) -> usize {
        self.asked.lock().expect("what was asked").iter().filter(|asked| *asked == operation).count()
    }

    /// Every operation that reached it.
    pub(crate) fn operations(&self) -> Vec<String> {
        self.asked.lock().expect("what was asked").clone()
    }

    /// Requests that change something.
    pub(crate) fn mutations(&self) -> usize {
        self.asked("CreateDeployment") + self.asked("StopDeployment")
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address.lock().expect("an address").expect("it listens"))
    }

    /// Listens on a free port, on a runtime of its own thread, until the test ends.
    pub(crate) fn listen(self: &Arc<Aws>) -> String {
        let (told, address) = std::sync::mpsc::channel();
        let aws = self.clone();
        std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async move {
                let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
                told.send(listener.local_addr().expect("an address")).expect("told");
                aws.serve(listener).await;
                // What was answered last is still on its way.
                std::future::pending::<()>().await;
            });
        });
        *self.address.lock().expect("an address") = Some(address.recv().expect("it listens"));
        self.url()
    }

    async fn serve(self: Arc<Aws>, listener: TcpListener) {
        while let Ok((stream, _)) = listener.accept().await {
            if !self.open.load(Ordering::SeqCst) {
                return;
            }
            let aws = self.clone();
            tokio::spawn(async move {
                let answer = service_fn(move |request| {
                    let aws = aws.clone();
                    async move { aws.answer(request).await }
                });
                let mut wire = hyper::server::conn::http1::Builder::new();
                let _ = wire.keep_alive(false).serve_connection(TokioIo::new(stream), answer).await;
            });
            if !self.open.load(Ordering::SeqCst) {
                return;
            }
        }
    }

    async fn answer(self: Arc<Aws>, request: Request<Incoming>) -> Result<Response<Answered>, Reset> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(|_| Reset)?.to_bytes();
        let target = head.headers.get("x-amz-target").and_then(|target| target.to_str().ok());
        let operation = match target.and_then(|target| target.rsplit_once('.')) {
            Some((_, operation)) => operation.to_owned(),
            None => behind::lambda_operation(&head.method, head.uri.path()),
        };
        self.asked.lock().expect("what was asked").push(operation.clone());
        if !head
            .headers
            .get(AUTHORIZATION)
            .is_some_and(|signed| signed.as_bytes().starts_with(b"AWS4-HMAC-SHA256"))
        {
            return Ok(refused(StatusCode::BAD_REQUEST, "MissingAuthenticationTokenException", "unsigned"));
        }
        let asked: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
        if let Some(target) = target {
            self.recorded.lock().expect("what came").push(json!({ "target": target, "body": asked }));
        }
        let run = || {
            let mut state = self.state();
            let now = self.now();
            match behind::answer(&mut state, &operation, &asked, &head.uri) {
                Some(answer) => answer,
                None => codedeploy::answer(&mut state, &operation, &asked, now),
            }
        };
        match self.next_fault(&operation) {
            Some(fault) => {
                let run = || {
                    let answer = run();
                    self.tell(&operation);
                    answer
                };
                self.faulty(fault, run).await
            }
            None => {
                let answer = run();
                self.tell(&operation);
                Ok(told(answer))
            }
        }
    }

    fn next_fault(&self, operation: &str) -> Option<Wire> {
        let mut faults = self.faults.lock().expect("the faults");
        let nth = faults.iter().position(|(of, _)| of == operation)?;
        faults.remove(nth).map(|(_, fault)| fault)
    }

    async fn faulty(&self, fault: Wire, run: impl Fn() -> Answer) -> Result<Response<Answered>, Reset> {
        match fault {
            Wire::HangsBefore => std::future::pending().await,
            Wire::HangsAfter => {
                let _ = run();
                std::future::pending().await
            }
            Wire::ResetBefore => Err(Reset),
            Wire::ResetAfter => {
                let _ = run();
                Err(Reset)
            }
            Wire::TooMany => {
                let mut answer = refused(StatusCode::TOO_MANY_REQUESTS, "SlowDown", "too many");
                answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("7"));
                Ok(answer)
            }
            Wire::Throttles => Ok(refused(StatusCode::BAD_REQUEST, "ThrottlingException", "Rate exceeded")),
            Wire::FailsBefore => Ok(refused(StatusCode::INTERNAL_SERVER_ERROR, "InternalFailure", "oh")),
            Wire::FailsAfter => {
                let _ = run();
                Ok(refused(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", "oh"))
            }
            Wire::Refuses(kind) => Ok(refused(StatusCode::BAD_REQUEST, kind, "no")),
            Wire::Garbled => {
                let _ = run();
                Ok(body(StatusCode::OK, Bytes::from_static(b"{\"deploymentId\": \"d-")))
            }
            Wire::OtherObject => {
                let _ = run();
                Ok(body(StatusCode::OK, Bytes::from_static(b"{\"something\": \"else\"}")))
            }
            Wire::Trickles => {
                let _ = run();
                Ok(Response::new(Either::Right(Trickle)))
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
            Wire::Expired => Ok(refused(StatusCode::BAD_REQUEST, "ExpiredTokenException", "expired")),
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

type Answered = Either<Full<Bytes>, Trickle>;

/// The connection ends without an answer.
#[derive(Debug)]
pub(crate) struct Reset;

impl std::fmt::Display for Reset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("reset")
    }
}

impl std::error::Error for Reset {}

/// A body of which one byte comes, and then nothing for ever.
pub(crate) struct Trickle;

impl Body for Trickle {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Pending
    }
}

fn told(answer: Answer) -> Response<Answered> {
    match answer {
        Ok(value) => body(StatusCode::OK, value.to_string().into()),
        Err(Refusal(kind, message)) if kind == "ResourceNotFoundException" => {
            refused(StatusCode::NOT_FOUND, kind, &message)
        }
        Err(Refusal(kind, message)) => refused(StatusCode::BAD_REQUEST, kind, &message),
    }
}

fn refused(status: StatusCode, kind: &str, message: &str) -> Response<Answered> {
    let mut answer = body(status, json!({ "__type": kind, "message": message }).to_string().into());
    let kind = HeaderValue::from_str(kind).expect("a header");
    // Lambda says it in a header, the others in the body.
    answer.headers_mut().insert("x-amzn-errortype", kind);
    answer
}

fn body(status: StatusCode, bytes: Bytes) -> Response<Answered> {
    let mut answer = Response::new(Either::Left(Full::new(bytes)));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-amz-json-1.1"));
    answer
}
