//! How the effect protocol goes on: what each ending of a begin, a search and a watch means for its step. Late
//! endings, of steps that the case has left, mean nothing.

use super::command::{Command, Ending, Progress};
use super::event::Event;
use super::exhibit::Collected;
use super::id::{Attempt, CaseId, Digest, Duration, NoteNo, PagerName, Place, ReleaseId, StepNo};
use super::ledger::Grade;
use super::pager::{Cause, Paging};
use super::phase::{CountdownClock, Phase};
use super::scribe::Scribe;
use super::settings::VerifyPolicy;
use super::standing::StandingEvent;
use super::step::{Class, Doer, OnFailure, Step};
use super::thread::Patience;
use super::words;

/// So many searches must find nothing before absence counts (failure model §4).
const LOOKS_NEEDED: u8 = 2;
/// A step that a plan does not wait for is given up when its request could not be sent so often.
const UNSENT_MAX: Attempt = 3;

impl Scribe<'_> {
    /// A begin, a search or a watch of this step ended.
    pub(super) fn carried(&mut self, command: &Command, case: &CaseId, step: StepNo, ending: &Ending) {
        if !self.is_open(case) || self.at_step() != Some(step) {
            return;
        }
        let Some(phase) = self.dossier.open.as_deref().map(|case| case.phase.clone()) else { return };
        match (command, &phase) {
            (Command::Begin(..), Phase::Intended { attempt, .. }) => self.began(step, *attempt, ending),
            (Command::Find(..), Phase::Intended { attempt, looks, .. }) => {
                self.found(step, *attempt, *looks, ending);
            }
            (Command::Watch(..), Phase::Running { .. }) => self.watched(step, ending),
            _ => {}
        }
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "other endings are no answer to a begin: no fact follows"
    )]
    fn began(&mut self, step: StepNo, attempt: Attempt, ending: &Ending) {
        match ending {
            Ending::Accepted(handle) => self.write(Event::Accepted { step, handle: handle.clone() }),
            Ending::Refused(why) => self.step_failed(step, why),
            Ending::Moved(what) => self.moved(step, what),
            Ending::NotSent => {
                let Some(case) = self.dossier.open.as_ref().map(|open| open.id.clone()) else { return };
                self.written.standing.push(StandingEvent::NeverSent { case, step, attempt });
                if attempt >= UNSENT_MAX && self.goes_on_without(step) {
                    return self
                        .step_failed(step, "nothing answered there, and the plan does not wait for it");
                }
                self.write(Event::NotSent { step });
            }
            // It may or may not have happened: no fact follows, and the search is next.
            _ => {}
        }
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "other endings are no answer to a search: no fact follows"
    )]
    fn found(&mut self, step: StepNo, attempt: Attempt, looks: u8, ending: &Ending) {
        match ending {
            Ending::Found(handle) => self.write(Event::Accepted { step, handle: handle.clone() }),
            Ending::Moved(what) => self.moved(step, what),
            Ending::Absent if looks + 1 < LOOKS_NEEDED => self.write(Event::Looked { step }),
            Ending::Absent => match self.planned(step).map(|planned| planned.act.class) {
                Some(class) if class != Class::C && attempt < class.attempts_max() => {
                    self.write(Event::Absent { step });
                }
                _ => self.untold(step),
            },
            _ => {}
        }
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "still at it, or not readable now: looked at again at pace"
    )]
    fn watched(&mut self, step: StepNo, ending: &Ending) {
        match ending {
            Ending::Progress(Progress::Serving(release)) => self.served(step, release),
            Ending::Progress(Progress::Done(says)) => {
                self.write(Event::StepDone { step, says: says.clone() });
                self.advance(step);
            }
            Ending::Progress(Progress::Failed(why)) => self.step_failed(step, why),
            // The provider does not let us see: that says nothing about the work itself.
            Ending::Refused(why) => {
                self.unsettled(step, format!("how it stands cannot be read: {why}"));
            }
            Ending::Progress(Progress::NeedsHuman { why, url }) => {
                self.unsettled(step, url.as_ref().map_or_else(|| why.clone(), |url| format!("{why}: {url}")));
            }
            Ending::Progress(Progress::Superseded(what)) | Ending::Moved(what) => self.moved(step, what),
            // Still at it, or not readable now: looked at again at pace.
            _ => {}
        }
    }

    /// Nobody can tell whether a step was done, and it is not begun again.
    fn untold(&mut self, step: StepNo) {
        let Some(planned) = self.planned(step) else { return };
        let why = match planned.doer {
            Doer::User => {
                format!("nobody saw how \"{}\" ended, and once more might do it twice", planned.act.says)
            }
            Doer::Provider(_) | Doer::Ledger(_) => {
                "the provider shows no trace of the request, and another one might act twice".to_owned()
            }
        };
        self.unsettled(step, why);
    }

    /// Whether a step took effect is not known: a person settles it, unless it is one of the user's own that the plan does not wait for.
    pub(super) fn unsettled(&mut self, step: StepNo, why: String) {
        if self.goes_on_without(step) {
            self.write(Event::StepFailed { step, why });
            return self.advance(step);
        }
        let half = self.half_back(step).map_or(String::new(), |half| format!("; {half}"));
        self.write(Event::NeedsHuman { step, why: format!("{why}{half}") });
    }

    /// One of the user's own steps, whatever becomes of it the plan goes on.
    fn goes_on_without(&self, step: StepNo) -> bool {
        let planned = self.planned(step);
        planned.is_some_and(|planned| planned.doer == Doer::User && planned.on_failure == OnFailure::Continue)
    }

    fn served(&mut self, step: StepNo, release: &ReleaseId) {
        let Some(plan) = self.dossier.open.as_deref().and_then(|case| case.plan.clone()) else { return };
        let to = plan.companion(step).map_or(&plan.to.id, |one| &one.to.id).clone();
        if *release != to {
            let why = format!("the provider says that it is done, but {release} serves and not {to}");
            return self.unsettled(step, why);
        }
        self.write(Event::StepDone { step, says: format!("{release} serves") });
        self.advance(step);
    }

    fn moved(&mut self, step: StepNo, what: &str) {
        if step == StepNo(0) {
            self.supersede(what);
        } else {
            self.unsettled(step, format!("somebody acted in the middle of the plan: {what}"));
        }
    }

    fn step_failed(&mut self, step: StepNo, why: &str) {
        let Some(planned) = self.planned(step) else { return };
        let on_failure = planned.on_failure;
        let says = self.says(&planned);
        self.write(Event::StepFailed { step, why: why.to_owned() });
        if self.half_back(step).is_some() {
            return self.unsettled(step, format!("{says}: {why}"));
        }
        match on_failure {
            OnFailure::Continue => self.advance(step),
            OnFailure::Stop => {
                self.keep_the_bad_release_away(step);
                self.close(super::phase::Outcome::Failed, &format!("{says}: {why}"));
            }
        }
    }

    /// Whether the service itself is back when this step comes.
    pub(super) fn is_back_before(&self, step: StepNo) -> bool {
        let plan = self.dossier.open.as_deref().and_then(|case| case.plan.as_deref());
        plan.is_some_and(|plan| plan.is_back_before(step))
    }

    /// What runs where, when a step fails at a provider and not all services that go together are back, and not none.
    fn half_back(&self, step: StepNo) -> Option<String> {
        let plan = self.dossier.open.as_deref()?.plan.as_ref()?;
        let among_companions = plan.companion(step).is_some();
        among_companions.then(|| plan.whereabouts(step))
    }

    /// The plan ends before its last steps. Where the service itself is back already, the bad release is locked and graded all the same: it
    /// was rolled back.
    pub(super) fn keep_the_bad_release_away(&mut self, step: StepNo) {
        let Some(plan) = self.dossier.open.as_deref().and_then(|case| case.plan.clone()) else { return };
        if !plan.is_back_before(step) {
            return;
        }
        let locks = plan.steps.iter().find_map(|planned| match &planned.doer {
            Doer::Ledger(release) => Some(release.clone()),
            Doer::Provider(_) | Doer::User => None,
        });
        if let Some(release) = locks {
            let why = self.rolled_back();
            self.write(Event::Locked { release, why });
        }
        self.grade_what_left();
    }

    /// What a step of the plan does, for people.
    pub(super) fn says(&self, step: &Step) -> String {
        let plan = self.dossier.open.as_deref().and_then(|case| case.plan.as_deref());
        plan.map_or_else(|| step.act.says.clone(), |plan| words::step_says(plan, step))
    }

    fn planned(&self, step: StepNo) -> Option<Step> {
        self.dossier.open.as_deref()?.plan.as_ref()?.step(step).cloned()
    }

    /// The next step, or, after the last one, the verification.
    pub(super) fn advance(&mut self, step: StepNo) {
        let next = StepNo(step.0 + 1);
        if self.planned(next).is_some() {
            return self.write(Event::NextStep { step: next });
        }
        self.grade_what_left();
        let policy = self.stretched_policy();
        self.write(Event::VerifyBegan { policy, adopted: false });
    }

    /// Why a release is locked and bad.
    pub(super) fn rolled_back(&self) -> String {
        let case = self.dossier.open.as_deref().map_or("that is gone", |case| case.id.as_str());
        format!("rolled back in case {case}")
    }

    /// What was rolled back is bad; what goes out again is free.
    fn grade_what_left(&mut self) {
        let Some(case) = self.dossier.open.as_deref() else { return };
        let Some(plan) = case.plan.clone() else { return };
        if case.goes_forward() {
            let locked = self.dossier.ledger.page(&plan.to.id).is_some_and(|page| page.lock.is_some());
            let by = case.requester().cloned();
            if locked {
                let reason = Some("rolled forward again".to_owned());
                self.write(Event::Unlocked { release: plan.to.id.clone(), by, reason });
            }
        } else {
            let why = self.rolled_back();
            self.write(Event::Graded { release: plan.from.id.clone(), grade: Grade::Bad, why });
        }
    }

    /// The case's verification policy, its `within` no shorter than the longest lag of its signals.
    pub(super) fn stretched_policy(&self) -> VerifyPolicy {
        let Some(case) = self.dossier.open.as_deref() else { return VerifyPolicy::default() };
        let by_row = case.decision.as_ref().and_then(|decision| decision.terms.verify.clone());
        let policy = self.view.verify_policy(by_row.as_ref());
        let longest = case.signals.values().map(|signal| signal.lag).max().unwrap_or(Duration::ZERO);
        VerifyPolicy { within: policy.within.max(longest), ..policy }
    }

    /// The provider showed what is there, or did not: it is asked once.
    #[expect(clippy::wildcard_enum_match_arm, reason = "every other ending shows nothing")]
    pub(super) fn collected(&mut self, case: &CaseId, ending: &Ending) {
        if !self.dossier.open.as_deref().is_some_and(|open| open.id == *case && open.collects()) {
            return;
        }
        let collected = match ending {
            Ending::Collected(collected) => collected.clone(),
            _ => Collected::nothing("asking for it failed".into()),
        };
        self.write(Event::Collected(collected));
    }

    /// A note was said. The announcement of a countdown starts it.
    pub(super) fn said(&mut self, case: &CaseId, note: NoteNo, place: &Place, face: Option<&Digest>) {
        let known = self.dossier.case(case).filter(|case| case.said == note);
        let Some(known) = known else { return };
        let announces = words::announces_countdown(known, note);
        self.write(Event::Said { case: case.clone(), note, place: place.clone() });
        if let Some(face) = face {
            self.shown(case, face);
        }
        let Some(open) = self.dossier.open.as_deref().filter(|open| open.id == *case) else { return };
        let untold = matches!(open.phase, Phase::Countdown { clock: CountdownClock::Untold { .. } });
        if announces && untold {
            let countdown = open.decision.as_ref().map(|d| d.terms.countdown).unwrap_or_default();
            self.write(Event::CountdownBegan { until: self.view.now + countdown });
        }
    }

    /// The first message of a thread shows this face.
    pub(super) fn shown(&mut self, case: &CaseId, face: &Digest) {
        if self.dossier.case(case).is_some() {
            self.write(Event::Shown { case: case.clone(), face: face.clone() });
        }
    }

    /// A pager took what it was told, or never will. Anything else is tried again.
    #[expect(clippy::wildcard_enum_match_arm, reason = "no other ending says what became of a page")]
    pub(super) fn paged(&mut self, case: &CaseId, pager: &PagerName, cause: Option<Cause>, ending: &Ending) {
        let known = self.dossier.case(case).and_then(|case| case.paged.get(pager));
        if known != Some(&Paging::due(cause)) {
            return;
        }
        let (case, pager) = (case.clone(), pager.clone());
        match ending {
            Ending::Paged => self.write(Event::Paged { case, pager, cause }),
            Ending::Refused(why) => self.write(Event::NotPaged { case, pager, cause, why: why.clone() }),
            _ => {}
        }
    }

    /// The chat did not take what the case has to say: the thread goes on elsewhere, once; or the case, which is over, is let
    /// go.
    #[expect(clippy::wildcard_enum_match_arm, reason = "other endings say that it was taken, or nothing")]
    pub(super) fn not_taken(&mut self, case: &CaseId, ending: &Ending) {
        let Some(known) = self.dossier.case(case) else { return };
        let patience = Patience::with(known);
        match ending {
            Ending::Elsewhere { place, face } if patience.may_move => {
                // What was said last stands there again, as the face of the new first message.
                let Some(last) = known.said.0.checked_sub(1).map(NoteNo) else { return };
                self.write(Event::Said { case: case.clone(), note: last, place: place.clone() });
                if let Some(face) = face {
                    self.shown(case, face);
                }
            }
            Ending::Unsayable(_) if patience.is_over(self.view.now) => {
                let told = self.dossier.telling.iter().find(|telling| telling.id == *case).cloned();
                self.written.departed.extend(told);
                self.write(Event::Told { case: case.clone() });
            }
            _ => {}
        }
    }

    /// The process began again. Nothing that lapsed meanwhile acts: a countdown starts anew, in sight of people.
    pub(super) fn restarted(&mut self) {
        let Some(open) = self.dossier.open.as_deref() else { return };
        let made_later = |plan: &super::plan::Plan| plan.expires > self.view.now + plan.approval.expires;
        let waits = !matches!(open.phase, Phase::Weighing { .. }) && open.phase.is_before_the_act();
        if waits && open.plan.as_ref().is_some_and(|plan| made_later(plan)) {
            let why = "the clock went back, and its plan would live too long".to_owned();
            return self.write(Event::Withdrawn { why, recheck: Some(self.view.now) });
        }
        if matches!(open.phase, Phase::Countdown { .. }) {
            let latest = self.view.now + super::choose::TOLD_MAX;
            let countdown =
                open.decision.as_ref().map(|decision| decision.terms.countdown).unwrap_or_default();
            if open.plan.as_ref().is_some_and(|plan| plan.expires <= latest + countdown) {
                let why = "its plan grew too old while Snapback was away".to_owned();
                self.write(Event::Withdrawn { why, recheck: Some(self.view.now) });
            } else {
                self.write(Event::CountdownAnnounced { latest });
            }
        }
        let Some(open) = self.dossier.open.as_deref() else { return };
        if matches!(open.phase, Phase::Ready { .. }) && open.phase.is_before_the_act() && open.automatic {
            let why = "Snapback began again before the act".to_owned();
            self.write(Event::Withdrawn { why, recheck: Some(self.view.now) });
        }
    }
}
