//! A brief: everything that a decision may look at, at one moment. It is stored with the decision, so that explain,
//! backtest and audit call the same function on the same facts.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::commits::TakenBack;
use super::companion::CompanionFacts;
use super::deployment::{ChangeKind, DeploymentOrigin};
use super::digest::Canon;
use super::habit::Habit;
use super::id::{
    ChangeId, DeploymentId, Digest, Duration, Fingerprint, ReleaseId, ServiceId, SignalName, SourceName,
    Timestamp,
};
use super::ledger::Grade;
use super::plan::Undone;
use super::settings::{GuardSettings, MaxBack, Migrations, Mode};
use super::signal::{Labels, Lag};

/// Everything a decision looks at.
#[derive(Clone, Debug, PartialEq)]
pub struct Brief {
    /// The service that would be changed.
    pub service: ServiceId,
    /// Its tier.
    pub tier: Option<String>,
    /// The strictest mode outside the row.
    pub mode: Mode,
    /// The present.
    pub now: Timestamp,
    /// The signals of the case: firing ones, and cleared ones whose clear is not settled. Never empty.
    pub signals: Vec<BriefSignal>,
    /// Every deployment that could be to blame, newest first.
    pub candidates: Vec<CandidateFacts>,
    /// Habits of the signals' names; a name without habits is taken as quiet.
    pub habits: BTreeMap<SignalName, Habit>,
    /// The service's figures, `service.NAME` in CEL.
    pub figures: BTreeMap<String, f64>,
    /// The deployment that the case is about, once one was chosen.
    pub suspect: Option<DeploymentId>,
    /// Where one would go back to from the suspect, if anywhere.
    pub target: Option<TargetFacts>,
    /// What goes back together with it.
    pub with: Vec<CompanionFacts>,
    /// What the guards look at beside all that.
    pub facts: GuardFacts,
    /// The service's and the guards' limits.
    pub limits: Limits,
}

/// A signal as a decision sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct BriefSignal {
    /// Who told it.
    pub source: SourceName,
    /// Its name.
    pub name: SignalName,
    /// Which alert.
    pub fingerprint: Fingerprint,
    /// Its labels.
    pub labels: Arc<Labels>,
    /// The service that it speaks about.
    pub about: ServiceId,
    /// When its episode began.
    pub started_at: Timestamp,
    /// When the trouble began.
    pub onset: Timestamp,
    /// How well that is known.
    pub lag: Lag,
    /// When its episode's first report reached us.
    pub opened_at: Timestamp,
    /// Whether it counts as firing now.
    pub firing: bool,
    /// The source, when asked since Snapback began to listen, said that it still fires; lifts staleness.
    pub confirmed: bool,
    /// It was not told as firing since this process began to listen: how long before that it was told last. What
    /// its sender said in between was perhaps not heard. `None`: told since.
    pub unheard: Option<Duration>,
    /// Episodes of this name on this service in the 24 h before this one.
    pub episodes_day: u32,
    /// Deployments that a person cleared of this signal.
    pub exonerated: Vec<DeploymentId>,
}

/// A deployment that could be to blame, as a decision sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct CandidateFacts {
    /// The deployment.
    pub deployment: DeploymentId,
    /// Its service: the brief's own, or one that it depends on.
    pub service: ServiceId,
    /// Its release.
    pub release: ReleaseId,
    /// The release's version.
    pub version: Option<String>,
    /// The release's commit.
    pub commit: Option<String>,
    /// The release's author.
    pub author: Option<String>,
    /// The change that it belongs to.
    pub change: Option<ChangeId>,
    /// What kind of change.
    pub kind: ChangeKind,
    /// When it began.
    pub started_at: Timestamp,
    /// When it first took traffic.
    pub serving_from: Timestamp,
    /// When it finished going out. `None`: it is still going out.
    pub finished_at: Option<Timestamp>,
    /// Its release is what serves now.
    pub is_current: bool,
    /// It is on its way.
    pub going_out: bool,
    /// Why it was begun.
    pub origin: DeploymentOrigin,
    /// What its provider says about it.
    pub labels: Labels,
    /// Its times come from our own clock.
    pub our_clock: bool,
}

