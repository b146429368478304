//! Guards about what goes on around the case: what people and other systems said, and what was done lately.

use super::{Finding, GuardOutcome, at_most, pass};
use crate::case::brief::{Brief, CandidateFacts};
use crate::case::correlate::whole_seconds;
use crate::case::deployment::DeploymentOrigin;

pub(super) fn hold(brief: &Brief) -> Finding {
    match &brief.facts.hold {
        Some(why) => at_most(GuardOutcome::Stop, format!("Snapback holds itself: {why}")),
        None => pass("there is no hold"),
    }
}

pub(super) fn pause_everything(brief: &Brief) -> Finding {
    if brief.facts.paused_everything {
        return at_most(GuardOutcome::Stop, "everything is paused");
    }
    pass("not everything is paused")
}

pub(super) fn pause(brief: &Brief) -> Finding {
    if brief.facts.paused || brief.facts.paused_everything {
        return at_most(GuardOutcome::Approve, "automatic acts are paused");
    }
    pass("automatic acts are not paused")
}

pub(super) fn freeze(brief: &Brief) -> Finding {
    match brief.facts.frozen_until.filter(|until| brief.now < *until) {
        Some(until) => at_most(GuardOutcome::Approve, format!("the service is frozen until {until}")),
        None => pass("the service is not frozen"),
    }
}

pub(super) fn calendar(brief: &Brief) -> Finding {
    match &brief.facts.calendar {
        Some(why) => at_most(GuardOutcome::Approve, why.clone()),
        None => pass("the calendar bars nothing now"),
    }
}

pub(super) fn cooldown(brief: &Brief) -> Finding {
    let cooldown = brief.limits.guards.cooldown;
    let since = brief.facts.last_act_at.map(|at| brief.now.duration_since(at));
    match since.filter(|since| *since < cooldown) {
        Some(since) => {
            let since = whole_seconds(since);
            at_most(
                GuardOutcome::Approve,
                format!("the last rollback was {since:#} ago, within {cooldown:#}"),
            )
        }
        None => pass("no rollback of this service happened lately"),
    }
}

pub(super) fn budget(brief: &Brief) -> Finding {
    if brief.facts.budgets_spent.is_empty() {
        return pass("the budget of automatic acts is not spent");
    }
    let spent = brief.facts.budgets_spent.join("; ");
    at_most(GuardOutcome::Approve, format!("the budget of automatic acts is spent: {spent}"))
}

pub(super) fn shared_outage(brief: &Brief) -> Finding {
    let (raised, guards) = (brief.facts.services_raised, &brief.limits.guards);
    if raised >= guards.shared_outage_services {
        let within = guards.shared_outage_within;
        let why = format!("{raised} services are in trouble within {within:#}: perhaps they share a cause");
        return at_most(GuardOutcome::Approve, why);
    }
    pass("too few services are in trouble for a shared outage")
}

pub(super) fn many_services(brief: &Brief) -> Finding {
    if brief.facts.change_elsewhere.is_empty() {
        return pass("the change is in trouble nowhere else");
    }
    let others: Vec<&str> = brief.facts.change_elsewhere.iter().map(|service| service.as_str()).collect();
    at_most(GuardOutcome::Approve, format!("the same change is in trouble on {} as well", others.join(", ")))
}

pub(super) fn ledger_incomplete(brief: &Brief) -> Finding {
    if brief.facts.ledger_incomplete {
        return at_most(
            GuardOutcome::Approve,
            "the provider could not be read in time: the ledger may be incomplete",
        );
    }
    pass("the ledger was refreshed from the provider")
}

pub(super) fn own_rollback(brief: &Brief, suspect: Option<&CandidateFacts>) -> Finding {
    let is_ours = |candidate: &CandidateFacts| matches!(candidate.origin, DeploymentOrigin::Ours(_));
    match suspect {
        Some(suspect) if is_ours(suspect) => {
            at_most(GuardOutcome::Notify, "the suspect is our own rollback: it is never undone by itself")
        }
        // A provider that was told to stop goes back by itself, and nothing in it says who told it to.
        Some(suspect) if suspect.origin == DeploymentOrigin::Rollback => at_most(
            GuardOutcome::Notify,
            "the suspect is itself a rollback, perhaps ours: it is never undone by itself",
        ),
        Some(_) => pass("the suspect is not our own rollback"),
        None if brief.candidates.iter().any(|candidate| candidate.is_current && is_ours(candidate)) => {
            at_most(GuardOutcome::Notify, "what serves is our own rollback: it is never undone by itself")
        }
        None => pass("there is no suspect"),
    }
}

pub(super) fn already_rolled_back(brief: &Brief) -> Finding {
    if brief.facts.suspect_rolled_back {
        return at_most(GuardOutcome::Notify, "this deployment was rolled back once already");
    }
    if let Some(why) = &brief.facts.bad_release_back {
        let why = format!("this release is held for bad ({why}), and somebody put it out again");
        return at_most(GuardOutcome::Approve, why);
    }
    pass("this deployment was not rolled back before")
}

pub(super) fn newer_deployment(brief: &Brief, suspect: Option<&CandidateFacts>) -> Finding {
    let newer = brief.facts.newer_deployment.as_ref();
    match newer.filter(|newer| suspect.is_none_or(|suspect| suspect.deployment != **newer)) {
        Some(newer) => {
            let after = if suspect.is_some() { "the suspect" } else { "the trouble began" };
            let why = format!("somebody began deployment {newer} after {after}: perhaps a fix going forward");
            at_most(GuardOutcome::Notify, why)
        }
        None => pass("nobody deployed after the suspect"),
    }
}

pub(super) fn provider_judges(brief: &Brief, suspect: Option<&CandidateFacts>) -> Finding {
    let going_out = suspect.is_some_and(|suspect| suspect.going_out);
    match brief.facts.provider_judges_until.filter(|until| going_out && brief.now < *until) {
        Some(until) => at_most(
            GuardOutcome::Notify,
            format!("the provider judges this deployment itself, and is given until {until}"),
        ),
        None => pass("the provider does not judge this deployment now"),
    }
}

pub(super) fn owned_elsewhere(brief: &Brief) -> Finding {
    match &brief.facts.owned_by {
        Some(owner) => {
            at_most(GuardOutcome::Notify, format!("{owner} decides what should run here, and would undo it"))
        }
        None => pass("nobody else decides what should run here"),
    }
}

pub(super) fn settled_before(brief: &Brief) -> Finding {
    match &brief.facts.settled_before {
        Some(why) => at_most(GuardOutcome::Notify, why.clone()),
        None => pass("no earlier case settled this deployment"),
    }
}
