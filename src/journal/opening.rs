//! The opening of a store: its name, whether it may be trusted to be the newest, and this process's first commit.

use std::path::Path;

use rusqlite::Connection;

use super::OpenError;
use super::audit::read_checkpoints;
use super::commit::{Commit, Unwritten};
use super::place::Place;
use super::sqlite::{self, Doing, SqlError, beside};
use super::witness::Testimony;
use crate::case::id::Timestamp;
use crate::case::standing::{Hold, StandingEvent};

/// Gives a new store its id.
pub(super) fn name(connection: &Connection) -> Result<(), SqlError> {
    let doing = "give it an id";
    // 128 bits, so that no two stores are ever taken for one.
    connection
        .execute(
            "INSERT INTO store (one, id, epoch, cursor) VALUES (1, lower(hex(randomblob(16))), 0, 0)
             ON CONFLICT DO NOTHING",
            [],
        )
        .doing(doing)?;
    Ok(())
}

/// Why this store may not be the newest: by its witness, and by the audit's signed checkpoints.
pub(super) fn doubts(
    path: &Path,
    connection: &Connection,
    place: &Place,
    store: &str,
    said: &Testimony,
) -> Result<Vec<String>, SqlError> {
    let hash_at = |height: u64| {
        connection
            .query_row("SELECT hash FROM audit WHERE height = ?1", [height], |row| row.get::<_, String>(0))
            .ok()
    };
    let mut reasons: Vec<String> =
        said.speaks_against(store, place.head.height, hash_at).into_iter().collect();
    let signed = read_checkpoints(&beside(path, "checkpoints"));
    if let Ok(Some(last)) = signed.map(|lines| lines.and_then(|lines| lines.into_iter().next_back()))
        && reasons.is_empty()
        && hash_at(last.height).as_deref() != Some(last.head.as_str())
    {
        reasons.push(format!("entry {} of the store is not the one that was signed", last.height));
    }
    Ok(reasons)
}

/// Makes this process's first commit.
pub(super) fn begin(
    connection: &mut Connection,
    mut place: Place,
    reasons: &[String],
    now: Timestamp,
    path: &Path,
) -> Result<Place, OpenError> {
    place.epoch += 1;
    let hold =
        (!reasons.is_empty()).then(|| StandingEvent::Held(Hold { reasons: reasons.to_vec(), since: now }));
    let mut opening = Commit::begin(connection, &place).map_err(|cause| sqlite::of(path, cause))?;
    let done = opening
        .opened(hold, now)
        .and_then(|()| opening.seal(now))
        .and_then(|sealed| Ok(sealed.commit()?))
        .map_err(|why| refused(path, why))?;
    place.take_over(done);
    Ok(place)
}

fn refused(path: &Path, why: Unwritten) -> OpenError {
    match why {
        Unwritten::Sql(cause) => sqlite::of(path, cause),
        Unwritten::Record(cause) => OpenError::Record { path: path.to_owned(), cause },
        Unwritten::Fenced(_) | Unwritten::NotIntended(_) => OpenError::InUse(path.to_owned()),
    }
}
