//! The rows of a table: yes, no with the first condition that failed, not yet with its moment; the first that is not no
//! governs, and while it waits only harmless rows below it serve.

mod briefs;

use std::collections::BTreeMap;

use briefs::{at, calm, undone};
use snapback::case::brief::Brief;
use snapback::case::calendar::{Calendar, times};
use snapback::case::decide::{Answer, Decision, Verdict, decide, explain_rows};
use snapback::case::expression::Expression;
use snapback::case::id::Duration;
use snapback::case::matcher::Matcher;
use snapback::case::release::MigrationMarks;
use snapback::case::rules::{Alerts, RowMode, Rule, RuleTable};

fn row(name: &str, action: Verdict, change: impl FnOnce(&mut Rule)) -> Rule {
    let mut row = Rule::new(name.into(), action);
    change(&mut row);
    row
}

fn table(rows: Vec<Rule>) -> RuleTable {
    let never = Calendar { times: vec![times("00:00-00:01").expect("times")], ..Calendar::default() };
    RuleTable::new(rows, BTreeMap::from([("a-minute-of-the-night".into(), never)]))
}

fn judged(brief: &Brief, rows: Vec<Rule>) -> Decision {
    decide(brief, &table(rows))
}

fn matcher(text: &str) -> Matcher {
    Matcher::parse(text).expect(text)
}

fn with_label(name: &str, value: &str) -> Brief {
    let mut brief = calm();
    std::sync::Arc::make_mut(&mut brief.signals[0].labels).insert(name.into(), value.into());
    brief
}

type Change = fn(&mut Rule);

/// One condition each, on a signal with `severity="critical"`, at 310 s, ten seconds after it began.
const CONDITIONS: [(&str, &str, Change); 15] = [
    ("yes", "nothing asked", |_| {}),
    ("yes", "a matcher that holds", |r| r.matchers.push(matcher("severity=critical"))),
    ("no", "a matcher that does not", |r| r.matchers.push(matcher("severity=page"))),
    ("yes", "the service", |r| r.service.push("checkout@*".into())),
    ("no", "another service", |r| r.service.push("payments@production".into())),
    ("no", "a tier that it has not", |r| r.tier.push("critical".into())),
    ("no", "more suspicion", |r| r.suspicion = 0.99),
    ("no", "a window that is over", |r| r.window = Duration::from_secs(200)),
    ("yes", "a time that it fired for", |r| r.firing_for = Some(Duration::from_secs(10))),
    ("not_yet", "a longer time", |r| r.firing_for = Some(Duration::from_secs(60))),
    ("not_yet", "a second episode", |r| {
        r.alerts = Some(Alerts { at_least: 2, within: Duration::from_mins(5) })
    }),
    ("no", "a second episode, too late", |r| {
        r.alerts = Some(Alerts { at_least: 2, within: Duration::from_secs(5) })
    }),
    ("yes", "an expression that holds", |r| r.when = Expression::parse("signal.severity == 'critical'").ok()),
    ("no", "a time of the night", |r| r.during.push("a-minute-of-the-night".into())),
    ("yes", "not that time", |r| r.not_during.push("a-minute-of-the-night".into())),
];

#[test]
fn each_condition_answers_alone() {
    for (expected, what, change) in CONDITIONS {
        let rules = table(vec![row("one", Verdict::Rollback, change)]);
        let answer = explain_rows(&with_label("severity", "critical"), &rules).remove(0).answer;
        assert_eq!(answer.word(), expected, "{what}: {answer:?}");
        if let Answer::No(why) = answer {
            assert!(!why.is_empty(), "{what} does not say why");
        }
    }
}

#[test]
fn what_cannot_be_evaluated_is_no_and_says_so() {
    let missing = |r: &mut Rule| r.when = Expression::parse("signal.labels.region == 'eu'").ok();
    let answer = explain_rows(&calm(), &table(vec![row("one", Verdict::Rollback, missing)])).remove(0).answer;
    assert!(matches!(&answer, Answer::No(why) if !why.is_empty()), "{answer:?}");
}

#[test]
fn the_first_row_that_is_not_no_governs() {
    let other = row("other", Verdict::Rollback, |r| r.matchers.push(matcher("severity=page")));
    let first = row("first", Verdict::Approve, |_| {});
    let second = row("second", Verdict::Rollback, |_| {});
    let decision = judged(&calm(), vec![other, first, second]);
    assert_eq!(
        (decision.verdict, decision.rule.as_ref().map(|rule| rule.as_str())),
        (Verdict::Approve, Some("first"))
    );
}

