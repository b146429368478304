//! What is known only while the process runs: the last picture that changed nothing, the last roster. Nothing in it
//! survives a restart, on purpose: after one the provider is read again and authority is read again.

use std::collections::{BTreeMap, BTreeSet};

use super::approval::Roster;
use super::deployment::{Owner, Picture};
use super::id::{DeploymentId, Duration, ProbeName, ReleaseId, Timestamp};
use super::probe::Runs;
use super::signal::EpisodeKey;

/// A picture younger than this serves everybody who waits for one.
pub const PICTURE_FRESH: Duration = Duration::from_secs(10);

/// What is known only while the process runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Live {
    /// When this process began to listen.
    pub since: Timestamp,
    /// When the provider was last read. `None`: not since this process began; the gate bars the service.
    pub described_at: Option<Timestamp>,
    /// When the provider last showed that something changed there.
    pub moved_at: Option<Timestamp>,
    /// What served then.
    pub current: Option<ReleaseId>,
    /// What was on its way then.
    pub in_flight: Option<DeploymentId>,
    /// Who else decided then what should run there.
    pub owner: Owner,
    /// The provider's figures then.
    pub figures: BTreeMap<String, f64>,
    /// The provider judges what is going out itself.
    pub provider_judges: bool,
    /// Why the last reading failed, if it did.
    pub trouble: Option<String>,
    /// When the provider was last asked, whatever came of it.
    pub tried_at: Option<Timestamp>,
    /// Episodes whose source was asked when they began, whatever came of it.
    pub asked: BTreeSet<EpisodeKey>,
    /// What the service's probes found.
    pub probes: BTreeMap<ProbeName, Runs>,
    /// Who may vote, as last read.
    pub roster: Option<Roster>,
}

impl Live {
    /// Nothing known yet.
    pub fn new(since: Timestamp) -> Live {
        Live {
            since,
            described_at: None,
            moved_at: None,
            current: None,
            in_flight: None,
            owner: Owner::Nobody,
            figures: BTreeMap::new(),
            provider_judges: false,
            trouble: None,
            tried_at: None,
            asked: BTreeSet::new(),
            probes: BTreeMap::new(),
            roster: None,
        }
    }

    /// Takes a picture.
    pub fn see(&mut self, picture: &Picture) {
        self.described_at = Some(picture.at);
        self.current.clone_from(&picture.current);
        self.in_flight.clone_from(&picture.in_flight);
        self.owner.clone_from(&picture.owner);
        self.figures.clone_from(&picture.figures);
        self.provider_judges = picture.provider_judges;
        self.trouble = None;
        self.tried_at = Some(picture.at);
    }

    /// Whether the picture is young enough to act on.
    pub fn is_fresh(&self, now: Timestamp) -> bool {
        self.described_at.is_some_and(|at| at <= now)
            && self.described_since(now.checked_sub(PICTURE_FRESH).unwrap_or(Timestamp::MIN))
    }

    /// Whether the provider was read at or after this moment.
    pub fn described_since(&self, moment: Timestamp) -> bool {
        self.described_at.is_some_and(|at| at >= moment)
    }
}
