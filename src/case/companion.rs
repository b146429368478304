//! Companions: services that go back together with another one. Owns which release a companion goes to, and what speaks against it;
//! leaves to the gate whether it may begin.
//!
//! What belongs together is what served together. A companion goes to the release of the same commit or change as the target, else to
//! the one that served when the target did, and stays where that serves already.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::brief::TargetFacts;
use super::deployment::{Deployment, DeploymentOrigin, DeploymentStatus, Owner};
use super::dossier::Dossier;
use super::id::{Duration, ReleaseId, ServiceId, Timestamp};
use super::ledger::{Ledger, Page, TargetRules};
use super::live::{Live, PICTURE_FRESH};
use super::phase::Phase;
use super::plan::{Companion, Leg, Plan};
use super::release::Release;
use super::scribe::View;
use super::settings::{Migrations, Mode, ServiceSettings};
use super::weigh::{ONE_CHANGE_WITHIN, undone};

/// Another service, as far as one that it goes with may look.
#[derive(Clone, Debug)]
pub struct Neighbour {
    /// What is known of it.
    pub dossier: Arc<Dossier>,
    /// What this process knows of it.
    pub live: Live,
    /// Its settings.
    pub settings: Arc<ServiceSettings>,
    /// A case of another service that has begun to act on it.
    pub in_hands_of: Option<super::id::CaseId>,
}

/// The companions of a service; empty where it has none.
pub type Neighbours = BTreeMap<ServiceId, Neighbour>;

/// Nobody.
pub static ALONE: Neighbours = Neighbours::new();

/// What is known of a companion when a decision is made.
#[derive(Clone, Debug, PartialEq)]
pub struct CompanionFacts {
    /// Which.
    pub service: ServiceId,
    /// What leaves. `None`: it stays as it is.
    pub from: Option<ReleaseId>,
    /// Where it would go.
    pub target: Option<TargetFacts>,
    /// Why it cannot go, if it cannot.
    pub stuck: Option<String>,
    /// What no mark means there.
    pub migrations: Migrations,
    /// Frozen until.
    pub frozen_until: Option<Timestamp>,
    /// Somebody else decides what should run there.
    pub owned_by: Option<String>,
    /// It is judged and told only.
    pub shadow: bool,
    /// It was put out apart from the suspect.
    pub apart: bool,
}

/// Which way a companion goes.
enum Way<'a> {
    Stays,
    Goes { leaves: &'a Deployment, target: &'a Page, apart: bool },
    Stuck(String),
}

/// What is known of the companions of this service, should it go to this release.
pub(super) fn facts(
    view: &View<'_>,
    own: &Ledger,
    to: &ReleaseId,
    read_since: Timestamp,
) -> Vec<CompanionFacts> {
    let of = |service: &ServiceId| {
        let Some(neighbour) = view.neighbours.get(service) else {
            return stuck(service, "it is not configured any more");
        };
        if !neighbour.live.described_since(read_since) {
            return stuck(service, "what serves there could not be read");
        }
        let way = way(own, to, &neighbour.dossier.ledger);
        facts_of(service, neighbour, &way, view.now)
    };
    view.settings.with.iter().map(of).collect()
}

fn stuck(service: &ServiceId, why: &str) -> CompanionFacts {
    CompanionFacts {
        service: service.clone(),
        from: None,
        target: None,
        stuck: Some(why.to_owned()),
        migrations: Migrations::None,
        frozen_until: None,
        owned_by: None,
        shadow: false,
        apart: false,
    }
}

fn facts_of(service: &ServiceId, neighbour: &Neighbour, way: &Way<'_>, now: Timestamp) -> CompanionFacts {
    let (leaves, target, apart) = match way {
        Way::Stuck(why) => return stuck(service, why),
        Way::Stays => (None, None, false),
        Way::Goes { leaves, target, apart } => (Some(leaves), Some(target), *apart),
    };
    let Neighbour { dossier, settings, .. } = neighbour;
    let rules = TargetRules { max_back: settings.max_back, inherit_good: settings.inherit_good };
    let target = leaves.zip(target).map(|(leaves, page)| {
        let undone = undone(&dossier.ledger, &page.release.id, leaves);
        TargetFacts {
            release: page.release.id.clone(),
            grade: page.grade,
            proven: rules.proves(page.grade),
            releases_back: u32::try_from(undone.len()).unwrap_or(u32::MAX),
            deployed_at: dossier.ledger.last_deployment_of(&page.release.id).map(|last| last.started_at),
            artifact_exists: page.release.artifact_exists,
            runs_on_schema: page.release.marks.schema_version,
            undone,
            // Its commits are counted with those of the service itself.
            taken_back: None,
        }
    });
    CompanionFacts {
        service: service.clone(),
        from: leaves.map(|leaves| leaves.release.clone()),
        target,
        stuck: None,
        migrations: settings.migrations,
        frozen_until: dossier.freeze.as_ref().map(|freeze| freeze.until).filter(|until| *until > now),
        owned_by: match &dossier.owner {
            Owner::Nobody => None,
            Owner::Other(owner) => Some(owner.clone()),
        },
        shadow: settings.mode == Mode::Shadow,
        apart,
    }
}

