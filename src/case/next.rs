//! What must be done next: derived from state, never remembered. After a restart it gives the same commands as before
//! it. Also when to look again if nothing happens.

use super::ask::votes_short;
use super::command::Command;
use super::deployment::ChangeKind;
use super::dossier::Dossier;
use super::face;
use super::gate::{CompanionAsk, GateAsk};
use super::id::{Duration, GroupName, PagerName, StepNo, Timestamp};
use super::live::PICTURE_FRESH;
use super::pager::{self, About, Cause};
use super::phase::{CountdownClock, Phase};
use super::plan::{Companion, Plan};
use super::pursue::{given_up_at, next_step_overdue_at, window_ends};
use super::scribe::View;
use super::signal::EpisodeStanding;
use super::step::{Doer, Order};
use super::story::Case;
use super::verify::{Evidence, Judgement, judge};
use super::words;

/// Readiness and lost notices: the provider is read so often when nothing else asks for it.
const REFRESH_EVERY: Duration = Duration::from_mins(5);
/// A service with probes is read as often as they run, so that they watch a release from its beginning, and no oftener than this.
const REFRESH_MIN: Duration = Duration::from_secs(5);
/// While something goes out its provider is read so often: what fails then is told by it first.
const GOING_OUT_EVERY: Duration = Duration::from_secs(15);
/// However many notices and changes come, the provider is read no oftener for them.
const READ_PACE: Duration = Duration::from_secs(2);
/// While the provider could not be read, it is asked again so often.
const REFRESH_AFTER_TROUBLE: Duration = Duration::from_secs(10);
/// A roster is read again when it is older than this, so that it is never too old at the gate.
const ROSTER_AGAIN: Duration = Duration::from_secs(30);

impl Dossier {
    /// What must be done now.
    pub fn next(&self, view: &View<'_>) -> Vec<Command> {
        let mut commands = Vec::new();
        if self.picture_wanted(view) {
            commands.push(Command::Describe(self.service.clone()));
        }
        let unread = self.companions_due(view).filter(|(_, due)| *due <= view.now);
        commands.extend(unread.map(|(companion, _)| Command::Describe(companion)));
        let undated = self.undated(view).map(|key| Command::Onset(self.service.clone(), key.clone()));
        commands.extend(undated);
        let probes = self.probes_due(view).filter(|(_, due)| *due <= view.now);
        commands.extend(probes.map(|(probe, _)| Command::Probe(self.service.clone(), probe.clone())));
        if let Some(case) = self.open.as_deref() {
            commands.extend(self.next_of_case(case, view));
        }
        for case in self.telling.iter().chain(self.open.as_deref()) {
            if let Some(note) = words::due(case) {
                commands.push(Command::Say(case.id.clone(), note));
            }
            if face::is_stale(case) {
                commands.push(Command::Show(case.id.clone()));
            }
            let page = |(pager, cause): (&PagerName, Option<Cause>)| {
                Command::Page(About::Case(case.id.clone()), pager.clone(), cause)
            };
            commands.extend(pager::due(&case.paged, &view.shared.pagers).map(page));
        }
        commands
    }

    fn next_of_case(&self, case: &Case, view: &View<'_>) -> Vec<Command> {
        let mut commands = Vec::new();
        match &case.phase {
            Phase::Planning { choice, .. } => commands.push(Command::Propose(choice.clone())),
            Phase::Ready { step, barred, .. } if self.at_provider(case, *step) => {
                let waiting = barred.as_ref().is_some_and(|barred| view.now < barred.again_at)
                    || case.waits_for_evidence_until().is_some_and(|until| view.now < until);
                let read = view.live.is_fresh(view.now) && self.companions_unread(view).is_empty();
                if read && !waiting && !self.roster_wanted(case, view) {
                    commands.push(Command::Begin(case.id.clone(), *step));
                }
            }
            Phase::Intended { step, .. } => commands.push(Command::Find(case.id.clone(), *step)),
            Phase::Running { step, .. } => commands.push(Command::Watch(case.id.clone(), *step)),
            Phase::Gathering { .. }
            | Phase::Weighing { .. }
            | Phase::AwaitingApproval { .. }
            | Phase::Countdown { .. }
            | Phase::Ready { .. }
            | Phase::Verifying(_)
            | Phase::NeedsHuman { .. }
            | Phase::Closed(_) => {}
        }
        if case.collects() {
            commands.push(Command::Collect(case.id.clone()));
        }
        if self.roster_wanted(case, view) {
            let groups: Vec<GroupName> = case
                .plan
                .as_ref()
                .map(|plan| plan.approval.groups().into_iter().collect())
                .unwrap_or_default();
            commands.push(Command::RollCall(case.id.clone(), groups));
        }
        commands
    }

