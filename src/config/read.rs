//! The cursor over a TOML table: asks for keys by name and kind, notes every fault instead of stopping at the first,
//! and when it is let go reports the keys that nobody asked for. Leaves to its callers what the values mean.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a TOML value of any other kind, whatever comes, is the same fault"
)]

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::fault::{Fault, Findings, Severity, quoted};
use super::spell;
use crate::case::id::Duration;
use crate::case::length;

/// A value with the bytes of the file that spell it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct At<T> {
    /// The value.
    pub(super) value: T,
    /// Where it is spelt.
    pub(super) span: Range<usize>,
}

/// One file under reading: where faults in it are noted, and beside which folder its relative paths lie.
#[derive(Clone, Copy)]
pub(super) struct Page<'a> {
    /// The file, as it was named.
    pub(super) file: &'a str,
    /// Its text.
    pub(super) text: &'a str,
    /// The folder that it lies in.
    pub(super) beside: &'a Path,
    /// The environment's variables.
    pub(super) variables: &'a dyn Fn(&str) -> Option<String>,
    /// Where faults go.
    pub(super) findings: &'a Findings,
}

impl<'a> Page<'a> {
    /// Notes a fault.
    pub(super) fn fault(&self, span: Range<usize>, message: impl Into<String>, remedy: impl Into<String>) {
        self.findings.push(self.make(Severity::Fault, span, message.into(), remedy.into(), None));
    }

    /// Notes a warning.
    pub(super) fn warning(&self, span: Range<usize>, message: impl Into<String>, remedy: impl Into<String>) {
        self.findings.push(self.make(Severity::Warning, span, message.into(), remedy.into(), None));
    }

    /// Notes a fault or a warning with what proves it.
    pub(super) fn witnessed(
        &self,
        severity: Severity,
        span: Range<usize>,
        message: impl Into<String>,
        remedy: impl Into<String>,
        witness: impl Into<String>,
    ) {
        self.findings.push(self.make(severity, span, message.into(), remedy.into(), Some(witness.into())));
    }

    /// Notes a key of the contract that this version cannot honour.
    pub(super) fn not_built(&self, span: Range<usize>, what: &str, remedy: &str) {
        self.fault(span, format!("not built yet: {what}"), remedy);
    }

    /// A fault in this file, not yet noted.
    pub(super) fn make(
        &self,
        severity: Severity,
        span: Range<usize>,
        message: String,
        remedy: String,
        witness: Option<String>,
    ) -> Fault {
        let (line, column) = self.findings.line_and_column(self.file, self.text, span.start);
        Fault { file: self.file.to_owned(), line, column, severity, message, remedy, witness, span }
    }

    /// `file:line` of a place, for witnesses.
    pub(super) fn place(&self, span: &Range<usize>) -> String {
        format!("{}:{}", self.file, self.findings.line_and_column(self.file, self.text, span.start).0)
    }

    /// A path of this file: a relative one lies beside it.
    pub(super) fn path(&self, written: &str) -> PathBuf {
        self.beside.join(written)
    }
}

/// A cursor over one table. Keys that were not asked for by the time it is dropped are faults.
pub(super) struct Table<'a> {
    page: Page<'a>,
    entries: &'a DeTable<'a>,
    /// Where the table is named: its header's last key, or the inline table.
    span: Range<usize>,
    /// The path of its keys, with `*` for names that people choose and `[]` for elements.
    path: String,
    asked: RefCell<BTreeSet<&'static str>>,
    unchecked: Cell<bool>,
}

