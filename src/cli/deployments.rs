//! The deployments file (product §20): what was put where and when, as `explain` is told it. A list, one entry a
//! line, or what `services deployments --output json` prints. A key that is not known is refused, because a slip of
//! the pen would change the decision.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use snapback::case::deployment::{
    ChangeKind, Deployment, DeploymentOrigin, DeploymentStatus, Owner, Picture,
};
use snapback::case::id::{ChangeId, DeploymentId, Mark, ReleaseId, ServiceId, Timestamp};
use snapback::case::release::{MigrationMarks, Release, RollbackMark};
use snapback::case::signal::Labels;

/// Entries of one file: more than any ledger keeps for fifty services.
const ENTRIES_MAX: usize = 10_000;

/// What a file tells.
#[derive(Debug, Default)]
pub(super) struct Told {
    entries: Vec<(Deployment, Release)>,
}

/// Why a file cannot be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unreadable {
    #[error("it is not JSON: {0}")]
    NotJson(String),
    #[error("entry {0}: {1}")]
    Entry(usize, String),
    #[error("it has more than {ENTRIES_MAX} entries")]
    TooMany,
}

/// One entry as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    service: String,
    release: String,
    version: Option<String>,
    commit: Option<String>,
    author: Option<String>,
    /// `code`, `config`, `flag` or `infra`; any other text is the change that the deployment belongs to.
    change: Option<String>,
    started_at: Timestamp,
    finished_at: Option<Timestamp>,
    status: Option<String>,
    /// Whether one can go back over the release.
    rollback: Option<String>,
    schema_version: Option<i64>,
    #[serde(default)]
    links: Vec<String>,
    deployment: Option<String>,
    by: Option<String>,
    origin: Option<String>,
}

/// Reads a file.
pub(super) fn read(text: &[u8]) -> Result<Told, Unreadable> {
    let mut entries = Vec::new();
    for value in serde_json::Deserializer::from_slice(text).into_iter::<Value>() {
        let value = value.map_err(|error| Unreadable::NotJson(error.to_string()))?;
        for item in items(value) {
            if entries.len() >= ENTRIES_MAX {
                return Err(Unreadable::TooMany);
            }
            let number = entries.len() + 1;
            let wrong = |why: String| Unreadable::Entry(number, why);
            let entry: Entry = serde_json::from_value(item).map_err(|error| wrong(error.to_string()))?;
            entries.push(entry.taken(number).map_err(wrong)?);
        }
    }
    entries.sort_by_key(|(deployment, _)| deployment.started_at);
    Ok(Told { entries })
}

/// A list's items, those of a list under `deployments`, or the value itself.
fn items(mut value: Value) -> Vec<Value> {
    let under = value.get_mut("deployments").filter(|under| under.is_array()).map(Value::take);
    let value = under.unwrap_or(value);
    if let Value::Array(items) = value { items } else { vec![value] }
}

impl Entry {
    fn taken(self, number: usize) -> Result<(Deployment, Release), String> {
        let service = ServiceId::parse(&self.service)
            .ok_or_else(|| format!("`service` is {:?}; write name@environment", self.service))?;
        let status = self.status()?;
        let rollback = word(self.rollback.as_deref(), RollbackMark::parse, "rollback")?;
        let kind = self.change.as_deref().and_then(ChangeKind::parse);
        let change = if kind.is_some() { None } else { self.change.as_ref().map(ChangeId::new) };
        let release = Release {
            version: self.version,
            commit: self.commit,
            author: self.author,
            change,
            links: self.links,
            marks: MigrationMarks {
                rollback,
                schema_version: self.schema_version,
                min_compatible_schema: None,
            },
            ..Release::bare(ReleaseId::new(&self.release))
        };
        let origin = word(self.origin.as_deref(), origin, "origin")?;
        let deployment = Deployment {
            id: DeploymentId::new(self.deployment.unwrap_or_else(|| format!("entry-{number}"))),
            service,
            release: release.id.clone(),
            started_at: self.started_at,
            traffic_at: None,
            finished_at: self.finished_at,
            status,
            by: self.by,
            origin: origin.unwrap_or(DeploymentOrigin::Ordinary),
            change: kind.unwrap_or(ChangeKind::Code),
            labels: Labels::new(),
            our_clock: false,
        };
        Ok((deployment, release))
    }

    fn status(&self) -> Result<DeploymentStatus, String> {
        if self.finished_at.is_some_and(|finished| finished < self.started_at) {
            return Err("`finished_at` is before `started_at`".to_owned());
        }
        let by_time =
            if self.finished_at.is_some() { DeploymentStatus::Finished } else { DeploymentStatus::GoingOut };
        Ok(word(self.status.as_deref(), status, "status")?.unwrap_or(by_time))
    }
}

/// A word of a closed list, where there is one.
fn word<T>(text: Option<&str>, read: impl Fn(&str) -> Option<T>, key: &str) -> Result<Option<T>, String> {
    let Some(text) = text else { return Ok(None) };
    read(text).map(Some).ok_or_else(|| {
        let words = match key {
            "status" => "going_out, finished, failed or stopped",
            "rollback" => "safe, expand, contract or irreversible",
            _ => "ordinary, ours or rollback",
        };
        format!("`{key}` is {text:?}; write {words}")
    })
}