impl CandidateFacts {
    /// What people are told of it: its name and author; of what is no release its kind, and where they can look.
    pub fn told(&self) -> String {
        let called = self.version.as_deref().unwrap_or(self.release.as_str());
        told(self.kind, called, self.author.as_deref(), self.labels.get(LINK).map(String::as_str))
    }
}

/// The label under which a change of no provider's holds where people can look.
pub const LINK: &str = "link";

/// What people are told of a suspect: its name and author; of what is no release its kind, and where they can look.
pub(super) fn told(kind: ChangeKind, called: &str, author: Option<&str>, link: Option<&str>) -> String {
    let by = author.map_or(String::new(), |author| format!(" by {author}"));
    if kind == ChangeKind::Code {
        return format!("{called}{by}");
    }
    let link = link.map_or(String::new(), |link| format!(" ({link})"));
    format!("{} {called}{by}{link}", kind.word())
}

/// Where one would go back to.
#[derive(Clone, Debug, PartialEq)]
pub struct TargetFacts {
    /// The release.
    pub release: ReleaseId,
    /// What the ledger holds of it.
    pub grade: Grade,
    /// Whether it counts as proven for this service.
    pub proven: bool,
    /// How many releases back it lies.
    pub releases_back: u32,
    /// When it was last put out.
    pub deployed_at: Option<Timestamp>,
    /// Whether the artifact can be put out again. `None`: nobody looked.
    pub artifact_exists: Option<bool>,
    /// Its own schema marks: the oldest schema that it can run on.
    pub runs_on_schema: Option<i64>,
    /// Every release after it up to the suspect, newest first.
    pub undone: Vec<Undone>,
    /// The commits that going back takes away. `None`: nobody reads them, or not yet.
    pub taken_back: Option<TakenBack>,
}

/// What the guards look at.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GuardFacts {
    /// Why Snapback forbids itself, if it does.
    pub hold: Option<String>,
    /// Somebody paused everything automatic.
    pub paused: bool,
    /// Somebody paused everything.
    pub paused_everything: bool,
    /// Frozen until.
    pub frozen_until: Option<Timestamp>,
    /// The last act on this service.
    pub last_act_at: Option<Timestamp>,
    /// This suspect was already rolled back once.
    pub suspect_rolled_back: bool,
    /// The suspect's release is held for bad or locked, and somebody put it out again; why it is.
    pub bad_release_back: Option<String>,
    /// What serves now.
    pub current: Option<ReleaseId>,
    /// Somebody else began a deployment after the suspect.
    pub newer_deployment: Option<DeploymentId>,
    /// Somebody else decides what should run there.
    pub owned_by: Option<String>,
    /// The provider judges what is going out, and its grace is not over until then.
    pub provider_judges_until: Option<Timestamp>,
    /// The ledger could not be refreshed in time.
    pub ledger_incomplete: bool,
    /// Budgets that are spent, in words.
    pub budgets_spent: Vec<String>,
    /// Distinct services with a case within the shared-outage window, this one included.
    pub services_raised: u32,
    /// Other services on which the same change raised a case.
    pub change_elsewhere: Vec<ServiceId>,
    /// The calendar bars automatic acts now, in words.
    pub calendar: Option<String>,
    /// An earlier case of this suspect that people ended for good, or that ended by itself.
    pub settled_before: Option<String>,
}

/// Limits that a decision uses.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// The guards' limits.
    pub guards: GuardSettings,
    /// How far back a target may lie.
    pub max_back: MaxBack,
    /// What no mark means.
    pub migrations: Migrations,
    /// A window is at least so long, whatever a row says: one run of a batch service, and as long as probes watch a release.
    pub window_min: Option<Duration>,
}

impl Brief {
    /// The candidate that the case is about.
    pub fn suspect_facts(&self) -> Option<&CandidateFacts> {
        let suspect = self.suspect.as_ref()?;
        self.candidates.iter().find(|candidate| candidate.deployment == *suspect)
    }

    /// The digest of everything in it.
    pub fn digest(&self) -> Digest {
        let mut canon = Canon::new("brief");
        // Debug of these types is derived and ours: field by field in order, maps sorted, floats shortest. It is
        // stored beside the digest, so that a later version checks against what was stored, not against itself.
        canon.text("brief", &format!("{self:?}"));
        canon.digest()
    }
}
