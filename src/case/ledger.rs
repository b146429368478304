//! The ledger: what Snapback knows about each release of one service, and the deployments that put it there.
//! Provider history is only the list of candidates; good and bad are our own judgement, kept by artifact.

use std::collections::BTreeMap;

use super::deployment::Deployment;
use super::id::{ReleaseId, Timestamp};
use super::release::Release;

/// Releases kept for one service: beyond it the oldest that nobody asks about are forgotten.
pub const RELEASES_MAX: usize = 200;
/// Deployments kept for one service, with the same reason.
pub const DEPLOYMENTS_MAX: usize = 200;

/// What is known about one release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grade {
    /// Serving, its soak not over.
    Baking,
    /// Served its soak and raised nothing.
    Good,
    /// Served its soak before Snapback knew the service.
    Inherited,
    /// Rolled back for cause, or a person said so.
    Bad,
    /// Nothing speaks for it or against it.
    Unknown,
}

impl Grade {
    /// The word in the API, tables and threads.
    pub fn word(self) -> &'static str {
        match self {
            Grade::Baking => "baking",
            Grade::Good => "good",
            Grade::Inherited => "inherited",
            Grade::Bad => "bad",
            Grade::Unknown => "unknown",
        }
    }
}

/// One release's page in the ledger.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// The release.
    pub release: Release,
    /// What we hold of it.
    pub grade: Grade,
    /// Why, in a sentence.
    pub why: String,
    /// It may not go out again until somebody unlocks it; holds the reason.
    pub lock: Option<String>,
    /// A signal whose onset fell into its window: it cannot become good by soaking alone.
    pub tainted_at: Option<Timestamp>,
}

/// The ledger of one service.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ledger {
    /// Pages by artifact.
    pub pages: BTreeMap<ReleaseId, Page>,
    /// Deployments, oldest first by beginning.
    pub deployments: Vec<Deployment>,
    /// What serves now, by the last picture or our own act.
    pub current: Option<ReleaseId>,
    /// Whether the provider's own history was read once: only then is `inherited` decided.
    pub first_sight_over: bool,
}
