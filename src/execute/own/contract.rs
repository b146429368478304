//! The contract with a deployer of the user's own: what is asked, and what it answers. Everything is JSON; fields that are not named here
//! are nobody's business. `docs/providers/own.md` says the same for whoever writes one.

use serde::{Deserialize, Serialize};

use crate::case::deployment::DeploymentStatus;
use crate::case::id::{ServiceId, Timestamp};
use crate::case::release::RollbackMark;

/// The version of the contract.
const VERSION: u8 = 1;

/// A question.
#[derive(Debug, Serialize)]
pub(super) struct Question<'a> {
    snapback: u8,
    service: &'a str,
    environment: &'a str,
    #[serde(flatten)]
    pub(super) action: Action<'a>,
}

impl<'a> Question<'a> {
    pub(super) fn of(service: &'a ServiceId, action: Action<'a>) -> Question<'a> {
        Question { snapback: VERSION, service: service.name(), environment: service.environment(), action }
    }
}

/// What is asked.
#[derive(Debug, Serialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub(super) enum Action<'a> {
    /// What serves, and what is on its way.
    Describe,
    /// What went out since then, and what went out last before.
    History { since: Timestamp },
    /// Put a release out again. Begins it, and answers at once.
    Rollback {
        key: &'a str,
        case: &'a str,
        attempt: u8,
        from: &'a str,
        to: &'a str,
        /// Not after this moment.
        deadline: Timestamp,
    },
    /// How a rollback stands.
    Status { key: &'a str, from: &'a str, to: &'a str },
}

/// The answer to `describe`.
#[derive(Debug, Deserialize)]
pub(super) struct Described {
    /// The release that serves; null where nothing does. An answer without it is none.
    #[serde(deserialize_with = "Option::deserialize")]
    pub(super) current: Option<String>,
    /// The deployment that is on its way, by its name in the history.
    #[serde(default)]
    pub(super) in_flight: Option<String>,
    /// Who else decides what runs there.
    #[serde(default)]
    pub(super) owner: Option<String>,
    /// It remembers the keys of rollbacks, at least for a day, and does the work of one key once.
    #[serde(default)]
    pub(super) remembers: bool,
}

/// The answer to `history`.
#[derive(Debug, Deserialize)]
pub(super) struct Told {
    /// Oldest first or newest first.
    pub(super) deployments: Vec<Line>,
}

/// A deployment.
#[derive(Debug, Deserialize)]
pub(super) struct Line {
    /// Its name; left out: release and beginning are its name.
    #[serde(default)]
    pub(super) deployment: Option<String>,
    pub(super) release: String,
    #[serde(default)]
    pub(super) version: Option<String>,
    #[serde(default)]
    pub(super) commit: Option<String>,
    #[serde(default)]
    pub(super) author: Option<String>,
    #[serde(default)]
    pub(super) change: Option<String>,
    pub(super) started_at: Timestamp,
    #[serde(default)]
    pub(super) finished_at: Option<Timestamp>,
    #[serde(default)]
    pub(super) status: Option<Status>,
    /// Who began it.
    #[serde(default)]
    pub(super) by: Option<String>,
    /// The key, where it was a rollback of ours.
    #[serde(default)]
    pub(super) key: Option<String>,
    /// Somebody went back by it.
    #[serde(default)]
    pub(super) is_rollback: bool,
    /// What the release says about going back over it.
    #[serde(default)]
    pub(super) rollback: Option<Mark>,
    #[serde(default)]
    pub(super) schema_version: Option<i64>,
    #[serde(default)]
    pub(super) min_compatible_schema: Option<i64>,
    #[serde(default)]
    pub(super) links: Vec<String>,
    /// Whether it can be put out again.
    #[serde(default)]
    pub(super) exists: Option<bool>,
}

/// How a deployment stands.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Status {
    GoingOut,
    Finished,
    Failed,
    Stopped,
}

impl From<Status> for DeploymentStatus {
    fn from(status: Status) -> DeploymentStatus {
        match status {
            Status::GoingOut => DeploymentStatus::GoingOut,
            Status::Finished => DeploymentStatus::Finished,
            Status::Failed => DeploymentStatus::Failed,
            Status::Stopped => DeploymentStatus::Stopped,
        }
    }
}

/// A migration mark.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Mark {
    Safe,
    Expand,
    Contract,
    Irreversible,
}

impl From<Mark> for RollbackMark {
    fn from(mark: Mark) -> RollbackMark {
        match mark {
            Mark::Safe => RollbackMark::Safe,
            Mark::Expand => RollbackMark::Expand,
            Mark::Contract => RollbackMark::Contract,
            Mark::Irreversible => RollbackMark::Irreversible,
        }
    }
}

/// The answer to `rollback`.
#[derive(Debug, Deserialize)]
pub(super) struct Begun {
    pub(super) state: Taken,
    #[serde(default)]
    pub(super) says: String,
}

/// Whether a rollback was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Taken {
    /// It was, now or under this key before.
    Begun,
    /// Not now; nothing was done.
    Busy,
    /// Never; nothing was done.
    Refused,
    /// Something else serves than `from`; nothing was done.
    Moved,
}

/// The answer to `status`.
#[derive(Debug, Deserialize)]
pub(super) struct Stands {
    pub(super) state: State,
    #[serde(default)]
    pub(super) says: String,
    #[serde(default)]
    pub(super) url: Option<String>,
}

/// How a rollback stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    /// It knows no such key.
    Unknown,
    Running,
    /// The target serves.
    Done,
    Failed,
    NeedsHuman,
    /// Somebody else put something else out since.
    Superseded,
}
