//! Heartbeats: an alert that a source lets fire for ever, so that its silence can be told from quiet. Owns when a source
//! counts as silent; pure. Leaves what follows to those who look at [`Standing::deaf_to`].

use std::collections::BTreeMap;

use super::id::{Duration, ServiceId, SourceName, Timestamp, covers};
use super::matcher::Matcher;
use super::signal::{Signal, SignalState};
use super::standing::{Standing, StandingEvent};

/// The heartbeat of a source, `heartbeat = { match = […], every = "5m" }`.
#[derive(Clone, Debug, PartialEq)]
pub struct Heartbeat {
    /// Which of its alerts it is; all must hold.
    pub matchers: Vec<Matcher>,
    /// How often it is told.
    pub every: Duration,
    /// The services that the source may speak about: they are deaf while it is silent.
    pub services: Vec<String>,
}

impl Heartbeat {
    /// Whether this is the heartbeat, and so no trouble of any service.
    pub fn is_it(&self, signal: &Signal) -> bool {
        self.matchers.iter().all(|matcher| matcher.matches(&signal.labels))
    }

    /// The source is silent so long after it was heard: two are missed, and the second is late by a tenth.
    pub fn patience(&self) -> Duration {
        let every = self.every.as_secs_f64();
        Duration::try_from_secs_f64(every * 2.1).unwrap_or(Duration::MAX)
    }
}

/// A source that is silent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Silence {
    /// When it was heard last, or was first listened to.
    pub since: Timestamp,
    /// The services that it speaks about.
    pub services: Vec<String>,
}

/// What this process heard of each source that has a heartbeat. It does not survive a restart: nobody is called silent
/// over a time in which nobody listened.
#[derive(Clone, Debug, Default)]
pub struct Hearing {
    heard: BTreeMap<SourceName, Heard>,
}

#[derive(Clone, Copy, Debug)]
struct Heard {
    at: Timestamp,
    /// A heartbeat was heard then; else listening began.
    beat: bool,
}

impl Hearing {
    /// Begins to listen to these sources; those that it listens to already go on.
    pub fn listen(&mut self, to: &BTreeMap<SourceName, Heartbeat>, now: Timestamp) {
        self.heard.retain(|source, _| to.contains_key(source));
        for source in to.keys() {
            self.heard.entry(source.clone()).or_insert(Heard { at: now, beat: false });
        }
    }

    /// A heartbeat came in. One that ended is none: its sender tells that way that nothing feeds it any more.
    pub fn hear(&mut self, beat: &Signal) {
        if beat.state != SignalState::Firing {
            return;
        }
        let heard = Heard { at: beat.received_at, beat: true };
        let known = self.heard.entry(beat.source.clone()).or_insert(heard);
        if !known.beat || known.at < heard.at {
            *known = heard;
        }
    }

    /// What has changed: sources that fell silent, and those that are heard again or have no heartbeat any more.
    pub fn news(
        &self,
        of: &BTreeMap<SourceName, Heartbeat>,
        silent: &BTreeMap<SourceName, Silence>,
        now: Timestamp,
    ) -> Vec<StandingEvent> {
        let mut news = Vec::new();
        for source in silent.keys().filter(|source| !of.contains_key(source)) {
            news.push(StandingEvent::HeardAgain { source: source.clone(), at: now });
        }
        for (source, heartbeat) in of {
            let Some(heard) = self.heard.get(source) else { continue };
            let is_late = now >= heard.at + heartbeat.patience();
            let silence = Silence { since: heard.at, services: heartbeat.services.clone() };
            match silent.get(source) {
                None if is_late => {
                    news.push(StandingEvent::FellSilent { source: source.clone(), silence });
                }
                Some(_) if heard.beat && !is_late => {
                    news.push(StandingEvent::HeardAgain { source: source.clone(), at: heard.at });
                }
                Some(known) if known.services != silence.services => {
                    let silence = Silence { since: known.since, ..silence };
                    news.push(StandingEvent::FellSilent { source: source.clone(), silence });
                }
                None | Some(_) => {}
            }
        }
        news
    }

    /// When the next source may fall silent.
    pub fn wakes_at(
        &self,
        of: &BTreeMap<SourceName, Heartbeat>,
        silent: &BTreeMap<SourceName, Silence>,
    ) -> Option<Timestamp> {
        let heard = self.heard.iter().filter(|(source, _)| !silent.contains_key(source));
        heard.filter_map(|(source, heard)| Some(heard.at + of.get(source)?.patience())).min()
    }
}

