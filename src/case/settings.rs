//! What the core is told about a service and its limits: the settings that `config` fills. Every length and count
//! has its default here, beside its meaning; nothing here reads a file.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::approval::ApprovalPolicy;
use super::heartbeat::Heartbeat;
use super::id::{Duration, PolicyName, ServiceId, SourceName};
use super::pager::Pagers;
use super::probe::ProbePolicy;
use super::step::Step;

/// Whether Snapback may act. The strictest of the outer mode, the service's and the row's wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// Judge, plan and tell, and never act.
    Shadow,
    /// Act where the rules say so.
    Live,
}

impl Mode {
    /// The word in files and the API.
    pub fn word(self) -> &'static str {
        match self {
            Mode::Shadow => "shadow",
            Mode::Live => "live",
        }
    }
}

/// Everything the core needs to know about one service.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceSettings {
    /// The service.
    pub id: ServiceId,
    /// The name of its provider, `[providers.NAME]`.
    pub provider: String,
    /// Its tier, such as `critical`.
    pub tier: Option<String>,
    /// The strictest of the outer mode and the service's own.
    pub mode: Mode,
    /// How long a release must serve without trouble to be good.
    pub soak: Duration,
    /// Whether releases that served before Snapback came count as proven.
    pub inherit_good: bool,
    /// What a release without migration marks means.
    pub migrations: Migrations,
    /// Services whose deployments may be to blame for this one's trouble.
    pub depends_on: Vec<ServiceId>,
    /// Services that go back together with this one, in this order.
    pub with: Vec<ServiceId>,
    /// How far back a target may lie.
    pub max_back: MaxBack,
    /// A batch service's rhythm: its window and soak last at least this long.
    pub cadence: Option<Duration>,
    /// Who may say yes where the row names no policy.
    pub approval: PolicyName,
    /// How recovery is judged where the row names no policy.
    pub verify: PolicyName,
    /// Its probes, by which it is watched after each deployment.
    pub probes: Vec<ProbePolicy>,
    /// The user's own steps before the provider's.
    pub before: Vec<Step>,
    /// The user's own steps after the provider's.
    pub after: Vec<Step>,
}

impl ServiceSettings {
    /// A window is at least so long: one run of a batch service, and as long as probes watch a release.
    pub fn window_min(&self) -> Option<Duration> {
        let watched = self.probes.iter().map(|probe| probe.watch_for);
        watched.chain(self.cadence).max()
    }
}

/// What a release without marks means for going back over it: the service's `migrations` key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Migrations {
    /// The service has no schema: no barrier.
    None,
    /// Releases with a migration are marked: no mark means safe.
    Marked,
    /// Nobody marks: no mark means ask.
    Unknown,
}

/// How far back a target may lie; beyond it people are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxBack {
    /// Releases between suspect and target, the target included.
    pub releases: u32,
    /// Age of the target's last deployment.
    pub age: Duration,
}

/// The settings that all services share.
#[derive(Clone, Debug, PartialEq)]
pub struct SharedSettings {
    /// The limits of the guards.
    pub guards: GuardSettings,
    /// Approval policies by name; `default` is always there.
    pub approvals: BTreeMap<PolicyName, Arc<ApprovalPolicy>>,
    /// Verification policies by name; `default` is always there.
    pub verify: BTreeMap<PolicyName, VerifyPolicy>,
    /// Who wakes people, by name; nobody where there is none.
    pub pagers: Pagers,
    /// Sources that can be asked when the trouble of an alert really began.
    pub tell_onset: BTreeSet<SourceName>,
    /// More dead letters within an hour wake people.
    pub dead_letters_max: u32,
    /// The heartbeats of the sources that have one: the silence of any other cannot be seen.
    pub heartbeats: BTreeMap<SourceName, Heartbeat>,
}

/// The limits of the guards, `[guards]`.
#[derive(Clone, Debug, PartialEq)]
pub struct GuardSettings {
    /// After any rollback of the service, a person's too: nothing automatic for so long.
    pub cooldown: Duration,
    /// Automatic acts of one service: so many in so long, all of them must hold.
    pub budget_per_service: Vec<Budget>,
    /// Automatic acts of all services together.
    pub budget: Vec<Budget>,
    /// So far may clocks differ before an order of moments is unsure.
    pub clock_skew: Duration,
    /// No automatic acts during these times, `[times.NAME]`.
    pub not_during: Vec<PolicyName>,
    /// How long a provider that judges a deployment itself is left to do so.
    pub provider_grace: Duration,
    /// How long a clear must last before its episode ends.
    pub episode_settle: Duration,
    /// So many services with a case...
    pub shared_outage_services: u32,
    /// ...within so long are a shared outage.
    pub shared_outage_within: Duration,
    /// So many episodes of a signal in a day make it chronic.
    pub chronic_episodes: u32,
    /// Whole words in a commit's message by which it mends a fault of security or an incident.
    pub fix_words: Vec<String>,
}

/// At most `acts` within `within`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// The length of the sliding window.
    pub within: Duration,
    /// The most acts in it.
    pub acts: u32,
}

/// How recovery is judged, `[verify.NAME]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerifyPolicy {
    /// After the target serves: nothing is judged for so long.
    pub settle: Duration,
    /// After that: recovery must show within so long.
    pub within: Duration,
    /// Signals must stay clear for so long.
    pub clear_for: Duration,
}

impl Default for VerifyPolicy {
    fn default() -> Self {
        VerifyPolicy {
            settle: Duration::from_mins(2),
            within: Duration::from_mins(20),
            clear_for: Duration::from_mins(5),
        }
    }
}

impl Default for MaxBack {
    fn default() -> Self {
        MaxBack { releases: 5, age: Duration::from_hours(7 * 24) }
    }
}

impl Default for GuardSettings {
    fn default() -> Self {
        let day = Duration::from_hours(24);
        GuardSettings {
            cooldown: Duration::from_mins(30),
            budget_per_service: vec![
                Budget { within: Duration::from_mins(30), acts: 1 },
                Budget { within: day, acts: 3 },
            ],
            budget: vec![
                Budget { within: Duration::from_mins(10), acts: 3 },
                Budget { within: day, acts: 10 },
            ],
            clock_skew: Duration::from_secs(10),
            not_during: Vec::new(),
            provider_grace: Duration::from_secs(60),
            episode_settle: Duration::from_mins(5),
            shared_outage_services: 3,
            shared_outage_within: Duration::from_mins(5),
            chronic_episodes: 3,
            fix_words: ["security", "vulnerability", "incident", "outage", "hotfix"]
                .map(str::to_owned)
                .into(),
        }
    }
}
