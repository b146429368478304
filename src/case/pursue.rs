//! What follows from the state itself, with time and without any new fact: cases open and close, questions expire,
//! countdowns end, verification is judged. One round; the scribe asks again until nothing more follows.

use super::decide::{Decision, OnResolve, Verdict};
use super::event::{Event, Origin, Settlement};
use super::face;
use super::gate::Follows;
use super::id::{CaseId, Duration, ReleaseId, StepNo, Timestamp};
use super::pager;
use super::phase::{Barred, Outcome, Phase, Verifying};
use super::refresh::Moved;
use super::scribe::{Scribe, View};
use super::settings::Mode;
use super::signal::EpisodeKey;
use super::step::Doer;
use super::story::{Case, CaseSignal};
use super::transition::step_of;
use super::verify::{Evidence, Judgement, clear_since, judge};
use super::words;

/// A case is judged with what is known when the provider did not answer within this (product §7).
pub(super) const GATHER_MAX: Duration = Duration::from_secs(10);
/// An act whose effect is still unknown so long after its deadline is a person's to settle (L2).
const UNKNOWN_MAX: Duration = Duration::from_mins(10);

impl Scribe<'_> {
    /// One round.
    pub(super) fn pursue(&mut self) {
        self.end_settled();
        self.grade_by_time();
        self.open_or_join();
        self.note_clears();
        self.pursue_case();
        self.wake_people();
        self.dismiss_told();
    }

    fn open_or_join(&mut self) {
        let waiting: Vec<EpisodeKey> = self
            .dossier
            .episodes
            .iter()
            .filter(|(_, episode)| episode.case.is_none() && episode.is_firing())
            .map(|(key, _)| key.clone())
            .collect();
        if waiting.is_empty() {
            return;
        }
        let Some(case) = self.dossier.open.as_deref() else {
            return self.open(waiting);
        };
        let joining: Vec<EpisodeKey> = match (&case.phase, &case.plan, &case.suspect) {
            (Phase::Gathering { .. } | Phase::Weighing { .. }, None, _) => waiting,
            (_, _, Some(suspect)) => {
                let suspect = suspect.deployment.id.clone();
                waiting.into_iter().filter(|key| self.points_at(key).as_ref() == Some(&suspect)).collect()
            }
            (_, _, None) => Vec::new(),
        };
        if !joining.is_empty() {
            self.write(Event::Joined { signals: joining });
        }
    }

    fn open(&mut self, signals: Vec<EpisodeKey>) {
        let received_at = signals
            .iter()
            .filter_map(|key| self.dossier.episodes.get(key))
            .map(|episode| episode.opened_at)
            .min()
            .unwrap_or(self.view.now);
        self.open_case(Origin::Signal, self.view.settings.mode, signals, received_at);
    }

    pub(super) fn open_case(
        &mut self,
        origin: Origin,
        mode: Mode,
        signals: Vec<EpisodeKey>,
        received_at: Timestamp,
    ) {
        let case = CaseId::of(&self.dossier.service, self.dossier.cases_opened + 1);
        let until = self.view.now + GATHER_MAX;
        self.write(Event::Opened { case, origin, mode, signals, received_at, until });
    }

    /// Notices when all signals of the open case are clear, and when one fires again.
    fn note_clears(&mut self) {
        let Some(case) = self.dossier.open.as_deref() else { return };
        if case.signals.is_empty() {
            return;
        }
        let firing = case.signals.values().any(|signal| signal.cleared_at.is_none());
        match (firing, case.all_clear) {
            (false, false) => self.write(Event::AllCleared),
            (true, true) => self.write(Event::FiredAgain),
            (true, false) | (false, true) => {}
        }
    }

    fn pursue_case(&mut self) {
        let Some(case) = self.dossier.open.as_deref() else { return };
        if case.phase.is_before_the_act() && self.call_off() {
            return;
        }
        let Some(phase) = self.dossier.open.as_deref().map(|case| case.phase.clone()) else { return };
        match phase {
            Phase::Gathering { until } => self.pursue_gathering(until),
            Phase::Weighing { .. } => self.pursue_weighing(),
            Phase::Planning { until, .. } if self.view.now >= until => self.write(Event::NotPlanned {
                why: "the provider did not say how to go back in time".into(),
                recheck: Some(self.view.now + Duration::from_secs(30)),
            }),
            Phase::Planning { .. } => {}
            Phase::AwaitingApproval { until } => self.pursue_question(until),
            Phase::Countdown { clock } => self.pursue_countdown(clock),
            Phase::Ready { step, barred, .. } => self.pursue_ready(step, barred),
            Phase::Intended { step, since, .. } | Phase::Running { step, since, .. } => {
                self.pursue_deadline(step, since);
            }
            Phase::Verifying(verifying) => self.pursue_verifying(&verifying),
            Phase::NeedsHuman { .. } | Phase::Closed(_) => {}
        }
    }

    /// What ends or suspends a case before its act: a settled clear, a cancel by row, somebody else's act.
    fn call_off(&mut self) -> bool {
        let Some(case) = self.dossier.open.as_deref() else { return true };
        let by_signal = case.origin == Origin::Signal && !case.signals.is_empty();
        let on_resolve = case.decision.as_ref().map_or(OnResolve::Suspend, |d| d.terms.on_resolve);
        if by_signal && case.all_clear && !goes_on_when_clear(case) {
            let settled = !case.signals.keys().any(|key| self.dossier.episodes.contains_key(key));
            if on_resolve == OnResolve::Cancel {
                self.close(Outcome::Cancelled, "its signals cleared before the act");
                return true;
            }
            if settled {
                self.close(Outcome::Cleared, "its signals cleared before anything was done");
                return true;
            }
        }
        match self.moved_away() {
            Some(Moved::Reverted(to)) => {
                self.adopt(&to);
                true
            }
            Some(Moved::Replaced(with)) => {
                self.supersede(&format!("{with} was put out meanwhile"));
                true
            }
            None => false,
        }
    }

    fn pursue_gathering(&mut self, until: Timestamp) {
        let Some(case) = self.dossier.open.as_deref() else { return };
        let with = self.dossier.companions_unread(self.view).is_empty();
        let read = self.view.live.described_since(case.opened_at) && with;
        let dated = self.dossier.undated(self.view).next().is_none();
        if !(read && dated) && self.view.now < until {
            return;
        }
        match case.origin.clone() {
            Origin::Signal | Origin::Drill => {
                self.weigh();
            }
            Origin::Person { to, .. } => self.choose_by_hand(to),
        }
    }

    fn pursue_weighing(&mut self) {
        let Some(case) = self.dossier.open.as_deref() else { return };
        if let Origin::Person { .. } = case.origin {
            return self.pursue_by_hand();
        }
        let stands = case.all_clear && !goes_on_when_clear(case);
        if case.decision.is_some() && (stands || !self.provider_known()) {
            return;
        }
        let told = case.told_plan;
        let snoozed = case.snoozed_until.is_some_and(|until| self.view.now < until);
        let Some(decision) = self.weigh() else { return };
        // What was deployed is not known: that nobody is to blame would be a guess, as long as it can still matter.
        if decision.suspect.is_none() && decision.brief.facts.ledger_incomplete && !self.window_is_over() {
            return;
        }
        if decision.suspect.is_none() {
            let why = nobody_to_blame(&decision);
            return self.close(Outcome::LeftAlone, &why);
        }
        let no_plan = self.dossier.open.as_deref().and_then(|case| case.no_plan.as_ref());
        let refused = no_plan.is_some_and(|none| none.until.is_none_or(|until| self.view.now < until));
        let wanted = decision.verdict >= Verdict::Approve && decision.stopped.is_none() && !refused;
        if snoozed || !wanted || (told && self.plan_fits(&decision)) {
            // A row that may still hold began in time; its moment comes first.
            let awaited = decision.recheck.is_some_and(|at| self.view.now < at);
            if !snoozed && !awaited && self.window_is_over() {
                self.close(
                    Outcome::LeftAlone,
                    "the window of the deployment is over, and nothing spoke for more",
                );
            }
            return;
        }
        if self.plan_fits(&decision) { self.carry_out(&decision) } else { self.choose(&decision) }
    }

    /// Nothing that begins from now on may point at the suspect.
    fn window_is_over(&self) -> bool {
        let ends = self.dossier.open.as_deref().and_then(|case| window_ends(case, self.view));
        ends.is_some_and(|ends| self.view.now >= ends)
    }

    /// Whether the provider was asked since this process began, whatever came of it. Before that, what was judged
    /// stands: nothing is weaker only because Snapback began again.
    pub(super) fn provider_known(&self) -> bool {
        self.view.live.described_at.is_some() || self.view.live.trouble.is_some()
    }

    fn pursue_ready(&mut self, step: StepNo, barred: Option<Barred>) {
        let Some(case) = self.dossier.open.as_deref() else { return };
        if let Some(Doer::Ledger(release)) =
            case.plan.as_ref().and_then(|plan| plan.step(step)).map(|step| step.doer.clone())
        {
            return self.lock(step, &release);
        }
        let before = case.phase.is_before_the_act();
        let clear = case.all_clear && case.origin == Origin::Signal;
        let suspend = case.decision.as_ref().is_none_or(|d| d.terms.on_resolve != OnResolve::Continue);
        let expires = case.plan.as_ref().map(|plan| plan.expires);
        if before && clear && suspend && case.automatic {
            let recheck = None;
            return self.write(Event::Withdrawn { why: "its signals cleared".into(), recheck });
        }
        let first_act = case.plan.as_ref().is_some_and(|plan| plan.is_first_act(step));
        if !before && first_act && clear && suspend && case.automatic && !told_to_go_on(case, step) {
            let why = "its signals cleared after the first steps of the plan, and nothing was rolled back: look-again goes on all the same, give-up ends it";
            return self.write(Event::NeedsHuman { step, why: why.into() });
        }
        if before && self.in_shadow() {
            return self.withdraw_into_shadow();
        }
        if before && expires.is_some_and(|at| self.view.now >= at) {
            return self.close(Outcome::Expired, "its plan expired before it could begin");
        }
        let Some(Barred { why, .. }) = barred else {
            if next_step_overdue_at(case, step).is_some_and(|at| self.view.now >= at) {
                let is_own = case
                    .plan
                    .as_ref()
                    .and_then(|plan| plan.step(step))
                    .is_some_and(|planned| planned.doer == Doer::User);
                let silence =
                    if is_own { "nothing answers there" } else { "the provider was not read in time" };
                let cause = self.view.live.trouble.as_deref().unwrap_or(silence);
                let why = format!("the plan is half done, and its next step could not begin: {cause}");
                self.unsettled(step, why);
            }
            return;
        };
        match why.follows() {
            Follows::Wait => {}
            Follows::Ask if before => self.ask_people(&why.says()),
            Follows::Weigh if before => {
                self.write(Event::Withdrawn { why: why.says(), recheck: Some(self.view.now) });
            }
            Follows::Supersede if before => self.supersede(&why.says()),
            Follows::Expire if before => {
                self.close(Outcome::Expired, "its plan expired before it could begin")
            }
            Follows::Supersede if !self.is_back_before(step) => self.supersede(&why.says()),
            Follows::Supersede | Follows::NeedsHuman | Follows::Ask | Follows::Weigh | Follows::Expire => {
                self.unsettled(step, why.says());
            }
        }
    }

    fn lock(&mut self, step: StepNo, release: &ReleaseId) {
        let why = self.rolled_back();
        self.write(Event::Locked { release: release.clone(), why });
        self.write(Event::StepDone { step, says: format!("{release} is locked") });
        self.advance(step);
    }

    fn pursue_deadline(&mut self, step: StepNo, since: Timestamp) {
        let Some(case) = self.dossier.open.as_deref() else { return };
        let running = matches!(case.phase, Phase::Running { .. });
        let Some(planned) = case.plan.as_ref().and_then(|plan| plan.step(step)) else { return };
        if self.view.now < given_up_at(planned.deadline, since, running) {
            return;
        }
        let why = if running {
            format!("{} is not done after {:#}", self.says(planned), planned.deadline)
        } else {
            format!("whether \"{}\" took effect is still not known", self.says(planned))
        };
        self.unsettled(step, why);
    }

    fn pursue_verifying(&mut self, verifying: &Verifying) {
        let Some(case) = self.dossier.open.as_deref() else { return };
        let target = match (&case.plan, verifying.adopted) {
            (Some(plan), false) => Some(plan.to.id.clone()),
            (Some(_), true) | (None, _) => self.dossier.ledger.current.clone(),
        };
        let signals: Vec<&CaseSignal> = case.signals.values().collect();
        let since = clear_since(&signals, verifying.done_at);
        if since != verifying.clear_since {
            return self.write(Event::ClearSince { since });
        }
        let live = self.view.live;
        // A reading of the very moment may have begun before the act.
        let read = live.described_at.filter(|at| *at > verifying.done_at);
        if read.is_some() && live.current != target {
            let now = live.current.as_ref().map_or("nothing".to_owned(), ReleaseId::to_string);
            return self.supersede(&format!("{now} serves now: somebody acted during verification"));
        }
        let evidence = Evidence {
            signals: &signals,
            probes: &self.dossier.probe_words(self.view),
            target_served_at: read,
            listening_since: live.since,
            now: self.view.now,
        };
        match judge(verifying, &evidence) {
            Judgement::Wait(_) => {}
            Judgement::Recovered if verifying.adopted => self.close(Outcome::Adopted, "the signals cleared"),
            Judgement::Recovered => self.close(Outcome::Recovered, "the signals cleared and stayed clear"),
            Judgement::NotRecovered(why) => {
                self.free_of_blame();
                self.close(Outcome::NotRecovered, &why);
            }
            Judgement::Unverified(why) => self.close(Outcome::Unverified, &why),
        }
    }

    /// A rollback that did not help was not the cure: the release was not to blame.
    fn free_of_blame(&mut self) {
        let Some(case) = self.dossier.open.as_deref().filter(|case| !case.goes_forward()) else { return };
        let Some(release) = case.plan.as_ref().map(|plan| plan.from.id.clone()) else { return };
        let why = format!("freed of blame: the rollback in case {} did not help", case.id);
        let reason = Some(why.clone());
        self.write(Event::Graded { release: release.clone(), grade: super::ledger::Grade::Unknown, why });
        if self.dossier.ledger.page(&release).is_some_and(|page| page.lock.is_some()) {
            self.write(Event::Unlocked { release, by: None, reason });
        }
    }

    fn adopt(&mut self, to: &ReleaseId) {
        let Some(case) = self.dossier.open.as_deref() else { return };
        if case.goes_forward() {
            return self.supersede(&format!("{to} was put out meanwhile"));
        }
        let Some(suspect) = case.suspect.as_ref().map(|suspect| suspect.release.id.clone()) else { return };
        let policy = self.stretched_policy();
        let why = format!("somebody went back to {to} before Snapback did");
        self.write(Event::Graded { release: suspect, grade: super::ledger::Grade::Bad, why });
        self.write(Event::VerifyBegan { policy, adopted: true });
    }

    /// Closes as superseded; signals that still fire are judged anew, against what serves now.
    pub(super) fn supersede(&mut self, why: &str) {
        let firing = self.firing_of_open_case();
        self.close(Outcome::Superseded, why);
        for key in firing {
            self.write(Event::EpisodeReopened { key });
        }
    }

    /// The signals of the open case that still fire.
    pub(super) fn firing_of_open_case(&self) -> Vec<EpisodeKey> {
        let signals = self.dossier.open.as_deref().into_iter().flat_map(|case| case.signals.keys());
        let firing =
            signals.filter(|key| self.dossier.episodes.get(key).is_some_and(|episode| episode.is_firing()));
        firing.cloned().collect()
    }

    pub(super) fn close(&mut self, outcome: Outcome, why: &str) {
        self.write(Event::Closed { outcome, why: why.to_owned() });
    }

    /// Writes down what pagers have to be told, of the open case and of those that are still being told.
    fn wake_people(&mut self) {
        let View { settings, shared, now, .. } = *self.view;
        let cases = self.dossier.telling.iter().chain(self.dossier.open.as_deref());
        let news: Vec<Event> =
            cases.flat_map(|case| pager::news(case, &shared.pagers, settings.tier.as_deref(), now)).collect();
        news.into_iter().for_each(|event| self.write(event));
    }

    /// Closed cases that have nothing left to tell leave the dossier.
    fn dismiss_told(&mut self) {
        let pagers = &self.view.shared.pagers;
        let told: Vec<CaseId> = self
            .dossier
            .telling
            .iter()
            .filter(|case| words::due(case).is_none() && !face::is_stale(case))
            .filter(|case| pager::due(&case.paged, pagers).next().is_none())
            .map(|case| case.id.clone())
            .collect();
        for case in told {
            if let Some(shape) = self.dossier.telling.iter().find(|telling| telling.id == case) {
                self.written.departed.push(shape.clone());
            }
            self.write(Event::Told { case });
        }
    }

    /// The step that the open case is at.
    pub(super) fn at_step(&self) -> Option<StepNo> {
        step_of(&self.dossier.open.as_ref()?.phase)
    }
}

