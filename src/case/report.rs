//! What a provider itself reports of a deployment, such as that it failed: a signal like an alert, and by its own word about
//! that deployment alone. It is clear once the provider does not report it any more.

use std::sync::Arc;

use super::deployment::{Picture, Report};
use super::id::{SourceName, Timestamp};
use super::scribe::Scribe;
use super::signal::{EpisodeKey, Labels, Lag, Signal, SignalState};

/// The `alertname` of a provider's report (product §7).
const DEPLOYMENT_FAILED: &str = "DeploymentFailed";
/// A report is kept in so many characters: a code, a message and the end of a log.
const SAYS_MAX: usize = 2000;

impl Scribe<'_> {
    /// Takes the reports of a picture, and what is missing in it from those before.
    pub(super) fn reported(&mut self, picture: &Picture) {
        let over: Vec<Signal> = self
            .dossier
            .episodes
            .iter()
            .filter(|(key, episode)| {
                let reported = picture.reports.iter().any(|report| key_of(report) == **key);
                episode.is_firing()
                    && (key.source == SourceName::provider() && !reported || self.is_of_no_probe(key))
            })
            .map(|(_, episode)| cleared(&episode.signal, picture.at))
            .collect();
        let mut signals: Vec<Signal> =
            picture.reports.iter().map(|report| self.signal_of_report(report)).collect();
        signals.extend(over);
        if !signals.is_empty() {
            self.hear(&signals);
        }
    }

    fn signal_of_report(&self, report: &Report) -> Signal {
        let says: String = report.says.chars().take(SAYS_MAX).collect();
        let summary = format!("deployment {}: {says}", report.deployment);
        let mut labels = self.labels_of_our_own(DEPLOYMENT_FAILED, "provider", "critical");
        labels.insert("deployment".to_owned(), report.deployment.to_string());
        let EpisodeKey { source, fingerprint } = key_of(report);
        Signal {
            source,
            name: DEPLOYMENT_FAILED.into(),
            fingerprint,
            state: SignalState::Firing,
            labels: Arc::new(labels),
            annotations: Arc::new(Labels::from([("summary".to_owned(), summary)])),
            started_at: report.since,
            received_at: self.view.now,
            lag: Lag::Exact(report.since),
            incomplete: false,
            link: None,
        }
    }
}

fn key_of(report: &Report) -> EpisodeKey {
    EpisodeKey { source: SourceName::provider(), fingerprint: report.deployment.as_str().into() }
}

fn cleared(signal: &Signal, at: Timestamp) -> Signal {
    Signal { state: SignalState::Cleared(at), received_at: at, ..signal.clone() }
}
