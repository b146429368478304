//! The voice: says what a case has to say to people. Leaves to `case::words` what is said, and to the engine when and
//! in which order.

pub mod log;
pub mod rollcall;

use crate::case::id::Place;
use crate::case::words::Note;
use crate::outbound::Trouble;

/// Somewhere that people read.
#[derive(Debug)]
pub enum Voice {
    /// The process's own log, and its terminal.
    Log(log::Log),
}

impl Voice {
    /// Says a note and tells where.
    ///
    /// # Errors
    /// The trouble of whoever carries it there; the log has none.
    pub async fn say(&self, note: &Note) -> Result<Place, Trouble> {
        match self {
            Voice::Log(log) => Ok(log.say(note).await),
        }
    }
}
