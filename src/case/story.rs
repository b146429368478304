//! A case: one suspect deployment and all that follows, from the first signal to the last word in its thread. Holds
//! what is known; `dossier` moves it, `words` tells it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::approval::Vote;
use super::brief::told;
use super::decide::Decision;
use super::deployment::Deployment;
use super::event::{Direction, Event, Origin, Stamped};
use super::id::{
    Attempt, CaseId, Digest, Duration, Fingerprint, NoteNo, PagerName, PersonId, Place, SignalName,
    SourceName, StepNo, Timestamp,
};
use super::pager::Paging;
use super::phase::Phase;
use super::plan::Plan;
use super::release::Release;
use super::settings::Mode;
use super::signal::EpisodeKey;
use super::step::Doer;

/// Events kept in a case. Beyond it only endings are written; a case so long is told as "too long to tell".
pub const EVENTS_MAX: usize = 512;

/// One suspect deployment and all that follows.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// Its id.
    pub id: CaseId,
    /// Who began it.
    pub origin: Origin,
    /// Whether it may act.
    pub mode: Mode,
    /// When it opened.
    pub opened_at: Timestamp,
    /// Where it stands.
    pub phase: Phase,
    /// Its signals.
    pub signals: BTreeMap<EpisodeKey, CaseSignal>,
    /// The suspect, as it was when it was chosen.
    pub suspect: Option<Suspect>,
    /// The last decision.
    pub decision: Option<Arc<Decision>>,
    /// The plan.
    pub plan: Option<Arc<Plan>>,
    /// In shadow: what would be done was told.
    pub told_plan: bool,
    /// What its provider shows was collected.
    pub collected: bool,
    /// There is no plan; why, and until when none is asked for.
    pub no_plan: Option<NoPlan>,
    /// Votes that count, as long as their digest is the plan's.
    pub votes: Vec<Vote>,
    /// Votes of people of whom it is not yet read whether they may.
    pub heard: Vec<Vote>,
    /// Nobody was asked.
    pub automatic: bool,
    /// Attempts that were permitted at the step that it is at. Those of the first step count on after a withdrawal,
    /// because the gate keeps them on record.
    pub attempts: Attempt,
    /// Not judged again before.
    pub snoozed_until: Option<Timestamp>,
    /// All its signals are clear, unsettled.
    pub all_clear: bool,
    /// When each stage was reached.
    pub clock: CaseClock,
    /// Notes said so far: the next one's number.
    pub said: NoteNo,
    /// Its thread, once the root was said.
    pub thread: Option<Place>,
    /// The thread that it had before, whose first message somebody deleted.
    pub lost: Option<Place>,
    /// What the first message of the thread shows, by the digest of its face.
    pub shown: Option<Digest>,
    /// What each pager was told last, or is to be told.
    pub paged: BTreeMap<PagerName, Paging>,
    /// Everything that happened in it, oldest first.
    pub events: Vec<Stamped>,
}

/// Why there is no plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoPlan {
    /// In a sentence.
    pub why: String,
    /// When one is asked for again. `None`: not for this suspect and target.
    pub until: Option<Timestamp>,
}

/// A signal as its case remembers it, after its episode is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseSignal {
    /// Who told it.
    pub source: SourceName,
    /// Its name.
    pub name: SignalName,
    /// Which alert.
    pub fingerprint: Fingerprint,
    /// When it began.
    pub started_at: Timestamp,
    /// When it cleared, if it did.
    pub cleared_at: Option<Timestamp>,
    /// The last time that it was told as firing.
    pub heard_at: Timestamp,
    /// How late it tells: its decay is taken to be as long.
    pub lag: Duration,
    /// What the sender says about it, for the thread.
    pub summary: Option<String>,
}

/// The suspect, as it was when it was chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct Suspect {
    /// The deployment.
    pub deployment: Deployment,
    /// Its release.
    pub release: Release,
}

impl Suspect {
    /// What people are told of it: its name and author; of what is no release its kind, and where they can look.
    pub fn told(&self) -> String {
        let link = self.release.links.first().map(String::as_str);
        told(self.deployment.change, self.release.called(), self.release.author.as_deref(), link)
    }
}

/// When each stage was reached, for people and for the histograms of product §17.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseClock {
    /// The first signal, or the request, reached us.
    pub received_at: Timestamp,
    /// First judged.
    pub judged_at: Option<Timestamp>,
    /// People were asked.
    pub asked_at: Option<Timestamp>,
    /// Enough of them said yes.
    pub approved_at: Option<Timestamp>,
    /// The first intent was written.
    pub started_at: Option<Timestamp>,
    /// The target served.
    pub done_at: Option<Timestamp>,
    /// The verification ended.
    pub verified_at: Option<Timestamp>,
}

impl Case {
    /// Whether it is over.
    pub fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed(_))
    }

    /// The person who began it by hand.
    pub fn requester(&self) -> Option<&PersonId> {
        match &self.origin {
            Origin::Person { by, .. } => Some(by),
            Origin::Signal | Origin::Drill => None,
        }
    }

    /// Whether it puts a release out again that a rollback took away.
    pub fn goes_forward(&self) -> bool {
        matches!(self.origin, Origin::Person { direction: Direction::Forward, .. })
    }

    /// Whether a provider was ever permitted to be asked for something of its plan; steps of the user's own take nothing back.
    pub fn acted(&self) -> bool {
        let begins_with_own = self
            .plan
            .as_ref()
            .is_some_and(|plan| plan.steps.first().is_some_and(|first| first.doer == Doer::User));
        if !begins_with_own {
            return self.clock.started_at.is_some();
        }
        let asked = |step: StepNo| {
            let planned = self.plan.as_ref().and_then(|plan| plan.step(step));
            planned.is_some_and(|planned| planned.doer.provider().is_some())
        };
        self.events.iter().any(|stamped| matches!(stamped.event, Event::Intended { step, .. } if asked(step)))
    }
}
