//! A deployment: a release put on a service at a time, by somebody, through a provider; and the picture that a
//! provider gives of a service at one moment. Leaves to `ledger` what is remembered of it.

use std::collections::BTreeMap;

use super::id::{DeploymentId, Mark, ReleaseId, ServiceId, Timestamp};
use super::release::Release;
use super::signal::Labels;

/// A release put on a service.
#[derive(Clone, Debug, PartialEq)]
pub struct Deployment {
    /// The provider's name for it.
    pub id: DeploymentId,
    /// Where.
    pub service: ServiceId,
    /// What.
    pub release: ReleaseId,
    /// When it began.
    pub started_at: Timestamp,
    /// When it first took traffic, where the provider tells; else its beginning counts.
    pub traffic_at: Option<Timestamp>,
    /// When it finished going out. `None`: it has not, or it has and its provider notes no ends.
    pub finished_at: Option<Timestamp>,
    /// How it stands.
    pub status: DeploymentStatus,
    /// Who began it.
    pub by: Option<String>,
    /// Why it was begun, as far as its marks tell.
    pub origin: DeploymentOrigin,
    /// What kind of change it carries.
    pub change: ChangeKind,
    /// What its provider says about it, such as its region; CEL reads them as `suspect.labels`.
    pub labels: Labels,
    /// Whether its times come from a clock that is ours: the directory's own log, our own acts.
    pub our_clock: bool,
}

impl Deployment {
    /// The moment from which it may cause trouble.
    pub fn serving_from(&self) -> Timestamp {
        self.traffic_at.unwrap_or(self.started_at)
    }

    /// When it was over: its end, or its beginning where it went out and nobody noted the end. `None`: it goes on, or ended otherwise.
    pub fn over_at(&self) -> Option<Timestamp> {
        self.finished_at.or((self.status == DeploymentStatus::Finished).then_some(self.started_at))
    }

    /// Whether it is still on its way.
    pub fn is_going_out(&self) -> bool {
        self.status == DeploymentStatus::GoingOut
    }
}

/// How a deployment stands at its provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeploymentStatus {
    /// Still going out.
    GoingOut,
    /// Finished: it went out whole. That is no statement about its health.
    Finished,
    /// The provider says that it failed.
    Failed,
    /// Somebody stopped it.
    Stopped,
}

impl DeploymentStatus {
    /// The word in files, tables and the API.
    pub fn word(self) -> &'static str {
        match self {
            DeploymentStatus::GoingOut => "going_out",
            DeploymentStatus::Finished => "finished",
            DeploymentStatus::Failed => "failed",
            DeploymentStatus::Stopped => "stopped",
        }
    }
}

/// Why a deployment was begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeploymentOrigin {
    /// An ordinary one: a person or a pipeline.
    Ordinary,
    /// Ours: it carries our mark. Never a suspect.
    Ours(Mark),
    /// A rollback by somebody else or by the provider itself.
    Rollback,
}

/// What kind of change a deployment carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// A new build.
    Code,
    /// Configuration.
    Config,
    /// A feature flag.
    Flag,
    /// Infrastructure below the service.
    Infra,
}

impl ChangeKind {
    /// The word in notices and tables.
    pub fn word(self) -> &'static str {
        match self {
            ChangeKind::Code => "code",
            ChangeKind::Config => "config",
            ChangeKind::Flag => "flag",
            ChangeKind::Infra => "infra",
        }
    }

    /// Reads the word.
    pub fn parse(word: &str) -> Option<ChangeKind> {
        [ChangeKind::Code, ChangeKind::Config, ChangeKind::Flag, ChangeKind::Infra]
            .into_iter()
            .find(|kind| kind.word() == word)
    }
}

/// What a provider says about a service at one moment. It may be older than what we know of our own acts.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    /// When it was taken, by our clock.
    pub at: Timestamp,
    /// What serves now. `None`: nothing does, or the provider cannot tell.
    pub current: Option<ReleaseId>,
    /// What is on its way.
    pub in_flight: Option<DeploymentId>,
    /// Who else decides what should run there.
    pub owner: Owner,
    /// The provider's history, oldest first, with the releases that it names.
    pub deployments: Vec<Deployment>,
    /// The releases that the history names, and what is known of them.
    pub releases: Vec<Release>,
    /// Figures that the provider tells, such as `replicas` and `replicas_ready`; CEL reads them as `service.NAME`.
    pub figures: BTreeMap<String, f64>,
    /// The provider judges what is going out itself (alarms, canary analysis): it gets its grace first.
    pub provider_judges: bool,
    /// What the provider itself reports as trouble now, of deployments by others than us.
    pub reports: Vec<Report>,
}

/// A provider's own report of trouble: a deployment that failed, is stuck, or whose parts fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Of which deployment.
    pub deployment: DeploymentId,
    /// Since when, as far as the provider tells.
    pub since: Timestamp,
    /// What it says.
    pub says: String,
}

impl Picture {
    /// Our marks that the provider shows.
    pub fn our_marks(&self) -> impl Iterator<Item = &Mark> {
        self.deployments.iter().filter_map(|deployment| match &deployment.origin {
            DeploymentOrigin::Ours(mark) => Some(mark),
            DeploymentOrigin::Ordinary | DeploymentOrigin::Rollback => None,
        })
    }
}

/// Who decides what should run there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// Nobody but who deploys: a rollback stays.
    Nobody,
    /// Somebody who would undo a rollback, such as `Argo CD application shop/checkout`.
    Other(String),
}