fn way<'a>(own: &Ledger, to: &ReleaseId, other: &'a Ledger) -> Way<'a> {
    let going_out = other.deployments.iter().rev().find(|deployment| deployment.is_going_out());
    let serves = other.current.as_ref();
    let leaves = going_out.or_else(|| other.last_deployment_of(serves?));
    let Some(leaves) = leaves else { return Way::Stuck("nothing tells what serves there".to_owned()) };
    let Some(target) = pair(own, to, other) else {
        return Way::Stuck(format!("no release there is known to have served beside {to}"));
    };
    if target.release.id == leaves.release {
        return Way::Stays;
    }
    if target.release.artifact_exists == Some(false) {
        return Way::Stuck(format!("the artifact of {} is gone", target.release.called()));
    }
    if target.grade == super::ledger::Grade::Bad {
        return Way::Stuck(format!("{} served there, and is bad", target.release.called()));
    }
    Way::Goes { leaves, target, apart: is_apart(own, to, leaves, other) }
}

/// The release of a companion that belongs to this one: of the same commit or change, else the one that served when this did.
fn pair<'a>(own: &Ledger, to: &ReleaseId, other: &'a Ledger) -> Option<&'a Page> {
    let release = &own.page(to)?.release;
    // What somebody went back from is nobody's target, unless the service itself goes forward to what was gone back from.
    let forward = own.last_deployment_of(to).is_some_and(|last| own.was_left(last));
    let is_sound =
        |one: &&Deployment| one.status == DeploymentStatus::Finished && (forward || !other.was_left(one));
    let went_out = || other.deployments.iter().rev().filter(is_sound);
    let pages = went_out().filter_map(|one| other.page(&one.release));
    if let Some(same) = pages.into_iter().find(|page| is_one_change(&page.release, release)) {
        return Some(same);
    }
    let beside = serving_beside(own, to)?;
    went_out().find(|one| beside(one)).and_then(|one| other.page(&one.release))
}

/// What was put out, at the latest, while this release served and nothing of the change that replaced it had begun.
fn serving_beside(own: &Ledger, to: &ReleaseId) -> Option<impl Fn(&Deployment) -> bool + use<>> {
    let last = own.last_deployment_of(to)?;
    let came = last.finished_at.unwrap_or(last.started_at);
    let later = own.deployments.iter().filter(|later| {
        later.started_at > last.started_at && later.release != *to && later.status != DeploymentStatus::Failed
    });
    let went = later.min_by_key(|later| later.started_at).map(|next| {
        // Companions may have gone out a little before it; those that go back go after.
        let is_ordinary = next.origin == DeploymentOrigin::Ordinary;
        next.started_at - if is_ordinary { ONE_CHANGE_WITHIN } else { Duration::ZERO }
    });
    Some(move |one: &Deployment| one.started_at <= came || went.is_none_or(|went| one.started_at < went))
}

fn is_one_change(one: &Release, other: &Release) -> bool {
    let same = |one: Option<&str>, other: Option<&str>| one.is_some() && one == other;
    same(one.commit.as_deref(), other.commit.as_deref())
        || (one.change.is_some() && one.change == other.change)
}

/// Whether what leaves was put out on its own: neither of a change that leaves with it, nor about when one was put out.
fn is_apart(own: &Ledger, to: &ReleaseId, leaves: &Deployment, other: &Ledger) -> bool {
    let since = own.last_deployment_of(to).map(|last| last.started_at);
    let theirs = other.page(&leaves.release).map(|page| &page.release);
    let goes_too =
        |ours: &&Deployment| ours.release != *to && since.is_none_or(|since| ours.started_at > since);
    let is_one = |ours: &Deployment| {
        ours.started_at.duration_since(leaves.started_at).abs() <= ONE_CHANGE_WITHIN
            || own
                .page(&ours.release)
                .zip(theirs)
                .is_some_and(|(page, theirs)| is_one_change(&page.release, theirs))
    };
    !own.deployments.iter().filter(goes_too).any(is_one)
}

