//! Pace: how long to wait before asking again. Providers and the voice never sleep by themselves; whoever carries
//! out an errand asks here.

use std::time::Duration;

/// The first wait after something could not be done.
const FIRST: Duration = Duration::from_millis(250);
/// The wait after the first attempt that could not leave.
const FIRST_ATTEMPT: Duration = Duration::from_secs(1);
/// The longest wait between two tries.
const LONGEST: Duration = Duration::from_secs(30);
/// The longest wait before a note is said again: the chat is one call every five seconds away from hearing it.
const SPEAK_LONGEST: Duration = Duration::from_secs(5);
/// The longest wait where the chat refuses for good: a channel that is opened again is told within a minute.
const REFUSED_LONGEST: Duration = Duration::from_secs(60);
/// How often work under way is looked at, from often to seldom: most ends soon or takes long.
const WATCH_FIRST: Duration = Duration::from_millis(200);
/// The longest wait between two looks at work under way.
const WATCH_LONGEST: Duration = Duration::from_secs(5);

/// Grows from one wait to the next, up to a limit.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    next: Duration,
    longest: Duration,
}

impl Pace {
    /// For calls that could not be made, or not be read.
    pub fn after_trouble() -> Pace {
        Pace { next: FIRST, longest: LONGEST }
    }

    /// For what people wait to read: after an outage of the chat it is said soon.
    pub fn of_speaking() -> Pace {
        Pace { next: FIRST, longest: SPEAK_LONGEST }
    }

    /// For what the chat refuses for good: until somebody mends it, nobody is helped by asking often.
    pub fn of_refused() -> Pace {
        Pace { next: SPEAK_LONGEST, longest: REFUSED_LONGEST }
    }

    /// For looking at work that is under way.
    pub fn of_watching() -> Pace {
        Pace { next: WATCH_FIRST, longest: WATCH_LONGEST }
    }

    /// How long to wait after the attempt of this number, the first being 1.
    pub fn nth(attempt: u32, wished: Option<Duration>) -> Duration {
        let doubled = FIRST_ATTEMPT * 2_u32.saturating_pow(attempt.saturating_sub(1).min(16));
        doubled.max(wished.unwrap_or(Duration::ZERO)).min(LONGEST)
    }

    /// How long to wait now. A longer wish of the other side is granted, up to the limit.
    pub fn wait(&mut self, wished: Option<Duration>) -> Duration {
        let wait = self.next.max(wished.unwrap_or(Duration::ZERO)).min(self.longest);
        self.next = (self.next * 2).min(self.longest);
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_up_to_a_limit() {
        let mut pace = Pace::after_trouble();
        let waits: Vec<_> = (0..10).map(|_| pace.wait(None)).collect();
        assert_eq!(waits[..3], [FIRST, FIRST * 2, FIRST * 4]);
        assert_eq!(waits[9], LONGEST);
    }

    #[test]
    fn attempts_that_could_not_leave_come_later_each_time() {
        let waits: Vec<_> = (1..8).map(|attempt| Pace::nth(attempt, None).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30]);
        assert_eq!(Pace::nth(u32::MAX, Some(Duration::from_secs(90))), LONGEST);
    }

    #[test]
    fn the_other_side_is_heard_within_limits() {
        assert_eq!(Pace::after_trouble().wait(Some(Duration::from_secs(7))), Duration::from_secs(7));
        assert_eq!(Pace::after_trouble().wait(Some(Duration::from_secs(7000))), LONGEST);
    }
}
