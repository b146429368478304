//! Choosing: from a decision to a plan with nothing left to choose, and from a plan to the question or the
//! countdown. The provider proposes the acts; the core orders, bounds and digests them.

use std::sync::Arc;

use super::approval::{ApprovalPolicy, OnExpiry, PersonVote, Vote};
use super::command::Ending;
use super::commits::{Commits, TakenBack};
use super::companion;
use super::decide::{Decision, Verdict};
use super::deployment::Owner;
use super::event::{Event, Origin};
use super::id::{Attempt, CaseId, Digest, Duration, ReleaseId, ServiceId, StepNo};
use super::ledger::Page;
use super::phase::{Outcome, Phase};
use super::plan::{Choice, Companion, Plan, Proposal, Undone, lock_step};
use super::question::weakened;
use super::scribe::Scribe;
use super::settings::{Migrations, Mode};
use super::step::{Doer, OnFailure, Step};
use super::weigh::undone;

/// The provider has so long to propose its acts; reads only.
const PROPOSE_MAX: Duration = Duration::from_secs(30);
/// The countdown starts at the latest so long after it was announced, told by the second voice (product §9).
pub(super) const TOLD_MAX: Duration = Duration::from_secs(15);

impl Scribe<'_> {
    /// Asks the provider for the acts that a decision calls for.
    pub(super) fn choose(&mut self, decision: &Decision) {
        let Some(case) = self.dossier.open.as_deref() else { return };
        let (Some(suspect), Some(target)) = (decision.brief.suspect_facts(), &decision.brief.target) else {
            return;
        };
        let from =
            if suspect.going_out { Some(&suspect.release) } else { self.dossier.ledger.current.as_ref() };
        // What cannot go back together is told by a guard, and nothing is asked for.
        let (Some(from), Ok(with)) = (from, companion::legs(&decision.brief.with)) else { return };
        let choice = Choice {
            case: case.id.clone(),
            service: self.dossier.service.clone(),
            suspect: Some(suspect.deployment.clone()),
            from: from.clone(),
            to: target.release.clone(),
            with,
        };
        self.write(Event::Chosen { choice, until: self.view.now + PROPOSE_MAX });
    }

    /// Whether the case's plan is still the one that this decision calls for.
    pub(super) fn plan_fits(&self, decision: &Decision) -> bool {
        let Some(case) = self.dossier.open.as_deref() else { return false };
        let Some(plan) = &case.plan else { return false };
        let target = decision.brief.target.as_ref().map(|target| &target.release);
        plan.suspect == decision.suspect
            && target == Some(&plan.to.id)
            && plan.own_steps().eq(self.view.settings.before.iter().chain(&self.view.settings.after))
            && companion::legs(&decision.brief.with).is_ok_and(|legs| legs == plan.legs())
            && self.view.now < plan.expires
            && *plan.approval == *self.policy(Some(decision))
    }

    /// Takes the provider's proposal.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "other endings are no proposal: it is asked again until the phase ends"
    )]
    pub(super) fn proposed(&mut self, choice: &Choice, ending: &Ending) {
        let asked = self.dossier.open.as_deref().map(|case| &case.phase);
        if !matches!(asked, Some(Phase::Planning { choice: open, .. }) if open == choice) {
            return;
        }
        match ending {
            Ending::Proposed(proposal) => {
                if let Some(plan) = self.plan(choice, proposal) {
                    self.write(Event::Planned(Arc::new(plan)));
                }
            }
            Ending::Refused(why) => self.write(Event::NotPlanned { why: why.clone(), recheck: None }),
            // What could not be read is asked again, until the phase's own end.
            _ => {}
        }
    }

    fn plan(&self, choice: &Choice, proposal: &Proposal) -> Option<Plan> {
        let case = self.dossier.open.as_deref()?;
        let ledger = &self.dossier.ledger;
        let (from, to) = (ledger.page(&choice.from)?, ledger.page(&choice.to)?);
        let suspect = choice.suspect.as_ref().and_then(|id| ledger.deployment(id));
        let taken = match suspect {
            Some(suspect) => undone(ledger, &choice.to, suspect),
            None => vec![undone_page(from)],
        };
        let approval = self.policy(case.decision.as_deref());
        let with: Option<Vec<Companion>> =
            choice.with.iter().map(|leg| companion::planned(leg, self.view)).collect();
        let legs = choice.with.iter().map(|leg| &leg.service).zip(&proposal.with);
        let acts = std::iter::once((&choice.service, proposal)).chain(legs).flat_map(acts);
        let settings = self.view.settings;
        let steps: Vec<Step> = (settings.before.iter().cloned())
            .chain(acts)
            .chain(settings.after.iter().cloned())
            .chain((!case.goes_forward()).then(|| lock_step(&from.release)))
            .collect();
        let plan = Plan {
            suspect: choice.suspect.clone(),
            from: from.release.clone(),
            to: to.release.clone(),
            to_grade: to.grade,
            with: with?,
            steps,
            undone: taken,
            fast: proposal.fast && proposal.with.iter().all(|one| one.fast),
            expected_time: expected_time(proposal),
            taken_back: commits(proposal)
                .map(|commits| TakenBack::of(&commits, &self.view.shared.guards.fix_words)),
            expires: self.view.now + approval.expires,
            approval,
            digest: Digest::new(""),
        };
        Some(plan.sealed())
    }

    /// The policy by which this case asks: the row's, else the service's, else the shared default.
    pub(super) fn policy(&self, decision: Option<&Decision>) -> Arc<ApprovalPolicy> {
        let by_row = decision.and_then(|decision| decision.terms.approval.as_ref());
        let name = by_row.unwrap_or(&self.view.settings.approval);
        self.view.shared.approvals.get(name).cloned().unwrap_or_else(|| {
            // A name that is not known any more admits nobody: the safe reading of a table that changed.
            Arc::new(ApprovalPolicy {
                name: name.clone(),
                from: Vec::new(),
                quorum: 1,
                expires: Duration::from_mins(15),
                not_the_author: false,
                on_expiry: OnExpiry::Notify,
                break_glass: Vec::new(),
            })
        })
    }

    /// Whether a case that no person began is only judged and told: the strictest of its own mode, the service's and the
    /// row's wins.
    pub(super) fn in_shadow(&self) -> bool {
        let Some(case) = self.dossier.open.as_deref() else { return false };
        let by_person = matches!(case.origin, super::event::Origin::Person { .. });
        let row = case.decision.as_ref().map_or(Mode::Live, |decision| decision.terms.mode);
        let plan = case.plan.as_deref();
        let with = plan.into_iter().flat_map(|plan| &plan.with);
        let with = with.filter_map(|one| self.view.neighbours.get(&one.service)).map(|one| one.settings.mode);
        let own = case.mode.min(self.view.settings.mode).min(row);
        !by_person && with.fold(own, Mode::min) == Mode::Shadow
    }

    /// Goes from a plan to what the verdict says: told in shadow, asked, or counted down.
    pub(super) fn carry_out(&mut self, decision: &Decision) {
        if self.in_shadow() {
            return self.write(Event::WouldAct { recheck: decision.recheck });
        }
        if decision.verdict == Verdict::Rollback {
            return self.write(Event::CountdownAnnounced { latest: self.view.now + TOLD_MAX });
        }
        let why = weakened(decision);
        let weaker = decision.verdict < decision.proposed;
        self.write(Event::Asked { why: weaker.then_some(why), until: self.question_ends() });
    }

    /// Asks people about the plan that stands.
    pub(super) fn ask_people(&mut self, why: &str) {
        self.write(Event::Asked { why: Some(why.to_owned()), until: self.question_ends() });
    }

    fn question_ends(&self) -> super::id::Timestamp {
        let plan = self.dossier.open.as_deref().and_then(|case| case.plan.as_ref());
        plan.map_or(self.view.now, |plan| plan.expires)
    }

    /// An unanswered question ends: closed, or done where the row itself said approve and nothing weakened it.
    pub(super) fn expire(&mut self) {
        let Some(case) = self.dossier.open.as_deref() else { return };
        // Silence is nobody's word, and over an irreversible release two people say theirs, whatever `migrations` says.
        let takes_silence =
            |plan: &Plan| plan.approval.on_expiry == OnExpiry::Rollback && !plan.is_irreversible();
        let allowed = case.plan.as_deref().is_some_and(takes_silence)
            && case.decision.as_ref().is_some_and(|decision| {
                decision.terms.row_said_approve
                    && decision.verdict == Verdict::Approve
                    && decision.stopped.is_none()
            })
            && !case.all_clear;
        // A plan never outlives its own end: what silence may start is a new plan with the same content.
        if allowed
            && case.clock.asked_at.is_some()
            && let Some(plan) = &case.plan
        {
            let renewed = Plan { expires: self.view.now + plan.approval.expires, ..plan.as_ref().clone() };
            let choice = Choice {
                case: case.id.clone(),
                service: self.dossier.service.clone(),
                suspect: plan.suspect.clone(),
                from: plan.from.id.clone(),
                to: plan.to.id.clone(),
                with: plan.legs(),
            };
            let now = self.view.now;
            self.write(Event::Withdrawn { why: "nobody answered in time".into(), recheck: None });
            self.write(Event::Chosen { choice, until: now + PROPOSE_MAX });
            self.write(Event::Planned(Arc::new(renewed)));
            self.write(Event::CountdownAnnounced { latest: now + TOLD_MAX });
            return;
        }
        self.close(Outcome::Expired, "nobody answered in time");
    }

    /// A person's case: rules are skipped, the guards that count for people are not.
    pub(super) fn choose_by_hand(&mut self, to: Option<ReleaseId>) {
        match self.hand_choice(to) {
            Ok(choice) => self.write(Event::Chosen { choice, until: self.view.now + PROPOSE_MAX }),
            Err(why) => self.fail_by_hand(&why),
        }
    }

    /// A person's case ends before its act: what fires was perhaps taken out of another case for it, and is judged anew.
    fn fail_by_hand(&mut self, why: &str) {
        let firing = self.firing_of_open_case();
        self.close(Outcome::Failed, why);
        for key in firing {
            self.write(Event::EpisodeReopened { key });
        }
    }

    fn hand_choice(&self, to: Option<ReleaseId>) -> Result<Choice, String> {
        let Some(case) = self.dossier.open.as_deref() else { return Err("the case is gone".into()) };
        if !self.view.live.described_since(case.opened_at) {
            return Err("the provider could not be read, so nothing can be planned".into());
        }
        if self.view.standing.pause.as_ref().is_some_and(|pause| pause.everything) {
            return Err("everything is paused".into());
        }
        if let Owner::Other(owner) = &self.dossier.owner {
            return Err(format!("{owner} decides what should run here, and would undo it"));
        }
        let ledger = &self.dossier.ledger;
        let Some(from) = ledger.current.clone() else {
            return Err("nothing serves that could be rolled back".into());
        };
        let suspect = ledger.last_deployment_of(&from);
        let rules = super::ledger::TargetRules {
            max_back: self.view.settings.max_back,
            inherit_good: self.view.settings.inherit_good,
        };
        let chosen = match to {
            Some(to) => ledger.page(&to).map(|page| page.release.id.clone()),
            None => suspect
                .and_then(|suspect| ledger.target(suspect, rules, self.view.now))
                .map(|target| target.page.release.id.clone()),
        };
        let Some(to) = chosen else { return Err("there is no release to go back to".into()) };
        if to == from {
            return Err(format!("{to} serves already"));
        }
        if ledger.page(&to).is_some_and(|page| page.release.artifact_exists == Some(false)) {
            return Err(format!("the artifact of {to} is gone"));
        }
        let suspect = suspect.map(|suspect| suspect.id.clone());
        let service = self.dossier.service.clone();
        let facts = companion::facts(self.view, ledger, &to, case.opened_at);
        for one in &facts {
            if let (Some(owner), Some(_)) = (&one.owned_by, &one.from) {
                return Err(format!("{owner} decides what should run on {}, and would undo it", one.service));
            }
        }
        let with = companion::legs(&facts)?;
        Ok(Choice { case: case.id.clone(), service, suspect, from, to, with })
    }

    /// A person's case that has its plan is a question like any other; the requester's wish is their vote on it.
    pub(super) fn pursue_by_hand(&mut self) {
        let Some(case) = self.dossier.open.as_deref() else { return };
        let Origin::Person { by, shown, .. } = case.origin.clone() else { return };
        let Some(plan) = case.plan.clone() else {
            let why = case.no_plan.as_ref().map_or("there is no plan", |none| none.why.as_str()).to_owned();
            return self.fail_by_hand(&why);
        };
        let vote = shown.unwrap_or_else(|| PersonVote::yes(plan.digest.clone()));
        // Their yes was to what they were shown, and to nothing else.
        if vote.digest != plan.digest {
            let why = format!("the plan is another one than was shown to {by}");
            return self.write(Event::Asked { why: Some(why), until: plan.expires });
        }
        if let Some(unconfirmed) = self.unconfirmed(&vote) {
            let why = format!("the wish of {by} is no yes yet: {unconfirmed}");
            return self.write(Event::Asked { why: Some(why), until: plan.expires });
        }
        let why = (self.barrier(&plan) > 0).then(|| "a migration lies between".to_owned());
        self.write(Event::Asked { why, until: plan.expires });
        self.hear_vote(by, vote);
    }

    /// How many votes the plan itself asks for: two over an irreversible release, none extra otherwise.
    pub(super) fn barrier(&self, plan: &Plan) -> u32 {
        if self.view.settings.migrations == Migrations::None { 0 } else { plan.votes_at_least() }
    }

    /// What has to be typed with this vote and was not, in words; nothing where nothing is missing. One rule for whatever door a
    /// yes comes through: a press is quick, and what cannot be undone is not pressed.
    pub(super) fn unconfirmed(&self, vote: &PersonVote) -> Option<String> {
        let case = self.dossier.open.as_deref()?;
        let word = case.plan.as_ref()?.confirmation()?;
        let missing = vote.yes && vote.confirm.as_deref() != Some(word);
        let id = &case.id;
        missing.then(|| {
            format!(
                "what it takes back is irreversible, so that a yes is typed: /snapback approve {id} {word}, or \
                 snapback cases approve {id} --confirm {word}"
            )
        })
    }

    /// A vote is heard; whether its giver may is read next.
    pub(super) fn hear_vote(&mut self, by: super::id::PersonId, vote: PersonVote) {
        let PersonVote { yes, digest, break_glass, confirm } = vote;
        let heard =
            self.dossier.open.as_deref().into_iter().flat_map(|case| case.heard.iter().chain(&case.votes));
        let again = |known: &Vote| {
            known.by == by
                && (known.yes, &known.digest) == (yes, &digest)
                && (&known.break_glass, &known.confirm) == (&break_glass, &confirm)
        };
        if heard.into_iter().any(again) {
            return;
        }
        self.write(Event::VoteHeard(Vote { by, yes, at: self.view.now, digest, break_glass, confirm }));
    }

    /// The first step of a plan that enough people want.
    pub(super) fn begin_by_approval(&mut self) {
        let attempt = self.next_attempt();
        self.write(Event::Readied { step: StepNo(0), attempt, automatic: false });
    }

    /// The attempt at the first step that comes next: those before it are on record, and surely never left.
    pub(super) fn next_attempt(&self) -> Attempt {
        self.dossier.open.as_deref().map_or(0, |case| case.attempts).saturating_add(1)
    }

    /// The case of this id, if it is the open one.
    pub(super) fn is_open(&self, case: &CaseId) -> bool {
        self.dossier.open.as_ref().is_some_and(|open| open.id == *case)
    }
}

