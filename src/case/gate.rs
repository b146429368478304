//! The gate: the last check before an act, and the only one that is truth. It runs inside the transaction that
//! writes the intent, on the standing as it is on disk at that moment. Leaves to `guard` what weakens a verdict.

use super::id::{CaseId, DeploymentId, Digest, Duration, ServiceId, Timestamp};
use super::settings::GuardSettings;
use super::standing::{ActRecord, Standing};
use super::step::Order;

/// The intent may be followed by a request for so long; later the gate is asked again. Shorter than any lease.
pub const WIRE_DEADLINE: Duration = Duration::from_secs(10);

/// What the gate is asked.
#[derive(Clone, Debug, PartialEq)]
pub struct GateAsk {
    /// What would be done; `intended_at` is the moment of asking.
    pub order: Order,
    /// The deployment that it undoes.
    pub suspect: Option<DeploymentId>,
    /// The plan, by digest.
    pub plan: Digest,
    /// When the plan expires.
    pub plan_expires: Timestamp,
    /// Nobody was asked: budgets, cooldown, freeze, pause and the shared-outage limit count.
    pub automatic: bool,
    /// A case that a person began by hand: a hold does not stop it.
    pub by_hand: bool,
    /// When the case was opened.
    pub case_opened_at: Timestamp,
    /// A drill: it has its own budget and counts in nobody's.
    pub rehearsal: bool,
    /// What is missing in the votes, where people are asked.
    pub votes_short: Option<String>,
    /// Frozen until.
    pub frozen_until: Option<Timestamp>,
    /// The provider was read since this process began, and lately.
    pub reconciled: bool,
    /// What serves by that reading is what the plan expects.
    pub current_as_expected: bool,
    /// Nothing was asked of a provider before this step, which asks one.
    pub first_act: bool,
    /// A case of another service has begun to act on this one.
    pub in_hands_of: Option<CaseId>,
    /// The companions that this step, or one after it, changes.
    pub with: Vec<CompanionAsk>,
    /// The rules that the case was judged by are the ones in force.
    pub rules_current: bool,
    /// The clock went back and has not caught up until then.
    pub clock_behind_until: Option<Timestamp>,
    /// The guards' limits.
    pub limits: GuardSettings,
}

/// What the gate is told of a companion.
#[derive(Clone, Debug, PartialEq)]
pub struct CompanionAsk {
    /// Which.
    pub service: ServiceId,
    /// What serves there, or is going out, is what the plan expects.
    pub as_expected: bool,
    /// Frozen until.
    pub frozen_until: Option<Timestamp>,
    /// A case of its own, or of a third service, has begun to act on it.
    pub in_hands_of: Option<CaseId>,
}

/// Why the gate did not let a step begin.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// Snapback forbids itself.
    Hold(String),
    /// Everything is paused.
    PausedEverything,
    /// The provider was not read since this process began, or not lately.
    Unreconciled,
    /// The clock went back.
    Clock,
    /// Everything automatic is paused.
    Paused,
    /// The service is frozen.
    Frozen,
    /// A rollback of this service happened lately.
    Cooldown,
    /// A budget is spent; which.
    Budget(String),
    /// Several services are in trouble at once.
    SharedOutage,
    /// The rules changed since the case was judged.
    RulesChanged,
    /// The votes are not enough now; what is missing.
    Votes(String),
    /// Something else serves.
    Moved,
    /// Something else serves on this companion.
    CompanionMoved(ServiceId),
    /// Another case has begun to act on one of the plan's services.
    InHandsOf(CaseId),
    /// This suspect had its one automatic act.
    AlreadyActed,
    /// The step's attempts are spent.
    AttemptsSpent,
    /// The plan expired.
    PlanExpired,
}

/// What follows from a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follows {
    /// Stays ready, says so, and asks again.
    Wait,
    /// People are asked.
    Ask,
    /// Judged again.
    Weigh,
    /// The case is superseded.
    Supersede,
    /// Nobody can tell: a person settles it.
    NeedsHuman,
    /// The case expires.
    Expire,
}

