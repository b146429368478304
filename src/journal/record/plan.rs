//! Plans, their steps, the policies that approve them and the votes.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::case::approval::{ApprovalPolicy, OnExpiry, Vote};
use crate::case::commits::TakenBack;
use crate::case::id::{
    CaseId, DeploymentId, Digest, Duration, GroupName, PersonId, PolicyName, ReleaseId, ServiceId, Timestamp,
};
use crate::case::ledger::Grade;
use crate::case::plan::{Choice, Companion, Leg, Plan, Undone};
use crate::case::release::{MigrationMarks, Release};
use crate::case::settings::VerifyPolicy;
use crate::case::step::{Act, Class, Doer, OnFailure, Step};

stored! {
    Choice => ChoiceV1,
    Leg => LegV1,
    Plan => PlanV1,
    Companion => CompanionV1,
    Undone => UndoneV1,
    TakenBack => TakenBackV1,
    Step => StepV1,
    Act => ActV1,
    Class => ClassV1,
    Doer => DoerV1,
    OnFailure => OnFailureV1,
    ApprovalPolicy => ApprovalPolicyV1,
    OnExpiry => OnExpiryV1,
    Vote => VoteV1,
    VerifyPolicy => VerifyPolicyV1,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Choice")]
struct ChoiceV1 {
    case: CaseId,
    service: ServiceId,
    suspect: Option<DeploymentId>,
    from: ReleaseId,
    to: ReleaseId,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    with: Vec<Leg>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Leg")]
struct LegV1 {
    service: ServiceId,
    from: ReleaseId,
    to: ReleaseId,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Plan")]
struct PlanV1 {
    suspect: Option<DeploymentId>,
    from: Release,
    to: Release,
    to_grade: Grade,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    with: Vec<Companion>,
    steps: Vec<Step>,
    undone: Vec<Undone>,
    fast: bool,
    expected_time: Option<Duration>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    taken_back: Option<TakenBack>,
    approval: Arc<ApprovalPolicy>,
    expires: Timestamp,
    digest: Digest,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Companion")]
struct CompanionV1 {
    service: ServiceId,
    from: Release,
    to: Release,
    to_grade: Grade,
    undone: Vec<Undone>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Undone")]
struct UndoneV1 {
    release: ReleaseId,
    called: String,
    author: Option<String>,
    marks: MigrationMarks,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "TakenBack")]
struct TakenBackV1 {
    commits: u32,
    unread: u32,
    authors: Vec<String>,
    fixes: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Step")]
struct StepV1 {
    doer: Doer,
    act: Act,
    deadline: Duration,
    on_failure: OnFailure,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Act")]
struct ActV1 {
    kind: String,
    arguments: BTreeMap<String, String>,
    class: Class,
    says: String,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Class")]
enum ClassV1 {
    A,
    B,
    C,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Doer", rename_all = "snake_case")]
enum DoerV1 {
    Provider(ServiceId),
    Ledger(ReleaseId),
    User,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "OnFailure", rename_all = "snake_case")]
enum OnFailureV1 {
    Stop,
    Continue,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "ApprovalPolicy")]
struct ApprovalPolicyV1 {
    name: PolicyName,
    from: Vec<Vec<GroupName>>,
    quorum: u32,
    expires: Duration,
    not_the_author: bool,
    on_expiry: OnExpiry,
    break_glass: Vec<GroupName>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "OnExpiry", rename_all = "snake_case")]
enum OnExpiryV1 {
    Notify,
    Rollback,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Vote")]
struct VoteV1 {
    by: PersonId,
    yes: bool,
    at: Timestamp,
    digest: Digest,
    break_glass: Option<String>,
    #[serde(default)]
    confirm: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "VerifyPolicy")]
struct VerifyPolicyV1 {
    settle: Duration,
    within: Duration,
    clear_for: Duration,
}