impl<'a> Table<'a> {
    /// The whole document.
    pub(super) fn root(page: Page<'a>, entries: &'a DeTable<'a>) -> Table<'a> {
        Table::new(page, entries, 0..0, String::new())
    }

    /// A table inside a value, whose keys are no part of the file's own paths.
    pub(super) fn inline(page: Page<'a>, entries: &'a DeTable<'a>, span: Range<usize>) -> Table<'a> {
        Table::new(page, entries, span, "secret".into())
    }

    fn new(page: Page<'a>, entries: &'a DeTable<'a>, span: Range<usize>, path: String) -> Table<'a> {
        Table { page, entries, span, path, asked: RefCell::default(), unchecked: Cell::new(false) }
    }

    /// The file that it stands in.
    pub(super) fn page(&self) -> Page<'a> {
        self.page
    }

    /// Where it is named.
    pub(super) fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// Whether nothing stands in it.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether a key stands in it, whatever its kind.
    pub(super) fn has(&self, key: &'static str) -> bool {
        self.item(key).is_some()
    }

    /// Leaves its other keys alone: nothing says yet what they will be.
    pub(super) fn leave_unchecked(&self) {
        self.unchecked.set(true);
    }

    /// The value of a key, of any kind.
    pub(super) fn item(&self, key: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.asked.borrow_mut().insert(key);
        self.page.findings.asked(self.path_of(key));
        self.entries.get(key)
    }

    /// Where a key is spelt, for faults about the key and not its value.
    pub(super) fn key_span(&self, key: &str) -> Range<usize> {
        self.entries.get_key_value(key).map_or_else(|| self.span(), |(key, _)| key.span())
    }

    /// Notes that a key is missing.
    pub(super) fn missing(&self, key: &str, remedy: impl Into<String>) {
        let what = self.called();
        self.page.fault(self.span(), format!("{what} has no `{key}`"), remedy);
    }

    /// A text.
    pub(super) fn text(&self, key: &'static str) -> Option<At<&'a str>> {
        let item = self.item(key)?;
        self.text_of(key, item)
    }

    /// Whole numbers within these bounds.
    pub(super) fn whole(&self, key: &'static str, bounds: std::ops::RangeInclusive<i64>) -> Option<At<i64>> {
        let item = self.item(key)?;
        whole_of(self.page, key, item, bounds)
    }

    /// A number from 0 to 1.
    pub(super) fn share(&self, key: &'static str) -> Option<At<f64>> {
        let item = self.item(key)?;
        let number: f64 = match item.get_ref() {
            DeValue::Float(float) => float.as_str().replace('_', "").parse().unwrap_or(f64::NAN),
            DeValue::Integer(integer) => integer.as_str().parse().unwrap_or(f64::NAN),
            other => {
                self.wrong_kind(key, item.span(), "a number from 0 to 1", other);
                return None;
            }
        };
        if !(0.0..=1.0).contains(&number) {
            self.page.fault(
                item.span(),
                format!("`{key}` is a share"),
                "write a number from 0 to 1, such as 0.7",
            );
            return None;
        }
        Some(At { value: number, span: item.span() })
    }

    /// Yes or no.
    pub(super) fn flag(&self, key: &'static str) -> Option<At<bool>> {
        let item = self.item(key)?;
        match item.get_ref() {
            DeValue::Boolean(value) => Some(At { value: *value, span: item.span() }),
            other => {
                self.wrong_kind(key, item.span(), "true or false", other);
                None
            }
        }
    }

    /// A length of time.
    pub(super) fn length(&self, key: &'static str) -> Option<At<Duration>> {
        let item = self.item(key)?;
        let DeValue::String(text) = item.get_ref() else {
            self.wrong_kind(
                key,
                item.span(),
                "a length of time, such as \"30s\", \"10m\" or \"2h\"",
                item.get_ref(),
            );
            return None;
        };
        match length::parse(text) {
            Ok(value) => Some(At { value, span: item.span() }),
            Err(fault) => {
                self.page.fault(
                    item.span(),
                    format!("{} is no length of time: {fault}", quoted(text)),
                    "write it like \"500ms\", \"30s\", \"10m\", \"2h\", \"90d\" or \"1h30m\"",
                );
                None
            }
        }
    }

    /// A length of time that is not nothing.
    pub(super) fn some_length(&self, key: &'static str) -> Option<At<Duration>> {
        let length = self.length(key)?;
        if length.value.is_zero() {
            self.page.fault(length.span, format!("`{key}` is no time at all"), "write a length above 0s");
            return None;
        }
        Some(length)
    }

    /// One of these words.
    pub(super) fn word<T: Copy>(&self, key: &'static str, words: &[(&str, T)]) -> Option<At<T>> {
        let text = self.text(key)?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text.value) {
            return Some(At { value: *value, span: text.span });
        }
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let remedy = match spell::nearest(text.value, known.iter().copied()) {
            Some(near) => format!("write \"{near}\"; it may be {}", listed(&known)),
            None => format!("write one of {}", listed(&known)),
        };
        self.page.fault(text.span, format!("{} is no `{key}`", quoted(text.value)), remedy);
        None
    }

    /// A list of texts.
    pub(super) fn texts(&self, key: &'static str) -> Option<At<Vec<At<&'a str>>>> {
        let item = self.item(key)?;
        let array = self.array_of(key, item, "a list of texts")?;
        let value = array.iter().filter_map(|item| self.text_of(key, item)).collect();
        Some(At { value, span: item.span() })
    }

    /// A text or a list of texts.
    pub(super) fn text_or_texts(&self, key: &'static str) -> Option<At<Vec<At<&'a str>>>> {
        let item = self.item(key)?;
        match item.get_ref() {
            DeValue::String(_) => {
                let text = self.text_of(key, item)?;
                Some(At { value: vec![text], span: item.span() })
            }
            _ => self.texts(key),
        }
    }

    /// A table.
    pub(super) fn table(&self, key: &'static str) -> Option<Table<'a>> {
        let item = self.item(key)?;
        self.table_of(key, item, self.path_of(key), self.key_span(key))
    }

    /// An array of tables, `[[key]]`, in the order of the file.
    pub(super) fn tables(&self, key: &'static str) -> Vec<Table<'a>> {
        let Some(item) = self.item(key) else { return Vec::new() };
        let wanted = format!("a list of tables, each written as [[{key}]]");
        let Some(array) = self.array_of(key, item, &wanted) else { return Vec::new() };
        let path = format!("{}[]", self.path_of(key));
        array.iter().filter_map(|item| self.table_of(key, item, path.clone(), item.span())).collect()
    }

    /// Tables by names that people choose, `[key.NAME]`, in the order of the file.
    pub(super) fn named_tables(&self, key: &'static str) -> Vec<(At<&'a str>, Table<'a>)> {
        let Some(table) = self.table(key) else { return Vec::new() };
        let mut named = Vec::new();
        for (name, item) in table.open_entries() {
            let path = format!("{}.*", self.path_of(key));
            if let Some(inner) =
                self.table_of(&format!("{key}.{}", name.value), item, path, name.span.clone())
            {
                named.push((name, inner));
            }
        }
        named
    }

    /// Every entry, in the order of the file, for tables whose keys people choose.
    pub(super) fn open_entries(&self) -> Vec<(At<&'a str>, &'a Spanned<DeValue<'a>>)> {
        self.leave_unchecked();
        let mut entries: Vec<_> = self
            .entries
            .iter()
            .map(|(key, item)| (At { value: key.get_ref().as_ref(), span: key.span() }, item))
            .collect();
        entries.sort_by_key(|(key, _)| key.span.start);
        entries
    }

    /// What kind of value an item has to be a text; else a fault.
    pub(super) fn text_of(&self, key: &str, item: &'a Spanned<DeValue<'a>>) -> Option<At<&'a str>> {
        match item.get_ref() {
            DeValue::String(text) => Some(At { value: text.as_ref(), span: item.span() }),
            other => {
                self.wrong_kind(key, item.span(), "a text in quotes", other);
                None
            }
        }
    }

    /// The list that an item is; else a fault.
    pub(super) fn array_of(
        &self,
        key: &str,
        item: &'a Spanned<DeValue<'a>>,
        wanted: &str,
    ) -> Option<&'a DeArray<'a>> {
        match item.get_ref() {
            DeValue::Array(array) => Some(array),
            other => {
                self.wrong_kind(key, item.span(), wanted, other);
                None
            }
        }
    }

    fn table_of(
        &self,
        key: &str,
        item: &'a Spanned<DeValue<'a>>,
        path: String,
        span: Range<usize>,
    ) -> Option<Table<'a>> {
        match item.get_ref() {
            DeValue::Table(entries) => Some(Table::new(self.page, entries, span, path)),
            other => {
                self.wrong_kind(key, item.span(), "a table", other);
                None
            }
        }
    }

    /// Notes a value of the wrong kind.
    pub(super) fn wrong_kind(&self, key: &str, span: Range<usize>, wanted: &str, got: &DeValue<'_>) {
        wrong_kind(self.page, key, span, wanted, got);
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// What the table is called in a sentence.
    fn called(&self) -> String {
        match self.path.as_str() {
            "" => "this file".into(),
            path if path.ends_with("[]") => format!("this [[{}]]", path.trim_end_matches("[]")),
            path => format!("this `{}`", path.replace("[]", "").replace(".*", "")),
        }
    }
}

impl Drop for Table<'_> {
    fn drop(&mut self) {
        if self.unchecked.get() {
            return;
        }
        let asked = self.asked.borrow();
        for (key, item) in self.entries {
            let name: &str = key.get_ref();
            if asked.contains(name) {
                continue;
            }
            // Whoever misspells the key of a secret may have written the secret beside it.
            if sounds_secret(name) {
                self.page.findings.mask(self.page.file, item.span());
            }
            let remedy = match spell::nearest(name, asked.iter().copied()) {
                Some(near) => format!("write `{near}`"),
                None => format!(
                    "leave it out; known here: {}",
                    asked.iter().copied().collect::<Vec<_>>().join(", ")
                ),
            };
            self.page.fault(key.span(), format!("{} is no key of {}", quoted(name), self.called()), remedy);
        }
    }
}

/// A whole number within bounds; else a fault.
pub(super) fn whole_of<'a>(
    page: Page<'a>,
    key: &str,
    item: &'a Spanned<DeValue<'a>>,
    bounds: std::ops::RangeInclusive<i64>,
) -> Option<At<i64>> {
    let DeValue::Integer(integer) = item.get_ref() else {
        wrong_kind(page, key, item.span(), "a whole number", item.get_ref());
        return None;
    };
    match i64::from_str_radix(integer.as_str(), integer.radix()) {
        Ok(value) if bounds.contains(&value) => Some(At { value, span: item.span() }),
        Ok(_) | Err(_) => {
            let (least, most) = bounds.into_inner();
            page.fault(
                item.span(),
                format!("`{key}` is out of bounds"),
                format!("write a whole number from {least} to {most}"),
            );
            None
        }
    }
}

/// Notes a value of the wrong kind.
pub(super) fn wrong_kind(page: Page<'_>, key: &str, span: Range<usize>, wanted: &str, got: &DeValue<'_>) {
    let kind = match got {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a moment",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    };
    page.fault(span, format!("`{key}` is {kind} here"), format!("write {wanted}"));
}

/// Whether a key of this name may hold a secret.
pub(super) fn sounds_secret(key: &str) -> bool {
    let key = key.to_lowercase();
    ["token", "tokn", "secret", "password", "passwd", "key", "credential"]
        .iter()
        .any(|word| key.contains(word))
}

/// `a`, `b` or `c`, in quotes.
pub(super) fn listed(words: &[&str]) -> String {
    words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", ")
}
