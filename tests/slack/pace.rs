//! How fast one may post: about one message a second in a channel, and fifty changes a minute, by the workspace's clock.
//! Sources: Slack's page on rate limits; short bursts are tolerated, how long ones it does not say.

use std::collections::BTreeMap;

use snapback::case::id::Timestamp;

/// Changes a minute that `chat.update` takes: Tier 3.
const UPDATES: f64 = 50.0;

/// What each of them has left.
pub(super) struct Pace {
    /// So many messages at once before the pace counts.
    burst: f64,
    left: BTreeMap<String, Left>,
}

struct Left {
    calls: f64,
    /// Milliseconds since 1970.
    at: i64,
}

impl Pace {
    pub(super) fn new(burst: u32) -> Pace {
        Pace { burst: f64::from(burst.max(1)), left: BTreeMap::new() }
    }

    /// Takes one message in a channel, or says after how many whole seconds.
    pub(super) fn post(&mut self, channel: &str, now: Timestamp) -> Result<(), u64> {
        let burst = self.burst;
        self.take(&format!("chat.postMessage {channel}"), burst, 1.0, now)
    }

    /// Takes one change of a message, or says after how many whole seconds.
    pub(super) fn update(&mut self, now: Timestamp) -> Result<(), u64> {
        self.take("chat.update", UPDATES, UPDATES / 60.0, now)
    }

    fn take(&mut self, of: &str, most: f64, per_second: f64, now: Timestamp) -> Result<(), u64> {
        let now = now.as_millisecond();
        let left = self.left.entry(of.to_owned()).or_insert(Left { calls: most, at: now });
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of one test")]
        let passed = (now - left.at).max(0) as f64 / 1000.0;
        left.calls = (left.calls + passed * per_second).min(most);
        left.at = now;
        // What is missing by less than a thousandth is rounding.
        if left.calls >= 0.999 {
            left.calls = (left.calls - 1.0).max(0.0);
            return Ok(());
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a few seconds, and more than none"
        )]
        let wait = ((1.0 - left.calls) / per_second).ceil() as u64;
        Err(wait.max(1))
    }
}
