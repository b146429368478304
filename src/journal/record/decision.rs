//! Decisions, and the brief that each was made on.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::case::brief::{Brief, BriefSignal, CandidateFacts, GuardFacts, Limits, TargetFacts};
use crate::case::commits::TakenBack;
use crate::case::companion::CompanionFacts;
use crate::case::decide::{Answer, Candidate, Decision, OnResolve, Part, PartName, RowTrace, Terms, Verdict};
use crate::case::deployment::{ChangeKind, DeploymentOrigin};
use crate::case::guard::{GuardAnswer, GuardName, GuardOutcome};
use crate::case::habit::Habit;
use crate::case::id::{
    ChangeId, DeploymentId, Digest, Duration, Fingerprint, PolicyName, ReleaseId, RuleName, ServiceId,
    SignalName, SourceName, Timestamp,
};
use crate::case::ledger::Grade;
use crate::case::plan::Undone;
use crate::case::settings::{Budget, GuardSettings, MaxBack, Migrations, Mode};
use crate::case::signal::{Labels, Lag};

stored! {
    Decision => DecisionV1,
    Verdict => VerdictV1,
    Terms => TermsV1,
    OnResolve => OnResolveV1,
    RowTrace => RowTraceV1,
    Answer => AnswerV1,
    Candidate => CandidateV1,
    Part => PartV1,
    PartName => PartNameV1,
    GuardAnswer => GuardAnswerV1,
    GuardName => GuardNameV1,
    GuardOutcome => GuardOutcomeV1,
    Brief => BriefV1,
    BriefSignal => BriefSignalV1,
    CandidateFacts => CandidateFactsV1,
    TargetFacts => TargetFactsV1,
    CompanionFacts => CompanionFactsV1,
    GuardFacts => GuardFactsV1,
    Limits => LimitsV1,
    GuardSettings => GuardSettingsV1,
    Budget => BudgetV1,
    MaxBack => MaxBackV1,
    Migrations => MigrationsV1,
    Mode => ModeV1,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Decision")]
struct DecisionV1 {
    verdict: Verdict,
    proposed: Verdict,
    stopped: Option<String>,
    rule: Option<RuleName>,
    terms: Terms,
    rows: Vec<RowTrace>,
    passed_over: Vec<(String, u32)>,
    shadow: Option<(RuleName, Verdict)>,
    guards: Vec<GuardAnswer>,
    candidates: Vec<Candidate>,
    suspect: Option<DeploymentId>,
    #[serde(with = "super::exact")]
    suspicion: f64,
    recheck: Option<Timestamp>,
    rules: Digest,
    logic: u32,
    at: Timestamp,
    brief: Arc<Brief>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Verdict", rename_all = "snake_case")]
enum VerdictV1 {
    Ignore,
    Notify,
    Approve,
    Rollback,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Terms")]
struct TermsV1 {
    approval: Option<PolicyName>,
    verify: Option<PolicyName>,
    countdown: Duration,
    on_resolve: OnResolve,
    mode: Mode,
    row_said_approve: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "OnResolve", rename_all = "snake_case")]
enum OnResolveV1 {
    Suspend,
    Cancel,
    Continue,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "RowTrace")]
struct RowTraceV1 {
    name: RuleName,
    answer: Answer,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Answer", rename_all = "snake_case")]
enum AnswerV1 {
    Yes,
    No(String),
    NotYet { failed: String, until: Timestamp },
    NotReached,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Candidate")]
struct CandidateV1 {
    deployment: Option<DeploymentId>,
    #[serde(with = "super::exact")]
    suspicion: f64,
    parts: Vec<Part>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Part")]
struct PartV1 {
    name: PartName,
    #[serde(with = "super::exact")]
    factor: f64,
    says: String,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "PartName", rename_all = "snake_case")]
enum PartNameV1 {
    Time,
    Place,
    AlreadyFiring,
    Habit,
    Base,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "GuardAnswer")]
struct GuardAnswerV1 {
    name: GuardName,
    outcome: GuardOutcome,
    reason: String,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "GuardName", rename_all = "snake_case")]
enum GuardNameV1 {
    Hold,
    PauseEverything,
    TargetMissing,
    NotCurrent,
    TargetIsSuspect,
    NoTarget,
    Stale,
    OlderThanSuspect,
    OwnRollback,
    AlreadyRolledBack,
    NewerDeployment,
    OwnedElsewhere,
    NotUndoable,
    SettledBefore,
    ProviderJudges,
    Freeze,
    Pause,
    Calendar,
    Cooldown,
    Budget,
    SharedOutage,
    Unproven,
    BeyondMaxBack,
    Migration,
    FixesUndone,
    UnsureOnset,
    Chronic,
    ManyServices,
    LedgerIncomplete,
    NotLatest,
    Dependency,
    Companions,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "GuardOutcome", rename_all = "snake_case")]
