//! A signal: an alert, a failed probe or a provider's failure report in our own form, whoever sent it; and its
//! episode, from firing to a settled clear. Leaves to `map` which service it speaks about, and to `correlate`
//! what it may point at.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::id::{CaseId, DeploymentId, Duration, Fingerprint, SignalName, SourceName, Timestamp};

/// The labels of a signal, sorted by name. A missing label equals the empty text.
pub type Labels = BTreeMap<String, String>;

/// What one alert said, once.
#[derive(Clone, Debug, PartialEq)]
pub struct Signal {
    /// Who told us.
    pub source: SourceName,
    /// The alert's name.
    pub name: SignalName,
    /// The same alert, again.
    pub fingerprint: Fingerprint,
    /// What it says.
    pub state: SignalState,
    /// The sender's labels: data, never markup, path or pattern. Shared: episodes and briefs hold the same ones.
    pub labels: Arc<Labels>,
    /// The sender's annotations; they change between sends and are never identity.
    pub annotations: Arc<Labels>,
    /// When the sender says that it began.
    pub started_at: Timestamp,
    /// When it reached us.
    pub received_at: Timestamp,
    /// How much earlier than `started_at` the trouble itself began.
    pub lag: Lag,
    /// The message left members out: an absence in it means nothing.
    pub incomplete: bool,
    /// Where a person can look: the sender's own link.
    pub link: Option<String>,
}

impl Signal {
    /// When the trouble began, as far as the lag tells.
    pub fn onset(&self) -> Timestamp {
        match self.lag {
            Lag::Assumed(lag) | Lag::Bound(lag) => self.started_at.checked_sub(lag).unwrap_or(Timestamp::MIN),
            Lag::Exact(onset) => onset,
        }
    }

    /// What makes two reports one episode: the source and the fingerprint.
    pub fn key(&self) -> EpisodeKey {
        EpisodeKey { source: self.source.clone(), fingerprint: self.fingerprint.clone() }
    }
}

/// What a signal says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignalState {
    /// The trouble is there.
    Firing,
    /// The sender says that it ended, at this moment.
    Cleared(Timestamp),
    /// The sender has no data: not broken, and not recovered.
    NoData,
}

/// How late an alarm tells, and how well that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lag {
    /// The source's configured lag: nobody said anything better.
    Assumed(Duration),
    /// The alert's own `snapback_lag`: it began at most so much earlier.
    Bound(Duration),
    /// The true moment, from the sender's own data.
    Exact(Timestamp),
}

/// What makes reports one episode.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EpisodeKey {
    /// Who tells it.
    pub source: SourceName,
    /// The alert.
    pub fingerprint: Fingerprint,
}

/// One run of a signal from firing to a settled clear. Blame is fixed when it opens: deployments that began
/// after its first start time are never its suspects, whatever later reports claim.
#[derive(Clone, Debug, PartialEq)]
pub struct Episode {
    /// The report that opened it, with the newest annotations.
    pub signal: Signal,
    /// When it began, by the report that opened it; later reports do not move it.
    pub started_at: Timestamp,
    /// When the report that opened it reached us.
    pub opened_at: Timestamp,
    /// The last time that a report said *firing*.
    pub heard_at: Timestamp,
    /// Where it stands.
    pub standing: EpisodeStanding,
    /// A person said that this deployment is not to blame; it is never asked about again.
    pub exonerated: Vec<DeploymentId>,
    /// The case that it is in. `None`: it waits until the open case closes.
    pub case: Option<CaseId>,
}

/// Where an episode stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EpisodeStanding {
    /// Firing, as far as we know; silence after firing counts as firing.
    Firing,
    /// A clear was told; at `until` it is settled and the episode ends.
    Settling {
        /// When the sender says that it cleared.
        cleared_at: Timestamp,
        /// When the clear counts as settled.
        until: Timestamp,
    },
}

impl Episode {
    /// Opens an episode with its first report.
    pub fn open(signal: Signal) -> Episode {
        Episode {
            started_at: signal.started_at,
            opened_at: signal.received_at,
            heard_at: signal.received_at,
            standing: EpisodeStanding::Firing,
            exonerated: Vec::new(),
            case: None,
            signal,
        }
    }

    /// Whether it counts as firing.
    pub fn is_firing(&self) -> bool {
        matches!(self.standing, EpisodeStanding::Firing)
    }

    /// When the trouble began: the onset of the report that opened it.
    pub fn onset(&self) -> Timestamp {
        self.signal.onset()
    }
}
