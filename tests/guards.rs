//! Every guard, alone: a brief that nothing speaks against is rolled back; one fact is changed, and exactly the guard
//! that watches it answers, and weakens the verdict as far as it may. Beside it the anchor of suspicion.

mod briefs;

use std::collections::{BTreeMap, BTreeSet};

use briefs::{at, calm, undone};
use snapback::case::brief::{Brief, TargetFacts};
use snapback::case::commits::TakenBack;
use snapback::case::companion::CompanionFacts;
use snapback::case::decide::{Decision, Verdict, decide};
use snapback::case::deployment::{ChangeKind, DeploymentOrigin};
use snapback::case::guard::{GuardName, GuardOutcome, judge};
use snapback::case::id::Duration;
use snapback::case::release::{MigrationMarks, RollbackMark};
use snapback::case::rules::{Rule, RuleTable};
use snapback::case::settings::Migrations;
use snapback::case::signal::Lag;

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

/// The other rows of each guard's truth table: what lets it pass, what it cannot tell, and both sides of each bound.
#[test]
fn every_row_of_each_guards_truth_table() {
    let mut outcomes: BTreeMap<GuardName, BTreeSet<&str>> = BTreeMap::new();
    let woken = table().into_iter().map(|(name, outcome, change)| (name, outcome, "woken", change));
    for (name, outcome, says, change) in woken.chain(other_rows()) {
        let mut brief = calm();
        change(&mut brief);
        let candidates = judged(&brief).candidates;
        let mut row = Rule::new("any".into(), Verdict::Rollback);
        row.dependency = says.contains("the row may");
        let answers = judge(&brief, &candidates, brief.candidates.first(), Some(&row));
        let guard = answers.iter().find(|guard| guard.name == name).expect("every guard answers");
        assert_eq!(guard.outcome, outcome, "{}, {says}: {}", name.word(), guard.reason);
        outcomes.entry(name).or_default().insert(guard.outcome.word());
    }
    for name in GuardName::ALL {
        let seen = &outcomes[&name];
        assert!(seen.contains("pass") && seen.len() > 1, "{}: only {seen:?} is tried", name.word());
    }
}

type Change = fn(&mut Brief);

/// No candidate, and so no suspect.
fn nobody(brief: &mut Brief) {
    brief.candidates.clear();
    brief.suspect = None;
}

