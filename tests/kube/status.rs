//! How the API server says no: `Status` objects with the codes, reasons and words of the genuine one.

use hyper::StatusCode;
use serde_json::{Value, json};

use super::kinds::Kind;

/// A refusal: what a `Status` of failure says.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) code: StatusCode,
    pub(crate) reason: &'static str,
    pub(crate) message: String,
    pub(crate) details: Value,
}

impl Refusal {
    fn about(code: StatusCode, reason: &'static str, kind: &Kind, name: &str, message: String) -> Refusal {
        let mut details = json!({ "name": name, "kind": kind.plural });
        if !kind.group.is_empty() {
            details["group"] = json!(kind.group);
        }
        Refusal { code, reason, message, details }
    }

    fn plain(code: StatusCode, reason: &'static str, message: impl Into<String>) -> Refusal {
        Refusal { code, reason, message: message.into(), details: json!({}) }
    }

    pub(crate) fn not_found(kind: &Kind, name: &str) -> Refusal {
        let message = format!("{} \"{name}\" not found", kind.qualified());
        Refusal::about(StatusCode::NOT_FOUND, "NotFound", kind, name, message)
    }

    pub(crate) fn no_path() -> Refusal {
        Refusal::plain(StatusCode::NOT_FOUND, "NotFound", "the server could not find the requested resource")
    }

    pub(crate) fn exists(kind: &Kind, name: &str) -> Refusal {
        let message = format!("{} \"{name}\" already exists", kind.qualified());
        Refusal::about(StatusCode::CONFLICT, "AlreadyExists", kind, name, message)
    }

    pub(crate) fn conflict(kind: &Kind, name: &str) -> Refusal {
        Refusal::conflicts(
            kind,
            name,
            "the object has been modified; please apply your changes to the latest version and try again",
        )
    }

    pub(crate) fn conflicts(kind: &Kind, name: &str, why: &str) -> Refusal {
        let message = format!("Operation cannot be fulfilled on {} \"{name}\": {why}", kind.qualified());
        Refusal::about(StatusCode::CONFLICT, "Conflict", kind, name, message)
    }

    pub(crate) fn invalid(kind: &Kind, name: &str, field: &str, why: &str) -> Refusal {
        let whole = if kind.group.is_empty() {
            kind.kind.to_owned()
        } else {
            format!("{}.{}", kind.kind, kind.group)
        };
        let message = format!("{whole} \"{name}\" is invalid: {field}: {why}");
        let mut refusal = Refusal::about(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", kind, name, message);
        refusal.details["kind"] = json!(kind.kind);
        refusal.details["causes"] =
            json!([{ "reason": "FieldValueInvalid", "message": why, "field": field }]);
        refusal
    }

    /// What a JSON Patch gets that cannot be applied, a failed `test` included.
    pub(crate) fn unpatchable() -> Refusal {
        Refusal::plain(
            StatusCode::UNPROCESSABLE_ENTITY,
            "Invalid",
            "the server rejected our request due to an error in our request",
        )
    }

    pub(crate) fn bad(message: impl Into<String>) -> Refusal {
        Refusal::plain(StatusCode::BAD_REQUEST, "BadRequest", message)
    }

    pub(crate) fn media(message: impl Into<String>) -> Refusal {
        Refusal::plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType", message)
    }

    pub(crate) fn method() -> Refusal {
        let message = "the server does not allow this method on the requested resource";
        Refusal::plain(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message)
    }

    pub(crate) fn expired(asked: u64, kept: u64) -> Refusal {
        let message = format!("too old resource version: {asked} ({kept})");
        Refusal::plain(StatusCode::GONE, "Expired", message)
    }

    pub(crate) fn unauthorized() -> Refusal {
        Refusal::plain(StatusCode::UNAUTHORIZED, "Unauthorized", "Unauthorized")
    }

    pub(crate) fn forbidden(kind: &Kind, name: &str, why: &str) -> Refusal {
        let named = if name.is_empty() { String::new() } else { format!(" \"{name}\"") };
        let message = format!("{}{named} is forbidden: {why}", kind.qualified());
        Refusal::about(StatusCode::FORBIDDEN, "Forbidden", kind, name, message)
    }

    /// What a server in trouble says.
    pub(crate) fn troubled(code: StatusCode) -> Refusal {
        let (reason, message) = match code.as_u16() {
            429 => {
                ("TooManyRequests", "The server is currently unable to handle the request, try again later")
            }
            503 => ("ServiceUnavailable", "the server is currently unable to handle the request"),
            504 => ("Timeout", "the server was unable to return a response in the time allotted"),
            _ => ("InternalError", "Internal error occurred: something went wrong"),
        };
        let mut refusal = Refusal::plain(code, reason, message);
        if code == StatusCode::TOO_MANY_REQUESTS {
            refusal.details = json!({ "retryAfterSeconds": 1 });
        }
        refusal
    }

    pub(crate) fn status(&self) -> Value {
        json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "reason": self.reason, "details": self.details,
            "code": self.code.as_u16(),
        })
    }
}
