//! `snapback audit`: whether the audit is whole, and the audit itself, read from the store. A server may write on
//! meanwhile.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use snapback::case::id::Timestamp;
use snapback::config::{load, render};
use snapback::journal::audit::AuditEntry;
use snapback::journal::reader::{ReadError, Reader};
use snapback::journal::verify::{VerifyError, verify};

use super::check::style;
use super::failure::{Failure, Finished, print, print_error, print_json};
use super::{ConfigFlags, Output};

/// Entries that are read at once: each is some 500 bytes.
const BATCH: u32 = 1000;

#[derive(Debug, Args)]
pub(super) struct AuditFlags {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Find any edit, cut or new stamp
    Verify(VerifyFlags),
    /// Print every entry, one a line
    Export(ConfigFlags),
}

#[derive(Debug, Args)]
struct VerifyFlags {
    #[command(flatten)]
    config: ConfigFlags,
    /// A copy of the signed checkpoints that was kept elsewhere; without one, a store that was stamped anew with its
    /// own key shows nothing
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// How it is shown
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

pub(super) fn run(flags: &AuditFlags) -> Result<Finished, Failure> {
    match &flags.what {
        What::Verify(flags) => check(flags),
        What::Export(flags) => export(&store(&flags.config)?),
    }
}

/// Where the configuration says that the store is.
fn store(config: &Path) -> Result<PathBuf, Failure> {
    let loaded = load(config);
    let settings = loaded.settings.ok_or_else(|| {
        print_error(&render(&loaded.faults, &loaded.texts, style()));
        Failure::faulty(format!("{}: the configuration is faulty", config.display()))
    })?;
    let path = settings.store.path;
    if path.exists() {
        return Ok(path);
    }
    Err(Failure::failed(
        format!("{}: there is no store", path.display()),
        "name the configuration of the server with --config; the store is made when it first runs",
    ))
}

fn check(flags: &VerifyFlags) -> Result<Finished, Failure> {
    let store = store(&flags.config.config)?;
    let verified = verify(&store, flags.checkpoint.as_deref()).map_err(|error| broken(&store, error))?;
    if flags.output == Output::Json {
        return print_json(&serde_json::json!({
            "entries": verified.entries,
            "checkpoints": verified.checkpoints,
            "pruned": verified.pruned,
            "key": verified.key,
        }));
    }
    let checkpoints = match verified.checkpoints {
        0 => "no checkpoint was signed yet".to_owned(),
        1 => "the one signed checkpoint agrees".to_owned(),
        many => format!("{many} signed checkpoints agree"),
    };
    let mut lines = vec![format!("{}: whole; {} entries, {checkpoints}", store.display(), verified.entries)];
    if verified.pruned > 0 {
        lines.push(format!("{} deliveries are no longer kept, as the audit says", verified.pruned));
    }
    lines.extend(
        verified.key.map(|key| format!("signed with {key}; compare it with the one that the threads show")),
    );
    if flags.checkpoint.is_none() {
        lines.push(
            "compared with the checkpoints beside the store alone; keep a copy elsewhere for --checkpoint"
                .into(),
        );
    }
    print(&lines.join("\n"))
}

fn broken(store: &Path, error: VerifyError) -> Failure {
    let next = match &error {
        VerifyError::Broken { .. } => {
            "stop the server, keep a copy of everything beside the store, and compare it with a backup"
        }
        VerifyError::Read(_) => "see whether this user may read the store and what lies beside it",
        VerifyError::File { .. } => "name a file that can be read",
    };
    Failure::failed(format!("{}: {error}", store.display()), next)
}

/// One entry as it is exported: a line that can be hashed again.
#[derive(serde::Serialize)]
struct Line {
    height: u64,
    at: Option<Timestamp>,
    at_ns: i64,
    contents: String,
    prev: String,
    hash: String,
}

fn export(store: &Path) -> Result<Finished, Failure> {
    let unread = |error: ReadError| {
        Failure::failed(format!("{}: {error}", store.display()), "see whether this user may read the store")
    };
    let reader = Reader::open(store).map_err(|error| unread(error.into()))?;
    let mut from = 1;
    loop {
        let entries = reader.audit_entries(from, BATCH).map_err(unread)?;
        let Some(last) = entries.last() else { return Ok(Finished) };
        from = last.height + 1;
        let mut text = String::new();
        for entry in entries {
            text.push_str(&line(entry)?);
            text.push('\n');
        }
        print(&text)?;
    }
}

fn line(entry: AuditEntry) -> Result<String, Failure> {
    let line = Line {
        height: entry.height,
        at: Timestamp::from_nanosecond(i128::from(entry.at)).ok(),
        at_ns: entry.at,
        contents: entry.contents,
        prev: entry.prev,
        hash: entry.hash,
    };
    serde_json::to_string(&line).map_err(|error| {
        Failure::failed(format!("entry {}: {error}", line.height), "report this: it is a fault of snapback")
    })
}