/// Each guard with a fact that leaves it asleep, or wakes it another way.
fn other_rows() -> Vec<(GuardName, GuardOutcome, &'static str, Change)> {
    use GuardName as G;
    use GuardOutcome as O;
    let calm_passes =
        GuardName::ALL.map(|name| (name, O::Pass, "nothing speaks against", (|_| {}) as Change));
    let mut rows = calm_passes.to_vec();
    let others: Vec<(G, O, &'static str, Change)> = vec![
        (G::Hold, O::Pass, "a pause is no hold", |b| b.facts.paused_everything = true),
        (G::PauseEverything, O::Pass, "a pause is not of everything", |b| b.facts.paused = true),
        (G::Pause, O::Approve, "everything includes it", |b| b.facts.paused_everything = true),
        (G::TargetMissing, O::Unknown, "nobody looked", |b| target(b).artifact_exists = None),
        (G::TargetMissing, O::Pass, "no target", |b| b.target = None),
        (G::NotCurrent, O::Unknown, "the provider does not tell", |b| b.facts.current = None),
        (G::NotCurrent, O::Stop, "the target serves already", |b| b.facts.current = Some("v1".into())),
        (G::NotCurrent, O::Pass, "going out, nothing else is expected", |b| {
            b.candidates[0].going_out = true;
            b.facts.current = Some("v1".into());
        }),
        (G::NotCurrent, O::Pass, "one serves that came after", |b| {
            let mut newer = b.candidates[0].clone();
            (newer.deployment, newer.release, newer.started_at) = ("d-v3".into(), "v3".into(), at(60));
            b.candidates.push(newer);
            b.facts.current = Some("v3".into());
        }),
        (G::NotCurrent, O::Stop, "one serves that came before", |b| {
            let mut older = b.candidates[0].clone();
            (older.deployment, older.release, older.started_at) = ("d-v0".into(), "v0".into(), at(-600));
            b.candidates.push(older);
            b.facts.current = Some("v0".into());
        }),
        (G::NotCurrent, O::Stop, "another service's newer one is none", |b| {
            let mut other = b.candidates[0].clone();
            (other.deployment, other.release, other.started_at) = ("d-v3".into(), "v3".into(), at(60));
            other.service = "payments@production".into();
            b.candidates.push(other);
            b.facts.current = Some("v3".into());
        }),
        (G::NotCurrent, O::Pass, "no suspect", nobody),
        (G::TargetIsSuspect, O::Pass, "no target", |b| b.target = None),
        (G::TargetIsSuspect, O::Pass, "no suspect", nobody),
        (G::Stale, O::Pass, "exactly at the limit", |b| b.signals[0].opened_at = at(300 + 900)),
        (G::Stale, O::Notify, "a second beyond it", |b| b.signals[0].opened_at = at(300 + 901)),
        (G::Stale, O::Pass, "the source says that it still fires", |b| {
            b.signals[0].opened_at = at(300 + 3600);
            b.signals[0].confirmed = true;
        }),
        (G::Stale, O::Pass, "unheard since we began, exactly at the limit", |b| {
            b.signals[0].unheard = Some(Duration::from_mins(15));
        }),
        (G::Stale, O::Notify, "unheard since we began, a second beyond it", |b| {
            b.signals[0].unheard = Some(Duration::from_secs(901));
        }),
        (G::Stale, O::Pass, "unheard for an hour, and the source says that it still fires", |b| {
            b.signals[0].unheard = Some(Duration::from_hours(1));
            b.signals[0].confirmed = true;
        }),
        (G::Stale, O::Pass, "a fresh one stands beside it", |b| {
            let fresh = b.signals[0].clone();
            b.signals[0].opened_at = at(300 + 3600);
            b.signals.push(fresh);
        }),
        (G::OlderThanSuspect, O::Notify, "a person cleared the suspect of it", |b| {
            b.signals[0].exonerated = vec!["d-v2".into()];
        }),
        (G::OlderThanSuspect, O::Notify, "its window is over", |b| {
            (b.signals[0].started_at, b.signals[0].onset) = (at(7200), at(7140));
        }),
        (G::OlderThanSuspect, O::Notify, "an exact onset before it", |b| {
            b.signals[0].lag = Lag::Exact(at(-200));
            b.signals[0].onset = at(-200);
        }),
        (G::OlderThanSuspect, O::Pass, "no suspect", nobody),
        (G::OwnRollback, O::Notify, "no suspect, and ours serves", |b| {
            b.candidates[0].origin = DeploymentOrigin::Ours("snapback/1".into());
            b.candidates.rotate_left(1);
            b.suspect = None;
        }),
        (G::OwnRollback, O::Pass, "no suspect", nobody),
        (G::NewerDeployment, O::Pass, "the newer one is the suspect", |b| {
            b.facts.newer_deployment = Some("d-v2".into());
        }),
        (G::NewerDeployment, O::Notify, "no suspect", |b| {
            nobody(b);
            b.facts.newer_deployment = Some("d-v3".into());
        }),
        (G::NotUndoable, O::Notify, "a configuration", |b| b.candidates[0].kind = ChangeKind::Config),
        (G::NotUndoable, O::Notify, "infrastructure", |b| b.candidates[0].kind = ChangeKind::Infra),
        (G::NotUndoable, O::Pass, "no suspect", nobody),
        (G::ProviderJudges, O::Pass, "its grace is over", |b| {
            b.candidates[0].going_out = true;
            b.facts.provider_judges_until = Some(at(310));
        }),
        (G::ProviderJudges, O::Pass, "it finished going out", |b| {
            b.facts.provider_judges_until = Some(at(400));
        }),
        (G::Freeze, O::Pass, "it ends now", |b| b.facts.frozen_until = Some(at(310))),
        (G::Freeze, O::Approve, "it ends in a second", |b| b.facts.frozen_until = Some(at(311))),
        (G::Cooldown, O::Pass, "exactly over", |b| b.facts.last_act_at = Some(at(310 - 1800))),
        (G::Cooldown, O::Approve, "a second left", |b| b.facts.last_act_at = Some(at(310 - 1799))),
        (G::SharedOutage, O::Pass, "one too few", |b| b.facts.services_raised = 2),
        (G::Unproven, O::Pass, "no target", |b| b.target = None),
        (G::BeyondMaxBack, O::Pass, "exactly as many releases", |b| target(b).releases_back = 5),
        (G::BeyondMaxBack, O::Pass, "exactly as old", |b| {
            target(b).deployed_at = Some(at(310 - 7 * 86_400));
        }),
        (G::BeyondMaxBack, O::Approve, "a second older", |b| {
            target(b).deployed_at = Some(at(310 - 7 * 86_400 - 1));
        }),
        (G::BeyondMaxBack, O::Approve, "nobody knows how old", |b| target(b).deployed_at = None),
        (G::BeyondMaxBack, O::Pass, "no target", |b| b.target = None),
        (G::Migration, O::Pass, "safe", |b| {
            b.limits.migrations = Migrations::Unknown;
            target(b).undone[0].marks.rollback = Some(RollbackMark::Safe);
        }),
        (G::Migration, O::Approve, "an older schema than the target needs", |b| {
            target(b).undone[0].marks.schema_version = Some(3);
            target(b).runs_on_schema = Some(4);
        }),
        (G::Migration, O::Approve, "so too where it is marked safe", |b| {
            target(b).undone[0].marks.rollback = Some(RollbackMark::Safe);
            target(b).undone[0].marks.schema_version = Some(3);
            target(b).runs_on_schema = Some(4);
        }),
        (G::Migration, O::Approve, "a newer schema that nothing vouches for", |b| {
            target(b).undone[0].marks.schema_version = Some(5);
            target(b).runs_on_schema = Some(4);
        }),
        (G::Migration, O::Pass, "the very schema that the target needs", |b| {
            target(b).undone[0].marks.schema_version = Some(4);
            target(b).runs_on_schema = Some(4);
        }),
        (G::Migration, O::Approve, "a barrier further back", |b| {
            let marks =
                MigrationMarks { rollback: Some(RollbackMark::Contract), ..MigrationMarks::default() };
            target(b).undone.push(undone("v1.5", marks));
        }),
        (G::Migration, O::Pass, "no target", |b| b.target = None),
        (G::FixesUndone, O::Unknown, "nobody reads commits", |b| target(b).taken_back = None),
        (G::FixesUndone, O::Approve, "some were not read", |b| taken(b).unread = 1),
        (G::FixesUndone, O::Pass, "no target", |b| b.target = None),
        (G::UnsureOnset, O::Approve, "the clocks decide", |b| {
            b.signals[0].started_at = at(-55);
            b.signals[0].onset = at(-55);
        }),
        (G::UnsureOnset, O::Approve, "it took no traffic yet", |b| {
            b.signals[0].onset = at(-30);
            b.candidates[0].serving_from = at(0);
        }),
        (G::UnsureOnset, O::Pass, "our own clock", |b| {
            (b.signals[0].started_at, b.signals[0].onset) = (at(-55), at(-55));
            b.candidates[0].our_clock = true;
        }),
        (G::Chronic, O::Pass, "one too few", |b| b.signals[0].episodes_day = 2),
        (G::NotLatest, O::Approve, "neither serving nor going out", |b| b.candidates[0].is_current = false),
        (G::NotLatest, O::Pass, "still going out", |b| {
            b.candidates[0].is_current = false;
            b.candidates[0].going_out = true;
        }),
        (G::NotLatest, O::Pass, "no suspect", nobody),
        (G::Dependency, O::Pass, "the row may", |b| b.candidates[0].service = "payments@production".into()),
        (G::Dependency, O::Pass, "no suspect", nobody),
    ];
    rows.extend(others);
    rows
}

