//! A decision with every reason, as a person reads it on a terminal.

use snapback::admin::shapes::{CandidateShape, CasePlanShape, ExplanationShape};

use super::table::{moment, moment_or_dash, or_dash, plain, table};

/// Rows that are shown; the rest is counted. JSON has them all.
const ROWS_SHOWN: usize = 60;

/// A decision in lines and tables.
pub(super) fn told(decision: &ExplanationShape) -> String {
    let mut parts = vec![head(decision), candidates(decision), rows(decision), guards(decision)];
    parts.extend(decision.plan.as_ref().map(plan));
    let flip = decision.flip.as_deref().map_or("no single change is known that would".to_owned(), plain);
    parts.push(format!("what would flip it: {flip}"));
    parts.push(format!(
        "decided {} by logic {}; rules {}; brief {}",
        moment(decision.at),
        decision.logic,
        short(&decision.digests.rules),
        short(&decision.digests.brief)
    ));
    parts.join("\n\n")
}

fn head(decision: &ExplanationShape) -> String {
    let by = decision.rule.as_ref().map_or("no row".to_owned(), |rule| format!("row \"{}\"", plain(rule)));
    let mut lines = vec![format!("{}: {} by {by}", plain(&decision.service), plain(&decision.verdict))];
    if decision.mode == "shadow" && decision.verdict != "ignore" {
        lines.push("in shadow mode: it is told, and nothing is done".to_owned());
    }
    if decision.proposed != decision.verdict {
        lines.push(format!("the rows said {}; guards weakened it", plain(&decision.proposed)));
    }
    if let Some(stopped) = &decision.stopped {
        lines.push(format!("no act at all is allowed: {}", plain(stopped)));
    }
    if let Some(suspect) = &decision.suspect {
        let found =
            decision.candidates.iter().find(|candidate| candidate.deployment.as_ref() == Some(suspect));
        let name = found.map_or_else(|| plain(suspect), called);
        lines.push(format!("suspect: {name}, suspicion {:.2}", decision.suspicion));
    }
    if let Some(shadow) = &decision.shadow {
        lines.push(format!(
            "the shadow row \"{}\" would say {}",
            plain(&shadow.rule),
            plain(&shadow.verdict)
        ));
    }
    if let Some(recheck) = decision.recheck {
        lines.push(format!("judged again at {} if nothing changes", moment(recheck)));
    }
    lines.join("\n")
}

/// What people call a candidate, with the provider's name for it.
fn called(candidate: &CandidateShape) -> String {
    let Some(deployment) = &candidate.deployment else { return "none of them".to_owned() };
    match candidate.version.as_ref().or(candidate.release.as_ref()) {
        Some(name) => format!("{} ({})", plain(name), plain(deployment)),
        None => plain(deployment),
    }
}

fn candidates(decision: &ExplanationShape) -> String {
    let mut rows = table(&["candidate", "suspicion", "part", "factor", "why"]);
    for candidate in &decision.candidates {
        let name = called(candidate);
        let mut first = Some((name, format!("{:.2}", candidate.suspicion)));
        if candidate.parts.is_empty() {
            let (name, suspicion) = first.take().unwrap_or_default();
            rows.add_row([name, suspicion, String::new(), String::new(), String::new()]);
        }
        for part in &candidate.parts {
            let (name, suspicion) = first.take().unwrap_or_default();
            rows.add_row([
                name,
                suspicion,
                plain(&part.name),
                format!("{:.2}", part.factor),
                plain(&part.text),
            ]);
        }
    }
    rows.to_string()
}

fn rows(decision: &ExplanationShape) -> String {
    let mut rows = table(&["row", "answer", "first that fails", "until"]);
    for row in decision.rows.iter().take(ROWS_SHOWN) {
        let answer = plain(&row.answer).replace('_', " ");
        rows.add_row([plain(&row.name), answer, or_dash(row.failed.as_deref()), moment_or_dash(row.until)]);
    }
    let mut text = rows.to_string();
    let beyond = decision.rows.len().saturating_sub(ROWS_SHOWN);
    if beyond > 0 {
        text.push_str(&format!("\nand {beyond} more: see --output json"));
    }
    for passed in &decision.passed_over {
        text.push_str(&format!("\n{} rows passed over: {}", passed.rows, plain(&passed.reason)));
    }
    text
}

/// Guards that say something against it; the others are counted.
fn guards(decision: &ExplanationShape) -> String {
    let (silent, speaking): (Vec<_>, Vec<_>) =
        decision.guards.iter().partition(|guard| guard.outcome == "pass");
    if speaking.is_empty() {
        return format!("all {} guards pass", silent.len());
    }
    let mut rows = table(&["guard", "at most", "why"]);
    for guard in speaking {
        rows.add_row([plain(&guard.name), plain(&guard.outcome), plain(&guard.reason)]);
    }
    format!("{rows}\nthe other {} guards pass", silent.len())
}

fn plan(plan: &CasePlanShape) -> String {
    let title =
        if plan.digest.is_some() { "plan:" } else { "plan, as far as it can be told without the provider:" };
    let mut lines = vec![title.to_owned()];
    lines.extend(steps(plan));
    if plan.undone.len() > 1 {
        let undone: Vec<String> = plan.undone.iter().map(|release| plain(release)).collect();
        lines.push(format!("  goes with it: {}", undone.join(", ")));
    }
    lines.join("\n")
}

/// The steps of a plan, numbered.
pub(super) fn steps(plan: &CasePlanShape) -> Vec<String> {
    (1..)
        .zip(&plan.steps)
        .map(|(number, step): (u32, _)| format!("  {number}. {}", plain(&step.text)))
        .collect()
}

/// Enough of a digest to tell two apart.
fn short(digest: &str) -> String {
    plain(digest).chars().take(12).collect()
}
