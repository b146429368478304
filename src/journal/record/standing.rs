//! The standing, what changes it, why the gate says no, and what became of a delivery.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::case::gate::Why;
use crate::case::heartbeat::Silence;
use crate::case::id::{
    Attempt, CaseId, ChangeId, DeploymentId, Mark, PagerName, PersonId, ServiceId, SourceName, StepNo,
    Timestamp,
};
use crate::case::pager::{Cause, Matter, Paging};
use crate::case::standing::{ActRecord, Hold, Pause, Raised, Standing, StandingEvent};
use crate::case::step::Class;
use crate::case::turn::Disposition;

stored! {
    Standing => StandingV1,
    Pause => PauseV1,
    Hold => HoldV1,
    ActRecord => ActRecordV1,
    Raised => RaisedV1,
    Silence => SilenceV1,
    Matter => MatterV1,
    StandingEvent => StandingEventV1,
    Why => WhyV1,
    Disposition => DispositionV1,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Standing")]
struct StandingV1 {
    pause: Option<Pause>,
    hold: Option<Hold>,
    acts: Vec<ActRecord>,
    raised: Vec<Raised>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    paged: BTreeMap<PagerName, Paging>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    letters: Vec<Timestamp>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    paged_letters: BTreeMap<PagerName, Paging>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    silent: BTreeMap<SourceName, Silence>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Matter", rename_all = "snake_case")]
enum MatterV1 {
    Hold,
    DeadLetters,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Silence")]
struct SilenceV1 {
    since: Timestamp,
    services: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Pause")]
struct PauseV1 {
    by: PersonId,
    reason: String,
    at: Timestamp,
    everything: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Hold")]
struct HoldV1 {
    reasons: Vec<String>,
    since: Timestamp,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "ActRecord")]
struct ActRecordV1 {
    service: ServiceId,
    suspect: Option<DeploymentId>,
    case: CaseId,
    step: StepNo,
    attempt: Attempt,
    class: Class,
    at: Timestamp,
    automatic: bool,
    mark: Mark,
    unsent: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Raised")]
struct RaisedV1 {
    service: ServiceId,
    change: Option<ChangeId>,
    at: Timestamp,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "StandingEvent", tag = "kind", content = "of", rename_all = "snake_case")]
enum StandingEventV1 {
    Paused(Pause),
    Resumed {
        by: PersonId,
        at: Timestamp,
    },
    Held(Hold),
    Released {
        by: PersonId,
        at: Timestamp,
    },
    CaseRaised(Raised),
    Acted(ActRecord),
    NeverSent {
        case: CaseId,
        step: StepNo,
        attempt: Attempt,
    },
    DeadLetter {
        at: Timestamp,
    },
    PageDue {
        #[serde(default)]
        matter: Matter,
        pager: PagerName,
        cause: Option<Cause>,
    },
    PageTold {
        #[serde(default)]
        matter: Matter,
        pager: PagerName,
        cause: Option<Cause>,
    },
    FellSilent {
        source: SourceName,
        silence: Silence,
    },
    HeardAgain {
        source: SourceName,
        at: Timestamp,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Why", rename_all = "snake_case")]
enum WhyV1 {
    Hold(String),
    PausedEverything,
    Unreconciled,
    Clock,
    Paused,
    Frozen,
    Cooldown,
    Budget(String),
    SharedOutage,
    RulesChanged,
    CompanionMoved(ServiceId),
    InHandsOf(CaseId),
    Votes(String),
    Moved,
    AlreadyActed,
    AttemptsSpent,
    PlanExpired,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Disposition", rename_all = "snake_case")]
enum DispositionV1 {
    Taken(ServiceId),
    Repeated(ServiceId),
    Idle(ServiceId),
    Unmapped(String),
    OutOfScope(ServiceId),
    Aside(String),
    Dead(String),
    TooMany(String),
    Done(String),
    Forbidden(String),
    Conflict(String),
}
