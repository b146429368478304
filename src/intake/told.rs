//! What feeds tell of a deployment beside the fields of their own: facts that people put into a payload, and how all of it
//! becomes a notice. Leaves to each feed's file where its fields stand.

use serde::Deserialize;
use serde_json::Value;

use super::alert::{NAME_MAX, Told, Unreadable, cut, link, value};
use super::json::Scalar;
use crate::case::deployment::{ChangeKind, DeploymentStatus};
use crate::case::id::{ChangeId, ReleaseId, Timestamp};
use crate::case::notice::{Notice, unnamed};
use crate::case::release::{MigrationMarks, Release, RollbackMark};
use crate::case::signal::Labels;

/// Facts under names of ours, in whatever a feed lets people add: GitHub's `payload`, `customData` of CDEvents. What is not
/// there is not told; what is there and cannot be read makes the notice unreadable, because a mark that is lost could let
/// somebody go back who must not.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Facts {
    pub(super) service: Option<Scalar>,
    pub(super) environment: Option<Scalar>,
    pub(super) release: Option<Scalar>,
    pub(super) version: Option<Scalar>,
    pub(super) commit: Option<Scalar>,
    pub(super) author: Option<Scalar>,
    /// `code`, `config`, `flag` or `infra`; any other text is the change that the deployment belongs to.
    pub(super) change: Option<Scalar>,
    pub(super) rollback: Option<Scalar>,
    pub(super) schema_version: Option<i64>,
    pub(super) min_compatible_schema: Option<i64>,
    pub(super) link: Option<Scalar>,
}

/// What a feed's own fields say.
pub(super) struct Said {
    pub(super) id: String,
    pub(super) status: DeploymentStatus,
    pub(super) at: Timestamp,
    pub(super) started_at: Option<Timestamp>,
    pub(super) by: Option<String>,
    pub(super) rolled_back: bool,
    pub(super) labels: Vec<(&'static str, Option<String>)>,
    pub(super) version: Option<String>,
    pub(super) commit: Option<String>,
    pub(super) links: Vec<Option<String>>,
}

impl Facts {
    /// The facts in what people put there: a map, the text of one, or nothing that is ours. `place` names it.
    ///
    /// # Errors
    /// A map in which a fact of ours cannot be read.
    pub(super) fn within(told: Option<Value>, place: &str) -> Result<Facts, Unreadable> {
        let unreadable = |why: serde_json::Error| Unreadable::new(format_args!("{place}: {why}"));
        let map = match told {
            Some(Value::Object(map)) => Value::Object(map),
            Some(Value::String(text)) if text.trim_start().starts_with('{') => {
                serde_json::from_str(&text).map_err(unreadable)?
            }
            Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_))
            | None => return Ok(Facts::default()),
        };
        serde_json::from_value(map).map_err(unreadable)
    }

    /// The notice of what a feed says with these facts.
    ///
    /// # Errors
    /// A mark that is none.
    pub(super) fn notice(self, said: Said, told: Told<'_>) -> Result<Notice, Unreadable> {
        let text =
            |told: Option<Scalar>| told.map(|Scalar(text)| value(text)).filter(|text| !text.is_empty());
        let rollback = match text(self.rollback) {
            None => None,
            Some(word) => Some(RollbackMark::parse(&word).ok_or_else(|| {
                Unreadable::new(format_args!(
                    "rollback is {:?}, and not safe, expand, contract or irreversible",
                    cut(&word, 50)
                ))
            })?),
        };
        let change = text(self.change);
        let kind = change.as_deref().and_then(ChangeKind::parse);
        let commit = text(self.commit).or(said.commit);
        // Services that go out by one commit go out by one change (product §7).
        let of_change = change.filter(|_| kind.is_none()).or_else(|| commit.clone());
        let named = text(self.release);
        let named = named.map_or_else(|| unnamed(told.source, &said.id), ReleaseId::new);
        let version = text(self.version).or(said.version);
        let links = said.links.into_iter().chain([text(self.link)]).flatten().filter_map(link);
        let own = [("service", text(self.service)), ("environment", text(self.environment))];
        let labels: Labels = said
            .labels
            .into_iter()
            .chain(own)
            .filter_map(|(name, text)| Some((name.to_owned(), value(text?))))
            .filter(|(_, text)| !text.is_empty())
            .collect();
        Ok(Notice {
            feed: told.source.clone(),
            id: cut(&said.id, NAME_MAX),
            labels,
            release: Release {
                version,
                commit,
                author: text(self.author).or_else(|| said.by.clone()),
                change: of_change.map(ChangeId::new),
                links: links.take(4).collect(),
                marks: MigrationMarks {
                    rollback,
                    schema_version: self.schema_version,
                    min_compatible_schema: self.min_compatible_schema,
                },
                ..Release::bare(named)
            },
            change: kind.unwrap_or(ChangeKind::Code),
            status: said.status,
            at: said.at,
            started_at: said.started_at,
            by: said.by,
            rollback: said.rolled_back,
            received_at: told.received_at,
        })
    }
}

/// A text that was told: not empty.
pub(super) fn told_text(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.trim().is_empty())
}
