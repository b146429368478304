//! Weighing: a brief is made of what is known, the rule table and the guards are asked, and the answer is written
//! down when it differs from the last one.

use std::sync::Arc;

use super::brief::{Brief, BriefSignal, CandidateFacts, GuardFacts, Limits, TargetFacts};
use super::commits::TakenBack;
use super::companion;
use super::correlate::correlate;
use super::decide::{Decision, Verdict, decide};
use super::deployment::{ChangeKind, Deployment, DeploymentOrigin, DeploymentStatus, Owner};
use super::event::{Event, Stamped};
use super::gate::budgets_spent;
use super::id::{DeploymentId, Duration, ReleaseId, Timestamp};
use super::ledger::{Grade, Ledger, TargetRules};
use super::phase::Outcome;
use super::plan::Undone;
use super::scribe::Scribe;
use super::signal::{EpisodeKey, Lag};
use super::standing::{Raised, StandingEvent};

/// Deployments that one brief may weigh: more than anybody puts out within a window.
const CANDIDATES_MAX: usize = 16;
/// Deployments of one change within so long are one change (product §7).
pub(super) const ONE_CHANGE_WITHIN: Duration = Duration::from_mins(15);
/// A suspicion that moved by less is the same answer.
const SAME_SUSPICION: f64 = 0.05;

