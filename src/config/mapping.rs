//! `[sources.NAME.signal]`: how the messages of a source of kind `generic` become alerts, by formulas. Each is compiled when the
//! configuration is read, and what is wrong with one is shown where it stands.

use std::collections::BTreeMap;

use super::conditions::no_expression;
use super::fault::quoted;
use super::read::{At, Table};
use crate::case::mapping::{Formula, LABELS_MAX, Mapping};

/// Reads the mapping; none is a fault.
pub(super) fn mapping(source: &Table<'_>) -> Option<Mapping> {
    let Some(table) = source.table("signal") else {
        if !source.has("signal") {
            source.missing(
                "signal",
                "write [sources.NAME.signal] with state, name and episode, each an expression over body",
            );
        }
        return None;
    };
    let each = optional(&table, "each");
    let state = needed(&table, "state", "'body.status == \"open\" ? \"firing\" : \"cleared\"'");
    let name = needed(&table, "name", "'body.title'");
    let episode = needed(&table, "episode", "'body.id'");
    let (started_at, ended_at) = (optional(&table, "started_at"), optional(&table, "ended_at"));
    let link = optional(&table, "link");
    let (labels, annotations) = (named(&table, "labels"), named(&table, "annotations"));
    Some(Mapping {
        each: each.ok()?,
        state: state?,
        name: name?,
        episode: episode?,
        started_at: started_at.ok()?,
        ended_at: ended_at.ok()?,
        link: link.ok()?,
        labels: labels?,
        annotations: annotations?,
    })
}

fn needed(table: &Table<'_>, key: &'static str, example: &str) -> Option<Formula> {
    if !table.has(key) {
        table.missing(key, format!("write {key} = {example}"));
    }
    optional(table, key).ok().flatten()
}

/// A formula that may be left out; `Err` where it is there and faulty, which is noted.
fn optional(table: &Table<'_>, key: &'static str) -> Result<Option<Formula>, ()> {
    if !table.has(key) {
        return Ok(None);
    }
    let text = table.text(key).ok_or(())?;
    formula(table, key, &text).map(Some).ok_or(())
}

fn formula(table: &Table<'_>, key: &str, text: &At<&str>) -> Option<Formula> {
    const REMEDY: &str = "write CEL over `body`, the message, and `item`, one of `each`";
    Formula::parse(text.value).map_err(|fault| no_expression(table.page(), key, text, &fault, REMEDY)).ok()
}

/// Formulas under names of the user's. `None` where one is faulty.
fn named(table: &Table<'_>, key: &'static str) -> Option<BTreeMap<String, Formula>> {
    let Some(inner) = table.table(key) else { return Some(BTreeMap::new()) };
    let entries = inner.open_entries();
    if entries.len() > LABELS_MAX {
        let message = format!("{} names in `{key}`; {LABELS_MAX} are allowed", entries.len());
        inner.page().fault(inner.span(), message, "leave out what no rule and nobody looks at");
    }
    let mut found = BTreeMap::new();
    let mut sound = true;
    for (name, item) in entries {
        if name.value.is_empty() || name.value.len() > 128 || name.value == "alertname" {
            let message = format!("{} cannot be set here", quoted(name.value));
            inner.page().fault(
                name.span.clone(),
                message,
                "the alert's name is what `name` gives; name labels in at most 128 letters",
            );
            sound = false;
            continue;
        }
        let Some(text) = inner.text_of(name.value, item) else {
            sound = false;
            continue;
        };
        match formula(&inner, name.value, &text) {
            Some(formula) => drop(found.insert(name.value.to_owned(), formula)),
            None => sound = false,
        }
    }
    sound.then_some(found)
}
