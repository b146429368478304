//! The link: `ROOT/current`, which names the release that serves, and the one way to switch it. Leaves to `log` what
//! is written about a switch.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::case::id::{ReleaseId, Timestamp};
use crate::outbound::CallError;

/// What the link says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Current {
    /// This release serves; whether its folder is still there is another question.
    Serves(ReleaseId),
    /// There is no link.
    Nothing,
    /// There is something else, or it leads out of `releases`; what.
    Astray(String),
}

impl Current {
    /// The release that serves.
    pub(super) fn release(&self) -> Option<&ReleaseId> {
        match self {
            Current::Serves(release) => Some(release),
            Current::Nothing | Current::Astray(_) => None,
        }
    }

    /// What serves, for people.
    pub(super) fn says(&self) -> String {
        match self {
            Current::Serves(release) => release.to_string(),
            Current::Nothing => "nothing: there is no link named current".into(),
            Current::Astray(what) => what.clone(),
        }
    }
}

/// Whether this may name a release: one visible path component, so that nothing outside `releases` can be named.
pub(super) fn is_release_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 255
        && !name.starts_with('.')
        && !name.chars().any(|c| c == '/' || c == '\\' || c.is_control())
}

/// The folder of a release, by a name that was checked.
pub(super) fn folder(root: &Path, release: &ReleaseId) -> PathBuf {
    root.join("releases").join(release.as_str())
}

/// Whether the release can be switched to: a real folder, no link that leads elsewhere.
pub(super) fn exists(root: &Path, release: &ReleaseId) -> Result<bool, CallError> {
    if !is_release_name(release.as_str()) {
        return Ok(false);
    }
    let path = folder(root, release);
    match fs::symlink_metadata(&path) {
        Ok(metadata) => Ok(metadata.is_dir()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(CallError::io(format!("look at {}", path.display()))(error)),
    }
}

/// Reads the link.
pub(super) fn read(root: &Path) -> Result<Current, CallError> {
    let path = root.join("current");
    let doing = || format!("read the link {}", path.display());
    let aim = match fs::read_link(&path) {
        Ok(aim) => aim,
        // A missing root must not read as "nothing serves".
        Err(error) if error.kind() == io::ErrorKind::NotFound && root.is_dir() => {
            return Ok(Current::Nothing);
        }
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
            return Ok(Current::Astray(format!("{} is no link", path.display())));
        }
        Err(error) => return Err(CallError::io(doing())(error)),
    };
    let astray = || Current::Astray(format!("current leads to {}", aim.display()));
    let full = root.join(&aim);
    let (Some(parent), Some(name)) = (full.parent(), full.file_name().and_then(|name| name.to_str())) else {
        return Ok(astray());
    };
    let releases = root.join("releases");
    let releases = releases.canonicalize().map_err(CallError::io(format!("open {}", releases.display())))?;
    let inside = parent.canonicalize().is_ok_and(|parent| parent == releases);
    Ok(if inside && is_release_name(name) { Current::Serves(ReleaseId::new(name)) } else { astray() })
}

/// When the link was last switched, by the file system.
pub(super) fn switched_at(root: &Path) -> Option<Timestamp> {
    changed_at(&root.join("current"))
}

/// When this was last changed, by the file system; the thing itself, not what it links to.
pub(super) fn changed_at(path: &Path) -> Option<Timestamp> {
    let changed = fs::symlink_metadata(path).and_then(|metadata| metadata.modified()).ok()?;
    Timestamp::try_from(changed).ok()
}

/// A switch that is prepared: one rename away.
pub(super) struct Prepared {
    root: PathBuf,
    temporary: PathBuf,
}

/// Makes the new link beside the old one. `sign` tells whose it is, should it be left behind.
pub(super) fn prepare(root: &Path, to: &ReleaseId, sign: &str) -> io::Result<Prepared> {
    let temporary = root.join(format!(".current.{sign}"));
    match fs::remove_file(&temporary) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    symlink(Path::new("releases").join(to.as_str()), &temporary)?;
    Ok(Prepared { root: root.to_owned(), temporary })
}

impl Prepared {
    /// Switches: there is never a moment without a link. `Err` after the rename means that a crash of the machine
    /// might undo it.
    pub(super) fn commit(self) -> io::Result<()> {
        fs::rename(&self.temporary, self.root.join("current"))?;
        sync_folder(&self.root)
    }

    /// Takes it back before it took effect.
    pub(super) fn cancel(self) {
        // What is left behind is replaced by the next attempt; it is in nobody's way.
        let _ = fs::remove_file(&self.temporary);
    }
}

/// Makes what was renamed or made in a folder last.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