#[test]
fn while_a_row_waits_only_harmless_rows_below_it_serve() {
    let waits = || row("waits", Verdict::Rollback, |r| r.firing_for = Some(Duration::from_secs(60)));
    let acts = row("acts", Verdict::Approve, |_| {});
    let tells = row("tells", Verdict::Notify, |_| {});
    let decision = judged(&calm(), vec![waits(), acts.clone()]);
    assert!(decision.verdict < Verdict::Approve, "a row below acted: {:?}", decision.rule);
    assert_eq!(decision.recheck, Some(at(360)));
    // The first yes below it is the only one that may serve (product §6): a harmless row under an acting one waits too.
    let decision = judged(&calm(), vec![waits(), acts, tells.clone()]);
    let governing = decision.rule.as_ref().map(|rule| rule.as_str());
    assert_eq!((decision.verdict, governing), (Verdict::Ignore, Some("waits")));
    let decision = judged(&calm(), vec![waits(), tells]);
    assert_eq!(decision.verdict, Verdict::Notify);
    let mut later = calm();
    later.now = at(360);
    assert_eq!(judged(&later, vec![waits()]).verdict, Verdict::Rollback, "its moment came");
}

#[test]
fn shadow_rows_are_judged_beside_and_decide_nothing() {
    let shadow = row("shadow", Verdict::Rollback, |r| r.mode = RowMode::Shadow);
    let off = row("off", Verdict::Rollback, |r| r.mode = RowMode::Off);
    let live = row("live", Verdict::Notify, |_| {});
    let decision = judged(&calm(), vec![shadow, off, live]);
    assert_eq!(decision.verdict, Verdict::Notify);
    assert_eq!(decision.shadow, Some(("shadow".into(), Verdict::Rollback)));
}

#[test]
fn without_a_row_people_are_told_from_half_a_suspicion_on() {
    assert_eq!(judged(&calm(), Vec::new()).verdict, Verdict::Notify);
    let mut weak = calm();
    weak.candidates.clear();
    weak.suspect = None;
    assert_eq!(judged(&weak, Vec::new()).verdict, Verdict::Ignore);
}

/// A rollback takes everything newer away too, so a row compares with the sum over all of that.
#[test]
fn a_row_compares_with_everything_that_would_go_back() {
    let mut brief = calm();
    let mut older = brief.candidates[0].clone();
    older.deployment = "d-v1b".into();
    older.release = "v1b".into();
    older.is_current = false;
    older.started_at = at(-120);
    older.serving_from = at(-120);
    older.finished_at = Some(at(-90));
    brief.candidates.push(older);
    brief.suspect = Some("d-v1b".into());
    brief.target.as_mut().expect("a target").undone.push(undone("v1b", MigrationMarks::default()));
    let decision = judged(&brief, vec![row("any", Verdict::Rollback, |_| {})]);
    let alone = decision.candidate(&"d-v1b".into()).expect("a candidate").suspicion;
    assert!(alone < 0.7 && decision.suspicion >= 0.8, "{alone} alone, {} in all", decision.suspicion);
    assert_eq!(decision.proposed, Verdict::Rollback);
    assert_eq!(decision.verdict, Verdict::Approve, "newer releases go back too: people are asked");
}

/// The index only passes over rows that would say no.
#[test]
fn the_index_reaches_every_row_that_could_hold() {
    let label = |text: &str| matcher(text);
    let mut rows = Vec::new();
    for nth in 0..40 {
        rows.push(row(&format!("{nth}"), Verdict::Notify, |r| match nth % 5 {
            0 => r.service.push("checkout@production".into()),
            1 => r.service.push(format!("svc-{nth}@production")),
            2 => r.matchers.push(label(if nth % 2 == 0 { "severity=critical" } else { "severity=page" })),
            3 => r.matchers.push(label("severity=~\"crit.*\"")),
            _ => r.matchers.push(label("region=\"\"")),
        }));
    }
    let brief = with_label("severity", "critical");
    for row in rows {
        let (name, one) = (row.name.clone(), vec![row]);
        let full = explain_rows(&brief, &table(one.clone())).remove(0).answer == Answer::Yes;
        let reached = judged(&brief, one).rule.is_some();
        assert_eq!(full, reached, "row {name} is lost by the index, or found by it alone");
    }
}