enum GuardOutcomeV1 {
    Pass,
    Unknown,
    Approve,
    Notify,
    Stop,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Brief")]
struct BriefV1 {
    service: ServiceId,
    tier: Option<String>,
    mode: Mode,
    now: Timestamp,
    signals: Vec<BriefSignal>,
    candidates: Vec<CandidateFacts>,
    habits: BTreeMap<SignalName, Habit>,
    #[serde(with = "super::exact::map")]
    figures: BTreeMap<String, f64>,
    suspect: Option<DeploymentId>,
    target: Option<TargetFacts>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    with: Vec<CompanionFacts>,
    facts: GuardFacts,
    limits: Limits,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "BriefSignal")]
struct BriefSignalV1 {
    source: SourceName,
    name: SignalName,
    fingerprint: Fingerprint,
    labels: Arc<Labels>,
    about: ServiceId,
    started_at: Timestamp,
    onset: Timestamp,
    lag: Lag,
    opened_at: Timestamp,
    firing: bool,
    confirmed: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unheard: Option<Duration>,
    episodes_day: u32,
    exonerated: Vec<DeploymentId>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "CandidateFacts")]
struct CandidateFactsV1 {
    deployment: DeploymentId,
    service: ServiceId,
    release: ReleaseId,
    version: Option<String>,
    commit: Option<String>,
    author: Option<String>,
    change: Option<ChangeId>,
    kind: ChangeKind,
    started_at: Timestamp,
    serving_from: Timestamp,
    finished_at: Option<Timestamp>,
    is_current: bool,
    going_out: bool,
    origin: DeploymentOrigin,
    labels: Labels,
    our_clock: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "TargetFacts")]
struct TargetFactsV1 {
    release: ReleaseId,
    grade: Grade,
    proven: bool,
    releases_back: u32,
    deployed_at: Option<Timestamp>,
    artifact_exists: Option<bool>,
    runs_on_schema: Option<i64>,
    undone: Vec<Undone>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    taken_back: Option<TakenBack>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "CompanionFacts")]
struct CompanionFactsV1 {
    service: ServiceId,
    from: Option<ReleaseId>,
    target: Option<TargetFacts>,
    stuck: Option<String>,
    migrations: Migrations,
    frozen_until: Option<Timestamp>,
    owned_by: Option<String>,
    shadow: bool,
    apart: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "GuardFacts")]
struct GuardFactsV1 {
    hold: Option<String>,
    paused: bool,
    paused_everything: bool,
    frozen_until: Option<Timestamp>,
    last_act_at: Option<Timestamp>,
    suspect_rolled_back: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bad_release_back: Option<String>,
    current: Option<ReleaseId>,
    newer_deployment: Option<DeploymentId>,
    owned_by: Option<String>,
    provider_judges_until: Option<Timestamp>,
    ledger_incomplete: bool,
    budgets_spent: Vec<String>,
    services_raised: u32,
    change_elsewhere: Vec<ServiceId>,
    calendar: Option<String>,
    settled_before: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Limits")]
struct LimitsV1 {
    guards: GuardSettings,
    max_back: MaxBack,
    migrations: Migrations,
    #[serde(rename = "cadence")]
    window_min: Option<Duration>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "GuardSettings")]
struct GuardSettingsV1 {
    cooldown: Duration,
    budget_per_service: Vec<Budget>,
    budget: Vec<Budget>,
    clock_skew: Duration,
    not_during: Vec<PolicyName>,
    provider_grace: Duration,
    episode_settle: Duration,
    shared_outage_services: u32,
    shared_outage_within: Duration,
    chronic_episodes: u32,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    fix_words: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Budget")]
struct BudgetV1 {
    within: Duration,
    acts: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "MaxBack")]
struct MaxBackV1 {
    releases: u32,
    age: Duration,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Migrations", rename_all = "snake_case")]
enum MigrationsV1 {
    None,
    Marked,
    Unknown,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Mode", rename_all = "snake_case")]
enum ModeV1 {
    Shadow,
    Live,
}
