//! SQLite: how a store is opened, locked, made and brought to the present version. Owns the pragmas, each with its
//! reason. Leaves what is written to `commit` and what is asked to `reader`.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

/// Older libraries can lose the newest commits when a log is reset while somebody reads (fixed in 3.51.3).
const LIBRARY_MIN: i32 = 3_051_003;
/// Tells a store of ours from any other SQLite file: `SNAP`.
const APPLICATION: i32 = 0x534e_4150;
/// The version of the tables that this Snapback writes.
const SCHEMA: i32 = 2;
/// What leads from each version to the next.
const STEPS: [&str; SCHEMA as usize] =
    [include_str!("schema/sqlite-1.sql"), include_str!("schema/sqlite-2.sql")];
/// Large enough for five alerts of usual size; overflow chains are then rare.
pub(super) const PAGE_BYTES: u64 = 8192;
/// A store that was not closed in order is checked whole up to this size: some 100 ms. A larger one is checked
/// where it is read.
const CHECKED_MAX: u64 = 64 << 20;
/// How long one connection waits for another: longer than any log takes to be put away.
const BUSY: Duration = Duration::from_secs(10);

/// SQLite refused something.
#[derive(Debug, thiserror::Error)]
#[error("could not {doing}: {cause}")]
pub struct SqlError {
    /// What was being done.
    pub doing: &'static str,
    /// What SQLite says.
    pub cause: rusqlite::Error,
}

impl SqlError {
    fn code(&self) -> Option<ErrorCode> {
        self.cause.sqlite_error_code()
    }

    /// The disk, or the store's own limit, has no room. Nothing was synced, and room may come back.
    pub fn is_full(&self) -> bool {
        self.code() == Some(ErrorCode::DiskFull)
    }

    /// The file is not what SQLite wrote.
    pub fn is_corrupt(&self) -> bool {
        matches!(self.code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
    }
}

/// Says what was being done.
pub(super) trait Doing<T> {
    /// `doing` completes "could not …".
    fn doing(self, doing: &'static str) -> Result<T, SqlError>;
}

impl<T> Doing<T> for Result<T, rusqlite::Error> {
    fn doing(self, doing: &'static str) -> Result<T, SqlError> {
        self.map_err(|cause| SqlError { doing, cause })
    }
}

/// A store that cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process writes it.
    #[error(
        "the store {} is in use by another process: stop that one first, or give this one its own `store.url`",
        .0.display()
    )]
    InUse(PathBuf),
    /// A file beside the store, or the store itself.
    #[error("could not {doing} {}: {cause}", .path.display())]
    File {
        /// What was being done.
        doing: &'static str,
        /// To which file.
        path: PathBuf,
        /// What the system says.
        cause: std::io::Error,
    },
    /// SQLite refused.
    #[error("the store {}: {cause}", .path.display())]
    Sql {
        /// Which store.
        path: PathBuf,
        /// What and why.
        cause: SqlError,
    },
    /// A row cannot be read.
    #[error("the store {}: {cause}", .path.display())]
    Record {
        /// Which store.
        path: PathBuf,
        /// What and why.
        cause: super::record::RecordError,
    },
    /// It lies where locks and syncs are not what they say.
    #[error(
        "the store {} lies on a network file system ({kind}), where neither a lock nor a sync can be trusted: give it a \
         local disk by `store.url`",
        .path.display()
    )]
    Network {
        /// Which store.
        path: PathBuf,
        /// Which file system.
        kind: &'static str,
    },
    /// The file is damaged.
    #[error(
        "the store {} is damaged ({why}): put a copy back, or move it away to begin an empty one; \
         either way Snapback then holds itself until a person releases it",
        .path.display()
    )]
    Corrupt {
        /// Which store.
        path: PathBuf,
        /// What SQLite says.
        why: String,
    },
    /// It belongs to something else.
    #[error("{} is a SQLite file, and no store of Snapback: give `store.url` another path", .0.display())]
    Foreign(PathBuf),
    /// A newer Snapback made it.
    #[error(
        "the store {} has version {found}, and this Snapback knows up to {SCHEMA}: start the newer one",
        .path.display()
    )]
    Newer {
        /// Which store.
        path: PathBuf,
        /// Its version.
        found: i32,
    },
    /// The library is too old to be trusted.
    #[error("SQLite {0} can lose commits; 3.51.3 or newer is needed: build with the bundled library")]
    OldLibrary(&'static str),
    /// The signing key cannot be used.
    #[error("the audit's key {}: {why}", .path.display())]
    Key {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

/// A file beside the store: its path with this ending.
pub(super) fn beside(store: &Path, ending: &str) -> PathBuf {
    let mut name = store.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    PathBuf::from(name)
}

/// Takes the one right to write; it lasts as long as the file is held.
pub(super) fn lock(store: &Path) -> Result<File, OpenError> {
    let path = beside(store, "lock");
    let file = |doing, cause| OpenError::File { doing, path: path.clone(), cause };
    if let Some(folder) = store.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(|cause| file("make the folder of", cause))?;
    }
    refuse_network(store)?;
    let held = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|cause| file("open", cause))?;
    match held.try_lock() {
        Ok(()) => Ok(held),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse(store.to_owned())),
        Err(TryLockError::Error(cause)) => Err(file("lock", cause)),
    }
}

/// Refuses a file system of another machine: SQLite's log needs shared memory, and its promises a disk that syncs.
fn refuse_network(store: &Path) -> Result<(), OpenError> {
    let folder = store.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Where nobody tells, nothing is refused: the store itself says what fails.
    let Ok(told) = rustix::fs::statfs(folder) else { return Ok(()) };
    #[expect(clippy::useless_conversion, reason = "the number is narrower on other systems")]
    match network_kind(i64::from(told.f_type)) {
        Some(kind) => Err(OpenError::Network { path: store.to_owned(), kind }),
        None => Ok(()),
    }
}

