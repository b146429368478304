//! Problems: every answer that is not a yes, with its status, its stable name and a sentence for people
//! (RFC 9457). Nothing of the request is ever repeated in one.

use axum::response::{IntoResponse, Response};
use hyper::StatusCode;
use hyper::header::{ALLOW, CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};

use crate::telemetry::label::Refusal;

/// The media type of every problem.
const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("application/problem+json");

/// Seconds after which a refused sender may come again. Alertmanager keeps its own pace; others read it.
const AGAIN_AFTER: HeaderValue = HeaderValue::from_static("5");

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// No such path, or no such source.
    NotFound,
    /// The path takes another method.
    MethodNotAllowed,
    /// Not the content type that this sender uses.
    ContentType,
    /// The body is compressed or otherwise encoded.
    ContentEncoding,
    /// The body is larger than this sender's may be.
    BodyTooLarge,
    /// The body ended before its declared length.
    BodyCut,
    /// No `Content-Length`; chunked bodies are not taken.
    LengthRequired,
    /// No credential, or not the right one, where a bearer token is expected.
    BearerRefused,
    /// No credential, or not the right one, where a name and a password are expected.
    BasicRefused,
    /// No signature, not the right one, or one of another time.
    SignatureRefused,
    /// A message of SNS's that came raw, so that nothing proves it.
    RawDelivery,
    /// No message of SNS's, so that nothing can prove it.
    Unprovable,
    /// A message of SNS's whose topic, certificate or signature is not right.
    SnsRefused,
    /// The certificate that would prove a message of SNS's cannot be had now.
    CertificateAway,
    /// The source's secret is not loaded, so nobody can be told from anybody.
    SecretMissing,
    /// More work is waiting than can be borne.
    Overloaded,
    /// One address holds as many connections as it may.
    TooManyConnections,
    /// The disk said no.
    NotStored,
    /// The server is going down.
    Closing,
    /// The server cannot take deliveries now.
    NotReady,
    /// No rollback of this canary is under way.
    GateClosed,
    /// What the gate is asked cannot be read now.
    GateUnread,
    /// The gate was asked about no release.
    GateQuery,
    /// The answer took too long.
    TooSlow,
    /// The request line is not `METHOD target HTTP/1.1`.
    RequestLine,
    /// Another version than HTTP/1.1.
    Version,
    /// The target is longer than it may be.
    TargetTooLong,
    /// The head is longer than it may be, or has too many lines.
    HeadTooLarge,
    /// A line of the head ends without a carriage return, or holds a stray one.
    LineEnd,
    /// A header line that continues the one before it.
    FoldedHeader,
    /// A header line that is none.
    HeaderLine,
    /// A header that may stand once stands twice.
    DuplicateHeader,
    /// `Content-Length` is no plain number.
    ContentLength,
    /// Both `Content-Length` and `Transfer-Encoding`.
    TwoLengths,
    /// No `Host`.
    Host,
}

