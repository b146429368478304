//! Waking people: why a case, or a hold, needs somebody now, and what a pager is told. What is due is derived from the
//! case; what was told is remembered, so that nobody is woken twice and every page is taken back. Leaves the sending to
//! `report`, and its order to `next`.

use std::collections::{BTreeMap, BTreeSet};

use super::event::Event;
use super::face::Face;
use super::id::{CaseId, Duration, PagerName, Place, ServiceId, Timestamp};
use super::phase::{Outcome, Phase};
use super::standing::{Hold, Standing, StandingEvent};
use super::story::Case;
use super::words;

/// What people have to see that is still not in the thread so long after it happened is told by the pager (product §9).
const UNTOLD_AFTER: Duration = super::choose::TOLD_MAX;
/// Dead letters count for so long.
const LETTERS_WITHIN: Duration = Duration::from_hours(1);
/// A page that nobody takes is let go so long after its case is over: by then people know, or nobody will.
const KEPT_AFTER_THE_END: Duration = Duration::from_hours(24);

/// A pager's settings, `[pages.NAME]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pager {
    /// Tiers whose questions wake people at once: `approval:TIER`.
    pub asks_of: BTreeSet<String>,
    /// What else wakes people.
    pub on: BTreeSet<Cause>,
    /// A question that nobody decided for so long wakes people, whatever the tier.
    pub unanswered_after: Duration,
}

/// Every pager by name.
pub type Pagers = BTreeMap<PagerName, Pager>;

/// Why people are woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// People are asked about a service of a tier that wakes them.
    Approval,
    /// People are asked, and nobody decides.
    Unanswered,
    /// What people have to see cannot be told in the thread.
    Untold,
    /// Somebody broke the glass.
    BreakGlass,
    /// Nobody can tell what an act did.
    NeedsHuman,
    /// The rollback did not help.
    NotRecovered,
    /// Nobody can tell whether it helped.
    Unverified,
    /// The rollback failed.
    Failed,
    /// Snapback forbids itself to act.
    Hold,
    /// More deliveries than the limit could not be read.
    DeadLetters,
}

/// How urgent a page is, in PagerDuty's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Somebody must act.
    Critical,
    /// Somebody must look.
    Error,
    /// Somebody must know.
    Warning,
}

impl Cause {
    /// The word in files, events and pages.
    pub fn word(self) -> &'static str {
        match self {
            Cause::Approval => "approval",
            Cause::Unanswered => "unanswered",
            Cause::Untold => "untold",
            Cause::BreakGlass => "break_glass",
            Cause::NeedsHuman => "needs_human",
            Cause::NotRecovered => "not_recovered",
            Cause::Unverified => "unverified",
            Cause::Failed => "failed",
            Cause::Hold => "hold",
            Cause::DeadLetters => "dead_letters",
        }
    }

    /// Why somebody is woken, in a sentence.
    pub fn says(self) -> &'static str {
        match self {
            Cause::Approval => "somebody has to decide",
            Cause::Unanswered => "nobody has decided yet",
            Cause::Untold => "what happens could not be told in the thread",
            Cause::BreakGlass => "somebody broke the glass",
            Cause::NeedsHuman => "nobody can tell what the act did",
            Cause::NotRecovered => "the rollback did not help",
            Cause::Unverified => "whether the rollback helped is not known",
            Cause::Failed => "the rollback failed",
            Cause::Hold => "Snapback forbids itself to act",
            Cause::DeadLetters => "senders send what nobody can read",
        }
    }

    /// How urgent it is.
    pub fn severity(self) -> Severity {
        match self {
            Cause::Approval | Cause::Unanswered | Cause::NeedsHuman | Cause::NotRecovered | Cause::Failed => {
                Severity::Critical
            }
            Cause::Untold | Cause::Unverified | Cause::Hold | Cause::DeadLetters => Severity::Error,
            Cause::BreakGlass => Severity::Warning,
        }
    }
}

/// What a page is about. One incident each, however often it is told.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum About {
    /// A case.
    Case(CaseId),
    /// What is true of everything.
    All(Matter),
    /// Nothing: whether the pager listens is tried.
    Rehearsal,
}

