//! Conditions in texts: matchers and expressions, with faults drawn under the very character that is wrong.

use std::collections::BTreeMap;
use std::ops::Range;

use super::fault::{Severity, quoted};
use super::quote::offset_in;
use super::read::{At, Page, Table};
use crate::case::expression::{Expression, ExpressionFault};
use crate::case::matcher::Matcher;

/// A list of matchers in Alertmanager's syntax, each with its text. All must hold, so a list that never can is a fault.
pub(super) fn matchers<'a>(table: &Table<'a>, key: &'static str) -> Vec<(At<&'a str>, Matcher)> {
    let page = table.page();
    let Some(list) = table.texts(key) else { return Vec::new() };
    let mut matchers = Vec::new();
    for text in list.value {
        match Matcher::parse(text.value) {
            Ok(matcher) => matchers.push((text, matcher)),
            Err(fault) => page.fault(
                inside(page, &text.span, fault.at),
                format!("{} is no matcher: {}", quoted(text.value), fault.message),
                "write it as in Alertmanager: 'severity=\"critical\"', with =, !=, =~ or !~",
            ),
        }
    }
    never(page, &matchers);
    matchers
}

/// A CEL expression.
pub(super) fn expression<'a>(table: &Table<'a>, key: &'static str) -> Option<(At<&'a str>, Expression)> {
    let page = table.page();
    let text = table.text(key)?;
    match Expression::parse(text.value) {
        Ok(expression) => Some((text, expression)),
        Err(fault) => {
            let remedy = "write CEL over `signal`, `suspect` and `service` that gives true or false";
            no_expression(page, key, &text, &fault, remedy);
            None
        }
    }
}

/// Notes what is wrong with an expression, at its place in the text.
pub(super) fn no_expression(
    page: Page<'_>,
    key: &str,
    text: &At<&str>,
    fault: &ExpressionFault,
    remedy: &str,
) {
    let lines = text.value.split_inclusive('\n').take(fault.line.saturating_sub(1));
    let line_start: usize = lines.map(str::len).sum();
    let before = text.value[line_start..].chars().take(fault.column.saturating_sub(1));
    let at = line_start + before.map(char::len_utf8).sum::<usize>();
    page.fault(inside(page, &text.span, at), format!("`{key}` is no expression: {}", fault.message), remedy);
}

/// The one character of the file that spells the byte `at` of a text's value.
fn inside(page: Page<'_>, span: &Range<usize>, at: usize) -> Range<usize> {
    let Some(raw) = page.text.get(span.clone()) else { return span.clone() };
    let mut start = span.start + offset_in(raw, at);
    while !page.text.is_char_boundary(start) {
        start -= 1;
    }
    let length = page.text[start..].chars().next().map_or(0, char::len_utf8);
    start..start + length
}

/// Notes matchers that cannot hold together: a label that must have one value, and another matcher refuses it.
fn never(page: Page<'_>, matchers: &[(At<&str>, Matcher)]) {
    for (at, (text, matcher)) in matchers.iter().enumerate() {
        if matcher.operator() != "=" {
            continue;
        }
        let labels = BTreeMap::from([(matcher.name().to_owned(), matcher.value().to_owned())]);
        let refuses = |other: &Matcher| other.name() == matcher.name() && !other.matches(&labels);
        let Some((other_at, (other, _))) = matchers.iter().enumerate().find(|(_, (_, other))| refuses(other))
        else {
            continue;
        };
        // Two equalities refuse each other; that is one fault.
        if matchers[other_at].1.operator() == "=" && other_at < at {
            continue;
        }
        page.witnessed(
            Severity::Fault,
            other.span.clone(),
            format!("{} and {} can never hold together", quoted(text.value), quoted(other.value)),
            "take one of them out, or join them as one expression with =~",
            format!("{} at {}", quoted(text.value), page.place(&text.span)),
        );
    }
}
