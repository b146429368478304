//! The picture: what serves, what went out and when, and what each release says about itself in its `release.toml`.
//! Reads only. Leaves to `link` and `log` how the two are read.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use super::link::{self, Current};
use super::log::{self, Line};
use crate::case::deployment::{ChangeKind, Deployment, DeploymentOrigin, DeploymentStatus, Owner, Picture};
use crate::case::id::{DeploymentId, ReleaseId, ServiceId, Timestamp};
use crate::case::release::{MigrationMarks, Release, RollbackMark};
use crate::outbound::CallError;

/// Deployments that are told however old they are: what a rollback could lead to must be known.
const KEPT: usize = 50;

/// Folders that are looked at when there is no log; a root with more is not cleaned up by anybody.
const FOLDERS_MAX: usize = 2000;

/// A `release.toml` is a few lines; a longer one is not read, and counts as one that cannot be read.
const RELEASE_TOML_MAX: u64 = 64 * 1024;

/// Longer texts of a `release.toml` are cut; they are shown, not compared.
const TEXT_MAX: usize = 256;

/// Looks at the root and tells.
pub(super) fn describe(
    root: &Path,
    service: &ServiceId,
    since: Timestamp,
    now: Timestamp,
) -> Result<Picture, CallError> {
    let current = link::read(root)?;
    let mut deployments = deployments(root, service, &current)?;
    let old = deployments.iter().take_while(|deployment| deployment.started_at < since).count();
    deployments.drain(..old.min(deployments.len().saturating_sub(KEPT)));
    let named: BTreeSet<&ReleaseId> =
        deployments.iter().map(|deployment| &deployment.release).chain(current.release()).collect();
    let releases = named.into_iter().map(|id| release(root, id)).collect::<Result<_, _>>()?;
    Ok(Picture {
        at: now,
        current: current.release().cloned(),
        in_flight: None,
        owner: Owner::Nobody,
        deployments,
        releases,
        figures: BTreeMap::new(),
        provider_judges: false,
        reports: Vec::new(),
    })
}

/// The history, oldest first, each deployment once.
fn deployments(root: &Path, service: &ServiceId, current: &Current) -> Result<Vec<Deployment>, CallError> {
    let mut lines = log::read(root)?;
    let logged = !lines.is_empty();
    if !logged {
        lines = from_folders(root, current)?;
    }
    let mut deployments: Vec<Deployment> =
        lines.iter().map(|line| deployment(service, line, logged)).collect();
    deployments
        .extend(unlogged(root, current, lines.last()).map(|(line, ours)| deployment(service, &line, ours)));
    deployments.sort_by_key(|deployment| deployment.started_at);
    let mut seen = BTreeSet::new();
    deployments.retain(|deployment| seen.insert(deployment.id.clone()));
    Ok(deployments)
}

/// The switch that has no line: one of ours whose line is not written yet, or somebody's who keeps no log.
fn unlogged(root: &Path, current: &Current, last: Option<&Line>) -> Option<(Line, bool)> {
    let serving = current.release()?;
    if last.is_some_and(|line| line.release == *serving) {
        return None;
    }
    let announced = log::announcements(root).into_iter().find(|line| line.release == *serving);
    match announced {
        Some(line) => Some((line, true)),
        None => Some((
            Line { release: serving.clone(), at: link::switched_at(root)?, by: None, mark: None },
            false,
        )),
    }
}

/// Without a log: each folder went out when it was last changed, and what serves when the link was switched. A folder
/// that is younger than the switch was only unpacked: the link never led to it.
fn from_folders(root: &Path, current: &Current) -> Result<Vec<Line>, CallError> {
    let switched_at = link::switched_at(root);
    let releases = root.join("releases");
    let entries = fs::read_dir(&releases).map_err(CallError::io(format!("list {}", releases.display())))?;
    let mut lines: Vec<Line> = entries
        .take(FOLDERS_MAX)
        .filter_map(Result::ok)
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok().filter(|name| link::is_release_name(name))?;
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            let at = link::changed_at(&entry.path()).filter(|_| is_folder)?;
            Some(Line { release: ReleaseId::new(name), at, by: None, mark: None })
        })
        .filter(|line| current.release() != Some(&line.release))
        .filter(|line| switched_at.is_none_or(|at| line.at <= at))
        .collect();
    lines.sort_by(|one, other| (one.at, &one.release).cmp(&(other.at, &other.release)));
    Ok(lines)
}

