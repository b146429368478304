//! The log: `ROOT/deployments.jsonl`, written by whoever deploys and by us, and the announcement of a switch of ours,
//! which keeps our mark between the switch and its line. Leaves to `link` what serves.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::link::{is_release_name, sync_folder};
use crate::case::id::{Mark, ReleaseId, Timestamp};
use crate::outbound::CallError;

/// The part of the log that is read, from its end: years of deployments, and no file can exhaust memory.
const BYTES_MAX: u64 = 1024 * 1024;

/// The lines that are read, from the end: ten times what a ledger keeps.
const LINES_MAX: usize = 2000;

/// Longer names are cut; they are shown, not compared.
const BY_MAX: usize = 256;

/// One line: a release was put there.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Line {
    /// Which release.
    pub(super) release: ReleaseId,
    /// When.
    pub(super) at: Timestamp,
    /// By whom.
    pub(super) by: Option<String>,
    /// Our mark, if it was us.
    pub(super) mark: Option<Mark>,
}

/// The line as it is in the file. Keys that others add are let be.
#[derive(Serialize, Deserialize)]
struct Stored {
    release: String,
    at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    by: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mark: Option<String>,
}

impl Line {
    /// The line for a switch of ours.
    pub(super) fn ours(release: &ReleaseId, at: Timestamp, mark: &Mark) -> Line {
        Line { release: release.clone(), at, by: Some("snapback".into()), mark: Some(mark.clone()) }
    }

    /// Reads a line; `None` for a torn one, for other text, and for a name that no release can have.
    fn parse(text: &[u8]) -> Option<Line> {
        let stored: Stored = serde_json::from_slice(text).ok()?;
        if !is_release_name(&stored.release) {
            return None;
        }
        Some(Line {
            release: ReleaseId::new(stored.release),
            at: stored.at,
            by: stored.by.map(|by| by.chars().take(BY_MAX).collect()),
            mark: stored.mark.filter(|mark| sign(mark).is_some()).map(Mark::new),
        })
    }

    fn to_json(&self) -> io::Result<Vec<u8>> {
        let stored = Stored {
            release: self.release.to_string(),
            at: self.at,
            by: self.by.clone(),
            mark: self.mark.as_ref().map(|mark| mark.to_string()),
        };
        Ok(serde_json::to_vec(&stored)?)
    }
}

/// The part of a mark that may stand in a file's name: what follows `snapback/`, letters and digits alone.
pub(super) fn sign(mark: &str) -> Option<&str> {
    let sign = mark.strip_prefix("snapback/")?;
    let sound = !sign.is_empty() && sign.len() <= 64 && sign.chars().all(|c| c.is_ascii_alphanumeric());
    sound.then_some(sign)
}

/// The lines of the log, as they stand in it. No log: no lines.
pub(super) fn read(root: &Path) -> Result<Vec<Line>, CallError> {
    let path = path(root);
    let Some(bytes) =
        tail(&path, BYTES_MAX).map_err(CallError::io(format!("read the log {}", path.display())))?
    else {
        return Ok(Vec::new());
    };
    let mut lines: Vec<Line> =
        bytes.rsplit(|byte| *byte == b'\n').take(LINES_MAX).filter_map(Line::parse).collect();
    lines.reverse();
    Ok(lines)
}

/// Appends a line, and returns once it is on disk. A torn line before it is ended first, so that it spoils only
/// itself.
pub(super) fn append(root: &Path, line: &Line) -> io::Result<()> {
    let mut file = open_to_append(root)?;
    let mut text = Vec::new();
    if tail(&path(root), 1)?.as_deref().and_then(<[u8]>::first).is_some_and(|last| *last != b'\n') {
        text.push(b'\n');
    }
    text.extend(line.to_json()?);
    text.push(b'\n');
    file.write_all(&text)?;
    file.sync_all()?;
    sync_folder(root)
}

/// Opens the log for appending, which also shows that we may.
pub(super) fn open_to_append(root: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path(root))
}

/// The log.
pub(super) fn path(root: &Path) -> PathBuf {
    root.join("deployments.jsonl")
}

/// The last bytes of a file; `None` when there is none. Anything but a plain file is an error: a pipe would wait for
/// ever.
pub(super) fn tail(path: &Path, bytes_max: u64) -> io::Result<Option<Vec<u8>>> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => {}
        Ok(_) => return Err(io::Error::other("no plain file")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    }
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(bytes_max)))?;
    let mut bytes = Vec::new();
    file.take(bytes_max).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// Where our own notes about a root are kept.
pub(super) fn notes(root: &Path) -> PathBuf {
    root.join(".snapback")
}

/// Writes a file whole or not at all, and returns once it is on disk.
pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let temporary = path.with_extension("new");
    let mut file = File::create(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    sync_folder(folder)
}

/// Announces a switch: should we die between the switch and its line, this is how it is known to be ours.
pub(super) fn announce(root: &Path, sign: &str, line: &Line) -> io::Result<()> {
    write_whole(&announcement(root, sign), &line.to_json()?)
}

/// The announcement under this sign, if it is there and whole.
pub(super) fn announced(root: &Path, sign: &str) -> Option<Line> {
    read_announcement(&announcement(root, sign))
}

/// Every switch that was announced and has no line yet; more than a few would be crash after crash.
pub(super) fn announcements(root: &Path) -> Vec<Line> {
    let Ok(entries) = fs::read_dir(notes(root)) else { return Vec::new() };
    entries
        .take(ENTRIES_MAX)
        .filter_map(Result::ok)
        .filter(|entry| entry.path().extension().is_some_and(|extension| extension == "switch"))
        .filter_map(|entry| read_announcement(&entry.path()))
        .collect()
}

/// Entries of our own folder that are looked through; restarts leave at most [`super::restart::RECORDS_MAX`].
const ENTRIES_MAX: usize = 1000;

/// Takes an announcement away: its line is written, or its switch did not happen.
pub(super) fn renounce(root: &Path, sign: &str) {
    // One that stays is read only while the link agrees with it and no line does.
    let _ = fs::remove_file(announcement(root, sign));
}

fn announcement(root: &Path, sign: &str) -> PathBuf {
    notes(root).join(format!("{sign}.switch"))
}

fn read_announcement(path: &Path) -> Option<Line> {
    tail(path, 4096).ok().flatten().as_deref().and_then(Line::parse)
}
