//! Habits: how often a signal of one name fires when nothing was deployed, and how often after a deployment. What
//! was usual weakens what looks like a cause. Halved every 30 days, so that a service may change its ways.

use super::id::{Duration, Timestamp};

/// Habits lose half their weight in so long.
const HALF_LIFE: Duration = Duration::from_hours(30 * 24);

/// What is usual for one signal name on one service. Counts are weights, not integers: they fade.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Habit {
    /// Episodes that opened outside every deployment's window.
    pub alone: f64,
    /// Episodes that opened inside one.
    pub after_deployment: f64,
    /// Days observed.
    pub days: f64,
    /// When the last episode ended.
    pub last_seen: Timestamp,
}

impl Habit {
    /// A name that was never heard before `now`.
    pub fn new(now: Timestamp) -> Habit {
        Habit { alone: 0.0, after_deployment: 0.0, days: 0.0, last_seen: now }
    }

    /// The habit after one more episode ended.
    pub fn after(self, in_window: bool, now: Timestamp) -> Habit {
        let faded = self.faded(now);
        if in_window {
            Habit { after_deployment: faded.after_deployment + 1.0, ..faded }
        } else {
            Habit { alone: faded.alone + 1.0, ..faded }
        }
    }

    /// Episodes a day that no deployment explains, by what is remembered; 0 for a quiet name.
    pub fn alone_per_day(self) -> f64 {
        // Less than a day of observation says little: it counts as a day.
        self.alone / self.days.max(1.0)
    }

    fn faded(self, now: Timestamp) -> Habit {
        let passed = now.duration_since(self.last_seen);
        if passed.is_negative() {
            return self;
        }
        let kept = 0.5_f64.powf(passed.as_secs_f64() / HALF_LIFE.as_secs_f64());
        Habit {
            alone: self.alone * kept,
            after_deployment: self.after_deployment * kept,
            days: (self.days + passed.as_secs_f64() / 86_400.0) * kept,
            last_seen: now,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_habit_halves_in_thirty_days() {
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a moment");
        let once = Habit::new(start).after(false, start);
        let later = once.after(false, start + HALF_LIFE);
        assert!((later.alone - 1.5).abs() < 1e-9);
        assert!((later.days - 15.0).abs() < 1e-9);
    }

    #[test]
    fn a_clock_that_went_back_changes_nothing() {
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a moment");
        let once = Habit::new(start).after(true, start);
        assert_eq!(once.after(true, start - HALF_LIFE).after_deployment, 2.0);
    }
}
