//! What must survive: deliveries, events, services, cases, the acts that were permitted and the audit over all of
//! it. One thread writes; a commit is synced before anybody hears of it. Judges nothing and acts on nothing.
//!
//! `inbox` takes deliveries, `gate` yields permits, `reader` answers questions, `verify` looks back over the audit.

pub mod audit;
mod commit;
mod gate;
pub mod inbox;
mod keeper;
mod opening;
mod place;
pub mod reader;
pub mod record;
mod sqlite;
pub mod verify;
mod witness;
mod writer;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::{mpsc, oneshot, watch};

use crate::case::dossier::Dossier;
use crate::case::id::{CaseId, DeliveryId, Digest, Duration, ServiceId, SourceName, Timestamp};
use crate::case::standing::Standing;
use crate::case::turn::{Gated, Turn};

use audit::{AuditNote, Signer};
use inbox::{Arrivals, Content, Inbox};
use place::Place;
use reader::{ReadError, Reader, StoredDelivery};
use witness::Witness;
use writer::{Job, Writer};

pub use sqlite::OpenError;
pub use sqlite::SqlError as StoreError;

/// Deliveries on their way to the engine in memory; what does not fit is read from the store.
pub const HANDOVER_MAX: usize = 4096;
/// Turns and notes that wait for the writer: the engine has one under way.
const JOBS_MAX: usize = 64;

/// The settings of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreSettings {
    /// The SQLite file; its lock, witness, key and checkpoints lie beside it.
    pub path: PathBuf,
    /// How long decided deliveries are kept.
    pub keep: Duration,
    /// The store may grow to this size and no further; beyond it senders are told to come again. `None`: to the size
    /// of the disk.
    pub max_bytes: Option<u64>,
}

/// An open store.
#[derive(Debug)]
pub struct Opened {
    /// The journal.
    pub journal: Journal,
    /// Where deliveries are handed over.
    pub inbox: Inbox,
    /// What was stored, for the engine.
    pub handover: mpsc::Receiver<Handover>,
    /// Why the store may not be the newest. The standing holds them already, written by the opening itself.
    pub hold_reasons: Vec<String>,
}

/// A stored delivery on its way to the engine.
#[derive(Clone, Debug)]
pub struct Handover {
    /// Its number. Numbers have no gaps: a missing one has to be read from the store.
    pub id: DeliveryId,
    /// When it reached us.
    pub received_at: Timestamp,
    /// Who sent it.
    pub source: SourceName,
    /// What it says.
    pub content: Content,
}

/// A turn that is on disk.
#[derive(Debug)]
pub struct Committed {
    /// The turn as it was written, with the gate's answers as events.
    pub turn: Turn,
    /// The gate's answers, in the order of the turn's asks.
    pub gated: Vec<Gated>,
}

/// A turn, a note or a rule table that was not written.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The store refused; why. After a failed sync or witness the turn may be on disk all the same: read its
    /// services again.
    #[error("the turn could not be stored: {0}")]
    Storage(String),
    /// Somebody else wrote this service meanwhile; nothing of the turn was written.
    #[error(
        "the turn was not written, because somebody else wrote {0} meanwhile: is a second process at work?"
    )]
    Fenced(ServiceId),
    /// The gate let this case begin, and the turn does not hold its intent; nothing of the turn was written.
    #[error(
        "the turn was not written, because it does not hold the intent of case {0} that it asked the gate for"
    )]
    NotIntended(CaseId),
    /// The journal is closed.
    #[error("the turn was not written, because the journal is closed")]
    Closed,
}

/// Whether the store can be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// It can.
    Fine,
    /// The last commit was refused; why. The next may succeed.
    Failing(String),
    /// What is on the disk is not known; why. Nothing is written until Snapback starts again.
    Broken(String),
}

/// The journal. Cheap to clone; the last clone that goes writes what waits and gives the store free.
#[derive(Clone, Debug)]
pub struct Journal {
    jobs: mpsc::Sender<Job>,
    reader: Reader,
    health: Arc<Mutex<Health>>,
    written: watch::Receiver<u64>,
    commits: watch::Receiver<u64>,
    threads: Arc<Threads>,
}

