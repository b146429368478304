//! Guards about the signals: whether one of them is good enough evidence against the suspect. All of them look at the
//! same signal, the best one, so that no two halves of a proof come from two alerts.

use super::{Finding, GuardOutcome, at_most, pass};
use crate::case::brief::{Brief, BriefSignal, CandidateFacts};
use crate::case::correlate::{Order, Unsure, order, whole_seconds};
use crate::case::decide::{Candidate, Verdict};
use crate::case::id::Duration;
use crate::case::row::carrying;
use crate::case::rules::{Rule, STALE_AFTER};

/// The best signal against the suspect, and what it is weighed by.
pub(super) struct Evidence<'a> {
    brief: &'a Brief,
    suspect: Option<&'a CandidateFacts>,
    row: Option<&'a Rule>,
    /// Correlation still holds the suspect for possible.
    possible: bool,
    /// `None`: the brief has no signals.
    best: Option<&'a BriefSignal>,
}

impl<'a> Evidence<'a> {
    pub(super) fn of(
        brief: &'a Brief,
        candidates: &[Candidate],
        suspect: Option<&'a CandidateFacts>,
        row: Option<&'a Rule>,
    ) -> Evidence<'a> {
        let is_suspect = |candidate: &Candidate| {
            suspect.is_some_and(|suspect| candidate.deployment.as_ref() == Some(&suspect.deployment))
        };
        let possible = candidates.iter().any(is_suspect);
        let mut evidence = Evidence { brief, suspect, row, possible, best: None };
        let best = evidence.relevant().fold(None, |best: Option<(&BriefSignal, Verdict)>, signal| {
            let allows = evidence.allows(signal);
            if best.is_none_or(|(_, known)| allows > known) { Some((signal, allows)) } else { best }
        });
        evidence.best = best.map(|(signal, _)| signal).or_else(|| carrying(brief).next());
        evidence
    }

    /// The signals that the row is about: those that may carry it and that its `match` holds for.
    fn relevant(&self) -> impl Iterator<Item = &'a BriefSignal> {
        let row = self.row;
        carrying(self.brief).filter(move |signal| {
            row.is_none_or(|row| row.matchers.iter().all(|m| m.matches(&signal.labels)))
        })
    }

    /// The most that this signal alone allows.
    fn allows(&self, signal: &BriefSignal) -> Verdict {
        let order = self.order(signal);
        if self.is_stale(signal) || order == Order::Before {
            Verdict::Notify
        } else if order != Order::After || self.is_chronic(signal) {
            Verdict::Approve
        } else {
            Verdict::Rollback
        }
    }

    fn order(&self, signal: &BriefSignal) -> Order {
        match self.suspect {
            Some(suspect) if signal.exonerated.contains(&suspect.deployment) => Order::Before,
            Some(suspect) => order(signal, suspect, self.brief.limits.guards.clock_skew),
            None => Order::After,
        }
    }

    fn stale_after(&self) -> Duration {
        self.row.map_or(STALE_AFTER, |row| row.stale_after)
    }

    fn is_stale(&self, signal: &BriefSignal) -> bool {
        !signal.confirmed && self.age(signal) > self.stale_after()
    }

    /// How old a signal is as evidence: its age when it arrived, or, where nothing was told of it since Snapback began
    /// to listen, the silence before that; the longer of both.
    fn age(&self, signal: &BriefSignal) -> Duration {
        let at_arrival = signal.opened_at.duration_since(signal.started_at);
        at_arrival.max(signal.unheard.unwrap_or(Duration::ZERO))
    }

    fn is_chronic(&self, signal: &BriefSignal) -> bool {
        signal.episodes_day >= self.brief.limits.guards.chronic_episodes
    }

    pub(super) fn stale(&self) -> Finding {
        match self.best.filter(|signal| self.is_stale(signal)) {
            Some(signal) => {
                let (name, limit) = (&signal.name, self.stale_after());
                let age = whole_seconds(self.age(signal));
                let why = match signal.unheard {
                    Some(unheard) if unheard > limit => format!(
                        "{name} was told last {age:#} before Snapback began again, more than {limit:#}, and nobody \
                         has said since that it still fires"
                    ),
                    Some(_) | None => {
                        format!("{name} was {age:#} old when it arrived, more than {limit:#}")
                    }
                };
                at_most(GuardOutcome::Notify, why)
            }
            None => pass("the signal was fresh when it arrived, or is known to fire still"),
        }
    }

    pub(super) fn older_than_suspect(&self) -> Finding {
        let Some(suspect) = self.suspect else { return pass("there is no suspect") };
        match self.best.filter(|signal| self.order(signal) == Order::Before) {
            Some(signal) => at_most(
                GuardOutcome::Notify,
                format!(
                    "{} does not point at deployment {}, which began later or was cleared of it",
                    signal.name, suspect.deployment
                ),
            ),
            None if !self.possible => at_most(
                GuardOutcome::Notify,
                format!("nothing points at deployment {} any more", suspect.deployment),
            ),
            None => pass("the signal did not begin before the suspect"),
        }
    }

    pub(super) fn unsure_onset(&self) -> Finding {
        let unsure = self.best.and_then(|signal| match self.order(signal) {
            Order::Unsure(why) => Some((signal, why)),
            Order::After | Order::Before => None,
        });
        match unsure {
            Some((signal, why @ (Unsure::Clocks | Unsure::Lag | Unsure::Traffic))) => at_most(
                GuardOutcome::Approve,
                format!("it is unsure whether {} began after the suspect: {}", signal.name, why.says()),
            ),
            None => pass("it is not unsure whether the trouble began after the suspect"),
        }
    }

    pub(super) fn chronic(&self) -> Finding {
        match self.best.filter(|signal| self.is_chronic(signal)) {
            Some(signal) => at_most(
                GuardOutcome::Approve,
                format!("{} had {} episodes in the day before", signal.name, signal.episodes_day),
            ),
            None => pass("the signal is not chronic"),
        }
    }

    pub(super) fn dependency(&self) -> Finding {
        let Some(suspect) = self.suspect else { return pass("there is no suspect") };
        if self.relevant().any(|signal| signal.about == suspect.service) {
            return pass("a signal speaks about the suspect's own service");
        }
        if self.row.is_some_and(|row| row.dependency) {
            return pass("the row may act on a service that the signalling one depends on");
        }
        let why =
            format!("the signals speak about services that depend on {}, not about itself", suspect.service);
        at_most(GuardOutcome::Approve, why)
    }
}
