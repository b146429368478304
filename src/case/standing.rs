//! The standing: the little that is global. Pause, hold, the acts of the last day, and which services and changes
//! raised a case lately. A decision reads a copy of it as advice; the gate reads it as truth.

use std::collections::BTreeMap;

use super::ask::too_late;
use super::command::Request;
use super::heartbeat::Silence;
use super::id::{
    Attempt, CaseId, ChangeId, DeploymentId, Duration, Mark, PagerName, PersonId, ServiceId, SourceName,
    StepNo, Timestamp,
};
use super::pager::{Cause, Matter, Paging};
use super::step::Class;
use super::turn::Disposition;

/// Acts are remembered for so long: the longest budget window is a day.
pub const ACTS_KEPT: Duration = Duration::from_hours(24);
/// Raised cases are remembered for so long: longer than any window that counts them.
pub const RAISED_KEPT: Duration = Duration::from_hours(1);
/// The most dead letters remembered; no limit is higher.
pub const LETTERS_MAX: usize = 1001;
/// The most raised cases remembered; beyond it every window that counts them is full many times over.
pub const RAISED_MAX: usize = 1024;

/// What is global.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Standing {
    /// Somebody paused.
    pub pause: Option<Pause>,
    /// Snapback forbids itself.
    pub hold: Option<Hold>,
    /// Acts of the last day, oldest first.
    pub acts: Vec<ActRecord>,
    /// Cases that signals raised lately, oldest first.
    pub raised: Vec<Raised>,
    /// What each pager was told about the hold last, or is to be told.
    pub paged: BTreeMap<PagerName, Paging>,
    /// When the last dead letters came, oldest first.
    pub letters: Vec<Timestamp>,
    /// What each pager was told about them last, or is to be told.
    pub paged_letters: BTreeMap<PagerName, Paging>,
    /// Sources whose heartbeat is missed.
    pub silent: BTreeMap<SourceName, Silence>,
}

/// A pause of everything automatic, or of everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pause {
    /// Who paused.
    pub by: PersonId,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
    /// People's acts stop as well.
    pub everything: bool,
}

/// Snapback forbids itself, because its store may be stale.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Why, each in a sentence; never empty.
    pub reasons: Vec<String>,
    /// Since when.
    pub since: Timestamp,
}

/// One attempt that passed the gate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActRecord {
    /// The service that it changes.
    pub service: ServiceId,
    /// The deployment that it undoes.
    pub suspect: Option<DeploymentId>,
    /// The case.
    pub case: CaseId,
    /// The step.
    pub step: StepNo,
    /// The attempt.
    pub attempt: Attempt,
    /// How often the step may be tried.
    pub class: Class,
    /// When the intent was written.
    pub at: Timestamp,
    /// Nobody was asked.
    pub automatic: bool,
    /// Our sign at the provider: a mark that no act knows is another Snapback's, or a lost store's.
    pub mark: Mark,
    /// The request surely never left: the record counts for nothing but its number.
    pub unsent: bool,
}

/// A case that a signal raised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raised {
    /// The service.
    pub service: ServiceId,
    /// The suspect's change, where known.
    pub change: Option<ChangeId>,
    /// When.
    pub at: Timestamp,
}

/// What changes the standing.
#[derive(Clone, Debug, PartialEq)]
pub enum StandingEvent {
    /// Somebody paused.
    Paused(Pause),
    /// Somebody resumed.
    Resumed {
        /// Who.
        by: PersonId,
        /// When.
        at: Timestamp,
    },
    /// Snapback forbids itself.
    Held(Hold),
    /// Somebody lifted the hold, after the unknown marks were shown.
    Released {
        /// Who.
        by: PersonId,
        /// When.
        at: Timestamp,
    },
    /// A case was raised.
    CaseRaised(Raised),
    /// An attempt passed the gate.
    Acted(ActRecord),
    /// A delivery could not be read.
    DeadLetter {
        /// When it was taken.
        at: Timestamp,
    },
    /// A pager has to be told something else about a matter of everything: on disk before it is sent.
    PageDue {
        /// What about.
        matter: Matter,
        /// Which.
        pager: PagerName,
        /// Why somebody is woken; `None`: nobody is needed any more.
        cause: Option<Cause>,
    },
    /// The pager took it, or never will.
    PageTold {
        /// What about.
        matter: Matter,
        /// Which.
        pager: PagerName,
        /// What it was told.
        cause: Option<Cause>,
    },
    /// A source's heartbeat is missed.
    FellSilent {
        /// Which.
        source: SourceName,
        /// Since when.
        silence: Silence,
    },
    /// It is heard again, or has no heartbeat any more.
    HeardAgain {
        /// Which.
        source: SourceName,
        /// When.
        at: Timestamp,
    },
    /// An attempt's request surely never left.
    NeverSent {
        /// The case.
        case: CaseId,
        /// The step.
        step: StepNo,
        /// The attempt.
        attempt: Attempt,
    },
}

