//! The audit: one entry for each commit, chained by hashes, and checkpoints signed over the chain. Owns how rows are
//! digested and entries are hashed, so that whoever writes and whoever verifies cannot differ. Leaves the looking
//! back to `verify`.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

use super::inbox::ContentKey;
use super::sqlite::{OpenError, beside};
use crate::case::digest::Canon;
use crate::case::id::Timestamp;

pub use super::record::audit::{Checkpoint, Contents, Span};

/// A checkpoint is signed after so many entries...
pub const SIGNED_ENTRIES: u64 = 1000;
/// ...or so many seconds after the last one, where there is anything new.
pub const SIGNED_SECONDS: u32 = 600;

/// What belongs to no turn and is in the audit all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuditNote {
    /// This version of Snapback started.
    Started {
        /// The version.
        version: String,
    },
    /// This configuration is in force from now on.
    Configured {
        /// Its digest.
        digest: crate::case::id::Digest,
    },
}

/// One entry of the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// Its number, from 1.
    pub height: u64,
    /// When its commit was made: nanoseconds since 1970.
    pub at: i64,
    /// What the commit holds, as written: see [`Contents`].
    pub contents: String,
    /// The hash of the entry before; of the first, the store's id.
    pub prev: String,
    /// Over everything above.
    pub hash: String,
}

impl AuditEntry {
    /// Makes the entry that follows.
    pub fn after(head: &Head, at: i64, contents: String) -> AuditEntry {
        let mut entry = AuditEntry {
            height: head.height + 1,
            at,
            contents,
            prev: head.hash.clone(),
            hash: String::new(),
        };
        entry.hash = entry.compute_hash();
        entry
    }

    /// The hash that it should have.
    pub fn compute_hash(&self) -> String {
        let mut canon = Canon::new("audit");
        canon
            .number("height", i64::try_from(self.height).unwrap_or(i64::MAX))
            .number("at", self.at)
            .text("contents", &self.contents)
            .text("prev", &self.prev);
        canon.digest().to_string()
    }
}

/// Where the chain stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The number of entries.
    pub height: u64,
    /// The hash of the last one; of an empty chain, the store's id.
    pub hash: String,
}

/// Digests rows of one kind, one after the other.
pub(super) struct Rows {
    canon: Canon,
    span: Option<(u64, u64)>,
}

impl Rows {
    /// Nothing yet of this kind.
    pub(super) fn new(kind: &str) -> Rows {
        Rows { canon: Canon::new(kind), span: None }
    }

    fn row(&mut self, number: u64) -> &mut Canon {
        let first = self.span.map_or(number, |(first, _)| first.min(number));
        let last = self.span.map_or(number, |(_, last)| last.max(number));
        self.span = Some((first, last));
        self.canon.bytes("row", &number.to_le_bytes())
    }

    /// A delivery; its key stands for source and body.
    pub(super) fn delivery(&mut self, id: u64, received_at: i64, key: &ContentKey, dead: Option<&str>) {
        self.row(id).number("received_at", received_at).bytes("key", &key.0).option("dead", dead);
    }

    /// What became of a delivery.
    pub(super) fn disposition(&mut self, delivery: u64, body: &str) {
        self.row(delivery).text("body", body);
    }

    /// An event.
    pub(super) fn event(&mut self, seq: u64, event: &EventRow<'_>) {
        self.row(seq)
            .number("at", event.at)
            .option("service", event.service)
            .option("case", event.case)
            .text("body", event.body);
    }

    /// An attempt that passed the gate.
    pub(super) fn act(&mut self, number: u64, act: &ActRow<'_>) {
        self.row(number)
            .number("at", act.at)
            .text("service", act.service)
            .option("suspect", act.suspect)
            .text("case", act.case)
            .number("step", act.step)
            .number("attempt", act.attempt)
            .text("class", act.class)
            .flag("automatic", act.automatic)
            .text("mark", act.mark);
    }

    /// The digest, if there was any row.
    pub(super) fn digest(&self) -> Option<String> {
        self.span.map(|_| self.canon.digest().to_string())
    }

    /// Which rows there were, with their digest.
    pub(super) fn span(&self) -> Option<Span> {
        self.span.map(|(first, last)| Span { first, last, digest: self.canon.digest().to_string() })
    }
}

/// An event as it lies in its table.
pub(super) struct EventRow<'a> {
    pub(super) at: i64,
    pub(super) service: Option<&'a str>,
    pub(super) case: Option<&'a str>,
    pub(super) body: &'a str,
}

