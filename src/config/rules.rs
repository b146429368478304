//! The rule files: rows as they are written, with where each part stands. Leaves to `compile` what rows mean for each
//! other, and to `case::rules` how they are judged.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::conditions::{expression, matchers};
use super::fault::{Severity, quoted};
use super::people::Approvals;
use super::read::{At, Page, Table};
use super::services::unknown_name;
use super::sources::known_pattern;
use super::times::Times;
use crate::case::decide::{OnResolve, Verdict};
use crate::case::expression::Expression;
use crate::case::id::{Duration, PolicyName, RuleName, ServiceId};
use crate::case::matcher::Matcher;
use crate::case::rules::{self, Alerts, Rule};
use crate::case::settings::VerifyPolicy;

/// More rows than this in all files: the table is no longer something that people wrote.
const ROWS_MAX: usize = 50_000;

/// How a row takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RowMode {
    Live,
    Shadow,
    Off,
}

/// One row, as written.
pub(super) struct Row<'a> {
    pub(super) page: Page<'a>,
    pub(super) name: At<&'a str>,
    pub(super) matchers: Vec<(At<&'a str>, Matcher)>,
    pub(super) services: Vec<At<&'a str>>,
    pub(super) tiers: Vec<At<&'a str>>,
    pub(super) window: Duration,
    pub(super) suspicion: Option<f64>,
    pub(super) alerts: Option<(u32, Duration)>,
    pub(super) firing_for: Option<Duration>,
    pub(super) stale_after: Duration,
    pub(super) when: Option<(At<&'a str>, Expression)>,
    pub(super) during: Vec<PolicyName>,
    pub(super) not_during: Vec<PolicyName>,
    pub(super) mode: RowMode,
    pub(super) action: At<Verdict>,
    pub(super) countdown: Duration,
    pub(super) dependency: bool,
    pub(super) approval: Option<PolicyName>,
    pub(super) verify: Option<PolicyName>,
    pub(super) on_resolve: OnResolve,
}

impl Row<'_> {
    /// The least suspicion: as written, else that of its action (product §6).
    pub(super) fn least_suspicion(&self) -> f64 {
        self.suspicion.unwrap_or(match self.action.value {
            Verdict::Rollback => 0.7,
            Verdict::Approve => 0.5,
            Verdict::Notify => 0.3,
            Verdict::Ignore => 0.0,
        })
    }

    /// The row as the core judges by it.
    pub(super) fn rule(&self) -> Rule {
        Rule {
            matchers: self.matchers.iter().map(|(_, matcher)| matcher.clone()).collect(),
            service: self.services.iter().map(|service| service.value.to_owned()).collect(),
            tier: self.tiers.iter().map(|tier| tier.value.to_owned()).collect(),
            window: self.window,
            suspicion: self.least_suspicion(),
            alerts: self.alerts.map(|(at_least, within)| Alerts { at_least, within }),
            firing_for: self.firing_for,
            stale_after: self.stale_after,
            when: self.when.as_ref().map(|(_, expression)| expression.clone()),
            during: self.during.clone(),
            not_during: self.not_during.clone(),
            mode: match self.mode {
                RowMode::Live => rules::RowMode::Live,
                RowMode::Shadow => rules::RowMode::Shadow,
                RowMode::Off => rules::RowMode::Off,
            },
            countdown: self.countdown,
            dependency: self.dependency,
            approval: self.approval.clone(),
            verify: self.verify.clone(),
            on_resolve: self.on_resolve,
            ..Rule::new(RuleName::new(self.name.value), self.action.value)
        }
    }

    /// The row by name and place, for witnesses.
    pub(super) fn called(&self) -> String {
        format!("row {} at {}", quoted(self.name.value), self.page.place(&self.name.span))
    }
}

/// What a row may refer to.
pub(super) struct RuleNames<'n> {
    pub(super) services: &'n [ServiceId],
    pub(super) tiers: BTreeSet<&'n str>,
    pub(super) approvals: &'n Approvals,
    pub(super) verify: &'n BTreeMap<PolicyName, VerifyPolicy>,
    pub(super) times: &'n Times,
}

/// Reads the rows of one file, behind those of the files before it. Tells whether every row could be read as one.
pub(super) fn rows<'a>(root: &Table<'a>, names: &RuleNames<'_>, rows: &mut Vec<Row<'a>>) -> bool {
    let mut whole = true;
    for table in root.tables("rule") {
        if rows.len() == ROWS_MAX {
            table.page().fault(
                table.span(),
                format!("more than {ROWS_MAX} rows"),
                "join rows, or drop old ones",
            );
            table.leave_unchecked();
            return false;
        }
        match row(&table, names) {
            Some(row) => rows.push(row),
            None => whole = false,
        }
    }
    whole
}

const ACTIONS: [(&str, Verdict); 4] = [
    ("ignore", Verdict::Ignore),
    ("notify", Verdict::Notify),
    ("approve", Verdict::Approve),
    ("rollback", Verdict::Rollback),
];

const MODES: [(&str, RowMode); 3] =
    [("live", RowMode::Live), ("shadow", RowMode::Shadow), ("off", RowMode::Off)];

const RESOLVES: [(&str, OnResolve); 3] =
    [("suspend", OnResolve::Suspend), ("cancel", OnResolve::Cancel), ("continue", OnResolve::Continue)];

