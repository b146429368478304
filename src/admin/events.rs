//! `GET /v1/events`: what happens, as it happens, by server-sent events. Each has the number of its row in the store, so
//! that whoever comes back with `Last-Event-ID` misses nothing. Owns the shape of one event; what was written when is the
//! journal's.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use futures_util::stream::{Stream, unfold};
use hyper::HeaderMap;
use serde::Serialize;
use tokio::sync::watch;

use super::{Problem, View, stored};
use crate::case::id::Timestamp;
use crate::journal::reader::StoredEvent;

/// Events that are read from the store at once: some 100 kB.
const AT_ONCE: u32 = 256;
/// A line so often, so that proxies and browsers know that the other side is there.
const ALIVE_EVERY: Duration = Duration::from_secs(15);

/// Where the events come from, and how a reader learns that there are more.
#[derive(Clone, Debug)]
pub struct Written {
    /// The number of the last event on disk.
    pub last: watch::Receiver<u64>,
    /// The server stops: streams end, so that it need not wait for them.
    pub stop: watch::Receiver<bool>,
}

/// One event, as the stream tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EventShape {
    /// When it happened.
    pub at: Timestamp,
    /// What, in a word; `standing` where pause, hold or the budgets changed.
    pub kind: String,
    /// The service, if it is about one.
    pub service: Option<String>,
    /// The case, if it is in one: `/v1/cases/{id}` has all of it.
    pub case: Option<String>,
    /// Why, where a release was graded, locked or unlocked or the service frozen.
    pub why: Option<String>,
}

/// Answers with a stream that begins after `Last-Event-ID`, or with what comes next.
pub(super) fn stream(
    view: Arc<View>,
    headers: &HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>> + use<>>, Problem> {
    let after = match headers.get("last-event-id") {
        None => *view.written.last.borrow(),
        Some(id) => id
            .to_str()
            .ok()
            .and_then(|id| id.parse().ok())
            .ok_or_else(|| Problem::Query("`Last-Event-ID` is not a number that was given".to_owned()))?,
    };
    let follower = Follower { written: view.written.clone(), view, after, waiting: VecDeque::new() };
    let events = unfold(follower, |mut follower| async move {
        let event = follower.next().await?;
        Some((Ok(event), follower))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(ALIVE_EVERY)))
}

/// One reader of the stream, and how far it has come.
struct Follower {
    view: Arc<View>,
    written: Written,
    after: u64,
    waiting: VecDeque<StoredEvent>,
}

impl Follower {
    /// The next event; `None` when the server stops or the store cannot be read: the reader comes again, with the
    /// number of the last one that it has seen.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(stored) = self.waiting.pop_front() {
                self.after = stored.number;
                return Event::default().id(stored.number.to_string()).json_data(shape(stored)).ok();
            }
            let mut last = self.written.last.clone();
            let mut stop = self.written.stop.clone();
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return None,
                more = last.wait_for(|last| *last > self.after) => drop(more.ok()?),
            }
            let after = self.after;
            let more = stored(&self.view, move |reader| reader.events_after(after, AT_ONCE)).await.ok()?;
            self.waiting = more.into();
        }
    }
}

fn shape(stored: StoredEvent) -> EventShape {
    EventShape {
        at: stored.at,
        kind: stored.kind,
        service: stored.service.map(|service| service.to_string()),
        case: stored.case.map(|case| case.to_string()),
        why: stored.why,
    }
}
