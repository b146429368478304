//! What a note, a face and an answer look like in Slack. Everything that others wrote, and nearly everything of ours, is
//! rich text, which Slack shows as it is and never reads as markup (threat T68); the plain text beside the blocks, for
//! notifications, is escaped. Owns the caps on length (Block Kit's limits: signals §10.5).

use std::collections::BTreeSet;

use slack_morphism::prelude::*;

use crate::case::face::{Button, Face, Label, Mood};
use crate::case::id::{PersonId, Timestamp};
use crate::case::obeyed::is_obeyed;
use crate::case::rehearsal::Rehearsal;
use crate::case::words::Note;

/// The longest line; more of it is in the API.
const LINE_MAX: usize = 400;
/// The most lines of one message: with [`LINE_MAX`] well below the 13,000 characters that a message may hold.
const LINES_MAX: usize = 14;
/// A notification's text; longer ones are cut by phones anyway.
const TEXT_MAX: usize = 1000;
/// A question before a button counts (Slack: 300).
const CONFIRM_MAX: usize = 280;
/// How Slack writes a moment for each reader: in their own time.
const MOMENT: &str = "{date_short_pretty} {time_secs}";

/// The first message of a thread.
pub fn face(face: &Face) -> SlackMessageContent {
    let mut first = vec![emoji(mood(face.mood)), bold(&format!(" {}", cut(&face.headline)))];
    first.push(plain("\n"));
    first.extend(with_people(&cut(&face.now), &face.people));
    if let Some(until) = face.until {
        first.push(plain(" until "));
        first.push(moment(until));
    }
    let mut blocks = vec![section(first)];
    let details: Vec<&String> = face.why.iter().chain(&face.who).take(LINES_MAX).collect();
    if !details.is_empty() {
        let items = details
            .into_iter()
            .map(|line| SlackRichTextSection::new(with_people(&cut(line), &face.people)).into());
        let list = SlackRichTextList::new(SlackRichTextListStyle::Bullet, items.collect());
        blocks.push(SlackRichTextBlock::new(vec![list.into()]).into());
    }
    if !face.steps.is_empty() {
        let steps = face.steps.iter().take(LINES_MAX).map(|step| cut(step)).collect::<Vec<_>>().join("\n");
        let quote = SlackRichTextQuote::new(vec![plain(&steps)]);
        blocks.push(SlackRichTextBlock::new(vec![quote.into()]).into());
    }
    if !face.buttons.is_empty() {
        let buttons = face.buttons.iter().map(|button| self::button(button).into()).collect();
        blocks.push(SlackActionsBlock::new(buttons).into());
    }
    blocks.push(clock(face));
    let until = face.until.map_or(String::new(), |until| format!(" until {}", until.strftime("%H:%M:%SZ")));
    let text = format!("{}\n{}{until}", face.headline, face.now);
    SlackMessageContent::new().with_text(escaped(&text)).with_blocks(blocks)
}

/// A reply.
pub fn note(note: &Note) -> SlackMessageContent {
    let mut lines = note.lines.iter();
    let mut parts = Vec::new();
    if let Some(first) = lines.next() {
        parts.extend(with_people(&cut(first), &note.people));
    }
    for line in lines.by_ref().take(LINES_MAX) {
        parts.push(plain("\n"));
        parts.extend(with_people(&cut(line), &note.people));
    }
    let left = lines.count();
    if left > 0 {
        parts.push(plain(&format!("\n\u{2026} and {left} lines more")));
    }
    SlackMessageContent::new().with_text(escaped(&note.lines.join("\n"))).with_blocks(vec![section(parts)])
}

/// A few lines for one reader, or for the channel, with something to press below them.
pub fn answer(lines: &[String], people: &BTreeSet<PersonId>, buttons: &[Button]) -> SlackMessageContent {
    let mut parts = Vec::new();
    for (nth, line) in lines.iter().take(2 * LINES_MAX).enumerate() {
        if nth > 0 {
            parts.push(plain("\n"));
        }
        parts.extend(with_people(&cut(line), people));
    }
    let mut blocks = vec![section(parts)];
    if !buttons.is_empty() {
        let buttons = buttons.iter().map(|button| self::button(button).into()).collect();
        blocks.push(SlackActionsBlock::new(buttons).into());
    }
    SlackMessageContent::new().with_text(escaped(&lines.join("\n"))).with_blocks(blocks)
}

/// What the doctor posts: a line, and where a press is asked for the button that says so.
pub fn rehearsal(line: &str, asked: Option<Rehearsal>) -> SlackMessageContent {
    let mut blocks = vec![section(vec![plain(line)])];
    if let Some(asked) = asked {
        let label = SlackBlockPlainText::from("It works");
        let button = SlackBlockButtonElement::new(label.into())
            .with_action_id("rehearsal".into())
            .with_value(asked.to_string());
        blocks.push(SlackActionsBlock::new(vec![button.into()]).into());
    }
    SlackMessageContent::new().with_text(escaped(line)).with_blocks(blocks)
}

