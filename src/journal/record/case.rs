//! Cases, their phases, and the dossier that holds them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::case::approval::Vote;
use crate::case::decide::Decision;
use crate::case::deployment::{Deployment, Owner};
use crate::case::dossier::{Dossier, EndedEpisode, Freeze, PastOutcome};
use crate::case::event::{Origin, Stamped};
use crate::case::gate::Why;
use crate::case::habit::Habit;
use crate::case::id::{
    Attempt, CaseId, DeploymentId, Digest, Duration, Fingerprint, Handle, NoteNo, PagerName, PersonId, Place,
    ProbeName, ServiceId, SignalName, SourceName, StepNo, Timestamp,
};
use crate::case::ledger::Ledger;
use crate::case::notice::Notice;
use crate::case::pager::{Cause, Paging};
use crate::case::phase::{Barred, CountdownClock, Outcome, Phase, Verifying};
use crate::case::plan::{Choice, Plan};
use crate::case::probe::Failing;
use crate::case::release::Release;
use crate::case::settings::{Mode, VerifyPolicy};
use crate::case::signal::{Episode, EpisodeKey};
use crate::case::story::{Case, CaseClock, CaseSignal, NoPlan, Suspect};

stored! {
    Dossier => DossierV1,
    EndedEpisode => EndedEpisodeV1,
    Failing => FailingV1,
    Freeze => FreezeV1,
    PastOutcome => PastOutcomeV1,
    Case => CaseV1,
    CaseSignal => CaseSignalV1,
    NoPlan => NoPlanV1,
    Suspect => SuspectV1,
    CaseClock => CaseClockV1,
    Phase => PhaseV1,
    CountdownClock => CountdownClockV1,
    Barred => BarredV1,
    Verifying => VerifyingV1,
    Outcome => OutcomeV1,
    Paging => PagingV1,
    Cause => CauseV1,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Dossier")]
struct DossierV1 {
    service: ServiceId,
    ledger: Ledger,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    notices: Vec<Notice>,
    owner: Owner,
    habits: BTreeMap<SignalName, Habit>,
    #[serde(with = "super::pairs")]
    episodes: BTreeMap<EpisodeKey, Episode>,
    ended: VecDeque<EndedEpisode>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    failing: BTreeMap<ProbeName, Failing>,
    freeze: Option<Freeze>,
    open: Option<Box<Case>>,
    telling: Vec<Case>,
    outcomes: VecDeque<PastOutcome>,
    cases_opened: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Failing")]
struct FailingV1 {
    since: Timestamp,
    said: String,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "NoPlan")]
struct NoPlanV1 {
    why: String,
    until: Option<Timestamp>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "EndedEpisode")]
struct EndedEpisodeV1 {
    key: EpisodeKey,
    name: SignalName,
    started_at: Timestamp,
    cleared_at: Timestamp,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Freeze")]
struct FreezeV1 {
    by: PersonId,
    reason: String,
    until: Timestamp,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "PastOutcome")]
struct PastOutcomeV1 {
    case: CaseId,
    suspect: Option<DeploymentId>,
    outcome: Outcome,
    at: Timestamp,
    acted: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Case")]
struct CaseV1 {
    id: CaseId,
    origin: Origin,
    mode: Mode,
    opened_at: Timestamp,
    phase: Phase,
    #[serde(with = "super::pairs")]
    signals: BTreeMap<EpisodeKey, CaseSignal>,
    suspect: Option<Suspect>,
    decision: Option<Arc<Decision>>,
    plan: Option<Arc<Plan>>,
    told_plan: bool,
    #[serde(default)]
    collected: bool,
    no_plan: Option<NoPlan>,
    votes: Vec<Vote>,
    heard: Vec<Vote>,
    automatic: bool,
    attempts: Attempt,
    snoozed_until: Option<Timestamp>,
    all_clear: bool,
    clock: CaseClock,
    said: NoteNo,
    thread: Option<Place>,
    #[serde(default)]
    lost: Option<Place>,
    #[serde(default)]
    shown: Option<Digest>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    paged: BTreeMap<PagerName, Paging>,
    events: Vec<Stamped>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "CaseSignal")]
struct CaseSignalV1 {
    source: SourceName,
    name: SignalName,
    fingerprint: Fingerprint,
    started_at: Timestamp,
    cleared_at: Option<Timestamp>,
    heard_at: Timestamp,
    lag: Duration,
    summary: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Suspect")]
struct SuspectV1 {
    deployment: Deployment,
    release: Release,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "CaseClock")]
struct CaseClockV1 {
    received_at: Timestamp,
    judged_at: Option<Timestamp>,
    asked_at: Option<Timestamp>,
    approved_at: Option<Timestamp>,
    started_at: Option<Timestamp>,
    done_at: Option<Timestamp>,
    verified_at: Option<Timestamp>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Phase", rename_all = "snake_case")]
enum PhaseV1 {
    Gathering { until: Timestamp },
    Weighing { recheck: Option<Timestamp> },
    Planning { choice: Choice, until: Timestamp },
    AwaitingApproval { until: Timestamp },
    Countdown { clock: CountdownClock },
    Ready { step: StepNo, attempt: Attempt, sent: Attempt, barred: Option<Barred> },
    Intended { step: StepNo, attempt: Attempt, sent: Attempt, since: Timestamp, looks: u8 },
    Running { step: StepNo, attempt: Attempt, handle: Handle, since: Timestamp },
    Verifying(Verifying),
    NeedsHuman { step: StepNo, attempt: Attempt, why: String, since: Timestamp },
    Closed(Outcome),
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "CountdownClock", rename_all = "snake_case")]
enum CountdownClockV1 {
    Untold { latest: Timestamp },
    Counting { until: Timestamp },
    Suspended,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Barred")]
struct BarredV1 {
    why: Why,
    again_at: Timestamp,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Verifying")]
struct VerifyingV1 {
    done_at: Timestamp,
    policy: VerifyPolicy,
    clear_since: Option<Timestamp>,
    adopted: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Outcome", rename_all = "snake_case")]
enum OutcomeV1 {
    Recovered,
    NotRecovered,
    Unverified,
    Failed,
    Superseded,
    Adopted,
    Cancelled,
    Denied,
    Expired,
    Cleared,
    LeftAlone,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Paging")]
struct PagingV1 {
    cause: Option<Cause>,
    told: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Cause", rename_all = "snake_case")]
enum CauseV1 {
    Approval,
    Unanswered,
    Untold,
    BreakGlass,
    NeedsHuman,
    NotRecovered,
    Unverified,
    Failed,
    Hold,
    DeadLetters,
}
