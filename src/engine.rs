//! The engine: the one loop. Arrivals become a turn, the turn is committed, and only then do its errands start.
//! Owns order and pace; what to do is `case`'s, how to write it is `journal`'s, how to do it is the rim's.

pub mod arrival;
mod chronicle;
pub mod desk;
pub mod errand;
mod hand;
pub mod lane;
mod lookout;
pub mod pace;
pub mod preview;
pub mod rim;
mod spoken;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};

use crate::case::approval::Roster;
use crate::case::command::{Command, Ending, Input, Request};
use crate::case::id::{DeliveryId, ServiceId, Timestamp};
use crate::case::turn::{Disposition, Turn};
use crate::clock::{Clock, sleep};
use crate::engine::desk::{Arrival, Content, Desk, DeskSettings, Replay};
use crate::engine::errand::Errands;
use crate::engine::lookout::look_out;
use crate::engine::rim::{Rim, announce, carry_out, whisper};
use crate::journal::reader::StoredDelivery;
use crate::journal::{AppendError, Handover, Health, Journal, inbox};
use crate::telemetry::metrics::Metrics;

/// A turn takes up to so many arrivals: one commit serves them all, and none waits long behind others.
const ARRIVALS_MAX: usize = 256;
/// Endings that wait to be taken. Errands wait at the channel beyond it.
const ENDINGS_MAX: usize = 1024;
/// Even if nothing is due, the loop looks again after so long: a wake-up that was missed costs no more.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// The shortest nap: a service that is due and cannot move does not make the loop spin.
const NAP_MIN: Duration = Duration::from_millis(20);
/// After a turn that could not be written the loop waits so long before it tries again.
const AFTER_REFUSAL: Duration = Duration::from_millis(500);

/// Reads a stored body again as its source's sender wrote it.
pub type Reader = Arc<dyn Fn(&StoredDelivery) -> Content + Send + Sync>;

/// New settings, taken whole between two turns.
pub struct Reload {
    /// For the desk.
    pub desk: Arc<DeskSettings>,
    /// For the errands.
    pub rim: Arc<Rim>,
}

/// What the engine works with.
pub struct Parts {
    /// Where everything is written.
    pub journal: Journal,
    /// Deliveries, handed over after their commit.
    pub handover: mpsc::Receiver<Handover>,
    /// Reads deliveries that were not handed over in memory.
    pub reader: Reader,
    /// New settings.
    pub reloads: mpsc::Receiver<Reload>,
    /// Where services whose provider cannot be read are told, whenever they change.
    pub troubles: watch::Sender<BTreeMap<ServiceId, String>>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Who belongs to which group, whenever it was read.
    pub rosters: watch::Receiver<Option<Roster>>,
    /// Says when to stop.
    pub stop: watch::Receiver<bool>,
    /// The time.
    pub clock: Clock,
}

/// The one loop and what it holds.
pub struct Engine {
    desk: Desk,
    rim: Arc<Rim>,
    parts: Parts,
    endings: mpsc::Receiver<Arrival>,
    to_endings: mpsc::Sender<Arrival>,
    running: BTreeMap<Command, AbortHandle>,
    /// Answers and bulletins on their way to people; as many as the last moments gave cause for.
    whispers: JoinSet<()>,
    /// Whoever waits for changes at the providers, one for each service.
    lookouts: JoinSet<()>,
    /// Every delivery up to this one is decided.
    cursor: DeliveryId,
    /// What is on the disk is not known any more: nothing goes on before a new start has read it.
    broken: bool,
    /// Deliveries beyond the cursor may lie on disk without having been handed over.
    catch_up: bool,
    /// Signals that led to no service, since the start.
    unheeded: u64,
}

impl Engine {
    /// An engine over a desk; nothing is under way. Every delivery up to `cursor` is decided.
    pub fn new(desk: Desk, rim: Arc<Rim>, parts: Parts, cursor: DeliveryId) -> Engine {
        let (to_endings, endings) = mpsc::channel(ENDINGS_MAX);
        Engine {
            desk,
            rim,
            parts,
            endings,
            to_endings,
            running: BTreeMap::new(),
            whispers: JoinSet::new(),
            lookouts: JoinSet::new(),
            cursor,
            catch_up: true,
            unheeded: 0,
            broken: false,
        }
    }