/// The same without blocks: what is left when Slack refuses ours.
pub(super) fn bare(content: &SlackMessageContent) -> SlackMessageContent {
    SlackMessageContent { blocks: None, ..content.clone() }
}

fn button(button: &Button) -> SlackBlockButtonElement {
    let label = button.label.words();
    let element = SlackBlockButtonElement::new(SlackBlockPlainText::from(label).into())
        .with_action_id(button.label.name().into())
        .with_value(button.says.to_string());
    let element = match button.label {
        Label::RollBack => element.with_style(SlackBlockButtonStyle::Danger),
        Label::Cancel | Label::Confirm => element.with_style(SlackBlockButtonStyle::Primary),
        Label::NotThisDeployment | Label::Snooze | Label::RollForward | Label::MarkGood | Label::MarkBad => {
            element
        }
    };
    let Some(ask) = &button.confirm else { return element };
    let text = |text: &str| SlackBlockPlainText::from(text);
    let ask: String = cut(ask).chars().take(CONFIRM_MAX).collect();
    element.with_confirm(SlackBlockConfirmItem::new(
        text(&format!("{label}?")).into(),
        text(&ask).into(),
        text(label).into(),
        text("Not now").into(),
    ))
}

/// The stages and when each was reached: our own words and moments alone, so that markup may be used.
fn clock(face: &Face) -> SlackBlock {
    let stages = face.clock.iter().map(|(stage, at)| {
        let (seconds, fallback) = (at.as_second(), at.strftime("%H:%M:%SZ"));
        format!("{stage} <!date^{seconds}^{{time_secs}}|{fallback}>")
    });
    let line =
        std::iter::once(escaped(face.case.as_str())).chain(stages).collect::<Vec<_>>().join(" \u{b7} ");
    SlackContextBlock::new(vec![SlackBlockMarkDownText::from(line).into()]).into()
}

fn mood(mood: Mood) -> &'static str {
    match mood {
        Mood::Looking => "mag",
        Mood::Asking => "question",
        Mood::Counting => "hourglass_flowing_sand",
        Mood::Acting => "rewind",
        Mood::Watching => "eyes",
        Mood::Stuck => "sos",
        Mood::Well => "white_check_mark",
        Mood::Unwell => "red_circle",
        Mood::Over => "white_circle",
    }
}

fn section(parts: Vec<SlackRichTextInlineElement>) -> SlackBlock {
    SlackRichTextBlock::new(vec![SlackRichTextSection::new(parts).into()]).into()
}

fn plain(text: &str) -> SlackRichTextInlineElement {
    text.into()
}

fn bold(text: &str) -> SlackRichTextInlineElement {
    SlackRichTextText::new(text.to_owned()).bold().into()
}

fn emoji(name: &str) -> SlackRichTextInlineElement {
    SlackRichTextEmoji::new(name.into()).into()
}

fn moment(at: Timestamp) -> SlackRichTextInlineElement {
    let fallback = at.strftime("%H:%M:%SZ").to_string();
    SlackRichTextDate::new(SlackDateTime(at), MOMENT.to_owned()).with_fallback(fallback).into()
}

/// The text, with these people shown as Slack shows people. Nobody else is: a name in an alert calls nobody.
fn with_people(text: &str, people: &BTreeSet<PersonId>) -> Vec<SlackRichTextInlineElement> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((at, person)) = first_of(rest, people) {
        if at > 0 {
            parts.push(plain(&rest[..at]));
        }
        parts.push(shown(person));
        rest = &rest[at + person.as_str().len()..];
    }
    if !rest.is_empty() || parts.is_empty() {
        // Slack refuses an empty text.
        parts.push(plain(if rest.is_empty() { " " } else { rest }));
    }
    parts
}

fn first_of<'p>(text: &str, people: &'p BTreeSet<PersonId>) -> Option<(usize, &'p PersonId)> {
    let found = people.iter().filter_map(|person| Some((text.find(person.as_str())?, person)));
    // Of two that begin alike the longer one is meant.
    found.min_by_key(|(at, person)| (*at, usize::MAX - person.as_str().len()))
}

fn shown(person: &PersonId) -> SlackRichTextInlineElement {
    match person.as_str().split_once(':') {
        Some(("slack", id)) => SlackRichTextUser::new(id.into()).into(),
        Some((_, name)) => bold(name),
        None => bold(person.as_str()),
    }
}

/// One line, without what moves a reader's text about, and no longer than a line may be.
fn cut(text: &str) -> String {
    let mut line = String::new();
    for (nth, c) in text.chars().enumerate() {
        if nth == LINE_MAX {
            line.push('\u{2026}');
            break;
        }
        line.push(if is_obeyed(c) { '\u{fffd}' } else { c });
    }
    line
}

/// Text for where Slack reads markup: `&`, `<` and `>` are all that it takes (docs.slack.dev, "Formatting text").
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for (nth, c) in text.chars().enumerate() {
        if nth == TEXT_MAX {
            safe.push('\u{2026}');
            break;
        }
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '\n' => safe.push('\n'),
            c if is_obeyed(c) => safe.push('\u{fffd}'),
            c => safe.push(c),
        }
    }
    safe
}
