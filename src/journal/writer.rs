//! The writer: the one thread that writes. It takes the engine's turn first, then up to 512 deliveries, and makes
//! one commit of them; it waits for nothing but work. Answers nobody before the commit is synced.

use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot, watch};

use super::audit::{AuditNote, SIGNED_ENTRIES, SIGNED_SECONDS, Signer};
use super::commit::{Commit, Unwritten};
use super::gate;
use super::inbox::{Arrival, Arrivals, NotStored, Received};
use super::place::{Done, Place, prunable};
use super::witness::Witness;
use super::{AppendError, Committed, Handover, Health};
use crate::case::gate::Why;
use crate::case::id::{DeliveryId, Digest, Duration, Timestamp};
use crate::case::turn::Turn;

/// Deliveries in one commit: more would make the first of them wait longer than a sync takes.
const BATCH_MAX: usize = 512;
/// Old deliveries that are deleted at once: a few milliseconds, so that nobody waits for it.
const PRUNED_AT_ONCE: u32 = 500;

/// What the writer is asked beside storing deliveries.
#[derive(Debug)]
pub(super) enum Job {
    /// Write a turn.
    Append(Box<Turn>, oneshot::Sender<Result<Committed, AppendError>>),
    /// Put a note into the audit.
    Note(Timestamp, AuditNote, oneshot::Sender<Result<(), AppendError>>),
    /// Store a rule table.
    Rules(Timestamp, Digest, String, oneshot::Sender<Result<(), AppendError>>),
    /// A second passed.
    Tick,
}

/// The writing thread's whole state.
pub(super) struct Writer {
    pub(super) connection: Connection,
    pub(super) place: Place,
    pub(super) jobs: mpsc::Receiver<Job>,
    pub(super) stop: oneshot::Receiver<()>,
    pub(super) arrivals: Arrivals,
    pub(super) handover: mpsc::Sender<Handover>,
    pub(super) witness: Witness,
    pub(super) signer: Signer,
    pub(super) health: Arc<Mutex<Health>>,
    /// Tells the number of the last event on disk.
    pub(super) written: watch::Sender<u64>,
    /// Tells the height of the audit after each commit.
    pub(super) commits: watch::Sender<u64>,
    pub(super) keep: Duration,
    /// The newest moment that anything came with: what is old is judged by it.
    pub(super) newest: Timestamp,
    /// Entries and seconds at the last signature.
    pub(super) signed: (u64, u32),
    /// Entries at the last tick.
    pub(super) ticked: u64,
}

/// What a job writes, and the answer once it is on disk.
enum Wrote {
    Nothing,
    Turn(Box<Turn>, Vec<Result<(), Why>>),
}

/// Which part of a commit failed.
enum Failed {
    /// Before the commit: nothing is written, and the next may succeed.
    Before(Unwritten),
    /// At the commit: what is on the disk is not known.
    AtCommit(String),
}

impl Writer {
    /// Works until it is told to stop, and then writes what waits.
    pub(super) async fn run(mut self) {
        let mut batch = Vec::with_capacity(BATCH_MAX);
        let mut hears = true;
        loop {
            let job = tokio::select! {
                biased;
                _ = &mut self.stop => break,
                job = self.jobs.recv() => match job {
                    Some(job) => Some(job),
                    None => break,
                },
                taken = self.arrivals.take(&mut batch, BATCH_MAX), if hears => {
                    hears = taken > 0;
                    self.jobs.try_recv().ok()
                }
            };
            self.arrivals.take_waiting(&mut batch, BATCH_MAX);
            self.work(job, &mut batch);
        }
        self.arrivals.close();
        self.jobs.close();
        loop {
            let job = self.jobs.try_recv().ok();
            self.arrivals.take_waiting(&mut batch, BATCH_MAX);
            if job.is_none() && batch.is_empty() {
                break;
            }
            self.work(job, &mut batch);
        }
        self.end();
    }