/// What is true of everything, and may wake people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Matter {
    /// Snapback forbids itself to act.
    #[default]
    Hold,
    /// More deliveries than the limit could not be read.
    DeadLetters,
}

impl Matter {
    /// Every one.
    pub const ALL: [Matter; 2] = [Matter::Hold, Matter::DeadLetters];

    /// What it is called where it wakes people.
    fn cause(self) -> Cause {
        match self {
            Matter::Hold => Cause::Hold,
            Matter::DeadLetters => Cause::DeadLetters,
        }
    }
}

impl About {
    /// The key by which the pager knows that two pages are one incident.
    pub fn key(&self) -> String {
        match self {
            About::Case(case) => format!("snapback/{case}"),
            About::All(Matter::Hold) => "snapback/hold".to_owned(),
            About::All(Matter::DeadLetters) => "snapback/dead_letters".to_owned(),
            About::Rehearsal => "snapback/doctor".to_owned(),
        }
    }
}

/// What one pager was told last, or is to be told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Paging {
    /// Why somebody is woken; `None`: nobody is needed any more.
    pub cause: Option<Cause>,
    /// The pager took it, or never will.
    pub told: bool,
}

impl Paging {
    /// To be told.
    pub fn due(cause: Option<Cause>) -> Paging {
        Paging { cause, told: false }
    }

    /// The pager was told this.
    pub(super) fn told(cause: Option<Cause>) -> Paging {
        Paging { cause, told: true }
    }
}

/// What a pager is told, for whoever sends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summons {
    /// What it is about.
    pub about: About,
    /// Which pager.
    pub pager: PagerName,
    /// Why somebody is woken; `None`: nobody is needed any more.
    pub cause: Option<Cause>,
    /// What, in a line.
    pub headline: String,
    /// What to do now.
    pub now: String,
    /// Why.
    pub why: Vec<String>,
    /// The steps of the plan.
    pub steps: Vec<String>,
    /// The service.
    pub service: Option<ServiceId>,
    /// Where it is told in full.
    pub thread: Option<Place>,
    /// When it became so.
    pub at: Timestamp,
}

impl Summons {
    /// What this pager is told about a case, as it stands.
    pub fn of_case(case: &Case, pager: &PagerName, cause: Option<Cause>) -> Summons {
        let face = Face::of(case);
        Summons {
            about: About::Case(case.id.clone()),
            pager: pager.clone(),
            cause,
            headline: face.headline,
            now: face.now,
            why: face.why,
            steps: face.steps,
            service: Some(case.id.service()),
            thread: case.thread.clone().filter(Place::is_thread),
            at: case.events.last().map_or(case.opened_at, |stamped| stamped.at),
        }
    }

    /// That an incident that there is not is over: it wakes nobody, and shows whether the pager listens.
    pub fn rehearsal(pager: &PagerName, now: Timestamp) -> Summons {
        Summons {
            about: About::Rehearsal,
            pager: pager.clone(),
            cause: None,
            headline: "Snapback tries whether this pager listens".to_owned(),
            now: "nothing".to_owned(),
            why: Vec::new(),
            steps: Vec::new(),
            service: None,
            thread: None,
            at: now,
        }
    }

    /// What this pager is told about the hold, or that there is none any more.
    pub fn of_hold(hold: Option<&Hold>, pager: &PagerName, cause: Option<Cause>, now: Timestamp) -> Summons {
        Summons {
            about: About::All(Matter::Hold),
            pager: pager.clone(),
            cause,
            headline: "Snapback holds: nothing is rolled back until somebody has looked".to_owned(),
            now: "look at the reasons, then release it: snapback resume --hold".to_owned(),
            why: hold.map(|hold| hold.reasons.clone()).unwrap_or_default(),
            steps: Vec::new(),
            service: None,
            thread: None,
            at: hold.map_or(now, |hold| hold.since),
        }
    }
}