impl Why {
    /// What follows from it.
    pub fn follows(&self) -> Follows {
        match self {
            Why::Hold(_) | Why::PausedEverything | Why::Unreconciled | Why::Clock | Why::InHandsOf(_) => {
                Follows::Wait
            }
            Why::Paused
            | Why::Frozen
            | Why::Cooldown
            | Why::Budget(_)
            | Why::SharedOutage
            | Why::AlreadyActed
            | Why::Votes(_) => Follows::Ask,
            Why::RulesChanged | Why::CompanionMoved(_) => Follows::Weigh,
            Why::Moved => Follows::Supersede,
            Why::AttemptsSpent => Follows::NeedsHuman,
            Why::PlanExpired => Follows::Expire,
        }
    }

    /// In a sentence.
    pub fn says(&self) -> String {
        match self {
            Why::Hold(reason) => format!("Snapback holds itself: {reason}"),
            Why::PausedEverything => "everything is paused".into(),
            Why::Unreconciled => "the provider has not been read lately".into(),
            Why::Clock => "the clock went back and has not caught up".into(),
            Why::Paused => "automatic acts are paused".into(),
            Why::Frozen => "the service is frozen".into(),
            Why::Cooldown => "a rollback of this service happened lately".into(),
            Why::Budget(which) => format!("the budget of automatic acts is spent: {which}"),
            Why::SharedOutage => "several services are in trouble at once".into(),
            Why::RulesChanged => "the rules changed since this was judged".into(),
            Why::Votes(missing) => missing.clone(),
            Why::Moved => "something else serves than the plan expects".into(),
            Why::CompanionMoved(service) => {
                format!("something else serves on {service} than the plan expects")
            }
            Why::InHandsOf(case) => format!("case {case} acts there, and is waited for"),
            Why::AlreadyActed => "this deployment had its one automatic rollback".into(),
            Why::AttemptsSpent => "the step was tried as often as it may be".into(),
            Why::PlanExpired => "the plan expired".into(),
        }
    }
}

/// Whether a step may begin now. Order matters: what stops everything comes before what asks people.
///
/// Later steps of a plan that has begun pass budgets, cooldown, freeze and expiry: half a rollback is worse than
/// either whole one. Pause with everything and hold stop them all the same.
pub fn gate(standing: &Standing, ask: &GateAsk, now: Timestamp) -> Result<(), Why> {
    // A person's rollback passes a hold only if it was begun in sight of it.
    if let Some(hold) = &standing.hold
        && !(ask.by_hand && ask.case_opened_at > hold.since)
    {
        return Err(Why::Hold(hold.reasons.join("; ")));
    }
    if standing.pause.as_ref().is_some_and(|pause| pause.everything) {
        return Err(Why::PausedEverything);
    }
    if ask.clock_behind_until.is_some_and(|until| now < until) {
        return Err(Why::Clock);
    }
    let in_hands = ask.with.iter().filter_map(|with| with.in_hands_of.as_ref());
    if let Some(case) = ask.in_hands_of.iter().chain(in_hands).next() {
        return Err(Why::InHandsOf(case.clone()));
    }
    attempts(standing, ask)?;
    let begun = standing.acts.iter().any(|act| act.case == ask.order.case && !act.unsent);
    if !begun && now >= ask.plan_expires {
        return Err(Why::PlanExpired);
    }
    if !ask.reconciled {
        return Err(Why::Unreconciled);
    }
    if !ask.current_as_expected {
        return Err(Why::Moved);
    }
    if let Some(moved) = ask.with.iter().find(|with| !with.as_expected) {
        return Err(Why::CompanionMoved(moved.service.clone()));
    }
    if ask.rehearsal {
        return Ok(());
    }
    if begun {
        // Behind steps of the user's own: until a provider is asked, who stops what is automatic stops this too.
        return if ask.automatic && ask.first_act { nobody_stops(standing, ask, now) } else { Ok(()) };
    }
    if !ask.rules_current {
        return Err(Why::RulesChanged);
    }
    if let Some(missing) = &ask.votes_short {
        return Err(Why::Votes(missing.clone()));
    }
    if ask.automatic { automatic(standing, ask, now) } else { Ok(()) }
}

