//! While people are asked and while a countdown runs: what was asked is judged again at each new fact, and goes no
//! further than the facts carry it. Leaves to `choose` how a question or a countdown begins.

use super::approval::OnExpiry;
use super::decide::{Decision, OnResolve, Verdict};
use super::event::{Event, Origin};
use super::id::{StepNo, Timestamp};
use super::phase::CountdownClock;
use super::scribe::Scribe;

impl Scribe<'_> {
    pub(super) fn pursue_question(&mut self, until: Timestamp) {
        if self.count_votes() {
            return;
        }
        let Some(case) = self.dossier.open.as_deref() else { return };
        let by_signal = case.origin == Origin::Signal;
        let clear = case.all_clear;
        if self.in_shadow() {
            return self.withdraw_into_shadow();
        }
        if self.view.now >= until {
            return self.expire();
        }
        if by_signal && !clear && self.provider_known() {
            let Some(decision) = self.weigh() else { return };
            if decision.verdict < Verdict::Approve || decision.stopped.is_some() {
                self.withdraw(&decision);
            } else if !self.plan_fits(&decision) {
                self.withdraw_the_plan();
            }
        }
    }

    /// What was asked or counted down is no longer what the facts call for: another target, another policy. The case
    /// plans anew, and votes stand only where the new plan is the same.
    fn withdraw_the_plan(&mut self) {
        let why = "its plan is no longer the one that the facts call for".to_owned();
        self.write(Event::Withdrawn { why, recheck: Some(self.view.now) });
    }

    pub(super) fn pursue_countdown(&mut self, clock: CountdownClock) {
        let Some(case) = self.dossier.open.as_deref() else { return };
        let terms = case.decision.as_ref().map(|decision| decision.terms.clone()).unwrap_or_default();
        let go_on = !case.all_clear || terms.on_resolve == OnResolve::Continue;
        let now = self.view.now;
        match clock {
            CountdownClock::Untold { .. } | CountdownClock::Counting { .. } if !go_on => {
                return self.write(Event::CountdownSuspended);
            }
            CountdownClock::Suspended if !go_on => return,
            CountdownClock::Untold { latest } if now >= latest => {
                return self.write(Event::CountdownBegan { until: now + terms.countdown });
            }
            // Firing again starts it anew, in sight of people.
            CountdownClock::Suspended => {
                return self.write(Event::CountdownAnnounced { latest: now + super::choose::TOLD_MAX });
            }
            CountdownClock::Untold { .. } | CountdownClock::Counting { .. } => {}
        }
        if self.in_shadow() {
            return self.withdraw_into_shadow();
        }
        if !self.provider_known() {
            return;
        }
        let Some(decision) = self.weigh() else { return };
        if decision.stopped.is_some() || decision.verdict < Verdict::Approve {
            return self.withdraw(&decision);
        }
        if !self.plan_fits(&decision) {
            return self.withdraw_the_plan();
        }
        if decision.verdict == Verdict::Approve && !self.silence_suffices(&decision) {
            return self.ask_people(&weakened(&decision));
        }
        if matches!(clock, CountdownClock::Counting { until } if now >= until) {
            let attempt = self.next_attempt();
            self.write(Event::Readied { step: StepNo(0), attempt, automatic: true });
        }
    }

    /// People were asked, nobody answered, and the policy takes that for a yes: only where the row itself said approve.
    fn silence_suffices(&self, decision: &Decision) -> bool {
        let Some(case) = self.dossier.open.as_deref() else { return false };
        let by_policy = case.plan.as_ref().is_some_and(|plan| plan.approval.on_expiry == OnExpiry::Rollback);
        by_policy && decision.terms.row_said_approve && case.clock.asked_at.is_some()
    }

    /// Somebody switched to shadow while it was under way: it is judged and told from now on, and not done.
    pub(super) fn withdraw_into_shadow(&mut self) {
        let why = "it is in shadow mode now".to_owned();
        self.write(Event::Withdrawn { why, recheck: Some(self.view.now) });
    }

    fn withdraw(&mut self, decision: &Decision) {
        let why = decision.stopped.clone().unwrap_or_else(|| weakened(decision));
        self.write(Event::Withdrawn { why, recheck: decision.recheck });
    }
}

/// Why a decision asks for less than its row did, in a sentence.
pub(super) fn weakened(decision: &Decision) -> String {
    let weakest = decision.guards.iter().filter(|guard| guard.outcome.ceiling() < decision.proposed);
    let reasons: Vec<&str> = weakest.map(|guard| guard.reason.as_str()).collect();
    if reasons.is_empty() { "the facts no longer call for it".to_owned() } else { reasons.join("; ") }
}
