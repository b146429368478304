//! A fault: one thing that is wrong in a file of the configuration, where it stands, and what to write instead; and
//! the findings that a reading collects. Leaves to `render` how a fault is shown.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::case::digest::Canon;
use crate::case::id::Digest;

/// One thing that is wrong. Its fields are the shape of `check --format json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The file, as it was named.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub remedy: String,
    /// What proves it, such as the row that stands above.
    pub witness: Option<String>,
    /// The offending bytes of the file.
    #[serde(skip)]
    pub span: Range<usize>,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Nothing starts with it.
    Fault,
    /// It works, and perhaps not as meant.
    Warning,
}

/// A file as it was read, for drawing faults under it. What may be a secret in it is starred out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceText {
    /// The file, as it was named.
    pub name: String,
    /// Its text, byte for byte as long as the file.
    pub text: String,
}

/// What a reading has found so far. Shared by every cursor of the reading, so it is collected behind a cell.
#[derive(Debug, Default)]
pub(super) struct Findings {
    faults: RefCell<Vec<Fault>>,
    missing: RefCell<Vec<Fault>>,
    masks: RefCell<Vec<(String, Range<usize>)>>,
    keys: RefCell<BTreeSet<String>>,
    /// Where the lines of each file begin, found once: a file with thousands of faults is read once and not for each.
    lines: RefCell<BTreeMap<String, Vec<usize>>>,
    /// Files that hold secrets, and a digest over what they hold.
    secrets: RefCell<BTreeMap<PathBuf, Digest>>,
}

impl Findings {
    /// Notes a fault or a warning.
    pub(super) fn push(&self, fault: Fault) {
        self.faults.borrow_mut().push(fault);
    }

    /// Where a byte of a file's text stands: line and column, both from 1, the column in characters.
    pub(super) fn line_and_column(&self, file: &str, text: &str, at: usize) -> (usize, usize) {
        let mut known = self.lines.borrow_mut();
        let starts = known.entry(file.to_owned()).or_insert_with(|| {
            let after_newlines =
                text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
            std::iter::once(0).chain(after_newlines).collect()
        });
        let mut at = at.min(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        let line = starts.partition_point(|start| *start <= at);
        let start = starts.get(line.saturating_sub(1)).copied().unwrap_or(0);
        (line, text[start..at].chars().count() + 1)
    }

    /// Notes a file that holds a secret: it is read again when it changes.
    pub(super) fn secret_file(&self, path: &Path, text: &str) {
        let digest = Canon::new("secret").text("text", text).digest();
        self.secrets.borrow_mut().insert(path.to_owned(), digest);
    }

    /// The files that hold secrets, and one digest over what they hold.
    pub(super) fn secrets(&self) -> (Vec<PathBuf>, Digest) {
        let secrets = self.secrets.borrow();
        let mut canon = Canon::new("secrets");
        for (path, digest) in secrets.iter() {
            canon.text("path", &path.to_string_lossy()).text("digest", digest.as_str());
        }
        (secrets.keys().cloned().collect(), canon.digest())
    }

    /// Notes a secret that is not there: a warning to who checks, a fault to who serves.
    pub(super) fn missing(&self, fault: Fault) {
        self.missing.borrow_mut().push(fault);
    }

    /// Notes bytes that no output may show.
    pub(super) fn mask(&self, file: &str, span: Range<usize>) {
        self.masks.borrow_mut().push((file.to_owned(), span));
    }

    /// Notes that a key was asked for; the schema is held against these.
    pub(super) fn asked(&self, path: String) {
        self.keys.borrow_mut().insert(path);
    }

    /// The faults and warnings, in the order of files and places; the missing secrets; and the keys asked for.
    pub(super) fn into_parts(self, files: &[String]) -> (Vec<Fault>, Vec<Fault>, BTreeSet<String>) {
        let place = |fault: &Fault| {
            let file = files.iter().position(|name| *name == fault.file).unwrap_or(usize::MAX);
            (file, fault.span.start, fault.severity)
        };
        let mut faults = self.faults.into_inner();
        let mut missing = self.missing.into_inner();
        for list in [&mut faults, &mut missing] {
            list.sort_by_key(place);
            // A key that is asked for twice says its fault twice.
            list.dedup();
        }
        (faults, missing, self.keys.into_inner())
    }

    /// This file's text with every byte starred out that may be a secret.
    pub(super) fn masked(&self, file: &str, text: &str) -> String {
        let masks = self.masks.borrow();
        let hidden = |at: usize| masks.iter().any(|(name, span)| name == file && span.contains(&at));
        let bytes = text.bytes().enumerate();
        let starred = bytes
            .map(|(at, byte)| if hidden(at) && byte != b'\n' { b'*' } else { byte })
            .collect::<Vec<u8>>();
        // A mask that cut a character in half would leave bytes that are no text: then nothing is shown at all.
        String::from_utf8(starred).unwrap_or_else(|_| "*".repeat(text.len()))
    }
}

/// A value of the file inside a sentence: escaped, so that no control sequence reaches a terminal, and capped.
pub(super) fn quoted(value: &str) -> String {
    /// Longer values would hide the sentence; the file shows the rest.
    const SHOWN_MAX: usize = 80;
    let mut text: String = value.chars().take(SHOWN_MAX).collect::<String>().escape_debug().to_string();
    // What stands between backticks needs no escaped quotes.
    text = text.replace("\\\"", "\"").replace("\\'", "'");
    if value.chars().nth(SHOWN_MAX).is_some() {
        text.push('…');
    }
    format!("`{text}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_in_characters_from_one() {
        let text = "a = 1\nü = \"é\" x\n";
        let findings = Findings::default();
        let place = |at| findings.line_and_column("f", text, at);
        assert_eq!(place(0), (1, 1));
        assert_eq!(place(5), (1, 6));
        assert_eq!(place(text.find('x').expect("an x")), (2, 9));
        assert_eq!(place(1000), (3, 1));
        assert_eq!(Findings::default().line_and_column("f", "", 7), (1, 1));
    }

    #[test]
    fn what_is_quoted_cannot_steer_a_terminal() {
        assert_eq!(quoted("a\u{1b}[31m\"b\""), "`a\\u{1b}[31m\"b\"`");
        assert_eq!(quoted(&"x".repeat(100)).chars().count(), 83);
    }

    #[test]
    fn masks_keep_lengths_and_lines() {
        let findings = Findings::default();
        findings.mask("f", 4..11);
        assert_eq!(findings.masked("f", "k = \"a\nbü\" z"), "k = **\n**** z");
        assert_eq!(findings.masked("other", "k = 1"), "k = 1");
    }
}
