//! Flagger's door: before each of its turns Flagger asks whether to take a canary back (`type: rollback` of its webhooks), and does so on 200
//! alone. Leaves to whoever knows the cases what the answer is. It takes no credential: Flagger sends none, and the answer says only
//! whether a rollback of that canary is under way.

use std::pin::Pin;
use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use hyper::StatusCode;

use super::problem::Problem;
use super::{Intake, json};

/// What Flagger is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GoBack {
    /// A rollback of what it analyses is under way.
    Yes,
    /// None is.
    No,
    /// That cannot be read now, which is no yes.
    Unread,
}

/// Answers for a namespace and a canary.
pub type FlaggerGate =
    Arc<dyn Fn(String, String) -> Pin<Box<dyn Future<Output = GoBack> + Send>> + Send + Sync>;

/// `GET|POST /flagger/{namespace}/{canary}/rollback`.
pub(super) async fn asked(
    State(intake): State<Arc<Intake>>,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<Response, Problem> {
    let (Ok(Path((namespace, canary))), Some(gate)) = (path, &intake.flagger) else {
        return Err(Problem::NotFound);
    };
    match gate(namespace, canary).await {
        GoBack::Yes => Ok(json(StatusCode::OK, r#"{"rollback":true}"#.to_owned())),
        GoBack::No => Err(Problem::GateClosed),
        GoBack::Unread => Err(Problem::GateUnread),
    }
}
