//! What `doctor` found, as the API shows it.

use serde::{Deserialize, Serialize};

/// `POST /v1/doctor`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DoctorShape {
    /// Everything that was looked at.
    pub checks: Vec<CheckShape>,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckShape {
    /// What kind of thing: `source`, `feed`, `provider`, `slack` and so on.
    pub area: String,
    /// Which, by its name in the configuration.
    pub name: String,
    /// How it is.
    pub outcome: CheckOutcome,
    /// What was seen, and why.
    pub cause: String,
    /// What to do next; nothing where there is nothing to do.
    pub next: Option<String>,
}

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckOutcome {
    /// Tried, and well.
    Well,
    /// Nothing is broken, and somebody should know.
    Note,
    /// It could not be tried; how it can be.
    LeftOut,
    /// Tried, and not well.
    Ill,
}

impl CheckShape {
    /// Something that is well.
    pub fn well(area: &str, name: impl Into<String>, cause: impl Into<String>) -> CheckShape {
        CheckShape::of(area, name, CheckOutcome::Well, cause, None)
    }

    /// Something that somebody should know.
    pub fn note(
        area: &str,
        name: impl Into<String>,
        cause: impl Into<String>,
        next: impl Into<String>,
    ) -> CheckShape {
        CheckShape::of(area, name, CheckOutcome::Note, cause, Some(next.into()))
    }

    /// Something that could not be tried.
    pub fn left_out(
        area: &str,
        name: impl Into<String>,
        cause: impl Into<String>,
        next: impl Into<String>,
    ) -> CheckShape {
        CheckShape::of(area, name, CheckOutcome::LeftOut, cause, Some(next.into()))
    }

    /// Something that is not well.
    pub fn ill(
        area: &str,
        name: impl Into<String>,
        cause: impl Into<String>,
        next: impl Into<String>,
    ) -> CheckShape {
        CheckShape::of(area, name, CheckOutcome::Ill, cause, Some(next.into()))
    }

    fn of(
        area: &str,
        name: impl Into<String>,
        outcome: CheckOutcome,
        cause: impl Into<String>,
        next: Option<String>,
    ) -> CheckShape {
        CheckShape { area: area.to_owned(), name: name.into(), outcome, cause: cause.into(), next }
    }
}
