//! Reload: reads the configuration again when its files change and on SIGHUP. Leaves to the receiver what to do with
//! it: a faulty reading is handed over too, so that it can be told, and the old settings kept.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;

use super::{Loaded, load};
use crate::case::id::Digest;

/// Editors and Kubernetes replace files in several moves; so long nothing may move before they are read.
const QUIET: Duration = Duration::from_millis(200);

/// Readings that wait to be taken: the receiver needs only the newest, and one may be under way.
const WAITING_MAX: usize = 2;

/// The configuration under watch. Dropping it ends the watching.
#[derive(Debug)]
pub struct Watch {
    readings: mpsc::Receiver<Loaded>,
}

/// Why a configuration cannot be watched.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// The system gives no notice of changed files.
    #[error("watching {0} for changes")]
    Folder(PathBuf, #[source] notify::Error),
    /// SIGHUP cannot be heard.
    #[error("listening for SIGHUP")]
    Signal(#[source] std::io::Error),
}

impl Watch {
    /// Begins to watch; `first` is the reading that is in force. Needs a running runtime.
    ///
    /// # Errors
    /// When the folders cannot be watched or SIGHUP cannot be heard.
    pub fn begin(path: &Path, first: &Loaded) -> Result<Watch, WatchError> {
        // One place: that something moved is all there is to know.
        let (moved, moves) = mpsc::channel(1);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // Reading a file is an event too, and ours would never end. A watcher that lost events says so as an
            // error: then too, looking is right.
            if !matches!(event, Ok(notify::Event { kind: EventKind::Access(_), .. })) {
                let _ = moved.try_send(());
            }
        })
        .map_err(|error| WatchError::Folder(path.to_owned(), error))?;
        let hangups = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup())
            .map_err(WatchError::Signal)?;
        let mut folders = Folders { watcher, watched: BTreeSet::new() };
        folders.follow(first.files.iter().chain(&first.secret_files))?;
        let (sender, readings) = mpsc::channel(WAITING_MAX);
        let known = (first.digest.clone(), first.secrets.clone());
        let watching = Watching { path: path.to_owned(), known, folders, moves, sender };
        tokio::spawn(watching.run(hangups));
        Ok(Watch { readings })
    }

    /// Waits for the next reading: after a change of the files' text or of a file that holds a secret, or after SIGHUP
    /// even without one, because a variable may have changed. `None` when watching ended.
    pub async fn next(&mut self) -> Option<Loaded> {
        self.readings.recv().await
    }
}

/// The folders of the files. Folders are watched and not files: editors and Kubernetes put new files in their place.
struct Folders {
    watcher: RecommendedWatcher,
    watched: BTreeSet<PathBuf>,
}

impl Folders {
    /// Watches the folders of these files too.
    fn follow<'f>(&mut self, files: impl Iterator<Item = &'f PathBuf>) -> Result<(), WatchError> {
        for file in files {
            let folder = match file.parent() {
                Some(folder) if folder != Path::new("") => folder.to_owned(),
                Some(_) | None => PathBuf::from("."),
            };
            if !self.watched.contains(&folder) {
                let watched = self.watcher.watch(&folder, RecursiveMode::NonRecursive);
                watched.map_err(|error| WatchError::Folder(folder.clone(), error))?;
                self.watched.insert(folder);
            }
        }
        Ok(())
    }
}

/// The task that watches.
struct Watching {
    path: PathBuf,
    /// Digests of the texts and of the secrets that were read last.
    known: (Digest, Digest),
    folders: Folders,
    moves: mpsc::Receiver<()>,
    sender: mpsc::Sender<Loaded>,
}

impl Watching {
    async fn run(mut self, mut hangups: tokio::signal::unix::Signal) {
        loop {
            let asked = tokio::select! {
                moved = self.moves.recv() => match moved {
                    Some(()) => false,
                    None => return,
                },
                hangup = hangups.recv() => match hangup {
                    Some(()) => true,
                    None => return,
                },
                () = self.sender.closed() => return,
            };
            self.settle().await;
            let path = self.path.clone();
            let Ok(loaded) = tokio::task::spawn_blocking(move || load(&path)).await else { return };
            let known = (loaded.digest.clone(), loaded.secrets.clone());
            if !asked && known == self.known {
                continue;
            }
            self.known = known;
            // A rule file in a folder that cannot be watched is still read, and read again on SIGHUP.
            if let Err(error) = self.folders.follow(loaded.files.iter().chain(&loaded.secret_files)) {
                tracing::warn!(%error, "a folder of the configuration is not watched; send SIGHUP after a change");
            }
            if self.sender.send(loaded).await.is_err() {
                return;
            }
        }
    }

    /// Waits until nothing moves any more.
    async fn settle(&mut self) {
        while let Ok(Some(())) = tokio::time::timeout(QUIET, self.moves.recv()).await {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Long enough for a busy machine; only a failing test waits for it.
    const DEADLINE: Duration = Duration::from_secs(30);

    const MAIN: &str = "mode = \"shadow\"\n";

    async fn next(watch: &mut Watch) -> Loaded {
        tokio::time::timeout(DEADLINE, watch.next())
            .await
            .expect("a reading in time")
            .expect("still watching")
    }

    #[tokio::test]
    async fn a_changed_file_is_read_again_and_a_faulty_one_handed_over() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("snapback.toml");
        std::fs::write(&path, MAIN).expect("written");
        std::fs::write(folder.path().join("rules.toml"), "").expect("written");
        let first = load(&path);
        assert_eq!(first.faults, []);
        let mut watch = Watch::begin(&path, &first).expect("watching");

        std::fs::write(&path, "mode = \"live\"\n").expect("written");
        let second = next(&mut watch).await;
        assert_eq!(second.settings.expect("settings").mode, crate::case::settings::Mode::Live);

        std::fs::write(&path, "mode = \"dead\"\n").expect("written");
        let third = next(&mut watch).await;
        assert!(third.settings.is_none() && third.faults.len() == 1, "{:?}", third.faults);

        // As editors do: a new file is put in the place of the old one. The rules count as well.
        std::fs::write(folder.path().join(".new"), MAIN).expect("written");
        std::fs::rename(folder.path().join(".new"), &path).expect("renamed");
        assert_eq!(next(&mut watch).await.digest, first.digest);
        std::fs::write(folder.path().join("rules.toml"), "# no rows\n").expect("written");
        assert_ne!(next(&mut watch).await.digest, first.digest);
    }
}