    /// One commit of a job and a batch; apart, where together they fail before the commit.
    fn work(&mut self, job: Option<Job>, batch: &mut Vec<Arrival>) {
        let job = match job {
            Some(Job::Tick) => {
                self.tick();
                None
            }
            job => job,
        };
        if job.is_none() && batch.is_empty() {
            return;
        }
        match self.write(job.as_ref(), batch) {
            Ok((wrote, first)) => {
                self.healthy();
                self.answer_job(job, Ok(wrote));
                self.answer_batch(first, batch);
            }
            Err(Failed::Before(why)) if job.is_some() && !batch.is_empty() => {
                tracing::debug!(%why, "a turn and deliveries are written apart");
                self.work(job, &mut Vec::new());
                self.work(None, batch);
            }
            Err(failed) => {
                let why = self.failed(failed);
                for arrival in batch.drain(..) {
                    arrival.answer(Err(NotStored::Storage(why.to_string())));
                }
                self.answer_job(job, Err(why));
            }
        }
    }

    /// Writes and commits; gives what the job wrote and the number of the first delivery.
    fn write(&mut self, job: Option<&Job>, batch: &[Arrival]) -> Result<(Wrote, u64), Failed> {
        if let Health::Broken(why) = &*self.health.lock().unwrap_or_else(PoisonError::into_inner) {
            return Err(Failed::AtCommit(why.clone()));
        }
        let before = |why: super::sqlite::SqlError| Failed::Before(why.into());
        let mut newest = self.newest;
        let mut commit = Commit::begin(&mut self.connection, &self.place).map_err(before)?;
        let wrote = match job {
            Some(Job::Append(turn, _)) => {
                newest = newest.max(turn.at);
                let (turn, answers) = commit.turn((**turn).clone()).map_err(Failed::Before)?;
                Wrote::Turn(Box::new(turn), answers)
            }
            Some(Job::Note(at, note, _)) => {
                newest = newest.max(*at);
                commit.note(note.clone());
                Wrote::Nothing
            }
            Some(Job::Rules(at, digest, text, _)) => {
                newest = newest.max(*at);
                commit.rules(*at, digest, text).map_err(before)?;
                Wrote::Nothing
            }
            Some(Job::Tick) | None => Wrote::Nothing,
        };
        let first = if batch.is_empty() { 0 } else { commit.deliveries(batch).map_err(before)? };
        newest = batch.iter().map(|arrival| arrival.delivery.received_at).fold(newest, Timestamp::max);
        let done = finish(commit, newest)?;
        self.newest = newest;
        self.place.take_over(done);
        let event = self.place.event;
        self.commits.send_replace(self.place.head.height);
        self.written.send_if_modified(|told| std::mem::replace(told, event) != event);
        Ok((wrote, first))
    }

    fn answer_job(&mut self, job: Option<Job>, wrote: Result<Wrote, AppendError>) {
        // Whoever asked may have gone: what is written stays.
        match job {
            Some(Job::Append(_, answer)) => {
                let committed = wrote.and_then(|wrote| self.committed(wrote));
                let _ = answer.send(committed);
            }
            Some(Job::Note(_, _, answer) | Job::Rules(_, _, _, answer)) => {
                let _ = answer.send(wrote.map(|_| ()));
            }
            Some(Job::Tick) | None => {}
        }
    }

    /// Hands out what a committed turn permits, after the witness knows of it.
    fn committed(&mut self, wrote: Wrote) -> Result<Committed, AppendError> {
        let (turn, answers) = match wrote {
            Wrote::Turn(turn, answers) => (*turn, answers),
            Wrote::Nothing => (Turn::default(), Vec::new()),
        };
        if let Some(cursor) = turn.cursor {
            self.arrivals.decided(cursor);
        }
        if answers.iter().any(Result::is_ok) {
            self.witness.remember(&self.place.head, false).map_err(|cause| {
                AppendError::Storage(format!(
                    "the intent is written, and its witness is not ({cause}): no permit is handed out"
                ))
            })?;
        }
        let gated = gate::permits(&turn, answers);
        Ok(Committed { turn, gated })
    }

    fn answer_batch(&mut self, first: u64, batch: &mut Vec<Arrival>) {
        let numbered = (first..).map(DeliveryId).zip(batch.iter()).map(|(id, one)| (id, &one.delivery));
        self.arrivals.stored(numbered);
        for (id, arrival) in (first..).map(DeliveryId).zip(batch.drain(..)) {
            let delivery = arrival.answer(Ok(Received::New(id)));
            // A full channel drops it: the engine then reads it from the store, by its cursor.
            let _ = self.handover.try_send(Handover {
                id,
                received_at: delivery.received_at,
                source: delivery.source,
                content: delivery.content,
            });
        }
    }

