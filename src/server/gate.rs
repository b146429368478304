//! What a pipeline is answered that asks whether a release may go out: by the ledger as it is stored, to whoever shows a token. Leaves the
//! door to `intake`.

use std::sync::Arc;

use hyper::StatusCode;
use tokio::sync::watch;

use crate::admin::Access;
use crate::admin::shapes::GateShape;
use crate::intake::{GateAnswer, ReleaseGate};
use crate::journal::reader::{ReadError, Reader};

/// The gate over what is stored.
pub(super) fn gate(reader: Reader, access: watch::Receiver<Arc<Access>>) -> ReleaseGate {
    Arc::new(move |headers, service, release| {
        let known = access.borrow().shown_by(headers).is_some();
        let reader = reader.clone();
        Box::pin(async move {
            if !known {
                return GateAnswer::Stranger;
            }
            let asked = tokio::task::spawn_blocking(move || answer(&reader, &service, &release)).await;
            let Ok(Ok(shape)) = asked else { return GateAnswer::Unread };
            let status = if shape.allowed { StatusCode::OK } else { StatusCode::LOCKED };
            serde_json::to_string(&shape).map_or(GateAnswer::Unread, |body| GateAnswer::Told(status, body))
        })
    })
}

fn answer(reader: &Reader, service: &str, release: &str) -> Result<GateShape, ReadError> {
    let known = match GateShape::service(service) {
        Some(service) => reader.dossier(&service)?,
        None => None,
    };
    Ok(GateShape::of(service, release, known.map(|dossier| dossier.ledger.passage(release))))
}
