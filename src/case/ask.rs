//! What people ask of a service, through whichever door: each request either becomes facts or is refused, and has
//! exactly one disposition. Who they are was proved at the door; whether they may is judged here.

use super::approval::{PersonVote, Question, Roster, Tally, Vote};
use super::command::{Ask, Authority, Wish};
use super::event::{Direction, Event, Origin, Settlement};
use super::id::{CaseId, Duration, PersonId, ReleaseId, Timestamp};
use super::ledger::Grade;
use super::phase::{Outcome, Phase};
use super::scribe::Scribe;
use super::turn::Disposition;

/// A snooze lasts so long (product §10).
const SNOOZE: Duration = Duration::from_mins(15);
/// A request that waited longer, for a process that was away, is not what anybody wants now.
const ASKED_WITHIN: Duration = Duration::from_mins(1);
/// The longest freeze: whoever wants more says so again.
const FREEZE_MAX: Duration = Duration::from_hours(14 * 24);

/// Why a request is not carried out.
enum Refusal {
    /// Whoever asks may not.
    Forbidden(String),
    /// It cannot be done as things stand.
    Conflict(String),
}

/// Why a request comes too late to be carried out, where it does. Whoever asked has seen no answer, and the world went on.
pub(super) fn too_late(asked: Timestamp, now: Timestamp) -> Option<String> {
    (now.duration_since(asked) > ASKED_WITHIN)
        .then(|| format!("asked at {asked}, which is too long ago to be meant now: ask again"))
}

/// What became of a request: what follows, in a sentence.
type Answer = Result<String, Refusal>;

fn conflict<T>(why: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::Conflict(why.into()))
}