/// The writing threads, and how they are told to end.
#[derive(Debug)]
struct Threads {
    stop: Mutex<Option<Stop>>,
}

#[derive(Debug)]
struct Stop {
    writer: oneshot::Sender<()>,
    keeper: std::sync::mpsc::Sender<()>,
    threads: [JoinHandle<()>; 2],
}

impl Journal {
    /// Opens the store, makes it where it is missing, and starts the thread that writes. `now` stamps the opening.
    pub fn open(settings: &StoreSettings, now: Timestamp) -> Result<Opened, OpenError> {
        let path = &settings.path;
        let lock = sqlite::lock(path)?;
        let said = witness::read(path)?;
        let mut connection = sqlite::open_writer(path, settings.max_bytes)?;
        if !said.is_closed() {
            sqlite::check(&connection, path)?;
        }
        let of = |cause| sqlite::of(path, cause);
        opening::name(&connection).map_err(of)?;
        let (place, store, cursor) = place::read(&connection).map_err(of)?;
        let hold_reasons = opening::doubts(path, &connection, &place, &store, &said).map_err(of)?;
        let signer = Signer::open(path, store.clone())?;
        let place = opening::begin(&mut connection, place, &hold_reasons, now, path)?;
        let mut witness = Witness::new(path, store);
        witness.remember(&place.head, false).map_err(|cause| OpenError::File {
            doing: "write the witness of",
            path: path.clone(),
            cause,
        })?;
        let reader = Reader::open(path)?;
        let (inbox, arrivals) = Inbox::new();
        arrivals.known_before(place::recent_requests(&connection).map_err(of)?);
        arrivals.left_over(place.delivery.saturating_sub(cursor), DeliveryId(place.delivery));
        let (handover, handed) = mpsc::channel(HANDOVER_MAX);
        let desk = Desk { settings, connection, place, arrivals, handover, witness, signer, now };
        let journal = start(desk, reader, lock)?;
        Ok(Opened { journal, inbox, handover: handed, hold_reasons })
    }

    /// Writes a turn: events, services, cases, dispositions, cursor, standing and the gate's answers, all or nothing.
    ///
    /// A caller that stops waiting loses the answer, never the turn.
    pub async fn append(&self, turn: Turn) -> Result<Committed, AppendError> {
        let (answer, answered) = oneshot::channel();
        self.ask(Job::Append(Box::new(turn), answer), answered).await
    }

    /// Puts a note into the audit.
    pub async fn note(&self, at: Timestamp, note: AuditNote) -> Result<(), AppendError> {
        let (answer, answered) = oneshot::channel();
        self.ask(Job::Note(at, note, answer), answered).await
    }

    /// Stores a rule table under its digest, so that a decision that names it can be explained for ever.
    pub async fn store_rules(&self, at: Timestamp, digest: Digest, text: String) -> Result<(), AppendError> {
        let (answer, answered) = oneshot::channel();
        self.ask(Job::Rules(at, digest, text, answer), answered).await
    }

    async fn ask<T>(
        &self,
        job: Job,
        answered: oneshot::Receiver<Result<T, AppendError>>,
    ) -> Result<T, AppendError> {
        self.jobs.send(job).await.map_err(|_| AppendError::Closed)?;
        answered.await.unwrap_or(Err(AppendError::Closed))
    }

    /// Who answers questions about what is stored; it takes turns with nobody.
    pub fn reader(&self) -> Reader {
        self.reader.clone()
    }