    /// Takes note of a failure; gives the answer for everybody who waits on it.
    fn failed(&mut self, failed: Failed) -> AppendError {
        let (why, health) = match failed {
            Failed::Before(Unwritten::Sql(why)) if why.is_corrupt() => {
                (AppendError::Storage(why.to_string()), Health::Broken(why.to_string()))
            }
            Failed::Before(Unwritten::Sql(why)) => {
                (AppendError::Storage(why.to_string()), Health::Failing(why.to_string()))
            }
            Failed::Before(why) => return why.into(),
            Failed::AtCommit(why) => (AppendError::Storage(why.clone()), Health::Broken(why)),
        };
        let mut known = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        if *known != health {
            match &health {
                Health::Broken(why) => {
                    tracing::error!(why, "the store cannot be trusted any more: restart Snapback")
                }
                Health::Failing(why) => {
                    tracing::error!(why, "the store refuses to write; senders are told to retry")
                }
                Health::Fine => {}
            }
            *known = health;
        }
        why
    }

    fn healthy(&mut self) {
        let mut known = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*known, Health::Failing(_)) {
            tracing::info!("the store writes again");
            *known = Health::Fine;
        }
    }

    fn is_broken(&self) -> bool {
        matches!(*self.health.lock().unwrap_or_else(PoisonError::into_inner), Health::Broken(_))
    }

    /// What is due once a second: the witness, the signature and, when nothing else is to do, old deliveries.
    fn tick(&mut self) {
        if self.is_broken() {
            return;
        }
        let height = self.place.head.height;
        let idle = height == self.ticked;
        self.ticked = height;
        self.signed.1 += 1;
        if let Err(cause) = self.witness.remember(&self.place.head, false) {
            tracing::warn!(%cause, "the store's witness could not be written");
        }
        let entries = height.saturating_sub(self.signed.0);
        if entries >= SIGNED_ENTRIES || (entries > 0 && self.signed.1 >= SIGNED_SECONDS) {
            self.sign();
        }
        if idle {
            self.prune();
        }
    }

    fn sign(&mut self) {
        match self.signer.sign(&self.place.head, self.newest) {
            Ok(()) => self.signed = (self.place.head.height, 0),
            Err(cause) => tracing::warn!(%cause, "the audit's checkpoint could not be written"),
        }
    }

    fn prune(&mut self) {
        let Ok(before) = self.newest.checked_sub(self.keep) else { return };
        let due = match prunable(&self.connection, before, PRUNED_AT_ONCE) {
            Ok(due) => due,
            Err(why) => return tracing::warn!(%why, "old deliveries are kept"),
        };
        let Some(through) = due else { return };
        let written = Commit::begin(&mut self.connection, &self.place)
            .and_then(|mut commit| commit.prune(through).map(|()| commit))
            .map_err(|why| Failed::Before(why.into()))
            .and_then(|commit| finish(commit, self.newest));
        match written {
            // The next tick goes on where this one ended: its own entry does not count as work.
            Ok(done) => {
                self.place.take_over(done);
                self.ticked = self.place.head.height;
            }
            Err(failed) => {
                let why = self.failed(failed);
                tracing::warn!(%why, "old deliveries are kept");
            }
        }
    }

    /// Leaves everything so that the next start finds it whole and signed.
    fn end(mut self) {
        if self.is_broken() {
            return;
        }
        if self.place.head.height > self.signed.0 {
            self.sign();
        }
        if let Err(cause) = self.witness.remember(&self.place.head, true) {
            tracing::warn!(%cause, "the store's witness could not be written");
        }
        // A short log makes the next start short; one that readers still need stays as it is.
        let put_away = self.connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
        if let Err(cause) = put_away {
            tracing::warn!(%cause, "the store's log is not put away");
        }
    }
}

fn finish(commit: Commit<'_>, at: Timestamp) -> Result<Done, Failed> {
    let sealed = commit.seal(at).map_err(Failed::Before)?;
    sealed.commit().map_err(|why| {
        // A full disk shows when the log grows, before anything is synced: the commit did not happen, and is rolled
        // back. Any other error leaves open what is on the disk.
        if why.is_full() { Failed::Before(why.into()) } else { Failed::AtCommit(why.to_string()) }
    })
}
