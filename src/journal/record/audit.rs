//! What an audit entry holds, a signed checkpoint, and the witness: shapes of their own, because nothing in the core
//! is like them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::case::id::Timestamp;

/// What one commit holds, by digests. Everything in it is in the commit, and nothing else is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents {
    /// A process opened the store: its epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opened: Option<u64>,
    /// This version of Snapback started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<String>,
    /// This configuration is in force from now on, by digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configured: Option<String>,
    /// A rule table was stored: its own digest, and that of its text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<(String, String)>,
    /// Deliveries that were accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deliveries: Option<Span>,
    /// Deliveries whose end was decided; others may lie between.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dispositions: Option<Span>,
    /// Events that were appended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<Span>,
    /// Attempts that passed the gate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acts: Option<String>,
    /// The standing as it is from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standing: Option<String>,
    /// Services as they are from now on.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub dossiers: BTreeMap<String, String>,
    /// Cases as they are from now on.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub cases: BTreeMap<String, String>,
    /// Every delivery up to this one is decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<u64>,
    /// Deliveries up to this one are older than they are kept, and were deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pruned: Option<u64>,
}

/// Rows from one number to another, and the digest over them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// The first.
    pub first: u64,
    /// The last.
    pub last: u64,
    /// Over all of them.
    pub digest: String,
}

/// A signed statement about the chain, one line of the checkpoint file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The store, by its id.
    pub store: String,
    /// The number of entries.
    pub height: u64,
    /// The hash of the last of them.
    pub head: String,
    /// When it was signed.
    pub at: Timestamp,
    /// The public key, in hexadecimal.
    pub key: String,
    /// The signature over everything above but the key, in hexadecimal.
    pub signature: String,
}

/// What the witness remembers of the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Witnessed {
    /// The store, by its id.
    pub(crate) store: String,
    /// The number of audit entries that it had at least.
    pub(crate) height: u64,
    /// The hash of the last of them.
    pub(crate) head: String,
    /// The process that wrote this ended in order.
    pub(crate) closed: bool,
}
