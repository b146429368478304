//! Events: what happened to a service and to its case. Facts, appended and never changed. They are fat: an event
//! holds the result, and `apply` only assigns. Leaves to `words` what is said about them.

use std::sync::Arc;

use super::approval::Vote;
use super::decide::Decision;
use super::deployment::{Deployment, Owner};
use super::exhibit::Collected;
use super::gate::Why;
use super::habit::Habit;
use super::id::{
    Attempt, CaseId, DeploymentId, Digest, Handle, NoteNo, PagerName, PersonId, Place, ProbeName, ReleaseId,
    SignalName, StepNo, Timestamp,
};
use super::ledger::Grade;
use super::notice::Notice;
pub use super::origin::{Direction, Origin};
use super::pager::Cause;
use super::phase::Outcome;
use super::plan::{Choice, Plan};
use super::release::Release;
use super::settings::{Mode, VerifyPolicy};
pub use super::settlement::Settlement;
use super::signal::{EpisodeKey, Signal};

/// An event with its moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Stamped {
    /// When it was written.
    pub at: Timestamp,
    /// What happened.
    pub event: Event,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// An episode opened.
    EpisodeOpened(Box<Signal>),
    /// A firing episode was told again, long enough after the last time to be worth writing.
    EpisodeHeard {
        /// Which.
        key: EpisodeKey,
        /// When it was told.
        at: Timestamp,
    },
    /// A clear was told; it must settle.
    EpisodeClearing {
        /// Which.
        key: EpisodeKey,
        /// When the sender says that it cleared.
        cleared_at: Timestamp,
        /// When the clear counts as settled.
        until: Timestamp,
    },
    /// It fired again before its clear had settled: the same episode.
    EpisodeResumed {
        /// Which.
        key: EpisodeKey,
        /// When it was told.
        at: Timestamp,
    },
    /// A deployment became known late that may be to blame for an episode whose case found none: it is judged anew.
    EpisodeReopened {
        /// Which.
        key: EpisodeKey,
    },
    /// The source's own data say when the trouble of an episode began.
    EpisodeDated {
        /// Which.
        key: EpisodeKey,
        /// When.
        onset: Timestamp,
    },
    /// A probe fails that passed before.
    ProbeFailed {
        /// Which.
        probe: ProbeName,
        /// When the run began.
        since: Timestamp,
        /// What it saw.
        said: String,
    },
    /// It passes again.
    ProbePassed {
        /// Which.
        probe: ProbeName,
    },
    /// Its clear settled.
    EpisodeEnded {
        /// Which.
        key: EpisodeKey,
        /// The signal's name, whose habit learns from it.
        name: SignalName,
        /// The habit from now on.
        habit: Habit,
    },
    /// A feed told something new of a deployment: everything that it told of it.
    Noticed(Box<Notice>),
    /// The provider was read, or a notice came, and it told something new. Only what is new is listed.
    LedgerRefreshed {
        /// When it was read.
        at: Timestamp,
        /// What serves now.
        current: Option<ReleaseId>,
        /// Deployments that are new or changed.
        deployments: Vec<Deployment>,
        /// Releases that are new or better known.
        releases: Vec<Release>,
        /// Who else decides what should run there.
        owner: Owner,
    },
    /// A release's grade changed.
    Graded {
        /// Which.
        release: ReleaseId,
        /// To what.
        grade: Grade,
        /// Why, in a sentence.
        why: String,
    },
    /// A signal's onset fell into a release's window.
    Tainted {
        /// Which.
        release: ReleaseId,
        /// When the trouble began.
        at: Timestamp,
    },
    /// A release may not go out again.
    Locked {
        /// Which.
        release: ReleaseId,
        /// Why.
        why: String,
    },
    /// It may again.
    Unlocked {
        /// Which.
        release: ReleaseId,
        /// Who said so; nobody when the blame was lifted.
        by: Option<PersonId>,
        /// Why; unlocks that were written down before reasons were have none.
        reason: Option<String>,
    },
    /// Nothing automatic on this service until then.
    Frozen {
        /// Who.
        by: PersonId,
        /// Why.
        reason: String,
        /// Until when.
        until: Timestamp,
    },
    /// The freeze was lifted.
    Unfrozen {
        /// Who.
        by: PersonId,
    },
    /// A case opened.
    Opened {
        /// Its id.
        case: CaseId,
        /// Who began it.
        origin: Origin,
        /// Whether it may act.
        mode: Mode,
        /// The signals that raised it.
        signals: Vec<EpisodeKey>,
        /// When the first of them reached us.
        received_at: Timestamp,
        /// Then it is judged with what is known.
        until: Timestamp,
    },
    /// More signals joined.
    Joined {
        /// Which.
        signals: Vec<EpisodeKey>,
    },
    /// It was judged.
    Weighed(Arc<Decision>),
    /// All signals of the case cleared, unsettled.
    AllCleared,
    /// One of them fires again.
    FiredAgain,
    /// The provider is asked for acts.
    Chosen {
        /// What for.
        choice: Choice,
        /// Until when.
        until: Timestamp,
    },
    /// The provider proposed, and the plan stands.
    Planned(Arc<Plan>),
    /// There will be no plan; why.
    NotPlanned {
        /// Why.
        why: String,
        /// When to weigh again. `None`: not by itself.
        recheck: Option<Timestamp>,
    },
    /// The facts no longer carry what was under way before the act: the case weighs again.
    Withdrawn {
        /// Why.
        why: String,
        /// When to judge again.
        recheck: Option<Timestamp>,
    },
    /// What the provider shows of the service, before anything is done.
    Collected(Collected),
    /// In shadow: this would have been done.
    WouldAct {
        /// When to judge again.
        recheck: Option<Timestamp>,
    },
    /// People are asked.
    Asked {
        /// Why they are, where the rows said rollback.
        why: Option<String>,
        /// Until when.
        until: Timestamp,
    },
    /// An automatic act was announced; its countdown starts when the thread took it, at the latest then.
    CountdownAnnounced {
        /// How long it will count.
        latest: Timestamp,
    },
    /// The countdown counts.
    CountdownBegan {
        /// When the act begins.
        until: Timestamp,
    },
    /// All signals cleared while it ran: it stops, and is announced anew if one fires again.
    CountdownSuspended,
    /// Somebody voted; whether they may is read next.
    VoteHeard(Vote),
    /// They may, and the vote counts.
    Voted(Vote),
    /// They may not, or the vote came to nothing; why.
    VoteRefused {
        /// Who.
        by: PersonId,
        /// Why.
        why: String,
    },
    /// A vote was enough, or the countdown ended: the first step may begin.
    Readied {
        /// The step.
        step: StepNo,
        /// The attempt: the first, or the one after those whose requests surely never left.
        attempt: Attempt,
        /// Nobody was asked.
        automatic: bool,
    },
    /// Somebody said *not now*: judged again then.
    Snoozed {
        /// Who.
        by: PersonId,
        /// Until when.
        until: Timestamp,
    },
    /// Somebody said that this deployment is not to blame.
    Exonerated {
        /// Who.
        by: PersonId,
        /// Which.
        deployment: DeploymentId,
    },
    /// The gate did not let the step begin.
    Barred {
        /// The step.
        step: StepNo,
        /// Why.
        why: Why,
        /// When it is asked again.
        again_at: Timestamp,
    },
    /// The gate let the step begin: on disk before the provider is called.
    Intended {
        /// The step.
        step: StepNo,
        /// The attempt.
        attempt: Attempt,
    },
    /// A search found nothing; one more is needed.
    Looked {
        /// The step.
        step: StepNo,
    },
    /// The provider took it.
    Accepted {
        /// The step.
        step: StepNo,
        /// Its receipt.
        handle: Handle,
    },
    /// The request surely never took effect.
    Absent {
        /// The step.
        step: StepNo,
    },
    /// The request surely never left.
    NotSent {
        /// The step.
        step: StepNo,
    },
    /// The provider said no, or failed, definitely.
    StepFailed {
        /// The step.
        step: StepNo,
        /// Why.
        why: String,
    },
    /// The step is done.
    StepDone {
        /// The step.
        step: StepNo,
        /// Done how, in a sentence.
        says: String,
    },
    /// The next step may begin.
    NextStep {
        /// The step.
        step: StepNo,
    },
    /// Nobody can tell what the act did.
    NeedsHuman {
        /// The step.
        step: StepNo,
        /// What is not known, and where to look.
        why: String,
    },
    /// A person settled it.
    Settled {
        /// Who.
        by: PersonId,
        /// How.
        how: Settlement,
    },
    /// The target serves: does it help?
    VerifyBegan {
        /// How it is judged.
        policy: VerifyPolicy,
        /// The provider reverted by itself.
        adopted: bool,
    },
    /// All signals are clear since then, or no longer.
    ClearSince {
        /// Since when.
        since: Option<Timestamp>,
    },
    /// The case is over.
    Closed {
        /// How.
        outcome: Outcome,
        /// Why, in a sentence.
        why: String,
    },
    /// A note of the case was said.
    Said {
        /// The case; it may be closed.
        case: CaseId,
        /// Which note.
        note: NoteNo,
        /// Where.
        place: Place,
    },
    /// The first message of a case's thread shows this face now.
    Shown {
        /// The case; it may be closed.
        case: CaseId,
        /// The face, by its digest.
        face: Digest,
    },
    /// A pager has to be told something else about a case: on disk before it is sent.
    PageDue {
        /// The case; it may be closed.
        case: CaseId,
        /// Which pager.
        pager: PagerName,
        /// Why somebody is woken; `None`: nobody is needed any more.
        cause: Option<Cause>,
    },
    /// The pager took it.
    Paged {
        /// The case; it may be closed.
        case: CaseId,
        /// Which pager.
        pager: PagerName,
        /// What it was told.
        cause: Option<Cause>,
    },
    /// The pager will never take it.
    NotPaged {
        /// The case; it may be closed.
        case: CaseId,
        /// Which pager.
        pager: PagerName,
        /// What it was told.
        cause: Option<Cause>,
        /// Why not.
        why: String,
    },
    /// A closed case has nothing left to tell, and leaves the dossier.
    Told {
        /// Which.
        case: CaseId,
    },
}

