//! Lanes: one per channel in which is said what cases have to say, so that no channel takes more than it bears, words come
//! before looks, and a channel that asks to wait keeps nobody waiting elsewhere (failure model §5). Owns the pace; what is
//! said is others'.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration as StdDuration;

use crate::case::id::{Duration, Timestamp};
use crate::clock::{Clock, sleep};

/// Slack takes about one message a second in a channel (signals §10.6).
const EVERY: Duration = Duration::from_secs(1);
/// And bears bursts: so much may be said ahead of that.
const BURST: Duration = Duration::from_secs(3);
/// A look that waits for words asks again after so long.
const NAP: StdDuration = StdDuration::from_millis(100);

/// What is carried on a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// A note: each is said, in order.
    Words,
    /// How a first message looks: it waits for words, and later looks include it.
    Looks,
}

/// One lane per channel.
#[derive(Debug, Default)]
pub struct Lanes {
    lanes: Mutex<BTreeMap<String, Lane>>,
}

#[derive(Clone, Copy, Debug)]
struct Lane {
    /// When the next one may go if nothing goes ahead of time.
    free_at: Timestamp,
    /// Words that wait.
    waiting: usize,
}

impl Lanes {
    /// Waits until one more may be carried there.
    pub async fn turn(&self, channel: &str, load: Load, clock: &Clock) {
        let _waits = (load == Load::Words).then(|| Waits::begin(self, channel, clock.now()));
        while let Some(wait) = self.take(channel, load, clock.now()) {
            sleep(wait).await;
        }
    }

    /// Takes a turn, or says how long to wait for it.
    fn take(&self, channel: &str, load: Load, now: Timestamp) -> Option<StdDuration> {
        self.with(channel, now, |lane| {
            if load == Load::Looks && lane.waiting > 0 {
                return Some(NAP);
            }
            if lane.free_at > now + BURST {
                return Some((lane.free_at - BURST).duration_since(now).unsigned_abs());
            }
            lane.free_at = lane.free_at.max(now) + EVERY;
            None
        })
    }

    /// The channel asks to wait.
    pub fn hold(&self, channel: &str, after: Duration, now: Timestamp) {
        self.with(channel, now, |lane| lane.free_at = lane.free_at.max(now + BURST + after));
    }

    fn with<T>(&self, channel: &str, now: Timestamp, then: impl FnOnce(&mut Lane) -> T) -> T {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        // A lane that is long free is as good as none.
        lanes.retain(|name, lane| name == channel || lane.waiting > 0 || lane.free_at > now);
        then(lanes.entry(channel.to_owned()).or_insert(Lane { free_at: now, waiting: 0 }))
    }
}

/// Words that wait; whoever carries them may be cut.
struct Waits<'a> {
    lanes: &'a Lanes,
    channel: &'a str,
    since: Timestamp,
}

impl<'a> Waits<'a> {
    fn begin(lanes: &'a Lanes, channel: &'a str, since: Timestamp) -> Waits<'a> {
        lanes.with(channel, since, |lane| lane.waiting += 1);
        Waits { lanes, channel, since }
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.lanes.with(self.channel, self.since, |lane| lane.waiting = lane.waiting.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millisecond: i64) -> Timestamp {
        Timestamp::from_millisecond(1_800_000_000_000 + millisecond).expect("a moment")
    }

    #[test]
    fn a_burst_goes_at_once_and_then_one_a_second() {
        let lanes = Lanes::default();
        let free = |now| (0..20).take_while(|_| lanes.take("C1", Load::Words, at(now)).is_none()).count();
        assert_eq!(free(0), 4, "one, and three ahead of time");
        assert_eq!(free(999), 0);
        assert_eq!(free(1000), 1);
        assert_eq!(free(10_000), 4, "a quiet channel bears a burst again, and no more than that");
        assert!(lanes.take("C2", Load::Words, at(10_000)).is_none(), "another channel has its own pace");
    }

    #[test]
    fn looks_wait_for_words_and_both_for_a_channel_that_asks_to_wait() {
        let lanes = Lanes::default();
        let words = Waits::begin(&lanes, "C1", at(0));
        assert_eq!(lanes.take("C1", Load::Looks, at(0)), Some(NAP));
        assert!(lanes.take("C1", Load::Words, at(0)).is_none());
        drop(words);
        assert!(lanes.take("C1", Load::Looks, at(0)).is_none());
        lanes.hold("C1", Duration::from_secs(7), at(0));
        assert_eq!(lanes.take("C1", Load::Words, at(0)), Some(StdDuration::from_secs(7)));
        assert!(lanes.take("C1", Load::Words, at(7000)).is_none());
    }
}
