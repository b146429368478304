//! A probe of the user's own: how often it runs and what its failures mean, and what one run found. Leaves what is checked,
//! and how, to the room `probe`.

use super::id::{Duration, ProbeName};

/// When a probe runs, and when its failures are a signal, `[probes.NAME]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbePolicy {
    /// Its name.
    pub name: ProbeName,
    /// After a deployment finished going out it runs for so long.
    pub watch_for: Duration,
    /// So often.
    pub every: Duration,
    /// So many failures in a row are a signal.
    pub failures: u32,
    /// The `severity` label of that signal.
    pub severity: String,
}

impl ProbePolicy {
    /// A probe of this name with the defaults.
    pub fn new(name: ProbeName) -> ProbePolicy {
        ProbePolicy {
            name,
            watch_for: Duration::from_mins(10),
            every: Duration::from_secs(15),
            failures: 3,
            severity: "critical".to_owned(),
        }
    }
}

/// What one run of a probe found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// What it checks is well.
    Passing,
    /// It is not; what was seen, capped.
    Failing(String),
    /// Nobody can say, because the check itself could not be made or found no data: not broken, and not recovered. Why.
    Unknown(String),
}
