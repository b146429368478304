//! Explaining: the smallest change that would have flipped a verdict. Pure, like the decision itself: what is said
//! was decided again with the change, so it is never a guess. Leaves the reasons to `decide`.

use std::collections::BTreeMap;

use super::calendar::Calendar;
use super::decide::{Answer, Decision, RowTrace, Verdict, decide};
use super::guard::{GuardAnswer, GuardOutcome};
use super::id::PolicyName;
use super::rules::{RowMode, Rule, RuleTable};

/// Rows whose suspicion is tried: the nearest ones, each of which costs one decision.
const ROWS_TRIED: usize = 8;
/// So little above the suspicion of a case is just too much to ask.
const A_LITTLE: f64 = 0.001;

/// The smallest change that would have flipped this verdict, in a sentence. `None`: no single one is known.
///
/// `rules` is the table that decided, where it is still at hand, and `rows` how each of its rows answered.
pub fn flip(decision: &Decision, rows: &[RowTrace], rules: Option<&RuleTable>) -> Option<String> {
    if decision.verdict < decision.proposed || decision.stopped.is_some() {
        return one_guard(decision);
    }
    // Without a suspect there is nothing to be more suspicious of.
    let rules = rules.filter(|_| decision.suspect.is_some())?;
    waiting_row(decision, rows, rules).or_else(|| other_suspicion(decision, rules))
}

/// The one guard without which more would be allowed; two that allow the same are no small change.
fn one_guard(decision: &Decision) -> Option<String> {
    let strictness = |guard: &GuardAnswer| (guard.outcome.ceiling(), guard.outcome != GuardOutcome::Stop);
    let strictest = decision.guards.iter().map(strictness).min()?;
    let mut weakening = decision.guards.iter().filter(|guard| strictness(guard) == strictest);
    let (guard, None) = (weakening.next()?, weakening.next()) else { return None };
    let others = decision.guards.iter().filter(|other| other.name != guard.name);
    let allowed = others.map(|other| other.outcome.ceiling()).min().unwrap_or(Verdict::Rollback);
    let then = decision.proposed.min(allowed);
    let name = guard.name.word();
    if then > decision.verdict {
        return Some(format!("without the guard {name} ({}) it would be {}", guard.reason, then.word()));
    }
    (guard.outcome == GuardOutcome::Stop)
        .then(|| format!("without the guard {name} ({}) people could act", guard.reason))
}

/// A row that only waits is nearer than any other: nothing has to change but the time.
fn waiting_row(decision: &Decision, rows: &[RowTrace], rules: &RuleTable) -> Option<String> {
    let waits = |row: &RowTrace| match &row.answer {
        Answer::NotYet { until, .. } => Some(*until),
        Answer::Yes | Answer::No(_) | Answer::NotReached => None,
    };
    let (row, until) =
        rows.iter().filter_map(|row| Some((row, waits(row)?))).min_by_key(|(_, until)| *until)?;
    let mut brief = decision.brief.as_ref().clone();
    brief.now = until;
    let then = decide(&brief, rules).verdict;
    (then != decision.verdict)
        .then(|| format!("at {until}, if nothing changes, \"{}\" makes it {}", row.name, then.word()))
}

/// Another threshold of one row: the nearest that changes the verdict.
fn other_suspicion(decision: &Decision, rules: &RuleTable) -> Option<String> {
    let gap = |row: &Rule| (row.suspicion - decision.suspicion).abs();
    let governs = |row: &Rule| decision.rule.as_ref() == Some(&row.name);
    // A row that asks for more than there is may ask for less; the one that governs may ask for more.
    let may_flip = |row: &Rule| {
        row.mode == RowMode::Live
            && if row.suspicion > decision.suspicion { !governs(row) } else { governs(row) }
    };
    let mut near: Vec<(usize, &Rule)> =
        rules.rows().iter().enumerate().filter(|(_, row)| may_flip(row)).collect();
    near.sort_by(|(_, a), (_, b)| gap(a).total_cmp(&gap(b)));
    near.into_iter().take(ROWS_TRIED).find_map(|(position, row)| {
        let asks_too_much = row.suspicion > decision.suspicion;
        let asked = if asks_too_much { decision.suspicion } else { decision.suspicion + A_LITTLE };
        let then = decide(&decision.brief, &with_suspicion(rules, position, asked)).verdict;
        let (side, cure) = if asks_too_much { ("below", "enough") } else { ("above", "less") };
        (then != decision.verdict).then(|| {
            format!(
                "suspicion {:.2} is {side} the {} of \"{}\"; with {cure} it would be {}",
                decision.suspicion,
                row.suspicion,
                row.name,
                then.word()
            )
        })
    })
}

/// The same table, but for what one row asks.
fn with_suspicion(rules: &RuleTable, position: usize, suspicion: f64) -> RuleTable {
    let mut rows = rules.rows().to_vec();
    if let Some(row) = rows.get_mut(position) {
        row.suspicion = suspicion;
    }
    let named = rows.iter().flat_map(|row| row.during.iter().chain(&row.not_during));
    let calendars: BTreeMap<PolicyName, Calendar> =
        named.filter_map(|name| Some((name.clone(), rules.calendar(name)?.clone()))).collect();
    RuleTable::new(rows, calendars)
}
