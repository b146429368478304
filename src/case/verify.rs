//! Verification: "reverted" is not "recovered". Judges from signals and time alone; a pure function of them.

use super::id::{Duration, ProbeName, Timestamp};
use super::phase::Verifying;
use super::probe::{Health, Runs};
use super::story::CaseSignal;

/// What is known when recovery is judged.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// The case's signals.
    pub signals: &'a [&'a CaseSignal],
    /// The service's probes.
    pub probes: &'a [ProbeWord<'a>],
    /// The provider was read after the act, and the target served: the moment of the last such reading.
    pub target_served_at: Option<Timestamp>,
    /// When this process began to listen: what was told before may not have been heard.
    pub listening_since: Timestamp,
    /// The present.
    pub now: Timestamp,
}

/// What a probe of the service says.
#[derive(Clone, Copy, Debug)]
pub struct ProbeWord<'a> {
    /// Its name.
    pub name: &'a ProbeName,
    /// What its last run found. `None`: it has not run since this process began.
    pub runs: Option<&'a Runs>,
    /// So many failures in a row count.
    pub failures: u32,
}

impl ProbeWord<'_> {
    /// It passed when the dust had settled, and still does.
    fn passes_since(&self, settled: Timestamp) -> bool {
        self.runs.is_some_and(|runs| runs.last == Health::Passing && runs.began_at >= settled)
    }

    /// It fails, by a run that began at or after this moment.
    fn fails_since(&self, moment: Timestamp) -> bool {
        self.runs.is_some_and(|runs| {
            let failing = matches!(runs.last, Health::Failing(_));
            failing && runs.failures >= self.failures && runs.began_at >= moment
        })
    }
}

/// What the evidence says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// Nothing yet; look again then.
    Wait(Timestamp),
    /// It helped.
    Recovered,
    /// It did not; the evidence.
    NotRecovered(String),
    /// Nobody can say; what is missing.
    Unverified(String),
}

/// Since when every signal is clear; none while one fires. Silence after firing counts as firing.
pub fn clear_since(signals: &[&CaseSignal], done_at: Timestamp) -> Option<Timestamp> {
    let mut since = done_at;
    for signal in signals {
        since = since.max(signal.cleared_at?);
    }
    Some(since)
}

/// Judges whether the rollback helped.
pub fn judge(verifying: &Verifying, evidence: &Evidence<'_>) -> Judgement {
    let policy = &verifying.policy;
    let now = evidence.now;
    let settled = verifying.done_at + policy.settle;
    let deadline = settled + policy.within;
    let clear = clear_since(evidence.signals, verifying.done_at);
    let unproven = evidence.probes.iter().find(|probe| !probe.passes_since(settled));
    if let Some(since) = clear {
        let proven = (since + policy.clear_for).max(settled);
        let served = evidence.target_served_at.is_some_and(|at| at >= settled);
        if now >= proven && served && unproven.is_none() {
            return Judgement::Recovered;
        }
        if now < proven {
            return Judgement::Wait(proven);
        }
    }
    // A signal told as firing after the deadline is positive evidence; silence is not, so it gets a last chance.
    // Nobody is called silent over a time in which we did not listen.
    let last_word = (deadline + policy.clear_for).max(evidence.listening_since + policy.within);
    let still =
        evidence.signals.iter().find(|signal| signal.cleared_at.is_none() && signal.heard_at >= deadline);
    if let Some(signal) = still {
        return Judgement::NotRecovered(format!(
            "{} still fires {:#} after the rollback",
            signal.name,
            since(verifying, now)
        ));
    }
    if let Some(probe) = evidence.probes.iter().find(|probe| probe.fails_since(deadline)) {
        let (name, since) = (probe.name, since(verifying, now));
        return Judgement::NotRecovered(format!("the probe {name} still fails {since:#} after the rollback"));
    }
    if now < deadline {
        return Judgement::Wait(if now < settled { settled } else { deadline });
    }
    if now < last_word {
        return Judgement::Wait(last_word);
    }
    Judgement::Unverified(match (clear, unproven) {
        (Some(_), Some(probe)) => format!("the signals cleared, but the probe {} does not pass", probe.name),
        (Some(_), None) => "the signals cleared, but the provider does not show the target serving".into(),
        (None, _) => format!("no signal was told as firing or as cleared within {:#}", since(verifying, now)),
    })
}

fn since(verifying: &Verifying, now: Timestamp) -> Duration {
    let passed = now.duration_since(verifying.done_at);
    Duration::from_secs(passed.as_secs())
}

#[cfg(test)]
mod tests {
    use super::super::settings::VerifyPolicy;
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).expect("a moment")
    }

    fn signal(cleared_at: Option<i64>, heard_at: i64) -> CaseSignal {
        CaseSignal {
            source: "prometheus".into(),
            name: "HighErrorRate".into(),
            fingerprint: "f".into(),
            started_at: at(-100),
            cleared_at: cleared_at.map(at),
            heard_at: at(heard_at),
            lag: Duration::ZERO,
            summary: None,
        }
    }

    /// settle 100 s, within 1,000 s, clear_for 300 s: deadline at 1,100, last word at 1,400.
    fn check(signals: &[CaseSignal], served_at: i64, now: i64) -> Judgement {
        let verifying = Verifying {
            done_at: at(0),
            policy: VerifyPolicy {
                settle: Duration::from_secs(100),
                within: Duration::from_secs(1000),
                clear_for: Duration::from_secs(300),
            },
            clear_since: None,
            adopted: false,
        };
        let signals: Vec<&CaseSignal> = signals.iter().collect();
        judge(
            &verifying,
            &Evidence {
                signals: &signals,
                probes: &[],
                target_served_at: Some(at(served_at)),
                listening_since: at(-3600),
                now: at(now),
            },
        )
    }

    #[test]
    fn it_recovers_when_signals_stay_clear_and_the_target_serves() {
        let clear = [signal(Some(150), 0)];
        assert_eq!(check(&clear, 440, 449), Judgement::Wait(at(450)));
        assert_eq!(check(&clear, 440, 450), Judgement::Recovered);
        assert_ne!(
            check(&clear, 50, 450),
            Judgement::Recovered,
            "read before it settled: no proof of serving"
        );
    }

    #[test]
    fn a_signal_told_after_the_deadline_is_positive_evidence() {
        assert!(matches!(check(&[signal(None, 1100)], 1100, 1100), Judgement::NotRecovered(_)));
        assert_eq!(check(&[signal(None, 1099)], 1100, 1100), Judgement::Wait(at(1400)));
    }

    #[test]
    fn silence_is_no_evidence_either_way() {
        assert!(matches!(check(&[signal(None, 10)], 1400, 1400), Judgement::Unverified(_)));
    }

    #[test]
    fn one_firing_signal_among_clear_ones_keeps_it_open() {
        let mixed = [signal(Some(150), 0), signal(None, 0)];
        assert_eq!(check(&mixed, 500, 500), Judgement::Wait(at(1100)));
    }

    #[test]
    fn without_signals_it_is_the_target_that_must_serve() {
        assert_eq!(check(&[], 300, 300), Judgement::Recovered);
    }
}
