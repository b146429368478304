//! Probes, the checks of the user's own: how often each runs, what one run found, and what follows. A probe runs after each
//! deployment, while recovery is verified, and now and then, so that what fails already blames nobody. Leaves what is checked,
//! and how, to the room `probe`.

use std::sync::Arc;

use super::dossier::Dossier;
use super::event::Event;
use super::id::{Duration, ProbeName, SourceName, Timestamp};
use super::live::Live;
use super::phase::Phase;
use super::scribe::{Scribe, View};
use super::signal::{EpisodeKey, Labels, Lag, Signal, SignalState};
use super::verify::ProbeWord;

/// What a failing probe said is kept in so many characters: a message, and the end of a log.
const SAID_MAX: usize = 4096;
/// Where nothing was deployed lately a probe runs so often at most: often enough to know what a release found when it came.
const READINESS_EVERY: Duration = Duration::from_mins(5);
/// Between the end of a run and the next one, for a check that takes longer than its pace.
const BREATH: Duration = Duration::from_secs(1);

/// When a probe runs, and when its failures are a signal, `[probes.NAME]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbePolicy {
    /// Its name.
    pub name: ProbeName,
    /// After a deployment finished going out it runs for so long.
    pub watch_for: Duration,
    /// So often.
    pub every: Duration,
    /// So many failures in a row are a signal.
    pub failures: u32,
    /// The `severity` label of that signal.
    pub severity: String,
}

impl ProbePolicy {
    /// A probe of this name with the defaults.
    pub fn new(name: ProbeName) -> ProbePolicy {
        ProbePolicy {
            name,
            watch_for: Duration::from_mins(10),
            every: Duration::from_secs(15),
            failures: 3,
            severity: "critical".to_owned(),
        }
    }

    fn key(&self) -> EpisodeKey {
        EpisodeKey { source: SourceName::probe(), fingerprint: self.name.as_str().into() }
    }
}

/// What one run of a probe found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// What it checks is well.
    Passing,
    /// It is not; what was seen, capped.
    Failing(String),
    /// Nobody can say, because the check itself could not be made or found no data: not broken, and not recovered. Why.
    Unknown(String),
}

/// A probe that fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failing {
    /// When the first of its failing runs began.
    pub since: Timestamp,
    /// What that run saw.
    pub said: String,
}

/// What this process saw of a probe's runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Runs {
    /// When the last one began.
    pub began_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// What it found.
    pub last: Health,
    /// When the last one began that passed.
    pub passed_at: Option<Timestamp>,
    /// Failing runs since one passed; a run that found out nothing counts neither way.
    pub failures: u32,
}

impl Live {
    /// Takes what a run found.
    pub fn probed(&mut self, probe: &ProbeName, began_at: Timestamp, found: &Health, now: Timestamp) {
        let before = self.probes.get(probe);
        let (passed_at, failures) = before.map_or((None, 0), |runs| (runs.passed_at, runs.failures));
        let (passed_at, failures) = match found {
            Health::Passing => (Some(began_at), 0),
            Health::Failing(_) => (passed_at, failures.saturating_add(1)),
            Health::Unknown(_) => (passed_at, failures),
        };
        let runs = Runs { began_at, ended_at: now, last: found.clone(), passed_at, failures };
        self.probes.insert(probe.clone(), runs);
    }
}

impl Dossier {
    /// Every probe of the service, and when it runs next.
    pub fn probes_due<'a>(
        &'a self,
        view: &'a View<'a>,
    ) -> impl Iterator<Item = (&'a ProbeName, Timestamp)> + 'a {
        view.settings.probes.iter().map(|policy| {
            let due = view.live.probes.get(&policy.name).map(|runs| {
                let pace = if self.is_watching(policy, view) {
                    policy.every
                } else {
                    policy.every.max(READINESS_EVERY)
                };
                (runs.began_at + pace).max(runs.ended_at + BREATH)
            });
            (&policy.name, due.unwrap_or(view.now))
        })
    }

    /// Whether somebody waits for its word: a release went out lately, a rollback is verified, or it is a signal already.
    fn is_watching(&self, policy: &ProbePolicy, view: &View<'_>) -> bool {
        let verifying = |phase: &Phase| matches!(phase, Phase::Verifying(_));
        self.watches_release(policy, view.now)
            || self.open.as_deref().is_some_and(|case| verifying(&case.phase))
            || self.episodes.contains_key(&policy.key())
    }

    /// What serves went out less than `watch_for` ago.
    fn watches_release(&self, policy: &ProbePolicy, now: Timestamp) -> bool {
        let serving =
            self.ledger.current.as_ref().and_then(|current| self.ledger.last_deployment_of(current));
        let finished_at = serving.and_then(|deployment| deployment.finished_at);
        finished_at.is_some_and(|at| now < at + policy.watch_for)
    }

    /// What each probe of the service says.
    pub(super) fn probe_words<'a>(&self, view: &'a View<'_>) -> Vec<ProbeWord<'a>> {
        let word = |policy: &'a ProbePolicy| ProbeWord {
            name: &policy.name,
            runs: view.live.probes.get(&policy.name),
            failures: policy.failures,
        };
        view.settings.probes.iter().map(word).collect()
    }

    /// Whether nothing speaks against what serves since it went out: each of the service's probes passed, and none fails.
    pub(super) fn probes_passed(&self, view: &View<'_>) -> bool {
        let serving =
            self.ledger.current.as_ref().and_then(|current| self.ledger.last_deployment_of(current));
        let since = serving.and_then(|deployment| deployment.finished_at);
        view.settings.probes.iter().all(|policy| {
            let passed_at = view.live.probes.get(&policy.name).and_then(|runs| runs.passed_at);
            !self.failing.contains_key(&policy.name)
                && passed_at.is_some_and(|at| since.is_none_or(|since| at >= since))
        })
    }
}