fn taken(brief: &mut Brief) -> &mut TakenBack {
    target(brief).taken_back.as_mut().expect("commits")
}

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
        (G::AlreadyRolledBack, O::Approve, |b| b.facts.bad_release_back = Some("rolled back".into())),
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
        (G::FixesUndone, O::Approve, |b| taken(b).fixes.push("c0ffee \"mend CVE-2026-1\"".into())),
        (G::UnsureOnset, O::Approve, |b| b.signals[0].onset = at(-120)),
        (G::Chronic, O::Approve, |b| b.signals[0].episodes_day = 3),
        (G::ManyServices, O::Approve, |b| b.facts.change_elsewhere = vec!["payments@production".into()]),
        (G::LedgerIncomplete, O::Approve, |b| b.facts.ledger_incomplete = true),
        (G::NotLatest, O::Approve, |b| target(b).undone.insert(0, undone("v3", MigrationMarks::default()))),
        (G::Dependency, O::Approve, |b| b.candidates[0].service = "payments@production".into()),
        (G::Companions, O::Notify, |b| {
            companion(b).stuck = Some("what serves there could not be read".into())
        }),
        (G::Companions, O::Notify, |b| companion(b).owned_by = Some("Argo CD".into())),
        (G::Companions, O::Approve, |b| companion(b).frozen_until = Some(at(9999))),
        (G::Companions, O::Approve, |b| companion(b).apart = true),
        (G::Companions, O::Approve, |b| companions_target(b).proven = false),
        (G::Companions, O::Approve, |b| companions_target(b).releases_back = 6),
        (G::Companions, O::Approve, |b| {
            let other = undone("w1.5", MigrationMarks::default());
            companions_target(b).undone.push(other);
        }),
        (G::Companions, O::Approve, |b| {
            companions_target(b).undone[0].marks.rollback = Some(RollbackMark::Contract);
        }),
        (G::Companions, O::Approve, |b| companion(b).migrations = Migrations::Unknown),
        (G::Companions, O::Pass, |b| {
            companions_target(b).undone[0].marks.rollback = Some(RollbackMark::Contract);
            b.with[0].migrations = Migrations::None;
        }),
        (G::Companions, O::Pass, |b| companion(b).shadow = true),
        (G::Companions, O::Pass, |b| {
            // It stays, and nothing about it matters.
            let stays = companion(b);
            (stays.from, stays.target, stays.frozen_until) = (None, None, Some(at(9999)));
        }),
    ]
}

/// A companion that goes back from w2 to w1, which is good.
fn companion(brief: &mut Brief) -> &mut CompanionFacts {
    let target = TargetFacts {
        release: "w1".into(),
        undone: vec![undone("w2", MigrationMarks::default())],
        ..target(brief).clone()
    };
    brief.with = vec![CompanionFacts {
        service: "worker@production".into(),
        from: Some("w2".into()),
        target: Some(target),
        stuck: None,
        migrations: Migrations::Marked,
        frozen_until: None,
        owned_by: None,
        shadow: false,
        apart: false,
    }];
    &mut brief.with[0]
}

fn companions_target(brief: &mut Brief) -> &mut TargetFacts {
    companion(brief).target.as_mut().expect("a target")
}
