//! Events. The kind stands first, beside what belongs to it, so that the store can list events by kind.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::case::approval::{PersonVote, Vote};
use crate::case::decide::Decision;
use crate::case::deployment::{Deployment, Owner};
use crate::case::event::{Direction, Event, Origin, Settlement, Stamped};
use crate::case::exhibit::{Collected, Exhibit};
use crate::case::gate::Why;
use crate::case::habit::Habit;
use crate::case::id::{
    Attempt, CaseId, DeploymentId, Digest, Handle, NoteNo, PagerName, PersonId, Place, ProbeName, ReleaseId,
    SignalName, StepNo, Timestamp,
};
use crate::case::ledger::Grade;
use crate::case::notice::Notice;
use crate::case::pager::Cause;
use crate::case::phase::Outcome;
use crate::case::plan::{Choice, Plan};
use crate::case::release::Release;
use crate::case::settings::{Mode, VerifyPolicy};
use crate::case::signal::{EpisodeKey, Signal};

stored! {
    Stamped => StampedV1,
    Event => EventV1,
    Origin => OriginV1,
    Direction => DirectionV1,
    Settlement => SettlementV1,
    Collected => CollectedV1,
    Exhibit => ExhibitV1,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Stamped")]
struct StampedV1 {
    at: Timestamp,
    event: Event,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Event", tag = "kind", content = "of", rename_all = "snake_case")]
enum EventV1 {
    EpisodeOpened(Box<Signal>),
    EpisodeHeard {
        key: EpisodeKey,
        at: Timestamp,
    },
    EpisodeClearing {
        key: EpisodeKey,
        cleared_at: Timestamp,
        until: Timestamp,
    },
    EpisodeResumed {
        key: EpisodeKey,
        at: Timestamp,
    },
    EpisodeReopened {
        key: EpisodeKey,
    },
    EpisodeEnded {
        key: EpisodeKey,
        name: SignalName,
        habit: Habit,
    },
    Noticed(Box<Notice>),
    EpisodeDated {
        key: EpisodeKey,
        onset: Timestamp,
    },
    ProbeFailed {
        probe: ProbeName,
        since: Timestamp,
        said: String,
    },
    ProbePassed {
        probe: ProbeName,
    },
    LedgerRefreshed {
        at: Timestamp,
        current: Option<ReleaseId>,
        deployments: Vec<Deployment>,
        releases: Vec<Release>,
        owner: Owner,
    },
    Graded {
        release: ReleaseId,
        grade: Grade,
        why: String,
    },
    Tainted {
        release: ReleaseId,
        at: Timestamp,
    },
    Locked {
        release: ReleaseId,
        why: String,
    },
    Unlocked {
        release: ReleaseId,
        by: Option<PersonId>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    Frozen {
        by: PersonId,
        reason: String,
        until: Timestamp,
    },
    Unfrozen {
        by: PersonId,
    },
    Opened {
        case: CaseId,
        origin: Origin,
        mode: Mode,
        signals: Vec<EpisodeKey>,
        received_at: Timestamp,
        until: Timestamp,
    },
    Joined {
        signals: Vec<EpisodeKey>,
    },
    Weighed(Arc<Decision>),
    AllCleared,
    FiredAgain,
    Chosen {
        choice: Choice,
        until: Timestamp,
    },
    Planned(Arc<Plan>),
    NotPlanned {
        why: String,
        recheck: Option<Timestamp>,
    },
    Withdrawn {
        why: String,
        recheck: Option<Timestamp>,
    },
    Collected(Collected),
    WouldAct {
        recheck: Option<Timestamp>,
    },
    Asked {
        why: Option<String>,
        until: Timestamp,
    },
    CountdownAnnounced {
        latest: Timestamp,
    },
    CountdownBegan {
        until: Timestamp,
    },
    CountdownSuspended,
    VoteHeard(Vote),
    Voted(Vote),
    VoteRefused {
        by: PersonId,
        why: String,
    },
    Readied {
        step: StepNo,
        attempt: Attempt,
        automatic: bool,
    },
    Snoozed {
        by: PersonId,
        until: Timestamp,
    },
    Exonerated {
        by: PersonId,
        deployment: DeploymentId,
    },
    Barred {
        step: StepNo,
        why: Why,
        again_at: Timestamp,
    },
    Intended {
        step: StepNo,
        attempt: Attempt,
    },
    Looked {
        step: StepNo,
    },
    Accepted {
        step: StepNo,
        handle: Handle,
    },
    Absent {
        step: StepNo,
    },
    NotSent {
        step: StepNo,
    },
    StepFailed {
        step: StepNo,
        why: String,
    },
    StepDone {
        step: StepNo,
        says: String,
    },
    NextStep {
        step: StepNo,
    },
    NeedsHuman {
        step: StepNo,
        why: String,
    },
    Settled {
        by: PersonId,
        how: Settlement,
    },
    VerifyBegan {
        policy: VerifyPolicy,
        adopted: bool,
    },
    ClearSince {
        since: Option<Timestamp>,
    },
    Closed {
        outcome: Outcome,
        why: String,
    },
    Said {
        case: CaseId,
        note: NoteNo,
        place: Place,
    },
    Shown {
        case: CaseId,
        face: Digest,
    },
    PageDue {
        case: CaseId,
        pager: PagerName,
        cause: Option<Cause>,
    },
    Paged {
        case: CaseId,
        pager: PagerName,
        cause: Option<Cause>,
    },
    NotPaged {
        case: CaseId,
        pager: PagerName,
        cause: Option<Cause>,
        why: String,
    },
    Told {
        case: CaseId,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Collected")]
struct CollectedV1 {
    exhibits: Vec<Exhibit>,
    missing: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Exhibit")]
struct ExhibitV1 {
    name: String,
    text: String,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Origin", rename_all = "snake_case")]
enum OriginV1 {
    Signal,
    Person {
        by: PersonId,
        reason: String,
        to: Option<ReleaseId>,
        #[serde(default)]
        direction: Direction,
        #[serde(default)]
        shown: Option<PersonVote>,
    },
    Drill,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Direction", rename_all = "snake_case")]
enum DirectionV1 {
    Back,
    Forward,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Settlement", rename_all = "snake_case")]
enum SettlementV1 {
    LookAgain,
    TookEffect,
    GiveUp,
}
