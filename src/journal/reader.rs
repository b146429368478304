//! The reader: everything that can be asked of a store, over connections that cannot write. It needs no lock, works
//! beside a running server and without one.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use rusqlite::{Connection, Params, Row};

use super::audit::{AuditEntry, Head};
use super::moment;
use super::record::{self, RecordError};
use super::sqlite::{self, Doing, OpenError, SqlError};
use crate::case::dossier::Dossier;
use crate::case::event::Stamped;
use crate::case::id::{CaseId, DeliveryId, Digest, ServiceId, SourceName, Timestamp};
use crate::case::standing::Standing;
use crate::case::story::Case;
use crate::case::turn::Disposition;

/// Connections that are kept for the next question; more questions at once open their own.
const IDLE_MAX: usize = 4;

/// A question that could not be answered.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// SQLite refused.
    #[error("the store cannot be read: {0}")]
    Sql(#[from] SqlError),
    /// A row is not what it should be.
    #[error("the store cannot be read: {0}")]
    Record(#[from] RecordError),
    /// A connection could not be opened.
    #[error("the store cannot be read: {0}")]
    Open(#[from] OpenError),
    /// The thread that read it ended.
    #[error("the store cannot be read: whoever read it was stopped")]
    Stopped,
}

/// Asks a store. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Reader {
    path: Arc<Path>,
    idle: Arc<Mutex<Vec<Connection>>>,
}

/// A delivery that was authentic and could not be read.
#[derive(Clone, Debug, PartialEq)]
pub struct DeadLetter {
    /// Its number.
    pub id: DeliveryId,
    /// When it came.
    pub received_at: Timestamp,
    /// Whose it is.
    pub source: SourceName,
    /// Why nobody could read it.
    pub why: String,
    /// How long it is.
    pub bytes: u64,
    /// What became of it when it was replayed, if it was.
    pub replayed: Option<Disposition>,
}

/// Which cases.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CaseFilter {
    /// Of this service alone.
    pub service: Option<ServiceId>,
    /// Those that are not closed.
    pub open: bool,
    /// Those before this place in the list: [`CasePage::next`] of the page before.
    pub before: Option<u64>,
}

/// Cases, newest first.
#[derive(Clone, Debug, PartialEq)]
pub struct CasePage {
    /// The cases.
    pub cases: Vec<Case>,
    /// Where the next page begins, if there is one.
    pub next: Option<u64>,
}

/// A delivery as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredDelivery {
    /// Its number.
    pub id: DeliveryId,
    /// When it reached us.
    pub received_at: Timestamp,
    /// Who sent it.
    pub source: SourceName,
    /// Why it cannot be read, if it cannot.
    pub dead: Option<String>,
    /// Its bytes.
    pub body: Bytes,
}

/// An event as it is stored, without what it holds beyond its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEvent {
    /// Its number; they are given in order and without gaps.
    pub number: u64,
    /// When it was written.
    pub at: Timestamp,
    /// What happened, in a word; `standing` where it is about all services.
    pub kind: String,
    /// The service, if it is about one.
    pub service: Option<ServiceId>,
    /// The case, if it is in one.
    pub case: Option<CaseId>,
    /// Why, where the event holds a reason.
    pub why: Option<String>,
}

impl Reader {
    /// Opens a store to read it, whether or not a server writes it.
    pub fn open(path: impl Into<PathBuf>) -> Result<Reader, OpenError> {
        let path: PathBuf = path.into();
        let first = sqlite::open_reader(&path)?;
        Ok(Reader { path: path.into(), idle: Arc::new(Mutex::new(vec![first])) })
    }

    /// Where the store is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The store's own id.
    pub fn store_id(&self) -> Result<String, ReadError> {
        Ok(self.one("SELECT id FROM store", [], |row| row.get(0))?.unwrap_or_default())
    }

    /// Every service.
    pub fn dossiers(&self) -> Result<Vec<Dossier>, ReadError> {
        let bodies = self.all("SELECT body FROM dossiers ORDER BY service", [], text)?;
        Ok(bodies.iter().map(|body| record::read(body)).collect::<Result<_, _>>()?)
    }

    /// One service.
    pub fn dossier(&self, service: &ServiceId) -> Result<Option<Dossier>, ReadError> {
        self.row("SELECT body FROM dossiers WHERE service = ?1", [service.as_str()])
    }

    /// The standing.
    pub fn standing(&self) -> Result<Standing, ReadError> {
        Ok(self.row("SELECT body FROM standing", [])?.unwrap_or_default())
    }