impl Problem {
    /// Its status, its stable name and a sentence for people.
    fn facts(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Problem::NotFound => (StatusCode::NOT_FOUND, "not-found", "nothing is here"),
            Problem::MethodNotAllowed => {
                (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "this path takes another method")
            }
            Problem::ContentType => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "content-type",
                "this source sends application/json, and the request says something else",
            ),
            Problem::ContentEncoding => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "content-encoding",
                "bodies are taken as they are, without compression",
            ),
            Problem::BodyTooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "body-too-large",
                "the body is larger than this source's may be; set max_alerts in the sender",
            ),
            Problem::BodyCut => {
                (StatusCode::BAD_REQUEST, "body-cut", "the body ended before its declared length")
            }
            Problem::LengthRequired => (
                StatusCode::LENGTH_REQUIRED,
                "length-required",
                "a request with a body needs Content-Length; Transfer-Encoding is not taken",
            ),
            Problem::BearerRefused => {
                (StatusCode::UNAUTHORIZED, "unauthorized", "a bearer token of this source is needed")
            }
            Problem::BasicRefused => {
                (StatusCode::UNAUTHORIZED, "unauthorized", "the name and password of this source are needed")
            }
            Problem::SignatureRefused => {
                (StatusCode::UNAUTHORIZED, "unauthorized", "the sender's signature over the body is needed")
            }
            Problem::RawDelivery => (
                StatusCode::FORBIDDEN,
                "raw-delivery",
                "raw message delivery carries no signature: switch it off in the subscription",
            ),
            Problem::Unprovable => {
                (StatusCode::BAD_REQUEST, "unprovable", "the body is no signed message of Amazon SNS")
            }
            Problem::SnsRefused => (
                StatusCode::FORBIDDEN,
                "forbidden",
                "the topic, the certificate or the signature of this message is not right",
            ),
            Problem::CertificateAway => (
                StatusCode::SERVICE_UNAVAILABLE,
                "certificate-away",
                "the certificate that proves this message cannot be had now",
            ),
            Problem::SecretMissing => (
                StatusCode::SERVICE_UNAVAILABLE,
                "secret-missing",
                "the secret of this source is not loaded, so the request cannot be checked",
            ),
            Problem::Overloaded => {
                (StatusCode::SERVICE_UNAVAILABLE, "overloaded", "more work is waiting than can be borne")
            }
            Problem::TooManyConnections => (
                StatusCode::SERVICE_UNAVAILABLE,
                "too-many-connections",
                "this address holds as many connections as it may",
            ),
            Problem::NotStored => {
                (StatusCode::SERVICE_UNAVAILABLE, "not-stored", "the delivery could not be written to disk")
            }
            Problem::Closing => (StatusCode::SERVICE_UNAVAILABLE, "closing", "the server is stopping"),
            Problem::NotReady => {
                (StatusCode::SERVICE_UNAVAILABLE, "not-ready", "deliveries cannot be stored now")
            }
            Problem::GateClosed => {
                (StatusCode::CONFLICT, "gate-closed", "no rollback of this canary is under way")
            }
            Problem::GateUnread => {
                (StatusCode::SERVICE_UNAVAILABLE, "gate-unread", "what this asks cannot be read now")
            }
            Problem::GateQuery => (StatusCode::BAD_REQUEST, "query", "ask with ?release=, once"),
            Problem::TooSlow => {
                (StatusCode::SERVICE_UNAVAILABLE, "too-slow", "the request was not done in its time")
            }
            Problem::RequestLine => {
                (StatusCode::BAD_REQUEST, "request-line", "the request line is not METHOD target HTTP/1.1")
            }
            Problem::Version => {
                (StatusCode::HTTP_VERSION_NOT_SUPPORTED, "version", "only HTTP/1.1 is spoken here")
            }
            Problem::TargetTooLong => {
                (StatusCode::URI_TOO_LONG, "target-too-long", "the target is longer than 2 KiB")
            }
            Problem::HeadTooLarge => (
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "head-too-large",
                "the head has more than 64 lines or 16 KiB",
            ),
            Problem::LineEnd => (
                StatusCode::BAD_REQUEST,
                "line-end",
                "every line of a head ends with a carriage return and a line feed, and holds neither",
            ),
            Problem::FoldedHeader => {
                (StatusCode::BAD_REQUEST, "folded-header", "a header line may not continue on the next")
            }
            Problem::HeaderLine => {
                (StatusCode::BAD_REQUEST, "header-line", "a header line is a name, a colon and a value")
            }
            Problem::DuplicateHeader => {
                (StatusCode::BAD_REQUEST, "duplicate-header", "a header that may stand once stands twice")
            }
            Problem::ContentLength => {
                (StatusCode::BAD_REQUEST, "content-length", "Content-Length is not one plain number")
            }
            Problem::TwoLengths => (
                StatusCode::BAD_REQUEST,
                "two-lengths",
                "Content-Length and Transfer-Encoding contradict each other",
            ),
            Problem::Host => (StatusCode::BAD_REQUEST, "host", "HTTP/1.1 needs a Host header"),
        }
    }

    /// Its stable name: the last part of its `type`.
    pub fn name(self) -> &'static str {
        self.facts().1
    }

    /// The reason under which a refused delivery of a known source is counted. `None`: it is said before a source is known.
    pub(super) fn refusal(self) -> Option<Refusal> {
        match self {
            Problem::ContentType | Problem::ContentEncoding | Problem::LengthRequired => Some(Refusal::Head),
            Problem::BodyTooLarge => Some(Refusal::BodyTooLarge),
            Problem::BodyCut => Some(Refusal::BodyCut),
            Problem::BearerRefused
            | Problem::BasicRefused
            | Problem::SignatureRefused
            | Problem::RawDelivery
            | Problem::Unprovable
            | Problem::SnsRefused => Some(Refusal::Unauthorized),
            Problem::CertificateAway => Some(Refusal::CertificateAway),
            Problem::SecretMissing => Some(Refusal::SecretMissing),
            Problem::Overloaded => Some(Refusal::Overloaded),
            Problem::NotStored => Some(Refusal::NotStored),
            Problem::Closing => Some(Refusal::Closing),
            Problem::NotFound
            | Problem::MethodNotAllowed
            | Problem::TooManyConnections
            | Problem::NotReady
            | Problem::GateClosed
            | Problem::GateUnread
            | Problem::GateQuery
            | Problem::TooSlow
            | Problem::RequestLine
            | Problem::Version
            | Problem::TargetTooLong
            | Problem::HeadTooLarge
            | Problem::LineEnd
            | Problem::FoldedHeader
            | Problem::HeaderLine
            | Problem::DuplicateHeader
            | Problem::ContentLength
            | Problem::TwoLengths
            | Problem::Host => None,
        }
    }

    /// The answer as JSON.
    fn body(self) -> String {
        let (status, name, title) = self.facts();
        let status = status.as_u16();
        // Names and titles are our own and hold nothing that JSON escapes.
        format!(r#"{{"type":"urn:snapback:problem:{name}","title":"{title}","status":{status}}}"#)
    }

    /// The answer as bytes, for a connection that is turned away before anything was read from it.
    pub(super) fn raw(self) -> String {
        let (status, body) = (self.facts().0, self.body());
        format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/problem+json\r\nContent-Length: {}\r\n\
             Retry-After: 5\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.facts().0;
        let mut answer = (status, self.body()).into_response();
        let headers = answer.headers_mut();
        headers.insert(CONTENT_TYPE, MEDIA_TYPE);
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, AGAIN_AFTER);
        }
        if self == Problem::BearerRefused {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"snapback\""));
        }
        if self == Problem::BasicRefused {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"snapback\""));
        }
        if self == Problem::TooSlow {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        answer
    }
}

/// What a path answers to a method that it does not take: never a success and never a redirection, because
/// Alertmanager follows a redirection with a GET and takes any 2xx to that for a delivery.
pub(super) fn wrong_method(allowed: &'static str) -> Response {
    let mut answer = Problem::MethodNotAllowed.into_response();
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    answer
}