impl Standing {
    /// The silent sources that would otherwise speak about this service, and since when.
    pub fn deaf_to(&self, service: &ServiceId) -> impl Iterator<Item = (&SourceName, Timestamp)> {
        let of = |silence: &Silence| silence.services.iter().any(|one| covers(one, service.as_str()));
        self.silent
            .iter()
            .filter(move |(_, silence)| of(silence))
            .map(|(name, silence)| (name, silence.since))
    }
}

#[cfg(test)]
mod tests {
    use super::super::signal::{Labels, Lag};
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).expect("a moment")
    }

    fn beat(second: i64, state: SignalState) -> Signal {
        Signal {
            source: "prometheus".into(),
            name: "Watchdog".into(),
            fingerprint: "f".into(),
            state,
            labels: Labels::from([("alertname".to_owned(), "Watchdog".to_owned())]).into(),
            annotations: Labels::new().into(),
            started_at: at(-9000),
            received_at: at(second),
            lag: Lag::Assumed(Duration::ZERO),
            incomplete: false,
            link: None,
        }
    }

    /// Beats at these seconds, every 100 s; what changes at `now`, taken.
    fn changes(standing: &mut Standing, hearing: &Hearing, every: &[&str], now: i64) -> Vec<&'static str> {
        let matchers = vec![Matcher::parse(r#"alertname="Watchdog""#).expect("a matcher")];
        let of = |services: &&str| Heartbeat {
            matchers: matchers.clone(),
            every: Duration::from_secs(100),
            services: vec![(*services).to_owned()],
        };
        let of: BTreeMap<SourceName, Heartbeat> =
            every.iter().map(|services| ("prometheus".into(), of(services))).collect();
        let news = hearing.news(&of, &standing.silent, at(now));
        news.iter().for_each(|event| standing.apply(event));
        let silent = |event: &StandingEvent| matches!(event, StandingEvent::FellSilent { .. });
        news.iter().map(|event| if silent(event) { "silent" } else { "heard" }).collect()
    }

    #[test]
    fn a_source_is_silent_when_two_heartbeats_are_missed_and_until_it_is_heard() {
        let here = ["*@production"];
        let (mut standing, mut hearing) = (Standing::default(), Hearing::default());
        let heartbeats = BTreeMap::from([(
            "prometheus".into(),
            Heartbeat { matchers: Vec::new(), every: Duration::from_secs(100), services: Vec::new() },
        )]);
        hearing.listen(&heartbeats, at(0));
        assert_eq!(changes(&mut standing, &hearing, &here, 209), [""; 0], "nobody was heard yet");
        hearing.hear(&beat(150, SignalState::Firing));
        // A copy that was under way longer takes nothing back.
        hearing.hear(&beat(20, SignalState::Firing));
        assert_eq!(hearing.wakes_at(&heartbeats, &standing.silent), Some(at(360)));
        assert_eq!(changes(&mut standing, &hearing, &here, 359), [""; 0]);
        // That it ended is not that it beats.
        hearing.hear(&beat(359, SignalState::Cleared(at(359))));
        assert_eq!(changes(&mut standing, &hearing, &here, 360), ["silent"]);
        assert_eq!(changes(&mut standing, &hearing, &here, 400), [""; 0], "told once");
        assert_eq!(hearing.wakes_at(&heartbeats, &standing.silent), None);
        let deaf = |standing: &Standing, service: &str| {
            standing.deaf_to(&ServiceId::new(service)).map(|(_, since)| since).collect::<Vec<_>>()
        };
        assert_eq!(deaf(&standing, "checkout@production"), [at(150)]);
        assert_eq!(deaf(&standing, "checkout@staging"), []);
        // It may speak about something else now: it stays silent since then.
        assert_eq!(changes(&mut standing, &hearing, &["*@staging"], 500), ["silent"]);
        assert_eq!(deaf(&standing, "checkout@staging"), [at(150)]);

        // A new process listens anew, and does not take silence for speech.
        let mut hearing = Hearing::default();
        hearing.listen(&heartbeats, at(600));
        assert_eq!(changes(&mut standing, &hearing, &["*@staging"], 601), [""; 0]);
        hearing.hear(&beat(700, SignalState::Firing));
        assert_eq!(changes(&mut standing, &hearing, &["*@staging"], 701), ["heard"]);
        assert_eq!(standing, Standing::default());
    }

    #[test]
    fn a_source_without_a_heartbeat_any_more_is_not_silent() {
        let (mut standing, mut hearing) = (Standing::default(), Hearing::default());
        hearing.hear(&beat(0, SignalState::Firing));
        assert_eq!(changes(&mut standing, &hearing, &["*"], 210), ["silent"]);
        assert_eq!(changes(&mut standing, &hearing, &[], 211), ["heard"]);
    }
}