    /// Runs until told to stop, or until the store is broken. What is under way at the provider goes on there; after
    /// a restart it is looked for.
    ///
    /// # Errors
    /// When what is on the disk is not known any more: the process must end, and read it anew.
    pub async fn run(mut self) -> Result<(), StoreBroken> {
        let restarted: Vec<Arrival> = self.desk.services().into_iter().map(restarted).collect();
        self.take_turn(restarted).await;
        self.look_out();
        while !*self.parts.stop.borrow() && !self.broken {
            let arrivals = match self.gather().await {
                Some(arrivals) => arrivals,
                None => break,
            };
            self.take_turn(arrivals).await;
        }
        for (_, errand) in std::mem::take(&mut self.running) {
            errand.abort();
        }
        if self.broken { Err(StoreBroken) } else { Ok(()) }
    }

    /// Waits for what arrives next, and takes whatever else is there already. `None`: stop.
    async fn gather(&mut self) -> Option<Vec<Arrival>> {
        if self.catch_up {
            return Some(self.read_undecided().await);
        }
        let nap = self.nap();
        let mut arrivals = Vec::new();
        tokio::select! {
            biased;
            _ = self.parts.stop.changed() => return None,
            Some(ending) = self.endings.recv() => arrivals.push(ending),
            Some(reload) = self.parts.reloads.recv() => self.reload(reload),
            Ok(()) = self.parts.rosters.changed() => {
                arrivals.extend(self.parts.rosters.borrow_and_update().clone().map(Arrival::Roster));
            }
            Some(handover) = self.parts.handover.recv() => self.hand_over(handover, &mut arrivals),
            () = sleep(nap) => {}
        }
        while arrivals.len() < ARRIVALS_MAX {
            let Ok(ending) = self.endings.try_recv() else { break };
            arrivals.push(ending);
        }
        while arrivals.len() < ARRIVALS_MAX && !self.catch_up {
            let Ok(handover) = self.parts.handover.try_recv() else { break };
            self.hand_over(handover, &mut arrivals);
        }
        Some(arrivals)
    }

    /// Brings the dead letters that people want to be read again.
    async fn bring_letters(&self, arrivals: &mut [Arrival]) {
        for arrival in arrivals {
            let Arrival::Delivery { content, .. } = arrival else { continue };
            let Content::Asked(request) = content else { continue };
            let Request::Replay { letter, .. } = **request else { continue };
            let stored = self.parts.journal.read(move |reader| reader.dead_letter(letter)).await;
            let reads = stored.unwrap_or_else(|error| {
                tracing::error!(error = %error, "a dead letter could not be read");
                None
            });
            let reads = reads.map(|stored| {
                // It is read anew, whatever was found wrong with it before.
                let stored = StoredDelivery { dead: None, ..stored };
                (stored.source.clone(), Box::new((self.parts.reader)(&stored)))
            });
            *content = Content::Replayed(Replay { letter, reads });
        }
    }

    fn reload(&mut self, reload: Reload) {
        // What is said to people, and asked about them, goes on by the new settings: the old ones may be what was wrong.
        let by_the_old: Vec<Command> =
            self.running.keys().filter(|command| command.is_to_people()).cloned().collect();
        for command in &by_the_old {
            if let Some(errand) = self.running.remove(command) {
                errand.abort();
            }
        }
        self.desk.cut(&by_the_old);
        self.desk.reload(reload.desk, self.parts.clock.now());
        self.rim = reload.rim;
        self.look_out();
    }

    /// Waits for changes at the providers of all services, by the present settings.
    fn look_out(&mut self) {
        self.lookouts = JoinSet::new();
        for service in self.rim.services.keys() {
            self.lookouts.spawn(look_out(service.clone(), self.rim.clone(), self.to_endings.clone()));
        }
    }

