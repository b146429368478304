//! What the contract names and this version does not honour: each block is read in its documented shape, so that a
//! real file is checked whole, and then reported, because a key that is silently ignored is a promise broken.

use toml::de::DeValue;

use super::read::{At, Table};

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
