//! The generic feed: the list of product §20, as a pipeline or a flag service posts it. What cannot be read is refused, and
//! said: whoever writes it is there to mend it.

use bytes::Bytes;
use hyper::StatusCode;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::alert::{Told, Unreadable, cut};
use super::json::{Listed, Object, Scalar, sound};
use super::moment::Spelled;
use super::proof::Proven;
use super::sender::Protocol;
use super::told::{Facts, Said};
use crate::case::deployment::DeploymentStatus;
use crate::case::notice::Notice;
use crate::journal::inbox::Content;

/// Kept as a dead letter, and refused.
pub(super) const PROTOCOL: Protocol = Protocol {
    media: &["application/json"],
    body_max: 1 << 20,
    stored: StatusCode::OK,
    unreadable: StatusCode::UNPROCESSABLE_ENTITY,
};

/// Entries of one list.
const ENTRIES_MAX: usize = 1000;

/// Reads a list of deployments, or one.
///
/// # Errors
/// Which entry cannot be read, and why; then none of them is taken.
pub(super) fn read(body: &Proven<Bytes>, told: Told<'_>) -> Result<Content, Unreadable> {
    let text = sound(body.get()).map_err(Unreadable::new)?;
    let entries: Vec<&RawValue> = if text.trim_start().starts_with('[') {
        serde_json::from_str(text).map_err(Unreadable::new)?
    } else {
        vec![serde_json::from_str(text).map_err(Unreadable::new)?]
    };
    if entries.len() > ENTRIES_MAX {
        return Err(Unreadable::new("more than 1000 deployments in one list"));
    }
    let numbered = (1..).zip(entries);
    let notices = numbered.map(|(number, entry)| {
        one(entry.get(), told).map_err(|why| Unreadable::new(format_args!("deployment {number}: {why}")))
    });
    notices.collect::<Result<Vec<Notice>, _>>().map(Content::Notices)
}

fn one(text: &str, told: Told<'_>) -> Result<Notice, Unreadable> {
    let Object(entry): Object<Entry> = serde_json::from_str(text).map_err(Unreadable::new)?;
    let Object(facts): Object<Facts> = serde_json::from_str(text).map_err(Unreadable::new)?;
    let Scalar(service) = entry.service;
    let (name, environment) = service.split_once('@').ok_or_else(|| {
        Unreadable::new(format_args!("service is {:?}; write name@environment", cut(&service, 100)))
    })?;
    let (started_at, finished_at) = (entry.started_at.0, entry.finished_at.unwrap_or_default().0);
    let status = match entry.status.as_deref() {
        None if finished_at.is_some() => DeploymentStatus::Finished,
        None => DeploymentStatus::GoingOut,
        Some("going_out") => DeploymentStatus::GoingOut,
        Some("finished") => DeploymentStatus::Finished,
        Some("failed") => DeploymentStatus::Failed,
        Some("stopped") => DeploymentStatus::Stopped,
        Some(other) => {
            let other = cut(other, 50);
            return Err(Unreadable::new(format_args!(
                "status is {other:?}, and not going_out, finished, failed or stopped"
            )));
        }
    };
    let began = started_at.ok_or_else(|| Unreadable::new("started_at is no moment"))?;
    if finished_at.is_some_and(|finished| finished < began) {
        return Err(Unreadable::new("finished_at is before started_at"));
    }
    let release = facts.release.as_ref().map(|Scalar(release)| release.clone()).unwrap_or_default();
    let id = entry.deployment.map_or_else(|| format!("{release}@{began}"), |Scalar(id)| id);
    let said = Said {
        id,
        status,
        at: finished_at.unwrap_or(began),
        started_at,
        by: entry.by.map(|Scalar(by)| by),
        rolled_back: entry.origin.as_deref() == Some("rollback"),
        labels: Vec::new(),
        version: None,
        commit: None,
        links: entry.links.unwrap_or_default().0.into_iter().map(Some).collect(),
    };
    let facts = Facts {
        service: Some(Scalar(name.to_owned())),
        environment: Some(Scalar(environment.to_owned())),
        ..facts
    };
    facts.notice(said, told)
}

/// What an entry says beside the facts.
#[derive(Deserialize)]
struct Entry {
    service: Scalar,
    started_at: Spelled,
    finished_at: Option<Spelled>,
    status: Option<String>,
    deployment: Option<Scalar>,
    by: Option<Scalar>,
    origin: Option<String>,
    links: Option<Listed>,
}
