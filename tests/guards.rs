//! Every guard, alone: a brief that nothing speaks against is rolled back; one fact is changed, and exactly the guard
//! that watches it answers, and weakens the verdict as far as it may. Beside it the anchor of suspicion.

mod briefs;

use std::collections::{BTreeMap, BTreeSet};

use briefs::{at, calm, undone};
use snapback::case::brief::{Brief, TargetFacts};
use snapback::case::decide::{Decision, Verdict, decide};
use snapback::case::deployment::{ChangeKind, DeploymentOrigin};
use snapback::case::guard::{GuardName, GuardOutcome, judge};
use snapback::case::release::{MigrationMarks, RollbackMark};
use snapback::case::rules::{Rule, RuleTable};
use snapback::case::settings::Migrations;

fn judged(brief: &Brief) -> Decision {
    decide(brief, &RuleTable::new(vec![Rule::new("any".into(), Verdict::Rollback)], BTreeMap::new()))
}

#[test]
fn one_candidate_in_the_first_half_of_its_window_is_suspect_enough() {
    let decision = judged(&calm());
    assert!(decision.suspicion >= 0.8, "{}", decision.suspicion);
    let sum: f64 = decision.candidates.iter().map(|candidate| candidate.suspicion).sum();
    assert!((sum - 1.0).abs() < 1e-9, "the suspicions make {sum}");
    assert_eq!(decision.verdict, Verdict::Rollback);
    let against: Vec<_> =
        decision.guards.iter().filter(|guard| guard.outcome != GuardOutcome::Pass).collect();
    assert!(against.is_empty(), "{against:?}");
}

#[test]
fn the_same_brief_gives_the_same_decision() {
    assert_eq!(judged(&calm()), judged(&calm()));
}

#[test]
fn every_guard_weakens_as_far_as_it_may_and_no_further() {
    let mut tried = BTreeSet::new();
    for (name, outcome, change) in table() {
        let mut brief = calm();
        change(&mut brief);
        let decision = judged(&brief);
        // Asked about the deployment itself: correlation drops some of these suspects before any guard sees them.
        let row = Rule::new("any".into(), Verdict::Rollback);
        let answers = judge(&brief, &decision.candidates, brief.candidates.first(), Some(&row));
        let guard = answers.iter().find(|guard| guard.name == name).expect("every guard answers");
        assert_eq!(guard.outcome, outcome, "{}: {}", name.word(), guard.reason);
        assert!(!guard.reason.is_empty());
        assert!(
            decision.verdict <= outcome.ceiling(),
            "{} let {} pass",
            name.word(),
            decision.verdict.word()
        );
        if outcome == GuardOutcome::Stop {
            assert!(decision.stopped.is_some(), "{} does not stop", name.word());
        }
        tried.insert(name);
    }
    for name in GuardName::ALL {
        assert!(tried.contains(&name), "{} is never tried", name.word());
    }
}

type Change = fn(&mut Brief);

fn target(brief: &mut Brief) -> &mut TargetFacts {
    brief.target.as_mut().expect("a target")
}

/// Each guard with a fact that must wake it.
fn table() -> Vec<(GuardName, GuardOutcome, Change)> {
    use GuardName as G;
    use GuardOutcome as O;
    vec![
        (G::Hold, O::Stop, |b| b.facts.hold = Some("restored".into())),
        (G::PauseEverything, O::Stop, |b| b.facts.paused_everything = true),
        (G::TargetMissing, O::Stop, |b| target(b).artifact_exists = Some(false)),
        (G::NotCurrent, O::Stop, |b| {
            b.facts.current = Some("v9".into());
            b.candidates[0].is_current = false;
        }),
        (G::TargetIsSuspect, O::Stop, |b| target(b).release = "v2".into()),
        (G::NoTarget, O::Notify, |b| b.target = None),
        (G::Stale, O::Notify, |b| b.signals[0].opened_at = at(300 + 3600)),
        (G::OlderThanSuspect, O::Notify, |b| b.candidates[0].started_at = at(320)),
        (G::OwnRollback, O::Notify, |b| b.candidates[0].origin = DeploymentOrigin::Ours("snapback/1".into())),
        (G::AlreadyRolledBack, O::Notify, |b| b.facts.suspect_rolled_back = true),
        (G::NewerDeployment, O::Notify, |b| b.facts.newer_deployment = Some("d-v3".into())),
        (G::OwnedElsewhere, O::Notify, |b| b.facts.owned_by = Some("Argo CD".into())),
        (G::NotUndoable, O::Notify, |b| b.candidates[0].kind = ChangeKind::Flag),
        (G::SettledBefore, O::Notify, |b| b.facts.settled_before = Some("denied".into())),
        (G::ProviderJudges, O::Notify, |b| {
            b.candidates[0].going_out = true;
            b.candidates[0].finished_at = None;
            b.facts.provider_judges_until = Some(at(400));
        }),
        (G::Freeze, O::Approve, |b| b.facts.frozen_until = Some(at(9999))),
        (G::Pause, O::Approve, |b| b.facts.paused = true),
        (G::Calendar, O::Approve, |b| b.facts.calendar = Some("no automatic acts during fridays".into())),
        (G::Cooldown, O::Approve, |b| b.facts.last_act_at = Some(at(0))),
        (G::Budget, O::Approve, |b| b.facts.budgets_spent = vec!["1 of 1".into()]),
        (G::SharedOutage, O::Approve, |b| b.facts.services_raised = 3),
        (G::Unproven, O::Approve, |b| target(b).proven = false),
        (G::BeyondMaxBack, O::Approve, |b| target(b).releases_back = 6),
        (G::BeyondMaxBack, O::Approve, |b| target(b).deployed_at = Some(at(-8 * 86_400))),
        (G::Migration, O::Approve, |b| target(b).undone[0].marks.rollback = Some(RollbackMark::Contract)),
        (G::Migration, O::Approve, |b| target(b).undone[0].marks.rollback = Some(RollbackMark::Irreversible)),
        (G::Migration, O::Approve, |b| b.limits.migrations = Migrations::Unknown),
        (G::Migration, O::Pass, |b| target(b).undone[0].marks.rollback = Some(RollbackMark::Expand)),
        (G::Migration, O::Pass, |b| {
            b.limits.migrations = Migrations::None;
            target(b).undone[0].marks.rollback = Some(RollbackMark::Irreversible);
        }),
        (G::UnsureOnset, O::Approve, |b| b.signals[0].onset = at(-120)),
        (G::Chronic, O::Approve, |b| b.signals[0].episodes_day = 3),
        (G::ManyServices, O::Approve, |b| b.facts.change_elsewhere = vec!["payments@production".into()]),
        (G::LedgerIncomplete, O::Approve, |b| b.facts.ledger_incomplete = true),
        (G::NotLatest, O::Approve, |b| target(b).undone.insert(0, undone("v3", MigrationMarks::default()))),
        (G::Dependency, O::Approve, |b| b.candidates[0].service = "payments@production".into()),
    ]
}
