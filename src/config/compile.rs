//! What rows mean for each other: rows that no case can reach, rows that contradict each other, services that no row
//! can reach. Each finding has a witness. Sources that send no resolve cannot occur yet: Alertmanager sends them.

use std::collections::{BTreeMap, BTreeSet};

use super::fault::{Severity, quoted};
use super::read::At;
use super::rules::{Row, RowMode};
use super::services::Draft;
use crate::case::id::covers;

/// Checks the whole table.
pub(super) fn rows(rows: &[Row<'_>]) {
    names(rows);
    let mut above: BTreeMap<Key<'_>, Vec<usize>> = BTreeMap::new();
    for (at, row) in rows.iter().enumerate() {
        if row.mode == RowMode::Off {
            continue;
        }
        if let Some(upper) =
            keys_of(row).iter().filter_map(|key| above.get(key)).flatten().min_by_key(|upper| {
                // The first that shadows it; rows that do not are sorted behind.
                if shadows(&rows[**upper], row) { **upper } else { usize::MAX }
            })
            && shadows(&rows[*upper], row)
        {
            told(&rows[*upper], row);
        }
        above.entry(filed_under(row)).or_default().push(at);
    }
}

/// Notes the services that no row can reach.
pub(super) fn reach(rows: &[Row<'_>], services: &[Draft<'_>]) {
    for service in services {
        let tier = service.tier();
        let reaches = |row: &Row<'_>| {
            let names = row.services.iter().any(|pattern| covers(pattern.value, service.id.as_str()));
            let tiers = row.tiers.iter().any(|wanted| Some(wanted.value) == tier);
            row.mode != RowMode::Off && (names || row.services.is_empty()) && (tiers || row.tiers.is_empty())
        };
        if !rows.iter().any(reaches) {
            service.unreached();
        }
    }
}

/// Two rows of one name could not be told apart in threads and records.
fn names(rows: &[Row<'_>]) {
    let mut seen: BTreeMap<&str, &Row<'_>> = BTreeMap::new();
    for row in rows {
        if let Some(twin) = seen.get(row.name.value) {
            row.page.witnessed(
                Severity::Fault,
                row.name.span.clone(),
                format!("two rows are called {}", quoted(row.name.value)),
                "give each row its own name: threads and records speak of it by name",
                twin.called(),
            );
        } else {
            seen.insert(row.name.value, row);
        }
    }
}

/// Says that the upper row takes every case of the lower one.
fn told(upper: &Row<'_>, lower: &Row<'_>) {
    let same = same_conditions(upper, lower);
    if same && upper.action.value != lower.action.value {
        lower.page.witnessed(
            Severity::Fault,
            lower.action.span.clone(),
            format!(
                "the same conditions lead to {} above and to {} here",
                upper.action.value.word(),
                lower.action.value.word()
            ),
            "keep one of the rows, or give this one a condition that tells them apart",
            upper.called(),
        );
    } else {
        lower.page.witnessed(
            Severity::Warning,
            lower.name.span.clone(),
            "no case can reach this row: one above takes them all",
            "move it up, take it out, or give the row above a condition that this one lacks",
            upper.called(),
        );
    }
}

/// Where a row is filed, so that a lower row looks only at the few above that could shadow it and not at all.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Key<'r> {
    Service(&'r str),
    Matcher(&'r str),
    Any,
}

fn filed_under<'r>(row: &'r Row<'_>) -> Key<'r> {
    match (row.services.as_slice(), row.matchers.first()) {
        ([only], _) if !only.value.contains('*') => Key::Service(only.value),
        (_, Some((matcher, _))) => Key::Matcher(matcher.value),
        _ => Key::Any,
    }
}

fn keys_of<'r>(row: &'r Row<'_>) -> Vec<Key<'r>> {
    let services = row.services.iter().map(|service| Key::Service(service.value));
    let matchers = row.matchers.iter().map(|(matcher, _)| Key::Matcher(matcher.value));
    services.chain(matchers).chain([Key::Any]).collect()
}

/// Whether every case of the lower row is one of the upper row, whatever happens. Careful: a row whose answer may be
/// "not yet", or hangs on an expression, on suspicion above the lower's or on the hour, shadows nothing, unless the
/// lower row says the very same.
fn shadows(upper: &Row<'_>, lower: &Row<'_>) -> bool {
    // A shadow row is judged beside the live ones and takes no case from them, nor they from it.
    if upper.mode != lower.mode {
        return false;
    }
    if same_conditions(upper, lower) {
        return true;
    }
    let all_of = |few: &[At<&str>], many: &[At<&str>]| {
        few.iter().all(|one| many.iter().any(|other| other.value == one.value))
    };
    upper.alerts.is_none()
        && upper.firing_for.is_none()
        && upper.when.is_none()
        && upper.during.is_empty()
        && upper.not_during.is_empty()
        && upper
            .matchers
            .iter()
            .all(|(one, _)| lower.matchers.iter().any(|(other, _)| other.value == one.value))
        && (upper.tiers.is_empty() || !lower.tiers.is_empty() && all_of(&lower.tiers, &upper.tiers))
        && covers_services(upper, lower)
        && upper.window >= lower.window
        && upper.least_suspicion() <= lower.least_suspicion()
}

fn covers_services(upper: &Row<'_>, lower: &Row<'_>) -> bool {
    // A pattern that covers the text of another pattern covers everything that the other covers.
    let covered = |text: &str| upper.services.iter().any(|pattern| covers(pattern.value, text));
    upper.services.is_empty()
        || !lower.services.is_empty() && lower.services.iter().all(|service| covered(service.value))
}

/// Whether two rows say the same, whatever they lead to.
fn same_conditions(a: &Row<'_>, b: &Row<'_>) -> bool {
    fn matchers<'r>(row: &'r Row<'_>) -> BTreeSet<&'r str> {
        row.matchers.iter().map(|(text, _)| text.value).collect()
    }
    fn texts<'r>(list: &'r [At<&'r str>]) -> BTreeSet<&'r str> {
        list.iter().map(|text| text.value).collect()
    }
    fn when<'r>(row: &'r Row<'_>) -> Option<&'r str> {
        row.when.as_ref().map(|(text, _)| text.value)
    }
    matchers(a) == matchers(b)
        && texts(&a.services) == texts(&b.services)
        && texts(&a.tiers) == texts(&b.tiers)
        && a.window == b.window
        && a.suspicion == b.suspicion
        && a.alerts == b.alerts
        && a.firing_for == b.firing_for
        && when(a) == when(b)
        && a.during == b.during
        && a.not_during == b.not_during
}
