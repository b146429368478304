//! The restart: the command of the user's own that makes a service take up what `current` leads to. Owns its process
//! and the record of how it ended, `ROOT/.snapback/<mark>.json`, by which it is found again.
//!
//! It runs without a shell, in the root, with nothing in its environment but a fixed `PATH`, without input, in a
//! process group of its own, which is killed as a whole at the deadline. It outlives us: if we stop while it runs,
//! nobody sees how it ends.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::process::Child;
use tokio::task::JoinSet;

use super::log::{notes, tail, write_whole};
use crate::case::id::{Duration, Timestamp};
use crate::execute::Clock;
use crate::outbound::CallError;
use crate::outbound::process::{self, How, PATH};

/// Output that is kept, from its end, where commands say what went wrong.
const OUTPUT_MAX: usize = 64 * 1024;

/// Between a deadline and the record of it: the kill, the last words, the disk.
pub(super) const GRACE: Duration = Duration::from_secs(10);

/// Records that are kept, the newest: far more restarts than any budget allows in a month.
pub(super) const RECORDS_MAX: usize = 200;

/// How a restart stands, by its record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// No record: it surely was not begun.
    Unbegun,
    /// Begun, and not seen to end. After `until` nobody will see it any more.
    Begun {
        /// When its deadline and the grace are over.
        until: Timestamp,
    },
    /// Ended well.
    Done,
    /// Ended otherwise; how, with what it said last.
    Failed(String),
}

/// The record as it is in the file.
#[derive(Serialize, Deserialize)]
struct Record {
    started_at: Timestamp,
    until: Timestamp,
    finished_at: Option<Timestamp>,
    /// `ended well`, else how it ended.
    status: Option<String>,
    /// The end of what it wrote, both streams together.
    output: String,
}

const WELL: &str = "ended well";

/// The restarts under way; a provider owns one. When it goes, nobody waits for them any longer, and they go on.
#[derive(Debug, Default)]
pub(super) struct Restarts {
    watchers: Mutex<JoinSet<()>>,
}

/// A restart with nothing left to choose.
#[derive(Clone, Debug)]
pub(super) struct Restart {
    /// The root, which is also where it runs.
    pub(super) root: PathBuf,
    /// The mark's part for file names.
    pub(super) sign: String,
    /// The program and its arguments.
    pub(super) argv: Vec<String>,
    /// It is killed after so long.
    pub(super) timeout: Duration,
}

impl Restarts {
    /// Writes the record and starts the command. Runs where blocking is allowed, inside a runtime.
    pub(super) fn begin(&self, restart: &Restart, clock: &Clock) -> io::Result<()> {
        let started_at = clock();
        let mut record = Record {
            started_at,
            until: started_at + restart.timeout + GRACE,
            finished_at: None,
            status: None,
            output: String::new(),
        };
        let path = record_path(&restart.root, &restart.sign);
        prune(&restart.root);
        write(&path, &record)?;
        let child = match process::spawn(&restart.argv, &restart.root) {
            Ok(child) => child,
            Err(error) => {
                // It did not start, so nothing of it may be found.
                fs::remove_file(&path)?;
                return Err(error);
            }
        };
        let timeout = restart.timeout.unsigned_abs();
        let clock = clock.clone();
        let mut watchers = self.watchers.lock().unwrap_or_else(PoisonError::into_inner);
        while watchers.try_join_next().is_some() {}
        watchers.spawn(async move {
            let (status, output) = follow(child, timeout).await;
            record.finished_at = Some(clock());
            record.status = Some(status);
            record.output = output;
            let written = tokio::task::spawn_blocking(move || write(&path, &record)).await;
            // A record that stays open is told as an end that nobody saw.
            match written {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::error!(%error, "could not write how a restart ended"),
                Err(error) => tracing::error!(%error, "could not write how a restart ended"),
            }
        });
        Ok(())
    }
}

/// Reads how a restart stands.
pub(super) fn standing(root: &Path, sign: &str) -> Result<Standing, CallError> {
    let path = record_path(root, sign);
    let doing = format!("read {}", path.display());
    // JSON spells some characters with six, so that a record may be that much longer than its output.
    let bytes = tail(&path, 8 * OUTPUT_MAX as u64).map_err(CallError::io(doing.clone()))?;
    let Some(bytes) = bytes else { return Ok(Standing::Unbegun) };
    let record: Record =
        serde_json::from_slice(&bytes).map_err(|error| CallError::Io { doing, source: error.into() })?;
    Ok(match record.status.as_deref() {
        None => Standing::Begun { until: record.until },
        Some(WELL) => Standing::Done,
        Some(how) => Standing::Failed(with_last_words(how, &record.output)),
    })
}

/// How it ended, and its last line that is not empty, cut to what fits a message.
fn with_last_words(how: &str, output: &str) -> String {
    match output.lines().rev().find(|line| !line.trim().is_empty()) {
        Some(line) => format!("the restart {how}: {}", line.trim().chars().take(300).collect::<String>()),
        None => format!("the restart {how}"),
    }
}

fn record_path(root: &Path, sign: &str) -> PathBuf {
    notes(root).join(format!("{sign}.json"))
}

fn write(path: &Path, record: &Record) -> io::Result<()> {
    write_whole(path, &serde_json::to_vec(record)?)
}

/// Waits until it ended or its deadline passed; tells how, and the end of its output.
async fn follow(child: Child, timeout: std::time::Duration) -> (String, String) {
    // What a restart leaves behind is the service.
    let ended = process::follow(child, None, timeout, OUTPUT_MAX).await;
    let how = match ended.how {
        How::Exited(status) if status.success() => WELL.to_owned(),
        How::Exited(_) | How::Killed(_) | How::Unknown(_) => ended.how.to_string(),
    };
    (how, ended.output)
}

/// Takes the oldest records away. A record that cannot be taken away is tried again at the next restart.
fn prune(root: &Path) {
    let Ok(entries) = fs::read_dir(notes(root)) else { return };
    let mut records: Vec<(Option<Timestamp>, PathBuf)> = entries
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .map(|path| (super::link::changed_at(&path), path))
        .collect();
    records.sort();
    let excess = records.len().saturating_sub(RECORDS_MAX);
    for (_, path) in records.into_iter().take(excess) {
        let _ = fs::remove_file(path);
    }
}

/// Whether a program of this name would be found: by its path, or in `PATH`. A path is read from the root.
pub(super) fn is_program(root: &Path, program: &str) -> bool {
    let executable =
        |path: &Path| path.is_file() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok();
    if program.contains('/') {
        return executable(&root.join(program));
    }
    PATH.split(':').any(|folder| executable(&Path::new(folder).join(program)))
}