    fn at_provider(&self, case: &Case, step: StepNo) -> bool {
        let doer = case.plan.as_ref().and_then(|plan| plan.step(step)).map(|step| &step.doer);
        matches!(doer, Some(Doer::Provider(_) | Doer::User))
    }

    fn roster_wanted(&self, case: &Case, view: &View<'_>) -> bool {
        let asked = match &case.phase {
            Phase::AwaitingApproval { .. } => true,
            Phase::Countdown { .. } => true,
            Phase::Ready { .. } => !case.automatic && case.phase.is_before_the_act(),
            Phase::Gathering { .. }
            | Phase::Weighing { .. }
            | Phase::Planning { .. }
            | Phase::Intended { .. }
            | Phase::Running { .. }
            | Phase::Verifying(_)
            | Phase::NeedsHuman { .. }
            | Phase::Closed(_) => false,
        };
        let read = view.live.roster.as_ref().map(|roster| roster.at);
        asked && read.is_none_or(|at| view.now.duration_since(at) >= ROSTER_AGAIN)
    }

    fn picture_wanted(&self, view: &View<'_>) -> bool {
        self.picture_due(view) <= view.now
    }

    /// When the provider must be read again.
    pub fn picture_due(&self, view: &View<'_>) -> Timestamp {
        let live = view.live;
        if live.trouble.is_some() {
            return live.tried_at.map_or(view.now, |at| at + REFRESH_AFTER_TROUBLE);
        }
        let Some(read) = live.described_at else { return view.now };
        let moved = live.moved_at.filter(|at| *at > read).map(|_| read + READ_PACE);
        let regular = self.told_since(read).or(moved).unwrap_or(read + refresh_every(view));
        let Some(case) = self.open.as_deref() else { return regular };
        match &case.phase {
            Phase::Gathering { .. } if read < case.opened_at => view.now,
            Phase::Ready { step, .. } if self.at_provider(case, *step) => read + PICTURE_FRESH,
            Phase::Weighing { .. } | Phase::AwaitingApproval { .. } | Phase::Countdown { .. } => {
                read + PICTURE_FRESH
            }
            Phase::Verifying(verifying) => {
                // Often enough to prove, at the moment when it is judged, that the target serves.
                let pace = verifying.policy.clear_for.min(PICTURE_FRESH).max(Duration::from_secs(1));
                read + pace
            }
            Phase::Gathering { .. }
            | Phase::Planning { .. }
            | Phase::Ready { .. }
            | Phase::Intended { .. }
            | Phase::Running { .. }
            | Phase::NeedsHuman { .. }
            | Phase::Closed(_) => regular,
        }
    }

    /// A feed told of a release since the provider was read: when it is read for that.
    fn told_since(&self, read: Timestamp) -> Option<Timestamp> {
        let of_releases = self.notices.iter().filter(|notice| notice.change == ChangeKind::Code);
        let told_at = of_releases.map(|notice| notice.received_at).max()?;
        (told_at > read).then_some(read + READ_PACE)
    }

