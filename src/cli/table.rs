//! Tables and lines for a terminal. Text of others is data: what could steer a terminal is shown as a mark.

use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};
use snapback::case::id::{Duration, Timestamp};
use snapback::case::obeyed::is_obeyed;
use snapback::case::words::length;

/// A table with these columns.
pub(super) fn table(columns: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(columns.iter().map(|column| column.to_uppercase()));
    table
}

/// A text of others, without anything that could steer a terminal.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|c| if is_obeyed(c) { '\u{fffd}' } else { c }).collect()
}

/// A text that may be absent.
pub(super) fn or_dash(text: Option<&str>) -> String {
    text.map_or_else(|| "-".to_owned(), plain)
}

/// A moment, to the second.
pub(super) fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// A moment that may be absent.
pub(super) fn moment_or_dash(at: Option<Timestamp>) -> String {
    at.map_or_else(|| "-".to_owned(), moment)
}

/// How long after `from` something was.
pub(super) fn after(from: Timestamp, at: Timestamp) -> String {
    let passed: Duration = at.duration_since(from);
    if passed.is_negative() { format!("-{}", length(-passed)) } else { format!("+{}", length(passed)) }
}