/// An act as it lies in its table.
pub(super) struct ActRow<'a> {
    pub(super) at: i64,
    pub(super) service: &'a str,
    pub(super) suspect: Option<&'a str>,
    pub(super) case: &'a str,
    pub(super) step: i64,
    pub(super) attempt: i64,
    pub(super) class: &'a str,
    pub(super) automatic: bool,
    pub(super) mark: &'a str,
}

/// The digest of the body of a row that is replaced in place.
pub(super) fn body_digest(kind: &str, body: &str) -> String {
    crate::case::digest::of_bytes(kind, body.as_bytes()).to_string()
}

/// Signs checkpoints and appends them to their file.
pub(super) struct Signer {
    key: Ed25519KeyPair,
    path: PathBuf,
    store: String,
}

impl Signer {
    /// Reads the key beside the store, or makes one that only its owner can read.
    pub(super) fn open(store_path: &Path, store: String) -> Result<Signer, OpenError> {
        let path = beside(store_path, "key");
        let unusable = |why: String| OpenError::Key { path: path.clone(), why };
        let pkcs8 = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => make_key(&path)?,
            Err(cause) => return Err(unusable(cause.to_string())),
        };
        let key = Ed25519KeyPair::from_pkcs8(&pkcs8).map_err(|_| {
            unusable(
                "no Ed25519 key in PKCS #8: move it away, and a new one is made at the next start".into(),
            )
        })?;
        Ok(Signer { key, path: beside(store_path, "checkpoints"), store })
    }

    /// Signs where the chain stands, and appends it, synced, to the file.
    pub(super) fn sign(&self, head: &Head, at: Timestamp) -> std::io::Result<()> {
        let mut checkpoint = Checkpoint {
            store: self.store.clone(),
            height: head.height,
            head: head.hash.clone(),
            at,
            key: hex(self.key.public_key().as_ref()),
            signature: String::new(),
        };
        checkpoint.signature = hex(self.key.sign(signed_bytes(&checkpoint).as_bytes()).as_ref());
        let mut line = serde_json::to_vec(&checkpoint)?;
        line.push(b'\n');
        let mut file = OpenOptions::new().create(true).append(true).open(&self.path)?;
        file.write_all(&line)?;
        file.sync_all()
    }
}

fn make_key(path: &Path) -> Result<Vec<u8>, OpenError> {
    let file = |doing, cause| OpenError::File { doing, path: path.to_owned(), cause };
    let pair = Ed25519KeyPair::generate().map_err(|_| OpenError::Key {
        path: path.to_owned(),
        why: "no randomness to make one from".into(),
    })?;
    let pkcs8 = pair.to_pkcs8v1().map_err(|_| OpenError::Key {
        path: path.to_owned(),
        why: "a new one could not be encoded".into(),
    })?;
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut made = options.open(path).map_err(|cause| file("make", cause))?;
    made.write_all(pkcs8.as_ref()).and_then(|()| made.sync_all()).map_err(|cause| file("write", cause))?;
    Ok(pkcs8.as_ref().to_vec())
}

/// Reads a file of checkpoints; a last line that was cut off by a stop is no checkpoint. `None`: there is no file.
pub fn read_checkpoints(path: &Path) -> std::io::Result<Option<Vec<Checkpoint>>> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(cause) => return Err(cause),
    };
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole
        .lines()
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_str(line).map_err(std::io::Error::from))
        .collect::<Result<_, _>>()
        .map(Some)
}

/// Whether its own key signed it.
pub fn is_signed(checkpoint: &Checkpoint) -> bool {
    let (Some(key), Some(signature)) = (unhex(&checkpoint.key), unhex(&checkpoint.signature)) else {
        return false;
    };
    UnparsedPublicKey::new(&ED25519, key).verify(signed_bytes(checkpoint).as_bytes(), &signature).is_ok()
}

fn signed_bytes(checkpoint: &Checkpoint) -> String {
    let mut canon = Canon::new("checkpoint");
    canon
        .text("store", &checkpoint.store)
        .number("height", i64::try_from(checkpoint.height).unwrap_or(i64::MAX))
        .text("head", &checkpoint.head)
        .text("at", &checkpoint.at.to_string());
    canon.digest().to_string()
}

/// Makes a rename or a new file in this folder survive a power cut.
pub(super) fn sync_folder(of: &Path) -> std::io::Result<()> {
    let folder = of.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}