fn status(word: &str) -> Option<DeploymentStatus> {
    let all = [
        DeploymentStatus::GoingOut,
        DeploymentStatus::Finished,
        DeploymentStatus::Failed,
        DeploymentStatus::Stopped,
    ];
    all.into_iter().find(|status| status.word() == word)
}

fn origin(word: &str) -> Option<DeploymentOrigin> {
    match word {
        "ordinary" => Some(DeploymentOrigin::Ordinary),
        // The file does not say which act it was, and nobody asks for it here.
        "ours" => Some(DeploymentOrigin::Ours(Mark::new("snapback/told"))),
        "rollback" => Some(DeploymentOrigin::Rollback),
        _ => None,
    }
}

impl Told {
    /// What a provider would have shown of a service at this moment.
    pub(super) fn picture(&self, service: &ServiceId, at: Timestamp) -> Picture {
        let mut releases: BTreeMap<ReleaseId, Release> = BTreeMap::new();
        let mut deployments = Vec::new();
        let known = |deployment: &Deployment| deployment.service == *service && deployment.started_at <= at;
        for (deployment, release) in self.entries.iter().filter(|(deployment, _)| known(deployment)) {
            releases
                .entry(release.id.clone())
                .and_modify(|known| known.learn(release))
                .or_insert_with(|| release.clone());
            deployments.push(as_of(deployment, at));
        }
        let served = |deployment: &&Deployment| {
            deployment.status == DeploymentStatus::Finished && deployment.change == ChangeKind::Code
        };
        let current = deployments.iter().filter(served).max_by_key(|deployment| deployment.finished_at);
        let is_going_out =
            |deployment: &&Deployment| deployment.is_going_out() && deployment.change == ChangeKind::Code;
        let in_flight = deployments.iter().rev().find(is_going_out);
        Picture {
            at,
            current: current.map(|deployment| deployment.release.clone()),
            in_flight: in_flight.map(|deployment| deployment.id.clone()),
            owner: Owner::Nobody,
            releases: releases.into_values().collect(),
            deployments,
            figures: BTreeMap::new(),
            provider_judges: false,
            reports: Vec::new(),
        }
    }
}

/// A deployment as it stood at a moment: what ended later was still going out.
fn as_of(deployment: &Deployment, at: Timestamp) -> Deployment {
    let mut then = deployment.clone();
    if then.finished_at.is_some_and(|finished| finished > at) {
        then.finished_at = None;
        then.status = DeploymentStatus::GoingOut;
    }
    then
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = r#"{"service":"a@p","release":"1","started_at":"2026-03-01T09:00:00Z","finished_at":"2026-03-01T09:01:00Z"}"#;
    const NEW: &str = r#"{"service":"a@p","release":"2","change":"config","rollback":"contract","started_at":"2026-03-02T09:00:00Z","finished_at":"2026-03-02T09:05:00Z"}"#;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a moment")
    }

    #[test]
    fn a_list_lines_and_an_answer_of_the_server_read_alike() {
        let service = ServiceId::of("a", "p");
        let read = |text: String| {
            read(text.as_bytes()).expect("readable").picture(&service, at("2026-03-02T10:00:00Z"))
        };
        let list = read(format!("[{NEW},{OLD}]"));
        assert_eq!(list.current, Some(ReleaseId::new("1")), "a change of configuration is not what serves");
        assert_eq!(list.deployments.len(), 2);
        assert_eq!(list.deployments[1].change, ChangeKind::Config);
        assert_eq!(list.releases[1].marks.rollback, Some(RollbackMark::Contract));
        assert_eq!(read(format!("{NEW}\n{OLD}\n")).releases, list.releases);
        assert_eq!(read(format!(r#"{{"deployments":[{NEW},{OLD}],"next":null}}"#)).releases, list.releases);
    }

    #[test]
    fn a_picture_is_of_its_moment() {
        let code = NEW.replace("\"config\"", "\"code\"");
        let told = read(format!("[{OLD},{code}]").as_bytes()).expect("readable");
        let service = ServiceId::of("a", "p");
        let going_out = told.picture(&service, at("2026-03-02T09:02:00Z"));
        assert_eq!(going_out.current, Some(ReleaseId::new("1")));
        assert_eq!(going_out.in_flight, Some(DeploymentId::new("entry-2")));
        let before = told.picture(&service, at("2026-03-01T12:00:00Z"));
        assert_eq!((before.deployments.len(), before.in_flight), (1, None));
        assert_eq!(told.picture(&ServiceId::of("b", "p"), at("2026-03-02T10:00:00Z")).deployments, []);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_entry() {
        for (text, said) in [
            ("nonsense", "not JSON"),
            (r#"[{"service":"a","release":"1","started_at":"2026-03-01T09:00:00Z"}]"#, "name@environment"),
            (r#"{"service":"a@p","release":"1"}"#, "started_at"),
            (&OLD.replace("\"finished_at\"", "\"finshed_at\""), "finshed_at"),
            (&OLD.replace("09:01", "08:01"), "before"),
            (&format!("{OLD}{}", NEW.replace("contract", "yes")), "entry 2: `rollback`"),
            (&OLD.replace("\"release\"", "\"status\":\"ok\",\"release\""), "going_out"),
        ] {
            let why = read(text.as_bytes()).expect_err(text).to_string();
            assert!(why.contains(said), "{text}: {why}");
        }
    }
}
