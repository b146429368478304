//! What every target does with its bytes: reads them as a body of one kind of sender, as the server reads what it has stored,
//! or shows them as the head of a request. Whatever comes, nothing panics and nothing hangs.

use std::sync::Arc;

use bytes::Bytes;
use snapback::case::id::{Duration, SourceName, Timestamp};
use snapback::intake::{Credential, SourceKind, SourceSettings, reread};

/// Reads a body of this kind of sender.
pub fn body(kind: SourceKind, body: &[u8]) {
    let settings = SourceSettings {
        kind,
        credential: Credential::Bearer(Vec::new()),
        lag: Duration::from_mins(5),
        tally: Arc::default(),
    };
    let at = Timestamp::from_second(1_772_442_840).expect("a moment of 2026");
    let content = reread(&SourceName::new("fuzz"), &settings, at, Bytes::copy_from_slice(body));
    // What was read is shown somewhere in the end.
    std::hint::black_box(format!("{content:?}"));
}