fn deployment(service: &ServiceId, line: &Line, our_clock: bool) -> Deployment {
    Deployment {
        id: DeploymentId::new(format!("{}@{}", line.release, line.at)),
        service: service.clone(),
        release: line.release.clone(),
        started_at: line.at,
        traffic_at: None,
        finished_at: Some(line.at),
        status: DeploymentStatus::Finished,
        by: line.by.clone(),
        origin: line.mark.clone().map_or(DeploymentOrigin::Ordinary, DeploymentOrigin::Ours),
        change: ChangeKind::Code,
        labels: BTreeMap::new(),
        our_clock,
    }
}

/// What a release says about itself.
pub(super) fn release(root: &Path, id: &ReleaseId) -> Result<Release, CallError> {
    let exists = link::exists(root, id)?;
    let bare = Release { artifact_exists: Some(exists), ..Release::bare(id.clone()) };
    if !exists {
        return Ok(bare);
    }
    let path = link::folder(root, id).join("release.toml");
    let text = log::tail(&path, RELEASE_TOML_MAX + 1);
    Ok(match text {
        Ok(None) => bare,
        Ok(Some(bytes)) => parse(&bytes).map_or_else(
            || unreadable(&bare),
            |said| Release { id: bare.id.clone(), artifact_exists: bare.artifact_exists, ..said },
        ),
        Err(_) => unreadable(&bare),
    })
}

/// A release whose own word cannot be read: it counts as the strictest, because it may have said so.
fn unreadable(bare: &Release) -> Release {
    let marks = MigrationMarks { rollback: Some(RollbackMark::Irreversible), ..MigrationMarks::default() };
    Release { marks, ..bare.clone() }
}

/// Reads a `release.toml`; `None` when it is no TOML or holds something else than was agreed (product §20).
fn parse(bytes: &[u8]) -> Option<Release> {
    if bytes.len() as u64 > RELEASE_TOML_MAX {
        return None;
    }
    let table: toml::Table = std::str::from_utf8(bytes).ok()?.parse().ok()?;
    let text = |key: &str| table.get(key).map(in_short).transpose();
    let number = |key: &str| table.get(key).map(|value| value.as_integer().ok_or(Odd)).transpose();
    let word = table.get("rollback").map(|value| value.as_str().and_then(RollbackMark::parse).ok_or(Odd));
    let read = || -> Result<Release, Odd> {
        Ok(Release {
            version: text("version")?,
            commit: text("commit")?,
            author: text("author")?,
            marks: MigrationMarks {
                rollback: word.transpose()?,
                schema_version: number("schema_version")?,
                min_compatible_schema: number("min_compatible_schema")?,
            },
            ..Release::bare(ReleaseId::new(""))
        })
    };
    read().ok()
}

/// A value that is not what its key promises.
struct Odd;

/// A text, or a number where people write one for a text, such as `version = 42`.
fn in_short(value: &toml::Value) -> Result<String, Odd> {
    if let Some(text) = value.as_str() {
        return Ok(text.chars().take(TEXT_MAX).collect());
    }
    let number = value.is_integer() || value.is_float();
    if number { Ok(value.to_string()) } else { Err(Odd) }
}

/// Whether the word of a release about itself can be read; for `check`.
pub(super) fn is_readable(root: &Path, id: &ReleaseId) -> bool {
    match log::tail(&link::folder(root, id).join("release.toml"), RELEASE_TOML_MAX + 1) {
        Ok(None) => true,
        Ok(Some(bytes)) => parse(&bytes).is_some(),
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rollback_of(text: &str) -> Option<Option<RollbackMark>> {
        parse(text.as_bytes()).map(|release| release.marks.rollback)
    }

    #[test]
    fn a_release_says_what_it_is() {
        let text = "version = 'v42'\ncommit = 'abc'\nauthor = 'alice'\nrollback = 'expand'\nschema_version = 7\nmin_compatible_schema = 5\nteam = 'shop'";
        let release = parse(text.as_bytes()).expect("well formed");
        assert_eq!(release.version.as_deref(), Some("v42"));
        assert_eq!(release.commit.as_deref(), Some("abc"));
        assert_eq!(release.author.as_deref(), Some("alice"));
        assert_eq!(
            release.marks,
            MigrationMarks {
                rollback: Some(RollbackMark::Expand),
                schema_version: Some(7),
                min_compatible_schema: Some(5)
            }
        );
    }

    #[test]
    fn what_cannot_be_read_is_not_taken_for_silence() {
        assert_eq!(rollback_of(""), Some(None));
        assert_eq!(rollback_of("version = 42"), Some(None));
        for text in
            ["rollback = 'irreversable'", "rollback = true", "schema_version = 'x'", "version = [", "\u{0}"]
        {
            assert_eq!(rollback_of(text), None, "{text}");
        }
    }
}
