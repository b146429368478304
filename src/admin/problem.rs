//! What the admin routes answer when they do not answer: `application/problem+json` (RFC 9457) with stable types.

use axum::response::{IntoResponse, Response};
use hyper::StatusCode;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};

/// Why a request is not answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// No such route.
    #[error("nothing is here")]
    NoRoute,
    /// No such case.
    #[error("no case {0} is known")]
    NoCase(String),
    /// The case was never judged.
    #[error("case {0} was not judged yet, so there is nothing to explain")]
    NotJudged(String),
    /// No such service.
    #[error("no service {0} is configured or known; write it as name@environment")]
    NoService(String),
    /// A parameter of the query that is unknown or does not parse.
    #[error("the query cannot be read: {0}")]
    Query(String),
    /// The route takes another method; which ones it takes.
    #[error("this path takes {0}")]
    Method(&'static str),
    /// A body that cannot be read.
    #[error("the body cannot be read: {0}")]
    Body(String),
    /// A body beyond the limit.
    #[error("the body is longer than 64 KiB")]
    TooLarge,
    /// Whoever asks may not.
    #[error("{0}")]
    Forbidden(String),
    /// It cannot be done as things stand.
    #[error("{0}")]
    Conflict(String),
    /// A token is needed, and none that is known was shown.
    #[error("a bearer token of [tokens] is needed")]
    Token,
    /// Without tokens only this machine may read.
    #[error("without [tokens] in the configuration only this machine may read here")]
    Remote,
    /// The request names another host: somebody's page may be using this browser.
    #[error("this host name is not ours: use localhost, or set server.public_url")]
    Host,
    /// The store cannot be read now.
    #[error("the store cannot be read now")]
    Store,
    /// Deliveries cannot be stored now.
    #[error("deliveries cannot be stored now")]
    NotReady,
}

impl Problem {
    /// Its stable name: the last part of its `type`.
    pub fn name(&self) -> &'static str {
        self.facts().1
    }

    fn facts(&self) -> (StatusCode, &'static str) {
        match self {
            Problem::NoRoute => (StatusCode::NOT_FOUND, "not-found"),
            Problem::NoCase(_) => (StatusCode::NOT_FOUND, "no-such-case"),
            Problem::NotJudged(_) => (StatusCode::NOT_FOUND, "not-judged"),
            Problem::NoService(_) => (StatusCode::NOT_FOUND, "no-such-service"),
            Problem::Query(_) => (StatusCode::BAD_REQUEST, "query"),
            Problem::Method(_) => (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed"),
            Problem::Body(_) => (StatusCode::BAD_REQUEST, "body"),
            Problem::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "body-too-large"),
            Problem::Forbidden(_) => (StatusCode::FORBIDDEN, "forbidden"),
            Problem::Conflict(_) => (StatusCode::CONFLICT, "conflict"),
            Problem::Token => (StatusCode::UNAUTHORIZED, "unauthorized"),
            Problem::Remote => (StatusCode::FORBIDDEN, "loopback-only"),
            Problem::Host => (StatusCode::FORBIDDEN, "host"),
            Problem::Store => (StatusCode::SERVICE_UNAVAILABLE, "store"),
            Problem::NotReady => (StatusCode::SERVICE_UNAVAILABLE, "not-ready"),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, name) = self.facts();
        let body = serde_json::json!({
            "type": format!("urn:snapback:problem:{name}"),
            "title": self.to_string(),
            "status": status.as_u16(),
        });
        let mut answer = (status, body.to_string()).into_response();
        let headers = answer.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self == Problem::Token {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"snapback\""));
        }
        if let Problem::Method(takes) = self {
            headers.insert(ALLOW, HeaderValue::from_static(takes));
        }
        answer
    }
}