impl Standing {
    /// Takes a request of everything: adds what it changes to what this turn changes already, which counts as said before it.
    /// One that waited too long is refused, unless it only stops.
    pub fn ask(&self, request: Request, now: Timestamp, changes: &mut Vec<StandingEvent>) -> Disposition {
        let mut standing = self.clone();
        changes.iter().for_each(|event| standing.apply(event));
        let paused = standing.pause.as_ref().map(|pause| pause.everything);
        let conflict = |why: &str| Disposition::Conflict(why.into());
        let late = match &request {
            Request::Resume { at, .. } | Request::Release { at, .. } => too_late(*at, now),
            Request::Of(..) | Request::Pause { .. } | Request::Replay { .. } | Request::Spoken { .. } => None,
        };
        if let Some(why) = late {
            return conflict(&why);
        }
        let (change, says) = match request {
            Request::Of(service, _) => return conflict(&format!("that is asked of {service} alone")),
            Request::Pause { everything: false, .. } if paused == Some(true) => {
                return conflict("everything is paused already");
            }
            Request::Pause { by, at, reason, everything } => {
                let says = if everything { "everything is paused" } else { "nothing automatic is done" };
                (StandingEvent::Paused(Pause { by, reason, at, everything }), says)
            }
            Request::Resume { .. } if paused.is_none() => return conflict("nothing is paused"),
            Request::Resume { everything: false, .. } if paused == Some(true) => {
                return Disposition::Forbidden(
                    "everything is paused, and to lift that takes an admin".into(),
                );
            }
            Request::Resume { by, at, .. } => (StandingEvent::Resumed { by, at }, "the pause is over"),
            Request::Spoken { .. } => return conflict("who said it is not known yet"),
            Request::Replay { .. } => return conflict("the dead letter was not looked for"),
            Request::Release { .. } if standing.hold.is_none() => return conflict("there is no hold"),
            Request::Release { by, at } => (StandingEvent::Released { by, at }, "the hold is over"),
        };
        changes.push(change);
        Disposition::Done(says.into())
    }

    /// Takes a change.
    pub fn apply(&mut self, event: &StandingEvent) {
        match event {
            StandingEvent::Paused(pause) => self.pause = Some(pause.clone()),
            StandingEvent::Resumed { .. } => self.pause = None,
            StandingEvent::Held(hold) => match &mut self.hold {
                Some(old) => {
                    for reason in &hold.reasons {
                        if !old.reasons.contains(reason) {
                            old.reasons.push(reason.clone());
                        }
                    }
                }
                None => self.hold = Some(hold.clone()),
            },
            StandingEvent::Released { .. } => self.hold = None,
            StandingEvent::CaseRaised(raised) => {
                self.raised.retain(|old| raised.at.duration_since(old.at) <= RAISED_KEPT);
                if self.raised.len() >= RAISED_MAX {
                    self.raised.remove(0);
                }
                self.raised.push(raised.clone());
            }
            StandingEvent::Acted(act) => {
                self.acts.retain(|old| act.at.duration_since(old.at) <= ACTS_KEPT);
                self.acts.push(act.clone());
            }
            StandingEvent::DeadLetter { at } => {
                if self.letters.len() >= LETTERS_MAX {
                    self.letters.remove(0);
                }
                self.letters.push(*at);
            }
            StandingEvent::PageDue { matter, pager, cause } => {
                self.paged_by(*matter).insert(pager.clone(), Paging::due(*cause));
            }
            StandingEvent::PageTold { matter, pager, cause } => {
                self.paged_by(*matter).insert(pager.clone(), Paging::told(*cause));
            }
            StandingEvent::FellSilent { source, silence } => {
                self.silent.insert(source.clone(), silence.clone());
            }
            StandingEvent::HeardAgain { source, .. } => {
                self.silent.remove(source);
            }
            StandingEvent::NeverSent { case, step, attempt } => {
                for act in &mut self.acts {
                    if act.case == *case && act.step == *step && act.attempt == *attempt {
                        act.unsent = true;
                    }
                }
            }
        }
    }

    fn paged_by(&mut self, matter: Matter) -> &mut BTreeMap<PagerName, Paging> {
        match matter {
            Matter::Hold => &mut self.paged,
            Matter::DeadLetters => &mut self.paged_letters,
        }
    }

    /// Automatic acts within `within` before `now`, of one service or of all.
    ///
    /// A plan of several steps and attempts is one act: each case counts once.
    pub fn automatic_acts(&self, of: Option<&ServiceId>, within: Duration, now: Timestamp) -> u32 {
        let mut cases: Vec<&CaseId> = self
            .acts
            .iter()
            .filter(|act| {
                act.automatic
                    && !act.unsent
                    && of.is_none_or(|service| act.service == *service)
                    && now.duration_since(act.at) < within
            })
            .map(|act| &act.case)
            .collect();
        cases.sort();
        cases.dedup();
        u32::try_from(cases.len()).unwrap_or(u32::MAX)
    }

    /// The last act on this service, a person's too.
    pub fn last_act(&self, of: &ServiceId) -> Option<&ActRecord> {
        self.acts.iter().rev().find(|act| act.service == *of && !act.unsent)
    }

    /// How many distinct services raised a case within `within` before `now`, this one included.
    pub fn services_raised(&self, with: &ServiceId, within: Duration, now: Timestamp) -> u32 {
        let mut services: Vec<&ServiceId> = self
            .raised
            .iter()
            .filter(|raised| now.duration_since(raised.at) <= within)
            .map(|raised| &raised.service)
            .chain(std::iter::once(with))
            .collect();
        services.sort();
        services.dedup();
        u32::try_from(services.len()).unwrap_or(u32::MAX)
    }

    /// Other services on which the same change raised a case within `within` before `now`.
    pub fn others_of_change(
        &self,
        change: &ChangeId,
        but: &ServiceId,
        within: Duration,
        now: Timestamp,
    ) -> Vec<ServiceId> {
        let mut services: Vec<ServiceId> = self
            .raised
            .iter()
            .filter(|raised| {
                raised.change.as_ref() == Some(change)
                    && raised.service != *but
                    && now.duration_since(raised.at) <= within
            })
            .map(|raised| raised.service.clone())
            .collect();
        services.sort();
        services.dedup();
        services
    }
}