impl Summons {
    /// What this pager is told about a matter of everything.
    pub fn of_all(
        matter: Matter,
        standing: &Standing,
        pager: &PagerName,
        cause: Option<Cause>,
        now: Timestamp,
    ) -> Summons {
        match matter {
            Matter::Hold => Summons::of_hold(standing.hold.as_ref(), pager, cause, now),
            Matter::DeadLetters => Summons {
                about: About::All(matter),
                headline: "Snapback is told what it cannot read: nothing follows from it".to_owned(),
                now: "see GET /v1/deadletters, mend why, and replay them".to_owned(),
                why: vec![format!("{} deliveries within an hour could not be read", standing.letters.len())],
                at: standing.letters.last().copied().unwrap_or(now),
                ..Summons::of_hold(None, pager, cause, now)
            },
        }
    }
}

/// Why this case needs somebody now, by this pager's rules.
pub(super) fn cause(
    case: &Case,
    pager: &Pager,
    tier: Option<&str>,
    now: Timestamp,
    last: Option<Cause>,
) -> Option<Cause> {
    let on = |cause: Cause| pager.on.contains(&cause).then_some(cause);
    let glass = || case.votes.iter().any(|vote| vote.break_glass.is_some()).then_some(Cause::BreakGlass);
    match &case.phase {
        Phase::Gathering { .. } | Phase::Weighing { .. } | Phase::Planning { .. } => None,
        Phase::AwaitingApproval { .. } => {
            question(case, pager, tier, now).or_else(glass).or_else(|| untold(case, now))
        }
        Phase::Countdown { .. } => untold(case, now),
        Phase::Ready { .. } | Phase::Intended { .. } | Phase::Running { .. } | Phase::Verifying(_) => {
            glass().or_else(|| last.filter(|last| *last == Cause::Untold).and_then(|_| untold(case, now)))
        }
        Phase::NeedsHuman { .. } => on(Cause::NeedsHuman).or_else(glass),
        Phase::Closed(outcome) => match outcome {
            Outcome::NotRecovered => on(Cause::NotRecovered),
            Outcome::Unverified => on(Cause::Unverified),
            // Where nothing was tried, whoever asked for it is there and is told.
            Outcome::Failed if case.acted() => on(Cause::Failed),
            // Nobody answered: whoever was woken for it has still to look.
            Outcome::Expired => last,
            Outcome::Recovered
            | Outcome::Superseded
            | Outcome::Adopted
            | Outcome::Cancelled
            | Outcome::Denied
            | Outcome::Cleared
            | Outcome::Failed
            | Outcome::LeftAlone => None,
        },
    }
}

fn question(case: &Case, pager: &Pager, tier: Option<&str>, now: Timestamp) -> Option<Cause> {
    if tier.is_some_and(|tier| pager.asks_of.contains(tier)) {
        return Some(Cause::Approval);
    }
    (now >= asked_at(case)? + pager.unanswered_after).then_some(Cause::Unanswered)
}

fn untold(case: &Case, now: Timestamp) -> Option<Cause> {
    (now >= words::waiting_since(case)? + UNTOLD_AFTER).then_some(Cause::Untold)
}

/// When people were asked last.
#[expect(clippy::wildcard_enum_match_arm, reason = "one event is looked for")]
fn asked_at(case: &Case) -> Option<Timestamp> {
    let asked = case.events.iter().rev().find_map(|stamped| match stamped.event {
        Event::Asked { .. } => Some(stamped.at),
        _ => None,
    });
    asked.or(case.clock.asked_at)
}

/// When time alone gives this case another cause.
pub(super) fn wakes_at(case: &Case, pagers: &Pagers, now: Timestamp) -> Option<Timestamp> {
    let asked = matches!(case.phase, Phase::AwaitingApproval { .. });
    let counts = matches!(case.phase, Phase::Countdown { .. });
    let unanswered = asked.then(|| asked_at(case)).flatten();
    let unanswered =
        unanswered.into_iter().flat_map(|at| pagers.values().map(move |pager| at + pager.unanswered_after));
    let untold = (!pagers.is_empty() && (asked || counts)).then(|| words::waiting_since(case)).flatten();
    unanswered.chain(untold.map(|at| at + UNTOLD_AFTER)).filter(|at| *at > now).min()
}