    /// What the gate must be asked before this step begins.
    pub fn gate_ask(&self, step: StepNo, view: &View<'_>, moment: &Moment) -> Option<GateAsk> {
        let case = self.open.as_deref()?;
        let Phase::Ready { step: at, attempt, .. } = &case.phase else { return None };
        if *at != step {
            return None;
        }
        let plan = case.plan.as_ref()?;
        let votes_short = match (&view.live.roster, case.automatic) {
            (_, true) => None,
            (Some(roster), false) => votes_short(self, roster, view),
            (None, false) => Some("nobody knows who may approve this".into()),
        };
        let by_hand = matches!(case.origin, super::event::Origin::Person { .. });
        Some(GateAsk {
            order: self.order(case, plan, step, *attempt, view.now)?,
            suspect: plan.suspect.clone(),
            plan: plan.digest.clone(),
            plan_expires: plan.expires,
            automatic: case.automatic,
            by_hand,
            case_opened_at: case.opened_at,
            rehearsal: case.origin == super::event::Origin::Drill,
            votes_short,
            frozen_until: self.freeze.as_ref().map(|freeze| freeze.until),
            in_hands_of: view.in_hands_of.cloned(),
            reconciled: view.live.is_fresh(view.now) && self.companions_unread(view).is_empty(),
            current_as_expected: self.serves_as_expected(plan, step, view),
            with: self.with(plan, step, view),
            first_act: plan.is_first_act(step),
            rules_current: by_hand
                || case.decision.as_ref().is_some_and(|decision| decision.rules == view.rules.digest()),
            clock_behind_until: moment.clock_behind_until,
            limits: view.shared.guards.clone(),
        })
    }

    /// Before the first act the suspect must serve, or be going out; after it the target may serve already, or the
    /// suspect was stopped and nobody has put anything out since.
    fn serves_as_expected(&self, plan: &Plan, step: StepNo, view: &View<'_>) -> bool {
        let serving = view.live.current.as_ref();
        let going_out = plan.suspect.as_ref() == view.live.in_flight.as_ref() && plan.suspect.is_some();
        let newest = || self.ledger.deployments.last().map(|deployment| &deployment.id);
        let begun = plan.has_begun_before(step)
            && (serving == Some(&plan.to.id)
                || (plan.suspect.is_some() && newest() == plan.suspect.as_ref()));
        serving == Some(&plan.from.id) || going_out || begun
    }

    /// What the gate is told of the companions that this step, or one after it, changes.
    fn with(&self, plan: &Plan, step: StepNo, view: &View<'_>) -> Vec<CompanionAsk> {
        let later = |one: &&Companion| {
            plan.steps.iter().skip(usize::from(step.0)).any(|at| at.doer.provider() == Some(&one.service))
        };
        let of = |one: &Companion| {
            let neighbour = view.neighbours.get(&one.service);
            let serving = neighbour.and_then(|neighbour| neighbour.live.current.as_ref());
            let in_flight = neighbour.and_then(|neighbour| {
                let id = neighbour.live.in_flight.as_ref()?;
                neighbour.dossier.ledger.deployment(id).map(|deployment| &deployment.release)
            });
            let leaves = in_flight.or(serving) == Some(&one.from.id);
            let is_this = plan.companion(step).is_some_and(|this| this.service == one.service);
            // What is read in the middle of our own act shows that as going out.
            let begun = is_this && in_flight.or(serving) == Some(&one.to.id);
            CompanionAsk {
                service: one.service.clone(),
                as_expected: leaves || begun,
                frozen_until: neighbour
                    .and_then(|known| known.dossier.freeze.as_ref())
                    .map(|freeze| freeze.until),
                in_hands_of: neighbour.and_then(|known| known.in_hands_of.clone()),
            }
        };
        plan.with.iter().filter(later).map(of).collect()
    }

    /// The order in which a step travels.
    pub fn order(&self, case: &Case, plan: &Plan, step: StepNo, attempt: u8, at: Timestamp) -> Option<Order> {
        let planned = plan.step(step)?;
        let service = planned.doer.provider().unwrap_or(&self.service).clone();
        let companion = plan.companion(step);
        let (from, to) = companion.map_or((&plan.from, &plan.to), |one| (&one.from, &one.to));
        Some(Order {
            case: case.id.clone(),
            step,
            attempt,
            mark: Plan::mark(&case.id, step, &plan.digest),
            doer: planned.doer.clone(),
            act: planned.act.clone(),
            service,
            expected: from.id.clone(),
            to: to.id.clone(),
            intended_at: at,
        })
    }