impl Scribe<'_> {
    /// Takes one request.
    pub(super) fn ask(&mut self, ask: &Ask) {
        // What only stops is done all the same.
        let stops = matches!(ask.what, Wish::Cancel(_) | Wish::Freeze { .. });
        let late = too_late(ask.at, self.view.now).filter(|_| !stops);
        let answer = late.map_or_else(|| self.carry_out_ask(ask), conflict);
        self.written.dispositions.push(match answer {
            Ok(says) => Disposition::Done(says),
            Err(Refusal::Forbidden(why)) => Disposition::Forbidden(why),
            Err(Refusal::Conflict(why)) => Disposition::Conflict(why),
        });
    }

    fn carry_out_ask(&mut self, ask: &Ask) -> Answer {
        match &ask.what {
            Wish::Vote { case, vote } => self.vote(case, ask, vote.clone()),
            Wish::Cancel(case) => self.cancel(case, ask),
            Wish::Snooze(case) => self.snooze(case, ask),
            Wish::Exonerate(case) => self.exonerate(case, ask),
            Wish::Settle(case, how) => self.settle(case, ask, *how),
            Wish::Rollback { to, reason, shown } => self.rollback(ask, to.clone(), reason, shown.clone()),
            Wish::Freeze { length, reason } => self.freeze(ask, *length, reason),
            Wish::Unfreeze => self.unfreeze(ask),
            Wish::Rollforward { reason } => self.rollforward(ask, reason),
            Wish::Mark { release, good, reason } => self.mark(release, *good, ask, reason),
            Wish::Unlock { release, reason } => self.unlock(release, ask, reason),
        }
    }

    fn vote(&mut self, case: &CaseId, ask: &Ask, vote: PersonVote) -> Answer {
        let by = ask.by.clone();
        let Some(open) = self.dossier.open.as_deref().filter(|open| open.id == *case) else {
            return conflict(format!("case {case} is not open"));
        };
        let asked = matches!(open.phase, Phase::AwaitingApproval { until } if self.view.now < until);
        let same = open.plan.as_ref().is_some_and(|plan| plan.digest == vote.digest);
        let refused = match (asked, same) {
            (true, true) => {
                self.may_vote(ask, vote.break_glass.is_some()).and_then(|()| self.is_confirmed(&vote))
            }
            (true, false) => Err(Refusal::Conflict("this plan was replaced by another".into())),
            (false, _) => Err(Refusal::Conflict("nothing is asked here now".into())),
        };
        if let Err(Refusal::Forbidden(why) | Refusal::Conflict(why)) = &refused {
            // Said once: whoever presses again and again does not use up what a case can hold.
            if !self.was_refused(&by, why) {
                self.write(Event::VoteRefused { by, why: why.clone() });
            }
            return refused.map(|()| String::new());
        }
        self.hear_vote(by, vote);
        Ok("heard; it counts as soon as it is read that you may".into())
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "one event is looked for")]
    fn was_refused(&self, person: &PersonId, because: &str) -> bool {
        let events = self.dossier.open.as_deref().map(|case| case.events.as_slice()).unwrap_or_default();
        events.iter().any(|stamped| match &stamped.event {
            Event::VoteRefused { by, why } => by == person && why == because,
            _ => false,
        })
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

    /// Whether they belong to a group that decides here: by the plan's own policy, else the one that would ask.
    fn may_decide(&self, ask: &Ask) -> Result<(), Refusal> {
        self.may_vote(ask, false)
    }

    /// As `may_decide`; who would decide alone may also be of the groups that can.
    fn may_vote(&self, ask: &Ask, alone: bool) -> Result<(), Refusal> {
        let case = self.dossier.open.as_deref();
        let by_plan = case.and_then(|case| case.plan.as_ref()).map(|plan| plan.approval.clone());
        let policy = by_plan.unwrap_or_else(|| self.policy(case.and_then(|case| case.decision.as_deref())));
        if policy.names(&ask.groups, alone) {
            return Ok(());
        }
        let groups: Vec<String> = policy.from.iter().flatten().map(ToString::to_string).collect();
        let who = if groups.is_empty() { "nobody".to_owned() } else { groups.join(" or ") };
        Err(Refusal::Forbidden(format!("{} is not in a group that decides here: {who}", ask.by)))
    }

    /// A yes over an irreversible release is one only with the word that was typed for it; what to type otherwise.
    fn is_confirmed(&self, vote: &PersonVote) -> Result<(), Refusal> {
        self.unconfirmed(vote).map_or(Ok(()), conflict)
    }

    /// What takes nothing from others needs no group of an operator; whoever has only their groups needs one.
    fn may_begin(&self, ask: &Ask) -> Result<(), Refusal> {
        match ask.authority {
            Authority::Operator => Ok(()),
            Authority::Groups => self.may_decide(ask),
        }
    }

    /// The case is open, nothing was begun, and they may decide about it.
    fn may_call_off(&self, case: &CaseId, ask: &Ask) -> Result<(), Refusal> {
        if !self.is_open(case) {
            return conflict(format!("case {case} is not open"));
        }
        self.may_decide(ask)?;
        if self.before_the_act() { Ok(()) } else { conflict("its act has begun, and is finished and told") }
    }

    fn cancel(&mut self, case: &CaseId, ask: &Ask) -> Answer {
        self.may_call_off(case, ask)?;
        self.close(Outcome::Cancelled, &format!("{} cancelled it", ask.by));
        Ok("cancelled".into())
    }

    fn snooze(&mut self, case: &CaseId, ask: &Ask) -> Answer {
        self.may_call_off(case, ask)?;
        let by_hand =
            self.dossier.open.as_deref().is_some_and(|open| matches!(open.origin, Origin::Person { .. }));
        if by_hand {
            return conflict("a rollback by hand is not snoozed: deny or cancel it, and ask for it later");
        }
        let snoozable = self.dossier.open.as_deref().is_some_and(|open| {
            matches!(
                open.phase,
                Phase::Weighing { .. } | Phase::AwaitingApproval { .. } | Phase::Countdown { .. }
            )
        });
        if !snoozable {
            return conflict("it is neither asked nor counted down now");
        }
        let until = self.view.now + SNOOZE;
        self.write(Event::Snoozed { by: ask.by.clone(), until });
        Ok(format!("snoozed until {until}, then judged again"))
    }

    fn exonerate(&mut self, case: &CaseId, ask: &Ask) -> Answer {
        self.may_call_off(case, ask)?;
        let by = ask.by.clone();
        let suspect = self.dossier.open.as_deref().and_then(|case| case.suspect.as_ref());
        let Some((deployment, release)) =
            suspect.map(|suspect| (suspect.deployment.id.clone(), suspect.release.id.clone()))
        else {
            return conflict("nothing is suspected here");
        };
        self.write(Event::Exonerated { by: by.clone(), deployment });
        if self.dossier.ledger.page(&release).is_some_and(|page| page.lock.is_some()) {
            let reason = Some(format!("not to blame in case {case}"));
            self.write(Event::Unlocked { release, by: Some(by.clone()), reason });
        }
        self.close(Outcome::LeftAlone, &format!("{by} said that this deployment is not to blame"));
        Ok("left alone: it is not asked about again for these signals".into())
    }

    fn settle(&mut self, case: &CaseId, ask: &Ask, how: Settlement) -> Answer {
        let Some(open) = self.dossier.open.as_deref().filter(|open| open.id == *case) else {
            return conflict(format!("case {case} is not open"));
        };
        let Phase::NeedsHuman { step, attempt, .. } = open.phase else {
            return conflict("it needs nobody to settle it");
        };
        self.may_decide(ask)?;
        let by = ask.by.clone();
        let begun = open.events.iter().rev().any(|stamped| {
            matches!(stamped.event, Event::Intended { step: of, attempt: nth } if of == step && nth == attempt)
        });
        self.write(Event::Settled { by: by.clone(), how });
        if how == Settlement::LookAgain && !begun {
            // There is nothing to look for: it goes on where it stood, before the gate.
            self.write(Event::NotSent { step });
        }
        Ok(match how {
            Settlement::LookAgain => "it is looked for again".into(),
            Settlement::TookEffect => {
                self.write(Event::StepDone { step, says: format!("{by} says that it took effect") });
                self.advance(step);
                "taken as done".into()
            }
            Settlement::GiveUp => {
                self.keep_the_bad_release_away(step);
                self.close(Outcome::Failed, &format!("{by} gave up"));
                "given up".into()
            }
        })
    }

    fn rollback(
        &mut self,
        ask: &Ask,
        to: Option<ReleaseId>,
        reason: &str,
        shown: Option<PersonVote>,
    ) -> Answer {
        self.may_begin(ask)?;
        let by = ask.by.clone();
        if let Some(unknown) = to.as_ref().filter(|to| self.dossier.ledger.page(to).is_none()) {
            return conflict(format!("no release {unknown} is known here"));
        }
        let Some(open) = self.dossier.open.as_deref() else {
            let case = self.open_back((by, reason), to, shown, Vec::new());
            return Ok(format!(
                "case {case} plans it: your wish is your yes, and whoever may approve is asked"
            ));
        };
        let id = open.id.clone();
        if !open.phase.is_before_the_act() {
            return conflict(format!("case {id} has begun to act: wait for its end"));
        }
        // It takes the place of a case that is under way, or is a yes to it.
        self.may_decide(ask)?;
        let plan = open.plan.as_ref().filter(|_| matches!(open.phase, Phase::AwaitingApproval { .. }));
        let Some(plan) = plan else {
            let firing = self.firing_of_open_case();
            self.close(Outcome::Superseded, &format!("{by} began a rollback by hand"));
            let case = self.open_back((by, reason), to, shown, firing);
            return Ok(format!(
                "case {case} plans it, in the place of {id}: your wish is your yes, and whoever may approve is asked"
            ));
        };
        // A person who wants what the open case already asks votes for it.
        if to.as_ref().is_some_and(|to| *to != plan.to.id) {
            return conflict(format!("case {id} asks about another target: cancel it first"));
        }
        let digest = plan.digest.clone();
        let vote = shown.unwrap_or(PersonVote::yes(digest.clone()));
        if vote.digest != digest {
            return conflict(format!("case {id} asks about another plan than the one that was shown"));
        }
        self.is_confirmed(&vote)?;
        self.hear_vote(by, vote);
        Ok(format!("case {id} asks that already: taken as a yes"))
    }

    /// What a rollback took away goes out again.
    fn rollforward(&mut self, ask: &Ask, reason: &str) -> Answer {
        self.may_decide(ask)?;
        if let Some(open) = self.dossier.open.as_deref() {
            return conflict(format!("case {} is open: wait for its end, or cancel it", open.id));
        }
        let Some(release) = self.taken_away() else {
            return conflict("nothing was rolled back here that could go out again");
        };
        let origin = Origin::Person {
            by: ask.by.clone(),
            reason: reason.to_owned(),
            to: Some(release.clone()),
            direction: Direction::Forward,
            shown: None,
        };
        let case = self.open_by_hand(origin, Vec::new());
        Ok(format!("case {case} plans to put {release} out again: your wish is your yes"))
    }

    /// The release that the last act took away, unless it serves again.
    fn taken_away(&self) -> Option<ReleaseId> {
        let last = self.dossier.outcomes.iter().rev().find(|outcome| outcome.acted)?;
        let ledger = &self.dossier.ledger;
        let release = &ledger.deployment(last.suspect.as_ref()?)?.release;
        (ledger.current.as_ref() != Some(release)).then(|| release.clone())
    }

    fn open_back(
        &mut self,
        (by, reason): (PersonId, &str),
        to: Option<ReleaseId>,
        shown: Option<PersonVote>,
        signals: Vec<super::signal::EpisodeKey>,
    ) -> CaseId {
        let origin = Origin::Person { by, reason: reason.to_owned(), to, direction: Direction::Back, shown };
        self.open_by_hand(origin, signals)
    }

    fn open_by_hand(&mut self, origin: Origin, signals: Vec<super::signal::EpisodeKey>) -> CaseId {
        let case = CaseId::of(&self.dossier.service, self.dossier.cases_opened + 1);
        self.open_case(origin, super::settings::Mode::Live, signals, self.view.now);
        case
    }

    fn freeze(&mut self, ask: &Ask, length: Duration, reason: &str) -> Answer {
        if length <= Duration::ZERO || length > FREEZE_MAX {
            return conflict("a freeze lasts at least a second and at most 14 days");
        }
        self.may_begin(ask)?;
        let until = self.view.now + length;
        if self.dossier.freeze.as_ref().is_some_and(|freeze| freeze.until > until) {
            // A shorter one lifts the rest of the longer one.
            self.may_decide(ask)?;
        }
        let by = ask.by.clone();
        self.write(Event::Frozen { by, reason: reason.to_owned(), until });
        Ok(format!("frozen until {until}: nothing automatic"))
    }

    fn unfreeze(&mut self, ask: &Ask) -> Answer {
        if self.dossier.freeze.is_none() {
            return conflict("it is not frozen");
        }
        self.may_decide(ask)?;
        self.write(Event::Unfrozen { by: ask.by.clone() });
        Ok("not frozen any more".into())
    }

    fn mark(&mut self, release: &ReleaseId, good: bool, ask: &Ask, reason: &str) -> Answer {
        let Some(page) = self.dossier.ledger.page(release) else {
            return conflict(format!("no release {release} is known here"));
        };
        let locked = page.lock.is_some();
        self.may_decide(ask)?;
        let grade = if good { Grade::Good } else { Grade::Bad };
        let why = format!("{}: {reason}", ask.by);
        self.write(Event::Graded { release: release.clone(), grade, why });
        if good && locked {
            self.unlocked(release, ask, reason);
        }
        Ok(format!("{release} is {}", grade.word()))
    }

    fn unlock(&mut self, release: &ReleaseId, ask: &Ask, reason: &str) -> Answer {
        if self.dossier.ledger.page(release).is_none_or(|page| page.lock.is_none()) {
            return conflict(format!("{release} is not locked"));
        }
        self.may_decide(ask)?;
        self.unlocked(release, ask, reason);
        Ok(format!("{release} may go out again"))
    }

    fn unlocked(&mut self, release: &ReleaseId, ask: &Ask, reason: &str) {
        let (by, reason) = (Some(ask.by.clone()), Some(reason.to_owned()));
        self.write(Event::Unlocked { release: release.clone(), by, reason });
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
    let author = plan.author();
    let at_least = plan.votes_at_least();
    let (author, confirm) = (author.as_ref(), plan.confirmation());
    let asked = Question { digest: &plan.digest, author, at_least, confirm, now: view.now };
    match plan.approval.tally(&asked, &case.votes, roster) {
        Tally::Enough => None,
        Tally::Short(missing) => Some(missing),
    }
}
