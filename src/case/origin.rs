//! Who began a case, and which way it goes. Leaves what follows from it to `pursue` and `ask`.

use super::approval::PersonVote;
use super::id::{PersonId, ReleaseId};

/// Who began a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A signal.
    Signal,
    /// A person, by hand.
    Person {
        /// Who.
        by: PersonId,
        /// Why.
        reason: String,
        /// To which release; none: the ledger's own choice.
        to: Option<ReleaseId>,
        /// Back, or forward again.
        direction: Direction,
        /// What they say to the plan that they were shown, where they were shown one.
        shown: Option<PersonVote>,
    },
    /// A drill.
    Drill,
}

/// Which way a person's case goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// Away from a release that is to blame: it is graded bad, and locked.
    #[default]
    Back,
    /// To the release that a rollback took away: nothing is blamed, and its lock is lifted.
    Forward,
}

impl Origin {
    /// The word in the API.
    pub fn word(&self) -> &'static str {
        match self {
            Origin::Signal => "signal",
            Origin::Person { .. } => "person",
            Origin::Drill => "drill",
        }
    }
}