    fn nap(&self) -> Duration {
        let Some(wake) = self.desk.wake_at() else { return LOOK_AGAIN };
        let left = wake.duration_since(self.parts.clock.now());
        let left = if left.is_negative() { Duration::ZERO } else { left.unsigned_abs() };
        left.clamp(NAP_MIN, LOOK_AGAIN)
    }

    /// Takes a delivery from memory if it is the next one; a gap means that some were dropped on the way here, and
    /// all of them are read from disk.
    fn hand_over(&mut self, handover: Handover, arrivals: &mut Vec<Arrival>) {
        if handover.id.0 <= self.cursor.0 {
            return;
        }
        if handover.id.0 != self.cursor.0 + 1 {
            self.catch_up = true;
            return;
        }
        self.cursor = handover.id;
        let (id, source, content) = (handover.id, handover.source, handover.content.into());
        arrivals.push(Arrival::Delivery { id, source, content });
    }

    async fn read_undecided(&mut self) -> Vec<Arrival> {
        let limit = u32::try_from(ARRIVALS_MAX).unwrap_or(u32::MAX);
        let stored = match self.parts.journal.undecided(self.cursor, limit).await {
            Ok(stored) => stored,
            Err(error) => {
                tracing::error!(error = %error, "undecided deliveries could not be read");
                sleep(AFTER_REFUSAL).await;
                return Vec::new();
            }
        };
        self.catch_up = stored.len() == ARRIVALS_MAX;
        let mut arrivals = Vec::with_capacity(stored.len());
        for delivery in stored {
            self.cursor = delivery.id;
            let content = (self.parts.reader)(&delivery);
            arrivals.push(Arrival::Delivery { id: delivery.id, source: delivery.source, content });
        }
        arrivals
    }

    fn tell_troubles(&self) {
        let troubles = self.desk.troubles();
        self.parts.troubles.send_if_modified(|told| {
            let changed = *told != troubles;
            *told = troubles;
            changed
        });
    }

    async fn take_turn(&mut self, mut arrivals: Vec<Arrival>) {
        self.bring_letters(&mut arrivals).await;
        let now: Timestamp = self.parts.clock.now();
        for arrival in &arrivals {
            chronicle::arrived(arrival, &self.desk, &self.rim, &self.parts.metrics);
            if let Some(command) = ended_command(arrival) {
                self.running.remove(&command);
            }
        }
        let turn = self.desk.turn(arrivals, now);
        self.tell_troubles();
        if turn.is_empty() {
            let errands = self.desk.commit(turn, Vec::new());
            return self.start(errands);
        }
        let touched = Turn { at: turn.at, changes: turn.changes.clone(), ..Turn::default() };
        match self.parts.journal.append(turn).await {
            Ok(committed) => {
                chronicle::committed(&committed.turn, &self.rim, &self.parts.metrics);
                self.note_unheeded(&committed.turn);
                let errands = self.desk.commit(committed.turn, committed.gated);
                self.start(errands);
            }
            Err(error) => self.refused(touched, &error).await,
        }
    }

    /// Signals that lead to no service are recorded; their senders hear nothing of it, so that the log is where it
    /// shows, each time that their number has doubled.
    fn note_unheeded(&mut self, turn: &Turn) {
        for disposition in turn.dispositions.iter().flat_map(|(_, dispositions)| dispositions) {
            let (what, why) = match disposition {
                Disposition::Unmapped(why) => ("a signal leads to no service", why.clone()),
                Disposition::TooMany(why) => ("a signal is beyond what is judged at a time", why.clone()),
                Disposition::OutOfScope(service) => {
                    ("a signal leads to no service", format!("its source may not speak about {service}"))
                }
                Disposition::Taken(_)
                | Disposition::Repeated(_)
                | Disposition::Idle(_)
                | Disposition::Aside(_)
                | Disposition::Dead(_)
                | Disposition::Done(_)
                | Disposition::Forbidden(_)
                | Disposition::Conflict(_) => continue,
            };
            self.unheeded += 1;
            if self.unheeded.is_power_of_two() {
                tracing::warn!(count = self.unheeded, why, "{what}; it is recorded, and nothing follows");
            }
        }
    }

