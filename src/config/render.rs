//! Faults for people and for machines: drawn under the offending text as a compiler does, or as JSON.

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use super::fault::{Fault, Severity, SourceText};

/// Who reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// A pipe or a log: no colours.
    Plain,
    /// A terminal.
    Styled,
}

/// So many are drawn: nobody reads more at once, and each costs a reading of its file.
const DRAWN_MAX: usize = 100;

/// Draws each fault under its text, with the remedy as help and the witness as note; a line of counts ends it.
/// Nothing wrong is an empty text.
pub fn render(faults: &[Fault], texts: &[SourceText], style: Style) -> String {
    let renderer = match style {
        Style::Plain => Renderer::plain(),
        Style::Styled => Renderer::styled(),
    };
    let mut out = String::new();
    for fault in faults.iter().take(DRAWN_MAX) {
        let text = texts.iter().find(|text| text.name == fault.file);
        out.push_str(&renderer.render(&[group(fault, text)]));
        out.push_str("\n\n");
    }
    let more = faults.len().saturating_sub(DRAWN_MAX);
    if more > 0 {
        out.push_str(&format!(
            "and {more} more: mend these first, or see all of them with --format json\n\n"
        ));
    }
    if let Some(counts) = counts(faults) {
        out.push_str(&counts);
        out.push('\n');
    }
    out
}

fn group<'f>(fault: &'f Fault, text: Option<&'f SourceText>) -> Group<'f> {
    let level = match fault.severity {
        Severity::Fault => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(&fault.message);
    let mut group = match text {
        Some(text) if !text.text.is_empty() => {
            let end = text.text.len();
            let span = fault.span.start.min(end)..fault.span.end.min(end);
            title.element(
                Snippet::source(&text.text).path(&fault.file).annotation(AnnotationKind::Primary.span(span)),
            )
        }
        _ => title.element(Origin::path(&fault.file)),
    };
    if let Some(witness) = &fault.witness {
        group = group.element(Level::NOTE.message(witness));
    }
    group.element(Level::HELP.message(&fault.remedy))
}

/// `2 faults, 1 warning`.
fn counts(faults: &[Fault]) -> Option<String> {
    let count = |severity, one: &str| {
        let number = faults.iter().filter(|fault| fault.severity == severity).count();
        let plural = if number == 1 { "" } else { "s" };
        (number > 0).then(|| format!("{number} {one}{plural}"))
    };
    let parts: Vec<String> = [count(Severity::Fault, "fault"), count(Severity::Warning, "warning")]
        .into_iter()
        .flatten()
        .collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// `{"faults": [...]}`, the shape of `check --format json`.
pub fn json(faults: &[Fault]) -> serde_json::Value {
    serde_json::json!({ "faults": faults })
}