    /// When to look again if nothing happens, the readings of the provider left out. `None`: not by itself.
    pub fn wake_at(&self, view: &View<'_>) -> Option<Timestamp> {
        let settling = self.episodes.values().filter_map(|episode| match episode.standing {
            EpisodeStanding::Settling { until, .. } => Some(until),
            EpisodeStanding::Firing => None,
        });
        let soaks_until = self.ledger.soaks_until(view.settings.soak, view.live.since);
        let soak = soaks_until.filter(|_| self.may_prove_itself(view));
        let case = self.open.as_deref().and_then(|case| self.case_wakes(case, view));
        let pages =
            self.open.as_deref().and_then(|case| pager::wakes_at(case, &view.shared.pagers, view.now));
        settling.chain(soak).chain(case).chain(pages).min()
    }

    fn case_wakes(&self, case: &Case, view: &View<'_>) -> Option<Timestamp> {
        match &case.phase {
            Phase::Gathering { until } | Phase::Planning { until, .. } => Some(*until),
            Phase::AwaitingApproval { until } => Some(*until),
            Phase::Weighing { recheck } => {
                let ends = window_ends(case, view).filter(|at| *at > view.now);
                [*recheck, case.snoozed_until]
                    .into_iter()
                    .flatten()
                    .filter(|at| *at > view.now)
                    .chain(ends)
                    .min()
            }
            Phase::Countdown { clock } => match clock {
                CountdownClock::Untold { latest } => Some(*latest),
                CountdownClock::Counting { until } => Some(*until),
                CountdownClock::Suspended => None,
            },
            Phase::Ready { step, barred, .. } => {
                let overdue = next_step_overdue_at(case, *step).filter(|at| *at > view.now);
                let evidence = case.waits_for_evidence_until().filter(|at| *at > view.now);
                let expires = case.plan.as_ref().map(|plan| plan.expires).into_iter();
                let expires = expires.chain(overdue).chain(evidence).min();
                match barred {
                    Some(barred) if barred.why.follows() == super::gate::Follows::Wait => {
                        Some(barred.again_at).into_iter().chain(expires).min()
                    }
                    Some(_) => Some(view.now),
                    None => expires,
                }
            }
            Phase::Intended { step, since, .. } | Phase::Running { step, since, .. } => {
                let running = matches!(case.phase, Phase::Running { .. });
                let step = case.plan.as_ref().and_then(|plan| plan.step(*step));
                step.map(|step| given_up_at(step.deadline, *since, running))
            }
            Phase::Verifying(verifying) => {
                let signals: Vec<_> = case.signals.values().collect();
                let evidence = Evidence {
                    signals: &signals,
                    probes: &self.probe_words(view),
                    target_served_at: view.live.described_at,
                    listening_since: view.live.since,
                    now: view.now,
                };
                match judge(verifying, &evidence) {
                    Judgement::Wait(until) => Some(until),
                    Judgement::Recovered | Judgement::NotRecovered(_) | Judgement::Unverified(_) => {
                        Some(view.now)
                    }
                }
            }
            Phase::NeedsHuman { .. } | Phase::Closed(_) => None,
        }
    }
}

fn refresh_every(view: &View<'_>) -> Duration {
    let probes = view.settings.probes.iter().map(|probe| probe.every);
    let going_out = view.live.in_flight.as_ref().map(|_| GOING_OUT_EVERY);
    probes.chain(going_out).min().unwrap_or(REFRESH_EVERY).clamp(REFRESH_MIN, REFRESH_EVERY)
}

/// What the engine knows about the moment of asking the gate.
#[derive(Clone, Copy, Debug, Default)]
pub struct Moment {
    /// The clock went back and has not caught up until then.
    pub clock_behind_until: Option<Timestamp>,
}