impl Scribe<'_> {
    /// Judges the open case anew, and writes the decision if it says something new.
    pub(super) fn weigh(&mut self) -> Option<Arc<Decision>> {
        let case = self.dossier.open.as_deref()?;
        let keys: Vec<EpisodeKey> = case.signals.keys().cloned().collect();
        let fixed =
            case.plan.as_ref().and(case.suspect.as_ref()).map(|suspect| suspect.deployment.id.clone());
        let first = case.decision.is_none();
        let Some(brief) = self.brief(&keys, fixed) else { return case.decision.clone() };
        let decision = decide(&brief, self.view.rules);
        // What was snoozed is told anew, whatever it says.
        let snooze_is_over = case.snoozed_until.is_some_and(|until| self.view.now >= until);
        if let Some(last) = &case.decision
            && same_answer(last, &decision)
            && !snooze_is_over
        {
            return Some(last.clone());
        }
        let decision = Arc::new(decision);
        self.write(Event::Weighed(decision.clone()));
        if first {
            self.raise(&decision);
        }
        self.taint(&decision);
        Some(decision)
    }

    /// The deployment that these signals point at most, apart from any case.
    pub(super) fn points_at(&self, key: &EpisodeKey) -> Option<DeploymentId> {
        let brief = self.brief(std::slice::from_ref(key), None)?;
        brief.suspect
    }

    fn brief(&self, keys: &[EpisodeKey], fixed: Option<DeploymentId>) -> Option<Brief> {
        let settings = self.view.settings;
        let signals: Vec<BriefSignal> = keys.iter().filter_map(|key| self.brief_signal(key)).collect();
        let earliest = signals.iter().map(|signal| signal.started_at).min()?;
        let mut brief = Brief {
            service: self.dossier.service.clone(),
            tier: settings.tier.clone(),
            mode: settings.mode,
            now: self.view.now,
            candidates: self.candidates(earliest),
            habits: signals
                .iter()
                .filter_map(|signal| Some((signal.name.clone(), *self.dossier.habits.get(&signal.name)?)))
                .collect(),
            figures: self.view.live.figures.clone(),
            suspect: None,
            target: None,
            with: Vec::new(),
            facts: self.facts(earliest),
            limits: Limits {
                guards: self.view.shared.guards.clone(),
                max_back: settings.max_back,
                migrations: settings.migrations,
                window_min: settings.window_min(),
            },
            signals,
        };
        let most = correlate(&brief, self.view.rules.longest_window())
            .into_iter()
            .find_map(|candidate| candidate.deployment);
        brief.suspect = fixed.or(most);
        if let Some(suspect) = brief.suspect.clone() {
            self.fill_for(&mut brief, &suspect);
        }
        Some(brief)
    }

    fn brief_signal(&self, key: &EpisodeKey) -> Option<BriefSignal> {
        let episode = self.dossier.episodes.get(key)?;
        let unheard = self.unheard(episode.heard_at);
        Some(BriefSignal {
            source: episode.signal.source.clone(),
            name: episode.signal.name.clone(),
            fingerprint: episode.signal.fingerprint.clone(),
            labels: episode.signal.labels.clone(),
            about: self.dossier.service.clone(),
            started_at: episode.started_at,
            onset: episode.onset(),
            lag: episode.signal.lag,
            opened_at: episode.opened_at,
            firing: episode.is_firing(),
            // Who is asked since when an alert fires says that it does; whether that was before a restart is told by `unheard`.
            confirmed: matches!(episode.signal.lag, Lag::Exact(_)) && unheard.is_none(),
            unheard,
            episodes_day: self.episodes_in_the_day_before(key, episode.started_at),
            exonerated: episode.exonerated.clone(),
        })
    }

    fn unheard(&self, heard_at: Timestamp) -> Option<Duration> {
        let before = self.view.live.since.duration_since(heard_at);
        before.is_positive().then_some(before)
    }

    fn candidates(&self, earliest: Timestamp) -> Vec<CandidateFacts> {
        let window = self.view.longest_window();
        let ledger = &self.dossier.ledger;
        let mut all: Vec<&Deployment> = ledger.all().collect();
        // Newest first, of whatever kind.
        all.sort_by_key(|deployment| std::cmp::Reverse(deployment.started_at));
        all.into_iter()
            .filter(|deployment| {
                deployment.over_at().is_none_or(|finished| finished + window >= earliest)
                    && deployment.status != DeploymentStatus::Stopped
                    // Who took a change back did not make the trouble.
                    && (deployment.change == ChangeKind::Code || deployment.origin == DeploymentOrigin::Ordinary)
            })
            .take(CANDIDATES_MAX)
            .map(|deployment| candidate_facts(&self.dossier.ledger, deployment))
            .collect()
    }

    fn facts(&self, earliest: Timestamp) -> GuardFacts {
        let (now, standing) = (self.view.now, self.view.standing);
        let guards = &self.view.shared.guards;
        let service = &self.dossier.service;
        let opened = self.dossier.open.as_ref().map_or(now, |case| case.opened_at);
        let judged_by_provider = self.view.live.provider_judges.then(|| earliest + guards.provider_grace);
        GuardFacts {
            hold: standing.hold.as_ref().map(|hold| hold.reasons.join("; ")),
            paused: standing.pause.is_some(),
            paused_everything: standing.pause.as_ref().is_some_and(|pause| pause.everything),
            frozen_until: self
                .dossier
                .freeze
                .as_ref()
                .map(|freeze| freeze.until)
                .filter(|until| *until > now),
            last_act_at: standing.last_act(service).map(|act| act.at),
            suspect_rolled_back: false,
            bad_release_back: None,
            current: self.dossier.ledger.current.clone(),
            newer_deployment: self
                .dossier
                .ledger
                .deployments
                .iter()
                .rev()
                .find(|d| d.started_at > earliest && d.origin == DeploymentOrigin::Ordinary)
                .map(|d| d.id.clone()),
            owned_by: match &self.dossier.owner {
                Owner::Nobody => None,
                Owner::Other(owner) => Some(owner.clone()),
            },
            provider_judges_until: judged_by_provider,
            ledger_incomplete: !self.view.live.described_since(opened),
            budgets_spent: budgets_spent(standing, service, guards, now),
            services_raised: standing.services_raised(service, guards.shared_outage_within, now),
            change_elsewhere: Vec::new(),
            calendar: guards
                .not_during
                .iter()
                .find(|name| self.view.rules.holds(name, now))
                .map(|name| format!("no automatic acts during {name}")),
            settled_before: None,
        }
    }

    /// What depends on which deployment is the suspect.
    fn fill_for(&self, brief: &mut Brief, suspect: &DeploymentId) {
        let (now, standing) = (self.view.now, self.view.standing);
        let Some(deployment) = self.dossier.ledger.deployment(suspect) else { return };
        let rules = TargetRules {
            max_back: self.view.settings.max_back,
            inherit_good: self.view.settings.inherit_good,
        };
        // Nothing leads back from what is no release.
        let is_release = deployment.change == ChangeKind::Code;
        let target = self.dossier.ledger.target(deployment, rules, now).filter(|_| is_release);
        brief.target = target.map(|target| TargetFacts {
            release: target.page.release.id.clone(),
            grade: target.page.grade,
            proven: target.proven,
            releases_back: target.releases_back,
            deployed_at: target.deployed_at,
            artifact_exists: target.page.release.artifact_exists,
            runs_on_schema: target.page.release.marks.schema_version,
            undone: undone(&self.dossier.ledger, &target.page.release.id, deployment),
            taken_back: self.taken_back(suspect, &target.page.release.id),
        });
        if let Some(target) = &brief.target {
            let opened = self.dossier.open.as_ref().map_or(now, |case| case.opened_at);
            brief.with = companion::facts(self.view, &self.dossier.ledger, &target.release, opened);
        }
        let this_case = self.dossier.open.as_ref().map(|case| &case.id);
        let earlier = || self.dossier.outcomes.iter().filter(|past| past.suspect.as_ref() == Some(suspect));
        brief.facts.suspect_rolled_back = earlier().any(|past| past.acted)
            || standing.acts.iter().any(|act| {
                !act.unsent
                    && act.service == brief.service
                    && act.suspect.as_ref() == Some(suspect)
                    && Some(&act.case) != this_case
            });
        brief.facts.settled_before = earlier()
            .find(|past| {
                matches!(
                    past.outcome,
                    Outcome::Denied | Outcome::Expired | Outcome::Cancelled | Outcome::Superseded
                )
            })
            .map(|past| format!("case {} of this deployment ended as {}", past.case, past.outcome.word()));
        let page = self.dossier.ledger.page(&deployment.release);
        let barred = page.filter(|page| page.lock.is_some() || page.grade == Grade::Bad);
        brief.facts.bad_release_back = barred.map(|page| page.why.clone());
        let change = self.dossier.ledger.release_of(deployment).and_then(|release| release.change.clone());
        if let Some(change) = change {
            brief.facts.change_elsewhere =
                standing.others_of_change(&change, &brief.service, ONE_CHANGE_WITHIN, now);
        }
    }

    /// What a plan of this case has found that going back takes away: it follows from both releases, whatever became of the plan.
    fn taken_back(&self, suspect: &DeploymentId, target: &ReleaseId) -> Option<TakenBack> {
        let case = self.dossier.open.as_deref()?;
        let planned = |stamped: &Stamped| {
            let Event::Planned(plan) = &stamped.event else { return None };
            let is_it = plan.suspect.as_ref() == Some(suspect) && plan.to.id == *target;
            plan.taken_back.clone().filter(|_| is_it)
        };
        case.events.iter().rev().find_map(planned)
    }

    fn raise(&mut self, decision: &Decision) {
        let change = decision.brief.suspect_facts().and_then(|suspect| suspect.change.clone());
        self.written.standing.push(StandingEvent::CaseRaised(Raised {
            service: self.dossier.service.clone(),
            change,
            at: self.view.now,
        }));
    }

    /// A signal worth a rollback, before guards and in shadow too, takes from its suspect what it had earned.
    fn taint(&mut self, decision: &Decision) {
        let worthy = decision.proposed >= Verdict::Approve
            || decision.shadow.as_ref().is_some_and(|(_, verdict)| *verdict >= Verdict::Approve);
        let Some(suspect) = decision.brief.suspect_facts().filter(|_| worthy) else { return };
        let release = suspect.release.clone();
        let Some(page) = self.dossier.ledger.page(&release) else { return };
        let grade = page.grade;
        if page.tainted_at.is_none() {
            let at = decision.brief.signals.iter().map(|signal| signal.onset).min().unwrap_or(decision.at);
            self.write(Event::Tainted { release: release.clone(), at });
        }
        if matches!(grade, Grade::Baking | Grade::Good | Grade::Inherited) {
            let why = "a signal's onset fell into its window".to_owned();
            self.write(Event::Graded { release, grade: Grade::Unknown, why });
        }
    }
}

