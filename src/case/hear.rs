//! What a service hears: reports become episodes. Order is by the sender's own times and by fingerprint, never by
//! arrival; a late old "firing" never reopens anything.

use super::dossier::EPISODES_MAX;
use super::event::Event;
use super::habit::Habit;
use super::id::{Duration, Timestamp};
use super::scribe::Scribe;
use super::signal::{EpisodeKey, EpisodeStanding, Signal, SignalState};
use super::turn::Disposition;

/// A firing episode that is told again is written down at most so often, unless somebody waits for the word.
const HEARD_EVERY: Duration = Duration::from_secs(60);

impl Scribe<'_> {
    /// Takes the reports of one delivery, in the sender's order.
    pub(super) fn hear(&mut self, signals: &[Signal]) {
        for signal in signals {
            let disposition = match signal.state {
                SignalState::Firing => self.hear_firing(signal),
                SignalState::Cleared(at) => self.hear_cleared(signal, at),
                // No data is not broken, and it is not a recovery.
                SignalState::NoData => Disposition::Idle(self.dossier.service.clone()),
            };
            self.written.dispositions.push(disposition);
        }
    }

    fn hear_firing(&mut self, signal: &Signal) -> Disposition {
        let service = self.dossier.service.clone();
        let key = signal.key();
        if let Some(episode) = self.dossier.episodes.get(&key) {
            return match episode.standing {
                EpisodeStanding::Firing => {
                    self.hear_again(&key, signal.received_at);
                    Disposition::Repeated(service)
                }
                // The stale half of a redundant sender pair: after *resolved*, another replica may send the old
                // *firing* again (signals.md §1). A true return has a later start.
                EpisodeStanding::Settling { .. } if signal.started_at <= episode.started_at => {
                    Disposition::Repeated(service)
                }
                EpisodeStanding::Settling { .. } => {
                    self.write(Event::EpisodeResumed { key, at: signal.received_at });
                    Disposition::Taken(service)
                }
            };
        }
        let ended_later =
            self.dossier.ended.iter().any(|ended| ended.key == key && signal.started_at <= ended.cleared_at);
        if ended_later {
            return Disposition::Repeated(service);
        }
        if self.dossier.episodes.len() >= EPISODES_MAX {
            return Disposition::TooMany(format!("{service} has {EPISODES_MAX} episodes open"));
        }
        self.write(Event::EpisodeOpened(Box::new(signal.clone())));
        Disposition::Taken(service)
    }

    fn hear_again(&mut self, key: &EpisodeKey, at: Timestamp) {
        let awaited =
            self.dossier.open.as_ref().is_some_and(|case| case.acted() && case.signals.contains_key(key));
        let Some(episode) = self.dossier.episodes.get(key) else { return };
        if awaited || at.duration_since(episode.heard_at) >= HEARD_EVERY {
            self.write(Event::EpisodeHeard { key: key.clone(), at });
        }
    }

    fn hear_cleared(&mut self, signal: &Signal, cleared_at: Timestamp) -> Disposition {
        let service = self.dossier.service.clone();
        let key = signal.key();
        let Some(episode) = self.dossier.episodes.get(&key) else { return Disposition::Idle(service) };
        // A clear of an earlier run of the same alert says nothing about this one.
        if cleared_at < episode.started_at {
            return Disposition::Repeated(service);
        }
        match episode.standing {
            EpisodeStanding::Settling { .. } => Disposition::Repeated(service),
            EpisodeStanding::Firing => {
                let until = self.view.now + self.view.shared.guards.episode_settle;
                self.write(Event::EpisodeClearing { key, cleared_at, until });
                Disposition::Taken(service)
            }
        }
    }

    /// Ends the episodes whose clear has settled.
    pub(super) fn end_settled(&mut self) {
        let now = self.view.now;
        let settled: Vec<EpisodeKey> = self
            .dossier
            .episodes
            .iter()
            .filter(|(_, episode)| {
                matches!(episode.standing, EpisodeStanding::Settling { until, .. } if until <= now)
            })
            .map(|(key, _)| key.clone())
            .collect();
        for key in settled {
            let Some(episode) = self.dossier.episodes.get(&key) else { continue };
            let name = episode.signal.name.clone();
            let in_window = self.dossier.ledger.deployments.iter().any(|deployment| {
                let end = deployment.finished_at.unwrap_or(now) + self.view.rules.longest_window();
                deployment.started_at <= episode.started_at && episode.started_at <= end
            });
            let known = self.dossier.habits.get(&name).copied().unwrap_or_else(|| Habit::new(now));
            self.write(Event::EpisodeEnded { key, name, habit: known.after(in_window, now) });
        }
    }

    /// Episodes of this name in the day before `moment`, this one not counted.
    pub(super) fn episodes_in_the_day_before(&self, key: &EpisodeKey, moment: Timestamp) -> u32 {
        let day = Duration::from_hours(24);
        let Some(name) = self.dossier.episodes.get(key).map(|episode| episode.signal.name.clone()) else {
            return 0;
        };
        let counted = self.dossier.ended.iter().filter(|ended| {
            ended.name == name && ended.started_at < moment && moment.duration_since(ended.started_at) <= day
        });
        u32::try_from(counted.count()).unwrap_or(u32::MAX)
    }
}
