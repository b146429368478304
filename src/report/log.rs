//! The log as voice: a case's thread as structured log, and as readable lines for whoever sits at a terminal. What
//! others wrote into an alert can neither start a line, nor colour one, nor move the cursor here (threat T77).

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use crate::case::id::{CaseId, NoteNo, Place};
use crate::case::obeyed::is_obeyed;
use crate::case::words::Note;

/// The longest line; a longer one would hide what stands around it.
const LINE_MAX: usize = 500;

/// So many notes are remembered: more than wait elsewhere at once.
const SAID_MAX: usize = 1000;

/// The most lines of one note: a screen.
const LINES_MAX: usize = 40;

/// Whether lines are coloured; the caller knows whether there is a terminal, and whether people want it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// ANSI sequences.
    Ansi,
    /// None.
    Plain,
}

/// The voice. It cannot fail: it is what is left when others do.
pub struct Log {
    lines: Option<Lines>,
    /// The notes that were said last: one that is still to be said elsewhere comes here again, and is not repeated.
    said: Mutex<VecDeque<(CaseId, NoteNo)>>,
}

struct Lines {
    out: Arc<Mutex<dyn Write + Send>>,
    colour: Colour,
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log").field("lines", &self.lines.is_some()).finish()
    }
}

impl Log {
    /// Structured log alone.
    pub fn structured() -> Log {
        Log { lines: None, said: Mutex::default() }
    }

    /// Structured log, and readable lines to this output.
    pub fn with_lines(out: impl Write + Send + 'static, colour: Colour) -> Log {
        Log { lines: Some(Lines { out: Arc::new(Mutex::new(out)), colour }), said: Mutex::default() }
    }

    /// Says a note, once.
    pub async fn say(&self, note: &Note) -> Place {
        if !self.is_new(note) {
            return Place::log();
        }
        let said = harmless_lines(note);
        let (case, service) = (harmless(note.case.as_str()), harmless(note.case.service().as_str()));
        tracing::info!(case.id = case, service, note = note.number.0, "{}", said.join(" | "));
        if let Some(Lines { out, colour }) = &self.lines {
            let (text, out) = (readable(note, &said, *colour), out.clone());
            let written = tokio::task::spawn_blocking(move || write(&out, &text)).await;
            if !matches!(written, Ok(Ok(()))) {
                // Nobody reads there any longer; the structured log has it.
                tracing::debug!("the readable lines could not be written");
            }
        }
        Place::log()
    }

    fn is_new(&self, note: &Note) -> bool {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let known = said.iter().any(|(case, number)| *case == note.case && *number == note.number);
        if !known {
            said.truncate(SAID_MAX - 1);
            said.push_front((note.case.clone(), note.number));
        }
        !known
    }
}

fn write(out: &Mutex<dyn Write + Send>, text: &str) -> io::Result<()> {
    let mut out = out.lock().unwrap_or_else(PoisonError::into_inner);
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// A note for people: the time and the case before its first line, the others below it.
fn readable(note: &Note, lines: &[String], colour: Colour) -> String {
    let (dim, bold, end) = match colour {
        Colour::Ansi => ("\u{1b}[2m", "\u{1b}[1m", "\u{1b}[0m"),
        Colour::Plain => ("", "", ""),
    };
    let mut text = format!("{dim}{}{end} ", note.at.strftime("%H:%M:%SZ"));
    let opening = if note.number == NoteNo(0) { bold } else { "" };
    let case = harmless(note.case.as_str());
    let mut lines = lines.iter();
    let first = lines.next().map_or("", String::as_str);
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{bold}{case}{end} {opening}{first}{}", if opening.is_empty() { "" } else { end });
    for line in lines {
        let _ = writeln!(text, "          {line}");
    }
    text
}

fn harmless_lines(note: &Note) -> Vec<String> {
    let mut lines: Vec<String> = note.lines.iter().take(LINES_MAX).map(|line| harmless(line)).collect();
    let left = note.lines.len().saturating_sub(LINES_MAX);
    if left > 0 {
        lines.push(format!("… and {left} lines more"));
    }
    lines
}

/// The text with everything spelled out that a terminal or a reader of logs would obey instead of show.
fn harmless(text: &str) -> String {
    let mut safe = String::with_capacity(text.len().min(LINE_MAX));
    for (place, c) in text.chars().enumerate() {
        if place == LINE_MAX {
            safe.push('…');
            break;
        }
        if is_obeyed(c) { safe.extend(c.escape_unicode()) } else { safe.push(c) }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::id::CaseId;

    fn note(number: u32, lines: &[&str]) -> Note {
        Note {
            case: CaseId::new("checkout@production.3"),
            number: NoteNo(number),
            lines: lines.iter().map(|&line| line.to_owned()).collect(),
            at: "2026-03-01T12:00:07Z".parse().unwrap(),
            people: std::collections::BTreeSet::new(),
        }
    }

    fn shown(note: &Note, colour: Colour) -> String {
        readable(note, &harmless_lines(note), colour)
    }

    #[test]
    fn a_note_reads_as_lines() {
        assert_eq!(
            shown(&note(1, &["rolling back v42 to v41", "step 1 of 2"]), Colour::Plain),
            "12:00:07Z checkout@production.3 rolling back v42 to v41\n          step 1 of 2\n"
        );
        assert_eq!(
            shown(&note(0, &["HighErrorRate"]), Colour::Ansi),
            "\u{1b}[2m12:00:07Z\u{1b}[0m \u{1b}[1mcheckout@production.3\u{1b}[0m \u{1b}[1mHighErrorRate\u{1b}[0m\n"
        );
    }

    #[test]
    fn text_from_an_alert_is_shown_and_never_obeyed() {
        let hostile =
            "down\n12:00:08Z checkout@production.3 recovered\u{1b}[2J\u{9b}1m\r\u{202e}x\u{2028}y\u{0}";
        let text = shown(&note(1, &[hostile]), Colour::Plain);
        assert_eq!(text.lines().count(), 1);
        assert!(!text.trim_end_matches('\n').chars().any(is_obeyed), "{text:?}");
        assert!(text.contains(r"down\u{a}12:00:08Z"), "{text}");
        assert!(text.contains(r"\u{1b}[2J"), "{text}");
    }

    #[test]
    fn long_notes_are_cut() {
        let long = "x".repeat(10_000);
        let text = shown(&note(1, &[long.as_str(); 100]), Colour::Plain);
        assert_eq!(text.lines().count(), LINES_MAX + 1);
        assert!(text.lines().all(|line| line.chars().count() < LINE_MAX + 60));
        assert!(text.ends_with("… and 60 lines more\n"));
    }

    #[tokio::test]
    async fn it_is_said_in_the_log_even_where_nobody_reads() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let place = Log::with_lines(Closed, Colour::Plain).say(&note(0, &["x"])).await;
        assert_eq!(place, Place::log());
    }
}
