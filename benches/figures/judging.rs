//! What one decision costs, with few rows and with many.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Instant;

use snapback::case::brief::Brief;
use snapback::case::decide::{Verdict, decide};
use snapback::case::expression::Expression;
use snapback::case::id::RuleName;
use snapback::case::matcher::Matcher;
use snapback::case::rules::{Rule, RuleTable};

use crate::Figure;
use crate::stage::Fault;

#[path = "../../tests/briefs/mod.rs"]
mod briefs;

/// Decisions in one measurement, and measurements; the median of them counts.
const DECISIONS: u32 = 20_000;
const ROUNDS: usize = 9;

pub(crate) fn measure() -> Result<Vec<Figure>, Fault> {
    let brief = briefs::calm();
    let (few, many) = (table(10)?, table(10_000)?);
    let (mut with_few, mut with_many) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        with_few.push(microseconds(&brief, &few));
        with_many.push(microseconds(&brief, &many));
    }
    let (with_few, with_many) = (median(with_few), median(with_many));
    let times = with_many / with_few;
    Ok(vec![
        Figure::new("decide_10_us", with_few, "one decision with 10 rows"),
        Figure::new(
            "decide_10k_us",
            with_many,
            format!("with 10,000 rows of as many services, 10 % regex, 1 % CEL; {times:.2} times that of 10 (goal: at most 2)"),
        )
        .under(20.0),
    ])
}

/// As many rows as services, each for its own; every tenth with a regex, every hundredth with an expression. The
/// brief's own service comes last and governs.
fn table(count: usize) -> Result<RuleTable, Fault> {
    let mut rows = Vec::new();
    for nth in 0..count {
        let mut row = Rule::new(RuleName::new(format!("row {nth}")), Verdict::Rollback);
        let last = nth + 1 == count;
        row.service =
            vec![if last { "checkout@production".into() } else { format!("shop-{nth}@production") }];
        let matcher =
            if nth % 10 == 0 { r#"alertname=~"High.*Rate|Burn""# } else { r#"alertname="HighErrorRate""# };
        row.matchers = vec![Matcher::parse(matcher)?];
        if nth % 100 == 0 || last {
            row.when =
                Some(Expression::parse(r#"signal.name.startsWith("High") && suspect.kind == "code""#)?);
        }
        rows.push(row);
    }
    Ok(RuleTable::new(rows, BTreeMap::new()))
}

fn microseconds(brief: &Brief, rules: &RuleTable) -> f64 {
    let begun = Instant::now();
    for _ in 0..DECISIONS {
        black_box(decide(black_box(brief), black_box(rules)));
    }
    begun.elapsed().as_secs_f64() * 1e6 / f64::from(DECISIONS)
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