    /// The turn was not written: nothing of it happened. Its deliveries are still on disk, and what its errands found
    /// is looked for again.
    async fn refused(&mut self, touched: Turn, error: &AppendError) {
        tracing::error!(error = %error, "a turn could not be written; nothing was done");
        self.desk.forget(touched);
        self.broken = match (error, self.parts.journal.health()) {
            (AppendError::Storage(_), Health::Fine | Health::Failing(_)) => false,
            (AppendError::Storage(_), Health::Broken(_)) => true,
            // Somebody else wrote, or our own turn contradicts itself: what is in memory is not to be trusted.
            (AppendError::Fenced(_) | AppendError::NotIntended(_) | AppendError::Closed, _) => true,
        };
        if let Ok(cursor) = self.parts.journal.cursor().await {
            self.cursor = cursor;
        }
        self.catch_up = true;
        sleep(AFTER_REFUSAL).await;
    }

    fn start(&mut self, errands: Errands) {
        for command in errands.stop {
            if let Some(errand) = self.running.remove(&command) {
                errand.abort();
            }
        }
        for answer in errands.whispers {
            self.whispers.spawn(whisper(answer, self.rim.clone()));
        }
        for bulletin in errands.bulletins {
            self.whispers.spawn(announce(bulletin, self.rim.clone()));
        }
        while self.whispers.try_join_next().is_some() {}
        for errand in errands.start {
            let command = errand.command();
            let (rim, endings) = (self.rim.clone(), self.to_endings.clone());
            let task = tokio::spawn(carry_out(errand, rim));
            self.running.insert(command.clone(), task.abort_handle());
            tokio::spawn(async move {
                let arrival = match task.await {
                    Ok(arrival) => arrival,
                    // Cut: nothing lists its command any more.
                    Err(error) if error.is_cancelled() => return,
                    Err(error) => panicked(command, &error),
                };
                // A closed channel means that the engine stopped: the state says what to look for.
                let _ = endings.send(arrival).await;
            });
        }
        self.parts.metrics.under_way(self.running.keys());
    }
}

impl From<inbox::Content> for Content {
    fn from(content: inbox::Content) -> Content {
        match content {
            inbox::Content::Signals(signals) => Content::Signals(signals),
            inbox::Content::Notices(notices) => Content::Notices(notices),
            inbox::Content::Aside(what) => Content::Aside(what),
            inbox::Content::Dead(why) => Content::Dead(why),
            inbox::Content::Asked(request) => Content::Asked(request),
        }
    }
}

/// The store is broken: what is on the disk is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what is in the store is not known any more; nothing goes on before a new start has read it")]
pub struct StoreBroken;

/// A panic in one errand stays there: what it did is not known, and is looked for.
fn panicked(command: Command, error: &tokio::task::JoinError) -> Arrival {
    tracing::error!(command = command.crash_point(), error = %error, "an errand panicked");
    match command {
        Command::Describe(service) => Arrival::Unreadable(service, "the reading panicked".into()),
        Command::Propose(_)
        | Command::Collect(_)
        | Command::RollCall(..)
        | Command::Begin(..)
        | Command::Find(..)
        | Command::Watch(..)
        | Command::Say(..)
        | Command::Show(_)
        | Command::Onset(..)
        | Command::Probe(..)
        | Command::Page(..) => {
            Arrival::Ended(command, Box::new(Ending::Unclear("the errand panicked".into())))
        }
    }
}

fn restarted(service: ServiceId) -> Arrival {
    Arrival::To(service, Box::new(Input::Restarted))
}

fn ended_command(arrival: &Arrival) -> Option<Command> {
    match arrival {
        Arrival::Ended(command, _) => Some(command.clone()),
        Arrival::Unreadable(service, _) => Some(Command::Describe(service.clone())),
        Arrival::Delivery { .. }
        | Arrival::To(..)
        | Arrival::Moved(_)
        | Arrival::Standing(_)
        | Arrival::Roster(_) => None,
    }
}