/// How often this very step was tried, by the records and not by the case.
fn attempts(standing: &Standing, ask: &GateAsk) -> Result<(), Why> {
    let same = |act: &&ActRecord| act.case == ask.order.case && act.step == ask.order.step;
    let recorded = standing.acts.iter().filter(same).map(|act| act.attempt).max().unwrap_or(0);
    let sent = standing.acts.iter().filter(same).filter(|act| !act.unsent).count();
    // An attempt that is on record already was permitted once: its request may have left.
    if ask.order.attempt <= recorded || sent >= usize::from(ask.order.act.class.attempts_max()) {
        return Err(Why::AttemptsSpent);
    }
    Ok(())
}

/// Neither a pause nor a freeze.
fn nobody_stops(standing: &Standing, ask: &GateAsk, now: Timestamp) -> Result<(), Why> {
    if standing.pause.is_some() {
        return Err(Why::Paused);
    }
    let frozen = ask.with.iter().filter_map(|with| with.frozen_until).chain(ask.frozen_until);
    if frozen.max().is_some_and(|until| now < until) {
        return Err(Why::Frozen);
    }
    Ok(())
}

fn automatic(standing: &Standing, ask: &GateAsk, now: Timestamp) -> Result<(), Why> {
    let service = &ask.order.case.service();
    nobody_stops(standing, ask, now)?;
    let on_this_suspect = |act: &ActRecord| {
        act.automatic
            && !act.unsent
            && act.service == *service
            && act.suspect.is_some()
            && act.suspect == ask.suspect
    };
    if standing.acts.iter().any(on_this_suspect) {
        return Err(Why::AlreadyActed);
    }
    for service in std::iter::once(service).chain(ask.with.iter().map(|with| &with.service)) {
        if standing.last_act(service).is_some_and(|act| now.duration_since(act.at) < ask.limits.cooldown) {
            return Err(Why::Cooldown);
        }
        if let Some(spent) = budgets_spent(standing, service, &ask.limits, now).into_iter().next() {
            return Err(Why::Budget(spent));
        }
    }
    let limit = ask.limits.shared_outage_services;
    if standing.services_raised(service, ask.limits.shared_outage_within, now) >= limit {
        return Err(Why::SharedOutage);
    }
    Ok(())
}

/// The budgets that are spent, each in words.
pub fn budgets_spent(
    standing: &Standing,
    service: &ServiceId,
    limits: &GuardSettings,
    now: Timestamp,
) -> Vec<String> {
    let own = limits.budget_per_service.iter().map(|budget| (Some(service), budget));
    let all = limits.budget.iter().map(|budget| (None, budget));
    own.chain(all)
        .filter_map(|(of, budget)| {
            let used = standing.automatic_acts(of, budget.within, now);
            let whose = if of.is_some() { "of this service" } else { "in all" };
            (used >= budget.acts)
                .then(|| format!("{used} of {} automatic acts {whose} in {:#}", budget.acts, budget.within))
        })
        .collect()
}

/// The record that an attempt leaves when it passed.
pub fn record(ask: &GateAsk, now: Timestamp) -> ActRecord {
    // A step of the user's own takes nothing back, and what goes along is not the suspect.
    let own = ask.order.case.service();
    let suspect = ask.suspect.clone().filter(|_| ask.order.doer.provider() == Some(&own));
    ActRecord {
        service: ask.order.service.clone(),
        suspect,
        case: ask.order.case.clone(),
        step: ask.order.step,
        attempt: ask.order.attempt,
        class: ask.order.act.class,
        at: now,
        automatic: ask.automatic && !ask.rehearsal,
        mark: ask.order.mark.clone(),
        unsent: false,
    }
}
