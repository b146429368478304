//! The witness: a file beside the store that remembers how far the store had come. A store that is behind it was
//! restored, exchanged or lost, and Snapback then holds itself (T51). Written after commits, and always before a
//! permit is handed out.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::audit::{Head, sync_folder};
use super::record::audit::Witnessed;
use super::sqlite::{OpenError, beside};

/// The file, and what it says now.
#[derive(Debug)]
pub(super) struct Witness {
    path: PathBuf,
    store: String,
    written: Option<(Head, bool)>,
}

/// What the file said before this process.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Testimony {
    /// There is none.
    None,
    /// It cannot be read; why.
    Unreadable(String),
    /// This.
    Said(Witnessed),
}

/// Reads what the witness of this store says.
pub(super) fn read(store: &Path) -> Result<Testimony, OpenError> {
    let path = beside(store, "witness");
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(match serde_json::from_str(&text) {
            Ok(said) => Testimony::Said(said),
            Err(cause) => Testimony::Unreadable(cause.to_string()),
        }),
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Ok(Testimony::None),
        Err(cause) => Err(OpenError::File { doing: "read the witness", path, cause }),
    }
}

impl Testimony {
    /// Whether the last process ended in order.
    pub(super) fn is_closed(&self) -> bool {
        matches!(self, Testimony::Said(said) if said.closed)
    }

    /// Why the store cannot be the newest, if it cannot. `hash_at` reads the hash of one of its entries.
    pub(super) fn speaks_against(
        &self,
        store: &str,
        height: u64,
        hash_at: impl FnOnce(u64) -> Option<String>,
    ) -> Option<String> {
        let said = match self {
            // A process that ended between its first commit and its first witness left at most one entry.
            Testimony::None if height <= 1 => return None,
            Testimony::None => {
                return Some(
                    "the store's witness is missing: whether the store is the newest cannot be told".into(),
                );
            }
            Testimony::Unreadable(why) => {
                return Some(format!("the store's witness cannot be read ({why})"));
            }
            Testimony::Said(said) => said,
        };
        if said.store != store {
            return Some(if height == 0 {
                "the store is gone and was begun anew: what it knew of past acts is lost".into()
            } else {
                "the store is not the one that its witness knows: it was exchanged".into()
            });
        }
        if said.height > height {
            return Some(format!(
                "the store ends at entry {height}, and its witness knows entry {}: an older copy was put back",
                said.height
            ));
        }
        (said.height > 0 && hash_at(said.height).as_deref() != Some(said.head.as_str())).then(|| {
            format!(
                "entry {} of the store is not the one that its witness knows: another history",
                said.height
            )
        })
    }
}

impl Witness {
    /// The witness of this store.
    pub(super) fn new(store_path: &Path, store: String) -> Witness {
        Witness { path: beside(store_path, "witness"), store, written: None }
    }

    /// Remembers how far the store has come, synced; does nothing where it says so already.
    pub(super) fn remember(&mut self, head: &Head, closed: bool) -> std::io::Result<()> {
        if self.written.as_ref().is_some_and(|(known, was)| known == head && *was == closed) {
            return Ok(());
        }
        let said =
            Witnessed { store: self.store.clone(), height: head.height, head: head.hash.clone(), closed };
        let next = beside(&self.path, "next");
        let mut file = File::create(&next)?;
        file.write_all(&serde_json::to_vec(&said)?)?;
        file.sync_all()?;
        std::fs::rename(&next, &self.path)?;
        sync_folder(&self.path)?;
        self.written = Some((head.clone(), closed));
        Ok(())
    }
}