/// The network file systems, by the numbers of Linux's statfs(2).
fn network_kind(number: i64) -> Option<&'static str> {
    match number {
        0x6969 => Some("NFS"),
        0x517b | 0xfe53_4d42 => Some("SMB"),
        0xff53_4d42 => Some("CIFS"),
        0x0102_1997 => Some("9P"),
        0x5346_414f => Some("AFS"),
        0x00c3_6400 => Some("Ceph"),
        _ => None,
    }
}

/// Opens the store for its one writer, makes it where it is missing, and brings it to the present version.
pub(super) fn open_writer(path: &Path, max_bytes: Option<u64>) -> Result<Connection, OpenError> {
    if rusqlite::version_number() < LIBRARY_MIN {
        return Err(OpenError::OldLibrary(rusqlite::version()));
    }
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).doing("open it").map_err(|e| of(path, e))?;
    prepare(&connection, max_bytes).map_err(|cause| of(path, cause))?;
    migrate(&connection, path)?;
    Ok(connection)
}

fn prepare(connection: &Connection, max_bytes: Option<u64>) -> Result<(), SqlError> {
    let doing = "set it up";
    connection.busy_timeout(BUSY).doing(doing)?;
    // Before the first table; a store that exists keeps its own.
    connection.pragma_update(None, "page_size", PAGE_BYTES).doing(doing)?;
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(())).doing(doing)?;
    // A commit is on the disk before anybody hears of it.
    connection.pragma_update(None, "synchronous", "FULL").doing(doing)?;
    connection.pragma_update(None, "fullfsync", true).doing(doing)?;
    // The log is put away on another connection, never within a commit that somebody waits for.
    connection.pragma_update_and_check(None, "wal_autocheckpoint", 0, |_| Ok(())).doing(doing)?;
    connection.set_prepared_statement_cache_capacity(64);
    if let Some(bytes) = max_bytes {
        connection
            .pragma_update_and_check(None, "max_page_count", bytes / PAGE_BYTES, |_| Ok(()))
            .doing(doing)?;
    }
    Ok(())
}

fn migrate(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    let number = |name| {
        connection
            .pragma_query_value(None, name, |row| row.get::<_, i32>(0))
            .doing("read its version")
            .map_err(|cause| of(path, cause))
    };
    let (application, version) = (number("application_id")?, number("user_version")?);
    let tables: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .doing("read its tables")
        .map_err(|cause| of(path, cause))?;
    if tables > 0 && application != APPLICATION {
        return Err(OpenError::Foreign(path.to_owned()));
    }
    if !(0..=SCHEMA).contains(&version) {
        return Err(OpenError::Newer { path: path.to_owned(), found: version });
    }
    let steps = STEPS.iter().skip(usize::try_from(version).unwrap_or(usize::MAX));
    let steps: String = steps.copied().collect();
    if steps.is_empty() {
        return Ok(());
    }
    // All of them or none: a store that is half made is a store of no version.
    let made = format!(
        "BEGIN IMMEDIATE;\n{steps}\nPRAGMA application_id = {APPLICATION};\nPRAGMA user_version = {SCHEMA};\nCOMMIT;"
    );
    connection.execute_batch(&made).doing("make its tables").map_err(|cause| of(path, cause))
}

/// Looks for damage in a store that was not closed in order.
pub(super) fn check(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    if std::fs::metadata(path).map_or(0, |file| file.len()) > CHECKED_MAX {
        return Ok(());
    }
    let found: String = connection
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .doing("check it for damage")
        .map_err(|cause| of(path, cause))?;
    if found == "ok" { Ok(()) } else { Err(OpenError::Corrupt { path: path.to_owned(), why: found }) }
}

/// Opens a connection that can only read; the writer and it do not wait for each other.
pub(super) fn open_reader(path: &Path) -> Result<Connection, OpenError> {
    if !path.exists() {
        let cause = std::io::Error::from(std::io::ErrorKind::NotFound);
        return Err(OpenError::File { doing: "open the store", path: path.to_owned(), cause });
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).doing("open it").map_err(|e| of(path, e))?;
    connection.busy_timeout(BUSY).doing("set it up").map_err(|cause| of(path, cause))?;
    connection.set_prepared_statement_cache_capacity(64);
    let application: i32 = connection
        .pragma_query_value(None, "application_id", |row| row.get(0))
        .doing("read its version")
        .map_err(|cause| of(path, cause))?;
    if application != APPLICATION {
        return Err(OpenError::Foreign(path.to_owned()));
    }
    Ok(connection)
}

pub(super) fn of(path: &Path, cause: SqlError) -> OpenError {
    let path = path.to_owned();
    if cause.is_corrupt() {
        OpenError::Corrupt { path, why: cause.to_string() }
    } else {
        OpenError::Sql { path, cause }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_on_a_network_file_system_is_refused() {
        assert_eq!(network_kind(0x6969), Some("NFS"));
        assert_eq!(network_kind(0xff53_4d42), Some("CIFS"));
        // ext4, xfs, btrfs, tmpfs, overlay: local.
        for local in [0xef53, 0x5846_5342, 0x9123_683e, 0x0102_1994, 0x794c_7630] {
            assert_eq!(network_kind(local), None, "{local:#x}");
        }
        let folder = tempfile::tempdir().expect("a folder");
        assert!(refuse_network(&folder.path().join("store.db")).is_ok());
    }
}
