//! Trailers of a commit's message, in which people say what its release does to the schema. Leaves to each provider how the message is
//! come by.

use crate::case::id::ChangeId;
use crate::case::release::{MigrationMarks, RollbackMark};

/// What a message says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Trailers {
    /// The change that it belongs to.
    pub(super) change: Option<ChangeId>,
    /// What it says about going back over it.
    pub(super) marks: MigrationMarks,
}

impl Trailers {
    /// Reads a message.
    pub(super) fn of(message: &str) -> Trailers {
        let number = |name: &str| trailer(message, name).and_then(|text| text.parse().ok());
        Trailers {
            change: trailer(message, "Snapback-Change").map(ChangeId::new),
            marks: MigrationMarks {
                rollback: trailer(message, "Snapback-Rollback").map(rollback_mark),
                schema_version: number("Snapback-Schema-Version"),
                min_compatible_schema: number("Snapback-Min-Compatible-Schema"),
            },
        }
    }
}

/// A word that is none must not let somebody go back who may not.
pub(super) fn rollback_mark(word: &str) -> RollbackMark {
    RollbackMark::parse(word).unwrap_or(RollbackMark::Irreversible)
}

/// The value of a trailer: `Name: value` on a line of its own.
fn trailer<'a>(message: &'a str, name: &str) -> Option<&'a str> {
    let of = |line: &'a str| {
        let (key, value) = line.split_once(':')?;
        key.trim().eq_ignore_ascii_case(name).then(|| value.trim())
    };
    message.lines().filter_map(of).next_back().filter(|value| !value.is_empty())
}