    /// Asks the store, on a thread where waiting hurts nobody.
    pub async fn read<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&Reader) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, ReadError> {
        let reader = self.reader.clone();
        tokio::task::spawn_blocking(move || ask(&reader)).await.unwrap_or(Err(ReadError::Stopped))
    }

    /// Every service, as it was written last.
    pub async fn dossiers(&self) -> Result<Vec<Dossier>, ReadError> {
        self.read(Reader::dossiers).await
    }

    /// The standing, as it was written last.
    pub async fn standing(&self) -> Result<Standing, ReadError> {
        self.read(Reader::standing).await
    }

    /// Every delivery up to this one is decided.
    pub async fn cursor(&self) -> Result<DeliveryId, ReadError> {
        self.read(Reader::cursor).await
    }

    /// Deliveries after this one, in the order in which they were stored; at most `limit`.
    pub async fn undecided(&self, after: DeliveryId, limit: u32) -> Result<Vec<StoredDelivery>, ReadError> {
        self.read(move |reader| reader.deliveries(after, limit)).await
    }

    /// The number of the last event on disk, told again whenever there are more.
    pub fn written(&self) -> watch::Receiver<u64> {
        self.written.clone()
    }

    /// The height of the audit, told at each commit.
    pub fn commits(&self) -> watch::Receiver<u64> {
        self.commits.clone()
    }

    /// Whether the store can be written.
    pub fn health(&self) -> Health {
        if self.jobs.is_closed() {
            return Health::Broken("the writer has ended".into());
        }
        self.health.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Writes what waits, signs the audit, gives the store free. Every inbox says that it is closing from then on.
    pub async fn close(&self) {
        let threads = Arc::clone(&self.threads);
        // A panic of the writer was told where it happened.
        let _ = tokio::task::spawn_blocking(move || threads.end()).await;
    }
}

impl Threads {
    fn end(&self) {
        let stop = self.stop.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Stop { writer, keeper, threads }) = stop {
            drop((writer, keeper));
            for thread in threads {
                // A panic of the thread was told where it happened.
                let _ = thread.join();
            }
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.end();
    }
}

/// Everything that the writing threads begin with.
struct Desk<'a> {
    settings: &'a StoreSettings,
    connection: rusqlite::Connection,
    place: Place,
    arrivals: Arrivals,
    handover: mpsc::Sender<Handover>,
    witness: Witness,
    signer: Signer,
    now: Timestamp,
}

fn start(desk: Desk<'_>, reader: Reader, lock: std::fs::File) -> Result<Journal, OpenError> {
    let Desk { settings, connection, place, arrivals, handover, witness, signer, now } = desk;
    let path = settings.path.clone();
    let file = |cause| OpenError::File { doing: "start the threads of", path: settings.path.clone(), cause };
    let keeping = sqlite::open_writer(&path, settings.max_bytes)?;
    let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(file)?;
    let (jobs, asked) = mpsc::channel(JOBS_MAX);
    let (stop_writer, stop) = oneshot::channel();
    let (stop_keeper, stopped) = std::sync::mpsc::channel();
    let health = Arc::new(Mutex::new(Health::Fine));
    let height = place.head.height;
    let (to_written, written) = watch::channel(place.event);
    let (to_commits, commits) = watch::channel(height);
    let writer = Writer {
        connection,
        place,
        jobs: asked,
        stop,
        arrivals,
        handover,
        witness,
        signer,
        health: Arc::clone(&health),
        written: to_written,
        commits: to_commits,
        keep: settings.keep,
        newest: now,
        signed: (height, 0),
        ticked: height,
    };
    let ticks = jobs.clone();
    let keeper = std::thread::Builder::new()
        .name("journal-keeper".into())
        .spawn(move || keeper::run(&keeping, &path, &stopped, &ticks))
        .map_err(file)?;
    let writing = std::thread::Builder::new()
        .name("journal-writer".into())
        .spawn(move || {
            runtime.block_on(writer.run());
            // The right to write lasts until the last commit.
            drop(lock);
        })
        .map_err(file)?;
    let stop = Stop { writer: stop_writer, keeper: stop_keeper, threads: [keeper, writing] };
    Ok(Journal {
        jobs,
        reader,
        health,
        written,
        commits,
        threads: Arc::new(Threads { stop: Mutex::new(Some(stop)) }),
    })
}

/// A moment as it is stored: nanoseconds since 1970; beyond 2262 the last that fits.
fn stamp(at: Timestamp) -> i64 {
    i64::try_from(at.as_nanosecond()).unwrap_or(i64::MAX)
}

/// The moment of a stamp.
fn moment(stamp: i64) -> Timestamp {
    Timestamp::from_nanosecond(i128::from(stamp)).unwrap_or_default()
}
