//! A rehearsal of a click: what the doctor's button says, so that its press is told from every other one. It decides nothing.
//! Leaves to `saying` what all other buttons say.

use std::fmt;
use std::str::FromStr;

use super::id::Timestamp;

/// What stands before the moment; no saying begins so.
const WORD: &str = "rehearsal ";

/// A button that somebody is asked to press, named by when they were asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rehearsal(pub Timestamp);

impl fmt::Display for Rehearsal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{WORD}{}", self.0)
    }
}

/// What says something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no rehearsal")]
pub struct NotARehearsal;

impl FromStr for Rehearsal {
    type Err = NotARehearsal;

    fn from_str(text: &str) -> Result<Rehearsal, NotARehearsal> {
        let asked = text.strip_prefix(WORD).and_then(|at| at.parse().ok());
        asked.map(Rehearsal).ok_or(NotARehearsal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::saying::Saying;

    #[test]
    fn it_is_read_as_it_is_written_and_is_no_saying() {
        let asked = Rehearsal("2026-11-27T03:00:00.123456789Z".parse().expect("a moment"));
        assert_eq!(asked.to_string().parse(), Ok(asked));
        assert!(Saying::read(&asked.to_string(), &[]).is_err());
        for other in ["", "help", "rehearsal", "rehearsal now", " rehearsal 2026-11-27T03:00:00Z"] {
            assert_eq!(other.parse::<Rehearsal>(), Err(NotARehearsal), "{other}");
        }
    }
}
