//! The clock: the one place that reads the time and the one that waits. Everybody else is told what time it is, or
//! asks here.

use std::time::Duration;

use jiff::Timestamp;

/// Tells the time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock;

impl Clock {
    /// The present.
    #[expect(clippy::disallowed_methods, reason = "this is the place that reads the clock")]
    pub fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// Waits so long.
#[expect(clippy::disallowed_methods, reason = "this is the place that waits")]
pub async fn sleep(length: Duration) {
    tokio::time::sleep(length).await;
}

/// Waits until this moment, at most so long.
pub async fn pause_until(clock: &Clock, moment: Timestamp, longest: Duration) {
    let left = moment.duration_since(clock.now());
    let left = if left.is_negative() { Duration::ZERO } else { left.unsigned_abs() };
    sleep(left.min(longest)).await;
}
