//! Releases, deployments and the ledger.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::case::deployment::{ChangeKind, Deployment, DeploymentOrigin, DeploymentStatus, Owner};
use crate::case::id::{ChangeId, DeploymentId, Mark, ReleaseId, ServiceId, SourceName, Timestamp};
use crate::case::ledger::{Change, Grade, Ledger, Page};
use crate::case::notice::Notice;
use crate::case::release::{MigrationMarks, Release, RollbackMark};
use crate::case::signal::Labels;

stored! {
    Release => ReleaseV1,
    MigrationMarks => MigrationMarksV1,
    RollbackMark => RollbackMarkV1,
    Deployment => DeploymentV1,
    DeploymentStatus => DeploymentStatusV1,
    DeploymentOrigin => DeploymentOriginV1,
    ChangeKind => ChangeKindV1,
    Owner => OwnerV1,
    Ledger => LedgerV1,
    Page => PageV1,
    Grade => GradeV1,
    Change => ChangeV1,
    Notice => NoticeV1,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Release")]
struct ReleaseV1 {
    id: ReleaseId,
    version: Option<String>,
    commit: Option<String>,
    author: Option<String>,
    change: Option<ChangeId>,
    links: Vec<String>,
    marks: MigrationMarks,
    artifact_exists: Option<bool>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "MigrationMarks")]
struct MigrationMarksV1 {
    rollback: Option<RollbackMark>,
    schema_version: Option<i64>,
    min_compatible_schema: Option<i64>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "RollbackMark", rename_all = "snake_case")]
enum RollbackMarkV1 {
    Safe,
    Expand,
    Contract,
    Irreversible,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Deployment")]
struct DeploymentV1 {
    id: DeploymentId,
    service: ServiceId,
    release: ReleaseId,
    started_at: Timestamp,
    traffic_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
    status: DeploymentStatus,
    by: Option<String>,
    origin: DeploymentOrigin,
    change: ChangeKind,
    labels: Labels,
    our_clock: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "DeploymentStatus", rename_all = "snake_case")]
enum DeploymentStatusV1 {
    GoingOut,
    Finished,
    Failed,
    Stopped,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "DeploymentOrigin", rename_all = "snake_case")]
enum DeploymentOriginV1 {
    Ordinary,
    Ours(Mark),
    Rollback,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "ChangeKind", rename_all = "snake_case")]
enum ChangeKindV1 {
    Code,
    Config,
    Flag,
    Infra,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Owner", rename_all = "snake_case")]
enum OwnerV1 {
    Nobody,
    Other(String),
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Ledger")]
struct LedgerV1 {
    pages: BTreeMap<ReleaseId, Page>,
    deployments: Vec<Deployment>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    changes: Vec<Change>,
    current: Option<ReleaseId>,
    first_sight_over: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Page")]
struct PageV1 {
    release: Release,
    grade: Grade,
    why: String,
    lock: Option<String>,
    tainted_at: Option<Timestamp>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Grade", rename_all = "snake_case")]
enum GradeV1 {
    Baking,
    Good,
    Inherited,
    Bad,
    Unknown,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Change")]
struct ChangeV1 {
    deployment: Deployment,
    what: Release,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Notice")]
struct NoticeV1 {
    feed: SourceName,
    id: String,
    labels: Labels,
    release: Release,
    change: ChangeKind,
    status: DeploymentStatus,
    at: Timestamp,
    started_at: Option<Timestamp>,
    by: Option<String>,
    rollback: bool,
    received_at: Timestamp,
}
