//! Evidence: what a provider shows of a service, for people, collected before anything is done and kept with the case. Owns how much
//! is kept, and how long an act waits for it; leaves to each provider what it shows.

use super::event::Event;
use super::id::{Duration, Timestamp};
use super::phase::Phase;
use super::story::Case;

/// An act never waits longer for it than this after the provider was asked for a plan.
pub const BUDGET: Duration = Duration::from_secs(10);
/// Exhibits that are kept of one case.
const EXHIBITS_MAX: usize = 12;
/// Characters of one name, and of one text: a case is written down at each of its turns.
const NAME_MAX: usize = 160;
const TEXT_MAX: usize = 1000;
/// Of a text that is too long so much of its beginning stays; the rest is its end, where logs say why.
const BEGINNING: usize = 250;
/// Lines that the thread shows of one exhibit.
const LINES_MAX: usize = 6;

/// Something that a provider shows, for people: a text with a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exhibit {
    /// What it is, in a few words.
    pub name: String,
    /// What it says; foreign text.
    pub text: String,
}

/// What was collected before an act.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// What the provider shows.
    pub exhibits: Vec<Exhibit>,
    /// Why there is no more of it, in a sentence.
    pub missing: Option<String>,
}

impl Collected {
    /// What of this is kept.
    pub fn of(exhibits: Vec<Exhibit>) -> Collected {
        let kept = exhibits.into_iter().take(EXHIBITS_MAX).map(|exhibit| Exhibit {
            name: exhibit.name.chars().take(NAME_MAX).collect(),
            text: shortened(&exhibit.text),
        });
        Collected { exhibits: kept.collect(), missing: None }
    }

    /// Nothing; why.
    pub fn nothing(why: String) -> Collected {
        Collected { exhibits: Vec::new(), missing: Some(why) }
    }

    /// What people are told.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if !self.exhibits.is_empty() {
            lines.push("before anything is done, the provider shows:".to_owned());
        }
        for Exhibit { name, text } in &self.exhibits {
            let mut shown = text.lines().filter(|line| !line.trim().is_empty());
            lines.push(format!("{name}: {}", shown.next().unwrap_or_default()));
            let rest: Vec<&str> = shown.collect();
            // The newest is last in a log.
            lines.extend(rest[rest.len().saturating_sub(LINES_MAX)..].iter().map(|line| format!("  {line}")));
        }
        lines.extend(self.missing.iter().map(|why| format!("what the provider shows is not here: {why}")));
        lines
    }
}

fn shortened(text: &str) -> String {
    let length = text.chars().count();
    if length <= TEXT_MAX {
        return text.to_owned();
    }
    let beginning: String = text.chars().take(BEGINNING).collect();
    let end: String = text.chars().skip(length - (TEXT_MAX - BEGINNING)).collect();
    format!("{beginning}\n\u{2026}\n{end}")
}

impl Case {
    /// Whether the provider is to show what is there: once, from when it is asked for a plan until the act.
    pub fn collects(&self) -> bool {
        let at_it = match &self.phase {
            Phase::Planning { .. } | Phase::AwaitingApproval { .. } | Phase::Countdown { .. } => true,
            Phase::Ready { .. } => self.phase.is_before_the_act(),
            // In shadow.
            Phase::Weighing { .. } => self.told_plan,
            Phase::Gathering { .. }
            | Phase::Intended { .. }
            | Phase::Running { .. }
            | Phase::Verifying(_)
            | Phase::NeedsHuman { .. }
            | Phase::Closed(_) => false,
        };
        at_it && !self.collected
    }

    /// Until then an act waits for it, if it waits at all.
    pub fn waits_for_evidence_until(&self) -> Option<Timestamp> {
        if !self.collects() {
            return None;
        }
        let asked = self.events.iter().rev().find(|stamped| matches!(stamped.event, Event::Chosen { .. }));
        asked.map(|stamped| stamped.at + BUDGET)
    }

    /// What was collected.
    pub fn evidence(&self) -> Option<&Collected> {
        self.events.iter().find_map(|stamped| {
            if let Event::Collected(collected) = &stamped.event { Some(collected) } else { None }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exhibit(name: &str, text: &str) -> Exhibit {
        Exhibit { name: name.into(), text: text.into() }
    }

    #[test]
    fn of_a_long_text_the_beginning_and_the_end_stay() {
        let long = format!("first{}last", "x".repeat(5000));
        let kept = Collected::of(vec![exhibit(&"n".repeat(500), &long); 40]);
        assert_eq!(kept.exhibits.len(), EXHIBITS_MAX);
        let Exhibit { name, text } = &kept.exhibits[0];
        assert_eq!(name.len(), NAME_MAX);
        assert!(text.starts_with("first") && text.ends_with("last"), "{text}");
        assert_eq!(text.chars().count(), TEXT_MAX + 3);
    }

    #[test]
    fn people_read_how_each_begins_and_ends() {
        let log: Vec<String> = (1..=20).map(|nth| format!("line {nth}")).collect();
        let told = Collected::of(vec![exhibit("log of web", &log.join("\n"))]).lines();
        let expected = [
            "before anything is done, the provider shows:",
            "log of web: line 1",
            "  line 15",
            "  line 16",
            "  line 17",
            "  line 18",
            "  line 19",
            "  line 20",
        ];
        assert_eq!(told, expected);
        assert_eq!(Collected::default().lines(), Vec::<String>::new());
        let nothing = Collected::nothing("it hangs".into()).lines();
        assert_eq!(nothing, ["what the provider shows is not here: it hangs"]);
    }
}
