//! Dead letters, as the API shows them: without their bodies, which may hold anything.

use serde::{Deserialize, Serialize};

use crate::case::id::Timestamp;
use crate::case::turn::Disposition;
use crate::journal::reader::DeadLetter;

/// `GET /v1/deadletters`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeadLettersShape {
    /// The newest first.
    pub dead_letters: Vec<DeadLetterShape>,
    /// Where the next page begins.
    pub next: Option<String>,
}

/// What was authentic and could not be read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeadLetterShape {
    /// Its number.
    pub id: u64,
    /// Whose it is; of a feed `@feeds/NAME`.
    pub source: String,
    /// When it came.
    pub received_at: Timestamp,
    /// Why nobody could read it.
    pub reason: String,
    /// How long it is.
    pub bytes: u64,
    /// What became of it when it was replayed, if it was.
    pub replayed: Option<String>,
}

impl DeadLetterShape {
    /// A letter in its shape.
    pub fn of(letter: &DeadLetter) -> DeadLetterShape {
        // A letter counts as replayed only where its request was carried out.
        let says = |became: &Disposition| {
            if let Disposition::Done(says) = became { Some(says.clone()) } else { None }
        };
        DeadLetterShape {
            id: letter.id.0,
            source: letter.source.to_string(),
            received_at: letter.received_at,
            reason: letter.why.clone(),
            bytes: letter.bytes,
            replayed: letter.replayed.as_ref().and_then(says),
        }
    }
}
