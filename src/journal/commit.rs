//! A commit: what one transaction writes, and the audit entry over all of it. Owns the writing statements. Leaves
//! to `writer` what goes into one commit and what follows from a refusal.

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::audit::{AuditEntry, AuditNote, Contents, EventRow, Head, Rows, body_digest};
use super::gate;
use super::inbox::Arrival;
use super::place::{Done, Place};
use super::record::{self, RecordError};
use super::sqlite::{Doing, SqlError};
use super::{AppendError, stamp};
use crate::case::event::Event;
use crate::case::gate::Why;
use crate::case::id::{CaseId, DeliveryId, Digest, ServiceId, Timestamp};
use crate::case::phase::Phase;
use crate::case::standing::{Standing, StandingEvent};
use crate::case::story::Case;
use crate::case::turn::{Change, Disposition, Turn};

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unwritten {
    #[error("{0}")]
    Sql(#[from] SqlError),
    #[error("{0}")]
    Record(#[from] RecordError),
    #[error("somebody else wrote {0}")]
    Fenced(ServiceId),
    #[error("no intent of case {0}")]
    NotIntended(CaseId),
}

impl From<Unwritten> for AppendError {
    fn from(why: Unwritten) -> AppendError {
        match why {
            Unwritten::Sql(why) => AppendError::Storage(why.to_string()),
            Unwritten::Record(why) => AppendError::Storage(why.to_string()),
            Unwritten::Fenced(service) => AppendError::Fenced(service),
            Unwritten::NotIntended(case) => AppendError::NotIntended(case),
        }
    }
}

/// One transaction under way. Dropped without an end it leaves nothing behind.
pub(super) struct Commit<'c> {
    tx: Transaction<'c>,
    place: &'c Place,
    contents: Contents,
    delivery: u64,
    event: u64,
    written: Vec<(ServiceId, (u64, u64))>,
}

impl<'c> Commit<'c> {
    /// Begins the commit that follows `place`.
    pub(super) fn begin(connection: &'c mut Connection, place: &'c Place) -> Result<Commit<'c>, SqlError> {
        let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate).doing("begin")?;
        let (delivery, event) = (place.delivery, place.event);
        Ok(Commit { tx, place, contents: Contents::default(), delivery, event, written: Vec::new() })
    }

    fn height(&self) -> u64 {
        self.place.head.height + 1
    }

    /// Stores deliveries, each under the next number; gives the number of the first.
    pub(super) fn deliveries(&mut self, arrivals: &[Arrival]) -> Result<u64, SqlError> {
        let doing = "store a delivery";
        let first = self.delivery + 1;
        let mut rows = Rows::new("deliveries");
        let mut insert = self
            .tx
            .prepare_cached(
                "INSERT INTO deliveries (id, received_at, source, key, dead, body)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )
            .doing(doing)?;
        for (id, arrival) in (first..).zip(arrivals) {
            let delivery = &arrival.delivery;
            let (received_at, dead) = (stamp(delivery.received_at), delivery.content.dead());
            let body: &[u8] = &delivery.body;
            insert
                .execute((id, received_at, delivery.source.as_str(), &delivery.key.0[..], dead, body))
                .doing(doing)?;
            rows.delivery(id, received_at, &delivery.key, dead);
            self.delivery = id;
        }
        drop(insert);
        self.contents.deliveries = rows.span();
        Ok(first)
    }

    /// Writes a turn; gives it as it became with the gate's answers, and the answers.
    pub(super) fn turn(&mut self, mut turn: Turn) -> Result<(Turn, Vec<Result<(), Why>>), Unwritten> {
        let mut answers = Vec::new();
        if !turn.gates.is_empty() || !turn.standing.is_empty() {
            let mut standing = self.standing()?;
            // What the turn itself found out, a hold above all, counts before anything passes.
            turn.standing.iter().for_each(|event| standing.apply(event));
            let mut acts = Rows::new("acts");
            answers = gate::pass(&self.tx, &mut standing, &turn, self.height(), &mut acts)?;
            self.contents.acts = acts.digest();
            turn.settle(&answers);
            if let Some(case) = gate::without_intent(&turn, &answers) {
                return Err(Unwritten::NotIntended(case));
            }
            self.put_standing(&standing)?;
        }
        self.events(&turn)?;
        for change in &turn.changes {
            self.change(change)?;
        }
        self.dispositions(&turn.dispositions)?;
        self.replays(&turn.replays)?;
        if let Some(cursor) = turn.cursor {
            self.cursor(cursor)?;
        }
        Ok((turn, answers))
    }

    /// The standing as it is on disk.
    fn standing(&self) -> Result<Standing, Unwritten> {
        let body: Option<String> = self
            .tx
            .prepare_cached("SELECT body FROM standing")
            .and_then(|mut read| read.query_map([], |row| row.get(0))?.next().transpose())
            .doing("read the standing")?;
        Ok(body.map(|body| record::read(&body)).transpose()?.unwrap_or_default())
    }

    fn put_standing(&mut self, standing: &Standing) -> Result<(), Unwritten> {
        let body = record::write(standing)?;
        self.tx
            .prepare_cached("INSERT OR REPLACE INTO standing (one, height, body) VALUES (1, ?1, ?2)")
            .and_then(|mut put| put.execute((self.height(), &body)))
            .doing("write the standing")?;
        self.contents.standing = Some(body_digest("standing", &body));
        Ok(())
    }

    fn events(&mut self, turn: &Turn) -> Result<(), Unwritten> {
        let mut rows = Rows::new("events");
        for event in &turn.standing {
            self.event(&mut rows, turn.at, None, None, &record::write(event)?)?;
        }
        for change in &turn.changes {
            for (case, stamped) in &change.events {
                let body = record::write(stamped)?;
                self.event(&mut rows, stamped.at, Some(&change.dossier.service), case.as_ref(), &body)?;
            }
        }
        self.contents.events = rows.span();
        Ok(())
    }

    fn event(
        &mut self,
        rows: &mut Rows,
        at: Timestamp,
        service: Option<&ServiceId>,
        case: Option<&CaseId>,
        body: &str,
    ) -> Result<(), SqlError> {
        self.event += 1;
        let row = EventRow {
            at: stamp(at),
            service: service.map(ServiceId::as_str),
            case: case.map(CaseId::as_str),
            body,
        };
        rows.event(self.event, &row);
        self.tx
            .prepare_cached(
                "INSERT INTO events (seq, at, service, case_id, body) VALUES (?1, ?2, ?3, ?4, ?5)",
            )
            .and_then(|mut insert| insert.execute((self.event, row.at, row.service, row.case, row.body)))
            .doing("append an event")?;
        Ok(())
    }

    fn change(&mut self, change: &Change) -> Result<(), Unwritten> {
        let dossier = &*change.dossier;
        let body = record::write(dossier)?;
        let epoch = self.place.epoch;
        let known = self.place.written.get(&dossier.service).copied();
        let seq = known.map_or(1, |(_, seq)| seq + 1);
        let doing = "write a service";
        let rows = match known {
            Some((fence, seq)) => self
                .tx
                .prepare_cached(
                    "UPDATE dossiers SET fence = ?1, seq = seq + 1, height = ?2, body = ?3
                     WHERE service = ?4 AND fence = ?5 AND seq = ?6",
                )
                .and_then(|mut update| {
                    update.execute((epoch, self.height(), &body, dossier.service.as_str(), fence, seq))
                })
                .doing(doing)?,
            None => self
                .tx
                .prepare_cached(
                    "INSERT INTO dossiers (service, fence, seq, height, body) VALUES (?1, ?2, 1, ?3, ?4)
                     ON CONFLICT DO NOTHING",
                )
                .and_then(|mut insert| {
                    insert.execute((dossier.service.as_str(), epoch, self.height(), &body))
                })
                .doing(doing)?,
        };
        if rows == 0 {
            return Err(Unwritten::Fenced(dossier.service.clone()));
        }
        self.written.push((dossier.service.clone(), (epoch, seq)));
        self.contents.dossiers.insert(dossier.service.to_string(), body_digest("dossier", &body));
        for case in dossier.open.as_deref().into_iter().chain(&dossier.telling).chain(&change.departed) {
            self.case(&dossier.service, case)?;
        }
        Ok(())
    }

    fn case(&mut self, service: &ServiceId, case: &Case) -> Result<(), Unwritten> {
        let body = record::write(case)?;
        let outcome = if let Phase::Closed(outcome) = &case.phase { Some(outcome.word()) } else { None };
        self.tx
            .prepare_cached(
                "INSERT INTO cases (id, service, phase, outcome, opened_at, closed_at, height, body)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
                 ON CONFLICT (id) DO UPDATE SET phase = excluded.phase, outcome = excluded.outcome,
                     closed_at = excluded.closed_at, height = excluded.height, body = excluded.body",
            )
            .and_then(|mut put| {
                put.execute((
                    case.id.as_str(),
                    service.as_str(),
                    case.phase.word(),
                    outcome,
                    stamp(case.opened_at),
                    closed_at(case).map(stamp),
                    self.height(),
                    &body,
                ))
            })
            .doing("write a case")?;
        self.contents.cases.insert(case.id.to_string(), body_digest("case", &body));
        Ok(())
    }

    fn dispositions(&mut self, decided: &[(DeliveryId, Vec<Disposition>)]) -> Result<(), Unwritten> {
        let mut rows = Rows::new("dispositions");
        let mut ordered: Vec<_> = decided.iter().collect();
        ordered.sort_by_key(|(delivery, _)| *delivery);
        for (delivery, ends) in ordered {
            let body = record::write(ends)?;
            self.tx
                .prepare_cached("INSERT INTO dispositions (delivery, height, body) VALUES (?1, ?2, ?3)")
                .and_then(|mut insert| insert.execute((delivery.0, self.height(), &body)))
                .doing("write what became of a delivery")?;
            rows.disposition(delivery.0, &body);
        }
        self.contents.dispositions = rows.span();
        Ok(())
    }

    /// Which dead letters were read after all. Each request for it, and what it led to, is among the deliveries and dispositions.
    fn replays(&mut self, replays: &[(DeliveryId, DeliveryId)]) -> Result<(), SqlError> {
        for (letter, delivery) in replays {
            self.tx
                .prepare_cached("INSERT INTO replays (letter, delivery) VALUES (?1, ?2)")
                .and_then(|mut insert| insert.execute((letter.0, delivery.0)))
                .doing("write which dead letter was replayed")?;
        }
        Ok(())
    }

    fn cursor(&mut self, cursor: DeliveryId) -> Result<(), SqlError> {
        self.tx
            .prepare_cached("UPDATE store SET cursor = ?1 WHERE cursor < ?1")
            .and_then(|mut update| update.execute([cursor.0]))
            .doing("move the cursor")?;
        self.contents.cursor = Some(cursor.0);
        Ok(())
    }

    /// This process opened the store; where there are reasons, Snapback forbids itself from here on.
    pub(super) fn opened(&mut self, hold: Option<StandingEvent>, at: Timestamp) -> Result<(), Unwritten> {
        self.tx.execute("UPDATE store SET epoch = ?1", [self.place.epoch]).doing("count this process")?;
        self.contents.opened = Some(self.place.epoch);
        if let Some(event) = hold {
            self.turn(Turn { at, standing: vec![event], ..Turn::default() })?;
        }
        Ok(())
    }

    /// Puts a note into the audit.
    pub(super) fn note(&mut self, note: AuditNote) {
        match note {
            AuditNote::Started { version } => self.contents.started = Some(version),
            AuditNote::Configured { digest } => self.contents.configured = Some(digest.to_string()),
        }
    }

    /// Stores a rule table, once for each digest.
    pub(super) fn rules(&mut self, at: Timestamp, digest: &Digest, text: &str) -> Result<(), SqlError> {
        self.tx
            .execute(
                "INSERT INTO rules (digest, at, text) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
                (digest.as_str(), stamp(at), text),
            )
            .doing("store a rule table")?;
        self.contents.rules = Some((digest.to_string(), body_digest("rules", text)));
        Ok(())
    }

    /// Deletes deliveries up to this one.
    pub(super) fn prune(&mut self, through: u64) -> Result<(), SqlError> {
        for table in [
            "DELETE FROM deliveries WHERE id <= ?1",
            "DELETE FROM dispositions WHERE delivery <= ?1",
            "DELETE FROM replays WHERE letter <= ?1",
        ] {
            self.tx
                .prepare_cached(table)
                .and_then(|mut delete| delete.execute([through]))
                .doing("delete old deliveries")?;
        }
        self.contents.pruned = Some(through);
        Ok(())
    }

    /// Appends the audit entry over all of it. What is left is the commit itself.
    pub(super) fn seal(self, at: Timestamp) -> Result<Sealed<'c>, Unwritten> {
        let contents = serde_json::to_string(&self.contents)
            .map_err(|cause| RecordError::Unwritable { kind: "audit entry", cause })?;
        let entry = AuditEntry::after(&self.place.head, stamp(at), contents);
        self.tx
            .prepare_cached(
                "INSERT INTO audit (height, at, contents, prev, hash) VALUES (?1, ?2, ?3, ?4, ?5)",
            )
            .and_then(|mut insert| {
                insert.execute((entry.height, entry.at, &entry.contents, &entry.prev, &entry.hash))
            })
            .doing("append to the audit")?;
        let head = Head { height: entry.height, hash: entry.hash };
        let done = Done { head, delivery: self.delivery, event: self.event, written: self.written };
        Ok(Sealed { tx: self.tx, done })
    }
}

/// A transaction that holds everything.
pub(super) struct Sealed<'c> {
    tx: Transaction<'c>,
    done: Done,
}

impl Sealed<'_> {
    /// Commits and syncs.
    pub(super) fn commit(self) -> Result<Done, SqlError> {
        self.tx.commit().doing("commit")?;
        Ok(self.done)
    }
}

fn closed_at(case: &Case) -> Option<Timestamp> {
    let closing = |event: &Event| matches!(event, Event::Closed { .. });
    let told = case.events.iter().rev().find(|stamped| closing(&stamped.event)).map(|stamped| stamped.at);
    // A closed case so long that its end was not kept still has one.
    told.or_else(|| case.is_closed().then(|| case.events.last().map_or(case.opened_at, |last| last.at)))
}
