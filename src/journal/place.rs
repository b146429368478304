//! Where the store stands: the numbers that the next commit goes on from, read once and then kept in memory.

use std::collections::HashMap;

use rusqlite::Connection;

use super::audit::Head;
use super::sqlite::{Doing, SqlError};
use super::stamp;
use crate::case::id::{ServiceId, Timestamp};

/// Where the store stands: what the next commit follows. Changed only after a commit.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// The audit's end.
    pub(super) head: Head,
    /// This process, as a fence.
    pub(super) epoch: u64,
    /// The last delivery.
    pub(super) delivery: u64,
    /// The last event.
    pub(super) event: u64,
    /// Under which fence and sequence each service was written last.
    pub(super) written: HashMap<ServiceId, (u64, u64)>,
}

/// What a commit changed, to be taken over once it is synced.
pub(super) struct Done {
    pub(super) head: Head,
    pub(super) delivery: u64,
    pub(super) event: u64,
    pub(super) written: Vec<(ServiceId, (u64, u64))>,
}

impl Place {
    /// A commit is on disk: what it changed holds from now on.
    pub(super) fn take_over(&mut self, done: Done) {
        let Done { head, delivery, event, written } = done;
        (self.head, self.delivery, self.event) = (head, delivery, event);
        self.written.extend(written);
    }
}

/// The keys of what people asked for lately: the same bytes again, after a new start too, are the same request. Slack's
/// signature counts for five minutes; so much does not come in that time.
pub(super) fn recent_requests(connection: &Connection) -> Result<Vec<[u8; 32]>, SqlError> {
    let doing = "read what people asked for lately";
    let newest =
        "SELECT key FROM (SELECT key, source FROM deliveries ORDER BY id DESC LIMIT 65536) WHERE source = ?1";
    let mut read = connection.prepare(newest).doing(doing)?;
    let keys = read.query_map([super::inbox::PEOPLE], |row| row.get::<_, [u8; 32]>(0)).doing(doing)?;
    keys.collect::<Result<_, _>>().doing(doing)
}

/// Reads where the store stands.
pub(super) fn read(connection: &Connection) -> Result<(Place, String, u64), SqlError> {
    let doing = "read where it stands";
    let (id, epoch, cursor): (String, u64, u64) = connection
        .query_row("SELECT id, epoch, cursor FROM store", [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .doing(doing)?;
    let last = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, Option<u64>>(0)).doing(doing);
    // Numbers of deleted deliveries are never given again.
    let delivery = last("SELECT max(id) FROM deliveries")?.unwrap_or(0).max(cursor);
    let event = last("SELECT max(seq) FROM events")?.unwrap_or(0);
    let head = connection
        .prepare("SELECT height, hash FROM audit ORDER BY height DESC LIMIT 1")
        .and_then(|mut read| {
            let head = |row: &rusqlite::Row<'_>| Ok(Head { height: row.get(0)?, hash: row.get(1)? });
            read.query_map([], head)?.next().transpose()
        })
        .doing(doing)?
        .unwrap_or_else(|| Head { height: 0, hash: id.clone() });
    let written = connection
        .prepare("SELECT service, fence, seq FROM dossiers")
        .and_then(|mut read| {
            let one = |row: &rusqlite::Row<'_>| {
                Ok((ServiceId::new(row.get::<_, String>(0)?), (row.get(1)?, row.get(2)?)))
            };
            read.query_map([], one)?.collect::<Result<HashMap<_, _>, _>>()
        })
        .doing(doing)?;
    Ok((Place { head, epoch, delivery, event, written }, id, cursor))
}

/// Deliveries that may be deleted now: decided, and received before `before`; at most `limit`, oldest first.
pub(super) fn prunable(
    connection: &Connection,
    before: Timestamp,
    limit: u32,
) -> Result<Option<u64>, SqlError> {
    connection
        .prepare_cached(
            "SELECT max(id) FROM (SELECT id, received_at FROM deliveries
             WHERE id <= (SELECT cursor FROM store) ORDER BY id LIMIT ?1) WHERE received_at < ?2",
        )
        .and_then(|mut read| read.query_row((limit, stamp(before)), |row| row.get(0)))
        .doing("look for old deliveries")
}
