//! What the contract names and this version does not honour: each block is read in its documented shape, so that a
//! real file is checked whole, and then reported, because a key that is silently ignored is a promise broken.

use toml::de::DeValue;

use super::read::{At, Table};
use super::server::public_url;

/// `[plans.NAME]`.
pub(super) fn plans(root: &Table<'_>) {
    for (_, plan) in root.named_tables("plans") {
        for key in ["before", "after"] {
            for step in plan.tables(key) {
                plan_step(&step);
            }
        }
        plan.page().not_built(
            plan.span(),
            "steps of one's own in a plan",
            "leave [plans] out; what must follow a switch may be the service's `restart` command",
        );
    }
}

fn plan_step(step: &Table<'_>) {
    if let Some(http) = step.table("http") {
        for key in ["name", "method", "body"] {
            http.text(key);
        }
        if let Some(url) = http.text("url") {
            public_url(step.page(), &url);
        }
        http.some_length("timeout");
        http.flag("repeatable");
    }
    if let Some(command) = step.table("command") {
        command.text("name");
        argv(&command);
        command.some_length("timeout");
        command.flag("repeatable");
    }
    step.word("on_failure", &[("stop", ()), ("continue", ())]);
}

/// `[evidence]`.
pub(super) fn evidence(root: &Table<'_>) {
    let Some(evidence) = root.table("evidence") else { return };
    evidence.text("store");
    evidence.some_length("budget");
    evidence.page().not_built(evidence.span(), "evidence", "leave [evidence] out");
}

/// A command as a list of words: never a line for a shell.
pub(super) fn argv(table: &Table<'_>) -> Option<Vec<String>> {
    let key = "argv";
    let item = table.item(key)?;
    words(table, key, item)
}

/// The words of a command.
pub(super) fn words<'a>(
    table: &Table<'a>,
    key: &str,
    item: &'a toml::Spanned<DeValue<'a>>,
) -> Option<Vec<String>> {
    let wanted = "a list of words, such as [\"systemctl\", \"restart\", \"checkout\"]: no shell reads it";
    let array = table.array_of(key, item, wanted)?;
    let words: Vec<At<&str>> = array.iter().filter_map(|word| table.text_of(key, word)).collect();
    if words.first().is_none_or(|program| program.value.is_empty()) {
        table.page().fault(item.span(), format!("`{key}` names no program"), format!("write {wanted}"));
        return None;
    }
    Some(words.into_iter().map(|word| word.value.to_owned()).collect())
}
