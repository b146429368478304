//! The dossier: everything Snapback knows and does about one service. It is the unit of memory, of sequence, of
//! transaction and of a replica's claim. Its events tell the story; it is the memory, stored whole.

use std::collections::{BTreeMap, VecDeque};

use super::deployment::Owner;
use super::habit::Habit;
use super::id::{CaseId, DeploymentId, PersonId, ProbeName, ServiceId, SignalName, StepNo, Timestamp};
use super::ledger::Ledger;
use super::notice::Notice;
use super::phase::Outcome;
use super::probe::Failing;
use super::signal::{Episode, EpisodeKey};
use super::step::Doer;
use super::story::Case;

/// Episodes kept at once: beyond it new ones are refused as "too many", and said so.
pub const EPISODES_MAX: usize = 256;
/// Ended episodes kept, for late reports and for what is chronic.
pub const ENDED_MAX: usize = 256;
/// Signal names with habits.
pub const HABITS_MAX: usize = 256;
/// Past outcomes kept.
pub const OUTCOMES_MAX: usize = 20;

/// Everything about one service that survives.
#[derive(Clone, Debug, PartialEq)]
pub struct Dossier {
    /// The service.
    pub service: ServiceId,
    /// Its releases and deployments.
    pub ledger: Ledger,
    /// What feeds told lately of its deployments, oldest first by arrival.
    pub notices: Vec<Notice>,
    /// Who else decides what should run there.
    pub owner: Owner,
    /// What is usual for its signals.
    pub habits: BTreeMap<SignalName, Habit>,
    /// Episodes that are firing or settling.
    pub episodes: BTreeMap<EpisodeKey, Episode>,
    /// Episodes that ended, oldest first.
    pub ended: VecDeque<EndedEpisode>,
    /// Probes that fail.
    pub failing: BTreeMap<ProbeName, Failing>,
    /// Nothing automatic until then.
    pub freeze: Option<Freeze>,
    /// The open case.
    pub open: Option<Box<Case>>,
    /// Closed cases that are still being told.
    pub telling: Vec<Case>,
    /// How the last cases ended, oldest first.
    pub outcomes: VecDeque<PastOutcome>,
    /// Cases opened so far: the next one's number is one more.
    pub cases_opened: u64,
}

/// An episode that ended: enough to know a late report for what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndedEpisode {
    /// Which alert.
    pub key: EpisodeKey,
    /// Its name.
    pub name: SignalName,
    /// When it began.
    pub started_at: Timestamp,
    /// When the sender said that it cleared.
    pub cleared_at: Timestamp,
}

/// Nothing automatic until then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Freeze {
    /// Who.
    pub by: PersonId,
    /// Why.
    pub reason: String,
    /// Until when.
    pub until: Timestamp,
}

/// How a case ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastOutcome {
    /// The case.
    pub case: CaseId,
    /// Its suspect.
    pub suspect: Option<DeploymentId>,
    /// How it ended.
    pub outcome: Outcome,
    /// When.
    pub at: Timestamp,
    /// A request of its plan was permitted.
    pub acted: bool,
}

impl Dossier {
    /// A service that was never seen.
    pub fn new(service: ServiceId) -> Dossier {
        Dossier {
            service,
            ledger: Ledger::default(),
            notices: Vec::new(),
            owner: Owner::Nobody,
            habits: BTreeMap::new(),
            episodes: BTreeMap::new(),
            ended: VecDeque::new(),
            failing: BTreeMap::new(),
            freeze: None,
            open: None,
            telling: Vec::new(),
            outcomes: VecDeque::new(),
            cases_opened: 0,
        }
    }

    /// Who does this step of the open case's plan.
    pub fn doer(&self, step: StepNo) -> Option<&Doer> {
        let plan = self.open.as_deref()?.plan.as_ref()?;
        plan.step(step).map(|step| &step.doer)
    }

    /// The case of this id, open or still being told.
    pub fn case(&self, id: &CaseId) -> Option<&Case> {
        self.open
            .as_deref()
            .filter(|case| case.id == *id)
            .or_else(|| self.telling.iter().find(|case| case.id == *id))
    }
}

/// An event that cannot follow the present phase. A bug or a torn store, never business.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{event} cannot follow {phase}")]
pub struct IllegalEvent {
    /// The phase, or `no case`.
    pub phase: &'static str,
    /// The event.
    pub event: &'static str,
}