/// When the window of the suspect ends, if it finished going out; without a suspect, the window of whatever may have been
/// deployed before the case opened.
pub(super) fn window_ends(case: &Case, view: &View<'_>) -> Option<Timestamp> {
    let began = match &case.suspect {
        Some(suspect) => suspect.deployment.over_at()?,
        None => case.opened_at,
    };
    Some(began + view.longest_window())
}

/// When a later step of a plan that did not even come to the gate is a person's: half a rollback is worse than either whole
/// one, and nobody would know.
#[expect(clippy::wildcard_enum_match_arm, reason = "one event is looked for")]
pub(super) fn next_step_overdue_at(case: &Case, step: StepNo) -> Option<Timestamp> {
    let begun = case.events.iter().rev().find_map(|stamped| match stamped.event {
        Event::NextStep { step: next } if next == step => Some(stamped.at),
        _ => None,
    })?;
    Some(begun + UNKNOWN_MAX)
}

/// Since the plan came to this step, a person said that it goes on.
fn told_to_go_on(case: &Case, step: StepNo) -> bool {
    let since = case
        .events
        .iter()
        .rev()
        .take_while(|stamped| !matches!(stamped.event, Event::NextStep { step: next } if next == step));
    let goes_on = |event: &Event| matches!(event, Event::Settled { how: Settlement::LookAgain, .. });
    since.into_iter().any(|stamped| goes_on(&stamped.event))
}

/// When a step is a person's: work at its deadline, a request of unknown effect so much later.
pub(super) fn given_up_at(deadline: Duration, since: Timestamp, running: bool) -> Timestamp {
    since + deadline + if running { Duration::ZERO } else { UNKNOWN_MAX }
}

/// The row says that an act goes on although all signals cleared, and there is an act to go on with.
fn goes_on_when_clear(case: &Case) -> bool {
    case.decision.as_ref().is_some_and(|decision| {
        decision.terms.on_resolve == OnResolve::Continue && decision.verdict >= Verdict::Approve
    })
}

fn nobody_to_blame(decision: &Decision) -> String {
    if decision.brief.candidates.is_empty() {
        return "nothing was deployed lately".into();
    }
    let before = |signal: &super::brief::BriefSignal| {
        decision.brief.candidates.iter().all(|candidate| candidate.started_at > signal.started_at)
    };
    if decision.brief.signals.iter().all(before) {
        let latest = &decision.brief.candidates[0];
        let called = latest.version.as_deref().unwrap_or(latest.release.as_str());
        return format!("the signal was there before {called} went out");
    }
    "no deployment is recent enough to be the cause".into()
}
