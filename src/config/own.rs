//! Deployers of the user's own in the configuration: a program or an address, and how it is asked.

use std::path::PathBuf;

use super::later;
use super::providers::{endpoint, is_loopback, some_text};
use super::read::Table;
use super::secret::{Secret, secret, secrets_by_name};
use crate::case::id::Duration;

/// After a lost reply, how long "unknown" is no proof.
const QUARANTINE: Duration = Duration::from_secs(60);
/// A program on this machine has read its question within this, or the machine is no good.
const QUARANTINE_MIN: Duration = Duration::from_secs(2);
/// A question that changes nothing. Two of them make a picture, and one that is older than ten seconds lets nothing begin.
const TIMEOUT: Duration = Duration::from_secs(4);
/// A rollback from its beginning to its end.
const DEADLINE: Duration = Duration::from_mins(30);

/// `[providers.NAME]` of kind `command` or `http`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnSettings {
    /// How it is asked.
    pub way: OwnWay,
    /// A rollback may take so long.
    pub deadline: Duration,
    /// How long after a lost reply "unknown" is no proof.
    pub quarantine: Duration,
}

/// How a deployer is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OwnWay {
    /// By a program.
    Command {
        /// What it finds in its environment beside `PATH`.
        environment: Vec<(String, Secret)>,
        /// A question that changes nothing is answered within so long.
        timeout: Duration,
    },
    /// Over HTTP.
    Http {
        /// What signs each request.
        secret: Option<Secret>,
    },
}

/// Where a service of these kinds lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OwnSite {
    /// A program and its words, and the folder of the configuration, in which it runs.
    Program {
        /// Its words.
        argv: Vec<String>,
        /// The folder.
        folder: PathBuf,
    },
    /// An address.
    Url(String),
}

/// Reads `[providers.NAME]` of kind `command`.
pub(super) fn command(table: &Table<'_>) -> Option<OwnSettings> {
    let environment = secrets_by_name(table, "environment");
    let timeout = match table.some_length("timeout") {
        Some(length) if length.value > TIMEOUT => {
            table.page().fault(
                length.span,
                format!("a `timeout` above {TIMEOUT:#} leaves no time to act on what was answered"),
                "let your program answer from what it keeps, and leave `timeout` out",
            );
            return None;
        }
        Some(length) => length.value,
        None => TIMEOUT,
    };
    let deadline = table.some_length("deadline").map_or(DEADLINE, |length| length.value);
    let quarantine = match table.some_length("quarantine") {
        Some(length) if length.value < QUARANTINE_MIN => {
            table.page().fault(
                length.span,
                format!("a `quarantine` below {QUARANTINE_MIN:#} might begin a rollback twice"),
                "write how long your program takes at most until it remembers a key",
            );
            return None;
        }
        Some(length) => length.value,
        None => QUARANTINE,
    };
    Some(OwnSettings { way: OwnWay::Command { environment, timeout }, deadline, quarantine })
}

/// Reads `[providers.NAME]` of kind `http`.
pub(super) fn http(table: &Table<'_>) -> Option<OwnSettings> {
    let secret = secret(table, "secret").map(|secret| secret.value);
    let deadline = table.some_length("deadline").map_or(DEADLINE, |length| length.value);
    // Where it lives the services say.
    let quarantine = table.some_length("quarantine").map_or(QUARANTINE, |length| length.value);
    Some(OwnSettings { way: OwnWay::Http { secret }, deadline, quarantine })
}

/// `{ argv }`.
pub(super) fn program(target: &Table<'_>) -> Option<OwnSite> {
    let argv = later::argv(target);
    if !target.has("argv") {
        target.missing("argv", "write argv = [\"./deployer\"]: no shell reads it");
    }
    Some(OwnSite::Program { argv: argv?, folder: target.page().path(".") })
}

/// `{ url }`.
pub(super) fn address(target: &Table<'_>) -> Option<OwnSite> {
    let url = some_text(target, "url")?;
    endpoint(target, "url", &url).map(OwnSite::Url)
}

/// A shorter quarantine is for a deployer on this machine alone.
pub(super) fn quarantine_fits(target: &Table<'_>, settings: &OwnSettings, site: &OwnSite) {
    let OwnSite::Url(url) = site else { return };
    if settings.quarantine < QUARANTINE && !is_loopback(url) {
        target.page().fault(
            target.span(),
            format!("its provider's `quarantine` below {QUARANTINE:#} might begin a rollback twice"),
            "leave `quarantine` out there; it may be shorter only with a `url` on this machine",
        );
    }
}
