//! The keeper: a thread beside the writer that puts SQLite's log away, so that no commit ever waits for it, and
//! tells the writer that a second passed.

use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::mpsc::Sender;

use super::sqlite::{Doing, PAGE_BYTES, SqlError};
use super::writer::Job;

/// The log is put away at this length, or when nothing was written for a second.
const LOG_MAX: u64 = 64 << 20;
/// How often it looks.
const SECOND: Duration = Duration::from_secs(1);
/// How long it waits for readers that still need the log's beginning; it tries again at the next look.
const PATIENCE: Duration = Duration::from_millis(500);

/// How long the log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Log {
    pages: u64,
    put_away: u64,
}

/// Works until the other end of `stop` is gone.
pub(super) fn run(connection: &Connection, path: &Path, stop: &Receiver<()>, jobs: &Sender<Job>) {
    if let Err(why) = connection.busy_timeout(PATIENCE).doing("set up the keeper") {
        tracing::warn!(%why, store = %path.display(), "the store's log is not put away");
    }
    let mut before = None;
    while stop.recv_timeout(SECOND) == Err(RecvTimeoutError::Timeout) {
        // A writer with a full queue is at work, and has its second another time.
        let _ = jobs.try_send(Job::Tick);
        match look(connection, before) {
            Ok(log) => before = Some(log),
            Err(why) => tracing::warn!(%why, store = %path.display(), "the store's log is not put away"),
        }
    }
}

fn look(connection: &Connection, before: Option<Log>) -> Result<Log, SqlError> {
    let log = checkpoint(connection, "NOOP")?;
    let long = log.pages * PAGE_BYTES >= LOG_MAX;
    let idle = before.is_some_and(|before| before.pages == log.pages);
    if log.put_away == log.pages || !(long || idle) {
        return Ok(log);
    }
    // Most of it beside the writer, who goes on; then, in a long log, the rest while the writer waits: without that
    // a log that is always written to would never begin anew.
    let log = checkpoint(connection, "PASSIVE")?;
    if long { checkpoint(connection, "RESTART") } else { Ok(log) }
}

fn checkpoint(connection: &Connection, how: &'static str) -> Result<Log, SqlError> {
    connection
        .query_row(&format!("PRAGMA wal_checkpoint({how})"), [], |row| {
            let count = |column| row.get::<_, i64>(column).map(|pages| u64::try_from(pages).unwrap_or(0));
            Ok(Log { pages: count(1)?, put_away: count(2)? })
        })
        .doing("put the log away")
}
