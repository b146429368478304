//! The gate's door: a pipeline asks whether a release may go out. Leaves to whoever knows the ledger what the answer is, and who may ask.

use std::pin::Pin;
use std::sync::Arc;

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use hyper::header::{CONTENT_TYPE, HeaderMap};
use hyper::{StatusCode, header};
use serde::Deserialize;

use super::Intake;
use super::problem::Problem;

/// What a pipeline is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GateAnswer {
    /// This status, and this JSON.
    Told(StatusCode, String),
    /// No token, or none that is known.
    Stranger,
    /// The ledger cannot be read now.
    Unread,
}

/// Answers for whoever sends these heads, about this service and release.
pub type ReleaseGate =
    Arc<dyn Fn(&HeaderMap, String, String) -> Pin<Box<dyn Future<Output = GateAnswer> + Send>> + Send + Sync>;

/// What is asked.
#[derive(Deserialize)]
pub(super) struct Asked {
    release: String,
}

/// `GET /v1/gate/{service}?release=R`.
pub(super) async fn asked(
    State(intake): State<Arc<Intake>>,
    path: Result<Path<String>, PathRejection>,
    query: Result<Query<Asked>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (Ok(Path(service)), Some(gate)) = (path, &intake.gate) else { return Err(Problem::NotFound) };
    let Ok(Query(Asked { release })) = query else { return Err(Problem::GateQuery) };
    match gate(&headers, service, release).await {
        GateAnswer::Told(status, body) => {
            let media = if status.is_success() { "application/json" } else { "application/problem+json" };
            let heads = [(CONTENT_TYPE, media), (header::CACHE_CONTROL, "no-store")];
            Ok((status, heads, body).into_response())
        }
        GateAnswer::Stranger => Err(Problem::BearerRefused),
        GateAnswer::Unread => Err(Problem::GateUnread),
    }
}