/// What one provider proposes, as steps.
fn acts<'p>((service, proposal): (&'p ServiceId, &'p Proposal)) -> impl Iterator<Item = Step> + use<'p> {
    proposal.acts.iter().map(|act| Step {
        doer: Doer::Provider(service.clone()),
        act: act.clone(),
        deadline: proposal.within,
        on_failure: OnFailure::Stop,
    })
}

/// What is taken away on all services together; not known where one of their providers knows of no commits.
fn commits(proposal: &Proposal) -> Option<Commits> {
    let mut all = proposal.commits.clone()?;
    for more in &proposal.with {
        let more = more.commits.as_ref()?;
        // Two services of one repository lose the same commits.
        let unread = more.all.saturating_sub(u32::try_from(more.read.len()).unwrap_or(u32::MAX));
        let new: Vec<_> = more.read.iter().filter(|commit| !all.read.contains(commit)).cloned().collect();
        all.all = all.all.saturating_add(u32::try_from(new.len()).unwrap_or(u32::MAX)).saturating_add(unread);
        all.read.extend(new);
    }
    Some(all)
}

/// One after the other; not known where one of them is not.
fn expected_time(proposal: &Proposal) -> Option<Duration> {
    let with = proposal.with.iter().map(|one| one.expected_time);
    std::iter::once(proposal.expected_time).chain(with).sum::<Option<Duration>>()
}

fn undone_page(page: &Page) -> Undone {
    Undone {
        release: page.release.id.clone(),
        called: page.release.called().to_owned(),
        author: page.release.author.clone(),
        marks: page.release.marks,
    }
}