/// What happened, and the last thing that was said of it: there programs say what went wrong.
fn in_a_line(said: &str) -> String {
    let mut lines = said.lines().map(str::trim).filter(|line| !line.is_empty());
    match (lines.next(), lines.next_back()) {
        (Some(first), Some(last)) => format!("{first}: {last}"),
        (Some(only), None) => only.to_owned(),
        (None, _) => "it fails".to_owned(),
    }
}

impl Scribe<'_> {
    /// A run of a probe ended; what it found is live knowledge already.
    pub(super) fn probed(&mut self, probe: &ProbeName) {
        let view = self.view;
        let Some(policy) = view.settings.probes.iter().find(|policy| policy.name == *probe) else { return };
        let Some(runs) = view.live.probes.get(probe) else { return };
        match &runs.last {
            Health::Passing => self.passes(policy),
            Health::Failing(said) => self.fails(policy, runs, said),
            Health::Unknown(_) => {}
        }
    }

    fn passes(&mut self, policy: &ProbePolicy) {
        if self.dossier.failing.contains_key(&policy.name) {
            self.write(Event::ProbePassed { probe: policy.name.clone() });
        }
        let key = policy.key();
        let episode = self.dossier.episodes.get(&key).filter(|episode| episode.is_firing());
        if let Some(signal) = episode.map(|episode| episode.signal.clone()) {
            let now = self.view.now;
            self.hear(&[Signal { state: SignalState::Cleared(now), received_at: now, ..signal }]);
        }
    }

    fn fails(&mut self, policy: &ProbePolicy, runs: &Runs, said: &str) {
        if !self.dossier.failing.contains_key(&policy.name) {
            let said = said.chars().take(SAID_MAX).collect();
            self.write(Event::ProbeFailed { probe: policy.name.clone(), since: runs.began_at, said });
        }
        let Some(failing) = self.dossier.failing.get(&policy.name).cloned() else { return };
        let in_a_row = runs.failures >= policy.failures;
        if in_a_row && self.dossier.is_watching(policy, self.view) {
            let signal = self.signal_of(policy, failing.since, said);
            self.hear(&[signal]);
        }
    }

    /// A failing probe as a signal. Its moment is by our own clock and exact: the run that failed first began then.
    fn signal_of(&self, policy: &ProbePolicy, since: Timestamp, said: &str) -> Signal {
        let name = policy.name.as_str();
        let said: String = said.chars().take(SAID_MAX).collect();
        let summary = format!("probe {name}: {}", in_a_line(&said));
        let annotations = Labels::from([("summary".to_owned(), summary), ("output".to_owned(), said)]);
        Signal {
            source: SourceName::probe(),
            name: name.into(),
            fingerprint: name.into(),
            state: SignalState::Firing,
            labels: Arc::new(self.labels_of_our_own(name, "probe", &policy.severity)),
            annotations: Arc::new(annotations),
            started_at: since,
            received_at: self.view.now,
            lag: Lag::Exact(since),
            incomplete: false,
            link: None,
        }
    }

    /// Whether this is the signal of a probe that is not configured any more: nobody would ever tell its end.
    pub(super) fn is_of_no_probe(&self, key: &EpisodeKey) -> bool {
        key.source == SourceName::probe()
            && !self.view.settings.probes.iter().any(|policy| policy.key() == *key)
    }

    /// The labels of a signal that we raise ourselves (product §7).
    pub(super) fn labels_of_our_own(&self, name: &str, source: &str, severity: &str) -> Labels {
        let service = &self.dossier.service;
        [
            ("alertname", name),
            ("source", source),
            ("severity", severity),
            ("service", service.name()),
            ("environment", service.environment()),
        ]
        .map(|(label, value)| (label.to_owned(), value.to_owned()))
        .into()
    }
}
