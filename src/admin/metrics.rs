//! `GET /metrics`: what `telemetry` counted, and beside it what only the store and the rest of the process know at this
//! moment. Says nothing that other routes do not say: readiness is that of `/v1/services`, hold and pause are those of
//! `/v1/state`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use hyper::header::{CONTENT_TYPE, HeaderValue};

use super::{Status, View, stored};
use crate::case::dossier::Dossier;
use crate::case::id::{ServiceId, SourceName, Timestamp};
use crate::case::readiness::obstacles;
use crate::case::settings::ServiceSettings;
use crate::case::standing::Standing;
use crate::journal::reader::{ReadError, Reader};
use crate::telemetry::label::Stops;
use crate::telemetry::metrics::{Scene, ServiceState, StoreState, unsent};

/// Answers with the text for Prometheus. Reads two rows of the store and no service: those are in memory. A store that cannot be
/// read leaves out what it alone knows; whoever watches learns the rest all the same.
pub(super) async fn scrape(view: &View) -> Response {
    let asked = |reader: &Reader| {
        let waits = Waits { oldest: oldest_undecided(reader)?, dead_letters: reader.dead_letter_count()? };
        Ok((reader.standing()?, waits))
    };
    let scene = scene(view, stored(view, asked).await.ok());
    let kind = HeaderValue::from_static(crate::telemetry::CONTENT_TYPE);
    ([(CONTENT_TYPE, kind)], view.metrics.scrape(&scene)).into_response()
}

/// What waits in the store.
struct Waits {
    /// When the oldest delivery came that is not judged.
    oldest: Option<Timestamp>,
    /// What nobody could read.
    dead_letters: u64,
}

/// When the oldest delivery came that waits for its judgement.
fn oldest_undecided(reader: &Reader) -> Result<Option<Timestamp>, ReadError> {
    let next = reader.deliveries(reader.cursor()?, 1)?;
    Ok(next.first().map(|delivery| delivery.received_at))
}

fn scene(view: &View, store: Option<(Standing, Waits)>) -> Scene {
    let status = Arc::clone(&view.status.borrow());
    let now = (view.now)();
    let standing = store.as_ref().map(|(standing, _)| standing);
    Scene {
        services: services(view, &status, standing, now),
        sources: status.sources.clone(),
        silent: standing.map_or_else(BTreeMap::new, |standing| {
            let heard = |source: &SourceName| (source.clone(), standing.silent.contains_key(source));
            status.heartbeats.iter().map(heard).collect()
        }),
        undecided: (view.undecided)(),
        writable: (view.readiness)().is_ok(),
        store: store.as_ref().map(|(standing, waits)| state(standing, waits, now)),
        config_error: status.config_error.is_some(),
        config_taken_at: status.taken_at,
        audit_height: *view.commits.borrow(),
    }
}

fn state(standing: &Standing, waiting: &Waits, now: Timestamp) -> StoreState {
    let waits = |since: Timestamp| Duration::try_from(now.duration_since(since)).unwrap_or_default();
    let stops = |everything| if everything { Stops::Everything } else { Stops::Automatic };
    StoreState {
        oldest_undecided: waiting.oldest.map(waits).unwrap_or_default(),
        dead_letters: waiting.dead_letters,
        hold: standing.hold.is_some(),
        unsent_pages: unsent(&standing.paged),
        pause: standing.pause.as_ref().map(|pause| stops(pause.everything)),
    }
}

/// The configured services. Without the standing nothing is done, so that none is ready.
fn services(view: &View, status: &Status, standing: Option<&Standing>, now: Timestamp) -> Vec<ServiceState> {
    let dossiers = view.metrics.services();
    let of = |(service, settings): (&ServiceId, &Arc<ServiceSettings>)| {
        let trouble = status.troubles.get(service).map(String::as_str);
        // A service of which nothing is known yet has nothing to go back to.
        let unknown = || Arc::new(Dossier::new(service.clone()));
        let dossier = dossiers.get(service).cloned().unwrap_or_else(unknown);
        let is_free = |standing| obstacles(&dossier, settings, standing, trouble, now).is_empty();
        ServiceState {
            service: service.clone(),
            ready: standing.is_some_and(is_free),
            unreadable: trouble.is_some(),
        }
    };
    status.services.iter().map(of).collect()
}
