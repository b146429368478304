//! `[times.NAME]`: named times of the week, as in Alertmanager's time intervals.

use std::collections::BTreeMap;

use super::read::Table;
use crate::case::calendar::{self, Calendar, Span};
use crate::case::id::PolicyName;

/// The intervals by name.
pub(super) type Times = BTreeMap<PolicyName, Calendar>;

/// Reads one entry of a list.
type Reader = fn(&str) -> Result<Span, String>;

/// Reads `[times.NAME]`.
pub(super) fn times(root: &Table<'_>) -> Times {
    let mut times = Times::new();
    for (name, table) in root.named_tables("times") {
        let mut interval = Calendar::default();
        let lists: [(&'static str, Reader, &mut Vec<Span>); 5] = [
            ("weekdays", calendar::weekdays, &mut interval.weekdays),
            ("times", calendar::times, &mut interval.times),
            ("days_of_month", calendar::days_of_month, &mut interval.days_of_month),
            ("months", calendar::months, &mut interval.months),
            ("years", calendar::years, &mut interval.years),
        ];
        for (key, read, slot) in lists {
            spans(&table, key, read, slot);
        }
        if let Some(place) = table.text("location") {
            match calendar::location(place.value) {
                Ok(zone) => interval.location = zone,
                Err(message) => {
                    table.page().fault(
                        place.span,
                        message,
                        "write a name such as \"Europe/Berlin\" or \"UTC\"",
                    );
                }
            }
        }
        times.insert(PolicyName::new(name.value), interval);
    }
    times
}

fn spans(table: &Table<'_>, key: &'static str, read: Reader, slot: &mut Vec<Span>) {
    let remedy = match key {
        "weekdays" => "write such as \"monday:friday\"",
        "times" => "write such as \"09:00-17:00\"; \"24:00\" is the end of the day",
        "days_of_month" => "write such as \"1:5\", or \"-3:-1\" for the last three",
        "months" => "write such as \"may:august\"",
        _ => "write such as \"2026:2028\"",
    };
    for text in table.texts(key).map(|list| list.value).unwrap_or_default() {
        match read(text.value) {
            Ok(span) => slot.push(span),
            Err(message) => table.page().fault(text.span, message, remedy),
        }
    }
}
