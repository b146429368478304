//! Readiness: could this service be rolled back right now? Asked all the time, so that the answer is not first
//! learned when it is needed. Pure; says why not, and leaves the telling to others.

use super::deployment::Owner;
use super::dossier::Dossier;
use super::id::{SourceName, Timestamp};
use super::ledger::TargetRules;
use super::phase::Phase;
use super::release::RollbackMark;
use super::settings::{Migrations, ServiceSettings};
use super::standing::Standing;

/// Everything that stands in the way of rolling this service back now, each in a sentence; empty when nothing does.
///
/// `trouble` is why the provider cannot be read, if it cannot.
pub fn obstacles(
    dossier: &Dossier,
    settings: &ServiceSettings,
    standing: &Standing,
    trouble: Option<&str>,
    now: Timestamp,
) -> Vec<String> {
    let mut reasons = Vec::new();
    if let Some(hold) = &standing.hold {
        reasons.push(format!("hold: {}", hold.reasons.join("; ")));
    }
    if standing.pause.as_ref().is_some_and(|pause| pause.everything) {
        reasons.push("everything is paused".to_owned());
    }
    reasons.extend(blind(dossier, settings, standing));
    if let Some(trouble) = trouble {
        reasons.push(format!("the provider cannot be read: {trouble}"));
    }
    if let Owner::Other(owner) = &dossier.owner {
        reasons.push(format!("{owner} decides what should run here, and would undo it"));
    }
    if let Some(Phase::NeedsHuman { why, .. }) = dossier.open.as_deref().map(|case| &case.phase) {
        reasons.push(format!("the open case needs a person: {why}"));
    }
    reasons.extend(no_way_back(dossier, settings, now));
    reasons
}

/// Why trouble of another release would not be noticed, each in a sentence; empty when it would.
pub fn blind(dossier: &Dossier, settings: &ServiceSettings, standing: &Standing) -> Vec<String> {
    let mut reasons = Vec::new();
    for (source, since) in standing.deaf_to(&dossier.service) {
        reasons
            .push(format!("{source} is silent since {since:.0}: trouble that it would tell of is not heard"));
    }
    for policy in &settings.probes {
        if let Some(failing) = dossier.failing.get(&policy.name) {
            let (name, since) = (&policy.name, failing.since);
            reasons
                .push(format!("the probe {name} fails since {since:.0}: it says nothing of another release"));
        }
    }
    // What the open case is about is what a rollback would be for.
    let open = dossier.open.as_deref().map(|case| &case.id);
    let of_others = dossier.episodes.values().filter(|episode| {
        let is_judged_now = episode.case.is_some() && episode.case.as_ref() == open;
        episode.is_firing() && episode.signal.source != SourceName::probe() && !is_judged_now
    });
    for episode in of_others {
        let (name, since) = (&episode.signal.name, episode.started_at);
        reasons.push(format!("{name} fires already, since {since:.0}: it says nothing of another release"));
    }
    reasons
}

/// What is wrong with the target, or with the way to it.
fn no_way_back(dossier: &Dossier, settings: &ServiceSettings, now: Timestamp) -> Option<String> {
    let ledger = &dossier.ledger;
    let Some(current) = &ledger.current else { return Some("nothing is known to serve".to_owned()) };
    let Some(serving) = ledger.last_deployment_of(current) else {
        return Some(format!("no deployment is known that put {current} out"));
    };
    let rules = TargetRules { max_back: settings.max_back, inherit_good: settings.inherit_good };
    let Some(target) = ledger.target(serving, rules, now) else {
        return Some("there is no earlier release to go back to".to_owned());
    };
    let called = target.page.release.called();
    if !target.proven {
        return Some(format!("{called} is the newest release to go back to, and nothing proves it good"));
    }
    let barred = |mark: Option<RollbackMark>| match mark {
        Some(RollbackMark::Contract | RollbackMark::Irreversible) => true,
        Some(RollbackMark::Safe | RollbackMark::Expand) => false,
        None => settings.migrations == Migrations::Unknown,
    };
    let mut undone = ledger.undone(&target.page.release.id, serving).into_iter();
    let barrier =
        undone.find(|page| settings.migrations != Migrations::None && barred(page.release.marks.rollback))?;
    Some(format!("a migration may lie between {called} and {}", barrier.release.called()))
}