    /// Every delivery up to this one is decided.
    pub fn cursor(&self) -> Result<DeliveryId, ReadError> {
        let cursor = self.one("SELECT cursor FROM store", [], |row| row.get(0))?;
        Ok(DeliveryId(cursor.unwrap_or(0)))
    }

    /// Deliveries after this one, in the order in which they were stored; at most `limit`.
    pub fn deliveries(&self, after: DeliveryId, limit: u32) -> Result<Vec<StoredDelivery>, ReadError> {
        self.all(
            "SELECT id, received_at, source, dead, body FROM deliveries WHERE id > ?1 ORDER BY id LIMIT ?2",
            (after.0, limit),
            delivery,
        )
    }

    /// What became of a delivery, once it is decided.
    pub fn disposition(&self, of: DeliveryId) -> Result<Option<Vec<Disposition>>, ReadError> {
        self.row("SELECT body FROM dispositions WHERE delivery = ?1", [of.0])
    }

    /// Deliveries that could not be read, newest first, before this one; at most `limit`.
    pub fn dead_letters(&self, before: Option<DeliveryId>, limit: u32) -> Result<Vec<DeadLetter>, ReadError> {
        let letters = self.all(
            "SELECT id, received_at, source, dead, length(deliveries.body), dispositions.body
             FROM deliveries LEFT JOIN replays ON letter = id
             LEFT JOIN dispositions ON dispositions.delivery = replays.delivery
             WHERE dead IS NOT NULL AND id < ?1 ORDER BY id DESC LIMIT ?2",
            (before.map_or(i64::MAX as u64, |before| before.0), limit),
            |row| {
                let letter = DeadLetter {
                    id: DeliveryId(row.get(0)?),
                    received_at: row.get(1).map(moment)?,
                    source: SourceName::new(row.get::<_, String>(2)?),
                    why: row.get(3)?,
                    bytes: row.get(4)?,
                    replayed: None,
                };
                Ok((letter, row.get::<_, Option<String>>(5)?))
            },
        )?;
        let read = letters.into_iter().map(|(letter, became)| {
            let became: Option<Vec<Disposition>> = became.map(|body| record::read(&body)).transpose()?;
            Ok(DeadLetter { replayed: became.and_then(|all| all.into_iter().next()), ..letter })
        });
        read.collect()
    }

    /// A delivery that could not be read and was not replayed since. `None`: there is none of this number.
    pub fn dead_letter(&self, id: DeliveryId) -> Result<Option<StoredDelivery>, ReadError> {
        self.one(
            "SELECT id, received_at, source, dead, body FROM deliveries
             WHERE id = ?1 AND dead IS NOT NULL AND id NOT IN (SELECT letter FROM replays)",
            [id.0],
            delivery,
        )
    }

    /// How many deliveries could not be read, and were not replayed since.
    pub fn dead_letter_count(&self) -> Result<u64, ReadError> {
        let sql = "SELECT (SELECT count(*) FROM deliveries WHERE dead IS NOT NULL)
                   - (SELECT count(*) FROM replays JOIN deliveries ON id = letter)";
        Ok(self.one(sql, [], |row| row.get(0))?.unwrap_or(0))
    }

    /// Cases, newest first; at most `limit`.
    pub fn cases(&self, filter: &CaseFilter, limit: u32) -> Result<CasePage, ReadError> {
        let mut sql = String::from("SELECT number, body FROM cases WHERE number < ?1");
        if filter.open {
            sql.push_str(" AND closed_at IS NULL");
        }
        // The parameter is used either way, so that both questions take the same ones.
        sql.push_str(if filter.service.is_some() { " AND service = ?2" } else { " AND ?2 = ''" });
        sql.push_str(" ORDER BY number DESC LIMIT ?3");
        let before = filter.before.and_then(|before| i64::try_from(before).ok()).unwrap_or(i64::MAX);
        let service = filter.service.as_ref().map_or("", ServiceId::as_str);
        let rows: Vec<(u64, String)> =
            self.all(&sql, (before, service, limit), |row| Ok((row.get(0)?, row.get(1)?)))?;
        let full = rows.len() == usize::try_from(limit).unwrap_or(usize::MAX);
        let next = rows.last().map(|(number, _)| *number).filter(|_| full);
        let cases = rows.iter().map(|(_, body)| record::read(body)).collect::<Result<_, _>>()?;
        Ok(CasePage { cases, next })
    }

    /// One case.
    pub fn case(&self, id: &CaseId) -> Result<Option<Case>, ReadError> {
        self.row("SELECT body FROM cases WHERE id = ?1", [id.as_str()])
    }