/// What each pager has to be told about a case from now on, where that is news.
pub(super) fn news(case: &Case, pagers: &Pagers, tier: Option<&str>, now: Timestamp) -> Vec<Event> {
    let of_pager = |(name, pager): (&PagerName, &Pager)| {
        let known = case.paged.get(name).copied().unwrap_or_default();
        let cause = cause(case, pager, tier, now, known.cause);
        if !known.told && is_over_for_long(case, now) && case.paged.contains_key(name) {
            let why = format!("nobody took it within {:#} after the case was over", KEPT_AFTER_THE_END);
            return Some(Event::NotPaged {
                case: case.id.clone(),
                pager: name.clone(),
                cause: known.cause,
                why,
            });
        }
        // An incident that is open and was taken wakes nobody again, whatever is added to it: it is ended first, and what is
        // worse begins a new one once that is told.
        if cause.is_some() && cause != known.cause {
            match (known.cause, known.told) {
                (Some(_), true) => {
                    return Some(Event::PageDue { case: case.id.clone(), pager: name.clone(), cause: None });
                }
                (None, false) if case.paged.contains_key(name) => return None,
                _ => {}
            }
        }
        // That the glass was broken is told, however soon the case is over.
        let first = known == Paging::due(Some(Cause::BreakGlass)) && cause.is_none();
        (cause != known.cause && !first).then(|| Event::PageDue {
            case: case.id.clone(),
            pager: name.clone(),
            cause,
        })
    };
    pagers.iter().filter_map(of_pager).collect()
}

#[expect(clippy::wildcard_enum_match_arm, reason = "one event is looked for")]
fn is_over_for_long(case: &Case, now: Timestamp) -> bool {
    let closed_at = case.events.iter().rev().find_map(|stamped| match stamped.event {
        Event::Closed { .. } => Some(stamped.at),
        _ => None,
    });
    closed_at.is_some_and(|at| now >= at + KEPT_AFTER_THE_END)
}

/// The pagers that have something to be told, and what.
pub fn due<'a>(
    paged: &'a BTreeMap<PagerName, Paging>,
    pagers: &'a Pagers,
) -> impl Iterator<Item = (&'a PagerName, Option<Cause>)> {
    let due = paged.iter().filter(|(name, paging)| !paging.told && pagers.contains_key(*name));
    due.map(|(name, paging)| (name, paging.cause))
}

impl Standing {
    /// What each pager has to be told about everything from now on, where that is news. More dead letters than `limit` within an hour
    /// wake people once, until there are fewer again.
    pub fn page_news<'a>(
        &'a self,
        pagers: &'a Pagers,
        limit: u32,
        now: Timestamp,
    ) -> impl Iterator<Item = StandingEvent> + 'a {
        Matter::ALL.into_iter().flat_map(move |matter| {
            pagers.iter().filter_map(move |(name, pager)| {
                let is_so = match matter {
                    Matter::Hold => self.hold.is_some(),
                    Matter::DeadLetters => self.letters_within_the_hour(now) > limit as usize,
                };
                let cause = (is_so && pager.on.contains(&matter.cause())).then(|| matter.cause());
                let known = self.paged_of(matter).get(name).copied().unwrap_or_default();
                (cause != known.cause).then(|| StandingEvent::PageDue { matter, pager: name.clone(), cause })
            })
        })
    }

    /// What each pager was told about a matter last, or is to be told.
    pub fn paged_of(&self, matter: Matter) -> &BTreeMap<PagerName, Paging> {
        match matter {
            Matter::Hold => &self.paged,
            Matter::DeadLetters => &self.paged_letters,
        }
    }

    fn letters_within_the_hour(&self, now: Timestamp) -> usize {
        self.letters.iter().filter(|at| now.duration_since(**at) < LETTERS_WITHIN).count()
    }

    /// When there are no more dead letters within an hour than the limit, if there are now.
    pub fn letters_fade_at(&self, limit: u32, now: Timestamp) -> Option<Timestamp> {
        let many = self.letters_within_the_hour(now) > limit as usize;
        let last = self.letters.iter().rev().nth(limit as usize)?;
        many.then(|| *last + LETTERS_WITHIN)
    }
}
