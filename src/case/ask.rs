//! What people ask of a service, through whichever door: each request either becomes facts or is refused, and has
//! exactly one disposition. Who they are was proved at the door; whether they may is judged here.

use super::approval::{PersonVote, Question, Roster, Tally, Vote};
use super::command::{Ask, Wish};
use super::event::{Event, Origin, Settlement};
use super::id::{CaseId, Duration, PersonId, ReleaseId};
use super::ledger::Grade;
use super::phase::{Outcome, Phase};
use super::scribe::Scribe;

/// A snooze lasts so long (product §10).
const SNOOZE: Duration = Duration::from_mins(15);
/// The longest freeze: whoever wants more says so again.
const FREEZE_MAX: Duration = Duration::from_hours(14 * 24);

impl Scribe<'_> {
    /// Takes one request.
    pub(super) fn ask(&mut self, ask: &Ask) {
        self.taken();
        let by = ask.by.clone();
        match &ask.what {
            Wish::Vote { case, vote } => self.vote(case, by, vote.clone()),
            Wish::Cancel(case) => self.cancel(case, by),
            Wish::Snooze(case) => self.snooze(case, by),
            Wish::Exonerate(case) => self.exonerate(case, by),
            Wish::Settle(case, how) => self.settle(case, by, *how),
            Wish::Rollback { to, reason } => self.rollback(by, to.clone(), reason),
            Wish::Freeze { length, reason } => {
                let until = self.view.now + (*length).min(FREEZE_MAX);
                self.write(Event::Frozen { by, reason: reason.clone(), until });
            }
            Wish::Unfreeze if self.dossier.freeze.is_some() => self.write(Event::Unfrozen { by }),
            Wish::Unfreeze => {}
            Wish::Mark { release, good, reason } => self.mark(release, *good, &by, reason),
            Wish::Unlock { release, .. } => {
                if self.dossier.ledger.page(release).is_some_and(|page| page.lock.is_some()) {
                    self.write(Event::Unlocked { release: release.clone(), by: Some(by) });
                }
            }
        }
    }

    fn vote(&mut self, case: &CaseId, by: PersonId, vote: PersonVote) {
        let Some(open) = self.dossier.open.as_deref().filter(|open| open.id == *case) else { return };
        let asked = matches!(open.phase, Phase::AwaitingApproval { until } if self.view.now < until);
        let same = open.plan.as_ref().is_some_and(|plan| plan.digest == vote.digest);
        match (asked, same) {
            (true, true) => self.hear_vote(by, vote),
            (true, false) => {
                self.write(Event::VoteRefused { by, why: "this plan was replaced by another".into() });
            }
            (false, _) => self.write(Event::VoteRefused { by, why: "nothing is asked here now".into() }),
        }
    }

    /// Judges the votes that were heard, and counts. True when the case left its question.
    pub(super) fn count_votes(&mut self) -> bool {
        let Some(roster) = self.view.live.roster.clone().filter(|roster| roster.is_fresh(self.view.now))
        else {
            return false;
        };
        let heard = self.dossier.open.as_deref().map(|case| case.heard.clone()).unwrap_or_default();
        for vote in heard {
            if self.judge_vote(vote, &roster) {
                return true;
            }
        }
        if self.votes_short(&roster).is_none() {
            self.begin_by_approval();
            return true;
        }
        false
    }

    /// Takes one heard vote as a vote, a denial or nothing. True when the case left its question.
    fn judge_vote(&mut self, vote: Vote, roster: &Roster) -> bool {
        let Some(policy) =
            self.dossier.open.as_deref().and_then(|case| case.plan.as_ref()).map(|p| p.approval.clone())
        else {
            return false;
        };
        let alone = vote.break_glass.is_some() && policy.admits_alone(&vote.by, roster);
        if !policy.admits(&vote.by, roster) && !alone {
            let why = format!("{} is not in a group that may decide this", vote.by);
            self.write(Event::VoteRefused { by: vote.by, why });
            return false;
        }
        let (by, yes) = (vote.by.clone(), vote.yes);
        self.write(Event::Voted(vote));
        if yes {
            return false;
        }
        self.close(Outcome::Denied, &format!("{by} said no"));
        true
    }

    /// What is missing in the votes of the open case, in words; nothing when they are enough.
    pub(super) fn votes_short(&self, roster: &Roster) -> Option<String> {
        votes_short(self.dossier, roster, self.view)
    }

    fn may_decide(&self, by: &PersonId) -> bool {
        // Whoever may approve may also call off; without a plan there is no policy yet, and calling off a case that
        // has decided nothing harms nobody.
        let Some(case) = self.dossier.open.as_deref() else { return false };
        let Some(plan) = &case.plan else { return true };
        self.view.live.roster.as_ref().is_some_and(|roster| {
            roster.is_fresh(self.view.now)
                && (plan.approval.admits(by, roster) || plan.approval.admits_alone(by, roster))
        })
    }

    fn cancel(&mut self, case: &CaseId, by: PersonId) {
        if self.is_open(case) && self.before_the_act() && self.may_decide(&by) {
            self.close(Outcome::Cancelled, &format!("{by} cancelled it"));
        }
    }

    fn snooze(&mut self, case: &CaseId, by: PersonId) {
        let snoozable = self.dossier.open.as_deref().is_some_and(|open| {
            matches!(
                open.phase,
                Phase::Weighing { .. } | Phase::AwaitingApproval { .. } | Phase::Countdown { .. }
            )
        });
        if self.is_open(case) && snoozable && self.may_decide(&by) {
            self.write(Event::Snoozed { by, until: self.view.now + SNOOZE });
        }
    }

    fn exonerate(&mut self, case: &CaseId, by: PersonId) {
        if !self.is_open(case) || !self.before_the_act() || !self.may_decide(&by) {
            return;
        }
        let suspect = self.dossier.open.as_deref().and_then(|case| case.suspect.as_ref());
        let Some(deployment) = suspect.map(|suspect| suspect.deployment.id.clone()) else { return };
        let release = suspect.map(|suspect| suspect.release.id.clone());
        self.write(Event::Exonerated { by: by.clone(), deployment });
        if let Some(release) = release
            && self.dossier.ledger.page(&release).is_some_and(|page| page.lock.is_some())
        {
            self.write(Event::Unlocked { release, by: Some(by.clone()) });
        }
        self.close(Outcome::LeftAlone, &format!("{by} said that this deployment is not to blame"));
    }

    fn settle(&mut self, case: &CaseId, by: PersonId, how: Settlement) {
        let Some(open) = self.dossier.open.as_deref().filter(|open| open.id == *case) else { return };
        let Phase::NeedsHuman { step, .. } = open.phase else { return };
        self.write(Event::Settled { by: by.clone(), how });
        match how {
            Settlement::LookAgain => {}
            Settlement::TookEffect => {
                self.write(Event::StepDone { step, says: format!("{by} says that it took effect") });
                self.advance(step);
            }
            Settlement::GiveUp => self.close(Outcome::Failed, &format!("{by} gave up")),
        }
    }

    fn rollback(&mut self, by: PersonId, to: Option<ReleaseId>, reason: &str) {
        match self.dossier.open.as_deref() {
            None => {
                let origin = Origin::Person { by, reason: reason.to_owned(), to };
                let now = self.view.now;
                self.open_case(origin, super::settings::Mode::Live, Vec::new(), now);
            }
            // A person who wants what the open case already asks votes for it.
            Some(open) if matches!(open.phase, Phase::AwaitingApproval { .. }) => {
                let Some(plan) = &open.plan else { return };
                if to.is_none_or(|to| to == plan.to.id) {
                    let digest = plan.digest.clone();
                    self.hear_vote(by, PersonVote { yes: true, digest, break_glass: None });
                }
            }
            Some(open) if open.phase.is_before_the_act() => {
                let firing: Vec<_> = open.signals.keys().cloned().collect();
                self.close(Outcome::Superseded, &format!("{by} began a rollback by hand"));
                let origin = Origin::Person { by, reason: reason.to_owned(), to };
                let now = self.view.now;
                self.open_case(origin, super::settings::Mode::Live, firing, now);
            }
            Some(_) => {}
        }
    }

    fn mark(&mut self, release: &ReleaseId, good: bool, by: &PersonId, reason: &str) {
        if self.dossier.ledger.page(release).is_none() {
            return;
        }
        let grade = if good { Grade::Good } else { Grade::Bad };
        let why = format!("{by}: {reason}");
        self.write(Event::Graded { release: release.clone(), grade, why });
        if good && self.dossier.ledger.page(release).is_some_and(|page| page.lock.is_some()) {
            self.write(Event::Unlocked { release: release.clone(), by: Some(by.clone()) });
        }
    }

    fn before_the_act(&self) -> bool {
        self.dossier.open.as_deref().is_some_and(|case| case.phase.is_before_the_act())
    }
}

/// What is missing in the votes of the open case, in words; nothing when they are enough.
pub(super) fn votes_short(
    dossier: &super::dossier::Dossier,
    roster: &Roster,
    view: &super::scribe::View<'_>,
) -> Option<String> {
    let case = dossier.open.as_deref()?;
    let plan = case.plan.as_ref()?;
    let author = plan.from.author.as_ref().map(PersonId::new);
    let irreversible = plan
        .undone
        .iter()
        .any(|undone| undone.marks.rollback == Some(super::release::RollbackMark::Irreversible));
    let at_least = if irreversible { 2 } else { 0 };
    let asked = Question { digest: &plan.digest, author: author.as_ref(), at_least, now: view.now };
    match plan.approval.tally(&asked, &case.votes, roster) {
        Tally::Enough => None,
        Tally::Short(missing) => Some(missing),
    }
}
