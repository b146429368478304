//! The gate, for whoever asks at the admin address: the same answer as a pipeline gets at the public one.

use axum::Json;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use hyper::StatusCode;
use serde::Deserialize;

use super::shapes::GateShape;
use super::{Asked, Id, Problem, Shared, asked, named, stored};

/// What is asked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GateQuery {
    release: String,
}

/// `GET /v1/gate/{service}?release=R`.
pub(super) async fn gate(State(view): Shared, id: Id, query: Asked<GateQuery>) -> Result<Response, Problem> {
    let (service, GateQuery { release }) = (named(id)?, asked(query)?);
    let known = match GateShape::service(&service) {
        Some(id) => stored(&view, move |reader| reader.dossier(&id)).await?,
        None => None,
    };
    let passage = known.map(|dossier| dossier.ledger.passage(&release));
    let shape = GateShape::of(&service, &release, passage);
    if shape.allowed {
        return Ok(Json(shape).into_response());
    }
    Ok((StatusCode::LOCKED, [(CONTENT_TYPE, "application/problem+json")], Json(shape)).into_response())
}
