//! What a service hears: reports become episodes. Order is by the sender's own times and by fingerprint, never by
//! arrival; a late old "firing" never reopens anything.

use super::dossier::{Dossier, EPISODES_MAX};
use super::event::Event;
use super::habit::Habit;
use super::id::{Duration, Timestamp};
use super::phase::Phase;
use super::scribe::{Scribe, View};
use super::signal::{Episode, EpisodeKey, EpisodeStanding, Lag, Signal, SignalState};
use super::turn::Disposition;

/// So many episodes of one case have their beginning asked for: what a storm of them began with is known by then.
const UNDATED_MAX: usize = 16;

/// A firing episode that is told again is written down at most so often, unless somebody waits for the word.
const HEARD_EVERY: Duration = Duration::from_secs(60);

impl Dossier {
    /// Episodes whose true beginning their source can still be asked for, and is worth to be asked: nothing is decided yet.
    /// One that was not told since Snapback began to listen is asked about again: what still fires is no old news.
    pub(super) fn undated<'a>(&'a self, view: &'a View<'a>) -> impl Iterator<Item = &'a EpisodeKey> {
        let case = self.open.as_deref();
        let case = case.filter(|case| matches!(case.phase, Phase::Gathering { .. } | Phase::Weighing { .. }));
        let keys = case.into_iter().flat_map(|case| case.signals.keys()).take(UNDATED_MAX);
        keys.filter(|key| {
            let episode = self.episodes.get(*key);
            view.shared.tell_onset.contains(&key.source)
                && !view.live.asked.contains(*key)
                && episode.is_some_and(|episode| {
                    let unheard = episode.heard_at < view.live.since;
                    episode.is_firing() && (unheard || !matches!(episode.signal.lag, Lag::Exact(_)))
                })
        })
    }

    /// What becomes of these reports where none of them says anything new; nothing follows from them then, so that a
    /// storm's repeats cost no judgement. `None`: something is new, and the service has to take them.
    pub fn says_nothing_new(&self, signals: &[Signal], view: &View<'_>) -> Option<Vec<Disposition>> {
        let heard = signals.iter().map(|signal| self.heard(signal, view));
        heard.map(|(disposition, event)| event.is_none().then_some(disposition)).collect()
    }

    /// What becomes of a report, and what is written down of it.
    fn heard(&self, signal: &Signal, view: &View<'_>) -> (Disposition, Option<Event>) {
        match signal.state {
            SignalState::Firing => self.heard_firing(signal),
            SignalState::Cleared(at) => self.heard_cleared(signal, at, view),
            // No data is not broken, and it is not a recovery.
            SignalState::NoData => (Disposition::Idle(self.service.clone()), None),
        }
    }

    fn heard_firing(&self, signal: &Signal) -> (Disposition, Option<Event>) {
        let service = self.service.clone();
        let key = signal.key();
        if let Some(episode) = self.episodes.get(&key) {
            return match episode.standing {
                EpisodeStanding::Firing => {
                    (Disposition::Repeated(service), self.heard_again(key, episode, signal.received_at))
                }
                // The stale half of a redundant sender pair: after *resolved*, another replica may send the old
                // *firing* again (signals.md §1). A true return has a later start.
                EpisodeStanding::Settling { .. } if signal.started_at <= episode.started_at => {
                    (Disposition::Repeated(service), None)
                }
                EpisodeStanding::Settling { .. } => {
                    (Disposition::Taken(service), Some(Event::EpisodeResumed { key, at: signal.received_at }))
                }
            };
        }
        let ended_later =
            self.ended.iter().any(|ended| ended.key == key && signal.started_at <= ended.cleared_at);
        if ended_later {
            return (Disposition::Repeated(service), None);
        }
        if self.episodes.len() >= EPISODES_MAX {
            return (Disposition::TooMany(format!("{service} has {EPISODES_MAX} episodes open")), None);
        }
        (Disposition::Taken(service), Some(Event::EpisodeOpened(Box::new(signal.clone()))))
    }

    fn heard_again(&self, key: EpisodeKey, episode: &Episode, at: Timestamp) -> Option<Event> {
        let awaited = self.open.as_ref().is_some_and(|case| case.acted() && case.signals.contains_key(&key));
        let due = awaited || at.duration_since(episode.heard_at) >= HEARD_EVERY;
        due.then_some(Event::EpisodeHeard { key, at })
    }

    fn heard_cleared(
        &self,
        signal: &Signal,
        cleared_at: Timestamp,
        view: &View<'_>,
    ) -> (Disposition, Option<Event>) {
        let service = self.service.clone();
        let key = signal.key();
        let Some(episode) = self.episodes.get(&key) else { return (Disposition::Idle(service), None) };
        // A clear of an earlier run of the same alert says nothing about this one.
        if cleared_at < episode.started_at {
            return (Disposition::Repeated(service), None);
        }
        match episode.standing {
            EpisodeStanding::Settling { .. } => (Disposition::Repeated(service), None),
            EpisodeStanding::Firing => {
                let until = view.now + view.shared.guards.episode_settle;
                (Disposition::Taken(service), Some(Event::EpisodeClearing { key, cleared_at, until }))
            }
        }
    }
}

impl Scribe<'_> {
    /// Takes the reports of one delivery, in the sender's order.
    pub(super) fn hear(&mut self, signals: &[Signal]) {
        for signal in signals {
            let (disposition, event) = self.dossier.heard(signal, self.view);
            if let Some(event) = event {
                self.write(event);
            }
            self.written.dispositions.push(disposition);
        }
    }

    /// The source said since when an episode's trouble is there, and so that it still is. What it says of a later moment is of
    /// another run.
    pub(super) fn dated(&mut self, key: &EpisodeKey, onset: Timestamp) {
        let Some(episode) = self.dossier.episodes.get(key) else { return };
        if onset > episode.started_at {
            return;
        }
        let unheard = episode.heard_at < self.view.live.since;
        if !matches!(episode.signal.lag, Lag::Exact(_)) {
            self.write(Event::EpisodeDated { key: key.clone(), onset });
        }
        if unheard {
            self.write(Event::EpisodeHeard { key: key.clone(), at: self.view.now });
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
            let in_window = self.dossier.ledger.all().any(|deployment| {
                let end = deployment.over_at().unwrap_or(now) + self.view.rules.longest_window();
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