/// The ways of the companions that go, pinned.
///
/// # Errors
/// Why one of them cannot go, in words.
pub(super) fn legs(facts: &[CompanionFacts]) -> Result<Vec<Leg>, String> {
    let mut legs = Vec::new();
    for one in facts {
        if let Some(why) = &one.stuck {
            return Err(format!("{} cannot go back with it: {why}", one.service));
        }
        if let (Some(from), Some(target)) = (&one.from, &one.target) {
            let (service, from, to) = (one.service.clone(), from.clone(), target.release.clone());
            legs.push(Leg { service, from, to });
        }
    }
    Ok(legs)
}

/// What a plan says of this way.
pub(super) fn planned(leg: &Leg, view: &View<'_>) -> Option<Companion> {
    let ledger = &view.neighbours.get(&leg.service)?.dossier.ledger;
    let (from, to) = (ledger.page(&leg.from)?, ledger.page(&leg.to)?);
    let leaves = ledger.last_deployment_of(&leg.from)?;
    Some(Companion {
        service: leg.service.clone(),
        from: from.release.clone(),
        to: to.release.clone(),
        to_grade: to.grade,
        undone: undone(ledger, &leg.to, leaves),
    })
}

impl Plan {
    /// Where each companion runs when the plan ended at this step, for people: what is back, and what is not.
    pub(super) fn whereabouts(&self, at: super::id::StepNo) -> String {
        let (done, left) = self.steps.split_at(usize::from(at.0).min(self.steps.len()));
        let named = |steps: &'_ [super::step::Step], service: &ServiceId| {
            steps.iter().any(|step| step.doer.provider() == Some(service))
        };
        let is_back = |service: &ServiceId| named(done, service) && !named(left, service);
        let of = |service: &ServiceId, from: &Release, to: &Release| {
            let (called, word) =
                if is_back(service) { (to.called(), "back") } else { (from.called(), "not back") };
            format!("{service} runs {called} ({word})")
        };
        let with = self.with.iter().map(|one| of(&one.service, &one.from, &one.to));
        let main = self.service().map(|service| of(service, &self.from, &self.to));
        main.into_iter().chain(with).collect::<Vec<_>>().join(", ")
    }
}

impl Dossier {
    /// The companions whose provider has to be read before the open case can go on.
    pub(super) fn companions_unread(&self, view: &View<'_>) -> Vec<ServiceId> {
        let Some(case) = self.open.as_deref() else { return Vec::new() };
        let left = |service: &ServiceId, at: super::id::StepNo| {
            let steps = case.plan.as_ref().map(|plan| plan.steps.as_slice()).unwrap_or_default();
            steps.iter().skip(usize::from(at.0)).any(|step| step.doer.provider() == Some(service))
        };
        let wanted = |service: &ServiceId, neighbour: &Neighbour| match &case.phase {
            Phase::Gathering { .. } | Phase::Weighing { .. } => {
                !neighbour.live.described_since(case.opened_at)
            }
            // One that stays, or is done, holds nothing up.
            Phase::Ready { step, .. } => left(service, *step) && !neighbour.live.is_fresh(view.now),
            // What the act left there, for whoever looks.
            Phase::Verifying(verifying) => !neighbour.live.described_since(verifying.done_at),
            Phase::Planning { .. }
            | Phase::AwaitingApproval { .. }
            | Phase::Countdown { .. }
            | Phase::Intended { .. }
            | Phase::Running { .. }
            | Phase::NeedsHuman { .. }
            | Phase::Closed(_) => false,
        };
        let unread = view.neighbours.iter().filter(|(service, neighbour)| wanted(service, neighbour));
        unread.map(|(service, _)| service.clone()).collect()
    }

    /// When each of these is asked: now, or, where it could not be read, a while after that.
    pub fn companions_due<'v>(
        &self,
        view: &'v View<'_>,
    ) -> impl Iterator<Item = (ServiceId, Timestamp)> + use<'v> {
        let due = |service: ServiceId| {
            let live = &view.neighbours.get(&service)?.live;
            let failed_at = live.tried_at.filter(|_| live.trouble.is_some());
            Some((service, failed_at.map_or(view.now, |tried| tried + PICTURE_FRESH)))
        };
        self.companions_unread(view).into_iter().filter_map(due)
    }
}