    /// Everything that was written down of a case, oldest first.
    pub fn events_of(&self, case: &CaseId) -> Result<Vec<Stamped>, ReadError> {
        let bodies =
            self.all("SELECT body FROM events WHERE case_id = ?1 ORDER BY seq", [case.as_str()], text)?;
        Ok(bodies.iter().map(|body| record::read(body)).collect::<Result<_, _>>()?)
    }

    /// What happened after this event, in order; at most `limit`.
    pub fn events_after(&self, number: u64, limit: u32) -> Result<Vec<StoredEvent>, ReadError> {
        let sql = "SELECT seq, at, service, case_id, body FROM events WHERE seq > ?1 ORDER BY seq LIMIT ?2";
        let rows = self.all(sql, (number, limit), |row| {
            let (service, case): (Option<String>, Option<String>) = (row.get(2)?, row.get(3)?);
            let event = StoredEvent {
                number: row.get(0)?,
                at: row.get(1).map(moment)?,
                kind: "standing".to_owned(),
                service: service.as_deref().and_then(ServiceId::parse),
                case: case.map(CaseId::new),
                why: None,
            };
            Ok((event, row.get::<_, String>(4)?))
        })?;
        let told = rows.into_iter().map(|(mut event, body)| {
            if event.service.is_some() {
                let told = record::read::<Stamped>(&body)?.event;
                event.kind = told.word().to_owned();
                event.why = told.why().map(str::to_owned);
            }
            Ok(event)
        });
        told.collect()
    }

    /// Events by number, as they are stored: number and text.
    pub fn event_texts(&self, first: u64, last: u64) -> Result<Vec<(u64, String)>, ReadError> {
        self.all(
            "SELECT seq, body FROM events WHERE seq BETWEEN ?1 AND ?2 ORDER BY seq",
            [first, last],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
    }

    /// The text of a rule table.
    pub fn rules(&self, digest: &Digest) -> Result<Option<String>, ReadError> {
        self.one("SELECT text FROM rules WHERE digest = ?1", [digest.as_str()], text)
    }

    /// Audit entries from this height on, oldest first; at most `limit`.
    pub fn audit_entries(&self, from: u64, limit: u32) -> Result<Vec<AuditEntry>, ReadError> {
        self.all(
            "SELECT height, at, contents, prev, hash FROM audit WHERE height >= ?1 ORDER BY height LIMIT ?2",
            (from, limit),
            |row| {
                Ok(AuditEntry {
                    height: row.get(0)?,
                    at: row.get(1)?,
                    contents: row.get(2)?,
                    prev: row.get(3)?,
                    hash: row.get(4)?,
                })
            },
        )
    }

    /// Where the audit ends.
    pub fn audit_head(&self) -> Result<Head, ReadError> {
        let last = "SELECT height, hash FROM audit ORDER BY height DESC LIMIT 1";
        let head = self.one(last, [], |row| Ok(Head { height: row.get(0)?, hash: row.get(1)? }))?;
        head.map_or_else(|| Ok(Head { height: 0, hash: self.store_id()? }), Ok)
    }

    /// Lends a connection, and takes it back when the question was answered.
    pub(super) fn with<T>(
        &self,
        ask: impl FnOnce(&mut Connection) -> Result<T, ReadError>,
    ) -> Result<T, ReadError> {
        let kept = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut connection = match kept {
            Some(connection) => connection,
            None => sqlite::open_reader(&self.path)?,
        };
        let answer = ask(&mut connection);
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_MAX {
            idle.push(connection);
        }
        answer
    }

    fn all<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, ReadError> {
        self.with(|connection| {
            let rows = connection
                .prepare_cached(sql)
                .and_then(|mut ask| ask.query_map(params, read)?.collect())
                .doing("read it")?;
            Ok(rows)
        })
    }

    fn one<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, ReadError> {
        Ok(self.all(sql, params, read)?.into_iter().next())
    }

    fn row<T: record::Row>(&self, sql: &str, params: impl Params) -> Result<Option<T>, ReadError> {
        Ok(self.one(sql, params, text)?.map(|body| record::read(&body)).transpose()?)
    }
}

fn text(row: &Row<'_>) -> rusqlite::Result<String> {
    row.get(0)
}

fn delivery(row: &Row<'_>) -> rusqlite::Result<StoredDelivery> {
    Ok(StoredDelivery {
        id: DeliveryId(row.get(0)?),
        received_at: row.get(1).map(moment)?,
        source: SourceName::new(row.get::<_, String>(2)?),
        dead: row.get(3)?,
        body: Bytes::from(row.get::<_, Vec<u8>>(4)?),
    })
}