fn candidate_facts(ledger: &Ledger, deployment: &Deployment) -> CandidateFacts {
    let release = ledger.release_of(deployment);
    CandidateFacts {
        deployment: deployment.id.clone(),
        service: deployment.service.clone(),
        release: deployment.release.clone(),
        version: release.and_then(|release| release.version.clone()),
        commit: release.and_then(|release| release.commit.clone()),
        author: release.and_then(|release| release.author.clone()).or_else(|| deployment.by.clone()),
        change: release.and_then(|release| release.change.clone()),
        kind: deployment.change,
        started_at: deployment.started_at,
        serving_from: deployment.serving_from(),
        finished_at: deployment.over_at(),
        is_current: deployment.change == ChangeKind::Code
            && ledger.current.as_ref() == Some(&deployment.release),
        going_out: deployment.is_going_out(),
        origin: deployment.origin.clone(),
        labels: deployment.labels.clone(),
        our_clock: deployment.our_clock,
    }
}

/// What going back to `target` takes away, newest first.
pub(super) fn undone(ledger: &Ledger, target: &super::id::ReleaseId, suspect: &Deployment) -> Vec<Undone> {
    ledger
        .undone(target, suspect)
        .into_iter()
        .map(|page| Undone {
            release: page.release.id.clone(),
            called: page.release.called().to_owned(),
            author: page.release.author.clone(),
            marks: page.release.marks,
        })
        .collect()
}

/// Whether two decisions say the same to people and to the case.
fn same_answer(last: &Decision, new: &Decision) -> bool {
    let outcomes = |decision: &Decision| -> Vec<_> {
        decision.guards.iter().map(|guard| (guard.name, guard.outcome)).collect()
    };
    let target = |decision: &Decision| decision.brief.target.as_ref().map(|target| target.release.clone());
    let with = |decision: &Decision| companion::legs(&decision.brief.with);
    last.verdict == new.verdict
        && last.proposed == new.proposed
        && last.stopped == new.stopped
        && last.rule == new.rule
        && last.terms == new.terms
        && last.suspect == new.suspect
        && last.recheck == new.recheck
        && last.shadow == new.shadow
        && last.rules == new.rules
        && target(last) == target(new)
        && with(last) == with(new)
        && (last.suspicion - new.suspicion).abs() < SAME_SUSPICION
        && outcomes(last) == outcomes(new)
}
