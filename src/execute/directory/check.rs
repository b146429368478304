//! What would keep a rollback from happening, found by looking alone: rights, reach, and what cannot be read.

use std::fs;
use std::path::Path;

use super::link::{self, Current};
use super::{Site, history, log, restart};
use crate::execute::Finding;
use crate::outbound::CallError;

/// One finding.
pub(super) fn finding(says: impl Into<String>, remedy: &str) -> Finding {
    Finding { says: says.into(), remedy: remedy.into() }
}

/// Rights and reach, by looking alone.
pub(super) fn check(site: &Site) -> Vec<Finding> {
    let root = &site.root;
    let mut findings = Vec::new();
    let releases = root.join("releases");
    if let Err(error) = fs::read_dir(&releases) {
        findings.push(finding(
            format!("cannot list {}: {error}", releases.display()),
            "put each release there, in a folder of its own",
        ));
    }
    match link::read(root) {
        Ok(Current::Serves(release)) => {
            if !link::exists(root, &release).unwrap_or(false) {
                findings.push(finding(
                    format!("current leads to {release}, which is not there"),
                    "put the release back, or switch current",
                ));
            } else if !history::is_readable(root, &release) {
                findings.push(finding(
                    format!("the release.toml of {release} cannot be read, and counts as irreversible"),
                    "write rollback = \"safe\", \"expand\", \"contract\" or \"irreversible\", and schema versions as whole numbers",
                ));
            }
        }
        Ok(other) => findings.push(finding(other.says(), "make current a link to releases/RELEASE")),
        Err(error) => findings.push(finding(says(&error), "let us read the folder")),
    }
    if let Err(error) = log::read(root) {
        findings
            .push(finding(says(&error), "make deployments.jsonl a plain file that we may read and write"));
    }
    if rustix::fs::access(root, rustix::fs::Access::WRITE_OK).is_err() {
        findings.push(finding(
            format!("may not write in {}", root.display()),
            "let the user that runs Snapback write in the folder itself",
        ));
    }
    findings.extend(written(root));
    let program = site.restart.as_ref().and_then(|argv| argv.first());
    if let Some(program) = program.filter(|program| !restart::is_program(root, program)) {
        findings.push(finding(
            format!("there is no program {program}"),
            "name the restart's program by its full path",
        ));
    }
    findings
}

/// Whether what a switch writes can be written. A log that is not there is not made: it would say that nothing was ever put
/// out; and what is there is opened, and left as it is.
fn written(root: &Path) -> Vec<Finding> {
    let mut findings = Vec::new();
    let log = log::path(root);
    if log.is_file()
        && let Err(error) = log::open_to_append(root)
    {
        findings.push(finding(
            format!("may not write to {}: {error}", log.display()),
            "let the user that runs Snapback append to it",
        ));
    }
    let notes = log::notes(root);
    if notes.exists() {
        let path = notes.join("doctor");
        let tried = log::write_whole(&path, b"doctor").and_then(|()| fs::remove_file(&path));
        if let Err(error) = tried {
            findings.push(finding(
                format!("may not write in {}: {error}", notes.display()),
                "let the user that runs Snapback write there: a switch is announced in it",
            ));
        }
    }
    findings
}

/// The fault and what is below it.
fn says(error: &CallError) -> String {
    match std::error::Error::source(error) {
        Some(below) => format!("{error}: {below}"),
        None => error.to_string(),
    }
}
