//! A thread's address: its link, which holds everything that is needed to find it again. Owns how a link is made of a
//! workspace, a channel and a message's time, and read back; and how long a thread is worth trying that nobody can read.

use super::event::Event;
use super::id::{Duration, Place, Timestamp};
use super::story::Case;

/// A case that is over, and that the chat refuses for good, is let go after so long: whoever could mend it had a day.
const LET_GO_AFTER: Duration = Duration::from_hours(24);

/// The workspace in which cases are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workspace {
    /// Its id.
    pub team: String,
    /// Its address, `https://acme.slack.com/`.
    pub url: String,
}

/// A message: its channel, and the time that names it there; both as Slack writes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thread {
    /// The channel's id.
    pub channel: String,
    /// The message's time, which is text and never a number: `1772442845.003900`.
    pub ts: String,
}

/// The digits of a time after its point.
const FRACTION: usize = 6;

impl Thread {
    /// Its link.
    pub fn link(&self, workspace: &Workspace) -> Place {
        let digits: String = self.ts.chars().filter(char::is_ascii_digit).collect();
        Place::new(format!("{}/archives/{}/p{digits}", workspace.url.trim_end_matches('/'), self.channel))
    }

    /// Reads a link back; nothing where it is none.
    pub fn of(link: &Place) -> Option<Thread> {
        let (rest, digits) = link.as_str().rsplit_once("/p")?;
        let channel = rest.rsplit('/').next().filter(|channel| !channel.is_empty())?;
        let whole = digits.len().checked_sub(FRACTION).filter(|whole| *whole > 0)?;
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let (seconds, fraction) = digits.split_at(whole);
        Some(Thread { channel: channel.to_owned(), ts: format!("{seconds}.{fraction}") })
    }
}

/// What is done about a thread that the chat does not take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Where somebody deleted its first message, it may go on below another one: it does so once.
    pub may_move: bool,
    /// Where the chat refuses it for good, the case is let go then; nothing: not while it is open.
    pub let_go_at: Option<Timestamp>,
}

impl Patience {
    /// With this case.
    #[expect(clippy::wildcard_enum_match_arm, reason = "one event is looked for")]
    pub fn with(case: &Case) -> Patience {
        let closed_at = case.events.iter().rev().find_map(|stamped| match stamped.event {
            Event::Closed { .. } => Some(stamped.at),
            _ => None,
        });
        Patience { may_move: case.lost.is_none(), let_go_at: closed_at.map(|at| at + LET_GO_AFTER) }
    }

    /// Whether it is over: what the chat refuses for good is told there no more.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.let_go_at.is_some_and(|at| at <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_leads_back() {
        let thread = Thread { channel: "C0123ABCD".into(), ts: "1772442845.003900".into() };
        let link = thread.link(&Workspace { team: "T1".into(), url: "https://acme.slack.com/".into() });
        assert_eq!(link.as_str(), "https://acme.slack.com/archives/C0123ABCD/p1772442845003900");
        assert_eq!(Thread::of(&link), Some(thread));
        for other in [
            "log",
            "https://acme.slack.com/archives/C1",
            "https://x/archives/C1/p12345",
            "https://x/C1/p1x42845003900",
        ] {
            assert_eq!(Thread::of(&Place::new(other)), None, "{other}");
        }
    }
}
