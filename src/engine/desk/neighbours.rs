//! What goes back together: what a service may see of its companions, and that no two cases act on one service. Leaves which release
//! a companion goes to, to the core.

use std::collections::{BTreeMap, BTreeSet};

use super::{Desk, Draft, Held, view};
use crate::case::command::{Command, Input};
use crate::case::companion::{Neighbour, Neighbours};
use crate::case::dossier::Dossier;
use crate::case::gate::GateAsk;
use crate::case::id::{CaseId, ServiceId};
use crate::case::next::Moment;
use crate::case::phase::Phase;
use crate::case::story::Case;

/// What a service sees beside itself.
pub(super) struct Around {
    pub(super) neighbours: Neighbours,
    pub(super) in_hands_of: Option<CaseId>,
}

impl Desk {
    /// What this service sees beside itself, in the middle of a turn or after it.
    pub(super) fn around(&self, service: &ServiceId, draft: Option<&Draft>) -> Around {
        let with: BTreeSet<&ServiceId> = self.held.get(service).into_iter().flat_map(companions).collect();
        let known = with.into_iter().filter_map(|id| Some((id, self.held.get(id)?)));
        let neighbour = |(id, held): (&ServiceId, &Held)| {
            let change = draft.and_then(|draft| draft.changes.get(id));
            let dossier = change.map_or(&held.dossier, |change| &change.dossier);
            let own = acting(dossier).map(|case| case.id.clone());
            let neighbour = Neighbour {
                dossier: dossier.clone(),
                live: held.live.clone(),
                settings: held.settings.clone(),
                in_hands_of: own.or_else(|| self.hands_on(id, Some(service))),
            };
            (id.clone(), neighbour)
        };
        Around { neighbours: known.map(neighbour).collect(), in_hands_of: self.hands_on(service, None) }
    }

    /// The case of another service that acts on this one as its companion.
    fn hands_on(&self, service: &ServiceId, but: Option<&ServiceId>) -> Option<CaseId> {
        let others = self.leaders.get(service).into_iter().flatten().filter(|other| Some(*other) != but);
        let case = |other: &ServiceId| {
            let case = acting(&self.held.get(other)?.dossier)?;
            let plan = case.plan.as_ref()?;
            plan.with.iter().any(|one| one.service == *service).then(|| case.id.clone())
        };
        others.into_iter().find_map(case)
    }

    /// Who takes this service along, by the settings in force and those of open cases.
    pub(super) fn find_leaders(&mut self) {
        let mut leaders: BTreeMap<ServiceId, Vec<ServiceId>> = BTreeMap::new();
        for (leader, held) in &self.held {
            for with in companions(held).collect::<BTreeSet<_>>() {
                leaders.entry(with.clone()).or_default().push(leader.clone());
            }
        }
        self.leaders = leaders;
    }

    /// What was read of a companion may be what a case waits for.
    pub(super) fn look_again_beside(&mut self, service: &ServiceId, draft: &mut Draft) {
        for leader in self.leaders.get(service).cloned().unwrap_or_default() {
            if self.held.get(&leader).is_some_and(|held| held.dossier.open.is_some()) {
                self.take(&leader, &Input::Tick, draft);
            }
        }
    }

    /// Asks the gate for every step that is ready, of services that changed or are due. Of two cases that want one service in one
    /// turn the first has it.
    pub(super) fn ask_gate(&self, draft: &mut Draft, moment: Moment) {
        let mut gates: Vec<GateAsk> = Vec::new();
        for (service, change) in &draft.changes {
            let Some(held) = self.held.get(service) else { continue };
            let around = self.around(service, Some(draft));
            let view = view(held, &self.settings, &self.standing, &around, draft.now);
            for command in change.dossier.next(&view) {
                let Command::Begin(_, step) = command else { continue };
                let Some(mut ask) = change.dossier.gate_ask(step, &view, &moment) else { continue };
                let wanted = services(&ask);
                let taken = gates.iter().filter(|other| other.in_hands_of.is_none());
                let taken =
                    taken.into_iter().find(|other| services(other).iter().any(|one| wanted.contains(one)));
                if let Some(other) = taken {
                    ask.in_hands_of = Some(other.order.case.clone());
                }
                gates.push(ask);
            }
        }
        draft.turn.gates.extend(gates);
    }
}

/// What goes back with a service, by its settings and by the plan of its open case, which may be older than these.
pub(super) fn companions(held: &Held) -> impl Iterator<Item = &ServiceId> {
    let plan = held.dossier.open.as_deref().and_then(|case| case.plan.as_deref());
    let planned = plan.into_iter().flat_map(|plan| &plan.with).map(|one| &one.service);
    held.settings.with.iter().chain(planned)
}

/// The open case, where it has begun to act and is not done.
fn acting(dossier: &Dossier) -> Option<&Case> {
    dossier.open.as_deref().filter(|case| match &case.phase {
        Phase::Ready { .. } => !case.phase.is_before_the_act(),
        Phase::Intended { .. } | Phase::Running { .. } | Phase::NeedsHuman { .. } => true,
        Phase::Gathering { .. }
        | Phase::Weighing { .. }
        | Phase::Planning { .. }
        | Phase::AwaitingApproval { .. }
        | Phase::Countdown { .. }
        | Phase::Verifying(_)
        | Phase::Closed(_) => false,
    })
}

/// Everything that a case has in its hands once this step begins.
fn services(ask: &GateAsk) -> Vec<ServiceId> {
    let with = ask.with.iter().map(|with| with.service.clone());
    std::iter::once(ask.order.case.service()).chain(with).collect()
}