fn row<'a>(table: &Table<'a>, names: &RuleNames<'_>) -> Option<Row<'a>> {
    let page = table.page();
    let name = table.text("name");
    let action = table.word("action", &ACTIONS);
    let length = |key, default| table.some_length(key).map_or(default, |length: At<Duration>| length.value);
    let (during, not_during) = times(table, names.times);
    let row = Row {
        page,
        name: name.clone().unwrap_or(At { value: "", span: table.span() }),
        matchers: matchers(table, "match"),
        services: services(table, names.services),
        tiers: tiers(table, &names.tiers),
        window: length("window", Duration::from_mins(30)),
        suspicion: table.share("suspicion").map(|share| share.value),
        alerts: alerts(table),
        firing_for: table.some_length("firing_for").map(|length| length.value),
        stale_after: length("stale_after", Duration::from_mins(15)),
        when: expression(table, "when"),
        during,
        not_during,
        mode: table.word("mode", &MODES).map_or(RowMode::Live, |mode| mode.value),
        action: action.clone().unwrap_or(At { value: Verdict::Notify, span: table.span() }),
        countdown: table.length("countdown").map_or(Duration::from_secs(30), |length| length.value),
        dependency: table.flag("dependency").is_some_and(|flag| flag.value),
        approval: policy(table, "approval", "approvals", names.approvals.keys()),
        verify: policy(table, "verify", "verify", names.verify.keys()),
        on_resolve: table.word("on_resolve", &RESOLVES).map_or(OnResolve::Suspend, |word| word.value),
    };
    if !table.has("name") {
        table.missing("name", "write name = \"…\": threads and records speak of the row by it");
    }
    if !table.has("action") {
        table.missing("action", "write action = \"ignore\", \"notify\", \"approve\" or \"rollback\"");
    }
    // A row without a sound name or action is noted already and would only raise faults that follow from it.
    (name.is_some() && action.is_some()).then_some(row)
}

fn services<'a>(table: &Table<'a>, known: &[ServiceId]) -> Vec<At<&'a str>> {
    let Some(list) = table.texts("service") else { return Vec::new() };
    empty_list(table.page(), "service", &list);
    for pattern in &list.value {
        known_pattern(table.page(), pattern, known);
    }
    list.value
}

fn tiers<'a>(table: &Table<'a>, known: &BTreeSet<&str>) -> Vec<At<&'a str>> {
    let Some(list) = table.texts("tier") else { return Vec::new() };
    empty_list(table.page(), "tier", &list);
    for tier in list.value.iter().filter(|tier| !known.contains(tier.value)) {
        let remedy = match super::spell::nearest(tier.value, known.iter().copied()) {
            Some(near) => format!("write \"{near}\""),
            None => "give a service this `tier`, or take it out".into(),
        };
        table.page().fault(tier.span.clone(), format!("no service has tier {}", quoted(tier.value)), remedy);
    }
    list.value
}

/// An empty list is no condition to some readers and an impossible one to others: it is refused.
fn empty_list(page: Page<'_>, key: &str, list: &At<Vec<At<&str>>>) {
    if list.value.is_empty() {
        page.fault(list.span.clone(), format!("`{key}` is empty"), "leave the key out to set no condition");
    }
}

fn alerts(table: &Table<'_>) -> Option<(u32, Duration)> {
    let inner = table.table("alerts")?;
    let at_least = inner.whole("at_least", 1..=1000);
    let within = inner.some_length("within");
    for key in ["at_least", "within"] {
        if !inner.has(key) {
            inner.missing(key, "write alerts = { at_least = 2, within = \"5m\" }");
        }
    }
    Some((u32::try_from(at_least?.value).unwrap_or(u32::MAX), within?.value))
}

/// `during` and `not_during`, whose names must not meet.
fn times(table: &Table<'_>, known: &Times) -> (Vec<PolicyName>, Vec<PolicyName>) {
    let mut both: [Vec<(PolicyName, Range<usize>)>; 2] = Default::default();
    for (key, slot) in ["during", "not_during"].into_iter().zip(&mut both) {
        for name in table.texts(key).map(|list| list.value).unwrap_or_default() {
            if !known.keys().any(|known| known.as_str() == name.value) {
                unknown_name(table.page(), &name, "interval", "times", known.keys().map(PolicyName::as_str));
            }
            slot.push((PolicyName::new(name.value), name.span));
        }
    }
    let [during, not_during] = both;
    let barred = |name: &PolicyName| not_during.iter().any(|(other, _)| other == name);
    if let Some((name, span)) = during.first().filter(|_| during.iter().all(|(name, _)| barred(name))) {
        table.page().witnessed(
            Severity::Fault,
            span.clone(),
            format!("the row can never hold: {name} is in `during` and in `not_during`"),
            "take it out of one of them",
            format!("`not_during` at {}", table.page().place(&table.key_span("not_during"))),
        );
    }
    let names = |list: Vec<(PolicyName, Range<usize>)>| list.into_iter().map(|(name, _)| name).collect();
    (names(during), names(not_during))
}

fn policy<'n>(
    table: &Table<'_>,
    key: &'static str,
    section: &str,
    known: impl Iterator<Item = &'n PolicyName>,
) -> Option<PolicyName> {
    let name = table.text(key)?;
    let known: Vec<&str> = known.map(PolicyName::as_str).collect();
    if !known.contains(&name.value) {
        unknown_name(table.page(), &name, "policy", section, known.into_iter());
    }
    Some(PolicyName::new(name.value))
}