impl Event {
    /// The word in the journal, the API and the golden table.
    pub fn word(&self) -> &'static str {
        match self {
            Event::EpisodeOpened(_) => "episode_opened",
            Event::EpisodeHeard { .. } => "episode_heard",
            Event::EpisodeClearing { .. } => "episode_clearing",
            Event::EpisodeResumed { .. } => "episode_resumed",
            Event::EpisodeReopened { .. } => "episode_reopened",
            Event::EpisodeEnded { .. } => "episode_ended",
            Event::EpisodeDated { .. } => "episode_dated",
            Event::ProbeFailed { .. } => "probe_failed",
            Event::ProbePassed { .. } => "probe_passed",
            Event::LedgerRefreshed { .. } => "ledger_refreshed",
            Event::Noticed(_) => "noticed",
            Event::Graded { .. } => "graded",
            Event::Tainted { .. } => "tainted",
            Event::Locked { .. } => "locked",
            Event::Unlocked { .. } => "unlocked",
            Event::Frozen { .. } => "frozen",
            Event::Unfrozen { .. } => "unfrozen",
            Event::Opened { .. } => "opened",
            Event::Joined { .. } => "joined",
            Event::Weighed(_) => "weighed",
            Event::AllCleared => "all_cleared",
            Event::FiredAgain => "fired_again",
            Event::Chosen { .. } => "chosen",
            Event::Planned(_) => "planned",
            Event::NotPlanned { .. } => "not_planned",
            Event::Withdrawn { .. } => "withdrawn",
            Event::Collected(_) => "collected",
            Event::WouldAct { .. } => "would_act",
            Event::Asked { .. } => "asked",
            Event::CountdownAnnounced { .. } => "countdown_announced",
            Event::CountdownBegan { .. } => "countdown_began",
            Event::CountdownSuspended => "countdown_suspended",
            Event::VoteHeard(_) => "vote_heard",
            Event::Voted(_) => "voted",
            Event::VoteRefused { .. } => "vote_refused",
            Event::Readied { .. } => "readied",
            Event::Snoozed { .. } => "snoozed",
            Event::Exonerated { .. } => "exonerated",
            Event::Barred { .. } => "barred",
            Event::Intended { .. } => "intended",
            Event::Looked { .. } => "looked",
            Event::Accepted { .. } => "accepted",
            Event::Absent { .. } => "absent",
            Event::NotSent { .. } => "not_sent",
            Event::StepFailed { .. } => "step_failed",
            Event::StepDone { .. } => "step_done",
            Event::NextStep { .. } => "next_step",
            Event::NeedsHuman { .. } => "needs_human",
            Event::Settled { .. } => "settled",
            Event::VerifyBegan { .. } => "verify_began",
            Event::ClearSince { .. } => "clear_since",
            Event::Closed { .. } => "closed",
            Event::Said { .. } => "said",
            Event::Shown { .. } => "shown",
            Event::PageDue { .. } => "page_due",
            Event::Paged { .. } => "paged",
            Event::NotPaged { .. } => "not_paged",
            Event::Told { .. } => "told",
        }
    }
}

impl Event {
    /// Why, where an event of the service itself holds a reason of somebody; those of a case are told in its own list.
    #[expect(clippy::wildcard_enum_match_arm, reason = "the other events hold no such reason")]
    pub fn why(&self) -> Option<&str> {
        match self {
            Event::Graded { why, .. } | Event::Locked { why, .. } => Some(why),
            Event::Frozen { reason, .. } => Some(reason),
            Event::Unlocked { reason, .. } => reason.as_deref(),
            _ => None,
        }
    }
}
